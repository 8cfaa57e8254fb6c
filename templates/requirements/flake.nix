# A Python service with a list of requirements as container images for two platforms, by pyproject.nix,
# and a shell to work on it. To have exact versions, go on to uv: `uvx migrate-to-uv`, `nixpy-ci init --force`.
# Nix sees only what git tracks: `git add` new files.
{
  description = "A Python service of requirements as container images";

  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

    pyproject-nix.url = "github:pyproject-nix/pyproject.nix";
    pyproject-nix.inputs.nixpkgs.follows = "nixpkgs";
  };

  outputs = { self, nixpkgs, pyproject-nix }:
    let
      inherit (nixpkgs) lib;
      eachSystem = f: lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] (system: f nixpkgs.legacyPackages.${system});

      name = "service";
      command = [ "uvicorn" "main:app" "--host" "0.0.0.0" "--port" "8000" ];
      port = 8000;
      pythonOf = pkgs: pkgs.python3;

      # What the project needs, each in nixpkgs' version: versions in requirements.txt are not heeded.
      # A package that nixpkgs lacks, or has in a version that does not fit, is put in its place by
      # `pkgs.python3.override { packageOverrides = final: prev: { … }; }` in pythonOf.
      project = pyproject-nix.lib.project.loadRequirementsTxt { requirements = ./requirements.txt; projectRoot = ./.; };
      environmentOf = pkgs:
        let python = pythonOf pkgs; in
        python.withPackages (_: (project.renderers.buildPythonPackage { inherit python; }).dependencies);

      # The project is not installed: it is started where its files are. A change of those that are
      # left out here leaves the image as it is.
      source = builtins.path {
        name = "${name}-source";
        path = ./.;
        filter = path: _: !builtins.elem (baseNameOf path)
          [ ".git" ".github" ".gitignore" "flake.lock" "flake.nix" "nixpy-ci.yaml" "tests" ];
      };

      serviceOf = pkgs: pkgs.writeShellScriptBin name ''
        cd ${source}
        export PYTHONPATH=${source}
        exec ${environmentOf pkgs}/bin/${lib.escapeShellArgs command} "$@"
      '';

      imageOf = pkgs: {
        inherit name;
        tag = "latest";
        config = {
          Entrypoint = [ "${serviceOf pkgs}/bin/${name}" ];
          Env = [
            "PYTHONUNBUFFERED=1"
            "SSL_CERT_FILE=${pkgs.cacert}/etc/ssl/certs/ca-bundle.crt"
          ];
          ExposedPorts."${toString port}/tcp" = { };
          User = "1000:1000";
          WorkingDir = "/tmp";
        };
        extraCommands = "mkdir -m 1777 tmp";
      };
    in
    {
      packages = eachSystem (pkgs: {
        default = serviceOf pkgs;
        # nixpy-ci reads what this script would write, and publishes it layer by layer.
        image = pkgs.dockerTools.streamLayeredImage (imageOf pkgs);
      });

      devShells = eachSystem (pkgs: {
        default = pkgs.mkShell {
          packages = [ (environmentOf pkgs) ];
        };
      });
    };
}
