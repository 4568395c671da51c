"""The whole page of a study: every section, its numbers by hand, and a reason where there is nothing to show."""

import dataclasses
import json
import re

import numpy as np
import pandas as pd
import pytest

from coursekit.metrics import Estimate, auc, rejection
from coursekit.study.dataset import VALIDATION
from coursekit.study.outcome import Outcome
from coursekit.study.report import selection
from coursekit.study.report.drawing import NothingToDraw
from coursekit.study.report.histories import add_epochs, add_histories
from coursekit.study.report.make import make_report
from coursekit.study.report.page import Page
from coursekit.study.report.regression import add_regression
from coursekit.study.report.statistics import confusion
from coursekit.study.settings.tune import Tune

OFF = (
    "scores",
    "significance",
    "cuts",
    "decorrelation",
    "fit_inputs",
    "template",
    "importance",
    "kinematics",
    "epochs",
)


def only(study, **sections):
    """The same study without the sections that others test, and with what is asked for."""
    fields = type(study.apply).model_fields
    off = {key: None for key in (*OFF, "histories", "correlations", "performance", "train_test") if key in fields}
    on = {key: fields[key].default for key in sections if sections[key] is True}
    rest = {key: value for key, value in sections.items() if value is not True}
    return study.model_copy(update={"apply": study.apply.model_copy(update=off | on | rest)})


def titles(folder):
    return set(re.findall("<h2>(.*?)</h2>", (folder / "index.html").read_text(encoding="utf-8")))


def table(folder, name):
    return pd.read_csv(folder / "tables" / f"{name}.csv", index_col=0)


def test_two_classes_have_the_table_of_lesson_4(tmp_path, toy, toy_dataset, toy_outcome):
    study = only(toy(apply={"label": {"experiment": "coursekit"}}), performance=True, train_test=True, histories=True)
    found = make_report(study, toy_dataset, toy_outcome, tmp_path, "job: {name: toy}")
    rows = selection.tested(toy_dataset)
    y, w, scores = toy_dataset.labels[rows], toy_dataset.weights[rows], toy_outcome.scores[:, rows, 0]
    values, errors = np.transpose([rejection(y, score, 0.9, w) for score in scores])
    by_hand = Estimate(values.mean(), np.hypot(errors.mean(), values.std(ddof=1)))
    assert found["performance"]["rejection"]["background"]["0.9"] == pytest.approx(by_hand)
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert f"<td>{by_hand}</td>" in page
    assert f"<td>{auc(y, scores[1], w)}</td>" in page
    assert "job: {name: toy}" in page
    assert not re.search(r"https?:|<script|<link", page)
    assert page.count("<img") == len(list((tmp_path / "figures").iterdir())) == page.count("<!DOCTYPE") * 8
    assert table(tmp_path, "separation").loc["rejection of background at 90%", "all repeats"] == pytest.approx(
        by_hand[0]
    )
    assert found["histories"] == {"best_epoch": [5, 5], "epochs": [6, 6]}
    losses = [t.history["val_loss"][4] for t in toy_outcome.trainings]
    assert table(tmp_path, "histories")["val_loss"].tolist() == pytest.approx(losses)
    assert set(found["train_test"]["ks"]) == {"signal", "background"}


def test_three_classes_have_the_table_of_lesson_12(tmp_path, flavours, flavours_dataset, flavours_outcome):
    study = only(flavours(apply={"discriminant": {"fractions": {"c": 0.1}}}), performance=True)
    found = make_report(study, flavours_dataset, flavours_outcome, tmp_path)["performance"]
    rows = selection.tested(flavours_dataset)
    labels, w = flavours_dataset.labels[rows], flavours_dataset.weights[rows]
    p = flavours_outcome.scores[:, rows].astype(float)
    d_b = np.log(p[..., 2] / (0.1 * p[..., 1] + 0.9 * p[..., 0]))
    pair = np.isin(labels, (1, 2))
    by_hand = selection.combined([rejection(labels[pair] == 2, d[pair], 0.77, w[pair]) for d in d_b])
    assert found["rejection"]["c"]["0.77"] == pytest.approx(by_hand)
    assert list(found["rejection"]["light"]) == ["0.7", "0.77", "0.85"]
    each = [confusion(labels, one.argmax(axis=1), w, 3) for one in p]
    assert found["confusion"][1][2] == pytest.approx(selection.combined([one[1][2] for one in each]))
    assert found["accuracy"][0] == pytest.approx(
        np.mean(
            [np.average(one.argmax(axis=1) == labels, weights=selection.balanced(flavours_dataset, rows)) for one in p]
        )
    )


def test_the_search_of_the_run_is_on_the_page_with_the_report_or_alone(tmp_path, toy, toy_dataset, toy_outcome):
    key = "train.optimiser.learning_rate"
    study = only(toy(), histories=True).model_copy(update={"tune": Tune(space={key: {"uniform": [0.1, 1]}})})
    row = {"status": "finished", "error": 0.1, "epochs": 2, "seconds": 1.0, "message": ""}
    trials = [
        row | {"number": n, "metric": loss, "settings": {key: rate}} for n, loss, rate in [(1, 7, 0.3), (2, 6, 0.4)]
    ]
    best = {"number": 2, "settings": {key: 0.4}, "validation": [6, 0.1], "test": [6.5, 0.1]}
    optimism = {"trials": 2, "observed": 0.5, "error": 0.14, "expected": 0.056}
    found = {"metric": "loss", "mode": "min", "trials": trials, "best": best, "optimism": optimism}
    for outcome, others in ((toy_outcome, {"Histories"}), (None, set())):
        folder = tmp_path / f"{len(others)}"
        make_report(study, toy_dataset, outcome, folder)
        assert "Search" not in titles(folder)
        (folder / "search").mkdir()
        (folder / "search" / "trials.json").write_text(json.dumps(found), encoding="utf-8")
        make_report(study, toy_dataset, outcome, folder)
        assert titles(folder) & {"Search", "Histories", "Events"} == {"Search"} | (others and others | {"Events"})
        assert table(folder, "search_trials")["loss"].tolist() == [7, 6]
        page = (folder / "index.html").read_text(encoding="utf-8")
        assert "Trial 2 of 2 is the best: loss 6.00 ± 0.10 on the validation events" in page
        assert "<td>6.00 ± 0.10</td>" in page


def test_folds_are_quoted_one_by_one(tmp_path, toy, folds_dataset, folds_outcome):
    study = only(toy(), performance=True, train_test=True)
    found = make_report(study, folds_dataset, folds_outcome, tmp_path)
    labels, w = folds_dataset.labels, folds_dataset.weights
    by_hand = [
        np.mean([auc(labels[its], s[its, 0], w[its]).value for s in folds_outcome.scores])
        for its in ((labels >= 0) & (folds_dataset.folds == fold) for fold in range(3))
    ]
    assert found["performance"]["auc_folds"]["values"] == pytest.approx(by_hand)
    assert found["performance"]["auc_folds"]["spread"] == pytest.approx(np.std(by_hand, ddof=1))
    # the toy gives the same scores for trained and new: a distance of zero, and no worse than chance
    assert found["train_test"]["ks"]["signal"]["distance"][0] == 0
    without = dataclasses.replace(folds_outcome, seen=None)
    assert "were not kept" in make_report(study, folds_dataset, without, tmp_path)["missing"]["train_test"]


def test_every_column_is_drawn_raw_and_processed(tmp_path, toy, toy_dataset, toy_outcome):
    apply = {"kinematics": {"ratio": True, "by": "sample", "density": False}, "luminosity_fb": 10}
    apply["variables"] = {"mass": {"label": "m [GeV]", "bins": [0, 100, 200], "log": True}, "pt": {"range": [0, 90]}}
    apply["formats"] = ["svg"]
    study = toy(apply=apply)
    study = only(study, kinematics=study.apply.kinematics, correlations=True)
    make_report(study, toy_dataset, toy_outcome, tmp_path)
    names = {file.stem for file in (tmp_path / "figures").iterdir()}
    assert {f"raw_{name}" for name in ("mass", "pt", "eta", "mll")} <= names
    assert {f"processed_{name}" for name in ("mass", "pt", "eta")} <= names
    assert "processed_mll" not in names
    assert "<!-- m [GeV] -->" in (tmp_path / "figures" / "raw_mass.svg").read_text(encoding="utf-8")
    raw = table(tmp_path, "raw")
    row = raw[(raw.index == "pt") & (raw["events of"] == "higgs")].iloc[0]
    its = toy_dataset.sample == toy_dataset.samples.index("higgs")
    pt, w = toy_dataset.columns["pt"][its], toy_dataset.weights[its]
    assert row["mean"] == pytest.approx(np.average(pt, weights=w), rel=1e-6)
    assert row["above axis [%]"] == pytest.approx(100 * w[pt > 90].sum() / w.sum())
    processed = table(tmp_path, "processed").loc["mass"]
    assert abs(np.average(processed["mean"], weights=processed["events"])) < 0.3
    view = toy_dataset.view()
    signal = np.intersect1d(view.training, np.flatnonzero(toy_dataset.labels == 1))
    matrix = np.cov(view.inputs(signal).T.astype(float), aweights=view.weights[signal])
    assert table(tmp_path, "correlations_signal").loc["mass", "pt"] == pytest.approx(
        matrix[0, 1] / np.sqrt(matrix[0, 0] * matrix[1, 1])
    )


def test_says_on_the_page_what_is_missing(tmp_path, toy, toy_dataset, toy_outcome):
    one = toy_dataset.labels == 1
    test = selection.tested(toy_dataset)
    none = dataclasses.replace(
        toy_dataset, parts=np.where(one & np.isin(np.arange(len(one)), test), 0, toy_dataset.parts)
    )
    study = only(toy(), performance=True, train_test=True, histories=True)
    silent = dataclasses.replace(toy_outcome, trainings=tuple(t._replace(history={}) for t in toy_outcome.trainings))
    found = make_report(study, none, silent, tmp_path)
    assert set(found["missing"]) == {"performance", "train_test", "histories"}
    assert "signal has 0 events" in found["missing"]["performance"]
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert page.count("There is nothing to show here") == 3


def test_a_column_that_does_not_exist_is_an_error(tmp_path, toy, toy_dataset, toy_outcome):
    study = toy(apply={"kinematics": {"columns": ["Mass"]}})
    study = only(study, kinematics=study.apply.kinematics)
    with pytest.raises(ValueError, match="there is no column 'Mass'; did you mean 'mass'"):
        make_report(study, toy_dataset, toy_outcome, tmp_path)


def test_no_labels_but_the_truth(tmp_path, toy, toy_dataset, toy_outcome):
    study = only(toy(), performance=True)
    study = study.model_copy(update={"train": study.train.model_copy(update={"task": "cwola"})})
    found = make_report(study, toy_dataset, toy_outcome, tmp_path)["performance"]
    assert "auc" in found
    assert "confusion" not in found
    assert "against the truth" in (tmp_path / "index.html").read_text(encoding="utf-8")


def test_a_score_that_is_no_probability_has_no_calibration(tmp_path, toy, toy_dataset, toy_outcome):
    study = only(toy(), performance=True, train_test=True)
    study = study.model_copy(update={"train": study.train.model_copy(update={"network": "nets:mine", "loss": "mse"})})
    stretched = dataclasses.replace(toy_outcome, scores=3 * toy_outcome.scores - 1)
    found = make_report(study, toy_dataset, stretched, tmp_path)
    assert "its score is no probability" in (tmp_path / "index.html").read_text(encoding="utf-8")
    known = make_report(only(toy(), performance=True, train_test=True), toy_dataset, toy_outcome, tmp_path)
    assert "calibration" in known["performance"]
    assert "calibration" not in found["performance"]
    for key in ("auc", "rejection"):  # which depend on the order of events alone
        assert found["performance"][key] == known["performance"][key]
    assert found["train_test"]["ks"]["signal"]["distance"] == pytest.approx(
        known["train_test"]["ks"]["signal"]["distance"]
    )


def test_a_regression_has_bias_and_resolution(tmp_path, toy, toy_dataset):
    target = toy_dataset.columns["mass"].astype(np.float64)
    dataset = dataclasses.replace(toy_dataset, targets=target, weights=np.abs(toy_dataset.weights))
    rng = np.random.default_rng(11)
    said = target + 2 + rng.normal(0, 5, (2, len(target)))
    study = toy()
    study = study.model_copy(update={"input": study.input.model_copy(update={"target": "mass"})})
    page = Page(tmp_path, "x")
    page.section("Regression")
    found = add_regression(page, study, dataset, Outcome((), said[..., None].astype(np.float32), None))
    assert found["bias"][0] == pytest.approx(2, abs=3 * found["bias"][1])
    assert found["resolution"][0] == pytest.approx(5, abs=4 * found["resolution"][1])
    rows, w = selection.tested(dataset), dataset.weights[selection.tested(dataset)]
    assert found["correlation"][0] == pytest.approx(
        np.mean([np.cov(one[rows], target[rows], aweights=w)[0, 1]
                 / np.sqrt(np.cov(one[rows], aweights=w) * np.cov(target[rows], aweights=w)) for one in said]), abs=1e-6
    )  # fmt: skip
    bins = table(tmp_path, "bias_and_resolution")
    assert bins["bias"].to_numpy() == pytest.approx(2, abs=6)
    lowest = target < bins.index[1]  # where the weights are made negative: this bin has no bias, the others stay
    spoiled = dataclasses.replace(dataset, weights=np.where(lowest, -1, 1) * dataset.weights)
    page = Page(tmp_path / "spoiled", "x")
    page.section("Regression")
    add_regression(page, study, spoiled, Outcome((), said[..., None].astype(np.float32), None))
    pd.testing.assert_frame_equal(table(tmp_path / "spoiled", "bias_and_resolution"), bins.iloc[1:])


def test_the_network_after_each_epoch(tmp_path, toy, toy_dataset, toy_outcome):
    page = Page(tmp_path, "x")
    page.section("Epochs")
    kept = {2: toy_outcome.scores[0], 4: toy_outcome.scores[1], 6: toy_outcome.scores[0] ** 2, 7: toy_outcome.scores[1]}
    found = add_epochs(page, toy(apply={"epochs": {"every": 2}}, train={"save_every": 1}), toy_dataset, kept)
    assert list(found["auc"]) == ["4", "7"]
    rows = np.flatnonzero(toy_dataset.parts == VALIDATION)
    by_hand = auc(toy_dataset.labels[rows], toy_outcome.scores[1, rows, 0], toy_dataset.weights[rows])
    assert found["auc"]["4"] == pytest.approx(by_hand)
    with pytest.raises(NothingToDraw, match="no network was kept"):
        add_epochs(page, toy(), toy_dataset, {})


def test_many_trainings_are_thin_lines(tmp_path, toy, toy_dataset, toy_outcome):
    page = Page(tmp_path, "x")
    page.section("Histories")
    many = dataclasses.replace(toy_outcome, trainings=toy_outcome.trainings * 5)
    assert add_histories(page, toy(), toy_dataset, many)["epochs"] == [6] * 10
