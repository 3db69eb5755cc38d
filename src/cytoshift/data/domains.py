"""One endless stream per domain: sample number i is a function of the seed and i, of nothing else.

So a run that was killed goes on where it stopped, any number of workers or processes draws the same samples,
and a sample that made trouble can be drawn again.
"""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from ..core.batch import Masks, Shaded, Unlabelled
from ..core.errors import UserError
from ..core.normalise import Normalisation, Scale, sample
from ..core.rng import stream
from ..core.voxel import Voxel
from ..represent import Representation
from ..synth import Prior, draw_labels
from .augment import Augment, change_gamma, sample_pose, sample_shade
from .resample import resample
from .volumes import Volume

# Up to this many bytes of raw images are kept in memory; larger ones are read patch by patch.
IN_MEMORY = 2_000_000_000
# A patch with less of it in the foreground is empty; so many are drawn until one is not.
EMPTY, DRAWS = 0.005, 8
COVERED = 256  # patches that tell how much of a patch objects cover


Levels = Callable[[NDArray[np.generic]], NDArray[np.float32]]  # raw intensities to what networks see


class Domain(Protocol):
    """`kind` is a NamedTuple of core.batch; a sample is one array (C or K, *S) for each of its fields."""

    kind: ClassVar[type]

    def sample(self, index: int) -> tuple[NDArray[np.float32], ...]: ...


class Images:
    """Random patches of unlabelled volumes at the working voxel size, normalised by numbers of the whole volume.

    Patches without any foreground are drawn again, here and among the masks: instance norm scales the noise of an
    empty patch up to full contrast, and the networks would learn to find objects in it.
    """

    kind: ClassVar[type] = Unlabelled

    def __init__(
        self, volumes: list[Volume], normalise: Normalisation, working: Voxel, patch: tuple[int, ...], seed: int,
        augment: Augment | None = None,
    ):  # fmt: skip
        if any(v.voxel.unit != working.unit for v in volumes):
            raise UserError(
                f"working voxel size is in {working.unit}, {volumes[0].name} is in {volumes[0].voxel.unit}; "
                "declare the images' voxel size and unit"
            )
        total = sum(int(np.prod(v.array.shape)) * v.array.dtype.itemsize for v in volumes)
        self.arrays: list[Any] = [v.load() if total <= IN_MEMORY else v.array for v in volumes]
        self.voxels = [v.voxel for v in volumes]
        self.rescale(scales(self.arrays, [v.name for v in volumes], normalise))
        self.working, self.patch, self.seed, self.augment = working, patch, seed, augment or Augment()
        # A volume is chosen in proportion to its physical size, so that every region is equally likely.
        extents = np.array([np.prod(a.shape) * v.volume for a, v in zip(self.arrays, self.voxels)])
        self.chances = extents / extents.sum()

    def sample(self, index: int) -> tuple[NDArray[np.float32], ...]:
        rng = stream(self.seed, "images", index)
        image = self.window(rng, EMPTY)
        if self.augment.gamma:
            image = change_gamma(image, 2.0 ** rng.uniform(-self.augment.gamma, self.augment.gamma))
        return (sample_pose(self.augment, self.patch, self.working, rng)(image)[None],)

    def rescale(self, scales: Sequence[Levels]) -> None:
        """From now on the volumes are read with these scales."""
        self.scales: list[Levels] = list(scales)
        self.levels = [level(values) for values in self.values()]

    def values(self) -> list[NDArray[np.float32]]:
        """A sample of every volume's intensities, as networks see them."""
        return [scale(sample(array)) for scale, array in zip(self.scales, self.arrays)]

    def window(self, rng: np.random.Generator, least: float = 0.0, which: int | None = None) -> NDArray[np.float32]:
        """A random patch as it is, of volume number `which` or of any; with `least`, one of which so much is
        foreground, if some draws find it."""
        if which is None:
            which = int(rng.choice(len(self.arrays), p=self.chances))
        array, voxel = self.arrays[which], self.voxels[which]
        size = tuple(max(round(n * w / o), 1) for n, w, o in zip(self.patch, self.working.size, voxel.size))
        for _ in range(DRAWS):
            image = self.scales[which](crop(array, size, rng))
            if float((image > self.levels[which]).mean()) >= least:
                break
        return resample(image, self.patch)


def covered(images: Images, count: int = COVERED) -> NDArray[np.float64]:
    """Shares of random patches that lie above the level which tells objects from the background, (count,)."""
    out = []
    for i in range(count):
        rng = stream(images.seed, "covered", i)
        which = int(rng.choice(len(images.arrays), p=images.chances))
        out.append(float((images.window(rng, EMPTY, which) > images.levels[which]).mean()))
    return np.array(out)


class ShadedImages(Images):
    """`Images` under an uneven light, and as they were."""

    kind: ClassVar[type] = Shaded

    def sample(self, index: int) -> tuple[NDArray[np.float32], ...]:
        (clean,) = super().sample(index)
        if not self.augment.shade:
            return clean, clean
        light = sample_shade(self.augment.shade, self.patch, stream(self.seed, "shade", index))
        return light(clean[0])[None], clean


class SyntheticMasks:
    """Masks drawn from the prior on the fly, encoded as the networks see them."""

    kind: ClassVar[type] = Masks

    def __init__(self, prior: Prior, representation: Representation, working: Voxel, patch: tuple[int, ...], seed: int):
        self.prior, self.representation, self.working = prior, representation, working
        self.patch, self.seed = patch, seed

    def sample(self, index: int) -> tuple[NDArray[np.float32], ...]:
        rng = stream(self.seed, "masks", index)
        for _ in range(DRAWS):
            labels = draw_labels(self.prior, self.patch, self.working, rng)
            if float((labels > 0).mean()) >= EMPTY:
                break
        return (self.representation.encode(labels, self.working),)


class Batches(Dataset):
    """Batch number `step` of a method: `size` samples of every domain its Batch names.

    Of `world` processes, number `rank` takes its share of one joint batch, so that two processes see together
    what one would see alone with twice the batch.
    """

    def __init__(self, kind: type, domains: dict[str, Domain], size: int, rank: int = 0, world: int = 1):
        self.kind, self.domains, self.size, self.rank, self.world = kind, domains, size, rank, world

    def __getitem__(self, step: int) -> Any:
        first = (step * self.world + self.rank) * self.size
        parts = {}
        for name, domain in self.domains.items():
            samples = [domain.sample(first + i) for i in range(self.size)]
            parts[name] = domain.kind(*(torch.from_numpy(np.stack(field)) for field in zip(*samples)))
        return self.kind(**parts)


def scales(arrays: list[Any], names: list[str], normalise: Normalisation) -> list[Scale]:
    """One Scale per volume; the same one for all where the recipe says "dataset"."""
    if normalise.per == "dataset":
        return [normalise.measure(arrays)] * len(arrays)
    measured = []
    for array, name in zip(arrays, names):
        try:
            measured.append(normalise.measure([array]))
        except UserError as error:
            raise UserError(f"{name}: {error}") from None
    return measured


def level(values: NDArray[np.float32]) -> float:
    """Otsu's threshold of a volume's normalised intensities: above it lies what is bright in this volume."""
    from skimage.filters import threshold_otsu

    return float(threshold_otsu(values)) if values.max() > values.min() else float(values.max())


def crop(array: Any, size: tuple[int, ...], rng: np.random.Generator) -> NDArray:
    """A random window (*size) of `array`; where the array is smaller it is continued by reflection."""
    starts = [int(rng.integers(max(n - s, 0) + 1)) for n, s in zip(array.shape, size)]
    window = np.asarray(array[tuple(slice(a, a + s) for a, s in zip(starts, size))])
    missing = [s - n for s, n in zip(size, window.shape)]
    if any(missing):
        # "symmetric" and not "reflect": it also works on an axis of one voxel
        window = np.pad(window, [(m // 2, m - m // 2) for m in missing], mode="symmetric")
    return window
