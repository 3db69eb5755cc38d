"""Labels on which independent label images of one field agree, object by object.

    election = elect(voters)                 reads the voters box by box; knows which objects are taken
    labels   = election.paint(blocks)        a box of the result from the same box of all voters

An object's vote is the mean, over the other voters, of the best IoU that it has there. Objects are taken in the order
of their votes; one is left out where objects with higher votes hold too much of it. A voxel belongs to an object where
at least half of the voters that agree on that object have it there. Nothing of this depends on the block: the same
voters give the same labels in one piece and in blocks. (COIN, Jo et al., ICCV 2025, keeps objects by agreement, too.)
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..core.errors import UserError
from .overlap import Overlap, SliceableLabels, overlap_by_blocks

AGREE = 0.5  # IoU above which two objects are one: of disjoint objects, only one can exceed it
FREE_SHARE = 0.7  # share of an object that objects with higher votes must have left free


@dataclass(frozen=True, eq=False)
class Election:
    """Which objects were taken.

    votes: (N,) of the objects 1..N, the highest first. ids, numbers: of each voter, its ids in ascending order and the
    object of the result that each belongs to, 0 for none. weights: (V,) of the voters. agreed: (N,) the weights of all
    voters that agree on an object. left: (M,) votes of the objects that would have been taken next, had the least vote
    been 0.
    """

    votes: NDArray[np.float64]
    ids: tuple[NDArray[np.uint64], ...]
    numbers: tuple[NDArray[np.int32], ...]
    weights: NDArray[np.float64]
    agreed: NDArray[np.float64]
    left: NDArray[np.float64]

    def paint(self, blocks: Sequence[NDArray[np.generic]]) -> NDArray[np.int32]:
        """The labels of a box.

        Parameters
        ----------
        blocks
            The same box (*S) of each voter.

        Returns
        -------
        ndarray
            (*S) int32, ids of the election: 1..N, and 0 where no object has a majority.
        """
        own = [self.objects_of(voter, np.asarray(block)) for voter, block in enumerate(blocks)]
        best, labels = np.zeros(own[0].shape), np.zeros(own[0].shape, np.int32)
        for mine in own:
            backing = np.zeros(mine.shape)
            for other, weight in zip(own, self.weights):
                backing += np.where(other == mine, weight, 0)
            share = backing / np.concatenate([[np.inf], self.agreed])[mine]
            # Of two objects with the same backing, the one with the higher vote has the lower number.
            wins = (share >= 0.5 - 1e-9) & ((share > best + 1e-9) | ((share > best - 1e-9) & (mine < labels)))
            best, labels = np.where(wins, share, best), np.where(wins, mine, labels)
        return labels

    def objects_of(self, voter: int, block: NDArray[np.generic]) -> NDArray[np.int32]:
        """A voter's ids, replaced by those of the result."""
        ids = self.ids[voter]
        if not ids.size:
            return np.zeros(block.shape, np.int32)
        place = np.minimum(np.searchsorted(ids, block.ravel().astype(np.uint64)), ids.size - 1).reshape(block.shape)
        return np.where(block != 0, self.numbers[voter][place], 0).astype(np.int32)


def elect(
    voters: Sequence[SliceableLabels], least: float | None = None, groups: Sequence[int] | None = None,
    memory: float = np.inf,
) -> Election:  # fmt: skip
    """Let label images of one field vote.

    Parameters
    ----------
    voters
        Two or more label images (*S) of the same shape, any ids.
    least
        The lowest vote with which an object is taken, in [0, 1]; `least_vote` of the voters by default.
    groups
        Of each voter, the number of its group: voters of one group, such as one network at several sizes, share one
        voice. By default each has its own.
    memory
        Bytes for reading two voters at once.

    Returns
    -------
    Election
        Of the objects that were taken.

    Raises
    ------
    UserError
        For fewer than two voters, and for shapes or dtypes that do not fit.

    Examples
    --------
    >>> one, other = np.array([1, 1, 1, 0, 2, 2]), np.array([4, 4, 0, 0, 0, 0])
    >>> found = elect([one, other, other])
    >>> found.votes.round(2), found.paint([one, other, other])
    (array([0.83]), array([1, 1, 0, 0, 0, 0], dtype=int32))
    """
    count = len(voters)
    if count < 2:
        raise UserError(f"{count} label image given, a vote takes two or more; pass several of one field")
    weights = voices(range(count) if groups is None else groups)
    tables = {(i, j): overlap_by_blocks(voters[i], voters[j], memory) for i in range(count) for j in range(i)}
    ids = tuple(ids_of(tables, voter) for voter in range(count))
    votes = [np.zeros(one.size) for one in ids]
    for (i, j), table in tables.items():
        pairs = table.pairs
        for mine, other, at in ((i, j, pairs.truth), (j, i, pairs.pred)):
            best = np.zeros(ids[mine].size)
            np.maximum.at(best, at, pairs.iou)
            votes[mine] += weights[other] * best / (weights.sum() - weights[mine])
    least = least_vote(weights) if least is None else least
    return take(tables, ids, votes, weights, least)


def voices(groups: Sequence[int]) -> NDArray[np.float64]:
    """(V,) weights of voters: those of one group have 1 together.

    >>> voices([0, 0, 1]).tolist()
    [0.5, 0.5, 1.0]
    """
    return 1 / np.array([list(groups).count(one) for one in groups], float)


def least_vote(weights: NDArray[np.float64]) -> float:
    """The lowest vote with which an object is taken: about that of an object that one of the others has as well, at an
    IoU of AGREE; the more voters there are, the more of them have to agree.

    >>> [round(least_vote(np.ones(n)), 2) for n in (2, 3, 5, 9)]
    [0.5, 0.25, 0.25, 0.34]
    """
    others = len(weights) - 1
    return AGREE if others < 2 else max(AGREE / others, 0.25, 0.45 - 1 / len(weights))


def ids_of(tables: dict[tuple[int, int], Overlap], voter: int) -> NDArray[np.uint64]:
    """Its ids, ascending."""
    key = next(one for one in tables if voter in one)
    return tables[key].truth_ids if key[0] == voter else tables[key].pred_ids


def take(
    tables: dict[tuple[int, int], Overlap], ids: tuple[NDArray[np.uint64], ...], votes: list[NDArray[np.float64]],
    weights: NDArray[np.float64], least: float,
) -> Election:  # fmt: skip
    """Objects in the order of their votes, those of the first voter first where votes are equal."""
    count = len(ids)
    neighbours = [list_overlaps(tables, voter, [one.size for one in ids]) for voter in range(count)]
    sizes = [sizes_of(tables, voter) for voter in range(count)]
    numbers = [np.zeros(one.size, np.int32) for one in ids]
    held = [np.zeros(one.size) for one in ids]  # voxels of each object that taken ones hold
    voter = np.concatenate([np.full(one.size, i) for i, one in enumerate(ids)])
    index = np.concatenate([np.arange(one.size) for one in ids])
    vote = np.concatenate(votes).round(9)
    order = np.lexsort((index, voter, -vote))
    taken, agreed = list[int](), list[float]()
    for at in order:
        i, one = int(voter[at]), int(index[at])
        if numbers[i][one] or held[i][one] > (1 - FREE_SHARE) * sizes[i][one]:
            continue
        taken.append(int(at))
        numbers[i][one] = len(taken)
        agreed.append(float(weights[i]))
        for j, other, voxels in neighbours[i][one]:
            held[j][other] += voxels
            union = sizes[i][one] + sizes[j][other] - voxels
            if voxels > AGREE * union and not numbers[j][other]:
                numbers[j][other] = len(taken)
                agreed[-1] += float(weights[j])
    count = int((vote[taken] >= least).sum())  # the others come last
    numbers = [np.where(one <= count, one, 0) for one in numbers]
    kept, left = np.split(vote[taken], [count])
    return Election(kept, ids, tuple(numbers), weights, np.array(agreed[:count]), left)


def sizes_of(tables: dict[tuple[int, int], Overlap], voter: int) -> NDArray[np.int64]:
    """Voxels of each object of a voter."""
    key = next(one for one in tables if voter in one)
    return tables[key].truth_sizes if key[0] == voter else tables[key].pred_sizes


def list_overlaps(
    tables: dict[tuple[int, int], Overlap], voter: int, counts: Sequence[int]
) -> list[list[tuple[int, int, int]]]:
    """Of each object of a voter: the objects of the others that it overlaps, as (voter, object, voxels)."""
    out: list[list[tuple[int, int, int]]] = [[] for _ in range(counts[voter])]
    for (i, j), table in tables.items():
        if voter not in (i, j):
            continue
        pairs = table.pairs
        mine, theirs, other = (pairs.truth, pairs.pred, j) if voter == i else (pairs.pred, pairs.truth, i)
        for a, b, voxels in zip(mine.tolist(), theirs.tolist(), pairs.count.tolist()):
            out[a].append((other, b, voxels))
    return out


def vote(
    voters: Sequence[NDArray[np.generic]], least: float | None = None, groups: Sequence[int] | None = None
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """`elect` and `paint` of label images in memory.

    Returns
    -------
    labels, votes
        (*S) int32, 0 where no object is; (N,) in [0, 1], the vote of object 1, of object 2 ... An object that others
        cover has no voxel.

    Raises
    ------
    UserError
        As `elect`.

    Examples
    --------
    >>> one, other = np.array([1, 1, 1, 0, 2, 2]), np.array([4, 4, 0, 0, 0, 0])
    >>> vote([one, other, other])[0]
    array([1, 1, 0, 0, 0, 0], dtype=int32)
    """
    found = elect(voters, least, groups)
    return found.paint(voters), found.votes
