"""The trainings of a study taken together: out-of-fold scores, and how far the trainings agree."""

from collections.abc import Sequence

import numpy as np

from coursekit.metrics import auc
from coursekit.study.dataset import TEST, Dataset
from coursekit.study.outcome import Outcome, Trained, Training


def combine(dataset: Dataset, trained: Sequence[Trained]) -> Outcome:
    """Put trainings together, so that each event has a score of a network that has not trained on it.

    With k folds, fold f tests the events of fold f, validates on those of fold f + 1, and trains on the others: the
    score of an event is that of the network that has neither trained nor validated on it. Data are in no fold, and get
    the mean of all.

    Parameters
    ----------
    dataset : Dataset
    trained : sequence of Trained
        In any order; each seed once, or once for each fold.

    Returns
    -------
    Outcome
        Trainings by seed and fold, repeats by seed.

    Raises
    ------
    ValueError
        There is no training, one is there twice, or folds are missing.

    Examples
    --------
    A training without folds is taken as it is:

    >>> from types import SimpleNamespace
    >>> one = Trained(Training(1, None, {}, 3), np.array([[0.2], [0.9]], np.float32), {})
    >>> combine(SimpleNamespace(labels=np.array([0, 1])), [one]).scores.shape
    (1, 2, 1)
    """
    trained = sorted(
        trained, key=lambda one: (one.training.seed, -1 if one.training.fold is None else one.training.fold)
    )
    keys = [(one.training.seed, one.training.fold) for one in trained]
    seeds, folds = list(dict.fromkeys(seed for seed, _ in keys)), list(dict.fromkeys(fold for _, fold in keys))
    if not keys:
        raise ValueError("there is no training to combine")
    if keys != [(seed, fold) for seed in seeds for fold in folds] or (
        folds != [None] and folds != [*range(len(folds))]
    ):
        raise ValueError(
            f"expected each seed with the same folds, 0, 1, 2 ...; got (seed, fold) {', '.join(map(str, keys))}: one "
            "is missing, or there twice"
        )
    trainings = tuple(one.training for one in trained)
    stacked = np.stack([one.scores for one in trained]).reshape(len(seeds), len(folds), *trained[0].scores.shape)
    if folds == [None]:
        return Outcome(trainings, stacked[:, 0], None)
    scores, seen = _out_of_fold(dataset, stacked)
    return Outcome(trainings, scores, seen if dataset.fitted is None else None)


def _out_of_fold(dataset: Dataset, stacked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return of scores (R, k, N, C) those of the fold that tests an event, and the mean of those that trained on it."""
    k = stacked.shape[1]
    rows, own = np.arange(stacked.shape[2]), np.maximum(dataset.folds, 0).astype(np.int64)  # of data it is -1
    if own.max(initial=0) >= k:
        raise ValueError(
            f"the events lie in {own.max() + 1} folds, but {k} were trained: train.folds is another number"
        )
    is_data = dataset.labels < 0
    scores = stacked[:, own, rows]  # (R, N, C)
    scores[:, is_data] = stacked[:, :, is_data].mean(axis=1)
    # Fold f trains on all but f, which it tests, and f + 1, which it validates on: on an event of fold g all do but g
    # and the one before.
    both = scores + stacked[:, (own - 1) % k, rows]
    seen = (stacked.sum(axis=1, dtype=np.float64) - both) / (k - 2)
    seen[:, is_data] = np.nan
    return scores, seen.astype(np.float32)


def summary(dataset: Dataset, outcome: Outcome) -> dict:
    """Return how good each training is on the events that it has neither trained nor validated on.

    Parameters
    ----------
    dataset : Dataset
    outcome : Outcome

    Returns
    -------
    dict
        ``trainings``: for each its seed, fold, epochs, best epoch, the losses of that epoch, and ``auc``, value and
        error, with the events' physical weights (of several classes the mean of each against all others, without
        error; of a regression ``rmse`` instead). ``mean`` and ``spread`` of it over all trainings, the spread as the
        standard deviation, None for one training.
    """
    n_repeats = len(outcome.scores)
    per_repeat = len(outcome.trainings) // n_repeats
    rows = [
        _of_training(dataset, training, outcome.scores[i // per_repeat]) for i, training in enumerate(outcome.trainings)
    ]
    measure = "rmse" if dataset.targets is not None else "auc"
    values = [row[measure]["value"] if isinstance(row[measure], dict) else row[measure] for row in rows]
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"trainings": rows, "measure": measure, "mean": float(np.mean(values)), "spread": spread}


def _of_training(dataset: Dataset, training: Training, scores: np.ndarray) -> dict:
    tested = (
        dataset.parts == TEST if training.fold is None else (dataset.folds == training.fold) & (dataset.labels >= 0)
    )
    row = {"seed": training.seed, "fold": training.fold, "epochs": len(training.history["loss"])}
    row["best_epoch"] = training.best_epoch
    row |= {name: training.history[name][training.best_epoch - 1] for name in ("loss", "val_loss")}
    weights, said = dataset.weights[tested], scores[tested].astype(np.float64)
    if dataset.targets is not None:
        squares = (said[:, 0] - dataset.targets[tested]) ** 2
        return row | {"rmse": float(np.sqrt(np.average(squares, weights=weights)))}
    labels = dataset.labels[tested]
    if said.shape[1] == 1:
        return row | {"auc": auc(labels == 1, said[:, 0], weights)._asdict()}
    areas = [auc(labels == k, said[:, k], weights).value for k in range(said.shape[1])]
    return row | {"auc": float(np.mean(areas))}
