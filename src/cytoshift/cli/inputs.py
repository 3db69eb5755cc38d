"""Every option that several verbs share, declared once: same flag, same words, same meaning.

A verb takes them by their alias, as in `axes: Axes = None`. Help lists options in panels.
"""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..core.errors import UserError

if TYPE_CHECKING:
    import torch

# Options by their panel of `cytoshift VERB --help`.
of_images = partial(typer.Option, rich_help_panel="What files do not say")
of_source = partial(typer.Option, rich_help_panel="About the source")
large = partial(typer.Option, rich_help_panel="Large images")
advanced = partial(typer.Option, rich_help_panel="Advanced")

UNITS = {"": 1e9, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "KIB": 2.0**10, "MIB": 2.0**20, "GIB": 2.0**30}
BASE_BYTES = 0.4e9  # bytes of a process that has loaded what it needs; measured

# What is read.
Images = Annotated[list[str], typer.Argument(help="Raw images: file, folder or glob; file.h5::raw names a dataset.")]
MODEL = "Model folder, as written by 'cytoshift train', or a model of the package: nuclei-2d."
ModelFolder = Annotated[Path, typer.Argument(help=MODEL)]
Model = Annotated[Path, typer.Option("--model", "-m", help=MODEL)]

# What files do not say about themselves.
Axes = Annotated[str | None, of_images("--axes", help="Axes, where the file does not say them: zyx, tyx, cyx ...")]
Channel = Annotated[
    str | None,
    of_images("--channel", help="Number or name of a channel, luminance of RGB, or several: 0,1 or DAPI,GFP."),
]
Level = Annotated[int, of_images("--level", help="Level of a pyramid, 0 the finest.")]
VoxelSize = Annotated[str | None, of_images("--voxel", help="Voxel size: z,y,x or y,x.")]
Unit = Annotated[str | None, of_images("--unit", help="Unit of the voxel size: um, nm, mm or px.")]
Frames = Annotated[str | None, of_images("--frames", help="Numbers of frames along time: 0,5,10-20.")]
SkipBad = Annotated[
    bool, of_images("--skip-bad", help="Go on without files that cannot be read or are unlike the others; named.")
]
LabelsSuffix = Annotated[
    str | None, of_images("--labels-suffix", help="What names of labels have behind those of their images: _masks.")
]

# How the work is done.
Device = Annotated[str, typer.Option("--device", help="cpu, cuda, cuda:1 or auto.")]
Memory = Annotated[str, typer.Option("--memory", help="Memory of one process, as 4GB; more may be faster.")]
Workers = Annotated[int, typer.Option("--workers", min=1, help="Processes that share the work.")]
Ngff = Annotated[str, advanced("--ngff", help="Version of OME-Zarr to write: 0.5 or 0.4.")]

# What comes out.
Also = Annotated[
    list[str] | None,
    typer.Option(
        "--also", help="The labels in other formats, too: rois (ImageJ), geojson (QuPath), coco, ctc; 'rois,coco' or "
        "repeated.",
    ),
]  # fmt: skip
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress.")]
Json = Annotated[bool, typer.Option("--json", help="The result as one line of JSON on stdout; all else is on stderr.")]


def image_flags(
    axes: str | None, channel: str | None, level: int, voxel: str | None, unit: str | None, frames: str | None
) -> dict[str, object]:
    """What was said of images, by the names of the flags, for the next command.

    >>> image_flags("zyx", None, 0, "2,1,1", None, None)
    {'axes': 'zyx', 'voxel': '2,1,1'}
    """
    said = {"axes": axes, "channel": channel, "level": level or None, "voxel": voxel, "unit": unit, "frames": frames}
    return {name: value for name, value in said.items() if value is not None}


def whole_numbers(words: str | None, flag: str, example: str = "64,128,128") -> tuple[int, ...] | None:
    """ "64,128,128" as numbers; None where nothing was given.

    >>> whole_numbers("64,128", "--tile")
    (64, 128)
    """
    if words is None:
        return None
    try:
        return tuple(int(word) for word in words.replace("x", ",").split(","))
    except ValueError:
        raise UserError(f"{flag} {words} is not a list of whole numbers; write for example {flag} {example}") from None


def parse_amount(words: str) -> float:
    """Bytes.

    >>> parse_amount("4GB"), parse_amount("512 MB")
    (4000000000.0, 512000000.0)
    """
    number = words.strip().rstrip("KMGTiIBkmgtb ")
    unit = words.strip()[len(number) :].strip().upper()
    try:
        return float(number) * UNITS[unit]
    except (ValueError, KeyError):
        raise UserError(f"--memory {words} is not an amount of memory; write for example --memory 4GB") from None


def choose_device(device: str) -> "torch.device":
    """The device of that name; auto takes a CUDA card where there is one."""
    import torch

    cards = torch.cuda.device_count()
    if device == "auto":
        return torch.device("cuda" if cards else "cpu")
    try:
        found = torch.device(device)
    except RuntimeError:
        found = None
    if found is None or found.type not in ("cpu", "cuda"):
        raise UserError(f"device '{device}' is not known; pass cpu, cuda, cuda:1 or auto")
    if found.type == "cuda" and (found.index or 0) >= cards:
        raise UserError(f"there is no device '{device}', this machine has {cards} CUDA cards; pass --device cpu")
    return found


def memory_budget(words: str) -> float:
    """Bytes that are left for images and tables. Raises UserError where the program alone takes more."""
    memory = parse_amount(words)
    if memory <= BASE_BYTES:
        raise UserError(
            f"a memory of {words} is not enough, the program alone takes {BASE_BYTES / 1e9:g} GB; pass a larger one"
        )
    return memory - BASE_BYTES
