"""Flat dilepton ntuples: from a ROOT tree to named arrays, weights and one table.

An event is one collision; each branch of the tree holds one quantity of all events: a number per event (flat), or a
list of numbers per event (jagged, such as the momenta of the jets).
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import awkward as ak
import numpy as np

from coursekit.arrays import Array, events_with, plain
from coursekit.branches import Branches
from coursekit.trees import open_root, open_tree
from coursekit.words import listed, near

INPUT_BRANCHES = ("ptll", "mth", "uperp", "upara", "ptTOT_cut", "mTOT_cut")
"""The six inputs that separate H -> WW from Drell-Yan, all in GeV."""

WEIGHT_BRANCHES = (
    "XSWeight",
    "SFweight2l",
    "LepSF2l__ele_mvaFall17V1Iso_WP90__mu_cut_Tight_HWWW",
    "LepCut2l__ele_mvaFall17V1Iso_WP90__mu_cut_Tight_HWWW",
    "GenLepMatch2l",
    "METFilter_MC",
)
"""The six factors whose product is the weight of a simulated event."""


def load_events(
    path: str | os.PathLike,
    branches: Iterable[str] | None = None,
    start: int | None = None,
    stop: int | None = None,
    tree: str = "Events",
    allow_nonfinite: bool = False,
) -> dict[str, Array]:
    """Read branches of a tree, and nothing else of the file, into a dictionary of arrays.

    Parameters
    ----------
    path : str or path-like
        The ROOT file.
    branches : iterable of str, optional
        Names of the branches, in the order wanted; all that have values if not given. A branch in a branch has its full
        name, "Jet/Jet.PT", or its last one, "Jet.PT", if no other has that; a field in a field of an RNTuple "jet.pt".
    start, stop : int, optional
        First event and one past the last, as in a slice: negative ones count from the end.
    tree : str
        Name of the tree (TTree or RNTuple): "Events", "folder/Events", or "Events;1" for one cycle; the highest cycle
        if none is given.
    allow_nonfinite : bool
        Accept NaN, infinite and missing values, which are refused otherwise: one of them is enough to turn every weight
        of a network into NaN.

    Returns
    -------
    dict of str to numpy.ndarray or awkward.Array
        For each name asked for an array of length N, in the unit and dtype of the file: of NumPy where an event has one
        number or an array of fixed shape; of awkward for lists, text, records, and for what has missing values, which
        are None.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    OSError
        The file is truncated or damaged.
    MemoryError
        The branches do not fit in memory.
    KeyError
        The file has no such tree, or the tree no such branch, or several.
    ValueError
        The file is not a ROOT file, the tree is empty, uproot cannot read the type of a branch, or a value is NaN,
        infinite or missing.

    Examples
    --------
    >>> import tempfile, uproot
    >>> path = tempfile.mkdtemp() + "/tiny.root"
    >>> with uproot.recreate(path) as file:
    ...     tree = file.mktree("Events", {"ptll": "float32", "mth": "float32"})
    ...     _ = tree.extend({"ptll": np.float32([40, 50, 60]), "mth": np.float32([80, 90, 100])})
    >>> load_events(path, ["mth"], start=1)
    {'mth': array([ 90., 100.], dtype=float32)}
    """
    path = Path(path)
    with open_root(path) as file:
        table = Branches(path, tree, open_tree(file, path, tree))
        names = table.wanted(branches)
        if table.n_events == 0:
            raise ValueError(f"{path}: the tree {tree} has no entries. Was it filled? Make or fetch the file again.")
        first, last, _ = slice(start, stop).indices(table.n_events)
        events = table.read(names, first, max(first, last), allow_missing=allow_nonfinite)
    if not allow_nonfinite:
        require_finite(events, source=path if first == 0 else f"{path} from event {first} on")
    return events


def require_finite(events: Mapping[str, Array], source: str | os.PathLike = "events") -> None:
    """Refuse NaN and infinite values.

    Parameters
    ----------
    events : mapping of str to array
        Arrays of length N, any unit: flat, jagged, or records, of any depth. Integers, bools and text always pass.
    source : str or path-like
        What the error names as the origin, for example the file.

    Raises
    ------
    ValueError
        A value is NaN or infinite; the message names the branch, how many events, and the first of them. Or a value is
        missing.

    Examples
    --------
    >>> require_finite({"mth": np.array([80.0, np.nan])}, source="b.root")
    Traceback (most recent call last):
        ...
    ValueError: b.root: mth is NaN or infinite in 1 of 2 events, first in event 1. ...
    """
    for name, column in events.items():
        column = plain(column, name, source)
        if isinstance(column, np.ndarray) and column.dtype.names:
            require_finite({f"{name}.{field}": column[field] for field in column.dtype.names}, source)
        if isinstance(column, np.ndarray) and column.dtype.kind not in "fc":
            continue
        bad = np.flatnonzero(events_with(column, lambda numbers: ~np.isfinite(numbers)))
        if len(bad):
            raise ValueError(
                f"{source}: {name} is NaN or infinite in {len(bad)} of {len(column)} events, first in event {bad[0]}. "
                f"Leave these events out, or read with allow_nonfinite=True and replace the values by a default."
            )


def event_weights(events: Mapping[str, Array]) -> np.ndarray:
    """Multiply the six weight factors: the number of real events that each simulated one stands for.

    w_i = XSWeight_i SFweight2l_i LepSF2l_i LepCut2l_i GenLepMatch2l_i METFilter_MC_i

    The product is taken in float64: the cross-section factor spans many orders of magnitude.

    Parameters
    ----------
    events : mapping of str to array
        Holds at least `WEIGHT_BRANCHES`, each (N,), any numeric dtype; XSWeight in fb, the other factors without unit.

    Returns
    -------
    numpy.ndarray
        (N,), expected events at an integrated luminosity of 1/fb, float64. Zero for an event that fails a cut;
        negative where the generator's own weight is.

    Raises
    ------
    KeyError
        A weight branch is missing.
    ValueError
        The factors have unequal lengths, are not numbers, one per event, or not finite.

    Examples
    --------
    >>> events = dict.fromkeys(WEIGHT_BRANCHES, np.ones(2)) | {"XSWeight": np.array([2.0, 3.0])}
    >>> event_weights(events)
    array([2., 3.])
    """
    columns = _flat_columns(events, WEIGHT_BRANCHES)
    require_finite(columns, source="event weights")
    with np.errstate(over="ignore"):  # what does not fit becomes infinite, and is refused on the next line
        weights = np.prod([column.astype(np.float64) for column in columns.values()], axis=0)
    require_finite({"the product of the factors": weights}, source="event weights")
    return weights


def to_table(events: Mapping[str, Array], branches: Sequence[str]) -> np.ndarray:
    """Put named arrays side by side into the one 2D array that a network takes.

    Parameters
    ----------
    events : mapping of str to array
        Flat arrays of equal length N, any numeric dtype.
    branches : sequence of str
        The F columns, in order. The array itself does not remember their names: see `coursekit.preprocess.Scaler`.

    Returns
    -------
    numpy.ndarray
        (N, F), the units of the branches, float32.

    Raises
    ------
    KeyError
        A branch is missing.
    ValueError
        The arrays have unequal lengths, are not numbers, one per event, or hold values that float32 cannot.

    Examples
    --------
    >>> to_table({"ptll": np.array([40, 50]), "mth": np.array([80, 90])}, ["mth", "ptll"])
    array([[80., 40.],
           [90., 50.]], dtype=float32)
    """
    if isinstance(branches, str):
        raise TypeError(f"branches is a list of names, but the string {branches!r} came: write [{branches!r}].")
    branches = list(branches)
    columns = _flat_columns(events, branches)
    if not columns:
        raise ValueError("branches is empty: name at least one branch.")
    table = np.empty((len(next(iter(columns.values()))), len(branches)), dtype=np.float32)
    with np.errstate(over="ignore"):  # what does not fit becomes infinite, and is refused by name on the next lines
        for i, name in enumerate(branches):
            table[:, i] = columns[name]
    require_finite({name: table[:, i] for i, name in enumerate(branches)}, source="table")
    return table


def concatenate_events(samples: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """Append samples to each other, branch by branch.

    Parameters
    ----------
    samples : sequence of mapping of str to array
        Each has the same branches; the arrays of one sample have one length, flat or jagged.

    Returns
    -------
    dict of str to numpy.ndarray or awkward.Array
        The branches in the order of the first sample, each of the summed length, first sample first.

    Raises
    ------
    ValueError
        There is no sample, the samples have different branches, or unequal lengths within one, or a branch is of types
        in two samples, such as text and numbers, or int64 and uint64, of which no one holds the values of both.

    Examples
    --------
    >>> concatenate_events([{"mth": np.array([80.0])}, {"mth": np.array([90.0, 100.0])}])
    {'mth': array([ 80.,  90., 100.])}
    """
    samples = [] if isinstance(samples, Mapping) or hasattr(samples, "columns") else list(samples)
    if not samples:
        raise ValueError(
            "samples is a list of at least one dictionary of arrays: concatenate_events([signal, background])."
        )
    samples = [{name: plain(s[name], name, f"sample {i}") for name in _names(s)} for i, s in enumerate(samples)]
    first = samples[0]
    for i, sample in enumerate(samples):
        if set(sample) != set(first):
            raise ValueError(
                f"sample {i} has other branches than sample 0: {sorted(map(str, set(sample) ^ set(first)))} are in "
                f"only one of them. Read the same branches from each file."
            )
        _require_equal_lengths(sample)
    return {name: _joined(name, [sample[name] for sample in samples]) for name in first}


def _joined(name: str, parts: list[Array]) -> Array:
    """Append arrays of one kind to each other, and refuse those that would become something else by it."""
    kinds = [str(ak.type(part).content) for part in parts]
    if all(isinstance(part, np.ndarray) for part in parts) and len({part.shape[1:] for part in parts}) == 1:
        mixed = len({part.dtype.kind in "biuf" for part in parts}) > 1  # numbers beside text would become text
        joined = np.empty(0) if mixed else np.concatenate(parts)
        # int64 and uint64 become float64
        whole = [part for part in parts if part.dtype.kind in "iu" and part.dtype != joined.dtype]
        with np.errstate(invalid="ignore"):
            lost = mixed or not all(
                np.array_equal(part.astype(joined.dtype).astype(part.dtype), part) for part in whole
            )
    else:
        joined = ak.concatenate(parts)
        lost = "union" in str(joined.type) and not any("union" in kind for kind in kinds)
    if lost:
        i = next(i for i, kind in enumerate(kinds) if kind != kinds[0])
        raise ValueError(
            f"{name} is {kinds[0]} in sample 0 and {kinds[i]} in sample {i}, and no type holds the values of both. "
            f"Make it the same in all samples first."
        )
    return joined


def _flat_columns(events: Mapping[str, Array], branches: Iterable[str]) -> dict[str, np.ndarray]:
    """Pick branches as flat NumPy arrays of one length."""
    columns, known = {}, _names(events)
    for name in branches:
        if name not in known:
            raise KeyError(f"the events have no branch {name};{near(name, known)} there is {listed(known)}")
        columns[name] = column = plain(events[name], name)
        if not isinstance(column, np.ndarray) or column.ndim != 1 or column.dtype.kind not in "biuf":
            kind, remedy = _what_else(column)
            raise ValueError(f"{name} is {kind}, where one number per event is expected. {remedy}.")
    _require_equal_lengths(columns)
    return columns


def _names(events) -> list:
    """Return the names of the branches of a dictionary of arrays, or of a DataFrame; none is there twice."""
    if not isinstance(events, Mapping) and not hasattr(events, "columns"):
        raise TypeError(f"events maps each branch to its array, as load_events returns it, but {type(events)} came.")
    names = list(getattr(events, "columns", events))
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the events have two columns of the name {twice}: rename one of them.")
    return names


def _what_else(column: Array) -> tuple[str, str]:
    """Say what a column is that is not one number per event, and what to do with it."""
    of_numpy = isinstance(column, np.ndarray)
    if column.dtype.kind in "SU" if of_numpy else column.layout.parameter("__array__") in ("string", "bytestring"):
        return "text", "Make a number of it first, by a comparison for instance"
    if column.ndim != 1:
        kind = f"of shape {column.shape}" if of_numpy else "jagged, a list per event"
        return kind, "Reduce it first: its first value, its number of values, its sum"
    kind = column.dtype if of_numpy else column.type.content
    return f"of type {kind}", "Take one of its fields, if it has some, or leave it out"


def _require_equal_lengths(events: Mapping[str, Array]) -> None:
    numbers = [name for name, column in events.items() if column.ndim == 0]
    if numbers:
        raise ValueError(f"{numbers[0]} is one number, where an array with a value for each event is expected.")
    lengths = {name: len(column) for name, column in events.items()}
    if len(set(lengths.values())) > 1:
        first, *others = lengths
        other = next(name for name in others if lengths[name] != lengths[first])
        raise ValueError(
            f"the branches have unequal lengths: {first} has {lengths[first]} events, {other} {lengths[other]}. "
            f"Read them in one call, or apply the same selection to each."
        )
