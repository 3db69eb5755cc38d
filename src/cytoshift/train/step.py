"""One training step of any method, its optimisers, and how their learning rate rises and falls."""

from contextlib import AbstractContextManager
from math import cos, pi
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ..methods.base import Method, Update
from .run_settings import Train

COLD_FACTOR = 1e-3  # factor of the learning rate at the first step of a warm-up


class DivergenceError(ArithmeticError):
    """A loss term stopped being a number."""

    def __init__(self, term: str):
        super().__init__(term)
        self.term = term


def train_step(
    method: Method, optimizers: dict[str, torch.optim.Optimizer], batch: Any, progress: float, autocast: Any
) -> dict[str, Tensor]:
    """Take every update of one step; return all loss terms by "player/name".

    `autocast()` gives the context in which the method's own lines run (Fabric's precision); gradients are taken
    outside of it. Only the parameters that an objective moves get a gradient, nothing is computed for the others.
    Raises Diverged before the optimiser has moved anything by a term that is not finite.
    """
    terms: dict[str, Tensor] = {}
    body = method.step(batch, progress)
    while (update := advance(body, autocast())) is not None:
        player, optimizer = method.players()[update.player], optimizers[update.player]
        optimizer.zero_grad(set_to_none=True)
        terms |= backward(update)
        share_gradients(player)
        optimizer.step()
    return terms


def backward(update: Update) -> dict[str, Tensor]:
    """Add the gradients of an update to what its objectives move; return its loss terms by "player/name".

    Raises
    ------
    Diverged : before a gradient is taken of a term that is not finite.
    """
    terms: dict[str, Tensor] = {}
    for i, objective in enumerate(update.objectives):
        mine = {f"{update.player}/{name}": value for name, value in objective.terms.items()}
        if broken := not_finite(mine):
            raise DivergenceError(broken)
        moved = [p for p in objective.moves.parameters() if p.requires_grad]
        last = i + 1 == len(update.objectives)
        torch.stack(list(mine.values())).sum().backward(inputs=moved, retain_graph=not last)
        terms |= {name: value.detach() for name, value in mine.items()}
    return terms


def advance(body: Any, context: AbstractContextManager) -> Any:
    """The method's lines up to its next update; None at its end."""
    with context:
        return next(body, None)


def not_finite(terms: dict[str, Tensor]) -> str | None:
    """The first term that is no number, in any process: all of them have to leave the step together."""
    finite = torch.stack([torch.isfinite(value.detach()).all() for value in terms.values()]).float()
    if dist.is_initialized() and dist.get_world_size() > 1:
        dist.all_reduce(finite, dist.ReduceOp.MIN)
    return next((name for name, fine in zip(terms, finite.tolist()) if not fine), None)


def share_gradients(player: nn.Module) -> None:
    """Average gradients over processes: what DDP does, without tying a method to one forward and one backward."""
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return
    gradients = [p.grad for p in player.parameters() if p.grad is not None]
    flat = torch.cat([g.flatten() for g in gradients])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients])):
        gradient.copy_(mean.view_as(gradient))


def mean_terms(terms: dict[str, Tensor]) -> dict[str, float]:
    """Loss terms of the joint batch: their means over processes, all of which must ask at the same step."""
    means = torch.stack([value.float() for value in terms.values()])
    if dist.is_initialized() and dist.get_world_size() > 1:
        dist.all_reduce(means)
        means /= dist.get_world_size()
    return dict(zip(terms, means.tolist()))


class Mean(nn.Module):
    """Running mean of a network's weights (EMA): these weights are exported, because the last step of a GAN is random.

    The mean is young at first: at step s its decay is at most s / (s + 10).
    """

    def __init__(self, network: nn.Module, decay: float):
        super().__init__()
        self.decay = decay
        self.weights = nn.ParameterList(p.detach().clone() for p in network.parameters())
        self.requires_grad_(False)

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        decay = min(self.decay, step / (step + 10))
        for mean, now in zip(self.weights, network.parameters()):
            mean.lerp_(now, 1 - decay)

    @torch.no_grad()
    def swap(self, network: nn.Module) -> None:
        """Exchange the network's weights for the mean; a second call undoes it."""
        for mean, now in zip(self.weights, network.parameters()):
            kept = now.clone()
            now.copy_(mean)
            mean.copy_(kept)


def optimizers(players: dict[str, nn.Module], settings: Train) -> dict[str, torch.optim.Optimizer]:
    """One for each player. AdamW spares biases and the numbers of norms, as the authors of CySGAN do.

    Fused: a step is one kernel instead of a dozen for every weight.
    """
    lr, betas, decay = settings.lr, settings.betas, settings.weight_decay
    if settings.optimizer == "adam":
        return {
            name: torch.optim.Adam(player.parameters(), lr, betas, weight_decay=decay, fused=True)
            for name, player in players.items()
        }
    parted = lambda player: [
        {"params": [p for p in player.parameters() if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in player.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return {name: torch.optim.AdamW(parted(player), lr, betas, fused=True) for name, player in players.items()}


def rate(step: int, progress: float, settings: Train) -> float:
    """Factor of the learning rate at a step, of which `progress` of the training is done.

    It rises over the first `warm_up` steps, is 1 up to `decay_from`, and falls to 0 at the end (linearly: AD-GAN, 4.2).
    """
    warm = 1.0 if step >= settings.warm_up else COLD_FACTOR + (1 - COLD_FACTOR) * step / settings.warm_up
    if progress < settings.decay_from or settings.decay_from == 1:
        return warm
    gone = (progress - settings.decay_from) / (1 - settings.decay_from)
    return warm * ((1 - gone) if settings.schedule == "linear" else (1 + cos(pi * gone)) / 2)
