"""Make one Python package, in nixpkgs' layout, from a wheel.

The environment of the derivation says which: `wheel` is a wheel, whose file
name is `wheelName`; or `source` is a source tree, which the build backend in
the package `backend` first makes into a wheel.  `requires` are the packages
it needs at run time; naming them in nix-support is what makes them
references, so that the closure of a package can run."""

import configparser
import os
import pathlib
import shutil
import sys
import zipfile

from bytecode import compile_tree

SITE_PACKAGES = "lib/python3.11/site-packages"


def main() -> None:
    out, python = pathlib.Path(os.environ["out"]), os.environ["python"]
    wheel = os.environ["wheel"] if "wheel" in os.environ else build_wheel()
    site = out / SITE_PACKAGES
    site.mkdir(parents=True)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    for folder in site.glob("*.data"):
        sys.exit(f"{os.environ.get('wheelName', wheel)}: wheels with a .data folder are not supported here")

    for entry_points in site.glob("*.dist-info/entry_points.txt"):
        write_commands(entry_points, out / "bin", f"{python}/bin/python3")
    inputs = out / "nix-support/propagated-build-inputs"
    inputs.parent.mkdir()
    inputs.write_text(" ".join([python, *os.environ["requires"].split()]) + "\n")
    compile_tree(str(site))


def build_wheel() -> str:
    sys.path.append(f"{os.environ['backend']}/{SITE_PACKAGES}")
    from flit_core import buildapi

    wheelhouse = os.getcwd()
    shutil.copytree(os.environ["source"], "source")
    os.chdir("source")
    return f"{wheelhouse}/{buildapi.build_wheel(wheelhouse)}"


def write_commands(entry_points: pathlib.Path, folder: pathlib.Path, interpreter: str) -> None:
    parser = configparser.ConfigParser(delimiters=("=",))
    parser.optionxform = str  # commands keep their case
    parser.read(entry_points)
    if not parser.has_section("console_scripts"):
        return
    folder.mkdir(exist_ok=True)
    for name, target in parser["console_scripts"].items():
        module, _, function = target.partition("[")[0].strip().partition(":")
        command = folder / name
        command.write_text(
            f"#!{interpreter}\nimport sys\n\nfrom {module} import {function.split('.')[0]}\n\nsys.exit({function}())\n"
        )
        command.chmod(0o755)


main()
