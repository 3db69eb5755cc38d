"""What tiles of one volume have to share: the statistics of its norms.

They are measured once on the volume and stored, so that every tile, in whatever process, is drawn by the same numbers.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from ..core.atomic import replacing
from ..core.errors import UserError
from ..model import Segmenter
from ..nets.folded import steady
from .network import forward, measure
from .norms import Pooled
from .ways import Precision, proven
from .working import Working


def statistics(segmenter: Segmenter, working: Working, size: tuple[int, ...], precision: Precision) -> Pooled:
    """The statistics of the norms for a whole volume in tiles of a size: its own where it is one tile, else those of
    windows."""
    if size != working.shape[1:] or steady(segmenter.network):
        return measure(segmenter, working, size, precision)  # type: ignore[arg-type]  # it reads boxes alone
    pooled = Pooled()
    everywhere = tuple(slice(0, n) for n in working.shape)
    way = proven(segmenter, working, size, precision, None).way
    forward(segmenter, [working[everywhere]], way, pooled)
    pooled.freeze()
    return pooled


def save(path: Path, pooled: Pooled) -> None:
    tensors: dict[str, torch.Tensor] = {}
    for layer, (mean, variance) in enumerate(pooled.frozen or []):
        tensors |= {f"{layer}.mean": mean.cpu().contiguous(), f"{layer}.variance": variance.cpu().contiguous()}
    with writing(path), replacing(path) as beside:
        save_file(tensors, beside)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """What the library of the file format says of a full disk, as one sentence."""
    try:
        yield
    except SafetensorError as error:
        raise UserError(f"cannot write {path}: {error}; free space or choose another output with -o") from error


def load(path: Path, device: torch.device) -> Pooled:
    found = load_file(path, device=str(device))
    pooled = Pooled()
    layers = len(found) // 2
    pooled.frozen = [(found[f"{layer}.mean"], found[f"{layer}.variance"]) for layer in range(layers)]
    return pooled
