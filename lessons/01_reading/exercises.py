"""Exercises of lesson 01: trees, branches, tables, jagged arrays, slices of a file."""

import functools
import shutil
import tempfile
from pathlib import Path
from unittest import mock

import awkward as ak
import numpy as np
import pandas as pd
import tables
import uproot
from uproot.behaviors.TBranch import HasBranches, TBranch

from coursekit.checks import call, describe, exercise, fail
from coursekit.checks.compare import agree


@functools.cache
def files():
    """Write two ROOT files, the first with another tree beside Events, and two tables; return their path by name."""
    rng, folder = np.random.default_rng(14), tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    names = ["mth", "mth_up", "ptll", "mll", "ptll_raw"]
    for name, size, trees in (("0.root", 1500, ["Also", "Events"]), ("1.root", 7, ["Events"])):
        with uproot.recreate(Path(folder.name) / name) as file:
            for tree in trees:
                file.mktree(tree, dict.fromkeys(names, "float32")).extend({n: rng.uniform(0, 100, size) for n in names})
    for name, columns in (("given.h5", ["a", "b"]), ("other.h5", ["c", "d"])):
        rows = np.flatnonzero(rng.random(99) < 0.7)[:50]  # the index is not the number of the row, as after a selection
        frame = pd.DataFrame(rng.random((50, 2)), index=rows, columns=columns)
        frame.to_hdf(Path(folder.name) / name, key="table", format="table")
    return lambda name: Path(folder.name) / name  # keeps the folder


@exercise(
    "1.1",
    "the trees of a ROOT file",
    cases=lambda: [{"file": uproot.open(files()("1.root"))}],
    returns=("the list of trees",),
    accept=(tuple, set),
    hints=(
        "An open file answers `file.keys()`; look at what it offers with `help(file.keys)`.",
        'Two arguments help: `filter_classname="TTree"` keeps the trees, `cycle=False` drops the `;1`.',
    ),
    mistakes={
        "These names still carry the cycle number behind the semicolon.": lambda *, file: file.keys(),
        "These are the kinds of the objects, not their names.": lambda *, file: list(file.classnames().values()),
        "These are the branches of the tree; the question is which trees the file holds.": lambda *, file: file["Events"].keys(),
        "This is one name; the answer is a list, since a file may hold several trees.": lambda *, file: file.keys(cycle=False)[0],
        "This pairs names with kinds; only the names are asked for.": lambda *, file: file.classnames(),
    },
    accepted=[
        lambda *, file: [name.split(";")[0] for name, kind in file.classnames().items() if kind == "TTree"],
        lambda *, file: set(file.keys(cycle=False)),
    ],
)
def tree_names(*, file):
    trees = file.keys(filter_classname="TTree", cycle=False)
    return trees


def pair(centre=np.mean, spread=np.std):
    return lambda *, mtw1: (centre(mtw1), spread(mtw1))


@exercise(
    "1.2",
    "mean and standard deviation of mtw1",
    cases=lambda: [{"mtw1": np.random.default_rng(12).gamma(5, 13, 500).astype(np.float32)}],
    returns=("the mean", "the standard deviation"),
    tolerance={"rtol": 1e-4},
    hints=(
        "A NumPy array knows its own mean: `mtw1.mean()`.",
        "The standard deviation is the square root of the variance; the method is `std`.",
    ),
    mistakes={
        "The two are exchanged: the first is the mean, the second the standard deviation.": pair(np.std, np.mean),
        "This is the median, which half of the events lie below; the mean is the sum over the number.": pair(np.median),
        "This is the variance; the standard deviation is its square root.": pair(spread=np.var),
        "This is the root mean square; the mean is to be subtracted first.": pair(spread=lambda x: np.sqrt((x**2).mean())),
        "This is the error of the mean; do not divide by the root of the number of events.": pair(spread=lambda x: x.std() / np.sqrt(len(x))),
        "These are the methods themselves; brackets call them: mtw1.mean().": lambda *, mtw1: (mtw1.mean, mtw1.std),
        "what came is text": lambda *, mtw1: (f"{mtw1.mean():.1f}", f"{mtw1.std():.1f}"),
    },
    accepted=[pair(lambda x: sum(x.tolist()) / len(x), lambda x: np.sqrt(np.var(x.astype(np.float64))))],
    alternatives=[pair(spread=lambda x: x.std(ddof=1))],
)
def mean_and_std(*, mtw1):
    mean = mtw1.mean()
    std = mtw1.std()
    return mean, std


def samples_of_numbers():
    rng = np.random.default_rng(13)
    for mean, std, size in ((60.0, 30.0, 300), (-4.0, 0.5, 23)):  # a value far out is data, too
        yield (np.insert(rng.normal(mean, std, size), 7, mean + 9 * std),)
    yield (rng.integers(0, 9, 40),)


def not_one_by_one(normalise, x):
    """Look whether the result for an entry depends on the others, as it does through their mean."""
    result = call(normalise, x)
    if np.shape(result) == x.shape and not agree(result, x) and agree(result[:9], call(normalise, x[:9])):
        fail("do you use mean and standard deviation of this particular sample, mtw1? Compute them from the argument.")
    return {"normalise(x)": result}


def shifted(centre=np.mean, spread=np.std):
    return lambda x: (x - centre(x)) / spread(x)


@exercise(
    "1.3",
    "a function that normalises an array",
    cases=samples_of_numbers,
    observe=not_one_by_one,
    hints=(
        "Two steps: subtract the mean from every entry, then divide every difference by the standard deviation.",
        "Division binds tighter than subtraction: put brackets round the difference.",
        "`x.mean()` and `x.std()` are the mean and the standard deviation of the argument.",
        "`(x - x.mean()) / x.std()` makes a new array and leaves `x` alone.",
    ),
    mistakes={
        "Division comes before subtraction: put brackets round x - mean.": lambda x: x - x.mean() / x.std(),
        "This is divided by the variance; divide by the standard deviation.": shifted(spread=np.var),
        "The mean is gone but the spread is as before: divide by the standard deviation.": lambda x: x - x.mean(),
        "The spread is one but the mean is not zero: subtract the mean first.": lambda x: x / x.std(),
        "Nothing has changed: this is the array that came in.": lambda x: x,
        "The sign is wrong: subtract the mean from the entries, not the entries from the mean.": lambda x: (x.mean() - x) / x.std(),
        "The mean is added; subtract it.": shifted(lambda x: -x.mean()),
        "Mean and standard deviation have changed places.": shifted(np.std, np.mean),
        "This subtracts the median; use the mean.": shifted(np.median),
        "This lies between 0 and 1, which is another normalisation; we want mean 0 and standard deviation 1.": shifted(np.min, np.ptp),
        "This is divided by the largest distance.": shifted(spread=lambda x: np.abs(x - x.mean()).max()),
        "This is divided by the root mean square: the mean is still in it.": shifted(spread=lambda x: np.sqrt((x**2).mean())),
        "This is divided by the error of the mean.": shifted(spread=lambda x: x.std() / np.sqrt(len(x))),
        "The sum is one now. We want mean 0 and standard deviation 1.": lambda x: x / x.sum(),
        "The length is one now. We want mean 0 and standard deviation 1.": lambda x: x / np.linalg.norm(x),
        "The mean of the differences is 0, up to rounding; divide by the standard deviation.": lambda x: (d := x - x.mean()) / d.mean(),
        "This is a Series of pandas; the lesson goes on with an array.": lambda x: ((s := pd.Series(x)) - s.mean()) / s.std(),
        "float16 keeps three digits alone; leave the numbers as they are computed.": lambda x: normalise(x).astype(np.float16),
        "An array of whole numbers, like this x, cannot hold the result: make one of floats.": lambda x: normalise(x).astype(x.dtype),
        "of this particular sample, mtw1": lambda x: (x - 66.4) / 28.8,
        "changes its input in place": lambda x: np.subtract(x, x.mean(), out=x) / x.std(),
    },
    accepted=[
        lambda x: np.divide(np.subtract(x, np.average(x)), np.sqrt(np.var(x))),
        lambda x: np.array([(entry - x.mean()) / x.std() for entry in x]),
    ],
    alternatives=[shifted(spread=lambda x: x.std(ddof=1)), shifted(spread=lambda x: pd.Series(x).std())],
)
def normalise(x):
    return (x - x.mean()) / x.std()


def dictionary_and_reading(read_branches, path, other, branches):
    read, array, arrays = set(), TBranch.array, HasBranches.arrays
    spy = mock.patch.object(TBranch, "array", lambda b, *given, **how: read.add(b.name) or array(b, *given, **how))

    def spy_on_tree(tree, expressions=None, *args, **kwargs):
        everything = [] if {"filter_name", "filter_branch"} & kwargs.keys() else tree.keys()
        read.update(np.ravel(everything if expressions is None else expressions).tolist())
        return arrays(tree, expressions, *args, **kwargs)

    with spy, mock.patch.object(HasBranches, "arrays", spy_on_tree):
        result = call(read_branches, path, branches)
    if agree(result, call(read_branches, other, branches)):
        fail("two different files gave the same: does your function open whatever path it is given, or always one?")
    return {"the dictionary": result, "whether other branches are read as well": bool(read - set(branches))}


def reading(read):
    return lambda path, names: read(uproot.open(path)["Events"], names)


@exercise(
    "1.4",
    "a function that reads branches into a dictionary",
    cases=lambda: [
        (files()("0.root"), files()("1.root"), ["ptll", "mth"]),  # not in the order of the file
        (files()("1.root"), files()("0.root"), ["mll"]),
    ],
    observe=dictionary_and_reading,
    hints=(
        '`with uproot.open(path) as opened:` opens the file that the caller names; `opened["Events"]` is its tree.',
        '`tree.arrays(branches, library="np")` reads several branches at once.',
        'Return what `opened["Events"].arrays(branches, library="np")` gives: it is already a dictionary.',
    ),
    mistakes={
        "There are more branches than asked for: give uproot the list, so that it does not read the rest.": reading(lambda tree, names: tree.arrays(library="np")),
        'read_branches returned awkward records; library="np" gives a dictionary of NumPy arrays.': reading(lambda tree, names: tree.arrays(names)),
        'These are awkward arrays; library="np" gives NumPy arrays.': reading(lambda tree, names: {name: tree[name].array() for name in names}),
        "read_branches returned a list of arrays; make it a dictionary, branch name to array.": reading(lambda tree, names: [tree[name].array(library="np") for name in names]),
        "The result is right, but other branches were read as well and thrown away: give uproot the list of branches.": reading(lambda tree, names: {name: tree.arrays(library="np")[name] for name in names}),
        "The arrays stand under each other's names: they come in the order in which uproot was asked.": reading(lambda tree, names: dict(zip(names, tree.arrays(sorted(names), library="np").values(), strict=True))),
        "Not all of the branches asked for are there.": lambda path, names: read_branches(path, names[:1]),
        "The branches are always the same: read those named in `branches`.": lambda path, names: read_branches(path, ["ptll", "mth"]),
        "Events are missing: entry_stop reads the first of them alone.": reading(lambda tree, names: tree.arrays(names, library="np", entry_stop=1000)),
        "This is another tree of the file; take `Events`, whatever else is there.": lambda path, names: (file := uproot.open(path))[file.keys()[0]].arrays(names, library="np"),
        "whatever path it is given": lambda path, names: read_branches(files()("0.root"), names),
    },
    accepted=[
        reading(lambda tree, names: {name: tree[name].array(library="np") for name in names}),
        lambda path, names: uproot.open(f"{path}:Events").arrays(filter_name=names, library="np"),
    ],
)
def read_branches(path, branches):
    with uproot.open(path) as opened:
        return opened["Events"].arrays(branches, library="np")


def arrays_by_name():
    # Neither the dictionary nor the alphabet has the order that is asked for; four events, so that rows are no columns.
    arrays = {name: np.array([0.5, 1.5, 2.5, 3.5]) + 10 * k for k, name in enumerate("bdkachgfilej")}
    yield arrays, list("lcgbdhekai")  # so many that a set of them has hardly ever this order
    yield arrays, ["a", "d"]
    yield {name: column[:1] for name, column in arrays.items()}, ["d", "a", "b"]  # one event is a table, too


def joined(join=np.column_stack, choose=lambda arrays, names: names):
    return lambda arrays, branches: join([arrays[name] for name in choose(arrays, branches)])


@exercise(
    "1.5",
    "a function from a dictionary of arrays to a table",
    cases=arrays_by_name,
    returns=("to_table(arrays, branches)",),
    hints=(
        "Pick the arrays in the order of `branches`, then put them side by side as columns.",
        "`np.stack(list_of_arrays, axis=1)` makes each array a column.",
        "`np.stack([arrays[name] for name in branches], axis=1)`",
    ),
    mistakes={
        "Rows and columns are exchanged: events are rows, so stack with axis=1 (or transpose).": joined(np.array),
        "The arrays stand one behind the other; they should be columns side by side.": joined(np.concatenate),
        "The numbers are poured in row by row: reshape does not make a column of each array, np.stack does.": joined(lambda columns: np.concatenate(columns).reshape(-1, len(columns))),
        "All arrays are here, in the order of the dictionary; take those named in `branches`, in the order given there.": joined(choose=lambda arrays, names: arrays),
        "The columns follow the order of the dictionary; use the order of `branches`.": joined(choose=lambda arrays, names: [name for name in arrays if name in names]),
        "The columns are sorted by name; use the order of `branches`.": joined(choose=lambda arrays, names: sorted(names)),
        "The axis of the events is lost where there is one event alone: leave squeeze away.": joined(lambda columns: np.array(columns).T.squeeze()),
        "A set has no order: take the names as they stand in `branches`.": joined(choose=lambda arrays, names: set(names)),
        "The numbers are cut to whole ones.": lambda arrays, names: to_table(arrays, names).astype(int),
        "to_table(arrays, branches) are right, but they come as": lambda arrays, names: pd.DataFrame(arrays)[names],
    },
    accepted=[
        joined(),
        joined(lambda columns: np.array(columns).T),
        lambda arrays, names: pd.DataFrame(arrays)[names].to_numpy(),
    ],
)
def to_table(arrays, branches):
    return np.stack([arrays[name] for name in branches], axis=1)


def of_both(join):
    return lambda *, dy_low, dy_high, signal: join(dy_low, dy_high)


@exercise(
    "1.6",
    "the merged background",
    cases=lambda: [dict(zip(("dy_low", "dy_high", "signal"), np.arange(360.0).reshape(3, 20, 6), strict=True))],
    returns=("background",),
    hints=(
        "Both tables have the same columns; the events of the second come below those of the first.",
        "`np.concatenate` takes a list of arrays and joins them along axis 0.",
    ),
    mistakes={
        "The samples stand side by side, as if their events were the same. Join along axis 0.": of_both(lambda low, high: np.concatenate([low, high], axis=1)),
        "+ adds number to number, event by event; we want all events of one and then those of the other.": of_both(np.add),
        "This is the mean of the two, event by event; we want all events of both.": of_both(lambda *two: sum(two) / 2),
        "The signal is among them; only the two backgrounds are to be merged.": lambda *, dy_low, dy_high, signal: np.concatenate([signal, dy_low, dy_high]),
        "dy_high is missing.": of_both(lambda low, high: low),
        "dy_low is missing.": of_both(lambda low, high: high),
        "The samples are in the other order: dy_low first.": of_both(lambda low, high: np.concatenate([high, low])),
        "This is dy_low twice.": of_both(lambda low, high: np.concatenate([low, low])),
        "This is dy_high twice.": of_both(lambda low, high: np.concatenate([high, high])),
        "Rows and columns are exchanged: an event is a row.": of_both(lambda low, high: np.concatenate([low.T, high.T], axis=1)),
        "The two tables are still two, in a list or along a new axis as np.stack makes it; np.concatenate joins their rows.": of_both(lambda low, high: np.stack([low, high])),
    },
    accepted=[of_both(lambda *two: np.array([*two[0], *two[1]])), of_both(lambda a, b: np.append(a, b, axis=0))],
)
def merged(*, dy_low, dy_high, signal):
    background = np.concatenate([dy_low, dy_high])
    return background


def counted(count):
    return lambda *, jet_pt: count(jet_pt > 30)


@exercise(
    "1.7",
    "the number of jets above 30 GeV in each event",
    cases=lambda: [{"jet_pt": ak.Array([[], [55.0, 31.0, 12.0], [30.0, 20.0], [90.0], [29.0, 28.0, 41.0, 35.0], []])}],
    returns=("n_jets",),
    accept=(np.ndarray,),
    hints=(
        "`jet_pt > 30` keeps the lists and says True or False for each jet.",
        "True counts as 1: a sum over the jets of each event counts them.",
        "`ak.sum(jet_pt > 30, axis=1)`",
    ),
    mistakes={
        "This is one number for all events; axis=1 counts inside each event.": counted(ak.sum),
        "axis=0 counts the first jets of all events, the second ones, ...; axis=1 counts inside each.": counted(lambda above: ak.sum(above, axis=0)),
        "These are all jets, soft ones included: compare with 30, and sum. ak.num and ak.count count False as well.": counted(ak.num),
        "This says whether there is at least one such jet; count them.": counted(lambda above: ak.any(above, axis=1)),
        "This still has one entry per jet; sum over the jets of each event with axis=1.": counted(lambda above: above),
        "Each number sits in a list of its own: leave keepdims away.": counted(lambda above: ak.sum(above, axis=1, keepdims=True)),
        "what came is the function": counted(lambda above: lambda jet_pt: ak.sum(jet_pt > 30, axis=1)),
        "they come as a list": counted(lambda above: [sum(event) for event in ak.to_list(above)]),
        "This is the number of events: axis=0 counts lists, axis=1 counts inside each.": lambda *, jet_pt: ak.num(jet_pt[jet_pt > 30], axis=0),
        "This asks the hardest jet of each event alone; count all.": lambda *, jet_pt: ak.max(jet_pt, axis=1) > 30,
        "This is the place of the hardest jet in its list.": lambda *, jet_pt: ak.argmax(jet_pt, axis=1),
        "This is the sum of the momenta of those jets; sum the True and False instead.": lambda *, jet_pt: ak.sum(jet_pt[jet_pt > 30], axis=1),
        "These are the momenta of those jets; count them.": lambda *, jet_pt: jet_pt[jet_pt > 30],
        "These are the jets below 30 GeV.": lambda *, jet_pt: ak.sum(jet_pt < 30, axis=1),
        "These are the jets of 30 GeV and more: above means >.": lambda *, jet_pt: ak.sum(jet_pt >= 30, axis=1),
    },
    accepted=[
        lambda *, jet_pt: ak.num(jet_pt[jet_pt > 30]),
        counted(lambda above: ak.to_numpy(ak.count_nonzero(above, axis=-1)).astype(float)),
    ],
)
def count_jets(*, jet_pt):
    n_jets = ak.sum(jet_pt > 30, axis=1)
    return n_jets


def rows_and_reading(read_rows, first, end):
    path, asked = shutil.copy(files()("given.h5"), files()("copy.h5")), []
    select, get = pd.HDFStore.select, pd.HDFStore.get

    def spy(store, key, where=None, start=None, stop=None, *args, **kwargs):
        asked.append((start or 0, stop) if where is None else (first, end))
        return select(store, key, where, start, stop, *args, **kwargs)

    with mock.patch.multiple(pd.HDFStore, select=spy, get=lambda *which: asked.append((0, None)) or get(*which)):
        result = call(read_rows, path, first, end)
    still_open = [handle for handle in tables.file._open_files.handlers if handle.filename == str(path)]
    for handle in still_open:
        handle.close()
    if not isinstance(result, pd.DataFrame):
        fail(f"read_rows returned {describe(result)}; expected a DataFrame.")
    if not {"a", "b"} >= set(result.columns):
        fail("read_rows returned another table than the one it was given: use the argument `path`.")
    if not {"a", "b"} <= set(result.columns):
        fail(f"some columns are missing: a and b are there, {', '.join(result.columns) or 'none'} came. Leave none out.")
    return {
        f"the table of rows {first} to {end}": result.to_numpy(),
        "whether more is read than asked for": any(rows != (first, end) for rows in asked),
        "whether the file stays open": bool(still_open),
    }


@exercise(
    "1.8",
    "a function that reads a slice of an HDF5 table",
    cases=lambda: [(10, 14), (0, 3), (30, 45)],
    observe=rows_and_reading,
    hints=(
        "`pd.read_hdf` has arguments for the first row and for the one behind the last: see `help(pd.read_hdf)`.",
        '`pd.read_hdf(path, key="table", start=start, stop=stop)`',
    ),
    mistakes={
        "The rows are right, but the whole table or more of it was read: give start and stop.": lambda path, a, b: pd.read_hdf(path, key="table")[a:b],
        "This is one row too many: up to but not including `stop`, as in a slice.": lambda path, a, b: read_rows(path, a, b + 1),
        "This is one row too few: `stop` is left out already.": lambda path, a, b: read_rows(path, a, b - 1),
        "`stop` is a row, not the number of rows.": lambda path, a, b: read_rows(path, a, a + b),
        "The rows before `start` came, too.": lambda path, a, b: read_rows(path, None, b),
        "The rows from `stop` on came, too.": lambda path, a, b: read_rows(path, a, None),
        "This is the whole table.": lambda path, a, b: read_rows(path, None, None),
        "some columns are missing: a and b are there, a came": lambda path, a, b: read_rows(path, a, b)[["a"]],
        "some columns are missing: a and b are there, none came": lambda path, a, b: pd.read_hdf(path, "table", start=a, stop=b, columns=["ptll"]),
        "`index` holds the label of a row, which after a selection is not its number: give start and stop.": lambda path, a, b: pd.read_hdf(path, "table", where=f"index >= {a} & index < {b}"),
        "The rows are right, but the file stays open, and nobody can write it: use a `with`.": lambda path, a, b: pd.HDFStore(path, mode="r").select("table", start=a, stop=b),
        "use the argument `path`": lambda path, a, b: read_rows(files()("other.h5"), a, b),
        "expected a DataFrame": lambda path, a, b: read_rows(path, a, b).to_numpy(),
    },
    accepted=[
        lambda path, a, b: read_rows(path, a, b).reset_index(drop=True),
        lambda path, a, b: pd.concat(pd.read_hdf(path, "table", start=a, stop=b, chunksize=2), ignore_index=True),
    ],
)
def read_rows(path, start, stop):
    return pd.read_hdf(path, key="table", start=start, stop=stop)
