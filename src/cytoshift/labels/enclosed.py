"""What an object encloses, as CellProfiler fills it: holes, and other objects in them.

`filters.fill_holes` keeps an object that lies in a hole of another; here it becomes a part of the outer one.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from .boundaries import axis_index


def fill_enclosed(labels: NDArray[np.int32], below: float = np.inf) -> NDArray[np.int32]:
    """Fill what a single object cuts off from the border of the image, with the number of that object.

    A piece of background (joined by faces) or an object is enclosed if every way from it to the border leads through
    the same object. Pieces and objects of `below` voxels or more are never filled.

    Parameters
    ----------
    labels : (*S) int32, 2D or 3D.
    below : voxels.

    Returns
    -------
    (*S) int32.

    Examples
    --------
    >>> ring = np.array([[1, 1, 1, 0], [1, 0, 1, 2], [1, 1, 1, 0]], np.int32)
    >>> fill_enclosed(ring)[1]
    array([1, 1, 1, 2], dtype=int32)
    """
    from scipy import ndimage

    if not labels.any():
        return labels.copy()
    pieces, _ = ndimage.label(labels == 0)
    last = int(labels.max())
    nodes = np.where(labels > 0, labels, pieces + last)
    # A piece of background is a number above the last object.
    near = dict(neighbours_of(nodes))
    large = np.flatnonzero(np.bincount(nodes.ravel()) >= below)
    faces = [nodes[axis_index(axis, face)] for axis in range(labels.ndim) for face in (slice(0, 1), slice(-1, None))]
    reached = {*map(int, large), *(int(node) for face in faces for node in np.unique(face))} - {0}
    within = dict[int, int]()  # what one object was seen around, so far
    todo = list(reached)
    while todo:
        here = todo.pop()
        for node in near.get(here, ()):
            if node in reached or (here > last and node > last):
                continue
            if here <= last and within.setdefault(node, here) == here:
                continue
            reached.add(node)
            todo.append(node)
    names = np.arange(int(nodes.max()) + 1, dtype=np.int32)
    names[last + 1 :] = 0
    todo = [node for node in within if node not in reached]
    for node in todo:  # grows by what lies deeper
        names[node] = within[node]
        for deeper in near.get(node, ()):
            if deeper not in reached and deeper not in within:
                within[deeper] = within[node]
                todo.append(deeper)
    return np.asarray(names[nodes], np.int32)


def neighbours_of(nodes: NDArray[np.int32]) -> Iterator[tuple[int, list[int]]]:
    """The numbers that each number of an image shares a face with."""
    pairs = []
    for axis in range(nodes.ndim):
        low, high = nodes[axis_index(axis, slice(None, -1))], nodes[axis_index(axis, slice(1, None))]
        differ = low != high
        pairs.append(np.unique(low[differ].astype(np.int64) << 32 | high[differ]))
    one = np.unique(np.concatenate(pairs))
    low, high = one >> 32, one & 0xFFFFFFFF
    both = np.unique(np.concatenate([one, high << 32 | low]))
    owner, other = both >> 32, both & 0xFFFFFFFF
    starts = np.flatnonzero(np.diff(owner, prepend=-1))
    for node, found in zip(owner[starts], np.split(other, starts[1:])):
        yield int(node), found.tolist()
