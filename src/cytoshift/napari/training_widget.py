"""A training without labels, from a layer: curves and samples while it runs, stopped and continued at will.

It runs in a process of its own, as `cytoshift new` and `cytoshift train`: so the window stays alive, and whatever
becomes of the window, the run is a folder that the command line goes on with.

    FOLDER/images/cells.tif   FOLDER/run.yaml   FOLDER/run/{log.jsonl, samples/, model/}
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from magicgui.widgets import Container, FileEdit, Label, PushButton, SpinBox, create_widget
from magicgui.widgets import Image as Picture
from napari.layers import Image
from napari.qt.threading import thread_worker
from numpy.typing import NDArray

from ..core.errors import UserError
from ..data.volumes import Volume
from ..data.write import write_image
from ..draw import image_grid
from .glue import volume_of

LOOK_SECONDS = 0.5  # seconds between two looks at what a run has written
CURVE_PIXELS = (150, 70)  # pixels of a curve, width and height
CURVES_ACROSS = 3  # curves in a row
INK, PAPER = (0, 114, 178), (255, 255, 255)


@dataclass(frozen=True)
class RunState:
    """What there is to see of a run at one time. terms: values by name, in the order of the log."""

    words: str
    terms: dict[str, list[float]]
    sample: Path | None
    done: bool = False


class TrainingJob:
    """The processes of one training. Raises UserError where the layer is no image."""

    def __init__(self, volume: Volume, folder: Path, steps: int) -> None:
        self.folder, self.steps = Path(folder), steps
        self.out = self.folder / "run"
        self.process: subprocess.Popen[str] | None = None
        self.stopped = False
        image = np.asarray(volume.array)
        image = image if image.dtype in (np.uint8, np.uint16) else image.astype(np.float32)
        write_image(self.folder / "images" / f"{safe_name(volume.name)}.tif", image, volume.voxel, volume.axes)

    def watch(self) -> Iterator[RunState]:
        """Settings if there are none, then the training; what is to be seen every LOOK_SECONDS, until its end."""
        settings = self.folder / "run.yaml"
        if not settings.exists():
            yield RunState("measuring the image", {}, None)
            from ..methods import ADGAN

            images = str(self.folder / "images")
            yield from self.run("new", ADGAN.name, "--images", images, "-o", str(settings), "--quiet")
        if not self.stopped:
            wish = f"train.steps={self.steps}"
            yield from self.run("train", str(settings), wish, "-o", str(self.out), "--quiet")
        words = "stopped; train again to go on" if self.stopped else f"model in {self.out / 'model'}"
        yield self.read_state(words, done=True)

    def run(self, *arguments: str) -> Iterator[RunState]:
        """A verb in a process of its own. Raises UserError with its last words where it fails."""
        if self.stopped:
            return
        command = [sys.executable, "-m", "cytoshift", *arguments]
        with subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, encoding="utf-8"
        ) as process:
            self.process = process
            if self.stopped:  # in between
                process.terminate()
            while process.poll() is None:
                yield self.read_state()
                time.sleep(LOOK_SECONDS)
            words = (process.stderr.read() if process.stderr else "").strip().splitlines()
        self.process = None
        if process.returncode and not self.stopped:
            raise UserError(words[-1].removeprefix("cytoshift: ") if words else f"{arguments[0]} failed")

    def stop(self) -> None:
        """End it now; the checkpoint stays."""
        self.stopped = True
        if self.process is not None:
            self.process.terminate()

    def read_state(self, words: str | None = None, done: bool = False) -> RunState:
        """What the run has written by now."""
        step, terms = read_values(self.out / "log.jsonl")
        samples = sorted((self.out / "samples").glob("step_*.png")) if (self.out / "samples").is_dir() else []
        return RunState(words or f"step {step} of {self.steps}", terms, samples[-1] if samples else None, done)


def read_values(path: Path) -> tuple[int, dict[str, list[float]]]:
    """The last step, and all values of each term of the losses."""
    step, terms = 0, dict[str, list[float]]()
    if not path.exists():
        return step, terms
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
        except ValueError:  # a line that is being written
            continue
        step = row.get("step", step)
        for name, value in row.items():
            if name not in ("step", "note") and isinstance(value, int | float) and "/" in name:
                terms.setdefault(name.rpartition("/")[2], []).append(float(value))
    return step, terms


def curves(terms: dict[str, list[float]]) -> NDArray[np.uint8]:
    """A small curve for each term, from its least to its largest value, with the last one beneath. (H, W, 3)."""
    cells, words = [], []
    for name, values in terms.items():
        cells.append(curve(values))
        words.append(f"{name} {values[-1]:.3g}")
    rest = -len(cells) % CURVES_ACROSS
    blank: list[NDArray[np.uint8] | None] = [None] * rest
    rows = [[*cells, *blank][i : i + CURVES_ACROSS] for i in range(0, len(cells) + rest, CURVES_ACROSS)]
    captions = [[*words, *[""] * rest][i : i + CURVES_ACROSS] for i in range(0, len(cells) + rest, CURVES_ACROSS)]
    return image_grid(rows, captions=captions)


def curve(values: list[float]) -> NDArray[np.uint8]:
    from PIL import Image as Page
    from PIL import ImageDraw

    page = Page.new("RGB", CURVE_PIXELS, PAPER)
    told = np.array(values, dtype=np.float64)
    told = np.nan_to_num(told, posinf=0.0, neginf=0.0)
    low, high = float(told.min()), float(told.max())
    across = np.linspace(3, CURVE_PIXELS[0] - 4, len(told)) if len(told) > 1 else np.array([CURVE_PIXELS[0] / 2])
    down = (CURVE_PIXELS[1] - 4) - (told - low) / (high - low or 1.0) * (CURVE_PIXELS[1] - 8)
    pen = ImageDraw.Draw(page)
    points = [(float(x), float(y)) for x, y in zip(across, down)]
    if len(points) > 1:
        pen.line(points, fill=INK, width=2)
    pen.ellipse([points[-1][0] - 3, points[-1][1] - 3, points[-1][0] + 3, points[-1][1] + 3], fill=INK)
    return np.asarray(page)


def safe_name(name: str) -> str:
    """A file name of a layer's name.

    >>> safe_name("cells [1]/a")
    'cells__1__a'
    """
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in name) or "image"


class TrainingWidget(Container):  # type: ignore[misc, type-arg, unused-ignore]
    """The widget: a layer, a folder, a number of steps; train and stop; what the run looks like."""

    def __init__(self) -> None:
        self.image = create_widget(label="image", annotation=Image)
        self.folder = FileEdit(label="folder", mode="d", value=Path.home() / "cytoshift-run")
        self.steps = SpinBox(label="steps", value=1500, min=1, max=10_000_000)
        self.start, self.end = PushButton(text="Train"), PushButton(text="Stop", enabled=False)
        self.words, self.curves, self.sample = Label(value=""), Picture(), Picture()
        super().__init__(
            widgets=[self.image, self.folder, self.steps, self.start, self.end, self.words, self.curves, self.sample]
        )
        self.job: TrainingJob | None = None
        self.start.changed.connect(self.begin)
        self.end.changed.connect(self.halt)

    def begin(self) -> None:
        """Start, or go on with what lies in the folder."""
        if self.image.value is None:
            raise UserError("there is no image layer to learn from; open one first")
        self.job = TrainingJob(volume_of(self.image.value), Path(self.folder.value), int(self.steps.value))
        self.worker: Any = thread_worker(self.job.watch)()
        self.worker.yielded.connect(self.show_run)
        self.worker.finished.connect(self.open_model)
        self.start.enabled, self.end.enabled = False, True
        self.worker.start()

    def halt(self) -> None:
        if self.job is not None:
            self.job.stop()

    def open_model(self) -> None:
        self.start.enabled, self.end.enabled = True, False

    def show_run(self, shown: RunState) -> None:
        """What a run looks like by now."""
        self.words.value = shown.words
        if shown.terms:
            self.curves.value = curves(shown.terms)
        if shown.sample is not None:
            self.sample.value = shown.sample
