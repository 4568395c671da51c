"""What a cut on the score does to other variables: shapes before and after, their ratio, and how far they are apart."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from coursekit.files import replacing
from coursekit.metrics import Estimate
from coursekit.study.dataset import Dataset
from coursekit.study.outcome import Outcome
from coursekit.study.report import selection
from coursekit.study.report.counts import Counts, count, share_ratio
from coursekit.study.report.distances import cells, deal, pass_fail
from coursekit.study.report.drawing import axis_label, column, edges_of, line
from coursekit.study.report.page import Page
from coursekit.study.report.processes import blinded, processes, said
from coursekit.study.report.scores import draw_stack
from coursekit.study.settings import Study

_BINS = 30
_MARKERS = "os^Dv"


class _Events(NamedTuple):
    """What is drawn of each kind: the positions of its events, and their weights."""

    rows: np.ndarray
    weights: np.ndarray


def add_cuts(page: Page, study: Study, dataset: Dataset, outcome: Outcome) -> dict:
    """Add for each variable the shapes after each cut beside those before, data beside simulation, and a table.

    Simulation is that of the tested events. Data are shown outside the blinded range alone, before and after a cut,
    and simulation beside them is, too.

    Parameters
    ----------
    page : Page
    study : Study
    dataset : Dataset
    outcome : Outcome

    Returns
    -------
    dict
        For each variable and each cut, as text, the Jensen-Shannon divergence between background that passes and that
        does not, ``value`` and ``error``.

    Raises
    ------
    ValueError
        A variable is no column.
    """
    settings = study.apply.cuts
    names = settings.variables or [*dataset.features, *study.input.spectators]
    rows = selection.tested(dataset)
    weights = selection.expected(dataset, rows, study.apply.luminosity_fb)
    is_signal = dataset.labels[rows] == selection.signal_class(study, dataset)
    kinds = {"background": _Events(rows[~is_signal], weights[~is_signal])}
    kinds["signal"] = _Events(rows[is_signal], weights[is_signal])
    score = selection.one_score(study, dataset, outcome.scores)
    table, numbers = [], {}
    for name in names:
        values = column(dataset, name, "apply.cuts.variables")
        edges = edges_of(study, name, values[rows], _BINS)
        ratios = _draw_shapes(page, study, name, values, score[0], kinds, edges)
        if settings.ratio_table:
            _write_ratios(page, name, edges, ratios)
        if len(selection.data(dataset)):
            _draw_data(page, study, dataset, name, values, score[0], edges)
        numbers[name] = {}
        for cut in settings.cuts:
            distance = _sculpting(study, values, score, kinds["background"], edges, cut)
            numbers[name][f"{cut:g}"] = {"value": distance.value, "error": distance.error}
            table.append({"variable": name, "cut": cut, "JSD of background that passes and that does not": distance})
    page.add("sculpting", "How far a cut on the score changes the shape of the background: Jensen-Shannon divergence "
             "between what passes and what does not, in bits (0: one shape, 1: no overlap), without the bias of few "
             "events; the error is from leaving out each twentieth of them.",
             table=pd.DataFrame(table).set_index("variable"))  # fmt: skip
    return numbers


def _sculpting(study: Study, values, score, background: _Events, edges, cut: float) -> Estimate:
    group = deal(len(background.rows), np.random.default_rng(study.job.seed))
    cell, weights = cells(values[background.rows], edges), background.weights
    passed = [of_repeat[background.rows] >= cut for of_repeat in score]
    return selection.combined([pass_fail(cell, one, weights, len(edges) + 1, group) for one in passed])


def _draw_shapes(page: Page, study: Study, name: str, values, score, kinds: dict, edges) -> dict:
    """Draw one column of panels for each kind, and return {(kind, cut): (ratio, error)}."""
    ratios, cuts = {}, study.apply.cuts.cuts
    caption = f"{axis_label(study, name)} before and after cuts on the score, each scaled to the area 1, of tested "
    caption += "events; below: after over before, with the error of a part over its whole."
    with page.figure(f"cuts_{name}", caption, rows=2, columns=len(kinds), size=(5.5 * len(kinds), 5.5), sharex=True,
                     gridspec_kw={"height_ratios": [3, 1]}) as axes:  # fmt: skip
        for (kind, (rows, weights)), ax, below in zip(kinds.items(), *axes, strict=True):
            before = count(values[rows], weights, edges)
            _draw_shape(ax, before, edges, 0, f"all ({len(rows)} events)")
            for number, cut in enumerate(cuts, start=1):
                passed = score[rows] >= cut
                after, rest = (count(values[rows][at], weights[at], edges) for at in (passed, ~passed))
                ratios[kind, cut] = ratio, error = share_ratio(after, rest)
                _draw_shape(ax, after, edges, number, f"score ≥ {cut:g} ({int(passed.sum())} events)")
                middle = (edges[1:] + edges[:-1]) / 2 + (number - (len(cuts) + 1) / 2) * 0.1 * np.diff(edges)
                below.errorbar(middle, ratio, error, linestyle="", marker=_MARKERS[number % 5], markersize=3,
                               color=line(number)["color"])  # fmt: skip
            below.axhline(1, color="black", linestyle=":", linewidth=1)
            below.set(ylim=(0, 3), xlabel=axis_label(study, name), ylabel="after / before")
            ax.set(title=kind, ylabel="events, scaled to area one")
            ax.set_ylim(min(ax.get_ylim()[0], 0), 1.3 * ax.get_ylim()[1])
            ax.legend(fontsize=9)
    return ratios


def _draw_shape(ax, counts: Counts, edges, number: int, label: str) -> None:
    area = counts.value.sum() * np.diff(edges)
    if not counts.value.sum() > 0:
        label += ", nothing to draw"
        area = np.full(len(area), np.nan)
    ax.stairs(counts.value / area, edges, label=label, linewidth=1.8, **line(number))


def _draw_data(page: Page, study: Study, dataset: Dataset, name: str, values, score, edges) -> None:
    """Draw simulation and data after each cut, both outside the blinded range."""
    cuts, blind = study.apply.cuts.cuts, study.apply.blind
    rows = np.concatenate([selection.tested(dataset), selection.data(dataset)])
    weights = np.zeros(len(score))
    weights[rows] = selection.expected(dataset, rows, study.apply.luminosity_fb)
    visible = ~blinded(blind, score)
    caption = f"{axis_label(study, name)} after cuts on the score, simulation of tested events and data"
    caption += f"; {said(blind)}, and simulation, too" if blind else ""
    with page.figure(f"cuts_{name}_data", f"{caption}.", rows=2, columns=len(cuts), size=(5.5 * len(cuts), 5.5),
                     sharex=True, squeeze=False, gridspec_kw={"height_ratios": [3, 1]}) as axes:  # fmt: skip
        for cut, ax, below in zip(cuts, *axes, strict=True):
            shown = processes(study, dataset, rows[visible[rows] & (score[rows] >= cut)])
            counts = {one.name: count(values[one.rows], weights[one.rows], edges) for one in shown}
            observed = sum((counts[one.name].value for one in shown if one.kind == "data"), np.zeros(len(edges) - 1))
            hidden = f"\n{said(blind)}" if blind else ""
            ax.set(title=f"score ≥ {cut:g}{hidden}", ylabel=f"events / bin at {study.apply.luminosity_fb:g}/fb")
            if shown:
                draw_stack(ax, below, shown, counts, observed, edges)
                ax.set_ylim(min(ax.get_ylim()[0], 0), 1.5 * ax.get_ylim()[1])
                ax.legend(fontsize=8)
            else:
                ax.text(0.5, 0.5, "no events that may be shown", ha="center", transform=ax.transAxes)
            below.set(xlabel=axis_label(study, name))


def _write_ratios(page: Page, name: str, edges: np.ndarray, ratios: dict) -> None:
    """Write the ratios of all bins: for each kind and cut, and each bin, the edges, the ratio and its error."""
    frames = [
        pd.DataFrame({"kind": kind, "cut": cut, "low": edges[:-1], "high": edges[1:], "ratio": ratio, "error": error})
        for (kind, cut), (ratio, error) in ratios.items()
    ]
    path = page.folder / "tables" / f"ratios_{name}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        partial.write_text(pd.concat(frames).to_csv(index=False, lineterminator="\n"), encoding="utf-8")
    page.note(f"The ratios after / before of {name}, bin by bin, are in tables/{path.name}.")
