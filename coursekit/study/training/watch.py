"""Epoch after epoch of one training: what was measured, which epoch is the best, and whether it is time to stop."""

import math
from collections.abc import Callable

import numpy as np

from coursekit.study.settings import Study

Report = Callable[[int, dict], None]


class Watch:
    """Follows one training, whatever trains it.

    Parameters
    ----------
    study : Study
    report : callable, optional
        Called after each epoch with its number, from 1, and all that was measured, ``scores`` (n, C) of the validation
        events among it.

    Attributes
    ----------
    history : dict of str to list of float
        All that was measured, one value an epoch.
    best_epoch : int
        The best so far, from 1; with ``keep: last`` the last one.
    stops : bool
        Whether `early_stopping` ends the training here.

    Examples
    --------
    >>> from coursekit.study.settings.train import Train
    >>> from types import SimpleNamespace
    >>> watch = Watch(SimpleNamespace(train=Train(early_stopping={"patience": 1})))
    >>> [watch.epoch({"loss": 0.5, "val_loss": loss}) for loss in (0.7, 0.6, 0.65)]  # is it the best so far?
    [True, True, False]
    >>> watch.best_epoch, watch.stops
    (2, True)
    """

    def __init__(self, study: Study, report: Report | None = None):
        train, stopping = study.train, study.train.early_stopping
        self._rate, self._keeps_best, self._report = train.optimiser.learning_rate, train.keep == "best", report
        self._monitor = f"val_{stopping.monitor if stopping else 'loss'}"
        larger = self._monitor != "val_loss" if not stopping or stopping.mode == "auto" else stopping.mode == "max"
        self._sign = 1 if larger else -1
        self._min_delta, self._patience = (stopping.min_delta, stopping.patience) if stopping else (0.0, None)
        self._best, self._waited = -math.inf, 0
        self.history: dict[str, list[float]] = {}
        self.best_epoch, self.stops = 0, False

    @property
    def n_epochs(self) -> int:
        """How many epochs have been seen."""
        return len(self.history.get("loss", ()))

    def tell(self, epoch: int, measured: dict[str, float], scores: np.ndarray) -> None:
        """Report what was measured of a network, and its scores (n, C) of the validation events."""
        if self._report is not None:
            self._report(epoch, measured | {"scores": scores})

    def epoch(self, measured: dict[str, float], scores: np.ndarray | None = None) -> bool:
        """Take what was measured after an epoch; say whether the network is to be kept as it is now.

        With the scores of the validation events it is reported, too.

        Raises
        ------
        FloatingPointError
            A loss is no longer a number.
        """
        measured = {name: float(value) for name, value in measured.items()}
        for name, value in measured.items():
            self.history.setdefault(name, []).append(value)
        if not math.isfinite(measured["loss"] + measured["val_loss"]):
            raise FloatingPointError(
                f"the loss of epoch {self.n_epochs} is {measured['loss']}, that of the validation events "
                f"{measured['val_loss']}: lower train.optimiser.learning_rate ({self._rate:g}), look for extreme inputs"
            )
        # As keras.callbacks.EarlyStopping: better by more than min_delta, and what is not ends it after `patience`.
        value = self._sign * measured[self._monitor]
        better = value - self._min_delta > self._best
        if better:
            self._best, self._waited = value, 0
        else:
            self._waited += 1
            self.stops = self._patience is not None and self._waited >= self._patience
        if better or not self._keeps_best:
            self.best_epoch = self.n_epochs
        if scores is not None:
            self.tell(self.n_epochs, measured, scores)
        return better or not self._keeps_best
