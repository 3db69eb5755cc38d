"""Settings in, a trained model out: a method alone, or a recipe of several stages (see loop.py and stages.py)."""

import sys
from pathlib import Path
from typing import Any

from torch import nn

from ..core.errors import UserError
from ..core.normalise import measure, of_the_whole
from ..data.domains import Images
from ..data.labelled import LabelledPairs
from ..data.several import apart
from ..model import Segmenter
from ..nets.spec import NetSpec, ResNetSpec, TranslatorSpec
from ..represent import RepresentationSettings
from .expected import expected
from .freeze import freeze, windows
from .loop import Learnt, learn
from .settings import Run
from .stages import STAGES
from .tune import tune


def fit(run: Run, out: Path, quiet: bool = False) -> Path:
    """Train, or continue a training that was stopped; return OUT/model, the folder of the trained segmenter.

    Raises UserError where `out` holds another run, where data and settings do not fit, and where a loss is no
    longer a number.
    """
    out = Path(out)
    if run.method == "cyclegan":
        raise UserError("cyclegan translates and segments nothing; take cyclegan-xy or cyclegan-yx")
    if run.method in STAGES:
        learnt, spec, network = STAGES[run.method](run, out, quiet)
    else:
        learnt = learn(run, out, quiet)
        with learnt.facts.clock.stage("norms of all images"):
            spec, network = shipped(learnt, run)
    model = out / "model"
    if learnt.fabric.is_global_zero:
        with learnt.facts.clock.stage("thresholds and model"):
            save(run, learnt, spec, network, decoder(run, learnt, quiet), model)
        learnt.facts.write(learnt.steps)
    learnt.fabric.barrier()
    return model


def shipped(learnt: Learnt, run: Run) -> tuple[NetSpec, nn.Module]:
    """The network as it leaves: instance norms of those that learn from masks keep the statistics of all images."""
    spec, network = learnt.method.shipped(), learnt.method.network()
    images = learnt.domains.get("images")
    if isinstance(spec, TranslatorSpec | ResNetSpec) and isinstance(images, Images):
        return freeze(spec, network, windows(images, run.seed), learnt.fabric)
    return spec, network


def decoder(run: Run, learnt: Learnt, quiet: bool) -> RepresentationSettings:
    """The representation to ship, with thresholds tuned on the labels that were borrowed where that is wished for."""
    source = learnt.domains.get("source")
    if not run.tune or not isinstance(source, LabelledPairs):
        return run.represent
    found = tune(learnt.method.rehearsal(), source, run.represent)
    if not quiet:
        print(found.sentence(run.represent), file=sys.stderr)
    return found.represent


def save(
    run: Run, learnt: Learnt, spec: NetSpec, network: nn.Module, represent: RepresentationSettings, model: Path
) -> None:
    normalise, volumes = run.data.normalise, learnt.volumes
    raws = [apart(v.array, len(v.axes)) for v in volumes]
    scale = measure(normalise, raws) if of_the_whole(normalise) else None
    Segmenter(
        spec=spec, network=network, normalisation=normalise, scale=scale,
        voxel=learnt.working, axes=volumes[0].axes, representation=represent, card=card(run, learnt),
    ).save(model)  # fmt: skip


def card(run: Run, learnt: Learnt) -> dict[str, Any]:
    """What a person who finds the model wants to know; expected: sizes of the objects that it learnt from."""
    return {
        "method": run.method, "images": len(learnt.volumes), "example": learnt.volumes[0].origin,
        "steps": learnt.steps, "expected": expected(run, learnt.working),
        "settings": run.model_dump(mode="json"), **({"ended": learnt.ended} if learnt.ended else {}),
    }  # fmt: skip
