"""The detector part by part, and which top a jet contains."""

import numpy as np
import pytest

from coursekit.simulate import toptag
from coursekit.simulate.detector import Detector, detectable, energy_flow, fill_towers, log_normal, smear_tracks
from coursekit.simulate.pythia import Particles
from coursekit.simulate.toptag import (
    distance,
    matched_top,
    top_decays,
)

PERFECT = Detector(
    track_efficiency=1.0,
    track_resolution=(0, 0),
    cell_phi=np.pi / 18,
    em_resolution=(1e-9, 0),
    had_resolution=(1e-9, 0),
)


def gun(pdgid, pt, eta, phi, *, offsets=None, charge=None, r_mm=0.0, z_mm=0.0, status=1):
    """Make particles by hand, massless, one event if `offsets` is not given."""
    pdgid, pt, eta, phi = np.broadcast_arrays(pdgid, *(np.asarray(x, float) for x in (pt, eta, phi)))
    n = len(pdgid)
    charges = {22: 0, 130: 0, 2112: 0, 12: 0, 211: 1, -211: -1, 11: -1, 13: -1}
    rows = np.zeros(n, dtype=np.int64)
    return Particles(
        offsets=np.array([0, n]) if offsets is None else np.asarray(offsets),
        pdgid=pdgid.astype(np.int32),
        status=np.full(n, status, dtype=np.int32),
        mother=rows,
        daughter1=rows,
        daughter2=rows,
        px=pt * np.cos(phi),
        py=pt * np.sin(phi),
        pz=pt * np.sinh(eta),
        energy=pt * np.cosh(eta),
        charge=np.array([charges[code] for code in pdgid.tolist()], float) if charge is None else charge,
        x_mm=np.full(n, r_mm, dtype=float),
        y_mm=np.zeros(n),
        z_mm=np.full(n, z_mm, dtype=float),
    )


@pytest.fixture
def rng():
    return np.random.default_rng(11)


# --- the detector -----------------------------------------------------------------------------------------------------


def test_what_escapes_is_not_seen():
    particles = gun([12, -14, 16, 22, 211], [10] * 5, [0] * 5, [0] * 5, charge=np.array([0, 0, 0, 0, 1.0]))
    assert detectable(particles, Detector()).pdgid.tolist() == [22, 211]
    for late in ({"r_mm": 1151}, {"z_mm": -3511}, {"status": -91}):
        assert len(detectable(gun([22], [10], [0], [0], **late), Detector()).pdgid) == 0
    assert len(detectable(gun([22], [10], [0], [0], r_mm=1149, z_mm=3509), Detector()).pdgid) == 1


def test_tracks_are_charged_central_and_fast_enough(rng):
    particles = gun([211, 211, 211, 130, 11, 13], [5, 0.09, 5, 5, 5, 5], [2.4, 0, 2.6, 0, -1, 1], [0] * 6)
    found, scale, _ = smear_tracks(particles, PERFECT, rng)
    assert found.tolist() == [True, False, False, False, True, True]
    np.testing.assert_allclose(scale[found], 1)


def test_tracks_are_lost_and_smeared_as_stated(rng):
    particles = gun([211] * 50_000, np.full(50_000, 20.0), [0] * 50_000, [0] * 50_000)
    found, scale, sigma = smear_tracks(particles, Detector(), rng)
    assert found.mean() == pytest.approx(0.85, abs=0.006)
    np.testing.assert_allclose(sigma, np.hypot(0.06, 0.03))
    assert scale.mean() == pytest.approx(1, abs=0.002)
    assert scale.std() == pytest.approx(np.hypot(0.06, 0.03), rel=0.02)


def test_log_normal_has_the_mean_and_width_asked_for(rng):
    drawn = log_normal(np.full(200_000, 2.0), np.full(200_000, 1.0), rng)
    assert drawn.min() > 0
    assert drawn.mean() == pytest.approx(2, rel=0.01)
    assert drawn.std() == pytest.approx(1, rel=0.02)


def towers(particles, detector, rng, tracks=None):
    found = np.zeros(len(particles.pdgid), bool) if tracks is None else np.asarray(tracks)
    return fill_towers(particles, found, np.ones(len(found)), np.full(len(found), 1e-9), detector, rng)


def test_particles_of_one_cell_add_up_and_stay_in_it(rng):
    # Two photons in the cell 0 < eta < 0.1, 0 < phi < 10 degrees, one in the next cell, a neutron behind the first.
    particles = gun([22, 22, 22, 2112], [10, 20, 5, 7], [0.01, 0.09, 0.15, 0.05], [0.01, 0.17, 0.01, 0.1])
    event, momenta = towers(particles, PERFECT, rng)
    assert event.tolist() == [0, 0, 0]
    energies = particles.energy
    np.testing.assert_allclose(
        np.sort(momenta[:, 3]), np.sort([energies[:2].sum(), energies[2], energies[3]]), rtol=1e-6
    )
    np.testing.assert_allclose(np.linalg.norm(momenta[:, :3], axis=1), momenta[:, 3])
    eta = np.arcsinh(momenta[:, 2] / np.hypot(momenta[:, 0], momenta[:, 1]))
    phi = np.arctan2(momenta[:, 1], momenta[:, 0])
    cells = sorted(zip(np.floor(eta / 0.1).tolist(), np.floor(phi / (np.pi / 18)).tolist(), strict=True))
    assert cells == [(0, 0), (0, 0), (1, 0)]


def test_events_do_not_mix(rng):
    particles = gun([22] * 4, [10, 20, 30, 40], [0.05] * 4, [0.05] * 4, offsets=[0, 1, 1, 4])
    event, momenta = towers(particles, PERFECT, rng)
    assert event.tolist() == [0, 2]
    np.testing.assert_allclose(momenta[:, 3], [particles.energy[0], particles.energy[1:].sum()], rtol=1e-6)


def test_a_place_in_the_cell_is_drawn_evenly(rng):
    n = 20_000
    particles = gun([22] * n, [10] * n, [0.32] * n, [-np.pi + 0.01] * n, offsets=np.arange(n + 1))
    _, momenta = towers(particles, PERFECT, rng)
    eta = np.arcsinh(momenta[:, 2] / np.hypot(momenta[:, 0], momenta[:, 1]))
    phi = np.arctan2(momenta[:, 1], momenta[:, 0])
    assert eta.min() >= 0.3 - 1e-9
    assert eta.max() <= 0.4 + 1e-9
    assert eta.mean() == pytest.approx(0.35, abs=0.001)
    assert eta.std() == pytest.approx(0.1 / np.sqrt(12), rel=0.02)
    assert phi.max() <= -np.pi + np.pi / 18 + 1e-9
    assert phi.std() == pytest.approx(np.pi / 18 / np.sqrt(12), rel=0.02)


def test_what_tracks_explain_is_taken_off(rng):
    # A pion with a track and a neutron in one cell: the neutron is what remains. Without a track the pion stays in.
    particles = gun([211, 2112], [20, 30], [0.05, 0.05], [0.05, 0.05])
    for tracks, rest in (([True, False], 30), ([False, False], 50)):
        _, momenta = towers(particles, PERFECT, rng, tracks)
        np.testing.assert_allclose(momenta[:, 3], [rest * np.cosh(0.05)], rtol=1e-6)
    # A pion alone with its track leaves nothing, a muon never anything, nor does what flies past the calorimeter.
    for particles, tracks in (
        (gun([211], [20], [0], [0]), [True]),
        (gun([13], [20], [0], [0]), [False]),
        (gun([22], [20], [5.0], [0]), [False]),
    ):
        assert len(towers(particles, PERFECT, rng, tracks)[1]) == 0


def test_a_fluctuation_is_not_a_particle(rng):
    n = 20_000
    offsets = np.arange(n + 1)
    pions = gun([211] * n, [50] * n, [0] * n, [0] * n, offsets=offsets)
    event, _ = towers(pions, Detector(), rng, np.ones(n, bool))
    assert len(event) / n == pytest.approx(0.067, abs=0.02)  # 1.5 standard deviations, one-sided, nearly Gaussian
    # The layers measure with the resolutions stated; a photon and a neutron fluctuate differently.
    for code, (a, b) in ((22, Detector().em_resolution), (2112, Detector().had_resolution)):
        _, momenta = towers(gun([code] * n, [50] * n, [0] * n, [0] * n, offsets=offsets), Detector(), rng)
        assert len(momenta) == n
        assert momenta[:, 3].mean() == pytest.approx(50, rel=0.003)
        assert momenta[:, 3].std() / 50 == pytest.approx(np.hypot(a / np.sqrt(50), b), rel=0.03)


def test_energy_flow_keeps_the_energy_and_loses_nothing_in_between(rng):
    n = 3000
    codes = rng.choice([211, -211, 22, 130], n)
    particles = gun(codes, rng.exponential(5, n) + 0.5, rng.uniform(-2.4, 2.4, n), rng.uniform(-np.pi, np.pi, n))
    momenta, counts = energy_flow(particles, rng, PERFECT)
    assert counts.tolist() == [len(momenta)]
    np.testing.assert_allclose(momenta[:, 3].sum(), particles.energy.sum(), rtol=1e-6)
    measured, _ = energy_flow(particles, rng)
    assert measured[:, 3].sum() == pytest.approx(particles.energy.sum(), rel=0.03)
    np.testing.assert_allclose(np.linalg.norm(measured[:, :3], axis=1), measured[:, 3])


def test_turning_the_event_by_whole_cells_changes_nothing():
    def objects(angle):
        rng = np.random.default_rng(5)
        n = 200
        codes = rng.choice([211, 22, 130], n)
        phi = rng.uniform(-3, 3, n)
        phi = (phi + angle + np.pi) % (2 * np.pi) - np.pi
        particles = gun(codes, rng.exponential(5, n) + 0.5, rng.uniform(-2, 2, n), phi)
        energies = energy_flow(particles, np.random.default_rng(6), PERFECT)[0][:, 3]
        return np.sort(energies[energies > 1e-6])  # below is rounding, where tracks explain all

    one, other = objects(0), objects(36 * np.pi / 18)
    np.testing.assert_allclose(one, other, rtol=1e-6)
    np.testing.assert_allclose(one, objects(5 * np.pi / 18), rtol=1e-6)


# --- matching ---------------------------------------------------------------------------------------------------------


def test_distance_wraps():
    assert distance(0, np.pi - 0.1, 0, -np.pi + 0.1) == pytest.approx(0.2)
    assert distance(0.3, 0, 0, 0.4) == pytest.approx(0.5)


@pytest.fixture(scope="module")
def top_events():
    from coursekit.simulate.pythia import generate, make_pythia

    settings = ("Beams:eCM = 14000.", "PartonLevel:MPI = off", "PhaseSpace:pTHatMin = 400.", *toptag.PROCESSES["top"])
    return generate(make_pythia(settings, 2), 150)


@pytest.mark.simulation
def test_tops_decay_to_three_quarks_that_add_up(top_events):
    tops, quarks = top_decays(top_events)
    assert tops.shape == (150, 2)
    assert quarks.shape == (150, 2, 3)
    codes = top_events.pdgid[quarks]
    assert (np.abs(codes[..., 0]) < 6).all()
    assert (np.abs(codes[..., 0]) == 5).mean() > 0.99
    assert (np.abs(codes) <= 5).all()
    assert (np.sort(top_events.pdgid[tops], axis=1) == [-6, 6]).all()
    assert (top_events.event[quarks] == np.arange(150)[:, np.newaxis, np.newaxis]).all()
    # Charge: the quarks of a top add up to 2/3, of an antitop to -2/3.
    charge = np.where(np.abs(codes) % 2 == 0, 2 / 3, -1 / 3) * np.sign(codes)
    np.testing.assert_allclose(charge.sum(axis=2), np.sign(top_events.pdgid[tops]) * 2 / 3)
    # The W radiates little before it decays: the momenta agree but for gluons.
    px = top_events.px[quarks].sum(axis=2)
    assert np.median(np.abs(px - top_events.px[tops])) < 15


@pytest.mark.simulation
def test_matching_takes_the_contained_top(top_events):
    tops, quarks = top_decays(top_events)
    chosen = tops[np.arange(150), np.arange(150) % 2]
    matched, found = matched_top(top_events, top_events.eta[chosen], top_events.phi[chosen], 0.8)
    expected = [
        all(
            np.hypot(
                top_events.eta[q] - top_events.eta[t],
                (top_events.phi[q] - top_events.phi[t] + np.pi) % (2 * np.pi) - np.pi,
            )
            < 0.8
            for q in quarks[i, i % 2]
        )
        for i, t in enumerate(chosen)
    ]
    assert matched.tolist() == expected
    assert 0.2 < matched.mean() < 0.9
    assert (found[matched] == chosen[matched]).all()
    nothing, _ = matched_top(top_events, np.full(150, 8.0), np.zeros(150), 0.8)
    assert not nothing.any()
