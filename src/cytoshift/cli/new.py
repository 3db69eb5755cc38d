"""cytoshift new: settings of a run, from what the raw images show."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..train.recipe import Survey
    from ..train.settings import Run

SHOWN = 4  # rows of the preview
WIDE = 2.0  # extent of what is shown, in patches
SIZE = 320  # pixels of a picture's longer side
POLARITIES = ("auto", "bright", "dark")
REPRESENTATIONS = ("ternary", "semantic")


def new(
    method: Annotated[str, typer.Argument(help="Method: adgan.")],
    images: Annotated[list[str], typer.Option(help="Raw images: file, folder or glob; repeatable.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the settings go.")] = Path("run.yaml"),
    axes: Annotated[str | None, typer.Option(help="Axes, where the file does not say them: zyx, tyx, cyx ...")] = None,
    channel: Annotated[str | None, typer.Option(help="Number of a channel, or luminance of RGB.")] = None,
    level: Annotated[int, typer.Option(help="Level of a pyramid, 0 the finest.")] = 0,
    voxel: Annotated[str | None, typer.Option(help="Voxel size: z,y,x or y,x.")] = None,
    unit: Annotated[str | None, typer.Option(help="Unit of the voxel size: um, nm, mm or px.")] = None,
    frames: Annotated[str | None, typer.Option(help="Numbers along time: 0,5,10.")] = None,
    polarity: Annotated[str, typer.Option(help="Objects are bright, dark, or auto: measured.")] = "auto",
    preset: Annotated[str, typer.Option(help="laptop, or the sizes of the paper: paper.")] = "laptop",
    represent: Annotated[
        str, typer.Option(help="Masks: semantic, split by shape; or ternary, edge and core.")
    ] = "semantic",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace settings that are there.")] = False,
) -> None:
    """Measure raw images and write a commented run.yaml for them, with a preview of the synthetic masks beside it."""
    from ..core.atomic import replacing
    from ..data.volumes import declared
    from ..draw import save_png
    from ..train.recipe import commented, look, settings

    picture = out.with_suffix(".png")
    if not overwrite and (there := next((path for path in (out, picture) if path.exists()), None)):
        raise UserError(f"{there} is there already; pass --overwrite to replace it or another -o")
    source = declared(one_or_many(images), axes, channel, level, voxel, unit, frames)
    look_for, draw_as = one_of(polarity, POLARITIES, "--polarity"), one_of(represent, REPRESENTATIONS, "--represent")
    survey = look(source, look_for)
    run = settings(survey, preset, method=method, represent=draw_as)
    with replacing(out) as beside:
        beside.write_text(commented(run, survey))
    save_png(picture, preview(run, survey))
    typer.echo(survey.sentence())
    typer.echo(f"settings in {out}, masks drawn with them in {picture}; next: cytoshift train {out}")


def one_of(word: str, known: tuple[str, ...], flag: str) -> Any:
    if word not in known:
        raise UserError(f"{flag} {word} asked for, there are {', '.join(known)}; pass one of them")
    return word


def one_or_many(paths: list[str]) -> str | list[str]:
    """A single path stands alone in run.yaml."""
    return paths[0] if len(paths) == 1 else list(paths)


def preview(run: "Run", survey: "Survey") -> "NDArray[np.uint8]":
    """Raw images beside synthetic masks of the same extent, drawn with the settings: one glance tells whether they fit.

    Left to right: image, objects as drawn, mask as the network will see it. Volumes show their middle plane.
    """
    from ..core.rng import stream
    from ..core.voxel import Voxel
    from ..draw import colour_labels, sheet, thumbnail
    from ..synth import draw_labels
    from ..train.fit import working_voxel

    working = working_voxel(run, survey.volumes)
    rows, captions = [], []
    count = min(SHOWN, len(survey.volumes))
    for i in range(count):
        volume = survey.volumes[int((i + 0.5) * len(survey.volumes) / count)]
        wish = [WIDE * n * s for n, s in zip(run.patch, working.size)]
        seen = [max(min(round(w / s), n), 1) for w, s, n in zip(wish, volume.voxel.size, volume.shape)]
        cut = volume.array[tuple(slice((n - m) // 2, (n - m) // 2 + m) for n, m in zip(volume.shape, seen))]
        shape = tuple(max(round(m * s / w), 1) for m, s, w in zip(seen, volume.voxel.size, working.size))
        labels = draw_labels(run.prior, shape, working, stream(run.seed, "preview", i))
        gray = run.represent.encode(labels, working)[0]
        square = Voxel(working.size, working.unit)
        rows.append([
            thumbnail(cut, volume.voxel, size=SIZE),
            colour_labels(labels, square, size=SIZE),
            thumbnail(gray, square, size=SIZE, limits=(0.0, 1.0)),
        ])  # fmt: skip
        captions.append([f"{volume.name}, {' x '.join(map(str, seen))} voxels", f"{labels.max()} objects", ""])
    titles = ["image", "synthetic objects", f"as {run.represent.kind} mask"]
    heading = "Do size, number and shape of the synthetic objects look like those of the images? If not, change prior."
    return sheet(rows, titles=titles, captions=captions, heading=heading)
