"""The picture beside a run.yaml: images next to the objects that the networks will learn from."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..core.blocks import middle_box
from ..core.evenly import middles_of_parts
from ..core.rng import stream
from ..core.voxel import Voxel
from ..data.volumes import Volume, open_volumes
from ..draw import colour_labels, composite, image_grid, thumbnail
from ..labels.ids import sizes
from ..methods.supervised import Supervised
from ..synth import draw_labels
from ..train.domain_streams import domain_streams, image_stream, mask_drawer, synthetic_stream
from ..train.run_settings import Run
from ..train.start import working_voxel

SHOWN = 4  # rows
SHOWN_PATCHES = 2.0  # extent of what is shown, in patches
SIZE = 320  # pixels of a picture's longer side
SYMMETRIC, SHARES = (-1.0, 1.0), (0.0, 1.0)  # ranges of normalised images and of channels

Picture = NDArray[np.uint8]


def preview(run: Run) -> Picture:
    """Images beside the objects that a run learns from, volumes by their middle plane.

    Parameters
    ----------
    run
        Settings that `configure` has made.

    Returns
    -------
    (H, W, 3)
        A row for an image or a patch, with titles and a question that one glance answers.
    """
    volumes = open_volumes(run.data.images)
    working = working_voxel(run, volumes)
    if run.source is not None:
        return preview_source(run, volumes, working)
    if run.randomised is not None:
        return of_images(run, volumes, working)
    return preview_classes(run, volumes, working) if run.represent.names else preview_masks(run, volumes, working)


def preview_masks(run: Run, volumes: Sequence[Volume], working: Voxel) -> Picture:
    """Left to right: raw image, objects drawn in the same extent, mask as the network will see it."""
    assert run.prior is not None, "a method that draws masks has a prior"
    square, rows, captions = Voxel(working.size, working.unit), [], []
    for i, which in enumerate(middles_of_parts(len(volumes), min(SHOWN, len(volumes)))):
        volume = volumes[which]
        wanted = [SHOWN_PATCHES * n * s for n, s in zip(run.patch, working.size)]
        seen = [max(min(round(w / s), n), 1) for w, s, n in zip(wanted, volume.voxel.size, volume.shape)]
        cut = volume.array[middle_box(volume.shape, seen)]
        shape = tuple(max(round(m * s / w), 1) for m, s, w in zip(seen, volume.voxel.size, working.size))
        labels = draw_labels(run.prior, shape, working, stream(run.seed, "preview", i))
        rows.append([
            thumbnail(cut, volume.voxel, size=SIZE),
            colour_labels(labels, square, size=SIZE),
            thumbnail(run.represent.encode(labels, working)[0], square, size=SIZE, limits=SHARES),
        ])  # fmt: skip
        captions.append([f"{volume.name}, {' x '.join(map(str, seen))} voxels", f"{labels.max()} objects", ""])
    titles = ["image", "synthetic objects", f"as {run.represent.kind} mask"]
    heading = "Do size, number and shape of the synthetic objects look like those of the images? If not, change prior."
    return image_grid(rows, titles=titles, captions=captions, heading=heading)


def of_images(run: Run, volumes: list[Volume], working: Voxel) -> Picture:
    """Patches as the network will see them beside synthetic images and their labels."""
    made, target, square = (
        synthetic_stream(run, working),
        image_stream(run, volumes, working),
        Voxel(working.size, working.unit),
    )
    rows = []
    for i in range(SHOWN):
        image, labels = made.pair(i)
        rows.append([
            thumbnail(target.sample(i)[0][0], square, size=SIZE, limits=SYMMETRIC),
            thumbnail(image[made.inside], square, size=SIZE, limits=SYMMETRIC),
            colour_labels(labels[made.inside], square, size=SIZE),
        ])  # fmt: skip
    heading = (
        "Are synthetic objects as large as those of the images, and bright on both sides? If not, change randomised."
    )
    return image_grid(rows, titles=["image", "synthetic image", "its labels"], heading=heading)


def preview_classes(run: Run, volumes: list[Volume], working: Voxel) -> Picture:
    """Patches of several channels beside synthetic objects of several classes, in the same colours."""
    draw = mask_drawer(run)
    assert draw is not None and run.represent.names
    patches, square, rows, captions = image_stream(run, volumes, working), Voxel(working.size, working.unit), [], []
    for i in range(SHOWN):
        labels = draw(run.patch, working, stream(run.seed, "preview", i))
        seen = patches.channels(patches.window(stream(run.seed, "preview", i, "image")))
        mask = run.represent.foreground(run.represent.encode(labels, working))
        rows.append([
            composite(seen, square, size=SIZE, limits=SYMMETRIC), composite(mask, square, size=SIZE, limits=SHARES),
        ])  # fmt: skip
        counts = (f"{len(sizes(one)[0])} {name}" for one, name in zip(labels, run.represent.names))
        captions.append([f"{' x '.join(map(str, run.patch))} voxels", ", ".join(counts)])
    heading = "Do size, number and shape of the synthetic objects look like those of the images? If not, change them."
    return image_grid(rows, titles=["image", "synthetic objects"], captions=captions, heading=heading)


def preview_source(run: Run, volumes: list[Volume], working: Voxel) -> Picture:
    """Source patches, their labels and target patches as the networks see them."""
    lender, target = (
        domain_streams(run, Supervised.batch, volumes, working)["source"],
        image_stream(run, volumes, working),
    )
    square, several = Voxel(working.size, working.unit), bool(run.represent.names)
    rows = []
    for i in range(SHOWN):
        image, encoded = lender.sample(i)
        channels, other = np.nan_to_num(encoded, nan=0.0), target.sample(i)[0]
        if several:
            mask = run.represent.foreground(channels)
            seen, found, there = (
                composite(picture, square, size=SIZE, limits=limits)
                for picture, limits in ((image, SYMMETRIC), (mask, SHARES), (other, SYMMETRIC))
            )
        else:
            seen, there = (thumbnail(one[0], square, size=SIZE, limits=SYMMETRIC) for one in (image, other))
            found = colour_labels(run.represent.decode(channels, working), square, size=SIZE)
        rows.append([seen, found, there])
    alike = "and each class in the same colour" if several else "and brighter than what is around them"
    heading = f"Are objects of both sides equally large, {alike}? If not, change source."
    return image_grid(rows, titles=["source", "its labels", "target"], heading=heading)
