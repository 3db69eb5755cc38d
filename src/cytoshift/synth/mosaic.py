"""Phantoms as large as one likes: tiles of a few that are drawn, mirrored and laid side by side.

Nothing but the tiles that were drawn is held in memory. Any box of the image or of its labels can be asked for, and
comes out the same whatever was asked for before.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.blocks import Slices
from ..core.errors import UserError
from ..core.rng import stream
from ..core.voxel import Voxel
from .ellipses import draw_labels
from .optics import render
from .phantoms import look_up

DRAWN_TILES = 8  # different tiles; each is laid in all ways of mirroring it


@dataclass(frozen=True)
class Mosaic:
    """An image of `shape` in the kind of a preset. All objects lie inside of a tile, none is cut but by the end.

    Tiles are a sixth larger than the preset's images: their borders, which nothing crosses, are not those of blocks.
    """

    preset: str
    seed: int
    shape: tuple[int, ...]
    tile: tuple[int, ...]

    @classmethod
    def of(cls, preset: str, seed: int, shape: tuple[int, ...]) -> "Mosaic":
        """Raises UserError for a preset that does not exist, and a shape that does not fit it."""
        usual = look_up(preset).shape
        if len(shape) != len(usual) or any(n < t for n, t in zip(shape, usual)):
            raise UserError(
                f"shape {shape} is too small, a mosaic of the {len(usual)}D preset '{preset}' has at least {usual} "
                "voxels; pass a larger `shape`, or write single images to a folder"
            )
        return cls(preset, seed, shape, tuple(n + n // 6 + 1 for n in usual))

    @property
    def voxel(self) -> Voxel:
        return look_up(self.preset).voxel

    @cached_property
    def tiles(self) -> list[tuple[NDArray[np.generic], NDArray[np.int32]]]:
        """Images and labels of the tiles; even light, so that the borders of tiles are not visible."""
        kind = look_up(self.preset)
        pairs: list[tuple[NDArray[np.generic], NDArray[np.int32]]] = []
        prior = kind.prior.model_copy(update={"border": "inside"})
        optics = kind.optics.model_copy(update={"gradient": 0.0, "mottle": 0.0, "attenuation": None})
        for index in range(DRAWN_TILES):
            labels = draw_labels(prior, self.tile, kind.voxel, stream(self.seed, "mosaic", index, "labels"))
            pairs.append((render(labels, kind.voxel, optics, stream(self.seed, "mosaic", index, "image")), labels))
        return pairs

    @cached_property
    def counts(self) -> tuple[int, ...]:
        """Tiles along each axis; the last one is cut."""
        return tuple(-(-n // t) for n, t in zip(self.shape, self.tile))

    @cached_property
    def layout(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Which tile lies at each place, which way mirrored (a bit per axis); both in C order."""
        rng, places = stream(self.seed, "mosaic", "laid"), int(np.prod(self.counts))
        return rng.integers(DRAWN_TILES, size=places), rng.integers(2 ** len(self.shape), size=places)

    @cached_property
    def last_ids(self) -> NDArray[np.int64]:
        """Objects of the tiles before each place: what is added to its ids."""
        objects = np.array([labels.max(initial=0) for _, labels in self.tiles])[self.layout[0]]
        return np.concatenate([[0], np.cumsum(objects)])

    @property
    def image(self) -> "MosaicLayer":
        return MosaicLayer(self, 0, self.tiles[0][0].dtype)

    @property
    def labels(self) -> "MosaicLayer":
        """Ids 1, 2 ...; of tiles that the end cuts, those outside do not occur."""
        return MosaicLayer(self, 1, np.min_scalar_type(int(self.last_ids[-1])))

    def box(self, layer: int, region: Slices, dtype: np.dtype[Any]) -> NDArray[np.generic]:
        """A box of the image (layer 0) or of the labels (1)."""
        out = np.empty([r.stop - r.start for r in region], dtype)
        around = (range(r.start // t, -(-r.stop // t)) for r, t in zip(region, self.tile))
        for at in product(*around):
            place = int(np.ravel_multi_index(at, self.counts))
            which, way = self.layout[0][place], self.layout[1][place]
            mirrored = tuple(slice(None, None, -1 if way >> axis & 1 else 1) for axis in range(len(at)))
            tile = self.tiles[which][layer][mirrored]
            corner = [a * t for a, t in zip(at, self.tile)]
            inside = tuple(slice(max(r.start - c, 0), min(r.stop - c, t)) for r, c, t in zip(region, corner, self.tile))
            target = tuple(
                slice(i.start + c - r.start, i.stop + c - r.start) for i, c, r in zip(inside, corner, region)
            )
            part = tile[inside]
            out[target] = part if layer == 0 else np.where(part > 0, part + self.last_ids[place], 0)
        return out


@dataclass(frozen=True, eq=False)
class MosaicLayer:
    """The image of a mosaic, or its labels; sliced, it gives what is asked for."""

    mosaic: Mosaic
    number: int
    dtype: np.dtype[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.mosaic.shape

    @property
    def chunks(self) -> None:
        return None

    def __getitem__(self, region: Slices) -> NDArray[np.generic]:
        """region: a slice for each axis."""
        ends = tuple(slice(*part.indices(n)[:2]) for part, n in zip(region, self.shape, strict=True))
        return self.mosaic.box(self.number, ends, self.dtype)
