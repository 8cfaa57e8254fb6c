# Services for measuring, as package, script and archive:
#
#     wheels-N   150 real wheels and examples/hermetic's libraries, one store path
#                each, 1.2 GB; editions N and M differ in one path of 1 MB
#     large      the same and 3 GB of generated files
#     one        one generated path of 1 GB
#
# Generated files are made of pieces of examples/hermetic's Python in another
# order, so that they compress as the files of real services do. Everything has
# the same bits on every machine.
#
# bench/run puts examples/hermetic beside this file before it asks for anything.
{
  description = "Closures of a given size";

  outputs = { self }:
    let
      system = "x86_64-linux";
      hermetic = import ./hermetic/nix { inherit system; };
      inherit (hermetic) busybox python;

      runShell = script: args: derivation ({
        inherit system;
        builder = "${busybox}/bin/busybox";
        args = [ "sh" "-eu" script ];
      } // args);

      runPython = home: script: args: derivation ({
        inherit system;
        builder = "${home}/bin/python3";
        args = [ script ];
        PATH = "${home}/bin";
        PYTHONHASHSEED = "0";
        PYTHONDONTWRITEBYTECODE = "1";
      } // args);

      # As in hermetic/nix: a file that is in the store before anything is built.
      fetched = { name, sha256, ... }: derivation {
        inherit name;
        system = "builtin";
        builder = "builtin:fetchurl";
        url = "file:///run/bench/run/first/${name}";
        outputHashMode = "flat";
        outputHashAlgo = "sha256";
        outputHash = sha256;
        preferLocalBuild = true;
      };

      wheels = builtins.mapAttrs
        (pname: { name, version, requires, ... }@entry: runPython python ./unpack_wheel.py {
          name = "python3.11-${pname}-${version}";
          inherit python;
          bytecode = ./hermetic/nix/builders/bytecode.py;
          wheel = fetched entry;
          requires = map (needed: wheels.${needed}) requires;
        })
        (builtins.fromJSON (builtins.readFile ./wheels.json));

      generated = megabytes: number: runPython python ./generate.py {
        name = "part-${toString number}";
        source = python;
        inherit megabytes number;
      };

      # A program that refers to `contents`, and a file of 1 MB beside it.
      service = { pname, contents, edition }: runShell
        (builtins.toFile "service.sh" ''
          mkdir -p $out/bin $out/share
          printf '#!%s/bin/busybox sh\nls %s\n' "$busybox" "$contents" > $out/bin/$program
          chmod 555 $out/bin/$program
          cp $data/0000.bin $out/share/data
        '')
        {
          inherit busybox contents;
          program = pname;
          data = generated 1 (1000 + edition);
          name = "${pname}-1";
        } // {
        inherit pname;
        version = "1";
        meta = { mainProgram = pname; description = "Nothing but size"; };
      };

      forms = attribute: size:
        let
          app = service size;
          images = import ./hermetic/nix/image.nix {
            platform = { goarch = "amd64"; };
            builders = _: ./hermetic/nix/builders;
            inherit (hermetic) cacert;
            inherit busybox python runShell runPython app;
          };
        in
        {
          "${attribute}-app" = app;
          "${attribute}-stream" = images.stream;
          "${attribute}-image" = images.image;
          # A docker-archive that is not gzip'd, as buildLayeredImage makes it with `compressor = "none"`.
          "${attribute}-archive" = runShell
            (builtins.toFile "archive.sh" ''
              $stream > $out
            '')
            { name = "${size.pname}.tar"; inherit (images) stream; } // {
            imageName = size.pname;
            imageTag = "1";
          };
        };

      all = builtins.attrValues wheels;
      editions = builtins.genList
        (edition: forms "wheels-${toString edition}" { pname = "wheels"; contents = all; inherit edition; })
        8;
    in
    {
      packages.${system} = builtins.foldl' (a: b: a // b)
        (forms "large" { pname = "large"; contents = all ++ builtins.genList (generated 50) 60; edition = 0; }
          // forms "one" { pname = "one"; contents = [ (generated 1000 0) ]; edition = 0; })
        editions;
    };
}
