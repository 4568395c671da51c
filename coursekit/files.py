"""Files that appear under their names only when they are complete."""

import contextlib
import errno
import glob
import hashlib
import io
import itertools
import os
import platform
import secrets
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

__all__ = ["FULL", "is_running", "naming_if_full", "read_toml", "replacing", "save_arrays", "unwritable"]

#: How a system says that no more can be written: the disk, the user's share of it, or a limit on the size of a file.
FULL = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))


class DiskFull(OSError):
    """The disk is full, or a limit of it is reached, with the name of what was being written."""


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Write a file under a temporary name, which takes the place of `path` when the block ends well.

    Parameters
    ----------
    path : path-like
        The name that the file shall have; a file that has it now stays as it is until then, and passes its permissions
        on. Where it is a link, the file that it leads to is replaced.

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
    PermissionError
        The file that is there is write-protected, or its folder is, or (on Windows) another program has it open.
    OSError
        The disk is full; the folder cannot be written; `path` is no file but a device. What can be known before the
        block begins is said then.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "variables.json"
    >>> with replacing(path) as partial:
    ...     _ = partial.write_text("{}", encoding="utf-8")
    >>> path.read_text(encoding="utf-8"), [file.name for file in path.parent.iterdir()]
    ('{}', ['variables.json'])
    """
    path, final = Path(path), Path(os.path.realpath(path))
    name = path.name[-50:]  # 200 bytes at most: what is put before it must not make it too long
    mine = final.with_name(f".{os.getpid()}.{_machine()}.{secrets.token_hex(4)}")
    partial, room = (mine.with_name(f"{mine.name}.part.{last}") for last in (name, "room"))
    with contextlib.ExitStack() as tidying:
        for file in (partial, room):  # each of them, even if Ctrl-C comes while the other is removed
            tidying.callback(_remove, file)
        _require_replaceable(path, final, partial)
        _remove_abandoned(final.parent, name)
        try:
            with naming_if_full(path, partial):
                yield partial
                _store(partial, room)
                if final.exists():
                    with contextlib.suppress(OSError):  # file systems without permissions
                        shutil.copymode(final, partial)
                os.replace(partial, final)
        except OSError as error:
            if error.filename != str(partial):
                raise
            raise OSError(error.errno, error.strerror, str(path)) from error  # nobody knows it by the other name


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
        partial.write_bytes(content.getvalue())


def read_toml(path: Path) -> dict:
    """Read a TOML file; one that is none, or no text, is named with the line.

    Raises
    ------
    ValueError
        The file is damaged, or was edited into something else.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no well-formed TOML: {error}") from error


def unwritable(folder: str | os.PathLike, error: OSError) -> OSError:
    """Return the error that says in one line which folder cannot be written, why, and what to do.

    Examples
    --------
    >>> raise unwritable("work", OSError(errno.EROFS, os.strerror(errno.EROFS)))
    Traceback (most recent call last):
    OSError: [Errno 30] work cannot be written (Read-only file system): choose another folder, in which you may write
    """
    remedy = {errno.ENOENT: "make it first"} | dict.fromkeys(FULL, "make room there, or choose another folder")
    reason = os.strerror(error.errno) if error.errno else str(error)
    what = remedy.get(error.errno, "choose another folder, in which you may write")
    return OSError(error.errno or errno.EIO, f"{folder} cannot be written ({reason}): {what}")


@contextlib.contextmanager
def naming_if_full(path: str | os.PathLike, partial: Path | None = None) -> Iterator[None]:
    """Name what is being written, and what to do, in the error of a full disk, which names nothing.

    Parameters
    ----------
    path : path-like
        The name to say.
    partial : pathlib.Path, optional
        Where it is written: of a full disk, NumPy and PyTorch report what nobody can read, so it is tried out.

    Raises
    ------
    DiskFull
        In the place of the error that names nothing, with the same `errno`.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        full = error if getattr(error, "errno", None) in FULL else partial and _full(partial)
        if not full or isinstance(error, DiskFull):
            raise
        raise DiskFull(
            full.errno,
            f"{os.strerror(full.errno)} while {path} was written; nothing of it is kept, and what was there before is "
            "as it was. Make room, or write to another disk",
        ) from error


def _require_replaceable(path: Path, final: Path, partial: Path) -> None:
    """Find out before the work is done whether its result can be kept."""
    try:
        there, is_folder, has_folder = final.exists(), final.is_dir(), final.parent.is_dir()
    except OSError as error:  # a name that is too long, a folder that may not be entered
        raise OSError(error.errno, f"{error.strerror}: choose another name or folder", str(path)) from None
    if is_folder:
        raise IsADirectoryError(errno.EISDIR, "is a folder: give the name of a file to write", str(path))
    if not has_folder:
        raise FileNotFoundError(errno.ENOENT, "no such folder: make it, or choose another", str(path.parent))
    try:
        partial.touch()
        partial.unlink()
    except OSError as error:
        raise unwritable(final.parent, error) from None
    if there and not final.is_file():
        raise OSError(errno.EINVAL, "is no file, but a device or a pipe: choose another name", str(path))
    if there and not (final.stat().st_mode & 0o222 and os.access(final, os.W_OK)):  # os.replace would not mind
        raise PermissionError(errno.EACCES, "is write-protected: unprotect it, or choose another name", str(path))


def _store(partial: Path, room: Path) -> None:
    """Bring a file to the disk, and believe that it is there only if there is room left.

    A server's refusal, as of a quota, is heard only then, and HDF5 loses what it cannot write without a word.
    """
    with partial.open("rb+") as file:
        try:
            os.fsync(file.fileno())
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP):  # does not know how
                raise
    full = _full(room)
    _remove(room)
    if full:
        raise full


def _full(file: Path) -> OSError | None:
    """Return the error of a disk that does not take another block at the end of the file."""
    try:
        with file.open("ab") as stream:
            stream.write(bytes(1 << 16))
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        return error if error.errno in FULL else None
    return None


def _machine() -> str:
    """Return what stands for this machine, or this container: another has processes of the same numbers."""
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


def _remove_abandoned(folder: Path, name: str) -> None:
    """Remove what processes of this machine that were killed have left of a file."""
    files = [folder.glob(f".*.{_machine()}.*.part.{glob.escape(last)}") for last in (name, "room")]
    for partial in itertools.chain(*files):
        number = partial.name.split(".")[1]
        if number.isdecimal() and not is_running(int(number)):
            _remove(partial)


def _remove(file: Path) -> None:
    with contextlib.suppress(OSError):  # somebody else's, or gone
        file.unlink()


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
