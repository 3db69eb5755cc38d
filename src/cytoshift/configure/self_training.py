"""Settings of a run in which a trained model goes on, on some images, taught by labels that voters agree on."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..core.normalise import recipes
from ..core.settings import Settings, parse
from ..data.corrupt import Corrupt
from ..data.resample import working_shape
from ..data.volumes import ImageSource, Volume, open_volumes
from ..labels.pseudo import IGNORED
from ..methods import METHODS
from ..methods.backbone import Backbone
from ..methods.randomised import Randomised
from ..methods.selftrain import SelfTrain
from ..model import Segmenter
from ..train.run_settings import Run
from .recipe import commented_yaml, preset_name, round_digits
from .source_labels import SHORTEST_SIDE, SourceSurvey, survey_source

METHOD = SelfTrain.name
LEAST_ACROSS = 4  # voxels of the network that synthetic objects are across
WIDER = 1.5  # the medians that are drawn reach so far beyond the quartiles of the labelled objects
# The student's view. Stronger than what the images show: what is left after it has to be told by its surroundings.
VIEW = Corrupt(
    gray=0.8, contrast=0.3, brightness=0.1, gamma=0.7, cut_noise=0.5, noise_size=1.0, noise=0.08, blur=0.3, cut_out=0.8,
)  # fmt: skip


def selftraining_run(
    model: Segmenter, start: str | Path, images: ImageSource, labels: ImageSource, *, steps: int | None = None,
    seed: int = 0, preset: str = "laptop", ignore_id: int | None = IGNORED,
) -> Run:  # fmt: skip
    """Settings of a self-training.

    Parameters
    ----------
    model
        What goes on, fitted to the images (`trust.size_fit.fit`): its voxel size, normalisation and representation are
        those of the run.
    start
        Folder of this model, or its name among those of the package. Fitted or not, the weights are the same.
    images
        What is learnt and what the model is for.
    labels
        Of these images by their names, such as `predict.voting.write_pseudo_labels` writes them.
    steps
        Of the training. Default: those of the preset, 600.
    seed
        Another number is another training.
    preset
        Name of the preset, with or without "-2d" and "-3d".
    ignore_id
        Number of the voxels that nothing is learnt from. None: all are labelled.

    Returns
    -------
    Run
        For `train.fit.fit`.

    Raises
    ------
    UserError
        Where labels and images do not pair, and where no label image holds an object.
    """
    stock = survey_source(images, labels, ignore_id=ignore_id)
    return settings(model, start, images, stock, steps=steps, seed=seed, preset=preset)


def settings(
    model: Segmenter, start: str | Path, images: ImageSource, stock: SourceSurvey, *, steps: int | None = None,
    seed: int = 0, preset: str = "laptop",
) -> Run:  # fmt: skip
    """The same, of labels that have been measured."""
    ndim = model.voxel.ndim
    fixed = METHODS[METHOD].presets[preset_name(METHOD, preset, ndim)]
    low, high = (stock.diameters[q] for q in (25, 75))
    smallest = round_digits(max(low / WIDER, LEAST_ACROSS * min(model.voxel.size)))
    shared: dict[str, Any] = {
        "normalise": dump(recipes(model.normalisation)[0]),
        "voxel": model.voxel.size,
        "sides": dict(model.sides),
    }
    # The sizes of the network are those of the model that it starts from.
    options = {name: value for name, value in fixed["options"].items() if name not in Backbone.model_fields}
    return parse(
        Run,
        {
            "method": METHOD,
            "seed": seed,
            "data": {"images": dump(images), **shared},
            "source": {
                "images": dump(images),
                "labels": dump(stock.labels),
                **shared,
                "corrupt": dump(VIEW),
                "mask_above": stock.mask_above,
                "ignore_id": stock.ignore_id,
            },
            "patch": patch(open_volumes(images), model, fixed["patch"]),
            Randomised.name: {"diameter": (smallest, round_digits(WIDER * max(high, smallest)))},
            "represent": model.representation.model_dump(mode="json"),
            "options": options,
            "start": str(start),
            "train": fixed["train"] | ({} if steps is None else {"steps": steps}),
        },
        "the settings of a self-training",
    )


def dump(part: Settings) -> dict[str, Any]:
    """What differs from the defaults, as it stands in a file."""
    return part.model_dump(mode="json", exclude_defaults=True)


def patch(volumes: Sequence[Volume], model: Segmenter, wish: tuple[int, ...]) -> tuple[int, ...]:
    """Voxels of a patch: `wish`, shorter along axes along which every image is shorter."""
    room = np.max([working_shape(one.shape, one.voxel, model.voxel) for one in volumes], axis=0)
    return tuple(min(n, max(int(most) // 4 * 4, SHORTEST_SIDE)) for n, most in zip(wish, room))


def to_commented_yaml(run: Run, stock: SourceSurvey) -> str:
    """run.yaml with words on each group of settings."""
    words = {
        "data": (
            "The images that are learnt and that the model is for.",
            "normalise, voxel, sides: as the model that goes on was fitted to them.",
        ),
        "source": (
            "The same images with labels on which voters agree.",
            "corrupt: the student sees other intensities, noise, blur and cut-outs, its labels stay.",
            "ignore_id: voxels with this number are neither an object nor background; nothing is learnt from them.",
        ),
        Randomised.name: (
            "Synthetic images by which the model keeps what it knew.",
            f"diameter: medians of their objects ({stock.voxel.unit}), as far as the quartiles of the labelled objects "
            "and a little beyond.",
        ),
        "represent": ("As in the model that goes on.",),
        "start": ("The model that goes on; its network has the sizes that `options` leave out.",),
    }
    return commented_yaml(run, words, f"{stock.sentence()}.", *(f"Note: {doubt}." for doubt in stock.doubts))
