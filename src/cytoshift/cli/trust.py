"""cytoshift trust: how good a result is, as far as that can be estimated without labels."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..core.errors import UserError
from . import inputs
from .console import conclude, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..data.volumes import Volume
    from ..model import Segmenter
    from ..trust.trust_tables import JudgedLabels

CONVERT = "cytoshift convert --mask-above"  # makes labels of a mask


def trust(
    labels: Annotated[str, typer.Argument(help="Labels, as 'cytoshift segment' writes them: a file or a folder.")],
    images: inputs.Images,
    model: inputs.Model,
    axes: inputs.Axes = None,
    channel: inputs.Channel = None,
    level: inputs.Level = 0,
    voxel: inputs.VoxelSize = None,
    unit: inputs.Unit = None,
    frames: inputs.Frames = None,
    votes: Annotated[
        bool,
        typer.Option(help="Let the five ways of 'cytoshift run' vote on the objects. They look for nuclei."),
    ] = True,
    skip_bad: inputs.SkipBad = False,
    boxes: Annotated[int, typer.Option(min=1, help="Largest number of boxes that are judged in a large image.")] = 32,
    device: inputs.Device = "auto",
    overwrite: inputs.Overwrite = False,
    quiet: inputs.Quiet = False,
    as_json: inputs.Json = False,
) -> None:
    """Judge labels without the truth: a score for every image, a confidence for every object.

    Score 0.8 means: on images with known truth, similar results had an F1@0.5 of about 0.8. The ways of 'cytoshift run'
    label the images, too, and vote on each object; for objects that are no nuclei, pass --no-votes. Without votes, the
    score is made of what the model itself finds in seven views of the image, and calibrated on phantoms. Where no
    similar result was calibrated, the command says so. An image of more than 17 million voxels is judged without votes,
    in sampled boxes; only the objects in these get a confidence.

    Writes a table of objects and a JSON beside the labels: cells.trust.csv and .json, or report/trust.csv in a folder.
    Where 'cytoshift segment' wrote a report of the labels, the score is added to it.
    """
    from ..core.lock import lock_outputs
    from ..core.provenance import refuse_foreign_files
    from ..data.input_files import refuse_inputs
    from ..data.label_checks import check_labels
    from ..data.volumes import image_source, open_volumes
    from ..model import Segmenter
    from ..model.shipped import model_folder
    from ..report import write_report
    from ..report.segmentation_page import account_of
    from ..trust.score import mean_score, weakest_criterion
    from ..trust.trust_tables import places, score_entry, write
    from .segment import fit_to_sizes

    source = image_source(list(images), axes, channel, level, voxel, unit, frames, skip_bad)
    refuse_inputs(places(Path(labels)), [source], [model_folder(model)], labels=[labels])
    with lock_outputs(labels):
        refuse_foreign_files(places(Path(labels)), overwrite)
        segmenter = Segmenter.load(model, inputs.choose_device(device))
        volumes = open_volumes(source)
        truths = {name: by_image(volumes, labels, name) for name, *_ in segmenter.representation.parts()}
        for sentence in check_labels([one for each in truths.values() for one in each], CONVERT):
            say(f"warning: {sentence}", err=True)
        segmenter, _ = fit_to_sizes(segmenter, volumes, quiet=quiet)
        judged = run(segmenter, volumes, truths, labels, boxes, votes, quiet)
        table, scores = write(judged, Path(labels), str(model))
        page = write_report(place) if (place := account_of(Path(labels.partition("::")[0]))) else None
    total, many = mean_score([one.score for one in judged]), len(judged) > 1
    words = [one.sentence(one.score.short_sentence() if many else one.score.sentence()) for one in judged]
    if many:
        words.append(f"all of them: {total.sentence()}")
    if against := weakest_criterion([one.criteria for one in judged]):
        words.append(f"what weighs most against it: {against}")
    also = f", report {page}" if page else ""
    words.append(f"objects with their confidence in {table}, criteria in {scores}{also}")
    numbers = [{name: value for name, value in one.as_dict().items() if name != "blocks"} for one in judged]
    conclude(
        as_json, "\n".join(words), verb="trust", model=model, **score_entry(total), against=against, images=numbers,
        table=table, scores=scores, report=page,
    )  # fmt: skip


def run(
    segmenter: "Segmenter", volumes: "Sequence[Volume]", truths: "dict[str, list[Volume]]", labels: str, boxes: int,
    votes: bool, quiet: bool,
) -> "list[JudgedLabels]":  # fmt: skip
    """What the model says of the labels of each class, and what others say where they may vote."""
    from ..core.atomic import discard
    from ..core.progress import Progress
    from ..ensemble.second_opinion import may_vote, vote_on
    from ..trust.sampled_boxes import judge_image
    from ..trust.trust_tables import places

    notes = (table := places(Path(labels))[0]).with_name(f"{table.stem}.work")
    out, done = [], 0
    with Progress("", sum(math.prod(volume.shape) for volume in volumes), "voxel", quiet) as progress:
        for i, volume in enumerate(volumes):
            step = lambda part, done=done, volume=volume: progress.update(done + math.prod(volume.shape) * part)
            progress.update(done, f"judge {volume.name} ({i + 1} of {len(volumes)})")
            mine = {name: each[i] for name, each in truths.items()}
            out += judge_image(segmenter, volume, mine, boxes, notes / str(i), step)
            done += math.prod(volume.shape)
    discard(notes)
    if votes and may_vote(volumes, list(truths)):
        device = str(next(segmenter.network.parameters()).device)
        with Progress("votes", 1, quiet=quiet) as progress:
            (only,) = truths.values()
            found = {volume.name: one for volume, one in zip(volumes, only)}
            out = vote_on(out, found, device, progress.update)
    return out


def by_image(volumes: "Sequence[Volume]", labels: str, name: str) -> "list[Volume]":
    """The labels of each image, of one class. Raises UserError where one has none."""
    from ..data.volumes import open_labels

    place = Path(labels) / name if name else Path(labels)
    found = open_labels(str(place) if name else labels)
    if len(found) == 1 and len(volumes) == 1:
        return found
    there = {one.name: one for one in found}
    if missing := next((one.name for one in volumes if one.name not in there), None):
        raise UserError(f"{place} has no labels of {missing}; segment it, or leave it out of the images")
    return [there[one.name] for one in volumes]
