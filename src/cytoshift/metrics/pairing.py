"""Which object was said to belong to which: pairs of Golgi and nuclei against the true ones."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..labels.overlap import Overlap
from ..labels.owners import Owners
from .matching import hit_rate, matched_ids

Ids = NDArray[np.uint64]


class Pairing(NamedTuple):
    """How many pairs there are, were found, and were found rightly. They add up over images."""

    true: int
    found: int
    right: int

    @property
    def precision(self) -> float:
        return hit_rate(self.right, self.found - self.right, self.true - self.right)

    @property
    def recall(self) -> float:
        return hit_rate(self.right, self.true - self.right, self.found - self.right)

    @property
    def f1(self) -> float:
        """2 right / (true + found); 1 where there is no pair at all."""
        return 2 * self.right / (self.true + self.found) if self.true + self.found else 1.0

    def as_dict(self) -> dict[str, float]:
        """For JSON and tables."""
        return {
            "pairs_true": self.true, "pairs_found": self.found, "pairs_right": self.right,
            "pairs_precision": self.precision, "pairs_recall": self.recall, "pairs_f1": self.f1,
        }  # fmt: skip


def pairing(members: Overlap, owners: Overlap, found: Iterable[tuple[int, int]], threshold: float = 0.5) -> Pairing:
    """Compare the pairs that were found with those of the truth, where a number that both classes share is a pair.

    members, owners: overlap tables of the two classes, whose ids are those of the label images. found: id of a
    predicted member and of its predicted owner. A pair is right where both of its objects are matched, one to one at
    that IoU, with true ones of the same number.
    """
    true = np.intersect1d(members.truth_ids, owners.truth_ids)
    member, owner = (dict(zip(*matched_ids(table, threshold))) for table in (members, owners))
    pairs = [(member.get(int(one)), owner.get(int(other))) for one, other in found]
    right = sum(one is not None and one == other for one, other in pairs)
    return Pairing(true.size, len(pairs), right)


def owned_pairs(belonging: Owners) -> list[tuple[int, int]]:
    """The pairs of predicted objects: id of each that belongs to one, and id of that one."""
    return [(int(one), int(other)) for one, other in zip(belonging.ids, belonging.owner) if other]


def sum_pairings(parts: Sequence[Pairing]) -> Pairing:
    """Of several images together."""
    return Pairing(*(sum(column) for column in zip(*parts)))
