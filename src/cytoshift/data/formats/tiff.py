"""TIFF: plain, ImageJ hyperstack, OME, BigTIFF, tiled, with a pyramid; LSM, SVS and QPTIFF, which are TIFF."""

import logging
import re
import threading
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import unescape
from math import prod
from pathlib import Path

import numpy as np
import tifffile
import zarr
from numpy.typing import NDArray

from ...core.errors import UserError
from ..orientation import InvertedArray, apply_orientation
from ..picture import AXES, RGB, UNKNOWN, Picture, StoredArray, explain_read_errors, known_extent
from . import PictureRequest, limit_concurrency, number_range, select_series

LARGEST_PAGE = 1 << 23  # bytes of a page that is decoded whole
ORIENTATION = 274  # number of the tag
PLANE_BYTES = 8  # bytes of a file that a plane of an OME-TIFF takes at least
JPEGS = (tifffile.COMPRESSION.OJPEG, tifffile.COMPRESSION.JPEG, tifffile.COMPRESSION.JPEG_LOSSY)
# Photometric interpretations that are neither gray nor RGB.
INKS = {5: "CMYK", 8: "CIELab", 9: "ICCLab", 10: "ITULab", 32803: "colour filter array", 32845: "LogLuv"}
# Kinds of series of which all but the first are thumbnails, labels of the glass and photographs of it.
MAIN_FIRST = ("lsm", "svs", "qpi")
CENTIMETRE, INCH = 3, 2  # numbers of the tag of the unit of resolution
# How many bytes one compressed byte becomes at most.
RATIOS: dict[int, int] = {
    tifffile.COMPRESSION.PACKBITS: 130, tifffile.COMPRESSION.LZW: 4096,
    tifffile.COMPRESSION.DEFLATE: 1100, tifffile.COMPRESSION.ADOBE_DEFLATE: 1100,
}  # fmt: skip


@dataclass(frozen=True)
class TiffArray:
    """One level of one series, every axis kept. Opens the file anew for each read: a folder of thousands would
    run out of handles otherwise, and opening costs about a millisecond beside the decoding."""

    path: Path
    series: int
    level: int
    shape: tuple[int, ...]
    dtype: np.dtype

    def read(self, region: tuple[slice, ...]) -> NDArray[np.generic]:
        with explain_read_errors(self.path), open_file(self.path) as file:
            series = file.series[self.series]
            if self.is_mappable(series):
                whole = series.asarray(out="memmap", squeeze=False)
                return np.array(whole[region])
            if all(s.indices(n) == (0, n, 1) for s, n in zip(region, self.shape)):
                return series.asarray(level=self.level, squeeze=False)
            array = self.as_zarr(series)
            with limit_concurrency(array):
                return np.asarray(array[region])

    @property
    def chunks(self) -> tuple[int, ...] | None:
        with explain_read_errors(self.path), open_file(self.path) as file:
            series = file.series[self.series]
            return None if self.is_mappable(series) else tuple(self.as_zarr(series).chunks)

    def is_mappable(self, series: tifffile.TiffPageSeries) -> bool:
        """Whether the voxels lie in the file as they would in memory."""
        page = series.levels[self.level].keyframe
        return bool(page.is_memmappable and self.level == 0 and series.dataoffset is not None)

    def as_zarr(self, series: tifffile.TiffPageSeries) -> zarr.Array:
        """The series by its tiles. Strips are many and small: small pages are one chunk, of large ones each strip."""
        page = series.levels[self.level].keyframe
        mode = "strile" if page.is_tiled or page.nbytes > LARGEST_PAGE else "page"
        return zarr.open_array(series.aszarr(level=self.level, squeeze=False, chunkmode=mode), mode="r")


def open_pictures(request: PictureRequest) -> list[Picture]:
    """One picture per series. Colour maps of plain TIFFs are refused for images, and are object ids for labels."""
    path, name, part, level, labels = request
    with open_file(path, known=False) as file:
        chosen = select_series(path, part, len(file.series), "series")
        alone = len(file.series) == 1
        if part is None and file.series[0].kind in MAIN_FIRST:
            chosen, alone = [0], True
        return [picture(file, path, name, index, level, labels, alone) for index in chosen]


def picture(
    file: tifffile.TiffFile, path: Path, name: str, index: int, level: int, labels: bool, alone: bool
) -> Picture:
    series = file.series[index]
    page = series.keyframe
    if not 0 <= level < len(series.levels):
        raise UserError(
            f"{path} has no level {level}, it has {len(series.levels)}; pass `level` {number_range(len(series.levels))}"
        )
    plain = series.kind not in ("imagej", "ome")
    if plain and not labels and page.photometric == tifffile.PHOTOMETRIC.PALETTE:
        raise UserError(
            f"{path} stores colours with a palette, so its numbers are not intensities; save it as gray or RGB"
        )
    refuse_colours(path, page)
    chosen = series.levels[level]
    refuse_empty_promises(path, chosen.keyframe)
    shape = tuple(chosen.get_shape(squeeze=False))
    axes = "".join(a if a in AXES else UNKNOWN for a in series.get_axes(squeeze=False).lower())
    extents, units, channels = calibration(file, index)
    finest = dict(zip(axes, series.get_shape(squeeze=False)))
    extents = {a: e * finest[a] / dict(zip(axes, shape))[a] for a, e in extents.items() if a in finest}
    steps = f", level {level} of {len(series.levels)}" if len(series.levels) > 1 else ""
    array: StoredArray = TiffArray(path, index, level, shape, np.dtype(chosen.dtype))
    if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE and not labels:
        array, steps = invert_white_zero(path, page, array), f"{steps}, stored with white as 0 and read inverted"
    spread = members(series, index) if series.is_multifile else ()
    abroad = sorted({str(Path(file)) for file in spread[:-1] if Path(file).parent.resolve() != path.parent.resolve()})
    if abroad:
        steps += f", with {len(abroad)} files outside of its folder, {abroad[0]} first"
    found = Picture(
        array=array,
        axes=axes,
        name=name if alone else f"{name}_s{index}",
        origin=f"{path}{'' if alone else f', series {index} of {len(file.series)}'}{steps}",
        extents=extents,
        units=units,
        channels=channels,
        colours=colours(page),
        members=spread,
    )
    tag = page.tags.get(ORIENTATION)
    return apply_orientation(found, tag.value if tag is not None and isinstance(tag.value, int) else 1)


def invert_white_zero(path: Path, page: tifffile.TiffPage, array: StoredArray) -> StoredArray:
    """White is 0: numbers the other way round, as viewers show them."""
    if array.dtype.kind == "b":  # no image, which is said elsewhere
        return array
    if array.dtype.kind != "u":
        raise UserError(
            f"{path} stores white as 0 in {array.dtype}, of which no number is black; save it with black as 0"
        )
    return InvertedArray(array, (1 << bits_of(page)) - 1)


def bits_of(page: tifffile.TiffPage) -> int:
    bits = page.bitspersample
    return int(bits if isinstance(bits, int) else bits[0])


def refuse_colours(path: Path, page: tifffile.TiffPage) -> None:
    """Raises UserError for what is neither gray nor RGB, and for numbers that no computer has."""
    kind = page.photometric
    raw = kind == tifffile.PHOTOMETRIC.YCBCR and page.compression not in JPEGS
    if (name := "YCbCr" if raw else INKS.get(int(kind))) and page.samplesperpixel >= (1 if kind > 32000 else 3):
        raise UserError(f"{path} holds {name} colours, {page.samplesperpixel} numbers a pixel; save it as gray or RGB")
    if page.dtype is None:
        raise UserError(
            f"{path} stores {bits_of(page)} bits per sample, which is not possible; it is damaged, copy or save it "
            f"again"
        )


def refuse_empty_promises(path: Path, page: tifffile.TiffPage) -> None:
    """Raises UserError where a page declares more tiles or strips, or larger ones, than its file can hold."""
    count, known = prod(page.chunked), len(page.dataoffsets)
    if count > max(known, 1):
        raise UserError(
            f"{path} declares {count} tiles or strips, but has the places of only {known}; it is damaged, copy or "
            f"save it again"
        )
    piece, most = prod(page.chunks) * np.dtype(page.dtype).itemsize, max(page.databytecounts, default=0)
    ratio = RATIOS.get(int(page.compression))
    if ratio and most and piece > max(ratio * most, LARGEST_PAGE):
        raise UserError(
            f"{path} declares tiles or strips of {piece / 1e9:.3g} GB, of which {most} bytes are there; it is damaged, "
            "copy or save it again"
        )


def colours(page: tifffile.TiffPage) -> tuple[str, ...]:
    """What the samples of a pixel are, without the alpha behind them; () where the file does not say."""
    if page.photometric in (tifffile.PHOTOMETRIC.RGB, tifffile.PHOTOMETRIC.YCBCR) and page.samplesperpixel >= 3:
        return RGB
    alpha = tifffile.EXTRASAMPLE.ASSOCALPHA, tifffile.EXTRASAMPLE.UNASSALPHA
    return ("gray",) if page.samplesperpixel == 2 and page.extrasamples and page.extrasamples[0] in alpha else ()


def members(series: tifffile.TiffPageSeries, index: int) -> tuple[str, ...]:
    files = {page.parent.filehandle.path for page in series.pages if page is not None}
    return (*sorted(files), str(index))


def companions(path: Path) -> list[Path]:
    """The other files that an OME-TIFF names, which are read with it; [] where it names none or is none."""
    if ".ome." not in path.name.lower():
        return []
    try:
        with tifffile.TiffFile(path) as file:
            metadata = file.ome_metadata or ""
    except (OSError, ValueError, tifffile.TiffFileError):  # whoever opens it says what is wrong
        return []
    names = sorted(set(re.findall(r'\bFileName="([^"]+)"', metadata)))
    return [path.parent / unescape(name) for name in names]


def calibration(file: tifffile.TiffFile, index: int) -> tuple[dict[str, float], dict[str, str], tuple[str, ...]]:
    """Voxel extents, their units and the channels' names, as far as the metadata of the series say.

    The resolution tags of a plain TIFF are left alone: they are dots per inch for a printer more often than not.
    """
    kind = file.series[index].kind
    if kind == "ome":
        return ome(file.ome_metadata or "", index)
    if kind == "imagej":
        return imagej(file)
    if kind in MAIN_FIRST:
        return {"lsm": lsm, "svs": svs, "qpi": qptiff}[kind](file, index)
    if kind == "shaped":
        said = file.shaped_metadata[index] if file.shaped_metadata and index < len(file.shaped_metadata) else {}
        size, unit = said.get("voxel"), said.get("unit")
        if isinstance(size, list) and isinstance(unit, str):
            axes = "zyx"[-len(size) :]
            return dict(zip(axes, map(float, size))), dict.fromkeys(axes, unit), ()
    return {}, {}, ()


def imagej(file: tifffile.TiffFile) -> tuple[dict[str, float], dict[str, str], tuple[str, ...]]:
    """ImageJ keeps voxels per unit in the resolution tags, and z and the unit's name in its own metadata.

    Without a unit the numbers mean nothing (72 dots per inch is common), so they are dropped.
    """
    said = file.imagej_metadata or {}
    units, extents = {}, {}
    unit = said.get("unit")
    if isinstance(unit, str) and not unit.strip():
        unit = None
    for axis, code in (("y", 283), ("x", 282)):
        tag = file.pages.first.tags.get(code)
        per_unit = tag.value[0] / tag.value[1] if tag and tag.value[0] and tag.value[1] else None
        if per_unit and known_extent(per_unit):  # a ratio of 32-bit integers: seven digits are what it holds
            extents[axis] = float(f"{1 / per_unit:.7g}")
    if (spacing := known_extent(said.get("spacing"))) is not None:
        extents["z"] = spacing
    for axis in extents:
        name = said.get(f"{axis}unit", unit)
        if isinstance(name, str):
            units[axis] = name
    if unit is None:  # the z spacing alone still tells the anisotropy, in a unit that has to be declared
        extents = {a: e for a, e in extents.items() if a == "z"}
    names = said.get("Labels", [])
    channels = said.get("channels", 1)
    same = isinstance(names, list) and len(names) == channels and channels > 1
    return extents, units, tuple(str(name) for name in names) if same else ()


def lsm(file: tifffile.TiffFile, _: int) -> tuple[dict[str, float], dict[str, str], tuple[str, ...]]:
    """Zeiss LSM has voxel sizes in metres, and channels by the names of their colours."""
    said = file.lsm_metadata or {}
    sizes = {axis: known_extent(said.get(f"VoxelSize{axis.upper()}")) for axis in "zyx"}
    extents = {axis: round(size * 1e6, 9) for axis, size in sizes.items() if size}
    names = said.get("ChannelColors", {}).get("ColorNames", [])
    return extents, dict.fromkeys(extents, "um"), tuple(map(str, names))


def svs(file: tifffile.TiffFile, index: int) -> tuple[dict[str, float], dict[str, str], tuple[str, ...]]:
    """Aperio SVS has micrometres per pixel in the description of its first page; its other series have none."""
    said = tifffile.tifffile.svs_description_metadata(file.pages.first.description)
    size = known_extent(said.get("MPP")) if index == 0 else None
    extents = {"y": size, "x": size} if size else {}
    return extents, dict.fromkeys(extents, "um"), ()


def qptiff(file: tifffile.TiffFile, index: int) -> tuple[dict[str, float], dict[str, str], tuple[str, ...]]:
    """QPTIFF has its resolution in the tags, which it means, and a description of each channel on the page of it."""
    pages = [page for page in file.series[index].pages if isinstance(page, tifffile.TiffPage)]
    page = file.series[index].keyframe
    unit = page.tags.get(296)
    length = {CENTIMETRE: 1e4, INCH: 25400.0}.get(int(unit.value) if unit else 0)
    extents = {}
    for axis, code in (("y", 283), ("x", 282)):
        tag = page.tags.get(code)
        if length and tag and tag.value[0] and tag.value[1]:
            extents[axis] = float(f"{length * tag.value[1] / tag.value[0]:.7g}")
    names = tuple(qptiff_channel(one) for one in pages)
    return extents, dict.fromkeys(extents, "um"), names if any(names) else ()


def qptiff_channel(page: tifffile.TiffPage) -> str:
    """What a page shows: the biomarker, or else the stain or the filter."""
    try:
        root = ElementTree.fromstring(re.sub(r"^<\?xml.*?\?>", "", page.description.strip()))
    except (ElementTree.ParseError, AttributeError):
        return ""
    return next((text for tag in ("Biomarker", "Name") if (text := (root.findtext(tag) or "").strip())), "")


def ome(xml: str, index: int) -> tuple[dict[str, float], dict[str, str], tuple[str, ...]]:
    """PhysicalSizeX, Y, Z of the image (in micrometres unless PhysicalSizeXUnit says otherwise) and channel names."""
    root = ElementTree.fromstring(xml)
    images = [child for child in root if child.tag.endswith("}Image") or child.tag == "Image"]
    if index >= len(images):
        return {}, {}, ()
    image = images[index]
    pixels = next((child for child in image if child.tag.endswith("Pixels")), None)
    if pixels is None:
        return {}, {}, ()
    extents, units = {}, {}
    for axis in "zyx":
        name = f"PhysicalSize{axis.upper()}"
        unit = pixels.get(f"{name}Unit", "µm")
        extent = known_extent(pixels.get(name))
        if extent is not None and unit != "reference frame":
            extents[axis], units[axis] = extent, unit
    channels = [child for child in pixels if child.tag.endswith("Channel")]
    names = tuple(channel.get("Name") or channel.get("ID") or "" for channel in channels)
    return extents, units, names


@contextmanager
def open_file(path: Path, known: bool = True) -> Iterator[tifffile.TiffFile]:
    """The file, refused where tifffile finds it incomplete. known: its metadata were looked at before.

    tifffile reads what is left of a file that was cut short, fills missing pages with zeros, and says so to its
    log only.
    """
    with TiffWarnings() as complaints, tifffile.TiffFile(path) as file:
        if not known:
            refuse_endless(path, file)
        if not file.series:
            raise UserError(f"{path} holds no image; copy or save it again")
        if complaints.said:
            reason = complaints.said[0]
            raise UserError(f"{path} is incomplete ({reason}); copy or save it again, with all files that belong to it")
        yield file


def refuse_endless(path: Path, file: tifffile.TiffFile) -> None:
    """Raises UserError where OME metadata declare more planes than their files can hold.

    tifffile makes an entry for each of them when it is asked for the series.
    """
    if not file.is_ome:
        return
    try:
        root = ElementTree.fromstring(file.ome_metadata or "<OME/>")
    except ElementTree.ParseError as error:
        raise UserError(
            f"{path} has OME metadata that are no XML ({error}); they are damaged, copy or save it again"
        ) from error
    names = {part.get("FileName") for part in root.iter() if part.tag.endswith("UUID")}
    places = {path.parent / name for name in names if name} | {path}
    size = sum(place.stat().st_size for place in places if place.is_file())
    for pixels in (part for part in root.iter() if part.tag.endswith("Pixels")):
        planes = prod(int(pixels.get(f"Size{axis}", "1")) for axis in "ZCT")
        if planes > size / PLANE_BYTES:
            raise UserError(
                f"{path} declares {planes} planes, which its {size} bytes cannot hold; it is damaged, copy or save it "
                "again"
            )


class TiffWarnings(logging.Handler):
    """What tifffile logs in this thread about missing or inconsistent pages."""

    SERIOUS = ("page offset", "series", "missing", "corrupted file", "failed to read", "incomplete", "circular")

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.thread = threading.get_ident()
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if record.thread == self.thread and any(word in message for word in self.SERIOUS):
            reason = message.rpartition("> ")[2].partition(", raised FileNotFoundError")[0]
            self.said.append(reason.partition(". Missing data are zeroed")[0][:120])

    def __enter__(self) -> "TiffWarnings":
        logging.getLogger("tifffile").addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("tifffile").removeHandler(self)
