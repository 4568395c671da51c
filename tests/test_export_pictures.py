"""Networks of pictures as ONNX files, layer by layer."""

import numpy as np
import pytest

onnxruntime = pytest.importorskip("onnxruntime")
keras = pytest.importorskip("keras")

from keras import layers  # noqa: E402

from coursekit.export import describe, export_onnx  # noqa: E402
from coursekit.export.keras_graph import _IDENTITIES, _LAYERS  # noqa: E402


def run(path, x):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(["probabilities"], {"x": x})[0]


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(2).exponential(size=(1000, 6, 5, 1)).astype("f4")


def every_layer():
    """A network with each layer that the export knows, and parameters that tell every mistake."""
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


def test_every_layer_that_the_export_knows(pictures, tmp_path):
    model = every_layer()
    path = export_onnx(tmp_path / "cnn.onnx", model, pictures, classes=["light", "c", "b"])
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
def test_activations_alone_and_global_poolings(pictures, tmp_path, pooling):
    names = ["relu", "selu", "softplus", "softsign", "leaky_relu", "linear"]
    parts = [part for name in names for part in (layers.Dense(6), layers.Activation(name))]
    inner = keras.Sequential([getattr(layers, pooling)(), *parts])
    model = keras.Sequential([keras.Input((6, 5, 1)), layers.Conv2D(6, 3), inner])
    model.add(layers.Dense(1))
    model.add(layers.Activation("sigmoid"))
    path = export_onnx(tmp_path / "a.onnx", model, pictures, classes=["background", "signal"])
    score = keras.ops.convert_to_numpy(model(pictures, training=False))[:, 0]
    np.testing.assert_allclose(run(path, pictures)[:, 1], score, rtol=0, atol=1e-6)


def test_the_networks_of_pictures_of_lesson_7(pictures, tmp_path):
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
