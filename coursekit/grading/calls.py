"""System calls that Python 3.11 has no function for, through ctypes."""

import contextlib
import ctypes
import os
from collections.abc import Iterator

__all__ = ["DEATH_SIGNAL", "DUMPABLE", "NO_NEW_PRIVILEGES", "SUBREAPER", "called", "control", "hidden", "mount"]

#: What `control` sets of a process.
DEATH_SIGNAL, DUMPABLE, SUBREAPER, NO_NEW_PRIVILEGES = 1, 4, 36, 38
_IS_DUMPABLE = 3


def called(name: str, *arguments) -> int:
    """Call a function of the C library.

    Raises
    ------
    OSError
        The system refuses it.
    """
    if (result := getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments)) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result


def control(what: int, value: int) -> int:
    """Set a property of this process."""
    return called("prctl", what, ctypes.c_ulong(value), 0, 0, 0)


def mount(source: str | None, target: str, kind: str | None, flags: int, options: str = "") -> None:
    """Mount a file system, or a folder or a file in another place."""
    words = [None if word is None else word.encode() for word in (source, target, kind)]
    called("mount", *words, ctypes.c_ulong(flags), options.encode() or None)


@contextlib.contextmanager
def hidden() -> Iterator[None]:
    """Let no other process of the same user look into this one, or open the pipes that it holds."""
    before = control(_IS_DUMPABLE, 0)
    control(DUMPABLE, 0)
    try:
        yield
    finally:
        if before == 1:
            control(DUMPABLE, 1)
