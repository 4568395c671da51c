"""ROOT files and their trees, TTree and RNTuple: opened, or refused with the reason.

What cannot be read is told apart: not such a file, no such tree, too little memory, a system that refuses, or bytes
that are not what was written.
"""

import contextlib
import errno
import re
import struct
from collections.abc import Iterator
from pathlib import Path

import uproot
import xxhash  # a part of uproot's own equipment
from uproot.source.file import MultithreadedFileSource

from coursekit.words import listed, near

KINDS = ("TTree", "TNtuple", "TNtupleD", "ROOT::RNTuple")
NO_MEMORY = re.compile(r"allocat|out of memory|memory (usage )?limit|start new thread", re.IGNORECASE)


# --- files -----------------------------------------------------------------------------------------------------------


def require_file(path: Path) -> None:
    """Refuse what is not a file, and say what it is."""
    if path.is_file():
        return
    before, colon, tree = str(path).partition(".root:")
    if path.is_dir():
        what = "is a folder"
    elif path.exists():
        what = "is not a file but a pipe or a device, which cannot be read twice: copy it to a file"
    elif colon and Path(before + ".root").is_file():
        what = f"does not exist, but {before}.root does: give the path alone, and the name of the tree, {tree!r}, apart"
    else:
        what = "does not exist"
    raise FileNotFoundError(f"{path} {what}. `coursekit data` lists the files and fetches or makes missing ones.")


def require_whole_root_file(path: Path) -> None:
    """Refuse what is not ROOT, and a file shorter than its own header says.

    A download that broke off often still opens: the list of trees may lie near the front, and only later reads fail,
    or do not fail and return less. The header knows the length of the whole (fEND), so we look there first.
    """
    require_file(path)
    with path.open("rb") as file:
        header = file.read(20)
    if header[:4] != b"root":
        raise ValueError(
            f"{path} is not a ROOT file: it starts with {header[:12]!r} where b'root' is expected. "
            f"A web page saved under this name? Fetch or make it again."
        )
    size, expected = path.stat().st_size, None
    if len(header) == 20:
        version = struct.unpack(">i", header[4:8])[0]
        # fEND follows version and fBEGIN; files of more than 2 GB mark a 64-bit fEND by adding a million to the version
        expected = (
            struct.unpack(">q", header[12:20])[0] if version >= 1_000_000 else struct.unpack(">i", header[12:16])[0]
        )
    if expected is None or size < expected:
        raise OSError(
            f"{path} is truncated or damaged: it has {size} bytes where its header announces {expected or 'more'}. "
            f"An interrupted download or copy? Fetch or make it again."
        )


@contextlib.contextmanager
def open_root(path: Path) -> Iterator:
    """Open a ROOT file, once it is known to be whole."""
    require_whole_root_file(path)
    with explained(path):
        # Plain reads by this thread: uproot's default asks a second thread for each branch, which takes as long as
        # reading it. No caches: what has been read once is not read again, and would only take memory. In a dictionary
        # the path is not searched for a colon.
        file = uproot.open(
            {str(path): None},
            handler=MultithreadedFileSource,
            num_workers=1,
            use_threads=False,
            object_cache=None,
            array_cache=None,
        )
    with file:
        yield file


def find_tree(file, path: Path, tree: str) -> str:
    """Return the key of a tree of this name, "name;cycle", that of the highest cycle if none is given.

    Raises
    ------
    KeyError
        There is no such tree; the error says which there are.
    """
    with explained(path):
        kinds = file.classnames()
    trees = sorted(
        (key for key, kind in kinds.items() if kind in KINDS), key=lambda key: int(key.rpartition(";")[2]), reverse=True
    )
    name = str(tree).lstrip("/")
    for key in trees:
        if name in (key, key.rpartition(";")[0]):
            return key
    names = sorted(trees if ";" in name else {key.rpartition(";")[0] for key in trees})
    inside = [other for other in names if other.endswith(f"/{name}")]
    other = next((kind for key, kind in kinds.items() if name in (key, key.rpartition(";")[0])), None)
    raise KeyError(
        f"{path} has no tree {tree}"
        + (f", which is a {other}" if other else "")
        + f";{f' did you mean {inside[0]!r}?' if inside else near(name, names)} there is {listed(names)}"
    )


def open_tree(file, path: Path, tree: str):
    """Return the tree of this name, as uproot has it, or say which trees there are."""
    key = find_tree(file, path, tree)
    with explained(path):
        found = file[key]
        # Parts that uproot reads when they are first asked for, so that damage there shows now.
        if isinstance(found, uproot.TTree):
            _ = [branch.cache_key for branch in found.branches]
        else:
            _require_whole_pages(found)
        return found


def _require_whole_pages(ntuple) -> None:
    """Look at the checksum of each list of pages, as uproot does not: the numbers there say how much memory to take."""
    for record in ntuple.footer.cluster_group_records:
        link = record.page_list_link
        content = bytes(ntuple.read_locator(link.locator, link.env_uncomp_size)[0].raw_data)
        if xxhash.xxh3_64_intdigest(content[:-8]) != int.from_bytes(content[-8:], "little"):
            raise OSError("the list of its pages is not what was written")


# --- errors ----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Say why a file, or what it says about its trees, cannot be read."""
    try:
        yield
    except Exception as error:
        if is_memory(error):
            raise MemoryError(f"{path}: too little memory to open it. Close what else takes memory.") from error
        if is_about_the_machine(error):
            raise
        what = ", or made in a way that uproot does not know" if isinstance(error, NotImplementedError) else ""
        raise OSError(
            f"{path} is truncated or damaged{what}: what it says of itself cannot be read ({first_line(error)}). "
            f"Fetch or make it again."
        ) from error


def causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def is_about_the_machine(error: Exception) -> bool:
    """Say whether a package is missing, or the system refuses to read (but not a place that only damage asks for)."""
    return isinstance(error, ImportError) or getattr(error, "errno", None) not in (None, errno.EINVAL)


def is_memory(error: Exception) -> bool:
    """Say whether memory was too little, which decompressors and NumPy report each in another way."""
    return any(
        isinstance(cause, MemoryError)
        or getattr(cause, "errno", None) == errno.ENOMEM
        or NO_MEMORY.search(first_line(cause))
        for cause in causes(error)
    )


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says; uproot's go on about the file."""
    return next(iter(str(error).strip().splitlines()), "") or type(error).__name__
