"""One endless stream per domain: sample number i is a function of the seed and i, of nothing else.

So a run that was killed goes on where it stopped, any number of workers or processes draws the same samples,
and a sample that made trouble can be drawn again.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from ..core.batch import BiasFieldBatch, MaskBatch, UnlabelledBatch
from ..core.errors import UserError
from ..core.machine import shared_memory
from ..core.normalise import Recipe, Scale, Scales, is_dataset_wide, measure, sample_voxels
from ..core.rng import stream
from ..core.voxel import Voxel
from ..represent import Representation
from ..synth import Prior, draw_labels
from .augment import Augment, change_gamma, sample_bias_field, sample_pose
from .channel_axis import map_channels, split_channels
from .resample import resample
from .shape_library import Drawer
from .volumes import Volume, load_small

# A patch with less of it in the foreground is empty; so many are drawn until one is not.
EMPTY_SHARE, MOST_DRAWS = 0.005, 8
WIDEST_PATCH = 100  # times the length of an image: no patch that is meant so, as a unit too large is 1000 times
COVER_PATCHES = 256  # patches that tell how much of a patch objects cover


Levels = Callable[[NDArray[np.generic]], NDArray[np.float32]]  # raw intensities to what networks see
# Of shared memory, in which workers hand batches over.
PLENTY_BYTES = 1 << 30  # bytes; with so much, no batch is drawn to find out
BATCHES_AHEAD = 2  # batches that torch's loader has each worker prepare
PAGE_BYTES = 1 << 12  # bytes; the least that a tensor or a semaphore takes
SEMAPHORES = 8  # of the queues between a worker and the training, and as many of their own


class Domain(Protocol):
    """`kind` is a NamedTuple of core.batch; a sample is one array (C or K, *S) for each of its fields."""

    kind: ClassVar[type]

    def sample(self, index: int) -> tuple[NDArray[np.float32], ...]: ...


class Images:
    """Random patches of unlabelled volumes at the working voxel size, normalised by numbers of the whole volume.

    Patches without any foreground are drawn again, here and among the masks: instance norm scales the noise of an
    empty patch up to full contrast, and the networks would learn to find objects in it. Of several channels it takes
    one that shows something; all of them show the same place.
    """

    kind: ClassVar[type] = UnlabelledBatch

    def __init__(
        self, volumes: list[Volume], normalise: Recipe, working: Voxel, patch: tuple[int, ...], seed: int,
        augment: Augment | None = None,
    ):  # fmt: skip
        if any(v.voxel.unit != working.unit for v in volumes):
            raise UserError(
                f"working voxel size is in {working.unit}, but {volumes[0].name} in {volumes[0].voxel.unit}; "
                "declare the images' voxel size and unit"
            )
        for one in volumes:
            refuse_wide_patch(one, working, patch)
        self.arrays = load_small(volumes)
        self.voxels = [v.voxel for v in volumes]
        self.working, self.patch, self.seed, self.augment = working, patch, seed, augment or Augment()
        self.rescale(volume_scales(self.arrays, [v.name for v in volumes], normalise, working.ndim))
        # A volume is chosen in proportion to its physical size, so that every region is equally likely.
        extents = np.array([np.prod(a.shape) * v.volume for a, v in zip(self.arrays, self.voxels)])
        self.chances = extents / extents.sum()

    def sample(self, index: int) -> tuple[NDArray[np.float32], ...]:
        rng = stream(self.seed, "images", index)
        image = self.window(rng, EMPTY_SHARE)
        if self.augment.gamma:
            image = change_gamma(image, 2.0 ** rng.uniform(-self.augment.gamma, self.augment.gamma))
        return (self.channels(sample_pose(self.augment, self.patch, self.working, rng)(image)),)

    def channels(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """A patch (*patch) or (C, *patch) as (C, *patch)."""
        return image.reshape(-1, *self.patch)

    def rescale(self, scales: Sequence[Levels]) -> None:
        """From now on the volumes are read with these scales."""
        self.scales: list[Levels] = list(scales)
        self.levels: list[Any] = [otsu_level(values, self.working.ndim) for values in self.values()]

    def values(self) -> list[NDArray[np.float32]]:
        """A sample of every volume's intensities (N,), or (C, N) of several channels, as networks see them."""
        ndim = self.working.ndim
        return [scale(map_channels(sample_voxels, array, ndim)) for scale, array in zip(self.scales, self.arrays)]

    def foreground_share(self, image: NDArray[np.float32], which: int) -> float:
        """The share of a patch of volume number `which` that is foreground, in any of its channels."""
        above = image > self.levels[which]
        return float((above if above.ndim == len(self.patch) else above.any(0)).mean())

    def window(self, rng: np.random.Generator, least: float = 0.0, which: int | None = None) -> NDArray[np.float32]:
        """A random patch as it is, of volume number `which` or of any; with `least`, one of which so much is
        foreground, if some draws find it."""
        if which is None:
            which = int(rng.choice(len(self.arrays), p=self.chances))
        array, voxel = self.arrays[which], self.voxels[which]
        size = tuple(max(round(n * w / o), 1) for n, w, o in zip(self.patch, self.working.size, voxel.size))
        for _ in range(MOST_DRAWS):
            image = self.scales[which](random_crop(array, size, rng))
            if self.foreground_share(image, which) >= least:
                break
        return resample(image, self.patch)


def foreground_shares(images: Images) -> NDArray[np.float64]:
    """Shares of random patches that lie above the level which tells objects from the background."""
    out = []
    for i in range(COVER_PATCHES):
        rng = stream(images.seed, "covered", i)
        which = int(rng.choice(len(images.arrays), p=images.chances))
        out.append(images.foreground_share(images.window(rng, EMPTY_SHARE, which), which))
    return np.array(out)


class BiasFieldImages(Images):
    """`Images` under an uneven light, one for each channel, and as they were."""

    kind: ClassVar[type] = BiasFieldBatch

    def sample(self, index: int) -> tuple[NDArray[np.float32], ...]:
        (clean,) = super().sample(index)
        if not self.augment.bias_field:
            return clean, clean
        rng = stream(self.seed, "shade", index)
        return np.stack(
            [sample_bias_field(self.augment.bias_field, self.patch, rng)(channel) for channel in clean]
        ), clean


class SyntheticMasks:
    """Masks drawn on the fly, encoded as the networks see them; `draw` gives labels (*S), or (K, *S) of K classes."""

    kind: ClassVar[type] = MaskBatch

    def __init__(self, draw: Drawer, representation: Representation, working: Voxel, patch: tuple[int, ...], seed: int):
        self.draw, self.representation, self.working = draw, representation, working
        self.patch, self.seed = patch, seed

    def sample(self, index: int) -> tuple[NDArray[np.float32], ...]:
        rng = stream(self.seed, "masks", index)
        for _ in range(MOST_DRAWS):
            labels = self.draw(self.patch, self.working, rng)
            if float((labels > 0).mean()) >= EMPTY_SHARE:
                break
        return (self.representation.encode(labels, self.working),)


def draw_classes(priors: Mapping[str, Prior]) -> Drawer:
    """Labels (K, *S) of several classes, whose objects are drawn without regard for one another."""

    def draw(shape: tuple[int, ...], voxel: Voxel, rng: np.random.Generator) -> NDArray[np.int32]:
        return np.stack([draw_labels(prior, shape, voxel, rng) for prior in priors.values()])

    return draw


class Batches(Dataset):
    """Batch number `step` of a method: `size` samples of every domain its Batch names, or a number for each.

    Of `world` processes, number `rank` takes its share of one joint batch, so that two processes see together
    what one would see alone with twice the batch.
    """

    def __init__(
        self, kind: type, domains: dict[str, Domain], size: int | Mapping[str, int], rank: int = 0, world: int = 1
    ):  # fmt: skip
        self.kind, self.domains, self.rank, self.world = kind, domains, rank, world
        self.sizes = dict.fromkeys(domains, size) if isinstance(size, int) else size

    def __getitem__(self, step: int) -> Any:
        parts = {}
        for name, domain in self.domains.items():
            size = self.sizes[name]
            first = (step * self.world + self.rank) * size
            samples = [domain.sample(first + i) for i in range(size)]
            parts[name] = domain.kind(*(torch.from_numpy(np.stack(field)) for field in zip(*samples)))
        return self.kind(**parts)


def refuse_wide_patch(volume: Volume, working: Voxel, patch: tuple[int, ...]) -> None:
    """Raises UserError where the working voxel is so large that it can only be of another unit than was meant."""
    extents = [n * own for n, own in zip(volume.shape, volume.voxel.size)]
    times = max(n * side / extent for n, side, extent in zip(patch, working.size, extents))
    if times > WIDEST_PATCH:
        raise UserError(
            f"a patch {patch} with voxels of {working} would be {times:.0f} times as long as the image {volume.name}, "
            f"whose voxels have {volume.voxel}; give data.voxel, or source.voxel of the source, in {working.unit}"
        )


def volume_scales(arrays: list[Any], names: list[str], normalise: Recipe, ndim: int) -> list[Scale | Scales]:
    """One scale per volume; the same one for all where the recipe says "dataset"."""
    channels = [split_channels(array, ndim) for array in arrays]
    if is_dataset_wide(normalise):
        return [measure(normalise, channels)] * len(arrays)
    measured = []
    for one, name in zip(channels, names):
        try:
            measured.append(measure(normalise, [one]))
        except UserError as error:
            raise UserError(f"{name}: {error}") from None
    return measured


def otsu_level(values: NDArray[np.float32], ndim: int) -> Any:
    """Otsu's threshold of a volume's normalised intensities: above it lies what is bright in this volume.

    A number for values (N,); for those of several channels (C, N) an array that fits images (C, *S).
    """
    from skimage.filters import threshold_otsu

    if values.ndim > 1:
        return np.array([otsu_level(channel, ndim) for channel in values]).reshape(-1, *[1] * ndim)
    return float(threshold_otsu(values)) if values.max() > values.min() else float(values.max())


def random_crop(array: Any, size: tuple[int, ...], rng: np.random.Generator) -> NDArray:
    """A random window (*size) of `array`; where the array is smaller it is continued by reflection.

    Channels in front are all taken: (C, *S) -> (C, *size).
    """
    front = len(array.shape) - len(size)
    starts = [int(rng.integers(max(n - s, 0) + 1)) for n, s in zip(array.shape[front:], size)]
    window = np.asarray(array[(*[slice(None)] * front, *(slice(a, a + s) for a, s in zip(starts, size)))])
    missing = [s - n for s, n in zip(size, window.shape[front:])]
    if any(missing):
        # "symmetric" and not "reflect": it also works on an axis of one voxel
        window = np.pad(window, [*[(0, 0)] * front, *((m // 2, m - m // 2) for m in missing)], mode="symmetric")
    return window


def check_shared_memory(batches: Batches, workers: int) -> None:
    """Raise UserError where the batches of `workers` processes do not fit into /dev/shm.

    Containers often have a small one, docker by default 64 MB; torch would end in the middle of a training.
    """
    free = shared_memory() if workers else None
    if free is None or free >= PLENTY_BYTES:
        return
    tensors = [tensor.nbytes for part in batches[0] for tensor in part]
    batch = sum(-(-size // PAGE_BYTES) * PAGE_BYTES for size in tensors)
    needed = (workers * BATCHES_AHEAD + 1) * batch + (workers + 1) * SEMAPHORES * PAGE_BYTES
    if free < needed:
        raise UserError(
            f"train.workers={workers} hands batches over in shared memory and needs {needed / 1e6:.3g} MB of it, "
            f"/dev/shm has {free / 1e6:.3g} MB free; set train.workers=0, or enlarge it (docker run --shm-size=1g)"
        )
