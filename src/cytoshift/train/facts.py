"""OUT/facts.json and OUT/input.png: what a training was given, what with, and where its time went.

A training that was stopped and continued has a session for each time it ran.
"""

from pathlib import Path
from typing import Any

from ..core.clock import StageClock
from ..core.json_files import FACTS, now, read_json, write_json
from ..core.machine import machine, peak_card_memory, peak_memory, versions
from ..core.voxel import Voxel
from ..data.describe import describe_images
from ..data.planes import middle_planes
from ..data.volumes import Volume, open_volumes
from ..draw import save_png
from ..methods import Method
from .run_settings import Run

SHOWN_IMAGES = 8  # images of the input picture
SIZE = 320  # pixels of each


class Facts:
    """One session of a training; written by its first process only."""

    def __init__(self, out: Path, main: bool) -> None:
        self.out, self.main, self.clock = out, main, StageClock()
        there = read_json(out / FACTS) if main else {}
        self.before: list[dict[str, Any]] = list(there.get("sessions", []))
        self.known: dict[str, Any] = {}
        self.session: dict[str, Any] = {"started": now()}
        self.step = 0

    def begin(self, run: Run, volumes: list[Volume], working: Voxel, method: Method, step: int) -> None:
        """What was understood of the input, in words and in a picture, before the first step."""
        if not self.main:
            return
        self.session |= {"from_step": step}
        sides = {"images": volumes} | ({"source": open_volumes(run.source.images)} if run.source else {})
        self.known |= {
            "kind": "train", "about": {"title": method.title, "papers": [*method.papers, *run.represent.papers]},
            "versions": versions(), "machine": machine(),
            "working": {"voxel": working.size, "unit": working.unit},
            "players": {name: sum(p.numel() for p in one.parameters()) for name, one in method.players().items()},
            "network": sum(p.numel() for p in method.network().parameters()),
            **{side: describe_images(found) for side, found in sides.items()},
        }  # fmt: skip
        self.write(step)
        for side, found in sides.items():
            picture = self.out / ("input.png" if side == "images" else f"{side}.png")
            if not picture.exists():
                save_png(picture, middle_planes(found, SHOWN_IMAGES, SIZE))

    def write(self, step: int) -> None:
        """Where the session stands."""
        self.step = step
        if not self.main:
            return
        self.session |= {
            "to_step": step, "finished": now(), "seconds": self.clock.seconds, "memory_gb": peak_memory(),
            "card_gb": peak_card_memory(),
        }  # fmt: skip
        write_json(self.out / FACTS, {**self.known, "sessions": [*self.before, self.session]})
