          packages = [ (pythonOf pkgs) pkgs.uv ];
          env = {
            # uv is to use this Python, and to download no other.
            UV_PYTHON = (pythonOf pkgs).interpreter;
            UV_PYTHON_DOWNLOADS = "never";
          };
