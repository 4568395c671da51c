"""Exercises of lesson 02: weights, scale and offset, defaults, the variables file, reweighting."""

import json

import numpy as np

from coursekit.checks.engine import call, describe, exercise, expect_close, expect_equal, fail
from coursekit.events import WEIGHT_BRANCHES, event_weights

# --- references: what a good answer looks like ------------------------------------------------------------------------


def weights_and_labels(signal, backgrounds):
    background = np.concatenate(backgrounds)
    weights = np.concatenate([signal / signal.mean(), background / background.mean()])
    labels = np.concatenate([np.ones(len(signal)), np.zeros(len(background))])
    return weights, labels


def offset_and_scale(column, default):
    real = column[column != default].astype(np.float64)
    return -real.mean(), 1 / real.std()


def apply_scaling(column, offset, scale, default):
    return np.where(column == default, 0, (column + offset) * scale)


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


def bin_factors(source, target):
    source, target = source / source.sum(), target / target.sum()
    return np.divide(target, source, out=np.zeros_like(source), where=source > 0)


# --- tests ------------------------------------------------------------------------------------------------------------


@exercise(
    "2.1",
    "the weight of each event",
    hints=(
        "An event that passes with 90% probability at one step and 80% at the next counts 0.9 x 0.8.",
        "Start from 1.0 and multiply by events[name] for each name in WEIGHT_BRANCHES.",
        "np.prod([events[name] for name in WEIGHT_BRANCHES], axis=0): axis=0 runs over the branches.",
    ),
    reference=lambda: event_weights,
)
def _(weights_of):
    rng = np.random.default_rng(21)
    # mth comes first: the weight branches are found by name, not by place
    events = {"mth": rng.uniform(60, 120, 200)} | {name: rng.uniform(0.5, 1.5, 200) for name in WEIGHT_BRANCHES}
    events[WEIGHT_BRANCHES[0]][::7] *= -1  # as beyond leading order
    events[WEIGHT_BRANCHES[3]] = rng.integers(0, 2, 200).astype(float)
    columns = np.array([events[name] for name in WEIGHT_BRANCHES])
    right = columns.prod(axis=0)
    mistakes = {
        "These are sums. Efficiencies and corrections are factors: they multiply.": columns.sum(axis=0),
        "These are the mean of the six factors. They multiply.": columns.mean(axis=0),
        "This is one number for all events. The product runs over the branches alone: axis=0.": np.prod(columns),
        "This is a product over all events of each branch. The product runs over the branches: axis=0.": columns.prod(
            axis=1
        ),
        "The negative weights became positive. The sign is part of the weight: such an event is subtracted.": np.abs(
            right
        ),
        "The negative weights were set to 0. The sign is part of the weight: such an event is subtracted.": np.clip(
            right, 0, None
        ),
        "The weights are already divided by their mean. That comes after merging, in the next exercise.": right
        / right.mean(),
        "Events of weight zero are left out. Keep them: the weights must stay aligned with the inputs.": right[
            right != 0
        ],
        "Events of weight zero and below are left out. Keep them: the weights must stay aligned with the "
        "inputs.": right[right > 0],
        "This is XSWeight alone. The other five branches say whether the event would be seen.": columns[0],
        "mth is a factor here, too. Multiply the branches named in WEIGHT_BRANCHES, and no others.": right
        * events["mth"],
        "These are the first six entries of the dictionary. Take the branches by name: events[name].": events["mth"]
        * columns[:-1].prod(axis=0),
    }
    for name, column in zip(WEIGHT_BRANCHES, columns, strict=True):
        others = columns[[other != name for other in WEIGHT_BRANCHES]]
        mistakes[f"The branch {name} is missing from the product."] = others.prod(axis=0)
        mistakes[f"The branch {name} enters twice."] = right * column
    expect_close("weights_of(events)", call(weights_of, events, name="weights_of"), right, mistakes=mistakes)


@exercise(
    "2.2",
    "weights of mean one after merging, and labels",
    hints=(
        "The two backgrounds are one class. Their ratio is physics (the cross sections), so it must survive.",
        "First np.concatenate(backgrounds), however many there are, then divide by the mean of the result.",
        "np.concatenate([signal / signal.mean(), background / background.mean()]) are the weights.",
        "Labels: np.ones(len(signal)) followed by np.zeros(len(background)), concatenated in the same way.",
    ),
    reference=lambda: weights_and_labels,
)
def _(function):
    rng = np.random.default_rng(22)
    signal, samples = rng.uniform(0, 0.1, 30), [rng.uniform(0, top, n) for top, n in ((50, 40), (300, 50), (7, 20))]
    for weights in (signal, *samples):
        weights[::5] = 0  # as in the real samples, where a fifth of the events fails a flag
        weights[1] *= -1
    for n in (2, 3, 1):
        name = f"weights_and_labels, with {n} background{'s' * (n > 1)} in the list,"
        answer = call(function, signal, samples[:n], name=name)
        if not isinstance(answer, tuple | list | np.ndarray) or len(answer) != 2:
            fail(f"weights_and_labels should return two arrays, weights and labels; what came is {describe(answer)}.")
        _weights_and_labels(f"given {n} background{'s' * (n > 1)}", answer, signal, samples[:n])


def _weights_and_labels(given, answer, signal, backgrounds):
    weights, labels = answer
    right, right_labels = weights_and_labels(signal, backgrounds)
    background, everything = np.concatenate(backgrounds), np.concatenate([signal, *backgrounds])
    normalised = [sample / sample.mean() for sample in (signal, *backgrounds)]
    sizes = [len(sample) for sample in (signal, *backgrounds)]
    each = np.arange(len(sizes))

    def divided(mean):
        return np.concatenate([signal / mean(signal), background / mean(background)])

    mistakes = {
        "Each background was divided by its own mean before merging, so all count alike now although their cross "
        "sections differ. Merge first, then divide.": np.concatenate(normalised),
        "All samples share one mean, so the signal nearly vanishes beside the background. Signal and "
        "background each get a mean of one.": everything / everything.mean(),
        "They are divided by the sum: the weights of each class then sum to one, and how much an event counts depends "
        "on how many there are. Divide by the mean.": divided(np.sum),
        "The mean was taken over the weights above zero. N counts all events of the class, those of weight zero "
        "too.": divided(lambda w: w[w > 0].mean()),
        "The mean was taken over the weights that are not zero. N counts all events of the class.": divided(
            lambda w: w[w != 0].mean()
        ),
        "The mean was taken over the absolute weights. A negative weight is subtracted in the mean, too.": divided(
            lambda w: np.abs(w).mean()
        ),
        "Weights and labels are exchanged: asked for are the weights first, then the labels.": right_labels,
        "They are divided by the standard deviation. Weights are scaled to a mean of one.": divided(np.std),
        "They are divided by the largest weight. Divide by the mean.": divided(np.max),
        "The weights are merged but not normalised.": everything,
        "The background comes first here. Signal first, then the backgrounds in their order.": np.concatenate(
            [background / background.mean(), signal / signal.mean()]
        ),
        "Only the signal is normalised.": np.concatenate([normalised[0], background]),
        "Only the background is normalised.": np.concatenate([signal, background / background.mean()]),
    }
    for used in range(1, len(backgrounds)):
        some = np.concatenate(backgrounds[:used])
        mistakes[f"Of the {len(backgrounds)} backgrounds only {used} came in. The list may hold any number."] = (
            np.concatenate([normalised[0], some / some.mean()])
        )
    expect_close(f"the first array ({given}), the weights,", weights, right, mistakes=mistakes)
    expect_close(
        f"the second array ({given}), the labels,",
        labels,
        right_labels,
        mistakes={
            "Signal and background are exchanged: in this course signal is 1, background 0.": 1 - right_labels,
            "Each sample has a label of its own; the backgrounds are one class with label 0.": np.repeat(
                np.where(each < 2, 1 - each, each), sizes
            ),
            "Each sample has its number for a label; signal is 1, and all backgrounds are 0.": np.repeat(each, sizes),
            "Background is -1 here, as some books have it; in this course it is 0.": 2 * right_labels - 1,
        },
    )


@exercise(
    "2.3",
    "offset and scale without the default value",
    hints=(
        "Which entries of the column are measurements, and which only say that nothing was measured?",
        "column[column != default] keeps the real values.",
        "x' = (x + offset) * scale has mean 0 and standard deviation 1 for offset = -mean and scale = 1 / std.",
    ),
    reference=lambda: offset_and_scale,
)
def _(function):
    rng = np.random.default_rng(23)
    column = rng.normal(40, 25, 20_000)  # signed, so that `column > 0` is not the same as `column != default`
    column[rng.random(len(column)) < 0.6] = -1
    real = column[column != -1]
    answer = call(function, column, -1.0, name="offset_and_scale")
    if not isinstance(answer, tuple | list | np.ndarray) or [np.ndim(number) for number in answer] != [0, 0]:
        fail(f"offset_and_scale should return two numbers, offset and scale; what came is {describe(answer)}.")
    right = np.array([-real.mean(), 1 / real.std()])
    mean, std = real.mean(), real.std()
    expect_close(
        "the pair (offset, scale)",
        np.asarray(answer),
        right,
        rtol=1e-4,
        mistakes={
            "The default values took part: they pull the mean to -1 and squeeze the real values together. "
            "Leave them out.": [-column.mean(), 1 / column.std()],
            "Only the mean is free of the default values; the standard deviation is not.": [-mean, 1 / column.std()],
            "Only the standard deviation is free of the default values; the mean is not.": [-column.mean(), 1 / std],
            "The offset has the wrong sign: it is added, so it is minus the mean.": [mean, 1 / std],
            "The scale is the standard deviation itself. It is multiplied, so it is one over it.": [-mean, std],
            "The offset has the wrong sign, and the scale is not one over the standard deviation: these are mean and "
            "std.": [mean, std],
            "The two are exchanged: first the offset, then the scale.": [1 / std, -mean],
            "The scale is one over the variance. Take the square root.": [-mean, 1 / std**2],
            "The default values were set to 0 and took part: they pull the mean to 0. Leave them out.": [
                -np.where(column == -1, 0, column).mean(),
                1 / np.where(column == -1, 0, column).std(),
            ],
            "`column > default` also drops the real values below the default. Compare with !=.": [
                -column[column > -1].mean(),
                1 / column[column > -1].std(),
            ],
            "`column > 0` also drops real negative values. Compare with the default: column != default.": [
                -column[column > 0].mean(),
                1 / column[column > 0].std(),
            ],
            "The offset is for (x * scale) + offset. Here the offset is added first: offset = -mean.": [
                -mean / std,
                1 / std,
            ],
        },
    )
    other = np.where(column == -1, -99.0, column)
    expect_close(
        "with the default -99, the pair (offset, scale)",
        np.asarray(call(function, other, -99.0, name="offset_and_scale")),
        right,
        rtol=1e-4,
        mistakes={
            "The function compares with -1 whatever it is told. Use its argument `default`.": [
                -other[other != -1].mean(),
                1 / other[other != -1].std(),
            ]
        },
    )


@exercise(
    "2.4",
    "the scaled column, 0 where the input is missing",
    hints=(
        "Two cases: a default value becomes 0, every other x becomes (x + offset) * scale.",
        "np.where(condition, value_if_true, value_if_false) chooses entry by entry and makes a new array.",
        "np.where(column == default, 0, (column + offset) * scale).",
    ),
    reference=lambda: apply_scaling,
)
def _(function):
    rng = np.random.default_rng(24)
    column = rng.normal(40, 25, 300)
    column[::10] = -0.5  # between the default and 0
    missing = rng.random(len(column)) < 0.6
    offset, scale = -38.0, 0.05
    for default in (-1.0, -99.0):
        column[missing] = default
        if default == -99:
            column[np.flatnonzero(~missing)[:9]] = -1  # a measurement like any other here
        scaled = (column + offset) * scale
        right = np.where(missing, 0, scaled)
        answer = call(function, column, offset, scale, default, name="apply_scaling")
        if isinstance(answer, np.ma.MaskedArray):
            fail("a masked array came. A network knows of no masks: put the 0 into an ordinary array, with np.where.")
        if default != -1 and np.array_equal(answer, np.where(column == -1, 0, scaled)):
            fail("the function compares with -1 whatever it is told. Use its argument `default`.")
        mistakes = {
            "The default is scaled like a measurement, and becomes a value that a real event could have. "
            "Set it to 0.": scaled,
            f"The default stays as it was. Among values scaled to a spread of 1, {default:g} looks like a "
            "measurement.": np.where(missing, default, scaled),
            "The default became NaN; one NaN is enough to spoil a network. Set it to 0.": np.where(
                missing, np.nan, scaled
            ),
            "`column < 0` also takes real negative values for missing ones. Compare with the default: "
            "column == default.": np.where(column < 0, 0, scaled),
            "Real values below the default are taken for missing ones. Compare with ==.": np.where(
                column <= default, 0, scaled
            ),
            "The missing entries are dropped. Keep every event: the column must stay aligned with the others.": scaled[
                ~missing
            ],
            "The scale is applied before the offset. Add first: (x + offset) * scale.": np.where(
                missing, 0, column * scale + offset
            ),
            "The offset is subtracted. It already is minus the mean: add it.": np.where(
                missing, 0, (column - offset) * scale
            ),
            "It is divided by the scale. The scale already is one over the standard deviation: multiply.": np.where(
                missing, 0, (column + offset) / scale
            ),
            "The default was set to 0 before scaling, so it was scaled afterwards. Choose after scaling.": np.where(
                missing, offset * scale, scaled
            ),
            "The two cases are exchanged: the real values became 0.": np.where(missing, scaled, 0),
        }
        expect_close(f"the scaled column (default {default:g})", answer, right, mistakes=mistakes)


@exercise(
    "2.5",
    "the rows of the variables file",
    hints=(
        "One dictionary for each input, in the order of the columns: enumerate(names) gives order and name.",
        "defaults.get(name) is the default, or None where there is none; JSON writes None as null.",
        "float(offsets[i]) turns a NumPy number into one that json.dumps accepts, with all its digits.",
    ),
    reference=lambda: variables,
)
def _(function):
    names = ["mth", "ptTOT_cut", "mll"]  # on purpose not in alphabetical order
    offsets, scales = np.array([-83.123456789, -51.2, -41.7]), np.array([1 / 23, 1 / 37, 1 / 29])
    for defaults in ({"ptTOT_cut": -1.0}, {"mll": -99.0, "mth": 0.0}):
        rows = call(function, names, offsets, scales, defaults, name="variables")
        _variables(rows, names, offsets, scales, defaults)


def _variables(rows, names, offsets, scales, defaults):
    keys = ["order", "name", "default", "offset", "scale"]
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        fail(f"variables should return a list of dictionaries, one for each input; what came is {describe(rows)}.")
    expect_equal("the number of rows", len(rows), len(names))
    for row in rows:
        if set(row) != set(keys):
            fail(f"each row should have the keys {', '.join(keys)}; one has {', '.join(map(str, row))}.")
        for key in keys:
            _fit_for_json(key, row[key])
    expect_equal(
        "the list of names",
        [row["name"] for row in rows],
        names,
        mistakes={
            "They are sorted. Keep the order of the columns: the table has no names to repair it.": sorted(names)
        },
    )
    expect_equal(
        "the list of orders",
        [row["order"] for row in rows],
        [0, 1, 2],
        mistakes={"Counting starts at 0, as the columns of an array do.": [1, 2, 3]},
    )
    right = [defaults.get(name) for name in names]
    expect_equal(
        f"for defaults = {defaults}, the list of defaults",
        [row["default"] for row in rows],
        right,
        mistakes={
            "An input without a default got 0, so a measured 0 would count as missing. Use None.": [
                defaults.get(name, 0) for name in names
            ],
            "Every input got -1, so a measured -1 GeV would count as missing. Use None where there is none.": [-1.0]
            * 3,
            "An input without a default got -1, so a measured -1 GeV would count as missing. Use None.": [
                defaults.get(name, -1) for name in names
            ],
            "Every default is written as -1. Look the value up: defaults[name].": [
                -1.0 if name in defaults else None for name in names
            ],
            "The default 0.0 is lost: `or` and `if` take the number 0 for nothing. defaults.get(name) alone gives the "
            "value or None.": [defaults.get(name) or None for name in names],
            "The defaults are lost.": [None] * 3,
        },
    )
    for key, column in (("offset", offsets), ("scale", scales)):
        came = np.array([row[key] for row in rows])
        mistakes = {"Offset and scale are exchanged.": scales if key == "offset" else offsets}
        if np.allclose(came, column, rtol=0.1):
            mistakes["It is rounded. The next run would scale a little differently: keep all digits."] = came
        expect_close(f"the column {key}", came, column, rtol=1e-15, mistakes=mistakes)


def _fit_for_json(key, value):
    try:
        json.dumps(value)
    except TypeError:
        number = "int" if key == "order" else "str" if key == "name" else "float"
        fail(
            f"json.dumps refuses {describe(value)}, a {type(value).__name__}, as {key}. NumPy's numbers are not "
            f"JSON's: write {number}(...) round it."
        )
    wanted = {"order": int, "name": str, "default": int | float | None}.get(key, int | float)
    if not isinstance(value, wanted):
        numbers = {"order": "a whole number", "name": "text", "default": "a number or None"}.get(key, "a number")
        fail(f"{key} should be {numbers}; what came is {describe(value)}, a {type(value).__name__}.")
    if isinstance(value, float) and not np.isfinite(value):
        fail(f"{key} is {value}, which JSON has no word for. Use None where there is no default.")


@exercise(
    "2.6",
    "the factor of each bin",
    hints=(
        "Compare shapes, not sizes: divide each histogram by its own sum first.",
        "A factor above 1 where the target has the larger share: target over source.",
        "np.divide(target, source, out=np.zeros_like(source), where=source > 0) leaves 0 in empty bins.",
    ),
    reference=lambda: bin_factors,
)
def _(function):
    rng = np.random.default_rng(26)
    for shape in ((4, 3), (5,), (2, 3, 4)):
        source, target = rng.uniform(10, 200, shape), rng.uniform(10, 900, shape)
        with np.errstate(all="ignore"):
            _factors(function, source, target)
            # one bin that only the target has, and one that is empty in both
            source.flat[[1, 3]] = target.flat[3] = 0
            _factors_with_empty_bins(function, source, target)


def _factors(function, source, target):
    right = bin_factors(source, target)
    mistakes = {
        "This is source over target. A bin of which the target has more needs a factor above 1.": 1 / right,
        "The histograms are not normalised: the factors also scale the source to the target's number of events. "
        "Divide each by its sum first.": target / source,
        "Source over target, and not normalised.": source / target,
        "The histograms were divided by their maxima; divide each by its sum.": (target / target.max())
        / (source / source.max()),
        "This is the difference. A factor multiplies: take the ratio.": target / target.sum() - source / source.sum(),
        "The factors were scaled to a mean of one over the bins. Bins hold unequal numbers of events: normalise "
        "the histograms, not the factors.": right / right.mean(),
    }
    for axis in range(source.ndim) if source.ndim > 1 else ():
        each = target / target.sum(axis=axis, keepdims=True) / (source / source.sum(axis=axis, keepdims=True))
        mistakes[f"The sums run along axis {axis} alone. Divide by the sum over all bins: .sum() without axis."] = each
    answer = call(function, source, target, name=f"bin_factors, given arrays of shape {source.shape},")
    expect_close(f"for arrays of shape {source.shape}, bin_factors(source, target)", answer, right, mistakes=mistakes)


def _factors_with_empty_bins(function, source, target):
    empty = source == 0
    right = bin_factors(source, target)
    answer = call(function, source, target, name="bin_factors, given an empty source bin,")
    if np.shape(answer) == source.shape:
        if not np.isfinite(answer).all():
            fail(
                "a bin in which the source has no events gets an infinite factor or NaN. No factor can make events "
                "there: return 0 for this bin."
            )
        if np.abs(answer).max() > 1e300:
            fail(
                "np.nan_to_num turns NaN into 0, but an infinite factor into 1.8e308, the largest number there is. "
                "Divide only where the source has events: np.divide with `where`."
            )
    expect_close(
        "with an empty source bin, the array of factors",
        answer,
        right,
        mistakes={
            "An empty source bin got the factor 1. The factor for no events is 0 here, as agreed.": np.where(
                empty, 1, right
            ),
            "An empty source bin keeps its share of the target as a factor. It should be 0.": np.where(
                empty, target / target.sum(), right
            ),
            "The target is summed over the bins alone in which the source has events. Sum over all bins.": right
            * target.sum()
            / target[~empty].sum(),
            "The empty bins are left out. Keep the shape: one factor for each bin.": right[~empty],
        },
    )
