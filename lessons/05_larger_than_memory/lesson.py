# %% [markdown]
# # 5 · Data larger than memory
#
# <!-- badges -->
#
# **After this lesson you will be able to**
#
# 1. say how much memory events take, and choose a chunk that fits;
# 2. write a generator that reads chunks, shuffles in a buffer and yields batches, and say why reading batch by batch is slow;
# 3. put a file of any size into random order in two passes, and train from it as well as from memory.
#
# **You need** lesson 1 (trees and baskets), lesson 3 (shuffling together, three parts) and lesson 4 (the network).
#
# **Time:** 100 minutes, with a place for a break in the middle; the notebook itself runs in about 30 seconds on two CPU cores.

# %% tags=["setup"]
from coursekit import check, fetch, figure, hint, load_events, or_reference, progress, setup, show

WORK = setup("05")

# %% tags=["parameters"]
quick: bool = True
seed: int = 1

# %% [markdown]
# ## The settings, all in one place
#
# Nobody wants to download 100 GB for an exercise.
# So we do the opposite: we allow ourselves one megabyte for events, and make a file that is ten times larger (fifty times in full mode, which takes a minute or two on two CPU cores; a GPU would not make networks this small faster).
# The megabyte is for the events alone: Python and TensorFlow take hundreds of megabytes, whatever we read.

# %%
MEMORY = 1_000_000  # bytes that we allow ourselves for events
REPEATS = 8 if quick else 40  # how often the training events are repeated in the file
EPOCHS = 2
BATCH = 1024

# %% [markdown]
# ## How large is an event?
#
# A ROOT file is compressed, so its size on disk says little about the memory that its events take.
# What counts is the size *decompressed*: for a flat branch, the bytes of one number, 4 for float32.
# The file knows the types, so nothing has to be read.

# %%
import numpy as np

from coursekit.events import INPUT_BRANCHES, WEIGHT_BRANCHES, concatenate_events, event_weights, to_table
from coursekit.streaming import event_bytes

FILES = ["GluGluHToWWTo2L2Nu_M125.root", "DYJetsToLL_M-10to50-LO.root", "DYJetsToLL_M-50-LO.root"]
path = fetch(FILES[0])
show("event with all branches, decompressed", event_bytes(path), 0, unit="bytes")
show("event with the six inputs, decompressed", event_bytes(path, INPUT_BRANCHES), 0, unit="bytes")
show("event with all branches, in the file", path.stat().st_size / 20_000, 0, unit="bytes")

# %% [markdown]
# With all its branches, an event takes {{171 = event with all branches, decompressed}} bytes in memory and {{73 = event with all branches, in the file}} in the file; the six inputs take {{24 = event with the six inputs, decompressed}}.
# A billion such events, which is not many for an experiment, are 24 GB, and whoever works with them holds several *copies* at once: what was read, the table, the shuffled table, the batches that wait.
#
# ### Your turn 5.1 · 8 min · ★
#
# Write `chunk_size(memory, bytes_per_event, copies)`: the largest whole number of events, as an integer, of which `copies` copies fit into `memory` bytes at the same time.


# %% tags=["exercise", "ex-5.1"]
def chunk_size(memory, bytes_per_event, copies): ...


# %% tags=["check", "ex-5.1"]
check("5.1", chunk_size)
chunk_size = or_reference("5.1", chunk_size)

# %% [markdown]
# ## A file that does not fit
#
# We prepare the events as in lesson 4, and split them first.
# Only then do we repeat the training events: the other way round, copies of one event would be in both training and test, and the test would be worth nothing.

# %%
import uproot

from coursekit.preprocess import Scaler
from coursekit.splitting import split_by_hash
from coursekit.weights import normalise_weights

IDENTITY = ["run", "luminosityBlock", "event"]
samples = [load_events(fetch(name), [*INPUT_BRANCHES, *WEIGHT_BRANCHES, *IDENTITY]) for name in FILES]
signal, background = samples[0], concatenate_events(samples[1:])
events = concatenate_events([signal, background])
labels = np.repeat([1, 0], [len(signal["mth"]), len(background["mth"])]).astype(np.float32)
weights = np.concatenate([normalise_weights(event_weights(sample)) for sample in (signal, background)])
train, _, test = split_by_hash(*(events[name] for name in IDENTITY), fractions=(0.6, 0.2, 0.2))
scaler = Scaler.fit(to_table(events, INPUT_BRANCHES)[train], INPUT_BRANCHES, defaults={"ptTOT_cut": -1.0, "mTOT_cut": -1.0})  # fmt: skip

# %% [markdown]
# The file is sorted on purpose: all of the signal comes first, as it does from programs that write one sample after the other.
# The branch `place` holds the position of the event, so that we recognise it later.
# Each `extend` makes one *basket* of every branch: a piece of 5000 numbers that is compressed as one.

# %%
BASKET = 5000
COLUMNS = [*INPUT_BRANCHES, "label", "weight", "place"]
order = np.concatenate([np.tile(train[labels[train] == label], REPEATS) for label in (1, 0)])
content = {name: events[name] for name in INPUT_BRANCHES} | {"label": labels, "weight": weights.astype(np.float32)}
sorted_file = WORK / "sorted.root"
with uproot.recreate(sorted_file, compression=uproot.ZLIB(1)) as file:
    tree = file.mktree("Events", {name: "int32" if name == "place" else "float32" for name in COLUMNS})
    for start in range(0, len(order), BASKET):
        chosen = order[start : start + BASKET]
        place = np.arange(start, start + len(chosen), dtype=np.int32)
        tree.extend({name: column[chosen] for name, column in content.items()} | {"place": place})

n_events, per_event = len(order), event_bytes(sorted_file, COLUMNS)
CHUNK = chunk_size(MEMORY, per_event, copies=4)
show("events in the file", n_events)
show("file decompressed, in units of the memory allowed", n_events * per_event / MEMORY, 1)
show("chunk of which four copies fit", CHUNK)

# %% [markdown]
# ## Reading in chunks
#
# A chunk is a range of events, `start` to `stop`, where `stop` is one past the last, as in Python's slices.
#
# ### Your turn 5.2 · 6 min · ★
#
# Write `chunk_bounds(n_events, chunk)`: the list of pairs `(start, stop)` that cover the file, in order, each `chunk` events long but for the last, which has the rest.


# %% tags=["exercise", "ex-5.2"]
def chunk_bounds(n_events, chunk): ...


# %% tags=["check", "ex-5.2"]
check("5.2", chunk_bounds)
chunk_bounds = or_reference("5.2", chunk_bounds)

# %% [markdown]
# ## Why batch-by-batch reading is slow
#
# The first idea is usually: the network wants 1024 events, so read 1024 events.
# But a basket can only be decompressed as a whole.
# Its other events are thrown away, and for the next batch it is decompressed again.
#
# ### Your turn 5.3 · 18 min · ★★
#
# Write `baskets_read(bounds, edges)`: how many times a basket is decompressed when all chunks in `bounds` are read one after the other, and each decompresses every basket it touches.
# Basket $k$ holds the events from `edges[k]` to `edges[k + 1] - 1`; baskets need not be equally large.
# (`np.searchsorted` finds places in a sorted array.)


# %% tags=["exercise", "ex-5.3"]
def baskets_read(bounds, edges): ...


# %% tags=["check", "ex-5.3"]
check("5.3", baskets_read)
baskets_read = or_reference("5.3", baskets_read)

# %% [markdown]
# A formula may be wrong about what a library does, so we also look.
# The baskets of this file are compressed with zlib, and we count how often zlib is called while `mth` is read in chunks.

# %%
import zlib
from unittest import mock


def count_decompressions(chunk):
    with uproot.open(sorted_file, array_cache=None) as file:
        branch = file["Events"]["mth"]
        with mock.patch.object(zlib, "decompress", wraps=zlib.decompress) as spy:
            for start, stop in chunk_bounds(n_events, chunk):
                branch.array(entry_start=start, entry_stop=stop, library="np")
        return spy.call_count


with uproot.open(sorted_file) as file:
    edges = np.array(file["Events"]["mth"].entry_offsets)
counted = {chunk: count_decompressions(chunk) for chunk in (BATCH, 2500, 5000, CHUNK, 20_000, 60_000)}
expected = {chunk: baskets_read(chunk_bounds(n_events, chunk), edges) for chunk in counted}
show("sizes of a chunk tried", len(counted))
show("of them counted as your function expects", sum(expected[chunk] == counted[chunk] for chunk in counted))
show("baskets in the branch", len(edges) - 1)
show("decompressed when each batch of 1024 is read by itself", counted[BATCH])

# %% [markdown]
# **Guess before you look:** what happens to the number of decompressed baskets when the chunk becomes ten times smaller, far below one basket and far above it?

# %%
sizes = np.geomspace(100, 100_000, 150).astype(int)
fits = (BASKET % sizes == 0) | (sizes % BASKET == 0)
fitting = [100, 250, 500, 1000, 1250, 2500, *range(BASKET, 100_001, BASKET)]
with figure("decompressions") as ax:
    for which, line, name in [(sizes[~fits], "-", "any chunk"), (fitting, "--", "chunk that fits the baskets")]:
        expected = np.array([baskets_read(chunk_bounds(n_events, size), edges) for size in which])
        ax.loglog(which, expected / (len(edges) - 1), line, label=f"{name}, your function")
    points = np.array(list(counted.values())) / (len(edges) - 1)
    ax.loglog(list(counted), points, linestyle="", marker="o", color="black", label="counted while reading")
    ax.axvline(BASKET, color="black", linestyle=":", label="one basket")
    ax.set_xlabel(f"chunk [events] (of {n_events})")
    ax.set_ylabel("times each basket is decompressed")
    ax.legend(frameon=True, framealpha=1, edgecolor="none")

# %% [markdown]
# The {{58 = baskets in the branch}} baskets are decompressed {{338 = decompressed when each batch of 1024 is read by itself}} times for batches of 1024, six times the work, and fifty times for chunks of 100: with $B$ events in a basket and $c$ in a chunk, each is decompressed about $1 + B/c$ times.
# Far above one basket this comes down to one.
# The cure has two parts: chunks of several baskets, and chunks that *end where a basket ends*.
# `coursekit.streaming.read_chunks` does both.
#
# uproot has a loop of its own for files that do not fit, `uproot.iterate`, and it is the standard tool: it goes through one file or many in steps of so many events, or of so much memory (`step_size="1 MB"`).
# Does it decompress a basket again for each step?

# %%
with mock.patch.object(zlib, "decompress", wraps=zlib.decompress) as spy:
    steps = [len(step["mth"]) for step in uproot.iterate({sorted_file: "Events"}, "mth", step_size=BATCH, library="np")]
show("steps of uproot.iterate", len(steps))
show("baskets that it decompressed", spy.call_count)

# %% [markdown]
# It does not: it keeps the basket in which a step ends for the next one, so that {{281 = steps of uproot.iterate}} small steps decompress each basket once.
# For reading a file from its beginning to its end, `uproot.iterate` is all you need.
# What it does not do is mix the events, and that is what a training needs next.
#
# ## A good place for a break
#
# You can say how large a chunk may be, where it should end and what it costs if it does not.
# What comes now is the order of the events: batches out of a buffer, a training that fails, and the shuffle that repairs it.
#
# ## Shuffled batches from chunks
#
# A network wants its batches mixed.
# From a file that does not fit we can mix only what is in memory: a *buffer* of several chunks.
# To shuffle it, we start with what lesson 3 taught: one order for all arrays.
#
# ### Your turn 5.4 · 8 min · ★★
#
# Write `shuffled(parts, rng)`: `parts` is a list of triples `(inputs, labels, weights)` of arrays.
# Merge them into one triple, in a random order drawn from the generator `rng`.


# %% tags=["exercise", "ex-5.4"]
def shuffled(parts, rng): ...


# %% tags=["check", "ex-5.4"]
check("5.4", shuffled)
shuffled = or_reference("5.4", shuffled)

# %% [markdown]
# A *generator* is a function with `yield`: it hands out one value, waits, and goes on from there when the next is asked for.
# So only one filling of the buffer is in memory.
#
# ### Your turn 5.5 · 30 min · ★★★
#
# Write the generator `batches(chunks, batch_size, buffer, rng)`.
# `chunks` gives triples, one at a time.
# Collect them until `buffer` events or more wait; shuffle them with your `shuffled` and yield whole batches; what does not fill a batch waits for the next filling.
# After the last chunk yield all that waits, so that the last batch may be smaller.


# %% tags=["exercise", "ex-5.5"]
def batches(chunks, batch_size, buffer, rng): ...


# %% tags=["check", "ex-5.5"]
check("5.5", batches)
batches = or_reference("5.5", batches)

# %% [markdown]
# ## Training from a sorted file
#
# We train the network of lesson 4 for one epoch, batch by batch, with your generator, on the file as it is.
# The buffer holds two chunks.

# %%
import keras

from coursekit.nets.keras_nets import build_dense
from coursekit.streaming import read_chunks


def prepare(events, label=None):
    """Turn what was read into inputs (N, 6), labels (N,) and weights (N,)."""
    return scaler.transform(to_table(events, INPUT_BRANCHES)), events["label"], events["weight"]


def new_network(seed):
    keras.utils.set_random_seed(seed)
    model = build_dense(len(INPUT_BRANCHES))
    model.compile(optimizer=keras.optimizers.Adam(0.003), loss="binary_crossentropy")
    return model


# %%
def train_from(path):
    model, losses, shares = new_network(seed), [], []
    chunks = map(prepare, read_chunks(path, COLUMNS[:-1], chunk=CHUNK))
    for x, y, w in batches(chunks, BATCH, 2 * CHUNK, np.random.default_rng(seed)):
        model.reset_metrics()  # else Keras gives the mean over all batches so far
        losses.append(float(model.train_on_batch(x, y, sample_weight=w)))
        shares.append(y.mean())
    return model, np.array(losses), np.array(shares)


from_sorted, losses_sorted, shares_sorted = train_from(sorted_file)
show("batches in the epoch", len(losses_sorted))

# %% [markdown]
# The loss of the last batches is tiny.
# Is this result too good to be true?
# The test events, which are mixed, will tell.

# %%
x_test, y_test, w_test = prepare({name: column[test] for name, column in content.items()})


def score_of(model):
    return keras.ops.convert_to_numpy(model(x_test, training=False))[:, 0].astype(float)


def test_loss(score):
    right = np.where(y_test == 1, score, 1 - score)
    return -np.average(np.log(np.clip(right, 0.001, 0.999)), weights=w_test)


signal_seen_as_signal = np.average(score_of(from_sorted)[y_test == 1] > 0.5, weights=w_test[y_test == 1])
show("mean loss of the last 50 batches", losses_sorted[-50:].mean(), 4, spread=0.0003)
show("loss on the test events", test_loss(score_of(from_sorted)), 1, spread=0.1)
show("loss of answering 0.5", np.log(2), 2)
show("share of signal with a score above 0.5", signal_seen_as_signal, 2, spread=0.01)

# %% [markdown]
# On the test events the loss is {{loss on the test events #1}}, far worse than the {{loss of answering 0.5}} of a network that always answers 0.5.
# This one has learned to say "signal" to everything and then, when the signal ends after a third of the batches, "background" to everything.
# Each time that was right for nearly all batches in sight.
# The generator is correct; but a buffer that holds a twentieth of the file cannot mix what lies further apart.
#
# ## The external shuffle
#
# The repair is to put the file itself into random order, once, without ever holding it in memory, and without jumping to and fro in it (each jump would decompress a whole basket for one event).
# It takes two passes.
# Each event $i$ draws a number $u_i$, uniform in $0 \le u_i < 1$.
#
# 1. *Scatter*: read the file chunk by chunk, and append each event to one of $K$ bucket files, that of number $\lfloor K u_i \rfloor$.
# 2. *Gather*: load one bucket after the other, sort it by $u$ in memory, and append it to the result.
#
# $K$ is chosen so that a bucket fits in memory.
#
# ![The external shuffle of twelve events, each with its random number u. Above, the sorted file: four signal events, then eight of background. Arrows scatter the events to three bucket files, for u below a third, up to two thirds, and above; in a bucket they keep the order of the file. Each bucket is then loaded, sorted by u and appended to the shuffled file below, in which signal and background are mixed.](external-shuffle.svg)
#
# ### Your turn 5.6 · 10 min · ★★
#
# Write the first step for one chunk, `scatter(u, n_buckets)`: a list that has for each bucket an array with the positions in `u` of its events, in the order of the file.


# %% tags=["exercise", "ex-5.6"]
def scatter(u, n_buckets): ...


# %% tags=["check", "ex-5.6"]
check("5.6", scatter)
scatter = or_reference("5.6", scatter)

# %% [markdown]
# Every event of bucket 0 has a smaller $u$ than every event of bucket 1, and so on.
# So buckets sorted one by one give the whole file sorted by $u$; and an order by independent random numbers is a random order, each as likely as any other:

# %%
u = np.random.default_rng(seed).random(1000)
one_by_one = np.concatenate([chosen[np.argsort(u[chosen])] for chosen in scatter(u, 7)])
show("buckets sorted one by one give the order of all", np.array_equal(one_by_one, np.argsort(u)))

# %% [markdown]
# `coursekit.streaming.shuffle_file` does this for files, ROOT or HDF5, and for branches of any kind; on the command line it is `coursekit shuffle IN OUT --memory 500MB`.
# It counts 150 MB for Python and the libraries that it needs itself, so `memory="155MB"` leaves 5 MB for events: more than our megabyte, but half of the file, and a bucket takes no more than half of that.
# When the result is written, it is read once more and compared with what was read from the source, branch by branch; only then does it get its name.

# %%
from coursekit.streaming import shuffle_file

shuffled_file = WORK / "shuffled.root"
plan = shuffle_file(sorted_file, shuffled_file, np.random.default_rng(seed), memory="155MB")
before, after = ({name: [] for name in ("place", "label")} for _ in range(2))
for path, kept in [(sorted_file, before), (shuffled_file, after)]:
    for chunk in read_chunks(path, list(kept), chunk=CHUNK):
        for name, column in chunk.items():
            kept[name].append(column)
before, after = ({name: np.concatenate(parts) for name, parts in kept.items()} for kept in (before, after))
show("buckets", plan.n_buckets)
show("each event is there once", np.array_equal(np.sort(after["place"]), before["place"]))

# %% [markdown]
# **Guess before you look:** we draw some events where they lie in the new file (across) and where they lay in the old one (up).
# The left picture is a diagonal; what does the right one look like?

# %%
with figure("order-before-and-after", columns=2) as axes:
    for ax, kept, title in zip(axes, (before, after), ("before", "after the shuffle"), strict=True):
        position = np.linspace(0, n_events - 1, 1400).astype(int)
        for label, marker, name in [(1, "o", "H → WW"), (0, "x", "Drell-Yan")]:
            chosen = position[kept["label"][position] == label]
            ax.plot(chosen / 1000, kept["place"][chosen] / 1000, linestyle="", marker=marker, markersize=3.5, markerfacecolor="none",
                    label=f"{name} ({len(chosen)} events drawn)")  # fmt: skip
        ax.set_title(title, fontsize=11)
        ax.set_xlabel("place in this file [thousand events]")
        ax.set_ylabel("place in the sorted file [thousand events]")
        ax.set_ylim(0, 1.25 * n_events / 1000)
        ax.legend(fontsize=9, loc="upper left")

# %% [markdown]
# ## The same training again
#
# Nothing changes but the file.
#
# **Guess before you look:** how does the loss of the batches behave along the epoch, for the sorted file and for the shuffled one?

# %%
from_shuffled, losses_shuffled, shares_shuffled = train_from(shuffled_file)
with figure("loss-along-the-epoch", rows=2, size=(6.5, 5.5), sharex=True) as axes:
    for losses, shares, line, name in [
        (losses_sorted, shares_sorted, "-", "sorted file"),
        (losses_shuffled, shares_shuffled, "--", "shuffled file"),
    ]:
        axes[0].plot(losses, line, label=f"{name} ({n_events} events)")
        axes[1].plot(shares, line)
    axes[0].axhline(np.log(2), color="black", linestyle=":", linewidth=1, label="answering 0.5")
    axes[0].set_yscale("log")
    axes[0].set_ylabel("loss of the batch")
    axes[0].set_ylim(bottom=1e-7)
    axes[0].legend(fontsize=9, loc="lower right")
    axes[1].set_ylabel("share of signal")
    axes[1].set_xlabel(f"batch (of {BATCH} events)")

# %% [markdown]
# The first jump is where the first background comes into the buffer, the second where most of the signal has left it; from there on the network forgets what signal looks like.
# With the shuffled file the loss of most batches is larger than with the sorted one, and it is honest.

# %%
show("loss on the test events", test_loss(score_of(from_shuffled)), 2, spread=0.01)
show("smallest and largest number of signal events in whole batches, shuffled file", tuple(round(f(shares_shuffled[:-1]) * BATCH) for f in (min, max)))  # fmt: skip

# %% [markdown]
# From the shuffled file, the same network in the same time reaches {{loss on the test events #2}}.
# A third of 1024 is 341, and chance alone makes that vary by $\sqrt{1024 \cdot \frac{1}{3} \cdot \frac{2}{3}} \approx 15$.
# The most extreme of 280 batches should be about three of these away, and so they are: {{301 = smallest and largest number of signal events in whole batches, shuffled file[0]}} and {{386 = smallest and largest number of signal events in whole batches, shuffled file[1]}}.
#
# ## Several files at once, and other conveniences
#
# Often each class has its own files, so that no single file could mix them.
# `BatchStream` reads one slice of *every* file in each step, larger slices from larger files, so that each filling has the proportions of the whole; a thread reads ahead while the network works.
# It reads ROOT and HDF5.
# Here we hand it the three files of the samples as they are; no copy of the events is needed.
# The weight of an event is divided by the mean of its whole sample, since the mean of its chunk would change from chunk to chunk.

# %%
from coursekit.streaming import BatchStream

means = [event_weights(sample).mean() for sample in (signal, background)]
files = {fetch(FILES[0]): (1, means[0]), fetch(FILES[1]): (0, means[1]), fetch(FILES[2]): (0, means[1])}


def prepare_sample(events, sample):
    label, mean_weight = sample
    n = len(events["mth"])
    return scaler.transform(to_table(events, INPUT_BRANCHES)), np.full(n, label), event_weights(events) / mean_weight


def stream_of(seed, part=(0, 1)):
    rng = np.random.default_rng(seed)
    return BatchStream(files, prepare_sample, rng, [*INPUT_BRANCHES, *WEIGHT_BRANCHES], part, batch_size=BATCH, chunk=15_000, buffer=30_000)  # fmt: skip


stream = stream_of(seed)
first, second = ([y for _, y, _ in stream] for _ in range(2))
again = [y for _, y, _ in stream_of(seed)]
show("events in the last batch", len(first[-1]))
show("signal events in the first five batches", tuple(int(y.sum()) for y in first[:5]))
show("two epochs have the same order", np.array_equal(np.concatenate(first), np.concatenate(second)))
show("the same seed gives the same order", np.array_equal(np.concatenate(first), np.concatenate(again)))

# %% [markdown]
# A training needs a generator for its training events, one for validation and one for the test, and no event may be in two of them.
# `part=(0, 0.6)` takes the first 60% of each file, `(0.6, 0.8)` the next fifth, `(0.8, 1)` the rest.
# That is a fair split only if each file is in random order, as these are.
# (For `sorted_file`, or for its shuffled form, it is not: they hold copies of events, which would be in all three parts.)
# `keras_dataset` hands a stream to `model.fit`, as training and as validation data; `torch_dataset` does the same for PyTorch.

# %%
from coursekit.streaming import keras_dataset

training, validation, test_part = (stream_of(seed, part) for part in [(0, 0.6), (0.6, 0.8), (0.8, 1)])
show("events for training, validation and test", tuple(part.n_events for part in (training, validation, test_part)))
model = new_network(seed)
history = model.fit(
    keras_dataset(training), validation_data=keras_dataset(validation), epochs=EPOCHS, verbose=0
).history
show("validation loss", history["val_loss"][-1], 2, spread=0.03)
show("test loss", model.evaluate(keras_dataset(test_part), verbose=0), 2, spread=0.03)

# %% [markdown]
# Validation and test agree.
# (The scaler was fitted on events that were chosen by their identity and not by their place; in a study of your own, fit it on the part that you train on.)
#
# ## As good as from memory?
#
# We train once from the shuffled file, with a megabyte of events in memory, and three times with all events in memory.
# A single training depends on its random start: the spread of the three, which have three seeds, says how large a difference is by chance.

# %%
from coursekit.metrics import auc, auc_difference

stream = BatchStream({shuffled_file: None}, prepare, np.random.default_rng(seed), COLUMNS[:-1], batch_size=BATCH, chunk=CHUNK, buffer=2 * CHUNK)  # fmt: skip
streamed = new_network(seed)
streamed.fit(keras_dataset(stream), epochs=EPOCHS, verbose=0)

x, y, w = prepare({name: column[order] for name, column in content.items()})
scores = {"from the file": score_of(streamed)}
for i in range(3):
    model = new_network(seed + i)
    model.fit(x, y, sample_weight=w, batch_size=BATCH, epochs=EPOCHS, verbose=0)
    scores[f"in memory, seed {i + 1}"] = score_of(model)

# %%
areas = {name: auc(y_test, score, w_test) for name, score in scores.items()}
from_file, *in_memory = (area.value for area in areas.values())
by_seed = np.std(in_memory, ddof=1)
by_sample = auc_difference(y_test, scores["from the file"], scores["in memory, seed 1"], w_test).error


def rounded_up(error):
    return np.ceil(1000 * error) / 1000


of_one, of_mean = by_seed, by_seed / np.sqrt(3)  # of one training, and of the mean of three
sampling = areas["from the file"].error
show("AUC from the file", from_file, 3, error=rounded_up(np.hypot(sampling, of_one)))
show("AUC in memory, mean of three seeds", np.mean(in_memory), 3, error=rounded_up(np.hypot(sampling, of_mean)))
show("difference: error from the test events", by_sample, 4, spread=0.0002)
show("difference: error from the seeds", np.hypot(of_one, of_mean), 4, spread=0.0005)
difference, error = from_file - np.mean(in_memory), np.sqrt(by_sample**2 + of_one**2 + of_mean**2)
show("difference between file and memory", difference, 3, error=rounded_up(error))

# %% [markdown]
# The same test events serve all four trainings, so that the difference has a much smaller error than each AUC: {{difference: error from the test events}} from the test events.
# The seeds add to it twice, once for the one training and once, with a third of the variance, for the mean of three: {{difference: error from the seeds}}, though three trainings tell their own scatter only to within a factor of two.
# Together, rounded up, that makes {{0.000 ± 0.001 = difference between file and memory}}.
# Within that, a file ten times the memory allowed trains as well as memory does.
#
# What was saved should be said honestly, too.
# The events took about one megabyte for the training and five for the shuffle; the process as a whole takes a gigabyte, nearly all of it for TensorFlow and its like.
# The method pays when the events, and not the libraries, are what does not fit.
#
# ## Where you stand

# %%
progress()

# %% [markdown]
# ## What we found
#
# 1. What counts is the size decompressed, times the copies that are alive at once.
#    From it follows the chunk.
# 2. A basket is decompressed as a whole: chunks of several baskets cost little more than reading the file once, batches of 1024 that are read one by one cost six times as much.
#    `uproot.iterate` keeps the last basket, and costs no more than reading the file once.
# 3. A buffer mixes only what lies within its reach.
#    A sorted file ruins a training while its batch losses look splendid; one external shuffle, in two passes, repairs it for good.
#
# **One limitation:** our large file repeats one sample, so its events are not independent, and the network cannot learn more from it than from one copy.
# It tests the reading and says nothing about what more data would bring.
#
# **Next:** lesson 6 leaves tables behind: jets, and what they are made of.
#
# **Further reading:** the shuffle in two passes, P. Sanders, *Random permutations on distributed, external and hierarchical memory*, Inf. Process. Lett. 67 (1998) 305; practical advice on training, the order of the examples included, [arXiv:1206.5533](https://arxiv.org/abs/1206.5533); uproot, [uproot.readthedocs.io](https://uproot.readthedocs.io), and Awkward Array, in which it returns what is jagged, [arXiv:2001.06307](https://arxiv.org/abs/2001.06307).
