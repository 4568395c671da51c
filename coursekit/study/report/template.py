"""The score in bins, as a model for a fit: bins with enough simulation behind them, pyhf's JSON, the expected limit."""

import json

import numpy as np
import pandas as pd

from coursekit.files import replacing
from coursekit.study.dataset import Dataset
from coursekit.study.outcome import Outcome
from coursekit.study.report import selection
from coursekit.study.report.counts import Counts, count, edges_of, total
from coursekit.study.report.inference import BANDS, Component, expect, make_workspace, observe
from coursekit.study.report.page import Page
from coursekit.study.report.processes import Process, processes
from coursekit.study.report.scores import draw_stack
from coursekit.study.settings import Study


def add_template(page: Page, study: Study, dataset: Dataset, outcome: Outcome) -> dict:
    """Write the template as ``template.json`` beside the page, and add its figure and what it is expected to say.

    The score is the mean of the repeats, as in the fit inputs; simulation that of the tested events. Observed is what
    is expected without signal, unless `apply.template.unblind` asks for the data.

    Parameters
    ----------
    page : Page
    study : Study
    dataset : Dataset
    outcome : Outcome

    Returns
    -------
    dict
        ``edges``; ``expected_limit`` on the signal strength by standard deviations, "0" the median;
        ``expected_significance``; with data ``observed_limit`` and ``observed_significance``.

    Raises
    ------
    ValueError
        A bin that was asked for has too few background events, or there is no way to merge bins that has enough.
    """
    settings, luminosity = study.apply.template, study.apply.luminosity_fb
    score = selection.one_score(study, dataset, outcome.scores).mean(axis=0)
    rows = selection.tested(dataset)
    weights = np.zeros(len(score))
    weights[rows] = selection.expected(dataset, rows, luminosity)
    found = processes(study, dataset, rows)
    edges = edges_of(score[rows], settings.bins, settings.range)
    counts = {one.name: count(score[one.rows], weights[one.rows], edges) for one in found}
    kinds = {one.name: one.kind for one in found}
    if isinstance(settings.bins, int):
        kept = merge(list(counts.values()), [kind == "background" for kind in kinds.values()], settings.minimum_events)
        edges = edges[kept]
        counts = {one.name: count(score[one.rows], weights[one.rows], edges) for one in found}
    else:
        _require_filled(counts, kinds, edges, settings.minimum_events)
    components = {
        one.name: Component(
            counts[one.name], one.kind == "signal", settings.uncertainties.get(one.sample, 0.0), one.sample
        )
        for one in found
    }
    shown, observed = found, None
    if settings.unblind:
        data = processes(study, dataset, selection.data(dataset))
        there = np.concatenate([one.rows for one in data])
        observed = np.histogram(score[there], edges)[0].astype(np.float64)
        shown = [*found, *data]
    workspace = make_workspace(components, observed, settings.luminosity_uncertainty)
    page.folder.mkdir(parents=True, exist_ok=True)
    with replacing(page.folder / "template.json") as partial:
        partial.write_text(json.dumps(workspace, indent=1) + "\n", encoding="utf-8")
    numbers = _inference(components, observed, settings.luminosity_uncertainty)
    _add(page, study, len(rows), shown, counts, observed, edges, numbers)
    return {"edges": edges.tolist(), **numbers}


def merge(counts: list[Counts], is_background: list[bool], minimum_events: float) -> np.ndarray:
    """Return which edges are kept, (K,) int64, so that each bin can be fitted: merged from the highest score down.

    A bin is closed as soon as its background has enough effective events, (sum w)^2 / sum w^2, and no sample in it has
    a negative sum; what is left at the lowest scores joins the bin above.

    Parameters
    ----------
    counts : list of Counts
        Of each sample, in B bins.
    is_background : list of bool
    minimum_events : float

    Raises
    ------
    ValueError
        Not even one bin of everything can be fitted.

    Examples
    --------
    >>> one = Counts(np.array([9.0, 2.0, 1.0, 4.0]), np.array([9.0, 2.0, 1.0, 4.0]), np.array([9, 2, 1, 4]))
    >>> merge([one], [True], 4.0).tolist()
    [0, 3, 4]
    """
    values, variances = (np.array([getattr(one, what) for one in counts]) for what in ("value", "variance"))
    background = np.array(is_background)
    top = values.shape[1]
    kept = [top]
    for low in range(top - 1, -1, -1):
        if fault(values[:, low : kept[-1]], variances[:, low : kept[-1]], background, minimum_events) is None:
            kept.append(low)
    if kept[-1] != 0:
        kept[-1] = 0
    while len(kept) > 1 and (why := fault(values[:, : kept[-2]], variances[:, : kept[-2]], background, minimum_events)):
        if len(kept) == 2:
            raise ValueError(f"apply.template: {why}, even with all bins merged. Take more simulated events")
        del kept[-2]  # the lowest bin got what was left over, and negative weights in it
    if len(kept) == 1:
        raise ValueError("apply.template: there are too few simulated events for a single bin")
    return np.array(kept[::-1])


def fault(values: np.ndarray, variances: np.ndarray, is_background: np.ndarray, minimum_events: float) -> str | None:
    """Say why samples (S, b) in b bins cannot be fitted as one bin; None if they can."""
    sums, squares = values.sum(axis=1), variances.sum(axis=1)
    if (sums < 0).any():
        return f"negative weights make the sum of a sample {sums.min():.3g}"
    background, square = sums[is_background].sum(), squares[is_background].sum()
    if not background > 0:
        return "no background is expected"
    effective = background**2 / square
    if effective < minimum_events:
        return f"{effective:.3g} effective background events are fewer than minimum_events: {minimum_events:g}"
    return None


def _require_filled(counts: dict[str, Counts], kinds: dict[str, str], edges: np.ndarray, minimum_events: float) -> None:
    """Refuse edges that were asked for and cannot be fitted; only bins that were not asked for are merged."""
    values, variances = (np.array([getattr(one, what) for one in counts.values()]) for what in ("value", "variance"))
    background = np.array([kind == "background" for kind in kinds.values()])
    for at in range(len(edges) - 1):
        if why := fault(values[:, at : at + 1], variances[:, at : at + 1], background, minimum_events):
            raise ValueError(
                f"apply.template.bins: in the bin from {edges[at]:g} to {edges[at + 1]:g} {why}. Give wider bins, or "
                "their number instead of edges: then they are merged"
            )


def _inference(components: dict[str, Component], observed: np.ndarray | None, luminosity_uncertainty: float) -> dict:
    expected = expect(components, luminosity_uncertainty)
    numbers = {"expected_limit": {f"{n:+d}" if n else "0": expected.limits[n] for n in BANDS}}
    numbers["expected_significance"] = expected.significance
    if observed is not None:
        limit, significance = observe(components, observed, luminosity_uncertainty)
        numbers |= {"observed_limit": limit, "observed_significance": significance}
    return numbers


def _add(page: Page, study: Study, n: int, shown: list[Process], counts, observed, edges, numbers: dict) -> None:
    settings, luminosity = study.apply.template, study.apply.luminosity_fb
    limit = numbers["expected_limit"]["0"]
    caption = f"The template, in template.json: the score of {n} tested events in {len(edges) - 1} bins, expected at "
    caption += (
        f"{luminosity:g}/fb; hatched: the statistical error of the simulation; the signal as large as the expected "
    )
    caption += "upper limit. "
    caption += "Data are shown." if settings.unblind else "No data are looked at."
    panels = {"rows": 2, "gridspec_kw": {"height_ratios": [3, 1]}, "sharex": True} if observed is not None else {}
    with page.figure("template", caption, size=(7, 6 if panels else 4.6), **panels) as axes:
        ax, below = axes if panels else (axes, None)
        draw_stack(ax, below, shown, counts, observed, edges, signal_scale=float(f"{limit:.3g}"))
        background = total([counts[one.name] for one in shown if one.kind == "background"], len(edges) - 1).value
        ax.set_yscale("log")
        ax.set_ylim(background.min() / 30, background.max() * 30)
        ax.set(xlim=(edges[0], edges[-1]), ylabel="events / bin")
        (below if below is not None else ax).set_xlabel("score")
        ax.legend(fontsize=8, ncols=2, title=f"expected at {luminosity:g}/fb", title_fontsize=8, loc="upper center")
    rows = {f"expected limit, {name} standard deviations" if name != "0" else "expected limit, median": value
            for name, value in numbers["expected_limit"].items()}  # fmt: skip
    rows["expected significance of a discovery"] = numbers["expected_significance"]
    if observed is not None:
        rows |= {"observed limit": numbers["observed_limit"], "observed significance": numbers["observed_significance"]}
    table = pd.DataFrame({"value": rows.values()}, index=list(rows))
    text = (
        "Upper limits on the signal strength, the rate over that of the simulation, with 95% confidence (CLs, in the "
    )
    text += (
        "limit of many events), and the significance with which a signal of strength 1 would be discovered: medians, "
    )
    page.add("limit", text + "and what one and two standard deviations make of the limit.", table=table)
