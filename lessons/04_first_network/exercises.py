"""Exercises of lesson 04, the first network."""

import inspect

import keras
import numpy as np
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score, roc_curve

from coursekit.checks import call, demands, describe, exercise, fail
from coursekit.metrics import auc

# --- 4.1 --------------------------------------------------------------------------------------------------------------


def scores_with_known_parameters(build, n_inputs, units):
    """Two networks are the same if they hold parameters of the same shapes and, with the same ones, say the same."""
    if isinstance(build, keras.Model):
        fail("build is a network itself. Write a function, `def build(n_inputs, units):`, that returns a new one.")
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


def layers(*middle, n_outputs=1, output="sigmoid"):
    """Return what those write who choose other layers between input and output, or another output."""
    return lambda n_inputs, units: keras.Sequential(
        [
            keras.Input((n_inputs,)),
            *[layer(units) for layer in middle],
            keras.layers.Dense(n_outputs, activation=output),
        ]
    )


def hidden(activation, size=None):
    return lambda units: keras.layers.Dense(size or units, activation=activation)


def takes_six_inputs(n_inputs, units):
    return keras.Sequential([keras.Input((6,)), hidden("relu")(units), hidden("sigmoid")(1)])


def without_input(n_inputs, units):
    return keras.Sequential([hidden("relu")(units), hidden("sigmoid")(1)])


def layers_without_list(n_inputs, units):
    return keras.Sequential(keras.Input((n_inputs,)), hidden("relu")(units), hidden("sigmoid")(1))


def without_return(n_inputs, units):
    build(n_inputs, units)


def trained_at_once(n_inputs, units):
    model = build(n_inputs, units)
    model.compile(optimizer="adam", loss="binary_crossentropy", run_eagerly=True)
    model.fit(np.zeros((8, n_inputs)), np.ones(8), verbose=0)
    return model


def functional(n_inputs, units):
    inputs = keras.Input((n_inputs,))
    return keras.Model(inputs, hidden("sigmoid")(1)(hidden("relu")(units)(inputs)))


def added_one_by_one(n_inputs, units):
    model = keras.Sequential()
    model.add(keras.Input(shape=(n_inputs,)))
    for layer in (
        keras.layers.Dense(units),
        keras.layers.ReLU(),
        keras.layers.Dense(1),
        keras.layers.Activation("sigmoid"),
    ):
        model.add(layer)
    return model


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
    mistakes=[
        (
            "Every score is 1: the softmax of a single number is always 1. Use a sigmoid at the output.",
            layers(hidden("relu"), output="softmax"),
        ),
        (
            "The sigmoid is missing in the last layer: the scores should lie in the open interval from 0 to 1.",
            layers(hidden("relu"), output=None),
        ),
        (
            "A ReLU at the output is bounded on one side only, and stays at 0 for half of the events. Use a sigmoid.",
            layers(hidden("relu"), output="relu"),
        ),
        ("A tanh at the output reaches from -1 to 1. Use a sigmoid.", layers(hidden("relu"), output="tanh")),
        (
            "The network has two outputs. Signal and background exclude each other: one score is enough.",
            layers(hidden("relu"), n_outputs=2, output="softmax"),
        ),
        (
            "The output layer has as many units as the hidden one. One score needs one unit.",
            lambda n_inputs, units: layers(hidden("relu"), n_outputs=units)(n_inputs, units),
        ),
        ("The network takes 6 inputs. It should take whatever n_inputs says.", takes_six_inputs),
        (
            "The network does not know its number of inputs, so that it has no parameters yet. Begin the list with "
            "keras.Input((n_inputs,)).",
            without_input,
        ),
        (
            "The hidden layer has no activation. Without one, two linear layers in a row are one, and the score "
            "depends on one weighted sum of the inputs alone.",
            layers(hidden(None)),
        ),
        ("The hidden layer is missing: this is one weighted sum of the inputs, and its sigmoid.", layers()),
        ("The hidden layer has 16 units whatever `units` says.", layers(hidden("relu", 16))),
        ("There are two hidden layers; one is asked for.", layers(hidden("relu"), hidden("relu"))),
        ("The hidden layer has a sigmoid. ReLU is asked for.", layers(hidden("sigmoid"))),
        ("The hidden layer has a tanh. ReLU is asked for.", layers(hidden("tanh"))),
        (
            "The hidden layer has a ReLU with a slope below zero. The plain one is asked for.",
            layers(hidden("leaky_relu")),
        ),
        ("The hidden layer has a GELU, a ReLU with its corner rounded. ReLU is asked for.", layers(hidden("gelu"))),
        (
            "The ReLU stands before the hidden layer, where it cuts off the inputs below zero. It belongs behind.",
            layers(lambda _: keras.layers.ReLU(), hidden(None)),
        ),
        (
            "There is a layer that does something else while it trains, such as a dropout. It is not asked for yet: "
            "the lesson tries it later, as one step of eight.",
            layers(hidden("relu"), lambda _: keras.layers.Dropout(0.5)),
        ),
        ("The network has been trained already. An untrained one is asked for: no compile, no fit.", trained_at_once),
        ("build is a network itself", layers(hidden("relu"))(6, 64)),
        ("build should return a keras.Sequential; what came is list", lambda n, units: [hidden("relu")(units)]),
        ("keras.Sequential takes one list of layers: put brackets round them.", layers_without_list),
        ("build returned None", without_return),
    ],
    accepted=[functional, added_one_by_one],
)
def build(n_inputs, units):
    return keras.Sequential(
        [
            keras.Input((n_inputs,)),
            keras.layers.Dense(units, activation="relu"),  # (N, n_inputs) -> (N, units)
            keras.layers.Dense(1, activation="sigmoid"),  # (N, units) -> (N, 1)
        ]
    )


# --- 4.2 --------------------------------------------------------------------------------------------------------------


def scored_events():
    rng = np.random.default_rng(42)
    labels, score = rng.integers(0, 2, 300).astype(float), rng.uniform(0.05, 0.95, 300)
    score[:2] = 0.0004, 0.9997  # no clipping is asked for
    yield labels, score, rng.exponential(2.0, 300) * (rng.random(300) < 0.8)


def mean_of(loss, average=lambda loss, weights: np.average(loss, weights=weights)):
    """Return what those write who take another loss of an event, or another mean."""
    return lambda labels, score, weights: average(loss(labels, score), weights)


def of_event(labels, score):
    return -(labels * np.log(score) + (1 - labels) * np.log(1 - score))


def in_a_loop(labels, score, weights):
    total = 0
    for y, p, w in zip(labels, score, weights, strict=True):
        total -= w * np.log(p if y == 1 else 1 - p)
    return total / sum(weights)


@exercise(
    "4.2",
    "the weighted cross-entropy",
    cases=scored_events,
    returns=("the cross-entropy",),
    hints=(
        "First the loss of each event, an array; np.log works entry by entry.",
        "Then the weighted mean: np.average(loss, weights=weights).",
    ),
    mistakes=[
        ("The weights are forgotten.", mean_of(of_event, lambda loss, _: loss.mean())),
        (
            "This has the wrong sign: logarithms of numbers below 1 are negative, the loss is positive.",
            mean_of(lambda y, p: -of_event(y, p)),
        ),
        (
            "Only the signal enters; the background does not count. Its term is (1 - y) ln(1 - p).",
            mean_of(lambda y, p: -y * np.log(p)),
        ),
        (
            "Only the background enters. The term of the signal is y ln p.",
            mean_of(lambda y, p: -(1 - y) * np.log(1 - p)),
        ),
        (
            "This is the sum, which grows with the number of events. Divide by the sum of the weights.",
            mean_of(of_event, lambda loss, weights: (weights * loss).sum()),
        ),
        (
            "This is divided by the number of events. These weights do not have a mean of one: divide by their sum.",
            mean_of(of_event, lambda loss, weights: (weights * loss).mean()),
        ),
        (
            "The logarithms are exchanged: ln p belongs to the signal, y = 1, and ln(1 - p) to the background.",
            mean_of(lambda y, p: of_event(1 - y, p)),
        ),
        ("Labels and scores are exchanged: the logarithm is of the score.", mean_of(lambda y, p: of_event(p, y))),
        (
            "This is the mean squared error; the cross-entropy has logarithms.",
            mean_of(lambda y, p: (y - p) ** 2),
        ),
        (
            "The logarithm is natural, np.log, not the one to base 10 or 2.",
            mean_of(lambda y, p: -y * np.log10(p) - (1 - y) * np.log10(1 - p)),
        ),
        (
            "The logarithm is natural, np.log, and not the one to base 2.",
            mean_of(lambda y, p: -y * np.log2(p) - (1 - y) * np.log2(1 - p)),
        ),
        (
            "This is the loss of each event; the mean is still missing.",
            lambda labels, score, _: of_event(labels, score),
        ),
        (
            "This is the loss of each event times its weight; the sum, and the division by that of the weights, are "
            "still missing.",
            lambda labels, score, weights: weights * of_event(labels, score),
        ),
        (
            "The scores were clipped to 0.001 ... 0.999. That is done outside, where two networks are compared; the "
            "loss itself takes the scores as they are.",
            mean_of(lambda y, p: of_event(y, np.clip(p, 0.001, 0.999))),
        ),
        (
            "changes its input in place",
            lambda labels, score, weights: cross_entropy(labels, score.clip(0.001, out=score), weights),
        ),
    ],
    accepted=[
        in_a_loop,
        lambda labels, score, weights: log_loss(labels, score, sample_weight=weights),
        lambda labels, score, weights: -weights @ np.log(np.where(labels == 1, score, 1 - score)) / weights.sum(),
        mean_of(lambda y, p: of_event(y, np.clip(p, 1e-7, 1 - 1e-7))),
    ],
)
def cross_entropy(labels, score, weights):
    of_event = -(labels * np.log(score) + (1 - labels) * np.log(1 - score))
    return np.average(of_event, weights=weights)


# --- 4.3 --------------------------------------------------------------------------------------------------------------


class Model:
    """Stands for a model, and remembers how it was trained."""

    def __init__(self):
        self.calls, self.history = [], keras.callbacks.History()

    def compile(self, *arguments, **options):
        fail("the model is compiled anew, and the optimiser that the caller chose is lost. fit only trains.")

    def fit(self, *arguments, **options):
        bound = inspect.signature(keras.Model.fit).bind(self, *arguments, **options)
        bound.apply_defaults()
        self.calls.append(bound.arguments)
        return self.history


def training(fit, train_set, validation_set, options):
    """Return what reaches `model.fit`; labels as a column, (N, 1), are the same to Keras as (N,)."""
    model = Model()
    returned = call(fit, model, train_set, validation_set, name="fit", **options)
    if len(model.calls) != 1:
        fail(f"model.fit was called {len(model.calls)} times; once is expected.")
    given = model.calls[0]
    if given["x"] is None or given["y"] is None:
        fail("model.fit got no inputs or no labels: they come first, model.fit(x, y, ...).")
    if given["validation_data"] is not None and not isinstance(given["validation_data"], tuple | list):
        came = describe(given["validation_data"])
        fail(f"validation_data should be the tuple (inputs, labels, weights); what came is {came}.")

    def part(x=None, y=None, w=None, *more):
        return ["missing" if values is None else values for values in (x, None if y is None else np.ravel(y), w)]

    parts = [part(given["x"], given["y"], given["sample_weight"]), part(*given["validation_data"] or ())]
    seen = {
        f"the array of {what}, {name}": values
        for name, of_part in zip(("training", "validation"), parts, strict=True)
        for what, values in zip(("inputs", "labels", "weights"), of_part, strict=True)
    }
    named = {f"{name} in model.fit": given[name] for name in ("validation_split", "shuffle", "verbose", *options)}
    return seen | named | {"what fit returns": type(returned).__name__}


def two_sets():
    rng = np.random.default_rng(43)
    sets = [(rng.normal(size=(n, 2)), rng.integers(0, 2, n).astype(float), rng.uniform(0, 2, n)) for n in (30, 20)]
    yield *sets, {"epochs": 3, "batch_size": 7}


def passes(**other):
    """Return what those write who pass the arguments of ``model.fit`` in another way; ``None`` leaves one out."""

    def fit(model, train_set, validation_set, **options):
        right = {"sample_weight": lambda t, v: t[2], "validation_data": lambda t, v: v, "verbose": lambda t, v: 0}
        chosen = {"x": lambda t, v: t[0], "y": lambda t, v: t[1], **right, **other}
        named = {name: value(train_set, validation_set) for name, value in chosen.items() if value is not None}
        return model.fit(**named, **options)

    return fit


def as_columns(model, train_set, validation_set, **options):
    (x, y, w), (x_val, y_val, w_val) = train_set, validation_set
    return model.fit(
        x, y[:, None], sample_weight=w, validation_data=(x_val, y_val[:, None], w_val), verbose=0, **options
    )


def compiles(model, train_set, validation_set, **options):
    model.compile(optimizer="adam", loss="binary_crossentropy")
    return fit(model, train_set, validation_set, **options)


def own_loop(model, train_set, validation_set, epochs=1, **options):
    for _ in range(epochs):
        history = fit(model, train_set, validation_set, epochs=1, **options)
    return history


@exercise(
    "4.3",
    "a function that trains with weights on both parts",
    cases=two_sets,
    observe=training,
    hints=(
        "Unpack the training set: x, y, w = train_set. The validation set can stay as it is.",
        "model.fit(x, y, sample_weight=..., validation_data=..., verbose=0, **options)",
    ),
    mistakes=[
        (
            "model.fit was called 3 times; once is expected.",
            own_loop,
        ),
        (
            "model.fit got no inputs or no labels: they come first, model.fit(x, y, ...).",
            passes(x=lambda t, v: t, y=None),
        ),
        (
            "Training and validation part are exchanged.",
            passes(
                x=lambda t, v: v[0],
                y=lambda t, v: v[1],
                sample_weight=lambda t, v: v[2],
                validation_data=lambda t, v: t,
            ),
        ),
        ("The weights stand in the place of the labels.", passes(y=lambda t, v: t[2], sample_weight=lambda t, v: t[1])),
        ("The training weights are missing: sample_weight=w.", passes(sample_weight=None)),
        ("The labels stand in the place of the weights.", passes(sample_weight=lambda t, v: t[1])),
        (
            "validation_split takes the last of the training events, and we have a validation part already: "
            "validation_data=validation_set.",
            passes(validation_data=None, validation_split=lambda t, v: 0.25),
        ),
        ("model.fit got no validation_data, so that nobody watches for overtraining.", passes(validation_data=None)),
        ("validation_data should be the tuple (inputs, labels, weights)", passes(validation_data=lambda t, v: v[0])),
        (
            "The training events serve as validation events, too: the loss on them cannot show overtraining.",
            passes(validation_data=lambda t, v: t),
        ),
        (
            "The validation weights stand in the place of the labels: the order is inputs, labels, weights.",
            passes(validation_data=lambda t, v: (v[0], v[2], v[1])),
        ),
        (
            "The validation weights are missing: with (inputs, labels) alone every event counts the same, and the "
            "validation loss cannot be compared with the training loss.",
            passes(validation_data=lambda t, v: v[:2]),
        ),
        (
            "The weights are missing in both parts: sample_weight=w, and the whole of validation_set.",
            passes(sample_weight=None, validation_data=lambda t, v: v[:2]),
        ),
        (
            "fit was called with epochs and batch_size, and model.fit without: the options are lost. Pass **options.",
            lambda model, train_set, validation_set, **options: fit(model, train_set, validation_set),
        ),
        (
            "epochs is among the options already, and a function takes it only once. Leave the choice to the caller.",
            lambda model, train_set, validation_set, **options: model.fit(*train_set[:2], epochs=6, **options),
        ),
        ("The training prints a progress bar for each epoch: verbose=0 keeps it silent.", passes(verbose=None)),
        (
            "shuffle=False trains on the batches in the order of the file, first signal, then background. Leave the "
            "shuffling on.",
            passes(shuffle=lambda t, v: False),
        ),
        ("the model is compiled anew", compiles),
        (
            "fit should return what model.fit returns, as it is; the model is still with the caller.",
            lambda model, *sets, **options: (fit(model, *sets, **options), model)[1],
        ),
        (
            "fit should return what model.fit returns, and not only the history inside.",
            lambda *arguments, **options: fit(*arguments, **options).history,
        ),
        ("fit returned None", lambda *arguments, **options: fit(*arguments, **options) and None),
    ],
    accepted=[passes(), as_columns, passes(validation_data=lambda t, v: list(v))],
)
def fit(model, train_set, validation_set, **options):
    x, y, w = train_set
    return model.fit(x, y, sample_weight=w, validation_data=validation_set, verbose=0, **options)


# --- 4.4 --------------------------------------------------------------------------------------------------------------


def overlapping_classes():
    rng = np.random.default_rng(44)
    labels = rng.integers(0, 2, 600).astype(float)
    score = rng.normal(labels, 1.5)
    # heavy background at high scores: forgetting the weights is then a large mistake
    weights = rng.exponential(1.0, 600) * np.where((labels == 0) & (score > 0.5), 5, 1)
    yield labels, np.round(1 / (1 + np.exp(-score)), 2), weights  # rounded: a score can occur twice


def without_ties(labels, score, weights):
    order = np.argsort(-score)
    signal, background = (weights * labels)[order], (weights * (1 - labels))[order]
    return (signal.cumsum() * background).sum() / signal.sum() / background.sum()


def trapezoids(labels, score, weights):
    x, y, _ = roc_curve(labels, score, sample_weight=weights)
    return ((y[1:] + y[:-1]) / 2 * np.diff(x)).sum()


def pairs(labels, score, weights):
    above = np.sign(score[labels == 1][:, None] - score[labels == 0]) / 2 + 0.5
    return np.average(np.average(above, axis=0, weights=weights[labels == 1]), weights=weights[labels == 0])


@exercise(
    "4.4",
    "the weighted AUC",
    cases=overlapping_classes,
    returns=("the AUC",),
    hints=(
        "help(roc_auc_score) names its arguments: labels, scores, and among the rest one for the weights.",
        "roc_auc_score(labels, score, sample_weight=weights)",
    ),
    mistakes=[
        ("The weights are forgotten: sample_weight=weights.", lambda labels, score, _: roc_auc_score(labels, score)),
        (
            "This is one minus the AUC: as if signal scores below background. Signal has label 1 and a high score.",
            lambda labels, score, weights: weighted_auc(1 - labels, score, weights),
        ),
        (
            "One minus the AUC, and the weights are forgotten.",
            lambda labels, score, _: roc_auc_score(1 - labels, score),
        ),
        (
            "The scores were cut to 0 and 1 first: that is one single threshold, and the AUC is over all of them.",
            lambda labels, score, weights: weighted_auc(labels, score > 0.5, weights),
        ),
        (
            "The scores were cut to 0 and 1 first, and the weights are forgotten.",
            lambda labels, score, _: roc_auc_score(labels, score > 0.5),
        ),
        (
            "The weights were multiplied into the scores. They say how much an event counts.",
            lambda labels, score, weights: roc_auc_score(labels, score * weights),
        ),
        (
            "This is the accuracy at one threshold, not the area under the ROC curve.",
            lambda labels, score, weights: np.average((score > 0.5) == labels, weights=weights),
        ),
        (
            "This is the area under another curve, of precision against recall.",
            lambda labels, score, weights: average_precision_score(labels, score, sample_weight=weights),
        ),
        (
            "Equal scores were ordered as they came. A pair of equal scores counts half; roc_auc_score knows.",
            without_ties,
        ),
        (
            "This is the ROC curve, not the area under it.",
            lambda labels, score, weights: roc_curve(labels, score, sample_weight=weights),
        ),
        ("what came is '0.", lambda *events: str(weighted_auc(*events))),
    ],
    accepted=[trapezoids, pairs, lambda labels, score, weights: auc(labels, score, weights).value],
)
def weighted_auc(labels, score, weights):
    return roc_auc_score(labels, score, sample_weight=weights)


# --- 4.5 --------------------------------------------------------------------------------------------------------------


def simulated_events():
    rng = np.random.default_rng(45)
    labels = rng.integers(0, 2, 200).astype(float)
    score = np.round(rng.uniform(0, 1, 200), 2)  # rounded, so that some scores lie on the threshold
    per_fb = rng.uniform(0.5, 3.0, 200)
    for threshold, luminosity, fraction in (0.6, 30.0, 0.2), (0.3, 7.0, 0.5), (1.5, 30.0, 0.2):  # the last: no event
        yield labels, score, per_fb, threshold, luminosity, fraction


def sums(select=lambda score, threshold: score >= threshold, factor=lambda luminosity, fraction: luminosity / fraction):
    """Return what those write who select other events, or scale with another factor."""

    def both(labels, score, per_fb, threshold, luminosity, fraction):
        passed = select(score, threshold)
        events = per_fb * factor(luminosity, fraction)
        return events[passed & (labels == 1)].sum(), events[passed & (labels == 0)].sum()

    return both


def event_by_event(labels, score, per_fb, threshold, luminosity, fraction):
    counts = [0, 0]
    for label, p, weight in zip(labels, score, per_fb, strict=True):
        counts[int(label)] += (p >= threshold) * weight * luminosity / fraction
    return counts[::-1]


def by_product(labels, score, per_fb, threshold, luminosity, fraction):
    return np.stack([labels, 1 - labels]) @ (per_fb * (score >= threshold)) * luminosity / fraction


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
    mistakes=[
        (
            "The fraction is forgotten: these are the events of this part of the sample only.",
            sums(factor=lambda luminosity, fraction: luminosity),
        ),
        (
            "Multiplied by the fraction; divide, since each event of a part stands for more.",
            sums(factor=lambda luminosity, fraction: luminosity * fraction),
        ),
        ("The luminosity is forgotten.", sums(factor=lambda luminosity, fraction: 1 / fraction)),
        ("Luminosity and fraction are forgotten.", sums(factor=lambda luminosity, fraction: 1)),
        (
            "These are numbers of simulated events. Expected ones are sums of weights.",
            lambda labels, score, per_fb, threshold, *_: sums(factor=lambda *_: 1)(
                labels, score, np.ones_like(per_fb), threshold, 1, 1
            ),
        ),
        (
            "These are the events that fail the cut: signal has high scores.",
            sums(select=lambda score, threshold: score < threshold),
        ),
        (
            "b is the sum over both classes; the background has label 0.",
            lambda *sample: (expected_events(*sample)[0], sum(expected_events(*sample))),
        ),
        ("The two are exchanged: first s, then b.", lambda *sample: expected_events(*sample)[::-1]),
        (
            "An event exactly at the threshold passes: score >= threshold.",
            sums(select=lambda score, threshold: score > threshold),
        ),
        ("The threshold is not applied.", sums(select=lambda score, threshold: score >= 0)),
        ("The threshold of 0.5 is built in. Use the argument.", sums(select=lambda score, threshold: score >= 0.5)),
        (
            "These are the expected events one by one; their sums are still missing.",
            lambda labels, score, per_fb, threshold, luminosity, fraction: [
                (per_fb * luminosity / fraction)[(score >= threshold) & (labels == label)] for label in (1, 0)
            ],
        ),
        ("should return s and b; what came is", lambda *sample: sum(expected_events(*sample))),
        ("s should be", lambda *sample: [str(number) for number in expected_events(*sample)]),
    ],
    accepted=[event_by_event, by_product],
)
def expected_events(labels, score, per_fb, threshold, luminosity, fraction):
    expected = per_fb * luminosity / fraction
    passed = score >= threshold
    return expected[passed & (labels == 1)].sum(), expected[passed & (labels == 0)].sum()


# --- 4.6 --------------------------------------------------------------------------------------------------------------


def scans():
    nan = np.nan  # at both ends, and in between: nothing may depend on where
    z_validation = np.array([nan, 1.0, 1.2, nan, 1.9, 2.4, 2.3, 2.0, 1.7, 1.1, nan])
    z_test = np.array([0.4, 1.1, 1.3, 1.4, 1.8, 1.7, 2.2, 2.3, 1.5, 0.9, nan])
    yield np.linspace(0.45, 0.95, 11), z_validation, z_test
    yield np.array([0.2, 0.4, 0.6, 0.8]), np.array([0.3, nan, 0.1, 0.2]), np.array([0.15, 0.2, 0.1, 0.4])


def best_of(choose, quote=lambda z_validation, z_test, best: z_test[best]):
    """Return what those write who choose in another way, or quote another number."""

    def cut(thresholds, z_validation, z_test):
        best = choose(z_validation, z_test)
        return thresholds[best], quote(z_validation, z_test, best)

    return cut


def largest(z_validation, z_test):
    return np.nanargmax(z_validation)


def step_by_step(z_validation, z_test):
    best = 0
    for i in range(len(z_validation)):
        if z_validation[i] > z_validation[best]:
            best = i
    return best


def drops_nan_from_two(thresholds, z_validation, z_test):
    there = ~np.isnan(z_validation)
    best = np.argmax(z_validation[there])
    return thresholds[there][best], z_test[best]


def drops_nan_from_all(thresholds, z_validation, z_test):
    there = ~np.isnan(z_validation)
    best = np.argmax(z_validation[there])
    return [thresholds[there][best], z_test[there][best]]


@exercise(
    "4.6",
    "the cut chosen on the validation part, quoted on the test part",
    cases=scans,
    returns=("the threshold", "the significance"),
    hints=(
        "np.nanargmax gives the position of the largest entry and passes over NaN.",
        "The same position serves in all three arrays.",
    ),
    mistakes=[
        (
            "The cut is chosen on the test part, and so the test is no test any more.",
            best_of(lambda z_validation, z_test: np.nanargmax(z_test)),
        ),
        (
            "The cut is chosen on both parts together, so that the test had a part in the choice. Choose on the "
            "validation part alone.",
            best_of(lambda z_validation, z_test: np.nanargmax(z_validation + z_test)),
        ),
        (
            "The significance is quoted from the validation part, the largest of many: it is flattered.",
            best_of(largest, lambda z_validation, z_test, best: z_validation[best]),
        ),
        (
            "The significance belongs to another cut: it is the largest of the test part, at whatever threshold.",
            best_of(largest, lambda z_validation, z_test, best: np.nanmax(z_test)),
        ),
        (
            "np.argmax: NaN counts as the largest number there. np.nanargmax passes over it.",
            best_of(lambda z_validation, z_test: np.argmax(z_validation)),
        ),
        (
            "max() and index() do not pass over NaN: no comparison with it is ever true.",
            best_of(lambda z_validation, z_test: list(z_validation).index(max(z_validation))),
        ),
        (
            "A loop that starts from NaN never finds anything larger: no comparison with NaN is true.",
            best_of(step_by_step),
        ),
        (
            "NaN were dropped from z_validation alone, so that its positions are no longer those of the other arrays.",
            best_of(lambda z_validation, z_test: np.argmax(z_validation[~np.isnan(z_validation)])),
        ),
        ("NaN were dropped from two of the three arrays; z_test still has other positions.", drops_nan_from_two),
        (
            "The first number is the position in the array, not the threshold found there.",
            lambda thresholds, z_validation, z_test: (
                np.nanargmax(z_validation),
                choose_and_quote(thresholds, z_validation, z_test)[1],
            ),
        ),
        (
            "This is the cut of the smallest significance.",
            best_of(lambda z_validation, z_test: np.nanargmin(z_validation)),
        ),
        ("The two are exchanged: first the threshold.", lambda *scan: choose_and_quote(*scan)[::-1]),
        ("the threshold should be", lambda *scan: [str(number) for number in choose_and_quote(*scan)]),
    ],
    accepted=[drops_nan_from_all, best_of(lambda z_validation, z_test: np.nan_to_num(z_validation).argmax())],
)
def choose_and_quote(thresholds, z_validation, z_test):
    best = np.nanargmax(z_validation)
    return thresholds[best], z_test[best]


# --- 4.7 --------------------------------------------------------------------------------------------------------------


def tables():
    for column in (2, 0):
        yield np.random.default_rng(47).exponential(1.0, (60, 4)), column, np.random.default_rng(5)


def traces(permuted, inputs, column, rng):
    """What shuffling leaves and what it changes, since every generator gives another order."""
    result = np.asarray(call(permuted, inputs, column, rng, name="permuted"))
    if result.shape != inputs.shape:
        fail(f"permuted should return a table of shape {inputs.shape}; what came is {describe(result)}.")
    entries, half = result[:, column], len(inputs) // 2
    return {
        "the part outside the column": np.delete(result, column, axis=1),
        "the sorted column": np.sort(entries),
        "'some entries have moved'": bool((entries != inputs[:, column]).any()),
        "'some entries have moved from one half to the other'": not np.isin(
            entries[:half], inputs[:half, column]
        ).all(),
    }


def column_becomes(new):
    """Return what those write who fill the column of the copy in another way."""

    def permuted(inputs, column, rng):
        shuffled = inputs.copy()
        shuffled[:, column] = new(inputs[:, column], column, rng)
        return shuffled

    return permuted


def in_place(inputs, column, rng):
    rng.shuffle(inputs[:, column])
    return inputs


def row(inputs, column, rng):
    shuffled = inputs.copy()
    shuffled[column] = rng.permutation(inputs[column])
    return shuffled


def like_pandas(inputs, column, rng):
    shuffled = inputs.copy()
    shuffled[column] = rng.permutation(shuffled[column].values)
    return shuffled


def shuffles_a_copy(inputs, column, rng):
    shuffled = np.array(inputs)
    rng.shuffle(shuffled[:, column])
    return shuffled


@exercise(
    "4.7",
    "a table with one column shuffled",
    cases=tables,
    observe=traces,
    demands=[demands.given_generator],
    hints=(
        "inputs.copy() makes a new table; rng.permutation(x) gives the entries of x in a new order.",
        "All rows of one column are inputs[:, column].",
    ),
    mistakes=[
        (
            "permuted should return a table of shape (60, 4)",
            lambda inputs, column, rng: rng.permutation(inputs[:, column]),
        ),
        (
            "Nothing has changed: assign the shuffled entries to the column of the copy.",
            column_becomes(lambda x, column, rng: x),
        ),
        ("The entries of a row instead of a column were shuffled: all rows of a column are [:, column].", row),
        (
            "The other columns changed, too: whole rows were shuffled, or all columns.",
            lambda inputs, column, rng: rng.permutation(inputs),
        ),
        (
            "Each column was shuffled by itself; only one is asked for.",
            lambda inputs, column, rng: rng.permuted(inputs, axis=0),
        ),
        (
            "Another column was shuffled than the one asked for.",
            lambda inputs, column, rng: permuted(inputs, 2 - column, rng),
        ),
        (
            "The column is now all the same, a value the network may never have seen. Shuffle its entries.",
            column_becomes(lambda x, column, rng: 0),
        ),
        (
            "The column is distributed otherwise than before: its entries should be the same in another order, each "
            "once. Use rng.permutation.",
            column_becomes(lambda x, column, rng: rng.normal(size=len(x))),
        ),
        (
            "rng.choice draws with replacement: some entries come twice, others not at all. Use rng.permutation.",
            column_becomes(lambda x, column, rng: rng.choice(x, len(x))),
        ),
        (
            "The column is now NaN: rng.shuffle(x) shuffles x itself and returns None. rng.permutation(x) returns "
            "the entries in a new order.",
            column_becomes(lambda x, column, rng: rng.shuffle(x.copy())),
        ),
        (
            "rng.permutation(column) shuffles the numbers below `column`. Give it the entries, inputs[:, column].",
            column_becomes(lambda x, column, rng: rng.permutation(column)),
        ),
        ("inputs is an array, not a pandas table: its column is inputs[:, column].", like_pandas),
        (
            "The halves of the column were shuffled each by itself. Every entry should be able to reach every row.",
            column_becomes(lambda x, column, rng: np.concatenate([rng.permutation(half) for half in np.split(x, 2)])),
        ),
        ("changes its input in place", in_place),
        (
            "another generator gives the same result",
            column_becomes(lambda x, column, rng: np.random.default_rng(0).permutation(x)),
        ),
        (
            "with the same seed gives another result",
            column_becomes(lambda x, column, rng: np.random.default_rng().permutation(x)),
        ),
    ],
    accepted=[
        shuffles_a_copy,
        column_becomes(lambda x, column, rng: x[rng.permutation(len(x))]),
        column_becomes(lambda x, column, rng: x[np.argsort(rng.random(len(x)))]),
        column_becomes(lambda x, column, rng: rng.choice(x, len(x), replace=False)),
    ],
)
def permuted(inputs, column, rng):
    shuffled = inputs.copy()
    shuffled[:, column] = rng.permutation(inputs[:, column])
    return shuffled
