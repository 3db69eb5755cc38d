"""Masks among the labels that `cytoshift evaluate` compares: made into objects where that is wished for, or noticed."""

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING

from ..core.errors import UserError
from .console import say

if TYPE_CHECKING:
    from ..data.volumes import Volume

EACH = 10  # bytes of a voxel while its parts are found


def as_objects(
    pairs: "Sequence[tuple[Volume, Volume]]", pred_above: float | None, truth_above: float | None, memory: float
) -> "list[tuple[Volume, Volume]]":
    """Pairs of prediction and truth, with the connected parts of masks as objects; what else looks like a mask is said.

    pred_above, truth_above: what is above this value in a mask is object; None of labels. memory: bytes.
    """
    from ..data.suspicion import doubts

    preds, truths = [pred for pred, _ in pairs], [truth for _, truth in pairs]
    for volumes, above, name in ((preds, pred_above, "pred_mask_above"), (truths, truth_above, "mask_above")):
        for sentence in doubts(volumes, name) if above is None else ():
            say(f"warning: {sentence}", err=True)
    return [(parts(pred, pred_above, memory), parts(truth, truth_above, memory)) for pred, truth in pairs]


def parts(mask: "Volume", above: float | None, memory: float) -> "Volume":
    """The objects of a mask. Raises UserError where it is too large to find its parts."""
    from ..data.pairs import objects

    if above is not None and (need := prod(mask.array.shape) * EACH) > memory:
        raise UserError(
            f"the parts of {mask.origin} are to be objects, which takes {need / 1e9:.3g} GB; pass a larger --memory, "
            "or labels with a number for each object"
        )
    return objects(mask, above)
