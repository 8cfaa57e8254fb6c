@@about@@
{
  description = @@description@@;

  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

@@inputs@@
  };

  outputs = { self, nixpkgs, @@arguments@@ }:
    let
      inherit (nixpkgs) lib;
      eachSystem = f: lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] (system: f nixpkgs.legacyPackages.${system});

      name = @@name@@;
@@start@@
      port = @@port@@;
      pythonOf = pkgs: pkgs.@@python@@;

@@environment@@

@@service@@

      imageOf = pkgs: {
        inherit name;
        tag = "latest";
        config = {
          Entrypoint = [ "${serviceOf pkgs}/bin/${@@entry@@}" ];
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
@@shell@@
        };
      });
    };
}
