"""Generation, chunks and clustering: what every simulated sample stands on."""

import os
import sys
from itertools import count, islice

import awkward as ak
import numpy as np
import pytest

from coursekit import simulate as simulations
from coursekit.jets import unpack
from coursekit.simulate.chunks import chunk_seeds, open_spool, run_chunks
from coursekit.simulate.clustering import cluster
from coursekit.simulate.pythia import MAX_SEED, copies_to_last, generate, generated, make_pythia
from coursekit.simulate.toptag import TOPTAG, simulate_jet_chunk

DRELL_YAN = (
    "Beams:eCM = 13000.",
    "PartonLevel:MPI = off",
    "WeakSingleBoson:ffbar2gmZ = on",
    "23:onMode = off",
    "23:onIfAny = 13",
)


# --- seeds and processes ----------------------------------------------------------------------------------------------


def test_chunks_have_seeds_of_their_own():
    seeds = [chunk_seeds(1, "top", chunk)[0] for chunk in range(1000)]
    assert len(set(seeds)) == 1000
    assert all(1 <= seed <= MAX_SEED for seed in seeds)
    draws = {chunk_seeds(seed, name, chunk)[1].random() for seed in (1, 2) for name in "ab" for chunk in range(5)}
    assert len(draws) == 20
    assert chunk_seeds(1, "top", 3)[1].random() == chunk_seeds(1, "top", 3)[1].random()
    with pytest.raises(ValueError, match="seed must be 0 or more, got -1"):
        chunk_seeds(-1, "top", 0)


def square_and_process(x):
    return x * x, os.getpid()


def fail_at_two(x):
    if x == 2:
        raise ValueError("two")
    return x


def test_processes_keep_the_order_and_stop_when_nobody_asks():
    results = run_chunks(square_and_process, count(), jobs=2)
    values, processes = zip(*islice(results, 8), strict=True)
    results.close()
    assert values == tuple(x * x for x in range(8))
    assert os.getpid() not in processes


def test_an_error_in_a_chunk_reaches_the_caller():
    for jobs in (1, 2):
        with pytest.raises(ValueError, match="two"):
            list(run_chunks(fail_at_two, range(5), jobs))
    with pytest.raises(ValueError, match="jobs must be 1 or more, got 0"):
        list(run_chunks(abs, [1], 0))


# --- Pythia -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def collisions():
    pythia = make_pythia(DRELL_YAN, seed=1)
    return pythia, generate(pythia, 200)


@pytest.mark.simulation
def test_events_conserve_momentum_and_charge(collisions):
    _, particles = collisions
    final = particles.select(particles.status > 0)
    total = ak.sum(final.momenta, axis=1)
    assert len(particles) == len(final) == 200
    np.testing.assert_allclose(ak.to_numpy(total.E), 13000, atol=0.1)
    for name in ("px", "py", "pz"):
        np.testing.assert_allclose(ak.to_numpy(getattr(total, name)), 0, atol=0.1)
    np.testing.assert_allclose(np.bincount(final.event, weights=final.charge), 2, atol=1e-9)
    assert (np.diff(particles.offsets) > 5).all()
    assert (particles.pdgid[particles.offsets[:-1]] == 90).all()


@pytest.mark.simulation
def test_links_stay_within_the_event_and_lead_to_the_last_copy(collisions):
    _, particles = collisions
    for link in (particles.mother, particles.daughter1, particles.daughter2):
        assert (particles.event[link] == particles.event).all()
    bosons = np.flatnonzero(particles.status == -22)
    last = copies_to_last(particles, bosons)
    assert len(bosons) == 200
    assert (particles.pdgid[last] == 23).all()
    assert (np.abs(particles.pdgid[particles.daughter1[last]]) == 13).all()
    assert (particles.mother[particles.daughter1[last]] == last).all()
    assert (last != bosons).any()


@pytest.mark.simulation
def test_long_lived_particles_are_displaced(collisions):
    _, particles = collisions
    from_kaons = np.abs(particles.pdgid[particles.mother]) == 310
    pions = from_kaons & (np.abs(particles.pdgid) == 211)
    assert pions.sum() > 20
    assert (particles.r_mm[pions] > 0).all()
    flight = np.hypot(particles.r_mm, particles.z_mm)[pions]
    assert 10 < np.median(flight) < 1000  # c tau is 27 mm, the boost a few
    assert (particles.r_mm[particles.status == -22] == 0).all()


@pytest.mark.simulation
def test_a_seed_fixes_the_events():
    def first_momenta(seed):
        return generate(make_pythia(DRELL_YAN, seed), 5).px

    np.testing.assert_array_equal(first_momenta(1), first_momenta(1))
    assert not np.array_equal(first_momenta(1), first_momenta(2))


@pytest.mark.simulation
def test_a_veto_throws_away_before_hadronisation_and_counts():
    def odd(event):
        odd.calls += 1
        return odd.calls % 2 == 1

    odd.calls = 0
    for name in ("veto", "early_veto"):
        odd.calls = 0
        pythia = make_pythia(DRELL_YAN, 1, **{name: odd})
        assert len(generate(pythia, 20)) == 20
        assert odd.calls == generated(pythia) == 40


@pytest.mark.simulation
def test_an_early_veto_sees_the_hard_partons_only():
    sizes = {"early_veto": [], "veto": []}
    settings = ("Beams:eCM = 13000.", "PartonLevel:MPI = off", "HardQCD:all = on", "PhaseSpace:pTHatMin = 500.")
    pythia = make_pythia(settings, 1, **{name: lambda e, n=name: bool(sizes[n].append(e.size())) for name in sizes})
    generate(pythia, 20)
    assert len(sizes["early_veto"]) == len(sizes["veto"]) == 20
    assert np.mean(sizes["early_veto"]) < np.mean(sizes["veto"]) / 5


@pytest.mark.simulation
def test_a_misspelt_setting_is_an_error():
    with pytest.raises(ValueError, match="does not understand the setting 'WeakBoson:ffbar2gmZ = on'"):
        make_pythia(["WeakBoson:ffbar2gmZ = on"], 1)
    with pytest.raises(ValueError, match="seeds from 1 to 900000000, got 0"):
        make_pythia(DRELL_YAN, 0)


def test_missing_packages_name_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pythia8mc", None)
    monkeypatch.setitem(sys.modules, "fastjet", None)
    with pytest.raises(ImportError, match=r"coursekit\[simulate\]"):
        make_pythia(DRELL_YAN, 1)
    with pytest.raises(ImportError, match=r"coursekit\[simulate\]"):
        simulate_jet_chunk(TOPTAG, "top", seed=1, chunk=0)
    with pytest.raises(ImportError, match=r"coursekit\[simulate\]"):
        cluster(unpack(np.ones((1, 4)), [1]), 0.4, 1)


# --- clustering -------------------------------------------------------------------------------------------------------


def massless(pt, eta, phi):
    return np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), pt * np.cosh(eta)], axis=1)


def test_two_pairs_make_two_jets():
    particles = massless(np.array([60.0, 50, 40, 30]), np.array([0, 1, 0.1, 1]), np.array([0, 2, 0.1, 2.3]))
    jets, constituents = cluster(unpack(particles, [4]), radius=0.5, min_pt=10)
    assert [sorted(jet) for jet in constituents[0].tolist()] == [[0, 2], [1, 3]]
    np.testing.assert_allclose(jets.px[0, 0], particles[[0, 2], 0].sum())


@pytest.mark.parametrize("algorithm", ["antikt", "cambridge", "kt"])
def test_a_batch_gives_the_jets_of_fastjet_one_by_one(algorithm):
    import fastjet

    rng = np.random.default_rng(4)
    counts = np.array([40, 1, 0, 25])
    momenta = massless(rng.exponential(20, 66), rng.normal(0, 1, 66), rng.uniform(-np.pi, np.pi, 66))
    jets, constituents = cluster(unpack(momenta, counts), 0.6, 15, algorithm)
    assert len(jets) == 4
    assert len(jets[2]) == 0
    definition = fastjet.JetDefinition(getattr(fastjet, f"{algorithm}_algorithm"), 0.6)
    for event, start in enumerate(np.cumsum(counts) - counts):
        inputs = [fastjet.PseudoJet(*map(float, row)) for row in momenta[start : start + counts[event]]]
        expected = (
            fastjet.sorted_by_pt(fastjet.ClusterSequence(inputs, definition).inclusive_jets(15.0)) if inputs else []
        )
        np.testing.assert_allclose(jets[event].pt, [jet.pt() for jet in expected], rtol=1e-9)
    # The constituents of a jet add up to it.
    flat = ak.flatten(constituents, axis=2)
    sums = ak.sum(unpack(momenta, counts).px[flat], axis=1)
    np.testing.assert_allclose(sums, ak.sum(jets.px, axis=1), atol=1e-9)


def test_an_unknown_algorithm_is_named():
    with pytest.raises(ValueError, match="one of antikt, cambridge, kt, got 'cone'"):
        cluster(unpack(np.ones((1, 4)), [1]), 0.4, 1, "cone")


def test_where_nothing_can_be_written_is_said_before_the_work(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(OSError, match=r"file cannot be written \(File exists\): choose another folder"):
        open_spool(tmp_path / "file")
    with open_spool(tmp_path / "new" / "folder") as spool:
        assert spool.write(b"event") == 5
    assert not list((tmp_path / "new" / "folder").iterdir())


@pytest.mark.parametrize(
    ("simulate", "name"),
    [
        ("simulate_flavour", "flavour.root"),
        ("simulate_hww", "GluGluHToWWTo2L2Nu_M125.root"),
        ("simulate_masses", "ScalarToWW_M140.root"),
        ("simulate_toptag", "toptag_test.h5"),
    ],
)
def test_a_file_that_cannot_be_replaced_is_named_before_the_work(tmp_path, simulate, name):
    (tmp_path / name).mkdir()
    done = []
    with pytest.raises(IsADirectoryError, match="is a folder: give the name of a file"):
        getattr(simulations, simulate)(tmp_path, progress=lambda *report: done.append(report))
    assert done == []
    assert [path.name for path in tmp_path.iterdir()] == [name]
