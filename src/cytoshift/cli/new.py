"""cytoshift new: settings of a run, from what the raw images show."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.errors import UserError
from .console import Json, Quiet, conclude

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..data.volumes import ImageSource
    from ..train.borrow import Lent
    from ..train.recipe import Survey, Told
    from ..train.settings import Run

SHOWN = 4  # rows of the preview
WIDE = 2.0  # extent of what is shown, in patches
SIZE = 320  # pixels of a picture's longer side
POLARITIES = ("auto", "bright", "dark")
REPRESENTATIONS = ("ternary", "semantic")
BORROWED = ("bcd", "bc", "semantic", "ternary")


def new(
    method: Annotated[
        str,
        typer.Argument(
            help="adgan, randomised, mask_cyclegan; or with --source: cysgan, feature, mmd, coral, dann, ynet, "
            "mean_teacher, supervised, vox2vox, cyclegan-xy, cyclegan-yx, histogram-xy, histogram-yx."
        ),
    ],
    images: Annotated[
        list[str], typer.Option("--images", "--target", help="Raw images: file, folder or glob; repeatable.")
    ],
    source: Annotated[
        tuple[str, str] | None,
        typer.Option(
            help="Images and labels of another modality whose labels are borrowed; with --channels a folder that holds "
            "one for each class, or golgi=PATH,nuclei=PATH.",
            metavar="IMAGES LABELS",
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the settings go.")] = Path("run.yaml"),
    axes: Annotated[str | None, typer.Option(help="Axes, where the file does not say them: zyx, tyx, cyx ...")] = None,
    channel: Annotated[str | None, typer.Option(help="Number of a channel, or luminance of RGB.")] = None,
    channels: Annotated[
        str | None, typer.Option(help="Several classes, each in a channel of its own: golgi=0,nuclei=1.")
    ] = None,
    cells: Annotated[
        str | None, typer.Option(help="With --channels: draw Golgi and nuclei as in retina or ss-seg-cyclegan.")
    ] = None,
    level: Annotated[int, typer.Option(help="Level of a pyramid, 0 the finest.")] = 0,
    voxel: Annotated[str | None, typer.Option(help="Voxel size: z,y,x or y,x.")] = None,
    unit: Annotated[str | None, typer.Option(help="Unit of the voxel size: um, nm, mm or px.")] = None,
    frames: Annotated[str | None, typer.Option(help="Numbers along time: 0,5,10-20.")] = None,
    polarity: Annotated[str, typer.Option(help="Objects are bright, dark, or auto: measured.")] = "auto",
    preset: Annotated[
        str,
        typer.Option(
            help="laptop, or the sizes of the paper: paper; of mask_cyclegan also stretched: laptop with the paper's "
            "contrast, percentiles 95 to 98."
        ),
    ] = "laptop",
    represent: Annotated[
        str | None,
        typer.Option(
            help="How instances are written: semantic (split by shape) or ternary (edge and core) masks; for "
            "borrowed labels bcd (mask, contour, distance), bc, semantic or ternary."
        ),
    ] = None,
    source_axes: Annotated[str | None, typer.Option(help="Axes of the source, as --axes.")] = None,
    source_channel: Annotated[str | None, typer.Option(help="Channel of the source's images, as --channel.")] = None,
    source_voxel: Annotated[str | None, typer.Option(help="Voxel size of the source, as --voxel.")] = None,
    source_unit: Annotated[str | None, typer.Option(help="Unit of --source-voxel.")] = None,
    source_frames: Annotated[str | None, typer.Option(help="Frames of the source, as --frames.")] = None,
    source_mask_above: Annotated[
        float | None, typer.Option(help="The source's labels are a mask: its connected parts above this are objects.")
    ] = None,
    alike: Annotated[
        bool,
        typer.Option("--alike", help="Objects of source and target are equally large and dark: measure no target."),
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace settings that are there.")] = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Measure raw images and write a commented run.yaml for them, with a picture beside it to check it by."""
    from ..core.lock import locked
    from ..core.progress import Progress
    from ..data.untouched import refuse_inputs
    from ..data.volumes import declared
    from ..train.borrow import lent

    picture = out.with_suffix(".png")
    target = declared(one_or_many(images), axes, channel, level, voxel, unit, frames)
    sides = source or (None, None)
    refuse_inputs([out, picture], [target, sides[0]], labels=[*labels_of(sides[1])])
    with locked(out):
        refuse_written(out, picture, overwrite)
    look_for = one_of(polarity, POLARITIES, "--polarity")
    borrowed = known(method, borrowed=source is not None)
    with Progress("measuring", 1, quiet=quiet) as progress:
        told = lambda done, total: progress.update(done / total)
        if channels is not None:
            from .new_classes import by_class, drawing_classes, teaching

            numbers = by_class(method, target, channels)
            said = {"axes": source_axes, "channel": source_channel, "voxel": source_voxel, "unit": source_unit,
                    "frames": source_frames}  # fmt: skip
            if borrowed and source is not None:
                write_as = one_of(represent or "bcd", BORROWED, "--represent")
                text, drawn, sentence = teaching(
                    method, target, numbers, source, said, preset, write_as, source_mask_above
                )  # fmt: skip
            else:
                draw_as = one_of(represent or "semantic", REPRESENTATIONS, "--represent")
                text, drawn, sentence = drawing_classes(method, target, numbers, cells, look_for, preset, draw_as, told)
        elif borrowed and source is not None:
            stated = (source_voxel, source_unit, source_frames)
            flat = source_axes and "".join(axis for axis in source_axes if axis in "tzyx")  # labels have no channels
            pair = (
                declared(source[0], source_axes, source_channel, 0, *stated),
                declared(source[1], flat, None, 0, *stated),
            )
            write_as = one_of(represent or "bcd", BORROWED, "--represent")
            stock = lent(*pair, source_mask_above)
            text, drawn, sentence = borrowing(method, target, stock, look_for, preset, write_as, alike, told)
        else:
            if cells is not None:
                raise UserError(
                    "--cells draws several classes, and --channels names none; pass --channels golgi=0,nuclei=1"
                )
            text, drawn, sentence = drawing(method, target, look_for, preset, represent, told)
    with locked(out):
        refuse_written(out, picture, overwrite)
        write(out, picture, text, drawn)
    words = f"{sentence}\nsettings in {out}, a picture to check them by in {picture}; next: cytoshift train {out}"
    conclude(as_json, words, verb="new", method=method, settings=out, picture=picture, measured=sentence)


def labels_of(words: str | None) -> list[str]:
    """Paths of labels, one or one for each class: golgi=PATH,nuclei=PATH."""
    from .new_classes import named

    if words is None:
        return []
    return list(named(words).values()) or [words]


def refuse_written(out: Path, picture: Path, overwrite: bool) -> None:
    """Of a command that was killed between the two, the picture alone is there."""
    from ..core.marks import refuse_strangers
    from .import_config import refuse_settings

    refuse_settings(out, overwrite)
    refuse_strangers([picture], overwrite)


def write(out: Path, picture: Path, text: str, drawn: "NDArray[np.uint8]") -> None:
    """The picture first: where the settings are, both are."""
    from ..core.atomic import replacing
    from ..draw import save_png

    save_png(picture, drawn)
    with replacing(out) as beside:
        beside.write_text(text)


Written = tuple[str, "NDArray[np.uint8]", str]  # run.yaml, its picture, what was seen


def drawing(
    method: str, target: "ImageSource", polarity: Any, preset: str, represent: str | None, told: "Told | None" = None
) -> Written:
    """A method that learns from masks, or images, drawn like the objects seen."""
    from ..train import randomise
    from ..train.recipe import commented, look, settings

    if randomise.synthesises(method):
        write_as = one_of(represent or "bcd", BORROWED, "--represent")
        survey = look(target, polarity, told)
        run = randomise.settings(survey, preset, represent=write_as)
        return randomise.commented(run, survey), beside_images(run), survey.sentence()
    represent = one_of(represent or "semantic", REPRESENTATIONS, "--represent")
    survey = look(target, polarity, told)
    run = settings(survey, preset, method=method, represent=represent)  # type: ignore[arg-type]
    return commented(run, survey), preview(run, survey), survey.sentence()


def borrowing(
    method: str, target: "ImageSource", stock: "Lent", polarity: Any, preset: str, represent: str, same: bool,
    told: "Told | None" = None,
) -> Written:  # fmt: skip
    """A method that learns from labels of other images; same: the target's objects are taken to be like theirs."""
    from ..train.borrow import agreed, alike, borrow, cautioned, commented
    from ..train.recipe import look

    survey = alike(target, stock) if same else cautioned(agreed(look(target, polarity, told), stock), stock, method)
    run = borrow(survey, stock, preset, method=method, represent=represent)
    notes = [*survey.measured.notes, *stock.doubts]
    words = [f"{survey.sentence()}; {stock.sentence()}", *(f"note: {note}" for note in notes)]
    return commented(run, survey, stock), side_by_side(run), "\n".join(words)


def known(method: str, borrowed: bool) -> bool:
    """Whether the method borrows labels. Raises UserError where it does not exist or the labels do not fit it."""
    from ..methods import KNOWN, CySGAN
    from ..train.borrow import borrows

    if method not in KNOWN or not KNOWN[method].segments:
        there = ", ".join(name for name, kind in KNOWN.items() if kind.segments)
        raise UserError(f"method '{method}' asked for, there are {there}; pass one of them")
    if borrows(method) and not borrowed:
        raise UserError(f"method '{method}' borrows labels, and none are given; pass --source IMAGES LABELS")
    if borrowed and not borrows(method):
        raise UserError(f"method '{method}' learns without labels; leave out --source, or take {CySGAN.name}")
    return borrows(method)


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
    from ..train.loop import working_voxel

    assert run.prior is not None, "a method that draws masks has a prior"
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


def beside_images(run: "Run") -> "NDArray[np.uint8]":
    """Images as the network will see them beside synthetic ones and their labels. Volumes show their middle plane."""
    from ..core.voxel import Voxel
    from ..data.volumes import open_volumes
    from ..draw import colour_labels, sheet, thumbnail
    from ..train.domains import drawn, images
    from ..train.loop import working_voxel

    volumes = open_volumes(run.data.images)
    working = working_voxel(run, volumes)
    made, target, square = drawn(run, working), images(run, volumes, working), Voxel(working.size, working.unit)
    rows = []
    for i in range(SHOWN):
        image, labels = made.pair(i)
        rows.append([
            thumbnail(target.sample(i)[0][0], square, size=SIZE, limits=(-1.0, 1.0)),
            thumbnail(image[made.inside], square, size=SIZE, limits=(-1.0, 1.0)),
            colour_labels(labels[made.inside], square, size=SIZE),
        ])  # fmt: skip
    heading = (
        "Are synthetic objects as large as those of the images, and bright on both sides? If not, change randomised."
    )
    return sheet(rows, titles=["image", "synthetic image", "its labels"], heading=heading)


def side_by_side(run: "Run") -> "NDArray[np.uint8]":
    """Source images, their labels and target images as the networks see them: objects should be of one size and all
    bright. Volumes show their middle plane."""
    import numpy as np

    from ..core.voxel import Voxel
    from ..data.volumes import open_volumes
    from ..draw import colour_labels, sheet, thumbnail
    from ..methods.supervised import Supervised
    from ..train.domains import domains, images
    from ..train.loop import working_voxel

    volumes = open_volumes(run.data.images)
    working = working_voxel(run, volumes)
    lender = domains(run, Supervised.batch, volumes, working)["source"]
    target = images(run, volumes, working)
    square = Voxel(working.size, working.unit)
    rows = []
    for i in range(SHOWN):
        image, channels = lender.sample(i)
        labels = run.represent.decode(np.asarray(channels), working)
        rows.append([
            thumbnail(image[0], square, size=SIZE, limits=(-1.0, 1.0)),
            colour_labels(labels, square, size=SIZE),
            thumbnail(target.sample(i)[0][0], square, size=SIZE, limits=(-1.0, 1.0)),
        ])  # fmt: skip
    heading = "Are objects of both sides equally large, and brighter than what is around them? If not, change source."
    return sheet(rows, titles=["source", "its labels", "target"], heading=heading)
