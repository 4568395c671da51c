"""Exercises of lesson 05, data larger than memory."""

import functools
import itertools

import numpy as np

from coursekit.checks.engine import call, describe, exercise, expect_close, expect_equal, fail


def chunk_size(memory, bytes_per_event, copies):
    return int(memory // (bytes_per_event * copies))


def chunk_bounds(n_events, chunk):
    return [(start, min(start + chunk, n_events)) for start in range(0, n_events, chunk)]


def baskets_read(bounds, edges):
    starts, stops = np.array(bounds).T
    first = np.searchsorted(edges, starts, side="right") - 1
    return int((np.searchsorted(edges, stops) - first).sum())


def shuffled(parts, rng):
    inputs, labels, weights = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    order = rng.permutation(len(labels))
    return inputs[order], labels[order], weights[order]


def batches(chunks, batch_size, buffer, rng):
    waiting, n_waiting = [], 0
    for chunk in chunks:
        waiting.append(chunk)
        n_waiting += len(chunk[1])
        if n_waiting >= buffer:
            pool = shuffled(waiting, rng)
            n_out = n_waiting // batch_size * batch_size
            for at in range(0, n_out, batch_size):
                yield tuple(array[at : at + batch_size] for array in pool)
            waiting, n_waiting = [tuple(array[n_out:] for array in pool)], n_waiting - n_out
    if n_waiting:
        pool = shuffled(waiting, rng)
        for at in range(0, n_waiting, batch_size):
            yield tuple(array[at : at + batch_size] for array in pool)


def scatter(u, n_buckets):
    bucket = np.floor(n_buckets * u).astype(int)
    return [np.flatnonzero(bucket == k) for k in range(n_buckets)]


@exercise(
    "5.1",
    "how many events fit in memory",
    hints=(
        "All copies together take copies * bytes_per_event for each event.",
        "The memory divided by that is seldom a whole number, and the last event has to fit whole.",
        "a // b divides and rounds down; int() makes an integer of the result.",
    ),
    reference=lambda: chunk_size,
)
def _(function):
    for memory, size, copies in ((1_000_000, 33.0, 4), (5_000_000, 52.5, 3)):
        result = call(function, memory, size, copies, name="chunk_size")
        exact = memory / (size * copies)
        expect_close(
            f"chunk_size({memory}, {size}, {copies})",
            result,
            int(exact),
            mistakes={
                "Rounded up: the last event does not fit whole.": int(exact) + 1,
                "This is not a whole number of events; round it down.": exact,
                "The copies are forgotten: they all have to fit at the same time.": int(exact * copies),
                "The copies are forgotten, and this is not a whole number.": exact * copies,
                "Multiplied by the copies; with more copies, fewer events fit.": int(exact * copies**2),
                "This is the memory that an event needs, not the number of events.": size * copies,
            },
            rtol=0,
            atol=1e-9,
        )
        if not isinstance(result, int | np.integer):
            fail(f"the number is right, but it comes as a {type(result).__name__}; ranges want an integer: int(...).")


@exercise(
    "5.2",
    "first and last event of each chunk",
    hints=(
        "range(0, n_events, chunk) gives every start.",
        "A stop is one past the last event, so that it is the start of the next chunk: no gap, no overlap.",
        "The last chunk stops at n_events: min(start + chunk, n_events).",
    ),
    reference=lambda: chunk_bounds,
)
def _(function):
    for n, chunk in ((10, 4), (12, 4), (3, 5), (1001, 100)):
        result = call(function, n, chunk, name="chunk_bounds")
        try:
            result = [(int(start), int(stop)) for start, stop in result]
        except (TypeError, ValueError):
            fail(f"chunk_bounds should return a list of pairs (start, stop); what came is {describe(result)}.")
        right, starts = chunk_bounds(n, chunk), range(0, n, chunk)
        past = "The last chunk stops behind the end of the file; it stops at n_events."
        expect_equal(
            f"chunk_bounds({n}, {chunk})",
            result,
            right,
            mistakes={
                "The last, smaller chunk is dropped, and its events are never seen.": [
                    (start, start + chunk) for start in range(0, n // chunk * chunk, chunk)
                ],
                past: [(start, start + chunk) for start in starts],
                past + " And there is an empty chunk.": [(s, s + chunk) for s in range(0, n + 1, chunk)],
                "The last chunk is empty: n_events is a multiple of chunk here.": [
                    (start, min(start + chunk, n)) for start in range(0, n + 1, chunk)
                ],
                "Off by one: stop is one past the last event, as in Python's slices, so events get lost.": [
                    (start, stop - 1) for start, stop in right
                ],
                "Off by one: the chunks overlap, and an event at each edge is read twice.": [
                    (start, min(start + chunk + 1, n)) for start in starts
                ],
                "Off by one: events are counted from 0, so the first chunk starts at 0.": [
                    (start + 1, stop) for start, stop in right
                ],
                "These are start and length; the second number is where the chunk stops.": [
                    (start, stop - start) for start, stop in right
                ],
            },
        )


@exercise(
    "5.3",
    "how many baskets are decompressed",
    hints=(
        "A chunk touches the basket with its first event, the one with its last event (stop - 1), and all between.",
        'Event i lies in basket number np.searchsorted(edges, i, side="right") - 1.',
        "One chunk: number of the last basket - number of the first + 1. Then the sum over the chunks.",
    ),
    reference=lambda: baskets_read,
)
def _(function):
    edges = np.array([0, 100, 200, 300, 400, 500, 600, 700, 750])
    for chunk in (230, 40, 100, 750):  # the first is one for which all these mistakes give different numbers
        bounds = chunk_bounds(750, chunk)
        starts, stops = np.array(bounds).T
        first = np.searchsorted(edges, starts, side="right") - 1
        right = baskets_read(bounds, edges)
        expect_close(
            f"the number of baskets for chunks of {chunk} events and edges {edges.tolist()}",
            call(function, bounds, edges, name="baskets_read"),
            right,
            mistakes={
                "Each basket is counted once. Nobody keeps it until the next chunk: it is decompressed again.": 8,
                "This is the number of edges, one more than there are baskets.": 9,
                "This counts the basket that begins where the chunk stops: stop is one past the last event.": (
                    np.searchsorted(edges, stops, side="right") - 1 - first + 1
                ).sum(),
                "One basket of each chunk is missing: last - first + 1, as there are 3 numbers from 5 to 7.": (
                    right - len(bounds)
                ),
                "This takes each chunk for one basket. A chunk may be larger, or lie across an edge.": len(bounds),
                "This divides the lengths. A chunk that lies across an edge touches one basket more.": np.ceil(
                    (stops - starts) / 100
                ).sum(),
                "This is the number of the last chunk alone; sum over all.": baskets_read(bounds[-1:], edges),
                "This is the number of the first chunk alone; sum over all.": baskets_read(bounds[:1], edges),
            },
        )


def _events(first, last):
    """Make events that can be recognised: event i has inputs (i, i), label 1000 + i and weight 2000 + i."""
    i = np.arange(first, last, dtype=np.float64)
    return np.stack([i, i], axis=1), 1000 + i, 2000 + i


def _require_batch(batch, name):
    if not isinstance(batch, tuple | list) or len(batch) != 3:
        fail(f"{name} should give triples of inputs, labels and weights; what came is {describe(batch)}.")
    if any(not isinstance(array, np.ndarray) for array in batch):
        kinds = ", ".join(type(array).__name__ for array in batch)
        fail(f"{name} should give three NumPy arrays; what came is {kinds}.")
    inputs, labels, weights = batch
    if inputs.ndim != 2 or inputs.shape[1] != 2 or not len(inputs) == len(labels) == len(weights):
        shapes = ", ".join(str(array.shape) for array in batch)
        fail(f"{name} gives inputs, labels and weights of shapes {shapes}; expected (n, 2), (n,) and (n,).")


def _require_together(batch):
    inputs, labels, weights = batch
    if not np.array_equal(inputs[:, 0], inputs[:, 1]):
        fail("the columns of the inputs are torn apart: shuffle rows, not single numbers.")
    if np.array_equal(labels - 1000, weights - 2000) and not np.array_equal(inputs[:, 0], labels - 1000):
        fail("the inputs are shuffled but not the labels and weights: every event now has the label of another.")
    if np.array_equal(inputs[:, 0], labels - 1000) and not np.array_equal(labels - 1000, weights - 2000):
        fail("the weights stay behind: every event now has the weight of another.")
    if not np.array_equal(inputs[:, 0], labels - 1000):
        fail("three orders for three arrays: draw one permutation, and use it for inputs, labels and weights.")


@exercise(
    "5.4",
    "pieces merged and shuffled together",
    hints=(
        "zip(*parts) turns a list of triples into three tuples: all inputs, all labels, all weights.",
        "np.concatenate merges the arrays of one kind; rng.permutation(n) draws an order of n events.",
        "The same `order` indexes all three arrays: inputs[order], labels[order], weights[order].",
    ),
    reference=lambda: shuffled,
)
def _(function):
    parts = [_events(0, 40), _events(40, 70), _events(70, 120)]
    merged = np.arange(120)
    result = call(function, parts, np.random.default_rng(1), name="shuffled")
    _require_batch(result, "shuffled")
    numbers = result[0][:, 0]
    if len(numbers) in (40, 30, 50):
        fail(f"shuffled returned {len(numbers)} events of 120: only one of the pieces. Merge them first.")
    if len(numbers) != 120:
        fail(f"shuffled returned {len(numbers)} events, expected 120, each once.")
    if len(np.unique(result[1])) < 120 or len(np.unique(numbers)) < 120:
        fail("some events come twice and others never: draw without replacement, rng.permutation(n).")
    _require_together(result)
    if np.array_equal(numbers, merged):
        fail("the pieces are merged, but not shuffled.")
    if numbers[:40].max() < 40 and numbers[70:].min() >= 70:
        fail("each piece is shuffled within itself, and the pieces keep their order. Merge first, then shuffle.")
    if len(np.unique(np.diff(numbers) % 120)) == 1:
        fail("the events keep their order but for a shift. Use rng.permutation.")
    others = [function(parts, np.random.default_rng(seed))[0][:, 0] for seed in (1, 2)]
    if not np.array_equal(others[0], numbers):
        fail("the same seed gives two orders: draw from the argument rng alone.")
    if np.array_equal(others[1], numbers):
        fail("this repeats the same order every epoch: use the argument rng, not a generator made inside.")


@exercise(
    "5.5",
    "batches out of a buffer",
    hints=(
        "Keep a list of pieces and their number of events. Once there are `buffer` or more, it is time to shuffle.",
        "After a shuffle give n // batch_size whole batches; what remains is the first piece of the next filling.",
        "When the loop over the chunks ends, events still wait: shuffle and give them, too; the last batch is smaller.",
    ),
    reference=lambda: batches,
)
def _(function):
    n, chunk, size, buffer = 1030, 50, 16, 200
    read = []

    def chunks():
        for start, stop in chunk_bounds(n, chunk):
            read.append(stop)
            yield _events(start, stop)

    def epoch(seed):
        read.clear()
        given, chunks_read = [], []
        result = function(chunks(), size, buffer, np.random.default_rng(seed))
        if result is None:
            fail("batches returned None. A generator gives each batch with `yield`.")
        if isinstance(result, tuple):
            fail("batches returned a tuple: `return` ends the function at the first batch; `yield` goes on.")
        for batch in itertools.islice(result, 500):  # a buffer that is never emptied would give batches without end
            given.append(batch)
            chunks_read.append(len(read))
        return given, chunks_read

    # partial has no source of its own that a message on an error could quote for the student's
    given, chunks_read = call(functools.partial(epoch, 1), name="batches")
    if not given:
        fail("batches gave no batch at all: is there a `yield` for a full buffer, and one after the loop?")
    for batch in given:
        _require_batch(batch, "batches")
        _require_together(batch)
    numbers = np.concatenate([batch[0][:, 0] for batch in given])
    unique = np.unique(numbers)
    sizes = [len(batch[0]) for batch in given]
    if len(numbers) > n:
        fail(
            f"{len(numbers)} events came for {n}: the buffer is never emptied, or not of all that was given, and "
            "events come again and again."
        )
    if len(unique) < len(numbers):
        fail("some events come twice: take out of the buffer what was given.")
    if chunks_read[0] == len(chunk_bounds(n, chunk)):
        fail(
            "this reads everything first: all chunks were read before the first batch came, and all events were in "
            "memory. Give batches whenever the buffer is full."
        )
    if len(numbers) < n:
        missing = np.setdiff1d(np.arange(n), unique)
        if len(missing) == n % size:
            fail(f"this drops the last batch: {len(missing)} events are left at the end, fewer than a batch.")
        if missing.min() >= n - buffer - chunk:
            fail(f"{len(missing)} events are lost at the end: what waits in the buffer after the last chunk is a part.")
        fail(f"{len(missing)} events of {n} are lost: what does not fill a batch waits for the next filling.")
    if any(other != size for other in sizes[:-1]):
        fail(
            f"the batches have {min(sizes[:-1])} to {max(sizes[:-1])} events; only the last may differ from {size}. "
            "What does not fill a batch waits for the next filling."
        )
    if numbers[:buffer].max() < chunk or chunks_read[0] < buffer // chunk:
        fail(
            f"the first batch came after {chunks_read[0]} chunk(s) of {chunk} events, before the buffer of {buffer} "
            "was full: events are shuffled among few others. Fill it first."
        )
    if chunks_read[0] > buffer // chunk + 1:
        fail(f"{chunks_read[0]} chunks of {chunk} events were read before the first batch; the buffer is {buffer}.")
    if np.array_equal(numbers, np.arange(n)):
        fail("the events come in the order of the file: shuffle the full buffer with shuffled(..., rng).")
    again, other = (np.concatenate([batch[0][:, 0] for batch in epoch(seed)[0]]) for seed in (1, 2))
    if not np.array_equal(again, numbers):
        fail("the same seed gives two orders: draw from the argument rng alone.")
    if np.array_equal(other, numbers):
        fail("this repeats the same order every epoch: use the argument rng, not a generator made inside.")
    if len(np.unique(numbers[: 2 * size] // chunk)) < 2:
        fail("the first batches hold events of one chunk: shuffle the buffer as a whole.")


@exercise(
    "5.6",
    "events scattered to buckets",
    hints=(
        "K u lies between 0 and K; its whole part, 0 to K - 1, is the number of the bucket.",
        "np.floor(n_buckets * u).astype(int) is the bucket of each event.",
        "np.flatnonzero(bucket == k) gives the positions of the events of bucket k, in the order of the file.",
    ),
    reference=lambda: scatter,
)
def _(function):
    u = np.random.default_rng(56).random(90)
    for n_buckets in (6, 4):
        right = scatter(u, n_buckets)
        result = call(function, u, n_buckets, name="scatter")
        if not isinstance(result, list | tuple) or len(result) != n_buckets:
            fail(f"scatter should return a list of {n_buckets} arrays; what came is {describe(result)}.")
        result = [np.asarray(chosen) for chosen in result]
        if any(chosen.dtype == bool for chosen in result):
            fail("these are masks, True or False for each event; the positions are asked for: np.flatnonzero(mask).")
        if any(chosen.ndim != 1 for chosen in result):
            fail(f"each entry should be a flat array of positions; the first is {describe(result[0])}.")

        def same(one, other):
            return all(map(np.array_equal, one, other))

        if same(result, right):
            continue
        if all(chosen.dtype.kind == "f" for chosen in result) and same(result, [u[chosen] for chosen in right]):
            fail("these are the numbers u themselves; the positions of the events are asked for.")
        if same(result, [np.flatnonzero(np.arange(90) % n_buckets == k) for k in range(n_buckets)]):
            fail("the events are dealt out like cards, by their position; u does not enter, so nothing is random.")
        if same(result, np.array_split(np.arange(90), n_buckets)):
            fail("these are consecutive pieces of the file; u does not enter, so nothing is random.")
        if same(map(np.sort, result), map(np.sort, np.array_split(np.argsort(u), n_buckets))):
            fail(
                "the buckets are equally full: u of all events was sorted, which a file that comes in chunks does not "
                "allow. floor(K u) is known from one event alone."
            )
        if same(result, [np.flatnonzero(np.rint(n_buckets * u) == k) for k in range(n_buckets)]):
            fail(
                "rounded to the nearest whole number: the first bucket gets half, and the events with K u above "
                f"{n_buckets - 0.5} get lost. Round down."
            )
        if same(result[1:], right[:-1]) and len(result[0]) == 0:
            fail("off by one: the first bucket is empty and the last one lost. Round down, and count from 0.")
        if same(map(np.sort, result), right):
            fail("the events of a bucket should stay in the order of the file: they are appended as they come.")
        n_given = sum(map(len, result))
        fail(f"the buckets hold {n_given} positions for 90 events, and not those with floor(K u) = k.")
