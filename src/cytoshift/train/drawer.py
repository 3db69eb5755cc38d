"""A network of a training over whole volumes, as `predict` would run it once it is shipped."""

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..predict.network import Tiling, probabilities


class ReadRepresentation(Protocol):
    """How the output of a network is read."""

    def activate(self, logits: Tensor) -> Tensor: ...


class ReadTanh:
    """How a translator is read."""

    channels: ClassVar[tuple[str, ...]] = ("image",)

    def activate(self, logits: Tensor) -> Tensor:
        return logits.tanh()


@dataclass(frozen=True)
class VolumePredictor:
    """Normalised image (*S) on the working grid, of any size -> activated channels (K, *S)."""

    network: nn.Module
    axes: str
    representation: ReadRepresentation

    def __call__(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        self.network.eval()
        model: Any = self  # it has all that `probabilities` asks of a segmenter
        with torch.inference_mode():
            return probabilities(model, image, Tiling())
