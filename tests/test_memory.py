"""Commands on images that do not fit stay below 2 GB; `benchmarks/memory.py` prints what they take."""

import importlib.util
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
LIMIT = 2.0  # GB


@pytest.fixture(scope="module")
def bench():
    path = Path(__file__).parents[1] / "benchmarks" / "memory.py"
    spec = importlib.util.spec_from_file_location("memory_benchmark", path)
    module = importlib.util.module_from_spec(spec)
    before = list(sys.path)
    spec.loader.exec_module(module)
    sys.path[:] = before
    return module


@pytest.fixture(scope="module")
def images(bench, tmp_path_factory):
    return bench.images(tmp_path_factory.mktemp("images"))


NAMES = (
    "strips, deflate", "rows, deflate", "one strip, deflate", "one strip, uncompressed", "tiles, deflate",
    "tiles, nuclei", "tiles, sparse", "volume, OME-Zarr",
)  # fmt: skip


@pytest.mark.parametrize("verb", ["info", "new", "trust"])
@pytest.mark.parametrize("name", NAMES)
def test_large_images_take_less_than_2_gb(name, verb, bench, images):
    path = images[name]
    row = bench.watched(bench.commands(path.parent, name, path)[verb], 60)
    assert row["gb"] < LIMIT and row["code"] in (0, 2), row


def test_segment_keeps_to_the_memory_that_it_is_told(bench, tmp_path):
    path = bench.bigtiff(tmp_path / "a.tif", 10_000, 8, tile=1024, body=bench.deflated(2**20))
    words = bench.commands(tmp_path, "a", path)["segment"]
    row = bench.watched(words, 60)
    assert row["gb"] < float(bench.LIMIT.removesuffix("GB")) and row["code"] == 0, row
