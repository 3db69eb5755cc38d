"""A segmenter of one modality behind what makes images of another look like it: shipped as one network."""

from typing import Annotated, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from ..core.settings import Settings
from .resnet import ResNetSpec
from .unet import UNetSpec


class LookupSpec(Settings):
    """A table of gray values: rising knots_in, and what becomes of them; linear in between, the ends beyond."""

    kind: Literal["lookup"] = "lookup"
    ndim: Literal[2, 3]
    knots_in: tuple[float, ...] = Field(min_length=2)
    knots_out: tuple[float, ...] = Field(min_length=2)

    @model_validator(mode="after")
    def pairs(self) -> Self:
        if len(self.knots_in) != len(self.knots_out):
            raise ValueError(f"{len(self.knots_in)} knots_in and {len(self.knots_out)} knots_out do not make pairs")
        if any(b <= a for a, b in zip(self.knots_in, self.knots_in[1:])):
            raise ValueError("knots_in must rise")
        return self

    @property
    def channels(self) -> int:
        return 1

    @property
    def multiple(self) -> tuple[int, ...]:
        return (1,) * self.ndim

    def build(self) -> "Lookup":
        return Lookup(self)


class Lookup(nn.Module):
    """(B, 1, *S) -> the same shape, each value by the table (histogram matching as a layer)."""

    def __init__(self, spec: LookupSpec):
        super().__init__()
        self.knots_in: Tensor
        self.knots_out: Tensor
        self.register_buffer("knots_in", torch.tensor(spec.knots_in, dtype=torch.float32))
        self.register_buffer("knots_out", torch.tensor(spec.knots_out, dtype=torch.float32))

    def forward(self, x: Tensor) -> Tensor:
        last = len(self.knots_in) - 2
        left = (torch.bucketize(x.float(), self.knots_in) - 1).clamp(0, last)
        low, high = self.knots_in[left], self.knots_in[left + 1]
        share = ((x.float() - low) / (high - low)).clamp(0, 1)
        return torch.lerp(self.knots_out[left], self.knots_out[left + 1], share)


class ChainSpec(Settings):
    """first: what the image goes through before `segment` sees it; of a translator with the tanh that it ends in."""

    kind: Literal["chain"] = "chain"
    first: Annotated[ResNetSpec | LookupSpec, Field(discriminator="kind")]
    segment: UNetSpec

    @property
    def ndim(self) -> int:
        return self.segment.ndim

    @property
    def channels(self) -> int:
        return self.first.channels

    def build(self) -> "Chain":
        return Chain(self)


class Chain(nn.Module):
    """Image (B, 1, *S) -> logits (B, K, *S); S are multiples of `multiple`."""

    def __init__(self, spec: ChainSpec):
        super().__init__()
        self.first, self.segment = spec.first.build(), spec.segment.build()
        self.translates = spec.first.kind == "resnet"
        self.multiple = tuple(max(a, b) for a, b in zip(spec.first.multiple, spec.segment.multiple))

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return self.segment(x.tanh() if self.translates else x)
