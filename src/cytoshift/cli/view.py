"""cytoshift view: images and labels of any size in a browser, from this machine alone."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..core.errors import UserError
from . import inputs
from .console import say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..data.levels import PyramidVolume
    from ..data.volumes import ImageSource
    from ..view.layers import Layer
    from ..view.server import Server

CHUNK_BYTES = 4e9  # bytes that one chunk may take while it is read
ROUGH_VOXELS = 2**22  # voxels that are enough to normalise by


def view(
    image: Annotated[str, typer.Argument(help="Raw image: a file, OME-Zarr, file.h5::raw, or a folder of frames.")],
    labels: Annotated[
        list[str] | None, typer.Argument(help="Labels of it; default: those inside of an OME-Zarr image.")
    ] = None,
    model: Annotated[
        Path | None, typer.Option("--model", "-m", help="Model folder: segments the region that you look at.")
    ] = None,
    axes: inputs.Axes = None,
    channel: inputs.Channel = None,
    voxel: inputs.VoxelSize = None,
    unit: inputs.Unit = None,
    frames: inputs.Frames = None,
    skip_bad: inputs.SkipBad = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; default: a free one.")] = 0,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open it, or print the address.")] = True,
    screenshot: Annotated[Path | None, typer.Option(help="Write FILE.png without a screen, and stop.")] = None,
    device: inputs.Device = "auto",
    overwrite: inputs.Overwrite = False,
) -> None:
    """Show an image and its labels in the browser, plane by plane and in 3D, with neuroglancer.

    Nothing is copied or converted. Data of any size and format are read when you look at them. The objects are listed
    with what 'cytoshift trust' and 'segment' wrote about them; search them as in confidence<0.5. Several images of one
    size are frames of one image. Ctrl-C ends the viewer.

    The viewer runs on 127.0.0.1 behind a token and loads nothing from elsewhere. From another machine: ssh -L
    8765:127.0.0.1:8765 HOST, and there --port 8765 --no-browser.
    """
    from ..core.lock import lock_outputs
    from ..core.provenance import refuse_foreign_files
    from ..data.input_files import refuse_inputs
    from ..data.volumes import image_source
    from ..view.server import Server

    if screenshot is not None and screenshot.suffix.lower() != ".png":
        raise UserError(
            f"a screenshot is a PNG file, but {screenshot} has another ending; pass {screenshot.with_suffix('.png')}"
        )
    source = image_source(image, axes, channel, 0, voxel, unit, frames, skip_bad)
    refuse_inputs([screenshot], [source], [model], labels=labels or [])
    if screenshot is not None:
        refuse_foreign_files([screenshot], overwrite)
    layers = list(image_pyramids(source))
    for path in labels or (inner_labels(image) if model is None else []):
        layers += label_layers(image_source(path, axes, None, 0, voxel, unit, frames), layers[0])
    if model is not None:
        layers += model_layers(model, device, source)
    with Server(layers, port, say=lambda sentence: say(sentence, fg="red", err=True)) as server:
        if screenshot is not None:
            with lock_outputs(screenshot):
                refuse_foreign_files([screenshot], overwrite)
                say(f"picture {server.picture(screenshot)}")
            return
        serve(server, browser)


def serve(server: "Server", browser: bool) -> None:
    """Until Ctrl-C."""
    import signal
    import threading
    import webbrowser

    from ..core.signals import StopRequest

    names = ", ".join(layer.served.name for layer in server.layers)
    try:
        say(f"{names}\n{server.url}\nCtrl-C ends it")
        if browser:
            webbrowser.open(server.address)
        threading.Event().wait()
    except (KeyboardInterrupt, StopRequest) as end:
        if isinstance(end, StopRequest) and end.number != signal.SIGINT:
            raise
        say("\nclosed")


def image_pyramids(source: "ImageSource") -> "Iterator[Layer]":
    """A layer for each channel."""
    from ..data.lazy import refuse_pieces
    from ..data.levels import add_strided_levels, open_pyramid, split_image, stack_frames
    from ..view.layers import Layer, colours
    from ..view.virtual_zarr import VirtualZarr

    found = open_pyramid(source)
    for image in found:
        refuse_pieces(image.volume.array, image.volume.origin, CHUNK_BYTES, allow="")
    each = [split_image(image) for image in found]
    colour = colours(len(each[0]))
    for number, parts in enumerate(zip(*each)):
        name = parts[0].volume.name if len(each) == 1 else "images"
        frames = add_strided_levels(stack_frames(parts))
        yield Layer(VirtualZarr(frames, f"{name} {number}" if len(colour) > 1 else name), colour=colour[number])


def label_layers(source: "ImageSource", image: "Layer") -> "list[Layer]":
    """The layer of one set of labels, and one of the objects' confidence where that is known."""
    from ..data.levels import add_strided_levels, open_pyramid, stack_frames

    found = open_pyramid(source, labels=True)
    frames = add_strided_levels(stack_frames(found))
    if frames.volume.axes != image.served.image.volume.axes:
        raise UserError(
            f"{source.paths} has the axes '{frames.volume.axes}', the image '{image.served.image.volume.axes}'; pass "
            "labels of this image, or --axes"
        )
    return image_layers(frames, str(source.paths), found[0] if len(found) == 1 else None)


def image_layers(frames: "PyramidVolume", path: str, single: "PyramidVolume | None") -> "list[Layer]":
    """single: the one image whose objects may have properties; ids of several frames would be mixed up."""
    from dataclasses import replace

    from ..data.levels import CoarseLevel
    from ..view.layers import Layer
    from ..view.properties import SURE, PropertyArray, properties
    from ..view.virtual_zarr import VirtualZarr

    name = f"labels {Path(path.rpartition('::')[2] or path).name}"
    known = properties(path, single.volume.name, single.volume.origin) if single else None
    out = [Layer(VirtualZarr(frames, name, labels=True), known)]
    if known is not None and SURE in known.columns:
        levels = [
            CoarseLevel(PropertyArray(one.array, known.ids, known.columns[SURE]), one.factors) for one in frames.levels
        ]
        sure = replace(frames, levels=tuple(levels))
        out.append(Layer(VirtualZarr(sure, f"{SURE} of {name}"), sureness=True, shown=False))
    return out


def model_layers(model: Path, device: str, source: "ImageSource") -> "list[Layer]":
    """A layer for each class that a model finds."""
    from dataclasses import replace

    from ..data.lazy import StridedArray
    from ..data.levels import CoarseLevel, PyramidVolume, add_strided_levels, open_pyramid
    from ..data.pyramid import plan_levels
    from ..model import Segmenter
    from ..predict.live import LiveClass, LiveSegmentation
    from ..view.layers import Layer
    from ..view.virtual_zarr import VirtualZarr
    from .segment import fit_to_sizes

    found = open_pyramid(source)
    if len(found) > 1:
        raise UserError(
            f"a model is shown on one image, but {len(found)} are given; name one of them, or one of --frames"
        )
    volume = found[0].volume
    rough = next((level for level in reversed(found[0].levels) if level.array.size >= ROUGH_VOXELS), found[0].levels[0])
    segmenter, _ = fit_to_sizes(Segmenter.load(model, inputs.choose_device(device)), [volume])
    live = LiveSegmentation(segmenter, volume, replace(volume, array=rough.array))
    if not live.is_whole and live.segmenter.scale is None and rough is not found[0].levels[0]:
        shape = " x ".join(map(str, rough.array.shape))
        say(f"{model} normalises by a coarse copy of the image, {shape}; 'segment' measures all voxels")
    out = []
    for name, labels in live.classes.items():
        shown = replace(volume, array=labels)
        first = PyramidVolume(shown, (CoarseLevel(labels, (1.0,) * len(volume.axes)),))
        if live.is_whole:
            first = add_strided_levels(first)
        else:  # a far view does not set the network to work on all that it shows
            seen = LiveClass(live, labels.number, seen=True)
            steps = [level.factors for level in plan_levels(volume.shape, volume.voxel.size)[1:]]
            coarser = tuple(CoarseLevel(StridedArray(seen, each), tuple(map(float, each))) for each in steps)
            first = replace(first, levels=first.levels + coarser)
        title = f"{name or 'objects'} by {model.parent.name or model.name}"
        out.append(Layer(VirtualZarr(first, title, labels=True), slow=True))
    return out


def inner_labels(image: str) -> list[str]:
    """The labels that an OME-Zarr image lists as its own."""
    from ..data.formats import is_zarr

    path = Path(image.partition("::")[0])
    if "::" in image or not path.is_dir() or not is_zarr(path):
        return []
    import zarr

    from ..data.formats.ngff import ome

    group = zarr.open(path, mode="r")
    if not isinstance(group, zarr.Group) or "labels" not in group:
        return []
    return [f"{image}::labels/{name}" for name in ome(group["labels"]).get("labels", [])]
