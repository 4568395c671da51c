"""How well the score separates events that no network has trained on: curves, rejections, calibration, confusion."""

from collections.abc import Callable
from dataclasses import fields

import numpy as np
import pandas as pd

from coursekit.metrics import Estimate, Roc, accuracy, auc, rejection, roc_curve
from coursekit.plots import plot_roc
from coursekit.study.dataset import Dataset
from coursekit.study.outcome import Outcome
from coursekit.study.report.drawing import MARKERS, NothingToDraw, drawn_points, line
from coursekit.study.report.page import Page
from coursekit.study.report.selection import balanced, combined, has_folds, one_score, signal_class, tested
from coursekit.study.report.statistics import confusion, precision_recall, reliability
from coursekit.study.settings import Study


def add_performance(page: Page, study: Study, dataset: Dataset, outcome: Outcome) -> dict:
    """Draw ROC curves, precision, calibration and confusion of a classification; rejections and AUC in a table.

    For two classes signal against background; for K the signal against each other class by itself, with the
    discriminant of `apply.discriminant`. Numbers are means over the repeats, figures show the first.

    Parameters
    ----------
    page : Page
    study : Study
    dataset : Dataset
    outcome : Outcome

    Returns
    -------
    dict
        ``auc`` and ``rejection`` by background and efficiency, ``accuracy``, ``average_precision``, ``confusion``;
        numbers are ``[value, error]``.

    Raises
    ------
    NothingToDraw
        There are no tested events of a class, or their weights cancel.
    """
    rows = tested(dataset)
    require_all_classes(dataset, rows)
    scores = one_score(study, dataset, outcome.scores[:, rows])
    found = _add_separation(page, study, dataset, rows, scores)
    if has_folds(dataset):
        found |= _add_folds(page, study, dataset, rows, scores)
    found |= _add_precision(page, study, dataset, rows, scores)
    if study.train.task == "cwola":
        page.note(
            "The training knows two mixtures and no classes: its score is the probability of a mixture, so that "
            "accuracy, calibration and confusion would compare different things. What is above is against the truth."
        )
        return found
    if study.train.loss_name == "cross_entropy":
        found |= _add_calibration(page, study, dataset, rows, outcome)
    else:
        page.note(
            f"The network has learned by {study.train.loss_name}: its score is no probability, and has no calibration."
        )
    if study.apply.performance.confusion:
        found |= _add_confusion(page, dataset, rows, outcome)
    return found


def require_all_classes(dataset: Dataset, rows: np.ndarray) -> None:
    """Raise NothingToDraw if a class has no events among `rows`, or none with a positive sum of weights."""
    if len(dataset.classes) < 2:
        raise NothingToDraw(f"there is one class, {', '.join(dataset.classes)}, and a separation takes two")
    for k, name in enumerate(dataset.classes):
        weights = dataset.weights[rows][dataset.labels[rows] == k]
        if not weights.sum() > 1e-12 * np.abs(weights).sum():
            raise NothingToDraw(
                f"{name} has {len(weights)} events that no network has trained on, whose weights add up to "
                f"{weights.sum():.3g}: nothing can be measured with them"
            )


def efficiencies(study: Study, dataset: Dataset) -> tuple[float, ...]:
    """Return the signal efficiencies at which rejections are given."""
    usual = (0.5, 0.7, 0.9) if len(dataset.classes) == 2 else (0.70, 0.77, 0.85)
    return study.apply.performance.efficiencies or usual


def tabulated(measure: Callable[[np.ndarray], Estimate], scores: np.ndarray) -> dict[str, Estimate]:
    """Return a row of a table: the mean of a measure over the repeats, and behind it each of them if there are more."""
    each = [measure(score) for score in scores]
    singles = {f"repeat {r}": value for r, value in enumerate(each, start=1)} if len(each) > 1 else {}
    return {"all repeats" if singles else "value": combined(each)} | singles


def _add_separation(page: Page, study: Study, dataset: Dataset, rows: np.ndarray, scores: np.ndarray) -> dict:
    """Add the ROC curve of the signal against each other class, and the table of rejections and AUC."""
    signal, labels = signal_class(study, dataset), dataset.labels[rows]
    table, curves, found = {}, {}, {"auc": {}, "rejection": {}}
    for k, name in enumerate(dataset.classes):
        if k == signal:
            continue
        pair = np.isin(labels, (k, signal))
        y, w = labels[pair] == signal, dataset.weights[rows][pair]
        numbers = f"{(~y).sum()} {name}, {y.sum()} {dataset.classes[signal]}"
        curves[name] = (roc_curve(y, scores[0, pair], w), numbers)
        area = tabulated(lambda score, y=y, w=w: auc(y, score, w), scores[:, pair])
        table[f"AUC against {name}"] = area
        found["auc"][name] = list(next(iter(area.values())))
        found["rejection"][name] = {}
        for at in efficiencies(study, dataset):
            row = tabulated(lambda score, y=y, w=w, at=at: rejection(y, score, at, w), scores[:, pair])
            table[f"rejection of {name} at {100 * at:g}%"] = row
            found["rejection"][name][f"{at:g}"] = list(next(iter(row.values())))
    for name, row in table.items():
        page.result(name, next(iter(row.values())))
    frame = pd.DataFrame(table).T.rename_axis("measure")
    how = f"{dataset.classes[signal]} against " + " and against ".join(curves)
    caption = f"ROC curve{'s' * (len(curves) > 1)} of {how}: background rejection against signal efficiency. Bands are "
    caption += "errors of counting."
    alt = caption + " " + "; ".join(f"{name}: {row}" for name, row in frame.iloc[:, 0].items())
    with page.figure("roc", caption, alt=alt) as ax:
        plot_roc(ax, {f"against {name} ({numbers})": _drawn(roc) for name, (roc, numbers) in curves.items()})
        ax.set_xlabel(f"signal efficiency ({dataset.classes[signal]})")
        ax.legend(fontsize=9, title=f"{len(rows)} events, not trained on")
    page.add("separation", _how_quoted(scores), table=frame)
    return found


def _drawn(roc: Roc) -> Roc:
    """Return the points of a curve that are drawn."""
    few = drawn_points(len(roc.thresholds))
    return Roc(**{field.name: getattr(roc, field.name)[few] for field in fields(roc)})


def _how_quoted(scores: np.ndarray) -> str:
    """Say what is in the errors of a table."""
    how = "Area under the ROC curve, and rejection (one over the background efficiency) at signal efficiencies. "
    how += "It is infinite where no background passes. "
    if len(scores) == 1:
        return how + "Errors are those of counting; one training does not say what another would give."
    return how + (
        f"Means of {len(scores)} repeats; in the error of a mean are that of counting and what the repeats differ by, "
        "in quadrature, in that of one repeat only the first."
    )


def _add_folds(page: Page, study: Study, dataset: Dataset, rows: np.ndarray, scores: np.ndarray) -> dict:
    """Add the AUC of each fold, and what the folds differ by."""
    signal, labels, folds = signal_class(study, dataset), dataset.labels[rows], dataset.folds[rows]
    table = {}
    for fold in range(folds.max() + 1):
        y, w = labels[folds == fold] == signal, dataset.weights[rows][folds == fold]
        if y.all() or not y.any() or not (w[y].sum() > 0 and w[~y].sum() > 0):
            page.note(f"Fold {fold} has no AUC: a class has no events in it, or weights that cancel.")
            continue
        area = combined([auc(y, score, w) for score in scores[:, folds == fold]])
        table[fold] = {"events": len(y), "AUC": area}
    if len(table) < 2:
        return {}
    values = np.array([row["AUC"].value for row in table.values()])
    mean = Estimate(float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values))))
    spread = float(values.std(ddof=1))
    caption = (
        f"The AUC of {dataset.classes[signal]} against all others in each fold, by the network that has not seen it. "
        f"Mean over the folds {mean}, their spread {spread:.2g}."
    )
    page.add("folds", caption, table=pd.DataFrame(table).T.rename_axis("fold"))
    page.result("AUC, mean of the folds", mean)
    page.result("AUC, spread of the folds", f"{spread:.2g}")
    return {"auc_folds": {"mean": list(mean), "spread": spread, "values": values.tolist()}}


def _add_precision(page: Page, study: Study, dataset: Dataset, rows: np.ndarray, scores: np.ndarray) -> dict:
    """Add precision against efficiency, in the proportion of the training and in that which is expected."""
    y = dataset.labels[rows] == signal_class(study, dataset)
    worlds = {"as trained": balanced(dataset, rows), "as expected": dataset.weights[rows]}
    found = {name: precision_recall(y, scores[0], w) for name, w in worlds.items()}
    if np.isclose(*(world.signal_share for world in found.values()), rtol=1e-6):
        found = {"as expected": found["as expected"]}
    said = {n: f"1 signal : {_proportion(w.signal_share)} background, {n}" for n, w in found.items()}
    caption = (
        "Precision, the share of signal among the selected events, against signal efficiency. It depends on the "
        f"proportion of the classes: {'; '.join(said.values())}."
    )
    with page.figure("precision_recall", caption) as ax:
        for number, (name, world) in enumerate(found.items()):
            few = drawn_points(len(world.efficiency))
            ax.plot(world.efficiency[few], world.precision[few], label=said[name], **line(number))
        least = min(world.signal_share for world in found.values())
        if least < 0.02:
            ax.set_yscale("log")
        else:
            ax.set_ylim(0, 1.02)
        ax.set(xlabel="signal efficiency (recall)", ylabel="precision", xlim=(0, 1))
        ax.legend(fontsize=9, title=f"{len(rows)} events, not trained on")
    return {"average_precision": {n: [w.average, w.signal_share] for n, w in found.items()}}


def _proportion(signal_share: float) -> str:
    """Return how much background there is for one of signal, to three digits."""
    ratio = (1 - signal_share) / signal_share
    return f"{ratio:.3g}" if ratio < 1000 else f"{float(f'{ratio:.3g}'):.0f}"


def _add_calibration(page: Page, study: Study, dataset: Dataset, rows: np.ndarray, outcome: Outcome) -> dict:
    """Add the reliability diagram of each class."""
    weights, labels, scores = balanced(dataset, rows), dataset.labels[rows], outcome.scores[:, rows].astype(float)
    asked = study.apply.performance.calibration_bins
    last = len(dataset.classes) - 1
    columns = {last: scores[0, :, 0]} if last == 1 else dict(enumerate(scores[0].T))
    found, off = {}, {}
    for k, probability in columns.items():
        found[k] = reliability(labels == k, probability, weights, asked)
        points = found[k]
        values = (np.abs(points.share - points.mean_score), points.error)
        off[dataset.classes[k]] = Estimate(*(float(np.average(x, weights=points.weight)) for x in values))
    caption = (
        "Is the score a probability? The share of a class among events of one score, in the proportion of the training "
        "weights. Mean distance from the diagonal: " + "; ".join(f"{name} {value}" for name, value in off.items()) + "."
    )
    with page.figure("calibration", caption, size=(6, 5)) as ax:
        for number, (k, points) in enumerate(found.items()):
            ax.errorbar(points.mean_score, points.share, points.error, linestyle="", marker=MARKERS[number],
                        markersize=5, capsize=2, label=dataset.classes[k])  # fmt: skip
        ax.plot([0, 1], [0, 1], color="black", linestyle=":", linewidth=1, label="a perfect probability")
        ax.set(xlabel="mean score of the bin", ylabel="weighted share of the class", xlim=(0, 1), ylim=(-0.05, 1.05))
        ax.legend(fontsize=9, title=f"{len(rows)} events, not trained on")
    return {"calibration": {name: list(value) for name, value in off.items()}}


def called(scores: np.ndarray) -> np.ndarray:
    """Return the class that each score names, (...,) int: the last one from 0.5 on, or the most probable."""
    return (scores[..., 0] >= 0.5).astype(int) if scores.shape[-1] == 1 else scores.argmax(axis=-1)


def _add_confusion(page: Page, dataset: Dataset, rows: np.ndarray, outcome: Outcome) -> dict:
    """Add the accuracy, and the matrix of what each class is called."""
    labels, scores, weights = dataset.labels[rows], outcome.scores[:, rows], balanced(dataset, rows)
    right = combined(
        [accuracy(labels == labels.max(), _sides(labels, calls), weights=weights) for calls in called(scores)]
    )
    page.result("accuracy", right)
    single = [confusion(labels, calls, weights, len(dataset.classes)) for calls in called(scores)]
    n = range(len(dataset.classes))
    matrix = [[combined([found[i][j] for found in single]) for j in n] for i in n]
    values = np.array([[share.value for share in row] for row in matrix])
    names, axis = dataset.classes, [f"{name} ({(labels == k).sum()})" for k, name in enumerate(dataset.classes)]
    table = pd.DataFrame(matrix, index=names, columns=[f"called {name}" for name in names]).rename_axis("truth")
    caption = (
        "What events of each class are called, as shares of the class: the most probable class in the proportion of "
        f"the training weights. Accuracy in that proportion {right}."
    )
    with page.figure("confusion", caption, table=table, size=(1.5 * len(names) + 3, 1.2 * len(names) + 2.2)) as ax:
        image = ax.imshow(100 * values, vmin=0, vmax=100, cmap="Blues")
        ax.figure.colorbar(image, ax=ax, label="share of the true class [%]", shrink=0.8)
        for i, j in np.ndindex(values.shape):
            text = str(Estimate(100 * matrix[i][j].value, 100 * matrix[i][j].error)).replace(" ± ", "\n± ")
            ax.text(j, i, text, ha="center", va="center", color="white" if values[i, j] > 0.6 else "black", fontsize=10)
        ax.set_xticks(range(len(names)), names)
        ax.set_yticks(range(len(names)), axis)
        ax.set(xlabel="called", ylabel="truth (events)")
    numbers = [[list(share) for share in row] for row in matrix]
    return {"accuracy": list(right), "confusion": numbers}


def _sides(labels: np.ndarray, calls: np.ndarray) -> np.ndarray:
    """Return 1 or 0 so that `accuracy` finds right what is called right, whatever the number of classes."""
    last = labels == labels.max()
    return np.where(calls == labels, last, ~last).astype(float)
