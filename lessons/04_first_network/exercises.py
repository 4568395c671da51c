"""Exercises of lesson 04, the first network."""

import numpy as np
from sklearn.metrics import roc_auc_score

from coursekit.checks.engine import call, describe, exercise, expect_close, fail


def build(keras):
    """Return the reference of 4.1; Keras comes from the lesson, since nothing here may import it."""

    def network(n_inputs, units):
        return keras.Sequential(
            [
                keras.Input((n_inputs,)),
                keras.layers.Dense(units, activation="relu"),
                keras.layers.Dense(1, activation="sigmoid"),
            ]
        )

    return network


def cross_entropy(labels, score, weights):
    return -np.average(labels * np.log(score) + (1 - labels) * np.log(1 - score), weights=weights)


def fit(model, train_set, validation_set, **options):
    x, y, w = train_set
    return model.fit(x, y, sample_weight=w, validation_data=validation_set, verbose=0, **options)


def weighted_auc(labels, score, weights):
    return roc_auc_score(labels, score, sample_weight=weights)


def expected_events(labels, score, per_fb, threshold, luminosity, fraction):
    expected = per_fb * luminosity / fraction
    passed = score >= threshold
    return expected[passed & (labels == 1)].sum(), expected[passed & (labels == 0)].sum()


def choose_and_quote(thresholds, z_validation, z_test):
    best = np.nanargmax(z_validation)
    return thresholds[best], z_test[best]


def permuted(inputs, column, rng):
    shuffled = inputs.copy()
    shuffled[:, column] = rng.permutation(inputs[:, column])
    return shuffled


@exercise(
    "4.1",
    "a network with one hidden layer",
    hints=(
        "A list of three: `keras.Input((n_inputs,))`, the hidden layer, the output layer.",
        'A layer is `keras.layers.Dense(number of units, activation="...")`; the output is a layer of one unit.',
        'The hidden layer has activation="relu", the output activation="sigmoid".',
    ),
    reference=lambda *, keras: build(keras),
)
def _(function, *, keras):
    rng = np.random.default_rng(41)
    for n_inputs, units in ((6, 16), (3, 5)):
        model = call(function, n_inputs, units, name="build")
        if not callable(model) or not hasattr(model, "layers"):
            fail(f"build should return a keras.Sequential; what came is {describe(model)}.")
        expects = getattr(model, "input_shape", (None, n_inputs))[-1]
        if expects != n_inputs:
            fail(f"build({n_inputs}, {units}) takes {expects} inputs. The network should take whatever n_inputs says.")
        x = rng.normal(size=(400, n_inputs)).astype(np.float32)
        p = _outputs(keras, call(model, x, name="the network"))
        if p.shape == (400, 2):
            fail("the network has two outputs. Signal and background exclude each other: one score is enough.")
        if p.shape != (400, 1):
            fail(f"for 400 events the network gives an array of shape {p.shape}, expected (400, 1).")
        if np.allclose(p, 1, rtol=0, atol=1e-5):  # exp(x) / exp(x), up to rounding
            fail("every score is 1: the softmax of a single number is always 1. Use a sigmoid at the output.")
        if (p == 0).mean() > 0.02 or (p < 0).any() or (p > 1).any():
            fail(
                f"the scores reach from {p.min():.3g} to {p.max():.3g}, where the open interval from 0 to 1 is "
                "expected: the sigmoid is missing in the last layer."
            )
        logit = np.log(p / (1 - p))[:, 0]
        straight = np.column_stack([x, np.ones(len(x))]).astype(float)
        rest = logit - straight @ np.linalg.lstsq(straight, logit, rcond=None)[0]
        if rest.std() < 1e-3 * logit.std():
            fail(
                "the score depends on one weighted sum of the inputs alone. Is there a hidden layer, and has it an "
                "activation? Without one, two linear layers in a row are one."
            )
        expected = (n_inputs + 1) * units + units + 1
        if (got := model.count_params()) != expected:
            fail(
                f"build({n_inputs}, {units}) has {got} parameters, expected {expected}: one hidden layer of {units} "
                "units and one output."
            )


@exercise(
    "4.2",
    "the weighted cross-entropy",
    hints=(
        "First the loss of each event, an array; np.log works entry by entry.",
        "Then the weighted mean: np.average(loss, weights=weights).",
    ),
    reference=lambda: cross_entropy,
)
def _(function):
    rng = np.random.default_rng(42)
    labels = rng.integers(0, 2, 300).astype(float)
    score, weights = rng.uniform(0.05, 0.95, 300), rng.exponential(2.0, 300) * (rng.random(300) < 0.8)
    signal, background = labels * np.log(score), (1 - labels) * np.log(1 - score)
    loss = -(signal + background)
    right = cross_entropy(labels, score, weights)
    expect_close(
        "the cross-entropy",
        call(function, labels, score, weights, name="cross_entropy"),
        right,
        mistakes={
            "The weights are forgotten.": loss.mean(),
            "This has the wrong sign: logarithms of numbers below 1 are negative, the loss is positive.": -right,
            "Only the signal enters; the background does not count. Its term is (1 - y) ln(1 - p).": -np.average(
                signal, weights=weights
            ),
            "Only the background enters. The term of the signal is y ln p.": -np.average(background, weights=weights),
            "This is the sum, which grows with the number of events. Divide by the sum of the weights.": (
                weights * loss
            ).sum(),
            "This is divided by the number of events. These weights do not have a mean of one: divide by their sum.": (
                (weights * loss).mean()
            ),
            "Labels and scores are exchanged: the logarithm is of the score.": -np.average(
                labels * np.log(1 - score) + (1 - labels) * np.log(score), weights=weights
            ),
            "This is the mean squared error; the cross-entropy has logarithms.": np.average(
                (labels - score) ** 2, weights=weights
            ),
            "The logarithm is natural, np.log, not the one to base 10 or 2.": right / np.log(10),
            "The logarithm is natural, np.log, and not the one to base 2.": right / np.log(2),
            "This is the loss of each event; the mean is still missing.": loss,
        },
    )


class _Recorder:
    """Stands for a model, and remembers how it was trained."""

    def __init__(self):
        self.calls, self.history = [], object()

    def fit(self, x=None, y=None, batch_size=None, epochs=1, verbose="auto", callbacks=None, validation_split=0.0,
            validation_data=None, shuffle=True, class_weight=None, sample_weight=None, **others):  # fmt: skip
        self.calls.append({key: value for key, value in locals().items() if key != "self"})
        return self.history


@exercise(
    "4.3",
    "a function that trains with weights on both parts",
    hints=(
        "Unpack the training set: x, y, w = train_set. The validation set can stay as it is.",
        "model.fit(x, y, sample_weight=..., validation_data=..., verbose=0, **options)",
    ),
    reference=lambda: fit,
)
def _(function):
    rng = np.random.default_rng(43)
    sets = [(rng.normal(size=(n, 2)), rng.integers(0, 2, n).astype(float), rng.uniform(0, 2, n)) for n in (30, 20)]
    options = {"epochs": 3, "batch_size": 7}
    model = _Recorder()
    returned = call(lambda *arrays: function(model, *arrays, **options), *sets, name="fit")
    if len(model.calls) != 1:
        fail(f"model.fit was called {len(model.calls)} times; once is expected.")
    (got,) = model.calls
    if got["x"] is None or got["y"] is None:
        fail("model.fit got no inputs or no labels: they come first, model.fit(x, y, ...).")
    expect_close("the training inputs", got["x"], sets[0][0])
    wrong = {"The weights stand in the place of the labels.": sets[0][2]}
    expect_close("the training labels", got["y"], sets[0][1], mistakes=wrong)
    if got["sample_weight"] is None:
        fail("the training weights are missing: sample_weight=w.")
    wrong = {"The labels stand in the place of the weights.": sets[0][1]}
    expect_close("the training weights", got["sample_weight"], sets[0][2], mistakes=wrong)
    if got["validation_split"]:
        fail(
            "validation_split takes the last of the training events, and we have a validation part already: "
            "validation_data=validation_set."
        )
    if (data := got["validation_data"]) is None:
        fail("model.fit got no validation_data, so that nobody watches for overtraining.")
    if not isinstance(data, tuple | list) or not 2 <= len(data) <= 3:
        fail(f"validation_data should be the tuple (inputs, labels, weights); what came is {describe(data)}.")
    if np.shape(data[0]) == sets[0][0].shape:
        fail("the training events serve as validation events, too: the loss on them cannot show overtraining.")
    expect_close("the validation inputs", data[0], sets[1][0])
    wrong = {
        "The validation weights stand in the place of the labels: the order is inputs, labels, weights.": sets[1][2]
    }
    expect_close("the validation labels", data[1], sets[1][1], mistakes=wrong)
    if len(data) == 2:
        fail(
            "the validation weights are missing: with (inputs, labels) alone every event counts the same, and the "
            "validation loss cannot be compared with the training loss."
        )
    expect_close("the validation weights", data[2], sets[1][2])
    for name, value in options.items():
        if got[name] != value:
            fail(
                f"fit was called with {name}={value}, model.fit with {got[name]}: the options are lost. Pass **options."
            )
    if got["verbose"] != 0:
        fail("the training prints a progress bar for each epoch: verbose=0 keeps it silent.")
    if returned is not model.history:
        fail(f"fit should return what model.fit returns; what came is {describe(returned)}.")


@exercise(
    "4.4",
    "the weighted AUC",
    hints=(
        "help(roc_auc_score) names its arguments: labels, scores, and among the rest one for the weights.",
        "roc_auc_score(labels, score, sample_weight=weights)",
    ),
    reference=lambda: weighted_auc,
)
def _(function):
    rng = np.random.default_rng(44)
    labels = rng.integers(0, 2, 600).astype(float)
    score = rng.normal(labels, 1.5)
    # heavy background at high scores: forgetting the weights is then a large mistake
    weights = rng.exponential(1.0, 600) * np.where((labels == 0) & (score > 0.5), 5, 1)
    score = 1 / (1 + np.exp(-score))
    right = weighted_auc(labels, score, weights)
    expect_close(
        "the AUC",
        call(function, labels, score, weights, name="weighted_auc"),
        right,
        mistakes={
            "The weights are forgotten: sample_weight=weights.": roc_auc_score(labels, score),
            "This is one minus the AUC: as if signal scores below background. Signal has label 1 and a high score.": (
                1 - right
            ),
            "One minus the AUC, and the weights are forgotten.": 1 - roc_auc_score(labels, score),
            "The scores were cut to 0 and 1 first: that is one single threshold, and the AUC is over all of them.": (
                roc_auc_score(labels, score > 0.5, sample_weight=weights)
            ),
            "The scores were cut to 0 and 1 first, and the weights are forgotten.": roc_auc_score(labels, score > 0.5),
            "The weights were multiplied into the scores. They say how much an event counts.": (
                roc_auc_score(labels, score * weights)
            ),
            "This is the accuracy at one threshold, not the area under the ROC curve.": np.average(
                (score > 0.5) == labels, weights=weights
            ),
        },
    )


@exercise(
    "4.5",
    "expected signal and background events above a threshold",
    hints=(
        "Each simulated event stands for per_fb * luminosity events, more if only a fraction of the sample is here.",
        "The part holds the share `fraction` of the sample, so each of its events stands for 1 / fraction as many.",
        "s is the sum over events with score >= threshold and label 1, b over those with label 0.",
    ),
    reference=lambda: expected_events,
)
def _(function):
    rng = np.random.default_rng(45)
    labels = rng.integers(0, 2, 200).astype(float)
    score = np.round(rng.uniform(0, 1, 200), 2)  # rounded, so that some scores lie on the threshold
    per_fb = rng.uniform(0.5, 3.0, 200)
    for threshold, luminosity, fraction in ((0.6, 30.0, 0.2), (0.3, 7.0, 0.5)):
        passed, is_signal = score >= threshold, labels == 1
        s, b = expected_events(labels, score, per_fb, threshold, luminosity, fraction)
        factor = luminosity / fraction

        def both(chosen, weight=per_fb, factor=factor, is_signal=is_signal):
            return np.array([weight[chosen & is_signal].sum(), weight[chosen & ~is_signal].sum()]) * factor

        result = call(function, labels, score, per_fb, threshold, luminosity, fraction, name="expected_events")
        if not isinstance(result, tuple | list | np.ndarray) or np.shape(result) != (2,):
            fail(f"expected_events should return two numbers, s and b; what came is {describe(result)}.")
        expect_close(
            "the pair (s, b)",
            result,
            (s, b),
            accept=(tuple, list, np.ndarray),
            mistakes={
                "The fraction is forgotten: these are the events of this part of the sample only.": both(passed)
                * fraction,
                "Multiplied by the fraction; divide, since each event of a part stands for more.": both(passed)
                * fraction**2,
                "The luminosity is forgotten.": both(passed) / luminosity,
                "Luminosity and fraction are forgotten.": both(passed) / factor,
                "These are numbers of simulated events. Expected ones are sums of weights.": both(
                    passed, np.ones(200), 1.0
                ),
                "These are the events that fail the cut: signal has high scores.": both(~passed),
                "b is the sum over both classes; the background has label 0.": (s, s + b),
                "The two are exchanged: first s, then b.": (b, s),
                "An event exactly at the threshold passes: score >= threshold.": both(score > threshold),
                "The threshold is not applied.": both(np.ones(200, bool)),
            },
        )


@exercise(
    "4.6",
    "the cut chosen on the validation part, quoted on the test part",
    hints=(
        "np.nanargmax gives the position of the largest entry and passes over NaN.",
        "The same position serves in all three arrays.",
    ),
    reference=lambda: choose_and_quote,
)
def _(function):
    thresholds = np.linspace(0.5, 0.95, 10)
    z_validation = np.array([1.0, 1.2, 1.5, 1.9, 2.4, 2.2, 2.0, 1.7, 1.1, np.nan])
    z_test = np.array([1.1, 1.3, 1.4, 1.8, 2.05, 2.1, 2.3, 1.5, 0.9, np.nan])
    result = call(function, thresholds, z_validation, z_test, name="choose_and_quote")
    if not isinstance(result, tuple | list | np.ndarray) or np.shape(result) != (2,):
        fail(f"choose_and_quote should return a threshold and a significance; what came is {describe(result)}.")
    expect_close(
        "the pair (threshold, significance)",
        result,
        (thresholds[4], z_test[4]),
        accept=(tuple, list, np.ndarray),
        mistakes={
            "The cut is chosen on the test part, and so the test is no test any more.": (thresholds[6], z_test[6]),
            "The significance is quoted from the validation part, the largest of many: it is flattered.": (
                thresholds[4],
                z_validation[4],
            ),
            "The significance belongs to another cut: it is the largest of the test part, at whatever threshold.": (
                thresholds[4],
                z_test[6],
            ),
            "np.argmax: NaN counts as the largest number there. np.nanargmax passes over it.": (
                thresholds[9],
                z_test[9],
            ),
            "The first number is the position in the array, not the threshold found there.": (4, z_test[4]),
            "This is the cut of the smallest significance.": (thresholds[0], z_test[0]),
        },
    )


@exercise(
    "4.7",
    "a table with one column shuffled",
    hints=(
        "inputs.copy() makes a new table; rng.permutation(x) gives the entries of x in a new order.",
        "All rows of one column are inputs[:, column].",
    ),
    reference=lambda: permuted,
)
def _(function):
    table = np.random.default_rng(47).exponential(1.0, (60, 4))
    for column in (2, 0):
        result = call(
            lambda inputs, column=column: function(inputs, column, np.random.default_rng(5)), table, name="permuted"
        )
        if np.shape(result) != table.shape:
            fail(f"permuted should return a table of shape {table.shape}; what came is {describe(result)}.")
        others = [i for i in range(4) if i != column]
        moved = np.flatnonzero((result != table).any(axis=1))
        if np.array_equal(result, table):
            fail("nothing has changed: assign the shuffled entries to the column of the copy.")
        if not np.array_equal(result[:, others], table[:, others]):
            if len(moved) == 1:
                fail("the entries of a row instead of a column were shuffled: all rows of a column are [:, column].")
            fail(f"column {column} was asked for, but others changed, too. Do not shuffle all columns, or whole rows.")
        if len(np.unique(result[:, column])) == 1:
            fail("the column is now all the same, a value the network may never have seen. Shuffle its entries.")
        if not np.array_equal(np.sort(result[:, column]), np.sort(table[:, column])):
            fail(
                "the column is distributed otherwise than before: its entries should be the same in another order, "
                "each once. Use rng.permutation."
            )
        again = function(table.copy(), column, np.random.default_rng(6))
        if np.array_equal(again, result):
            fail("two different generators give the same order: use the argument rng, not one made inside.")


def _outputs(keras, tensor) -> np.ndarray:
    return keras.ops.convert_to_numpy(tensor).astype(float)
