"""Keras networks as part of an ONNX graph: chains of dense and convolutional layers, written from their weights.

Written by hand, because Keras' own exporter makes the constants of a scaling required inputs with TensorFlow, and fixes
the number of jets with PyTorch.
"""

import contextlib
import warnings
from collections.abc import Callable

import numpy as np

from coursekit.export.graph import Graph
from coursekit.export.layers import SKIPPED, keras_chain


def probabilities_of(model, x: np.ndarray) -> np.ndarray:
    """Return the probabilities of the classes, (N, K) float64, that a Keras classifier gives to scaled inputs."""
    import keras

    with _in_single_precision(keras.backend.backend()), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras warns where keras.Model was given [x] and is called with x
        parts = [model(part, training=False) for part in np.array_split(x, range(1000, len(x), 1000))]
    y = np.concatenate([keras.ops.convert_to_numpy(part) for part in parts]).astype(np.float64)
    return np.concatenate([1 - y, y], axis=1) if y.shape[1] == 1 else y


def _in_single_precision(backend: str):
    """Return a context in which products are exact: some GPUs round their inputs to ten bits, unless told otherwise."""
    if backend == "tensorflow":
        import keras

        return keras.device("cpu:0")
    if backend == "torch":  # whose parameters stay where they are
        from torch.backends import cudnn

        return cudnn.flags(enabled=False)
    return contextlib.nullcontext()


def add(graph: Graph, x: str, model, sample: tuple[np.ndarray]) -> tuple[str, str]:
    """Add a Keras classifier, a chain of layers.

    Parameters
    ----------
    graph : Graph
    x : str
        Its input, in the layout of Keras: channels last.
    model : keras.Model
    sample : tuple of one numpy.ndarray
        Scaled, (N, ...).

    Returns
    -------
    tuple of str
        Names of the probabilities, (N, K) with K at least 2, and of (N, 1) zeros, which are NaN where an input is not
        finite.

    Raises
    ------
    ValueError
        The model is no chain of known layers in float32, takes something else than comes, or does not end in a softmax,
        or a sigmoid of one unit.
    """
    layers, rank, last = keras_chain(model), len(model.input_shape), []  # last: activations behind the last weights
    _require_shape(tuple(model.input_shape[1:]), sample[0].shape[1:])
    guard = graph.add_guard(x)
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
    return _end_of_keras(graph, x, model, layers, last), guard


def _require_shape(expected: tuple[int | None, ...], shape: tuple[int, ...]) -> None:
    if len(expected) != len(shape) or any(n not in (None, m) for n, m in zip(expected, shape, strict=True)):
        raise ValueError(
            f"the network takes {_named(expected)}, but the sample and the scaler give {_named(shape)}. Is this the "
            "scaler of the training?"
        )


def _named(shape: tuple) -> str:
    return f"{shape[0]} inputs" if len(shape) == 1 else f"pictures {shape}"


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
    if layer.padding == "same" and max(layer.dilation_rate) > 1:  # without strides; ONNX Runtime wants it in numbers
        reach = [(n - 1) * step for n, step in zip(kernel.shape[2:], layer.dilation_rate, strict=True)]
        attributes["pads"] = [n // 2 for n in reach] + [n - n // 2 for n in reach]
    else:
        attributes["auto_pad"] = _padding(layer)
    x = _channels_first(graph, "Conv", x, kernel, *bias, **attributes)
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
_IDENTITIES = SKIPPED | {"SpatialDropout2D"}
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
