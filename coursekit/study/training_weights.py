"""The weights that a training sees, made of those of the events; and mixtures for a training without labels."""

import numpy as np

from coursekit.arrays import positive_sum
from coursekit.study.draws import uniform
from coursekit.weights import reweight_classes


def training_weights(dataset, training: np.ndarray, validation: np.ndarray) -> np.ndarray:
    """Return the weights of a training: negative ones treated, shares, spectra, sums and class weights applied.

    In this order: `input.negative_weights`; the shares of samples within a class, ``of`` in `input.targets`;
    `input.reweight`, fitted on the training events; sum or mean in `input.targets`, of all events of a class, which is
    one constant and tells nothing of the test events; `train.class_weights`.

    Parameters
    ----------
    dataset : Dataset
    training, validation : (n,) int64
        Positions of events.

    Returns
    -------
    (N,) float64 array
        0 for data.

    Raises
    ------
    ValueError
        The weights of a class add up to nothing or less, in all or in a part.
    """
    settings, train = dataset.study.input, dataset.study.train
    weights = np.where(dataset.labels >= 0, dataset.weights, 0.0)
    if settings.negative_weights == "absolute":
        weights = np.abs(weights)
    elif settings.negative_weights != "keep":  # removed events are in neither part; 0 keeps them out of the sums
        weights = np.maximum(weights, 0)
    for name, target in settings.targets.items():
        _share(dataset, weights, dataset.labels == dataset.classes.index(name), name, target.of)
    if settings.reweight:
        weights *= _factors(dataset, weights, training)
    for name, target in settings.targets.items():
        chosen = dataset.labels == dataset.classes.index(name)
        if settings.negative_weights == "remove":
            chosen &= dataset.weights >= 0
        of_class = weights[chosen]
        total = positive_sum(of_class, f"the weights of the class {name}")
        mean = of_class.mean()
        weights[chosen] = of_class / mean * target.mean if target.mean else of_class / total * target.sum
    for name, factor in train.class_weights.items():
        weights[dataset.labels == dataset.classes.index(name)] *= factor
    for part, rows in (("training", training), ("validation", validation)):
        for number, name in enumerate(dataset.classes):
            of_class = weights[rows[dataset.labels[rows] == number]]
            if not len(of_class):
                raise ValueError(
                    f"the {part} part has no event of the class {name}: take other fractions, or more events"
                )
            positive_sum(of_class, f"the {part} weights of the class {name}")
    return weights


def _share(dataset, weights: np.ndarray, chosen: np.ndarray, name: str, of: str) -> None:
    """Change the weights of the samples of a class relative to each other, in place."""
    if of == "together":
        return
    numbers = np.unique(dataset.sample[chosen])
    if of != "each":
        wanted = dataset.samples.index(of)
        if wanted not in numbers:
            raise ValueError(f"input.targets.{name}.of: the sample {of} has no event of the class {name}")
        weights[chosen & (dataset.sample != wanted)] = 0
        return
    for number in numbers:
        mine = chosen & (dataset.sample == number)
        weights[mine] /= positive_sum(weights[mine], f"the weights of the class {name} in {dataset.samples[number]}")


def _factors(dataset, weights: np.ndarray, training: np.ndarray) -> np.ndarray:
    """Return the factors that give all classes one spectrum, fitted on the training events and looked up for all."""
    reweight = dataset.study.input.reweight
    x, y = (dataset.columns[name] for name in reweight.bins)
    target = dataset.classes.index(reweight.target) if reweight.target in dataset.classes else reweight.target
    edges = tuple(reweight.bins.values())
    try:
        found = reweight_classes(x[training], y[training], dataset.labels[training], edges, target, weights[training])
    except ValueError as error:
        raise ValueError(f"input.reweight, of the classes {dict(enumerate(dataset.classes))}: {error}") from None
    factors = np.zeros(len(weights))
    for number, change in found.items():
        chosen = dataset.labels == number
        factors[chosen] = change.weights(x[chosen], y[chosen])
    return factors


def mixture_labels(dataset, weights: np.ndarray, parts) -> np.ndarray:
    r"""Deal signal and background to two mixtures of given signal fractions, for a training without labels.

    With S and B the sums of weights of a part, both mixtures get the sum :math:`M = \min(S / (f_1 + f_2), B / (2 - f_1
    - f_2))`, of it :math:`f_i M` signal. An event is in one mixture or, where it is one too many, in none. The order in
    which they are dealt is drawn from the place of each event.

    Parameters
    ----------
    dataset : Dataset
    weights : (N,) float64
    parts : sequence of (n,) int64 arrays
        Training and validation, dealt apart.

    Returns
    -------
    (N,) int64 array
        0 for the first mixture, 1 for the second, -1 for events in none: others than these parts, and data.

    References
    ----------
    E. M. Metodiev, B. Nachman, J. Thaler, arXiv:1708.02949.
    """
    first, second = dataset.study.input.mixtures
    if len(dataset.classes) != 2:
        raise ValueError(f"input.mixtures are made of two classes, but there are {len(dataset.classes)}")
    labels = np.full(len(weights), -1, dtype=np.int64)
    for rows in parts:
        if (weights[rows] < 0).any():
            raise ValueError(
                "input.mixtures: some weights are negative; choose negative_weights: zero, absolute or remove"
            )
        background, signal = (rows[dataset.labels[rows] == number] for number in (0, 1))
        s, b = weights[signal].sum(), weights[background].sum()
        of_both = [total / share for total, share in ((s, first + second), (b, 2 - first - second)) if share > 0]
        size = min(of_both)
        for chosen, total, share in ((signal, s, (first, second)), (background, b, (1 - first, 1 - second))):
            order = chosen[
                np.argsort(uniform(dataset.places_of(chosen), dataset.study.job.seed, "mixtures"), kind="stable")
            ]
            done = np.cumsum(weights[order]) - weights[order] / 2
            place = np.searchsorted(np.cumsum(share) * size, done, side="right")
            if np.isclose(sum(share) * size, total):
                place = np.minimum(place, 1 if share[1] > 0 else 0)  # all are used; rounding leaves none out
            labels[order] = np.where(place < 2, place, -1)
    return labels
