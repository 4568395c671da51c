"""Charged particles as a silicon tracker measures them: straight lines, each with its distance from the collision."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from coursekit.jets.arrays import delta_phi
from coursekit.simulate.pythia import Particles

MIN_PT, MAX_ETA, MAX_R_MM = 0.5, 2.5, 40.0  # what comes into being later misses the innermost layers
EFFICIENCY = 0.9
PT_RESOLUTION = 0.01  # relative
TAIL_FRACTION, TAIL_FACTOR = 0.08, 3.5  # tracks with a wrong hit: worse than their errors say
CONE = 0.4


@dataclass(frozen=True, eq=False)
class Tracks:
    """Measured tracks, in arrays of one shape: (T,) for all tracks in a row, (N, K) for K tracks of each of N jets.

    Attributes
    ----------
    pt, eta, phi : float64, GeV, -, radians
    charge : float64
    d0, z0 : float64, millimetres
        Where the track passes the beam line (see `closest_approach`).
    d0_error, z0_error : float64, millimetres
        What the tracker believes their resolutions to be.
    """

    pt: np.ndarray
    eta: np.ndarray
    phi: np.ndarray
    charge: np.ndarray
    d0: np.ndarray
    d0_error: np.ndarray
    z0: np.ndarray
    z0_error: np.ndarray

    def __getitem__(self, index) -> Tracks:
        """Return the tracks at these places; the index is one of numpy's and may change the shape."""
        return Tracks(**{field.name: getattr(self, field.name)[index] for field in fields(self)})

    @property
    def momentum(self) -> np.ndarray:
        """px, py, pz in GeV, one axis more."""
        return np.stack([self.pt * np.cos(self.phi), self.pt * np.sin(self.phi), self.pt * np.sinh(self.eta)], axis=-1)


def closest_approach(x_mm, y_mm, z_mm, eta, phi) -> tuple[np.ndarray, np.ndarray]:
    """Return the signed distance of a straight line from the z axis, and the z where it is closest.

    d0 = y cos(phi) - x sin(phi),  z0 = z - (x cos(phi) + y sin(phi)) sinh(eta)

    The sign of d0 is geometric: positive if the axis lies to the right of whoever flies along, seen from +z.

    Parameters
    ----------
    x_mm, y_mm, z_mm : float, millimetres
        Any point of the line.
    eta, phi : float
        Its direction.

    Returns
    -------
    d0, z0 : float64, millimetres

    Examples
    --------
    A particle that is made 3 mm along x, and flies along y, upwards by 45 degrees:

    >>> d0, z0 = closest_approach(3.0, 2.0, 5.0, np.arcsinh(1.0), np.pi / 2)
    >>> round(float(d0), 6), round(float(z0), 6)
    (-3.0, 3.0)
    """
    d0 = y_mm * np.cos(phi) - x_mm * np.sin(phi)
    return d0, z_mm - (x_mm * np.cos(phi) + y_mm * np.sin(phi)) * np.sinh(eta)


def resolutions(pt, eta) -> tuple[np.ndarray, np.ndarray]:
    """Return the resolutions of d0 and z0: what the sensors allow, in quadrature with scattering in the material.

    sigma(d0) = 10 (+) 70 / (pT sqrt(sin theta)),  sigma(z0) = 55 (+) 90 / (pT sin^1.5 theta), in micrometres

    Parameters
    ----------
    pt : float, GeV
    eta : float

    Returns
    -------
    d0_error, z0_error : float64, millimetres

    Examples
    --------
    >>> [round(1000 * float(error), 1) for error in resolutions(7.0, 0.0)]
    [14.1, 56.5]
    """
    sine = 1 / np.cosh(eta)
    return np.hypot(10, 70 / (pt * np.sqrt(sine))) / 1000, np.hypot(55, 90 / (pt * sine**1.5)) / 1000


def measure_tracks(particles: Particles, rng: np.random.Generator) -> tuple[Tracks, np.ndarray]:
    """Find the tracks of the charged particles and measure them.

    Parameters
    ----------
    particles : Particles
        N events, final particles only.
    rng : numpy.random.Generator

    Returns
    -------
    tracks : Tracks
        (T,), those above 0.5 GeV and within abs(eta) < 2.5 that are produced within 40 mm of the beam line; one in ten
        is lost. The transverse momentum is smeared by 1%. One in twelve is measured 3.5 times worse than its errors
        say.
    event : (T,) int64
        The event of each.
    """
    pt, eta = particles.pt, particles.eta
    inside = (particles.charge != 0) & (np.abs(eta) < MAX_ETA) & (particles.r_mm < MAX_R_MM)
    rows = np.flatnonzero(inside & (pt > MIN_PT))
    rows = rows[rng.random(len(rows)) < EFFICIENCY]
    pt, eta, phi = pt[rows], eta[rows], particles.phi[rows]
    d0, z0 = closest_approach(particles.x_mm[rows], particles.y_mm[rows], particles.z_mm[rows], eta, phi)
    d0_error, z0_error = resolutions(pt, eta)
    worse = np.where(rng.random(len(rows)) < TAIL_FRACTION, TAIL_FACTOR, 1.0)
    tracks = Tracks(
        pt=pt * (1 + PT_RESOLUTION * rng.standard_normal(len(rows))),
        eta=eta,
        phi=phi,
        charge=particles.charge[rows],
        d0=d0 + worse * d0_error * rng.standard_normal(len(rows)),
        d0_error=d0_error,
        z0=z0 + worse * z0_error * rng.standard_normal(len(rows)),
        z0_error=z0_error,
    )
    return tracks, particles.event[rows]


def tracks_of_jets(tracks: Tracks, event, jet_eta, jet_phi, jet_counts) -> tuple[Tracks, np.ndarray]:
    """Give each track to the nearest jet of its event, if that is within 0.4 in (eta, phi).

    Parameters
    ----------
    tracks : Tracks
        (T,)
    event : (T,) int
        The event of each.
    jet_eta, jet_phi : (N,) float
        The jets of all events in a row.
    jet_counts : (E,) int
        Jets of each event.

    Returns
    -------
    tracks : Tracks
        Those in jets: jet by jet, each jet's by falling pT.
    counts : (N,) int64
        Tracks of each jet.
    """
    first = np.cumsum(jet_counts) - jet_counts
    columns = np.arange(max(jet_counts, default=0))
    present = columns < np.asarray(jet_counts)[event, np.newaxis]  # (T, most jets of an event)
    if not present.any():
        return tracks[:0], np.zeros(len(jet_eta), dtype=np.int64)
    jet = np.where(present, first[event, np.newaxis] + columns, 0)
    distance = np.hypot(tracks.eta[:, np.newaxis] - jet_eta[jet], delta_phi(tracks.phi[:, np.newaxis], jet_phi[jet]))
    distance[~present] = np.inf
    nearest = np.argmin(distance, axis=1)
    rows = np.flatnonzero(distance[np.arange(len(nearest)), nearest] < CONE)
    jet = jet[rows, nearest[rows]]
    order = np.lexsort((-tracks.pt[rows], jet))
    return tracks[rows[order]], np.bincount(jet, minlength=len(jet_eta))


def table_of(kept: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Arrange the kept ones of all jets' tracks in a table, one row a jet, for the algebra of vertices.

    Parameters
    ----------
    kept : (T,) bool
    counts : (N,) int
        Tracks of each jet.

    Returns
    -------
    rows : (N, K) int64
        Positions of the kept tracks, and 0 where a jet has fewer than K.
    present : (N, K) bool

    Examples
    --------
    >>> rows, present = table_of(np.array([True, False, True, True]), np.array([3, 0, 1]))
    >>> rows.tolist(), present.tolist()
    ([[0, 2], [0, 0], [3, 0]], [[True, True], [False, False], [True, False]])
    """
    chosen = np.flatnonzero(kept)
    jet = np.repeat(np.arange(len(counts)), counts)[chosen]
    numbers = np.bincount(jet, minlength=len(counts))
    present = np.arange(numbers.max(initial=0)) < numbers[:, np.newaxis]
    rows = np.zeros(present.shape, dtype=np.int64)
    rows[present] = chosen
    return rows, present
