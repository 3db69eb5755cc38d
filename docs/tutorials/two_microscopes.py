"""Phantoms of mitochondria in two electron microscopes: python two_microscopes.py FOLDER

Long dark bodies between membranes; in the second microscope these are wider and darker than the bodies, the ground is
brighter, the spot softer and the noise stronger. A mask is all that is said of them, as in most public sets:
FOLDER/{first,second}/{images,masks}. FOLDER/second/labels tells the bodies apart, for scores.
"""

import sys
from pathlib import Path

import numpy as np

from cytoshift.core.rng import stream
from cytoshift.core.voxel import Voxel
from cytoshift.data.write import write_image, write_labels
from cytoshift.synth import Lognormal, Prior, draw_labels
from cytoshift.synth.ultrastructure import Chromatin, Neuropil, Sections, Ultrastructure

SECTIONS, SHAPE, VOXEL = 6, (256, 256), Voxel((0.015, 0.015), "um")
BODIES = Prior(
    diameter=Lognormal(median=0.4, sigma=0.25), elongation=(1.2, 2.6), irregularity=0.08, density=(0.5, 0.9),
    min_gap=0.06, unit="um",
)  # fmt: skip
FIRST = Ultrastructure(
    chromatin=Chromatin(grey=0.42, clumps=0.1, grain=0.1, nucleoli=(0, 0), envelope=0.3),
    neuropil=Neuropil(rim=0.05, process=(0.68, 0.05), calibres=(0.3, 0.7), organelles=0.0, vacuole=(0.1, 0.3)),
    sections=Sections(artefacts=0.0, drift=0.0), blur=0.015, noise=0.03,
)  # fmt: skip
SECOND = Ultrastructure(
    chromatin=Chromatin(grey=0.55, clumps=0.12, grain=0.12, nucleoli=(0, 0), envelope=0.2),
    neuropil=Neuropil(
        rim=0.08, process=(0.75, 0.05), calibres=(0.2, 0.5), membrane=0.05, organelles=0.0, vacuole=(0.1, 0.3)
    ),
    sections=Sections(artefacts=0.0, drift=0.0), blur=0.025, noise=0.07,
)  # fmt: skip
MICROSCOPES = {"first": FIRST, "second": SECOND}


def main(folder: Path) -> None:
    for name, microscope in MICROSCOPES.items():
        for index in range(SECTIONS):
            labels = draw_labels(BODIES, SHAPE, VOXEL, stream(0, name, index, "bodies"))
            image = microscope.image(labels, VOXEL, stream(0, name, index, "image"))
            images, masks, truth = (folder / name / kind / f"{index:03}.tif" for kind in ("images", "masks", "labels"))
            write_image(images, image, VOXEL, "yx")
            write_image(masks, np.uint8(255) * (labels > 0), VOXEL, "yx")
            write_labels(truth, labels, VOXEL, "yx")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
