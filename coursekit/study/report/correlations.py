"""How the features hang together, in each class, and where signal and background differ in that."""

import numpy as np
import pandas as pd

from coursekit.study.dataset import Dataset
from coursekit.study.outcome import Outcome
from coursekit.study.report.drawing import NothingToDraw, by_class, column
from coursekit.study.report.page import Page
from coursekit.study.report.selection import shown, signal_class
from coursekit.study.report.statistics import correlations
from coursekit.study.settings import Study

_WITH_NUMBERS = 16  # columns; in a larger matrix the numbers cannot be read


def add_correlations(page: Page, study: Study, dataset: Dataset, outcome: Outcome) -> dict:
    """Draw the matrix of linear correlations of each class, and the signal's minus that of all others.

    Parameters
    ----------
    page : Page
    study : Study
    dataset : Dataset
    outcome : Outcome
        Not looked at.

    Returns
    -------
    dict
        Nothing: the matrices are tables of the page.

    Raises
    ------
    NothingToDraw
        There are fewer than two columns, or a class has no training events with weight.
    ValueError
        A column is asked for that does not exist.
    """
    classes = by_class(dataset)
    view, events, what = shown(dataset)
    names, table = _columns(study, dataset, view, events)
    if len(names) < 2:
        raise NothingToDraw(f"a correlation takes two columns, and there is {len(names)}")
    groups = {name: np.intersect1d(events, rows) for name, rows in classes.items()}
    signal = dataset.classes[signal_class(study, dataset)]
    if len(groups) > 2:
        rest = np.concatenate([rows for name, rows in groups.items() if name != signal])
        groups["all but " + signal] = np.sort(rest)
    matrices = {}
    for name, rows in groups.items():
        weights = view.weights[rows]
        if len(rows) < 2 or not weights.sum() > 0:
            raise NothingToDraw(f"{name} has {len(rows)} {what}, which add up to {weights.sum():g}")
        matrices[name] = correlations(table[np.searchsorted(events, rows)], weights)
        caption = f"Correlations in {name}, of {len(rows)} {what}."
        _add(page, f"correlations_{_file(name)}", caption, matrices[name], names, f"{name} ({len(rows)} events)")
    others = [name for name in matrices if name != signal]
    if signal in matrices and others:
        difference = matrices[signal] - matrices[others[-1]]
        caption = f"Correlations in {signal} minus those in {others[-1]}: where it is not zero, a network can use it."
        _add(page, "correlations_difference", caption, difference, names, f"{signal} minus {others[-1]}")
    return {}


def _columns(study: Study, dataset: Dataset, view, events: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Return names and values of some events: of features as the network sees them, of others as they are."""
    names = list(study.apply.correlations.columns or dataset.features)
    inputs = view.inputs(events, evaluation=dataset.fitted is not None)
    if not isinstance(inputs, np.ndarray) or inputs.ndim != 2:
        if not study.apply.correlations.columns:
            raise NothingToDraw("the network sees pictures or sets, which have no columns")
        inputs = np.empty((len(events), 0))
    scaled = dict(zip(view.scaler.outputs if view.scaler else dataset.features, inputs.T, strict=False))
    key = "apply.correlations.columns"
    values = [scaled[n] if n in scaled else column(dataset, n, key)[events] for n in names]
    return names, np.column_stack(values).astype(np.float64)


def _file(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name)


def _add(page: Page, name: str, caption: str, matrix: np.ndarray, names: list[str], title: str) -> None:
    side = max(4.2, 0.52 * len(names) + 1.6) if len(names) <= _WITH_NUMBERS else 11
    strongest = np.abs(np.where(np.eye(len(names), dtype=bool), 0, np.nan_to_num(matrix)))
    i, j = np.unravel_index(strongest.argmax(), matrix.shape)
    alt = f"{title}: the largest entry off the diagonal is {matrix[i, j]:.2f}, of {names[i]} and {names[j]}"
    table = pd.DataFrame(matrix, index=names, columns=names).rename_axis("column")
    with page.figure(name, caption, alt=alt, table=table, folded=True, size=(side + 0.8, side)) as ax:
        image = ax.imshow(matrix, vmin=-1, vmax=1, cmap="PuOr")
        ax.figure.colorbar(image, ax=ax, label="linear correlation", shrink=0.8)
        if len(names) <= _WITH_NUMBERS:
            for at in np.ndindex(matrix.shape):
                text = "–" if np.isnan(matrix[at]) else f"{matrix[at]:.1f}".replace("-0.0", "0.0").replace("-", "−")
                colour = "white" if abs(matrix[at]) > 0.7 else "black"
                ax.text(at[1], at[0], text, ha="center", va="center", fontsize=8, color=colour)
        small = 9 if len(names) <= _WITH_NUMBERS else max(4, 250 / len(names))
        ax.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor", fontsize=small)
        ax.set_yticks(range(len(names)), names, fontsize=small)
        ax.set_title(title, fontsize=11)
