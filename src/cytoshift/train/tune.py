"""After a training with source labels: the thresholds of the decoder, tuned on the labelled source.

The network sees the source as it will see the target (Method.source_domain_network): with CySGAN, translated into the
look of the target; where patches of the source are repainted, so are these. The truth of the target is never read.
The representation says which thresholds are tuned, and between which values (`tunable_thresholds`).
"""

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import nn

from ..core.blocks import middle_box, side_factor
from ..core.rng import stream
from ..core.settings import parse
from ..core.voxel import Voxel
from ..data.labelled import DrawnImages, LabelledPairs
from ..data.resample import resample, resample_labels, working_shape
from ..labels.ignored import known_overlap
from ..metrics.evaluation import report
from ..represent import RepresentationSettings
from ..represent.threshold_search import LEAST_GAIN, search_thresholds, settings_of
from .drawer import VolumePredictor
from .run_settings import Run
from .ship import TrainingResult

LOOKED_AT_VOXELS = 2_000_000  # of the working grid that are looked at
SYNTHETIC_IMAGES, UNSEEN_SAMPLE = 64, 2**40  # synthetic images at most, and a number that no sample of a training has

Drawn = tuple[NDArray[np.float32], NDArray[np.generic]]  # channels (K, *S) and truth (*S)


@dataclass(frozen=True)
class TunedThresholds:
    """The representation with its new thresholds, and the mean PQ on the source before and after."""

    represent: RepresentationSettings
    before: float
    after: float

    def sentence(self, former: RepresentationSettings) -> str:
        old, new = settings_of(former), settings_of(self.represent)
        changed = ", ".join(
            f"{k} {old[k]:g} -> {new[k]:g}" for k in self.represent.tunable_thresholds if old[k] != new[k]
        )
        return (
            f"thresholds tuned on the source: {changed or 'all kept'}; PQ there {self.before:.3f} -> {self.after:.3f}"
        )


def tuned_representation(run: Run, learnt: TrainingResult, quiet: bool) -> RepresentationSettings:
    """The representation to ship, with thresholds tuned on the labels that were borrowed where that is wished for."""
    streams = learnt.domains.values()
    source = next((one for one in streams if isinstance(one, DrawnImages)), learnt.domains.get("source"))
    if not run.tune or not isinstance(source, LabelledPairs | DrawnImages):
        return run.represent
    found = tune(learnt.method.source_domain_network(), source, run.represent)
    if not quiet:
        logging.getLogger("cytoshift").info(found.sentence(run.represent))
    return found.represent


def tune(network: nn.Module, source: LabelledPairs | DrawnImages, represent: RepresentationSettings) -> TunedThresholds:
    """The thresholds with the best mean PQ on the source, one after the other.

    Twice, from the thresholds as they are and from the most lenient ones: where the network is never as sure as the
    former ask for, no single one makes a difference.
    network: source image (B, 1, *S) -> logits of `represent`.
    """
    if isinstance(source, DrawnImages):
        drawn = rehearse_drawn(network, source, represent)
    else:
        drawn = predict_source(network, source, represent)
    ignore_id = None if isinstance(source, DrawnImages) else source.ignore_id
    score = lambda candidate: mean_quality(candidate, drawn, source.working, ignore_id)
    best, before = represent, score(represent)
    after = before
    for start in (represent, most_lenient(represent)):
        here, reached = search_thresholds(start, score)
        if reached > after + LEAST_GAIN:
            best, after = here, reached
    return TunedThresholds(best, before, after)


def most_lenient(represent: RepresentationSettings) -> RepresentationSettings:
    """Every threshold at the value that asks least of the network, which comes first."""
    values = {name: values[0] for name, values in represent.tunable_thresholds.items()}
    return parse(type(represent), settings_of(represent) | values, "lenient thresholds")


def predict_source(network: nn.Module, source: LabelledPairs, represent: RepresentationSettings) -> list[Drawn]:
    """What the network draws of the source, and the truth, on the working grid; systematic over all volumes."""
    drawer = VolumePredictor(network, "zyx"[-len(source.patch) :], represent)
    extent = [float(np.prod(working_shape(a.shape, v, source.working))) for a, v in zip(source.arrays, source.voxels)]
    count = int(np.clip(LOOKED_AT_VOXELS // max(np.median(extent), 1), 1, len(extent)))
    out = []
    for which in np.linspace(0, len(extent) - 1, count).round().astype(int):
        image, labels = labelled_middle(source, int(which), LOOKED_AT_VOXELS / count)
        out.append((drawer(image), labels))
    return out


def rehearse_drawn(network: nn.Module, source: DrawnImages, represent: RepresentationSettings) -> list[Drawn]:
    """The outputs of the network for synthetic images that no training has seen, and their truth."""
    drawer = VolumePredictor(network, "zyx"[-len(source.patch) :], represent)
    count = min(max(LOOKED_AT_VOXELS // int(np.prod(source.shape)), 1), SYNTHETIC_IMAGES)
    pairs = (source.pair(UNSEEN_SAMPLE + i) for i in range(count))
    return [(drawer(image), labels) for image, labels in pairs if labels.any()]


def labelled_middle(source: LabelledPairs, which: int, voxels: float) -> Drawn:
    """The middle of a volume on the working grid, at most so many voxels of it: image and labels (*S)."""
    array, own = source.arrays[which], source.voxels[which]
    whole = working_shape(array.shape, own, source.working)
    part = side_factor(whole, voxels)
    sizes = tuple(max(round(n * part), 1) for n in array.shape)
    place = middle_box(array.shape, sizes)
    shape = working_shape(sizes, own, source.working)
    image = resample(source.scales[which](np.asarray(array[place])), shape)
    labels = resample_labels(np.asarray(source.labels[which][place]), shape)
    painted = source.repaint(labels, stream(source.seed, "tune", which))
    return (image if painted is None else painted), labels


def mean_quality(
    represent: RepresentationSettings, drawn: list[Drawn], voxel: Voxel, ignore_id: int | None = None
) -> float:  # fmt: skip
    reports = [report(known_overlap(truth, represent.decode(channels, voxel), ignore_id)) for channels, truth in drawn]
    return float(np.mean([one.as_dict()["pq"] for one in reports]))
