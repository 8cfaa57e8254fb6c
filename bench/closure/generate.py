"""Fill $out with `megabytes` of files made of pieces of the files of `source`.

Pieces are so short, and drawn from so many, that a compressor hardly ever sees
one twice: what it saves is what it would save on the original."""

import os
import random

PIECE = 8 << 10
FILE = 10_000_000


def main() -> None:
    pieces = cut(os.environ["source"])
    draw = random.Random(int(os.environ["number"]))
    left = int(os.environ["megabytes"]) * 1_000_000
    os.mkdir(os.environ["out"])
    number = 0
    while left > 0:
        size = min(FILE, left)
        with open(f"{os.environ['out']}/{number:04}.bin", "wb") as file:
            for _ in range(0, size, PIECE):
                file.write(draw.choice(pieces)[:size])
                size -= PIECE
        left -= FILE
        number += 1


def cut(top: str) -> list[bytes]:
    pieces = []
    for parent, folders, files in os.walk(top):
        folders.sort()
        for name in sorted(files):
            path = f"{parent}/{name}"
            if not os.path.islink(path):
                with open(path, "rb") as file:
                    pieces += [piece for piece in iter(lambda: file.read(PIECE), b"") if len(piece) == PIECE]
    return pieces


main()
