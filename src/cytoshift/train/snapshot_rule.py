"""Chooses which snapshot is exported, without labels of the target.

The rule (`train.select: rule`), of the snapshots of a training:

(1) source   the mean Dice of each on labelled source images that were kept from the training (`source.held_out`); those
             within DICE_MARGIN of the best stay. Where no such images are, or the network is never shown the source as
             it is (translators), all stay.
(2) target   of these the one that is steadiest on windows of the target: it segments a view in a mirror, under another
             exposure, as it does the plain one (`steady`), is sure of what it calls an object (`sure`), and, where it
             learns from synthetic masks, covers as much of the field as these do (`cover`). The product decides, the
             later one where they tie.

The last running mean of the weights is the default, because every rule can be wrong: the benchmark prints what the
best snapshot by the target's truth would have had beside what was shipped.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ..core.atomic import atomic_path
from ..core.errors import UserError
from ..core.rng import stream
from ..data.augment import change_gamma
from ..data.streams import Images, SyntheticMasks
from ..labels.ignored import known_overlap
from ..methods import TWO_STAGES
from ..metrics.evaluation import report
from ..model import Segmenter
from .domain_streams import held_out_source, image_stream
from .run_settings import Run
from .ship import SnapshotFolder, TrainingResult
from .tune import predict_source

DICE_MARGIN = 0.02  # of the source's Dice: seeds differ by as much
TARGET_WINDOWS, DRAWN_MASKS = 16, 64  # of the target, and synthetic masks, that are looked at
GAMMAS = (2**0.5, 2**-0.5)  # powers that the intensities of the other views are raised to

Channels = NDArray[np.float32]


@dataclass(frozen=True)
class SnapshotScore:
    """A snapshot and what speaks for it; each in [0, 1]. None: there was nothing to judge that by."""

    step: int
    steady: float
    sure: float
    source: float | None = None
    cover: float | None = None

    @property
    def worth(self) -> float:
        return self.steady * self.sure * (1.0 if self.cover is None else self.cover)


def select_snapshot(run: Run, learnt: TrainingResult, shelf: SnapshotFolder, model: Path) -> str:
    """Judge the snapshots, in OUT/selection.json; with `select: rule` put the one it chooses in the model's place.

    Returns a sentence about it. Raises UserError where there are no snapshots to choose from.
    """
    models = shelf.models()
    if len(models) < 2:
        raise UserError(
            f"train.select is {run.train.select}, but {shelf.folder} holds {len(models)} snapshots to choose from; set "
            "train.snapshots to 5 or more"
        )
    windows, share = target_windows(run, learnt), expected_cover(learnt)
    judged = [judge_snapshot(step, Segmenter.load(path), run, learnt, windows, share) for step, path in models.items()]
    best = choose_snapshot(judged)
    if run.train.select == "rule":
        picked = Segmenter.load(models[best.step])
        replace(picked, card=picked.card | {"selected": {"step": best.step, "of": list(models)}}).save(model)
    with atomic_path(shelf.out / "selection.json") as beside:
        beside.write_text(json.dumps([asdict(one) | {"chosen": one is best} for one in judged], indent=1))
    held_out = "" if best.source is None else f"Dice on the source held out {best.source:.3f}, "
    chose = "chose" if run.train.select == "rule" else "the rule would choose"
    return f"{chose} the state of step {best.step}: {held_out}steady {best.steady:.3f}, sure {best.sure:.3f}"


def choose_snapshot(judged: Sequence[SnapshotScore]) -> SnapshotScore:
    """The rule.

    >>> scores = [SnapshotScore(1, 0.9, 0.9, 0.5), SnapshotScore(2, 0.8, 0.9, 0.9), SnapshotScore(3, 0.8, 0.9, 0.89)]
    >>> choose_snapshot(scores).step
    3
    """
    best = max(one.source or 0.0 for one in judged)
    good = [one for one in judged if (one.source or 0.0) >= best - DICE_MARGIN]
    return max(good, key=lambda one: (one.worth, one.step))


def judge_snapshot(
    step: int, model: Segmenter, run: Run, learnt: TrainingResult, windows: Channels, share: NDArray[np.float64] | None
) -> SnapshotScore:
    """Look at one snapshot. share: of the field that objects of each class are expected to cover."""
    plain = foreground(model, windows)
    mirror = tuple(range(2, windows.ndim))
    views = [np.flip(foreground(model, np.flip(change_gamma(windows, power), mirror)), mirror) for power in GAMMAS]
    steady = float(np.mean([view_agreement(plain, view) for view in views]))
    return SnapshotScore(
        step, steady, certainty(plain), source_dice(model.network, run, learnt), cover_agreement(plain, share)
    )


def target_windows(run: Run, learnt: TrainingResult) -> Channels:
    """Windows (N, C, *patch) of the target, the same for all snapshots."""
    target: Images = image_stream(run, learnt.volumes, learnt.working)
    return np.stack([target.channels(target.window(stream(run.seed, "select", i))) for i in range(TARGET_WINDOWS)])


def foreground(model: Segmenter, windows: Channels) -> Channels:
    """The probability that each voxel is part of an object of each class, (N, K, *S)."""
    network, device = model.network.eval(), next(model.network.parameters()).device
    drawn = []
    with torch.inference_mode():
        for window in windows:
            logits = network(torch.from_numpy(np.ascontiguousarray(window[None])).to(device))
            drawn.append(model.representation.activate(logits)[0].float().cpu().numpy())
    likely = np.stack([model.representation.foreground(channels) for channels in drawn])
    return likely.reshape(len(windows), -1, *windows.shape[2:])


def view_agreement(one: Channels, other: Channels) -> float:
    """Soft Dice of two views of all windows, the mean over classes; of a class that neither shows it is 0."""
    over = (0, *range(2, one.ndim))
    both, total = np.minimum(one, other).sum(over), (one + other).sum(over)
    found = total > 1e-3 * one[:, 0].size
    return float(np.mean(np.where(found, 2 * both / np.maximum(total, 1e-9), 0.0)))


def certainty(likely: Channels) -> float:
    """One less the entropy, in bits, of the voxels that may be an object's, each as likely as it is one."""
    p = np.clip(likely, 1e-6, 1 - 1e-6)
    bits = -(p * np.log2(p) + (1 - p) * np.log2(1 - p))
    return float(1 - (p * bits).sum() / p.sum())


def cover_agreement(likely: Channels, share: NDArray[np.float64] | None) -> float | None:
    """How near the share of the field that objects cover is to what is expected: the smaller over the larger one."""
    if share is None:
        return None
    found = likely.mean((0, *range(2, likely.ndim)))
    return float(np.mean(np.minimum(found, share) / np.maximum(np.maximum(found, share), 1e-9)))


def expected_cover(learnt: TrainingResult) -> NDArray[np.float64] | None:
    """The share that synthetic masks of each class cover, (K,); None where nothing is learnt from such."""
    masks = next((one for one in learnt.domains.values() if isinstance(one, SyntheticMasks)), None)
    if masks is None:
        return None
    drawn = [masks.representation.foreground(masks.sample(i)[0]) for i in range(DRAWN_MASKS)]
    each = np.stack(drawn).reshape(DRAWN_MASKS, -1, *masks.patch)
    return np.asarray(each.mean((0, *range(2, each.ndim))), dtype=np.float64)


def source_dice(network: nn.Module, run: Run, learnt: TrainingResult) -> float | None:
    """Mean Dice on the labelled source images that were kept from the training."""
    if run.source is None or not run.source.held_out or run.method in TWO_STAGES:
        return None
    method: Any = learnt.method
    if method.source_domain_network() is not method.network():
        return None
    kept = held_out_source(run, learnt.volumes, learnt.working)
    scores = []
    for channels, truth in predict_source(network, kept, run.represent):
        found = run.represent.decode(channels, learnt.working)
        pairs = zip(truth, found) if run.represent.names else [(truth, found)]
        scores.append(np.mean([report(known_overlap(true, one, kept.ignore_id)).dice for true, one in pairs]))
    return float(np.mean(scores))
