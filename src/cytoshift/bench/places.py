"""What a benchmark reads and writes, looked at before it begins."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..core import marks
from ..core.errors import UserError
from ..data.untouched import refuse_inputs
from .spec import Files, Lender, Shipped, Spec

RESULTS = ("results.json", "results.md", "report.html", "cells", "pictures")


def refuse_places(path: Path, spec: Spec, out: Path, root: Path | None, page: Path | None) -> None:
    """Raises UserError where results would go to what is read. path: of the spec; root: of its data."""
    files, images = [path], list[str]()
    for dataset in spec.datasets:
        if isinstance(dataset, Files):
            said = [dataset.images, dataset.labels, dataset.train, dataset.train_labels]
            if isinstance(dataset.source, Lender):
                said += [dataset.source.images, dataset.source.labels]
            images += [str((root or Path()) / one) for one in words(said)]
    files += [Path(one.model) for one in spec.methods if isinstance(one, Shipped)]
    refuse_inputs([*(out / name for name in RESULTS), page], images, files, filled=[out])


def words(said: Any) -> Iterator[str]:
    """All paths in lists, and in mappings by class."""
    if isinstance(said, str):
        yield said
    elif said is not None:
        for one in said.values() if isinstance(said, dict) else said:
            yield from words(one)


def refuse_strangers(out: Path) -> None:
    """Raises UserError where the folder has files of these names that are of no benchmark."""
    if (out / "cells").is_dir():
        return
    for name in RESULTS:
        path = out / name
        if path.exists() and not marks.ours(path) and not (path.is_dir() and not any(path.iterdir())):
            raise UserError(f"{path} is there already and of no benchmark; choose another `out`, or remove it")
