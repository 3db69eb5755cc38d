"""Images and their labels, found for each other by name."""

from ..core.errors import UserError
from .volumes import Volume


def matched(images: list[Volume], truths: list[Volume], what: str) -> list[tuple[Volume, Volume]]:
    """Images and truths of the same name, or one of each; `what` they are, for the sentence of a UserError."""
    by_name = {truth.name: truth for truth in truths}
    if len(images) == len(truths) == 1:
        by_name = {images[0].name: truths[0]}
    if missing := next((image.name for image in images if image.name not in by_name), None):
        raise UserError(f"{what}: image '{missing}' has no labels of its name; rename the files alike")
    pairs = [(image, by_name[image.name]) for image in images]
    for image, truth in pairs:
        if image.shape != truth.shape:
            raise UserError(f"{what}: {image.origin} is {image.shape}, its labels are {truth.shape}")
    return pairs
