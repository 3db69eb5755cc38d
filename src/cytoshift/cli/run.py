"""cytoshift run: the best labels that can be had without any, by one command, in stages."""

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.errors import UserError
from . import inputs
from .console import conclude, report_on, say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..data.volumes import ImageSource, Volume
    from ..ensemble import Ensemble, StageResult, Told

FOLDERS = ("voters", "training", "model", "sample")  # of OUT, beside the labels
Out = Annotated[Path, typer.Option("-o", "--out", help="Folder for labels, table, report and model.")]
Budget = Annotated[
    str | None,
    typer.Option(
        help="Time for training on these images after the first result: 10m, 1h; 0 for the first result alone. "
        "Default: 600 steps where the ways to label differ (expected F1@0.5 below 0.85)."
    ),
]
Model = Annotated[
    str | None, typer.Option("--model", "-m", help="A model of the package; default: nuclei-2d or nuclei-3d.")
]
Diameter = Annotated[float | None, typer.Option(help="Diameter of the objects in the voxel's unit; default: measured.")]
Polarity = Annotated[str, typer.Option(help="Objects are bright, dark, or auto: measured.")]
Seed = Annotated[int, inputs.advanced(help="Of the random choices in the training.")]


def run(
    images: inputs.Images,
    out: Out,
    budget: Budget = None,
    model: Model = None,
    diameter: Diameter = None,
    polarity: Polarity = "auto",
    axes: inputs.Axes = None,
    channel: inputs.Channel = None,
    level: inputs.Level = 0,
    voxel: inputs.VoxelSize = None,
    unit: inputs.Unit = None,
    frames: inputs.Frames = None,
    seed: Seed = 0,
    workers: inputs.Workers = 1,
    device: inputs.Device = "auto",
    overwrite: inputs.Overwrite = False,
    quiet: inputs.Quiet = False,
    as_json: inputs.Json = False,
) -> None:
    """Label images of which nothing is known: measure, label in several ways, vote, train on the vote, vote again.

    The first result is there after about a minute. Where the ways differ, a network is trained on their vote and votes,
    too. OUT/labels has
    the best labels so far at any time, OUT/labels/report/report.html shows them. The same command continues a run that
    was stopped.
    """
    from ..core.lock import lock_outputs
    from ..core.signals import explain_stop
    from ..data.input_files import refuse_inputs
    from ..data.volumes import ImageSource, image_source, open_volumes
    from ..ensemble import open_ensemble
    from ..ensemble.large import is_large, write_boxes
    from ..predict.blockwise.engine import engine
    from .segment_results import picture

    source = image_source(list(images), axes, channel, level, voxel, unit, frames)
    refuse_inputs([out / name for name in ("labels", *FOLDERS)], [source], filled=[out])
    volumes = open_volumes(source)
    name = model or f"nuclei-{len(volumes[0].axes)}d"
    place, seen = (out, volumes) if not (large := is_large(volumes)) else (out / "sample", [])
    wishes = (diameter, polarity, seconds_of(budget), seed, str(inputs.choose_device(device)))
    with (
        lock_outputs(out), explain_stop(lambda: describe_kept(out)), engine(None, workers) as each,
        show_progress(quiet) as told,
    ):  # fmt: skip
        shown_source = source
        if large:
            shown_source = ImageSource(paths=[str(path) for path in write_boxes(volumes, place / "images")])
            seen = open_volumes(shown_source)
        ensemble = open_ensemble(place, seen, shown_source, name, *wishes)
        refuse_inputs(ensemble.written(), [source], filled=[out])
        ensemble.claim(overwrite)
        found = tell(ensemble, ensemble.label_at_once(each, told), quiet)
        if ensemble.decided.request.budget != 0:
            found = ensemble.improve(each, told)
            if found.stage == "final":
                tell(ensemble, found, quiet)
            elif not quiet:
                say("the ways to label agree, so no network is trained on them; --budget 10m trains one", err=True)
        ensemble.finish(found.seconds)
        picture(found.outputs, found.table)
    result = {"expected_f1": found.score, "stage": found.stage, "model": place / "model"}
    if large:
        with lock_outputs(out):
            lines, more = by_blocks(ensemble, found, volumes, source, out, workers, overwrite, quiet)
        words, result = "\n".join(lines), result | more
    else:
        page = report_on(found.outputs)
        words = (
            f"{sentence_of(found)}; labels in {found.outputs.out}, objects in {found.outputs.table}, report {page}, "
            f"model {place / 'model'}"
        )
        result |= {
            "images": len(volumes), "objects": len(found.table.rows), "labels": found.outputs.out,
            "table": found.outputs.table, "report": page,
        }  # fmt: skip
    commands = single_commands(ensemble, list(images))
    if not quiet:
        say("the same by single commands:\n  " + "\n  ".join(commands), err=True)
    conclude(as_json, words, verb="run", **result, commands=commands)


def by_blocks(
    ensemble: "Ensemble", found: "StageResult", volumes: "list[Volume]", source: "ImageSource", out: Path, workers: int,
    overwrite: bool, quiet: bool,
) -> tuple[list[str], dict[str, Any]]:  # fmt: skip
    """Label images that do not fit into memory by the network that agrees best with the vote on boxes of them."""
    from ..ensemble.large import best_network
    from ..predict.account import account_folder
    from ..predict.outputs import Outputs
    from ..predict.pipeline import Options
    from . import blockwise

    voter, scores = best_network(ensemble, found)
    if not quiet:
        tries = ", ".join(f"{name} {value:.2f}" for name, value in scores.items())
        say(f"F1@0.5 against the vote on {len(ensemble.volumes)} boxes: {tries}; {voter.name} labels all", err=True)
    outputs = Outputs(out / "labels", volumes, {"ensemble": voter.request}, suffix=".ome.zarr")
    outputs.claim(overwrite)
    voter.segmenter.save(account_folder(outputs) / "model")
    how = blockwise.Blockwise(None, None, None, workers, None, None, False, "0.5")
    lines, result = blockwise.run(voter.segmenter, outputs, Options(), how, source, quiet)
    outputs.complete()
    return lines, result


def single_commands(ensemble: "Ensemble", images: list[str]) -> list[str]:
    """What the stages stand for."""
    import shlex

    from ..ensemble.voters import FACTORS

    measured, voters = ensemble.decided.measured, ensemble.out / "voters"
    assert measured is not None, "a stage has measured it"
    lines = [
        shlex.join([
            "cytoshift", "segment", ensemble.name, *images, "-o", str(voters / voter.name), "--diameter",
            f"{factor * measured.diameter:.4g}", "--polarity", measured.polarity,
        ])
        for factor, voter in zip(FACTORS, ensemble.every("first"))
    ]  # fmt: skip
    if (settings := ensemble.out / "training" / "run" / "run.yaml").exists():
        lines += [
            shlex.join(["cytoshift", "train", str(settings), "-o", str(settings.parent)]),
            shlex.join(["cytoshift", "segment", str(ensemble.trained), *images, "-o", str(voters / "trained")]),
        ]
    folders = [str(voters / name) for name in ensemble.decided.stages[ensemble.last]["voters"]]
    return [*lines, shlex.join(["cytoshift", "vote", *folders, "-o", str(ensemble.labels.out)])]


def describe_kept(out: Path) -> str:
    """What there is where the command was stopped."""
    there = f"the best labels so far are in {out / 'labels'}" if (out / "labels").exists() else "no result is there yet"
    return f"{there}; the same command goes on"


def seconds_of(words: str | None) -> float | None:
    """A time as a person writes it, in seconds.

    >>> seconds_of("10m"), seconds_of("1.5h"), seconds_of("90"), seconds_of(None)
    (600.0, 5400.0, 90.0, None)
    """
    if words is None:
        return None
    factors = {"s": 1, "m": 60, "h": 3600}
    word = words.strip().lower()
    number, factor = (word[:-1], factors[word[-1]]) if word[-1:] in factors else (word, 1)
    try:
        seconds = float(number) * factor
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise UserError(f"--budget {words} is no time; write for example --budget 10m")
    return seconds


@contextmanager
def show_progress(quiet: bool) -> "Iterator[Told]":
    """Progress on stderr: what is being done, and how much of it."""
    from ..core.progress import Progress

    with Progress("", 1, quiet=quiet) as progress:
        yield lambda stage, done: progress.update(done, stage)


def tell(ensemble: "Ensemble", found: "StageResult", quiet: bool) -> "StageResult":
    """Say what there is by now."""
    if not quiet:
        if found.stage == "first" and (measured := ensemble.decided.measured) is not None:
            say(measured.words, err=True)
        say(
            f"{found.stage} result after {found.seconds:.0f} s: {sentence_of(found)}; labels in {found.outputs.out}",
            err=True,
        )
    return found


def sentence_of(found: "StageResult") -> str:
    """What was found, and how sure that is."""
    from .segment_results import describe_objects

    count, unit = len(found.f1), found.outputs.volumes[0].voxel.unit
    worst = min(found.f1, key=lambda name: found.f1[name])
    least = f", lowest {found.f1[worst]:.2f} in {worst}" if count > 1 else ""
    words = describe_objects(found.table, unit)
    return f"{count} image{'s' * (count > 1)}, {words}, expected F1@0.5 {found.score:.2f}{least}"
