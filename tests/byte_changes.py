"""Files of every kind that is read, with bytes changed at random, and what reading them says. Run as a process of its
own, as libraries in C may end it: `python byte_changes.py KIND COUNT FOLDER` prints one line of JSON.
"""

import contextlib
import json
import resource
import shutil
import signal
import sys
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import tifffile
import zarr
from PIL import Image

LIKELY = b"0123456789.,:e-nayxzct[]{} \x00\x01\xff"  # bytes that text or a header may well have
SECONDS = 60  # of one case
AXES = {"axes": "zyx", "voxel": (2.0, 1.0, 1.0), "unit": "px"}


def image(shape: tuple[int, ...] = (96, 80)) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.integers(0, 200, shape) // 8 * 8).astype(np.uint8)


def write_zarr(path: Path, version: int) -> None:
    group = zarr.open_group(path, mode="w", zarr_format=version)
    axes = [{"name": a, "type": "space", "unit": "micrometer"} for a in "yx"]
    scale = [{"type": "scale", "scale": [0.5, 0.5]}]
    said = {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scale}]}
    if version == 2:
        group.attrs["multiscales"] = [{"version": "0.4", **said}]
    else:
        group.attrs["ome"] = {"version": "0.5", "multiscales": [said]}
    group.create_array("0", data=image(), chunks=(32, 32))


def write_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        made = file.create_dataset("raw", data=image((6, 32, 40)), chunks=(3, 16, 40), compression="gzip")
        made.attrs["element_size_um"] = (2.0, 1.0, 1.0)
        file.create_dataset("other/labels", data=image((6, 32, 40)))


def write_model(path: Path) -> None:
    from predicting import segmenter

    segmenter(card={"method": "none", "objects": {}, "step": 3}).save(path)


def write_settings(path: Path) -> None:
    path.write_text(
        "method: adgan\nseed: 0\ndata:\n  images: {paths: images, voxel: [1.0, 1.0], unit: px}\n"
        "  normalise: {kind: percentile, low: 0.5, high: 99.8}\n  augment: {flips: true}\npatch: [64, 64]\n"
        "prior:\n  diameter: {median: 12.0, spread: 0.2, clip: [0.5, 2.0]}\n  density: [0.001, 0.002]\n  unit: px\n"
        "represent: {kind: semantic, split: distance, smallest: 6.0}\noptions: {width: 8}\n"
        "train: {steps: 10, lr: 0.001}\n",
        encoding="utf-8",
    )


MAKERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "tiff strips": ("a.tif", lambda p: tifffile.imwrite(p, image(), rowsperstrip=7, compression="zlib")),
    "tiff plain": ("a.tif", lambda p: tifffile.imwrite(
        p, image(), imagej=True, resolution=(2, 2), metadata={"unit": "um"})),
    "tiff tiles": ("a.tif", lambda p: tifffile.imwrite(p, image(), tile=(32, 32), compression="lzw")),
    "ome-tiff": ("a.ome.tif", lambda p: tifffile.imwrite(
        p, image((5, 40, 48)), ome=True, metadata={"axes": "ZYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5,
                                                  "PhysicalSizeZ": 2.0})),
    "png": ("a.png", lambda p: Image.fromarray(image()).save(p)),
    "jpeg": ("a.jpg", lambda p: Image.fromarray(image()).save(p, quality=90)),
    "npy": ("a.npy", lambda p: np.save(p, image())),
    "hdf5": ("a.h5", write_hdf5),
    "zarr v2": ("a.ome.zarr", lambda p: write_zarr(p, 2)),
    "zarr v3": ("a.ome.zarr", lambda p: write_zarr(p, 3)),
    "model.json": ("model", write_model),
    "safetensors": ("model", write_model),
    "run.yaml": ("run.yaml", write_settings),
}  # fmt: skip


def read(kind: str, path: Path, number: int) -> None:
    """What commands do first: images are opened and their middle looked at, models loaded, settings checked."""
    if kind in ("model.json", "safetensors"):
        from cytoshift.model import Segmenter

        Segmenter.load(path)
        return
    if kind == "run.yaml":
        from cytoshift.core.settings import parse, read_yaml
        from cytoshift.train.run_settings import Run

        parse(Run, read_yaml(path), str(path))
        return
    from cytoshift.data.planes import plane_of
    from cytoshift.data.volumes import ImageSource, open_labels, open_volumes

    said = AXES if kind == "hdf5" else {}
    source = ImageSource(paths=f"{path}::raw" if kind == "hdf5" else str(path), **said)
    for volume in (open_labels if number % 2 and kind != "jpeg" else open_volumes)(source):
        plane_of(volume)
        volume.array[tuple(slice(0, 40) for _ in volume.array.shape)]


def target(kind: str, path: Path, rng: np.random.Generator) -> Path:
    """The file whose bytes change."""
    if not path.is_dir():
        return path
    if kind in ("model.json", "safetensors"):
        return path / ("model.json" if kind == "model.json" else "weights.safetensors")
    files = sorted(file for file in path.rglob("*") if file.is_file())
    small = [file for file in files if file.suffix == ".json" or file.name.startswith(".z")]
    among = small if rng.random() < 0.7 else files
    return among[rng.integers(len(among))]


def changed(content: bytes, rng: np.random.Generator) -> bytes:
    """One to sixteen bytes are others, half of the times among the first 600, where headers are."""
    out = bytearray(content)
    near = min(len(out), 600) if rng.random() < 0.5 else len(out)
    for _ in range(2 ** rng.integers(0, 5)):
        out[rng.integers(near)] = rng.integers(256) if rng.random() < 0.5 else rng.choice(list(LIKELY))
    return bytes(out)


def late(*_: object) -> None:
    raise TimeoutError(f"more than {SECONDS} s")


def main(kind: str, count: int, folder: Path) -> dict[str, object]:
    """How many cases ended in a result, in a sentence, and which in something else."""
    from cytoshift.core.errors import UserError

    name, make = MAKERS[kind]
    whole, path = folder / "whole" / name, folder / name
    whole.parent.mkdir(parents=True)
    make(whole)
    ends, odd = Counter(), []
    signal.signal(signal.SIGALRM, late)
    shutil.copytree(whole, path) if whole.is_dir() else shutil.copy(whole, path)
    for number in range(count):
        rng = np.random.default_rng([number, len(kind)])
        file = target(kind, path, rng)
        before = file.read_bytes()
        after = changed(before, rng)
        file.write_bytes(after)
        (folder / "last").write_text(str(number))
        signal.alarm(SECONDS)
        try:
            read(kind, path, number)
            ends["result"] += 1
        except UserError as error:
            ends["sentence"] += 1
            if "\n" in str(error) or len(str(error)) > 1000 or not str(error).isprintable():
                odd.append([number, f"no sentence: {error}"])
        except BaseException:  # whatever else comes out is a fault
            odd.append([number, traceback.format_exc()[-1500:]])
        finally:
            signal.alarm(0)
        file.write_bytes(before)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    return {"kind": kind, **ends, "odd": odd, "peak_gb": round(peak, 3)}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    with contextlib.redirect_stdout(sys.stderr):
        result = main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
    print(json.dumps(result))
