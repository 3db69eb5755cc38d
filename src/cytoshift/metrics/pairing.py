"""Which object belongs to which: predicted pairs of Golgi and nuclei against the true pairs."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from ..labels.overlap import Overlap
from ..labels.owners import Owners
from .matching import hit_rate, matched_ids


class Pairing(NamedTuple):
    """Numbers of true pairs, of predicted pairs, and of correct ones. They add up over images."""

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
    """Compare predicted pairs with true pairs. In the truth, a number that both classes share is a pair.

    A pair is correct where both of its objects match true objects with the same number.

    Parameters
    ----------
    members, owners
        Overlap tables of the two classes. Their ids are those of the label images.
    found
        For each predicted pair the id of the member and the id of its owner.
    threshold
        Of the IoU that matches objects, in (0, 1]. Default: 0.5.

    Returns
    -------
    Pairing
        true, found, right; and from these precision, recall, f1.

    Examples
    --------
    >>> from cytoshift.labels.overlap import overlap
    >>> golgi, nuclei = np.array([1, 0, 2, 0]), np.array([1, 1, 2, 2])
    >>> pairing(overlap(golgi, golgi), overlap(nuclei, nuclei), [(1, 1), (2, 1)])
    Pairing(true=2, found=2, right=1)
    """
    true = np.intersect1d(members.truth_ids, owners.truth_ids)
    member, owner = (dict(zip(*matched_ids(table, threshold))) for table in (members, owners))
    pairs = [(member.get(int(one)), owner.get(int(other))) for one, other in found]
    right = sum(one is not None and one == other for one, other in pairs)
    return Pairing(true.size, len(pairs), right)


def owned_pairs(belonging: Owners) -> list[tuple[int, int]]:
    """The predicted pairs of an assignment.

    Parameters
    ----------
    belonging
        Of `labels.owners.assign_owners`.

    Returns
    -------
    list of pairs
        The id of each member that has an owner, and the id of this owner.

    Examples
    --------
    >>> from cytoshift.core.voxel import Voxel
    >>> from cytoshift.labels.owners import assign_owners
    >>> nuclei, golgi = np.array([[1, 1, 0, 0, 2]]), np.array([[0, 1, 0, 7, 0]])
    >>> owned_pairs(assign_owners(golgi, nuclei, Voxel((1.0, 1.0)), 1.0))
    [(1, 1), (7, 2)]
    """
    return [(int(one), int(other)) for one, other in zip(belonging.ids, belonging.owner) if other]


def sum_pairings(parts: Sequence[Pairing]) -> Pairing:
    """Pairings of several images as one.

    Parameters
    ----------
    parts
        One `Pairing` for each image.

    Returns
    -------
    Pairing
        Their sums.

    Examples
    --------
    >>> sum_pairings([Pairing(2, 2, 1), Pairing(1, 0, 0)])
    Pairing(true=3, found=2, right=1)
    """
    return Pairing(*(sum(column) for column in zip(*parts)))
