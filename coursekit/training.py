"""Training of networks on sets in PyTorch: the whole loop, short enough to be read.

The jets live on the device that computes, packed; a batch is a list of jet numbers. The same code runs on a GPU:

>>> from coursekit.nets.deepsets import DeepSets
>>> jets = PackedJets(torch.rand(500, 3), torch.full((100,), 5), torch.arange(100) % 2)
>>> device = pick_device()
>>> model = DeepSets(n_features=3).to(device)
>>> history = train(model, jets[:80].to(device), jets[80:].to(device), epochs=2, batch_size=40)
>>> sorted(history)
['learning_rate', 'loss', 'val_loss']
>>> predict(model, jets[80:].to(device)).shape
(20, 1)
"""

import contextlib
import copy
import functools
import math
import os
from collections.abc import Callable, Iterator

import numpy as np

try:
    import torch
    from torch import nn
except ImportError as error:
    raise ImportError('this training needs PyTorch: pip install "coursekit[torch]"') from error

from coursekit.checkpoints import Checkpoint, describe, digest
from coursekit.jets.packed import PackedJets
from coursekit.losses import CheckedLoss
from coursekit.meter import Line
from coursekit.precision import HALF, in_half
from coursekit.schedules import SCHEDULES, one_cycle
from coursekit.words import listed

__all__ = ["one_cycle", "pick_device", "predict", "rotate_and_flip", "train"]

# Jets that a CPU computes at once: their activations stay in its cache, which makes a batch of 1024 half as fast again
# (`benchmarks/bench_training.py`).
_CPU_JETS = 256


def pick_device() -> torch.device:
    """Return the fastest device there is: an NVIDIA or AMD GPU ("cuda"), an Apple one ("mps"), else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def train(
    model: nn.Module,
    training: PackedJets,
    validation: PackedJets,
    *,
    epochs: int,
    batch_size: int = 256,
    learning_rate: float = 3e-3,
    schedule: str | Callable[[float], float] = "one-cycle",
    weight_decay: float = 0.0,
    optimizer: Callable[..., torch.optim.Optimizer] | None = None,
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] = nn.functional.binary_cross_entropy_with_logits,
    weights: tuple[np.ndarray, np.ndarray] | None = None,
    patience: int | None = None,
    augment: Callable[[torch.Tensor, torch.Tensor, torch.Generator], torch.Tensor] | None = None,
    after_epoch: Callable[[dict[str, list[float]]], bool | None] | None = None,
    checkpoint: str | os.PathLike | None = None,
    generator: torch.Generator | None = None,
    progress: bool = False,
) -> dict[str, list[float]]:
    """Train a model in place, and leave it with the weights of the epoch whose validation loss was lowest.

    Parameters
    ----------
    model : nn.Module
        Called as ``model(features, counts)``, the features in its own precision; gives (N, K), or (N,) for K = 1. Its
        parameters are float32 or float64; on an NVIDIA GPU float32 ones are used in float16 where that is faster.
    training, validation : PackedJets
        On the device of the model. The validation jets are only looked at, never learned from.
    epochs : int
        Times that every training jet is seen.
    batch_size : int
        Jets of a step.
    learning_rate : float
        Its largest value.
    schedule : {"one-cycle", "cosine", "constant"} or callable
        How the learning rate changes during the training, see `coursekit.schedules`: a function from the moment, 0 to
        1, to the learning rate relative to its largest value.
    weight_decay : float
        By which AdamW draws the weights towards zero, relative to the learning rate.
    optimizer : callable, optional
        ``optimizer(parameters, lr=learning_rate)`` returns another optimiser than AdamW, as
        ``functools.partial(torch.optim.SGD, momentum=0.9)`` does. The learning rate stays that of the schedule.
    loss : callable
        ``loss(outputs, targets)``, (B, K) each, returns the mean over the batch. The default takes logits, not
        probabilities, and labels 0 and 1; ``torch.nn.functional.mse_loss`` makes a regression, and
        ``torch.nn.functional.cross_entropy`` learns classes, from their numbers, one-hot or from probabilities.
    weights : (N,) and (N',) array-like of numbers, optional
        Of the training and of the validation jets. The loss of a batch is then the mean of weight times loss, divided
        by the number of jets and not by the sum of weights; a function of yours returns a loss for each jet, (B,).
    patience : int, optional
        Stop after so many epochs without a lower validation loss; by default train all epochs.
    augment : callable, optional
        ``augment(features, counts, generator)`` returns other features of the same jets for each batch of training
        jets, as `rotate_and_flip` does.
    after_epoch : callable, optional
        Called with the history after each epoch, when the model is as that epoch has left it; the training ends if it
        returns True. It may look at the model, not change it.
    checkpoint : path-like, optional
        A file that is written after each epoch. If it exists, the training goes on from it to the very weights of an
        uninterrupted one (nearly so on another device), or, if it was finished, only restores them. It cannot know
        what a function of yours calls, nor the code of the model's class.
    generator : torch.Generator, optional
        On the CPU; decides the order of the jets and the augmentation. By default one with the seed 1.
    progress : bool
        Print a line that counts epochs and jets per second; never while the course is built or tested.

    Returns
    -------
    dict of lists, one float per epoch
        ``loss`` (of the training jets, while they are learned), ``val_loss``, ``learning_rate`` (at the epoch's end).

    Raises
    ------
    ValueError
        If jets and model are on different devices, all targets are equal or not what the loss takes, the model has
        nothing to learn with or gives other shapes than the loss takes, a setting is unknown, there is not a weight for
        each jet, or the checkpoint is none or belongs to another training.
    FloatingPointError
        If the loss is no longer a number.
    """
    generator = torch.Generator().manual_seed(1) if generator is None else generator
    settings = _settings(epochs, batch_size, learning_rate, schedule, weight_decay, patience)
    epochs, batch_size, learning_rate, schedule, weight_decay, patience = settings.values()
    samples = {"training": training, "validation": validation}
    device = _check(model, samples, generator)
    training, validation = map(PackedJets.with_weights, samples.values(), weights or (None, None))
    samples = {"training": training, "validation": validation}
    loss_of = CheckedLoss(loss, {name: jets.targets for name, jets in samples.items()}, weighted=weights is not None)
    settings |= _unusual(schedule, optimizer, weights)
    optimizer, scaler = _descent(model, device, optimizer, learning_rate, weight_decay)
    saved = _checkpoint(checkpoint, settings, loss, augment, samples, model, optimizer, scaler, generator)
    history, best = _beginning(model, saved)
    line, learned = Line(progress, epochs, len(training)), (loss_of, augment, generator, scaler)

    while (epoch := len(history["loss"])) < epochs and not _patience_lost(history["val_loss"], patience):
        model.train()
        order, total = torch.randperm(len(training), generator=generator), 0.0
        for rate, batch in _steps(order.split(batch_size), epoch, epochs, schedule, learning_rate):
            total += _gradients(model, training, batch, *learned)
            _update(model, optimizer, scaler, rate)
            line.step(len(batch), history)
        if _is_best(history, float(total) / len(training), loss_of(*_outputs(model, validation)), rate, learning_rate):
            best = _weights(model)
        if saved:
            saved.save(history, best)
        if after_epoch is not None and after_epoch(history):
            break
    line.end()
    model.load_state_dict(best)
    return history


def predict(model: nn.Module, jets: PackedJets, batch_size: int = 512) -> np.ndarray:
    """Return the outputs of a model for each jet, (N, K) float32: in evaluation mode, without gradients.

    Raises
    ------
    ValueError
        The model does not give a row of outputs for each jet.
    FloatingPointError
        An output is NaN or infinite.

    Examples
    --------
    >>> from coursekit.nets.deepsets import DeepSets
    >>> predict(DeepSets(1), PackedJets([[1.0], [2.0]], [1, 1], [0, 1])).shape
    (2, 1)
    """
    outputs = _outputs(model, jets, max(1, _number("batch_size", batch_size, int)))[0].float().cpu().numpy()
    bad = np.flatnonzero(~np.isfinite(outputs).all(axis=tuple(range(1, outputs.ndim))))
    if len(bad):
        raise FloatingPointError(
            f"the model gives NaN or infinity for {len(bad)} of {len(outputs)} jets, the first is jet {bad[0]}: look "
            "at its weights, and for extreme inputs"
        )
    return outputs


def rotate_and_flip(
    features: torch.Tensor, counts: torch.Tensor, generator: torch.Generator, columns: tuple[int, int] = (0, 1)
) -> torch.Tensor:
    """Turn each jet about its axis by a random angle, and mirror every second one: other jets that are as likely.

    Nearly so: the detector's cells and the boost along the beam tell eta from phi a little.

    Parameters
    ----------
    features : (T, F) tensor
        Not changed.
    counts : (N,) int64 tensor
    generator : torch.Generator
        On the CPU.
    columns : (int, int)
        Where d_eta and d_phi are: (0, 1) in `coursekit.jets.relative_features`, (1, 2) in ``flow_features``.

    Returns
    -------
    (T, F) tensor

    Examples
    --------
    >>> jet = torch.tensor([[0.3, 0.4, 7.0]])
    >>> turned = rotate_and_flip(jet, torch.tensor([1]), torch.Generator().manual_seed(1))
    >>> round(float(turned[0, :2].norm()), 4), float(turned[0, 2])
    (0.5, 7.0)
    """
    eta, phi = columns
    angle = 2 * math.pi * torch.rand(len(counts), generator=generator)
    sign = 1 - 2 * torch.randint(2, (len(counts),), generator=generator)
    turn = torch.stack([angle.cos(), angle.sin(), sign], dim=1).to(features.device, features.dtype)  # (N, 3)
    cos, sin, sign = torch.repeat_interleave(turn, counts, dim=0, output_size=len(features)).unbind(dim=1)  # (T,) each
    turned = features.clone()
    turned[:, eta] = cos * features[:, eta] - sin * features[:, phi]
    turned[:, phi] = sign * (sin * features[:, eta] + cos * features[:, phi])
    return turned


def _steps(batches: tuple, epoch: int, epochs: int, schedule, learning_rate: float) -> Iterator:
    """Go through the steps of an epoch: learning rate and numbers of the jets of each."""
    rate_of = SCHEDULES.get(schedule, schedule)
    for step, batch in enumerate(batches):
        yield learning_rate * rate_of((epoch + step / len(batches)) / epochs), batch


def _gradients(model, jets: PackedJets, batch: torch.Tensor, loss, augment, generator, scaler) -> torch.Tensor:
    """Leave the gradient of the mean loss of a batch of jets in the parameters; return the summed loss."""
    kind, dtype = jets.device.type, _dtype(model)
    total = torch.zeros((), device=jets.device, dtype=dtype)
    for index in batch.split(_CPU_JETS if kind == "cpu" else len(batch)):  # the gradients of the parts add up
        features, counts, targets = jets.batch(index)
        if augment is not None:
            features = _augmented(augment, features, counts, generator)
        outputs = in_half(model, kind, dtype, functools.partial(_forward, model, features.to(dtype), counts))
        part = loss(outputs.to(dtype), targets.to(dtype)) * len(index)
        scaler.scale(part / len(batch)).backward()  # so that the small gradients of float16 stay above zero
        total += part.detach()
    return total


def _augmented(augment, features: torch.Tensor, counts: torch.Tensor, generator) -> torch.Tensor:
    found = augment(features, counts, generator)
    if getattr(found, "shape", None) == features.shape and isinstance(found, torch.Tensor):
        return found
    raise ValueError(f"augment must return a tensor {tuple(features.shape)}, as it came; it gave {type(found)}")


def _update(model, optimizer, scaler, rate: float) -> None:
    """Take a step against the gradients and forget them."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    scaler.unscale_(optimizer)
    nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)  # one odd batch shall not undo the training
    scaler.step(optimizer)
    scaler.update()
    optimizer.zero_grad()


def _outputs(model: nn.Module, jets: PackedJets, batch_size: int = 512) -> tuple[torch.Tensor, torch.Tensor]:
    """Return outputs (N, K) and targets (N, K) in the precision of the model, at least float32."""
    dtype, mode = _dtype(model), model.training
    model.eval()
    try:
        with torch.no_grad():
            batches = map(jets.batch, torch.arange(len(jets)).split(batch_size))
            parts = [_forward(model, features.to(dtype), counts) for features, counts, _ in batches]
    finally:
        model.train(mode)
    dtype = torch.promote_types(dtype, torch.float32)
    return torch.cat(parts).to(dtype), jets.targets.to(dtype)


def _forward(model: nn.Module, features: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    outputs = model(features, counts)
    if not isinstance(outputs, torch.Tensor) or outputs.ndim == 0 or len(outputs) != len(counts):
        found = f"a tensor {tuple(outputs.shape)}" if isinstance(outputs, torch.Tensor) else type(outputs).__name__
        raise ValueError(f"the model must give one tensor (N, K) for N = {len(counts)} jets; it gave {found}")
    return outputs[:, None] if outputs.ndim == 1 else outputs


def _dtype(model: nn.Module) -> torch.dtype:
    """Return the precision in which a model computes."""
    return next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)


def _checkpoint(path, settings, loss, augment, samples: dict[str, PackedJets], *state) -> Checkpoint | None:
    """Return the checkpoint of a training, which knows it by its settings, its functions and its jets."""
    if path is None:
        return None
    settings = settings | {"loss": describe(loss), "augment": describe(augment)}
    for name, jets in samples.items():
        settings[f"{name} jets"] = len(jets)
        settings[f"values of the {name} jets"] = digest(jets.features, jets.counts, jets.targets)
    return Checkpoint(path, settings, *state)


def _beginning(model: nn.Module, saved: Checkpoint | None) -> tuple[dict[str, list[float]], dict]:
    """Return history and best weights of a training that begins, or goes on from a checkpoint."""
    if saved and saved.path.exists():
        return saved.restore()
    return {"loss": [], "val_loss": [], "learning_rate": []}, _weights(model)


def _weights(model: nn.Module) -> dict[str, torch.Tensor]:
    return copy.deepcopy(model.state_dict())


def _patience_lost(val_loss: list[float], patience: int | None) -> bool:
    return patience is not None and len(val_loss) > 0 and len(val_loss) - 1 - int(np.argmin(val_loss)) >= patience


def _is_best(history: dict[str, list[float]], loss, val_loss, rate: float, learning_rate: float) -> bool:
    """Add an epoch to a history, if its losses are numbers; say whether it is the best so far."""
    loss, val_loss = float(loss), float(val_loss)
    for name, value in (("loss", loss), ("val_loss", val_loss), ("learning_rate", rate)):
        history[name].append(value)
    if not math.isfinite(loss + val_loss):
        raise FloatingPointError(
            f"the loss of epoch {len(history['loss'])} is {loss}, that of the validation jets {val_loss}: lower the "
            f"learning rate ({learning_rate:g}), look for extreme inputs"
        )
    return val_loss == min(history["val_loss"])


def _settings(epochs, batch_size, learning_rate, schedule, weight_decay, patience) -> dict[str, int | float | str]:
    """Return the settings as plain numbers, whatever came, of NumPy or PyTorch; or say which one is none."""
    settings = {
        "epochs": _number("epochs", epochs, int),
        "batch_size": _number("batch_size", batch_size, int),
        "learning_rate": _number("learning_rate", learning_rate, float),
        "schedule": schedule,
        "weight_decay": _number("weight_decay", weight_decay, float),
        "patience": None if patience is None else _number("patience", patience, int),
    }
    known = callable(schedule) or schedule in SCHEDULES
    if not known or settings["epochs"] < 1 or settings["batch_size"] < 1:
        raise ValueError(
            f"expected schedule {listed(SCHEDULES)} or a function, epochs and batch_size of at least 1; got "
            f"{schedule!r}, {settings['epochs']} and {settings['batch_size']}"
        )
    return settings


def _unusual(schedule, optimizer, weights) -> dict[str, str]:
    """Return what a checkpoint has to know of a training beside its plain settings; nothing where all is usual."""
    found = {"schedule": describe(schedule)} if callable(schedule) else {}
    found |= {} if optimizer is None else {"optimizer": describe(optimizer)}
    return found if weights is None else found | {"weights": "behind the targets"}


def _descent(model: nn.Module, device: torch.device, make: Callable | None, learning_rate: float, weight_decay: float):
    """Return the optimiser, and the scaler of its gradients."""
    make = make or functools.partial(torch.optim.AdamW, weight_decay=weight_decay)
    return make(model.parameters(), lr=learning_rate), torch.amp.GradScaler(device.type, enabled=device.type in HALF)


def _number(name: str, value, kind: type) -> int | float:
    with contextlib.suppress(TypeError, ValueError, OverflowError, RuntimeError):
        if np.ndim(value) == 0 and 0 <= kind(value) == value < math.inf:
            return kind(value)
    raise ValueError(f"{name} must be a {'whole ' if kind is int else ''}number of at least 0, but is {value!r}")


def _check(model: nn.Module, samples: dict[str, PackedJets], generator) -> torch.device:
    """Return the device of all three, or say what does not fit."""
    for name, thing in {"model": model, "generator": generator, **samples}.items():
        kind = {"model": nn.Module, "generator": torch.Generator}.get(name, PackedJets)
        if not isinstance(thing, kind):
            raise TypeError(f"{name} is a {kind.__module__}.{kind.__name__}, but {type(thing)} came")
    if not any(p.requires_grad for p in model.parameters()):
        raise ValueError("the model has no parameter that learns: requires_grad is False for all, or there is none")
    if _dtype(model) not in (torch.float32, torch.float64):
        raise ValueError(
            f"the model is in {_dtype(model)}, in which the small steps of a training are lost: model.float(). On an "
            "NVIDIA GPU a training uses half precision by itself"
        )
    if generator.device.type != "cpu":
        raise ValueError(f"the generator is on {generator.device}: torch.Generator() without a device is on the CPU")
    device = next(model.parameters()).device
    if any(jets.device != device for jets in samples.values()):
        found = ", ".join(f"the {name} jets on {jets.device}" for name, jets in samples.items())
        raise ValueError(f"the model is on {device}, {found}: move all of them, as model.to(device), jets.to(device)")
    return device
