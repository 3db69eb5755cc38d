"""Networks are computed by the same number of threads everywhere; the first numbers are those of later calls."""

import subprocess
import sys

import pytest
import torch

from cytoshift.core import threads

FIRST = """
import torch
from cytoshift.core.threads import torch_threads
with torch_threads():
    torch.set_num_threads(2)
    image = torch.linspace(-1, 1, 40_000)
    first, second = image.tanh(), image.tanh()
    assert torch.equal(first, second), int((first != second).sum())
"""


def test_the_math_library_is_initialised_before_threads_compute():
    threads.initialise_math_library.cache_clear()
    before = torch.get_num_threads()
    with threads.torch_threads():
        assert threads.initialise_math_library.cache_info().currsize == 1
        assert torch.get_num_threads() == threads.THREADS
    with threads.torch_threads(training=True):
        assert torch.get_num_threads() == threads.TRAINING_THREADS
    assert torch.get_num_threads() == before


@pytest.mark.slow
def test_the_first_tanh_of_a_process_is_as_every_later_one():
    """Without that, it is another one in 3 to 8 of 100 processes."""
    for _ in range(80):
        subprocess.run([sys.executable, "-c", FIRST], check=True)
