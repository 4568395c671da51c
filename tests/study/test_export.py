"""Networks of a run in other formats."""

import numpy as np
import pytest

from coursekit.export import describe
from coursekit.nets.keras_nets import build_dense
from coursekit.preprocess import Scaler
from coursekit.study.report.drawing import NothingToDraw
from coursekit.study.report.export import add_export
from coursekit.study.report.page import Page

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of Keras, saving


def page_of(tmp_path):
    page = Page(tmp_path, "toy")
    page.section("export")
    return page


def test_a_network_with_its_scaler_becomes_onnx_and_lwtnn(toy, toy_dataset, toy_outcome, tmp_path):
    import onnxruntime

    folder = tmp_path / "models" / "seed1"
    folder.mkdir(parents=True)
    table = np.column_stack([toy_dataset.columns[name] for name in toy_dataset.features])
    scaler, network = Scaler.fit(table, toy_dataset.features), build_dense(3, (8,))
    scaler.save(folder / "variables.json")
    network.save(folder / "network.keras")
    study = toy(apply={"export": {"onnx": True, "lwtnn": True}})
    found = add_export(page_of(tmp_path), study, toy_dataset, toy_outcome)
    assert found["files"] == ["export/seed1.onnx", "export/seed1.lwtnn.json"]
    assert describe(tmp_path / "export" / "seed1.onnx")["classes"] == ["background", "signal"]
    session = onnxruntime.InferenceSession(tmp_path / "export" / "seed1.onnx")
    (probabilities,) = session.run(["probabilities"], {"x": table.astype(np.float32)})
    expected = network.predict(scaler.transform(table), verbose=0)[:, 0]
    assert probabilities[:, 1] == pytest.approx(expected, abs=1e-5)


def test_a_run_without_networks_says_so(toy, toy_dataset, toy_outcome, tmp_path):
    with pytest.raises(NothingToDraw, match="has no network of Keras"):
        add_export(page_of(tmp_path), toy(apply={"export": {"onnx": True}}), toy_dataset, toy_outcome)


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"train": {"network": "boosted_trees"}}, "apply.export.onnx: a network 'boosted_trees' is not written"),
        ({"train": {"network": "deep_sets"}}, "apply.export.onnx: a network 'deep_sets' is not written"),
    ],
)
def test_what_cannot_be_exported_is_refused_at_reading(toy, sections, message):
    with pytest.raises(ValueError, match=message):
        toy(apply={"export": {"onnx": True}}, **sections)
