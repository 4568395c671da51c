"""Networks as ONNX files: what comes out is what the framework says, and what is wrong leaves no file."""

import contextlib
import warnings
from pathlib import Path

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


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(2).exponential(size=(1000, 6, 5, 1)).astype("f4")


def every_layer(keras):
    """A network with each layer that the export knows, and parameters that tell every mistake."""
    layers = keras.layers
    picture = keras.Input((6, 5, 1))
    x = picture
    for layer in [
        layers.Conv2D(4, 3, padding="same", activation="relu"),
        layers.BatchNormalization(epsilon=0.01),
        layers.Conv2D(6, (2, 3), padding="valid", use_bias=False, groups=2),
        layers.SpatialDropout2D(0.5),
        layers.LeakyReLU(0.1),
        layers.Conv2D(4, 2, strides=2, padding="same", activation="silu"),
        layers.AveragePooling2D(2, padding="same", strides=1),
        layers.Conv2D(4, 2, dilation_rate=(2, 1), padding="same", activation="tanh"),
        layers.MaxPooling2D((2, 1), padding="same"),
        layers.Dense(3, activation="elu"),
        layers.Flatten(),
        layers.Rescaling(1.5, 0.25),
        layers.GaussianNoise(0.1),
        layers.Dense(4, use_bias=False),
        layers.ReLU(),
        layers.Dense(5),
        layers.BatchNormalization(scale=False, center=False),
        layers.ELU(0.5),
        layers.Dense(3),
        layers.Softmax(),
    ]:
        x = layer(x)
    model = keras.Model(picture, x)
    rng = np.random.default_rng(3)
    for weight in model.weights:
        values = rng.normal(scale=0.5, size=weight.shape)
        weight.assign(np.abs(values) if weight.path.endswith("variance") else values)
    return model


def test_every_layer_that_the_export_knows(keras, pictures, tmp_path):
    from coursekit.export.keras_graph import _IDENTITIES, _LAYERS

    model = every_layer(keras)
    path = export_onnx(tmp_path / "cnn.onnx", model, pictures, classes=CLASSES)
    expected = keras.ops.convert_to_numpy(model(pictures, training=False))
    assert expected.std(axis=0).min() > 0.01
    np.testing.assert_allclose(run(path, pictures), expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(run(path, pictures[:1]), expected[:1], rtol=0, atol=1e-5)
    pictures = pictures[:2].copy()
    pictures[1, 3, 2, 0] = np.nan
    assert np.isnan(run(path, pictures)).all(axis=1).tolist() == [False, True]
    assert (describe(path)["kind"], describe(path)["shape"], describe(path)["inputs"]) == ("pictures", [6, 5, 1], [])
    used = {type(layer).__name__ for layer in model.layers}
    assert {*_LAYERS} - _IDENTITIES - used == {"Activation", "GlobalAveragePooling2D", "GlobalMaxPooling2D"}


@pytest.mark.parametrize("pooling", ["GlobalAveragePooling2D", "GlobalMaxPooling2D"])
def test_activations_alone_and_global_poolings(keras, pictures, tmp_path, pooling):
    layers = keras.layers
    names = ["relu", "selu", "softplus", "softsign", "leaky_relu", "linear"]
    parts = [part for name in names for part in (layers.Dense(6), layers.Activation(name))]
    inner = keras.Sequential([getattr(layers, pooling)(), *parts])
    model = keras.Sequential([keras.Input((6, 5, 1)), layers.Conv2D(6, 3), inner])
    model.add(layers.Dense(1))
    model.add(layers.Activation("sigmoid"))
    path = export_onnx(tmp_path / "a.onnx", model, pictures, classes=["background", "signal"])
    score = keras.ops.convert_to_numpy(model(pictures, training=False))[:, 0]
    np.testing.assert_allclose(run(path, pictures)[:, 1], score, rtol=0, atol=1e-6)


def test_the_networks_of_pictures_of_lesson_7(keras, pictures, tmp_path):
    layers = keras.layers
    convolutions = [layers.Conv2D(n, 3, padding="same", activation="relu") for n in (2, 2, 4, 4)]
    for end in (
        [layers.Flatten()],
        [layers.Flatten(), layers.Dense(5, activation="tanh"), layers.Dropout(0.5)],
        [*convolutions[:2], layers.MaxPooling2D(2), *convolutions[2:], layers.MaxPooling2D(2), layers.Flatten()],
    ):
        model = keras.Sequential([keras.Input((6, 5, 1)), *end, layers.Dense(1, activation="sigmoid")])
        path = export_onnx(tmp_path / "a.onnx", model, pictures, classes=["qcd", "top"])
        score = keras.ops.convert_to_numpy(model(pictures, training=False))[:, 0]
        np.testing.assert_allclose(run(path, pictures)[:, 1], score, rtol=0, atol=1e-6)


# --- PyTorch ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


@pytest.fixture(scope="module")
def tracks():
    """Tracks of 1100 jets, some without any, and those that miss a layer marked."""
    rng = np.random.default_rng(4)
    counts = rng.poisson(3, 1100)
    x = rng.normal([0, 50], [1, 9], size=(counts.sum(), 2)).astype("f4")
    x[::5, 1] = -9
    assert (counts == 0).sum() > 10
    return x, counts


def networks_on_sets(torch):
    from coursekit.nets.deepsets import DeepSets, EnergyFlow

    class PackedSet(torch.nn.Module):
        """As lesson 9 writes it."""

        def __init__(self):
            super().__init__()
            self.phi, self.rho = torch.nn.Linear(2, 3), torch.nn.Linear(3, 2)
            self.dropout = torch.nn.Dropout(0.5)

        def forward(self, x, counts):
            jet = torch.repeat_interleave(torch.arange(len(counts)), counts)
            total = torch.zeros(len(counts), 3).index_add(0, jet, torch.tanh(self.phi(x)))
            return self.rho(self.dropout(total / counts.clamp(min=1)[:, None]))

    return {
        "DeepSets": (lambda: DeepSets(3, (16,), 8, (16,), 3), True, CLASSES),
        "EnergyFlow": (lambda: EnergyFlow(2, (16,), 8, (16,)), False, ["qcd", "top"]),
        "PackedSet": (PackedSet, False, ["qcd", "top"]),
    }


@pytest.fixture(scope="module", params=["DeepSets", "EnergyFlow", "PackedSet"])
def packed(request, torch, tracks, tmp_path_factory):
    """A network on sets and the file of it, with what was printed and the state of the network before."""
    build, scaled, classes = networks_on_sets(torch)[request.param]
    torch.manual_seed(1)
    network = build().train()
    scaler = Scaler.fit(tracks[0], ["d0", "hits"], None, {"hits": -9}, checks={"no_hits": "hits"}) if scaled else None
    path = tmp_path_factory.mktemp("sets") / "sets.onnx"
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        export_onnx(path, network, tracks, classes=classes, scaler=scaler)
    assert network.training
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in before.items())
    return path, network.eval(), scaler, classes


def of_torch(torch, network, scaler, x, counts):
    x = x if scaler is None else scaler.transform(x)
    with torch.no_grad():
        y = network(torch.from_numpy(x), torch.from_numpy(counts)).double().numpy()
    odds = np.exp(y if y.shape[1] > 1 else np.column_stack([np.zeros(len(y)), y]))
    return odds / odds.sum(axis=1, keepdims=True)


def test_sets_of_any_size(torch, packed, tracks):
    path, network, scaler, classes = packed
    x, counts = tracks
    expected = of_torch(torch, network, scaler, x, counts)
    assert expected.std(axis=0).min() > 0.001
    np.testing.assert_allclose(run(path, x, counts), expected, rtol=0, atol=1e-6)
    for some in ([1], [7], [0, 3, 0, 0], [2, 0], [0, 1, 1, 1, 1, 40]):
        some = np.array(some)
        expected = of_torch(torch, network, scaler, x[: some.sum()], some)
        np.testing.assert_allclose(run(path, x[: some.sum()], some), expected, rtol=0, atol=1e-6)
    empty = run(path, x[:0], np.array([0, 0]))
    assert empty.shape == (2, len(classes))
    np.testing.assert_array_equal(empty[0], run(path, x[:5], np.array([2, 0, 3]))[1])
    assert run(path, x[:0], np.zeros(0, int)).shape == (0, len(classes))
    assert describe(path)["kind"] == "packed"
    assert describe(path)["versions"]["torch"]
    assert str(Path.cwd().root + "tmp") not in path.read_bytes().decode("latin1")


def test_the_order_of_tracks_and_of_jets_does_not_matter(packed, tracks):
    path, (x, counts) = packed[0], tracks
    jet = np.repeat(np.arange(len(counts)), counts)
    mixed = np.lexsort([np.random.default_rng(5).random(len(x)), jet])
    np.testing.assert_allclose(run(path, x[mixed], counts), run(path, x, counts), rtol=0, atol=1e-6)
    backwards = run(path, x[::-1].copy(), counts[::-1].copy())
    np.testing.assert_allclose(backwards[::-1], run(path, x, counts), rtol=0, atol=1e-6)


def test_a_broken_track_is_that_of_its_jet_alone(packed, tracks):
    path, x, counts = packed[0], tracks[0][:9].copy(), np.array([3, 0, 4, 2])
    whole = run(path, x, counts)
    for value in (np.nan, np.inf):
        x[4, 1] = value
        got = run(path, x, counts)
        assert np.isnan(got[2]).all()
        np.testing.assert_array_equal(got[[0, 1, 3]], whole[[0, 1, 3]])


def test_counts_that_do_not_add_up_give_no_number(packed, tracks):
    path, x = packed[0], tracks[0][:9]
    for counts in ([3, 3], [5, 5], [12, -3], [3, -1, 7], [0]):
        with contextlib.suppress(onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument):
            assert np.isnan(run(path, x, np.array(counts))).all()


def test_the_check_of_the_counts_is_as_it_was(torch):
    from coursekit.nets.deepsets import DeepSets

    with pytest.raises(ValueError, match=r"counts .* that add up to T"):
        DeepSets(3)(torch.ones(5, 3), torch.tensor([2, 2]))


def test_networks_of_pytorch_that_cannot_leave(torch, tracks, tmp_path, capfd):
    from coursekit.nets.deepsets import DeepSets

    class Made(torch.nn.Module):
        def __init__(self, last):
            super().__init__()
            self.net, self.last = DeepSets(2, (4,), 4, (4,), 2 if last is torch.nn.Softmax else 1), last

        def forward(self, x, counts):
            y = self.net(x, counts)
            return self.last(1)(y) if self.last is torch.nn.Softmax else self.last(y)

    def decides(y):
        return y if y.sum() > 0 else -y

    def drops(y):
        return y[1:]

    table = np.zeros((1000, 2), np.float32)
    for network, sample, message in [
        (Made(torch.nn.Softmax), tracks, "gives probabilities already: .* adds the softmax"),
        (Made(torch.sigmoid), tracks, "gives probabilities already: .* adds the sigmoid"),
        (Made(decides), tracks, r"PyTorch's exporter cannot follow the network: Could not guard on data-dependent"),
        (Made(drops), tracks, r"no classifier of jets: logits \(1100, K\) are expected, \(1099, 1\) came"),
        (DeepSets(3), tracks, r"cannot take x of shape \(\d+, 2\) and .*: expected x \(T, 3\)"),
        (DeepSets(2).half(), tracks, r"phi.0.weight of the network is float16: export .*float\(\)"),
        (DeepSets(2, n_outputs=3), tracks, "classes has the 2 names qcd, top, but the network tells 3 apart"),
        (torch.nn.Linear(2, 1), table, r"of PyTorch is exported with the sample \(x, counts\)"),
    ]:
        with pytest.raises(ValueError, match=message):
            export_onnx(tmp_path / "a.onnx", network, sample, classes=["qcd", "top"])
    assert not [*tmp_path.iterdir()]
    assert capfd.readouterr() == ("", "")  # the exporter has a lot to say
