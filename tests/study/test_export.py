"""Networks of a run in other formats: tables, pictures and sets, each as the study has trained it."""

import dataclasses
import importlib.util

import numpy as np
import pytest

onnxruntime = pytest.importorskip("onnxruntime", exc_type=ImportError)
pytest.importorskip("keras", exc_type=ImportError)
pytest.importorskip("torch", exc_type=ImportError)

from coursekit.export import describe  # noqa: E402
from coursekit.study.report.drawing import NothingToDraw  # noqa: E402
from coursekit.study.report.export import add_export  # noqa: E402
from coursekit.study.report.page import Page  # noqa: E402
from coursekit.study.training import combine, train_one  # noqa: E402
from tests.study.test_torch_and_trees import SETS, jets, of_sets  # noqa: E402
from tests.study.test_training import events, study  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of Keras, saving
has_sofie = importlib.util.find_spec("sofie") is not None


@pytest.fixture
def export(tmp_path):
    """Trains a study on a dataset, and exports it as its key says; gives what was found, and the scores."""

    def exported(settings, data, **asked):
        trained = train_one(settings, data, seed=1)
        (tmp_path / "models" / "seed1").mkdir(parents=True)
        for name, content in trained.files.items():
            (tmp_path / "models" / "seed1" / name).write_bytes(content)
        asking = type(settings)(**settings.model_dump(exclude_unset=True), apply={"export": asked})
        page = Page(tmp_path, "toy")
        page.section("Export")
        return add_export(page, asking, data, combine(data, [trained])), trained.scores

    return exported


def run(path, **inputs):
    return onnxruntime.InferenceSession(path).run(["probabilities"], inputs)[0]


def test_a_table_with_its_scaler_becomes_onnx_and_lwtnn(export, tmp_path):
    settings = study(epochs=1, options={"hidden": [8]}, batch_size=64, input={"scale": "unweighted"})
    data = events(settings, n=300)
    found, scores = export(settings, data, onnx=True, lwtnn=True)
    assert found["files"] == ["export/seed1.onnx", "export/seed1.lwtnn.json"]
    said = describe(tmp_path / "export" / "seed1.onnx")
    assert said["classes"] == ["background", "signal"]
    assert [row["name"] for row in said["inputs"]] == ["a", "b", "c"]
    x = np.column_stack([data.columns[name] for name in "abc"])
    np.testing.assert_allclose(run(tmp_path / "export" / "seed1.onnx", x=x)[:, 1], scores[:, 0], atol=1e-5)


def test_pictures_become_onnx(export, tmp_path):
    settings = study(network="cnn", options={"filters": 2, "dense": 4}, batch_size=64, epochs=1)
    bright = np.random.default_rng(1).random((220, 8, 8, 1), np.float32)
    data = dataclasses.replace(events(settings, n=200), images=bright, features=())
    found, scores = export(settings, data, onnx=True)
    assert found["files"] == ["export/seed1.onnx"]
    np.testing.assert_allclose(run(tmp_path / "export" / "seed1.onnx", x=bright)[:, 1], scores[:, 0], atol=1e-5)


def test_deep_sets_become_onnx_and_lwtnn(export, tmp_path):
    of_input = {"features": [], "constituents": {"features": ["x", "y", "z"]}, "scale": "unweighted"}
    settings = study(**SETS, epochs=1, n_classes=3, input=of_input)
    data = jets(settings)
    found, scores = export(settings, data, onnx=True, lwtnn=True)
    said, sets = describe(tmp_path / "export" / "seed1.onnx"), data.constituents
    assert (said["kind"], [row["name"] for row in said["inputs"]]) == ("packed", ["x", "y", "z"])
    assert found["files"] == ["export/seed1.onnx", "export/seed1.lwtnn.json"]
    mine = run(tmp_path / "export" / "seed1.onnx", x=sets.features, counts=sets.counts)
    np.testing.assert_allclose(mine, scores, atol=1e-5)


@pytest.mark.skipif(not has_sofie, reason="sofie is not installed; it exists for Linux")
def test_an_energy_flow_becomes_cpp(export, tmp_path):
    settings = of_sets(epochs=1, network="energy_flow")
    data = jets(settings)
    found, _ = export(settings, data, cpp=True)
    assert found["files"] == ["export/seed1_cpp"]
    assert "classes{" in (tmp_path / "export" / "seed1_cpp" / "network.hxx").read_text(encoding="utf-8")
    assert not (tmp_path / "export" / "seed1.onnx").exists()  # which nobody asked for


def test_a_run_without_networks_says_so(toy, toy_dataset, toy_outcome, tmp_path):
    page = Page(tmp_path, "toy")
    page.section("Export")
    with pytest.raises(NothingToDraw, match=r"seed1 is not written: .*is no folder of a training"):
        add_export(page, toy(apply={"export": {"onnx": True}}), toy_dataset, toy_outcome)


@pytest.mark.parametrize(
    ("train", "export", "message"),
    [
        ({"network": "boosted_trees"}, "onnx", "apply.export.onnx: boosted_trees is not written so"),
        ({"network": "cnn"}, "cpp", "apply.export.cpp: cnn is not written so; it can be onnx"),
        ({"network": "energy_flow"}, "lwtnn", "apply.export.lwtnn: energy_flow .* it can be cpp, onnx"),
        ({"network": "deep_sets", "options": {"pooling": "mean"}}, "lwtnn", "no pooling but the sum"),
        ({"network": "nets:mine", "loss": "mse"}, "onnx", "train.loss: mse makes none"),
    ],
)
def test_what_cannot_be_exported_is_refused_at_reading(toy, train, export, message):
    with pytest.raises(ValueError, match=message):
        toy(apply={"export": {export: True}}, train=train)
