"""What is shown, as the state of neuroglancer: https://github.com/google/neuroglancer, its JSON."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.voxel import MICROMETRE
from ..data.levels import PyramidVolume
from ..draw.paint import CHANNELS
from .properties import SURE, Properties
from .virtual_zarr import FRONT, VirtualZarr

CONTRAST_VOXELS = 2**21  # voxels that contrast is measured on
CONTRAST_PERCENTILES = (0.5, 99.8)  # percentiles that become black and white
GREY = "#uicontrol invlerp normalized\nvoid main() { emitGrayscale(normalized()); }\n"
COLOUR = (
    '#uicontrol invlerp normalized\n#uicontrol vec3 colour color(default="{}")\n'
    "void main() {{ emitRGB(colour * normalized()); }}\n"
)
# From orange, unsure, to blue, sure: the colour-blind tell them apart; what is no object stays clear.
SURENESS = """void main() {
  float sure = getDataValue();
  if (sure < 0.0) { emitTransparent(); return; }
  vec3 low = vec3(0.90, 0.38, 0.0), middle = vec3(0.95, 0.95, 0.75), high = vec3(0.0, 0.35, 0.70);
  emitRGBA(vec4(sure < 0.5 ? mix(low, middle, 2.0 * sure) : mix(middle, high, 2.0 * sure - 1.0), 0.8));
}
"""


@dataclass(frozen=True, eq=False)
class Layer:
    """One row of the list of layers, and what its paths lead to."""

    served: VirtualZarr
    properties: Properties | None = None
    colour: str | None = None  # of one channel among several
    sureness: bool = False  # the confidence of objects in their places
    shown: bool = True
    slow: bool = False  # a network draws it: whoever waits for that keeps nobody else waiting

    def state(self, place: str) -> dict[str, Any]:
        """place: address of what is served."""
        zarr = {"url": f"zarr3://{place}/"}
        common = {"name": self.served.name, "visible": self.shown}
        if self.served.labels:
            sources: list[Any] = [zarr]
            query = {}
            if self.properties is not None:
                sources.append({"url": f"precomputed://{place}.properties"})
                if SURE in self.properties.columns:
                    query = {"segmentQuery": f"<{SURE} |{SURE}"}
            return common | query | {
                "type": "segmentation", "source": sources, "selectedAlpha": 0.45, "notSelectedAlpha": 0.15,
                "tab": "segments",
            }  # fmt: skip
        if self.sureness:
            return common | {"type": "image", "source": [zarr], "shader": SURENESS, "opacity": 0.8}
        low, high = contrast(self.served.image)
        room = high - low
        control = {"range": [low, high], "window": [low - 0.2 * room, high + 0.5 * room]}
        if self.served.dtype.kind != "f":  # of whole numbers, neuroglancer takes whole numbers alone
            most = np.iinfo(self.served.dtype)
            control = {k: [int(np.clip(round(v), most.min, most.max)) for v in ends] for k, ends in control.items()}
        colour = {"shader": COLOUR.format(self.colour), "blend": "additive"} if self.colour else {"shader": GREY}
        return common | colour | {
            "type": "image", "source": [zarr], "opacity": 1, "shaderControls": {"normalized": control}
        }  # fmt: skip


def colours(count: int) -> list[str | None]:
    """Of the channels of an image; a single one is grey."""
    if count == 1:
        return [None]
    return ["#" + "".join(f"{round(255 * part):02x}" for part in CHANNELS[i % len(CHANNELS)]) for i in range(count)]


def contrast(image: PyramidVolume) -> tuple[float, float]:
    """Black and white: percentiles of the middle plane, or frame, of the coarsest level that has enough voxels."""
    array = image.levels[0].array
    for level in image.levels:
        if np.prod(level.array.shape[-2:]) >= CONTRAST_VOXELS // 8 or level is image.levels[0]:
            array = level.array
    before = tuple(n // 2 for n in array.shape[:-2])
    step = max(int(np.ceil(np.sqrt(np.prod(array.shape[-2:]) / CONTRAST_VOXELS))), 1)
    plane = np.asarray(array[(*before, slice(None, None, step), slice(None, None, step))], dtype=np.float64)
    plane = plane[np.isfinite(plane)]
    if not plane.size:
        return 0.0, 1.0
    low, high = (float(q) for q in np.percentile(plane, CONTRAST_PERCENTILES))
    if high <= low:
        low, high = float(plane.min()), float(plane.max())
    return (low, high) if high > low else (low, low + 1)


def state(layers: list[Layer], address: str) -> dict[str, Any]:
    """The state of the whole viewer; layer number i lies at ADDRESS/i."""
    volume = layers[0].served.image.volume
    scale = 1e-6 if volume.voxel.unit == MICROMETRE else 1.0
    unit = "m" if volume.voxel.unit == MICROMETRE else ""
    shape = layers[0].served.image.levels[0].array.shape
    places = dict(zip(layers[0].served.axes, shape))
    dimensions = {a: [s * scale, unit] for a, s in reversed(list(zip(volume.axes, volume.voxel.size)))}
    if FRONT in places:
        dimensions[FRONT] = [1, ""]
    flat = volume.axes == "yx"
    told = any(layer.served.labels for layer in layers)
    finest = volume.voxel.size[-1]
    extent = max(n * s for n, s in zip(volume.shape, volume.voxel.size)) / finest
    return {
        "dimensions": dimensions, "position": [(0 if a == FRONT else places[a] / 2) for a in dimensions],
        "crossSectionScale": max(extent / (700 if flat else 420), 0.05), "projectionScale": 1.5 * extent,
        "layers": [layer.state(f"{address}/{number}") for number, layer in enumerate(layers)],
        "layout": "xy" if flat else "4panel", "showAxisLines": not flat, "showSlices": True,
        "showDefaultAnnotations": not flat, "crossSectionBackgroundColor": "#000000",
        "selectedLayer": {"layer": first_label_layer(layers), "visible": told, "size": 330},
    }  # fmt: skip


def first_label_layer(layers: list[Layer]) -> str:
    return next((layer.served.name for layer in layers if layer.served.labels), layers[0].served.name)
