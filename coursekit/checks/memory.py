"""Memory that nobody has set holds what lay there before, often zeros: here it holds what no answer is made of."""

import contextlib
import functools
import sys
from collections.abc import Callable, Iterator

import numpy as np

__all__ = ["unset_memory_shows"]

_NAMES = ("empty", "empty_like")


@contextlib.contextmanager
def unset_memory_shows() -> Iterator[None]:
    """Fill what ``np.empty`` and ``torch.empty`` give: NaN, large odd integers, True and False in turns."""
    torch = sys.modules.get("torch")
    places = [(np, name, _fill_array) for name in _NAMES]
    places += [(torch, name, _fill_tensor) for name in _NAMES] if hasattr(torch, "empty_like") else []
    there = [getattr(module, name) for module, name, _ in places]
    real = [getattr(function, "fills", function) for function in there]  # when an end in between left one behind
    for (module, name, fill), function in zip(places, real, strict=True):
        setattr(module, name, _filling(function, fill))
    try:
        yield
    finally:
        for (module, name, _), function in zip(places, real, strict=True):
            setattr(module, name, function)


def _filling(function: Callable, fill: Callable) -> Callable:
    @functools.wraps(function)
    def filled(*args, **kwargs):
        made = function(*args, **kwargs)
        with contextlib.suppress(TypeError, ValueError, RuntimeError, NotImplementedError):  # as of a sparse tensor
            fill(made)
        return made

    filled.fills = function
    return filled


def _fill_array(array: np.ndarray) -> None:
    kind = array.dtype.kind
    if kind in "fc":
        array[...] = np.nan
    elif kind in "iu":
        array[...] = _large_and_odd(np.iinfo(array.dtype).max)
    elif kind in "Mm":
        array[...] = "NaT"
    elif kind == "b":
        array.flat = np.arange(array.size) % 2 == 0
    elif array.dtype.names:
        for name in array.dtype.names:
            _fill_array(array[name])


def _fill_tensor(tensor) -> None:
    torch = sys.modules["torch"]
    with torch.no_grad():
        if tensor.is_floating_point() or tensor.is_complex():
            tensor.fill_(torch.nan)
        elif tensor.dtype == torch.bool:
            tensor.copy_((torch.arange(tensor.numel()) % 2 == 0).reshape(tensor.shape))
        else:
            tensor.fill_(_large_and_odd(torch.iinfo(tensor.dtype).max))


def _large_and_odd(largest: int) -> int:
    return int(largest) // 3 * 2 + 1
