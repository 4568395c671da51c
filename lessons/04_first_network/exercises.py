"""Exercises of lesson 04, the first network."""

import inspect
import itertools
from unittest import mock

import keras
import numpy as np
from sklearn.metrics import auc as area_under
from sklearn.metrics import log_loss, roc_auc_score, roc_curve

from coursekit.checks import call, demands, describe, exercise, fail
from coursekit.metrics import auc


def scores_with_known_parameters(build, n_inputs, units):
    """Two networks are the same if they hold parameters of the same shapes and, with the same ones, say the same."""
    model = call(build, n_inputs, units, name="build")
    if not isinstance(model, keras.Model):
        fail(f"build should return a keras.Sequential; what came is {describe(model)}.")
    rng, before = np.random.default_rng(41), model.get_weights()
    model.set_weights([rng.normal(0, 0.5, w.shape) for w in before])
    x = rng.normal(size=(50, before[0].shape[0] if before else n_inputs)).astype("float32")
    scores, training = (keras.ops.convert_to_numpy(call(model, x, training=on, name="it")) for on in (False, True))
    return {
        "the list of the parameters' shapes": " ".join(str(w.shape) for w in before),
        "the largest constant that it starts with": max((np.abs(w).max() for w in before if w.ndim == 1), default=0.0),
        "the array of scores for 50 events": scores,
        "'the scores are the same while it trains'": np.allclose(scores, training, rtol=1e-4),
    }


def stack(*kinds):
    return lambda n_inputs, units: keras.Sequential([keras.Input((n_inputs,)), *[kind(units) for kind in kinds]])


def dense(activation, size=None):
    return lambda units: keras.layers.Dense(size or units, activation=activation)


relu, sigmoid = dense("relu"), dense("sigmoid", 1)


@exercise(
    "4.1",
    "a network with one hidden layer",
    cases=lambda: [(6, 16), (3, 5)],
    observe=scores_with_known_parameters,
    tolerance={"rtol": 1e-4, "atol": 1e-6},
    hints=(
        "A list of three: `keras.Input((n_inputs,))`, the hidden layer, the output layer.",
        'A layer is `keras.layers.Dense(number of units, activation="...")`; the output is a layer of one unit.',
        'The hidden layer has activation="relu", the output activation="sigmoid".',
    ),
    mistakes={
        "Every score is 1: the softmax of a single number is always 1. Use a sigmoid at the output.": stack(relu, dense("softmax", 1)),
        "The sigmoid is missing in the last layer: the scores should lie in the open interval from 0 to 1.": stack(relu, dense(None, 1)),
        "A ReLU at the output is bounded on one side only. Use a sigmoid.": stack(relu, dense("relu", 1)),
        "The network has two outputs. Signal and background exclude each other: one score is enough.": stack(relu, dense("softmax", 2)),
        "The output layer has as many units as the hidden one. One score is one unit.": stack(relu, dense("sigmoid")),
        "The network takes 6 inputs. It should take whatever n_inputs says.": lambda n_inputs, units: build(6, units),
        "The network does not know its number of inputs, and has no parameters: first keras.Input((n_inputs,)).": lambda n_inputs, units: keras.Sequential([relu(units), sigmoid(units)]),
        "The hidden layer has no activation. Without one, two linear layers in a row are one, and the score depends on one weighted sum of the inputs alone.": stack(dense(None), sigmoid),
        "The hidden layer is missing: this is one weighted sum of the inputs, and its sigmoid.": stack(sigmoid),
        "The hidden layer has 16 units whatever `units` says.": stack(dense("relu", 16), sigmoid),
        "There are two hidden layers; one is asked for.": stack(relu, relu, sigmoid),
        **{f'The hidden layer has activation="{other}". ReLU is asked for.': stack(dense(other), sigmoid) for other in ("sigmoid", "tanh", "leaky_relu", "gelu")},
        "The ReLU stands before the hidden layer, where it cuts off the inputs below zero. It belongs behind.": stack(lambda _: keras.layers.ReLU(), dense(None), sigmoid),
        "A layer does something else while it trains, such as a dropout. The lesson tries that later.": stack(relu, lambda _: keras.layers.Dropout(0.5), sigmoid),
        "The network has been trained already. An untrained one is asked for: no compile, no fit.":
            lambda n_inputs, units: (model := build(n_inputs, units), model.compile("adam", "mse", run_eagerly=True), model.fit(np.zeros((8, n_inputs)), np.ones(8), verbose=0))[0],
        "build is a network itself. Write a function, `def build(n_inputs, units):`, that returns a new one.": stack(relu, sigmoid)(6, 64),
        "build should return a keras.Sequential": lambda n_inputs, units: [relu(units), sigmoid(units)],
        "keras.Sequential takes one list of layers: put brackets round them.": lambda n_inputs, units: keras.Sequential(keras.Input((n_inputs,)), relu(units), sigmoid(units)),
    },
    accepted=[
        lambda n_inputs, units: keras.Model(x := keras.Input((n_inputs,)), sigmoid(units)(relu(units)(x))),
        stack(dense(None), lambda _: keras.layers.ReLU(), dense(None, 1), lambda _: keras.layers.Activation("sigmoid")),
    ],
)
def build(n_inputs, units):
    return keras.Sequential(
        [
            keras.Input((n_inputs,)),
            keras.layers.Dense(units, activation="relu"),  # (N, n_inputs) -> (N, units)
            keras.layers.Dense(1, activation="sigmoid"),  # (N, units) -> (N, 1)
        ]
    )


def scored_events():
    rng = np.random.default_rng(42)
    labels, score = rng.integers(0, 2, 300).astype(float), rng.uniform(0.05, 0.95, 300)
    score[:2] = 0.0004, 0.9997  # no clipping is asked for
    yield labels, score, rng.exponential(2.0, 300) * (rng.random(300) < 0.8)


@exercise(
    "4.2",
    "the weighted cross-entropy",
    cases=scored_events,
    returns=("the cross-entropy",),
    hints=(
        "First the loss of each event, an array; np.log works entry by entry.",
        "Then the weighted mean: np.average(loss, weights=weights).",
    ),
    mistakes={
        "The weights are forgotten.": lambda y, p, w: cross_entropy(y, p, np.ones(len(w))),
        "This has the wrong sign: logarithms of numbers below 1 are negative, the loss is positive.": lambda *events: -cross_entropy(*events),
        "Only the signal enters; the background does not count. Its term is (1 - y) ln(1 - p).": lambda y, p, w: -np.average(y * np.log(p), weights=w),
        "Only the background enters. The term of the signal is y ln p.": lambda y, p, w: -np.average((1 - y) * np.log(1 - p), weights=w),
        "This is the sum, which grows with the number of events. Divide by the sum of the weights.": lambda y, p, w: cross_entropy(y, p, w) * w.sum(),
        "This is divided by the number of events. These weights do not have a mean of one: divide by their sum.": lambda y, p, w: cross_entropy(y, p, w) * w.mean(),
        "The logarithms are exchanged: ln p belongs to the signal, y = 1, and ln(1 - p) to the background.": lambda y, p, w: cross_entropy(1 - y, p, w),
        "Labels and scores are exchanged: the logarithm is of the score.": lambda y, p, w: cross_entropy(p, y, w),
        "This is the mean squared error; the cross-entropy has logarithms.": lambda y, p, w: np.average((y - p) ** 2, weights=w),
        **{f"The logarithm is natural, np.log, not the one to base {base}.": lambda *events, base=base: cross_entropy(*events) / np.log(base) for base in (10, 2)},
        "This is the loss of each event; the mean is still missing.": lambda y, p, w: -np.log(np.where(y, p, 1 - p)),
        "This is the loss of each event, weighted; the mean is still missing.": lambda y, p, w: -w * np.log(np.where(y, p, 1 - p)),
        "The scores were clipped to 0.001 ... 0.999. The lesson does that outside, where it compares networks.": lambda y, p, w: cross_entropy(y, p.clip(0.001, 0.999), w),
        "changes its input in place": lambda y, p, w: cross_entropy(y, p.clip(0.001, out=p), w),
    },
    accepted=[
        lambda y, p, w: log_loss(y, p, sample_weight=w),
        lambda y, p, w: -w @ np.log(np.where(y == 1, p, 1 - p)) / w.sum(),
        lambda y, p, w: cross_entropy(y, np.clip(p, 1e-7, 1 - 1e-7), w),
    ],
)
def cross_entropy(labels, score, weights):
    of_event = -(labels * np.log(score) + (1 - labels) * np.log(1 - score))
    return np.average(of_event, weights=weights)


def training(fit, train_set, validation_set, options):
    """Return what reaches `model.fit`; labels as a column, (N, 1), are the same to Keras as (N,)."""
    signature, history = inspect.signature(keras.Model.fit), keras.callbacks.History()
    fitting = mock.patch.object(keras.Model, "fit", autospec=True, return_value=history)
    with fitting as fitted, mock.patch.object(keras.Model, "compile") as compiled:
        returned = call(fit, keras.Sequential(), train_set, validation_set, name="fit", **options)
    if compiled.called:
        fail("the model is compiled anew, and the optimiser that the caller chose is lost. fit only trains.")
    if fitted.call_count != 1:
        fail(f"model.fit was called {fitted.call_count} times; once is expected.")
    bound = signature.bind(*fitted.call_args.args, **fitted.call_args.kwargs)
    bound.apply_defaults()
    given = bound.arguments
    if given["x"] is None or given["y"] is None:
        fail("model.fit got no inputs or no labels: they come first, model.fit(x, y, ...).")
    watched = () if given["validation_data"] is None else given["validation_data"]
    if not isinstance(watched, tuple | list):
        fail(f"validation_data should be the tuple (inputs, labels, weights); what came is {describe(watched)}.")
    sets = {"training": (given["x"], given["y"], given["sample_weight"]), "validation": watched}
    seen = {
        f"the array of {name} {what}": "missing" if values is None else np.ravel(values) if what == "labels" else values
        for name, parts in sets.items()
        for what, values in itertools.zip_longest(("inputs", "labels", "weights"), parts)
    }
    named = {f"{name} in model.fit": given[name] for name in ("validation_split", "shuffle", "verbose", *options)}
    return seen | named | {"what fit returns": type(returned).__name__}


def two_sets():
    rng = np.random.default_rng(43)
    sets = [(rng.normal(size=(n, 2)), rng.integers(0, 2, n).astype(float), rng.uniform(0, 2, n)) for n in (30, 20)]
    yield *sets, {"epochs": 3, "batch_size": 7}


def passes(**other):
    """Return what those write who pass other arguments to ``model.fit``, made from both sets; None leaves one out."""
    right = {"x": lambda t, v: t[0], "y": lambda t, v: t[1], "sample_weight": lambda t, v: t[2]}
    chosen = right | {"validation_data": lambda t, v: v, "verbose": lambda t, v: 0} | other
    return lambda model, train_set, validation_set, **options: model.fit(
        **{name: value(train_set, validation_set) for name, value in chosen.items() if value}, **options
    )


@exercise(
    "4.3",
    "a function that trains with weights on both parts",
    cases=two_sets,
    observe=training,
    hints=(
        "Unpack the training set: x, y, w = train_set. The validation set can stay as it is.",
        "model.fit(x, y, sample_weight=..., validation_data=..., verbose=0, **options)",
    ),
    mistakes={
        "model.fit was called 3 times; once is expected.": lambda *arguments, epochs, **options: [fit(*arguments, epochs=1, **options) for _ in range(epochs)][-1],
        "model.fit got no inputs or no labels: they come first": passes(x=lambda t, v: t, y=None),
        "The two parts are exchanged.": lambda model, t, v, **options: fit(model, v, t, **options),
        "The weights stand in the place of the labels.": passes(y=lambda t, v: t[2], sample_weight=lambda t, v: t[1]),
        "The training weights are missing: sample_weight=w.": passes(sample_weight=None),
        "The labels stand in the place of the weights.": passes(sample_weight=lambda t, v: t[1]),
        "validation_split takes the last of the training events, and we have a validation part already: validation_data=validation_set.": passes(validation_data=None, validation_split=lambda t, v: 0.25),
        "model.fit got no validation_data, so that nobody watches for overtraining.": passes(validation_data=None),
        "validation_data should be the tuple (inputs, labels, weights)": passes(validation_data=lambda t, v: v[0]),
        "The training events serve as validation events, too: the loss on them cannot show overtraining.": passes(validation_data=lambda t, v: t),
        "The validation weights stand in the place of the labels: the order is inputs, labels, weights.": passes(validation_data=lambda t, v: (v[0], v[2], v[1])),
        "The validation weights are missing: with (inputs, labels) alone every event counts the same, and the validation loss cannot be compared with the training loss.": passes(validation_data=lambda t, v: v[:2]),
        "The weights are missing in both parts: sample_weight=w, and the whole of validation_set.": passes(sample_weight=None, validation_data=lambda t, v: v[:2]),
        "fit was called with epochs and batch_size, and model.fit without: the options are lost. Pass **options.": lambda *arguments, **options: fit(*arguments),
        "epochs is among the options already: leave the choice to the caller.": passes(epochs=lambda t, v: 6),
        "The training prints a progress bar for each epoch: verbose=0 keeps it silent.": passes(verbose=None),
        "shuffle=False takes the batches in the order of the file. Do not set it.": passes(shuffle=lambda t, v: False),
        "the model is compiled anew": lambda model, *sets, **options: (model.compile("adam", "mse"), fit(model, *sets, **options))[1],
        "fit should return what model.fit returns.": lambda model, *sets, **options: (fit(model, *sets, **options), model)[1],
        "fit should return what model.fit returns, and not only the numbers in it.": lambda *arguments, **options: fit(*arguments, **options).history,
        "fit returned None": lambda *arguments, **options: fit(*arguments, **options) and None,
    },
    accepted=[
        passes(validation_data=lambda t, v: list(v)),
        passes(y=lambda t, v: t[1][:, None], validation_data=lambda t, v: (v[0], v[1][:, None], v[2])),
    ],
)
def fit(model, train_set, validation_set, **options):
    x, y, w = train_set
    return model.fit(x, y, sample_weight=w, validation_data=validation_set, verbose=0, **options)


def overlapping_classes():
    rng = np.random.default_rng(44)
    labels = rng.integers(0, 2, 600).astype(float)
    score = rng.normal(labels, 1.5)
    # heavy background at high scores: forgetting the weights is then a large mistake
    weights = rng.exponential(1.0, 600) * np.where((labels == 0) & (score > 0.5), 5, 1)
    yield labels, np.round(1 / (1 + np.exp(-score)), 2), weights  # rounded: a score can occur twice


@exercise(
    "4.4",
    "the weighted AUC",
    cases=overlapping_classes,
    returns=("the AUC",),
    hints=(
        "help(roc_auc_score) names its arguments: labels, scores, and among the rest one for the weights.",
        "roc_auc_score(labels, score, sample_weight=weights)",
    ),
    mistakes={
        "The weights are forgotten: sample_weight=weights.": lambda y, score, w: roc_auc_score(y, score),
        "This is one minus the AUC: as if signal scores below background. Signal has label 1 and a high score.": lambda y, score, w: weighted_auc(1 - y, score, w),
        "One minus the AUC, and the weights are forgotten.": lambda y, score, w: roc_auc_score(1 - y, score),
        "The scores were cut to 0 and 1 first: that is one single threshold, and the AUC is over all of them.": lambda y, score, w: weighted_auc(y, score > 0.5, w),
        "The scores were cut to 0 and 1 first, and the weights are forgotten.": lambda y, score, w: roc_auc_score(y, score > 0.5),
        "The weights were multiplied into the scores. They say how much an event counts.": lambda y, score, w: roc_auc_score(y, score * w),
        "This is the accuracy at one threshold, not the area under the ROC curve.": lambda y, score, w: np.average((score > 0.5) == y, weights=w),
        "A pair of equal scores should count half; here it counts as its order in the array has it.": lambda y, score, w: weighted_auc(y[i := np.argsort(-score)], -np.arange(len(i)), w[i]),
        "the AUC should be": lambda *events: str(weighted_auc(*events)),
    },
    accepted=[
        lambda y, score, w: area_under(*roc_curve(y, score, sample_weight=w)[:2]),
        lambda *events: auc(*events).value,
    ],
)
def weighted_auc(labels, score, weights):
    return roc_auc_score(labels, score, sample_weight=weights)


def simulated_events():
    rng = np.random.default_rng(45)
    labels = rng.integers(0, 2, 200).astype(float)
    score = np.round(rng.uniform(0, 1, 200), 2)  # rounded, so that some scores lie on the threshold
    per_fb = rng.uniform(0.5, 3.0, 200)
    for threshold, luminosity, fraction in (0.6, 30.0, 0.2), (0.3, 7.0, 0.5), (1.5, 30.0, 0.2):  # the last: no event
        yield labels, score, per_fb, threshold, luminosity, fraction


@exercise(
    "4.5",
    "expected signal and background events above a threshold",
    cases=simulated_events,
    returns=("s", "b"),
    hints=(
        "Each simulated event stands for per_fb * luminosity events, more if only a fraction of the sample is here.",
        "The part holds the share `fraction` of the sample, so each of its events stands for 1 / fraction as many.",
        "s is the sum over events with score >= threshold and label 1, b over those with label 0.",
    ),
    mistakes={
        "The fraction is forgotten: these are the events of this part of the sample only.": lambda *sample: expected_events(*sample[:5], 1),
        "Multiplied by the fraction; divide, since each event of a part stands for more.": lambda *sample: expected_events(*sample[:5], 1 / sample[5]),
        "The luminosity is forgotten.": lambda *sample: expected_events(*sample[:4], 1, sample[5]),
        "Luminosity and fraction are forgotten.": lambda *sample: expected_events(*sample[:4], 1, 1),
        "These are numbers of simulated events. Expected ones are sums of weights.": lambda y, p, w, cut, *_: expected_events(y, p, np.ones(len(w)), cut, 1, 1),
        "These are the events that fail the cut: signal has high scores.": lambda y, p, w, cut, *scale: expected_events(y, p < cut, w, 1, *scale),
        "b is the sum over both classes; the background has label 0.": lambda *sample: (expected_events(*sample)[0], sum(expected_events(*sample))),
        "The two are exchanged: first s, then b.": lambda *sample: expected_events(*sample)[::-1],
        "An event exactly at the threshold passes: score >= threshold.": lambda y, p, w, cut, *scale: expected_events(y, p > cut, w, 1, *scale),
        "The threshold is not applied.": lambda y, p, w, cut, *scale: expected_events(y, p, w, 0, *scale),
        "The threshold of 0.5 is built in. Use the argument.": lambda y, p, w, cut, *scale: expected_events(y, p, w, 0.5, *scale),
        "These are the expected events one by one; their sums are still missing.": lambda y, p, w, cut, luminosity, fraction: [(w * luminosity / fraction)[(p >= cut) & (y == label)] for label in (1, 0)],
        "should return s and b; what came is": lambda *sample: sum(expected_events(*sample)),
        "s should be": lambda *sample: [str(number) for number in expected_events(*sample)],
    },
    accepted=[
        lambda y, p, w, cut, luminosity, fraction: np.stack([y, 1 - y]) @ (w * (p >= cut)) * luminosity / fraction,
        lambda y, p, w, t, *s: [sum(w[i] for i in range(200) if p[i] >= t and y[i] == k) * s[0] / s[1] for k in (1, 0)],
    ],
)
def expected_events(labels, score, per_fb, threshold, luminosity, fraction):
    expected = per_fb * luminosity / fraction
    passed = score >= threshold
    return expected[passed & (labels == 1)].sum(), expected[passed & (labels == 0)].sum()


def scans():
    nan = np.nan  # at both ends, and in between: nothing may depend on where
    z_validation = np.array([nan, 1.0, 1.2, nan, 1.9, 2.4, 2.3, 2.0, 1.7, 1.1, nan])
    z_test = np.array([0.4, 1.1, 1.3, 1.4, 1.8, 1.7, 2.2, 2.3, 1.5, 0.9, nan])
    yield np.linspace(0.45, 0.95, 11), z_validation, z_test
    yield np.array([0.2, 0.4, 0.6, 0.8]), np.array([0.3, nan, 0.1, 0.2]), np.array([0.15, 0.2, 0.1, 0.4])


def at(choose):
    return lambda thresholds, z, z_test: (thresholds[best := choose(z)], z_test[best])


@exercise(
    "4.6",
    "the cut chosen on the validation part, quoted on the test part",
    cases=scans,
    returns=("the threshold", "the significance"),
    hints=(
        "np.nanargmax gives the position of the largest entry and passes over NaN.",
        "The same position serves in all three arrays.",
    ),
    mistakes={
        "The cut is chosen on the test part, and so the test is no test any more.": lambda thresholds, z, z_test: choose_and_quote(thresholds, z_test, z_test),
        "The cut is chosen on both parts together: the test had a part in it. Choose on the validation part alone.": lambda thresholds, z, z_test: choose_and_quote(thresholds, z + z_test, z_test),
        "The significance is quoted from the validation part, the largest of many: it is flattered.": lambda thresholds, z, z_test: choose_and_quote(thresholds, z, z),
        "The significance belongs to another cut: it is the largest of the test part, at whatever threshold.": lambda thresholds, z, z_test: (thresholds[np.nanargmax(z)], np.nanmax(z_test)),
        "np.argmax: NaN counts as the largest number there. np.nanargmax passes over it.": at(np.argmax),
        "max() and index() do not pass over NaN: no comparison with it is ever true.": at(lambda z: list(z).index(max(z))),
        "A loop that starts from NaN finds nothing larger: no comparison with NaN is true.": at(lambda z: max(range(len(z)), key=lambda i: z[i])),
        "NaN were dropped from z_validation alone, so that its positions are no longer those of the other arrays.": at(lambda z: np.argmax(z[~np.isnan(z)])),
        "NaN were dropped from two of the three arrays; z_test still has other positions.": lambda thresholds, z, z_test: choose_and_quote(thresholds[~np.isnan(z)], z[~np.isnan(z)], z_test),
        "The first number is the position in the array, not the threshold found there.": lambda thresholds, *z: choose_and_quote(np.arange(len(thresholds)), *z),
        "This is the cut of the smallest significance.": at(np.nanargmin),
        "The two are exchanged: first the threshold.": lambda *scan: choose_and_quote(*scan)[::-1],
        "the threshold should be": lambda *scan: [str(number) for number in choose_and_quote(*scan)],
    },
    accepted=[
        lambda *scan: list(choose_and_quote(*(part[~np.isnan(scan[1])] for part in scan))),
        at(lambda z: np.nan_to_num(z).argmax()),
    ],
)
def choose_and_quote(thresholds, z_validation, z_test):
    best = np.nanargmax(z_validation)
    return thresholds[best], z_test[best]


def traces(permuted, inputs, column, rng):
    """What shuffling leaves and what it changes, since every generator gives another order."""
    result = np.asarray(call(permuted, inputs, column, rng, name="permuted"))
    if result.shape != inputs.shape:
        fail(f"permuted should return a table of shape {inputs.shape}; what came is {describe(result)}.")
    before, after, half = inputs[:, column], result[:, column], len(inputs) // 2
    return {
        "the part outside the column": np.delete(result, column, axis=1),
        "the sorted column": np.sort(after),
        "'some entries have moved'": bool((after != before).any()),
        "'some have moved from one half to the other'": not np.isin(after[:half], before[:half]).all(),
    }


def column_becomes(new):
    def permuted(inputs, column, rng):
        shuffled = inputs.copy()
        shuffled[:, column] = new(inputs[:, column], column, rng)
        return shuffled

    return permuted


@exercise(
    "4.7",
    "a table with one column shuffled",
    cases=lambda: [(np.random.default_rng(47).random((60, 4)), column, np.random.default_rng(5)) for column in (2, 0)],
    observe=traces,
    demands=[demands.given_generator],
    hints=(
        "inputs.copy() makes a new table; rng.permutation(x) gives the entries of x in a new order.",
        "All rows of one column are inputs[:, column].",
    ),
    mistakes={
        "permuted should return a table of shape (60, 4)": lambda x, column, rng: rng.permutation(x[:, column]),
        "Nothing has changed: assign the shuffled entries to the column of the copy.": column_becomes(lambda x, *_: x),
        "The entries of a row instead of a column were shuffled: all rows of a column are [:, column].": lambda x, column, rng: (copy := x.copy(), rng.shuffle(copy[column]))[0],
        "The other columns changed, too: whole rows were shuffled.": lambda x, column, rng: rng.permutation(x),
        "All columns were shuffled; only one is asked for.": lambda x, column, rng: rng.permuted(x, axis=0),
        "Another column was shuffled than the one asked for.": lambda x, column, rng: permuted(x, 2 - column, rng),
        "The column is now all the same, a value the network may never have seen. Shuffle its entries.": column_becomes(lambda x, column, rng: 0),
        "The column is distributed otherwise than before: its entries should be the same in another order, each once. Use rng.permutation.": column_becomes(lambda x, column, rng: rng.normal(size=len(x))),
        "rng.choice draws with replacement: some entries come twice, others not at all. Use rng.permutation.": column_becomes(lambda x, column, rng: rng.choice(x, len(x))),
        "The column is now NaN: rng.shuffle(x) shuffles x itself and returns None. Use rng.permutation.": column_becomes(lambda x, column, rng: rng.shuffle(x.copy())),
        "rng.permutation(column) shuffles the numbers below `column`. Give it the entries, inputs[:, column].": column_becomes(lambda x, column, rng: rng.permutation(column)),
        "inputs is an array, not a pandas table: its column is inputs[:, column].": column_becomes(lambda x, column, rng: rng.permutation(x.values)),
        "The halves of the column were shuffled each by itself. Every entry should be able to reach every row.": column_becomes(lambda x, column, rng: np.concatenate([rng.permutation(half) for half in np.split(x, 2)])),
        "changes its input in place": lambda x, column, rng: (x, rng.shuffle(x[:, column]))[0],
        "another generator gives the same result": column_becomes(lambda x, *_: np.random.permutation(x)),  # noqa: NPY002
        "same seed gives another result": column_becomes(lambda x, *_: np.random.default_rng().permutation(x)),
    },
    accepted=[
        lambda x, column, rng: (copy := x.copy(), rng.shuffle(copy[:, column]))[0],
        column_becomes(lambda x, column, rng: x[np.argsort(rng.random(len(x)))]),
        column_becomes(lambda x, column, rng: rng.choice(x, len(x), replace=False)),
    ],
)
def permuted(inputs, column, rng):
    shuffled = inputs.copy()
    shuffled[:, column] = rng.permutation(inputs[:, column])
    return shuffled
