"""cytoshift new: settings of a run, from what the raw images show."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..core.errors import UserError
from . import inputs
from .console import conclude

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


Method = Annotated[
    str,
    typer.Argument(
        help="adgan, randomised, mask_cyclegan, udct, spcyclegan, munit, ufdn, cgunet, deepsynth, adgan-unet; or with "
        "--source: cysgan, feature, mmd, coral, dann, ynet, mean_teacher, da_isc, supervised, selftrain, vox2vox, "
        "cyclegan-xy, cyclegan-yx, histogram-xy, histogram-yx."
    ),
]
Targets = Annotated[
    list[str], typer.Option("--images", "--target", help="Raw images: file, folder or glob; repeatable.")
]
Source = Annotated[
    tuple[str, str] | None,
    typer.Option(
        help="Images and labels of another modality. With --channels: a folder with one folder for each class, or "
        "golgi=PATH,nuclei=PATH.",
        metavar="IMAGES LABELS",
    ),
]
Settings = Annotated[Path, typer.Option("-o", "--out", help="File of the settings.")]
Channels = Annotated[str | None, typer.Option(help="Several classes, each in a channel of its own: golgi=0,nuclei=1.")]
Cells = Annotated[
    str | None, typer.Option(help="With --channels: draw Golgi and nuclei as in retina or ss-seg-cyclegan.")
]
Polarity = Annotated[str, typer.Option(help="Objects are bright, dark, or auto: measured.")]
Preset = Annotated[
    str,
    typer.Option(
        help="laptop; paper: the sizes of the paper; stretched (mask_cyclegan): laptop with the contrast of the paper, "
        "percentiles 95 to 98; zhu (mask_cyclegan): the sizes of CycleGAN's paper."
    ),
]
Represent = Annotated[
    str | None,
    typer.Option(
        help="How instances are written as channels. Without labels: semantic (split by shape) or ternary (edge and "
        "core). With source labels and for randomised: bcd (mask, contour, distance), bc, semantic or ternary."
    ),
]
Start = Annotated[
    str | None,
    typer.Option(
        help="Begin from the weights of a model, as nuclei-2d; with --source. Of selftrain: the model that goes on."
    ),
]
SourceAxes = Annotated[str | None, inputs.of_source(help="Axes of the source, as --axes.")]
SourceChannel = Annotated[str | None, inputs.of_source(help="Channel of the source's images, as --channel.")]
SourceVoxel = Annotated[str | None, inputs.of_source(help="Voxel size of the source, as --voxel.")]
SourceUnit = Annotated[str | None, inputs.of_source(help="Unit of --source-voxel.")]
SourceFrames = Annotated[str | None, inputs.of_source(help="Frames of the source, as --frames.")]
SourceMaskAbove = Annotated[
    float | None,
    inputs.of_source(help="The labels of the source are a mask: connected components above this value are objects."),
]
SourceIgnoreId = Annotated[
    int | None,
    inputs.of_source(min=1, help="Number of voxels of the source's labels that are neither an object nor background."),
]
LabelsSuffix = Annotated[
    str | None,
    inputs.of_source(help="What names of the source's labels have behind those of their images, as _masks."),
]
AssumeSameSize = Annotated[
    bool,
    inputs.of_source(
        "--assume-same-size",
        help="Objects of source and target have the same size and polarity: the target is not measured.",
    ),
]
Alike = Annotated[bool, inputs.of_source("--alike", hidden=True)]  # old name


def new(
    method: Method,
    images: Targets,
    source: Source = None,
    out: Settings = Path("run.yaml"),
    axes: inputs.Axes = None,
    channel: inputs.Channel = None,
    channels: Channels = None,
    cells: Cells = None,
    level: inputs.Level = 0,
    voxel: inputs.VoxelSize = None,
    unit: inputs.Unit = None,
    frames: inputs.Frames = None,
    skip_bad: inputs.SkipBad = False,
    polarity: Polarity = "auto",
    preset: Preset = "laptop",
    represent: Represent = None,
    start: Start = None,
    source_axes: SourceAxes = None,
    source_channel: SourceChannel = None,
    source_voxel: SourceVoxel = None,
    source_unit: SourceUnit = None,
    source_frames: SourceFrames = None,
    source_mask_above: SourceMaskAbove = None,
    source_ignore_id: SourceIgnoreId = None,
    labels_suffix: LabelsSuffix = None,
    assume_same_size: AssumeSameSize = False,
    alike: Alike = False,
    overwrite: inputs.Overwrite = False,
    quiet: inputs.Quiet = False,
    as_json: inputs.Json = False,
) -> None:
    """Measure raw images, and write a commented run.yaml for them with a preview picture."""
    from ..configure import Requests, configure, open_source, preview
    from ..core.lock import lock_outputs
    from ..core.progress import Progress
    from ..data.input_files import refuse_inputs
    from ..data.volumes import image_source

    picture = out.with_suffix(".png")
    target = image_source(one_or_many(images), axes, channel, level, voxel, unit, frames, skip_bad)
    places = labels_by_class(source[1]) if source else {}
    refuse_inputs(
        [out, picture], [target, source and source[0]], labels=list(places.values()) or [source and source[1]]
    )
    with lock_outputs(out):
        refuse_written(out, picture, overwrite)
    numbers = None if channels is None else channels_by_class(channels)
    same = {"alike": True} if alike else {"assume_same_size": assume_same_size}
    asked = Requests(
        polarity=polarity, preset=preset, represent=represent, start=start, channels=numbers, cells=cells, **same
    )
    lender = None
    if source is not None:
        theirs = image_source(source[0], source_axes, source_channel, 0, source_voxel, source_unit, source_frames)
        where, names = places or source[1], tuple(numbers or ())
        lender = open_source(theirs, where, source_mask_above, names, source_ignore_id, labels_suffix)
    with Progress("measuring", 1, quiet=quiet) as progress:
        made = configure(method, target, lender, asked, lambda done, total: progress.update(done / total))
    drawn = preview(made.run)
    with lock_outputs(out):
        refuse_written(out, picture, overwrite)
        write(out, picture, made.text, drawn)
    words = f"{made.sentence}\nsettings in {out}, a picture to check them by in {picture}; next: cytoshift train {out}"
    conclude(as_json, words, verb="new", method=method, settings=out, picture=picture, measured=made.sentence)


def labels_by_class(words: str) -> dict[str, str]:
    """ "golgi=a,nuclei=b" as words by name; nothing where it is no such list.

    >>> labels_by_class("golgi=0,nuclei=1")
    {'golgi': '0', 'nuclei': '1'}
    """
    parts = [part.partition("=") for part in words.split(",")]
    found = {name.strip(): word.strip() for name, _, word in parts}
    return found if len(found) == len(parts) and all(name and word for name, word in found.items()) else {}


def channels_by_class(words: str) -> dict[str, int | str]:
    """ "golgi=0,nuclei=DAPI" as numbers, or names of channels, by class."""
    found = labels_by_class(words)
    if not found:
        raise UserError(f"--channels {words} is not a list of classes and channels; write for example golgi=0,nuclei=1")
    return {name: int(channel) if channel.isdecimal() else channel for name, channel in found.items()}


def refuse_written(out: Path, picture: Path, overwrite: bool) -> None:
    """A command that was killed between the two has written only the picture."""
    from ..core.provenance import refuse_foreign_files
    from .import_config import refuse_settings

    refuse_settings(out, overwrite)
    refuse_foreign_files([picture], overwrite)


def write(out: Path, picture: Path, text: str, drawn: "NDArray[np.uint8]") -> None:
    """The picture is written first: if the settings exist, the picture exists too."""
    from ..core.atomic import atomic_path
    from ..draw import save_png

    save_png(picture, drawn)
    with atomic_path(out) as beside:
        beside.write_text(text)


def one_or_many(paths: list[str]) -> str | list[str]:
    """A single path stands alone in run.yaml."""
    return paths[0] if len(paths) == 1 else list(paths)
