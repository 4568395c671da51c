"""The scan over masses: the shipped files, the negative weights, the pseudo-data, and the way all are made."""

from dataclasses import replace

import awkward as ak
import numpy as np
import pytest
import uproot
from scipy.stats import ks_2samp

from coursekit.data import catalogue
from coursekit.events import INPUT_BRANCHES, load_events
from coursekit.simulate import masses, simulate_masses
from coursekit.simulate.dilepton import weights
from coursekit.simulate.masses import (
    BACKGROUND,
    DATA_MASS,
    KEPT,
    MASSES,
    PSEUDODATA,
    SAMPLES,
    negative_fraction,
    signed,
)
from coursekit.simulate.pythia import generate, make_pythia

SIGNALS = [name for name in SAMPLES if name != BACKGROUND]
NAMES = (*SAMPLES, PSEUDODATA)


@pytest.fixture(scope="module")
def shipped(root):
    return {name: load_events(root / "data" / f"{name}.root") for name in NAMES}


def weight(events):
    return events["XSWeight"].astype(np.float64) * events["SFweight"]


# --- the shipped files ------------------------------------------------------------------------------------------------


def test_the_files_are_slim_and_hold_what_the_network_and_the_figures_need(root, shipped):
    whole = {"run": "uint32_t", "luminosityBlock": "uint32_t", "event": "uint64_t", "nJet": "int32_t"}
    for name in NAMES:
        with uproot.open(root / "data" / f"{name}.root") as file:
            assert file.classnames() == {"Events;1": "TTree"}
            flat = {*INPUT_BRANCHES, "mll", "pt1", "pt2", "XSWeight", "SFweight"}
            assert file["Events"].typenames() == whole | dict.fromkeys(flat, "float")
    sizes = {name: len(events["mll"]) for name, events in shipped.items()}
    assert sizes == dict.fromkeys(SIGNALS, 5000) | {BACKGROUND: 20_000, PSEUDODATA: 4444}
    assert sum(catalogue()[f"{name}.root"].bytes for name in NAMES) < 2e6


def test_every_event_has_a_number_of_its_own(root, shipped):
    others = ["GluGluHToWWTo2L2Nu_M125", "DYJetsToLL_M-10to50-LO", "DYJetsToLL_M-50-LO"]
    hww = [load_events(root / "data" / f"{name}.root", ["event", "run"]) for name in others]
    everything = [*shipped.values(), *hww]
    for branch, per_number in (("event", 1), ("run", 100)):
        numbers = np.concatenate([events[branch] for events in everything])
        assert np.unique(numbers, return_counts=True)[1].max() == per_number


def test_selection_and_weights(shipped):
    for name, events in shipped.items():
        assert (events["pt1"] >= events["pt2"]).all()
        assert events["pt1"].min() >= 18
        assert events["pt2"].min() >= 9
        for branch in ("ptTOT_cut", "mTOT_cut"):
            assert ((events[branch] == -1) == (events["nJet"] < 2)).all()
        assert (events["SFweight"] > 0).all()  # no place is spent on events that count nothing
        assert events["SFweight"].max() < masses.LARGEST_FACTOR, name


def test_weights_add_up_to_the_cross_section_times_the_acceptance(shipped):
    acceptances = [shipped[name]["XSWeight"].sum(dtype=float) / 300 for name in SIGNALS]
    np.testing.assert_allclose(acceptances, [0.229, 0.268, 0.301, 0.328, 0.340, 0.362], rtol=0.04)
    assert np.all(np.diff(acceptances) > 0)  # the heavier, the harder the leptons
    for name in SIGNALS:
        assert len(np.unique(shipped[name]["XSWeight"])) == 1
    background = shipped[BACKGROUND]["XSWeight"].sum(dtype=float) / (1000 * 6.70 * 1.75)
    assert background == pytest.approx(0.222, rel=0.05)


def test_a_resonance_ends_at_its_mass(shipped):
    ends = [np.quantile(shipped[name]["mth"], 0.95) for name in SIGNALS]
    spread = [np.quantile(shipped[name]["mll"], 0.99) for name in SIGNALS]
    assert np.all(np.diff(ends) > 0)
    assert np.all(np.diff(spread) > 0)
    for mass, name in zip(MASSES, SIGNALS, strict=True):
        assert (shipped[name]["mth"] > mass).mean() < 0.04  # the resolution of the missing momentum alone
        # From spin 0 to two W that decay alike: the leptons fly the same way, and take half of the energy at most.
        assert (shipped[name]["mll"] > 0.9 * mass).mean() < 0.01
    assert np.quantile(shipped[BACKGROUND]["mll"], 0.99) > 300  # WW pairs know no end
    assert (shipped[BACKGROUND]["mth"] > 250).mean() > (shipped["ScalarToWW_M250"]["mth"] > 250).mean()


# --- negative weights -------------------------------------------------------------------------------------------------


def test_negative_weights_leave_every_mean_as_it_is_and_the_short_cuts_do_not():
    rng = np.random.default_rng(1)
    n_jets = rng.poisson(1.2, 2_000_000)
    drawn = signed(n_jets, rng)
    for number in range(6):
        own = drawn[n_jets == number]
        fraction = min(0.05 + 0.08 * number, 0.30)
        error = 1 / (1 - 2 * fraction) / np.sqrt(len(own))
        assert own.mean() == pytest.approx(1, abs=4 * error)
        assert (own < 0).mean() == pytest.approx(fraction, abs=4 / np.sqrt(len(own)))
        assert len(np.unique(np.abs(own))) == 1
        assert np.abs(own).mean() == pytest.approx(1 / (1 - 2 * fraction))
        assert np.maximum(own, 0).mean() == pytest.approx((1 - fraction) / (1 - 2 * fraction), abs=8 * error)
    # A mean over the number of jets: unbiased with signs, and biased upwards by whoever drops them.
    error = np.std(drawn * n_jets) / np.sqrt(len(drawn))
    assert np.average(n_jets, weights=drawn) == pytest.approx(n_jets.mean(), abs=6 * error)
    for short_cut in (np.abs(drawn), np.maximum(drawn, 0)):
        assert np.average(n_jets, weights=short_cut) > n_jets.mean() + 30 * error
    assert negative_fraction(np.arange(50)).max() < 0.5


def test_only_the_background_has_negative_weights_and_more_with_jets(shipped):
    for name, events in shipped.items():
        assert (events["XSWeight"] < 0).any() == (name == BACKGROUND)
    events = shipped[BACKGROUND]
    for number in range(4):
        own = events["XSWeight"][events["nJet"] == number]
        fraction = 0.05 + 0.08 * number
        assert (own < 0).mean() == pytest.approx(fraction, abs=4 * np.sqrt(fraction / len(own)))
    unit = events["XSWeight"] * (1 - 2 * negative_fraction(events["nJet"]))
    assert np.ptp(np.abs(unit)) < 1e-5 * np.abs(unit[0])


# --- pseudo-data ------------------------------------------------------------------------------------------------------


def test_pseudodata_are_what_background_and_signal_predict(shipped):
    data, background, signal = shipped[PSEUDODATA], shipped[BACKGROUND], shipped[f"ScalarToWW_M{DATA_MASS}"]
    assert (data["XSWeight"] == 1).all()
    assert (data["SFweight"] == 1).all()
    expected = [2 * weight(sample) for sample in (background, signal)]
    total = sum(w.sum() for w in expected)
    error = np.sqrt(total + sum((w**2).sum() for w in expected))
    assert len(data["mll"]) == pytest.approx(total, abs=3 * error)
    for name, edges in (("mll", np.linspace(10, 260, 11)), ("mth", np.linspace(0, 200, 11)), ("nJet", np.arange(6))):
        found = np.histogram(data[name], edges)[0]
        parts = zip((background, signal), expected, strict=True)
        predicted, variance = np.zeros(len(found)), found.astype(float)
        for sample, w in parts:
            predicted += np.histogram(sample[name], edges, weights=w)[0]
            variance += np.histogram(sample[name], edges, weights=w**2)[0]
        assert ((found - predicted) ** 2 / variance).sum() < 3 * len(found), name
    # They are other collisions, and lie in no order.
    assert not np.isin(data["ptll"][:100], background["ptll"]).all()
    assert ks_2samp(data["mll"][:2000], data["mll"][2000:]).pvalue > 1e-3


def test_no_event_has_a_larger_factor_than_the_pseudodata_allow_for():
    # The largest factor from pile-up lies at z = -18/17, see `dilepton.weights`; the trigger has 0.97 at most, twice.
    z = -18 / 17
    largest = 9 / 8 * np.exp(z**2 / 2 - ((32 + 9 * z - 30) / 8) ** 2 / 2) * 0.97**2
    rng = np.random.default_rng(1)
    pt = np.full((100_000, 2), 500.0)
    drawn = weights(pt, np.zeros_like(pt), np.zeros_like(pt, bool), np.ones_like(pt, bool), rng)
    product = drawn["SFweight2l"] * drawn["LepSF2l__ele_mvaFall17V1Iso_WP90__mu_cut_Tight_HWWW"]
    assert product.max() < largest < masses.LARGEST_FACTOR
    assert product.max() > 0.9 * largest


# --- how they are made ------------------------------------------------------------------------------------------------


@pytest.mark.simulation
def test_the_same_seed_gives_the_same_events_whatever_the_jobs(tmp_path):
    reports = []
    arguments = {"seed": 7, "luminosity": 0.05, "samples": [PSEUDODATA]}
    [one] = simulate_masses(tmp_path / "one", **arguments, progress=lambda *report: reports.append(report))
    [two] = simulate_masses(tmp_path / "two", **arguments, jobs=2)
    assert reports[-1] == (PSEUDODATA, 2, 2)
    first, second = load_events(one), load_events(two)
    for name in first:
        assert np.array_equal(first[name], second[name]), name
    assert 60 < len(first["mll"]) < 165


@pytest.mark.simulation
def test_another_seed_gives_other_events_of_the_shipped_distributions(tmp_path, shipped, monkeypatch):
    name = "ScalarToWW_M250"
    monkeypatch.setitem(SAMPLES, name, replace(SAMPLES[name], chunk=900))
    [path] = simulate_masses(tmp_path, events=260, seed=7, samples=[name])
    assert path.name == f"{name}.root"
    signal = load_events(path)
    for branch in ("pt1", "mll", "ptll", "SFweight"):
        assert not np.array_equal(signal[branch], shipped[name][branch][:260])
        assert ks_2samp(signal[branch], shipped[name][branch]).pvalue > 1e-4, branch


@pytest.mark.simulation
def test_the_background_has_pythias_cross_section_and_the_resonance_is_narrow():
    pythia = make_pythia([*masses.COMMON, *SAMPLES[BACKGROUND].settings], seed=3)
    generate(pythia, 1000)
    info = pythia.infoPython()  # in millibarns
    assert abs(info.sigmaGen() * 1e9 - SAMPLES[BACKGROUND].cross_section_pb) < 4 * info.sigmaErr() * 1e9

    settings = [*masses.COMMON, *SAMPLES["ScalarToWW_M140"].settings, "HadronLevel:all = off"]
    particles = generate(make_pythia(settings, seed=3), 300)
    hard = particles.offsets[:-1] + 5  # rows 3 and 4 are the incoming partons, 5 is what they make
    assert set(particles.pdgid[hard].tolist()) == {25}
    momentum = (particles.px[hard], particles.py[hard], particles.pz[hard])
    mass = np.sqrt(particles.energy[hard] ** 2 - sum(component**2 for component in momentum))
    assert np.abs(mass - 140).max() < 6
    assert np.quantile(np.abs(mass - 140), 0.68) < 0.2


@pytest.mark.simulation
def test_a_chunk_may_come_back_empty():
    found, n_generated = masses.simulate_chunk(SIGNALS[0], seed=1, chunk=0, events=1)  # this one fails the selection
    assert len(found) == 0
    assert found.fields == [*KEPT, "SFweight", "sign"]
    assert n_generated == 1


@pytest.fixture
def ready_chunks(monkeypatch, shipped):
    """Chunks cut from the shipped background, as if just simulated: 700 selected of 2000 generated."""
    events = shipped[BACKGROUND]
    whole = ak.zip({name: events[name] for name in (*KEPT, "SFweight")}, depth_limit=1)
    whole["sign"] = np.resize([2.0, -1.0], len(whole))
    monkeypatch.setattr(
        masses,
        "simulate_chunk",
        lambda name, seed, chunk, events=None: (whole[700 * chunk : 700 * (chunk + 1)], events or 2000),
    )


@pytest.mark.parametrize("n", [1, 700, 3001])
def test_any_number_of_events_is_written_exactly(tmp_path, ready_chunks, shipped, n):
    paths = simulate_masses(tmp_path, events=n, samples=[SIGNALS[0], BACKGROUND])
    for path, size, scale in zip(paths, (n, 4 * n), (300, 1000 * 6.70 * 1.75), strict=True):
        events = load_events(path)
        assert set(events) == {"run", "luminosityBlock", "event", *KEPT, "SFweight", "XSWeight"}
        for name in (*KEPT, "SFweight"):
            assert np.array_equal(events[name], shipped[BACKGROUND][name][:size]), name
        # Of the generated 0.35 are selected; the signs go where the events go.
        n_generated = round(size / 0.35)
        np.testing.assert_allclose(
            events["XSWeight"], np.resize([2.0, -1.0], size) * scale / n_generated, rtol=0.5 / n_generated + 1e-6
        )


def test_an_error_leaves_nothing_and_keeps_what_was_there(tmp_path, ready_chunks, monkeypatch):
    [path] = simulate_masses(tmp_path, samples=[PSEUDODATA])
    before = path.read_bytes()
    write_tree = masses.write_tree

    def full_disk(*arguments):
        write_tree(*arguments)
        raise OSError("no space left on device")

    monkeypatch.setattr(masses, "write_tree", full_disk)
    with pytest.raises(OSError, match="no space"):
        simulate_masses(tmp_path, samples=[PSEUDODATA])
    with pytest.raises(OSError, match="no space"):
        simulate_masses(tmp_path, events=10, samples=[BACKGROUND])
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert path.read_bytes() == before


def test_bad_arguments_are_named(tmp_path):
    for arguments, message in (
        ({"events": 0}, "events must be 1 or more, got 0"),
        ({"luminosity": 0}, "the luminosity is a number above 0 in 1/fb, got 0"),
        ({"luminosity": np.inf}, "got inf"),
        ({"luminosity": 1e-9, "samples": [PSEUDODATA]}, "not one event came of a luminosity of 1e-09/fb"),
        ({"samples": ["WW"]}, "no sample is called 'WW'; there are ScalarToWW_M140"),
        ({"seed": -1}, "seed must be 0 or more"),
        ({"jobs": 0}, "jobs must be 1 or more"),
    ):
        with pytest.raises(ValueError, match=message):
            simulate_masses(tmp_path, **arguments)
    assert list(tmp_path.iterdir()) == []
