"""Trees of ROOT files, TTree and RNTuple: how they are opened, and their branches read, each by its full name.

A branch is read through its own object, never by its name: two may share a last name, and to uproot a name is also an
expression. What cannot be read is told apart by its reason: too little memory, a type that uproot does not know, or
bytes that are not what was written.
"""

import contextlib
import errno
import re
import struct
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path

import awkward as ak
import numpy as np
import uproot
from uproot.interpretation.grouped import AsGrouped
from uproot.interpretation.identify import UnknownInterpretation
from uproot.interpretation.objects import CannotBeAwkward
from uproot.source.file import MultithreadedFileSource

from coursekit.arrays import Array, events_with, plain
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
    with _clear(path):
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
    with _clear(path):
        kinds = file.classnames()
    trees = sorted(
        (key for key, kind in kinds.items() if kind in KINDS), key=lambda key: int(key.rpartition(";")[2]), reverse=True
    )
    name = str(tree).lstrip("/")
    for key in trees:
        if name in (key, key.rpartition(";")[0]):
            return key
    names = sorted(key for key in {key.rpartition(";")[0] for key in trees})
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
    with _clear(path):
        found = file[key]
        # Parts that uproot reads when they are first asked for, so that damage there shows now.
        _ = [branch.cache_key for branch in found.branches] if isinstance(found, uproot.TTree) else found.page_link_list
        return found


# --- branches --------------------------------------------------------------------------------------------------------


class Branches:
    """The branches of a tree that have values, by the full names that uproot's ``keys()`` prints: "Jet/Jet.PT".

    Of an RNTuple these are the top-level fields; a subfield, "jet.pt", is read when it is asked for.
    """

    def __init__(self, path: Path, key: str, tree):
        self.path, self.key, self._tree, self.is_ttree = path, key, tree, isinstance(tree, uproot.TTree)
        with _clear(path):
            self.n_events = int(tree.num_entries)
            items = list(tree.iteritems())  # one walk: each lookup by name would be another
            self._all = dict(items)
            self._doubled = [name for name, n in Counter(name for name, _ in items).items() if n > 1]
            self.names = [name for name, branch in self._all.items() if self._has_values(branch)]

    def _has_values(self, branch) -> bool:
        if not self.is_ttree:
            return branch.top_level
        # Where uproot reads a container as int32, it is the number of its items. Others hold their branches only.
        return not branch.branches or not isinstance(branch.interpretation, AsGrouped)

    def edges(self) -> list[int]:
        """Return the events at which a basket ends in all branches, or a cluster of an RNTuple."""
        with _clear(self.path):
            if self.is_ttree:
                return self._tree.common_entry_offsets()
            return [int(cluster.num_first_entry) for cluster in self._tree.cluster_summaries] + [self.n_events]

    def __getitem__(self, name: str):
        """Return uproot's branch or field of this name."""
        return self._all[self.find(name)]

    @cached_property
    def _by_last_name(self) -> dict[str, list[str]]:
        found = {}
        for name, branch in self._all.items():
            if not self.is_ttree or self._has_values(branch):
                found.setdefault(branch.name, []).append(name)
        return found

    def find(self, name: str) -> str:
        """Return the full name of a branch that is asked for by its full name, or by its last one if only one has it.

        Raises
        ------
        KeyError
            No branch has this name, or several.
        ValueError
            It has no values of its own.
        """
        where = f"{self.path}: the tree {self.key} has"
        if name not in self._all:
            full = self._by_last_name.get(name, [])
            if len(full) > 1:
                raise KeyError(f"{where} {len(full)} branches {name}: {listed(full)}. Give the full name.")
            if not full:
                raise KeyError(f"{where} no branch {name};{near(name, self._all)} there is {listed(self.names)}")
            name = full[0]
        if name in self._doubled:
            raise ValueError(f"{where} several branches of the one name {name}, which cannot be told apart.")
        if self.is_ttree and not self._has_values(self._all[name]):
            inside = [other for other in self.names if other.startswith(f"{name}/")]
            raise ValueError(f"{where} no values in {name}, a container: name its branches, {listed(inside)}.")
        return name

    def wanted(self, names: Iterable[str] | None) -> list[str]:
        """Return the names asked for, all if none are, once each of them is known."""
        if not self.names:
            raise ValueError(f"{self.path}: the tree {self.key} has no branches. Fetch or make the file again.")
        names = asked_for(names, self.names)
        for name in names:
            self._require_readable(name, self[name])
        return names

    def _require_readable(self, name: str, branch) -> None:
        """Refuse what can be seen without reading, before anything else is read."""
        remedy = "Leave it out: name the branches that you want."
        if not self.is_ttree:
            return
        if isinstance(branch.interpretation, UnknownInterpretation):
            kind = branch.streamer.typename if branch.streamer is not None else repr(branch.title)
            raise ValueError(
                f"{self.path}: the branch {name} is of type {kind}, which uproot cannot read "
                f"({_line(branch.interpretation)}). {remedy}"
            )
        if branch.num_entries != self.n_events:
            raise ValueError(
                f"{self.path}: the branch {name} has {branch.num_entries} entries, the tree {self.key} "
                f"{self.n_events}, so that nobody knows which belong together. {remedy}"
            )

    def read(self, names: Iterable[str], start: int, stop: int, allow_missing: bool = False) -> dict[str, Array]:
        """Read events `start` to `stop` of branches, which get the names that they are asked for by.

        Parameters
        ----------
        names : iterable of str
        start, stop : int
            0 <= start <= stop <= n_events.
        allow_missing : bool
            Whether what is missing in an optional field comes as None in an awkward array, or is refused.

        Returns
        -------
        dict of str to numpy.ndarray or awkward.Array
            Of NumPy where each event has one number or an array of a fixed shape.
        """
        read = {}
        for name in names:
            array = self.array(name, start, stop)
            missing = np.flatnonzero(events_with(array)) if isinstance(array, ak.Array) else ()
            if len(missing) and not allow_missing:
                raise ValueError(
                    f"{self.path}: {name} is missing in {len(missing)} of {len(array)} events, first in event "
                    f"{start + missing[0]}. load_events(..., allow_nonfinite=True) gives None there; put a default in "
                    f"its place: ak.fill_none(events[{name!r}], -1, axis=None)."
                )
            read[name] = array if len(missing) else plain(array, name, self.path)
        return read

    def array(self, name: str, start: int, stop: int) -> Array:
        """Read one branch as uproot has it: flat numbers in NumPy, all else in awkward arrays."""
        branch = self[name]
        with self.reading(name, start, stop):
            library = "np" if self.is_ttree and number_dtype(branch) is not None else "ak"
            array = branch.array(entry_start=start, entry_stop=stop, library=library)
            if len(array) != stop - start:
                raise OSError(f"{len(array)} values where {stop - start} are expected")
        return array

    @contextlib.contextmanager
    def reading(self, name: str, start: int, stop: int) -> Iterator[None]:
        """Say why a branch cannot be read."""
        try:
            yield
        except Exception as error:
            where = f"{self.path}: the branch {name}"
            if _is_memory(error):
                raise MemoryError(
                    f"{where}: too little memory for {stop - start} events. Read fewer branches, fewer events, or "
                    f"piece by piece with coursekit.streaming.read_chunks."
                ) from error
            if isinstance(error, ImportError) or getattr(error, "errno", None):
                raise  # a package that is missing, a disk that fails
            if not self._is_damaged(self[name], error):
                raise ValueError(
                    f"{where} is of type {self[name].typename}, which uproot cannot read ({_line(error)}). Leave it "
                    f"out: name the branches that you want."
                ) from error
            raise OSError(
                f"{self.path} is truncated or damaged: the branch {name} cannot be read ({_line(error)}). "
                f"Fetch or make it again."
            ) from error

    def _is_damaged(self, branch, error: Exception) -> bool:
        """Tell bytes that are not what was written from a type that uproot does not know how to read."""
        if isinstance(error, NotImplementedError) or any(
            isinstance(cause, CannotBeAwkward) for cause in _causes(error)
        ):
            return False
        if not self.is_ttree:
            steps = {frame.f_code.co_name for frame, _ in traceback.walk_tb(error.__traceback__)}
            return not steps & {"to_akform", "get_field_metadata"}  # in which uproot looks at the type
        if number_dtype(branch) is not None or item_dtype(branch) is not None:
            return True
        try:  # compressed data have a checksum: if they unpack, they are what was written
            for i in range(branch.num_baskets):
                branch.basket(i)
        except Exception:
            return True
        return False


def asked_for(names: Iterable[str] | None, known: list[str]) -> list[str]:
    """Return a list of at least one name: those that were asked for, or all."""
    if isinstance(names, str):
        raise TypeError(f"branches is a list of names, but the string {names!r} came: write [{names!r}].")
    names = known if names is None else list(names)
    if not names:
        raise ValueError("branches is empty: name at least one, or leave it out to read all.")
    return names


def number_dtype(branch) -> np.dtype | None:
    """Return the type of a branch with one number, or array of fixed shape, per event; None for others."""
    interpretation = branch.interpretation
    if type(interpretation) is not uproot.AsDtype or interpretation.to_dtype.names:
        return None
    return interpretation.to_dtype.newbyteorder("=")


def item_dtype(branch) -> np.dtype | None:
    """Return the type of the items of a branch of lists or strings; None for others."""
    if is_text(branch):
        return np.dtype(np.uint8)
    content = getattr(branch.interpretation, "content", None)
    if type(branch.interpretation) is not uproot.AsJagged or type(content) is not uproot.AsDtype:
        return None
    return None if content.to_dtype.names or content.to_dtype.shape else content.to_dtype.newbyteorder("=")


def is_text(branch) -> bool:
    """Say whether a branch has one string per event."""
    return type(branch.interpretation) is uproot.AsStrings


# --- errors ----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _clear(path: Path) -> Iterator[None]:
    """Say why a file, or what it says about its trees, cannot be read."""
    try:
        yield
    except Exception as error:
        if _is_memory(error):
            raise MemoryError(f"{path}: too little memory to open it. Close what else takes memory.") from error
        if isinstance(error, ImportError) or getattr(error, "errno", None):
            raise
        if isinstance(error, NotImplementedError):
            raise ValueError(f"{path} holds what uproot cannot read: {_line(error)}") from error
        raise OSError(
            f"{path} is truncated or damaged: what it says of itself cannot be read ({_line(error)}). "
            f"Fetch or make it again."
        ) from error


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_memory(error: Exception) -> bool:
    """Say whether memory was too little, which decompressors and NumPy report each in another way."""
    return any(
        isinstance(cause, MemoryError)
        or getattr(cause, "errno", None) == errno.ENOMEM
        or NO_MEMORY.search(_line(cause))
        for cause in _causes(error)
    )


def _line(error: BaseException) -> str:
    """Return the first line of what an error says; uproot's go on about the file."""
    return next(iter(str(error).strip().splitlines()), "") or type(error).__name__
