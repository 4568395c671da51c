"""Exercises of lesson 03, splitting."""

import numpy as np

from coursekit.checks.engine import call, describe, exercise, expect_close, expect_equal, fail
from coursekit.splitting import shuffle_together


def split(array, fractions):
    ends = np.rint(np.cumsum(fractions) * len(array)).astype(int)
    return np.split(array, ends[:-1])


def merge(rng, signal, background):
    inputs = np.concatenate([signal[0], background[0]])
    weights = np.concatenate([signal[1], background[1]])
    labels = np.repeat([1.0, 0.0], [len(signal[0]), len(background[0])])
    order = rng.permutation(len(inputs))
    return inputs[order], labels[order], weights[order]


def is_partition(parts, n):
    return bool(np.array_equal(np.sort(np.concatenate(parts)), np.arange(n)))


def fold_numbers(rng, labels, k):
    fold = np.empty(len(labels), dtype=int)
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        fold[members] = np.arange(len(members)) % k
    return fold


def leaked(train, test):
    seen = set(map(tuple, train.tolist()))
    return np.array([tuple(event) in seen for event in test.tolist()])


def part_numbers(u, fractions):
    return np.searchsorted(np.cumsum(fractions)[:-1], u, side="right")


@exercise(
    "3.1",
    "inputs, labels and weights shuffled together",
    hints=(
        "The three arrays need one common order, so draw one order and use it three times.",
        "rng.permutation(n) gives the numbers 0 to n - 1 in random order.",
        "order = rng.permutation(len(inputs)), then inputs[order], labels[order], weights[order].",
    ),
    reference=lambda: shuffle_together,
)
def _(shuffle):
    n = 60
    number = np.arange(n)
    inputs, labels, weights = np.column_stack([number, -number]).astype(float), number % 2, number + 0.5
    orders = []
    for s in (31, 32):
        answer = call(shuffle, np.random.default_rng(s), inputs, labels, weights, name="shuffle")
        if not isinstance(answer, tuple | list) or len(answer) != 3:
            fail(f"shuffle should return three arrays: inputs, labels, weights; what came is {describe(answer)}.")
        for what, part, whole in zip(("inputs", "labels", "weights"), answer, (inputs, labels, weights), strict=True):
            expect_equal(f"the shape of the {what}", np.shape(part), whole.shape)
        order = np.asarray(answer[0])[:, 0].astype(int)
        if len(np.unique(order)) < n:
            fail(
                f"of {n} events only {len(np.unique(order))} different ones are left, some of them several times: "
                "rng.choice and rng.integers draw with replacement. Take rng.permutation."
            )
        if not np.array_equal(answer[0], inputs[order]):
            fail("the columns of the inputs were torn apart: an event is a row, and moves as a whole.")
        moved = [not np.array_equal(part, whole) for part, whole in zip(answer, (inputs, labels, weights), strict=True)]
        together = [np.array_equal(answer[1], labels[order]), np.array_equal(answer[2], weights[order])]
        if not any(moved):
            fail("nothing has moved: the arrays come back in their old order.")
        for what, kept, stayed in (("labels", together[0], not moved[1]), ("weights", together[1], not moved[2])):
            if stayed and not kept:
                fail(f"the {what} stayed in the old order, so event i now carries those of another event.")
        if not all(together):
            what = " and ".join(name for name, kept in zip(("labels", "weights"), together, strict=True) if not kept)
            fail(f"the {what} got an order of their own. Draw one order and use it for all three arrays.")
        orders.append(order)
    if np.array_equal(*orders):
        fail("two different generators give the same order: use the `rng` that is passed, not one made inside.")


@exercise(
    "3.2",
    "the function that splits by given fractions",
    hints=(
        "Part k ends where the first k fractions together end: np.cumsum(fractions).",
        "Round the ends, not the sizes: then neighbouring parts share an end, and no event falls between.",
        "np.split(array, ends[:-1]) cuts at the given positions.",
    ),
    reference=lambda: split,
)
def _(function):
    for n, fractions in ((1000, (0.6, 0.2, 0.2)), (1007, (0.5, 0.3, 0.2)), (103, (0.7, 0.3))):
        array = np.arange(10, 10 + n)
        answer = call(function, array, fractions, name="split")
        given = f"for {n} events and fractions {fractions}"
        if not isinstance(answer, tuple | list):
            fail(f"split should return a list of arrays; what came is {describe(answer)}.")
        if len(answer) != len(fractions):
            fail(f"{given}, {len(answer)} parts came, expected {len(fractions)}: one for each fraction.")
        sizes = [len(part) for part in answer]
        right = [len(part) for part in split(array, fractions)]
        if sizes == [len(part) for part in np.array_split(array, len(fractions))] and sizes != right:
            fail(f"{given}, the parts have {sizes} events: equal parts. Use the fractions.")
        ends = [round(fraction * n) for fraction in fractions]
        steps = [len(array[start:stop]) for start, stop in zip([0, *ends[:-1]], [*ends[:-1], n], strict=True)]
        if sizes == steps and sizes != right:
            fail(
                f"{given}, the parts have {sizes} events: the fractions were taken as places to cut. Sum them up first."
            )
        if sum(sizes) < n:
            fail(
                f"{given}, the parts have {sizes} events, {sum(sizes)} together: {n - sum(sizes)} lost. Rounding each "
                "size down loses events: round the ends, or give the last part all that is left."
            )
        if sum(sizes) > n:
            fail(f"{given}, the parts have {sizes} events, {sum(sizes)} together: some events are in two parts.")
        if max(abs(size - fraction * n) for size, fraction in zip(sizes, fractions, strict=True)) > 1.5:
            fail(f"{given}, the parts have {sizes} events, expected {right}.")
        joined = np.concatenate(answer)
        if len(np.unique(joined)) < n:
            fail(
                f"{given}, some events are in two parts, and others in none: each part begins where the last one ended."
            )
        if not np.array_equal(joined, array):
            fail(f"{given}, the order has changed. Only cut: the array is shuffled already.")


@exercise(
    "3.3",
    "signal and background merged and shuffled again",
    hints=(
        "Three arrays to merge in the same order, signal first; the labels are made from the lengths.",
        "np.repeat([1.0, 0.0], [n_signal, n_background]) makes the labels.",
        "After merging all signal comes first: finish with shuffle(rng, inputs, labels, weights).",
    ),
    reference=lambda: merge,
)
def _(function):
    signal = np.column_stack([np.arange(40.0), np.ones(40)]), np.arange(40) + 0.5
    background = np.column_stack([np.arange(100.0, 170), np.zeros(70)]), np.arange(100, 170) + 0.5
    answer = call(function, np.random.default_rng(33), signal, background, name="merge")
    if not isinstance(answer, tuple | list) or len(answer) != 3:
        fail(f"merge should return three arrays: inputs, labels, weights; what came is {describe(answer)}.")
    inputs, labels, weights = map(np.asarray, answer)
    for what, got, shape in (("inputs", inputs, (110, 2)), ("labels", labels, (110,)), ("weights", weights, (110,))):
        expect_equal(f"the shape of the {what}", got.shape, shape)
    truth = inputs[:, 1]
    if len(np.unique(inputs[:, 0])) < 110:
        fail("some events are missing and others there twice: use each event once.")
    if np.array_equal(labels, 1 - truth):
        fail("the labels are exchanged: in this course signal is 1, background 0.")
    one_block = np.array_equal(np.sort(labels), np.sort(truth)) and np.count_nonzero(np.diff(truth)) == 1
    if one_block:
        fail("all signal comes first, then all background: a batch would hold one class only. Shuffle after merging.")
    if not np.array_equal(labels, truth):
        fail("the labels do not belong to their events any more. Merge first, then shuffle all three arrays together.")
    if np.array_equal(weights, np.concatenate([signal[1], background[1]])):
        fail("the weights were merged but not shuffled, so event i carries the weight of another.")
    if (weights == 1).all():
        fail("the weights are all one: pass on those of the samples.")
    if not np.allclose(weights, inputs[:, 0] + 0.5):
        fail(
            "the weights belong to other events: merge them in the same order as the inputs, then shuffle all together."
        )
    n_changes = np.count_nonzero(np.diff(truth))
    if n_changes < 20:
        fail(f"the classes alternate only {n_changes} times in 110 events: they are in blocks. Shuffle after merging.")


@exercise(
    "3.4",
    "the test that parts are a partition",
    hints=(
        "A partition holds each number from 0 to n - 1 exactly once: none missing, none twice, none too large.",
        "np.concatenate(parts) has them all. Sorted, what should it be?",
        "np.array_equal(np.sort(np.concatenate(parts)), np.arange(n)).",
    ),
    reference=lambda: is_partition,
)
def _(function):
    cases = [
        ([[2, 0, 1], [4, 3]], 5, True, "is one: each of 0 to 4 is there once, in any order"),
        ([[5, 0], [1, 3], [2, 4]], 6, True, "is one, of three parts"),
        ([[0, 1, 2], [2, 4]], 5, False, "is none: 2 is there twice and 3 is missing. The total alone is not enough"),
        ([[0, 1, 2], [3]], 5, False, "is none: 4 is missing. No overlap alone is not enough"),
        ([[0, 1, 2, 2], [3, 4]], 5, False, "is none: 2 is there twice in one part. Sets forget how often"),
        ([[0, 1, 2], [2, 3, 4]], 5, False, "is none: 2 is in both parts. All present alone is not enough"),
        ([[0, 1, 2], [3, 5]], 5, False, "is none: 5 is no event, and 4 is missing. Look at the values themselves"),
    ]
    for parts, n, right, reason in cases:
        answer = call(function, [np.array(part) for part in parts], n, name="is_partition")
        if not isinstance(answer, bool | np.bool_):
            fail(f"is_partition should return True or False; what came is {describe(answer)}.")
        if bool(answer) != right:
            fail(f"for the parts {parts} of {n} events, {bool(answer)} came, but this {reason}.")


@exercise(
    "3.5",
    "stratified folds",
    hints=(
        "Treat one class at a time: find its events with np.flatnonzero(labels == label).",
        "Bring them in random order, then deal them like cards: 0, 1, ..., k - 1, 0, 1, ...",
        "fold[rng.permutation(members)] = np.arange(len(members)) % k, for each label.",
    ),
    reference=lambda: fold_numbers,
)
def _(function):
    labels = (np.arange(1003) < 59).astype(int)  # in blocks, as after merging two files
    answers = []
    for s in (35, 36):
        fold = call(function, np.random.default_rng(s), labels, 5, name="fold_numbers")
        if np.shape(fold) != labels.shape:
            fail(f"the folds should be an array of shape {labels.shape}, one number per event; {describe(fold)} came.")
        fold = np.asarray(fold)
        numbers = np.unique(fold).tolist()
        if numbers == [1, 2, 3, 4, 5]:
            fail("the folds are numbered 1 to 5; count from 0.")
        if numbers != [0, 1, 2, 3, 4]:
            fail(f"the folds should be numbered 0 to 4, each used; {numbers[:8]} came.")
        per_class = [np.bincount(fold[labels == label], minlength=5) for label in (0, 1)]
        total = np.bincount(fold, minlength=5)
        if np.ptp(per_class[1]) > 1 or np.ptp(per_class[0]) > 1:
            blocks = np.count_nonzero(np.diff(fold)) == 4
            how = (
                "Each fold is one block of neighbours in the file. " if blocks else "The folds do not know the labels. "
            )
            fail(
                f"{how}Of {per_class[1].sum()} events of class 1 the folds have {per_class[1].tolist()}, of all events "
                f"{total.tolist()}: deal each class by itself."
            )
        answers.append(fold)
    if np.array_equal(*answers):
        fail(
            "two different generators give the same folds: shuffle the events of each class with `rng` before dealing."
        )


@exercise(
    "3.6",
    "which test events were seen in training",
    hints=(
        "An event is the same only if run, luminosity block and event number all agree.",
        "A Python set of tuples knows whole rows: set(map(tuple, train.tolist())).",
        "np.array([tuple(row) in seen for row in test.tolist()]) is the mask.",
    ),
    reference=lambda: leaked,
)
def _(function):
    rng = np.random.default_rng(37)
    train, test = (np.column_stack([rng.integers(1, top, n) for top in (400, 400, 4000)]) for n in (300, 100))
    test[:12] = train[50:62]  # the leak
    test[12:20, 2] = train[70:78, 2]  # the same event number in other runs
    test[20:28] = train[80:88] + np.array([0, 1000, 0])  # another luminosity block
    test[28:36] = np.column_stack([train[100:108, 0], train[110:118, 1], train[120:128, 2]])
    test[36:44] = train[130:138][:, [2, 0, 1]]  # the same three numbers in other places
    test = rng.permutation(test)
    right = leaked(train, test)
    answer = call(function, train, test, name="leaked")
    if np.ndim(answer) == 0:
        fail(f"one answer for each test event is asked for, an array of True and False; {describe(answer)} came.")
    if np.shape(answer) == (300,):
        fail("these are 300 answers, one for each training event; asked for are the test events.")
    if np.shape(answer) == (100, 3):
        fail("this has an answer for each number of each event; one for each event is asked for: compare whole rows.")
    if np.asarray(answer).dtype != bool:
        fail(f"a mask of True and False is asked for, one for each test event; {describe(answer)} came.")
    expect_equal(
        "leaked(train, test)",
        np.asarray(answer),
        right,
        mistakes={
            "It compares the event number alone, which starts anew in each run. Compare all three numbers.": np.isin(
                test[:, 2], train[:, 2]
            ),
            "It compares run and event, and forgets the luminosity block.": leaked(train[:, ::2], test[:, ::2]),
            "Each column is compared by itself: run, block and event may agree with three different events. Compare "
            "whole rows.": np.isin(test, train).all(axis=1),
            "Each column is compared by itself, with its own column: the three matches may be three different events. "
            "Compare whole rows.": np.all([np.isin(test[:, i], train[:, i]) for i in range(3)], axis=0),
            "True and False are exchanged: True is for an event that was seen in training.": ~right,
            "The product of the three numbers is no identity: 2 x 3 is 3 x 2.": np.isin(
                test.prod(axis=1), train.prod(axis=1)
            ),
            "The sum of the three numbers is no identity: 2 + 3 is 3 + 2.": np.isin(
                test.sum(axis=1), train.sum(axis=1)
            ),
            "Event i of the one is compared with event i of the other; a copy may sit anywhere.": (
                test == train[:100]
            ).all(axis=1),
        },
    )


@exercise(
    "3.7",
    "from a number between 0 and 1 to a part",
    hints=(
        "With fractions 0.6, 0.2, 0.2 part 0 ends at 0.6 and part 1 at 0.8.",
        "np.cumsum(fractions) gives the upper ends; count how many of them a number has passed.",
        "np.searchsorted(np.cumsum(fractions)[:-1], u, side='right').",
    ),
    reference=lambda: part_numbers,
)
def _(function):
    u = np.random.default_rng(38).random(2000)
    for fractions in ((0.6, 0.2, 0.2), (0.1, 0.3, 0.4, 0.2)):
        answer = call(function, u, fractions, name="part_numbers")
        right = part_numbers(u, fractions)
        expect_close(
            f"part_numbers(u, {fractions})",
            answer,
            right,
            mistakes={
                "They count from 1. The first part is number 0.": right + 1,
                "The fractions were taken as the ends themselves. Sum them up first: 0.6, 0.8, 1.": np.searchsorted(
                    fractions[:-1], u
                ),
                "The fractions were taken as the ends themselves, sorted. Sum them up first.": np.searchsorted(
                    np.sort(fractions), u
                ),
                "The parts are equal in size. Use the fractions.": (u * len(fractions)).astype(int),
                "The parts are numbered from behind.": len(fractions) - 1 - right,
            },
        )
