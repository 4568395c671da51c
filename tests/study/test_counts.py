"""Weighted histograms and their errors."""

import numpy as np
import pytest
from scipy.stats import poisson

from coursekit.study.report.counts import Counts, count, edges_of, poisson_errors, share_ratio, total


def test_counts_add_and_scale():
    one = count([0.5, 1.5, 1.6], [1.0, 2.0, -1.0], [0, 1, 2])
    both = total([one, one.scaled(3)], 2)
    assert both.value.tolist() == [4, 4]
    assert both.variance.tolist() == [10, 50]
    assert both.entries.tolist() == [2, 4]
    assert total([], 2).error.tolist() == [0, 0]


def test_an_event_of_weight_zero_is_no_event():
    assert count([0.5, 0.5], [0.0, 1.0], [0, 1]).entries.tolist() == [1]


@pytest.mark.parametrize("n", [0, 1, 7, 200])
def test_poisson_errors_are_where_the_tails_are_as_large_as_those_of_a_normal_law(n):
    low, high = poisson_errors(np.array([n]))[:, 0]
    assert poisson.cdf(n, n + high) == pytest.approx(0.158655, rel=1e-4)
    if n:
        assert poisson.sf(n - 1, n - low) == pytest.approx(0.158655, rel=1e-4)


def test_the_ratio_of_shapes_by_hand():
    passed, failed = (Counts(np.array(v), np.array(v), np.array([0, 0])) for v in ([30.0, 10.0], [10.0, 30.0]))
    ratio, _ = share_ratio(passed, failed)
    assert ratio.tolist() == [1.5, 0.5]  # 30/40 over 40/80, 10/40 over 40/80


def test_the_error_of_the_ratio_is_the_spread_of_many_samples():
    rng = np.random.default_rng(1)
    means = np.array([[300.0, 100.0, 200.0], [200.0, 400.0, 900.0]])
    none = np.zeros(3, np.int64)
    _, error = share_ratio(*(Counts(mean, mean, none) for mean in means))
    drawn = [share_ratio(*(Counts(row, row, none) for row in rng.poisson(means).astype(float)))[0] for _ in range(3000)]
    assert np.std(drawn, axis=0) == pytest.approx(error, rel=0.08)


def test_a_cut_that_keeps_everything_changes_nothing_and_an_empty_bin_has_no_ratio():
    all_pass = Counts(np.array([3.0, 0.0]), np.array([3.0, 0.0]), np.array([3, 0]))
    nothing = total([], 2)
    ratio, error = share_ratio(all_pass, nothing)
    assert ratio[0] == 1
    assert error[0] == pytest.approx(0, abs=1e-12)
    assert np.isnan(ratio[1])
    assert np.isnan(share_ratio(nothing, all_pass)[0]).all()


def test_edges_are_those_given_or_reach_over_the_scores():
    assert edges_of(np.array([0.2, 0.9]), 4).tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert edges_of(np.array([-3.0, 1.0]), 2).tolist() == [-3, -1, 1]
    assert edges_of(np.array([0.2]), 2, (0.5, 1.0)).tolist() == [0.5, 0.75, 1]
    assert edges_of(np.array([0.2]), (0.0, 0.1, 1.0)).tolist() == [0, 0.1, 1]
