"""Kinds of values: what a value is called in a message, and which kinds no lesson can compute with."""

import itertools
import numbers
import sys
from collections.abc import Callable, ItemsView, Iterator, KeysView, Mapping, Set, ValuesView

import awkward as ak
import numpy as np

__all__ = ["as_array", "describe", "is_masked", "is_numeric", "is_tensor", "shortened", "unfit"]

#: Characters of a value, or of the text of an error, in a message.
LONGEST = 120


def shortened(text: str, longest: int = LONGEST) -> str:
    """Return a text on one line, cut where it is too long for a message."""
    text = " ".join(text[: 10 * longest].split())
    return text if len(text) <= longest else text[: longest - 3] + "..."


def describe(value) -> str:
    """Say in a few words what a value is: the number itself, or type, shape and first entries of an array."""
    if isinstance(value, np.bool_):
        return repr(bool(value))
    if isinstance(value, str):
        return shortened(repr(str(value[: 2 * LONGEST])))
    if isinstance(value, bool | type(None)):
        return repr(value)
    if isinstance(value, int) and value.bit_length() > 1000:  # Python writes out no very long ones
        return f"a whole number of {round(value.bit_length() * 0.30103)} digits"
    if isinstance(value, int | float | np.number):
        return f"{value:.6g}" if isinstance(value, float | np.floating) else shortened(_text(value, str))
    if isinstance(value, np.ndarray) and value.ndim == 0:
        return describe(value[()])
    if isinstance(value, np.ndarray) or is_tensor(value):
        kind = "a masked array" if isinstance(value, np.ma.MaskedArray) else "an array"
        kind = kind if isinstance(value, np.ndarray) else "a tensor"
        flat = as_array(value).ravel()
        start = ", ".join(describe(entry) for entry in flat[:3])
        more = ", ..." if len(flat) > 3 else ""
        return f"{kind} of shape {tuple(value.shape)} and dtype {shortened(str(value.dtype))} [{start}{more}]"
    if isinstance(value, ak.Array):
        return f"an awkward array of type {shortened(str(value.type))}"
    if isinstance(value, np.random.Generator):
        return "a generator of random numbers"
    if isinstance(value, Iterator):
        return f"a {type(value).__name__}"
    if callable(value) and hasattr(value, "__name__"):
        return f"the {'class' if isinstance(value, type) else 'function'} {value.__name__}"
    return f"{type(value).__name__} {shortened(_text(value))}"


def _text(value, made: Callable = repr) -> str:
    """Return the `repr` of a value, of a long list or table only its beginning."""
    try:
        if type(value) in {list, tuple, set, frozenset} and len(value) > LONGEST:
            start = ", ".join(_text(entry) for entry in itertools.islice(value, LONGEST // 2))
            return f"{'(' if type(value) is tuple else '[' if type(value) is list else '{'}{start}, ..."
        return made(value)
    except Exception as error:  # of a class of the student's
        return f"whose repr raises {type(error).__name__}"


def is_tensor(value) -> bool:
    """Whether a value is a tensor of PyTorch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def is_masked(value) -> bool:
    """Whether anything in an array of NumPy is masked, whatever its type."""
    return isinstance(value, np.ma.MaskedArray) and any(np.ma.getmaskarray(value).tobytes())


def is_numeric(value) -> bool:
    """Whether a value is a real number or a NumPy array of them."""
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "biuf"
    return isinstance(value, bool | int | float | np.number | np.bool_) and not isinstance(value, np.complexfloating)


def as_array(value):
    """Return arrays and tensors, and lists that make an array, as NumPy arrays; all else as it is."""
    if is_tensor(value):
        value = value.detach().cpu().to_dense().resolve_conj()
        return (value.float() if value.dtype == sys.modules["torch"].bfloat16 else value).numpy()
    if isinstance(value, np.ma.MaskedArray) and value.dtype.kind in "biuf":
        return value.astype(np.float64).filled(np.nan)  # what lies behind a mask is no answer
    if isinstance(value, ak.Array):
        try:
            return ak.to_numpy(value, allow_missing=False)
        except (TypeError, ValueError):
            return value.to_list()
    if isinstance(value, list | tuple):
        if _holds_itself(value, ()):  # of which NumPy would make an array for ever
            return ["a list that contains itself"]
        try:  # NumPy warns of what is masked
            array = np.asarray([np.nan if entry is np.ma.masked else entry for entry in value])
        except (TypeError, ValueError, RuntimeError):  # jagged, or something that is no number, or has gradients
            return [as_array(entry) for entry in value]
        return array if is_numeric(array) else [as_array(entry) for entry in value]
    return value


def _holds_itself(value, above: tuple) -> bool:
    inside = [entry for entry in value if isinstance(entry, list)]
    return any(entry is outer for entry in inside for outer in (*above, value)) or any(
        _holds_itself(entry, (*above, value)) for entry in {id(entry): entry for entry in inside}.values()
    )


def unfit(value) -> str:
    """Say what kind of thing a value is, if it is one that cannot stand for real numbers; else nothing."""
    if isinstance(value, Iterator):
        return "a generator, which can be read only once: `return` the values, all at once, instead of `yield`"
    if is_masked(value):
        return "an array with masked entries"
    if isinstance(value, Set | KeysView | ValuesView | ItemsView):
        return f"a {type(value).__name__}, whose entries have no order or no number"
    if isinstance(value, Mapping):
        return "a dictionary"
    if hasattr(value, "toarray") and hasattr(value, "nnz"):
        return "a sparse matrix; .toarray() makes an array of it"
    if callable(value) and hasattr(value, "__name__"):
        return f"{describe(value)} itself, which nobody has called: () behind its name calls it"
    if isinstance(value, str | bytes | bytearray):
        return "text" if isinstance(value, str) else "bytes"
    try:
        return _unfit_entries(value)
    except Exception as error:  # an object that only pretends to be an array
        return f"{type(value).__name__}, of which NumPy cannot make an array ({type(error).__name__})"


def _unfit_entries(value) -> str:
    if is_tensor(value) and value.dtype.is_complex:
        return "complex numbers; .real and .abs() are real"
    array = as_array(value)
    if isinstance(array, list):  # jagged, or with something that is no number
        return next(filter(None, map(unfit, array)), "")
    array = np.asarray(array)
    kinds = {"c": "complex numbers; .real and np.abs(...) are real", "U": "text", "S": "bytes", "T": "text"}
    kinds |= {"M": "dates", "m": "intervals of time", "V": "records with several fields"}
    if array.dtype.kind != "O":
        return kinds.get(array.dtype.kind, "")
    strange = next((entry for entry in array.ravel() if not _real(entry)), 0)
    if isinstance(strange, complex):
        return kinds["c"]
    if strange is None:
        return "with None among the numbers, a value that is missing"
    return unfit(strange) if isinstance(strange, str | bytes | Iterator) else ""


def _real(entry) -> bool:
    return isinstance(entry, numbers.Real | np.number | np.bool_) and not isinstance(entry, np.complexfloating)
