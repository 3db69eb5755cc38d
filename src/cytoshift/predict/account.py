"""What a call of `segment` leaves to tell how its results came about: facts.json and, beside it, evidence.

In a folder of results they lie in OUT/report, of a single file cells.tif in cells.report.
"""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..core.atomic import discard
from ..core.json_files import FACTS, now, read_json, write_json
from ..core.machine import machine, peak_card_memory, peak_memory, versions
from ..core.provenance import is_own_result
from ..core.text import unescape_cell
from ..data.describe import describe_images
from ..data.volumes import Volume
from ..model import Segmenter
from .evidence import EvidenceImage, EvidenceObject, evidence, statistics
from .outputs import Outputs
from .pipeline import Options, decoder
from .ways import proof_of

Objects = dict[tuple[str, str], list[EvidenceObject]]  # by image and class
MOST_OBJECTS = 200_000  # objects that are looked at
IMAGES_PER_NOTE = 20  # facts are written whenever one in so many of the images is new in them


def account_folder(outputs: Outputs) -> Path:
    """Folder of the account."""
    return outputs.path_beside("report") if outputs.single else outputs.out / "report"


class Account:
    """Grows image by image, so that a call that continues another knows the times of both."""

    def __init__(self, outputs: Outputs, segmenter: Segmenter, options: Options) -> None:
        self.outputs, self.segmenter, self.path, self.unsaved = outputs, segmenter, account_folder(outputs) / FACTS, 0
        there = read_json(self.path)
        seconds = there.get("seconds", {})
        finished = {v.name for v in outputs.volumes if v.name in seconds and outputs.is_finished(v)}
        self.content: dict[str, Any] = {
            "kind": "segment", "started": now(), "versions": versions(), "machine": machine(),
            "options": options.model_dump(mode="json", exclude_none=True), "model": describe_model(segmenter, options),
            "images": describe_images(outputs.volumes), "computed": there.get("computed", {}),
            "seconds": {name: one for name, one in seconds.items() if name in finished},
        }  # fmt: skip

    def images(self, seconds: Mapping[Volume, Mapping[str, float]]) -> None:
        """Some images are finished; seconds: of the stages of each. What was said of other labels holds no longer."""
        for path in (table := self.outputs.joint_path("trust"), table.with_suffix(".json")):
            if is_own_result(path):
                discard(path)
        self.content["seconds"] |= {volume.name: dict(each) for volume, each in seconds.items()}
        self.unsaved += len(seconds)
        if self.unsaved * IMAGES_PER_NOTE >= len(self.content["seconds"]):
            self.save()

    def save(self) -> None:
        """On disk, for a call that continues this one."""
        if proof := proof_of(self.segmenter):
            self.content["computed"] = proof.dump()
        write_json(self.path, self.content, indent=None)  # written often
        self.unsaved = 0

    def end(self, seconds: float) -> None:
        """All images are finished: numbers over all of them, and pictures."""
        outputs = self.outputs
        objects, counts = count_objects(outputs.table)
        shown = [
            EvidenceImage(
                volume, outputs.open(volume, kind) if outputs.is_frame(volume) else outputs.labels(volume, kind), kind
            )
            for volume in outputs.volumes
            for kind in outputs.classes
        ]
        evidence(shown, objects, self.path.parent / "evidence")
        by_class = {
            kind: [o for (_, k), rows in objects.items() if k == kind for o in rows] for kind in outputs.classes
        }
        self.content |= {
            "found": {kind: statistics(rows, counts.get(kind, 0)) for kind, rows in by_class.items()},
            "finished": now(), "all_seconds": seconds, "memory_gb": peak_memory(), "card_gb": peak_card_memory(),
        }  # fmt: skip
        write_json(self.path, self.content)


def describe_model(segmenter: Segmenter, options: Options) -> dict[str, Any]:
    """All of a model that its results depend on, but for the weights."""
    return {
        "axes": segmenter.axes, "voxel": segmenter.voxel.size, "unit": segmenter.voxel.unit,
        "network": segmenter.spec.model_dump(mode="json"),
        "parameters": sum(p.numel() for p in segmenter.network.parameters()),
        "normalisation": dump_recipe(segmenter.normalisation),
        "representation": decoder(segmenter, options).model_dump(mode="json"), "card": segmenter.card,
    }  # fmt: skip


def dump_recipe(recipe: Any) -> Any:
    """Of several channels one for all, or one for each."""
    return [dump_recipe(one) for one in recipe] if isinstance(recipe, list | tuple) else recipe.model_dump(mode="json")


def count_objects(table: Path) -> tuple[Objects, dict[str, int]]:
    """Rows of a table of objects by image and class, and how many there are of each class.

    If there are more than MOST_OBJECTS, evenly spaced ones are taken: a table may be larger than memory.
    """
    with table.open(newline="", encoding="utf-8") as file:
        step = max(-(-(sum(1 for _ in file) - 1) // MOST_OBJECTS), 1)
    found: Objects = {}
    counts: dict[str, int] = {}
    with table.open(newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        names = {name: number for number, name in enumerate(next(rows))}
        ends = [names[name] for name in sorted(names) if name.startswith("bbox-")]
        diameter = names["equivalent_diameter_area"]
        for number, row in enumerate(rows):
            image, kind = (
                unescape_cell(row[names["image"]]),
                unescape_cell(row[names["class"]]) if "class" in names else "",
            )
            counts[kind] = counts.get(kind, 0) + 1
            if number % step == 0:
                box = tuple(int(row[end]) for end in ends)
                low, high = box[: len(box) // 2], box[len(box) // 2 :]
                sure = float(row[names["confidence"]])
                one = EvidenceObject(image, kind, int(row[names["label"]]), float(row[diameter]), sure, low, high)
                found.setdefault((image, kind), []).append(one)
    return found, counts
