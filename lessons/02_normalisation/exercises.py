"""Exercises of lesson 02: weights, scale and offset, defaults, the variables file, reweighting."""

import functools
import json

import numpy as np
import pandas as pd

from coursekit.checks import call, describe, exercise, fail
from coursekit.events import WEIGHT_BRANCHES


def ordinary(function, *arguments):
    with np.errstate(all="ignore"):
        result = call(function, *arguments)
    if isinstance(result, np.ma.MaskedArray):
        fail("a masked array came. A network knows of no masks: put the 0 into an ordinary array.")
    return result


def weighted_events():
    rng = np.random.default_rng(21)
    for n in (200, 40):
        # mth comes first: the weight branches are found by name, not by place
        events = {"mth": rng.uniform(60, 120, n)} | {name: rng.uniform(0.5, 1.5, n) for name in WEIGHT_BRANCHES}
        events[WEIGHT_BRANCHES[0]][::7] *= -1  # as beyond leading order
        events[WEIGHT_BRANCHES[3]][::3] = 0  # a flag
        yield ({name: column.astype(np.float32) for name, column in events.items()},)


def combined(combine, *names):
    return lambda events: combine([events[name] for name in names or WEIGHT_BRANCHES])


def changed(change):
    return lambda events: change(weights_of(events))


product = functools.partial(combined, functools.partial(np.prod, axis=0))
first_call = {}


@exercise(
    "2.1",
    "the weight of each event",
    cases=weighted_events,
    returns=("weights_of(events)",),
    hints=(
        "An event that passes with 90% probability at one step and 80% at the next counts 0.9 x 0.8.",
        "Start from 1.0 and multiply by events[name] for each name in WEIGHT_BRANCHES.",
        "np.prod([events[name] for name in WEIGHT_BRANCHES], axis=0): axis=0 runs over the branches.",
    ),
    mistakes={
        "These are sums. Efficiencies and corrections are factors: they multiply.": combined(sum),
        "These are the mean of the six factors. They multiply.": combined(lambda columns: np.mean(columns, axis=0)),
        "This is one number for all events. The product runs over the branches alone: axis=0.": combined(np.prod),
        "This is a product over all events of each branch. The product runs over the branches: axis=0.": combined(lambda columns: np.prod(columns, axis=1)),
        "The negative weights became positive. The sign is part of the weight: such an event is subtracted.": changed(np.abs),
        "The negative weights were set to 0. The sign is part of the weight: such an event is subtracted.": changed(lambda weights: np.clip(weights, 0, None)),
        "The weights are already divided by their mean. That comes after merging, in the next exercise.": changed(lambda weights: weights / weights.mean()),
        "Events of weight zero are left out. Keep them: the weights must stay aligned with the inputs.": changed(lambda weights: weights[weights != 0]),
        "Events of weight zero and below are left out. Keep them: the weights must stay aligned with the inputs.": changed(lambda weights: weights[weights > 0]),
        "This is XSWeight alone. The other five branches say whether the event would be seen.": product("XSWeight"),
        "mth is a factor here, too. Multiply the branches named in WEIGHT_BRANCHES, and no others.": product("mth", *WEIGHT_BRANCHES),
        "These are the first six entries of the dictionary. Take the branches by name: events[name].": product("mth", *WEIGHT_BRANCHES[:-1]),
        "The answer of the first call comes back for other events: compute from the argument.": lambda events: first_call.setdefault("weights", weights_of(events)),
        "come as a list": changed(np.ndarray.tolist),
        **{f"The branch {name} is missing from the product.": product(*set(WEIGHT_BRANCHES) - {name}) for name in WEIGHT_BRANCHES},
        **{f"The branch {name} enters twice.": product(name, *WEIGHT_BRANCHES) for name in WEIGHT_BRANCHES},
    },
    accepted=[lambda events: pd.DataFrame(events)[list(WEIGHT_BRANCHES)].prod(axis=1).to_numpy(), product()],
)
def weights_of(events):
    return np.prod([events[name].astype(np.float64) for name in WEIGHT_BRANCHES], axis=0)


def samples_of_weights():
    rng = np.random.default_rng(22)
    signal, samples = rng.uniform(0, 0.1, 30), [rng.uniform(0, top, n) for top, n in ((50, 40), (300, 50), (7, 20))]
    for weights in (signal, *samples):
        weights[::5] = 0  # as in the real samples, where a fifth of the events fails a flag
        weights[1] *= -1
    yield from ((signal, samples[:n]) for n in (2, 3, 1))


def normalised(by, and_by=None, label=lambda k: k == 0):
    """Return what those write who divide signal, and background, by something else, or have other labels."""
    return lambda signal, backgrounds: (
        np.concatenate([signal / by(signal), (merged := np.concatenate(backgrounds)) / (and_by or by)(merged)]),
        np.concatenate([len(sample) * [float(label(k))] for k, sample in enumerate([signal, *backgrounds])]),
    )


def right_but(weights=lambda s, b: weights_and_labels(s, b)[0], labels=lambda y: y):
    return lambda s, b: (weights(s, b), labels(weights_and_labels(s, b)[1]))


@exercise(
    "2.2",
    "weights of mean one after merging, and labels",
    cases=samples_of_weights,
    returns=("the array of weights", "the array of labels"),
    hints=(
        "The two backgrounds are one class. Their ratio is physics (the cross sections), so it must survive.",
        "First np.concatenate(backgrounds), however many there are, then divide by the mean of the result.",
        "np.concatenate([signal / signal.mean(), background / background.mean()]) are the weights.",
        "Labels: np.ones(len(signal)) followed by np.zeros(len(background)), concatenated in the same way.",
    ),
    mistakes={
        "Each background was divided by its own mean before merging, so all count alike now although their cross sections differ. Merge first, then divide.": right_but(lambda s, b: np.concatenate([w / w.mean() for w in (s, *b)])),
        "All samples share one mean, so the signal nearly vanishes beside the background. Signal and background each get a mean of one.": right_but(lambda s, b: (w := np.concatenate([s, *b])) / w.mean()),
        "They are divided by the sum: the weights of each class then sum to one, and how much an event counts depends on how many there are. Divide by the mean.": normalised(np.sum),
        "The mean was taken over the weights above zero. N counts all events of the class, those of weight zero too.": normalised(lambda w: w[w > 0].mean()),
        "The mean was taken over the weights that are not zero. N counts all events of the class.": normalised(lambda w: w[w != 0].mean()),
        "The mean was taken over the absolute weights. A negative weight is subtracted in the mean, too.": normalised(lambda w: np.abs(w).mean()),
        "Weights and labels are exchanged: asked for are the weights first, then the labels.": lambda *samples: weights_and_labels(*samples)[::-1],
        "They are divided by the standard deviation. Weights are scaled to a mean of one.": normalised(np.std),
        "They are divided by the largest weight. Divide by the mean.": normalised(np.max),
        "The weights are merged but not normalised.": normalised(lambda w: 1),
        "The background comes first here. Signal first, then the backgrounds in their order.": right_but(lambda s, b: np.roll(weights_and_labels(s, b)[0], -len(s))),
        "Only the signal is normalised.": normalised(np.mean, lambda w: 1),
        "Only the background is normalised.": normalised(lambda w: 1, np.mean),
        "Of the backgrounds only the first came in. The list may hold any number.": lambda signal, backgrounds: weights_and_labels(signal, backgrounds[:1]),
        "Of the backgrounds only two came in. The list may hold any number.": lambda signal, backgrounds: weights_and_labels(signal, [backgrounds[0], backgrounds[1]]),
        "Signal and background are exchanged: in this course signal is 1, background 0.": normalised(np.mean, label=lambda k: k > 0),
        "Each sample has a label of its own; the backgrounds are one class with label 0.": normalised(np.mean, label=[1, 0, 2, 3].index),
        "Each sample has its number for a label; signal is 1, and all backgrounds are 0.": normalised(np.mean, label=lambda k: k),
        "Background is -1 here, as some books have it; in this course it is 0.": normalised(np.mean, label=lambda k: 1 - 2 * (k > 0)),
        "All labels are 1.": normalised(np.mean, label=lambda k: 1),
        "they come as a list": right_but(labels=np.ndarray.tolist),
        "the array of labels should be": right_but(labels=lambda y: y.astype(str)),
        "should return the array of weights and the array of labels": lambda *samples: weights_and_labels(*samples)[0],
    },
    accepted=[normalised(lambda w: w.sum() / len(w)), lambda *samples: list(normalised(np.average)(*samples))],
)
def weights_and_labels(signal, backgrounds):
    background = np.concatenate(backgrounds)
    weights = np.concatenate([signal / signal.mean(), background / background.mean()])
    labels = np.concatenate([np.ones(len(signal)), np.zeros(len(background))])
    return weights, labels


def columns_with_defaults():
    rng = np.random.default_rng(23)
    column = rng.normal(40, 25, 20_000).round()  # signed, and with values that come several times
    column[column == -1] = 0
    missing = rng.random(len(column)) < 0.6
    column[~missing & (rng.random(len(column)) < 0.1)] = 1  # as far from 0 as the default is
    yield from ((np.where(missing, default, column), default) for default in (-1.0, -99.0))


def fitted(choose=lambda x, d: x[x != d], offset=lambda x: -x.mean(), scale=lambda x: 1 / x.std()):
    return lambda column, default: (offset(choose(column, default)), scale(choose(column, default)))


@exercise(
    "2.3",
    "offset and scale without the default value",
    cases=columns_with_defaults,
    returns=("the offset", "the scale"),
    tolerance={"rtol": 1e-4},
    hints=(
        "Which entries of the column are measurements, and which only say that nothing was measured?",
        "column[column != default] keeps the real values.",
        "x' = (x + offset) * scale has mean 0 and standard deviation 1 for offset = -mean and scale = 1 / std.",
    ),
    mistakes={
        "The default values took part: they pull the mean to -1 and squeeze the real values together. Leave them out.": fitted(lambda x, d: x),
        "Only the mean is free of the default values; the standard deviation is not.": lambda x, d: (-x[x != d].mean(), 1 / x.std()),
        "Only the standard deviation is free of the default values; the mean is not.": lambda x, d: (-x.mean(), 1 / x[x != d].std()),
        "The offset has the wrong sign: it is added, so it is minus the mean.": fitted(offset=np.mean),
        "The scale is the standard deviation itself. It is multiplied, so it is one over it.": fitted(scale=np.std),
        "The offset has the wrong sign, and the scale is not one over the standard deviation: these are mean and std.": fitted(offset=np.mean, scale=np.std),
        "The two are exchanged: first the offset, then the scale.": lambda x, d: offset_and_scale(x, d)[::-1],
        "The scale is one over the variance. Take the square root.": fitted(scale=lambda x: 1 / x.var()),
        "The default values were set to 0 and took part: they pull the mean to 0. Leave them out.": fitted(lambda x, d: np.where(x == d, 0, x)),
        "`column > default` also drops the real values below the default. Compare with !=.": fitted(lambda x, d: x[x > d]),
        "`column > 0` also drops real negative values. Compare with the default: column != default.": fitted(lambda x, d: x[x > 0]),
        "`column >= 0` also drops real negative values. Compare with the default: column != default.": fitted(lambda x, d: x[x >= 0]),
        "These bring the smallest value to 0 and the largest to 1; we want mean 0 and standard deviation 1.": fitted(offset=lambda x: -x.min(), scale=lambda x: 1 / np.ptp(x)),
        "Real values of +1 are dropped as well: compare the values, column != default, and not their sizes.": fitted(lambda x, d: x[np.abs(x) != np.abs(d)]),
        "np.unique keeps one of equal values. Each event counts.": fitted(lambda x, d: np.unique(x[x != d])),
        "The offset is for (x * scale) + offset. Here the offset is added first: offset = -mean.": fitted(offset=lambda x: -x.mean() / x.std()),
        "The function compares with -1 whatever it is told. Use its argument `default`.": fitted(lambda x, d: x[x != -1]),
        "what came is text": fitted(offset=lambda x: f"{-x.mean():.3f}", scale=lambda x: f"{1 / x.std():.5f}"),
        "should return the offset and the scale": lambda x, d: {"offset": -x[x != d].mean(), "scale": 1 / x.std()},
    },
    accepted=[fitted(np.ma.masked_equal), lambda x, d: np.array(fitted(lambda x, d: pd.Series(x).mask(x == d))(x, d))],
)
def offset_and_scale(column, default):
    real = column[column != default].astype(np.float64)
    return -real.mean(), 1 / real.std()


def columns_to_scale():
    rng = np.random.default_rng(24)
    column = rng.normal(40, 25, 300)
    column[::10] = -0.5  # between the default and 0
    missing = rng.random(len(column)) < 0.6
    yield np.where(missing, -1.0, column), -38.0, 0.05, -1.0
    column[np.flatnonzero(~missing)[:9]] = -1  # a measurement like any other here
    yield np.where(missing, -99.0, column), -38.0, 0.05, -99.0


def scaled(formula=lambda x, o, s: (x + o) * s, missing=lambda x, d: x == d, fill=lambda x, o, s, d: 0):
    return lambda x, o, s, d: np.where(missing(x, d), fill(x, o, s, d), formula(x, o, s))


@exercise(
    "2.4",
    "the scaled column, 0 where the input is missing",
    cases=columns_to_scale,
    returns=("the scaled column",),
    observe=ordinary,
    hints=(
        "Two cases: a default value becomes 0, every other x becomes (x + offset) * scale.",
        "np.where(condition, value_if_true, value_if_false) chooses entry by entry and makes a new array.",
        "np.where(column == default, 0, (column + offset) * scale).",
    ),
    mistakes={
        "The function compares with -1 whatever it is told. Use its argument `default`.": scaled(missing=lambda x, d: x == -1),
        "The default is scaled like a measurement, and becomes a value that a real event could have. Set it to 0.": lambda x, o, s, d: (x + o) * s,
        "The default stays as it was. Among values scaled to a spread of 1 it looks like a measurement.": scaled(fill=lambda x, o, s, d: d),
        "The default became NaN; one NaN is enough to spoil a network. Set it to 0.": scaled(fill=lambda x, o, s, d: np.nan),
        "`column < 0` also takes real negative values for missing ones. Compare with the default: column == default.": scaled(missing=lambda x, d: x < 0),
        "Real values below the default are taken for missing ones. Compare with ==.": scaled(missing=lambda x, d: x <= d),
        "The missing entries are dropped. Keep every event: the column must stay aligned with the others.": lambda x, o, s, d: (x[x != d] + o) * s,
        "The scale is applied before the offset. Add first: (x + offset) * scale.": scaled(lambda x, o, s: x * s + o),
        "The offset is subtracted. It already is minus the mean: add it.": scaled(lambda x, o, s: (x - o) * s),
        "It is divided by the scale. The scale already is one over the standard deviation: multiply.": scaled(lambda x, o, s: (x + o) / s),
        "The default was set to 0 before scaling, so it was scaled afterwards. Choose after scaling.": scaled(fill=lambda x, o, s, d: o * s),
        "The two cases are exchanged: the real values became 0.": scaled(missing=lambda x, d: x != d),
        "knows of no masks": lambda x, o, s, d: (np.ma.masked_equal(x, d) + o) * s,
        "changes its input in place": lambda x, *numbers: np.copyto(x, apply_scaling(x, *numbers)) or x,
        "the scaled column should be": lambda x, o, s, d: apply_scaling(x, o, s, d).astype(str),
    },
    accepted=[
        lambda x, o, s, d: (x + o) * s * (x != d),
        lambda x, o, s, d: np.array([0 if value == d else (value + o) * s for value in x]),
        lambda x, o, s, d: ((np.ma.masked_equal(x, d) + o) * s).filled(0),
    ],
)
def apply_scaling(column, offset, scale, default):
    return np.where(column == default, 0, (column + offset) * scale)


def inputs_with_defaults():
    names = ["mth", "ptTOT_cut", "mll"]  # on purpose not in alphabetical order
    offsets, scales = np.array([-83.123456789, -51.2, -41.7]), np.array([1 / 23, 1 / 37, 1 / 29])
    yield from ((names, offsets, scales, d) for d in ({"ptTOT_cut": -1.0}, {"mll": -99.0, "mth": 0.0}))


def columns_of_rows(function, names, offsets, scales, defaults):
    rows = call(function, names, offsets, scales, defaults)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        fail(f"variables should return a list of dictionaries, one for each input; what came is {describe(rows)}.")
    kinds = {"order": int, "name": str, "default": int | float | None, "offset": int | float, "scale": int | float}
    for row in rows:
        if set(row) != set(kinds):
            fail(f"each row should have the keys {', '.join(kinds)}; one has {', '.join(map(str, row))}.")
        for key, kind in kinds.items():
            fit_for_json(key, row[key], kind)
    columns = {key: [row[key] for row in rows] for key in kinds}
    for key, right in (("offset", offsets), ("scale", scales)):
        if np.shape(columns[key]) == right.shape and 1e-15 < np.abs(columns[key] / right - 1).max() < 0.1:
            fail(f"the {key} is rounded. The next run would scale a little differently: keep all digits.")
    columns["default"] = str([None if value is None else float(value) for value in columns["default"]])
    return {f"the list of {key}s": column for key, column in columns.items()}


def fit_for_json(key, value, kind):
    """Refuse what JSON has no word for, and what is no number, or no text, where one is asked for."""
    came, wanted = f"{describe(value)}, a {type(value).__name__}", getattr(kind, "__name__", "float")
    try:
        json.dumps(value)
    except TypeError:
        fail(f"json.dumps refuses {came}, as {key}. NumPy's numbers are not JSON's: write {wanted}(...) round it.")
    if not isinstance(value, kind):
        words = {"order": "a whole number", "name": "text", "default": "a number or None"}.get(key, "a number")
        fail(f"{key} should be {words}; what came is {came}.")
    if isinstance(value, float) and not np.isfinite(value):
        fail(f"{key} is {value}, which JSON has no word for. Use None where there is no default.")


def rows_with(key, fill):
    """Return what those write who fill an entry in another way, from place, name, right value and defaults."""
    return lambda *given: [r | {key: fill(r["order"], r["name"], r.get(key), given[3])} for r in variables(*given)]


@exercise(
    "2.5",
    "the rows of the variables file",
    cases=inputs_with_defaults,
    observe=columns_of_rows,
    tolerance={"rtol": 1e-15, "atol": 0},
    hints=(
        "One dictionary for each input, in the order of the columns: enumerate(names) gives order and name.",
        "defaults.get(name) is the default, or None where there is none; JSON writes None as null.",
        "float(offsets[i]) turns a NumPy number into one that json.dumps accepts, with all its digits.",
    ),
    mistakes={
        "They are sorted. Keep the order of the columns: the table has no names to repair it.": lambda names, o, s, d: variables(sorted(names), o[np.argsort(names)], s[np.argsort(names)], d),
        "Counting starts at 0, as the columns of an array do.": rows_with("order", lambda i, *rest: i + 1),
        "An input without a default got 0, so a measured 0 would count as missing. Use None.": rows_with("default", lambda i, name, value, d: d.get(name, 0)),
        "Every input got -1, so a measured -1 GeV would count as missing. Use None where there is none.": rows_with("default", lambda *row: -1.0),
        "An input without a default got -1, so a measured -1 GeV would count as missing. Use None.": rows_with("default", lambda i, name, value, d: d.get(name, -1)),
        "Every default is written as -1. Look the value up: defaults[name].": rows_with("default", lambda i, name, value, d: -1.0 if name in d else None),
        "The default 0.0 is lost: `or` and `if` take the number 0 for nothing. defaults.get(name) alone gives the value or None.": rows_with("default", lambda i, name, value, d: d.get(name) or None),
        "The defaults are lost.": rows_with("default", lambda *row: None),
        "Offset and scale are exchanged.": lambda names, o, s, defaults: variables(names, s, o, defaults),
        "Only the inputs with a default have a row; each input has one.": lambda *given: [row for row in variables(*given) if row["name"] in given[3]],
        "All rows are one and the same dictionary, and the last input has overwritten it. Make a new one for each.": lambda *given: [row for row in variables(*given)[-1:] for name in given[0]],
        "Not every input has a default: defaults.get(name) gives None for those without.": rows_with("default", lambda i, name, value, d: d[name]),
        "Rows are missing: one for each input.": lambda names, *rest: variables(names[:2], *rest),
        "the offset is rounded": rows_with("offset", lambda i, name, value, d: round(value, 3)),
        "write int(...) round it": rows_with("order", lambda i, *rest: np.int64(i)),
        "a float32, as offset. NumPy's": rows_with("offset", lambda i, name, value, d: np.float32(value)),
        "offset should be a number": rows_with("offset", lambda i, name, value, d: str(value)),
        "default should be a number or None": rows_with("default", lambda *row: "None"),
        "which JSON has no word for": rows_with("default", lambda i, name, value, d: d.get(name, np.nan)),
        "a list of dictionaries": lambda *arguments: {row["name"]: row for row in variables(*arguments)},
        "each row should have the keys": rows_with("mean", lambda i, *rest: 0.0),
    },
    accepted=[
        rows_with("default", lambda i, name, value, d: None if value is None else int(value)),
        lambda *given: [dict(sorted(row.items())) for row in variables(*given)],
    ],
)
def variables(names, offsets, scales, defaults):
    return [
        {
            "order": i,
            "name": name,
            "default": defaults.get(name),
            "offset": float(offsets[i]),
            "scale": float(scales[i]),
        }
        for i, name in enumerate(names)
    ]


def histograms():
    rng = np.random.default_rng(26)
    pairs = [(rng.uniform(10, 200, shape), rng.uniform(10, 900, shape)) for shape in ((4, 3), (2, 3, 4), (5,))]
    yield from pairs
    yield pairs[0][0] / 1000, pairs[0][1] / 1000  # of weights that are small: not a whole event in a bin
    for source, target in pairs:  # one bin that only the target has, and one that is empty in both
        source, target = source.copy(), target.copy()
        source.flat[[1, 3]] = target.flat[3] = 0
        yield source, target


def in_used_memory(function, source, target):
    """Where np.divide is told not to divide, and not where to write, it leaves what lay in memory: let it be NaN."""
    memory = [np.full(source.shape, np.nan) for _ in range(8)]
    del memory
    return ordinary(function, source, target)


def shares(norm):
    return lambda source, target: (target / norm(target)) / (source / norm(source))


def in_empty_bins(fill):
    return lambda source, target: np.where(source == 0, fill(target), bin_factors(source, target))


@exercise(
    "2.6",
    "the factor of each bin",
    cases=histograms,
    returns=("bin_factors(source, target)",),
    observe=in_used_memory,
    harmless={"answer: np.zeros_like(source)": "Only a histogram without any event would tell them apart, and it has no shape."},
    hints=(
        "Compare shapes, not sizes: divide each histogram by its own sum first.",
        "A factor above 1 where the target has the larger share: target over source.",
        "np.divide(target, source, out=np.zeros_like(source), where=source > 0) leaves 0 in empty bins.",
    ),
    mistakes={
        "This is source over target. A bin of which the target has more needs a factor above 1.": lambda s, t: shares(np.sum)(t, s),
        "The histograms are not normalised: the factors also scale the source to the target's number of events. Divide each by its sum first.": lambda source, target: target / source,
        "Source over target, and not normalised.": lambda source, target: source / target,
        "The histograms were divided by their maxima; divide each by its sum.": shares(np.max),
        "This is the difference. A factor multiplies: take the ratio.": lambda source, target: target / target.sum() - source / source.sum(),
        "The factors were scaled to a mean of one over the bins. Bins hold unequal numbers of events: normalise the histograms, not the factors.": lambda source, target: target / source / (target / source).mean(),
        "The sums run along axis 0 alone. Divide by the sum over all bins: .sum() without axis.": shares(lambda histogram: histogram.sum(axis=0)),
        "The sums run along axis 1 alone. Divide by the sum over all bins: .sum() without axis.": shares(lambda histogram: histogram.sum(axis=1, keepdims=True)),
        "The arrays may have any number of axes: a histogram of one variable has one.": lambda s, t: next(bin_factors(s, t) for rows, columns in [s.shape]),
        "A bin in which the source has no events gets an infinite factor or NaN. No factor can make events there: return 0 for this bin.": shares(np.sum),
        "np.nan_to_num turns NaN into 0, but an infinite factor into 1.8e308, the largest number there is. Divide only where the source has events: np.divide with `where`.": lambda s, t: np.nan_to_num(shares(np.sum)(s, t)),
        "An empty source bin got the factor 1. The factor for no events is 0 here, as agreed.": in_empty_bins(lambda target: 1),
        "An empty source bin keeps its share of the target as a factor. It should be 0.": in_empty_bins(lambda target: target / target.sum()),
        "The target is summed over the bins alone in which the source has events. Sum over all bins.": lambda s, t: bin_factors(s, t * (s > 0)),
        "The empty bins are left out. Keep the shape: one factor for each bin.": lambda s, t: bin_factors(s, t)[s > 0].reshape(s.shape if s.all() else -1),
        "a masked array came": lambda s, t: (t / t.sum()) / (np.ma.masked_equal(s, 0) / s.sum()),
        "changes its input in place": lambda s, t: bin_factors(np.divide(s, s.sum(), out=s), t),
    },
    accepted=[
        lambda s, t: np.nan_to_num(shares(np.sum)(s, t), posinf=0),
        lambda s, t: np.where(s > 0, t * s.sum() / (np.where(s > 0, s, 1) * t.sum()), 0),
    ],
)
def bin_factors(source, target):
    source, target = source / source.sum(), target / target.sum()
    return np.divide(target, source, out=np.zeros_like(source), where=source > 0)
