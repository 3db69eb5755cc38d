"""What `cytoshift doctor` says of networks: each kind that is shipped, by each way it is computed, against float64."""

import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from ..methods import Method

SHAPES = {2: (48, 64), 3: (8, 24, 32)}
TRAINS = {"32": False, "bf16-mixed": True}
# Cosine of the gradient of all weights with that of float64, at least. Right ones in bfloat16 come to 0.97 and more.
COSINE = 0.9


@dataclass(frozen=True)
class NetworkTrial:
    """A network on a device.

    Attributes
    ----------
    errors : by way, "folded bf16" ... "plain 32": rms difference of the channels from those of float64, as a share of
        their standard deviation (predict.ways.TOLERANCE is allowed). In NaN nothing is right.
    cosines : by precision of a training, "32" and "bf16-mixed": of the gradients with those of float64.
    milliseconds : by way, the best of three.
    predicts, trains : the way and the precision that will be used here; None where none is right.
    """

    kind: str
    ndim: int
    device: str
    errors: dict[str, float]
    cosines: dict[str, float]
    milliseconds: dict[str, float]
    predicts: str | None
    trains: str | None

    @property
    def wrong_ways(self) -> list[str]:
        """The ways and precisions that are wrong, whether they would be used or not."""
        from ..predict.ways import TOLERANCE

        return [
            *(way for way, error in self.errors.items() if not error <= TOLERANCE),
            *(f"training in {name}" for name, cosine in self.cosines.items() if not cosine >= COSINE),
        ]


def networks(device: str) -> Iterator[NetworkTrial]:
    """Every kind in 2D and 3D, of the size that `cytoshift new` gives it on a laptop."""
    from ..methods import ADGAN, MaskCycleGAN, Supervised

    for method in (ADGAN, MaskCycleGAN, Supervised):  # their networks are of each kind: translator, resnet, unet
        for ndim in SHAPES:
            yield try_network(method, ndim, device)


def try_network(method: "type[Method]", ndim: int, device: str) -> NetworkTrial:
    """One network with weights of its own, on noise."""
    import torch

    from ..core.threads import torch_threads
    from ..nets.formats import computes_bf16
    from ..predict.ways import TOLERANCE, ways

    there = torch.device(device)
    network, seen, kind = make_network(method, ndim)
    truth, gradient = channels_of(network.double(), seen.double()), gradient_of(network.double(), seen.double())
    network = network.float().to(there)
    seen = seen.to(there)
    errors, milliseconds = {}, {}
    with torch_threads():
        for way, compute in make_ways(network, seen).items():
            found = compute()  # the first one warms up
            best = float("inf")
            for _ in range(3):
                started = time.perf_counter()
                compute().cpu()
                best = min(best, time.perf_counter() - started)
            errors[way], milliseconds[way] = relative_error(found.cpu().double(), truth), 1000 * best
    with torch_threads(training=True):
        cosines = {name: cosine(gradient_of(network, seen, half), gradient) for name, half in TRAINS.items()}
    wished = [*ways(network, there, "auto", True), "plain 32"]
    predicts = next((way for way in wished if errors[way] <= TOLERANCE), None)
    trained = ["bf16-mixed"] * computes_bf16(there) + ["32"]
    trains = next((name for name in trained if cosines[name] >= COSINE), None)
    return NetworkTrial(kind, ndim, device, errors, cosines, milliseconds, predicts, trains)


def make_network(kind: "type[Method]", ndim: int) -> "tuple[nn.Module, Tensor, str]":
    """A network with norms that know their statistics, an image (1, C, *S), and what the network is called."""
    import torch

    from ..core.settings import parse
    from ..core.voxel import Voxel
    from ..methods import Supervised, Task
    from ..represent import BCD, Semantic
    from ..train.ship import freeze

    preset = kind.presets[f"laptop-{ndim}d"]
    represent = BCD() if kind is Supervised else Semantic()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        task = Task(Voxel((1.0,) * ndim), represent, 1)
        learns = kind(task, parse(kind.settings, preset["options"], kind.name), 0)
        seen = torch.randn(1, 1, *SHAPES[ndim]).clamp(-1, 1)
        spec, network = learns.exported_spec(), learns.network()
        if hasattr(spec, "frozen"):
            _, network = freeze(spec, network, seen.numpy(), nullcontext)
    return network.eval().requires_grad_(True), seen, spec.kind


def make_ways(network: "nn.Module", seen: "Tensor") -> "dict[str, Callable[[], Tensor]]":
    """The ways, as functions without arguments."""
    import torch

    from ..nets.folded import fold
    from ..nets.norms import MeasuredNorms, with_statistics

    measured = MeasuredNorms(network)
    with torch.inference_mode():
        measured.network(seen)
        known = with_statistics(network, measured.statistics)

    def plain(half: bool) -> Any:
        with torch.inference_mode(), torch.autocast(seen.device.type, torch.bfloat16, half):
            return known(seen).float()

    def fold_way(kind: "torch.dtype") -> Any:
        made = fold(network, kind, measured.statistics)

        def compute() -> Any:
            with torch.inference_mode():
                return made(seen)

        return compute

    return {
        "folded bf16": fold_way(torch.bfloat16), "folded 32": fold_way(torch.float32),
        "autocast bf16": lambda: plain(True), "plain 32": lambda: plain(False),
    }  # fmt: skip


def channels_of(network: "nn.Module", seen: "Tensor") -> "Tensor":
    """What the network gives in the number format of its weights; its norms use the statistics of this image."""
    import torch

    with torch.no_grad():
        out: Tensor = network(seen)
    return out


def gradient_of(network: "nn.Module", seen: "Tensor", half: bool = False) -> "Tensor":
    """Of all weights at once, (N,), for a fixed direction of the output."""
    import torch

    direction = torch.Generator().manual_seed(1)
    network.zero_grad(set_to_none=True)
    with torch.autocast(seen.device.type, torch.bfloat16, half):
        out = network(seen)
    way = torch.randn(out.shape, generator=direction).to(out)
    out.backward(way)
    return torch.cat([p.grad.flatten().cpu().double() for p in network.parameters() if p.grad is not None])


def relative_error(found: "Tensor", truth: "Tensor") -> float:
    """Rms difference over the standard deviation of the truth, largest over the channels (1, K, *S)."""
    axes = [0, *range(2, truth.ndim)]
    return float(((found - truth).square().mean(axes).sqrt() / truth.std(axes)).max())


def cosine(found: "Tensor", truth: "Tensor") -> float:
    import torch

    return float(torch.cosine_similarity(found, truth, 0))
