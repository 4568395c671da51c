"""A trained network as an ONNX file: raw inputs go in, probabilities of named classes come out.

ONNX is the format that experiments' software reads, through ONNX Runtime or as C++ made of it. What is easy to get
wrong far from the training stands inside: default values, scaling, the last activation, the names.
"""

import hashlib
import json
import os
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
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
from coursekit.export.arguments import class_names, mapping, require_scaler
from coursekit.export.graph import OPSET, Graph, first_line
from coursekit.files import replacing
from coursekit.preprocess import Scaler
from coursekit.words import listed, near

#: Jets on which a file is compared at least.
JETS = 1000
#: The largest difference of a probability that is taken for rounding. What is seen is 1e-7.
LIMIT = 1e-5
_ROUNDING = 1e-4  # of a sum of probabilities
_SEAL = "coursekit sha256"  # of everything else in a file
_IR = 8  # the version of the file's format that goes with the operators


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
    sample : array-like, or tuple or list of two
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
        The network is neither of Keras nor of PyTorch, an argument is of another kind, or the settings are nothing for
        JSON.
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
    classes = class_names(classes)
    if scaler is not None:
        require_scaler(scaler)
    inputs, names = _checked_sample(sample, scaler)
    framework = _framework(network)
    metadata = _metadata(_kind(framework, inputs), framework, inputs, names, classes, scaler, settings, units)
    if framework == "torch":
        from coursekit.export import torch_graph as side

        network = side.in_evaluation(network)
    else:
        from coursekit.export import keras_graph as side
    model = _model(side, network, inputs, scaler, metadata)
    with replacing(path) as partial:
        partial.write_bytes(model.SerializeToString())
        _compare(partial, side, network, inputs, scaler)
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
        It is no ONNX file, another program wrote it, or it is not what was compared: damaged, or changed since.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} {'is a folder' if path.is_dir() else 'does not exist'}. Write it with export_onnx."
        )
    try:
        model = onnx.load(path)
        notes = {entry.key: entry.value for entry in model.metadata_props}
        content, seal, found = notes.get("coursekit"), notes.get(_SEAL), _digest(model)
    except Exception as error:  # of protobuf, which has its own
        raise ValueError(f"{path} is not an ONNX file, or damaged. Write it again with export_onnx.") from error
    if content is None:
        writer = f", but by {model.producer_name}" if model.producer_name else ""
        raise ValueError(f"{path} was not written by export_onnx{writer}: it does not say what its inputs are.")
    if seal not in (None, found):
        raise ValueError(f"{path} is damaged, or was changed since export_onnx compared it. Write it again.")
    try:
        return json.loads(content)
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: what it says of its inputs is damaged ({error}). Write it again.") from error


def _checked_sample(sample, scaler: Scaler | None) -> tuple[tuple[np.ndarray, ...], tuple[str, ...]]:
    """Return the inputs of the file, (x,) or (x, counts), and the names of the columns of x."""
    x, *counts = sample if isinstance(sample, tuple | list) and len(sample) == 2 else (sample,)
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
        if len(x) < 2:
            raise ValueError("the jets of the sample are empty: take jets with constituents.")
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
    units, settings = mapping(units, "units", '{"pt": "GeV"}'), mapping(settings, "settings", '{"epochs": 30}')
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
    metadata |= {"settings": settings, "compared": {"jets": len(inputs[-1]), "limit": LIMIT}}
    metadata["versions"] = versions | {name: sys.modules[name].__version__ for name in packages}
    try:  # what has a method tolist is a number or an array of NumPy
        return json.loads(json.dumps(metadata, default=lambda value: value.tolist(), allow_nan=False))
    except (AttributeError, TypeError, ValueError) as error:
        raise TypeError(
            f"the settings hold what JSON does not know ({error}): take numbers, text, lists, dicts."
        ) from None


def _backend(framework: str) -> list[str]:
    if framework == "torch":
        return ["torch"]
    import keras

    return ["keras", keras.backend.backend()]


def _model(side, network, inputs, scaler: Scaler | None, metadata: dict) -> onnx.ModelProto:
    """Return the whole graph: scaler, network, end."""
    graph = Graph()
    scaled = graph.add_scaler("x", scaler) if scaler else "x"
    probabilities, guard = side.add(graph, scaled, network, _scaled(inputs, scaler))
    graph.add("Add", probabilities, guard, output="probabilities")
    classes, jets = metadata["classes"], _taken(inputs, [*range(7)])
    if (n := side.probabilities_of(network, *_scaled(jets, scaler)).shape[1]) != len(classes):
        raise ValueError(f"classes has the {len(classes)} names {', '.join(classes)}, but the network tells {n} apart.")
    starts = [("x", onnx.TensorProto.FLOAT, ["T" if len(inputs) == 2 else "N", *inputs[0].shape[1:]])]
    starts += [("counts", onnx.TensorProto.INT64, ["N"])] if len(inputs) == 2 else []
    end = helper.make_tensor_value_info("probabilities", onnx.TensorProto.FLOAT, ["N", len(classes)])
    starts = [helper.make_tensor_value_info(*start) for start in starts]
    model = helper.make_model(
        helper.make_graph(graph.nodes, "tagger", starts, [end], graph.constants),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=_IR,
        producer_name="coursekit",
        producer_version=__version__,
    )
    helper.set_model_props(model, {"coursekit": json.dumps(metadata)})
    model.metadata_props.add(key=_SEAL, value=_digest(model))
    return model


def _digest(model: onnx.ModelProto) -> str:
    """Return the SHA-256 of a model without its seal."""
    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    del bare.metadata_props[:]
    bare.metadata_props.extend(entry for entry in model.metadata_props if entry.key != _SEAL)
    return hashlib.sha256(bare.SerializeToString(deterministic=True)).hexdigest()


def _scaled(inputs: tuple[np.ndarray, ...], scaler: Scaler | None) -> tuple[np.ndarray, ...]:
    x, *counts = inputs
    if scaler is not None:
        x = scaler.transform(x) if len(x) else np.zeros((0, len(scaler.outputs)), dtype=np.float32)
    return (x, *counts)


def _taken(inputs: tuple[np.ndarray, ...], jets: list[int]) -> tuple[np.ndarray, ...]:
    """Return the inputs of some of the jets."""
    if len(inputs) == 1:
        return (inputs[0][jets],)
    x, counts = inputs
    first = np.cumsum(counts) - counts
    rows = [np.arange(first[jet], first[jet] + counts[jet]) for jet in jets]
    return x[np.concatenate(rows)], counts[jets]


def _compare(path: Path, side, network, inputs, scaler: Scaler | None) -> None:
    """Raise ValueError if ONNX Runtime does not know a file, or gives other probabilities with it than the network."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1  # errors are raised, and need not be printed, too
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # a dozen kinds, without a common one
        raise ValueError(f"ONNX Runtime {onnxruntime.__version__} refuses the network: {first_line(error)}") from error
    for what, part in _parts(inputs, scaler):
        got = _run(session, part, what)
        expected = side.probabilities_of(network, *_scaled(part, scaler))
        if (bad := ~np.isfinite(expected).all(axis=1)).any():
            empty = len(part) == 2 and not part[1][bad].any()
            hint = "what it does with a jet without constituents" if empty else "NaN in its parameters"
            raise ValueError(f"the network gives NaN for {bad.sum()} of {what}: look for {hint}.")
        if not (np.abs(expected.sum(axis=1) - 1) < _ROUNDING).all() or expected.min() < 0:
            raise ValueError(
                f"the network is not a classifier: what it gives for {what} does not add up to 1. Let it end in a "
                "softmax, or in a sigmoid of one unit."
            )
        difference = np.abs(got - expected).max() if got.shape == expected.shape else np.inf
        if np.isnan(difference):
            small = "; PyTorch's exporter leaves out what is added if it is below 1e-8: take clamp(min=1e-9) instead"
            raise ValueError(f"the file gives NaN for {what}, and the network does not{small * (len(part) == 2)}.")
        if not difference <= LIMIT:
            raise ValueError(
                f"ONNX Runtime and the network disagree for {what}: probabilities differ by up to {difference:.2g}, "
                f"and more than {LIMIT:g} is no rounding. No file is written."
            )


def _parts(inputs: tuple[np.ndarray, ...], scaler: Scaler | None) -> Iterator[tuple[str, tuple[np.ndarray, ...]]]:
    """Yield what is compared: all jets, other numbers of them, an empty one, and each default value."""
    n_jets = len(inputs[-1])
    yield f"{n_jets} jets", inputs
    seven = _taken(inputs, [*range(n_jets - 7, n_jets)])
    yield "7 jets", seven
    for jet in range(3):
        yield f"jet {jet}, alone", _taken(inputs, [jet])
    if len(inputs) == 2:
        x, counts = seven
        yield "7 jets with an empty one between them", (x, np.insert(counts, 3, 0))
        yield "1 empty jet, alone", (x[:0], np.zeros(1, dtype=np.int64))
    for name, value in (scaler.defaults if scaler else {}).items():
        x = seven[0].copy()
        x[:, scaler.inputs.index(name)] = value
        yield f"7 jets whose {name} is its default", (x, *seven[1:])


def _run(session, part: tuple[np.ndarray, ...], what: str) -> np.ndarray:
    try:
        return session.run(None, dict(zip(("x", "counts"), part, strict=False)))[0]
    except Exception as error:
        raise ValueError(f"ONNX Runtime cannot calculate {what}: {first_line(error)}") from error
