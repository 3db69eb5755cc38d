"""A method = its networks, the players that own them, and one training step.

`step` is a generator. Each `yield` is one optimiser step of one player; when the generator resumes,
that step has been taken. So the body reads in the order in which things happen, intermediate images
stay local variables, and what is summed is what is logged.
"""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from ..core.settings import Settings
from ..core.voxel import Voxel
from ..nets.network_spec import NetSpec
from ..represent import Representation


@dataclass(frozen=True)
class Task:
    """What a run asks of any method: the size of its voxels (and so 2D or 3D), and how instances are written."""

    voxel: Voxel  # at which the networks work
    represent: Representation
    channels: int = 1  # of the images


@dataclass(frozen=True)
class Objective:
    """Lower the sum of `terms` by moving the parameters of `moves`, and no others."""

    terms: dict[str, Tensor]
    moves: nn.Module


@dataclass(frozen=True)
class Update:
    """One step of one player's optimiser. The gradients of its objectives add up."""

    player: str
    objectives: tuple[Objective, ...]


@dataclass(frozen=True)
class Translation:
    """For the monitor, by their names in `look`: `picture` was made of `of`, and ought to look like some of `like`.

    mask: it is a segmentation, objects are above 0. answer_to: the picture that `like` is the true answer to, so that
    like : answer_to = picture : of; without it, objects are taken to be bright. names: of the picture's channels, each
    of which is judged by itself.
    """

    picture: str
    of: str
    like: str
    mask: bool = False
    answer_to: str | None = None
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class AdversarialPair:
    """For the monitor, a discriminator and its generator by their loss terms, "player/name".

    tie: sum of the discriminator's terms when it can tell nothing apart (0.5 for one pair, in the least-squares game).
    lost: sum of the generator's when every fake is told, with its weight.
    """

    discriminator: tuple[str, ...]
    fool: tuple[str, ...]
    lost: float
    saturation_level: float = 0.5


@dataclass(frozen=True)
class MonitorSpec:
    """What the monitor is to compare. Names that a method does not have are passed over."""

    translations: tuple[Translation, ...] = ()
    pairs: tuple[AdversarialPair, ...] = ()


# A labelled source and an unlabelled target, under the names that methods give them.
SEGMENTED = (
    Translation("target segmented", of="target", like="source truth", mask=True, answer_to="source"),
    Translation("source segmented", of="source", like="source truth", mask=True, answer_to="source"),
)


def parameters_of(moves: nn.Module, **terms: Tensor) -> Objective:
    return Objective(terms, moves)


class Method(nn.Module):
    name: ClassVar[str]  # in settings files
    title: ClassVar[str]  # in sentences
    papers: ClassVar[tuple[str, ...]]  # BibTeX keys: the paper of the method first, then what it builds on
    least_patch: ClassVar[int] = 8  # voxels along each axis of a patch
    translates: ClassVar[bool] = False  # plays an adversarial game that brings source and target to one look
    segments: ClassVar[bool] = True  # trained alone it leaves a segmenter
    batch: ClassVar[type]  # NamedTuple: which domains a step eats, and how they are labelled
    settings: ClassVar[type[Settings]]  # the lambdas of the paper and its ablations, with its values
    presets: ClassVar[dict[str, dict[str, Any]]]  # named settings of a run, as far as the paper fixes them
    modality_gap: ClassVar[
        dict[str, dict[str, Any]]
    ] = {}  # by preset: options that change where modalities are far apart
    supports_classes: ClassVar[bool] = False  # takes images of several channels, and several classes

    def __init__(self, task: Task, options: Any, seed: int = 0):
        super().__init__()
        self.task = task

    @abstractmethod
    def players(self) -> dict[str, nn.Module]:
        """Who moves; one optimiser each. Every trained parameter belongs to one player."""

    @abstractmethod
    def step(self, batch: Any, progress: float) -> Iterator[Update]:
        """`progress` runs from 0 to 1 over the training."""

    @abstractmethod
    def network(self) -> nn.Module:
        """What is shipped: target image (B, C, *S) -> representation logits (B, K, *S).

        The live module, always the same: its weights are replaced by their running mean where that is shipped.
        """

    def source_domain_network(self) -> nn.Module:
        """Source image (B, C, *S) -> logits (B, K, *S), as `network` will give them of the target: where labels are
        borrowed, thresholds are tuned on that."""
        return self.network()

    @abstractmethod
    def exported_spec(self) -> NetSpec:
        """What `network()` is built from."""

    @abstractmethod
    def sample_images(self, batch: Any) -> dict[str, Tensor]:
        """Named pictures in [-1, 1] for the sheet of translated samples, (B, 1, *S), or more channels in colours."""

    def monitor_spec(self) -> MonitorSpec:
        """What the monitor is told; a method that names its pictures like the others needs to say nothing."""
        return MonitorSpec(SEGMENTED)

    def update(self, player: str, *objectives: Objective, **terms: Tensor) -> Update:
        mine = (Objective(terms, self.players()[player]),) if terms else ()
        return Update(player, mine + objectives)


def logits_picture(represent: Representation, logits: Tensor) -> Tensor:
    """The picture of a segmentation: logits (B, K, *S) -> (B, 1, *S) in [-1, 1], -1 is background.

    Of several classes a channel for each.
    """
    return channels_picture(represent, represent.activate(logits))


def channels_picture(represent: Representation, channels: Tensor) -> Tensor:
    """As `logits_picture`, of channels (B, K, *S) in the range of the representation's targets."""
    likely = np.stack([represent.foreground(c) for c in channels.detach().float().cpu().numpy()])
    return 2 * torch.from_numpy(likely).reshape(len(channels), -1, *channels.shape[2:]).to(channels.device) - 1


def stretch_channels(represent: Representation, channels: Tensor) -> Tensor:
    """Channels (B, K, *S) in the range of the representation's targets, all stretched to [-1, 1]."""
    low, high = channels.new_tensor(represent.ranges).T.reshape(2, -1, *[1] * (channels.ndim - 2))
    return (2 * channels - high - low) / (high - low)


def class_weights(represent: Representation) -> tuple[float, ...]:
    """The weight of each class, 1 of a single one."""
    return tuple(part.weight for part in represent.parts())


def channel_weights(represent: Representation) -> tuple[float, ...]:
    """The weight of the class that each of the K channels belongs to."""
    return tuple(part.weight for part in represent.parts() for _ in part.represent.channels)
