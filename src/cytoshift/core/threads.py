"""How many threads compute a network.

Kernels share out their sums among threads, so another number of threads rounds otherwise, and a training that rounds
otherwise ends elsewhere. The number is therefore a constant and not what a machine happens to have: the same command
gives the same bytes with any number of cores, any OMP_NUM_THREADS and any load.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

SPINS = "20000"  # of a thread that waits for another; a fraction of a millisecond
THREADS = 2  # more gain little for networks of a laptop; cores beyond that draw other tiles at the same time


def wait_briefly() -> None:
    """Have threads that wait give their core away soon; for programs of their own, before torch is loaded.

    By default GNU's OpenMP has them turn for milliseconds, at each of a thousand barriers in a step. Where another
    program wants the core as well, a training then takes twice the time and more. On a quiet machine nothing changes.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", SPINS)


@contextmanager
def threads() -> Iterator[None]:
    """Torch computes with THREADS threads in here, in this thread of Python."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        yield
    finally:
        torch.set_num_threads(before)
