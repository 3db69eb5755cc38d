"""`cytoshift convert`: images of any size as OME-Zarr, and labels as other programs open them."""

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.errors import UserError
from . import inputs
from .console import conclude

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..data.volumes import ImageSource

NGFF = ("0.4", "0.5")


def convert(
    paths: Annotated[
        list[str],
        typer.Argument(
            help="Image or labels: file, folder or glob; file.h5::raw names a dataset. Without -o, OUT last."
        ),
    ],
    out: Annotated[
        str | None,
        typer.Option("-o", "--out", help="OUT.ome.zarr, rois.zip, OUT.geojson, OUT.json (COCO), OUT.tif, or a folder."),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option("--to", help="Format of labels: rois, geojson, coco, ctc, tif or ome-zarr; default: by the name."),
    ] = None,
    kind: Annotated[
        str,
        typer.Option("--class", help="Class of the objects, for GeoJSON and COCO; of a COCO input, the one to take."),
    ] = "",
    mask_above: Annotated[
        float | None, typer.Option(help="Labels are masks: connected parts above this value are objects.")
    ] = None,
    like: Annotated[
        str | None,
        typer.Option(
            "--like", help="Image that outlines (ROIs, GeoJSON, COCO) were drawn on: file or folder, paired by name."
        ),
    ] = None,
    axes: inputs.Axes = None,
    channel: inputs.Channel = None,
    voxel: inputs.VoxelSize = None,
    unit: inputs.Unit = None,
    frames: inputs.Frames = None,
    labels: Annotated[bool, typer.Option("--labels", help="Ids; coarser levels take the most frequent one.")] = False,
    memory: inputs.Memory = "4GB",
    workers: inputs.Workers = 1,
    ngff: inputs.Ngff = "0.5",
    overwrite: inputs.Overwrite = False,
    quiet: inputs.Quiet = False,
    as_json: inputs.Json = False,
) -> None:
    """Write labels for other programs, or an image of any size as OME-Zarr.

    Labels go to ImageJ ROIs (.zip), GeoJSON for QuPath (.geojson), COCO (.json), the format of the Cell Tracking
    Challenge (a folder, --to ctc), TIFF or OME-Zarr. Of several label images each gets a file named after it. The
    frames of one file stay together.

    Outlines drawn or corrected elsewhere (ROIs of Fiji, GeoJSON of QuPath, COCO) become labels again: rois.zip --like
    image.tif -o labels.tif, or annotations.json --like images/ -o labels/. So does a folder of the Cell Tracking
    Challenge: 01_RES -o film.tif.

    A table of objects goes to Parquet: OUT/report/objects.csv -o objects.parquet.

    Without --labels, OME-Zarr is of an image: with its axes, its calibration and a pyramid. Labels may go into an
    image, IMAGE.ome.zarr::labels/NAME. It is read and written block by block; the same command continues one that was
    stopped.
    """
    from ..data.volumes import image_source
    from .convert_labels import Request, convert_labels, convert_table

    if ngff not in NGFF:
        raise UserError(f"version {ngff} of OME-Zarr cannot be written, only {' and '.join(NGFF)}; choose one of these")
    if out is None and len(paths) < 2:
        raise UserError(f"no output is given for {paths[0]}; pass -o, such as -o out.ome.zarr or -o rois.zip")
    paths, out = (paths[:-1], paths[-1]) if out is None else (paths, out)
    if Path(out).suffix.lower() == ".parquet":
        convert_table(paths, out, overwrite, as_json)
        return
    source = image_source(paths, axes, channel, 0, voxel, unit, frames)
    if to is None and mask_above is None and like is None and ".zarr" in out.lower():
        copy_image(source, out, labels, memory, workers, ngff, overwrite, quiet, as_json)
    else:
        convert_labels(Request(paths, out, to, kind, mask_above, like), source, ngff, overwrite, quiet, as_json)


def copy_image(
    wish: "ImageSource", out: str, labels: bool, memory: str, workers: int, ngff: str, overwrite: bool, quiet: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """An image, or labels of one, as OME-Zarr block by block."""
    from ..core.lock import lock_outputs
    from ..core.progress import Progress
    from ..core.signals import explain_stop
    from ..data.copy import copy_array
    from ..data.gather import gather_image
    from ..data.input_files import refuse_inputs
    from ..data.multiscale import Ngff as Version
    from ..data.store import ImageStore, LabelStore, is_finished, resolve_target
    from ..data.volumes import open_volumes

    version: Version = "0.4" if ngff == "0.4" else "0.5"
    refuse_inputs([out], [None if labels else wish], labels=[wish if labels else None])
    kind = LabelStore if labels else ImageStore
    taken = UserError(f"{out} already exists; pass --overwrite to replace it, or choose another name")
    if Path(out).is_file() and not overwrite:
        raise taken
    place, image, _ = resolve_target(out, version, labels)
    with lock_outputs(out), explain_stop(lambda: "what has been copied is kept, the same command goes on"):
        if (is_finished(place) or place.exists()) and not overwrite:
            raise taken
        source = gather_image(wish, labels)
        if image is not None and (room := open_volumes(image)[0].shape) != source.array.shape[-len(room) :]:
            raise UserError(
                f"{source.origin} has the shape {source.array.shape}, {image} {room}; pass labels of this very image"
            )
        store = kind.create(
            out, source.array.shape, written_dtype(source.array.dtype, labels), source.voxel, source.axes, version
        )
        with Progress(f"convert {source.origin}", 1, quiet=quiet) as progress, process_map(workers) as run:
            told = lambda done, count: progress.update(done / count)
            before = copy_array(source.array, store, source.origin, inputs.memory_budget(memory), run, told)
            progress.update(1, "pyramid")
            path = store.finish(run, channels=source.channels)
    again = f", {before} boxes of it had been copied before" if before else ""
    shape = " x ".join(map(str, source.array.shape))
    words = f"{path}: {source.axes}, {shape} voxels of {source.voxel}, {store.dtype}, from {source.origin}{again}"
    conclude(
        as_json, words, verb="convert", out=path, axes=source.axes, shape=source.array.shape,
        voxel=source.voxel.size, unit=source.voxel.unit, dtype=str(store.dtype), before=before,
    )  # fmt: skip


def written_dtype(dtype: Any, labels: bool) -> Any:
    """Labels are unsigned; none of them is negative, which is checked when they are read."""
    import numpy as np

    return np.dtype(f"uint{8 * dtype.itemsize}") if labels and dtype.kind == "i" else dtype


@contextmanager
def process_map(count: int) -> "Iterator[Any]":
    """`map`, or the same in so many processes."""
    if count == 1:
        yield map
        return
    from ..core.processes import Workers, WorkersDied

    try:
        with Workers(count) as pool:
            yield pool.map
    except WorkersDied as error:
        raise UserError(
            "processes died repeatedly at the same box, probably because memory ran out; pass a smaller --memory or "
            "fewer --workers, the same command goes on where this one stopped"
        ) from error
