"""Metrics and weights: whatever the numbers, a value within its range or one line that says why there is none."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from coursekit import metrics
from coursekit.weights import effective_events, normalise_weights, reweight_2d
from tests.properties.strategies import FINITE, TIED, USUAL, floats, labels_of_both, refused, scored

EVENTS = 1 + 1e-9  # fractions of sums of floats


def check_metrics(labels, score, weights, threshold=0.5, negative=False):
    """All metrics of one sample lie in their ranges."""
    for estimate in (
        refused(metrics.auc, labels, score, weights),
        refused(metrics.accuracy, labels, score, threshold, weights=weights),
    ):
        if estimate is not None:
            assert np.isfinite(estimate).all()
            assert estimate.error >= 0
            assert negative or 0 <= estimate.value <= 1
    roc = refused(metrics.roc_curve, labels, score, weights)
    if roc is not None:
        assert np.isfinite(roc.thresholds[1:]).all()
        for efficiency, error in (
            (roc.signal_efficiency, roc.signal_error),
            (roc.background_efficiency, roc.background_error),
        ):
            assert np.isfinite(efficiency).all()
            assert np.isfinite(error).all()
            assert (error >= 0).all()
            assert efficiency[0] == 0
            assert efficiency[-1] == 1
            if not negative:
                assert (np.diff(efficiency) >= 0).all()
    for working_point in (1e-9, 0.3, 1.0):
        estimate = refused(metrics.rejection, labels, score, working_point, weights)
        if estimate is not None:
            assert estimate.error >= 0
            assert estimate.value == np.inf or np.isfinite(estimate).all()
            assert estimate.value >= 1 or negative


@given(scored(), FINITE)
def test_no_score_leaves_the_ranges(sample, threshold):
    labels, score, _ = sample
    for function in (metrics.auc, metrics.accuracy, metrics.roc_curve):
        function(labels, score)  # every finite score has a value
    check_metrics(labels, score, None, threshold)


@given(scored(FINITE.map(abs) | TIED.map(abs)))
def test_no_weights_leave_the_ranges(sample):
    check_metrics(*sample)


@given(scored(FINITE | TIED))
def test_negative_weights_have_finite_values_and_errors(sample):
    check_metrics(*sample, negative=True)


@given(scored(USUAL), st.sampled_from([1e-90, 1e-30, 1e30, 1e90]))
def test_the_unit_of_the_weights_changes_nothing(sample, unit):
    labels, score, weights = sample
    for function in (metrics.auc, metrics.accuracy):
        one, other = function(labels, score, weights=weights), function(labels, score, weights=unit * weights)
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)
    rejections = [metrics.rejection(labels, score, 0.5, w) for w in (weights, unit * weights)]
    np.testing.assert_allclose(*rejections, rtol=1e-9, atol=1e-12)


@given(scored(USUAL))
def test_the_area_is_that_of_scikit_learn(sample):
    labels, score, weights = sample
    ranks = np.unique(score, return_inverse=True)[1]  # scikit-learn adds scores up when it checks them
    for w in (None, weights):
        area = roc_auc_score(labels, ranks, sample_weight=w)
        assert metrics.auc(labels, score, w).value == pytest.approx(area, abs=1e-12)


@given(scored(USUAL))
def test_only_the_order_of_the_scores_matters(sample):
    labels, score, weights = sample
    ranks = np.unique(score, return_inverse=True)[1]
    for moved in (ranks, ranks / 2 - 7, np.exp(ranks), ranks.astype(np.float32)):
        assert metrics.auc(labels, moved, weights) == metrics.auc(labels, score, weights)
        assert metrics.rejection(labels, moved, 0.5, weights) == metrics.rejection(labels, score, 0.5, weights)
    assert metrics.auc_difference(labels, score, ranks, weights) == (0, 0)
    turned = metrics.auc(labels, -score, weights)
    assert turned.value == pytest.approx(1 - metrics.auc(labels, score, weights).value, abs=1e-12)
    assert turned.error == pytest.approx(metrics.auc(labels, score, weights).error, abs=1e-12)


@given(scored(USUAL), st.randoms(use_true_random=False))
def test_the_order_of_the_events_does_not_matter(sample, random):
    order = random.sample(range(len(sample[0])), len(sample[0]))
    moved = [array[order] for array in sample]
    np.testing.assert_allclose(metrics.auc(*sample), metrics.auc(*moved), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(
        metrics.rejection(*sample[:2], 0.7, sample[2]), metrics.rejection(*moved[:2], 0.7, moved[2]), rtol=1e-9
    )


YIELD = st.floats(0, 1e300) | st.floats(0, 1e60) | st.floats(0, 1e3)


@given(YIELD, YIELD, YIELD, YIELD)
def test_significances_are_not_negative(s, b, signal_error, background_error):
    value = refused(metrics.significance, s, b, signal_error, background_error)
    if value is not None:
        assert np.isfinite(value).all()
        assert min(value) >= 0
    z = refused(metrics.asimov_significance, s, b, background_error)
    if z is not None:
        assert 0 <= z < np.inf or (np.isnan(z) and b == 0)


@given(st.integers(1, 20).flatmap(lambda n: floats(n, FINITE | USUAL)), st.sampled_from(["zero", "absolute", "keep"]))
def test_normalised_weights_have_the_mean_one(weights, negative):
    new = refused(normalise_weights, weights, negative)
    if new is not None:
        assert np.isfinite(new).all()
        assert new.mean() == pytest.approx(1, abs=1e-6 if negative == "keep" else 1e-12)
        before = {"zero": np.maximum(weights, 0), "absolute": abs(weights), "keep": weights}[negative]
        assert (np.sign(new) == np.sign(before))[new != 0].all()


@given(st.integers(1, 20).flatmap(lambda n: floats(n, FINITE.map(abs) | USUAL)))
def test_effective_events_lie_between_none_and_all(weights):
    n = refused(effective_events, weights)
    if n is not None:
        assert 0 < n <= len(weights) * EVENTS
    if len(set(weights)) == 1 and 1e-99 < weights[0] < 1e99:
        assert n == pytest.approx(len(weights))


@given(st.data())
def test_reweighting_closes_where_the_source_has_events(data):
    n, m = data.draw(st.integers(1, 20)), data.draw(st.integers(1, 20))
    place = st.floats(-1, 4) | st.sampled_from([0.0, 1.0, 2.0, 3.0])
    (x, y), (u, v) = ([data.draw(floats(k, place)) for _ in range(2)] for k in (n, m))
    w, t = data.draw(floats(n, USUAL)), data.draw(floats(m, USUAL))
    edges = np.array([0.0, 1.0, 2.0, 3.0])
    found = refused(reweight_2d, x, y, u, v, (edges, edges), w, t)
    source, target = (
        np.histogram2d(*xy, bins=(edges, edges), weights=weights)[0] for *xy, weights in ((x, y, w), (u, v, t))
    )
    if found is None:
        assert not source.any() or not target.any()
        return
    assert (found.ratios >= 0).all()
    assert -1e-12 <= found.uncovered <= EVENTS
    new = np.histogram2d(x, y, bins=(edges, edges), weights=w * found.weights(x, y))[0]
    wanted = np.where(source > 0, target / target.sum() * source.sum(), 0)
    np.testing.assert_allclose(new, wanted, rtol=1e-9, atol=1e-9 * source.sum())
    assert new.sum() == pytest.approx((1 - found.uncovered) * source.sum(), abs=1e-9 * source.sum())


@given(scored(USUAL), st.integers(0, 2**32 - 1))
def test_a_bootstrap_of_a_constant_has_no_error(sample, seed):
    rng = np.random.default_rng(seed)
    assert metrics.bootstrap(lambda labels, score: 7.0, *sample[:2], rng=rng, n_replicas=3) == (7, 0)


@given(st.integers(2, 20).flatmap(lambda n: st.tuples(labels_of_both(n), floats(n, FINITE | TIED))))
def test_estimates_print(sample):
    text = str(metrics.auc(*sample))
    value, error = text.split(" ± ")
    assert abs(float(value) - metrics.auc(*sample).value) <= max(float(error), 1e-3)
