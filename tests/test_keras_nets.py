"""Networks in Keras: counted by hand, compared with NumPy, refused with a reason."""

import importlib.util
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from scipy.signal import correlate2d

from coursekit.nets import keras_nets
from coursekit.nets.keras_nets import build_cnn, build_dense, build_image_logistic, build_image_mlp, choose_precision

keras = pytest.importorskip("keras")


def outputs(model, x):
    return keras.ops.convert_to_numpy(model(x, training=False))


@pytest.fixture
def x():
    return np.random.default_rng(1).normal(size=(50, 6)).astype(np.float32)


@pytest.mark.parametrize(
    ("settings", "parameters"),
    [
        ({"hidden": ()}, 6 + 1),
        ({"hidden": (16,)}, 6 * 16 + 16 + 16 + 1),
        ({}, 6 * 64 + 64 + 2 * (64 * 64 + 64) + 64 + 1),
        ({"hidden": (8,), "n_classes": 3}, 6 * 8 + 8 + 8 * 3 + 3),
        ({"hidden": (16,), "dropout": 0.5}, 6 * 16 + 16 + 16 + 1),
    ],
)
def test_parameters_are_those_counted_by_hand(settings, parameters):
    assert build_dense(6, **settings).count_params() == parameters


def test_the_score_is_what_numpy_computes_from_the_parameters(x):
    model = build_dense(6, hidden=(8, 5), activation="relu", dropout=0.3)
    w0, b0, w1, b1, w2, b2 = model.get_weights()
    hidden = np.maximum(np.maximum(x @ w0 + b0, 0) @ w1 + b1, 0)
    expected = 1 / (1 + np.exp(-(hidden @ w2 + b2)))
    np.testing.assert_allclose(outputs(model, x), expected, rtol=1e-5)


def test_the_scores_are_probabilities(x):
    score = outputs(build_dense(6), x)
    assert score.shape == (50, 1)
    assert ((score > 0) & (score < 1)).all()
    several = outputs(build_dense(6, n_classes=4), x)
    assert several.shape == (50, 4)
    np.testing.assert_allclose(several.sum(axis=1), 1, rtol=1e-5)


def test_the_order_of_events_does_not_matter(x):
    model = build_dense(6)
    np.testing.assert_allclose(outputs(model, x[::-1]), outputs(model, x)[::-1], rtol=1e-5)


def test_without_activation_any_depth_is_one_linear_layer(x):
    p = outputs(build_dense(6, activation="linear"), x)[:, 0].astype(float)
    table = np.column_stack([x, np.ones(len(x))]).astype(float)
    logit = np.log(p / (1 - p))
    rest = logit - table @ np.linalg.lstsq(table, logit, rcond=None)[0]
    assert np.abs(rest).max() < 1e-4


def test_dropout_acts_in_training_alone(x):
    model = build_dense(6, dropout=0.5)
    np.testing.assert_array_equal(outputs(model, x), outputs(model, x))
    assert not np.array_equal(keras.ops.convert_to_numpy(model(x, training=True)), outputs(model, x))


def test_a_seed_fixes_the_parameters(x):
    scores = []
    for seed in (1, 1, 2):
        keras.utils.set_random_seed(seed)
        scores.append(outputs(build_dense(6), x))
    np.testing.assert_array_equal(scores[0], scores[1])
    assert not np.array_equal(scores[0], scores[2])


def test_weights_of_events_steer_the_training(x):
    labels = np.repeat([1.0, 0.0], 25).astype(np.float32)
    keras.utils.set_random_seed(1)
    model = build_dense(6, hidden=())
    model.compile(optimizer=keras.optimizers.Adam(0.1), loss="binary_crossentropy")
    model.fit(x, labels, sample_weight=np.where(labels == 1, 1.0, 0.0), epochs=30, batch_size=50, verbose=0)
    assert outputs(model, x).mean() > 0.9  # the background, of weight zero, has no say


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_inputs": 0}, "n_inputs and the units of each layer must be at least 1, got 0"),
        ({"n_inputs": 6, "hidden": (64, 0)}, r"got 6 and \(64, 0\)"),
        ({"n_inputs": 6, "dropout": 1.0}, r"dropout is a fraction of units in \[0, 1\), got 1.0"),
        ({"n_inputs": 6, "n_classes": 1}, "n_classes must be at least 2"),
    ],
)
def test_a_wrong_size_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        build_dense(**arguments)


@pytest.mark.parametrize("missing", ["keras", "tensorflow"])
def test_a_missing_framework_names_the_extra(monkeypatch, missing):
    def refuse(name):
        raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)

    monkeypatch.setattr(keras_nets.importlib, "import_module", refuse)
    with pytest.raises(ImportError, match=rf'{missing} is missing: pip install "coursekit\[keras\]"'):
        build_dense(6)


def test_importing_the_builders_loads_no_framework():
    code = "import sys, coursekit.nets.keras_nets; print({'keras', 'tensorflow', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# --- images -----------------------------------------------------------------------------------------------------------

#: The study's pixels, and the parameters of its three networks, layer by layer.
SHAPE = (16, 22, 1)
PIXELS = 16 * 22
STUDY = {
    build_image_logistic: PIXELS + 1,
    build_image_mlp: (PIXELS + 1) * 100 + 2 * (100 + 1) * 100 + 100 + 1,
    # Two poolings leave 4 x 5 pixels of 64 filters.
    build_cnn: (9 * 1 + 1) * 32
    + (9 * 32 + 1) * 32
    + (9 * 32 + 1) * 64
    + (9 * 64 + 1) * 64
    + (4 * 5 * 64 + 1) * 300
    + 300
    + 1,
}


def pictures(n, shape=SHAPE, seed=1):
    """Sparse images of integers, as those of jets."""
    images = np.random.default_rng(seed).random((n, *shape)) ** 8
    return np.rint(255 * images / images.max(axis=(1, 2, 3), keepdims=True)).astype(np.uint8)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("build", STUDY)
def test_the_networks_of_the_study_have_the_parameters_counted_by_hand(build):
    assert build(SHAPE).count_params() == STUDY[build]


def test_other_sizes_have_the_parameters_counted_by_hand():
    assert build_image_logistic((5, 7, 3)).count_params() == 5 * 7 * 3 + 1
    assert build_image_mlp((5, 7, 3), hidden=(4,)).count_params() == (105 + 1) * 4 + 4 + 1
    three = build_cnn((40, 41, 2), filters=(4, 5, 6), dense=7)  # 40 x 41 -> 20 x 20 -> 10 x 10 -> 5 x 5
    convolutions = (18 + 1) * 4 + (36 + 1) * 4 + (36 + 1) * 5 + (45 + 1) * 5 + (45 + 1) * 6 + (54 + 1) * 6
    assert three.count_params() == convolutions + (5 * 5 * 6 + 1) * 7 + 7 + 1


@pytest.mark.parametrize("build", STUDY)
def test_images_make_scores(build):
    images = pictures(20)
    score = outputs(build(SHAPE, scale=1 / 255), images)
    assert score.shape == (20, 1)
    assert score.dtype == np.float32
    assert ((score > 0) & (score < 1)).all()
    assert np.ptp(score) > 0


def test_logistic_regression_is_what_numpy_computes():
    images = pictures(20)
    model = build_image_logistic(SHAPE, scale=1 / 255)
    w, b = model.get_weights()
    expected = sigmoid((images.astype(float)[..., 0] / 255 * w.reshape(16, 22)).sum(axis=(1, 2)) + b)
    np.testing.assert_allclose(outputs(model, images)[:, 0], expected, rtol=1e-4)


def test_the_mlp_is_what_numpy_computes():
    images = pictures(20)
    model = build_image_mlp(SHAPE, scale=1 / 255, hidden=(4, 3), dropout=0.5)
    w0, b0, w1, b1, w2, b2 = model.get_weights()
    hidden = np.tanh(np.tanh(images.reshape(20, -1) / 255 @ w0 + b0) @ w1 + b1)
    np.testing.assert_allclose(outputs(model, images), sigmoid(hidden @ w2 + b2), rtol=1e-4)


def test_the_cnn_is_what_numpy_computes():
    images = pictures(5, shape=(6, 9, 2))
    model = build_cnn((6, 9, 2), scale=1 / 255, filters=(3,), dense=4)
    k0, b0, k1, b1, w2, b2, w3, b3 = model.get_weights()

    def convolved(x, kernels, bias):  # (h, w, c) -> (h, w, n); zeros outside the image
        sums = [sum(correlate2d(x[..., c], k[..., c], "same") for c in range(x.shape[2])) for k in kernels]
        return np.maximum(np.stack(sums, axis=-1) + bias, 0)

    for image, score in zip(images / 255, outputs(model, images)[:, 0], strict=True):
        x = convolved(convolved(image, np.moveaxis(k0, 3, 0), b0), np.moveaxis(k1, 3, 0), b1)
        pooled = x[:, :8].reshape(3, 2, 4, 2, 3).max(axis=(1, 3))  # the ninth column has no partner
        hidden = np.maximum(pooled.ravel() @ w2 + b2, 0)
        np.testing.assert_allclose(score, sigmoid(hidden @ w3 + b3)[0], rtol=1e-4)


@pytest.mark.parametrize("build", STUDY)
def test_scale_is_what_pixels_are_multiplied_with(build):
    images = pictures(20)
    scaled, plain = build(SHAPE, scale=1 / 255), build(SHAPE)
    plain.set_weights(scaled.get_weights())
    np.testing.assert_allclose(outputs(plain, images.astype(np.float32) / 255), outputs(scaled, images), rtol=1e-5)


def test_dropout_of_images_acts_in_training_alone():
    images = pictures(20)
    for model in (build_image_mlp(SHAPE, scale=1 / 255), build_cnn(SHAPE, scale=1 / 255)):
        np.testing.assert_array_equal(outputs(model, images), outputs(model, images))
        assert not np.array_equal(keras.ops.convert_to_numpy(model(images, training=True)), outputs(model, images))


def test_a_cnn_learns_what_logistic_regression_cannot():
    # Two bright pixels somewhere, side by side (signal) or one above the other; a single pixel tells next to nothing.
    rng = np.random.default_rng(1)
    labels = np.arange(2000) % 2
    row, column = rng.integers(0, 7, (2, 2000))
    images = np.zeros((2000, 8, 8, 1), np.float32)
    images[np.arange(2000), row, column] = 1
    images[np.arange(2000), row + 1 - labels, column + labels] = 1
    scores = {}
    for build, settings in ((build_image_logistic, {}), (build_cnn, {"filters": (8,), "dense": 16})):
        keras.utils.set_random_seed(1)
        model = build((8, 8, 1), **settings)
        model.compile(optimizer=keras.optimizers.Adam(0.01), loss="binary_crossentropy")
        model.fit(images[:1500], labels[:1500], epochs=8, batch_size=50, verbose=0)
        scores[build] = np.mean((outputs(model, images[1500:])[:, 0] > 0.5) == labels[1500:])
    assert scores[build_cnn] > 0.95
    assert scores[build_image_logistic] < 0.75


@pytest.mark.parametrize("build", STUDY)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shape": (16, 22)}, r"shape must be \(H, W, C\), the channels last, got \(16, 22\): images\[..., None\]"),
        ({"shape": (100, 16, 22, 1)}, r"shape must be \(H, W, C\), .* got \(100, 16, 22, 1\)"),
        ({"shape": (0, 22, 1)}, r"sides of at least \d pixels for this network, got \(0, 22, 1\)"),
        ({"shape": (16, 22, 0)}, r"shape must be \(H, W, C\) .* got \(16, 22, 0\)"),
        ({"shape": SHAPE, "scale": 0.0}, "scale must be above zero, got 0.0"),
        ({"shape": SHAPE, "scale": float("nan")}, "scale must be above zero, got nan"),
    ],
)
def test_a_wrong_image_is_refused(build, arguments, message):
    with pytest.raises(ValueError, match=message):
        build(**arguments)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"filters": ()}, r"one pair of filters is needed, got \(\)"),
        ({"filters": (8, 0)}, r"filters and dense must be at least 1, .* got \(8, 0\)"),
        ({"dense": 0}, "filters and dense must be at least 1"),
        ({"dropout": 1.0}, r"dropout is a fraction of units in \[0, 1\), got 1.0"),
        ({"filters": (8, 8, 8, 8, 8)}, r"sides of at least 32 pixels for this network, got \(16, 22, 1\)"),
    ],
)
def test_a_wrong_cnn_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        build_cnn(SHAPE, **settings)


def test_a_wrong_mlp_is_refused():
    with pytest.raises(ValueError, match=r"got 352 and \(100, 0\)"):
        build_image_mlp(SHAPE, hidden=(100, 0))
    with pytest.raises(ValueError, match=r"dropout is a fraction of units in \[0, 1\), got -0.1"):
        build_image_mlp(SHAPE, dropout=-0.1)


@pytest.mark.parametrize(("gpu", "policy"), [(True, "mixed_float16"), (False, "float32")])
def test_precision_follows_the_device(monkeypatch, gpu, policy):
    monkeypatch.setattr(keras_nets, "_has_gpu", lambda backend: gpu)
    try:
        assert choose_precision() == policy
        assert keras.mixed_precision.dtype_policy().name == policy
        model = build_cnn((8, 8, 1), filters=(4,), dense=8)
        assert outputs(model, pictures(3, (8, 8, 1))).dtype == np.float32  # the score is never float16
        assert {weight.dtype for weight in model.weights} == {"float32"}
    finally:
        keras.mixed_precision.set_global_policy("float32")


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")
def test_the_networks_train_on_the_torch_backend():
    code = f"""
import json, keras, numpy as np
from coursekit.nets.keras_nets import *
assert keras.backend.backend() == "torch" and choose_precision() in ("float32", "mixed_float16")
rng = np.random.default_rng(1)
labels = np.arange(64) % 2
images = rng.integers(0, 50, (64, *{SHAPE})).astype(np.uint8)
images[:, 4] += (200 * labels[:, None, None]).astype(np.uint8)
seen = []
for build in (build_image_logistic, build_image_mlp, build_cnn):
    keras.utils.set_random_seed(1)
    model = build({SHAPE}, scale=1 / 255)
    model.compile(optimizer=keras.optimizers.Adam(0.003), loss="binary_crossentropy")
    model.fit(images, labels, epochs=5, batch_size=16, verbose=0)
    score = model.predict(images, verbose=0)[:, 0]
    seen.append([model.count_params(), float(score[labels == 1].mean() - score[labels == 0].mean())])
print(json.dumps(seen))
"""
    environment = os.environ | {"KERAS_BACKEND": "torch"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    counted, learned = zip(*json.loads(done.stdout.splitlines()[-1]), strict=True)
    assert list(counted) == list(STUDY.values())
    assert min(learned) > 0.1
