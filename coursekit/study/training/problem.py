"""What one training has to learn: events, targets and weights, looked at before anything is trained."""

from dataclasses import dataclass

import numpy as np

from coursekit.arrays import positive_sum
from coursekit.metrics import auc
from coursekit.study.dataset import Dataset, View
from coursekit.study.settings import Study


@dataclass(frozen=True)
class Problem:
    """One training of a study.

    Attributes
    ----------
    study : Study
    dataset : Dataset
    view : View
    fold : int or None
    kind : {"table", "picture", "set"}
        What an event is.
    shape : int or tuple of int
        F, the columns of a table or of constituents; of pictures (H, W, C).
    n_outputs : int
        C: 1 for two classes and for a regression, else K.
    targets : (N,) array
        Labels, float32 for two classes and int64 for more; of a regression float32 with mean zero and variance one.
    offset, spread : float
        Weighted mean and standard deviation of the training targets of a regression; 0 and 1 otherwise.
    """

    study: Study
    dataset: Dataset
    view: View
    fold: int | None
    kind: str
    shape: int | tuple[int, ...]
    n_outputs: int
    targets: np.ndarray
    offset: float = 0.0
    spread: float = 1.0

    @property
    def is_regression(self) -> bool:
        """Whether numbers are learned, and no classes."""
        return self.study.train.task == "regression"

    def measures(self, part: str, outputs: np.ndarray) -> dict[str, float]:
        """Return weighted accuracy and AUC of the outputs (n, C) for a part, "training" or "validation".

        Exact, over all its events; for more than two classes the AUC is the mean of those of each class against all
        others. For a regression there is neither.
        """
        if self.is_regression:
            return {}
        rows = getattr(self.view, part)
        labels, weights = self.targets[rows], self.view.weights[rows]
        if self.n_outputs == 1:
            right = (outputs[:, 0] > 0.5) == (labels == 1)
            areas = [auc(labels == 1, outputs[:, 0], weights).value]
        else:
            right = outputs.argmax(axis=1) == labels
            areas = [auc(labels == k, outputs[:, k], weights).value for k in range(self.n_outputs)]
        return {"accuracy": float((weights * right).sum() / weights.sum()), "auc": float(np.mean(areas))}

    def in_units(self, outputs: np.ndarray) -> np.ndarray:
        """Return outputs (n, C) as scores, float32: of a regression in the units of its target."""
        if not self.is_regression:
            return outputs.astype(np.float32)
        return (outputs.astype(np.float64) * self.spread + self.offset).astype(np.float32)


def make_problem(study: Study, dataset: Dataset, fold: int | None) -> Problem:
    """Return what one training has to learn.

    Parameters
    ----------
    study : Study
    dataset : Dataset
    fold : int or None

    Returns
    -------
    Problem

    Raises
    ------
    ValueError
        A part is empty, holds one class alone or all targets are equal, the weights of a class cancel or are all zero
        there, or a batch is larger than the training part.
    """
    view = dataset.view(fold)
    for part in ("training", "validation"):
        if len(getattr(view, part)) == 0:
            raise ValueError(f"the {part} part has no events: look at input.split and at the cuts")
    if study.train.network != "boosted_trees" and study.train.batch_size > len(view.training):
        raise ValueError(
            f"train.batch_size is {study.train.batch_size}, and the training part has {len(view.training)} events: "
            "take a smaller batch, or more events"
        )
    kind, shape = _kind(view)
    if study.train.task == "regression":
        targets, offset, spread = _scaled(dataset, view)
        return Problem(study, dataset, view, fold, kind, shape, 1, targets, offset, spread)
    labels, names = (dataset.labels, dataset.classes)
    if study.train.task == "cwola":
        labels, names = view.labels, ("mixture 0", "mixture 1")
    _require_classes(labels, names, view)
    targets = labels.astype(np.float32) if len(names) == 2 else labels.astype(np.int64)
    return Problem(study, dataset, view, fold, kind, shape, 1 if len(names) == 2 else len(names), targets)


def _kind(view: View) -> tuple[str, int | tuple[int, ...]]:
    inputs = view.inputs(view.training[:2])
    if hasattr(inputs, "counts"):
        return "set", int(inputs.features.shape[1])
    if inputs.ndim == 2:
        return "table", int(inputs.shape[1])
    return "picture", tuple(int(n) for n in inputs.shape[1:])


def _require_classes(labels: np.ndarray, names: tuple[str, ...], view: View) -> None:
    """Refuse parts in which a class is not there, or counts for nothing."""
    if len(names) < 2:
        raise ValueError(
            f"there is one class alone, {names[0]}: nothing can be told apart. Name signals and backgrounds"
        )
    for part in ("training", "validation"):
        rows = getattr(view, part)
        for number, name in enumerate(names):
            of_class = rows[labels[rows] == number]
            if len(of_class) == 0:
                raise ValueError(
                    f"the {part} part has {len(rows)} events and none of class {name}: look at the cuts and at "
                    "input.split; --debug reads few events"
                )
            positive_sum(view.weights[of_class], f"the training weights of class {name} in the {part} part")


def _scaled(dataset: Dataset, view: View) -> tuple[np.ndarray, float, float]:
    """Return targets with mean zero and variance one on the training events, and both as they were."""
    rows = view.training
    known, weights = dataset.targets[rows].astype(np.float64), view.weights[rows]
    total = positive_sum(weights, "the weights of the training events")
    offset = float((weights * known).sum() / total)
    variance = float((weights * (known - offset) ** 2).sum() / total)
    if known.min() == known.max() or not variance > 0:
        raise ValueError(
            f"input.target is {known[0]:g} for all training events, or their weights cancel: there is nothing to learn"
        )
    spread = float(np.sqrt(variance))
    return ((dataset.targets - offset) / spread).astype(np.float32), offset, spread
