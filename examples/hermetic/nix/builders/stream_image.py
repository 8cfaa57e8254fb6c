"""stream_image.py CONF: write the docker-archive that CONF describes to stdout.

The bytes of the layers follow nixpkgs' stream_layered_image.py: tar in
Python's default format, /nix and /nix/store first, then each store path and
what is below it in path order, hard links as plain files, times and owners
from CONF.  Unlike there, a layer is tarred once, into a temporary file (its
digest must be known before its first byte is written): under qemu the second
time would cost more than the disk.  Base images are not supported."""

import hashlib
import io
import json
import os
import sys
import tarfile
import tempfile
from datetime import datetime

IN_MEMORY = 64 << 20


def main() -> None:
    with open(sys.argv[1]) as file:
        conf = json.load(file)
    if conf["from_image"] is not None:
        sys.exit("stream_image.py: from_image is not supported")
    mtime = int(datetime.fromisoformat(conf["mtime"]).timestamp())

    with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as archive:

        def add(name: str, content, size: int) -> None:
            info = tarfile.TarInfo(name)
            info.size, info.mtime = size, mtime
            archive.addfile(info, content)

        layers = []
        for paths in conf["store_layers"]:
            with tempfile.SpooledTemporaryFile(IN_MEMORY) as layer:
                digest, size = write_layer(layer, paths, conf, mtime)
                layer.seek(0)
                add(f"{digest}/layer.tar", layer, size)
            layers.append((digest, paths))
            print(f"layer {len(layers)}: {size} bytes from {' '.join(paths)}", file=sys.stderr)

        folder = conf["customisation_layer"]
        with open(f"{folder}/checksum") as file:
            digest = file.read().strip()
        with open(f"{folder}/layer.tar", "rb") as layer:
            add(f"{digest}/layer.tar", layer, os.fstat(layer.fileno()).st_size)
        layers.append((digest, [folder]))

        config = image_config(conf, layers)
        config_name = f"{hashlib.sha256(config).hexdigest()}.json"
        add(config_name, io.BytesIO(config), len(config))
        manifest = [
            {
                "Config": config_name,
                "RepoTags": [conf["repo_tag"]],
                "Layers": [f"{digest}/layer.tar" for digest, _ in layers],
            }
        ]
        manifest = json.dumps(manifest, indent=4).encode()
        add("manifest.json", io.BytesIO(manifest), len(manifest))


class Digesting:
    """Passes writes on, and keeps their digest and length."""

    def __init__(self, file) -> None:
        self.file, self.sha256, self.size = file, hashlib.sha256(), 0

    def write(self, data: bytes) -> None:
        self.sha256.update(data)
        self.size += len(data)
        self.file.write(data)


def write_layer(file, paths: list[str], conf: dict, mtime: int) -> tuple[str, int]:
    def owned(info: tarfile.TarInfo) -> tarfile.TarInfo:
        info.mtime = mtime
        info.uid, info.gid = conf["uid"], conf["gid"]
        info.uname, info.gname = conf["uname"], conf["gname"]
        return info

    target = Digesting(file)
    with tarfile.open(fileobj=target, mode="w|") as layer:
        for parent in ("/nix", conf["store_dir"]):
            info = tarfile.TarInfo(parent)
            info.type, info.mode = tarfile.DIRTYPE, 0o755
            layer.addfile(owned(info))
        for path in paths:
            for name in in_path_order(path):
                layer.inodes.clear()  # or a second link to a file would become a hard link
                info = owned(layer.gettarinfo(name))
                info.name = name  # gettarinfo takes the leading slash away
                if info.isreg():
                    with open(name, "rb") as content:
                        layer.addfile(info, content)
                else:
                    layer.addfile(info)
    return target.sha256.hexdigest(), target.size


def in_path_order(top: str) -> list[str]:
    """TOP and everything below it, compared name by name as pathlib does: `a/b` is before `a.b`."""
    names = [top]
    if not os.path.islink(top):
        for parent, folders, files in os.walk(top):
            names += [f"{parent}/{name}" for name in folders + files]
    return sorted(names, key=lambda name: name.split("/"))


def image_config(conf: dict, layers: list[tuple[str, list[str]]]) -> bytes:
    created = datetime.fromisoformat(conf["created"]).isoformat()
    config = {
        "created": created,
        "architecture": conf["architecture"],
        "os": "linux",
        "config": conf["config"],
        "rootfs": {"diff_ids": [f"sha256:{digest}" for digest, _ in layers], "type": "layers"},
        "history": [{"created": created, "comment": f"store paths: {paths}"} for _, paths in layers],
    }
    return json.dumps(config, indent=4).encode()


main()
