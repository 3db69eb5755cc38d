"""Feature-level adaptation after Tsai et al. (2018), as CySGAN's authors set it up: features and outputs of the U-Net
for the unlabelled domain should look like those for the labelled one.

    z_x, s_x = f(x)     z_y, s_y = f(y)       z at the bottleneck and at the last level of the decoder

    L_seg   s_x against s          L_adv   z_y against z_x at both levels, s_x and s_y against s
"""

from collections.abc import Iterator
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from ..core.batch import LabelledBatch, UnlabelledBatch
from ..losses.adversarial import discriminator_loss, generator_loss
from ..losses.pool import ImagePool
from ..nets.discriminator import DiscriminatorSpec
from ..nets.unet import UNetSpec
from .backbone import LEAN, PAPER, Backbone
from .base import SEGMENTED, AdversarialPair, Method, MonitorSpec, Task, Update, channels_picture, logits_picture


class Batch(NamedTuple):
    source: LabelledBatch  # X
    target: UnlabelledBatch  # Y


class Options(Backbone):
    """adversarial: the authors' one weight for all games. discriminator: widths of the discriminators of outputs and
    of full-size features. bottleneck_widths: widths of the discriminator at the bottleneck, which has few voxels and
    is not made coarser. pool: fakes that the discriminator of outputs remembers."""

    renamed: ClassVar[dict[str, str]] = {"critic": "discriminator", "deep": "bottleneck_widths"}

    adversarial: float = 0.1
    discriminator: tuple[int, ...] = (64, 64, 128, 128, 256)
    bottleneck_widths: tuple[int, ...] = (128, 128)
    pool: int = 40


LAPTOP = {"lr": 1e-3, "betas": (0.5, 0.99), "steps": 1000, "precision": "auto"}


class Feature(Method):
    """A U-Net whose features and outputs discriminators bring together. It needs labels of the source domain.

    Parameters
    ----------
    task
        Voxel size, representation, channels of the images.
    options
        Weights and sizes; see `Options`.
    seed
        Of the random choices in a step. Default: 0.

    References
    ----------
    Tsai et al. 2018, section 3.

    Examples
    --------
    >>> from cytoshift.core.voxel import Voxel
    >>> from cytoshift.methods.base import Task
    >>> from cytoshift.represent import BCD
    >>> options = Options(widths=(8, 16), discriminator=(4, 4), bottleneck_widths=(4,))
    >>> method = Feature(Task(Voxel((1.0, 1.0)), BCD()), options)
    >>> list(method.players())
    ['net', 'discriminators']
    """

    name: ClassVar = "feature"
    title: ClassVar = "adversarial adaptation of features and outputs"
    papers: ClassVar = ("tsai2018adapt", "lauenburg2023cysgan")
    batch, settings = Batch, Options
    presets: ClassVar = {
        "paper-2d": {"options": {}, "patch": (256, 256), "train": PAPER},
        "paper-3d": {"options": {}, "patch": (16, 128, 128), "train": PAPER},
        "laptop-2d": {
            "options": LEAN
            | {"widths": (16, 32, 64), "discriminator": (16, 32, 64), "bottleneck_widths": (64,), "pool": 20},
            "train": LAPTOP | {"batch": 2},
        },
        "laptop-3d": {
            "options": LEAN
            | {"widths": (8, 16, 32), "discriminator": (8, 16, 32), "bottleneck_widths": (32,), "pool": 20},
            "train": LAPTOP | {"batch": 1},
        },
    }

    def __init__(self, task: Task, options: Options, seed: int = 0):
        super().__init__(task, options, seed)
        self.options, self.represent = options, task.represent
        channels = len(task.represent.channels)
        self.net = self.exported_spec().build()
        fine = lambda channels: DiscriminatorSpec.for_voxel(task.voxel, channels, options.discriminator).build()
        self.discriminator_s, self.discriminator_fine = fine(channels), fine(options.widths[0])
        self.discriminator_deep = bottleneck_discriminator(self.net.spec, options.bottleneck_widths).build()
        self.pool = ImagePool(options.pool, seed)

    def exported_spec(self) -> UNetSpec:
        return self.options.unet(self.task.voxel, len(self.represent.channels))

    def players(self) -> dict[str, nn.Module]:
        return {
            "net": self.net,
            "discriminators": nn.ModuleList([self.discriminator_s, self.discriminator_fine, self.discriminator_deep]),
        }

    def network(self) -> nn.Module:
        return self.net

    def step(self, batch: Batch, progress: float) -> Iterator[Update]:
        (x, s), (y,) = batch
        lam = self.options.adversarial

        f_x, f_y = self.net.encode_domains(x, y)
        (fine_x, s_x), (fine_y, s_y) = self.net.decode(list(f_x)), self.net.decode(list(f_y))
        deep_x, deep_y = f_x[-1], f_y[-1]
        predicted = self.represent.activate(torch.cat([s_x, s_y]))
        yield self.update(
            "net",
            segment=self.represent.loss(s_x, s),
            shape=lam * generator_loss(self.discriminator_s, predicted),  # of both domains, as in the code
            fine=lam * generator_loss(self.discriminator_fine, fine_y),
            deep=lam * generator_loss(self.discriminator_deep, deep_y),
        )
        yield self.update(
            "discriminators",
            s=discriminator_loss(self.discriminator_s, s, self.pool(predicted)),
            # Not pooled: old features belong to a network that is gone. Half of it is the same to Adam.
            fine=discriminator_loss(self.discriminator_fine, fine_x, fine_y),
            deep=discriminator_loss(self.discriminator_deep, deep_x, deep_y),
        )

    @torch.no_grad()
    def sample_images(self, batch: Batch) -> dict[str, Tensor]:
        (x, s), (y,) = batch
        return {
            "source": x, "source segmented": logits_picture(self.represent, self.net(x)),
            "source truth": channels_picture(self.represent, s),
            "target": y, "target segmented": logits_picture(self.represent, self.net(y)),
        }  # fmt: skip

    def monitor_spec(self) -> MonitorSpec:
        games = {"s": "shape", "fine": "fine", "deep": "deep"}
        lam = self.options.adversarial
        return MonitorSpec(
            SEGMENTED, tuple(AdversarialPair((f"discriminators/{k}",), (f"net/{v}",), lam) for k, v in games.items())
        )


def bottleneck_discriminator(net: UNetSpec, widths: tuple[int, ...]) -> DiscriminatorSpec:
    """One score per voxel of the bottleneck, with the kernels of that level."""
    kernel, unit = net.kernels[-1], (1,) * net.ndim
    return DiscriminatorSpec(
        ndim=net.ndim, channels=net.widths[-1], widths=widths, kernels=(kernel,) * len(widths),
        strides=(unit,) * len(widths), last=kernel,
    )  # fmt: skip
