"""Training in Keras: what the lessons do, with the settings of a study."""

import contextlib
import dataclasses
import functools
import math
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from coursekit.nets.keras_nets import choose_precision
from coursekit.study.networks import build, require_outputs
from coursekit.study.settings.train import Optimiser
from coursekit.study.training.problem import Problem
from coursekit.study.training.watch import Watch

#: Steps of a training between which TensorFlow does not hand control back to Keras. It changes the time alone.
_STEPS = 35
#: Events that are computed at once where nothing is learned.
_AT_ONCE = {"table": 10_000, "picture": 1000}
_LOSSES = {"mse": "mean_squared_error", "mae": "mean_absolute_error", "huber": "huber"}


def fit(problem: Problem, seed: int, watch: Watch) -> tuple[Callable[[np.ndarray], np.ndarray], dict[str, bytes]]:
    """Train a network of Keras.

    Parameters
    ----------
    problem : Problem
    seed : int
    watch : Watch

    Returns
    -------
    outputs : callable
        From inputs (n, ...) to outputs (n, C) float32.
    files : dict of str to bytes
        ``network.keras``, and those of `save_every`.

    Raises
    ------
    ValueError
        The network does not fit the events, or gives no probabilities.
    FloatingPointError
        The loss is no longer a number.
    """
    import keras

    train, view = problem.study.train, problem.view
    keras.utils.set_random_seed(seed)
    with _precision(problem.kind):
        model = build(
            train.network, train.options, problem.shape, problem.n_outputs, problem.kind, problem.is_regression
        )
    few = view.inputs(view.training[:8])
    require_outputs(train.network, lambda: outputs_of(model, few), problem.n_outputs, problem.gives_probabilities)
    n_steps = math.ceil(len(view.training) / train.batch_size) * train.epochs
    tensorflow = keras.backend.backend() == "tensorflow"
    model.compile(
        optimizer=optimiser_of(train.optimiser, n_steps),
        loss=_loss(problem),
        steps_per_execution=_STEPS if tensorflow else 1,
    )
    files: dict[str, bytes] = {}
    data = (_streams if problem.dataset.streamed else _arrays)(problem, seed)
    outputs = {name: _outputs_for(problem, model, name, data) for name in problem.watched}
    model.fit(**data, epochs=train.epochs, callbacks=[_after_epochs(problem, outputs, watch, files)], verbose=0)
    files["network.keras"] = _saved(model)
    return lambda inputs: outputs_of(model, inputs), files


def outputs_of(model, inputs: np.ndarray) -> np.ndarray:
    """Return the outputs (n, C) float32 of a Keras model, in evaluation mode."""
    import keras

    at_once = _AT_ONCE["table" if inputs.ndim == 2 else "picture"]
    parts = [
        keras.ops.convert_to_numpy(model(inputs[first : first + at_once], training=False))
        for first in range(0, len(inputs), at_once)
    ]
    return np.concatenate(parts).astype(np.float32, copy=False) if parts else np.zeros((0, model.output_shape[-1]))


def load(content: bytes, problem: Problem) -> Callable[[np.ndarray], np.ndarray]:
    """Return the outputs of a network that was kept as the bytes of a ``.keras`` file."""
    model = restored(content, problem)
    return lambda inputs: outputs_of(model, inputs)


def restored(content: bytes, problem: Problem):
    """Return the model that was kept as the bytes of a ``.keras`` file, not compiled."""
    import keras

    train = problem.study.train
    if ":" in train.network:  # whose own layers have to be known before they are read
        build(train.network, train.options, problem.shape, problem.n_outputs, problem.kind)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.keras"
        path.write_bytes(content)
        return keras.saving.load_model(path, compile=False)


def exportable(content: bytes, problem: Problem):
    """Return the model as it was kept, but one of this course in float32, whatever it was trained in on a GPU."""
    import keras

    model, train = restored(content, problem), problem.study.train
    if ":" in train.network or all(layer.compute_dtype == "float32" for layer in model.layers):
        return model
    before = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy("float32")
    try:
        plain = build(train.network, train.options, problem.shape, problem.n_outputs, problem.kind)
    finally:
        keras.mixed_precision.set_dtype_policy(before)
    plain.set_weights(model.get_weights())
    return plain


def optimiser_of(settings: Optimiser, n_steps: int):
    """Return the optimiser of Keras that the settings describe, for a training of so many steps."""
    import keras

    rate = settings.learning_rate
    schedules = keras.optimizers.schedules
    if settings.schedule == "cosine":
        rate = schedules.CosineDecay(rate, n_steps)
    elif settings.schedule == "one-cycle":  # that of `coursekit.training.one_cycle`
        rising = n_steps // 4
        rate = schedules.CosineDecay(0.04 * rate, n_steps - rising, warmup_target=rate, warmup_steps=rising)
    elif settings.decay:
        rate = schedules.InverseTimeDecay(rate, decay_steps=1, decay_rate=settings.decay)
    if settings.name == "sgd":
        return keras.optimizers.SGD(rate, momentum=settings.momentum, nesterov=settings.nesterov)
    if settings.name == "adamw":
        return keras.optimizers.AdamW(rate, weight_decay=settings.weight_decay)
    return keras.optimizers.Adam(rate)


def _arrays(problem: Problem, seed: int) -> dict:
    """Return what `fit` takes of events in memory."""
    parts = []
    for rows in (problem.view.training, problem.view.validation):
        parts.append((problem.view.inputs(rows), problem.targets[rows], problem.view.weights[rows].astype(np.float32)))
    (inputs, targets, weights), validation = parts
    arrays = {"x": inputs, "y": targets, "sample_weight": weights, "validation_data": validation}
    return arrays | {"batch_size": problem.study.train.batch_size}


def _streams(problem: Problem, seed: int) -> dict:
    """Return what `fit` takes of events that do not fit into memory: batches, read while it learns."""
    from coursekit.streaming import keras_dataset

    view, size = problem.view, problem.study.train.batch_size
    if problem.is_regression:  # its targets are learned as they are scaled here
        view = dataclasses.replace(view, dataset=dataclasses.replace(view.dataset, targets=problem.targets))
    streams = (view.stream("training", size, seed), view.stream("validation", size, None))
    return dict(zip(("x", "validation_data"), map(keras_dataset, streams), strict=True))


def _outputs_for(problem: Problem, model, part: str, data: dict) -> Callable[[], np.ndarray]:
    """Return what gives the outputs (n, C) for the watched events of a part, as the model is at that time."""
    if problem.dataset.streamed:
        chunks = functools.partial(problem.view.chunks, problem.watched[part])
        return lambda: np.concatenate([outputs_of(model, inputs) for inputs in chunks()])
    inputs = data["x"] if part == "training" else data["validation_data"][0]
    return lambda: outputs_of(model, inputs)


def _after_epochs(problem: Problem, outputs: dict[str, Callable], watch: Watch, files: dict[str, bytes]):
    """Return the callback that measures after each epoch, keeps what is to be kept, and ends the training.

    It only looks: nothing here draws a random number, so that the training is that of a plain `fit`.
    """
    import keras

    save_every = problem.study.train.save_every

    class AfterEpochs(keras.callbacks.Callback):
        kept = None

        def on_epoch_end(self, epoch, logs=None):
            measured = {"loss": logs["loss"], "val_loss": logs["val_loss"]}
            said = {name: give() for name, give in outputs.items()}
            if np.isfinite([*measured.values()]).all():
                for part, prefix in (("training", ""), ("validation", "val_")):
                    found = problem.measures(problem.watched[part], said[part])
                    measured |= {f"{prefix}{name}": value for name, value in found.items()}
            if watch.epoch(measured, problem.in_units(said["validation"])):
                self.kept = self.model.get_weights()
            if save_every and watch.n_epochs % save_every == 0:
                files[f"epoch_{watch.n_epochs:03d}.keras"] = _saved(self.model)
            self.model.stop_training = watch.stops

        def on_train_end(self, logs=None):
            self.model.set_weights(self.kept)

    return AfterEpochs()


def _loss(problem: Problem) -> str:
    if not problem.gives_probabilities:
        return _LOSSES[problem.study.train.loss_name]
    return "binary_crossentropy" if problem.n_outputs == 1 else "sparse_categorical_crossentropy"


@contextlib.contextmanager
def _precision(kind: str) -> Iterator[None]:
    """Let a network for pictures compute in half precision if there is a GPU, and leave later networks alone."""
    import keras

    before = keras.mixed_precision.dtype_policy()
    if kind == "picture":
        choose_precision()
    try:
        yield
    finally:
        keras.mixed_precision.set_dtype_policy(before)


def _saved(model) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.keras"
        model.save(path)
        return path.read_bytes()
