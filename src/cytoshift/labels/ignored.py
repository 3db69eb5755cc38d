"""Voxels of a label image of which nobody says what they are: neither an object nor background."""

import numpy as np
from numpy.typing import NDArray

from .overlap import Overlap, overlap

MOST_IGNORED_SHARE = 0.5  # share of a predicted object in ignored voxels up to which the rest of it counts


def split_ignored(
    labels: NDArray[np.generic], ignore_id: int | None
) -> tuple[NDArray[np.generic], NDArray[np.bool_] | None]:
    """Labels without the ignored voxels, and where these are.

    Parameters
    ----------
    labels
        Of any shape.
    ignore_id
        The id of ignored voxels. None: there are none.

    Returns
    -------
    labels, ignored
        The labels with 0 in ignored voxels, and the mask of these. Without an `ignore_id` the labels as they are, and
        None.

    Examples
    --------
    >>> labels, ignored = split_ignored(np.array([0, 1, 9]), 9)
    >>> labels.tolist(), ignored.tolist()
    ([0, 1, 0], [False, False, True])
    """
    if ignore_id is None:
        return labels, None
    ignored = labels == ignore_id
    return np.where(ignored, labels.dtype.type(0), labels), ignored


def keep_known(pred: NDArray[np.generic], ignored: NDArray[np.bool_] | None) -> NDArray[np.generic]:
    """Predicted labels as far as the truth is known.

    An object with more than half of its voxels in ignored ones is neither right nor wrong: it goes. Of the others the
    ignored voxels go.

    Parameters
    ----------
    pred
        (*S), ids from 0.
    ignored
        (*S). None: all is known.

    Returns
    -------
    array
        Of the shape and dtype of `pred`.

    Examples
    --------
    >>> keep_known(np.array([1, 1, 1, 2, 2, 2]), np.array([0, 0, 0, 0, 1, 1], bool)).tolist()
    [1, 1, 1, 0, 0, 0]
    """
    if ignored is None or not ignored.any():
        return pred
    ids, place = np.unique(pred, return_inverse=True)
    place = place.reshape(pred.shape)
    hidden = np.bincount(place[ignored], minlength=ids.size) > MOST_IGNORED_SHARE * np.bincount(place.ravel())
    return np.where(ignored | hidden[place], pred.dtype.type(0), pred)


def known_overlap(truth: NDArray[np.generic], found: NDArray[np.generic], ignore_id: int | None) -> Overlap:
    """Truth and prediction (*S) as far as the truth is known."""
    known, ignored = split_ignored(truth, ignore_id)
    return overlap(known, keep_known(found, ignored))
