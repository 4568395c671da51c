"""The dilepton samples: the shipped files recomputed by independent code, and the way they are made."""

import os
import signal
import subprocess
import sys
import time

import awkward as ak
import numpy as np
import pytest
import uproot
import vector
from scipy.stats import ks_2samp
from sklearn.metrics import roc_auc_score

from coursekit.events import WEIGHT_BRANCHES, event_weights, load_events
from coursekit.simulate import hww, simulate_hww
from coursekit.simulate.dilepton import BITS, kinematics
from coursekit.simulate.hww import SAMPLES
from coursekit.simulate.pythia import generate, make_pythia

SIGNAL, LOW, HIGH = SAMPLES
PRECISION = 2.0**-BITS  # relative, of everything in the files but XSWeight
FLAT = ("ptll", "mll", "mth", "mtw1", "mtw2", "upara", "uperp", "ptTOT_cut", "mTOT_cut")


@pytest.fixture(scope="module")
def shipped(root):
    return {name: load_events(root / "data" / f"{name}.root") for name in SAMPLES}


@pytest.fixture(params=SAMPLES)
def events(request, shipped):
    return shipped[request.param]


# --- the shipped files ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SAMPLES)
def test_files_are_plain_trees_in_readable_baskets(root, name):
    with uproot.open(root / "data" / f"{name}.root") as file:
        tree = file["Events"]
        assert file.classnames() == {"Events;1": "TTree"}
        assert tree.num_entries == 20_000
        assert tree["mll"].num_baskets == 4
        jagged = {"Jet_pt", "Jet_eta", "Jet_phi", "Jet_mass"}
        whole = {"run": "uint32_t", "luminosityBlock": "uint32_t", "event": "uint64_t", "nJet": "int32_t"}
        whole |= {"pdgId1": "int32_t", "pdgId2": "int32_t"}
        types = tree.typenames()
    lepton = {f"{quantity}{i}" for quantity in ("pt", "eta", "phi") for i in (1, 2)}
    flat = {*FLAT, *WEIGHT_BRANCHES, *lepton, "MET_pt", "MET_phi"}
    assert types == dict.fromkeys(jagged, "float[]") | whole | dict.fromkeys(flat, "float")


def test_every_event_has_a_number_of_its_own(shipped):
    numbers = np.concatenate([events["event"] for events in shipped.values()])
    assert len(np.unique(numbers)) == len(numbers)
    for events in shipped.values():
        _, per_run = np.unique(events["run"], return_counts=True)
        assert (per_run == 100).all()
        assert set(events["luminosityBlock"].tolist()) == {1, 2, 3, 4, 5}
    runs = [set(events["run"].tolist()) for events in shipped.values()]
    assert len(set.union(*runs)) == 600


def test_branches_follow_from_the_stored_momenta(events):
    # vector is the oracle: no formula is shared with the code that filled the branches.
    def branch(name):
        return events[name].astype(np.float64)

    first, second = (
        vector.array(
            {"pt": branch(f"pt{i}"), "eta": branch(f"eta{i}"), "phi": branch(f"phi{i}"), "mass": np.zeros(20000)}
        )
        for i in (1, 2)
    )
    met = vector.array(
        {"pt": branch("MET_pt"), "phi": branch("MET_phi"), "eta": np.zeros(20000), "mass": np.zeros(20000)}
    )
    pair = first + second

    def mt(one):
        two = one.to_2D()
        return np.sqrt(np.maximum((two.rho + met.rho) ** 2 - (two + met.to_2D()).rho ** 2, 0))

    recoil = -(met.to_3D() + pair.to_3D())
    expected = {
        "ptll": pair.pt,
        "mll": pair.mass,
        "mth": mt(pair),
        "mtw1": mt(first),
        "mtw2": mt(second),
        "upara": recoil.mag * np.cos(recoil.deltaphi(pair)),
        "uperp": recoil.mag * np.sin(recoil.deltaphi(pair)),
    }
    for name, values in expected.items():
        np.testing.assert_allclose(branch(name), values, rtol=2 * PRECISION, atol=0.01, err_msg=name)

    two = events["nJet"] >= 2
    assert 0.6 < (~two).mean() < 0.95
    jets = ak.zip({name: events[f"Jet_{name}"][two] for name in ("pt", "eta", "phi", "mass")}, with_name="Momentum4D")
    jets = ak.Array(ak.values_astype(jets, np.float64), behavior=vector.backends.awkward.behavior)
    total = (pair + met)[two] + jets[:, 0].to_rhophietatau() + jets[:, 1].to_rhophietatau()
    for name, values in {"ptTOT_cut": total.pt, "mTOT_cut": total.mass}.items():
        np.testing.assert_allclose(branch(name)[two], ak.to_numpy(values), rtol=2 * PRECISION, atol=0.02, err_msg=name)
        assert (branch(name)[~two] == -1).all()


def test_selection(events):
    assert (events["pt1"] >= events["pt2"]).all()
    assert events["pt1"].min() >= 18
    assert events["pt2"].min() >= 9
    for i in (1, 2):
        assert set(np.abs(events[f"pdgId{i}"]).tolist()) == {11, 13}
        muon = np.abs(events[f"pdgId{i}"]) == 13
        matched = events["GenLepMatch2l"] == 1
        assert np.abs(events[f"eta{i}"][muon & matched]).max() <= 2.4
        assert 2.4 < np.abs(events[f"eta{i}"][~muon & matched]).max() <= 2.5
        assert np.abs(events[f"phi{i}"]).max() <= np.float32(np.pi) * (1 + PRECISION)
    assert ak.min(events["Jet_pt"]) >= 15
    assert ak.max(np.abs(events["Jet_eta"])) <= 4.7
    assert ak.all(events["Jet_pt"][:, 1:] <= events["Jet_pt"][:, :-1])
    for i in (1, 2):
        dphi = (events["Jet_phi"] - events[f"phi{i}"] + np.pi) % (2 * np.pi) - np.pi
        assert ak.min(np.hypot(events["Jet_eta"] - events[f"eta{i}"], dphi)) > 0.4 - 0.001


def test_weights_add_up_to_the_cross_section_times_the_acceptance(shipped):
    for name, acceptance in {SIGNAL: 0.27, LOW: 0.0090, HIGH: 0.285}.items():
        sample = SAMPLES[name]
        weights = shipped[name]["XSWeight"].astype(float)
        assert len(np.unique(weights)) == 1
        total = weights.sum() / (1000 * sample.cross_section_pb * sample.k_factor)
        assert total == pytest.approx(acceptance, rel=0.06), name


def test_weight_factors(events):
    for name in WEIGHT_BRANCHES[3:]:
        assert set(events[name].tolist()) == {0, 1}
    assert events["GenLepMatch2l"].mean() > 0.98
    assert events["METFilter_MC"].mean() == pytest.approx(0.9995**5, abs=0.001)
    for name in WEIGHT_BRANCHES[1:3]:
        assert 0.7 < events[name].mean() < 1
        assert events[name].min() > 0
    assert 0.15 < (event_weights(events) == 0).mean() < 0.32


def test_masses_and_edges(shipped):
    same = np.abs(shipped[HIGH]["pdgId1"]) == np.abs(shipped[HIGH]["pdgId2"])
    counts, edges = np.histogram(shipped[HIGH]["mll"][same], bins=np.arange(60, 121))
    assert edges[counts.argmax()] in (90, 91)
    assert counts[25:36].sum() / counts.sum() > 0.75  # the rest is Breit-Wigner tails, radiated photons and taus

    low = shipped[LOW]["mll"]
    assert ((low > 8) & (low < 55)).mean() > 0.98
    # One lepton of a Z at rest has at most half its mass: the Jacobian peak, and the fall behind it.
    at_rest = same & (shipped[HIGH]["ptll"] < 8)
    below, above = (np.sum(np.abs(shipped[HIGH]["pt1"][at_rest] - centre) < 2) for centre in (44, 51))
    assert below > 5 * above
    # With the neutrinos included, no transverse mass exceeds the Higgs boson's but by resolution.
    mth = shipped[SIGNAL]["mth"]
    assert (mth > 125).mean() < 0.06
    assert (mth < 125).mean() > 0.9
    # Spin 0 sends the leptons the same way: their mass is small.
    assert np.median(shipped[SIGNAL]["mll"]) < 45


def test_leptons_are_pairs_of_the_right_kind(shipped):
    def flavours(name):
        return np.abs(shipped[name]["pdgId1"]) == np.abs(shipped[name]["pdgId2"])

    def charges(name):
        return np.sign(shipped[name]["pdgId1"]) == -np.sign(shipped[name]["pdgId2"])

    assert flavours(SIGNAL).mean() == pytest.approx(0.5, abs=0.02)
    assert flavours(HIGH).mean() > 0.97  # the rest are taus
    for name in SAMPLES:
        assert charges(name).mean() > 0.99  # the rest are jets taken for leptons


def test_variables_separate_as_they_should(shipped):
    labels = np.repeat([1, 0, 0], 20_000)
    background = np.concatenate([event_weights(shipped[name]) for name in (LOW, HIGH)])
    signal = event_weights(shipped[SIGNAL])
    weights = np.concatenate([signal / signal.mean(), background / background.mean()])

    def auc(branch):
        return roc_auc_score(labels, np.concatenate([shipped[n][branch] for n in SAMPLES]), sample_weight=weights)

    assert auc("mth") == pytest.approx(0.90, abs=0.02)
    assert auc("ptll") == pytest.approx(0.845, abs=0.025)
    assert auc("uperp") == pytest.approx(0.5, abs=0.02)  # symmetric, so useless alone


# --- how they are made ------------------------------------------------------------------------------------------------


@pytest.mark.simulation
def test_the_same_seed_gives_the_same_events_whatever_the_jobs(tmp_path, shipped):
    reports = []
    arguments = {"events": 900, "seed": 7, "samples": [HIGH]}
    [one] = simulate_hww(tmp_path / "one", **arguments, progress=lambda *report: reports.append(report))
    [two] = simulate_hww(tmp_path / "two", **arguments, jobs=2)
    assert one.name == two.name == f"{HIGH}.root"
    assert [path.name for path in two.parent.iterdir()] == [two.name]
    assert reports[-1] == (HIGH, 900, 900)
    assert [done for _, done, _ in reports] == sorted({done for _, done, _ in reports})

    first, second = load_events(one), load_events(two)
    for name in first:
        assert ak.array_equal(first[name], second[name]), name
    # And other events than the shipped ones, of the same kind.
    for name in ("pt1", "mll", "ptll", "MET_pt", "upara", "SFweight2l"):
        assert not np.array_equal(first[name], shipped[HIGH][name][:900])
        assert ks_2samp(first[name], shipped[HIGH][name]).pvalue > 1e-4, name
    assert first["XSWeight"].sum() == pytest.approx(shipped[HIGH]["XSWeight"].sum(), rel=0.15)


@pytest.mark.simulation
@pytest.mark.parametrize("name", SAMPLES)
def test_the_cross_sections_are_pythias(name):
    pythia = make_pythia([*hww.COMMON, *SAMPLES[name].settings], seed=3)
    generate(pythia, 1000)
    info = pythia.infoPython()  # in millibarns
    assert abs(info.sigmaGen() * 1e9 - SAMPLES[name].cross_section_pb) < 4 * info.sigmaErr() * 1e9


@pytest.fixture
def ready_chunks(monkeypatch, shipped):
    """Chunks cut from the shipped sample, as if just simulated: 700 selected of 2000 generated."""
    names = [name for name in shipped[SIGNAL] if name not in ("run", "luminosityBlock", "event", "nJet", "XSWeight")]
    columns = {name: shipped[SIGNAL][name] for name in names if not name.startswith("Jet_")}
    columns["Jet"] = ak.zip({name: shipped[SIGNAL][f"Jet_{name}"] for name in ("pt", "eta", "phi", "mass")})
    whole = ak.zip(columns, depth_limit=1)
    monkeypatch.setattr(hww, "simulate_chunk", lambda name, seed, chunk: (whole[700 * chunk : 700 * (chunk + 1)], 2000))


@pytest.mark.parametrize("n", [1, 700, 5000, 12_345])
def test_any_number_of_events_is_written_exactly(tmp_path, ready_chunks, shipped, n):
    [path] = simulate_hww(tmp_path, events=n, samples=[SIGNAL])
    events = load_events(path)
    for name, values in events.items():
        if name != "XSWeight":
            assert ak.array_equal(values, shipped[SIGNAL][name][:n]), name
    with uproot.open(path) as file:
        assert file["Events"]["mll"].num_baskets == -(-n // 5000)
    # The truncated last chunk counts by the share that is kept: 0.35 of what is generated is selected.
    assert events["XSWeight"].sum() / (1000 * 0.60 * 1.8) == pytest.approx(0.35, rel=0.5 / n + 1e-6)


def test_negative_weights_leave_the_cross_section(tmp_path, ready_chunks):
    [path] = simulate_hww(tmp_path, events=10_000, samples=[SIGNAL], negative_fraction=0.2)
    weights = load_events(path, ["XSWeight"])["XSWeight"]
    assert (weights < 0).mean() == pytest.approx(0.2, abs=0.02)
    assert len(np.unique(np.abs(weights))) == 1
    assert weights.sum() / (1000 * 0.60 * 1.8) == pytest.approx(0.35, rel=0.04)
    assert np.abs(weights).sum() / weights.sum() == pytest.approx(1 / 0.6, rel=0.04)


def test_an_error_or_ctrl_c_leaves_nothing_and_keeps_what_was_there(tmp_path, ready_chunks, monkeypatch):
    def interrupt(sample, done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate_hww(tmp_path / "new", events=2000, samples=[SIGNAL], progress=interrupt)
    assert list((tmp_path / "new").iterdir()) == []

    [path] = simulate_hww(tmp_path, events=10, samples=[SIGNAL])
    before = path.read_bytes()
    write_tree = hww.write_tree

    def full_disk(*arguments):
        write_tree(*arguments)
        raise OSError("no space left on device")

    monkeypatch.setattr(hww, "write_tree", full_disk)
    with pytest.raises(OSError, match="no space"):
        simulate_hww(tmp_path, events=20, samples=[SIGNAL])
    assert path.read_bytes() == before
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [path.name, "new"]


def wait_for_the_end_of(group, attempts=100):
    """Tell whether no process of a group is left after ten seconds at most."""
    for _ in range(attempts):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


@pytest.mark.simulation
@pytest.mark.skipif(sys.platform == "win32", reason="sends a Unix signal")
def test_a_real_ctrl_c_stops_all_processes(start, tmp_path):
    code = "import sys; from coursekit.simulate import simulate_hww as run\n"
    code += (
        "run(sys.argv[1], 10**9, jobs=2, samples=[sys.argv[2]], progress=lambda *report: print(*report, flush=True))"
    )
    process = start(sys.executable, "-c", code, tmp_path, HIGH, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline().startswith(HIGH)
    os.killpg(process.pid, signal.SIGINT)  # a terminal sends it to the whole group
    _, errors = process.communicate(timeout=60)
    assert process.returncode != 0
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert list(tmp_path.iterdir()) == []
    assert wait_for_the_end_of(process.pid)


@pytest.mark.skipif(sys.platform == "win32", reason="sends a Unix signal")
def test_the_processes_end_when_the_one_that_started_them_is_killed(start):
    code = "from coursekit.simulate.chunks import run_chunks\n"
    code += "for _ in run_chunks(eval, ['1'] + 9 * ['__import__(\"time\").sleep(600)'], 2): print('begun', flush=True)"
    process = start(sys.executable, "-c", code, stdout=subprocess.PIPE)
    assert process.stdout.readline() == "begun\n"
    process.kill()
    process.wait(10)
    assert wait_for_the_end_of(process.pid)


def test_bad_arguments_are_named(tmp_path):
    for arguments, message in (
        ({"events": 0}, "events must be 1 or more, got 0"),
        ({"negative_fraction": 0.5}, "below 0.5, got 0.5"),
        ({"samples": ["DY"]}, "no sample is called 'DY'; there are GluGluHToWWTo2L2Nu_M125"),
        ({"seed": -1}, "seed must be 0 or more"),
        ({"jobs": 0}, "jobs must be 1 or more"),
    ):
        with pytest.raises(ValueError, match=message):
            simulate_hww(tmp_path, **arguments)
    assert list(tmp_path.iterdir()) == []


# --- the formulae -----------------------------------------------------------------------------------------------------


def random_events(rng, n=200):
    pt = -np.sort(-rng.uniform(10, 100, (n, 2)), axis=1)
    eta, phi = rng.normal(0, 1, (n, 2)), rng.uniform(-np.pi, np.pi, (n, 2))
    number = rng.integers(0, 4, n)
    total = number.sum()
    jets = {"pt": rng.uniform(15, 90, total), "eta": rng.normal(0, 2, total), "phi": rng.uniform(-np.pi, np.pi, total)}
    jets = ak.unflatten(ak.zip(jets | {"mass": rng.uniform(1, 10, total)}), number)
    return [pt, eta, phi, rng.uniform(5, 80, n), rng.uniform(-np.pi, np.pi, n), jets]


def turned(events, angle):
    pt, eta, phi, met_pt, met_phi, jets = events
    return [pt, eta, phi + angle, met_pt, met_phi + angle, ak.with_field(jets, jets.phi + angle, "phi")]


def test_turning_the_event_round_the_beam_changes_nothing():
    events = random_events(np.random.default_rng(1))
    before, after = kinematics(*events), kinematics(*turned(events, 2.5))
    for name in FLAT:
        np.testing.assert_allclose(after[name], before[name], rtol=1e-9, atol=1e-5, err_msg=name)


def test_a_boost_along_the_beam_changes_only_what_is_longitudinal():
    pt, eta, phi, met_pt, met_phi, jets = random_events(np.random.default_rng(2))
    before = kinematics(pt, eta, phi, met_pt, met_phi, jets)
    after = kinematics(pt, eta + 0.7, phi, met_pt, met_phi, jets)  # massless: a boost shifts the pseudorapidity
    for name in ("ptll", "mll", "mth", "mtw1", "mtw2", "ptTOT_cut"):
        np.testing.assert_allclose(after[name], before[name], rtol=1e-9, atol=1e-5, err_msg=name)
    assert not np.allclose(after["upara"], before["upara"])


def test_a_mirror_turns_uperp_round():
    pt, eta, phi, met_pt, met_phi, jets = random_events(np.random.default_rng(3))
    before, after = kinematics(pt, eta, phi, met_pt, met_phi, jets), kinematics(pt, eta, -phi, met_pt, -met_phi, jets)
    np.testing.assert_allclose(after["uperp"], -before["uperp"], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(after["upara"], before["upara"], rtol=1e-9)


def test_a_hand_computed_event():
    # Leptons of 30 and 40 GeV at right angles, missing momentum opposite to their sum of 50 GeV, two jets back to back.
    jets = ak.Array(
        [[{"pt": 20.0, "eta": 0.0, "phi": 0.0, "mass": 0.0}, {"pt": 20.0, "eta": 0.0, "phi": np.pi, "mass": 0.0}]]
    )
    pt, eta, phi = np.array([[40.0, 30.0]]), np.zeros((1, 2)), np.array([[np.pi / 2, 0.0]])
    direction = np.arctan2(40, 30)
    values = kinematics(pt, eta, phi, np.array([10.0]), np.array([direction - np.pi]), jets)
    expected = {
        "ptll": 50,
        "mll": np.sqrt(2 * 30 * 40),
        "mth": np.sqrt(4 * 50 * 10),
        "mtw1": np.sqrt(2 * 40 * 10 * (1 + 4 / 5)),
        "mtw2": np.sqrt(2 * 30 * 10 * (1 + 3 / 5)),
        "upara": -40,
        "uperp": 0,
        "ptTOT_cut": 40,
        "mTOT_cut": np.sqrt(120**2 - 40**2),
    }
    for name, value in expected.items():
        assert values[name][0] == pytest.approx(value, abs=1e-9), name
