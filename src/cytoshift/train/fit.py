"""Settings in, a trained model out: a method alone, or a recipe of several stages (see trainer.py and stages.py)."""

import logging
from pathlib import Path

from ..core.errors import UserError
from ..core.threads import torch_threads
from ..methods import KNOWN, TWO_STAGES
from .run_folder import claim_run
from .run_settings import Run
from .ship import SnapshotFolder, export_network, save
from .snapshot_rule import select_snapshot
from .stages import STAGES
from .trainer import Trainer
from .tune import tuned_representation


@torch_threads(training=True)
def fit(run: Run, out: Path, quiet: bool = False, settings: Path | None = None) -> Path:
    """Train, or continue a training that was stopped; return OUT/model, the folder of the trained segmenter.

    With run.train.snapshots, OUT/snapshots holds states on the way, each a model too, and run.train.select says which
    of them is the model. settings: the file that `run` was read from, which stays as it is.
    Raises UserError where `out` holds another run or what is read, where another process trains in it, where data and
    settings do not fit, and where a loss is no longer a number.
    """
    out = Path(out)
    method = KNOWN[run.method]
    if not method.segments:
        whole = " or ".join(one.name for one in TWO_STAGES.values() if one.translator is method)
        raise UserError(f"{run.method} only translates and cannot segment; take {whole}")
    with claim_run(run, out, settings):
        return train_in_folder(run, out, quiet)


def train_in_folder(run: Run, out: Path, quiet: bool) -> Path:
    """`fit`, in a folder that is this process's own."""
    shelf = SnapshotFolder(out, run)
    if run.method in STAGES:
        learnt, spec, network = STAGES[run.method](run, out, quiet)
    else:
        learnt = Trainer(run, out, quiet, shelf).run()
        with learnt.facts.clock.stage("norms of all images"):
            spec, network = export_network(learnt, run)
    model, facts = out / "model", learnt.facts
    if learnt.fabric.is_global_zero:
        with facts.clock.stage("thresholds and model"):
            represent = tuned_representation(run, learnt, quiet)
            save(run, learnt, spec, network, represent, model, {"step": facts.step} | shelf.card_statistics(learnt))
            shelf.settle(represent)
        if run.train.select != "last":
            with facts.clock.stage("choice of the state"):
                sentence = select_snapshot(run, learnt, shelf, model)
            if not quiet:
                logging.getLogger("cytoshift").info(sentence)
        facts.write(facts.step)
    learnt.fabric.barrier()
    return model
