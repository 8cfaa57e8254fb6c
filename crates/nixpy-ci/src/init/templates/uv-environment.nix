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
