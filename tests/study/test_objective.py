"""What a search measures: losses, areas, rejections and significances by hand, and their errors by toys."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from coursekit.metrics import asimov_significance, auc, rejection
from coursekit.study.objective import best_significance, largest_of, losses, measured
from coursekit.study.settings import Study
from coursekit.study.settings.apply import Apply
from coursekit.study.settings.tune import Counting, Tune
from coursekit.study.training_weights import mixture_labels
from tests.study.searches import events, study

RATE = "train.optimiser.learning_rate"


def test_metrics_are_those_of_the_course():
    wanted = study(metric="auc")
    dataset = events(wanted)
    view, rows = dataset.view(), np.arange(200, 400)
    scores = np.random.default_rng(2).uniform(size=(200, 1))
    labels, score = dataset.labels[rows], scores[:, 0]

    def metric(**tune):
        return measured(study(**tune).tune, wanted, dataset, view, rows, scores)

    assert metric(metric="auc") == auc(labels, score, view.weights[rows])
    assert metric(metric="rejection", signal_efficiency=0.3) == rejection(labels, score, 0.3, view.weights[rows])
    loss = metric()
    each = -np.log(np.where(labels == 1, score, 1 - score))
    assert loss.value == pytest.approx(each.mean())
    assert loss.error == pytest.approx(each.std() / np.sqrt(200))
    counted = metric(metric="significance", significance={"luminosity_fb": 4.0})
    direct = best_significance(labels, score, np.full(200, 4.0 * 3), Counting())  # a third of the events
    assert counted == pytest.approx(direct)


def test_the_loss_of_many_classes_and_of_a_regression():
    dataset, labels, rows = SimpleNamespace(targets=None), np.array([2, 0]), np.arange(2)
    loss = losses(study(), dataset, None, labels, rows, np.array([[0.2, 0.3, 0.5], [0.25, 0.5, 0.25]]))
    assert loss == pytest.approx([math.log(2), math.log(4)])
    by_squares = SimpleNamespace(train=SimpleNamespace(loss="mse"))
    said = np.array([[1.5], [-2.0]])
    assert losses(by_squares, dataset, None, np.array([1, 0]), rows, said) == pytest.approx([0.25, 4])
    dataset = SimpleNamespace(targets=np.array([1.0, 3.0, -2.0, 2.0]))
    view = SimpleNamespace(training=np.arange(2, 4), weights=np.ones(4))  # their spread is 2
    for name, expected in [("mse", [0.25, 9]), ("mae", [0.5, 3]), ("huber", [0.03125, 1.0]), (None, [0.25, 9])]:
        asked = SimpleNamespace(train=SimpleNamespace(loss=name))
        assert losses(asked, dataset, view, None, rows, np.array([[1.5], [6.0]])) == pytest.approx(expected)


def test_the_auc_of_many_classes_is_that_of_the_signal_against_all_others():
    wanted = study(metric="auc")
    dataset = replace(events(wanted), classes=("light", "c", "b"), labels=np.arange(600) % 3)
    scores = np.random.default_rng(2).dirichlet([1, 1, 1], 200)
    wanted = wanted.model_copy(
        update={"apply": Apply(discriminant={"signal": "c", "fractions": {"light": 0.8, "b": 0.2}})}
    )
    dataset = replace(dataset, study=wanted)
    view = SimpleNamespace(labels=dataset.labels, weights=np.ones(600))
    found = measured(wanted.tune, wanted, dataset, view, np.arange(200), scores)
    ratio = scores[:, 1] / (0.8 * scores[:, 0] + 0.2 * scores[:, 2])
    assert found == pytest.approx(auc(dataset.labels[:200] == 1, ratio))
    assert 0 < found.error < 0.1


def test_a_training_without_labels_is_measured_by_the_mixtures():
    tune = {"space": {RATE: {"uniform": [0.1, 1]}}}
    wanted = study()
    wanted = Study.model_validate(
        wanted.model_dump(exclude_unset=True)
        | {"input": wanted.input.model_dump(exclude_unset=True) | {"mixtures": [0.2, 0.8]}}
        | {"train": {"task": "cwola"}, "tune": tune}
    )
    dataset = events(wanted, 3000)
    view = dataset.view()
    assert not np.array_equal(view.labels[view.validation], dataset.labels[view.validation])
    for rows, labels in (
        (view.validation, view.labels[view.validation]),
        (view.test, mixture_labels(dataset, view.weights, (view.test,))[view.test]),
    ):
        used = labels >= 0
        assert 0.7 < np.mean(dataset.labels[rows[used]] == labels[used]) < 0.9
        said = np.where(labels == 1, 0.7, 0.1)[:, None]  # sure of the mixture, whatever the event is
        loss = measured(wanted.tune, wanted, dataset, view, rows, said)
        n = [np.sum(labels == k) for k in (0, 1)]
        assert loss.value == pytest.approx(-(n[0] * math.log(0.9) + n[1] * math.log(0.7)) / sum(n))
        other = measured(Tune(**tune, metric="auc"), wanted, dataset, view, rows, said)
        assert other.value == 1
    with pytest.raises(ValueError, match="there is no significance of a cwola"):
        Study.model_validate(wanted.model_dump(exclude_unset=True) | {"tune": tune | {"metric": "significance"}})


def test_the_significance_is_that_of_the_best_cut_and_its_error_that_of_toys():
    rng = np.random.default_rng(4)
    label = np.arange(4000) % 2
    score, weights = rng.normal(label, 1), np.where(label, 0.02, 0.5)
    found = best_significance(label, score, weights, Counting(background_uncertainty=0.1))
    z = [
        asimov_significance(weights[(score >= cut) & (label == 1)].sum(), b, 0.1 * b)
        for cut in np.sort(score)[:-200]
        if (b := weights[(score >= cut) & (label == 0)].sum())
    ]
    assert found.value >= max(z) - 1e-12
    toys = []
    for _ in range(150):
        draw = rng.integers(4000, size=4000)
        toys.append(best_significance(label[draw], score[draw], weights[draw], Counting(background_uncertainty=0.1)))
    assert found.error == pytest.approx(np.std([toy.value for toy in toys]), rel=0.5)
    few = best_significance(label[:30], score[:30], weights[:30], Counting(minimum_events=16))
    assert math.isnan(few.value)


def test_the_largest_of_normal_numbers_is_that_of_toys():
    toys = np.random.default_rng(1).normal(size=(40_000, 20)).max(axis=1)
    assert largest_of(20) == pytest.approx(toys.mean(), abs=4 * toys.std() / 200)
    assert largest_of(2) == pytest.approx(1 / np.sqrt(np.pi))
