"""Momentum of a jet, and how many constituents share it how widely and how evenly."""

import awkward as ak
import numpy as np

from coursekit.jets.arrays import delta_phi, rapidity, sum_by_jet
from coursekit.observables.constituents import constituents, polar, ratio


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


def multiplicity(jets: ak.Array) -> np.ndarray:
    """Return the number of constituents, (N,) int64.

    Examples
    --------
    >>> from coursekit.jets import unpack
    >>> multiplicity(unpack(np.ones((3, 4)), [2, 1])).tolist()
    [2, 1]
    """
    return constituents(jets)[1]


def mean_pt(jets: ak.Array) -> np.ndarray:
    """Return the mean transverse momentum of the constituents, (N,) float64, GeV; NaN for an empty jet.

    Examples
    --------
    >>> from coursekit.jets import unpack
    >>> mean_pt(unpack([[3.0, 0, 0, 3], [0, 4.0, 0, 4]], [2])).tolist()
    [3.5]
    """
    pt, _, _, counts = polar(jets)
    return ratio(sum_by_jet(pt, counts), counts)


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
    pt, y, phi, counts = polar(jets)
    px, py, pz, e = _jet_momentum(jets)
    axis = rapidity(px, py, pz, e)
    distance = np.hypot(y - np.repeat(axis, counts), delta_phi(phi, np.repeat(np.arctan2(py, px), counts)))
    return ratio(sum_by_jet(pt * distance, counts), sum_by_jet(pt, counts))


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
    pt, _, _, counts = polar(jets)
    return ratio(np.sqrt(sum_by_jet(pt**2, counts)), sum_by_jet(pt, counts))


def _jet_momentum(jets: ak.Array) -> list[np.ndarray]:
    momenta, counts = constituents(jets)
    return [sum_by_jet(component, counts) for component in momenta]
