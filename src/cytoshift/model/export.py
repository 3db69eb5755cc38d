"""A segmenter for other programs: its network as ONNX, with all that stands between a raw image and its instances.

(1) normalise   what `normalisation` says, to [-1, 1] or to sigmas; in numbers where they do not depend on the image
(2) network     in the file: image (B, C, *S) float32 -> channels (B, K, *S), activated; any multiple of `size_multiple`
(3) decode      what `representation` says; `cytoshift.represent` is how
"""

import importlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from .. import __version__
from ..core.atomic import atomic_path
from ..core.errors import UserError
from ..core.normalise import Scale, Scales, recipes
from ..nets.graph import Graph, write_model, write_network
from ..represent.base import Ranges
from .segmenter import Segmenter

if TYPE_CHECKING:
    import onnx

EXTRA = "pip install 'cytoshift[export]'"
LEAST_MULTIPLES = 4  # multiples along each axis: the coarsest level of a network must have room to reflect
TOLERANCE = 1e-3  # of the activated channels, between onnxruntime and torch in 32 bits


def require_modules(*modules: str) -> None:
    """Raises UserError where one of these modules is not installed."""
    for name in modules:
        try:
            importlib.import_module(name)
        except ImportError:
            raise UserError(f"this export needs {name.partition('.')[0]}, which is not installed; {EXTRA}") from None


def onnx_model(segmenter: Segmenter) -> "onnx.ModelProto":
    """From the normalised image to activated channels, with `describe_model` as metadata."""
    require_modules("onnx")
    graph = Graph(len(segmenter.axes))
    with torch.inference_mode():
        logits = write_network(graph, segmenter.network, gamma_output(graph, segmenter, "x"))
    ranges = segmenter.representation.ranges
    output = activate_outputs(graph, ranges, logits)
    return write_model(graph, (segmenter.spec.channels, len(ranges)), "x", output, metadata_text(segmenter))


def save_onnx(segmenter: Segmenter, path: Path) -> Path:
    """Write one file, whole or not at all. Raises UserError where `onnx` is not installed."""
    content = onnx_model(segmenter).SerializeToString()
    with atomic_path(path) as beside:
        beside.write_bytes(content)
    return path


def gamma_output(graph: Graph, segmenter: Segmenter, x: str) -> str:
    """[-1, 1] raised to the gamma of each channel, as `core.normalise.Scale` does it last."""
    gammas = [one.gamma for one in channel_recipes(segmenter)]
    if all(gamma == 1 for gamma in gammas):
        return x
    half = graph.op("Mul", graph.op("Add", x, graph.weight(np.float32(1))), graph.weight(np.float32(0.5)))
    power = graph.op("Pow", half, graph.per_channel(np.array(gammas, np.float32)))
    return graph.op("Sub", graph.op("Mul", power, graph.weight(np.float32(2))), graph.weight(np.float32(1)))


def activate_outputs(graph: Graph, ranges: Ranges, logits: str) -> str:
    """Signed distances by tanh, all other channels by a sigmoid (`Representation.activate`)."""
    kinds = ["Tanh" if low < 0 else "Sigmoid" for low, _ in ranges]
    if len(set(kinds)) == 1:
        return graph.op(kinds[0], logits)
    axis, parts = graph.weight([1]), []
    for i, kind in enumerate(kinds):
        parts.append(graph.op(kind, graph.op("Slice", logits, graph.weight([i]), graph.weight([i + 1]), axis)))
    return graph.op("Concat", *parts, axis=1)


def channel_recipes(segmenter: Segmenter) -> list[Any]:
    """The recipe of every channel."""
    found = recipes(segmenter.normalisation)
    return list(found) * segmenter.spec.channels if len(found) == 1 else list(found)


def dataset_scales(segmenter: Segmenter) -> list[Scale] | None:
    """Numbers that normalise the channels of any image; None where each image has its own."""
    if isinstance(segmenter.scale, Scales):
        return list(segmenter.scale.each)
    if segmenter.scale is not None:
        return [segmenter.scale] * segmenter.spec.channels
    if all(one.kind == "range" for one in channel_recipes(segmenter)):
        return [one.measure([np.array([one.low, one.high])]) for one in channel_recipes(segmenter)]
    return None


def size_multiple(segmenter: Segmenter) -> tuple[int, ...]:
    wanted: Any = segmenter.network.multiple
    return tuple(int(m) for m in np.broadcast_to(np.asarray(wanted), len(segmenter.axes)))


def describe_model(segmenter: Segmenter) -> dict[str, Any]:
    """All that a program has to know that runs the network on its own; JSON values."""
    numbers = dataset_scales(segmenter)
    return {
        "cytoshift": __version__,
        "axes": segmenter.axes,
        "voxel": {"size": list(segmenter.voxel.size), "unit": segmenter.voxel.unit},
        "multiple": list(size_multiple(segmenter)),
        "least": [LEAST_MULTIPLES * m for m in size_multiple(segmenter)],
        "normalisation": [one.model_dump(mode="json") for one in channel_recipes(segmenter)],
        "scale": None if numbers is None else [[one.offset, one.gain, *one.clip] for one in numbers],
        "channels": dict(zip(segmenter.representation.channels, segmenter.representation.ranges)),
        "representation": segmenter.representation.model_dump(mode="json"),
    }


def metadata_text(segmenter: Segmenter) -> dict[str, str]:
    """`describe_model` as the metadata of a file: text by name."""
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in describe_model(segmenter).items()
    }
