"""`cytoshift vote`: labels on which several label images of the same field agree, and a vote for each object."""

from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.errors import UserError
from ..core.text import count_of
from . import inputs
from .console import conclude, say

if TYPE_CHECKING:
    from ..data.copy import Run
    from ..data.volumes import Volume
    from ..predict.outputs import Outputs

PARTS_BYTES = 16  # bytes of memory for each voxel of a mask whose connected parts are found

Labels = Annotated[
    list[str],
    typer.Argument(help="Two or more label images of one image, or folders of labels with the same names."),
]
Out = Annotated[Path, typer.Option("-o", "--out", help="Folder for labels, or labels.tif or .ome.zarr of one image.")]
Least = Annotated[
    float | None,
    typer.Option(min=0, max=1, help="Lowest vote of an object that is kept; by default set by the number of voters."),
]
Groups = Annotated[
    str | None,
    typer.Option(help="Voters that share one voice, by numbers: 1,1,2 where the first two come from one network."),
]
MaskAbove = Annotated[
    list[str] | None,
    typer.Option(
        help="A voter that is a mask: its number and the value above which connected parts are objects, such as 3=0. "
        "May be repeated.",
    ),
]

PseudoLabels = Annotated[
    Path | None,
    typer.Option(
        help="Folder for labels to train with, too: objects with a vote of 0.6 or more; 65535 in all others, "
        "for --source-ignore-id of 'cytoshift new'."
    ),
]


def vote(
    labels: Labels,
    out: Out,
    also: inputs.Also = None,
    least: Least = None,
    groups: Groups = None,
    mask_above: MaskAbove = None,
    pseudo_labels: PseudoLabels = None,
    axes: inputs.Axes = None,
    voxel: inputs.VoxelSize = None,
    unit: inputs.Unit = None,
    memory: inputs.Memory = "4GB",
    workers: inputs.Workers = 1,
    overwrite: inputs.Overwrite = False,
    quiet: inputs.Quiet = False,
    as_json: inputs.Json = False,
) -> None:
    """Combine labels of several methods, of any program: an object is kept where they agree on it.

    The vote of an object is the mean overlap (IoU) with the other labels, from 0 to 1. The table of objects has it as
    the confidence. Volumes larger than memory are read and written box by box, as OME-Zarr.
    """
    from ..core.progress import Progress
    from ..data.label_pairs import connected_objects
    from ..predict.also import write_also
    from .convert import process_map
    from .results import claim_outputs

    shares = inputs.whole_numbers(groups, "--groups", "1,1,2")
    if len(labels) < 2:
        raise UserError(f"{len(labels)} label image given, a vote takes two or more; pass several of the same image")
    if shares is not None and len(shares) != len(labels):
        raise UserError(f"{len(labels)} voters and --groups {groups} given; pass one number for each voter")
    masks = read_masks(mask_above or [], len(labels))
    voters = open_voters(labels, axes, voxel, unit)
    refuse_large_masks(voters, masks, inputs.memory_budget(memory))
    volumes = [each[0] for each in voters]
    request = {"groups": groups, "mask_above": mask_above}
    outputs = outputs_of(out, voters, labels, request | {"voters": labels, "least": least}, also)
    taught = pseudo_outputs(pseudo_labels, outputs, voters, labels, request)
    both = [one for one in (outputs, taught) if one]
    warn_of_masks(voters, masks)
    with claim_outputs(overwrite, *both), process_map(workers) as run:
        todo = [number for number, volume in enumerate(volumes) if not all(one.is_finished(volume) for one in both)]
        with Progress("vote", len(volumes), "image", quiet) as progress:
            for done, number in enumerate(todo):
                progress.update(len(volumes) - len(todo) + done, f"vote on {volumes[number].name}")
                each = [connected_objects(one, masks.get(place)) for place, one in enumerate(voters[number])]
                write(outputs, taught, volumes[number], each, least, shares, inputs.memory_budget(memory), run)
        for one in both:
            one.join_frames()
        table = outputs.join()
        others = write_also(outputs)
        for one in both:
            one.complete()
    votes = table.numbers("confidence")
    mean = float(votes.mean()) if votes.size else 0.0
    words = (
        f"{count_of(len(volumes), 'image')} of {len(labels)} voters: {votes.size} objects, mean vote "
        f"{mean:.2f}; labels in {out}, objects with their votes in {outputs.table}"
    )
    conclude(
        as_json, words, verb="vote", voters=labels, images=len(volumes), objects=int(votes.size), mean_vote=mean,
        labels=out, table=outputs.table, also=others,
    )  # fmt: skip


def read_masks(words: list[str], count: int) -> dict[int, float]:
    """Of voters that are masks, by their places from 0, the value above which parts are objects.

    >>> read_masks(["3=0"], 3)
    {2: 0.0}
    """
    found = dict[int, float]()
    for word in words:
        number, _, value = word.partition("=")
        try:
            place, above = int(number), float(value)
        except ValueError:
            place, above = 0, 0.0
        if not 1 <= place <= count or not isfinite(above):
            raise UserError(
                f"--mask-above {word} given, it takes the number of a voter, 1 to {count}, and a value; write "
                "--mask-above 1=0"
            )
        found[place - 1] = above
    return found


def refuse_large_masks(voters: "list[list[Volume]]", masks: dict[int, float], memory: float) -> None:
    """Raises UserError for a mask whose parts are not found within the memory: they are found in one piece."""
    from math import prod

    for each in voters:
        for place in masks:
            if (takes := prod(each[place].shape) * PARTS_BYTES) > memory:
                raise UserError(
                    f"{each[place].origin} is a mask whose parts are found in one piece, which takes {takes / 1e9:.1f} "
                    f"GB; pass `memory={takes / 1e9 + 0.5:.0f}GB`, or labels of it"
                )


def warn_of_masks(voters: "list[list[Volume]]", masks: dict[int, float]) -> None:
    """Say which voters look like masks and were not declared as ones."""
    from ..data.label_checks import check_labels

    for place in range(len(voters[0])):
        if place not in masks:
            for sentence in check_labels([each[place] for each in voters], f"mask_above={place + 1}"):
                say(f"warning: {sentence}", err=True)


def write(
    outputs: "Outputs", taught: "Outputs | None", volume: "Volume", voters: "list[Volume]", least: float | None,
    groups: tuple[int, ...] | None, memory: float, run: "Run",
) -> None:  # fmt: skip
    """What is missing of an image: labels, and labels to train with."""
    from ..predict.voting import vote_image, write_pseudo_labels

    if not outputs.is_finished(volume):
        vote_image(outputs, volume, voters, least, groups, memory, run)
    if taught and not taught.is_finished(volume):
        arrays = [one.array for one in voters]
        mark = taught.claims.mark
        write_pseudo_labels(taught.written_labels(volume), volume, arrays, groups, memory=memory, run=run, mark=mark)


def pseudo_outputs(
    folder: Path | None, outputs: "Outputs", voters: "list[list[Volume]]", labels: list[str],
    request: "dict[str, Any]",
) -> "Outputs | None":  # fmt: skip
    """Where labels to train with go, if they are wanted. Raises UserError where it is no folder of their own."""
    if folder is None:
        return None
    from ..core.collisions import is_same_path
    from ..predict.outputs import is_single

    if is_single(folder) or is_same_path(folder, outputs.out):
        raise UserError(f"--pseudo-labels {folder} is no folder of its own; pass another one, such as pseudo/")
    taught = outputs_of(folder, voters, labels, request | {"pseudo_labels_of": labels})
    for one, other in zip(outputs.label_paths(), taught.label_paths()):
        if is_same_path(one, other):
            raise UserError(f"--pseudo-labels {folder} would replace {one}, the labels of the vote; pass another one")
    return taught


def outputs_of(
    out: Path, voters: "list[list[Volume]]", labels: list[str], request: "dict[str, Any]",
    also: "list[str] | None" = None,
) -> "Outputs":  # fmt: skip
    """Where results go. Voters that have changed since are another request, whatever their names.

    Raises UserError where results would go to what is read, and for a large volume that is to be a TIFF.
    """
    from math import prod

    from ..data.input_files import refuse_inputs
    from ..data.resumable_statistics import fingerprint
    from ..data.volumes import ImageSource
    from ..predict.outputs import is_single
    from ..predict.voting import WHOLE_VOXELS
    from .results import open_outputs

    volumes = [each[0] for each in voters]
    large = any(prod(volume.shape) > WHOLE_VOXELS for volume in volumes)
    if large and is_single(out) and ".zarr" not in str(out):
        raise UserError(
            f"{volumes[0].name} is written box by box, as OME-Zarr; pass {out.with_suffix('')}.ome.zarr to -o"
        )
    content = {each[0].name: [fingerprint(one.array) for one in each] for each in voters}
    suffix = ".ome.zarr" if large else ".tif"
    outputs = open_outputs(out, volumes, request | {"content": content}, also, suffix=suffix)
    refuse_inputs(
        outputs.written_paths(), [], labels=[ImageSource(paths=one) for one in labels], filled=outputs.folders
    )
    return outputs


def open_voters(labels: list[str], axes: str | None, voxel: str | None, unit: str | None) -> "list[list[Volume]]":
    """Of each image, the labels of all voters. Raises UserError where a voter has none of an image."""
    from ..data.volumes import image_source, open_labels

    found = [open_labels(image_source(one, axes, voxel=voxel, unit=unit)) for one in labels]
    if all(len(each) == 1 for each in found):
        return [[each[0] for each in found]]
    named = [{volume.name: volume for volume in each} for each in found]
    for place, there in zip(labels, named):
        missing = sorted(set(named[0]) - set(there)) or sorted(set(there) - set(named[0]))
        if missing:
            raise UserError(
                f"not all voters have labels of '{missing[0]}' ({labels[0]} has {len(named[0])} images, {place} "
                f"{len(there)}); pass folders with the same names"
            )
    return [[there[name] for there in named] for name in named[0]]
