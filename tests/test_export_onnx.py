"""Networks as ONNX files: what comes out is what the framework says, and what is wrong leaves no file."""

import numpy as np
import pandas as pd
import pytest

from coursekit.preprocess import Scaler

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from coursekit.export import describe, export_onnx  # noqa: E402

INPUTS = ["mass", "significance", "offset"]
DEFAULTS = {"mass": -1, "significance": -99.9}
CLASSES = ["light", "c", "b"]


def run(path, *inputs):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(["probabilities"], dict(zip(("x", "counts"), inputs, strict=False)))[0]


@pytest.fixture(scope="module")
def table():
    """Inputs as ntuples have them: defaults of two kinds, and one that is far from zero beside its spread."""
    rng = np.random.default_rng(1)
    table = np.column_stack([rng.exponential(1.5, 1200), rng.normal(5, 20, 1200), rng.normal(1e5, 1, 1200)]).astype(
        "f4"
    )
    table[::3, :2] = -1, -99.9
    return table


@pytest.fixture(scope="module")
def scaler(table):
    return Scaler.fit(table, INPUTS, None, DEFAULTS, fill="median", checks={"no_vertex": "significance"})


# --- Keras ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def keras():
    keras = pytest.importorskip("keras")
    keras.utils.set_random_seed(1)
    return keras


@pytest.fixture(scope="module")
def dense(keras):
    from coursekit.nets.keras_nets import build_dense

    return build_dense(4, (8, 5), dropout=0.3, n_classes=3)


@pytest.fixture(scope="module")
def tagger(dense, table, scaler, tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "tagger.onnx"
    settings = {"epochs": 3, "rate": np.float32(0.5), "layers": (8, 5)}
    return export_onnx(path, dense, table, classes=CLASSES, scaler=scaler, settings=settings, units={"mass": "GeV"})


def test_raw_rows_give_what_the_network_gives_of_scaled_ones(keras, dense, tagger, table, scaler):
    expected = keras.ops.convert_to_numpy(dense(scaler.transform(table), training=False))
    for jets in (slice(0), slice(1), slice(5, 12), slice(None)):
        got = run(tagger, table[jets])
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, expected[jets], rtol=0, atol=1e-6)
    assert [path.name for path in tagger.parent.iterdir()] == ["tagger.onnx"]


def test_numpy_computes_the_same_from_the_parameters(dense, tagger, table):
    raw = table[:5].astype(float)
    mass, significance = (np.array([row for row in table if row[1] != np.float32(-99.9)])[:, i] for i in (0, 1))
    raw[table[:5, 0] == -1, 0] = np.median(mass)
    raw[table[:5, 1] == np.float32(-99.9), 1] = np.median(significance)
    real = [mass, significance, table[:, 2]]
    scaled = np.column_stack([(raw[:, i] - real[i].mean(dtype="f8")) / real[i].std(dtype="f8") for i in range(3)])
    hidden = np.column_stack([scaled, [1, 0, 0, 1, 0]])  # every third jet has no vertex
    w0, b0, w1, b1, w2, b2 = dense.get_weights()
    logits = np.maximum(np.maximum(hidden @ w0 + b0, 0) @ w1 + b1, 0) @ w2 + b2
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(run(tagger, table[:5]), expected, rtol=0, atol=1e-6)


def test_what_is_not_finite_gives_nan(tagger, table):
    for value in (np.nan, np.inf, -np.inf):
        for column in range(3):
            x = table[:4].copy()
            x[2, column] = value
            got = run(tagger, x)
            assert np.isnan(got[2]).all()
            np.testing.assert_array_equal(got[[0, 1, 3]], run(tagger, table[[0, 1, 3]]))


def test_a_default_is_that_one_number_alone(tagger, table):
    default, near = table[:1].copy(), table[:1].copy()
    near[0, 1] = np.nextafter(np.float32(-99.9), np.float32(0))
    assert np.abs(run(tagger, default) - run(tagger, near)).max() > 1e-3


def test_the_file_says_what_it_takes_and_gives(tagger, table, scaler):
    found = describe(tagger)
    assert found["kind"] == "table"
    assert found["shape"] == [3]
    assert found["classes"] == CLASSES
    assert found["settings"] == {"epochs": 3, "rate": 0.5, "layers": [8, 5]}
    assert found["checks"] == [{"name": "no_vertex", "input": "significance"}]
    assert [row["name"] for row in found["inputs"]] == INPUTS
    assert [row["unit"] for row in found["inputs"]] == ["GeV", "", ""]
    assert [row["default"] for row in found["inputs"]] == [-1, -99.9, None]
    assert [row["fill"] for row in found["inputs"]] == [scaler.fills["mass"], scaler.fills["significance"], None]
    assert [(row["offset"], row["scale"]) for row in found["inputs"]] == [
        *zip(scaler.offset, scaler.scale, strict=True)
    ]
    assert found["compared"] == {"jets": 1200, "limit": 1e-5}
    assert {"coursekit", "python", "numpy", "onnx", "onnxruntime", "keras"} < set(found["versions"])
    model = onnx.load(tagger)
    onnx.checker.check_model(model, full_check=True)
    assert (model.producer_name, model.producer_version) == ("coursekit", found["versions"]["coursekit"])
    assert [axis.dim_param or axis.dim_value for axis in model.graph.input[0].type.tensor_type.shape.dim] == ["N", 3]
    assert [axis.dim_param or axis.dim_value for axis in model.graph.output[0].type.tensor_type.shape.dim] == ["N", 3]


def test_one_score_becomes_two_probabilities(keras, table, tmp_path):
    from coursekit.nets.keras_nets import build_dense, score_of

    model = build_dense(3, (4,))
    scaler = Scaler.fit(table, INPUTS)
    path = export_onnx(tmp_path / "two.onnx", model, table, classes=["background", "signal"], scaler=scaler)
    score = score_of(model, scaler.transform(table))
    np.testing.assert_allclose(run(path, table), np.column_stack([1 - score, score]), rtol=0, atol=1e-6)


def test_a_frame_of_other_columns_is_refused(dense, table, scaler, tmp_path):
    frame = pd.DataFrame(table, columns=INPUTS)
    assert export_onnx(tmp_path / "a.onnx", dense, frame, classes=CLASSES, scaler=scaler).is_file()
    with pytest.raises(ValueError, match="Same names, other order"):
        export_onnx(tmp_path / "b.onnx", dense, frame[INPUTS[::-1]], classes=CLASSES, scaler=scaler)
    assert not (tmp_path / "b.onnx").exists()
