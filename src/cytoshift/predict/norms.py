"""Norms with the statistics of the whole volume, so that its tiles agree.

Instance norm centres and scales every feature by the mean and variance of what it sees. Of a volume in tiles it sees
one tile: a dim object in a tile of dim ones comes out bright, and in an empty tile the noise is scaled up until it
looks like objects. So it is told the statistics, in two passes:

  (1) measure   windows spread over the volume go through the network together, as a batch; every norm pools its mean
                and variance over the batch, uses them, and notes them
  (2) predict   tile by tile, the noted numbers in the place of the tile's own

Group norm, and the mean over all space that squeeze and excitation takes, are told in the same way.

In (1) all layers see the same windows, so their numbers fit each other. Numbers that each tile has found alone and
that are averaged afterwards do not: layer by layer they drift apart, and a second round of that diverges.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.overrides import TorchFunctionMode

from ..core.atomic import atomic_path
from ..core.errors import UserError


class PooledNorms(TorchFunctionMode):
    """While entered, norms pool over the batch and note what they find; once frozen, they use the notes.

    Layers are told apart by the order of their calls, so it works for every network that calls instance_norm,
    group_norm and adaptive_avg_pool1d of torch.nn.functional (as torch.nn's norms do) in the same order for every
    input.
    Bracket each forward pass on its own by `with pooled:`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[list[tuple[Tensor, Tensor]]] = []  # per layer and batch, mean and variance (C,)
        self.frozen: list[tuple[Tensor, Tensor]] | None = None  # per layer
        self.layer = 0

    def __enter__(self) -> "PooledNorms":
        self.layer = 0
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        ours: dict[Callable[..., Any], Callable[..., Any]] = {
            F.instance_norm: self.normalise, F.group_norm: self.grouped, F.adaptive_avg_pool1d: self.averaged,
        }  # fmt: skip
        return ours.get(func, func)(*args, **(kwargs or {}))

    def normalise(
        self, input: Tensor, running_mean: Tensor | None = None, running_var: Tensor | None = None,
        weight: Tensor | None = None, bias: Tensor | None = None, use_input_stats: bool = True, momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:  # fmt: skip
        """In the place of F.instance_norm, whose signature it has: (B, C, *S) -> (B, C, *S)."""
        if not use_input_stats and running_mean is not None and running_var is not None:
            mean, var = running_mean, running_var  # such a layer is told its statistics by its own weights
        else:
            mean, var = self.statistics(input)
        return F.batch_norm(input, mean, var, weight, bias, False, momentum, eps)

    def grouped(
        self, input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None,
        eps: float = 1e-5,
    ) -> Tensor:  # fmt: skip
        """In the place of F.group_norm."""
        each = input.shape[1] // num_groups
        mean, var = (
            s.repeat_interleave(each) for s in self.statistics(input.reshape(len(input), num_groups, each, -1))
        )
        return F.batch_norm(input, mean, var, weight, bias, False, 0.1, eps)

    def averaged(self, input: Tensor, output_size: int) -> Tensor:
        """In the place of F.adaptive_avg_pool1d, by which squeeze and excitation sees the whole image: (B, C, 1)."""
        mean, _ = self.statistics(input)
        return mean.to(input.dtype).expand(len(input), -1)[..., None]

    def statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance (C,) for the layer whose turn it is."""
        layer, self.layer = self.layer, self.layer + 1
        if self.frozen is not None:
            return self.frozen[layer]
        var, mean = torch.var_mean(x.float(), [axis for axis in range(x.ndim) if axis != 1], correction=0)
        if layer == len(self.notes):
            self.notes.append([])
        self.notes[layer].append((mean, var))
        return mean, var

    def fresh(self) -> "PooledNorms":
        """The same frozen statistics with a counter of layers of its own, for another thread."""
        out = PooledNorms()
        out.frozen = self.frozen
        return out

    def freeze(self) -> None:
        """From now on, use the notes: the variance over several batches is that within and that between them."""
        self.frozen = []
        for notes in self.notes:
            means, variances = torch.stack([m for m, _ in notes]), torch.stack([v for _, v in notes])
            self.frozen.append((means.mean(0), variances.mean(0) + means.var(0, correction=0)))

    def save(self, path: Path) -> None:
        """Frozen statistics as a file, so that tiles in other processes are predicted by the same numbers."""
        tensors: dict[str, Tensor] = {}
        for layer, (mean, variance) in enumerate(self.frozen or []):
            tensors |= {f"{layer}.mean": mean.cpu().contiguous(), f"{layer}.variance": variance.cpu().contiguous()}
        with writing_safetensors(path), atomic_path(path) as beside:
            save_file(tensors, beside)

    @classmethod
    def load(cls, path: Path, device: torch.device) -> "PooledNorms":
        found = load_file(path, device=str(device))
        pooled = cls()
        pooled.frozen = [(found[f"{layer}.mean"], found[f"{layer}.variance"]) for layer in range(len(found) // 2)]
        return pooled


@contextmanager
def writing_safetensors(path: Path) -> Iterator[None]:
    """What safetensors says of a full disk, as one sentence."""
    try:
        yield
    except SafetensorError as error:
        raise UserError(f"cannot write {path}: {error}; free space or choose another output with `out`") from error
