"""Files of a study: named columns of ROOT trees, HDF5 tables and arrays, and feather tables, range by range."""

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from coursekit.data import fetch
from coursekit.streaming.columns import required
from coursekit.streaming.files import open_source
from coursekit.trees import require_file

FEATHER = (".feather", ".ft", ".arrow")


def located(name: str) -> Path:
    """Return the path of a file: as it is if it exists or has a folder, else from the catalogue.

    Raises
    ------
    FileNotFoundError
        There is no such file, neither here nor in the catalogue.
    """
    path = Path(name)
    if path.is_file() or len(path.parts) > 1:
        require_file(path)
        return path
    try:
        return fetch(name)
    except KeyError as error:
        raise FileNotFoundError(f"{name} is no file, and {error.args[0]}") from None


@contextlib.contextmanager
def open_columns(path: str | os.PathLike, key: str | None) -> Iterator:
    """Open a file for reading: an object with `n_events`, `require(names)`, `column_bytes(name)`, `read(names, a, b)`.

    Parameters
    ----------
    path : path-like
        ROOT, HDF5 (a table as pandas writes it, or a group of arrays of one length) or feather.
    key : str or None
        Tree, table or group; feather has none.

    Raises
    ------
    FileNotFoundError, OSError, KeyError
        The file is missing or damaged, or has no such tree or table.
    ValueError
        It is of another format, or has no events.
    """
    path = Path(path)
    require_file(path)
    if path.suffix.lower() in FEATHER:
        yield Feather(path, key)
    elif (group := _group(path, key)) is not None:
        yield Arrays(path, group)
    else:
        with open_source(path, key) as source:
            yield source


def _group(path: Path, key: str | None) -> str | None:
    """Return the name of a group of an HDF5 file that holds nothing but flat arrays of numbers, else None."""
    import h5py

    if path.suffix.lower() not in (".h5", ".hdf5") or not h5py.is_hdf5(path):
        return None
    with contextlib.suppress(OSError, KeyError, RuntimeError), h5py.File(path) as file:  # `open_source` explains them
        node = file[key or "/"]
        flat = isinstance(node, h5py.Group) and all(map(_is_flat, node.values()))
        return node.name if flat and len(node) else None
    return None


def _is_flat(child) -> bool:
    import h5py

    return isinstance(child, h5py.Dataset) and child.ndim == 1 and child.dtype.kind in "biuf"


class Arrays:
    """A group of an HDF5 file whose arrays have one length: each is a column."""

    def __init__(self, path: Path, key: str):
        import h5py

        self.path, self.key = path, key
        with h5py.File(path) as file:
            self._dtypes = {name: child.dtype for name, child in file[key].items()}
            lengths = {name: len(child) for name, child in file[key].items()}
        if len(set(lengths.values())) > 1:
            first, *_, last = sorted(lengths, key=lengths.get)
            raise ValueError(
                f"{path}: the arrays of {key} have unequal lengths: {first} {lengths[first]}, {last} {lengths[last]}"
            )
        self.n_events = next(iter(lengths.values()))
        if not self.n_events:
            raise ValueError(f"{path}: {key} has no events; make or fetch the file again")

    def require(self, names: Iterable[str] | None) -> list[str]:
        return required(self.path, self.key, names, list(self._dtypes))

    def column_bytes(self, name: str) -> float:
        return self._dtypes[name].itemsize

    def read(self, names: list[str], start: int, stop: int) -> dict[str, np.ndarray]:
        import h5py

        with h5py.File(self.path) as file:
            return {name: file[self.key][name][start:stop] for name in names}


class Feather:
    """A feather file, read batch by batch; a missing number is NaN, as pandas has it, anything else is refused."""

    def __init__(self, path: Path, key: str | None):
        if key is not None:
            raise ValueError(f"{path} is a feather file, which has one table without a name: leave out its key")
        try:
            import pyarrow
        except ImportError as error:
            raise ImportError('feather files need pyarrow: pip install "coursekit[studies]"') from error
        self.path, self.key = path, "its table"
        try:
            with pyarrow.memory_map(str(path)) as file, pyarrow.ipc.open_file(file) as reader:
                self._schema = reader.schema
                sizes = [reader.get_batch(i).num_rows for i in range(reader.num_record_batches)]
        except (pyarrow.ArrowException, OSError) as error:
            raise OSError(f"{path} is not a feather file, or is damaged ({str(error).splitlines()[0]})") from error
        self._ends = np.cumsum(sizes, dtype=np.int64)
        self.n_events = int(self._ends[-1]) if sizes else 0
        if not self.n_events:
            raise ValueError(f"{path} has no events; make or fetch the file again")

    def require(self, names: Iterable[str] | None) -> list[str]:
        return required(self.path, self.key, names, self._schema.names)

    def column_bytes(self, name: str) -> float:
        try:
            return self._schema.field(name).type.bit_width / 8
        except ValueError:  # text, and what else has no fixed width
            return 32.0

    def read(self, names: list[str], start: int, stop: int) -> dict[str, np.ndarray]:
        import pyarrow

        first = np.searchsorted(self._ends, start, side="right")
        last = np.searchsorted(self._ends, stop, side="left")
        with pyarrow.memory_map(str(self.path)) as file, pyarrow.ipc.open_file(file) as reader:
            batches = [reader.get_batch(i).select(names) for i in range(first, last + 1)]
            table = pyarrow.Table.from_batches(batches)
            offset = start - (int(self._ends[first - 1]) if first else 0)
            table = table.slice(offset, stop - start)
            return {name: self._column(table, name, start) for name in names}

    def _column(self, table, name: str, start: int) -> np.ndarray:
        import pyarrow

        column, kind = table.column(name), self._schema.field(name).type
        if column.null_count and not pyarrow.types.is_floating(kind):
            row = start + column.is_null().to_pylist().index(True)
            raise ValueError(
                f"{self.path}: {name} is missing in {column.null_count} events, first in row {row}, and {kind} has no "
                f"NaN: fill it when the file is made"
            )
        return np.array(column.to_numpy())  # a copy: pyarrow's own memory is read-only and goes with the file
