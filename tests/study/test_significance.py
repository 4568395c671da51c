"""The scan over cuts: by hand, as lesson 04 does it, and its errors against resampled events."""

import numpy as np
import pytest

from coursekit.metrics import asimov_significance
from coursekit.study.report import selection
from coursekit.study.report.page import Page
from coursekit.study.report.significance import NAMES, add_significance, choose, parts, scan

ALL = [name + end for name in NAMES for end in ("", "_rel")]


def events(n=4000, seed=1):
    rng = np.random.default_rng(seed)
    is_signal = rng.random(n) < 0.4
    score = np.where(is_signal, rng.beta(4, 2, n), rng.beta(2, 4, n))
    return score, is_signal, rng.uniform(0.2, 1.8, n) * np.where(is_signal, 1, 5)


def test_measures_are_their_formulas():
    score, is_signal, weights = events()
    found = scan(score, is_signal, weights, [0.0, 0.7], ALL, background_uncertainty=0.1)
    above = score >= 0.7
    s, b, v = (
        weights[above & is_signal].sum(),
        weights[above & ~is_signal].sum(),
        (weights[above & ~is_signal] ** 2).sum(),
    )
    expected = {"s_b": s / b, "s_sqrt_b": s / b**0.5, "s_sqrt_sb": s / (s + b) ** 0.5}
    expected["asimov"] = asimov_significance(s, b)
    expected["asimov_uncertain"] = asimov_significance(s, b, np.hypot(0.1 * b, np.sqrt(v)))
    for name, value in expected.items():
        assert found.values[name][1] == pytest.approx(value, rel=1e-12)
        assert found.values[f"{name}_rel"][1] == pytest.approx(value / found.values[name][0], rel=1e-12)
        assert found.values[f"{name}_rel"][0] == 1


def test_errors_are_the_spread_of_resampled_events():
    score, is_signal, weights = events()
    found = scan(score, is_signal, weights, [0.3, 0.6], ALL, background_uncertainty=0.02)
    rng = np.random.default_rng(2)
    drawn = []
    for _ in range(150):
        n = rng.poisson(1, len(score))
        again = (np.repeat(values, n) for values in (score, is_signal, weights))
        drawn.append(scan(*again, [0.3, 0.6], ALL, background_uncertainty=0.02).values)
    for name in ALL:
        spread = np.std([values[name] for values in drawn], axis=0)
        assert found.errors[name] == pytest.approx(spread, rel=0.25), name


def test_too_few_events_behind_a_cut_are_no_significance():
    score, is_signal, weights = np.array([0.9, 0.8, 0.7, 0.1]), np.array([1, 0, 0, 0], bool), np.array([1.0, 1, 0, 1])
    found = scan(score, is_signal, weights, [0.0, 0.5, 0.85], ["s_sqrt_sb", "s_b"], minimum_events=2)
    assert np.isnan(found.values["s_sqrt_sb"]).tolist() == [False, True, True]  # one of the two has weight zero
    assert np.isnan(scan(score, is_signal, weights, [0.85], ["s_b"], minimum_events=0).values["s_b"]).all()


def test_background_that_cancels_is_no_significance():
    found = scan(np.array([0.9, 0.8, 0.7]), np.array([1, 0, 0], bool), np.array([1.0, 1, -2]), [0.5], ALL)
    assert all(np.isnan(found.values[name][0]) for name in ALL)


def test_the_best_is_the_first_of_the_largest():
    assert choose(np.array([np.nan, 2.0, 5.0, 5.0])) == 2
    assert choose(np.full(3, np.nan)) is None


def test_as_lesson_04_does_it(toy, toy_dataset, toy_outcome, tmp_path):
    """Chosen on validation, quoted on test, weights over the share of the part."""
    settings = {"measures": ["s_sqrt_b"], "cuts": 19, "range": [0.05, 0.95], "minimum_events": 5}
    study = toy(apply={"luminosity_fb": 2.0, "significance": settings})
    page = Page(tmp_path, "toy")
    page.section("significance")
    numbers = add_significance(page, study, toy_dataset, toy_outcome)["s_sqrt_b"]
    thresholds, quoted, cuts = np.linspace(0.05, 0.95, 19), [], []
    labelled = toy_dataset.labels >= 0
    for score in toy_outcome.scores[..., 0].astype(float):
        z = {}
        for part in (1, 2):
            rows = np.flatnonzero(toy_dataset.parts == part)
            above = score[rows] >= thresholds[:, None]
            per_event = toy_dataset.weights[rows] * 2.0 / (len(rows) / labelled.sum())
            s, b = ((above * np.where(toy_dataset.labels[rows] == k, per_event, 0)).sum(axis=1) for k in (1, 0))
            z[part] = np.where(b > 0, s / np.sqrt(np.where(b > 0, b, 1)), np.nan)
            if part == 1:
                z[1] = np.where((above & (toy_dataset.labels[rows] == 0)).sum(axis=1) >= 5, z[1], np.nan)
        best = np.nanargmax(z[1])
        quoted.append(z[2][best])
        cuts.append(thresholds[best])
    assert numbers["value"] == pytest.approx(np.mean(quoted), rel=1e-9)
    assert numbers["cut"] == pytest.approx(np.mean(cuts))
    assert numbers["error"] > np.std(quoted, ddof=1)
    assert (tmp_path / "figures" / "significance.png").is_file()


def test_with_folds_two_halves_that_share_no_event(folds_dataset):
    (even, odd), (again, and_again) = parts(folds_dataset)
    assert not {*even} & {*odd}
    assert sorted([*even, *odd]) == selection.labelled(folds_dataset).tolist()
    assert again is odd
    assert and_again is even


def test_where_no_cut_has_enough_events_the_page_says_so(toy, toy_dataset, toy_outcome, tmp_path):
    page = Page(tmp_path, "toy")
    page.section("significance")
    study = toy(apply={"significance": {"minimum_events": 1000}})
    assert add_significance(page, study, toy_dataset, toy_outcome)["s_sqrt_b"] == {}
    assert "no cut is passed by 1000 simulated background events" in page.sections[0]["notes"][0]
