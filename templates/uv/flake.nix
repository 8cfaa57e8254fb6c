# A Python service of uv as container images for two platforms, by uv2nix, and a shell to work on it.
# After a change of dependencies: `uv lock`.
# Nix sees only what git tracks: `git add` new files.
{
  description = "A Python service of uv as container images";

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

      name = pyproject-nix.lib.pypa.normalizePackageName (lib.importTOML ./pyproject.toml).project.name;
      program = builtins.head (builtins.attrNames (lib.importTOML ./pyproject.toml).project.scripts);
      port = 8000;
      pythonOf = pkgs: pkgs.python3;

      workspace = uv2nix.lib.workspace.loadWorkspace { workspaceRoot = ./.; };

      # One derivation for each package of uv.lock; wheels where there are any.
      pythonSet = pkgs:
        (pkgs.callPackage pyproject-nix.build.packages { python = pythonOf pkgs; }).overrideScope
          (lib.composeManyExtensions [
            pyproject-build-systems.overlays.wheel
            (workspace.mkPyprojectOverlay { sourcePreference = "wheel"; })
            # uv.lock does not say what builds a package that has no wheel: say it here.
            (final: prev: {
              # example = prev.example.overrideAttrs (old: {
              #   nativeBuildInputs = old.nativeBuildInputs ++ final.resolveBuildSystem { setuptools = [ ]; };
              # });
            })
          ]);

      environmentOf = pkgs: (pythonSet pkgs).mkVirtualEnv "${name}-env" workspace.deps.default;

      # Only the project's own commands, not those of its dependencies.
      serviceOf = pkgs:
        (pkgs.callPackages pyproject-nix.build.util { }).mkApplication {
          venv = environmentOf pkgs;
          package = (pythonSet pkgs).${name};
        };

      imageOf = pkgs: {
        inherit name;
        tag = "latest";
        config = {
          Entrypoint = [ "${serviceOf pkgs}/bin/${program}" ];
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
          packages = [ (pythonOf pkgs) pkgs.uv ];
          env = {
            # uv is to use this Python, and to download no other.
            UV_PYTHON = (pythonOf pkgs).interpreter;
            UV_PYTHON_DOWNLOADS = "never";
          };
        };
      });
    };
}
