"""Objects of several classes, each numbered on its own: the channels of one representation per class, in a row."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from ..core.errors import UserError
from ..core.voxel import Voxel
from .affinity import Affinity
from .base import Channels, Labels, Link, Pair, Part, Ranges, Representation, StoredChannels
from .bcd import BC, BCD
from .semantic import Semantic
from .ternary import Ternary

if TYPE_CHECKING:
    from torch import Tensor

Single = Annotated[Semantic | Ternary | BC | BCD | Affinity, Field(discriminator="kind")]


class Classes(Representation):
    """Several classes whose objects may lie inside of one another, as Golgi and nuclei (SS-Seg CycleGAN).

    Labels of K classes are one array (K, *S) in the order of `classes`; objects of each are 1..N.
    classes: by name, how the objects of each are written. A ternary or BCD class comes out as instances, as the
        paper's third channel for touching borders was meant to do.
    weights: of the classes in losses, 1 where none is given; the paper has 3.5 for Golgi, the smaller ones.
    belongs: {golgi: nuclei} says that each object of the one class belongs to the object of the other that it overlaps
        most, or else to the nearest one whose surface is not further away than `reach` (unit of the voxel size).
    """

    kind: Literal["classes"] = "classes"
    classes: dict[str, Single] = Field(min_length=1)
    weights: dict[str, Annotated[float, Field(gt=0)]] = {}
    belongs: dict[str, str] = {}
    reach: float | None = Field(None, ge=0)

    @field_validator("classes")
    @classmethod
    def check_class_names(cls, classes: dict[str, Single]) -> dict[str, Single]:
        for name in classes:
            if not name.replace("-", "").replace("_", "").isalnum():
                raise ValueError(f"the class '{name}' names files, so it takes letters, digits, - and _ alone")
        return classes

    @model_validator(mode="after")
    def check_names(self) -> Self:
        for word, names in (
            ("weights", self.weights), ("belongs", self.belongs), ("belongs", dict.fromkeys(self.belongs.values())),
        ):  # fmt: skip
            if stranger := next((name for name in names if name not in self.classes), None):
                raise ValueError(f"{word} names '{stranger}', but the classes are {', '.join(self.classes)}")
        if own := next((name for name, other in self.belongs.items() if name == other), None):
            raise ValueError(f"belongs says that '{own}' belongs to itself; name another class")
        if self.belongs and self.reach is None:
            raise ValueError("belongs needs a reach, the largest distance between objects that belong together")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.classes)

    @property
    def channels(self) -> tuple[str, ...]:
        """As "golgi foreground", class by class."""
        return tuple(f"{name} {word}" for name, one in self.classes.items() for word in one.channels)

    @property
    def link(self) -> Link:
        """Each class has a rule of its own, see `parts`."""
        return "best"

    @property
    def ranges(self) -> Ranges:
        return tuple(limits for one in self.classes.values() for limits in one.ranges)

    @property
    def papers(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(key for one in self.classes.values() for key in one.papers))

    @property
    def eight_bits(self) -> bool:
        return all(one.eight_bits for one in self.classes.values())

    @property
    def decode_bytes(self) -> int:
        """One class is decoded after the other."""
        return max(one.decode_bytes for one in self.classes.values())

    @property
    def pairs(self) -> tuple[Pair, ...]:
        return tuple(Pair(member, owner, self.reach or 0.0) for member, owner in self.belongs.items())

    @property
    def smallest_object(self) -> float | None:
        """The largest of what the classes have: it stands for the size that objects can have."""
        known = [one.smallest_object for one in self.classes.values() if one.smallest_object is not None]
        return max(known, default=None)

    def parts(self) -> Iterator[Part]:
        start = 0
        for name, one in self.classes.items():
            stop = start + len(one.channels)
            yield Part(name, one, slice(start, stop), self.weights.get(name, 1.0))
            start = stop

    def encode(self, labels: NDArray[np.generic], voxel: Voxel) -> Channels:
        """Labels (K, *S) -> channels of the first class, of the second ... (sum of their channels, *S).

        Raises UserError where there is not one label image for each class.
        """
        if labels.ndim != voxel.ndim + 1 or len(labels) != len(self.classes):
            raise UserError(
                f"{len(self.classes)} classes ({', '.join(self.names)}) need one label image each, the labels have the "
                f"shape {labels.shape}; stack them in the order of the classes"
            )
        return np.concatenate([one.encode(found, voxel) for one, found in zip(self.classes.values(), labels)])

    def activate(self, logits: "Tensor") -> "Tensor":
        import torch

        return torch.cat([part.represent.activate(logits[:, part.channels]) for part in self.parts()], dim=1)

    def loss(self, logits: "Tensor", target: "Tensor") -> "Tensor":
        """The classes' losses, each with its weight, added up."""
        import torch

        each = [
            part.weight * part.represent.loss(logits[:, part.channels], target[:, part.channels])
            for part in self.parts()
        ]
        return torch.stack(each).sum()

    def foreground(self, channels: StoredChannels) -> Channels:
        """(channels, *S) -> how likely each voxel is part of an object of each class, (K, *S)."""
        return np.stack([part.represent.foreground(channels[part.channels]) for part in self.parts()])

    def decode(self, channels: StoredChannels, voxel: Voxel) -> Labels:
        """(channels, *S) -> instances (K, *S), 1..N in each class."""
        return np.stack([part.represent.decode(channels[part.channels], voxel) for part in self.parts()])

    def with_threshold(self, threshold: float) -> Self:
        """The same threshold for all classes."""
        return self.model_copy(
            update={"classes": {name: one.with_threshold(threshold) for name, one in self.classes.items()}}
        )
