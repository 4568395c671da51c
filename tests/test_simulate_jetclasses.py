"""Jets of six classes: what they come from, the sample, the file."""

from dataclasses import replace

import awkward as ak
import numpy as np
import pytest

from coursekit.events import load_events
from coursekit.jets import JETCLASS_LABELS, load_jetclass
from coursekit.simulate import jetclasses, simulate_jet_classes
from coursekit.simulate.detector import Detector, energy_flow
from coursekit.simulate.jetclasses import (
    JETCLASSES,
    KINDS,
    hard_particles,
    origins,
    simulate_class_chunk,
    with_products,
)
from tests.test_detector import gun

# --- what a jet comes from --------------------------------------------------------------------------------------------

BEFORE = [(90, -11, 0, 0, 0), (2212, -12, 0, 0, 0), (2212, -12, 0, 0, 0), (2, -21, 1, 5, 6), (-2, -21, 2, 5, 6)]
#: Code, status, mother, daughters: q qbar -> H Z, the H after a recoil to W W, one W after another to quarks.
HIGGS_EVENT = [
    *BEFORE,
    (25, -22, 3, 7, 7),
    (23, -22, 3, 8, 9),
    (25, -44, 5, 10, 11),
    (12, 23, 6, 0, 0),
    (-12, 23, 6, 0, 0),
    (24, -22, 7, 12, 13),
    (-24, -22, 7, 14, 14),
    (2, -23, 10, 0, 0),
    (-1, -23, 10, 0, 0),
    (-24, -52, 11, 15, 16),
    (3, -23, 14, 0, 0),
    (-4, -23, 14, 0, 0),
]
QCD_EVENT = [*BEFORE, (1, -23, 3, 7, 7), (-3, -23, 3, 0, 0), (1, -51, 5, 0, 0), (21, -51, 5, 0, 0)]


def record(*events, phi):
    """Make an event record by hand: everything at eta = 0, at the given azimuths."""
    rows = np.array([row for event in events for row in event])
    offsets = np.cumsum([0, *map(len, events)])
    start = np.repeat(offsets[:-1], np.diff(offsets))
    particles = gun(rows[:, 0], 100, 0, phi, offsets=offsets, charge=np.zeros(len(rows)))
    links = {name: rows[:, i] + start for i, name in enumerate(("mother", "daughter1", "daughter2"), start=2)}
    return replace(particles, status=rows[:, 1], **links)


def test_only_what_the_hard_collision_makes_counts():
    particles = record(HIGGS_EVENT, QCD_EVENT, phi=0)
    n = len(HIGGS_EVENT)
    assert hard_particles(particles, (25,)).tolist() == [5]
    assert hard_particles(particles, (24,)).tolist() == []  # those come from the Higgs boson
    assert hard_particles(particles, (1, 2, 3, 4)).tolist() == [n + 5, n + 6]
    assert hard_particles(particles, (21,)).tolist() == []  # the gluon comes from the shower


def test_decays_are_followed_to_the_quarks():
    particles = record(QCD_EVENT, HIGGS_EVENT, phi=0)
    n = len(QCD_EVENT)
    higgs = np.array([n + 5])
    assert (with_products(particles, higgs, 2) - n).tolist() == [[7, 12, 13, 15, 16]]
    assert (with_products(particles, higgs, 1) - n).tolist() == [[7, 10, 11]]
    assert with_products(particles, np.array([5, 6]), 0).tolist() == [[5, 5], [6, 6]]
    assert with_products(particles, np.array([], dtype=int), 2).shape == (0, 5)


def test_a_jet_must_contain_the_particle_and_all_its_quarks():
    phi = np.zeros(len(HIGGS_EVENT))
    phi[[7, 12, 13, 15, 16]] = 3.1, 2.9, -3.0, -2.7, 2.6  # round the seam
    axis = np.zeros(1), np.array([-3.1])
    jet = (np.array([0]), *axis)
    assert origins(record(HIGGS_EVENT, phi=phi), *jet, KINDS["H4q"], 0.8).tolist() == [25]
    for row in (7, 12, 13, 15, 16):
        outside = phi.copy()
        outside[row] = -2.25
        assert origins(record(HIGGS_EVENT, phi=outside), *jet, KINDS["H4q"], 0.8).tolist() == [0], row
    assert origins(record(HIGGS_EVENT, phi=phi), *jet, KINDS["Wqq"], 0.8).tolist() == [0]


def test_each_jet_belongs_to_its_own_event_and_to_the_nearer_particle():
    phi = np.concatenate([np.zeros(len(HIGGS_EVENT)), *(np.zeros((2, len(QCD_EVENT))))])
    first, second = len(HIGGS_EVENT), len(HIGGS_EVENT) + len(QCD_EVENT)
    phi[[first + 5, first + 6, second + 5, second + 6]] = 1.0, 1.3, 2.0, -2.0
    particles = record(HIGGS_EVENT, QCD_EVENT, QCD_EVENT, phi=phi)
    event = np.array([1, 2])
    assert origins(particles, event, np.zeros(2), np.array([1.2, 2.1]), KINDS["quark"], 0.8).tolist() == [-3, 1]
    assert origins(particles, event, np.zeros(2), np.array([1.1, 0.0]), KINDS["quark"], 0.8).tolist() == [1, 0]
    assert origins(particles, event, np.full(2, 0.9), np.array([1.1, 2.0]), KINDS["quark"], 0.8).tolist() == [0, 0]


def test_a_photon_of_no_energy_is_not_detected():
    momenta, counts = energy_flow(gun([22, 22], [0, 50], [0, 0], [0, 0]), np.random.default_rng(1), Detector())
    assert counts.tolist() == [1]
    assert momenta[0, 3] == pytest.approx(50, abs=5)


# --- the sample -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fresh():
    """A few jets of each class, made now."""
    return {name: simulate_class_chunk(replace(JETCLASSES, chunk=150), name, 5, 0)[0] for name in KINDS}


def momentum(jets):
    """Momentum of each jet in double precision: px, py, pz, E, (N,) each."""
    constituents = jets.constituents
    return [ak.to_numpy(ak.sum(ak.values_astype(constituents[x], float), axis=1)) for x in ("px", "py", "pz", "E")]


@pytest.mark.simulation
def test_jets_are_in_range_and_come_from_their_class(fresh):
    for name, jets in fresh.items():
        px, py, pz, _ = momentum(jets)
        pt = np.hypot(px, py)
        assert 15 < len(jets) < 70
        assert pt.min() > 550 * (1 - 1e-4)
        assert pt.max() < 650 * (1 + 1e-4)
        assert np.abs(np.arcsinh(pz / pt)).max() < 2.001
        assert np.isin(np.abs(ak.to_numpy(jets.code)), KINDS[name].codes).all()
        sizes = np.hypot(jets.constituents.px, jets.constituents.py)
        assert ak.all(sizes[:, 1:] <= sizes[:, :-1])


@pytest.mark.simulation
def test_the_classes_have_the_masses_and_sizes_that_they_should(fresh):
    # Medians of 500 jets each: above the boson's mass for what else is in the jet, below where neutrinos leave it. The
    # errors of the medians of so few jets as here are 2 to 3 GeV.
    expected = {"Wqq": 86.8, "Zqq": 95.5, "Hbb": 122.2, "H4q": 125.1}
    for name, median in expected.items():
        px, py, pz, energy = momentum(fresh[name])
        mass = np.sqrt(np.maximum(energy**2 - px**2 - py**2 - pz**2, 0))
        assert np.median(mass) == pytest.approx(median, abs=9), name
    size = {name: np.mean(ak.num(jets.constituents)) for name, jets in fresh.items()}
    assert size["gluon"] > size["quark"] + 10
    assert size["H4q"] > size["Wqq"] + 8


@pytest.mark.simulation
def test_the_vetoes_change_nothing_but_the_time():
    shares, errors = [], []
    for veto in (JETCLASSES.veto_pt, None):  # both see the Higgs boson, before it decays and after
        recipe = replace(JETCLASSES, pt_hat=(480, 700), veto_pt=veto, chunk=200)
        jets, generated = simulate_class_chunk(recipe, "Hbb", seed=4, chunk=0)
        shares.append(len(jets) / generated)
        errors.append(np.sqrt(len(jets)) / generated)
    assert generated == 200
    assert abs(shares[0] - shares[1]) < 4 * np.hypot(*errors)


@pytest.mark.simulation
def test_the_same_seed_gives_the_same_jets_whatever_the_jobs(tmp_path, monkeypatch):
    monkeypatch.setattr(jetclasses, "KINDS", {"Wqq": KINDS["Wqq"]})
    monkeypatch.setattr(jetclasses, "JETCLASSES", replace(JETCLASSES, chunk=20))  # two or three chunks
    [one] = simulate_jet_classes(tmp_path / "one", jets=12, seed=3)
    [two] = simulate_jet_classes(tmp_path / "two", jets=12, seed=3, jobs=2)
    first, second = (load_events(path, tree="tree") for path in (one, two))
    for name in first:
        assert ak.array_equal(first[name], second[name]), name


# --- the file ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def ready_chunks(monkeypatch):
    """Chunks of made-up jets, as if just simulated: 40 of each class, whose energies number them."""

    def chunk(recipe, name, seed, number):
        place = list(KINDS).index(name)
        energies = ak.Array([[1 + 1000.0 * place + 40 * number + i, 0.5][: 1 + i % 2] for i in range(40)])
        energies = ak.values_astype(energies, np.float32)
        constituents = ak.zip({"px": 0.6 * energies, "py": 0 * energies, "pz": 0.8 * energies, "E": energies})
        code = np.full(40, KINDS[name].codes[0], dtype=np.int32)
        return ak.zip({"constituents": constituents, "code": code}, depth_limit=1), 1000

    monkeypatch.setattr(jetclasses, "simulate_class_chunk", chunk)
    monkeypatch.setattr(jetclasses, "BLOCK", 150)


def test_the_file_holds_equally_many_jets_of_each_class_mixed(tmp_path, ready_chunks):
    reports = []
    [path] = simulate_jet_classes(tmp_path, jets=601, progress=lambda *report: reports.append(report))
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name] == ["jetclasses.root"]
    assert reports[-1] == ("H4q", 100, 100)
    assert ("quark", 101, 101) in reports
    jets, labels = load_jetclass(path)
    events = load_events(path, tree="tree")
    code = events["aux_genpart_pid"]
    assert np.count_nonzero(np.diff(code)) > 400
    for place, (name, kind) in enumerate(KINDS.items()):
        chosen = (labels == JETCLASS_LABELS.index(kind.label)) & (code == kind.codes[0])
        n = 101 if name == "quark" else 100
        energies = ak.to_numpy(jets.E[chosen][:, 0])
        assert energies.tolist() == (1 + 1000.0 * place + np.arange(n)).tolist()
        assert ak.num(jets[chosen]).tolist() == [1 + i % 2 for i in range(n)]
    total = ak.to_numpy(ak.sum(jets.E, axis=1))
    np.testing.assert_allclose(events["jet_energy"], total)
    np.testing.assert_allclose(events["jet_pt"], 0.6 * total, rtol=1e-6)
    np.testing.assert_allclose(events["jet_eta"], np.arcsinh(0.8 / 0.6), rtol=1e-6)
    assert events["jet_nparticles"].tolist() == ak.num(jets).tolist()


def test_an_error_or_ctrl_c_leaves_nothing_and_keeps_what_was_there(tmp_path, ready_chunks, monkeypatch):
    def interrupt(name, done, total):
        if name == "Hbb":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate_jet_classes(tmp_path / "new", jets=60, progress=interrupt)
    assert list((tmp_path / "new").iterdir()) == []
    [path] = simulate_jet_classes(tmp_path, jets=60)
    before = path.read_bytes()
    write_jets = jetclasses.write_jets

    def full_disk(*arguments):
        write_jets(*arguments)
        raise OSError("no space left on device")

    monkeypatch.setattr(jetclasses, "write_jets", full_disk)
    with pytest.raises(OSError, match="no space"):
        simulate_jet_classes(tmp_path, jets=600)
    assert path.read_bytes() == before
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [path.name, "new"]


def test_bad_arguments_are_named(tmp_path):
    for arguments, message in (
        ({"jets": 5}, "6 classes take at least 6 jets, got 5"),
        ({"seed": -1}, "seed must be 0 or more"),
        ({"jobs": 0}, "jobs must be 1 or more"),
    ):
        with pytest.raises(ValueError, match=message):
            simulate_jet_classes(tmp_path, **{"jets": 10} | arguments)
        assert list(tmp_path.iterdir()) == []
