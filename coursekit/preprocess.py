"""What happens to inputs between the file and the network: scaling, fitted on training events only, and weights."""

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from coursekit.arrays import checked_weights, numbers
from coursekit.files import replacing
from coursekit.weights import Reweighting, normalise_weights, reweight_2d, reweight_classes
from coursekit.words import listed, near

__all__ = ["Reweighting", "Scaler", "normalise_weights", "reweight_2d", "reweight_classes"]


@dataclass(frozen=True, eq=False)
class Scaler:
    """Bring each input to mean 0 and standard deviation 1, and remember how.

    x' = (x + offset) scale, with offset = -mean and scale = 1 / (standard deviation): the convention of lwtnn, so that
    the numbers stored here are those that a C++ framework applies later. A default value, which marks a missing input,
    is kept out of the fit and replaced by the mean of the real values, which becomes exactly 0, or by their median: it
    neither shifts the scale of the real values nor stands out as an extreme. That it was there is information, too: a
    check, a column of 0 and 1 behind the inputs, keeps it. A framework that knows no defaults gets the same from a
    missing input set to its fill.

    Attributes
    ----------
    inputs : tuple of str
        Names of the F inputs, in the order of the table's columns.
    offset, scale : numpy.ndarray
        (F,), float64, in the unit of the input and its inverse.
    defaults : dict of str to float
        The value that stands for "missing", for those inputs that have one.
    fills : dict of str to float
        The value that takes its place, in the unit of the input.
    checks : dict of str to str
        For each check the input whose default says that nothing was found; one is enough for a group of inputs that are
        missing together.

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
    >>> checking = Scaler.fit(table, ["mth", "ptTOT_cut"], defaults={"ptTOT_cut": -1}, checks={"no_jets": "ptTOT_cut"})
    >>> checking.outputs, checking.transform(table)[:, 2]
    (('mth', 'ptTOT_cut', 'no_jets'), array([0., 1., 0.], dtype=float32))
    """

    inputs: tuple[str, ...]
    offset: np.ndarray
    scale: np.ndarray
    defaults: dict[str, float]
    fills: dict[str, float]
    checks: dict[str, str]

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the F + C columns that `transform` gives: the inputs, then the checks."""
        return (*self.inputs, *self.checks)

    @classmethod
    def fit(
        cls,
        table: np.ndarray,
        inputs: Sequence[str],
        weights: np.ndarray | None = None,
        defaults: Mapping[str, float] | None = None,
        *,
        fill: Literal["mean", "median"] = "mean",
        checks: Mapping[str, str] | None = None,
    ) -> "Scaler":
        """Measure offset and scale on training events.

        mean = sum_i w_i x_i / sum_i w_i and variance = sum_i w_i (x_i - mean)^2 / sum_i w_i, in float64. Half of the
        sum of weights lies on either side of the median.

        Parameters
        ----------
        table : numpy.ndarray
            (N, F), any unit, any numeric dtype: the training events and no others. A DataFrame must have the columns
            `inputs`, in this order.
        inputs : sequence of str
            Names of the F columns.
        weights : numpy.ndarray, optional
            (N,), not negative; all events count alike if not given.
        defaults : mapping of str to float, optional
            For inputs that may be missing, the value that says so.
        fill : {"mean", "median"}
            What takes its place: the mean or the median of the real values, weighted.
        checks : mapping of str to str, optional
            Names of the columns of 0 and 1 to be added, each with the input that is looked at: 1 where that holds its
            default.

        Returns
        -------
        Scaler

        Raises
        ------
        KeyError
            A default is given for what is not an input, or a check of an input that has none.
        ValueError
            A check has the name of an input or looks at what another one looks at, `fill` is another word, shapes do
            not agree, the columns of a DataFrame are others or in another order, a value is missing, not
            finite or beyond float32, a weight negative, or an input has only one value.
        """
        inputs, defaults = _texts(inputs), {str(name): value for name, value in dict(defaults or {}).items()}
        if len(set(inputs)) != len(inputs) or not inputs:
            raise ValueError(f"inputs holds {'a name twice' if inputs else 'no name'}: {', '.join(inputs)}.")
        table = _checked_table(table, inputs)
        weights = np.ones(len(table)) if weights is None else checked_weights(weights, len(table))
        if (weights < 0).any():
            raise ValueError(
                f"{(weights < 0).sum()} weights are negative, and a variance can then be negative too. "
                f"Fit with np.abs(weights), or without weights."
            )
        if not weights.any():
            raise ValueError(f"all {len(weights)} weights are zero: every event failed a cut. Look at each factor.")
        for name, value in defaults.items():
            if name not in inputs:
                raise KeyError(f"a default is given for {name}, which is not among the inputs {', '.join(inputs)}.")
            if not np.isscalar(value) or isinstance(value, str) or not math.isfinite(value):
                raise ValueError(f"the default of {name} is {value!r}: replace it in the table by a finite one first.")
        if fill not in ("mean", "median"):
            raise ValueError(f'fill is {fill!r}: choose "mean" or "median", of the real values.')
        checks = _checked_checks(checks, inputs, defaults)
        offset, scale, fills = np.empty(len(inputs)), np.empty(len(inputs)), {}
        for i, name in enumerate(inputs):  # column by column: a float64 copy of all of them may not fit in memory
            used = weights > 0
            if name in defaults:
                used &= ~is_default(table[:, i], defaults[name])
            x, w = table[used, i].astype(np.float64), weights[used]
            mean, deviation = _moments(name, x, w)
            offset[i], scale[i] = -mean, 1 / deviation
            if name in defaults:
                fills[name] = float(mean) if fill == "mean" else _median(x, w)
        return cls(inputs, offset, scale, {name: float(value) for name, value in defaults.items()}, fills, checks)

    def transform(self, table: np.ndarray) -> np.ndarray:
        """Scale a table: x' = (x + offset) scale, with the fill for x where it is a default; then look for defaults.

        Parameters
        ----------
        table : numpy.ndarray
            (N, F), columns in the order of `inputs`, any numeric dtype. The columns of a DataFrame are compared.

        Returns
        -------
        numpy.ndarray
            (N, F + C), the columns `outputs`, without unit, float32 (calculated in float64).

        Raises
        ------
        ValueError
            The table has not F columns, a DataFrame has others or in another order, or a value is missing, not finite,
            or beyond float32 when it is scaled.
        """
        table = _checked_table(table, self.inputs)
        scaled = np.empty((len(table), len(self.outputs)), dtype=np.float32)
        for i, name in enumerate(self.inputs):
            x = table[:, i].astype(np.float64)
            if name in self.defaults:
                x[is_default(table[:, i], self.defaults[name])] = self.fills[name]
            with np.errstate(over="ignore"):  # what does not fit becomes infinite, and is refused on the next lines
                scaled[:, i] = (x + self.offset[i]) * self.scale[i]
            n_bad = np.count_nonzero(~np.isfinite(scaled[:, i]))
            if n_bad:
                raise ValueError(
                    f"{name} is beyond float32 when it is scaled, in {n_bad} of {len(table)} events. Is it in the unit "
                    f"of the training?"
                )
        for i, name in enumerate(self.checks.values(), start=len(self.inputs)):
            scaled[:, i] = is_default(table[:, self.inputs.index(name)], self.defaults[name])
        return scaled

    def to_json(self) -> str:
        """Return the variables file: JSON with order, name, default, fill (null: none), offset and scale of each input.

        The checks follow, numbered on from the inputs.
        """
        rows = [
            {"order": i, "name": name, "default": self.defaults.get(name), "fill": self.fills.get(name)}
            | {"offset": float(self.offset[i]), "scale": float(self.scale[i])}
            for i, name in enumerate(self.inputs)
        ]
        checks = [
            {"order": i, "name": name, "input": looked_at}
            for i, (name, looked_at) in enumerate(self.checks.items(), start=len(rows))
        ]
        convention = "(x + offset) * scale, with fill for x where x is default; a check is 1 where its input is default"
        content = {"convention": convention, "inputs": rows, "checks": checks}
        return json.dumps(content, indent=2) + "\n"

    def save(self, path: str | os.PathLike) -> None:
        """Write the variables file, as `to_json` returns it."""
        with replacing(path) as partial:
            partial.write_bytes(self.to_json().encode())

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
            why = "is a folder" if path.is_dir() else "does not exist"
            raise FileNotFoundError(f"{path} {why}. Fit a Scaler on the training events and save it there.")
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            rows, checks = content["inputs"], content.get("checks", [])  # files of old versions have no checks
            names = tuple(row["name"] for row in rows)
            orders = [row["order"] for row in [*rows, *checks]]
            offset, scale = (np.array([float(row[key]) for row in rows]) for key in ("offset", "scale"))
            defaults = {row["name"]: float(row["default"]) for row in rows if row["default"] is not None}
            fills = {row["name"]: float(row["fill"]) for row in rows if row.get("fill") is not None}
            checks = {row["name"]: row["input"] for row in checks}
            if not rows or not all(isinstance(name, str) for name in [*names, *checks, *checks.values()]):
                raise ValueError("no names of inputs")
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
            raise ValueError(f"{path} is not a variables file ({error!r}). Write it with Scaler.save.") from error
        if orders != list(range(len(orders))) or len({*names, *checks}) != len(orders):
            raise ValueError(f"{path}: its columns are numbered {orders}, not 0 to {len(orders) - 1}. Edited by hand?")
        if not set(checks.values()) <= set(defaults) or not set(fills) <= set(defaults):
            raise ValueError(f"{path}: a check or a fill belongs to an input without default. Edited by hand?")
        means = dict(zip(names, (-offset).tolist(), strict=True))  # what files of old versions mean
        fills = {name: fills.get(name, means[name]) for name in defaults}
        numbers = [*offset.tolist(), *scale.tolist(), *defaults.values(), *fills.values()]
        if not (all(map(math.isfinite, numbers)) and (scale > 0).all()):
            raise ValueError(
                f"{path}: an offset, scale, fill or default is not finite, or a scale not positive. Edited by hand?"
            )
        if inputs is not None and (expected := _texts(inputs)) != names:
            raise ValueError(f"{path} is for other inputs. {_difference(names, expected)}")
        return cls(names, offset, scale, defaults, fills, checks)


def _checked_checks(checks: Mapping[str, str] | None, inputs: tuple[str, ...], defaults: dict) -> dict[str, str]:
    """Return checks whose names are new and whose inputs have a default, each looked at once."""
    if checks is not None and not isinstance(checks, Mapping):
        raise TypeError(f'checks maps names to inputs, such as {{"no_vertex": "sv_mass"}}, but {checks!r} came.')
    pairs = [(str(name), str(looked_at)) for name, looked_at in (checks or {}).items()]
    for name, looked_at in pairs:
        if looked_at not in defaults:
            raise KeyError(
                f"the check {name} looks at {looked_at}, which has no default;{near(looked_at, defaults)} inputs with "
                f"a default are {listed(defaults)}."
            )
        if name in inputs:
            raise ValueError(f"the check {name} has the name of an input: give it another, such as no_{name}.")
    for what, values in (("name", [name for name, _ in pairs]), ("input", [looked_at for _, looked_at in pairs])):
        if twice := [value for value in values if values.count(value) > 1]:
            raise ValueError(f"two checks have the {what} {twice[0]}: one column says it all, leave out the other.")
    return dict(pairs)


def _moments(name: str, x: np.ndarray, w: np.ndarray) -> tuple[float, float]:
    """Return mean and standard deviation of an input in the events that are used, (n,) float64."""
    if len(x) == 0:
        raise ValueError(f"{name} holds its default value in every event with a weight: leave this input out.")
    if x.min() == x.max():
        raise ValueError(f"{name} is constant ({x[0]:g} in all {len(x)} events used): leave this input out.")
    mean = np.average(x, weights=w)
    deviation = np.sqrt(np.average((x - mean) ** 2, weights=w))
    if deviation < np.finfo(np.float32).tiny:
        raise ValueError(f"{name} varies by {deviation:.2g} only, too little for float32: take another unit.")
    return mean, deviation


def _median(x: np.ndarray, w: np.ndarray) -> float:
    """Return the value with half of the weight on either side: the middle of two where the half lies between them."""
    order = np.argsort(x)
    below = np.cumsum(w[order])
    places = [np.searchsorted(below, below[-1] / 2, side) for side in ("left", "right")]
    return float(x[order][places].mean())


def _checked_table(table: np.ndarray, inputs: tuple[str, ...]) -> np.ndarray:
    names = _texts(getattr(table, "columns", inputs))
    numbered = _texts(range(len(inputs)))  # by a DataFrame itself, whose columns have no names
    if names != inputs and not (names == numbered and set(names).isdisjoint(inputs)):
        raise ValueError(f"the table has other columns than the scaler. {_difference(inputs, names, 'scaler')}")
    table = numbers(table, "table")
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
        largest = np.abs(table[:, i]).max()
        if largest > np.finfo(np.float32).max:
            raise ValueError(f"{name} reaches {largest:.3g}, beyond float32, in which networks calculate.")
    return table


def _texts(names: Iterable) -> tuple[str, ...]:
    """Return names as text, as the variables file keeps them: pandas also has numbers, and tuples."""
    if isinstance(names, str):
        raise TypeError(f"inputs is a list of names, but the text {names!r} came: write [{names!r}].")
    return tuple(map(str, names))


def is_default(column: np.ndarray, default: float) -> np.ndarray:
    """Compare numbers, (N,), with a default in float32, as networks and their exports do.

    Examples
    --------
    -99.9 read from a file as float32 is -99.9000015:

    >>> is_default(np.array([-99.9, -99.9000015, -99.8]), -99.9)
    array([ True,  True, False])
    """
    with np.errstate(over="ignore"):  # a default that float32 cannot hold is in none of the events
        return numbers(column, "column").astype(np.float32, copy=False) == np.float32(default)


def _difference(expected: tuple[str, ...], got: tuple[str, ...], owner: str = "file") -> str:
    listed = f"The {owner} has {', '.join(expected)}; the table {', '.join(got)}."
    if sorted(expected) == sorted(got):
        take = ", or take frame[list(scaler.inputs)]" if owner == "scaler" else ""
        return f"{listed} Same names, other order: make the table with to_table(events, scaler.inputs){take}."
    unknown = next((name for name in got if name not in expected), "")
    meant = near(unknown, expected)
    return f"{listed} {f'For {unknown},{meant}' if meant else 'Fit a Scaler for these inputs.'}"
