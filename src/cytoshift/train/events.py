"""Curves as event files, which TensorBoard shows.

tensorboardX's own `SummaryWriter` hands them to a thread through a queue of `multiprocessing`, which needs semaphores:
in a container without shared memory no training would begin. A few numbers now and then are written at once here.
"""

import time
from pathlib import Path

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.summary import scalar


class Events:
    """A new event file in a folder; points after `step` in older files of the folder are dropped.

    Parameters
    ----------
    folder
        Is made where it is missing.
    step
        That the training goes on from.
    """

    def __init__(self, folder: Path, step: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        # The library names files by the second: two that are begun within one would be the same.
        self.writer = EventsWriter(str(folder / "events"), f".{time.monotonic_ns()}")
        self.writer.write_event(
            Event(wall_time=time.time(), step=step + 1, session_log=SessionLog(status=SessionLog.START))
        )
        self.writer.flush()

    def add(self, step: int, numbers: dict[str, float]) -> None:
        """One point of each curve."""
        for name, value in numbers.items():
            self.writer.write_event(Event(wall_time=time.time(), step=step, summary=scalar(name, value)))
        self.writer.flush()

    def close(self) -> None:
        self.writer.close()
