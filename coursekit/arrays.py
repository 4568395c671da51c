"""What comes in as an array: of NumPy or awkward, a column of pandas, a tensor, a list. One of the first two comes out.

Rows are matched by their position, never by a pandas index. A value that is missing is refused by name, because behind
it lies a number that nobody measured: NumPy turns None into NaN, and what a mask hides into what was there before.
"""

import contextlib
import re
from collections.abc import Callable

import awkward as ak
import numpy as np

Array = np.ndarray | ak.Array

# A sum that is smaller, relative to the sum of absolute values, is what rounding has left: weights are products of
# float32. No significant sum is lost so, since the statistical error of 1e12 events is as large.
_CANCELLED = 1e-6


def plain(values, name: str, source: object = "") -> Array:
    """Return values as an array that has all of them, in the byte order of the machine.

    Parameters
    ----------
    values : array-like
        An array of NumPy or awkward, a Series or DataFrame of pandas, a tensor, or a list, with N events along its
        first axis. A pandas index is not looked at.
    name : str
        What errors call it: the branch, the argument.
    source : str or path-like, optional
        What errors name as its origin.

    Returns
    -------
    numpy.ndarray or awkward.Array
        Not copied where that is not needed; awkward for what is jagged, a record or text of awkward.

    Raises
    ------
    ValueError
        A value is missing: None, a masked entry, NA of pandas. Or the values have no common shape.

    Examples
    --------
    >>> plain(np.ma.array([80, 90], mask=[False, True]), "mth", "b.root")
    Traceback (most recent call last):
        ...
    ValueError: b.root: mth is missing in 1 of 2 events, first in event 1. ...
    """
    if isinstance(values, ak.Array):
        require_present(values, name, source)
        values = ak.Array(_without_options(values.layout), behavior=values.behavior, attrs=values.attrs)
        return values.to_numpy() if _is_flat(values) else values
    if isinstance(values, np.ma.MaskedArray):
        masked = np.ma.getmaskarray(values)
        _refuse(masked if values.dtype.names is None else _any_field(masked), name, source, "filled(-1)")
        values = values.data
    elif hasattr(values, "isna"):
        values = _of_pandas(values, name, source)
    elif hasattr(values, "detach"):  # a tensor of PyTorch
        values = values.detach().cpu().to_dense()
        values = (values.float() if "bfloat16" in str(values.dtype) else values).numpy()  # NumPy does not know that
    try:
        values = np.asarray(values)
    except ValueError as error:
        raise ValueError(
            f"{_of(source)}{name} is no array: its rows have unequal lengths. Take an awkward one."
        ) from error
    if values.dtype == object:
        values = _of_objects(values, name, source)
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def numbers(values, name: str, source: object = "") -> np.ndarray:
    """Return values as `plain` does, an array of NumPy whose values are numbers: integers, floats, or bools.

    Parameters
    ----------
    values : array-like
        (N, ...).
    name, source : str
        What errors call it and its origin.

    Raises
    ------
    ValueError
        As `plain`, or the values are jagged, records, text, dates, or complex.

    Examples
    --------
    >>> numbers(["a", "b"], "score")
    Traceback (most recent call last):
        ...
    ValueError: score must be numbers, but came as <U1.
    """
    values = plain(values, name, source)
    found = values.dtype if isinstance(values, np.ndarray) else values.type
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "biuf":
        raise ValueError(f"{_of(source)}{name} must be numbers, but came as {found}.")
    if values.dtype.itemsize > 8:
        with np.errstate(over="ignore"):  # what float64 cannot hold becomes infinite
            values = values.astype(np.float64)
    return values


def flat(values, name: str) -> np.ndarray:
    """Return values as `plain` does, an array of NumPy with one value per event, numbers or text; else ValueError."""
    values = plain(values, name)
    if isinstance(values, ak.Array) and values.layout.parameter("__array__") in ("string", "bytestring"):
        values = np.array(values.to_list())
    if not isinstance(values, np.ndarray) or values.ndim != 1:
        found = values.shape if isinstance(values, np.ndarray) else values.type
        raise ValueError(f"{name} is a flat array, one value per event, but has {found}; of a table pass *table.T.")
    return values


def whole_number(value, name: str) -> int:
    """Return a number of any kind that is a whole one, as an int; ValueError by its name if it is none."""
    with contextlib.suppress(TypeError, ValueError, OverflowError, RuntimeError):
        if np.ndim(value) == 0 and int(value) == value:
            return int(value)
    raise ValueError(f"{name} is a whole number, but {value!r} came.")


def require_present(values: ak.Array, name: str, source: object = "") -> None:
    """Raise the ValueError of `plain` if a value of an awkward array, or anything in it, is missing."""
    _refuse(events_with(values), name, source, "ak.fill_none(..., -1)")


def events_with(values: Array, test: Callable[[np.ndarray], np.ndarray] | None = None) -> np.ndarray:
    """Say which events hold a number, at any depth, that passes a test; or something missing, if there is no test.

    Parameters
    ----------
    values : array
        (N, ...), jagged, records and unions of any depth. Text is not looked at.
    test : callable, optional
        Called with flat arrays of numbers; gives as many bools.

    Returns
    -------
    (N,) bool array

    Examples
    --------
    >>> events_with(ak.Array([{"jets": [{"pt": 1.0}]}, {"jets": [{"pt": np.nan}]}]), np.isnan).tolist()
    [False, True]
    """
    layout = ak.to_layout(values)
    if test is None and not re.search(r"\?|option\[", str(layout.form.type)):
        return np.zeros(len(layout), dtype=bool)  # nothing can be missing: there is no need to look
    return _holds(layout, test)


def _holds(layout, test) -> np.ndarray:
    held = np.zeros(len(layout), dtype=bool)
    if layout.is_option or layout.is_indexed:
        present = ~layout.mask_as_bool(valid_when=False) if layout.is_option else np.ones(len(layout), dtype=bool)
        held[~present] = test is None
        held[present] = _holds(layout.project(), test)
    elif layout.parameter("__array__") in ("string", "bytestring"):
        pass
    elif layout.is_list:
        lists = layout.to_ListOffsetArray64(True)
        offsets = np.asarray(lists.offsets)
        inside = np.concatenate([[0], np.cumsum(_holds(lists.content[: offsets[-1]], test))])
        held = inside[offsets[1:]] > inside[offsets[:-1]]
    elif layout.is_record:
        for content in layout.contents:
            held |= _holds(content[: len(layout)], test)
    elif layout.is_union:
        tags, index = np.asarray(layout.tags), np.asarray(layout.index)
        for tag, content in enumerate(layout.contents):
            chosen = tags == tag
            held[chosen] = _holds(content, test)[index[: len(tags)][chosen]]
    elif layout.is_numpy and test is not None:
        numbers = np.asarray(layout.data)
        held = _any_of_row(test(numbers.reshape(-1)).reshape(numbers.shape))
    return held


def _without_options(layout):
    """Return the same values in a type that promises that none is missing."""

    def strip(layout, **_):
        return ak.transform(strip, layout.project(), highlevel=False) if layout.is_option else None

    return ak.transform(strip, layout, highlevel=False)


def _is_flat(values: ak.Array) -> bool:
    """Say whether an awkward array is one of NumPy in another dress."""
    layout = values.layout
    while layout.is_indexed or layout.is_regular:
        layout = layout.content
    return layout.is_numpy and layout.parameter("__array__") is None


def _of_pandas(values, name: str, source: object) -> np.ndarray:
    """Return the values of a Series, an Index or a DataFrame; a NaN among floats is a number like others."""
    if getattr(values, "ndim", 1) == 2:
        columns = [plain(values.iloc[:, i], str(values.columns[i]), source) for i in range(values.shape[1])]
        if len({column.dtype.kind in "biufc" or column.dtype.kind for column in columns}) > 1:  # numbers become text
            odd = next(i for i, column in enumerate(columns) if column.dtype.kind not in "biufc")
            raise ValueError(
                f"{_of(source)}{name} has numbers in some columns, and {columns[odd].dtype} in {values.columns[odd]}: "
                "take the columns of numbers."
            )
        return np.stack(columns, axis=1) if columns else np.empty(values.shape)
    if not isinstance(values.dtype, np.dtype) or values.dtype.kind in "OMm":
        _refuse(np.asarray(values.isna()), name, source, "fillna(-1)")
    return values.to_numpy(dtype=getattr(values.dtype, "numpy_dtype", None))


def _of_objects(values: np.ndarray, name: str, source: object) -> np.ndarray:
    """Return numbers or text that came as Python objects with the type that they have together."""
    if values.ndim == 0:
        raise ValueError(f"{_of(source)}{name} is {values[()]!r}, where an array is expected.")
    missing = [item is None or item is np.ma.masked or type(item).__name__ == "NAType" for item in values.reshape(-1)]
    _refuse(np.array(missing, dtype=bool).reshape(values.shape), name, source, "-1")
    found = np.array(values.tolist()) if len(values) else np.empty(values.shape)
    if found.dtype == object or found.shape != values.shape:
        kinds = sorted({type(item).__name__ for item in values.reshape(-1)})
        kinds = ["integers of more than 64 bits"] if kinds == ["int"] else kinds
        raise ValueError(f"{_of(source)}{name} holds {' and '.join(kinds)}, where numbers or text are expected.")
    return found


def _any_field(masked: np.ndarray) -> np.ndarray:
    return np.any([_any_of_row(masked[field]) for field in masked.dtype.names], axis=0)


def _any_of_row(flags: np.ndarray) -> np.ndarray:
    return flags.any(axis=tuple(range(1, flags.ndim)))


def _refuse(missing: np.ndarray, name: str, source: object, remedy: str) -> None:
    """Raise a ValueError if something of a (N, ...) array is missing."""
    events = np.flatnonzero(_any_of_row(missing)) if missing.ndim else []
    if len(events):
        raise ValueError(
            f"{_of(source)}{name} is missing in {len(events)} of {len(missing)} events, first in event {events[0]}. "
            f"Leave these events out, or put a default there: {remedy}."
        )


def _of(source: object) -> str:
    return f"{source}: " if str(source) else ""


def positive_sum(weights: np.ndarray, what: str) -> float:
    """Return a sum of weights that is above zero by more than rounding.

    Parameters
    ----------
    weights : (N,) array
    what : str
        What errors call them: "the weights of the signal".

    Raises
    ------
    ValueError
        The sum is not positive, or nothing but what rounding leaves of weights that cancel.

    Examples
    --------
    >>> positive_sum(np.array([0.1, 0.2, -0.3]), "the weights")
    Traceback (most recent call last):
        ...
    ValueError: the weights cancel: they add up to 5.6e-17, their absolute values to 0.6. ...
    """
    weights = np.asarray(weights, dtype=np.float64)
    total, size = float(weights.sum()), float(np.abs(weights).sum())
    if size == 0:
        raise ValueError(f"{what} are all zero: there is nothing to divide by.")
    if not without_rounding(total, size):
        raise ValueError(
            f"{what} cancel: they add up to {total:.2g}, their absolute values to {size:.2g}. What is left is "
            f"rounding; take more events, or wider bins."
        )
    if total < 0:
        raise ValueError(f"{what} add up to {total:.3g}, not above zero: too many of them are negative.")
    return total


def without_rounding(sums: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return sums of weights with zero where they cancel, that is where nothing but rounding is left of their sizes.

    Parameters
    ----------
    sums, sizes : array
        Of one shape: sums of weights, and of their absolute values.

    Examples
    --------
    >>> without_rounding(np.array([5.6e-17, 0.2]), np.array([0.6, 0.6])).tolist()
    [0.0, 0.2]
    """
    return np.where(np.abs(sums) <= _CANCELLED * sizes, 0.0, sums)


def checked_weights(weights, n: int | None = None) -> np.ndarray:
    """Return weights as (N,) float64, all of them finite and of a size whose square is a number.

    Parameters
    ----------
    weights : (N,) array
    n : int, optional
        How many there must be.

    Raises
    ------
    ValueError
        No weights, another shape or number, one that is missing, NaN or infinite, or too large or small to be squared.
    """
    weights = numbers(weights, "weights")
    if weights.ndim != 1 or len(weights) == 0:
        raise ValueError(f"weights is a flat array of at least one number, but has shape {weights.shape}.")
    if n is not None and len(weights) != n:
        raise ValueError(f"{n} events but {len(weights)} weights: apply the same selection to both.")
    weights = weights.astype(np.float64, copy=False)
    if not np.isfinite(weights).all():
        bad = np.flatnonzero(~np.isfinite(weights))
        raise ValueError(f"{len(bad)} of {len(weights)} weights are NaN or infinite, the first in event {bad[0]}.")
    largest = np.abs(weights).max()
    if largest and not 1e-100 < largest < 1e100:
        raise ValueError(
            f"the largest weight is {largest:g}: give them in other units, sums of squares would overflow."
        )
    return weights


def binary_labels(
    labels, n: int | None = None, source: object = "", what: str = "labels", start: int = 0
) -> np.ndarray:
    """Return labels as (N,) int64, each known to be 0 or 1.

    Parameters
    ----------
    labels : (N,) array
        Integers, bools, or floats that are 0 or 1.
    n : int, optional
        How many there must be.
    source : str or path-like, optional
        What errors name as their origin.
    what : str
        What errors call them.
    start : int
        The number of the first in its file, from which errors count.

    Raises
    ------
    ValueError
        Another value, NaN among them, another shape, such as one-hot, or another number; or one is missing.

    Examples
    --------
    >>> binary_labels([1.0, 0.0]).tolist()
    [1, 0]
    """
    labels = plain(labels, what, source)
    if labels.ndim != 1 or not isinstance(labels, np.ndarray):
        shape = labels.shape if isinstance(labels, np.ndarray) else f"type {labels.type}"
        hint = " One-hot? Take the column of the signal." if labels.ndim == 2 else ""
        raise ValueError(f"{_of(source)}{what} must be flat, one per event, but have {shape}.{hint}")
    if n is not None and len(labels) != n:
        raise ValueError(f"{_of(source)}{n} events but {len(labels)} {what}: apply the same selection to both.")
    good = np.isin(labels, (0, 1)) if labels.dtype.kind in "biuf" else np.zeros(len(labels), dtype=bool)
    if not good.all():
        first = int(np.argmin(good))
        raise ValueError(
            f"{_of(source)}{what} must be 0 (background) or 1 (signal), but {np.count_nonzero(~good)} of {len(good)} "
            f"are not: event {start + first} has {labels[first].item()!r}."
        )
    return labels.astype(np.int64)
