"""cytoshift run: the best labels that can be had without any, by one command, in stages."""

import glob
import shlex
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.errors import UserError
from ..core.text import count_of
from . import inputs
from .console import conclude, report_on, say

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..data.volumes import ImageSource, Volume
    from ..ensemble import Ensemble, StageResult, Told, Wishes
    from ..predict.outputs import Outputs, Table

SAMPLE = "sample"  # in OUT: boxes of images that do not fit into memory, and what is found in them
Command = list[str | Path]
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
Voters = Annotated[
    list[str] | None,
    typer.Option(
        "--voter", help="Labels of these images that vote, too, of any program: a file or a folder. May be repeated."
    ),
]
Sections = Annotated[
    bool,
    typer.Option(
        "--sections",
        help="Label each section of a stack as an image in 2D, and join objects along z: for stacks that are no deeper "
        "than their objects.",
    ),
]
Seed = Annotated[int, inputs.advanced(help="Of the random choices in the training.")]


def run(
    images: inputs.Images,
    out: Out,
    also: inputs.Also = None,
    budget: Budget = None,
    model: Model = None,
    diameter: Diameter = None,
    polarity: Polarity = "auto",
    voter: Voters = None,
    sections: Sections = False,
    axes: inputs.Axes = None,
    channel: inputs.Channel = None,
    level: inputs.Level = 0,
    voxel: inputs.VoxelSize = None,
    unit: inputs.Unit = None,
    frames: inputs.Frames = None,
    skip_bad: inputs.SkipBad = False,
    seed: Seed = 0,
    workers: inputs.Workers = 1,
    device: inputs.Device = "auto",
    overwrite: inputs.Overwrite = False,
    quiet: inputs.Quiet = False,
    as_json: inputs.Json = False,
) -> None:
    """Label images of which nothing is known: measure, label in several ways, vote, train on the vote, vote again.

    The first result is there after about a minute. Where the ways differ, a network is trained on their vote, and votes
    too. OUT/labels has the best labels so far at any time, OUT/labels/report/report.html shows them. The same command
    continues a run that was stopped. With another --budget it keeps the first labels and trains anew.
    """
    from ..core.lock import lock_outputs
    from ..core.signals import explain_stop
    from ..data.volumes import ImageSource, image_source, open_volumes
    from ..ensemble import Wishes
    from ..ensemble.by_section import open_sections, write_stacks
    from ..ensemble.large import is_large
    from ..model.shipped import nuclei_model
    from ..predict.also import parse_also
    from ..predict.blockwise.engine import engine

    source = image_source(list(images), axes, channel, level, voxel, unit, frames, skip_bad)
    others, formats = [ImageSource(paths=one) for one in voter or []], parse_also(also or ())
    wishes = Wishes(
        diameter=diameter, polarity=polarity, budget=seconds_of(budget), seed=seed, given=others, also=formats,
        device=str(inputs.choose_device(device)),
    )  # fmt: skip
    refuse_places(out, source, others)
    volumes = open_volumes(source)
    large = is_large(volumes) and not sections
    if large and voter:
        raise UserError(
            f"--voter {voter[0]} given, but an image is too large to be labelled in several ways; label it without "
            "--voter, and combine the results by 'cytoshift vote'"
        )
    flags = inputs.image_flags(axes, channel, level, voxel, unit, frames)
    given = [*images, *(f"--{name}={value}" for name, value in flags.items()), *["--skip-bad"] * skip_bad]
    with lock_outputs(out), explain_stop(lambda: describe_kept(out)):
        with engine(None, workers) as each, show_progress(quiet) as told:
            if sections:
                ensemble = open_sections(out, volumes, model or nuclei_model(2), wishes, overwrite)
            else:
                ensemble = open_for(volumes, source, out, large, model, overwrite, wishes)
            ensemble.claim(overwrite)

            def heard(result: "StageResult") -> None:
                tell(ensemble, result, quiet)
                if sections:
                    write_stacks(ensemble, result, volumes, out, formats)

            found = ensemble.run(each, told, heard)
        if large:
            words, result, steps = by_blocks(
                ensemble, found, volumes, source, out, workers, overwrite, quiet, formats, given
            )
        elif sections:
            words, result, steps = by_sections(ensemble, found, volumes, out, formats)
        else:
            words, result, steps = show(ensemble, found, given)
    if not quiet:
        say("its steps, by single commands:\n  " + "\n  ".join(shlex.join(map(str, step)) for step in steps), err=True)
    about = {"expected_f1": found.score, "stage": found.stage, "model": ensemble.out / "model"}
    commands = [shlex.join(map(str, step)) for step in steps]
    conclude(as_json, words, verb="run", **about, **result, commands=commands)


def refuse_places(out: Path, source: "ImageSource", labels: "list[ImageSource]") -> None:
    """Raises UserError where results would go to what is read, as far as names tell before an image is opened."""
    from ..core.atomic import refuse_other_kind
    from ..data.input_files import refuse_inputs
    from ..ensemble.by_section import SECTIONS
    from ..ensemble.ensemble import FOLDERS
    from ..predict.outputs import refuse_file_name

    refuse_other_kind(out, folder=True)
    refuse_file_name(out)
    refuse_inputs([out / name for name in (*FOLDERS, SAMPLE, SECTIONS)], [source], labels=labels, filled=[out])


def open_for(
    volumes: "list[Volume]", source: "ImageSource", out: Path, large: bool, model: str | None, overwrite: bool,
    wishes: "Wishes",
) -> "Ensemble":  # fmt: skip
    """The ensemble of the images; of boxes of them where they are large.

    Raises UserError where model and images do not go together, and where files of somebody else lie where results go.
    """
    from ..core.atomic import refuse_other_contents
    from ..data.volumes import ImageSource, open_volumes
    from ..ensemble import open_ensemble
    from ..ensemble.large import write_boxes
    from ..model.shipped import nuclei_model

    name = model or nuclei_model(len(volumes[0].axes))
    ensemble = open_ensemble(out, volumes, source, name, wishes)
    if not large:
        return ensemble
    refuse_other_contents(out / SAMPLE, ("images/cytoshift.json",))
    refuse_other_contents(out / "labels", ("report/request.json",))
    paths = write_boxes(volumes, out / SAMPLE / "images", overwrite)
    boxes = ImageSource(paths=[str(path) for path in paths])
    return open_ensemble(out / SAMPLE, open_volumes(boxes), boxes, name, replace(wishes, also=()))


def show(
    ensemble: "Ensemble", found: "StageResult", given: "list[str]"
) -> tuple[str, dict[str, Any], list[Command]]:  # fmt: skip
    """Draw and report the labels; what there is to say of them, in words and in names and numbers, and the single
    commands. given: images and what is said of them, as a command has it."""
    words, result = show_labels(ensemble, found.outputs, found.table, found.f1)
    return words, result, commands_of(ensemble, found, given)


def show_labels(
    ensemble: "Ensemble", outputs: "Outputs", table: "Table", f1: dict[str, float]
) -> tuple[str, dict[str, Any]]:  # fmt: skip
    """Draw and report labels; what there is to say of them, in words and in names and numbers."""
    from ..predict.also import write_also
    from .results import describe_others, picture

    picture(outputs, table)
    others = write_also(outputs)
    page = report_on(outputs)
    words = (
        f"{sentence_of(outputs, table, f1)}; labels in {outputs.out}, objects in {outputs.table}, report {page}, "
        f"model {ensemble.out / 'model'}{describe_others(outputs, others)}"
    )
    result = {
        "images": len(outputs.volumes), "objects": len(table.rows), "labels": outputs.out, "table": outputs.table,
        "report": page, "also": others,
    }  # fmt: skip
    return words, result


def commands_of(ensemble: "Ensemble", found: "StageResult", given: "list[str]") -> list[Command]:
    """The single commands of a vote. The classical voters have none: the vote reads their labels where they are."""
    from ..predict.account import account_folder

    steps = list[Command]()
    for voter in (every := ensemble.deciding(found)):
        if (model := account_folder(ensemble.places(voter)) / "model").exists():
            steps.append(["cytoshift", "segment", model, "-o", f"by-hand/{voter.name}", *given])
    voters = [ensemble.out / "voters" / voter.name for voter in every]
    return [*steps, ["cytoshift", "vote", *voters, "-o", "by-hand/labels"]]


def by_blocks(
    ensemble: "Ensemble", found: "StageResult", volumes: "list[Volume]", source: "ImageSource", out: Path, workers: int,
    overwrite: bool, quiet: bool, also: "Sequence[str]", given: "list[str]",
) -> tuple[str, dict[str, Any], list[Command]]:  # fmt: skip
    """Label images that do not fit into memory by the network that agrees best with the vote on boxes of them; what
    `show` says."""
    from ..ensemble.large import best_network
    from ..predict.account import account_folder
    from ..predict.blockwise.engine import engine
    from ..predict.pipeline import Options
    from . import blockwise
    from .results import open_outputs

    voter, scores = best_network(ensemble, found)
    if not quiet:
        tries = ", ".join(f"{name} {value:.2f}" for name, value in scores.items())
        say(f"F1@0.5 against the vote on {len(ensemble.volumes)} boxes: {tries}; {voter.name} labels all", err=True)
    outputs = open_outputs(out / "labels", volumes, {"ensemble": voter.request}, also, suffix=".ome.zarr")
    outputs.claim(overwrite)
    model = voter.segmenter.save(account_folder(outputs) / "model")
    how = blockwise.Blockwise(None, None, None, workers, None, None, False, "0.5")
    with engine(None, workers) as each:
        lines, result = blockwise.run(voter.segmenter, outputs, Options(), how, each, source, quiet)
    outputs.complete()
    return "\n".join(lines), result, [["cytoshift", "segment", model, "-o", "by-hand/labels", *given]]


def by_sections(
    ensemble: "Ensemble", found: "StageResult", volumes: "list[Volume]", out: Path, also: "Sequence[str]"
) -> tuple[str, dict[str, Any], list[Command]]:
    """Join the labels of sections to objects of their stacks; what `show` says."""
    from ..ensemble.by_section import write_account, write_stacks

    outputs, table, f1 = write_stacks(ensemble, found, volumes, out, also)
    write_account(ensemble, found, outputs)
    words, result = show_labels(ensemble, outputs, table, f1)
    steps = commands_of(ensemble, found, [str(ensemble.out / "images")])
    for volume in volumes:
        digits = "[0-9]" * len(str(volume.shape[0] - 1))
        sections = f"by-hand/labels/{glob.escape(volume.name)}_z{digits}.tif"
        voxel = ["--axes=zyx", f"--voxel={','.join(map(str, volume.voxel.size))}", f"--unit={volume.voxel.unit}"]
        steps.append(["cytoshift", "stitch", sections, *voxel, "-o", f"by-hand/stacks/{volume.name}.tif"])
    return words, result, steps


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


def tell(ensemble: "Ensemble", found: "StageResult", quiet: bool) -> None:
    """Say what there is by now."""
    from ..ensemble.by_section import is_shallow
    from ..ensemble.ensemble import TRAINED

    if quiet:
        return
    if found.stage == "first" and (measured := ensemble.decided.measured) is not None:
        say(measured.words, err=True)
        if flat := [one.name for one in ensemble.volumes if is_shallow(one, measured.diameter)]:
            say(
                f"{flat[0]} is hardly deeper than its objects, so that few of them are seen whole; --sections labels "
                "each section as an image in 2D and joins objects along z, which is often better for such stacks",
                err=True,
            )
    words = (
        f"{found.stage} result after {found.seconds:.0f} s: {sentence_of(found.outputs, found.table, found.f1)}; "
        f"labels in {found.outputs.out}"
    )
    say(words, err=True)
    if found.stage == "final" and ensemble.trained_model.exists() and TRAINED not in found.voters:
        say("a network that learns from this vote does not make it surer, so the first vote stands", err=True)
    if found.stage == "first" and ensemble.decided.request.budget is None and not ensemble.needs_training():
        say("the ways to label agree, so no network is trained on them; --budget 10m trains one", err=True)


def sentence_of(outputs: "Outputs", table: "Table", f1: dict[str, float]) -> str:
    """What was found, and how sure that is."""
    from .results import describe_objects

    worst = min(f1, key=lambda name: f1[name])
    least = f", lowest {f1[worst]:.2f} in {worst}" if len(f1) > 1 else ""
    words = describe_objects(table, outputs.volumes[0].voxel.unit)
    return f"{count_of(len(f1), 'image')}, {words}, expected F1@0.5 {fmean(f1.values()):.2f}{least}"
