"""A virtual environment of symbolic links, as uv2nix and nixpkgs make them.

It holds the packages in `roots` and all that they propagate; every entry of
site-packages is a link into the package it comes from, so the files of a
wheel stay in one store path and one image layer."""

import os
import pathlib
import platform
import sys

SITE_PACKAGES = "lib/python3.11/site-packages"


def main() -> None:
    out, python = pathlib.Path(os.environ["out"]), pathlib.Path(os.environ["python"])
    (out / "bin").mkdir(parents=True)
    (out / SITE_PACKAGES).mkdir(parents=True)
    (out / "pyvenv.cfg").write_text(
        f"home = {python}/bin\ninclude-system-site-packages = false\nversion = {platform.python_version()}\n"
    )
    for name in ("python", "python3", "python3.11"):
        (out / "bin" / name).symlink_to(python / "bin/python3.11")

    for package in sorted(propagated(os.environ["roots"].split()) - {str(python)}):
        for entry in sorted(pathlib.Path(package, SITE_PACKAGES).iterdir()):
            if entry.name == "__pycache__":  # shared by all packages that are a single file
                (out / SITE_PACKAGES / "__pycache__").mkdir(exist_ok=True)
                for compiled in entry.iterdir():
                    link(out / SITE_PACKAGES / "__pycache__" / compiled.name, compiled)
            else:
                link(out / SITE_PACKAGES / entry.name, entry)
        for command in sorted(pathlib.Path(package).glob("bin/*")):
            # A copy whose shebang is this environment's Python: that is how
            # Python learns which environment it is in.
            _, _, body = command.read_text().partition("\n")
            own = out / "bin" / command.name
            own.write_text(f"#!{out}/bin/python3\n{body}")
            own.chmod(0o755)


def propagated(roots: list[str]) -> set[str]:
    found, waiting = set(), list(roots)
    while waiting:
        package = waiting.pop()
        if package not in found:
            found.add(package)
            inputs = pathlib.Path(package, "nix-support/propagated-build-inputs")
            waiting += inputs.read_text().split() if inputs.exists() else []
    return found


def link(name: pathlib.Path, target: pathlib.Path) -> None:
    try:
        name.symlink_to(target)
    except FileExistsError:
        sys.exit(f"{target} and {name.readlink()}: a name in two packages (a namespace package?) is not supported here")


main()
