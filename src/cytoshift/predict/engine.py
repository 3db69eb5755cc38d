"""Who does the blocks: this process, its threads, processes on this machine, or a dask cluster.

An engine calls a function with each of some numbers, in any order and on any machine, and tells which are done. All
that travels is the function, which knows the path of a folder, and the number of a block.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager
from itertools import islice
from typing import Any, Protocol

from ..core.errors import UserError
from ..core.processes import Workers, WorkersDied

Work = Callable[[int], None]
AHEAD = 4  # blocks given out per worker: nobody waits, and few are lost where all is stopped
CLUSTERS = {"slurm": "SLURMCluster", "lsf": "LSFCluster"}
ANSWER = 30  # seconds that a scheduler has to answer
STARTED = 600  # seconds that a batch system has for the first worker
NO_MEMORY = (
    "workers died again and again at the same block, as they do where memory ends; pass a smaller --memory or fewer "
    "--workers, the same command goes on where this one stopped"
)


class Engine(Protocol):
    workers: int  # that share this machine

    def __call__(self, work: Work, numbers: Sequence[int]) -> Iterator[int]:
        """The numbers, each once its work is done."""
        ...


class Serial:
    workers = 1

    def __call__(self, work: Work, numbers: Sequence[int]) -> Iterator[int]:
        for number in numbers:
            work(number)
            yield number


class Threads:
    """They share the network and the memory of one process; the kernels let go of Python's lock."""

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def __call__(self, work: Work, numbers: Sequence[int]) -> Iterator[int]:
        rest = iter(numbers)
        with ThreadPoolExecutor(self.workers) as pool:
            running = {pool.submit(work, n): n for n in islice(rest, self.workers)}
            try:
                while running:
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        number = running.pop(future)
                        future.result()
                        yield number
                        running |= {pool.submit(work, n): n for n in islice(rest, 1)}
            finally:
                for future in running:
                    future.cancel()


class Processes:
    """Each has a network of its own, and its own share of the threads. A block of one that is lost is done again."""

    def __init__(self, pool: Workers) -> None:
        self.pool, self.workers = pool, pool.count

    def __call__(self, work: Work, numbers: Sequence[int]) -> Iterator[int]:
        try:
            for place, _ in self.pool.unordered(work, numbers):
                yield numbers[place]
        except WorkersDied as error:
            raise UserError(NO_MEMORY) from error


class Dask:
    """A cluster behind a client. A block of a worker that is lost is done again by another one."""

    workers = 1  # on this machine there may be none

    def __init__(self, client: Any) -> None:
        self.client = client

    def __call__(self, work: Work, numbers: Sequence[int]) -> Iterator[int]:
        as_completed, killed = dask().as_completed, dask().KilledWorker

        rest, many = iter(numbers), AHEAD * max(len(self.client.scheduler_info(n_workers=-1)["workers"]), 1)

        def give(count: int) -> list[Any]:
            return [self.client.submit(work, n, pure=False, key=f"block-{n}-{id(rest)}") for n in islice(rest, count)]

        def number_of(future: Any) -> int:
            return int(future.key.split("-")[1])

        running = as_completed(give(many))
        try:
            for future in running:
                future.result()
                yield number_of(future)
                for more in give(1):
                    running.add(more)
        except killed as error:
            raise UserError(NO_MEMORY) from error
        finally:
            self.client.cancel([future for future in running.futures])


@contextmanager
def engine(scheduler: str | None, workers: int) -> Iterator[Engine]:
    """The engine of that name.

    scheduler: "serial", "threads", the address of a dask scheduler, "slurm" or "lsf" (whose jobs are described in
    dask's own jobqueue.yaml); by default serial, or with several workers so many processes on this machine.
    Raises UserError where dask is needed and missing, or does not answer.
    """
    if scheduler == "serial" or (scheduler is None and workers < 2):
        yield Serial()
    elif scheduler == "threads":
        yield Threads(max(workers, 1))
    elif scheduler is None:
        with Workers(workers) as pool:
            yield Processes(pool)
    else:
        with cluster(scheduler, max(workers, 1)) as client:
            yield Dask(client)


def dask() -> Any:
    """The library, which has few types and is an extra."""
    try:
        import distributed
    except ImportError:
        raise UserError(
            "schedulers need dask, which is not installed; pip install 'cytoshift[cluster]', or leave --scheduler out "
            "to work on this machine"
        ) from None
    return distributed


@contextmanager
def cluster(scheduler: str, workers: int) -> Iterator[Any]:
    """The client of a dask cluster."""
    Client = dask().Client
    if scheduler in CLUSTERS:
        with batch(scheduler, workers) as jobs, Client(jobs) as client:
            try:
                client.wait_for_workers(1, timeout=STARTED)
            except TimeoutError:
                raise UserError(
                    f"no job of {scheduler} has started for {STARTED} seconds; look at its queue and at jobqueue.yaml"
                ) from None
            yield client
    else:
        try:
            client = Client(scheduler, timeout=ANSWER)
        except (OSError, TimeoutError, ValueError) as error:
            raise UserError(
                f"no dask scheduler answers at {scheduler} ({error}); start one with 'dask scheduler', or pass "
                f"serial, threads, slurm or lsf"
            ) from None
        with client:
            yield client


@contextmanager
def batch(scheduler: str, workers: int) -> Iterator[Any]:
    try:
        import dask_jobqueue
    except ImportError:
        raise UserError(
            f"{scheduler} needs dask-jobqueue, which is not installed; pip install 'cytoshift[cluster]'"
        ) from None
    try:
        jobs = getattr(dask_jobqueue, CLUSTERS[scheduler])()
    except (ValueError, TypeError) as error:
        raise UserError(
            f"jobs for {scheduler} are not described ({error}); set cores and memory of jobqueue.{scheduler} in "
            f"~/.config/dask/jobqueue.yaml"
        ) from None
    with jobs:
        jobs.scale(workers)
        yield jobs
