"""Label images as partitions of the voxels: adapted Rand and variation of information."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..labels.overlap import Overlap


class Rand(NamedTuple):
    error: float
    precision: float
    recall: float


class Information(NamedTuple):
    """In bits, 0 is best."""

    split: float  # H(prediction | truth): objects cut
    merge: float  # H(truth | prediction): objects fused


def adapted_rand(table: Overlap) -> Rand:
    """Adapted Rand error of the SNEMI3D challenge (Arganda-Carreras et al. 2015) over the voxels of true objects.

    Of pairs of voxels: precision = together in both / together in the prediction, recall = together in both /
    together in the truth, error = 1 - their harmonic mean. Background of the prediction inside true objects is as many
    segments as it has voxels, as in the scripts of SNEMI3D and CREMI. For scikit-image it is one segment, which costs
    the more, the more objects there are; with ids of their own for such voxels its error is this one (its precision
    and recall stand the other way round).
    Where no pair is together on one side, its ratio is 1. Both without objects: (0, 1, 1); one without: (1, 0, 0).
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
    """Conditional entropies (Meila 2007) over all voxels, the background a segment like any other.

    As scikit-image by default. Defined for empty images too: an image without any voxel gives 0 and 0.
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
