"""Work on many machines: tasks that Ray computes, or this process, with the same results.

Ray is imported and started only when somebody names it. A function and its arguments travel by `pickle`, so every
machine needs this package, in the same version.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import pickle
import shutil
import signal
import socket
import tempfile
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

from threadpoolctl import threadpool_limits

from coursekit import __version__
from coursekit.files import is_running
from coursekit.threads import NUMBERS, cores, of_a_task

__all__ = ["connected", "each", "in_order"]

RETRIES = 5  # of a task whose machine is lost; its own errors are not tried again
_joined: list[str] = []  # the cluster that a block of `connected` has started or joined
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is reported to anybody
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # what Ray will do by default, or it warns that it will
    "RAY_DEDUP_LOGS": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1",
}


def each(
    function: Callable,
    tasks: Sequence[tuple],
    ray: str | None = None,
    shared: tuple = (),
    progress: Callable[[int, int], None] | None = None,
    finished: Callable[[int, object], None] | None = None,
) -> list:
    """Call a function for each task, ``function(*shared, *task)``, in this process or on a cluster.

    Parameters
    ----------
    function : callable
        Its result depends on its arguments alone. With `ray`, all of them and the result must be picklable.
    tasks : sequence of tuple
        The arguments that differ.
    ray : str, optional
        ``"local"`` starts Ray on this machine, ``"auto"`` joins the cluster that runs here, an address joins that one;
        without it, everything happens in this process and Ray is not needed. A task whose machine is lost is computed
        again on another, five times at most.
    shared : tuple
        The first arguments of every call, sent once.
    progress : callable, optional
        Called as ``progress(done, total)`` when a task has ended.
    finished : callable, optional
        Called in this process as ``finished(number, result)`` as soon as a task has ended, in whatever order they do.

    Returns
    -------
    list
        Results in the order of the tasks.

    Raises
    ------
    Exception
        Whatever the function raises, with a note that names the task.
    ImportError
        Ray is named and not installed.
    ConnectionError
        No cluster answers at the address.
    TypeError
        Something cannot be pickled.
    ChildProcessError
        A task was ended from outside again and again.

    Examples
    --------
    >>> each(pow, [(2,), (3,)], shared=(10,))
    [100, 1000]
    """
    results = [None] * len(tasks)
    with contextlib.closing(_completed(function, tasks, ray, shared)) as completed:
        for done, (number, result) in enumerate(completed, 1):
            results[number] = result
            if finished:
                finished(number, result)
            if progress:
                progress(done, len(tasks))
    return results


def in_order(function: Callable, tasks: Iterable, ray: str) -> Iterator:
    """Yield ``function(task)`` for each task in their order, computed on a cluster.

    Only as many as the cluster has cores, and one more, are under way or waiting at any time: the tasks may go on for
    ever, and whoever reads the results stops when he has enough.

    Parameters
    ----------
    function : callable
    tasks : iterable
    ray : str
        As in `each`.

    Yields
    ------
    object

    Raises
    ------
    Exception
        As `each`.
    """
    with connected(ray) as library:
        width = 1 + int(library.cluster_resources().get("CPU", 1))
        submit = _submitter(library, function, ())
        tasks = iter(tasks)
        pending = deque((task, submit((task,))) for task in islice(tasks, width))
        try:
            while pending:
                task, reference = pending[0]
                result = _result(library, function, (task,), reference)
                pending.popleft()
                pending.extend((task, submit((task,))) for task in islice(tasks, 1))
                yield result
        finally:
            _cancel(library, [reference for _, reference in pending])


@contextlib.contextmanager
def connected(ray: str) -> Iterator:
    """Start Ray or join it, for the block; within another such block, and where Ray runs already, that one is used.

    Parameters
    ----------
    ray : str
        ``"local"``, ``"auto"`` or an address, as in `each`.

    Yields
    ------
    module
        Ray.

    Raises
    ------
    ImportError
        Ray is not installed; on Windows with Python 3.13 it cannot be.
    ConnectionError
        No cluster answers, or it runs another version of Ray or Python.
    ValueError
        `ray` is no address, or this process is in another cluster.
    """
    library = _import_ray()
    if library.is_initialized():
        if _joined and _joined != [ray]:
            raise ValueError(f"this process is in the cluster {_joined[0]}: it cannot join {ray} at the same time")
        yield library
        return
    with contextlib.ExitStack() as stack:
        options = _local(stack) if ray == "local" else {"address": _answering(ray)}
        handler = signal.getsignal(signal.SIGTERM)
        stack.callback(_leave, library)
        try:
            _begin(library, options)
        except Exception as error:  # Ray has no class for "timed out during startup"
            reason = str(error).strip().splitlines()[0]
            raise ConnectionError(
                f"ray: {ray} cannot be {'started' if ray == 'local' else 'joined'} ({reason}); every machine needs the "
                "same versions of Python and Ray, and a core that is free for half a minute"
            ) from error
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)  # Ray takes it for itself
        _joined.append(ray)
        stack.callback(_joined.clear)
        yield library


def _import_ray():
    if find_spec("ray") is None:
        raise ImportError(
            'ray is not installed: pip install "coursekit[studies]" (no wheel of it is for Windows with Python 3.13: '
            "take 3.12). Without `ray`, everything but a search runs in one process with the same results"
        )
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import ray
    return ray


def _local(stack: contextlib.ExitStack) -> dict:
    """Return how to start Ray on this machine, with a folder of its own for its sockets and logs."""
    # The name of a socket has a hundred characters at most, so not in the long folder for temporary files of macOS.
    place = Path("/tmp") if os.access("/tmp", os.W_OK) else Path(tempfile.gettempdir())
    for folder in place.glob("ckray-*-*"):  # what a killed process has left
        number = folder.name.split("-")[1]
        if number.isdecimal() and not is_running(int(number)):
            shutil.rmtree(folder, ignore_errors=True)
    folder = tempfile.mkdtemp(prefix=f"ckray-{os.getpid()}-", dir=place)
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    return {"address": "local", "num_cpus": cores(), "include_dashboard": False, "_temp_dir": folder}


def _begin(library, options: dict) -> None:
    """Start or join Ray; on a machine that is very busy it may take longer than Ray waits, so three times."""
    for again in (True, True, False):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                library.init(log_to_driver=False, logging_level=logging.ERROR, **options)
            return
        except Exception as error:
            _leave(library)
            if not again or "timed out during startup" not in str(error):
                raise


def _answering(address: str) -> str:
    """Return the address if somebody listens there; Ray itself would try for a minute or more."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if address == "auto":
        return address
    if not host or not port.isdecimal():
        raise ValueError(f"ray: expected auto, local or an address such as 192.168.1.5:6379, but {address!r} came")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise ConnectionError(
            f"nobody answers at ray: {address} ({error}); start a cluster there with `ray start --head`, or say local"
        ) from None
    return address


def _leave(library) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        library.shutdown()
        gc.collect()  # what Ray's processes were started with complains when it goes


def _completed(function: Callable, tasks: Sequence[tuple], ray: str | None, shared: tuple) -> Iterator:
    """Yield the number of each task and its result as they come."""
    if ray is None:
        for number, task in enumerate(tasks):
            try:
                result = function(*shared, *task)
            except Exception as error:
                error.add_note(f"in {_said(function, task)}")
                raise
            yield number, result
        return
    with connected(ray) as library:
        submit = _submitter(library, function, shared)
        pending = {submit(task): number for number, task in enumerate(tasks)}
        try:
            while pending:
                (reference,), _ = library.wait(list(pending), num_returns=1)
                number = pending[reference]
                result = _result(library, function, tasks[number], reference)
                del pending[reference]
                yield number, result
        finally:
            _cancel(library, list(pending))


def _submitter(library, function: Callable, shared: tuple) -> Callable:
    """Return what sends a task to the cluster; the function and the shared arguments are sent here, once."""
    threads = of_a_task()
    # A task that asked for more cores than any machine has would wait without end.
    most = max((node["Resources"].get("CPU", 1) for node in library.nodes() if node["Alive"]), default=1)
    remote = library.remote(_call).options(num_cpus=min(threads, most), max_retries=RETRIES)
    sent = [
        _send(library, value, what) for value, what in [(function, "the function"), *((v, "an input") for v in shared)]
    ]

    def submit(task: tuple):
        try:
            return remote.remote(__version__, threads, task, *sent)
        except (TypeError, pickle.PicklingError, AttributeError) as error:
            raise _unpicklable(error, f"the arguments of {_said(function, task)}") from None

    return submit


def _send(library, value, what: str):
    try:
        return library.put(value)
    except (TypeError, pickle.PicklingError, AttributeError) as error:
        raise _unpicklable(error, f"{what} {getattr(value, '__name__', type(value).__name__)}") from None


def _unpicklable(error: Exception, what: str) -> TypeError:
    reason = next((line for line in str(error).splitlines() if line.strip(" =")), type(error).__name__)
    return TypeError(
        f"{what} cannot be sent to another process ({reason.strip()}): open files, locks and generators stay where "
        "they are; define functions at the top level of a module"
    )


def _call(version: str, threads: int, task: tuple, function: Callable, *shared):
    """Compute a task, on a machine of the cluster."""
    if version != __version__:
        raise ImportError(
            f"{socket.gethostname()} has coursekit {__version__}, but the study was started with {version}: install "
            "the same version on all machines"
        )
    os.environ.update(dict.fromkeys(NUMBERS, str(threads)))  # for what is imported from now on
    with threadpool_limits(threads):
        return function(*shared, *task)


def _result(library, function: Callable, task: tuple, reference):
    """Wait for a task; raise its own error as if it had been computed here."""
    try:
        return library.get(reference)
    except library.exceptions.RayTaskError as error:
        cause = error.cause if isinstance(error.cause, Exception) else error
        cause.add_note(f"in {_said(function, task)}")
        raise cause from None
    except (library.exceptions.RaySystemError, library.exceptions.RayError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ChildProcessError(
            f"{_said(function, task)} was ended from outside, each time of {RETRIES + 1}, most often because memory "
            f"ran out, or the cluster is gone ({reason})"
        ) from error


def _cancel(library, references: list) -> None:
    for reference in references:
        with contextlib.suppress(Exception):  # done, or its machine is gone
            library.cancel(reference, force=True)


def _said(function: Callable, task: tuple) -> str:
    name = getattr(function, "__name__", None) or getattr(getattr(function, "func", None), "__name__", "task")
    values = ", ".join(repr(value) if isinstance(value, int | float | str | None) else "..." for value in task)
    return f"{name}({values})"
