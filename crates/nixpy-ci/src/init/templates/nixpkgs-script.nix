      serviceOf = pkgs: (pythonOf pkgs).pkgs.buildPythonApplication (attributesOf pkgs);
