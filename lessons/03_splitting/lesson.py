# %% [markdown]
# # 3 · Splitting: which events the network may see
#
# <!-- badges -->
#
# **After this lesson you will be able to**
#
# 1. shuffle inputs, labels and weights together, and cut them into training, validation and test parts in which every class has its share;
# 2. store the split, so that a run a year later tests on the same events and refuses to start with others;
# 3. find events that leak from the training into the test, and split by a hash so that what belongs together stays together.
#
# **You need** lesson 2: weights of mean one, labels, one table of inputs.
#
# **Time:** 75 minutes; the notebook itself runs in about 10 seconds on two CPU cores.

# %% tags=["setup"]
from coursekit import check, fetch, figure, hint, load_events, or_reference, progress, setup, show

WORK = setup("03")

# %% tags=["parameters"]
quick: bool = True
seed: int = 1

# %% [markdown]
# ## Three parts
#
# A network with enough parameters learns its training events by heart.
# Only events that it has never seen show what it has understood.
# So we split them into three parts:
#
# - the **training** part, to which the network adjusts its weights;
# - the **validation** part, at which we look while we make our choices: when to stop, how many layers to use, which inputs to take.
#   With each choice it is a little less unseen;
# - the **test** part, at which we look once, when all choices are made.
#   Its result is the one to report.
#
# We load the three samples of lessons 1 and 2, together with the three numbers that identify an event: `run`, `luminosityBlock` (a stretch of a run) and `event`.

# %%
import hashlib

import numpy as np

from coursekit.events import INPUT_BRANCHES, WEIGHT_BRANCHES, concatenate_events, event_weights, to_table
from coursekit.weights import normalise_weights

FILES = {
    "hww": fetch("GluGluHToWWTo2L2Nu_M125.root"),
    "dy_low": fetch("DYJetsToLL_M-10to50-LO.root"),
    "dy_high": fetch("DYJetsToLL_M-50-LO.root"),
}
IDENTITY = ["run", "luminosityBlock", "event"]
FRACTIONS = (0.6, 0.2, 0.2)
PARTS = ("training", "validation", "test")

samples = [load_events(path, [*INPUT_BRANCHES, *WEIGHT_BRANCHES, *IDENTITY, "mll"]) for path in FILES.values()]
signal, background = samples[0], concatenate_events(samples[1:])
events = concatenate_events([signal, background])

inputs = to_table(events, INPUT_BRANCHES)
labels = np.repeat([1.0, 0.0], [len(signal["mll"]), len(background["mll"])])
weights = np.concatenate([normalise_weights(event_weights(sample)) for sample in (signal, background)])
show("events", len(labels))
show("signal events among the first 1000", int(labels[:1000].sum()))

# %% [markdown]
# ## Shuffling
#
# Training goes through the events in *batches* of some hundreds, and makes one step for each batch.
# In the order of the files the first batches would hold signal alone, and the network would learn to answer "signal", then "background", and so on in turns.
# So the events are shuffled first, and one thing is to be got right: an event is a row of inputs, a label and a weight, and these three must move together.
#
# ### Your turn 3.1 · 5 min · ★
#
# Write `shuffle(rng, inputs, labels, weights)`: it returns the three arrays, in this order, as new arrays in one common random order that is drawn from the generator `rng`.
# The old ones stay as they are.


# %% tags=["exercise", "ex-3.1"]
def shuffle(rng, inputs, labels, weights): ...


# %% tags=["check", "ex-3.1"]
check("3.1", shuffle)
shuffle = or_reference("3.1", shuffle)

# %%
rng = np.random.default_rng(seed)
mixed_inputs, mixed_labels, mixed_weights = shuffle(rng, inputs, labels, weights)
show("signal events among the first 1000, shuffled", int(mixed_labels[:1000].sum()))

# %% [markdown]
# ### A failure worth seeing
#
# Suppose that the inputs of the background are shuffled and that its weights are forgotten.
# All signal and background events keep their labels, all weights are still there, and their mean is still one.
# **Guess:** which number that we could print would betray it?

# %%
is_background = labels == 0
mll, right_w = background["mll"], weights[is_background]
order = np.random.default_rng(seed).permutation(len(mll))
show("mean weight, shuffled together", right_w[order].mean(), 3)
show("mean weight, weights left behind", right_w.mean(), 3)

with figure("mass-lepton-pair") as ax:
    bins = np.linspace(10, 130, 61)  # beyond the axis, where the outline drops to zero
    ax.hist(mll[order], bins, weights=right_w[order], histtype="step", linewidth=1.8, linestyle="-",
            label="shuffled together")  # fmt: skip
    ax.hist(mll[order], bins, weights=right_w, histtype="step", linewidth=1.8, linestyle="--",
            label="weights left behind")  # fmt: skip
    ax.set_xlim(10, 120)
    ax.set_xlabel("mll [GeV]")
    ax.set_ylabel("sum of weights / 2 GeV")
    ax.set_yscale("log")
    ax.set_ylim(top=1e5)
    ax.legend(fontsize=9, title=f"background, {len(mll)} events", loc="upper left")

# %%
show("background below 50 GeV, shuffled together [%]", 100 * np.average(mll[order] < 50, weights=right_w[order]), 1)
show("background below 50 GeV, weights left behind [%]", 100 * np.average(mll[order] < 50, weights=right_w), 1)
show("weighted mean of mll, shuffled together", np.average(mll[order], weights=right_w[order]), 1, unit="GeV")
show("weighted mean of mll, weights left behind", np.average(mll[order], weights=right_w), 1, unit="GeV")

# %% [markdown]
# This is the picture of lesson 2 again, reached by another road.
# The large weights of the sample above 50 GeV sit on events of the other sample, and {{half = 50 within 1 = background below 50 GeV, weights left behind [%]}} of the background seems to lie below 50 GeV instead of {{a twelfth = 8.3 = background below 50 GeV, shuffled together [%]}}.
# Nothing that is computed from the weights alone shows it, and nothing that is computed from the inputs alone.
# It takes a number that needs both, such as the weighted mean of the mass, which falls from {{85.4 = weighted mean of mll, shuffled together}} to {{61.1 GeV = weighted mean of mll, weights left behind}}; and best of all a *weighted distribution*, because it shows where the fault is.
# So plot one after every step that moves events.
#
# ## Cutting by fractions
#
# ### Your turn 3.2 · 10 min · ★★
#
# Write `split(array, fractions)`: it returns a list of arrays, one for each fraction, which are cut one after the other from an array that is shuffled already.
# The fractions $f_1, f_2, \dots$ sum to one, and part $k$ of $N$ events ends at $N (f_1 + \dots + f_k)$, rounded to the nearest whole number.
# So each event is in exactly one part.
# The array may have one axis or more; events lie along the first.


# %% tags=["exercise", "ex-3.2"]
def split(array, fractions): ...


# %% tags=["check", "ex-3.2"]
check("3.2", split)
split = or_reference("3.2", split)

# %%
show("sizes", tuple(len(part) for part in split(mixed_inputs, FRACTIONS)))
for name, part in zip(PARTS, split(mixed_labels, FRACTIONS), strict=True):
    show(f"share of signal in the {name} part", part.mean(), 4)

# %% [markdown]
# The shares of signal differ from part to part by chance.
# With 20 000 signal events that is a small matter.
# With 50 it is not: a fifth of them is 10 give or take 3, and a validation on 7 signal events is another thing than one on 13.
# So we split signal and background separately, which makes the shares exact; then we merge each part and shuffle it again.
#
# ### Your turn 3.3 · 8 min · ★★
#
# Write `merge(rng, signal, background)`.
# Each of the two is a pair `(inputs, weights)`.
# Return inputs, labels (1.0 for signal, 0.0 for background) and weights of both together, in this order, shuffled in common with `rng`.
# Your `shuffle` may help.


# %% tags=["exercise", "ex-3.3"]
def merge(rng, signal, background): ...


# %% tags=["check", "ex-3.3"]
check("3.3", merge)
merge = or_reference("3.3", merge)

# %% [markdown]
# Now we take all three steps: we shuffle each class, split it, and merge the parts.
#
# ![Two bars, one of signal and one of background with twice the height, are each cut into 60, 20 and 20 percent. Below, the two pieces of each part are merged into one bar in which stripes of signal and background alternate at random. The three bars are called training, for the network, which adjusts its weights to these events; validation, for us, while we choose settings; and test, for the result, looked at once.](split.svg)
#
# We shuffle and split *positions*, the row numbers of the events: they take little room, they pick inputs and weights alike, and they can be stored.

# %%
rng = np.random.default_rng(seed)  # anew in each cell that draws: run again, it gives the same
signal_parts, background_parts = (
    split(rng.permutation(np.flatnonzero(labels == label)), FRACTIONS) for label in (1, 0)
)
parts, arrays = {}, {}
for name, s, b in zip(PARTS, signal_parts, background_parts, strict=True):
    parts[name] = np.concatenate([s, b])
    arrays[name] = merge(rng, (inputs[s], weights[s]), (inputs[b], weights[b]))

for name, (part_inputs, part_labels, part_weights) in arrays.items():
    show(f"{name}: events", len(part_inputs))
    show(f"{name}: share of signal", part_labels.mean(), 4)
    show(f"{name}: mean weight", part_weights.mean(), 2)

# %% [markdown]
# In each part exactly a third of the events is signal, and the mean weight is one but for chance.
# These are the arrays on which lesson 4 trains.
#
# ## The same events a year later
#
# A test is worth something only as long as nobody has trained on its events.
# In a year the network will be trained again, by someone else, and perhaps with another version of NumPy whose generator gives other numbers.
# So we store the positions.
# But before we do, we test whether they are what they should be.
#
# ### Your turn 3.4 · 8 min · ★★
#
# Write `is_partition(parts, n)`: `True` if the arrays of positions in the list `parts`, taken together, hold each of the numbers 0 to $n - 1$ exactly once, else `False`.
# The positions may stand in any order, and a part may be empty.


# %% tags=["exercise", "ex-3.4"]
def is_partition(parts, n): ...


# %% tags=["check", "ex-3.4"]
check("3.4", is_partition)
is_partition = or_reference("3.4", is_partition)

# %%
show("our parts are a partition", is_partition(list(parts.values()), len(labels)))

# %% [markdown]
# Positions mean something only for one file in one order.
# So we store a *fingerprint* with them: a checksum of run, luminosity block and event number of all events, in their order.

# %%
from coursekit.splitting import fingerprint, load_indices, save_indices

identity = [events[name] for name in IDENTITY]
path = WORK / "split.npz"
save_indices(path, parts, fingerprint(*identity))

again = load_indices(path, fingerprint(*identity))
show("the same test events", bool(np.array_equal(again["test"], parts["test"])))

# %% [markdown]
# A year passes, and somewhere on the way the files have been sorted by `ptll`.
# The events are the same, and so is their number.
# **Guess:** on what share of the events that now stand at the old test positions was the network trained?

# %%
by_ptll = np.argsort(events["ptll"], kind="stable")
at_test_positions = by_ptll[parts["test"]]
show("trained on [%]", 100 * np.isin(at_test_positions, parts["training"]).mean(), 0)

try:
    load_indices(path, fingerprint(*(column[by_ptll] for column in identity)))
except ValueError as error:
    print(str(error).replace(str(path), path.name))

# %% [markdown]
# {{59% = trained on [%]}} of them are training events.
# Without the fingerprint the test would have run on these, and its result would have been far too good: a classifier that we meet below, *nearest neighbour*, scores {{0.93 = right answers, old test positions in the sorted file}} there instead of {{0.84 = right answers, unseen events}}.
#
# ## Folds
#
# A single validation part wastes events, and its result depends on which of them it got.
# With *k-fold cross-validation* the events are divided into $k$ folds.
# We train $k$ times, and each time we validate on another fold, so that every event is validated once; lesson 4 does so with boosted trees, lesson 13 with networks.
# Folds are *stratified* if each holds an equal share of every class.
#
# ### Your turn 3.5 · 10 min · ★★★
#
# Write `fold_numbers(rng, labels, k)`: for each event the number of its fold, 0 to $k - 1$.
# In each class, the numbers of events in two folds differ by one at most.
# The labels are whole numbers, and there may be more than two classes, as in lesson 12.
# Which event goes where is drawn from `rng`.


# %% tags=["exercise", "ex-3.5"]
def fold_numbers(rng, labels, k): ...


# %% tags=["check", "ex-3.5"]
check("3.5", fold_numbers)
fold_numbers = or_reference("3.5", fold_numbers)

# %% [markdown]
# To see what stratified folds are good for, we take a rare signal: 50 signal events among 5000 of background.
# **Guess:** how unequal are the folds if chance alone deals the events?

# %%
rare = np.concatenate([np.flatnonzero(labels == 1)[:50], np.flatnonzero(labels == 0)[:5000]])
rng = np.random.default_rng(seed)
by_chance = rng.permutation(len(rare)) % 5
stratified = fold_numbers(rng, labels[rare], 5)
for name, fold in [("by chance", by_chance), ("stratified", stratified)]:
    of_signal = fold[labels[rare] == 1]
    show(f"signal events per fold, {name}", tuple(int(np.sum(of_signal == k)) for k in range(5)))

# %% [markdown]
# A fifth of 50 is 10, and chance spreads the folds around it with a standard deviation of $\sqrt{50 \cdot 0.2 \cdot 0.8} = 2.8$: one network would be judged by {{6 = signal events per fold, by chance[0]}} signal events and another by {{15 = signal events per fold, by chance[3]}}.
# With stratified folds each is judged by {{10 = signal events per fold, stratified[0]}}.
# `stratified_folds` of `coursekit.splitting` gives the folds as lists of positions.
#
# ## Leaks
#
# Our split is random, exact and stored.
# It can still leak: if an event is in the file twice, one copy may go to the training part and the other to the test part.
# That happens more easily than one thinks: a job has run twice, two overlapping selections were merged, or a sample was enlarged by slightly changed copies before it was split.
# We do it on purpose, and take every tenth event twice.


# %%
def split_with_copies(share):
    """Add copies of a share of the events, and split by chance: positions of training and test events."""
    rng = np.random.default_rng(seed)
    copies = rng.choice(len(labels), round(share * len(labels)), replace=False)
    rows = rng.permutation(np.concatenate([np.arange(len(labels)), copies]))
    train_rows, _, test_rows = split(rows, FRACTIONS)
    return train_rows, test_rows


train, test = split_with_copies(0.1)
identity_table = np.column_stack(identity)
show("training and test events", (len(train), len(test)))

# %% [markdown]
# ### Your turn 3.6 · 8 min · ★★
#
# Write `leaked(train, test)`.
# Both are integer arrays with three columns, run, luminosity block and event number, and with one row per event.
# Return an array of `True` and `False`, one for each test event: `True` if that event is also in the training part.


# %% tags=["exercise", "ex-3.6"]
def leaked(train, test): ...


# %% tags=["check", "ex-3.6"]
check("3.6", leaked)
leaked = or_reference("3.6", leaked)

# %%
seen = leaked(identity_table[train], identity_table[test])
show("test events seen in training", int(seen.sum()))
show("share [%]", 100 * seen.mean(), 1)

# %% [markdown]
# Is that bad?
# We ask the classifier that has the best memory of all: *nearest neighbour* answers with the label of the training event whose inputs are closest.
# **Guess** its share of right answers on the leaked events.

# %%
from sklearn.neighbors import KNeighborsClassifier

from coursekit.preprocess import Scaler


def answers_right(train, test):
    """True for each test event that nearest neighbour labels rightly."""
    scaler = Scaler.fit(inputs[train], INPUT_BRANCHES, defaults={"ptTOT_cut": -1, "mTOT_cut": -1})
    nearest = KNeighborsClassifier(n_neighbors=1).fit(scaler.transform(inputs[train]), labels[train])
    return nearest.predict(scaler.transform(inputs[test])) == labels[test]


def share_and_error(right):
    p = (right.sum() + 1) / (len(right) + 2)  # for the error: the usual formula claims to know a share of 1 exactly
    return right.mean(), np.sqrt(p * (1 - p) / len(right))


right = answers_right(train, test)
for name, chosen in [("leaked events", right[seen]), ("unseen events", right[~seen]), ("all test events", right)]:
    share, error = share_and_error(chosen)
    show(f"right answers, {name}", share, 3, error=error)
show("too good, in errors of all test events", (right.mean() - right[~seen].mean()) / error, 1)

share, error = share_and_error(answers_right(parts["training"], at_test_positions))
show("right answers, old test positions in the sorted file", share, 3, error=error)

# %% [markdown]
# On leaked events it is never wrong: the nearest event is the copy, at distance zero.
# The other events show what it can really do, {{0.836 = right answers, unseen events}}.
# The test as a whole says {{0.854 = right answers, all test events}}, which is too good by {{nearly six = 5.7 = too good, in errors of all test events}} standard errors, and papers have been written about less.
# The last line is the split of a year ago, used on the sorted file without its fingerprint: six events in ten are known by heart, and the test says {{0.93 = right answers, old test positions in the sorted file}}.
# A network remembers less sharply than nearest neighbour, but it errs in the same direction.
# **Guess:** what will the test say if four events in ten have a copy?

# %%
shares = [0, 0.1, 0.2, 0.3, 0.4]
results, unseen = [], []
for share in shares:
    train_rows, test_rows = split_with_copies(share)
    verdicts = answers_right(train_rows, test_rows)
    results.append((len(test_rows), *share_and_error(verdicts)))
    unseen.append(verdicts[~np.isin(test_rows, train_rows)])
sizes, values, errors = np.transpose(results)
honest = np.concatenate(unseen).mean()
show("right answers, unseen events of the five tests", honest, 3)

with figure("share-of-right-answers") as ax:
    twice = np.linspace(0, 0.4, 41)
    leak = 2 * twice / (1 + twice) * FRACTIONS[0]  # a row has a copy, and the copy is in the training part
    ax.plot(
        twice, leak + (1 - leak) * honest, linestyle="--", label=f"leaked events all right, of the others {honest:.3f}"
    )
    label = f"nearest neighbour, {sizes.min():.0f} to {sizes.max():.0f} test events"
    ax.errorbar(shares, values, errors, fmt="o", color="black", label=label)
    ax.set_xlabel("share of events that are in the file twice")
    ax.set_ylabel("share of right answers in the test")
    ax.legend(fontsize=9)

# %%
show("right answers with 40% copied", values[-1], 3, error=errors[-1])

# %% [markdown]
# The method is the same at every point, and so is what it makes of unseen events: it is right for {{0.838 = right answers, unseen events of the five tests}} of them, averaged over the five tests, and there the line begins.
# All that rises is our good opinion of it, up to {{0.893 = right answers with 40% copied}}.
#
# ## Splitting by identity
#
# `duplicates_across` of `coursekit.splitting` finds copies.
# A split that cannot separate them is better, and for that we let the identity of an event decide.
# A *hash* function turns it into a number between 0 and 1 that looks random and yet is always the same for the same event.
# If that number is below 0.6, the event belongs to the training part, and so on.
# Copies then go to the same part, no list needs to be stored, and an event stays in its part when others are added or removed.
#
# The same idea keeps groups together.
# In recorded data, the events of one run share the beam and the broken detector modules of that day.
# A network may learn to know the run instead of the physics, and the test will not notice it as long as each run is on both sides.
# So we hash the run number alone, and whole runs go to one part or the other.
#
# Our simulation has an even worse case of this, and it deserves a look before we split.

# %%
runs, run_of_event = np.unique(events["run"], return_inverse=True)
share_of_signal = np.bincount(run_of_event, weights=labels) / np.bincount(run_of_event)
show("runs", len(runs))
show("runs with signal and background", int(np.sum((share_of_signal > 0) & (share_of_signal < 1))))
show("highest run of the signal", int(events["run"][labels == 1].max()))
show("lowest run of the background", int(events["run"][labels == 0].min()))

# %% [markdown]
# Each sample was simulated in runs of its own, so that every run is purely signal or purely background: the run number *is* the label.
# The runs of the signal even have the lowest numbers of the {{600 = runs}}, so that a single cut on `run` separates the classes.
# A network that was given this input would find the cut at once, would be right in every event of every test that we could make here, however it was split, and would be of no use for a single recorded collision.
# Numbers that identify an event serve for splitting, and never as inputs of a network.


# %%
def hash_to_unit(number):
    """A number in [0, 1) made from the SHA-256 of a whole number, written in decimal digits."""
    return int(hashlib.sha256(str(number).encode()).hexdigest()[:13], 16) / 16**13


for run in (1, 2, 3):
    show(f"run {run}", hash_to_unit(run), 3)

# %% [markdown]
# Python's own `hash` is of no use here: for text it gives other numbers each time Python starts, and for small integers it returns the integer.
#
# ### Your turn 3.7 · 5 min · ★
#
# Write `part_numbers(u, fractions)`: it gets an array of numbers $0 \le u < 1$ and returns an array with the number of the part of each: 0 for $u < f_1$, 1 for $f_1 \le u < f_1 + f_2$, and so on.


# %% tags=["exercise", "ex-3.7"]
def part_numbers(u, fractions): ...


# %% tags=["check", "ex-3.7"]
check("3.7", part_numbers)
part_numbers = or_reference("3.7", part_numbers)

# %%
part_of_event = part_numbers(np.array([hash_to_unit(run) for run in runs]), FRACTIONS)[run_of_event]
for number, name in enumerate(PARTS):
    chosen = part_of_event == number
    show(f"{name}: runs, events", (len(np.unique(events["run"][chosen])), int(chosen.sum())))
    show(f"{name}: share of signal, split by run", labels[chosen].mean(), 3)

# %% [markdown]
# Each of the 600 runs is in one part, as a whole.
# The sizes follow the fractions on average only: of 600 runs a fifth is 120, give or take $\sqrt{600 \cdot 0.2 \cdot 0.8} \approx 10$.
# The shares of signal follow on average only, too, and scatter from {{0.322 = training: share of signal, split by run}} to {{0.362 = validation: share of signal, split by run}}.
# That is much more than before, but it is chance all the same: what is dealt is 117 whole runs, not 12 000 events, and the share of signal among 117 runs scatters by $\sqrt{(1/3) \cdot (2/3) / 117} \approx 0.04$.
# The fewer the groups are, the coarser is a split by groups.
#
# `split_by_hash` does this for any number of keys, with a faster hash.
# With run, block and event number as keys every event is dealt by itself, but its copies go where it goes.
# Once more we take every tenth event twice:

# %%
from coursekit.splitting import split_by_hash, split_indices

copies = np.random.default_rng(seed).choice(len(labels), len(labels) // 10, replace=False)
doubled = np.concatenate([np.arange(len(labels)), copies])
hash_train, _, hash_test = split_by_hash(*(column[doubled] for column in identity), fractions=FRACTIONS)
show("training and test events", (len(hash_train), len(hash_test)))
show("test events seen in training", int(np.isin(doubled[hash_test], doubled[hash_train]).sum()))

# %% [markdown]
# Why do we want a split that follows from the event itself, when a seed can repeat a random one?
# We take one single event out of the file, number 1000 of 60 000, and split again with the same seed.
# **Guess:** how many of the others stay in their part?


# %%
def part_of(parts):
    """The number of the part of each event, from the lists of positions."""
    return np.repeat(np.arange(len(parts)), [len(part) for part in parts])[np.argsort(np.concatenate(parts))]


kept = np.delete(np.arange(len(labels)), 1000)
before, after = (split_indices(n, np.random.default_rng(seed), FRACTIONS) for n in (len(labels), len(kept)))
chance = part_of(before)[kept] == part_of(after)
without = [column[kept] for column in identity]
before, after = (split_by_hash(*keys, fractions=FRACTIONS) for keys in (identity, without))
hashed = part_of(before)[kept] == part_of(after)
show("still in the same part, split by chance [%]", 100 * chance.mean(), 0)
show("still in the same part, split by hash [%]", 100 * hashed.mean(), 0)

# %% [markdown]
# Split by chance, {{53% = still in the same part, split by chance [%]}} of the events stay where they were; the others change sides, and many on which a network was trained are now in the test.
# Split by hash, all of them stay.
#
# ## Where you stand

# %%
progress()

# %% [markdown]
# ## What we found
#
# 1. An event is inputs, label and weight.
#    Whatever moves one of them moves all three: a forgotten weight changes no mean weight, and spoils the physics.
# 2. A split is part of the result.
#    Stored with a fingerprint of its events, it is still the same a year later, or it is refused.
# 3. Copies on both sides of a split make a test flatter the network.
#    A split by the hash of the identity keeps copies together, and whole runs as well.
#
# **One limitation:** a hash follows the fractions only on average over its keys; with few runs the parts and their shares of signal come out unequal.
#
# **Next:** lesson 4 trains the first network on these three parts.
#
# **Further reading:** leakage as a cause of irreproducible results, Kapoor and Narayanan, [arXiv:2207.07048](https://arxiv.org/abs/2207.07048).
