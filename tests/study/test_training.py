"""One training of a study: what a plain loop does, the same twice, mistakes refused."""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from coursekit.metrics import auc  # noqa: E402
from coursekit.nets.keras_nets import build_dense  # noqa: E402
from coursekit.study.dataset import TEST, TRAINING, VALIDATION, Dataset  # noqa: E402
from coursekit.study.draws import places  # noqa: E402
from coursekit.study.outcome import Trained, Training  # noqa: E402
from coursekit.study.settings import Study  # noqa: E402
from coursekit.study.training import combine, epoch_scores, load_network, summary, train_one  # noqa: E402
from coursekit.study.training.keras_fit import optimiser_of  # noqa: E402
from coursekit.study.training.watch import Watch  # noqa: E402
from coursekit.training import one_cycle  # noqa: E402

# Keras' own, where it writes a file.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def study(n_classes=2, **train):
    names = ("background", "c", "signal") if n_classes == 3 else ("background", "signal")
    signals = {name: {"files": ["toy.root"], "label": name} for name in names[1:]}
    events = {"features": ["a", "b", "c"], "signals": signals, "scale": "none"}
    events["backgrounds"] = {"background": {"files": ["toy.root"], "label": "background"}}
    events |= train.pop("input", {})
    return Study(job={"name": "toy"}, input=events, train={"epochs": 2} | train)


def events(settings, n=600, n_data=20, seed=1, **changes):
    """Classes that lie apart in three columns, by a Gaussian's width; data in the middle."""
    rng, classes = np.random.default_rng(seed), settings.input.class_names
    labels = np.append(np.arange(n) % len(classes), np.full(n_data, -1))
    x = rng.normal(np.where(labels < 0, 0.5, labels)[:, None] * [1.0, 0.5, 0.0], 1).astype(np.float32)
    k, simulated = settings.train.folds, labels >= 0
    parts = rng.choice([TRAINING, VALIDATION, TEST], len(labels), p=[0.6, 0.2, 0.2])
    folds = rng.integers(k, size=len(labels)) if k else 0
    content = {
        "study": settings,
        "columns": dict(zip("abc", x.T, strict=True)),
        "features": ("a", "b", "c"),
        "classes": classes,
        "labels": labels,
        "targets": None,
        "samples": tuple(settings.input.samples()),
        "sample": np.maximum(labels, 0).astype(np.int16),
        "weights": rng.uniform(0.5, 1.5, len(labels)),
        "parts": np.where(simulated, TEST if k else parts, -1).astype(np.int8),
        "folds": np.where(simulated, folds, -1).astype(np.int16),
        "places": places("toy", 0, 0, len(labels)),
        "flow": None,
    }
    return Dataset(**content | changes)


def train(settings, seed=1, fold=None, report=None, **changes):
    return train_one(settings, events(settings, **changes), seed, fold, report)


SMALL = {"options": {"hidden": [8], "dropout": 0.2}, "batch_size": 64}


def test_it_is_the_training_of_lesson_4_bit_by_bit():
    settings = study(
        **SMALL, epochs=12, early_stopping={"patience": 1, "min_delta": 0.01}, optimiser={"learning_rate": 0.03}
    )
    data = events(settings)
    view, table, y = data.view(), np.stack([*data.columns.values()], axis=1), data.labels.astype(float)
    keras.utils.set_random_seed(5)
    model = build_dense(3, (8,), dropout=0.2)
    model.compile(keras.optimizers.Adam(0.03), "binary_crossentropy", steps_per_execution=3)
    learned, validation = ((table[rows], y[rows], data.weights[rows]) for rows in (view.training, view.validation))
    stop = keras.callbacks.EarlyStopping(patience=1, min_delta=0.01, restore_best_weights=True)
    fitted = model.fit(
        *learned[:2], sample_weight=learned[2], validation_data=validation, epochs=12, batch_size=64, callbacks=[stop],
        verbose=0,
    )  # fmt: skip
    mine = train(settings, seed=5)
    assert len(fitted.history["loss"]) < 12  # it did stop
    for name, values in fitted.history.items():
        assert mine.training.history[name] == values
    assert mine.training.best_epoch == stop.best_epoch + 1
    np.testing.assert_array_equal(mine.scores, keras.ops.convert_to_numpy(model(table, training=False)))
    assert mine.scores.dtype == np.float32


def test_histories_hold_exact_weighted_accuracy_and_auc_and_networks_are_kept(tmp_path):
    settings, told = study(**SMALL, keep="last", save_every=1), []
    data = events(settings)
    mine = train(settings, report=lambda *measured: told.append(measured))
    rows = data.view().validation
    labels, score, w = data.labels[rows], mine.scores[rows, 0], data.weights[rows]
    assert mine.training.history["val_auc"][-1] == pytest.approx(auc(labels, score, w).value, rel=1e-6)
    right = (score > 0.5) == labels
    assert mine.training.history["val_accuracy"][-1] == pytest.approx((w * right).sum() / w.sum(), rel=1e-9)
    assert sorted(mine.training.history) == ["accuracy", "auc", "loss", "val_accuracy", "val_auc", "val_loss"]
    assert json.loads(mine.files["history.json"])["history"] == mine.training.history
    assert [epoch for epoch, _ in told] == [1, 2]
    assert [measured["val_auc"] for _, measured in told] == mine.training.history["val_auc"]
    np.testing.assert_array_equal(told[-1][1]["scores"], mine.scores[rows])
    # What was kept is loaded again, and says the same.
    table = data.view().inputs(np.arange(620))
    np.testing.assert_array_equal(load_network(mine.files)(table), mine.scores)
    assert not np.array_equal(load_network(mine.files, epoch=1)(table), mine.scores)
    with pytest.raises(FileNotFoundError, match=r"no epoch_003.keras; there are epoch_001.keras, epoch_002.keras, net"):
        load_network(mine.files, epoch=3)
    with pytest.raises(ValueError, match=r"network.keras cannot be read"):
        load_network(mine.files | {"network.keras": mine.files["network.keras"][:500]})
    folder = tmp_path / "models" / "seed1"
    folder.mkdir(parents=True)
    for name, content in mine.files.items():
        (folder / name).write_bytes(content)
    outcome = epoch_scores(settings, data, folder.parent)
    np.testing.assert_array_equal(outcome.scores[0], mine.scores)
    assert outcome.trainings == (mine.training,)


@pytest.mark.parametrize("monitor", ["loss", "auc"])
def test_the_watch_stops_and_keeps_as_keras_does(monitor):
    rng = np.random.default_rng(1)
    for patience in (0, 1, 3):
        values = (rng.normal(size=12) + np.linspace(0, 1, 12)).tolist()
        oracle = keras.callbacks.EarlyStopping(
            f"val_{monitor}", 0.2, patience, mode={"loss": "min", "auc": "max"}[monitor], restore_best_weights=True
        )
        oracle.set_model(SimpleNamespace(stop_training=False, get_weights=list))
        oracle.on_train_begin()
        watch = Watch(study(early_stopping={"monitor": monitor, "min_delta": 0.2, "patience": patience}))
        for epoch, value in enumerate(values):
            oracle.on_epoch_end(epoch, {f"val_{monitor}": value})
            watch.epoch({"loss": 0.0, "val_loss": 0.0, f"val_{monitor}": value})
            assert watch.stops == oracle.model.stop_training
            assert watch.best_epoch == oracle.best_epoch + 1
            if watch.stops:
                break


def test_the_last_epoch_is_kept_where_it_is_asked_for():
    watch = Watch(study(keep="last"))
    assert [watch.epoch({"loss": 1, "val_loss": loss}) for loss in (0.3, 0.5, 0.4)] == [True] * 3
    assert watch.best_epoch == 3


def test_a_loss_that_is_no_number_ends_the_training():
    with pytest.raises(FloatingPointError, match=r"loss of epoch 1 .*learning_rate \(1e\+30\)"):
        train(study(**SMALL, optimiser={"name": "sgd", "learning_rate": 1e30}))


def test_several_classes():
    mine = train(study(n_classes=3, **SMALL))
    np.testing.assert_allclose(mine.scores.sum(axis=1), 1, rtol=1e-5)
    assert mine.scores.shape == (620, 3)
    assert 0.5 < mine.training.history["val_auc"][-1] < 1


def with_target(settings, n=1500, **changes):
    data = events(settings, n)
    return dataclasses.replace(data, targets=500 + 100 * data.columns["a"].astype(float), **changes)


REGRESSION = {"task": "regression", "batch_size": 32, "epochs": 8, "input": {"target": "t"}}


def test_a_regression_answers_in_the_units_of_its_target():
    settings = study(**REGRESSION, options={"hidden": [16]}, loss="huber", optimiser={"learning_rate": 0.02})
    data = with_target(settings)
    mine = train_one(settings, data, seed=1)
    test = data.parts == TEST
    assert np.std(mine.scores[test, 0] - data.targets[test]) < 0.2 * np.std(data.targets)
    assert sorted(mine.training.history) == ["loss", "val_loss"]
    found = summary(data, combine(data, [mine]))
    assert found["measure"] == "rmse"
    assert 0 < found["mean"] < 25


def test_mixtures_are_told_apart_without_labels():
    settings = study(**SMALL | {"task": "cwola"}, optimiser={"learning_rate": 0.02}, input={"mixtures": [0.1, 0.9]})
    data = events(settings, n=1500)
    found = summary(data, combine(data, [train_one(settings, data, seed=1)]))
    assert found["mean"] > 0.7  # of the true classes, which it has not seen


def test_pictures():
    settings = study(network="cnn", options={"filters": 2, "dense": 4}, batch_size=64, epochs=1)
    data = events(settings, n=200)
    bright = (data.labels > 0)[:, None, None, None] + np.random.default_rng(1).normal(size=(220, 8, 8, 1))
    data = dataclasses.replace(data, images=bright.astype(np.float32))
    assert train_one(settings, data, seed=1).scores.shape == (220, 1)
    assert keras.mixed_precision.dtype_policy().name == "float32"
    with pytest.raises(ValueError, match=r"dense takes tables.*pictures \(H, W, C\): take cnn"):
        train_one(study(batch_size=32), data, seed=1)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("one-cycle", one_cycle),
        ("cosine", lambda progress: 0.5 + 0.5 * np.cos(np.pi * progress)),
        ("constant", lambda progress: 1 / (1 + 0.1 * 100 * progress)),
    ],
)
def test_learning_rates_along_a_training(schedule, expected):
    settings = {"learning_rate": 0.2, "schedule": schedule, "decay": 0.1 if schedule == "constant" else 0}
    optimiser = optimiser_of(study(optimiser=settings).train.optimiser, n_steps=100)
    for step in range(0, 100, 9):
        optimiser.iterations.assign(step)
        assert float(optimiser.learning_rate) == pytest.approx(0.2 * expected(step / 100), rel=1e-4)


def test_optimisers_have_what_the_file_says():
    sgd = {"name": "sgd", "learning_rate": 0.1, "momentum": 0.9, "nesterov": True}
    optimiser = optimiser_of(study(optimiser=sgd).train.optimiser, 10)
    assert (type(optimiser).__name__, optimiser.momentum, optimiser.nesterov) == ("SGD", 0.9, True)
    optimiser = optimiser_of(study(optimiser={"name": "adamw", "weight_decay": 0.01}).train.optimiser, 10)
    assert (type(optimiser).__name__, optimiser.weight_decay) == ("AdamW", 0.01)


# --- folds ------------------------------------------------------------------------------------------------------------


def test_the_score_of_an_event_is_that_of_a_network_that_has_not_seen_it():
    data = events(study(folds=4), n=300, n_data=10)
    k, trained = 4, []
    for fold in (2, 0, 3, 1):
        view = data.view(fold)
        scores = np.full((310, 1), 10.0**fold, np.float32)  # each network writes its own digit
        assert not {*view.test} & ({*view.training} | {*view.validation})
        trained.append(Trained(Training(1, fold, {}, 1), scores, {}))
    outcome = combine(data, trained)
    for event in range(300):
        (fold,) = (f for f in range(k) if event in data.view(f).test)
        assert outcome.scores[0, event, 0] == 10.0**fold
        seen = [10.0**f for f in range(k) if event in data.view(f).training]
        assert outcome.seen[0, event, 0] == pytest.approx(np.mean(seen))
    np.testing.assert_allclose(outcome.scores[0, 300:, 0], 1111 / 4)
    assert np.isnan(outcome.seen[0, 300:]).all()
    assert [training.fold for training in outcome.trainings] == [0, 1, 2, 3]


def test_folds_and_repeats_are_summed_up():
    data = events(study(folds=3))
    rng, history = np.random.default_rng(1), {"loss": [0.6, 0.5], "val_loss": [0.4, 0.7]}
    scores = rng.uniform(size=(6, 620, 1)).astype(np.float32)
    trained = [Trained(Training(1 + i // 3, i % 3, history, 1), scores[i], {}) for i in range(6)]
    outcome = combine(data, trained)
    found = summary(data, outcome)
    values = [row["auc"]["value"] for row in found["trainings"]]
    in_fold = (data.folds == 1) & (data.labels >= 0)
    by_hand = auc(data.labels[in_fold], scores[4, in_fold, 0].astype(float), data.weights[in_fold])
    row = {"seed": 2, "fold": 1, "epochs": 2, "best_epoch": 1, "loss": 0.6, "val_loss": 0.4, "auc": by_hand._asdict()}
    assert found["trainings"][4] == row
    assert (found["mean"], found["spread"]) == (np.mean(values), np.std(values, ddof=1))


@pytest.mark.parametrize("keys", [[], [(1, 0), (1, 1), (2, 0)], [(1, None), (1, None)], [(1, 1), (1, 2)]])
def test_trainings_that_do_not_belong_together_are_refused(keys):
    one = np.zeros((620, 1), np.float32)
    with pytest.raises(ValueError, match=r"no training|missing, or there twice"):
        combine(events(study()), [Trained(Training(*key, {}, 1), one, {}) for key in keys])


# --- what cannot be learned -------------------------------------------------------------------------------------------


def one_class(data):
    return dataclasses.replace(data, labels=np.where((data.parts == VALIDATION), 0, data.labels))


def cancelling(data):
    return dataclasses.replace(data, weights=np.where(data.labels == 1, 0.0, data.weights))


@pytest.mark.parametrize(
    ("change", "settings", "message"),
    [
        (lambda data: data, {"batch_size": 5000}, r"batch_size is 5000, and the training part has \d+ events"),
        (one_class, SMALL, "the validation part has no event of the class signal"),
        (cancelling, SMALL, "the training weights of the class signal are all zero"),
        (lambda d: dataclasses.replace(d, targets=np.ones(620)), REGRESSION, "target is 1 for all"),
    ],
)
def test_what_cannot_be_learned_is_refused(change, settings, message):
    settings = study(**settings)
    with pytest.raises(ValueError, match=message):
        train_one(settings, change(events(settings)), 1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"optimiser": {"momentum": 0.9}}, "momentum belongs to name: sgd"),
        ({"optimiser": {"name": "sgd", "nesterov": True}}, "say momentum: 0.9"),
        ({"optimiser": {"weight_decay": 0.1}}, "say adamw"),
        ({"optimiser": {"decay": 0.1, "schedule": "cosine"}}, "keep one"),
        ({"loss": "mae"}, "loss: mae is none for task: classification: take cross_entropy or mse"),
        ({"loss": "mse"}, "teaches classes to an own network, module:function; dense gives probabilities"),
        ({"loss": "mse", "network": "nets:mine", "n_classes": 3}, "0 and 1, but there are background, c, signal"),
        ({"task": "regression", "early_stopping": {"monitor": "auc"}}, "a regression has no auc"),
        ({"task": "regression", "class_weights": {"signal": 2}}, "no classes"),
        ({"network": "boosted_trees", "epochs": 30}, "epochs: boosted trees have none"),
        ({"network": "boosted_trees", "epochs": 10, "task": "regression", "loss": "huber"}, "no huber"),
        ({"options": {"droput": 0.1}}, "did you mean 'dropout'"),
        ({"network": "deepsets"}, "did you mean 'deep_sets'"),
    ],
)
def test_dead_keys_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        study(**settings)
