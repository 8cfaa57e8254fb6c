# nixpy-ci itself, and what its users take from it: templates to begin with, and a function that makes
# images. docs/STARTING.md says how.
#
# Not built where this was written: nixpkgs was out of reach, and so there is no flake.lock; the first
# `nix` command makes one. Every output was evaluated, with small stand-ins for nixpkgs
# (tests/real/standins), and ci.yml builds the checks; docs/DECISIONS.md says how it is pinned for a release.
{
  description = "Container images of Python services for every platform, from one Nix flake";

  # Rust 1.95 or later has to be in it.
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs = { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      ours = import ./nix/lib.nix;
      eachSystem = ours.eachSystem nixpkgs;
      template = kind: description: {
        inherit description;
        path = ./templates + "/${kind}";
        welcomeText = ''
          There are now a flake.nix, a nixpy-ci.yaml, and image.yaml and release.yaml in .github/workflows, beside your
          pyproject.toml or requirements.txt. `nixpy-ci init` writes the same, and fills in what it finds in the project.
          Next: `git add` them, `nix flake lock`, `nixpy-ci doctor`, `nixpy-ci run`.
        '';
      };
    in
    {
      lib = ours;

      packages = eachSystem (pkgs: rec {
        # One file that needs nothing beside it: what releases have.
        nixpy-ci-static = pkgs.pkgsStatic.callPackage ./nix/package.nix { };
        nixpy-ci = pkgs.callPackage ./nix/package.nix { };
        default = nixpy-ci-static;
      });

      apps = eachSystem (pkgs: {
        default = { type = "app"; program = "${self.packages.${pkgs.system}.default}/bin/nixpy-ci"; };
      });

      checks = eachSystem (pkgs: {
        package = self.packages.${pkgs.system}.default;

        # A file that asks for a loader or a library is none that runs everywhere.
        static = pkgs.runCommand "nixpy-ci-is-static" { nativeBuildInputs = [ pkgs.binutils ]; } ''
          program=${self.packages.${pkgs.system}.nixpy-ci-static}/bin/nixpy-ci
          wants=$(readelf --program-headers --dynamic "$program")
          if grep --extended-regexp 'INTERP|NEEDED' <<<"$wants"; then
            echo "$program is not static" >&2
            exit 1
          fi
          "$program" --version > $out
        '';

        formatting = pkgs.runCommand "nixpy-ci-is-formatted" { nativeBuildInputs = [ pkgs.cargo pkgs.rustfmt ]; } ''
          cd ${self}
          cargo fmt --check
          touch $out
        '';
      });

      devShells = eachSystem (pkgs: {
        default = pkgs.mkShell {
          packages = [ pkgs.cargo pkgs.clippy pkgs.rustc pkgs.rustfmt pkgs.gnumake pkgs.git pkgs.python3 ];
        };
      });

      templates = {
        default = self.templates.uv;
        uv = template "uv" "A Python service of uv as container images, by uv2nix";
        poetry = template "poetry" "A Python service of Poetry as container images, by pyproject.nix";
        pdm = template "pdm" "A Python service of PDM as container images, by pyproject.nix";
        requirements = template "requirements" "A Python service with a requirements.txt as container images, by pyproject.nix";
      };
    };
}
