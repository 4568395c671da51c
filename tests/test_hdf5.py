"""HDF5 tables of other programs: what is read is equal to what pandas or h5py read, or refused in one line by name."""

import warnings

import awkward as ak
import h5py
import numpy as np
import pandas as pd
import pytest
import tables

from coursekit.jets import load_jets, unpack
from coursekit.streaming import event_bytes, read_chunks, shuffle_file

N = 2500  # more than one block of rows
JETS = ["E_0", "PX_0", "PY_0", "PZ_0", "E_1", "PX_1", "PY_1", "PZ_1"]
TIMES = pd.date_range("2026-01-01", periods=N, freq="s")


def numbers(n=N, dtype="f8"):
    return np.random.default_rng(n).integers(0, 100, n).astype(dtype)


def read(path, names=None, key=None, chunk=1000):
    pieces = list(read_chunks(path, names, chunk, key=key))
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


def same(values, expected):
    """Equal, and of the same type; text is an object to pandas."""
    np.testing.assert_array_equal(values, expected, strict=expected.dtype != "O")


def write(path, frame, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # names that are none in Python
        frame.to_hdf(path, key="table", format="table", index=False, **options)


def read_back(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pd.read_hdf(path, key="table")


def refused(error, match, call):
    with pytest.raises(error, match=match) as info:
        call()
    assert len(str(info.value).splitlines()) == 1
    return info


def shuffled(path, target, key=None):
    shuffle_file(path, target, np.random.default_rng(1), "200MB", key)
    return np.argsort(np.random.default_rng(1).random(N), kind="stable")


# --- pandas -----------------------------------------------------------------------------------------------------------

FRAMES = {
    "plain": {"x": numbers(), "n": numbers(dtype="i8")},
    "small and big integers": {kind: numbers(dtype=kind) for kind in ("i1", "u1", "i2", "u2", "i4", "u4", "u8")}
    | {"far": np.full(N, 2**64 - 1, np.uint64), "near": np.full(N, -(2**63))},
    "floats": {"half": numbers(dtype="f2"), "single": numbers(dtype="f4"), "complex": numbers() * 1j},
    "big-endian": {"x": numbers(dtype=">f4"), "n": numbers(dtype=">i8")},
    "bools": {"b": numbers() > 50, "c": numbers() > 20},
    "NaN": {"x": np.where(numbers() > 50, np.nan, 1), "inf": np.full(N, np.inf)},
    "text": {"s": [f"s{i % 7}" for i in range(N)], "ü": ["", "ä", "日本", "€uro", "a b"] * (N // 5)},
    "categories of text": {"c": pd.Categorical(["e", "mu", "τ", "e", "e"] * (N // 5))},
    "categories in order": {"c": pd.Categorical(["b", "a"] * (N // 2), categories=["b", "a", "z"], ordered=True)},
    "categories of numbers": {"c": pd.Categorical([30, 10] * (N // 2)), "d": pd.Categorical([1.5, 0.5] * (N // 2))},
    "categories of times": {"c": pd.Categorical(TIMES)},
    "categories of bools": {"c": pd.Categorical([True, False] * (N // 2))},
    "times": {"t": TIMES, "never": [pd.NaT, TIMES[0]] * (N // 2), "d": TIMES - TIMES[3]},
    "a column called as the index": {"index": numbers()},
    "numbers as names": {0: numbers(), 1: numbers(dtype="i4")},
    "names that are none in Python": {"a b": numbers(), "a/b": numbers(), "x-": numbers(), "class": numbers()},
}


@pytest.mark.parametrize("data_columns", [None, True], ids=["blocks", "data columns"])
@pytest.mark.parametrize("kind", FRAMES)
def test_a_table_of_pandas_is_read_as_pandas_reads_it(kind, data_columns, tmp_path):
    frame = pd.DataFrame(FRAMES[kind])
    if data_columns and (kind in ("a column called as the index", "numbers as names", "big-endian") or "a/b" in frame):
        pytest.skip("pandas writes no such data columns")
    path = tmp_path / "a.h5"
    write(path, frame, data_columns=data_columns)
    expected = read_back(path)
    columns = read(path)
    assert set(columns) - {"index"} == set(map(str, frame.columns)) - {"index"}
    for name in frame.columns:
        same(columns[str(name)], expected[name].to_numpy())
    assert event_bytes(path) >= sum(column.itemsize for column in columns.values())
    order = shuffled(path, tmp_path / "b.h5")
    pd.testing.assert_frame_equal(read_back(tmp_path / "b.h5"), expected.iloc[order])


INDICES = {
    "numbers": np.arange(N) * 3,
    "text": [f"é{i}" for i in range(N)],
    "times": TIMES,
    "bools": numbers() > 50,
    "floats": numbers() / 7,
}


@pytest.mark.parametrize("kind", INDICES)
def test_an_index_is_a_column(kind, tmp_path):
    frame = pd.DataFrame({"x": numbers()}, index=INDICES[kind])
    frame.to_hdf(tmp_path / "a.h5", key="table", format="table")
    expected = pd.read_hdf(tmp_path / "a.h5", key="table").index.to_numpy()
    same(read(tmp_path / "a.h5")["index"], expected)


def test_levels_of_an_index_and_of_columns_are_columns(tmp_path):
    index = pd.MultiIndex.from_arrays([np.arange(N), ["a", "b"] * (N // 2)], names=["run", "part"])
    columns = pd.MultiIndex.from_tuples([("jet", "pt"), ("jet", "eta")])
    pd.DataFrame({"x": numbers()}, index=index).to_hdf(tmp_path / "a.h5", key="table", format="table")
    events = read(tmp_path / "a.h5")
    assert events["run"].tolist() == list(range(N))
    assert events["part"].tolist() == ["a", "b"] * (N // 2)
    assert events["x"].tolist() == numbers().tolist()
    frame = pd.DataFrame(np.arange(2 * N).reshape(N, 2), columns=columns)
    frame.to_hdf(tmp_path / "b.h5", key="table", format="table")
    assert read(tmp_path / "b.h5")["('jet', 'eta')"].tolist() == frame["jet", "eta"].tolist()


def test_a_series_is_a_column(tmp_path):
    pd.Series(numbers(), name="x").to_hdf(tmp_path / "a.h5", key="table", format="table")
    assert read(tmp_path / "a.h5")["x"].tolist() == numbers().tolist()


UNREADABLE = {
    "text that is missing": ({"s": ["a"] * 1200 + [None] + ["a"] * (N - 1201)}, "s", "no value in row 1200"),
    "text that pandas takes for missing": ({"s": ["nan"] + ["a"] * (N - 1)}, "s", "no value in row 0"),
    "a category that is missing": ({"c": pd.Categorical([*["a", "b"] * (N // 2 - 1), None, "a"])}, "c", "row 2498"),
    "no category at all": ({"c": pd.Categorical([None] * N)}, "c", "no value in row 0"),
    "a category that pandas takes for missing": ({"c": pd.Categorical(["nan", "b"] * (N // 2))}, "c", "a category"),
    "times in a zone": ({"t": TIMES.tz_localize("Europe/Berlin")}, "t", "time zone Europe/Berlin"),
    "times in microseconds": ({"t": TIMES.as_unit("us")}, "t", r"datetime64\[us\]"),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_a_column_that_means_something_else_is_refused_by_name(kind, tmp_path):
    columns, name, message = UNREADABLE[kind]
    path = tmp_path / "a.h5"
    write(path, pd.DataFrame(columns | {"x": numbers()}))
    for names in (None, [name], ["x", name]):
        refused(ValueError, f"a.h5: column {name}.*{message}|{name}.*{message}", lambda names=names: read(path, names))
    assert read(path, ["x"])["x"].tolist() == numbers().tolist()
    order = shuffled(path, tmp_path / "b.h5")  # which copies rows as they are
    with tables.open_file(path) as source, tables.open_file(tmp_path / "b.h5") as target:
        np.testing.assert_array_equal(target.root.table.table[:], source.root.table.table[:][order])


@pytest.mark.parametrize(("index", "message"), [(TIMES.tz_localize("UTC"), "UTC"), (TIMES.to_period("s"), "times")])
def test_an_index_that_means_something_else_is_refused(index, message, tmp_path):
    pd.DataFrame({"x": numbers()}, index=index).to_hdf(tmp_path / "a.h5", key="table", format="table")
    refused(ValueError, f"column index .*{message}", lambda: read(tmp_path / "a.h5"))
    assert read(tmp_path / "a.h5", ["x"])["x"].tolist() == numbers().tolist()


@pytest.mark.parametrize("names", [["x", "x"], [0, "0"], [("a", 1), "('a', 1)"]])
def test_equal_names_are_refused(names, tmp_path):
    frame = pd.DataFrame(np.arange(3 * N).reshape(N, 3), columns=pd.Index([*names, "y"], tupleize_cols=False))
    frame.to_hdf(tmp_path / "a.h5", key="table", format="table")
    refused(ValueError, "is there twice", lambda: read(tmp_path / "a.h5"))
    assert read(tmp_path / "a.h5", ["y"])["y"].tolist() == frame["y"].tolist()


def test_a_fixed_frame_names_the_remedy(tmp_path):
    pd.DataFrame({"x": numbers()}).to_hdf(tmp_path / "a.h5", key="/deep/x")
    for call in (
        lambda: read(tmp_path / "a.h5", key="deep/x"),
        lambda: load_jets(tmp_path / "a.h5", key="deep/x"),
        lambda: shuffled(tmp_path / "a.h5", tmp_path / "b.h5", key="deep/x"),
    ):
        refused(ValueError, r"'deep/x' is not a table.*key='deep/x', format='table'", call)


# --- plain tables -----------------------------------------------------------------------------------------------------

ROWS = np.rec.fromarrays([numbers(dtype="f4"), numbers(dtype="i8")], names="x,n").view(np.ndarray)
PLAIN = {
    "contiguous": (ROWS, {}),
    "chunked": (ROWS, {"chunks": (100,)}),
    "gzip": (ROWS, {"compression": "gzip", "shuffle": True}),
    "checksums": (ROWS, {"fletcher32": True}),
    "big-endian": (ROWS.astype([("x", ">f4"), ("n", ">i8")]), {"chunks": (100,)}),
    "mixed endianness": (ROWS.astype([("x", ">f4"), ("n", "<i8")]), {}),
    "small": (ROWS.astype([("x", "f2"), ("n", "u1")]), {}),
    "aligned": (ROWS.astype(np.dtype([("x", "i1"), ("n", "f8")], align=True)), {}),
    "arrays": (np.array([(np.eye(2), [i, 1]) for i in range(N)], [("x", "f4", (2, 2)), ("n", "i2", 2)]), {}),
    "bools": (ROWS.astype([("x", "f4"), ("n", "?")]), {}),
    "text": (ROWS.astype([("x", "S5"), ("n", "i8")]), {}),
    "other names": (ROWS.astype([("a b", "f4"), ("ü", "i8")]), {"chunks": (100,)}),
    "enumerations": (ROWS.astype([("x", h5py.enum_dtype({"no": 0, "yes": 1}, "i1")), ("n", "i8")]), {}),
}


def write_plain(path, rows, options, name="deep/table"):
    with h5py.File(path, "w") as file:
        file.create_dataset(name, data=rows, **options)
    return path


@pytest.mark.parametrize("kind", PLAIN)
def test_a_table_of_h5py_is_read_as_h5py_reads_it(kind, tmp_path):
    path = write_plain(tmp_path / "a.h5", *PLAIN[kind])
    with h5py.File(path) as file:
        expected = file["deep/table"][:]
    columns = read(path, key="/deep/table")
    assert list(columns) == list(expected.dtype.names)
    for name, column in columns.items():
        native = expected[name].astype(expected[name].dtype.newbyteorder("="))
        np.testing.assert_array_equal(column, native, strict=True)
    order = shuffled(path, tmp_path / "b.h5", key="/deep/table")
    with h5py.File(tmp_path / "b.h5") as file:
        result = file["deep/table"][:]
    for name in columns:
        np.testing.assert_array_equal(result[name], expected[name][order])
        assert result[name].dtype.kind == expected[name].dtype.kind


STRANGE = {
    "text of any length": (np.array([("a", 1)] * N, [("x", h5py.string_dtype()), ("n", "i8")]), "not a table"),
    "lists": (np.array([(np.ones(2), 1)] * N, [("x", h5py.vlen_dtype("f4")), ("n", "i8")]), "not a table"),
    "lists in a record": (
        np.array([((np.ones(2),), 1)] * N, [("x", [("y", h5py.vlen_dtype("i2"))]), ("n", "i8")]),
        "not a table",
    ),
    "a hidden name": (ROWS.astype([("x", "f4"), ("_v_n", "i8")]), "not a table"),
    "a slash in a name": (ROWS.astype([("x/y", "f4"), ("n", "i8")]), "not a table"),
    "a matrix of rows": (ROWS.reshape(-1, 2), "not a table"),
    "one row": (ROWS[0], "not a table"),
    "an array": (ROWS["n"], "not a table"),
    "no rows": (ROWS[:0], "no events|no jets"),
}


@pytest.mark.parametrize("kind", STRANGE)
def test_what_is_no_table_of_rows_is_refused(kind, tmp_path):
    rows, message = STRANGE[kind]
    path = write_plain(tmp_path / "a.h5", rows, {"maxshape": (None,)} if len(np.shape(rows)) and not len(rows) else {})
    for call in (
        lambda: read(path, key="deep/table"),
        lambda: load_jets(path, key="deep/table"),
        lambda: shuffled(path, tmp_path / "b.h5", key="deep/table"),
    ):
        refused((ValueError, KeyError), f"a.h5.*({message}|lacks)", call)


def test_a_link_leads_to_its_table(tmp_path):
    path = write_plain(tmp_path / "a.h5", ROWS, {}, "real")
    with h5py.File(path, "a") as file:
        file["table"], file["gone"] = h5py.SoftLink("/real"), h5py.SoftLink("/nowhere")
    np.testing.assert_array_equal(read(path)["n"], ROWS["n"])
    assert shuffled(path, tmp_path / "b.h5") is not None
    refused(KeyError, "a.h5 has no table 'gone'", lambda: read(path, key="gone"))
    refused(KeyError, "a.h5 has no table 'None'", lambda: load_jets(path, key=None))
    refused(ValueError, "'table' is not a table", lambda: read(write_plain(path, ROWS["n"], {}, "table")))


@pytest.mark.parametrize("number", [None, 32015], ids=["lzf", "unknown"])
def test_a_filter_that_is_not_there_is_named(number, tmp_path):
    path = write_plain(tmp_path / "a.h5", jet_rows(), {"compression": "lzf"}, "table")
    if number:  # 32000 is lzf, in the message that says how the data are compressed
        content = path.read_bytes()
        message = b"\x00\x7d\x08\x00\x01\x00\x03\x00lzf"
        assert content.count(message) == 1
        path.write_bytes(content.replace(message, b"\x0f\x7d" + message[2:].replace(b"lzf", b"xyz")))
    for call in (lambda: read(path), lambda: load_jets(path), lambda: shuffled(path, tmp_path / "b.h5")):
        refused(OSError, f"a.h5 is compressed with the filter '{'xyz' if number else 'lzf'}'.*gzip", call)


def jet_rows(n=N):
    """Jets of one or two constituents as rows of a plain table."""
    rows = np.zeros(n, [(name, "f4") for name in JETS] + [("is_signal_new", "i8")])
    rows["E_0"], rows["PX_0"], rows["is_signal_new"] = 5 + numbers(n), 5 + numbers(n), np.arange(n) % 2
    rows["E_1"][::3], rows["PX_1"][::3] = 3, 2
    return rows


def jets():
    rows = jet_rows()
    padded = np.stack([rows[name] for name in ("PX_0", "PY_0", "PZ_0", "E_0", "PX_1", "PY_1", "PZ_1", "E_1")], axis=1)
    padded = padded.reshape(N, 2, 4)
    present = padded[..., 3] > 0
    return unpack(padded[present], present.sum(axis=1)), rows["is_signal_new"]


# --- compression ------------------------------------------------------------------------------------------------------

LIBRARIES = ["zlib", "bzip2", "lzo", "blosc", "blosc:lz4", "blosc:zstd", "blosc2", "blosc2:zstd"]


@pytest.mark.parametrize("library", LIBRARIES)
def test_jets_are_read_whatever_the_compression(library, tmp_path):
    if tables.which_lib_version(library.split(":")[0]) is None:
        pytest.skip(f"PyTables was built without {library}")
    frame = pd.DataFrame(jet_rows())
    frame.to_hdf(tmp_path / "a.h5", key="table", format="table", complib=library, complevel=5)
    check_jets(tmp_path / "a.h5", tmp_path / "b.h5")


@pytest.mark.parametrize("options", [{}, {"compression": "gzip"}, {"shuffle": True}, {"fletcher32": True}])
@pytest.mark.parametrize("order", ["<", ">"])
def test_jets_are_read_from_a_plain_table(options, order, tmp_path):
    rows = jet_rows()
    rows = rows.astype([(name, order + rows.dtype[name].str[1:]) for name in rows.dtype.names])
    check_jets(write_plain(tmp_path / "a.h5", rows, options, "table"), tmp_path / "b.h5")


def check_jets(path, target):
    expected, labels = jets()
    found, found_labels = load_jets(path)
    assert ak.array_equal(found, ak.values_astype(expected, np.float32))
    assert found_labels.tolist() == labels.tolist()
    order = shuffled(path, target)
    assert ak.array_equal(load_jets(target)[0], found[order])
    assert load_jets(target)[1].tolist() == labels[order].tolist()


def test_neighbours_of_a_table_stay_behind(tmp_path):
    # Beside rows in a new order they would belong to others than before.
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["deep/table"], file["deep/weights"] = ROWS, ROWS["x"]
        file["deep/names"] = np.array(["a", "b"], h5py.string_dtype())
    plan = shuffle_file(tmp_path / "a.h5", tmp_path / "b.h5", np.random.default_rng(1), key="deep/table")
    assert set(plan.left_out) == {"/deep/names", "/deep/weights"}
    with h5py.File(tmp_path / "b.h5") as file:
        assert list(file["deep"]) == ["table"]
