"""From votes to probabilities: how likely an object is right, and what F1 the labels of an image will have.

The numbers in calibration.json come from `python benchmarks/calibrate_votes.py`: phantoms and real images with truth,
none of them an image of the tables in docs/results.md.
"""

import json
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ..core.settings import Settings
from ..labels.opinion import Opinion
from ..labels.vote import Election

FILE = Path(__file__).with_name("calibration.json")


class Calibration(Settings):
    """What votes are worth.

    votes: where the curve has its nodes, ascending. right: probability that an object with this vote is right (has an
    object of the truth with an IoU of at least 0.5). Objects of the truth that are missed: `hidden` for each object
    that is wrong, `left` for each object that was left out for its low vote, and the share `unseen` of all.
    """

    votes: tuple[float, ...] = Field(min_length=2)
    right: tuple[float, ...]
    hidden: float = Field(ge=0)
    left: float = Field(ge=0)
    unseen: float = Field(ge=0, lt=1)
    spread: tuple[float, float] = (0.0, 0.0)

    @model_validator(mode="after")
    def check_lengths(self) -> "Calibration":
        if len(self.votes) != len(self.right):
            raise ValueError("votes and right need as many numbers each")
        return self

    def confidence(self, votes: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N,) probability that each object is right.

        >>> Calibration(votes=(0, 1), right=(0, 1), hidden=1, left=0, unseen=0).confidence(np.array([0.25]))
        array([0.25])
        """
        return np.interp(votes, self.votes, self.right)

    def f1(self, election: Election) -> float:
        """The F1@0.5 that is to be expected of what was elected."""
        return self.expected_f1(election.votes, len(election.left))

    def f1_of(self, found: Opinion) -> float:
        """The F1@0.5 that is to be expected of labels on which others have voted."""
        return self.expected_f1(found.votes, len(found.missed))

    def expected_f1(self, votes: NDArray[np.float64], others: int) -> float:
        """2 TP / (objects found + objects there); 1 where nobody found anything.

        votes: (N,) of the objects. others: how many objects voters have that are not among them.
        """
        found, right = len(votes), float(self.confidence(votes).sum())
        every = found + (right + self.hidden * (found - right) + self.left * others) / (1 - self.unseen)
        return 2 * right / every if every else 1.0


@lru_cache(maxsize=2)
def calibration(labels: Literal["elected", "given"] = "elected") -> Calibration:
    """The one of the package: for labels that voters have elected, or for given labels on which others vote."""
    return Calibration.model_validate(json.loads(FILE.read_text())[labels])
