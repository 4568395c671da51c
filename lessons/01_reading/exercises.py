"""Exercises of lesson 01, reading."""

import tempfile
from pathlib import Path
from unittest import mock

import awkward as ak
import numpy as np
import pandas as pd
import uproot
from uproot.behaviors.TBranch import HasBranches, TBranch

from coursekit import events
from coursekit.checks.engine import call, describe, exercise, expect_close, expect_equal, fail


@exercise(
    "1.1",
    "the trees of a ROOT file",
    hints=(
        "An open file answers `file.keys()`; look at what it offers with `help(file.keys)`.",
        'Two arguments help: `filter_classname="TTree"` keeps the trees, `cycle=False` drops the `;1`.',
    ),
    reference=lambda *, file: file.keys(filter_classname="TTree", cycle=False),
)
def _(trees, *, file):
    expected = file.keys(filter_classname="TTree", cycle=False)
    expect_equal(
        "trees",
        list(trees) if isinstance(trees, tuple | set) else trees,
        expected,
        mistakes={
            "These names still carry the cycle number behind the semicolon.": [f"{name};1" for name in expected],
            "These are the kinds of the objects, not their names.": list(file.classnames().values()),
            "These are the branches of the tree; the question is which trees the file holds.": file[expected[0]].keys(),
            "This is one name; the answer is a list, since a file may hold several trees.": expected[0],
            "This pairs names with kinds; only the names are asked for.": file.classnames(),
        },
    )


@exercise(
    "1.2",
    "mean and standard deviation of mtw1",
    hints=(
        "A NumPy array knows its own mean: `mtw1.mean()`.",
        "The standard deviation is the square root of the variance; the method is `std`.",
    ),
    reference=lambda *, mtw1: (mtw1.mean(), mtw1.std()),
)
def _(mean, std, *, mtw1):
    x = mtw1.astype(np.float64)
    right = {"mean": x.mean(), "std": x.std()}
    if np.ndim(mean) == 0 and np.ndim(std) == 0 and np.allclose([mean, std], [right["std"], right["mean"]], rtol=1e-4):
        fail("the two are exchanged: the first is the mean, the second the standard deviation.")
    wrong = {
        "This is the median, which half of the events lie below; the mean is the sum over the number.": np.median(x)
    }
    expect_close("the mean", mean, right["mean"], mistakes=wrong, rtol=1e-4)
    wrong = {
        "This is the variance; the standard deviation is its square root.": x.var(),
        "This is the root mean square; the mean is to be subtracted first.": np.sqrt((x**2).mean()),
        "This is the error of the mean; do not divide by the root of the number of events.": x.std() / np.sqrt(len(x)),
    }
    expect_close("the standard deviation", std, right["std"], mistakes=wrong, rtol=1e-4)


@exercise(
    "1.3",
    "a function that normalises an array",
    hints=(
        "Two steps: subtract the mean from every entry, then divide every difference by the standard deviation.",
        "Division binds tighter than subtraction: put brackets round the difference.",
        "`x.mean()` and `x.std()` are the mean and the standard deviation of the argument.",
        "`(x - x.mean()) / x.std()` makes a new array and leaves `x` alone.",
    ),
    reference=lambda: lambda x: (x - x.mean()) / x.std(),
)
def _(normalise):
    rng = np.random.default_rng(13)
    for mean, std, size in ((60.0, 30.0, 300), (-4.0, 0.5, 23)):
        x = rng.normal(mean, std, size)
        x[7] = mean + 9 * std  # a value far out is data, too
        result = call(normalise, x, name="normalise")
        centred = x - x.mean()
        wrong = {
            "Division comes before subtraction: put brackets round x - mean.": x - x.mean() / x.std(),
            "This is divided by the variance; divide by the standard deviation.": centred / x.var(),
            "The mean is gone but the spread is as before: divide by the standard deviation.": centred,
            "The spread is one but the mean is not zero: subtract the mean first.": x / x.std(),
            "Nothing has changed: this is the array that came in.": x,
            "The sign is wrong: subtract the mean from the entries, not the entries from the mean.": -centred / x.std(),
            "This subtracts the median; use the mean.": (x - np.median(x)) / x.std(),
            "This divides by the standard deviation with N - 1; use that with N, as NumPy does by default.": (
                centred / x.std(ddof=1)
            ),
            "This lies between 0 and 1, which is another normalisation; we want mean 0 and standard deviation 1.": (
                (x - x.min()) / (x.max() - x.min())
            ),
        }
        known = any(np.shape(result) == x.shape and np.allclose(result, value) for value in wrong.values())
        if isinstance(result, np.ndarray) and result.shape == x.shape and not known:
            slope, offset = np.polyfit(x, result, 1)
            if np.allclose(slope * x + offset, result) and not np.allclose(result, centred / x.std()):
                fail(
                    f"for an array with mean {x.mean():.4g} and standard deviation {x.std():.4g}, the result has "
                    f"mean {result.mean():.4g} and standard deviation {result.std():.4g}. Do you use the mean and "
                    "standard deviation of this particular sample, mtw1? Compute them from the argument."
                )
        expect_close("normalise(x)", result, centred / x.std(), mistakes=wrong)


@exercise(
    "1.4",
    "a function that reads branches into a dictionary",
    hints=(
        '`with uproot.open(path) as opened:` opens the file that the caller names; `opened["Events"]` is its tree.',
        '`tree.arrays(branches, library="np")` reads several branches at once.',
        'Return what `opened["Events"].arrays(branches, library="np")` gives: it is already a dictionary.',
    ),
    reference=lambda: events.load_events,
)
def _(read_branches):
    rng = np.random.default_rng(14)
    names, wanted = ["mth", "mth_up", "ptll", "mll", "ptll_raw"], ["ptll", "mth"]  # not in the order of the file
    read = []
    original = TBranch.array

    def spy(branch, *args, **kwargs):
        read.append(branch.name)
        return original(branch, *args, **kwargs)

    original_arrays = HasBranches.arrays

    def spy_arrays(tree, expressions=None, *args, **kwargs):
        picked = [expressions] if isinstance(expressions, str) else expressions
        chosen = kwargs.get("filter_name") is not None or kwargs.get("filter_branch") is not None
        read.extend(picked if picked is not None else [] if chosen else tree.keys())
        return original_arrays(tree, expressions, *args, **kwargs)

    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(TBranch, "array", spy),
        mock.patch.object(HasBranches, "arrays", spy_arrays),
    ):
        for index, size in enumerate((1500, 7)):
            read.clear()
            path = Path(folder) / f"sample{index}.root"
            content = {name: rng.uniform(0, 100, size).astype(np.float32) for name in names}
            with uproot.recreate(path) as file:
                file.mktree("Events", dict.fromkeys(names, "float32")).extend(content)
            result = call(read_branches, path, wanted, name="read_branches")
            if isinstance(result, list | tuple):
                fail("read_branches returned a list of arrays; make it a dictionary, branch name to array.")
            if isinstance(result, ak.Array):
                fail('read_branches returned awkward records; library="np" gives a dictionary of NumPy arrays.')
            if not isinstance(result, dict):
                fail(f"read_branches returned {describe(result)}; expected a dictionary, branch name to array.")
            if extra := result.keys() - set(wanted):
                fail(
                    f"read_branches returned more branches than asked for ({', '.join(sorted(extra))}): give uproot "
                    "the list, so that it does not read the rest."
                )
            if missing := set(wanted) - result.keys():
                fail(f"read_branches lacks {', '.join(sorted(missing))}, asked for {', '.join(wanted)}.")
            for name in wanted:
                if not isinstance(result[name], np.ndarray):
                    fail(f'the entry {name!r} is {describe(result[name])}; library="np" gives NumPy arrays.')
                if len(result[name]) != size:
                    fail(
                        f"a file of {size} events gave {len(result[name])}: does your function open whatever path it "
                        "is given, or always the same file?"
                    )
                expect_close(f"the branch {name}", result[name], content[name])
            if unwanted := set(read) - set(wanted):
                fail(
                    f"the result is right, but {', '.join(sorted(unwanted))} were read as well and thrown away: give "
                    "uproot the list of branches."
                )


@exercise(
    "1.5",
    "a function from a dictionary of arrays to a table",
    hints=(
        "Pick the arrays in the order of `branches`, then put them side by side as columns.",
        "`np.stack(list_of_arrays, axis=1)` makes each array a column.",
        "`np.stack([arrays[name] for name in branches], axis=1)`",
    ),
    reference=lambda: lambda arrays, branches: np.stack([arrays[name] for name in branches], axis=1),
)
def _(to_table):
    arrays = {"a": np.array([1.0, 2, 3]), "b": np.array([10.0, 20, 30]), "c": np.array([100.0, 200, 300])}
    for branches in (["c", "a"], ["b", "a", "c"]):
        columns = [arrays[name] for name in branches]
        wrong = {
            "Rows and columns are exchanged: events are rows, so stack with axis=1 (or transpose).": np.array(columns),
            "The arrays stand one behind the other; they should be columns side by side.": np.concatenate(columns),
            "The numbers are poured in row by row: reshape does not make a column of each array, np.stack does.": (
                np.concatenate(columns).reshape(-1, len(columns))
            ),
            "The columns follow the order of the dictionary; use the order of `branches`.": (
                np.stack(list(arrays.values()), axis=1)
            ),
            "The columns are sorted by name; use the order of `branches`.": (
                np.stack([arrays[name] for name in sorted(branches)], axis=1)
            ),
        }
        result = call(to_table, arrays, branches, name="to_table")
        if isinstance(result, pd.DataFrame):
            fail("to_table returned a DataFrame; a plain NumPy array is asked for.")
        expect_close(f"to_table(arrays, {branches})", result, np.stack(columns, axis=1), mistakes=wrong)


@exercise(
    "1.6",
    "the merged background",
    hints=(
        "Both tables have the same columns; the events of the second come below those of the first.",
        "`np.concatenate` takes a list of arrays and joins them along axis 0.",
    ),
    reference=lambda *, dy_low, dy_high: np.concatenate([dy_low, dy_high]),
)
def _(background, *, dy_low, dy_high):
    expected = np.concatenate([dy_low, dy_high])
    shape = np.shape(background)
    if len(shape) == 2 and shape[1] == dy_low.shape[1] + dy_high.shape[1]:
        fail(f"shape {shape}: the samples stand side by side, as if their events were the same. Join along axis 0.")
    if len(dy_low) == len(dy_high) and shape == dy_low.shape and np.allclose(background, dy_low + dy_high):
        fail("+ adds number to number, event by event; we want all events of one sample and then those of the other.")
    if len(shape) == 2 and shape[0] > len(expected):
        fail(f"{shape[0]} events where {len(expected)} are expected: is the signal among them?")
    if len(shape) == 2 and shape[0] < len(expected):
        missing = "a sample is missing" if shape[0] in (len(dy_low), len(dy_high)) else "some were lost"
        fail(f"{shape[0]} events where {len(expected)} are expected: {missing}.")
    wrong = {"The samples are in the other order: dy_low first.": np.concatenate([dy_high, dy_low])}
    wrong["This is dy_low twice."] = np.concatenate([dy_low, dy_low])
    wrong["This is dy_high twice."] = np.concatenate([dy_high, dy_high])
    expect_close("background", background, expected, mistakes=wrong)


@exercise(
    "1.7",
    "the number of jets above 30 GeV in each event",
    hints=(
        "`jet_pt > 30` keeps the lists and says True or False for each jet.",
        "True counts as 1: a sum over the jets of each event counts them.",
        "`ak.sum(jet_pt > 30, axis=1)`",
    ),
    reference=lambda *, jet_pt: ak.sum(jet_pt > 30, axis=1),
)
def _(n_jets, *, jet_pt):
    above = ak.to_numpy(ak.sum(jet_pt > 30, axis=1))
    if callable(n_jets):
        fail("this is a function; n_jets is one number per event.")
    if isinstance(n_jets, ak.Array) and n_jets.ndim > 1:
        if ak.all(ak.num(n_jets) == 1):
            fail("each number sits in a list of its own: leave keepdims away.")
        fail("this still has one entry per jet; sum over the jets of each event with axis=1.")
    if not isinstance(n_jets, ak.Array | np.ndarray) and np.ndim(n_jets) == 0:
        fail(f"{describe(n_jets)} is one number for all events; axis=1 counts inside each event.")
    if len(n_jets) == len(above) and np.asarray(n_jets).dtype == bool:
        fail("this says whether there is at least one such jet; count them.")
    wrong = {
        "These are all jets, soft ones included: compare with 30 first.": ak.num(jet_pt),
        "This is the sum of the momenta of those jets; sum the True and False instead.": (
            ak.sum(jet_pt[jet_pt > 30], axis=1)
        ),
        "These are the jets below 30 GeV.": ak.sum(jet_pt < 30, axis=1),
        "These are the jets of 30 GeV and more: above means >.": ak.sum(jet_pt >= 30, axis=1),
    }
    expect_close("n_jets", n_jets, above, mistakes=wrong, accept=(np.ndarray, ak.Array))


@exercise(
    "1.8",
    "a function that reads a slice of an HDF5 table",
    hints=(
        "`pd.read_hdf` has arguments for the first row and for the one behind the last: see `help(pd.read_hdf)`.",
        '`pd.read_hdf(path, key="table", start=start, stop=stop)`',
    ),
    reference=lambda: lambda path, start, stop: pd.read_hdf(path, key="table", start=start, stop=stop),
)
def _(read_rows):
    frame = pd.DataFrame({"a": np.arange(50.0), "b": np.arange(50) ** 2})
    asked = []
    select, get = pd.HDFStore.select, pd.HDFStore.get

    def spy(store, key, where=None, start=None, stop=None, *args, **kwargs):
        asked.append((start or 0, len(frame) if stop is None else stop) if where is None else None)
        return select(store, key, where, start, stop, *args, **kwargs)

    def spy_get(store, key):
        asked.append((0, len(frame)))
        return get(store, key)

    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(pd.HDFStore, "select", spy),
        mock.patch.object(pd.HDFStore, "get", spy_get),
    ):
        path = Path(folder) / "table.h5"
        frame.to_hdf(path, key="table", format="table")
        for start, stop in ((10, 14), (0, 3), (30, 45)):
            asked.clear()
            result = call(read_rows, path, start, stop, name="read_rows")
            if not isinstance(result, pd.DataFrame):
                fail(f"read_rows returned {describe(result)}; expected a DataFrame.")
            if list(result.columns) != list(frame.columns):
                fail("read_rows returned another table than the one it was given: use the argument `path`.")
            if len(result) == stop - start + 1:
                fail(f"rows {start} to {stop} gave {len(result)}: up to but not including `stop`, as in a slice.")
            if len(result) == min(stop, len(frame) - start) and len(result) != stop - start:
                fail(f"rows {start} to {stop} gave {len(result)}: `stop` is a row, not the number of rows.")
            if result["a"].tolist() != frame["a"][start:stop].tolist():
                fail(f"asked for rows {start} to {stop}, got {len(result)}: {describe(result['a'].to_numpy())}.")
            if any(rows is not None and rows != (start, stop) for rows in asked):
                fail("the rows are right, but the whole table or more of it than asked was read: give start and stop.")
            try:
                pd.HDFStore(path, mode="a").close()
            except ValueError:
                fail("the rows are right, but the file stays open, and nobody can write it: open it in a `with` block.")
