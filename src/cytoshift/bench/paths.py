"""What a benchmark reads and writes, looked at before it begins."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..core import provenance
from ..core.errors import UserError
from ..data.input_files import refuse_inputs
from .dataset_spec import Files, SourceFiles
from .method_spec import ExistingModel
from .spec import Spec

RESULTS = ("results.json", "results.md", "report.html", "cells", "pictures")


def refuse_places(path: Path, spec: Spec, out: Path, root: Path | None, page: Path | None) -> None:
    """Raises UserError where results would go to what is read. path: of the spec; root: of its data."""
    files, images = [path], list[str]()
    for dataset in spec.datasets:
        if isinstance(dataset, Files):
            said = [dataset.images, dataset.labels, dataset.train, dataset.train_labels]
            if isinstance(dataset.source, SourceFiles):
                said += [dataset.source.images, dataset.source.labels]
            images += [str((root or Path()) / one) for one in path_words(said)]
    files += [Path(one.model) for one in spec.methods if isinstance(one, ExistingModel)]
    refuse_inputs([*(out / name for name in RESULTS), page], images, files, filled=[out])


def path_words(said: Any) -> Iterator[str]:
    """All paths in lists, and in mappings by class."""
    if isinstance(said, str):
        yield said
    elif said is not None:
        for one in said.values() if isinstance(said, dict) else said:
            yield from path_words(one)


def refuse_foreign_folder(out: Path) -> None:
    """Raises UserError where the folder has files of these names that are of no benchmark."""
    if (out / "cells").is_dir():
        return
    for name in RESULTS:
        path = out / name
        if path.exists() and not provenance.is_own_result(path) and not (path.is_dir() and not any(path.iterdir())):
            raise UserError(f"{path} already exists, and no benchmark wrote it; choose another `out`, or remove it")
