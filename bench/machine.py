"""The machine that is measured on: what it lacks is installed, and said; what
it is stands above the figures."""

import os
import platform
import shutil
import subprocess
import sys

# Program and the Debian package that has it.
NEEDED = {
    "hyperfine": "hyperfine",
    "podman": "podman",
    "skopeo": "skopeo",
    "docker-registry": "docker-registry",
    "nginx": "nginx",
    "/usr/bin/time": "time",
}


class Unable(Exception):
    """This machine cannot be measured on; the text says what to do."""


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def prepare() -> None:
    missing = sorted(package for program, package in NEEDED.items() if not shutil.which(program))
    if missing:
        command = ["apt-get", "install", "-y", "--no-install-recommends", *missing]
        say(f"bench: installing {' '.join(missing)}: {' '.join(command)}")
        if os.geteuid() != 0:
            raise Unable(f"not root: run `{' '.join(command)}` as root, and this again")
        ended = subprocess.run(command, stdout=sys.stderr, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
        if ended.returncode != 0:
            raise Unable("apt-get failed: run `apt-get update`, and this again")
    if not shutil.which("nix"):
        raise Unable("there is no nix: run `nixpy-ci setup`, and this again")


def describe() -> dict:
    def first(*command: str) -> str:
        ended = subprocess.run(command, capture_output=True, text=True)
        return (ended.stdout or ended.stderr).strip().splitlines()[0]

    with open("/proc/meminfo") as file:
        memory = int(file.readline().split()[1]) * 1024
    return {
        "processors": os.cpu_count(),
        "processor": processor(),
        "memory_bytes": memory,
        "kernel": platform.release(),
        "load_before": round(os.getloadavg()[0], 2),
        "nix": first("nix", "--version"),
        "skopeo": first("skopeo", "--version"),
        "podman": first("podman", "--version"),
        # Debian has no package of it.
        "crane": f"crane {first('crane', 'version')}" if shutil.which("crane") else "no crane",
        "registry": first("docker-registry", "--version"),
    }


def processor() -> str:
    with open("/proc/cpuinfo") as file:
        names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return names[0] if names else platform.machine()
