"""Libraries of shapes on disk, and what draws masks of cells from settings."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..core.errors import UserError
from ..core.voxel import Voxel
from ..synth.cells import PairPrior, Shapes
from ..synth.organelles import draw_pairs, draw_shapes

if TYPE_CHECKING:
    from ..synth.library import Library

Drawer = Callable[[tuple[int, ...], Voxel, np.random.Generator], NDArray[np.int32]]
PREFIX = {"golgi": "golgi", "nuclei": "nucle"}  # of the arrays of a class, in any case


def drawer(prior: PairPrior | Shapes) -> Drawer:
    """(shape, voxel, rng) -> labels (2, Z, Y, X) of Golgi and nuclei; a library is read once, here."""
    if isinstance(prior, PairPrior):
        return partial(draw_pairs, prior)
    return partial(draw_shapes, prior, open_library(prior))


def open_library(shapes: Shapes) -> "Library":
    """The shapes of an npz file. Raises UserError where there is none, or none of a class, or an array is no shape."""
    from ..synth.library import Library, cutouts

    masks = read_masks(Path(shapes.path), shapes.axes)
    golgi, nuclei = (cutouts(masks[name], shapes.voxel, shapes.scale) for name in ("golgi", "nuclei"))
    return Library(golgi, nuclei)


def read_masks(path: Path, axes: str) -> dict[str, list[NDArray[np.bool_]]]:
    """Binary shapes (Z, Y, X) by class."""
    order = tuple(axes.index(axis) for axis in "zyx")
    masks: dict[str, list[NDArray[np.bool_]]] = {name: [] for name in PREFIX}
    try:
        file = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise UserError(f"library of shapes {path} does not exist; check prior.path") from None
    except (OSError, ValueError):
        raise UserError(f"library of shapes {path} is not readable as npz; save one with numpy.savez") from None
    if not isinstance(file, np.lib.npyio.NpzFile):
        raise UserError(f"library of shapes {path} is a single array; save one array per object with numpy.savez")
    with file:
        for key in sorted(file.files):
            name = next((name for name, prefix in PREFIX.items() if key.lower().startswith(prefix)), None)
            if name is None:
                continue
            array = file[key]
            if array.ndim != 3 or array.dtype.kind not in "biu" or not array.any():
                raise UserError(
                    f"{path}: '{key}' {array.shape} {array.dtype} is not a binary shape in 3D, or is empty; leave it "
                    f"out"
                )
            masks[name].append(array.transpose(order) > 0)
        for name, prefix in PREFIX.items():
            if not masks[name]:
                known = ", ".join(file.files[:4]) or "nothing"
                raise UserError(f"{path} has no shapes of {name}: no array is called {prefix}...; there are {known}")
    return masks
