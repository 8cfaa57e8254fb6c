"""An empty registry on a free port of the loopback, gone when it is left.

Every push that is measured gets one of its own: a registry shares blobs among
its repositories, so a second push to the same one would be another push."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

CONFIG = """\
version: 0.1
log: {{ level: info, accesslog: {{ disabled: false }} }}
storage:
  filesystem: {{ rootdirectory: {storage} }}
  cache: {{ blobdescriptor: inmemory }}
http: {{ addr: "127.0.0.1:{port}" }}
"""


class Registry:
    def __init__(self, port: int, storage: str, log: str) -> None:
        self.port, self.storage, self.log = port, storage, log

    def name(self, repository: str) -> str:
        return f"127.0.0.1:{self.port}/{repository}"

    def requests(self) -> list[str]:
        """The method of every request so far, as the access log has them."""
        with open(self.log) as file:
            lines = [line.split('] "', 1)[1] for line in file if '] "' in line and " HTTP/1.1\" " in line]
        return [line.split(" ", 1)[0] for line in lines if " /v2/ready " not in line]

    def size(self) -> int:
        """Bytes of all blobs, each once."""
        return sum(
            os.path.getsize(f"{folder}/data")
            for folder, _, files in os.walk(f"{self.storage}/docker/registry/v2/blobs")
            if "data" in files
        )


@contextlib.contextmanager
def empty_registry(scratch: str) -> Iterator[Registry]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    place = tempfile.mkdtemp(prefix="registry-", dir=scratch)
    registry = Registry(port, f"{place}/storage", f"{place}/log")
    with open(f"{place}/config.yml", "w") as file:
        file.write(CONFIG.format(port=port, storage=registry.storage))
    with open(registry.log, "w") as log:
        program = subprocess.Popen(["docker-registry", "serve", f"{place}/config.yml"], stdout=log, stderr=log)
    try:
        wait_for(port, program)
        yield registry
    finally:
        program.terminate()
        program.wait()
        shutil.rmtree(place)


def wait_for(port: int, program: subprocess.Popen) -> None:
    for _ in range(500):
        try:
            # Any answer will do; this address is known to none of the peers.
            urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/ready", timeout=5)
        except urllib.error.HTTPError:
            return
        except OSError:
            if program.poll() is not None:
                break
            time.sleep(0.02)
    raise RuntimeError("the server does not start")
