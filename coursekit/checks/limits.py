"""A limit of time for code of others, in whatever thread and on whatever system it runs."""

import contextlib
import ctypes
import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from types import FrameType

__all__ = ["FAILURES", "TooLong", "at_most", "with_memory"]

#: Code that catches everything catches `TooLong`, too; so long after one comes the next.
_AGAIN = 0.02  # seconds
#: By default nobody minds this signal, so that one which comes too late does no harm. Windows has none.
_WAKE = getattr(signal, "SIGURG", None)


class TooLong(BaseException):
    """The time is over; no `Exception`, since ``except Exception`` is in many programs."""


#: What code of others may raise, when it is run with a limit.
FAILURES = (Exception, TooLong, SystemExit)


class at_most:
    """Raise `TooLong` in the thread that runs a ``with`` block when the block takes too long.

    It is raised between two steps of Python, never after the block was left, and again and again while the block
    swallows it. Limits may be nested; an inner one may end what an outer one allows. A single call of compiled code
    is not interrupted before it returns; a sleep, or a wait for a lock, is in the main thread of Linux and macOS.
    Let the block be one call of a function: only while this call goes on is one that was swallowed repeated, and of a
    loop in the block itself, Python 3.13 does not know at each of its steps that it is in a block.

    Parameters
    ----------
    seconds : float
        How long the block may take.

    Raises
    ------
    TooLong
        Also at the end of a block that swallowed it and then came to its end.

    Examples
    --------
    >>> def wait_for_ever():
    ...     while True:
    ...         pass
    >>> try:
    ...     with at_most(0.05):
    ...         wait_for_ever()
    ... except TooLong:
    ...     print("This does not end.")
    This does not end.
    """

    __slots__ = ("__weakref__", "called", "frame", "over", "seconds", "thread", "tracer", "until")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.over = False

    def __enter__(self) -> "at_most":
        self.thread = threading.get_ident()
        self.frame, self.called, self.tracer = sys._getframe(1), None, sys.gettrace()
        self.until = time.monotonic() + self.seconds
        try:
            _watch(self)
        except BaseException:  # an outer limit ends here: nobody would leave this one
            self._leave()
            raise
        return self

    def __exit__(self, kind, error, trace) -> None:
        self._leave()
        if self.over and error is None:
            raise TooLong

    def _leave(self) -> None:
        """Be watched no longer, and let nothing arrive that was sent before."""
        while True:
            try:
                with _lock:
                    _limits.pop(id(self), None)
                    if self.over:
                        _send(self.thread, _InItsPlace)
                        while True:  # until it has come: with None in its place, Python 3.11 would wait for ever
                            pass
                break
            except _InItsPlace:
                break
            except TooLong:  # arrives here, before it is taken back
                continue
        if self.over:
            sys.settrace(self.tracer)
        self.frame = self.called = None


#: By their `id`. Only the ``with`` statement holds them: a limit that ends while it is being left is forgotten, too.
_limits: dict[int, weakref.ref] = {}
_lock = threading.Lock()
_changed = threading.Condition(_lock)
_watchdog: threading.Thread | None = None
#: When the watchdog looks next.
_looks_at = float("inf")
#: What the signal raises in the main thread.
_wakes_with: type[TooLong] = TooLong


def _watch(limit: at_most) -> None:
    global _watchdog
    if _can_wake(limit.thread) and signal.getsignal(_WAKE) is signal.SIG_DFL:
        with contextlib.suppress(ValueError):  # in the main thread of another interpreter
            signal.signal(_WAKE, _woken)
    with _lock:
        _limits[id(limit)] = weakref.ref(limit)
        if _watchdog is None:
            _watchdog = threading.Thread(target=_keep_watch, name="coursekit-limits", daemon=True)
            _watchdog.start()
        if limit.until < _looks_at:
            _changed.notify()


def _watched() -> list[at_most]:
    return [limit for reference in list(_limits.values()) if (limit := reference()) is not None]


def _keep_watch() -> None:
    with _lock:
        while True:
            wait = _look_round()
            _changed.wait(wait)


def _look_round() -> float | None:
    """Raise where the time is over, and return how long nothing else can happen; None for ever."""
    global _looks_at
    now, _looks_at = time.monotonic(), float("inf")
    for limit in _watched():
        if limit.until <= now:
            limit.until = now + _AGAIN
            running, called = _where(limit)
            if not limit.over and running:
                limit.over, limit.called = True, called
                _raise_in(limit.thread, TooLong)
            elif called is not None and called is limit.called:
                _raise_in(limit.thread, _StillTooLong)
        _looks_at = min(_looks_at, limit.until)
    return None if _looks_at == float("inf") else max(_looks_at - time.monotonic(), 0)


def _where(limit: at_most) -> tuple[bool, FrameType | None]:
    """Whether the function with the block is running, and what it has called."""
    called, frame = None, sys._current_frames().get(limit.thread)
    while frame is not None and frame is not limit.frame:
        called, frame = frame, frame.f_back
    leaving = called is not None and called.f_code.co_filename == __file__
    return frame is not None, None if leaving else called


def _can_wake(thread: int) -> bool:
    return _WAKE is not None and thread == threading.main_thread().ident


def _raise_in(thread: int, error: type[TooLong]) -> None:
    global _wakes_with
    if _can_wake(thread) and signal.getsignal(_WAKE) is _woken:
        _wakes_with = error
        signal.pthread_kill(thread, _WAKE)
    else:
        _send(thread, error)


def _woken(number, frame) -> None:
    """Run in the main thread, and raise unless it is just entering or leaving a block, or has left it.

    What a destructor raises is printed and lost: while one runs, the first is left out, and the next comes after it.
    """
    thread = threading.get_ident()
    inside = frame is None or frame.f_code.co_filename != __file__
    if _wakes_with is TooLong and _in_destructor(frame):
        return
    if inside and any(limit.over and limit.thread == thread for limit in _watched()):
        raise _wakes_with


def _in_destructor(frame: FrameType | None) -> bool:
    while frame is not None and frame.f_code.co_name != "__del__":
        frame = frame.f_back
    return frame is not None


def _send(thread: int, error: type[BaseException]) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(error))


class _InItsPlace(BaseException):
    """Takes the place of what was sent to a thread and has not arrived."""


class _StillTooLong(TooLong):
    """Raised in a block that has swallowed one: who catches this, in a loop that sleeps, is stopped one line later.

    The object is made in the thread in which it is raised.
    """

    def __init__(self) -> None:
        super().__init__()
        owners = [limit.frame for limit in _watched() if limit.thread == threading.get_ident()]
        frame = sys._getframe(1)
        while frame is not None and frame not in owners:
            frame.f_trace = _stop_at_a_line
            frame = frame.f_back
        sys.settrace(_stop_at_a_line)


def _stop_at_a_line(frame, event, _):
    if frame.f_code.co_filename == __file__:
        return None
    if not any(limit.over and limit.thread == threading.get_ident() for limit in _watched()):
        sys.settrace(None)
        return None
    if event in {"call", "line"}:
        raise TooLong  # after which Python does not trace any more
    return _stop_at_a_line


def _begin_anew() -> None:
    """In a forked process, which has no watchdog, and perhaps a lock that nobody will release."""
    global _lock, _changed, _watchdog, _looks_at
    _lock = threading.Lock()
    _changed = threading.Condition(_lock)
    _watchdog, _looks_at = None, float("inf")
    _limits.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


@contextlib.contextmanager
def with_memory(extra: int) -> Iterator[None]:
    """Let the process take no more than `extra` bytes of memory in a ``with`` block; on Linux only, elsewhere nothing.

    A single call that fills the memory cannot be ended by `at_most`; with a limit it raises MemoryError.

    Parameters
    ----------
    extra : int
        Bytes of address space on top of what the process has.
    """
    try:
        import resource

        with open("/proc/self/statm", encoding="ascii") as file:
            pages = int(file.read().split()[0])
    except (ImportError, OSError):  # not on Linux
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_AS)
    limit = pages * resource.getpagesize() + extra
    resource.setrlimit(resource.RLIMIT_AS, (limit if before[0] < 0 else min(limit, before[0]), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
