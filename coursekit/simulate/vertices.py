"""Vertices of straight tracks: the least-squares fit, its pruning, and the inclusive secondary vertex of a jet.

A vertex v = (x, y, z) predicts d0 = y cos(phi) - x sin(phi) and z0 = z - (x cos(phi) + y sin(phi)) sinh(eta) of a track
through it, both linear in v: the best v solves three linear equations, and no iteration is needed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from coursekit.simulate.tracks import Tracks

PION_MASS, PROTON_MASS = 0.13957, 0.93827  # GeV
KAON_WINDOW, LAMBDA_WINDOW = (0.4976, 0.010), (1.1157, 0.004)  # GeV: mass, and how far from it
FAR_MM = 1000.0  # a weak belief that vertices lie within this keeps two parallel tracks from making infinities

DISPLACED = 2.2  # abs(S(d0)) of a track that may belong to a secondary vertex
PAIR_CHI2, PAIR_SIGNIFICANCE = 6.0, 2.0  # two tracks meet (4 measurements, 3 parameters), away from the collision
TRACK_CHI2 = 9.0  # of the worst track of a vertex (2 measurements)
SIGNIFICANCE = 3.0  # L / sigma(L) of a vertex that is called secondary
MAX_MASS = 6.0  # GeV, above any weakly decaying hadron


@dataclass(frozen=True, eq=False)
class Vertex:
    """One vertex of each of N jets.

    Attributes
    ----------
    position : (N, 3) float64, millimetres
    covariance : (N, 3, 3) float64, mm^2
    chi2 : (N, K) float64
        Of each track, whether it belongs to the vertex or not.
    """

    position: np.ndarray
    covariance: np.ndarray
    chi2: np.ndarray

    def distance(self, axis: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the distance L from the origin and L / sigma(L), (N,) each; negative behind it as seen along `axis`.

        sigma^2(L) = n C n with the direction n = v / L.
        """
        length = np.linalg.norm(self.position, axis=-1)
        direction = self.position / np.maximum(length, 1e-12)[:, np.newaxis]
        error = np.sqrt(np.einsum("ni,nij,nj->n", direction, self.covariance, direction))
        signed = np.copysign(length, np.einsum("ni,ni->n", self.position, axis))
        return signed, signed / np.maximum(error, 1e-12)


def derivatives(tracks: Tracks) -> tuple[np.ndarray, np.ndarray]:
    """Return d(d0)/dv and d(z0)/dv, one more axis (x, y, z)."""
    cos, sin, slope = np.cos(tracks.phi), np.sin(tracks.phi), np.sinh(tracks.eta)
    zero, one = np.zeros_like(cos), np.ones_like(cos)
    return np.stack([-sin, cos, zero], axis=-1), np.stack([-cos * slope, -sin * slope, one], axis=-1)


def fit_vertex(tracks: Tracks, used: np.ndarray) -> Vertex:
    """Fit one vertex per jet to the tracks in use.

    chi2 = sum (d0 - d0(v))^2 / sigma^2(d0) + (z0 - z0(v))^2 / sigma^2(z0)

    Parameters
    ----------
    tracks : Tracks
        (N, K)
    used : (N, K) bool

    Returns
    -------
    Vertex
        At the origin with an error of a metre where no track is in use.
    """
    by_d0, by_z0 = derivatives(tracks)
    weight_d0, weight_z0 = used / tracks.d0_error**2, used / tracks.z0_error**2
    information = np.einsum("nk,nki,nkj->nij", weight_d0, by_d0, by_d0)
    information += np.einsum("nk,nki,nkj->nij", weight_z0, by_z0, by_z0) + np.eye(3) / FAR_MM**2
    target = np.einsum("nk,nki->ni", weight_d0 * tracks.d0, by_d0)
    target += np.einsum("nk,nki->ni", weight_z0 * tracks.z0, by_z0)
    covariance = np.linalg.inv(information)
    position = np.einsum("nij,nj->ni", covariance, target)
    d0_pull = (tracks.d0 - np.einsum("nki,ni->nk", by_d0, position)) / tracks.d0_error
    z0_pull = (tracks.z0 - np.einsum("nki,ni->nk", by_z0, position)) / tracks.z0_error
    return Vertex(position, covariance, d0_pull**2 + z0_pull**2)


def fit_pruned(tracks: Tracks, used: np.ndarray, max_chi2: float = TRACK_CHI2) -> tuple[Vertex, np.ndarray]:
    """Fit, drop the worst track of each jet if it is worse than `max_chi2`, and repeat until all agree.

    Parameters
    ----------
    tracks : Tracks
        (N, K)
    used : (N, K) bool
    max_chi2 : float

    Returns
    -------
    vertex : Vertex
    used : (N, K) bool
        What is left.
    """
    vertex = fit_vertex(tracks, used)
    wrong = np.arange(len(used))
    used = used.copy()
    while used.shape[1]:  # each round takes a track of each wrong jet, so this ends
        chi2 = np.where(used[wrong], vertex.chi2[wrong], 0.0)
        worst = np.argmax(chi2, axis=1)
        bad = chi2[np.arange(len(wrong)), worst] > max_chi2
        wrong = wrong[bad]
        if not len(wrong):
            break
        used[wrong, worst[bad]] = False
        refit = fit_vertex(tracks[wrong], used[wrong])
        for name in ("position", "covariance", "chi2"):
            getattr(vertex, name)[wrong] = getattr(refit, name)
    return vertex, used


def unit_vector(eta, phi) -> np.ndarray:
    """Return the direction, one more axis (x, y, z)."""
    return np.stack([np.cos(phi) / np.cosh(eta), np.sin(phi) / np.cosh(eta), np.tanh(eta)], axis=-1)


def mass(momentum: np.ndarray, masses: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Return the mass of the tracks in use together, GeV: momenta (N, K, 3), the mass of each and `used` (N, K)."""
    energy = (used * np.sqrt((momentum**2).sum(axis=-1) + masses**2)).sum(axis=1)
    total = (used[..., np.newaxis] * momentum).sum(axis=1)
    return np.sqrt(np.maximum(energy**2 - (total**2).sum(axis=-1), 0.0))


def energy(tracks: Tracks) -> np.ndarray:
    """Return the energies of the tracks as pions, GeV."""
    return np.hypot(tracks.pt * np.cosh(tracks.eta), PION_MASS)


@dataclass(frozen=True, eq=False)
class Pairs:
    """The pairs of tracks of N jets that meet in a point away from the collision, R in all.

    Attributes
    ----------
    jet, first, second : (R,) int64
        The jet, and the columns of the two tracks.
    strange : (R,) bool
        Whether the pair looks like a K0S or a Lambda, which fly as far and are not what is looked for.
    """

    jet: np.ndarray
    first: np.ndarray
    second: np.ndarray
    strange: np.ndarray

    def tracks(self, shape: tuple[int, int], which: np.ndarray) -> np.ndarray:
        """Return which tracks (N, K) are in the pairs `which` (R,)."""
        marked = np.zeros(shape, dtype=bool)
        marked[self.jet[which], self.first[which]] = True
        marked[self.jet[which], self.second[which]] = True
        return marked


def find_pairs(tracks: Tracks, candidates: np.ndarray, axis: np.ndarray) -> Pairs:
    """Find the pairs of candidates that meet in a point significantly in front of the collision.

    Parameters
    ----------
    tracks : Tracks
        (N, K)
    candidates : (N, K) bool
    axis : (N, 3) float
        The jets' directions.

    Returns
    -------
    Pairs
    """
    i, j = np.triu_indices(candidates.shape[1], 1)
    jet, pair = np.nonzero(candidates[:, i] & candidates[:, j])
    first, second = i[pair], j[pair]
    two = tracks[jet[:, np.newaxis], np.stack([first, second], axis=1)]
    both = np.ones((len(jet), 2), dtype=bool)
    vertex = fit_vertex(two, both)
    meets = vertex.chi2.sum(axis=1) < PAIR_CHI2
    away = vertex.distance(axis[jet])[1] > PAIR_SIGNIFICANCE
    momentum = two.momentum
    kaon = np.abs(mass(momentum, np.full(both.shape, PION_MASS), both) - KAON_WINDOW[0]) < KAON_WINDOW[1]
    # The proton takes nearly all of a Lambda's momentum.
    proton = two.pt * np.cosh(two.eta) == (two.pt * np.cosh(two.eta)).max(axis=1, keepdims=True)
    hyperon = np.abs(mass(momentum, np.where(proton, PROTON_MASS, PION_MASS), both) - LAMBDA_WINDOW[0])
    strange = (two.charge.sum(axis=1) == 0) & (kaon | (hyperon < LAMBDA_WINDOW[1]))
    kept = meets & away
    return Pairs(jet[kept], first[kept], second[kept], strange[kept])


def angle_to(axis: np.ndarray, eta: np.ndarray, phi: np.ndarray) -> np.ndarray:
    """Return the distance in (eta, phi) of directions (N, 3) from others."""
    transverse = np.maximum(np.hypot(axis[:, 0], axis[:, 1]), 1e-12)
    dphi = np.arctan2(axis[:, 1], axis[:, 0]) - phi
    return np.hypot(np.arcsinh(axis[:, 2] / transverse) - eta, np.arctan2(np.sin(dphi), np.cos(dphi)))


def secondary_vertex(
    tracks: Tracks, present: np.ndarray, pairs: Pairs, jet_eta, jet_phi, jet_energy
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Fit one vertex to all displaced tracks of each jet that pair with another one, as the SV1 algorithm does.

    Parameters
    ----------
    tracks : Tracks
        (N, K)
    present : (N, K) bool
        Those that may be in the vertex: displaced, and not from a strange particle.
    pairs : Pairs
        From `find_pairs`.
    jet_eta, jet_phi : (N,) float
    jet_energy : (N,) float
        Of all its tracks, GeV.

    Returns
    -------
    values : dict of (N,) float64
        `sv_mass` (GeV, as pions), `sv_energy_fraction`, `sv_n_tracks`, `sv_n_two_track` (pairs that meet), `sv_dr`,
        `sv_distance_mm`, `sv_significance`.
    found : (N,) bool
        Whether there is a vertex of two tracks or more, more than 3 sigma in front of the collision and below 6 GeV.

    References
    ----------
    ATLAS Collaboration, Secondary vertex finding for jet flavour identification, ATL-PHYS-PUB-2017-011.
    """
    good = ~pairs.strange & present[pairs.jet, pairs.first] & present[pairs.jet, pairs.second]
    vertex, used = fit_pruned(tracks, pairs.tracks(present.shape, good))
    axis = unit_vector(jet_eta, jet_phi)
    length, significance = vertex.distance(axis)
    values = {
        "sv_mass": mass(tracks.momentum, np.full(used.shape, PION_MASS), used),
        "sv_energy_fraction": (used * energy(tracks)).sum(axis=1) / np.maximum(jet_energy, 1e-12),
        "sv_n_tracks": used.sum(axis=1),
        "sv_n_two_track": np.bincount(pairs.jet[good], minlength=len(used)),
        "sv_dr": angle_to(vertex.position, jet_eta, jet_phi),
        "sv_distance_mm": length,
        "sv_significance": significance,
    }
    found = (values["sv_n_tracks"] >= 2) & (significance > SIGNIFICANCE) & (values["sv_mass"] < MAX_MASS)
    return values, found
