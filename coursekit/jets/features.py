"""What a network sees of each constituent: its place and its share relative to the jet, packed, of order one.

Raw four-momenta make a network learn first that the detector is a cylinder and that jets fly in all directions. These
inputs know it: they do not change when the event is turned about the beam, and the angles not when it is boosted along
it. Angles are measured with the rapidity y, of constituents and axis alike, because the difference of two rapidities is
unchanged by a boost whatever the masses; for a massless constituent y is the pseudorapidity, hence the name ``d_eta``.
"""

import awkward as ak
import numpy as np

from coursekit.jets.arrays import delta_phi, jet_numbers, pack, rapidity, sum_by_jet
from coursekit.jets.position import flipped, rotated

RELATIVE_FEATURES = ("d_eta", "d_phi", "log_pt", "log_e", "log_pt_fraction", "log_e_fraction", "d_r")
FLOW_FEATURES = ("z", "d_eta", "d_phi")

# Subtracted from the logarithms, which then are between -3 and 3 for nearly all constituents of jets at 600 GeV.
# Constants, not means of a sample: nothing to fit, nothing to leak, the same for training, validation and test.
_LOG_GEV = 1.5  # log(4.5 GeV)
_LOG_FRACTION = -5.0  # log(0.7%)


def relative_features(jets: ak.Array, upright: bool = False) -> tuple[np.ndarray, np.ndarray]:
    r"""Return seven features of each constituent relative to its jet, the columns named in `RELATIVE_FEATURES`.

    With the axis, the sum of the jet's constituents, at rapidity y_J and azimuth phi_J,

    .. math:: \Delta\eta = y_i - y_J, \quad \Delta\phi = \phi_i - \phi_J \in [-\pi, \pi), \quad
        \Delta R = \sqrt{\Delta\eta^2 + \Delta\phi^2}, \quad \log p_{T,i} - 1.5, \quad \log E_i - 1.5, \quad
        \log (p_{T,i} / \textstyle\sum_j p_{T,j}) + 5, \quad \log (E_i / \textstyle\sum_j E_j) + 5

    with momenta in GeV and natural logarithms.

    Parameters
    ----------
    jets : (N, var) ak.Array of Momentum4D
        In GeV. Jets without constituents are allowed and have no rows.
    upright : bool
        Turn each jet about its axis until its principal axis points along phi, and mirror it so that its brightest
        quadrant is the one at positive d_eta and d_phi (`coursekit.jets.rotated`, `coursekit.jets.flipped`, weighted
        with pT). A network need not learn then that a turned jet is as likely.

    Returns
    -------
    features : (T, 7) float32 array
        One row per constituent, the jets one after the other; angles in radians.
    counts : (N,) int64 array
        Number of constituents of each jet; their sum is T.

    Raises
    ------
    ValueError
        If a constituent has no pT or energy above zero, or one that is not finite.

    References
    ----------
    H. Qu, L. Gouskos, arXiv:1902.08570, table 2.

    Examples
    --------
    >>> from coursekit.jets import unpack
    >>> jets = unpack([[3.0, 0, 0, 3], [0, 1.0, 0, 1]], [2])  # a quarter of the pT at a right angle
    >>> features, counts = relative_features(jets)
    >>> for name, value in zip(RELATIVE_FEATURES, features[1]):
    ...     print(f"{name}: {value:.2f}")
    d_eta: 0.00
    d_phi: 1.25
    log_pt: -1.50
    log_e: -1.50
    log_pt_fraction: 3.61
    log_e_fraction: 3.61
    d_r: 1.25
    """
    pt, e, d_eta, d_phi, counts = _relative(jets, upright)
    columns = (
        d_eta,
        d_phi,
        np.log(pt) - _LOG_GEV,
        np.log(e) - _LOG_GEV,
        np.log(_share(pt, counts)) - _LOG_FRACTION,
        np.log(_share(e, counts)) - _LOG_FRACTION,
        np.hypot(d_eta, d_phi),
    )
    return np.stack(columns, axis=1, dtype=np.float32), counts


def flow_features(jets: ak.Array, upright: bool = False) -> tuple[np.ndarray, np.ndarray]:
    r"""Return z = pT / sum of pT and the direction of each constituent, the columns named in `FLOW_FEATURES`.

    What an `EnergyFlow` network takes: a weight that is linear in the momentum, and angles that say nothing about it.
    The fractions z of a jet add up to one; directions, parameters, raises and counts are those of `relative_features`.
    Turned upright they stay as safe as before, because axis and quadrants are weighted with pT as well.

    Returns
    -------
    features : (T, 3) float32 array
    counts : (N,) int64 array

    References
    ----------
    P. T. Komiske, E. M. Metodiev, J. Thaler, arXiv:1810.05165, section 2.

    Examples
    --------
    >>> from coursekit.jets import unpack
    >>> features, counts = flow_features(unpack([[3.0, 0, 0, 3], [0, 1.0, 0, 1]], [2]))
    >>> features[:, 0].tolist(), counts.tolist()
    ([0.75, 0.25], [2])
    """
    pt, _, d_eta, d_phi, counts = _relative(jets, upright)
    return np.stack((_share(pt, counts), d_eta, d_phi), axis=1, dtype=np.float32), counts


def _relative(jets: ak.Array, upright: bool) -> tuple[np.ndarray, ...]:
    """Return pT, E, rapidity and azimuth relative to the axis, (T,) float64 each, and the counts (N,)."""
    packed, counts = pack(jets)
    momenta = packed.astype(np.float64).T  # float64: the axis is a sum of many, the shares are small
    pt = np.hypot(momenta[0], momenta[1])
    bad = ~(np.isfinite(momenta).all(axis=0) & (pt > 0) & (momenta[3] > 0))
    if bad.any():
        raise ValueError(
            f"{bad.sum()} of {len(pt)} constituents have a pT or an energy that is zero, negative, NaN or infinite, "
            f"the first in jet {jet_numbers(counts)[bad][0]}: no logarithms of those; drop such rows, and padding "
            "(coursekit.jets.unpad)"
        )
    axis = [sum_by_jet(component, counts) for component in momenta]
    d_eta = rapidity(*momenta) - np.repeat(rapidity(*axis), counts)
    d_phi = delta_phi(np.arctan2(momenta[1], momenta[0]), np.repeat(np.arctan2(axis[1], axis[0]), counts))
    if upright:
        d_eta, d_phi = flipped(*rotated(d_eta, d_phi, pt, counts), pt, counts)
    return pt, momenta[3], d_eta, d_phi, counts


def _share(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Divide by the sum over the jet, (T,) -> (T,)."""
    return values / np.repeat(sum_by_jet(values, counts), counts)
