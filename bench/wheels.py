#!/usr/bin/env python3
"""The wheels of bench/closure: real ones, so that a closure of a gigabyte has
the many small files and the few huge ones of a real service.

closure/requirements.txt says which are wanted, closure/wheels.json pins what
pip has made of that: bench/run downloads those very files, by the machine's
own pip, and puts them into the Nix store. As a program, `bench/wheels.py`
pins anew what pip offers now. examples/hermetic does the same for its own
service; what talks to pip and names store paths is taken from there."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True

HERE = Path(__file__).resolve().parent
WANTED, LOCK = HERE / "closure/requirements.txt", HERE / "closure/wheels.json"
SYSTEM = "x86_64-linux"

sys.path.append(str(HERE.parent / "examples/hermetic"))
import registries  # noqa: E402


def into_store() -> None:
    """Every wheel under the store path that the flake's fixed-output derivations name."""
    wheels = json.loads(LOCK.read_text())
    paths = {registries.store_path(wheel): pname for pname, wheel in wheels.items()}
    check = ["nix-store", "--check-validity", "--print-invalid", *paths]
    absent = subprocess.run(check, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    if not absent:
        return
    pins = {paths[path]: wheels[paths[path]]["version"] for path in absent}
    print(f"bench: downloading {len(pins)} wheels by pip", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix="bench-wheels-") as folder:
        registries.download_wheels(SYSTEM, pins, Path(folder))
        add = ["nix-store", "--add-fixed", "sha256", *sorted(map(str, Path(folder).iterdir()))]
        added = subprocess.run(add, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    # A store path is a digest of the name and the contents: equal only if the file is the locked one.
    if strange := sorted(paths[path] for path in set(absent) - set(added)):
        raise registries.RegistryError(f"not as pinned in {LOCK.name}: {', '.join(strange)}; run bench/wheels.py")


def renew() -> None:
    from pip._vendor.packaging.requirements import Requirement
    from pip._vendor.packaging.utils import canonicalize_name

    with tempfile.TemporaryDirectory() as unused:
        flags = ["--dry-run", "--ignore-installed", f"--target={unused}", "--report=-", f"--requirement={WANTED}"]
        report = json.loads(registries.pip("install", SYSTEM, flags))
    chosen = {canonicalize_name(item["metadata"]["name"]): item for item in report["install"]}

    def required(item: dict) -> list[str]:
        """Without extras: what an extra needs is named in requirements.txt where it is wanted."""
        requirements = map(Requirement, item["metadata"].get("requires_dist", []))
        needed = {r.name for r in requirements if r.marker is None or r.marker.evaluate({"extra": ""})}
        return sorted(set(map(canonicalize_name, needed)) & set(chosen))

    wheels = {
        pname: {
            "name": registries.store_name(item["download_info"]["url"].partition("#")[0].rpartition("/")[2]),
            "version": item["metadata"]["version"],
            "sha256": item["download_info"]["archive_info"]["hash"].removeprefix("sha256="),
            "requires": required(item),
        }
        for pname, item in chosen.items()
    }
    LOCK.write_text(json.dumps(wheels, indent=1, sort_keys=True) + "\n")
    print(f"{len(wheels)} wheels are pinned in {LOCK.name}")


if __name__ == "__main__":
    try:
        renew()
    except registries.RegistryError as error:
        sys.exit(f"bench/wheels.py: {error}")
