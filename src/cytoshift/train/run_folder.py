"""What a training reads and writes, looked at before it begins; and the lock of its folder."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from ..core.atomic import atomic_path
from ..core.collisions import is_same_path
from ..core.errors import UserError
from ..core.lock import lock_outputs
from ..core.provenance import is_own_result
from ..core.settings import parse, read_yaml
from ..data.input_files import refuse_inputs
from .run_settings import Run

SETTINGS = "run.yaml"
STAGES = ("translate", "segment")  # runs of their own, of recipes of two stages
WRITTEN = ("log.jsonl", "facts.json", "report.html", "selection.json", "model", "snapshots", "checkpoints")
BESIDE = (SETTINGS, "input.png", "source.png", "samples", "tensorboard", "translated", *STAGES)
# Settings that may change when the same run goes on.
FREE_SETTINGS = {
    "steps", "max_minutes", "log_every", "samples_every", "checkpoint_every", "workers", "accelerator", "on_failure",
    "rollbacks", "snapshots", "select",
}  # fmt: skip


@contextmanager
def claim_run(run: Run, out: Path, settings: Path | None) -> Iterator[None]:
    """Around a training: `out` is nobody else's and holds nothing that is read. settings: the file of `run`.

    Of several processes that train together the first one looks and locks.
    """
    if not is_leading_process(run):
        yield
        return
    refuse_places(run, out, settings)
    with lock_outputs(out):
        refuse_foreign_folder(out)
        yield


def is_leading_process(run: Run) -> bool:
    """Whether this process is the first of those that train together, before they know of each other."""
    if run.train.devices * run.train.nodes == 1:
        return True
    ranks = ("RANK", "SLURM_PROCID", "NODE_RANK", "LOCAL_RANK")
    return all(int(os.environ.get(name, "0") or 0) == 0 for name in ranks)


def refuse_places(run: Run, out: Path, settings: Path | None) -> None:
    """Raises UserError where the run folder would take the place of data, of a model or of settings."""
    own = settings is not None and is_run(out) and is_same_path(settings, out / SETTINGS)
    labels = run.source.labels if run.source else None
    refuse_inputs(
        [out / name for name in (*WRITTEN, *BESIDE)],
        [run.data.images, run.source.images if run.source else None],
        [None if own else settings, run.start],
        labels=labels.values() if isinstance(labels, dict) else [labels],
        filled=[out],
    )


def is_run(out: Path) -> bool:
    """Whether a folder is that of a training which has begun."""
    return any((out / part / SETTINGS).is_file() and (out / part / "log.jsonl").exists() for part in ("", *STAGES))


def refuse_foreign_folder(out: Path) -> None:
    """Raises UserError where the folder has files of these names that are of no training."""
    if any((out / part / SETTINGS).is_file() for part in ("", *STAGES)):
        return
    for path in (out / name for name in WRITTEN):
        if path.exists() and not is_own_result(path):
            raise UserError(f"{path} already exists, and no training wrote it; choose another `out`, or remove it")


def claim_settings(out: Path, run: Run) -> None:
    """Write run.yaml, or make sure that the one that is there says the same."""
    path = out / SETTINGS
    wish = run.model_dump(mode="json")
    if path.exists():
        there = parse(Run, read_yaml(path), str(path)).model_dump(mode="json")  # with what it left to the defaults
        if changed := differences(there, wish):
            raise UserError(f"{out} holds a run with other settings ({changed[0]}); choose another `out` or remove it")
        if there == wish:
            return
    with atomic_path(path) as beside:
        beside.write_text(yaml.safe_dump(wish, sort_keys=False))


def differences(there: Any, wish: Any, key: str = "") -> list[str]:
    """Settings that change what is learnt, as "train.lr: 0.0001 there, 0.0004 requested"."""
    if isinstance(there, dict) and isinstance(wish, dict):
        names = [n for n in [*wish, *(set(there) - set(wish))] if not (key == "train." and n in FREE_SETTINGS)]
        return [d for n in names for d in differences(there.get(n), wish.get(n), f"{key}{n}.")]
    return [] if there == wish else [f"{key[:-1]}: {there} there, {wish} requested"]
