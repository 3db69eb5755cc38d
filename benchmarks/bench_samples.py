"""What a training sample costs: labelled pairs, encoded as BCD, with every augmentation on.

    OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python benchmarks/bench_samples.py

Printed: milliseconds of CPU per sample, mean over some samples, at the voxel size of the images, and where these
have to be brought to voxels of half and of twice the size. A training step of some 300 ms must not wait for its batch.
"""

import time

from cytoshift.core.normalise import Normalisation
from cytoshift.core.voxel import Voxel
from cytoshift.data.augment import Augment
from cytoshift.data.corrupt import PAPER, PAPER_2D, Corrupt
from cytoshift.data.labelled import LabelledPairs
from cytoshift.data.volumes import Volume
from cytoshift.represent.bcd import BCD
from cytoshift.synth.phantoms import phantom

SAMPLES = 20
CASES = {(128, 128): ("dense-2d", (512, 512), PAPER_2D), (32, 64, 64): ("hl60-3d-50", (96, 192, 192), PAPER)}


def always(corrupt: Corrupt) -> Corrupt:
    """What is ever done is done every time."""
    chances = [name for name, field in Corrupt.model_fields.items() if field.default == 0.0]
    return corrupt.model_copy(update={name: 1.0 for name in chances if getattr(corrupt, name) > 0})


def main() -> None:
    for patch, (name, shape, corrupt) in CASES.items():
        image, labels, voxel = phantom(name, 0, shape)
        axes = "yx" if len(shape) == 2 else "zyx"
        pair = [Volume(name, image, axes, voxel, "phantom")], [Volume(name, labels, axes, voxel, "phantom")]
        for factor in (1.0, 0.5, 2.0):
            working = Voxel(tuple(s * factor for s in voxel.size), voxel.unit)
            domain = LabelledPairs(*pair, Normalisation(), working, patch, 0, Augment(), always(corrupt), BCD())
            domain.sample(0)  # compiles
            began = time.process_time()
            for index in range(1, SAMPLES + 1):
                domain.sample(index)
            spent = 1e3 * (time.process_time() - began) / SAMPLES
            print(f"patch {patch}, voxels of {factor:g} times the images': {spent:.1f} ms")


if __name__ == "__main__":
    main()
