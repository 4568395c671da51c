"""The public quark/gluon jets, read to the same structure."""

import contextlib
import math
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import awkward as ak
import numpy as np

from coursekit.arrays import binary_labels
from coursekit.jets.arrays import MOMENTUM, four_momenta, jet_numbers, unpad
from coursekit.jets.reading import checked_range, enough_memory, existing_file, filled, require_sound

# Masses in GeV by absolute PDG id, for files that store (pt, y, phi, id); particles not listed count as massless.
_MASSES = {11: 0.000511, 13: 0.105658, 130: 0.497611, 211: 0.13957, 321: 0.493677, 2112: 0.939565, 2212: 0.938272}
_BLOCK = 2048  # jets read at once


def load_quark_gluon(path: str | os.PathLike, start: int = 0, stop: int | None = None) -> tuple[ak.Array, np.ndarray]:
    """Read jets `start` to `stop` of a quark/gluon ``.npz`` file (Zenodo record 3164691).

    The array ``X`` (N, P, 4) of (pt, rapidity, phi, PDG id), padded with rows of four zeros, is read as a stream:
    memory is needed for the jets asked for, time for all, because the checksum of the file is that of the whole.
    Momenta follow with the mass of each particle's kind.

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
        As `load_jets`; a PDG id must be an integer.

    References
    ----------
    P. T. Komiske, E. M. Metodiev, J. Thaler, arXiv:1810.05165.
    """
    path = existing_file(path)
    with enough_memory(path), _opened(path) as archive:
        x, y = _Member(path, archive, "X"), _Member(path, archive, "y")
        if len(x.shape) != 3 or x.shape[2] != 4 or y.shape != x.shape[:1]:
            raise ValueError(f"{path}: X must be (N, P, 4) and y (N,), got {x.shape} and {y.shape}")
        start, stop = checked_range(path, start, stop, x.shape[0])
        labels = binary_labels(np.concatenate(list(y.blocks(start, stop))), source=path, what="y", start=start)
        parts = [unpad(padded, filled(padded)) for padded in x.blocks(start, stop)]
        packed, counts = (np.concatenate(part) for part in zip(*parts, strict=True))
        packed = packed.astype(np.float64)
        require_sound(packed, packed[:, 0], counts, path, start)
        pt, y, phi, pdgid = packed.T
        _require_ids(pdgid, counts, path, start)
        ids, inverse = np.unique(np.abs(pdgid).astype(np.int64), return_inverse=True)
        mt = np.hypot(pt, np.array([_MASSES.get(i, 0.0) for i in ids.tolist()])[inverse])
        with np.errstate(over="ignore"):  # what does not fit becomes infinite, and is refused
            momenta = np.stack([pt * np.cos(phi), pt * np.sin(phi), mt * np.sinh(y), mt * np.cosh(y)], axis=1)
            momenta = momenta.astype(np.float32)
        require_sound(momenta, momenta[:, 3], counts, path, start)
        columns = dict(zip(MOMENTUM, momenta.T, strict=True))
        return four_momenta({**columns, "pdgid": pdgid.astype(np.int32)}, counts), labels


def _require_ids(pdgid: np.ndarray, counts: np.ndarray, path, start: int) -> None:
    bad = (pdgid != np.rint(pdgid)) | (np.abs(pdgid) >= 2**31)
    if bad.any():
        row = start + jet_numbers(counts)[bad][0]
        raise ValueError(
            f"{path}: row {row} has a constituent whose PDG id is {pdgid[bad][0]}, not an integer; X is pt, y, phi, id"
        )


@contextlib.contextmanager
def _intact(path: Path, what: str) -> Iterator[None]:
    """Turn what zipfile, zlib and NumPy raise, each in its own way, when bytes are not what was written."""
    try:
        yield
    except MemoryError:
        raise
    except NotImplementedError as error:
        raise OSError(f"{path}: {what} is compressed as Python cannot read it ({error}); save it with NumPy") from error
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise OSError(f"{path} is truncated or damaged in {what}, fetch or make it again: {reason}") from error


def _opened(path: Path) -> zipfile.ZipFile:
    with path.open("rb") as file:
        head = file.read(4)
    if head[:2] != b"PK":
        raise ValueError(f"{path} is not an .npz file: " + (f"it starts with {head!r}" if head else "it is empty"))
    with _intact(path, "its list of contents"):
        return zipfile.ZipFile(path)


class _Member:
    """An array in an .npz file, read as a stream."""

    def __init__(self, path: Path, archive: zipfile.ZipFile, name: str):
        self.path, self.archive, self.name = path, archive, name
        if f"{name}.npy" not in archive.namelist():
            raise KeyError(f"{path} has no array {name!r}; it has {[Path(n).stem for n in archive.namelist()]}")
        with _intact(path, name), archive.open(f"{name}.npy") as file:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            self.shape, fortran_order, self.dtype = read(file)
            self._start = file.tell()
        if self.dtype.kind not in "biuf":
            raise ValueError(f"{path}: {name} holds {self.dtype}; expected numbers")
        if fortran_order:
            raise ValueError(
                f"{path}: {name} is stored in Fortran order, not by rows; save np.ascontiguousarray({name})"
            )
        size = archive.getinfo(f"{name}.npy").file_size
        if size != self._start + math.prod(self.shape) * self.dtype.itemsize:
            raise OSError(f"{path}: {name} has the shape {self.shape}, but {size} bytes; fetch or make the file again")

    def blocks(self, start: int, stop: int) -> Iterator[np.ndarray]:
        """Yield rows `start` to `stop`, some at a time; the others are decompressed as well, for the checksum."""
        row_bytes = math.prod(self.shape[1:]) * self.dtype.itemsize
        with self.archive.open(f"{self.name}.npy") as file:
            self._read(file, self._start)
            for first in range(0, self.shape[0], _BLOCK):
                n = min(_BLOCK, self.shape[0] - first)
                content = self._read(file, n * row_bytes)
                chosen = slice(max(0, start - first), max(0, stop - first))
                rows = np.ndarray((n, *self.shape[1:]), self.dtype, content)[chosen]
                if len(rows):
                    yield rows
            self._read(file, 1)  # the end, where the checksum is compared

    def _read(self, file, n: int) -> bytes:
        with _intact(self.path, self.name):
            return file.read(n)
