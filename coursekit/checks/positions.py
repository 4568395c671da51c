"""Which entries of a wrong result are wrong, if that can be said in a few words."""

from collections.abc import Iterator

import numpy as np

__all__ = ["where_it_is_wrong"]


def where_it_is_wrong(got: list, right: list, cases: list, names: list[str]) -> Iterator[str]:
    """Yield one sentence, without its full stop, on where the wrong entries are: at an end, on an edge.

    Parameters
    ----------
    got, right : list of ndarray
        The student's and the right values of each case, alike in shape.
    cases : list of list of ndarray or None
        The arguments of each case, as numbers.
    names : list of str
        What the arguments are called.
    """
    bad = [~np.isclose(g, r, rtol=1e-6, atol=1e-9, equal_nan=True) for g, r in zip(got, right, strict=True)]
    if not any(b.any() for b in bad):
        return
    sentence = (
        _of_nan(got, right) or _at_an_end(bad) or _in_some_cases(bad, cases, names) or _by_argument(bad, cases, names)
    )
    if sentence:
        yield sentence


def _of_nan(got: list, right: list) -> str:
    mine, theirs = (np.concatenate([x.ravel() for x in arrays]) for arrays in (got, right))
    extra = ~np.isfinite(mine) & np.isfinite(theirs)
    for said, hit in (("negative", theirs < 0), ("zero", theirs == 0)):
        if extra.sum() > 1 and (extra == hit).all():
            return f"The result is NaN or infinite exactly where the right one is {said}"
    return ""


def _at_an_end(bad: list) -> str:
    if all(b.ndim == 1 and b.size > 3 for b in bad):
        hit = [np.flatnonzero(b) for b in bad if b.any()]
        last = [b.size - 1 for b in bad if b.any()]
        if all(len(h) == 1 and h[0] == 0 for h in hit):
            return "All is right but the first entry"
        if all(len(h) == 1 and h[0] == end for h, end in zip(hit, last, strict=True)):
            return "All is right but the last entry"
    if all(b.ndim == 2 and min(b.shape) > 2 for b in bad):
        for axis, what in ((0, "column"), (1, "row")):
            hit = [np.flatnonzero(b.any(axis=axis)) for b in bad]
            if all(len(h) == 1 and h[0] == hit[0][0] for h in hit):
                return f"All is right but {what} {hit[0][0]}"
        if all(b.shape[0] == b.shape[1] and not (b & ~np.eye(len(b), dtype=bool)).any() for b in bad):
            return "All is right but the diagonal"
    return ""


def _in_some_cases(bad: list, cases: list, names: list[str]) -> str:
    """Say which kind of argument goes wrong, if all is right with the others."""
    wrong = np.array([b.any() for b in bad])
    if wrong.all() or len(wrong) < 2:
        return ""
    for i, name in enumerate(names):
        given = [case[i] if i < len(case) else None for case in cases]
        if any(x is None for x in given):
            continue
        for said, test in (
            ("is empty", lambda x: x.size == 0 and x.ndim > 0),
            ("has one entry", lambda x: x.ndim > 0 and len(x) == 1),
            ("contains NaN", lambda x: bool(np.isnan(x).any())),
            ("contains equal entries", lambda x: x.ndim == 1 and x.size > 1 and len(np.unique(x)) < x.size),
            ("contains negative values", lambda x: bool((x < 0).any())),
            ("contains zeros", lambda x: bool((x == 0).any())),
            ("is not sorted", lambda x: x.ndim == 1 and bool((np.diff(x) < 0).any())),
        ):
            if (np.array([test(x) for x in given]) == wrong).all():
                return f"All is right but where `{name}` {said}"
    return ""


def _by_argument(bad: list, cases: list, names: list[str]) -> str:
    """Say which values of an argument go wrong: the ones on an edge, zero, negative, NaN, equal to a neighbour's."""
    flat = np.concatenate([b.ravel() for b in bad])
    if flat.all() or flat.sum() < 2:
        return ""
    for i, name in enumerate(names):
        given = [case[i] if i < len(case) else None for case in cases]
        if any(x is None or x.ndim == 0 or x.shape != b.shape for x, b in zip(given, bad, strict=True)):
            continue
        values = np.concatenate([x.ravel() for x in given])
        for said, hit in (
            ("negative", values < 0), ("positive", values > 0), ("zero", values == 0), ("NaN", np.isnan(values)),
        ):  # fmt: skip
            if (hit == flat).all():
                return f"It is wrong exactly where `{name}` is {said}"
        for j, other in enumerate(names):
            edges = [case[j] if j < len(case) else None for case in cases]
            if j == i or any(e is None or e.ndim > 1 for e in edges):
                continue
            on_edge = np.concatenate([np.isin(x, e).ravel() for x, e in zip(given, edges, strict=True)])
            if (on_edge == flat).all():
                return (
                    f"It is wrong exactly where `{name}` is equal to {'an entry of ' if edges[0].ndim else ''}`{other}`"
                )
        doubled = np.concatenate([(np.isin(x, _twice(x))).ravel() for x in given])
        if (doubled == flat).all():
            return f"It is wrong exactly where two entries of `{name}` are equal"
    return ""


def _twice(values: np.ndarray) -> np.ndarray:
    found, counts = np.unique(values, return_counts=True)
    return found[counts > 1]
