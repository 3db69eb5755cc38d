"""How far a network sees, and boxes of a volume that are drawn with as much around them: what is drawn on demand has no
tiles around it to be blended with.
"""

from itertools import islice

import numpy as np
from numpy.typing import NDArray

from ..core.blocks import Slices, extent, within
from ..core.errors import UserError
from ..core.normalise import Scales
from ..model import Segmenter
from .network import LEAST, Tiling, drawn_of
from .norms import Pooled
from .tiles import fitting, spread
from .ways import Way
from .working import Working

FELT = 0.03  # a voxel is changed by a cut that moves its channels by more ...
SHARE = 0.99  # ... and the cut is over where so many voxels of a plane are not


def sight(segmenter: Segmenter, working: Working, tiling: Tiling, way: Way, pooled: Pooled) -> tuple[int, ...]:
    """How deep a network feels that its image ends, in voxels of the working grid: what tiles need as a margin.

    A window from the middle is halved along each axis. From the depth returned on, and up to the largest difference
    of FELT for all but 1 - SHARE of the voxels of a plane, either half comes out as it does in one piece. Networks see
    much farther in principle, but with weights that do not matter. A multiple of what the input is a multiple of.
    """
    step = working.step
    size = fitting(working.shape[1:], tiling.voxels // 4, step)
    place = next(islice(spread(working.shape[1:], size, step), 1))
    window = working[(slice(0, working.shape[0]), *place)]
    whole = drawn(segmenter, window, tiling, way, pooled)
    out = []
    for axis, (n, m) in enumerate(zip(size, step)):
        middle = n // 2 // m * m
        depth = 0
        if middle >= m:
            halves = (slice(0, middle), slice(middle, n))
            for half, backwards in zip(halves, (True, False)):
                at = (*(slice(None),) * (axis + 1), half)
                if (half.stop - half.start) < 2 * m:
                    continue
                part = drawn(segmenter, np.ascontiguousarray(window[at]), tiling, way, pooled)
                depth = max(depth, felt(np.abs(part - whole[at]), axis + 1, backwards))
        out.append(min(-(-depth // m) * m, max(n // 2 // m * m, m)))
    return tuple(out)


def felt(change: NDArray[np.float32], axis: int, backwards: bool) -> int:
    """How many planes from the cut on are changed, (K, *S); `backwards` where the cut is at the end of the axis."""
    planes = np.moveaxis(change, axis, 0).reshape(change.shape[axis], -1)
    if backwards:
        planes = planes[::-1]
    changed = np.flatnonzero(np.quantile(planes, SHARE, axis=1) > FELT)
    return int(changed[-1]) + 1 if changed.size else 0


def box_of(
    segmenter: Segmenter, working: Working, margin: tuple[int, ...], tiling: Tiling, way: Way, pooled: Pooled,
    box: Slices,
) -> NDArray[np.float32]:  # fmt: skip
    """Channels (K, *box) of a box of the volume, which the network sees with its margin."""
    scales = working.scale.each if isinstance(working.scale, Scales) else (working.scale,)
    if all(scale.gain == 0 for scale in scales):  # nothing to see in all of the volume
        return np.zeros((len(segmenter.representation.channels), *extent(box)), dtype=np.float32)
    room = working.needed(box)
    seen = boxed(room, margin, working.step, working.shape[1:], LEAST)
    window = working[(slice(0, working.shape[0]), *seen)]
    channels = drawn(segmenter, window, tiling, way, pooled)
    if not np.isfinite(channels).all():
        raise UserError("the network gives values that are no numbers; try --precision 32, or train the model again")
    inner = np.ascontiguousarray(channels[(slice(None), *within(room, seen))])
    return working.back(inner, room, box)


def drawn(
    segmenter: Segmenter, window: NDArray[np.float32], tiling: Tiling, way: Way, pooled: Pooled
) -> NDArray[np.float32]:
    """(C, *T) -> (K, *T)."""
    return np.asarray(drawn_of(segmenter, [window], tiling, way, pooled)[0], dtype=np.float32)


def boxed(region: Slices, margin: tuple[int, ...], step: tuple[int, ...], shape: tuple[int, ...], least: int) -> Slices:
    """A box with its margin, from and to multiples of `step`, inside of `shape` and at least `least` steps long."""
    out = []
    for r, far, m, n in zip(region, margin, step, shape):
        start = max((r.start - far) // m * m, 0)
        stop = min(-(-(r.stop + far) // m) * m, n)
        if stop - start < least * m:
            start = max(min(start, n - least * m), 0)
            stop = min(start + least * m, n)
        out.append(slice(start, stop))
    assert all(length > 0 for length in extent(tuple(out))), "a box has voxels"
    return tuple(out)
