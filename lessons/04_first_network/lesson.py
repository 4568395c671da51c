# %% [markdown]
# # 4 · A first network, and whether to believe it
#
# <!-- badges -->
#
# **After this lesson you will be able to**
#
# 1. train a dense network with event weights, and improve a bad one step by step, each step judged on the validation part;
# 2. give its result as an analysis needs it: ROC, AUC, rejection and expected significance, each with its uncertainty, beside boosted trees on the same events;
# 3. question it: is it overtrained, is its score a probability, which inputs does it use, and what does a cut on it do to `mll`?
#
# **You need** lessons 2 and 3: weights of mean one, the scaler, three parts that share no event.
#
# **Time:** 90 minutes; the notebook itself runs in about 80 seconds on two CPU cores.

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
# The quick values make the notebook run in a minute;
# the full ones, with `quick = False`, take about ten minutes on two CPU cores.
# A GPU would not make networks this small faster.

# %%
EPOCHS = 6 if quick else 60  # of each step of the improvement
LONGEST = 25 if quick else 200  # epochs at most, when early stopping decides
PATIENCE = 4 if quick else 20  # epochs without improvement before it stops
TRAININGS = 3  # of each step, from several random starts: what they differ by is part of every error
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
# The smallest network is one *unit*: it multiplies each input by a weight of its own, adds a constant, and gives one number.
# (These weights, the *parameters* of the network, have nothing to do with event weights.)
# Training moves them against the slope of the *loss*, a number that is small when the outputs are close to the labels.
# We take a mean squared error, and *stochastic gradient descent*, SGD: after each *batch* of 1024 events, one step of *learning rate* times slope.
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
# It has three faults.
# Its output is not bounded, so it is no probability.
# It is linear, so it can only weigh one input against another, never say "large `mth`, but only if `ptll` is not small".
# And it has hardly moved from its random start: the learning rate is too small for so few steps.
#
# ## A network worth the name
#
# A *hidden layer* of units with an *activation* between input and output lets it bend.
# ReLU is the usual one: $f(x) = \max(0, x)$.
# At the output the *sigmoid* $1/(1+e^{-x})$ gives a number between 0 and 1.
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
# For probabilities the natural loss is the *cross-entropy*: with label $y_i$, score $p_i$ and event weight $w_i$ of event $i$,
#
# $$ L = -\sum_i w_i \left[ y_i \ln p_i + (1 - y_i) \ln (1 - p_i) \right] \Big/ \sum_i w_i . $$
#
# A network that answers 0.5 to everything has $L = \ln 2 \approx 0.69$.
# It costs little to be wrong and modest, and much to be wrong and certain.
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
# For the comparison we keep all scores between 0.001 and 0.999.


# %%
def validation_loss(score):
    return cross_entropy(labels[validation], np.clip(score, 0.001, 0.999), weights[validation])


show("loss of the bad network", validation_loss(bad_score), 2)
show("loss of answering 0.5", validation_loss(np.full(len(validation), 0.5)), 2)

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
show("score and loss before the step", (f"{p:.3f}", f"{loss:.3f}"))
show("new weights and constant", tuple(f"{number:.3f}" for number in (*new_w, new_b)))

unit = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, activation="sigmoid")])
unit.set_weights([w[:, None], np.zeros(1)])
unit.compile(keras.optimizers.SGD(0.1), "binary_crossentropy")
unit.train_on_batch(x[None], np.ones(1))
show("those of Keras", tuple(f"{number:.3f}" for number in np.concatenate([v.ravel() for v in unit.get_weights()])))

_, after, *_ = gradient_step(x, 1.0, new_w, new_b, 0.1)
show("loss after the step", after, 3)

# %% [markdown]
# One step takes the loss from 0.693 to 0.554.
# Look at the slope once more: $(p - y) \, x$.
# The step is large where the network is wrong, and no input of zero moves its weight.
# In a batch each event asks for a step of its own, and the network makes the weighted mean of them; in a network with hidden layers the chain has more links, and nothing else is new.

# %% [markdown]
# ## Training with weights
#
# `model.fit` takes the training events and, as `validation_data`, those on which it reports the loss after each epoch.
# The weights must be given twice: `sample_weight=` for the training part, and as the third member of the tuple `(inputs, labels, weights)` for the validation part.
# Keras does not complain if either is missing.
#
# ### Your turn 4.4 · 8 min · ★★
#
# Write `fit(model, train_set, validation_set, **options)`.
# Both sets are tuples `(inputs, labels, weights)`; `options` (epochs, batch size ...) go on to `model.fit`.
# It trains silently (`verbose=0`) and returns what `model.fit` returns.


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
# *Adam* is SGD with a step size of its own for each parameter, tuned as it goes.
# *Early stopping* trains on while the validation loss falls, and takes back the best epoch.

# %%
from coursekit.nets.keras_nets import build_dense

SETTINGS = {"hidden": (), "activation": "linear", "dropout": 0.0, "optimiser": "SGD", "rate": 0.001, "batch": 1024}
SETTINGS["stop"] = False
STEPS = {
    "sigmoid and cross-entropy": {},
    "three hidden layers of 64 units": {"hidden": (64, 64, 64)},
    "activation ReLU": {"activation": "relu"},
    "learning rate 0.1": {"rate": 0.1},
    "optimiser Adam, its rate 0.003": {"optimiser": "Adam", "rate": 0.003},
    "batches of 256": {"batch": 256},
    "dropout 0.1": {"dropout": 0.1},
    "early stopping": {"stop": True},
}


# %%
train_set, validation_set = ((inputs[part], labels[part], weights[part]) for part in (train, validation))


def train_network(number, hidden, activation, dropout, optimiser, rate, batch, stop):
    keras.utils.set_random_seed(seed + number)
    model = build_dense(len(INPUT_BRANCHES), hidden, activation, dropout)
    optimiser = getattr(keras.optimizers, optimiser)(rate)
    # Between the steps of a training, TensorFlow hands control back to Keras; every 35 steps is enough, and faster.
    model.compile(optimizer=optimiser, loss="binary_crossentropy", steps_per_execution=35)
    callbacks = [keras.callbacks.EarlyStopping(patience=PATIENCE, restore_best_weights=True)] if stop else []
    history = fit(
        model, train_set, validation_set, epochs=LONGEST if stop else EPOCHS, batch_size=batch, callbacks=callbacks
    )
    return model, history.history


# %% [markdown]
# **Guess before you look:** which of the eight steps gains most, and which gains nothing?

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
    return f"{values.mean():.3f} ± {np.hypot(counting, training):.3f}"


of_step = {"one linear unit, squared error": losses([bad_score] * TRAININGS)}
for step, trained in networks.items():
    of_step[step] = losses([score_of(network, inputs[validation]) for network, _ in trained])
gains = {after: with_error(of_step[before] - of_step[after]) for before, after in itertools.pairwise(of_step)}
means = {step: with_error(values) for step, values in of_step.items()}
pd.DataFrame({"validation loss": means, "gain": gains}).fillna("")

# %% [markdown]
# Each number is the mean of three trainings.
# Its error has two parts, added in quadrature: other validation events would give another value, and so would other random starts.
# A gain compares the same events before and after, so its error is smaller than those of the two losses.
# What the table says, from above:
#
# - a sigmoid with its proper loss gains a few tenths and costs nothing.
#   How many depends on the random start, from which neither network has moved far: hence the large error;
# - layers without activation are still one linear sum, but one that learns faster;
# - ReLU makes it *worse* at first: the network could bend now, yet a learning rate of 0.001 hardly moves it in the time given.
#   A hundred times the rate brings 0.65 to 0.29.
#   A step may need the next one before it pays;
# - Adam gains again, many standard deviations; batches of 256 give four times as many steps per epoch, for some 0.003;
# - dropout gains nothing here: within a short budget a handicapped network learns more slowly.
#   With time, and early stopping to say when, the loss is the smallest of all.
#
# The last four differ by less than 0.01.
# More of this would be polishing, and each further choice would fit the validation part a little more.
#
# The same, epoch by epoch, for the last step.
# A loss that is still falling says: train longer.
# A validation loss that turns upwards while the training loss falls says: the network learns its training events by heart, which is called *overtraining*.

# %%
from coursekit.plots import plot_history

with figure("learning-curve") as ax:
    plot_history(ax, history)
    ax.set_ylabel("cross-entropy")
    ax.legend(fontsize=9, title=f"{len(train)} training, {len(validation)} validation events")

# %% [markdown]
# Why is the validation loss the lower one?
# Dropout handicaps the training only, and the training loss is a mean over an epoch in which the network was still improving.
# A gap of this sign is nothing to fear.
#
# ### A failure worth seeing
#
# Now the same network once more, with one thing forgotten: the weights of the validation events.
# Keras trains without a word.
# **Guess:** what will the learning curve look like?

# %%
keras.utils.set_random_seed(seed)
careless = build_dense(len(INPUT_BRANCHES), settings["hidden"], settings["activation"], settings["dropout"])
careless.compile(keras.optimizers.Adam(settings["rate"]), "binary_crossentropy", steps_per_execution=35)
unweighted = careless.fit(
    inputs[train], labels[train], sample_weight=weights[train], validation_data=(inputs[validation], labels[validation]),
    batch_size=settings["batch"], epochs=len(history["loss"]), verbose=0,
).history  # fmt: skip

with figure("weights-forgotten") as ax:
    plot_history(ax, unweighted)
    ax.lines[-1].set_label("validation, weights forgotten")
    ax.plot(
        range(1, len(history["loss"]) + 1),
        history["val_loss"],
        marker="^",
        markersize=4,
        label="validation, with weights",
    )
    ax.set_ylabel("cross-entropy")
    ax.legend(fontsize=9, title=f"{len(validation)} validation events")

# %%
score = np.clip(score_of(model, inputs[validation]), 0.001, 0.999)
without = cross_entropy(labels[validation], score, np.ones(len(score)))
larger = 100 * (without / validation_loss(score) - 1)
show("by how much the same network's loss is larger without weights [%]", larger, 0, spread=1)

# %% [markdown]
# Nothing in the network has changed, and yet the loss is larger, and the training loss falls through it and goes on falling: the very picture of overtraining.
# A careful person would now add dropout, or stop earlier, and repair what is not broken.
# The reason is that the two curves measure different things.
# Half of the simulated background is Drell-Yan below 50 GeV, which looks more like the signal than the rest; it counts for a twelfth with weights, and for half without.
# And events of weight zero, which failed a cut, count like all others.
# The repair is the third member of the tuple.
# The general rule: **before two numbers are compared, they have to be averages over the same thing.**
#
# ## How good is it? ROC and AUC
#
# Choose a threshold, keep what scores above it: a fraction $\epsilon_S$ of the signal passes, the *signal efficiency*, and a fraction $\epsilon_B$ of the background.
# All thresholds together draw the *ROC curve*, and the area under it, the *AUC*, is the probability that a signal event scores above a background event: 1 is perfect, 0.5 is a coin.
# Weighted, of course, since both fractions are fractions of expected events.
#
# ### Your turn 4.5 · 5 min · ★
#
# Write `weighted_auc(labels, score, weights)`, with `roc_auc_score` from scikit-learn.

# %%
from sklearn.metrics import roc_auc_score


# %% tags=["exercise", "ex-4.5"]
def weighted_auc(labels, score, weights): ...


# %% tags=["check", "ex-4.5"]
check("4.5", weighted_auc)
weighted_auc = or_reference("4.5", weighted_auc)

# %% [markdown]
# A rival is due: *boosted trees*, hundreds of small decision trees each of which repairs what those before it got wrong.
# On a table of a few inputs they are hard to beat.
# They get the same inputs, events and weights, and the number of trees is chosen as we chose the number of epochs: by the validation loss.
# Each of their splits sees a random share of the inputs, so that three trainings differ, as those of the network do.

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
from coursekit.metrics import Estimate, auc, auc_difference, bootstrap, rejection, roc_curve

y, w = labels[test], weights[test]
trained = {
    "network": [score_of(network, inputs[test]) for network, _ in networks["early stopping"]],
    "boosted trees": [trees.predict_proba(inputs[test])[:, 1] for trees in rivals],
    "bad network": [score_of(bad, inputs[test])] * TRAININGS,
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
# `auc` computes the error with a formula (DeLong's) that agrees with the bootstrap and costs nothing.
# The two taggers saw the same events and share most of the fluctuations, so the error of their *difference* is smaller than either:

# %%
for rival, digits in [("bad network", 2), ("boosted trees", 3)]:
    pairs = zip(trained["network"], trained[rival], strict=True)
    better = combined([auc_difference(y, one, other, w) for one, other in pairs])
    show(f"AUC of the network minus that of the {rival}", better.value, digits, error=better.error)

# %% [markdown]
# The network and the trees agree within the error.
# That two so different methods arrive at the same value suggests that it is near what these six inputs can give: better results need more inputs, not more layers.
# On tables as small as this, trees are trained in seconds and need no scaling, so they should always be tried; the networks of later lessons read what trees cannot, images and sets of particles.
#
# An analysis works at one point of the curve.
# Physicists quote the *rejection* $1/\epsilon_B$ at a given signal efficiency: of how many background events one survives.

# %%
from coursekit.plots import plot_roc

with figure("roc") as ax:
    plot_roc(ax, {name: roc_curve(y, score, w) for name, score in scores.items()})
    ax.set_ylim(1, 3000)
    ax.legend(fontsize=9, title=f"{len(test)} test events")

# %%
table_of_rejections = {
    name: {
        f"signal efficiency {at}": str(combined([rejection(y, score, at, w) for score in of_tagger]))
        for at in (0.5, 0.7, 0.9)
    }
    for name, of_tagger in trained.items()
}
pd.DataFrame(table_of_rejections)

# %% [markdown]
# Each number is again a mean of three trainings, with what they differ by in its error.
# At an efficiency of 0.5 one background event in some 170 survives, against one in five for the bad network.
# That number hangs on a few dozen simulated events, hence its error of a quarter.
# To the left of 0.3 the curve is a staircase: each step is one simulated event.
#
# ## How many events, how significant?
#
# Efficiencies do not discover anything; counts do.
# Above a threshold we expect $s$ signal and $b$ background events in the data.
# The weights of lesson 2, before they were divided by their mean, give these counts: each simulated event stands for so many real ones per inverse femtobarn, and the test part holds a fifth of them.
#
# ### Your turn 4.6 · 10 min · ★★
#
# Write `expected_events(labels, score, per_fb, threshold, luminosity, fraction)` that returns $s$ and $b$: the expected events with a score of at least `threshold` at this luminosity.
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
# - Asimov's $Z$ with a background uncertainty $\sigma_b$ (the formula is in the documentation of `asimov_significance`): the discovery significance of a count when the background is not known exactly.
#
# Two things limit our knowledge of $b$: the theory and the detector, say 2%, and the number of simulated events, $\sqrt{\sum w^2}$ for those that pass.

# %%
from coursekit.metrics import asimov_significance, significance

per_fb = event_weights(events)
thresholds = np.linspace(0.5, 0.995, 100)


def scan(part, score):
    """The three significances at every threshold, (3, thresholds), and the number of simulated background events above it."""
    fraction = len(part) / len(labels)
    above = score >= thresholds[:, None]  # (thresholds, events)
    s, b = np.transpose(
        [expected_events(labels[part], score, per_fb[part], cut, LUMINOSITY, fraction) for cut in thresholds]
    )
    of_background = np.where(labels[part] == 0, per_fb[part], 0) * LUMINOSITY / fraction
    sigma = np.hypot(0.02 * b, np.sqrt((above * of_background**2).sum(axis=1)))
    with np.errstate(divide="ignore"):
        z = np.array([significance(s, b)[0], s / np.sqrt(b), asimov_significance(s, b, sigma)])
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
# A significance of 30, let alone of infinity, would be the end of the search.
# It is too good, so we doubt it: behind it are two or three simulated background events, or none at all, which happen to have small weights; on the test part the same cuts give some 20.
# The scan has found the place where our simulation runs out, and not where the signal is.
# So we demand at least ten simulated background events on the validation part, and let the significance be NaN, "not a number", where there are fewer.
#
# ### Your turn 4.7 · 5 min · ★★
#
# The best cut is a choice, so it is made on the validation part.
# Its significance there is the largest of a hundred and therefore flattered; the one to quote is that of the same cut on the test part.
# Write `choose_and_quote(thresholds, z_validation, z_test)` that returns the best threshold and the significance to quote.
# Entries may be NaN.


# %% tags=["exercise", "ex-4.7"]
def choose_and_quote(thresholds, z_validation, z_test): ...


# %% tags=["check", "ex-4.7"]
check("4.7", choose_and_quote)
choose_and_quote = or_reference("4.7", choose_and_quote)

# %%
# With n events behind it, b is known to 1/√n of itself; so s/√b to half of that, and Asimov's Z, which falls with b, to all of it.
for row, (name, power) in enumerate(zip(MEASURES, (0.5, 0.5, 1), strict=True)):
    cuts, quoted, errors = [], [], []
    for z_validation, n_validation, z_test, n_test in scans:
        trusted = np.where(n_validation >= 10, z_validation[row], np.nan)
        cut, z = choose_and_quote(thresholds, trusted, z_test[row])
        cuts.append(cut)
        quoted.append(z)
        errors.append(power * z / np.sqrt(n_test[np.argmin(abs(thresholds - cut))]))
    show(f"{name}: best cut", np.mean(cuts), 2, spread=0.05)
    error = np.hypot(np.mean(errors), np.std(quoted, ddof=1))
    digits = 2 if np.mean(quoted) < 1 else 0
    show(f"{name}: significance, chosen on validation, quoted on test", np.mean(quoted), digits, error=error)

# %% [markdown]
# The maxima are flat, so the cuts are known only roughly; the significances hardly depend on them.
# From 17 to 0.08: with fewer than a dozen simulated events we know the background to a third, and a signal of 3% of the background drowns in that.
# The formulas without uncertainty do not lie, they answer another question.
# Two ways lead out: simulate more background, and find inputs that leave less of it.
# The last section names one.
#
# ## Is it overtrained?
#
# Then its scores would be distributed otherwise on the training part than on the test part.
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
    below.set_ylim(0, 2)
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

# %% [markdown]
# Both distances stay below what chance exceeds once in a hundred; their errors are those of a distance that is due to chance alone.
# The ratio scatters about one, with errors where few events are.
# The test is necessary, not sufficient: an overtrained network can still be the better one on new events, and what decides is always the result on those.
#
# ## Is the score a probability?
#
# If it is, then of all events with a score near 0.7, weighted, 70% are signal.
# The *reliability diagram* shows it.
# The weights have made signal and background equally likely; in the data signal is one in thousands, so the score can be a probability only in a world of equal shares, and must be translated before it is used in ours.

# %%
edges = np.linspace(0, 1, 11)
score = scores["network"]
all_weights, signal_weights, of_scores = (np.histogram(score, edges, weights=factor * w)[0] for factor in (1, y, score))
purity = signal_weights / all_weights
variance = np.histogram(score, edges, weights=(w * (y - purity[np.clip(np.digitize(score, edges) - 1, 0, 9)])) ** 2)[0]
purity_error = np.sqrt(variance) / all_weights

with figure("reliability", size=(5, 4.5)) as ax:
    ax.errorbar(of_scores / all_weights, purity, purity_error, linestyle="", marker="o", label="network")
    ax.plot([0, 1], [0, 1], color="black", linestyle=":", label="a perfect probability")
    ax.set_xlabel("mean score of the bin")
    ax.set_ylabel("weighted share of signal")
    ax.legend(fontsize=9, title=f"{len(test)} test events")

# %%
off = np.abs(purity - of_scores / all_weights)
distance, error = (np.average(values, weights=all_weights) for values in (off, purity_error))
show("mean distance from the diagonal", distance, 2, error=error)

# %% [markdown]
# The score may be read as a probability, as far as our events can tell.
# Cross-entropy brings that about, since it is smallest for true probabilities; an overtrained network would be too certain, and its points would lie on a flatter line.

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
# *Permutation importance*: shuffle one input among the events, so that it is distributed as before but says nothing about its event, and see how much AUC is lost.
# The network is not trained anew.
#
# ### Your turn 4.8 · 5 min · ★
#
# Write `permuted(inputs, column, rng)`: a copy of the table in which the entries of one column are shuffled by the generator `rng`.


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
# **Guess before you look:** in which order do the inputs come?

# %%
with figure("importance", size=(6.5, 3.5)) as ax:
    order = np.argsort(lost)
    ax.errorbar(
        np.array(lost)[order], np.arange(6), xerr=np.array(lost_error)[order], linestyle="", marker="o", capsize=3
    )
    ax.set_yticks(range(6), np.array(INPUT_BRANCHES)[order])
    ax.axvline(0, color="black", linestyle=":", linewidth=1)
    ax.set_xlabel(f"AUC lost by shuffling ({len(test)} test events)")

# %%
show("most important input", INPUT_BRANCHES[int(np.argmax(lost))])
show("standard deviations of the least important input", min(np.array(lost) / lost_error), 0, spread=3)

# %% [markdown]
# As guessed in lesson 1, `mth` carries most.
# The importance is that *for this network*, and given the other inputs: shuffled, `mth` also contradicts `ptll`, with which it is correlated by 0.6 in Drell-Yan, so the loss is larger than what a network trained without `mth` would suffer.
# The recoil and the two variables with jets add little each.
#
# ## What does a cut do to `mll`?
#
# `mll` is no input.
# An analysis may still want to fit it, and a background that was smooth before the cut may have a bump after it: the cut *sculpts* it.
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

# %% [markdown]
# The share at the Z mass is the same within two standard deviations: as far as 500 simulated events can tell, this cut does not sculpt the background.
# We also learn where the surviving background is.
# Three quarters of it sit in a peak where there is no signal at all, and the network cannot know, since `mll` is not among its inputs.
# That is the input that the section on significance asked for, and a good experiment: add `"mll"` to the inputs and repeat.
#
# ## Where you stand

# %%
progress()

# %% [markdown]
# ## What we found
#
# 1. What made the network good was, in this order, a proper loss, a learning rate that moves it, an activation, and a good optimiser.
#    Each step is judged on validation events, with their weights, and with an error.
# 2. Boosted trees on the same six inputs are as good, so the inputs are the limit and not the network.
# 3. A scan for the best significance finds first of all the place where the simulation runs out.
#    Choose on validation, quote on test, and count the simulated events behind the number.
#
# **One limitation:** three trainings show that they differ, and not by how much: a spread of three numbers is known to half of itself.
# What they differ by, the bootstrap over events does not contain; lesson 11 trains more often.
#
# **Next:** lesson 5 trains the same network from files that do not fit into memory.
#
# **Further reading:** the Asimov significance, [arXiv:1007.1727](https://arxiv.org/abs/1007.1727); Adam, [arXiv:1412.6980](https://arxiv.org/abs/1412.6980); dropout, [arXiv:1207.0580](https://arxiv.org/abs/1207.0580);
# calibration of networks, [arXiv:1706.04599](https://arxiv.org/abs/1706.04599).
