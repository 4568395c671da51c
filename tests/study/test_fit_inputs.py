"""Files for a fit: what is in them, what is not, and that they are read again."""

import json

import pytest

from coursekit.events import load_events
from coursekit.streaming import read_chunks
from coursekit.study.report import fit_inputs, selection
from coursekit.study.report.page import Page


def written(tmp_path, study, dataset, outcome):
    page = Page(tmp_path, "toy")
    page.section("fit inputs")
    return fit_inputs.add_fit_inputs(page, study, dataset, outcome)["files"]


def test_a_file_for_each_sample_whose_weights_stand_for_all_of_it(toy, toy_dataset, toy_outcome, tmp_path):
    study = toy(apply={"luminosity_fb": 3.0, "fit_inputs": {"branches": ["mll", "mass"], "folder": "for_fit"}})
    files = written(tmp_path, study, toy_dataset, toy_outcome)
    assert [*files] == ["qcd", "zjets", "higgs", "vbf", "data"]
    events = load_events(tmp_path / "for_fit" / "zjets.root")
    assert [*events] == ["mll", "mass", "weight", "score", "score_1", "score_2", "label", "part"]
    rows = selection.tested(toy_dataset)
    share = len(rows) / 600
    rows = rows[toy_dataset.sample[rows] == 1]
    assert events["mll"].tolist() == toy_dataset.columns["mll"][rows].tolist()
    assert events["weight"] == pytest.approx(3 * toy_dataset.weights[rows] / share)
    assert events["score_2"].tolist() == toy_outcome.scores[1, rows, 0].astype(float).tolist()
    assert events["score"] == pytest.approx((events["score_1"] + events["score_2"]) / 2)
    assert set(events["part"]) == {2}
    assert files["zjets"]["sum"] == pytest.approx(events["weight"].sum())
    data = load_events(tmp_path / "for_fit" / "data.root")
    assert set(data["weight"]) == {1}
    assert set(data["label"]) == {-1}


def test_with_folds_every_event_is_there_with_its_own_weight(toy, folds_dataset, folds_outcome, tmp_path):
    written(tmp_path, toy(apply={"fit_inputs": {}}), folds_dataset, folds_outcome)
    events = load_events(tmp_path / "fit_inputs" / "qcd.root")
    assert events["weight"].tolist() == folds_dataset.weights[:150].tolist()
    assert set(events["fold"]) == {0, 1, 2}
    about = json.loads((tmp_path / "fit_inputs" / "README.json").read_text(encoding="utf-8"))
    assert about["events"].startswith("All simulated events")


def test_hidden_data_are_in_no_file(toy, toy_dataset, toy_outcome, tmp_path):
    study = toy(apply={"blind": [0.6, 1.0], "fit_inputs": {}})
    files = written(tmp_path, study, toy_dataset, toy_outcome)
    data = load_events(tmp_path / "fit_inputs" / "data.root")
    assert all((data[name] < 0.6).all() for name in ("score", "score_1", "score_2"))
    assert files["data"]["hidden"] == 150 - len(data["score"]) > 0
    higgs = load_events(tmp_path / "fit_inputs" / "higgs.root")
    assert (higgs["score"] > 0.6).any()
    about = json.loads((tmp_path / "fit_inputs" / "README.json").read_text(encoding="utf-8"))
    assert f"{files['data']['hidden']} events" in about["data"]


def test_a_file_that_reads_otherwise_gets_no_name(toy, toy_dataset, toy_outcome, tmp_path, monkeypatch):
    def other(*path, **options):
        for found in read_chunks(*path, **options):
            yield {name: values + 1 for name, values in found.items()}

    monkeypatch.setattr(fit_inputs, "read_chunks", other)
    with pytest.raises(OSError, match=r"qcd.root: the branch mass reads otherwise"):
        written(tmp_path, toy(apply={"fit_inputs": {}}), toy_dataset, toy_outcome)
    assert not list((tmp_path / "fit_inputs").glob("*.root"))


def test_a_branch_with_the_name_of_one_that_is_always_there(toy, toy_dataset, toy_outcome, tmp_path):
    from dataclasses import replace

    dataset = replace(toy_dataset, columns=toy_dataset.columns | {"weight": toy_dataset.columns["mll"]})
    with pytest.raises(ValueError, match="weight is the name of a branch that every file has"):
        written(tmp_path, toy(apply={"fit_inputs": {}}), dataset, toy_outcome)
