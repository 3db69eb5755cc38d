"""An AD-GAN step against a plain re-computation of the reference's: ten passes in fp32, gradients of the frozen
decoder included. Same networks, same batch, same process:

    pytest benchmarks/bench_adgan_step.py --benchmark-only
"""

from itertools import chain

import pytest
import torch

from cytoshift.core.batch import BiasFieldBatch, MaskBatch
from cytoshift.core.voxel import Voxel
from cytoshift.losses.basic import l1, squared_to_value
from cytoshift.methods.adgan import ADGAN, Batch, Options
from cytoshift.methods.base import Task
from cytoshift.nets.translator import IMAGE, MASK, code
from cytoshift.represent import Semantic
from cytoshift.train.step import train_step

SHAPES = {"2d": (4, 1, 128, 128), "3d": (1, 1, 32, 64, 64)}


def setup(name: str):
    shape = SHAPES[name]
    torch.manual_seed(0)
    task = Task(Voxel((1.0,) * (len(shape) - 2)), Semantic())
    method = ADGAN(task, Options(width=16, discriminator=16, hidden=64))
    image = torch.rand(shape) * 2 - 1
    batch = Batch(BiasFieldBatch(image, image), MaskBatch((torch.rand(shape) > 0.8).float()))
    optimizers = {k: torch.optim.Adam(p.parameters(), 2e-4, (0.5, 0.99)) for k, p in method.players().items()}
    return method, batch, optimizers


def reference_step(method: ADGAN, batch: Batch, optimizers: dict) -> None:
    """As the authors' trainer.py orders it: 4 encoder and 6 decoder passes, the decoder switched off by
    requires_grad after the graph was built (its weight gradients are computed and dropped), discriminator not
    frozen."""
    encode, decode, discriminator, lam = method.encode, method.decode, method.discriminator, method.options
    a, b = batch.images.image, 2 * batch.masks.target - 1
    at_a, at_b = code(a, IMAGE), code(b, MASK)
    c_a, c_b = encode(a, at_a), encode(b, at_b)
    aa, bb = decode(c_a, at_a).tanh(), decode(c_b, at_b).tanh()
    ab, ba = decode(c_a, at_b).tanh(), decode(c_b, at_a).tanh()
    c_ab, c_ba = encode(ab, at_b), encode(ba, at_a)
    aba, bab = decode(c_ab, at_a).tanh(), decode(c_ba, at_b).tanh()

    optimizers["generators"].zero_grad()
    (lam.reconstruct * (l1(aa, a) + l1(bb, b))).backward(retain_graph=True)
    decode.requires_grad_(False)
    fool = sum(
        squared_to_value(discriminator(x)[:, d], v) for x, d, v in ((ab, 1, 1), (ba, 0, 1), (aa, 0, 0), (bb, 1, 0))
    )
    cycle, content = l1(aba, a) + l1(bab, b), l1(c_ab, c_a) + l1(c_ba, c_b)
    (lam.cycle * cycle + lam.content * content + fool).backward()
    decode.requires_grad_(True)
    optimizers["generators"].step()

    optimizers["discriminator"].zero_grad()
    pairs = ((aa, 0, 1), (bb, 1, 1), (ab, 1, 0), (ba, 0, 0))
    sum(squared_to_value(discriminator(x.detach())[:, d], v) for x, d, v in pairs).backward()
    optimizers["discriminator"].step()


@pytest.mark.benchmark(min_rounds=5, warmup=True, warmup_iterations=1)
@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("which", ["ours", "reference"])
def bench_step(benchmark, name, which):
    benchmark.group = name
    method, batch, optimizers = setup(name)
    if which == "reference":
        benchmark(reference_step, method, batch, optimizers)
    else:
        bf16 = lambda: torch.autocast("cpu", torch.bfloat16)
        benchmark(train_step, method, optimizers, batch, 0.0, bf16)
    assert all(p.isfinite().all() for p in chain(method.parameters()))
