"""What all readers of jets ask of a file: that it is there, has the jets asked for, and holds sound constituents."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from coursekit.arrays import whole_number
from coursekit.jets.arrays import jet_numbers
from coursekit.words import listed, near


def existing_file(path: str | os.PathLike) -> Path:
    path = Path(path)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "is missing"
        raise FileNotFoundError(f"{path} {what}; `coursekit data` lists what can be fetched or simulated")
    return path


@contextlib.contextmanager
def enough_memory(
    path: str | os.PathLike, remedy: str = "read fewer rows at once, with start and stop"
) -> Iterator[None]:
    """Say what to do when memory runs out: the file is sound."""
    try:
        yield
    except MemoryError as error:
        if str(path) in str(error):  # it says so already
            raise
        raise MemoryError(f"{path}: what is asked for needs more memory than there is; {remedy}") from error


def checked_range(path, start: int, stop: int | None, n: int) -> tuple[int, int]:
    if n == 0:
        raise ValueError(f"{path} has no jets; make it again")
    start, stop = whole_number(start, "start"), n if stop is None else whole_number(stop, "stop")
    if not 0 <= start < stop <= n:
        raise IndexError(f"{path} has {n} jets; expected 0 <= start < stop <= {n}, got start {start} and stop {stop}")
    return start, stop


def require_columns(names, wanted: Sequence[str], path) -> None:
    missing = [name for name in wanted if name not in names]
    if missing:
        raise KeyError(
            f"{path} lacks {len(missing)} of the {len(wanted)} columns needed, the first {missing[0]!r};"
            f"{near(missing[0], names)} there is {listed(names)}"
        )


def filled(padded: np.ndarray) -> np.ndarray:
    """Tell constituents from padding: (N, P, 4) -> (N, P) bool, False where all four numbers are zero."""
    nonzero = np.not_equal(padded, 0, order="C")
    return nonzero.view(np.uint32)[..., 0] != 0  # four bools are one integer: ten times as fast as any(axis=2)


def require_sound(momenta: np.ndarray, energy: np.ndarray, counts: np.ndarray, path, start: int) -> None:
    """Refuse jets without constituents, and constituents that are no particles, by the row of the jet.

    Parameters
    ----------
    momenta : (T, F) array
        All numbers of each constituent.
    energy : (T,) array
        What is above zero for a particle.
    counts : (N,) int array
    path : path-like
    start : int
        The row of the first jet.
    """
    if (counts == 0).any():
        empty = np.flatnonzero(counts == 0)
        raise ValueError(
            f"{path}: {len(empty)} jets have no constituents, the first is row {start + empty[0]}; "
            "leave such jets out where the file is made"
        )
    for good, what in (
        (np.isfinite(momenta), "is NaN or infinite"),
        (energy[:, None] > 0, "is neither padding (zeros) nor has an energy and pT above zero"),
    ):
        if not good.all():
            rows = start + np.unique(jet_numbers(counts)[~good.all(axis=1)])
            raise ValueError(
                f"{path}: {len(rows)} jets have a constituent that {what}, the first is row {rows[0]}; "
                "leave such jets out where the file is made"
            )
