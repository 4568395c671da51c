"""Inputs that do not fit in memory: the same events, weights and scaler as in memory, read from disk."""

import pickle

import numpy as np
import pytest

from coursekit.study import stored
from coursekit.study.dataset import load_dataset
from coursekit.study.streaming import n_bytes
from tests.study.events_of_studies import columns, root_file, study

CHANGES = {
    "features": ["pt", "sv_mass", "mass"],
    "derived": {"log_pt": "log(pt)"},
    "spectators": ["event"],
    "defaults": {"sv_mass": -1},
    "fill": "median",
    "checks": {"no_vertex": "sv_mass"},
    "scale": "weighted",
    "cut": "pt > 25",
    "reset": {"mass": {"evaluation": 200}},
    "targets": {"signal": {"sum": 100, "of": "each"}},
    "reweight": {"bins": {"pt": [20, 40, 60, 1000], "eta": [-5, 0, 5]}},
}


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Makes a study's dataset in memory and streamed, in chunks of a few hundred events."""
    folder = tmp_path_factory.mktemp("streams")
    named = {"s": (600, 1, 10), "t": (300, 4, 20), "b": (1500, 2, 0), "d": (200, 6, 0)}
    files = {
        name: root_file(folder / f"{name}.root", columns(n, seed, shift)) for name, (n, seed, shift) in named.items()
    }

    def load(**changes):
        signals = {name: {"files": [files[name]], "values": {"mass": mass}} for name, mass in (("s", 125), ("t", 300))}
        samples = signals, {"b": files["b"]}, {"d": files["d"]}
        return [load_dataset(study(*samples, **CHANGES | changes, memory=memory)) for memory in ("1GB", "1kB")]

    return load


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    for module in ("stored", "dataset", "streaming", "view"):
        monkeypatch.setattr(f"coursekit.study.{module}.CHUNK", 400)


@pytest.mark.parametrize("changes", [{}, {"split": {"keys": ["run", "event"]}}, {"negative_weights": "remove"}])
def test_the_same_as_in_memory(both, changes):
    whole, streamed = both(**changes)
    assert [whole.streamed, streamed.streamed] == [False, True]
    assert set(whole.columns) == set(streamed.columns) - {"places"}
    for name in whole.columns:
        np.testing.assert_array_equal(whole.columns[name].astype(streamed.columns[name].dtype), streamed.columns[name])
    for name in ("labels", "sample", "parts", "folds"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(streamed, name))
    np.testing.assert_allclose(whole.weights, streamed.weights, rtol=1e-7)
    assert whole.flow["events"].tolist() == streamed.flow["events"].tolist()
    one, other = whole.view(), streamed.view()
    for name in ("training", "validation", "test"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    np.testing.assert_allclose(one.weights, other.weights, rtol=1e-5)
    np.testing.assert_allclose(one.scaler.offset, other.scaler.offset, rtol=1e-6)
    np.testing.assert_allclose(one.scaler.scale, other.scaler.scale, rtol=1e-6)
    assert one.scaler.fills == pytest.approx(other.scaler.fills, rel=1e-6)
    rows = np.arange(len(whole))[::-1]
    for evaluation in (False, True):
        in_chunks = np.concatenate(list(other.chunks(rows, evaluation)))
        np.testing.assert_allclose(one.inputs(rows, evaluation), in_chunks, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("folds", [None, 4])
def test_a_stream_has_each_event_of_its_part_once(both, folds):
    whole, streamed = both(**({"train": {"folds": folds}} if folds else {}))
    fold = folds and 1
    view, known = streamed.view(fold), whole.view(fold)
    for part in ("training", "validation"):
        rows, stream = getattr(known, part), view.stream(part, 64, seed=1)
        batches = list(stream)
        assert len(batches[0][1]) == 64
        inputs, targets, weights = (np.concatenate([batch[i] for batch in batches]) for i in range(3))
        expected = np.column_stack([known.inputs(rows), known.targets(rows), known.weights[rows]])
        found = np.column_stack([inputs, targets, weights])
        order = [np.lexsort(np.round(table, 4).T) for table in (expected, found)]
        np.testing.assert_allclose(expected[order[0]], found[order[1]], rtol=1e-3, atol=1e-4)
        again = list(view.stream(part, 64, seed=1))
        np.testing.assert_array_equal(again[0][0], batches[0][0])
        assert not np.array_equal(next(iter(stream))[0], batches[0][0])  # the next epoch has another order


def test_events_left_out_of_mixtures_have_no_weight(both):
    _, streamed = both(mixtures=(0.1, 0.9), train={"task": "cwola"})
    view = streamed.view()
    weights = np.concatenate([batch[2] for batch in view.stream("training", 64, None)])
    assert weights.sum() == pytest.approx(view.weights[view.training].sum(), rel=1e-5)


def test_a_copy_in_another_process_reads_and_the_folder_goes_with_the_original(both):
    _, streamed = both()
    folder = streamed.columns.folder
    copy = pickle.loads(pickle.dumps(streamed))
    np.testing.assert_array_equal(copy.columns["pt"], streamed.columns["pt"])
    del copy
    assert folder.is_dir()
    del streamed
    assert not folder.exists()


def test_a_disk_without_room(both, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 10})())
    with pytest.raises(OSError, match=r"GB are needed.*TMPDIR"):
        both()


def test_sets_are_not_streamed():
    sample = {"files": ["flavour.root"], "key": "jets", "label": {"branch": "flavour", "classes": {0: "light", 5: "b"}}}
    constituents = {"features": ["track_deta"]}
    with pytest.raises(ValueError, match=r"input.memory is 1kB, too little"):
        load_dataset(study({"jets": sample}, features=[], weight="1", constituents=constituents, memory="1kB"))


def test_columns_that_do_not_fit_together():
    columns = stored.StoredColumns()
    columns.append({"x": np.array([1.0, 2.0])}, "input.signals.a")
    columns.append({"x": np.array([3.0, 4.0], dtype=np.float32)}, "input.signals.b")
    assert columns["x"].tolist() == [1, 2, 3, 4]
    assert columns.take("x", np.array([2, 1])).tolist() == [3, 2]
    assert len(columns.take("x", np.array([], dtype=int))) == 0
    with pytest.raises(ValueError, match=r"input.signals.c: x is int64, and float32 in other samples"):
        columns.append({"x": np.array([1])}, "input.signals.c")
    with pytest.raises(ValueError, match=r"1e\+300, beyond float32"):
        columns.append({"x": np.array([1e300])}, "input.signals.c")
    assert "y" not in columns
    with pytest.raises(KeyError):
        columns["y"]


def test_sizes():
    assert [n_bytes(size) for size in ("2GB", "500 MB", "1.5k", "12")] == [2e9, 5e8, 1500, 12]
