"""Distances of shapes, against direct sums and known values; their errors, against the spread of many samples."""

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from sklearn.metrics import mutual_info_score

from coursekit.study.report.distances import (
    deal,
    distance_correlation,
    jackknife,
    jensen_shannon,
    mutual_information,
)


def direct(x, y, w):
    """The definition, with all pairs of events in memory."""
    w = w / w.sum()
    centred = []
    for values in (x, y):
        distance = np.abs(values[:, None] - values)
        row = distance @ w
        centred.append(distance - row[:, None] - row + w @ distance @ w)
    one, other = centred
    pairs = np.outer(w, w)
    return (pairs * one * other).sum() / np.sqrt((pairs * one**2).sum() * (pairs * other**2).sum())


@pytest.mark.parametrize("n", [2, 3, 17, 64, 201])
def test_distance_correlation_is_that_of_all_pairs_with_ties_and_weights_of_either_sign(n):
    rng = np.random.default_rng(n)
    x, w = rng.normal(size=n).round(1), rng.uniform(-0.2, 1, n)
    x[0] += 1
    y = (x**2 + 0.5 * rng.normal(size=n)).round(1)
    assert distance_correlation(x, y, w) == pytest.approx(direct(x, y, w), rel=1e-9)


def test_distance_correlation_does_not_know_units_or_the_order_of_events():
    rng = np.random.default_rng(1)
    x, y, w = rng.normal(size=(3, 100))
    w = np.abs(w)
    order = rng.permutation(100)
    expected = distance_correlation(x, y, w)
    assert distance_correlation(1000 - 3 * x[order], y[order], 7 * w[order]) == pytest.approx(expected)
    assert distance_correlation(np.repeat(x, 2), np.repeat(y, 2), np.repeat(w, 2)) == pytest.approx(expected)


def test_what_has_one_value_has_no_distance_correlation():
    assert np.isnan(distance_correlation(np.ones(9), np.arange(9), np.ones(9)))
    assert np.isnan(distance_correlation(np.arange(9), np.arange(9), -np.ones(9)))


def test_jensen_shannon_agrees_with_scipy_and_forgives_a_negative_bin():
    one, other = np.random.default_rng(1).uniform(size=(2, 9))
    assert jensen_shannon(one, other) == pytest.approx(jensenshannon(one, other, base=2) ** 2)
    assert jensen_shannon(one, other) == jensen_shannon(other, one)
    assert jensen_shannon([-1, 1, 1], [0, 1, 1]) == 0
    assert np.isnan(jensen_shannon([0, 0], [1, 1]))


def test_mutual_information_agrees_with_scikit_learn_and_is_zero_for_a_table_that_factorises():
    rng = np.random.default_rng(1)
    x = rng.permutation(400)
    y = x // 4 + rng.permutation(400) / 1000
    cells = [np.argsort(np.argsort(values)) // 100 for values in (x, y)]
    expected = mutual_info_score(*cells) / np.log(2)
    assert mutual_information(x, y, np.ones(400), bins=4) == pytest.approx(expected, abs=0.02)
    grid = np.arange(100)
    assert mutual_information(grid // 10, grid % 10, np.ones(100)) == pytest.approx(0, abs=1e-12)


def test_the_jackknife_knows_the_spread_of_many_samples_and_takes_the_bias_away():
    rng = np.random.default_rng(4)

    def once(n=2000):
        x = rng.uniform(size=n)
        y = rng.uniform(size=n)
        group = deal(n, rng)
        return jackknife(lambda kept: mutual_information(x[kept], y[kept], np.ones(kept.sum())), group)

    drawn = [once() for _ in range(20)]
    values, errors = np.transpose(drawn)
    assert abs(values.mean()) < 4 * values.std() / np.sqrt(20)  # without it: 81 / (2 ln 2 x 2000) = 0.029
    assert 0.5 < errors.mean() / values.std(ddof=1) < 2


def test_the_jackknife_says_when_it_knows_nothing():
    assert np.isnan(jackknife(lambda kept: np.nan, deal(40, np.random.default_rng(1))).value)
