"""Shuffling a feature that the network uses costs AUC; another one costs nothing, exactly."""

import numpy as np
import pytest

from coursekit.metrics import auc
from coursekit.study.outcome import Outcome
from coursekit.study.report import selection
from coursekit.study.report.drawing import NothingToDraw
from coursekit.study.report.importance import add_importance
from coursekit.study.report.page import Page


def load(files):
    """A network that knows one input."""
    place = int(files["network"])
    return lambda inputs: 1 / (1 + np.exp(-inputs[:, place : place + 1].astype(np.float64)))


def scored(dataset, folds):
    scores = np.empty((1, len(dataset.labels), 1), np.float64)
    for fold in folds:
        rows = np.arange(len(dataset.labels)) if fold is None else np.flatnonzero(dataset.folds == fold)
        scores[0, rows] = load({"network": b"0"})(dataset.view(fold).inputs(rows, evaluation=True))
    return Outcome(trainings=(), scores=np.nan_to_num(scores), seen=None)


@pytest.fixture
def page(tmp_path):
    page = Page(tmp_path, "toy")
    page.section("Importance")
    return page


@pytest.mark.parametrize("folds", [(None,), (0, 1, 2)])
def test_only_what_is_used_is_important(page, toy, toy_dataset, folds_dataset, folds):
    dataset = toy_dataset if folds == (None,) else folds_dataset
    study = toy(apply={"importance": {"log": True}})
    outcome = scored(dataset, folds)
    found = add_importance(page, study, dataset, outcome, [(fold, {"network": b"0"}) for fold in folds], load)
    assert next(iter(found)) == "mass"
    assert found["pt"] == found["eta"] == [0, 0]
    rows = selection.tested(dataset)
    area = auc(dataset.labels[rows] == 1, outcome.scores[0, rows, 0], dataset.weights[rows]).value
    assert found["mass"][0] == pytest.approx(area - 0.5, abs=4 * found["mass"][1])
    assert 0 < found["mass"][1] < 0.15


def test_says_why_there_is_nothing(page, toy, toy_dataset, toy_outcome):
    with pytest.raises(NothingToDraw, match="no network"):
        add_importance(page, toy(), toy_dataset, toy_outcome, [], load)
