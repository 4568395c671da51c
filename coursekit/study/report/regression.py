"""How well a regression hits its target: residuals, bias and resolution, each with its error."""

from itertools import pairwise

import numpy as np
import pandas as pd

from coursekit.metrics import Estimate
from coursekit.study.dataset import Dataset
from coursekit.study.outcome import Outcome
from coursekit.study.report.drawing import NothingToDraw, axis_label, draw_histogram, histogram, quantiles
from coursekit.study.report.page import Page
from coursekit.study.report.selection import combined, tested
from coursekit.study.report.statistics import correlations, mean_and_spread
from coursekit.study.settings import Study

_BINS = 10  # of the target, with equal numbers of events


def add_regression(page: Page, study: Study, dataset: Dataset, outcome: Outcome) -> dict:
    """Draw what the network says against the target, the residuals, and bias and resolution in bins of the target.

    Parameters
    ----------
    page : Page
    study : Study
    dataset : Dataset
        With `targets`.
    outcome : Outcome

    Returns
    -------
    dict
        ``bias``, ``resolution`` and ``correlation``, ``[value, error]`` each; in the unit of the target.

    Raises
    ------
    NothingToDraw
        There are no tested events, or their weights cancel.
    """
    rows = tested(dataset)
    target, weights = dataset.targets[rows], dataset.weights[rows]
    if len(rows) < 2 or not weights.sum() > 1e-12 * np.abs(weights).sum():
        raise NothingToDraw(f"{len(rows)} events that no network has trained on have weights of {weights.sum():.3g}")
    said = outcome.scores[:, rows, 0].astype(np.float64)
    measured = _measured(said, target, weights)
    table = pd.DataFrame({name: {"value": value} for name, value in measured.items()}).T.rename_axis("measure")
    for name, value in measured.items():
        page.result(f"{name} of {study.input.target}", value)
    label = axis_label(study, study.input.target)
    how = f"{len(rows)} events, not trained on"
    _draw_residuals(page, said[0] - target, weights, label, how, table)
    _draw_map(page, said[0], target, weights, label, how)
    _draw_profile(page, said, target, weights, label, how)
    return {name: list(value) for name, value in measured.items()}


def _measured(said: np.ndarray, target: np.ndarray, weights: np.ndarray) -> dict[str, Estimate]:
    """Return bias, resolution and correlation, means over the repeats."""
    pairs = [_bias_and_resolution(one - target, weights) for one in said]
    n = weights.sum() ** 2 / (weights**2).sum()
    links = [float(correlations(np.column_stack([one, target]), weights)[0, 1]) for one in said]
    found = {name: combined(of) for name, of in zip(("bias", "resolution"), zip(*pairs, strict=True), strict=True)}
    return found | {"correlation": combined([Estimate(r, (1 - r**2) / np.sqrt(max(n - 1, 1))) for r in links])}


def _bias_and_resolution(residuals: np.ndarray, weights: np.ndarray) -> tuple[Estimate, Estimate]:
    try:
        return mean_and_spread(residuals, weights)
    except ValueError as error:
        raise NothingToDraw(f"residuals of {len(residuals)} events: {error}") from error


def _draw_residuals(page: Page, residuals: np.ndarray, weights: np.ndarray, label: str, how: str, table) -> None:
    found = histogram(residuals, weights, np.linspace(*quantiles(residuals), 41), density=True)
    caption = (
        "What the network says minus the target. Bias is the mean, resolution the standard deviation, of all events, "
        f"those beyond the axis ({100 * (found.below + found.above):.2g}%) included."
    )
    with page.figure("residuals", caption, table=table) as ax:
        draw_histogram(ax, found, how, 0)
        ax.axvline(0, color="black", linestyle=":", linewidth=1)
        ax.set(xlabel=f"network minus target: {label}", ylabel="events, scaled to area one", ylim=(0, None))
        ax.legend(fontsize=9)


def _draw_map(page: Page, said: np.ndarray, target: np.ndarray, weights: np.ndarray, label: str, how: str) -> None:
    limits = quantiles(np.concatenate([said, target]))
    edges = np.linspace(*limits, 41)
    counts = np.histogram2d(target, said, edges, weights=weights)[0]
    counts[counts <= 0] = np.nan
    with page.figure("prediction", f"What the network says against the target, {how}.", size=(6, 5)) as ax:
        mesh = ax.pcolormesh(edges, edges, counts.T, cmap="cividis", rasterized=True)
        ax.figure.colorbar(mesh, ax=ax, label="sum of weights")
        ax.plot(limits, limits, color="black", linestyle=":", linewidth=1.2, label="right")
        ax.set(xlabel=f"target: {label}", ylabel=f"network: {label}")
        ax.legend(fontsize=9, title=how)


def _draw_profile(page: Page, said: np.ndarray, target: np.ndarray, weights: np.ndarray, label: str, how: str) -> None:
    """Draw bias and resolution in bins of the target with equal numbers of events."""
    edges = np.unique(np.quantile(target, np.linspace(0, 1, _BINS + 1)))
    if len(edges) < 3:
        page.note("The target has too few values for bias and resolution in bins of it.")
        return
    rows = []
    for low, high in pairwise(edges):
        inside = (target >= low) & ((target < high) | (high == edges[-1]))
        try:
            pairs = [_bias_and_resolution((one - target)[inside], weights[inside]) for one in said]
        except NothingToDraw as error:  # few events, some with negative weights
            page.note(f"No bias and resolution for a target from {low:.4g} to {high:.4g}: {error}.")
            continue
        bias, resolution = (combined(of) for of in zip(*pairs, strict=True))
        rows.append({"from": low, "to": high, "events": int(inside.sum()), "bias": bias, "resolution": resolution})
    if not rows:
        return
    table = pd.DataFrame(rows).set_index("from")
    caption = f"Bias and resolution in bins of the target with equal numbers of events, {how}."
    with page.figure("bias_and_resolution", caption, table=table, folded=True, columns=2, size=(11, 4.2)) as axes:
        for ax, name in zip(axes, ("bias", "resolution"), strict=True):
            middle = [(row["from"] + row["to"]) / 2 for row in rows]
            half = [(row["to"] - row["from"]) / 2 for row in rows]
            values, errors = np.transpose([tuple(row[name]) for row in rows])
            ax.errorbar(middle, values, errors, half, linestyle="", marker="o", markersize=4, capsize=2, label=how)
            ax.set(xlabel=f"target: {label}", ylabel=name)
            ax.legend(fontsize=9)
        axes[0].axhline(0, color="black", linestyle=":", linewidth=1)
