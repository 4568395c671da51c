"""One training of a study, from the events to the scores."""

import importlib
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from coursekit.preprocess import Scaler
from coursekit.study.dataset import Dataset
from coursekit.study.networks import build
from coursekit.study.networks import framework as framework_of
from coursekit.study.outcome import Trained, Training
from coursekit.study.settings import Study
from coursekit.study.training.limits import limited
from coursekit.study.training.problem import Problem, make_problem
from coursekit.study.training.watch import Report, Watch
from coursekit.surroundings import load_triton_before_tensorflow, prepare_frameworks

_FRAMEWORKS = {
    "dense": "keras",
    "cnn": "keras",
    "deep_sets": "torch",
    "energy_flow": "torch",
    "boosted_trees": "trees",
}
#: Events whose inputs are in memory at once when the trained network is applied.
CHUNK = 100_000


def train_one(
    study: Study, dataset: Dataset, seed: int, fold: int | None = None, report: Report | None = None
) -> Trained:
    """Train the network of a study once.

    The same study, events and seed give the same numbers, in this process or another: it computes with one thread, or
    as many as ``OMP_NUM_THREADS`` says, on which rounding depends. Nothing is written but to a temporary folder.

    Parameters
    ----------
    study : Study
    dataset : Dataset
    seed : int
        Of everything random in the training: parameters, order of events, dropout.
    fold : int, optional
        Which of k folds tests; without folds None.
    report : callable, optional
        Called after each epoch with its number, from 1, and a dictionary of what was measured, ``scores`` (n, C) of the
        validation events among it; of boosted trees once, with their number.

    Returns
    -------
    Trained

    Raises
    ------
    ImportError
        A framework is missing, or the module of an own network.
    ValueError
        The events cannot be learned (see `make_problem`), or the network does not fit them.
    FloatingPointError
        The loss is no longer a number, or the trained network gives NaN.
    """
    prepare_frameworks()
    load_triton_before_tensorflow()
    problem = make_problem(study, dataset, fold)
    watch = Watch(study, report)
    framework = _framework(problem)
    if dataset.streamed and framework != "keras":
        raise ValueError(
            f"the network {study.train.network} has to see all events in memory, and they take more than input.memory "
            f"({study.input.memory}): raise that, take fewer events, or a network of Keras, such as dense"
        )
    with limited(framework):
        outputs, files = _side(framework).fit(problem, seed, watch)
        scores = score_all(problem, lambda inputs: problem.in_units(outputs(inputs)))
    training = Training(seed, fold, watch.history, watch.best_epoch)
    files["history.json"] = json.dumps(_record(problem, training, framework), indent=1).encode()
    if problem.view.scaler is not None:
        files["variables.json"] = _saved(problem.view.scaler)
    return Trained(training, scores, files)


def score_all(problem: Problem, scores_of: Callable) -> np.ndarray:
    """Return what a network says of all events of a dataset, (N, C) float32, some at a time.

    Parameters
    ----------
    problem : Problem
    scores_of : callable
        From what `View.inputs` gives to scores (n, C).

    Raises
    ------
    FloatingPointError
        A score is NaN or infinite.
    """
    n_events = len(problem.dataset.labels)
    scores = np.empty((n_events, problem.n_outputs), np.float32)
    for first in range(0, n_events, CHUNK):
        rows = np.arange(first, min(first + CHUNK, n_events))
        scores[rows] = scores_of(problem.view.inputs(rows, evaluation=True))
    bad = np.flatnonzero(~np.isfinite(scores).all(axis=1))
    if len(bad):
        raise FloatingPointError(
            f"the network {problem.study.train.network} gives NaN or infinity for {len(bad)} of {n_events} events, the "
            f"first is event {bad[0]}: look for extreme inputs, and at its weights"
        )
    return scores


def _side(name: str):
    """Return the module that trains networks of a framework."""
    return importlib.import_module(f"coursekit.study.training.{name}_fit")


def _framework(problem: Problem) -> str:
    """Return what trains a network: of one's own it is seen when it is built, and it is built again with the seed."""
    train = problem.study.train
    if train.network in _FRAMEWORKS:
        return _FRAMEWORKS[train.network]
    return framework_of(build(train.network, train.options, problem.shape, problem.n_outputs, problem.kind))


def _record(problem: Problem, training: Training, framework: str) -> dict:
    """Return what is kept of a training beside its network: enough to load that again."""
    train = problem.study.train
    network = {"name": train.network, "options": train.options, "framework": framework, "kind": problem.kind}
    network |= {"shape": problem.shape, "outputs": problem.n_outputs, "task": train.task}
    target = {"centre": problem.centre, "spread": problem.spread}
    return training._asdict() | {"network": network, "target": target}


def _saved(scaler: Scaler) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "variables.json"
        scaler.save(path)
        return path.read_bytes()
