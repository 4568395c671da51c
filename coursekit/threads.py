"""Threads that share a machine: how many a process gets, and that they sleep while they wait for each other.

The libraries read these environment variables when they are loaded, so they are set before: by ``import coursekit``, by
a build for its children, and by the tests for their workers.
"""

import contextlib
import math
import os
from pathlib import Path

__all__ = ["NUMBERS", "WAITING", "cores", "let_numexpr_load", "of_a_task", "share", "sleep_while_waiting", "workers"]

#: How the libraries of the lessons are told the number of their threads.
NUMBERS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")
#: OpenMP's threads keep a core busy while they wait for the slowest of them. On a machine that has something else to
#: do, as Colab's two virtual cores have, the slowest waits for that very core. So they look some thousand times, for
#: microseconds, and then sleep: GNU's runtime, and those of Intel and LLVM, which count in milliseconds. With 1000 a
#: training alone lost a fifth, with 30 000 one beside another gained little; `benchmarks/bench_threads.py` shows it.
WAITING = {"GOMP_SPINCOUNT": "5000", "KMP_BLOCKTIME": "1"}
_CONTROL = Path("/sys/fs/cgroup")


def sleep_while_waiting() -> None:
    """Let the threads of the OpenMP runtimes that are loaded from now on sleep while they wait.

    What the environment says already is left as it is, ``OMP_WAIT_POLICY`` too.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        for name, value in WAITING.items():
            os.environ.setdefault(name, value)


def let_numexpr_load() -> None:
    """Tell numexpr a number of threads where ``OMP_NUM_THREADS`` is none, or more than the 64 that it has room for.

    pandas and PyTables import it, and it takes ``4,2``, which is well formed, for the reason to fail.
    """
    said = os.environ.get("NUMEXPR_NUM_THREADS") or os.environ.get("OMP_NUM_THREADS") or "1"
    if not (said.strip().isdecimal() and 0 < int(said) <= 64):
        os.environ["NUMEXPR_NUM_THREADS"] = str(min(workers(), 64))


def cores() -> int:
    """Return how many cores this process may use, at least 1.

    Fewer than the machine has where a batch system binds the process to some, or a container gets a share of time.
    """
    try:
        found = len(os.sched_getaffinity(0))
    except (AttributeError, OSError):  # macOS and Windows bind nobody
        found = os.cpu_count() or 1
    for names in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):  # the second and first version
        with contextlib.suppress(OSError, ValueError):  # not there, or "max"
            said = " ".join((_CONTROL / name).read_text(encoding="ascii") for name in names)
            quota, period = map(int, said.split())
            found = min(found, math.ceil(quota / period)) if quota > 0 and period > 0 else found
    return max(1, found)


def workers() -> int:
    """Return how many threads to start: what ``OMP_NUM_THREADS`` asks for, and no more than there are cores.

    It is a number, or a list for nested levels, ``4,2``, of which the first counts. Anything else, such as the 0 or -1
    of a batch system, asks for nothing.
    """
    return min(_asked("OMP_NUM_THREADS") or cores(), cores())


def of_a_task() -> int:
    """Return with how many threads a training or another task computes: what ``OMP_NUM_THREADS`` asks for, or one.

    Sums over many events are added up in as many parts as there are threads, and rounding depends on that. So a task
    has the same number here and on a cluster, whatever the cores of the machines.
    """
    return _asked("OMP_NUM_THREADS") or 1


def share(processes: int) -> dict[str, str]:
    """Return the environment that gives one of several processes its share of the cores.

    Parameters
    ----------
    processes : int
        That compute at the same time. Two processes with two threads each on two cores would spend most of their time
        waiting for each other.

    Returns
    -------
    dict of str to str
        The numbers of threads, at least 1 each; one that the environment says already is kept.

    Examples
    --------
    >>> set(share(10_000)) >= {"OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"}
    True
    """
    threads = max(1, cores() // processes)
    return {name: str(_asked(name) or threads) for name in NUMBERS}


def _asked(name: str) -> int:
    """Return the number of threads that a variable asks for, 0 if it says none."""
    first = os.environ.get(name, "").split(",")[0].strip()
    return int(first) if first.isdecimal() else 0
