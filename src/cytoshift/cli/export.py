"""`cytoshift export`: a trained model for other programs."""

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ..core.errors import UserError
from . import inputs
from .console import say


class Target(StrEnum):
    onnx = "onnx"
    bioimageio = "bioimageio"


def export(
    model: inputs.ModelFolder,
    to: Annotated[Target, typer.Option("--to", help="onnx: the network alone; bioimageio: a package for the zoo.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="A .onnx file; of bioimageio a .zip or a new folder.")],
    name: Annotated[str | None, typer.Option(help="Name of the package; default: Cytoshift and the method.")] = None,
    author: Annotated[list[str] | None, typer.Option(help="Author of the model; repeatable.")] = None,
    licence: Annotated[str, typer.Option(help="Licence of the weights, an SPDX identifier.")] = "CC-BY-4.0",
    overwrite: inputs.Overwrite = False,
) -> None:
    """Write a model as ONNX, or as a package for the bioimage.io model zoo, with all that a program has to know."""
    from ..core.atomic import refuse_other_kind
    from ..core.collisions import refuse_overlap
    from ..core.lock import lock_outputs
    from ..model.shipped import model_folder

    refuse_overlap([out], [model_folder(model)])
    if to == Target.onnx and out.suffix != ".onnx":
        raise UserError(f"the name of an ONNX file ends in .onnx, but {out} does not; choose another -o")
    if to == Target.bioimageio and out.suffix not in ("", ".zip"):
        raise UserError(
            f"the name of a package ends in .zip, or has no ending for a folder, but this is {out}; choose another -o"
        )
    from ..model import Segmenter
    from ..model.export import describe_model, save_onnx
    from ..model.zoo import save_zoo
    from ..report.citations import complete_card

    with lock_outputs(out):
        if out.exists() and not overwrite:
            raise UserError(f"{out} exists; choose another -o or pass --overwrite")
        refuse_other_kind(out, folder=out.suffix == "")
        segmenter = Segmenter.load(model)
        segmenter = replace(segmenter, card=dict(complete_card(segmenter.card)))
        if to == Target.onnx:
            save_onnx(segmenter, out)
        else:
            title = name or f"Cytoshift {segmenter.card.get('method', 'segmenter')}"
            save_zoo(segmenter, out, title, author or [], licence)
    about = describe_model(segmenter)
    sizes = " x ".join(map(str, about["least"]))
    say(
        f"{out}: images '{segmenter.axes}' of {segmenter.voxel} per voxel, from {sizes} voxels on in steps of "
        f"{', '.join(map(str, about['multiple']))}, to {', '.join(about['channels'])}"
    )
