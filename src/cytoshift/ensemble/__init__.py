"""Labels from nothing: several independent ways label the same images, and a vote over them is the result.

voters   ways that label images at once: a network of the package at several sizes, classical pipelines
score    from votes to the probability that an object is right, and to the F1 that is to be expected
stages   a first result in about a minute, then a network that learns from the vote on these images
"""

from .ensemble import Ensemble, Request, StageResult, Told, Wishes, open_ensemble
from .expected_f1 import Calibration, calibration
from .voters import ClassicalVoter, GivenVoter, Measurements, NetworkVoter, Voter, voters

__all__ = [
    "Calibration",
    "ClassicalVoter",
    "Ensemble",
    "GivenVoter",
    "Measurements",
    "NetworkVoter",
    "Request",
    "StageResult",
    "Told",
    "Voter",
    "Wishes",
    "calibration",
    "open_ensemble",
    "voters",
]  # fmt: skip
