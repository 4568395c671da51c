"""Networks in the JSON of lwtnn, evaluated in NumPy as lwtnn does it: maps from names to numbers in and out."""

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import expit, softmax

from coursekit.arrays import numbers
from coursekit.jets.arrays import sum_by_jet, whole_counts
from coursekit.preprocess import is_default
from coursekit.words import listed, near

#: What stands before the names in `miscellaneous`.
DEFAULT, CHECK = "default of ", "check "
#: lwtnn's activations, functions of the numbers (N, O) and of the parameter alpha.
ACTIVATIONS = {
    "linear": lambda x, alpha: x,
    "rectified": lambda x, alpha: np.maximum(x, 0),
    "sigmoid": lambda x, alpha: expit(x),
    "softmax": lambda x, alpha: softmax(x, axis=1),
    "tanh": lambda x, alpha: np.tanh(x),
    "elu": lambda x, alpha: np.where(x < 0, alpha * np.expm1(np.minimum(x, 0)), x),
    "leakyrelu": lambda x, alpha: np.where(x < 0, alpha * x, x),
    "swish": lambda x, alpha: x * expit(alpha * x),
}


@dataclass(frozen=True, eq=False)
class LwtnnNetwork:
    """A network read from the JSON of lwtnn, in the sequential form, or the graph form of Deep Sets.

    It understands the dense layers, sums and activations that `export_lwtnn` writes; lwtnn itself has more.

    Attributes
    ----------
    inputs : tuple of str
        Names of the inputs, checks included.
    outputs : tuple of str
        Names of the classes; of a network with one output that of the signal.
    of_tracks : bool
        Whether there are many numbers for each input and jet, one for each track.
    offset, scale : numpy.ndarray
        (F,), float64.
    fills : dict of str to float
        What takes the place of NaN, by input. lwtnn calls it default.
    defaults : dict of str to float
        The value of a branch that says "missing", by input.
    checks : dict of str to str
        For each check the input whose default it looks for.
    steps : tuple
        What is calculated: a kernel (I, O), a bias (O,), an activation and its alpha; or None for the sum over tracks.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "network.json"
    >>> layer = {"architecture": "dense", "activation": "sigmoid", "weights": [1.0, 1.0], "bias": [0.0]}
    >>> inputs = [{"name": "d0", "offset": -1.0, "scale": 2.0}, {"name": "z0", "offset": 0.0, "scale": 1.0}]
    >>> content = {"inputs": inputs, "layers": [layer], "outputs": ["b"], "defaults": {"z0": 4.0}}
    >>> _ = path.write_text(json.dumps(content), encoding="utf-8")
    >>> network = LwtnnNetwork.load(path)
    >>> network({"z0": [-2.0, np.nan], "d0": [2.0, -1.0]})["b"].tolist()
    [0.5, 0.5]
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    of_tracks: bool
    offset: np.ndarray
    scale: np.ndarray
    fills: dict[str, float]
    defaults: dict[str, float]
    checks: dict[str, str]
    steps: tuple[tuple[np.ndarray, np.ndarray, str, float] | None, ...]

    @classmethod
    def load(cls, path: str | os.PathLike) -> "LwtnnNetwork":
        """Read a file, and look whether all of it fits together.

        Parameters
        ----------
        path : path-like

        Raises
        ------
        FileNotFoundError
            There is no such file.
        ValueError
            It is no JSON of lwtnn, something in it is missing or does not fit, or it has layers that are unknown here.
        """
        path = Path(path)
        if not path.is_file():
            why = "is a folder" if path.is_dir() else "does not exist"
            raise FileNotFoundError(f"{path} {why}. Write a network there with export_lwtnn.")
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise ValueError(
                f"{path} is no JSON, or was cut off ({error}). Write it anew with export_lwtnn."
            ) from error
        file = str(path)
        is_graph = isinstance(content, dict) and "nodes" in content
        nodes, variables, outputs, of_tracks = (_graph if is_graph else _sequence)(file, content)
        layers = _get(file, content, "layers", list)
        names = [_get(f"{file}: variable {i}", variable, "name", str) for i, variable in enumerate(variables)]
        if not names or len({*names}) != len(names) or not outputs or len({*outputs}) != len(outputs):
            raise ValueError(f"{file}: its inputs or outputs have no names, or one twice: {names} and {outputs}.")
        offset, scale = (
            np.array([_number(f"{file}: the input {name}", v, key) for name, v in zip(names, variables, strict=True)])
            for key in ("offset", "scale")
        )
        fills = content.get("defaults") or {v["name"]: v["default"] for v in variables if "default" in v}
        fills = {name: _number(f"{file}: the defaults", fills, name) for name in fills}
        steps, n = [], len(names)
        for index in nodes:
            steps.append(None if index is None else _step(file, layers, index, n))
            n = n if index is None else len(steps[-1][1])
        if n != len(outputs):
            raise ValueError(f"{file}: its last layer gives {n} numbers, but there are {len(outputs)} outputs.")
        defaults, checks = _notes(file, content.get("miscellaneous", {}), names)
        return cls(tuple(names), tuple(outputs), of_tracks, offset, scale, fills, defaults, checks, tuple(steps))

    def inputs_of(self, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Make the map of inputs from the branches of an ntuple: NaN for each default, and the checks.

        This is what the C++ that calls lwtnn has to do for each jet.

        Parameters
        ----------
        columns : mapping of str to array
            (N,) for each branch, by name: jets, or the tracks of all jets. A DataFrame will do. More than the
            network needs does no harm.

        Returns
        -------
        dict of str to numpy.ndarray
            (N,) float64 for each of `inputs`, in the units of the branches.

        Raises
        ------
        KeyError
            A branch is missing.
        ValueError
            A value is missing, NaN or infinite: that has no check, and the training has seen no such value.
        """
        made = {}
        for name in self.inputs:
            branch = self.checks.get(name, name)
            if branch not in columns:
                raise KeyError(f"there is no branch {branch};{near(branch, columns)} there are {listed(columns)}.")
            values = numbers(columns[branch], branch)
            if values.ndim != 1:
                raise ValueError(f"{branch} is a flat array, one number for each row, but has shape {values.shape}.")
            bad = np.flatnonzero(~np.isfinite(values))
            if len(bad):
                raise ValueError(f"{branch} is NaN or infinite in {len(bad)} of {len(values)} rows, first in {bad[0]}.")
            found = np.zeros(len(values), dtype=bool)
            if branch in self.defaults:
                found = is_default(values, self.defaults[branch])
            made[name] = found.astype(np.float64) if name in self.checks else np.where(found, np.nan, values * 1.0)
        return made

    def scaled(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """Make what the first layer sees of a map of inputs: (x + offset) scale, with the fill for NaN and infinity.

        Parameters
        ----------
        inputs : mapping of str to array
            For each input (N,) numbers. Its order does not matter, and other names do no harm.

        Returns
        -------
        numpy.ndarray
            (N, F) float64, in the order of `inputs`.

        Raises
        ------
        KeyError
            An input is missing.
        ValueError
            An input is NaN or infinite and has no fill (lwtnn would give NaN), or lengths differ.
        """
        columns = [self._column(inputs, name) for name in self.inputs]
        lengths = {name: len(column) for name, column in zip(self.inputs, columns, strict=True)}
        if len({*lengths.values()}) > 1:
            raise ValueError(f"the inputs have different lengths: {lengths}.")
        return (np.column_stack(columns) + self.offset) * self.scale

    def __call__(self, inputs: Mapping[str, np.ndarray], counts: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """Calculate the outputs of N jets, in float64.

        Parameters
        ----------
        inputs : mapping of str to array
            As for `scaled`; of a network of tracks (T,) numbers, those of all jets, one jet after the other.
        counts : (N,) int array, optional
            Numbers of tracks of each jet, if it is a network of tracks. Zero is allowed.

        Returns
        -------
        dict of str to numpy.ndarray
            (N,) float64 for each of `outputs`.

        Raises
        ------
        KeyError, ValueError
            As `scaled`; or `counts` is missing, too much, or does not add up to the tracks.
        """
        if (counts is not None) != self.of_tracks:
            raise ValueError(
                "the network is one of tracks: give the number of tracks of each jet as counts."
                if self.of_tracks
                else "the network is one of jets, without tracks: leave out counts."
            )
        x = self.scaled(inputs)  # (N, F), or (T, F)
        if self.of_tracks:
            counts = whole_counts(counts)
            if counts.sum() != len(x):
                raise ValueError(f"counts add up to {counts.sum()}, but there are {len(x)} tracks.")
        for step in self.steps:
            if step is None:
                x = np.column_stack([sum_by_jet(column, counts) for column in x.T])  # (T, L) -> (N, L)
            else:
                kernel, bias, activation, alpha = step
                x = ACTIVATIONS[activation](x @ kernel + bias, alpha)
        return dict(zip(self.outputs, x.T, strict=True))

    def _column(self, inputs: Mapping[str, np.ndarray], name: str) -> np.ndarray:
        if name not in inputs:
            raise KeyError(f"the input {name} is missing in the map;{near(name, inputs)} there are {listed(inputs)}.")
        values = np.atleast_1d(numbers(inputs[name], name)).astype(np.float64)
        if values.ndim != 1:
            raise ValueError(f"{name} is a flat array, one number for each row, but has shape {values.shape}.")
        bad = ~np.isfinite(values)
        if bad.any() and name not in self.fills:
            raise ValueError(
                f"{name} is NaN or infinite in row {np.argmax(bad)}, and the file has no default to put there. lwtnn "
                "would give NaN."
            )
        return np.where(bad, self.fills.get(name, 0.0), values)


def _get(where: str, content, key: str, kind):
    """Return an entry of what was read, once it is known to be there and of its kind."""
    if not isinstance(content, dict):
        raise ValueError(f"{where} is {type(content).__name__}, where names and values in braces are expected.")
    if key not in content:
        raise ValueError(f"{where} has no {key!r}; it has {listed(content)}. Write the file with export_lwtnn.")
    value = content[key]
    if not isinstance(value, kind) or isinstance(value, bool):
        kind = {list: "a list", dict: "an object", str: "text", int: "a whole number"}.get(kind, str(kind))
        raise ValueError(f"{where}: {key} is {str(value)[:40]!r}, where {kind} is expected.")
    return value


def _number(where: str, content, key: str) -> float:
    value = _get(where, content, key, int | float)
    if not math.isfinite(value):
        raise ValueError(f"{where}: {key} is {value}, no finite number.")
    return float(value)


def _sequence(file: str, content) -> tuple[list, list, list, bool]:
    """Return the order of the layers, the variables, the outputs, and that there are no tracks."""
    layers, variables, outputs = (_get(file, content, key, list) for key in ("layers", "inputs", "outputs"))
    return list(range(len(layers))), variables, outputs, False


def _graph(file: str, content) -> tuple[list, list, list, bool]:
    """Return the layers from the input to the output, None for the sum; the variables; the outputs; and of tracks."""
    nodes, outputs = _get(file, content, "nodes", list), _get(file, content, "outputs", dict)
    if len(outputs) != 1:
        raise ValueError(f"{file} has the outputs {listed(outputs)}: one is expected.")
    end = _get(f"{file}: outputs", outputs, *outputs, dict)
    where = f"{file}: the output {next(iter(outputs))}"
    labels, number, order = _get(where, end, "labels", list), _get(where, end, "node_index", int), []
    for _ in nodes:
        if not 0 <= number < len(nodes):
            raise ValueError(f"{file} has no node {number}, but {len(nodes)}.")
        where, node = f"{file}: node {number}", nodes[number]
        kind, sources = _get(where, node, "type", str), _get(where, node, "sources", list)
        if len(sources) != 1 or not isinstance(sources[0], int):
            raise ValueError(f"{where} has the sources {sources}: the number of one is expected.")
        number = sources[0]
        if kind in ("input", "input_sequence"):
            groups = _get(file, content, f"{kind}s", list)
            if not 0 <= number < len(groups):
                raise ValueError(f"{where} takes input {number} of {len(groups)} {kind}s.")
            if (None in order) != (kind == "input_sequence"):
                raise ValueError(f"{file}: a sum needs an input_sequence, and an input_sequence a sum.")
            variables = _get(f"{file}: {kind}s {number}", groups[number], "variables", list)
            return order[::-1], variables, labels, kind == "input_sequence"
        if kind not in ("sum", "feed_forward", "time_distributed"):
            raise ValueError(f"{where} is {kind}, which is not known here, but to lwtnn perhaps.")
        order.append(None if kind == "sum" else _get(where, node, "layer_index", int))
    raise ValueError(f"{file}: its nodes run in a circle.")


def _step(file: str, layers: list, index: int, n_inputs: int) -> tuple[np.ndarray, np.ndarray, str, float]:
    where = f"{file}: layer {index}"
    if not 0 <= index < len(layers):
        raise ValueError(f"{file} has no layer {index}, but {len(layers)}.")
    if (kind := _get(where, layers[index], "architecture", str)) != "dense":
        raise ValueError(f"{where} is {kind}, which is not known here, but to lwtnn perhaps.")
    activation, alpha = _get(where, layers[index], "activation", str | dict), 1.0
    if isinstance(activation, dict):
        alpha = _number(f"{where}: activation", activation, "alpha")
        activation = _get(f"{where}: activation", activation, "function", str)
    if activation not in ACTIVATIONS:
        raise ValueError(f"{where} has the activation {activation}; known are {', '.join(ACTIVATIONS)}.")
    lists = [_get(where, layers[index], key, list) for key in ("weights", "bias")]
    try:
        weights, bias = (np.array(values, dtype=np.float64) for values in lists)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{where}: its weights or bias are no list of numbers ({error}).") from error
    if not len(bias) or weights.shape != (len(bias) * n_inputs,) or not np.isfinite([*weights, *bias]).all():
        raise ValueError(
            f"{where} has {weights.size} weights and {bias.size} biases for {n_inputs} inputs: {n_inputs} finite "
            "weights are expected for each bias."
        )
    return weights.reshape(len(bias), n_inputs).T, bias, activation, alpha


def _notes(file: str, notes, names: list[str]) -> tuple[dict[str, float], dict[str, str]]:
    """Return the defaults and the checks that `export_lwtnn` writes under miscellaneous."""
    if not isinstance(notes, dict):
        raise ValueError(f"{file}: miscellaneous is {type(notes).__name__}, where names and texts are expected.")
    defaults = {key.removeprefix(DEFAULT): value for key, value in notes.items() if key.startswith(DEFAULT)}
    checks = {key.removeprefix(CHECK): value for key, value in notes.items() if key.startswith(CHECK)}
    try:
        defaults = {name: float(value) for name, value in defaults.items()}
    except (TypeError, ValueError) as error:
        raise ValueError(f"{file}: a default under miscellaneous is no number ({error}).") from error
    if unknown := [name for name in [*defaults, *checks] if name not in names] or [
        name for name in checks.values() if name not in defaults
    ]:
        raise ValueError(f"{file}: miscellaneous speaks of {unknown[0]}, which is no input with a default.")
    return defaults, checks
