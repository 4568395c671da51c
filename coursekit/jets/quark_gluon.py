"""The public quark/gluon jets, read to the same structure."""

import os
import zipfile
from pathlib import Path

import awkward as ak
import numpy as np

from coursekit.jets.arrays import MOMENTUM, four_momenta, unpad
from coursekit.jets.reference import check_constituents, checked_range, existing_file

# Masses in GeV by absolute PDG id, for files that store (pt, y, phi, id); particles not listed count as massless.
_MASSES = {11: 0.000511, 13: 0.105658, 130: 0.497611, 211: 0.13957, 321: 0.493677, 2112: 0.939565, 2212: 0.938272}
_BLOCK = 2048  # jets read at once


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
    path = existing_file(path)
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
            start, stop = checked_range(path, start, stop, shape[0])
            n_bytes = dtype.itemsize * shape[1] * 4
            file.seek(start * n_bytes, os.SEEK_CUR)
            for first in range(start, stop, _BLOCK):
                n = min(_BLOCK, stop - first)
                padded = np.frombuffer(file.read(n * n_bytes), dtype).reshape(n, shape[1], 4)
                parts.append(unpad(padded, padded[..., 0] > 0))
    packed, counts = (np.concatenate(part) for part in zip(*parts, strict=True))
    pt, y, phi, pdgid = packed.astype(np.float64).T
    ids, inverse = np.unique(np.abs(pdgid).astype(np.int64), return_inverse=True)
    mt = np.hypot(pt, np.array([_MASSES.get(i, 0.0) for i in ids.tolist()])[inverse])
    packed = np.stack([pt * np.cos(phi), pt * np.sin(phi), mt * np.sinh(y), mt * np.cosh(y)], axis=1).astype(np.float32)
    check_constituents(packed, counts, path, start)
    columns = dict(zip(MOMENTUM, packed.T, strict=True))
    jets = four_momenta({**columns, "pdgid": pdgid.astype(np.int32)}, counts)
    return jets, labels[start:stop].astype(np.int64)


def _npy_header(file) -> tuple[tuple[int, ...], np.dtype]:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran_order, dtype = read(file)
    if fortran_order:
        raise ValueError("X is stored in Fortran order and cannot be read in slices; save np.ascontiguousarray(X)")
    return shape, dtype
