"""Batches for training from files that do not fit in memory."""

import contextlib
import math
import os
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping

import awkward as ak
import numpy as np

from coursekit.arrays import Array, events_with, plain, whole_number
from coursekit.streaming.files import open_source, stamp, unchanged

Batch = tuple[Array, np.ndarray, np.ndarray]
"""Inputs, labels and weights of the same events."""


class BatchStream:
    """Batches for training from files that do not fit in memory: each epoch all events once, in another order.

    Each file is divided into the same number of slices. A step reads one slice of every file, so that the classes stay
    mixed in the proportion of the files, whatever their sizes; which slice is drawn anew each epoch. What was read goes
    to a buffer, and the batches are drawn at random from there. A thread does all this ahead of the training. In memory
    are the buffer, one slice of each file, and about as many prepared events waiting for the network.

    The order is random among events that lie within the reach of a buffer; for a file sorted by class or by mass that
    is not enough: shuffle it once with `shuffle_file`.

    Parameters
    ----------
    files : mapping of path-like to object
        The ROOT or HDF5 files, each with its class, or whatever else `prepare` needs to know of it.
    prepare : callable
        ``prepare(events, label)`` turns a dictionary of arrays, as `read_chunks` gives it, and the value from `files`
        into inputs (N, ...), labels (N,) and weights (N,), one row for each event: arrays of NumPy or awkward, lists,
        or columns of pandas, which are matched by position. They are copied, so that it may use its memory again.
    rng : numpy.random.Generator or None
        Fixes the orders of all epochs, once and for all. None keeps the order of the files, in every epoch: for
        predictions that are compared with something else.
    branches : iterable of str, optional
        What to read, as in `read_chunks`.
    part : pair of float
        The share of each file to take: (0, 0.6) for training, (0.6, 0.8) for validation, (0.8, 1) for the test never
        overlap. Shuffle the files first if events lie in them in an order.
    batch_size : int
        Events in a batch. The last batch of an epoch has the rest.
    chunk : int
        Events read in a step, of all files together. Several baskets of the files are good: below one basket, the same
        is decompressed again and again.
    buffer : int
        Events among which batches are drawn, at least `chunk`.
    key : str, optional
        Name of the tree ("Events" if not given) or of the HDF5 table ("table").

    Attributes
    ----------
    n_events : int
        Events in an epoch.
    epoch : int
        Number of the epoch that the next ``for inputs, labels, weights in stream`` goes through, counted from 0. What
        is left of an epoch that was broken off is given up: keep the iterator, ``batches = iter(stream)``, to go on.

    Raises
    ------
    FileNotFoundError, OSError, KeyError
        As `read_chunks`.
    TypeError
        `files` is not a mapping, or `rng` not a generator.
    ValueError
        A size is not positive and whole, `part` is not a range in [0, 1] or empty in some file, one file is named
        twice; or, while reading, `prepare` returns another number of rows than there are events, rows of another shape
        than before, no numbers, or a value that is missing, NaN or infinite.

    Examples
    --------
    >>> import tempfile, uproot
    >>> folder = tempfile.mkdtemp()
    >>> for name, first in ("signal", 0), ("background", 10):
    ...     with uproot.recreate(f"{folder}/{name}.root") as file:
    ...         file.mktree("Events", {"mth": "float32"}).extend({"mth": first + np.arange(5)})
    >>> def prepare(events, label):
    ...     return events["mth"][:, None], np.full(len(events["mth"]), label), np.ones(len(events["mth"]))
    >>> files = {f"{folder}/signal.root": 1, f"{folder}/background.root": 0}
    >>> stream = BatchStream(files, prepare, np.random.default_rng(1), batch_size=4)
    >>> [len(inputs) for inputs, labels, weights in stream]
    [4, 4, 2]
    """

    def __init__(
        self,
        files: Mapping[str | os.PathLike, object],
        prepare: Callable[[dict[str, Array], object], Batch],
        rng: np.random.Generator | None,
        branches: Iterable[str] | None = None,
        part: tuple[float, float] = (0.0, 1.0),
        batch_size: int = 1024,
        chunk: int = 50_000,
        buffer: int = 200_000,
        key: str | None = None,
    ):
        if not isinstance(files, Mapping) or not files:
            raise TypeError("files maps each path to its class: {'signal.root': 1, 'background.root': 0}.")
        if rng is not None and not isinstance(rng, np.random.Generator):
            raise TypeError(f"rng is a NumPy Generator, such as np.random.default_rng(1), or None, but {rng!r} came.")
        batch_size, chunk, buffer = map(whole_number, (batch_size, chunk, buffer), ("batch_size", "chunk", "buffer"))
        if not (batch_size > 0 and 0 < chunk <= buffer):
            raise ValueError(
                f"expected batch_size > 0 and 0 < chunk <= buffer, got batch_size {batch_size}, chunk {chunk}, "
                f"buffer {buffer}."
            )
        if np.shape(part) != (2,) or not 0 <= part[0] < part[1] <= 1:
            raise ValueError(f"part is a range within [0, 1], such as (0, 0.6), but {part} came.")
        self._files, self._prepare, self._key = dict(files), prepare, key
        self._branches = branches if branches is None or isinstance(branches, str) else list(branches)
        self._batch_size, self._chunk, self._buffer = batch_size, chunk, buffer
        self._entropy = None if rng is None else int(rng.integers(2**63))
        self._ranges, self._stamps, known = {}, {path: stamp(path) for path in self._files}, {}
        for path in self._files:
            with open_source(path, key) as source:
                same = known.setdefault((os.stat(path).st_dev, os.stat(path).st_ino), path)
                if same is not path:
                    raise ValueError(f"{path} and {same} are one file, whose events would come twice: name it once.")
                source.require(self._branches)
                first, last = (round(share * source.n_events) for share in part)
                if first == last:
                    raise ValueError(f"{path}: {part} of its {source.n_events} events is none. Take a larger part.")
                self._ranges[path] = first, last
        self.n_events = sum(last - first for first, last in self._ranges.values())
        self.epoch = 0

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return math.ceil(self.n_events / self._batch_size)

    def __iter__(self) -> Iterator[Batch]:
        """Go through the next epoch."""
        self.epoch += 1
        return self.batches(self.epoch - 1)

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Go through an epoch of this number; the same number gives the same batches.

        Parameters
        ----------
        epoch : int

        Yields
        ------
        inputs : (B, ...) array
        labels, weights : (B,) arrays
        """
        # As many batches wait as one step makes: while a slice is read, the network lives on those.
        return _ahead(_within_memory(self._batches(epoch)), depth=2 + self._chunk // self._batch_size)

    def _batches(self, epoch: int) -> Iterator[Batch]:
        rng = None if self._entropy is None else np.random.default_rng([self._entropy, epoch])
        n_steps = math.ceil(self.n_events / self._chunk)
        with contextlib.ExitStack() as stack:
            slices = {}  # for each file its reader, and its slices in the order of this epoch
            for path, (first, last) in self._ranges.items():
                source = stack.enter_context(open_source(path, self._key))
                ends = first + np.rint((last - first) * np.arange(n_steps + 1) / n_steps).astype(int)
                for i in range(1, n_steps):
                    ends[i] = source.cut(ends[i - 1], ends[i])
                steps = np.arange(n_steps) if rng is None else rng.permutation(n_steps)
                slices[path] = source, [(int(ends[i]), int(ends[i + 1])) for i in steps]
            pool = []  # parts of the buffer, each a triple of arrays
            for step in range(n_steps):
                for path, (source, ranges) in slices.items():
                    start, stop = ranges[step]
                    if start < stop:
                        with unchanged(path, self._stamps[path]):
                            events = source.read(self._branches, start, stop)
                        pool.append(self._prepared(events, path, start, stop))
                        _require_alike(pool[0], pool[-1], path)
                size, last_step = sum(len(labels) for _, labels, _ in pool), step == n_steps - 1
                if size + self._chunk <= self._buffer and not last_step:
                    continue
                pool = [_concatenate([part[i] for part in pool]) for i in range(3)]
                order = np.arange(size) if rng is None else rng.permutation(size)
                # Room is made for one more step; what stays in the buffer mixes with what comes.
                n_out = size - (self._buffer - self._chunk)
                n_out = size if last_step else n_out // self._batch_size * self._batch_size
                for at in range(0, n_out, self._batch_size):
                    chosen = order[at : at + self._batch_size]
                    yield tuple(array[chosen] for array in pool)
                stays = np.ones(size, dtype=bool)  # in its old order: a mask copies faster, and the next step shuffles
                stays[order[:n_out]] = False
                pool = [tuple(array[stays] for array in pool)]

    def _prepared(self, events: dict[str, Array], path, start: int, stop: int) -> Batch:
        """Prepare events, and refuse what would make a network learn nonsense or nothing, before it does."""
        where = f"{path}, events {start} to {stop}"
        try:
            prepared = self._prepare(events, self._files[path])
        except Exception as error:
            error.add_note(f"prepare was at {where}")
            raise
        if not isinstance(prepared, tuple | list) or len(prepared) != 3:
            raise ValueError(f"{where}: prepare must return inputs, labels and weights, but {type(prepared)} came.")
        names = ("inputs", "labels", "weights")
        return tuple(_numbers(array, what, where, stop - start) for what, array in zip(names, prepared, strict=True))


def _within_memory(batches: Iterator[Batch]) -> Iterator[Batch]:
    try:
        yield from batches
    except MemoryError as error:
        raise MemoryError(f"too little memory to mix the events: take a smaller chunk and buffer ({error})") from error


def _numbers(values, what: str, where: str, n: int) -> Array:
    """Return a copy of values that `prepare` made, with a finite number for each of n events; or say what is wrong."""
    array = plain(values, what, where)
    if array.ndim == 0 or len(array) != n:
        raise ValueError(
            f"{where}: prepare returned {len(array) if array.ndim else values!r} {what} for {n} events. Give an "
            f"unwanted event the weight 0, or leave it out when the file is made."
        )
    kind = array.dtype if isinstance(array, np.ndarray) else array.type.content
    if "string" in str(kind) or (isinstance(array, np.ndarray) and kind.kind not in "biuf"):
        raise ValueError(f"{where}: prepare returned {what} of type {kind}, where numbers are expected.")
    bad = np.flatnonzero(events_with(array, lambda numbers: ~np.isfinite(numbers)))
    if len(bad):
        raise ValueError(
            f"{where}: {what} is NaN or infinite in {len(bad)} of {n} events, first in event {bad[0]} of these. Let "
            f"prepare put a default there, or give such an event the weight 0 and other inputs."
        )
    # What prepare returned may be a view of memory that it fills anew for the next slice.
    return array.copy() if isinstance(array, np.ndarray) else ak.copy(array)


def _require_alike(first: Batch, other: Batch, path) -> None:
    for what, a, b in zip(("inputs", "labels", "weights"), first, other, strict=True):
        if type(a) is not type(b) or (isinstance(a, np.ndarray) and a.shape[1:] != b.shape[1:]):
            forms = [x.shape[1:] if isinstance(x, np.ndarray) else str(x.type.content) for x in (a, b)]
            raise ValueError(f"{path}: prepare returned {what} with rows {forms[1]}, for events before {forms[0]}.")


def _concatenate(arrays: list[Array]) -> Array:
    if len(arrays) == 1:
        return arrays[0]
    return ak.concatenate(arrays) if any(isinstance(array, ak.Array) for array in arrays) else np.concatenate(arrays)


def _ahead(items: Iterator, depth: int) -> Iterator:
    """Let a thread produce up to `depth` items ahead; its errors are raised here, and it ends when this does."""
    ready, stop, done = queue.Queue(depth), threading.Event(), object()

    def put(item) -> bool:
        while not stop.is_set():
            with contextlib.suppress(queue.Full):
                ready.put(item, timeout=0.1)
                return True
        return False

    def work() -> None:
        error = None
        try:
            with contextlib.closing(items):
                for item in items:
                    if not put((item, None)):
                        return
        except BaseException as caught:
            error = caught
        put((done, error))

    thread = threading.Thread(target=work, name="coursekit stream", daemon=True)
    thread.start()
    try:
        while True:
            item, error = ready.get()
            if error is not None:
                raise error
            if item is done:
                return
            yield item
    finally:
        stop.set()
        thread.join()
