"""Label images of frames, one file each, as one film: folders of the Cell Tracking Challenge among them."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ...core.errors import UserError
from ..axes import stacking_axis
from ..find import find_files
from ..formats import pictures
from ..volumes import ImageSource, Volume, open_labels

TRACKS = ("res_track.txt", "man_track.txt")  # tables of the Challenge: label, first frame, last frame, parent
NAME = re.compile(r"(mask|man_seg|man_track)(\d{3,})")


def open_film(source: ImageSource) -> list[Volume]:
    """Label images; those of a folder of frames as the frames of one file.

    A folder is one of frames where it is of the Cell Tracking Challenge (by its table of tracks, or by names as
    man_seg000.tif), and where `axes` has a t that its files lack, as `tyx` over 2D files. Ids stay as they are.

    Raises
    ------
    UserError
        As `open_labels`; where frames are missing, or differ in their shape.
    """
    paths = [source.paths] if isinstance(source.paths, str) else source.paths
    folder = Path(paths[0]).expanduser()
    named = len(paths) == 1 and folder.is_dir() and is_of_challenge(folder)
    if not named and not (source.axes and source.axes[0] == "t" and is_stacked(paths[0], source)):
        return open_labels(source)
    volumes = open_labels(source.model_copy(update={"frames": None}))
    if any(one.frame for one in volumes) or (named and not all(NAME.fullmatch(one.name) for one in volumes)):
        return open_labels(source)  # each of its files is a film, or all of them are slices of a stack
    if named:
        refuse_gaps(folder, [one.name for one in volumes])
    if odd := next((one for one in volumes if (one.shape, one.axes) != (volumes[0].shape, volumes[0].axes)), None):
        raise UserError(
            f"{volumes[0].origin} has the shape {volumes[0].shape}, but {odd.origin} {odd.shape}; frames of one film "
            "have one shape"
        )
    return frames_of(folder.resolve().name, volumes, source.frames)


def is_of_challenge(folder: Path) -> bool:
    """Whether a folder is one of masks of the Cell Tracking Challenge."""
    names = [one.stem for one in folder.iterdir() if one.suffix.lower() in (".tif", ".tiff")]
    kinds = {found[1] if (found := NAME.fullmatch(name)) else None for name in names}
    has_table = any((folder / name).is_file() for name in TRACKS)
    return len(kinds) == 1 and None not in kinds and (has_table or kinds != {"mask"})


def is_stacked(path: str, source: ImageSource) -> bool:
    """Whether declared axes are those of a folder or glob and not of each of its files."""
    found = find_files(path, labels=True)
    return found.name is not None and stacking_axis(
        pictures(found.files[0], found.part, source.level, labels=True)[0], source.axes
    )


def refuse_gaps(folder: Path, names: Sequence[str]) -> None:
    """Raises UserError where masks of some frames are missing, as a film has no place for none."""
    there = {int(found[2]) for name in names if (found := NAME.fullmatch(name))}
    last = max([*there, *last_frames(folder)])
    if count := last + 1 - len(there):
        first = next(number for number in range(last + 1) if number not in there)
        more = f" (and {count - 1} more)" if count > 1 else ""
        raise UserError(
            f"{folder} has no mask of frame {first}{more}, so it is no whole film; pass a folder as `out` and `to=tif` "
            "for a label image of each frame that is there"
        )


def last_frames(folder: Path) -> list[int]:
    """The last frames of all tracks of a folder's table; none without a table. Raises UserError for a damaged one."""
    table = next((folder / name for name in TRACKS if (folder / name).is_file()), None)
    if table is None:
        return []
    rows = [line.split() for line in table.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    if bad := next((row for row in rows if len(row) != 4 or not all(word.isdecimal() for word in row)), None):
        raise UserError(
            f"{table} has the line '{' '.join(bad)[:80]}', but a track is four whole numbers, its label, first frame, "
            "last frame and parent; copy the table again"
        )
    return [int(row[2]) for row in rows]


def frames_of(name: str, volumes: Sequence[Volume], chosen: Sequence[int] | None) -> list[Volume]:
    """Images as the frames of one film, all of them or those of some numbers."""
    count = len(volumes)
    if strange := [number for number in chosen or () if not 0 <= number < count]:
        raise UserError(f"{name} has no frame {strange[0]}, it has {count}; pass `frames` from 0 to {count - 1}")
    digits = len(str(count - 1))
    return [
        replace(volumes[t], name=f"{name}_t{t:0{digits}d}", frame=(t, count))
        for t in (range(count) if chosen is None else chosen)
    ]
