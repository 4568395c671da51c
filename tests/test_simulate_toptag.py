"""Labelled jets: the sample, the files, and their likeness to the public set."""

from dataclasses import replace

import awkward as ak
import numpy as np
import pandas as pd
import pytest

from coursekit.jets import load_jets
from coursekit.simulate import simulate_jet_images, simulate_toptag, toptag
from coursekit.simulate.closure import PUBLIC, closure_table
from coursekit.simulate.toptag import (
    JET_IMAGES,
    TOPTAG,
    distance,
    simulate_jet_chunk,
    simulate_jets,
)


def truth_of(paths):
    """The true tops of files: px, py, pz, E (N,) as one frame."""
    frames = [pd.read_hdf(path, key="table", columns=["truthPX", "truthPY", "truthPZ", "truthE"]) for path in paths]
    return pd.concat(frames).set_axis(["px", "py", "pz", "E"], axis="columns")


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
    text = (root / "data" / "README.md").read_text(encoding="utf-8")
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

    truth = truth_of([root / "data" / name for name in NAMES])
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
    truth = truth_of(paths)
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
