# A Python service of PDM as container images for two platforms, by pyproject.nix, and a shell to work
# on it. To have exactly what a lock says, go on to uv: `uv lock`, `nixpy-ci init --kind uv --force`.
# Nix sees only what git tracks: `git add` new files.
{
  description = "A Python service of pdm as container images";

  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

    pyproject-nix.url = "github:pyproject-nix/pyproject.nix";
    pyproject-nix.inputs.nixpkgs.follows = "nixpkgs";
  };

  outputs = { self, nixpkgs, pyproject-nix }:
    let
      inherit (nixpkgs) lib;
      eachSystem = f: lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] (system: f nixpkgs.legacyPackages.${system});

      name = pyproject-nix.lib.pypa.normalizePackageName (lib.importTOML ./pyproject.toml).project.name;
      program = builtins.head (builtins.attrNames (lib.importTOML ./pyproject.toml).project.scripts);
      port = 8000;
      pythonOf = pkgs: pkgs.python3;

      # The project and what it needs, each in nixpkgs' version: pdm.lock is not read.
      # A package that nixpkgs lacks, or has in a version that does not fit, is put in its place by
      # `pkgs.python3.override { packageOverrides = final: prev: { … }; }` in pythonOf.
      # A version that the project does not allow ends the build: `// { pythonRelaxDeps = true; }` lets it pass.
      project = pyproject-nix.lib.project.loadPDMPyproject { projectRoot = ./.; };
      attributesOf = pkgs: project.renderers.buildPythonPackage { python = pythonOf pkgs; };

      serviceOf = pkgs: (pythonOf pkgs).pkgs.buildPythonApplication (attributesOf pkgs);

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
          packages = [ (pythonOf pkgs) pkgs.pdm ];
        };
      });
    };
}
