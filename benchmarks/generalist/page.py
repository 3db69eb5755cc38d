"""30 synthetic images of a model of the package, beside real ones: python benchmarks/generalist/page.py nuclei-2d PNG

    python benchmarks/generalist/page.py nuclei-2d page.png --images DIR --channel luminance --dark

Of volumes, the middle planes are shown. Real images are normalised as the network sees them, and shown at the scale at
which `segment` gives them to it.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from skimage.segmentation import find_boundaries

from cytoshift.core.rng import stream
from cytoshift.core.settings import parse, read_yaml
from cytoshift.core.voxel import Voxel
from cytoshift.data.volumes import image_source, open_volumes
from cytoshift.model import Segmenter
from cytoshift.predict.pipeline import measure_scale
from cytoshift.synth import draw_pair
from cytoshift.train.run_settings import Run
from cytoshift.trust.size_fit import fit

HERE = Path(__file__).parent
SIDE, COLUMNS, ROWS = 128, 10, 3
DEPTH = 48  # planes of a volume

Gray = NDArray[np.uint8]


def synthetic(name: str) -> list[Gray]:
    """COLUMNS x ROWS images with the outlines of their objects."""
    run = parse(Run, read_yaml(HERE / f"{name}.yaml"), name)
    assert run.randomised is not None, "settings of this method say how images are drawn"
    shape = (SIDE, SIDE) if name.endswith("2d") else (DEPTH, SIDE, SIDE)
    voxel, out = Voxel((1.0,) * len(shape), "px"), []
    for number in range(COLUMNS * ROWS):
        image, labels = draw_pair(run.randomised, shape, voxel, stream(run.seed, "page", number))
        flat, objects = (image, labels) if len(shape) == 2 else (image[DEPTH // 2], labels[DEPTH // 2])
        out.append(framed(flat, objects))
    return out


def framed(image: NDArray[np.float32], labels: NDArray[np.int32] | None = None) -> Gray:
    """In colours, with green outlines."""
    gray = np.rint(127.5 * (np.clip(image, -1, 1) + 1)).astype(np.uint8)
    colour = np.repeat(gray[..., None], 3, axis=2)
    if labels is not None:
        edge = find_boundaries(labels, mode="inner")
        colour[edge] = colour[edge] // 2 + np.array([0, 110, 0], np.uint8)
    return np.asarray(colour)


def real(name: str, paths: str, channel: str | None, dark: bool) -> list[Gray]:
    """As many images as fit a row, at the network's scale."""
    volumes = open_volumes(image_source(paths, channel=channel))
    volumes = [volumes[i * len(volumes) // min(COLUMNS, len(volumes))] for i in range(min(COLUMNS, len(volumes)))]
    fitted = fit(Segmenter.load(name), volumes, polarity="dark" if dark else "bright").segmenter
    out = []
    for volume in volumes:
        model, raw = fitted.for_image(volume.name), volume.load()
        image = measure_scale(model, volume, raw)(raw)
        image = image if image.ndim == 2 else image[len(image) // 2]
        zoom = np.array(volume.voxel.size[-2:]) / model.voxel.size[-2:]
        image = ndimage.zoom(image, zoom, order=1)[:SIDE, :SIDE]
        wide = [(0, SIDE - n) for n in image.shape]
        out.append(framed(np.pad(image, wide, constant_values=-1.0)))
    blank = np.zeros((SIDE, SIDE, 3), np.uint8)
    return out + [blank] * (COLUMNS - len(out))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=["nuclei-2d", "nuclei-3d"])
    parser.add_argument("out", type=Path)
    parser.add_argument("--images", action="append", default=[], help="real images, a row each; repeatable")
    parser.add_argument("--channel")
    parser.add_argument("--dark", action="store_true", help="their objects are darker than what is around them")
    asked = parser.parse_args()
    cells = synthetic(asked.name)
    for paths in asked.images:
        cells += real(asked.name, paths, asked.channel, asked.dark)
    rows = [np.concatenate(cells[i : i + COLUMNS], axis=1) for i in range(0, len(cells), COLUMNS)]
    Image.fromarray(np.concatenate(rows)).save(asked.out)
    print(asked.out)


if __name__ == "__main__":
    main()
