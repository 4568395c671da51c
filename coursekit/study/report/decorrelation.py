"""How much the score knows of a spectator in the background: a cut then gives the background a shape it had not.

A search that fits a mass spectrum wants a score that selects the signal and leaves the spectrum of the background as it
is. Three numbers say how far that is true, each 0 for a score that knows nothing of the spectator:

- the Jensen-Shannon divergence between the spectra of background that passes a cut and that does not, for each
  rejection, as in studies of mass-decorrelated taggers;
- the squared distance correlation of score and spectator, which DisCo minimises in training;
- their mutual information.

References
----------
ATLAS, Performance of mass-decorrelated jet substructure observables for hadronic two-body decay tagging,
ATL-PHYS-PUB-2018-014; CMS, arXiv:2004.08262; G. Kasieczka, D. Shih, DisCo Fever, arXiv:2001.05310.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd

from coursekit.metrics import Estimate
from coursekit.study.dataset import Dataset
from coursekit.study.outcome import Outcome
from coursekit.study.report import selection
from coursekit.study.report.counts import count, share_ratio
from coursekit.study.report.distances import (
    cells,
    deal,
    distance_correlation,
    jackknife,
    mutual_information,
    pass_fail,
)
from coursekit.study.report.drawing import axis_label, column, edges_of, line
from coursekit.study.report.page import Page
from coursekit.study.settings import Study

_BINS = 30
_LARGEST = 50_000  # events of which a distance correlation is taken: 20 times some tenths of a second
_MEASURES = {
    "correlation": "linear correlation",
    "distance_correlation": "squared distance correlation",
    "mutual_information": "mutual information [bit]",
}
_MARKERS = "os^Dv"


class _Background(NamedTuple):
    """Background events that are tested: their spectator, score and weights, (n,) each, and groups of them."""

    values: np.ndarray
    score: np.ndarray
    weights: np.ndarray
    group: np.ndarray


def cut_at(score: np.ndarray, weights: np.ndarray, efficiency: float) -> float:
    """Return the highest cut that keeps at least this share of the weight.

    Examples
    --------
    >>> cut_at(np.array([0.1, 0.2, 0.3, 0.4]), np.ones(4), 0.5)
    0.3
    """
    order = np.argsort(score, kind="stable")[::-1]
    kept = np.cumsum(weights[order]) >= efficiency * weights.sum() * (1 - 1e-12)
    return float(score[order][np.argmax(kept)]) if kept.any() else -np.inf


def add_decorrelation(page: Page, study: Study, dataset: Dataset, outcome: Outcome) -> dict:
    """Add for each spectator its shape in background behind cuts, the divergence by rejection, and a table.

    Parameters
    ----------
    page : Page
    study : Study
    dataset : Dataset
    outcome : Outcome

    Returns
    -------
    dict
        For each spectator ``correlation``, ``distance_correlation`` (squared) and ``mutual_information`` (bits) with
        the score in the background, and ``divergence`` by background efficiency; ``value`` and ``error`` of each.

    Raises
    ------
    ValueError
        A spectator is no column.
    """
    settings = study.apply.decorrelation
    rows = selection.tested(dataset)
    rows = rows[dataset.labels[rows] != selection.signal_class(study, dataset)]
    scores = selection.one_score(study, dataset, outcome.scores)[:, rows]
    weights = selection.expected(dataset, rows, study.apply.luminosity_fb)
    group = deal(len(rows), np.random.default_rng(study.job.seed))
    tables, curves, numbers = {}, {}, {}
    for name in settings.spectators or study.input.spectators:
        values = column(dataset, name, "apply.decorrelation.spectators")
        edges = edges_of(study, name, values[rows], _BINS)
        repeats = [_Background(values[rows], score, weights, group) for score in scores]
        curves[name] = {share: selection.combined([_divergence(one, edges, share) for one in repeats])
                        for share in settings.background_efficiencies}  # fmt: skip
        measured = [_knowledge(one) for one in repeats]
        known = {key: selection.combined([of_repeat[key] for of_repeat in measured]) for key in _MEASURES}
        _draw_shapes(page, study, name, repeats[0], edges)
        tables[name] = {title: known[key] for key, title in _MEASURES.items()}
        numbers[name] = {key: _plain(found) for key, found in known.items()}
        numbers[name]["divergence"] = {f"{share:g}": _plain(found) for share, found in curves[name].items()}
    _draw_curves(page, study, curves, len(rows))
    text = "What the score knows of each spectator in the background, 0 if nothing; without the bias of few events, "
    text += f"errors from leaving out each twentieth of {min(len(rows), _LARGEST)} tested events."
    page.add("decorrelation_table", text, table=pd.DataFrame.from_dict(tables, orient="index"))
    return numbers


def _plain(estimate: Estimate) -> dict[str, float]:
    return {"value": estimate.value, "error": estimate.error}


def _divergence(events: _Background, edges: np.ndarray, efficiency: float) -> Estimate:
    passed = events.score >= cut_at(events.score, events.weights, efficiency)
    return pass_fail(cells(events.values, edges), passed, events.weights, len(edges) + 1, events.group)


def _knowledge(events: _Background) -> dict[str, Estimate]:
    """Return the three measures of what the score knows of the spectator, for as many events as there is time for."""
    kept = np.isfinite(events.values)
    values, score, weights, group = (of_event[kept][:: -(-kept.sum() // _LARGEST)] for of_event in events)
    group = deal(len(group), np.random.default_rng(0))

    def of(measure: Callable) -> Estimate:
        return jackknife(lambda at: measure(values[at], score[at], weights[at]), group)

    measures = (linear_correlation, distance_correlation, mutual_information)
    return {key: of(measure) for key, measure in zip(_MEASURES, measures, strict=True)}


def linear_correlation(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> float:
    """Return Pearson's correlation of weighted events; NaN if one of the two does not vary.

    Examples
    --------
    >>> round(linear_correlation(np.array([0.0, 1.0, 2.0]), np.array([1.0, -1.0, -3.0]), np.ones(3)), 9)
    -1.0
    """
    w = weights / weights.sum()
    dx, dy = x - (w * x).sum(), y - (w * y).sum()
    spread = (w * dx**2).sum() * (w * dy**2).sum()
    return float((w * dx * dy).sum() / np.sqrt(spread)) if spread > 0 else np.nan


def _draw_shapes(page: Page, study: Study, name: str, events: _Background, edges: np.ndarray) -> None:
    """Draw the spectator behind cuts that keep a share of the background, and the ratio to all of it."""
    caption = (
        f"{axis_label(study, name)} of {len(events.values)} tested background events: shapes behind cuts that keep "
    )
    caption += (
        "a share of the background, and below their ratio to that of all; errors are those of a part over its whole."
    )
    panels = {"rows": 2, "size": (7, 6), "sharex": True, "gridspec_kw": {"height_ratios": [3, 1]}}
    with page.figure(f"decorrelation_{name}", caption, **panels) as (ax, below):
        every, width = count(events.values, events.weights, edges), np.diff(edges)
        ax.stairs(every.value / (every.value.sum() * width), edges, fill=True, color="0.85", label="all")
        shares = study.apply.decorrelation.background_efficiencies
        for number, share in enumerate(shares):
            passed = events.score >= cut_at(events.score, events.weights, share)
            after, rest = (count(events.values[at], events.weights[at], edges) for at in (passed, ~passed))
            ratio, error = share_ratio(after, rest)
            if after.value.sum() > 0:
                label = f"{100 * share:g}% pass ({int(passed.sum())} events)"
                ax.stairs(after.value / (after.value.sum() * width), edges, label=label, linewidth=1.8, **line(number))
            middle = (edges[1:] + edges[:-1]) / 2 + ((number + 0.5) / len(shares) - 0.5) * 0.6 * width
            below.errorbar(middle, ratio, error, linestyle="", marker=_MARKERS[number % 5], markersize=3,
                           color=line(number)["color"], elinewidth=1)  # fmt: skip
        below.axhline(1, color="black", linestyle=":", linewidth=1)
        below.set(ylim=(0, 3), xlabel=axis_label(study, name), ylabel="over all")
        ax.set(ylabel="background, scaled to area one", ylim=(0, 1.3 * ax.get_ylim()[1]))
        ax.legend(fontsize=9)


def _draw_curves(page: Page, study: Study, curves: dict, n: int) -> None:
    """Draw the divergence of each spectator against the rejection."""
    caption = (
        "Jensen-Shannon divergence of each spectator between background that passes a cut and that does not, by the "
    )
    caption += (
        f"rejection of the cut; 0 for a score that knows nothing of it. {n} tested events; the bias of few events is "
    )
    caption += "taken away, so that a value may lie below 0."
    with page.figure("decorrelation", caption) as ax:
        for number, (name, curve) in enumerate(curves.items()):
            shares = np.array(sorted(curve))
            values, errors = np.transpose([tuple(curve[share]) for share in shares.tolist()])
            ax.errorbar(1 / shares, values, errors, marker=_MARKERS[number % 5], capsize=3,
                        label=axis_label(study, name), **line(number))  # fmt: skip
        ax.axhline(0, color="black", linestyle=":", linewidth=1)
        ax.set_xscale("log")
        ax.set_xticks(1 / shares, [f"{1 / share:.3g}" for share in shares], minor=False)
        ax.minorticks_off()
        ax.set(xlabel="background rejection 1/ε", ylabel="Jensen–Shannon divergence [bit]")
        ax.legend(fontsize=9)
