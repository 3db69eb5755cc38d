"""cytoshift segment: a trained model over raw images, to labels, a table and a picture."""

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.errors import UserError
from . import blockwise, inputs
from .console import conclude, report_on, say
from .results import claim_outputs, count_pairs, describe_others, factor_of, mismatches, open_outputs, picture, summary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..data.volumes import ImageSource, Volume
    from ..model import Segmenter
    from ..predict.blockwise.engine import Engine
    from ..predict.outputs import Outputs
    from ..predict.pipeline import Options

MISMATCH = 4  # exit code: the labels are there, but objects are of another size by far than those learnt from

Out = Annotated[Path, typer.Option("-o", "--out", help="A .tif or .ome.zarr for one image, or a folder.")]
Diameter = Annotated[
    float | None,
    typer.Option(help="Diameter of the objects in the voxel's unit, for models of the package; default: measured."),
]
Polarity = Annotated[str, typer.Option(help="Objects are bright, dark, or auto: measured; for models of the package.")]
Threshold = Annotated[float | None, typer.Option(help="Foreground threshold, 0 to 1; default: the model's.")]
MinSize = Annotated[
    float | None,
    typer.Option(help="Smallest area or volume in the voxel's unit; default: the model's; 0: all."),
]
MaxHole = Annotated[float | None, typer.Option(help="Largest hole that is filled; default: all are; 0: none.")]
Reach = Annotated[
    float | None, inputs.advanced(help="Largest distance of objects that belong together; default: the model's.")
]
Tile = Annotated[str | None, inputs.advanced(help="Largest tile in voxels, z,y,x or y,x; smaller takes less memory.")]
Overlap = Annotated[int | None, inputs.advanced(help="Overlap of neighbouring tiles, in voxels.")]
Batch = Annotated[int | None, inputs.advanced(help="Tiles that go through the network together.")]
Precision = Annotated[str | None, inputs.advanced(help="32, bf16 or auto: bf16 where the hardware has it.")]
Mirror = Annotated[
    bool, typer.Option("--mirror", help="Average over mirrored views: better outlines, 4 (2D) or 8 times the work.")
]
Adapt = Annotated[
    bool,
    inputs.advanced(
        "--adapt", help="Norms take their statistics from each image, in the place of those that the model holds."
    ),
]
AnyVoxelSize = Annotated[
    bool,
    inputs.advanced(
        "--any-voxel-size",
        help="Accept voxels and objects 20 times larger or smaller than those of the training.",
    ),
]
Raw = Annotated[
    Path | None,
    inputs.advanced(
        help="Also the channels that the network draws, as uint8 in HDF5 (dataset vol0, channels first): a .h5 for "
        "one image, or a folder. The first is the normalised image, where CySGAN's files have the translated one, "
        "which no model draws; labels are decoded from those behind it."
    ),
]
Memory = Annotated[
    str | None, inputs.large(help="Block by block, with so much memory per process: 4GB. For what does not fit.")
]
Block = Annotated[str | None, inputs.large(help="Block size in voxels, z,y,x or y,x; default: what fits into memory.")]
Halo = Annotated[
    str | None,
    inputs.large(help="Overlap of neighbouring blocks in voxels; default: the model's largest objects."),
]
Tissue = Annotated[
    bool,
    inputs.large(
        "--tissue", help="Find tissue on a coarse level first, and leave out the rest; block by block, for slides."
    ),
]
Scheduler = Annotated[
    str | None, inputs.large(help="Engine: serial, threads, the address of a dask scheduler, slurm or lsf.")
]
Only = Annotated[str | None, inputs.large(help="One pass of the blocks: predict, decode, link, merge or write.")]
Keep = Annotated[bool, inputs.large("--keep", help="Keep the intermediate files of the passes.")]


def segment(
    model: inputs.ModelFolder,
    images: inputs.Images,
    out: Out,
    also: inputs.Also = None,
    axes: inputs.Axes = None,
    channel: inputs.Channel = None,
    level: inputs.Level = 0,
    voxel: inputs.VoxelSize = None,
    unit: inputs.Unit = None,
    frames: inputs.Frames = None,
    skip_bad: inputs.SkipBad = False,
    diameter: Diameter = None,
    polarity: Polarity = "auto",
    threshold: Threshold = None,
    min_size: MinSize = None,
    max_hole: MaxHole = None,
    reach: Reach = None,
    tile: Tile = None,
    overlap: Overlap = None,
    batch: Batch = None,
    precision: Precision = None,
    mirror: Mirror = False,
    adapt: Adapt = False,
    device: inputs.Device = "auto",
    any_voxel_size: AnyVoxelSize = False,
    raw: Raw = None,
    memory: Memory = None,
    block: Block = None,
    halo: Halo = None,
    tissue: Tissue = False,
    workers: inputs.Workers = 1,
    scheduler: Scheduler = None,
    only: Only = None,
    keep: Keep = False,
    ngff: inputs.Ngff = "0.5",
    overwrite: inputs.Overwrite = False,
    quiet: inputs.Quiet = False,
    as_json: inputs.Json = False,
) -> None:
    """Segment raw images: instance labels, a table of objects, a picture and a report.

    A model of several classes writes labels for each class: OUT/CLASS/NAME.tif, or NAME.CLASS.tif for one file. Where
    objects of one class belong to those of another, it writes a table of the pairs.

    The same command continues one that was stopped, with the images or blocks that are missing.

    With --workers or --scheduler, processes share many images, or the blocks of one image that is written as OME-Zarr.
    Volumes that do not fit into memory go block by block, and so does any with --memory or --block. The passes are: (1)
    predict, (2) decode, (3) link, (4) merge, (5) write, (6) audit of the seams between blocks.

    Exit codes: 3 where the audit fails; 4 where objects are 20 times larger or smaller than those of the training. The
    labels are kept in both cases.
    """
    from ..core.settings import parse
    from ..data.volumes import image_source
    from ..predict.blockwise.engine import engine
    from ..predict.pipeline import Options

    wishes = {
        "threshold": threshold, "min_size": min_size, "max_hole": max_hole, "overlap": overlap,
        "tile": inputs.whole_numbers(tile, "--tile"), "batch": batch, "precision": precision,
        "mirror": mirror, "reach": reach, "any_voxel_size": any_voxel_size,
    }  # fmt: skip
    options = parse(Options, {key: value for key, value in wishes.items() if value is not None}, "segment")
    source = image_source(list(images), axes, channel, level, voxel, unit, frames, skip_bad)
    refuse_places(out, raw, source, model)
    segmenter = load_for(source, model, device)
    how = blockwise.Blockwise(block, halo, memory, workers, scheduler, only, keep, ngff, tissue)
    with engine(scheduler, workers, ahead=True) as each:
        segmenter, volumes, fit = open_fitted(segmenter, source, diameter, polarity, options, quiet)
        if adapt:
            segmenter, fit = adapt_model(segmenter, model, fit)
        large = blockwise.first_too_large(segmenter, volumes, workers) is not None
        blocks = large or how.is_requested(len(volumes), out)
        outputs = outputs_of(segmenter, model, volumes, options, out, raw, blocks, fit, also)
        words, result = write_results(
            segmenter, model, outputs, options, how, each, source, blocks, bool(fit), overwrite, quiet
        )
    conclude(as_json, "\n".join(words), verb="segment", **result)
    end(result, any_voxel_size)


def load_for(source: "ImageSource", model: Path, device: str) -> "Segmenter":
    """The model. Raises UserError where it sees several channels and none are named."""
    from ..model import Segmenter

    segmenter = Segmenter.load(model, inputs.choose_device(device))
    if source.channel is None and segmenter.spec.channels > 1:
        numbers = ",".join(map(str, range(segmenter.spec.channels)))
        raise UserError(
            f"{model} needs {segmenter.spec.channels} channels, but none are named; pass their numbers in the order "
            f"of the training, as --channel {numbers}"
        )
    return segmenter


def open_fitted(
    segmenter: "Segmenter", source: "ImageSource", diameter: float | None, polarity: str, options: "Options",
    quiet: bool,
) -> "tuple[Segmenter, list[Volume], dict[str, Any]]":  # fmt: skip
    """The images, the model made to fit them (see `fit_to_sizes`), and what decides about results of that.

    Raises UserError where they do not go together; says where voxels are of an odd size.
    """
    from ..data.volumes import open_volumes
    from ..predict.calibration import odd_voxels
    from ..predict.pipeline import refuse_mismatch

    volumes = open_volumes(source)
    segmenter, fit = fit_to_sizes(segmenter, volumes, diameter, polarity, quiet)
    for volume in volumes:
        refuse_mismatch(segmenter, volume, options)
    if odd := [sentence for volume in volumes if (sentence := odd_voxels(segmenter, volume))]:
        say(odd[0] + f" (and {len(odd) - 1} more like it)" * (len(odd) > 1), err=True)
    return segmenter, volumes, fit


def adapt_model(segmenter: "Segmenter", model: Path, fit: dict[str, Any]) -> "tuple[Segmenter, dict[str, Any]]":
    """The model with norms that are measured on the images, and what decides about results of that."""
    adapted = segmenter.adapt_norms()
    if adapted is segmenter:
        say(f"norms of {model} take their statistics from each image anyway; --adapt changes nothing", err=True)
        return segmenter, fit
    return adapted, fit | {"adapt": True}


def outputs_of(
    segmenter: "Segmenter", model: Path, volumes: "list[Volume]", options: "Options", out: Path, raw: Path | None,
    blocks: bool, fit: dict[str, Any], also: "Sequence[str] | None",
) -> "Outputs":  # fmt: skip
    """Where everything goes. Raises UserError where blocks cannot go there."""
    from ..model import fingerprint

    request = {"model": fingerprint(model), "options": options.model_dump(mode="json")} | fit
    names, pairs = segmenter.representation.names or ("",), bool(segmenter.representation.pairs)
    suffix = ".ome.zarr" if blocks else ".tif"
    outputs = open_outputs(out, volumes, request, also, raw=raw, classes=names, pairs=pairs, suffix=suffix)
    if blocks:
        blockwise.refuse_options(outputs)
    return outputs


def write_results(
    segmenter: "Segmenter", model: Path, outputs: "Outputs", options: "Options", how: blockwise.Blockwise,
    each: "Engine", source: "ImageSource", blocks: bool, fitted: bool, overwrite: bool, quiet: bool,
) -> tuple[list[str], dict[str, Any]]:  # fmt: skip
    """Segment what is missing, under a lock. Returns the last lines for a person, and the result as names and values.

    fitted: the model is kept with the report, where workers of other processes, and people, find it.
    """
    from ..data.input_files import refuse_inputs
    from ..model.shipped import model_folder
    from ..predict.account import account_folder

    refuse_inputs(outputs.written_paths(), [source], [model_folder(model)], filled=outputs.folders)
    with claim_outputs(overwrite, outputs):
        if fitted:
            model = segmenter.save(account_folder(outputs) / "model")
        if blocks:
            words, result = blockwise.run(segmenter, outputs, options, how, each, source, quiet)
        else:
            words, result = run(segmenter, model, outputs, options, how, each, source, quiet)
        if how.one_pass() in (None, "write"):
            outputs.complete()
    return words, {"model": model, **result}


def end(result: dict[str, Any], any_voxel_size: bool) -> None:
    """Exit codes of results that are there and may be wrong."""
    from ..predict.calibration import ABSURD

    if result.get("audit") == "failed":
        say("cytoshift: the seam audit has failed; labels are kept, pass a larger --halo", fg="red", err=True)
        raise typer.Exit(blockwise.FAILED)
    if result.get("size_factor", 1.0) >= ABSURD and not any_voxel_size:
        say(
            f"cytoshift: objects are {ABSURD:.0f} or more times larger or smaller than those that the model learnt "
            "from; labels are kept, pass the true voxel size by --voxel and --unit, or --any-voxel-size if it is right",
            fg="red", err=True,
        )  # fmt: skip
        raise typer.Exit(MISMATCH)


def fit_to_sizes(
    segmenter: "Segmenter", volumes: "Sequence[Volume]", diameter: float | None = None, polarity: str = "auto",
    quiet: bool = False,
) -> "tuple[Segmenter, dict[str, Any]]":  # fmt: skip
    """A model of the package made to fit the images, any other one as it is; and what was found, said to the user."""
    from ..core.progress import Progress
    from ..trust.size_fit import fit

    if segmenter.diameter is None:
        return fit(segmenter, volumes, diameter, polarity).segmenter, {}
    with Progress("measuring", 1, quiet=quiet) as progress:
        found = fit(segmenter, volumes, diameter, polarity, progress.update)
    if not quiet:
        say(found.sentence, err=True)
    return found.segmenter, {"fit": found.numbers()}


def refuse_places(out: Path, raw: Path | None, source: "ImageSource", model: Path) -> None:
    """Raises UserError where results would go to what is read, as far as names of files tell before one is opened."""
    from ..data.input_files import files_of, refuse_inputs
    from ..data.picture import name_stem
    from ..model.shipped import model_folder
    from ..predict.outputs import is_single, refuse_out

    refuse_out(out)
    single = is_single(out)
    names = [f"{name_stem(path)}{suffix}" for path in files_of(source, False) for suffix in (".tif", ".ome.zarr")]
    places = [out] if single else [out / name for name in names]
    refuse_inputs([*places, raw], [source], [model_folder(model)], filled=[] if single else [out])


def run(
    segmenter: "Segmenter", model: Path, outputs: "Outputs", options: "Options", how: blockwise.Blockwise,
    each: "Engine", source: "ImageSource", quiet: bool,
) -> tuple[list[str], dict[str, Any]]:  # fmt: skip
    """Segment images in groups; each finished image is complete on disk. Returns the last lines for a person, and the
    result as names and values."""
    from ..core.progress import Progress
    from ..predict.account import Account
    from ..predict.also import write_also
    from ..predict.images import segment_images

    account = Account(outputs, segmenter, options)
    started = time.perf_counter()
    todo = [volume for volume in outputs.volumes if not outputs.is_finished(volume)]
    if how.is_remote:
        outputs.volumes = blockwise.with_absolute_paths(outputs.volumes, source)
    size = lambda volume: math.prod(volume.shape)
    with Progress("", sum(map(size, todo)), "voxel", quiet) as progress:
        done, finished = 0, 0
        progress.update(0, f"segment {todo[0].name if len(todo) == 1 else f'{len(todo)} images'}" if todo else "")
        step = lambda volume, i, n: progress.update(done + size(volume) * i / n)
        try:
            for seconds in segment_images(segmenter, model, outputs, options, each, step):
                account.images(seconds)
                finished, done = finished + len(seconds), done + sum(map(size, seconds))
                progress.update(done, f"segment, {finished} of {len(todo)} images are finished")
        finally:
            account.save()
        progress.update(done, "tables and pictures")
        outputs.join_frames()
        table = outputs.join()
        picture(outputs, table)
        account.end(time.perf_counter() - started)
    factor = factor_of(mismatches(segmenter, outputs, table))
    page = report_on(outputs)
    also = f", raw predictions in {outputs.raw.where}" if outputs.raw else ""
    also += describe_others(outputs, others := write_also(outputs))
    pairs = []
    if outputs.pairs:
        pairs = count_pairs(outputs.join("pairs"), table)
        also += f", pairs in {outputs.joint_path('pairs')}"
    words = [
        summary(outputs.volumes, todo, table, time.perf_counter() - started),
        *pairs,
        f"labels in {outputs.out}, objects in {outputs.table}, picture {outputs.picture}, report {page}{also}",
    ]
    return words, {
        "images": len(outputs.volumes), "segmented": len(todo), "objects": len(table.rows), "labels": outputs.out,
        "table": outputs.table, "picture": outputs.picture, "report": page, "size_factor": factor, "also": others,
        "seconds": time.perf_counter() - started,
    }  # fmt: skip
