"""The numbers behind the figures, against SciPy, scikit-learn and NumPy."""

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics

from coursekit.study.report.statistics import (
    confusion,
    correlations,
    ks_distance,
    mean_and_spread,
    precision_recall,
    reliability,
)

rng = np.random.default_rng(5)
LABELS = rng.integers(2, size=500)
SCORE = np.round(np.clip(0.3 * LABELS + rng.normal(0.35, 0.2, 500), 0, 1), 2)  # with ties
WEIGHTS = rng.uniform(0.2, 2, 500)


@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_ks_of_unit_weights_is_that_of_scipy(shift):
    one, other = rng.normal(0, 1, 400), rng.normal(shift, 1, 300)
    found = ks_distance(one, other)
    oracle = scipy.stats.ks_2samp(one, other, method="asymp")
    assert found.value == pytest.approx(oracle.statistic, abs=1e-12)
    assert found.probability == pytest.approx(oracle.pvalue, rel=0.1, abs=0.01)
    assert found.effective == (pytest.approx(400), pytest.approx(300))
    assert found.by_chance == pytest.approx(1.63 * np.sqrt(1 / 400 + 1 / 300), rel=0.01)


def test_ks_of_a_weight_of_two_is_that_of_two_events():
    one, other = rng.normal(0, 1, 50), rng.normal(0, 1, 60)
    twice = np.where(one > 0, 2, 1)
    assert ks_distance(one, other, twice).value == pytest.approx(ks_distance(np.repeat(one, twice), other).value)
    assert ks_distance(one, other, 7.0 * twice).value == pytest.approx(ks_distance(one, other, twice).value)


def test_ks_exceeds_its_limit_once_in_a_hundred():
    beyond = 0
    for _ in range(400):
        one, other = rng.normal(size=(2, 150))
        w = rng.uniform(0, 2, (2, 150))
        found = ks_distance(one, other, *w)
        beyond += found.value > found.by_chance
    assert beyond <= 12  # 4 expected; the weights of 150 events make the limit a little too large


@pytest.mark.parametrize(("one", "weights"), [([], None), ([1, np.nan], None), ([1, 2], [1, -1])])
def test_ks_refuses_samples_without_a_distribution(one, weights):
    with pytest.raises(ValueError, match="first sample"):
        ks_distance(one, [1, 2], weights)


def test_confusion_is_that_of_scikit_learn():
    labels, called = rng.integers(3, size=300), rng.integers(3, size=300)
    weights = rng.normal(1, 0.5, 300)
    found = np.array(confusion(labels, called, weights, 3))
    oracle = sklearn.metrics.confusion_matrix(labels, called, sample_weight=weights, normalize="true")
    np.testing.assert_allclose(found[..., 0], oracle)
    one = np.array(confusion(labels, called, np.ones(300), 3))[..., :2]
    n = np.bincount(labels)[:, None]
    np.testing.assert_allclose(one[..., 1], np.sqrt(one[..., 0] * (1 - one[..., 0]) / n))
    assert np.isnan(confusion([0], [0], [1.0], 2)[1][0].value)


def test_precision_is_that_of_scikit_learn():
    found = precision_recall(LABELS, SCORE, WEIGHTS)
    precision, recall, _ = sklearn.metrics.precision_recall_curve(LABELS, SCORE, sample_weight=WEIGHTS)
    np.testing.assert_allclose(found.precision, precision[-2::-1])
    np.testing.assert_allclose(found.efficiency, recall[-2::-1])
    average = sklearn.metrics.average_precision_score(LABELS, SCORE, sample_weight=WEIGHTS)
    assert found.average == pytest.approx(average)
    assert found.signal_share == pytest.approx(WEIGHTS[LABELS == 1].sum() / WEIGHTS.sum())


def test_reliability_by_hand():
    found = reliability(LABELS, SCORE, WEIGHTS, 5)
    inside = (SCORE >= 0.4) & (SCORE < 0.6)
    place = np.flatnonzero((found.mean_score > 0.4) & (found.mean_score < 0.6))[0]
    share = np.average(LABELS[inside], weights=WEIGHTS[inside])
    assert found.share[place] == pytest.approx(share)
    assert found.mean_score[place] == pytest.approx(np.average(SCORE[inside], weights=WEIGHTS[inside]))
    error = np.sqrt((WEIGHTS[inside] ** 2 * (LABELS[inside] - share) ** 2).sum()) / WEIGHTS[inside].sum()
    assert found.error[place] == pytest.approx(error)
    assert found.weight.sum() == pytest.approx(WEIGHTS.sum())
    assert len(reliability([1, 0], [1.0, 0.99], np.ones(2), 5).share) == 1


def test_mean_and_spread_have_the_errors_of_a_sample():
    x = rng.normal(3, 2, 4000)
    mean, spread = mean_and_spread(x, np.ones(4000))
    assert mean.error == pytest.approx(x.std() / np.sqrt(4000))
    assert spread.value == pytest.approx(x.std())
    assert spread.error == pytest.approx(2 / np.sqrt(2 * 4000), rel=0.1)
    with pytest.raises(ValueError, match="variance"):
        mean_and_spread([0.0, 10.0, 0.0], [5.0, -1.0, 1.0])


def test_correlations_are_those_of_numpy():
    table = rng.normal(size=(200, 3)) @ rng.normal(size=(3, 3)) + 100
    w = rng.uniform(size=200)
    matrix = np.cov(table.T, aweights=w)
    spread = np.sqrt(np.diag(matrix))
    np.testing.assert_allclose(correlations(table, w), matrix / np.outer(spread, spread), atol=1e-12)
    with_constant = correlations(np.column_stack([table, np.full(200, 0.1)]), w)
    assert np.isnan(with_constant[3]).all()
