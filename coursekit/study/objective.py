"""What trials of a search are compared by: one number with its error, from scores of events outside the training."""

import functools
import math

import numpy as np
from scipy.integrate import trapezoid
from scipy.stats import norm

from coursekit.arrays import positive_sum
from coursekit.metrics import Estimate, asimov_significance, auc, rejection
from coursekit.study.dataset import Dataset, View
from coursekit.study.report.selection import one_score, signal_class
from coursekit.study.settings import Study
from coursekit.study.settings.tune import Tune
from coursekit.study.training.problem import target_scale
from coursekit.study.training_weights import mixture_labels

_LEAST = 1e-7  # Keras keeps probabilities as far from 0 and 1


def measured(tune: Tune, study: Study, dataset: Dataset, view: View, rows: np.ndarray, scores: np.ndarray) -> Estimate:
    """Return the metric of a search for some events.

    Loss, AUC and rejection are those of the events with their training weights; the significance counts what the events
    stand for, with their physical weights and signs.

    Parameters
    ----------
    tune : Tune
        The metric and what belongs to it.
    study : Study
        With the settings of the trial.
    dataset : Dataset
    view : View
    rows : (n,) int64
        Positions of the events, such as ``view.validation``.
    scores : (n, C) float
        Of the network for these events.

    Returns
    -------
    Estimate
        With the error of counting. Infinite if no background passes; NaN if no cut leaves enough events. With
        ``task: cwola`` it tells the two mixtures apart, to which test events are dealt here; with more than two
        classes AUC and rejection are those of the signal class against all others, by `one_score`.

    Raises
    ------
    ValueError
        The weights of a class cancel.
    """
    labels = view.labels[rows]
    if study.train.task == "cwola" and (labels < 0).all():  # events that nobody has trained on: fresh mixtures
        labels = mixture_labels(dataset, view.weights, (rows,))[rows]
        labels, rows, scores = labels[labels >= 0], rows[labels >= 0], scores[labels >= 0]
    weights = view.weights[rows]
    if tune.metric == "loss":
        return mean_loss(losses(study, dataset, view, labels, rows, scores), weights)
    if study.train.task == "classification":
        is_signal, score = (labels == signal_class(study, dataset)).astype(int), one_score(study, dataset, scores)
    else:
        is_signal, score = labels, scores[:, 0]
    if tune.metric == "auc":
        return auc(is_signal, score, weights)
    if tune.metric == "rejection":
        return rejection(is_signal, score, tune.signal_efficiency, weights)
    luminosity = tune.significance.luminosity_fb or study.apply.luminosity_fb
    return best_significance(is_signal, score, luminosity * _standing_for_all(dataset, rows), tune.significance)


def _standing_for_all(dataset: Dataset, rows: np.ndarray) -> np.ndarray:
    """Return weights (n,) of some events, whose sums are those of all events of their classes."""
    weights = dataset.weights[rows].copy()
    for number, name in enumerate(dataset.classes):
        of_class = dataset.labels[rows] == number
        part = positive_sum(weights[of_class], f"the weights of the validation events of class {name}")
        weights[of_class] *= dataset.weights[dataset.labels == number].sum() / part
    return weights


def losses(
    study: Study, dataset: Dataset, view: View, labels: np.ndarray, rows: np.ndarray, scores: np.ndarray
) -> np.ndarray:
    """Return the loss of each event, (n,) float64: minus the logarithm of its class's probability, of ``loss: mse``
    the square of what is missing to it; of a regression the square or the absolute value of its residual in the unit of
    the target, or Huber's function of the residual divided by the spread of the training targets, as it is learned.

    Parameters
    ----------
    study : Study
    dataset : Dataset
    view : View
    labels : (n,) int64
        What the network should say, of the events at `rows`: their class, or their mixture.
    rows : (n,) int64
    scores : (n, C) float
    """
    scores = np.asarray(scores, np.float64)
    if dataset.targets is not None:
        residual = np.abs(scores[:, 0] - dataset.targets[rows])
        if study.train.loss == "mae":
            return residual
        if study.train.loss == "huber":
            residual /= target_scale(dataset, view)[1]
            return np.where(residual < 1, residual**2 / 2, residual - 0.5)
        return residual**2
    if study.train.loss == "mse":
        return (scores[:, 0] - labels) ** 2
    if scores.shape[1] == 1:
        probability = np.where(labels == 1, scores[:, 0], 1 - scores[:, 0])
    else:
        probability = scores[np.arange(len(rows)), labels]
    return -np.log(np.clip(probability, _LEAST, 1 - _LEAST))


def mean_loss(loss: np.ndarray, weights: np.ndarray) -> Estimate:
    r"""Return the weighted mean of the losses of events, :math:`\sigma^2 = \sum w^2 (l - \bar l)^2 / (\sum w)^2`.

    Examples
    --------
    >>> mean_loss(np.array([1.0, 3.0]), np.array([1.0, 1.0]))
    Estimate(value=2.0, error=0.7071067811865476)
    """
    total = weights.sum()
    mean = float(weights @ loss / total)
    return Estimate(mean, float(np.sqrt((weights**2 * (loss - mean) ** 2).sum()) / total))


def best_significance(is_signal: np.ndarray, score: np.ndarray, events: np.ndarray, counting) -> Estimate:
    r"""Return the largest expected significance of all cuts on the score that leave enough simulated events.

    .. math:: \sigma_Z^2 = (\partial Z / \partial s)^2 \sum_{signal} w^2
        + (\partial Z / \partial b)^2 \sum_{background} w^2

    Parameters
    ----------
    is_signal : (n,) int
        1 for signal, 0 for background.
    score : (n,) float
    events : (n,) float
        How many events each stands for, with its sign.
    counting : Counting
        Formula, uncertainty of the background, minimum of simulated events of each kind.

    Returns
    -------
    Estimate
        NaN with an infinite error if no cut leaves enough events.

    Examples
    --------
    >>> from coursekit.study.settings.tune import Counting
    >>> counting = Counting(formula="s/sqrt(b)", minimum_events=1)
    >>> print(best_significance(np.array([1, 0, 1, 0]), np.array([4, 3, 2, 1]), np.array([3.0, 4, 1, 5]), counting))
    2.0 ± 1.9
    """
    order = np.argsort(-np.asarray(score, np.float64), kind="stable")
    falling = np.asarray(score)[order]
    last = np.flatnonzero(np.append(falling[1:] != falling[:-1], True))  # equal scores pass together
    sums = {}
    for name, label in (("s", 1), ("b", 0)):
        chosen = (is_signal == label)[order]
        w = np.where(chosen, events[order], 0.0)
        sums[name] = [np.cumsum(x)[last] for x in (w, w**2, chosen)]
    (s, s2, n_s), (b, b2, n_b) = sums["s"], sums["b"]
    enough = (np.minimum(n_s, n_b) >= counting.minimum_events) & (s > 0) & (b > 0)
    if not enough.any():
        return Estimate(math.nan, math.inf)
    s, s2, b, b2 = (x[enough] for x in (s, s2, b, b2))
    z = _significance(s, b, counting)
    best = int(np.argmax(z))
    s, b = float(s[best]), float(b[best])
    step = 1e-5
    by_s = (_significance(s * (1 + step), b, counting) - _significance(s * (1 - step), b, counting)) / (2 * step * s)
    by_b = (_significance(s, b * (1 + step), counting) - _significance(s, b * (1 - step), counting)) / (2 * step * b)
    return Estimate(float(z[best]), float(math.hypot(by_s * math.sqrt(s2[best]), by_b * math.sqrt(b2[best]))))


def _significance(s, b, counting):
    if counting.formula == "asimov":
        return asimov_significance(s, b, counting.background_uncertainty * b)
    return s / np.sqrt(b)


@functools.cache
def largest_of(n: int) -> float:
    r"""Return the expected largest of n standard normal numbers, :math:`\int x \, n \phi(x) \Phi(x)^{n-1} dx`.

    What the best of n equal trials seems better than it is, in units of the error, if their errors are independent.
    Trials that are measured on the same events have errors in common, and are flattered less.

    Examples
    --------
    >>> [round(largest_of(n), 3) for n in (1, 2, 12)]
    [0.0, 0.564, 1.629]
    """
    x = np.linspace(-10, 10, 20_001)
    return abs(float(trapezoid(x * n * norm.pdf(x) * norm.cdf(x) ** (n - 1), x))) if n > 1 else 0.0
