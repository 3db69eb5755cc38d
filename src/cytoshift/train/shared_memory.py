"""Whether the shared memory of this machine holds the batches that workers hand over."""

from ..core.errors import UserError
from ..core.machine import shared_memory
from ..data.streams import Batches

PLENTY = 1 << 30  # bytes; with so much, no batch is drawn to find out
AHEAD = 2  # batches that torch's loader has each worker prepare
PAGE = 1 << 12  # bytes; the least that a tensor or a semaphore takes
SEMAPHORES = 8  # of the queues between a worker and the training, and as many of their own


def check_shared_memory(batches: Batches, workers: int) -> None:
    """Raise UserError where the batches of `workers` processes do not fit into /dev/shm.

    Containers often have a small one, docker by default 64 MB; torch would end in the middle of a training.
    """
    free = shared_memory() if workers else None
    if free is None or free >= PLENTY:
        return
    tensors = [tensor.nbytes for part in batches[0] for tensor in part]
    batch = sum(-(-size // PAGE) * PAGE for size in tensors)
    needed = (workers * AHEAD + 1) * batch + (workers + 1) * SEMAPHORES * PAGE
    if free < needed:
        raise UserError(
            f"train.workers={workers} hands batches over in shared memory and needs {needed / 1e6:.3g} MB of it, "
            f"/dev/shm has {free / 1e6:.3g} MB free; set train.workers=0, or enlarge it (docker run --shm-size=1g)"
        )
