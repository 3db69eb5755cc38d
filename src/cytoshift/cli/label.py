"""`cytoshift label`: labels by a classical pipeline, or by a system of others in an environment of its own."""

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..core.errors import UserError
from ..core.text import count_of
from . import inputs
from .console import conclude

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..data.volumes import Volume
    from ..ensemble.voters import Voter

OWN = "command"  # the way that is the user's own

Way = Annotated[
    str,
    typer.Argument(
        help="otsu, cellprofiler or squassh; a recipe such as cellpose-sam, stardist or nnunet; or command, with "
        "--command."
    ),
]
Out = Annotated[Path, typer.Option("-o", "--out", help="A .tif for one image, or a folder.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="A setting of a classical pipeline: psf=1.5, diameter=[10,40]. May be repeated."),
]
Polarity = Annotated[str, typer.Option(help="Objects are bright or dark; of classical pipelines.")]
Command = Annotated[
    str | None,
    typer.Option(
        help="Your own command: 'python seg.py {images} {labels}', with {voxel}, {anisotropy}, {ndim} and {diameter} "
        "where it wants them."
    ),
]
Diameter = Annotated[
    float | None,
    typer.Option(help="Median diameter of the objects in the voxel's unit, for {diameter}; default: measured."),
]
TimeLimit = Annotated[
    float | None, typer.Option("--time-limit", min=0, help="Minutes after which a command is ended; default: never.")
]


def label(
    way: Way,
    images: inputs.Images,
    out: Out,
    settings: Set = None,
    polarity: Polarity = "bright",
    command: Command = None,
    diameter: Diameter = None,
    time_limit: TimeLimit = None,
    also: inputs.Also = None,
    axes: inputs.Axes = None,
    channel: inputs.Channel = None,
    level: inputs.Level = 0,
    voxel: inputs.VoxelSize = None,
    unit: inputs.Unit = None,
    frames: inputs.Frames = None,
    skip_bad: inputs.SkipBad = False,
    workers: inputs.Workers = 1,
    overwrite: inputs.Overwrite = False,
    quiet: inputs.Quiet = False,
    as_json: inputs.Json = False,
) -> None:
    """Label images by a classical pipeline, or by a system of others: Cellpose, StarDist, nnU-Net, your own command.

    Such a system runs in an environment of its own, which 'cytoshift doctor --make NAME' makes. The labels can vote:
    'cytoshift vote', and 'cytoshift run --voter'.
    """
    from ..core.progress import Progress
    from ..data.input_files import refuse_inputs
    from ..data.volumes import image_source, open_volumes
    from ..predict.also import write_also
    from ..predict.blockwise.engine import engine
    from .results import claim_outputs, describe_objects, open_outputs, picture

    if polarity not in ("bright", "dark"):
        raise UserError(f"--polarity {polarity} is not known; pass bright or dark")
    refuse_other_options(way, settings, command, diameter, time_limit)
    source = image_source(list(images), axes, channel, level, voxel, unit, frames, skip_bad)
    volumes = open_volumes(source)
    with open_voter(way, volumes, settings, polarity, command, diameter, time_limit) as voter:
        outputs = open_outputs(out, volumes, {"label": way, **voter.request}, also)
        refuse_inputs(outputs.written_paths(), [source], filled=outputs.folders)
        with claim_outputs(overwrite, outputs), engine(None, workers) as each:
            with Progress(f"label by {way}", 1, quiet=quiet) as progress:
                voter.write(outputs, each, progress.update)
            outputs.join_frames()
            table = outputs.join()
            picture(outputs, table)
            others = write_also(outputs)
            outputs.complete()
    words = (
        f"{count_of(len(volumes), 'image')}, {describe_objects(table, volumes[0].voxel.unit)}; labels "
        f"in {out}, objects in {outputs.table}, picture {outputs.picture}"
    )
    conclude(
        as_json, words, verb="label", way=way, images=len(volumes), objects=len(table.rows), labels=out,
        table=outputs.table, picture=outputs.picture, also=others,
    )  # fmt: skip


@contextmanager
def open_voter(
    way: str, volumes: "list[Volume]", settings: list[str] | None, polarity: str, command: str | None,
    diameter: float | None, time_limit: float | None,
) -> "Iterator[Voter]":  # fmt: skip
    """What labels the images: a classical pipeline, or a system of others, ready to run."""
    from ..core.settings import lay_over
    from ..ensemble.voters import ClassicalVoter, ExternalVoter
    from ..predict.classical_pipelines import PIPELINES, pipeline_settings
    from ..predict.external_system import open_system

    if way in PIPELINES:
        yield ClassicalVoter(way, pipeline_settings(way, lay_over({}, settings or [])), polarity == "dark")
        return
    with open_system(None if way == OWN else way, command, volumes) as system:
        if system.needs_diameter:
            system = system.with_diameter(diameter_of(volumes, diameter) / min(volumes[0].voxel.size))
        limit = None if time_limit is None else 60 * time_limit
        yield ExternalVoter(way, system.command, system.values, system.origin, limit)


def refuse_other_options(
    way: str, settings: list[str] | None, command: str | None, diameter: float | None, time_limit: float | None
) -> None:
    """Raises UserError for a way that there is not, and for options of another way."""
    from ..predict.classical_pipelines import PIPELINES
    from ..predict.external_recipes import recipe_names

    is_classical = way in PIPELINES
    if not is_classical and way != OWN and way not in recipe_names():
        raise UserError(f"there is no '{way}'; pass one of {', '.join([*PIPELINES, *recipe_names(), OWN])}")
    if is_classical and (command or diameter is not None or time_limit is not None):
        raise UserError(f"--command, --diameter and --time-limit are of systems of others, '{way}' is none; use --set")
    if not is_classical and settings:
        raise UserError(f"--set is for classical pipelines, '{way}' is none; settings of others stand in a --command")
    if (way == OWN) != (command is not None):
        raise UserError(f"'{OWN}' and --command go together; write: cytoshift label command IMAGES --command '...'")


def diameter_of(volumes: "list[Volume]", diameter: float | None) -> float:
    """The diameter that was given, or the measured median. Raises UserError where it is no length."""
    if diameter is not None:
        if not diameter > 0:
            raise UserError(f"--diameter {diameter:g} is no length; pass one above 0")
        return diameter
    from ..data.volumes import load_small
    from ..measure.estimate import estimate

    return estimate(
        load_small(volumes), [volume.voxel for volume in volumes], names=[volume.name for volume in volumes]
    ).diameters[50]
