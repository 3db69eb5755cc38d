"""Objects measured from raw images against the truth's objects, on six data sets (and two without truth).

    python benchmarks/measure_sizes.py --data PATH [--out TABLE.md]

PATH holds nuclei2d/ and nuclei3d/ (Data Science Bowl 2018 subsets, AD-GAN's HaCaT sample, a GoNuclear crop, QCANet's
example, the DeepSynth volumes). The truth is read for the comparison only. HaCaT's truth is semantic: its objects are
the connected components of the mask, split by a watershed of the distance transform.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import tifffile
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import h_maxima
from skimage.segmentation import watershed

from cytoshift.core.atomic import atomic_path
from cytoshift.core.voxel import Voxel
from cytoshift.measure.estimate import estimate
from cytoshift.measure.measurement import Measurement

Array = NDArray[np.generic]
LUMINANCE = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601


@dataclass(frozen=True)
class DataSet:
    """Images with the labels of the same names (none: no truth) and their voxel."""

    name: str
    images: list[Array]
    labels: list[Array]
    voxel: Voxel


def gray(image: Array) -> Array:
    """(Y, X, 3) or (Y, X, 4) to its luminance, all else as it is."""
    return image[..., :3] @ LUMINANCE if image.ndim == 3 and image.shape[-1] in (3, 4) else image


def pairs(*folders: Path) -> tuple[list[Array], list[Array]]:
    """Images and labels of the same names."""
    paths = [path for folder in folders for path in sorted((folder / "images").glob("*.tif"))]
    images = [gray(tifffile.imread(path)) for path in paths]
    return images, [tifffile.imread(path.parent.parent / "labels" / path.name) for path in paths]


def components(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Objects of a semantic mask: distance watershed with h-maxima of 3/4 voxel."""
    depth = ndimage.gaussian_filter(ndimage.distance_transform_edt(mask), 1)
    seeds, _ = ndimage.label(h_maxima(depth, 0.75))
    return watershed(-depth, seeds, mask=mask)


def data_sets(root: Path) -> list[Callable[[], DataSet]]:
    """Read one by one, to keep one in memory."""
    flat, deep = root / "nuclei2d", root / "nuclei3d"
    pixel, cube = Voxel((1.0, 1.0)), Voxel((1.0, 1.0, 1.0))

    def hacat() -> DataSet:
        mask = gray(iio.imread(flat / "hacat" / "testB_normal_26.png")) > 127
        image = gray(iio.imread(flat / "hacat" / "testA_normal_26.png"))
        return DataSet("hacat", [image], [components(mask)], pixel)

    def volume(name: str, stem: str, voxel: Voxel) -> DataSet:
        image, labels = (tifffile.imread(deep / name / f"{stem}_{part}.ome.tif") for part in ("img", "labels"))
        return DataSet(name, [image], [labels], voxel)

    def unlabelled(name: str) -> DataSet:
        return DataSet(name.split("_")[0], [tifffile.imread(deep / "deepsynth" / f"{name}.tif")], [], cube)

    return [
        lambda: DataSet("fluo256", *pairs(flat / "fluo256" / "train", flat / "fluo256" / "val"), pixel),
        lambda: DataSet("u2os520", *pairs(flat / "u2os520"), pixel),
        lambda: DataSet("stained", *pairs(flat / "stained"), pixel),
        hacat,
        lambda: volume("gonuclear", "1135", Voxel((0.28, 0.127, 0.127), "um")),
        lambda: volume("qcanet", "8cell", Voxel((1.75, 0.8, 0.8), "um")),
        lambda: unlabelled("immu_real_32x512x512"),
        lambda: unlabelled("wsm_real_200x512x512"),
    ]


def diameters(labels: Array, voxel: Voxel) -> NDArray[np.float64]:
    """Equivalent diameters of all objects of a label image, in the voxel's unit."""
    sizes = np.bincount(labels.ravel().astype(np.int64))[1:]
    size = sizes[sizes > 0] * voxel.volume
    return np.sqrt(4 * size / np.pi) if voxel.ndim == 2 else np.cbrt(6 * size / np.pi)


HEAD = (
    "| data set (images) | polarity (sure) | truth median | estimated | error % | per image: median error % "
    "| objects truth / est. | density truth / est. | truth 10..90 % | est. 5..95 % | whole 5 / 50 / 95 % "
    "| foreground truth / est. | confidence | s |\n|" + "---|" * 14
)


def row(data: DataSet, found: Measurement, seconds: float) -> str:
    """One line of the table."""
    unit = data.voxel.unit
    spread = f"{found.diameters[5]:.3g}..{found.diameters[95]:.3g}"
    whole = " / ".join(f"{found.whole_diameters[q]:.3g}" for q in (5, 50, 95))
    seen = sum(image.objects for image in found.images)
    start = f"| {data.name} ({len(data.images)}) | {found.polarity} ({found.polarity_confidence:.2f}) "
    if not data.labels:
        median, density = f"{found.diameters[50]:.3g} {unit}", f"{found.density[50]:.3g}"
        return (
            f"{start}| no truth | {median} | | | - / {seen:.0f} (sampled) | - / {density} | | {spread} | {whole} "
            f"| - / {found.foreground:.3f} | {found.confidence:.2f} | {seconds:.1f} |"
        )
    each = [diameters(labels, data.voxel) for labels in data.labels]
    truth = np.concatenate(each)
    field = sum(labels.size for labels in data.labels) * data.voxel.volume
    middle = float(np.median(truth))
    single = [
        100 * abs(image.diameter / float(np.median(one)) - 1)
        for image, one in zip(found.images, each, strict=True)
        if image.diameter is not None and len(one)
    ]
    covered = float(np.mean([(labels > 0).mean() for labels in data.labels]))
    low, high = np.percentile(truth, [10, 90])
    error = 100 * (found.diameters[50] / middle - 1)
    return (
        f"{start}| {middle:.3g} {unit} | {found.diameters[50]:.3g} {unit} | {error:+.1f} "
        f"| {np.median(single):.1f} | {len(truth)} / {seen:.0f} | {len(truth) / field:.3g} / {seen / field:.3g} "
        f"| {low:.3g}..{high:.3g} | {spread} | {whole} | {covered:.3f} / {found.foreground:.3f} "
        f"| {found.confidence:.2f} | {seconds:.1f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    options = parser.parse_args()
    lines = [HEAD]
    print(HEAD, flush=True)
    for read in data_sets(options.data):
        data = read()
        start = time.perf_counter()
        found = estimate(data.images, [data.voxel] * len(data.images))
        lines.append(row(data, found, time.perf_counter() - start))
        print(lines[-1], flush=True)
        for note in found.notes:
            print(f"  {data.name}: {note}", flush=True)
    with atomic_path(options.out) as path:
        path.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
