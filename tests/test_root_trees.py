"""Trees of every kind: what each reader gives is what uproot alone does, or one line refuses and names the branch."""

import os
import sys

import awkward as ak
import numpy as np
import pytest
import uproot
from uproot.interpretation.identify import UnknownInterpretation

from coursekit.events import load_events
from coursekit.streaming import BatchStream, event_bytes, plan_shuffle, read_chunks, shuffle_file
from tests.streaming.conftest import DTYPES, SMALL, kind, write_tree

N = 40
RNG = np.random.default_rng(1)
COUNTS = RNG.poisson(2, N)
LISTS = ak.unflatten(np.arange(COUNTS.sum(), dtype="f4"), COUNTS)
TEXT = ak.Array(["zll", "", "h w", "é", "a\0b", "x" * 300] * 6 + ["hww"] * 4)
ODD_NAMES = ("Jet.pt", "a/b", "x-y", "x y", "x[0]", "sum", "class", "1st", "entry", "x;1", "é")

FLAT = {f"flat_{dtype.replace('?', 'b')}": RNG.integers(0, 100, N).astype(dtype) for dtype in DTYPES}
JAGGED = {f"list_{name}": ak.values_astype(LISTS, column.dtype) for name, column in FLAT.items()}
TREES = {
    "numbers": FLAT | {"lost": np.where(np.arange(N) % 7, 1.0, -0.0), "matrix": RNG.random((N, 2, 3)).astype("f4")},
    "lists": JAGGED,
    "text": {"sample": TEXT, "pt": np.arange(N)},
    "names": {name: np.arange(N) + i for i, name in enumerate(ODD_NAMES)},
    "shared counter": {"Tau": ak.zip({"pt": LISTS, "q": ak.values_astype(LISTS, "i1")}), "zeros": LISTS[:, :0]},
}
NTUPLES = {
    "records": {"evt": ak.zip({"run": np.arange(N), "hits": LISTS}, depth_limit=1), "jet": ak.zip({"pt": LISTS})},
    "nested": {"deep": ak.Array([[[1.0], []], [], [[2.0, 3.0]]] * 13 + [[]]), "words": ak.Array([["a", "b"], []] * 20)},
    "unions": {"either": ak.Array([1, "x"] * 20), "text": TEXT},
    "optional, none missing": {"opt": ak.mask(np.arange(N), np.ones(N, bool)), "flag": np.arange(N) % 2 == 0},
    "numbers": FLAT,
}


def write_ntuple(path, columns, key="Events"):
    with uproot.recreate(path) as file:
        file.mkrntuple(key, columns)
    return path


def plain(path, key="Events"):
    """What uproot reads, branch by branch, top-level fields of an RNTuple."""
    with uproot.open(path) as file:
        tree = file[key]
        return {name: branch.array() for name, branch in tree.items(recursive=isinstance(tree, uproot.TTree))}


def assert_equal(got, expected):
    assert list(got) == list(expected)
    for name, column in expected.items():
        if "union" in str(ak.type(column)):  # which uproot makes of optional parts
            assert ak.to_list(got[name]) == ak.to_list(column), name
        else:
            column = ak.drop_none(column, axis=0)
            assert ak.array_equal(ak.Array(got[name]), column, equal_nan=True, dtype_exact=True), name


def in_chunks(path, key=None):
    pieces = list(read_chunks(path, chunk=N // 3, key=key))
    assert len(pieces) > 1
    return {name: ak.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


def shuffled(path, key=None):
    target = path.with_name("shuffled.root")
    shuffle_file(path, target, np.random.default_rng(1), SMALL, key)
    return plain(target, (key or "Events").partition(";")[0].lstrip("/"))


ORDER = np.argsort(np.random.default_rng(1).random(N), kind="stable")


@pytest.mark.parametrize("name", TREES)
def test_a_tree_is_read_and_shuffled_as_it_is(tmp_path, name):
    path = tmp_path / "tree.root"
    columns = TREES[name]
    kinds = {k: ak.type(v).content if isinstance(v, ak.Array) else kind(v) for k, v in columns.items()}
    with uproot.recreate(path, compression=uproot.LZ4(1)) as file:
        tree = file.mktree("Events", kinds)
        for start in range(0, N, 15):
            tree.extend({name: column[start : start + 15] for name, column in columns.items()})
    expected = plain(path)
    assert_equal(load_events(path), expected)
    assert_equal(in_chunks(path), expected)
    assert_equal(shuffled(path), {name: column[ORDER] for name, column in expected.items()})
    for branch in expected:
        assert_equal(load_events(path, [branch]), {branch: expected[branch]})
    assert event_bytes(path) > 0


@pytest.mark.parametrize("name", NTUPLES)
def test_an_ntuple_is_read_as_it_is_and_not_shuffled(tmp_path, name):
    path = write_ntuple(tmp_path / "nt.root", NTUPLES[name])
    expected = plain(path)
    assert_equal(load_events(path), expected)
    assert_equal(in_chunks(path), expected)
    with pytest.raises(ValueError, match=r"nt\.root: Events is an RNTuple"):
        shuffled(path)


def test_numbers_are_numpy_and_all_else_is_awkward(tmp_path):
    write_tree(tmp_path / "tree.root", N, sample=TEXT, matrix=np.ones((N, 2, 3), "f4"))
    events = load_events(tmp_path / "tree.root")
    assert events["matrix"].shape == (N, 2, 3)
    assert type(events["mth"]) is np.ndarray
    assert (events["sample"] == "zll").to_list() == [text == "zll" for text in TEXT.to_list()]


def test_the_clusters_of_an_ntuple_are_the_pieces(tmp_path):
    with uproot.recreate(tmp_path / "nt.root") as file:
        tree = file.mkrntuple("Events", {"x": np.arange(15)})
        tree.extend({"x": np.arange(15, 30)})
    pieces = [piece["x"].tolist() for piece in read_chunks(tmp_path / "nt.root", chunk=20)]
    assert pieces == [list(range(15)), list(range(15, 30))]


def test_fields_in_fields_have_the_names_that_uproot_lists(tmp_path):
    path = write_ntuple(tmp_path / "nt.root", NTUPLES["records"])
    events = load_events(path, ["jet.pt", "evt.run", "jet"])
    assert_equal(events, {"jet.pt": LISTS, "evt.run": ak.Array(np.arange(N)), "jet": ak.zip({"pt": LISTS})})
    with pytest.raises(KeyError, match=r"no branch jet\.eta; did you mean 'jet\.pt'\?"):
        load_events(path, ["jet.eta"])


def test_missing_values_are_refused_by_event_and_come_as_none(tmp_path):
    columns = {"opt": ak.Array([1.0] * 30 + [None] + [2.0] * 9), "deep": ak.Array([[1, None], []] * 20)}
    path = write_ntuple(tmp_path / "nt.root", columns)
    message = r"nt\.root: opt is missing in 1 of {} events, first in event 30\. .*allow_nonfinite=True.*ak\.fill_none"
    with pytest.raises(ValueError, match=message.format(40)):
        load_events(path, ["opt"])
    with pytest.raises(ValueError, match=r"deep is missing in 20 of 40 events, first in event 0\."):
        load_events(path)
    with pytest.raises(ValueError, match=message.format(12)):
        load_events(path, ["opt"], start=28)
    with pytest.raises(ValueError, match=message.format(10)):
        list(read_chunks(path, ["opt"], chunk=10))
    with pytest.raises(ValueError, match=message.format(10)):
        list(BatchStream({path: 1}, lambda events, label: (events["opt"],) * 3, None, ["opt"], chunk=10))
    events = load_events(path, allow_nonfinite=True)
    assert [events[name].to_list() for name in columns] == [column.to_list() for column in columns.values()]
    assert ak.fill_none(events["opt"], -1)[30] == -1


def test_values_that_are_not_finite_are_found_at_any_depth(tmp_path):
    hits = ak.Array([[{"e": [1.0]}]] * 7 + [[{"e": [2.0, np.inf]}]])
    path = write_ntuple(tmp_path / "nt.root", {"hits": hits, "name": ak.Array(["nan"] * 8)})
    with pytest.raises(
        ValueError, match=r"nt\.root from event 2 on: hits is NaN or infinite in 1 of 6 events, first in"
    ):
        load_events(path, start=2)
    assert load_events(path, ["name"])["name"].to_list() == ["nan"] * 8


# --- names of trees ---------------------------------------------------------------------------------------------------


@pytest.fixture
def forest(tmp_path):
    """Two cycles of one tree, one in a folder, and something else."""
    with uproot.recreate(tmp_path / "forest.root") as file:
        for n in (1, 2):
            file.mktree("Events", {"x": "int64"}).extend({"x": np.arange(n)})
        file.mktree("deep/er/tree", {"x": "int64"}).extend({"x": np.arange(5)})
        file["h"] = np.histogram([1.0])
    return tmp_path / "forest.root"


@pytest.mark.parametrize(("key", "n"), [("Events", 2), ("Events;1", 1), ("Events;2", 2), ("/deep/er/tree;1", 5)])
def test_trees_have_the_names_that_uproot_lists(forest, key, n):
    assert len(load_events(forest, tree=key)["x"]) == n
    assert len(next(read_chunks(forest, key=key))["x"]) == n
    assert len(shuffled(forest, key)["x"]) == n


def test_other_cycles_and_objects_are_named_as_left_out(forest):
    assert set(plan_shuffle(forest, key="Events;1").left_out) == {"Events;2", "deep/er/tree", "h"}
    assert set(plan_shuffle(forest, key="deep/er/tree").left_out) == {"Events", "h"}


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("tree", "did you mean 'deep/er/tree'"),
        ("Events;3", "there is Events;1, Events;2, deep/er/tree;1"),
        ("h", "which is a TH1D; there is Events, deep/er/tree"),
        ("deep", "which is a TDirectory; there is Events, deep/er/tree"),
    ],
)
def test_names_of_no_tree(forest, key, message):
    for read in (lambda: load_events(forest, tree=key), lambda: next(read_chunks(forest, key=key))):
        with pytest.raises(KeyError, match=rf"forest\.root has no tree {key}.*{message}"):
            read()


@pytest.mark.skipif(sys.platform == "win32", reason="no pipes, and no colons in names, there")
def test_paths_that_are_not_a_file(forest, tmp_path):
    os.mkfifo(tmp_path / "pipe.root")
    for path, message in [
        (f"{forest}:Events", r"forest\.root does: give the path alone, and the name of the tree, 'Events', apart"),
        (tmp_path / "pipe.root", "a pipe or a device"),
        (tmp_path, "is a folder"),
    ]:
        for read in (load_events, lambda path: next(read_chunks(path))):
            with pytest.raises(FileNotFoundError, match=message):
                read(path)
    forest.rename(tmp_path / "a:b.root")
    assert len(load_events(tmp_path / "a:b.root")["x"]) == 2


# --- trees as uproot cannot write them --------------------------------------------------------------------------------


@pytest.fixture
def altered(monkeypatch):
    """Change each tree after it is opened."""

    def alter(change):
        for module in ("coursekit.streaming.files", "coursekit.events", "coursekit.jets.jetclass"):
            original = __import__(module, fromlist=["open_tree"]).open_tree

            def opened(file, path, key, original=original):
                tree = original(file, path, key)
                change(tree)
                return tree

            monkeypatch.setattr(f"{module}.open_tree", opened)

    return alter


def below(parent, child, name=None):
    """Move a branch into another, perhaps under another last name."""
    parent.member("fBranches")._data.append(child)
    child._parent, child.members["fName"] = parent, name or child.name
    parent._lookup[child.name] = child


def write_four(path, **types):
    types = types or dict.fromkeys(("a", "b", "x", "y"), "int64")
    with uproot.recreate(path) as file:
        file.mktree("Events", types).extend({name: np.arange(N) + i for i, name in enumerate(types)})
    return path


def containers(tree):
    a, b, x, y = tree.branches
    del tree.member("fBranches")._data[2:]
    below(a, x, "time"), below(b, y, "time")


def test_two_branches_of_one_last_name(tmp_path, altered):
    path = write_four(tmp_path / "a.root")
    altered(containers)
    expected = {"a/time": np.arange(N) + 2, "b/time": np.arange(N) + 3}
    for events in (load_events(path), in_chunks(path), load_events(path, list(expected)[::-1])):
        assert {name: column.tolist() for name, column in events.items()} == {
            k: v.tolist() for k, v in expected.items()
        }
    assert event_bytes(path) == 16
    for read in (load_events, lambda path, names: next(read_chunks(path, names))):
        with pytest.raises(KeyError, match=r"has 2 branches time: a/time, b/time\. Give the full name"):
            read(path, ["time"])
        with pytest.raises(ValueError, match="has no values in a, a container: name its branches, a/time"):
            read(path, ["a/time", "a"])
    with pytest.raises(ValueError, match="the branches a/time and b/time have the same last name"):
        shuffled(path)
    assert [file.name for file in tmp_path.iterdir()] == ["a.root"]


def counts_and_values(tree):
    count, pt = tree.branches
    count.interpretation  # noqa: B018 (int32, as uproot has it for a container with a counter)
    del tree.member("fBranches")._data[1:]
    below(count, pt)


def test_branches_in_branches_are_kept(tmp_path, altered):
    path = write_four(tmp_path / "a.root", **{"Jet": "int32", "Jet.PT": "float32"})
    altered(counts_and_values)
    for events in (load_events(path), in_chunks(path)):
        assert list(events) == ["Jet", "Jet/Jet.PT"]
        assert events["Jet/Jet.PT"].tolist() == list(range(1, N + 1))
    assert list(load_events(path, ["Jet.PT", "Jet"])) == ["Jet.PT", "Jet"]
    result = shuffled(path)
    assert {name: column.to_list() for name, column in result.items()} == {
        "Jet": ORDER.tolist(),
        "Jet.PT": (ORDER + 1.0).tolist(),
    }


def test_two_branches_of_one_full_name(tmp_path, altered):
    path = write_four(tmp_path / "a.root")
    altered(lambda tree: tree.branches[2].members.update(fName="a"))
    for read in (load_events, in_chunks, shuffled, event_bytes, lambda path: load_events(path, ["a"])):
        with pytest.raises(ValueError, match=r"a\.root: the tree Events has several branches of the one name a"):
            read(path)
    assert list(load_events(path, ["b", "y"])) == ["b", "y"]


def unknown(tree):
    tree["b"]._interpretation = UnknownInterpretation("different jaggedness", "file", "branch")


def shorter(tree):
    tree["b"].members["fEntries"] = N // 2
    tree["b"].members["fBasketEntry"] = np.array([0, N // 2])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (unknown, r"the branch b is of type .*, which uproot cannot read \(different jaggedness\)\. Leave it out"),
        (shorter, "the branch b has 20 entries, the tree Events 40, so that nobody knows"),
        (lambda tree: tree.member("fBranches")._data.clear(), "the tree Events has no branches"),
    ],
)
def test_what_cannot_be_read_at_all_is_refused_by_name(tmp_path, altered, change, message):
    path = write_four(tmp_path / "a.root")
    altered(change)
    for read in (load_events, in_chunks, shuffled, event_bytes):
        with pytest.raises(ValueError, match=rf"a\.root: {message}") as caught:
            read(path)
        assert "\n" not in str(caught.value)
    if change in (unknown, shorter):
        assert list(load_events(path, ["a", "x"])) == ["a", "x"]


def test_a_type_is_to_blame_only_if_the_bytes_are_whole(tmp_path, altered, monkeypatch):
    path = write_tree(tmp_path / "a.root", 2000, compression=uproot.ZLIB(1))

    def custom(tree):  # a class that uproot reads by what the file says of it
        tree["mth"]._interpretation = uproot.AsObjects(uproot.AsString(False), tree["mth"])

    altered(custom)
    with pytest.raises(ValueError, match=r"the branch mth is of type .*, which uproot cannot read"):
        load_events(path, ["mth"])
    with uproot.open(path) as file:
        place = int(file["Events"]["mth"].basket_key(1).data_cursor.index)
    content = bytearray(path.read_bytes())
    content[place + 30] ^= 255
    path.write_bytes(content)
    with pytest.raises(OSError, match=r"truncated or damaged: the branch mth cannot be read"):
        load_events(path, ["mth"])
