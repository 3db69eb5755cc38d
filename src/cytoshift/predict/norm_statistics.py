"""Statistics of norms as a file, so that tiles in other processes are predicted by the same numbers."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from ..core.atomic import atomic_path
from ..core.errors import UserError
from ..nets.norms import Statistics

STATISTICS = "statistics.safetensors"


def save_statistics(statistics: Statistics, path: Path) -> None:
    named = {
        f"{name}.{what}": numbers.cpu().contiguous()
        for name, pair in statistics.items()
        for what, numbers in zip(("mean", "variance"), pair)
    }
    with writing_safetensors(path), atomic_path(path) as beside:
        save_file(named, beside)


def load_statistics(path: Path, device: torch.device) -> Statistics:
    found = load_file(path, device=str(device))
    names = (name.removesuffix(".mean") for name in found if name.endswith(".mean"))
    return {name: (found[f"{name}.mean"], found[f"{name}.variance"]) for name in names}


@contextmanager
def writing_safetensors(path: Path) -> Iterator[None]:
    """What safetensors says of a full disk, as one sentence."""
    try:
        yield
    except SafetensorError as error:
        raise UserError(f"cannot write {path}: {error}; free space or choose another output with `out`") from error
