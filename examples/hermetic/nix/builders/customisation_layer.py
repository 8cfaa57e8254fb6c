"""dockerTools' customisation layer: layer.tar and its checksum in a folder.

It holds what is not in the store: the user the service runs as, and /tmp."""

import hashlib
import io
import os
import tarfile

PASSWD = "root:x:0:0:root:/root:/sbin/nologin\napp:x:1000:1000:app:/tmp:/sbin/nologin\n"
GROUP = "root:x:0:\napp:x:1000:\n"


def entry(name: str, mode: int, kind: bytes = tarfile.REGTYPE, size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.mode, info.type, info.size, info.mtime = mode, kind, size, 1
    return info


layer = io.BytesIO()
with tarfile.open(fileobj=layer, mode="w") as tar:
    tar.addfile(entry("./etc", 0o755, tarfile.DIRTYPE))
    for name, text in (("./etc/group", GROUP), ("./etc/passwd", PASSWD)):
        tar.addfile(entry(name, 0o644, size=len(text)), io.BytesIO(text.encode()))
    tar.addfile(entry("./tmp", 0o1777, tarfile.DIRTYPE))

out = os.environ["out"]
os.mkdir(out)
with open(f"{out}/layer.tar", "wb") as file:
    file.write(layer.getvalue())
with open(f"{out}/checksum", "w") as file:
    file.write(hashlib.sha256(layer.getvalue()).hexdigest() + "\n")
