"""gzip from standard input to standard output, as pigz does it for buildLayeredImage.

Blocks of a fixed size are deflated on all processors and form one gzip member; how many processors there are does not change the bits."""

import concurrent.futures
import itertools
import os
import struct
import sys
import zlib

BLOCK = 1 << 20
LEVEL = 6
AT_ONCE = 16  # blocks in memory


def deflate(block: bytes) -> bytes:
    deflater = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return deflater.compress(block) + deflater.flush(zlib.Z_SYNC_FLUSH)


def main() -> None:
    checksum = size = 0
    out = sys.stdout.buffer
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        out.write(b"\x1f\x8b\x08\x00" + b"\x00" * 4 + b"\x00\xff")  # no name, no time, no system
        blocks = iter(lambda: sys.stdin.buffer.read(BLOCK), b"")
        while batch := list(itertools.islice(blocks, AT_ONCE)):
            for block, deflated in zip(batch, pool.map(deflate, batch)):
                checksum = zlib.crc32(block, checksum)
                size += len(block)
                out.write(deflated)
        out.write(b"\x03\x00")  # an empty last block
        out.write(struct.pack("<II", checksum, size & 0xFFFFFFFF))


main()
