"""The contract of a method: its networks, the players that own them, and one training step.

`step` is a generator. Each `yield` is one optimiser step of one player. When the generator resumes, that step has been
taken. So the code has the order of the training, intermediate images are local variables, and the terms that are summed
are the terms that are logged.
"""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from ..core.errors import UserError
from ..core.settings import Settings
from ..core.voxel import Voxel
from ..nets.network_spec import NetSpec
from ..represent import Representation


@dataclass(frozen=True)
class Task:
    """What a run requests of any method.

    Parameters
    ----------
    voxel
        Voxel size at which the networks work. Its number of axes says 2D or 3D.
    represent
        How instances are written as channels.
    channels
        Channels of the images. Default: 1.
    """

    voxel: Voxel  # at which the networks work
    represent: Representation
    channels: int = 1  # of the images


@dataclass(frozen=True)
class Objective:
    """A sum of loss terms, and the module that it trains.

    Parameters
    ----------
    terms
        Scalars by name. The names stand in log.jsonl.
    moves
        Only the parameters of this module get a gradient.
    """

    terms: dict[str, Tensor]
    moves: nn.Module


@dataclass(frozen=True)
class Update:
    """One optimiser step of one player. The gradients of its objectives add up.

    Parameters
    ----------
    player
        Its name, a key of `Method.players`.
    objectives
        What is minimised.
    """

    player: str
    objectives: tuple[Objective, ...]


@dataclass(frozen=True)
class Translation:
    """For the monitor: a picture, what it was made of, and what it should look like. Pictures are named as in
    `sample_images`.

    Parameters
    ----------
    picture
        The translated picture.
    of
        The picture it was made of.
    like
        A picture of the domain it should look like.
    mask
        Whether `picture` is a segmentation, with objects above 0. Default: False.
    answer_to
        The picture for which `like` is the true answer, so that like : answer_to = picture : of. Default: objects are
        taken to be bright.
    names
        Names of the channels of `picture`. Each channel is judged by itself. Default: one channel.
    """

    picture: str
    of: str
    like: str
    mask: bool = False
    answer_to: str | None = None
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class AdversarialPair:
    """For the monitor: a discriminator and its generator, by their loss terms "player/name".

    Parameters
    ----------
    discriminator, fool
        Terms of the discriminator, and terms by which the generator deceives it.
    lost
        Sum of the generator's terms where the discriminator recognises every fake, weights included.
    saturation_level
        Sum of the discriminator's terms where it cannot tell real from fake. Default: 0.5, one least-squares pair.
    """

    discriminator: tuple[str, ...]
    fool: tuple[str, ...]
    lost: float
    saturation_level: float = 0.5


@dataclass(frozen=True)
class MonitorSpec:
    """What the monitor compares. Names that a method does not have are skipped.

    Parameters
    ----------
    translations, pairs
        Default: none.
    """

    translations: tuple[Translation, ...] = ()
    pairs: tuple[AdversarialPair, ...] = ()


# A labelled source and an unlabelled target, under the names that methods give them.
SEGMENTED = (
    Translation("target segmented", of="target", like="source truth", mask=True, answer_to="source"),
    Translation("source segmented", of="source", like="source truth", mask=True, answer_to="source"),
)
# Images and synthetic masks, each translated into the other, under the names that methods give them.
TRANSLATED = (
    Translation("image to mask", of="image", like="mask", mask=True),
    Translation("mask to image", of="mask", like="image"),
)


def parameters_of(moves: nn.Module, **terms: Tensor) -> Objective:
    """An objective that trains one module.

    Parameters
    ----------
    moves
        The module that is trained.
    **terms
        Scalars by name.

    Returns
    -------
    Objective
        For `Method.update`.

    Examples
    --------
    >>> objective = parameters_of(nn.Linear(1, 1), cycle=torch.tensor(2.0))
    >>> list(objective.terms)
    ['cycle']
    """
    return Objective(terms, moves)


class Method(nn.Module):
    """A training method. A subclass is one file with the equations of its paper; `METHODS` lists all of them.

    The class attributes say what other parts of the program have to know: name, title, papers, axes, smallest patch,
    whether it translates, its batch, settings and presets.

    Parameters
    ----------
    task
        Voxel size, representation, channels of the images.
    options
        Of the class `settings`: the weights of the paper and its ablations.
    seed
        Of what the method samples during a step, such as the image pool. Default: 0.

    Examples
    --------
    >>> from cytoshift.methods import METHODS
    >>> from cytoshift.represent import Semantic
    >>> kind = METHODS["supervised"]
    >>> method = kind(Task(Voxel((1.0, 1.0)), Semantic()), kind.settings(widths=(8, 16)))
    >>> method.network()(torch.zeros(1, 1, 16, 16)).shape
    torch.Size([1, 1, 16, 16])
    """

    name: ClassVar[str]  # in settings files
    title: ClassVar[str]  # in sentences
    papers: ClassVar[tuple[str, ...]]  # BibTeX keys: the paper of the method first, then what it builds on
    ndims: ClassVar[tuple[int, ...]] = (2, 3)  # numbers of spatial axes that it works in
    least_patch: ClassVar[int] = 8  # voxels along each axis of a patch
    least_depth: ClassVar[int | None] = None  # along z, where fewer than `least_patch`, and any number, will do
    compares_sections: ClassVar[bool] = False  # of a stack, which then lie as far apart in source and target
    translates: ClassVar[bool] = False  # plays an adversarial game that brings source and target to one look
    segments: ClassVar[bool] = True  # trained alone it leaves a segmenter
    batch: ClassVar[type]  # NamedTuple: which domains a step eats, and how they are labelled
    settings: ClassVar[type[Settings]]  # the lambdas of the paper and its ablations, with its values
    presets: ClassVar[dict[str, dict[str, Any]]]  # named settings of a run, as far as the paper fixes them
    modality_gap: ClassVar[
        dict[str, dict[str, Any]]
    ] = {}  # by preset: options that change where modalities are far apart
    supports_classes: ClassVar[bool] = False  # takes images of several channels, and several classes
    supports_ignored: ClassVar[bool] = False  # takes targets that are NaN where nothing is known

    def __init__(self, task: Task, options: Any, seed: int = 0):
        super().__init__()
        self.task = task

    @abstractmethod
    def players(self) -> dict[str, nn.Module]:
        """The players: modules with one optimiser each. Every trained parameter belongs to one player.

        Returns
        -------
        dict
            Modules by the names that stand in log.jsonl and `train.lr_multipliers`.
        """

    @abstractmethod
    def step(self, batch: Any, progress: float) -> Iterator[Update]:
        """One training step.

        Parameters
        ----------
        batch
            Of the type `batch`: tensors (B, C, *S) in [-1, 1], and targets (B, K, *S), with NaN where nothing is known
            if the method `supports_ignored`.
        progress
            Fraction of the training that is done, 0 to 1.

        Returns
        -------
        iterator of Update
            One for each optimiser step. The caller takes it before the generator resumes.
        """

    @abstractmethod
    def network(self) -> nn.Module:
        """The network that is exported: target image (B, C, *S) -> logits (B, K, *S).

        Returns
        -------
        Module
            Always the same live module. Its weights are replaced by their running mean where that is exported.
        """

    def batch_sizes(self, size: int) -> dict[str, int]:
        """Samples of each domain in a batch.

        Parameters
        ----------
        size
            `train.batch`.

        Returns
        -------
        dict
            A number for each field of `batch`. Default: `size` of each.
        """
        return dict.fromkeys(self.batch.__annotations__, size)

    def drawing_network(self) -> nn.Module:
        """The network that draws images, of methods that translate between images and synthetic masks.

        Returns
        -------
        Module
            Mask (B, K, *S), stretched to [-1, 1] -> image (B, C, *S) before the tanh.

        Raises
        ------
        UserError
            Where the method has none.
        """
        raise UserError(f"{self.title} draws no images from masks; take a method that translates both ways")

    def source_domain_network(self) -> nn.Module:
        """The network for images of the source domain. Thresholds are tuned with it on the labels of the source.

        Returns
        -------
        Module
            Source image (B, C, *S) -> logits (B, K, *S). Default: `network`.
        """
        return self.network()

    @abstractmethod
    def exported_spec(self) -> NetSpec:
        """The specification from which `network()` is built.

        Returns
        -------
        NetSpec
            Plain data for model.json.
        """

    @abstractmethod
    def sample_images(self, batch: Any) -> dict[str, Tensor]:
        """Sample images for the sample grid, the curves' page and the monitor.

        Parameters
        ----------
        batch
            As of `step`.

        Returns
        -------
        dict
            Pictures (B, 1, *S) in [-1, 1] by name; with more channels they are shown in colours.
        """

    def monitor_spec(self) -> MonitorSpec:
        """What the monitor compares. Default: the segmentations of source and target.

        Returns
        -------
        MonitorSpec
            Translations and adversarial pairs.
        """
        return MonitorSpec(SEGMENTED)

    def update(self, player: str, *objectives: Objective, **terms: Tensor) -> Update:
        """An update of a player for `yield` in a step.

        Parameters
        ----------
        player
            A key of `players`.
        *objectives
            Further objectives with modules of their own.
        **terms
            Loss terms that train the whole player.

        Returns
        -------
        Update
            One optimiser step.
        """
        mine = (Objective(terms, self.players()[player]),) if terms else ()
        return Update(player, mine + objectives)


def logits_picture(represent: Representation, logits: Tensor) -> Tensor:
    """Picture of a segmentation: logits (B, K, *S) -> (B, 1, *S) in [-1, 1], -1 is background.

    With several classes it has a channel for each.
    """
    return channels_picture(represent, represent.activate(logits))


def channels_picture(represent: Representation, channels: Tensor) -> Tensor:
    """The same as `logits_picture` for channels (B, K, *S) in the ranges of the representation."""
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
