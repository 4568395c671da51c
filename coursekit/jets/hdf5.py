"""Tables of HDF5 files: found under any name that a library prints, read in blocks, each column as pandas means it."""

import contextlib
import errno
import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from coursekit.jets.reading import checked_range, existing_file
from coursekit.words import listed, near

_TEXT = ("encoding", "UTF-8"), ("errors", "strict"), ("nan_rep", "nan")  # what pandas writes beside text
_BLOCK = 2048  # rows in hand at once: 7 MB of the padded reference table whatever the number of jets


@contextlib.contextmanager
def open_table(path: str | os.PathLike, key: str):
    """Open a table of an HDF5 file for reading: a ``tables.Table``, sound as far as its head tells.

    Parameters
    ----------
    path : path-like
    key : str
        As pandas, PyTables or h5py print it: ``table``, ``/table``, ``table/table``.

    Raises
    ------
    FileNotFoundError, PermissionError
    BlockingIOError
        Another program has the file open for writing.
    OSError
        The file is truncated or damaged, or lies where HDF5 cannot lock it.
    KeyError
        There is no such table; the error lists those that there are.
    ValueError
        The file is not HDF5, or what is there is not a table of rows.
    """
    import tables

    path = existing_file(path)
    place = _place(path, key)
    # PyTables warns of names that are no Python names, and of what it cannot read, which is refused below.
    unknown = (
        f"{path} is sound, but PyTables cannot read {place}; with libver='latest' h5py writes what it does not know"
    )
    with warnings.catch_warnings(), intact(path, unknown):
        warnings.simplefilter("ignore")
        file = tables.open_file(path)
        try:
            table = file.get_node(place)
            if isinstance(table, tables.link.SoftLink):
                table = table()
        except BaseException:
            file.close()
            raise
    with file:
        if not isinstance(table, tables.Table):
            raise _no_table(path, place)
        yield table


def _place(path: Path, key: str) -> str:
    """Say where in the file the table of that name is.

    With h5py, and past the heads of all objects: where one of them is damaged, PyTables would end the process.
    """
    import h5py

    with path.open("rb") as file:
        head = file.read(8)
    if not is_hdf5(path, head):
        raise ValueError(
            f"{path} is not an HDF5 file: " + (f"it starts with {head!r}" if head else "it is empty (0 bytes)")
        )
    key = str(key)
    place = "/" + "/".join(filter(None, key.split("/")))
    with intact(path), h5py.File(path) as file:
        for node in [file, *_all(file)]:
            list(node.attrs)
        node = file.get(place) if place != "/" else None
        if isinstance(node, h5py.Group):
            place += "/table"
            node = node.get("table", node if "pandas_type" in node.attrs else None)
        names = _names(file) if node is None else []
        is_table = isinstance(node, h5py.Dataset) and _is_table(node)
    if node is None:
        raise KeyError(f"{path} has no table {key!r};{near(key.strip('/'), names)} it has {listed(names)}")
    if not is_table:
        raise _no_table(path, place)
    return place


def is_hdf5(path: Path, head: bytes) -> bool:
    """Say whether a file is HDF5, by its first 8 bytes or, behind what others put before it, at a later place."""
    import h5py

    return head == b"\x89HDF\r\n\x1a\n" or h5py.is_hdf5(path)


def _all(file) -> list:
    nodes = []
    file.visititems(lambda name, node: nodes.append(node))
    return nodes


def _is_table(data) -> bool:
    """Say whether PyTables would see the rows and columns of a data set that h5py sees."""
    try:
        names = data.dtype.names
    except TypeError:  # a type that NumPy does not have
        return False
    if data.ndim != 1 or names is None or data.dtype.hasobject:  # lists in rows: PyTables reads what lies elsewhere
        return False
    return not any("/" in name or name.startswith("_v_") for name in names)


def _names(file) -> list[str]:
    """Name the tables of a file as `open_table` takes them: those of pandas by their group."""
    import h5py

    shown = {
        node.name[1:]: node for node in _all(file) if not re.search("/meta/|/_i_", node.name)
    }  # of pandas, PyTables
    groups = [name for name, node in shown.items() if isinstance(node, h5py.Group) and "pandas_type" in node.attrs]
    tables = [name for name, node in shown.items() if isinstance(node, h5py.Dataset) and _is_table(node)]
    return groups + [name for name in tables if name.rpartition("/")[0] not in groups]


def key_of(place: str) -> str:
    """Return the shortest key of a table at a place in a file."""
    return place.removesuffix("/table")[1:] or "table"


def _no_table(path: Path, place: str) -> ValueError:
    key = key_of(place)
    return ValueError(
        f"{path}: {key!r} is not a table that can be read in slices, rows whose columns are numbers or text of fixed "
        f"length; write it with DataFrame.to_hdf(path, key={key!r}, format='table')"
    )


def _translated(error: Exception, path, what: str) -> Exception:
    """Say in one line what HDF5 says in a back trace: `what` happened, unless it was not the file."""
    text = str(error)
    if isinstance(error, MemoryError) or re.search(r"(?i)memory allocation failed|(can.t|unable to) allocate", text):
        return MemoryError(f"{path}: HDF5 got no memory; read fewer rows at once, or close other programs")
    if lock := re.search(r"unable to lock file, errno = (\d+), error message = '([^']*)'", text):
        if int(lock[1]) in (errno.EAGAIN, errno.EACCES):
            return BlockingIOError(f"{path} is open for writing in another program, or here; close it there first")
        return OSError(
            f"{path} cannot be locked by HDF5 where it lies ({lock[2]}); if nobody writes to it, set "
            "HDF5_USE_FILE_LOCKING=FALSE in the environment before Python starts, or copy it to a local disk"
        )
    if "already open" in text:  # PyTables says so of a file that this process has open
        return BlockingIOError(
            f"{path} is marked as open for writing: another program writes to it, or one was killed while it did; "
            "close it there, or take the mark away with `h5clear --status`"
        )
    if needed := re.search(r"required filter '?([^'\n]*?)'? is not registered", text):
        return OSError(
            f"{path} is compressed with the filter {needed[1]!r}, which PyTables does not have; write it again with "
            "another one, gzip for instance"
        )
    reasons = re.findall(r"^    (.*)", text, re.MULTILINE) or text.strip().splitlines()[-1:]
    return OSError(f"{what}: {reasons[-1] if reasons else type(error).__name__}")


@contextlib.contextmanager
def written() -> Iterator[None]:
    """Say in one line, with a number, why HDF5 could not write."""
    import tables

    try:
        yield
    except tables.HDF5ExtError as error:
        # Without a number it is a file that is too short when it is opened again.
        number = re.search(r"errno = (\d+), error message = '([^']*)'", str(error))
        number, reason = (int(number[1]), number[2]) if number else (errno.ENOSPC, "probably for lack of space")
        raise OSError(number, f"HDF5 could not write ({reason})") from error


@contextlib.contextmanager
def intact(path: Path, what: str = "") -> Iterator[None]:
    """Turn what h5py and PyTables raise, of many kinds, where a name, a length or a pickle is not what was written."""
    try:
        yield
    except Exception as error:
        size = Path(path).stat().st_size
        what = what or f"{path} is truncated or damaged ({size} bytes), fetch or make it again"
        raise _translated(error, path, what) from error


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
            what = f"{path}: rows {first} to {last} cannot be read, fetch or make the file again"
            raise _translated(error, path, what) from error
        yield rows


# --- columns ----------------------------------------------------------------------------------------------------------


class Column(NamedTuple):
    """A column of a data frame in the rows of a table.

    Attributes
    ----------
    field : str
        The field of the rows in which it lies.
    place : int or None
        Its place there, where pandas gathers columns of one type; None where the field is the column.
    dtype : numpy.dtype
        Of what `values` gives; of text at most.
    problem : str
        Why it cannot be read as what it stands for, to be put behind its name; "" mostly.
    categories : (K,) array, optional
        What the numbers of a categorical column stand for.
    text : tuple of str, optional
        Encoding, error handler, and how a missing text is written.
    """

    field: str
    place: int | None
    dtype: np.dtype
    problem: str = ""
    categories: np.ndarray | None = None
    text: tuple[str, str, str] | None = None

    @property
    def coded(self) -> bool:
        """Whether the numbers in the rows stand for something else."""
        return bool(self.problem) or self.categories is not None or self.text is not None

    def values(self, rows: np.ndarray, name: str, path, start: int) -> np.ndarray:
        """Return the values in some rows, (n,) or (n, ...), as pandas would; `start` numbers the rows in errors."""
        if self.problem:
            raise ValueError(f"{path}: column {name} {self.problem}; leave it out, or read it with pandas.read_hdf")
        stored = rows[self.field] if self.place is None else rows[self.field][:, self.place]
        if self.categories is not None:
            _require_present((stored < 0) | (stored >= len(self.categories)), name, path, start)
            return self.categories[stored]
        if self.text is not None:
            encoding, errors, missing = self.text
            decoded = np.char.decode(stored, encoding, errors)
            _require_present(decoded == missing, name, path, start)
            return decoded
        return np.array(stored if stored.dtype == self.dtype.base else stored.view(self.dtype), order="C")


def _require_present(missing: np.ndarray, name: str, path, start: int) -> None:
    if missing.any():
        raise ValueError(
            f"{path}: column {name} has no value in row {start + np.argmax(missing)}; drop such rows, or fill them, "
            "where the file is made"
        )


def columns(table, path) -> dict[str, Column]:
    """Map the name of each column of the data frame, or of a plain table, to where it lies and what it stands for."""
    found = {}
    for field in table.colnames:
        with intact(path):
            dtype, kind = table.dtype[field], getattr(table.attrs, f"{field}_kind", None)
            gathered = isinstance(kind, list) and dtype.shape != ()
            names = kind if isinstance(kind, list) else [field]
            if isinstance(kind, bytes) or (gathered and dtype.shape != (len(names),)):
                raise ValueError(f"the names of the columns in {field} are lost")
            meaning = {"dtype": dtype.base if gathered else dtype} | _meaning(table, field, kind)
        for place, name in enumerate(map(str, names)):
            column = Column(field, place if gathered else None, **meaning)
            if name in found and found[name].field != "index":  # a column may be called as the index is
                column = Column(field, None, dtype, "is there twice")
            found[name] = column
    return found


def _meaning(table, field: str, kind) -> dict:
    """Say what the numbers of a field stand for, from what pandas, or h5py for bools, wrote beside them."""
    stored, group = table.dtype[field].base, table._v_parent._v_attrs
    if table.coltypes.get(field) == "enum" and set(table.get_enum(field)._names) == {"FALSE", "TRUE"}:
        return {"dtype": np.dtype((bool, table.dtype[field].shape))}
    if kind is None:
        return {}
    wrote = str(kind if isinstance(kind, str) else getattr(table.attrs, f"{field}_dtype", ""))  # of index, or column
    about = getattr(group, "info", {}).get(field, {})
    if getattr(table.attrs, f"{field}_meta", None) == "category":
        try:
            categories = _categories(table, field)
        except ValueError:
            return {"problem": "has a category that is missing, or that pandas takes for it"}
        return {"categories": categories, "dtype": categories.dtype}
    if stored.kind == "S":
        encoding, errors, missing = (str(getattr(group, name, default)) for name, default in _TEXT)
        return {"text": (encoding, errors, missing), "dtype": np.dtype(f"U{stored.itemsize}")}
    if wrote in ("datetime64[ns]", "timedelta64[ns]") and not about.get("tz"):
        return {"dtype": np.dtype(wrote)}
    if wrote == "bool":
        return {"dtype": np.dtype(bool)}
    if wrote.startswith(("date", "timedelta")) or (wrote == "integer" and "freq" in about):
        unit = f"{wrote} in the time zone {about['tz']}" if about.get("tz") else f"{wrote} {about.get('freq', '')}"
        return {"problem": f"holds numbers that stand for times ({unit.strip()})"}
    return {}


def _categories(table, field: str) -> np.ndarray:
    """Return the categories of a categorical column, which pandas keeps in a table of their own."""
    import tables

    try:
        node = table._v_file.get_node(f"{table._v_parent._v_pathname}/meta/{field}/meta/table")
    except tables.NoSuchNodeError:  # no row has a value
        return np.empty(0, "U1")
    path = table._v_file.filename
    *_, (name, column) = columns(node, path).items()  # behind the index
    return column.values(node[:], f"{name} of the categories of {field}", path, 0)
