# In nixpkgs' place where that is out of reach: every package is a derivation that nobody can build, and
# that says with what it was made (`made.by`, `made.with`). So an evaluation shows what a flake wants.
{
  outputs = { self }:
    let
      lib = import ./lib.nix;

      pkgsFor = system:
        let
          make = by: name: arguments:
            derivation {
              inherit name system;
              builder = "/no/such/builder";
              # Two calls that differ are two derivations.
              arguments = builtins.toJSON arguments;
            } // arguments // { made = { inherit by; "with" = arguments; }; pname = name; inherit (meta arguments) meta; };
          meta = arguments: { meta = arguments.meta or { mainProgram = arguments.pname or arguments.name or "program"; }; };
          plain = name: make "nixpkgs" name { };

          pythonPackages = lib.genAttrs
            [ "fastapi" "uvicorn" "setuptools" "wheel" "hatchling" "poetry-core" "pdm-backend" "flask" "gunicorn" ]
            plain // {
            buildPythonPackage = arguments: make "buildPythonPackage" arguments.pname arguments;
            buildPythonApplication = arguments: make "buildPythonApplication" arguments.pname arguments;
          };
          python = name: plain name // {
            interpreter = "${plain name}/bin/python3";
            pkgs = pythonPackages;
            withPackages = choose: make "withPackages" "${name}-env" { packages = choose pythonPackages; };
          };

          call = f: arguments:
            let
              function = if builtins.isFunction f then f else import f;
              given = builtins.intersectAttrs (builtins.functionArgs function) pkgs;
            in
            function (given // arguments);

          pkgs = lib.genAttrs
            [ "binutils" "cacert" "cargo" "clippy" "git" "gnumake" "pdm" "poetry" "rustc" "rustfmt" "uv" ]
            plain // lib.genAttrs [ "python3" "python311" "python312" "python313" ] python // {
            inherit lib system pkgs;
            callPackage = call;
            callPackages = call;
            mkShell = arguments: make "mkShell" "shell" arguments;
            runCommand = name: arguments: script: make "runCommand" name (arguments // { inherit script; });
            writeShellScriptBin = name: text: make "writeShellScriptBin" name { inherit text; };
            dockerTools.streamLayeredImage = arguments:
              make "streamLayeredImage" "stream-${arguments.name}" (arguments // { isExecutable = true; });
            rustPlatform.buildRustPackage = arguments: make "buildRustPackage" arguments.pname arguments;
            pkgsStatic = pkgs // {
              callPackage = f: arguments: call f ({
                rustPlatform.buildRustPackage = arguments: make "buildRustPackage" "${arguments.pname}-static" arguments;
              } // arguments);
            };
          };
        in
        pkgs;
    in
    {
      inherit lib;
      legacyPackages = lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] pkgsFor;
    };
}
