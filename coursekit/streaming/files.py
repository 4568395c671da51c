"""ROOT trees and HDF5 tables, read slice by slice in the order in which they lie on disk.

Both kinds give for a range of events their branches (for training) and their rows (for the shuffle): a structured array
with all that is flat and, for each counter of jagged branches, whose values are in the rows, a packed structured array.
"""

import contextlib
import errno
import functools
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import awkward as ak
import numpy as np
import uproot

from coursekit.events import Array, did_you_mean, open_tree, require_whole_root_file
from coursekit.jets import load_jets
from coursekit.jets.reference import open_table, read_blocks


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
    >>> import tempfile, uproot
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
        Branches of the tree or columns of the table; all if not given. From a table in the reference layout of jets,
        no list of branches gives ``jets`` and ``labels`` as `coursekit.jets.load_jets` does.
    chunk : int
        Events in a piece, at most.
    start, stop : int
        First event and one past the last; to the end by default.
    key : str, optional
        Name of the tree ("Events" if not given) or of the HDF5 table ("table").

    Yields
    ------
    dict of str to numpy.ndarray or awkward.Array
        For each branch an array of the events of this piece, in the unit and dtype of the file.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    OSError
        The file is truncated or damaged.
    KeyError
        The file has no such tree or table, or no such branch.
    ValueError
        The file is neither ROOT nor HDF5, it has no events, or the range or the chunk is empty.

    Examples
    --------
    >>> import tempfile, uproot
    >>> path = tempfile.mkdtemp() + "/tiny.root"
    >>> with uproot.recreate(path) as file:
    ...     file.mktree("Events", {"mth": "float32"}).extend({"mth": np.arange(5)})
    >>> [events["mth"].tolist() for events in read_chunks(path, ["mth"], chunk=2)]
    [[0.0, 1.0], [2.0, 3.0], [4.0]]
    """
    if chunk < 1:
        raise ValueError(f"chunk is {chunk}: read at least one event at a time.")
    with open_source(path, key) as source:
        names = None if branches is None else source.require(branches)
        stop = source.n_events if stop is None else stop
        if not 0 <= start < stop <= source.n_events:
            raise ValueError(
                f"{path} has {source.n_events} events; expected 0 <= start < stop <= {source.n_events}, "
                f"got start {start} and stop {stop}."
            )
        while start < stop:
            end = source.cut(start, min(start + chunk, stop)) if start + chunk < stop else stop
            yield source.read(names, start, end)
            start = end


# --- one interface to both -------------------------------------------------------------------------------------------

_HDF5 = threading.Lock()  # the HDF5 library is not made for several threads at once


@contextlib.contextmanager
def open_source(path: str | os.PathLike, key: str | None):
    path = Path(path)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise FileNotFoundError(f"{path} {what}. `coursekit data` lists the files and fetches or makes missing ones.")
    with path.open("rb") as file:
        head = file.read(8)
    if head[:4] == b"root":
        require_whole_root_file(path)
        # No caches: what has been read once is not read again, and would only take memory.
        with uproot.open(path, object_cache=None, array_cache=None) as file:
            opened = _Tree(path, file, key or "Events")
            yield _with_events(opened)
    elif head == b"\x89HDF\r\n\x1a\n":
        opened = _Table(path, key or "table")
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


def offsets_of(counts: np.ndarray) -> np.ndarray:
    """Return where each list begins in a packed array, and where the last ends."""
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])


def _required(path: Path, key: str, names: Iterable[str] | None, known: list[str]) -> list[str]:
    if isinstance(names, str):
        raise TypeError(f"branches is a list of names, but the string {names!r} came: write [{names!r}].")
    names = known if names is None else list(names)
    if not names:
        raise ValueError("branches is empty: name at least one, or leave it out to read all.")
    for name in names:
        if name not in known:
            raise KeyError(f"{path}: {key} has no branch {name}{did_you_mean(name, known)}")
    return names


class _Tree:
    """A TTree or RNTuple in an open ROOT file."""

    def __init__(self, path: Path, file, key: str):
        self.path, self.key, self._file = path, key, file
        self._tree = open_tree(file, path, key)
        self.n_events = int(self._tree.num_entries)
        self._is_ttree = hasattr(self._tree, "common_entry_offsets")
        self._edges = np.array(self._tree.common_entry_offsets() if self._is_ttree else [])

    def require(self, names: Iterable[str] | None) -> list[str]:
        return _required(self.path, self.key, names, self._tree.keys())

    def column_bytes(self, name: str) -> float:
        if not self._is_ttree:  # nothing is written in the file about sizes: we look at some events
            return self._tree.arrays([name], entry_stop=1000).nbytes / min(1000, self.n_events)
        branch = self._tree[name]
        dtype = _dtype(branch)
        # In the file a list comes with a 4-byte offset, in memory with one of 8.
        return branch.uncompressed_bytes / self.n_events + 4 if dtype is None else dtype.itemsize

    def cut(self, start: int, stop: int) -> int:
        """Return the last end of a basket in the second half of a range, else the end of the range."""
        place = np.searchsorted(self._edges, stop, side="right") - 1
        return int(self._edges[place]) if place >= 0 and 2 * self._edges[place] > start + stop else stop

    def read(self, names: list[str] | None, start: int, stop: int) -> dict[str, Array]:
        with self._reading():
            columns = self._tree.arrays(names, entry_start=start, entry_stop=stop)
        return {name: columns[name].to_numpy() if columns[name].ndim == 1 else columns[name] for name in columns.fields}

    @contextlib.contextmanager
    def _reading(self):
        try:
            yield
        except MemoryError:
            raise
        except Exception as error:  # whatever a decompressor raises on bytes that are not its own
            raise OSError(
                f"{self.path}: damaged, it cannot be decompressed ({error}). Fetch or make it again."
            ) from error

    # for the shuffle

    def dtypes(self) -> tuple[np.dtype, dict[str, np.dtype]]:
        """Return the type of a row, and for each counter that of the items it counts."""
        flat, lists = self._branches
        rows = [(name, _dtype(branch)) for name, branch in flat.items()] + [(counter, np.int32) for counter in lists]
        return np.dtype(rows), {
            counter: np.dtype([(name, _item_dtype(branch)) for name, branch in group.items()])
            for counter, group in lists.items()
        }

    @functools.cached_property
    def _branches(self) -> tuple[dict, dict[str, dict]]:
        """Flat branches by name, and jagged ones by counter and name."""
        if not self._is_ttree:
            raise ValueError(
                f"{self.path}: {self.key} is an RNTuple, and only TTrees are shuffled. Write one with "
                f"file.mktree(...) and extend."
            )
        flat, lists = {}, {}
        counts = {branch.name: branch.count_branch for branch in self._tree.branches}
        counters = {counter.name for counter in counts.values() if counter is not None}
        for branch in self._tree.branches:
            if branch.name in counters:
                continue
            if _dtype(branch) is not None:
                flat[branch.name] = branch
            elif _item_dtype(branch) is not None:
                counter = f"n{branch.name}" if counts[branch.name] is None else counts[branch.name].name
                while counts[branch.name] is None and counter in counts:
                    counter += "_"
                lists.setdefault(counter, {})[branch.name] = branch
            else:
                raise ValueError(
                    f"{self.path}: the branch {branch.name} is of type {branch.typename}, which cannot be written: "
                    f"numbers, strings, arrays of fixed shape, and lists of numbers can. Copy the others to a new file."
                )
        return flat, lists

    def storage(self) -> tuple[float, float]:
        """Return the bytes of an event: its row, and the items of its lists (a mean)."""
        in_lists = sum(branch.uncompressed_bytes for group in self._branches[1].values() for branch in group.values())
        n_lists = sum(len(group) for group in self._branches[1].values())
        return self.dtypes()[0].itemsize, max(0.0, in_lists / self.n_events - 4 * n_lists)

    def others(self) -> tuple[str, ...]:
        return tuple(name for name in dict.fromkeys(self._file.keys(cycle=False)) if name != self.key)

    def read_rows(self, start: int, stop: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        row_dtype, list_dtypes = self.dtypes()
        flat, groups = self._branches
        rows, lists = np.empty(stop - start, row_dtype), {}
        with self._reading():  # branch by branch, so that only one exists twice at a time
            for name, branch in flat.items():
                rows[name] = branch.array(entry_start=start, entry_stop=stop, library="np")
            for counter, group in groups.items():
                for name, branch in group.items():
                    column = ak.without_parameters(branch.array(entry_start=start, entry_stop=stop))
                    items = ak.to_numpy(ak.flatten(column))
                    if counter not in lists:
                        rows[counter] = ak.num(column)
                        lists[counter] = np.empty(len(items), list_dtypes[counter])
                    lists[counter][name] = items
        return rows, lists

    @contextlib.contextmanager
    def writer(self, path: Path, n_baskets: int) -> Iterator[Callable]:
        row_dtype, list_dtypes = self.dtypes()
        flat, groups = self._branches

        def columns(rows, lists) -> dict[str, Array]:
            new = {name: np.ascontiguousarray(rows[name]) for name in flat}
            for counter, packed in lists.items():
                offsets = ak.index.Index64(offsets_of(rows[counter]))
                contents = [ak.contents.NumpyArray(np.ascontiguousarray(packed[name])) for name in packed.dtype.names]
                if _is_string(next(iter(groups[counter].values()))):
                    char = ak.with_parameter(contents[0], "__array__", "char", highlevel=False)
                    layout = ak.contents.ListOffsetArray(offsets, char, parameters={"__array__": "string"})
                    new[packed.dtype.names[0]] = ak.Array(layout)
                else:  # a record, so that its fields share the counter
                    record = ak.contents.RecordArray(contents, packed.dtype.names)
                    new[f"{counter} of"] = ak.Array(ak.contents.ListOffsetArray(offsets, record))
            return new

        empty = columns(np.empty(0, row_dtype), {name: np.empty(0, dtype) for name, dtype in list_dtypes.items()})
        order = self._tree.keys()

        def place(name: str) -> int:  # of the first of a group's branches in the source
            group = name.removesuffix(" of")
            return min(order.index(member) for member in (name, group, *groups.get(group, ())) if member in order)

        types = {
            name: row_dtype[name] if name in flat else ak.type(empty[name]).content for name in sorted(empty, key=place)
        }
        with uproot.recreate(path, compression=self._file.file.compression) as file:
            tree = file.mktree(
                self.key,
                types,
                title=self._tree.title,
                counter_name=lambda counted: counted.removesuffix(" of"),
                field_name=lambda outer, inner: inner,
                # room for all baskets from the start, or the list of them is moved when it is full
                initial_basket_capacity=n_baskets + 10,
            )
            yield lambda rows, lists: tree.extend(columns(rows, lists))


class _Table:
    """An HDF5 table, opened anew for each reading: that takes a millisecond."""

    def __init__(self, path: Path, key: str):
        self.path, self.key = path, key
        self._where = {}  # for each column of the data frame the field of the table, and the index of the column there
        with self._table() as table:
            self.n_events, self._dtype = int(table.nrows), table.dtype
            for field in table.colnames:
                # pandas gathers columns of one type in a block and keeps their names beside it
                names = getattr(table.attrs, f"{field}_kind", None)
                if isinstance(names, list) and self._dtype[field].shape:
                    self._where |= {str(name): (field, np.s_[:, place]) for place, name in enumerate(names)}
                else:
                    self._where[field] = field, ...
        self._has_jets = {"E_0", "PX_0", "PY_0", "PZ_0", "is_signal_new"} <= self._where.keys()

    @contextlib.contextmanager
    def _table(self):
        with _HDF5, open_table(self.path, self.key) as table:
            yield table

    def require(self, names: Iterable[str] | None) -> list[str]:
        return _required(self.path, self.key, names, list(self._where))

    def column_bytes(self, name: str) -> float:
        field, index = self._where[name]
        return (self._dtype[field] if index is ... else self._dtype[field].base).itemsize

    def cut(self, start: int, stop: int) -> int:
        return stop

    def read(self, names: list[str] | None, start: int, stop: int) -> dict[str, Array]:
        if names is None and self._has_jets:
            with _HDF5:
                return dict(zip(("jets", "labels"), load_jets(self.path, start, stop, self.key), strict=True))
        parts = {name: [] for name in self._where if names is None or name in names}
        with self._table() as table:
            for rows in read_blocks(table, self.path, start, stop):
                for name, part in parts.items():
                    field, index = self._where[name]
                    part.append(rows[field][index].copy())
        return {name: np.concatenate(parts[name]) for name in names or parts}

    # for the shuffle

    def dtypes(self) -> tuple[np.dtype, dict[str, np.dtype]]:
        return self._dtype, {}

    def storage(self) -> tuple[float, float]:
        return self._dtype.itemsize, 0.0

    def others(self) -> tuple[str, ...]:
        with self._table() as table:
            own = table._v_parent._v_pathname
            paths = [leaf._v_pathname for leaf in table._v_file.walk_nodes("/", "Leaf")]
            return tuple(
                path for path in paths if path != table._v_pathname and (own == "/" or not path.startswith(own + "/"))
            )

    def read_rows(self, start: int, stop: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        with self._table() as table:
            rows = np.empty(stop - start, self._dtype)
            at = 0
            for block in read_blocks(table, self.path, start, stop):
                rows[at : at + len(block)] = block
                at += len(block)
        return rows, {}

    @contextlib.contextmanager
    def writer(self, path: Path, n_baskets: int) -> Iterator[Callable]:
        import tables

        try:
            with tables.open_file(path, "w") as file:
                with self._table() as table:
                    new = _copy_empty(table, file)

                def append(rows, lists):
                    with _HDF5:
                        new.append(rows)

                yield append
            # When the disk is full, closing a file reports nothing; but opening it finds that it is too short.
            tables.open_file(path).close()
        except tables.HDF5ExtError as error:  # which has no number of its own
            raise OSError(errno.ENOSPC, "HDF5 could not write, probably for lack of space,") from error


def _copy_empty(table, file):
    """Make a table without rows like another, with what pandas wrote about it, in another file."""
    group = table._v_parent
    if group._v_pathname == "/":
        target = file.root
    else:
        parent, name = os.path.split(group._v_pathname)
        target = file.create_group(parent, name, createparents=True)
        group._v_attrs._f_copy(target)
        for node in group._f_iter_nodes():
            if node._v_name != table._v_name:  # the categories of columns, for instance
                node._f_copy(target, recursive=True)
    return table.copy(target, table._v_name, start=0, stop=0, chunkshape="keep")


def _dtype(branch) -> np.dtype | None:
    """Return the type of a branch with one number, or array of fixed shape, per event; None for others."""
    interpretation = branch.interpretation
    if type(interpretation) is not uproot.AsDtype or interpretation.to_dtype.names:
        return None
    return interpretation.to_dtype.newbyteorder("=")


def _item_dtype(branch) -> np.dtype | None:
    """Return the type of the items of a branch of lists or strings; None for others."""
    if _is_string(branch):
        return np.dtype(np.uint8)
    content = getattr(branch.interpretation, "content", None)
    if type(branch.interpretation) is not uproot.AsJagged or type(content) is not uproot.AsDtype:
        return None
    return None if content.to_dtype.names or content.to_dtype.shape else content.to_dtype.newbyteorder("=")


def _is_string(branch) -> bool:
    return type(branch.interpretation) is uproot.AsStrings
