"""Energy correlation functions of up to four points, and their ratios."""

import awkward as ak
import numpy as np

from coursekit.jets.arrays import sum_by_jet
from coursekit.observables.batches import in_batches, r2
from coursekit.observables.constituents import polar, ratio

_CACHE = 200_000  # elements of a batch's (B, P, P) array of distances: few enough to stay in the cache


def ecf(jets: ak.Array, n: int, beta: float = 1.0) -> np.ndarray:
    r"""Return the n-point energy correlation function, (N,) float64, GeV^n.

    .. math:: \mathrm{ECF}(n, \beta) = \sum_{i_1 < \dots < i_n} \prod_a p_{T,i_a} \prod_{a<b} \Delta R_{i_a i_b}^\beta

    and 0 for a jet of fewer than `n` constituents.

    Parameters
    ----------
    jets : (N, var) ak.Array of Momentum4D
    n : int
        1, 2, 3 or 4.
    beta : float
        Exponent of the distances, above zero.

    Raises
    ------
    ValueError
        If `n` or `beta` is out of range.

    Notes
    -----
    The four-point sum goes through the second particle j in rising order. With V_ik = R_ik R_jk pT_k for i < j < k it
    is half of sum_i pT_i pT_j R_ij (V R V^T)_ii: matrix products of n^4/6 operations for a jet of n constituents,
    done for a batch of jets of similar n at once.

    References
    ----------
    A. J. Larkoski, G. P. Salam, J. Thaler, arXiv:1305.0007, eq. (2.1).

    Examples
    --------
    >>> from coursekit.jets import unpack
    >>> ecf(unpack([[2.0, 0, 0, 2], [0, 3.0, 0, 3]], [2]), 2, beta=2) / (6 * (np.pi / 2) ** 2)
    array([1.])
    """
    if n not in (1, 2, 3, 4):
        raise ValueError(f"energy correlation functions are computed for n = 1, 2, 3, 4 points, got {n}")
    return correlations(jets, n, beta)[:, n]


def c1(jets: ak.Array, beta: float = 1.0) -> np.ndarray:
    """Return C1 = ECF(2) / ECF(1)^2, (N,) float64: large for a jet of two prongs against one.

    Parameters, raises, references: as `ecf`; C_n is its eq. (2.4). NaN for an empty jet.
    """
    return c_ratio(correlations(jets, 2, beta), 1)


def c2(jets: ak.Array, beta: float = 1.0) -> np.ndarray:
    """Return C2 = ECF(3) ECF(1) / ECF(2)^2, (N,) float64: small for a jet of two prongs.

    Parameters, raises, references: as `ecf`. NaN for fewer than two constituents.
    """
    return c_ratio(correlations(jets, 3, beta), 2)


def c3(jets: ak.Array, beta: float = 1.0) -> np.ndarray:
    """Return C3 = ECF(4) ECF(2) / ECF(3)^2, (N,) float64: small for a jet of three prongs, such as a top.

    Parameters, raises, references: as `ecf`. NaN for fewer than three constituents.

    Examples
    --------
    >>> from coursekit.jets import unpack
    >>> c3(unpack([[1.0, 0, 0, 1], [0, 1.0, 0, 1], [1.0, 1, 1, 2]], [3])).tolist()
    [0.0]
    """
    return c_ratio(correlations(jets, 4, beta), 3)


def d2(jets: ak.Array, beta: float = 1.0) -> np.ndarray:
    """Return D2 = ECF(3) ECF(1)^3 / ECF(2)^3, (N,) float64: small for a jet of two prongs.

    Parameters, raises: as `ecf`. NaN for fewer than two constituents.

    References
    ----------
    A. J. Larkoski, I. Moult, D. Neill, arXiv:1409.6298, eq. (1.2).
    """
    return d2_ratio(correlations(jets, 3, beta))


def c_ratio(e: np.ndarray, n: int) -> np.ndarray:
    """Return C_n = ECF(n + 1) ECF(n - 1) / ECF(n)^2 from the correlations ECF(0) ... of each jet, (N, M) -> (N,)."""
    return ratio(e[:, n + 1] * e[:, n - 1], e[:, n] ** 2)


def d2_ratio(e: np.ndarray) -> np.ndarray:
    """Return D2 = ECF(3) ECF(1)^3 / ECF(2)^3 from the correlations ECF(0) ... of each jet, (N, M) -> (N,)."""
    return ratio(e[:, 3] * e[:, 1] ** 3, e[:, 2] ** 3)


def correlations(jets: ak.Array, n_max: int, beta: float) -> np.ndarray:
    """Return ECF(0) ... ECF(n_max) of each jet, (N, n_max + 1)."""
    if not beta > 0:
        raise ValueError(f"beta must be above zero (at zero every pair counts the same), got {beta}")

    def of_batch(z, y, phi, counts):
        return _correlations_of_batch(z, r2(y, phi) ** (beta / 2), n_max)

    pt, y, phi, counts = polar(jets)
    scale = sum_by_jet(pt, counts)[:, None] ** np.arange(n_max + 1)
    return scale * in_batches(of_batch, n_max + 1, _CACHE, pt, y, phi, counts)


def _correlations_of_batch(z: np.ndarray, r: np.ndarray, n_max: int) -> np.ndarray:
    """Return the correlations from momentum fractions z (B, P) and distances to the power beta, r (B, P, P)."""
    e = np.ones((len(z), n_max + 1))
    e[:, 1] = z.sum(axis=1)
    zrz = z[:, :, None] * r * z[:, None, :]
    if n_max >= 2:
        e[:, 2] = zrz.sum(axis=(1, 2)) / 2  # each pair was counted in 2 orders; r_ii = 0
    if n_max >= 3:
        e[:, 3] = (zrz * ((r * z[:, None, :]) @ r)).sum(axis=(1, 2)) / 6
    if n_max >= 4:
        e[:, 4] = 0
        for j in range(1, z.shape[1] - 2):  # i < j, and k, l > j
            v = r[:, :j, j + 1 :] * (r[:, j, j + 1 :] * z[:, j + 1 :])[:, None, :]  # (B, i, k): r_ik r_jk z_k
            pairs = np.einsum("bik,bik->bi", v, v @ r[:, j + 1 :, j + 1 :])  # sum over k and l of v_k r_kl v_l
            e[:, 4] += np.einsum("bi,bi->b", zrz[:, :j, j], pairs) / 2
    return e
