"""How the trainings went: curves by epoch, and what the network says after the epochs that were kept."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from coursekit.metrics import auc, roc_curve
from coursekit.study.dataset import Dataset
from coursekit.study.outcome import Outcome, Training
from coursekit.study.report.drawing import MARKERS, NothingToDraw, draw_histogram, histogram, line
from coursekit.study.report.page import Page
from coursekit.study.report.selection import one_score, signal_class, training_view
from coursekit.study.settings import Study

_NAMES = {"loss": "loss", "accuracy": "weighted accuracy", "auc": "weighted AUC"}
_MANY = 6  # trainings; with more, each is a thin line of one colour


def add_histories(page: Page, study: Study, dataset: Dataset, outcome: Outcome) -> dict:
    """Draw loss, accuracy and AUC of every training by epoch, training and validation, with the best epoch.

    Parameters
    ----------
    page : Page
    study : Study
    dataset : Dataset
    outcome : Outcome

    Returns
    -------
    dict
        ``best_epoch`` and ``epochs`` of each training.

    Raises
    ------
    NothingToDraw
        No training has a history, as boosted trees may not.
    """
    trainings = outcome.trainings
    quantities = [key for key in study.apply.histories.quantities if any(t.history.get(key) for t in trainings)]
    if not quantities:
        raise NothingToDraw("the trainings have kept no history of " + ", ".join(study.apply.histories.quantities))
    n_validation = 0 if dataset.fitted is not None else len(training_view(dataset).validation)  # not those of here
    for quantity in quantities:
        kept = [training for training in trainings if training.history.get(quantity)]
        name = _NAMES[quantity]
        caption = (
            f"{name[0].upper()}{name[1:]} by epoch, {len(kept)} training{'s' * (len(kept) > 1)}: training (full "
            "lines) and validation (dashed); a mark is at the epoch whose weights the network has."
        )
        with page.figure(f"history_{quantity}", caption, alt=_spoken(kept, quantity)) as ax:
            for number, training in enumerate(kept):
                _draw(ax, training, quantity, number, len(kept))
            for dashes, label in (("-", "training"), ("--", "validation")):
                ax.plot([], [], color="black", linestyle=dashes, linewidth=1.2, label=label)
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
            ax.set(xlabel="epoch", ylabel=name)
            ax.legend(fontsize=8, title=f"{n_validation} validation events" if n_validation else None)
    best = [training.best_epoch for training in trainings]
    lengths = [len(next(iter(training.history.values()), [])) for training in trainings]
    rows = {"seed": [t.seed for t in trainings], "fold": [t.fold for t in trainings], "epochs": lengths}
    rows |= {"best epoch": best}
    for key in [f"{start}{quantity}" for quantity in quantities for start in ("", "val_")]:
        if all(key in training.history for training in trainings):
            rows[key] = [training.history[key][training.best_epoch - 1] for training in trainings]
    table = pd.DataFrame(rows).dropna(axis=1, how="all").set_index("seed")
    page.add("histories", "Each training at its best epoch; val_ is of validation events.", table=table)
    return {"best_epoch": best, "epochs": lengths}


def _draw(ax, training: Training, quantity: str, number: int, n: int) -> None:
    """Draw both curves of a training, and mark its best epoch."""
    many = n > _MANY
    style = {"color": line(0 if many else number)["color"], "linewidth": 0.8 if many else 1.6}
    label = None if many else f"seed {training.seed}" + ("" if training.fold is None else f", fold {training.fold}")
    for key, dashes in ((quantity, "-"), (f"val_{quantity}", "--")):
        values = training.history.get(key)
        if not values:
            continue
        ax.plot(range(1, len(values) + 1), values, linestyle=dashes, **style)
        if key.startswith("val_") and training.best_epoch:
            marker = MARKERS[0 if many else number % len(MARKERS)]
            best = values[training.best_epoch - 1]
            ax.plot(training.best_epoch, best, color=style["color"], linestyle="", marker=marker, label=label)


def _spoken(trainings: Sequence[Training], quantity: str) -> str:
    """Say what the curves of the first training do."""
    history = trainings[0].history
    said = [
        f"{name} from {history[key][0]:.3g} to {history[key][-1]:.3g}"
        for name, key in (("training", quantity), ("validation", f"val_{quantity}"))
        if history.get(key)
    ]
    return f"{_NAMES[quantity]} in {len(history[quantity])} epochs of the first training: {', '.join(said)}"


def add_epochs(page: Page, study: Study, dataset: Dataset, kept: dict[int, np.ndarray]) -> dict:
    """Draw what the network says of validation events after each of the epochs that were kept.

    Parameters
    ----------
    page : Page
    study : Study
    dataset : Dataset
    kept : dict of int to (N, C) float32
        Epochs of the first training, counted from 1, and the scores of all events after them.

    Returns
    -------
    dict
        ``auc`` by epoch, value and error.

    Raises
    ------
    NothingToDraw
        No epoch was kept, or a class has no validation events.
    """
    if not kept:
        raise NothingToDraw("no network was kept after an epoch")
    epochs = sorted(kept)
    shown = sorted({*epochs[study.apply.epochs.every - 1 :: study.apply.epochs.every], epochs[-1]})
    rows = training_view(dataset).validation
    is_signal, weights = dataset.labels[rows] == signal_class(study, dataset), dataset.weights[rows]
    for name, chosen in (("signal", is_signal), ("background", ~is_signal)):
        if not weights[chosen].sum() > 0:
            raise NothingToDraw(f"the {chosen.sum()} validation events of the {name} have no positive sum of weights")
    scores = {epoch: one_score(study, dataset, kept[epoch][rows]) for epoch in shown}
    areas = {epoch: auc(is_signal, score, weights) for epoch, score in scores.items()}
    title = f"{len(rows)} validation events"
    caption = (
        "The AUC of validation events after each epoch that was kept, of the first training, with errors of counting."
    )
    table = pd.DataFrame({"AUC": list(areas.values())}, index=pd.Index(shown, name="epoch"))
    with page.figure("epochs_auc", caption, table=table) as ax:
        values, errors = np.transpose([tuple(area) for area in areas.values()])
        ax.errorbar(shown, values, errors, marker="o", capsize=3, label=title)
        ax.set(xlabel="epoch", ylabel="AUC")
        ax.legend(fontsize=9)
    few = sorted({shown[round(place)] for place in np.linspace(0, len(shown) - 1, min(5, len(shown)))})
    with page.figure("epochs_roc", "The ROC curves after some of these epochs; errors are those of counting.") as ax:
        for number, epoch in enumerate(few):
            roc = roc_curve(is_signal, scores[epoch], weights)
            some = roc.background_efficiency > 0
            label = f"epoch {epoch}"
            ax.plot(roc.signal_efficiency[some], 1 / roc.background_efficiency[some], label=label, **line(number))
        ax.set(xlabel="signal efficiency", ylabel="background rejection", yscale="log", xlim=(0, 1))
        ax.legend(fontsize=9, title=title)
    _add_scores_after(page, scores, few, is_signal, weights, title)
    return {"auc": {str(epoch): list(area) for epoch, area in areas.items()}}


def _add_scores_after(page: Page, scores, epochs, is_signal: np.ndarray, weights: np.ndarray, title: str) -> None:
    everything = np.concatenate([scores[epoch] for epoch in epochs])
    inside = everything.min() >= 0 and everything.max() <= 1
    edges = np.linspace(*((0, 1) if inside else (everything.min(), everything.max())), 31)
    caption = "The scores after some of these epochs, scaled to area one, with errors of counting."
    with page.figure("epochs_scores", caption, columns=2, size=(11, 4.2), sharey=True) as axes:
        for ax, name, chosen in zip(axes, ("signal", "background"), (is_signal, ~is_signal), strict=True):
            for number, epoch in enumerate(epochs):
                found = histogram(scores[epoch][chosen], weights[chosen], edges, density=True)
                draw_histogram(ax, found, f"epoch {epoch}", number)
            ax.set(xlabel=f"score of the {name}")
            ax.legend(fontsize=9, title=title)
        axes[0].set_ylabel("events, scaled to area one")
