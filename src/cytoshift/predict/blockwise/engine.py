"""Who does the images or the blocks: this process, its threads, processes on this machine, or a dask cluster.

An engine calls a function with each of some tasks, in any order and on any machine, and gives back the tasks and their
results. What travels is the function, which knows the path of a folder, and a task: the number of a block, or a group
of images that nobody has read yet.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager
from itertools import islice
from typing import Any, Protocol, TypeVar

from ...core.errors import UserError
from ...core.processes import Workers, WorkersDied

T = TypeVar("T")
R = TypeVar("R")
TASKS_AHEAD = 4  # blocks given out per worker: nobody waits, and few are lost where all is stopped
CLUSTERS = {"slurm": "SLURMCluster", "lsf": "LSFCluster"}
ANSWER_SECONDS = 30  # seconds that a scheduler has to answer
START_SECONDS = 600  # seconds that a batch system has for the first worker
WORK = "cytoshift.predict.images"  # what processes import ahead: most of the seconds in which they get ready
NO_MEMORY = (
    "workers died repeatedly at the same task, probably because memory ran out; pass a smaller `memory` or fewer "
    "`workers`, the same command goes on where this one stopped"
)


class Engine(Protocol):
    workers: int  # that share this machine
    here: bool  # whether tasks are done in this process and see its memory

    def __call__(self, work: Callable[[T], R], tasks: Sequence[T]) -> Iterator[tuple[T, R]]:
        """Each task with its result, once it is done."""
        ...


class Serial:
    workers, here = 1, True

    def __call__(self, work: Callable[[T], R], tasks: Sequence[T]) -> Iterator[tuple[T, R]]:
        for task in tasks:
            yield task, work(task)


class Threads:
    """They share the network and the memory of one process; the kernels let go of Python's lock."""

    here = True

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def __call__(self, work: Callable[[T], R], tasks: Sequence[T]) -> Iterator[tuple[T, R]]:
        rest = iter(tasks)
        with ThreadPoolExecutor(self.workers) as pool:
            running = {pool.submit(work, task): task for task in islice(rest, self.workers)}
            try:
                while running:
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        task = running.pop(future)
                        yield task, future.result()
                        running |= {pool.submit(work, task): task for task in islice(rest, 1)}
            finally:
                for future in running:
                    future.cancel()


class Processes:
    """Each has a network of its own, and its own share of the threads. A task of one that is lost is done again."""

    here = False

    def __init__(self, pool: Workers) -> None:
        self.pool, self.workers = pool, pool.count

    def __call__(self, work: Callable[[T], R], tasks: Sequence[T]) -> Iterator[tuple[T, R]]:
        try:
            for place, result in self.pool.unordered(work, tasks):
                yield tasks[place], result
        except WorkersDied as error:
            raise UserError(NO_MEMORY) from error


class Dask:
    """A cluster behind a client. A task of a worker that is lost is done again by another one."""

    workers, here = 1, False  # on this machine there may be none

    def __init__(self, client: Any) -> None:
        self.client = client

    def __call__(self, work: Callable[[T], R], tasks: Sequence[T]) -> Iterator[tuple[T, R]]:
        as_completed, killed = dask().as_completed, dask().KilledWorker

        rest = iter(enumerate(tasks))
        many = TASKS_AHEAD * max(len(self.client.scheduler_info(n_workers=-1)["workers"]), 1)

        def give(count: int) -> list[Any]:
            return [
                self.client.submit(work, task, pure=False, key=f"task-{place}-{id(rest)}")
                for place, task in islice(rest, count)
            ]

        running = as_completed(give(many))
        try:
            for future in running:
                yield tasks[int(future.key.split("-")[1])], future.result()
                for more in give(1):
                    running.add(more)
        except killed as error:
            raise UserError(NO_MEMORY) from error
        finally:
            self.client.cancel([future for future in running.futures])


@contextmanager
def engine(scheduler: str | None, workers: int, ahead: bool = False) -> Iterator[Engine]:
    """The engine of that name.

    scheduler: "serial", "threads", the address of a dask scheduler, "slurm" or "lsf" (whose jobs are described in
    dask's own jobqueue.yaml); by default serial, or with several workers so many processes on this machine.
    ahead: processes on this machine start now and not with their first task, so that they are ready when that is known.
    Raises UserError where dask is needed and missing, or does not answer.
    """
    if scheduler == "serial" or (scheduler is None and workers < 2):
        yield Serial()
    elif scheduler == "threads":
        yield Threads(max(workers, 1))
    elif scheduler is None:
        with Workers(workers, module=WORK if ahead else None) as pool:
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
            "schedulers need dask, which is not installed; pip install 'cytoshift[cluster]', or leave `scheduler` out "
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
                client.wait_for_workers(1, timeout=START_SECONDS)
            except TimeoutError:
                raise UserError(
                    f"no job of {scheduler} has started for {START_SECONDS} seconds; look at its queue and at "
                    "jobqueue.yaml"
                ) from None
            yield client
    else:
        try:
            client = Client(scheduler, timeout=ANSWER_SECONDS)
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
