"""What a watched process reports, and what the watcher makes of the way in which it ended.

The report counts only in this order: the process says that it begins, then that it has judged, is given a secret that
did not exist before, and sends one report signed with it; nothing before, between or after. So a text that the code of
others writes into the pipe is no report, whatever it says. Whoever reads this module can follow the order, too: see
docs/grading.md.
"""

import contextlib
import hashlib
import hmac
import json
import os
import secrets
import select
import signal
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

__all__ = ["Ended", "Reporter", "watched"]

_BEGUN, _JUDGED = b"begun\n", b"judged\n"
#: Instead of `_BEGUN`: whatever is written later may come from the code of others.
_FAILED = b"failed "
#: Bytes of a report; no verdict is longer.
_LONGEST = 1 << 20
#: Seconds between two looks at the memory.
_LOOKS = 0.1


@dataclass(frozen=True)
class Ended:
    """How it ended: ``done`` with a report, or ``time``, ``memory``, ``left``, ``signal``, ``forged``, ``failed``."""

    how: str
    report: dict = field(default_factory=dict)
    reason: str = ""

    @staticmethod
    def write(pipe: int, ended: "Ended") -> None:
        text = json.dumps(asdict(ended)).encode()
        while text:
            text = text[os.write(pipe, text) :]

    @staticmethod
    def read(pipe: int) -> "Ended":
        text = b""
        while part := os.read(pipe, 65536):
            text += part
        return Ended(**json.loads(text)) if text else Ended("failed", reason="the watching process was killed")


class Reporter:
    """The end of the channel in the process that is watched."""

    def __init__(self, up: int, down: int) -> None:
        self._up, self._down = up, down

    def cannot_begin(self, reason: str) -> None:
        os.write(self._up, _FAILED + reason.encode(errors="backslashreplace") + b"\n")

    def tell_of(self, work: Callable[[], dict]) -> None:
        """Do the work, and send what it returns, or why it failed."""
        os.write(self._up, _BEGUN)
        try:
            report = work()
        except BaseException as error:
            report = {"failed": f"the check itself failed ({type(error).__name__}: {error})"}
        self.send(report)

    def send(self, report: dict) -> None:
        text = json.dumps(report).encode()
        os.write(self._up, _JUDGED)
        secret = os.read(self._down, 64)
        text = _signed(secret, text) + b" " + text + b"\n"
        while text:
            text = text[os.write(self._up, text) :]


def _signed(secret: bytes, text: bytes) -> bytes:
    return hmac.new(secret, text, hashlib.sha256).hexdigest().encode()


def watched(process: int, up: int, down: int, seconds: float, memory: int) -> Ended:
    """Read what a process reports until it ends, and leave none of its children.

    It is killed when its time is over, and when it and its children have together taken more memory than they may.
    """
    got, secret, until, status = b"", b"", time.monotonic() + seconds, None
    before, looked = _resident("self"), time.monotonic()
    try:
        while status is None:
            ready, _, _ = select.select([up], [], [], 0.02)
            part = os.read(up, 65536) if ready else b""
            got += part
            if not secret and got.startswith(_BEGUN + _JUDGED):
                secret = secrets.token_hex(16).encode()
                with contextlib.suppress(OSError):
                    os.write(down, secret)
            if len(got) > _LONGEST:
                return Ended("forged", reason="it wrote more than a report holds")
            if time.monotonic() > until:
                return Ended("time", reason=f"it did not end in {seconds:g} seconds")
            if time.monotonic() > looked + _LOOKS:
                looked = time.monotonic()
                if sum(max(0, _resident(one) - before) for one in _below(os.getpid())) > memory:
                    return Ended("memory", reason=f"with its children it takes more than {memory >> 20} MiB of memory")
            if not part:
                ended, came = os.waitpid(process, os.WNOHANG)
                status = came if ended else None
                if status is None and ready:  # the pipe is closed, and the process lives on
                    time.sleep(0.02)
        while select.select([up], [], [], 0)[0] and (part := os.read(up, 65536)) and len(got) <= _LONGEST:
            got += part
    finally:
        _kill(process if status is None else None)
    return _understood(got, secret, status)


def _resident(process: int | str) -> int:
    with contextlib.suppress(OSError, ValueError):
        return int(Path(f"/proc/{process}/statm").read_text(encoding="utf-8").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def _below(process: int) -> list[int]:
    """Return its children, theirs, and so on; of the watcher, these are also those whose parent has ended."""
    return [one for child in _children_of(process) for one in (child, *_below(child))]


def _understood(got: bytes, secret: bytes, status: int) -> Ended:
    if got.startswith(_FAILED):
        return Ended("failed", reason=got[len(_FAILED) :].decode(errors="replace").strip())
    if got in (b"", _BEGUN, _BEGUN + _JUDGED):
        if os.WIFSIGNALED(status):
            return Ended("signal", reason=f"it was ended by the signal {_name_of(os.WTERMSIG(status))}")
        return Ended("left", reason="it ended the process itself, as os._exit does, before anything was judged")
    lines = got.removeprefix(_BEGUN + _JUDGED).split(b"\n")
    signature, _, text = lines[0].partition(b" ")
    if not secret or lines[1:] != [b""]:
        return Ended("forged", reason="something else than the check wrote where verdicts are reported")
    if not hmac.compare_digest(signature, _signed(secret, text)):
        return Ended("forged", reason="a report came that the check has not signed")
    try:
        report = json.loads(text)
    except (ValueError, RecursionError):
        return Ended("forged", reason="a report came that no check writes")
    failed = isinstance(report, dict) and report.get("failed")
    return Ended("failed", reason=failed) if failed else Ended("done", report)


def _name_of(number: int) -> str:
    with contextlib.suppress(ValueError):  # most of the real-time signals have none
        return signal.Signals(number).name
    return str(number)


def _kill(process: int | None) -> None:
    """Kill a process and all that it has left: these are children of the watcher now, unless they went with it."""
    if process is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
    until = time.monotonic() + 10
    while (children := _children_of(os.getpid())) and time.monotonic() < until:
        for child in children:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(child, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _children_of(process: int) -> list[int]:
    found = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{process}/task"):  # each has children of its own
            with contextlib.suppress(OSError):
                path = Path(f"/proc/{process}/task/{thread}/children")
                found += map(int, path.read_text(encoding="utf-8").split())
    return found
