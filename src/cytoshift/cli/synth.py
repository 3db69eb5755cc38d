"""`cytoshift synth`: images with exact truth, made from nothing."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..core.errors import UserError
from . import inputs
from .console import conclude

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..core.voxel import Voxel

    Sample = tuple[NDArray[np.uint8] | NDArray[np.uint16], NDArray[np.int32], Voxel]

SHOWN = 8  # rows of the contact sheet


def synth(
    preset: Annotated[str, typer.Argument(help="Kind of phantom, such as dense-2d; a wrong one lists them.")],
    out: Annotated[
        Path, typer.Option("-o", "--out", help="Folder for images/, labels/ and contact.png, or a large OUT.ome.zarr.")
    ],
    number: Annotated[int, typer.Option("--number", "-n", min=1, help="Samples; of a pair, on each side.")] = 4,
    seed: Annotated[int, typer.Option(help="The same seed gives the same samples.")] = 0,
    shape: Annotated[str | None, typer.Option(help="Size in voxels, Y,X or Z,Y,X, instead of the preset's.")] = None,
    memory: inputs.Memory = "2GB",
    overwrite: inputs.Overwrite = False,
    quiet: inputs.Quiet = False,
    as_json: inputs.Json = False,
) -> None:
    """Make phantoms: synthetic microscope images with exact instance labels, and a contact sheet.

    A pair such as em-to-expansion shows one kind of tissue in two modalities; its samples are in source/ and target/. A
    stack such as retina has a channel for each class, and a folder of labels for each. A number in both nuclei and
    golgi is a pair.

    OUT.ome.zarr with --shape becomes one image of any size, made of tiles of phantoms, with its labels in
    OUT.ome.zarr::labels/truth. The same command continues one that was stopped.
    """
    from ..core.lock import lock_outputs
    from ..synth import PAIRS, PHANTOMS, STACKS

    wanted = inputs.whole_numbers(shape, "--shape", "48,128,128")
    if out.suffix.lower() == ".zarr":
        if wanted is None:
            raise UserError(f"{out} becomes one large image, but no size was given; pass --shape, as in 8192,8192")
        with lock_outputs(out):
            words = write_mosaic(preset, out, seed, wanted, memory, overwrite)
        conclude(as_json, words, verb="synth", preset=preset, seed=seed, shape=list(wanted), out=out)
        return
    if preset not in PHANTOMS and preset not in PAIRS and preset not in STACKS:
        raise UserError(f"there is no preset '{preset}'; there are {', '.join([*PHANTOMS, *PAIRS, *STACKS])}")
    with lock_outputs(out):
        claim_samples(preset, out, number, seed, wanted, overwrite)
        make = stacks if preset in STACKS else samples
        words, contact = make(preset, out, number, seed, wanted, quiet)
    conclude(as_json, words, verb="synth", preset=preset, number=number, seed=seed, out=out, picture=contact)


def claim_samples(
    preset: str, out: Path, number: int, seed: int, shape: tuple[int, ...] | None, overwrite: bool
) -> None:
    """Make sure that nothing of anybody else is replaced."""
    from ..data.generated_folder import claim_folder
    from ..synth import CLASSES, PAIRS, STACKS
    from ..synth.pairs import SIDES

    parts = ["images", *(f"labels/{name}" for name in CLASSES)] if preset in STACKS else ["images", "labels"]
    sides = SIDES if preset in PAIRS else ("",)
    names = [sample_name(preset, index, number) for index in range(number)]
    places = [out / side / part / name for side in sides for part in parts for name in names]
    request = {"verb": "synth", "preset": preset, "seed": seed, "shape": shape}
    claim_folder(out, request, [*places, out / "contact.png"], overwrite)


def samples(
    preset: str, out: Path, number: int, seed: int, wanted: tuple[int, ...] | None, quiet: bool
) -> tuple[str, Path]:
    """Images and labels of a phantom, or of a pair on each side; what there is to say, and the picture."""
    from ..core.progress import Progress
    from ..data.write import write_image, write_labels
    from ..draw import image_grid, save_png
    from ..synth import PAIRS, PHANTOMS, Pair, Phantom, pair, phantom
    from ..synth.pairs import SIDES

    kind: Phantom | Pair
    sides: dict[str, Callable[[int], Sample]]
    if preset in PHANTOMS:
        kind, look = PHANTOMS[preset], views
        sides = {"": partial(phantom, preset, seed, wanted)}
        titles = (
            ["image", "truth", "labels"] if len(kind.shape) == 2 else ["middle plane", "truth", "projection", "side"]
        )
    else:
        kind, look = PAIRS[preset], cut_row
        sides = {side: partial(pair, preset, side, seed, wanted) for side in SIDES}
        titles = ["image", "truth"] if len(kind.shape) == 2 else ["middle plane", "truth", "side", "truth"]
    rows, captions = [], []
    most = SHOWN // len(sides)
    with Progress(preset, number * len(sides), "image", quiet) as progress:
        for side, draw in sides.items():
            for index in range(number):
                image, labels, voxel = draw(index)
                axes = "zyx"[-image.ndim :]
                name = sample_name(preset, index, number)
                write_image(out / side / "images" / name, image, voxel, axes)
                write_labels(out / side / "labels" / name, labels, voxel, axes)
                if index < most:
                    rows.append(look(image, labels, voxel))
                    place = f"{side}/{name}" if side else name
                    captions.append(f"{place}: {image.shape} {image.dtype}, voxel {voxel}, {labels.max()} objects")
                progress.advance()
    shown = f", the first {most} of {number}" if number > most else ""
    contact = save_png(
        out / "contact.png", image_grid(rows, titles, captions, heading=f"{preset} - {kind.summary}{shown}")
    )
    each = " on each side" if len(sides) > 1 else ""
    return f"{number} images and labels of {preset}{each} (seed {seed}) in {out}; picture: {contact}", contact


def write_mosaic(preset: str, out: Path, seed: int, shape: tuple[int, ...], memory: str, overwrite: bool) -> str:
    """One image of any size and, inside of it, its labels; what there is to say."""
    from ..data.copy import copy_array
    from ..data.store import ImageStore, LabelStore, is_finished, read_kept_note
    from ..synth.mosaic import Mosaic

    mosaic, share = Mosaic.of(preset, seed, shape), inputs.memory_budget(memory)
    axes = "zyx"[-len(shape) :]
    request = {"synth": {"preset": preset, "seed": seed, "shape": list(shape)}}
    there = out.exists() and read_kept_note(out).get("synth") == request["synth"]
    if out.exists() and not there and not overwrite:
        raise UserError(
            f"{out} already exists, and this command did not write it; pass --overwrite to replace it or another -o"
        )
    if not there or overwrite:
        image = ImageStore.create(out, shape, mosaic.image.dtype, mosaic.voxel, axes)
        copy_array(mosaic.image, image, f"{preset} (seed {seed})", share)
        image.finish(notes=request)
    is_finished(out)
    if not is_finished(out / "labels" / "truth"):
        truth = LabelStore.create(f"{out}::labels/truth", shape, mosaic.labels.dtype, mosaic.voxel, axes)
        copy_array(mosaic.labels, truth, f"{preset} (seed {seed})", share)
        truth.finish()
    words = " x ".join(map(str, shape))
    return f"{out}: {words} voxels of {mosaic.voxel}, up to {mosaic.last_ids[-1]} objects in {out}::labels/truth"


def stacks(
    preset: str, out: Path, number: int, seed: int, shape: tuple[int, ...] | None, quiet: bool
) -> tuple[str, Path]:
    """Stacks in images/, labels of each class in labels/CLASS/; what there is to say, and the picture."""
    from ..core.progress import Progress
    from ..data.channel_tiff import write_stack
    from ..data.write import write_labels
    from ..draw import image_grid, save_png
    from ..labels.ids import sizes as present
    from ..synth import CLASSES, STACKS, count_pairs, stack

    rows, captions = [], []
    with Progress(preset, number, "stack", quiet) as progress:
        for index in range(number):
            image, labels, voxel = stack(preset, seed, shape, index)
            name = sample_name(preset, index, number)
            write_stack(out / "images" / name, image, voxel, "zyx", CLASSES)
            for channel, mask in zip(CLASSES, labels):
                write_labels(out / "labels" / channel / name, mask, voxel, "zyx")
            if index < SHOWN:
                rows.append(channels(image, labels, voxel))
                counts = [f"{len(present(mask)[0])} {channel}" for channel, mask in zip(CLASSES, labels)]
                counts.append(f"{len(count_pairs(labels))} pairs")
                captions.append(f"{name}: {image.shape} {image.dtype}, voxel {voxel}, {', '.join(counts)}")
            progress.advance()
    shown = f", the first {SHOWN} of {number}" if number > SHOWN else ""
    titles = [*CLASSES, "golgi (magenta), nuclei (green)", "projection", "side", "truth: golgi amber, nuclei blue"]
    heading = f"{preset} - {STACKS[preset].summary}{shown}"
    contact = save_png(out / "contact.png", image_grid(rows, titles, captions, heading=heading))
    return f"{number} stacks of {preset} and labels of each class (seed {seed}) in {out}; picture: {contact}", contact


def sample_name(preset: str, index: int, number: int) -> str:
    """File name of one of `number` samples."""
    return f"{preset}_{index:0{max(len(str(number - 1)), 3)}d}.tif"


def views(
    image: "NDArray[np.uint8] | NDArray[np.uint16]", labels: "NDArray[np.int32]", voxel: "Voxel"
) -> "list[NDArray[np.uint8] | None]":
    """One row of the contact sheet (a page of small pictures)."""
    from ..core.voxel import Voxel
    from ..draw import colour_labels, outline, plane, thumbnail

    first = [thumbnail(image, voxel), outline(image, labels, voxel=voxel)]
    if image.ndim == 2:
        return [*first, colour_labels(labels, voxel)]
    z, _, x = voxel.size
    side = thumbnail(plane(image, "max", axis=1), Voxel((z, x), voxel.unit))
    return [*first, thumbnail(image, voxel, kind="max"), side]


def cut_row(
    image: "NDArray[np.uint8] | NDArray[np.uint16]", labels: "NDArray[np.int32]", voxel: "Voxel"
) -> "list[NDArray[np.uint8] | None]":
    """One row of a pair's contact sheet: a section, and across the sections, each without and with the truth."""
    from ..core.voxel import Voxel
    from ..draw import outline, plane, thumbnail

    row: list[NDArray[np.uint8] | None] = [thumbnail(image, voxel), outline(image, labels, voxel=voxel)]
    if image.ndim == 3:
        z, _, x = voxel.size
        flat, truth, pixel = plane(image, axis=1), plane(labels, axis=1), Voxel((z, x), voxel.unit)
        row += [thumbnail(flat, pixel), outline(flat, truth, voxel=pixel)]
    return row


def channels(
    image: "NDArray[np.uint8] | NDArray[np.uint16]", labels: "NDArray[np.int32]", voxel: "Voxel"
) -> "list[NDArray[np.uint8] | None]":
    """One row of a stack's contact sheet."""
    from ..core.voxel import Voxel
    from ..draw import outline, plane, thumbnail

    golgi, nuclei = image
    z, _, x = voxel.size
    side, pixel = [plane(channel, "max", axis=1) for channel in image], Voxel((z, x), voxel.unit)
    middle = [thumbnail(channel, voxel) for channel in image]
    return [
        *middle,
        merge_colours(*middle),
        merge_colours(thumbnail(golgi, voxel, kind="max"), thumbnail(nuclei, voxel, kind="max")),
        merge_colours(*(thumbnail(view, pixel) for view in side)),
        outline(nuclei, labels[0], labels[1], voxel),
    ]


def merge_colours(magenta: "NDArray[np.uint8]", green: "NDArray[np.uint8]") -> "NDArray[np.uint8]":
    """Two gray pictures (h, w, 3) as one in colours that the colour-blind tell apart."""
    picture = magenta.copy()
    picture[..., 1] = green[..., 1]
    return picture
