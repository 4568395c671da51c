"""The catalogue: which data exist, where they lie, and how to get them.

``data/registry.toml`` names every file with its size and checksum. A file is looked for where the course ships it, then
in the cache, and is then downloaded through pooch, in pieces that survive an interruption, and verified.
"""

import difflib
import hashlib
import os
import shutil
import time
import tomllib
import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import platformdirs
import requests
from filelock import FileLock
from rich.progress import DownloadColumn, Progress

__all__ = [
    "DataNotFound",
    "File",
    "cache_folder",
    "catalogue",
    "constraints_file",
    "ensure",
    "fetch",
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
        Its size.
    hash : str
        ``"sha256:..."`` or ``"md5:..."``, as its publisher gives it.
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


def cache_folder() -> Path:
    """Return the folder of downloaded data: ``$COURSEKIT_DATA`` or the user's cache."""
    return Path(os.environ.get("COURSEKIT_DATA") or platformdirs.user_cache_dir("coursekit"))


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
    files: dict[str, File] = {}
    for dataset, entry in tomllib.loads((registry or shipped_folder() / "registry.toml").read_text()).items():
        for name, facts in entry["files"].items():
            if name in files:
                raise ValueError(f"the registry has {name} twice, in {files[name].dataset} and in {dataset}")
            files[name] = File(
                name=name,
                dataset=dataset,
                bytes=facts["bytes"],
                hash=facts["hash"],
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
        size only (`verify` hashes it again).

    Raises
    ------
    KeyError
        For a name that the catalogue does not have.
    DataNotFound
        When the file is not shipped, not cached and cannot be downloaded; the message says what was tried.
    """
    file = _lookup(name)
    tried = []
    for place, folder in (("shipped with the course", shipped_folder()), ("in the cache", cache_folder())):
        path = folder / file.name
        if not path.is_file():
            tried.append(f"it is not {place} ({path})")
        elif path.stat().st_size != file.bytes:
            tried.append(f"the copy {place} ({path}) has {path.stat().st_size} bytes, expected {file.bytes}: delete it")
        else:
            return path
    if file.url:
        try:
            return _download(file, progress)
        except (requests.RequestException, OSError, ValueError) as error:
            tried.append(f"the download from {file.url} failed: {error}")
            remedy = (
                f"check the connection and try again (what has arrived is kept), or put the file into {cache_folder()}"
            )
    else:
        remedy = f"make it with `{file.make}`" if file.make else "reinstall the course"
    raise DataNotFound(f"{file.name} ({file.dataset}) is not available: {'; '.join(tried)}. What to do: {remedy}.")


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
        "shipped", "cached", "wrong size" or "absent", and the path if there is one.
    """
    file = _lookup(name)
    for state, folder in (("shipped", shipped_folder()), ("cached", cache_folder())):
        path = folder / file.name
        if path.is_file():
            return (state if path.stat().st_size == file.bytes else "wrong size"), path
    return "absent", None


def verify(name: str) -> Path:
    """Compare a present file with the catalogue, its size first and then its hash.

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
    _, path = status(name)
    if path is None:
        raise DataNotFound(f"{name} is neither in {shipped_folder()} nor in {cache_folder()}; get it with `fetch`")
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
        near = difflib.get_close_matches(name, files, n=1)
        known = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(files)}"
        raise KeyError(f"the catalogue has no file {name!r}; {known}")
    return files[name]


def _download(file: File, progress: bool) -> Path:
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{file.name}.part"
    with FileLock(f"{part}.lock"):  # Two notebooks that want the same file must not write into one another's part.
        if (folder / file.name).is_file() and (folder / file.name).stat().st_size == file.bytes:
            return folder / file.name
        room = shutil.disk_usage(folder).free + (part.stat().st_size if part.exists() else 0)
        if room < file.bytes:
            raise OSError(f"{folder} has {room} bytes free, {file.bytes} are needed")

        def downloader(url: str, output_file: str, _pooch) -> None:
            _receive(url, part, file.bytes, progress)
            os.replace(part, output_file)

        with warnings.catch_warnings():  # tqdm, which pooch imports, warns in a notebook without ipywidgets
            warnings.simplefilter("ignore")
            import pooch
        pooch.get_logger().setLevel("WARNING")
        # pooch hashes what came under a temporary name and renames it only if the hash is right.
        return Path(pooch.retrieve(file.url, known_hash=file.hash, fname=file.name, path=folder, downloader=downloader))


def _receive(url: str, part: Path, size: int, progress: bool, attempts: int = 4) -> None:
    """Bring `part` to its full size, going on from what is there, with a few attempts at passing faults."""
    for attempt in range(attempts):
        if attempt:
            time.sleep(_pause(attempt))
        try:
            _receive_once(url, part, size, progress)
        except requests.HTTPError as error:
            if error.response.status_code not in (429, 500, 502, 503, 504):
                raise
            fault: Exception = error
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
            fault = error
        else:
            found = part.stat().st_size
            if found == size:
                return
            if found > size:
                part.unlink()
            fault = OSError(f"the server sent {found} bytes, expected {size}")
    raise fault


def _receive_once(url: str, part: Path, size: int, progress: bool) -> None:
    there = part.stat().st_size if part.exists() else 0
    if there == size:
        return
    with requests.get(url, headers={"Range": f"bytes={there}-"} if there else {}, stream=True, timeout=30) as answer:
        answer.raise_for_status()
        # A server may ignore the range and send everything: then we start anew.
        start = there if answer.status_code == 206 else 0
        with (
            part.open("ab" if start else "wb") as stream,
            Progress(*Progress.get_default_columns(), DownloadColumn(), disable=not progress) as bar,
        ):
            task = bar.add_task(part.stem, total=size, completed=start)
            for block in answer.iter_content(1 << 20):
                stream.write(block)
                bar.advance(task, len(block))


def _pause(attempt: int) -> float:
    """Seconds to wait before the given attempt."""
    return 0.5 * 2**attempt
