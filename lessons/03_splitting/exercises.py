"""Exercises of lesson 03, splitting."""

import numpy as np

from coursekit.checks.engine import call, describe, exercise, expect_close, expect_equal, fail
from coursekit.splitting import shuffle_together

# --- references: what a good answer looks like ------------------------------------------------------------------------


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


# --- what several tests look at ---------------------------------------------------------------------------------------


def _three_arrays(name, answer, inputs, labels, weights):
    """Refuse what is not three arrays, or comes in another order than inputs, labels, weights."""
    whole = {"inputs": inputs, "labels": labels, "weights": weights}
    if not isinstance(answer, tuple | list) or len(answer) != 3:
        fail(f"{name} should return three arrays: inputs, labels, weights; what came is {describe(answer)}.")
    for what, part in zip(whole, answer, strict=True):
        if not isinstance(part, np.ndarray):
            fail(f"the {what} should be an array; what came is {describe(part)}. An array indexed by an array is one.")
    found = []
    for part in answer:
        same = [other for other, array in whole.items() if np.array_equal(np.sort(part, None), np.sort(array, None))]
        found += same[:1]
    if sorted(found) == sorted(whole) and found != list(whole):
        fail(f"{name} returns {', '.join(found)}, in this order; asked for are inputs, labels, weights.")
    for (what, array), part in zip(whole.items(), answer, strict=True):
        expect_equal(f"the shape of the {what}", part.shape, array.shape)


def _drawn_from_rng(what, first, repeated, other):
    """`first` and `repeated` came from generators of the same seed, `other` from one of another seed."""
    if np.array_equal(first, other):
        fail(
            f"with two different generators the {what} are the same: use the `rng` that is passed, not one made inside."
        )
    if not np.array_equal(first, repeated):
        fail(
            f"with two generators of the same seed the {what} differ: something else draws, such as np.random, random "
            "or default_rng() without a seed. Use the `rng` that is passed, and the run can be repeated."
        )


# --- tests ------------------------------------------------------------------------------------------------------------


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
    n = 200
    number = np.arange(n)
    inputs, labels, weights = np.column_stack([number, -number]).astype(float), (number < 80) * 1.0, number + 0.5
    orders = []
    for s in (31, 31, 32):
        answer = call(shuffle, np.random.default_rng(s), inputs, labels, weights, name="shuffle")
        _three_arrays("shuffle", answer, inputs, labels, weights)
        order = answer[0][:, 0].astype(int)
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
    order = orders[0]
    steps = np.bincount(np.diff(order) % n, minlength=n)
    if steps.max() > 30:  # about one of each is expected
        fail(
            f"the order is not random: in {steps.max()} of {n - 1} places the next event is {steps.argmax()} further "
            "on in the file, as when an array is rolled, turned round or shuffled in blocks. Take rng.permutation."
        )
    if np.count_nonzero(np.diff(labels[order])) < 40:  # 96 are expected
        fail(
            "the classes still are in blocks: events were exchanged inside each class alone. Draw one order of all "
            "events, rng.permutation(len(inputs))."
        )
    _drawn_from_rng("orders", *orders)


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
    # 12 and 100: rounding each size by itself loses an event
    cases = [(1000, (0.6, 0.2, 0.2)), (1007, (0.55, 0.25, 0.2)), (103, (0.7, 0.3)), (12, (0.6, 0.2, 0.2))]
    for n, fractions in [*cases, (100, (1 / 3, 1 / 3, 1 / 3))]:
        array = np.arange(10, 10 + n)
        answer = call(function, array, fractions, name="split")
        given = f"for {n} events and fractions {tuple(round(fraction, 4) for fraction in fractions)}"
        _parts(given, answer, array, fractions)
    table = np.arange(300.0).reshape(100, 3)
    answer = call(function, table, (0.6, 0.4), name="split, given a table of 100 events and 3 columns,")
    shapes = [np.shape(part) for part in answer]
    if shapes != [(60, 3), (40, 3)]:
        fail(
            f"a table of 100 events and 3 columns is cut into parts of shapes {shapes}, expected [(60, 3), (40, 3)]: "
            "len(array) counts events, array.size counts numbers."
        )


def _parts(given, answer, array, fractions):
    n, right = len(array), [len(part) for part in split(array, fractions)]
    if not isinstance(answer, tuple | list | np.ndarray):
        fail(f"split should return a list of arrays; what came is {describe(answer)}.")
    if all(np.ndim(part) == 0 for part in answer):
        fail(f"{given}, {describe(answer)} came: numbers. Asked for are the parts of the array, a list of arrays.")
    if len(answer) != len(fractions):
        fail(f"{given}, {len(answer)} parts came, expected {len(fractions)}: one for each fraction.")
    if not all(isinstance(part, np.ndarray) for part in answer):
        fail(f"each part should be an array; among those that came is {describe(answer[0])}.")
    sizes = [len(part) for part in answer]
    if sizes != right:
        _name_the_sizes(f"{given}, the parts have {sizes} events", sizes, right, n, fractions)
    joined = np.concatenate(answer)
    if len(np.unique(joined)) < n:
        fail(f"{given}, some events are in two parts, and others in none: each part begins where the last one ended.")
    if not np.array_equal(joined, array):
        fail(f"{given}, the order has changed. Only cut: the array is shuffled already.")


def _name_the_sizes(came, sizes, right, n, fractions):
    def sizes_of(ends):
        return [len(part) for part in np.split(np.arange(n), ends)]

    ends = n * np.cumsum(fractions)[:-1]
    each = [round(fraction * n) for fraction in fractions]
    if sizes == sizes_of(each[:-1]):
        fail(f"{came}: the fractions were taken as places to cut. Sum them up first.")
    if sum(sizes) < n:
        fail(
            f"{came}, {sum(sizes)} together: {n - sum(sizes)} lost. Rounding each size by itself loses events: sum the "
            "fractions first, and round the ends."
        )
    if sum(sizes) > n:
        fail(f"{came}, {sum(sizes)} together: some events are in two parts.")
    if sizes == [*each[:-1], n - sum(each[:-1])]:
        fail(
            f"{came}, expected {right}: each size was rounded by itself, and the last part took the rest. Round the "
            "ends, n times the sum of the first k fractions."
        )
    if sizes == sizes_of(np.floor(ends).astype(int)):
        fail(f"{came}, expected {right}: the ends were rounded down. int(...) and // cut off; round to the nearest.")
    if sizes == sizes_of(np.ceil(ends).astype(int)):
        fail(f"{came}, expected {right}: the ends were rounded up. Round to the nearest.")
    if sizes == sizes_of(np.cumsum([int(fraction * n) for fraction in fractions])[:-1]):
        fail(
            f"{came}, expected {right}: each size was rounded down by itself, and the last part took the rest. Round "
            "the ends, n times the sum of the first k fractions."
        )
    if sizes == [len(part) for part in np.array_split(np.arange(n), len(fractions))]:
        fail(f"{came}: equal parts. Use the fractions.")
    fail(f"{came}, expected {right}.")


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
    wholes = [np.concatenate(pair) for pair in zip(signal, background, strict=True)]
    wholes.insert(1, np.repeat([1.0, 0.0], [40, 70]))
    answers = [call(function, np.random.default_rng(seed), signal, background, name="merge") for seed in (33, 33, 34)]
    for answer in answers:
        _three_arrays("merge", answer, *wholes)
        _merged(*answer, wholes[2])
    _drawn_from_rng("orders", *(answer[0] for answer in answers))


def _merged(inputs, labels, weights, merged_weights):
    truth, own = inputs[:, 1], inputs[:, 0] + 0.5
    if len(np.unique(inputs[:, 0])) < 110:
        fail("some events are missing and others there twice: use each event once.")
    if not np.array_equal(truth == 0, inputs[:, 0] >= 100):
        fail("the columns of the inputs were torn apart: an event is a row, and moves as a whole.")
    if np.array_equal(labels, 1 - truth):
        fail("the labels are exchanged: in this course signal is 1, background 0.")
    n_changes = np.count_nonzero(np.diff(truth))
    if n_changes == 1 and np.array_equal(np.sort(labels), np.sort(truth)):
        fail("all signal comes first, then all background: a batch would hold one class only. Shuffle after merging.")
    if not np.array_equal(labels, truth):
        fail("the labels do not belong to their events any more. Merge first, then shuffle all three arrays together.")
    if (weights == 1).all():
        fail("the weights are all one: pass on those of the samples.")
    if not np.allclose(weights, own):
        ratio = weights / own
        for what, constant in (
            ("all weights are", np.allclose(ratio, ratio[0])),
            ("those of each class are", all(np.allclose(ratio[truth == t], ratio[truth == t][0]) for t in (0, 1))),
        ):
            if constant:
                fail(
                    f"the weights sit on the right events, but {what} multiplied by a number. They are normalised "
                    "already, over all events of a class: pass them on as they are."
                )
        if np.array_equal(weights, merged_weights):
            fail("the weights were merged but not shuffled, so event i carries the weight of another.")
        fail(
            "the weights belong to other events: merge them in the same order as the inputs, then shuffle all together."
        )
    if n_changes < 20:  # 51 are expected
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
        (
            [[0, 1, 2, 3, 4], [5]],
            5,
            False,
            "is none: there is no event 5 among 5, they are 0 to 4. Look at the largest",
        ),
        ([[0, 0, 3], [3, 4]], 5, False, "is none, though length and sum agree: 0 and 3 are there twice, 1 and 2 never"),
        ([[0, 1, 2], [3, 5]], 5, False, "is none: 5 is no event, and 4 is missing. Look at the values themselves"),
    ]
    for parts, n, right, reason in cases:
        answer = call(function, [np.array(part) for part in parts], n, name="is_partition")
        if not isinstance(answer, bool | np.bool_):
            fail(f"is_partition should return True or False; what came is {describe(answer)}.")
        if bool(answer) != right:
            fail(f"for the parts {parts} of {n} events, {bool(answer)} came, but this {reason}.")
    try:
        negative = function([np.array([0, 1, 2]), np.array([4, -1])], 5)
    except ValueError:  # np.bincount refuses a negative number, and that is an answer, too
        negative = False
    if negative:
        fail("for the parts [[0, 1, 2], [4, -1]] of 5 events, True came, but 3 is missing: -1 is no event's number.")


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
    rng = np.random.default_rng(35)
    blocks = (np.arange(1003) < 59).astype(int)  # as after merging two files
    cases = [
        (blocks, 5),
        (rng.permutation(blocks).astype(float), 3),
        ((np.arange(402) % 4 == 0).astype(int), 4),
        (1 - blocks, 4),
    ]
    for labels, k in cases:
        answers = [call(function, np.random.default_rng(seed), labels, k, name="fold_numbers") for seed in (36, 36, 37)]
        for answer in answers:
            _folds(answer, labels, k)
        for label in (0, 1):
            members = np.asarray(answers[0])[labels == label].astype(int)
            if np.bincount(np.diff(members) % k).max() > 0.7 * len(members):  # a share of 1 / k is expected
                fail(
                    "in each class the folds follow a pattern: neighbours in the file always are the same number of "
                    "folds apart. Shuffle the events of each class with `rng` before dealing."
                )
        _drawn_from_rng("folds", *answers)


def _folds(fold, labels, k):
    given = f"for k = {k} and labels {'in blocks' if np.count_nonzero(np.diff(labels)) == 1 else 'in mixed order'}"
    if isinstance(fold, list | tuple) and len(fold) == k and all(np.ndim(part) == 1 for part in fold):
        fail(
            f"{k} lists of positions came, one for each fold. Asked for is the other way round: one array with the "
            "number of its fold for each event."
        )
    if not isinstance(fold, np.ndarray) or fold.shape != labels.shape:
        fail(f"the folds should be an array of shape {labels.shape}, one number per event; {describe(fold)} came.")
    numbers = np.unique(fold).tolist()
    if numbers == list(range(1, k + 1)):
        fail(f"the folds are numbered 1 to {k}; count from 0.")
    if numbers != list(range(k)):
        fail(f"{given}, the folds should be numbered 0 to {k - 1}, each used; {numbers[:8]} came.")
    fold = fold.astype(int)  # whole numbers in a float array do as well
    per_class = [np.bincount(fold[labels == label], minlength=k) for label in (0, 1)]
    if max(np.ptp(counts) for counts in per_class) > 1:
        one_block = np.count_nonzero(np.diff(fold)) == k - 1
        how = (
            "Each fold is one block of neighbours in the file. " if one_block else "The folds do not know the labels. "
        )
        fail(
            f"{how}{given[0].upper()}{given[1:]}, of {per_class[1].sum()} events of class 1 the folds have "
            f"{per_class[1].tolist()}, of {per_class[0].sum()} of class 0 {per_class[0].tolist()}: deal each class by "
            "itself."
        )


@exercise(
    "3.6",
    "which test events were seen in training",
    hints=(
        "An event is the same only if run, luminosity block and event number all agree.",
        "Comparing each test event with each training event takes len(test) x len(train) comparisons, 520 million "
        "here: 1.5 GB as one array. A set answers `is it in there?` without looking at all.",
        "A Python set of tuples knows whole rows: seen = set(map(tuple, train.tolist())).",
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
    train[150], test[44] = (1, 11, 2001), (11, 1, 2001)  # the same digits when glued together
    train[151], test[45] = (31, 12, 7), (3, 112, 7)
    train[200:206] = train[210:216]  # twice in the training part
    test[46:52] = test[60:66]  # twice in the test part, and not in the training part
    test = rng.permutation(test)
    right = leaked(train, test)
    rows = np.concatenate([train, test])
    _, number, times = np.unique(rows, axis=0, return_inverse=True, return_counts=True)
    digits = [{"".join(map(str, row)) for row in train.tolist()}, ["".join(map(str, row)) for row in test.tolist()]]
    answer = call(function, train, test, name="leaked")
    if np.ndim(answer) == 0:
        fail(f"one answer for each test event is asked for, an array of True and False; {describe(answer)} came.")
    if np.shape(answer) == (300,):
        fail("these are 300 answers, one for each training event; asked for are the test events.")
    if np.shape(answer) == (100, 3):
        fail("this has an answer for each number of each event; one for each event is asked for: compare whole rows.")
    if not isinstance(answer, np.ndarray) or answer.dtype != bool:
        fail(f"a mask of True and False is asked for, one for each test event; {describe(answer)} came.")
    expect_close(
        "leaked(train, test), with True as 1,",
        answer,
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
            "It finds events that are there twice in training and test taken together; some of them are twice in the "
            "test and never in the training.": (times[number] > 1)[len(train) :],
            "The digits are glued together without a separator: 1, 11 and 11, 1 become the same text. Compare tuples, "
            "or put a separator between the numbers.": np.array([row in digits[0] for row in digits[1]]),
            "For arrays, `row in train` asks whether any single number agrees somewhere, not whether the row is there. "
            "Make tuples, and ask a set.": np.array([row in train for row in test]),
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
                "np.digitize got the fractions as its edges. The edges are their sums: 0.6, 0.8, 1.": np.digitize(
                    u, fractions
                )
                if fractions[0] > fractions[1]
                else [],
                "The parts are equal in size. Use the fractions.": (u * len(fractions)).astype(int),
                "The parts are numbered from behind.": len(fractions) - 1 - right,
            },
        )
    edges = np.array([0.5, 0.75, 0.0])  # the sums of these fractions are exact
    expect_close(
        "for fractions (0.5, 0.25, 0.25), part_numbers of [0.5, 0.75, 0]",
        call(function, edges, (0.5, 0.25, 0.25), name="part_numbers"),
        [1, 2, 0],
        mistakes={
            "A number on an edge belongs to the part above: part 1 begins with u = f_1 itself. searchsorted wants "
            "side='right', a comparison u >= edge.": [0, 1, 0],
            "Intervals closed on the right leave u = 0 out and put an edge into the part below. Part 1 begins with "
            "u = f_1 itself; pd.cut wants right=False.": [0, 1, np.nan],
            "Intervals closed on the right leave u = 0 out and put an edge into the part below. Part 1 begins with "
            "u = f_1 itself.": [0, 1, -1],
        },
    )
