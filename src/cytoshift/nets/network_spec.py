"""The description from which an exported network is built: frozen data, so that a model file needs no training code."""

from typing import Annotated, Literal

from pydantic import Field

from ..core.settings import Settings
from .chain import ChainSpec
from .nd import stages
from .resnet import ResNetSpec
from .translator import Decoder, Encoder, Translator
from .unet import MOST_CHANNELS, UNetSpec


class TranslatorSpec(Settings):
    """AD-GAN's encoder and decoder. The paper: width 64 in 2D and 32 in 3D, 4 blocks, stem 7, hidden 256, up 3.

    style: numbers of MUNIT's style code, 0 for codes of domains; see translator.Translator.
    """

    kind: Literal["translator"] = "translator"
    ndim: Literal[2, 3]
    channels: int = Field(1, ge=1, le=MOST_CHANNELS)
    width: int = Field(64, ge=1, le=MOST_CHANNELS)
    blocks: int = Field(4, ge=1, le=64)
    stem: int = Field(7, ge=1, le=63)
    hidden: int = Field(256, ge=1, le=MOST_CHANNELS)
    up: Literal[3, 4] = 3
    adaptive_encoder: bool = True
    style: int = Field(0, ge=0, le=MOST_CHANNELS)
    frozen: bool = False  # norms hold statistics measured after training

    def build(self) -> Translator:
        shared = (self.ndim, self.channels, self.width, self.blocks, self.stem, self.hidden)
        encoder = Encoder(*shared, self.adaptive_encoder, self.frozen)
        return Translator(encoder, Decoder(*shared, self.up, self.frozen, self.style or 2), self.style)


# One more network that is shipped is one more name here; a model file tells them apart by `kind`.
NetSpec = Annotated[TranslatorSpec | UNetSpec | ResNetSpec | ChainSpec, Field(discriminator="kind")]

__all__ = ["ChainSpec", "NetSpec", "ResNetSpec", "TranslatorSpec", "UNetSpec", "stages", "with_frozen_norms"]


def with_frozen_norms(spec: NetSpec, frozen: bool) -> NetSpec:
    """The same network with norms that hold their statistics, or that take those of what they see.

    Of a chain the segmenter alone.

    >>> from cytoshift.core.voxel import Voxel
    >>> with_frozen_norms(UNetSpec.for_voxel(Voxel((1.0, 1.0)), 1, 1, (8, 8), stem=3), True).frozen
    True
    """
    if isinstance(spec, ChainSpec):
        return spec.model_copy(update={"segment": with_frozen_norms(spec.segment, frozen)})
    return spec.model_copy(update={"frozen": frozen})
