"""Phantoms as sample data: images whose exact labels are known."""

from ..synth import phantom
from .glue import LayerData, label_layer, layer_calibration


def nuclei_2d() -> list[LayerData]:
    """A crowded field."""
    return sample("dense-2d")


def nuclei_3d() -> list[LayerData]:
    """A crowded volume, coarser along z."""
    return sample("dense-3d")


def sample(preset: str) -> list[LayerData]:
    """Image and truth of a preset of `cytoshift synth`."""
    image, labels, voxel = phantom(preset, 0)
    return [
        (image, {"name": preset, **layer_calibration(voxel), "colormap": "gray"}, "image"),
        label_layer(labels, voxel, f"{preset} truth", opacity=0.4),
    ]
