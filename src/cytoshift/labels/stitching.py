"""Objects of a stack from labels of its sections: those that cover each other from section to section are one."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from ..core.errors import UserError
from .ids import relabel
from .overlap import Overlap, overlap

LEAST_IOU = 0.25  # the IoU from which on two outlines are one object, as in Cellpose's examples of `stitch_threshold`
# What to do with a stack where a model is one of images in 2D.
BY_SECTION = (
    "segment its sections as images in 2D and join them by 'cytoshift stitch', as 'cytoshift run' does with `sections`"
)


def stitch_sections(
    sections: Iterable[NDArray[np.integer]], least_iou: float = LEAST_IOU
) -> Iterator[NDArray[np.int32]]:
    """Give the objects of each section the numbers that they have in the section before.

    Each outline goes on at most once: pairs of outlines are taken by their IoU, the best first. Two sections are in
    memory at a time.

    Parameters
    ----------
    sections
        Label images (Y, X) of one shape, in their order along z; 0 is background, ids are those of each section.
    least_iou
        IoU that two outlines need at least to be one object; in (0, 1]. Default: 0.25.

    Yields
    ------
    array
        (Y, X) int32 of each section. Numbers run from 1 over all of them, in the order in which objects begin.

    Raises
    ------
    UserError
        Where `least_iou` is out of its range, and where sections have different shapes.

    References
    ----------
    Stringer et al. 2021 (Cellpose) label stacks so, with `stitch_threshold`.

    Examples
    --------
    >>> first, second = np.array([[7, 7, 0, 0]]), np.array([[1, 1, 0, 2]])
    >>> [section.tolist() for section in stitch_sections([first, second])]
    [[[1, 1, 0, 0]], [[1, 1, 0, 2]]]
    """
    if not 0 < least_iou <= 1:
        raise UserError(f"an IoU of {least_iou:g} was asked for at least; pass one above 0 and up to 1")
    count, before = 0, None
    for section in sections:
        dense = relabel(section)
        number = np.zeros(int(dense.max(initial=0)) + 1, np.int32)
        if before is not None:
            for old, new in pairs_by_iou(overlap(before, dense), least_iou):
                number[new] = old
        fresh = np.flatnonzero(number == 0)[1:]
        number[fresh] = np.arange(count + 1, count + 1 + fresh.size)
        count += fresh.size
        before = number[dense]
        yield before


def pairs_by_iou(table: Overlap, least_iou: float) -> Iterator[tuple[int, int]]:
    """Pairs of ids, each id once, the pair with the largest IoU first; of equal ones that with the smaller ids."""
    pairs = table.pairs.at_least(least_iou)
    taken: tuple[set[int], set[int]] = (set(), set())
    for at in np.lexsort((pairs.pred, pairs.truth, -pairs.iou)):
        old, new = int(table.truth_ids[pairs.truth[at]]), int(table.pred_ids[pairs.pred[at]])
        if old not in taken[0] and new not in taken[1]:
            taken[0].add(old)
            taken[1].add(new)
            yield old, new
