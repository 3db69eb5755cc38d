"""Archives of a public data set into folders that `cytoshift new`, `segment` and `evaluate` take.

    OUT/images/a.tif   OUT/labels/a.tif   OUT/dataset.json        or OUT/train/images ..., OUT/test/labels ...

Only what a rule names leaves an archive, under names that the rule makes: a path in an archive leads nowhere else.
"""

import io
import lzma
import re
import shutil
import struct
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from ..core.atomic import atomic_path
from ..core.errors import UserError
from ..core.json_files import now, write_json
from .fetch import FetchedArchive
from .picture import explain_read_errors
from .public_sets import Public

ABOUT = "dataset.json"
COPIED_BYTES = 2**20  # bytes that are copied at once
MOST_BYTES = 2**30  # bytes of an image that has to be changed
SAFE = re.compile(r"[\w.+-]+")  # of each part of a name that is written


def unpack_archives(data: Public, archives: Sequence[FetchedArchive], out: Path) -> dict[str, int]:
    """Write the folder, whole or not at all; how many files there are in each of its folders.

    Raises UserError where something is there already, an archive is damaged or holds nothing that is known.
    """
    if out.exists() and any(out.iterdir() if out.is_dir() else [out]):
        raise UserError(f"{out} already exists; choose another `out`, or remove it")
    count: dict[str, int] = defaultdict(int)
    with atomic_path(out) as beside:
        beside.mkdir()
        for archive in archives:
            for name in extract_members(data, archive.path, beside):
                count[str(PurePosixPath(name).parent)] += 1
        if not count:
            raise UserError(
                f"{', '.join(a.path.name for a in archives)} hold nothing of the layout that is known of {data.name}; "
                f"unpack them yourself, and see {data.page}"
            )
        write_json(beside / ABOUT, about_text(data, archives, count))
    return dict(count)


def about_text(data: Public, archives: Sequence[FetchedArchive], count: dict[str, int]) -> dict[str, object]:
    """What whoever finds the folder wants to know."""
    said = {key: value for key, value in asdict(data).items() if key in ("name", "what", "licence", "cite", "page")}
    files = [
        {"url": file.url, "sha256": got.sha256, "checksum": "published" if got.known else "of the first download"}
        for file, got in zip(data.files, archives)
    ]
    return {**said, "options": data.hint, "downloaded": now(), "archives": files, "files": count}


def extract_members(data: Public, path: Path, out: Path) -> Iterator[str]:
    """Write the members of an archive, one by one; yields their names.

    Unchanged files are copied in pieces; files that must be changed are images, which are read into memory.
    """
    masks: dict[str, list[zipfile.ZipInfo]] = defaultdict(list)
    try:
        with zipfile.ZipFile(path) as archive:
            wanted = list(select_members(data, archive, masks))
            refuse_large(path, [info for info, _ in wanted], out)
            for info, name in wanted:
                place = out / name
                place.parent.mkdir(parents=True, exist_ok=True)
                if is_converted(data, info.filename):
                    content = read_member(path, archive, info)
                    with explain_read_errors(f"{info.filename} of {path}"):
                        content = convert_member(data, info.filename, content)
                    place.write_bytes(content)
                else:
                    with archive.open(info) as source, place.open("wb") as target:
                        shutil.copyfileobj(source, target, COPIED_BYTES)
                yield name
            for image, files in sorted(masks.items()):
                if SAFE.fullmatch(image):
                    place = out / "labels" / f"{image}.tif"
                    place.parent.mkdir(parents=True, exist_ok=True)
                    ordered = sorted(files, key=lambda info: info.filename)
                    contents = [read_member(path, archive, info) for info in ordered]
                    with explain_read_errors(f"{ordered[0].filename} of {path}"):
                        content = merge_masks(contents)
                    place.write_bytes(content)
                    yield f"labels/{image}.tif"
    except (zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError, struct.error) as error:
        raise UserError(f"{path} is damaged ({error}); remove it and give the command again") from error
    except (RuntimeError, NotImplementedError) as error:  # encrypted, or compressed in a way of its own
        raise UserError(
            f"{path} cannot be unpacked ({error}); it is not the archive that is meant, remove it and give the command "
            "again, and if that does not help, ask those who publish it"
        ) from error


def select_members(
    data: Public, archive: zipfile.ZipFile, masks: dict[str, list[zipfile.ZipInfo]]
) -> Iterator[tuple[zipfile.ZipInfo, str]]:
    """Members that leave an archive, and their new names; those that become one label image go into `masks`."""
    for info in archive.infolist():
        if info.is_dir() or "__MACOSX" in info.filename:
            continue
        if data.merge and (found := re.fullmatch(data.merge, info.filename)):
            masks[found.group(1)].append(info)
        elif name := member_target(data, info.filename):
            yield info, name


def refuse_large(path: Path, members: Sequence[zipfile.ZipInfo], out: Path) -> None:
    """Raises UserError where what an archive holds is more than the disk has."""
    need, free = sum(info.file_size for info in members), shutil.disk_usage(out).free
    if need > free:
        raise UserError(
            f"{path} unpacks to {need / 1e9:.3g} GB, {out.parent} has {free / 1e9:.3g} GB left; free space, or choose "
            "another `out`"
        )


def read_member(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """A member in memory. Raises UserError for one that no image of these sets is as large as."""
    if info.file_size > MOST_BYTES:
        raise UserError(
            f"{info.filename} of {path} has {info.file_size / 1e9:.3g} GB, its images have less than "
            f"{MOST_BYTES / 1e9:.2g}; it is not the archive that is meant, remove it and give the command again"
        )
    return archive.read(info)


def member_target(data: Public, member: str) -> str | None:
    """Where a member of an archive goes; None for members that are not needed."""
    for rule in data.rules:
        if found := re.fullmatch(rule.match, member):
            name = found.expand(rule.to)
            if all(SAFE.fullmatch(part) and part.strip(".") for part in name.split("/")):
                return name
    return None


def is_converted(data: Public, member: str) -> bool:
    return any(rule and re.fullmatch(rule, member) for rule in (data.flip, data.grey))


def convert_member(data: Public, member: str, content: bytes) -> bytes:
    """Files that must be changed when they are unpacked."""
    if data.flip and re.fullmatch(data.flip, member):
        return flip_y(content)
    if data.grey and re.fullmatch(data.grey, member):
        return to_gray(content)
    return content


def to_gray(content: bytes) -> bytes:
    """A PNG of colours, or with transparency, as one of a single channel."""
    from PIL import Image

    out = io.BytesIO()
    Image.open(io.BytesIO(content)).convert("L").save(out, "PNG")
    return out.getvalue()


def merge_masks(masks: list[bytes]) -> bytes:
    """PNG masks of one object each as one TIFF of ids, 1..N in the order of their names."""
    import tifffile
    from PIL import Image

    labels: NDArray[np.uint16] | None = None
    for number, content in enumerate(masks, start=1):
        mask = np.asarray(Image.open(io.BytesIO(content)).convert("L")) > 0
        labels = np.zeros(mask.shape, np.uint16) if labels is None else labels
        labels[mask] = number
    assert labels is not None, "an image has at least one mask"
    return write_member_tiff(tifffile, labels)


def flip_y(content: bytes) -> bytes:
    """A TIFF volume with its y axis turned round."""
    import tifffile

    return write_member_tiff(tifffile, np.ascontiguousarray(tifffile.imread(io.BytesIO(content))[..., ::-1, :]))


def write_member_tiff(tifffile, array: NDArray[np.generic]) -> bytes:  # type: ignore[no-untyped-def]
    file = io.BytesIO()
    tifffile.imwrite(file, array, compression="zlib", photometric="minisblack")
    return file.getvalue()
