"""Between a volume's own grid and the grid a network works on."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..core.compiled import njit
from ..core.voxel import Voxel
from ..labels.ids import sizes

# Standard deviation of the Gaussian that rounds the corners of up-sampled labels, in voxels of their own grid. With
# it the next but one voxel has no say, and what is one voxel wide outweighs its surroundings along that axis.
LABEL_SIGMA = 0.5


def working_shape(shape: tuple[int, ...], own: Voxel, working: Voxel) -> tuple[int, ...]:
    """Voxels that cover the same extent at the working voxel size, at least one along each axis."""
    return tuple(max(round(n * a / b), 1) for n, a, b in zip(shape, own.size, working.size))


def resample(array: NDArray, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """array (*S) -> (shape), linear, with a Gaussian before shrinking so that nothing aliases.

    Channels in front, (C, *S), stay apart.
    """
    if array.ndim > len(shape):
        return np.stack([resample(channel, shape) for channel in array])
    if array.shape == tuple(shape):
        return np.asarray(array, np.float32)
    from skimage.transform import resize

    shrinks = any(new < old for new, old in zip(shape, array.shape))
    out = resize(np.asarray(array, np.float32), shape, order=1, mode="reflect", anti_aliasing=shrinks)
    return np.asarray(out, np.float32)


@dataclass(frozen=True, eq=False)
class ResampledAxis:
    """Where along one axis of a window new voxels have their centres, in voxels of the window, `ratio` apart."""

    places: NDArray[np.float64]
    ratio: float

    @classmethod
    def to_length(cls, old: int, new: int) -> "ResampledAxis":
        """`new` voxels over the extent of `old` ones."""
        return cls((np.arange(new) + 0.5) * old / new - 0.5, old / new)

    def is_identity(self, old: int) -> bool:
        return len(self.places) == old and bool((self.places == np.arange(old)).all())

    def weights(self, old: int) -> NDArray[np.float32]:
        """(new, old): linear between the old voxels; where voxels become larger, these are smoothed by the Gaussian
        of scikit-image's `resize` first."""
        place = np.clip(self.places, 0, old - 1)[:, None]
        distance = np.arange(old) - np.floor(place)
        if self.ratio <= 1:
            out = np.clip(1 - np.abs(np.arange(old) - place), 0, None)
        else:
            spread = (self.ratio - 1) / 2
            below, above = (np.exp(-0.5 * ((distance - step) / spread) ** 2) for step in (0, 1))
            part = place % 1
            out = (1 - part) * below + part * above
        return np.asarray(out / out.sum(1, keepdims=True), np.float32)

    def ballot(self, old: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Of each new voxel: the nearest old voxel between its neighbours, (new, 3), and their shares."""
        index = np.rint(self.places).astype(np.int64)[:, None] + np.array([-1, 0, 1])
        share = np.zeros(index.shape, np.float32)
        if self.ratio >= 1:
            share[:, 1] = 1
        else:
            from scipy.special import ndtr

            faces = index[:, :1] + np.array([-0.5, 0.5, 1.5, 2.5])
            below = ndtr((faces - self.places[:, None]) / LABEL_SIGMA)
            share[:] = np.diff(below, axis=1) / (below[:, -1:] - below[:, :1])
        return np.clip(index, 0, old - 1), share


def image_at(window: NDArray[np.float32], axes: list[ResampledAxis]) -> NDArray[np.float32]:
    """window (*S) float32 at the places of the axes, as by `resample`; a matrix product per axis is several times
    faster, and the places need not begin at the window's corner."""
    out = window
    for number, (axis, old) in enumerate(zip(axes, window.shape)):
        if not axis.is_identity(old):
            flat = out.reshape(int(np.prod(out.shape[:number])), old, int(np.prod(out.shape[number + 1 :])))
            product = flat[..., 0] @ axis.weights(old).T if flat.shape[2] == 1 else axis.weights(old) @ flat
            out = product.reshape(*out.shape[:number], len(axis.places), *out.shape[number + 1 :])
    return out


def resample_labels(labels: NDArray[np.generic], shape: tuple[int, ...]) -> NDArray[np.generic]:
    """labels (*S) -> (shape), ids and dtype as they were; smoothly where they grow, see `labels_at`."""
    return labels_at(labels, [ResampledAxis.to_length(old, new) for old, new in zip(labels.shape, shape)])


def labels_at(window: NDArray[np.generic], axes: list[ResampledAxis]) -> NDArray[np.generic]:
    """Labels (*S) at the places of the axes, ids and dtype as they were.

    Where voxels become larger, or stay, the nearest one is taken. Where they become smaller, the staircase of the
    nearest voxel is smoothed by a Gaussian of LABEL_SIGMA, object by object: foreground is where all objects together
    reach one half, and the strongest one has the voxel, so objects that touch stay apart (CySGAN IV-2 smooths one
    mask for all). An object too thin to win a voxel keeps its nearest ones.
    """
    kind = np.uint8 if window.dtype == bool else window.dtype.newbyteorder("=")
    native = np.ascontiguousarray(window, dtype=kind)
    if all(axis.is_identity(old) for axis, old in zip(axes, native.shape)):
        return native
    flat = native.ndim == 2
    stack, deep = (native[None], [ResampledAxis.to_length(1, 1), *axes]) if flat else (native, axes)
    (zi, zw), (yi, yw), (xi, xw) = (axis.ballot(old) for axis, old in zip(deep, stack.shape))
    steps = stack.take(zi[:, 1], 0).take(yi[:, 1], 1).take(xi[:, 1], 2)
    if all(axis.ratio >= 1 for axis in axes):
        return np.ascontiguousarray(steps[0] if flat else steps)
    out, alike = np.empty(steps.shape, stack.dtype), uniform_mask(stack)
    vote(stack, alike, (zi, yi, xi), (zw, yw, xw), out)
    # All others hold a voxel that is theirs without a vote.
    thin = np.setdiff1d(sizes(stack)[0], sizes(np.where(alike, stack, stack.dtype.type(0)))[0]).astype(stack.dtype)
    if thin.size:
        places = np.isin(steps, thin)
        winners = np.unique(out[places & (steps == out)])
        lost = places & np.isin(steps, np.setdiff1d(thin, winners))
        out[lost] = steps[lost]
    return out[0] if flat else out


@njit
def vote(
    labels: NDArray[np.generic],
    alike: NDArray[np.bool_],
    places: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
    shares: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]],
    out: NDArray[np.generic],
) -> None:
    """out (Z, Y, X): per voxel, the shares of the labels around it are summed; half of them must be objects'.
    alike: `uniform_mask` of the labels; there nothing needs to be asked."""
    zs, ys, xs = places
    zw, yw, xw = shares
    ids = np.empty(27, labels.dtype)
    sums = np.empty(27, np.float32)
    for z in range(out.shape[0]):
        for y in range(out.shape[1]):
            for x in range(out.shape[2]):
                middle = labels[zs[z, 1], ys[y, 1], xs[x, 1]]
                if alike[zs[z, 1], ys[y, 1], xs[x, 1]]:
                    out[z, y, x] = middle
                    continue
                count = 0
                foreground = np.float32(0)
                for i in range(3):
                    for j in range(3):
                        plane = zw[z, i] * yw[y, j]
                        if plane == 0:
                            continue
                        for k in range(3):
                            label = labels[zs[z, i], ys[y, j], xs[x, k]]
                            if label == 0:
                                continue
                            share = plane * xw[x, k]
                            foreground += share
                            slot = 0
                            while slot < count and ids[slot] != label:
                                slot += 1
                            if slot == count:
                                ids[slot] = label
                                sums[slot] = 0
                                count += 1
                            sums[slot] += share
                best = 0
                for slot in range(1, count):
                    if sums[slot] > sums[best]:
                        best = slot
                if foreground > 0.5:  # no conditional expression: with its 0, 64-bit ids would become floats
                    out[z, y, x] = ids[best]
                else:
                    out[z, y, x] = 0


@njit
def uniform_mask(labels: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Where a voxel (Z, Y, X) and all its neighbours carry one label: most of a volume."""
    depth, height, width = labels.shape
    out = np.empty(labels.shape, np.bool_)
    for z in range(depth):
        for y in range(height):
            for x in range(width):
                same = True
                for i in range(max(z - 1, 0), min(z + 2, depth)):
                    for j in range(max(y - 1, 0), min(y + 2, height)):
                        for k in range(max(x - 1, 0), min(x + 2, width)):
                            same = same and labels[i, j, k] == labels[z, y, x]
                out[z, y, x] = same
    return out
