"""Tables of HDF5 files, as pandas writes them: their columns for training, and their rows for the shuffle."""

import contextlib
import os
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from coursekit.events import Array
from coursekit.jets import load_jets
from coursekit.jets.hdf5 import columns, key_of, open_table, read_blocks, written
from coursekit.jets.reading import enough_memory
from coursekit.streaming.columns import required

HDF5 = threading.Lock()  # the HDF5 library is not made for several threads at once


class Table:
    """An HDF5 table, opened anew for each reading: that takes a millisecond."""

    def __init__(self, path: Path, key: str):
        self.path, self.key = path, key
        with self._table() as table:
            self.n_events, self._dtype = int(table.nrows), table.dtype
            self.key = key_of(table._v_pathname)  # what a link leads to: so it is called in the result of a shuffle
            self._where = columns(table, path)
        self._has_jets = {"E_0", "PX_0", "PY_0", "PZ_0", "is_signal_new"} <= self._where.keys()

    @contextlib.contextmanager
    def _table(self):
        with HDF5, open_table(self.path, self.key) as table:
            yield table

    def require(self, names: Iterable[str] | None) -> list[str]:
        return required(self.path, self.key, names, list(self._where))

    def column_bytes(self, name: str) -> float:
        return self._where[name].dtype.itemsize

    def cut(self, start: int, stop: int) -> int:
        return stop

    def read(self, names: list[str] | None, start: int, stop: int) -> dict[str, Array]:
        if names is None and self._has_jets:
            with HDF5:
                return dict(zip(("jets", "labels"), load_jets(self.path, start, stop, self.key), strict=True))
        parts = {name: [] for name in self._where if names is None or name in names}
        with enough_memory(self.path), self._table() as table:
            for rows in read_blocks(table, self.path, start, stop):
                for name, part in parts.items():
                    part.append(self._where[name].values(rows, name, self.path, start))
                start += len(rows)
            return {name: np.concatenate(parts[name]) for name in names or parts}

    # for the shuffle

    def dtypes(self) -> tuple[np.dtype, dict[str, np.dtype]]:
        return self._dtype, {}

    def storage(self) -> tuple[float, float]:
        return self._dtype.itemsize, 0.0

    def others(self) -> tuple[str, ...]:
        with self._table() as table, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of PyTables, about what it cannot read
            mine = (table._v_pathname, *(leaf._v_pathname for leaf in _categories(table)))
            return tuple(
                path for leaf in table._v_file.walk_nodes("/", "Leaf") if (path := leaf._v_pathname) not in mine
            )

    def read_rows(self, start: int, stop: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        with enough_memory(self.path), self._table() as table:
            rows = np.empty(stop - start, self._dtype)
            at = 0
            for block in read_blocks(table, self.path, start, stop):
                rows[at : at + len(block)] = block
                at += len(block)
        return rows, {}

    @contextlib.contextmanager
    def writer(self, path: Path, n_baskets: int) -> Iterator[Callable]:
        import tables

        with written():
            with tables.open_file(path, "w") as file:
                with self._table() as table:
                    new = _copy_empty(table, file)

                def append(rows, lists):
                    with HDF5:
                        new.append(rows)

                yield append
            # When the disk is full, closing a file reports nothing; but opening it finds that it is too short.
            tables.open_file(path).close()


def _categories(table) -> list:
    """Return the tables in which pandas keeps the names of categories; other neighbours have rows of their own."""
    group = table._v_parent
    is_pandas = "pandas_type" in group._v_attrs and "meta" in group
    return [*group.meta._f_walknodes("Leaf")] if is_pandas else []


def _copy_empty(table, file):
    """Make a table without rows like another, with what pandas wrote about it, in another file."""
    group = table._v_parent
    if group._v_pathname == "/":
        target = file.root
    else:
        parent, name = os.path.split(group._v_pathname)
        target = file.create_group(parent, name, createparents=True)
        group._v_attrs._f_copy(target)
        if _categories(table):
            group.meta._f_copy(target, recursive=True)
    return table.copy(target, table._v_name, start=0, stop=0, chunkshape="keep")
