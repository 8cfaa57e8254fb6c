      # What the project needs, each in nixpkgs' version: versions in @@lock@@ are not heeded.
      # A package that nixpkgs lacks, or has in a version that does not fit, is put in its place by
      # `pkgs.python3.override { packageOverrides = final: prev: { … }; }` in pythonOf.
      @@load@@
      environmentOf = pkgs:
        let python = pythonOf pkgs; in
        python.withPackages (_: (project.renderers.buildPythonPackage { inherit python; }).dependencies);
