"""Binary caches: the one in a registry beside what Nix does by itself, into a directory
and to nginx, which takes what is PUT there."""

import contextlib
import functools
import json
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator

import measure
from contenders import Workshop
from figures import Figure, against_best, details, median
from measure import Failed, Run
from registry import Registry, empty_registry, wait_for

REPOSITORY = "app/nix-cache"
NGINX = """\
daemon off;
pid {place}/pid;
error_log {place}/log;
events {{}}
http {{
  access_log off;
  client_body_temp_path {place}/body;
  client_max_body_size 0;
  server {{
    listen 127.0.0.1:{port};
    root {place}/cache;
    location / {{ dav_methods PUT; create_full_put_path on; }}
  }}
}}
"""


class Pusher:
    """nixpy-cache's example, which drives the library; the closure and the key it signs with."""

    def __init__(self, shop: Workshop, path: str) -> None:
        self.shop, self.path = shop, path
        self.key = f"{shop.scratch}/cache-key"
        with open(self.key, "w") as file:
            subprocess.run(["nix", "key", "generate-secret", "--key-name", "bench-1"], check=True, stdout=file)

    def command(self, act: str, registry: Registry) -> list[str]:
        return [self.program, act, registry.name(REPOSITORY), self.key, self.path]

    def run(self, act: str, registry: Registry) -> Run:
        requests = len(registry.requests())
        run = measure.run(self.command(act, registry), self.shop.environment())
        told = json.loads(run.stdout)
        # Signing and asking Nix for the closure is what `nix copy` has to do as well.
        run.notes["cache_seconds"] = told["seconds"]
        run.notes["requests"] = len(registry.requests()) - requests
        run.notes["stored_bytes"] = registry.size()
        return run

    @functools.cached_property
    def program(self) -> str:
        build = ["cargo", "build", "--locked", "--release", "--package=nixpy-cache", "--example=registry_cache"]
        try:
            told = subprocess.run(
                [*build, "--message-format=json"], cwd=self.shop.root, check=True, stdout=subprocess.PIPE, text=True
            ).stdout
        except FileNotFoundError:
            raise Failed("there is no cargo, which builds the program that drives the cache") from None
        messages = map(json.loads, told.splitlines())
        name = "registry_cache"
        [program] = [m["executable"] for m in messages if m.get("target", {}).get("name") == name and m.get("executable")]
        return program


def pushing(shop: Workshop, runs: int, path: str) -> list[Figure]:
    """The closure of `path` into a cache that has nothing, and once more."""
    pusher = Pusher(shop, path)
    ours, peers = "nixpy-ci, registry", {"nix copy file": copied_to_file(shop, path), "nix copy http": copied_to_http(shop, path)}
    contenders: dict[str, Callable[[], Run]] = {ours: lambda: pushed(shop, pusher), **peers}
    results = measure.in_turn(runs, contenders, uncounted=0)
    with empty_registry(shop.scratch) as registry:
        pusher.run("push", registry)
        again = [pusher.run("push", registry) for _ in range(runs * 3)]
    seconds = sorted(run.notes["cache_seconds"] for run in again)
    return [
        against_best("cache, push of 1 GB", results, ours, peers, 2),
        Figure("cache, push again", seconds[len(seconds) // 2] * 1e3, "ms", compared="at most", goal=200, details={ours: details(again)}),
        Figure("cache, push again, requests", median(again, "requests"), "requests", compared="at most", goal=10),
        memory_of(shop, pusher),
    ]


def pushed(shop: Workshop, pusher: Pusher) -> Run:
    with empty_registry(shop.scratch) as registry:
        return pusher.run("push", registry)


def memory_of(shop: Workshop, pusher: Pusher) -> Figure:
    with empty_registry(shop.scratch) as registry:
        run = measure.run_for_memory(pusher.command("push", registry), shop.environment())
    return Figure("cache, peak memory of a push of 1 GB", run.own_bytes / 1e6, "MB", compared="at most", goal=64)


def copied_to_file(shop: Workshop, path: str) -> Callable[[], Run]:
    def once() -> Run:
        with tempfile.TemporaryDirectory(prefix="cache-", dir=shop.scratch) as place:
            return copied(shop, f"file://{place}?compression=zstd", path, place)
    return once


def copied_to_http(shop: Workshop, path: str) -> Callable[[], Run]:
    def once() -> Run:
        with empty_nginx(shop.scratch) as (address, place):
            return copied(shop, f"{address}?compression=zstd", path, place)
    return once


def copied(shop: Workshop, store: str, path: str, place: str) -> Run:
    run = measure.run(["nix", "copy", "--to", store, path], shop.environment())
    run.notes["stored_bytes"] = sum(
        os.path.getsize(os.path.join(folder, file)) for folder, _, files in os.walk(place) for file in files
    )
    return run


@contextlib.contextmanager
def empty_nginx(scratch: str) -> Iterator[tuple[str, str]]:
    """An HTTP cache that has nothing; its address, and where it keeps what it is sent."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    place = tempfile.mkdtemp(prefix="nginx-", dir=scratch)
    # Its workers are nobody's, and have to get there.
    os.chmod(scratch, 0o755)
    os.chmod(place, 0o755)
    os.mkdir(f"{place}/cache")
    os.chmod(f"{place}/cache", 0o777)
    with open(f"{place}/nix-cache-info", "w") as file:
        file.write("StoreDir: /nix/store\n")
    shutil.move(f"{place}/nix-cache-info", f"{place}/cache/nix-cache-info")
    with open(f"{place}/nginx.conf", "w") as file:
        file.write(NGINX.format(place=place, port=port))
    program = subprocess.Popen(["nginx", "-p", place, "-c", f"{place}/nginx.conf"], stderr=subprocess.DEVNULL)
    try:
        wait_for(port, program)
        yield f"http://127.0.0.1:{port}", f"{place}/cache"
    finally:
        program.terminate()
        program.wait()
        shutil.rmtree(place)
