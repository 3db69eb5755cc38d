"""What `cytoshift plan` reckons with: rates of one core and bytes per voxel, measured and written down as JSON.

    OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python benchmarks/bench_rates.py -o src/cytoshift/predict/blockwise/rates.json

A mosaic of packed nuclei is copied, counted and given to the network of AD-GAN's laptop preset (random weights: they do
not change its speed), and the channels of bench_stitch.py to the passes behind it. Seconds are the processor's, so that
other programs on the machine change them by tens of percents and not by multiples.
"""

import argparse
import json
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import numpy as np

SHAPE = (128, 256, 256)
SIDE = 500  # of the volume that is stitched: several blocks, which read some voxels twice


def model_name() -> str:
    """What the processor calls itself."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if "model name" in line), platform.processor())


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def timed(work) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def images(folder: Path) -> dict[str, float]:
    """Copying, counting and reading a mosaic."""
    from cytoshift.core.normalise import Normalisation
    from cytoshift.data.copy import copy_array
    from cytoshift.data.resumable_statistics import measure_scale
    from cytoshift.data.store import ImageStore
    from cytoshift.data.volumes import open_volumes
    from cytoshift.synth.mosaic import Mosaic

    mosaic = Mosaic.of("dense-3d", 0, SHAPE)
    store = ImageStore.create(folder / "image.ome.zarr", SHAPE, "uint16", mosaic.voxel, "zyx")
    voxels = float(np.prod(SHAPE))
    assert mosaic.image[(slice(0, 1),) * 3].size
    path = store.path
    spent = timed(lambda: (copy_array(mosaic.image, store, "mosaic", 2e8), store.finish()))
    (volume,) = open_volumes(path)
    read = timed(volume.load)
    return {
        "objects": float(mosaic.last_ids[-1]) / float(np.prod([c * t for c, t in zip(mosaic.counts, mosaic.tile)])),
        "image_bytes": size(path) / voxels,
        "copy": voxels / spent,
        "read": voxels / read,
        "count": voxels / timed(lambda: measure_scale(Normalisation(), volume)),
    }


def network() -> float:
    """Voxels per second of the laptop preset's network for volumes, whatever this processor computes best in.

    Its norms have their statistics, as the method ships it: measuring them is done once, however large the volume.
    """
    import torch

    from cytoshift.core.normalise import Normalisation
    from cytoshift.core.voxel import Voxel
    from cytoshift.model import Segmenter
    from cytoshift.nets.network_spec import TranslatorSpec
    from cytoshift.predict.network import Tiling, probabilities
    from cytoshift.represent import Ternary

    torch.manual_seed(0)
    torch.set_num_threads(1)
    spec = TranslatorSpec(ndim=3, width=16, blocks=3, stem=3, hidden=64, up=4, frozen=True)
    made = Segmenter(
        spec=spec, network=spec.build().eval().requires_grad_(False), scale=None, axes="zyx",
        normalisation=Normalisation(), voxel=Voxel((1.0,) * 3), representation=Ternary(smallest=5.0),
    )  # fmt: skip
    image = np.random.default_rng(0).normal(size=(128, 160, 160)).astype(np.float32)  # in tiles, which overlap
    run = lambda: probabilities(made, image, Tiling(), None)
    probabilities(made, image[:16, :32, :32], Tiling(), None)  # compilation
    return image.size / min(timed(run) for _ in range(2))


def stitching(folder: Path) -> dict[str, float]:
    """Passes 2 to 6 and the pyramid."""
    import torch

    import bench_stitch
    from cytoshift.predict.blockwise import segment_blockwise
    from cytoshift.predict.blockwise.engine import Serial
    from cytoshift.predict.blockwise.plan import BlockOptions
    from cytoshift.predict.pipeline import Options

    command = [
        sys.executable,
        str(Path(__file__).with_name("bench_stitch.py")),
        "--side",
        str(SIDE),
        "--folder",
        folder,
    ]
    for step in ("cube", "lay"):
        subprocess.run([*command, "--step", step], check=True)
    channels = size(folder / "work" / "channels")
    decoded = folder / "decoded"  # a second job that stops behind pass 2, for what lies in its folder then
    decoded.mkdir()
    shutil.copy(folder / "cube.npy", decoded)
    behind = [*command[:-1], str(decoded)]
    subprocess.run([*behind, "--step", "lay"], check=True)
    torch.manual_seed(0)  # as there: the same weights are the same job
    call = (*bench_stitch.job_of(decoded, SIDE), Serial(), BlockOptions(memory=bench_stitch.MEMORY, halo=(24, 24, 24)))
    segment_blockwise(*call, Options(precision="32"), only="decode")
    words = subprocess.run([*command, "--step", "stitch"], check=True, capture_output=True, text=True).stdout
    found = json.loads(words.splitlines()[-1])
    return {
        "stitch": SIDE**3 / found["seconds"],
        "channel_bytes": channels / SIDE**3,
        "work_bytes": size(decoded / "work" / "labels") / SIDE**3,
        "label_bytes": size(folder / "out.ome.zarr") / SIDE**3,
    }


def main(out: Path) -> None:
    from cytoshift.core.atomic import atomic_path

    with tempfile.TemporaryDirectory() as name:
        found = {"network": network(), **images(Path(name)), **stitching(Path(name))}
    rounded = {key: float(f"{value:.3g}") for key, value in found.items()}
    result = {"processor": f"one core of {model_name()}", "date": date.today().isoformat(), **rounded}
    with atomic_path(out) as temporary:
        temporary.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("-o", "--out", type=Path, required=True)
    main(parser.parse_args().out)
