"""How well a score separates signal from background: ROC, AUC, rejection, accuracy, significance, each with its error.

Arrays in, numbers out; nothing here knows jets or networks. Everywhere

- ``labels`` (N,) is 1 for signal and 0 for background; ``score`` (N,) rises with signal; an event passes a threshold if
  ``score >= threshold``. A missing class, NaN, or shapes that differ raise ValueError.
- Equal scores pass together: the ROC curve has one point for them, and the AUC counts such a pair one half.
- ``weights`` (N,), 1 by default, may be negative, as generators beyond leading order make them, as long as signal and
  background each have a positive sum (else ValueError). Estimates stay unbiased; a curve may then fall in places. Sums
  that are zero up to rounding count as zero.
- Arrays may be of NumPy, columns of pandas (matched by position), tensors; a value that is missing raises ValueError.
- Errors are statistical, one standard deviation for the sample given; the training of the network is not varied.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from coursekit.arrays import (
    binary_labels,
    checked_weights,
    numbers,
    plain,
    positive_sum,
    whole_number,
    without_rounding,
)

_LEAST_YIELD = 1e-60  # with this and its inverse as limits, no product in a significance leaves float64


class Estimate(NamedTuple):
    """A value and its statistical error, both float; printed as ``0.912 ± 0.003``, the error to two digits."""

    value: float
    error: float

    def __str__(self) -> str:
        """Round the error to two significant digits and the value to the same place."""
        if not 0 < self.error < np.inf:
            return f"{self.value:.4g} ± {self.error:.2g}"
        digits = max(0, 1 - int(np.floor(np.log10(self.error))))
        return f"{self.value:.{digits}f} ± {self.error:.{digits}f}"


@dataclass(frozen=True, eq=False)
class Roc:
    """A ROC curve: efficiencies and their errors, (K,) float64 each, along falling thresholds."""

    thresholds: np.ndarray
    signal_efficiency: np.ndarray
    background_efficiency: np.ndarray
    signal_error: np.ndarray
    background_error: np.ndarray


def roc_curve(labels: np.ndarray, score: np.ndarray, weights: np.ndarray | None = None) -> Roc:
    r"""Return both efficiencies at every distinct score, beginning with an infinite threshold that nothing passes.

    .. math:: \epsilon = \sum_{pass} w / \sum w, \qquad
        \sigma^2 = \Big[(1 - \epsilon)^2 \sum_{pass} w^2 + \epsilon^2 \sum_{fail} w^2\Big] \Big/ \Big(\sum w\Big)^2,

    which is the binomial error if all weights are equal.

    Examples
    --------
    >>> roc = roc_curve([0, 1, 0, 1], [0.1, 0.4, 0.4, 0.9])
    >>> roc.signal_efficiency.tolist(), roc.background_efficiency.tolist()
    ([0.0, 0.5, 1.0, 1.0], [0.0, 0.0, 0.5, 1.0])
    """
    labels, score, weights = _checked(labels, score, weights)
    order = np.argsort(score, kind="stable")[::-1]
    falling = score[order]
    last = np.flatnonzero(np.append(falling[1:] != falling[:-1], True))  # of the events with one score
    efficiencies, errors = [], []
    for label in (1, 0):
        w = np.where(labels == label, weights, 0)[order]
        passed, size, passed2 = (np.append(0, np.cumsum(x)[last]) for x in (w, np.abs(w), w**2))
        failed2 = np.append(0, np.cumsum(w[::-1] ** 2))[::-1][np.append(0, last + 1)]
        efficiency = without_rounding(passed / passed[-1], size / passed[-1])
        efficiencies.append(efficiency)
        errors.append(np.sqrt((1 - efficiency) ** 2 * passed2 + efficiency**2 * failed2) / passed[-1])
    return Roc(np.append(np.inf, falling[last]), *efficiencies, *errors)


def auc(labels: np.ndarray, score: np.ndarray, weights: np.ndarray | None = None) -> Estimate:
    r"""Return the area under the ROC curve: the probability that a signal event scores above a background event.

    With V_i the weighted fraction of background below signal event i, and V_j that of signal above background event j,

    .. math:: A = \sum_{i \in S} w_i V_i / W_S, \qquad
        \sigma^2 = \sum_{i \in S} w_i^2 (V_i - A)^2 / W_S^2 + \sum_{j \in B} w_j^2 (V_j - A)^2 / W_B^2,

    DeLong's error for weighted events: that of a bootstrap over events, without its random numbers.

    References
    ----------
    E. R. DeLong, D. M. DeLong, D. L. Clarke-Pearson, Biometrics 44 (1988) 837.

    Examples
    --------
    >>> auc([0, 1, 0, 1], [0.1, 0.4, 0.4, 0.9]).value
    0.875
    """
    value, pulls = _auc_and_pulls(*_checked(labels, score, weights))
    return Estimate(value, float(np.sqrt((pulls**2).sum())))


def auc_difference(labels, score, other, weights=None) -> Estimate:
    """Return AUC(score) - AUC(other) of two taggers on the same events, arrays (N,).

    Both see the same fluctuations of the sample, so that the error is smaller than the two errors in quadrature.

    Examples
    --------
    >>> auc_difference([0, 1, 0, 1], [0.1, 0.4, 0.4, 0.9], [0.2, 0.5, 0.5, 1.0])
    Estimate(value=0.0, error=0.0)
    """
    value, pulls = _auc_and_pulls(*_checked(labels, score, weights))
    other_value, other_pulls = _auc_and_pulls(*_checked(labels, other, weights))
    return Estimate(value - other_value, float(np.sqrt(((pulls - other_pulls) ** 2).sum())))


def _auc_and_pulls(labels: np.ndarray, score: np.ndarray, weights: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the AUC, and by how much each event pulls it up, (N,): their squares add up to the variance."""
    is_signal = labels == 1
    won = np.empty(len(labels))  # V of the formula
    total = np.empty(len(labels))
    for mine, theirs in ((is_signal, ~is_signal), (~is_signal, is_signal)):
        order = np.argsort(score[theirs])
        rivals = score[theirs][order]
        below = np.concatenate([[0], np.cumsum(weights[theirs][order])])
        left, right = (np.searchsorted(rivals, score[mine], side) for side in ("left", "right"))
        won[mine] = (below[left] + below[right]) / 2 / below[-1]  # a tie is half a victory
        total[mine] = weights[mine].sum()
    won[~is_signal] = 1 - won[~is_signal]
    value = float((weights * won / total)[is_signal].sum())
    if (weights >= 0).all():
        value = min(max(value, 0.0), 1.0)  # beyond by rounding
    return value, weights * (won - value) / total


def rejection(labels, score, signal_efficiency: float, weights=None) -> Estimate:
    """Return the background rejection 1/eps_B at the highest threshold that keeps `signal_efficiency`, in (0, 1].

    The error is that of counting the background that passes, relative 1/sqrt(n) for n events, which is what limits
    published rejections. Value and error are infinite if no background passes, or only such whose weights cancel: that
    takes a larger sample.

    Examples
    --------
    >>> print(rejection([0, 0, 0, 0, 1, 1], [0.1, 0.2, 0.3, 0.8, 0.7, 0.9], signal_efficiency=1.0))
    4.0 ± 3.5
    """
    signal_efficiency = _number(signal_efficiency, "signal_efficiency")
    if not 0 < signal_efficiency <= 1:
        raise ValueError(f"signal_efficiency must lie in (0, 1], got {signal_efficiency:g}")
    roc = roc_curve(labels, score, weights)
    point = np.argmax(roc.signal_efficiency >= signal_efficiency * (1 - 1e-12))  # the first; sums of floats need 1e-12
    efficiency, error = float(roc.background_efficiency[point]), float(roc.background_error[point])
    return Estimate(1 / efficiency, error / efficiency / efficiency) if efficiency > 0 else Estimate(np.inf, np.inf)


def accuracy(labels, score, threshold: float = 0.5, weights=None) -> Estimate:
    """Return the fraction of events on the right side of the threshold, with its binomial error.

    Examples
    --------
    >>> print(accuracy([0, 1, 0, 1], [0.1, 0.4, 0.4, 0.9]))
    0.75 ± 0.22
    """
    threshold = _number(threshold, "threshold")
    if np.isnan(threshold):
        raise ValueError("threshold must be one number, got nan")
    labels, score, weights = _checked(labels, score, weights)
    right = (score >= threshold) == (labels == 1)
    value = float((weights * right).sum() / positive_sum(weights, "the weights"))
    if (weights >= 0).all():
        value = min(value, 1.0)  # beyond by rounding
    return Estimate(value, float(np.sqrt((weights**2 * (right - value) ** 2).sum()) / weights.sum()))


def bootstrap(
    statistic: Callable[..., float], *arrays: np.ndarray, rng: np.random.Generator, n_replicas: int = 200
) -> Estimate:
    """Return ``statistic(*arrays)`` and the spread of its values on events drawn with replacement.

    For what has no formula, such as the ratio of the rejections of two taggers on the same events. The arrays, (N, ...)
    each, are drawn together; the error is itself known to 1/sqrt(2 n_replicas), 5% by default. A replica without a
    finite value raises ValueError: a rejection that no background passes, for instance.

    Examples
    --------
    >>> x = np.arange(100.0)
    >>> print(bootstrap(np.mean, x, rng=np.random.default_rng(1)))
    49.5 ± 2.9
    """
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"rng is a NumPy Generator, such as np.random.default_rng(1), but {rng!r} came")
    arrays = [plain(array, f"array {i}") for i, array in enumerate(arrays)]
    lengths = [len(array) if array.ndim else "a number" for array in arrays]
    if len(set(lengths)) != 1 or "a number" in lengths:
        raise ValueError(f"at least one array must come, and all of one length, got {lengths}")
    n = lengths[0]
    n_replicas = whole_number(n_replicas, "n_replicas")
    if n == 0 or n_replicas < 2:
        raise ValueError(f"a spread takes events and at least 2 replicas, got {n} events and {n_replicas} replicas")
    draws = (rng.integers(n, size=n) for _ in range(n_replicas))
    values = np.array([_number(statistic(*(array[draw] for array in arrays)), "the statistic") for draw in draws])
    n_bad = np.count_nonzero(~np.isfinite(values))
    if n_bad:
        raise ValueError(f"the statistic is NaN or infinite in {n_bad} of {n_replicas} replicas: it has no spread")
    return Estimate(float(statistic(*arrays)), float(np.std(values, ddof=1)))


def significance(signal, background, signal_error=0.0, background_error=0.0):
    """Return s / sqrt(s + b) of expected yields and its error from theirs, both float64, scalars or (K,) arrays.

    Zero where nothing is expected; ValueError where s + b is negative or cancels, or anything is no number of events:
    NaN, infinite, beyond 1e60, or nearer to zero than 1e-60.

    Examples
    --------
    >>> z, error = significance(np.array([16.0, 0.0]), np.array([9.0, 0.0]), signal_error=1.0)
    >>> z.tolist(), error.tolist()
    ([3.2, 0.0], [0.136, 0.0])
    """
    s, b, signal_error, background_error = _yields(signal, background, signal_error, background_error)
    total = without_rounding(s + b, np.abs(s) + np.abs(b))
    if ((total < 0) | ((total == 0) & (s != 0))).any():
        raise ValueError(f"signal + background is negative or cancels, {np.min(total):g}: merge bins until it does not")
    total = np.where(total > 0, total, 1)
    error = np.hypot((s + 2 * b) * signal_error, s * background_error) / (2 * total**1.5)
    return (s / np.sqrt(total))[()], error[()]


def asimov_significance(signal, background, background_uncertainty=0.0):
    r"""Return the median discovery significance of a counting experiment whose background b is known to +- sigma.

    .. math:: Z^2 = 2 (s + b) \ln \frac{(s + b)(b + \sigma^2)}{b^2 + (s + b) \sigma^2}
        - \frac{2 b^2}{\sigma^2} \ln\Big(1 + \frac{\sigma^2 s}{b (b + \sigma^2)}\Big)

    and :math:`2 [(s + b) \ln(1 + s/b) - s]` for sigma = 0; for small s it becomes :math:`s / \sqrt{b + \sigma^2}`.
    Scalars or (K,) arrays, float64; NaN where b <= 0 or s < 0, which the formula does not cover; ValueError where
    anything is no number of events, as for `significance`.

    References
    ----------
    G. Cowan, K. Cranmer, E. Gross, O. Vitells, arXiv:1007.1727, eq. (97), and for sigma > 0 G. Cowan, "Discovery
    sensitivity for a counting experiment with background uncertainty" (2012).

    Examples
    --------
    >>> [round(float(asimov_significance(10.0, 100.0, sigma)), 3) for sigma in (0, 10)]
    [0.984, 0.69]
    """
    s, b, v = _yields(signal, background, background_uncertainty)
    defined, v = (b > 0) & (s >= 0), v**2
    s, b = np.where(defined, s, 0), np.where(defined, b, 1)
    known = (s + b) * np.log1p(s / b) - s
    uncertain = (s + b) * np.log1p(s * b / (b**2 + (s + b) * v))  # log1p, because s may be much smaller than b
    uncertain -= b**2 / np.where(v > 0, v, 1) * np.log1p(v * s / (b * (b + v)))
    z = np.sqrt(2 * np.maximum(np.where(v > 0, uncertain, known), 0))
    z = np.where(s < 1e-6 * b, s / np.sqrt(b + v), z)  # where the terms cancel, and what is neglected is below 1e-6
    return np.where(defined, z, np.nan)[()]


def _yields(*values) -> list[np.ndarray]:
    """Return signal, background and their errors as float64 of one shape, all of them numbers of events."""
    values = [numbers(value, "a yield or its error").astype(np.float64) for value in values]
    try:
        values = np.broadcast_arrays(*values)
    except ValueError as error:
        shapes = ", ".join(str(value.shape) for value in values)
        raise ValueError(f"yields and their errors must have one shape, or be single numbers, got {shapes}") from error
    if any((error < 0).any() for error in values[2:]):
        raise ValueError("the error of a yield is negative")
    if not all(np.isfinite(value).all() for value in values):
        raise ValueError("a yield or its error is NaN or infinite: look at how it was counted")
    for value in values:
        odd = (value != 0) & ((np.abs(value) < _LEAST_YIELD) | (np.abs(value) > 1 / _LEAST_YIELD))
        if odd.any():
            raise ValueError(f"a yield or its error is {value[odd][0]:g}: in which units are events counted?")
    return values


def _number(value, name: str) -> float:
    found = numbers(value, name)
    if found.ndim:
        raise ValueError(f"{name} must be one number, got {value!r}")
    return float(found)


def _checked(labels, score, weights) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    labels, score = binary_labels(labels), numbers(score, "score")
    weights = np.ones(labels.shape) if weights is None else checked_weights(weights)
    if not labels.shape == score.shape == weights.shape:
        shapes = f"{labels.shape}, {score.shape}, {weights.shape}"
        raise ValueError(f"labels, score and weights must all have the shape (N,), got {shapes}")
    if score.dtype.kind == "f":  # whole numbers stay: above 2^53 some of them would become equal
        score = score.astype(np.float64, copy=False)
    if not np.isfinite(score).all():
        raise ValueError(f"{np.count_nonzero(~np.isfinite(score))} of {len(score)} score are NaN or infinite")
    for name, its_weights in (("background", weights[labels == 0]), ("signal", weights[labels == 1])):
        if len(its_weights) == 0:
            raise ValueError(f"no {name} among the {len(labels)} events: both classes are needed")
        positive_sum(checked_weights(its_weights), f"the weights of the {name}")
    return labels, score, weights
