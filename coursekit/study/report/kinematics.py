"""The distributions of features and spectators: as they are in the files, and as the network sees them."""

import numpy as np
import pandas as pd

from coursekit.metrics import Estimate
from coursekit.preprocess import is_default
from coursekit.study.dataset import Dataset
from coursekit.study.outcome import Outcome
from coursekit.study.report.drawing import (
    Histogram,
    NothingToDraw,
    axis_label,
    by_class,
    by_sample,
    column,
    draw_histogram,
    edges_of,
    histogram,
    line,
    positive_floor,
    variable,
)
from coursekit.study.report.page import Page
from coursekit.study.report.selection import shown
from coursekit.study.report.statistics import mean_and_spread
from coursekit.study.settings import Study


def add_kinematics(page: Page, study: Study, dataset: Dataset, outcome: Outcome) -> dict:
    """Draw each column raw, of all simulated events, and each feature processed, of training events.

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
        Nothing: means and shares outside the axes are in the tables.

    Raises
    ------
    NothingToDraw
        There are no simulated events, or their weights cancel.
    ValueError
        A column is asked for that does not exist.
    """
    asked = study.apply.kinematics
    groups = by_class(dataset) if asked.by == "class" else by_sample(dataset)
    of_events = (name for name in (*dataset.features, *study.input.spectators) if name in dataset.columns)
    names = asked.columns or tuple(of_events)
    if not names:
        raise NothingToDraw("the network sees pictures or sets, which have no columns, and there are no spectators")
    if asked.raw:
        _add_raw(page, study, dataset, groups, names)
    if asked.processed:
        _add_processed(page, study, dataset, groups, names)
    return {}


def _add_raw(page: Page, study: Study, dataset: Dataset, groups: dict, names) -> None:
    asked, rows, weights = study.apply.kinematics, [], dataset.weights * study.apply.luminosity_fb
    for name in names:
        values = column(dataset, name, "apply.kinematics.columns")
        if name in study.input.defaults:  # what stands for "not there" would be a peak beside which nothing is seen
            values = np.where(is_default(values, study.input.defaults[name]), np.nan, values)
        edges = edges_of(study, name, values[np.concatenate(list(groups.values()))], asked.bins)
        found = {group: _counted(values[at], weights[at], edges, asked.density, group) for group, at in groups.items()}
        how = "scaled to area one" if asked.density else f"expected at {study.apply.luminosity_fb:g}/fb"
        outside = ", ".join(f"{100 * (h.below + h.above):.2g}% of {group}" for group, h in found.items())
        caption = f"{axis_label(study, name)} as in the files, physical weights, {how}; bands are errors of counting. "
        caption += f"Outside the axis: {outside}."
        absent = {
            g: 100 * float(weights[at][np.isnan(values[at])].sum() / weights[at].sum()) for g, at in groups.items()
        }
        if any(absent.values()):
            caption += " Not there, and not drawn: " + ", ".join(f"{x:.2g}% of {g}" for g, x in absent.items()) + "."
        _draw(page, study, f"raw_{name}", caption, name, found, {g: len(at) for g, at in groups.items()}, asked.density)
        rows += [_row(name, group, values[at], weights[at], found[group]) for group, at in groups.items()]
    table = pd.DataFrame(rows).set_index("column")
    page.add("raw", "Weighted mean and spread of each column, and the share outside its axis.", table=table)


def _add_processed(page: Page, study: Study, dataset: Dataset, groups: dict, names) -> None:
    view, events, what = shown(dataset)
    inputs = view.inputs(events, evaluation=dataset.fitted is not None)
    if not isinstance(inputs, np.ndarray) or inputs.ndim != 2:
        page.note("The network sees pictures or sets, which have no columns: there are no processed ones to draw.")
        return
    weights, rows = view.weights[events], []
    inside = {group: np.isin(events, at) for group, at in groups.items()}
    for place, name in enumerate(view.input_names):
        if name in dataset.features and name not in names:
            continue
        values = inputs[:, place].astype(np.float64)
        two = len(np.unique(values)) <= 2  # a check is 0 or 1
        low, high = np.quantile(values, (0.005, 0.995))
        edges = np.linspace(-0.5, 1.5, 3) if two else np.linspace(low, max(high, low + 1e-6), 41)
        found = {
            group: _counted(values[at], weights[at], edges, True, group) for group, at in inside.items() if at.any()
        }
        if not found:
            raise NothingToDraw("there are no training events")
        caption = f"{name} as the network sees it: {what}, scaled to area one."
        numbers = {group: int(inside[group].sum()) for group in found}
        _draw(page, study, f"processed_{name}", caption, name, found, numbers, True, processed=True)
        rows += [_row(name, group, values[inside[group]], weights[inside[group]], h) for group, h in found.items()]
    table = pd.DataFrame(rows).set_index("column")
    page.add("processed", "Mean and spread of each input of the network, and the share outside its axis.", table=table)


def _counted(values, weights, edges, density: bool, group: str) -> Histogram:
    try:
        return histogram(values, weights, edges, density)
    except NothingToDraw as error:
        raise NothingToDraw(f"{group}: {error}") from error


def _draw(page, study, name: str, caption: str, of: str, found: dict, numbers: dict, density: bool, processed=False):
    """Draw one column, each group a curve, with a ratio to the first if that is asked for."""
    ratio = study.apply.kinematics.ratio and len(found) > 1
    panels = {"rows": 2, "size": (6, 5.4), "sharex": True, "height_ratios": [3, 1]} if ratio else {"size": (6, 4.2)}
    with page.figure(name, caption, **panels) as axes:
        ax = axes[0] if ratio else axes
        for number, (group, h) in enumerate(found.items()):
            draw_histogram(ax, h, f"{group} ({numbers[group]} events)", number)
        if variable(study, of).log:
            positive_floor(ax, *found.values())
        else:
            ax.set_ylim(bottom=min(0, *(float(h.value.min()) for h in found.values())))
        ax.set_ylabel("events, scaled to area one" if density else "expected events")
        ax.legend(fontsize=9)
        if ratio:
            _draw_ratio(axes[1], found)
        (axes[1] if ratio else ax).set_xlabel(f"{of}, scaled" if processed else axis_label(study, of))


def _draw_ratio(ax, found: dict) -> None:
    """Draw each curve over the first, with the errors of both."""
    (first, base), *others = found.items()
    middle = (base.edges[1:] + base.edges[:-1]) / 2
    for number, (_, h) in enumerate(others, start=1):
        there = (base.value > 0) & (h.value > 0)
        ratio = h.value[there] / base.value[there]
        error = ratio * np.hypot(h.error[there] / h.value[there], base.error[there] / base.value[there])
        ax.errorbar(middle[there], ratio, error, linestyle="", marker="os^Dv"[number % 5], markersize=3,
                    color=line(number)["color"])  # fmt: skip
    ax.axhline(1, color="black", linestyle=":", linewidth=1)
    ax.set_ylim(0, 3)
    ax.set_ylabel(f"over {first}")


def _row(name: str, group: str, values, weights, found: Histogram) -> dict:
    there = np.isfinite(values)
    try:
        mean, spread = mean_and_spread(values[there], weights[there])
    except ValueError:  # negative weights, few events
        mean = spread = Estimate(np.nan, np.nan)
    row = {"column": name, "events of": group, "events": len(values), "mean": mean, "spread": spread}
    row |= {"below axis [%]": 100 * found.below, "above axis [%]": 100 * found.above}
    return row | {"not there": int((~there).sum())}
