"""A segmenter as a package for the bioimage.io model zoo: ONNX, normalisation, test tensors, and how to decode.

What bioimageio.core does with it is what `predict` does in 32 bits with an image that is on the grid of the network and
goes through whole; the decode is described in the package and done by `cytoshift`.
"""

import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import __version__
from ..core.atomic import atomic_path, refuse_other_contents
from ..core.errors import UserError
from ..core.papers import field, library, paper_link, short_citation
from ..core.voxel import MICROMETRE
from .export import (
    LEAST_MULTIPLES,
    TOLERANCE,
    channel_recipes,
    dataset_scales,
    describe_model,
    require_modules,
    save_onnx,
    size_multiple,
)
from .segmenter import Segmenter
from .shipped import JSON, WEIGHTS

PACKAGE = ("rdf.yaml", "bioimageio.yaml")  # what a package is known by
TEST_MULTIPLES = {2: 16, 3: 8}  # multiples along each axis of the test image, at most
TEST_VOXELS = {2: 128, 3: 32}  # voxels of it, unless the network needs more
BIOIMAGE = {"text": "The BioImage Model Zoo, Ouyang et al. 2022", "doi": "10.1101/2022.06.07.495102"}


def save_zoo(segmenter: Segmenter, path: Path, name: str, authors: list[str], licence: str) -> Path:
    """Write a package, a .zip or a folder, whole or not at all; it has passed the checks of bioimageio.spec.

    name: of the model, for people. authors: names. licence: an SPDX identifier, of the weights.
    Raises UserError where `onnx`, `onnxruntime` or `bioimageio.core` is not installed, where a normalisation cannot be
    said in the zoo's words, for what bioimageio.spec refuses, and where the folder holds anything but a package.
    """
    require_modules("onnx", "onnxruntime", "bioimageio.spec")
    refuse_other_contents(path, PACKAGE)
    from bioimageio.spec import save_bioimageio_package, save_bioimageio_package_as_folder
    from bioimageio.spec.model.v0_5 import ModelDescr
    from pydantic import ValidationError

    segmenter = replace(segmenter, card=publishable_fields(segmenter.card))
    with tempfile.TemporaryDirectory() as room, atomic_path(path) as beside:
        parts = Path(room)
        save_onnx(segmenter, parts / "network.onnx")
        segmenter.save(parts / "model")
        test_tensors(segmenter, parts)
        (parts / "README.md").write_text(documentation(segmenter, name), encoding="utf-8")
        (parts / "cytoshift.json").write_text(json.dumps(describe_model(segmenter), indent=2) + "\n")
        try:
            made = ModelDescr(**rdf_entries(segmenter, parts, name, authors, licence))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise UserError(
                f"bioimageio.spec refuses '{where}': {first['msg']}; change what you passed for it"
            ) from None
        if path.suffix == ".zip":
            shutil.copyfile(save_bioimageio_package(made, output_path=parts / "package.zip"), beside)
        else:
            shutil.copytree(save_bioimageio_package_as_folder(made, output_path=parts / "package"), beside)
    return path


def publishable_fields(card: dict[str, Any]) -> dict[str, Any]:
    """The fields of a card that are published: no paths, and no settings, which are full of them."""
    named = ("method", "title", "papers")
    return {key: value for key, value in card.items() if key in named or isinstance(value, int | float)}


def citations(card: dict[str, Any]) -> list[dict[str, str]]:
    """The papers that a card names, and that of the zoo."""
    keys = [key for key in card.get("papers", ()) if key in library()]
    return [*({"text": f"{short_citation(key)}, {field(key, 'title')}", **paper_link(key)} for key in keys), BIOIMAGE]


def rdf_entries(segmenter: Segmenter, parts: Path, name: str, authors: list[str], licence: str) -> dict[str, Any]:
    """What rdf.yaml says."""
    from bioimageio.spec.model import v0_5 as spec

    from ..nets.graph import OPSET

    attached = [parts / "cytoshift.json", parts / "model" / JSON, parts / "model" / WEIGHTS]
    return {
        "name": name,
        "description": f"Channels from which Cytoshift {__version__} decodes instances, in {len(segmenter.axes)}D.",
        "authors": [{"name": author} for author in authors],
        "cite": [spec.CiteEntry(**one) for one in citations(segmenter.card)],
        "license": licence,
        "documentation": spec.FileDescr(source=parts / "README.md"),
        "tags": ["segmentation", "instance-segmentation", "unsupervised", f"{len(segmenter.axes)}d", "cytoshift"],
        "attachments": [spec.FileDescr(source=file) for file in attached],
        "inputs": [input_entry(segmenter, parts / "input.npy")],
        "outputs": [output_entry(segmenter, parts / "output.npy")],
        "weights": {"onnx": spec.OnnxWeightsDescr(source=parts / "network.onnx", opset_version=OPSET)},
        "config": {"cytoshift": describe_model(segmenter)}
        | {
            "bioimageio": {"reproducibility_tolerance": [{"absolute_tolerance": TOLERANCE, "output_ids": ["channels"]}]}
        },
    }


def input_entry(segmenter: Segmenter, test: Path) -> Any:
    """The input tensor: raw intensities, on the voxel grid of the network."""
    from bioimageio.spec.model import v0_5 as spec

    unit = {"unit": "micrometer"} if segmenter.voxel.unit == MICROMETRE else {}
    space = [
        spec.SpaceInputAxis(id=axis, size=spec.ParameterizedSize(min=LEAST_MULTIPLES * m, step=m), scale=size, **unit)
        for axis, m, size in zip(segmenter.axes, size_multiple(segmenter), segmenter.voxel.size)
    ]
    names = [f"channel{i}" for i in range(segmenter.spec.channels)]
    return spec.InputTensorDescr(
        id="image",
        description="raw intensities, resampled to the voxel size of the axes",
        axes=[spec.BatchAxis(), spec.ChannelAxis(channel_names=names), *space],
        test_tensor=spec.FileDescr(source=test),
        data=spec.IntervalOrRatioDataDescr(type="float32"),
        preprocessing=preprocessing(segmenter),
    )


def output_entry(segmenter: Segmenter, test: Path) -> Any:
    """The output tensor: activated channels."""
    from bioimageio.spec.model import v0_5 as spec

    unit = {"unit": "micrometer"} if segmenter.voxel.unit == MICROMETRE else {}
    space = [
        spec.SpaceOutputAxis(id=axis, size=spec.SizeReference(tensor_id="image", axis_id=axis), scale=size, **unit)
        for axis, size in zip(segmenter.axes, segmenter.voxel.size)
    ]
    names = [name.replace(" ", "_") for name in segmenter.representation.channels]
    return spec.OutputTensorDescr(
        id="channels",
        description=f"what the '{segmenter.representation.kind}' decoder of cytoshift makes instances of",
        axes=[spec.BatchAxis(), spec.ChannelAxis(channel_names=names), *space],
        test_tensor=spec.FileDescr(source=test),
        data=spec.IntervalOrRatioDataDescr(type="float32"),
    )


def preprocessing(segmenter: Segmenter) -> list[Any]:
    """`Normalisation` in the words of the zoo; gamma is the network's first layer.

    Raises UserError where channels of one image are normalised in different ways, for which there are no words.
    """
    from bioimageio.spec.model import v0_5 as spec

    space = list(segmenter.axes)
    scales = dataset_scales(segmenter)
    if scales is not None:
        along = {"axis": "channel"}
        lines = {"gain": [s.gain for s in scales], "offset": [-s.offset * s.gain for s in scales]}
        low, high = scales[0].clip
        kwargs: Any = spec.ScaleLinearAlongAxisKwargs(**along, **lines)
        if len(scales) == 1:
            kwargs = spec.ScaleLinearKwargs(gain=lines["gain"][0], offset=lines["offset"][0])
        steps: list[Any] = [spec.ScaleLinearDescr(kwargs=kwargs)]
    else:
        first, *others = channel_recipes(segmenter)
        if any(other.model_copy(update={"gamma": first.gamma}) != first for other in others):
            raise UserError(
                "the channels of this model are normalised in different ways, which bioimageio has no words for; "
                "export it with `to=onnx`"
            )
        sign = -1.0 if first.invert else 1.0
        if first.kind == "zscore":
            low, high = -first.reach, first.reach
            steps = [spec.ZeroMeanUnitVarianceDescr(kwargs=spec.ZeroMeanUnitVarianceKwargs(axes=space))]
            turn = [spec.ScaleLinearDescr(kwargs=spec.ScaleLinearKwargs(gain=sign, offset=0.0))] if sign < 0 else []
        else:
            low, high = -1.0, 1.0
            ends = (first.low, first.high) if first.kind == "percentile" else (0.0, 100.0)
            reach = spec.ScaleRangeKwargs(axes=space, min_percentile=ends[0], max_percentile=ends[1])
            steps = [spec.ScaleRangeDescr(kwargs=reach)]
            turn = [spec.ScaleLinearDescr(kwargs=spec.ScaleLinearKwargs(gain=2 * sign, offset=-sign))]
        steps += turn
    return [*steps, spec.ClipDescr(kwargs=spec.ClipKwargs(min=low, max=high))]


def test_tensors(segmenter: Segmenter, parts: Path) -> None:
    """A raw image of noise as wide as a cell, the same every time, and what onnxruntime makes of it."""
    import onnxruntime

    ndim, step = len(segmenter.axes), size_multiple(segmenter)
    shape = tuple(max(min(TEST_MULTIPLES[ndim] * m, TEST_VOXELS[ndim] // m * m), LEAST_MULTIPLES * m) for m in step)
    raw = noise_image((segmenter.spec.channels, *shape), dataset_scales(segmenter))
    normal = np.stack([drop_gamma(one, channel) for one, channel in zip(scales_of(segmenter, raw), raw)])
    session = onnxruntime.InferenceSession(str(parts / "network.onnx"), providers=["CPUExecutionProvider"])
    out = session.run(None, {"image": normal[None]})[0]
    np.save(parts / "input.npy", raw[None])
    np.save(parts / "output.npy", out)


def noise_image(shape: tuple[int, ...], scales: Any) -> NDArray[np.float32]:
    """(C, *S) in the range that fixed numbers are for, else of a camera."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(0)
    smooth = gaussian_filter(rng.normal(size=shape), (0, *(2.0,) * (len(shape) - 1)))
    smooth = np.clip(smooth / smooth.std() / 3, -1, 1)
    if scales is None:
        return np.asarray(np.round(1000 + 800 * smooth), dtype=np.float32)
    one = [s.offset + c / s.gain if s.gain else c for s, c in zip(scales, smooth)]
    return np.asarray(np.stack(one), dtype=np.float32)


def scales_of(segmenter: Segmenter, raw: NDArray[np.float32]) -> list[Any]:
    known = dataset_scales(segmenter)
    return (
        known
        if known is not None
        else [one.measure([channel]) for one, channel in zip(channel_recipes(segmenter), raw)]
    )


def drop_gamma(scale: Any, channel: NDArray[np.float32]) -> NDArray[np.float32]:
    """Normalised without gamma, which the exported network does."""
    out = (channel - np.float32(scale.offset)) * np.float32(scale.gain)
    return np.asarray(np.clip(out, *scale.clip), dtype=np.float32)


def documentation(segmenter: Segmenter, name: str) -> str:
    """README.md of the package."""
    sizes = " or ".join(" x ".join(str((LEAST_MULTIPLES + i) * m) for m in size_multiple(segmenter)) for i in range(2))
    return f"""# {name}

Written by Cytoshift {__version__} from a model of the method {segmenter.card.get("method", "not named")};
labels come from what this network draws, by the decoder '{segmenter.representation.kind}'.

## Input

Raw intensities with the axes {segmenter.axes}, resampled to {segmenter.voxel} per voxel. Any size of which every
axis is a multiple of {", ".join(map(str, size_multiple(segmenter)))}, from {sizes} on. Normalisation is part of the
package (`preprocessing` in rdf.yaml); percentiles are those of the image that is passed, so pass whole images, not
tiles.

## Output

{chr(10).join(f"- {channel}" for channel in segmenter.representation.channels)}

## From channels to instances

`cytoshift.json` has the thresholds, `model.json` and `weights.safetensors` are the model itself:

    cytoshift segment MODEL image.tif -o labels.tif

takes the folder of these two files and does all of this, normalisation, tiles and decoding, in one command.

## Card

```json
{json.dumps(segmenter.card, indent=2)}
```

## Validation

The test tensors are noise, and agree between torch and onnxruntime to {TOLERANCE:g}. How well a model segments depends
on the images: compare a few with labels of your own (`cytoshift evaluate`) before you rely on it.
"""
