"""Which images, and what their files do not say: declared in settings, or in the words of a command line."""

from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import StrictInt, StrictStr, field_validator

from ..core.errors import UserError
from ..core.settings import LaterSettings, parse
from ..core.voxel import PIXEL, UNITS
from .picture import AXES


class ImageSource(LaterSettings):
    """Which images, and what their files do not say about them.

    paths: file, folder or glob, or several; `file.h5::raw` names a dataset, `image.zarr::labels/nuclei` a group,
        `scenes.lif::2` a scene.
    axes: a letter per axis, of t (time), c (channel), z, y, x and s (samples of a colour). `zyx` over a folder of 2D
        files makes one stack of them, in natural order.
    channel: number along c (or s), the name that the file has for it, or "luminance" of an RGB image; a list makes
        images of several channels, in that order.
    level: of a pyramid, 0 the finest. voxel: extents (z, y, x) or (y, x) in `unit`, of the level that is read.
    frames: numbers along t, as a list or as "0-40,45"; all of them without it. Every frame is a volume of its own: with
        the axes `tyx`, the sections of a stack are images in 2D.
    crop: per axis, from which part of the extent to which, as {x: [0, 0.67]}.
    suffix: of folders and globs, only files whose name ends so in front of its format, as _masks in a_masks.tif; it is
        no part of the image's name, so that a.tif and a_masks.tif belong together.
    without: of folders and globs, no files whose name ends so.
    skip_bad: goes on without files that cannot be read, or are unlike the others, and says so.
    """

    paths: str | list[str]
    axes: str | None = None
    channel: StrictInt | StrictStr | tuple[StrictInt | StrictStr, ...] | None = None
    level: int = 0
    voxel: tuple[float, ...] | None = None
    unit: str | None = None
    frames: tuple[int, ...] | None = None
    crop: dict[Literal["z", "y", "x"], tuple[float, float]] | None = None
    suffix: str | None = None
    without: str | None = None
    skip_bad: bool = False

    later: ClassVar[frozenset[str]] = frozenset({"suffix", "without", "skip_bad"})

    @field_validator("paths", mode="before")
    @classmethod
    def _paths(cls, value: Any) -> Any:
        many = isinstance(value, list | tuple)
        if not all(isinstance(path, str | Path) for path in (value if many else [value])):
            raise ValueError("a path or a list of paths is needed")
        return [str(path) for path in value] if many else str(value)

    @field_validator("channel", mode="before")
    @classmethod
    def _channel(cls, value: Any) -> Any:
        if isinstance(value, list | tuple):
            if not value or len(set(value)) < len(value) or not all(is_channel(n) for n in value):
                raise ValueError("channels are different numbers or names; write for example [0, 1]")
            return value[0] if len(value) == 1 else tuple(value)
        if value is not None and not is_channel(value):
            raise ValueError("a channel is a number, a name, or luminance of an RGB image; write for example 0")
        return value

    @field_validator("axes")
    @classmethod
    def _axes(cls, value: str | None) -> str | None:
        if value is None:
            return None
        axes = value.lower()
        strangers = [a for a in axes if a not in AXES]
        if strangers:
            raise ValueError(f"'{strangers[0]}' is not an axis; use letters of {AXES}, for example zyx")
        if len(set(axes)) != len(axes):
            raise ValueError("a letter is used twice; every axis has its own letter, for example zyx")
        if not {"y", "x"} <= set(axes):
            raise ValueError("an image needs y and x; write for example zyx")
        return axes

    @field_validator("frames", mode="before")
    @classmethod
    def _frames(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return expand_ranges(value)
        except ValueError:
            raise ValueError("whole numbers and ranges of them are needed; write for example 0-40,45") from None

    @field_validator("crop")
    @classmethod
    def _crop(cls, value: Any) -> Any:
        for axis, (start, stop) in (value or {}).items():
            if not 0 <= start < stop <= 1:
                raise ValueError(f"{axis} goes from {start:g} to {stop:g}; write parts of the extent such as [0, 0.67]")
        return value

    @field_validator("unit")
    @classmethod
    def _unit(cls, value: str | None) -> str | None:
        if value is not None and value.strip().lower() not in (PIXEL, "pixel", "pixels", *UNITS):
            raise ValueError("not a unit of length; use um, nm, mm or px")
        return value

    @field_validator("voxel")
    @classmethod
    def _voxel(cls, value: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if value is not None and (len(value) not in (2, 3) or not all(extent > 0 for extent in value)):
            raise ValueError("two or three positive numbers are needed, (y, x) or (z, y, x)")
        return value


def image_source(
    paths: str | Path | list[str] | list[Path],
    axes: str | None = None,
    channel: str | int | None = None,
    level: int = 0,
    voxel: str | None = None,
    unit: str | None = None,
    frames: str | None = None,
    skip_bad: bool = False,
) -> ImageSource:
    """An ImageSource from the words of a command line, such as --voxel 2,1,1, --frames 0,5 and --channel 0,DAPI.

    Raises UserError.
    """
    numbers = None if voxel is None else [number(part, float, "voxel", "2,1,1") for part in voxel.split(",")]
    chosen: int | str | list[int | str] | None = channel
    if isinstance(channel, str):
        words = [word.strip() for word in channel.split(",")]
        chosen = [int(word) if word.isdecimal() else word for word in words]
    said = {"paths": paths, "axes": axes, "channel": chosen, "level": level, "voxel": numbers, "unit": unit}
    said |= {"skip_bad": True} if skip_bad else {}
    return parse(ImageSource, {**said, "frames": frames}, "image options")


def is_channel(value: object) -> bool:
    """Whether a value can be the number or the name of a channel."""
    return bool(value.strip()) if isinstance(value, str) else isinstance(value, int) and not isinstance(value, bool)


def expand_ranges(frames: str) -> list[int]:
    """Numbers and ranges to numbers; raises ValueError for anything else.

    >>> expand_ranges("0-3,7")
    [0, 1, 2, 3, 7]
    """
    ends = [[int(end) for end in part.split("-", 1)] for part in frames.split(",")]
    return [frame for end in ends for frame in range(end[0], end[-1] + 1)]


def number(word: str, kind: type[int] | type[float], what: str, example: str) -> float:
    try:
        return kind(word)
    except ValueError:
        whole = "whole " if kind is int else ""
        raise UserError(f"{what} '{word}' is not a {whole}number; write for example `{what}={example}`") from None
