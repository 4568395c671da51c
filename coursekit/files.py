"""Files that appear under their names only when they are complete, and that one process changes at a time."""

import contextlib
import errno
import glob
import io
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import filelock
import numpy as np

#: How a system says that no more can be written: the disk, the user's share of it, or a limit on the size of a file.
FULL = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Write a file under a temporary name, which takes the place of `path` when the block ends well.

    Threads and processes may replace the same file at once: each writes its own, and the last that ends stays.

    Parameters
    ----------
    path : path-like
        The name that the file shall have; a file that has it now stays as it is until then. Where it is a link, the
        file that it leads to is replaced.

    Yields
    ------
    pathlib.Path
        Where to write: a hidden name in the same folder, for this block alone, with the same suffix. It is gone after
        the block, whether that ended well, by an error, or by Ctrl-C; what a killed process leaves goes with the next
        block for the same file.

    Raises
    ------
    FileNotFoundError
        The folder does not exist, or the block wrote nothing.
    IsADirectoryError
        There is a folder of this name.
    OSError
        The disk is full, or the folder does not let a file be replaced.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "variables.json"
    >>> with replacing(path) as partial:
    ...     _ = partial.write_text("{}")
    >>> path.read_text(), [file.name for file in path.parent.iterdir()]
    ('{}', ['variables.json'])
    """
    path, final = Path(path), Path(os.path.realpath(path))
    if final.is_dir():
        raise IsADirectoryError(errno.EISDIR, "is a folder: give the name of a file to write", str(path))
    if not final.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "no such folder: make it, or choose another", str(path.parent))
    _remove_abandoned(final)
    partial = final.with_name(f".{os.getpid()}.{secrets.token_hex(4)}.part.{final.name}")
    try:
        with naming_if_full(path):
            yield partial
            os.replace(partial, final)
    except OSError as error:
        if error.filename == str(partial):  # nobody knows it by this name
            error.filename = str(path)
        raise
    finally:
        partial.unlink(missing_ok=True)


def save_arrays(path: str | os.PathLike, **arrays) -> None:
    """Write arrays to a compressed ``.npz`` file as `replacing` does, under exactly this name.

    Raises
    ------
    OSError
        As `replacing`.
    """
    # In memory first: NumPy leaves its archive open when the disk is full, whose end then fails a second time.
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    with replacing(path) as partial:
        partial.write_bytes(content.getbuffer())


@contextlib.contextmanager
def naming_if_full(path: str | os.PathLike) -> Iterator[None]:
    """Name what is being written, and what to do, in the error of a full disk, which names nothing.

    Raises
    ------
    OSError
        The disk is full, or a limit is reached: with the same `errno`, in one line.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in FULL or isinstance(error, _Full):
            raise
        raise _Full(
            error.errno,
            f"{error.strerror} while {path} was written; nothing of it is kept, and what was there before is as it "
            "was. Make room, or write to another disk",
        ) from error


class _Full(OSError):
    """Of a full disk, with the name of what was being written."""


@contextlib.contextmanager
def locked(path: str | os.PathLike) -> Iterator[None]:
    """Read, change and write a file while all others that lock it, threads and processes, wait for the block to end.

    Parameters
    ----------
    path : path-like
        The file, which need not exist; its folder must. A hidden empty file beside it, ``.name.lock``, stays: whoever
        removed it could let two in at once.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "count"
    >>> with locked(path), replacing(path) as partial:
    ...     _ = partial.write_text("1")
    """
    path = Path(path)
    with filelock.FileLock(path.with_name(f".{path.name}.lock")):
        yield


def _remove_abandoned(path: Path) -> None:
    """Remove what processes that were killed have left of this file."""
    for partial in path.parent.glob(f".*.*.part.{glob.escape(path.name)}"):
        number = partial.name.split(".")[1]
        if number.isdigit() and not is_running(int(number)):
            partial.unlink(missing_ok=True)


def is_running(number: int) -> bool:
    """Tell whether a process of this number may be running; where that cannot be known, it may."""
    if os.name == "nt":
        return True  # there os.kill would end it
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        pass  # somebody else's
    return True
