"""Trees of ROOT files: their branches for training, and their rows and lists for the shuffle."""

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import awkward as ak
import numpy as np
import uproot

from coursekit.events import Array, open_tree
from coursekit.streaming.columns import offsets_of, required


class Tree:
    """A TTree or RNTuple in an open ROOT file."""

    def __init__(self, path: Path, file, key: str):
        self.path, self.key, self._file = path, key, file
        self._tree = open_tree(file, path, key)
        self.n_events = int(self._tree.num_entries)
        self._is_ttree = hasattr(self._tree, "common_entry_offsets")
        self._edges = np.array(self._tree.common_entry_offsets() if self._is_ttree else [])

    def require(self, names: Iterable[str] | None) -> list[str]:
        return required(self.path, self.key, names, self._tree.keys())

    def column_bytes(self, name: str) -> float:
        if not self._is_ttree:  # nothing is written in the file about sizes: we look at some events
            return self._tree.arrays([name], entry_stop=1000).nbytes / min(1000, self.n_events)
        branch = self._tree[name]
        dtype = _dtype(branch)
        # In the file a list comes with a 4-byte offset, in memory with one of 8.
        return branch.uncompressed_bytes / self.n_events + 4 if dtype is None else dtype.itemsize

    def cut(self, start: int, stop: int) -> int:
        """Return the last end of a basket in the second half of a range, else the end of the range."""
        place = np.searchsorted(self._edges, stop, side="right") - 1
        return int(self._edges[place]) if place >= 0 and 2 * self._edges[place] > start + stop else stop

    def read(self, names: list[str] | None, start: int, stop: int) -> dict[str, Array]:
        with self._reading():
            columns = self._tree.arrays(names, entry_start=start, entry_stop=stop)
        return {name: columns[name].to_numpy() if columns[name].ndim == 1 else columns[name] for name in columns.fields}

    @contextlib.contextmanager
    def _reading(self):
        try:
            yield
        except MemoryError:
            raise
        except Exception as error:  # whatever a decompressor raises on bytes that are not its own
            raise OSError(
                f"{self.path}: damaged, it cannot be decompressed ({error}). Fetch or make it again."
            ) from error

    # for the shuffle

    def dtypes(self) -> tuple[np.dtype, dict[str, np.dtype]]:
        """Return the type of a row, and for each counter that of the items it counts."""
        flat, lists = self._branches
        rows = [(name, _dtype(branch)) for name, branch in flat.items()] + [(counter, np.int32) for counter in lists]
        return np.dtype(rows), {
            counter: np.dtype([(name, _item_dtype(branch)) for name, branch in group.items()])
            for counter, group in lists.items()
        }

    @functools.cached_property
    def _branches(self) -> tuple[dict, dict[str, dict]]:
        """Flat branches by name, and jagged ones by counter and name."""
        if not self._is_ttree:
            raise ValueError(
                f"{self.path}: {self.key} is an RNTuple, and only TTrees are shuffled. Write one with "
                f"file.mktree(...) and extend."
            )
        flat, lists = {}, {}
        counts = {branch.name: branch.count_branch for branch in self._tree.branches}
        counters = {counter.name for counter in counts.values() if counter is not None}
        for branch in self._tree.branches:
            if branch.name in counters:
                continue
            if _dtype(branch) is not None:
                flat[branch.name] = branch
            elif _item_dtype(branch) is not None:
                counter = f"n{branch.name}" if counts[branch.name] is None else counts[branch.name].name
                while counts[branch.name] is None and counter in counts:
                    counter += "_"
                lists.setdefault(counter, {})[branch.name] = branch
            else:
                raise ValueError(
                    f"{self.path}: the branch {branch.name} is of type {branch.typename}, which cannot be written: "
                    f"numbers, strings, arrays of fixed shape, and lists of numbers can. Copy the others to a new file."
                )
        return flat, lists

    def storage(self) -> tuple[float, float]:
        """Return the bytes of an event: its row, and the items of its lists (a mean)."""
        in_lists = sum(branch.uncompressed_bytes for group in self._branches[1].values() for branch in group.values())
        n_lists = sum(len(group) for group in self._branches[1].values())
        return self.dtypes()[0].itemsize, max(0.0, in_lists / self.n_events - 4 * n_lists)

    def others(self) -> tuple[str, ...]:
        return tuple(name for name in dict.fromkeys(self._file.keys(cycle=False)) if name != self.key)

    def read_rows(self, start: int, stop: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        row_dtype, list_dtypes = self.dtypes()
        flat, groups = self._branches
        rows, lists = np.empty(stop - start, row_dtype), {}
        with self._reading():  # branch by branch, so that only one exists twice at a time
            for name, branch in flat.items():
                rows[name] = branch.array(entry_start=start, entry_stop=stop, library="np")
            for counter, group in groups.items():
                for name, branch in group.items():
                    column = ak.without_parameters(branch.array(entry_start=start, entry_stop=stop))
                    items = ak.to_numpy(ak.flatten(column))
                    if counter not in lists:
                        rows[counter] = ak.num(column)
                        lists[counter] = np.empty(len(items), list_dtypes[counter])
                    lists[counter][name] = items
        return rows, lists

    @contextlib.contextmanager
    def writer(self, path: Path, n_baskets: int) -> Iterator[Callable]:
        row_dtype, list_dtypes = self.dtypes()
        flat, groups = self._branches

        def columns(rows, lists) -> dict[str, Array]:
            new = {name: np.ascontiguousarray(rows[name]) for name in flat}
            for counter, packed in lists.items():
                offsets = ak.index.Index64(offsets_of(rows[counter]))
                contents = [ak.contents.NumpyArray(np.ascontiguousarray(packed[name])) for name in packed.dtype.names]
                if _is_string(next(iter(groups[counter].values()))):
                    char = ak.with_parameter(contents[0], "__array__", "char", highlevel=False)
                    layout = ak.contents.ListOffsetArray(offsets, char, parameters={"__array__": "string"})
                    new[packed.dtype.names[0]] = ak.Array(layout)
                else:  # a record, so that its fields share the counter
                    record = ak.contents.RecordArray(contents, packed.dtype.names)
                    new[f"{counter} of"] = ak.Array(ak.contents.ListOffsetArray(offsets, record))
            return new

        empty = columns(np.empty(0, row_dtype), {name: np.empty(0, dtype) for name, dtype in list_dtypes.items()})
        order = self._tree.keys()

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


def _dtype(branch) -> np.dtype | None:
    """Return the type of a branch with one number, or array of fixed shape, per event; None for others."""
    interpretation = branch.interpretation
    if type(interpretation) is not uproot.AsDtype or interpretation.to_dtype.names:
        return None
    return interpretation.to_dtype.newbyteorder("=")


def _item_dtype(branch) -> np.dtype | None:
    """Return the type of the items of a branch of lists or strings; None for others."""
    if _is_string(branch):
        return np.dtype(np.uint8)
    content = getattr(branch.interpretation, "content", None)
    if type(branch.interpretation) is not uproot.AsJagged or type(content) is not uproot.AsDtype:
        return None
    return None if content.to_dtype.names or content.to_dtype.shape else content.to_dtype.newbyteorder("=")


def _is_string(branch) -> bool:
    return type(branch.interpretation) is uproot.AsStrings
