"""Images that do not fit into memory: ways are compared on boxes of them, and the best one labels all by blocks.

paths = write_boxes(volumes, out / "sample" / "images")    boxes with much to see, as images of their own
ensemble of these boxes, in stages                          as for any images
voter = best_network(ensemble, found)                       whose labels are closest to the vote
"""

from collections.abc import Sequence
from math import prod
from pathlib import Path

import numpy as np

from ..core.blocks import BlockGrid, Slices
from ..core.no_data import known_values
from ..data.generated_folder import claim_folder
from ..data.volumes import Volume, box_volume
from ..data.write import write_image
from ..labels.overlap import overlap
from ..metrics.evaluation import report
from ..predict.voting import WHOLE_VOXELS
from .ensemble import Ensemble, StageResult
from .voters import NetworkVoter

BOX_SIDES = {2: (1024, 1024), 3: (64, 160, 160)}  # voxels of a box
MOST_BOXES, LOOKED_AT_BOXES = 6, 64  # boxes that are kept, and that are looked at
CONTRAST_PERCENTILES = (0.5, 99.8)  # percentiles whose distance says how much is to be seen in a box


def is_large(volumes: Sequence[Volume]) -> bool:
    """Whether some image has more voxels than are labelled in several ways in one piece."""
    return any(prod(volume.shape) > WHOLE_VOXELS for volume in volumes)


def write_boxes(volumes: Sequence[Volume], folder: Path, overwrite: bool) -> list[Path]:
    """Boxes of images as files. Of evenly drawn ones the richest in contrast are taken.

    Raises UserError where boxes of other images, or other files, are there.
    """
    chosen = choose_boxes(volumes)
    paths = [
        folder / f"{volumes[number].name}-{'-'.join(str(side.start) for side in box)}.tif" for number, box in chosen
    ]
    folder.mkdir(parents=True, exist_ok=True)
    claim_folder(folder, {"verb": "run", "images": {one.name: one.origin for one in volumes}}, paths, overwrite)
    for path, (number, box) in zip(paths, chosen):
        part = box_volume(volumes[number], box)
        write_image(path, part.load(), part.voxel, part.axes)
    return paths


def choose_boxes(volumes: Sequence[Volume]) -> list[tuple[int, Slices]]:
    """Image and place of each box, in their order."""
    rng = np.random.default_rng(0)
    every = []
    for number, volume in enumerate(volumes):
        sides = tuple(min(n, s) for n, s in zip(volume.shape, BOX_SIDES[len(volume.axes)]))
        grid = BlockGrid(volume.shape, sides, (0,) * len(sides))
        whole = [block.write for block in grid if all(s.stop - s.start == n for s, n in zip(block.write, sides))]
        every += [(number, box) for box in whole]
    few = sorted(rng.choice(len(every), min(LOOKED_AT_BOXES, len(every)), replace=False).tolist())
    seen = []
    for at in few:
        number, box = every[at]
        known = known_values(np.asarray(box_volume(volumes[number], box).load()).ravel()).astype(np.float32)
        low, high = np.percentile(known, CONTRAST_PERCENTILES) if known.size else (0.0, 0.0)
        seen.append((-float(high - low), at))
    return [every[at] for at in sorted(at for _, at in sorted(seen)[:MOST_BOXES])]


def best_network(ensemble: Ensemble, found: StageResult) -> tuple[NetworkVoter, dict[str, float]]:
    """The network whose labels are closest to the vote, and the F1@0.5 of each against the vote, by name."""
    scores = dict[str, float]()
    networks = [one for one in ensemble.deciding(found) if isinstance(one, NetworkVoter)]
    for voter in networks:
        hits, every = 0.0, 0
        for volume in ensemble.volumes:
            truth = found.outputs.open(volume).load()
            mine = ensemble.places(voter).open(volume).load()
            one = report(overlap(truth, mine))
            hits += one.f1_50 * prod(volume.shape)
            every += prod(volume.shape)
        scores[voter.name] = hits / every
    return max(networks, key=lambda one: scores[one.name]), scores
