"""Training in PyTorch: the loop of lesson 9 with a weight for each event, and with the settings of a study."""

import copy
import functools
import io
import math
from collections.abc import Callable

import numpy as np

from coursekit.schedules import inverse_time
from coursekit.study.networks import build, require_outputs
from coursekit.study.settings.train import Optimiser
from coursekit.study.training.problem import Problem
from coursekit.study.training.watch import Watch

_LOSSES = {"mse": "mse_loss", "mae": "l1_loss", "huber": "huber_loss"}


def fit(problem: Problem, seed: int, watch: Watch) -> tuple[Callable, dict[str, bytes]]:
    """Train a network of PyTorch: gradients are cut off at a norm of one, and a GPU computes in float16.

    Parameters
    ----------
    problem : Problem
    seed : int
    watch : Watch

    Returns
    -------
    outputs : callable
        From what `View.inputs` gives to outputs (n, C) float32: probabilities, or the value of a regression.
    files : dict of str to bytes
        ``network.pt`` with the parameters, and those of `save_every`.

    Raises
    ------
    ValueError
        The network does not fit the events.
    FloatingPointError
        The loss is no longer a number.
    """
    import torch

    from coursekit.training import pick_device, train

    settings, view, device = problem.study.train, problem.view, pick_device()
    torch.manual_seed(seed)
    model = build(settings.network, settings.options, problem.shape, problem.n_outputs, problem.kind).to(device)
    few = view.inputs(view.training[:8])
    require_outputs(settings.network, lambda: logits_of(model, few), problem.n_outputs, probabilities=False)
    jets = {name: _packed(problem, name).to(device) for name in ("training", "validation")}
    n_steps = math.ceil(len(jets["training"]) / settings.batch_size) * settings.epochs
    kept, files = {}, {}

    def after_epoch(history) -> bool:
        measured = {name: history[name][-1] for name in ("loss", "val_loss")}
        outputs = {name: _probabilities(problem, predicted(model, part)) for name, part in jets.items()}
        for part, prefix in (("training", ""), ("validation", "val_")):
            measured |= {
                f"{prefix}{name}": value
                for name, value in problem.measures(problem.watched[part], outputs[part]).items()
            }
        if watch.epoch(measured, problem.in_units(outputs["validation"])):
            kept["state"] = copy.deepcopy(model.state_dict())
        if settings.save_every and watch.n_epochs % settings.save_every == 0:
            files[f"epoch_{watch.n_epochs:03d}.pt"] = _saved(model)
        return watch.stops

    train(
        model,
        jets["training"],
        jets["validation"],
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        learning_rate=settings.optimiser.learning_rate,
        schedule=schedule_of(settings.optimiser, n_steps),
        optimizer=optimiser_of(settings.optimiser),
        loss=_loss(problem),
        weights=tuple(view.weights[getattr(view, name)] for name in jets),
        after_epoch=after_epoch,
        generator=torch.Generator().manual_seed(seed),
    )
    model.load_state_dict(kept["state"])
    files["network.pt"] = _saved(model)
    return functools.partial(_outputs, problem, model), files


def load(content: bytes, problem: Problem) -> Callable:
    """Return the outputs of a network that was kept as the bytes of a ``.pt`` file."""
    from coursekit.training import pick_device

    return functools.partial(_outputs, problem, exportable(content, problem).to(pick_device()))


def exportable(content: bytes, problem: Problem):
    """Return the network that was kept as the bytes of a ``.pt`` file, built as the study says, on the CPU."""
    import torch

    settings = problem.study.train
    model = build(settings.network, settings.options, problem.shape, problem.n_outputs, problem.kind)
    model.load_state_dict(torch.load(io.BytesIO(content), map_location="cpu", weights_only=True))
    return model


def predicted(model, jets) -> np.ndarray:
    """Return what a network gives for packed jets, (n, C) float32."""
    from coursekit.training import predict

    return predict(model, jets)


def logits_of(model, inputs) -> np.ndarray:
    """Return what a network gives for inputs of any kind, (n, C) float32."""
    from coursekit.jets.packed import PackedJets

    device = next(model.parameters()).device
    if not isinstance(inputs, PackedJets):
        inputs = _rows(inputs, np.zeros(len(inputs)))
    return predicted(model, inputs.to(device))


def optimiser_of(settings: Optimiser) -> Callable:
    """Return what makes the optimiser of PyTorch that the settings describe, ``make(parameters, lr=...)``."""
    import torch

    if settings.name == "sgd":
        return functools.partial(torch.optim.SGD, momentum=settings.momentum, nesterov=settings.nesterov)
    if settings.name == "adamw":
        return functools.partial(torch.optim.AdamW, weight_decay=settings.weight_decay)
    return torch.optim.Adam


def schedule_of(settings: Optimiser, n_steps: int) -> str | Callable[[float], float]:
    """Return how the learning rate changes along a training of so many steps."""
    if settings.decay:
        return functools.partial(inverse_time, n_steps=n_steps, decay=settings.decay)
    return settings.schedule


def _outputs(problem: Problem, model, inputs) -> np.ndarray:
    return _probabilities(problem, logits_of(model, inputs))


def _probabilities(problem: Problem, logits: np.ndarray) -> np.ndarray:
    """Return what logits (n, C) stand for, float32, or the values that they are."""
    import torch

    if not problem.gives_probabilities:
        return logits
    logits = torch.from_numpy(logits)
    return (logits.sigmoid() if problem.n_outputs == 1 else logits.softmax(dim=1)).numpy()


def _packed(problem: Problem, part: str):
    """Return the events of a part as packed jets, with what shall be learned of them."""
    from coursekit.jets.packed import PackedJets

    rows = getattr(problem.view, part)
    inputs, targets = problem.view.inputs(rows), problem.targets[rows]
    if isinstance(inputs, PackedJets):
        return PackedJets(inputs.features, inputs.counts, targets)
    return _rows(inputs, targets)


def _rows(inputs: np.ndarray, targets: np.ndarray):
    """Return events (n, ...) as jets of one constituent each."""
    from coursekit.jets.packed import PackedJets

    return PackedJets(inputs.reshape(len(inputs), -1), np.ones(len(inputs), np.int64), targets)


def _loss(problem: Problem) -> Callable:
    from torch.nn import functional

    if not problem.gives_probabilities:
        return getattr(functional, _LOSSES[problem.study.train.loss_name])
    return functional.binary_cross_entropy_with_logits if problem.n_outputs == 1 else functional.cross_entropy


def _saved(model) -> bytes:
    import torch

    content = io.BytesIO()
    torch.save({name: value.cpu() for name, value in model.state_dict().items()}, content)
    return content.getvalue()
