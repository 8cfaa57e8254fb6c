"""What the action's launcher costs before the program does anything."""

import hashlib
import os
import shutil

import measure
from contenders import Workshop
from figures import Figure, details
from machine import Unable

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ARCHES = {"x86_64": ("X64", "x86_64-linux"), "aarch64": ("ARM64", "aarch64-linux")}


def launching(shop: Workshop, runs: int) -> list[Figure]:
    """The launcher with the program in the tool cache, until the program has told in its first
    line that there is no flake, and has ended; beside a node that does nothing."""
    node = shutil.which("node") or f"{ROOT}/target/tools/bin/node"
    if not os.access(node, os.X_OK):
        raise Unable("there is no node: run `make test-deps`, and this again")
    place = f"{shop.scratch}/launcher"
    arch, system = ARCHES[os.uname().machine]
    shutil.copytree(f"{ROOT}/action", f"{place}/action")
    os.makedirs(f"{place}/empty")
    in_tool_cache(shop.binary, place, arch.lower(), system)
    variables = {
        "RUNNER_OS": "Linux", "RUNNER_ARCH": arch, "RUNNER_TOOL_CACHE": f"{place}/tools", "RUNNER_TEMP": place,
        "GITHUB_STATE": f"{place}/state", "GITHUB_ACTIONS": "true",
    }
    words = [f"{name}={value}" for name, value in variables.items()]
    command = ["env", f"--chdir={place}/empty", *words, node, f"{place}/action/main.js"]
    # Wrong inputs: exit code 2.
    ours = measure.hyperfine(" ".join(command), max(runs * 4, 30), "--ignore-failure")
    nothing = measure.hyperfine(f"{node} --eval 0", max(runs * 4, 30))
    return [
        Figure(
            "launcher", measure.median(ours) * 1e3, "ms", "node alone", measure.median(nothing) * 1e3,
            "at most", 300, {"launcher": details(ours), "node alone": details(nothing)},
        )
    ]


def in_tool_cache(binary: str, place: str, arch: str, system: str) -> None:
    with open(binary, "rb") as program:
        sum = hashlib.file_digest(program, "sha256").hexdigest()
    with open(f"{place}/action/checksums.txt", "w") as listed:
        listed.write(f"# nixpy-ci 0.0.0\n{sum}  nixpy-ci-{system}\n")
    folder = f"{place}/tools/nixpy-ci/0.0.0/{arch}"
    os.makedirs(folder)
    shutil.copy(binary, f"{folder}/nixpy-ci")
    open(f"{folder}.complete", "w").close()
