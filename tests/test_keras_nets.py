"""Networks in Keras: counted by hand, compared with NumPy, refused with a reason."""

import importlib.util
import json
import os
import subprocess
import sys

import awkward as ak
import numpy as np
import pandas as pd
import pytest

from coursekit.nets import keras_nets
from coursekit.nets.keras_nets import build_cnn, build_dense, choose_precision, score_of

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


def test_a_network_for_pictures_has_the_parameters_counted_by_hand():
    convolutions = (9 + 1) * 2 + (18 + 1) * 2 + (18 + 1) * 4 + (36 + 1) * 4
    model = build_cnn((8, 12, 1), filters=2, dense=4)
    assert model.count_params() == convolutions + (2 * 3 * 4 + 1) * 4 + 4 + 1
    assert build_cnn((8, 8, 1), filters=2, dense=4, n_classes=3).output_shape == (None, 3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"shape": (8, 8)}, r"\(H, W, C\), at least 4 x 4 pixels with a channel; got \(8, 8\)"),
        ({"shape": (3, 8, 1)}, "at least 4 x 4 pixels"),
        ({"filters": 0}, "filters and dense must be at least 1, got 0 and 300"),
        ({"dropout": 1.0}, "fraction of units"),
        ({"n_classes": 1}, "at least 2"),
    ],
)
def test_impossible_networks_for_pictures_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        build_cnn(**{"shape": (8, 8, 1)} | settings)


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
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.strip() == "set()"


def test_scores_are_those_of_the_model_whatever_the_batch(x):
    model = build_dense(6, dropout=0.5)
    expected = outputs(model, x)[:, 0]
    for size in (1, 7, 50, 1000):
        score = score_of(model, x, batch_size=size)
        assert score.dtype == np.float64
        np.testing.assert_allclose(score, expected, rtol=1e-5)
    assert score_of(model, x[:0]).shape == (0,)
    with pytest.raises(ValueError, match=r"a model with one output, .* it gives \(50, 3\)"):
        score_of(build_dense(6, n_classes=3), x)


@pytest.mark.parametrize(
    "form",
    [
        lambda x: x.astype(">f4"),
        lambda x: x.astype("f8"),
        lambda x: x.tolist(),
        lambda x: pd.DataFrame(x, index=np.arange(len(x))[::-1]),
        lambda x: np.ma.array(x),
        lambda x: ak.Array(x),
    ],
)
def test_scores_of_arrays_of_any_origin(x, form):
    model = build_dense(6)
    np.testing.assert_allclose(score_of(model, form(x)), score_of(model, x), rtol=1e-5)


def test_sizes_may_be_numbers_of_numpy():
    model = build_dense(np.int64(6), hidden=np.array([16]), dropout=np.float32(0.5), n_classes=np.int64(2))
    assert model.count_params() == build_dense(6, hidden=(16,)).count_params()
    with pytest.raises(TypeError, match="float"):
        build_dense(6, hidden=(16.5,))


def test_scores_of_what_is_no_number_are_refused(x):
    model = build_dense(6)
    for inputs, message in [
        (np.ma.array(x, mask=x == x[3, 0]), r"inputs is missing in 1 of \d+ events, first in event 3"),
        (x.astype(str), "expected inputs as an array of numbers, .* got <U32"),
        (ak.Array([[1.0], [1.0, 2.0]]), "expected inputs as an array of numbers, .* got 2 . var . float64"),
    ]:
        with pytest.raises(ValueError, match=message):
            score_of(model, inputs)
    with pytest.raises(FloatingPointError, match=r"NaN for 1 of \d+ events, the first is event 3"):
        score_of(model, np.where(x == x[3, 0], np.nan, x))


# --- the device -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("gpu", "policy"), [(True, "mixed_float16"), (False, "float32")])
def test_precision_follows_the_device(monkeypatch, x, gpu, policy):
    monkeypatch.setattr(keras_nets, "_has_gpu", lambda backend: gpu)
    try:
        assert choose_precision() == policy
        assert keras.mixed_precision.dtype_policy().name == policy
        model = build_dense(6)
        assert outputs(model, x).dtype == np.float32  # the score is never float16
        assert {weight.dtype for weight in model.weights} == {"float32"}
    finally:
        keras.mixed_precision.set_global_policy("float32")


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")
def test_the_networks_train_on_the_torch_backend():
    code = """
import json, keras, numpy as np
from coursekit.nets.keras_nets import build_cnn, build_dense, choose_precision, score_of
assert keras.backend.backend() == "torch" and choose_precision() in ("float32", "mixed_float16")
rng = np.random.default_rng(1)
labels = np.arange(64) % 2
table = (rng.normal(size=(64, 6)) + labels[:, None]).astype(np.float32)
keras.utils.set_random_seed(1)
model = build_dense(6, dropout=0.1)
model.compile(optimizer=keras.optimizers.Adam(0.003), loss="binary_crossentropy")
model.fit(table, labels, epochs=5, batch_size=16, verbose=0)
score = score_of(model, table)
print(json.dumps([model.count_params(), score[labels == 1].mean() - score[labels == 0].mean()]))
"""
    environment = os.environ | {"KERAS_BACKEND": "torch"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", env=environment)
    assert done.returncode == 0, done.stderr
    counted, learned = json.loads(done.stdout.splitlines()[-1])
    assert counted == 6 * 64 + 64 + 2 * (64 * 64 + 64) + 64 + 1
    assert learned > 0.1
