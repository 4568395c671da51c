"""What a loss is given, and what it must return: mistakes here would train a network on nonsense, without a word."""

import copy
import functools
from collections.abc import Callable

try:
    import torch
except ImportError as error:
    raise ImportError('losses are functions of PyTorch tensors: pip install "coursekit[torch]"') from error

# The losses that take one class per jet, each with its module.
_OF_CLASSES = {"cross_entropy": "CrossEntropyLoss", "nll_loss": "NLLLoss", "multi_margin_loss": "MultiMarginLoss"}
# Those that take labels -1 and 1.
_OF_SIGNS = {"soft_margin_loss": "SoftMarginLoss", "hinge_embedding_loss": "HingeEmbeddingLoss"}
# And those that take labels between 0 and 1.
_OF_LABELS = {"binary_cross_entropy_with_logits": "BCEWithLogitsLoss", "binary_cross_entropy": "BCELoss"}


class CheckedLoss:
    """A loss that has seen whether its targets can be learned, and gets them in the form that it takes.

    Parameters
    ----------
    loss : callable
        ``loss(outputs, targets)`` returns the mean over the batch, one number. A loss of PyTorch on classes
        (``cross_entropy``, ``nll_loss``, their modules, a ``functools.partial`` of them) is given the targets as (N,)
        int64, if there is one column of them; any other gets them as they are.
    targets : dict of str to (N, K) float tensor
        The targets of each sample, by the name that errors call it.
    weighted : bool
        Whether the last column of the targets is a weight: the loss is then the mean over the batch of weight times
        loss, and a function of yours returns a loss for each jet, (B,) or (B, K).

    Raises
    ------
    ValueError
        All targets of a sample are equal, the samples have different columns, the targets are not what the loss takes,
        or it does not return a mean.

    Examples
    --------
    >>> loss = CheckedLoss(torch.nn.functional.cross_entropy, {"training": torch.tensor([[0.0], [2.0]])})
    >>> round(float(loss(torch.zeros(1, 3), torch.tensor([[2.0]]))), 4)  # log 3
    1.0986
    """

    def __init__(self, loss: Callable, targets: dict[str, torch.Tensor], weighted: bool = False):
        self._loss, self._name, self._n_classes, self._weighted = loss, _name_in_torch(loss), 0, weighted
        if not callable(loss) or isinstance(loss, type):
            raise TypeError(f"the loss is a function, or a module such as torch.nn.MSELoss(), but {loss!r} came")
        reduction = _reduction(loss)
        if reduction not in ("mean", "batchmean"):
            raise ValueError(f'the loss must return the mean over the batch: reduction is "mean", not {reduction!r}')
        if weighted:
            self._loss = _of_each(loss)
            targets = {name: values[:, :-1] for name, values in targets.items()}
        for name, values in targets.items():
            if len(values) == 0 or (values == values[0]).all():
                raise ValueError(
                    f"the {len(values)} {name} jets have a target that is the same for all, {values[:1].tolist()}: "
                    "there is nothing to learn; are signal and background both there?"
                )
            self._require_known(values, name)
        columns = {name: values.shape[1] for name, values in targets.items()}
        if len(set(columns.values())) > 1:
            raise ValueError(f"the samples have targets of different kinds, with these numbers of columns: {columns}")

    def __call__(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the mean loss of outputs (B, K') for targets (B, K), a tensor without dimensions."""
        if self._weighted:
            targets, weights = targets[:, :-1], targets[:, -1]
        n_outputs, n_columns = outputs.shape[-1], targets.shape[1]
        if self._name in _OF_CLASSES:
            n_classes = self._n_classes if n_columns == 1 else n_columns
            if outputs.ndim != 2 or n_outputs < max(2, n_classes) or (n_columns > 1 and n_outputs != n_classes):
                raise ValueError(
                    f"{self._name} takes an output for each of the {max(2, n_classes)} classes, but the model gives "
                    f"{n_outputs}: DeepSets(..., n_outputs={max(2, n_classes)})"
                )
            targets = targets[:, 0].long() if n_columns == 1 else targets
        elif self._name and outputs.shape != targets.shape:
            raise ValueError(
                f"{self._name} compares each output with a target, but the model gives {tuple(outputs.shape)} for "
                f"targets {tuple(targets.shape)}: an output for each target, or another loss"
            )
        try:
            value = self._loss(outputs, targets)
        except (RuntimeError, TypeError) as error:
            if isinstance(error, torch.OutOfMemoryError) or not (self._name or isinstance(error, RuntimeError)):
                raise
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            kind = str(outputs.dtype).removeprefix("torch.")
            raise ValueError(
                f"the loss cannot be taken of outputs {tuple(outputs.shape)} and targets {tuple(targets.shape)}, both "
                f"{kind} ({reason}): weights in a loss are tensors of this type on {outputs.device}; in a function of "
                "yours the numbers of classes are targets[:, 0].long()"
            ) from error
        if self._weighted:
            value = _weighted_mean(value, weights)
        if not isinstance(value, torch.Tensor) or value.ndim:
            found = f"a tensor {tuple(value.shape)}" if isinstance(value, torch.Tensor) else type(value).__name__
            raise ValueError(f"the loss must return the mean over the batch, a tensor with one number; it gave {found}")
        if outputs.requires_grad and not value.requires_grad:
            raise ValueError(
                "the loss has no gradient: a comparison, a rounding, detach(), item() or no_grad() in it cuts the way "
                "back to the outputs"
            )
        return value

    def _require_known(self, targets: torch.Tensor, sample: str) -> None:
        """Refuse targets of which a loss of PyTorch would make nonsense, and count the classes."""
        low, high = float(targets.min()), float(targets.max())
        if self._name in _OF_LABELS and not 0 <= low <= high <= 1:
            raise ValueError(
                f"{self._name} takes labels between 0 and 1, the {sample} jets have targets from {low:g} to {high:g}: "
                "for a regression pass another loss, such as torch.nn.functional.mse_loss"
            )
        if self._name in _OF_SIGNS and not (targets.abs() == 1).all():
            raise ValueError(
                f"{self._name} takes labels -1 and 1, the {sample} jets have targets from {low:g} to {high:g}, or "
                "between: 2 * labels - 1"
            )
        if self._name not in _OF_CLASSES:
            return
        if targets.shape[1] == 1:
            if low < 0 or (targets != targets.round()).any():
                raise ValueError(
                    f"{self._name} takes the numbers of classes, 0, 1, 2 ...; the {sample} jets have targets from "
                    f"{low:g} to {high:g}, or between whole numbers"
                )
            self._n_classes = max(self._n_classes, int(high) + 1)
        elif self._name != "cross_entropy":
            raise ValueError(f"{self._name} takes the number of a class, targets (N,); got {targets.shape[1]} columns")
        elif not (low >= 0 and ((targets.sum(dim=1) - 1).abs() < 1e-3).all()):
            raise ValueError(
                f"cross_entropy takes the number of a class, or probabilities that add up to one; the "
                f"{targets.shape[1]} targets of some {sample} jets are not"
            )


def _of_each(loss: Callable) -> Callable:
    """Return what gives the loss of each jet: a loss of PyTorch that does not average, or a function of the user's."""
    if isinstance(loss, torch.nn.Module) and hasattr(loss, "reduction"):
        loss = copy.copy(loss)
        loss.reduction = "none"
    elif _name_in_torch(loss):
        loss = functools.partial(loss, reduction="none")
    return loss


def _weighted_mean(values, weights: torch.Tensor) -> torch.Tensor:
    if getattr(values, "shape", torch.Size())[:1] != weights.shape:
        found = f"a tensor {tuple(values.shape)}" if isinstance(values, torch.Tensor) else type(values).__name__
        raise ValueError(f"with weights the loss must return that of each of the {len(weights)} jets; it gave {found}")
    return (weights * values.reshape(len(weights), -1).mean(dim=1)).mean()


def _name_in_torch(loss: Callable) -> str:
    """Return the name of the function of PyTorch that a loss is or calls, empty for a loss of another origin."""
    while isinstance(loss, functools.partial):
        loss = loss.func
    for kind in type(loss).__mro__:
        if kind.__module__ == "torch.nn.modules.loss" and not kind.__name__.startswith("_"):
            names = {module: name for name, module in (_OF_CLASSES | _OF_LABELS | _OF_SIGNS).items()}
            return names.get(kind.__name__, kind.__name__)
    return loss.__name__ if getattr(loss, "__module__", "") == "torch.nn.functional" else ""


def _reduction(loss: Callable) -> str:
    """Return what a loss makes of the losses of the jets: what the outermost partial says, else the module in it."""
    while isinstance(loss, functools.partial):
        if "reduction" in loss.keywords:
            return loss.keywords["reduction"]
        loss = loss.func
    return getattr(loss, "reduction", "mean")
