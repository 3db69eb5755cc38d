"""The Python function of `cytoshift run`: labels from nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from .api_images import Image, files
from .core.errors import UserError
from .core.lock import lock_outputs
from .core.progress import follow_progress
from .core.voxel import Voxel
from .data.input_files import refuse_inputs
from .data.volumes import ImageSource, open_labels, open_volumes
from .ensemble import Wishes, open_ensemble
from .ensemble.by_section import SECTIONS, open_sections, write_account, write_stacks
from .ensemble.ensemble import FOLDERS, JSON
from .ensemble.large import is_large
from .model.shipped import nuclei_model
from .predict.blockwise.engine import engine
from .report import write_report

if TYPE_CHECKING:
    from .api import Progress


class RunOptions(TypedDict, total=False):
    """What images do not say about themselves, and what is known of their objects; see `cytoshift run --help`."""

    axes: str | None
    channel: int | str | Sequence[int | str] | None
    level: int
    voxel: Voxel | Sequence[float] | None
    unit: str | None
    frames: str | Sequence[int] | None
    diameter: float | None
    polarity: Literal["auto", "bright", "dark"]
    model: str
    seed: int


@dataclass(frozen=True)
class RunResult:
    """What `run` leaves.

    Attributes
    ----------
    paths
        Label image of each image, by name.
    table
        CSV file with a row for each object: size, place, confidence.
    expected_f1
        The F1@0.5 that is expected of each image, by name; in [0, 1].
    model
        Folder of the network that fits these images best.
    """

    paths: dict[str, Path]
    table: Path
    expected_f1: dict[str, float]
    model: Path

    def labels(self, name: str) -> NDArray[np.generic]:
        """The label image (*S) of one image."""
        found = open_labels(str(self.paths[name]))
        return next((one for one in found if one.name == name), found[0]).load()  # frames share a file


def run(
    images: Image | Sequence[Image], out: str | Path = "results", *, budget: float | None = None,
    voters: Sequence[str | Path] = (), sections: bool = False, overwrite: bool = False,
    progress: "Progress | None" = None, **options: Unpack[RunOptions],
) -> RunResult:  # fmt: skip
    """Label images of which nothing is known. The same as `cytoshift run`, for images that fit into memory.

    Several ways label the images at once: a network of the package that looks for objects of the measured size, of
    smaller and of larger ones, and two classical pipelines. A vote over them is the first result. Where they differ, a
    network learns from the vote on these images, and votes too.

    Parameters
    ----------
    images
        Raw images: paths (files, folders, globs), arrays or volumes, all of one kind. No label of them is read.
    out
        Folder of the results. The same call continues there. Arrays are written beside it, to OUT-images. Default:
        "results".
    budget
        Seconds for the training on these images; 0 gives the first result alone. Default: 600 steps where the ways to
        label differ (expected F1@0.5 below 0.85).
    voters
        Files or folders with labels of these images, of any program, that vote, too. Default: none.
    sections
        Label each section of a stack as an image in 2D, and join objects along z: for stacks that are no deeper than
        their objects. Default: False.
    overwrite
        Replace results of another call. Default: False.
    progress
        Function of (what is done, how much of it is done, how much there is). Default: none.
    **options
        What the images do not say about themselves (`voxel`, `unit`, ...), and what is known of their objects
        (`diameter`, `polarity`). See `RunOptions`.

    Returns
    -------
    RunResult
        Paths of labels, table and model; how good the labels are expected to be.

    Raises
    ------
    UserError
        Where nothing can be measured in the images, where `out` holds results of something else, and where an image is
        too large for memory.

    References
    ----------
    Jo et al., COIN, ICCV 2025, keep objects by the agreement of independent ways.

    Examples
    --------
    >>> import cytoshift, tempfile
    >>> image, truth, voxel = cytoshift.phantom("sparse-2d", 0, (96, 96))
    >>> found = run([image], Path(tempfile.mkdtemp()) / "results", budget=0, voxel=voxel)
    >>> found.labels("0000").shape == image.shape
    True
    """
    out, given = Path(out), dict(options)
    if strangers := [name for name in given if name not in RunOptions.__annotations__]:
        raise UserError(
            f"'{strangers[0]}' is no option of `run`; there are {', '.join(sorted(RunOptions.__annotations__))}"
        )
    wishes = {name: given.pop(name) for name in ("diameter", "polarity", "model", "seed") if name in given}
    source = files(images, given, out, "images")  # type: ignore[arg-type]
    volumes = open_volumes(source)
    if not sections and is_large(volumes):
        raise UserError(
            "an image is too large to be labelled in several ways in memory; use the command `cytoshift run`"
        )
    name = str(wishes.pop("model", nuclei_model(2 if sections else len(volumes[0].axes))))
    others = [ImageSource(paths=str(one)) for one in voters]
    asked = Wishes(budget=budget, given=others, **wishes)  # type: ignore[arg-type]
    refuse_inputs([out / folder for folder in (*FOLDERS, SECTIONS, JSON)], [source], labels=others, filled=[out])
    with lock_outputs(out), engine(None, 1) as each, follow_progress(progress) as told:
        step = (lambda *_: None) if told is None else lambda what, done: told(what, done, 1.0)
        if sections:
            ensemble = open_sections(out, volumes, name, asked, overwrite)
        else:
            ensemble = open_ensemble(out, volumes, source, name, asked)
        ensemble.claim(overwrite)
        found = ensemble.run(each, step)
        outputs, f1 = found.outputs, found.f1
        if sections:
            outputs, _, f1 = write_stacks(ensemble, found, volumes, out)
            write_account(ensemble, found, outputs)
        write_report(outputs.out / "report")
    paths = {volume.name: outputs.labels(volume) for volume in volumes}
    return RunResult(paths, outputs.table, f1, ensemble.out / "model")
