"""ONNX graphs, written operator by operator: what stands in front of a network, dense and convolutional ones, the end.

Written by hand, because Keras' own exporter makes the constants of a scaling required inputs, or fixes the number of
jets. Only plain operators of long standing occur, which other readers of ONNX know, too.
"""

from collections.abc import Callable

import numpy as np
import onnx
from onnx import helper, numpy_helper

from coursekit.export.layers import keras_chain
from coursekit.preprocess import Scaler


class Graph:
    """The operators of a graph in the order of calculation, and its constants; values are known by their names."""

    def __init__(self):
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, values) -> str:
        """Add a constant and return its name: integers as int64, other numbers as float32."""
        values = np.asarray(values)
        values = values.astype(np.int64 if values.dtype.kind == "i" else np.float32)
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), f"constant_{len(self.constants)}"))
        return self.constants[-1].name

    def add(self, operator: str, *inputs, output: str = "", **attributes) -> str:
        """Add an operator and return the name of its result; inputs are names, or numbers that become constants."""
        names = [value if isinstance(value, str) else self.constant(value) for value in inputs]
        output = output or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, names, [output], name=f"node_{len(self.nodes)}", **attributes))
        return output

    def add_scaler(self, x: str, scaler: Scaler) -> str:
        """Add what `Scaler.transform` does: (N, F) raw -> (N, F + C) scaled, with fills, and the checks behind.

        The offset is added in two parts, of which the first is a float32: where they nearly cancel, as in 173.1 - 173,
        the difference is exact, and float32 is as good as the float64 of the scaler.
        """
        offset = scaler.offset.astype(np.float32)
        rest = scaler.offset - offset
        scaled = self.add("Mul", self.add("Add", self.add("Add", x, offset), rest), scaler.scale)
        if not scaler.defaults:
            return scaled
        default = np.array([scaler.defaults.get(name, np.nan) for name in scaler.inputs])  # nothing is equal to NaN
        fill = (np.array([scaler.fills.get(name, 0.0) for name in scaler.inputs]) + scaler.offset) * scaler.scale
        missing = self.add("Equal", x, default)
        scaled = self.add("Where", missing, fill, scaled)
        if not scaler.checks:
            return scaled
        looked_at = np.array([scaler.inputs.index(name) for name in scaler.checks.values()])
        found = self.add("Gather", self.add("Cast", missing, to=onnx.TensorProto.FLOAT), looked_at, axis=1)
        return self.add("Concat", scaled, found, axis=1)

    def add_end(self, y: str, x: str, axes: list[int]) -> None:
        """Add the end: probabilities (N, K) of (N, 1) or (N, K), which are NaN where an input is not finite.

        A rectifier makes 0 of NaN on some machines, and so a plausible number of a jet that nobody measured: x - x is 0
        for a number and NaN else, and is added.
        """
        self.add("Add", y, self.add("ReduceSum", self.add("Sub", x, x), np.array(axes)), output="probabilities")


def add_keras(graph: Graph, x: str, model) -> str:
    """Add a Keras classifier, a chain of layers, and return the name of its probabilities, (N, K), K at least 2.

    Parameters
    ----------
    graph : Graph
    x : str
        Its input, in the layout of Keras: channels last.
    model : keras.Model

    Raises
    ------
    ValueError
        The model is no chain of known layers in float32, or does not end in a softmax, or a sigmoid of one unit.
    """
    layers, rank, last = keras_chain(model), len(model.input_shape), []  # last: activations behind the last weights
    for layer in layers:
        kind = type(layer).__name__
        if kind not in _LAYERS or not type(layer).__module__.startswith("keras."):
            known = ", ".join(sorted({*_LAYERS} - _IDENTITIES))
            raise ValueError(f"the export does not know the layer {layer.name} ({kind}); it knows {known}.")
        if layer.compute_dtype != "float32":
            raise ValueError(
                f"the layer {layer.name} computes in {layer.compute_dtype}, the exported network in float32, and they "
                'cannot be compared. Build it again after keras.config.set_dtype_policy("float32"), and give it the '
                "parameters of this one: set_weights(model.get_weights())."
            )
        if getattr(layer, "data_format", None) == "channels_first":
            _refuse(layer, 'data_format="channels_first"')
        x = _LAYERS[kind](graph, x, layer, rank)
        rank = 2 if kind == "Flatten" or (kind.startswith("Global") and not layer.keepdims) else rank
        last = ([] if layer.weights else last) + [name for name in [_activation(layer)] if name != "linear"]
    return _end_of_keras(graph, x, model, layers, last)


def _end_of_keras(graph: Graph, x: str, model, layers: list, last: list[str]) -> str:
    units = model.output_shape[-1]
    if not last or last[-1] != ("sigmoid" if units == 1 else "softmax") or len(model.output_shape) != 2:
        raise ValueError(
            f"the network is not a classifier: it gives {units} {'number' if units == 1 else 'numbers'} by "
            f"{last[-1] if last else 'a linear function'} in {layers[-1].name}. What ends in a softmax, or in a "
            "sigmoid of one unit, gives probabilities; a regression cannot be exported."
        )
    if len(last) > 1 and last[-2] in ("softmax", "sigmoid"):
        raise ValueError(f"the network ends in {last[-2]} and {last[-1]}, one after the other: leave out one of them.")
    return graph.add("Concat", graph.add("Sub", 1.0, x), x, axis=1) if units == 1 else x


def _activation(layer) -> str:
    """Return the name of the function with which a layer ends; ValueError if it is not one of Keras, or unknown."""
    if type(layer).__name__ in ("Softmax", "ReLU", "LeakyReLU", "ELU"):
        return {"Softmax": "softmax"}.get(type(layer).__name__, "relu")
    activation = getattr(layer, "activation", None)
    if activation is None:
        return "linear"
    name = getattr(activation, "__name__", type(activation).__name__)
    if name not in _ACTIVATIONS or not str(getattr(activation, "__module__", "")).startswith("keras."):
        raise ValueError(
            f"the export does not know the activation {name} of the layer {layer.name}; it knows those of Keras with "
            f"the names {', '.join(_ACTIVATIONS)}."
        )
    return name


def _activated(graph: Graph, x: str, layer, *_) -> str:
    return _ACTIVATIONS[_activation(layer)](graph, x)


def _array(variable) -> np.ndarray:
    """Return the values of a variable in float64, whatever the backend."""
    return variable.numpy().astype(np.float64)


def _refuse(layer, what: str):
    raise ValueError(f"the layer {layer.name} ({type(layer).__name__}) has {what}, which the export does not know.")


def _dense(graph: Graph, x: str, layer, rank: int) -> str:
    kernel = _array(layer.kernel)
    bias = [_array(layer.bias)] if layer.use_bias else []
    if rank == 2:
        return _activated(graph, graph.add("Gemm", x, kernel, *bias), layer)
    x = graph.add("MatMul", x, kernel)
    return _activated(graph, graph.add("Add", x, *bias) if bias else x, layer)


def _channels_first(graph: Graph, operator: str, x: str, *inputs, **attributes) -> str:
    """Add an operator on pictures, which ONNX has channels first."""
    x = graph.add(operator, graph.add("Transpose", x, perm=[0, 3, 1, 2]), *inputs, **attributes)
    return graph.add("Transpose", x, perm=[0, 2, 3, 1])


def _padding(layer) -> str:
    return {"same": "SAME_UPPER", "valid": "VALID"}[layer.padding]


def _conv2d(graph: Graph, x: str, layer, rank: int) -> str:
    kernel = _array(layer.kernel).transpose(3, 2, 0, 1)  # (h, w, in, out) -> (out, in, h, w)
    bias = [_array(layer.bias)] if layer.use_bias else []
    attributes = {"strides": layer.strides, "dilations": layer.dilation_rate, "group": layer.groups}
    x = _channels_first(graph, "Conv", x, kernel, *bias, auto_pad=_padding(layer), **attributes)
    return _activated(graph, x, layer)


def _pool2d(operator: str) -> Callable:
    def add(graph: Graph, x: str, layer, rank: int) -> str:
        attributes = {"kernel_shape": layer.pool_size, "strides": layer.strides, "auto_pad": _padding(layer)}
        return _channels_first(graph, operator, x, **attributes)

    return add


def _global_pool2d(operator: str) -> Callable:
    return lambda graph, x, layer, rank: graph.add(operator, x, np.array([1, 2]), keepdims=int(layer.keepdims))


def _scaled(graph: Graph, x: str, scale: np.ndarray, offset: np.ndarray) -> str:
    return graph.add("Add", graph.add("Mul", x, scale), offset)


def _batch_normalisation(graph: Graph, x: str, layer, rank: int) -> str:
    if layer.axis not in (-1, rank - 1):
        _refuse(layer, f"axis={layer.axis}")
    scale = 1 / np.sqrt(_array(layer.moving_variance) + layer.epsilon)
    if layer.scale:
        scale = scale * _array(layer.gamma)
    offset = -_array(layer.moving_mean) * scale + (_array(layer.beta) if layer.center else 0)
    return _scaled(graph, x, scale, offset)


def _relu(graph: Graph, x: str, layer, rank: int) -> str:
    if layer.max_value is not None or layer.threshold or layer.negative_slope:
        _refuse(layer, "a slope, a threshold or a largest value")
    return graph.add("Relu", x)


def _softmax(graph: Graph, x: str, layer, rank: int) -> str:
    if layer.axis not in (-1, rank - 1):
        _refuse(layer, f"axis={layer.axis}")
    return graph.add("Softmax", x, axis=-1)


def _simple(operator: str, **attributes) -> Callable:
    return lambda graph, x: graph.add(operator, x, **attributes)


_ACTIVATIONS = {
    "linear": lambda graph, x: x,
    "relu": _simple("Relu"),
    "sigmoid": _simple("Sigmoid"),
    "tanh": _simple("Tanh"),
    "softmax": _simple("Softmax", axis=-1),
    "elu": _simple("Elu", alpha=1.0),
    "selu": _simple("Selu"),
    "leaky_relu": _simple("LeakyRelu", alpha=0.2),
    "silu": lambda graph, x: graph.add("Mul", x, graph.add("Sigmoid", x)),
    "softplus": _simple("Softplus"),
    "softsign": _simple("Softsign"),
}
#: What acts in training alone.
_IDENTITIES = {
    "ActivityRegularization",
    "AlphaDropout",
    "Dropout",
    "GaussianDropout",
    "GaussianNoise",
    "SpatialDropout2D",
}
_LAYERS = {
    "Activation": _activated,
    "AveragePooling2D": _pool2d("AveragePool"),
    "BatchNormalization": _batch_normalisation,
    "Conv2D": _conv2d,
    "Dense": _dense,
    "ELU": lambda graph, x, layer, rank: graph.add("Elu", x, alpha=float(layer.alpha)),
    "Flatten": lambda graph, x, layer, rank: graph.add("Flatten", x, axis=1),
    "GlobalAveragePooling2D": _global_pool2d("ReduceMean"),
    "GlobalMaxPooling2D": _global_pool2d("ReduceMax"),
    "LeakyReLU": lambda graph, x, layer, rank: graph.add("LeakyRelu", x, alpha=float(layer.negative_slope)),
    "MaxPooling2D": _pool2d("MaxPool"),
    "ReLU": _relu,
    "Rescaling": lambda graph, x, layer, rank: _scaled(graph, x, np.asarray(layer.scale), np.asarray(layer.offset)),
    "Softmax": _softmax,
    **dict.fromkeys(_IDENTITIES, lambda graph, x, layer, rank: x),
}
