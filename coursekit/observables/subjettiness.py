"""N-subjettiness with winner-take-all axes, and its ratios."""

import awkward as ak
import numpy as np

from coursekit.jets.arrays import sum_by_jet
from coursekit.observables.batches import in_batches, r2
from coursekit.observables.constituents import polar, ratio

_LARGE = 1_000_000  # elements of a batch's (B, P, P) array of distances: many, because there are many small steps


def n_subjettiness(jets: ak.Array, n: int, beta: float = 1.0, radius: float = 0.8) -> np.ndarray:
    r"""Return N-subjettiness, (N,) float64: small if `n` axes describe the jet well.

    .. math:: \tau_n = \sum_i p_{T,i} \min_{a \le n} \Delta R(i, a)^\beta / \sum_i p_{T,i} R^\beta

    The axes are the `n` exclusive kT subjets with winner-take-all recombination: two particles merge into one with the
    direction of the harder and the sum of both pT. Each axis is then the direction of a constituent, soft recoil does
    not move it, and nothing has to be minimised. Zero for a jet of at most `n` constituents, NaN for an empty one.

    Parameters
    ----------
    jets : (N, var) ak.Array of Momentum4D
    n : int
        Number of axes, 1, 2 or 3.
    beta : float
        Exponent of the distances, above zero.
    radius : float
        The jet radius R that sets the scale; it drops out of ratios.

    Raises
    ------
    ValueError
        If `n`, `beta` or `radius` is out of range.

    References
    ----------
    J. Thaler, K. Van Tilburg, arXiv:1011.2268, eq. (2.1); axes: A. J. Larkoski, D. Neill, J. Thaler, arXiv:1401.2158.

    Examples
    --------
    >>> from coursekit.jets import unpack
    >>> jets = unpack([[3.0, 0, 0, 3], [0, 1.0, 0, 1]], [2])  # a quarter of the pT at a right angle to the axis
    >>> (n_subjettiness(jets, 1, radius=1.0) / (np.pi / 8)).tolist(), n_subjettiness(jets, 2).tolist()
    ([1.0], [0.0])
    """
    if n not in (1, 2, 3) or not radius > 0:
        raise ValueError(f"expected n = 1, 2 or 3 axes and a radius above zero, got n = {n}, radius = {radius}")
    return subjettiness(jets, beta)[:, n - 1] / radius**beta


def tau21(jets: ak.Array, beta: float = 1.0) -> np.ndarray:
    """Return tau_2 / tau_1 of `n_subjettiness`, (N,) float64: small for two prongs, NaN below two constituents."""
    return tau_ratio(subjettiness(jets, beta), 2)


def tau32(jets: ak.Array, beta: float = 1.0) -> np.ndarray:
    """Return tau_3 / tau_2 of `n_subjettiness`, (N,) float64: small for three prongs, NaN below three."""
    return tau_ratio(subjettiness(jets, beta), 3)


def tau_ratio(taus: np.ndarray, n: int) -> np.ndarray:
    """Return tau_n / tau_(n-1) from tau_1 ... of each jet, (N, M) -> (N,)."""
    return ratio(taus[:, n - 1], taus[:, n - 2])


def subjettiness(jets: ak.Array, beta: float) -> np.ndarray:
    """Return tau_1, tau_2, tau_3 with R = 1, (N, 3)."""
    if not beta > 0:
        raise ValueError(f"beta must be above zero, got {beta}")

    def of_batch(z, y, phi, counts):
        distances2 = r2(y, phi)
        axes = _winner_take_all_axes(z, distances2, counts)  # (B, 3)
        to_axes = np.take_along_axis(distances2, axes[:, :, None], axis=1)  # (B, 3, P)
        to_axes[np.arange(axes.shape[1]) >= counts[:, None]] = np.inf  # a jet of two constituents has no third axis
        nearest = np.minimum.accumulate(to_axes, axis=1) ** (beta / 2)
        return np.einsum("bp,bap->ba", z, nearest)

    pt, y, phi, counts = polar(jets)
    taus = in_batches(of_batch, 3, _LARGE, pt, y, phi, counts)
    taus[sum_by_jet(pt, counts) == 0] = np.nan
    return taus


def _winner_take_all_axes(z: np.ndarray, r2: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the last three survivors of kT clustering, the last one first, (B, 3) int: places among the constituents.

    The softer of two particles disappears into the harder, whose direction stays, so that distances never change. The
    smallest d_ij = min(pT_i, pT_j)^2 R_ij^2 of all pairs is that of some particle i and its nearest neighbour, with
    pT_i <= pT_j: it is enough to keep each particle's neighbour, and to look for a new one where it has disappeared.
    `counts` must fall, so that the jets still clustering are always the first ones.
    """
    p = z.shape[1]
    real = np.arange(p) < counts[:, None]  # (B, P)
    z = np.maximum(z, 1e-100)  # zero times an infinite distance would be NaN
    r2 = np.where(real[:, None, :] & ~np.eye(p, dtype=bool), r2, np.inf)
    neighbour, nearest = r2.argmin(axis=2), r2.min(axis=2)  # (B, P)
    d = np.where(real, z**2 * nearest, np.inf)
    rank = np.where(real, 1, p + 1)  # how many were left when a particle disappeared
    for step in range(p - 1):
        b = np.arange(np.count_nonzero(counts > step + 1))  # jets with two particles left
        i = d[b].argmin(axis=1)
        j = neighbour[b, i]
        rank[b, i] = counts[b] - step
        z[b, j] += z[b, i]
        r2[b, :, i] = np.inf
        d[b, i] = np.inf
        orphan, k = np.nonzero((neighbour[b] == i[:, None]) & (rank[b] == 1))
        row = r2[orphan, k]  # (K, P)
        neighbour[orphan, k] = row.argmin(axis=1)
        nearest[orphan, k] = row.min(axis=1)
        d[orphan, k] = z[orphan, k] ** 2 * nearest[orphan, k]
        d[b, j] = z[b, j] ** 2 * nearest[b, j]
    return np.argsort(rank, axis=1)[:, :3]
