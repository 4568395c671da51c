"""Weights of events: with mean one for a loss, reweighted to another distribution, and what they are worth together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from coursekit.arrays import checked_weights, numbers, positive_sum, without_rounding


def effective_events(weights: np.ndarray) -> float:
    r"""Return how many events of equal weight would have the same relative statistical error.

    .. math:: n_\mathrm{eff} = \Big(\sum_i w_i\Big)^2 \Big/ \sum_i w_i^2

    Parameters
    ----------
    weights : numpy.ndarray
        (N,), any unit, any numeric dtype.

    Raises
    ------
    ValueError
        No weights, one not finite, or all of them zero.

    Examples
    --------
    >>> effective_events(np.array([1.0, 1.0, 2.0])) * 3
    8.0
    """
    weights = checked_weights(weights)
    if not weights.any():
        raise ValueError(f"all {len(weights)} weights are zero: every event failed a cut. Look at each weight factor.")
    return float(weights.sum() ** 2 / (weights**2).sum())


def normalise_weights(
    weights: np.ndarray, negative: Literal["refuse", "keep", "zero", "absolute"] = "refuse"
) -> np.ndarray:
    """Divide weights by their mean, so that the loss of a batch has the same size with and without them.

    w'_i = w_i / ((1/N) sum_j w_j)

    Merge samples of one class first: the factor between them, their cross sections, is then kept.

    Parameters
    ----------
    weights : numpy.ndarray
        (N,), any unit, any numeric dtype.
    negative : {"refuse", "keep", "zero", "absolute"}
        What becomes of negative weights, before the mean is taken. Kept, they are right on average but a batch may sum
        to less than nothing; set to zero or freed of their sign, they are stable and change the distributions.

    Returns
    -------
    numpy.ndarray
        (N,), without unit, mean 1, float64.

    Raises
    ------
    ValueError
        No weights, all of them zero, one not finite, one negative (unless allowed), or their sum not positive
        by more than rounding.

    Examples
    --------
    >>> normalise_weights(np.array([1.0, 2.0, 3.0]))
    array([0.5, 1. , 1.5])
    """
    weights = checked_weights(weights)
    if negative not in ("refuse", "keep", "zero", "absolute"):
        raise ValueError(f'negative is {negative!r}: choose "refuse", "keep", "zero" or "absolute".')
    if negative == "refuse" and (weights < 0).any():
        raise ValueError(
            f"{(weights < 0).sum()} of {len(weights)} weights are negative. "
            f'Say what to do with them: negative="keep", "zero" or "absolute".'
        )
    if negative == "zero":
        weights = np.maximum(weights, 0)
    elif negative == "absolute":
        weights = np.abs(weights)
    if not weights.any():
        raise ValueError(f"all {len(weights)} weights are zero: every event failed a cut. Look at each weight factor.")
    positive_sum(weights, "the weights")
    return weights / weights.mean()


@dataclass(frozen=True, eq=False)
class Reweighting:
    """Factors per bin of (x, y) that give one sample the distribution of another; made by `reweight_2d`.

    Attributes
    ----------
    x_edges, y_edges : numpy.ndarray
        (X + 1,) and (Y + 1,), the bin edges, float64.
    ratios : numpy.ndarray
        (X, Y), the factor of each bin, float64; 0 where the source has no events.
    uncovered : float
        Share of the target's weight that lies in bins without source events, and that no factor can reach.
    """

    x_edges: np.ndarray
    y_edges: np.ndarray
    ratios: np.ndarray
    uncovered: float

    def weights(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Look up the factor of each event, also of events that were not used to make the bins.

        Parameters
        ----------
        x, y : numpy.ndarray
            (N,), in the units of the edges, any numeric dtype.

        Returns
        -------
        numpy.ndarray
            (N,), the factor to multiply onto an event's own weight, float64; 0 outside the edges.

        Raises
        ------
        ValueError
            Unequal lengths, or a value is not finite.
        """
        cell = _cells(x, y, self.x_edges, self.y_edges)
        return np.append(self.ratios.ravel(), 0.0)[cell]


def reweight_2d(
    source_x: np.ndarray,
    source_y: np.ndarray,
    target_x: np.ndarray,
    target_y: np.ndarray,
    bins: tuple[Sequence[float], Sequence[float]],
    source_weights: np.ndarray | None = None,
    target_weights: np.ndarray | None = None,
) -> Reweighting:
    """Find the factors that give the source sample the target's distribution in two variables, (eta, pT) for instance.

    In bin b the factor is r_b = (T_b / sum T) / (S_b / sum S), with S_b and T_b the sums of weights of source and
    target: shapes are compared, and the source keeps its own sum of weights. What the bins cannot describe: where the
    source is empty r_b = 0, and the share of the target that is lost so is reported as `uncovered`; where the target is
    empty r_b = 0, too; events outside the edges are not counted and get 0.

    Parameters
    ----------
    source_x, source_y : numpy.ndarray
        (N,), the sample to be reweighted, any units, any numeric dtype.
    target_x, target_y : numpy.ndarray
        (M,), the sample to be imitated, in the same units.
    bins : tuple of two sequences of float
        Rising bin edges of x and of y. Wide enough that each bin has tens of source events: a factor is as uncertain as
        the counts behind it.
    source_weights, target_weights : numpy.ndarray, optional
        (N,) and (M,); 1 if not given.

    Returns
    -------
    Reweighting
        Its `weights(x, y)` gives the factor of any event, of the training and of the validation sample.

    Raises
    ------
    TypeError
        The bins are numbers instead of edges.
    ValueError
        Unequal lengths, values not finite, edges not rising, a sample without weight inside the edges, or a bin whose
        sum of weights is negative, or nothing but rounding.

    Examples
    --------
    >>> source, target = np.array([0.5, 0.5, 0.5, 1.5]), np.array([0.5, 1.5])
    >>> change = reweight_2d(source, source, target, target, bins=([0, 1, 2], [0, 1, 2]))
    >>> change.weights(source, source).round(3)
    array([0.667, 0.667, 0.667, 2.   ])
    """
    if not isinstance(bins, tuple | list) or len(bins) != 2 or any(np.ndim(edges) != 1 for edges in bins):
        raise TypeError("bins is a pair of lists of edges, such as (np.linspace(-2.5, 2.5, 6), [20, 50, 100, 500]).")
    x_edges, y_edges = (numbers(edges, "a list of bin edges").astype(np.float64) for edges in bins)
    for edges in (x_edges, y_edges):
        if len(edges) < 2 or not (edges[1:] > edges[:-1]).all():
            raise ValueError(f"bin edges must rise, and be at least two: {edges.tolist()} came.")
    n_bins = (len(x_edges) - 1) * (len(y_edges) - 1)
    sums = {}
    for name, x, y, weights in [
        ("source", source_x, source_y, source_weights),
        ("target", target_x, target_y, target_weights),
    ]:
        cell = _cells(x, y, x_edges, y_edges)
        weights = np.ones(len(cell)) if weights is None else checked_weights(weights, len(cell))
        # without the cell of those outside
        in_bins, sizes = (np.bincount(cell, w, minlength=n_bins + 1)[:n_bins] for w in (weights, np.abs(weights)))
        sums[name] = without_rounding(in_bins, sizes)
        bad = (sums[name] < 0) | ((sums[name] == 0) & (sizes > 0))
        if bad.any() and sums[name].any():
            raise ValueError(
                f"{bad.sum()} bins of the {name} have weights that cancel or add up to less than zero: widen them."
            )
        if not sums[name].any():
            raise ValueError(f"the {name} has no weight inside the bin edges. Same units, same order of x and y?")
    source, target = sums["source"] / sums["source"].sum(), sums["target"] / sums["target"].sum()
    ratios = np.divide(target, source, out=np.zeros(n_bins), where=source > 0)
    shape = (len(x_edges) - 1, len(y_edges) - 1)
    return Reweighting(x_edges, y_edges, ratios.reshape(shape), float(target[source == 0].sum()))


def _cells(x: np.ndarray, y: np.ndarray, x_edges: np.ndarray, y_edges: np.ndarray) -> np.ndarray:
    """Number the bin of each event, as NumPy with the last edge inside; one past the last bin for events outside."""
    x, y = numbers(x, "x"), numbers(y, "y")
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(f"x and y are flat arrays of one length, but have shapes {x.shape} and {y.shape}.")
    x, y = x.astype(np.float64), y.astype(np.float64)
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("x or y holds NaN or infinite values: leave these events out first.")
    shape = (len(x_edges) - 1, len(y_edges) - 1)
    i = np.searchsorted(x_edges, x, side="right") - 1
    j = np.searchsorted(y_edges, y, side="right") - 1
    i[x == x_edges[-1]] -= 1
    j[y == y_edges[-1]] -= 1
    inside = (i >= 0) & (i < shape[0]) & (j >= 0) & (j < shape[1])
    return np.where(inside, i * shape[1] + j, shape[0] * shape[1])
