"""Keras networks as ONNX files: what comes out is what the framework says, and what is wrong leaves no file."""

import importlib
import sys

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


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"classes": "b"}, TypeError, "classes is a list of names, but 'b' came"),
        ({"classes": ["b"]}, ValueError, "classes holds fewer than two: b"),
        ({"classes": ["b", "c", "b"]}, ValueError, "classes holds a name twice: b, c, b"),
        ({"classes": ["b", "c"]}, ValueError, "classes has the 2 names b, c, but the network tells 3 apart"),
        ({"classes": ["b", "c", 5]}, TypeError, "classes is a list of names"),
        ({"classes": None}, TypeError, "classes is a list of names, but None came"),
        ({"scaler": "variables.json"}, TypeError, "scaler is a Scaler, but str came: Scaler.load reads"),
        ({"settings": [30]}, TypeError, r"settings is a dictionary, such as {.*}, but \[30\] came"),
        ({"units": "GeV"}, TypeError, "units is a dictionary, such as .*, but 'GeV' came"),
        ({"sample": lambda x: x[:999]}, ValueError, "the sample has 999 jets: take at least 1000"),
        ({"sample": lambda x: x[:, :2]}, ValueError, r"scaler has 3 inputs, mass, .* has the shape \(1200, 2\)"),
        ({"sample": lambda x: x[:, 0]}, ValueError, r"the sample is a table .* it has shape \(1200,\)"),
        (
            {"sample": lambda x: np.where(np.arange(1200)[:, None] == 7, np.nan, x)},
            ValueError,
            "NaN, .* in 1 rows, the first is row 7",
        ),
        ({"sample": lambda x: x.astype("f8") * 1e38}, ValueError, "infinite or beyond float32 in 1200 rows"),
        ({"sample": lambda x: x.astype(str)}, ValueError, "sample must be numbers"),
        ({"sample": lambda x: (x, np.ones(1200, int))}, ValueError, r"a keras network came with \(x, counts\)"),
        ({"sample": lambda x: (x, np.ones(1199, int))}, ValueError, "add up to 1199, but x has 1200 rows"),
        ({"sample": lambda x: (x, np.ones(1200))}, ValueError, "x .T, F. and whole counts"),
        ({"sample": lambda x: (x[:1], np.arange(1200) // 1199)}, ValueError, "the jets of the sample are empty"),
        ({"network": "model.keras"}, TypeError, "a Keras model or a PyTorch module, but str came"),
        ({"units": {"masss": "GeV"}}, KeyError, "a unit is given for masss, .* did you mean 'mass'"),
        ({"settings": {"model": object()}}, TypeError, "the settings hold what JSON does not know"),
        ({"settings": {"loss": float("nan")}}, TypeError, "what JSON does not know .Out of range"),
        (
            {"scaler": None},
            ValueError,
            "takes 4 inputs, but the sample and the scaler give 3 inputs. Is this the scaler",
        ),
    ],
)
def test_what_is_wrong_is_named_and_leaves_the_older_file(dense, table, scaler, tmp_path, change, error, message):
    arguments = {"network": dense, "classes": CLASSES, "scaler": scaler} | change
    arguments["sample"] = change.get("sample", lambda x: x)(table)
    path = tmp_path / "older.onnx"
    path.write_text("older", encoding="utf-8")
    with pytest.raises(error, match=message):
        export_onnx(path, **arguments)
    assert path.read_text(encoding="utf-8") == "older"
    assert [*tmp_path.iterdir()] == [path]


def mixed(layers, keras):
    return [layers.Dense(4, dtype="mixed_float16"), layers.Dense(2, activation="softmax", dtype="float32")]


def a_lambda(layers, keras):
    return [layers.Dense(2, activation=lambda x: keras.ops.square(x)), layers.Softmax()]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda layers, keras: [layers.Dense(1)], "not a classifier: it gives 1 number by a linear function in dense"),
        (lambda layers, keras: [layers.Dense(2)], "not a classifier: it gives 2 numbers by a linear function in dense"),
        (lambda layers, keras: [layers.Dense(2, "sigmoid")], "it gives 2 numbers by sigmoid in dense"),
        (lambda layers, keras: [layers.Dense(1, "relu")], "it gives 1 number by relu in dense"),
        (lambda layers, keras: [layers.Dense(2, "softmax"), layers.Dense(2)], "by a linear function"),
        (
            lambda layers, keras: [layers.Dense(2, "softmax"), layers.Rescaling(2.0)],
            "not a classifier: what it gives for 1200 jets does not add up to 1",
        ),
        (lambda layers, keras: [layers.Dense(2, "softmax"), layers.Softmax()], "ends in softmax and softmax"),
        (
            lambda layers, keras: [layers.Dense(1, "sigmoid"), layers.Dropout(0.5), layers.Activation("sigmoid")],
            "ends in sigmoid and sigmoid, one after the other",
        ),
        (
            lambda layers, keras: [layers.UnitNormalization()],
            r"the layer unit_normalization.* \(UnitNormalization\); it k",
        ),
        (lambda layers, keras: [layers.Dense(2, "mish")], "does not know the activation mish of the layer dense"),
        (a_lambda, "does not know the activation <lambda> of the layer dense"),
        (lambda layers, keras: [layers.ReLU(max_value=6)], "has a slope, a threshold or a largest value"),
        (mixed, 'the layer dense.* computes in float16, .*set_dtype_policy."float32".'),
    ],
)
def test_networks_of_keras_that_cannot_leave(keras, table, tmp_path, build, message):
    model = keras.Sequential([keras.Input((3,)), *build(keras.layers, keras)])
    with pytest.raises(ValueError, match=message):
        export_onnx(tmp_path / "a.onnx", model, table, classes=["c", "b"])
    assert not [*tmp_path.iterdir()]


def test_what_is_no_chain_of_layers_is_refused(keras, table, tmp_path):
    layers, pictures = keras.layers, np.zeros((1000, 6, 5, 1))
    x = keras.Input((3,))
    hidden = layers.Dense(3, "relu")(x)
    forked = keras.Model(x, layers.Dense(2, "softmax")(layers.Add()([x, hidden])))
    function = keras.Model(x, layers.Dense(2, "softmax")(keras.ops.square(hidden)))
    several = keras.Model(x, [layers.Dense(2, "softmax")(hidden), hidden])
    unbuilt = keras.Sequential([layers.Dense(2, activation="softmax")])
    first = keras.Sequential([keras.Input((1, 6, 5)), layers.MaxPooling2D(1, data_format="channels_first")])
    other = keras.Sequential([keras.Input((6, 4, 1)), layers.Flatten(), layers.Dense(2, "softmax")])
    for model, sample, message in [
        (forked, table, "the layers of the network are no chain: add"),
        (function, table, "holds square.*, a function and no layer"),
        (several, table, "1 inputs and 2 outputs"),
        (unbuilt, table, "no shape of its input yet"),
        (first, pictures.reshape(-1, 1, 6, 5), 'data_format="channels_first"'),
        (other, pictures, r"takes pictures \(6, 4, 1\), but the sample and the scaler give pictures \(6, 5, 1\)"),
    ]:
        with pytest.raises(ValueError, match=message):
            export_onnx(tmp_path / "a.onnx", model, sample, classes=["c", "b"])
    branch = keras.Model(forked.inputs, layers.Dense(2, "softmax")(hidden))  # a layer of two models
    path = export_onnx(tmp_path / "b.onnx", branch, table, classes=["c", "b"])
    expected = keras.ops.convert_to_numpy(branch([table]))
    np.testing.assert_allclose(run(path, table), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("operator", "message"),
    [
        ("Elu", r"disagree for 1200 jets: probabilities differ by up to 0\.\d+, and more than 1e-05"),
        ("NoSuchOperator", "ONNX Runtime .* refuses the network: .*NoSuchOperator"),
    ],
)
def test_a_file_that_onnx_runtime_reads_otherwise_gets_no_name(
    monkeypatch, dense, table, scaler, tmp_path, operator, message
):
    from coursekit.export import keras_graph

    monkeypatch.setitem(keras_graph._ACTIVATIONS, "relu", lambda graph, x: graph.add(operator, x))
    with pytest.raises(ValueError, match=message):
        export_onnx(tmp_path / "a.onnx", dense, table, classes=CLASSES, scaler=scaler)
    assert not [*tmp_path.iterdir()]


def test_a_wrong_default_is_found_even_if_no_jet_of_the_sample_has_it(monkeypatch, dense, table, scaler, tmp_path):
    from coursekit.export.graph import Graph

    def without_defaults(graph, x, scaler):
        return scaled(graph, x, Scaler(**vars(scaler) | {"defaults": {**scaler.defaults, "mass": -2.0}}))

    scaled = Graph.add_scaler
    monkeypatch.setattr(Graph, "add_scaler", without_defaults)
    sample = np.tile(table[table[:, 0] != -1], (2, 1))
    with pytest.raises(ValueError, match="disagree for 7 jets whose mass is its default"):
        export_onnx(tmp_path / "a.onnx", dense, sample, classes=CLASSES, scaler=scaler)


def test_a_network_that_has_gone_wrong_in_training_is_refused(keras, table, tmp_path):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, "softmax")])
    model.set_weights([np.full((3, 2), np.nan), np.zeros(2)])
    with pytest.raises(ValueError, match="the network gives NaN for 1200 of 1200 jets: look for NaN in its parameters"):
        export_onnx(tmp_path / "a.onnx", model, table, classes=["c", "b"])


def test_no_flipped_byte_goes_unnoticed(tagger, tmp_path):
    def said(path):
        try:
            return describe(path)
        except ValueError as error:
            return str(error)

    about, whole, bad = describe(tagger), tagger.read_bytes(), tmp_path / "bad.onnx"
    for place in range(0, len(whole), len(whole) // 150):
        bad.write_bytes(whole[:place] + bytes([whole[place] ^ 0x15]) + whole[place + 1 :])
        # One may hit the name of the seal.
        intact = said(bad) == about and onnx.load(bad).graph == onnx.load(tagger).graph
        assert intact or str(said(bad)).startswith(str(bad)), place
    model = onnx.load(tagger)
    model.graph.initializer[0].raw_data = bytes(len(model.graph.initializer[0].raw_data))
    onnx.save(model, bad)
    assert said(bad) == f"{bad} is damaged, or was changed since export_onnx compared it. Write it again."


def test_files_of_others_are_not_described(tagger, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none.onnx does not exist. Write it with export_onnx"):
        describe(tmp_path / "none.onnx")
    with pytest.raises(FileNotFoundError, match="is a folder"):
        describe(tmp_path)
    half, other, broken = (tmp_path / name for name in ("half.onnx", "other.onnx", "broken.onnx"))
    half.write_bytes(tagger.read_bytes()[:-100])
    model = onnx.load(tagger)
    del model.metadata_props[:]
    model.producer_name = "pytorch"
    onnx.save(model, other)
    onnx.helper.set_model_props(model, {"coursekit": "{"})
    onnx.save(model, broken)
    for path, message in [
        (half, "half.onnx is not an ONNX file, or damaged"),
        (other, "other.onnx was not written by export_onnx, but by pytorch"),
        (broken, "broken.onnx: what it says of its inputs is damaged"),
    ]:
        with pytest.raises(ValueError, match=message):
            describe(path)


@pytest.mark.parametrize(
    ("missing", "module", "extra"),
    [("onnxruntime", "onnx", "export"), ("onnx", "onnx", "export"), ("onnxscript", "torch_graph", "export,torch")],
)
def test_without_a_package_the_extra_is_named(monkeypatch, missing, module, extra):
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.delitem(sys.modules, f"coursekit.export.{module}", raising=False)
    with pytest.raises(ImportError, match=rf'{missing} is missing: pip install "coursekit\[{extra}\]"'):
        importlib.import_module(f"coursekit.export.{module}")


def test_names_that_do_not_exist():
    export = importlib.import_module("coursekit.export")
    assert {"describe", "export_onnx"} < set(dir(export))
    with pytest.raises(AttributeError, match=r"no attribute 'export_tflite'; it has .*export_onnx"):
        export.export_tflite  # noqa: B018
