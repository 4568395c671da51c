"""Weights: by hand, beside histograms, and what they must not depend on."""

import numpy as np
import pytest

from coursekit.weights import Reweighting, effective_events, normalise_weights, reweight_2d


def test_equal_weights_count_fully_and_the_unit_does_not_matter():
    weights = np.random.default_rng(1).exponential(size=1000)
    assert effective_events(np.full(7, 0.3)) == pytest.approx(7)
    assert effective_events(1e-6 * weights) == pytest.approx(effective_events(weights))
    relative_error = np.std([np.random.default_rng(i).poisson(1, 1000) @ weights for i in range(2000)]) / weights.sum()
    assert effective_events(weights) == pytest.approx(relative_error**-2, rel=0.1)  # 2000 replicas: 3% on the square
    with pytest.raises(ValueError, match="at least one number"):
        effective_events(np.array([]))


# --------------------------------------------------------------------------------------------------------- the weights


def test_normalise_weights_by_hand_and_scale_free():
    weights = np.float32([1, 2, 3])
    np.testing.assert_allclose(normalise_weights(weights), [0.5, 1, 1.5], rtol=1e-15)
    np.testing.assert_allclose(normalise_weights(weights * 1e-30), normalise_weights(weights), rtol=1e-6)
    assert weights[0] == 1
    assert normalise_weights(weights).dtype == np.float64


@pytest.mark.parametrize(
    ("negative", "expected"), [("keep", [-1, 1, 3]), ("zero", [0, 0.75, 2.25]), ("absolute", [0.6, 0.6, 1.8])]
)
def test_normalise_weights_does_with_negative_ones_what_is_asked(negative, expected):
    weights = np.array([-1.0, 1.0, 3.0])
    np.testing.assert_allclose(normalise_weights(weights, negative=negative), expected, rtol=1e-15)
    np.testing.assert_array_equal(weights, [-1, 1, 3])


def test_normalise_weights_refuses():
    for weights, message in [
        ([1, -1, 3], '1 of 3 weights are negative.*"keep", "zero" or "absolute"'),
        ([0, 0], "all 2 weights are zero"),
        ([1, np.nan], "1 of 2 weights are NaN or infinite"),
        ([], r"shape \(0,\)"),
        ([[1, 2]], r"shape \(1, 2\)"),
    ]:
        with pytest.raises(ValueError, match=message):
            normalise_weights(np.array(weights, dtype="f8"))
    with pytest.raises(ValueError, match="the weights add up to -2, not above zero"):
        normalise_weights(np.array([-3.0, 1.0]), negative="keep")
    with pytest.raises(ValueError, match="all 2 weights are zero"):
        normalise_weights(np.array([-3.0, -1.0]), negative="zero")
    with pytest.raises(ValueError, match="negative is 'drop'"):
        normalise_weights(np.ones(2), negative="drop")


# ------------------------------------------------------------------------------------------------------ the reweighting

EDGES = (np.linspace(-2.5, 2.5, 6), np.array([20, 30, 50, 80, 120, 250.0]))


def make_jets(n, seed, slope):
    rng = np.random.default_rng(seed)
    return rng.normal(0, 1.2, n), 20 + rng.exponential(slope, n), rng.uniform(0.5, 1.5, n)


def test_reweighting_by_hand():
    # source 3 : 1 over the two diagonal bins, target 1 : 1 -> factors 0.5 / 0.75 and 0.5 / 0.25
    source, target = np.array([0.5, 0.5, 0.5, 1.5]), np.array([0.5, 1.5])
    change = reweight_2d(source, source, target, target, bins=([0, 1, 2], [0, 1, 2]))
    assert isinstance(change, Reweighting)
    np.testing.assert_allclose(change.ratios, [[2 / 3, 0], [0, 2]], rtol=1e-15)
    assert change.uncovered == 0
    # the last edge belongs to the last bin; outside, and in bins without source events, the factor is 0
    np.testing.assert_allclose(change.weights([2, 1, 0, 0.5, 2.1, -0.1], [2, 1, 0, 1.5, 1, 0]), [2, 2, 2 / 3, 0, 0, 0])


def test_reweighting_closes_and_agrees_with_histogram2d():
    sx, sy, sw = make_jets(20_000, 1, 40)
    tx, ty, tw = make_jets(30_000, 2, 60)
    change = reweight_2d(sx, sy, tx, ty, EDGES, source_weights=sw, target_weights=tw)
    source = np.histogram2d(sx, sy, EDGES, weights=sw)[0]
    target = np.histogram2d(tx, ty, EDGES, weights=tw)[0]
    np.testing.assert_allclose(change.ratios, (target / target.sum()) / (source / source.sum()), rtol=1e-12)
    after = np.histogram2d(sx, sy, EDGES, weights=sw * change.weights(sx, sy))[0]
    np.testing.assert_allclose(after / after.sum(), target / target.sum(), rtol=1e-12)
    np.testing.assert_allclose(after.sum(), source.sum(), rtol=1e-12)


def test_reweighting_does_not_depend_on_order_or_total_weight():
    sx, sy, sw = make_jets(2000, 1, 40)
    tx, ty, tw = make_jets(3000, 2, 60)
    first = reweight_2d(sx, sy, tx, ty, EDGES, sw, tw)
    order = np.random.default_rng(3).permutation(2000)
    again = reweight_2d(sx[order], sy[order], tx, ty, EDGES, 7 * sw[order], tw / 3)
    np.testing.assert_allclose(again.ratios, first.ratios, rtol=1e-12)
    swapped = reweight_2d(sy, sx, ty, tx, EDGES[::-1], sw, tw)
    np.testing.assert_allclose(swapped.ratios, first.ratios.T, rtol=1e-12)
    same = reweight_2d(sx, sy, sx, sy, EDGES)
    np.testing.assert_allclose(same.ratios, 1, rtol=1e-12)


def test_reweighting_carries_over_to_other_events_within_statistics():
    sx, sy, _ = make_jets(100_000, 1, 40)
    tx, ty, _ = make_jets(100_000, 2, 60)
    change = reweight_2d(sx[::2], sy[::2], tx[::2], ty[::2], EDGES)
    after = np.histogram2d(sx[1::2], sy[1::2], EDGES, weights=change.weights(sx[1::2], sy[1::2]))[0]
    target = np.histogram2d(tx[1::2], ty[1::2], EDGES)[0]
    n = np.histogram2d(sx[1::2], sy[1::2], EDGES)[0]
    ratio = (after / after.sum()) / (target / target.sum())
    error = np.sqrt(2 / target + 2 / n)  # each of the two samples enters twice: in the factors and in the comparison
    pull = (ratio - 1) / error
    assert np.abs(pull).max() < 4
    assert 0.4 < np.mean(pull**2) < 1.8


def test_reweighting_reports_what_it_cannot_reach():
    source, target = np.array([0.5, 0.5]), np.array([0.5, 0.5, 0.5, 1.5])
    change = reweight_2d(source, source, target, target, bins=([0, 1, 2], [0, 1, 2]))
    assert change.uncovered == 0.25
    np.testing.assert_array_equal(change.ratios, [[0.75, 0], [0, 0]])


def test_reweighting_refuses():
    x, bins = np.array([0.5, 1.5]), ([0, 1, 2], [0, 1, 2])
    for wrong in (10, (10, 10), ([0, 1],), np.array([0, 1, 2])):
        with pytest.raises(TypeError, match="pair of lists of edges"):
            reweight_2d(x, x, x, x, bins=wrong)
    assert reweight_2d(x, x, x, x, bins=([-1.5e308, 1.5e308], [-np.inf, np.inf])).ratios.tolist() == [[1]]
    for edges in ([0, 2, 1], [0], [0, np.nan]):
        with pytest.raises(ValueError, match="bin edges must rise"):
            reweight_2d(x, x, x, x, bins=(edges, [0, 1, 2]))
    with pytest.raises(ValueError, match=r"shapes \(2,\) and \(1,\)"):
        reweight_2d(x, x[:1], x, x, bins)
    with pytest.raises(ValueError, match="2 events but 3 weights"):
        reweight_2d(x, x, x, x, bins, target_weights=np.ones(3))
    with pytest.raises(ValueError, match="x or y holds NaN"):
        reweight_2d(x, np.array([0.5, np.nan]), x, x, bins)
    with pytest.raises(ValueError, match="the target has no weight inside the bin edges"):
        reweight_2d(x, x, x + 5, x, bins)
    with pytest.raises(ValueError, match=r"1 bins of the source have weights that cancel or add up to less .*: widen"):
        reweight_2d(x, x, x, x, bins, source_weights=np.array([1, -1]))
    many, weights = np.array([0.5, 0.5, 0.5, 1.5]), np.array([0.1, 0.2, -0.3, 1.0])
    with pytest.raises(ValueError, match="1 bins of the target have weights that cancel"):
        reweight_2d(x, x, many, many, bins, target_weights=weights)
    with pytest.raises(ValueError, match="y is missing in 1 of 2 events, first in event 1"):
        reweight_2d(x, x, x, np.ma.array(x, mask=[False, True]), bins)


@pytest.mark.parametrize("precision", ["f8", "f4"])
def test_weights_that_cancel_up_to_rounding_have_no_mean(precision):
    for weights in ([0.1, 0.2, -0.3], [1e5, 0.1, -1e5, -0.1], [0.7, 0.1, -0.8]):
        with pytest.raises(ValueError, match="the weights cancel"):
            normalise_weights(np.array(weights, precision), negative="keep")


def test_weights_that_are_all_zero_are_worth_no_event():
    with pytest.raises(ValueError, match="all 3 weights are zero"):
        effective_events(np.zeros(3))
