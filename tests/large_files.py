"""Images of billions of pixels in files of kilobytes, as compressed nothing."""

import struct
import zlib
from pathlib import Path

CODES = {"H": 3, "I": 4, "Q": 16}  # TIFF's names of struct's types


def deflated(count: int) -> bytes:
    """So many zeros, compressed."""
    compressor, block, parts = zlib.compressobj(9), bytes(2**24), []
    for start in range(0, count, len(block)):
        parts.append(compressor.compress(block[: min(len(block), count - start)]))
    return b"".join([*parts, compressor.flush()])


def bigtiff(
    path: Path, edge: int, compression: int, rows: int | None = None, tile: int | None = None, body: bytes = b"",
    stored: int | None = None,
) -> Path:  # fmt: skip
    """A square BigTIFF of bytes, all of whose strips (of `rows`) or tiles are the same `body`; without one, sparse.

    stored: of an uncompressed strip, so many bytes of a hole in the file.
    """
    count = (-(-edge // tile)) ** 2 if tile else -(-edge // (rows or edge))
    at, each = 4096, stored or len(body)
    places = [at if each else 0] * count
    entries: list[tuple[int, str, list[int]]] = [
        (256, "I", [edge]), (257, "I", [edge]), (258, "H", [8]), (259, "H", [compression]), (262, "H", [1]),
        (277, "H", [1]),
    ]  # fmt: skip
    if tile:
        entries += [(322, "I", [tile]), (323, "I", [tile]), (324, "Q", places), (325, "Q", [each] * count)]
    else:
        entries += [(273, "Q", places), (278, "I", [rows or edge]), (279, "Q", [each] * count)]
    tail, directory = b"", struct.pack("<Q", len(entries))
    for code, kind, values in sorted(entries):
        data = struct.pack(f"<{len(values)}{kind}", *values)
        if len(data) > 8:
            data, tail = struct.pack("<Q", at + len(body) + len(tail)), tail + data
        directory += struct.pack("<HHQ", code, CODES[kind], len(values)) + data.ljust(8, b"\0")
    head = b"II" + struct.pack("<HHHQ", 43, 8, 0, 16) + directory + struct.pack("<Q", 0)
    path.write_bytes(head.ljust(at, b"\0") + body + tail)
    if stored:
        with path.open("r+b") as file:
            file.truncate(at + stored)
    return path
