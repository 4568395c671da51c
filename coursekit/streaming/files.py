"""ROOT trees and HDF5 tables, read slice by slice in the order in which they lie on disk.

Both kinds give for a range of events their branches (for training) and their rows (for the shuffle): a structured array
with all that is flat and, for each counter of jagged branches, whose values are in the rows, a packed structured array.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from coursekit.arrays import Array, whole_number
from coursekit.jets.hdf5 import is_hdf5
from coursekit.streaming.hdf5_tables import Table
from coursekit.streaming.root_trees import Tree
from coursekit.trees import open_root, open_tree, require_file


def event_bytes(path: str | os.PathLike, branches: Iterable[str] | None = None, key: str | None = None) -> float:
    """Say how large an event is in memory, from what the file says of itself: nothing is decompressed.

    Parameters
    ----------
    path : path-like
        A ROOT or HDF5 file.
    branches : iterable of str, optional
        The branches or columns that will be read; all if not given.
    key : str, optional
        Name of the tree ("Events" if not given) or of the HDF5 table ("table").

    Returns
    -------
    float
        Bytes per event, decompressed: exact for flat branches, a mean for jagged ones.

    Raises
    ------
    FileNotFoundError, OSError, KeyError, ValueError
        As `read_chunks`.

    Examples
    --------
    >>> import tempfile, numpy as np, uproot
    >>> path = tempfile.mkdtemp() + "/tiny.root"
    >>> with uproot.recreate(path) as file:
    ...     tree = file.mktree("Events", {"mth": "float32", "event": "int64"})
    ...     tree.extend({"mth": np.ones(9), "event": np.arange(9)})
    >>> event_bytes(path), event_bytes(path, ["mth"])
    (12.0, 4.0)
    """
    with open_source(path, key) as source:
        return float(sum(source.column_bytes(name) for name in source.require(branches)))


def read_chunks(
    path: str | os.PathLike,
    branches: Iterable[str] | None = None,
    chunk: int = 50_000,
    start: int = 0,
    stop: int | None = None,
    key: str | None = None,
) -> Iterator[dict[str, Array]]:
    """Read a file piece by piece, in its order; only one piece is in memory.

    A piece ends where a basket ends, if one ends in its second half, so that no basket is decompressed twice.

    Parameters
    ----------
    path : path-like
        A ROOT file with a tree, or an HDF5 file with a table as pandas writes it with ``format="table"``.
    branches : iterable of str, optional
        Branches of the tree, named as in `coursekit.load_events`, or columns of the table; all if not given. From a
        table in the reference layout of jets, no list of branches gives ``jets`` and ``labels`` as
        `coursekit.jets.load_jets` does.
    chunk : int
        Events in a piece, at most.
    start, stop : int
        First event and one past the last; to the end by default.
    key : str, optional
        Name of the tree ("Events" if not given) or of the HDF5 table ("table").

    Yields
    ------
    dict of str to numpy.ndarray or awkward.Array
        For each branch an array of the events of this piece, in the unit and dtype of the file; text, times and
        categories of pandas as what they stand for.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    OSError
        The file is truncated or damaged, or somebody writes to it between two pieces.
    MemoryError
        A piece does not fit in memory.
    KeyError
        The file has no such tree or table, or no such branch, or several.
    ValueError
        The file is neither ROOT nor HDF5, it has no events, the range or the chunk is empty, a value is missing, or a
        branch cannot be read.

    Examples
    --------
    >>> import tempfile, numpy as np, uproot
    >>> path = tempfile.mkdtemp() + "/tiny.root"
    >>> with uproot.recreate(path) as file:
    ...     file.mktree("Events", {"mth": "float32"}).extend({"mth": np.arange(5)})
    >>> [events["mth"].tolist() for events in read_chunks(path, ["mth"], chunk=2)]
    [[0.0, 1.0], [2.0, 3.0], [4.0]]
    """
    chunk, start = whole_number(chunk, "chunk"), whole_number(start, "start")
    if chunk < 1:
        raise ValueError(f"chunk is {chunk}: read at least one event at a time.")
    before = stamp(path)
    with open_source(path, key) as source:
        names = None if branches is None else source.require(branches)
        stop = source.n_events if stop is None else whole_number(stop, "stop")
        if not 0 <= start < stop <= source.n_events:
            raise ValueError(
                f"{path} has {source.n_events} events; expected 0 <= start < stop <= {source.n_events}, "
                f"got start {start} and stop {stop}."
            )
        while start < stop:
            end = source.cut(start, min(start + chunk, stop)) if start + chunk < stop else stop
            with unchanged(path, before):
                events = source.read(names, start, end)
            yield events
            start = end


# --- a file that changes meanwhile -----------------------------------------------------------------------------------


def stamp(path: str | os.PathLike) -> tuple[int, int, int] | None:
    """Return what changes when a file is written to, or another takes its name."""
    with contextlib.suppress(FileNotFoundError):
        status = os.stat(path)
        return status.st_size, status.st_mtime_ns, status.st_ino
    return None


def require_unchanged(path: str | os.PathLike, before) -> None:
    """Refuse a file that no longer has the `stamp` that it had."""
    if stamp(path) != before:
        raise OSError(
            f"{path} changed while it was read, so that its events would be neither the old nor the new ones. Begin "
            f"again when nobody writes to it."
        )


@contextlib.contextmanager
def unchanged(path: str | os.PathLike, before) -> Iterator[None]:
    """Require that a file stays as it is while it is read; a half-written one looks damaged."""
    try:
        yield
    finally:
        require_unchanged(path, before)


# --- one interface to both -------------------------------------------------------------------------------------------


@contextlib.contextmanager
def open_source(path: str | os.PathLike, key: str | None):
    path = Path(path)
    require_file(path)
    with path.open("rb") as file:
        head = file.read(8)
    if head[:4] == b"root":
        with open_root(path) as file:
            key = "Events" if key is None else key
            yield _with_events(Tree(path, file, key, open_tree(file, path, key)))
    elif is_hdf5(path, head):
        opened = Table(path, "table" if key is None else key)
        yield _with_events(opened)
    else:
        raise ValueError(
            f"{path} is neither a ROOT nor an HDF5 file: it starts with {head!r}. "
            f"A web page saved under this name? Fetch or make it again."
        )


def _with_events(opened):
    if opened.n_events == 0:
        raise ValueError(f"{opened.path}: {opened.key} has no events. Was it filled? Make or fetch the file again.")
    return opened
