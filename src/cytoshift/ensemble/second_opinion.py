"""Labels of nuclei judged by others: the ways of `cytoshift run` label the same images and vote on each object.

A network that is wrong in a steady way finds the same objects in the mirrored image and in another light. Other ways to
label do not. So where they vote, the confidence of an object is its calibrated vote, and the score of an image is the
F1@0.5 that is to be expected of it, with what is probably missing.
"""

from collections.abc import Mapping, Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray

from ..core.errors import UserError
from ..data.volumes import Volume
from ..labels.opinion import Opinion, opinion
from ..model import Segmenter, fingerprint
from ..model.shipped import model_folder, nuclei_model
from ..trust.judge import WHOLE_VOXELS, Told, share_of_progress, silent
from ..trust.score import Score, too_few
from ..trust.size_fit import fit
from ..trust.trust_tables import JudgedLabels
from .expected_f1 import Calibration, calibration
from .voters import Measurements, Voter, voters

SAME_LABELS_IOU = 0.98  # mean IoU from which on a voter's labels are those that are judged, and no other opinion
BASIS = "images on which several ways to label voted so"


def may_vote(volumes: Sequence[Volume], classes: Sequence[str]) -> bool:
    """Whether there are ways to label such images: of one channel, in one class, all of them judged in one piece."""
    single = len(classes) == 1 and all(volume.channels == 1 for volume in volumes)
    return single and all(prod(volume.shape) <= WHOLE_VOXELS for volume in volumes)


def vote_on(
    judged: Sequence[JudgedLabels], labels: Mapping[str, Volume], device: str = "cpu", told: Told = silent
) -> list[JudgedLabels]:  # fmt: skip
    """Judge labels by votes, too.

    Parameters
    ----------
    judged
        Of each image, what its own model says of its labels.
    labels
        Of each image, by its name.
    device
        Where networks run.
    told
        Hears which share of the work is done.

    Returns
    -------
    list of JudgedLabels
        With `vote` among the columns of objects, `voted` (their mean) among the criteria, and with confidence and score
        by votes. As they were where nothing can be measured in the images.
    """
    volumes = [one.volume for one in judged]
    name = nuclei_model(len(volumes[0].axes))
    network = Segmenter.load(model_folder(name), device)
    try:
        measured = Measurements.of(fit(network, volumes))
    except UserError:  # nothing stands out: nobody has an opinion
        return list(judged)
    every = voters(network, fingerprint(name), volumes, measured)
    out = []
    for number, one in enumerate(judged):
        step = share_of_progress(told, number, len(judged))
        found = opinion_of(every, one.volume, labels[one.volume.name].load(), step)
        out.append(by_votes(one, found, calibration("given")))
    return out


def opinion_of(every: Sequence[Voter], volume: Volume, labels: NDArray[np.generic], told: Told = silent) -> Opinion:
    """What voters say of the labels of an image. The one that has made them, if any, has no vote."""
    others, own = list[NDArray[np.int32]](), False
    for number, voter in enumerate(every):
        theirs = voter.labels(volume)
        if not own and is_same(labels, theirs):
            own = True
        else:
            others.append(theirs)
        told((number + 1) / len(every))
    return opinion(labels, others)


def is_same(labels: NDArray[np.generic], other: NDArray[np.generic]) -> bool:
    """Whether both come from one source."""
    found = opinion(labels, [other, other])
    return found.votes.size > 0 and float(found.votes.mean()) > SAME_LABELS_IOU


def by_votes(judged: JudgedLabels, found: Opinion, curve: Calibration) -> JudgedLabels:
    """The same labels, with what the votes say of them."""
    count = found.votes.size
    if not count:
        return judged
    value = curve.f1_of(found)
    low, high = (float(np.clip(value + shift, 0, 1)) for shift in curve.spread)
    score = Score(value, low, high, too_few(count), BASIS)
    return judged.with_confidence(curve.confidence(found.votes), "vote", found.votes, "voted", score)
