"""One trial of a search: a training with some other settings, which says after each epoch how good it is."""

import functools
import math
import os
from collections.abc import Callable
from dataclasses import replace

from coursekit.metrics import Estimate
from coursekit.study.dataset import Dataset
from coursekit.study.objective import measured
from coursekit.study.searching import key_of
from coursekit.study.settings import Study
from coursekit.study.settings.tune import Tune, with_settings
from coursekit.threads import NUMBERS


def train_trial(study: Study, tune: Tune, dataset: Dataset, train: Callable, report: Callable | None = None) -> dict:
    """Train once, and measure the network that is kept on validation and on test events.

    Parameters
    ----------
    study : Study
        With the settings of the trial.
    tune : Tune
        What is measured.
    dataset : Dataset
    train : callable
        As `coursekit.study.training.train_one`. With folds the first of them is trained.
    report : callable, optional
        Called with a dict of ``epoch``, ``metric`` and ``error`` after each epoch but the last of `train.epochs`, whose
        result is that of the whole training; for boosted trees never.

    Returns
    -------
    dict
        ``epoch`` (how many there were; of boosted trees how many trees), ``metric`` and ``error`` of the validation
        events, ``test`` and ``test_error``.
    """
    fold, dataset = (0 if study.train.folds else None), replace(dataset, study=study)
    view = dataset.view(fold)

    def after(epoch: int, values: dict) -> None:
        if report and epoch < study.train.epochs and study.train.network != "boosted_trees":
            found = measured(tune, study, dataset, view, view.validation, values["scores"])
            report({"epoch": epoch, "metric": found.value, "error": found.error})

    trained = train(study, dataset, study.job.seed, fold, report=after)
    validation, test = (
        measured(tune, study, dataset, view, rows, trained.scores[rows]) for rows in (view.validation, view.test)
    )
    n_epochs = len(next(iter(trained.training.history.values()), ()))
    return {
        "epoch": n_epochs,
        "metric": validation.value,
        "error": validation.error,
        "test": test.value,
        "test_error": test.error,
    }


def run_trial(config: dict, study: Study, dataset: Dataset, recorded: dict, train: Callable, limit: int | None) -> None:
    """Report one trial to Ray Tune, from the record if an earlier search had the same one.

    Parameters
    ----------
    config : dict
        What the searcher drew, from dotted keys.
    study : Study
    dataset : Dataset
    recorded : dict of str to list of dict
        From the settings of trials that have ended to what they reported.
    train : callable
        As `coursekit.study.training.train_one`.
    limit : int, optional
        Of `load_dataset`, where `input` is searched.
    """
    from ray.tune import report

    settings = decoded(study, config)
    if rows := recorded.get(key_of(settings)):
        for row in rows:
            report(row | {"replayed": True, "done": row is rows[-1]})
        return
    _limit_threads(study.tune.resources["cpu"])
    last = {"epoch": 0}

    def passed_on(row: dict) -> None:
        last.update(epoch=row["epoch"])
        report(row)

    try:
        changed = with_settings(study, settings)
        if any(key.startswith("input.") for key in settings):
            dataset = _loaded(changed.model_dump_json(include={"input", "job"}), changed, limit)
        final = train_trial(changed, study.tune, dataset, train, passed_on)
    except Exception as error:  # whatever a network or a library raises: the search goes on without this trial
        final = last | {"metric": math.nan, "error": math.inf, "failure": f"{type(error).__name__}: {error}"}
    report(final | {"final": True, "done": True})


def decoded(study: Study, config: dict) -> dict:
    """Return the settings of a trial from what the searcher drew."""
    return {key: space.decoded(config[key]) for key, space in study.tune.space.items()}


def is_better(tune: Tune, one: Estimate, other: Estimate) -> bool:
    """Tell whether one metric is better than another."""
    return one.value < other.value if tune.mode == "min" else one.value > other.value


def _limit_threads(cpus: float) -> None:
    """Give a process that has loaded no framework yet the threads of its trial."""
    for name in (*NUMBERS, "TF_NUM_INTEROP_THREADS"):
        os.environ[name] = str(max(1, int(cpus)))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


@functools.lru_cache(maxsize=1)
def _load(text: str, limit: int | None) -> Dataset:
    from coursekit.study.dataset import load_dataset

    return load_dataset(_load.study, limit=limit)


def _loaded(text: str, study: Study, limit: int | None) -> Dataset:
    """Load the events of a trial, or take those of the last one where its input is the same."""
    _load.study = study
    return _load(text, limit)
