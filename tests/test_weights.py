"""Weights: by hand, beside histograms, and what they must not depend on."""

import numpy as np
import pytest

from coursekit.weights import Reweighting, effective_events, normalise_weights, reweight_2d, reweight_classes


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


# ------------------------------------------------------------------------------------------- several classes made alike


def make_classes(n, seed):
    """Light, c and b jets in unequal numbers, of different spectra."""
    rng = np.random.default_rng(seed)
    labels = rng.choice([0, 4, 5], n, p=[0.7, 0.1, 0.2])
    slope, width = np.select([labels == 0, labels == 4], [30, 40], 60), np.where(labels == 5, 1.0, 1.4)
    return rng.normal(0, width), 20 + rng.exponential(slope), labels


def histograms(x, y, labels, changes=None):
    weights = np.ones(len(x)) if changes is None else np.zeros(len(x))
    for k, change in (changes or {}).items():
        weights[labels == k] = change.weights(x[labels == k], y[labels == k])
    return {
        k: np.histogram2d(x[labels == k], y[labels == k], EDGES, weights=weights[labels == k])[0] for k in (0, 4, 5)
    }


@pytest.mark.parametrize("target", [5, 0, "sum", "flat"])
def test_classes_have_one_histogram_afterwards(target):
    x, y, labels = make_classes(60_000, 1)
    before = histograms(x, y, labels)
    assert min(before[k].min() for k in before) > 0
    changes = reweight_classes(x, y, labels, EDGES, target)
    after = histograms(x, y, labels, changes)
    total = sum(before.values())
    aim = {"sum": total, "flat": np.ones_like(total)}.get(target, before.get(target))
    for k in (0, 4, 5):
        np.testing.assert_allclose(after[k], total.sum() / 3 * aim / aim.sum(), rtol=1e-10)
        np.testing.assert_array_equal(changes[k].n_source, before[k])
        assert changes[k].uncovered == 0
        assert changes[k].largest.value == changes[k].ratios.max()
    if target in before:  # of its own, a class keeps the shape
        np.testing.assert_allclose(changes[target].ratios, changes[target].ratios[0, 0], rtol=1e-12)


def test_two_classes_are_reweighted_as_by_reweight_2d_up_to_the_sum():
    x, y, labels = make_classes(20_000, 2)
    weights = np.random.default_rng(3).uniform(0.5, 1.5, len(x))
    x, y, labels, weights = (array[labels != 4] for array in (x, y, labels, weights))
    b = labels == 5
    changes = reweight_classes(x, y, labels, EDGES, 5, weights)
    one = reweight_2d(x[~b], y[~b], x[b], y[b], EDGES, weights[~b], weights[b])
    inside = changes[0].weights(x, y) > 0
    factor = weights[inside].sum() / 2 / weights[inside & ~b].sum()
    np.testing.assert_allclose(changes[0].ratios, factor * one.ratios, rtol=1e-9)


def test_classes_are_alike_in_other_jets_within_statistics():
    x, y, labels = make_classes(300_000, 4)
    train = np.arange(len(x)) % 2 == 0
    changes = reweight_classes(x[train], y[train], labels[train], EDGES, 5)
    after, n = (
        histograms(x[~train], y[~train], labels[~train], changes),
        histograms(x[~train], y[~train], labels[~train]),
    )
    for k in (0, 4):
        pull = (after[k] / after[5] - 1) / np.sqrt(2 / n[k] + 2 / n[5])
        assert np.abs(pull).max() < 4.5
        assert 0.4 < np.mean(pull**2) < 1.8
    raw = (n[0] / n[5]) / (n[0].sum() / n[5].sum())
    assert np.abs(raw - 1).max() > 0.5  # they were not alike before


def test_the_largest_factor_names_its_bin_and_what_is_missing():
    x, y = np.array([0.5] * 9 + [1.5] + [0.5, 1.5, 1.5, 2.5]), np.full(14, 0.5)
    changes = reweight_classes(x, y, np.array([0] * 10 + [5] * 4), ([0, 1, 2, 3], [0, 1]), target=5)
    # W / K = 7; the share of b jets in the bins is 1/4, 1/2, 1/4; light jets are 9, 1 and 0
    np.testing.assert_allclose(changes[0].ratios[:, 0], [7 / 4 / 9, 7 / 2, 0], rtol=1e-14)
    np.testing.assert_allclose(changes[5].ratios[:, 0], 7 / 4, rtol=1e-14)
    assert changes[0].largest == (pytest.approx(3.5), (1, 2), (0, 1), 1)
    assert (changes[0].uncovered, changes[5].uncovered) == (0.25, 0)


def test_classes_that_cannot_be_made_alike_are_refused():
    x, labels, bins = np.array([0.5, 1.5, 0.5, 1.5]), np.array([0, 0, 5, 5]), ([0, 1, 2], [0, 1, 2])
    for target in (4, "b", True, None):
        with pytest.raises(ValueError, match=r'choose one of the labels \[0, 5\], "sum" or "flat"'):
            reweight_classes(x, x, labels, bins, target)
    with pytest.raises(ValueError, match=r"all 4 labels are of one class, \[0\]"):
        reweight_classes(x, x, np.zeros(4, int), bins, 0)
    with pytest.raises(TypeError, match="labels are integers"):
        reweight_classes(x, x, labels / 1, bins, 5)
    with pytest.raises(ValueError, match=r"shapes \(4,\), \(3,\), \(4,\)"):
        reweight_classes(x, x[:3], labels, bins, 5)
    with pytest.raises(ValueError, match="the class 5 has no weight inside the bin edges"):
        reweight_classes(x + labels, x, labels, bins, "flat")
    with pytest.raises(ValueError, match="4 events but 3 weights"):
        reweight_classes(x, x, labels, bins, 5, np.ones(3))
    with pytest.raises(ValueError, match="1 bins of the class 5 have weights that cancel or add up to less"):
        reweight_classes(x, x, labels, bins, 5, [1, 1, 1, -0.5])
    with pytest.raises(TypeError, match="pair of lists of edges"):
        reweight_classes(x, x, labels, 5, 5)


@pytest.mark.parametrize("precision", ["f8", "f4"])
def test_weights_that_cancel_up_to_rounding_have_no_mean(precision):
    for weights in ([0.1, 0.2, -0.3], [1e5, 0.1, -1e5, -0.1], [0.7, 0.1, -0.8]):
        with pytest.raises(ValueError, match="the weights cancel"):
            normalise_weights(np.array(weights, precision), negative="keep")


def test_weights_that_are_all_zero_are_worth_no_event():
    with pytest.raises(ValueError, match="all 3 weights are zero"):
        effective_events(np.zeros(3))
