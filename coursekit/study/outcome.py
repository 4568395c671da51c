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
        ``loss``, ``val_loss``, ``accuracy``, ``val_accuracy``, ``auc``, ``val_auc``: weighted, one value an epoch.
    best_epoch : int
        Whose weights the network has, from 1.
    """

    seed: int
    fold: int | None
    history: dict[str, list[float]]
    best_epoch: int


@dataclass(frozen=True)
class Outcome:
    """All trainings of a study, and their scores.

    Attributes
    ----------
    trainings : tuple of Training
    scores : (R, N, C) float32
        For each of R repeats and each event of the dataset, what a network says that has not trained on it: with k
        folds the out-of-fold score, and for data the mean of all folds. C = 1, the probability of the last class, for
        two classes; K probabilities for more; the value itself for a regression.
    seen : (R, N, C) float32, or None
        With folds, the mean score of the networks that have trained on the event.
    """

    trainings: tuple[Training, ...]
    scores: np.ndarray
    seen: np.ndarray | None
