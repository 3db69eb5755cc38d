"""The Python functions of `cytoshift evaluate` and `cytoshift trust`: how good labels are, with and without truth."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from numpy.typing import NDArray

from .api_images import Image, ImageOptions, ids, open_single
from .core.errors import UserError
from .core.progress import follow_progress
from .data.volumes import Volume
from .ensemble.second_opinion import may_vote, vote_on
from .metrics import evaluation as metrics
from .metrics.confidence import mean_over_objects
from .metrics.evaluation import Report
from .model.segmenter import Segmenter
from .trust.sampled_boxes import BOXES, judge_image
from .trust.trust_tables import JudgedLabels

if TYPE_CHECKING:
    from .api import Progress


def evaluate(
    truth: Image, pred: Image, *, confidence: Mapping[str, NDArray[Any]] | None = None, iou: float = 0.5
) -> Report:
    """Compare two label images.

    Parameters
    ----------
    truth, pred
        (*S) of any integer type with any ids, 0 is background: arrays, volumes, or paths of one image.
    confidence
        Scores that rank the predicted objects for average precision, by name: an image (*S), whose mean over an object
        counts, or (M,) numbers by ascending id. The number of voxels is always among the scores. Default: that alone.
    iou
        IoU from which an object counts as found, in (0, 1]. Default: 0.5.

    Returns
    -------
    Report
        dice, precision, recall, iou; object_precision, object_recall, object_f1; ap_50, pq and more.

    Raises
    ------
    UserError
        Where shapes, types, confidences or `iou` do not fit.

    References
    ----------
    The definitions with their papers stand in `cytoshift.metrics`.

    Examples
    --------
    >>> import numpy as np
    >>> truth = np.array([[0, 1, 1, 0, 2, 2]])
    >>> pred = np.array([[0, 7, 7, 0, 0, 0]])
    >>> found = evaluate(truth, pred)
    >>> found.object_precision, found.object_recall
    (1.0, 0.5)
    """
    true, found = (ids(one) for one in (truth, pred))
    scores = {
        name: mean_over_objects(values, found) if values.shape == found.shape else values
        for name, values in (confidence or {}).items()
    }
    return metrics.evaluate(true, found, scores, iou)


def trust(
    labels: Image, image: Image, model: Segmenter | str | Path, *, votes: bool = True, boxes: int = BOXES,
    name: str = "", progress: "Progress | None" = None, **options: Unpack[ImageOptions],
) -> JudgedLabels:  # fmt: skip
    """Judge the labels of an image without the truth.

    Parameters
    ----------
    labels
        (*S), or (K, *S) from a model of several classes: an array, a volume, or the path of one image.
    image
        The raw image, as `Segmenter.segment` takes it.
    model
        The model that made the labels, or its folder.
    votes
        Let the ways of `run` label the image, too, and vote on each object; they look for nuclei. Default: True, for
        images of one channel that are judged in one piece.
    boxes
        Largest number of boxes that are judged in a large image.
    name
        The class to judge, of several. Default: the only class.
    progress
        Function of (what is done, how much of it is done, how much there is). Default: none.
    **options
        What the image does not say about itself, as `voxel` and `unit`.

    Returns
    -------
    JudgedLabels
        score.value, the F1@0.5 of similar results, with its interval score.low to score.high; confidence
        (N,) of the objects in the order of `ids`; criteria, from which both are computed.

    Raises
    ------
    UserError
        Where labels, image and model do not fit each other.

    Examples
    --------
    >>> judged = trust(labels, image, "runs/run/model", voxel=(0.5, 0.5), unit="um")  # doctest: +SKIP
    >>> judged.score.value  # doctest: +SKIP
    0.83
    """
    segmenter = Segmenter.load(model) if isinstance(model, str | Path) else model
    volume = open_single(image, options, segmenter.axes)
    names = [one for one, *_ in segmenter.representation.parts()]
    if name not in names:
        raise UserError(f"the model has no class '{name}', it has {', '.join(names)}; pass one of them as `name`")
    array = ids(labels)
    each = array if names != [""] else array[None]
    if len(each) != len(names):
        raise UserError(
            f"{len(names)} classes need as many label arrays, not the shape {array.shape}; stack one for each"
        )
    found = {one: Volume(volume.name, mine, volume.axes, volume.voxel, "labels") for one, mine in zip(names, each)}
    with follow_progress(progress) as told:
        step = (lambda done: None) if told is None else lambda done: told(f"judge {volume.name}", done, 1.0)
        judged = next(one for one in judge_image(segmenter, volume, found, boxes, None, step) if one.name == name)
    if votes and may_vote([volume], names):
        (judged,) = vote_on([judged], {volume.name: found[name]}, str(next(segmenter.network.parameters()).device))
    return judged
