"""What NGFF says of our folders is what the ome-zarr library writes for the same levels, byte for byte."""

import json

import numpy as np
import pytest
import zarr

from cytoshift.core.voxel import Voxel
from cytoshift.data.multiscale import create_level, describe_levels, list_labels, name_channels

UM = Voxel((2.0, 0.5, 0.25), "um")


def levels(path, ngff, axes, factors):
    """The group of an image whose levels are there and described nowhere."""
    group = zarr.open_group(path, mode="w", zarr_format=2 if ngff == "0.4" else 3)
    for number, steps in enumerate(factors):
        shape = tuple(8 // n for n in steps)
        create_level(group, number, shape, np.dtype(np.uint16), axes, shape)
    return group


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of a default argument in the library
@pytest.mark.parametrize("ngff", ["0.4", "0.5"])
def test_metadata_are_those_of_the_ome_zarr_library(tmp_path, ngff):
    writer, formats = pytest.importorskip("ome_zarr.writer"), pytest.importorskip("ome_zarr.format")
    version = formats.FormatV04() if ngff == "0.4" else formats.FormatV05()
    axes, factors = "tczyx", [(1, 1, 1, 1, 1), (1, 1, 1, 2, 4)]
    ours, theirs = (levels(tmp_path / name, ngff, axes, factors) for name in ("ours", "theirs"))

    describe_levels(ours, factors, UM, axes, True, "cells")
    name_channels(ours, ("dna",), np.dtype(np.uint16))
    for name in ("nuclei", "golgi", "nuclei"):
        list_labels(tmp_path / "ours", name, ngff)

    scales = [[1.0, 1.0, 2.0, 0.5, 0.25], [1.0, 1.0, 2.0, 1.0, 1.0]]
    changes = [[{"type": "scale", "scale": scale}] for scale in scales]
    changes[1].append({"type": "translation", "translation": [0.0, 0.0, 0.0, 0.25, 0.375]})
    datasets = [{"path": str(n), "coordinateTransformations": change} for n, change in enumerate(changes)]
    space = [{"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"]
    named = [{"name": "t", "type": "time"}, {"name": "c", "type": "channel"}, *space]
    writer.write_multiscales_metadata(theirs, datasets, fmt=version, axes=named, name="cells")
    writer.add_metadata(theirs, {"image-label": {"version": ngff}}, fmt=version)
    theirs.attrs["software"] = "Cytoshift"  # who has written it, by which our own files are known again
    window = {"min": 0.0, "max": 65535.0, "start": 0.0, "end": 65535.0}
    channels = [{"label": "dna", "color": "FF00FF", "window": window, "active": True}]
    writer.add_metadata(theirs, {"omero": {"channels": channels}}, fmt=version)
    stated = {} if ngff == "0.4" else {"version": ngff}
    labels = theirs.require_group("labels")
    for listed in (["nuclei"], ["nuclei", "golgi"]):
        writer.add_metadata(labels, {"labels": listed, **stated}, fmt=version)

    assert files(tmp_path / "ours") == files(tmp_path / "theirs")
    told = json.loads((tmp_path / "ours" / (".zattrs" if ngff == "0.4" else "zarr.json")).read_text())
    assert "multiscales" in (told if ngff == "0.4" else told["attributes"]["ome"])
