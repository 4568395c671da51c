"""Networks of another run applied to the same events, and to others: masses in between, data, cuts, classes."""

import json

import h5py
import numpy as np
import pandas as pd
import pytest

from coursekit.preprocess import Scaler
from coursekit.study.dataset import load_dataset
from coursekit.study.run import resolve, run_study
from coursekit.study.training import epoch_scores, load_network

MASSES = (140, 200, 250, 300)


@pytest.fixture
def scan(tmp_path, monkeypatch):
    """Files of signals of four masses, of a background and of data, and a function that writes studies of them."""
    rng = np.random.default_rng(3)

    def table(height, first, n=200):
        x = rng.normal(height, 30, n).astype(np.float32)
        return pd.DataFrame({"x": x, "y": rng.exponential(2, n).astype(np.float32), "event": first + np.arange(n)})

    for mass in MASSES:
        table(mass, 1000 * mass).to_feather(tmp_path / f"m{mass}.feather")
    table(180, 0, 400).to_feather(tmp_path / "background.feather")
    table(220, 10**6, 50).to_feather(tmp_path / "data.feather")
    monkeypatch.chdir(tmp_path)

    def write(name, masses=(140, 200, 300), job=None, train=None, **changes):
        signals = {f"m{mass}": {"files": [f"m{mass}.feather"], "values": {"mh": mass}} for mass in masses}
        said = {"job": {"name": name, "steps": ["train"]} | (job or {})}
        said["input"] = {
            "signals": signals,
            "backgrounds": {"bkg": {"files": ["background.feather"]}},
            "features": ["x", "pull", "mh"],
            "derived": {"pull": "(x - 200) / 30"},
            "reset": {"mh": {}},
            "split": {"keys": ["event"]},
        } | changes
        said["train"] = {"network": "boosted_trees", "options": {"max_iter": 8}} | (train or {})
        (tmp_path / f"{name}.yaml").write_text(json.dumps(said), encoding="utf-8")
        return tmp_path / f"{name}.yaml"

    return write


@pytest.fixture
def unreported(monkeypatch):
    """Leaves the report out."""
    monkeypatch.setattr("coursekit.study.report.make.make_report", lambda *_: {})


def predictions(run):
    with h5py.File(run.path / "predictions.h5") as file:
        return {name: file[name][:] for name in ("scores", "labels", "parts", "folds", "keys/event") if name in file}


def applies(run):
    return {"steps": ["apply"], "trained": str(run.path)}


def log(run):
    return run.log.read_text(encoding="utf-8")


def test_a_parametrised_network_at_a_mass_that_it_has_not_seen(scan):
    trained = run_study(resolve(scan("trained")))
    at_250 = scan(
        "at_250", [250], applies(trained), reset={"mh": {"evaluation": 250}}, data={"d": {"files": ["data.feather"]}}
    )
    run = run_study(resolve(at_250))
    found = predictions(run)
    table = pd.concat([pd.read_feather(f"{name}.feather") for name in ("m250", "background", "data")])
    x = table["x"].to_numpy()
    inputs = np.stack([x, (x - 200) / 30, np.full(len(x), 250)], axis=1).astype(np.float32)
    model = trained.models / "seed1"
    by_hand = load_network(model)(Scaler.load(model / "variables.json").transform(inputs))
    np.testing.assert_array_equal(found["scores"][0], by_hand)
    before = predictions(trained)
    parts = dict(zip(before["keys/event"], before["parts"], strict=True))
    assert [parts[event] for event in range(400)] == found["parts"][200:600].tolist(), "the same parts again"
    assert "apply 1 networks" in log(run)
    assert "input.signals.m250.values.mh: absent -> 250.0" in log(run)
    said = run.results()["apply"]
    assert said["performance"]["auc"]
    assert (
        said["missing"]["train_test"]
        == "the networks were trained in another run, on other events or with other weights"
    )
    page = (run.path / "index.html").read_text(encoding="utf-8")
    assert "which were trained on other events" in page
    assert "simulated events with physical weights" in page
    assert "training weights" not in page.replace("in the proportion of the training weights", "")
    # The same by hand: a study that could not be trained on, as `mh` has one value.
    outcome = epoch_scores(resolve(at_250).study, load_dataset(resolve(at_250).study), trained.models)
    np.testing.assert_array_equal(outcome.scores, found["scores"])


def test_backgrounds_are_drawn_from_the_masses_of_the_training(scan, unreported):
    trained = run_study(resolve(scan("trained")))
    kept = json.loads((trained.models / "seed1" / "fitted.json").read_text(encoding="utf-8"))
    assert kept["resets"]["mh"]["values"] == [140, 200, 300]
    run = run_study(resolve(scan("at_250", [250], applies(trained))))
    again = run_study(resolve(scan("all", [140, 200, 300], applies(trained), spectators=["y"])))
    np.testing.assert_array_equal(predictions(run)["scores"][0, 200:], predictions(trained)["scores"][0, 600:])
    np.testing.assert_array_equal(predictions(again)["scores"], predictions(trained)["scores"])
    assert "take over 1 trainings" in log(again)


@pytest.mark.parametrize(
    "changes",
    [
        {"backgrounds": {}, "classes": ["background", "signal"]},
        {"backgrounds": {}, "classes": ["background", "signal"], "weight": "where(event % 2 == 0, 1, -1)"},
        {"signals": {}, "backgrounds": {}, "data": {"d": {"files": ["data.feather"], "values": {"mh": 1}}},
         "classes": ["background", "signal"]},
        {"cut": "y > 0.1", "reweight": {"bins": {"x": [0, 200, 400], "y": [0, 1, 9]}}},
    ],
)  # fmt: skip
def test_events_that_could_not_be_trained_on(scan, changes):
    trained = run_study(resolve(scan("trained", train={"folds": 3})))
    run = run_study(resolve(scan("other", [250], applies(trained), train={"folds": 3}, **changes)))
    assert run.status() == "finished"
    assert np.isfinite(predictions(run)["scores"]).all()
    with pytest.raises(ValueError, match=r"has trained nothing, it applies .*: name that"):
        run_study(resolve(scan("chain", [250], applies(run), train={"folds": 3}, **changes)))


def test_events_of_the_training_get_their_out_of_fold_score_again(scan, unreported):
    trained = run_study(resolve(scan("trained", train={"folds": 3, "repeats": 2})))
    cut = scan("cut", [140, 200, 300], applies(trained), train={"folds": 3, "repeats": 2}, cut="x > 180")
    found, before = predictions(run_study(resolve(cut))), predictions(trained)
    passed = np.isin(before["keys/event"], found["keys/event"])
    np.testing.assert_array_equal(found["scores"], before["scores"][:, passed])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features": ["x", "mh"]}, r"input.features: \[x, pull, mh\] -> \[x, mh\]"),
        ({"derived": {"pull": "x / 30"}}, r"input.derived.pull: .* -> .*"),
        ({"split": {"keys": ["event"], "salt": 3}}, r"input.split.salt: null -> 3"),
        ({"split": {}}, r"input.split.keys: \[event\] -> \[\]"),
        ({"classes": ["signal", "background"]}, r"input.classes: \[background, signal\] -> \[signal, background\]"),
        ({"train": {"folds": 3}}, "train.folds: null -> 3"),
        ({"reset": {"mh": {"training": 200}}}, "input.reset.mh.training: signal -> 200"),
        ({"defaults": {"x": -1}}, "input.defaults.x: absent -> -1"),
    ],
)
def test_what_the_network_cannot_take_is_refused_by_name(scan, changes, message):
    trained = run_study(resolve(scan("trained")))
    with pytest.raises(ValueError, match=rf"_v01 was trained with other settings: .*{message}.*; its networks take no"):
        run_study(resolve(scan("other", [250], applies(trained), **changes)))


def test_without_keys_an_event_is_known_by_its_place(scan):
    trained = run_study(resolve(scan("trained", split={})))
    run = run_study(resolve(scan("other", [250], applies(trained), split={})))
    assert "there are no input.split.keys that events are recognised by" in log(run)
    assert "m250.feather" in log(run).partition("are among the tested ones: ")[2].partition("\n")[0]
    assert "which of them may be among the tested ones" in (run.path / "index.html").read_text(encoding="utf-8")
    moved = {"bkg": {"files": ["data.feather", "background.feather"]}}
    with pytest.raises(ValueError, match=r"number 1 of the files of bkg, was number 0 of bkg in the training; without"):
        run_study(resolve(scan("moved", [250], applies(trained), split={}, backgrounds=moved)))
    with pytest.raises(ValueError, match=r"other settings: job.seed: 1 -> 2"):
        run_study(resolve(scan("seed", [250], applies(trained) | {"seed": 2}, split={})))


def test_what_was_fitted_must_be_there(scan):
    trained = run_study(resolve(scan("trained")))
    study = resolve(scan("other", [250], applies(trained)))
    for name, damaged, message in (
        ("fitted.json", b"{}", "fitted.json of the training is damaged"),
        ("variables.json", None, "variables.json of the training is missing"),
    ):
        path = trained.models / "seed1" / name
        before = path.read_bytes()
        path.write_bytes(damaged) if damaged else path.unlink()
        with pytest.raises(ValueError, match=message):
            run_study(study)
        path.write_bytes(before)
