"""What a wrong result has to do with the right one, with the arguments, and with what should change it."""

from collections.abc import Callable, Iterator

import awkward as ak
import numpy as np

from coursekit.checks.compare import agree, telling
from coursekit.checks.kinds import as_array
from coursekit.checks.positions import where_it_is_wrong
from coursekit.words import capital

__all__ = ["no_effect", "relations"]

_OF_NUMBERS = {  # what is done to the right numbers, entry by entry
    "The sign is turned round": lambda r: -r,
    "The sign is lost; these are absolute values": np.abs,
    "These are the squares of the right values: a root is missing": np.square,
    "A square root is taken that does not belong there": np.sqrt,
    "This is one over the right value": lambda r: 1 / r,
    "This is one minus the right value, its complement": lambda r: 1 - r,
    "This is the logarithm of the right value": np.log,
    "This is the logarithm to base 10 of the right value": np.log10,
    "This is the exponential of the right value": np.exp,
    "These are degrees; radians are asked for": np.degrees,
    "The right values are rounded down": np.floor,
    "The right values are rounded up": np.ceil,
    "The right values are rounded to whole numbers": np.rint,
    "The angle lies between 0 and 2 pi, and not between -pi and pi": lambda r: r % (2 * np.pi),
}
_OF_ARRAYS = {  # what is done to the right array
    "Rows and columns are exchanged": lambda r: r.T,
    "The order of the entries is reversed": lambda r: r[::-1],
    "Each row is reversed": lambda r: r[..., ::-1],
    "The entries are sorted": np.sort,
    "The entries are sorted downwards": lambda r: -np.sort(-r),
    "All entries are shifted by one place": lambda r: np.roll(r, 1),
    "All entries are shifted by one place, towards the front": lambda r: np.roll(r, -1),
    "This is the sum of the right values, one number": lambda r: np.sum(r),
    "This is the mean of the right values, one number": lambda r: np.mean(r),
    "This is the largest of the right values alone": lambda r: np.max(r),
    "These are the running sums of the right values": np.cumsum,
    "These are the differences of neighbours": np.diff,
    "The right values are normalised to a sum of one": lambda r: r / np.sum(r),
    "Each row of the right values is normalised": lambda r: r / np.sum(r, axis=-1, keepdims=True),
    "The first entry is missing": lambda r: r[1:],
    "The last entry is missing": lambda r: r[:-1],
    "Only the first entry is returned": lambda r: r[0],
    "Only the last entry is returned": lambda r: r[-1],
    "The right numbers stand in one row": np.ravel,
    "The right numbers have an axis too many, at the end": lambda r: r[..., None],
    "The right numbers have an axis too many, in front": lambda r: r[None],
    "These are positions; a mask of True and False is asked for": np.flatnonzero,
}
_ORDERS = [(0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]  # of three axes
_CHANGES = [
    *_OF_NUMBERS.items(),
    *_OF_ARRAYS.items(),
    *(("The axes stand in another order", lambda r, order=order: r.transpose(order)) for order in _ORDERS),
]
_STILL_MISSING = {  # what makes the student's array the right one
    "The sum of the values that you return is right: the sum is still missing": np.sum,
    "The mean of the values that you return is right: the mean is still missing": np.mean,
    "The sum over the last axis is still missing; with it all is right": lambda g: np.sum(g, axis=-1),
    "The sum over the first axis is still missing; with it all is right": lambda g: np.sum(g, axis=0),
    "The mean over the first axis is still missing; with it all is right": lambda g: np.mean(g, axis=0),
    "The running sum of what you return is right: it is still missing": np.cumsum,
    "The square root of what you return is right: it is still missing": np.sqrt,
}
_FACTORS = {
    2: "twice",
    0.5: "half",
    np.pi: "pi times",
    2 * np.pi: "2 pi times",
    1000: "a thousand times",
    0.001: "a thousandth of",
    100: "a hundred times",
    0.01: "a hundredth of",
    10: "ten times",
    0.1: "a tenth of",
    4: "four times",
    0.25: "a quarter of",
    np.sqrt(2): "the square root of 2 times",
}


def relations(got: list, right: list, cases: list, names: list[str]) -> Iterator[str]:
    """Yield sentences on how the results of all cases are related to the right ones.

    Parameters
    ----------
    got, right : list of dict
        For each case the student's and the right values, by name.
    cases : list of tuple
        The arguments of each case.
    names : list of str
        What the arguments are called.
    """
    if any(r.keys() != right[0].keys() for r in right):  # names with the arguments in them
        got, right = ([dict(zip(right[0], r.values(), strict=False)) for r in both] for both in (got, right))
    if any(part.keys() != right[0].keys() for part in [*got, *right]):
        return
    wrong = [w for w in right[0] if not all(agree(g.get(w), r[w]) for g, r in zip(got, right, strict=True))]
    for i, one in enumerate(wrong):
        for other in wrong[:i]:
            pairs = list(zip(got, right, strict=True))
            if telling([r[one] for r in right]) and all(
                agree(g[one], r[other]) and agree(g[other], r[one]) for g, r in pairs
            ):
                yield f"{capital(other)} and {one} are exchanged."
                return
    for what in wrong:
        mine, theirs = [_array(g[what]) for g in got], [_array(r[what]) for r in right]
        if any(part is None for part in [*mine, *theirs]):
            continue
        about = f" in {what}" if len(right[0]) > 1 else ""
        for sentence in _of_one(mine, theirs, cases, names):
            yield f"{sentence}{about}."
        others = [name for name in right[0] if name != what]
        for other in others:
            if telling([r[other] for r in right]) and all(
                agree(g[what], r[other]) for g, r in zip(got, right, strict=True)
            ):
                yield f"What you give for {what} is {other}."


def _of_one(got: list, right: list, cases: list, names: list) -> Iterator[str]:
    not_by_chance = telling(right)
    if _constant(got) and not _constant(right):
        yield f"There is {got[0].flat[0]:.4g} everywhere"
        return
    if not all(np.isfinite(g).any() for g in got if g.size):
        return
    for i, name in enumerate(names):
        given = [_array(case[i]) if i < len(case) else None for case in cases]
        if all(x is not None and _same(g, x) for g, x in zip(got, given, strict=True)) and not_by_chance:
            yield f"`{name}` comes back as it was"
            return
    for sentence, change in _CHANGES:
        if not_by_chance and _all(got, right, change):
            yield sentence
            return
    for sentence, change in _STILL_MISSING.items():
        if not_by_chance and _all(right, got, change):
            yield sentence
            return
    if not_by_chance:
        yield from _in_proportion(got, right, cases, names)
    yield from _of_shapes(got, right)
    if all(g.shape == r.shape for g, r in zip(got, right, strict=True)):
        if sum(r.size for r in right) > 3 and all(
            _same(np.sort(g, axis=None), np.sort(r, axis=None)) for g, r in zip(got, right, strict=True)
        ):
            yield "These are the right values in another order"
            return
        yield from where_it_is_wrong(got, right, [[_array(x) for x in case] for case in cases], names)


def _of_shapes(got: list, right: list) -> Iterator[str]:
    shapes = [(g.shape, r.shape) for g, r in zip(got, right, strict=True)]
    if all(mine == theirs for mine, theirs in shapes):
        return
    if all(mine == () and theirs != () for mine, theirs in shapes):
        yield f"There is one number for all together, and {shapes[0][1][0]} are asked for, one for each"
    elif all(mine != () and theirs == () for mine, theirs in shapes):
        yield "There are several numbers, and one for all together is asked for"
    elif all(mine and mine[1:] == theirs[1:] and len(mine) == len(theirs) for mine, theirs in shapes):
        more = {mine[0] - theirs[0] for mine, theirs in shapes}
        if len(more) == 1 and (n := more.pop()):
            yield f"There {'is one entry' if abs(n) == 1 else f'are {abs(n)} entries'} too {'many' if n > 0 else 'few'}"
    elif all(sorted(mine) == sorted(theirs) for mine, theirs in shapes):
        yield "The axes stand in another order"
    elif all(len(mine) > len(theirs) for mine, theirs in shapes):
        yield "There is an axis too many"
    elif all(len(mine) < len(theirs) for mine, theirs in shapes):
        yield "An axis is missing"


def _in_proportion(got: list, right: list, cases: list, names: list) -> Iterator[str]:
    if any(g.shape != r.shape for g, r in zip(got, right, strict=True)):
        return
    ratios, shifts = [], []
    for g, r in zip(got, right, strict=True):
        use = np.isfinite(g) & np.isfinite(r)
        if not use.any():
            return
        ratios.append((g[use] / r[use])[r[use] != 0])
        shifts.append((g - r)[use])
    if all(q.size and np.allclose(q, q[0], rtol=1e-6) and np.isfinite(q[0]) for q in ratios) and _all(
        got, right, None, ratios
    ):
        factors = np.array([q[0] for q in ratios])
        if cause := _cause(factors, cases, names):
            yield cause
        elif (np.allclose(factors, factors[0]) and sum(r.size for r in right) > 1) or _known(factors):
            known = _known(factors)
            yield (
                f"It is {known} the right value"
                if known
                else f"All values are {factors[0]:.4g} times the right ones: a constant factor"
            )
    elif all(s.size and s[0] and np.allclose(s, s[0], rtol=1e-6) for s in shifts) and np.allclose(
        [s[0] for s in shifts], shifts[0][0]
    ):
        shift = shifts[0][0]
        yield f"All values are too {'large' if shift > 0 else 'small'} by {abs(shift):.4g}"


def _known(factors: np.ndarray) -> str:
    return next((words for f, words in _FACTORS.items() if np.allclose(factors, f, rtol=1e-6)), "")


def _cause(factors: np.ndarray, cases: list, names: list) -> str:
    """Name the argument, or its length or sum, which is the factor in every case; "" if none is."""
    measures = {
        "the square root of the length of `{}`": lambda x: np.sqrt(len(x)),
        "`{}`": lambda x: float(x) if np.ndim(x) == 0 else np.nan,
        "the length of `{}`": len,
        "the sum of `{}`": np.sum,
        "the square of `{}`": lambda x: float(x) ** 2,
    }
    for i, name in enumerate(names):
        for words, measure in measures.items():
            try:
                values = np.array([float(measure(case[i])) for case in cases])
            except (TypeError, ValueError, IndexError):
                continue
            if np.allclose(values, 1):
                continue
            if np.allclose(factors, values, rtol=1e-6):
                return f"It is too large by a factor of {words.format(name)}"
            with np.errstate(divide="ignore"):
                if np.allclose(factors, 1 / values, rtol=1e-6):
                    return (
                        f"It is too small by a factor of {words.format(name)}: multiply by it, or do not divide by it"
                    )
    return ""


def no_effect(run: Callable, reference: Callable, case: tuple, names: list[str]) -> Iterator[str]:
    """Yield a sentence for each argument that changes the right result, and never the student's.

    Parameters
    ----------
    run, reference : callable
        Take the arguments of a case, and return the outcome of the student's functions and of the right ones.
    """
    before, mine = reference(case), run(case)
    for i, name in enumerate(names[: len(case)]):
        moved = seen = 0
        for other in _altered(case[i]):
            changed = (*case[:i], other, *case[i + 1 :])
            theirs, now = reference(changed), run(changed)
            if isinstance(theirs, str) or isinstance(now, str) or agree(theirs, before):
                continue
            seen += 1
            moved += not agree(now, mine)
        if seen and not moved:
            yield f"`{name}` has no effect on your result: whatever is passed, the same comes out."


def _altered(value) -> list:
    """Return other values of an argument, of the same kind."""
    if isinstance(value, bool | str) or value is None or callable(value):
        return []
    if isinstance(value, np.random.Generator):
        return [np.random.default_rng(987)]
    if isinstance(value, int | np.integer):
        return [value + 1, 2 * value]
    if isinstance(value, float | np.floating):
        return [value * 1.37, value * 0.71]
    if isinstance(value, ak.Array) and not value.fields:
        return [value * 1.37]
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub" and value.size:
        two = value.dtype.kind == "b" or set(np.unique(value)) <= {0, 1}
        other = [~value if value.dtype.kind == "b" else 1 - value] if two else []
        return [*other, value[::-1].copy(), *([value * 1.37] if value.dtype.kind == "f" else [])]
    return []


def _array(value) -> np.ndarray | None:
    value = as_array(value)
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    return array


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    if one.size == other.size == 0:
        return True  # an empty list has no columns
    return one.shape == other.shape and np.allclose(one, other, rtol=1e-6, atol=1e-9, equal_nan=True)


def _constant(arrays: list) -> bool:
    values = np.concatenate([array.ravel() for array in arrays])
    return values.size > 1 and bool(np.isfinite(values).all()) and bool((values == values[0]).all())


def _all(got: list, right: list, change: Callable | None, factors: list | None = None) -> bool:
    """Whether a change of the right values gives the student's in every case, and is a change at all."""
    changes = [change] * len(got) if change else [lambda r, q=q: r * q[0] for q in factors]
    try:
        with np.errstate(all="ignore"):
            made = [np.asarray(f(r), dtype=np.float64) for f, r in zip(changes, right, strict=True)]
    except (TypeError, ValueError, IndexError):
        return False
    return all(map(_same, got, made)) and not all(map(_same, made, right)) and not _constant(made)
