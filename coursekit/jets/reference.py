"""The layout of the Top Quark Tagging Reference Dataset: writing it, and reading any slice of it.

A table of a pandas ``HDFStore`` with one row per jet: 200 constituents, sorted by falling pT and padded with zeros, as
``E_0``, ``PX_0``, ``PY_0``, ``PZ_0``, ``E_1`` ..., then the true top's momentum, ``ttv`` and ``is_signal_new``.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import awkward as ak
import numpy as np

from coursekit.files import replacing
from coursekit.jets.arrays import N_MAX, four_momenta, jet_numbers, pack, pad, unpad
from coursekit.words import listed, near

_TRUTH = ("truthE", "truthPX", "truthPY", "truthPZ")
_BLOCK = 2048  # rows in hand at once: 7 MB of padded table whatever the number of jets


def _constituent_columns(n_max: int) -> list[str]:
    return [f"{name}_{i}" for i in range(n_max) for name in ("E", "PX", "PY", "PZ")]


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
    >>> from coursekit.jets import unpack
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
    >>> from coursekit.jets import unpack
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
    n_written = 0

    def append(jets, labels, truth=None, ttv=0) -> None:
        nonlocal n_written
        labels, ttv = np.asarray(labels), np.broadcast_to(ttv, np.shape(ttv) or len(jets))
        if not len(jets) == len(labels) == len(ttv) == (len(jets) if truth is None else len(truth)):
            raise ValueError(
                f"{len(jets)} jets need as many labels, truth momenta and ttv; got {len(labels)} labels, {len(ttv)} ttv"
                + ("" if truth is None else f", {len(truth)} truth momenta")
            )
        for start in range(0, len(jets), _BLOCK):
            part = slice(start, start + _BLOCK)
            floats, integers = _table_blocks(
                jets[part], labels[part], None if truth is None else truth[part], ttv[part], mantissa_bits
            )
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

    with replacing(path) as partial:
        with pd.HDFStore(partial, "w", complib="zlib", complevel=4) as store:
            yield append
            if n_written == 0:
                raise ValueError(f"no jets were written to {path}; append at least one chunk")
        # When the disk is full, HDF5 says nothing while it closes; but a file that is too short does not open.
        try:
            complete = count_jets(partial) == n_written
        except (OSError, ValueError):
            complete = False
        if not complete:
            raise OSError(f"{path} could not be written completely; is the disk full? Nothing was kept.")


def _table_blocks(jets, labels, truth, ttv, mantissa_bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the (N, 804) float32 and (N, 2) int64 blocks of the reference table."""
    packed, counts = pack(jets, ("E", "px", "py", "pz"))
    if not np.isin(labels, (0, 1)).all() or not np.isin(ttv, (0, 1, 2)).all():
        raise ValueError("labels must be 0 or 1, ttv 0 (training), 1 (test) or 2 (validation)")
    if (counts == 0).any():
        raise ValueError(f"{np.count_nonzero(counts == 0)} jets have no constituents; drop empty jets before saving")
    with np.errstate(over="ignore"):  # what does not fit becomes infinite, and is refused
        packed = _round_mantissa(packed.astype(np.float32), mantissa_bits)
    if not (np.isfinite(packed).all() and (packed[:, 0] > 0).all()):
        raise ValueError("constituents need finite momenta and energies above zero: zero energy is padding in the file")
    pt2 = packed[:, 1].astype(np.float64) ** 2 + packed[:, 2].astype(np.float64) ** 2
    order = np.lexsort((-pt2, jet_numbers(counts)))
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
    with the file. The truth columns are not inputs and are not read (``pandas.read_hdf`` does): they are zero
    for background, so that a classifier given them has been given the label.

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
    >>> from coursekit.jets import unpack
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_jets(f"{folder}/jets.h5", unpack(np.ones((6, 4)), [2, 1, 3]), [1, 0, 1])
    ...     jets, labels = load_jets(f"{folder}/jets.h5", start=1)
    >>> jets.E.tolist(), labels.tolist()
    ([[1.0], [1.0, 1.0, 1.0]], [0, 1])
    """
    packed, counts, labels = [], [], []
    with open_table(path, key) as table:
        where = _columns(table)
        n_max = max(1, sum(name.startswith("E_") and name[2:].isdigit() for name in where))
        momenta = _places(where, _constituent_columns(n_max), path)
        is_signal = _places(where, ["is_signal_new"], path)
        for rows in read_blocks(table, path, start, stop):
            padded = _take(rows, momenta).reshape(len(rows), n_max, 4)  # (n, P, 4) of E px py pz
            real, number = unpad(padded, padded[..., 0] != 0)
            packed.append(real.astype(np.float32, copy=False))
            counts.append(number)
            labels.append(_take(rows, is_signal)[:, 0].astype(np.int64))
    packed, counts, labels = np.concatenate(packed), np.concatenate(counts), np.concatenate(labels)
    check_constituents(packed, counts, path, start)
    e, px, py, pz = np.ascontiguousarray(packed.T)
    return four_momenta({"px": px, "py": py, "pz": pz, "E": e}, counts), labels


def count_jets(path: str | os.PathLike, key: str = "table") -> int:
    """Return the number of jets in a file of the reference layout, without reading them."""
    with open_table(path, key) as table:
        return int(table.nrows)


@contextlib.contextmanager
def open_table(path: str | os.PathLike, key: str):
    import tables

    path = existing_file(path)
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
            raise KeyError(f"{path} has no table {key!r};{near(key, names)} it has {listed(names)}")
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
    require_columns(where, names, path)
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


def require_columns(names, wanted: Sequence[str], path) -> None:
    missing = [name for name in wanted if name not in names]
    if missing:
        raise KeyError(
            f"{path} lacks {len(missing)} of the {len(wanted)} columns needed, the first {missing[0]!r};"
            f"{near(missing[0], names)} there is {listed(names)}"
        )


def read_blocks(table, path, start: int, stop: int | None) -> Iterator[np.ndarray]:
    import tables

    start, stop = checked_range(path, start, stop, int(table.nrows))
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


def existing_file(path: str | os.PathLike) -> Path:
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; `coursekit data` lists what can be fetched or simulated")
    return path


def checked_range(path, start: int, stop: int | None, n: int) -> tuple[int, int]:
    if n == 0:
        raise ValueError(f"{path} has no jets; make it again")
    stop = n if stop is None else stop
    if not 0 <= start < stop <= n:
        raise IndexError(f"{path} has {n} jets; expected 0 <= start < stop <= {n}, got start {start} and stop {stop}")
    return start, stop


def check_constituents(packed: np.ndarray, counts: np.ndarray, path, start: int) -> None:
    if (counts == 0).any():
        empty = np.flatnonzero(counts == 0)
        raise ValueError(
            f"{path}: {len(empty)} jets have no constituents, the first is row {start + empty[0]}; "
            "drop them where the file is made"
        )
    finite = np.isfinite(packed)
    if not finite.all():
        jet = jet_numbers(counts)[~finite.all(axis=1)][0]
        raise ValueError(f"{path}: row {start + jet} has a momentum that is NaN or infinite; make the file again")
