"""Streams of images in pairs, corrupted and clean, of images with their labels, and of synthetic ones with theirs.

A sample is made in this order; whatever is random has a stream of its own, derived from the seed and the index.

    warp     numbers of the geometry, laid over the patch and its halo: the places to take voxels from
    window   what holds all these places, read once from image and labels and brought to the working voxel size
    pose     flips and quarter turns
    clean    image at these places, with another exposure
    image    the clean one, corrupted
    target   labels at these places, encoded with the halo around them, which is then cut off
"""

import math
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..core.batch import LabelledBatch, LabelledPair, SyntheticBatch, UnlabelledPair
from ..core.errors import UserError
from ..core.normalise import Recipe, recipes
from ..core.rng import stream
from ..core.voxel import Voxel
from ..labels.ignored import split_ignored
from ..represent import Representation
from ..represent.partial import hide_unknown
from ..synth import Randomised, draw_pair, repaint
from .appearance import Appearance, change_appearance
from .augment import Augment, SamplingGrid, change_gamma, lay_steps, sample_pose, sample_warp
from .channel_axis import map_channels
from .corrupt import Corrupt, sample_corruptions, sample_gray
from .resample import ResampledAxis, image_at, labels_at
from .streams import EMPTY_SHARE, MOST_DRAWS, Images
from .volumes import Volume, load_small

# Part of the patch, on each side, that labels are encoded with and that is cut off again: an object at the border of
# the patch has its distances, and its largest one, from what lies beyond.
HALO_PART = 1 / 8
# A labelled patch with less of it in objects is drawn again with that chance (1000 voxels of 17 x 129 x 129).
FEW_OBJECTS_SHARE, REJECTED_CHANCE = 0.0035, 0.9
ALIKE_PART = 1e-3  # over a patch, voxel sizes that differ by so small a part make no difference

Image = NDArray[np.float32]
Place = tuple[int, tuple[int, ...], NDArray]  # volume, corner of the patch in it, labels there
BLANK_SHARE = 0.05  # share of the patches that may show no object at all


class ImagePairs(Images):
    """`Images`, and what they were before they were corrupted: same place, same pose, same exposure.

    Channels share all of it, and what corrupts one corrupts the others likewise.
    """

    kind: ClassVar[type] = UnlabelledPair

    def __init__(
        self, volumes: list[Volume], normalise: Recipe, working: Voxel, patch: tuple[int, ...], seed: int,
        augment: Augment | None = None, corrupt: Corrupt | None = None,
    ):  # fmt: skip
        super().__init__(volumes, normalise, working, patch, seed, augment)
        self.corrupt = corrupt or Corrupt()
        for one in recipes(normalise):
            self.corrupt.fits(len(patch), one)

    def sample(self, index: int) -> tuple[NDArray[np.float32], ...]:
        grid = self.grid(index, (0,) * len(self.patch))
        rng = stream(self.seed, "pairs", index, "window")
        which = self.choose(rng)
        for _ in range(MOST_DRAWS):
            image = self.look(which, self.corner(which, rng), grid)
            if self.foreground_share(image, which) >= EMPTY_SHARE:
                break
        pose = sample_pose(self.augment, self.patch, self.working, stream(self.seed, "pairs", index, "pose"))
        return self.pair(pose(image), index)

    def grid(self, index: int, halo: tuple[int, ...]) -> SamplingGrid:
        """The places of patch number `index` and of its halo."""
        rng = stream(self.seed, "pairs", index, "warp")
        steps = sample_warp(self.corrupt, self.patch, halo, self.working, rng)
        return lay_steps(steps, SamplingGrid.identity(self.patch, halo))

    def choose(self, rng: np.random.Generator) -> int:
        return int(rng.choice(len(self.arrays), p=self.chances))

    def corner(self, which: int, rng: np.random.Generator) -> tuple[int, ...]:
        """Where the patch begins, in voxels of the volume: inside it, or around it where the volume is smaller."""
        sizes = (max(round(n * r), 1) for n, r in zip(self.patch, self.ratio(which)))
        spare = [n - size for n, size in zip(self.arrays[which].shape[-len(self.patch) :], sizes)]
        return tuple(int(rng.integers(s + 1)) if s >= 0 else s // 2 for s in spare)

    def ratio(self, which: int) -> tuple[float, ...]:
        """Own voxels per working voxel; what is the same but for rounding is the same."""
        ratios = (w / o for w, o in zip(self.working.size, self.voxels[which].size))
        return tuple(1.0 if abs(r - 1) < ALIKE_PART else r for r in ratios)

    def read(
        self, array: Any, which: int, corner: tuple[int, ...], grid: SamplingGrid
    ) -> tuple[NDArray, list[ResampledAxis]]:
        """All of `array` that the grid looks at, and where the working voxels lie in it."""
        starts, size, axes = [], [], []
        for place, first, last, ratio in zip(corner, *grid.reach(), self.ratio(which)):
            centres = place + (np.arange(first, last) + 0.5) * ratio - 0.5
            around = 0 if ratio == 1 else 1 + math.ceil(max(2 * (ratio - 1), 0))  # what smoothing and votes look at
            start, stop = math.floor(centres[0]) - around, math.floor(centres[-1]) + 1 + around
            starts.append(start)
            size.append(stop - start)
            axes.append(ResampledAxis(centres - start, ratio))
        return map_channels(lambda one: crop_reflected(one, tuple(starts), tuple(size)), array, len(size)), axes

    def look(self, which: int, corner: tuple[int, ...], grid: SamplingGrid) -> Image:
        """The normalised image at the places of the grid."""
        raw, axes = self.read(self.arrays[which], which, corner, grid)
        seen = lambda one: grid.take(image_at(one, axes), grid.reach()[0])
        return map_channels(seen, self.scales[which](raw), len(self.patch))

    def pair(self, image: Image, index: int) -> tuple[Image, Image]:
        """Corrupted and clean, (C, *patch)."""
        rng = stream(self.seed, "pairs", index, "exposure")
        if rng.random() < self.corrupt.gray:
            image = sample_gray(self.corrupt, rng)(image)
        if self.augment.gamma:
            image = change_gamma(image, 2.0 ** rng.uniform(-self.augment.gamma, self.augment.gamma))
        corrupted = image
        for step in sample_corruptions(self.corrupt, self.patch, stream(self.seed, "pairs", index, "corrupt")):
            corrupted = map_channels(step, corrupted, len(self.patch))
        return self.channels(corrupted), self.channels(image)


class LabelledPairs(ImagePairs):
    """Images with their labels, encoded as the networks see them, and the images before they were corrupted.

    labels: one volume per image, on the same grid; of several classes these come first, (K, *S). Both are brought to
    the working voxel size patch by patch, labels smoothly where they grow. A volume may be without any object; patches
    with few are drawn again, mostly.

    What is known of the source beside that is set before the first sample: `ignore_id`, of voxels that are neither an
    object nor background (an object ends where they begin, and their target is NaN); the `appearance` of its images;
    `target`, whose patches lend their intensities; `covered`, shares that patches are chosen to be covered by.
    """

    kind: ClassVar[type] = LabelledPair

    def __init__(
        self, volumes: list[Volume], labels: list[Volume], normalise: Recipe, working: Voxel,
        patch: tuple[int, ...], seed: int, augment: Augment | None, corrupt: Corrupt | None, represent: Representation,
    ):  # fmt: skip
        if len(volumes) != len(labels):
            raise UserError(f"there are {len(volumes)} images and {len(labels)} label images; list them in pairs")
        for image, truth in zip(volumes, labels):
            if image.shape != truth.shape:
                raise UserError(
                    f"{image.name} has the shape {image.shape}, but its labels {truth.name} {truth.shape}; "
                    "pair images with labels of the same grid"
                )
            if truth.dtype.kind not in "uib":
                raise UserError(
                    f"labels {truth.name} are {truth.dtype}, but ids are whole numbers; save them as uint16"
                )
        super().__init__(volumes, normalise, working, patch, seed, augment, corrupt)
        self.labels = load_small(labels)
        self.represent, self.appearance = represent, Appearance()
        self.ignore_id: int | None = None
        self.target: Images | None = None
        self.covered: NDArray[np.float64] | None = None
        self.halo = tuple(math.ceil(n * HALO_PART) for n in patch)
        self.inside: Any = (..., *(slice(h, -h) for h in self.halo))  # of the halo

    def sample(self, index: int) -> tuple[NDArray[np.float32], ...]:
        grid = self.grid(index, self.halo)
        rng = stream(self.seed, "pairs", index, "window")
        which, corner, labels = self.place(grid, rng) if self.covered is None else self.choose_by_cover(grid, rng)
        image = self.look(which, corner, grid.without_halo(self.halo))
        image = self.show(image, labels, stream(self.seed, "pairs", index, "appearance"))
        pose = sample_pose(self.augment, self.patch, self.working, stream(self.seed, "pairs", index, "pose"))
        corrupted, clean = self.pair(pose(image), index)
        known, ignored = self.split(pose(labels))
        target = self.represent.encode(known, self.working)[self.inside]
        if ignored is not None:
            target = hide_unknown(target, ignored[self.inside], self.represent)
        return corrupted, np.ascontiguousarray(target), clean

    def show(self, image: Image, labels: NDArray, rng: np.random.Generator) -> Image:
        """The patch with other intensities, by the chances of `appearance`; labels with the halo."""
        law, lender = self.appearance, self.target
        if law.is_plain:
            return image
        if (painted := self.repaint(labels, rng)) is not None:
            image = painted[self.inside]
        look = None if lender is None else lender.window
        change = lambda one: change_appearance(law, one, rng, look)
        return map_channels(change, image, len(self.patch))

    def repaint(self, labels: NDArray, rng: np.random.Generator) -> Image | None:
        """A synthetic image of these labels, as often as `appearance` says; else None."""
        law = self.appearance
        if rng.random() >= law.repaint:
            return None
        return repaint(self.split(labels)[0], self.working, rng, law.dark)

    def split(self, labels: NDArray) -> tuple[NDArray, NDArray[np.bool_] | None]:
        """Labels without ignored voxels, and these."""
        return split_ignored(labels, self.ignore_id)

    def place(self, grid: SamplingGrid, rng: np.random.Generator) -> Place:
        """Any volume, and a corner in it from which the patch shows objects, mostly."""
        which, particular = self.choose(rng), rng.random() < REJECTED_CHANCE
        for _ in range(MOST_DRAWS):
            corner = self.corner(which, rng)
            labels = self.look_up(which, corner, grid)
            if not particular or float((self.split(labels[self.inside])[0] > 0).mean()) >= FEW_OBJECTS_SHARE:
                break
        return which, corner, labels

    def choose_by_cover(self, grid: SamplingGrid, rng: np.random.Generator) -> Place:
        """Of several places the one that objects cover most nearly as much as a patch of the target, drawn at random.

        A discriminator that sees crowds on one side and lone objects on the other makes a generator invent objects, or
        lose them.
        """
        assert self.covered is not None, "the caller has looked"
        wish = float(rng.choice(self.covered))
        places = [(which := self.choose(rng), self.corner(which, rng)) for _ in range(MOST_DRAWS)]
        which, corner = min(places, key=lambda place: abs(self.cover(*place) - wish))
        return which, corner, self.look_up(which, corner, grid)

    def cover(self, which: int, corner: tuple[int, ...]) -> float:
        """Share of a patch that objects cover."""
        size = tuple(max(round(n * r), 1) for n, r in zip(self.patch, self.ratio(which)))
        labels = map_channels(lambda one: crop_reflected(one, corner, size), self.labels[which], len(size))
        return float((self.split(labels)[0] > 0).mean())

    def look_up(self, which: int, corner: tuple[int, ...], grid: SamplingGrid) -> NDArray:
        """The labels at the places of the grid."""
        raw, axes = self.read(self.labels[which], which, corner, grid)
        found = lambda one: grid.take_labels(labels_at(one, axes), grid.reach()[0])
        return map_channels(found, raw, len(self.patch))


class LabelledImages(LabelledPairs):
    """The same without the clean images, for methods that have no use for them."""

    kind: ClassVar[type] = LabelledBatch

    def sample(self, index: int) -> tuple[NDArray[np.float32], ...]:
        image, target, _ = super().sample(index)
        return image, target


def crop_reflected(array: Any, starts: tuple[int, ...], size: tuple[int, ...]) -> NDArray:
    """The window (*size) of `array` from `starts` on, continued by reflection where it reaches over the border."""
    if all(0 <= a <= n - s for a, s, n in zip(starts, size, array.shape)):
        return np.asarray(array[tuple(slice(a, a + s) for a, s in zip(starts, size))])
    places = [reflect_indices(np.arange(a, a + s), n) for a, s, n in zip(starts, size, array.shape)]
    block = np.asarray(array[tuple(slice(int(p.min()), int(p.max()) + 1) for p in places)])
    for axis, p in enumerate(places):
        if (np.diff(p) != 1).any():
            block = block.take(p - p.min(), axis)
    return block


def reflect_indices(places: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Voxels 0 to n - 1 that lie at these places of an axis between two mirrors.

    >>> reflect_indices(np.arange(-3, 5), 2).tolist()
    [1, 1, 0, 0, 1, 1, 0, 0]
    """
    folded = places % (2 * n)
    return np.minimum(folded, 2 * n - 1 - folded)


class DrawnImages:
    """Patches of domain-randomised synthesis: sample number i is a function of the seed and i.

    Labels are encoded with a rim around the patch that is cut off again, so that an object at the border of the patch
    has its distances, and its largest one, from what lies beyond.
    """

    kind: ClassVar[type] = SyntheticBatch

    def __init__(
        self, law: Randomised, represent: Representation, working: Voxel, patch: tuple[int, ...], seed: int,
        augment: Augment | None = None,
    ):  # fmt: skip
        self.law, self.represent, self.working, self.patch, self.seed = law, represent, working, patch, seed
        self.augment = augment or Augment()
        halo = tuple(math.ceil(n * HALO_PART) for n in patch)
        self.shape = tuple(n + 2 * h for n, h in zip(patch, halo))
        self.inside: Any = (..., *(slice(h, -h) for h in halo))

    def pair(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """Image and labels (*S) of sample `index`, with the rim."""
        rng = stream(self.seed, "drawn", index)
        for _ in range(MOST_DRAWS):
            image, labels = draw_pair(self.law, self.shape, self.working, rng)
            if float((labels[self.inside] > 0).mean()) >= EMPTY_SHARE or rng.random() < BLANK_SHARE:
                break
        pose = sample_pose(self.augment, self.shape, self.working, stream(self.seed, "drawn", index, "pose"))
        return pose(image), pose(labels)

    def sample(self, index: int) -> tuple[NDArray[np.float32], ...]:
        image, labels = self.pair(index)
        target = self.represent.encode(labels, self.working)[self.inside]
        return np.ascontiguousarray(image[self.inside])[None], np.ascontiguousarray(target)
