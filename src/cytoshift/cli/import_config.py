"""cytoshift import-config: settings of CySGAN in PyTorch Connectomics, as run.yaml."""

from pathlib import Path
from typing import Annotated

import typer

from ..core.errors import UserError
from . import inputs
from .console import say


def import_config(
    files: Annotated[list[Path], typer.Argument(help="Base.yaml and the files that override it, in this order.")],
    voxel: inputs.VoxelSize,
    unit: inputs.Unit = "um",
    out: Annotated[Path, typer.Option("-o", "--out", help="File of the settings.")] = Path("run.yaml"),
    overwrite: inputs.Overwrite = False,
) -> None:
    """Convert settings of PyTorch Connectomics, and list those without a counterpart."""
    import yaml

    from ..configure.pytc import import_settings
    from ..core.atomic import atomic_path
    from ..core.collisions import refuse_overlap
    from ..core.lock import lock_outputs
    from ..core.voxel import Voxel
    from ..data.volumes import image_source

    refuse_overlap([out], files)
    with lock_outputs(out):
        refuse_settings(out, overwrite)
    size = image_source("", "zyx", None, 0, voxel, unit, None).voxel
    if size is None or len(size) != 3:
        raise UserError(
            f"voxel size {voxel} does not have three numbers, but volumes have three axes; pass it as z,y,x"
        )
    run, left = import_settings(files, Voxel(size, unit or "um"))
    text = yaml.safe_dump(run.model_dump(mode="json", exclude_unset=True), sort_keys=False, width=110)
    with lock_outputs(out), atomic_path(out) as beside:
        refuse_settings(out, overwrite)
        beside.write_text("".join(f"# not taken over: {line}\n" for line in left) + text)
    for line in left:
        say(f"not taken over: {line}")
    say(f"settings in {out}; next: cytoshift train {out}")


def refuse_settings(out: Path, overwrite: bool) -> None:
    """People change settings by hand, so a file is replaced only with --overwrite."""
    if out.exists() and not overwrite:
        raise UserError(f"{out} already exists; pass --overwrite to replace it or another -o")
