"""Which regions touch, how high the pass between them is, and which maxima of a landscape are worth a name."""

import numpy as np
from numpy.typing import NDArray


def touching_pairs(
    labels: NDArray[np.integer], height: NDArray[np.floating] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """(P, 2) pairs a < b of labels that share a face, each once, and (P,) the highest pass between them.

    The pass over one face is the lower of its two voxels in `height` (*S); without it all passes are 0.

    >>> touching_pairs(np.array([[1, 1, 2], [0, 3, 2]]), np.array([[9, 5, 7], [0, 4, 6]]))
    (array([[1, 2],
           [1, 3],
           [2, 3]]), array([5., 4., 4.]))
    """
    count = int(labels.max()) + 1
    codes, passes = [], []
    for axis in range(labels.ndim):
        lined = np.moveaxis(labels, axis, 0)
        a, b = lined[:-1], lined[1:]
        where = np.nonzero((a != b) & (a > 0) & (b > 0))
        a, b = a[where].astype(np.int64), b[where].astype(np.int64)
        codes.append(np.minimum(a, b) * count + np.maximum(a, b))
        if height is None:
            passes.append(np.zeros(len(a)))
        else:
            level = np.moveaxis(height, axis, 0)
            passes.append(np.minimum(level[:-1][where], level[1:][where]).astype(float))
    code, index = np.unique(np.concatenate(codes), return_inverse=True)
    highest = np.full(len(code), -np.inf)
    np.maximum.at(highest, index, np.concatenate(passes))
    return np.stack([code // count, code % count], axis=1), highest


def join_shallow_maxima(
    peaks: NDArray[np.float64], pairs: NDArray[np.int64], passes: NDArray[np.float64], least: float
) -> NDArray[np.int32]:
    """(N,) new name of every region once maxima that rise less than `least` above a pass have joined the higher one.

    peaks: (N,) height of the maximum of regions 0..N-1, 0 being the background. The h-maxima of Soille (Morphological
    Image Analysis, 2003, section 6.3.3) as the persistence of peaks: passes from the highest down, the lower peak of
    the two ends there.

    >>> join_shallow_maxima(np.array([-1.0, 9.0, 7.0, 6.0]), np.array([[1, 2], [2, 3]]), np.array([6.5, 2.0]), 1.0)
    array([0, 1, 1, 2], dtype=int32)
    """
    into = list(range(len(peaks)))

    def root(region: int) -> int:
        while into[region] != region:
            into[region] = into[into[region]]
            region = into[region]
        return region

    for k in np.argsort(-passes, kind="stable").tolist():
        a, b = root(int(pairs[k, 0])), root(int(pairs[k, 1]))
        if a != b and min(peaks[a], peaks[b]) - passes[k] < least:
            low, high = (a, b) if peaks[a] < peaks[b] else (b, a)
            into[low] = high
    roots = np.array([root(region) for region in range(len(peaks))])
    return np.unique(roots, return_inverse=True)[1].astype(np.int32)
