import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import types
import zlib
from collections import Counter

import awkward as ak
import numpy as np
import pandas as pd
import pytest
import tables
import uproot

from coursekit.events import load_events
from coursekit.jets import load_jets, save_jets, unpack
from coursekit.streaming import (
    BatchStream,
    event_bytes,
    keras_dataset,
    plan_shuffle,
    read_chunks,
    shuffle_file,
    torch_dataset,
)

DTYPES = ("?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8")
SMALL = "150.1MB"  # 0.1 MB beside Python and the libraries, so that small files need several buckets


def write_tree(path, n=5000, first=0, basket=500, compression=None, **more):
    """A small tree: a number per event, two branches that share a counter, a weight, and what else is given."""
    rng = np.random.default_rng(n + first)
    counts = rng.poisson(2, n)
    events = {
        "event": np.arange(first, first + n),
        "mth": rng.exponential(50, n).astype("f4"),
        "Jet": ak.zip({name: ak.unflatten(rng.random(counts.sum()).astype("f4"), counts) for name in ("pt", "eta")}),
        "weight": rng.uniform(0.5, 1.5, n),
        **more,
    }
    with uproot.recreate(path, compression=compression) as file:
        kinds = {k: ak.type(ak.Array(v)).content if isinstance(v, ak.Array) else kind(v) for k, v in events.items()}
        tree = file.mktree("Events", kinds, title="collisions")
        for at in range(0, n, basket):
            tree.extend({name: column[at : at + basket] for name, column in events.items()})
    return path


def kind(array):
    return np.dtype((array.dtype, array.shape[1:])) if array.ndim > 1 else array.dtype


@pytest.fixture(scope="module")
def tree_file(tmp_path_factory):
    return write_tree(tmp_path_factory.mktemp("tree") / "tree.root")


@pytest.fixture(scope="module")
def frame():
    rng, n = np.random.default_rng(5), 4000
    return pd.DataFrame(
        {
            "event": np.arange(n),
            "mth": rng.exponential(50, n).astype("f4"),
            "ptll": rng.exponential(50, n).astype("f4"),
            "sample": [f"s{i % 7}" for i in range(n)],
            "flavour": pd.Categorical(rng.choice(["e", "mu"], n)),
            "tight": rng.random(n) < 0.5,
            "time": pd.date_range("2026-01-01", periods=n, freq="s"),
        }
    )


@pytest.fixture(scope="module")
def table_file(tmp_path_factory, frame):
    path = tmp_path_factory.mktemp("table") / "table.h5"
    frame.to_hdf(path, key="table", format="table", complevel=4, complib="blosc", data_columns=["event"])
    return path


@pytest.fixture(scope="module")
def jet_file(tmp_path_factory):
    rng = np.random.default_rng(6)
    counts = rng.integers(1, 60, 3000)
    momenta = rng.normal(size=(counts.sum(), 4)).astype("f4")
    momenta[:, 3] = np.abs(momenta).sum(axis=1)
    path = tmp_path_factory.mktemp("jets") / "jets.h5"
    save_jets(path, unpack(momenta, counts), rng.integers(0, 2, len(counts)))
    return path


def numbers(stream, epoch=0):
    """The events of an epoch, by their number, in order."""
    return np.concatenate([inputs[:, 0] for inputs, _, _ in stream.batches(epoch)])


def prepare(events, label):
    event = events["event"]
    return np.stack([event, event], axis=1), np.full(len(event), label), 2.0 * event


# --- chunks -----------------------------------------------------------------------------------------------------------


def test_size_of_an_event(tree_file, table_file, jet_file):
    assert event_bytes(tree_file, ["mth", "weight"]) == 12
    in_memory = load_events(tree_file)
    assert event_bytes(tree_file) == pytest.approx(sum(column.nbytes for column in in_memory.values()) / 5000, rel=0.1)
    assert event_bytes(table_file, ["mth", "sample", "tight"]) == 4 + 2 + 1
    with tables.open_file(table_file) as file:
        assert event_bytes(table_file) == file.root.table.table.rowsize
    assert event_bytes(jet_file) == 8 + 804 * 4 + 16


def test_chunks_are_the_file(tree_file, table_file, frame):
    whole = load_events(tree_file)
    pieces = list(read_chunks(tree_file, chunk=1200))
    assert [len(piece["mth"]) for piece in pieces] == [1000, 1000, 1000, 1000, 1000]  # where baskets end
    for name, column in whole.items():
        assert ak.array_equal(ak.concatenate([piece[name] for piece in pieces]), ak.Array(column))
    pieces = list(read_chunks(table_file, ["time", "sample", "mth", "event"], chunk=1500, start=100, stop=3500))
    assert [len(piece["mth"]) for piece in pieces] == [1500, 1500, 400]
    assert list(pieces[0]) == ["time", "sample", "mth", "event"]
    for name in ("mth", "event"):
        np.testing.assert_array_equal(np.concatenate([piece[name] for piece in pieces]), frame[name][100:3500])
    assert pieces[0]["sample"][0] == frame["sample"][100].encode()
    assert len(next(read_chunks(tree_file, ["Jet_pt"], chunk=10**9))["Jet_pt"]) == 5000


def test_no_basket_is_decompressed_twice(tmp_path, monkeypatch):
    path = write_tree(tmp_path / "zipped.root", compression=uproot.ZLIB(1))
    calls = []
    decompress = zlib.decompress
    monkeypatch.setattr(zlib, "decompress", lambda *args, **kwargs: calls.append(1) or decompress(*args, **kwargs))

    def count(chunk):
        calls.clear()
        assert sum(len(piece["mth"]) for piece in read_chunks(path, ["mth"], chunk=chunk)) == 5000
        return len(calls)

    overhead = count(10**6) - 10  # the tree itself is compressed, too
    assert count(700) - overhead == 10
    assert count(1700) - overhead == 10
    assert count(100) - overhead == 50


def test_chunks_of_the_reference_layout_are_jets(jet_file):
    pieces = list(read_chunks(jet_file, chunk=1300))
    jets, labels = load_jets(jet_file)
    assert [list(piece) for piece in pieces] == [["jets", "labels"]] * 3
    assert ak.array_equal(ak.concatenate([piece["jets"] for piece in pieces]), jets)
    np.testing.assert_array_equal(np.concatenate([piece["labels"] for piece in pieces]), labels)
    columns = next(read_chunks(jet_file, ["PX_1", "is_signal_new"], chunk=5000))
    np.testing.assert_array_equal(columns["PX_1"], ak.fill_none(ak.pad_none(jets.px, 2)[:, 1], 0))
    np.testing.assert_array_equal(columns["is_signal_new"], labels)


def test_chunks_of_an_rntuple_and_of_a_plain_table(tmp_path):
    with uproot.recreate(tmp_path / "new.root") as file:
        file.mkrntuple("Events", {"mth": np.arange(100, dtype="f4"), "x": ak.Array([[1.0], []] * 50)})
    pieces = list(read_chunks(tmp_path / "new.root", chunk=60))
    assert np.concatenate([piece["mth"] for piece in pieces]).tolist() == list(range(100))
    assert event_bytes(tmp_path / "new.root", ["mth"]) == 4
    rows = np.zeros(10, [("p", "f4", (2, 3)), ("id", "i8")])
    rows["id"] = np.arange(10)
    with tables.open_file(tmp_path / "plain.h5", "w") as file:
        file.create_table("/deep", "jets", rows, createparents=True)
    events = next(read_chunks(tmp_path / "plain.h5", key="deep/jets"))
    assert events["p"].shape == (10, 2, 3)
    assert events["id"].tolist() == list(range(10))


def damaged_files(tmp_path, tree_file, table_file):
    (tmp_path / "page.root").write_bytes(b"<!DOCTYPE html>")
    (tmp_path / "empty.root").write_bytes(b"")
    for path in (tree_file, table_file):
        (tmp_path / f"short{path.suffix}").write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with uproot.recreate(tmp_path / "none.root") as file:
        file.mktree("Events", {"mth": "float32"})
    pd.DataFrame({"a": [1]}).to_hdf(tmp_path / "fixed.h5", key="table")
    return [
        ("nowhere.root", FileNotFoundError, "does not exist"),
        (".", FileNotFoundError, "is a folder"),
        ("page.root", ValueError, r"neither a ROOT nor an HDF5 file: it starts with b'<!DOCTYP'"),
        ("empty.root", ValueError, "neither a ROOT nor an HDF5 file"),
        ("short.root", OSError, "truncated"),
        ("short.h5", OSError, "truncated"),
        ("none.root", ValueError, "has no events"),
        ("fixed.h5", ValueError, r"format='table'"),
    ]


def test_bad_files(tmp_path, tree_file, table_file):
    for name, error, message in damaged_files(tmp_path, tree_file, table_file):
        path = tmp_path / name
        with pytest.raises(error, match=message):
            list(read_chunks(path))
        with pytest.raises(error, match=message):
            event_bytes(path)
        with pytest.raises(error, match=message):
            BatchStream({path: 1}, prepare, None)
        with pytest.raises(error, match=message):
            shuffle_file(path, tmp_path / f"target{path.suffix}", np.random.default_rng(1))
    assert not list(tmp_path.glob("*target*"))


def test_bad_requests(tree_file, table_file):
    for path in (tree_file, table_file):
        for function in (event_bytes, plan_shuffle, lambda path, key: next(read_chunks(path, key=key))):
            with pytest.raises(KeyError, match=r"tree|table"):
                function(path, key="Evnts")
        with pytest.raises(KeyError, match=r"no branch mtt; did you mean 'mth'\?"):
            next(read_chunks(path, ["mtt"]))
        with pytest.raises(TypeError, match=r"write \['mth'\]"):
            next(read_chunks(path, "mth"))
        with pytest.raises(ValueError, match="start 10 and stop 10"):
            next(read_chunks(path, start=10, stop=10))
        with pytest.raises(ValueError, match="expected 0 <= start < stop <="):
            next(read_chunks(path, stop=10**6))
        with pytest.raises(ValueError, match="branches is empty"):
            next(read_chunks(path, []))
        with pytest.raises(ValueError, match="chunk is 0"):
            next(read_chunks(path, chunk=0))


# --- batches ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Signal, and two backgrounds of other sizes; event numbers say where an event is from."""
    folder = tmp_path_factory.mktemp("files")
    return {
        write_tree(folder / "signal.root", 3000): 1,
        write_tree(folder / "low.root", 1500, first=10_000): 0,
        write_tree(folder / "high.root", 6001, first=20_000): 0,
    }


def all_events(part=(0, 1)):
    ranges = [(0, 3000), (10_000, 1500), (20_000, 6001)]
    return np.concatenate([first + np.arange(round(part[0] * n), round(part[1] * n)) for first, n in ranges])


def stream_of(files, rng=1, **settings):
    settings = {"batch_size": 128, "chunk": 700, "buffer": 2000, "branches": ["event"], **settings}
    return BatchStream(files, prepare, rng and np.random.default_rng(rng), **settings)


@pytest.mark.parametrize("chunk", [50, 700, 5000, 100_000])
def test_each_event_once_an_epoch_with_its_label_and_weight(files, chunk):
    stream = stream_of(files, chunk=chunk, buffer=max(chunk, 2000))
    assert stream.n_events == 10_501
    batches = list(stream)
    assert len(batches) == len(stream) == 83
    assert [len(labels) for _, labels, _ in batches] == [128] * 82 + [5]  # the rest is not dropped
    inputs, labels, weights = (np.concatenate(arrays) for arrays in zip(*batches, strict=True))
    np.testing.assert_array_equal(np.sort(inputs[:, 0]), all_events())
    np.testing.assert_array_equal(labels, inputs[:, 0] < 10_000)
    np.testing.assert_array_equal(weights, 2.0 * inputs[:, 0])


def test_epochs_differ_and_a_seed_fixes_them(files):
    stream, same, other = stream_of(files), stream_of(files), stream_of(files, rng=2)
    first, second = (np.concatenate([inputs[:, 0] for inputs, _, _ in stream]) for _ in range(2))
    assert stream.epoch == 2
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(numbers(same, 1), second)
    np.testing.assert_array_equal(numbers(same, 0), first)
    assert not np.array_equal(numbers(other), first)


def test_without_a_generator_the_order_is_that_of_the_file(files, tree_file):
    stream = stream_of({tree_file: 1}, rng=None)
    np.testing.assert_array_equal(numbers(stream, 0), np.arange(5000))
    several = stream_of(files, rng=None)
    np.testing.assert_array_equal(numbers(several, 0), numbers(several, 1))
    np.testing.assert_array_equal(np.sort(numbers(several, 1)), all_events())


def test_parts_share_nothing_and_miss_nothing(files):
    parts = [(0, 0.6), (0.6, 0.8), (0.8, 1)]
    found = [numbers(stream_of(files, part=part)) for part in parts]
    for part, events in zip(parts, found, strict=True):
        np.testing.assert_array_equal(np.sort(events), np.sort(all_events(part)))
    assert sum(map(len, found)) == 10_501


def test_files_are_mixed_in_proportion_throughout(files):
    share = np.array([3000, 1500, 6001]) / 10_501
    for inputs, _, _ in list(stream_of(files))[:-1]:
        counts = np.bincount(inputs[:, 0] // 10_000, minlength=3)
        assert (np.abs(counts - 128 * share) < 5 * np.sqrt(128 * share * (1 - share))).all()


def test_the_order_is_random_within_the_reach_of_the_buffer(tmp_path):
    path = write_tree(tmp_path / "long.root", 40_000, basket=1000)
    places = [numbers(stream_of({path: 1}, chunk=2000, buffer=10_000), epoch) for epoch in range(2)]
    for events in places:
        assert abs(np.corrcoef(events, np.arange(len(events)))[0, 1]) < 0.5  # 20 slices in random order: 1/sqrt(19)
        # neighbours in a batch come from anywhere in five slices of the file
        assert np.count_nonzero(np.abs(np.diff(events)) == 1) < 40
    assert abs(np.corrcoef(*places)[0, 1]) < 0.5


def test_no_more_is_read_than_stated(files):
    n_prepared = []

    def spy(events, label):
        n_prepared.append(len(events["event"]))
        return prepare(events, label)

    stream = BatchStream(files, spy, np.random.default_rng(1), ["event"], batch_size=128, chunk=700, buffer=2000)
    batches = stream.batches(0)
    next(batches)
    batches.close()
    assert sum(n_prepared) <= 2000 + 2 * 1050  # the buffer, and what waits; slices differ by half at most


def test_a_thread_works_ahead_and_ends_with_its_reader(files):
    def threads():
        return [thread for thread in threading.enumerate() if thread.name == "coursekit stream"]

    batches = stream_of(files).batches(0)
    next(batches)
    assert len(threads()) <= 1
    batches.close()
    assert threads() == []
    assert len(list(stream_of(files))) == 83
    assert threads() == []


def test_errors_reach_the_reader(files, tmp_path):
    def broken(events, label):
        raise ZeroDivisionError("in prepare")

    with pytest.raises(ZeroDivisionError, match="in prepare"):
        list(BatchStream(files, broken, None))
    cases = [
        (
            lambda e, label: (e["event"][1:], e["event"], e["event"]),
            r"events 0 to \d+: prepare returned \d+ inputs for",
        ),
        (lambda e, label: e["event"], "must return inputs, labels and weights"),
        (lambda e, label: (e["event"], e["event"], e["event"] * np.nan), r"signal\.root, events .* weights is NaN"),
    ]
    for function, message in cases:
        with pytest.raises(ValueError, match=message):
            list(BatchStream(files, function, None))


def test_bad_settings(files, tree_file):
    for settings, error, message in [
        ({"batch_size": 0}, ValueError, "batch_size > 0"),
        ({"chunk": 3000}, ValueError, "chunk <= buffer"),
        ({"part": (0.5, 0.5)}, ValueError, "range within"),
        ({"part": (0, 1.1)}, ValueError, "range within"),
        ({"part": (0, 1e-5)}, ValueError, r"signal\.root: .* of its 3000 events is none"),
        ({"branches": ["evnt"]}, KeyError, "did you mean 'event'"),
    ]:
        with pytest.raises(error, match=message):
            stream_of(files, **settings)
    with pytest.raises(TypeError, match="maps each path to its class"):
        BatchStream([tree_file], prepare, None)
    with pytest.raises(TypeError, match=r"such as np\.random\.default_rng"):
        BatchStream(files, prepare, 1)


def test_hdf5_in_two_threads_at_once(table_file):
    streams = [stream_of({table_file: 1}, rng=rng, chunk=200) for rng in (1, 2)]
    for (one, _, _), (other, _, _) in zip(*streams, strict=True):
        assert one.shape == other.shape
    assert all(np.array_equal(np.sort(numbers(stream)), np.arange(4000)) for stream in streams)


def jets_and_labels(events, label):
    return events["jets"], events["labels"], np.ones(len(events["labels"]))


def test_jagged_jets_come_in_batches(jet_file):
    stream = BatchStream({jet_file: None}, jets_and_labels, np.random.default_rng(1), batch_size=256, chunk=900)
    batches = list(stream)
    assert [len(jets) for jets, _, _ in batches] == [256] * 11 + [184]
    jets, labels = load_jets(jet_file)
    assert sum(ak.sum(ak.num(part)) for part, _, _ in batches) == ak.sum(ak.num(jets))

    def identity(jets, labels):
        return Counter(zip(ak.num(jets).tolist(), jets.E[:, 0].tolist(), labels.tolist(), strict=True))

    assert sum((identity(part, y) for part, y, _ in batches), Counter()) == identity(jets, labels)


# --- frameworks -------------------------------------------------------------------------------------------------------


def keras_like(monkeypatch):
    """Stand in for Keras: as its trainer does, look at batches first, and ask for them in random order."""
    keras = types.ModuleType("keras")
    keras.utils = types.SimpleNamespace(PyDataset=type("PyDataset", (), {}))
    monkeypatch.setitem(sys.modules, "keras", keras)

    def fit(dataset, epochs):
        _ = dataset[0], dataset[1]
        for epoch in range(epochs):
            dataset.on_epoch_begin()
            yield [dataset[int(i)] for i in np.random.default_rng(epoch).permutation(len(dataset))]

    return fit


def test_keras_gets_each_event_once_an_epoch(files, monkeypatch):
    fit = keras_like(monkeypatch)
    stream = stream_of(files)
    dataset = keras_dataset(stream)
    for epoch, batches in enumerate(fit(dataset, 2)):
        np.testing.assert_array_equal(np.concatenate([x[:, 0] for x, _, _ in batches]), numbers(stream, epoch))
    assert len([dataset[i] for i in range(len(dataset))]) == 83  # by hand, without the hooks
    with pytest.raises(IndexError, match="the stream has 83"):
        dataset[83]


def test_a_missing_framework_names_what_to_install(files, monkeypatch):
    for name, function in ("keras", keras_dataset), ("torch", torch_dataset):
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(ImportError, match=rf"coursekit\[{name}\]"):
            function(stream_of(files))


# NumPy 2 says it to Keras on the torch backend.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_keras_itself(files):
    keras = pytest.importorskip("keras")
    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Rescaling(1e-5), keras.layers.Dense(1)])

    class Total(keras.metrics.Metric):
        def __init__(self):
            super().__init__(name="total")
            self.total = self.add_weight(shape=(), initializer="zeros")

        def update_state(self, y, score, sample_weight=None):
            self.total.assign_add(keras.ops.sum(sample_weight))

        def result(self):
            return self.total

    def with_ones(events, label):
        x = np.stack([events["event"], events["event"]], axis=1).astype("f4")
        return x, np.full((len(x), 1), label, "f4"), np.where(x[:, 0] % 2 == 0, 1, 0.5).astype("f4")

    stream, fixed = (
        BatchStream(files, with_ones, rng, ["event"], chunk=700) for rng in (np.random.default_rng(1), None)
    )
    model.compile("sgd", "mse", weighted_metrics=[Total()])
    history = model.fit(keras_dataset(stream), validation_data=keras_dataset(fixed), epochs=3, verbose=0).history
    expected = np.where(all_events() % 2 == 0, 1, 0.5).sum()
    assert history["total"] == history["val_total"] == [expected] * 3
    in_memory = np.concatenate([x for x, _, _ in fixed])
    np.testing.assert_allclose(
        model.predict(keras_dataset(fixed), verbose=0), model.predict(in_memory, verbose=0), rtol=1e-4, atol=1e-5
    )


def test_torch_itself(files, jet_file):
    torch = pytest.importorskip("torch")
    stream = stream_of(files)
    dataset = torch_dataset(stream)
    loader = torch.utils.data.DataLoader(dataset, batch_size=None)
    for epoch in range(2):
        found = torch.cat([inputs[:, 0] for inputs, _, _ in loader]).numpy()
        np.testing.assert_array_equal(found, numbers(stream, epoch))
    assert len(dataset) == 83
    with pytest.raises(RuntimeError, match="each worker would read all events"):
        next(iter(torch.utils.data.DataLoader(dataset, batch_size=None, num_workers=1)))
    jets = BatchStream({jet_file: None}, jets_and_labels, None, batch_size=500)
    for (packed, counts), labels, _ in torch_dataset(jets):
        assert packed.shape == (counts.sum(), 4)
        assert len(counts) == len(labels) == 500


# --- the shuffle on disk ----------------------------------------------------------------------------------------------


def order_of(n, seed=1):
    """What the documentation of shuffle_file promises."""
    return np.argsort(np.random.default_rng(seed).random(n), kind="stable")


def leftovers(folder):
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


def test_all_types_of_branches_stay_with_their_event(tmp_path):
    n = 3000
    rng = np.random.default_rng(2)
    own, shared = rng.poisson(3, n), rng.poisson(1, n)
    more = {f"flat_{d.replace('?', 'b')}": rng.integers(0, 100, n).astype(d) for d in DTYPES}
    more |= {
        f"list_{d.replace('?', 'b')}": ak.unflatten(rng.integers(0, 100, own.sum()).astype(d), own) for d in DTYPES
    }
    more |= {
        "matrix": rng.random((n, 2, 3)).astype("f4"),
        "name": ak.Array(["x" * k for k in shared]),
        "Tau": ak.zip({"pt": ak.unflatten(rng.random(shared.sum()), shared), "q": ak.Array([[k] * k for k in shared])}),
        "nothing": np.full(n, np.nan),
    }
    source, target = write_tree(tmp_path / "a.root", n, compression=uproot.LZMA(2), **more), tmp_path / "b.root"
    steps = []
    plan = shuffle_file(source, target, np.random.default_rng(1), "151MB", progress=lambda *step: steps.append(step))
    assert plan.n_buckets > 1
    assert plan.n_events == n
    assert plan.left_out == ()
    with uproot.open(source) as before, uproot.open(target) as after:
        assert after.file.compression == before.file.compression
        old, new = before["Events"], after["Events"]
        assert new.title == "collisions"
        assert list(new.typenames().items()) == list(old.typenames().items())
        assert new["Tau_pt"].count_branch.name == new["Tau_q"].count_branch.name == "nTau"
        columns, shuffled = old.arrays(), new.arrays()
        for name in columns.fields:
            assert ak.array_equal(shuffled[name], columns[name][order_of(n)], equal_nan=True, dtype_exact=True), name
    for task in ("scatter", "write"):
        done = [step[1] for step in steps if step[0] == task]
        assert done == sorted(done)
        assert done[-1] == n
    assert {step[2] for step in steps} == {n}
    assert leftovers(tmp_path) == []


def test_the_order_depends_on_the_generator_alone(tmp_path, tree_file):
    orders = []
    for memory in (SMALL, "500MB", 150_200_000):
        plan = shuffle_file(tree_file, tmp_path / "b.root", np.random.default_rng(1), memory)
        orders.append((plan.n_buckets, load_events(tmp_path / "b.root", ["event"])["event"]))
    assert len({n_buckets for n_buckets, _ in orders}) > 1
    for _, order in orders:
        np.testing.assert_array_equal(order, order_of(5000))
    shuffle_file(tree_file, tmp_path / "b.root", np.random.default_rng(2), SMALL)
    np.testing.assert_array_equal(load_events(tmp_path / "b.root", ["event"])["event"], order_of(5000, seed=2))


def test_every_order_is_equally_likely(tmp_path):
    n, n_runs = 400, 50
    source, target = tmp_path / "a.root", tmp_path / "b.root"
    with uproot.recreate(source) as file:
        file.mktree("Events", {"event": "int64"}).extend({"event": np.arange(n)})
    rng = np.random.default_rng(3)
    where, neighbours = np.zeros((8, 8)), 0
    memory = 150_006_000
    assert plan_shuffle(source, memory).n_buckets > 1
    for _ in range(n_runs):
        shuffle_file(source, target, rng, memory)
        order = load_events(target, ["event"])["event"]
        np.testing.assert_array_equal(np.sort(order), np.arange(n))
        where += np.histogram2d(order, np.arange(n), bins=8, range=[(0, n)] * 2)[0]
        neighbours += np.count_nonzero(np.diff(order) == 1)
    # From which eighth of the source, to which eighth of the result: 49 degrees of freedom, and the marginal sums are
    # fixed in each run, which makes the variance of a cell (n / 64)(49 / 64) n / (n - 1) times the number of runs.
    expected = n_runs * n / 64
    chi2 = ((where - expected) ** 2).sum() / (expected * n / (n - 1))
    assert abs(chi2 - 49) < 5 * np.sqrt(2 * 49)
    # Pairs that were neighbours in the source and still are: (n - 1) / n of them a run, Poisson.
    assert abs(neighbours - n_runs) < 5 * np.sqrt(n_runs)


def checksum(path, key=None):
    """A sum of hashes of whole events: the same for the same multiset of events, whatever their order."""
    total = 0
    for events in read_chunks(path, key=key):
        columns = [ak.to_list(events[name]) for name in sorted(events)]
        for event in zip(*columns, strict=True):
            total += int.from_bytes(hashlib.sha256(repr(event).encode()).digest()[:8], "big")
    return total % 2**64


def test_the_multiset_of_events_is_the_same(tmp_path, tree_file, table_file):
    for source in (tree_file, table_file):
        target = tmp_path / f"b{source.suffix}"
        shuffle_file(source, target, np.random.default_rng(1), SMALL)
        assert checksum(target) == checksum(source)
    write_tree(tmp_path / "other.root", weight=np.ones(5000))
    assert checksum(tmp_path / "other.root") != checksum(tree_file)


def test_a_pandas_table_stays_one(tmp_path, table_file, frame):
    target = tmp_path / "b.h5"
    plan = shuffle_file(table_file, target, np.random.default_rng(1), SMALL)
    assert plan.n_buckets > 1
    pd.testing.assert_frame_equal(pd.read_hdf(target, key="table"), frame.iloc[order_of(4000)])
    some = pd.read_hdf(target, key="table", where="event == 77")
    pd.testing.assert_frame_equal(some, frame[77:78])
    with tables.open_file(table_file) as before, tables.open_file(target) as after:
        assert after.root.table.table.filters == before.root.table.table.filters
        assert after.root.table.table.chunkshape == before.root.table.table.chunkshape


def test_jets_of_the_reference_layout(tmp_path, jet_file):
    shuffle_file(jet_file, tmp_path / "b.h5", np.random.default_rng(1), "155MB")
    jets, labels = load_jets(jet_file)
    shuffled, with_labels = load_jets(tmp_path / "b.h5")
    assert ak.array_equal(shuffled, jets[order_of(3000)])
    np.testing.assert_array_equal(with_labels, labels[order_of(3000)])


def test_tables_deep_in_a_file_and_what_else_is_there(tmp_path):
    rows = np.zeros(1000, [("p", "f4", (2, 3)), ("id", "i8"), ("name", "S3")])
    rows["id"], rows["p"][:, 1, 2], rows["name"] = np.arange(1000), np.arange(1000), b"abc"
    for where, name in ("/deep/er", "jets"), ("/", "table"):
        source, target = tmp_path / "a.h5", tmp_path / "b.h5"
        with tables.open_file(source, "w") as file:
            file.create_table(where, name, rows, createparents=True).attrs.unit = "GeV"
            file.create_array("/", "other", [1, 2])
        plan = shuffle_file(source, target, np.random.default_rng(1), SMALL, key=f"{where}/{name}".lstrip("/"))
        assert plan.left_out == ("/other",)
        with tables.open_file(target) as file:
            table = file.get_node(where, name)
            np.testing.assert_array_equal(table[:], rows[order_of(1000)])
            assert table.attrs.unit == "GeV"
            assert "/other" not in file


def test_other_objects_of_a_root_file_are_named(tmp_path, tree_file):
    shutil.copy(tree_file, tmp_path / "a.root")
    with uproot.update(tmp_path / "a.root") as file:
        file.mktree("Runs", {"sum": "float64"}).extend({"sum": np.ones(3)})
        file["h"] = np.histogram([1.0, 2.0])
    plan = shuffle_file(tmp_path / "a.root", tmp_path / "b.root", np.random.default_rng(1))
    assert set(plan.left_out) == {"Runs", "h"}


def test_what_cannot_be_written_is_refused_by_name(tmp_path):
    with uproot.recreate(tmp_path / "new.root") as file:
        file.mkrntuple("Events", {"mth": np.arange(100, dtype="f4")})
    with pytest.raises(ValueError, match=r"new\.root: Events is an RNTuple"):
        shuffle_file(tmp_path / "new.root", tmp_path / "b.root", np.random.default_rng(1))
    # uproot writes no lists of lists; a branch that is read as something else stands for all that it cannot write
    source = write_tree(tmp_path / "a.root", 100)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("coursekit.streaming.files._dtype", lambda branch: None)
        with pytest.raises(ValueError, match=r"a\.root: the branch event is of type int64_t, which cannot be written"):
            shuffle_file(source, tmp_path / "b.root", np.random.default_rng(1))


MEASURE = """
import json, sys
import numpy as np
from coursekit.streaming import shuffle_file
plan = shuffle_file(sys.argv[1], sys.argv[2], np.random.default_rng(1), sys.argv[3])
# ru_maxrss would count the parent process, too, from before the exec
peak = next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps([peak, plan.temporary_bytes, plan.n_buckets]))
"""


def peak_memory(source, target, memory):
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, source, target, memory], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_does_not_grow_with_the_file(tmp_path):
    peaks = []
    for n in (250_000, 1_000_000):
        source = write_tree(tmp_path / "a.root", n, basket=20_000)
        peak, temporary, n_buckets = peak_memory(source, tmp_path / "b.root", "160MB")
        assert temporary > n * 40
        assert n_buckets > 1
        peaks.append(peak)
    assert max(peaks) < 160e6
    assert peaks[1] - peaks[0] < 8e6  # of a file that is larger by 40 MB


def test_lists_sorted_by_length_are_read_in_smaller_pieces(tmp_path, monkeypatch):
    counts = np.sort(np.random.default_rng(1).geometric(0.02, 4000))
    source = write_tree(tmp_path / "a.root", 4000, hits=ak.unflatten(np.ones(counts.sum(), "f4"), counts))
    from coursekit.streaming import files as reading

    sizes = []
    read_rows = reading._Tree.read_rows

    def spy(self, start, stop):
        rows, lists = read_rows(self, start, stop)
        sizes.append(rows.nbytes + sum(packed.nbytes for packed in lists.values()))
        return rows, lists

    monkeypatch.setattr(reading._Tree, "read_rows", spy)
    shuffle_file(source, tmp_path / "b.root", np.random.default_rng(1), "150.5MB")
    assert max(sizes) < 500_000 / 5 * 1.5
    events = load_events(tmp_path / "b.root", ["hits"])
    np.testing.assert_array_equal(ak.num(events["hits"]), counts[order_of(4000)])


# --- what can go wrong ------------------------------------------------------------------------------------------------


def shuffle(source, target, memory=SMALL, **more):
    return shuffle_file(source, target, np.random.default_rng(1), memory, **more)


def test_the_target_is_never_the_source(tmp_path, tree_file):
    source = shutil.copy(tree_file, tmp_path / "a.root")
    (tmp_path / "soft.root").symlink_to(source)
    os.link(source, tmp_path / "hard.root")
    content = source.read_bytes()
    for name in ("a.root", "../" + tmp_path.name + "/a.root", "soft.root", "hard.root"):
        with pytest.raises(ValueError, match="is the source itself"):
            shuffle(source, tmp_path / name)
    assert source.read_bytes() == content
    assert leftovers(tmp_path) == []


def test_targets_that_cannot_be(tmp_path, tree_file, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"the folder .*nowhere does not exist"):
        shuffle(tree_file, tmp_path / "nowhere" / "b.root")
    (tmp_path / "folder.root").mkdir()
    with pytest.raises(IsADirectoryError, match=r"folder\.root is a folder"):
        shuffle(tree_file, tmp_path / "folder.root")
    with pytest.raises(ValueError, match=r"b\.h5 must end in '\.root' as tree\.root does"):
        shuffle(tree_file, tmp_path / "b.h5")
    with pytest.raises(TypeError, match="rng is a NumPy Generator"):
        shuffle_file(tree_file, tmp_path / "b.root", 1)
    for memory, message in [
        ("lots", "a size such as"),
        ("-5MB", "a size such as"),
        ("100MB", "too little"),
        (1, "too"),
    ]:
        with pytest.raises(ValueError, match=message):
            shuffle(tree_file, tmp_path / "b.root", memory)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: types.SimpleNamespace(free=100_000))
    with pytest.raises(OSError, match=r"has 0 MB of free space, \d+ MB are needed .*temporary files: 5000 events"):
        shuffle(tree_file, tmp_path / "b.root")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.root"]


def test_an_unwritable_folder(tmp_path, tree_file, monkeypatch):
    def refuse(self, *args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    with pytest.raises(PermissionError, match=r"cannot be written \(Permission denied\): choose another folder"):
        shuffle(tree_file, tmp_path / "b.root")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(tmp_path, tree_file):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(PermissionError, match="choose another folder"):
            shuffle(tree_file, tmp_path / "b.root")
    finally:
        tmp_path.chmod(0o700)


LIMITED = """
import resource, sys
import numpy as np
from coursekit.streaming import shuffle_file
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)
try:
    shuffle_file(sys.argv[1], sys.argv[2], np.random.default_rng(1), sys.argv[4])
except OSError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limits of resources there")
@pytest.mark.parametrize(
    ("fixture", "limit", "memory"),
    [("tree_file", 40_000, "151MB"), ("tree_file", 150_000, SMALL), ("jet_file", 800_000, "151MB")],
)
def test_a_disk_that_becomes_full(tmp_path, request, fixture, limit, memory):
    # A limit on the size of a file fails in the same place as a full disk: in a bucket, or in the result.
    source = request.getfixturevalue(fixture)
    target = tmp_path / f"b{source.suffix}"
    target.write_bytes(b"the old one")
    command = [sys.executable, "-c", LIMITED, source, target, str(limit), memory]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "b" + source.suffix + " was written" in done.stdout, done.stderr
    assert "MB are needed in its folder; what was written is removed. Make room" in done.stdout
    assert target.read_bytes() == b"the old one"
    assert leftovers(tmp_path) == []


def at(task, do):
    """A progress function that does something once, at the first step of a task."""
    once = []

    def progress(name, done, total):
        if name == task and not once:
            once.append(do())

    return progress


def test_a_source_that_changes_between_the_passes(tmp_path, tree_file):
    source, target = shutil.copy(tree_file, tmp_path / "a.root"), tmp_path / "b.root"
    for task in ("scatter", "write"):
        with pytest.raises(OSError, match=r"a\.root changed while it was shuffled"):
            shuffle(source, target, progress=at(task, lambda: write_tree(source, 4000)))
        with pytest.raises(OSError, match=r"a\.root changed while it was shuffled"):
            shuffle(source, target, progress=at(task, lambda: source.write_bytes(b"root")))
        shutil.copy(tree_file, source)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.root"]


def test_temporary_files_that_change_between_the_passes(tmp_path, tree_file):
    def spoil():
        bucket = tmp_path / ".b.root.shuffling" / "1.1"
        content = bytearray(bucket.read_bytes())
        content[100] ^= 1
        bucket.write_bytes(content)

    for do in (spoil, lambda: (tmp_path / ".b.root.shuffling" / "1.1").unlink()):
        with pytest.raises(OSError, match="is not what was written there in the first pass"):
            shuffle(tree_file, tmp_path / "b.root", progress=at("write", do))
    assert list(tmp_path.iterdir()) == []


def test_interrupted_it_leaves_the_old_result(tmp_path, tree_file):
    target = tmp_path / "b.root"
    target.write_bytes(b"the old one")
    for task in ("scatter", "write"):

        def interrupt():
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            shuffle(tree_file, target, progress=at(task, interrupt))
        assert leftovers(tmp_path) == []
        assert target.read_bytes() == b"the old one"


KILLED = """
import os, signal, sys
import numpy as np
from coursekit.streaming import shuffle_file
def progress(task, done, total):
    if task == "write":
        os.kill(os.getpid(), signal.SIGKILL)
shuffle_file(sys.argv[1], sys.argv[2], np.random.default_rng(1), "150.1MB", progress=progress)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
def test_what_a_killed_shuffle_leaves_goes_with_the_next(tmp_path, tree_file):
    target = tmp_path / "b.root"
    subprocess.run([sys.executable, "-c", KILLED, tree_file, target], check=False)
    assert leftovers(tmp_path) == [".b.root.shuffling"]
    assert not target.exists()
    shuffle(tree_file, target)
    assert [path.name for path in tmp_path.iterdir()] == ["b.root"]
    np.testing.assert_array_equal(load_events(target, ["event"])["event"], order_of(5000))


def test_two_shuffles_to_one_target(tmp_path, tree_file):
    target = tmp_path / "b.root"

    def second():
        with pytest.raises(FileExistsError, match="another process is shuffling to"):
            shuffle(tree_file, target)
        with contextlib.suppress(FileNotFoundError):
            shuffle(tree_file, tmp_path / "c.root")

    shuffle(tree_file, target, progress=at("write", second))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.root", "c.root"]
    np.testing.assert_array_equal(load_events(target, ["event"])["event"], order_of(5000))
