"""How long an evaluation takes: a volume of 64 x 384 x 384 voxels, 1,560 predicted against 1,561 true nuclei.

    NUMBA_NUM_THREADS=1 pytest benchmarks/bench_metrics.py --benchmark-columns=min,median,max

Needs nothing but the package: the nuclei are the cells of a jittered grid, shrunk, and the prediction is the truth
moved by a voxel, with one object lost. The limit of 0.09 s is for one thread of a core
of 2024, and for the fastest round: other work on the machine only slows. `--benchmark-timer=time.process_time` leaves
most of that out of the other figures too.
"""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from cytoshift.core.voxel import Voxel
from cytoshift.labels.boundaries import boundaries
from cytoshift.labels.filters import fill_holes, filter_small
from cytoshift.labels.ids import relabel
from cytoshift.labels.objects import objects
from cytoshift.labels.overlap import overlap
from cytoshift.metrics.average_precision import average_precision
from cytoshift.metrics.confidence import mean_over_objects, voxel_count
from cytoshift.metrics.evaluation import evaluate

SHAPE = (64, 384, 384)
TRUE, PREDICTED = 1561, 1560
LIMIT = 0.09  # seconds

Images = tuple[NDArray[np.generic], NDArray[np.generic]]


def packed_nuclei(shape: tuple[int, ...], number: int, reach: float, rng: np.random.Generator) -> NDArray[np.int32]:
    """Touching balls of radius `reach` around jittered grid points, every voxel to the nearest: (Z, Y, X) int32."""
    step = (np.prod(shape) / number) ** (1 / 3) * 0.95
    grid = np.stack(np.meshgrid(*(np.arange(step / 2, n, step) for n in shape), indexing="ij"), -1).reshape(-1, 3)
    centres = rng.permutation(grid)[:number] + rng.uniform(-2, 2, (number, 3))
    voxels = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1).reshape(-1, 3)
    distance, nearest = cKDTree(centres).query(voxels, distance_upper_bound=reach)
    return np.where(np.isfinite(distance), nearest + 1, 0).astype(np.int32).reshape(shape)


@pytest.fixture(scope="module")
def images() -> Images:
    rng = np.random.default_rng(0)
    truth = packed_nuclei(SHAPE, TRUE, 9.0, rng)
    pred = np.roll(truth, (0, 1, 1), (0, 1, 2))
    pred[pred == TRUE] = 0
    assert np.unique(truth).size - 1 == TRUE and np.unique(pred).size - 1 == PREDICTED
    return truth, pred


def spread_ids(labels: NDArray[np.generic]) -> NDArray[np.uint64]:
    """The same objects with ids all over 64 bits."""
    return labels.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)


def test_ap_50(benchmark, images: Images) -> None:
    def score() -> float:
        table = overlap(*images)
        return average_precision(table, voxel_count(table))

    assert 0 < benchmark(score) <= 1
    assert benchmark.stats.stats.min <= LIMIT


def test_every_number(benchmark, images: Images) -> None:
    report = benchmark(evaluate, *images)
    assert (report.truth_objects, report.pred_objects) == (TRUE, PREDICTED)
    assert benchmark.stats.stats.min <= LIMIT


@pytest.mark.parametrize("dtype", ["uint16", "int64", "spread over uint64"])
def test_overlap_of(benchmark, images: Images, dtype: str) -> None:
    kind = spread_ids if dtype.startswith("spread") else lambda labels: labels.astype(dtype)
    truth, pred = (kind(labels) for labels in images)
    benchmark(overlap, truth, pred)


def test_overlap_of_noise(benchmark, images: Images) -> None:
    """The worst case: no two neighbours alike, half a million different pairs."""
    noise = np.random.default_rng(1).integers(0, 700, (2, *SHAPE)).astype(np.int32)
    benchmark.pedantic(overlap, tuple(noise), rounds=3, warmup_rounds=1)


def test_mean_over_objects(benchmark, images: Images) -> None:
    benchmark(mean_over_objects, np.ones(SHAPE, np.float32), images[1])


def test_object_table(benchmark, images: Images) -> None:
    benchmark(objects, images[0], Voxel((1, 1, 1)))


def test_relabel(benchmark, images: Images) -> None:
    benchmark(relabel, images[0])


def test_boundaries(benchmark, images: Images) -> None:
    benchmark(boundaries, images[0])


def test_filter_small(benchmark, images: Images) -> None:
    benchmark(filter_small, images[0], 500.0, Voxel((1, 1, 1)))


def test_fill_holes(benchmark, images: Images) -> None:
    benchmark.pedantic(fill_holes, (images[0], Voxel((1, 1, 1))), rounds=3)
