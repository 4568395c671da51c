"""Observables of a jet: momentum, counting, energy correlations, N-subjettiness.

Every function takes jets as a jagged (N, var) ``ak.Array`` of ``Momentum4D`` constituents and returns one number per
jet, computed in float64 whatever the dtype of the input. Distances are Delta R^2 = (y_i - y_j)^2 + (phi_i - phi_j)^2
with the rapidity y, which a boost along the beam leaves alone. A jet without constituents has pt, mass and multiplicity
zero; what is undefined for a jet (0/0) is NaN.

=============  =====  =====================  ====================
observable     boost  soft emission (IR)     collinear splitting
=============  =====  =====================  ====================
pt, mass       safe   safe                   safe
width          safe   safe                   safe
C1 C2 C3 D2    safe   safe                   safe
tau21, tau32   safe   safe                   safe
pt_dispersion  safe   safe                   changes
multiplicity   safe   changes                changes
mean_pt        safe   changes                changes
=============  =====  =====================  ====================
"""

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import awkward as ak
import numpy as np
from threadpoolctl import ThreadpoolController

from coursekit.jets.arrays import delta_phi, require_jagged, sum_by_jet

# Elements of a batch's (B, P, P) array of distances: few enough to stay in the cache for the energy correlations, many
# for N-subjettiness, which takes many small steps.
_CACHE = 200_000
_LARGE = 1_000_000


# --- momentum ---------------------------------------------------------------------------------------------------------


def jet_pt(jets: ak.Array) -> np.ndarray:
    """Return the transverse momentum of the summed constituents, (N,) float64, GeV.

    Examples
    --------
    >>> from coursekit.jets import unpack
    >>> jet_pt(unpack([[3.0, 0, 0, 3], [0, 4.0, 0, 4]], [2])).tolist()
    [5.0]
    """
    px, py, _, _ = _jet_momentum(jets)
    return np.hypot(px, py)


def jet_eta(jets: ak.Array) -> np.ndarray:
    """Return the pseudorapidity of the summed constituents, (N,) float64; NaN for a jet without momentum.

    Examples
    --------
    >>> from coursekit.jets import unpack
    >>> jet_eta(unpack([[3.0, 0, 1, 5], [1.0, 0, -1, 2]], [2])).tolist()
    [0.0]
    """
    px, py, pz, _ = _jet_momentum(jets)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.arcsinh(pz / np.hypot(px, py))


def jet_phi(jets: ak.Array) -> np.ndarray:
    """Return the azimuth of the summed constituents, (N,) float64, in [-pi, pi]; NaN for a jet without momentum.

    Examples
    --------
    >>> from coursekit.jets import unpack
    >>> float(jet_phi(unpack([[0.0, 3, 0, 5]], [1]))[0] / np.pi)
    0.5
    """
    px, py, _, _ = _jet_momentum(jets)
    return np.where((px == 0) & (py == 0), np.nan, np.arctan2(py, px))


def jet_mass(jets: ak.Array) -> np.ndarray:
    """Return the invariant mass of the summed constituents, m = sqrt(E^2 - p^2), (N,) float64, GeV.

    The mass is a small difference of large numbers: at E = 600 GeV float32 sums lose several GeV of a light jet's mass,
    hence the sums in float64. Where rounding of the inputs leaves E < p, the mass is zero.

    Examples
    --------
    >>> from coursekit.jets import unpack
    >>> jet_mass(unpack([[3.0, 0, 0, 3], [-3.0, 0, 0, 3]], [2])).tolist()
    [6.0]
    """
    px, py, pz, e = _jet_momentum(jets)
    p = np.sqrt(px**2 + py**2 + pz**2)
    return np.sqrt(np.maximum((e - p) * (e + p), 0))


# --- counting and widths ----------------------------------------------------------------------------------------------


def multiplicity(jets: ak.Array) -> np.ndarray:
    """Return the number of constituents, (N,) int64.

    Examples
    --------
    >>> from coursekit.jets import unpack
    >>> multiplicity(unpack(np.ones((3, 4)), [2, 1])).tolist()
    [2, 1]
    """
    return _constituents(jets)[1]


def mean_pt(jets: ak.Array) -> np.ndarray:
    """Return the mean transverse momentum of the constituents, (N,) float64, GeV; NaN for an empty jet.

    Examples
    --------
    >>> from coursekit.jets import unpack
    >>> mean_pt(unpack([[3.0, 0, 0, 3], [0, 4.0, 0, 4]], [2])).tolist()
    [3.5]
    """
    pt, _, _, counts = _polar(jets)
    return _ratio(sum_by_jet(pt, counts), counts)


def width(jets: ak.Array) -> np.ndarray:
    r"""Return the mean distance from the jet's axis, weighted with pT, (N,) float64.

    .. math:: w = \sum_i p_{T,i} \Delta R(i, \mathrm{jet}) / \sum_i p_{T,i}

    The axis is that of the summed constituents. NaN for an empty jet.

    References
    ----------
    J. Gallicchio, M. D. Schwartz, arXiv:1106.3076 ("girth").

    Examples
    --------
    >>> from coursekit.jets import unpack
    >>> round(float(width(unpack([[1.0, 1, 0, 2], [1.0, -1, 0, 2]], [2]))[0] / np.pi), 3)
    0.25
    """
    pt, y, phi, counts = _polar(jets)
    px, py, pz, e = _jet_momentum(jets)
    axis = _rapidity(px**2 + py**2, pz, e)
    distance = np.hypot(y - np.repeat(axis, counts), delta_phi(phi, np.repeat(np.arctan2(py, px), counts)))
    return _ratio(sum_by_jet(pt * distance, counts), sum_by_jet(pt, counts))


def pt_dispersion(jets: ak.Array) -> np.ndarray:
    r"""Return the fragmentation measure pTD, (N,) float64: 1 for one constituent, 1/sqrt(n) for n alike; NaN for none.

    .. math:: p_T^D = \sqrt{\sum_i p_{T,i}^2} / \sum_i p_{T,i}

    References
    ----------
    CMS Collaboration, CMS-PAS-JME-13-002 (quark/gluon discrimination).

    Examples
    --------
    >>> from coursekit.jets import unpack
    >>> pt_dispersion(unpack(np.ones((5, 4)), [4, 1])).tolist()
    [0.5, 1.0]
    """
    pt, _, _, counts = _polar(jets)
    return _ratio(np.sqrt(sum_by_jet(pt**2, counts)), sum_by_jet(pt, counts))


# --- energy correlations ----------------------------------------------------------------------------------------------


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
    return _correlations(jets, n, beta)[:, n]


def c1(jets: ak.Array, beta: float = 1.0) -> np.ndarray:
    """Return C1 = ECF(2) / ECF(1)^2, (N,) float64: large for a jet of two prongs against one.

    Parameters, raises, references: as `ecf`; C_n is its eq. (2.4). NaN for an empty jet.
    """
    e = _correlations(jets, 2, beta)
    return _ratio(e[:, 2] * e[:, 0], e[:, 1] ** 2)


def c2(jets: ak.Array, beta: float = 1.0) -> np.ndarray:
    """Return C2 = ECF(3) ECF(1) / ECF(2)^2, (N,) float64: small for a jet of two prongs.

    Parameters, raises, references: as `ecf`. NaN for fewer than two constituents.
    """
    e = _correlations(jets, 3, beta)
    return _ratio(e[:, 3] * e[:, 1], e[:, 2] ** 2)


def c3(jets: ak.Array, beta: float = 1.0) -> np.ndarray:
    """Return C3 = ECF(4) ECF(2) / ECF(3)^2, (N,) float64: small for a jet of three prongs, such as a top.

    Parameters, raises, references: as `ecf`. NaN for fewer than three constituents.

    Examples
    --------
    >>> from coursekit.jets import unpack
    >>> c3(unpack([[1.0, 0, 0, 1], [0, 1.0, 0, 1], [1.0, 1, 1, 2]], [3])).tolist()
    [0.0]
    """
    e = _correlations(jets, 4, beta)
    return _ratio(e[:, 4] * e[:, 2], e[:, 3] ** 2)


def d2(jets: ak.Array, beta: float = 1.0) -> np.ndarray:
    """Return D2 = ECF(3) ECF(1)^3 / ECF(2)^3, (N,) float64: small for a jet of two prongs.

    Parameters, raises: as `ecf`. NaN for fewer than two constituents.

    References
    ----------
    A. J. Larkoski, I. Moult, D. Neill, arXiv:1409.6298, eq. (1.2).
    """
    e = _correlations(jets, 3, beta)
    return _ratio(e[:, 3] * e[:, 1] ** 3, e[:, 2] ** 3)


def _correlations(jets: ak.Array, n_max: int, beta: float) -> np.ndarray:
    """Return ECF(0) ... ECF(n_max) of each jet, (N, n_max + 1)."""
    if not beta > 0:
        raise ValueError(f"beta must be above zero (at zero every pair counts the same), got {beta}")

    def of_batch(z, y, phi, counts):
        return _correlations_of_batch(z, _r2(y, phi) ** (beta / 2), n_max)

    pt, y, phi, counts = _polar(jets)
    scale = sum_by_jet(pt, counts)[:, None] ** np.arange(n_max + 1)
    return scale * _in_batches(of_batch, n_max + 1, _CACHE, pt, y, phi, counts)


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


# --- N-subjettiness ---------------------------------------------------------------------------------------------------


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
    return _taus(jets, beta)[:, n - 1] / radius**beta


def tau21(jets: ak.Array, beta: float = 1.0) -> np.ndarray:
    """Return tau_2 / tau_1 of `n_subjettiness`, (N,) float64: small for two prongs, NaN below two constituents."""
    taus = _taus(jets, beta)
    return _ratio(taus[:, 1], taus[:, 0])


def tau32(jets: ak.Array, beta: float = 1.0) -> np.ndarray:
    """Return tau_3 / tau_2 of `n_subjettiness`, (N,) float64: small for three prongs, NaN below three."""
    taus = _taus(jets, beta)
    return _ratio(taus[:, 2], taus[:, 1])


def _taus(jets: ak.Array, beta: float) -> np.ndarray:
    """Return tau_1, tau_2, tau_3 with R = 1, (N, 3)."""
    if not beta > 0:
        raise ValueError(f"beta must be above zero, got {beta}")

    def of_batch(z, y, phi, counts):
        r2 = _r2(y, phi)
        axes = _winner_take_all_axes(z, r2, counts)  # (B, 3)
        to_axes = np.take_along_axis(r2, axes[:, :, None], axis=1)  # (B, 3, P)
        to_axes[np.arange(axes.shape[1]) >= counts[:, None]] = np.inf  # a jet of two constituents has no third axis
        nearest = np.minimum.accumulate(to_axes, axis=1) ** (beta / 2)
        return np.einsum("bp,bap->ba", z, nearest)

    pt, y, phi, counts = _polar(jets)
    taus = _in_batches(of_batch, 3, _LARGE, pt, y, phi, counts)
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


# --- all of them ------------------------------------------------------------------------------------------------------


def measure_jets(jets: ak.Array, beta: float = 1.0) -> dict[str, np.ndarray]:
    """Return every observable of this module, each (N,), under the name of its function.

    Faster than one call after the other, because the correlations and the axes are computed once.

    Examples
    --------
    >>> from coursekit.jets import unpack
    >>> measured = measure_jets(unpack(np.ones((5, 4)), [3, 2]))
    >>> list(measured)  # doctest: +NORMALIZE_WHITESPACE
    ['jet_pt', 'jet_eta', 'jet_phi', 'jet_mass', 'multiplicity', 'mean_pt', 'width', 'pt_dispersion',
     'c1', 'c2', 'c3', 'd2', 'tau21', 'tau32']
    """
    simple = (jet_pt, jet_eta, jet_phi, jet_mass, multiplicity, mean_pt, width, pt_dispersion)
    e0, e1, e2, e3, e4 = _correlations(jets, 4, beta).T
    tau1, tau2, tau3 = _taus(jets, beta).T
    return {function.__name__: function(jets) for function in simple} | {
        "c1": _ratio(e2 * e0, e1**2),
        "c2": _ratio(e3 * e1, e2**2),
        "c3": _ratio(e4 * e2, e3**2),
        "d2": _ratio(e3 * e1**3, e2**3),
        "tau21": _ratio(tau2, tau1),
        "tau32": _ratio(tau3, tau2),
    }


# --- arithmetic -------------------------------------------------------------------------------------------------------


def _constituents(jets: ak.Array) -> tuple[np.ndarray, np.ndarray]:
    """Return px, py, pz, E of all constituents as (4, T) float64, and the counts (N,)."""
    require_jagged(jets)
    # To float64 first: px may have to be computed of pt and phi, if that is what is stored.
    flat = ak.values_astype(ak.flatten(jets), np.float64)
    momenta = np.stack([ak.to_numpy(getattr(flat, name)) for name in ("px", "py", "pz", "E")])
    counts = ak.to_numpy(ak.num(jets))
    finite = np.isfinite(momenta)
    if not finite.all():
        jet = np.searchsorted(np.cumsum(counts), np.flatnonzero(~finite.all(axis=0))[0], side="right")
        raise ValueError(f"jet {jet} has a constituent whose momentum is NaN or infinite; leave such jets out")
    return momenta, counts


def _polar(jets: ak.Array) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return pT, rapidity, azimuth (T,) of all constituents, and the counts (N,)."""
    (px, py, pz, e), counts = _constituents(jets)
    pt2 = px**2 + py**2
    return np.sqrt(pt2), _rapidity(pt2, pz, e), np.arctan2(py, px), counts


def _rapidity(pt2: np.ndarray, pz: np.ndarray, e: np.ndarray) -> np.ndarray:
    """Return y = ln((E + |pz|) / mT) with the sign of pz: no difference of large numbers; m^2 < 0 is taken as 0."""
    m2 = np.maximum((e + pz) * (e - pz) - pt2, 0)
    tiny = 1e-30  # keeps a zero momentum, and one along the beam, finite
    return np.copysign(np.log((e + np.abs(pz) + tiny) / (np.sqrt(pt2 + m2) + tiny)), pz)


def _jet_momentum(jets: ak.Array) -> list[np.ndarray]:
    momenta, counts = _constituents(jets)
    return [sum_by_jet(component, counts) for component in momenta]


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    return np.divide(numerator, denominator, out=np.full(len(numerator), np.nan), where=denominator != 0)


def _r2(y: np.ndarray, phi: np.ndarray) -> np.ndarray:
    """Return the squared distances of all pairs, (B, P) -> (B, P, P)."""
    dphi = np.abs(phi[:, :, None] - phi[:, None, :])
    dphi = np.minimum(dphi, 2 * np.pi - dphi)
    return (y[:, :, None] - y[:, None, :]) ** 2 + dphi**2


def _in_batches(
    function: Callable[..., np.ndarray],
    n_out: int,
    size: int,
    pt: np.ndarray,
    y: np.ndarray,
    phi: np.ndarray,
    counts: np.ndarray,
) -> np.ndarray:
    """Apply function(z, y, phi, counts) to batches of jets of similar length, padded to (B, P); return (N, n_out).

    z are the fractions of the jet's summed pT, zero for padding. Jets without pT are left out and get zeros.
    """
    result = np.zeros((len(counts), n_out))
    sum_pt = sum_by_jet(pt, counts)
    first = np.cumsum(counts) - counts
    order = np.argsort(-counts, kind="stable")  # falling, so that the first jet of a batch is its longest
    order = order[sum_pt[order] > 0]
    batches = []
    while len(order):
        longest = int(counts[order[0]])
        similar = np.count_nonzero(counts[order] > 0.8 * longest)  # 0.8^4: two in five products may be with padding
        n_jets = min(similar, max(1, size // longest**2))
        batches.append(order[:n_jets])
        order = order[n_jets:]

    def work(batch):
        p = np.arange(max(3, counts[batch[0]]))  # three axes need three places
        real = p < counts[batch, None]
        index = np.where(real, first[batch, None] + p, first[batch, None])  # padding repeats the first constituent
        z = np.where(real, pt[index], 0) / sum_pt[batch, None]
        result[batch] = function(z, y[index], phi[index], counts[batch])

    # One BLAS thread in each of ours: many small products are faster side by side than each one shared out.
    n_threads = int(os.environ.get("OMP_NUM_THREADS", "").split(",")[0] or os.cpu_count() or 1)
    with _thread_pools().limit(limits=1, user_api="blas"), ThreadPoolExecutor(n_threads) as pool:
        list(pool.map(work, batches))
    return result


@functools.cache
def _thread_pools() -> ThreadpoolController:
    return ThreadpoolController()  # once: to look for the libraries takes milliseconds
