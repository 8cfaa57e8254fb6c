"""Binary caches that are read: a closure of 1 GB taken from nixpy-ci's server, beside what `nix copy`
takes from nginx; and what a path costs that the cache does not have."""

import contextlib
import http.client
import json
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator

import measure
from caches import REPOSITORY, Pusher, empty_nginx
from contenders import Workshop
from figures import Figure, compared
from measure import Run
from registry import Registry, empty_registry

# An empty /nix of their own for what is run; programs come from elsewhere.
ON_AN_EMPTY_STORE = ["unshare", "--mount", "--propagation", "private", "sh", "-euc", 'mount --bind "$0" /nix && exec "$@"']
# As many as `nixpy-ci run` has an old Nix fetch at once; newer versions do so by themselves.
AT_ONCE = "16"
MISSES = 500


def substituting(shop: Workshop, runs: int, path: str) -> list[Figure]:
    """The closure of `path` into an empty store: from the cache in a registry, and from nginx, as `nix copy` packs it with zstd."""
    pusher = Pusher(shop, path)
    public = public_half(pusher.key)
    with empty_nginx(shop.scratch) as (nginx, folder), empty_registry(shop.scratch) as registry:
        store = f"file://{folder}?compression=zstd&secret-key={pusher.key}"
        subprocess.run(["nix", "copy", "--no-check-sigs", "--to", store, path], check=True)
        # nginx's workers are nobody's.
        subprocess.run(["chmod", "-R", "a+rX", folder], check=True)
        pusher.run("push", registry)
        with served(shop, f"oci://{registry.name(REPOSITORY)} key={public}") as (ours, server):
            trusted = ["--option", "substituters", ours, "--option", "trusted-public-keys", public]
            build = ["nix", "build", "--no-link", path, "--max-jobs", AT_ONCE, *trusted]
            copy = ["nix", "copy", "--no-check-sigs", path, "--from"]
            results = measure.in_turn(runs, {
                "nixpy-ci's server": taken(shop, build),
                "nix copy, nginx": taken(shop, [*copy, nginx]),
            }, uncounted=0)
            held = high_water_mark(server.pid)
    return [
        compared("substituting 1 GB", results, "nixpy-ci's server", "nix copy, nginx", "times", 1.5),
        Figure("substituting 1 GB: memory of the server", held / 1e6, "MB", compared="at most", goal=64),
    ]


def missing(shop: Workshop, path: str) -> list[Figure]:
    """Paths that the cache in a registry does not have, which has the closure of `path`, beside the registry's own answer to a
    manifest that it does not have."""
    pusher = Pusher(shop, path)
    with empty_registry(shop.scratch) as registry:
        pusher.run("push", registry)
        results = missed(shop, registry, public_half(pusher.key))
    return [compared("a miss", results, "nixpy-ci's server", "docker-registry", "added", 5)]


def missed(shop: Workshop, registry: Registry, public: str) -> dict[str, list[Run]]:
    with served(shop, f"oci://{registry.name(REPOSITORY)} key={public}") as (ours, _):
        host = ours.removeprefix("http://")
        # The first waits until the registry has told what it holds.
        asked(host, [f"/{0:032}.narinfo"])
        miss = asked(host, [f"/{number:032}.narinfo" for number in range(1, MISSES + 1)])
        own = asked(f"127.0.0.1:{registry.port}", [f"/v2/{REPOSITORY}/manifests/{number}" for number in range(MISSES)])
    return {"nixpy-ci's server": [Run(miss)], "docker-registry": [Run(own)]}


def taken(shop: Workshop, command: list[str]) -> Callable[[], Run]:
    def once() -> Run:
        place = f"{shop.scratch}/nix"
        os.mkdir(place)
        environment = shop.environment()
        # What Nix remembers of caches is a new machine's.
        environment |= {"XDG_CACHE_HOME": f"{environment['TMPDIR']}/cache", "NIX_CONFIG": "experimental-features = nix-command flakes\nsubstituters ="}
        try:
            return measure.run([*ON_AN_EMPTY_STORE, place, *command], environment)
        finally:
            subprocess.run(["rm", "-rf", place], check=True)
    return once


def asked(host: str, paths: list[str]) -> float:
    """The median of the times of these requests, one after another on one connection."""
    connection = http.client.HTTPConnection(host)
    times = []
    for path in paths:
        begun = time.monotonic()
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
        times.append(time.monotonic() - begun)
        if response.status != 404:
            raise measure.Failed(f"{host}{path} is there: {response.status}")
    connection.close()
    return statistics.median(times)


def public_half(file: str) -> str:
    """Of the secret key in a file."""
    with open(file) as secret:
        told = subprocess.run(["nix", "key", "convert-secret-to-public"], check=True, stdin=secret, stdout=subprocess.PIPE, text=True)
    return told.stdout.strip()


@contextlib.contextmanager
def served(shop: Workshop, cache: str) -> Iterator[tuple[str, subprocess.Popen]]:
    """A cache, served by nixpy-ci; its address, and the program."""
    command = [shop.binary, "cache", "serve", "--json", "--cache", cache]
    program = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=shop.environment())
    try:
        told = ""
        while not told.endswith("}\n"):
            line = program.stdout.readline()
            if not line:
                raise measure.Failed(f"{' '.join(command)} has ended")
            told += line if line.strip() != "}" else "}\n"
        yield json.loads(told)["url"], program
    finally:
        program.terminate()
        program.wait()
        program.stdout.close()


def high_water_mark(process: int) -> int:
    with open(f"/proc/{process}/status") as file:
        status = dict(line.split(":", 1) for line in file)
    return int(status["VmHWM"].split()[0]) * 1024
