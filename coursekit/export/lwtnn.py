"""The JSON of lwtnn, which the C++ of experiments reads: written from a network and its scaler, and evaluated in NumPy.

lwtnn's own converters know Keras 1 and 2. The schema is what ``src/parse_json.cxx`` of lwtnn 2 parses, looked up in its
sources about release 2.13. It has two forms:

- Dense networks are written in the sequential one: ``inputs`` with name, offset and scale, ``layers``, ``outputs`` and
  ``defaults``. ``lwt::LightweightNeuralNetwork`` reads it, as in ATLAS' BoostedJetTaggers and in CMS'
  DeepFlavourJetTagsProducer; ``converters/sequential2graph.py`` of lwtnn makes the other form of it.
- Deep Sets need the graph form of ``lwt::LightweightGraph``, which ATLAS' FlavorTagDiscriminants read. Its ``nodes``
  say which layer takes what: an ``input_sequence`` called tracks, ``time_distributed`` layers for each of them, their
  ``sum``, and ``feed_forward`` layers for the jet.

lwtnn takes a map from names to numbers, in which the order does not matter and names that it does not know do no harm;
it computes (x + offset) scale and the layers in double precision, and gives a map from the classes to probabilities::

    lwt::JSONConfig config = lwt::parse_json(file);                             // once for all jets
    lwt::LightweightNeuralNetwork network(config.inputs, config.layers, config.outputs);
    lwt::NanReplacer replacer(config.defaults, lwt::rep::all);
    std::map<std::string, double> inputs = ...;                                 // for each jet
    double p_b = network.compute(replacer.replace(inputs)).at("b");

What makes the inputs of a jet has to know three things:

- Where a branch holds its default, -90 say, the map holds NaN. Which value that is stands in the file under
  ``miscellaneous``, as ``default of NAME``; lwtnn itself makes no use of it.
- `Scaler`'s checks are inputs too: 1 where the branch of ``check NAME`` holds its default, 0 elsewhere.
- What lwtnn calls the default of an input is the fill of the scaler, and the `NanReplacer` puts it in the place of NaN.
  It does so for one jet; in a sequence of tracks nothing does, so put the ``default`` of the variable there yourself.

`LwtnnNetwork.inputs_of` does the first two and calling a `LwtnnNetwork` the third, as a model for C++.

References
----------
D. H. Guest et al., lwtnn, doi:10.5281/zenodo.597221, https://github.com/lwtnn/lwtnn (src/parse_json.cxx,
src/NanReplacer.cxx, include/lwtnn/generic/Stack.tcc and Graph.tcc).
"""

import copy
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.special import expit, softmax

import coursekit
from coursekit.arrays import numbers
from coursekit.export.arguments import class_names, require_scaler
from coursekit.export.layers import Dense, dense_layers
from coursekit.export.lwtnn_network import CHECK, DEFAULT, LwtnnNetwork
from coursekit.files import replacing
from coursekit.jets.arrays import whole_counts
from coursekit.preprocess import Scaler
from coursekit.words import listed

#: The largest difference between a file and its network, and the jets on which it is looked for.
TOLERANCE, N_COMPARED = 1e-6, 1000
#: lwtnn's names of activations, by those of Keras.
_ACTIVATIONS = {"linear": "linear", "relu": "rectified", "sigmoid": "sigmoid", "softmax": "softmax", "tanh": "tanh"}
_ACTIVATIONS |= {"elu": "elu", "leaky_relu": "leakyrelu", "silu": "swish"}


def export_lwtnn(
    path: str | os.PathLike,
    network,
    sample: np.ndarray | tuple[np.ndarray, np.ndarray],
    *,
    classes: Sequence[str],
    scaler: Scaler,
) -> Path:
    """Write a network with its scaler as lwtnn reads it; the file has its name once it was read again and compared.

    Compared to 1e-6 in double precision, in which lwtnn calculates, network and all: nothing that is wrong can hide
    behind rounding. In float32, a network whose weights are large differs from itself by more.

    Parameters
    ----------
    path : path-like
        The file to be written, such as ``"flavour.json"``.
    network : keras.Model or coursekit.nets.deepsets.DeepSets
        A dense Keras network that ends in a softmax, or in a sigmoid of one unit; or Deep Sets that sum, whose outputs
        get the softmax, or the sigmoid, here.
    sample : (N, F) array, or tuple or list of a (T, F) array and counts (N,)
        Raw inputs of N >= 1000 jets in the order of `scaler.inputs`, defaults included, in the units of the training:
        one row a jet, or for Deep Sets one row a track and the tracks of each jet.
    classes : sequence of str
        Names of the K outputs, in the order of the labels. A network with one output has two classes, background and
        signal, and the file one output with the name of the second.
    scaler : Scaler
        What made the inputs of the training.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    TypeError
        The network is of a kind that lwtnn has not, or an argument of another kind.
    ValueError
        A layer, an activation or a pooling that lwtnn has not; a network that is no classifier, or one for other inputs
        than those of the scaler, or other classes; too few jets; a name that a C++ program could mistake. Or the file
        gives other numbers than the network.

    Examples
    --------
    >>> import tempfile, torch
    >>> from coursekit.nets.deepsets import DeepSets
    >>> tracks, counts = np.random.default_rng(1).normal(size=(5000, 2)), np.full(1000, 5)
    >>> scaler = Scaler.fit(tracks, ["d0_significance", "pt_fraction"])
    >>> path = Path(tempfile.mkdtemp()) / "tracks.json"
    >>> classes = ["light", "c", "b"]
    >>> file = export_lwtnn(path, DeepSets(2, n_outputs=3), (tracks, counts), classes=classes, scaler=scaler)
    >>> LwtnnNetwork.load(file).outputs
    ('light', 'c', 'b')
    """
    require_scaler(scaler)
    x, counts = sample if isinstance(sample, tuple | list) and len(sample) == 2 else (sample, None)
    n_jets = len(numbers(x, "sample") if counts is None else whole_counts(counts))
    if n_jets < N_COMPARED:
        raise ValueError(f"the sample has {n_jets} jets: at least {N_COMPARED} are needed to compare file and network.")
    scaled = scaler.transform(x)
    tracks, jet = _layers(network, counts is not None)
    outputs = _outputs(classes, jet[-1].kernel.shape[1])
    n_inputs = (tracks or jet)[0].kernel.shape[0]
    if n_inputs != scaled.shape[1]:
        raise ValueError(
            f"the network takes {n_inputs} inputs and the scaler makes {scaled.shape[1]}, {listed(scaler.outputs)}: "
            "one of them is of another training."
        )
    _require_names(scaler.outputs, "input")
    content = _content(tracks, jet, scaler, outputs)
    with replacing(path) as partial:
        partial.write_text(_text(content), encoding="utf-8")
        columns = dict(zip(scaler.inputs, numbers(x, "sample").T, strict=True))
        _compare(path, LwtnnNetwork.load(partial), network, columns, counts, scaled)
    return Path(path)


def _compare(
    path, written: LwtnnNetwork, network, columns: dict, counts: np.ndarray | None, scaled: np.ndarray
) -> None:
    """Raise ValueError if a file scales other than the scaler, or gives other probabilities than the network."""
    inputs = written.inputs_of(columns)
    in_double = written.scaled(inputs)
    if not np.allclose(in_double, scaled, rtol=TOLERANCE, atol=TOLERANCE):
        raise ValueError(
            f"{path} is not written: its inputs are scaled by up to {np.abs(in_double - scaled).max():.2g} off."
        )
    found = np.column_stack(list(written(inputs, counts).values()))
    expected = _in_double(network, in_double, counts)
    difference = np.abs(found - expected).max(axis=1)
    if not difference.max() < TOLERANCE:  # NaN is not
        worst = int(np.argmax(difference))
        raise ValueError(
            f"{path} is not written: it gives {found[worst].round(7).tolist()} for jet {worst} of the sample, and the "
            f"network {expected[worst].round(7).tolist()}."
        )


def _layers(network, has_counts: bool) -> tuple[list[Dense], list[Dense]]:
    """Return the layers for a track (none for a table) and those for the jet; the last is a softmax or a sigmoid."""
    kind = type(network).__name__
    is_keras = hasattr(network, "get_config") and hasattr(network, "layers")
    if not is_keras and kind != "DeepSets":
        why = {"EnergyFlow": "; lwtnn has no sum with the momenta as weights"}.get(kind, "")
        raise TypeError(f"a Keras model of dense layers or DeepSets is expected, but {kind} came{why}.")
    if is_keras == has_counts:
        wanted = "one array, (N, F)" if is_keras else "a tuple, tracks (T, F) and counts (N,)"
        raise ValueError(f"the sample of a network of the kind {kind} is {wanted}.")
    if is_keras:
        tracks, jet = [], dense_layers(network)
        end = jet[-1].activation if jet else "no layer"
        if end != ("sigmoid" if jet and jet[-1].kernel.shape[1] == 1 else "softmax"):
            raise ValueError(
                f"the network is not a classifier: it ends in {end}. One that ends in a softmax, or in a sigmoid of "
                "one unit, gives probabilities."
            )
    else:
        if network.pooling != "sum":
            raise ValueError(f'the pooling of the network is {network.pooling!r}: lwtnn has "sum" alone.')
        tracks, jet = dense_layers(network.phi), dense_layers(network.rho)
        jet[-1] = jet[-1]._replace(activation="sigmoid" if jet[-1].kernel.shape[1] == 1 else "softmax")
    for number, layer in enumerate([*tracks, *jet]):
        if layer.activation not in _ACTIVATIONS:
            another = ", or one of another definition: its own is x/5 + 1/2" * (layer.activation == "hard_sigmoid")
            raise ValueError(
                f"lwtnn has no activation {layer.activation}{another}. It has {', '.join(_ACTIVATIONS)}, by their "
                "Keras names."
            )
        if not all(np.isfinite(values).all() for values in (layer.kernel, layer.bias)):
            raise ValueError(f"the parameters of layer {number} are not all finite: the training has diverged.")
    return tracks, jet


def _outputs(classes: Sequence[str], n_outputs: int) -> list[str]:
    classes = class_names(classes)
    if len(classes) != max(2, n_outputs):
        raise ValueError(
            f"{len(classes)} classes for a network with {n_outputs} output{'s' * (n_outputs > 1)}: name "
            f"{max(2, n_outputs)}, in the order of the labels."
        )
    _require_names(classes, "class")
    return classes[-n_outputs:]


def _require_names(names: Sequence[str], what: str) -> None:
    for i, name in enumerate(names):
        if not isinstance(name, str) or not re.fullmatch(r"[!#-\[\]-~]+", name):
            raise ValueError(
                f"the name {name!r} of {what} {i} may be mistaken in C++: take letters, digits and signs of ASCII, "
                "without blanks, quotation marks and backslashes."
            )
        if name in names[:i]:
            raise ValueError(f"two have the name {name} of a {what}: in a map of names one would overwrite the other.")


def _content(tracks: list[Dense], jet: list[Dense], scaler: Scaler, outputs: list[str]) -> dict:
    """Return what the file holds: the graph form if there are layers for tracks, else the sequential one."""
    n_checks = len(scaler.checks)
    variables = [
        {"name": name, "offset": offset, "scale": scale}
        for name, offset, scale in zip(
            scaler.outputs,
            [*scaler.offset.tolist(), *[0.0] * n_checks],
            [*scaler.scale.tolist(), *[1.0] * n_checks],
            strict=True,
        )
    ]
    layers = [_layer(layer) for layer in [*tracks, *jet]]
    defaults = {DEFAULT + name: repr(value) for name, value in scaler.defaults.items()}
    checks = {CHECK + name: looked_at for name, looked_at in scaler.checks.items()}
    miscellaneous = {"written by": f"coursekit {coursekit.__version__}"} | defaults | checks
    if not tracks:
        end = {"outputs": outputs, "defaults": scaler.fills, "miscellaneous": miscellaneous}
        return {"inputs": variables, "layers": layers} | end
    for variable in variables:
        if variable["name"] in scaler.fills:
            variable["default"] = scaler.fills[variable["name"]]
    nodes = [{"type": "input_sequence", "size": len(variables), "sources": [0]}]
    nodes += [{"type": "time_distributed", "layer_index": i, "sources": [i]} for i in range(len(tracks))]
    nodes += [{"type": "sum", "sources": [len(tracks)]}]
    nodes += [{"type": "feed_forward", "layer_index": i, "sources": [i + 1]} for i in range(len(tracks), len(layers))]
    return {
        "inputs": [],
        "input_sequences": [{"name": "tracks", "variables": variables}],
        "nodes": nodes,
        "layers": layers,
        "outputs": {"classes": {"labels": outputs, "node_index": len(nodes) - 1}},
        "miscellaneous": miscellaneous,
    }


def _layer(layer: Dense) -> dict:
    name = _ACTIVATIONS[layer.activation]
    alpha = 1.0 if name == "swish" else layer.slope
    return {
        "architecture": "dense",
        "activation": {"function": name, "alpha": alpha} if name in ("elu", "leakyrelu", "swish") else name,
        "weights": layer.kernel.T.ravel().tolist(),  # row by row of the matrix that lwtnn multiplies a column with
        "bias": layer.bias.tolist(),
    }


def _text(content: dict) -> str:
    """Return JSON with one line for each variable, node and layer."""
    parts = []
    for key, value in content.items():
        lines = ",\n  ".join(json.dumps(item, allow_nan=False) for item in value) if isinstance(value, list) else ""
        parts.append(f'"{key}": ' + (f"[\n  {lines}\n]" if lines else json.dumps(value, allow_nan=False)))
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _in_double(network, scaled: np.ndarray, counts: np.ndarray | None) -> np.ndarray:
    """Return the probabilities that the network itself gives in float64, (N, K), or (N, 1) by a sigmoid."""
    if counts is None:
        import keras

        double = keras.models.clone_model(
            network, clone_function=lambda layer: type(layer).from_config(layer.get_config() | {"dtype": "float64"})
        )
        double.set_weights(network.get_weights())
        return np.asarray(keras.ops.convert_to_numpy(double(scaled, training=False)))
    import torch

    with torch.no_grad():
        double = copy.deepcopy(network).cpu().double().eval()
        logits = double(torch.from_numpy(scaled), torch.from_numpy(whole_counts(counts))).numpy()
    return expit(logits) if logits.shape[1] == 1 else softmax(logits, axis=1)
