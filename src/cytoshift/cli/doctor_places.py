"""Where Cytoshift may write on this machine: compiled code, temporary files, shared memory."""

import os
import shutil
import tempfile
from typing import Any

GIB, MIB = 2**30, 2**20  # bytes
LITTLE = 64 * MIB  # bytes of shared memory; docker's default


def look_at_places(problems: list[str], advice: list[str]) -> dict[str, Any]:
    """Try a compiled loop, and find out what can be written.

    Parameters
    ----------
    problems, advice
        Get a sentence, with its cure, for what is wrong and for what could be better.

    Returns
    -------
    dict
        compiled_code: the folder, or None where nothing is kept. shared_memory_mib: what is free, None without a limit.
    """
    from ..core.compiled import cache_folder
    from ..core.machine import shared_memory

    kept, shared = cache_folder(), shared_memory()
    if wrong := wrong_loops():
        problems.append(f"numba does not compile ({wrong}); install Cytoshift into a new environment")
    if kept is None:
        advice.append(
            "no folder for compiled code can be written, so each command compiles its loops anew, which takes up to a "
            "minute; set NUMBA_CACHE_DIR to a folder that you may write to"
        )
    if shared is not None and shared < LITTLE:
        advice.append(
            f"shared memory (/dev/shm) has {shared / MIB:.3g} MiB free, and train.workers may need more; leave "
            "train.workers at 0, or enlarge it (docker run --shm-size=1g)"
        )
    return {
        "compiled_code": None if kept is None else str(kept),
        "shared_memory_mib": None if shared is None else shared / MIB,
    }


def wrong_loops() -> str:
    """What is wrong with a loop that is compiled, or loaded, and run; "" where it counts right."""
    import numpy as np

    try:
        from ..labels.kernels import count_pairs

        ones, others = np.array([0, 1, 1, 2], np.uint32), np.array([5, 5, 5, 7], np.uint32)
        counts = sorted(count_pairs(ones, others)[2].tolist())
    except Exception as error:  # whatever a broken compiler raises is the finding
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return "" if counts == [1, 1, 2] else f"it counts {counts} where [1, 1, 2] is right"


def free_disk() -> dict[str, float]:
    """GiB that are free in this folder and in the one for temporary files."""
    found = {}
    for place in (os.getcwd, tempfile.gettempdir):
        try:
            path = place()
            found[path] = shutil.disk_usage(path).free / GIB
        except OSError:  # a folder that was removed, or none for temporary files that can be written
            continue
    return found


def places_line(places: dict[str, Any]) -> str:
    shared = places["shared_memory_mib"]
    return ", ".join([
        f"compiled code in {places['compiled_code']}" if places["compiled_code"] else "compiled code is not kept",
        f"{shared:.3g} MiB of shared memory free" if shared is not None else "shared memory without a limit",
    ])  # fmt: skip
