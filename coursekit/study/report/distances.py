"""How far two weighted distributions are apart, how much two quantities know of each other, each with its error.

One estimate of errors for all: events are dealt into groups, and each group is left out in turn (the jackknife). It
needs no formula, holds for weights of either sign, and takes away the bias of few events, which makes distances that
are never negative too large.
"""

from collections.abc import Callable

import numpy as np

from coursekit.metrics import Estimate

GROUPS = 20  # an error from 20 groups is itself known to 1/sqrt(2 x 19), 16%


def deal(n: int, rng: np.random.Generator, groups: int = GROUPS) -> np.ndarray:
    """Return the number of the group of each of n events, (n,) int64: groups differ by one event at most."""
    return rng.permutation(np.arange(n) % groups)


def jackknife(statistic: Callable[[np.ndarray], float], group: np.ndarray, groups: int = GROUPS) -> Estimate:
    r"""Return a statistic without its bias of first order, and its error, from leaving out each of G groups in turn.

    .. math:: \hat\theta = G \theta - (G - 1) \bar\theta, \qquad
        \sigma^2 = \frac{G - 1}{G} \sum_g (\theta_{(g)} - \bar\theta)^2

    Parameters
    ----------
    statistic : callable
        From the events that are kept, (n,) bool, to a number.
    group : (n,) int64
        As `deal` gives it.
    groups : int

    Returns
    -------
    Estimate
        NaN with an infinite error if any of the values is no number.

    References
    ----------
    B. Efron, The Jackknife, the Bootstrap and Other Resampling Plans, SIAM (1982), chapters 2 and 3.

    Examples
    --------
    >>> x = np.arange(100.0)
    >>> group = deal(100, np.random.default_rng(1), groups=100)
    >>> print(jackknife(lambda kept: x[kept].mean(), group, groups=100))  # 28.9 / sqrt(99)
    49.5 ± 2.9
    """
    whole = float(statistic(np.ones(len(group), bool)))
    parts = np.array([statistic(group != g) for g in range(groups)], np.float64)
    if not np.isfinite(whole) or not np.isfinite(parts).all():
        return Estimate(np.nan, np.inf)
    mean = parts.mean()
    error = np.sqrt((groups - 1) / groups * ((parts - mean) ** 2).sum())
    return Estimate(float(groups * whole - (groups - 1) * mean), float(error))


def jensen_shannon(one: np.ndarray, other: np.ndarray) -> float:
    r"""Return the Jensen-Shannon divergence of two histograms, in bits: 0 for one shape, 1 for two without overlap.

    .. math:: \mathrm{JSD} = \frac{1}{2} \sum_i \Big[ p_i \log_2 \frac{p_i}{m_i} + q_i \log_2 \frac{q_i}{m_i} \Big],
        \qquad m_i = (p_i + q_i) / 2

    with p and q scaled to the sum 1; NaN if one of them has no positive sum. A bin that negative weights make negative
    is none to this formula, and counts as empty.

    Parameters
    ----------
    one, other : (B,) array

    References
    ----------
    J. Lin, IEEE Transactions on Information Theory 37 (1991) 145, eq. (4.1).

    Examples
    --------
    >>> jensen_shannon([1, 1], [2, 2]), jensen_shannon([1, 0], [0, 5])
    (0.0, 1.0)
    """
    p, q = (np.maximum(np.asarray(histogram, np.float64), 0) for histogram in (one, other))
    if not p.sum() > 0 or not q.sum() > 0:
        return np.nan
    p, q = p / p.sum(), q / q.sum()
    m = (p + q) / 2
    terms = [np.where(x > 0, x * np.log2(np.where(x > 0, x, 1) / np.where(m > 0, m, 1)), 0) for x in (p, q)]
    return float(max(sum(terms).sum() / 2, 0.0))


def cells(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return the number of the bin of each value, (n,) int64: 0 below the edges, B + 1 above them or no number.

    Examples
    --------
    >>> cells(np.array([-1.0, 0.0, 0.5, 1.0, np.nan]), np.array([0.0, 0.5, 1.0])).tolist()
    [0, 1, 2, 2, 3]
    """
    found = np.searchsorted(edges, values, side="right")
    return np.where(values == edges[-1], len(edges) - 1, found)


def pass_fail(cell: np.ndarray, passed: np.ndarray, weights: np.ndarray, n_cells: int, group: np.ndarray) -> Estimate:
    """Return the Jensen-Shannon divergence between events that pass and events that do not, with its error.

    Parameters
    ----------
    cell : (n,) int64
        Bins, as `cells` numbers them.
    passed : (n,) bool
    weights : (n,) float64
    n_cells : int
    group : (n,) int64
        As `deal` gives it.
    """
    place = cell + n_cells * passed

    def distance(kept: np.ndarray) -> float:
        sums = np.bincount(place[kept], weights[kept], 2 * n_cells)
        return jensen_shannon(sums[:n_cells], sums[n_cells:])

    return jackknife(distance, group)


def mutual_information(x: np.ndarray, y: np.ndarray, weights: np.ndarray, bins: int = 10) -> float:
    r"""Return how many bits two quantities say of each other, from a table of `bins` x `bins` equally filled cells.

    .. math:: I = \sum_{ij} p_{ij} \log_2 \frac{p_{ij}}{p_i p_j}

    Zero if they are independent, and log2(bins) at most. The edges are weighted quantiles of each; values that are
    equal stay together. NaN without a positive sum of weights; a negative cell counts as empty.

    Examples
    --------
    >>> x = np.arange(1000.0)
    >>> round(mutual_information(x, x, np.ones(1000), bins=4), 6)
    2.0
    """
    table = np.bincount(_quantile_bin(x, weights, bins) * bins + _quantile_bin(y, weights, bins), weights, bins**2)
    table = np.maximum(table.reshape(bins, bins), 0)
    if not table.sum() > 0:
        return np.nan
    p = table / table.sum()
    apart = p.sum(axis=1, keepdims=True) * p.sum(axis=0, keepdims=True)
    return float((p * np.log2(np.where(p > 0, p, 1) / np.where(p > 0, apart, 1))).sum())


def _quantile_bin(x: np.ndarray, weights: np.ndarray, bins: int) -> np.ndarray:
    """Return the number of the bin of each value, where all bins hold about as much (absolute) weight."""
    order = np.argsort(x, kind="stable")
    size = np.cumsum(np.abs(weights)[order])
    edges = x[order][np.searchsorted(size, size[-1] * np.arange(1, bins) / bins).clip(max=len(x) - 1)]
    return np.searchsorted(edges, x, side="left")  # a value that is an edge is below it: what is equal stays together


def distance_correlation(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> float:
    r"""Return the squared distance correlation of two quantities: 0 only if they are independent, 1 if proportional.

    .. math:: R^2 = \frac{V^2(x, y)}{\sqrt{V^2(x, x) V^2(y, y)}}, \qquad
        V^2(x, y) = \langle |x - x'| |y - y'| \rangle + \langle |x - x'| \rangle \langle |y - y'| \rangle
        - 2 \langle |x - x'| |y - y''| \rangle

    with means over pairs and triples of events, each with its weight; unlike a linear correlation it sees dependence
    of every kind. Exact for all N events in N log^2 N steps. NaN if one of them has one value only, or the weights
    have no positive sum.

    Parameters
    ----------
    x, y, weights : (N,) array

    References
    ----------
    G. J. Szekely, M. L. Rizzo, N. K. Bakirov, Annals of Statistics 35 (2007) 2769; G. Kasieczka, D. Shih, DisCo Fever,
    arXiv:2001.05310.

    Examples
    --------
    >>> x = np.linspace(-1, 1, 101)
    >>> round(distance_correlation(x, 3 * x + 1, np.ones(101)), 9)
    1.0
    >>> distance_correlation(x, x**2, np.ones(101)) > 0.1, bool(abs(np.corrcoef(x, x**2)[0, 1]) < 1e-9)
    (True, True)
    """
    x, y, w = (np.asarray(values, np.float64) for values in (x, y, weights))
    if not w.sum() > 0:
        return np.nan
    w = w / w.sum()
    x, y = x - (w * x).sum(), y - (w * y).sum()  # sums of products stay small
    rows = {name: _mean_distance(values, w) for name, values in (("x", x), ("y", y))}
    means = {name: (w * row).sum() for name, row in rows.items()}

    def squared(one: str, other: str, pairs: float) -> float:
        return pairs + means[one] * means[other] - 2 * (w * rows[one] * rows[other]).sum()

    spread = [squared(name, name, 2 * (w * values**2).sum()) for name, values in (("x", x), ("y", y))]
    if not min(spread) > 0:
        return np.nan
    return float(squared("x", "y", _mean_product(x, y, w)) / np.sqrt(spread[0] * spread[1]))


def _mean_distance(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Return sum_j w_j |x_i - x_j| of each event, (N,), for weights of the sum 1 and a mean of 0."""
    order = np.argsort(x, kind="stable")
    below, moment = np.cumsum(w[order]), np.cumsum((w * x)[order])
    distance = np.empty(len(x))
    distance[order] = x[order] * (2 * below - 1) - 2 * moment
    return distance


def _mean_product(x: np.ndarray, y: np.ndarray, w: np.ndarray) -> float:
    """Return sum_ij w_i w_j |x_i - x_j| |y_i - y_j|.

    In the order of x the first distance has a sign that is known; that of the second is decided as a merge sort does,
    in blocks that double.
    """
    n = len(x)
    order = np.argsort(x, kind="stable")
    x, y, w = x[order], y[order], w[order]
    rank = np.empty(n, np.int64)
    rank[np.argsort(y, kind="stable")] = np.arange(n)
    moments = np.stack([w, w * x, w * y, w * x * y])
    size, signed = 1, np.zeros((4, n))  # sums over events before i in x: those below in y minus those above
    while size < n:
        pair, is_left = np.arange(n) // (2 * size), (np.arange(n) // size) % 2 == 0
        by_rank = np.argsort(pair * n + rank)
        sums = np.concatenate([np.zeros((4, 1)), np.cumsum(np.where(is_left, moments, 0)[:, by_rank], axis=1)], axis=1)
        start = pair * 2 * size
        stop = np.minimum(start + 2 * size, n)
        place = np.empty(n, np.int64)
        place[by_rank] = np.arange(n)
        right = ~is_left
        below = sums[:, place[right]] - sums[:, start[right]]
        signed[:, right] += 2 * below - (sums[:, stop[right]] - sums[:, start[right]])
        size *= 2
    one, of_x, of_y, of_xy = signed
    return float(2 * (w * (x * y * one - y * of_x - x * of_y + of_xy)).sum())
