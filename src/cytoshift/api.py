"""The Python API on arrays and on files: train and segment. `cytoshift/__init__.py` offers its names.

Options have the names that they have on the command line. An array is read like a file that says nothing about itself:
two axes are y and x, and more of them, as well as the size of a voxel of a stack, have to be declared.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, Unpack, cast

import numpy as np
import torch
from numpy.typing import NDArray

from .api_images import (
    Image,
    ImageOptions,
    RecipeOptions,
    SegmentOptions,
    files,
    open_single,
    source_labels,
)
from .configure import Requests, configure
from .configure.recipe import overlay_settings
from .core.errors import UserError
from .core.progress import follow_progress
from .core.settings import parse, read_yaml
from .methods import ADGAN
from .model.segmenter import Segmenter as Stored
from .predict.pipeline import segment as segment_volume
from .report import write_report
from .train.fit import fit as fit_settings
from .train.run_settings import Run
from .trust.size_fit import fit as to_images

Progress = Callable[[str, float, float], None]  # what is being done, how much of it is done, how much there is

__all__ = ["Segmenter", "fit", "recipe", "segment", "train"]


class Segmenter(Stored):
    """A trained model. It turns raw images into instances. See `load` and `train`.

    Attributes
    ----------
    axes
        "yx" or "zyx".
    voxel
        Voxel size at which the network works.
    representation
        How instances are written as channels, with the thresholds of the decoder.
    card
        Where the model comes from: method, papers, training, settings.

    Examples
    --------
    >>> import cytoshift
    >>> image, truth, voxel = cytoshift.phantom("sparse-2d", seed=0)
    >>> model = cytoshift.load("nuclei-2d")
    >>> model.axes, model.segment(image, voxel=voxel).shape == image.shape
    ('yx', True)
    """

    @classmethod
    def load(cls, folder: Path | str, device: str | torch.device = "cpu") -> Self:
        """Read a trained model.

        Parameters
        ----------
        folder
            As `cytoshift train` and `train` write it, or the name of a model of the package: "nuclei-2d".
        device
            "cpu", "cuda" or "cuda:1". Default: "cpu".

        Returns
        -------
        Segmenter
            Ready to segment.

        Raises
        ------
        UserError
            Where a file is missing, damaged or of a newer version.

        Examples
        --------
        >>> Segmenter.load("nuclei-2d").axes
        'yx'
        """
        return super().load(folder, device)

    def segment(
        self, image: Image, *, progress: Progress | None = None, **options: Unpack[SegmentOptions]
    ) -> NDArray[np.int32]:
        """Segment one image.

        Parameters
        ----------
        image
            An array with the model's axes, unless `axes` says others; a volume; or the path of one image.
        progress
            Function of (what is done, how much of it is done, how much there is). Default: none.
        **options
            What the image does not say about itself, as `voxel=(0.5, 0.5), unit="um"`, and options of the segmentation,
            as `min_size=20.0` (see `SegmentOptions`). Lengths are in the unit of the voxel size. Default: those of the
            model.

        Returns
        -------
        array
            (*S) int32 on the grid of the image: object ids from 1 on, 0 is background. (K, *S) from a model of several
            classes.

        Raises
        ------
        UserError
            Where image and model do not fit, or where an option does not exist or is out of range.

        Examples
        --------
        >>> import cytoshift
        >>> image, truth, voxel = cytoshift.phantom("sparse-2d", seed=0)
        >>> model = cytoshift.load("nuclei-2d")
        >>> labels = model.segment(image, voxel=voxel, min_size=20.0)
        >>> labels.dtype
        dtype('int32')
        """
        said, asked = split_options(options)
        volume = open_single(image, said, self.axes)
        model = to_images(self, [volume], asked.pop("diameter", None), asked.pop("polarity", "auto")).segmenter
        with follow_progress(progress) as told:
            step = None if told is None else lambda done, total: told(f"segment {volume.name}", done, total)
            return segment_volume(model, volume, step, **asked)


def split_options(options: SegmentOptions) -> tuple[ImageOptions, dict[str, Any]]:
    """What is said of an image, and what is asked of its segmentation."""
    names = ImageOptions.__annotations__
    said = {name: value for name, value in options.items() if name in names}
    return cast(ImageOptions, said), {name: value for name, value in options.items() if name not in names}


def load(folder: str | Path, device: str = "cpu") -> Segmenter:
    """Read a trained model.

    Parameters
    ----------
    folder
        As `cytoshift train` and `train` write it, or the name of a model of the package: "nuclei-2d".
    device
        "cpu", "cuda" or "cuda:1". Default: "cpu".

    Returns
    -------
    Segmenter
        Ready to segment.

    Raises
    ------
    UserError
        Where a file is missing, damaged or of a newer version.

    Examples
    --------
    >>> load("nuclei-2d").axes
    'yx'
    """
    return Segmenter.load(folder, device)


def segment(
    model: Stored | str | Path, image: Image, *, progress: Progress | None = None, **options: Unpack[SegmentOptions]
) -> NDArray[np.int32]:
    """Segment one image with a model.

    Parameters
    ----------
    model
        A `Segmenter`, or the folder of one.
    image
        An array with the model's axes, unless `axes` says others; a volume; or the path of one image.
    progress
        Function of (what is done, how much of it is done, how much there is). Default: none.
    **options
        What the image does not say about itself, as `voxel=(0.5, 0.5), unit="um"`, and options of the segmentation, as
        `min_size=20.0` (see `SegmentOptions`). Lengths are in the unit of the voxel size. Default: those of the model.

    Returns
    -------
    array
        (*S) int32 on the grid of the image: object ids from 1 on, 0 is background. (K, *S) from a model of several
        classes.

    Raises
    ------
    UserError
        Where image and model do not fit, or where an option does not exist or is out of range.

    Examples
    --------
    >>> import cytoshift
    >>> image, truth, voxel = cytoshift.phantom("sparse-2d", seed=0)
    >>> model = cytoshift.load("nuclei-2d")
    >>> segment(model, image, voxel=voxel).shape == image.shape
    True
    """
    found = Segmenter.load(model) if isinstance(model, str | Path) else model
    ours = found if isinstance(found, Segmenter) else Segmenter(**vars(found))
    return ours.segment(image, progress=progress, **options)


def recipe(
    images: Image | Sequence[Image], method: str = ADGAN.name, *, out: str | Path = "runs/run",
    progress: Progress | None = None, **options: Unpack[RecipeOptions],
) -> Run:  # fmt: skip
    """Settings of a run for some images, measured in them. The same as `cytoshift new`.

    Parameters
    ----------
    images
        Raw images: paths (files, folders, globs), arrays or volumes, all of one kind.
    method
        Its name, or that of a recipe of two stages. Default: "adgan".
    out
        Folder of the run. Arrays are written beside it, to OUT-images, as a training reads files. Default: "runs/run".
    progress
        Function of (what is done, how much of it is done, how much there is). Default: none.
    **options
        What the images do not say about themselves (`voxel`, `unit`, ...), and requests (see `RecipeOptions`).
        `source=(images, labels)` adds a labelled source data set; `settings={"train.lr": 1e-4}` overrides what comes
        out.

    Returns
    -------
    Run
        Settings for `fit`. `model_copy` makes a changed copy.

    Raises
    ------
    UserError
        Where images, method and requests do not fit each other.

    Examples
    --------
    >>> import cytoshift, tempfile
    >>> image, truth, voxel = cytoshift.phantom("sparse-2d", seed=0)
    >>> run = recipe([image], voxel=voxel, steps=500, out=Path(tempfile.mkdtemp()) / "run")
    >>> run.method, run.train.steps
    ('adgan', 500)
    """
    out = Path(out)
    if strangers := [name for name in options if name not in RecipeOptions.__annotations__]:
        known = ", ".join(sorted(RecipeOptions.__annotations__))
        raise UserError(f"'{strangers[0]}' is not an option of a run; the options are {known}")
    said = {name: value for name, value in options.items() if name in ImageOptions.__annotations__}
    target = files(images, cast(ImageOptions, said), out, "images")
    asked = {name: options[name] for name in (*Requests.model_fields, *Requests.renamed) if name in options}  # type: ignore[literal-required]
    lender = source_labels(options, out) if "source" in options else None
    with follow_progress(progress) as told:
        step = None if told is None else lambda done, total: told("measuring", done, total)
        made = configure(method, target, lender, parse(Requests, asked, "recipe"), step)
    over: dict[str, Any] = {f"train.{name}": options[name] for name in ("steps", "max_minutes") if name in options}
    over |= {"seed": options["seed"]} if "seed" in options else {}
    return parse(Run, overlay_settings(made.run.model_dump(), over | dict(options.get("settings", {}))), "settings")


def train(
    images: Image | Sequence[Image], method: str = ADGAN.name, *, out: str | Path = "runs/run",
    progress: Progress | None = None, **options: Unpack[RecipeOptions],
) -> Segmenter:  # fmt: skip
    """Train a model for some images, or continue a training that was stopped. It is `recipe`, then `fit`.

    Parameters
    ----------
    images
        Raw images: paths (files, folders, globs), arrays or volumes, all of one kind. No label of them is read.
    method
        Its name, or that of a recipe of two stages. Default: "adgan".
    out
        Folder of the run: model, log, samples, checkpoints, report. The same call continues there. Default: "runs/run".
    progress
        Function of (what is done, how much of it is done, how much there is). Default: none.
    **options
        As of `recipe`: `voxel`, `unit`, `source`, `steps`, `settings` and more.

    Returns
    -------
    Segmenter
        The trained model. It is also in OUT/model.

    Raises
    ------
    UserError
        Where images, method and requests do not fit each other, where `out` holds another run, and where the training
        fails.

    Examples
    --------
    >>> segmenter = train("images/", "adgan", out="runs/nuclei")  # doctest: +SKIP
    >>> labels = segmenter.segment("images/cells.tif")  # doctest: +SKIP
    """
    run = recipe(images, method, out=out, progress=progress, **options)
    model = fit(run, out, progress=progress)
    write_report(Path(out))
    return Segmenter.load(model)


def fit(
    run: Run | str | Path | Mapping[str, Any], out: str | Path | None = None, *, progress: Progress | None = None
) -> Path:
    """Train with settings, or continue a training that was stopped.

    Parameters
    ----------
    run
        Settings: of `recipe`, a mapping, or the path of a run.yaml.
    out
        Folder of the run. Default: runs/NAME for NAME.yaml.
    progress
        Function of (what is done, how much of it is done, how much there is). Default: none.

    Returns
    -------
    Path
        OUT/model, the folder of the trained model.

    Raises
    ------
    UserError
        Where settings do not exist or do not fit, where `out` holds another run, and where the training fails.

    Examples
    --------
    >>> folder = fit("run.yaml", out="runs/nuclei")  # doctest: +SKIP
    """
    if isinstance(run, str | Path):
        file, settings = Path(run), parse(Run, read_yaml(Path(run)), str(run))
        place = Path(out) if out is not None else Path("runs") / file.stem
    else:
        file, settings = None, run if isinstance(run, Run) else parse(Run, dict(run), "settings")
        if out is None:
            raise UserError("no folder for the run was given; pass `out`")
        place = Path(out)
    with follow_progress(progress):
        return fit_settings(settings, place, progress is None, file)
