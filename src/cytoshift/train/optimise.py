"""Optimisers of the players, and how their learning rate rises and falls."""

from math import cos, pi

import torch
from torch import nn

from .settings import Train

COLD = 1e-3  # factor of the learning rate at the first step of a warm-up


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
    warm = 1.0 if step >= settings.warm_up else COLD + (1 - COLD) * step / settings.warm_up
    if progress < settings.decay_from or settings.decay_from == 1:
        return warm
    gone = (progress - settings.decay_from) / (1 - settings.decay_from)
    return warm * ((1 - gone) if settings.fall == "linear" else (1 + cos(pi * gone)) / 2)
