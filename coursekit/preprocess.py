"""What happens to inputs and weights between the file and the network: scaling, mean-one weights, reweighting.

Everything here is fitted on training events only, and applied unchanged to all others.
"""

import difflib
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np


@dataclass(frozen=True, eq=False)
class Scaler:
    """Bring each input to mean 0 and standard deviation 1, and remember how.

    x' = (x + offset) scale, with offset = -mean and scale = 1 / (standard deviation): the convention of lwtnn, so that
    the numbers stored here are those that a C++ framework applies later. A default value, which marks a missing input,
    is kept out of the fit and becomes exactly 0, the mean: it neither shifts the scale of the real values nor stands
    out as an extreme. A framework that knows no defaults gets the same from a missing input set to -offset.

    Attributes
    ----------
    inputs : tuple of str
        Names of the F inputs, in the order of the table's columns.
    offset, scale : numpy.ndarray
        (F,), float64, in the unit of the input and its inverse.
    defaults : dict of str to float
        The value that stands for "missing", for those inputs that have one.

    References
    ----------
    lwtnn, https://github.com/lwtnn/lwtnn, the variables file of the converters.

    Examples
    --------
    >>> table = np.array([[1.0, 10.0], [3.0, -1.0], [5.0, 30.0]])
    >>> scaler = Scaler.fit(table, ["mth", "ptTOT_cut"], defaults={"ptTOT_cut": -1})
    >>> scaler.offset
    array([ -3., -20.])
    >>> scaler.transform(table)
    array([[-1.2247449, -1.       ],
           [ 0.       ,  0.       ],
           [ 1.2247449,  1.       ]], dtype=float32)
    """

    inputs: tuple[str, ...]
    offset: np.ndarray
    scale: np.ndarray
    defaults: dict[str, float]

    @classmethod
    def fit(
        cls,
        table: np.ndarray,
        inputs: Sequence[str],
        weights: np.ndarray | None = None,
        defaults: Mapping[str, float] | None = None,
    ) -> "Scaler":
        """Measure offset and scale on training events.

        mean = sum_i w_i x_i / sum_i w_i and variance = sum_i w_i (x_i - mean)^2 / sum_i w_i, in float64.

        Parameters
        ----------
        table : numpy.ndarray
            (N, F), any unit, any numeric dtype: the training events and no others.
        inputs : sequence of str
            Names of the F columns.
        weights : numpy.ndarray, optional
            (N,), not negative; all events count alike if not given.
        defaults : mapping of str to float, optional
            For inputs that may be missing, the value that says so.

        Returns
        -------
        Scaler

        Raises
        ------
        KeyError
            A default is given for what is not an input.
        ValueError
            Shapes do not agree, a value is not finite, a weight negative, or an input has only one value.
        """
        inputs, defaults = tuple(inputs), dict(defaults or {})
        if len(set(inputs)) != len(inputs):
            raise ValueError(f"inputs holds a name twice: {', '.join(inputs)}.")
        table = _checked_table(table, inputs)
        weights = np.ones(len(table)) if weights is None else _checked_weights(weights, len(table))
        if (weights < 0).any():
            raise ValueError(
                f"{(weights < 0).sum()} weights are negative, and a variance can then be negative too. "
                f"Fit with np.abs(weights), or without weights."
            )
        for name, value in defaults.items():
            if name not in inputs:
                raise KeyError(f"a default is given for {name}, which is not among the inputs {', '.join(inputs)}.")
            if not math.isfinite(value):
                raise ValueError(f"the default of {name} is {value}: replace it in the table by a finite one first.")
        offset, scale = np.empty(len(inputs)), np.empty(len(inputs))
        for i, name in enumerate(inputs):  # column by column: a float64 copy of all of them may not fit in memory
            used = weights > 0
            if name in defaults:
                used &= ~_equals(table[:, i], defaults[name])
            x, w = table[used, i].astype(np.float64), weights[used]
            if len(x) == 0:
                raise ValueError(f"{name} holds its default value in every event with a weight: leave this input out.")
            if x.min() == x.max():
                raise ValueError(f"{name} is constant ({x[0]:g} in all {len(x)} events used): leave this input out.")
            mean = np.average(x, weights=w)
            offset[i], scale[i] = -mean, 1 / np.sqrt(np.average((x - mean) ** 2, weights=w))
        return cls(inputs, offset, scale, {name: float(value) for name, value in defaults.items()})

    def transform(self, table: np.ndarray) -> np.ndarray:
        """Scale a table: x' = (x + offset) scale, and 0 for a default value.

        Parameters
        ----------
        table : numpy.ndarray
            (N, F), columns in the order of `inputs`, any numeric dtype.

        Returns
        -------
        numpy.ndarray
            (N, F), without unit, float32 (calculated in float64).

        Raises
        ------
        ValueError
            The table has not F columns, or a value is not finite.
        """
        table = _checked_table(table, self.inputs)
        scaled = np.empty(table.shape, dtype=np.float32)
        for i, name in enumerate(self.inputs):
            scaled[:, i] = (table[:, i].astype(np.float64) + self.offset[i]) * self.scale[i]
            if name in self.defaults:
                scaled[_equals(table[:, i], self.defaults[name]), i] = 0
        return scaled

    def inverse(self, scaled: np.ndarray) -> np.ndarray:
        """Undo `transform`: x = x' / scale - offset. What was a default value comes back as the mean.

        Parameters
        ----------
        scaled : numpy.ndarray
            (N, F), columns in the order of `inputs`, any numeric dtype.

        Returns
        -------
        numpy.ndarray
            (N, F), in the units of the inputs, float32 (calculated in float64).

        """
        scaled = _checked_table(scaled, self.inputs)
        table = np.empty(scaled.shape, dtype=np.float32)
        for i in range(len(self.inputs)):
            table[:, i] = scaled[:, i].astype(np.float64) / self.scale[i] - self.offset[i]
        return table

    def save(self, path: str | os.PathLike) -> None:
        """Write the variables file: JSON with order, name, default (null: none), offset and scale of each input."""
        rows = [
            {"order": i, "name": name, "default": self.defaults.get(name), "offset": offset, "scale": scale}
            for i, (name, offset, scale) in enumerate(
                zip(self.inputs, self.offset.tolist(), self.scale.tolist(), strict=True)
            )
        ]
        content = {"convention": "(x + offset) * scale; a default value becomes 0", "inputs": rows}
        path = Path(path)
        partial = path.with_name(f"{path.name}.{os.getpid()}.part")
        try:
            partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: str | os.PathLike, inputs: Sequence[str] | None = None) -> "Scaler":
        """Read a variables file, and refuse it for a table with other columns or another order.

        Parameters
        ----------
        path : str or path-like
            A file that `save` wrote.
        inputs : sequence of str, optional
            The columns of the table to be scaled, compared with those of the file.

        Returns
        -------
        Scaler

        Raises
        ------
        FileNotFoundError
            There is no such file.
        ValueError
            It is not a variables file, or its inputs are not the given ones in the given order.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"{path} does not exist. Fit a Scaler on the training events and save it there.")
        try:
            rows = json.loads(path.read_text(encoding="utf-8"))["inputs"]
            names = tuple(str(row["name"]) for row in rows)
            orders = [row["order"] for row in rows]
            offset = np.array([row["offset"] for row in rows], dtype=np.float64)
            scale = np.array([row["scale"] for row in rows], dtype=np.float64)
            defaults = {row["name"]: float(row["default"]) for row in rows if row["default"] is not None}
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} is not a variables file ({error!r}). Write it with Scaler.save.") from error
        if orders != list(range(len(rows))) or len(set(names)) != len(names):
            raise ValueError(f"{path}: its inputs are numbered {orders}, not 0 to {len(rows) - 1}. Edited by hand?")
        if not (np.isfinite(offset).all() and np.isfinite(scale).all() and (scale > 0).all()):
            raise ValueError(f"{path}: an offset or scale is not finite, or a scale not positive. Edited by hand?")
        if inputs is not None and tuple(inputs) != names:
            raise ValueError(f"{path} is for other inputs. {_difference(names, tuple(inputs))}")
        return cls(names, offset, scale, defaults)


def normalise_weights(
    weights: np.ndarray, negative: Literal["refuse", "keep", "zero", "absolute"] = "refuse"
) -> np.ndarray:
    """Divide weights by their mean, so that the loss of a batch has the same size with and without them.

    w'_i = w_i / ((1/N) sum_j w_j)

    Merge samples of one class first: the factor between them, their cross sections, is then kept.

    Parameters
    ----------
    weights : numpy.ndarray
        (N,), any unit, any numeric dtype.
    negative : {"refuse", "keep", "zero", "absolute"}
        What becomes of negative weights, before the mean is taken. Kept, they are right on average but a batch may sum
        to less than nothing; set to zero or freed of their sign, they are stable and change the distributions.

    Returns
    -------
    numpy.ndarray
        (N,), without unit, mean 1, float64.

    Raises
    ------
    ValueError
        No weights, all of them zero, one not finite, one negative (unless allowed), or their sum not positive.

    Examples
    --------
    >>> normalise_weights(np.array([1.0, 2.0, 3.0]))
    array([0.5, 1. , 1.5])
    """
    weights = _checked_weights(weights)
    if negative not in ("refuse", "keep", "zero", "absolute"):
        raise ValueError(f'negative is {negative!r}: choose "refuse", "keep", "zero" or "absolute".')
    if negative == "refuse" and (weights < 0).any():
        raise ValueError(
            f"{(weights < 0).sum()} of {len(weights)} weights are negative. "
            f'Say what to do with them: negative="keep", "zero" or "absolute".'
        )
    if negative == "zero":
        weights = np.maximum(weights, 0)
    elif negative == "absolute":
        weights = np.abs(weights)
    if not weights.any():
        raise ValueError(f"all {len(weights)} weights are zero: every event failed a cut. Look at each weight factor.")
    mean = weights.mean()
    if mean <= 0:
        raise ValueError(f"the mean weight is {mean:g}, not positive: too many negative weights for a mean of one.")
    return weights / mean


@dataclass(frozen=True, eq=False)
class Reweighting:
    """Factors per bin of (x, y) that give one sample the distribution of another; made by `reweight_2d`.

    Attributes
    ----------
    x_edges, y_edges : numpy.ndarray
        (X + 1,) and (Y + 1,), the bin edges, float64.
    ratios : numpy.ndarray
        (X, Y), the factor of each bin, float64; 0 where the source has no events.
    uncovered : float
        Share of the target's weight that lies in bins without source events, and that no factor can reach.
    """

    x_edges: np.ndarray
    y_edges: np.ndarray
    ratios: np.ndarray
    uncovered: float

    def weights(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Look up the factor of each event, also of events that were not used to make the bins.

        Parameters
        ----------
        x, y : numpy.ndarray
            (N,), in the units of the edges, any numeric dtype.

        Returns
        -------
        numpy.ndarray
            (N,), the factor to multiply onto an event's own weight, float64; 0 outside the edges.

        Raises
        ------
        ValueError
            Unequal lengths, or a value is not finite.
        """
        cell = _cells(x, y, self.x_edges, self.y_edges)
        return np.append(self.ratios.ravel(), 0.0)[cell]


def reweight_2d(
    source_x: np.ndarray,
    source_y: np.ndarray,
    target_x: np.ndarray,
    target_y: np.ndarray,
    bins: tuple[Sequence[float], Sequence[float]],
    source_weights: np.ndarray | None = None,
    target_weights: np.ndarray | None = None,
) -> Reweighting:
    """Find the factors that give the source sample the target's distribution in two variables, (eta, pT) for instance.

    In bin b the factor is r_b = (T_b / sum T) / (S_b / sum S), with S_b and T_b the sums of weights of source and
    target: shapes are compared, and the source keeps its own sum of weights. What the bins cannot describe: where the
    source is empty r_b = 0, and the share of the target that is lost so is reported as `uncovered`; where the target is
    empty r_b = 0, too; events outside the edges are not counted and get 0.

    Parameters
    ----------
    source_x, source_y : numpy.ndarray
        (N,), the sample to be reweighted, any units, any numeric dtype.
    target_x, target_y : numpy.ndarray
        (M,), the sample to be imitated, in the same units.
    bins : tuple of two sequences of float
        Rising bin edges of x and of y. Wide enough that each bin has tens of source events: a factor is as uncertain as
        the counts behind it.
    source_weights, target_weights : numpy.ndarray, optional
        (N,) and (M,); 1 if not given.

    Returns
    -------
    Reweighting
        Its `weights(x, y)` gives the factor of any event, of the training and of the validation sample.

    Raises
    ------
    TypeError
        The bins are numbers instead of edges.
    ValueError
        Unequal lengths, values not finite, edges not rising, a sample without weight inside the edges, or a bin with a
        negative sum of weights.

    Examples
    --------
    >>> source, target = np.array([0.5, 0.5, 0.5, 1.5]), np.array([0.5, 1.5])
    >>> change = reweight_2d(source, source, target, target, bins=([0, 1, 2], [0, 1, 2]))
    >>> change.weights(source, source).round(3)
    array([0.667, 0.667, 0.667, 2.   ])
    """
    if not isinstance(bins, tuple | list) or len(bins) != 2 or any(np.ndim(edges) != 1 for edges in bins):
        raise TypeError("bins is a pair of lists of edges, such as (np.linspace(-2.5, 2.5, 6), [20, 50, 100, 500]).")
    x_edges, y_edges = (np.asarray(edges, dtype=np.float64) for edges in bins)
    for edges in (x_edges, y_edges):
        if len(edges) < 2 or not (np.diff(edges) > 0).all():
            raise ValueError(f"bin edges must rise, and be at least two: {edges.tolist()} came.")
    n_bins = (len(x_edges) - 1) * (len(y_edges) - 1)
    sums = {}
    for name, x, y, weights in [
        ("source", source_x, source_y, source_weights),
        ("target", target_x, target_y, target_weights),
    ]:
        cell = _cells(x, y, x_edges, y_edges)
        weights = np.ones(len(cell)) if weights is None else _checked_weights(weights, len(cell))
        sums[name] = np.bincount(cell, weights, minlength=n_bins + 1)[:n_bins]  # without the cell of those outside
        if (sums[name] < 0).any():
            raise ValueError(f"{(sums[name] < 0).sum()} bins of the {name} have a negative sum of weights: widen them.")
        if not sums[name].any():
            raise ValueError(f"the {name} has no weight inside the bin edges. Same units, same order of x and y?")
    source, target = sums["source"] / sums["source"].sum(), sums["target"] / sums["target"].sum()
    ratios = np.divide(target, source, out=np.zeros(n_bins), where=source > 0)
    shape = (len(x_edges) - 1, len(y_edges) - 1)
    return Reweighting(x_edges, y_edges, ratios.reshape(shape), float(target[source == 0].sum()))


def _cells(x: np.ndarray, y: np.ndarray, x_edges: np.ndarray, y_edges: np.ndarray) -> np.ndarray:
    """Number the bin of each event, as NumPy with the last edge inside; one past the last bin for events outside."""
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(f"x and y are flat arrays of one length, but have shapes {x.shape} and {y.shape}.")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("x or y holds NaN or infinite values: leave these events out first.")
    shape = (len(x_edges) - 1, len(y_edges) - 1)
    i = np.searchsorted(x_edges, x, side="right") - 1
    j = np.searchsorted(y_edges, y, side="right") - 1
    i[x == x_edges[-1]] -= 1
    j[y == y_edges[-1]] -= 1
    inside = (i >= 0) & (i < shape[0]) & (j >= 0) & (j < shape[1])
    return np.where(inside, i * shape[1] + j, shape[0] * shape[1])


def _checked_table(table: np.ndarray, inputs: tuple[str, ...]) -> np.ndarray:
    table = np.asarray(table)
    if table.ndim != 2 or table.shape[1] != len(inputs) or len(table) == 0:
        raise ValueError(
            f"a table of shape (N, {len(inputs)}) is expected, N events by the inputs {', '.join(inputs)}; "
            f"one of shape {table.shape} came."
        )
    if not np.issubdtype(table.dtype, np.floating):
        table = table.astype(np.float64)
    for i, name in enumerate(inputs):
        n_bad = np.count_nonzero(~np.isfinite(table[:, i]))
        if n_bad:
            raise ValueError(
                f"{name} is NaN or infinite in {n_bad} of {len(table)} events. Leave these events out, or replace the "
                f"values by a default such as -1 and name it in `defaults`."
            )
    return table


def _checked_weights(weights: np.ndarray, n: int | None = None) -> np.ndarray:
    weights = np.asarray(weights, dtype=np.float64)
    if weights.ndim != 1 or len(weights) == 0:
        raise ValueError(f"weights is a flat array of at least one number, but has shape {weights.shape}.")
    if n is not None and len(weights) != n:
        raise ValueError(f"{n} events but {len(weights)} weights: apply the same selection to both.")
    if not np.isfinite(weights).all():
        raise ValueError(f"{np.count_nonzero(~np.isfinite(weights))} of {len(weights)} weights are NaN or infinite.")
    return weights


def _equals(column: np.ndarray, default: float) -> np.ndarray:
    """Compare in the column's own precision: -99.9 read as float32 is not -99.9 in float64."""
    return column == column.dtype.type(default)


def _difference(expected: tuple[str, ...], got: tuple[str, ...]) -> str:
    listed = f"The file has {', '.join(expected)}; the table {', '.join(got)}."
    if sorted(expected) == sorted(got):
        return f"{listed} Same names, other order: make the table with to_table(events, scaler.inputs)."
    unknown = next((name for name in got if name not in expected), None)
    close = difflib.get_close_matches(unknown, expected, n=1) if unknown else []
    return f"{listed} {f'For {unknown}, did you mean {close[0]}?' if close else 'Fit a Scaler for these inputs.'}"
