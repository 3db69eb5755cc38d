"""Every number of one comparison, and what a set of images gives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..labels.overlap import Overlap, concatenate_tables, overlap
from .average_precision import PERCENT, precision_by_iou
from .confidence import VOXEL_COUNT, voxel_count
from .matching import match, panoptic
from .partition import adapted_rand, variation_of_information
from .pixels import pixels
from .tracking import tracking

Scores = Mapping[str, NDArray[np.floating] | NDArray[np.integer]]  # by name; (M,) by ascending id of the prediction


@dataclass(frozen=True)
class Report:
    """Numbers of one pair of label images; 1 is best save where said. Definitions stand with their functions."""

    truth_objects: int
    pred_objects: int
    dice: float  # foreground against foreground: pixels.pixels
    precision: float
    recall: float
    iou: float
    threshold: float  # IoU of the next three: matching.match
    object_precision: float
    object_recall: float
    object_f1: float
    f1: dict[int, float]  # by IoU in percent, 50, 55 .. 95
    ap: dict[str, dict[int, float]]  # by name of the score, then IoU in percent: precision.average_precision
    pq: float  # at IoU 0.5: matching.panoptic
    sq: float
    rq: float
    rand_error: float  # 0 is best: partition.adapted_rand
    rand_precision: float
    rand_recall: float
    voi_split: float  # bits, 0 is best: partition.variation_of_information
    voi_merge: float
    seg: float  # tracking.tracking
    det: float
    op_csb: float

    @property
    def f1_50(self) -> float:
        return self.f1[50]

    @property
    def ap_50(self) -> float:
        """AP at IoU 0.5, larger predictions first."""
        return self.ap[VOXEL_COUNT][50]

    @property
    def ap_75(self) -> float:
        return self.ap[VOXEL_COUNT][75]

    @property
    def map(self) -> float:
        """Mean of AP over the IoUs 0.50 .. 0.95, larger predictions first."""
        return mean(self.ap[VOXEL_COUNT])

    def as_dict(self) -> dict[str, float]:
        """Flat, for JSON and tables: f1_50 .. f1_95, ap_50 .. ap_95 and map stand for the curves.

        With further scores, ap_50_<name> .. and map_<name> follow.
        """
        flat: dict[str, float] = {}
        for name, value in vars(self).items():
            if name == "f1":
                flat |= {f"f1_{percent}": number for percent, number in value.items()}
            elif name == "ap":
                for score, numbers in value.items():
                    suffix = "" if score == VOXEL_COUNT else f"_{score}"
                    flat |= {f"ap_{percent}{suffix}": number for percent, number in numbers.items()}
                    flat[f"map{suffix}"] = mean(numbers)
            else:
                flat[name] = value
        return flat


def evaluate(
    truth: NDArray[np.generic], pred: NDArray[np.generic], scores: Scores | None = None, threshold: float = 0.5
) -> Report:
    """All numbers for two label images.

    Parameters
    ----------
    truth, pred
        Label images (*S) of any integer type with any ids. 0 is background.
    scores
        Confidences of the predicted objects for average precision, by name: (M,) each, by ascending id. The number of
        voxels is always among them.
    threshold
        IoU of object_precision, object_recall and object_f1, in (0, 1]. Default: 0.5.

    Returns
    -------
    Report
        All metrics of one image.

    Raises
    ------
    UserError
        Where shapes, types, scores or the threshold do not fit.

    Examples
    --------
    >>> found = evaluate(np.array([1, 1, 0, 2]), np.array([5, 5, 0, 0]))
    >>> found.object_precision, found.object_recall, found.dice
    (1.0, 0.5, 0.8)
    """
    return report(overlap(truth, pred), scores, threshold)


def report(table: Overlap, scores: Scores | None = None, threshold: float = 0.5) -> Report:
    """The same as `evaluate`, from an overlap table, which may be the sum of the tables of blocks.

    Parameters
    ----------
    table
        Overlap of truth and prediction, of `labels.overlap.overlap`. N true and M predicted objects.
    scores, threshold
        As of `evaluate`.

    Returns
    -------
    Report
        All metrics of one image.

    Examples
    --------
    >>> from cytoshift.labels.overlap import overlap
    >>> table = overlap(np.array([1, 1, 0, 2, 2, 2]), np.array([5, 5, 0, 6, 6, 0]))
    >>> report(table).f1_50
    1.0
    """
    foreground, objects = pixels(table), match(table, threshold)
    quality, rand, information, track = (
        panoptic(table),
        adapted_rand(table),
        variation_of_information(table),
        tracking(table),
    )
    named = {VOXEL_COUNT: voxel_count(table), **(scores or {})}
    return Report(
        truth_objects=table.truth_ids.size,
        pred_objects=table.pred_ids.size,
        **foreground._asdict(),
        threshold=threshold,
        object_precision=objects.precision,
        object_recall=objects.recall,
        object_f1=objects.f1,
        f1={percent: match(table, percent / 100).f1 for percent in PERCENT},
        ap={name: precision_by_iou(table, values) for name, values in named.items()},
        **quality._asdict(),
        **{f"rand_{name}": value for name, value in rand._asdict().items()},
        **{f"voi_{name}": value for name, value in information._asdict().items()},
        **track._asdict(),
    )


def mean_report(reports: Sequence[Report]) -> dict[str, float]:
    """Mean over images of every number of `Report.as_dict`, except counts and threshold. Each image has the same
    weight.

    Parameters
    ----------
    reports
        One for each image.

    Returns
    -------
    dict
        Means by name.

    Examples
    --------
    >>> truth = np.array([1, 0])
    >>> mean_report([evaluate(truth, truth), evaluate(truth, 0 * truth)])["dice"]
    0.5
    """
    rows = [one.as_dict() for one in reports]
    left_out = ("truth_objects", "pred_objects", "threshold")
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0] if name not in left_out}


def pool_tables(tables: Sequence[Overlap], scores: Sequence[Scores] | None = None, threshold: float = 0.5) -> Report:
    """All images as one: each object, or voxel, has the same weight.

    Parameters
    ----------
    tables
        Overlap table of each image.
    scores
        One mapping for each image, all with the same names. Default: none.
    threshold
        As of `evaluate`.

    Returns
    -------
    Report
        All metrics of the images together.

    Examples
    --------
    >>> from cytoshift.labels.overlap import overlap
    >>> one, two = np.array([1, 1, 1, 0]), np.array([1, 0, 0, 0])
    >>> round(pool_tables([overlap(one, one), overlap(two, 0 * two)]).object_recall, 3)
    0.5
    """
    names = list(scores[0]) if scores else []
    joined = {name: np.concatenate([one[name] for one in scores or []]) for name in names}
    return report(concatenate_tables(tables), joined, threshold)


def mean(numbers: Mapping[int, float]) -> float:
    return float(np.mean(list(numbers.values())))
