"""One mask for each object of an image: `a/images/a.png` and `a/masks/*.png`, as in the Data Science Bowl 2018."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...core.errors import UserError
from ...core.provenance import SayOnce
from ..picture import Picture, StoredArray, name_stem
from . import PictureRequest, pictures


@dataclass(frozen=True)
class ObjectMasks:
    """Masks (Y, X) of one grid as one label image: object i is what the i-th of them covers.

    Where two overlap, the voxels stay with the first.
    """

    folder: Path
    masks: tuple[StoredArray, ...]
    shape: tuple[int, ...]

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(np.uint16 if len(self.masks) < 2**16 else np.uint32)

    @property
    def chunks(self) -> tuple[int, ...]:
        return self.shape

    def read(self, region: tuple[slice, ...]) -> NDArray[np.generic]:
        out, shared = np.zeros(self.shape, self.dtype), 0
        for number, mask in enumerate(self.masks, 1):
            values = mask.read(tuple(slice(0, n, 1) for n in mask.shape)).reshape(self.shape)
            if len(ids := np.unique(values)) > 2 or (len(ids) == 2 and ids[0] != 0):
                raise UserError(
                    f"{self.folder} is to hold one mask for each object, but mask {number} of it has the numbers "
                    f"{', '.join(map(str, ids[:4].tolist()))}; pass label images as a folder of another name"
                )
            inside = values != 0
            shared += int(np.count_nonzero(out[inside]))
            out[inside & (out == 0)] = number
        if shared:
            SayOnce.say(f"{shared} voxels of {self.folder} belong to several masks, and were given to the first")
        return out[region]


def open_pictures(request: PictureRequest) -> list[Picture]:
    """The masks of a folder as the label image of the one image beside it, or of the folder above where there is none.

    Raises UserError where they are not 2D, or differ in shape.
    """
    from ..find import images_in_folder

    folder = request.path
    found = [pictures(file, labels=True)[0] for file in images_in_folder(folder)]
    beside = folder.parent / "images"
    images = images_in_folder(beside) if beside.is_dir() else []
    shapes = [tuple(n for n in mask.array.shape if n > 1) for mask in found]
    odd = next((i for i, shape in enumerate(shapes) if shape != shapes[0] or len(shape) != 2), None)
    if odd is not None:
        raise UserError(
            f"{found[odd].origin} has the shape {found[odd].array.shape}, {found[0].origin} {found[0].array.shape}; "
            "one mask for each object needs masks (y, x) of one shape"
        )
    name = name_stem(images[0]) if len(images) == 1 else name_stem(folder.parent.resolve())
    array = ObjectMasks(folder, tuple(mask.array for mask in found), shapes[0])
    return [Picture(array, "yx", name, f"{folder}, {len(found)} masks of one object each")]
