"""What the trainings of a study leave behind: histories, networks, and a score for each event."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


class Training(NamedTuple):
    """One training: one random start, and one fold if there are folds.

    Attributes
    ----------
    seed : int
    fold : int or None
    history : dict of str to list of float
        ``loss``, ``val_loss``, ``accuracy``, ``val_accuracy``, ``auc``, ``val_auc``: weighted, one value an epoch, of
        boosted trees one a tree. ``loss`` is the mean while an epoch was learned, all else is measured at its end, with
        the network as it is applied. A regression has losses alone, of targets scaled to mean zero and variance one.
    best_epoch : int
        Whose weights the network has, from 1; of boosted trees, how many they are.
    """

    seed: int
    fold: int | None
    history: dict[str, list[float]]
    best_epoch: int


class Trained(NamedTuple):
    """What one training hands back, from this process or another.

    Attributes
    ----------
    training : Training
    scores : (N, C) float32
        For all events of the dataset, in its order.
    files : dict of str to bytes
        What belongs into the folder of the training, by name: ``network.keras``, ``network.pt`` or ``network.joblib``,
        ``history.json``, ``variables.json`` of the scaler, ``epoch_005.keras`` ...
    """

    training: Training
    scores: np.ndarray
    files: dict[str, bytes]


@dataclass(frozen=True)
class Outcome:
    """All trainings of a study, and their scores.

    Attributes
    ----------
    trainings : tuple of Training
    scores : (R, N, C) float32
        For each of R repeats and each event of the dataset, what a network says that has not trained on it: with k
        folds the out-of-fold score, and for data the mean of all folds. Without folds, what the one network says, of
        its training events too. C = 1, the probability of the last class, for two classes; K probabilities for more;
        the value itself for a regression.
    seen : (R, N, C) float32, or None
        With folds, the mean score of the networks that have trained on the event; NaN for data, which none has. None
        if the networks were trained on other events.
    """

    trainings: tuple[Training, ...]
    scores: np.ndarray
    seen: np.ndarray | None
