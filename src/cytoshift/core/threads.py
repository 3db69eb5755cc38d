"""How many threads compute a network.

Kernels share out their sums among threads, so another number of threads may round otherwise, and a training that rounds
otherwise ends elsewhere. The number is therefore a constant and not what a machine happens to have: the same command
gives the same bytes with any number of cores, any OMP_NUM_THREADS and any load. Where a process has less than two
cores to itself, one thread computes in place of two, once it has given the same bytes on windows of the image (see
predict/ways.py): two threads that share a core wait for each other, and two processes with two each were slower than
one.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

SPINS = "20000"  # of a thread that waits for another; a fraction of a millisecond
ONE_AT_A_TIME = threading.Lock()
BESIDE = [1]  # processes that share the cores of this one, itself included
THREADS = 2  # of a network that segments; more gain little, and cores beyond that draw other tiles at the same time
TRAINING_THREADS = 1  # oneDNN's weight gradients in bfloat16 wait in a loop that never gives its core away


def wait_briefly() -> None:
    """Have threads that wait give their core away soon; for programs of their own, before torch is loaded.

    By default GNU's OpenMP has them turn for milliseconds, at each of a thousand barriers in a step. Where another
    program wants the core as well, a training then takes twice the time and more. On a quiet machine nothing changes.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", SPINS)


def share_cores(processes: int) -> None:
    """Told to a process that works beside others of one command, by which it was started."""
    BESIDE[0] = max(processes, 1)


def own_cores() -> int:
    """Cores that this process has to itself: those it may run on, divided by the processes that share them."""
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(here // BESIDE[0], 1)


def threads_at_hand() -> int:
    """`own_cores`, or OMP_NUM_THREADS where that is less; dask and batch systems set it."""
    wished = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return min(int(wished), own_cores()) if wished.isdecimal() and int(wished) > 0 else own_cores()


@cache
def initialise_math_library() -> None:
    """Let MKL find out in one thread which processor it has; to be called before several threads compute.

    Its vector functions (tanh, exp, log, ...) look at the processor on their first call. Where two threads make that
    call at once, one of them can take the code of another processor, once: in 3 to 8 of 100 processes half of the first
    tanh of a training had other last digits (torch 2.13.0), and the same command then gave another model.
    """
    import torch

    some = torch.linspace(0.1, 0.9, 64)  # too few numbers for two threads
    for function in (torch.tanh, torch.exp, torch.log, torch.sqrt, torch.sin, torch.erf, torch.expm1, torch.log1p):
        function(some)


@contextmanager
def torch_threads(training: bool = False, single: bool = False) -> Iterator[None]:
    """Torch computes with THREADS threads in here, with TRAINING_THREADS or with a single one, in this Python thread.

    Why a training has one: with two, a step takes 0.7 of the time where two cores are idle, but three to five times as
    long where both threads share a core, as on a busy machine (benchmarks/bench_training_threads.py).
    """
    import torch

    with ONE_AT_A_TIME:
        initialise_math_library()
    before = torch.get_num_threads()
    torch.set_num_threads(TRAINING_THREADS if training else 1 if single else THREADS)
    try:
        yield
    finally:
        torch.set_num_threads(before)
