# %% [markdown]
# # 3 · Splitting: which events the network may see
#
# <!-- badges -->
#
# **After this lesson you will be able to**
#
# 1. shuffle inputs, labels and weights together, and cut them into training, validation and test parts in which every class has its share;
# 2. store the split so that a run a year later tests on the same events, and refuses to start with others;
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
# What it has understood shows on events that it has not seen.
# So we split:
#
# - the **training** part: the network adjusts its weights to it;
# - the **validation** part: we look at it while we choose, when to stop, how many layers, which inputs.
#   Each choice makes it a little less unseen;
# - the **test** part: looked at once, when all choices are made.
#   Its result is the one to report.
#
# We load the three samples of lessons 1 and 2, with the three numbers that identify an event: `run`, `luminosityBlock` (a stretch of a run) and `event`.

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
# Training goes through the events in *batches* of some hundreds, one step for each.
# In file order the first batches would hold signal alone, and the network would learn to answer "signal", then "background", and so on in turns.
# So the events are shuffled first, and here is the one thing to get right: an event is a row of inputs, a label and a weight, and the three must move together.
#
# ### Your turn 3.1 · 5 min · ★
#
# Write `shuffle(rng, inputs, labels, weights)`: the three arrays in one common random order drawn from the generator `rng`.
# New arrays; the old ones stay as they are.


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
# Suppose the inputs of the background are shuffled and its weights are forgotten.
# All signal and background events keep their labels, all weights are still there, their mean is still one.
# **Guess:** can any number that we would print betray it?

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

# %% [markdown]
# The picture of lesson 2 again, by another road: the large weights of the sample above 50 GeV sit on events of the other, and half of the background seems to lie below 50 GeV instead of a twelfth.
# No mean and no sum shows it; only a *weighted distribution* does.
# So plot one after every step that moves events.
#
# ## Cutting by fractions
#
# ### Your turn 3.2 · 10 min · ★★
#
# Write `split(array, fractions)`: a list of arrays, one for each fraction, cut one after the other from an array that is shuffled already.
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
# With 50, a fifth of them is 10 give or take 3, and a validation on 7 differs from one on 13.
# So we split signal and background separately, which makes the shares exact, merge each part, and shuffle it again.
#
# ### Your turn 3.3 · 8 min · ★★
#
# Write `merge(rng, signal, background)`.
# Each of the two is a pair `(inputs, weights)`.
# Return inputs, labels (1.0 for signal, 0.0 for background) and weights of both together, shuffled with `rng`.


# %% tags=["exercise", "ex-3.3"]
def merge(rng, signal, background): ...


# %% tags=["check", "ex-3.3"]
check("3.3", merge)
merge = or_reference("3.3", merge)

# %% [markdown]
# Now all three steps: shuffle each class, split it, merge the parts.
# We shuffle and split *positions*, the row numbers of the events: they are small, they pick inputs and weights alike, and they can be stored.

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
# Exactly a third of signal in each, and a mean weight of one but for chance.
# These are the arrays that lesson 4 trains on.
#
# ## The same events a year later
#
# A test is worth something as long as nobody has trained on it.
# In a year the network will be trained again, by someone else, perhaps with another version of NumPy whose generator gives other numbers.
# So the positions are stored.
# Before we store them, a test.
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
# Positions mean something for one file in one order only.
# So we store with them a *fingerprint*: a checksum of run, luminosity block and event number of all events, in their order.

# %%
from coursekit.splitting import fingerprint, load_indices, save_indices

identity = [events[name] for name in IDENTITY]
path = WORK / "split.npz"
save_indices(path, parts, fingerprint(*identity))

again = load_indices(path, fingerprint(*identity))
show("the same test events", bool(np.array_equal(again["test"], parts["test"])))

# %% [markdown]
# A year passes, and somewhere on the way the files were sorted by `ptll`.
# The events are the same, and so is their number.
# **Guess:** what share of the events that now stand at the old test positions was the network trained on?

# %%
by_ptll = np.argsort(events["ptll"], kind="stable")
at_test_positions = by_ptll[parts["test"]]
show("trained on [%]", 100 * np.isin(at_test_positions, parts["training"]).mean(), 0)

try:
    load_indices(path, fingerprint(*(column[by_ptll] for column in identity)))
except ValueError as error:
    print(str(error).replace(str(path), path.name))

# %% [markdown]
# Without the fingerprint the test would have run on those events, and its result would have been far too good: a classifier that we meet below, *nearest neighbour*, scores 0.93 there instead of 0.84.
#
# ## Folds
#
# One validation part wastes events, and its result depends on which ones it got.
# With *k-fold cross-validation* the events are divided into $k$ folds; we train $k$ times, each time validating on another fold, and every event is validated once.
# *Stratified* folds hold equal shares of every class.
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
# To see what stratifying is good for, we take a rare signal: 50 signal events among 5000 of background.
# **Guess:** how unequal are the folds if chance alone deals?

# %%
rare = np.concatenate([np.flatnonzero(labels == 1)[:50], np.flatnonzero(labels == 0)[:5000]])
rng = np.random.default_rng(seed)
by_chance = rng.permutation(len(rare)) % 5
stratified = fold_numbers(rng, labels[rare], 5)
for name, fold in [("by chance", by_chance), ("stratified", stratified)]:
    of_signal = fold[labels[rare] == 1]
    show(f"signal events per fold, {name}", tuple(int(np.sum(of_signal == k)) for k in range(5)))

# %% [markdown]
# A fifth of 50 is 10, and chance spreads the folds around it with a standard deviation of $\sqrt{50 \cdot 0.2 \cdot 0.8} = 2.8$: one network would be judged by 6 signal events, another by 15.
# Stratified, each is judged by 10.
# `stratified_folds` of `coursekit.splitting` gives the folds as lists of positions.
#
# ## Leaks
#
# The split is random, exact and stored.
# It can still leak: if an event is in the file twice, one copy may go to the training and the other to the test.
# It happens more easily than one thinks: a job that ran twice, two overlapping selections merged, a sample enlarged by slightly changed copies before the split.
# We do it on purpose: every tenth event twice.


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
# Both are integer arrays of shape $(N, 3)$ with run, luminosity block and event number.
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
# We ask the classifier with the best memory of all: nearest neighbour answers with the label of the training event that is closest in the inputs.
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

share, error = share_and_error(answers_right(parts["training"], at_test_positions))
show("right answers, old test positions in the sorted file", share, 3, error=error)

# %% [markdown]
# On leaked events it is never wrong: the nearest event is the copy, at distance zero.
# The other events show what it can really do, 0.836.
# The test as a whole says 0.854, six standard errors too good, and papers have been written about less.
# The last line is the year-old split of the sorted file without its fingerprint:
# six events in ten known by heart, and 0.93.
# A network remembers less sharply than nearest neighbour, but in the same direction.
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
# The method is the same at every point, and so is what it makes of unseen events: right in 0.838 of them, averaged over the five tests, which is where the line begins.
# All that rises is our good opinion of it.
#
# ## Splitting by identity
#
# `duplicates_across` of `coursekit.splitting` finds copies; better is a split that cannot separate them.
# We let the identity of an event decide: a *hash* function turns it into a number between 0 and 1 that looks random, yet is always the same for the same event.
# Below 0.6 is training, and so on.
# Copies go to the same part; no list needs to be stored; an event stays in its part when others are added or removed.
#
# The same trick keeps groups together.
# In recorded data, events of one run share the beam and the broken detector modules of that day; a network may learn the run instead of the physics, and the test will not notice as long as each run is on both sides.
# So we hash the run number alone, and whole runs go to one part or the other.
# (In our simulation all runs are alike: nothing to learn there, but the habit is the same.)


# %%
def hash_to_unit(number):
    """A number in [0, 1) made from the SHA-256 of a whole number, written in decimal digits."""
    return int(hashlib.sha256(str(number).encode()).hexdigest()[:13], 16) / 16**13


for run in (1, 2, 3):
    show(f"run {run}", hash_to_unit(run), 3)

# %% [markdown]
# Python's own `hash` is no good here: for text it gives other numbers each time Python starts, and for small integers it returns the integer.
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
runs, run_of_event = np.unique(events["run"], return_inverse=True)
part_of_event = part_numbers(np.array([hash_to_unit(run) for run in runs]), FRACTIONS)[run_of_event]
show("runs", len(runs))
for number, name in enumerate(PARTS):
    chosen = part_of_event == number
    show(f"{name}: runs, events", (len(np.unique(events["run"][chosen])), int(chosen.sum())))

# %% [markdown]
# Each of the 600 runs is in one part, as a whole.
# The sizes follow the fractions on average only: of 600 runs a fifth is 120, give or take $\sqrt{600 \cdot 0.2 \cdot 0.8} \approx 10$.
#
# `split_by_hash` does this for any number of keys, with a faster hash.
# With run, block and event number as keys every event is on its own, but its copies go where it goes.
# Once more every tenth event twice:

# %%
from coursekit.splitting import split_by_hash, split_indices

copies = np.random.default_rng(seed).choice(len(labels), len(labels) // 10, replace=False)
doubled = np.concatenate([np.arange(len(labels)), copies])
hash_train, _, hash_test = split_by_hash(*(column[doubled] for column in identity), fractions=FRACTIONS)
show("training and test events", (len(hash_train), len(hash_test)))
show("test events seen in training", int(np.isin(doubled[hash_test], doubled[hash_train]).sum()))

# %% [markdown]
# Does it matter that a split can be computed again instead of looked up?
# Take one single event out of the file, event number 1000 of 60 000, and split again with the same seed.
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
# By chance, half of the events change sides, and many that a network was trained on are now in the test.
# By hash, none does.
#
# ## Where you stand

# %%
progress()

# %% [markdown]
# ## What we found
#
# 1. An event is inputs, label and weight.
#    Whatever moves one moves all three; a forgotten weight changes no mean and spoils the physics.
# 2. A split is part of the result.
#    Stored with a fingerprint of its events, it is the same a year later, or refused.
# 3. Copies on both sides of a split make a test flatter the network.
#    A split by the hash of the identity keeps copies, and whole runs, together.
#
# **One limitation:** a hash follows the fractions only on average over its keys; with few runs the parts come out unequal.
#
# **Next:** lesson 4 trains the first network on these three parts.
#
# **Further reading:** leakage as a cause of irreproducible results, Kapoor and Narayanan, [arXiv:2207.07048](https://arxiv.org/abs/2207.07048).
