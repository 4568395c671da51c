"""What the network uses: what is lost when a feature is shuffled among the events, so that it says nothing of them."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from coursekit.cluster import each
from coursekit.metrics import Estimate, auc_difference
from coursekit.study.dataset import Dataset
from coursekit.study.outcome import Outcome
from coursekit.study.report.drawing import NothingToDraw
from coursekit.study.report.page import Page
from coursekit.study.report.performance import require_all_classes
from coursekit.study.report.selection import one_score, signal_class, tested
from coursekit.study.report.statistics import mean_and_spread
from coursekit.study.settings import Study

#: A network of the first repeat: its fold or None, its files by name, and what makes a function of inputs from these.
Network = tuple[int | None, dict[str, bytes]]
Load = Callable[[dict[str, bytes]], Callable[[np.ndarray], np.ndarray]]


def add_importance(
    page: Page, study: Study, dataset: Dataset, outcome: Outcome, networks: Sequence[Network], load: Load
) -> dict:
    """Draw by how much the AUC falls when a feature is shuffled among the tested events; of a regression by how much
    the mean squared error grows, as a share of the variance of the target.

    The network is not trained anew: the importance is that for this network, given the other features. A feature and
    the checks that look at it are shuffled together. One task a feature, on a cluster if `job.ray` names one.

    Parameters
    ----------
    page : Page
    study : Study
    dataset : Dataset
    outcome : Outcome
    networks : sequence of (fold, files)
        Of the first repeat; with folds each for the events that it has not seen.
    load : callable
        From the files of a network to a function from inputs (n, F') to scores (n, C).

    Returns
    -------
    dict
        By feature ``[value, error]``: the error is of the events and of the shuffles, in quadrature.

    Raises
    ------
    NothingToDraw
        The network sees no table, there is no network, or a class has no tested events.
    """
    rows = tested(dataset)
    if not networks:
        raise NothingToDraw("no network was kept")
    if dataset.targets is None:
        require_all_classes(dataset, rows)
    sample = dataset.view(networks[0][0]).inputs(rows[:1], evaluation=True)
    if not isinstance(sample, np.ndarray) or sample.ndim != 2:
        raise NothingToDraw("the network sees pictures or sets, of which no column can be shuffled")
    shared = (study, dataset, outcome.scores[0], tuple(networks), load)
    found = dict(
        zip(dataset.features, each(lost, [(name,) for name in dataset.features], study.job.ray, shared), strict=True)
    )
    order = sorted(found, key=lambda name: found[name].value)
    what = "AUC lost" if dataset.targets is None else "growth of the mean squared error / variance"
    table = pd.DataFrame({what: [found[name] for name in reversed(order)]}, index=pd.Index(order[::-1], name="feature"))
    caption = (
        f"{what[0].upper()}{what[1:]} when one feature is shuffled among the {len(rows)} tested events, mean of "
        f"{study.apply.importance.shuffles} shuffles; errors are those of the events and of the shuffles. The network, "
        "of the first repeat, is not trained anew: features that say the same share the credit."
    )
    alt = f"most important: {order[-1]}, {found[order[-1]]}; least: {order[0]}, {found[order[0]]}"
    with page.figure("importance", caption, alt=alt, table=table, size=(6.5, 1.4 + 0.32 * len(order))) as ax:
        values, errors = np.transpose([tuple(found[name]) for name in order])
        ax.errorbar(values, range(len(order)), xerr=errors, linestyle="", marker="o", capsize=3)
        ax.set_yticks(range(len(order)), order)
        ax.axvline(0, color="black", linestyle=":", linewidth=1)
        if study.apply.importance.log:
            ax.set_xscale("symlog", linthresh=max(float(errors.max()), 1e-6))  # linear where nothing can be told from 0
        ax.set_ylim(-0.6, len(order) - 0.4)
        ax.set_xlabel(f"{what} by shuffling ({len(rows)} events)")
    page.result("most important feature", order[-1])
    return {name: list(found[name]) for name in reversed(order)}


def lost(
    study: Study, dataset: Dataset, scores: np.ndarray, networks: Sequence[Network], load: Load, name: str
) -> Estimate:
    """Return what is lost when one feature is shuffled, with its error; one task of `add_importance`.

    Parameters
    ----------
    study : Study
    dataset : Dataset
    scores : (N, C) float32
        Of all events as they are.
    networks, load
        As in `add_importance`.
    name : str
        Of the feature.

    Returns
    -------
    Estimate
    """
    rows, n = tested(dataset), study.apply.importance.shuffles
    shuffled = np.empty((n, *scores.shape), np.float64)
    place = dataset.features.index(name)
    for fold, files in networks:
        view, outputs = dataset.view(fold), load(files)
        its = rows if fold is None else rows[dataset.folds[rows] == fold]
        inputs = view.inputs(its, evaluation=True)
        together = [place]
        if view.scaler is not None:
            together += [view.input_names.index(check) for check, of in view.scaler.checks.items() if of == name]
        for number in range(n):
            rng = np.random.default_rng([study.job.seed, place, fold or 0, number])
            mixed = inputs.copy()
            mixed[:, together] = inputs[rng.permutation(len(its))][:, together]
            shuffled[number, its] = outputs(mixed)
    drops = [_drop(study, dataset, rows, scores[rows], one[rows]) for one in shuffled]
    values = np.array([drop.value for drop in drops])
    error = np.hypot(drops[0].error, values.std(ddof=1) / np.sqrt(n))
    return Estimate(float(values.mean()), float(error))


def _drop(study: Study, dataset: Dataset, rows: np.ndarray, before: np.ndarray, after: np.ndarray) -> Estimate:
    """Return what one shuffle has cost."""
    weights = dataset.weights[rows]
    if dataset.targets is not None:
        target = dataset.targets[rows]
        growth, _ = mean_and_spread((after[:, 0] - target) ** 2 - (before[:, 0] - target) ** 2, np.abs(weights))
        variance = mean_and_spread(target, np.abs(weights))[1].value ** 2
        return Estimate(growth.value / variance, growth.error / variance)
    is_signal = dataset.labels[rows] == signal_class(study, dataset)
    return auc_difference(is_signal, *(one_score(study, dataset, scores) for scores in (before, after)), weights)
