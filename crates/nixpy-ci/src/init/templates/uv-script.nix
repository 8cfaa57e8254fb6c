      # Only the project's own commands, not those of its dependencies.
      serviceOf = pkgs:
        (pkgs.callPackages pyproject-nix.build.util { }).mkApplication {
          venv = environmentOf pkgs;
          package = (pythonSet pkgs).${name};
        };
