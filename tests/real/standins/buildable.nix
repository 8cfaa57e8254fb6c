# In nixpkgs' place where something is to be built for real: the flake of a folder that has the package set
# of examples/hermetic (`nix/`, `lock.json`) and the functions beside this file (`lib.nix`). It has what the
# flake of a project with a list of requirements calls, and the packages of that lock.
{
  outputs = { self }:
    let
      lib = import ./lib.nix;

      pkgsFor = system:
        let
          set = import ./nix { inherit system; };
          inherit (set) busybox cacert python wheels;

          inShell = name: script: arguments: derivation ({
            inherit name system;
            builder = "${busybox}/bin/busybox";
            args = [ "sh" "-euc" script ];
          } // arguments);
          inPython = name: script: arguments: derivation ({
            inherit name system python;
            builder = "${python}/bin/python3";
            args = [ "${./nix/builders}/${script}" ];
            PATH = "${python}/bin";
            PYTHONHASHSEED = "0";
            PYTHONDONTWRITEBYTECODE = "1";
          } // arguments);
        in
        {
          inherit cacert;

          python3 = python // {
            pkgs = wheels;
            withPackages = choose: inPython "python3-env" "environment.py" { roots = choose wheels; };
          };

          mkShell = { packages }: inShell "shell" "exit 1" { inherit packages; };

          writeShellScriptBin = program: text: inShell program ''
            mkdir -p $out/bin
            printf '#!%s sh\n%s' ${busybox}/bin/busybox "$text" > $out/bin/${program}
            chmod 555 $out/bin/${program}
          '' { inherit text; };

          # What the configuration names is what the image is made of.
          dockerTools.streamLayeredImage = { name, tag, config, extraCommands }:
            let
              written = inShell "${name}-config.json" ''printf '%s' "$config" > $out'' {
                config = builtins.toJSON config;
              };
              conf = inPython "${name}-conf.json" "image_conf.py" {
                imageName = name;
                imageTag = tag;
                goarch = { x86_64-linux = "amd64"; aarch64-linux = "arm64"; }.${system};
                maxLayers = 100;
                config = builtins.toJSON config;
                exportReferencesGraph = [ "closure" written ];
                graphs = [ "closure" ];
                # It has the /tmp that extraCommands make.
                customisationLayer =
                  assert extraCommands == "mkdir -m 1777 tmp";
                  inPython "${name}-customisation-layer" "customisation_layer.py" { };
              };
            in
            inShell "stream-${name}" ''
              cat > $out <<END
              #!${busybox}/bin/busybox sh
              exec "${python}/bin/python3" "${./nix/builders}/stream_image.py" "${conf}" "\$@"
              END
              chmod 555 $out
            '' { imageName = name; } // { imageTag = tag; inherit conf; };
        };
    in
    {
      inherit lib;
      legacyPackages = lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] pkgsFor;
    };
}
