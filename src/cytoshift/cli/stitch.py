"""`cytoshift stitch`: labels of a stack's sections, of any program, to objects of the stack."""

from pathlib import Path
from typing import Annotated

import typer

from ..core.errors import UserError
from ..core.text import count_of
from . import inputs
from .console import conclude

Labels = Annotated[
    list[str],
    typer.Argument(help="Labels of sections: stacks; or with --axes zyx a folder or glob of the 2D files of one."),
]
Out = Annotated[Path, typer.Option("-o", "--out", help="A .tif for one stack, or a folder.")]
LeastIoU = Annotated[
    float,
    typer.Option("--least-iou", min=0, max=1, help="IoU from which on two outlines are one object; above 0."),
]


def stitch(
    labels: Labels,
    out: Out,
    least_iou: LeastIoU = 0.25,
    also: inputs.Also = None,
    axes: inputs.Axes = None,
    voxel: inputs.VoxelSize = None,
    unit: inputs.Unit = None,
    overwrite: inputs.Overwrite = False,
    quiet: inputs.Quiet = False,
    as_json: inputs.Json = False,
) -> None:
    """Join 2D labels of the sections of a stack into 3D objects, for labels of any program.

    Outlines in neighbouring sections are one object where their overlap (IoU) is large enough. Numbers of objects in
    the input have no meaning from section to section.
    """
    import numpy as np

    from ..core.progress import Progress
    from ..data.input_files import refuse_inputs
    from ..data.resumable_statistics import fingerprint
    from ..data.volumes import image_source, open_labels
    from ..ensemble.voters import write_instances
    from ..labels.stitching import stitch_sections
    from ..predict.also import write_also
    from .results import claim_outputs, describe_objects, open_outputs

    if least_iou == 0:
        raise UserError("--least-iou 0 given, which joins all that meets; pass a number above 0, such as 0.25")
    source = image_source(list(labels), axes, voxel=voxel, unit=unit)
    stacks = open_labels(source)
    for stack in stacks:
        if len(stack.axes) != 3:
            raise UserError(
                f"{stack.origin} is 2D, and objects are joined along z; pass a stack, or a folder of 2D files with "
                "--axes zyx"
            )
    content = {one.name: fingerprint(one.array) for one in stacks}
    outputs = open_outputs(out, stacks, {"stitch": content, "least_iou": least_iou}, also)
    refuse_inputs(outputs.written_paths(), [], labels=[source], filled=outputs.folders)
    with claim_outputs(overwrite, outputs):
        with Progress("stitch", len(stacks), "stack", quiet) as progress:
            for done, stack in enumerate(stacks):
                progress.update(done, f"stitch {stack.name}")
                if not outputs.is_finished(stack):
                    sections = (np.asarray(stack.array[z : z + 1])[0] for z in range(stack.shape[0]))
                    write_instances(outputs, stack, np.stack(list(stitch_sections(sections, least_iou))))
        outputs.join_frames()
        table = outputs.join()
        others = write_also(outputs)
        outputs.complete()
    words = (
        f"{count_of(len(stacks), 'stack')}, {describe_objects(table, stacks[0].voxel.unit)}; labels in {out}, objects "
        f"in {outputs.table}"
    )
    conclude(
        as_json, words, verb="stitch", stacks=len(stacks), objects=len(table.rows), labels=out, table=outputs.table,
        also=others,
    )  # fmt: skip
