"""Networks in Keras 3, on whichever backend it runs; each builder returns an untrained, uncompiled model.

Uncompiled, because loss, optimiser and learning rate belong to the training. The last layer makes probabilities, so
the loss is a plain cross-entropy: never one with ``from_logits=True``. It computes in float32 whatever the policy: in
float16 all scores above 0.9998 would be the same.
"""

import importlib
from collections.abc import Sequence


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
    ValueError
        A size is not positive, dropout is outside [0, 1), or there are fewer than 2 classes.

    Examples
    --------
    >>> model = build_dense(6, hidden=(16,))
    >>> model.count_params()  # 6 * 16 + 16 in the hidden layer, 16 + 1 in the output
    129
    """
    if n_inputs < 1 or any(units < 1 for units in hidden):
        raise ValueError(f"n_inputs and the units of each layer must be at least 1, got {n_inputs} and {tuple(hidden)}")
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout is a fraction of units in [0, 1), got {dropout}")
    if n_classes < 2:
        raise ValueError(f"n_classes must be at least 2 (signal and background are two), got {n_classes}")
    keras = _keras()
    layers = [keras.Input((n_inputs,))]  # (N, F)
    for units in hidden:
        layers.append(keras.layers.Dense(units, activation=activation))  # (N, units)
        if dropout:
            layers.append(keras.layers.Dropout(dropout))
    if n_classes == 2:
        layers.append(keras.layers.Dense(1, activation="sigmoid", dtype="float32"))  # (N, 1)
    else:
        layers.append(keras.layers.Dense(n_classes, activation="softmax", dtype="float32"))  # (N, K)
    return keras.Sequential(layers)


def build_image_logistic(shape: Sequence[int], scale: float = 1.0):
    """Build logistic regression on pixels: each pixel has one weight, so that the weights are themselves a picture.

    Parameters
    ----------
    shape : (int, int, int)
        H, W, C of the images, channels last.
    scale : float
        What the pixels are multiplied with first, to bring them to order one: 1/255 for integer images.

    Returns
    -------
    keras.Sequential
        Untrained and uncompiled; (N, H, W, C) of any real dtype -> (N, 1) float32 that rises with signal.

    Raises
    ------
    ImportError
        Keras, or the backend it is told to use, is not installed.
    ValueError
        The shape is not that of an image, or the scale is not above zero.

    Examples
    --------
    >>> build_image_logistic((16, 22, 1)).count_params()  # 16 * 22 pixels and a bias
    353
    """
    return build_image_mlp(shape, scale, hidden=())


def build_image_mlp(
    shape: Sequence[int], scale: float = 1.0, hidden: Sequence[int] = (100, 100, 100), dropout: float = 0.5
):
    """Build a fully connected network on pixels, which knows nothing of which pixel is whose neighbour.

    Parameters
    ----------
    shape, scale
        As `build_image_logistic`.
    hidden : sequence of int
        Units of each hidden layer, with tanh.
    dropout : float
        Fraction of the units of each hidden layer set to zero at random in each training step, in [0, 1).

    Returns, raises: as `build_image_logistic`, and ValueError for units or a dropout out of range.

    Examples
    --------
    >>> build_image_mlp((16, 22, 1)).count_params() == (352 + 1) * 100 + 2 * (100 + 1) * 100 + 100 + 1
    True
    """
    height, width, channels = _image_shape(shape, smallest=1)
    dense = build_dense(height * width * channels, hidden, activation="tanh", dropout=dropout)
    keras = _keras()
    return keras.Sequential([*_scaled(shape, scale), keras.layers.Flatten(), *dense.layers])


def build_cnn(
    shape: Sequence[int],
    scale: float = 1.0,
    filters: Sequence[int] = (32, 64),
    dense: int = 300,
    dropout: float = 0.5,
):
    """Build a convolutional network: pairs of 3 x 3 convolutions, each pair followed by a pooling of 2 x 2 pixels.

    What a filter has learned of one place holds everywhere in the image, and each pooling lets the next filters see
    twice as far. A dense layer with dropout reads what is left. With the default filters this is the network of the
    2018 study.

    Parameters
    ----------
    shape, scale
        As `build_image_logistic`; each side at least 2 to the number of poolings.
    filters : sequence of int
        Filters of both convolutions of each pair. Their cost rises with their square: ``(8, 16)`` trains ten times
        faster than ``(32, 64)``.
    dense : int
        Units of the dense layer.
    dropout : float
        Fraction of those units set to zero at random in each training step, in [0, 1).

    Returns, raises: as `build_image_logistic`, and ValueError for filters, units or a dropout out of range.

    Examples
    --------
    >>> build_cnn((16, 22, 1), filters=(8,), dense=10).count_params()
    7725
    """
    if len(filters) == 0 or min(*filters, dense) < 1:
        raise ValueError(
            f"filters and dense must be at least 1, and one pair of filters is needed, got {filters}, {dense}"
        )
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout is a fraction of units in [0, 1), got {dropout}")
    _image_shape(shape, smallest=2 ** len(filters))
    keras = _keras()
    layers = _scaled(shape, scale)  # (N, H, W, C)
    for n in filters:
        for _ in range(2):
            layers.append(keras.layers.Conv2D(n, 3, padding="same", activation="relu"))  # (N, h, w, n)
        layers.append(keras.layers.MaxPooling2D(2))  # (N, h // 2, w // 2, n)
    layers += [keras.layers.Flatten(), keras.layers.Dense(dense, activation="relu"), keras.layers.Dropout(dropout)]
    layers.append(keras.layers.Dense(1, activation="sigmoid", dtype="float32"))  # (N, 1)
    return keras.Sequential(layers)


def _scaled(shape, scale: float) -> list:
    """Return the first layers of a network on images: the input, and what multiplies its pixels."""
    if not 0 < scale < float("inf"):
        raise ValueError(f"scale must be above zero, got {scale}")
    keras = _keras()
    return [keras.Input(tuple(shape)), keras.layers.Rescaling(scale)]


def _image_shape(shape, smallest: int) -> tuple[int, int, int]:
    if len(shape) != 3:
        raise ValueError(
            f"shape must be (H, W, C), the channels last, got {tuple(shape)}: images[..., None] adds the C"
        )
    height, width, channels = shape
    if min(height, width) < smallest or channels < 1:
        raise ValueError(
            f"shape must be (H, W, C) with sides of at least {smallest} pixels for this network, got {tuple(shape)}"
        )
    return height, width, channels


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
