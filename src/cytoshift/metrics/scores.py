"""How sure we are of each predicted object. The order of the scores decides average precision."""

import numpy as np
from numpy.typing import NDArray

from ..core.errors import UserError
from ..labels.ids import dense
from ..labels.kernels import sums
from ..labels.overlap import Overlap

VOXEL_COUNT = "voxel_count"


def voxel_count(table: Overlap) -> NDArray[np.int64]:
    """The larger the surer: what the CySGAN paper was scored with, and all one has from a label image alone. (M,)"""
    return table.pred_sizes


def mean_over_objects(values: NDArray[np.generic], labels: NDArray[np.generic]) -> NDArray[np.float64]:
    """Mean of a map over each object, (M,) by ascending id, the order of `Overlap.pred_ids`.

    values, labels: same shape (*S). With the channels b, c, d of a prediction in [0, 1], the other two scores in use
    are `mean_over_objects(b, labels)` and `mean_over_objects(b * (1 - c) * d, labels)`.
    Raises UserError where the shapes differ.
    """
    if values.shape != labels.shape:
        raise UserError(f"the confidence map has shape {values.shape}, the labels {labels.shape}; they must be alike")
    numbered = dense(labels)
    real = values if values.dtype in (np.float32, np.float64) else values.astype(np.float32)
    row = np.ascontiguousarray(real).reshape(-1)
    return sums(numbered.labels.reshape(-1), row, numbered.ids.size) / numbered.voxels
