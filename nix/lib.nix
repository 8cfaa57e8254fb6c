# For flakes of those who have a package already, and want an image of it that nixpy-ci publishes well.
rec {
  systems = [ "x86_64-linux" "aarch64-linux" ];

  # eachSystem nixpkgs (pkgs: …): the same for both systems, as in `packages = eachSystem nixpkgs (pkgs: { … })`.
  eachSystem = nixpkgs: f:
    builtins.listToAttrs (map (system: { name = system; value = f nixpkgs.legacyPackages.${system}; }) systems);

  # mkImage { inherit pkgs; package = …; }: an image by dockerTools.streamLayeredImage, which has to be
  # neither run nor archived to be published: nixpy-ci reads its description.
  mkImage =
    { pkgs
    , package
      # The program to start, and its arguments; a bare name is one of the package's own.
    , command ? [ (package.meta.mainProgram or package.pname or package.name) ]
    , name ? package.pname or package.name
    , tag ? package.version or "latest"
      # What it listens on: [ 8000 "53/udp" ]
    , ports ? [ ]
      # { DEBUG = "1"; }, beside PYTHONUNBUFFERED and SSL_CERT_FILE.
    , env ? { }
    , user ? "1000:1000"
    , labels ? { }
      # Linked into /.
    , contents ? [ ]
      # As many as nixpy-ci cuts itself; containerd takes 127.
    , maxLayers ? 100
    }:
    let
      program = builtins.head command;
      isPath = builtins.substring 0 1 program == "/";
      port = value: if builtins.isInt value then "${toString value}/tcp" else value;
      defaults = {
        PYTHONUNBUFFERED = "1";
        SSL_CERT_FILE = "${pkgs.cacert}/etc/ssl/certs/ca-bundle.crt";
      };
      variables = defaults // env;
    in
    pkgs.dockerTools.streamLayeredImage {
      inherit name tag contents maxLayers;
      config = {
        Entrypoint = [ (if isPath then program else "${package}/bin/${program}") ] ++ builtins.tail command;
        Env = map (key: "${key}=${toString variables.${key}}") (builtins.attrNames variables);
        ExposedPorts = builtins.listToAttrs (map (value: { name = port value; value = { }; }) ports);
        User = user;
        WorkingDir = "/tmp";
        Labels = labels;
      };
      extraCommands = "mkdir -m 1777 tmp";
    };
}
