"""Calling a student's function and comparing what it returns, with words for whatever is different."""

import copy
import sys
import traceback
from collections.abc import Mapping

import awkward as ak
import numpy as np

__all__ = ["Mistake", "agree", "call", "describe", "difference", "fail", "telling"]

#: What some errors of the frameworks mean for somebody who meets them for the first time.
_EXPLAINED = {
    "element 0 of tensors does not require grad": "the loss has no gradient: detach(), item(), numpy() or "
    "torch.no_grad() cut the chain between it and the parameters.",
    "inplace operation": "a step was made between the computation of the loss and backward(): the gradients would be "
    "those of parameters that are no longer there. First backward(), then step().",
    "on Tensor that requires grad": "the output still carries its gradients, and a tensor with gradients does not "
    "become an array. Compute it inside `with torch.no_grad():`, which also saves the memory for them.",
}


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
    handed = [_copy(arg) for arg in args]
    torch = sys.modules.get("torch")
    recording = torch is not None and torch.is_grad_enabled()
    try:
        result = function(*handed, **kwargs)
        switched_off = recording and not torch.is_grad_enabled()
    except Mistake:
        raise
    except Exception as error:
        fail(_explained(name, function, error))
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


def describe(value) -> str:
    """Say in a few words what a value is: the number itself, or type, shape and first entries of an array."""
    if isinstance(value, np.bool_):
        return repr(bool(value))
    if isinstance(value, bool | str | type(None)):
        return repr(value)
    if isinstance(value, int | float | np.number):
        return f"{value:.6g}" if isinstance(value, float | np.floating) else str(value)
    if isinstance(value, np.ndarray) and value.ndim == 0:
        return describe(value[()])
    if isinstance(value, np.ndarray) or _is_tensor(value):
        kind = "an array" if isinstance(value, np.ndarray) else "a tensor"
        start = ", ".join(describe(entry) for entry in _plain(value).ravel()[:3])
        more = ", ..." if np.size(_plain(value)) > 3 else ""
        return f"{kind} of shape {tuple(value.shape)} and dtype {value.dtype} [{start}{more}]"
    if isinstance(value, ak.Array):
        return f"an awkward array of type {value.type}"
    if callable(value) and hasattr(value, "__name__"):
        return f"the {'class' if isinstance(value, type) else 'function'} {value.__name__}"
    text = " ".join(repr(value).split())
    return f"{type(value).__name__} {text if len(text) <= 120 else text[:117] + '...'}"


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
    if _masked(got):
        return f"{what} is masked, all or in part; what lies behind a mask is no answer."
    if isinstance(right, Mapping):
        return _difference_of_mappings(what, got, right, rtol=rtol, atol=atol, accept=accept)
    if isinstance(right, list | tuple):
        return _difference_of_lists(what, got, right, rtol=rtol, atol=atol, accept=accept)
    if isinstance(right, bool | np.bool_) or not _numeric(_plain(right)):
        same = isinstance(got, bool | np.bool_) if isinstance(right, bool | np.bool_) else True
        return "" if same and _equal(got, right) else f"{what} is {describe(got)}, expected {describe(right)}."
    return _difference_of_numbers(what, got, right, rtol, atol) or _other_kind(what, got, right, accept)


def agree(one, other, *, rtol: float = 1e-5, atol: float = 1e-9) -> bool:
    """Whether two results are the same, whatever kinds of arrays or lists they come in."""
    if _masked(one) != _masked(other):
        return False
    if isinstance(one, ak.Array) and isinstance(other, ak.Array) and one.ndim > 1:  # as lists they are slow
        return one.ndim == other.ndim and ak.almost_equal(one, other, rtol=rtol, atol=atol, dtype_exact=False)
    if getattr(one, "ndim", 0) > 1 >= getattr(other, "ndim", 2):
        return False
    one, other = _plain(one), _plain(other)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(agree(one[key], other[key], rtol=rtol, atol=atol) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(
            agree(*pair, rtol=rtol, atol=atol) for pair in zip(one, other, strict=True)
        )
    if _numeric(one) and _numeric(other):
        return np.shape(one) == np.shape(other) and np.allclose(one, other, rtol=rtol, atol=atol, equal_nan=True)
    return _equal(one, other)


def telling(value) -> bool:
    """Whether another way would hardly give the same by chance: a number with decimals, several numbers, a text."""
    value = _plain(value)
    if isinstance(value, Mapping):
        return telling(list(value.values()))
    if isinstance(value, list | tuple):
        return any(map(telling, value)) or len({repr(entry) for entry in value}) > 3
    if isinstance(value, str):
        return len(value) > 8
    if not _numeric(value):
        return False
    numbers = np.asarray(value, dtype=np.float64).ravel()
    numbers = numbers[np.isfinite(numbers)]
    different = len(np.unique(numbers))
    return bool((numbers != np.rint(numbers)).any()) or different > 3 or (different > 1 and numbers.size > 9)


# --- kinds of values --------------------------------------------------------------------------------------------------


def _is_tensor(value) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def _masked(value) -> bool:
    """Whether anything in an array of NumPy is masked, whatever its type."""
    return isinstance(value, np.ma.MaskedArray) and any(np.ma.getmaskarray(value).tobytes())


def _plain(value):
    """Return arrays and tensors, and lists that make an array, as NumPy arrays; all else as it is."""
    if _is_tensor(value):
        value = value.detach().cpu().to_dense()
        return (value.float() if value.dtype == sys.modules["torch"].bfloat16 else value).numpy()
    if isinstance(value, np.ma.MaskedArray) and value.dtype.kind in "biuf":
        return value.astype(np.float64).filled(np.nan)  # what lies behind a mask is no answer
    if isinstance(value, ak.Array):
        try:
            return ak.to_numpy(value, allow_missing=False)
        except (TypeError, ValueError):
            return value.to_list()
    if isinstance(value, list | tuple):
        try:  # NumPy warns of what is masked
            array = np.asarray([np.nan if entry is np.ma.masked else entry for entry in value])
        except (TypeError, ValueError):  # jagged, or something that is no number
            return [_plain(entry) for entry in value]
        return array if _numeric(array) else [_plain(entry) for entry in value]
    return value


def _numeric(value) -> bool:
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "biuf"
    return isinstance(value, bool | int | float | np.number | np.bool_)


def _difference_of_mappings(what: str, got, right: Mapping, **how) -> str:
    if not isinstance(got, Mapping):
        return f"{what} should be a {type(right).__name__}; what came is {describe(got)}."
    if got.keys() != right.keys():
        return f"{what} has the keys {list(got)}, expected {list(right)}."
    return next(filter(None, (difference(f"{what}[{key!r}]", got[key], right[key], **how) for key in right)), "")


def _difference_of_lists(what: str, got, right: list | tuple, **how) -> str:
    if not isinstance(got, (type(right), *how["accept"])):
        return f"{what} should be a {type(right).__name__}; what came is {describe(got)}."
    if len(got) != len(right):
        return f"{what} has {len(got)} entries, expected {len(right)}."
    pairs = enumerate(zip(got, right, strict=True))
    parts = (difference(f"{what}[{i}]", one, other, **how) for i, (one, other) in pairs)
    return next(filter(None, parts), "")


def _difference_of_numbers(what: str, got, right, rtol: float, atol: float) -> str:
    try:
        values = np.asarray(_plain(got))
        if values.dtype.kind not in "biufO":  # NumPy would read text as numbers, and drop an imaginary part
            raise TypeError
        values = values.astype(np.float64)
    except (TypeError, ValueError):
        return f"{what} should be {describe(right)}; what came is {describe(got)}."
    right = np.asarray(_plain(right), dtype=np.float64)
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


def _other_kind(what: str, got, right, accept: tuple[type, ...]) -> str:
    """Say so when the numbers are right, but come as something that the next cells cannot work with."""
    if _is_tensor(right) and isinstance(got, np.ndarray):
        return f"{what} is a NumPy array. The lesson goes on with a tensor, through which gradients flow."
    if not np.ndim(_plain(right)):
        return ""
    if not isinstance(got, (type(right), *accept)):
        kinds = {np.ndarray: "a NumPy array", ak.Array: "an awkward array"}
        wanted = kinds.get(type(right), f"a {type(right).__name__.lower()}")
        came = kinds.get(type(got), f"a {type(got).__name__}")
        return f"the numbers of {what} are right, but they come as {came}; the lesson goes on with {wanted}."
    if isinstance(got, np.ndarray) and got.dtype == object:
        return f"the numbers of {what} are right, but their dtype is object, with which NumPy can compute little."
    if _plain(right).dtype == bool and _plain(got).dtype != bool:
        return (
            f"{what} is right, but its dtype is {got.dtype}; a bool array can select, count and be turned round with ~."
        )
    return ""


# --- calling ----------------------------------------------------------------------------------------------------------


def _explained(name: str, function, error: Exception) -> str:
    for words, meaning in _EXPLAINED.items():
        if words in str(error):
            return meaning
    # The last line of the student's own code, not the depth of a library that it called.
    function = getattr(function, "func", function)  # that of a functools.partial
    file = getattr(getattr(function, "__code__", None), "co_filename", None)
    lines = [frame.line for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    where = f" at `{lines[-1]}`" if lines and lines[-1] else ""
    return f"{name} raised {type(error).__name__}: {error}{where}."


def _copy(value):
    if isinstance(value, dict):
        return {key: _copy(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        entries = [_copy(entry) for entry in value]
        return type(value)(*entries) if hasattr(value, "_fields") else type(value)(entries)
    if _is_tensor(value):
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
    if _is_tensor(one) and _is_tensor(other):
        one, other = _plain(one), _plain(other)
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
    except (TypeError, ValueError, RuntimeError):  # NA of pandas is neither equal nor different
        return one is other
