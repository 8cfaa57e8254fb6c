"""Run the `stream` script and gzip what it writes: buildLayeredImage's archive.

Blocks of a fixed size are deflated on all processors, as pigz does, and form
one gzip member; how many processors there are does not change the bits."""

import concurrent.futures
import itertools
import os
import struct
import subprocess
import sys
import zlib

BLOCK = 1 << 20
LEVEL = 6
AT_ONCE = 16  # blocks in memory


def deflate(block: bytes) -> bytes:
    deflater = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return deflater.compress(block) + deflater.flush(zlib.Z_SYNC_FLUSH)


def main() -> None:
    stream = subprocess.Popen([os.environ["stream"]], stdout=subprocess.PIPE)
    checksum = size = 0
    with open(os.environ["out"], "wb") as out, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        out.write(b"\x1f\x8b\x08\x00" + b"\x00" * 4 + b"\x00\xff")  # no name, no time, no system
        blocks = iter(lambda: stream.stdout.read(BLOCK), b"")
        while batch := list(itertools.islice(blocks, AT_ONCE)):
            for block, deflated in zip(batch, pool.map(deflate, batch)):
                checksum = zlib.crc32(block, checksum)
                size += len(block)
                out.write(deflated)
        out.write(b"\x03\x00")  # an empty last block
        out.write(struct.pack("<II", checksum, size & 0xFFFFFFFF))
    if stream.wait() != 0:
        sys.exit(f"{os.environ['stream']} failed")


main()
