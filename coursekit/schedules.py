"""How a learning rate changes along a training: functions of the moment, 0 to 1, relative to its largest value."""

import math


def one_cycle(progress: float) -> float:
    """Return the learning rate at a moment of the training, 0 to 1, relative to its largest value.

    It rises along a line from 1/25 to 1 during the first quarter, while the weights are still far from any minimum, and
    falls along a half cosine to zero, so that the last steps settle.

    References
    ----------
    L. N. Smith, N. Topin, arXiv:1708.07120.

    Examples
    --------
    >>> [round(one_cycle(progress), 2) for progress in (0, 0.125, 0.25, 0.625, 1)]
    [0.04, 0.52, 1.0, 0.5, 0.0]
    """
    if progress < 0.25:
        return 0.04 + 0.96 * progress / 0.25
    return 0.5 + 0.5 * math.cos(math.pi * (progress - 0.25) / 0.75)


def cosine(progress: float) -> float:
    """Return the learning rate at a moment of the training, 0 to 1: it falls from 1 to zero along a half cosine.

    Examples
    --------
    >>> [round(cosine(progress), 2) for progress in (0, 0.5, 1)]
    [1.0, 0.5, 0.0]
    """
    return 0.5 + 0.5 * math.cos(math.pi * progress)


def constant(progress: float) -> float:
    """Return 1, at each moment of the training."""
    return 1.0


def inverse_time(progress: float, n_steps: int, decay: float) -> float:
    """Return the learning rate at a moment of a training of so many steps: 1 / (1 + decay n) at step n.

    Examples
    --------
    >>> inverse_time(0.5, n_steps=100, decay=0.02)
    0.5
    """
    return 1 / (1 + decay * progress * n_steps)


#: By name.
SCHEDULES = {"one-cycle": one_cycle, "cosine": cosine, "constant": constant}
