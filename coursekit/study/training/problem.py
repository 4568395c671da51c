"""What one training has to learn: events, targets and weights, looked at before anything is trained."""

from dataclasses import dataclass

import numpy as np

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
    centre, spread : float
        Weighted mean and standard deviation of the training targets of a regression.
    """

    study: Study
    dataset: Dataset
    view: View
    fold: int | None
    kind: str
    shape: int | tuple[int, ...]
    n_outputs: int
    targets: np.ndarray
    centre: float = 0.0
    spread: float = 1.0

    @property
    def is_regression(self) -> bool:
        """Whether numbers are learned, and no classes."""
        return self.study.train.task == "regression"

    @property
    def gives_probabilities(self) -> bool:
        """Whether scores are probabilities: else they are what the network says, whatever that is."""
        return self.study.train.loss_name == "cross_entropy"

    @property
    def watched(self) -> dict[str, np.ndarray]:
        """The events (n,) of training and validation that are looked at after each epoch.

        All of them; of a dataset that is streamed only as many of the training as validate, in regular distances, so
        that an epoch does not have to read the training twice.
        """
        training, validation = self.view.training, self.view.validation
        step = max(1, len(training) // len(validation)) if self.dataset.streamed else 1
        return {"training": training[::step], "validation": validation}

    def measures(self, rows: np.ndarray, outputs: np.ndarray) -> dict[str, float]:
        """Return weighted accuracy and AUC of the outputs (n, C) for events (n,).

        Exact, over all these events; for more than two classes the AUC is the mean of those of each class against all
        others. For a regression there is neither.
        """
        if self.is_regression:
            return {}
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
        return (outputs.astype(np.float64) * self.spread + self.centre).astype(np.float32)


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
        As `Dataset.view`, such as a part without events of a class; all targets are equal, or a batch is larger than
        the training part.
    """
    view = dataset.view(fold)
    if study.train.network != "boosted_trees" and study.train.batch_size > len(view.training):
        raise ValueError(
            f"train.batch_size is {study.train.batch_size}, and the training part has {len(view.training)} events: "
            "take a smaller batch, or more events"
        )
    kind, shape = _kind(view)
    if study.train.task == "regression":
        centre, spread = target_scale(dataset, view)
        targets = ((dataset.targets - centre) / spread).astype(np.float32)
        return Problem(study, dataset, view, fold, kind, shape, 1, targets, centre, spread)
    n_classes = 2 if study.train.task == "cwola" else len(dataset.classes)
    targets = view.labels.astype(np.float32 if n_classes == 2 else np.int64)
    return Problem(study, dataset, view, fold, kind, shape, 1 if n_classes == 2 else n_classes, targets)


def target_scale(dataset: Dataset, view: View) -> tuple[float, float]:
    """Return weighted mean and standard deviation of the training targets of a regression, in their unit.

    Raises
    ------
    ValueError
        All targets are equal.
    """
    known, weights = dataset.targets[view.training].astype(np.float64), view.weights[view.training]
    centre = float(np.average(known, weights=weights))
    spread = float(np.sqrt(max(np.average((known - centre) ** 2, weights=weights), 0)))
    if not spread > 0:
        raise ValueError(f"input.target is {known[0]:g} for all training events: there is nothing to learn")
    return centre, spread


def _kind(view: View) -> tuple[str, int | tuple[int, ...]]:
    inputs = view.inputs(view.training[:2])
    if hasattr(inputs, "counts"):
        return "set", int(inputs.features.shape[1])
    if inputs.ndim == 2:
        return "table", int(inputs.shape[1])
    return "picture", tuple(int(n) for n in inputs.shape[1:])
