# The service of ../ as people have it who began with Poetry: pyproject.toml
# with [tool.poetry], poetry.lock, and poetry2nix.  poetry2nix is no longer
# maintained; new projects take uv2nix, as ../flake.nix does.
#
# Not built: nixpkgs, poetry2nix and the index that Poetry reads were out of
# reach where this was written, so flake.lock and poetry.lock are not here:
# run `poetry lock` first.  This file was parsed (`nix-instantiate --parse`),
# and every output was evaluated with small stand-ins for the two inputs.
#
# It reads ../src, so use it within a git checkout:
# `nix build '.?dir=examples/base_api/poetry2nix'` from the repository's root.
{
  description = "A FastAPI service as container images, by poetry2nix";

  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-24.05";
    poetry2nix.url = "github:nix-community/poetry2nix";
    poetry2nix.inputs.nixpkgs.follows = "nixpkgs";
  };

  outputs = { self, nixpkgs, poetry2nix }:
    let
      inherit (nixpkgs) lib;
      eachSystem = f: lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] (system: f nixpkgs.legacyPackages.${system});

      service = pkgs:
        let
          inherit (poetry2nix.lib.mkPoetry2Nix { inherit pkgs; }) mkPoetryApplication overrides;
        in
        mkPoetryApplication {
          projectDir = ./.;
          src = pkgs.runCommand "base-api-source" { } ''
            mkdir $out
            cp -r ${../src} $out/src
            cp ${./pyproject.toml} $out/pyproject.toml
          '';
          python = pkgs.python311;
          preferWheels = true;
          # A package without wheels is built from its sources, and poetry2nix
          # must be told by what.  Everything this service needs has wheels:
          # h11 plays the one that has none.
          overrides = overrides.withDefaults (final: prev: {
            h11 = (prev.h11.override { preferWheel = false; }).overridePythonAttrs (old: {
              nativeBuildInputs = (old.nativeBuildInputs or [ ]) ++ [ final.setuptools ];
            });
          });
        };

      imageOf = pkgs: {
        name = "base-api";
        tag = "0.1.0";
        config = {
          Entrypoint = [ "${service pkgs}/bin/base-api" ];
          Env = [
            "PYTHONUNBUFFERED=1"
            "SSL_CERT_FILE=${pkgs.cacert}/etc/ssl/certs/ca-bundle.crt"
          ];
          ExposedPorts."8000/tcp" = { };
          User = "1000:1000";
          WorkingDir = "/tmp";
        };
        extraCommands = "mkdir -m 1777 tmp";
      };
    in
    {
      packages = eachSystem (pkgs: rec {
        app = service pkgs;
        image = pkgs.dockerTools.buildLayeredImage (imageOf pkgs);
        stream = pkgs.dockerTools.streamLayeredImage (imageOf pkgs);
        default = image;
      });
    };
}
