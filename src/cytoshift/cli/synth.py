"""`cytoshift synth`: images with exact truth, made from nothing."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..core.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..core.voxel import Voxel

SHOWN = 8  # samples on the contact sheet


def synth(
    preset: Annotated[str, typer.Argument(help="Kind of phantom, such as dense-2d; a wrong one lists them.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for images/, labels/ and contact.png.")],
    number: Annotated[int, typer.Option("--number", "-n", min=1, help="How many samples.")] = 4,
    seed: Annotated[int, typer.Option(help="The same seed gives the same samples.")] = 0,
    shape: Annotated[str | None, typer.Option(help="Size in voxels, Y,X or Z,Y,X, instead of the preset's.")] = None,
) -> None:
    """Make phantoms: microscope-like images with exact instance labels, and a contact sheet of them."""
    from ..data.write import write_image, write_labels
    from ..draw import save_png, sheet
    from ..synth import phantom
    from ..synth.phantoms import look_up

    kind = look_up(preset)
    wanted = sizes(shape) if shape else None
    rows, captions = [], []
    for index in range(number):
        image, labels, voxel = phantom(preset, seed, wanted, index)
        axes = "zyx"[-image.ndim :]
        name = f"{preset}_{index:0{max(len(str(number - 1)), 3)}d}.tif"
        write_image(out / "images" / name, image, voxel, axes)
        write_labels(out / "labels" / name, labels, voxel, axes)
        if index < SHOWN:
            rows.append(views(image, labels, voxel))
            captions.append(f"{name}: {image.shape} {image.dtype}, voxel {voxel}, {labels.max()} objects")
    titles = ["image", "truth", "labels"] if len(kind.shape) == 2 else ["middle plane", "truth", "projection", "side"]
    shown = f", the first {SHOWN} of {number}" if number > SHOWN else ""
    contact = save_png(out / "contact.png", sheet(rows, titles, captions, heading=f"{preset} - {kind.summary}{shown}"))
    typer.echo(f"{number} images and labels of {preset} (seed {seed}) in {out}; picture: {contact}")


def sizes(text: str) -> tuple[int, ...]:
    """Whole numbers between commas.

    >>> sizes("64,256,256")
    (64, 256, 256)
    """
    parts = text.replace("x", ",").split(",")
    if not all(part.strip().isdigit() for part in parts):
        raise UserError(f"shape '{text}' is no list of sizes; write --shape 256,256 or --shape 48,128,128")
    return tuple(int(part) for part in parts)


def views(
    image: "NDArray[np.uint8] | NDArray[np.uint16]", labels: "NDArray[np.int32]", voxel: "Voxel"
) -> "list[NDArray[np.uint8] | None]":
    """One row of the contact sheet."""
    from ..core.voxel import Voxel
    from ..draw import colour_labels, outline, plane, thumbnail

    first = [thumbnail(image, voxel), outline(image, labels, voxel=voxel)]
    if image.ndim == 2:
        return [*first, colour_labels(labels, voxel)]
    z, _, x = voxel.size
    side = thumbnail(plane(image, "max", axis=1), Voxel((z, x), voxel.unit))
    return [*first, thumbnail(image, voxel, kind="max"), side]
