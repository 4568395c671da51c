"""The layout of the Top Quark Tagging Reference Dataset: writing it, and reading any slice of it.

A table of a pandas ``HDFStore`` with one row per jet: 200 constituents, sorted by falling pT and padded with zeros, as
``E_0``, ``PX_0``, ``PY_0``, ``PZ_0``, ``E_1`` ..., then the true top's momentum, ``ttv`` and ``is_signal_new``.
"""

import contextlib
import errno
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import awkward as ak
import numpy as np

from coursekit.arrays import binary_labels, numbers, plain
from coursekit.files import naming_if_full, replacing
from coursekit.jets.arrays import N_MAX, four_momenta, jet_numbers, pack, pad, unpad, whole
from coursekit.jets.hdf5 import Column, columns, open_table, read_blocks, written
from coursekit.jets.reading import enough_memory, filled, require_columns, require_sound

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
        For jets without constituents, energies that are not positive and finite, labels or `ttv` that are none, what
        is missing (`ak.mask`, `numpy.ma`), or arrays that do not fit together.
    OSError
        If the file cannot be written; the message says why, and nothing is kept.

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
    with replacing(path) as partial, table_writer(partial, path, mantissa_bits) as append:
        yield append


@contextlib.contextmanager
def table_writer(partial: Path, path: str | os.PathLike, mantissa_bits: int) -> Iterator[Callable[..., None]]:
    """Do what `jet_writer` does to a file that gets its name later, `path`, which is that of the messages."""
    import pandas as pd

    if not 1 <= mantissa_bits <= 23:
        raise ValueError(f"mantissa_bits must lie between 1 and 23 (a float32 has 23), got {mantissa_bits}")
    n_written = 0

    def append(jets, labels, truth=None, ttv=0) -> None:
        nonlocal n_written
        jets, labels, ttv = whole(jets), binary_labels(labels), numbers(ttv, "ttv")
        ttv = np.broadcast_to(ttv, ttv.shape or len(jets))
        if not len(jets) == len(labels) == len(ttv) == (len(jets) if truth is None else len(truth)):
            raise ValueError(
                f"{len(jets)} jets need as many labels, truth momenta and ttv; got {len(labels)} labels, {len(ttv)} ttv"
                + ("" if truth is None else f", {len(truth)} truth momenta")
            )
        integers = np.stack([_checked_ttv(ttv), labels], axis=1)
        truth = None if truth is None else _truth_columns(truth, mantissa_bits)
        for start in range(0, len(jets), _BLOCK):
            part = slice(start, start + _BLOCK)
            floats = _float_columns(jets[part], path, n_written, mantissa_bits)
            if truth is not None:
                floats[:, 4 * N_MAX :] = truth[part]
            index = np.arange(n_written, n_written + len(floats))
            frame = pd.concat(
                [
                    pd.DataFrame(floats, index, [*_constituent_columns(N_MAX), *_TRUTH], copy=False),
                    pd.DataFrame(integers[part], index, ["ttv", "is_signal_new"], copy=False),
                ],
                axis=1,
            )
            store.append("table", frame, format="table", index=False)
            n_written += len(frame)

    with naming_if_full(path):
        with written(), pd.HDFStore(partial, "w", complib="zlib", complevel=4) as store:
            yield append
            if n_written == 0:
                raise ValueError(f"no jets were written to {path}; append at least one chunk")
        # When the disk is full, HDF5 says nothing while it closes; but a file that is too short does not open.
        try:
            complete = count_jets(partial) == n_written
        except (OSError, ValueError):
            complete = False
        if not complete:
            raise OSError(errno.ENOSPC, "HDF5 left the end away, probably for lack of space,")


def _checked_ttv(ttv: np.ndarray) -> np.ndarray:
    if ttv.ndim != 1 or not np.isin(ttv, (0, 1, 2)).all():
        raise ValueError("ttv must be 0 (training), 1 (test) or 2 (validation), one number for each jet or for all")
    return ttv.astype(np.int64)


def _float_columns(jets: ak.Array, path, first: int, mantissa_bits: int) -> np.ndarray:
    """Return the (N, 804) float32 block of the reference table, without the truth; `first` numbers the rows."""
    packed, counts = pack(jets, ("E", "px", "py", "pz"))
    packed = _rounded(packed, mantissa_bits)
    require_sound(packed, packed[:, 0], counts, path, first)
    pt2 = packed[:, 1].astype(np.float64) ** 2 + packed[:, 2].astype(np.float64) ** 2
    order = np.lexsort((-pt2, jet_numbers(counts)))
    floats = np.zeros((len(counts), 4 * N_MAX + 4), np.float32)
    floats[:, : 4 * N_MAX] = pad(packed[order], counts, N_MAX).reshape(len(counts), -1)
    return floats


def _truth_columns(truth: ak.Array, mantissa_bits: int) -> np.ndarray:
    """Return the (N, 4) float32 momenta of the true particles, once they are known to be numbers."""
    truth = plain(truth, "truth")
    momenta = _rounded(
        np.stack([ak.to_numpy(getattr(truth, name)) for name in ("E", "px", "py", "pz")], axis=1), mantissa_bits
    )
    finite = np.isfinite(momenta).all(axis=1)
    if not finite.all():
        raise ValueError(f"truth of jet {np.argmin(finite)} is NaN or infinite; give zeros where there is no top quark")
    return momenta


def _rounded(x: np.ndarray, bits: int) -> np.ndarray:
    """Return float32 values with `bits` bits of mantissa, to the nearest; the zeroed rest compresses away."""
    dropped = 23 - bits
    with np.errstate(over="ignore"):  # what does not fit becomes infinite, and is refused
        x = np.ascontiguousarray(x, dtype=np.float32)
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
        Name of the table in the file, with or without the slash that ``HDFStore.keys()`` prints.

    Returns
    -------
    jets : (N, var) ak.Array of Momentum4D, float32, GeV
        Constituents in the order of the file, which is falling pT.
    labels : (N,) int64 array
        1 for signal.

    Raises
    ------
    FileNotFoundError, PermissionError
        If the file is missing, or may not be read.
    BlockingIOError
        If another program has it open for writing.
    OSError
        If the file is truncated or damaged, or compressed with a filter that PyTables does not have.
    KeyError
        If the table or a column is missing; the error lists what there is.
    ValueError
        If the file is not HDF5, has no jets, or a jet has no constituents, one that is neither padding nor has finite
        momenta and an energy above zero, or a label that is not 0 or 1. The first such row is named.
    MemoryError
        If the jets asked for are too many.
    IndexError
        If `start` or `stop` lies outside the file.

    Notes
    -----
    Four zeros are padding, wherever they stand. The numbers stay float32, as in the file, to need half the memory. Sums
    lose digits in float32 (a jet's mass is a small difference of large numbers): `coursekit.observables` works in
    float64.

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
    with enough_memory(path):
        with open_table(path, key) as table:
            momenta, is_signal = _places(columns(table, path), path)
            for rows in read_blocks(table, path, start, stop):
                padded = _take(rows, momenta).reshape(len(rows), -1, 4)  # (n, P, 4) of E px py pz
                real, number = unpad(padded, filled(padded))
                with np.errstate(over="ignore"):  # what does not fit becomes infinite, and is refused
                    packed.append(real.astype(np.float32, copy=False))
                counts.append(number)
                labels.append(_take(rows, is_signal)[:, 0].copy())
        packed, counts, labels = np.concatenate(packed), np.concatenate(counts), np.concatenate(labels)
        require_sound(packed, packed[:, 0], counts, path, start)
        labels = binary_labels(labels, source=path, what="is_signal_new", start=start)
        e, px, py, pz = np.ascontiguousarray(packed.T)
        return four_momenta({"px": px, "py": py, "pz": pz, "E": e}, counts), labels


def count_jets(path: str | os.PathLike, key: str = "table") -> int:
    """Return the number of jets in a file of the reference layout, without reading them."""
    with open_table(path, key) as table:
        return int(table.nrows)


def _places(where: dict[str, Column], path) -> tuple[list[tuple[str, slice]], list[tuple[str, slice]]]:
    """Say where the constituents and the labels lie, in one slice each if they can, as in the public files."""
    found = [re.fullmatch(r"(?:E|PX|PY|PZ)_(\d+)", name, re.ASCII) for name in where]
    n_max = 1 + max((int(match[1]) for match in found if match), default=0)
    return _slices(where, _constituent_columns(n_max), path), _slices(where, ["is_signal_new"], path)


def _slices(where: dict[str, Column], names: Sequence[str], path) -> list[tuple[str, slice]]:
    require_columns(where, names, path)
    places = []
    for name in names:
        column = where[name]
        if column.coded or column.dtype.kind not in "biuf" or column.dtype.shape:
            raise ValueError(f"{path}: column {name} holds {column.dtype}; expected one number in each row")
        place = column.place or 0
        if places and places[-1][0] == column.field and places[-1][1].stop == place:
            places[-1] = column.field, slice(places[-1][1].start, place + 1)
        else:
            places.append((column.field, slice(place, place + 1)))
    return places


def _take(rows: np.ndarray, places: list[tuple[str, slice]]) -> np.ndarray:
    """Return columns of table rows as an (n, F) array, a view if they are one slice."""
    parts = [rows[field].reshape(len(rows), -1)[:, place] for field, place in places]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
