"""Trainings of a study in PyTorch and by boosted trees: those of the lessons, and networks of one's own."""

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from coursekit.jets.packed import PackedJets  # noqa: E402
from coursekit.nets.deepsets import DeepSets  # noqa: E402
from coursekit.study.dataset import Constituents  # noqa: E402
from coursekit.study.networks import OPTIONS, located, require_options  # noqa: E402
from coursekit.study.training import combine, load_network, summary, train_one  # noqa: E402
from coursekit.training import predict, train  # noqa: E402
from tests.study.test_training import events, study, with_target  # noqa: E402

SETS = {"network": "deep_sets", "options": {"phi": [8], "latent": 8, "rho": [8]}, "batch_size": 64}


def jets(settings, **changes):
    """The events as jets whose constituents spread about the values of their columns; every tenth is empty."""
    data, rng = events(settings, n=300), np.random.default_rng(2)
    counts = rng.integers(1, 6, len(data.labels))
    counts[::10] = 0
    centre = np.repeat(np.stack([*data.columns.values()], axis=1), counts, axis=0)
    features = rng.normal(centre, 0.5).astype(np.float32)
    content = {
        "columns": {},
        "features": ("x", "y", "z"),
        "constituents": Constituents(("x", "y", "z"), features, counts),
    }
    return dataclasses.replace(data, **content | changes)


def of_sets(**settings):
    return study(**SETS | settings, input={"features": [], "constituents": {"features": ["x", "y", "z"]}})


def test_it_is_the_training_of_lesson_12_bit_by_bit():
    one_cycle = {"name": "adamw", "learning_rate": 0.01, "schedule": "one-cycle"}
    settings = of_sets(n_classes=3, optimiser=one_cycle, epochs=3)
    data = jets(settings)
    view = data.view()

    def weighted_loss(logits, targets):
        loss = torch.nn.functional.cross_entropy(logits, targets[:, 0].long(), reduction="none")
        return (targets[:, 1] * loss).mean()

    torch.manual_seed(1)
    net = DeepSets(3, phi=(8,), latent=8, rho=(8,), n_outputs=3)
    parts = []
    for rows in (view.training, view.validation):
        packed = view.inputs(rows)
        targets = np.stack([data.labels[rows], data.weights[rows]], axis=1)
        parts.append(PackedJets(packed.features, packed.counts, targets))
    history = train(net, *parts, epochs=3, batch_size=64, learning_rate=0.01, loss=weighted_loss)
    mine = train_one(settings, data, seed=1)
    assert mine.training.history["val_loss"] == history["val_loss"]
    assert mine.training.history["loss"] == history["loss"]
    logits = torch.from_numpy(predict(net, view.inputs(np.arange(len(data.labels)))))
    np.testing.assert_array_equal(mine.scores, logits.softmax(dim=1).numpy())
    assert 0.5 < mine.training.history["val_auc"][-1] < 1
    np.testing.assert_array_equal(load_network(mine.files)(view.inputs(view.test)), mine.scores[view.test])


def test_the_same_seed_gives_the_same_network_and_another_one_does_not():
    settings = of_sets(save_every=2)
    one, same, other = (train_one(settings, jets(settings), seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.scores, same.scores)
    assert one.training.history == same.training.history
    assert not np.array_equal(one.scores, other.scores)
    assert one.scores.shape == (320, 1)
    assert set(one.files) == {"network.pt", "epoch_002.pt", "history.json", "fitted.json"}


@pytest.mark.parametrize(("asked", "expected"), [(None, 1), ("2", 2), ("-1", 1)])
def test_a_training_has_the_threads_of_a_task_and_leaves_the_others_theirs(monkeypatch, asked, expected):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if asked:
        monkeypatch.setenv("OMP_NUM_THREADS", asked)
    before, seen = torch.get_num_threads(), []
    torch.set_num_threads(3)
    try:
        settings = of_sets(epochs=1)
        train_one(settings, jets(settings), seed=1, report=lambda *_: seen.append(torch.get_num_threads()))
        assert (seen, torch.get_num_threads()) == ([expected], 3)
    finally:
        torch.set_num_threads(before)


def test_early_stopping_by_the_auc():
    stopping = {"monitor": "auc", "min_delta": 1.0, "patience": 2}
    settings = of_sets(epochs=9, early_stopping=stopping, optimiser={"name": "sgd", "momentum": 0.5, "decay": 0.1})
    mine = train_one(settings, jets(settings), seed=1)
    assert (len(mine.training.history["loss"]), mine.training.best_epoch) == (3, 1)  # no AUC grows by one


# --- networks of one's own --------------------------------------------------------------------------------------------

OWN = """
import torch
from beside import ACTIVATION

def mine(n_inputs, n_outputs, units=4):
    return torch.nn.Sequential(torch.nn.Linear(n_inputs, units), ACTIVATION(), torch.nn.Linear(units, n_outputs))

def wide(n_inputs, n_outputs):
    return torch.nn.Linear(n_inputs, 7)

def narrow(n_inputs, n_outputs):
    return torch.nn.Linear(2, n_outputs)

def none(n_inputs, n_outputs):
    return "network"
"""


@pytest.fixture
def own(tmp_path):
    (tmp_path / "beside.py").write_text("from torch.nn import Tanh as ACTIVATION\n", encoding="utf-8")
    (tmp_path / "nets.py").write_text(OWN, encoding="utf-8")
    return lambda name: located(f"nets:{name}", tmp_path)


def test_an_own_network_learns_a_table(own):
    settings = study(network=own("mine"), options={"units": 6}, batch_size=32, optimiser={"learning_rate": 0.02})
    data = events(settings)
    mine = train_one(settings, data, seed=1)
    assert summary(data, combine(data, [mine]))["mean"] > 0.7
    assert ((mine.scores > 0) & (mine.scores < 1)).all()
    np.testing.assert_allclose(load_network(mine.files)(data.view().inputs(np.arange(620))), mine.scores, atol=1e-7)


def test_an_own_network_learns_classes_by_their_squared_distance(own):
    settings = study(network=own("mine"), loss="mse", batch_size=32, keep="last", optimiser={"learning_rate": 0.02})
    data = events(settings)
    mine, rows = train_one(settings, data, seed=1), data.view().validation
    assert mine.scores.min() < 0  # what the network says: nothing bounds it
    squares = (mine.scores[rows, 0].astype(float) - data.labels[rows]) ** 2
    assert mine.training.history["val_loss"][-1] == pytest.approx((squares * data.weights[rows]).mean(), rel=1e-5)
    assert mine.training.history["val_auc"][-1] > 0.7
    np.testing.assert_allclose(load_network(mine.files)(data.view().inputs(np.arange(620))), mine.scores, atol=1e-6)


def test_an_own_network_learns_numbers(own):
    regression = {"task": "regression", "loss": "mae", "input": {"target": "t"}, "optimiser": {"learning_rate": 0.02}}
    settings = study(network=own("mine"), batch_size=32, epochs=8, **regression)
    data = with_target(settings)
    mine = train_one(settings, data, seed=1)
    assert np.abs(mine.scores[:1500, 0] - data.targets[:1500]).mean() < 0.3 * data.targets.std()


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        ("mine", {"unit": 3}, ValueError, "no option 'unit'; did you mean 'units'"),
        ("mein", {}, ImportError, "has no function mein; did you mean 'mine'"),
        ("wide", {}, ValueError, r"gives an array \(8, 7\), and one with 1 output for each event is needed"),
        ("narrow", {}, ValueError, "does not take the events of this study"),
        ("none", {}, TypeError, "a keras.Model or a torch.nn.Module, but str came"),
    ],
)
def test_own_networks_that_do_not_fit_are_refused(own, name, options, error, message):
    settings = study(network=own(name), options=options, batch_size=32)
    with pytest.raises(error, match=message):
        train_one(settings, events(settings), seed=1)


def test_a_module_that_is_not_there_is_named():
    settings = study(network="no_such_nets:mine", batch_size=32)
    with pytest.raises(ImportError, match=r"no module no_such_nets, neither installed nor as no_such_nets.py beside"):
        train_one(settings, events(settings), seed=1)
    with pytest.raises(ValueError, match=r"write module:function"):
        require_options("nets:my-net", [])


# --- boosted trees ----------------------------------------------------------------------------------------------------

TREES = {"network": "boosted_trees", "options": {"max_iter": 30}, "epochs": 10}


def test_it_is_the_training_of_lesson_4_by_trees():
    from sklearn.ensemble import HistGradientBoostingClassifier

    settings, told = study(**TREES), []
    data = events(settings)
    view, x, y = data.view(), np.stack([*data.columns.values()], axis=1), data.labels.astype(float)
    mine = train_one(settings, data, 3, report=lambda *measured: told.append(measured))
    trees = HistGradientBoostingClassifier(
        max_iter=30, max_leaf_nodes=15, max_features=0.7, early_stopping=False, random_state=3
    )
    rows, validation = view.training, view.validation
    trees.fit(x[rows], y[rows], sample_weight=data.weights[rows])
    losses = []
    for stage in trees.staged_predict_proba(x[validation]):
        score = np.clip(stage[:, 1], 0.001, 0.999)
        loss = -(y[validation] * np.log(score) + (1 - y[validation]) * np.log(1 - score))
        losses.append(np.average(loss, weights=data.weights[validation]))
    trees.set_params(max_iter=int(np.argmin(losses)) + 1)
    trees.fit(x[rows], y[rows], sample_weight=data.weights[rows])
    assert mine.training.best_epoch == trees.n_iter_ < 30
    np.testing.assert_allclose(mine.training.history["val_loss"], losses, rtol=1e-6)
    np.testing.assert_array_equal(mine.scores, trees.predict_proba(x)[:, 1:].astype(np.float32))
    np.testing.assert_array_equal(load_network(mine.files)(x), mine.scores)
    ((epoch, measured),) = told
    assert (epoch, measured["scores"].shape) == (trees.n_iter_, (len(validation), 1))


def test_trees_of_several_classes_and_of_numbers():
    settings = study(n_classes=3, **TREES)
    mine = train_one(settings, events(settings), seed=1)
    np.testing.assert_allclose(mine.scores.sum(axis=1), 1, rtol=1e-5)
    settings = study(**TREES, task="regression", input={"target": "t"})
    data = with_target(settings)
    mine = train_one(settings, data, seed=1)
    assert np.std(mine.scores[:1500, 0] - data.targets[:1500]) < 0.4 * data.targets.std()


def test_options_of_trees_that_scikit_learn_refuses():
    settings = study(**TREES | {"options": {"max_leaf_nodes": 1}})
    with pytest.raises(ValueError, match=r"boosted_trees, with options .*max_leaf_nodes"):
        train_one(settings, events(settings), seed=1)


def test_the_names_of_options_are_those_of_the_builders():
    import inspect

    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    from coursekit.nets.deepsets import EnergyFlow
    from coursekit.nets.keras_nets import build_cnn, build_dense

    builders = {"dense": build_dense, "cnn": build_cnn, "deep_sets": DeepSets, "energy_flow": EnergyFlow}
    given = {"n_inputs", "n_features", "shape", "n_classes", "n_outputs", "self"}
    for name, builder in builders.items():
        assert set(OPTIONS[name]) == set(inspect.signature(builder).parameters) - given
    for trees in (HistGradientBoostingClassifier, HistGradientBoostingRegressor):
        assert set(OPTIONS["boosted_trees"]) <= set(inspect.signature(trees).parameters)
