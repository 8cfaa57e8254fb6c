      environmentOf = pkgs:
        (pythonOf pkgs).withPackages (python: [ (python.buildPythonPackage (attributesOf pkgs)) ]);
