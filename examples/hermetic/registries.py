"""What prefetch and relock share: lock.json, the machine's package registries
(apt and pip as they are configured here), and names in the Nix store.

apt is asked for both architectures through a private state, so the machine's
own package lists and architectures are neither used nor changed.  No address
of a registry is ever written to a file."""

import contextlib
import functools
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import tomllib

HERE = pathlib.Path(__file__).resolve().parent
LOCK = HERE / "lock.json"
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "nixpy-ci/hermetic"

# Nix system -> Debian architecture, machine name in wheel tags
SYSTEMS = {"x86_64-linux": ("amd64", "x86_64"), "aarch64-linux": ("arm64", "aarch64")}
PYTHON = "3.11"
BUSYBOX = "busybox-static"
DEBS = [
    # while building
    BUSYBOX, "libstdc++6", "patchelf",
    # in the image
    "ca-certificates", "libbz2-1.0", "libc6", "libexpat1", "libffi8", "libgcc-s1", "liblzma5", "libpython3.11-minimal",
    "libpython3.11-stdlib", "libsqlite3-0", "libssl3", "python3.11-minimal", "zlib1g",
]  # fmt: skip


class RegistryError(Exception):
    """A registry did not give what was asked; the text is for the user."""


def read_lock() -> dict:
    return json.loads(LOCK.read_text())


def write_lock(lock: dict) -> None:
    LOCK.write_text(json.dumps(lock, indent=1, sort_keys=True) + "\n")


def sha256_of(file: pathlib.Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def run(command: list, **options) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if done.returncode != 0:
        raise RegistryError(f"{pathlib.Path(command[0]).name} {command[1]}: {done.stderr.strip() or 'failed'}")
    return done.stdout


# ---- Debian


class Apt:
    """The Debian packages that this machine's apt sources offer for one architecture."""

    def __init__(self, architecture: str, state: pathlib.Path) -> None:
        self.architecture = architecture
        for folder in ("lists/partial", "cache/archives/partial"):
            (state / folder).mkdir(parents=True)
        (state / "status").touch()
        config = state / "apt.conf"
        config.write_text(
            f'APT::Architecture "{architecture}";\n'
            f'#clear APT::Architectures;\nAPT::Architectures {{ "{architecture}"; }};\n'
            f'Dir::State "{state}";\nDir::State::status "{state}/status";\nDir::Cache "{state}/cache";\n'
            # Hooks and translations of the machine are of no use here; nor is the user _apt, who cannot write here.
            '#clear APT::Update::Post-Invoke;\n#clear APT::Update::Post-Invoke-Success;\nAcquire::Languages "none";\n'
            'APT::Sandbox::User "root";\n'
        )
        self.environment = {**os.environ, "APT_CONFIG": str(config), "LC_ALL": "C"}
        run(["apt-get", "-qq", "update"], env=self.environment)

    @functools.cached_property
    def index(self) -> dict[str, list[dict]]:
        """Lock entries of all versions of all packages that are wanted, the preferred version first."""
        entries = {package: [] for package in DEBS}
        for stanza in run(["apt-cache", "show", *DEBS], env=self.environment).split("\n\n"):
            field = dict(re.findall(r"^(Package|Version|Architecture|SHA256): (.*)$", stanza, re.MULTILINE))
            if "SHA256" in field:
                name = f"{field['Package']}_{field['Version']}_{field['Architecture']}.deb"
                entry = {"name": store_name(name), "version": field["Version"], "sha256": field["SHA256"]}
                entries[field["Package"]].append(entry)
        return entries

    def offered(self, package: str) -> list[dict]:
        if not self.index[package]:
            raise RegistryError(
                f"{package} ({self.architecture}) is not in this machine's apt sources: they must be Debian 12's"
            )
        return self.index[package]

    def download(self, pins: dict[str, str], folder: pathlib.Path) -> None:
        names = [f"{package}:{self.architecture}={version}" for package, version in sorted(pins.items())]
        run(["apt-get", "-qq", "download", *names], env=self.environment, cwd=folder)


@contextlib.contextmanager
def apt_sources():
    """A function that gives the Apt of a system; each is set up when first asked for."""
    with tempfile.TemporaryDirectory() as state:
        opened: dict[str, Apt] = {}

        def of(system: str) -> Apt:
            if system not in opened:
                opened[system] = Apt(SYSTEMS[system][0], pathlib.Path(state, system))
            return opened[system]

        yield of


# ---- PyPI


def project_requirements() -> tuple[list[str], list[str]]:
    """What the service needs at run time, and what builds it."""
    pyproject = tomllib.loads((HERE / "pyproject.toml").read_text())
    return pyproject["project"]["dependencies"], pyproject["build-system"]["requires"]


def pip(command: str, system: str, arguments: list[str]) -> str:
    machine = SYSTEMS[system][1]
    target = ["--only-binary=:all:", "--implementation=cp", f"--python-version={PYTHON}"]
    target += ["--abi=cp311", "--abi=abi3", "--abi=none"]
    target += [f"--platform={tag}_{machine}" for tag in ("manylinux2014", "manylinux_2_17", "manylinux_2_28")]
    return run([sys.executable, "-m", "pip", command, "--quiet", "--disable-pip-version-check", *target, *arguments])


def resolve_wheels(system: str) -> tuple[list[str], dict[str, dict]]:
    """The service's own requirements by name, and the wheels that pip chooses for all of them."""
    # pip judges conditions such as `python_version < "3.11"` by its own Python, so that must be the image's.
    if sys.version_info[:2] != (3, 11):
        raise RegistryError(f"wheels can only be resolved by Python {PYTHON}, this is {sys.version.split()[0]}")
    from pip._vendor.packaging.requirements import Requirement
    from pip._vendor.packaging.utils import canonicalize_name

    runtime, build = project_requirements()
    with tempfile.TemporaryDirectory() as unused:
        flags = ["--dry-run", "--ignore-installed", f"--target={unused}", "--report=-"]
        report = json.loads(pip("install", system, [*flags, *runtime, *build]))

    machine = {"platform_machine": SYSTEMS[system][1], "extra": ""}
    wheels = {}
    for item in report["install"]:
        metadata, requires = item["metadata"], set()
        for requirement in map(Requirement, metadata.get("requires_dist", [])):
            if requirement.marker is None or requirement.marker.evaluate(machine):
                requires.add(canonicalize_name(requirement.name))
        wheels[canonicalize_name(metadata["name"])] = {
            "name": store_name(item["download_info"]["url"].partition("#")[0].rpartition("/")[2]),
            "version": metadata["version"],
            "sha256": item["download_info"]["archive_info"]["hash"].removeprefix("sha256="),
            "requires": sorted(requires),
        }
    return sorted(canonicalize_name(Requirement(requirement).name) for requirement in runtime), wheels


def download_wheels(system: str, pins: dict[str, str], folder: pathlib.Path) -> None:
    exact = [f"{name}=={version}" for name, version in sorted(pins.items())]
    pip("download", system, ["--no-deps", f"--dest={folder}", *exact])


# ---- the Nix store


def store_name(file: str) -> str:
    """A file name as the Nix store allows it: apt's `%3a` and `~` do not pass."""
    return re.sub(r"[^A-Za-z0-9+._?=-]", "-", file.replace("%3a", "-"))


def store_path(entry: dict, recursive: bool = False) -> str:
    """Where `nix-store --add-fixed` puts a file with this hash, and where the flake looks for it.

    https://nix.dev/manual/nix/latest/protocols/store-path"""
    if recursive:
        kind, content = "source", entry["sha256"]
    else:
        kind, content = "output:out", hashlib.sha256(f"fixed:out:sha256:{entry['sha256']}:".encode()).hexdigest()
    digest = hashlib.sha256(f"{kind}:sha256:{content}:/nix/store:{entry['name']}".encode()).digest()
    folded = bytearray(20)
    for position, byte in enumerate(digest):
        folded[position % 20] ^= byte
    # Nix writes base 32 with an alphabet of its own, the last bits first.
    bits = int.from_bytes(folded, "little")
    letters = "".join("0123456789abcdfghijklmnpqrsvwxyz"[bits >> 5 * i & 31] for i in reversed(range(32)))
    return f"/nix/store/{letters}-{entry['name']}"


def unpack_busybox(deb: pathlib.Path, folder: pathlib.Path) -> None:
    """The static shell in a folder of its own: see nix/default.nix."""
    with tempfile.TemporaryDirectory() as tree:
        run(["dpkg-deb", "-x", deb, tree])
        (folder / "bin").mkdir(parents=True)
        (folder / "bin/busybox").write_bytes(pathlib.Path(tree, "bin/busybox").read_bytes())
        (folder / "bin/busybox").chmod(0o755)


def lock_busybox(deb_entry: dict, deb: pathlib.Path) -> dict:
    with tempfile.TemporaryDirectory() as parent:
        folder = pathlib.Path(parent, "busybox")
        unpack_busybox(deb, folder)
        nar_hash = run(["nix-hash", "--type", "sha256", folder]).strip()
    return {"name": deb_entry["name"].removesuffix(".deb"), "sha256": nar_hash}
