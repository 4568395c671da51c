"""A detector for jets: charged particles become tracks, everything else calorimeter cells, both energy-flow objects.

Tracks tell a charged particle's direction and momentum well, the calorimeter sees neutral ones as well but only cell by
cell. An energy-flow object is either a track or what the calorimeter holds beyond its tracks. The numbers resemble
the ATLAS detector as fast simulations describe it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from coursekit.simulate.pythia import Particles


@dataclass(frozen=True)
class Detector:
    """What a detector can do; `(+)` is a sum in quadrature.

    Attributes
    ----------
    max_r_mm, max_z_mm : float, millimetres
        The tracker's outer radius and half length. What a decay or a collision with a nucleus makes further out comes
        too late to be simulated particle by particle.
    track_min_pt : float, GeV
        Softer particles curl up in the magnetic field and never reach the outer layers.
    track_max_eta : float
        Where the tracker ends.
    track_efficiency : float
        Share of charged particles found; in the dense core of a jet some hits merge.
    track_resolution : (float, float), relative and per GeV
        ``sigma(pT) / pT = a (+) b pT``: scattering in the material, then the straightness of a hard track.
    cell_eta, cell_phi : float, pseudorapidity and radians
        The size of a tower. Of all parameters this one matters most: it decides how many neutral objects a jet has.
    calorimeter_max_eta : float
        Where the calorimeter ends.
    em_resolution, had_resolution : (float, float), sqrt(GeV) and relative
        ``sigma(E) / E = a / sqrt(E) (+) b``: the number of shower particles counted, then the uniformity of the cells;
        of the layer that stops electrons and photons and of the one behind, which stops hadrons.
    min_significance : float, standard deviations
        A tower's energy beyond its tracks counts as a neutral particle if it is more than noise.
    """

    max_r_mm: float = 1150.0
    max_z_mm: float = 3510.0
    track_min_pt: float = 0.1
    track_max_eta: float = 2.5
    track_efficiency: float = 0.85
    track_resolution: tuple[float, float] = (0.06, 0.0015)
    cell_eta: float = 0.1
    cell_phi: float = np.pi / 15
    calorimeter_max_eta: float = 4.9
    em_resolution: tuple[float, float] = (0.101, 0.0017)
    had_resolution: tuple[float, float] = (0.55, 0.03)
    min_significance: float = 1.5


def detectable(particles: Particles, detector: Detector) -> Particles:
    """Keep the final particles that a detector can see: no neutrinos, and nothing produced beyond the tracker.

    Parameters
    ----------
    particles : Particles
    detector : Detector

    Returns
    -------
    Particles
    """
    neutrino = np.isin(np.abs(particles.pdgid), (12, 14, 16))
    near = (particles.r_mm < detector.max_r_mm) & (np.abs(particles.z_mm) < detector.max_z_mm)
    return particles.select((particles.status > 0) & ~neutrino & near)


def log_normal(mean: np.ndarray, sigma: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw positive numbers of given mean and standard deviation: a Gaussian would give negative energies.

    Parameters
    ----------
    mean, sigma : (T,) float
    rng : numpy.random.Generator

    Returns
    -------
    (T,) float64
    """
    width = np.sqrt(np.log1p((sigma / mean) ** 2))
    return np.exp(np.log(mean) - width**2 / 2 + width * rng.normal(size=np.shape(mean)))


def smear_tracks(
    particles: Particles, detector: Detector, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the tracks among the particles and measure their momenta.

    Parameters
    ----------
    particles : Particles
        From `detectable`, T in all.
    detector : Detector
    rng : numpy.random.Generator

    Returns
    -------
    found : (T,) bool
        Which particles left a track.
    scale : (T,) float64
        Measured over true transverse momentum; the direction is taken as exact.
    sigma : (T,) float64
        The relative uncertainty of the measurement.
    """
    pt = particles.pt
    inside = (particles.charge != 0) & (pt > detector.track_min_pt) & (np.abs(particles.eta) < detector.track_max_eta)
    found = inside & (rng.random(len(pt)) < detector.track_efficiency)
    sigma = np.hypot(detector.track_resolution[0], detector.track_resolution[1] * pt)
    return found, log_normal(np.ones(len(pt)), sigma, rng), sigma


def fill_towers(
    particles: Particles, found, scale, track_sigma, detector: Detector, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Collect the energies in calorimeter cells, take off what the tracks explain, and keep the significant rest.

    Parameters
    ----------
    particles : Particles
        From `detectable`, T in all.
    found, scale, track_sigma : (T,) arrays
        From `smear_tracks`.
    detector : Detector
    rng : numpy.random.Generator

    Returns
    -------
    event : (M,) int64
        The event that each neutral object belongs to, in rising order.
    momenta : (M, 4) float64, GeV
        Its px, py, pz, E: massless, from a random place in its tower.
    """
    eta, phi = particles.eta, particles.phi
    code = np.abs(particles.pdgid)
    stopped = (np.abs(eta) < detector.calorimeter_max_eta) & (code != 13)  # muons pass through
    layer = np.where((code == 11) | (code == 22), 0, 1)
    n_eta = int(np.ceil(2 * detector.calorimeter_max_eta / detector.cell_eta))
    n_phi = round(2 * np.pi / detector.cell_phi)
    row = np.floor((eta[stopped] + detector.calorimeter_max_eta) / detector.cell_eta).astype(np.int64)
    column = np.floor((phi[stopped] + np.pi) / detector.cell_phi).astype(np.int64) % n_phi
    # One number for event, layer, row and column together: cells are where it is the same.
    number = ((particles.event[stopped] * 2 + layer[stopped]) * n_eta + row) * n_phi + column
    cells, cell = np.unique(number, return_inverse=True)

    energy = particles.energy[stopped]
    track_energy = np.where(found[stopped], scale[stopped] * energy, 0.0)
    deposited = np.bincount(cell, weights=energy, minlength=len(cells))
    deposited = np.maximum(deposited, 1e-9)  # now and then Pythia lets a W boson radiate a photon of no energy
    tracks = np.bincount(cell, weights=track_energy, minlength=len(cells))
    tracks_variance = np.bincount(cell, weights=(track_energy * track_sigma[stopped]) ** 2, minlength=len(cells))

    cell_layer = cells // (n_eta * n_phi) % 2
    stochastic, constant = np.array([detector.em_resolution, detector.had_resolution])[cell_layer].T
    measured = log_normal(deposited, np.hypot(stochastic * np.sqrt(deposited), constant * deposited), rng)
    variance = stochastic**2 * measured + (constant * measured) ** 2
    excess = measured - tracks
    kept = excess > detector.min_significance * np.sqrt(variance + tracks_variance)

    cells, excess = cells[kept], excess[kept]
    row, column = cells // n_phi % n_eta, cells % n_phi
    eta = (row + rng.random(len(cells))) * detector.cell_eta - detector.calorimeter_max_eta
    phi = (column + rng.random(len(cells))) * detector.cell_phi - np.pi
    pt = excess / np.cosh(eta)
    momenta = np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), excess], axis=1)
    return cells // (2 * n_eta * n_phi), momenta


def energy_flow(
    particles: Particles, rng: np.random.Generator, detector: Detector | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Turn generated events into energy-flow objects.

    Parameters
    ----------
    particles : Particles
        N events.
    rng : numpy.random.Generator
    detector : Detector, optional

    Returns
    -------
    momenta : (T, 4) float64, GeV
        px, py, pz, E of all objects, all massless; those of one event follow each other, tracks first.
    counts : (N,) int64
        Objects of each event.
    """
    detector = detector or Detector()
    seen = detectable(particles, detector)
    found, scale, sigma = smear_tracks(seen, detector, rng)
    neutral_event, neutrals = fill_towers(seen, found, scale, sigma, detector, rng)
    momentum = np.stack([seen.px, seen.py, seen.pz], axis=1)[found] * scale[found, np.newaxis]
    tracks = np.column_stack([momentum, np.linalg.norm(momentum, axis=1)])
    event = np.concatenate([seen.event[found], neutral_event])
    order = np.argsort(event, kind="stable")
    return np.concatenate([tracks, neutrals])[order], np.bincount(event, minlength=len(particles))
