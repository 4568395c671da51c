"""Weighted histograms: counts with their errors, those of data, and the ratio of two of them."""

from typing import NamedTuple

import numpy as np
from scipy.stats import chi2, norm

_COVERAGE = norm.cdf(1) - norm.cdf(-1)


class Counts(NamedTuple):
    """Sums of weights in B bins, float64 each.

    Attributes
    ----------
    value : (B,)
        Expected events.
    variance : (B,)
        Sum of the squared weights: the square of the statistical error of the simulation.
    entries : (B,)
        Simulated events with a weight other than zero.
    """

    value: np.ndarray
    variance: np.ndarray
    entries: np.ndarray

    @property
    def error(self) -> np.ndarray:
        """The statistical error, (B,)."""
        return np.sqrt(self.variance)

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))

    def scaled(self, factor: float) -> "Counts":
        """The same events, each of which stands for `factor` times as many."""
        return Counts(self.value * factor, self.variance * factor**2, self.entries)


def count(values: np.ndarray, weights: np.ndarray, edges: np.ndarray) -> Counts:
    """Return the histogram of weighted values; what lies beyond the edges is in no bin, the last edge in the last one.

    Parameters
    ----------
    values, weights : (n,) array
    edges : (B + 1,) array
        Rising.

    Examples
    --------
    >>> counts = count([0.1, 0.2, 0.9, 1.0], [1, 2, 3, -1], [0, 0.5, 1])
    >>> counts.value.tolist(), counts.variance.tolist(), counts.entries.tolist()
    ([3.0, 2.0], [5.0, 10.0], [2, 2])
    """
    weights = np.asarray(weights, np.float64)
    powers = (weights, weights**2, (weights != 0).astype(np.float64))
    value, variance, entries = (np.histogram(values, edges, weights=power)[0] for power in powers)
    return Counts(value, variance, entries.astype(np.int64))


def total(counts: list[Counts], bins: int) -> Counts:
    """Return the sum of histograms, zeros if there is none."""
    return sum(counts, Counts(np.zeros(bins), np.zeros(bins), np.zeros(bins, np.int64)))


def poisson_errors(counts: np.ndarray) -> np.ndarray:
    """Return how far down and up the mean of a Poisson law may lie from the observed counts, (2, B) float64.

    The central interval of Garwood, which covers 68.3% at least: for 0 events from 0 to 1.84.

    References
    ----------
    F. Garwood, Biometrika 28 (1936) 437.

    Examples
    --------
    >>> poisson_errors(np.array([0, 4])).round(2).tolist()
    [[0.0, 1.91], [1.84, 3.16]]
    """
    counts = np.asarray(counts, np.float64)
    tail = (1 - _COVERAGE) / 2
    low = np.where(counts > 0, chi2.ppf(tail, 2 * np.maximum(counts, 1)) / 2, 0.0)
    return np.stack([counts - low, chi2.isf(tail, 2 * (counts + 1)) / 2 - counts])


def share_ratio(passed: Counts, failed: Counts) -> tuple[np.ndarray, np.ndarray]:
    r"""Return the shape of what passes a cut over the shape of all, and its error, (B,) each.

    With p_i and f_i that pass and fail in bin i, and P and F in all bins,

    .. math:: r_i = \frac{p_i}{P} \Big/ \frac{p_i + f_i}{P + F}.

    What passes is a part of all, so the errors of the two shapes are not independent; these four sums are, but for
    p_i in P and f_i in F, which is accounted for. NaN where nothing is.

    Parameters
    ----------
    passed, failed : Counts
    """
    p, f, sum_p, sum_f = passed.value, failed.value, passed.value.sum(), failed.value.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = (sum_p + sum_f) / (sum_p * (p + f))
        ratio = p * scale
        of_all = 1 / (sum_p + sum_f) - 1 / sum_p  # d ln r / dP
        here = 1 / (p + f)
        slopes = [scale + ratio * (of_all - here), ratio * (1 / (sum_p + sum_f) - here)]
        slopes += [ratio * of_all, ratio / (sum_p + sum_f)]
        rest = [counts.variance.sum() - counts.variance for counts in (passed, failed)]
        variances = [passed.variance, failed.variance, *rest]
        error = np.sqrt(sum(slope**2 * variance for slope, variance in zip(slopes, variances, strict=True)))
    there = (p + f > 0) & (sum_p > 0) & (sum_p + sum_f > 0)
    return np.where(there, ratio, np.nan), np.where(there, error, np.nan)


def edges_of(
    values: np.ndarray, bins: int | tuple[float, ...], limits: tuple[float, float] | None = None
) -> np.ndarray:
    """Return edges, (B + 1,) float64: those given, or so many bins of one width between the limits.

    Without limits they reach over all values; scores between 0 and 1, probabilities, over all of that.
    """
    if not isinstance(bins, int):
        return np.asarray(bins, np.float64)
    if limits is None:
        low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
        limits = (0.0, 1.0) if low >= 0 and high <= 1 else (low, high if high > low else low + 1)
    return np.linspace(*limits, bins + 1)
