"""How a training goes wrong, each way a function of arrays or numbers that gives its sentence, or None.

inputs, outputs: samples (N, ...) in [-1, 1], an image and what a network made of it. like: pictures (M, ...) that show
how outputs ought to look. A sentence holds the numbers it was judged by. Thresholds lie well outside what healthy
trainings of every method showed, since a false alarm costs more trust than a late one.
"""

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

ALIKE_CORRELATION, DIFFERENT_CORRELATION = 0.8, 0.6  # of samples: above, they are the same; below, they are not
CLEAR_CORRELATION, NO_CORRELATION = 0.2, 0.05  # correlation that is clear, and one that is none
KEPT_CONTRAST = 0.1  # contrast of objects, as a part of what it ought to be, below which they are gone
FEW_FOREGROUND, MANY_FOREGROUND = 0.05, 5.0  # share of foreground, in multiples of the expected one
TIE_PART, LOST_PART = 0.1, 0.8  # of a discriminator's loss at a tie; of the highest value of a fooling term
GROWN_FACTOR = 10.0  # a loss in multiples of what is usual


def find_collapse(inputs: Samples, outputs: Samples) -> str | None:
    """Different inputs, one output: outputs correlate by more than 0.8 with one another, inputs by less than 0.6."""
    one, many = mean_similarity(outputs), mean_similarity(inputs)
    if one > ALIKE_CORRELATION and many < DIFFERENT_CORRELATION:
        return f"different inputs give the same output (correlation {one:.2f} between outputs, {many:.2f} of inputs)"
    return None


def find_inversion(inputs: Samples, outputs: Samples, expected: float = 1.0) -> str | None:
    """Bright became dark: input and output correlate, sample by sample, by 0.2 or more against the sign of `expected`.

    expected: correlation where the answer is known, of a labelled image and its mask; nothing is said if it is below
    0.2, as these objects are not told by brightness.
    """
    found = agreement(inputs, outputs)
    if abs(expected) > CLEAR_CORRELATION and abs(found) > CLEAR_CORRELATION and found * expected < 0:
        return f"bright became dark (correlation {found:.2f} of input and output)"
    return None


def find_empty_masks(inputs: Samples, masks: Samples, like: Samples) -> str | None:
    """Objects vanished: less than a twentieth is left of the foreground (voxels above 0) that masks ought to have, and
    of what is bright in the input, as some samples are emptier than others."""
    found, expected = share(masks), share(like)
    if found < FEW_FOREGROUND * min(expected, float((inputs > middle_level(inputs)).mean())):
        return f"objects vanish: {found:.2%} of the masks is foreground, {expected:.1%} expected"
    return None


def find_full_masks(inputs: Samples, masks: Samples, like: Samples, expected: float = 1.0) -> str | None:
    """Objects were invented, in one of three ways.

    Less than a tenth of the background that ought to be there is left. Or foreground is more than five times what it
    ought to be and more than twice what is bright in the input: images may differ in how full they are. Or masks do
    have objects (a fifth of the expected share or more), and nothing in the input is where they are (correlation
    within 0.05; not judged where that of the known answer, `expected`, is below 0.2).
    """
    found, usual = share(masks), share(like)
    if 1 - found < 0.1 * (1 - usual):
        return f"background became objects: {found:.1%} of the masks is foreground, {usual:.1%} expected"
    bright = float((inputs > middle_level(inputs)).mean())
    if found > max(MANY_FOREGROUND * usual, 2 * bright):
        return f"objects are invented: {found:.1%} of the masks is foreground, {usual:.1%} expected"
    agree = agreement(inputs, masks)
    if abs(expected) > CLEAR_CORRELATION and found > 0.2 * usual and abs(agree) < NO_CORRELATION:
        return f"objects are invented: the input shows none where they are (correlation {agree:.2f})"
    return None


def find_vanished(inputs: Samples, outputs: Samples, like: Samples) -> str | None:
    """A translation without the objects of its input: what is bright there has less than a tenth of the contrast that
    bright things have in pictures of the output's kind, and the output is flat (half their deviation, or less)."""
    kept, deviation = contrast(inputs, outputs, like), float(outputs.std() / max(like.std(), 1e-6))
    if abs(kept) < KEPT_CONTRAST and deviation <= 0.5:
        return f"the translation loses the objects ({max(kept, 0):.0%} of their contrast is left)"
    return None


def find_invented(inputs: Samples, outputs: Samples, like: Samples) -> str | None:
    """As `find_vanished`, of an output that is not flat: it shows other objects than its input."""
    kept, deviation = contrast(inputs, outputs, like), float(outputs.std() / max(like.std(), 1e-6))
    if abs(kept) < KEPT_CONTRAST and deviation > 0.5:
        return f"the translation shows other objects than its input ({max(kept, 0):.0%} of their contrast is left)"
    return None


def find_saturation(discriminator: float, tie: float, fool: float, highest: float) -> str | None:
    """A discriminator that is always right, so that the generator learns nothing from it: its loss is below a tenth of
    that at a tie, and the generator's loss is above 0.8 of its value when every fake is recognised. A term with the
    weight 0 is not examined."""
    if highest > 0 and discriminator < TIE_PART * tie and fool > LOST_PART * highest:
        return (
            f"the discriminator is saturated (its loss is {discriminator:.3g}, where {tie:g} is a tie; the loss of the "
            f"generator is {fool:.3g}, where {highest:.3g} means that every fake is recognised)"
        )
    return None


def find_growth(loss: float, usual: float) -> str | None:
    """Divergence short of a loss that is no number: ten times what is usual, that is what the loss was when the
    training began, or what it is of a game that is even or lost.

    Losses of a network that has learnt nothing are as high as they usually get: healthy trainings stay below three and
    a half times that, and games below four times an even one.
    """
    if loss > GROWN_FACTOR * usual:
        return f"the loss has grown to {loss:.3g}, where {usual:.3g} is usual"
    return None


def mean_similarity(samples: Samples) -> float:
    """Mean correlation between different samples (N, ...); 0 of a single one, or where they are constant."""
    pairs = [(i, j) for i in range(len(samples)) for j in range(i)]
    return float(np.mean([correlation(samples[i], samples[j]) for i, j in pairs])) if pairs else 0.0


def agreement(inputs: Samples, outputs: Samples) -> float:
    """Mean over the samples of the correlation between input and output."""
    return float(np.mean([correlation(a, b) for a, b in zip(inputs, outputs)]))


def share(masks: Samples) -> float:
    return float((masks > 0).mean())


def contrast(inputs: Samples, outputs: Samples, like: Samples) -> float:
    """How much brighter the outputs are where the inputs are bright, as a part of how much brighter bright voxels are
    among `like`; 0 where inputs or `like` are constant."""
    usual = contrast_step(like, like > middle_level(like))
    return contrast_step(outputs, inputs > middle_level(inputs)) / usual if usual > 0 else 0.0


def contrast_step(values: Samples, inside: NDArray[np.bool_]) -> float:
    """Mean inside less mean outside; 0 where there is no inside or no outside."""
    if inside.all() or not inside.any():
        return 0.0
    return float(values[inside].mean() - values[~inside].mean())


def middle_level(values: Samples) -> float:
    """Otsu's threshold."""
    from skimage.filters import threshold_otsu

    return float(threshold_otsu(values)) if values.max() > values.min() else float(values.max())


def correlation(a: Samples, b: Samples) -> float:
    """Pearson's r of two arrays of one shape; 0 where one of them is constant, but for the noise of rounding."""
    x, y = np.asarray(a, np.float64).ravel(), np.asarray(b, np.float64).ravel()
    x, y = x - x.mean(), y - y.mean()
    norms = float(np.sqrt(x @ x)), float(np.sqrt(y @ y))
    if min(norms) < 1e-3 * np.sqrt(len(x)):
        return 0.0
    return float(x @ y) / (norms[0] * norms[1])
