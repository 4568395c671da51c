"""The events of a study, ready for a network and for the figures behind it."""

from dataclasses import dataclass

import numpy as np

from coursekit.preprocess import Scaler

TRAINING, VALIDATION, TEST, DATA = 0, 1, 2, -1


@dataclass(frozen=True)
class Dataset:
    """All events that passed the cuts, samples one after the other in the order of the file, data last.

    Attributes
    ----------
    columns : dict of str to (N,) array
        Features, spectators, keys and derived columns, raw.
    features : tuple of str
        What the network sees, F of them.
    classes : tuple of str
        Names of the K classes, in the order of their labels.
    labels : (N,) int64
        Numbers of classes, -1 for data.
    targets : (N,) float64, optional
        What a regression learns.
    samples : tuple of str
    sample : (N,) int16
        Number of the sample that an event is from.
    weights : (N,) float64
        Events that each stands for, per inverse femtobarn, with their signs; 1 for data.
    parts : (N,) int8
        TRAINING, VALIDATION, TEST or DATA.
    folds : (N,) int8
        With k folds: which of them tests an event; else 0.
    """

    columns: dict[str, np.ndarray]
    features: tuple[str, ...]
    classes: tuple[str, ...]
    labels: np.ndarray
    targets: np.ndarray | None
    samples: tuple[str, ...]
    sample: np.ndarray
    weights: np.ndarray
    parts: np.ndarray
    folds: np.ndarray


@dataclass(frozen=True)
class View:
    """A dataset as one training sees it: without folds, or in one fold of k.

    Attributes
    ----------
    training, validation, test : (n,) int64
        Positions of events. The three share none; data are in none.
    weights : (N,) float64
        Of the training, not negative: after `negative_weights`, `targets`, `reweight` and class weights.
    scaler : Scaler or None
        Fitted on the training events.
    """

    training: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    weights: np.ndarray
    scaler: Scaler | None
