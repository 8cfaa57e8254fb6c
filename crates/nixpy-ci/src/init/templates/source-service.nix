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
        export PYTHONPATH=${source}@@below@@
        exec ${environmentOf pkgs}/bin/${lib.escapeShellArgs command} "$@"
      '';
