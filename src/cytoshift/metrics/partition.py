"""Label images as partitions of the voxels: adapted Rand error and variation of information."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..labels.overlap import Overlap


class Rand(NamedTuple):
    """Adapted Rand error (0 is best) with its precision and recall (1 is best)."""

    error: float
    precision: float
    recall: float


class Information(NamedTuple):
    """Variation of information in bits, 0 is best."""

    split: float  # H(prediction | truth): objects cut
    merge: float  # H(truth | prediction): objects fused


def adapted_rand(table: Overlap) -> Rand:
    """Adapted Rand error of the SNEMI3D challenge, over the voxels of true objects.

    It counts pairs of voxels. Precision is the share of pairs together in the prediction that are together in the
    truth, recall the reverse, the error 1 - their harmonic mean. Each voxel of predicted background inside a true
    object is a segment of its own, as in the scripts of SNEMI3D and CREMI. scikit-image takes all of them as one
    segment, and its precision and recall are exchanged.

    Parameters
    ----------
    table
        Overlap of truth and prediction, of `labels.overlap.overlap`. N true and M predicted objects.

    Returns
    -------
    Rand
        error, precision, recall. A ratio without any pair is 1. Both without objects: (0, 1, 1); one without: (1, 0,
        0).

    References
    ----------
    Arganda-Carreras et al. 2015 (Crowdsourcing the creation of image segmentation algorithms), section on metrics.

    Examples
    --------
    >>> import numpy as np
    >>> from cytoshift.labels.overlap import overlap
    >>> table = overlap(np.array([1, 1, 0, 2, 2, 2]), np.array([5, 5, 0, 6, 6, 0]))
    >>> adapted_rand(table).precision, adapted_rand(table).recall
    (1.0, 0.5)
    """
    truths, preds = table.truth_ids.size, table.pred_ids.size
    if truths == 0 or preds == 0:
        same = float(truths == preds)
        return Rand(1 - same, same, same)
    found = (table.truth > 0) & (table.pred > 0)
    columns, column = np.unique(table.pred[found], return_inverse=True)
    per_pred = np.bincount(column, weights=table.count[found], minlength=columns.size)
    both, in_pred, in_truth = pairs_in(table.count[found]), pairs_in(per_pred), pairs_in(table.truth_sizes)
    precision = both / in_pred if in_pred else 1.0
    recall = both / in_truth if in_truth else 1.0
    error = 1 - 2 * both / (in_pred + in_truth) if in_pred + in_truth else 0.0
    return Rand(error, precision, recall)


def variation_of_information(table: Overlap) -> Information:
    """Conditional entropies of the two partitions over all voxels. The background is a segment like any other.

    The same as `skimage.metrics.variation_of_information`. An image without any voxel gives 0 and 0.

    Parameters
    ----------
    table
        Overlap of truth and prediction, of `labels.overlap.overlap`. N true and M predicted objects.

    Returns
    -------
    Information
        split, H(prediction | truth): objects were cut. merge, H(truth | prediction): objects were fused. In bits.

    References
    ----------
    Meila 2007 (Comparing clusterings), eq. 15.

    Examples
    --------
    >>> import numpy as np
    >>> from cytoshift.labels.overlap import overlap
    >>> table = overlap(np.array([1, 1, 0, 2, 2, 2]), np.array([5, 5, 0, 6, 6, 0]))
    >>> round(variation_of_information(table).split, 3)
    0.459
    """
    if table.voxels == 0:
        return Information(0.0, 0.0)
    share = table.count / table.voxels
    of_truth = table.count / segment_sizes(table.truth, table.count)
    of_pred = table.count / segment_sizes(table.pred, table.count)
    split, merge = (float(-(share * np.log2(part)).sum()) for part in (of_truth, of_pred))
    return Information(max(0.0, split), max(0.0, merge))


def pairs_in(sizes: NDArray[np.integer] | NDArray[np.floating]) -> float:
    """Ordered pairs of different voxels within segments of these sizes; floats, since squares outgrow int64."""
    n = sizes.astype(float)
    return float((n * (n - 1)).sum())


def segment_sizes(ids: NDArray[np.uint64], count: NDArray[np.int64]) -> NDArray[np.float64]:
    """For each overlap, the size of the segment (background included) it is a part of."""
    _, place = np.unique(ids, return_inverse=True)
    return np.bincount(place, weights=count).astype(np.float64)[place]
