"""Weights of events: with mean one for a loss, reweighted to another distribution, and what they are worth together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from coursekit.arrays import checked_weights, flat, numbers, positive_sum, without_rounding


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


class Factor(NamedTuple):
    """The factor of one bin.

    Attributes
    ----------
    value : float
    x, y : tuple of float
        Lower and upper edge of the bin.
    n_source : int
        Number of source events from which it was found: it is at least as uncertain as 1 / sqrt(n_source).
    """

    value: float
    x: tuple[float, float]
    y: tuple[float, float]
    n_source: int


@dataclass(frozen=True, eq=False)
class Reweighting:
    """Factors per bin of (x, y) that give one sample the distribution of another.

    Made by `reweight_2d` and `reweight_classes`.

    Attributes
    ----------
    x_edges, y_edges : numpy.ndarray
        (X + 1,) and (Y + 1,), the bin edges, float64.
    ratios : numpy.ndarray
        (X, Y), the factor of each bin, float64; 0 where the source has no events.
    n_source : numpy.ndarray
        (X, Y), the number of source events in each bin, int64.
    uncovered : float
        Share of the target's weight that lies in bins without source events, and that no factor can reach.
    """

    x_edges: np.ndarray
    y_edges: np.ndarray
    ratios: np.ndarray
    n_source: np.ndarray
    uncovered: float

    @property
    def largest(self) -> Factor:
        """The largest factor, its bin and what it rests on: few events with large factors spoil a training."""
        i, j = np.unravel_index(self.ratios.argmax(), self.ratios.shape)
        x, y = (tuple(edges[k : k + 2].tolist()) for edges, k in ((self.x_edges, i), (self.y_edges, j)))
        return Factor(float(self.ratios[i, j]), x, y, int(self.n_source[i, j]))

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
    edges = _checked_edges(bins)
    source, n_source = _sums("source", source_x, source_y, source_weights, *edges)
    target, _ = _sums("target", target_x, target_y, target_weights, *edges)
    return _reweighting(source / source.sum(), target / target.sum(), n_source, *edges)


def reweight_classes(
    x: np.ndarray,
    y: np.ndarray,
    labels: np.ndarray,
    bins: tuple[Sequence[float], Sequence[float]],
    target: int | Literal["sum", "flat"],
    weights: np.ndarray | None = None,
) -> dict[int, Reweighting]:
    """Find the factors that give all classes one distribution in two variables, and one sum of weights.

    What a network could learn of the class from pT and eta alone, or from the number of its jets, is gone then. With
    W the sum of weights of all K classes inside the edges, S_kb that of class k in bin b, and t_b the share of bin b in
    the target, the factor is r_kb = (W / K) t_b / S_kb. Where class k is empty it is 0, and class k has less than
    W / K: what is missing is `uncovered`, and there the classes still differ. Fit on training jets only, and look up
    the factors of all others with `Reweighting.weights`.

    Parameters
    ----------
    x, y : numpy.ndarray
        (N,), pT and eta for instance, any units, any numeric dtype.
    labels : numpy.ndarray
        (N,), the class of each jet, integers.
    bins : tuple of two sequences of float
        Rising bin edges of x and of y, wide enough that each class has tens of jets in each bin.
    target : int, "sum" or "flat"
        The distribution that all get: that of one class, named by its label; that of all jets together; or the same
        share t_b in each bin, whatever its width.
    weights : numpy.ndarray, optional
        (N,); 1 if not given.

    Returns
    -------
    dict of int to Reweighting
        For each label, in rising order.

    Raises
    ------
    TypeError
        The bins are numbers instead of edges, or labels not integers.
    ValueError
        As `reweight_2d`; or the target is not among the labels, or they name one class only.

    Examples
    --------
    >>> x, labels = np.array([0.5, 0.5, 0.5, 1.5, 0.5, 1.5]), np.array([0, 0, 0, 0, 1, 1])
    >>> changes = reweight_classes(x, x, labels, ([0, 1, 2], [0, 1, 2]), target=1)
    >>> changes[0].weights(x[:4], x[:4]), changes[1].weights(x[4:], x[4:])
    (array([0.5, 0.5, 0.5, 1.5]), array([1.5, 1.5]))
    >>> changes[0].largest
    Factor(value=1.5, x=(1.0, 2.0), y=(1.0, 2.0), n_source=1)
    """
    edges, x, y, labels = _checked_edges(bins), numbers(x, "x"), numbers(y, "y"), flat(labels, "labels")
    if labels.dtype.kind not in "iu":
        raise TypeError(f"labels are integers, the class of each jet, but {labels.dtype} came.")
    if x.shape != labels.shape or y.shape != labels.shape:
        raise ValueError(f"x, y and labels have shapes {x.shape}, {y.shape}, {labels.shape}: one of each per jet.")
    weights = np.ones(len(labels)) if weights is None else checked_weights(weights, len(labels))
    classes = np.unique(labels).tolist()
    if len(classes) < 2:
        raise ValueError(f"all {len(labels)} labels are of one class, {classes}: at least two are made alike.")
    if target not in ("sum", "flat", *classes) or isinstance(target, bool):
        raise ValueError(f'target is {target!r}: choose one of the labels {classes}, "sum" or "flat".')
    sums, n_source = {}, {}
    for k in classes:
        of_class = labels == k
        sums[k], n_source[k] = _sums(f"class {k}", x[of_class], y[of_class], weights[of_class], *edges)
    total = sum(sums.values())
    aim = {"sum": total, "flat": np.ones(len(total))}.get(target, sums.get(target))
    each = total.sum() / len(classes)
    return {k: _reweighting(sums[k] / each, aim / aim.sum(), n_source[k], *edges) for k in classes}


def _checked_edges(bins) -> list[np.ndarray]:
    if not isinstance(bins, tuple | list) or len(bins) != 2 or any(np.ndim(edges) != 1 for edges in bins):
        raise TypeError("bins is a pair of lists of edges, such as (np.linspace(-2.5, 2.5, 6), [20, 50, 100, 500]).")
    found = [numbers(edges, "a list of bin edges").astype(np.float64) for edges in bins]
    for edges in found:
        if len(edges) < 2 or not (edges[1:] > edges[:-1]).all():
            raise ValueError(f"bin edges must rise, and be at least two: {edges.tolist()} came.")
    return found


def _sums(name: str, x, y, weights, x_edges: np.ndarray, y_edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return sum of weights and number of events in each bin, (X Y,), of a sample that has some."""
    cell, n_bins = _cells(x, y, x_edges, y_edges), (len(x_edges) - 1) * (len(y_edges) - 1)
    weights = np.ones(len(cell)) if weights is None else checked_weights(weights, len(cell))
    in_bins, sizes, n_events = (  # without the cell of those outside
        np.bincount(cell, w, minlength=n_bins + 1)[:n_bins] for w in (weights, np.abs(weights), None)
    )
    sums = without_rounding(in_bins, sizes)
    bad = (sums < 0) | ((sums == 0) & (sizes > 0))
    if bad.any() and sums.any():
        raise ValueError(
            f"{bad.sum()} bins of the {name} have weights that cancel or add up to less than zero: widen them."
        )
    if not sums.any():
        raise ValueError(f"the {name} has no weight inside the bin edges. Same units, same order of x and y?")
    return sums, n_events


def _reweighting(source: np.ndarray, target: np.ndarray, n_source: np.ndarray, x_edges, y_edges) -> Reweighting:
    ratios = np.divide(target, source, out=np.zeros(len(source)), where=source > 0)
    shape, uncovered = (len(x_edges) - 1, len(y_edges) - 1), float(target[source == 0].sum())
    return Reweighting(x_edges, y_edges, ratios.reshape(shape), n_source.reshape(shape), uncovered)


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
