"""Numbers behind the figures: distances of distributions, confusion, precision, reliability; weighted, with errors."""

from typing import NamedTuple

import numpy as np
from scipy.special import kolmogi, kolmogorov

from coursekit.arrays import checked_weights, numbers, positive_sum
from coursekit.metrics import Estimate, roc_curve
from coursekit.weights import effective_events


class Distance(NamedTuple):
    """The Kolmogorov-Smirnov distance of two weighted samples, and what it means.

    Attributes
    ----------
    value : float
    by_chance : float
        What two samples from one distribution exceed once in a hundred.
    probability : float
        That they differ by more than `value`.
    effective : tuple of float
        The numbers of events of equal weight that would fluctuate as much.
    """

    value: float
    by_chance: float
    probability: float
    effective: tuple[float, float]


def ks_distance(one, other, one_weights=None, other_weights=None) -> Distance:
    r"""Return the largest difference of two weighted cumulative distributions.

    With the effective numbers of events :math:`n = (\sum w)^2 / \sum w^2`, the probability is Kolmogorov's asymptotic
    one of :math:`d \, / \sqrt{1/n_1 + 1/n_2}`: good from some ten effective events on, and too large where values
    repeat.

    Parameters
    ----------
    one, other : (n,), (m,) array
        Values, finite.
    one_weights, other_weights : arrays of the same lengths, optional
        Any sign, with positive sums; by default 1.

    Returns
    -------
    Distance

    Raises
    ------
    ValueError
        A sample is empty, its weights cancel, or a value is not finite.

    Examples
    --------
    >>> round(ks_distance([1, 2, 3, 4], [3, 4, 5, 6]).value, 3)
    0.5
    """
    values, weights = [], []
    for name, sample, its_weights in (("first", one, one_weights), ("second", other, other_weights)):
        sample = numbers(sample, f"the {name} sample").astype(np.float64)
        if sample.ndim != 1 or not len(sample) or not np.isfinite(sample).all():
            raise ValueError(f"the {name} sample must be a flat array of finite numbers, not empty")
        its_weights = np.ones(len(sample)) if its_weights is None else checked_weights(its_weights, len(sample))
        positive_sum(its_weights, f"the weights of the {name} sample")
        values.append(sample)
        weights.append(its_weights.astype(np.float64))
    where, below = np.concatenate(values), []
    for sample, its_weights in zip(values, weights, strict=True):
        order = np.argsort(sample, kind="stable")
        cumulative = np.append(0, np.cumsum(its_weights[order])) / its_weights.sum()
        below.append(cumulative[np.searchsorted(sample[order], where, side="right")])
    distance = float(np.abs(below[0] - below[1]).max())
    effective = tuple(effective_events(its_weights) for its_weights in weights)
    scale = np.sqrt(1 / effective[0] + 1 / effective[1])
    return Distance(distance, float(kolmogi(0.01) * scale), float(kolmogorov(distance / scale)), effective)


def confusion(labels, called, weights, n_classes: int) -> list[list[Estimate]]:
    r"""Return the share of each true class that is called each class: K rows of K estimates, each row adding up to 1.

    .. math:: c_{ij} = \sum_{i \to j} w / \sum_i w, \qquad
        \sigma^2 = \sum_i w^2 (\delta_{\to j} - c_{ij})^2 / \Big(\sum_i w\Big)^2

    Parameters
    ----------
    labels, called : (N,) int
        What each event is, and what the network calls it.
    weights : (N,) float
    n_classes : int
        A class without events, or whose weights cancel, has NaN.

    Examples
    --------
    >>> [[str(share) for share in row] for row in confusion([0, 0, 1], [0, 1, 1], [1, 1, 1], 2)]
    [['0.50 ± 0.35', '0.50 ± 0.35'], ['0 ± 0', '1 ± 0']]
    """
    labels, called, weights = np.asarray(labels), np.asarray(called), checked_weights(weights)
    rows = []
    for k in range(n_classes):
        w, its_calls = weights[labels == k], called[labels == k]
        total = w.sum()
        if not total > 1e-12 * np.abs(w).sum():
            rows.append([Estimate(np.nan, np.nan)] * n_classes)
            continue
        shares = [float((w * (its_calls == j)).sum() / total) for j in range(n_classes)]
        errors = [
            float(np.sqrt((w**2 * ((its_calls == j) - share) ** 2).sum()) / total) for j, share in enumerate(shares)
        ]
        rows.append([Estimate(share, error) for share, error in zip(shares, errors, strict=True)])
    return rows


class Precision(NamedTuple):
    """Precision against efficiency along falling thresholds, (n,) float64 each, and the mean precision."""

    efficiency: np.ndarray
    precision: np.ndarray
    average: float
    signal_share: float


def precision_recall(labels, score, weights=None) -> Precision:
    r"""Return which share of the selected events is signal, at every efficiency (recall) of the signal.

    .. math:: P = \frac{S \epsilon_S}{S \epsilon_S + B \epsilon_B}, \qquad
        \bar P = \sum_n (\epsilon_n - \epsilon_{n - 1}) P_n

    It depends on the share of signal, S / (S + B), among the events: that of the weights which come.

    Parameters
    ----------
    labels, score, weights : (N,)
        As in `coursekit.metrics.roc_curve`.

    Examples
    --------
    >>> found = precision_recall([0, 1, 0, 1], [0.1, 0.4, 0.35, 0.8])
    >>> found.precision.tolist(), found.average, found.signal_share
    ([1.0, 1.0, 0.6666666666666666, 0.5], 1.0, 0.5)
    """
    roc = roc_curve(labels, score, weights)
    labels = np.asarray(labels)
    weights = np.ones(len(labels)) if weights is None else np.asarray(weights, np.float64)
    signal, background = (float(weights[labels == label].sum()) for label in (1, 0))
    s, b = signal * roc.signal_efficiency[1:], background * roc.background_efficiency[1:]
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(s + b > 0, s / (s + b), np.nan)  # negative weights may leave nothing above a threshold
    steps = np.diff(roc.signal_efficiency)
    return Precision(
        roc.signal_efficiency[1:], precision, float(np.nansum(steps * precision)), signal / (signal + background)
    )


class Reliability(NamedTuple):
    """For each bin of the score that has events: its mean, the share of signal and its error, the weight; (n,) each."""

    mean_score: np.ndarray
    share: np.ndarray
    error: np.ndarray
    weight: np.ndarray


def reliability(labels, score, weights, n_bins: int = 10) -> Reliability:
    """Compare a score that should be a probability with the weighted share of signal, in equal bins from 0 to 1.

    Parameters
    ----------
    labels : (N,) int
        1 for signal, else 0.
    score : (N,) float
        In [0, 1].
    weights : (N,) float
    n_bins : int

    Examples
    --------
    >>> found = reliability([0, 1, 1, 1], [0.2, 0.3, 0.8, 0.9], np.ones(4), n_bins=2)
    >>> found.mean_score.round(2).tolist(), found.share.tolist()
    ([0.25, 0.85], [0.5, 1.0])
    """
    labels, score, weights = np.asarray(labels), np.asarray(score, np.float64), np.asarray(weights, np.float64)
    place = np.clip((score * n_bins).astype(int), 0, n_bins - 1)
    total, signal, of_scores = (
        np.bincount(place, factor * weights, n_bins) for factor in (np.ones(len(score)), labels, score)
    )
    there = total > 1e-12 * np.bincount(place, np.abs(weights), n_bins)
    share, mean = (np.divide(x, total, out=np.zeros(n_bins), where=there) for x in (signal, of_scores))
    variance = np.bincount(place, (weights * (labels - share[place])) ** 2, n_bins)
    error = np.divide(np.sqrt(variance), total, out=np.zeros(n_bins), where=there)
    return Reliability(mean[there], share[there], error[there], total[there])


def mean_and_spread(values, weights) -> tuple[Estimate, Estimate]:
    r"""Return the weighted mean and standard deviation of values, each with its statistical error.

    .. math:: \sigma_\mu^2 = \sum w^2 (x - \mu)^2 / W^2, \qquad
        \sigma_s^2 = \sum w^2 [(x - \mu)^2 - s^2]^2 / (2 s W)^2, \qquad W = \sum w

    Raises
    ------
    ValueError
        The weights cancel, or make a variance that is negative.

    Examples
    --------
    >>> mean, spread = mean_and_spread([1.0, 3.0], [1.0, 1.0])
    >>> print(mean, "|", spread)
    2.00 ± 0.71 | 1 ± 0
    """
    values, weights = np.asarray(values, np.float64), np.asarray(weights, np.float64)
    total = positive_sum(weights, "the weights")
    mean = float((weights * values).sum() / total)
    squares = (values - mean) ** 2
    variance = float((weights * squares).sum() / total)
    if variance < 0:
        raise ValueError(f"negative weights make a variance of {variance:.3g}: there are too few events")
    error = float(np.sqrt((weights**2 * squares).sum()) / total)
    spread = float(np.sqrt(variance))
    its_error = float(np.sqrt((weights**2 * (squares - variance) ** 2).sum()) / total / (2 * spread)) if spread else 0.0
    return Estimate(mean, error), Estimate(spread, its_error)


def correlations(table, weights) -> np.ndarray:
    r"""Return weighted correlations of the columns of a table, (F, F) float64 in [-1, 1].

    .. math:: \rho_{ij} = V_{ij} / \sqrt{V_{ii} V_{jj}}

    A column that is constant has no correlation: NaN.

    Examples
    --------
    >>> correlations([[0, 0], [1, -2], [2, -4]], [1, 1, 2]).round(6).tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    table, weights = np.asarray(table, np.float64), np.asarray(weights, np.float64)
    centred = table - (weights @ table) / weights.sum()
    matrix = (centred * weights[:, None]).T @ centred
    spread = np.sqrt(np.maximum(np.diag(matrix), 0))
    spread[spread < 1e-12 * np.abs(table).max(axis=0, initial=0) * np.sqrt(weights.sum())] = np.nan
    return np.clip(matrix / np.outer(spread, spread), -1, 1)
