"""Locks that let one thread or process in at a time, on every file system, and that go with whoever holds them."""

import contextlib
import errno
import functools
import hashlib
import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import filelock

from coursekit.files import unwritable

__all__ = ["locked"]

#: How a file system says that it has no locks.
_NONE = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOLCK, errno.EINVAL)


@contextlib.contextmanager
def locked(path: str | os.PathLike, wait: bool | float = True) -> Iterator[None]:
    """Read, change and write a file while all others that lock it, threads and processes, wait for the block to end.

    The lock is the system's, so it is gone with the process that holds it, however that ends. On a file system without
    locks, as some network folders are, one in this machine's folder for temporary files takes its place, and a line in
    the log says once that other machines are not waited for.

    Parameters
    ----------
    path : path-like
        The file, which need not exist; its folder must. A hidden empty file beside it, ``.name.lock``, stays: whoever
        removed it could let two in at once.
    wait : bool or float
        Until the others are done, or for so many seconds at most.

    Raises
    ------
    TimeoutError
        Somebody else has the lock, and `wait` is false or over.
    OSError
        The folder does not exist or cannot be written.

    Examples
    --------
    >>> from coursekit.files import replacing
    >>> path = Path(tempfile.mkdtemp()) / "count"
    >>> with locked(path), replacing(path) as partial:
    ...     _ = partial.write_text("1", encoding="utf-8")
    """
    path = Path(os.path.realpath(path))  # whatever the links by which others come to it
    timeout = -1 if wait is True else float(wait)
    lock = _acquire(path.with_name(f".{path.name[-50:]}.lock"), timeout) or _acquire_elsewhere(path, timeout)
    try:
        yield
    finally:
        if lock is not None:
            lock.release()


def _acquire(path: Path, timeout: float) -> filelock.BaseFileLock | None:
    """Take the lock; None where the file system has none."""
    lock = filelock.FileLock(path)
    try:
        _ask_for_locks(path)
        lock.acquire(timeout)
    except TimeoutError:
        raise
    except NotImplementedError:
        return None
    except OSError as error:
        if error.errno in _NONE:
            return None
        raise unwritable(path.parent, error) from None
    return lock


def _ask_for_locks(path: Path) -> None:
    """Raise what the system says to a lock: what filelock makes of that depends on its version."""
    try:
        import fcntl
    except ImportError:  # Windows has locks everywhere
        return
    with path.open("a+b") as file, contextlib.suppress(BlockingIOError, PermissionError):  # somebody else has it
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)


def _acquire_elsewhere(path: Path, timeout: float) -> filelock.BaseFileLock | None:
    _say_once(f"{path.parent} is on a file system without locks: let no other machine write there at the same time")
    name = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    try:
        lock = _acquire(Path(tempfile.gettempdir()) / f"coursekit-{name}.lock", timeout)
    except TimeoutError:
        raise
    except OSError:
        lock = None
    if lock is None:
        _say_once(f"no folder here has locks: let no other process write to {path.parent} at the same time")
    return lock


@functools.cache
def _say_once(line: str) -> None:
    logging.getLogger("coursekit").warning(line)
