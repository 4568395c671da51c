"""The figure of the score, its yields, and what it hides."""

import numpy as np
import pandas as pd
import pytest

from coursekit.study.report import scores, selection
from coursekit.study.report.page import Page
from coursekit.study.report.processes import blinded, processes


def page_of(tmp_path):
    page = Page(tmp_path, "toy")
    page.section("scores")
    return page


def drawn(monkeypatch, tmp_path, study, dataset, outcome):
    """What is handed to the drawing, and the numbers."""
    seen, draw = [], scores.draw_stack

    def spy(*parts):
        seen.append(parts)
        draw(*parts)

    monkeypatch.setattr(scores, "draw_stack", spy)
    numbers = scores.add_scores(page_of(tmp_path), study, dataset, outcome)
    return seen, numbers


def test_processes_are_samples_and_a_sample_of_several_classes_is_told_apart(toy, toy_dataset, flavours, tmp_path):
    rows = np.arange(len(toy_dataset.labels))
    found = processes(toy(), toy_dataset, rows)
    assert [(one.name, one.kind) for one in found] == [
        ("qcd", "background"), ("zjets", "background"), ("higgs", "signal"), ("vbf", "signal"), ("data", "data"),
    ]  # fmt: skip
    assert np.concatenate([one.rows for one in found]).tolist() == rows.tolist()


def test_flavours_of_one_sample_are_processes(flavours, flavours_dataset):
    from dataclasses import replace

    one_sample = replace(flavours_dataset, samples=("jets",), sample=np.zeros(450, np.int16))
    found = processes(flavours(), one_sample, np.arange(450))
    assert [(one.name, one.kind) for one in found] == [
        ("jets, light", "background"), ("jets, c", "background"), ("jets, b", "signal"),
    ]  # fmt: skip


def test_yields_are_sums_of_weights_that_stand_for_the_whole(toy, toy_dataset, toy_outcome, tmp_path):
    numbers = scores.add_scores(page_of(tmp_path), toy(apply={"luminosity_fb": 3.0}), toy_dataset, toy_outcome)
    tested = selection.tested(toy_dataset)
    of_qcd = tested[toy_dataset.sample[tested] == 0]
    share = len(tested) / 600
    assert numbers["yields"]["qcd"]["expected"] == pytest.approx(3 * toy_dataset.weights[of_qcd].sum() / share)
    squares = 9 * (toy_dataset.weights[of_qcd] ** 2).sum() / share**2
    assert numbers["yields"]["qcd"]["error"] == pytest.approx(np.sqrt(squares))
    assert numbers["yields"]["qcd"]["simulated"] == len(of_qcd)
    assert numbers["yields"]["data"] == {"observed": 150}
    table = pd.read_csv(tmp_path / "tables" / "yields.csv", index_col=0)
    both = table.loc[["qcd", "zjets"], "events"].sum()
    assert table.loc["all background", "events"] == pytest.approx(both)
    assert {file.name for file in (tmp_path / "figures").iterdir()} == {"scores.png", "scores_log.png"}


def test_nothing_of_the_data_is_seen_in_the_blinded_range(toy, toy_dataset, toy_outcome, tmp_path, monkeypatch):
    study = toy(apply={"blind": [0.7, 0.9], "scores": {"bins": 5, "axis": ["linear"]}})
    seen, numbers = drawn(monkeypatch, tmp_path, study, toy_dataset, toy_outcome)
    observed, score = seen[0][4], toy_outcome.scores[0, -150:, 0]
    assert np.isnan(observed).tolist() == [False, False, False, True, True]  # 0.6 to 0.8 reaches into it, too
    assert observed[:3].tolist() == np.histogram(score, np.linspace(0, 1, 6))[0][:3].tolist()
    outside = int(((score < np.float32(0.7)) | (score > np.float32(0.9))).sum())
    assert numbers["yields"]["data"] == {"observed": outside}
    table = pd.read_csv(tmp_path / "tables" / "yields.csv", index_col=0)
    assert np.isnan(table.loc["data", "events"])


def test_hidden_is_what_any_of_the_trainings_puts_there():
    one, other = np.array([0.1, 0.6, 0.1]), np.array([0.1, 0.1, 0.9])
    assert blinded((0.5, 0.9), one, other).tolist() == [False, True, True]


def test_samples_are_shown_in_the_order_that_is_asked_for(toy, toy_dataset, toy_outcome, tmp_path, monkeypatch):
    study = toy(apply={"scores": {"samples": ["zjets", "vbf"], "axis": ["log"]}})
    seen, numbers = drawn(monkeypatch, tmp_path, study, toy_dataset, toy_outcome)
    assert [one.name for one in seen[0][2]] == ["zjets", "vbf"]
    assert seen[0][4] is None
    assert [*numbers["yields"]] == ["zjets", "vbf"]


def test_heights_are_those_of_the_counts(toy, toy_dataset, toy_outcome, tmp_path):
    import matplotlib.pyplot as plt

    study, rows = toy(), selection.tested(toy_dataset)
    found = processes(study, toy_dataset, rows)
    score = selection.one_score(study, toy_dataset, toy_outcome.scores[0])
    edges = np.linspace(0, 1, 6)
    counts = {one.name: scores.count(score[one.rows], toy_dataset.weights[one.rows], edges) for one in found}
    _, (ax, below) = plt.subplots(2)
    observed = np.array([4.0, np.nan, 1, 0, 2])
    scores.draw_stack(ax, below, found, counts, observed, edges, signal_scale=10)
    heights = [patch.get_data() for patch in ax.patches]
    together = sum(one.value for one in counts.values())
    assert heights[6].values == pytest.approx(together)  # the line on top of the fourth process
    assert heights[-2].values == pytest.approx(10 * counts["higgs"].value)
    ratio = below.lines[0].get_ydata()
    assert np.isnan(ratio[1])
    assert ratio[[0, 2, 3, 4]] == pytest.approx((observed / together)[[0, 2, 3, 4]])
    plt.close()


def test_densities_have_the_area_one(toy, toy_dataset, toy_outcome):
    import matplotlib.pyplot as plt

    study, rows = toy(), selection.tested(toy_dataset)
    found = processes(study, toy_dataset, rows)
    score = selection.one_score(study, toy_dataset, toy_outcome.scores[0])
    edges = np.array([0, 0.1, 0.5, 1.0])
    counts = {one.name: scores.count(score[one.rows], toy_dataset.weights[one.rows], edges) for one in found}
    _, (ax, below) = plt.subplots(2)
    scores.draw_stack(ax, below, found, counts, np.array([5.0, 3, 8]), edges, density=True)
    lines = [patch.get_data().values for patch in ax.patches]
    for line in (lines[2], lines[-1], lines[-2]):  # background together, both signals
        assert (line * np.diff(edges)).sum() == pytest.approx(1)
    points = ax.lines[0].get_ydata()
    assert (points * np.diff(edges)) == pytest.approx(np.array([5, 3, 8]) / 16)
    plt.close()


@pytest.mark.parametrize(
    ("apply", "message"),
    [
        ({"scores": {"samples": ["qdc"]}}, r"apply.scores.samples: there is no 'qdc'; did you mean 'qcd'\?"),
        ({"scores": {"bins": [0, 1, 1]}}, "numbers that rise are expected, but 0, 1, 1 came"),
        ({"scores": {"bins": 0}}, "at least one bin"),
        ({"scores": {"bins": [0, 1], "range": [0, 1]}}, "range has no effect beside edges"),
        ({"blind": [1, 0.5]}, "numbers that rise"),
        ({"blind": [0.5, 1], "template": {"unblind": True}}, "keep one of the two"),
        ({"significance": {"background_uncertainty": 0.1, "measures": ["s_b"]}}, "no effect without asimov_uncertain"),
        ({"template": {"uncertainties": {"zjet": 0.1}}}, "did you mean 'zjets'"),
        ({"fit_inputs": {"branches": ["mas"]}}, "did you mean 'mass'"),
        ({"export": {}}, "nothing is to be exported"),
    ],
)
def test_keys_that_say_what_cannot_be_are_refused(toy, apply, message):
    with pytest.raises(ValueError, match=message):
        toy(apply=apply)
