"""Reading in chunks: every event once, in the order of the file, with its types."""

import zlib

import awkward as ak
import numpy as np
import pandas as pd
import pytest
import tables
import uproot

from coursekit.events import load_events
from coursekit.jets import load_jets
from coursekit.streaming import (
    BatchStream,
    event_bytes,
    plan_shuffle,
    read_chunks,
    shuffle_file,
)
from tests.streaming.conftest import prepare, write_tree


def test_size_of_an_event(tree_file, table_file, jet_file):
    assert event_bytes(tree_file, ["mth", "weight"]) == 12
    in_memory = load_events(tree_file)
    assert event_bytes(tree_file) == pytest.approx(sum(column.nbytes for column in in_memory.values()) / 5000, rel=0.1)
    assert event_bytes(table_file, ["mth", "sample", "tight"]) == 4 + 2 * 4 + 1  # text takes four bytes a letter
    with tables.open_file(table_file) as file:
        row = file.root.table.table.rowsize  # which has two bytes for the sample, and one for the flavour
        assert event_bytes(table_file) == row - 3 + 2 * 2 * 4
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
    assert pieces[0]["sample"][0] == frame["sample"][100]
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
        for request in ({"chunk": 2.5}, {"chunk": "3"}, {"start": 2.5}, {"start": None}, {"stop": np.nan}):
            with pytest.raises(ValueError, match=f"{next(iter(request))} is a whole number"):
                next(read_chunks(path, **request))


@pytest.mark.parametrize("suffix", [".root", ".h5"])
def test_a_file_that_is_written_to_meanwhile_is_neither_mixed_nor_called_damaged(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"

    def write(n, first):
        if suffix == ".h5":
            pd.DataFrame({"event": first + np.arange(n)}).to_hdf(path, key="table", format="table", mode="w")
            return
        with uproot.recreate(path) as file:
            file.mktree("Events", {"event": "int64"}).extend({"event": first + np.arange(n)})

    for n in (3000, 30):  # as long, and shorter
        write(3000, 0)
        pieces = read_chunks(path, ["event"], chunk=1000)
        stream = BatchStream({path: 1}, prepare, None, ["event"], chunk=1000, buffer=1000)
        assert next(pieces)["event"][0] == 0
        write(n, 10**6)
        for read in (lambda pieces=pieces: next(pieces), lambda stream=stream: next(iter(stream))):
            with pytest.raises(OSError, match=rf"a\{suffix} changed while it was read, .*nobody writes to it\."):
                read()
