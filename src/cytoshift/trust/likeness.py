"""Compares the objects of a result with those that the model has learnt from."""

from collections.abc import Mapping

import numpy as np

from ..core.errors import UserError
from ..measure.measurement import quantiles
from ..measure.shapes import ExpectedObjects, ObjectShapes

TAIL = 25  # percentage: merged and torn objects show in the less solid ones


def likeness(found: ObjectShapes, expected: ExpectedObjects) -> dict[str, float]:
    """Size, elongation, solidity and cover of the objects against what was expected, each in (0, 1], 1 is alike.

    size, elongation: exp of minus the mean distance of the logarithms of quantiles: 0.5 where they are twice as
    large, or half. solidity: exp of minus what the less solid quarter lacks, in tenths. cover: by what factor the share
    of the field that objects cover lies outside of the images learnt from.
    Raises UserError where the two are not in one unit.
    """
    settled = found.whole_objects()
    if not len(settled.diameter):
        return {}
    lacking = expected.solidity[str(TAIL)] - float(np.percentile(settled.solidity, TAIL))
    return {
        "size": float(np.exp(-quantile_distance(quantiles(settled.diameter), expected.diameter))),
        "elongation": float(np.exp(-quantile_distance(quantiles(settled.elongation), expected.elongation))),
        "solidity": float(np.exp(-10 * max(lacking, 0.0))),
        "cover": outside_factor(found.foreground, expected.foreground),
    }


def same_unit(expected: ExpectedObjects, unit: str) -> None:
    """Raises UserError where lengths cannot be compared."""
    if expected.unit != unit:
        raise UserError(
            f"the model expects objects in {expected.unit}, but the image is in {unit}; declare its voxel size "
            f"(`voxel`, `unit`)"
        )


def quantile_distance(found: Mapping[int, float], expected: Mapping[str, float]) -> float:
    """Mean distance of the logarithms of quantiles."""
    return float(np.mean([abs(np.log(found[q] / expected[str(q)])) for q in found]))


def outside_factor(value: float, expected: Mapping[str, float]) -> float:
    """1 between the lowest and the highest quantile; beyond them the factor between the value and the nearer one."""
    low, high = expected["5"], expected["95"]
    if low <= value <= high:
        return 1.0
    return float(value / low if value < low else high / value)
