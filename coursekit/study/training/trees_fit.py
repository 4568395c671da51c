"""Boosted trees, as lesson 4 trains them: as many as make the validation loss smallest."""

import io
from collections.abc import Callable, Iterator

import numpy as np

from coursekit.study.training.problem import Problem
from coursekit.study.training.watch import Watch

#: Those of lesson 4; options of a study overwrite them.
_DEFAULTS = {"max_iter": 120, "max_leaf_nodes": 15, "max_features": 0.7}
_LOSSES = {"mse": "squared_error", "mae": "absolute_error"}
_LIKELY = 0.001  # scores are kept as far from 0 and 1 where losses are compared


def fit(problem: Problem, seed: int, watch: Watch) -> tuple[Callable[[np.ndarray], np.ndarray], dict[str, bytes]]:
    """Train boosted trees.

    All of them are grown, their validation loss is taken after each, and as many as make it smallest are kept. Losses
    are taken of scores between 0.001 and 0.999, so that a few events of which the trees are too certain do not decide.

    Parameters
    ----------
    problem : Problem
    seed : int
    watch : Watch

    Returns
    -------
    outputs : callable
        From inputs (n, F) to outputs (n, C) float32.
    files : dict of str to bytes
        ``network.joblib``.

    Raises
    ------
    ValueError
        The events are no table, or scikit-learn refuses an option.
    """
    import joblib

    if problem.kind != "table":
        raise ValueError("the network boosted_trees takes tables, one row of inputs an event: take cnn or deep_sets")
    view = problem.view
    trees, rows = _trees(problem, seed), view.training
    learn = (view.inputs(rows), problem.targets[rows], view.weights[rows])
    _grow(problem, trees, *learn)
    stages = zip(*(_stages(problem, trees, view.inputs(getattr(view, part))) for part in _PARTS), strict=True)
    for outputs in stages:
        measured = {}
        for part, prefix, said in zip(_PARTS, ("", "val_"), outputs, strict=True):
            found = {"loss": _loss(problem, part, said), **problem.measures(problem.watched[part], said)}
            measured |= {f"{prefix}{name}": value for name, value in found.items()}
        watch.epoch(measured)
    trees.set_params(max_iter=watch.best_epoch)
    _grow(problem, trees, *learn)
    content = io.BytesIO()
    joblib.dump(trees, content)
    last = {name: values[watch.best_epoch - 1] for name, values in watch.history.items()}
    watch.tell(watch.best_epoch, last, problem.in_units(_outputs(problem, trees, view.inputs(view.validation))))
    return lambda inputs: _outputs(problem, trees, inputs), {"network.joblib": content.getvalue()}


_PARTS = ("training", "validation")


def load(content: bytes, problem: Problem) -> Callable[[np.ndarray], np.ndarray]:
    """Return the outputs of trees that were kept as the bytes of a ``.joblib`` file, which may run code: trust it."""
    import joblib

    trees = joblib.load(io.BytesIO(content))
    return lambda inputs: _outputs(problem, trees, inputs)


def _trees(problem: Problem, seed: int):
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    options = _DEFAULTS | problem.study.train.options | {"early_stopping": False, "random_state": seed}
    if problem.is_regression:
        return HistGradientBoostingRegressor(loss=_LOSSES[problem.study.train.loss_name], **options)
    return HistGradientBoostingClassifier(**options)


def _grow(problem: Problem, trees, inputs: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> None:
    try:
        trees.fit(inputs, targets, sample_weight=weights)
    except ValueError as error:  # of scikit-learn, which names the parameter
        raise ValueError(f"the network boosted_trees, with options {problem.study.train.options}: {error}") from error


def _stages(problem: Problem, trees, inputs: np.ndarray) -> Iterator[np.ndarray]:
    """Go through the outputs (n, C) of the first tree, the first two ..."""
    if problem.is_regression:
        return (stage[:, None] for stage in trees.staged_predict(inputs))
    return (stage if problem.n_outputs > 1 else stage[:, 1:] for stage in trees.staged_predict_proba(inputs))


def _outputs(problem: Problem, trees, inputs: np.ndarray) -> np.ndarray:
    if problem.is_regression:
        return trees.predict(inputs)[:, None].astype(np.float32)
    said = trees.predict_proba(inputs).astype(np.float32)
    return said if problem.n_outputs > 1 else said[:, 1:]


def _loss(problem: Problem, part: str, outputs: np.ndarray) -> float:
    """Return the weighted mean loss of a part."""
    rows = getattr(problem.view, part)
    targets, weights = problem.targets[rows], problem.view.weights[rows]
    if problem.is_regression:
        distance = np.abs(outputs[:, 0] - targets)
        of_event = distance if problem.study.train.loss_name == "mae" else distance**2
    elif problem.n_outputs == 1:
        score = np.clip(outputs[:, 0], _LIKELY, 1 - _LIKELY)
        of_event = -(targets * np.log(score) + (1 - targets) * np.log(1 - score))
    else:
        of_event = -np.log(np.clip(outputs[np.arange(len(rows)), targets], _LIKELY, 1 - _LIKELY))
    return float(np.average(of_event, weights=weights))
