"""A small made-up dataset and what trainings of it might say, so that what is drawn can be tested without training."""

import json

import numpy as np
import pandas as pd
import pytest

from coursekit.study.dataset import DATA, TEST, TRAINING, VALIDATION, Dataset
from coursekit.study.draws import places
from coursekit.study.outcome import Outcome, Training
from coursekit.study.settings import Study


def toy_study(names_of_samples, n_classes, **sections):
    """A study whose samples are these; the first `n_classes` - 1 labels are of backgrounds."""
    signals, backgrounds = {}, {}
    for name, label in names_of_samples.items():
        (signals if label == "signal" or n_classes > 2 else backgrounds)[name] = {"files": ["toy.root"], "label": label}
    spoken = {"job": {"name": "toy"}, "input": {"signals": signals, "backgrounds": backgrounds}}
    spoken["input"] |= {"data": {"data": {"files": ["toy.root"]}}, "features": ["mass", "pt", "eta"]}
    spoken["input"] |= {"spectators": ["mll"], "negative_weights": "absolute"}
    return Study(**spoken, **sections)


def toy_events(samples, labels, classes, n, seed, folds=False):
    """`n` events of each sample, data last; signal lies higher in the mass, with a few negative weights."""
    rng = np.random.default_rng(seed)
    sample = np.repeat(np.arange(len(samples)), n).astype(np.int16)
    label = np.array([classes.index(name) if name in classes else -1 for name in labels])[sample]
    height = np.where(label >= 0, label, 0) + 0.3 * (sample % 2)
    columns = {
        "mass": (80 + 25 * height + rng.normal(0, 20, len(sample))).astype(np.float32),
        "pt": (rng.exponential(30, len(sample)) * (1 + 0.4 * height) + 20).astype(np.float32),
        "eta": rng.normal(0, 1.2, len(sample)).astype(np.float32),
        "mll": rng.uniform(10, 130, len(sample)).astype(np.float32),
    }
    weights = (
        np.where(rng.random(len(sample)) < 0.1, -1, 1) * rng.uniform(0.5, 1.5, len(sample)) * (3.0 - 2 * (label > 0))
    )
    parts = rng.choice([TRAINING, VALIDATION, TEST], len(sample), p=[0.6, 0.2, 0.2])
    is_data = label < 0
    spoken = {name: label for name, label in zip(samples, labels, strict=True) if label in classes}
    study = toy_study(spoken, len(classes), **({"train": {"folds": 3}} if folds else {}))
    weights = np.where(is_data, 1.0, weights)
    flow = [
        {"sample": name, "cut": "read", "events": n, "weight": weights[sample == i].sum()}
        for i, name in enumerate(samples)
    ]
    return Dataset(
        study=study,
        columns=columns,
        features=("mass", "pt", "eta"),
        classes=tuple(classes),
        labels=label.astype(np.int64),
        targets=None,
        samples=tuple(samples),
        sample=sample,
        weights=weights,
        parts=np.where(is_data, DATA, TEST if folds else parts).astype(np.int8),
        folds=np.where(is_data, -1, rng.integers(3, size=len(sample)) * folds).astype(np.int16),
        places=places("toy", 0, 0, len(sample)),
        flow=pd.DataFrame(flow),
    )


def toy_results(dataset, repeats=2, folds=False, seed=3):
    """Scores that know the mass and little else, and histories that fall and rise again."""
    rng = np.random.default_rng(seed)
    n_classes, n = len(dataset.classes), len(dataset.labels)
    centres = np.arange(n_classes) * 25.0 + 80
    logits = -(((dataset.columns["mass"][:, None] - centres) / 25) ** 2) / 2 + rng.normal(
        0, 0.3, (repeats, n, n_classes)
    )
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    scores = (probabilities[..., -1:] if n_classes == 2 else probabilities).astype(np.float32)
    epochs = np.arange(1, 7)
    trainings = tuple(
        Training(
            seed=repeat + 1,
            fold=fold,
            history={
                "loss": (0.4 + 0.3 / epochs + 0.01 * repeat).tolist(),
                "val_loss": (0.42 + 0.3 / epochs + 0.01 * (epochs - 4) ** 2 / 3).tolist(),
                "accuracy": (0.8 - 0.2 / epochs).tolist(),
                "val_accuracy": (0.79 - 0.2 / epochs).tolist(),
                "auc": (0.9 - 0.2 / epochs).tolist(),
                "val_auc": (0.89 - 0.2 / epochs).tolist(),
            },
            best_epoch=5,
        )
        for repeat in range(repeats)
        for fold in (range(3) if folds else [None])
    )
    return Outcome(trainings=trainings, scores=scores, seen=scores if folds else None)


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """Writes study files whose trees train in a moment, on 600 events in two files; runs go beside them."""
    rng = np.random.default_rng(5)
    for name, height in (("higgs", 1.0), ("zjets", 0.0)):
        table = {"mass": rng.normal(height, 1, 300), "pt": rng.exponential(1 + height, 300), "event": np.arange(300)}
        pd.DataFrame(table).to_feather(tmp_path / f"{name}.feather")
    monkeypatch.chdir(tmp_path)

    def write(name="tiny.yaml", **sections):
        said = {
            "job": {"name": "tiny", "steps": ["train"]},
            "input": {
                "signals": {"higgs": {"files": ["higgs.feather"]}},
                "backgrounds": {"zjets": {"files": ["zjets.feather"]}},
                "features": ["mass", "pt"],
                "split": {"keys": ["event"]},
            },
            "train": {"network": "boosted_trees", "options": {"max_iter": 5}, "folds": 3, "repeats": 2},
        }
        for section, values in sections.items():
            said[section] = {**said.get(section, {}), **values}
        (tmp_path / name).write_text(json.dumps(said), encoding="utf-8")  # which is YAML, too
        return tmp_path / name

    return write


SAMPLES = {"qcd": "background", "zjets": "background", "higgs": "signal", "vbf": "signal"}
FLAVOURS = {"light": "light", "charm": "c", "bottom": "b"}


@pytest.fixture(scope="session")
def toy_dataset():
    """Two signals, two backgrounds and data, 150 events each; signed weights."""
    names = {**SAMPLES, "data": "data"}
    return toy_events(list(names), list(names.values()), ["background", "signal"], 150, seed=1)


@pytest.fixture(scope="session")
def toy_outcome(toy_dataset):
    return toy_results(toy_dataset)


@pytest.fixture
def toy():
    """Makes the study that belongs to `toy_dataset`, with sections of the caller's."""
    return lambda **sections: toy_study(SAMPLES, 2, **sections)


@pytest.fixture(scope="session")
def flavours_dataset():
    """Three classes, 150 events each, no data."""
    return toy_events(list(FLAVOURS), list(FLAVOURS.values()), ["light", "c", "b"], 150, seed=2)


@pytest.fixture(scope="session")
def flavours_outcome(flavours_dataset):
    return toy_results(flavours_dataset)


@pytest.fixture
def flavours():
    """Makes the study that belongs to `flavours_dataset`."""
    return lambda **sections: toy_study(FLAVOURS, 3, **sections)


@pytest.fixture(scope="session")
def folds_dataset():
    """As `toy_dataset`, with three folds."""
    names = {**SAMPLES, "data": "data"}
    return toy_events(list(names), list(names.values()), ["background", "signal"], 150, seed=1, folds=True)


@pytest.fixture(scope="session")
def folds_outcome(folds_dataset):
    return toy_results(folds_dataset, folds=True)


@pytest.fixture(scope="session")
def large_dataset():
    """As `toy_dataset`, with 1500 events a sample: enough to measure how much a score knows."""
    names = {**SAMPLES, "data": "data"}
    return toy_events(list(names), list(names.values()), ["background", "signal"], 1500, seed=4)


@pytest.fixture(scope="session")
def large_outcome(large_dataset):
    return toy_results(large_dataset, repeats=1)
