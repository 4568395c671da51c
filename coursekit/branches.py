"""The branches of a tree, each by its full name and read through its own object.

Never by its name: two may share a last name, and to uproot a name is also an expression.
"""

import contextlib
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

from coursekit.arrays import Array, events_with, plain
from coursekit.trees import causes, explained, first_line, is_about_the_machine, is_memory
from coursekit.words import listed, near

SIMPLE = (uproot.AsDtype, uproot.AsDouble32, uproot.AsFloat16, uproot.AsStrings)  # what uproot knows how to read


class Branches:
    """The branches of a tree that have values, by the full names that uproot's ``keys()`` prints: "Jet/Jet.PT".

    Of an RNTuple these are the top-level fields; a subfield, "jet.pt", is read when it is asked for.
    """

    def __init__(self, path: Path, key: str, tree):
        self.path, self.key, self._tree, self.is_ttree = path, key, tree, isinstance(tree, uproot.TTree)
        with explained(path):
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
        with explained(self.path):
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
        if not self.is_ttree:
            return
        remedy = "Leave it out: name the branches that you want."
        with self.reading(name, 0, self.n_events):
            branch.interpretation, branch.entry_offsets  # noqa: B018 (uproot looks at the type and the baskets now)
        if isinstance(branch.interpretation, UnknownInterpretation):
            kind = branch.streamer.typename if branch.streamer is not None else repr(branch.title)
            raise ValueError(
                f"{self.path}: the branch {name} is of type {kind}, which uproot cannot read "
                f"({first_line(branch.interpretation)}). {remedy}"
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
            with self.reading(name, start, stop):
                array = self._array(name, start, stop)
                missing = np.flatnonzero(events_with(array)) if isinstance(array, ak.Array) else ()
                read[name] = array if len(missing) else plain(array, name, self.path)
            if len(missing) and not allow_missing:
                raise ValueError(
                    f"{self.path}: {name} is missing in {len(missing)} of {len(array)} events, first in event "
                    f"{start + missing[0]}. load_events(..., allow_nonfinite=True) gives None there; put a default in "
                    f"its place: ak.fill_none(events[{name!r}], -1, axis=None)."
                )
        return read

    def array(self, name: str, start: int, stop: int) -> Array:
        """Read one branch as uproot has it: flat numbers in NumPy, all else in awkward arrays."""
        with self.reading(name, start, stop):
            return self._array(name, start, stop)

    def _array(self, name: str, start: int, stop: int) -> Array:
        branch = self[name]
        library = "np" if self.is_ttree and number_dtype(branch) is not None else "ak"
        array = branch.array(entry_start=start, entry_stop=stop, library=library)
        if len(array) != stop - start:
            raise OSError(f"{len(array)} values where {stop - start} are expected")
        # Offsets that point nowhere. Of a union awkward says as well that it could be written in a simpler way.
        if library == "ak" and "union" not in str(array.type) and (wrong := ak.validity_error(array)):
            raise OSError(wrong)
        return array

    @contextlib.contextmanager
    def reading(self, name: str, start: int, stop: int) -> Iterator[None]:
        """Say why a branch cannot be read."""
        try:
            yield
        except Exception as error:
            where = f"{self.path}: the branch {name}"
            if is_memory(error):
                raise MemoryError(
                    f"{where}: too little memory for {stop - start} events. Read fewer branches, fewer events, or "
                    f"piece by piece with coursekit.streaming.read_chunks."
                ) from error
            if is_about_the_machine(error):
                raise
            if not self._is_damaged(self[name], error):
                raise ValueError(
                    f"{where} is of type {self[name].typename}, which uproot cannot read ({first_line(error)}). "
                    f"Leave it out: name the branches that you want."
                ) from error
            raise OSError(
                f"{self.path} is truncated or damaged: the branch {name} cannot be read ({first_line(error)}). "
                f"Fetch or make it again."
            ) from error

    def _is_damaged(self, branch, error: Exception) -> bool:
        """Tell bytes that are not what was written from a type that uproot does not know how to read."""
        if any(isinstance(cause, CannotBeAwkward | NotImplementedError) for cause in causes(error)):
            return False
        if not self.is_ttree:
            steps = {frame.f_code.co_name for frame, _ in traceback.walk_tb(error.__traceback__)}
            return not steps & {"to_akform", "get_field_metadata"}  # in which uproot looks at the type
        try:
            if type(getattr(branch.interpretation, "content", branch.interpretation)) in SIMPLE:
                return True
            for i in range(branch.num_baskets):  # compressed data have a checksum: if they unpack, they are as written
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
