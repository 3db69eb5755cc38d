"""Layers of napari as volumes, and volumes as what napari makes layers of."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..core.errors import UserError
from ..core.voxel import MICROMETRE, PIXEL, UNITS, Voxel
from ..data.volumes import Volume

LayerData = tuple[Any, dict[str, Any], Literal["image", "labels"]]
NAPARI = {MICROMETRE: "micrometer", PIXEL: "pixel"}  # what it calls a unit


def volume_of(layer: Any) -> Volume:
    """An image or label layer, the finest level of a pyramid. Raises UserError for what is no image in 2D or 3D."""
    data = layer.data[0] if getattr(layer, "multiscale", False) else layer.data
    if getattr(layer, "rgb", False):
        raise UserError(f"{layer.name} is a colour image, one channel is needed; split its channels first")
    ndim = len(data.shape)
    if ndim not in (2, 3):
        raise UserError(f"{layer.name} has {ndim} axes, an image has two or three; crop it to one frame and channel")
    if 0 in data.shape:
        raise UserError(f"{layer.name} is empty; choose another layer")
    unit = str(layer.units[-1]).lower()
    sizes = tuple(abs(float(s)) for s in layer.scale[-ndim:])
    voxel = Voxel.of(sizes, unit) if unit in UNITS else Voxel(sizes, PIXEL)
    return Volume(layer.name, np.asarray(data), "zyx" if ndim == 3 else "yx", voxel, f"layer {layer.name}")


def layer_calibration(voxel: Voxel) -> dict[str, Any]:
    """Calibration of a layer."""
    return {"scale": voxel.size, "units": (NAPARI[voxel.unit],) * voxel.ndim}


def label_layer(
    labels: Any, voxel: Voxel, name: str, features: dict[str, NDArray[np.generic]] | None = None, **more: Any
) -> LayerData:
    """features: columns by object, among them `index`, the ids."""
    told = {"features": features} if features else {}
    return labels, {"name": name, **layer_calibration(voxel), **told, **more}, "labels"
