"""The shuffle on disk: the same events in the order that the generator says, within the memory given."""

import hashlib
import json
import shutil
import subprocess
import sys

import awkward as ak
import numpy as np
import pandas as pd
import pytest
import tables
import uproot

from coursekit.events import load_events
from coursekit.jets import load_jets
from coursekit.streaming import (
    plan_shuffle,
    read_chunks,
    shuffle_file,
)
from tests.streaming.conftest import DTYPES, SMALL, write_tree


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
        patch.setattr("coursekit.streaming.root_trees.number_dtype", lambda branch: None)
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
        [sys.executable, "-c", MEASURE, source, target, memory], capture_output=True, encoding="utf-8", check=True
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
    from coursekit.streaming import root_trees

    sizes = []
    read_rows = root_trees.Tree.read_rows

    def spy(self, start, stop):
        rows, lists = read_rows(self, start, stop)
        sizes.append(rows.nbytes + sum(packed.nbytes for packed in lists.values()))
        return rows, lists

    monkeypatch.setattr(root_trees.Tree, "read_rows", spy)
    shuffle_file(source, tmp_path / "b.root", np.random.default_rng(1), "150.5MB")
    assert max(sizes) < 500_000 / 5 * 1.5
    events = load_events(tmp_path / "b.root", ["hits"])
    np.testing.assert_array_equal(ak.num(events["hits"]), counts[order_of(4000)])
