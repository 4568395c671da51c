"""The JSON of lwtnn: what is written is what the network computes, in NumPy, in C++, and by hand."""

import json
import shutil
import subprocess

import numpy as np
import pytest

keras = pytest.importorskip("keras")
torch = pytest.importorskip("torch")

from coursekit.export.layers import dense_layers  # noqa: E402
from coursekit.export.lwtnn import export_lwtnn  # noqa: E402
from coursekit.export.lwtnn_network import LwtnnNetwork  # noqa: E402
from coursekit.nets.deepsets import DeepSets, EnergyFlow  # noqa: E402
from coursekit.nets.keras_nets import build_dense  # noqa: E402
from coursekit.preprocess import Scaler  # noqa: E402

N = 1200
CLASSES = ("light", "c", "b")
INPUTS = ("pt", "ip3d_llr", "sv_mass", "sv_significance")


def make_jets(seed=1):
    """Raw rows (N, 4) float32, with two kinds of defaults, of which those of the vertex come together."""
    rng = np.random.default_rng(seed)
    jets = np.column_stack([rng.gamma(2, 40, N), rng.normal(1, 5, N), rng.gamma(2, 1, N), rng.gamma(2, 8, N)])
    jets[rng.random(N) < 0.5, 2:] = (-1, -90)
    jets[rng.random(N) < 0.1, 1] = -9.9  # not the same number in float32 as in float64
    return jets.astype(np.float32)


def fit_scaler(jets, **settings):
    defaults = {"ip3d_llr": -9.9, "sv_mass": -1, "sv_significance": -90}
    return Scaler.fit(
        jets, INPUTS, defaults=defaults, checks={"no_sv": "sv_mass", "no_ip": "ip3d_llr"}, fill="median", **settings
    )


def randomise(model, seed=3):
    """Give a Keras network parameters as a training leaves them: none is zero, no variance one."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        layer.set_weights(
            [rng.normal(0, 1.5 if w.ndim == 1 else 2.5 / np.sqrt(len(w)), w.shape) for w in layer.get_weights()]
        )
        if type(layer).__name__ == "BatchNormalization":
            layer.set_weights([*layer.get_weights()[:-1], np.abs(layer.get_weights()[-1])])
    return model


def build_mixed(seed=3):
    """A dense network with everything that lwtnn can express."""
    layers = keras.layers
    return randomise(
        keras.Sequential(
            [
                keras.Input((6,)),
                layers.BatchNormalization(),
                layers.Dense(8, use_bias=False),
                layers.BatchNormalization(scale=False),
                layers.Activation("elu"),
                layers.Dropout(0.5),
                layers.Dense(7, activation="sigmoid"),
                layers.BatchNormalization(center=False),
                layers.Dense(6, activation="silu"),
                layers.Dense(6, activation="leaky_relu"),
                layers.LeakyReLU(0.3),
                layers.ELU(0.7),
                layers.Dense(5, activation="tanh"),
                layers.ReLU(),
                layers.Dense(3),
                layers.Softmax(),
            ]
        ),
        seed,
    )


def make_tracks(seed=3):
    """Raw rows (T, 3) and counts, jets without tracks among them."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(4, N)
    counts[:3] = (0, 1, 30)
    tracks = np.column_stack(
        [rng.standard_t(3, counts.sum()), rng.normal(size=counts.sum()), rng.gamma(2, 1, counts.sum())]
    )
    tracks[::7, 1] = -99
    return tracks.astype(np.float32), counts


def build_sets(n_outputs=3, **settings):
    torch.manual_seed(4)
    return DeepSets(4, phi=(16,), latent=8, rho=(16,), n_outputs=n_outputs, **settings)


@pytest.fixture(scope="module")
def dense(tmp_path_factory):
    jets = make_jets()
    scaler, network = fit_scaler(jets), build_mixed()
    path = tmp_path_factory.mktemp("dense") / "flavour.json"
    assert export_lwtnn(path, network, jets, classes=CLASSES, scaler=scaler) == path
    return path, network, jets, scaler


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    tracks, counts = make_tracks()
    names = ("d0_significance", "z0_significance", "pt_fraction")
    scaler = Scaler.fit(tracks, names, defaults={names[1]: -99}, checks={"no_z0": names[1]})
    network, path = build_sets(), tmp_path_factory.mktemp("sets") / "tracks.json"
    export_lwtnn(path, network, (tracks, counts), classes=CLASSES, scaler=scaler)
    return path, network, tracks, counts, scaler


@pytest.fixture(scope="module")
def reader(root, tmp_path_factory):
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("there is no g++ to compile the reader in C++ with: apt install g++")
    program = tmp_path_factory.mktemp("reader") / "lwtnn_reader"
    flags = ["-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror"]
    subprocess.run([compiler, *flags, str(root / "tests" / "lwtnn_reader.cpp"), "-o", str(program)], check=True)

    def read(network, columns, counts=None):
        """Evaluate rows in C++; the columns are written in the order of the mapping."""
        rows = [" ".join(map(repr, row)) for row in np.column_stack([*columns.values()]).astype(float).tolist()]
        if counts is not None:
            starts = np.cumsum(counts) - counts
            rows = [
                "\n".join([str(n), *rows[first : first + n]])
                for first, n in zip(starts.tolist(), counts.tolist(), strict=True)
            ]
        jets = program.with_name("jets.txt")
        jets.write_text("\n".join([" ".join(columns), *rows]) + "\n", encoding="utf-8")
        done = subprocess.run([program, network, jets], capture_output=True, encoding="utf-8", check=False)
        assert done.returncode == 0, done.stderr
        names, *lines = done.stdout.splitlines()
        return dict(zip(names.split(), np.array([line.split() for line in lines], dtype=float).T, strict=True))

    return read


def columns_of(scaler, rows):
    return dict(zip(scaler.inputs, rows.T, strict=True))


def stacked(outputs):
    return np.column_stack([outputs[name] for name in CLASSES])


def of_torch(network, scaler, tracks, counts):
    with torch.no_grad():
        logits = network(torch.from_numpy(scaler.transform(tracks)), torch.from_numpy(counts))
    return torch.softmax(logits, dim=1).numpy()


# --- what is written is what the network computes --------------------------------------------------------------------


def test_a_dense_network_is_that_of_keras(dense):
    path, network, jets, scaler = dense
    written = LwtnnNetwork.load(path)
    found = written(written.inputs_of(columns_of(scaler, jets)))
    expected = network(scaler.transform(jets), training=False)
    assert tuple(found) == written.outputs == CLASSES
    np.testing.assert_allclose(stacked(found), keras.ops.convert_to_numpy(expected), atol=1e-6, rtol=0)
    assert stacked(found).std(axis=0).min() > 0.01  # the jets differ, else anything would agree


def test_deep_sets_are_those_of_torch(sets):
    path, network, tracks, counts, scaler = sets
    written = LwtnnNetwork.load(path)
    found = written(written.inputs_of(columns_of(scaler, tracks)), counts)
    np.testing.assert_allclose(stacked(found), of_torch(network, scaler, tracks, counts), atol=1e-6, rtol=0)
    assert counts[0] == 0
    assert stacked(found).std(axis=0).min() > 0.005


def test_another_reader_in_cpp_agrees_on_a_dense_network(dense, reader):
    path, network, jets, scaler = dense
    expected = keras.ops.convert_to_numpy(network(scaler.transform(jets), training=False))
    columns = columns_of(scaler, jets)
    np.testing.assert_allclose(stacked(reader(path, columns)), expected, atol=1e-6, rtol=0)
    permuted = dict(reversed(columns.items())) | {"unknown": np.arange(N)}
    np.testing.assert_array_equal(stacked(reader(path, permuted)), stacked(reader(path, columns)))


def test_another_reader_in_cpp_agrees_on_deep_sets(sets, reader):
    path, network, tracks, counts, scaler = sets
    found = stacked(reader(path, dict(reversed(columns_of(scaler, tracks).items())), counts))
    np.testing.assert_allclose(found, of_torch(network, scaler, tracks, counts), atol=1e-6, rtol=0)


def test_nan_and_infinity_are_replaced_in_cpp_as_in_numpy(dense, reader):
    path, _, jets, scaler = dense
    written = LwtnnNetwork.load(path)
    inputs = written.inputs_of(columns_of(scaler, jets))
    inputs["sv_mass"][5], inputs["ip3d_llr"][6] = np.inf, -np.inf
    assert np.isnan(inputs["sv_mass"]).sum() > 100
    found = reader(path, inputs)  # the checks as they come, since no branch holds a default
    np.testing.assert_allclose(stacked(found), stacked(written(inputs)), atol=1e-12, rtol=0)


def test_a_sigmoid_has_one_output_with_the_name_of_the_signal(tmp_path):
    jets = make_jets()
    scaler, network = fit_scaler(jets), build_dense(6, hidden=(8,))
    written = LwtnnNetwork.load(export_lwtnn(tmp_path / "b.json", network, jets, classes=("light", "b"), scaler=scaler))
    found = written(written.inputs_of(columns_of(scaler, jets)))
    assert written.outputs == ("b",)
    expected = keras.ops.convert_to_numpy(network(scaler.transform(jets), training=False))[:, 0]
    np.testing.assert_allclose(found["b"], expected, atol=1e-6, rtol=0)


def test_deep_sets_with_one_output_get_a_sigmoid(sets, tmp_path):
    *_, tracks, counts, scaler = sets
    network = build_sets(n_outputs=1)
    path = export_lwtnn(tmp_path / "b.json", network, [tracks, counts], classes=("light", "b"), scaler=scaler)
    written = LwtnnNetwork.load(path)
    with torch.no_grad():
        logits = network(torch.from_numpy(scaler.transform(tracks)), torch.from_numpy(counts))[:, 0]
    found = written(written.inputs_of(columns_of(scaler, tracks)), counts)["b"]
    np.testing.assert_allclose(found, torch.sigmoid(logits).numpy(), atol=1e-6, rtol=0)


def test_rounding_of_a_steep_network_is_no_difference(tmp_path):
    jets = make_jets()
    scaler, network = fit_scaler(jets), build_mixed(seed=17)
    written = LwtnnNetwork.load(export_lwtnn(tmp_path / "b.json", network, jets, classes=CLASSES, scaler=scaler))
    in_float32 = keras.ops.convert_to_numpy(network(scaler.transform(jets), training=False))
    assert np.abs(stacked(written(written.inputs_of(columns_of(scaler, jets)))) - in_float32).max() > 1e-6


def test_the_network_is_left_as_it_was(sets):
    _, network, *_ = sets
    assert network.training
    assert next(network.parameters()).dtype == torch.float32


# --- by hand ----------------------------------------------------------------------------------------------------------


def test_the_file_of_a_small_network_is_this(tmp_path):
    network = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, activation="softmax")])
    network.layers[0].set_weights([np.array([[1.0, 2], [3, 4], [5, 6]]), np.array([7.0, 8])])
    table = np.column_stack([np.arange(N), np.where(np.arange(N) % 2, -1, np.arange(N) * 1.0)])
    scaler = Scaler(("a", "b"), np.array([-2.0, -3]), np.array([0.5, 0.25]), {"b": -1.0}, {"b": 4.0}, {"no_b": "b"})
    path = export_lwtnn(tmp_path / "small.json", network, table, classes=("no", "yes"), scaler=scaler)
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content.pop("miscellaneous").items() >= {"default of b": "-1.0", "check no_b": "b"}.items()
    assert content == {
        "inputs": [
            {"name": "a", "offset": -2, "scale": 0.5},
            {"name": "b", "offset": -3, "scale": 0.25},
            {"name": "no_b", "offset": 0, "scale": 1},
        ],
        "layers": [{"architecture": "dense", "activation": "softmax", "weights": [1, 3, 5, 2, 4, 6], "bias": [7, 8]}],
        "outputs": ["no", "yes"],
        "defaults": {"b": 4},
    }
    inputs = LwtnnNetwork.load(path).inputs_of({"b": [-1.0, 5], "a": [1, 2]})
    np.testing.assert_equal(
        {name: x.tolist() for name, x in inputs.items()}, {"a": [1, 2], "b": [np.nan, 5], "no_b": [1, 0]}
    )


def test_linear_maps_in_a_row_are_one():
    layers = dense_layers(build_mixed())
    assert [layer.activation for layer in layers] == [
        *("elu", "sigmoid", "silu", "leaky_relu", "leaky_relu", "elu", "tanh", "relu", "softmax")
    ]
    assert [layer.kernel.shape for layer in layers[:3]] == [(6, 8), (8, 7), (7, 6)]


def test_a_jet_does_not_depend_on_its_batch(sets):
    path, _, tracks, counts, scaler = sets
    written = LwtnnNetwork.load(path)
    inputs = written.inputs_of(columns_of(scaler, tracks))
    alone = written({name: x[: counts[:9].sum()] for name, x in inputs.items()}, counts[:9])
    np.testing.assert_allclose(stacked(alone), stacked(written(inputs, counts))[:9], rtol=1e-12)


# --- what is refused --------------------------------------------------------------------------------------------------


def jets_and_scaler():
    jets = make_jets()
    return jets, fit_scaler(jets)


def refused(folder, error, match, network, **changes):
    jets, scaler = jets_and_scaler()
    arguments = {"sample": jets, "classes": CLASSES, "scaler": scaler} | changes
    with pytest.raises(error, match=match):
        export_lwtnn(folder / "network.json", network, arguments.pop("sample"), **arguments)
    assert not list(folder.iterdir())


def dense_of(*layers):
    return keras.Sequential([keras.Input((6,)), *layers])


@pytest.mark.parametrize(
    ("build", "match"),
    [
        (lambda: dense_of(keras.layers.Dense(3)), "not a classifier: it ends in linear"),
        (lambda: dense_of(keras.layers.Dense(3, activation="sigmoid")), "not a classifier: it ends in sigmoid"),
        (lambda: dense_of(keras.layers.Dropout(0.1)), "not a classifier: it ends in no layer"),
        (lambda: dense_of(keras.layers.Dense(5, activation="gelu"), SOFTMAX()), "lwtnn has no activation gelu"),
        (lambda: dense_of(keras.layers.Dense(5, activation="hard_sigmoid"), SOFTMAX()), r"its own is x/5 \+ 1/2"),
        (lambda: dense_of(keras.layers.Dense(5, activation=lambda x: x), SOFTMAX()), "lambda.*take one of Keras"),
        (lambda: dense_of(keras.layers.ReLU(6.0), SOFTMAX()), "ReLU with a largest value"),
        (lambda: dense_of(keras.layers.LayerNormalization(name="ln"), SOFTMAX()), "the layer ln is LayerNormalization"),
        (lambda: keras.Sequential([SOFTMAX()]), "no shape of its input yet"),
        (lambda: build_dense(5, n_classes=3), "the network takes 5 inputs and the scaler makes 6"),
        (lambda: build_dense(6, n_classes=4), "3 classes for a network with 4 outputs: name 4"),
    ],
)
def test_a_network_that_lwtnn_cannot_express_is_refused(build, match, tmp_path):
    refused(tmp_path, ValueError, match, build())


def SOFTMAX():
    return keras.layers.Dense(3, activation="softmax")


def test_a_branching_network_is_refused(tmp_path):
    x = keras.Input((6,))
    one, other = keras.layers.Dense(4)(x), keras.layers.Dense(4, name="other")(x)
    merged = keras.Model(x, SOFTMAX()(keras.layers.Add()([one, other])))
    refused(tmp_path, ValueError, "no chain: .* does not just take what the one before", merged)
    refused(tmp_path, ValueError, "1 inputs and 2 outputs", keras.Model(x, [one, other]))


@pytest.mark.parametrize(
    ("build", "error", "match"),
    [
        (lambda: EnergyFlow(4, n_outputs=3), TypeError, "EnergyFlow came; lwtnn has no sum with the momenta"),
        (lambda: build_sets(pooling="mean"), ValueError, "is 'mean': lwtnn has \"sum\" alone"),
        (lambda: torch.nn.Linear(4, 3), TypeError, "Linear came"),
        (lambda: build_dense(4, n_classes=3), ValueError, r"the sample of a network .* is one array, \(N, F\)"),
    ],
)
def test_a_network_of_tracks_that_lwtnn_has_not_is_refused(build, error, match, sets, tmp_path):
    *_, tracks, counts, scaler = sets
    refused(tmp_path, error, match, build(), sample=(tracks, counts), scaler=scaler)


def test_what_diverged_or_is_no_part_of_deep_sets_is_refused(sets, tmp_path):
    *_, tracks, counts, scaler = sets
    network = build_sets()
    with torch.no_grad():
        network.rho[0].bias[0] = np.nan
    refused(tmp_path, ValueError, "layer 2 are not all finite", network, sample=(tracks, counts), scaler=scaler)
    network = build_sets()
    network.phi.append(torch.nn.Tanh())
    refused(tmp_path, ValueError, "part 4 of the network is Tanh", network, sample=(tracks, counts), scaler=scaler)
    refused(tmp_path, ValueError, "is a tuple, tracks", build_sets(), sample=tracks, scaler=scaler)


@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        ({"classes": "lcb"}, TypeError, "classes is a list of names, but 'lcb' came"),
        ({"classes": ("light", "b")}, ValueError, "2 classes for a network with 3 outputs"),
        ({"classes": ("light", "c", "c")}, ValueError, "classes holds a name twice: light, c, c"),
        ({"classes": None}, TypeError, "classes is a list of names, but None came"),
        ({"scaler": None}, TypeError, "scaler is a Scaler, but NoneType came"),
        ({"sample": None}, ValueError, "sample is None"),
        ({"classes": ("light", "c", "b jet")}, ValueError, "the name 'b jet' of class 2 may be mistaken"),
        ({"classes": ("light", "c", 'b"')}, ValueError, "may be mistaken in C"),
        ({"sample": make_jets()[:999]}, ValueError, "999 jets: at least 1000"),
        ({"sample": make_jets()[:, :3]}, ValueError, r"a table of shape \(N, 4\) is expected"),
    ],
)
def test_a_wrong_argument_is_refused(changes, error, match, tmp_path):
    refused(tmp_path, error, match, build_dense(6, n_classes=3), **changes)


def test_an_input_with_a_name_that_could_be_mistaken_is_refused(tmp_path):
    jets = make_jets()
    scaler = Scaler.fit(jets, ["pt", "ip", "mass", "µ"])
    refused(tmp_path, ValueError, "'µ' of input 3", build_dense(4, n_classes=3), scaler=scaler)


def test_a_file_that_does_not_agree_gets_no_name(tmp_path, monkeypatch):
    from coursekit.export import lwtnn

    with monkeypatch.context() as patch:
        patch.setitem(lwtnn._ACTIVATIONS, "relu", "tanh")
        refused(tmp_path, ValueError, "network.json is not written: it gives", build_dense(6, n_classes=3))
    network, content = build_dense(6, n_classes=3), lwtnn._content
    monkeypatch.setattr(lwtnn, "_content", lambda *parts: scaled_wrongly(content(*parts)))
    refused(tmp_path, ValueError, "is not written: its inputs are scaled by up to 1 off", network)


def scaled_wrongly(content):
    content["inputs"][4]["offset"] += 1  # of a check, whose scale is 1
    return content
