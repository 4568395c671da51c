"""Calling a student's function and comparing what it returns, with words for whatever is different."""

import copy
import sys
from collections.abc import Mapping

import awkward as ak
import numpy as np

from coursekit.checks.errors import endless, explained
from coursekit.checks.kinds import as_array, describe, is_masked, is_numeric, is_tensor, shortened, unfit
from coursekit.checks.limits import TooLong

__all__ = ["Mistake", "agree", "call", "copied", "describe", "difference", "fail", "telling"]


class Mistake(Exception):
    """What is wrong with an answer, in words for the student."""


def fail(reason: str) -> None:
    """End the test with the reason why the answer is not right yet."""
    raise Mistake(reason)


def call(function, *args, name: str = "", **kwargs):
    """Call the student's function on copies of the arguments.

    An error, a missing ``return``, a changed input, or gradients left switched off become a `Mistake`.

    Parameters
    ----------
    function : callable
        The student's answer.
    *args, **kwargs
        Its arguments; arrays, tensors, generators, networks in PyTorch and containers of them are copied before the
        call.
    name : str, optional
        Names the function in messages; by default as it calls itself.

    Returns
    -------
    object
        What the function returned.
    """
    name = name or getattr(function, "__name__", "your function")
    if not callable(function):
        fail(f"{name} should be a function; what came is {describe(function)}. Pass it without calling it.")
    handed = [copied(arg) for arg in args]
    torch = sys.modules.get("torch")
    recording = torch is not None and torch.is_grad_enabled()
    try:
        result = function(*handed, **kwargs)
        switched_off = recording and not torch.is_grad_enabled()
    except (Mistake, GeneratorExit):
        raise
    except TooLong as late:
        fail(endless(name, args, late))
    except BaseException as error:
        fail(explained(name, error))
    finally:
        if recording:
            torch.set_grad_enabled(True)
    if switched_off:
        fail(
            "gradients stay switched off after the call, and no later training would learn anything. "
            "`with torch.no_grad():` ends by itself; torch.set_grad_enabled(False) does not."
        )
    if result is None:
        fail(f"{name} returned None. Did you forget a `return`?")
    if any(not _unchanged(before, after) for before, after in zip(args, handed, strict=True)):
        fail(f"{name} changes its input in place. Work on a copy: whoever called it still needs the original.")
    return result


def difference(what: str, got, right, *, rtol: float = 1e-5, atol: float = 1e-9, accept: tuple[type, ...] = ()) -> str:
    """Say how a value differs from the right one; nothing when it is right.

    Parameters
    ----------
    what : str
        Names the value in the message: "the mean".
    got, right : number, array, tensor, text, table, or lists and mappings of them
        The student's, and the right one, which also says what kind of thing the lesson goes on with.
    rtol, atol : float
        Tolerances of numbers as in `numpy.allclose`; the default admits float32 arithmetic.
    accept : tuple of type
        Further kinds that the next cells of the lesson can work with, as a list in the place of an array.

    Returns
    -------
    str
        A sentence, or "".
    """
    if got is None and right is not None:
        return f"{what} is None. Did you forget a `return`, or keep the result of a function that changes its argument?"
    if got is ...:
        return f"{what} is still `...`."
    if isinstance(got, np.ndarray) and got.ndim == 0 and not isinstance(got, np.ma.MaskedArray):
        got = got[()]
    if is_masked(got):
        return f"{what} is masked, all or in part; what lies behind a mask is no answer."
    if isinstance(right, Mapping):
        return _difference_of_mappings(what, got, right, rtol=rtol, atol=atol, accept=accept)
    if isinstance(right, list | tuple):
        return _difference_of_lists(what, got, right, rtol=rtol, atol=atol, accept=accept)
    if isinstance(right, bool | np.bool_) or not is_numeric(as_array(right)):
        same = isinstance(got, bool | np.bool_) if isinstance(right, bool | np.bool_) else True
        return "" if same and _equal(got, right) else f"{what} is {describe(got)}, expected {describe(right)}."
    return _difference_of_numbers(what, got, right, rtol, atol) or _other_kind(what, got, right, accept)


def agree(one, other, *, rtol: float = 1e-5, atol: float = 1e-9) -> bool:
    """Whether two results are the same, whatever kinds of arrays or lists they come in."""
    if is_masked(one) != is_masked(other):
        return False
    if isinstance(one, ak.Array) and isinstance(other, ak.Array) and one.ndim > 1:  # as lists they are slow
        return one.ndim == other.ndim and ak.almost_equal(one, other, rtol=rtol, atol=atol, dtype_exact=False)
    if getattr(one, "ndim", 0) > 1 >= getattr(other, "ndim", 2):
        return False
    one, other = as_array(one), as_array(other)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(agree(one[key], other[key], rtol=rtol, atol=atol) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(
            agree(*pair, rtol=rtol, atol=atol) for pair in zip(one, other, strict=True)
        )
    if is_numeric(one) and is_numeric(other) and np.asarray(one).dtype != object != np.asarray(other).dtype:
        return np.shape(one) == np.shape(other) and np.allclose(one, other, rtol=rtol, atol=atol, equal_nan=True)
    return _equal(one, other)


def telling(value) -> bool:
    """Whether another way would hardly give the same by chance: a number with decimals, several numbers, a text."""
    value = as_array(value)
    if isinstance(value, Mapping):
        return telling(list(value.values()))
    if isinstance(value, list | tuple):
        return any(map(telling, value)) or len({repr(entry) for entry in value}) > 3
    if isinstance(value, str):
        return len(value) > 8
    if not is_numeric(value):
        return False
    numbers = np.asarray(value, dtype=np.float64).ravel()
    numbers = numbers[np.isfinite(numbers)]
    different = len(np.unique(numbers))
    return bool((numbers != np.rint(numbers)).any()) or different > 3 or (different > 1 and numbers.size > 9)


# --- differences ------------------------------------------------------------------------------------------------------


def _difference_of_mappings(what: str, got, right: Mapping, **how) -> str:
    if not isinstance(got, Mapping):
        return f"{what} should be a {type(right).__name__}; what came is {describe(got)}."
    if got.keys() != right.keys():
        keys = [shortened(str(list(mapping))) for mapping in (got, right)]
        return f"{what} has the keys {keys[0]}, expected {keys[1]}."
    return next(filter(None, (difference(f"{what}[{key!r}]", got[key], right[key], **how) for key in right)), "")


def _difference_of_lists(what: str, got, right: list | tuple, **how) -> str:
    if not isinstance(got, (type(right), *how["accept"])):
        return f"{what} should be a {type(right).__name__}; what came is {describe(got)}."
    if len(got) != len(right):
        return f"{what} has {len(got)} entries, expected {len(right)}."
    pairs = enumerate(zip(got, right, strict=True))
    parts = (difference(f"{what}[{i}]", one, other, **how) for i, (one, other) in pairs)
    return next(filter(None, parts), "")


def _wanted(right) -> str:
    if not np.ndim(as_array(right)):
        return "a number"
    return "a tensor of numbers" if is_tensor(right) else "an array of numbers"


def _difference_of_numbers(what: str, got, right, rtol: float, atol: float) -> str:
    if kind := unfit(got):
        came = f"{kind} ({describe(got)})" if kind in {"text", "bytes"} else kind
        return f"{what} should be {_wanted(right)}; what came is {came}."
    try:
        values = np.asarray(as_array(got)).astype(np.float64)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        return f"{what} should be {_wanted(right)}; what came is {describe(got)}."
    right = np.asarray(as_array(right), dtype=np.float64)
    if values.shape != right.shape:
        return f"{what} has shape {values.shape}, expected {right.shape}."
    wrong = ~np.isclose(values, right, rtol=rtol, atol=atol, equal_nan=True)
    if not wrong.any():
        return ""
    if not right.ndim:
        return f"{what} is {describe(values)}, expected {describe(right)}."
    n_nan = int(np.isnan(values).sum() - np.isnan(right).sum())
    if n_nan > 0:
        return f"{what} contains {n_nan} NaN, expected {int(np.isnan(right).sum())}."
    first = tuple(int(index) for index in np.argwhere(wrong)[0])
    return (
        f"{what} is wrong in {wrong.sum()} of {wrong.size} entries, first at [{', '.join(map(str, first))}]: "
        f"{describe(values[first])}, expected {describe(right[first])}."
    )


#: How a NumPy array is made from other kinds.
_MADE_FROM = dict.fromkeys(("list", "tuple"), ": np.array(...) makes one") | {
    "Series": ": .to_numpy() makes one",
    "DataFrame": ": .to_numpy() makes one",
    "Tensor": ": .numpy() makes one",
    "Array": ": ak.to_numpy(...) makes one",
}


def _other_kind(what: str, got, right, accept: tuple[type, ...]) -> str:
    """Say so when the numbers are right, but come as something that the next cells cannot work with."""
    if is_tensor(right) and isinstance(got, np.ndarray):
        return f"{what} is a NumPy array. The lesson goes on with a tensor, through which gradients flow."
    if not np.ndim(as_array(right)):
        return ""
    if not isinstance(got, (type(right), *accept)):
        kinds = {np.ndarray: "a NumPy array", ak.Array: "an awkward array"}
        wanted = kinds.get(type(right), f"a {type(right).__name__.lower()}")
        came = kinds.get(type(got), f"a {type(got).__name__}")
        how = _MADE_FROM.get(type(got).__name__, "") if isinstance(right, np.ndarray) else ""
        return f"the numbers of {what} are right, but they come as {came}; the lesson goes on with {wanted}{how}."
    if isinstance(got, np.ma.MaskedArray) and not isinstance(right, np.ma.MaskedArray):
        return (
            f"the numbers of {what} are right, but they come as a masked array; the lesson goes on with one without a "
            "mask: .filled(...) makes one."
        )
    if isinstance(got, np.ndarray) and got.dtype == object:
        return f"the numbers of {what} are right, but their dtype is object, with which NumPy can compute little."
    if as_array(right).dtype == bool and as_array(got).dtype != bool:
        return (
            f"{what} is right, but its dtype is {got.dtype}; a bool array can select, count and be turned round with ~."
        )
    return ""


# --- calling ----------------------------------------------------------------------------------------------------------


def copied(value):
    """Return a copy of arrays, tensors, generators, networks and tables, and of what holds them; all else as it is."""
    if isinstance(value, dict):
        return {key: copied(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        entries = [copied(entry) for entry in value]
        return type(value)(*entries) if hasattr(value, "_fields") else type(value)(entries)
    if is_tensor(value):
        return value.detach().clone().requires_grad_(value.requires_grad)
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Generator):
        return value.clone_state()
    if isinstance(value, np.random.Generator) or (torch is not None and isinstance(value, torch.nn.Module)):
        return copy.deepcopy(value)
    return value.copy() if isinstance(value, np.ndarray) or hasattr(value, "equals") else value


def _unchanged(before, after) -> bool:
    """Whether an argument is as it was; generators move on, and networks are there to be trained."""
    torch = sys.modules.get("torch")
    meant_to = (np.random.Generator,) + ((torch.Generator, torch.nn.Module) if torch is not None else ())
    return isinstance(before, meant_to) or _equal(before, after)


def _equal(one, other) -> bool:
    if is_tensor(one) and is_tensor(other):
        one, other = as_array(one), as_array(other)
    if isinstance(one, ak.Array) or isinstance(other, ak.Array):
        return isinstance(one, ak.Array) and isinstance(other, ak.Array) and ak.array_equal(one, other, equal_nan=True)
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        try:
            floats = np.asarray(one).dtype.kind == "f"
            if not np.array_equal(np.ma.getmaskarray(one), np.ma.getmaskarray(other)):
                return False
            return np.shape(one) == np.shape(other) and bool(np.array_equal(one, other, equal_nan=floats))
        except (TypeError, ValueError):  # lists that are no array of numbers: of several lengths, or with None
            return False
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return type(one) is type(other) and len(one) == len(other) and all(map(_equal, one, other))
    if hasattr(one, "equals"):  # a pandas object
        return type(one) is type(other) and one.equals(other)
    try:
        return bool(one == other)
    except Exception:  # NA of pandas is neither equal nor different; and a class of the student's may raise anything
        return one is other
