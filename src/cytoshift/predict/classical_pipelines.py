"""The classical pipelines by name, each with its settings: what commands, benchmarks and voters choose from."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..core.errors import UserError
from ..core.settings import Settings, parse
from ..core.voxel import Voxel
from .cellprofiler import CellProfiler, identify_primary_objects
from .classical import Classical, segment_classically
from .squassh import Squassh, segment_by_regions


class Pipeline(NamedTuple):
    """settings: class of its settings. segment: image (*S), voxel size, settings, dark -> labels (*S) int32."""

    settings: type[Settings]
    segment: Callable[[NDArray[np.generic], Voxel, Any, bool], NDArray[np.int32]]


PIPELINES: dict[str, Pipeline] = {
    "otsu": Pipeline(Classical, segment_classically),
    "cellprofiler": Pipeline(CellProfiler, identify_primary_objects),
    "squassh": Pipeline(Squassh, segment_by_regions),
}


def pipeline_settings(name: str, wishes: dict[str, Any]) -> Settings:
    """Checked settings of a pipeline. Raises UserError for another name, and for a setting that it does not have.

    >>> pipeline_settings("squassh", {"psf": 1.5}).psf
    1.5
    """
    if name not in PIPELINES:
        raise UserError(f"there is no classical pipeline '{name}'; pass one of {', '.join(PIPELINES)}")
    return parse(PIPELINES[name].settings, wishes, name)


def segment_by_pipeline(
    settings: Settings, image: NDArray[np.generic], voxel: Voxel, dark: bool = False
) -> NDArray[np.int32]:
    """Labels (*S) of an image (*S) by the pipeline that these settings are of."""
    (segment,) = (one.segment for one in PIPELINES.values() if isinstance(settings, one.settings))
    return segment(image, voxel, settings, dark)
