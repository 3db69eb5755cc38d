"""The frames of a file along time as one thing, so that what comes out has the shape of what went in."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .volumes import Volume


@dataclass(frozen=True, eq=False)
class Series:
    """An image, or the frames of one file. name: of the file. frames: in the order of time; a single one of an image.

    is_timed: whether the file has an axis t.
    """

    name: str
    frames: tuple[Volume, ...]
    is_timed: bool

    @property
    def file_name(self) -> str:
        """Of the file that they come from."""
        return Path(self.frames[0].origin.partition(", ")[0].partition("::")[0]).name

    @property
    def axes(self) -> str:
        """Of the file that is written, such as "tyx"."""
        return "t" * self.is_timed + self.frames[0].axes


def series_of(volumes: Iterable[Volume]) -> list[Series]:
    """Images as they are, frames of one file together, in the order of their first."""
    found: dict[tuple[str, bool], list[Volume]] = {}
    for volume in volumes:
        found.setdefault((series_name(volume), volume.frame is not None), []).append(volume)
    return [Series(name, tuple(frames), timed) for (name, timed), frames in found.items()]


def series_name(volume: Volume) -> str:
    """The name of the file that a frame comes from; of other images their own."""
    return volume.name if volume.frame is None else volume.name.rpartition("_t")[0]


def has_all_frames(frames: Sequence[Volume]) -> bool:
    """Whether these are all frames of a file, in their order."""
    return all(one.frame == (number, len(frames)) for number, one in enumerate(frames))
