# Services of a given size, for measuring: their own files are taken from
# examples/hermetic's Python in another order, so that they compress as the
# files of real services do, and have the same bits on every machine.
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
      } // args);

      part = pname: megabytes: number: runPython python ./generate.py {
        name = "${pname}-part-${toString number}";
        source = python;
        inherit megabytes number;
      };

      # A program that refers to `parts` paths of `megabytes` each.
      service = { pname, parts, megabytes }: runShell
        (builtins.toFile "service.sh" ''
          mkdir -p $out/bin
          printf '#!%s/bin/busybox sh\nls %s\n' "$busybox" "$contents" > $out/bin/$pname
          chmod 555 $out/bin/$pname
        '')
        {
          inherit pname busybox;
          name = pname;
          contents = builtins.genList (part pname megabytes) parts;
        } // {
        version = "1";
        meta = { mainProgram = pname; description = "Nothing but size"; };
      };

      forms = { pname, ... }@size:
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
          "${pname}-app" = app;
          "${pname}-stream" = images.stream;
          "${pname}-image" = images.image;
        };
    in
    {
      packages.${system} =
        forms { pname = "many"; parts = 20; megabytes = 50; }
        // forms { pname = "one"; parts = 1; megabytes = 1000; };
    };
}
