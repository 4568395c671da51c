"""Which events a result is quoted on, with which weights, and how the repeats of a training become one number."""

from collections.abc import Sequence

import numpy as np

from coursekit.metrics import Estimate
from coursekit.study.dataset import TEST, Dataset, View
from coursekit.study.fitted import Fitted
from coursekit.study.settings import Study
from coursekit.words import listed, near


def has_folds(dataset: Dataset) -> bool:
    """Say whether every event is tested in one of k folds."""
    return dataset.study.train.folds is not None


def labelled(dataset: Dataset) -> np.ndarray:
    """Return the positions (n,) of simulated events, int64: all but data."""
    return np.flatnonzero(dataset.labels >= 0)


def data(dataset: Dataset) -> np.ndarray:
    """Return the positions (n,) of data, int64."""
    return np.flatnonzero(dataset.labels < 0)


def tested(dataset: Dataset) -> np.ndarray:
    """Return the positions (n,) of the events that results are quoted on, int64.

    No network whose score is taken has trained on them: the test part, or with folds all simulated events.
    """
    return labelled(dataset) if has_folds(dataset) else np.flatnonzero(dataset.parts == TEST)


def expected(dataset: Dataset, rows: np.ndarray, luminosity: float) -> np.ndarray:
    """Return how many events each of the tested ones, or of data, stands for.

    A simulated event has its signed weight times the luminosity, divided by the share that the tested events are of all
    simulated ones, so that they stand for the whole sample. An event of data is one event.

    Parameters
    ----------
    dataset : Dataset
    rows : (n,) int64
        Positions of tested events, or of data, or of both.
    luminosity : float
        Inverse femtobarn.

    Returns
    -------
    (n,) float64

    Raises
    ------
    ValueError
        A simulated event is among them that is not tested: its share of the sample is another.
    """
    quoted = np.zeros(len(dataset.labels), bool)
    quoted[tested(dataset)] = True
    is_data = dataset.labels[rows] < 0
    if (~(quoted[rows] | is_data)).any():
        n_other = int((~(quoted[rows] | is_data)).sum())
        raise ValueError(f"{n_other} of {len(rows)} events are not tested ones: take rows of tested(dataset), or data")
    share = quoted.sum() / len(labelled(dataset)) if quoted.any() else 1.0
    return np.where(is_data, 1.0, dataset.weights[rows] * luminosity / share)


def training_view(dataset: Dataset) -> View:
    """Return the dataset as its first training has seen it: without folds, or in the first of them."""
    return dataset.view(training_fold(dataset))


def training_fold(dataset: Dataset) -> int | None:
    """Return the fold of the first training, None without folds."""
    return 0 if has_folds(dataset) else None


def shown(dataset: Dataset) -> tuple[View, np.ndarray, str]:
    """Return what to draw of the inputs of the network: the view, positions (n,) of events, and what these are.

    Of a training its training events; of an application to other events all simulated ones, as the network sees them.
    """
    view = training_view(dataset)
    if dataset.fitted is None:
        return view, view.training, "training events with training weights"
    return view, labelled(dataset), "simulated events with physical weights"


def balanced(dataset: Dataset, rows: np.ndarray) -> np.ndarray:
    """Return physical weights with the classes in the proportion of the training weights.

    A network's probabilities are those of a world with that proportion. Within a class all stays physical, signs
    included.

    Parameters
    ----------
    dataset : Dataset
    rows : (n,) int64
        Positions of simulated events.

    Returns
    -------
    (n,) float64
    """
    view, its, _ = shown(dataset)
    sums = Fitted.of(view).sums if dataset.fitted is None else dataset.fitted[training_fold(dataset)].sums
    factors = np.ones(len(dataset.classes))
    for k, name in enumerate(dataset.classes):
        physical = dataset.weights[its[dataset.labels[its] == k]].sum()
        if physical > 0:
            factors[k] = sums[name] / physical
    return dataset.weights[rows] * factors[dataset.labels[rows]]


def signal_class(study: Study, dataset: Dataset) -> int:
    """Return the number of the class that is sought: `apply.discriminant.signal`, or the last.

    Raises
    ------
    ValueError
        There is no such class.
    """
    name = study.apply.discriminant.signal
    if name is None:
        return len(dataset.classes) - 1
    if name not in dataset.classes:
        raise ValueError(
            f"apply.discriminant.signal: there is no class {name!r};{near(name, dataset.classes)} "
            f"the classes are {listed(dataset.classes)}"
        )
    return dataset.classes.index(name)


def fractions(study: Study, dataset: Dataset) -> np.ndarray:
    """Return the fraction of each class in the background, (K,) float64: 0 for the signal, one together.

    Raises
    ------
    ValueError
        A fraction is of no other class, or they do not make one together.
    """
    signal, given = signal_class(study, dataset), study.apply.discriminant.fractions
    others = [name for k, name in enumerate(dataset.classes) if k != signal]
    unknown = next((name for name in given if name not in others), None)
    if unknown is not None:
        raise ValueError(
            f"apply.discriminant.fractions: {unknown!r} is no class of the background;{near(unknown, others)} "
            f"those are {listed(others)}"
        )
    left, open_ = 1 - sum(given.values()), [name for name in others if name not in given]
    if min(given.values(), default=0) < 0 or left < -1e-9 or (not open_ and abs(left) > 1e-9):
        raise ValueError(
            f"apply.discriminant.fractions: none may be negative, and {listed(others)} make 1 together, but "
            f"{listed(f'{name}: {value:g}' for name, value in given.items())} came"
        )
    share = given | dict.fromkeys(open_, left / max(len(open_), 1))
    return np.array([share.get(name, 0.0) for name in dataset.classes])


def one_score(study: Study, dataset: Dataset, scores: np.ndarray) -> np.ndarray:
    r"""Return one number an event that rises with the signal.

    For two classes the probability of the signal; for K the logarithm of the ratio of likelihoods,

    .. math:: D = \ln \frac{p_s}{\sum_{k \neq s} f_k p_k},

    with the fractions f of `fractions`; for a regression the value itself.

    Parameters
    ----------
    study : Study
    dataset : Dataset
    scores : (..., C) float
        As in `Outcome.scores`.

    Returns
    -------
    (...,) float64
    """
    scores = np.asarray(scores, np.float64)
    if scores.shape[-1] == 1:
        is_last = dataset.targets is not None or signal_class(study, dataset) == len(dataset.classes) - 1
        return scores[..., 0] if is_last else 1 - scores[..., 0]
    tiny = np.finfo(np.float64).tiny  # a float32 probability may be exactly 0; its logarithm must stay a number
    signal, background = scores[..., signal_class(study, dataset)], scores @ fractions(study, dataset)
    return np.log(np.maximum(signal, tiny) / np.maximum(background, tiny))


def combined(estimates: Sequence[Estimate]) -> Estimate:
    """Return the mean of a measure over the repeats; the scatter of the repeats is in its error.

    The error of counting (the mean one: all repeats have the same events) and the standard deviation of the repeats,
    in quadrature: what one training, on other events, may differ by. One repeat has no scatter. A measure that is
    infinite in one of them is infinite.

    Examples
    --------
    >>> print(combined([Estimate(0.90, 0.03), Estimate(0.98, 0.03)]))
    0.940 ± 0.064
    """
    values, errors = np.transpose([tuple(estimate) for estimate in estimates])
    if not np.isfinite(values).all():  # a rejection that no background passes
        return Estimate(np.inf, np.inf)
    scatter = values.std(ddof=1) if len(values) > 1 else 0.0
    return Estimate(float(values.mean()), float(np.hypot(errors.mean(), scatter)))
