"""What a run leaves to look at: log.jsonl, TensorBoard curves, sheets of translated samples, a progress line."""

import json
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.summary import scalar
from torch import Tensor

from ..core.progress import Progress, format_duration, memory_text
from ..draw import composite, image_grid, save_png

SIZE = 192  # pixels of one picture of a sheet


class Log:
    """Writes only in the main process; lines after the step a run continues from are dropped, not doubled."""

    def __init__(self, out: Path, start: int, steps: int, main: bool, quiet: bool):
        self.out, self.main, self.steps = out, main, steps
        self.path = out / "log.jsonl"
        self.progress = Progress("training", steps, quiet=quiet or not main, done=start)
        self.events: Events | None = None
        if main:
            drop_lines_after(self.path, start)
            self.events = Events(out / "tensorboard", start)

    def __enter__(self) -> "Log":
        self.progress.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.__exit__(kind, error, trace)
        if self.events:
            self.events.close()

    def step(self, step: int, numbers: dict[str, float], voxels_per_second: float, eta: float) -> None:
        """One line of log.jsonl, one point of every curve, one line or a longer bar for the person waiting."""
        if not self.main:
            return
        self.write({"step": step, **{k: float(f"{v:.6g}") for k, v in numbers.items()}})
        if self.events:
            self.events.add(step, numbers)
        speed = f"{voxels_per_second / 1e6:.2f} Mvoxel/s"
        if self.progress.is_live:
            self.progress.update(step, f"training, step {step} of {self.steps}", speed)
        else:
            terms = " ".join(f"{k.split('/')[-1]} {v:.3g}" for k, v in numbers.items() if "/" in k)
            self.progress.say(
                f"step {step}/{self.steps}  {speed}  ETA {format_duration(eta)}  {memory_text()}  {terms}"
            )

    def say(self, text: str) -> None:
        """A sentence for the console and, as {"note": ...}, for the log."""
        if self.main:
            self.write({"note": text})
            self.progress.say(text)

    def rewind(self, step: int) -> None:
        """Take back the numbers after `step`, to which the training returns; what was said stays."""
        if not self.main:
            return
        rows = [line for line in self.path.read_text().splitlines() if json.loads(line).get("step", 0) <= step]
        rewrite(self.path, rows)
        if self.events:
            self.events.close()
        self.events = Events(self.out / "tensorboard", step)

    def pictures(self, step: int, images: dict[str, Tensor]) -> None:
        """A sheet: one row per sample, one column per name; volumes show their middle slice, channels their colours."""
        if not self.main:
            return
        arrays = {name: value.float().cpu().numpy() for name, value in images.items()}
        count = min(len(next(iter(arrays.values()))), 4)
        # Black is -1 and white is 1, without stretching: a faint mask shall look faint.
        cells = [[composite(v[i], size=SIZE, limits=(-1.0, 1.0)) for v in arrays.values()] for i in range(count)]
        save_png(self.out / "samples" / f"step_{step:06d}.png", image_grid(cells, titles=list(arrays)))

    def write(self, row: dict[str, Any]) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")


def drop_lines_after(path: Path, step: int) -> None:
    """Drop the lines of log.jsonl that a killed run wrote after its last checkpoint."""
    if not path.exists():
        return
    kept, last = [], 0
    for line in path.read_text().splitlines():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:  # the line at which the process was killed
            break
        last = row.get("step", last)
        if last > step:
            break
        kept.append(line)
    rewrite(path, kept)


def rewrite(path: Path, lines: list[str]) -> None:
    temporary = path.with_suffix(".part")
    temporary.write_text("".join(line + "\n" for line in lines))
    os.replace(temporary, path)


class Events:
    """Curves as event files, which TensorBoard shows; points after `step` in older files of the folder are dropped.

    tensorboardX's own `SummaryWriter` hands them to a thread through a queue of `multiprocessing`, which needs
    semaphores: in a container without shared memory no training would begin. A few numbers now and then are written
    at once here.

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
