"""Before any work: is a model fit for these images, should it be adapted to them, or a new one trained?

The evidence is what the images show without labels (measure/), what the model's card says of the objects that it has
learnt from, and how much its result on a part of the images can be trusted.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from ..core.errors import UserError
from ..core.evenly import take_evenly
from ..core.normalise import recipes
from ..core.text import count_of
from ..data.volumes import Volume, crop_middle
from ..measure.measurement import Measurement
from ..measure.shapes import ExpectedObjects, expectations
from ..model import Segmenter
from ..predict.pipeline import Options, refuse_mismatch
from .judge import Told, judge, share_of_progress, silent
from .score import Score
from .snapshot_choice import total_score

Verdict = Literal["use", "adapt", "train"]

GOOD_SCORE, POOR_SCORE = 0.75, 0.4  # scores: from the one on a model is used, below the other a new one is trained
ALIKE_DIAMETERS = 1.5  # by this factor the median diameter may differ
CERTAIN_CONFIDENCE = 0.5  # confidence of a measurement that is evidence
SEGMENTED_VOXELS = 1_000_000  # of an image that are segmented
SEGMENTED_IMAGES = 4  # that are segmented at most
LOOKED_SHARE = 0.9  # share of the voxels below which it is said how many were looked at
ENOUGH_OBJECTS = 30  # from which on images show enough of them to learn from


@dataclass(frozen=True)
class Assessment:
    """evidence: sentences, the weightiest first. score: of the result on a part of the images, where there is one."""

    verdict: Verdict
    evidence: list[str]
    score: Score | None = None
    numbers: dict[str, Any] = field(default_factory=dict)


def assess(
    segmenter: Segmenter, volumes: Sequence[Volume], seen: Measurement | None, told: Told = silent
) -> Assessment:
    """seen: what was measured on the images, None where nothing stood out. told: hears what share is done."""
    try:
        for volume in volumes:
            refuse_mismatch(segmenter, volume, Options())
    except UserError as error:
        return Assessment("train", [str(error)])
    parts = [crop_middle(volume, SEGMENTED_VOXELS) for volume in take_evenly(volumes, SEGMENTED_IMAGES)]
    score = total_score(
        [judge(segmenter, part, told=share_of_progress(told, i, len(parts))) for i, part in enumerate(parts)]
    )
    evidence = [f"score of its result on {describe_parts(parts)}: {score.sentence()}"]
    expected = expectations(segmenter.card)
    if not expected:
        evidence.append("the model's card does not say what objects it has learnt from; it comes from an older version")
    opposite, ratio = False, None
    if seen is not None and len(expected) == 1:
        opposite, words = polarity(segmenter, seen)
        evidence.append(words)
        ratio, words = sizes(seen, next(iter(expected.values())))
        evidence.append(words)
    evidence += intensities(segmenter, volumes)
    unlike = ratio is not None and not 1 / ALIKE_DIAMETERS <= ratio <= ALIKE_DIAMETERS
    if opposite or score.value < POOR_SCORE:
        verdict: Verdict = "train"
    else:
        verdict = "use" if score.value >= GOOD_SCORE and not score.outside and not unlike else "adapt"
    return Assessment(verdict, evidence, score, {"diameter_ratio": ratio, "opposite_polarity": opposite})


def polarity(segmenter: Segmenter, seen: Measurement) -> tuple[bool, str]:
    """Whether the images' objects are surely on the other side of the background than the model takes them to be."""
    dark = recipes(segmenter.normalisation)[0].invert
    wanted = "dark" if dark else "bright"
    opposite = seen.polarity != wanted and seen.polarity_confidence >= CERTAIN_CONFIDENCE
    words = f"objects of the images look {seen.polarity} (confidence {seen.polarity_confidence:.2f})"
    return opposite, f"{words}, {'and' if seen.polarity == wanted else 'but'} the model takes {wanted} ones"


def sizes(seen: Measurement, expected: ExpectedObjects) -> tuple[float | None, str]:
    """How many times as large as those learnt from the images' objects are; None where neither unit nor trust allow."""
    if expected.unit != seen.unit:
        return None, f"the images are in {seen.unit}, the model in {expected.unit}: sizes cannot be compared"
    mine, theirs = seen.whole_diameters[50], expected.diameter["50"]
    share = f"{100 * seen.foreground:.0f} % of the field, and {100 * expected.foreground['50']:.0f} % in the training"
    words = (
        f"their median diameter is {mine:.3g} {seen.unit} (confidence of the measurement {seen.confidence:.2f}), "
        f"in the training {theirs:.3g} ({expected.origin}); they cover {share}"
    )
    return (mine / theirs if seen.confidence >= CERTAIN_CONFIDENCE else None), words


def intensities(segmenter: Segmenter, volumes: Sequence[Volume]) -> list[str]:
    """Raw intensities against those learnt from; of weight only where these fix the normalisation."""
    learnt = segmenter.card.get("intensities")
    if not isinstance(learnt, list) or volumes[0].channels != len(learnt) or not all(map(is_described, learnt)):
        return []
    raw = np.concatenate([sample_values(volume) for volume in take_evenly(volumes, SEGMENTED_IMAGES)], axis=1)
    out = []
    for number, (values, known) in enumerate(zip(raw, learnt)):
        low, high = np.percentile(values, (0.5, 99.8))
        which = f" of channel {number}" * (len(learnt) > 1)
        fixed = (
            ""
            if segmenter.scale is None
            else "; the model normalises by those of the training, so both should be alike"
        )
        out.append(
            f"intensities{which} reach from {low:.4g} to {high:.4g}, in the training from {known['0.5']:.4g} to "
            f"{known['99.8']:.4g}{fixed}"
        )
    return out


def is_described(said: Any) -> bool:
    """Whether a card says of a channel what it is asked for; people may change cards."""
    return isinstance(said, dict) and all(isinstance(said.get(q), int | float) for q in ("0.5", "99.8"))


def sample_values(volume: Volume) -> np.ndarray:
    """(C, N) raw values from the middle."""
    raw = crop_middle(volume, SEGMENTED_VOXELS).load()
    return raw.reshape(volume.channels, -1)


def describe_parts(parts: Sequence[Volume]) -> str:
    return f"{count_of(len(parts), 'image')} ({' x '.join(map(str, parts[0].shape))} of the first)"


def describe_learnability(seen: Measurement | None, count: int) -> tuple[bool, list[str]]:
    """Whether images can be learnt from without labels, or need those of another modality, and why.

    count: of images.
    """
    if seen is None:
        return False, ["no object stands out by its brightness: labels of another modality have to say what one is"]
    low, median, high = (seen.whole_diameters[q] for q in (5, 50, 95))
    share = seen.evidence.get("looked_at", 1.0)
    part = f", {100 * share:.2g} % of their voxels looked at" if share < LOOKED_SHARE else ""
    why = [
        f"{seen.objects} {seen.polarity} objects stand out in {count_of(count, 'image')}{part}: diameter "
        f"{median:.3g} {seen.unit} (90 % within {low:.3g} to {high:.3g}), {100 * seen.foreground:.0f} % of the field; "
        f"confidence {seen.confidence:.2f} of 1"
    ]
    why += [f"{note}" for note in seen.notes]
    if seen.confidence < CERTAIN_CONFIDENCE:
        least = min(("polarity", "signal", "agreement", "number"), key=lambda name: seen.evidence[name])
        why.append(f"the weakest point for learning without labels is the {least} ({seen.evidence[least]:.2f} of 1)")
        return False, why
    if seen.objects < ENOUGH_OBJECTS:
        why.append(f"{seen.objects} objects are few to learn from; give more images of the kind if there are any")
    return True, why
