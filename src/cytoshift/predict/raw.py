"""The channels of a network before decoding, for those who decode them themselves: `segment --raw`.

One HDF5 file per image, as CySGAN's usage page reads it: dataset "vol0", uint8 (1 + K, *S) on the image's own grid.

    0     the image as the network saw it, normalised. That page has the translated image here and does not need it;
          a model is exported without the translation. If the image has several channels, so has this part.
    1:    the channels of the representation, activated: foreground, contour and signed distance of a BCD

0 to 255 stand for 0 to 1, for -1 to 1 of a signed distance, and for the range of the normalised image (-1 to 1, or
its reach in standard deviations).

    pred = h5py.File("cells.h5")["vol0"][:]
    labels = cytoshift.bcd_watershed(pred[1:])
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import UserError
from ..data.channels import made_by, write_channels
from ..data.volumes import Volume
from ..represent import Representation
from ..represent.base import to_eight_bits

SUFFIXES = (".h5", ".hdf5")


@dataclass(frozen=True, eq=False)
class Raw:
    """What the decoder of an image was given, and before it the image itself."""

    channels: NDArray[np.uint8]  # (C + K, *S)
    names: tuple[str, ...]  # C + K


class RawFiles:
    """Where the raw predictions of a call go: a file for one image, or a folder with a file for each.

    request: what decides about the numbers (model, options). Every file keeps it, so that it is known again.
    Raises UserError for places that cannot be written.
    """

    def __init__(self, where: Path, volumes: Sequence[Volume], request: dict[str, Any]) -> None:
        self.where, self.volumes, self.request = where, volumes, request
        self.single = where.suffix.lower() in SUFFIXES and not where.is_dir()
        self.refuse_places()

    def claim(self, anew: bool, overwrite: bool) -> None:
        """Raises UserError, before any work is done, for what would be replaced without a wish. With `anew`, nothing
        that is there already is taken over, but what a call that was stopped has left."""
        for volume in self.volumes:
            self.refuse_strangers(volume, anew, overwrite)

    def is_finished(self, volume: Volume) -> bool:
        """Whether the file of an image is there, and of this request."""
        path = self.path(volume)
        return path.exists() and made_by(path) == self.words(volume)

    def refuse_places(self) -> None:
        if self.single and len(self.volumes) > 1:
            raise UserError(
                f"raw predictions of {len(self.volumes)} images do not fit into the one file {self.where}; pass a "
                f"folder to `raw`"
            )
        if not self.single and (self.where.suffix or self.where.exists()) and not self.where.is_dir():
            raise UserError(
                f"raw predictions are HDF5, but {self.where} is neither such a file nor a folder; pass a name that "
                f"ends in .h5 or a folder to `raw`"
            )

    def refuse_strangers(self, volume: Volume, anew: bool, overwrite: bool) -> None:
        path = self.path(volume)
        if not path.exists():
            return
        words = made_by(path)
        if words is None:
            raise UserError(f"{path} already exists and holds no raw predictions; pass another place to `raw`")
        if not overwrite and (anew or words != self.words(volume)):
            raise UserError(f"{path} already exists; pass `overwrite` to replace it or another place to `raw`")

    def path(self, volume: Volume) -> Path:
        return self.where if self.single else self.where / f"{volume.name}.h5"

    def words(self, volume: Volume) -> str:
        """What the file of an image was made from."""
        return json.dumps(self.request | {"image": volume.origin}, sort_keys=True)

    def write(self, volume: Volume, raw: Raw) -> None:
        write_channels(self.path(volume), raw.channels, raw.names, volume.voxel, volume.axes, self.words(volume))


def round_to_eight_bits(
    image: NDArray[np.float32],
    clips: list[tuple[float, float]],
    channels: NDArray[np.float32],
    represent: Representation,
) -> Raw:
    """Normalised image (*S) or (C, *S) in the ranges `clips` and activated channels (K, *S), in 8 bits.

    They are rounded as `bcd_watershed` and the decoder of BCD round them.
    """
    space, count = channels.shape[1:], len(clips)
    out: NDArray[np.uint8] = np.empty((count + len(channels), *space), dtype=np.uint8)
    for place, channel, (low, high) in zip(out, image.reshape(-1, *space), clips):
        place[...] = np.rint((channel - low) * (255 / (high - low)))
    out[count:] = to_eight_bits(channels, represent.ranges)
    return Raw(out, (*(["image"] if count == 1 else [f"image {i}" for i in range(count)]), *represent.channels))
