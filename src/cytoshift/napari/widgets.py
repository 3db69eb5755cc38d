"""What one does with layers, as typed functions: napari makes a widget of each."""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
from magicgui import magic_factory
from napari.layers import Image, Labels
from napari.qt.threading import FunctionWorker, thread_worker
from napari.types import LayerDataTuple

from ..api_run import run
from ..configure.recipe import Survey, prior
from ..core.blocks import centre_box, extent
from ..core.errors import UserError
from ..core.rng import stream
from ..data.volumes import ImageSource
from ..draw.overlays import colour_at
from ..measure.estimate import estimate
from ..metrics import evaluation
from ..model import Segmenter
from ..predict.pipeline import Options, predict
from ..synth import draw_labels
from ..trust.size_fit import fit
from ..view.properties import SURE
from .glue import label_layer, volume_of
from .reader import read_labels

MASK_VOXELS = 2**22  # voxels that synthetic masks are drawn for, in the middle of the image


def preview_masks(image: Image, diameter: float = 1.0, density: float = 1.0, seed: int = 0) -> LayerDataTuple:
    """Masks as a training would see them, drawn from what the image shows, over its middle.

    diameter, density: in multiples of what was measured. Size, number and shape should look like those of the image.
    """
    volume = volume_of(image)
    measured = estimate([np.asarray(volume.array)], [volume.voxel])
    if not measured.objects:
        raise UserError(f"nothing in {volume.name} stands out that could be measured; choose another layer")
    region = centre_box(volume.shape, MASK_VOXELS)
    shape = extent(region)
    guess = prior(Survey(ImageSource(paths=volume.name), [volume], measured, False), volume.voxel, shape)
    known: Any = guess.diameter
    wished = guess.model_copy(
        update={
            "diameter": known.model_copy(update={"median": known.median * diameter}),
            "density": tuple(n * density for n in guess.density) if isinstance(guess.density, tuple) else guess.density,
        }
    )
    labels = draw_labels(wished, shape, volume.voxel, stream(seed, "preview"))
    corner = [side.start * s for side, s in zip(region, volume.voxel.size)]
    return label_layer(labels, volume.voxel, "synthetic masks", translate=corner, opacity=0.5)


def segment(image: Image, model: Annotated[Path, {"mode": "d"}] = Path("model")) -> FunctionWorker[LayerDataTuple]:
    """The objects that a model finds in a layer, with their table; another thread does it.

    model: the folder that a training has written.
    """
    volume = volume_of(image)
    segmenter = fit(Segmenter.load(Path(model)), [volume]).segmenter

    @thread_worker  # type: ignore[untyped-decorator, unused-ignore]
    def work() -> Any:
        prediction = predict(segmenter, volume, Options())
        layers = []
        for name, one in prediction.classes.items():
            columns = {key: values for key, values in one.table.columns().items() if key not in ("label", "unit")}
            features = {"index": one.table.ids.astype(np.int64), **columns, SURE: one.confidence}
            title = f"{name or 'objects'} in {volume.name}"
            layers.append(label_layer(one.labels, volume.voxel, title, features, opacity=0.5))
        return layers[0] if len(layers) == 1 else layers

    return work()


def label_without_labels(
    image: Image, results: Annotated[Path, {"mode": "d"}] = Path("results"),
    minutes: Annotated[float, {"min": 0, "max": 600}] = 0, sections: bool = False,
) -> FunctionWorker[LayerDataTuple]:  # fmt: skip
    """The objects of a layer of which nothing is known: as `cytoshift run`, without a model and without a label.

    results: a folder that is new, or that the same call on the same layer has left; it goes on there. minutes: for a
    training on this image after the first result; 0 gives the first result, in about a minute. sections: label each
    section of a stack in 2D and join objects along z, for stacks that are no deeper than their objects.
    """
    volume, out = volume_of(image), Path(results)

    @thread_worker  # type: ignore[untyped-decorator, unused-ignore]
    def work() -> Any:
        found = run(volume, out, budget=60 * minutes, sections=sections)
        ((path, score),) = zip(found.paths.values(), found.expected_f1.values())
        ((labels, about, kind),) = read_labels(str(path))
        return labels, about | {"name": f"objects in {volume.name}, expected F1 {score:.2f}", "opacity": 0.5}, kind

    return work()


def show_confidence(labels: Labels) -> None:
    """Colour objects by how sure they are: from orange, unsure, over yellow to blue, sure.

    Of labels that this plugin has segmented, or that it has opened with the tables beside them.
    """
    from napari.utils import DirectLabelColormap

    features = labels.features
    if SURE not in features or "index" not in features:
        raise UserError(
            f"of the objects in {labels.name} no confidence is known; segment them here, or open labels that "
            "'cytoshift segment' or 'cytoshift trust' has written"
        )
    colours: dict[int | None, Any] = {None: (0.0, 0.0, 0.0, 0.0), 0: (0.0, 0.0, 0.0, 0.0)}
    for number, sure in zip(features["index"], features[SURE]):
        if np.isfinite(sure):
            colours[int(number)] = (*(part / 255 for part in colour_at(float(np.clip(sure, 0, 1)))), 1.0)
    labels.colormap = DirectLabelColormap(color_dict=colours)


@magic_factory(result_widget=True, call_button="Compare")  # type: ignore[untyped-decorator, unused-ignore]
def evaluate(predicted: Labels, truth: Labels) -> str:
    """How well two label layers agree."""
    one, other = volume_of(predicted), volume_of(truth)
    if one.shape != other.shape:
        raise UserError(f"{one.name} has the shape {one.shape}, {other.name} {other.shape}; choose labels of one image")
    found = evaluation.evaluate(np.asarray(other.array), np.asarray(one.array))
    return (
        f"{found.pred_objects} objects, truth {found.truth_objects}; F1@0.5 {found.f1_50:.3f}, Dice {found.dice:.3f}, "
        f"PQ {found.pq:.3f}"
    )
