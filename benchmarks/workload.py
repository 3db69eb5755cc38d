"""What the benchmarks of large volumes share: images of any size, and the command line watched from outside."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cytoshift.core.errors import UserError
from cytoshift.data.volumes import ImageSource, Volume, open_labels, open_volumes
from cytoshift.labels.overlap import overlap_by_blocks
from cytoshift.metrics.matching import match
from cytoshift.model import Segmenter
from cytoshift.synth.mosaic import Mosaic

PHANTOMS = {2: "sparse-2d", 3: "dense-3d"}


def sizes(words: str) -> tuple[int, ...]:
    return tuple(int(word) for word in words.split(","))


def volume_of(path: str, segmenter: Segmenter) -> Volume:
    """An image; axes and voxel size that its file does not say are the model's."""
    model = {"axes": segmenter.axes, "voxel": segmenter.voxel.size, "unit": segmenter.voxel.unit}
    try:
        return open_volumes(path)[0]
    except UserError:
        return open_volumes(ImageSource(paths=path, **model))[0]


def filled(path: str | None, segmenter: Segmenter, shape: tuple[int, ...]) -> NDArray[np.generic]:
    """An image of that shape: the file's, repeated and mirrored; without one a mosaic of phantoms."""
    if path is None:
        return Mosaic.of(PHANTOMS[len(shape)], 0, shape).image[tuple(slice(0, n) for n in shape)]
    small = volume_of(path, segmenter).load()
    small = small[tuple(slice(0, n) for n in shape)]
    return np.pad(small, [(0, s - n) for s, n in zip(shape, small.shape)], mode="symmetric")


class Spent(NamedTuple):
    """What a command took, with all processes that it has started."""

    cpu: float  # seconds
    wall: float  # seconds
    peak: float  # bytes, of its largest process
    said: str  # on standard error
    code: int


def cytoshift(
    *words: object, fine: tuple[int, ...] = (0,), watch: Callable[[subprocess.Popen[str]], None] = lambda _: None
) -> Spent:
    """`cytoshift WORDS` in a process of its own, which `watch` gets in a thread beside it.

    Raises RuntimeError for an exit code that is not `fine`.
    """
    started = time.perf_counter()
    command = [sys.executable, "-m", "cytoshift.cli.main", *map(str, words)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    Thread(target=watch, args=(process,), daemon=True).start()
    said = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in fine:
        raise RuntimeError(f"cytoshift {' '.join(map(str, words))} ended with {process.returncode}: {said}")
    wall = time.perf_counter() - started
    return Spent(used.ru_utime + used.ru_stime, wall, used.ru_maxrss * 1024.0, said, process.returncode)


def agreement(truth: Path | str, found: Path | str) -> tuple[float, int]:
    """F1 at an IoU of 0.9 of two label images of any size, and the objects of the first."""
    table = overlap_by_blocks(open_labels(truth)[0].array, open_labels(found)[0].array, 2e9)
    return match(table, 0.9).f1, len(table.truth_ids)
