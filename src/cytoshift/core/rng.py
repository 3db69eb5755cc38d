"""Random streams by name: the numbers of one part never depend on how many numbers another part has drawn."""

import hashlib

import numpy as np


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """Generator of one purpose, derived from the run's seed and the names of that purpose.

    >>> float(stream(0, "masks", 7).random()) == float(stream(0, "masks", 7).random())
    True
    >>> float(stream(0, "masks", 7).random()) == float(stream(0, "masks", 8).random())
    False
    """
    return np.random.default_rng(integer(seed, *names))


def integer(seed: int, *names: str | int) -> int:
    """63-bit seed of one purpose, for generators that are not numpy's (torch).

    Hashed and not added up, so that (seed 1, sample 0) and (seed 0, sample 1) have nothing in common.
    """
    digest = hashlib.blake2b(repr((int(seed), names)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1
