"""Some of the events of a streamed dataset: the ones that all of them have at these places, seen as in the training."""

import numpy as np
import pytest

from coursekit.events import load_events
from coursekit.study.dataset import load_dataset
from coursekit.study.outcome import Outcome, Training
from coursekit.study.report import fit_inputs, make
from coursekit.study.report.page import Page
from coursekit.study.report.thinned import thinned
from coursekit.study.settings.apply import Apply
from tests.study.events_of_studies import columns, root_file, study


@pytest.fixture
def streamed(tmp_path, monkeypatch):
    """A dataset on disk, in chunks of a few hundred events, and scores that know a little of its labels."""
    for module in ("stored", "dataset", "streaming", "view", "report.thinned"):
        monkeypatch.setattr(f"coursekit.study.{module}.CHUNK", 400)
    files = [root_file(tmp_path / f"{seed}.root", columns(900, seed, 9 * seed)) for seed in (1, 2, 4)]
    settings = study(
        {"s": files[0]},
        {"b": files[1]},
        {"d": files[2]},
        features=["pt", "sv_mass"],
        spectators=["eta"],
        defaults={"sv_mass": -1},
        checks={"no_vertex": "sv_mass"},
        targets={"signal": {"mean": 1}},
        reset={"pt": {"training": [20, 50]}},
        memory="1kB",
    )
    dataset = load_dataset(settings)
    scores = 1 / (1 + np.exp(-np.random.default_rng(1).normal(dataset.labels, 1)))
    training = Training(1, None, {"loss": [0.7], "val_loss": [0.7]}, 1)
    return dataset, Outcome((training,), scores.astype(np.float32)[None, :, None], None)


@pytest.mark.parametrize("most", [10**9, 600])
def test_chosen_events_are_those_of_the_training(streamed, most):
    dataset, outcome = streamed
    some, scores = thinned(dataset, outcome, most)
    share = len(some) / (dataset.labels >= 0).sum()
    assert share == (1 if most > 1800 else pytest.approx(1 / 3, abs=5 * np.sqrt(2 / 9 / 1800)))
    assert not some.streamed
    np.testing.assert_array_equal(some.columns["eta"], dataset.columns["eta"][some.rows])
    np.testing.assert_array_equal(some.weights, dataset.weights[some.rows].astype(float) / share)
    np.testing.assert_array_equal(scores.scores, outcome.scores[:, some.rows])
    view, whole = some.view(), dataset.view()
    for part in ("training", "validation", "test"):
        rows = getattr(view, part)
        np.testing.assert_array_equal(some.rows[rows], np.intersect1d(getattr(whole, part), some.rows))
        np.testing.assert_array_equal(view.inputs(rows), whole.inputs(some.rows[rows]))
        np.testing.assert_array_equal(view.weights[rows], whole.weights[some.rows[rows]])


def test_the_page_says_how_many_are_looked_at(streamed, tmp_path, monkeypatch):
    dataset, outcome = streamed
    monkeypatch.setattr(make, "MOST_OF_COLUMNS", 600)
    monkeypatch.setattr(make, "MOST_OF_SCORES", 1200)
    found = make.make_report(dataset.study, dataset, outcome, tmp_path)
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    for most, sections in ((600, 3), (1200, 2)):  # kinematics, correlations, importance; performance, train_test
        n = len(thinned(dataset, outcome, most)[0])
        assert page.count(f"of 1800 simulated ones {n}, chosen by a hash") == sections
    assert found["missing"] == {"importance": "no network was kept"}
    (tested,) = np.flatnonzero(dataset.parts == 2)[None]
    assert found["scores"]["yields"]["s"]["simulated"] == (dataset.labels[tested] == 1).sum()  # all of them


def test_files_for_a_fit_hold_all_tested_events_piece_by_piece(streamed, tmp_path, monkeypatch):
    dataset, outcome = streamed
    monkeypatch.setattr(fit_inputs, "_AT_ONCE", 100)
    page = Page(tmp_path, "toy")
    page.section("Fit inputs")
    settings = dataset.study.model_copy(update={"apply": Apply(fit_inputs={})})
    found = fit_inputs.add_fit_inputs(page, settings, dataset, outcome)["files"]
    rows = np.flatnonzero((dataset.parts == 2) & (dataset.labels == 0))
    events = load_events(tmp_path / "fit_inputs" / "b.root")
    assert "places" not in events
    assert found["b"]["events"] == len(rows) > 100
    np.testing.assert_array_equal(events["eta"], dataset.columns["eta"][rows])
    np.testing.assert_array_equal(events["score"], outcome.scores[0, rows, 0].astype(float))


def test_a_view_is_made_once_and_does_not_travel(streamed):
    dataset, _ = streamed
    assert dataset.view() is dataset.view()
    assert "_views" not in dataset.__getstate__()
