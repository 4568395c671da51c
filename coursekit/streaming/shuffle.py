"""A shuffle on disk: a file of any size in random order, within a stated memory, in sequential passes."""

import contextlib
import errno
import math
import os
import re
import shutil
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from coursekit.arrays import whole_number
from coursekit.files import FULL, unwritable
from coursekit.jets.reading import enough_memory
from coursekit.locks import locked
from coursekit.streaming.columns import offsets_of
from coursekit.streaming.files import open_source, require_unchanged, stamp

LIBRARIES = 150_000_000  # bytes that Python and the libraries take (70 to 110 MB measured), part of the stated memory
BASKET = 10_000  # events that are compressed together in the result: enough to compress well, little to hold


@dataclass(frozen=True)
class ShufflePlan:
    """What a shuffle needs; made by `plan_shuffle`.

    Attributes
    ----------
    n_events : int
    event_bytes : float
        Mean size of an event, decompressed.
    temporary_bytes : int
        Space taken beside the result while the shuffle runs, in the result's folder.
    needed_bytes : int
        Free space that the folder must have at the start, for the temporary files and the growing result.
    chunk : int
        Events read at once in the first pass.
    n_buckets : int
        Files to which the events are scattered, each of which fits in memory.
    basket : int
        Events written at once in the second pass.
    left_out : tuple of str
        Other objects in the source, which do not go to the result.
    """

    n_events: int
    event_bytes: float
    temporary_bytes: int
    needed_bytes: int
    chunk: int
    n_buckets: int
    basket: int
    left_out: tuple[str, ...]


def plan_shuffle(source: str | os.PathLike, memory: int | str = "500MB", key: str | None = None) -> ShufflePlan:
    """Say what `shuffle_file` needs, without doing it.

    Parameters
    ----------
    source, memory, key
        As in `shuffle_file`, with the same errors.

    Returns
    -------
    ShufflePlan
    """
    with open_source(source, key) as opened:
        row_bytes, list_bytes = opened.storage()
        size = 8 + row_bytes + list_bytes  # with the random key that decides the event's place
        for_arrays = _bytes(memory) - LIBRARIES
        basket = min(BASKET, int(for_arrays / (20 * size)))
        if basket < 1:
            raise ValueError(
                f"memory {memory} is too little for {source}: {LIBRARIES / 1e6:.0f} MB are for Python and its "
                f"libraries, and there should be room for 20 events of {size / 1e6:.3g} MB. Give at least "
                f"{math.ceil((LIBRARIES + 20 * size) / 1e6)}MB."
            )
        total = opened.n_events * size
        # A bucket may take half of the memory; the fifth below is for the chance that makes one larger than others.
        n_buckets = math.ceil(total / (0.4 * for_arrays))
        return ShufflePlan(
            n_events=opened.n_events,
            event_bytes=float(row_bytes + list_bytes),
            temporary_bytes=math.ceil(total),
            # A bucket is deleted as soon as its events are in the result.
            needed_bytes=math.ceil(max(total, os.stat(source).st_size) + total / n_buckets),
            chunk=max(1, int(for_arrays / (5 * size))),
            n_buckets=n_buckets,
            basket=basket,
            left_out=opened.others(),
        )


def shuffle_file(
    source: str | os.PathLike,
    target: str | os.PathLike,
    rng: np.random.Generator,
    memory: int | str = "500MB",
    key: str | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> ShufflePlan:
    """Write the events of a file to another in random order, however large it is, in two sequential passes and a check.

    Each event i draws a number u_i, uniform in [0, 1), and the result is sorted by u: every order is equally likely.
    The first pass reads the source once and appends each event to one of K bucket files, number floor(K u_i). The
    second reads the buckets one after the other, sorts each in memory, and appends it to the result. Nothing is ever
    read at a random place. The order depends on `rng` and the number of events alone, not on the memory given: it is
    ``np.argsort(rng.random(n_events), kind="stable")``.

    All branches of an event stay together, flat or jagged, strings too. Either all that have values are in the result,
    or the file is refused: a third pass reads the result and compares its branches, their types, the number of events,
    and a sum over all values of each branch that knows no order, with what was read. The result has the format and
    compression of the source. It appears under its name when it is complete; until then there is a hidden folder
    beside it. An error or Ctrl-C removes that folder; what a killed process leaves is removed by the next
    shuffle to the same target.

    Parameters
    ----------
    source : path-like
        A ROOT file with a TTree, or an HDF5 file with a table (``DataFrame.to_hdf(format="table")``, among them the
        reference layout of jets). Only this tree or table is written.
    target : path-like
        The result; an existing file is replaced.
    rng : numpy.random.Generator
    memory : int or str
        What the process may take, with Python and its libraries: "500MB", "2 GB" (powers of ten), or bytes. It holds
        whatever the size of the file, as long as one event and one basket of the source are small beside it.
    key : str, optional
        Name of the tree ("Events" if not given) or of the HDF5 table ("table").
    progress : callable, optional
        Called with "scatter", "write" or "check", the events done, and their number.

    Returns
    -------
    ShufflePlan
        What was used.

    Raises
    ------
    FileNotFoundError
        The source, or the folder of the target, does not exist.
    FileExistsError
        Another process is shuffling to this target.
    OSError
        The source is truncated or damaged, or changes meanwhile; the folder of the target cannot be written, has too
        little space, or becomes full; the result is not what was read.
    KeyError
        The file has no such tree or table.
    TypeError
        `rng` is not a generator.
    ValueError
        The source is neither ROOT nor HDF5, or empty, or the target itself, or has another suffix; a branch holds
        objects or lists of lists, which uproot cannot write; two branches have one last name; the memory is too little.
    MemoryError
        There is less memory than was stated.

    Notes
    -----
    The counters of jagged branches (``nJet``) become int32 in the result, and lists that have no counter get one. A
    branch inside another, "Jet/Jet.PT", becomes one of its own with its last name, "Jet.PT", because uproot writes no
    others. A pandas index travels with its row: it tells where in the source an event was.

    References
    ----------
    P. Sanders, "Random permutations on distributed, external and hierarchical memory", Inf. Process. Lett. 67 (1998).

    Examples
    --------
    >>> import tempfile, uproot
    >>> folder = tempfile.mkdtemp()
    >>> with uproot.recreate(f"{folder}/sorted.root") as file:
    ...     file.mktree("Events", {"event": "int64"}).extend({"event": np.arange(5)})
    >>> plan = shuffle_file(f"{folder}/sorted.root", f"{folder}/random.root", np.random.default_rng(1))
    >>> from coursekit.streaming import read_chunks
    >>> next(read_chunks(f"{folder}/random.root"))["event"].tolist()
    [2, 4, 0, 3, 1]
    """
    source, target = Path(source), Path(target)
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"rng is a NumPy Generator, such as np.random.default_rng(1), but {rng!r} came.")
    progress = progress or (lambda task, done, total: None)
    before = stamp(source)
    plan = plan_shuffle(source, memory, key)
    _require_target(source, target, plan)
    enough = enough_memory(source, f"state less memory for the shuffle than {memory}")
    with enough, _own_folder(target) as folder, open_source(source, key) as opened:
        partial = folder / target.name
        try:
            checksums, sums = _scatter(opened, folder, plan, rng, progress)
            require_unchanged(source, before)
            with opened.writer(partial, plan.n_events // plan.basket + plan.n_buckets) as append:
                n_written = 0
                for bucket in range(plan.n_buckets):
                    n_written += _write_bucket(opened, folder, bucket, checksums, plan, append)
                    progress("write", n_written, plan.n_events)
            require_unchanged(source, before)
            _require_same(opened, sums, partial, target, plan, progress)
            os.replace(partial, target)
        except OSError as error:
            require_unchanged(source, before)  # a half-written file looks damaged; the reason is the better message
            if error.errno not in FULL:
                raise
            raise OSError(
                error.errno,
                f"{error.strerror} while {target} was written. {plan.needed_bytes / 1e6:.1f} MB are needed in its "
                f"folder; what was written is removed. Make room, or write to another disk",
            ) from error
    return plan


def _scatter(opened, folder: Path, plan: ShufflePlan, rng, progress) -> tuple[dict[str, int], dict[str, int]]:
    """Append each event to its bucket; return a checksum of each file, and a sum of each branch."""
    checksums, sums = defaultdict(int), defaultdict(int)
    start, step, limit = 0, plan.chunk, plan.chunk * (8 + plan.event_bytes)
    while start < plan.n_events:
        stop = opened.cut(start, min(start + step, plan.n_events))
        rows, lists = opened.read_rows(start, stop)
        _add(sums, rows, *lists.values())
        keys = rng.random(len(rows))
        buckets = (keys * plan.n_buckets).astype(np.min_scalar_type(plan.n_buckets))
        order = np.argsort(buckets, kind="stable")  # of equal keys, the first in the source stays the first
        ends = np.cumsum(np.bincount(buckets, minlength=plan.n_buckets))
        offsets = {counter: offsets_of(rows[counter]) for counter in lists}
        for bucket, chosen in enumerate(np.split(order, ends[:-1])):
            if len(chosen) == 0:
                continue
            parts = [keys[chosen], rows[chosen]]
            parts += [_take_lists(packed, offsets[counter], chosen) for counter, packed in lists.items()]
            for number, part in enumerate(parts):
                name, content = f"{bucket}.{number}", part.tobytes()
                with (folder / name).open("ab") as file:
                    file.write(content)
                checksums[name] = zlib.crc32(content, checksums[name])
        # Where events are larger than the mean (lists sorted by length), fewer are read at once.
        used = keys.nbytes + rows.nbytes + sum(packed.nbytes for packed in lists.values())
        step = max(1, min(2 * step, int((stop - start) * limit / used), plan.chunk))
        start = stop
        progress("scatter", start, plan.n_events)
    return checksums, sums


def _write_bucket(opened, folder: Path, bucket: int, checksums, plan: ShufflePlan, append) -> int:
    """Sort the events of a bucket by their keys and append them to the result; return their number."""
    row_dtype, list_dtypes = opened.dtypes()
    parts = []
    for number, dtype in enumerate([np.dtype(np.float64), row_dtype, *list_dtypes.values()]):
        name = f"{bucket}.{number}"
        if name not in checksums:
            return 0  # no event at all came here
        path = folder / name
        part = np.fromfile(path, dtype) if path.exists() else np.empty(0, dtype)
        if zlib.crc32(part.view(np.uint8)) != checksums[name]:
            raise OSError(f"{path} is not what was written there in the first pass. Does something clean this folder?")
        path.unlink()
        parts.append(part)
    keys, rows, *packed = parts
    lists = dict(zip(list_dtypes, packed, strict=True))
    order = np.argsort(keys, kind="stable")
    offsets = {counter: offsets_of(rows[counter]) for counter in lists}
    for at in range(0, len(order), plan.basket):
        chosen = order[at : at + plan.basket]
        append(rows[chosen], {name: _take_lists(lists[name], offsets[name], chosen) for name in lists})
    return len(order)


def _require_same(opened, sums: dict[str, int], written: Path, target: Path, plan: ShufflePlan, progress) -> None:
    """Read the result and compare it with what was read from the source, before it gets its name."""
    found = defaultdict(int)
    with open_source(written, opened.key) as result:
        kinds, found_kinds = _kinds(opened), _kinds(result)
        start = 0
        while start < result.n_events:
            stop = result.cut(start, min(start + plan.chunk, result.n_events))
            rows, lists = result.read_rows(start, stop)
            _add(found, rows, *lists.values())
            start = stop
            progress("check", start, plan.n_events)
    wrong = [name for name in sums | found if kinds.get(name) != found_kinds.get(name) or sums[name] != found[name]]
    if wrong or result.n_events != plan.n_events:
        raise OSError(
            f"{target} would not hold what {opened.path} does: {', '.join(wrong) or 'the events'} came back otherwise "
            f"({result.n_events} events of {plan.n_events}), and nothing is written. A failing disk? Write to another "
            f"one; if that does not help, leave these branches out."
        )


def _kinds(opened) -> dict[str, np.dtype]:
    return {name: dtype[name] for dtype in (opened.dtypes()[0], *opened.dtypes()[1].values()) for name in dtype.names}


def _add(sums: dict[str, int], *parts: np.ndarray) -> None:
    """Add to the sum of each branch, modulo 2^64, that of more values, with their bits mixed: no order changes it."""
    for part in parts:
        for name in part.dtype.names:
            size = part.dtype[name].base.itemsize
            step = max(1, 1_000_000 // (8 * part.dtype[name].itemsize))  # what is summed is eight bytes for each value
            for start in range(0, len(part), step):
                values = np.ascontiguousarray(part[name][start : start + step])
                mixed = values.reshape(-1).view(f"u{size}" if size in (1, 2, 4, 8) else "u1") + np.uint64(1)
                mixed *= np.uint64(0x9E3779B97F4A7C15)  # wraps, so that the high bits depend on all of the value
                mixed ^= mixed >> np.uint64(32)
                sums[name] = (sums[name] + int(mixed.sum(dtype=np.uint64))) % 2**64


def _take_lists(packed: np.ndarray, offsets: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Pick the lists of the chosen events out of a packed array, in their order, packed again."""
    starts, counts = offsets[chosen], offsets[chosen + 1] - offsets[chosen]
    new = offsets_of(counts)
    return packed[np.arange(new[-1]) + np.repeat(starts - new[:-1], counts)]


def _bytes(memory: int | str) -> int:
    if isinstance(memory, str):
        match = re.fullmatch(r"\s*([\d.]+)\s*([kMGT]?)B?\s*", memory, re.IGNORECASE)
        try:
            return int(float(match[1]) * 1000 ** " KMGT".index(match[2].upper() or " "))
        except (TypeError, ValueError):
            raise ValueError(f'memory is a size such as "500MB" or "2 GB", but {memory!r} came.') from None
    return whole_number(memory, "memory")


def _require_target(source: Path, target: Path, plan: ShufflePlan) -> None:
    """Refuse a target that cannot be written, before hours are spent on it."""
    if target.exists() and target.samefile(source):
        raise ValueError(f"{target} is the source itself: write to another name, and rename it when you have looked.")
    if target.is_dir():
        raise IsADirectoryError(f"{target} is a folder: give the name of the file to write.")
    folder = target.absolute().parent
    if not folder.is_dir():
        raise FileNotFoundError(f"the folder {folder} does not exist: make it, or choose another for the result.")
    if target.suffix.lower() != source.suffix.lower():
        raise ValueError(
            f"{target.name} must end in {source.suffix!r} as {source.name} does: the format stays the same."
        )
    if not os.access(folder, os.W_OK):  # a disk for reading alone also has no free space
        raise unwritable(folder, PermissionError(errno.EACCES, ""))
    free = shutil.disk_usage(folder).free
    if free < plan.needed_bytes:
        raise OSError(
            errno.ENOSPC,
            f"{folder} has {free / 1e6:.1f} MB of free space, {plan.needed_bytes / 1e6:.1f} MB are needed "
            f"({plan.temporary_bytes / 1e6:.1f} MB for temporary files: {plan.n_events} events, decompressed). "
            f"Make room, or write to another disk",
        )


@contextlib.contextmanager
def _own_folder(target: Path) -> Iterator[Path]:
    """Make a folder beside the target for this process alone, empty it of what a killed one left, and remove it."""
    folder = target.absolute().with_name(f".{target.name}.shuffling")
    with contextlib.ExitStack() as after, contextlib.ExitStack() as lock:
        after.callback(_remove_if_empty, folder)  # it is not when another process has come in between
        try:
            folder.mkdir(exist_ok=True)
            lock.enter_context(locked(folder / "this", wait=False))
        except TimeoutError:
            raise FileExistsError(
                f"another process is shuffling to {target}: wait for it, or choose another name"
            ) from None
        except OSError as error:
            raise unwritable(folder.parent, error) from error
        try:
            _empty(folder)
            yield folder
        finally:
            for path in folder.iterdir():
                with contextlib.suppress(OSError):  # where an open file cannot be removed
                    path.unlink()
            lock.close()


def _remove_if_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.suffix != ".lock":
            path.unlink()
