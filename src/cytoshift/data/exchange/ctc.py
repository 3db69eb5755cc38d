"""The Cell Tracking Challenge: a mask for each frame, and a table of tracks."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...core.atomic import atomic_path
from ...core.errors import UserError
from ...labels.ids import compact_labels
from .label_series import LabelSeries

MOST_IDS = 2**16 - 1  # ids of a mask of 16 bits


def refuse_ctc(labels: LabelSeries) -> None:
    """Raises UserError where frames differ in their shape."""
    if len({frame.shape for frame in labels.series.frames}) > 1:
        raise UserError(f"the frames of {labels.name} differ in their shape; write those of one shape, by `frames`")


def write_ctc(path: Path, labels: Sequence[LabelSeries]) -> None:
    """A folder with mask000.tif, mask001.tif ... and res_track.txt.

    Nobody has tracked the objects: an id in one frame and the same id in another are two objects. So ids are numbered
    on from frame to frame, and every object has a track of one frame.

    Raises UserError for more objects than fit into 16 bits.
    """
    import tifffile

    (one,) = labels
    frames = one.series.frames
    digits = max(3, len(str(len(frames) - 1)))
    with atomic_path(path) as beside:
        beside.mkdir()
        tracks, before = list[str](), 0
        for t, frame in enumerate(frames):
            numbered, ids, _ = compact_labels(frame.load())
            if before + ids.size > MOST_IDS:
                raise UserError(
                    f"{one.name} has more than the {MOST_IDS} objects that masks of the Cell Tracking Challenge hold; "
                    "write fewer frames at a time, by `frames`"
                )
            tifffile.imwrite(
                beside / f"mask{t:0{digits}d}.tif", shift(numbered, before), compression="zlib",
                photometric="minisblack", metadata={"axes": frame.axes.upper()},
            )  # fmt: skip
            tracks += [f"{before + number} {t} {t} 0\n" for number in range(1, ids.size + 1)]
            before += ids.size
        (beside / "res_track.txt").write_text("".join(tracks), encoding="ascii")


def shift(numbered: NDArray[np.int32], by: int) -> NDArray[np.uint16]:
    """Dense labels with higher numbers."""
    return np.where(numbered > 0, numbered + by, 0).astype(np.uint16)
