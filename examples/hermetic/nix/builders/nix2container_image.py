"""Write the description of an image as nix2container's buildImage does.

The layers are those of `conf`, and one of `root`, whose content is moved to the
image's root.  What nix2container states of each is the digest of a tar as Go's
archive/tar writes it: ustar, with a pax header for what does not fit."""

import hashlib
import json
import os
import stat

MEDIA_TYPE = "application/vnd.oci.image.layer.v1.tar"


def main() -> None:
    with open(os.environ["conf"]) as file:
        conf = json.load(file)
    root = os.environ["root"]
    layers = [layer([{"path": path} for path in paths]) for paths in conf["store_layers"]]
    options = {
        "rewrite": {"regex": f"^{root}", "repl": ""},
        "perms": [{"regex": "/tmp$", "mode": "1777", "uid": 0, "gid": 0, "uname": "", "gname": ""}],
    }
    layers.append(layer([{"path": root, "options": options}]))
    description = {
        "version": 1,
        "image-config": conf["config"],
        "layers": layers,
        "arch": conf["architecture"],
        "created": "0001-01-01T00:00:00Z",
    }
    with open(os.environ["out"], "w") as out:
        json.dump(description, out, indent="\t")


def layer(paths: list[dict]) -> dict:
    digest, size = hashlib.sha256(), 0
    for block in tar(paths):
        digest.update(block)
        size += len(block)
    digest = f"sha256:{digest.hexdigest()}"
    return {
        "digest": digest,
        "size": size,
        "diff_ids": digest,
        "paths": paths,
        "mediatype": MEDIA_TYPE,
        "History": {"created_by": "nix2container"},
    }


def tar(paths: list[dict]):
    """Parents, then every file by the name it gets, all sorted component by component."""
    entries = {}
    for path in paths:
        options = path.get("options")
        top = path["path"]
        for file in [top, *below(top)]:
            # The one rewrite there is takes the top away.
            name = file.removeprefix(top) if options else file
            mode = 0o1777 if options and file.endswith("/tmp") else None
            if name:
                entries[name] = (file, mode)
    for name in list(entries):
        while name := name.rpartition("/")[0]:
            entries.setdefault(name, (None, 0o755))
    yield header("/", b"5", 0o755)
    for name in sorted(entries, key=lambda name: os.fsencode(name).split(b"/")):
        yield from entry(name, *entries[name])
    yield bytes(1024)


def below(top: str) -> list[str]:
    found = [] if os.path.islink(top) else os.walk(top)
    return [f"{parent}/{name}" for parent, folders, files in found for name in folders + files]


def entry(name: str, file: str | None, mode: int | None):
    if file is None:
        yield header(name, b"5", mode)
        return
    found = os.lstat(file)
    mode = mode if mode is not None else stat.S_IMODE(found.st_mode)
    if stat.S_ISLNK(found.st_mode):
        yield header(name, b"2", mode, target=os.readlink(file))
    elif stat.S_ISDIR(found.st_mode):
        yield header(name, b"5", mode)
    else:
        yield header(name, b"0", mode, found.st_size)
        with open(file, "rb") as content:
            while block := content.read(1 << 20):
                yield block
        yield bytes(-found.st_size % 512)


def header(name: str, kind: bytes, mode: int, size: int = 0, target: str = "") -> bytes:
    full, link = os.fsencode(name), os.fsencode(target)
    prefix, short = split(full)
    fits = short is not None and link.isascii() and len(link) <= 100
    if fits:
        return block(short, kind, mode, size, link, prefix)
    records = b""
    for key, value in ((b"linkpath", link), (b"path", full)):
        if len(value) > 100 or not value.isascii():
            records += record(key, value)
    folder, _, file = full.rpartition(b"/")
    own = ascii_of(folder + b"/PaxHeaders.0/" + file)
    extra = block(own, b"x", 0, len(records), b"", b"", owner=b"", mtime=0, devices=False)
    extra += records + bytes(-len(records) % 512)
    return extra + block(ascii_of(full), kind, mode, size, ascii_of(link), b"")


def split(name: bytes) -> tuple[bytes, bytes | None]:
    """Prefix and name of a ustar header; no name if it does not fit."""
    if not name.isascii():
        return b"", None
    if len(name) <= 100:
        return b"", name
    prefix, slash, _ = name[:156].rpartition(b"/")
    rest = name[len(prefix) + 1 :]
    return (prefix, rest) if prefix and slash and 0 < len(rest) <= 100 else (b"", None)


def record(key: bytes, value: bytes) -> bytes:
    length = len(key) + len(value) + 3
    while length != len(b"%d %s=%s\n" % (length, key, value)):
        length = len(b"%d %s=%s\n" % (length, key, value))
    return b"%d %s=%s\n" % (length, key, value)


def ascii_of(text: bytes) -> bytes:
    text = bytes(byte for byte in text if byte < 128)
    return text[:99] if len(text) > 100 and text[99:100] == b"/" else text


def block(name, kind, mode, size, link, prefix, owner=b"root", mtime=1, devices=True) -> bytes:
    device = b"0000000\0" if devices else bytes(8)
    fields = [
        name[:100].ljust(100, b"\0"),
        b"%07o\0" % mode,
        b"%07o\0" % 0,
        b"%07o\0" % 0,
        b"%011o\0" % size,
        b"%011o\0" % mtime,
        b" " * 8,
        kind,
        link[:100].ljust(100, b"\0"),
        b"ustar\x0000",
        owner.ljust(32, b"\0"),
        owner.ljust(32, b"\0"),
        device,
        device,
        prefix.ljust(167, b"\0"),
    ]
    fields[6] = b"%06o\0 " % sum(map(sum, fields))
    return b"".join(fields)


main()
