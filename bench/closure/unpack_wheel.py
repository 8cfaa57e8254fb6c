"""Unpack one wheel into $out, with its byte code, as examples/hermetic does it.

Nobody runs these: nothing is patched to find its libraries, and no command is
made. What an installer would spread over the machine stays in a folder."""

import os
import runpy
import zipfile


def main() -> None:
    site = f"{os.environ['out']}/lib/python3.11/site-packages"
    os.makedirs(site)
    with zipfile.ZipFile(os.environ["wheel"]) as archive:
        archive.extractall(site)
    # Being named here makes them references.
    os.mkdir(f"{os.environ['out']}/nix-support")
    with open(f"{os.environ['out']}/nix-support/propagated-build-inputs", "w") as file:
        file.write(f"{os.environ['python']} {os.environ['requires']}\n")
    runpy.run_path(os.environ["bytecode"])["compile_tree"](site)


main()
