import contextlib
import tracemalloc
from pathlib import Path

import awkward as ak
import numpy as np
import pandas as pd
import pytest
import tables

from coursekit import jets as cj

COLUMNS = [f"{name}_{i}" for i in range(200) for name in ("E", "PX", "PY", "PZ")]
TRUTH = ["truthE", "truthPX", "truthPY", "truthPZ"]


def make_jets(n, seed=0, low=1, high=60, dtype=np.float32):
    """Random jets of massless constituents, sorted by falling pT as in the reference layout."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(low, high, n)
    p = rng.exponential(20, (counts.sum(), 1)) * rng.normal((1, 0, 0), 0.2, (counts.sum(), 3))
    packed = np.concatenate([p, np.linalg.norm(p, axis=1, keepdims=True)], axis=1).astype(dtype)
    pt2 = packed[:, 0].astype(np.float64) ** 2 + packed[:, 1].astype(np.float64) ** 2
    packed = packed[np.lexsort((-pt2, np.repeat(np.arange(n), counts)))]
    return cj.unpack(packed, counts), rng.integers(0, 2, n)


def reference_frame(jets, labels):
    """The table of the public files, filled with a loop over jets."""
    frame = np.zeros((len(jets), 804), np.float32)
    for row, jet in zip(frame, jets.to_list(), strict=True):
        for i, particle in enumerate(jet):
            row[4 * i : 4 * i + 4] = particle["E"], particle["px"], particle["py"], particle["pz"]
    frame = pd.DataFrame(frame, columns=COLUMNS + TRUTH)
    frame.loc[labels == 1, "truthE"] = 600.0
    frame["ttv"], frame["is_signal_new"] = np.int64(1), labels.astype(np.int64)
    frame.index = 3 * np.arange(len(frame)) + 375  # the public files keep the row numbers of before a selection
    return frame


def assert_same(jets, expected):
    assert ak.num(jets).tolist() == ak.num(expected).tolist()
    for name in cj.MOMENTUM:
        assert np.array_equal(ak.flatten(jets[name]), ak.flatten(expected[name]))


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    path = tmp_path_factory.mktemp("jets") / "jets.h5"
    jets, labels = make_jets(500)
    cj.save_jets(path, jets, labels)
    return path, jets, labels


# --- packing ----------------------------------------------------------------------------------------------------------


def test_packing_and_padding_go_there_and_back():
    jets, _ = make_jets(50, low=0, high=12)  # some jets are empty
    packed, counts = cj.pack(jets)
    assert packed.dtype == np.float32
    assert packed.shape == (counts.sum(), 4)
    assert_same(cj.unpack(packed, counts), jets)
    padded = cj.pad(packed, counts, 12)
    for i, jet in enumerate(jets.to_list()):  # the oracle: one jet after the other
        expected = np.zeros((12, 4), np.float32)
        for j, particle in enumerate(jet):
            expected[j] = [particle[name] for name in cj.MOMENTUM]
        assert np.array_equal(padded[i], expected)
    again, counts_again = cj.unpad(padded, padded[..., 3] > 0)
    assert np.array_equal(again, packed)
    assert np.array_equal(counts_again, counts)


def test_padding_keeps_the_first_constituents_of_a_long_jet():
    padded = cj.pad(np.arange(1, 8.0)[:, None], np.array([4, 0, 3]), 2)
    assert padded[..., 0].tolist() == [[1, 2], [0, 0], [5, 6]]


def test_packing_takes_properties_of_the_momentum():
    jets = cj.unpack(np.array([[3.0, 4.0, 0.0, 5.0]]), [1])
    packed, _ = cj.pack(jets, ["pt", "phi", "E"])
    assert packed[0] == pytest.approx([5, np.arctan2(4, 3), 5])


def test_packing_leaves_its_inputs_alone():
    packed, counts = cj.pack(make_jets(5)[0])
    before = packed.copy()
    jets = cj.unpack(packed, counts)
    packed[:] = 0
    assert np.array_equal(cj.pack(jets)[0], before)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cj.unpack(np.ones((3, 5)), [3]), r"shape \(T, 4\).*got \(3, 5\)"),
        (lambda: cj.unpack(np.ones((3, 4)), [1, 1]), "add up to T = 3.* sum is 2"),
        (lambda: cj.unpack(np.ones((3, 4)), [4, -1]), "got -1 for jet 1"),
        (lambda: cj.pad(np.ones((3, 4)), np.array([2])), "add up to 2"),
        (lambda: cj.unpad(np.ones((3, 4)), np.ones((3, 4)) > 0), r"padded must be \(N, P, F\)"),
        (lambda: cj.pack(make_jets(2)[0], ["px", "charge"]), "no feature .'charge'"),
    ],
)
def test_arrays_that_do_not_fit_together_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# --- the reference layout ---------------------------------------------------------------------------------------------


def test_pandas_reads_what_we_write(sample):
    path, jets, labels = sample
    frame = pd.read_hdf(path, key="table", start=100, stop=200)
    expected = reference_frame(jets[100:200], labels[100:200])
    assert frame.columns.tolist() == expected.columns.tolist() == [*COLUMNS, *TRUTH, "ttv", "is_signal_new"]
    assert frame.dtypes.tolist() == expected.dtypes.tolist()
    assert np.array_equal(frame[COLUMNS], expected[COLUMNS])
    assert np.array_equal(frame["is_signal_new"], labels[100:200])
    assert frame.index.tolist() == list(range(100, 200))


def test_the_table_on_disk_is_that_of_the_public_files(sample, tmp_path):
    reference_frame(*make_jets(2)).to_hdf(tmp_path / "other.h5", key="table", format="table")
    with tables.open_file(sample[0]) as ours, tables.open_file(tmp_path / "other.h5") as other:
        assert ours.root.table.table.dtype == other.root.table.table.dtype
        assert ours.root.table.table.attrs.values_block_0_kind == other.root.table.table.attrs.values_block_0_kind
        assert ours.root.table._v_attrs.pandas_type == "frame_table"


@pytest.mark.parametrize("library", [None, "zlib", "blosc", "blosc:zstd", "blosc2", "blosc2:lz4", "bzip2", "lzo"])
def test_a_file_made_elsewhere_loads_whatever_its_compression(library, tmp_path):
    if library and tables.which_lib_version(library.split(":")[0]) is None:
        pytest.skip(f"PyTables was built without {library}")
    jets, labels = make_jets(60)
    compression = {"complib": library, "complevel": 5} if library else {}
    reference_frame(jets, labels).to_hdf(tmp_path / "other.h5", key="table", format="table", **compression)
    read, read_labels = cj.load_jets(tmp_path / "other.h5", 10, 50)
    assert_same(read, jets[10:50])
    assert np.array_equal(read_labels, labels[10:50])


@pytest.mark.parametrize("change", ["order", "data columns", "float64", "more columns", "fewer constituents"])
def test_columns_are_found_by_name(change, tmp_path):
    jets, labels = make_jets(30)
    frame, options = reference_frame(jets, labels), {}
    if change == "order":
        frame = frame[np.random.default_rng(1).permutation(frame.columns)]
    elif change == "data columns":
        options = {"data_columns": ["is_signal_new", "E_0", "PZ_3"]}
    elif change == "float64":
        frame = frame.astype(dict.fromkeys(COLUMNS, np.float64))
    elif change == "more columns":
        frame.insert(0, "E_sum", np.float32(1))
    else:
        frame = frame[[*COLUMNS[:240], "is_signal_new"]]  # 60 constituents at most, no truth
    frame.to_hdf(tmp_path / "other.h5", key="jets/all", format="table", **options)
    read, read_labels = cj.load_jets(tmp_path / "other.h5", key="jets/all")
    assert_same(read, jets)
    assert read.px.type.content.content.primitive == "float32"
    assert np.array_equal(read_labels, labels)


def test_slices_across_blocks_agree_with_the_whole(tmp_path):
    jets, labels = make_jets(5000, high=4)
    cj.save_jets(tmp_path / "jets.h5", jets, labels)
    assert cj.count_jets(tmp_path / "jets.h5") == 5000
    for start, stop in [(0, None), (0, 1), (2047, 2049), (4999, 5000), (100, 4500)]:
        read, read_labels = cj.load_jets(tmp_path / "jets.h5", start, stop)
        assert_same(read, jets[start:stop])
        assert np.array_equal(read_labels, labels[start:stop])


def test_reading_needs_memory_for_the_jets_read(tmp_path):
    jets, labels = make_jets(6000, high=20)
    cj.save_jets(tmp_path / "jets.h5", jets, labels)
    cj.load_jets(tmp_path / "jets.h5", 0, 1)  # what is imported and cached the first time does not count

    def peak(n):
        tracemalloc.start()
        cj.load_jets(tmp_path / "jets.h5", 0, n)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    padded = 6000 * 3232
    assert peak(60) < 0.05 * padded
    assert peak(6000) < 0.8 * padded  # one block of padded rows and the constituents, never the padded whole


def test_truth_is_kept_apart(tmp_path):
    jets, _ = make_jets(4)
    truth = cj.unpack(np.array([[1, 2, 3, 600], [0, 0, 0, 0], [4, 5, 6, 700], [0, 0, 0, 0]]), [1] * 4)[:, 0]
    cj.save_jets(tmp_path / "jets.h5", jets, [1, 0, 1, 0], truth, ttv=[0, 1, 2, 2])
    read, read_labels = cj.load_jets(tmp_path / "jets.h5")
    assert set(read.fields) == set(cj.MOMENTUM)
    assert read_labels.tolist() == [1, 0, 1, 0]
    frame = pd.read_hdf(tmp_path / "jets.h5", key="table", start=1)
    assert frame["truthE"].tolist() == [0, 700, 0]
    assert frame["truthPZ"].tolist() == [0, 6, 0]
    assert frame["ttv"].tolist() == [1, 2, 2]


# --- writing ----------------------------------------------------------------------------------------------------------


def test_constituents_are_sorted_by_pt_and_the_leading_200_kept(tmp_path):
    rng = np.random.default_rng(3)
    pt = rng.permutation(np.arange(1, 251.0))
    jets = cj.unpack(np.stack([pt, 0 * pt, 0 * pt, pt], axis=1), [250])
    cj.save_jets(tmp_path / "jets.h5", jets, [1])
    read, _ = cj.load_jets(tmp_path / "jets.h5")
    assert read.px[0].tolist() == list(range(250, 50, -1))
    assert jets.px[0].tolist() == pt.tolist()


def test_chunks_give_the_same_file_as_one_call(sample, tmp_path):
    path, jets, labels = sample
    with cj.jet_writer(tmp_path / "chunks.h5") as append:
        for start in range(0, 500, 150):
            append(jets[start : start + 150], labels[start : start + 150])
    pd.testing.assert_frame_equal(pd.read_hdf(tmp_path / "chunks.h5", key="table"), pd.read_hdf(path, key="table"))


def test_a_file_that_the_disk_had_no_room_for_takes_no_name(tmp_path, monkeypatch):
    close = pd.HDFStore.close

    def cut(store):
        close(store)
        with open(store._path, "r+b") as file:
            file.truncate(Path(store._path).stat().st_size // 2)

    monkeypatch.setattr(pd.HDFStore, "close", cut)
    with pytest.raises(OSError, match=r"No space left on device while .*jets\.h5 was written; nothing"):
        cj.save_jets(tmp_path / "jets.h5", cj.unpack(np.ones((3, 4)), [2, 1]), [1, 0])
    assert not list(tmp_path.iterdir())


def test_an_interrupted_writer_leaves_the_old_file_and_nothing_else(tmp_path):
    jets, labels = make_jets(3)
    cj.save_jets(tmp_path / "jets.h5", jets, labels)
    with contextlib.suppress(KeyboardInterrupt), cj.jet_writer(tmp_path / "jets.h5") as append:
        append(*make_jets(2))
        raise KeyboardInterrupt
    assert [file.name for file in tmp_path.iterdir()] == ["jets.h5"]
    assert cj.count_jets(tmp_path / "jets.h5") == 3


def test_rounding_keeps_the_promised_precision(tmp_path):
    jets, labels = make_jets(200)
    cj.save_jets(tmp_path / "full.h5", jets, labels)
    cj.save_jets(tmp_path / "rounded.h5", jets, labels, mantissa_bits=13)
    full, rounded = (cj.pack(cj.load_jets(tmp_path / name)[0])[0] for name in ("full.h5", "rounded.h5"))
    # Rounded pT may tie and swap neighbours, hence sorted columns.
    assert np.sort(rounded[:, 3]) == pytest.approx(np.sort(full[:, 3]), rel=2**-14)
    assert not (rounded.view(np.uint32) & (2**10 - 1)).any()
    assert (tmp_path / "rounded.h5").stat().st_size < 0.8 * (tmp_path / "full.h5").stat().st_size


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"jets": cj.unpack(np.ones((1, 4)), [1, 0])}, "1 jets have no constituents"),
        ({"jets": cj.unpack(np.zeros((2, 4)), [1, 1])}, "jets.h5: 2 jets .* neither padding .* first is row 0"),
        ({"jets": cj.unpack(np.full((2, 4), np.nan), [1, 1])}, "finite"),
        ({"jets": cj.unpack(np.full((2, 4), 1e300), [1, 1])}, "finite"),
        ({"labels": [1, 2]}, "labels must be 0 .background. or 1 .signal., but 1 of 2 are not: event 1 has 2"),
        ({"labels": [1]}, r"2 jets need as many labels.*got 1 labels"),
        ({"labels": 1}, "labels must be flat"),
        ({"ttv": [0, 1, 2]}, "3 ttv"),
        ({"ttv": np.array([0, 1], "m8[s]")}, "ttv must be numbers"),
        ({"ttv": np.zeros(2, [("a", int)])}, "ttv must be numbers"),
        ({"ttv": 3}, "ttv must be 0 .training., 1"),
        ({"truth": cj.unpack(np.ones((1, 4)), [1])[:, 0]}, "1 truth momenta"),
        ({"mantissa_bits": 24}, "between 1 and 23"),
    ],
)
def test_jets_that_cannot_be_written_are_refused(change, message, tmp_path):
    arguments = {"jets": cj.unpack(np.ones((2, 4)), [1, 1]), "labels": [1, 0], **change}
    with pytest.raises(ValueError, match=message):
        cj.save_jets(tmp_path / "jets.h5", **arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_file_without_jets_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="no jets were written"), cj.jet_writer(tmp_path / "jets.h5"):
        pass
    assert list(tmp_path.iterdir()) == []


# --- bad files --------------------------------------------------------------------------------------------------------


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere.h5 is missing"):
        cj.load_jets(tmp_path / "nowhere.h5")


@pytest.mark.parametrize(("content", "message"), [(b"", "empty"), (b"PK\x03\x04 not a table", "not an HDF5 file")])
def test_a_file_that_is_not_hdf5(content, message, tmp_path):
    (tmp_path / "bad.h5").write_bytes(content)
    with pytest.raises(ValueError, match=f"bad.h5.*{message}"):
        cj.load_jets(tmp_path / "bad.h5")


@pytest.mark.parametrize("kept", [9, 600, 0.5, 0.99])
def test_a_truncated_file(kept, sample, tmp_path):
    content = sample[0].read_bytes()
    (tmp_path / "cut.h5").write_bytes(content[: kept if kept > 1 else int(kept * len(content))])
    with pytest.raises(OSError, match=r"cut.h5 is truncated or damaged.*again"):
        cj.load_jets(tmp_path / "cut.h5")


def test_a_damaged_file(sample, tmp_path):
    content = bytearray(sample[0].read_bytes())
    middle = len(content) // 2
    content[middle : middle + 2000] = bytes(2000)
    (tmp_path / "damaged.h5").write_bytes(content)
    with pytest.raises(OSError, match=r"damaged.h5: rows 0 to 500 cannot be read"):
        cj.load_jets(tmp_path / "damaged.h5")


def test_a_wrong_key_names_the_right_one(sample):
    with pytest.raises(KeyError, match=r"no table 'tabel'; did you mean 'table'\? it has table"):
        cj.load_jets(sample[0], key="tabel")


def test_a_fixed_format_frame_names_the_remedy(tmp_path):
    reference_frame(*make_jets(2)).to_hdf(tmp_path / "fixed.h5", key="table", format="fixed")
    with pytest.raises(ValueError, match="format='table'"):
        cj.load_jets(tmp_path / "fixed.h5")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("is_signal_new", "is_signal", "'is_signal_new'; did you mean 'is_signal'"),
        ("PX_7", "px_7", "lacks 1 of the 800 columns needed, the first 'PX_7'"),
        ("E_0", "energy", "'E_199'"),
    ],
)
def test_wrong_columns_are_named(old, new, message, tmp_path):
    reference_frame(*make_jets(2)).rename(columns={old: new}).to_hdf(tmp_path / "bad.h5", key="table", format="table")
    if old == "E_0":
        message = "'E_0'"
    with pytest.raises(KeyError, match=message):
        cj.load_jets(tmp_path / "bad.h5")


def test_a_table_without_rows(tmp_path):
    cj.save_jets(tmp_path / "empty.h5", *make_jets(2))
    with tables.open_file(tmp_path / "empty.h5", "a") as file:
        file.root.table.table.truncate(0)
    with pytest.raises(ValueError, match=r"empty.h5 has no jets"):
        cj.load_jets(tmp_path / "empty.h5")


@pytest.mark.parametrize(("start", "stop"), [(-1, 3), (0, 501), (500, None), (5, 5), (7, 3)])
def test_a_range_outside_the_file(start, stop, sample):
    with pytest.raises(IndexError, match="has 500 jets; expected 0 <= start < stop <= 500"):
        cj.load_jets(sample[0], start, stop)


@pytest.mark.parametrize(("value", "message"), [(0, "no constituents"), (np.nan, "NaN or infinite"), (np.inf, "NaN")])
def test_a_row_that_is_no_jet_is_named(value, message, tmp_path):
    frame = reference_frame(*make_jets(30, high=5))
    frame.iloc[17, :20] = value
    frame.to_hdf(tmp_path / "bad.h5", key="table", format="table")
    with pytest.raises(ValueError, match=f"row 17.*{message}|{message}.*row 17"):
        cj.load_jets(tmp_path / "bad.h5", 3, 25)
    cj.load_jets(tmp_path / "bad.h5", 18)  # and the others can be read
