"""How many steps of a training fit into a time."""

import tempfile
import time
from pathlib import Path

import numpy as np

from ..core.progress import follow_progress
from ..train.fit import fit
from ..train.run_settings import Run

# Of short trainings: the difference in time of the last two says what a step takes. What is done once in a process is
# done in the first one.
TIMED_STEPS = (3, 3, 9)
STEPS_SHARE = 0.1  # of the longest is its steps, at least: on a busy machine the difference in time may be none
LEAST_STEPS = 50  # of a training; fewer change nothing that can be seen


def steps_within(seconds: float, run: Run) -> int:
    """So many steps as fit, to two digits. They are timed on this machine, by trainings whose results are dropped."""
    took = []
    with tempfile.TemporaryDirectory() as folder, follow_progress(lambda *_: None):
        for number, steps in enumerate(TIMED_STEPS):
            began = time.perf_counter()
            fit(with_steps(run, steps), Path(folder) / str(number), quiet=True)
            took.append(time.perf_counter() - began)
    each = max((took[-1] - took[-2]) / (TIMED_STEPS[-1] - TIMED_STEPS[-2]), STEPS_SHARE * took[-1] / TIMED_STEPS[-1])
    return max(round_down(seconds / each), LEAST_STEPS)


def with_steps(run: Run, steps: int) -> Run:
    return run.model_copy(update={"train": run.train.model_copy(update={"steps": steps})})


def round_down(number: float) -> int:
    """To two digits.

    >>> round_down(1287.3), round_down(7.9)
    (1200, 7)
    """
    unit = 10 ** max(int(np.log10(max(number, 1))) - 1, 0)
    return int(number // unit * unit)
