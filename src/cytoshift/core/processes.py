"""Processes on this machine that do one task after the other.

They are started afresh (spawn), as threads of torch and numba do not survive a fork, and are spoken to through pipes:
no semaphore and no shared memory is needed, which containers may lack. A worker ends with its parent, however that
ends. The task of a worker that was killed is done by another one.
"""

import contextlib
import os
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from threading import Thread
from types import TracebackType
from typing import Any, TypeVar

from .signals import ignore_signals
from .threads import share_cores

T = TypeVar("T")
R = TypeVar("R")

TRIES = 4  # workers that may die of the same task: memory that others took for a moment is no reason to give up
PATIENCE = 5.0  # seconds that an idle worker has to leave
ENDING = 60.0  # seconds that a worker has to end what it does in order, where its task listens to SIGTERM


class WorkersDied(RuntimeError):
    """One task has killed every worker that tried it, as it happens where memory runs out."""


@dataclass
class Worker:
    """A process, our end of its pipe, and the number of the task that it does."""

    process: Any
    pipe: Connection
    number: int | None = None


class Workers:
    """A pool of processes; what they do has to be picklable, and may be repeated.

    Parameters
    ----------
    count
        How many.
    tries
        Workers that may die of the same task before it is given up.
    module
        If given, all processes start at once and import it while this process prepares their tasks. Default: a process
        starts with its first task.

    Examples
    --------
    >>> with Workers(2) as workers:  # doctest: +SKIP
    ...     list(workers.map(abs, [-1, -2]))
    [1, 2]
    """

    def __init__(self, count: int, tries: int = TRIES, module: str | None = None) -> None:
        self.count, self.tries, self.module = count, tries, module
        self.workers: list[Worker] = []

    def __enter__(self) -> "Workers":
        for _ in range(self.count if self.module else 0):
            self.hire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:  # the user waits for a sentence
            self.dismiss(self.workers)
        for worker in self.workers:
            worker.pipe.close()  # an idle worker leaves by itself
        for worker in self.workers:
            worker.process.join(PATIENCE)
        self.dismiss(self.workers)

    def map(self, work: Callable[[T], R], tasks: Iterable[T]) -> Iterator[R]:
        """The results of `work`, in the order of the tasks."""
        early: dict[int, R] = {}
        following = 0
        for number, result in self.unordered(work, tasks):
            early[number] = result
            while following in early:
                yield early.pop(following)
                following += 1

    def unordered(self, work: Callable[[T], R], tasks: Iterable[T]) -> Iterator[tuple[int, R]]:
        """The number of each task (0, 1, ...) and its result, as they are finished.

        Raises what `work` raises, and WorkersDied. Where the caller leaves early, workers amid a task are stopped.
        """
        waiting, again = enumerate(tasks), list[tuple[int, T]]()
        given: dict[int, T] = {}
        deaths: dict[int, int] = {}
        try:
            while True:
                while len(given) < self.count and (task := again.pop() if again else next(waiting, None)):
                    given[task[0]] = task[1]
                    self.give(work, *task)
                if not given:
                    return
                for worker in self.wait_for_results():
                    number = worker.number
                    assert number is not None, "only workers amid a task are waited for"
                    try:
                        done, result = worker.pipe.recv()
                    except (EOFError, OSError):
                        self.dismiss([worker])
                        deaths[number] = deaths.get(number, 0) + 1
                        if deaths[number] >= self.tries:
                            raise WorkersDied(f"task {number} ended {self.tries} workers") from None
                        again.append((number, given.pop(number)))
                        continue
                    worker.number = None
                    del given[number]
                    if not done:
                        raise result
                    yield number, result
        finally:
            self.dismiss([worker for worker in self.workers if worker.number is not None])

    def wait_for_results(self) -> list[Worker]:
        """Workers that have an answer or are dead, once there is one."""
        pipes = {worker.pipe: worker for worker in self.workers if worker.number is not None}
        return [pipes[pipe] for pipe in wait(list(pipes)) if isinstance(pipe, Connection)]

    def give(self, work: Callable[[Any], Any], number: int, task: Any) -> None:
        """A task to an idle worker, or to a new one."""
        worker = next((worker for worker in self.workers if worker.number is None), None) or self.hire()
        worker.number = number
        # It may have died while it was idle: `unordered` finds its pipe closed and gives the task to another one.
        with contextlib.suppress(OSError):
            worker.pipe.send((work, task))

    def hire(self) -> Worker:
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        # No daemon: those may not have children.
        process = context.Process(target=serve, args=(theirs, self.count, self.module))
        process.start()
        theirs.close()  # so that ours ends when the process does
        worker = Worker(process, ours)
        self.workers.append(worker)
        return worker

    def dismiss(self, workers: list[Worker]) -> None:
        """Stop workers, whatever they do; a task may end in order by listening to SIGTERM."""
        leaving = list(workers)
        for worker in leaving:
            self.workers.remove(worker)
            worker.pipe.close()
            worker.process.terminate()
        until = time.monotonic() + ENDING
        for worker in leaving:
            worker.process.join(max(until - time.monotonic(), 0))
            worker.process.kill()
            worker.process.join()


def serve(pipe: Connection, workers: int, module: str | None) -> None:
    """What one of so many workers does: tasks until the pipe is closed; a module is imported before the first one."""
    ignore_signals()
    share_cores(workers)
    follow_parent()
    if module is not None:
        import_module(module)
    while True:
        try:
            work, task = pipe.recv()
        except EOFError:
            return
        try:
            answer = True, work(task)
        except BaseException as error:
            error.add_note("in a worker:\n" + "".join(traceback.format_exception(error)))
            answer = False, error
        try:
            pipe.send(answer)
        except OSError:  # the parent has gone
            return
        except Exception as error:  # what cannot be pickled
            pipe.send((False, RuntimeError(f"{answer[1]!r} cannot be sent back: {error}")))


def follow_parent() -> None:
    """End this process with its parent, however that ends, so that nobody works on unseen."""

    def follow() -> None:
        parent = parent_process()
        if parent is not None:
            parent.join()
        os._exit(1)

    Thread(target=follow, daemon=True).start()
