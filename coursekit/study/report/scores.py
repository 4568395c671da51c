"""The score as an analysis looks at it: simulation stacked, signals over it, data where they may be seen."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from coursekit.metrics import Estimate
from coursekit.plots import COLOURS
from coursekit.study.dataset import Dataset
from coursekit.study.outcome import Outcome
from coursekit.study.report import selection
from coursekit.study.report.counts import Counts, count, edges_of, poisson_errors, total
from coursekit.study.report.page import Page
from coursekit.study.report.processes import Process, blinded, processes, said
from coursekit.study.settings import Study
from coursekit.words import listed, near

_HATCHES = ("", "///", "...", "\\\\\\", "xxx", "---", "ooo")  # fills that differ in a black-and-white print
_LINES = ("-", "--", "-.", ":")


def add_scores(page: Page, study: Study, dataset: Dataset, outcome: Outcome) -> dict:
    """Add the distribution of the score, on each axis that is asked for, and the table of yields.

    Simulation is that of the tested events, scaled so that they stand for the whole sample at the luminosity of the
    study. Nothing of the data is drawn where the score lies in `apply.blind`, nor in a bin that reaches into it.

    Parameters
    ----------
    page : Page
    study : Study
    dataset : Dataset
    outcome : Outcome

    Returns
    -------
    dict
        ``yields``: for each process, and for all of one kind, ``expected`` events, the ``error`` of the simulation,
        and the number of ``simulated`` ones; ``data``: those that are shown.

    Raises
    ------
    ValueError
        `apply.scores.samples` names a sample that there is not.
    """
    settings, luminosity = study.apply.scores, study.apply.luminosity_fb
    score = selection.one_score(study, dataset, outcome.scores[0])
    rows = np.concatenate([selection.tested(dataset), selection.data(dataset)])
    shown = chosen(processes(study, dataset, rows), settings.samples)
    weights = np.zeros(len(score))
    weights[rows] = selection.expected(dataset, rows, luminosity)
    hidden = blinded(study.apply.blind, score)
    table, numbers = _yields(shown, weights, hidden, study.apply.blind)
    edges = edges_of(score[rows], settings.bins, settings.range)
    simulated = {process.name: count(score[process.rows], weights[process.rows], edges) for process in shown}
    observed = None
    if any(process.kind == "data" for process in shown):
        there = np.concatenate([process.rows for process in shown if process.kind == "data"])
        observed = np.histogram(score[there][~hidden[there]], edges)[0].astype(float)
        observed[_reaches_into(edges, study.apply.blind)] = np.nan
    for axis in settings.axis:
        name = "scores" if axis == "linear" else "scores_log"
        panels = {"rows": 2, "gridspec_kw": {"height_ratios": [3, 1]}, "sharex": True} if observed is not None else {}
        with page.figure(
            name, _caption(study, dataset, rows, observed), size=(7, 6 if panels else 4.6), **panels
        ) as ax:
            top, below = ax if panels else (ax, None)
            draw_stack(top, below, shown, simulated, observed, edges, settings.signal_scale, settings.density)
            top.set_yscale(axis)
            _finish(top, below, axis, edges, study, settings.density)
    page.add(
        "yields", f"Events expected at {luminosity:g}/fb, with the statistical error of the simulation.", table=table
    )
    return numbers


def chosen(found: Sequence[Process], names: Sequence[str]) -> list[Process]:
    """Return the processes of the samples that are named, in this order; all if none are.

    Raises
    ------
    ValueError
        There is no sample of a name.
    """
    samples = list(dict.fromkeys(process.sample for process in found))
    for name in names:
        if name not in samples:
            raise ValueError(
                f"apply.scores.samples: there is no sample {name!r} with events;{near(name, samples)} "
                f"there is {listed(samples)}"
            )
    order = list(names) or samples
    return sorted((process for process in found if process.sample in order), key=lambda one: order.index(one.sample))


def _reaches_into(edges: np.ndarray, blind: tuple[float, float] | None) -> np.ndarray:
    if blind is None:
        return np.zeros(len(edges) - 1, bool)
    return (edges[1:] > blind[0]) & (edges[:-1] < blind[1])


def _yields(shown: list[Process], weights: np.ndarray, hidden: np.ndarray, blind) -> tuple[pd.DataFrame, dict]:
    numbers, rows = {}, {}
    groups = {process.name: [process] for process in shown}
    for kind in ("background", "signal"):
        of_kind = [process for process in shown if process.kind == kind]
        if len(of_kind) > 1:
            groups[f"all {kind}"] = of_kind
    for name, group in groups.items():
        at = np.concatenate([process.rows for process in group])
        is_data = group[0].kind == "data"
        visible = at[~hidden[at]]
        sums = [Estimate(float(weights[i].sum()), float(np.sqrt((weights[i] ** 2).sum()))) for i in (at, visible)]
        rows[name] = {
            "kind": group[0].kind,
            "events": None if is_data and blind else int(sums[0].value) if is_data else sums[0],
            "simulated": None if is_data else int(np.count_nonzero(weights[at])),
        }
        if blind:
            rows[name]["outside the blinded range"] = int(sums[1].value) if is_data else sums[1]
        numbers[name] = (
            {"observed": len(visible)}
            if is_data
            else {"expected": sums[0].value, "error": sums[0].error, "simulated": rows[name]["simulated"]}
        )
    table = pd.DataFrame.from_dict(rows, orient="index").astype(object)
    return table, {"yields": numbers}


def draw_stack(
    ax: Axes, below: Axes | None, shown: list[Process], simulated: dict[str, Counts], observed: np.ndarray | None,
    edges: np.ndarray, signal_scale: float = 1.0, density: bool = False,
) -> None:  # fmt: skip
    """Draw processes on top of each other, signals once more as lines, data as points, and their ratio below.

    Parameters
    ----------
    ax, below : matplotlib.axes.Axes
        The second for the ratio of data and simulation; None without data.
    shown : list of Process
    simulated : dict of str to Counts
        By the names of the processes.
    observed : (B,) float, or None
        Data; NaN in bins that are hidden.
    edges : (B + 1,) array
    signal_scale : float
        Factor on the lines of the signals.
    density : bool
        Everything to the area 1: simulation together, each signal, the data that are shown to that of the simulation
        in the same bins.
    """
    width, bins = np.diff(edges), len(edges) - 1
    stacked = sorted((one for one in shown if one.kind != "data"), key=lambda one: one.kind)  # background comes first
    stacked = [one for one in stacked if one.kind == "background"] if density else stacked
    together = total([simulated[one.name] for one in stacked], bins)
    unit = 1 / (together.value.sum() * width) if density else np.ones(bins)
    bottom = np.zeros(bins)
    for number, one in enumerate(stacked):
        top = bottom + simulated[one.name].value * unit
        style = {"hatch": _HATCHES[number % len(_HATCHES)], "edgecolor": "white", "linewidth": 0}
        ax.stairs(top, edges, baseline=bottom, fill=True, color=COLOURS[number % 6], label=one.name, **style)
        ax.stairs(top, edges, color="black", linewidth=0.6)
        bottom = top
    error = together.error * unit
    ax.stairs(bottom + error, edges, baseline=bottom - error, fill=True, color="none", hatch="////", edgecolor="0.3",
              linewidth=0, label="error of the simulation")  # fmt: skip
    for number, one in enumerate(one for one in shown if one.kind == "signal"):
        line = simulated[one.name].scaled(signal_scale).value
        line = line / (line.sum() * width) if density else line
        label = one.name + (f" × {signal_scale:g}" if signal_scale != 1 and not density else "")
        style = {"color": "black", "linestyle": _LINES[(number + 1) % len(_LINES)], "linewidth": 1.8}
        if density or signal_scale != 1:
            ax.stairs(line, edges, label=label, baseline=None, **style)
    if observed is not None:
        seen = together.value[~np.isnan(observed)].sum()  # the same bins on both sides
        scale = seen / max(np.nansum(observed), 1) if density else 1.0
        observed = np.where((observed == 0) & (together.value <= 0), np.nan, observed)  # nothing came where nothing may
        _draw_data(ax, below, observed, together, scale, unit, edges)


def _draw_data(ax, below, observed, together: Counts, scale: float, unit, edges) -> None:
    middle, errors = (edges[1:] + edges[:-1]) / 2, poisson_errors(np.nan_to_num(observed))
    style = {"color": "black", "linestyle": "", "marker": "o", "markersize": 4, "elinewidth": 1}
    number = int(np.nansum(observed))
    ax.errorbar(middle, observed * scale * unit, errors * scale * unit, label=f"data ({number} shown)", **style)
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = together.value / scale
        band = np.where(together.value > 0, together.error / together.value, 0)
        ratio = np.where(expected > 0, observed / expected, np.nan)
        below.errorbar(middle, ratio, np.where(expected > 0, errors / expected, np.nan), **style)
    below.stairs(
        1 + band, edges, baseline=1 - band, fill=True, color="none", hatch="////", edgecolor="0.3", linewidth=0
    )
    below.axhline(1, color="black", linewidth=1, linestyle=":")
    below.set(ylim=(0, 2), ylabel="data / simulation")
    for at in np.flatnonzero(ratio > 2):
        below.annotate("", (middle[at], 2), (middle[at], 1.8), arrowprops={"arrowstyle": "->"})


def _finish(top, below, axis: str, edges: np.ndarray, study: Study, density: bool) -> None:
    blind = study.apply.blind if below is not None else None
    for ax in (top, below) if blind else ():
        ax.axvspan(max(blind[0], edges[0]), min(blind[1], edges[-1]), facecolor="0.9", zorder=0)
    low, high = top.get_ylim()
    if axis == "log":
        drawn = [patch.get_data().values for patch in top.patches if hasattr(patch, "get_data")]
        heights = np.concatenate([[], *drawn])
        heights = heights[np.isfinite(heights) & (heights > 0)]
        low = max(heights.min() / 3, heights.max() / 1e7) if len(heights) else 0.1
        top.set_ylim(low, heights.max() * (heights.max() / low) ** 0.45 if len(heights) else 10)
    else:
        top.set_ylim(min(low, 0), high * 1.35)
    top.set(xlim=(edges[0], edges[-1]), ylabel="density" if density else "events / bin")
    (below if below is not None else top).set_xlabel("score")
    title = "" if density else f"expected at {study.apply.luminosity_fb:g}/fb"
    title += f"{'; ' if title else ''}{said(blind)}" if blind else ""
    top.legend(fontsize=8, ncols=2, title=title or None, title_fontsize=8, loc="upper center")


def _caption(study: Study, dataset: Dataset, rows: np.ndarray, observed: np.ndarray | None) -> str:
    settings, n = study.apply.scores, int((dataset.labels[rows] >= 0).sum())
    text = f"The score of {n} tested events, "
    text += "everything scaled to the area 1" if settings.density else f"expected at {study.apply.luminosity_fb:g}/fb"
    text += "; hatched: the statistical error of the simulation"
    if observed is not None:
        text += "; data with the central 68% intervals of a Poisson law"
        text += f"; {said(study.apply.blind)}" if study.apply.blind else ""
    return text + "."
