"""Is the network overtrained: the score of events that it has trained on beside that of events that it has not."""

import numpy as np
import pandas as pd

from coursekit.metrics import Estimate
from coursekit.study.dataset import Dataset
from coursekit.study.outcome import Outcome
from coursekit.study.report.drawing import MARKERS, Histogram, NothingToDraw, histogram, line, positive_floor, quantiles
from coursekit.study.report.page import Page
from coursekit.study.report.selection import has_folds, labelled, one_score, tested, training_view
from coursekit.study.report.statistics import Distance, ks_distance
from coursekit.study.settings import Study


def add_train_test(page: Page, study: Study, dataset: Dataset, outcome: Outcome) -> dict:
    """Draw the score of each class, trained on and not, with their ratio and the Kolmogorov-Smirnov distance.

    With folds: the mean score of the networks that have trained on an event beside the one of the network that has not,
    for the same events.

    Parameters
    ----------
    page : Page
    study : Study
    dataset : Dataset
    outcome : Outcome

    Returns
    -------
    dict
        ``ks`` by class: ``distance`` with its scatter over the repeats, ``by_chance``, ``probability``.

    Raises
    ------
    NothingToDraw
        A class has no events of one kind, or weights that cancel; or nobody kept the scores of trained events.
    """
    folds = has_folds(dataset)
    if dataset.fitted is not None:
        raise NothingToDraw("the networks were trained in another run, on other events or with other weights")
    if folds and outcome.seen is None:
        raise NothingToDraw("the scores of the networks that have trained on an event were not kept")
    known, new = (labelled(dataset),) * 2 if folds else (training_view(dataset).training, tested(dataset))
    trained = one_score(study, dataset, (outcome.seen if folds else outcome.scores)[:, known])
    fresh = one_score(study, dataset, outcome.scores[:, new])
    names = ("trained on", "out of fold") if folds else ("training", "test")
    distances, drawn = {}, {}
    edges = _edges(study, np.concatenate([trained[0], fresh[0]]))
    for k, name in reversed(list(enumerate(dataset.classes))):
        sides = [(score[:, dataset.labels[rows] == k], dataset.weights[rows][dataset.labels[rows] == k])
                 for score, rows in ((trained, known), (fresh, new))]  # fmt: skip
        for (_, w), side in zip(sides, names, strict=True):
            if not w.sum() > 1e-12 * np.abs(w).sum():
                raise NothingToDraw(f"{name}, {side}: {len(w)} events, whose weights add up to {w.sum():.3g}")
        (one, w), (other, v) = sides
        distances[name] = [ks_distance(a, b, w, v) for a, b in zip(one, other, strict=True)]
        drawn[name] = [histogram(score[0], its, edges, density=True) for score, its in sides]
    table, found = _tabulated(distances, names)
    caption = _caption(folds) + " ".join(_verdict(name, distances[name]) for name in distances)
    numbers = f"{len(known)} {names[0]}, {len(new)} {names[1]}" if not folds else f"{len(known)} events"
    _draw(page, study, caption, drawn, names, numbers, table)
    return {"ks": found}


def _edges(study: Study, scores: np.ndarray) -> np.ndarray:
    limits = (0.0, 1.0) if scores.min() >= 0 and scores.max() <= 1 else quantiles(scores)
    return np.linspace(*limits, study.apply.train_test.bins + 1)


def _caption(folds: bool) -> str:
    if folds:
        return (
            "The score of every event by the network that has not trained on it (points), and the mean of those that "
            "have (lines), scaled to area one. Both are of the same events and share their fluctuations, so chance "
            "exceeds the limit more seldom than once in a hundred; and a mean of networks is smoother than one. "
        )
    return "The score of training events (lines) and test events (points), scaled to area one; errors of counting. "


def _verdict(name: str, distances: list[Distance]) -> str:
    value, limit = np.mean([one.value for one in distances]), distances[0].by_chance
    said = "exceeds" if value > limit else "stays below"
    return f"KS distance of {name}: {value:.3f}, which {said} {limit:.3f}, exceeded by chance once in a hundred."


def _tabulated(distances: dict[str, list[Distance]], names: tuple[str, str]) -> tuple[pd.DataFrame, dict]:
    rows, found = {}, {}
    for name, each in distances.items():
        values, chance = np.array([one.value for one in each]), each[0].by_chance
        # 0.26 is the standard deviation of Kolmogorov's distribution, 1.63 what it exceeds once in a hundred.
        scatter = values.std(ddof=1) if len(values) > 1 else 0.0
        mean = Estimate(float(values.mean()), float(np.hypot(0.26 / 1.63 * chance, scatter)))
        probability = float(np.mean([one.probability for one in each]))
        rows[name] = {"KS distance": mean, "by chance once in a hundred": chance, "probability": probability}
        rows[name] |= {f"effective events, {side}": round(n) for side, n in zip(names, each[0].effective, strict=True)}
        found[name] = {"distance": list(mean), "by_chance": chance, "probability": probability}
    return pd.DataFrame(list(rows.values()), index=list(rows)).rename_axis("class"), found


def _draw(page: Page, study: Study, caption: str, drawn: dict, names, numbers: str, table: pd.DataFrame) -> None:
    log = study.apply.train_test.log
    panels = {"rows": 2, "size": (7, 6), "sharex": True, "height_ratios": [3, 1]}
    with page.figure("train_test", caption, table=table, **panels) as (ax, below):
        for number, (name, (known, new)) in enumerate(drawn.items()):
            colour, middle = line(number)["color"], (known.edges[1:] + known.edges[:-1]) / 2
            ax.stairs(known.value, known.edges, label=f"{name}, {names[0]}", linewidth=1.8, **line(number))
            marks = {"linestyle": "", "color": colour, "marker": MARKERS[number % 9], "markersize": 4}
            ax.errorbar(middle, new.value, new.error, label=f"{name}, {names[1]}", **marks)
            shift = (number - (len(drawn) - 1) / 2) * (known.edges[1] - known.edges[0]) / 6
            there = (known.value > 0) & (new.value > 0)
            ratio = new.value[there] / known.value[there]
            error = ratio * np.hypot(new.error[there] / new.value[there], known.error[there] / known.value[there])
            below.errorbar(middle[there] + shift, ratio, error, **marks)
        below.axhline(1, color="black", linewidth=1, linestyle=":")
        below.set(ylim=(0, 2), ylabel=f"{names[1]} / {names[0]}", xlabel="score")
        everything: list[Histogram] = [h for pair in drawn.values() for h in pair]
        if log:
            positive_floor(ax, *everything)
        ax.set_ylabel("events, scaled to area one")
        ax.legend(fontsize=9, title=numbers)
