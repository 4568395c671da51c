"""Networks in Keras 3, on whichever backend it runs; each builder returns an untrained, uncompiled model.

Uncompiled, because loss, optimiser and learning rate belong to the training. The last layer makes probabilities, so
the loss is a plain cross-entropy: never one with ``from_logits=True``. It computes in float32 whatever the policy: in
float16 all scores above 0.9998 would be the same.
"""

import importlib
import operator
from collections.abc import Sequence

import numpy as np

from coursekit.arrays import plain


def build_dense(
    n_inputs: int,
    hidden: Sequence[int] = (64, 64, 64),
    activation: str = "relu",
    dropout: float = 0.0,
    n_classes: int = 2,
):
    r"""Build a fully connected network from a table of inputs to a score.

    With x^(0) the inputs and f the activation, the hidden layers compute x^(l) = f(W_l x^(l-1) + b_l), and the output
    is the logistic function of w . x + b, or, for more than two classes, the softmax of W x + b.

    Parameters
    ----------
    n_inputs : int
        F, the columns of the table; scaled to order one before they come here.
    hidden : sequence of int
        Units of each hidden layer; empty for logistic regression. Three of 64 are enough for some tens of thousands of
        events with a handful of inputs: wider ones trained longer and were not better.
    activation : str
        Of the hidden layers, by its Keras name. Without one (``"linear"``) any number of layers is one linear layer.
    dropout : float
        Fraction of the units of each hidden layer set to zero at random in each training step, in [0, 1).
    n_classes : int
        2 for one score between 0 and 1 that rises with signal; K > 2 for K probabilities that add up to 1.

    Returns
    -------
    keras.Sequential
        Untrained and uncompiled; (N, F) float32 -> (N, 1) or (N, K) float32.

    Raises
    ------
    ImportError
        Keras, or the backend it is told to use, is not installed.
    TypeError
        A size is no whole number.
    ValueError
        A size is not positive, dropout is outside [0, 1), or there are fewer than 2 classes.

    Examples
    --------
    >>> model = build_dense(6, hidden=(16,))
    >>> model.count_params()  # 6 * 16 + 16 in the hidden layer, 16 + 1 in the output
    129
    """
    # Keras knows only the whole numbers of Python.
    n_inputs, n_classes, hidden = operator.index(n_inputs), operator.index(n_classes), [*map(operator.index, hidden)]
    if n_inputs < 1 or any(units < 1 for units in hidden):
        raise ValueError(f"n_inputs and the units of each layer must be at least 1, got {n_inputs} and {tuple(hidden)}")
    _require_dropout_and_classes(dropout, n_classes)
    keras = _keras()
    layers = [keras.Input((n_inputs,))]  # (N, F)
    for units in hidden:
        layers.append(keras.layers.Dense(units, activation=activation))  # (N, units)
        if dropout:
            layers.append(keras.layers.Dropout(float(dropout)))
    return keras.Sequential([*layers, _output(n_classes)])


def build_cnn(shape: Sequence[int], filters: int = 32, dense: int = 300, dropout: float = 0.5, n_classes: int = 2):
    """Build the convolutional network of lesson 7 from pictures to a score.

    Two pairs of convolutions of 3 x 3 pixels with ReLU, each followed by a pooling of 2 x 2, with `filters` of them in
    the first pair and twice as many in the second; then a dense layer, a dropout, and the output.

    Parameters
    ----------
    shape : sequence of int
        (H, W, C): rows and columns, at least 4, and channels of a picture.
    filters : int
        Of the first pair of convolutions.
    dense : int
        Units of the dense layer.
    dropout : float
        Fraction of them set to zero at random in each training step, in [0, 1).
    n_classes : int
        As in `build_dense`.

    Returns
    -------
    keras.Sequential
        Untrained and uncompiled; (N, H, W, C) float32 -> (N, 1) or (N, K) float32.

    Raises
    ------
    ImportError, TypeError
        As `build_dense`.
    ValueError
        A shape has not three sizes, or is too small to be pooled twice; or as `build_dense`.

    References
    ----------
    S. Macaluso, D. Shih, arXiv:1803.00107.

    Examples
    --------
    >>> build_cnn((16, 16, 1), filters=8, dense=64).output_shape
    (None, 1)
    """
    shape, filters, dense = [*map(operator.index, shape)], operator.index(filters), operator.index(dense)
    if len(shape) != 3 or min(shape[:2]) < 4 or shape[2] < 1:
        raise ValueError(f"a picture has the shape (H, W, C), at least 4 x 4 pixels with a channel; got {tuple(shape)}")
    if filters < 1 or dense < 1:
        raise ValueError(f"filters and dense must be at least 1, got {filters} and {dense}")
    n_classes = operator.index(n_classes)
    _require_dropout_and_classes(dropout, n_classes)
    keras = _keras()
    layers = [keras.Input(shape)]  # (N, H, W, C)
    for channels in (filters, 2 * filters):
        for _ in range(2):
            layers.append(keras.layers.Conv2D(channels, 3, padding="same", activation="relu"))
        layers.append(keras.layers.MaxPooling2D(2))
    layers += [keras.layers.Flatten(), keras.layers.Dense(dense, activation="relu")]
    layers += [keras.layers.Dropout(float(dropout))] if dropout else []
    return keras.Sequential([*layers, _output(n_classes)])


def score_of(model, inputs: np.ndarray, batch_size: int = 1000) -> np.ndarray:
    """Return the scores that a model with one output gives to events or images, in evaluation mode.

    Quicker than ``model.predict``, which prepares a data set first.

    Parameters
    ----------
    model : keras.Model
        (N, ...) -> (N, 1).
    inputs : array-like of numbers
        (N, ...), of the kind that the model was trained on: an array, a DataFrame, a list. Matched by position.
    batch_size : int
        Events computed at once; the scores do not depend on it.

    Returns
    -------
    numpy.ndarray
        (N,), float64, in which sums over many events lose no digits.

    Raises
    ------
    ValueError
        The model has not one output for each event, or inputs are missing or no numbers.
    FloatingPointError
        A score is NaN.

    Examples
    --------
    >>> score_of(build_dense(6), np.zeros((5, 6), np.float32)).shape
    (5,)
    """
    keras = _keras()
    inputs = plain(inputs, "inputs")
    if not isinstance(inputs, np.ndarray) or inputs.dtype.kind not in "biuf":
        found = inputs.dtype if isinstance(inputs, np.ndarray) else inputs.type
        raise ValueError(f"expected inputs as an array of numbers, (N, ...), got {found}")
    parts = [np.zeros((0, 1))]
    for first in range(0, len(inputs), batch_size):
        parts.append(keras.ops.convert_to_numpy(model(inputs[first : first + batch_size], training=False)))
        if parts[-1].ndim != 2 or parts[-1].shape[1] != 1:
            raise ValueError(f"expected a model with one output, (N, ...) -> (N, 1); it gives {parts[-1].shape}")
    scores = np.concatenate(parts)[:, 0].astype(np.float64)
    if np.isnan(scores).any():
        bad = np.flatnonzero(np.isnan(scores))
        raise FloatingPointError(
            f"the model gives NaN for {len(bad)} of {len(scores)} events, the first is event {bad[0]}: look for NaN "
            "and extreme values in its inputs, and in its weights"
        )
    return scores


def choose_precision() -> str:
    """Let networks that are built from here on compute in float16 if there is a GPU, in float32 if there is none.

    The tensor cores of a GPU multiply float16 several times faster, and images take half the memory; parameters stay in
    float32, and Keras scales the loss so that small gradients survive. On a CPU it would only be slower.

    Returns
    -------
    str
        The policy now in force, ``"mixed_float16"`` or ``"float32"``.

    Raises
    ------
    ImportError
        Keras, or the backend it is told to use, is not installed.

    Examples
    --------
    >>> choose_precision() in ("mixed_float16", "float32")
    True
    """
    keras = _keras()
    policy = "mixed_float16" if _has_gpu(keras.backend.backend()) else "float32"
    keras.mixed_precision.set_global_policy(policy)
    return policy


def _require_dropout_and_classes(dropout: float, n_classes: int) -> None:
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout is a fraction of units in [0, 1), got {dropout}")
    if n_classes < 2:
        raise ValueError(f"n_classes must be at least 2 (signal and background are two), got {n_classes}")


def _output(n_classes: int):
    """Return the layer that makes probabilities, (N, 1) or (N, K)."""
    if n_classes == 2:
        return _keras().layers.Dense(1, activation="sigmoid", dtype="float32")
    return _keras().layers.Dense(n_classes, activation="softmax", dtype="float32")


def _has_gpu(backend: str) -> bool:
    if backend == "torch":
        return importlib.import_module("torch").cuda.is_available()
    if backend == "tensorflow":
        return len(importlib.import_module("tensorflow").config.list_physical_devices("GPU")) > 0
    return False


def _keras():
    try:
        return importlib.import_module("keras")
    except ImportError as error:
        raise ImportError(
            f"the networks of this lesson need Keras and TensorFlow, and {error.name or 'keras'} is missing: "
            'pip install "coursekit[keras]"'
        ) from error
