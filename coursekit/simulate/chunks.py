"""A sample in chunks: each with a seed of its own, so that any number of processes makes the same events."""

from __future__ import annotations

import os
import pickle
import signal
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from itertools import count, islice
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import BinaryIO
from zlib import crc32

import awkward as ak
import numpy as np

from coursekit.cluster import in_order
from coursekit.files import unwritable
from coursekit.simulate.pythia import MAX_SEED


def chunk_seeds(seed: int, sample: str, chunk: int) -> tuple[int, np.random.Generator]:
    """Return Pythia's seed and numpy's generator for one chunk of one sample.

    They depend on these three arguments alone. Neighbouring chunks get neighbouring Pythia seeds, so that no two
    chunks of a sample can share one, as they sometimes would if seeds were drawn at random.

    Parameters
    ----------
    seed : int
        The user's seed, 0 or more.
    sample : str
    chunk : int

    Returns
    -------
    int, numpy.random.Generator

    Raises
    ------
    ValueError
        If the seed is negative.

    Examples
    --------
    >>> first, _ = chunk_seeds(1, "top", 0)
    >>> second, rng = chunk_seeds(1, "top", 1)
    >>> second - first
    1
    >>> chunk_seeds(1, "qcd", 0)[0] == first
    False
    """
    if seed < 0:
        raise ValueError(f"a seed must be 0 or more, got {seed}")
    entropy = [seed, crc32(sample.encode())]
    start = int(np.random.SeedSequence(entropy).generate_state(1)[0])
    return 1 + (start + chunk) % MAX_SEED, np.random.default_rng([*entropy, chunk])


def run_chunks(work: Callable, tasks: Iterable, jobs: int | str = 1) -> Iterator:
    """Yield `work(task)` for each task, in the order of the tasks, computed in `jobs` processes or on a cluster.

    Only `jobs + 1` results are under way or waiting at any time: the tasks may go on for ever, and whoever reads the
    results stops when he has enough.

    Parameters
    ----------
    work : callable
        Defined at the top level of a module: the processes are fresh interpreters that import it. A script that
        calls this with more than one job needs the usual ``if __name__ == "__main__":``.
    tasks : iterable
        What to call it with, one by one.
    jobs : int or str
        With 1, everything happens in this process. ``auto``, ``local`` or an address is that of a Ray cluster, see
        `coursekit.cluster`.

    Yields
    ------
    object
        Results, whose values do not depend on `jobs` if `work` depends on its task alone.

    Raises
    ------
    ValueError
        If `jobs` is less than 1.
    ChildProcessError
        If a process is killed, as a system does when its memory runs out.
    ImportError, ConnectionError
        If Ray is asked for and not installed, or does not answer.

    Examples
    --------
    >>> list(run_chunks(abs, [3, -4]))
    [3, 4]
    """
    if isinstance(jobs, str):
        yield from in_order(work, tasks, jobs)
        return
    if jobs < 1:
        raise ValueError(f"the number of jobs must be 1 or more, got {jobs}")
    if jobs == 1:
        yield from map(work, tasks)
        return
    tasks = iter(tasks)
    # Fresh interpreters rather than forks, which inherit the threads of a notebook in an undefined state.
    pool = ProcessPoolExecutor(jobs, get_context("spawn"), _depend_on_the_parent)
    try:
        pending = deque(pool.submit(work, task) for task in islice(tasks, jobs + 1))
        while pending:
            result = pending.popleft().result()
            pending.extend(pool.submit(work, task) for task in islice(tasks, 1))
            yield result
    except BrokenProcessPool:
        raise ChildProcessError(
            f"one of the {jobs} processes was ended from outside, most often because memory ran out; nothing is kept. "
            "Take fewer jobs"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def open_spool(folder: Path) -> BinaryIO:
    """Open a nameless file in a folder, which is made if need be, before hours are spent on what shall go there.

    Raises
    ------
    OSError
        The folder cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryFile(dir=folder)
    except OSError as error:
        raise unwritable(folder, error) from None


def _depend_on_the_parent() -> None:
    """Leave Ctrl-C to the parent, which then tells the others, and end with it when it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        parent_process().join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def spool_chunks(spool, work: Callable, size: int, jobs: int | str, report: Callable[[int, int], None]) -> int:
    """Store chunk after chunk in a file until they hold `size` entries, so that memory holds only a few of them.

    Parameters
    ----------
    spool : binary file
        Open for writing and reading.
    work : callable
        ``work(chunk)`` returns an awkward array and the number of collisions that it took; see `run_chunks`.
    size : int
        Entries wanted; of the last chunk only what is missing is kept.
    jobs : int or str
    report : callable
        Called as ``report(done, size)`` when a chunk is done.

    Returns
    -------
    int
        Collisions that all this took. A chunk kept in part counts in part.
    """
    done = n_generated = 0
    with closing(run_chunks(work, count(), jobs)) as chunks:
        while done < size:
            entries, generated = next(chunks)
            kept = min(len(entries), size - done)
            pickle.dump(entries[:kept], spool, protocol=pickle.HIGHEST_PROTOCOL)
            n_generated += generated if kept == len(entries) else round(generated * kept / len(entries))
            done += kept
            report(done, size)
    spool.flush()  # here, where whoever called knows what a full disk is about
    return n_generated


def read_spool(spool, sizes: Iterable[int]) -> Iterator[ak.Array]:
    """Yield the entries that `spool_chunks` stored, in their order, in pieces of the given sizes.

    Examples
    --------
    >>> with tempfile.TemporaryFile() as spool:
    ...     spool_chunks(spool, lambda chunk: (ak.Array([chunk, chunk]), 10), 5, 1, lambda done, size: None)
    ...     [piece.tolist() for piece in read_spool(spool, [3, 2])]
    25
    [[0, 0, 1], [1, 2]]
    """
    spool.seek(0)
    waiting = pickle.load(spool)
    for size in sizes:
        while len(waiting) < size:
            waiting = ak.concatenate([waiting, pickle.load(spool)])
        yield waiting[:size]
        waiting = waiting[size:]
