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
    events = {name: rng.uniform(0.5, 1.5, 200) for name in WEIGHT_BRANCHES} | {"mth": rng.uniform(60, 120, 200)}
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
        "The weights are already divided by their mean. That comes after merging, in the next exercise.": right
        / right.mean(),
        "Events of weight zero are left out. Keep them: the weights must stay aligned with the inputs.": right[
            right != 0
        ],
        "This is XSWeight alone. The other five branches say whether the event would be seen.": columns[0],
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
        "First np.concatenate(backgrounds), then divide by the mean of the result.",
        "Labels: np.ones(len(signal)) followed by np.zeros(number of background events).",
    ),
    reference=lambda: weights_and_labels,
)
def _(function):
    rng = np.random.default_rng(22)
    signal, backgrounds = rng.uniform(0, 0.1, 30), [rng.uniform(0, 50, 40), rng.uniform(0, 300, 50)]
    answer = call(function, signal, backgrounds, name="weights_and_labels")
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        fail(f"weights_and_labels should return two arrays, weights and labels; what came is {describe(answer)}.")
    weights, labels = answer
    right, right_labels = weights_and_labels(signal, backgrounds)
    background, everything = np.concatenate(backgrounds), np.concatenate([signal, *backgrounds])
    normalised = [sample / sample.mean() for sample in (signal, *backgrounds)]
    expect_close(
        "the first array, the weights,",
        weights,
        right,
        mistakes={
            "Each background was divided by its own mean before merging, so both count alike now although their cross "
            "sections differ. Merge first, then divide.": np.concatenate(normalised),
            "All three samples share one mean, so the signal nearly vanishes beside the background. Signal and "
            "background each get a mean of one.": everything / everything.mean(),
            "They are divided by the sum: the weights of each class then sum to one, and the loss depends on how many "
            "events there are. Divide by the mean.": np.concatenate(
                [signal / signal.sum(), background / background.sum()]
            ),
            "The weights are merged but not normalised.": everything,
            "The background comes first here. Signal first, then the backgrounds in their order.": np.concatenate(
                [background / background.mean(), signal / signal.mean()]
            ),
            "The second background is missing.": np.concatenate(normalised[:2]),
            "Only the signal is normalised.": np.concatenate([normalised[0], background]),
        },
    )
    expect_close(
        "the second array, the labels,",
        labels,
        right_labels,
        mistakes={
            "Signal and background are exchanged: in this course signal is 1, background 0.": 1 - right_labels,
            "Each sample has a label of its own; here the two backgrounds are one class with label 0.": np.repeat(
                [1, 0, 2], [30, 40, 50]
            ),
            "The second background got label 2; both backgrounds are one class with label 0.": np.repeat(
                [0, 1, 2], [30, 40, 50]
            ),
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
    if not isinstance(answer, tuple | list | np.ndarray) or np.shape(answer) != (2,):
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
    missing = rng.random(len(column)) < 0.6
    column[missing] = -1
    offset, scale = -38.0, 0.05
    scaled = (column + offset) * scale
    right = np.where(missing, 0, scaled)
    expect_close(
        "the scaled column",
        call(function, column, offset, scale, -1.0, name="apply_scaling"),
        right,
        mistakes={
            "The default is scaled like a measurement, and becomes a value that a real event could have. "
            "Set it to 0.": scaled,
            "The default stays as it was. Among values scaled to a spread of 1, -1 looks like a measurement.": np.where(
                missing, -1, scaled
            ),
            "The default became NaN; one NaN is enough to spoil a network. Set it to 0.": np.where(
                missing, np.nan, scaled
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
        },
    )


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
    names, defaults = ["mth", "ptTOT_cut", "mll"], {"ptTOT_cut": -1.0}  # on purpose not in alphabetical order
    offsets, scales = np.array([-83.123456789, -51.2, -41.7]), np.array([1 / 23, 1 / 37, 1 / 29])
    rows = call(function, names, offsets, scales, defaults, name="variables")
    keys = ["order", "name", "default", "offset", "scale"]
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        fail(f"variables should return a list of dictionaries, one for each input; what came is {describe(rows)}.")
    expect_equal("the number of rows", len(rows), len(names))
    for row in rows:
        if set(row) != set(keys):
            fail(f"each row should have the keys {', '.join(keys)}; one has {', '.join(map(str, row))}.")
    try:
        json.dumps(rows)
    except TypeError as error:
        fail(f"json.dumps refuses the rows ({error}). NumPy's numbers are not JSON's: write float(...) round them.")
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
    expect_equal(
        "the list of defaults",
        [row["default"] for row in rows],
        [None, -1.0, None],
        mistakes={
            "An input without a default got 0, so a measured 0 would count as missing. Use None.": [0, -1.0, 0],
            "Every input got -1, so a measured -1 GeV would count as missing. Use None where there is none.": [-1.0]
            * 3,
            "The default of ptTOT_cut is lost.": [None] * 3,
        },
    )
    for key, right in (("offset", offsets), ("scale", scales)):
        expect_close(
            f"the column {key}",
            [row[key] for row in rows],
            right,
            rtol=1e-15,
            mistakes={
                "It is rounded. The next run would scale a little differently: keep all digits.": [
                    row[key] for row in rows
                ]
                if np.allclose([row[key] for row in rows], right, rtol=0.1)
                else [],
                "Offset and scale are exchanged.": scales if key == "offset" else offsets,
            },
        )


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
    source, target = rng.uniform(10, 200, (4, 3)), rng.uniform(10, 900, (4, 3))
    right = bin_factors(source, target)
    with np.errstate(all="ignore"):
        mistakes = {
            "This is source over target. A bin of which the target has more needs a factor above 1.": 1 / right,
            "The histograms are not normalised: the factors also scale the source to the target's number of events. "
            "Divide each by its sum first.": target / source,
            "Source over target, and not normalised.": source / target,
            "The histograms were divided by their maxima; divide each by its sum.": (target / target.max())
            / (source / source.max()),
            "This is the difference. A factor multiplies: take the ratio.": target / target.sum()
            - source / source.sum(),
            "The factors were scaled to a mean of one over the bins. Bins hold unequal numbers of events: normalise "
            "the histograms, not the factors.": right / right.mean(),
        }
        expect_close(
            "bin_factors(source, target)", call(function, source, target, name="bin_factors"), right, mistakes=mistakes
        )
        source[1, 2] = 0
        answer = call(function, source, target, name="bin_factors")
        if np.shape(answer) == source.shape and not np.isfinite(answer).all():
            fail(
                "a bin in which the source has no events gets an infinite factor or NaN. No factor can make events "
                "there: return 0 for this bin."
            )
        expect_close("with an empty source bin, the array of factors", answer, bin_factors(source, target))
