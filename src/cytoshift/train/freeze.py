"""After training: statistics of norms, measured once over the images that the network is for, shipped with the weights.

No label is read: of methods that borrow labels these are images of the target (adaptive batch norm, Li et al. 2016).
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..core.rng import stream
from ..data.streams import Images
from ..nets.adain import AdaIN
from ..nets.network_spec import ChainSpec, NetSpec, with_frozen_norms
from ..nets.norms import MeasuredNorms, per_channel

VOXELS = 4_000_000  # that go through the network together
LEAST, MOST = 4, 256  # windows


def windows(images: Images, seed: int) -> NDArray[np.float32]:
    """Windows (N, C, *patch) of the images as they are, empty regions included.

    Each image gives its share of them, and none is left out where there are enough: which images are among a random
    few dozen moves the Dice of a very mixed set by half a percent.
    """
    count = int(np.clip(VOXELS // int(np.prod(images.patch)), LEAST, MOST))
    shares = np.searchsorted(np.cumsum(images.chances), (np.arange(count) + 0.5) / count)
    return np.stack(
        [images.channels(images.window(stream(seed, "norms", i), which=int(n))) for i, n in enumerate(shares)]
    )


def freeze(
    spec: NetSpec, network: nn.Module, x: NDArray[np.float32], cast: Callable[[], AbstractContextManager[Any]]
) -> tuple[NetSpec, nn.Module]:
    """The spec and the network with norms that use what they measure on `x` (N, C, *S), all of it as one image.

    Of a chain the segmenter alone, on what the first network makes of `x`.
    """
    measured = MeasuredNorms(network.eval())
    with torch.inference_mode(), cast():
        measured.network(torch.from_numpy(x).to(next(network.parameters()).device))
    frozen, inside = with_frozen_norms(spec, True), "segment." if isinstance(spec, ChainSpec) else ""
    shipped: Any = frozen.build()
    weights = shipped.state_dict() | network.state_dict()
    for name, statistics in measured.statistics.items():
        if name.startswith(inside):
            kept = named_statistics(network.get_submodule(name), *statistics)
            weights |= {f"{name}.{what}": numbers.clone() for what, numbers in kept.items()}
    shipped.load_state_dict(weights)
    return frozen, shipped.eval()


def named_statistics(layer: Any, mean: Tensor, var: Tensor) -> dict[str, Tensor]:
    """Statistics by the names that a frozen layer has for them."""
    if isinstance(layer, nn.AdaptiveAvgPool1d):
        return {"mean": mean}
    if isinstance(layer, AdaIN):
        return {"mean": mean, "var": var}
    return dict(zip(("running_mean", "running_var"), per_channel(layer, mean, var)))
