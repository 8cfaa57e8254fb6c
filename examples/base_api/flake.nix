# A FastAPI service with nixpkgs and uv2nix, as its users write it today: a
# development shell, the service, and its container image for two platforms.
#
# Not built: nixpkgs and the uv2nix inputs were out of reach where this was
# written, so there is no flake.lock either (the first `nix` command makes
# one).  It was parsed (`nix-instantiate --parse`), and every output was
# evaluated with small stand-ins for the four inputs and a uv.lock that uv had
# made; tests/ passed with the versions it named.  A lock file belongs to a
# project of your own, so there is none here: run `uv lock`, and `git add
# uv.lock`, because Nix sees only what git tracks.
#
# The same service, built and run for real without nixpkgs: ../hermetic.
{
  description = "A FastAPI service as container images, by uv2nix";

  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

    pyproject-nix.url = "github:pyproject-nix/pyproject.nix";
    pyproject-nix.inputs.nixpkgs.follows = "nixpkgs";

    uv2nix.url = "github:pyproject-nix/uv2nix";
    uv2nix.inputs.nixpkgs.follows = "nixpkgs";
    uv2nix.inputs.pyproject-nix.follows = "pyproject-nix";

    pyproject-build-systems.url = "github:pyproject-nix/build-system-pkgs";
    pyproject-build-systems.inputs.nixpkgs.follows = "nixpkgs";
    pyproject-build-systems.inputs.pyproject-nix.follows = "pyproject-nix";
    pyproject-build-systems.inputs.uv2nix.follows = "uv2nix";
  };

  outputs = { self, nixpkgs, pyproject-nix, uv2nix, pyproject-build-systems }:
    let
      inherit (nixpkgs) lib;
      eachSystem = f: lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] (system: f nixpkgs.legacyPackages.${system});

      workspace = uv2nix.lib.workspace.loadWorkspace { workspaceRoot = ./.; };

      # One derivation per locked package; wheels where there are any.
      pythonSet = pkgs:
        (pkgs.callPackage pyproject-nix.build.packages { python = pkgs.python3; }).overrideScope
          (lib.composeManyExtensions [
            pyproject-build-systems.overlays.wheel
            (workspace.mkPyprojectOverlay { sourcePreference = "wheel"; })
          ]);

      # Only the service's own commands, not those of its dependencies.
      service = pkgs:
        let set = pythonSet pkgs; in
        (pkgs.callPackages pyproject-nix.build.util { }).mkApplication {
          venv = set.mkVirtualEnv "base-api-env" workspace.deps.default;
          package = set.base-api;
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
        # A gzip'd archive in the store; or a script that writes the same image, uncompressed, when run.
        image = pkgs.dockerTools.buildLayeredImage (imageOf pkgs);
        stream = pkgs.dockerTools.streamLayeredImage (imageOf pkgs);
        default = image;
      });

      devShells = eachSystem (pkgs: {
        default = pkgs.mkShell {
          packages = [ pkgs.python3 pkgs.uv pkgs.bashInteractive ];
          env = {
            # uv is to use this Python, and to download no other.
            UV_PYTHON = pkgs.python3.interpreter;
            UV_PYTHON_DOWNLOADS = "never";
          };
        };
      });
    };
}
