"""How each contender does the work: commands, and what they find around them.

Every one gets a home without a past: no login to look up, no cache of an
earlier push. Nix keeps its own caches: they are the same for all."""

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Callable

import measure
from measure import Run
from registry import Registry, empty_registry

Push = Callable[[Registry], list[str]]


class Workshop:
    """The binary, the flakes, and a place for everything that is written."""

    def __init__(self, binary: str, root: str, scratch: str) -> None:
        self.binary, self.root, self.scratch = binary, root, scratch
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
        os.makedirs(f"{home}/skopeo")
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

    def archive(self, script: str, name: str) -> str:
        """What a stream script writes, as a file."""
        path = f"{self.scratch}/{name}.tar"
        with open(path, "wb") as file:
            subprocess.run([script], check=True, stdout=file, stderr=subprocess.DEVNULL)
        return path

    # The contenders.

    def nixpy(self, flake: str, *options: str) -> Push:
        start = [self.binary, "run", flake, "--json", "--progress", "none", *options]
        return lambda registry: [*start, "--repository", registry.name("a")]

    def skopeo(self, archive: str) -> Push:
        """What it remembers of other pushes is, for root, at a fixed place: a mount
        of its own (some 3 ms) puts an empty directory there, and nobody else sees it."""
        alone = 'mkdir -p "$2" && mount --bind "$1" "$2" && shift 2 && exec "$@"'
        cache = [f"{self.scratch}/home/skopeo", "/var/lib/containers/cache"]
        forgetful = ["unshare", "--mount", "sh", "-c", alone, "sh", *cache] if os.geteuid() == 0 else []
        return lambda registry: [
            *forgetful, "skopeo", "copy", "--quiet", "--dest-tls-verify=false",
            f"docker-archive:{archive}", f"docker://{registry.name('a')}:latest",
        ]

    def script_first(self, script: str) -> Push:
        """The way of dockerTools: the script of streamLayeredImage writes the archive.
        A pipe would do, but skopeo 1.9 cannot read one, and later ones copy it to a
        file before anything else."""
        def command(registry: Registry) -> list[str]:
            archive = f"{self.scratch}/home/tmp/image.tar"
            copy = shlex.join(self.skopeo(archive)(registry))
            return ["sh", "-c", f"{shlex.quote(script)} 2>/dev/null > {archive} && {copy}"]
        return command

    # What is measured of them.

    def cold(self, push: Push) -> Callable[[], Run]:
        """Into a registry that has nothing."""
        def once() -> Run:
            with empty_registry(self.scratch) as registry:
                result = measure.run(push(registry), self.environment())
                return self.noted(result, registry, 0)
        return once

    def again(self, push: Push) -> Callable[[], Run]:
        """Once more from a new machine into a registry that has everything."""
        def once() -> Run:
            with empty_registry(self.scratch) as registry:
                measure.run(push(registry), self.environment())
                before = len(registry.requests())
                result = measure.run(push(registry), self.environment())
                return self.noted(result, registry, before)
        return once

    def noted(self, result: Run, registry: Registry, before: int) -> Run:
        result.notes["requests"] = len(registry.requests()) - before
        result.notes["stored_bytes"] = registry.size()
        if result.stdout.startswith("{"):
            result.notes["publish_seconds"] = json.loads(result.stdout)["timings"]["publish"]
        return result

    def memory(self, push: Push) -> Callable[[], Run]:
        def once() -> Run:
            with empty_registry(self.scratch) as registry:
                return measure.run_for_memory(push(registry), self.environment())
        return once
