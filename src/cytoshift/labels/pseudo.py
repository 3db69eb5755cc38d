"""Labels to train a network with, from an election: what the voters are sure of, and the rest left out.

An object with a high vote is right nine times out of ten. Its outline is that of the majority, and what lies around it
is background. Ignored are the objects that few voters have, and a margin around them. Rims of agreed objects are not:
where they were, most of what was ignored was background, and networks that were free there drew objects too large: in
the median image by 9 % (dense-2d) and 24 % (fluo256/train) of their area.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .vote import Election

IGNORED = 65535  # id of voxels that nothing is learnt from; objects have all other numbers
SURE_VOTE = 0.6  # least vote of an object: above it, 90 % of the objects of fluorescence images are right
MARGIN_VOXELS = 2  # voxels around objects with a low vote, within which nothing is called background


def pseudo_labels(
    election: Election, blocks: Sequence[NDArray[np.generic]], margin: int = MARGIN_VOXELS
) -> NDArray[np.uint32]:
    """Labels of a box, with `IGNORED` where the voters do not agree.

    Parameters
    ----------
    election
        Of the objects that are kept: `elect` with the least vote `SURE_VOTE`.
    blocks
        The same box (*S) of each voter. Background is only right in voxels farther than `margin` from the box's faces,
        except at the faces of the image.
    margin
        Voxels around objects that were not taken which are no background.

    Returns
    -------
    ndarray
        (*S) uint32: the ids of the election, where those from 65535 on are one higher; 0 is background.

    Examples
    --------
    >>> from .vote import elect
    >>> voters = [np.array([3, 3, 3, 0, 0, 0, 7, 0]), np.array([1, 1, 0, 0, 0, 0, 0, 0])]
    >>> pseudo_labels(elect(voters, SURE_VOTE), voters, 1).tolist()
    [1, 1, 1, 0, 0, 65535, 65535, 65535]
    """
    labels = election.paint(blocks).astype(np.uint32)
    labels += labels >= IGNORED
    doubtful = np.zeros(labels.shape, bool)
    for voter, block in enumerate(np.asarray(one) for one in blocks):
        doubtful |= (block != 0) & (election.objects_of(voter, block) == 0)
    return np.where(labels > 0, labels, np.where(dilate(doubtful, margin), np.uint32(IGNORED), np.uint32(0)))


def dilate(mask: NDArray[np.bool_], margin: int) -> NDArray[np.bool_]:
    """All voxels within a distance of `margin` voxels of the mask."""
    from scipy.ndimage import binary_dilation

    if not margin or not mask.any():
        return mask
    steps = np.indices((2 * margin + 1,) * mask.ndim) - margin
    return np.asarray(binary_dilation(mask, (steps**2).sum(0) <= margin**2))
