"""Random numbers of events that depend on nothing but the event, so that others may come and go."""

import hashlib

import numpy as np

_STEP = np.uint64(0x9E3779B97F4A7C15)


def number_of(text: str) -> int:
    """Return an integer of 64 bits that belongs to a text.

    Examples
    --------
    >>> number_of("signal") == number_of("signal") != number_of("background")
    True
    """
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def places(sample: str, file: int, first: int, n: int) -> np.ndarray:
    """Number events by where they lie: entries `first` to `first` + `n` of a file of a sample, (N,) uint64.

    Equal numbers of different events are as likely as a collision of 64 bits.
    """
    start = _mixed(np.array([number_of(sample)], dtype=np.uint64) ^ np.uint64(file))
    return _mixed(start ^ np.arange(first, first + n, dtype=np.uint64))


def uniform(place: np.ndarray, seed: int, purpose: str) -> np.ndarray:
    """Draw one number in [0, 1) for each event.

    Parameters
    ----------
    place : (N,) uint64 array
        As `places` gives them.
    seed : int
    purpose : str
        Draws for different purposes are independent.

    Returns
    -------
    (N,) float64 array

    Examples
    --------
    >>> u = uniform(places("signal", 0, 0, 1000), 1, "mass")
    >>> bool((u[10:20] == uniform(places("signal", 0, 10, 10), 1, "mass")).all())
    True
    """
    salt = np.uint64(number_of(f"{purpose} {seed}"))
    return (_mixed(place ^ salt) >> np.uint64(11)) * 2.0**-53


def _mixed(x: np.ndarray) -> np.ndarray:
    """Take one step of SplitMix64, as `coursekit.splitting.split_by_hash` does."""
    x = x + _STEP
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
