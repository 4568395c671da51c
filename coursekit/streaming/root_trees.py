"""Trees of ROOT files: their branches for training, and their rows and lists for the shuffle."""

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import awkward as ak
import numpy as np
import uproot

from coursekit.arrays import Array
from coursekit.branches import Branches, is_text, item_dtype, number_dtype
from coursekit.streaming.columns import offsets_of
from coursekit.trees import find_tree


class Tree:
    """A TTree or RNTuple in an open ROOT file."""

    def __init__(self, path: Path, file, key: str, tree):
        self.path, self._file, self._tree = path, file, tree
        self._own = find_tree(file, path, key)
        self.key = self._own.rpartition(";")[0]  # that of the result, too
        self._branches = Branches(path, key, tree)
        self.n_events = self._branches.n_events
        self._edges = np.array(self._branches.edges())

    def require(self, names: Iterable[str] | None) -> list[str]:
        return self._branches.wanted(names)

    def column_bytes(self, name: str) -> float:
        if not self._branches.is_ttree:  # nothing is written in the file about sizes: we look at some events
            return self._branches.array(name, 0, min(1000, self.n_events)).nbytes / min(1000, self.n_events)
        branch = self._branches[name]
        dtype = number_dtype(branch)
        # In the file a list comes with a 4-byte offset, in memory with one of 8.
        return branch.uncompressed_bytes / self.n_events + 4 if dtype is None else dtype.itemsize

    def cut(self, start: int, stop: int) -> int:
        """Return the last end of a basket in the second half of a range, else the end of the range."""
        place = np.searchsorted(self._edges, stop, side="right") - 1
        return int(self._edges[place]) if place >= 0 and 2 * self._edges[place] > start + stop else stop

    def read(self, names: list[str] | None, start: int, stop: int) -> dict[str, Array]:
        return self._branches.read(self._branches.wanted(None) if names is None else names, start, stop)

    # for the shuffle

    def dtypes(self) -> tuple[np.dtype, dict[str, np.dtype]]:
        """Return the type of a row, and for each counter that of the items it counts."""
        flat, lists = self._sorted
        rows = [(last, number_dtype(self._branches[name])) for last, name in flat.items()]
        return np.dtype(rows + [(counter, np.int32) for counter in lists]), {
            counter: np.dtype([(last, item_dtype(self._branches[name])) for last, name in group.items()])
            for counter, group in lists.items()
        }

    @functools.cached_property
    def _sorted(self) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
        """Full names of the flat branches by their last ones, and of the jagged ones by their counter and last name."""
        names = self._last_names()
        counters = {id(self._branches[name].count_branch) for name in names.values()}
        flat, lists = {}, {}
        for last, name in names.items():
            branch = self._branches[name]
            if id(branch) in counters:
                continue
            if number_dtype(branch) is not None:
                flat[last] = name
            elif item_dtype(branch) is not None:
                by = branch.count_branch
                counter = f"n{last}" if by is None else by.name
                # a counter of ours, and a container that only counts, have another name than the branches with values
                while counter in names and (by is None or self._branches[names[counter]] is not by):
                    counter += "_"
                lists.setdefault(counter, {})[last] = name
            else:
                raise ValueError(
                    f"{self.path}: the branch {name} is of type {branch.typename}, which cannot be written: "
                    f"numbers, strings, arrays of fixed shape, and lists of numbers can. Copy the others to a new file."
                )
        return flat, lists

    def _last_names(self) -> dict[str, str]:
        """Return for each branch its name in the result, where no branch is inside another, and its full name."""
        if not self._branches.is_ttree:
            raise ValueError(
                f"{self.path}: {self.key} is an RNTuple, and only TTrees are shuffled. Write one with "
                f"file.mktree(...) and extend."
            )
        names = {}
        for name in self._branches.wanted(None):
            other = names.setdefault(self._branches[name].name, name)
            if other != name:
                raise ValueError(
                    f"{self.path}: the branches {other} and {name} have the same last name, and uproot writes no "
                    f"branches inside others. Copy those that you want to a new file, under names of their own."
                )
        return names

    def storage(self) -> tuple[float, float]:
        """Return the bytes of an event: its row, and the items of its lists (a mean)."""
        in_lists = [self._branches[name] for group in self._sorted[1].values() for name in group.values()]
        n_bytes = sum(branch.uncompressed_bytes for branch in in_lists)
        return self.dtypes()[0].itemsize, max(0.0, n_bytes / self.n_events - 4 * len(in_lists))

    def others(self) -> tuple[str, ...]:
        kinds = self._file.classnames().items()
        others = [key for key, kind in kinds if key != self._own and kind not in ("TDirectory", "TDirectoryFile")]
        names = (key.rpartition(";")[0] for key in others)
        return tuple(dict.fromkeys(key if name == self.key else name for key, name in zip(others, names, strict=True)))

    def read_rows(self, start: int, stop: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        row_dtype, list_dtypes = self.dtypes()
        flat, groups = self._sorted
        rows, lists = np.empty(stop - start, row_dtype), {}
        for last, name in flat.items():  # branch by branch, so that only one exists twice at a time
            rows[last] = self._branches.array(name, start, stop)
        for counter, group in groups.items():
            for last, name in group.items():
                column = ak.without_parameters(self._branches.array(name, start, stop))
                counts, items = ak.to_numpy(ak.num(column)), ak.to_numpy(ak.flatten(column))
                if counter not in lists:
                    rows[counter] = counts
                    lists[counter] = np.empty(len(items), list_dtypes[counter])
                if not np.array_equal(rows[counter], counts):
                    raise ValueError(
                        f"{self.path}: {name} and {next(iter(group.values()))} share the counter {counter}, but their "
                        f"lists have unequal lengths. Copy them to a new file as branches of their own."
                    )
                lists[counter][last] = items
        return rows, lists

    @contextlib.contextmanager
    def writer(self, path: Path, n_baskets: int) -> Iterator[Callable]:
        row_dtype, list_dtypes = self.dtypes()
        flat, groups = self._sorted

        def columns(rows, lists) -> dict[str, Array]:
            new = {name: np.ascontiguousarray(rows[name]) for name in flat}
            for counter, packed in lists.items():
                offsets = ak.index.Index64(offsets_of(rows[counter]))
                contents = [ak.contents.NumpyArray(np.ascontiguousarray(packed[name])) for name in packed.dtype.names]
                if is_text(self._branches[next(iter(groups[counter].values()))]):
                    char = ak.with_parameter(contents[0], "__array__", "char", highlevel=False)
                    layout = ak.contents.ListOffsetArray(offsets, char, parameters={"__array__": "string"})
                    new[packed.dtype.names[0]] = ak.Array(layout)
                else:  # a record, so that its fields share the counter
                    record = ak.contents.RecordArray(contents, packed.dtype.names)
                    new[f"{counter} of"] = ak.Array(ak.contents.ListOffsetArray(offsets, record))
            return new

        empty = columns(np.empty(0, row_dtype), {name: np.empty(0, dtype) for name, dtype in list_dtypes.items()})
        order = [branch.name for branch in self._tree.itervalues()]

        def place(name: str) -> int:  # of the first of a group's branches in the source
            group = name.removesuffix(" of")
            return min(order.index(member) for member in (name, group, *groups.get(group, ())) if member in order)

        types = {
            name: row_dtype[name] if name in flat else ak.type(empty[name]).content for name in sorted(empty, key=place)
        }
        with uproot.recreate(path, compression=self._file.file.compression) as file:
            tree = file.mktree(
                self.key,
                types,
                title=self._tree.title,
                counter_name=lambda counted: counted.removesuffix(" of"),
                field_name=lambda outer, inner: inner,
                # room for all baskets from the start, or the list of them is moved when it is full
                initial_basket_capacity=n_baskets + 10,
            )
            yield lambda rows, lists: tree.extend(columns(rows, lists))
