"""Vertices along one line: a b hadron and the charmed one that it decays to fly in nearly the same direction.

So even a single displaced track makes a vertex: where it crosses the line. This is the idea of ATLAS's JetFitter and of
the ghost track of SLD.
"""

from __future__ import annotations

import numpy as np

from coursekit.simulate.tracks import Tracks
from coursekit.simulate.vertices import PION_MASS, angle_to, derivatives, energy, mass, unit_vector

AXIS_ERROR = 0.05  # radians: how far the flight direction is from the jet's axis
ROUNDS = 6  # of fitting the axis; the last moves one jet in twenty by more than a milliradian
OFF_PRIMARY = 9.0  # chi2 (2 measurements) of a track that does not come from the collision
ON_AXIS = 6.0  # chi2 (1 degree of freedom) of a track that crosses the line
MERGE = 6.0  # chi2 (1 degree of freedom) below which two crossings are one vertex
SIGNIFICANCE = 3.0


def crossings(tracks: Tracks, axis: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return where along a line from the origin each track comes closest to it, in its own errors.

    Parameters
    ----------
    tracks : Tracks
        (N, K)
    axis : (N, 3) float
        Directions of unit length.

    Returns
    -------
    distance : (N, K) float64, millimetres
    weight : (N, K) float64, mm^-2
        1 / sigma^2 of it.
    chi2 : (N, K) float64
        What is left there.
    """
    by_d0, by_z0 = (np.einsum("nki,ni->nk", matrix, axis) for matrix in derivatives(tracks))
    weight = (by_d0 / tracks.d0_error) ** 2 + (by_z0 / tracks.z0_error) ** 2 + 1e-12
    distance = (by_d0 * tracks.d0 / tracks.d0_error**2 + by_z0 * tracks.z0 / tracks.z0_error**2) / weight
    d0_pull = (tracks.d0 - distance * by_d0) / tracks.d0_error
    z0_pull = (tracks.z0 - distance * by_z0) / tracks.z0_error
    return distance, weight, d0_pull**2 + z0_pull**2


def fit_axis(tracks: Tracks, used: np.ndarray, jet_axis: np.ndarray) -> np.ndarray:
    """Turn the jet's axis until the tracks in use cross it best.

    loss = sum over tracks 6 ln(1 + chi2 / 6) + (a^2 + b^2) / 0.05^2

    with chi2 what is left at a track's crossing, and a and b the (small) angles by which the line turns, sideways and
    upwards. The logarithm keeps a track that belongs to nothing from turning the line.

    Parameters
    ----------
    tracks : Tracks
        (N, K)
    used : (N, K) bool
    jet_axis : (N, 3) float
        Of unit length, not along the beam.

    Returns
    -------
    (N, 3) float64
        Directions of unit length.
    """
    transverse = np.hypot(jet_axis[:, 0], jet_axis[:, 1])[:, np.newaxis]
    sideways = np.stack([-jet_axis[:, 1], jet_axis[:, 0], np.zeros(len(jet_axis))], axis=1) / transverse
    turns = np.stack([sideways, np.cross(jet_axis, sideways)], axis=-1)  # (N, 3, 2)
    errors = np.stack([tracks.d0_error, tracks.z0_error])
    by = np.stack(derivatives(tracks)) / errors[..., np.newaxis]  # (2, N, K, 3), in units of the errors
    by_turns = np.einsum("mnki,nia->mnka", by, turns)
    measured = np.stack([tracks.d0, tracks.z0]) / errors
    angles = np.zeros((len(jet_axis), 2))
    for number in range(ROUNDS):
        axis = jet_axis + np.einsum("nia,na->ni", turns, angles)
        # Each track is free to cross anywhere, so only what is across (d0, z0) of a shift along the axis pulls at it.
        along = np.einsum("mnki,ni->mnk", by, axis)
        length = np.hypot(*along) + 1e-12
        across = np.stack([-along[1], along[0]]) / length
        distance = np.maximum((along * measured).sum(axis=0) / length**2, 0.0)  # what lies behind turns nothing
        slope = distance[..., np.newaxis] * np.einsum("mnk,mnka->nka", across, by_turns)
        pull = (across * measured).sum(axis=0)
        weight = used / (1 + pull**2 / ON_AXIS)
        information = np.einsum("nk,nka,nkb->nab", weight, slope, slope) + np.eye(2) / AXIS_ERROR**2
        target = np.einsum("nk,nka->na", weight * pull, slope) - angles / AXIS_ERROR**2
        step = np.linalg.solve(information, target[..., np.newaxis])[..., 0]
        # Ever shorter steps end the to and fro between two solutions that are nearly as good.
        limit = AXIS_ERROR / (1 + number)
        angles = angles + np.clip(step, -limit, limit)
    axis = jet_axis + np.einsum("nia,na->ni", turns, angles)
    return axis / np.linalg.norm(axis, axis=1, keepdims=True)


def merge_crossings(distance: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Merge the closest two neighbours of each jet until none are compatible.

    Parameters
    ----------
    distance, weight : (N, K) float
        Crossings and 1 / sigma^2 of them, 0 for what is not there.

    Returns
    -------
    vertex : (N, K) int64
        The number of the vertex that each crossing belongs to, from 0 on; without meaning where there is none.
    distance, weight : (N, K) float64
        Of each vertex, weight 0 where a jet has fewer.

    Examples
    --------
    >>> vertex, distance, weight = merge_crossings(np.array([[5.0, 1.0, 1.5]]), np.array([[1.0, 4.0, 4.0]]))
    >>> vertex.tolist(), distance[0, :2].tolist(), weight.tolist()
    ([[1, 0, 0]], [1.25, 5.0], [[8.0, 1.0, 0.0]])
    """
    n, k = distance.shape
    order = np.argsort(np.where(weight > 0, distance, np.inf), axis=1, kind="stable")
    distance, weight = (np.take_along_axis(values, order, axis=1) for values in (distance, weight))
    vertex = np.tile(np.arange(k), (n, 1))
    rows, columns = np.arange(n), np.arange(k)
    for _ in range(k - 1):
        left, right = weight[:, :-1], weight[:, 1:]
        both = (left > 0) & (right > 0)
        variance = np.where(both, 1 / np.where(left > 0, left, 1) + 1 / np.where(right > 0, right, 1), 1.0)
        chi2 = np.where(both, np.diff(distance, axis=1) ** 2 / variance, np.inf)
        at = np.argmin(chi2, axis=1)
        now = np.flatnonzero(chi2[rows, at] < MERGE)
        if not len(now):
            break
        at = at[now]
        total = weight[now, at] + weight[now, at + 1]
        mean = (weight[now, at] * distance[now, at] + weight[now, at + 1] * distance[now, at + 1]) / total
        vertex[now] -= vertex[now] > at[:, np.newaxis]
        # Those further on move up by one place.
        source = columns + (columns > at[:, np.newaxis])
        moved = np.minimum(source, k - 1)
        distance[now] = np.take_along_axis(distance[now], moved, axis=1)
        weight[now] = np.take_along_axis(weight[now], moved, axis=1) * (source < k)
        distance[now, at], weight[now, at] = mean, total
    back = np.empty_like(order)
    np.put_along_axis(back, order, np.tile(columns, (n, 1)), axis=1)
    return np.take_along_axis(vertex, back, axis=1), distance, weight


def axis_vertices(
    tracks: Tracks, present: np.ndarray, jet_eta, jet_phi, jet_energy
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Find the vertices, of one track or more, along the flight direction of each jet.

    Parameters
    ----------
    tracks : Tracks
        (N, K)
    present : (N, K) bool
        Those that may be in a vertex.
    jet_eta, jet_phi : (N,) float
    jet_energy : (N,) float
        Of all its tracks, GeV.

    Returns
    -------
    values : dict of (N,) float64
        `jf_mass` (GeV, of all tracks in vertices, as pions), `jf_energy_fraction`, `jf_n_vertices` (of two tracks or
        more), `jf_n_single` (of one), `jf_n_tracks`, `jf_dr`, and `jf_significance`, that of the mean distance:
        sum(L / sigma^2) / sqrt(sum(1 / sigma^2)).
    found : (N,) bool
        Whether there is any vertex more than 3 sigma in front of the collision.

    References
    ----------
    ATLAS Collaboration, Topological b-hadron decay reconstruction and identification of b-jets with the JetFitter
    package, ATL-PHYS-PUB-2018-025; D. J. Jackson, A topological vertex reconstruction algorithm for hadronic jets,
    Nucl. Instrum. Meth. A 388 (1997) 247.
    """
    off = (tracks.d0 / tracks.d0_error) ** 2 + (tracks.z0 / tracks.z0_error) ** 2 > OFF_PRIMARY
    used = present & off
    jet_axis = unit_vector(jet_eta, jet_phi)
    axis = fit_axis(tracks, used, jet_axis)
    distance, weight, chi2 = crossings(tracks, axis)
    used &= chi2 < ON_AXIS
    vertex, distance, weight = merge_crossings(distance, weight * used)
    displaced = distance * np.sqrt(weight) > SIGNIFICANCE
    used &= np.take_along_axis(displaced, vertex, axis=1)
    size = (used[:, :, np.newaxis] & (vertex[:, :, np.newaxis] == np.arange(vertex.shape[1]))).sum(axis=1)
    weight = weight * displaced
    total = np.maximum(weight.sum(axis=1), 1e-12)
    values = {
        "jf_mass": mass(tracks.momentum, np.full(used.shape, PION_MASS), used),
        "jf_energy_fraction": (used * energy(tracks)).sum(axis=1) / np.maximum(jet_energy, 1e-12),
        "jf_n_vertices": (size > 1).sum(axis=1),
        "jf_n_single": (size == 1).sum(axis=1),
        "jf_n_tracks": used.sum(axis=1),
        "jf_dr": angle_to(axis, jet_eta, jet_phi),
        "jf_significance": (weight * distance).sum(axis=1) / np.sqrt(total),
    }
    return values, used.any(axis=1)
