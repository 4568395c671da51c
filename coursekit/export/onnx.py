"""A trained network as an ONNX file: raw inputs go in, probabilities of named classes come out.

ONNX is the format that experiments' software reads, through ONNX Runtime or as C++ made of it. What is easy to get
wrong far from the training stands inside: default values, scaling, the last activation, the names.
"""

import importlib.metadata
import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

try:
    import onnx
    import onnxruntime
    from onnx import helper
except ImportError as error:
    raise ImportError(
        f'ONNX files need ONNX and ONNX Runtime, and {error.name} is missing: pip install "coursekit[export]"'
    ) from error

from coursekit import __version__
from coursekit.arrays import numbers
from coursekit.export.graph import Graph, add_keras
from coursekit.files import replacing
from coursekit.preprocess import Scaler
from coursekit.words import listed, near

#: Jets on which a file is compared at least.
JETS = 1000
#: The largest difference of a probability that is taken for rounding. What is seen is 1e-7.
LIMIT = 1e-5
# Read by ONNX Runtime since 1.14, and by SOFIE.
_OPSET, _IR = 18, 8


def export_onnx(
    path: str | os.PathLike,
    network,
    sample,
    *,
    classes: Sequence[str],
    scaler: Scaler | None = None,
    settings: Mapping | None = None,
    units: Mapping[str, str] | None = None,
) -> Path:
    """Write a trained network as an ONNX file, once ONNX Runtime gives the same probabilities with it.

    The file takes the raw inputs `x`, default values included, in float32, any number of jets at a time, and `counts`
    for jets as sets; it gives `probabilities`. A jet with an input that is NaN or infinite gets NaN. What the inputs
    and classes are, the settings and versions stand in the file, too: `describe` reads them.

    Parameters
    ----------
    path : path-like
        Of the file, usually ``.onnx``; one that is there is replaced, or stays if anything is wrong.
    network : keras.Model or torch.nn.Module
        Trained. A Keras one is a chain of layers that ends in a softmax or in a sigmoid of one unit; one of PyTorch
        gives logits (N, K), or (N, 1) for two classes, of (x, counts). It is left as it is, in training mode or not.
    sample : array-like, or tuple of two
        Raw inputs of at least 1000 jets, on which file and network are compared: a table (N, F), pictures (N, H, W, C),
        or for PyTorch ``(x, counts)`` with x (T, F) of all constituents of all jets and counts (N,).
    classes : sequence of str
        Names of the K columns of the probabilities. Of a network with one output the second is the signal.
    scaler : Scaler, optional
        Takes the raw inputs to those of the network. None: the network takes them as they are.
    settings : mapping, optional
        What shall be known of the training; whatever JSON can hold.
    units : mapping of str to str, optional
        Units of inputs, such as ``{"pt": "GeV"}``.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    ImportError
        ONNX, ONNX Runtime or, for PyTorch, ONNX Script is not installed.
    KeyError
        A unit is given for what is not an input.
    TypeError
        The network is neither of Keras nor of PyTorch, or the settings are nothing for JSON.
    ValueError
        The network is no classifier, or has another number of classes or inputs, or holds what the export does not
        know; the sample has fewer than 1000 jets, or not finite ones; ONNX Runtime refuses the file, or disagrees.

    Examples
    --------
    >>> import tempfile
    >>> from coursekit.nets.keras_nets import build_dense
    >>> table = np.random.default_rng(1).normal([20, 0], [5, 2], size=(1000, 2))
    >>> scaler = Scaler.fit(table, ["pt", "eta"])
    >>> path = Path(tempfile.mkdtemp()) / "tagger.onnx"
    >>> path = export_onnx(path, build_dense(2, (8,)), table, classes=["light", "b"], scaler=scaler)
    >>> describe(path)["classes"]
    ['light', 'b']
    """
    classes = _checked_classes(classes)
    inputs, names = _checked_sample(sample, scaler)
    framework = _framework(network)
    kind = _kind(framework, inputs)
    metadata = _metadata(kind, framework, inputs, names, classes, scaler, settings, units)
    model = _model(network, inputs, scaler, classes, metadata)
    with replacing(path) as partial:
        partial.write_bytes(model.SerializeToString())
        _compare(partial, network, inputs, scaler, len(classes))
    return Path(path)


def describe(path: str | os.PathLike) -> dict:
    """Return what `export_onnx` wrote into a file beside the network.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    dict
        ``kind``: "table", "pictures" or "packed"; ``shape`` of a row of x; ``inputs``: for each ``name``, ``unit``,
        ``offset``, ``scale``, ``default`` and ``fill`` (None: there is none); ``checks``: for each ``name`` and the
        ``input`` that it looks at; ``classes``; ``settings``; ``versions`` by package; and ``compared``, the number of
        ``jets`` and the ``limit`` of the difference.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        It is no ONNX file, or another program wrote it.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} {'is a folder' if path.is_dir() else 'does not exist'}. Write it with export_onnx."
        )
    try:
        model = onnx.load(path)
        content = {entry.key: entry.value for entry in model.metadata_props}.get("coursekit")
    except Exception as error:  # of protobuf, which has its own
        raise ValueError(f"{path} is not an ONNX file, or damaged. Write it again with export_onnx.") from error
    if content is None:
        writer = f", but by {model.producer_name}" if model.producer_name else ""
        raise ValueError(f"{path} was not written by export_onnx{writer}: it does not say what its inputs are.")
    try:
        return json.loads(content)
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: what it says of its inputs is damaged ({error}). Write it again.") from error


def _checked_classes(classes: Sequence[str]) -> list[str]:
    if isinstance(classes, str) or not all(isinstance(name, str) and name for name in classes):
        raise TypeError(f"classes is a list of names, but {classes!r} came.")
    if len(classes) < 2 or len({*classes}) != len(classes):
        raise ValueError(
            f"classes holds {'a name twice' if len(classes) > 1 else 'fewer than two'}: {', '.join(classes)}."
        )
    return list(classes)


def _checked_sample(sample, scaler: Scaler | None) -> tuple[tuple[np.ndarray, ...], tuple[str, ...]]:
    """Return the inputs of the file, (x,) or (x, counts), and the names of the columns of x."""
    x, *counts = sample if isinstance(sample, tuple) else (sample,)
    if scaler is not None and hasattr(x, "columns"):
        scaler.transform(x)  # compares the names
    names = tuple(map(str, getattr(x, "columns", ()))) if scaler is None else scaler.inputs
    x = numbers(x, "sample")
    if counts:
        (counts,) = counts
        counts = numbers(counts, "counts")
        if x.ndim != 2 or counts.ndim != 1 or counts.dtype.kind not in "iu" or (counts < 0).any():
            raise ValueError(f"a sample of sets is x (T, F) and whole counts (N,); {x.shape}, {counts.shape} came.")
        if counts.sum() != len(x):
            raise ValueError(f"the counts of the sample add up to {counts.sum()}, but x has {len(x)} rows.")
        counts = [counts.astype(np.int64)]
    if x.ndim not in (2, 4):
        raise ValueError(f"the sample is a table (N, F), pictures (N, H, W, C) or (x, counts); it has shape {x.shape}.")
    n_jets = len(counts[0] if counts else x)
    if n_jets < JETS:
        raise ValueError(f"the sample has {n_jets} jets: take at least {JETS}, so that the comparison means something.")
    with np.errstate(over="ignore"):  # infinite, and refused
        x = np.ascontiguousarray(x, dtype=np.float32)
    bad = np.flatnonzero(~np.isfinite(x.reshape(len(x), -1)).all(axis=1))
    if len(bad):
        raise ValueError(
            f"the sample is NaN, infinite or beyond float32 in {len(bad)} rows, the first is row {bad[0]}."
        )
    if scaler is not None and x.shape[1:] != (len(scaler.inputs),):
        raise ValueError(
            f"the scaler has {len(scaler.inputs)} inputs, {listed(scaler.inputs)}; the sample has the shape {x.shape}."
        )
    if x.ndim == 2 and not names:
        names = tuple(f"x{i}" for i in range(x.shape[1]))
    return (x, *counts), names


def _framework(network) -> str:
    """Return "keras" or "torch"; whoever has a network of one has imported it. With its PyTorch backend it is both."""
    keras, torch = sys.modules.get("keras"), sys.modules.get("torch")
    if keras and isinstance(network, keras.Model):
        return "keras"
    if torch and isinstance(network, torch.nn.Module):
        return "torch"
    raise TypeError(f"the network is a Keras model or a PyTorch module, but {type(network).__name__} came.")


def _kind(framework: str, inputs: tuple[np.ndarray, ...]) -> str:
    kind = "packed" if len(inputs) == 2 else "table" if inputs[0].ndim == 2 else "pictures"
    if (framework == "keras") == (kind == "packed"):
        raise ValueError(
            "a network of PyTorch is exported with the sample (x, counts), one of Keras with a table or pictures; "
            f"a {framework} network came with {'(x, counts)' if kind == 'packed' else f'one array, {inputs[0].shape}'}."
        )
    return kind


def _metadata(kind, framework, inputs, names, classes, scaler, settings, units) -> dict:
    units = dict(units or {})
    for name in units:
        if name not in names:
            raise KeyError(
                f"a unit is given for {name}, which is no input;{near(name, names)} inputs are {listed(names)}."
            )
    rows = [{"name": name, "unit": str(units.get(name, "")), "offset": 0.0, "scale": 1.0} for name in names]
    for i, row in enumerate(rows if scaler else []):
        row |= {"offset": float(scaler.offset[i]), "scale": float(scaler.scale[i])}
    for row in rows:
        row |= {key: getattr(scaler, f"{key}s", {}).get(row["name"]) for key in ("default", "fill")}
    checks = [{"name": name, "input": looked_at} for name, looked_at in (scaler.checks if scaler else {}).items()]
    packages = ["numpy", "onnx", "onnxruntime", *_backend(framework)]
    versions = {"coursekit": __version__, "python": platform.python_version()}
    metadata = {"kind": kind, "shape": inputs[0].shape[1:], "inputs": rows, "checks": checks, "classes": classes}
    metadata |= {"settings": dict(settings or {}), "compared": {"jets": len(inputs[-1]), "limit": LIMIT}}
    metadata["versions"] = versions | {name: importlib.metadata.version(name) for name in packages}
    try:
        return json.loads(json.dumps(metadata, default=lambda value: value.tolist()))  # numbers and arrays of NumPy
    except (AttributeError, TypeError, ValueError) as error:
        raise TypeError(
            f"the settings hold what JSON does not know ({error}): take numbers, text, lists, dicts."
        ) from None


def _backend(framework: str) -> list[str]:
    if framework == "torch":
        return ["torch"]
    import keras

    return ["keras", keras.backend.backend()]


def _model(network, inputs, scaler: Scaler | None, classes: list[str], metadata: dict) -> onnx.ModelProto:
    """Return the whole graph: scaler, network, end."""
    graph = Graph()
    x, *counts = inputs
    scaled = graph.add_scaler("x", scaler) if scaler else "x"
    n_columns = len(scaler.outputs) if scaler else x.shape[1]
    _require_shape(network, (n_columns, *x.shape[2:]))
    probabilities = add_keras(graph, scaled, network)
    graph.add_end(probabilities, "x", list(range(1, x.ndim)))
    if (units := network.output_shape[-1]) != len(classes) and (units, len(classes)) != (1, 2):
        raise ValueError(f"{len(classes)} classes, {', '.join(classes)}, but the network gives {units} numbers.")
    kinds = [("x", onnx.TensorProto.FLOAT, ["T" if counts else "N", *x.shape[1:]])]
    kinds += [("counts", onnx.TensorProto.INT64, ["N"])] if counts else []
    end = helper.make_tensor_value_info("probabilities", onnx.TensorProto.FLOAT, ["N", len(classes)])
    starts = [helper.make_tensor_value_info(*kind) for kind in kinds]
    model = helper.make_model(
        helper.make_graph(graph.nodes, "tagger", starts, [end], graph.constants),
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR,
        producer_name="coursekit",
        producer_version=__version__,
    )
    helper.set_model_props(model, {"coursekit": json.dumps(metadata)})
    return model


def _require_shape(network, shape: tuple[int, ...]) -> None:
    expected = tuple(network.input_shape[1:]) if getattr(network, "inputs", None) else shape
    if len(expected) != len(shape) or any(n not in (None, m) for n, m in zip(expected, shape, strict=True)):
        raise ValueError(
            f"the network takes {_named(expected)}, but the sample and the scaler give {_named(shape)}. Is this the "
            "scaler of the training?"
        )


def _named(shape: tuple) -> str:
    return f"{shape[0]} inputs" if len(shape) == 1 else f"pictures {shape}"


def _compare(path: Path, network, inputs, scaler: Scaler | None, n_classes: int) -> None:
    """Raise ValueError if ONNX Runtime does not know a file, or gives other probabilities with it than the network."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1  # errors are raised, and said once
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # a dozen kinds, without a common one
        raise ValueError(f"ONNX Runtime {onnxruntime.__version__} refuses the network: {_first(error)}") from error
    for what, part in _parts(inputs, scaler):
        got = _run(session, part, what)
        expected = _of_keras(network, part[0] if scaler is None else scaler.transform(part[0]))
        if not np.isfinite(expected).all():
            raise ValueError(f"the network gives NaN for {what}: look for NaN in its parameters.")
        difference = np.abs(got - expected).max() if got.shape == expected.shape else np.inf
        if not difference <= LIMIT:
            raise ValueError(
                f"ONNX Runtime and the network disagree for {what}: probabilities differ by up to {difference:.2g}, "
                f"and more than {LIMIT:g} is no rounding. No file is written."
            )
    x = inputs[0][:7].copy()
    x[3].flat[0] = np.nan
    if not (np.isnan(_run(session, (x,), "NaN")).all(axis=1) == np.isnan(x).reshape(7, -1).any(axis=1)).all():
        raise ValueError("an input that is NaN does not give NaN with ONNX Runtime. No file is written.")


def _run(session, part, what) -> np.ndarray:
    try:
        return session.run(None, dict(zip(("x", "counts"), part, strict=False)))[0]
    except Exception as error:
        raise ValueError(f"ONNX Runtime can't calculate {what}: {_first(error)}") from error


def _first(error: Exception) -> str:
    return str(error).strip().splitlines()[0]


def _parts(inputs, scaler: Scaler | None):
    """Yield what is compared: all jets, other numbers of them, and each default value."""
    x = inputs[0]
    yield f"{len(x)} jets", inputs
    yield "7 jets", (x[:7],)
    for i in range(3):
        yield f"the single jet {i}", (x[i : i + 1],)
    defaults = scaler.defaults if scaler else {}
    for name, value in defaults.items():
        marked = x[:7].copy()
        marked[:, scaler.inputs.index(name)] = value
        yield f"jets whose {name} is the default {value:g}", (marked,)


def _of_keras(network, x: np.ndarray) -> np.ndarray:
    import keras

    parts = np.array_split(x, range(JETS, len(x), JETS))
    y = np.concatenate([keras.ops.convert_to_numpy(network(part, training=False)) for part in parts]).astype(np.float64)
    return np.concatenate([1 - y, y], axis=1) if y.shape[1:] == (1,) else y
