"""One training of a study, from the events to the scores."""

import importlib
import json
from collections.abc import Callable

import numpy as np

from coursekit.study.dataset import Dataset, View
from coursekit.study.fitted import Fitted
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
        scores = score_all(problem.view, problem.n_outputs, lambda inputs: problem.in_units(outputs(inputs)))
    training = Training(seed, fold, watch.history, watch.best_epoch)
    files["history.json"] = json.dumps(_record(problem, training, framework), indent=1).encode()
    files |= Fitted.of(problem.view).files()
    return Trained(training, scores, files)


def score_all(view: View, n_outputs: int, scores_of: Callable) -> np.ndarray:
    """Return what a network says of all events of a dataset, (N, C) float32, some at a time.

    Parameters
    ----------
    view : View
    n_outputs : int
        C.
    scores_of : callable
        From what `View.inputs` gives to scores (n, C).

    Raises
    ------
    FloatingPointError
        A score is NaN or infinite.
    """
    n_events = len(view.dataset.labels)
    scores = np.empty((n_events, n_outputs), np.float32)
    for first in range(0, n_events, CHUNK):
        rows = np.arange(first, min(first + CHUNK, n_events))
        scores[rows] = scores_of(view.inputs(rows, evaluation=True))
    bad = np.flatnonzero(~np.isfinite(scores).all(axis=1))
    if len(bad):
        network = view.dataset.study.train.network
        raise FloatingPointError(
            f"the network {network} gives NaN or infinity for {len(bad)} of {n_events} events, the "
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
    network |= {"shape": problem.shape, "outputs": problem.n_outputs, "task": train.task, "loss": train.loss}
    target = {"centre": problem.centre, "spread": problem.spread}
    return training._asdict() | {"network": network, "target": target}
