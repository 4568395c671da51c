"""A dataset as one training sees it: parts, training weights, scaled inputs."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from coursekit.preprocess import Scaler
from coursekit.streaming import BatchStream
from coursekit.study.draws import uniform
from coursekit.study.fitted import Fitted, is_scaled
from coursekit.study.stored import CHUNK, taken
from coursekit.study.streaming import fit_scaler, stream
from coursekit.study.training_weights import mixture_labels, training_weights


@dataclass(frozen=True, eq=False)
class View:
    """A dataset as one training sees it: without folds, or in one fold of k.

    Attributes
    ----------
    dataset : Dataset
    training, validation, test : (n,) int64
        Positions of events, rising. The three share none; data are in none.
    labels : (N,) int64
        What is learned: the classes of the dataset, or for `task: cwola` the number of the mixture that an event was
        dealt to, and -1 for the test events and for those that were left out so that the fractions are right.
    weights : (N,) float64
        Of the training and validation: after `negative_weights`, `reweight`, `targets` and class weights. With
        ``negative_weights: keep`` some are negative; 0 for data.
    scaler : Scaler or None
        Fitted on the training events and no others; of constituents with those of the training jets.
    resets : dict of str to (values, shares)
        For each feature that is reset in training: the values to draw from and their cumulative shares.
    """

    dataset: object
    training: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    labels: np.ndarray
    weights: np.ndarray
    scaler: Scaler | None
    resets: dict[str, tuple[np.ndarray, np.ndarray]]

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the F' columns of the inputs: features, then checks."""
        return self.dataset.features if self.scaler is None else self.scaler.outputs

    def inputs(self, rows: np.ndarray, evaluation: bool = False):
        """Return what the network sees of some events.

        Parameters
        ----------
        rows : (n,) int64
            Positions in the dataset.
        evaluation : bool
            With features that are reset: as where the network is applied, not as in the training.

        Returns
        -------
        (n, F') float32 array
            Scaled, with the checks behind; for `images` (n, H, W, C), for `constituents` a
            `coursekit.jets.packed.PackedJets` whose targets have two columns, what `targets` gives and the weight.
        """
        rows = np.asarray(rows)
        if self.dataset.images is not None:
            return self.dataset.images[rows]
        if self.dataset.constituents is None:
            return self.scaled(_table(self.dataset, rows), rows, evaluation)
        raw = _raw(self.dataset, rows, self.resets, evaluation)
        scaled = raw if self.scaler is None else self.scaler.transform(raw)
        from coursekit.jets.packed import PackedJets

        targets = np.stack([self.targets(rows), self.weights[rows]], axis=1)
        return PackedJets(scaled, self.dataset.constituents.counts[rows], targets)

    def raw_inputs(self, rows: np.ndarray) -> np.ndarray:
        """Return what `inputs` scales, features (n, F) or of all constituents (T, F) float32; pictures as they are."""
        if self.dataset.images is not None:
            return self.dataset.images[rows]
        return _raw(self.dataset, rows, {}, evaluation=True)

    def scaled(self, table: np.ndarray, rows: np.ndarray, evaluation: bool = False) -> np.ndarray:
        """Return the inputs (n, F') of events whose features (n, F) were read already."""
        table = _with_resets(self.dataset, table, rows, self.resets, evaluation)
        return table if self.scaler is None else self.scaler.transform(table)

    def chunks(self, rows: np.ndarray, evaluation: bool = False, size: int = CHUNK) -> Iterator[np.ndarray]:
        """Go through the inputs of some events in their order, (n, F') at a time."""
        for start in range(0, len(rows), size):
            yield self.inputs(rows[start : start + size], evaluation)

    def stream(self, part: str, batch_size: int, seed: int | None) -> BatchStream:
        """Return the batches of a part of a streamed dataset, inputs, targets and weights, each epoch in another order.

        Parameters
        ----------
        part : {"training", "validation"}
        batch_size : int
        seed : int or None
            Of the order; None keeps the order of the files, which are shuffled.

        Notes
        -----
        Events that are removed because of a negative weight, or left out of the mixtures, come with weight 0.
        """
        return stream(self, part, batch_size, seed)

    def targets(self, rows: np.ndarray) -> np.ndarray:
        """Return what the network shall say: labels (n,) int64, or the target (n,) float64 in its own unit."""
        return self.labels[rows] if self.dataset.targets is None else self.dataset.targets[rows]

    @cached_property
    def summary(self) -> list[dict]:
        """Events and sums of weights of each class in each part: what the network trains on."""
        dataset, found = self.dataset, []
        for part in ("training", "validation", "test"):
            rows = getattr(self, part)
            for number, name in enumerate(dataset.classes):
                chosen = rows[dataset.labels[rows] == number]
                found.append(
                    {
                        "part": part,
                        "class": name,
                        "events": len(chosen),
                        "weight": float(dataset.weights[chosen].sum()),
                        "training weight": float(self.weights[chosen].sum()),
                    }
                )
        return found


def make_view(dataset, training: np.ndarray, validation: np.ndarray, test: np.ndarray) -> View:
    """Fit all that a training fits before its network, on the training events and no others."""
    settings, task = dataset.study.input, dataset.study.train.task
    if settings.negative_weights == "remove":
        training, validation = (rows[dataset.weights[rows] >= 0] for rows in (training, validation))
    labels, weights = dataset.labels, training_weights(dataset, training, validation)
    if task == "cwola" and settings.mixtures:
        labels = mixture_labels(dataset, weights, (training, validation))
        training, validation = (rows[labels[rows] >= 0] for rows in (training, validation))
    resets = {name: _reset(dataset, name, training, weights) for name in settings.reset}
    scaler = _scaler(dataset, training, weights, resets)
    return View(dataset, training, validation, test, labels, weights, scaler, resets)


def applied_view(dataset, fitted: Fitted, training: np.ndarray, validation: np.ndarray, test: np.ndarray) -> View:
    """Return the dataset for a network that was trained on other events: nothing is fitted, weights are physical."""
    weights = np.where(dataset.labels >= 0, dataset.weights, 0.0)
    return View(dataset, training, validation, test, dataset.labels, weights, fitted.scaler, fitted.resets)


def _table(dataset, rows: np.ndarray) -> np.ndarray:
    """Return the features of events as they are, (n, F) float32."""
    table = np.empty((len(rows), len(dataset.study.input.features)), dtype=np.float32)
    for i, name in enumerate(dataset.study.input.features):
        table[:, i] = taken(dataset.columns, name, rows)
    return table


def _with_resets(dataset, table: np.ndarray, rows: np.ndarray, resets: dict, evaluation: bool) -> np.ndarray:
    table = table.copy() if dataset.study.input.reset else table
    for i, name in enumerate(dataset.study.input.features):
        if name in dataset.study.input.reset:
            table[:, i] = _with_reset(dataset, name, table[:, i], rows, resets.get(name), evaluation)
    return table


def _raw(dataset, rows: np.ndarray, resets: dict, evaluation: bool) -> np.ndarray:
    """Return the features of events before they are scaled, (n, F) or, of their constituents, (T, F), float32."""
    constituents = dataset.constituents
    table = _with_resets(dataset, _table(dataset, rows), rows, resets, evaluation)
    if constituents is None:
        return table
    of_each = constituents.features[constituents.rows(rows)]
    if not table.shape[1]:
        return of_each
    return np.concatenate([of_each, np.repeat(table, constituents.counts[rows], axis=0)], axis=1)


def _with_reset(dataset, name: str, column: np.ndarray, rows: np.ndarray, drawn_from, evaluation: bool) -> np.ndarray:
    reset = dataset.study.input.reset[name]
    if evaluation and reset.evaluation is not None:
        return np.full(len(rows), reset.evaluation)
    values, shares = drawn_from
    u = uniform(dataset.places_of(rows), dataset.study.job.seed, f"reset {name}")
    drawn = values[np.minimum(np.searchsorted(shares, u, side="right"), len(values) - 1)]
    return np.where(_is_reset(dataset, name, rows), drawn, column)


def _is_reset(dataset, name: str, rows: np.ndarray) -> np.ndarray:
    numbers = [dataset.classes.index(label) for label in dataset.study.input.reset[name].classes]
    return np.isin(dataset.labels[rows], [*numbers, -1])


def _reset(dataset, name: str, training: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the values that a reset draws from, and their cumulative shares."""
    reset = dataset.study.input.reset[name]
    if reset.training != "signal":
        values = np.atleast_1d(np.array(reset.training, dtype=np.float64))
        return values, np.arange(1, len(values) + 1) / len(values)
    rows = training[~_is_reset(dataset, name, training)]
    column, w = taken(dataset.columns, name, rows), np.maximum(weights[rows], 0)
    if not w.any():
        raise ValueError(
            f"input.reset.{name}: no training event of another class has a weight: there is nothing to draw"
        )
    values, number = np.unique(column, return_inverse=True)
    shares = np.cumsum(np.bincount(number, w))
    return values.astype(np.float64), shares / shares[-1]


def _of_scaler(dataset, weights: np.ndarray) -> np.ndarray | None:
    if dataset.study.input.scale != "weighted":
        return None
    if (weights < 0).any():
        raise ValueError(
            f"input.scale: weighted, but {(weights < 0).sum()} training weights are negative, and a variance could be, "
            f"too: choose scale: unweighted, or negative_weights other than keep"
        )
    return weights


def _scaler(dataset, training: np.ndarray, weights: np.ndarray, resets: dict) -> Scaler | None:
    settings = dataset.study.input
    if not is_scaled(settings):
        return None
    w = _of_scaler(dataset, weights[training])
    if dataset.constituents is not None and w is not None:
        w = np.repeat(w, dataset.constituents.counts[training])
    if dataset.streamed:
        return fit_scaler(dataset, dataset.features, lambda rows: _raw(dataset, rows, resets, False), training, w)
    raw = _raw(dataset, training, resets, False)
    try:
        return Scaler.fit(raw, dataset.features, w, settings.defaults, fill=settings.fill, checks=settings.checks)
    except ValueError as error:
        raise ValueError(f"input.features, in the {len(training)} training events: {error}") from None
