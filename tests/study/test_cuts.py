"""Kinematics after cuts on the score, and what the score knows of a spectator."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from coursekit.study.report import cuts, decorrelation, selection
from coursekit.study.report.distances import cells, deal, jensen_shannon, pass_fail
from coursekit.study.report.page import Page


def page_of(tmp_path):
    page = Page(tmp_path, "toy")
    page.section("cuts")
    return page


def test_ratios_are_those_of_the_shapes(toy, large_dataset, large_outcome, tmp_path):
    study = toy(
        apply={
            "cuts": {"cuts": [0.5], "variables": ["mass"], "ratio_table": True},
            "variables": {"mass": {"bins": [0, 80, 110, 300]}},
        }
    )
    numbers = cuts.add_cuts(page_of(tmp_path), study, large_dataset, large_outcome)
    table = pd.read_csv(tmp_path / "tables" / "ratios_mass.csv")
    rows = selection.tested(large_dataset)
    rows = rows[large_dataset.labels[rows] == 0]
    mass, weights = large_dataset.columns["mass"][rows], large_dataset.weights[rows]
    passed = large_outcome.scores[0, rows, 0] >= 0.5
    shapes = [np.histogram(mass[at], [0, 80, 110, 300], weights=weights[at])[0] for at in (passed, passed | True)]
    ratio = shapes[0] / shapes[0].sum() / (shapes[1] / shapes[1].sum())
    assert table.query("kind == 'background'")["ratio"].to_numpy() == pytest.approx(ratio)
    assert table["low"].tolist() == [0, 80, 110] * 2
    assert numbers["mass"]["0.5"]["value"] > 3 * numbers["mass"]["0.5"]["error"]  # the score is made of the mass
    assert {file.name for file in (tmp_path / "figures").iterdir()} == {"cuts_mass.png", "cuts_mass_data.png"}


def test_a_variable_that_the_score_does_not_know_is_not_sculpted(toy, large_dataset, large_outcome, tmp_path):
    study = toy(apply={"cuts": {"cuts": [0.3], "variables": ["eta"]}, "variables": {"eta": {"bins": 5}}})
    found = cuts.add_cuts(page_of(tmp_path), study, large_dataset, large_outcome)["eta"]["0.3"]
    assert abs(found["value"]) < 4 * found["error"]


def test_data_and_simulation_are_blinded_together(toy, toy_dataset, toy_outcome, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(
        cuts, "draw_stack", lambda ax, below, shown, *rest: (seen.append(shown), ax.plot([0], label="x"))
    )
    study = toy(apply={"blind": [0.7, 1.0], "cuts": {"cuts": [0.5, 0.9], "variables": ["mass"]}})
    cuts.add_cuts(page_of(tmp_path), study, toy_dataset, toy_outcome)
    assert len(seen) == 1  # behind a cut at 0.9 nothing may be seen
    score = selection.one_score(study, toy_dataset, toy_outcome.scores[0])
    for process in seen[0]:
        assert ((score[process.rows] >= 0.5) & (score[process.rows] < 0.7)).all()


def test_pass_and_fail_by_hand():
    cell, passed = np.array([0, 0, 1, 1] * 50), np.array([True, False, True, False] * 50)
    weights = np.array([3.0, 1, 1, 3] * 50)
    found = pass_fail(cell, passed, weights, 2, deal(200, np.random.default_rng(1)))
    assert found.value == pytest.approx(jensen_shannon([3, 1], [1, 3]), abs=2 * found.error + 0.01)


def test_values_beyond_the_edges_have_cells_of_their_own():
    assert cells(np.array([-9.0, 0, 1, 2, 9]), np.array([0.0, 1, 2])).tolist() == [0, 1, 2, 2, 3]


def test_a_cut_keeps_the_share_that_is_asked_for():
    score, weights = np.array([0.4, 0.1, 0.3, 0.2]), np.array([1.0, 3.0, 1.0, 1.0])
    assert decorrelation.cut_at(score, weights, 0.5) == 0.2
    assert decorrelation.cut_at(score, weights, 1.0) == 0.1


def test_a_score_knows_the_mass_that_it_is_made_of_and_no_other(toy, large_dataset, large_outcome, tmp_path):
    study = toy(apply={"decorrelation": {"spectators": ["mass", "mll"], "background_efficiencies": [0.5, 0.3]}})
    found = decorrelation.add_decorrelation(page_of(tmp_path), study, large_dataset, large_outcome)
    for key in ("correlation", "distance_correlation", "mutual_information"):
        assert found["mass"][key]["value"] > 3 * found["mass"][key]["error"]
        assert abs(found["mll"][key]["value"]) < 4 * found["mll"][key]["error"]
    assert found["mass"]["divergence"]["0.5"]["value"] > 0.2 > found["mll"]["divergence"]["0.5"]["value"]
    names = {file.name for file in (tmp_path / "figures").iterdir()}
    assert names == {"decorrelation.png", "decorrelation_mass.png", "decorrelation_mll.png"}


def test_columns_and_efficiencies_that_cannot_be_are_refused(toy, toy_dataset, toy_outcome, tmp_path):
    with pytest.raises(ValueError, match=r"apply.cuts.variables: there is no 'mas'; did you mean 'mass'"):
        toy(apply={"cuts": {"cuts": [0.5], "variables": ["mas"]}})
    with pytest.raises(ValueError, match="lie between 0 and 1"):
        toy(apply={"decorrelation": {"background_efficiencies": [1.5]}})
    lost = replace(toy_dataset, columns={"mass": toy_dataset.columns["mass"]})
    with pytest.raises(ValueError, match=r"apply.cuts.variables: there is no column 'pt'"):
        cuts.add_cuts(page_of(tmp_path), toy(apply={"cuts": {"cuts": [0.5]}}), lost, toy_outcome)
