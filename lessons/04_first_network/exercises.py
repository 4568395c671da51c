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
    if not before:
        fail("the network does not know its number of inputs, and has no parameters: first keras.Input((n_inputs,)).")
    model.set_weights([rng.normal(0, 0.5, w.shape) for w in before])
    x = rng.normal(size=(50, before[0].shape[0])).astype("float32")
    scores, training = (keras.ops.convert_to_numpy(call(model, x, training=on, name="it")) for on in (False, True))
    return {
        "the list of the parameters' shapes": " ".join(str(w.shape) for w in before),
        "the largest constant that it starts with": max((np.abs(w).max() for w in before if w.ndim == 1), default=0.0),
        "'it starts from random weights'": all(w.std() > 0 for w in before if w.ndim == 2),
        "the array of scores for 50 events": scores,
        "'the scores are the same while it trains'": np.allclose(scores, training, rtol=1e-4),
        "'no layer is superfluous'": sum(map(bends, model.layers)) <= 2,
    }


def bends(layer):
    """Whether it does more than to sum; Dropout and layers of one's own are not counted."""
    plain = isinstance(layer, keras.layers.Dense | keras.layers.Activation) and layer.activation is keras.activations.linear
    return (not plain and hasattr(layer, "activation")) or isinstance(layer, keras.layers.ReLU | keras.layers.Softmax)


def stack(*kinds):
    return lambda n_inputs, units: keras.Sequential([keras.Input((n_inputs,)), *[kind(units) for kind in kinds]])


def dense(activation, size=None, **options):
    return lambda units: keras.layers.Dense(size or units, activation=activation, **options)


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
        "the network does not know its number of inputs, and has no parameters": lambda n_inputs, units: keras.Sequential([relu(units), sigmoid(units)]),
        "The hidden layer has no activation. Without one, two linear layers in a row are one, and the score depends on one weighted sum of the inputs alone.": stack(dense(None), sigmoid),
        "The hidden layer is missing: this is one weighted sum of the inputs, and its sigmoid.": stack(sigmoid),
        "The hidden layer has 16 units whatever `units` says.": stack(dense("relu", 16), sigmoid),
        "There are two hidden layers; one is asked for.": stack(relu, relu, sigmoid),
        **{f'The hidden layer has activation="{other}". ReLU is asked for.': stack(dense(other), sigmoid) for other in ("sigmoid", "tanh", "leaky_relu", "gelu")},
        "The ReLU stands before the hidden layer, where it cuts off the inputs below zero. It belongs behind.": stack(lambda _: keras.layers.ReLU(), dense(None), sigmoid),
        "There is a BatchNormalization too many: a hidden layer and an output are asked for.": stack(relu, lambda _: keras.layers.BatchNormalization(), sigmoid),
        "A layer does something else while it trains, such as a dropout. The lesson tries that later.": stack(relu, lambda _: keras.layers.Dropout(0.5), sigmoid),
        "A layer too many: the scores are positive already, and a ReLU behind the sigmoid changes nothing.": stack(relu, sigmoid, lambda _: keras.layers.ReLU()),
        "A tanh at the output gives numbers from -1 to 1. Use a sigmoid.": stack(relu, dense("tanh", 1)),
        "The hidden layer has n_inputs units. It should have `units` of them.": lambda n_inputs, units: build(n_inputs, n_inputs),
        "n_inputs and units are exchanged.": lambda n_inputs, units: build(units, n_inputs),
        "The inputs got a dense layer of their own. keras.Input((n_inputs,)) is not a layer that computes; one hidden layer is asked for.": lambda n_inputs, units: stack(dense(None, n_inputs), relu, sigmoid)(n_inputs, units),
        "keras.Input takes a shape, which is a tuple: keras.Input((n_inputs,)).": lambda n_inputs, units: keras.Sequential([keras.Input(n_inputs), relu(units), sigmoid(units)]),
        "The constants are switched off. Without them every score is 0.5 where all inputs are zero: leave use_bias alone.": stack(dense("relu", use_bias=False), dense("sigmoid", 1, use_bias=False)),
        "All weights start at zero, and then all hidden units stay the same for ever: leave the random start to Keras.": stack(dense("relu", kernel_initializer="zeros"), dense("sigmoid", 1, kernel_initializer="zeros")),
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
    labels, score = (rng.random(300) < 0.3).astype(float), rng.uniform(0.05, 0.95, 300)
    score[:2], labels[:2] = (0.0004, 0.9997), (1, 0)  # no clipping is asked for
    weights = rng.exponential(2.0, 300) * (rng.random(300) < 0.8)
    weights[:2] = 1.5
    yield labels, score, weights


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
        "Signal and background were averaged each by itself. It is one mean over all events, so the larger class counts more.": lambda y, p, w: sum(np.average(-np.log(q[c]), weights=w[c]) for q, c in ((p, y == 1), (1 - p, y == 0))),
        "Signal and background were averaged each by itself, and then with each other, as if there were as much of both. It is one mean over all events.": lambda y, p, w: np.mean([np.average(-np.log(q[c]), weights=w[c]) for q, c in ((p, y == 1), (1 - p, y == 0))]),
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


def single_events():
    yield np.array([2.0, 1.0]), 1.0, np.array([0.5, -1.0]), 0.0, 0.1  # the numbers of the text
    yield np.array([1.0, -2.0, 0.5]), 0.0, np.array([0.3, 0.4, -1.8]), 0.9, 0.25
    yield np.array([-0.6, 1.7]), 1.0, np.array([1.2, 0.9]), -1.5, 0.4


def stepped(slope=None, of_constant=None, rate=lambda rate: rate, score=None):
    """Return what those write who make one thing of a step otherwise; each is given the event, the score and the rate."""

    def gradient_step(x, y, w, b, rate_given):
        p = 1 / (1 + np.exp(-(w @ x + b))) if score is None else score(x, w, b)
        pull = (p - y) if slope is None else slope(x, y, p)
        constant = pull if of_constant is None else of_constant(pull, x)
        loss = -(y * np.log(p) + (1 - y) * np.log(1 - p))
        return p, loss, w - rate(rate_given) * pull * x, b - rate(rate_given) * constant

    return gradient_step


def and_then(change):
    """Return what those write who do something else with the right score, loss, weights and constant."""
    return lambda x, y, w, b, rate: change(*gradient_step(x, y, w, b, rate), x, y, w, b, rate)


def numerically(x, y, w, b, rate, h=1e-6):
    """The slope without any formula: the loss a little to the right minus the loss a little to the left."""

    def loss(w, b):
        return gradient_step(x, y, w, b, 0)[1]

    slopes = [(loss(w + h * unit, b) - loss(w - h * unit, b)) / (2 * h) for unit in np.eye(len(w))]
    of_constant = (loss(w, b + h) - loss(w, b - h)) / (2 * h)
    return *gradient_step(x, y, w, b, 0)[:2], w - rate * np.array(slopes), b - rate * of_constant


@exercise(
    "4.3",
    "one gradient step, worked out by hand",
    cases=single_events,
    returns=("the score", "the loss", "the list of new weights", "the new constant"),
    accept=(list, tuple),
    hints=(
        "Three factors: the slope of the loss in p, of p in z, of z in the weight. Multiply the first two: much cancels.",
        "The slope of the sigmoid is p (1 - p), that of the loss (p - y) / (p (1 - p)); their product is p - y.",
        "The new weights are w - rate * (p - y) * x, and the constant belongs to an input that is always 1.",
    ),
    mistakes={
        "This goes uphill: the step is against the slope, w - rate * slope.": stepped(rate=lambda rate: -rate),
        "The learning rate is forgotten: the step is the rate times the slope.": stepped(rate=lambda rate: 1),
        "This divides by the learning rate.": stepped(rate=lambda rate: 1 / rate),
        "This is the slope of the score, p (1 - p) x, and not of the loss: whatever the label, the score goes down.": stepped(lambda x, y, p: p * (1 - p)),
        "The slope of the sigmoid is missing: between the loss and z lies p, and p changes by p (1 - p).": stepped(lambda x, y, p: (p - y) / (p * (1 - p))),
        "The slope of the sigmoid is in it twice: p - y is already the product of two of the three factors.": stepped(lambda x, y, p: (p - y) * p * (1 - p)),
        "This is the step for the squared error, (p - y)^2. The loss is the cross-entropy.": stepped(lambda x, y, p: 2 * (p - y) * p * (1 - p)),
        "The step follows the loss and not its slope.": stepped(lambda x, y, p: -(y * np.log(p) + (1 - y) * np.log(1 - p))),
        "The step follows the score; the label has no say in it.": stepped(lambda x, y, p: p),
        "The inputs are missing in the slope of the weights: a weight acts through its input, z = w x + b.": and_then(lambda p, loss, new, b_new, x, y, w, b, rate: (p, loss, w - rate * (p - y), b_new)),
        "The slope was multiplied by the weights and not by the inputs.": and_then(lambda p, loss, new, b_new, x, y, w, b, rate: (p, loss, w - rate * (p - y) * w, b_new)),
        "The constant has not moved. It is a parameter, too, whose input is always 1.": stepped(of_constant=lambda pull, x: 0),
        "The constant was moved by the sum of the weights' slopes. Its own slope is p - y.": stepped(of_constant=lambda pull, x: pull * x.sum()),
        "The constant is one number. Its slope is p - y, without the inputs.": stepped(of_constant=lambda pull, x: pull * x),
        "The products are not added up: z is one number, w1 x1 + w2 x2 + ... + b, or w @ x + b.": stepped(score=lambda x, w, b: 1 / (1 + np.exp(-(w * x + b)))),
        "All weights make the same step, by the sum of the slopes. Each has a slope of its own, (p - y) times its input.": and_then(lambda p, loss, new, b_new, x, y, w, b, rate: (p, loss, w - rate * (p - y) * x.sum(), b_new)),
        "All weights make the same step, by the mean of the slopes. Each has a slope of its own, (p - y) times its input.": and_then(lambda p, loss, new, b_new, x, y, w, b, rate: (p, loss, w - rate * (p - y) * x.mean(), b_new)),
        "The order is: score, loss, new weights, new constant.": and_then(lambda p, loss, new, b_new, *_: (new, b_new, p, loss)),
        "These are the numbers of the example. Write the formulas that give them, for any event.": lambda *_: (0.5, 0.693, np.array([0.6, -0.95]), 0.05),
        "These are the slopes; the new parameters are the old ones minus rate times slope.": and_then(lambda p, loss, new, b_new, x, y, w, b, rate: (p, loss, (p - y) * x, p - y)),
        "These are the steps; they are still to be added to the old parameters.": and_then(lambda p, loss, new, b_new, x, y, w, b, rate: (p, loss, new - w, b_new - b)),
        "The score is z itself, without the sigmoid.": and_then(lambda p, loss, new, b_new, x, y, w, b, rate: (w @ x + b, loss, new, b_new)),
        "The activation at the output is a sigmoid here, not a ReLU.": stepped(score=lambda x, w, b: max(0.0, w @ x + b)),
        "Only the first two inputs enter. `x` and `w` may have any length: w @ x.": stepped(score=lambda x, w, b: 1 / (1 + np.exp(-(w[:2] @ x[:2] + b)))),
        "The label is not used: this is the loss and the step of a signal event, y = 1, whatever y is.": and_then(lambda p, loss, new, b_new, x, y, w, b, rate: (p, -np.log(p), w - rate * (p - 1) * x, b - rate * (p - 1))),
        "The sigmoid has the wrong sign: 1 / (1 + exp(-z)) rises with z.": stepped(score=lambda x, w, b: 1 / (1 + np.exp(w @ x + b))),
        "The constant is missing in z = w1 x1 + w2 x2 + ... + b.": stepped(score=lambda x, w, b: 1 / (1 + np.exp(-(w @ x)))),
        "Score and loss are those after the step. Asked for are those that the step is made from.": and_then(lambda p, loss, new, b_new, x, y, *_: (*gradient_step(x, y, new, b_new, 0)[:2], new, b_new)),
        "The loss has the wrong sign: logarithms of numbers below 1 are negative, the loss is positive.": and_then(lambda p, loss, *rest: (p, -loss, *rest[:2])),
        "The loss is that of a signal event whatever the label: for y = 0 it is -ln(1 - p).": and_then(lambda p, loss, *rest: (p, -np.log(p), *rest[:2])),
        "The loss is the squared error.": and_then(lambda p, loss, new, b_new, x, y, *_: (p, (p - y) ** 2, new, b_new)),
        "gradient_step should return the score and the loss and": and_then(lambda p, loss, new, b_new, *_: (new, b_new)),
        "changes its input in place": and_then(lambda p, loss, new, b_new, x, y, w, b, rate: (p, loss, np.subtract(w, rate * (p - y) * x, out=w), b_new)),
    },
    accepted=[
        numerically,
        lambda x, y, w, b, rate: (p := 1 / (1 + np.exp(-sum(w * x) - b)), -np.log(p if y else 1 - p), [wi - rate * (p - y) * xi for wi, xi in zip(w, x, strict=True)], b - rate * (p - y)),
    ],
)
def gradient_step(x, y, w, b, rate):
    p = 1 / (1 + np.exp(-(w @ x + b)))
    loss = -(y * np.log(p) + (1 - y) * np.log(1 - p))
    slope = p - y  # of the loss in z: (p - y) / (p (1 - p)) in p, times p (1 - p) for the sigmoid
    return p, loss, w - rate * slope * x, b - rate * slope


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
        came = type(given["x"]).__name__
        fail(f"model.fit got a {came} and no labels. Give it arrays, one by one: model.fit(x, y, ...).")
    watched = () if given["validation_data"] is None else given["validation_data"]
    if not isinstance(watched, tuple | list):
        fail(f"validation_data should be the tuple (inputs, labels, weights); what came is {describe(watched)}.")
    sets = {"training": (given["x"], given["y"], given["sample_weight"]), "validation": watched}
    seen = {
        f"the array of {name} {what}": "missing" if values is None else np.ravel(values) if what == "labels" else values
        for name, parts in sets.items()
        for what, values in itertools.zip_longest(("inputs", "labels", "weights"), parts)
    }
    others = ("validation_split", "validation_freq", "shuffle", "class_weight", "verbose", *options)
    named = {f"{name} in model.fit": given[name] for name in others}
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


def unpacks_two(model, train_set, validation_set, **options):
    x, y = train_set
    return model.fit(x, y, validation_data=validation_set, verbose=0, **options)


@exercise(
    "4.4",
    "a function that trains with weights on both parts",
    cases=two_sets,
    observe=training,
    hints=(
        "Unpack the training set: x, y, w = train_set. The validation set can stay as it is.",
        "model.fit(x, y, sample_weight=..., validation_data=..., verbose=0, **options)",
    ),
    mistakes={
        "model.fit was called 3 times; once is expected.": lambda *arguments, epochs, **options: [fit(*arguments, epochs=1, **options) for _ in range(epochs)][-1],
        "model.fit got a tuple and no labels. Give it arrays, one by one": passes(x=lambda t, v: t, y=None),
        "This calls your own function again. The method of the network is model.fit.": lambda model, t, v, **options: fit(t[0], t[1], sample_weight=t[2], validation_data=v, verbose=0, **options),
        "train_set has three members, inputs, labels and weights: x, y, w = train_set.": unpacks_two,
        "The two parts are exchanged.": lambda model, t, v, **options: fit(model, v, t, **options),
        "The weights stand in the place of the labels.": passes(y=lambda t, v: t[2], sample_weight=lambda t, v: t[1]),
        "The training weights are missing: sample_weight=w.": passes(sample_weight=None),
        "The labels stand in the place of the weights.": passes(sample_weight=lambda t, v: t[1]),
        "validation_split takes the last of the training events, and we have a validation part already: validation_data=validation_set.": passes(validation_data=None, validation_split=lambda t, v: 0.25),
        "model.fit got no validation_data, so that nobody watches for overtraining.": passes(validation_data=None),
        "validation_data should be the tuple (inputs, labels, weights)": passes(validation_data=lambda t, v: v[0]),
        "The training events serve as validation events, too: the loss on them cannot show overtraining.": passes(validation_data=lambda t, v: t),
        "The validation weights stand in the place of the labels: the order is inputs, labels, weights.": passes(validation_data=lambda t, v: (v[0], v[2], v[1])),
        "The validation events have the weights of the training events.": passes(validation_data=lambda t, v: (v[0], v[1], t[2])),
        "The validation weights are missing: with (inputs, labels) alone every event counts the same, and the validation loss cannot be compared with the training loss.": passes(validation_data=lambda t, v: v[:2]),
        "The weights are missing in both parts: sample_weight=w, and the whole of validation_set.": passes(sample_weight=None, validation_data=lambda t, v: v[:2]),
        "fit was called with epochs and batch_size, and model.fit without: the options are lost. Pass **options.": lambda *arguments, **options: fit(*arguments),
        "epochs is among the options already: leave the choice to the caller.": passes(epochs=lambda t, v: 6),
        "The third argument of model.fit is the batch size: name the weights, sample_weight=w.": lambda model, t, v, **options: model.fit(t[0], t[1], t[2], validation_data=v, verbose=0, **options),
        "options=options gives one argument of this name; two stars unpack the options: **options.": lambda model, t, v, **options: model.fit(t[0], t[1], sample_weight=t[2], validation_data=v, verbose=0, options=options),
        "train_on_batch makes one single step. model.fit trains.": lambda model, t, v, **options: model.train_on_batch(t[0], t[1], sample_weight=t[2]),
        "verbose is given twice, once among the options.": lambda model, *sets, **options: passes()(model, *sets, **options, verbose=0),
        "class_weight weighs the classes a second time: the event weights have done it.": passes(class_weight=lambda t, v: {0: 1.0, 1: 2.0}),
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
    score = np.round(1 / (1 + np.exp(-score)), 2)  # rounded: a score can occur twice
    yield labels, score, np.where(labels == 0, weights[::-1], weights)
    yield labels, score, weights  # an AUC below one half stays what it is


@exercise(
    "4.5",
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
        "This is the larger one of the AUC and one minus it. An AUC below one half is a message: signal scores below background.": lambda *events: max(weighted_auc(*events), 1 - weighted_auc(*events)),
        "This is 2 AUC - 1, the Gini coefficient.": lambda *events: 2 * weighted_auc(*events) - 1,
        "The first argument should be the labels themselves, 0 and 1: roc_auc_score(labels, score, ...).": lambda y, score, w: roc_auc_score(score, y, sample_weight=w),
        "roc_auc_score takes two arguments by position; the weights have a name, sample_weight=weights.": lambda y, score, w: roc_auc_score(y, score, w),
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
    "4.6",
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
        "These are means of the expected events; s and b are sums.": lambda y, p, w, cut, luminosity, fraction: [(w * luminosity / fraction)[(p >= cut) & (y == label)].mean() for label in (1, 0)],
        "& binds more strongly than ==: put brackets round each comparison, (score >= threshold) & (labels == 1).": lambda y, p, w, cut, *_: w[(p >= cut) & y == 1].sum(),
        "The two are exchanged: first s, then b.": lambda *sample: expected_events(*sample)[::-1],
        "An event exactly at the threshold passes: score >= threshold.": lambda y, p, w, cut, *scale: expected_events(y, p > cut, w, 1, *scale),
        "The threshold is not applied.": lambda y, p, w, cut, *scale: expected_events(y, p, w, 0, *scale),
        "The share of all events that pass was applied to both classes. Signal and background pass with different shares: sum over the events of each that pass.": lambda y, p, w, cut, *scale: np.multiply(expected_events(y, p, w, 0, *scale), (p >= cut).mean()),
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
    yield np.array([0.5, 0.7, 0.9]), np.array([0.1, 0.5, 0.3]), np.array([0.2, nan, 0.4])  # no background left in the test


def at(choose):
    return lambda thresholds, z, z_test: (thresholds[best := choose(z)], z_test[best])


@exercise(
    "4.7",
    "the cut chosen on the validation part, quoted on the test part",
    cases=scans,
    returns=("the threshold", "the significance"),
    hints=(
        "np.nanargmax gives the position of the largest entry and passes over NaN.",
        "The same position serves in all three arrays.",
    ),
    mistakes={
        "The cut is chosen on the test part, and so the test is no test any more.": lambda thresholds, z, z_test: choose_and_quote(thresholds, z_test, z_test),
        "Cuts that have no significance on the test part are left out, and so the test had a part in the choice.": lambda thresholds, z, z_test: choose_and_quote(thresholds[k := ~np.isnan(z_test)], z[k], z_test[k]),
        "The cut is chosen on both parts together: the test had a part in it. Choose on the validation part alone.": lambda thresholds, z, z_test: choose_and_quote(thresholds, z + z_test, z_test),
        "The significance is quoted from the validation part, the largest of many: it is flattered.": lambda thresholds, z, z_test: choose_and_quote(thresholds, z, z),
        "The largest threshold and the largest significance of the test part belong to no common cut.": lambda thresholds, z, z_test: (np.nanmax(thresholds), np.nanmax(z_test)),
        "The significance belongs to another cut: it is the largest of the test part, at whatever threshold.": lambda thresholds, z, z_test: (thresholds[np.nanargmax(z)], np.nanmax(z_test)),
        "np.argmax: NaN counts as the largest number there. np.nanargmax passes over it.": at(np.argmax),
        "np.argsort puts NaN last, as if it were the largest number. np.nanargmax passes over it.": at(lambda z: np.argsort(z)[-1]),
        "A comparison picks arrays of one entry. Take the position, np.nanargmax, and you get numbers.": lambda thresholds, z, z_test: (thresholds[z == np.nanmax(z)], z_test[z == np.nanmax(z)]),
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


def follows_a_rule(before, after):
    """Whether the entries are sorted, turned round, or moved on by so many rows, which takes no random number."""
    rolled = any((after == np.roll(before, k)).all() for k in range(1, len(before)))
    return rolled or any((after[::way] == before).all() or (np.diff(after[::way]) >= 0).all() for way in (1, -1))


def traces(permuted, inputs, column, rng):
    """What shuffling leaves and what it changes, since every generator gives another order."""
    result = np.asarray(call(permuted, inputs, column, rng, name="permuted"))
    if result.shape != inputs.shape:
        fail(f"permuted should return a table of shape {inputs.shape}; what came is {describe(result)}.")
    before, after, half = inputs[:, column], result[:, column], len(inputs) // 2
    others = (call(permuted, inputs, column, np.random.default_rng(seed), name="permuted") for seed in range(4))
    stays = np.array([np.asarray(other)[:, column] == before for other in others])
    if np.ptp(after) > 0 and not np.isin(after, before).all():  # neither NaN nor all the same
        fail("the column has entries that it did not have. It should keep its own, each once: use rng.permutation.")
    return {
        "the part outside the column": np.delete(result, column, axis=1),
        "the sorted column": np.sort(after),
        "'some entries have moved'": bool((after != before).any()),
        "'some have moved from one half to the other'": not np.isin(after[:half], before[:half]).all(),
        "'the new order is random'": not follows_a_rule(before, after),
        "what keeps its entry every time": " and ".join(f"row {i}" for i in np.flatnonzero(stays.all(axis=0))) or "no row",
    }


def all_but_the_first(inputs, column, rng):
    shuffled = inputs.copy()
    shuffled[1:, column] = rng.permutation(inputs[1:, column])
    return shuffled


def all_but_the_last(inputs, column, rng):
    return all_but_the_first(inputs[::-1], column, rng)[::-1]


def column_becomes(new):
    def permuted(inputs, column, rng):
        shuffled = inputs.copy()
        shuffled[:, column] = new(inputs[:, column], column, rng)
        return shuffled

    return permuted


@exercise(
    "4.8",
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
        "the column has entries that it did not have": column_becomes(lambda x, column, rng: rng.normal(size=len(x))),
        "The columns were exchanged, axis=1. The entries of one column should change rows.": lambda x, column, rng: rng.permutation(x, axis=1),
        "All columns were shuffled; only one is asked for.": lambda x, column, rng: rng.permuted(x, axis=0),
        "Another column was shuffled than the one asked for.": lambda x, column, rng: permuted(x, 2 - column, rng),
        "The column is now all the same, a value the network may never have seen. Shuffle its entries.": column_becomes(lambda x, column, rng: 0),
        "rng.choice draws with replacement: some entries come twice, others not at all. Use rng.permutation.": column_becomes(lambda x, column, rng: rng.choice(x, len(x))),
        "The column is now NaN: rng.shuffle(x) shuffles x itself and returns None. Use rng.permutation.": column_becomes(lambda x, column, rng: rng.shuffle(x.copy())),
        "rng.permutation(column) shuffles the numbers below `column`. Give it the entries, inputs[:, column].": column_becomes(lambda x, column, rng: rng.permutation(column)),
        "inputs is an array, not a pandas table: its column is inputs[:, column].": column_becomes(lambda x, column, rng: rng.permutation(x.values)),
        "The halves of the column were shuffled each by itself. Every entry should be able to reach every row.": column_becomes(lambda x, column, rng: np.concatenate([rng.permutation(half) for half in np.split(x, 2)])),
        "The entries were sorted, reversed or moved by a fixed number of rows. Let chance decide: rng.permutation.": column_becomes(lambda x, column, rng: np.sort(x)),
        "The first row always keeps its entry. Every entry should be able to reach every row.": all_but_the_first,
        "The last row always keeps its entry. Every entry should be able to reach every row.": all_but_the_last,
        "Three dots are left in the answer: they stand for what you write.": column_becomes(lambda *_: ...),
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
