"""Jets as jagged arrays: reading, writing, packing.

A sample of N jets is an ``ak.Array`` with one list of constituents per jet, each a ``Momentum4D`` with the fields
``px``, ``py``, ``pz``, ``E`` in GeV, and beside it ``labels`` (N,) with 1 for signal. Zero padding exists only in
files.
"""

import contextlib
import difflib
import os
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import awkward as ak
import numpy as np
import vector

N_MAX = 200  # constituents kept for each jet in the reference layout
MOMENTUM = ("px", "py", "pz", "E")
# Masses in GeV by absolute PDG id, for files that store (pt, y, phi, id); particles not listed count as massless.
MASSES = {11: 0.000511, 13: 0.105658, 130: 0.497611, 211: 0.13957, 321: 0.493677, 2112: 0.939565, 2212: 0.938272}
JETCLASS_LABELS = ("QCD", "Hbb", "Hcc", "Hgg", "H4q", "Hqql", "Zqq", "Wqq", "Tbqq", "Tbl")

_TRUTH = ("truthE", "truthPX", "truthPY", "truthPZ")
_BLOCK = 2048  # rows decompressed at once: 7 MB of padded table whatever the number of jets asked for


def _constituent_columns(n_max: int) -> list[str]:
    return [f"{name}_{i}" for i in range(n_max) for name in ("E", "PX", "PY", "PZ")]


# --- jagged, packed, padded -------------------------------------------------------------------------------------------


def unpack(packed: np.ndarray, counts: np.ndarray, fields: Sequence[str] = MOMENTUM) -> ak.Array:
    """Make jagged jets of a packed array; the inverse of `pack`.

    Parameters
    ----------
    packed : (T, F) array
        One row per constituent, the jets one after the other; momenta in GeV.
    counts : (N,) int array
        Number of constituents of each jet; their sum is T.
    fields : sequence of F str
        Names of the columns, among them ``px``, ``py``, ``pz``, ``E``.

    Returns
    -------
    (N, var) ak.Array of Momentum4D, dtype of `packed`

    Raises
    ------
    ValueError
        If the shapes do not fit together.

    Examples
    --------
    >>> jets = unpack(np.array([[3.0, 0, 0, 5], [1, 0, 0, 1], [0, 2, 0, 2]]), [2, 1])
    >>> jets.px.tolist()
    [[3.0, 1.0], [0.0]]
    """
    packed, counts = np.asarray(packed), np.asarray(counts, dtype=np.int64)
    if packed.ndim != 2 or packed.shape[1] != len(fields):
        raise ValueError(
            f"packed must have shape (T, {len(fields)}) for the fields {tuple(fields)}, got {packed.shape}"
        )
    if counts.ndim != 1 or counts.min(initial=0) < 0 or counts.sum() != len(packed):
        raise ValueError(
            f"counts must be N numbers >= 0 that add up to T = {len(packed)}; got shape {counts.shape}, "
            f"sum {counts.sum()}, minimum {counts.min(initial=0)}"
        )
    columns = {name: np.ascontiguousarray(packed[:, i]) for i, name in enumerate(fields)}
    return _momenta(columns, counts)


def pack(jets: ak.Array, features: Sequence[str] = MOMENTUM) -> tuple[np.ndarray, np.ndarray]:
    """Flatten jagged jets to one row per constituent, the form that networks train on.

    Parameters
    ----------
    jets : (N, var) ak.Array of Momentum4D
    features : sequence of F str
        Fields (``px``, ``E``, ...) or properties of a four-momentum (``pt``, ``eta``, ``phi``, ...); GeV, radians.

    Returns
    -------
    packed : (T, F) array, the common dtype of the features
    counts : (N,) int64 array

    Raises
    ------
    ValueError
        If a feature does not exist.

    Examples
    --------
    >>> packed, counts = pack(unpack(np.eye(4), [3, 1]), ["E", "pt"])
    >>> packed.shape, counts.tolist()
    ((4, 2), [3, 1])
    """
    counts = ak.to_numpy(ak.num(jets)).astype(np.int64)
    flat = ak.flatten(jets)
    try:
        columns = [ak.to_numpy(getattr(flat, name)) for name in features]
    except AttributeError:
        missing = [name for name in features if not hasattr(flat, name)]
        raise ValueError(
            f"jets have no feature {missing}; fields are {flat.fields}, and pt, eta, phi, mass ..."
        ) from None
    return np.stack(columns, axis=1), counts


def pad(packed: np.ndarray, counts: np.ndarray, length: int = N_MAX) -> np.ndarray:
    """Pad packed constituents with zeros to `length` per jet, keeping the first `length` of longer jets.

    Parameters
    ----------
    packed : (T, F) array
    counts : (N,) int array
    length : int
        P, constituents per jet after padding.

    Returns
    -------
    (N, P, F) array, dtype of `packed`

    Examples
    --------
    >>> pad(np.array([[1.0], [2.0], [3.0]]), np.array([2, 1]), 2).tolist()
    [[[1.0], [2.0]], [[3.0], [0.0]]]
    """
    packed, counts = np.asarray(packed), np.asarray(counts)
    if packed.ndim != 2 or counts.sum() != len(packed):
        raise ValueError(
            f"counts add up to {counts.sum()}, packed has shape {packed.shape}; expected (sum of counts, F)"
        )
    padded = np.zeros((len(counts), length, packed.shape[1]), packed.dtype)
    jet = np.repeat(np.arange(len(counts)), counts)  # (T,) the jet of each row
    place = np.arange(len(packed)) - np.repeat(np.cumsum(counts) - counts, counts)  # (T,) its place in that jet
    kept = place < length
    padded[jet[kept], place[kept]] = packed[kept]
    return padded


def unpad(padded: np.ndarray, present: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Drop the padding; the inverse of `pad`.

    Parameters
    ----------
    padded : (N, P, F) array
    present : (N, P) bool array
        True where a constituent is real, for instance ``padded[..., 3] > 0`` if column 3 is the energy.

    Returns
    -------
    packed : (T, F) array
    counts : (N,) int64 array

    Examples
    --------
    >>> packed, counts = unpad(np.array([[[1.0], [2.0]], [[3.0], [0.0]]]), np.array([[True, True], [True, False]]))
    >>> packed.ravel().tolist(), counts.tolist()
    ([1.0, 2.0, 3.0], [2, 1])
    """
    padded, present = np.asarray(padded), np.asarray(present, dtype=bool)
    if padded.ndim != 3 or present.shape != padded.shape[:2]:
        raise ValueError(f"padded must be (N, P, F) and present (N, P); got {padded.shape} and {present.shape}")
    return padded[present], np.count_nonzero(present, axis=1)


def _momenta(columns: dict[str, np.ndarray], counts: np.ndarray | None = None) -> ak.Array:
    """Make four-momenta, jagged if counts are given; the fields keep the names px, py, pz, E, as in FastJet."""
    layout = ak.contents.RecordArray(
        [ak.contents.NumpyArray(column) for column in columns.values()],
        list(columns),
        parameters={"__record__": "Momentum4D"},
    )
    if counts is not None:
        offsets = np.concatenate([[0], np.cumsum(counts)])
        layout = ak.contents.ListOffsetArray(ak.index.Index64(offsets), layout)
    return ak.Array(layout, behavior=vector.backends.awkward.behavior)  # the behaviour travels with the array


# --- writing the reference layout -------------------------------------------------------------------------------------


def save_jets(
    path: str | os.PathLike,
    jets: ak.Array,
    labels: np.ndarray,
    truth: ak.Array | None = None,
    ttv: np.ndarray | int = 0,
    mantissa_bits: int = 23,
) -> None:
    """Write jets to an HDF5 file in the layout of the Top Quark Tagging Reference Dataset.

    The constituents are sorted by falling pT, the leading 200 are kept and padded with zeros. The file appears under
    its name only when it is complete. ``pandas.read_hdf(path, key="table")`` reads it.

    Parameters
    ----------
    path : path-like
        Name of the file; an existing one is replaced.
    jets : (N, var) ak.Array of Momentum4D
        Constituents in GeV; stored as float32.
    labels : (N,) array of 0 and 1
        1 for a top jet; column ``is_signal_new``.
    truth : (N,) ak.Array of Momentum4D, optional
        Momentum of the true top quark, GeV; zero for background, and everywhere if not given.
    ttv : int or (N,) int array
        0 training, 1 test, 2 validation.
    mantissa_bits : int
        Bits of each float's mantissa that are kept, 23 for all. 13 rounds to a relative 6e-5, well below any detector's
        resolution, and the file compresses to about half.

    Raises
    ------
    ValueError
        For jets without constituents, energies that are not positive and finite, or arrays that do not fit together.

    References
    ----------
    G. Kasieczka et al., Zenodo record 2603256; arXiv:1902.09914.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_jets(f"{folder}/jets.h5", unpack(np.ones((3, 4)), [2, 1]), [1, 0])
    ...     jets, labels = load_jets(f"{folder}/jets.h5")
    >>> ak.num(jets).tolist(), labels.tolist()
    ([2, 1], [1, 0])
    """
    with jet_writer(path, mantissa_bits) as append:
        append(jets, labels, truth, ttv)


@contextlib.contextmanager
def jet_writer(path: str | os.PathLike, mantissa_bits: int = 23) -> Iterator[Callable[..., None]]:
    """Open a file of the reference layout for writing chunk by chunk.

    Yields a function ``append(jets, labels, truth=None, ttv=0)`` with the arguments of `save_jets`. The file is renamed
    to `path` when the block ends well; after an error, and when nothing was appended, nothing is left.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with jet_writer(f"{folder}/jets.h5") as append:
    ...         append(unpack(np.ones((3, 4)), [2, 1]), [1, 0])
    ...         append(unpack(np.ones((5, 4)), [5]), [1], ttv=2)
    ...     count_jets(f"{folder}/jets.h5")
    3
    """
    import pandas as pd

    if not 1 <= mantissa_bits <= 23:
        raise ValueError(f"mantissa_bits must lie between 1 and 23 (a float32 has 23), got {mantissa_bits}")
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    n_written = 0

    def append(jets, labels, truth=None, ttv=0) -> None:
        nonlocal n_written
        floats, integers = _table_blocks(jets, labels, truth, ttv, mantissa_bits)
        index = np.arange(n_written, n_written + len(floats))
        frame = pd.concat(
            [
                pd.DataFrame(floats, index, [*_constituent_columns(N_MAX), *_TRUTH], copy=False),
                pd.DataFrame(integers, index, ["ttv", "is_signal_new"], copy=False),
            ],
            axis=1,
        )
        store.append("table", frame, format="table", index=False)
        n_written += len(frame)

    try:
        with pd.HDFStore(partial, "w", complib="zlib", complevel=4) as store:
            yield append
            if n_written == 0:
                raise ValueError(f"no jets were written to {path}; append at least one chunk")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _table_blocks(jets, labels, truth, ttv, mantissa_bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the (N, 804) float32 and (N, 2) int64 blocks of the reference table."""
    packed, counts = pack(jets, ("E", "px", "py", "pz"))
    labels, ttv = np.asarray(labels), np.broadcast_to(ttv, len(counts))
    if labels.shape != counts.shape or (truth is not None and len(truth) != len(counts)):
        raise ValueError(
            f"{len(counts)} jets need as many labels and truth momenta; got labels of shape {labels.shape}"
            + ("" if truth is None else f", {len(truth)} truth momenta")
        )
    if not np.isin(labels, (0, 1)).all() or not np.isin(ttv, (0, 1, 2)).all():
        raise ValueError("labels must be 0 or 1, ttv 0 (training), 1 (test) or 2 (validation)")
    if (counts == 0).any():
        raise ValueError(f"jet {np.flatnonzero(counts == 0)[0]} has no constituents; drop empty jets before saving")
    if not (np.isfinite(packed).all() and (packed[:, 0] > 0).all()):
        raise ValueError(
            "constituents need finite momenta and energies above zero: a zero energy means padding in this file"
        )
    packed = _round_mantissa(packed.astype(np.float32), mantissa_bits)
    pt2 = packed[:, 1].astype(np.float64) ** 2 + packed[:, 2].astype(np.float64) ** 2
    order = np.lexsort((-pt2, np.repeat(np.arange(len(counts)), counts)))
    floats = np.zeros((len(counts), 4 * N_MAX + 4), np.float32)
    floats[:, : 4 * N_MAX] = pad(packed[order], counts, N_MAX).reshape(len(counts), -1)
    if truth is not None:
        momentum = np.stack([ak.to_numpy(getattr(truth, name)) for name in ("E", "px", "py", "pz")], axis=1)
        floats[:, 4 * N_MAX :] = _round_mantissa(momentum.astype(np.float32), mantissa_bits)
    return floats, np.stack([ttv, labels], axis=1).astype(np.int64)


def _round_mantissa(x: np.ndarray, bits: int) -> np.ndarray:
    """Round float32 values to the nearest with `bits` bits of mantissa; the zeroed rest compresses away."""
    dropped = 23 - bits
    if dropped == 0:
        return x
    as_integers = x.view(np.uint32) + np.uint32(1 << (dropped - 1))  # half of the last kept bit; a carry is right too
    return (as_integers & np.uint32(0xFFFFFFFF << dropped & 0xFFFFFFFF)).view(np.float32)


# --- reading the reference layout -------------------------------------------------------------------------------------


def load_jets(
    path: str | os.PathLike, start: int = 0, stop: int | None = None, key: str = "table"
) -> tuple[ak.Array, np.ndarray]:
    """Read the constituents and labels of jets `start` to `stop` from a file of the reference layout.

    Only the rows asked for are read, and the padding is dropped block by block, so that memory grows with the jets, not
    with the file. The truth columns are not inputs and are not read: see `load_truth`.

    Parameters
    ----------
    path : path-like
        HDF5 file with a table as pandas writes it: columns ``E_0, PX_0, PY_0, PZ_0, E_1, ...`` and ``is_signal_new``.
        Any compression that PyTables knows (zlib, blosc, blosc2, lzo, bzip2).
    start, stop : int
        First jet, and one past the last; to the end by default.
    key : str
        Name of the table in the file.

    Returns
    -------
    jets : (N, var) ak.Array of Momentum4D, float32, GeV
        Constituents in the order of the file, which is falling pT.
    labels : (N,) int64 array
        1 for signal.

    Raises
    ------
    FileNotFoundError, OSError
        If the file is missing, truncated or damaged.
    KeyError
        If the table or a column is missing.
    ValueError
        If the file is not HDF5, has no jets, or a jet has no constituents or a momentum that is not finite.
    IndexError
        If `start` or `stop` lies outside the file.

    Notes
    -----
    The numbers stay float32, as in the file, to need half the memory. Sums lose digits in float32 (a jet's mass is a
    small difference of large numbers): `coursekit.observables` works in float64.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_jets(f"{folder}/jets.h5", unpack(np.ones((6, 4)), [2, 1, 3]), [1, 0, 1])
    ...     jets, labels = load_jets(f"{folder}/jets.h5", start=1)
    >>> jets.E.tolist(), labels.tolist()
    ([[1.0], [1.0, 1.0, 1.0]], [0, 1])
    """
    packed, counts, labels = [], [], []
    with _open_table(path, key) as table:
        where = _columns(table)
        n_max = max(1, sum(name.startswith("E_") and name[2:].isdigit() for name in where))
        momenta = _places(where, _constituent_columns(n_max), path)
        is_signal = _places(where, ["is_signal_new"], path)
        for rows in _blocks(table, path, start, stop):
            padded = _take(rows, momenta).reshape(len(rows), n_max, 4)  # (n, P, 4) of E px py pz
            real, number = unpad(padded, padded[..., 0] != 0)
            packed.append(real.astype(np.float32, copy=False))
            counts.append(number)
            labels.append(_take(rows, is_signal)[:, 0].astype(np.int64))
    packed, counts, labels = np.concatenate(packed), np.concatenate(counts), np.concatenate(labels)
    _check_constituents(packed, counts, path, start)
    e, px, py, pz = np.ascontiguousarray(packed.T)
    return _momenta({"px": px, "py": py, "pz": pz, "E": e}, counts), labels


def load_truth(
    path: str | os.PathLike, start: int = 0, stop: int | None = None, key: str = "table"
) -> tuple[ak.Array, np.ndarray]:
    """Read the true top momentum of jets `start` to `stop`, for studies of the sample and never as an input.

    It is zero for background, so that a classifier given these columns has been given the label.

    Parameters
    ----------
    path, start, stop, key
        As in `load_jets`, with the same errors.

    Returns
    -------
    truth : (N,) ak.Array of Momentum4D, float32, GeV
    ttv : (N,) int64 array
        0 training, 1 test, 2 validation.
    """
    momenta, ttv = [], []
    with _open_table(path, key) as table:
        where = _columns(table)
        truth_places, ttv_places = _places(where, _TRUTH, path), _places(where, ["ttv"], path)
        for rows in _blocks(table, path, start, stop):
            momenta.append(_take(rows, truth_places).astype(np.float32))
            ttv.append(_take(rows, ttv_places)[:, 0].astype(np.int64))
    e, px, py, pz = np.concatenate(momenta).T
    return _momenta({"px": px, "py": py, "pz": pz, "E": e}), np.concatenate(ttv)


def count_jets(path: str | os.PathLike, key: str = "table") -> int:
    """Return the number of jets in a file of the reference layout, without reading them."""
    with _open_table(path, key) as table:
        return int(table.nrows)


@contextlib.contextmanager
def _open_table(path: str | os.PathLike, key: str):
    import tables

    path = _existing(path)
    with path.open("rb") as file:
        head = file.read(8)
    if head != b"\x89HDF\r\n\x1a\n":
        raise ValueError(
            f"{path} is not an HDF5 file: " + (f"it starts with {head!r}" if head else "it is empty (0 bytes)")
        )
    try:
        file = tables.open_file(path)
    except (tables.HDF5ExtError, OSError) as error:
        raise OSError(
            f"{path} is truncated or damaged ({path.stat().st_size} bytes); fetch or make it again"
        ) from error
    with file:
        if f"/{key}" not in file:
            names = [group._v_pathname[1:] for group in file.walk_groups() if "pandas_type" in group._v_attrs]
            raise KeyError(f"{path} has no table {key!r}; it has {names or 'none'}" + _did_you_mean(key, names))
        node = file.get_node(f"/{key}")
        if isinstance(node, tables.Group) and "table" in node:
            node = node.table
        if not isinstance(node, tables.Table):
            raise ValueError(
                f"{path}: {key!r} is not a table that can be read in slices; "
                f"write it with DataFrame.to_hdf(path, key={key!r}, format='table')"
            )
        yield node


def _columns(table) -> dict[str, tuple[str, int]]:
    """Map each column of the data frame to the table's field that holds it and its place there."""
    where = {}
    for field in table.colnames:
        # pandas gathers columns of one type in a block and keeps their names beside it.
        names = getattr(table.attrs, f"{field}_kind", None)
        for place, name in enumerate(names if isinstance(names, list) else [field]):
            where[str(name)] = field, place
    return where


def _places(where: dict, names: Sequence[str], path) -> list[tuple[str, slice]]:
    """Say where the named columns lie: one slice when they lie side by side, as in the public files."""
    _require(where, names, path)
    places = []
    for name in names:
        field, place = where[name]
        if places and places[-1][0] == field and places[-1][1].stop == place:
            places[-1] = field, slice(places[-1][1].start, place + 1)
        else:
            places.append((field, slice(place, place + 1)))
    return places


def _take(rows: np.ndarray, places: list[tuple[str, slice]]) -> np.ndarray:
    """Return columns of table rows as an (n, F) array, a view if they are one slice."""
    parts = [rows[field].reshape(len(rows), -1)[:, place] for field, place in places]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def _require(names, wanted: Sequence[str], path) -> None:
    missing = [name for name in wanted if name not in names]
    if missing:
        raise KeyError(
            f"{path} lacks {len(missing)} of the {len(wanted)} columns needed, the first {missing[0]!r}"
            + _did_you_mean(missing[0], list(names))
        )


def _blocks(table, path, start: int, stop: int | None) -> Iterator[np.ndarray]:
    import tables

    start, stop = _check_range(path, start, stop, int(table.nrows))
    buffer = np.empty(min(_BLOCK, stop - start), table.dtype)
    for first in range(start, stop, _BLOCK):
        last = min(first + _BLOCK, stop)
        rows = buffer[: last - first]
        try:
            table.read(first, last, out=rows)
        except tables.HDF5ExtError as error:
            reason = str(error).strip().splitlines()[-1]
            raise OSError(
                f"{path}: rows {first} to {last} cannot be read ({reason}); fetch or make the file again"
            ) from error
        yield rows


def _existing(path: str | os.PathLike) -> Path:
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; `coursekit data` lists what can be fetched or simulated")
    return path


def _check_range(path, start: int, stop: int | None, n: int) -> tuple[int, int]:
    if n == 0:
        raise ValueError(f"{path} has no jets; make it again")
    stop = n if stop is None else stop
    if not 0 <= start < stop <= n:
        raise IndexError(f"{path} has {n} jets; expected 0 <= start < stop <= {n}, got start {start} and stop {stop}")
    return start, stop


def _check_constituents(packed: np.ndarray, counts: np.ndarray, path, start: int) -> None:
    if (counts == 0).any():
        empty = np.flatnonzero(counts == 0)
        raise ValueError(
            f"{path}: {len(empty)} jets have no constituents, the first is row {start + empty[0]}; "
            "drop them where the file is made"
        )
    finite = np.isfinite(packed)
    if not finite.all():
        jet = np.searchsorted(np.cumsum(counts), np.flatnonzero(~finite.all(axis=1))[0], side="right")
        raise ValueError(f"{path}: row {start + jet} has a momentum that is NaN or infinite; make the file again")


def _did_you_mean(name: str, names: list[str]) -> str:
    close = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


# --- other public samples ---------------------------------------------------------------------------------------------


def load_quark_gluon(path: str | os.PathLike, start: int = 0, stop: int | None = None) -> tuple[ak.Array, np.ndarray]:
    """Read jets `start` to `stop` of a quark/gluon ``.npz`` file (Zenodo record 3164691).

    The array ``X`` (N, P, 4) of (pt, rapidity, phi, PDG id), zero-padded, is read as a stream: memory is needed for
    the jets asked for. Momenta follow with the mass of each particle's kind.

    Parameters
    ----------
    path : path-like
    start, stop : int
        First jet, and one past the last; to the end by default.

    Returns
    -------
    jets : (N, var) ak.Array of Momentum4D, float32, GeV
        With the further field ``pdgid``.
    labels : (N,) int64 array
        1 for quark jets, 0 for gluon jets.

    Raises
    ------
    FileNotFoundError, OSError, KeyError, ValueError, IndexError
        As `load_jets`.

    References
    ----------
    P. T. Komiske, E. M. Metodiev, J. Thaler, arXiv:1810.05165.
    """
    path = _existing(path)
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path} is not an .npz file, or is truncated; fetch it again")
    parts = []
    with zipfile.ZipFile(path) as archive:
        for name in ("X.npy", "y.npy"):
            if name not in archive.namelist():
                raise KeyError(f"{path} has no array {name[0]!r}; it has {[Path(n).stem for n in archive.namelist()]}")
        with archive.open("y.npy") as file:
            labels = np.lib.format.read_array(file)
        with archive.open("X.npy") as file:
            shape, dtype = _npy_header(file)
            if len(shape) != 3 or shape[2] != 4 or shape[0] != len(labels):
                raise ValueError(f"{path}: X must be (N, P, 4) with N = {len(labels)} labels, got {shape}")
            start, stop = _check_range(path, start, stop, shape[0])
            n_bytes = dtype.itemsize * shape[1] * 4
            file.seek(start * n_bytes, os.SEEK_CUR)
            for first in range(start, stop, _BLOCK):
                n = min(_BLOCK, stop - first)
                padded = np.frombuffer(file.read(n * n_bytes), dtype).reshape(n, shape[1], 4)
                parts.append(unpad(padded, padded[..., 0] > 0))
    packed, counts = (np.concatenate(part) for part in zip(*parts, strict=True))
    pt, y, phi, pdgid = packed.astype(np.float64).T
    ids, inverse = np.unique(np.abs(pdgid).astype(np.int64), return_inverse=True)
    mt = np.hypot(pt, np.array([MASSES.get(i, 0.0) for i in ids.tolist()])[inverse])
    packed = np.stack([pt * np.cos(phi), pt * np.sin(phi), mt * np.sinh(y), mt * np.cosh(y)], axis=1).astype(np.float32)
    _check_constituents(packed, counts, path, start)
    columns = dict(zip(MOMENTUM, packed.T, strict=True))
    jets = _momenta({**columns, "pdgid": pdgid.astype(np.int32)}, counts)
    return jets, labels[start:stop].astype(np.int64)


def _npy_header(file) -> tuple[tuple[int, ...], np.dtype]:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran_order, dtype = read(file)
    if fortran_order:
        raise ValueError("X is stored in Fortran order and cannot be read in slices; save np.ascontiguousarray(X)")
    return shape, dtype


def load_jetclass(path: str | os.PathLike, start: int = 0, stop: int | None = None) -> tuple[ak.Array, np.ndarray]:
    """Read jets `start` to `stop` of a ROOT file as JetClass has them (Zenodo record 6619768).

    The tree ``tree`` has the jagged branches ``part_px``, ``part_py``, ``part_pz``, ``part_energy`` and the one-hot
    ``label_*``.

    Parameters
    ----------
    path : path-like
    start, stop : int
        First jet, and one past the last; to the end by default.

    Returns
    -------
    jets : (N, var) ak.Array of Momentum4D, float32, GeV
    labels : (N,) int64 array
        Place of the class in `JETCLASS_LABELS`: ``labels == JETCLASS_LABELS.index("Tbqq")`` are hadronic top jets.

    Raises
    ------
    FileNotFoundError, OSError, KeyError, ValueError, IndexError
        As `load_jets`.

    References
    ----------
    H. Qu, C. Li, S. Qian, arXiv:2202.03772.
    """
    import uproot

    path = _existing(path)
    momenta = ["part_px", "part_py", "part_pz", "part_energy"]
    one_hot = [f"label_{name}" for name in JETCLASS_LABELS]
    with path.open("rb") as file:
        if file.read(4) != b"root":
            raise ValueError(f"{path} is not a ROOT file")
    try:
        file = uproot.open(path)
        tree = file.get("tree")
    except Exception as error:  # uproot raises many kinds for a file that ends too soon
        raise OSError(f"{path} is truncated or damaged ({path.stat().st_size} bytes); fetch it again") from error
    with file:
        if tree is None:
            raise KeyError(f"{path} has no tree 'tree'; it has {file.keys(cycle=False)}")
        _require(tree.keys(), [*momenta, *one_hot], path)
        start, stop = _check_range(path, start, stop, tree.num_entries)
        try:
            arrays = tree.arrays([*momenta, *one_hot], entry_start=start, entry_stop=stop)
        except Exception as error:  # whatever a decompressor raises on bytes that are not its own
            raise OSError(f"{path}: jets {start} to {stop} cannot be read; fetch the file again") from error
    counts = ak.to_numpy(ak.num(arrays.part_px))
    packed = np.stack([ak.to_numpy(ak.flatten(arrays[name])) for name in momenta], axis=1).astype(np.float32)
    _check_constituents(packed, counts, path, start)
    labels = np.stack([ak.to_numpy(arrays[name]) for name in one_hot], axis=1).astype(np.int64)  # (N, K)
    if (labels.sum(axis=1) != 1).any():
        raise ValueError(f"{path}: {np.count_nonzero(labels.sum(axis=1) != 1)} jets do not have exactly one class")
    return unpack(packed, counts), labels.argmax(axis=1)
