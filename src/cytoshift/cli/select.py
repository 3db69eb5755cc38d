"""cytoshift select: chooses the state of a training that is best on raw images, without labels."""

from pathlib import Path
from typing import Annotated

import typer

from . import inputs
from .console import conclude


def select(
    run: Annotated[Path, typer.Argument(help="Run folder of a training with train.snapshots=10 or so.")],
    images: inputs.Images,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Folder; default: RUN/selected.")] = None,
    thresholds: Annotated[
        bool, typer.Option("--thresholds", help="Also choose the thresholds of the decoder by the score.")
    ] = False,
    axes: inputs.Axes = None,
    channel: inputs.Channel = None,
    level: inputs.Level = 0,
    voxel: inputs.VoxelSize = None,
    unit: inputs.Unit = None,
    frames: inputs.Frames = None,
    skip_bad: inputs.SkipBad = False,
    most: Annotated[int, typer.Option(min=1, help="Largest number of images that are used, evenly over all.")] = 8,
    device: inputs.Device = "auto",
    overwrite: inputs.Overwrite = False,
    quiet: inputs.Quiet = False,
    as_json: inputs.Json = False,
) -> None:
    """Choose the snapshot of a training with the best trust score on raw images. No label is read.

    The choice is a hint. Where it is not the last snapshot, look at both (docs/trust.md says how often which was
    better). Writes OUT/model, and OUT/select.json with the score and criteria of every snapshot.
    """
    from ..core.evenly import take_evenly
    from ..core.lock import lock_outputs
    from ..core.progress import Progress
    from ..core.provenance import refuse_foreign_files
    from ..data.input_files import refuse_inputs
    from ..data.volumes import image_source, open_volumes
    from ..trust.snapshot_choice import run_states, write
    from ..trust.snapshot_choice import select as choose

    folder = out or run / "selected"
    source = image_source(list(images), axes, channel, level, voxel, unit, frames, skip_bad)
    models = [run / "model", run / "snapshots", run / "run.yaml"]
    refuse_inputs([folder / "model", folder / "select.json"], [source], models, filled=[folder])
    paths = run_states(run)
    with lock_outputs(folder):
        refuse_foreign_files([folder / "select.json"], overwrite)
        if not (folder / "select.json").exists():
            refuse_foreign_files([folder / "model"], overwrite)
        volumes = take_evenly(open_volumes(source), most)
        with Progress("scoring states", 1, quiet=quiet) as progress:
            choice = choose(paths, volumes, inputs.choose_device(device), thresholds, progress.say, progress.update)
        model = write(choice, folder)
    words = [choice.sentence(), choice.score.sentence()]
    if choice.best is not choice.candidates[-1]:
        words.append("it is not the last state: look at both before you keep one")
    words.append(f"model in {model}, why in {folder / 'select.json'}; next: cytoshift segment {model} IMAGES -o labels")
    conclude(
        as_json, "\n".join(words), verb="select", chosen=choice.best.name, score=choice.score.value,
        last=choice.candidates[-1].score.value, model=model, why=folder / "select.json",
    )  # fmt: skip
