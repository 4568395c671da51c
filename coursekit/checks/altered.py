"""Arguments of a case changed so that what its numbers happened to hide is seen: ties, edges, zeros, none at all."""

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping

import awkward as ak
import numpy as np

from coursekit.checks.kinds import is_tensor

__all__ = ["altered", "leaves_of", "other_seeds", "replaced", "resampled"]

_SEED = 7919


def altered(case: tuple | Mapping, numbers: Iterable = ()) -> Iterator[tuple[str, tuple | dict]]:
    """Yield what is changed, in words, and the changed arguments; the case itself stays as it is.

    Parameters
    ----------
    case : tuple or mapping
        Arguments of a function, or the values that others are computed from.
    numbers : iterable of number, optional
        Tried among the values, as are all numbers of the case: what they are compared with may be one of them.
    """
    yield from _with_other_rows(case)
    scalars = [*numbers, *(v for v in leaves_of(case) if isinstance(v, int | float) and not isinstance(v, bool))]
    arrays = [np.asarray(v, dtype=float) for v in leaves_of(case) if _is_array(v) and _kind(v) in "fiu"]
    for path, leaf in _paths(case):
        for words, other in _other_leaves(leaf, scalars, arrays):
            yield words, _put(case, path, other)


@contextlib.contextmanager
def other_seeds(more: int = _SEED) -> Iterator[None]:
    """Let every generator that is made with a seed inside have another one, larger by `more`."""
    made = np.random.default_rng
    np.random.default_rng = lambda seed=None: made(seed + more if isinstance(seed, int) else seed)
    try:
        yield
    finally:
        np.random.default_rng = made


def resampled(case: tuple | Mapping) -> tuple | dict:
    """Return the arguments with rows drawn from their own, the same ones in all that are equally long."""
    rng, rows = np.random.default_rng(_SEED), {}

    def drawn(value):
        if not _has_rows(value) or len(value) < 2:
            return value
        n = len(value)
        return _rows(value, rows[n] if n in rows else rows.setdefault(n, rng.integers(0, n, n)))

    return replaced(case, drawn)


# --- all arguments with the same number of rows -----------------------------------------------------------------------


def _with_other_rows(case) -> Iterator[tuple[str, tuple | dict]]:
    rng = np.random.default_rng(_SEED)
    lengths = dict.fromkeys(len(v) for v in leaves_of(case) if _has_rows(v))
    for n in lengths:
        if n < 2:
            continue
        twice = np.repeat(np.arange((n + 1) // 2), 2)[:n]
        rows = {
            "rows in another order": rng.permutation(n),
            "rows drawn with replacement": rng.integers(0, n, n),
            "each row twice": twice,
            "one row": np.arange(1),
            "two rows": np.arange(2),
            "no rows": np.arange(0),
        }
        for words, chosen in rows.items():
            yield words, replaced(case, lambda v, n=n, i=chosen: _rows(v, i) if _has_rows(v) and len(v) == n else v)


def _has_rows(value) -> bool:
    return (_is_array(value) and value.ndim > 0) or (isinstance(value, ak.Array) and value.ndim > 0)


def _rows(value, chosen: np.ndarray):
    if is_tensor(value):
        return value.detach()[sys.modules["torch"].from_numpy(chosen)]
    return value[chosen]


# --- one argument -----------------------------------------------------------------------------------------------------


def _other_leaves(value, scalars: list, arrays: list) -> Iterator[tuple[str, object]]:
    if isinstance(value, bool):
        yield "the other truth value", not value
    elif isinstance(value, int):
        yield from ((f"{other} in the place of {value}", other) for other in (0, 1, value + 1, 2 * value, value - 1))
    elif isinstance(value, float):
        others = (0.0, 1.0, value / 2, 2 * value, -value)
        yield from ((f"{other:g} in the place of {value:g}", other) for other in others)
    elif isinstance(value, np.random.Generator):
        yield "another generator", np.random.default_rng(_SEED)
    elif isinstance(value, ak.Array) and value.ndim == 2 and not value.fields:
        flat, counts = ak.to_numpy(ak.flatten(value)), ak.num(value)
        for words, change in _other_arrays(flat, scalars, arrays) if len(flat) else ():
            yield words, ak.unflatten(change(flat).astype(flat.dtype), counts)
        yield "one list without entries", ak.concatenate([value[:1, :0], value[1:]])
    elif _is_array(value) and value.ndim > 0 and len(value) and _kind(value) in "biuf":
        for words, change in _other_arrays(value, scalars, arrays):
            yield words, _changed(value, change)


def _other_arrays(value, scalars: list, arrays: list) -> Iterator[tuple[str, Callable]]:
    kind = _kind(value)
    if kind == "b":
        yield "the other truth values", np.logical_not
        yield "all true", np.ones_like
        yield "all false", np.zeros_like
        return
    yield "all the same", lambda x: np.broadcast_to(x[:1], x.shape).copy()
    yield "ties", lambda x: np.repeat(x, 2, axis=0)[: len(x)]
    yield "values in another order", lambda x: x[::-1].copy()
    if kind in "iu" and len(value) >= 4 * len(np.unique(np.asarray(value))):
        return  # labels, codes: no others have a meaning
    yield "zeros", lambda x: _first(x, 0)
    yield "all zero", np.zeros_like
    if kind in "iu":
        yield "whole numbers one larger", lambda x: x + 1
        yield "twice the whole numbers", lambda x: 2 * x
    else:
        yield "larger numbers", lambda x: 100 * x
        yield "smaller numbers", lambda x: x / 100
        yield "moved numbers", lambda x: x + 1
        yield "rounded numbers", np.rint
        yield "not a number", lambda x: _first(x, np.nan)
    if kind in "if":
        yield "negative numbers", lambda x: -x
        yield "a negative number", lambda x: _first(x, -1)
    for number in dict.fromkeys(scalars):
        yield f"a number equal to {number:g}", lambda x, number=number: _first(x, number)
    for other in arrays:
        if other.ndim == 1 and 0 < len(other) <= len(value) and other.shape != np.shape(value):
            yield "numbers equal to those of another argument", lambda x, other=other: _start(x, other)


def _first(x: np.ndarray, number) -> np.ndarray:
    """Put a number in the place of the first third of the entries."""
    flat = x.copy().reshape(-1)
    flat[: max(1, len(flat) // 3)] = number
    return flat.reshape(x.shape)


def _start(x: np.ndarray, other: np.ndarray) -> np.ndarray:
    changed = x.copy()
    changed[: len(other)] = other.reshape(-1, *[1] * (x.ndim - 1))
    return changed


def _changed(value, change: Callable):
    if not is_tensor(value):
        return change(value).astype(value.dtype)
    torch = sys.modules["torch"]
    array = np.ascontiguousarray(change(value.detach().numpy()))
    return torch.from_numpy(array).to(value.dtype).requires_grad_(value.requires_grad)


# --- what a case is made of ----------------------------------------------------------------------------------------


def _is_array(value) -> bool:
    return isinstance(value, np.ndarray) or is_tensor(value)


def _kind(value) -> str:
    if not is_tensor(value):
        return value.dtype.kind
    if value.dtype == sys.modules["torch"].bool:
        return "b"
    return "f" if value.dtype.is_floating_point else "i"


def _paths(value, path: tuple = ()) -> Iterator[tuple[tuple, object]]:
    if isinstance(value, dict):
        for key, entry in value.items():
            yield from _paths(entry, (*path, key))
    elif isinstance(value, list | tuple):
        for at, entry in enumerate(value[:4]):
            yield from _paths(entry, (*path, at))
    else:
        yield path, value


def leaves_of(value) -> list:
    """Return what stands in lists, tuples and mappings, and in those within them."""
    return [leaf for _, leaf in _paths(value)]


def replaced(value, change: Callable):
    """Return the same lists, tuples and mappings, of what `change` makes of all that stands in them."""
    if isinstance(value, dict):
        return {key: replaced(entry, change) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        entries = [replaced(entry, change) for entry in value]
        return type(value)(*entries) if hasattr(value, "_fields") else type(value)(entries)
    return change(value)


def _put(value, path: tuple, other):
    if not path:
        return other
    if isinstance(value, dict):
        return {**value, path[0]: _put(value[path[0]], path[1:], other)}
    entries = list(value)
    entries[path[0]] = _put(entries[path[0]], path[1:], other)
    return type(value)(*entries) if hasattr(value, "_fields") else type(value)(entries)
