"""Tested events stand for the whole sample; K probabilities become one number; repeats become one estimate."""

import numpy as np
import pytest

from coursekit.metrics import Estimate
from coursekit.study.dataset import TEST
from coursekit.study.report import selection
from coursekit.study.report.selection import combined, data, expected, fractions, labelled, one_score


def test_tested_events_are_the_test_part_or_all_with_folds(toy_dataset, folds_dataset):
    assert (toy_dataset.parts[selection.tested(toy_dataset)] == TEST).all()
    assert selection.tested(folds_dataset).tolist() == labelled(folds_dataset).tolist()
    assert len(labelled(toy_dataset)) + len(data(toy_dataset)) == len(toy_dataset.labels)


def test_tested_events_stand_for_the_whole_sample(toy_dataset):
    rows = selection.tested(toy_dataset)
    weights = expected(toy_dataset, rows, 10.0)
    share = len(rows) / len(labelled(toy_dataset))
    np.testing.assert_allclose(weights, toy_dataset.weights[rows] * 10 / share)
    np.testing.assert_allclose(expected(toy_dataset, rows[:7], 10.0), weights[:7])
    assert (weights < 0).any()
    assert (expected(toy_dataset, data(toy_dataset), 10.0) == 1).all()
    with pytest.raises(ValueError, match="are not tested ones"):
        expected(toy_dataset, labelled(toy_dataset), 10.0)


def test_with_folds_every_event_stands_for_itself(folds_dataset):
    rows = selection.tested(folds_dataset)
    np.testing.assert_array_equal(expected(folds_dataset, rows, 2.0), 2 * folds_dataset.weights[rows])


def test_the_discriminant_is_that_of_flavour_tagging(flavours, flavours_dataset):
    study = flavours(apply={"discriminant": {"fractions": {"c": 0.1}}})
    p = np.array([[0.2, 0.3, 0.5], [0.0, 0.0, 1.0]])
    found = one_score(study, flavours_dataset, p)
    assert found[0] == pytest.approx(np.log(0.5 / (0.1 * 0.3 + 0.9 * 0.2)))
    assert np.isfinite(found).all()
    study = flavours(apply={"discriminant": {"signal": "c", "fractions": {"b": 0.3}}})
    assert one_score(study, flavours_dataset, p[0]) == pytest.approx(np.log(0.3 / (0.3 * 0.5 + 0.7 * 0.2)))
    assert fractions(flavours(), flavours_dataset).tolist() == [0.5, 0.5, 0]


def test_two_classes_have_one_score(toy, toy_dataset):
    assert one_score(toy(), toy_dataset, np.array([[0.25]])).tolist() == [0.25]
    study = toy(apply={"discriminant": {"signal": "background"}})
    assert one_score(study, toy_dataset, np.array([[0.25]])).tolist() == [0.75]


@pytest.mark.parametrize(
    ("discriminant", "said"),
    [
        ({"signal": "B"}, "did you mean 'b'"),
        ({"fractions": {"b": 0.1}}, "no class of the background"),
        ({"fractions": {"c": 1.1}}, "make 1 together"),
        ({"fractions": {"c": 0.1, "light": 0.1}}, "make 1 together"),
    ],
)
def test_refuses_classes_and_fractions_that_do_not_fit(flavours, flavours_dataset, discriminant, said):
    study = flavours(apply={"discriminant": discriminant})
    with pytest.raises(ValueError, match=said):
        one_score(study, flavours_dataset, np.ones((1, 3)))


def test_repeats_are_combined_as_in_lesson_4():
    values = [Estimate(1.0, 0.3), Estimate(2.0, 0.5)]
    assert combined(values) == (1.5, pytest.approx(np.hypot(0.4, np.std([1, 2], ddof=1))))
    assert combined(values[:1]) == values[0]
    assert combined([Estimate(1.0, 0.3), Estimate(np.inf, np.inf)]) == (np.inf, np.inf)
