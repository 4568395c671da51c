# %% [markdown]
# # 4 · A first network, and whether to believe it
#
# <!-- badges -->
#
# **After this lesson you will be able to**
#
# 1. compute a step of a training by hand, train a dense network with event weights, and improve a bad one step by step, each step judged on the validation part;
# 2. give its result as an analysis needs it: ROC, AUC, rejection and expected significance, each with its uncertainty, beside boosted trees on the same events;
# 3. question it: is it overtrained, is its score a probability and in which world, which inputs does it need, and what does a cut on it do to `mll`?
#
# **You need** lessons 2 and 3: weights of mean one, the scaler, three parts that share no event.
#
# **Time:** 135 minutes (110 to 120 without exercise 4.3), with a place for a break in the middle; the notebook itself runs in about 85 seconds on two CPU cores.

# %% tags=["setup"]
from coursekit import check, fetch, figure, hint, load_events, or_reference, progress, setup, show

WORK = setup("04")

# %% tags=["parameters"]
quick: bool = True
seed: int = 1

# %% [markdown]
# ## The settings, all in one place
#
# A comparison of networks is fair if each gets the same *budget*.
# Ours is a number of *epochs*: passes over the training events.
# The last step will break this rule, and we shall have to remember it when we judge its gain.
# The quick values make the notebook run in little more than a minute;
# the full ones, with `quick = False`, take about ten minutes on two CPU cores.
# A GPU would not make networks this small faster.

# %%
EPOCHS = 6 if quick else 60  # of each step of the improvement
LONGEST = 25 if quick else 200  # epochs at most, when early stopping decides
PATIENCE = 4 if quick else 20  # epochs without improvement before it stops
TRAININGS = 3  # of each step, from several random starts: what they differ by is part of every error
FOLDS = 5  # in each of five more trainings, another fifth of the events is kept for the test
LUMINOSITY = 138  # 1/fb, what CMS analyses of the years 2016 to 2018

# %% [markdown]
# ## The arrays of lessons 1 to 3
#
# Six inputs, labels (1 for $H \to WW$, 0 for Drell-Yan), weights with a mean of one in each class, and three parts, split by a hash of the event's identity.
# The scaler is fitted on the training part alone.

# %%
import itertools

import keras
import numpy as np
import pandas as pd

from coursekit.events import INPUT_BRANCHES, WEIGHT_BRANCHES, concatenate_events, event_weights, to_table
from coursekit.preprocess import Scaler
from coursekit.splitting import split_by_hash
from coursekit.weights import normalise_weights

IDENTITY = ["run", "luminosityBlock", "event"]
FILES = ["GluGluHToWWTo2L2Nu_M125.root", "DYJetsToLL_M-10to50-LO.root", "DYJetsToLL_M-50-LO.root"]
samples = [load_events(fetch(name), [*INPUT_BRANCHES, *WEIGHT_BRANCHES, *IDENTITY, "mll"]) for name in FILES]
signal, background = samples[0], concatenate_events(samples[1:])
events = concatenate_events([signal, background])

# %%
table = to_table(events, INPUT_BRANCHES)
labels = np.repeat([1.0, 0.0], [len(signal["mll"]), len(background["mll"])])
weights = np.concatenate([normalise_weights(event_weights(sample)) for sample in (signal, background)])
train, validation, test = split_by_hash(*(events[name] for name in IDENTITY), fractions=(0.6, 0.2, 0.2))

scaler = Scaler.fit(table[train], INPUT_BRANCHES, defaults={"ptTOT_cut": -1.0, "mTOT_cut": -1.0})
inputs = scaler.transform(table)
scaler.save(WORK / "variables.json")
show("training, validation, test events", (len(train), len(validation), len(test)))

# %% [markdown]
# ## A network, bad on purpose
#
# The smallest network is one *unit*: it multiplies each input by a weight of its own, adds the products and a constant, and gives one number.
# These weights are the *parameters* of the network and have nothing to do with event weights.
# Training changes them so that the *loss* falls, a number that is small when the outputs are close to the labels.
# As loss we take the mean squared error, and as the method *stochastic gradient descent*, SGD: after each *batch* of 1024 events, every parameter makes a step against the slope of the loss, of the size *learning rate* times slope.
# Keras starts from random parameters, so we fix the seed.

# %%
keras.utils.set_random_seed(seed)
bad = keras.Sequential([keras.Input((6,)), keras.layers.Dense(1)])
bad.compile(optimizer=keras.optimizers.SGD(0.001), loss="mean_squared_error")
bad.fit(inputs[train], labels[train], sample_weight=weights[train], batch_size=1024, epochs=EPOCHS, verbose=0)


def score_of(model, inputs):
    """The model's outputs (N, 1) as a flat array (N,)."""
    return keras.ops.convert_to_numpy(model(inputs, training=False))[:, 0].astype(float)


bad_score = score_of(bad, inputs[validation])

# %% [markdown]
# **Guess before you look:** where will the scores of signal and background lie, and could one read them as probabilities?

# %%
with figure("bad-scores") as ax:
    for label, name, line in [(1, "H → WW", "-"), (0, "Drell-Yan", "--")]:
        chosen = labels[validation] == label
        ax.hist(bad_score[chosen], np.linspace(-3, 3, 61), weights=weights[validation][chosen], density=True, histtype="step",
                linestyle=line, linewidth=1.8, label=f"{name} ({chosen.sum()} events)")  # fmt: skip
    for edge in (0, 1):
        ax.axvline(edge, color="black", linestyle=":", linewidth=1)
    ax.set_xlabel("score of the bad network")
    ax.set_ylabel("events, scaled to area one")
    ax.legend(fontsize=9)

# %%
outside = (bad_score < 0) | (bad_score > 1)
show("scores outside 0 and 1 [%]", 100 * outside.mean(), 0)

# %% [markdown]
# Scores below 0 and above 1 are no probabilities, and there are many: {{62 = scores outside 0 and 1 [%]}}%.
# How much of that is the fault of this kind of network, and how much of the training?
# For a linear unit and a squared error we need no training to find out, because least squares gives the best parameters at once.

# %%
columns = np.column_stack([inputs, np.ones(len(inputs))]).astype(float)  # the last one for the constant
root = np.sqrt(weights[train])
solution, *_ = np.linalg.lstsq(columns[train] * root[:, None], labels[train] * root, rcond=None)
best_linear = columns @ solution
for name, score in [("the bad network", bad_score), ("the best linear unit", best_linear[validation])]:
    error = np.average((score - labels[validation]) ** 2, weights=weights[validation])
    show(f"mean squared error of {name}", error, 2)
best_outside = (best_linear[validation] < 0) | (best_linear[validation] > 1)
show("scores of the best linear unit outside 0 and 1 [%]", 100 * best_outside.mean(), 0)

# %% [markdown]
# So the bad network has three faults, and the gravest is not its shape.
#
# 1. It is *undertrained*: it has hardly moved from its random start, because the learning rate is too small for so few steps. The same unit could reach a squared error of {{0.11 = mean squared error of the best linear unit}} instead of {{0.89 = mean squared error of the bad network}}.
# 2. Its output is not bounded. Even at its best, {{14 = scores of the best linear unit outside 0 and 1 [%]}}% of its scores are no probabilities.
# 3. It is linear, so it can only weigh one input against another, and never say "large `mth`, but only if `ptll` is not small".
#
# ## A network worth the name
#
# A *hidden layer* of units with an *activation* between input and output lets the network bend.
# ReLU is the usual activation: $f(x) = \max(0, x)$.
# At the output, the *sigmoid* $1/(1+e^{-x})$ gives a number between 0 and 1.
#
# ![A dense network drawn as circles and lines. Six inputs stand on the left, and each is joined to each of the 64 units of the hidden layer in the middle. The six lines into one hidden unit are thick: it computes the maximum of zero and a weighted sum of the six inputs and a constant. All hidden units are joined to one output unit on the right, which makes a weighted sum of the 64 numbers and a constant, and from it, with a sigmoid, the score p.](dense_network.svg)
#
# ### Your turn 4.1 · 8 min · ★★
#
# Write `build(n_inputs, units)`: an untrained `keras.Sequential` that takes `n_inputs` numbers, has one hidden layer of `units` units with ReLU, and gives one score between 0 and 1.


# %% tags=["exercise", "ex-4.1"]
def build(n_inputs, units): ...


# %% tags=["check", "ex-4.1"]
check("4.1", build)
build = or_reference("4.1", build)

# %%
show("parameters of the bad network", bad.count_params())
show("parameters with 64 hidden units", build(6, 64).count_params())

# %% [markdown]
# Count them in the drawing: 64 units with seven parameters each, and 65 in the output, are {{513 = parameters with 64 hidden units}}.
#
# For probabilities the natural loss is the *cross-entropy*: with label $y_i$, score $p_i$ and event weight $w_i$ of event $i$,
#
# $$ L = -\sum_i w_i \left[ y_i \ln p_i + (1 - y_i) \ln (1 - p_i) \right] \Big/ \sum_i w_i . $$
#
# A network that answers 0.5 to everything has $L = \ln 2 \approx 0.69$.
# To be wrong and modest costs little, to be wrong and certain costs much.
#
# ### Your turn 4.2 · 8 min · ★
#
# Write `cross_entropy(labels, score, weights)`, this loss, with NumPy.


# %% tags=["exercise", "ex-4.2"]
def cross_entropy(labels, score, weights): ...


# %% tags=["check", "ex-4.2"]
check("4.2", cross_entropy)
cross_entropy = or_reference("4.2", cross_entropy)

# %% [markdown]
# Scores of exactly 0 or 1, and those of the bad network beyond, would make the logarithm infinite.
# For the comparison we therefore keep all scores between 0.001 and 0.999.
# This is harmless for a network with a sigmoid; is it for the bad one?


# %%
def validation_loss(score, margin=0.001):
    return cross_entropy(labels[validation], np.clip(score, margin, 1 - margin), weights[validation])


for margin in (0.0001, 0.001, 0.01, 0.1):
    show(f"loss of the bad network, scores kept {margin} away from 0 and 1", validation_loss(bad_score, margin), 2)
show("loss of answering 0.5", validation_loss(np.full(len(validation), 0.5)), 2)

# %% [markdown]
# The loss of the bad network may be {{1.58 = loss of the bad network, scores kept 0.0001 away from 0 and 1}} or {{0.65 = loss of the bad network, scores kept 0.1 away from 0 and 1}}, as we like: it is a property of our margin more than of the network.
# We remember that for the first row of the table below.

# %% [markdown]
# ## One step by hand
#
# A training is nothing but a long row of small steps, and one of them fits on a sheet of paper.
# Take a single unit with a sigmoid, its inputs $x_1, x_2, \dots$, its weights $w_1, w_2, \dots$ and its constant $b$:
#
# $$ z = w_1 x_1 + w_2 x_2 + \dots + b, \qquad p = \frac{1}{1 + e^{-z}}, \qquad L = -\left[ y \ln p + (1 - y) \ln (1 - p) \right]. $$
#
# To the right, this is the *forward* pass: from the inputs to the score to the loss.
# Then we ask how the loss changes when a weight does, and the chain rule answers from right to left, which is why this is called *backpropagation*:
#
# $$ \frac{\partial L}{\partial w_1} = \frac{\partial L}{\partial p} \cdot \frac{\partial p}{\partial z} \cdot \frac{\partial z}{\partial w_1}, \qquad w_1 \leftarrow w_1 - \eta \, \frac{\partial L}{\partial w_1} , $$
#
# and the same for the other weights and for $b$; $\eta$ is the learning rate.
#
# ![One gradient step in three parts. First, forward, four boxes from left to right: the event with its label and the parameters w and b; the weighted sum z; the score p, its sigmoid; the loss L. Second, backward, three dashed arrows from right to left, with the slopes of L in p, of p in z and of z in w, whose product is the slope of L in w. Third, a curve of the loss against the weight: at the present weight the slope is negative, and the step against it leads to a larger weight and a smaller loss.](gradient_step.svg)
#
# ### Your turn 4.3 · 15 min · ★★★
#
# First on paper: let $x = (2, 1)$, $y = 1$, $w = (0.5, -1)$, $b = 0$ and $\eta = 0.1$.
# What are $p$, $L$, the three slopes, and the new $w$ and $b$?
#
# Then write it down for any event: `gradient_step(x, y, w, b, rate)` returns `p`, `loss`, `new_w`, `new_b`.
# Here `x` and `w` are arrays of the same length, and `p` and `loss` are those before the step.
# Use NumPy alone.


# %% tags=["exercise", "ex-4.3"]
def gradient_step(x, y, w, b, rate): ...


# %% tags=["check", "ex-4.3"]
check("4.3", gradient_step)
gradient_step = or_reference("4.3", gradient_step)

# %% [markdown]
# Keras must come to the same numbers, and we let it try: one unit with our weights, one event, one step of SGD.

# %%
x, w = np.array([2.0, 1.0]), np.array([0.5, -1.0])
p, loss, new_w, new_b = gradient_step(x, 1.0, w, 0.0, 0.1)
show("score before the step", p, 3)
show("loss before the step", loss, 3)
show("new weights and constant", tuple(f"{number:.3f}" for number in (*new_w, new_b)))

unit = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, activation="sigmoid")])
unit.set_weights([w[:, None], np.zeros(1)])
unit.compile(keras.optimizers.SGD(0.1), "binary_crossentropy")
unit.train_on_batch(x[None], np.ones(1))
show("those of Keras", tuple(f"{number:.3f}" for number in np.concatenate([v.ravel() for v in unit.get_weights()])))

_, after, *_ = gradient_step(x, 1.0, new_w, new_b, 0.1)
show("loss after the step", after, 3)

# %% [markdown]
# One step takes the loss from {{0.693 = loss before the step}} to {{0.554 = loss after the step}}.
# Look at the slope once more: it is $(p - y) \, x$.
# The more wrong the score, the larger the step; and an input that is zero does not move its weight.
# In a batch every event asks for a step of its own, and the mean of these steps, weighted by the event weights, is made.
# In a network with hidden layers the chain has more links, and nothing else is new.

# %% [markdown]
# ## Training with weights
#
# `model.fit` takes the training events and, as `validation_data`, those on which it reports the loss after each epoch.
# The weights have to be given twice: with `sample_weight=` for the training part, and as the third member of the tuple `(inputs, labels, weights)` for the validation part.
# Keras does not complain if either of them is missing.
#
# ### Your turn 4.4 · 8 min · ★★
#
# Write `fit(model, train_set, validation_set, **options)`.
# Both sets are tuples `(inputs, labels, weights)` of arrays; `options` (epochs, batch size ...) are passed on to `model.fit`.
# Your function trains silently (`verbose=0`), once, with the optimiser that the model has been compiled with, and returns what `model.fit` returns.


# %% tags=["exercise", "ex-4.4"]
def fit(model, train_set, validation_set, **options): ...


# %% tags=["check", "ex-4.4"]
check("4.4", fit)
fit = or_reference("4.4", fit)

# %% [markdown]
# ## Step by step
#
# `build_dense` is your `build` with any number of layers, any activation, and *dropout*: in each training step a random fraction of the units is switched off, so that none can rely on a single other one.
# Every step below changes one thing and keeps the changes before it.
#
# Three of them need a word.
# With *momentum*, a parameter keeps part of its velocity $v$ from step to step, like a ball that rolls down a valley: $v \leftarrow \mu v - \eta \, \partial L / \partial w$, then $w \leftarrow w + v$.
# With $\mu = 0.9$, steps in the same direction add up to ten times their size, and those to and fro cancel.
# *Nesterov* takes the slope where the ball will be, at $w + \mu v$, and so brakes earlier before it rolls up the other side.
# *Adam* has momentum as well, and a step size of its own for each parameter, tuned as it goes.
# *Early stopping* trains on while the validation loss falls, and takes back the best epoch.

# %%
from coursekit.nets.keras_nets import build_dense

SETTINGS = {"hidden": (), "activation": "linear", "dropout": 0.0, "optimiser": "SGD", "rate": 0.001, "batch": 1024}
SETTINGS |= {"extra": {}, "stop": False}
STEPS = {
    "sigmoid and cross-entropy": {},
    "three hidden layers of 64 units": {"hidden": (64, 64, 64)},
    "activation ReLU": {"activation": "relu"},
    "learning rate 0.1": {"rate": 0.1},
    "momentum 0.9, after Nesterov": {"extra": {"momentum": 0.9, "nesterov": True}},
    "optimiser Adam, its rate 0.003": {"optimiser": "Adam", "rate": 0.003, "extra": {}},
    "batches of 256": {"batch": 256},
    "dropout 0.1": {"dropout": 0.1},
    "early stopping": {"stop": True},
}


# %%
class Watch(keras.callbacks.Callback):
    """Keeps the scores of the validation events after each epoch."""

    def __init__(self):
        super().__init__()
        self.scores = []

    def on_epoch_end(self, epoch, logs=None):
        self.scores.append(score_of(self.model, inputs[validation]))


# %%
train_set, validation_set = ((inputs[part], labels[part], weights[part]) for part in (train, validation))


def train_network(number, hidden, activation, dropout, optimiser, rate, extra, batch, stop):
    keras.utils.set_random_seed(seed + number)
    model = build_dense(len(INPUT_BRANCHES), hidden, activation, dropout)
    optimiser = getattr(keras.optimizers, optimiser)(rate, **extra)
    # Between the steps of a training, TensorFlow hands control back to Keras; every 35 steps is enough, and faster.
    steps = 35 if keras.backend.backend() == "tensorflow" else 1
    model.compile(optimizer=optimiser, loss="binary_crossentropy", steps_per_execution=steps)
    watch, stopping = Watch(), keras.callbacks.EarlyStopping(patience=PATIENCE, restore_best_weights=True)
    callbacks = [watch, stopping] if stop else []
    history = fit(
        model, train_set, validation_set, epochs=LONGEST if stop else EPOCHS, batch_size=batch, callbacks=callbacks
    )
    return model, history.history | {"watched": watch.scores}


# %% [markdown]
# **Guess before you look:** which of the nine steps gains most, and which gains nothing?

# %%
networks, settings = {}, dict(SETTINGS)
for step, change in STEPS.items():
    settings |= change
    networks[step] = [train_network(number, **settings) for number in range(TRAININGS)]
model, history = networks["early stopping"][0]

# %%
y, w = labels[validation], weights[validation]


def losses(scores):
    """What each event adds to the validation loss of each network, (trainings, events)."""
    likely = np.clip(np.where(y == 1, scores, 1 - np.array(scores)), 0.001, 0.999)
    return -w / w.mean() * np.log(likely)


def with_error(values):
    """The mean over trainings and events; both differ, and both differences are in the error."""
    counting = values.mean(axis=0).std() / np.sqrt(len(w))
    training = values.mean(axis=1).std(ddof=1) / np.sqrt(TRAININGS)
    return values.mean(), np.hypot(counting, training)


of_step = {"one linear unit, squared error": losses([bad_score] * TRAININGS)}
for step, trained in networks.items():
    of_step[step] = losses([score_of(network, inputs[validation]) for network, _ in trained])
gains = {after: with_error(of_step[before] - of_step[after]) for before, after in itertools.pairwise(of_step)}
columns_of_table = {"validation loss": {step: with_error(values) for step, values in of_step.items()}, "gain": gains}
pd.DataFrame(columns_of_table).map(lambda pair: "{:.3f} ± {:.3f}".format(*pair) if np.ndim(pair) else "")

# %%
for step, name in [("optimiser Adam, its rate 0.003", "Adam"), ("batches of 256", "batches of 256"), ("dropout 0.1", "dropout"),
                   ("early stopping", "early stopping")]:  # fmt: skip
    show(f"gain of {name}", gains[step][0], 3, error=gains[step][1])
n_epochs = np.mean([len(history["loss"]) for _, history in networks["early stopping"]])
show("epochs of the last step, mean of three trainings", n_epochs, 0, spread=5)

# %% [markdown]
# Each number is the mean of three trainings.
# Its error has two parts, added in quadrature: other validation events would give another value, and so would other random starts.
# A gain compares the same events before and after, so its error is smaller than the errors of the two losses.
# What the table says, from above:
#
# - a sigmoid with its proper loss gains nothing that we could trust: the loss before it depends on our margin, and neither network has moved far from its random start, hence the large error;
# - layers without activation are still one linear sum, but a sum that learns faster;
# - ReLU makes the loss *larger* at first: the network could bend now, yet a learning rate of 0.001 hardly moves it in the time given. A rate a hundred times larger more than halves the loss. A step may need the next one before it pays;
# - momentum gains again, many standard deviations, and leaves little for Adam to gain. Much of what is praised in Adam is its momentum;
# - batches of 256 give four times as many steps per epoch, for a gain of {{gain of batches of 256}};
# - dropout gains nothing here ({{gain of dropout}}): within a short budget, a handicapped network learns more slowly;
# - the last step has the smallest loss of all, by {{gain of early stopping}}, and an unfair advantage. It trained for {{epochs of the last step, mean of three trainings}} epochs instead of six, so the gain is one of time as much as of the method. And its loss is the smallest over the epochs *on the very sample that judges it*, which flatters it a little. Only the test part is still innocent.
#
# The last four steps change the loss by a few thousandths each.
# To go on would be polishing, and each further choice would fit the validation part a little more.
#
# Here is the last step, epoch by epoch.
# A loss that is still falling says: train longer.
# A validation loss that turns upwards while the training loss falls says: the network is learning its training events by heart, which is called *overtraining*.

# %%
from coursekit.plots import plot_history

with figure("learning-curve") as ax:
    plot_history(ax, history)
    ax.set_ylabel("cross-entropy")
    ax.legend(fontsize=9, title=f"{len(train)} training, {len(validation)} validation events")

# %% [markdown]
# Why is the validation loss the lower one?
# Because dropout handicaps the training only, and because the training loss is a mean over an epoch in which the network was still improving.
# A gap of this sign is nothing to fear.
#
# ### A failure worth seeing
#
# Suppose that we had forgotten one thing, the weights of the validation events.
# Keras would have trained without a word, and made the very same steps, since validation events teach a network nothing; only early stopping listens to them, and might have stopped at another epoch.
# What changes is the curve that Keras reports.
# We need not train again to see it, because `Watch` has kept the scores after each epoch.
# **Guess:** what will the learning curve look like?

# %%
y, w, one_each = labels[validation], weights[validation], np.ones(len(validation))
watched = np.array(history["watched"])  # (epochs, events)
with_weights, forgotten = (
    [cross_entropy(y, np.clip(score, 0.001, 0.999), weight) for score in watched] for weight in (w, one_each)
)
show("with weights, this is what Keras has reported", np.allclose(with_weights, history["val_loss"], atol=0.001))

epochs = range(1, len(watched) + 1)
with figure("weights-forgotten") as ax:
    ax.plot(epochs, history["loss"], marker="o", markersize=4, label="training")
    ax.plot(epochs, forgotten, marker="s", markersize=4, label="validation, weights forgotten")
    ax.plot(epochs, with_weights, marker="^", markersize=4, label="validation, with weights")
    ax.set_xlabel("epoch")
    ax.set_ylabel("cross-entropy")
    ax.legend(fontsize=9, title=f"{len(validation)} validation events")

# %%
larger = 100 * (np.min(forgotten) / np.min(with_weights) - 1)
show("by how much the smallest loss is larger without weights [%]", larger, 0, spread=1)
low_mass = np.repeat([False, True, False], [len(sample["mll"]) for sample in samples])
of_background = validation[labels[validation] == 0]
show("share of low-mass Drell-Yan in the background, events [%]", 100 * low_mass[of_background].mean(), 0, spread=1)
share = np.average(low_mass[of_background], weights=weights[of_background])
show("share of low-mass Drell-Yan in the background, weighted [%]", 100 * share, 1)

# %% [markdown]
# Nothing in the network has changed, and yet the loss is {{6 = 6 within 2 = by how much the smallest loss is larger without weights [%]}}% larger, and the training loss falls through it and goes on falling.
# That looks like overtraining, and a careful person would now add more dropout, or stop earlier, and repair what is not broken.
# Look again: the curve without weights never *turns upwards*; it follows the other one down and flattens where that one does.
# A gap between two curves is not overtraining; here it only says that they measure different things.
#
# A part of the simulated background is Drell-Yan below 50 GeV, which looks more like the signal than the rest does.
# It makes {{50 = share of low-mass Drell-Yan in the background, events [%]}}% of the background events, but with weights it counts for no more than {{share of low-mass Drell-Yan in the background, weighted [%]}}.
# And events of weight zero, which failed a cut, count like all others.
# The repair is the third member of the tuple.
# The general rule: **before two numbers are compared, they have to be averages over the same thing.**
#
# ## A good place for a break
#
# What stands: you have made a gradient step by hand, trained a network with weights, and judged each of its improvements on the validation part.
# What comes: how good it is on events that nobody has looked at yet, and four questions to find out whether to believe it.
#
# ## How good is it? ROC and AUC
#
# We choose a threshold and keep what scores above it: a fraction $\epsilon_S$ of the signal passes, the *signal efficiency*, and a fraction $\epsilon_B$ of the background.
# All thresholds together draw the *ROC curve*, and the area under it, the *AUC*, is the probability that a signal event scores above a background event: 1 is perfect, 0.5 is a coin, and two equal scores count as half a victory.
# All of this is weighted, since both fractions are fractions of expected events.
#
# ### Your turn 4.5 · 5 min · ★
#
# Write `weighted_auc(labels, score, weights)`, with `roc_auc_score` from scikit-learn; labels are 1 for signal, whose scores should be high.

# %%
from sklearn.metrics import roc_auc_score


# %% tags=["exercise", "ex-4.5"]
def weighted_auc(labels, score, weights): ...


# %% tags=["check", "ex-4.5"]
check("4.5", weighted_auc)
weighted_auc = or_reference("4.5", weighted_auc)

# %% [markdown]
# ### Which one is the signal?
#
# One of the tutorials from which this course has grown says in its text that the signal has label 0, and in its code gives it label 1.
# It is a small slip, and nobody is told of it: the network trains, the curves look healthy, and whoever takes the labels from the text and the scores from the code reads off this AUC.

# %%
best_score = score_of(model, inputs[validation])
mixed_up = weighted_auc(1 - labels[validation], best_score, weights[validation])
show("AUC on the validation part, labels exchanged", mixed_up, 2, error=0.01)
show("AUC on the validation part", weighted_auc(labels[validation], best_score, weights[validation]), 2, error=0.01)

# %% [markdown]
# An AUC of {{0.05 = AUC on the validation part, labels exchanged}} is not a bad network, it is a very good one that is read upside down: a bad one would be near 0.5.
# So whenever a result is far *worse* than a coin, look for an exchanged label or a sign before you look at the network.
# In this course the signal is 1, everywhere.
#
# Two more numbers are often drawn epoch by epoch, the AUC and the *accuracy*, the share of events on the right side of 0.5.
# In Keras they go into `compile`, and there is a trap of the same kind as above: what stands in `metrics=[...]` is computed *without* weights even if `fit` is given some, and only `weighted_metrics=[...]` uses them.
# **Guess:** which of the two curves moves more when the weights are forgotten?

# %%
from coursekit.metrics import Estimate, accuracy, auc, auc_difference, bootstrap, rejection, roc_curve

with figure("accuracy-and-auc", columns=2) as axes:
    for ax, measure, name in zip(axes, (accuracy, auc), ("accuracy", "AUC"), strict=True):
        for weight, how, line in [(w, "with weights", "^-"), (one_each, "weights forgotten", "s--")]:
            of_epoch = [measure(labels[validation], score, weights=weight) for score in watched]
            ax.plot(epochs, [value for value, _ in of_epoch], line, markersize=4, label=f"validation, {how}")
        final = [measure(labels[validation], watched[-1], weights=weight).value for weight in (w, one_each)]
        show(
            f"{name} after the last epoch, minus that with the weights forgotten", final[0] - final[1], 3, spread=0.002
        )
        ax.set_xlabel("epoch")
        ax.set_ylabel(name)
        ax.legend(fontsize=9, title=f"{len(validation)} validation events")

# %% [markdown]
# Both curves rise by less than a hundredth after the first epoch, and scatter as they rise.
# The accuracy moves by {{0.004 = 0.004 within 0.002 = accuracy after the last epoch, minus that with the weights forgotten}} when the weights are forgotten, and the AUC by {{0.007 = 0.007 within 0.002 = AUC after the last epoch, minus that with the weights forgotten}}: that is more than all epochs after the first have brought.
# The accuracy is the weakest of our measures: it knows one threshold only, it depends on how common the signal is, and whoever calls everything background is right for two events out of three here.
#
# ### A rival
#
# A rival is due: *boosted trees*, hundreds of small decision trees each of which repairs what those before it got wrong.
# On a table of a few inputs they are hard to beat.
# They get the same inputs, events and weights, and the number of trees is chosen as we chose the number of epochs: by the validation loss.
# Each of their splits sees a random share of the inputs, so that three trainings differ from each other, as those of the network do.

# %%
from sklearn.ensemble import HistGradientBoostingClassifier


def train_trees(number):
    """Boosted trees, as many of them as make the validation loss smallest."""
    trees = HistGradientBoostingClassifier(
        max_iter=120, max_leaf_nodes=15, max_features=0.7, early_stopping=False, random_state=seed + number
    )
    trees.fit(inputs[train], labels[train], sample_weight=weights[train])
    of_number = [validation_loss(stage[:, 1]) for stage in trees.staged_predict_proba(inputs[validation])]
    trees.set_params(max_iter=int(np.argmin(of_number)) + 1)
    return trees.fit(inputs[train], labels[train], sample_weight=weights[train])


rivals = [train_trees(number) for number in range(TRAININGS)]
show("trees", np.mean([trees.n_iter_ for trees in rivals]), 0, spread=20)

# %% [markdown]
# All choices are made; now, and not before, we look at the test part.
# Its AUC has a statistical uncertainty: another 12 000 events would give another number.
# The *bootstrap* estimates it by drawing, again and again, as many events from our own, with replacement.
# **Guess:** is the third digit of the AUC worth printing?

# %%
y, w = labels[test], weights[test]
trained = {
    "network": [score_of(network, inputs[test]) for network, _ in networks["early stopping"]],
    "boosted trees": [trees.predict_proba(inputs[test])[:, 1] for trees in rivals],
    "bad network": [score_of(bad, inputs[test])] * TRAININGS,
    "best linear unit": [best_linear[test]] * TRAININGS,
}
scores = {name: of_tagger[0] for name, of_tagger in trained.items()}


def combined(results):
    """The mean of a measure over the trainings of a tagger; what they differ by is in its error."""
    values, errors = np.transpose(results)
    return Estimate(values.mean(), np.hypot(errors.mean(), values.std(ddof=1)))


for name, of_tagger in trained.items():
    area = combined([auc(y, score, w) for score in of_tagger])
    show(f"AUC of the {name}", area.value, 2 if name == "bad network" else 3, error=area.error)

# %%
drawn = bootstrap(weighted_auc, y, scores["network"], w, rng=np.random.default_rng(seed), n_replicas=50)
show("bootstrap error over that of the formula", drawn.error / auc(y, scores["network"], w).error, 1, spread=0.3)

# %% [markdown]
# `auc` computes the error with a formula (DeLong's) that agrees with the bootstrap and takes no time.
# The bad network and the best linear unit are the same kind of network: of the way from {{0.71 = AUC of the bad network}} to {{0.95 = AUC of the network}}, most ({{0.91 = AUC of the best linear unit}}) is a matter of training, and the rest of shape.
#
# Two taggers that are tried on the same events share most of the fluctuations, so the error of their *difference* is smaller than the error of either:

# %%
for rival, digits in [("bad network", 2), ("boosted trees", 3)]:
    pairs = zip(trained["network"], trained[rival], strict=True)
    better = combined([auc_difference(y, one, other, w) for one, other in pairs])
    show(f"AUC of the network minus that of the {rival}", better.value, digits, error=better.error)

# %% [markdown]
# The network and the trees agree within the error.
# When two methods as different as these arrive at the same value, it is probably near what these six inputs can give: better results need more inputs, not more layers.
# On tables as small as this one, trees are trained in a second and need no scaling, so they should always be tried; the networks of later lessons read what trees cannot read, images and sets of particles.
#
# An analysis works at one point of the curve.
# Physicists quote the *rejection* $1/\epsilon_B$ at a given signal efficiency: one background event survives out of so many.
# The panel below the curves shows the ratio to the trees, in which small differences can be seen.

# %%
from coursekit.plots import plot_roc

curves = {name: roc_curve(y, score, w) for name, score in scores.items()}
at = np.linspace(0.3, 1, 71)


def background_at(name):
    """The background efficiency of a tagger at each signal efficiency of `at`."""
    return np.interp(at, curves[name].signal_efficiency, curves[name].background_efficiency)


with figure("roc", rows=2, size=(7, 6.5), sharex=True, height_ratios=[3, 1]) as (ax, below):
    plot_roc(ax, curves)
    ax.set_ylim(1, 3000)
    ax.set_xlabel("")
    ax.legend(fontsize=9, title=f"{len(test)} test events")
    for name in curves:
        below.plot(at, background_at("boosted trees") / background_at(name))
    below.set_ylim(0, 2)
    below.set_xlabel("signal efficiency")
    below.set_ylabel("ratio to the trees")

# %%
table_of_rejections = {
    name: {
        f"signal efficiency {at}": str(combined([rejection(y, score, at, w) for score in of_tagger]))
        for at in (0.5, 0.7, 0.9)
    }
    for name, of_tagger in trained.items()
    if name != "best linear unit"
}
pd.DataFrame(table_of_rejections)

# %%
at_half = [combined([rejection(y, score, 0.5, w) for score in trained[name]]) for name in ("network", "bad network")]
for estimate, name in zip(at_half, ("network", "bad network"), strict=True):
    digits = 0 if name == "network" else 1
    show(f"rejection of the {name} at an efficiency of one half", estimate.value, digits, error=estimate.error)
behind = [(score[(y == 0) & (w > 0)] >= np.quantile(score[y == 1], 0.5)).sum() for score in trained["network"]]
show("simulated background events behind it", np.mean(behind), 0, spread=10)

# %% [markdown]
# Each number is again a mean of three trainings, and what they differ by is in its error.
# At an efficiency of one half, one background event survives out of {{rejection of the network at an efficiency of one half}}, and one out of {{rejection of the bad network at an efficiency of one half}} for the bad network.
# The first number rests on {{simulated background events behind it}} simulated events, and not on the same ones in each training, hence its large error.
# To the left of 0.3 the curve is a staircase: each step is one simulated event, and the ratio below it means nothing there.
#
# ### Precision and recall
#
# Outside of physics, *precision-recall* curves are more common than ROC curves.
# *Recall* is another word for the signal efficiency; *precision* is the share of signal among the events that pass, which we call *purity*:
#
# $$ \text{precision} = \frac{\pi \, \epsilon_S}{\pi \, \epsilon_S + (1 - \pi) \, \epsilon_B} , $$
#
# where $\pi$ is the share of signal before the cut.
# A ROC curve belongs to a tagger alone; a precision-recall curve belongs to a tagger *in a world* with this $\pi$.
# There are two worlds here: the one of our weights, and the one of the data, in which every event counts as often as it is expected to happen.
# **Guess:** how pure is the selection in each of them, at a recall of one half?

# %%
per_fb = event_weights(events)  # the events of 1/fb that each simulated one stands for
shares = {
    "the weights of the training": weights[train][labels[train] == 1].sum() / weights[train].sum(),
    "the data": per_fb[labels == 1].sum() / per_fb.sum(),
}
show("share of signal in the weights of the training", shares["the weights of the training"], 2)
show("background events for each signal event, in the data", 1 / shares["the data"] - 1, 0)

with figure("precision-recall", size=(6.5, 4.2)) as ax:
    for (world, share), line in zip(shares.items(), ("-", "--"), strict=True):
        precision = share * at / (share * at + (1 - share) * background_at("network"))
        ax.plot(at, precision, line, label=f"share of signal of {world}")
        show(f"precision at a recall of one half, {world}", precision[np.argmin(abs(at - 0.5))], 3, spread=0.01)
    ax.set_yscale("log")
    ax.set_xlabel("recall (signal efficiency)")
    ax.set_ylabel("precision (purity)")
    ax.legend(fontsize=9, title=f"network, {len(test)} test events")

# %% [markdown]
# The same network, the same cut, and a purity of {{98% = precision at a recall of one half, the weights of the training}} or of {{1% = precision at a recall of one half, the data}}: before a precision is worth anything, somebody has to say how common the signal is.
# In the data there are {{background events for each signal event, in the data}} events of our two backgrounds for each signal event.
#
# ### Five trainings on five folds
#
# The test part holds 12 000 events, a fifth of what we have.
# With the folds of lesson 3 each event can be a test event once: we divide all events into five folds, train five times, each time on four of the folds, and test on the fifth.
# We do it with the trees, which take a second for each training; with networks it is the same, only that each of them would need a scaler fitted on its own four folds.

# %%
from sklearn.base import clone

from coursekit.splitting import stratified_folds

out_of_fold, of_fold = np.empty(len(labels)), []
for known, new in stratified_folds(labels, FOLDS, np.random.default_rng(seed)):
    trees = clone(rivals[0]).fit(inputs[known], labels[known], sample_weight=weights[known])
    out_of_fold[new] = trees.predict_proba(inputs[new])[:, 1]
    of_fold.append(auc(labels[new], out_of_fold[new], weights[new]))

areas, errors = np.transpose(of_fold)
show("mean AUC of the five folds", areas.mean(), 3, error=areas.std(ddof=1) / np.sqrt(FOLDS))
show("spread of the five", areas.std(ddof=1), 3, spread=0.001)
show("error of one fold", errors.mean(), 3, spread=0.001)
at_half = {
    "test part": rejection(y, scores["boosted trees"], 0.5, w),
    "folds": rejection(labels, out_of_fold, 0.5, weights),
}
for part, estimate in at_half.items():
    show(f"rejection of the trees at one half, {part}", estimate.value, 0, error=estimate.error)

# %% [markdown]
# The five values spread by {{spread of the five}}, and the error of one fold, {{error of one fold}}, says that they should: as far as five values can tell, other training events add little to it.
# The gain is in the errors, which fall with the square root of the number of test events.
# For a rejection, where a few simulated events decide, that is welcome: {{rejection of the trees at one half, folds}} instead of {{rejection of the trees at one half, test part}}.
# The price is five trainings, and that we now have five taggers and not one: in an analysis, each event is given the score of the tagger that has not seen it.
# One reservation: the number of trees was chosen on validation events that are in these folds as well, so the mean may be flattered a little.
#
# ## How many events, how significant?
#
# Efficiencies discover nothing; counts do.
# Above a threshold we expect $s$ signal and $b$ background events in the data.
# The weights of lesson 2, before they were divided by their mean, give these counts: each simulated event stands for so many real ones per inverse femtobarn, and the test part holds a fifth of the simulated events.
#
# ### Your turn 4.6 · 10 min · ★★
#
# Write `expected_events(labels, score, per_fb, threshold, luminosity, fraction)` that returns $s$ and $b$, two numbers: the expected events with a score of at least `threshold` at this luminosity.
# `per_fb` are the events at 1/fb that each simulated one stands for in the *whole* sample; our arrays hold only the share `fraction` of it.


# %% tags=["exercise", "ex-4.6"]
def expected_events(labels, score, per_fb, threshold, luminosity, fraction): ...


# %% tags=["check", "ex-4.6"]
check("4.6", expected_events)
expected_events = or_reference("4.6", expected_events)

# %% [markdown]
# Three measures of significance are common, and differ in what they leave out:
#
# - $s/\sqrt{s+b}$: the signal in units of the fluctuation of all events;
# - $s/\sqrt{b}$: in units of the fluctuation of the background alone, for small $s$; it goes to infinity with $b \to 0$;
# - Asimov's $Z$ with a background uncertainty $\sigma_b$ (the formula is in the documentation of `asimov_significance`, its sources are at the end of this lesson): the discovery significance of a count when the background is not known exactly.
#
# Two things limit our knowledge of $b$: the theory and the detector, say 2%, and the number of simulated events, $\sqrt{\sum w^2}$ for those that pass.

# %%
from coursekit.metrics import asimov_significance, significance

thresholds = np.linspace(0.5, 0.995, 100)


def three_measures(s, b, of_simulation):
    """The three significances, (3, ...), of yields and of the error that simulated events leave on b."""
    with np.errstate(divide="ignore", invalid="ignore"):
        z = asimov_significance(s, b, np.hypot(0.02 * b, of_simulation))
        return np.array([significance(s, b)[0], s / np.sqrt(b), z])


def scan(part, score):
    """The significances at every threshold, (3, thresholds), and the number of simulated background events above it."""
    fraction = len(part) / len(labels)
    above = score >= thresholds[:, None]  # (thresholds, events)
    s, b = np.transpose(
        [expected_events(labels[part], score, per_fb[part], cut, LUMINOSITY, fraction) for cut in thresholds]
    )
    of_background = np.where(labels[part] == 0, per_fb[part], 0) * LUMINOSITY / fraction
    z = three_measures(s, b, np.sqrt((above * of_background**2).sum(axis=1)))
    return z, (above & (of_background > 0)).sum(axis=1)


# %%
scans = [
    (*scan(validation, score_of(network, inputs[validation])), *scan(test, score))
    for (network, _), score in zip(networks["early stopping"], trained["network"], strict=True)
]
z_validation, n_validation, z_test, n_test = scans[0]

# %% [markdown]
# **Guess before you look:** where on the axis is the best cut?

# %%
MEASURES = ["s/√(s+b)", "s/√b", "Asimov, uncertain b"]
with figure("significance", columns=2) as axes:
    enough = n_validation >= 10
    axes[0].plot(thresholds, z_validation[0], label=f"{MEASURES[0]}, validation")
    axes[0].plot(thresholds, z_validation[1], label=f"{MEASURES[1]}, validation")
    axes[0].plot(thresholds, z_test[1], label=f"{MEASURES[1]}, test")
    axes[0].axvline(thresholds[enough][-1], color="black", linestyle=":", linewidth=1)
    axes[1].plot(thresholds[enough], z_validation[2][enough], label=f"{MEASURES[2]}, validation")
    axes[1].plot(thresholds[enough], z_test[2][enough], label=f"{MEASURES[2]}, test")
    for ax in axes:
        ax.set_xlabel("cut on the score")
        ax.set_ylabel(f"expected significance at {LUMINOSITY}/fb")
        ax.legend(fontsize=9, title=f"{len(validation)} validation, {len(test)} test events", loc="upper left")

# %%
best = [np.nanargmax(z_validation[1]) for z_validation, *_ in scans]
left = np.mean([(scan[1][cut], scan[3][cut]) for scan, cut in zip(scans, best, strict=True)], axis=0)
for part, number in zip(("validation", "test"), left, strict=True):
    show(f"simulated background events behind the best s/√b, mean of three trainings, {part}", number, 0, spread=2)

# %% [markdown]
# A significance of fifty or more, let alone an infinite one, would be the end of the search.
# It is too good, so we doubt it: behind it are {{two or three = 0 to 5 = simulated background events behind the best s/√b, mean of three trainings, validation}} simulated background events, or none at all, and they happen to have small weights; on the test part the same cuts give far less.
# The scan has found the place where our simulation runs out, and not the place where the signal is.
# So we demand at least ten simulated background events on the validation part, and let the significance be NaN, "not a number", where there are fewer.
#
# ### Your turn 4.7 · 5 min · ★★
#
# The best cut is a choice, so it is made on the validation part.
# Its significance there is the largest of a hundred and therefore flattered; the one to quote is that of the same cut on the test part.
# Write `choose_and_quote(thresholds, z_validation, z_test)` that returns the best threshold and the significance to quote, two numbers.
# Entries of both arrays may be NaN, anywhere; a cut whose `z_validation` is NaN is not to be chosen.


# %% tags=["exercise", "ex-4.7"]
def choose_and_quote(thresholds, z_validation, z_test): ...


# %% tags=["check", "ex-4.7"]
check("4.7", choose_and_quote)
choose_and_quote = or_reference("4.7", choose_and_quote)

# %% [markdown]
# How well do we know such a number?
# We ask the *Poisson bootstrap*: in each replica every simulated event comes not once but $k$ times, with $k$ from a Poisson distribution of mean one, and we look how far the significances of the replicas lie apart.
# Another simulation of the same size would differ from ours by as much.


# %%
def bootstrap_error(score, cut, rng, n_replicas=400):
    """The errors of the three significances on the test part at one cut, (3,)."""
    passed = score >= cut
    one_event = per_fb[test][passed] * LUMINOSITY * len(labels) / len(test)  # the expected events that it stands for
    times = rng.poisson(1.0, (n_replicas, passed.sum()))
    s, b = times @ (one_event * (y[passed] == 1)), times @ (one_event * (y[passed] == 0))
    z = three_measures(s, b, np.sqrt(times @ (one_event**2 * (y[passed] == 0))))
    z = np.where(np.isfinite(z), z, np.nan)  # without replicas that have no background at all
    low, high = np.nanpercentile(z, (16, 84), axis=1)  # two thirds of all replicas lie between them
    return (high - low) / 2


# %%
rng = np.random.default_rng(seed)
n_behind = []
for row, name in enumerate(MEASURES):
    cuts, quoted, errors = [], [], []
    for (z_validation, n_validation, z_test, n_test), score in zip(scans, trained["network"], strict=True):
        trusted = np.where(n_validation >= 10, z_validation[row], np.nan)
        cut, z = choose_and_quote(thresholds, trusted, z_test[row])
        cuts.append(cut)
        quoted.append(z)
        errors.append(bootstrap_error(score, cut, rng)[row])
        n_behind.append(n_test[np.argmin(abs(thresholds - cut))])
    show(f"{name}: best cut", np.mean(cuts), 2, spread=0.05)
    error = np.hypot(np.mean(errors), np.std(quoted, ddof=1))
    digits = 2 if np.mean(quoted) < 1 else 0
    show(f"{name}: significance, chosen on validation, quoted on test", np.mean(quoted), digits, error=error)
show("simulated background events of the test part behind these cuts, mean", np.mean(n_behind), 0, spread=5)
s, b = expected_events(y, scores["network"], per_fb[test], cuts[0], LUMINOSITY, len(test) / len(labels))
show("signal over background behind the last cut [%]", 100 * s / b, 0, spread=2)

# %% [markdown]
# The maxima are flat, so the cuts are known only roughly; the significances hardly depend on them.
# Why does the number fall from {{17 = 17 within 4 = s/√(s+b): significance, chosen on validation, quoted on test}} to {{0.08 = 0.08 within 0.03 = Asimov, uncertain b: significance, chosen on validation, quoted on test}}?
# With {{simulated background events of the test part behind these cuts, mean}} simulated events, the background is known to about a third, and a signal of {{3 = 3 within 2 = signal over background behind the last cut [%]}}% of the background drowns in that.
# The formulas without uncertainty do not lie, they answer another question.
#
# Where simulated events limit us, $\sigma_b \approx b / \sqrt{n}$ with $n$ of them behind the cut, and so $Z \approx s / \sigma_b = (s/b) \sqrt{n}$: four times the simulation makes twice the significance.
# That is the first way out, and the folds from above are a part of it, since with them all simulated events may be used.
# The second is to find inputs that leave less background.
# The last section names one.
#
# ## Is it overtrained?
#
# If it is, its scores have another distribution on the training part than on the test part.
# The *Kolmogorov-Smirnov distance* is the largest difference between the two cumulative distributions, here with weights.


# %%
def ks_distance(one, one_weights, other, other_weights):
    """The largest distance between two weighted cumulative distributions."""
    where = np.concatenate([one, other])
    cumulative = []
    for score, weight in [(one, one_weights), (other, other_weights)]:
        order = np.argsort(score)
        below = np.concatenate([[0], np.cumsum(weight[order])]) / weight.sum()
        cumulative.append(below[np.searchsorted(score[order], where, side="right")])
    return np.abs(cumulative[0] - cumulative[1]).max()


def n_effective(weight):
    """The number of events of equal weight that would fluctuate as much."""
    return weight.sum() ** 2 / (weight**2).sum()


# %%
on_train = score_of(model, inputs[train])
bins = np.linspace(0, 1, 26)
middle = (bins[1:] + bins[:-1]) / 2


def density(part, score, label):
    """The distribution of the scores of one class, scaled to area one, and its error."""
    chosen = labels[part] == label
    w = weights[part][chosen]
    total = w.sum() * (bins[1] - bins[0])
    return (np.histogram(score[chosen], bins, weights=w)[0] / total,
            np.sqrt(np.histogram(score[chosen], bins, weights=w**2)[0]) / total)  # fmt: skip


# %%
with figure(
    "overtraining",
    rows=2, size=(7, 6), sharex=True, gridspec_kw={"height_ratios": [3, 1]},
) as (ax, below):  # fmt: skip
    for label, name, line, shift in [(1, "H → WW", "-", 0.004), (0, "Drell-Yan", "--", -0.004)]:
        marks = {"linestyle": "", "color": f"C{1 - label}", "marker": "so"[label], "markersize": 4}
        known, its_error = density(train, on_train, label)
        new, error = density(test, scores["network"], label)
        ax.stairs(known, bins, color=f"C{1 - label}", linestyle=line, linewidth=1.8, label=f"{name}, training")
        ax.errorbar(middle, new, error, label=f"{name}, test", **marks)
        below.errorbar(middle + shift, new / known, new / known * np.hypot(error / new, its_error / known), **marks)
    below.axhline(1, color="black", linewidth=1, linestyle=":")
    below.set_ylim(0, 3.5)
    below.set_ylabel("test / training")
    below.set_xlabel("score")
    ax.set_yscale("log")
    ax.set_ylabel("events, scaled to area one")
    ax.legend(fontsize=9, title=f"{len(train)} training, {len(test)} test events")

# %%
for label, name in [(1, "H → WW"), (0, "Drell-Yan")]:
    a, b = labels[train] == label, labels[test] == label
    distance = ks_distance(on_train[a], weights[train][a], scores["network"][b], weights[test][b])
    chance = np.sqrt(1 / n_effective(weights[train][a]) + 1 / n_effective(weights[test][b]))
    show(f"KS distance of {name}", distance, 3, error=0.26 * chance)
    show("which chance exceeds once in a hundred", 1.63 * chance, 3)
show("test over training in the last bin of Drell-Yan", (new / known)[-1], 1,
     error=(new / known * np.hypot(error / new, its_error / known))[-1])  # fmt: skip

# %% [markdown]
# Both distances stay below the value that chance exceeds once in a hundred times; the error behind each is that of a distance which is due to chance alone.
# The ratio scatters about one, most where a bin holds few events and its error is large.
# Three warnings.
# The distance is blind where few events are, and there we cut: in the last bin of Drell-Yan the ratio is {{test over training in the last bin of Drell-Yan}}, and if that were no accident, the background behind our cut would be twice what the training part makes us believe.
# This is one more reason to quote the test part.
# A network that passes can still be slightly overtrained, since the distance shows only what is larger than the fluctuations of a few thousand events.
# And a network that fails can still be the better one on new events; what decides between two networks is always the result on events that neither has seen.
#
# ## Is the score a probability?
#
# If it is, then of all events with a score near 0.7, weighted, 70% are signal.
# The *reliability diagram* shows it.
#
# But in which world?
# The weights have a mean of one in each class, and there are twice as many background events as signal events, so the share of signal is {{share of signal in the weights of the training}}: that is the world in which the network has learned.
# In another world, with signal as common as background or a thousand times rarer, the same score belongs to another probability.
# We look at two: the world of the training, and one in which signal and background are equally common.
# There the score $p$ has to be translated: the odds $p / (1 - p)$ are multiplied by the ratio of the two prior odds, $\frac{1/2}{1/2} : \frac{1/3}{2/3} = 2$, so that the probability is $2p / (1 + p)$.

# %%
edges = np.linspace(0, 1, 11)
score = scores["network"]


def reliability(w):
    """Mean score of each bin, share of signal and its error, and the weight of the bin."""
    weight, of_signal, of_scores = (np.histogram(score, edges, weights=factor * w)[0] for factor in (1, y, score))
    share = of_signal / weight
    of_bin = share[np.clip(np.digitize(score, edges) - 1, 0, 9)]
    error = np.sqrt(np.histogram(score, edges, weights=(w * (y - of_bin)) ** 2)[0]) / weight
    return of_scores / weight, share, error, weight


in_training, in_equal = reliability(w), reliability(np.where(y == 1, w / w[y == 1].sum(), w / w[y == 0].sum()))
with figure("reliability", size=(5.5, 5)) as ax:
    for (x, share, error, _), marker, world in [(in_training, "o", "a third signal"), (in_equal, "s", "half signal")]:
        ax.errorbar(x, share, error, linestyle="", marker=marker, label=f"network, {world}")
    p = np.linspace(0, 1, 101)
    ax.plot(p, p, color="black", linestyle=":", label="the score is the probability")
    ax.plot(p, 2 * p / (1 + p), color="grey", linestyle="--", label="translated, 2p / (1 + p)")
    ax.set_xlabel("mean score of the bin")
    ax.set_ylabel("weighted share of signal")
    ax.legend(fontsize=9, title=f"{len(test)} test events")

# %%
for (x, share, error, weight), world in [(in_training, "a third signal"), (in_equal, "half signal")]:
    show(f"mean distance from the diagonal, {world}", np.average(np.abs(share - x), weights=weight), 2,
         error=np.average(error, weights=weight))  # fmt: skip
x, share, error, weight = in_equal
translated = np.average(np.abs(share - 2 * x / (1 + x)), weights=weight)
show("mean distance from the translated line, half signal", translated, 2, error=np.average(error, weights=weight))
show("share of signal at a score of 0.45, half signal", share[4], 2, error=error[4])

# %% [markdown]
# In the world of its training, the score may be read as a probability, as far as our events can tell.
# Cross-entropy brings that about, since it is smallest for true probabilities; an overtrained network would be too certain of itself, and its points would lie on a flatter line.
# In the other world the same score is wrong, up to {{0.64 = share of signal at a score of 0.45, half signal}} where it says 0.45, and one line of arithmetic repairs it.
# For the data, where signal is one event in thousands, it has to be translated in the same way, and hardly any score is then near one.

# %% [markdown]
# ## What does it use?
#
# Two inputs that carry the same information share the credit, so we look first at how they are correlated, in signal and in background.

# %%
with figure("correlations", columns=2) as axes:
    for ax, label, name in zip(axes, (1, 0), ("H → WW", "Drell-Yan"), strict=True):
        chosen = train[labels[train] == label]
        matrix = np.cov(inputs[chosen].T.astype(float), aweights=weights[chosen])
        spread = np.sqrt(np.diag(matrix))
        matrix = matrix / np.outer(spread, spread)
        image = ax.imshow(matrix, vmin=-1, vmax=1, cmap="PuOr")
        for i, j in np.ndindex(matrix.shape):
            colour = "white" if abs(matrix[i, j]) > 0.7 else "black"
            text = f"{matrix[i, j]:.1f}".replace("-0.0", "0.0")
            ax.text(j, i, text, ha="center", va="center", fontsize=8, color=colour)
        ax.set_xticks(range(6), INPUT_BRANCHES, rotation=45, ha="right", fontsize=9)
        ax.set_yticks(range(6), INPUT_BRANCHES, fontsize=9)
        ax.set_title(f"{name} ({len(chosen)} events)", fontsize=11)

# %% [markdown]
# *Permutation importance*: we shuffle one input among the events, so that it has the same distribution as before but says nothing about its event, and see how much AUC is lost.
# The network is not trained anew.
#
# ### Your turn 4.8 · 5 min · ★
#
# Write `permuted(inputs, column, rng)`: a copy of the table, a NumPy array with one row per event, in which the entries of the column with this number are shuffled by the generator `rng`, over all rows.


# %% tags=["exercise", "ex-4.8"]
def permuted(inputs, column, rng): ...


# %% tags=["check", "ex-4.8"]
check("4.8", permuted)
permuted = or_reference("4.8", permuted)

# %%
rng = np.random.default_rng(seed)
lost, lost_error = [], []
for column in range(len(INPUT_BRANCHES)):
    drops = [
        auc_difference(y, scores["network"], score_of(model, permuted(inputs[test], column, rng)), w) for _ in range(5)
    ]
    values = [drop.value for drop in drops]
    lost.append(np.mean(values))
    lost_error.append(
        np.hypot(drops[0].error, np.std(values, ddof=1) / np.sqrt(5))
    )  # of the events, and of the shuffles

# %% [markdown]
# This says what is lost if an input is *destroyed* under a network that counts on it.
# Another question is what is lost if the input has never been there, and the others may stand in for it.
# For that, a new training without the input is needed, one for each input; the trees do it in a second each.

# %%
without, without_error = [], []
for column in range(len(INPUT_BRANCHES)):
    others = np.delete(inputs, column, axis=1)
    anew = clone(rivals[0]).fit(others[train], labels[train], sample_weight=weights[train])
    drop = auc_difference(y, scores["boosted trees"], anew.predict_proba(others[test])[:, 1], w)
    without.append(drop.value)
    without_error.append(drop.error)

# %% [markdown]
# **Guess before you look:** in which order do the inputs come, and is it the same order both times?

# %%
with figure("importance", columns=2, size=(11, 3.8), sharey=True) as axes:
    order = np.argsort(lost)
    for ax, values, errors, how, marker in [
        (axes[0], lost, lost_error, "shuffling it, network", "o"),
        (axes[1], without, without_error, "training without it, trees", "s"),
    ]:
        ax.errorbar(np.array(values)[order], np.arange(6), xerr=np.array(errors)[order], linestyle="", marker=marker,
                    capsize=3, label=f"{len(test)} test events")  # fmt: skip
        ax.axvline(0, color="black", linestyle=":", linewidth=1)
        ax.set_xlabel(f"AUC lost by {how}")
        ax.legend(fontsize=9, loc="lower right")
    axes[0].set_yticks(range(6), np.array(INPUT_BRANCHES)[order])

# %%
most = int(np.argmax(lost))
show("most important input", INPUT_BRANCHES[most])
show("AUC lost by shuffling it", lost[most], 2, error=lost_error[most])
show("AUC lost by training without it", without[most], 3, error=without_error[most])
show("standard deviations of the least important input, shuffled", min(np.array(lost) / lost_error), 0, spread=3)

# %% [markdown]
# Mind the axes: the right one is some forty times finer.
# As guessed in lesson 1, {{`mth` = most important input}} carries most, and shuffled it costs {{AUC lost by shuffling it}} in AUC, most of what there is.
# Yet a tagger that never had it loses only {{AUC lost by training without it}}: nearly all that `mth` knows, the other five know together.
# Both numbers are right, and they answer different questions.
# The first is about *this* network, which leans on `mth`; and a shuffled `mth` also contradicts `ptll`, with which it is correlated by 0.6 in Drell-Yan, so that the network sees events that cannot exist.
# The second is about the information.
# If you want to know whether an input may be left out, the second is the one to ask; a ranking by the first alone would have called `mth` indispensable.
#
# ## What does a cut do to `mll`?
#
# `mll` is not among the inputs.
# An analysis may still want to fit its distribution, and a background that was smooth before the cut may have a bump after it: the cut *sculpts* it.
# So we look.

# %%
CUT = 0.5
passed = scores["network"] >= CUT
mll = events["mll"][test]
bins = np.linspace(10, 130, 25)
with figure("mll", columns=2) as axes:
    for ax, label, name in zip(axes, (1, 0), ("H → WW", "Drell-Yan"), strict=True):
        for chosen, line, which in [(y == label, "-", "all"), ((y == label) & passed, "--", f"score above {CUT}")]:
            ax.hist(mll[chosen], bins, weights=w[chosen], density=True, histtype="step", linestyle=line, linewidth=1.8,
                    label=f"{which} ({chosen.sum()} events)")  # fmt: skip
        ax.set_title(name, fontsize=11)
        ax.set_xlabel("mll [GeV]")
        ax.set_ylabel("events / GeV, scaled to area one")
        ax.legend(fontsize=9)

# %%
on_peak = np.abs(mll - 91.2) < 10


def share_on_peak(chosen):
    """The share of these events within 10 GeV of the Z mass [%], and its error."""
    share = np.average(on_peak[chosen], weights=w[chosen])
    return 100 * share, 100 * np.sqrt(share * (1 - share) / n_effective(w[chosen]))


share, error = share_on_peak(y == 0)
show("background within 10 GeV of the Z mass, before the cut [%]", share, 1, error=error)
share, error = combined([share_on_peak((y == 0) & (score >= CUT)) for score in trained["network"]])
show("background within 10 GeV of the Z mass, after the cut [%]", share, 1, error=error)
show("simulated background events after the cut", ((y == 0) & passed & (w > 0)).sum(), 0, spread=50)

# %% [markdown]
# The share at the Z mass is the same within the errors: {{background within 10 GeV of the Z mass, before the cut [%]}} before and {{background within 10 GeV of the Z mass, after the cut [%]}} after.
# As far as {{some hundreds of = > 100 = simulated background events after the cut}} simulated events can tell, this cut does not sculpt the background.
# We also learn where the surviving background is.
# Three quarters of it sit in a peak where there is hardly any signal, and the network cannot know, since `mll` is not among its inputs.
# That is the input that the section on significance asked for, and a good experiment: add `"mll"` to the inputs and repeat.
#
# ## Where you stand

# %%
progress()

# %% [markdown]
# ## What we found
#
# 1. What made the network good was a learning rate that moves it, an activation that lets it bend, and an optimiser with momentum. Most of the fault of the bad one was its training, not its shape.
#    Each step is judged on validation events, with their weights, and with an error.
# 2. Boosted trees on the same six inputs are as good, so the inputs are the limit and not the network.
# 3. Every number belongs to a question and a world: a scan for the best significance finds first of all the place where the simulation runs out, a score is a probability for one share of signal only, and an input that is important to a network may still be dispensable.
#
# **One limitation:** three trainings show that they differ, but not by how much: a spread of three numbers is known to half of itself.
# The bootstrap over events does not contain what trainings differ by; lesson 11 trains more often.
#
# **Next:** lesson 5 trains the same network from files that do not fit into memory.
#
# **Further reading:** the Asimov significance, [arXiv:1007.1727](https://arxiv.org/abs/1007.1727), and with an uncertain background, which that paper does not have: G. Cowan, *Discovery sensitivity for a counting experiment with background uncertainty*, [note of 2012](https://www.pp.rhul.ac.uk/~cowan/stat/medsig/medsigNote.pdf), from T.-P. Li and Y.-Q. Ma, Astrophysical Journal 272 (1983) 317;
# momentum and Nesterov's variant, I. Sutskever et al., [PMLR 28 (2013) 1139](https://proceedings.mlr.press/v28/sutskever13.html); Adam, [arXiv:1412.6980](https://arxiv.org/abs/1412.6980); dropout, [arXiv:1207.0580](https://arxiv.org/abs/1207.0580);
# calibration of networks, [arXiv:1706.04599](https://arxiv.org/abs/1706.04599).
