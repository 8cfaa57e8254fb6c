"""stream_image.py CONF: write the docker-archive that CONF describes to stdout.

The bytes of the layers follow nixpkgs' stream_layered_image.py: tar in
Python's default format, /nix and /nix/store first, then each store path and
what is below it in path order, hard links as plain files, times and owners
from CONF. So does the work: a layer's digest must be known before its first
byte is written, so each is tarred twice, and never kept. Whoever measures
this script learns what nixpkgs' costs. The layers of a base image are copied
as they are, and the variables of its environment come first."""

import hashlib
import io
import json
import os
import pathlib
import sys
import tarfile
import threading
from datetime import datetime


def main() -> None:
    with open(sys.argv[1]) as file:
        conf = json.load(file)
    mtime = int(datetime.fromisoformat(conf["mtime"]).timestamp())

    with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as archive:

        def add(name: str, content, size: int) -> None:
            info = tarfile.TarInfo(name)
            info.size, info.mtime = size, mtime
            archive.addfile(info, content)

        layers = []
        base_config = {}
        if conf["from_image"] is not None:
            with tarfile.open(conf["from_image"]) as base:
                base_config = copy_base(base, archive, layers)

        for paths in conf["store_layers"]:
            measure = Measure()
            write_layer(measure, paths, conf, mtime)
            digest, size = measure.sha256.hexdigest(), measure.size
            with written_meanwhile(paths, conf, mtime) as layer:
                add(f"{digest}/layer.tar", layer, size)
            layers.append((digest, f"{digest}/layer.tar", paths))
            print(f"layer {len(layers)}: {size} bytes from {' '.join(paths)}", file=sys.stderr)

        folder = conf["customisation_layer"]
        with open(f"{folder}/checksum") as file:
            digest = file.read().strip()
        with open(f"{folder}/layer.tar", "rb") as layer:
            add(f"{digest}/layer.tar", layer, os.fstat(layer.fileno()).st_size)
        layers.append((digest, f"{digest}/layer.tar", [folder]))

        config = image_config(conf, base_config, layers)
        config_name = f"{hashlib.sha256(config).hexdigest()}.json"
        add(config_name, io.BytesIO(config), len(config))
        manifest = [
            {
                "Config": config_name,
                "RepoTags": [conf["repo_tag"]],
                "Layers": [name for _, name, _ in layers],
            }
        ]
        manifest = json.dumps(manifest, indent=4).encode()
        add("manifest.json", io.BytesIO(manifest), len(manifest))


def copy_base(base: tarfile.TarFile, archive: tarfile.TarFile, layers: list) -> dict:
    """Copies the layers of another image, and returns what its containers start with."""
    [manifest] = json.load(base.extractfile("manifest.json"))
    image = json.load(base.extractfile(manifest["Config"]))
    for name, diff_id in zip(manifest["Layers"], image["rootfs"]["diff_ids"]):
        member = base.getmember(name)
        archive.addfile(member, base.extractfile(member))
        layers.append((diff_id.removeprefix("sha256:"), name, [name]))
    return image["config"]


class Measure:
    """Takes writes for their digest and length alone."""

    def __init__(self) -> None:
        self.sha256, self.size = hashlib.sha256(), 0

    def write(self, data: bytes) -> None:
        self.sha256.update(data)
        self.size += len(data)


def written_meanwhile(paths: list[str], conf: dict, mtime: int):
    """The layer as a file to read from, while a thread writes it into a pipe.

    Should that fail, there is less to read than was promised, and `addfile` says so."""
    reading, writing = os.pipe()

    def write() -> None:
        with open(writing, "wb") as pipe:
            write_layer(pipe, paths, conf, mtime)

    threading.Thread(target=write).start()
    return open(reading, "rb")


def write_layer(file, paths: list[str], conf: dict, mtime: int) -> None:
    def owned(info: tarfile.TarInfo) -> tarfile.TarInfo:
        info.mtime = mtime
        info.uid, info.gid = conf["uid"], conf["gid"]
        info.uname, info.gname = conf["uname"], conf["gname"]
        return info

    with tarfile.open(fileobj=file, mode="w|") as layer:
        for parent in ("/nix", conf["store_dir"]):
            info = tarfile.TarInfo(parent)
            info.type, info.mode = tarfile.DIRTYPE, 0o755
            layer.addfile(owned(info))
        for path in paths:
            for name in in_path_order(path):
                layer.inodes.clear()  # or a second link to a file would become a hard link
                info = owned(layer.gettarinfo(name))
                info.name = str(name)  # gettarinfo takes the leading slash away
                if info.isreg():
                    with open(name, "rb") as content:
                        layer.addfile(info, content)
                else:
                    layer.addfile(info)


def in_path_order(top: str) -> list[pathlib.Path]:
    """TOP and everything below it, compared name by name: `a/b` is before `a.b`."""
    path = pathlib.Path(top)
    return [path] if path.is_symlink() else sorted([path, *path.rglob("*")])


def image_config(conf: dict, base_config: dict, layers: list[tuple[str, str, list[str]]]) -> bytes:
    created = datetime.fromisoformat(conf["created"]).isoformat()
    # A variable stays where it was set first, with the value that it was given last.
    env = {entry.split("=", 1)[0]: entry for entry in base_config.get("Env", []) + conf["config"].get("Env", [])}
    if conf["from_image"] is not None and env:
        conf["config"]["Env"] = list(env.values())
    config = {
        "created": created,
        "architecture": conf["architecture"],
        "os": "linux",
        "config": conf["config"],
        "rootfs": {"diff_ids": [f"sha256:{digest}" for digest, _, _ in layers], "type": "layers"},
        "history": [{"created": created, "comment": f"store paths: {paths}"} for _, _, paths in layers],
    }
    return json.dumps(config, indent=4).encode()


main()
