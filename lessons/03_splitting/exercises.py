"""Exercises of lesson 03: what moves together, cuts, partitions, folds, leaks, splits by identity."""

import random
from itertools import pairwise

import numpy as np
import pandas as pd

from coursekit.checks import call, describe, exercise, fail
from coursekit.checks.demands import given_generator


def moved_together(answer, inputs, labels, weights):
    """Compare what was shuffled event by event; the first column of the inputs numbers them."""
    whole = {"inputs": inputs, "labels": labels, "weights": weights}
    if not isinstance(answer, tuple | list) or len(answer) != 3:
        fail(f"three arrays should be returned: inputs, labels, weights; what came is {describe(answer)}.")
    for what, part in zip(whole, answer, strict=True):
        if not isinstance(part, np.ndarray):
            fail(f"the {what} should be an array; what came is {describe(part)}. An array indexed by an array is one.")
    found = [next((what for what, x in whole.items() if sorted(part.flat) == sorted(x.flat)), "") for part in answer]
    if sorted(found) == list(whole) != found:
        fail(f"{', '.join(found)} are returned, in this order; asked for are inputs, labels, weights.")
    for (what, array), part in zip(whole.items(), answer, strict=True):
        if part.shape != array.shape:
            fail(f"the {what} have shape {part.shape}, expected {array.shape}: each event is there once.")
    n, order = len(inputs), answer[0][:, 0].astype(int)
    if (left := len(set(order))) < n:
        fail(f"{left} of {n} events are left: rng.choice and rng.integers draw with replacement. Take rng.permutation.")
    if not np.array_equal(answer[0], inputs.take(order, axis=0, mode="clip")):
        fail("the columns of the inputs were torn apart: an event is a row, and moves as a whole.")
    if np.array_equal(order, np.sort(order)):
        fail("nothing has moved: the events come back in their old order.")
    for what, numbers, part in list(zip(whole, found, answer, strict=True))[1:]:
        if numbers == what and not np.array_equal(part, whole[what][order]):
            how = "stayed in the old order" if np.array_equal(part, whole[what]) else "got an order of their own"
            fail(f"the {what} {how}, so event i now carries those of another. Draw one order for all three arrays.")
    steps = np.bincount(np.diff(order) % n, minlength=n)
    if (most := steps.max()) > n / 6:  # about one of each is expected; not when rolled, turned or shuffled in blocks
        fail(f"no random order: in {most} of {n - 1} places the next event is {steps.argmax()} further on in the file.")
    if np.count_nonzero(np.diff(labels[order])) < n / 5:  # nearly n / 2 are expected
        fail("the classes still are in blocks. Draw one order of all events: rng.permutation(len(inputs)).")
    ratio = answer[2] / weights[order]
    if not np.allclose(ratio, 1) and all(np.ptp(ratio[labels[order] == label]) < 1e-6 for label in (0, 1)):
        fail("the weights of each class are multiplied by a number. They are normalised already: pass them on.")
    back = np.argsort(order)
    return {"the labels, in the old order,": answer[1][back], "the weights, in the old order,": answer[2][back]}


def in_order(draw):
    return lambda rng, *arrays: [array[order] for order in [draw(rng, arrays[1])] for array in arrays]


draw_unseeded = np.random.permutation
#: Wrong ways to shuffle, by words of what is said about them.
astray = {
    "labels got an order of their own": lambda rng, *arrays: tuple(map(rng.permutation, arrays)),
    "weights got an order of their own": lambda rng, x, y, w: (*shuffle(rng, x, y, w)[:2], rng.permutation(w)),
    "weights stayed in the old order": lambda rng, x, y, w: (*shuffle(rng, x, y, w)[:2], w),
    "labels stayed in the old order": lambda rng, x, y, w: (shuffle(rng, x, y, w)[0], y, w),
    "nothing has moved": lambda rng, *arrays: arrays,
    "draw with replacement": in_order(lambda rng, y: rng.integers(0, len(y), len(y))),
    "the next event is 1 further on": lambda rng, *arrays: [np.roll(array, 9, axis=0) for array in arrays],
    "classes still are in blocks": in_order(lambda rng, y: np.lexsort((rng.random(len(y)), y))),
    "torn apart": lambda rng, x, y, w: shuffle(rng, rng.permuted(x, axis=0), y, w),
    "inputs, weights, labels are returned": lambda rng, x, y, w: shuffle(rng, x, w, y),
    "something else draws": in_order(lambda rng, y: random.sample(range(len(y)), len(y))),
    "made inside, whose fixed seed": in_order(lambda rng, y: np.random.default_rng(1).permutation(len(y))),
    "np.random does not know it": in_order(lambda rng, y: draw_unseeded(len(y))),
    "three arrays should be returned": lambda rng, *arrays: shuffle(rng, *arrays)[:2],
    "the inputs should be an array": lambda rng, *arrays: [part.tolist() for part in shuffle(rng, *arrays)],
    "each event is there once": lambda rng, *arrays: [part[1:] for part in shuffle(rng, *arrays)],
}


@exercise(
    "3.1",
    "inputs, labels and weights shuffled together",
    cases=lambda: [(np.random.default_rng(31), np.c_[n, -n], (n < 80) * 1.0, n + 0.5) for n in [np.arange(200.0)]],
    observe=lambda shuffle, rng, *arrays: moved_together(call(shuffle, rng, *arrays), *arrays),
    demands=[given_generator],
    hints=(
        "The three arrays need one common order, so draw one order and use it three times.",
        "rng.permutation(n) gives the numbers 0 to n - 1 in random order.",
        "order = rng.permutation(len(inputs)), then inputs[order], labels[order], weights[order].",
    ),
    mistakes=astray | {"changes its input in place": lambda rng, *arrays: [a.sort(axis=0) or a for a in arrays]},
    accepted=[
        in_order(lambda rng, labels: np.argsort(rng.random(len(labels)))),
        in_order(lambda rng, y: rng.shuffle(order := list(range(len(y)))) or order),
        in_order(lambda rng, labels: rng.choice(len(labels), len(labels), replace=False)),
    ],
)
def shuffle(rng, inputs, labels, weights):
    order = rng.permutation(len(inputs))
    return inputs[order], labels[order], weights[order]


def arrays_to_cut():
    # 12 and 100: rounding each size by itself loses an event
    for n, f in [(1000, (0.6, 0.2, 0.2)), (1007, (0.55, 0.25, 0.2)), (103, (0.7, 0.3)), (12, (0.6, 0.2, 0.2))]:
        yield np.random.default_rng(n).permutation(np.arange(10, 10 + n)), f
    yield np.random.default_rng(100).permutation(np.arange(10, 110)), (1 / 3, 1 / 3, 1 / 3)
    yield np.arange(300.0).reshape(100, 3), (0.6, 0.4)
    yield np.array([3, 1, 2, 2, 1, 0, 0, 5, 5, 4]), (0.7, 0.0, 0.3)  # with equal entries, and a part that is empty


def list_of_parts(split, array, fractions):
    parts = call(split, array, fractions)
    given = f"for {len(array)} events and fractions {tuple(round(fraction, 4) for fraction in fractions)}"
    return {f"{given}, the list of parts": list(parts) if isinstance(parts, tuple | np.ndarray) else parts}


def cut(ends, size=len, axis=0, last=-1):
    """Return what those write who cut an array at other places, or forget that the last part goes to the end."""
    return lambda array, f: np.split(array, np.array(ends(size(array), np.array(f)), int)[:last], axis)[: len(f)]


@exercise(
    "3.2",
    "the function that splits by given fractions",
    cases=arrays_to_cut,
    observe=list_of_parts,
    hints=(
        "Part k ends where the first k fractions together end: np.cumsum(fractions).",
        "Round the ends, not the sizes: then neighbouring parts share an end, and no event falls between.",
        "np.split(array, ends[:-1]) cuts at the given positions.",
    ),
    mistakes={
        "Events are lost: each size was rounded down by itself. Sum the fractions first, and round the ends.": cut(lambda n, f: np.cumsum((n * f).astype(int)), last=None),
        "Rounding each size by itself loses events, or counts them twice: sum the fractions first, and round the ends.": cut(lambda n, f: np.cumsum(np.rint(n * f)), last=None),
        "Each size was rounded by itself, and the last part took the rest. Round the ends, n times the sum of the first k fractions.": cut(lambda n, f: np.cumsum(np.rint(n * f))),
        "Each size was rounded down by itself, and the last part took the rest. Round the ends, n times the sum of the first k fractions.": cut(lambda n, f: np.cumsum((n * f).astype(int))),
        "The ends were rounded down. int(...) and // cut off; round to the nearest.": cut(lambda n, f: n * np.cumsum(f)),
        "The ends were rounded up. Round to the nearest.": cut(lambda n, f: np.ceil(n * np.cumsum(f))),
        "These are numbers: asked for are the parts of the array, a list of arrays.": lambda array, f: [round(fraction * len(array)) for fraction in f],
        "The fractions were taken as places to cut. Sum them up first.": cut(lambda n, f: np.rint(n * f)),
        "Each size was taken for the place where its part ends. Sum the fractions up first.": cut(lambda n, f: np.rint(n * f), last=None),
        "These are equal parts. Use the fractions.": lambda array, f: np.array_split(array, len(f)),
        "Some events are in two parts, and others in none: each part begins where the last one ended.": lambda array, f: [array[: round(fraction * len(array))] for fraction in f],
        "Each fraction was taken of what the parts before have left. It is a share of all events.": cut(lambda n, f: n - np.rint(n * np.cumprod(1 - f)), last=None),
        "The last event of each part is lost: array[start:end] ends before end already.": lambda array, f: [part[:-1] for part in split(array, f)],
        "The first event of the later parts is lost: array[start:end] begins with start.": lambda array, f: [part[k > 0 :] for k, part in enumerate(split(array, f))],
        "The order has changed. Only cut: the array is shuffled already.": lambda array, f: split(np.random.default_rng(1).permutation(array), f),
        "The array was sorted. Only cut: it is shuffled already.": lambda array, f: split(np.sort(array, axis=0), f),
        "These are positions. Asked for are the entries of the array.": lambda array, f: split(np.arange(len(array)), f),
        "A table was cut into columns. Events are rows, the first axis.": cut(lambda n, f: np.rint(n * np.cumsum(f)), lambda array: array.shape[-1], -1),
        "A table has more numbers than events: len(array) counts events, array.size counts numbers.": cut(lambda n, f: np.rint(n * np.cumsum(f)), np.size),
        "changes its input in place": lambda array, f: array.sort(axis=0) or split(array, f),
        "One part too many: the last end is no place to cut.": lambda array, f: [*split(array, f), array[:0]],
    },
    accepted=[lambda x, f: tuple(x[a:b] for a, b in pairwise(round(len(x) * sum(f[:k])) for k in range(len(f) + 1)))],
)
def split(array, fractions):
    ends = np.rint(np.cumsum(fractions) * len(array)).astype(int)
    return np.split(array, ends[:-1])


def events_of_merge(merge, rng, signal, background):
    inputs, weights = (np.concatenate(pair) for pair in zip(signal, background, strict=True))
    return moved_together(call(merge, rng, signal, background), inputs, inputs[:, 1], weights)


def merged(finish=shuffle, labels=(1.0, 0.0), change=lambda w: w):
    """Return what those write who do not shuffle all in the end, have other labels, or change the weights."""
    return lambda rng, s, b: finish(
        rng, np.r_[s[0], b[0]], np.repeat(labels, [len(s[0]), len(b[0])]), np.r_[change(s[1]), change(b[1])]
    )


@exercise(
    "3.3",
    "signal and background merged and shuffled again",
    cases=lambda: [(np.random.default_rng(33), *((np.c_[n, n < 40], n + 1) for n in np.split(np.arange(110.0), [40])))],
    observe=events_of_merge,
    demands=[given_generator],
    hints=(
        "Three arrays to merge in the same order, signal first; the labels are made from the lengths.",
        "np.repeat([1.0, 0.0], [n_signal, n_background]) makes the labels.",
        "After merging all signal comes first: finish with shuffle(rng, inputs, labels, weights).",
    ),
    mistakes={
        "The weights were merged but not shuffled, so event i carries the weight of another.": merged(astray["weights stayed in the old order"]),
        "The weights belong to other events: merge them in the same order as the inputs, then shuffle all together.": merged(lambda rng, x, y, w: shuffle(rng, x, y, np.roll(w, 70))),
        "All signal comes first, then all background: a batch would hold one class only. Shuffle after merging.": merged(lambda rng, *arrays: arrays),
        "The labels are exchanged: in this course signal is 1, background 0.": merged(labels=(0.0, 1.0)),
        "Background is -1 here, as some books have it; in this course it is 0.": merged(labels=(1.0, -1.0)),
        "All labels are 1: make the zeros of the background, too.": merged(labels=(1.0, 1.0)),
        "Only two labels are 1: len(signal) is the length of the pair, len(signal[0]) the number of events.": merged(lambda rng, x, y, w: shuffle(rng, x, (np.arange(len(x)) < 2) * 1.0, w)),
        "normalised already": merged(change=lambda w: w / w.mean()),
        "The weights are all one: pass on those of the samples.": merged(change=np.ones_like),
        **{sentence: merged(shuffled) for sentence, shuffled in astray.items()},
    },
    accepted=[merged(in_order(lambda rng, y: np.argsort(rng.random(len(y)))), (1, 0)), merged()],
)
def merge(rng, signal, background):
    inputs = np.concatenate([signal[0], background[0]])
    weights = np.concatenate([signal[1], background[1]])
    labels = np.repeat([1.0, 0.0], [len(signal[0]), len(background[0])])
    return shuffle(rng, inputs, labels, weights)


def parts_to_judge():
    yield [[2, 0, 1], [4, 3]], 5, "is one: each of 0 to 4 is there once, in any order"
    yield [[5, 0], [1, 3], [2, 4]], 6, "is one, of three parts"
    yield [[0, 1, 2], [2, 4]], 5, "is none: 2 is there twice and 3 is missing. The total alone is not enough"
    yield [[0, 1, 2], [3]], 5, "is none: 4 is missing. No overlap alone is not enough"
    yield [[0, 1, 2, 2], [3, 4]], 5, "is none: 2 is there twice in one part. Sets forget how often"
    yield [[0, 1, 2], [2, 3, 4]], 5, "is none: 2 is in both parts. All present alone is not enough"
    yield [[0, 1, 2, 3, 4], [5]], 5, "is none: there is no event 5 among 5, they are 0 to 4. Look at the largest"
    yield [[0, 0, 3], [3, 4]], 5, "is none, though length and sum agree: 0 and 3 are there twice, 1 and 2 never"
    yield [[0, 1, 2], [3, 5]], 5, "is none: 5 is no event, and 4 is missing. Look at the values themselves"
    yield [[0, 1, 2], [4, -1]], 5, "is none: 3 is missing, and -1 is no event's number"
    yield [[0, 1], [4]], 5, "is none: 2 and 3 are missing. First and last number alone do not show a gap"
    yield [[0, 2, 1], [], [3]], 4, "is one: a part may be empty"


def judgement(is_partition, parts, n, reason):
    try:
        answer = call(is_partition, [np.array(part, int) for part in parts], n)
    except Exception:  # np.bincount refuses a negative number, and that is an answer, too
        if all(min(part, default=0) >= 0 for part in parts):
            raise
        answer = False
    if not isinstance(answer, bool | np.bool_):
        fail(f"is_partition should return True or False; what came is {describe(answer)}.")
    if answer != reason.startswith("is one"):
        fail(f"for the parts {parts} of {n} events, {bool(answer)} came, but this {reason}.")
    return {"the answer": bool(answer)}


def judged(judge):
    return lambda parts, n: judge(np.concatenate(parts), n)


@exercise(
    "3.4",
    "the test that parts are a partition",
    cases=parts_to_judge,
    observe=judgement,
    hints=(
        "A partition holds each number from 0 to n - 1 exactly once: none missing, none twice, none too large.",
        "np.concatenate(parts) has them all. Sorted, what should it be?",
        "np.array_equal(np.sort(np.concatenate(parts)), np.arange(n)).",
    ),
    mistakes={
        "The total alone is not enough": lambda parts, n: sum(map(len, parts)) == n,
        "there is no event 5 among 5": judged(lambda x, n: bool((np.bincount(x, minlength=n) == 1).all())),
        "though length and sum agree": judged(lambda x, n: len(x) == n and bool(x.sum() == n * (n - 1) / 2)),
        "Sets forget how often": judged(lambda x, n: set(x.tolist()) == set(range(n))),
        "All present alone is not enough": lambda parts, n: set(range(n)) == set().union(*(part.tolist() for part in parts)) and all(len(np.unique(part)) == len(part) for part in parts),
        "No overlap alone is not enough": judged(lambda x, n: len(np.unique(x)) == len(x)),
        "Look at the values themselves": judged(lambda x, n: len(np.unique(x)) == len(x) == n),
        "-1 is no event's number": judged(lambda x, n: len(np.unique(x)) == len(x) == n and bool(x.max() == n - 1)),
        "is one: each of 0 to 4 is there once, in any order": judged(lambda x, n: bool(np.array_equal(x, np.arange(n)))),
        "is one, of three parts": lambda parts, n: len(parts) == 2 and is_partition(parts, n),
        "a part may be empty": lambda parts, n: min(map(len, parts)) > 0 and is_partition(parts, n),
        "should return True or False": judged(lambda x, n: (np.sort(x) == np.arange(n)) if len(x) == n else False),
        "raised ValueError": judged(lambda x, n: bool((np.sort(x) == np.arange(n)).all())),
    },
    accepted=[
        judged(lambda x, n: sorted(x.tolist()) == list(range(n))),
        judged(lambda x, n: len(x) == n and (np.bincount(x, minlength=n) == 1).all()),
    ],
)
def is_partition(parts, n):
    return bool(np.array_equal(np.sort(np.concatenate(parts)), np.arange(n)))


def labels_to_deal():
    blocks = (np.arange(1003) < 59) * 1  # as after merging two files
    mixed = np.random.default_rng(35).permutation(blocks) * 1.0
    three = np.roll(np.repeat([0, 1, 2], [61, 82, 4]), 30)  # the last class has too few for each fold to get one
    for labels, k in ((blocks, 5), (mixed, 3), ((np.arange(402) % 4 == 0) * 1, 4), (1 - blocks, 4), (three, 5)):
        yield np.random.default_rng(36), labels, k


def dealt(function, rng, labels, k):
    fold = call(function, rng, labels, k)
    if isinstance(fold, list | tuple) and len(fold) == k:
        fail(f"{k} lists of positions came. Asked for is the other way round: one array, each event's fold number.")
    if not isinstance(fold, np.ndarray) or fold.shape != labels.shape:
        fail(f"the folds should be an array of shape {labels.shape}, one number per event; {describe(fold)} came.")
    given = f"for k = {k} and labels {'in blocks' if np.count_nonzero(np.diff(labels)) == 1 else 'in mixed order'}"
    if not set(fold.tolist()) <= set(range(k)):
        fail(f"{given}, the folds should be numbered 0 to {k - 1}; {np.unique(fold).tolist()[:8]} came.")
    members = {int(label): fold[labels == label].astype(int) for label in np.unique(labels)[::-1]}  # whole numbers as floats do as well
    counts = {label: np.bincount(numbers, minlength=k) for label, numbers in members.items()}
    if max(map(np.ptp, counts.values())) > 1:
        text = " and ".join(f"{numbers.tolist()} events of class {label}" for label, numbers in counts.items())
        fail(f"{given}, the folds have {text}: deal each class by itself, so that no two differ by more than one.")
    many = [part for part in members.values() if len(part) > 20]  # in few, anything can happen by chance
    if any(np.bincount(np.diff(part) % k).max() > 0.7 * len(part) for part in many):  # 1 / k is expected
        fail("in each class the folds follow a pattern. Shuffle the events of each class with `rng` before dealing.")
    return {"the folds": "of equal size in each class"}


def class_by_itself(deal):
    return lambda rng, y, k: np.piecewise(y, [y == c for c in range(3)], 3 * [lambda part: deal(rng, len(part), k)])


def in_first_places(rng, labels, k):
    fold = np.zeros(len(labels), int)
    for n in np.unique(labels, return_counts=True)[1]:
        fold[rng.permutation(n)] = np.arange(n) % k
    return fold


@exercise(
    "3.5",
    "stratified folds",
    cases=labels_to_deal,
    observe=dealt,
    harmless={"accepted 1: range(3)": "np.piecewise takes the last function for all entries that meet no condition."},
    demands=[given_generator],
    hints=(
        "Treat one class at a time: find its events with np.flatnonzero(labels == label).",
        "Bring them in random order, then deal them like cards: 0, 1, ..., k - 1, 0, 1, ...",
        "fold[rng.permutation(members)] = np.arange(len(members)) % k, for each label.",
    ),
    mistakes={
        "The folds do not know the labels.": lambda rng, labels, k: rng.permutation(len(labels)) % k,
        "Each fold is one block of neighbours in the file.": lambda rng, labels, k: np.arange(len(labels)) * k // len(labels),
        "Each event draws its fold by itself, which makes them equal on average only. Deal.": class_by_itself(lambda rng, n, k: rng.integers(0, k, n)),
        "The rest of the division all goes to the last fold: deal it, too, one to each.": class_by_itself(lambda rng, n, k: np.minimum(rng.permutation(n) // (n // k), k - 1)),
        "Folds of n / k, rounded up, leave too few for the last one.": class_by_itself(lambda rng, n, k: rng.permutation(n) // -(-n // k)),
        "The background was not dealt: all of it is in fold 0.": lambda rng, y, k: fold_numbers(rng, y, k) * (y == 1),
        "Only the classes 0 and 1 were dealt; there may be more: np.unique(labels) has them all.": lambda rng, y, k: fold_numbers(rng, y, k) * (y < 2),
        "The folds come class by class, and not in the order of the events.": lambda rng, y, k: np.concatenate([rng.permutation(np.sum(y == label)) % k for label in (1, 0)]),
        "The places were counted within the class; np.flatnonzero(labels == label) says where its events stand in the file.": in_first_places,
        "The events were sorted by class, but their folds not brought back: fold[order] = numbers, and not numbers[order].": lambda rng, y, k: (np.arange(len(y)) % k)[np.lexsort((rng.random(len(y)), y))],
        "Shuffle the events of each class": class_by_itself(lambda rng, n, k: np.arange(n) % k),
        "the folds follow a pattern": class_by_itself(lambda rng, n, k: (np.arange(n) + rng.integers(k)) % k),
        "The folds follow the order of the file: shuffle, and deal each class by itself.": lambda rng, y, k: (np.arange(len(y)) + rng.integers(k)) % k,
        "The folds are numbered 1 to k; count from 0.": lambda *arguments: fold_numbers(*arguments) + 1,
        "the folds should be numbered 0 to 2": lambda rng, y, k: fold_numbers(rng, y, 5),
        "lists of positions came": lambda rng, y, k: list(np.split(rng.permutation(len(y))[: len(y) // k * k], k)),
        "one number per event": lambda *arguments: fold_numbers(*arguments).tolist(),
        "made inside, whose fixed seed": lambda rng, y, k: fold_numbers(np.random.default_rng(1), y, k),
        "np.random does not know it": class_by_itself(lambda rng, n, k: draw_unseeded(n) % k),
    },
    accepted=[class_by_itself(lambda rng, n, k: rng.permutation(np.arange(n) % k)), lambda *a: fold_numbers(*a) * 1.0],
)
def fold_numbers(rng, labels, k):
    fold = np.empty(len(labels), dtype=int)
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        fold[members] = np.arange(len(members)) % k
    return fold


def events_with_copies():
    rng = np.random.default_rng(37)
    train, test = (np.column_stack([rng.integers(1, top, n) for top in (400, 400, 4000)]) for n in (300, 100))
    # the leak; another block; another event of the same block; another run
    for k, change in enumerate(([0, 0, 0], [0, 1000, 0], [0, 0, 5000], [1000, 0, 0])):
        test[12 * k : 12 * k + 12] = train[12 * k : 12 * k + 12] + change
    test[48:56, 2] = train[70:78, 2]  # the same event number in other runs
    test[56:64] = np.column_stack([train[100:108, 0], train[110:118, 1], train[120:128, 2]])
    test[64:72] = train[130:138][:, [2, 0, 1]]  # the same three numbers in other places
    train[150:153] = (1, 11, 2001), (31, 12, 7), (2, 6, 3001)
    test[72:75] = (11, 1, 2001), (3, 112, 7), (4, 3, 3001)  # the same digits when glued together; the same product
    train[200:206], test[75:81] = train[210:216], test[81:87]  # twice in the one part, and not in the other
    for k, columns in enumerate(([2, 1, 0], [1, 0, 2], [0, 2, 1])):
        test[88 + 3 * k : 91 + 3 * k] = train[140 + 3 * k : 143 + 3 * k][:, columns]
    test = rng.permutation(test)
    yield train, test
    train, test = (part + np.array([350_000, 0, 4_000_000_000]) for part in (train, test))  # as large as recorded ones
    test[:3] = train[200:203]  # in the test, and twice in the training part
    train[0], test[3] = train[1] + np.array([0, 0, 10**10]), train[1] + np.array([0, 0, 10**10 + 1])
    test[4] = train[2] + np.array([0, 0, 2**32])  # the same in 32 bits
    test[5:9] = [train[9] + np.array([0, 1, -(10**k)]) for k in (3, 4, 5, 6)]  # the same sum of multiples
    test[9:12] = [train[10] + np.array([1, 0, -(10**k)]) for k in (6, 8, 9)]
    yield train, test


def compared(key):
    return lambda train, test: np.isin(*([str(key(event)) for event in part.tolist()] for part in (test, train)))


def joined(train, test):
    return pd.DataFrame(test).merge(pd.DataFrame(train), how="left", indicator=True)["_merge"].eq("both").to_numpy()


@exercise(
    "3.6",
    "which test events were seen in training",
    cases=events_with_copies,
    returns=("leaked(train, test)",),
    hints=(
        "An event is the same only if run, luminosity block and event number all agree.",
        "Comparing each test event with each training event takes len(test) x len(train) comparisons, 520 million here: 1.5 GB as one array. A set answers `is it in there?` without looking at all.",
        "A Python set of tuples knows whole rows: seen = set(map(tuple, train.tolist())).",
        "np.array([tuple(row) in seen for row in test.tolist()]) is the mask.",
    ),
    mistakes={
        "It compares the event number alone, and two recorded runs may both have an event of this number. Compare all three numbers.": compared(lambda event: event[2]),
        "It compares run and event, and forgets the luminosity block.": compared(lambda event: event[::2]),
        "It compares run and block, and forgets the event number.": compared(lambda event: event[:2]),
        "It compares block and event, and forgets the run.": compared(lambda event: event[1:]),
        "Each column is compared by itself: run, block and event may agree with three different events. Compare whole rows.": lambda train, test: np.isin(test, train).all(axis=1),
        "Each column is compared by itself, with its own column: the three matches may be three different events. Compare whole rows.": lambda train, test: np.all([np.isin(test[:, i], train[:, i]) for i in range(3)], axis=0),
        "It finds events that are there twice in training and test taken together; some of them are twice in the test and never in the training.": lambda a, b: pd.DataFrame([*a, *b]).duplicated(keep=False)[len(a) :].to_numpy(),
        "The digits are glued together without a separator: 1, 11 and 11, 1 become the same text. Compare tuples, or put a separator between the numbers.": compared(lambda event: "".join(map(str, event))),
        "For arrays, `row in train` asks whether any single number agrees somewhere, not whether the row is there. Make tuples, and ask a set.": lambda train, test: np.array([row in train for row in test]),
        "True and False are exchanged: True is for an event that was seen in training.": lambda train, test: ~leaked(train, test),
        "The product of the three numbers is no identity: 2 x 3 is 3 x 2.": compared(np.prod),
        "The sum of the three numbers is no identity: 2 + 3 is 3 + 2.": compared(sum),
        "The three numbers were sorted: run 1, block 2 is not run 2, block 1.": compared(sorted),
        "A float has 16 digits, and run, block and event number together have more: different events become equal.": compared(lambda event: np.dot(event, [1e12, 1e6, 1.0])),
        "These numbers were cut to 32 bits, and recorded event numbers are larger. Keep their type.": compared(lambda event: tuple(np.array(event).astype(np.int32).tolist())),
        "One number made of the three, such as 1000 block + event, is the same for different events where event passes 1000. Compare tuples.": compared(lambda event: event[0] * 10**6 + event[1] * 10**3 + event[2]),
        "Event i of the one is compared with event i of the other; a copy may sit anywhere.": lambda train, test: (test == train[: len(test)]).all(axis=1),
        "A merge has a row for each pair: an event that is twice in the training is twice in the result. drop_duplicates first.": joined,
        "This is one answer for all; asked for is one for each test event.": lambda train, test: leaked(train, test).any(),
        "These are answers for the training events; asked for are the test events.": lambda train, test: leaked(test, train),
        "This has an answer for each number of each event; one for each event is asked for: compare whole rows.": lambda train, test: np.isin(test, train),
        "These are the leaked events themselves; a mask of True and False is asked for.": lambda train, test: test[leaked(train, test)],
        "These are the positions of the leaked events; a mask of True and False is asked for.": lambda train, test: np.flatnonzero(leaked(train, test)),
        "they come as a list": lambda train, test: leaked(train, test).tolist(),
        "a bool array can select": lambda train, test: leaked(train, test).astype(int),
    },
    accepted=[
        lambda train, test: (test[:, None] == train).all(axis=2).any(axis=1),
        lambda train, test: pd.MultiIndex.from_arrays(test.T).isin(pd.MultiIndex.from_arrays(train.T)),
        lambda train, test: joined(np.unique(train, axis=0), test),
        compared(lambda event: " ".join(map(str, event))),
    ],
)
def leaked(train, test):
    seen = set(map(tuple, train.tolist()))
    return np.array([tuple(event) in seen for event in test.tolist()])


@exercise(
    "3.7",
    "from a number between 0 and 1 to a part",
    cases=lambda: [
        *((np.random.default_rng(38).random(2000), fractions) for fractions in ((0.6, 0.2, 0.2), (0.1, 0.3, 0.4, 0.2))),
        (np.array([0.5, 0.75, 0.0]), (0.5, 0.25, 0.25)),  # on the edges: these sums are exact
        (np.array([0.7]), (0.5, 0.25, 0.25)),  # one alone
    ],
    returns=("part_numbers(u, fractions)",),
    hints=(
        "With fractions 0.6, 0.2, 0.2 part 0 ends at 0.6 and part 1 at 0.8.",
        "np.cumsum(fractions) gives the upper ends; count how many of them a number has passed.",
        "np.searchsorted(np.cumsum(fractions)[:-1], u, side='right').",
    ),
    mistakes={
        "They count from 1. The first part is number 0.": lambda u, fractions: part_numbers(u, fractions) + 1,
        "The fractions were taken as the ends themselves. Sum them up first: 0.6, 0.8, 1.": lambda u, fractions: np.searchsorted(fractions[:-1], u),
        "The fractions were taken as the ends themselves, sorted. Sum them up first.": lambda u, fractions: np.searchsorted(np.sort(fractions), u),
        "np.digitize got the fractions as its edges. The edges are their sums: 0.6, 0.8, 1.": np.digitize,
        "The parts are equal in size. Use the fractions.": lambda u, fractions: (u * len(fractions)).astype(int),
        "The parts are numbered from behind.": lambda u, fractions: len(fractions) - 1 - part_numbers(u, fractions),
        "A number on an edge belongs to the part above: part 1 begins with u = f_1 itself. searchsorted wants side='right', a comparison u >= edge.": lambda u, fractions: np.searchsorted(np.cumsum(fractions), u),
        "Intervals closed on the right leave u = 0 out and put an edge into the part below. Part 1 begins with u = f_1 itself; pd.cut wants right=False.": lambda u, fractions: pd.cut(u, [0, *np.cumsum(fractions)], labels=False),
        "Intervals closed on the right leave u = 0 out and put an edge into the part below. Part 1 begins with u = f_1 itself.": lambda u, fractions: np.searchsorted([0, *np.cumsum(fractions)], u) - 1,
        "Three parts are known here, and there may be more: use all fractions.": lambda u, fractions: np.minimum(part_numbers(u, fractions), 2),
        "This is one number; each u has its own.": lambda u, fractions: np.searchsorted(np.cumsum(fractions), u[0]),
    },
    accepted=[
        lambda u, fractions: sum((u >= edge) * 1.0 for edge in np.cumsum(fractions)[:-1]),
        lambda u, fractions: pd.cut(u, [0, *np.cumsum(fractions)], labels=False, right=False),
        lambda u, fractions: np.digitize(u, np.cumsum(fractions)[:-1]),
    ],
)
def part_numbers(u, fractions):
    return np.searchsorted(np.cumsum(fractions)[:-1], u, side="right")
