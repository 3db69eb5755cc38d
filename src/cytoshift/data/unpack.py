"""Archives of a public data set into folders that `cytoshift new`, `segment` and `evaluate` take.

    OUT/images/a.tif   OUT/labels/a.tif   OUT/dataset.json        or OUT/train/images ..., OUT/test/labels ...

Only what a rule names leaves an archive, under names that the rule makes: a path in an archive leads nowhere else.
"""

import io
import re
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from ..core.atomic import replacing
from ..core.errors import UserError
from ..core.facts import now, write_json
from .fetch import Got
from .public import Public

ABOUT = "dataset.json"
SAFE = re.compile(r"[\w.+-]+")  # of each part of a name that is written


def unpacked(data: Public, archives: Sequence[Got], out: Path) -> dict[str, int]:
    """Write the folder, whole or not at all; how many files there are in each of its folders.

    Raises UserError where something is there already, an archive is damaged or holds nothing that is known.
    """
    if out.exists() and any(out.iterdir() if out.is_dir() else [out]):
        raise UserError(f"{out} is there already; choose another -o, or remove it")
    count: dict[str, int] = defaultdict(int)
    with replacing(out) as beside:
        beside.mkdir()
        for archive in archives:
            for name, content in members(data, archive.path):
                place = beside / name
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(content)
                count[str(PurePosixPath(name).parent)] += 1
        if not count:
            raise UserError(
                f"{', '.join(a.path.name for a in archives)} hold nothing of the layout that is known of {data.name}; "
                f"unpack them yourself, and see {data.page}"
            )
        write_json(beside / ABOUT, about(data, archives, count))
    return dict(count)


def about(data: Public, archives: Sequence[Got], count: dict[str, int]) -> dict[str, object]:
    """What whoever finds the folder wants to know."""
    said = {key: value for key, value in asdict(data).items() if key in ("name", "what", "licence", "cite", "page")}
    files = [
        {"url": file.url, "sha256": got.sha256, "checksum": "published" if got.known else "of the first download"}
        for file, got in zip(data.files, archives)
    ]
    return {**said, "options": data.hint, "downloaded": now(), "archives": files, "files": count}


def members(data: Public, path: Path) -> Iterator[tuple[str, bytes]]:
    """Names and contents that leave an archive."""
    masks: dict[str, list[str]] = defaultdict(list)
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if info.is_dir() or "__MACOSX" in info.filename:
                    continue
                if data.merge and (found := re.fullmatch(data.merge, info.filename)):
                    masks[found.group(1)].append(info.filename)
                elif name := renamed(data, info.filename):
                    yield name, changed(data, info.filename, archive.read(info))
            for image, files in sorted(masks.items()):
                if SAFE.fullmatch(image):
                    yield f"labels/{image}.tif", merged([archive.read(file) for file in sorted(files)])
    except (zipfile.BadZipFile, EOFError) as error:
        raise UserError(f"{path} is damaged ({error}); remove it and give the command again") from error


def renamed(data: Public, member: str) -> str | None:
    """Where a member of an archive goes; None for those that nobody needs."""
    for rule in data.rules:
        if found := re.fullmatch(rule.match, member):
            name = found.expand(rule.to)
            if all(SAFE.fullmatch(part) and part.strip(".") for part in name.split("/")):
                return name
    return None


def changed(data: Public, member: str, content: bytes) -> bytes:
    """What has to be another than it is stored."""
    if data.flip and re.fullmatch(data.flip, member):
        return flipped(content)
    if data.grey and re.fullmatch(data.grey, member):
        return greyed(content)
    return content


def greyed(content: bytes) -> bytes:
    """A PNG of colours, or with transparency, as one of a single channel."""
    from PIL import Image

    out = io.BytesIO()
    Image.open(io.BytesIO(content)).convert("L").save(out, "PNG")
    return out.getvalue()


def merged(masks: list[bytes]) -> bytes:
    """PNG masks of one object each as one TIFF of ids, 1..N in the order of their names."""
    import tifffile
    from PIL import Image

    labels: NDArray[np.uint16] | None = None
    for number, content in enumerate(masks, start=1):
        mask = np.asarray(Image.open(io.BytesIO(content)).convert("L")) > 0
        labels = np.zeros(mask.shape, np.uint16) if labels is None else labels
        labels[mask] = number
    assert labels is not None, "an image has at least one mask"
    return tiff(tifffile, labels)


def flipped(content: bytes) -> bytes:
    """A TIFF volume with its y axis turned round."""
    import tifffile

    return tiff(tifffile, np.ascontiguousarray(tifffile.imread(io.BytesIO(content))[..., ::-1, :]))


def tiff(tifffile, array: NDArray[np.generic]) -> bytes:  # type: ignore[no-untyped-def]
    file = io.BytesIO()
    tifffile.imwrite(file, array, compression="zlib", photometric="minisblack")
    return file.getvalue()
