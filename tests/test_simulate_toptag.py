"""Labelled jets: the detector part by part, the matching, the files, and their likeness to the public set."""

from dataclasses import replace

import awkward as ak
import numpy as np
import pandas as pd
import pytest

from coursekit.jets import load_jets, load_truth
from coursekit.simulate import simulate_jet_images, simulate_toptag, toptag
from coursekit.simulate.closure import PUBLIC, closure_table
from coursekit.simulate.detector import Detector, detectable, energy_flow, fill_towers, log_normal, smear_tracks
from coursekit.simulate.pythia import Particles
from coursekit.simulate.toptag import (
    JET_IMAGES,
    TOPTAG,
    distance,
    matched_top,
    simulate_jet_chunk,
    simulate_jets,
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
        r_mm=np.full(n, r_mm, dtype=float),
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


# --- the sample -------------------------------------------------------------------------------------------------------

NAMES = ["toptag_train.h5", "toptag_val.h5", "toptag_test.h5"]


@pytest.fixture(scope="module")
def shipped(root):
    parts = [load_jets(root / "data" / name) for name in NAMES]
    return ak.concatenate([jets for jets, _ in parts]), np.concatenate([labels for _, labels in parts])


@pytest.fixture(scope="module")
def fresh():
    """A few jets of each kind, made now."""
    chunks = [simulate_jet_chunk(TOPTAG, process, seed=9, chunk=0)[0] for process in ("qcd", "top")]
    jets = ak.concatenate(chunks)
    return jets, np.repeat([0, 1], [len(chunk) for chunk in chunks])


def components(jets):
    """Momentum of each jet in double precision: px, py, pz, E, (N,) each."""
    return [ak.to_numpy(ak.sum(ak.values_astype(jets[name], np.float64), axis=1)) for name in ("px", "py", "pz", "E")]


def masses(jets):
    px, py, pz, energy = components(jets)
    return np.sqrt(np.maximum(energy**2 - px**2 - py**2 - pz**2, 0))


def test_shipped_files_have_the_reference_layout(root):
    for name, (ttv, n) in zip(NAMES, [(0, 12_000), (2, 4000), (1, 4000)], strict=True):
        frame = pd.read_hdf(root / "data" / name, key="table")
        expected = [f"{quantity}_{i}" for i in range(200) for quantity in ("E", "PX", "PY", "PZ")]
        expected += ["truthE", "truthPX", "truthPY", "truthPZ", "ttv", "is_signal_new"]
        assert frame.columns.tolist() == expected
        assert set(frame.dtypes.iloc[:-2]) == {np.dtype("float32")}
        assert set(frame.dtypes.iloc[-2:]) == {np.dtype("int64")}
        assert frame.shape == (n, 806)
        assert (frame.ttv == ttv).all()
        assert frame.is_signal_new.mean() == pytest.approx(0.5, abs=0.02)
        halves = [pd.read_hdf(root / "data" / name, key="table", start=a, stop=a + n // 2) for a in (0, n // 2)]
        pd.testing.assert_frame_equal(frame, pd.concat(halves))


def test_shipped_jets_agree_with_the_public_set(shipped):
    table = closure_table(*shipped)
    assert table.agrees.all(), table
    assert len(table) == len(PUBLIC) == 19


def test_the_closure_table_stands_in_the_readme(root, shipped):
    text = (root / "data" / "README.md").read_text()
    for name, row in closure_table(*shipped).iterrows():
        digits = 3 if row.kind == "absolute" else 2
        assert f"| {name} | {row.public:.{digits}f} | {row.ours:.{digits}f} |" in text, name


def test_shipped_jets_are_in_range_matched_and_mixed(root, shipped):
    jets, labels = shipped
    px, py, pz, energy = components(jets)
    pt = np.hypot(px, py)
    assert pt.min() > 550 * (1 - 1e-4)
    assert pt.max() < 650 * (1 + 1e-4)
    eta, phi = np.arcsinh(pz / pt), np.arctan2(py, px)
    assert np.abs(eta).max() < 2.001
    counts = ak.to_numpy(ak.num(jets))
    assert counts.max() <= 200
    assert counts[labels == 1].mean() == pytest.approx(55, abs=2.5)
    assert counts[labels == 0].mean() == pytest.approx(43.7, abs=2.5)
    leading_first = np.hypot(jets.px, jets.py)
    assert ak.all(leading_first[:, 1:] <= leading_first[:, :-1])
    np.testing.assert_allclose(
        ak.flatten(np.sqrt(jets.px**2 + jets.py**2 + jets.pz**2)), ak.flatten(jets.E), rtol=2e-4
    )  # massless, to the digits kept

    truth = ak.concatenate([load_truth(root / "data" / name)[0] for name in NAMES])
    top = labels == 1
    for name in ("px", "py", "pz", "E"):
        assert (ak.to_numpy(truth[name])[~top] == 0).all()
    mass = np.sqrt(ak.to_numpy(truth.E**2 - truth.px**2 - truth.py**2 - truth.pz**2, allow_missing=False)[top])
    assert np.median(mass) == pytest.approx(172, abs=2)
    truth_eta = np.arcsinh(ak.to_numpy(truth.pz)[top] / np.hypot(truth.px, truth.py).to_numpy()[top])
    truth_phi = np.arctan2(ak.to_numpy(truth.py)[top], ak.to_numpy(truth.px)[top])
    assert distance(truth_eta, truth_phi, eta[top], phi[top]).max() < 0.801

    changes = np.count_nonzero(np.diff(labels))
    assert changes == pytest.approx(len(labels) / 2, abs=4 * np.sqrt(len(labels) / 4))
    # No jet twice, in one file or in two.
    assert len(np.unique(energy)) > 0.999 * len(energy)
    assert len(set(zip(energy.tolist(), pt.tolist(), strict=True))) == len(energy)


def test_a_table_of_too_few_or_unlabelled_jets_is_refused(shipped):
    jets, labels = shipped
    with pytest.raises(ValueError, match="at least 100 jets of each kind, got 0 top and 200 QCD"):
        closure_table(jets[labels == 0][:200], np.zeros(200))
    with pytest.raises(ValueError, match="300 jets need as many labels"):
        closure_table(jets[:300], labels[:200])


@pytest.mark.simulation
def test_fresh_jets_are_like_the_shipped_ones(fresh, shipped):
    # Few jets: each mean may differ by four standard errors.
    jets, labels = fresh
    assert 60 < labels.sum() < 140
    assert 110 < len(labels) - labels.sum() < 190
    for label in (0, 1):
        new, old = jets.constituents[labels == label], shipped[0][shipped[1] == label]
        for quantity in (
            lambda sample: ak.to_numpy(ak.num(sample)).astype(float),
            lambda sample: ak.to_numpy(ak.max(np.hypot(sample.px, sample.py), axis=1), allow_missing=False),
            masses,
        ):
            a, b = quantity(new), quantity(old)
            error = np.sqrt(a.var() / len(a) + b.var() / len(b))
            assert abs(a.mean() - b.mean()) < 4 * error
            assert abs(np.median(a) - np.median(b)) < 5 * error


@pytest.mark.simulation
@pytest.mark.parametrize("process", ["top", "qcd"])
def test_the_vetoes_change_nothing_but_the_time(process):
    shares, errors = [], []
    for veto in (TOPTAG.veto_pt, None):
        recipe = replace(TOPTAG, pt_hat=(480, 700), veto_pt=veto, match_radius=None)
        jets, generated = simulate_jet_chunk(recipe, process, seed=4, chunk=0)
        shares.append(len(jets) / generated)
        errors.append(np.sqrt(len(jets)) / generated)
    assert generated == TOPTAG.chunk
    assert abs(shares[0] - shares[1]) < 4 * np.hypot(*errors)


@pytest.mark.simulation
def test_the_jets_of_the_image_study_come_from_the_same_code():
    jets, _ = simulate_jet_chunk(replace(JET_IMAGES, second_jet=False), "qcd", seed=1, chunk=0)
    px, py, pz, _ = components(jets.constituents)
    pt = np.hypot(px, py)
    assert 300 < len(jets) < 450
    assert pt.min() > 750 * (1 - 1e-6)
    assert pt.max() < 950 * (1 + 1e-6)
    assert np.abs(np.arcsinh(pz / pt)).max() < 2.5
    assert ak.all(jets.truth.E == 0)
    # Generated particles have their masses, protons and neutrons among them.
    x, y, z, e = (ak.to_numpy(ak.flatten(jets.constituents[name])).astype(float) for name in ("px", "py", "pz", "E"))
    slow = e < 20
    mass = np.sqrt(np.maximum(e**2 - x**2 - y**2 - z**2, 0))[slow]
    assert np.mean(np.abs(mass - 0.1396) < 0.005) > 0.3
    assert np.mean(np.abs(mass - 0.939) < 0.005) > 0.01


@pytest.mark.simulation
def test_a_second_jet_can_be_asked_for():
    one, _ = simulate_jet_chunk(replace(JET_IMAGES, second_jet=False), "top", seed=1, chunk=0)
    two, _ = simulate_jet_chunk(JET_IMAGES, "top", seed=1, chunk=0)
    assert 0.2 < len(two) / len(one) < 0.95
    energies = ak.to_numpy(ak.sum(one.constituents.E, axis=1))
    assert np.isin(ak.to_numpy(ak.sum(two.constituents.E, axis=1)), energies).all()


# --- the files --------------------------------------------------------------------------------------------------------


@pytest.fixture
def ready_chunks(monkeypatch, shipped):
    """Chunks cut from the shipped jets, as if just simulated: 90 tops or 130 others from 1000 collisions."""
    jets, labels = shipped
    fields = {name: jets[name] for name in ("px", "py", "pz", "E")}
    plain = ak.zip(fields)
    kinds = {"qcd": plain[labels == 0], "top": plain[labels == 1]}

    def chunk(recipe, process, seed, number):
        step = {"qcd": 130, "top": 90}[process]
        part = kinds[process][step * number : step * (number + 1)]
        truth = ak.zip({name: (process == "top") * ak.sum(part[name], axis=1) for name in fields})
        return ak.Array(ak.zip({"constituents": part, "truth": truth}, depth_limit=1).layout), 1000

    monkeypatch.setattr(toptag, "simulate_jet_chunk", chunk)
    monkeypatch.setattr(toptag, "BLOCK", 150)
    return kinds


def test_files_split_and_shuffle_and_keep_every_jet(tmp_path, ready_chunks):
    reports = []
    paths = simulate_toptag(tmp_path, jets=1001, progress=lambda *report: reports.append(report))
    assert [path.name for path in paths] == NAMES
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(NAMES)
    parts = [load_jets(path) for path in paths]
    assert [len(labels) for _, labels in parts] == [601, 200, 200]
    labels = np.concatenate([labels for _, labels in parts])
    assert labels.sum() == 500
    everything = ak.concatenate([jets for jets, _ in parts])
    truth = ak.concatenate([load_truth(path)[0] for path in paths])
    for label, process, n in ((0, "qcd", 501), (1, "top", 500)):
        written, expected = everything[labels == label], ready_chunks[process][:n]
        assert ak.num(written).tolist() == ak.num(expected).tolist()
        np.testing.assert_array_equal(ak.flatten(written.E), ak.flatten(expected.E))  # rounded before, so the same
        tops = ak.to_numpy(truth.E[labels == label])
        np.testing.assert_allclose(tops, label * ak.to_numpy(ak.sum(expected.E, axis=1)), rtol=1e-4)
    assert reports[-1] == ("top", 500, 500)
    assert ("qcd", 501, 501) in reports
    for path in paths:
        assert np.count_nonzero(np.diff(load_jets(path)[1])) > 60


def test_an_interrupted_simulation_leaves_nothing_that_looks_whole(tmp_path, ready_chunks, monkeypatch):
    def interrupt(process, done, total):
        if process == "top":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate_toptag(tmp_path, jets=1000, progress=interrupt)
    assert list(tmp_path.iterdir()) == []

    old = [path.read_bytes() for path in simulate_toptag(tmp_path, jets=100)]
    reader = toptag.read_spool

    def stops_early(spool, sizes):
        for number, piece in enumerate(reader(spool, sizes)):
            if number == 4:  # the first file is complete by then
                raise OSError("no space left on device")
            yield piece

    monkeypatch.setattr(toptag, "read_spool", stops_early)
    with pytest.raises(OSError, match="no space"):
        simulate_toptag(tmp_path, jets=1000)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(NAMES)
    assert [(tmp_path / name).read_bytes() for name in NAMES] == old


def test_too_few_jets_are_refused(tmp_path):
    for simulate in (simulate_toptag, simulate_jet_images):
        with pytest.raises(ValueError, match="at least 10 jets, got 9"):
            simulate(tmp_path, jets=9)
    with pytest.raises(ValueError, match="jobs must be 1 or more"):
        simulate_toptag(tmp_path, jets=10, jobs=0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.simulation
def test_the_same_seed_gives_the_same_jets_whatever_the_jobs(tmp_path):
    recipe = replace(JET_IMAGES, chunk=15)  # two or three chunks of each kind
    one = simulate_jets(recipe, tmp_path / "one", jets=50, seed=3)
    two = simulate_jets(recipe, tmp_path / "two", jets=50, seed=3, jobs=2)
    for a, b in zip(one, two, strict=True):
        pd.testing.assert_frame_equal(pd.read_hdf(a, "table"), pd.read_hdf(b, "table"))
