"""How each contender does the work: commands, and what they find around them.

Every one gets a home without a past: no login to look up, no cache of an
earlier push. Nix keeps its own caches: they are the same for all."""

import contextlib
import functools
import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator

import measure
from measure import Failed, Run
from registry import Registry, empty_registry

Push = Callable[[Registry], list[str]]
# From an archive in a file to a push of it.
Peer = Callable[[str], Push]


class Workshop:
    """The binary, the flakes, and a place for everything that is written."""

    def __init__(self, binary: str, root: str, scratch: str, invited: tuple[str, ...] = ("",)) -> None:
        # Peers take part whose name begins with one of `invited`.
        self.binary, self.root, self.scratch, self.invited = binary, root, scratch, invited
        self.prefetch = f"{root}/examples/hermetic/prefetch"
        self.hermetic = self.copy("examples/hermetic")
        self.closures = self.copy("bench/closure", hermetic_within=True)
        self.evaluation = self.copy("bench/evaluation", hermetic_within=True)

    def copy(self, flake: str, hermetic_within: bool = False) -> str:
        """A flake outside the repository: Nix would copy all of that at each evaluation."""
        place = f"{self.scratch}/{os.path.basename(flake)}"
        shutil.copytree(f"{self.root}/{flake}", place)
        if hermetic_within:
            shutil.copytree(f"{self.root}/examples/hermetic", f"{place}/hermetic")
        return f"path:{place}"

    def environment(self) -> dict[str, str]:
        """Those of a new machine, as far as pushing goes."""
        home = f"{self.scratch}/home"
        shutil.rmtree(home, ignore_errors=True)
        os.makedirs(f"{home}/tmp")
        os.makedirs(f"{home}/blobs")
        with open(f"{home}/auth.json", "w") as file:
            file.write("{}")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("NIXPY_", "INPUT_", "GITHUB_"))}
        return kept | {
            "TMPDIR": f"{home}/tmp",
            "XDG_DATA_HOME": f"{home}/data",
            "XDG_RUNTIME_DIR": f"{home}/run",
            "DOCKER_CONFIG": f"{home}/docker",
            "REGISTRY_AUTH_FILE": f"{home}/auth.json",
        }

    def build(self, flake: str, *attributes: str) -> list[str]:
        """Builds, and returns the output paths in the order of the attributes."""
        installables = [f"{flake}#{attribute}" for attribute in attributes]
        subprocess.run(["nix", "build", "--no-link", *installables], check=True)
        paths = []
        for installable in installables:
            told = subprocess.run(["nix", "build", "--no-link", "--json", installable], check=True, capture_output=True)
            paths.append(json.loads(told.stdout)[0]["outputs"]["out"])
        return paths

    def closure(self, path: str) -> list[str]:
        told = subprocess.run(["nix-store", "--query", "--requisites", path], check=True, stdout=subprocess.PIPE, text=True)
        return told.stdout.split()

    def archive(self, script: str, name: str) -> str:
        """What a stream script writes, as a file."""
        path = f"{self.scratch}/{name}.tar"
        with open(path, "wb") as file:
            subprocess.run([script], check=True, stdout=file, stderr=subprocess.DEVNULL)
        return path

    def read(self, *paths: str) -> None:
        """Into the page cache: the first to be measured shall not pay for the disk."""
        files = ["find", *paths, "-type", "f", "-exec", "cat", "{}", "+"]
        subprocess.run(files, check=True, stdout=subprocess.DEVNULL)

    # The contenders.

    def nixpy(self, flake: str, *options: str) -> Push:
        start = [self.binary, "run", flake, "--json", "--progress", "none", *options]
        return lambda registry: [*start, "--repository", registry.name("app")]

    def peers(self, compression: str = "gzip") -> dict[str, Peer]:
        """All that can push a docker-archive that is not gzip'd. Where zstd is allowed,
        those that can do it may choose; crane has gzip only."""
        peers: dict[str, Peer] = {"skopeo copy": self.skopeo, "podman load, push": self.podman}
        if shutil.which("crane"):
            peers["crane push"] = self.crane
        if compression == "zstd":
            peers |= {
                "skopeo copy zstd": lambda archive: self.skopeo(archive, "--format=oci", "--dest-compress-format=zstd"),
                "podman load, push zstd": lambda archive: self.podman(archive, "--format=oci", "--compression-format=zstd"),
            }
        return {name: peer for name, peer in peers.items() if name.startswith(self.invited)}

    def skopeo(self, archive: str, *options: str) -> Push:
        return lambda registry: self.forgetful(
            "skopeo", "copy", "--quiet", "--dest-tls-verify=false", *options,
            f"docker-archive:{archive}", f"docker://{registry.name('app')}:latest",
        )

    def podman(self, archive: str, *options: str) -> Push:
        """Its storage is one of its own, empty at first; the driver is what podman chooses there."""
        home = f"{self.scratch}/home"
        podman = shlex.join(["podman", "--root", f"{home}/storage", "--runroot", f"{home}/run-storage"])
        push = shlex.join(["push", "--quiet", "--tls-verify=false", *options])

        def command(registry: Registry) -> list[str]:
            load = f"image=$({podman} load --quiet --input {shlex.quote(archive)})"
            return self.forgetful(
                "sh", "-c", f'{load} && {podman} {push} "${{image#Loaded image: }}" docker://{registry.name("app")}:latest'
            )
        return command

    def crane(self, archive: str) -> Push:
        return lambda registry: ["crane", "push", "--insecure", archive, f"{registry.name('app')}:latest"]

    def forgetful(self, *command: str) -> list[str]:
        """What skopeo and podman remember of other pushes is, for root, at a fixed place: a
        mount of its own (some 3 ms) puts an empty directory there, and nobody else sees it.
        What podman mounts is gone with it."""
        alone = 'mkdir -p "$2" && mount --bind "$1" "$2" && shift 2 && exec "$@"'
        cache = [f"{self.scratch}/home/blobs", "/var/lib/containers/cache"]
        before = ["unshare", "--mount", "sh", "-c", alone, "sh", *cache] if os.geteuid() == 0 else []
        return [*before, *command]

    def whole_way(self, script: str, peer: Peer) -> Push:
        """From the closure, as dockerTools does it: the script of streamLayeredImage writes
        the archive. skopeo 1.9 cannot read a pipe, and podman copies one to a file first."""
        archive = f"{self.scratch}/home/tmp/image.tar"

        def command(registry: Registry) -> list[str]:
            push = shlex.join(peer(archive)(registry))
            return ["sh", "-c", f"{shlex.quote(script)} 2>/dev/null > {archive} && {push}"]
        return command

    # What is measured of them.

    def cold(self, push: Push) -> Callable[[], Run]:
        """Into a registry that has nothing."""
        def once() -> Run:
            with empty_registry(self.scratch) as registry:
                return self.measured(push, registry)
        return once

    @contextlib.contextmanager
    def one_after_another(self, pushes: Iterable[Push]) -> Iterator[Callable[[], Run]]:
        """Each from a new machine into the registry that has those before it; the first is not measured."""
        left = iter(pushes)
        with empty_registry(self.scratch) as registry:
            measure.run(next(left)(registry), self.environment())
            yield lambda: self.measured(next(left), registry)

    def measured(self, push: Push, registry: Registry) -> Run:
        requests, size = len(registry.requests()), registry.size()
        result = measure.run(push(registry), self.environment())
        result.notes["requests"] = len(registry.requests()) - requests
        result.notes["stored_bytes"] = registry.size()
        result.notes["grown_bytes"] = registry.size() - size
        if result.stdout.startswith("{"):
            report = json.loads(result.stdout)
            result.notes["publish_seconds"] = report["timings"]["publish"]
            result.notes["sent_bytes"] = sum(platform["sentSize"] for platform in report["platforms"])
            layers = [layer for platform in report["platforms"] for layer in platform["layers"]]
            result.layers = {layer.get("comment", ""): layer["size"] for layer in layers}
        return result

    def memory(self, push: Push) -> Callable[[], Run]:
        def once() -> Run:
            with empty_registry(self.scratch) as registry:
                return measure.run_for_memory(push(registry), self.environment())
        return once

    def limit(self, archive: str, compression: str, level: int) -> Callable[[], Run]:
        """What hashing and compressing the layers takes, by nixpy-oci's example `limit`."""
        def once() -> Run:
            told = measure.run([self.limit_program, archive, compression, str(level)], self.environment()).stdout
            about = json.loads(told)
            return Run(about["seconds"], notes={"stored_bytes": about["compressedBytes"]})
        return once

    @functools.cached_property
    def limit_program(self) -> str:
        build = ["cargo", "build", "--locked", "--release", "--package=nixpy-oci", "--example=limit"]
        try:
            told = subprocess.run(
                [*build, "--message-format=json"], cwd=self.root, check=True, stdout=subprocess.PIPE, text=True
            ).stdout
        except FileNotFoundError:
            raise Failed("there is no cargo, which builds the program that measures the limit") from None
        messages = map(json.loads, told.splitlines())
        [program] = [m["executable"] for m in messages if m.get("target", {}).get("name") == "limit" and m.get("executable")]
        return program
