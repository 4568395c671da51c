"""Which event is for training, which for validation, which for the test, and how to be sure of it a year later."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from coursekit.arrays import flat, numbers, whole_number
from coursekit.files import save_arrays
from coursekit.trees import is_about_the_machine, is_memory


def shuffle_together(rng: np.random.Generator, *arrays):
    """Bring arrays into one common random order, so that event i of each still is the same event.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the order.
    *arrays : numpy.ndarray, awkward.Array, pandas.Series or pandas.DataFrame
        Each with N events along its first axis, counted by position; any further shape, unit and dtype.

    Returns
    -------
    tuple of array
        Copies of the arrays in the new order.

    Raises
    ------
    TypeError
        A dictionary or another thing that cannot be indexed by an array came.
    ValueError
        The arrays have unequal lengths.

    Examples
    --------
    >>> inputs, labels = shuffle_together(np.random.default_rng(1), np.array([10, 20, 30]), np.array([1, 2, 3]))
    >>> bool((inputs == 10 * labels).all())
    True
    """
    _require_generator(rng)
    for array in arrays:
        if not getattr(array, "ndim", 0):
            raise TypeError(f"arrays are expected, but a {type(array).__name__} came: pass its arrays one by one.")
    order = rng.permutation(_common_length(arrays))
    return tuple(getattr(array, "iloc", array)[order] for array in arrays)


def split_indices(
    n: int, rng: np.random.Generator, fractions: Sequence[float] = (0.6, 0.2, 0.2)
) -> tuple[np.ndarray, ...]:
    """Deal the numbers 0 to n - 1 at random into parts of given sizes: training, validation, test by default.

    Part k ends at position round(n (f_1 + ... + f_k)) of a random order: sizes are right to one event and sum to n.

    Parameters
    ----------
    n : int
        Number of events.
    rng : numpy.random.Generator
        Source of the order.
    fractions : sequence of float
        Positive, summing to 1.

    Returns
    -------
    tuple of numpy.ndarray
        For each fraction the positions of its events, in random order, int64.

    Raises
    ------
    ValueError
        The fractions do not sum to 1 or are not positive, or a part would be empty.

    Examples
    --------
    >>> train, validation, test = split_indices(10, np.random.default_rng(1))
    >>> len(train), len(validation), len(test)
    (6, 2, 2)
    """
    _require_generator(rng)
    n = whole_number(n, "n")
    ends = np.rint(n * _upper_edges(fractions)).astype(np.int64)
    sizes = np.diff(ends, prepend=0)
    if (sizes <= 0).any():
        raise ValueError(f"{n} events in fractions {list(fractions)} give parts of {sizes.tolist()}: one is empty.")
    return tuple(np.split(rng.permutation(n), ends[:-1]))


def split_by_hash(
    *keys: np.ndarray, fractions: Sequence[float] = (0.6, 0.2, 0.2), salt: int = 0
) -> tuple[np.ndarray, ...]:
    """Assign events to parts by a hash of their identity: no list to keep, and events with equal keys stay together.

    The salt and the keys go through a chain of SplitMix64 steps [1]_; the upper 53 bits of the result, divided by 2^53,
    are a number u in [0, 1), and part k is where f_1 + ... + f_(k-1) <= u < f_1 + ... + f_k. This is arithmetic modulo
    2^64, the same on every machine. An event stays in its part when others are added to the file or removed.

    Parameters
    ----------
    *keys : numpy.ndarray
        One or more (N,) integer arrays that identify an event (run, event), or a group to be kept together (run).
    fractions : sequence of float
        Positive, summing to 1. The sizes follow them only within the statistics of the number of different keys.
    salt : int
        Another salt gives an independent split.

    Returns
    -------
    tuple of numpy.ndarray
        For each fraction the positions of its events, rising, int64.

    Raises
    ------
    TypeError
        A key does not hold integers.
    ValueError
        Fractions do not sum to 1, keys have unequal lengths, or a part would be empty.

    References
    ----------
    .. [1] G. L. Steele, D. Lea, C. H. Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014, fig. 17.

    Examples
    --------
    >>> split_by_hash(np.array([7, 7, 8, 9, 9, 10]), fractions=(0.5, 0.5))
    (array([0, 1, 5]), array([2, 3, 4]))
    """
    edges = _upper_edges(fractions)
    keys = [flat(key, "a key") for key in keys]
    hashed = np.full(_common_length(keys), whole_number(salt, "salt") & 0xFFFFFFFFFFFFFFFF, dtype=np.uint64)
    for key in keys:
        if key.dtype.kind not in "iu":
            raise TypeError(f"keys are integers such as run and event numbers, but {key.dtype} came.")
        hashed = _splitmix64(hashed ^ key.astype(np.uint64))
    u = (hashed >> np.uint64(11)) * 2.0**-53  # the 53 bits that a float64 in [0, 1) can hold
    part = np.searchsorted(edges[:-1], u, side="right")
    parts = tuple(np.flatnonzero(part == k) for k in range(len(edges)))
    if any(len(indices) == 0 for indices in parts):
        n_keys = len(np.unique(hashed))
        raise ValueError(
            f"the parts have {[*map(len, parts)]} events: {n_keys} different keys are too few for fractions "
            f"{list(fractions)}. Take a finer key, or another salt."
        )
    return parts


def stratified_folds(labels: np.ndarray, k: int, rng: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray]]:
    """Divide events into k folds with equal shares of each class, each fold being the validation set once.

    The events of a class are shuffled and dealt to the folds like cards, one class going on where the last one stopped:
    folds differ by at most one event, in each class and in total.

    Parameters
    ----------
    labels : numpy.ndarray
        (N,), the class of each event, any dtype that can be compared.
    k : int
        Number of folds, at least 2.
    rng : numpy.random.Generator
        Source of the order.

    Returns
    -------
    list of tuple of numpy.ndarray
        k pairs (training, validation) of rising positions, int64.

    Raises
    ------
    ValueError
        k is less than 2, labels are not flat, NaN or missing, or a class has fewer than k events.

    Examples
    --------
    >>> [len(train) for train, validation in stratified_folds([1, 1, 0, 0, 0, 0], 2, np.random.default_rng(1))]
    [3, 3]
    """
    _require_generator(rng)
    labels, k = flat(labels, "labels"), whole_number(k, "k")
    bad = labels != labels  # NaN, of numbers and of dates
    if bad.any() or len(labels) == 0:
        raise ValueError(f"labels is a flat array, the class of each event, but {bad.sum()} of {len(labels)} are NaN.")
    if k < 2:
        raise ValueError(f"k is {k}: at least 2 folds are needed, one to train on and one to validate with.")
    classes, sizes = np.unique(labels, return_counts=True)
    if sizes.min() < k:
        raise ValueError(
            f"class {classes[sizes.argmin()]} has {sizes.min()} events, too few for {k} folds: take at most "
            f"{sizes.min()} folds, or more events."
        )
    fold, start = np.empty(len(labels), dtype=np.int64), 0
    for label, size in zip(classes, sizes, strict=True):
        fold[rng.permutation(np.flatnonzero(labels == label))] = (start + np.arange(size)) % k
        start += size
    return [(np.flatnonzero(fold != i), np.flatnonzero(fold == i)) for i in range(k)]


def duplicates_across(parts: Sequence[np.ndarray], *keys: np.ndarray) -> np.ndarray:
    """Find events of which a copy sits in another part: what a network has seen in training and is then tested on.

    Parameters
    ----------
    parts : sequence of numpy.ndarray
        Positions of the events of each part, as `split_indices` gives them.
    *keys : numpy.ndarray
        (N,) arrays; two events are copies if all keys are equal. Identity (run, luminosityBlock, event), or contents:
        the columns of a table are ``*table.T``.

    Returns
    -------
    numpy.ndarray
        Rising positions of all events of any part with a copy in another part, int64; empty if nothing leaks.

    Raises
    ------
    ValueError
        Keys have unequal lengths, or there is none; a part holds something else than positions of these events.

    Examples
    --------
    >>> event = np.array([11, 12, 13, 11])
    >>> duplicates_across([np.array([0, 1]), np.array([2, 3])], event)
    array([0, 3])
    """
    keys = [flat(key, "a key") for key in keys]
    identity = np.zeros(_common_length(keys), dtype=np.int64)
    for key in keys:  # number the different values of each key, then the different pairs: exact, whatever the dtypes
        values, number = np.unique(key, return_inverse=True)
        identity = np.unique(identity * len(values) + number, return_inverse=True)[1]
    n_parts = np.zeros(identity.max(initial=-1) + 1, dtype=np.int64)
    parts = [_positions(indices, f"part {i}", len(identity)) for i, indices in enumerate(parts)]
    for indices in parts:
        n_parts[np.unique(identity[indices])] += 1
    used = np.unique(np.concatenate(parts)) if parts else np.empty(0, dtype=np.int64)
    return used[n_parts[identity[used]] > 1]


def fingerprint(*keys: np.ndarray) -> str:
    """Sum up the identity and order of events in 16 characters, to know them again.

    Parameters
    ----------
    *keys : numpy.ndarray
        (N,) arrays of numbers that tell the events apart: run, luminosityBlock, event, or the inputs themselves.

    Returns
    -------
    str
        The first 16 hexadecimal digits of a SHA-256 over the values as 64-bit little-endian numbers.

    Raises
    ------
    TypeError
        A key does not hold numbers.
    ValueError
        Keys have unequal lengths, or there is none.

    Examples
    --------
    >>> fingerprint(np.array([1, 2, 3]))
    '5740f92c61a91496'
    """
    keys = [flat(key, "a key") for key in keys]
    digest = hashlib.sha256(str(_common_length(keys)).encode())
    for key in keys:
        if key.dtype.kind not in "iuf":
            raise TypeError(f"keys are numbers, but {key.dtype} came.")
        key = numbers(key, "a key")
        # one width whatever the width in the file: a tree copied with float64 for float32 holds the same events
        digest.update(np.ascontiguousarray(key, dtype="<f8" if key.dtype.kind == "f" else "<i8").tobytes())
    return digest.hexdigest()[:16]


def save_indices(path: str | os.PathLike, parts: Mapping[str, np.ndarray], identity: str) -> None:
    """Store index lists with the fingerprint of the events they point to.

    Parameters
    ----------
    path : str or path-like
        Where to write, usually ending in ``.npz``.
    parts : mapping of str to numpy.ndarray
        For each part ("train", "validation", "test") the positions of its events, integers.
    identity : str
        What `fingerprint` gives for the events of the file, in its order.

    Raises
    ------
    ValueError
        A position is in two parts, or twice in one, or is none: a mask, a fraction, less than zero.
    """
    if not (isinstance(parts, Mapping) and parts and isinstance(identity, str)):
        raise TypeError('parts maps names to positions, {"train": ..., "test": ...}; identity is a fingerprint.')
    arrays = {name: _positions(indices, name) for name, indices in parts.items()}
    values, n_times = np.unique(np.concatenate(list(arrays.values())), return_counts=True)
    if (n_times > 1).any():
        raise ValueError(
            f"event {values[n_times > 1][0]} is in two parts, or twice in one: {', '.join(arrays)} overlap."
        )
    named = {f"indices_{name}": indices for name, indices in arrays.items()}
    save_arrays(path, **named, identity=identity)


def load_indices(path: str | os.PathLike, identity: str) -> dict[str, np.ndarray]:
    """Read index lists back, and refuse them for other events than those they were made for.

    Parameters
    ----------
    path : str or path-like
        A file that `save_indices` wrote.
    identity : str
        The `fingerprint` of the events about to be split.

    Returns
    -------
    dict of str to numpy.ndarray
        The positions of each part as stored, int64.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        It is not a file of index lists, or it belongs to other events.

    Examples
    --------
    >>> import tempfile
    >>> path, event = tempfile.mkdtemp() + "/split.npz", [11, 12, 13]
    >>> save_indices(path, {"train": [2, 0], "test": [1]}, fingerprint(event))
    >>> load_indices(path, fingerprint(event))
    {'train': array([2, 0]), 'test': array([1])}
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist. Split once, store the result with save_indices, then load it.")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            content = dict(archive)
        stored = str(content.pop("identity"))
        content = {name.removeprefix("indices_"): _positions(indices, name) for name, indices in content.items()}
    except Exception as error:  # zipfile, zlib and NumPy each have their own for bytes that are not theirs
        if is_memory(error) or is_about_the_machine(error):
            raise
        raise ValueError(f"{path} is not a file of index lists ({error}). Write it with save_indices.") from error
    if stored != identity:
        raise ValueError(
            f"{path} was made for other events: its fingerprint is {stored}, that of these events {identity}. Has the "
            f"sample been made anew, sorted or cut? Take the old one, or split anew and train anew."
        )
    return content


def _positions(indices, name: str, n: int | None = None) -> np.ndarray:
    """Return positions of events as int64, once they are known to be some."""
    indices = numbers(indices, name)
    indices = indices if indices.size else np.empty(0, dtype=np.int64)  # an empty list is of floats
    last = np.iinfo(np.int64).max if n is None else n - 1
    if indices.ndim != 1 or indices.dtype.kind not in "iu" or (indices < 0).any() or (indices > last).any():
        raise ValueError(
            f"{name} must hold positions of events, integers from 0 to {last}, but {indices.dtype} of shape "
            f"{indices.shape} came. np.flatnonzero makes positions of a mask."
        )
    return indices.astype(np.int64)


def _splitmix64(x: np.ndarray) -> np.ndarray:
    """Take one step of SplitMix64 from state x, (N,) uint64: flipping one input bit flips half of the output bits."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _upper_edges(fractions: Sequence[float]) -> np.ndarray:
    """Sum fractions up to the upper edge of each part, the last being exactly 1."""
    fractions = numbers(fractions, "fractions").astype(np.float64)
    if fractions.ndim != 1 or len(fractions) < 2 or not (fractions > 0).all():
        raise ValueError(f"fractions are at least two positive numbers, but {fractions.tolist()} came.")
    if not abs(fractions.sum() - 1) < 1e-6:  # they may come as float32
        raise ValueError(f"fractions sum to {fractions.sum():.12g}, not 1: {fractions.tolist()}.")
    edges = np.cumsum(fractions)
    edges[-1] = 1.0
    return edges


def _common_length(arrays: Sequence) -> int:
    lengths = [len(array) for array in arrays]
    if not lengths:
        raise ValueError("no array came: pass at least one.")
    if len(set(lengths)) > 1:
        raise ValueError(f"the arrays have unequal lengths {lengths}: apply the same selection to each.")
    return lengths[0]


def _require_generator(rng: np.random.Generator) -> None:
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"rng is a NumPy Generator, such as np.random.default_rng(1), but {rng!r} came.")
