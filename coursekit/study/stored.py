"""Columns of events that do not fit in memory: one file each, written piece by piece, read one at a time."""

import errno
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from coursekit.files import naming_if_full

CHUNK = 500_000  # events


class StoredColumns(Mapping):
    """Columns on disk, each a file of numbers: ``columns[name]`` reads one, `take` some of its events.

    Real numbers are kept as float32, whole ones as int64. The folder goes when the columns that made it do; copies,
    such as those that other processes get, only read.

    Parameters
    ----------
    needed_bytes : float
        Space that will be needed, for a refusal before anything is written.
    """

    def __init__(self, needed_bytes: float = 0):
        where = Path(tempfile.gettempdir())
        free = shutil.disk_usage(where).free
        if free < needed_bytes:
            raise OSError(
                errno.ENOSPC,
                f"{where} has {free / 1e9:.1f} GB of free space, {needed_bytes / 1e9:.1f} GB are needed for columns of "
                f"this study, which do not fit in input.memory. Make room, or set TMPDIR to a folder of another disk",
            )
        self.folder = Path(tempfile.mkdtemp(prefix="coursekit-study-"))
        self.n_events = 0
        self._dtypes: dict[str, np.dtype] = {}
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)

    def append(self, columns: Mapping[str, np.ndarray], where: str) -> None:
        """Write more events behind those that are there.

        Raises
        ------
        OSError
            The disk is full.
        ValueError
            A column holds whole numbers and held real ones before, or the reverse.
        """
        for name, column in columns.items():
            dtype = np.dtype({"f": np.float32, "b": bool}.get(column.dtype.kind, np.int64))
            known = self._dtypes.setdefault(name, dtype)
            if dtype != known:
                raise ValueError(f"{where}: {name} is {dtype}, and {known} in other samples: make the files alike")
            path = self.path(name)
            with naming_if_full(path), path.open("ab") as file, np.errstate(over="ignore"):
                narrow = column.astype(known, copy=False)
                if dtype.kind == "f" and np.isinf(narrow).any():
                    raise ValueError(f"{where}: {name} reaches {np.abs(column).max():.3g}, beyond float32")
                file.write(np.ascontiguousarray(narrow).data)
        self.n_events += len(column)

    def path(self, name: str) -> Path:
        """Return the file of a column; names may hold what names of files may not."""
        return self.folder / f"{list(self._dtypes).index(name)}.bin"

    def read(self, name: str, start: int, stop: int) -> np.ndarray:
        """Return the events `start` to `stop` of a column, (stop - start,)."""
        if name not in self._dtypes:
            raise KeyError(name)
        dtype = self._dtypes[name]
        return np.fromfile(self.path(name), dtype, count=stop - start, offset=start * dtype.itemsize)

    def take(self, name: str, rows: np.ndarray) -> np.ndarray:
        """Return some events of a column, (n,), reading from the first of them to the last."""
        if not len(rows):
            return np.empty(0, self._dtypes[name])
        start, stop = int(rows.min()), int(rows.max()) + 1
        return self.read(name, start, stop)[rows - start]

    def __getitem__(self, name: str) -> np.ndarray:
        return self.read(name, 0, self.n_events)

    def __iter__(self) -> Iterator[str]:
        return iter(self._dtypes)

    def __len__(self) -> int:
        return len(self._dtypes)

    def __contains__(self, name: object) -> bool:  # that of Mapping would read the column
        return name in self._dtypes


def taken(columns: Mapping[str, np.ndarray], name: str, rows: np.ndarray) -> np.ndarray:
    """Return some events of a column, wherever it is kept."""
    return columns.take(name, rows) if isinstance(columns, StoredColumns) else columns[name][rows]
