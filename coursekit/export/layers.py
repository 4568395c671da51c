"""What a dense network computes, in plain arrays: read off a Keras model or the parts of Deep Sets."""

from typing import NamedTuple

import numpy as np

from coursekit.words import listed

#: Layers of Keras that do nothing once the training is over.
SKIPPED = frozenset(
    {"ActivityRegularization", "AlphaDropout", "Dropout", "GaussianDropout", "GaussianNoise", "InputLayer"}
)
#: Activations with a parameter, and what it is where nothing but their name is given.
_SLOPES = {"elu": 1.0, "leaky_relu": 0.2}


class Dense(NamedTuple):
    """One layer, f(x K + b).

    Attributes
    ----------
    kernel : (I, O) float64 array
        K; the transpose of what PyTorch calls the weight.
    bias : (O,) float64 array
    activation : str
        f by its Keras name, such as ``"relu"``; ``"linear"`` for none.
    slope : float
        The parameter of ``"elu"`` and ``"leaky_relu"`` for negative numbers; without a meaning for the others.
    """

    kernel: np.ndarray
    bias: np.ndarray
    activation: str = "linear"
    slope: float = 0.0


class _Activation(NamedTuple):
    """An activation that comes as a layer of its own."""

    name: str
    slope: float = 0.0


def dense_layers(model) -> list[Dense]:
    r"""Read what a chain of dense layers computes in evaluation mode.

    Two linear maps in a row are one. So a batch normalisation, which is linear once the training is over, becomes part
    of the dense layer in front of it, or, where that has an activation, of the one behind it:

    .. math:: x \to \gamma \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}} + \beta

    Parameters
    ----------
    model : keras.Model or torch.nn.Sequential
        Dense layers, batch normalisations, activations and dropout, one after the other; of PyTorch only `Linear` and
        `ReLU`, of which the networks of `coursekit.nets.deepsets` consist.

    Returns
    -------
    list of Dense
        In the order of calculation.

    Raises
    ------
    ValueError
        There is a layer that is none of these, or an activation without a name, or the layers are no chain.

    Examples
    --------
    >>> from coursekit.nets.deepsets import DeepSets
    >>> [(layer.kernel.shape, layer.activation) for layer in dense_layers(DeepSets(3, phi=(16,), latent=8).phi)]
    [((3, 16), 'relu'), ((16, 8), 'relu')]
    """
    parts = _of_keras(model) if hasattr(model, "get_config") else _of_torch(model)
    layers: list[Dense] = []
    for part in parts:
        before = layers.pop() if layers and layers[-1].activation == "linear" else None
        if isinstance(part, _Activation):
            before = before or _identity(layers[-1].kernel.shape[1] if layers else model.inputs[0].shape[-1])
            layers.append(Dense(before.kernel, before.bias, part.name, part.slope))
        elif before:
            layers.append(Dense(before.kernel @ part.kernel, before.bias @ part.kernel + part.bias))
        else:
            layers.append(part)
    return layers


def _identity(n: int) -> Dense:
    return Dense(np.eye(n), np.zeros(n))


def keras_chain(model) -> list:
    """Return the layers of a model in order; ValueError if they do not follow one another."""
    if not model.built or not getattr(model, "inputs", None):
        raise ValueError(
            "the network has no shape of its input yet: begin with keras.Input(shape), and train it. A subclass of "
            "keras.Model has none: write it as keras.Sequential or keras.Model(inputs, outputs)."
        )
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ValueError(f"the network has {len(model.inputs)} inputs and {len(model.outputs)} outputs, not one each.")
    value, layers = model.inputs[0], []
    for part in model.layers if type(model).__name__ == "Sequential" else model.operations:
        if type(part).__name__ == "InputLayer":
            continue
        if not hasattr(part, "compute_dtype"):
            raise ValueError(
                f"the network holds {part.name}, a function and no layer; for an activation take "
                "keras.layers.Activation."
            )
        if type(model).__name__ != "Sequential":  # a layer may also have a place in another model
            nodes = [
                node for node in part._inbound_nodes if len(node.input_tensors) == 1 and node.input_tensors[0] is value
            ]
            value = nodes[0].outputs[0] if nodes else None
        if value is None:
            break
        layers += keras_chain(part) if hasattr(part, "layers") else [part]
    if type(model).__name__ != "Sequential" and value is not model.outputs[0]:
        raise ValueError(
            f"the layers of the network are no chain: {part.name} does not just take what the one before it gives. The "
            "export knows chains, such as keras.Sequential."
        )
    return layers


def _of_keras(model) -> list[Dense | _Activation]:
    return [part for layer in keras_chain(model) for part in _keras_layer(layer)]


def _keras_layer(layer) -> list[Dense | _Activation]:
    kind = type(layer).__name__
    if kind not in SKIPPED | _KERAS.keys() or not type(layer).__module__.startswith("keras."):
        raise ValueError(
            f"the layer {layer.name} is {kind}, none of a dense network. Known are "
            f"{listed([*_KERAS, *sorted(SKIPPED - {'InputLayer'})])}."
        )
    return [] if kind in SKIPPED else _KERAS[kind](layer)


def _dense(layer) -> list[Dense | _Activation]:
    weights = [weight.astype(np.float64) for weight in layer.get_weights()]
    bias = weights[1] if layer.use_bias else np.zeros(weights[0].shape[1])
    return [Dense(weights[0], bias), *_by_name(layer)]


def _by_name(layer) -> list[_Activation]:
    name = getattr(layer.activation, "__name__", repr(layer.activation))
    if not str(getattr(layer.activation, "__module__", "")).startswith("keras."):
        raise ValueError(f"the activation of the layer {layer.name} is {name}, none of Keras: take one of Keras.")
    return [] if name == "linear" else [_Activation(name, _SLOPES.get(name, 0.0))]


def _normalisation(layer) -> list[Dense]:
    weights = [weight.astype(np.float64) for weight in layer.get_weights()]  # those of gamma, beta, mean, variance
    mean, variance = weights[-2:]
    gamma = weights[0] if layer.scale else 1.0
    beta = weights[-3] if layer.center else 0.0
    factor = gamma / np.sqrt(variance + layer.epsilon)
    return [Dense(np.diag(factor), beta - mean * factor)]


def _rectifier(layer) -> list[_Activation]:
    if layer.max_value is not None or layer.threshold:
        raise ValueError(f"the layer {layer.name} is ReLU with a largest value or a threshold: only without is known.")
    slope = float(layer.negative_slope or 0.0)
    return [_Activation("leaky_relu", slope) if slope else _Activation("relu")]


_KERAS = {
    "Dense": _dense,
    "BatchNormalization": _normalisation,
    "Activation": _by_name,
    "ReLU": _rectifier,
    "LeakyReLU": lambda layer: [_Activation("leaky_relu", float(layer.negative_slope))],
    "ELU": lambda layer: [_Activation("elu", float(layer.alpha))],
    "Softmax": lambda layer: [_Activation("softmax")],
}


def _of_torch(model) -> list[Dense | _Activation]:
    parts = []
    for name, layer in model.named_children():
        kind = type(layer).__name__
        if kind == "Linear":
            weights = [weight.detach().cpu().numpy().astype(np.float64) for weight in (layer.weight, layer.bias)]
            parts.append(Dense(weights[0].T, weights[1]))
        elif kind == "ReLU":
            parts.append(_Activation("relu"))
        else:
            raise ValueError(f"part {name} of the network is {kind}; known are Linear and ReLU.")
    return parts
