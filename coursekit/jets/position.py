"""A standard position for jets: centred, turned, mirrored, so that jets which differ by their attitude alone are equal.

Each step takes packed arrays, one number per constituent (T,) and the `counts` (N,) of each jet, and can be used alone.
"""

import numpy as np

from coursekit.jets.arrays import delta_phi, require_packed, sum_by_jet

# Distances below this are rounding errors: without it a constituent on the axis, at 1e-17 or -1e-17 by chance, would
# fall into one quadrant, or pixel, or the next.
DECIMALS = 9


def centred(eta: np.ndarray, phi: np.ndarray, weights: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    r"""Move each jet's centroid to the origin.

    .. math:: \eta_i \to \eta_i - \sum_j w_j \eta_j / \sum_j w_j

    and the same for phi, whose differences are first wrapped into [-pi, pi) round the direction of the jet: half a jet
    at phi = 3.1 and half at -3.1 has its centre at pi, not at zero.

    Parameters
    ----------
    eta, phi, weights : (T,) float
        Weights are usually pT in GeV.
    counts : (N,) int

    Returns
    -------
    eta, phi : (T,) float64
        Relative to the centroid.

    Raises
    ------
    ValueError
        Shapes do not fit together, a value is NaN or infinite, or the weights of a jet do not add up to more than zero.

    Examples
    --------
    >>> eta, phi = centred([0.0, 1.0], [3.1, 3.1 - 2 * np.pi], [3.0, 1.0], [2])
    >>> eta.tolist(), np.abs(phi).max() < 1e-15
    ([-0.25, 0.75], np.True_)
    """
    (eta, phi, weights), counts = require_packed(counts, eta=eta, phi=phi, weights=weights)
    total = sum_by_jet(weights, counts)
    if (total[counts > 0] <= 0).any():
        jet = np.flatnonzero((total <= 0) & (counts > 0))[0]
        raise ValueError(f"the weights of jet {jet} add up to {total[jet]:g}, so that it has no centroid; leave it out")
    total = np.where(counts > 0, total, 1.0)
    direction = np.arctan2(sum_by_jet(weights * np.sin(phi), counts), sum_by_jet(weights * np.cos(phi), counts))
    phi = delta_phi(phi, np.repeat(direction, counts))
    return tuple(x - np.repeat(sum_by_jet(weights * x, counts) / total, counts) for x in (eta, phi))


def rotated(eta: np.ndarray, phi: np.ndarray, weights: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    r"""Turn each jet about the origin until its principal axis points along phi, upwards in a picture.

    The principal axis is the direction along which the weighted sum of squared distances from the origin is largest. It
    makes the angle

    .. math:: \alpha = \tfrac12 \operatorname{arctan2}\Big(2 \sum w \eta \phi, \sum w (\eta^2 - \phi^2)\Big)

    with the eta direction, and the jet is turned by pi/2 - alpha. An axis has no head: which end comes to the top is
    left to `flipped`. A jet that is the same in all directions, such as a single constituent, stays as it is.

    Parameters
    ----------
    eta, phi : (T,) float
        Relative to the jet's centre, from `centred`.
    weights : (T,) float
    counts : (N,) int

    Returns
    -------
    eta, phi : (T,) float64

    Raises
    ------
    ValueError
        Shapes do not fit together, or a value is NaN or infinite.

    Examples
    --------
    >>> eta, phi = rotated([1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [2])
    >>> np.round(eta, 3).tolist(), np.round(phi, 3).tolist()
    ([0.0, -0.0], [1.414, -1.414])
    """
    (eta, phi, weights), counts = require_packed(counts, eta=eta, phi=phi, weights=weights)
    ee, pp, ep = (sum_by_jet(weights * square, counts) for square in (eta**2, phi**2, eta * phi))
    round_ = np.hypot(2 * ep, ee - pp) <= 10.0**-DECIMALS * (ee + pp)
    angle = np.where(round_, 0.0, np.pi / 2 - np.arctan2(2 * ep, ee - pp) / 2)
    cos, sin = np.repeat(np.cos(angle), counts), np.repeat(np.sin(angle), counts)
    return eta * cos - phi * sin, eta * sin + phi * cos


def flipped(eta: np.ndarray, phi: np.ndarray, weights: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mirror each jet in eta and in phi so that its brightest quadrant is the one at the upper right.

    Brightest is the quadrant with the largest sum of weights; a constituent on the border counts half on each side. Of
    quadrants that are equally bright the first counter-clockwise from the upper right is taken.

    Parameters
    ----------
    eta, phi : (T,) float
        Relative to the jet's centre, from `centred` or `rotated`.
    weights : (T,) float
    counts : (N,) int

    Returns
    -------
    eta, phi : (T,) float64

    Raises
    ------
    ValueError
        Shapes do not fit together, or a value is NaN or infinite.

    Examples
    --------
    >>> eta, phi = flipped([-0.1, 0.2], [-0.3, 0.4], [5.0, 1.0], [2])
    >>> eta.tolist(), phi.tolist()
    ([0.1, -0.2], [0.3, -0.4])
    """
    (eta, phi, weights), counts = require_packed(counts, eta=eta, phi=phi, weights=weights)
    right, up = (np.sign(np.round(x, DECIMALS)) / 2 + 0.5 for x in (eta, phi))  # 1, or 0, or 1/2 on the border
    shares = (right * up, (1 - right) * up, (1 - right) * (1 - up), right * (1 - up))
    brightest = np.argmax([sum_by_jet(weights * share, counts) for share in shares], axis=0)  # (N,)
    sign_eta, sign_phi = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]])[brightest].T
    return eta * np.repeat(sign_eta, counts), phi * np.repeat(sign_phi, counts)
