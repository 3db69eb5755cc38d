"""Between a volume's own grid and the grid a network works on."""

import numpy as np
from numpy.typing import NDArray

from ..core.voxel import Voxel


def working_shape(shape: tuple[int, ...], own: Voxel, working: Voxel) -> tuple[int, ...]:
    """Voxels that cover the same extent at the working voxel size, at least one along each axis."""
    return tuple(max(round(n * a / b), 1) for n, a, b in zip(shape, own.size, working.size))


def resample(array: NDArray, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """array (*S) -> (shape), linear, with a Gaussian before shrinking so that nothing aliases."""
    if array.shape == tuple(shape):
        return np.asarray(array, np.float32)
    from skimage.transform import resize

    shrinks = any(new < old for new, old in zip(shape, array.shape))
    out = resize(np.asarray(array, np.float32), shape, order=1, mode="reflect", anti_aliasing=shrinks)
    return np.asarray(out, np.float32)
