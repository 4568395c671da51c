"""Exercises of lesson 05, data larger than memory."""

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
    accepted=[lambda n, c: [*itertools.pairwise([*range(0, n, c), n])], lambda n, c: np.array(chunk_bounds(n, c))],
)
def chunk_bounds(n_events, chunk):
    return [(start, min(start + chunk, n_events)) for start in range(0, n_events, chunk)]


def searched(first="right", last="right", back=1, plus=1):
    """Return what those write who find the baskets of a chunk's first and last event with other searches."""
    return lambda b, e: sum(e.searchsorted(j - back, last) - e.searchsorted(i, first) + plus for i, j in b)


@exercise(
    "5.3",
    "how many baskets are decompressed",
    cases=lambda: [
        *[(chunk_bounds(750, chunk), np.array([*range(0, 701, 100), 750])) for chunk in (230, 90, 100, 750)],
        ([(2000, 4020), (5000, 6001), (6001, 11_000)], np.array([0, 2000, 5000, 6000, 8000, 12_400, 15_000])),
    ],
    observe=shown("baskets_read"),
    hints=(
        "A chunk touches the basket with its first event, the one with its last event (stop - 1), and all between.",
        'Event i lies in basket number np.searchsorted(edges, i, side="right") - 1.',
        "One chunk: number of the last basket - number of the first + 1. Then the sum over the chunks.",
    ),
    mistakes={
        "Each basket is counted once. Nobody keeps it until the next chunk: it is decompressed again.": lambda b, e: len(e) - 1,
        "Each basket is counted once for all chunks together. The next chunk that touches it decompresses it again: add up the chunks.": lambda b, e: len({k for i, j in b for k in range(len(e) - 1) if e[k] < j and i < e[k + 1]}),
        "This is the number of edges, one more than there are baskets.": lambda b, e: len(e),
        "This counts the basket that begins where the chunk stops: stop is one past the last event.": searched(back=0),
        "One basket of each chunk is missing: last - first + 1, as there are 3 numbers from 5 to 7.": searched(plus=0),
        "This takes each chunk for one basket. A chunk may be larger, or lie across an edge.": lambda b, e: len(b),
        "This divides the lengths. A chunk that lies across an edge touches one basket more.": lambda b, e: sum(-(-(stop - start) // e[1]) for start, stop in b),
        "This is the number of the last chunk alone; sum over all.": lambda b, e: baskets_read(b[-1:], e),
        "This is the number of the first chunk alone; sum over all.": lambda b, e: baskets_read(b[:1], e),
        "This has one number for each chunk. The sum over all is asked for.": lambda b, e: np.array([baskets_read([pair], e) for pair in b]),
        'An event that begins a basket is counted with the basket before: np.searchsorted says so unless it has side="right".': searched("left", "left"),
        'A chunk that starts on an edge is counted from the basket before. The start needs np.searchsorted(edges, start, side="right").': searched("left", "left", back=0),
        'The two sides are exchanged: an event on an edge belongs to the basket behind it, side="right" for the start; a chunk that stops on an edge does not touch that basket.': searched("left", back=0, plus=0),
        "This takes all baskets to be as large as the first. The edges say where each one begins.": lambda b, e: sum((stop - 1) // e[1] - start // e[1] + 1 for start, stop in b),
        "This takes all baskets to hold 5000 events. The argument `edges` says where each one begins.": lambda b, e: sum((stop - 1) // 5000 - start // 5000 + 1 for start, stop in b),
        "The last basket is never counted: there are len(edges) - 1 of them.": lambda b, e: sum(start < end and begin < stop for start, stop in b for begin, end in itertools.pairwise(e[:-1])),
    },
    accepted=[
        lambda b, e: sum(start < end and begin < stop for start, stop in b for begin, end in itertools.pairwise(e)),
        lambda b, e: float(sum(1 + np.sum((e > start) & (e < stop)) for start, stop in b)),
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


def three_arrays(result, name):
    if not isinstance(result, tuple | list) or [type(part) for part in result] != [np.ndarray] * 3:
        fail(f"{name} should give three NumPy arrays, inputs, labels and weights; what came is {describe(result)}.")
    shapes = [part.shape for part in result]
    if shapes != [(n := result[1].size, 2), (n,), (n,)]:
        fail(f"{name} gives inputs, labels and weights of shapes {str(shapes)[1:-1]}; expected (n, 2), (n,) and (n,).")
    return result


def kept(first, again, other):
    """Say what is kept of shuffled `events`: of two with the same seed, and of another."""
    numbers, labels, weights = first[0][:, 0], first[1] - 1000, first[2] - 2000
    return {
        "whether the inputs of an event stay in one row": np.array_equal(numbers, first[0][:, 1]),
        "whether each event has its own label": np.array_equal(numbers, labels),
        "whether each event has its own weight": np.array_equal(numbers, weights),
        "whether label and weight are of the same event": np.array_equal(labels, weights),
        "whether weights stand in the place of labels": bool((labels >= 1000).all()),
        "the number of events": len(numbers),
        "whether each event comes once": len(np.unique(numbers)) == len(numbers),
        "whether the same seed gives the same order": np.array_equal(numbers, again[0][:, 0]),
        "whether another seed gives another order": not np.array_equal(numbers, other[0][:, 0]),
    }


def merged_order(function, parts):
    results = [call(function, parts, np.random.default_rng(seed), name="shuffled") for seed in (1, 1, 2)]
    numbers = three_arrays(results[0], "shuffled")[0][:, 0]
    return kept(*(three_arrays(result, "shuffled") for result in results)) | {
        "whether the order is a new one": bool((np.diff(numbers) != 1).any()),
        "whether it is more than a shift": len(np.unique(np.diff(numbers) % 120)) > 1,
        "whether events of all pieces are mixed": bool(numbers[:40].max() >= 40),
    }


def merged(parts):
    return [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]


def taken(take):
    """Return what those write who merge and draw one order, and `take` what they return from these."""
    return lambda parts, rng: take(*merged(parts), rng.permutation(sum(len(part[1]) for part in parts)))


@exercise(
    "5.4",
    "pieces merged and shuffled together",
    cases=lambda: [*[([events(0, 40), events(40, n), events(n, 120)],) for n in (70, 40)], ([events(0, 120)],)],
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
        "Each piece is shuffled within itself, and the pieces keep their order. Merge first, then shuffle.": lambda p, rng: merged([shuffled([part], rng) for part in p]),
        "The events keep their order but for a shift. Use rng.permutation.": taken(lambda x, y, w, i: [np.roll(array, i[0], axis=0) for array in (x, y, w)]),
        "This repeats the same order every epoch: use the argument rng, not a generator made inside.": lambda p, rng: shuffled(p, np.random.default_rng(1)),
        "The same seed gives two orders: draw from the argument rng alone.": lambda p, rng: shuffled(p, np.random.default_rng()),
        "shapes (240,), (120,), (120,)": taken(lambda x, y, w, i: (x.ravel(), y[i], w[i])),
        "what came is tuple ([[": lambda p, rng: tuple(array.tolist() for array in shuffled(p, rng)),
    },
    accepted=[
        lambda p, rng: [*map(np.squeeze, np.hsplit(rng.permutation(np.vstack([*map(np.column_stack, p)])), [2, 3]))],
        lambda p, rng: list(shuffled(p[::-1], rng)),
        taken(lambda x, y, w, i: [array[i[::-1]] for array in (x, y, w)]),
    ],
)
def shuffled(parts, rng):
    inputs, labels, weights = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    order = rng.permutation(len(labels))
    return inputs[order], labels[order], weights[order]


def batches_of_a_file(function, n, chunk, batch_size, buffer):
    def epoch(rng):
        read = []
        chunks = (read.append(start) or events(start, stop) for start, stop in chunk_bounds(n, chunk))
        given = function(chunks, batch_size, buffer, rng)
        if given is None or isinstance(given, tuple):
            fail(f"`return` ends the function, `yield` gives a batch and goes on; what came is {describe(given)}.")
        # a buffer that is never emptied would give batches without end
        return [(*three_arrays(batch, "batches"), len(read)) for batch in itertools.islice(given, 500)]

    epoch.func = function  # what a message on an error quotes
    runs = [call(epoch, np.random.default_rng(seed), name="batches") for seed in (1, 1, 2)]
    if not runs[0]:
        fail("batches gave no batch at all: is there a `yield` for a full buffer, and one after the loop?")
    first, *others = (merged([batch[:3] for batch in run]) for run in runs)
    return kept(first, *others) | {
        "the list of chunks read before each batch": [batch[3] for batch in runs[0]],
        "the list of batch sizes": [len(batch[1]) for batch in runs[0]],
        "whether the first batches mix several chunks": len(np.unique(first[0][: 2 * batch_size, 0] // chunk)) > 1,
        "whether the last batches are shuffled": bool((np.diff(first[0][-20:, 0]) != 1).any()),
    }


def cut(pool, size, n=None):
    return (tuple(array[at : at + size] for array in pool) for at in range(0, len(pool[1]) if n is None else n, size))


def buffered(
    mix=lambda waiting, rng: shuffled(waiting, rng),
    n_out=lambda n, size: n // size * size,
    keep=lambda waiting, pool, n_out: [tuple(array[n_out:] for array in pool)],
    end=lambda waiting, pool, size: cut(pool, size),
    first=cut,
    full=lambda waiting, buffer: sum(len(part[1]) for part in waiting) >= buffer,
):
    """Return what those write who fill a buffer as the exercise says, but for one thing."""

    def batches(chunks, batch_size, buffer, rng):
        waiting = []
        for chunk in chunks:
            waiting.append(chunk)
            if full(waiting, buffer):
                pool = mix(waiting, rng)
                n = n_out(len(pool[1]), batch_size)
                yield from first(pool, batch_size, n)
                waiting = keep(waiting, pool, n)
        if waiting:
            yield from end(waiting, mix(waiting, rng), batch_size)

    return batches


@exercise(
    "5.5",
    "batches out of a buffer",
    cases=lambda: [(1030, 50, 16, 200), (400, 50, 16, 200), (200, 50, 16, 200), (30, 50, 16, 200)],
    observe=batches_of_a_file,
    harmless={
        "answer: n_waiting": "If nothing waits at the end, no batch is made of it; and a buffer of 0 is none.",
        "accepted 1: waiting": "If nothing waits at the end, no batch is made of it; and a buffer of 0 is none.",
    },
    hints=(
        "Keep a list of pieces and their number of events. Once there are `buffer` or more, it is time to shuffle.",
        "After a shuffle give n // batch_size whole batches; what remains is the first piece of the next filling.",
        "When the loop over the chunks ends, events still wait: shuffle and give them, too; the last batch is smaller.",
    ),
    mistakes={
        "`return` ends the function, `yield` gives a batch and goes on; what came is None.": lambda *given: print(end=""),
        "`return` ends the function, `yield` gives a batch and goes on; what came is tuple (": lambda *given: next(batches(*given)),
        "batches gave no batch at all": lambda *given: iter(()),
        "what came is an array of shape": lambda *given: (x for x, y, w in batches(*given)),
        "of shapes (32,), (16,), (16,)": lambda *given: ((x.ravel(), y, w) for x, y, w in batches(*given)),
        "The buffer is never emptied, or not of all that was given, and events come again and again.": buffered(keep=lambda waiting, pool, n_out: waiting),
        "Some events come twice and others never: what waits is the end of the pool, array[n_out:], for its beginning was given.": buffered(keep=lambda waiting, pool, n_out: [tuple(array[: len(array) - n_out] for array in pool)]),
        "This reads everything first: all chunks were read before the first batch came, and all events were in memory. Give batches whenever the buffer is full.": lambda c, size, n, rng: batches(c, size, 10**9, rng),
        "This drops the last batch: fewer events than a batch are left at the end, and belong to the epoch, too.": lambda c, size, *how: (batch for batch in batches(c, size, *how) if len(batch[1]) == size),
        "Events are lost at the end: what waits in the buffer after the last chunk is a part.": buffered(end=lambda *_: ()),
        "Events are lost at each filling: what does not fill a batch waits for the next filling.": buffered(keep=lambda *_: []),
        "Events are lost at each filling: all that waits takes part, also what is beyond `buffer`.": buffered(mix=lambda waiting, rng: [array[:200] for array in shuffled(waiting, rng)]),
        "The last event of each batch out of a full buffer is lost: the slice `at : at + batch_size` ends before its stop.": buffered(first=lambda pool, size, n: ([a[:-1] for a in batch] for batch in cut(pool, size, n))),
        "The last event of each batch is lost: the slice `at : at + batch_size` ends before its stop.": lambda *given: ([array[:-1] for array in batch] for batch in batches(*given)),
        "Smaller batches come in between; only the last may differ. What does not fill a batch waits for the next filling.": buffered(n_out=lambda n, size: n),
        "What waits at the end is given as one batch. Cut it into batches, too; only the last of them is smaller.": buffered(end=lambda waiting, pool, size: [pool]),
        "Only one batch comes from each full buffer, so that all that waits is shuffled again for each batch. Give all the whole batches.": buffered(n_out=lambda n, size: size),
        "The first batch came before the buffer was full: events are shuffled among few others. Fill it first.": lambda c, size, n, rng: batches(c, size, 1, rng),
        "The buffer is full with `buffer` events, and this waits for more: >=, not >.": lambda c, size, n, rng: batches(c, size, n + 1, rng),
        "The pieces that wait are not equally long: what is left of a filling is a short one. Add up the lengths of all.": buffered(full=lambda waiting, buffer: len(waiting) * len(waiting[-1][1]) >= buffer),
        "After the first filling every chunk passes for a full buffer. The number of events that wait must come down to that of the rest.":
            lambda c, size, n, rng: batches(itertools.chain([merged(itertools.islice(c, n // 50))], c), size, 1, rng),
        "The events come in the order of the file: shuffle the full buffer with shuffled(..., rng).": buffered(mix=lambda waiting, rng: merged(waiting)),
        "What waits at the end comes in the order of the file: shuffle it as well.": buffered(end=lambda waiting, pool, size: cut(merged(waiting), size)),
        "The first batches hold events of one chunk: shuffle the buffer as a whole.": buffered(mix=lambda waiting, rng: merged([shuffled([part], rng) for part in waiting])),
        "Three orders for three arrays: inputs, labels and weights of an event must stay together, as `shuffled` keeps them.": buffered(mix=lambda waiting, rng: [rng.permutation(array) for array in merged(waiting)]),
        "Labels and weights are exchanged: first the inputs, then the labels, then the weights.": lambda *given: ((x, w, y) for x, y, w in batches(*given)),
        "This repeats the same order every epoch: use the argument rng, not a generator made inside.": lambda c, size, n, rng: batches(c, size, n, np.random.default_rng(1)),
        "The same seed gives two orders: draw from the argument rng alone.": lambda c, size, n, rng: batches(c, size, n, np.random.default_rng()),
    },
    accepted=[buffered(), lambda *given: map(list, batches(*given))],
    # One chunk is read ahead.
    alternatives=[lambda c, *how: batches((ahead for ahead, _ in itertools.pairwise(itertools.chain(c, [None]))), *how)],
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


@exercise(
    "5.6",
    "events scattered to buckets",
    cases=lambda: [
        *[(np.random.default_rng(56).random(90), n) for n in (6, 4)],
        (np.array([0.25, 0.9, 0.0, 0.06, 0.05, 0.75]), 4),  # some where a bucket begins; another bucket stays empty
        (np.array([]), 2),
    ],
    observe=lambda f, u, n: {f"scatter(u, {n})": list(i) if type(i := call(f, u, n, name="scatter")) is tuple else i},
    demands=[whole_numbers],
    hints=(
        "K u lies between 0 and K; its whole part, 0 to K - 1, is the number of the bucket.",
        "np.floor(n_buckets * u).astype(int) is the bucket of each event.",
        "np.flatnonzero(bucket == k) gives the positions of the events of bucket k, in the order of the file.",
    ),
    mistakes={
        "These are masks, True or False for each event; the positions are asked for: np.flatnonzero(mask).": lambda u, n: [np.floor(n * u) == k for k in range(n)],
        "These are the numbers of the buckets, one for each event. The other way round: for each bucket, the positions of its events.": lambda u, n: np.floor(n * u).astype(int),
        "These are the numbers u themselves; the positions of the events are asked for.": lambda u, n: [u[i] for i in scatter(u, n)],
        "np.where returns a tuple, an array for each axis. Take its first entry: np.where(...)[0].": lambda u, n: [(i,) for i in scatter(u, n)],
        "np.argwhere gives a column, one row for each event. A flat array of positions comes from np.flatnonzero.": lambda u, n: [i[:, np.newaxis] for i in scatter(u, n)],
        "The events are dealt out like cards, by their position; u does not enter, so nothing is random.": lambda u, n: [np.arange(k, len(u), n) for k in range(n)],
        "These are consecutive pieces of the file; u does not enter, so nothing is random.": lambda u, n: np.array_split(np.arange(len(u)), n),
        "The buckets are equally full: u of all events was sorted, which a file that comes in chunks does not allow. floor(K u) is known from one event alone.": lambda u, n: np.array_split(np.argsort(u), n),
        "Rounded to the nearest whole number: the first bucket gets half, and the events with K u above K - 0.5 get lost. Round down.": lambda u, n: [np.flatnonzero(np.rint(n * u) == k) for k in range(n)],
        "Off by one: the first bucket is empty and the last one lost. Round down, and count from 0.": lambda u, n: [np.flatnonzero(np.ceil(n * u) == k) for k in range(n)],
        "Empty buckets are left out, and those behind them get another number. There are n_buckets of them, range(n_buckets), not np.unique(bucket).": lambda u, n: [np.flatnonzero(np.floor(n * u) == k) for k in np.unique(np.floor(n * u))],
        "An event exactly on an edge gets lost: k / K <= u < (k + 1) / K.": lambda u, n: [np.where((u > k / n) & (u < (k + 1) / n))[0] for k in range(n)],
        "An event exactly on an edge comes into two buckets: k / K <= u < (k + 1) / K.": lambda u, n: [np.where((u >= k / n) & (u <= (k + 1) / n))[0] for k in range(n)],
        "The events of a bucket should stay in the order of the file: they are appended as they come.": lambda u, n: [i[np.argsort(u[i])] for i in scatter(u, n)],
        "they come as a list": lambda u, n: [i.tolist() for i in scatter(u, n)],
        "their type is float64": lambda u, n: [i.astype(float) for i in scatter(u, n)],
    },
    accepted=[
        lambda u, n: [np.array([i for i, value in enumerate(u) if k == int(value * n)], dtype=int) for k in range(n)],
        lambda u, n: tuple(np.where((u >= k / n) & (u < (k + 1) / n))[0].astype(np.int32) for k in range(n)),
    ],
)
def scatter(u, n_buckets):
    bucket = np.floor(n_buckets * u).astype(int)
    return [np.flatnonzero(bucket == k) for k in range(n_buckets)]
