"""A large file over a network that breaks off: in pieces, each of which goes on where the last one stopped."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import requests
from rich.console import Console
from rich.progress import DownloadColumn, Progress

__all__ = ["PASSING", "receive", "size_of"]

#: Answers of a server that may be others a moment later.
PASSING = (429, 500, 502, 503, 504)


def receive(
    url: str,
    size: int,
    part: Path,
    pause: Callable[[int, requests.RequestException], float],
    progress: bool = False,
    attempts: int = 4,
) -> None:
    """Bring `part` to its full size, going on from what is there; give up when `attempts` in a row brought nothing.

    Parameters
    ----------
    url : str
    size : int
        Bytes of the whole file.
    part : pathlib.Path
        May hold the beginning, from an earlier call.
    pause : callable
        ``pause(fruitless, error)`` says how many seconds to wait after so many attempts without a byte.
    progress : bool
        Show a bar.
    attempts : int

    Raises
    ------
    requests.RequestException
        The server does not answer, or refuses.
    ValueError
        What it offers has another size.
    OSError
        `part` cannot be written.
    """
    fruitless = 0
    columns = (*Progress.get_default_columns(), DownloadColumn())
    console = Console(stderr=True, quiet=not progress)  # A disabled bar still ends its line.
    with Progress(*columns, console=console, disable=not progress) as bar:
        task = bar.add_task(part.stem, total=size)
        while (there := size_of(part)) < size:
            try:
                _receive_once(url, size, part, there, lambda at: bar.update(task, completed=at))
            except requests.RequestException as error:
                if isinstance(error, requests.HTTPError) and error.response.status_code not in (416, *PASSING):
                    raise
                fruitless = 0 if size_of(part) > there else fruitless + 1
                if fruitless == attempts:
                    raise
                time.sleep(pause(fruitless, error))


def size_of(path: Path) -> int:
    """Return the bytes of a file, 0 if there is none that we may see."""
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:
        return 0


def _receive_once(url: str, size: int, part: Path, there: int, report: Callable[[int], None]) -> None:
    # A compressed answer could be neither counted nor continued.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={there}-"} if there else {})
    with requests.get(url, headers=headers, stream=True, timeout=(10, 30)) as answer:
        if answer.status_code == 416:
            part.unlink(missing_ok=True)  # The server's file is shorter than our part, and only ours can be dropped.
        answer.raise_for_status()
        at = there if answer.status_code == 206 else 0
        announced = answer.headers.get("Content-Length")
        # Size before hash, and before anything is written: a login page must not replace half a gigabyte that is there.
        if announced is not None and at + int(announced) != size:
            kind = answer.headers.get("Content-Type", "unknown type")
            raise ValueError(f"the server offers {announced} bytes ({kind}), expected {size - at}")
        with part.open("ab") as stream:
            # Small blocks: the one during which the connection is cut is lost.
            for block in answer.iter_content(1 << 15):
                # A server may ignore the range and send everything: then what is there is passed over.
                stream.write(block[max(0, there - at) :])
                at += len(block)
                report(at)
                if at > size:
                    break
    if at == size:
        return
    if announced is None:
        os.truncate(part, there)  # Nothing says that this was the beginning of our file, so nothing of it is kept.
    if at > size:
        raise ValueError(f"the server sends more than the {size} bytes expected")
    raise requests.ConnectionError(f"the answer ended after {at} bytes, expected {size}")
