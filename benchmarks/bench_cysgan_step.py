"""A CySGAN step against a plain re-computation of the reference's: six generator passes in fp32, gradients of the
discriminators computed and dropped while the generators move. Same networks, same batch, same process, one thread:

    pytest benchmarks/bench_cysgan_step.py --benchmark-only --benchmark-timer=time.process_time

`paper-3d` and `tuned-3d` have the paper's networks and need minutes; `-k laptop` leaves them out.
"""

from itertools import chain

import pytest
import torch

from cytoshift.core.batch import LabelledPair, UnlabelledPair
from cytoshift.core.voxel import Voxel
from cytoshift.methods.base import Task
from cytoshift.methods.cysgan import Batch, CySGAN, Options
from cytoshift.represent import BCD
from cytoshift.train.run_settings import Train
from cytoshift.train.step import optimizers, train_step

EXPANSION = Voxel((2.5, 0.325, 0.325), "um")
CASES = {  # preset: batch, voxel, rounds
    "laptop-2d": ((2, 1, 128, 128), Voxel((1.0, 1.0)), 10),
    "laptop-3d": ((1, 1, 16, 64, 64), Voxel((2.0, 1.0, 1.0)), 10),
    "paper-3d": ((1, 1, 16, 96, 96), EXPANSION, 3),
    "tuned-3d": ((1, 1, 16, 96, 96), EXPANSION, 3),
}


def setup(name: str, plain: bool = False):
    shape, voxel, _ = CASES[name]
    torch.set_num_threads(1)
    torch.manual_seed(0)
    method = CySGAN(Task(voxel, BCD()), Options(**CySGAN.presets[name]["options"] | {"warm_up": 0.0}))
    image = lambda: torch.rand(shape) * 2 - 1
    target = (torch.rand(shape[0], 3, *shape[2:]) > 0.8).float()
    batch = Batch(LabelledPair(image(), target, image()), UnlabelledPair(image(), image()))
    players = method.players()
    if plain:
        return method, batch, {k: torch.optim.Adam(p.parameters(), 2e-4, (0.5, 0.99)) for k, p in players.items()}
    return method, batch, optimizers(players, Train(lr=2e-4, betas=(0.5, 0.99), weight_decay=0.0))


def reference_step(method: CySGAN, batch: Batch, optimizers: dict) -> None:
    """As the authors' trainer.py orders it, the segmentation discriminator trained; two passes more for the
    identity.
    """
    lam, F, G, represent = method.options, method.F, method.G, method.represent
    (x, s, x_clean), (y, y_clean) = batch
    l1 = lambda a, b: (a - b).abs().mean()
    near = lambda scores, value: (scores - value).square().mean()
    xy, s_x = F(x)
    xyx, _ = G(xy)
    _, s_xy = G(xy.detach())
    yx, s_y = G(y)
    yxy, _ = F(yx)
    _, s_yx = F(yx.detach())
    s_y, s_yx = represent.activate(s_y), represent.activate(s_yx)

    optimizers["generators"].zero_grad()
    fool = sum(
        near(discriminator(fake), 1)
        for discriminator, fake in ((method.discriminator_x, yx), (method.discriminator_y, xy))
    )
    shape = near(method.discriminator_s(s_y), 1) + near(method.discriminator_s(s_yx), 1)
    segment = represent.loss(s_x, s) + represent.loss(s_xy, s)
    cycle = l1(xyx, x_clean) + l1(yxy, y_clean)
    same = lam.identity * (l1(F(y)[0], y_clean) + l1(G(x)[0], x_clean)) if lam.identity else 0
    (fool + shape + segment + lam.agree * l1(s_y, s_yx) + lam.cycle * cycle + same).backward()
    optimizers["generators"].step()

    optimizers["discriminators"].zero_grad()
    games = (
        (method.discriminator_x, x_clean, method.pool_x(yx)),
        (method.discriminator_y, y_clean, method.pool_y(xy)),
        (method.discriminator_s, s, method.pool_s(s_y)),
    )
    sum(
        near(discriminator(real), 1) + near(discriminator(fake.detach()), 0) for discriminator, real, fake in games
    ).backward()
    optimizers["discriminators"].step()


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("which", ["ours", "ours in fp32", "reference"])
def bench_step(benchmark, name, which):
    benchmark.group = name
    plain = which == "reference"
    method, batch, movers = setup(name, plain)
    half = lambda: torch.autocast("cpu", torch.bfloat16, enabled=which == "ours")
    ours = lambda: train_step(method, movers, batch, 0.0, half)
    reference = lambda: reference_step(method, batch, movers)
    benchmark.pedantic(reference if plain else ours, rounds=CASES[name][2], warmup_rounds=1)
    assert all(p.isfinite().all() for p in chain(method.parameters()))
