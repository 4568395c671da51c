import math

import awkward as ak
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, roc_auc_score

from coursekit import metrics


def make_sample(n, seed=0, separation=1.0, ties=False, negative=0.0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    score = rng.normal(separation * labels, 1)
    weights = rng.exponential(1, n) * np.where(rng.random(n) < negative, -1, 1)
    return labels, np.round(score) if ties else score, weights


def pairwise_auc(labels, score, weights):
    """The definition: every signal event against every background event."""
    s, b = labels == 1, labels == 0
    wins = (score[s][:, None] > score[b]) + 0.5 * (score[s][:, None] == score[b])
    pairs = weights[s][:, None] * weights[b]
    return (wins * pairs).sum() / pairs.sum()


# --- ROC --------------------------------------------------------------------------------------------------------------


def test_roc_by_hand():
    roc = metrics.roc_curve([1, 0, 1, 0], [0.9, 0.8, 0.7, 0.1], weights=[3.0, 1.0, 1.0, 1.0])
    assert roc.thresholds.tolist() == [math.inf, 0.9, 0.8, 0.7, 0.1]
    assert roc.signal_efficiency == pytest.approx([0, 0.75, 0.75, 1, 1])
    assert roc.background_efficiency == pytest.approx([0, 0, 0.5, 0.5, 1])
    assert roc.background_error[2] == pytest.approx(math.sqrt(0.5 * 0.5 / 2))
    assert roc.signal_error[1] == pytest.approx(math.sqrt((0.25**2 * 9 + 0.75**2 * 1) / 16))
    assert roc.signal_error[[0, -1]].tolist() == [0, 0]


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("negative", [0.0, 0.2])
def test_roc_against_counting(ties, negative):
    labels, score, weights = make_sample(300, ties=ties, negative=negative)
    roc = metrics.roc_curve(labels, score, weights)
    assert roc.thresholds[1:].tolist() == sorted(set(score.tolist()), reverse=True)
    for label, efficiency, error in (
        (1, roc.signal_efficiency, roc.signal_error),
        (0, roc.background_efficiency, roc.background_error),
    ):
        w, x = weights[labels == label], score[labels == label]
        expected = np.array([w[x >= threshold].sum() / w.sum() for threshold in roc.thresholds])
        spread = [
            math.sqrt((w**2 * ((x >= threshold) - e) ** 2).sum()) / w.sum()
            for threshold, e in zip(roc.thresholds, expected, strict=True)
        ]
        assert efficiency == pytest.approx(expected, abs=1e-12)
        assert error == pytest.approx(spread, abs=1e-7)


def test_roc_is_frozen():
    roc = metrics.roc_curve([0, 1], [0.0, 1.0])
    with pytest.raises(AttributeError):
        roc.thresholds = None


# --- AUC --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("negative", [0.0, 0.2])
def test_auc_against_all_pairs(ties, negative):
    labels, score, weights = make_sample(400, ties=ties, negative=negative)
    assert metrics.auc(labels, score, weights).value == pytest.approx(pairwise_auc(labels, score, weights), rel=1e-12)


def test_auc_against_scikit_learn():
    labels, score, weights = make_sample(1000, ties=True)
    assert metrics.auc(labels, score).value == pytest.approx(roc_auc_score(labels, score), rel=1e-12)
    expected = roc_auc_score(labels, score, sample_weight=weights)
    assert metrics.auc(labels, score, weights).value == pytest.approx(expected, rel=1e-12)


def test_auc_by_hand_with_its_error():
    # V of the signal: 2/3, 1; V of the background: 1, 1, 1/2; A = 5/6.
    value, error = metrics.auc([1, 1, 0, 0, 0], [0.5, 0.9, 0.1, 0.2, 0.7])
    assert value == pytest.approx(5 / 6)
    assert error**2 == pytest.approx(2 * (1 / 6) ** 2 / 4 + (2 * (1 / 6) ** 2 + (1 / 3) ** 2) / 9)


def test_auc_of_extremes():
    assert metrics.auc([0, 0, 1, 1], [1, 2, 3, 4]) == (1, 0)
    assert metrics.auc([1, 1, 0, 0], [1, 2, 3, 4]) == (0, 0)
    assert metrics.auc([0, 1, 0, 1], [7, 7, 7, 7]) == (0.5, 0)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("ties", [False, True])
def test_the_error_of_the_auc_is_that_of_a_bootstrap(weighted, ties):
    labels, score, weights = make_sample(1000, ties=ties, negative=0.1)
    arrays = (labels, score, weights) if weighted else (labels, score)
    replicas = metrics.bootstrap(
        lambda *x: metrics.auc(*x).value, *arrays, rng=np.random.default_rng(1), n_replicas=600
    )
    assert metrics.auc(*arrays).error == pytest.approx(replicas.error, rel=0.12)  # 600 replicas: 3%


def test_the_error_of_the_auc_is_the_spread_of_new_samples():
    estimates = [metrics.auc(*make_sample(500, seed)) for seed in range(400)]
    spread = np.std([estimate.value for estimate in estimates])
    assert np.mean([estimate.error for estimate in estimates]) == pytest.approx(spread, rel=0.15)


def test_a_difference_on_the_same_events_is_known_better():
    labels, score, weights = make_sample(2000)
    other = score + np.random.default_rng(3).normal(0, 0.5, 2000)
    difference = metrics.auc_difference(labels, score, other, weights)
    a, b = metrics.auc(labels, score, weights), metrics.auc(labels, other, weights)
    assert difference.value == pytest.approx(a.value - b.value)
    assert difference.error < 0.7 * math.hypot(a.error, b.error)
    oracle = metrics.bootstrap(
        lambda y, s, o, w: metrics.auc(y, s, w).value - metrics.auc(y, o, w).value,
        *(labels, score, other, weights),
        rng=np.random.default_rng(1),
        n_replicas=400,
    )
    assert difference.error == pytest.approx(oracle.error, rel=0.15)


def test_a_scale_of_scores_or_weights_changes_nothing():
    labels, score, weights = make_sample(500)
    expected = metrics.auc(labels, score, weights)
    assert metrics.auc(labels, np.exp(score), 7 * weights) == pytest.approx(expected)
    assert metrics.rejection(labels, np.exp(score), 0.5, 7 * weights) == pytest.approx(
        metrics.rejection(labels, score, 0.5, weights)
    )


# --- rejection and accuracy -------------------------------------------------------------------------------------------


def test_rejection_by_hand():
    labels = np.repeat([0, 1], [1000, 100])
    score = np.concatenate([np.linspace(0.0005, 0.9995, 1000), np.linspace(0.005, 0.995, 100)])
    # The highest threshold with half the signal is 0.505; 495 background events lie above it.
    value, error = metrics.rejection(labels, score, 0.5)
    assert value == pytest.approx(1000 / 495)
    assert error == pytest.approx(value * math.sqrt((1 - 0.495) / 495))


def test_the_error_of_a_high_rejection_is_that_of_counting():
    labels = np.repeat([0, 1], [100_000, 1000])
    score = np.concatenate([np.arange(100_000.0), np.full(1000, 99_900.0)])  # exactly 100 pass
    value, error = metrics.rejection(labels, score, 0.3)
    assert value == pytest.approx(1000)
    assert error == pytest.approx(100, rel=1e-3)


def test_tied_signal_passes_together():
    assert metrics.rejection([1, 1, 1, 0, 0], [2, 2, 2, 2, 1], 0.1).value == 2


def test_nothing_passes():
    assert metrics.rejection([1, 1, 0, 0], [3, 4, 1, 2], 1.0) == (math.inf, math.inf)


def test_exactly_the_efficiency_asked_for_is_enough():
    labels = np.repeat([1, 0], [10, 10])
    score = np.concatenate([np.arange(10.0, 0, -1), np.arange(9.5, -0.5, -1)])
    weights = np.full(20, 0.1)  # ten times 0.1 is not 1 in binary
    assert metrics.rejection(labels, score, 0.7, weights).value == pytest.approx(10 / 6)


@pytest.mark.parametrize("efficiency", [0, -0.1, 1.01, math.nan])
def test_efficiencies_outside_their_range(efficiency):
    with pytest.raises(ValueError, match="signal_efficiency must lie in"):
        metrics.rejection([0, 1], [0.0, 1.0], efficiency)


def test_accuracy():
    labels, score, weights = make_sample(500)
    value, error = metrics.accuracy(labels, score)
    assert value == pytest.approx(accuracy_score(labels, score >= 0.5))
    assert error == pytest.approx(math.sqrt(value * (1 - value) / 500))
    value, error = metrics.accuracy(labels, score, threshold=0.2, weights=weights)
    assert value == pytest.approx(accuracy_score(labels, score >= 0.2, sample_weight=weights))
    oracle = metrics.bootstrap(
        lambda y, s, w: metrics.accuracy(y, s, 0.2, w).value, labels, score, weights, rng=np.random.default_rng(1)
    )
    assert error == pytest.approx(oracle.error, rel=0.2)


@pytest.mark.parametrize("threshold", [np.nan, [0.5, 0.95]])
def test_a_threshold_is_one_number(threshold):
    with pytest.raises(ValueError, match="threshold must be one number"):
        metrics.accuracy([0, 1], [0.1, 0.9], threshold)


def test_bootstrap_draws_whole_events_from_its_own_generator():
    x = np.arange(50.0)
    first, second = (metrics.bootstrap(np.mean, x, rng=np.random.default_rng(5)) for _ in range(2))
    assert first == second
    assert metrics.bootstrap(lambda a, b: float((a - b).sum()), x, x, rng=np.random.default_rng(0)) == (0, 0)
    with pytest.raises(ValueError, match=r"one length, got .50, 49"):
        metrics.bootstrap(np.mean, x, x[1:], rng=np.random.default_rng(0))
    for arguments, message in [
        ((np.mean, x[:0]), "got 0 events and 200 replicas"),
        ((np.mean, x, 1), "got 50 events and 1 replicas"),
        ((lambda x: np.inf if 0 in x else 1.0, x), "the statistic is NaN or infinite in [0-9]+ of 200 replicas"),
    ]:
        with pytest.raises(ValueError, match=message):
            metrics.bootstrap(*arguments[:2], rng=np.random.default_rng(0), n_replicas=(*arguments, 200)[2])


def test_scores_at_the_ends_of_float64_have_a_curve():
    labels, score = np.array([0, 1, 0, 1] * 4), np.array([-1.7e308, 1.7e308, -0.0, 5e-324] * 4)
    roc = metrics.roc_curve(labels, score)
    assert roc.thresholds.tolist() == [np.inf, 1.7e308, 5e-324, 0, -1.7e308]
    assert roc.signal_efficiency.tolist() == [0, 0.5, 1, 1, 1]
    assert metrics.auc(labels, score).value == 1


def test_an_event_without_weight_has_a_point_on_the_curve():
    roc = metrics.roc_curve([0, 1, 1], [0.1, 0.9, 0.5], weights=[1, 1, 0])
    assert roc.thresholds.tolist() == [np.inf, 0.9, 0.5, 0.1]


def test_weights_of_a_class_too_small_to_be_squared_are_refused():
    with pytest.raises(ValueError, match="the largest weight is 1e-200"):
        metrics.auc([0, 1], [0.1, 0.9], weights=[1, 1e-200])


# --- significance -----------------------------------------------------------------------------------------------------


def test_significance():
    value, error = metrics.significance(16.0, 9.0, signal_error=1.0, background_error=2.0)
    assert value == pytest.approx(16 / 5)
    step = 1e-6
    by_s = (metrics.significance(16 + step, 9.0)[0] - metrics.significance(16 - step, 9.0)[0]) / (2 * step)
    by_b = (metrics.significance(16.0, 9 + step)[0] - metrics.significance(16.0, 9 - step)[0]) / (2 * step)
    assert error == pytest.approx(math.hypot(by_s * 1.0, by_b * 2.0), rel=1e-6)
    values, errors = metrics.significance(np.array([0.0, 4.0]), np.array([0.0, 0.0]), 1.0)
    assert values.tolist() == [0, 2]
    assert np.isfinite(errors).all()
    with pytest.raises(ValueError, match="signal \\+ background is negative"):
        metrics.significance(np.array([1.0, 1.0]), np.array([1.0, -2.0]))


def asimov_oracle(s, b, sigma):
    """-2 ln of the profile likelihood ratio of n = s + b events and a measured background b, by brute force."""

    def log_likelihood(n, m, mean, background, tau):
        return n * math.log(mean) - mean + m * math.log(tau * background) - tau * background

    n, tau = s + b, b / sigma**2
    m = tau * b
    best = log_likelihood(n, m, s + b, b, tau)
    null = max(log_likelihood(n, m, x, x, tau) for x in np.linspace(0.5 * b, s + b, 200_001))
    return math.sqrt(2 * (best - null))


@pytest.mark.parametrize(("s", "b", "sigma"), [(10, 100, 10), (5, 2, 1), (50, 20, 8)])
def test_asimov_significance_against_the_likelihood_ratio(s, b, sigma):
    assert metrics.asimov_significance(s, b, sigma) == pytest.approx(asimov_oracle(s, b, sigma), rel=1e-6)


def test_asimov_significance_in_its_limits():
    assert metrics.asimov_significance(10.0, 5.0) == pytest.approx(math.sqrt(2 * (15 * math.log(3) - 10)))
    assert metrics.asimov_significance(10.0, 5.0, 1e-4) == pytest.approx(metrics.asimov_significance(10.0, 5.0))
    assert metrics.asimov_significance(1e-3, 1e4) == pytest.approx(1e-5, rel=1e-3)  # s / sqrt(b)
    assert metrics.asimov_significance(1.0, 1e4, 500.0) == pytest.approx(1 / math.sqrt(1e4 + 500**2), rel=1e-3)
    z = metrics.asimov_significance(np.array([0.0, 1.0, 1.0, -1.0]), np.array([1.0, 0.0, -1.0, 1.0]), 0.1)
    assert z[0] == 0
    assert np.isnan(z[1:]).all()


def test_yields_that_cancel_or_are_no_counts_are_refused():
    for s, b in [(-3.0, 3.0), (-0.3, 0.1 + 0.2)]:
        with pytest.raises(ValueError, match="negative or cancels"):
            metrics.significance(s, b)
    for function in (metrics.significance, metrics.asimov_significance):
        with pytest.raises(ValueError, match=r"is 1e-200: in which units"):
            function(1.0, 1e-200)


@pytest.mark.parametrize("bad", [math.nan, math.inf, None, np.ma.array([1.0, 2.0], mask=[0, 1])], ids=str)
def test_yields_are_numbers(bad):
    for values in ((bad, 9.0), (16.0, bad), (16.0, 9.0, bad)):
        for function in (metrics.significance, metrics.asimov_significance):
            with pytest.raises(ValueError, match="a yield or its error is"):
                function(*values)


# --- input ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", [metrics.roc_curve, metrics.auc, metrics.accuracy])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": [1, 1, 1]}, "no background among the 3 events"),
        ({"labels": [0, 0, 0]}, "no signal among the 3 events"),
        ({"labels": [0, 1, 2]}, "labels must be 0 .background. or 1 .signal., but 1 of 3 are not: event 2 has 2"),
        ({"labels": [-1, 1, 1]}, "labels must be 0"),
        ({"labels": []}, r"shape \(N,\), got \(0,\), \(3,\)"),
        ({"score": [0.1, math.nan, 0.3]}, "1 of 3 score are NaN"),
        ({"score": [0.1, math.inf, 0.3]}, "1 of 3 score are NaN or infinite"),
        ({"score": [[0.1], [0.2], [0.3]]}, r"\(3,\), \(3, 1\)"),
        ({"weights": [1.0, math.nan, 1.0]}, "1 of 3 weights are NaN"),
        ({"weights": [1.0, 1.0]}, r"\(3,\), \(2,\)"),
        ({"weights": [0.0, 1.0, 1.0]}, "weights of the background are all zero"),
        ({"weights": [1.0, 1.0, -2.0]}, "weights of the signal add up to -1"),
        ({"weights": [1.0, 0.3, -0.1 - 0.2]}, "weights of the signal cancel"),
        ({"weights": [1.0, 1e200, 1.0]}, "largest weight is 1e.200"),
        ({"weights": np.ma.array([1.0, 1.0, 1.0], mask=[0, 1, 0])}, "weights is missing in 1 of 3 events, .* event 1"),
        ({"labels": [0, 1, None]}, "labels is missing in 1 of 3 events"),
        ({"labels": [[0, 1], [1, 0], [1, 0]]}, "One-hot"),
        ({"labels": [0.0, 1.0, math.nan]}, "event 2 has nan"),
        ({"score": pd.Series([0.1, None, 0.3], dtype="Float64")}, "score is missing in 1 of 3 events"),
        ({"score": ak.mask(ak.Array([0.1, 0.2, 0.3]), [True, False, True])}, "score is missing in 1 of 3 events"),
        ({"score": ["a", "b", "c"]}, "score must be numbers"),
    ],
)
def test_bad_input_is_named(function, change, message):
    arguments = {"labels": [0, 1, 1], "score": [0.1, 0.2, 0.3], "weights": [1.0, 1.0, 1.0], **change}
    with pytest.raises(ValueError, match=message):
        function(**arguments)


def test_booleans_lists_and_float32_are_welcome_and_left_alone():
    labels, score, weights = make_sample(50)
    before = labels.copy(), score.copy(), weights.copy()
    expected = metrics.auc(labels, score, weights)
    assert metrics.auc((labels == 1).tolist(), score.tolist(), weights.tolist()) == expected
    assert metrics.auc(labels.astype(np.float32), score, weights) == expected
    metrics.roc_curve(labels, score, weights)
    assert all(np.array_equal(a, b) for a, b in zip(before, (labels, score, weights), strict=True))


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0.91234, 0.00321, "0.9123 ± 0.0032"),
        (1615.2, 93.4, "1615 ± 93"),
        (0.5, 0.0, "0.5 ± 0"),
        (math.inf, math.inf, "inf ± inf"),
        (247.31, 3.04, "247.3 ± 3.0"),
    ],
)
def test_estimates_print_to_the_digits_that_mean_something(value, error, text):
    assert str(metrics.Estimate(value, error)) == text


def test_pandas_columns_are_matched_by_position():
    """Labels sorted another way than the scores would otherwise be aligned by their index, or not, silently."""
    labels = pd.Series([0, 1, 0, 1], index=[3, 1, 0, 2])
    assert metrics.auc(labels, pd.Series([0.1, 0.4, 0.4, 0.9])) == metrics.auc([0, 1, 0, 1], [0.1, 0.4, 0.4, 0.9])


def test_weights_that_cancel_pass_no_background():
    labels, score = [1, 0, 0, 0, 0], [0.9, 0.8, 0.8, 0.8, 0.1]
    weights = [1.0, 0.1, 0.2, -0.3, 1.0]  # what passes adds up to 5.6e-17
    roc = metrics.roc_curve(labels, score, weights)
    assert roc.background_efficiency.tolist() == [0.0, 0.0, 0.0, 1.0]
    assert metrics.rejection(labels, score, 1.0, weights) == (math.inf, math.inf)


# ------------------------------------------------------------------------------------------------- numbers of all kinds


def test_whole_scores_that_float64_cannot_tell_apart_are_no_ties():
    score = np.array([2**63, 2**63 + 1, 2**63 + 2, 2**63 + 3], dtype=np.uint64)
    assert metrics.auc([0, 1, 0, 1], score).value == 0.75
    assert len(metrics.roc_curve([0, 1, 0, 1], score).thresholds) == 5


def test_single_numbers_are_refused_by_name():
    labels, score = [0, 1, 0, 1], [0.1, 0.4, 0.4, 0.9]
    for bad in ("0.5", None, [0.5], 0.5j):
        with pytest.raises(ValueError, match=r"signal_efficiency (must be|is None)"):
            metrics.rejection(labels, score, bad)
        with pytest.raises(ValueError, match=r"threshold (must be|is None)"):
            metrics.accuracy(labels, score, bad)
        with pytest.raises(ValueError, match=r"the statistic (must be|is None)"):
            metrics.bootstrap(lambda x, bad=bad: bad, np.ones(3), rng=np.random.default_rng(1))
    for bad in ("3", ["3"], 3j, np.array(["2026"], "M8[Y]"), -1.0):
        with pytest.raises(ValueError, match=r"a yield (or its error must be numbers|is negative)"):
            metrics.significance(4, 4, bad)
    with pytest.raises(ValueError, match=r"must have one shape, or be single numbers, got \(2,\), \(3,\)"):
        metrics.asimov_significance([1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match="at least one array"):
        metrics.bootstrap(np.mean, rng=np.random.default_rng(1))


@pytest.mark.parametrize("sigma", [0.0, 1e-6, 10.0, 1e4])
def test_asimov_significance_of_next_to_nothing(sigma):
    for s in 10.0 ** -np.arange(1, 20):
        assert metrics.asimov_significance(s, 1e4, sigma) == pytest.approx(s / math.hypot(100, sigma), rel=1e-4)
