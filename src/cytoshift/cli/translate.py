"""cytoshift translate: a trained AD-GAN run backwards, and on the way between its two domains."""

from pathlib import Path
from typing import Annotated

import typer

from . import inputs
from .console import conclude


def translate(
    model: inputs.ModelFolder,
    labels: Annotated[str, typer.Argument(help="Label image(s): a file, a folder or a glob.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the pictures and images.")],
    steps: Annotated[int, typer.Option(help="Styles between mask (0) and image (1), both included.")] = 2,
    axes: inputs.Axes = None,
    voxel: inputs.VoxelSize = None,
    unit: inputs.Unit = None,
    overwrite: inputs.Overwrite = False,
    quiet: inputs.Quiet = False,
    as_json: inputs.Json = False,
) -> None:
    """Translate label images into microscope images (AD-GAN 4.6), or show the styles between the two (5.5)."""
    from ..core.errors import UserError
    from ..core.lock import lock_outputs
    from ..core.progress import Progress
    from ..data.generated_folder import claim_folder
    from ..data.input_files import refuse_inputs
    from ..data.volumes import image_source, open_labels
    from ..data.write import write_image
    from ..draw import image_grid, save_png, thumbnail
    from ..model import Segmenter, fingerprint
    from ..predict.translate import draw_styles, reversible_network

    if steps < 2:
        raise UserError(f"--steps {steps} is not enough, a series has at least a beginning and an end; pass 2 or more")
    source = image_source(labels, axes=axes, voxel=voxel, unit=unit)
    refuse_inputs([out / "styles.png"], files=[model], labels=[source], filled=[out])
    segmenter = Segmenter.load(model)
    reversible_network(segmenter)
    rows, names = [], []
    volumes = open_labels(source)
    images = {volume.name: out / f"{volume.name}.tif" for volume in volumes}
    refuse_inputs(images.values(), files=[model], labels=[source])
    request = {"verb": "translate", "model": fingerprint(model), "steps": steps,
               "labels": {volume.name: volume.origin for volume in volumes}}  # fmt: skip
    with lock_outputs(out), Progress("translate", len(volumes), "image", quiet) as progress:
        claim_folder(out, request, [*images.values(), out / "styles.png"], overwrite)
        for volume in volumes:
            progress.advance(0, f"translate {volume.name}")
            series = draw_styles(segmenter, volume, steps)
            write_image(images[volume.name], series[-1], volume.voxel, volume.axes)
            rows.append([thumbnail(image, volume.voxel, limits=(-1.0, 1.0)) for image in series])
            names.append(volume.name)
            progress.advance()
        titles = [f"style {i / (steps - 1):.2f}" for i in range(steps)]
        save_png(out / "styles.png", image_grid(rows[:8], titles=titles, captions=names[:8]))
    picture = out / "styles.png"
    conclude(
        as_json, f"{len(rows)} translated, {picture}", verb="translate", images=len(rows), out=out, picture=picture
    )
