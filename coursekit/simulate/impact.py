"""Impact parameters: their lifetime sign, and what all of a jet's tracks together say about its flavour."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from coursekit.files import save_arrays
from coursekit.simulate.tracks import Tracks

FLAVOURS = {"light": 0, "c": 4, "b": 5}
TEMPLATES = Path(__file__).with_name("impact_templates.npz")
PT_EDGES = np.array([2.0, 5.0])  # GeV: the resolution, and the flavours' shares, change with the momentum
# Fine where the resolution decides and coarse in the tails; what lies outside belongs to the first and last bins.
D0_EDGES = np.sinh(np.linspace(-np.arcsinh(25), np.arcsinh(60), 35))
Z0_EDGES = np.sinh(np.linspace(-np.arcsinh(15), np.arcsinh(30), 19))


def lifetime_signed(tracks: Tracks, jet_eta: np.ndarray, jet_phi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the significances of d0 and z0, positive for tracks that cross the jet's axis in front of the collision.

    S(d0) = sign(sin(phi_jet - phi) d0) abs(d0) / sigma(d0),  S(z0) = sign((eta_jet - eta) z0) abs(z0) / sigma(z0)

    Decay products of a particle that flies along the jet are positive; resolution makes both signs equally often.

    Parameters
    ----------
    tracks : Tracks
        (T,)
    jet_eta, jet_phi : (T,) float
        The axis of each track's jet.

    Returns
    -------
    d0_significance, z0_significance : (T,) float64

    References
    ----------
    ATLAS Collaboration, Performance of b-jet identification in the ATLAS experiment, arXiv:1512.01094, section 3.1.

    Examples
    --------
    A particle flies 1 mm along the jet's axis, x, and a decay product of it turns left:

    >>> from coursekit.simulate.tracks import closest_approach
    >>> d0, z0 = closest_approach(1.0, 0.0, 0.0, np.zeros(1), np.full(1, 0.1))
    >>> track = Tracks(*(np.ones(1), np.zeros(1), np.full(1, 0.1), np.ones(1)), d0, np.ones(1), z0, np.ones(1))
    >>> round(float(lifetime_signed(track, np.zeros(1), np.zeros(1))[0][0]), 4)
    0.0998
    """
    d0_sign = np.sign(np.sin(jet_phi - tracks.phi) * tracks.d0)
    z0_sign = np.sign((jet_eta - tracks.eta) * tracks.z0)
    return d0_sign * np.abs(tracks.d0) / tracks.d0_error, z0_sign * np.abs(tracks.z0) / tracks.z0_error


def bins(tracks: Tracks, jet_eta: np.ndarray, jet_phi: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the numbers of the bins of transverse momentum, S(d0) and S(z0) that tracks (T,) fall into."""
    d0, z0 = lifetime_signed(tracks, jet_eta, jet_phi)
    return np.digitize(tracks.pt, PT_EDGES), np.digitize(d0, D0_EDGES), np.digitize(z0, Z0_EDGES)


def count_tracks(tracks: Tracks, jet_eta, jet_phi, flavour) -> np.ndarray:
    """Count tracks in bins: the templates.

    Parameters
    ----------
    tracks : Tracks
        (T,)
    jet_eta, jet_phi : (T,) float
        The axis of each track's jet.
    flavour : (T,) int
        Its flavour, one of `FLAVOURS`.

    Returns
    -------
    (3, 3, 36, 20) int64
        Flavours in the order of `FLAVOURS`, transverse momentum, S(d0), S(z0).
    """
    shape = (len(FLAVOURS), len(PT_EDGES) + 1, len(D0_EDGES) + 1, len(Z0_EDGES) + 1)
    number = np.searchsorted(list(FLAVOURS.values()), flavour)
    places = np.ravel_multi_index((number, *bins(tracks, jet_eta, jet_phi)), shape)
    return np.bincount(places, minlength=np.prod(shape)).reshape(shape)


def log_densities(counts: np.ndarray) -> np.ndarray:
    """Return the logarithms of the share of a flavour's tracks of one momentum bin that lies in each further bin.

    One track is added to each bin, because a bin that no track of a flavour reached is no proof that none ever will.

    Parameters
    ----------
    counts : (3, 3, ...) int
        Flavours, bins of momentum, further bins.

    Returns
    -------
    (3, 3, ...) float64

    Examples
    --------
    >>> np.exp(log_densities(np.full((3, 3, 4), 9))[0, 0]).round(6).tolist()
    [0.25, 0.25, 0.25, 0.25]
    """
    filled = counts + 1.0
    return np.log(filled / filled.sum(axis=tuple(range(2, filled.ndim)), keepdims=True))


@cache
def load_templates(path: Path = TEMPLATES) -> np.ndarray:
    """Return the template counts that come with the package (see `count_tracks`); made by `make_templates`."""
    with np.load(path) as file:
        return file["counts"]


def save_templates(counts: np.ndarray, path: Path = TEMPLATES) -> None:
    """Write template counts; the file takes its name when it is complete."""
    save_arrays(path, counts=counts.astype(np.int32))


def likelihood_ratios(tracks: Tracks, counts, jet_eta, jet_phi, templates: np.ndarray | None = None) -> dict:
    """Return for each jet the logarithms of the ratios of its likelihoods to be of two flavours.

    ln(L_b / L_light) = sum over the tracks of ln(p_b(S) / p_light(S)), each p from the template of the track's
    momentum: IP2D takes S(d0) only, IP3D S(d0) and S(z0) together. The tracks count as independent, which they are not.

    Parameters
    ----------
    tracks : Tracks
        (T,), jet by jet.
    counts : (N,) int
        Tracks of each jet.
    jet_eta, jet_phi : (N,) float
    templates : (3, 3, 36, 20) int, optional
        From `count_tracks`; those of the package if not given.

    Returns
    -------
    dict of (N,) float64
        `ip2d_bl`, `ip2d_bc`, `ip2d_cl` and the same with `ip3d`: b against light, b against c, c against light; 0 for a
        jet without tracks.
    """
    templates = load_templates() if templates is None else templates
    jet = np.repeat(np.arange(len(counts)), counts)
    pt, d0, z0 = bins(tracks, jet_eta[jet], jet_phi[jet])
    values = {}
    for name, logs in (
        ("ip2d", log_densities(templates.sum(axis=3))[:, pt, d0]),
        ("ip3d", log_densities(templates)[:, pt, d0, z0]),
    ):
        light, c, b = logs
        for pair, ratio in (("bl", b - light), ("bc", b - c), ("cl", c - light)):
            values[f"{name}_{pair}"] = np.bincount(jet, weights=ratio, minlength=len(counts))
    return values
