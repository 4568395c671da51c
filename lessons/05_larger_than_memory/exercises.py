"""Exercises of lesson 05, data larger than memory."""

import functools
import itertools

import numpy as np

from coursekit.checks import call, describe, exercise, fail
from coursekit.checks.demands import whole_numbers

MEMORY = 1_000_000  # as in the lesson


def shown(name):
    """Name what is compared as the student would write it: ``chunk_bounds(10, 4)``."""
    return lambda function, *given: {f"{name}{given}": call(function, *given, name=name)}


@exercise(
    "5.1",
    "how many events fit in memory",
    cases=lambda: [(MEMORY, 33.0, 4), (5_000_000, 52.5, 3), (1200, 100, 2), (99, 50, 2)],
    observe=shown("chunk_size"),
    demands=[whole_numbers],
    tolerance={"rtol": 0},
    hints=(
        "All copies together take copies * bytes_per_event for each event.",
        "The memory divided by that is seldom a whole number, and the last event has to fit whole.",
        "a // b divides and rounds down; int() makes an integer of the result.",
    ),
    mistakes={
        "Rounded up: the last event does not fit whole.": lambda m, b, c: int(np.ceil(m / (b * c))),
        "This is not a whole number of events; round it down.": lambda m, b, c: m / (b * c),
        "no whole numbers for Python": lambda m, b, c: np.floor(m / (b * c)),
        "The copies are forgotten: they all have to fit at the same time.": lambda m, b, c: int(m // b),
        "The copies are forgotten, and this is not a whole number.": lambda m, b, c: m / b,
        "Multiplied by the copies; with more copies, fewer events fit.": lambda m, b, c: int(m / b * c),
        "This is the memory that an event needs, not the number of events.": lambda m, b, c: b * c,
        "This has 4 copies, whatever is passed: use `copies`.": lambda m, b, c: int(m // (b * 4)),
        "This is MEMORY, whatever is passed: use `memory`.": lambda m, b, c: int(MEMORY // (b * c)),
    },
    accepted=[lambda m, b, c: int(m / b / c), lambda m, b, c: np.int64(np.floor(m / (b * c)))],
)
def chunk_size(memory, bytes_per_event, copies):
    return int(memory // (bytes_per_event * copies))


@exercise(
    "5.2",
    "first and last event of each chunk",
    cases=lambda: [(10, 4), (12, 4), (3, 5), (1001, 100)],
    observe=shown("chunk_bounds"),
    demands=[whole_numbers],
    accept=(list, tuple, np.ndarray),
    hints=(
        "range(0, n_events, chunk) gives every start.",
        "A stop is one past the last event, so that it is the start of the next chunk: no gap, no overlap.",
        "The last chunk stops at n_events: min(start + chunk, n_events).",
    ),
    mistakes={
        "The last, smaller chunk is dropped, and its events are never seen.": lambda n, c: [(i * c, (i + 1) * c) for i in range(n // c)],
        "The last chunk stops behind the end of the file; it stops at n_events.": lambda n, c: [(start, start + c) for start in range(0, n, c)],
        "The last chunk stops behind the end of the file, and is empty where n_events is a multiple of chunk.": lambda n, c: [(start, start + c) for start in range(0, n + 1, c)],
        "The last chunk is empty: n_events is a multiple of chunk here.": lambda n, c: [(i * c, min((i + 1) * c, n)) for i in range(n // c + 1)],
        "Off by one: stop is one past the last event, as in Python's slices, so events get lost.": lambda n, c: [(start, stop - 1) for start, stop in chunk_bounds(n, c)],
        "Off by one: the chunks overlap, and an event at each edge is read twice.": lambda n, c: [(start, min(start + c + 1, n)) for start in range(0, n, c)],
        "Off by one: events are counted from 0, so the first chunk starts at 0.": lambda n, c: [(start + 1, stop) for start, stop in chunk_bounds(n, c)],
        "These are start and length; the second number is where the chunk stops.": lambda n, c: [(start, stop - start) for start, stop in chunk_bounds(n, c)],
        "These are the starts alone; each belongs in a pair with its stop.": lambda n, c: list(range(0, n, c)),
        "This is the first chunk alone. A `return` inside the loop ends it at the first turn.": lambda n, c: chunk_bounds(n, c)[:1],
        "This is the last chunk alone. Append inside the loop, at each turn.": lambda n, c: chunk_bounds(n, c)[-1:],
        "should be a list": lambda n, c: ((start, min(start + c, n)) for start in range(0, n, c)),
        "their type is float64": lambda n, c: [(float(start), float(stop)) for start, stop in chunk_bounds(n, c)],
        "These are texts; events are counted with numbers.": lambda n, c: [(str(start), str(stop)) for start, stop in chunk_bounds(n, c)],
    },
    accepted=[
        lambda n, c: [[start, min(start + c, n)] for start in np.arange(0, n, c)],
        lambda n, c: list(itertools.pairwise([*range(0, n, c), n])),
        lambda n, c: np.stack([np.arange(0, n, c), np.minimum(np.arange(0, n, c) + c, n)], axis=1),
    ],
)
def chunk_bounds(n_events, chunk):
    return [(start, min(start + chunk, n_events)) for start in range(0, n_events, chunk)]


def files_with_baskets():
    """Baskets of one size, where most mistakes give different numbers, then of several, and chunks that miss some."""
    edges = np.array([0, 100, 200, 300, 400, 500, 600, 700, 750])
    for chunk in (230, 40, 100, 750):
        yield chunk_bounds(750, chunk), edges
    yield [(100, 201), (250, 301), (301, 360)], np.array([0, 100, 250, 300, 400, 620, 750])
    yield [(0, 6000), (6000, 10_000)], np.array([0, 4000, 9000, 10_000])


def count_of_baskets(function, bounds, edges):
    some = ", ".join(map(str, bounds[:4])) + (", ..." if len(bounds) > 4 else "")
    name = f"the number of baskets for the chunks {some} and the edges {edges.tolist()}"
    return {name: call(function, bounds, edges, name="baskets_read")}


def last_minus_first(first, last, plus=1):
    """Return what those write who find the baskets of a chunk's first and last event with other searches."""
    return lambda b, e: sum(last(e, stop) - first(e, start) + plus for start, stop in b)


def right(edges, event):
    return np.searchsorted(edges, event, side="right")


def overlapping(bounds, edges):
    baskets = list(itertools.pairwise(edges))
    return sum(start < end and begin < stop for start, stop in bounds for begin, end in baskets)


@exercise(
    "5.3",
    "how many baskets are decompressed",
    cases=files_with_baskets,
    observe=count_of_baskets,
    hints=(
        "A chunk touches the basket with its first event, the one with its last event (stop - 1), and all between.",
        'Event i lies in basket number np.searchsorted(edges, i, side="right") - 1.',
        "One chunk: number of the last basket - number of the first + 1. Then the sum over the chunks.",
    ),
    mistakes={
        "Each basket is counted once. Nobody keeps it until the next chunk: it is decompressed again.": lambda b, e: len(e) - 1,
        "This is the number of edges, one more than there are baskets.": lambda b, e: len(e),
        "This counts the basket that begins where the chunk stops: stop is one past the last event.": last_minus_first(right, right),
        "One basket of each chunk is missing: last - first + 1, as there are 3 numbers from 5 to 7.": last_minus_first(right, lambda edges, stop: right(edges, stop - 1), plus=0),
        "This takes each chunk for one basket. A chunk may be larger, or lie across an edge.": lambda b, e: len(b),
        "This divides the lengths. A chunk that lies across an edge touches one basket more.": lambda b, e: sum(-(-(stop - start) // e[1]) for start, stop in b),
        "This is the number of the last chunk alone; sum over all.": lambda b, e: baskets_read(b[-1:], e),
        "This is the number of the first chunk alone; sum over all.": lambda b, e: baskets_read(b[:1], e),
        "This has one number for each chunk. The sum over all is asked for.": lambda b, e: np.array([baskets_read([pair], e) for pair in b]),
        'An event that begins a basket is counted with the basket before: np.searchsorted says so unless it has side="right".': last_minus_first(np.searchsorted, lambda edges, stop: np.searchsorted(edges, stop - 1)),
        'A chunk that starts on an edge is counted from the basket before. The start needs np.searchsorted(edges, start, side="right").': last_minus_first(np.searchsorted, np.searchsorted),
        'The two sides are exchanged: an event on an edge belongs to the basket behind it, side="right" for the start; a chunk that stops on an edge does not touch that basket.': last_minus_first(np.searchsorted, right, plus=0),
        "This takes all baskets to be as large as the first. The edges say where each one begins.": lambda b, e: sum((stop - 1) // e[1] - start // e[1] + 1 for start, stop in b),
        "This takes all baskets to hold 5000 events. The argument `edges` says where each one begins.": lambda b, e: sum((stop - 1) // 5000 - start // 5000 + 1 for start, stop in b),
        "The last basket is never counted: there are len(edges) - 1 of them.": lambda b, e: overlapping(b, e[:-1]),
    },
    accepted=[
        overlapping,
        lambda b, e: float(sum(1 + np.sum((e > start) & (e < stop)) for start, stop in b)),
        lambda b, e: sum(np.digitize(stop - 1, e) - np.digitize(start, e) + 1 for start, stop in b),
    ],
)
def baskets_read(bounds, edges):
    starts, stops = np.array(bounds).T
    first = np.searchsorted(edges, starts, side="right") - 1
    last = np.searchsorted(edges, stops - 1, side="right") - 1
    return (last - first + 1).sum()


def events(first, last):
    """Make events that can be recognised: event i has inputs (i, i), label 1000 + i and weight 2000 + i."""
    i = np.arange(first, last, dtype=np.float64)
    return np.stack([i, i], axis=1), 1000 + i, 2000 + i


def triple(result, name):
    """Return inputs, labels and weights, if that is what came."""
    if not isinstance(result, tuple | list) or [type(part) for part in result] != [np.ndarray] * 3:
        fail(f"{name} should give three NumPy arrays, inputs, labels and weights; what came is {describe(result)}.")
    shapes = [part.shape for part in result]
    if shapes[0][1:] != (2,) or shapes[1] != shapes[0][:1] or shapes[2] != shapes[1]:
        came = ", ".join(map(str, shapes))
        fail(f"{name} gives inputs, labels and weights of shapes {came}; expected (n, 2), (n,) and (n,).")
    return result


def belonging(inputs, labels, weights):
    """Say what still belongs together in shuffled `events`."""
    numbers = inputs[:, 0]
    return {
        "whether the inputs of an event stay in one row": np.array_equal(numbers, inputs[:, 1]),
        "whether each event has its own label": np.array_equal(numbers, labels - 1000),
        "whether each event has its own weight": np.array_equal(numbers, weights - 2000),
        "whether label and weight are of the same event": np.array_equal(labels - 1000, weights - 2000),
        "whether weights stand in the place of labels": bool((labels >= 2000).all()),
        "the number of events": len(numbers),
        "whether each event comes once": len(np.unique(numbers)) == len(numbers) == len(np.unique(labels)),
    }


def seeded(first, again, other):
    """Say whether the order comes from the given generator: of two with the same seed, and of another."""
    return {
        "whether the same seed gives the same order": np.array_equal(first, again),
        "whether another seed gives another order": not np.array_equal(first, other),
    }


def merged_order(function, parts):
    """Say what becomes of pieces, of which the first has 40 events."""
    results = [call(function, parts, np.random.default_rng(seed), name="shuffled") for seed in (1, 1, 2)]
    numbers, again, other = (triple(result, "shuffled")[0][:, 0] for result in results)
    return belonging(*results[0]) | {
        "whether the order is a new one": bool((np.diff(numbers) != 1).any()),
        "whether it is more than a shift": len(np.unique(np.diff(numbers) % 120)) > 1,
        "whether events of all pieces are mixed": bool(numbers[:40].max() >= 40),
        **seeded(numbers, again, other),
    }


def merged(parts):
    return [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]


def taken(take):
    """Return what those write who merge and draw one order, and `take` what they return from these."""
    return lambda parts, rng: take(*merged(parts), rng.permutation(sum(len(part[1]) for part in parts)))


def each_by_itself(parts, rng):
    return tuple(merged([shuffled([part], rng) for part in parts]))


def as_table(parts, rng):
    table = rng.permutation(np.concatenate([np.column_stack(part) for part in parts]))
    return table[:, :-2], table[:, -2], table[:, -1]


@exercise(
    "5.4",
    "pieces merged and shuffled together",
    cases=lambda: [
        ([events(0, 40), events(40, 70), events(70, 120)],),
        ([events(0, 40), events(40, 40), events(40, 120)],),
    ],
    observe=merged_order,
    hints=(
        "zip(*parts) turns a list of triples into three tuples: all inputs, all labels, all weights.",
        "np.concatenate merges the arrays of one kind; rng.permutation(n) draws an order of n events.",
        "The same `order` indexes all three arrays: inputs[i], labels[i], weights[i].",
    ),
    mistakes={
        "The inputs are shuffled but not the labels and weights: every event now has the label of another.": taken(lambda x, y, w, i: (x[i], y, w)),
        "The weights stay behind: every event now has the weight of another.": taken(lambda x, y, w, i: (x[i], y[i], w)),
        "The labels stay behind: every event now has the label of another.": taken(lambda x, y, w, i: (x[i], y, w[i])),
        "Labels and weights are exchanged: first the inputs, then the labels, then the weights.": taken(lambda x, y, w, i: (x[i], w[i], y[i])),
        "Three orders for three arrays: draw one permutation, and use it for inputs, labels and weights.": lambda p, rng: tuple(rng.permutation(array) for array in merged(p)),
        "The columns of the inputs are torn apart: shuffle rows, not single numbers.": taken(lambda x, y, w, i: (np.stack([x[i, 0], x[:, 1]], axis=1), y[i], w[i])),
        "Only the first of the pieces is there. Merge them first.": lambda p, rng: shuffled(p[:1], rng),
        "Only the last of the pieces is there: a loop overwrites those before.": lambda p, rng: shuffled(p[-1:], rng),
        "Some events come twice and others never: draw without replacement, rng.permutation(n).": taken(lambda x, y, w, i: [array[i // 2] for array in (x, y, w)]),
        "The pieces are merged, but not shuffled.": lambda p, rng: tuple(merged(p)),
        "Each piece is shuffled within itself, and the pieces keep their order. Merge first, then shuffle.": each_by_itself,
        "The events keep their order but for a shift. Use rng.permutation.": taken(lambda x, y, w, i: [np.roll(array, i[0], axis=0) for array in (x, y, w)]),
        "This repeats the same order every epoch: use the argument rng, not a generator made inside.": lambda p, rng: shuffled(p, np.random.default_rng(1)),
        "The same seed gives two orders: draw from the argument rng alone.": lambda p, rng: shuffled(p, np.random.default_rng()),
        "shapes (240,), (120,), (120,)": taken(lambda x, y, w, i: (x.ravel(), y[i], w[i])),
        "what came is tuple ([[": lambda p, rng: tuple(array.tolist() for array in shuffled(p, rng)),
    },
    accepted=[
        as_table,
        lambda p, rng: list(shuffled(p[::-1], rng)),
        taken(lambda x, y, w, i: [array[i[::-1]] for array in (x, y, w)]),
    ],
)
def shuffled(parts, rng):
    inputs, labels, weights = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    order = rng.permutation(len(labels))
    return inputs[order], labels[order], weights[order]


def epoch(function, n, chunk, batch_size, buffer, seed):
    """Return the batches of one epoch, and how many chunks had been read when each came."""
    read = []

    def chunks():
        for start, stop in chunk_bounds(n, chunk):
            read.append(start)
            yield events(start, stop)

    given = function(chunks(), batch_size, buffer, np.random.default_rng(seed))
    if given is None:
        fail("batches returned None. A generator gives each batch with `yield`.")
    if isinstance(given, tuple):
        fail("batches returned a tuple: `return` ends the function at the first batch; `yield` goes on.")
    # a buffer that is never emptied would give batches without end
    return [(*triple(batch, "batches"), len(read)) for batch in itertools.islice(given, 500)]


def batches_of_a_file(function, n, chunk, batch_size, buffer):
    # partial has no source of its own that a message on an error could quote for the student's
    runs = [functools.partial(epoch, function, n, chunk, batch_size, buffer, seed) for seed in (1, 1, 2)]
    given, again, other = (call(run, name="batches") for run in runs)
    if not given:
        fail("batches gave no batch at all: is there a `yield` for a full buffer, and one after the loop?")
    numbers = merged([batch[:3] for batch in given])[0][:, 0]
    return {
        **belonging(*merged([batch[:3] for batch in given])),
        "the list of chunks read before each batch": [batch[3] for batch in given],
        "the list of batch sizes": [len(batch[1]) for batch in given],
        "whether the first batches mix several chunks": len(np.unique(numbers[: 2 * batch_size] // chunk)) > 1,
        "whether the first batches are shuffled": bool((np.diff(numbers[:batch_size]) != 1).any()),
        "whether the last batches are shuffled": bool((np.diff(numbers[-20:]) != 1).any()),
        **seeded(numbers, *(np.concatenate([batch[0][:, 0] for batch in run]) for run in (again, other))),
    }


def cut(pool, size, n=None):
    for at in range(0, len(pool[1]) if n is None else n, size):
        yield tuple(array[at : at + size] for array in pool)


def buffered(
    full=lambda n_waiting, n_read, buffer: n_waiting >= buffer,
    mix=lambda waiting, rng, buffer: shuffled(waiting, rng),
    n_out=lambda n, size: n // size * size,
    keep=lambda waiting, pool, n_out: [tuple(array[n_out:] for array in pool)],
    end=lambda waiting, rng, size: cut(shuffled(waiting, rng), size),
):
    """Return what those write who fill a buffer as the exercise says, but for one thing."""

    def batches(chunks, batch_size, buffer, rng):
        waiting, n_read = [], 0
        for chunk in chunks:
            waiting.append(chunk)
            n_read += len(chunk[1])
            if full(sum(len(part[1]) for part in waiting), n_read, buffer):
                pool = mix(waiting, rng, buffer)
                n = n_out(len(pool[1]), batch_size)
                yield from cut(pool, batch_size, n)
                waiting = keep(waiting, pool, n)
        if waiting:
            yield from end(waiting, rng, batch_size)

    return batches


def changed(change):
    """Return what those write who get all right, and `change` each batch before they give it."""
    return lambda *given: (change(*batch) for batch in batches(*given))


@exercise(
    "5.5",
    "batches out of a buffer",
    cases=lambda: [(1030, 50, 16, 200), (400, 50, 16, 200), (30, 50, 16, 200)],
    observe=batches_of_a_file,
    hints=(
        "Keep a list of pieces and their number of events. Once there are `buffer` or more, it is time to shuffle.",
        "After a shuffle give n // batch_size whole batches; what remains is the first piece of the next filling.",
        "When the loop over the chunks ends, events still wait: shuffle and give them, too; the last batch is smaller.",
    ),
    mistakes={
        "gives each batch with `yield`": lambda *given: print(end=""),
        "`return` ends the function at the first batch": lambda *given: next(batches(*given)),
        "batches gave no batch at all": lambda *given: iter(()),
        "what came is an array of shape": changed(lambda x, y, w: x),
        "of shapes (32,), (16,), (16,)": changed(lambda x, y, w: (x.ravel(), y, w)),
        "raised ValueError": lambda c, size, n, rng: cut(shuffled([part[:2] for part in c], rng), size),
        "The buffer is never emptied, or not of all that was given, and events come again and again.": buffered(keep=lambda waiting, pool, n_out: waiting),
        "Some events come twice and others never: what waits is the end of the pool, array[n_out:], for its beginning was given.": buffered(keep=lambda waiting, pool, n_out: [tuple(array[: len(array) - n_out] for array in pool)]),
        "This reads everything first: all chunks were read before the first batch came, and all events were in memory. Give batches whenever the buffer is full.": lambda c, size, n, rng: cut(shuffled(list(c), rng), size),
        "This drops the last batch: fewer events than a batch are left at the end, and belong to the epoch, too.": buffered(end=lambda w, rng, size: (b for b in cut(shuffled(w, rng), size) if len(b[1]) == size)),
        "Events are lost at the end: what waits in the buffer after the last chunk is a part.": buffered(end=lambda *_: ()),
        "Events are lost at each filling: what does not fill a batch waits for the next filling.": buffered(keep=lambda *_: []),
        "Events are lost at each filling: all that waits takes part, also what is beyond `buffer`.": buffered(mix=lambda w, rng, buffer: [array[:buffer] for array in shuffled(w, rng)]),
        "The last event of each batch is lost: the slice `at : at + batch_size` ends before its stop.": changed(lambda *batch: [array[:-1] for array in batch]),
        "Smaller batches come in between; only the last may differ. What does not fill a batch waits for the next filling.": buffered(n_out=lambda n, size: n),
        "What waits at the end is given as one batch. Cut it into batches, too; only the last of them is smaller.": buffered(end=lambda w, rng, size: [shuffled(w, rng)]),
        "Only one batch comes from each full buffer, so that all that waits is shuffled again for each batch. Give all the whole batches.": buffered(n_out=lambda n, size: size),
        "The first batch came before the buffer was full: events are shuffled among few others. Fill it first.": buffered(full=lambda n, n_read, buffer: True),
        "The buffer is full with `buffer` events, and this waits for more: >=, not >.": buffered(full=lambda n, n_read, buffer: n > buffer),
        "After the first filling every chunk passes for a full buffer. The number of events that wait must come down to that of the rest.": buffered(full=lambda n, n_read, buffer: n_read >= buffer),
        "The events come in the order of the file: shuffle the full buffer with shuffled(..., rng).": buffered(mix=lambda w, rng, buffer: merged(w), end=lambda w, rng, size: cut(merged(w), size)),
        "What waits at the end comes in the order of the file: shuffle it as well.": buffered(end=lambda w, rng, size: cut(merged(w), size)),
        "The first batches hold events of one chunk: shuffle the buffer as a whole.": buffered(mix=lambda w, rng, buffer: each_by_itself(w, rng)),
        "Three orders for three arrays: inputs, labels and weights of an event must stay together, as `shuffled` keeps them.": buffered(mix=lambda w, rng, buffer: [rng.permutation(array) for array in merged(w)]),
        "Labels and weights are exchanged: first the inputs, then the labels, then the weights.": changed(lambda x, y, w: (x, w, y)),
        "This repeats the same order every epoch: use the argument rng, not a generator made inside.": lambda c, size, n, rng: batches(c, size, n, np.random.default_rng(1)),
        "The same seed gives two orders: draw from the argument rng alone.": lambda c, size, n, rng: batches(c, size, n, np.random.default_rng()),
    },
    accepted=[
        buffered(),
        changed(lambda *batch: list(batch)),
        # one chunk further ahead
        lambda chunks, *how: batches((one for one, _ in itertools.pairwise(itertools.chain(chunks, [None]))), *how),
    ],
)
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


def events_to_scatter():
    u = np.random.default_rng(56).random(90)
    yield from ((u, 6), (u, 4))
    yield np.array([0.25, 0.0, 0.5, 0.9, 0.51, 0.75]), 4  # some exactly where a bucket begins
    yield np.array([0.05, 0.9, 0.1]), 4  # two buckets stay empty
    yield np.array([]), 2


def scattered(function, u, n_buckets):
    result = call(function, u, n_buckets, name="scatter")
    return {f"scatter(u, {n_buckets})": list(result) if isinstance(result, tuple) else result}


def numbered(number):
    """Return what those write who number the buckets in another way."""
    return lambda u, n: [np.flatnonzero(number(u, n) == k) for k in range(n)]


def between(above, below):
    """Return what those write who compare with the edges of each bucket."""
    return lambda u, n: [np.where(above(u, k / n) & below(u, (k + 1) / n))[0] for k in range(n)]


def each(change):
    """Return what those write who find the events of each bucket, and return something else of them."""
    return lambda u, n: [change(chosen, u) for chosen in scatter(u, n)]


def one_by_one(u, n_buckets):
    found = [[] for _ in range(n_buckets)]
    for i, value in enumerate(u):
        found[int(value * n_buckets)].append(i)
    return found


@exercise(
    "5.6",
    "events scattered to buckets",
    cases=events_to_scatter,
    observe=scattered,
    demands=[whole_numbers],
    hints=(
        "K u lies between 0 and K; its whole part, 0 to K - 1, is the number of the bucket.",
        "np.floor(n_buckets * u).astype(int) is the bucket of each event.",
        "np.flatnonzero(bucket == k) gives the positions of the events of bucket k, in the order of the file.",
    ),
    mistakes={
        "These are masks, True or False for each event; the positions are asked for: np.flatnonzero(mask).": lambda u, n: [np.floor(n * u) == k for k in range(n)],
        "These are the numbers of the buckets, one for each event. The other way round: for each bucket, the positions of its events.": lambda u, n: np.floor(n * u).astype(int),
        "These are the numbers u themselves; the positions of the events are asked for.": each(lambda i, u: u[i]),
        "np.where returns a tuple, an array for each axis. Take its first entry: np.where(...)[0].": each(lambda i, u: (i,)),
        "np.argwhere gives a column, one row for each event. A flat array of positions comes from np.flatnonzero.": each(lambda i, u: i[:, np.newaxis]),
        "The events are dealt out like cards, by their position; u does not enter, so nothing is random.": lambda u, n: [np.arange(k, len(u), n) for k in range(n)],
        "These are consecutive pieces of the file; u does not enter, so nothing is random.": lambda u, n: np.array_split(np.arange(len(u)), n),
        "The buckets are equally full: u of all events was sorted, which a file that comes in chunks does not allow. floor(K u) is known from one event alone.": lambda u, n: np.array_split(np.argsort(u), n),
        "Rounded to the nearest whole number: the first bucket gets half, and the events with K u above K - 0.5 get lost. Round down.": numbered(lambda u, n: np.rint(n * u)),
        "Off by one: the first bucket is empty and the last one lost. Round down, and count from 0.": numbered(lambda u, n: np.ceil(n * u)),
        "Empty buckets are left out, and those behind them get another number. There are n_buckets of them, range(n_buckets), not np.unique(bucket).": lambda u, n: [np.flatnonzero(np.floor(n * u) == k) for k in np.unique(np.floor(n * u))],
        "An event exactly on an edge gets lost: k / K <= u < (k + 1) / K.": between(np.greater, np.less),
        "An event exactly on an edge comes into two buckets: k / K <= u < (k + 1) / K.": between(np.greater_equal, np.less_equal),
        "The events of a bucket should stay in the order of the file: they are appended as they come.": each(lambda i, u: i[np.argsort(u[i])]),
        "they come as a list": one_by_one,
        "their type is float64": each(lambda i, u: np.array(i, dtype=float)),
    },
    accepted=[
        between(np.greater_equal, np.less),
        lambda u, n: [np.array(chosen, dtype=int) for chosen in one_by_one(u, n)],
        lambda u, n: np.split(
            np.argsort(np.floor(n * u), kind="stable"), np.cumsum(np.bincount((n * u).astype(int), minlength=n))[:-1]
        ),
        lambda u, n: tuple(np.where((n * u).astype(np.int32) == k)[0] for k in range(n)),
    ],
)
def scatter(u, n_buckets):
    bucket = np.floor(n_buckets * u).astype(int)
    return [np.flatnonzero(bucket == k) for k in range(n_buckets)]
