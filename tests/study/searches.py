"""Trainings without a network for the tests of searches: fast, exact, and the same in every process."""

import contextlib
import json
import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd

from coursekit.study.dataset import TEST, TRAINING, VALIDATION, Dataset
from coursekit.study.outcome import Training
from coursekit.study.settings import Study
from coursekit.study.tune import search


def events(wanted, n=600):
    rng = np.random.default_rng(5)
    labels = np.arange(n) % 2
    return Dataset(
        study=wanted,
        columns={"x": rng.normal(labels, 1.0), "noise": rng.normal(size=n)},
        features=("x",),
        classes=("background", "signal"),
        labels=labels,
        targets=None,
        samples=("background", "signal"),
        sample=labels.astype(np.int16),
        weights=np.ones(n),
        parts=np.repeat([TRAINING, VALIDATION, TEST], n // 3).astype(np.int8),
        folds=np.zeros(n, np.int16),
        places=np.arange(n, dtype=np.uint64),
        flow=pd.DataFrame(),
    )


def trained(study, dataset, seed, fold=None, report=None):
    """Approach the right probability with the epochs, the nearer the learning rate is to 0.01."""
    rate, history, view = study.train.optimiser.learning_rate, [], dataset.view(fold)
    steepness = 2 / (1 + np.log10(rate / 0.01) ** 2)
    for epoch in range(1, study.train.epochs + 1):
        logit = steepness * (1 - 0.5**epoch) * (dataset.columns["x"] - 0.5)
        logit += 0.5 * (2 - steepness) * dataset.columns["noise"]
        scores = (1 / (1 + np.exp(-logit)))[:, None].astype(np.float32)
        history.append(float(epoch))
        if report:
            report(epoch, {"loss": 0.0, "scores": scores[view.validation]})
        time.sleep(float(os.environ.get("SLOW", "0")))  # so that it can be killed in the middle
    return SimpleNamespace(training=Training(seed, fold, {"loss": history}, len(history)), scores=scores)


def failing(study, dataset, seed, fold=None, report=None):
    """Fail for large learning rates, and lose the process of the first other trial once."""
    rate = study.train.optimiser.learning_rate
    if rate > 0.01:
        raise ArithmeticError("the loss is NaN")
    with contextlib.suppress(FileExistsError):
        (Path(study.job.folder) / "died").mkdir()  # by one process, whichever comes first
        (Path(study.job.folder) / "died" / f"{rate}").touch()
        os._exit(1)
    return trained(study, dataset, seed, fold, report)


def study(space=None, train=None, seed=3, folder="runs", **tune):
    space = space or {"train.optimiser.learning_rate": {"loguniform": [1e-4, 1.0]}}
    return Study(
        job={"name": "toy", "steps": ["tune"], "seed": seed, "folder": str(folder)},
        input={
            "signals": {"s": {"files": ["toy.root"]}},
            "backgrounds": {"b": {"files": ["toy.root"]}},
            "features": ["x"],
        },
        train=train if "network" in (train or {}) else {"epochs": 3} | (train or {}),
        tune={"space": space, "trials": 6} | tune,
    )


def run(folder, wanted, resume=False, progress=None, train=trained):
    return search(
        SimpleNamespace(study=wanted),
        events(wanted),
        SimpleNamespace(path=Path(folder)),
        resume=resume,
        progress=progress,
        train=train,
    )


if __name__ == "__main__":  # the search that a test kills: folder, and the study as JSON
    sys.stdout.write(f"{os.getpid()}\n")
    sys.stdout.flush()
    run(sys.argv[1], study(**json.loads(sys.argv[2])))
