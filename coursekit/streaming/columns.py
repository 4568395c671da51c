"""What trees and tables have in common: named columns, and lists packed one behind the other."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from coursekit.branches import asked_for
from coursekit.words import listed, near


def offsets_of(counts: np.ndarray) -> np.ndarray:
    """Return where each list begins in a packed array, and where the last ends."""
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])


def required(path: Path, key: str, names: Iterable[str] | None, known: list[str]) -> list[str]:
    """Return the names asked for, all if none are, once each of them is known."""
    names = asked_for(names, known)
    for name in names:
        if name not in known:
            raise KeyError(f"{path}: {key} has no branch {name};{near(name, known)} there is {listed(known)}")
    return names
