      # The project and what it needs, each in nixpkgs' version: @@lock@@ is not read.
      # A package that nixpkgs lacks, or has in a version that does not fit, is put in its place by
      # `pkgs.python3.override { packageOverrides = final: prev: { … }; }` in pythonOf.
      # A version that the project does not allow ends the build: `// { pythonRelaxDeps = true; }` lets it pass.
      @@load@@
      attributesOf = pkgs: project.renderers.buildPythonPackage { python = pythonOf pkgs; };
