"""Threads that share a machine: how many a process gets, and that they sleep while they wait for each other.

The libraries read these environment variables when they are loaded, so they are set before: by ``import coursekit``, by
a build for its children, and by the tests for their workers.
"""

import os

__all__ = ["NUMBERS", "WAITING", "share", "sleep_while_waiting"]

#: How the libraries of the lessons are told the number of their threads.
NUMBERS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")
#: OpenMP's threads keep a core busy while they wait for the slowest of them. On a machine that has something else to
#: do, as Colab's two virtual cores have, the slowest waits for that very core. So they look some thousand times, for
#: microseconds, and then sleep: GNU's runtime, and those of Intel and LLVM, which count in milliseconds. With 1000 a
#: training alone lost a fifth, with 30 000 one beside another gained little; `benchmarks/bench_threads.py` shows it.
WAITING = {"GOMP_SPINCOUNT": "5000", "KMP_BLOCKTIME": "1"}


def sleep_while_waiting() -> None:
    """Let the threads of the OpenMP runtimes that are loaded from now on sleep while they wait.

    What the environment says already is left as it is, ``OMP_WAIT_POLICY`` too.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        for name, value in WAITING.items():
            os.environ.setdefault(name, value)


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
    threads = str(max(1, (os.cpu_count() or 1) // processes))
    return {name: os.environ.get(name, threads) for name in NUMBERS}
