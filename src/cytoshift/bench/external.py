"""A system of others over the images of a data set: all of them in one call, and what it took."""

from typing import Any

import numpy as np

from ..configure.recipe import survey_images
from ..data.volumes import Volume
from ..measure.shapes import ObjectShapes, shapes
from ..predict.external_command import run_external
from ..predict.external_system import open_system
from .datasets import Material
from .method_spec import ExternalMethod
from .scoring import FoundObjects, Segment


def segment_externally(contender: ExternalMethod, here: Material) -> tuple[Segment, dict[str, Any]]:
    """How a command labels the images, which it has done when this returns, and its time and its environment."""
    here.refuse_classes(contender.name)
    images = [pair.image for pair in here.pairs]
    with open_system(contender.recipe, contender.command, images) as system:
        if system.needs_diameter:
            system = system.with_diameter(object_diameter(contender, here) / min(images[0].voxel.size))
        limit = None if contender.time_limit is None else 60 * contender.time_limit
        found = run_external(system.command, images, system.values, limit)
    each = found.seconds / len(images)
    about = {"seconds": found.seconds, "images": len(images), "diameter": system.values.get("diameter")}

    def way(image: Volume) -> FoundObjects:
        return FoundObjects({"": found.labels[image.name]})

    return way, {"external": about, "segment_seconds": each}


def object_diameter(contender: ExternalMethod, here: Material) -> float:
    """Median diameter of the objects in the unit of the voxels, measured without labels or that of the labels."""
    return (
        true_diameter(here)
        if contender.size == "true"
        else survey_images(here.train, here.dataset.polarity).measured.diameters[50]
    )


def true_diameter(here: Material) -> float:
    """Median equivalent diameter of the labelled objects that no border cuts."""
    seen = [shapes(pair.truth(), pair.image.voxel) for pair in here.pairs]
    return float(np.median(ObjectShapes.join(seen).whole_objects().diameter))
