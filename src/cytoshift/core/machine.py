"""What a result was made with: the machine, the versions, the memory that it took."""

import os
import platform
import re
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from .. import __version__

LIBRARIES = ("torch", "lightning-fabric", "numpy", "scipy", "scikit-image", "numba", "tifffile", "zarr")
STATM = Path("/proc/self/statm")  # Linux
CPUINFO = Path("/proc/cpuinfo")
SHARED = Path("/dev/shm")


def versions() -> dict[str, str]:
    """Of the program, of Python and of the libraries that decide about numbers."""
    found = {"cytoshift": __version__, "python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, Any]:
    """System, processor, cores and, where torch has found some, CUDA cards; no name of a host or of a user."""
    found: dict[str, Any] = {"system": platform.platform(terse=True), "cpu": processor(), "cores": os.cpu_count()}
    torch = sys.modules.get("torch")
    if torch is not None:
        found["threads"] = torch.get_num_threads()
        found["cards"] = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
    return found


def processor() -> str:
    found = re.search(r"model name\s*: (.+)", CPUINFO.read_text()) if CPUINFO.exists() else None
    return found.group(1) if found else platform.processor() or platform.machine()


def memory() -> float | None:
    """What this process holds now, in GB; where the system does not tell, the most that it has held, or None."""
    try:
        pages = int(STATM.read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return peak_memory()
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e9


def shared_memory() -> int | None:
    """Bytes that processes may still share in /dev/shm, 0 where it cannot be used; None where there is no limit."""
    if sys.platform != "linux":
        return None
    try:
        found = os.statvfs(SHARED)
    except OSError:
        return 0
    return found.f_bavail * found.f_frsize if os.access(SHARED, os.W_OK) else 0


def peak_memory() -> float | None:
    """Most memory that this process has held, in GB; None where the system does not tell."""
    if sys.platform == "win32":
        return None
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used * (1 if sys.platform == "darwin" else 1024) / 1e9


def peak_card_memory() -> float | None:
    """Most memory that tensors have taken of a CUDA card, in GB; None where there is none."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return None
    return float(torch.cuda.max_memory_allocated()) / 1e9
