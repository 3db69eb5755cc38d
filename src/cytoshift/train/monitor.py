"""What a GAN's losses do not show: a mask that is the negative of the image, or empty, or full."""

import numpy as np
from numpy.typing import NDArray

# Share of foreground outside which a mask is called empty or full, in multiples of what the prior draws.
FEW, MANY = 0.02, 20.0
# Names of pictures: an image, what is predicted for it, and masks as they should look.
SEEN = (("image", "image to mask", "mask"), ("target", "target segmented", "source truth"))


def complaint(pictures: dict[str, NDArray]) -> str | None:
    """In words, what is wrong with the pictures of a sheet (N, 1, *S); None if nothing is, or it cannot be told."""
    for image, mask, prior in SEEN:
        if {image, mask, prior} <= pictures.keys():
            return verdict(look(pictures[image], pictures[mask], pictures[prior]))
    return None


def look(image: NDArray, mask: NDArray, prior: NDArray) -> dict[str, float]:
    """Numbers about a sheet of samples (N, *S): image and its predicted mask in [-1, 1], synthetic masks in [-1, 1].

    agreement: correlation between image and predicted mask, pooled over the sheet; foreground, expected: shares
    of mask voxels above the middle, predicted and drawn; sameness: correlation between masks of different images.
    """
    flat = mask.reshape(len(mask), -1)
    pairs = [correlation(flat[i], flat[i - 1]) for i in range(len(flat))] if len(flat) > 1 else [0.0]
    return {
        "agreement": correlation(image, mask),
        "foreground": float((mask > 0).mean()),
        "expected": float((prior > 0).mean()),
        "sameness": float(np.mean(pairs)),
    }


def verdict(numbers: dict[str, float]) -> str | None:
    """In words, what is wrong with these numbers; None if nothing is."""
    if numbers["foreground"] < FEW * numbers["expected"]:
        return "the predicted masks are almost empty: objects vanish in translation"
    if numbers["foreground"] > min(MANY * numbers["expected"], 0.9):
        return "the predicted masks are almost full: background became objects"
    if numbers["agreement"] < -0.1:
        return "the predicted masks are the negative of the images; check data.normalise.invert"
    if numbers["sameness"] > 0.9:
        return "different images give the same mask: the generator has collapsed"
    return None


def correlation(a: NDArray, b: NDArray) -> float:
    """Pearson's r of two arrays of one shape; 0 where one of them is constant."""
    a, b = np.asarray(a, np.float64).ravel(), np.asarray(b, np.float64).ravel()
    a, b = a - a.mean(), b - b.mean()
    norm = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / norm) if norm > 0 else 0.0
