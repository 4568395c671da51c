"""The catalogue: which data exist, where they lie, and how to get them.

``data/registry.toml`` names every file with its size and checksum. A file is looked for where the course ships it, then
in the cache, and is then downloaded through pooch, in pieces that survive an interruption, and verified.
"""

import contextlib
import errno
import hashlib
import os
import shutil
import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import platformdirs
import requests

from coursekit.files import FULL, read_toml
from coursekit.locks import locked
from coursekit.receiving import PASSING, receive, size_of
from coursekit.words import listed, near

__all__ = [
    "DataNotFound",
    "File",
    "cache_folder",
    "catalogue",
    "constraints_file",
    "ensure",
    "fetch",
    "notebooks_folder",
    "shipped_folder",
    "status",
    "verify",
]


class DataNotFound(FileNotFoundError):
    """A file of the catalogue is in none of the places where it could be; the message says which and what to do."""


@dataclass(frozen=True)
class File:
    """One file of the catalogue.

    Attributes
    ----------
    name : str
        File name, unique in the catalogue.
    dataset : str
        The set that it belongs to.
    bytes : int
        Its size; 0 for what everybody simulates for himself, because nobody ships or publishes it.
    hash : str
        ``"sha256:..."`` or ``"md5:..."``, as its publisher gives it; empty if there is none.
    url : str
        Where it is published; empty for what the course simulates.
    make : str
        The command that makes it (or more of it); empty for what is downloaded.
    lessons : tuple of int
        Lessons that need it.
    """

    name: str
    dataset: str
    bytes: int
    hash: str
    url: str = ""
    make: str = ""
    lessons: tuple[int, ...] = ()


def shipped_folder() -> Path:
    """Return the folder of the data that come with the course: in a clone ``data/``, else inside the package."""
    return _shipped() / "data"


def constraints_file() -> Path:
    """Return the path of the exact versions that the stored outputs were made with."""
    return _shipped() / "constraints.txt"


def notebooks_folder() -> Path:
    """Return the folder of the exercise notebooks that come with the course."""
    return _shipped() / "notebooks"


def cache_folder() -> Path:
    """Return the folder of downloaded data, which need not exist: ``$COURSEKIT_DATA`` or the user's cache.

    Raises
    ------
    FileNotFoundError
        When the user has no home folder, as in some containers, and nothing else is said.
    """
    named = os.environ.get("COURSEKIT_DATA")
    try:
        return Path(named or platformdirs.user_cache_dir("coursekit")).expanduser().absolute()
    except (RuntimeError, KeyError, OSError):  # from pathlib, from the list of users, from the current folder
        raise FileNotFoundError(
            f"{named or 'your cache'} is in a home folder that is not known here: set COURSEKIT_DATA to a folder with "
            "room in which you may write"
        ) from None


@cache
def catalogue(registry: Path | None = None) -> dict[str, File]:
    """Read the registry.

    Parameters
    ----------
    registry : pathlib.Path, optional
        Another registry than the course's.

    Returns
    -------
    dict of str to File
        By file name.

    Raises
    ------
    ValueError
        When two data sets use the same file name.

    Examples
    --------
    >>> catalogue()["test.h5"].bytes
    347849376
    """
    registry = registry or shipped_folder() / "registry.toml"
    files: dict[str, File] = {}
    for dataset, entry in read_toml(registry).items():
        for name, facts in entry["files"].items():
            if name in files:
                raise ValueError(f"{registry} has {name} twice, in {files[name].dataset} and in {dataset}")
            files[name] = File(
                name=name,
                dataset=dataset,
                bytes=facts.get("bytes", 0),
                hash=facts.get("hash", ""),
                url=entry.get("url", "").format(name=name),
                make=entry.get("make", ""),
                lessons=tuple(entry.get("lessons", ())),
            )
    return files


def fetch(name: str, *, progress: bool = False) -> Path:
    """Return the path of a file of the catalogue, downloading it if need be.

    Parameters
    ----------
    name : str
        As in the catalogue, ``"GluGluHToWWTo2L2Nu_M125.root"``.
    progress : bool
        Show a bar while downloading.

    Returns
    -------
    pathlib.Path
        A file of the right size. Downloads are hashed before they take their name; a file already there is compared by
        size only (`verify` hashes it again). Of what the course simulates, a file of your own in ``$COURSEKIT_DATA``
        comes first, whatever its size.

    Raises
    ------
    KeyError
        For a name that the catalogue does not have.
    DataNotFound
        When the file is not shipped, not cached and cannot be downloaded; the message says what was tried.
    """
    file = _lookup(name)
    if own := _own(file):
        return own
    tried = []
    for state, path in _copies(file) if file.bytes else []:
        if not _is_file(path):
            tried.append(f"it is not {state} ({path})")
        elif path.stat().st_size != file.bytes:
            tried.append(f"the {state} copy ({path}) has {path.stat().st_size} bytes, expected {file.bytes}")
        else:
            return path
    if file.url:
        try:
            return _download(file, progress)
        except (requests.RequestException, OSError, ValueError) as error:
            reason, remedy = _diagnose(file, error)
            tried.append(f"the download from {file.url} failed: {reason}")
    elif file.make:
        shipped = "reinstall the course, which ships it, or " if file.bytes else ""
        folder = _cache() or "FOLDER"
        remedy = f"{shipped}make it with `{file.make} --folder {folder}` and set COURSEKIT_DATA={folder}"
    else:
        remedy = "reinstall the course"
    places = "; ".join(tried) or "you have not simulated it, or COURSEKIT_DATA does not say where it is"
    # The message says it all; the chain of a network error is a hundred lines that hide it from a student.
    raise DataNotFound(f"{file.name} ({file.dataset}) is not available: {places}. What to do: {remedy}.")


def ensure(lesson: str) -> None:
    """Fetch every file that a lesson needs; raises `DataNotFound` as `fetch` does."""
    for file in catalogue().values():
        if int(lesson) in file.lessons:
            fetch(file.name)


def status(name: str) -> tuple[str, Path | None]:
    """Say where a file of the catalogue is, without hashing it.

    Parameters
    ----------
    name : str
        As in the catalogue.

    Returns
    -------
    tuple of str and pathlib.Path or None
        "own" (simulated by the user), "shipped", "cached", "wrong size" or "absent", and the path if there is one.
    """
    file = _lookup(name)
    if own := _own(file):
        return "own", own
    present = [(state, path) for state, path in _copies(file) if _is_file(path)]
    for state, path in present:
        if path.stat().st_size == file.bytes:
            return state, path
    return ("wrong size", present[0][1]) if present else ("absent", None)


def verify(name: str) -> Path:
    """Compare a present file with the catalogue, its size first and then its hash; "own" files have neither there.

    Parameters
    ----------
    name : str
        As in the catalogue.

    Returns
    -------
    pathlib.Path
        The verified file.

    Raises
    ------
    DataNotFound
        When it is in neither place.
    ValueError
        When size or hash differ; says both values.
    """
    file = _lookup(name)
    state, path = status(name)
    if state == "own":
        return path
    if path is None:
        remedy = f"`coursekit data fetch {name}` gets it" if file.bytes else f"`{file.make}` makes it"
        raise DataNotFound(f"{name} is neither in {shipped_folder()} nor in {_cache() or 'a cache'}; {remedy}")
    if path.stat().st_size != file.bytes:
        raise ValueError(f"{path} has {path.stat().st_size} bytes, expected {file.bytes}; delete it and fetch it again")
    algorithm, expected = file.hash.split(":")
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, algorithm).hexdigest()
    if found != expected:
        raise ValueError(f"{path} has {algorithm} {found}, expected {expected}; delete it and fetch it again")
    return path


def _shipped() -> Path:
    installed = Path(__file__).parent / "_shipped"
    return installed if installed.is_dir() else Path(__file__).parent.parent


def _lookup(name: str) -> File:
    files = catalogue()
    if name not in files:
        raise KeyError(f"the catalogue has no file {name!r};{near(name, files)} it has {listed(files)}")
    return files[name]


def _own(file: File) -> Path | None:
    # A file of one's own hides the shipped one only where somebody says so; without a shipped one it hides nothing.
    wanted = file.make and (os.environ.get("COURSEKIT_DATA") or not file.bytes)
    folder = _cache()
    return folder / file.name if wanted and folder and _is_file(folder / file.name) else None


def _copies(file: File) -> list[tuple[str, Path]]:
    cached = [("cached", folder / file.name)] if (folder := _cache()) else []
    return [("shipped", shipped_folder() / file.name), *cached]


def _cache() -> Path | None:
    """Return the folder of the cache, None where there can be none: what is shipped does not need it."""
    with contextlib.suppress(FileNotFoundError):
        return cache_folder()
    return None


def _is_file(path: Path) -> bool:
    """Say whether a file is there; one in a folder that may not be entered is not there for us."""
    try:
        return path.is_file()
    except OSError:
        return False


def _download(file: File, progress: bool) -> Path:
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    path, part = folder / file.name, folder / f"{file.name}.part"
    with locked(part):  # Two notebooks that want the same file must not write into one another's part.
        if size_of(path) == file.bytes:
            return path
        if size_of(part) > file.bytes:
            part.unlink()  # Left by another edition of the file: nothing that follows it could be right.
        needed, free = file.bytes - size_of(part), shutil.disk_usage(folder).free
        if needed > free > 0:  # 0 is also what a file system says that does not count
            raise OSError(errno.ENOSPC, f"{folder} has {_megabytes(free)} free, {_megabytes(needed)} are needed")

        receive(file.url, file.bytes, part, pause=_pause, progress=progress)
        hidden = folder / f".{file.name}.hashing"
        shutil.rmtree(hidden, ignore_errors=True)  # left by a process that was killed

        def hand_over(url: str, output_file: str, _pooch) -> None:
            os.replace(part, output_file)
            # pooch deletes output_file when it is interrupted; under its second name a gigabyte that was waiting for
            # its hash is not lost. (Some file systems have no second names: there it is.)
            with contextlib.suppress(OSError):
                os.link(output_file, part)

        with warnings.catch_warnings():  # tqdm, which pooch imports, warns in a notebook without ipywidgets
            warnings.simplefilter("ignore")
            import pooch
        pooch.get_logger().setLevel("WARNING")
        try:
            # pooch hashes what came under a temporary name and renames it only if the hash is right.
            pooch.retrieve(file.url, known_hash=file.hash, fname=file.name, path=hidden, downloader=hand_over)
            os.replace(hidden / file.name, path)
        except ValueError:
            part.unlink(missing_ok=True)  # Complete and wrong: going on from it would never end well.
            raise
        finally:
            shutil.rmtree(hidden, ignore_errors=True)
        part.unlink(missing_ok=True)
        return path


def _pause(fruitless: int, fault: requests.RequestException) -> float:
    """Seconds to wait after so many attempts without a byte; a busy server may ask for more, up to a minute."""
    asked = "" if fault.response is None else fault.response.headers.get("Retry-After", "")
    return max(0.5 * 2**fruitless, min(int(asked), 60) if asked.isdigit() else 0)


def _diagnose(file: File, error: Exception) -> tuple[str, str]:
    """Say in a student's words what went wrong with a download, and what to do."""
    folder = _cache() or "a folder that COURSEKIT_DATA names"
    elsewhere = f"download it with a browser and put it into {folder}"
    if isinstance(error, requests.HTTPError):
        code = error.response.status_code
        remedy = "the server is busy, fetch again in some minutes" if code in PASSING else "update the course"
        return f"the server answered {code} {error.response.reason}", f"{remedy}, or {elsewhere}"
    if isinstance(error, requests.RequestException):
        arrived = _megabytes(size_of(Path(folder) / f"{file.name}.part"))
        return (
            f"the connection to {urlsplit(file.url).hostname} failed or broke off ({type(error).__name__})",
            f"check the connection and fetch again, which goes on from the {arrived} of {_megabytes(file.bytes)} that "
            f"have arrived, or {elsewhere}",
        )
    if isinstance(error, OSError):
        reason = f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error)
        room = "make room there, or " if error.errno in FULL else ""
        return reason, f"{room}set COURSEKIT_DATA to a folder with room in which you may write"
    return (
        str(error),
        f"see in a browser whether your network asks for a login first, then fetch again; if the same comes again, the "
        f"published file has changed: update the course, or {elsewhere}",
    )


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
