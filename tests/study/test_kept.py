"""Networks that a run has kept are found, loaded and applied: to validation events, and with features shuffled."""

import numpy as np
import pytest

from coursekit.metrics import auc
from coursekit.study import training
from coursekit.study.report.drawing import NothingToDraw
from coursekit.study.report.kept import add_kept_epochs, add_kept_importance
from coursekit.study.report.page import Page


def load(files, epoch=None):
    """A network that is as steep as its file says, in the first input."""
    steepness = float(files["network.keras" if epoch is None else f"epoch_{epoch:03d}.keras"])
    return lambda inputs: 1 / (1 + np.exp(-steepness * inputs[:, :1].astype(np.float64)))


@pytest.fixture
def page(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "load_network", load)
    page = Page(tmp_path, "toy")
    page.section("Kept")
    return page


def keep(folder, name, **files):
    (folder / "models" / name).mkdir(parents=True)
    for file, content in files.items():
        (folder / "models" / name / f"{file}.keras").write_text(content, encoding="utf-8")


def test_kept_epochs_are_applied_to_validation_events(tmp_path, page, toy, toy_dataset, toy_outcome):
    keep(tmp_path, "seed1", network="1", epoch_002="-1", epoch_010="1")
    found = add_kept_epochs(page, toy(), toy_dataset, toy_outcome, tmp_path)
    rows = toy_dataset.view().validation
    area = auc(toy_dataset.labels[rows] == 1, toy_dataset.columns["mass"][rows], toy_dataset.weights[rows])
    assert found["auc"]["10"] == pytest.approx(area, abs=1e-6)
    assert found["auc"]["2"][0] == pytest.approx(1 - area.value)


def test_importance_takes_the_networks_of_the_first_repeat(tmp_path, page, toy, folds_dataset, folds_outcome):
    for fold in range(3):
        keep(tmp_path, f"seed1_fold{fold}", network="1", epoch_002="0")
    found = add_kept_importance(page, toy(), folds_dataset, folds_outcome, tmp_path)
    assert next(iter(found)) == "mass"
    assert found["mass"][0] > 5 * found["mass"][1]


def test_says_what_is_not_there(tmp_path, page, toy, toy_dataset, toy_outcome):
    with pytest.raises(NothingToDraw, match="no network was kept"):
        add_kept_importance(page, toy(), toy_dataset, toy_outcome, tmp_path)
    with pytest.raises(NothingToDraw, match="no network was kept"):
        add_kept_epochs(page, toy(), toy_dataset, toy_outcome, tmp_path)
