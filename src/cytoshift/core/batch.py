"""What travels from the data room to a method. Shapes: B batch, C image channels, K representation
channels, *S spatial axes, (Y, X) or (Z, Y, X)."""

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:  # the core stays importable without torch
    from torch import Tensor


class LabelledBatch(NamedTuple):
    """Images of one domain with their ground truth."""

    image: "Tensor"  # (B, C, *S) float32, normalised
    target: "Tensor"  # (B, K, *S) float32, channels of the representation; NaN where nothing is known


class UnlabelledBatch(NamedTuple):
    """Images of one domain without ground truth."""

    image: "Tensor"  # (B, C, *S) float32, normalised


class BiasFieldBatch(NamedTuple):
    """`UnlabelledBatch` under an uneven light, and as it was."""

    image: "Tensor"  # (B, C, *S) float32, normalised
    clean: "Tensor"  # (B, C, *S) float32, normalised


class MaskBatch(NamedTuple):
    """Synthetic ground truth without a real image."""

    target: "Tensor"  # (B, K, *S) float32 in [0, 1]


class SyntheticBatch(NamedTuple):
    """Synthetic images with their ground truth."""

    image: "Tensor"  # (B, C, *S) float32, as normalised images are
    target: "Tensor"  # (B, K, *S) float32, channels of the representation


class LabelledPair(NamedTuple):
    """`LabelledBatch`, and what the image was before it was corrupted: same grid, same pose."""

    image: "Tensor"  # (B, C, *S) float32, normalised, corrupted
    target: "Tensor"  # (B, K, *S) float32, channels of the representation
    clean: "Tensor"  # (B, C, *S) float32, normalised


class UnlabelledPair(NamedTuple):
    """`UnlabelledBatch`, and what the image was before it was corrupted: same grid, same pose."""

    image: "Tensor"  # (B, C, *S) float32, normalised, corrupted
    clean: "Tensor"  # (B, C, *S) float32, normalised
