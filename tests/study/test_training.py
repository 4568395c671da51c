"""One training of a study: what a plain loop does, the same twice, mistakes refused."""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from coursekit.metrics import auc  # noqa: E402
from coursekit.nets.keras_nets import build_cnn, build_dense  # noqa: E402
from coursekit.study.dataset import TEST, TRAINING, VALIDATION, Dataset, View  # noqa: E402
from coursekit.study.outcome import Trained, Training  # noqa: E402
from coursekit.study.settings import Study  # noqa: E402
from coursekit.study.training import combine, summary, train_one  # noqa: E402
from coursekit.study.training.keras_fit import optimiser_of  # noqa: E402
from coursekit.study.training.watch import Watch  # noqa: E402
from coursekit.training import one_cycle  # noqa: E402

# Keras' own, where it writes a file.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


class Events(Dataset):
    """Made up; fold f tests its own events, validates on those of the next fold, trains on the others."""

    def view(self, fold=None):
        if fold is None:
            parts = [np.flatnonzero(self.parts == part) for part in (TRAINING, VALIDATION, TEST)]
        else:
            k, simulated = self.folds.max() + 1, self.labels >= 0
            role = (self.folds - fold) % k  # 0: test, 1: validation
            parts = [np.flatnonzero(simulated & chosen) for chosen in (role > 1, role == 1, role == 0)]
        labels = self.columns.get("mixture", self.labels)
        return Seen(self, *parts, labels, np.abs(self.weights), None, {})


class Seen(View):
    def inputs(self, rows, evaluation=False):
        return self.table[rows]

    @property
    def table(self):
        return self.dataset.columns["x"]


def events(n=600, n_classes=2, n_data=20, seed=1, **changes):
    """Classes that lie apart in three columns, by a Gaussian's width; data in the middle."""
    rng = np.random.default_rng(seed)
    labels = np.append(np.arange(n) % n_classes, np.full(n_data, -1))
    x = rng.normal(np.where(labels < 0, 0.5, labels)[:, None] * [1.0, 0.5, 0.0], 1).astype(np.float32)
    simulated = labels >= 0
    parts = np.where(simulated, rng.choice([TRAINING, VALIDATION, TEST], len(labels), p=[0.6, 0.2, 0.2]), -1)
    content = {
        "study": study(),
        "columns": {"x": x},
        "features": ("a", "b", "c"),
        "classes": ("background", "c", "signal")[:n_classes] if n_classes == 3 else ("background", "signal"),
        "labels": labels,
        "targets": None,
        "samples": ("all",),
        "sample": np.zeros(len(labels), np.int16),
        "weights": rng.uniform(0.5, 1.5, len(labels)),
        "parts": parts.astype(np.int8),
        "folds": np.zeros(len(labels), np.int8),
        "places": np.arange(len(labels), dtype=np.uint64),
        "flow": None,
    }
    return Events(**content | changes)


def study(**train):
    samples = {section: {section: {"files": ["toy.root"]}} for section in ("signals", "backgrounds")}
    task = {"regression": {"target": "y"}, "cwola": {"mixtures": [0.85, 0.15]}}.get(train.get("task"), {})
    return Study(
        job={"name": "toy"}, input={"features": ["a", "b", "c"], **samples, **task}, train={"epochs": 2} | train
    )


SMALL = {"options": {"hidden": [8], "dropout": 0.2}, "batch_size": 64}


def test_it_is_the_training_of_lesson_4_bit_by_bit():
    data = events()
    view = data.view()
    keras.utils.set_random_seed(5)
    model = build_dense(3, (8,), dropout=0.2)
    model.compile(keras.optimizers.Adam(0.03), "binary_crossentropy", steps_per_execution=3)
    y = data.labels.astype(float)
    train, validation = ((view.table[rows], y[rows], view.weights[rows]) for rows in (view.training, view.validation))
    stop = keras.callbacks.EarlyStopping(patience=1, min_delta=0.01, restore_best_weights=True)
    fitted = model.fit(
        *train[:2], sample_weight=train[2], validation_data=validation, epochs=12, batch_size=64, callbacks=[stop],
        verbose=0,
    )  # fmt: skip
    stopping = {"patience": 1, "min_delta": 0.01}
    mine = train_one(
        study(**SMALL, epochs=12, early_stopping=stopping, optimiser={"learning_rate": 0.03}, save_every=2),
        data,
        seed=5,
    )
    assert len(fitted.history["loss"]) < 12  # it did stop
    for name, values in fitted.history.items():
        assert mine.training.history[name] == values
    assert mine.training.best_epoch == stop.best_epoch + 1
    np.testing.assert_array_equal(mine.scores, keras.ops.convert_to_numpy(model(view.table, training=False)))
    assert mine.scores.dtype == np.float32


def test_histories_hold_exact_weighted_accuracy_and_auc():
    data, told = events(), []
    mine = train_one(study(**SMALL, keep="last"), data, 1, report=lambda *measured: told.append(measured))
    rows = data.view().validation
    labels, score, w = data.labels[rows], mine.scores[rows, 0], data.weights[rows]
    assert mine.training.history["val_auc"][-1] == pytest.approx(auc(labels, score, w).value, rel=1e-6)
    right = (score > 0.5) == labels
    assert mine.training.history["val_accuracy"][-1] == pytest.approx((w * right).sum() / w.sum(), rel=1e-9)
    assert sorted(mine.training.history) == ["accuracy", "auc", "loss", "val_accuracy", "val_auc", "val_loss"]
    assert json.loads(mine.files["history.json"])["history"] == mine.training.history
    assert [epoch for epoch, _ in told] == [1, 2]
    assert [measured["val_auc"] for _, measured in told] == mine.training.history["val_auc"]


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
            watch.epoch({"loss": 0.0, "val_loss": 0.0, f"val_{monitor}": value}, None)
            assert watch.stops == oracle.model.stop_training
            assert watch.best_epoch == oracle.best_epoch + 1
            if watch.stops:
                break


def test_the_last_epoch_is_kept_where_it_is_asked_for():
    watch = Watch(study(keep="last"))
    assert [watch.epoch({"loss": 1, "val_loss": loss}, None) for loss in (0.3, 0.5, 0.4)] == [True] * 3
    assert watch.best_epoch == 3


def test_a_loss_that_is_no_number_ends_the_training():
    with pytest.raises(FloatingPointError, match=r"loss of epoch 1 .*learning_rate \(1e\+30\)"):
        train_one(study(**SMALL, optimiser={"name": "sgd", "learning_rate": 1e30}), events(), 1)


def test_several_classes():
    mine = train_one(study(**SMALL), events(n_classes=3), seed=1)
    np.testing.assert_allclose(mine.scores.sum(axis=1), 1, rtol=1e-5)
    assert mine.scores.shape == (620, 3)
    assert 0.5 < mine.training.history["val_auc"][-1] < 1


def test_a_regression_answers_in_the_units_of_its_target():
    data = events(n=1500)
    target = 500 + 100 * data.columns["x"][:, 0].astype(float)
    data = dataclasses.replace(data, targets=target)
    settings = {"task": "regression", "options": {"hidden": [16]}, "batch_size": 32, "epochs": 8}
    mine = train_one(study(**settings, loss="huber", optimiser={"learning_rate": 0.02}), data, seed=1)
    test = data.parts == TEST
    assert np.std(mine.scores[test, 0] - target[test]) < 0.2 * np.std(target)
    assert sorted(mine.training.history) == ["loss", "val_loss"]
    found = summary(data, combine(data, [mine]))
    assert found["measure"] == "rmse"
    assert 0 < found["mean"] < 25


def test_mixtures_are_told_apart_without_labels():
    data = events(n=900)
    mixture = np.where(np.random.default_rng(3).random(920) < 0.15, 1 - data.labels, data.labels)
    data.columns["mixture"] = np.where(data.labels < 0, -1, mixture)
    mine = train_one(study(**SMALL | {"task": "cwola"}, optimiser={"learning_rate": 0.02}), data, seed=1)
    found = summary(data, combine(data, [mine]))
    assert found["mean"] > 0.7  # of the true classes, which it has not seen


def test_pictures():
    data = events(n=200)
    bright = (data.labels > 0)[:, None, None, None] + np.random.default_rng(1).normal(size=(220, 8, 8, 1))
    data.columns["x"] = bright.astype(np.float32)
    settings = {"network": "cnn", "options": {"filters": 2, "dense": 4}, "batch_size": 64, "epochs": 1}
    mine = train_one(study(**settings), data, seed=1)
    assert mine.scores.shape == (220, 1)
    assert keras.mixed_precision.dtype_policy().name == "float32"
    with pytest.raises(ValueError, match=r"dense takes tables.*pictures \(H, W, C\): take cnn"):
        train_one(study(batch_size=32), data, seed=1)
    assert (
        build_cnn((8, 8, 1), filters=2, dense=4).count_params()
        == (9 + 1) * 2 + (18 + 1) * 2 + (18 + 1) * 4 + (36 + 1) * 4 + (2 * 2 * 4 + 1) * 4 + 5
    )


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
    data = events(n=300, n_data=10, folds=(np.arange(310) % 4).astype(np.int8))
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
    data = events(n=600, folds=np.append(np.arange(600) // 2 % 3, np.zeros(20)).astype(np.int8))
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
        combine(events(), [Trained(Training(*key, {}, 1), one, {}) for key in keys])


# --- what cannot be learned -------------------------------------------------------------------------------------------


def one_class(data):
    return dataclasses.replace(data, labels=np.where((data.parts == VALIDATION), 0, data.labels))


def cancelling(data):
    return dataclasses.replace(data, weights=np.where(data.labels == 1, 0.0, data.weights))


@pytest.mark.parametrize(
    ("change", "settings", "message"),
    [
        (lambda data: data, {"batch_size": 5000}, r"batch_size is 5000, and the training part has \d+ events"),
        (one_class, SMALL, r"validation part has \d+ events and none of class signal"),
        (cancelling, SMALL, "weights of class signal in the training part are all zero"),
        (lambda d: dataclasses.replace(d, parts=np.full(620, TEST, np.int8)), SMALL, "training part has no events"),
        (lambda d: dataclasses.replace(d, classes=("signal",)), SMALL, "one class alone, signal"),
        (lambda d: dataclasses.replace(d, targets=np.ones(620)), {"task": "regression"}, "target is 1 for all"),
    ],
)
def test_what_cannot_be_learned_is_refused(change, settings, message):
    with pytest.raises(ValueError, match=message):
        train_one(study(**settings), change(events()), 1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"optimiser": {"momentum": 0.9}}, "momentum belongs to name: sgd"),
        ({"optimiser": {"name": "sgd", "nesterov": True}}, "say momentum: 0.9"),
        ({"optimiser": {"weight_decay": 0.1}}, "say adamw"),
        ({"optimiser": {"decay": 0.1, "schedule": "cosine"}}, "keep one"),
        ({"loss": "mse"}, "loss: mse is none for task: classification: take cross_entropy"),
        ({"task": "regression", "early_stopping": {"monitor": "auc"}}, "a regression has no auc"),
        ({"task": "regression", "class_weights": {"signal": 2}}, "no classes"),
        ({"network": "boosted_trees", "epochs": 30}, "epochs: boosted trees have none"),
        ({"network": "boosted_trees", "epochs": 10, "task": "regression", "loss": "huber"}, "no huber"),
        ({"save_every": 3}, "never reached"),
        ({"options": {"droput": 0.1}}, "did you mean 'dropout'"),
        ({"network": "deepsets"}, "did you mean 'deep_sets'"),
    ],
)
def test_dead_keys_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        study(**settings)
