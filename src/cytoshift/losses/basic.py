"""Distances between tensors of one shape."""

from torch import Tensor


def l1(a: Tensor, b: Tensor) -> Tensor:
    """Mean absolute difference, E |a - b|.

    Parameters
    ----------
    a, b
        (B, C, *S), one shape.

    Returns
    -------
    Tensor
        A scalar.

    Examples
    --------
    >>> import torch
    >>> l1(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0]))
    tensor(1.)
    """
    return (a - b).abs().mean()


def weighted_l1(a: Tensor, b: Tensor, weights: Tensor) -> Tensor:
    """Mean absolute difference with a weight for each channel, E w_c |a - b|.

    Parameters
    ----------
    a, b
        (B, C, *S), one shape.
    weights
        (C,). With 1 for all channels this is `l1`.

    Returns
    -------
    Tensor
        A scalar, the mean over all voxels and channels.

    Examples
    --------
    >>> import torch
    >>> weighted_l1(torch.ones(1, 2, 4), torch.zeros(1, 2, 4), torch.tensor([1.0, 3.0]))
    tensor(2.)
    """
    return ((a - b).abs() * weights.view(-1, *[1] * (a.ndim - 2))).mean()


def mean_squared(a: Tensor, b: Tensor) -> Tensor:
    """Mean squared difference, E (a - b)^2.

    Parameters
    ----------
    a, b
        (B, C, *S), one shape.

    Returns
    -------
    Tensor
        A scalar.

    Examples
    --------
    >>> import torch
    >>> mean_squared(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0]))
    tensor(2.)
    """
    return (a - b).square().mean()


def dice_loss(drawn: Tensor, target: Tensor) -> Tensor:
    """Soft Dice loss, 1 - (2 |P T| + 1) / (|P| + |T| + 1), the mean over samples and channels.

    Parameters
    ----------
    drawn, target
        Predicted and true masks (B, K, *S), in [0, 1].

    Returns
    -------
    Tensor
        A scalar in [0, 1).

    References
    ----------
    Milletari et al. 2016 (V-Net), section 3, without the squares in the denominator. The ones avoid a division by zero.

    Examples
    --------
    >>> import torch
    >>> dice_loss(torch.ones(1, 1, 8), torch.ones(1, 1, 8))
    tensor(0.)
    """
    space = tuple(range(2, drawn.ndim))
    overlap, total = (drawn * target).sum(space), (drawn + target).sum(space)
    return (1 - (2 * overlap + 1) / (total + 1)).mean()


def squared_to_value(scores: Tensor, value: float) -> Tensor:
    """Least-squares adversarial term, E (scores - value)^2.

    Parameters
    ----------
    scores
        Output of a discriminator, of any shape.
    value
        Its goal: 1 for real, 0 for fake.

    Returns
    -------
    Tensor
        A scalar.

    References
    ----------
    Mao et al. 2017 (LSGAN), eq. 2.

    Examples
    --------
    >>> import torch
    >>> squared_to_value(torch.tensor([0.0, 1.0]), 1)
    tensor(0.5000)
    """
    return (scores - value).square().mean()
