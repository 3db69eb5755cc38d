"""To which request the results at a place belong, and which of them are finished.

OUT/report/request.json of a folder, as long as it stands; .cells.request.json of a single file cells.tif, until all
that belongs to it is there: labels, tables, pictures and the report. So a command that was killed in between is known.
Until then, labels count as its own where they carry the mark of the request; those that another program has put there
do not. What is in a folder once everything was finished may be corrected by hand.
"""

import json
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.atomic import atomic_path, discard, refuse_other_kind
from ..core.errors import UserError
from ..core.provenance import carries_mark, refuse_foreign_files, request_mark
from ..data.store import is_finished

if TYPE_CHECKING:
    from .outputs import Outputs

REPLACES = "replaces"  # of the request: labels of an earlier one, which stand until their successors are whole
FINISHED = "finished"  # likewise: labels that were there when everything was, whoever has changed them since


class Claims:
    """The request of one call. content: JSON, model and options, and the images by their names."""

    def __init__(self, outputs: "Outputs", request: dict[str, Any]) -> None:
        self.outputs = outputs
        self.images = {volume.name: volume.origin for volume in outputs.volumes}
        self.content: dict[str, Any] = json.loads(json.dumps(request))  # as it will be read again: tuples become lists
        self.path = outputs.out / "report" / "request.json"
        if outputs.single:
            self.path = (place := outputs.path_beside("request.json")).with_name(f".{place.name}")
        self.mark = request_mark(self.content)
        self.replaces: dict[str, int] = {}
        self.finished: set[str] = set()

    def make(self, overwrite: bool) -> None:
        """Take the place, or go on in it. Raises UserError where results of another request are there."""
        outputs = self.outputs
        labels = {claimed_folder(path): path for path in outputs.label_paths()}  # places, as they are named
        for place, path in labels.items():
            refuse_other_kind(place, "::" in str(path) or path.suffix.lower() == ".zarr")
        there = self.read(overwrite)
        changed = [] if there is None else self.list_changes(there)
        images, old = self.images, [path for path in labels if path.exists()]
        if there is not None and self.is_continued(overwrite):
            self.replaces, self.finished = there[REPLACES], set(map(str, there[FINISHED]))
            images = there["images"] | images
            foreign = [path for path in old if not self.knows(path)]
            if foreign and not overwrite:
                raise UserError(
                    f"{labels[foreign[0]]} is not what this command writes there, another program has put "
                    "or changed it; pass `overwrite` to replace it when its successor is whole, or another `out`"
                )
            self.replaces |= {self.name(path): change_time(path) for path in foreign}
            for path in old:
                if path not in foreign:
                    is_finished(path)
        elif overwrite:
            self.replaces = {self.name(path): change_time(path) for path in old}
        elif old and changed and not outputs.single:
            raise UserError(
                f"{outputs.out} holds results of another request ({changed[0]}); pass `overwrite` to replace them or "
                f"another `out`"
            )
        elif old and (outputs.single or there is None):
            raise UserError(f"{labels[old[0]]} already exists; pass `overwrite` to replace it or another `out`")
        else:
            if there is None:
                raw = set() if outputs.raw is None else {outputs.raw.path(volume) for volume in outputs.volumes}
                beside = [path for path in outputs.written_paths() if path not in labels and path not in raw]
                refuse_foreign_files([path for path in beside if not path.is_dir()], overwrite)
            images = images if there is None or outputs.single else there["images"] | images
        self.write(images)

    def of_part(self, outputs: "Outputs") -> "Claims":
        """What another process has to know that writes labels, which is their mark."""
        part = copy(self)
        part.outputs, part.images, part.content, part.replaces, part.finished = outputs, {}, {}, {}, set()
        return part

    def is_continued(self, overwrite: bool) -> bool:
        """Whether a call of this request was stopped here; of a folder, or has ended."""
        there = self.read(overwrite)
        if there is None or self.list_changes(there):
            return False
        return self.outputs.single or not overwrite or bool(there[REPLACES])

    def list_changes(self, there: dict[str, Any]) -> list[str]:
        """What is another in the request that is there; images that it has not are new ones."""
        known = {name: there["images"].get(name, origin) for name, origin in self.images.items()}
        request = {key: value for key, value in there.items() if key not in (REPLACES, FINISHED)}
        return differences(request | {"images": known}, self.content | {"images": self.images})

    def read(self, overwrite: bool) -> dict[str, Any] | None:
        """The request that is there; None without any."""
        if not self.path.exists():
            return None
        try:
            there = json.loads(self.path.read_text())
        except (json.JSONDecodeError, UnicodeDecodeError):
            there = None
        kinds = {"images": dict, REPLACES: dict, FINISHED: list}
        if isinstance(there, dict):
            there = {REPLACES: {}, FINISHED: []} | there
            if all(isinstance(there.get(key), kind) for key, kind in kinds.items()):
                return there
        if overwrite or self.outputs.single:
            return None
        raise UserError(
            f"{self.path} is damaged, so the contents of the folder are not known; pass `overwrite` or another `out`"
        )

    def write(self, images: dict[str, str]) -> None:
        self.images = images
        old = {REPLACES: self.replaces} if self.replaces else {}
        done = {FINISHED: sorted(self.finished)} if self.finished else {}
        with atomic_path(self.path) as beside:
            beside.write_text(json.dumps(self.content | {"images": images} | old | done, indent=1))

    def holds(self, labels: Path) -> bool:
        """Whether these labels are there and not those of an earlier request."""
        path = claimed_folder(labels)
        return path.exists() and not (self.replaces and self.replaces.get(self.name(path)) == change_time(path))

    def knows(self, path: Path) -> bool:
        """Whether what stands at the place of labels is of this request, or stood there before its first call."""
        name = self.name(path)
        return name in self.finished or self.replaces.get(name) == change_time(path) or carries_mark(path, self.mark)

    def name(self, path: Path) -> str:
        """Of labels, in the request."""
        return path.name if self.outputs.single else path.relative_to(self.outputs.out).as_posix()

    def complete(self) -> None:
        if self.outputs.single:
            discard(self.path)
            return
        finished = self.finished | {self.name(claimed_folder(path)) for path in self.outputs.label_paths()}
        if self.replaces or finished != self.finished:
            self.replaces, self.finished = {}, finished
            self.write(self.images)


def change_time(path: Path) -> int:
    """When a file, or what lies directly in a folder, was changed: labels that replace others have another time."""
    return path.stat().st_mtime_ns


def claimed_folder(path: Path) -> Path:
    """Labels inside of an OME-Zarr image have a place in its folder; all others are a file or folder themselves."""
    head, inside, part = str(path).partition("::")
    return Path(head, part) if inside else path


def differences(there: dict[str, Any], wish: dict[str, Any]) -> list[str]:
    """In words, as "threshold was 0.3, now 0.5"; of nested groups the innermost name is told."""
    found = []
    for key in {**there, **wish}:
        old, value = there.get(key), wish.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            found += differences(old, value)
        elif old != value:
            found.append(f"{key} was {'the default' if old is None else old}, "
                         f"now {'the default' if value is None else value}")  # fmt: skip
    return found
