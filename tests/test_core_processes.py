"""Processes for tasks: in order, one for another, and none that stays behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cytoshift.core.errors import UserError
from cytoshift.core.processes import Workers, WorkersDied
from cytoshift.core.threads import own_cores, threads_at_hand


def squared(n):
    return n * n


def refused(n):
    if n == 3:
        raise UserError("no threes")
    return n


def late(n):
    time.sleep(0.2 if n == 0 else 0)
    return n


def fatal_once(folder, n):
    """The first worker that does number 2 is killed."""
    mark = Path(folder) / "died"
    if n == 2 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return n


class FatalOnce:
    def __init__(self, folder):
        self.folder = folder

    def __call__(self, n):
        return fatal_once(self.folder, n)


def fatal(n):
    os.kill(os.getpid(), signal.SIGKILL)


def unpicklable(n):
    return lambda: n


def count_cores(_):
    return own_cores()


def test_processes_share_the_cores_of_the_machine(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    here = own_cores()
    with Workers(2) as workers:
        assert set(workers.map(count_cores, range(4))) == {max(here // 2, 1)}
    monkeypatch.setenv("OMP_NUM_THREADS", "1,2")
    assert threads_at_hand() == 1 and own_cores() == here
    for meaningless in ("all", "0", ""):
        monkeypatch.setenv("OMP_NUM_THREADS", meaningless)
        assert threads_at_hand() == here


def test_results_come_in_order_and_the_same_processes_do_more():
    with Workers(2) as workers:
        assert list(workers.map(squared, iter(range(7)))) == [n * n for n in range(7)]
        first = {worker.process.pid for worker in workers.workers}
        assert list(workers.map(late, range(5))) == list(range(5))
        assert {worker.process.pid for worker in workers.workers} == first and len(first) == 2
        assert sorted(workers.unordered(squared, [5, 6])) == [(0, 25), (1, 36)]
        assert list(workers.map(squared, [])) == []
        left = [worker.process for worker in workers.workers]
    assert not any(process.is_alive() for process in left)


def imported(name):
    return name in sys.modules


def test_processes_that_start_ahead_have_imported_the_module():
    with Workers(2, module="wave") as workers:
        assert len(workers.workers) == 2 and all(worker.number is None for worker in workers.workers)
        assert list(workers.map(imported, ["wave"] * 4)) == [True] * 4
    with Workers(2) as workers:
        assert not workers.workers


def test_after_an_error_nobody_gets_ready_any_more():
    with pytest.raises(UserError), Workers(2, module="torch") as workers:
        left = [worker.process for worker in workers.workers]
        raise UserError("no images")
    assert not any(process.is_alive() for process in left)


def test_what_a_task_raises_is_raised_here_and_the_pool_goes_on():
    with Workers(2) as workers:
        with pytest.raises(UserError, match="no threes") as caught:
            list(workers.map(refused, range(5)))
        assert "test_core_processes.py" in caught.value.__notes__[0]
        assert list(workers.map(squared, range(3))) == [0, 1, 4]
        with pytest.raises(RuntimeError, match="cannot be sent back"):
            list(workers.map(unpicklable, range(1)))


def test_the_task_of_a_lost_worker_is_done_by_another(tmp_path):
    with Workers(2) as workers:
        assert list(workers.map(FatalOnce(str(tmp_path)), range(5))) == list(range(5))
    assert (tmp_path / "died").exists()


def test_a_worker_that_died_idle_is_replaced():
    with Workers(1) as workers:
        assert list(workers.map(squared, [2])) == [4]
        workers.workers[0].process.kill()
        workers.workers[0].process.join()
        assert list(workers.map(squared, [3])) == [9]


def test_a_task_that_kills_whoever_tries_it_is_given_up():
    with Workers(1, tries=2) as workers, pytest.raises(WorkersDied, match="ended 2 workers"):
        list(workers.map(fatal, range(3)))


def test_who_leaves_early_stops_what_runs():
    with Workers(2) as workers:
        for _ in workers.unordered(time.sleep, [0.0, 60.0, 60.0]):
            break
        assert all(worker.number is None for worker in workers.workers)


PARENT = """
import sys, time
from cytoshift.core.processes import Workers
if __name__ == "__main__":
    with Workers(2) as workers:
        for _ in workers.unordered(time.sleep, [0.0, 0.0, 60.0, 60.0]):
            print(*[worker.process.pid for worker in workers.workers], flush=True)
"""


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
def test_workers_end_with_a_parent_that_was_killed(tmp_path):
    (tmp_path / "parent.py").write_text(PARENT)
    parent = subprocess.Popen([sys.executable, str(tmp_path / "parent.py")], stdout=subprocess.PIPE, text=True)
    children = [int(word) for _ in range(2) for word in parent.stdout.readline().split()]
    parent.kill()
    parent.communicate()

    def alive(process: int) -> bool:
        try:
            return (Path("/proc") / str(process) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except (FileNotFoundError, ProcessLookupError):
            return False

    until = time.monotonic() + 30
    while any(map(alive, children)) and time.monotonic() < until:
        time.sleep(0.05)
    assert children and not any(map(alive, children))
