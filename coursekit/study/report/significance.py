"""At which cut a count of events is most significant: chosen on one part of the events, quoted on another."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from coursekit.metrics import Estimate, asimov_significance
from coursekit.study.dataset import TEST, VALIDATION, Dataset
from coursekit.study.outcome import Outcome
from coursekit.study.report import selection
from coursekit.study.report.counts import edges_of
from coursekit.study.report.page import Page
from coursekit.study.settings import Study

NAMES = {
    "s_b": "s/b",
    "s_sqrt_b": "s/√b",
    "s_sqrt_sb": "s/√(s+b)",
    "asimov": "Asimov, known b",
    "asimov_uncertain": "Asimov, uncertain b",
}
_STEP = 1e-3  # of a derivative, relative: its error is of the second order


class Sums(NamedTuple):
    """What passes each of K cuts, (K,) float64 each; with it, what does not."""

    signal: np.ndarray
    signal_squares: np.ndarray
    background: np.ndarray
    background_squares: np.ndarray
    background_cubes: np.ndarray
    background_fourths: np.ndarray
    simulated: np.ndarray


class Scan(NamedTuple):
    """Significances at K cuts, by measure.

    Attributes
    ----------
    cuts : (K,) float64
    above : Sums
    values, errors : dict of str to (K,) float64
        NaN where a measure is not defined, or too few simulated background events pass.
    """

    cuts: np.ndarray
    above: Sums
    values: dict[str, np.ndarray]
    errors: dict[str, np.ndarray]


def scan(
    score: np.ndarray, is_signal: np.ndarray, weights: np.ndarray, cuts: np.ndarray, measures: Sequence[str],
    background_uncertainty: float = 0.0, minimum_events: int = 1,
) -> Scan:  # fmt: skip
    r"""Return the significance of what passes each cut, and its statistical error.

    With s and b events that are expected to pass, :math:`\sigma_b^2 = (u b)^2 + \sum w^2` for the uncertainty u and the
    weights of the simulated background that passes,

    - ``s_b``, ``s_sqrt_b``, ``s_sqrt_sb`` are :math:`s/b`, :math:`s/\sqrt{b}`, :math:`s/\sqrt{s + b}`;
    - ``asimov`` and ``asimov_uncertain`` are `asimov_significance` of s and b, without and with :math:`\sigma_b`;
    - a name with ``_rel`` behind it is the measure divided by its value without a cut.

    Errors are those that Poisson-distributed numbers of simulated events give to first order: derivatives with respect
    to s, b and :math:`\sum w^2`, whose covariances are sums of powers of the weights.

    Parameters
    ----------
    score, is_signal, weights : (n,) array
        Of simulated events; a weight is the number of events that one stands for.
    cuts : (K,) array
        An event passes if its score is at least this.
    measures : sequence of str
    background_uncertainty : float
        u, relative.
    minimum_events : int
        Simulated background events that must pass; with fewer, all measures are NaN.

    Returns
    -------
    Scan

    Examples
    --------
    >>> score, is_signal = np.array([0.9, 0.8, 0.1, 0.7]), np.array([True, True, False, False])
    >>> found = scan(score, is_signal, np.array([8.0, 8.0, 91.0, 9.0]), np.array([0.0, 0.5]), ["s_sqrt_sb"])
    >>> found.values["s_sqrt_sb"].round(2).tolist(), found.errors["s_sqrt_sb"].round(2).tolist()
    ([1.49, 3.2], [1.14, 1.64])
    """
    cuts = np.asarray(cuts, np.float64)
    above, every = (_sums(score, is_signal, weights, at) for at in (cuts, np.array([-np.inf])))
    below = Sums(*(whole - part for whole, part in zip(every, above, strict=True)))
    enough = above.simulated >= minimum_events
    values, errors = {}, {}
    for name in measures:
        value, error = _with_error(name, above, below, background_uncertainty)
        values[name], errors[name] = np.where(enough, value, np.nan), np.where(enough, error, np.nan)
    return Scan(cuts, above, values, errors)


def _sums(score, is_signal, weights, cuts: np.ndarray) -> Sums:
    order = np.argsort(score, kind="stable")
    at = np.searchsorted(score[order], cuts, side="left")

    def passing(values: np.ndarray) -> np.ndarray:
        return np.append(np.cumsum(values[order][::-1])[::-1], 0)[at]

    signal, background = np.where(is_signal, weights, 0.0), np.where(is_signal, 0.0, weights)
    powers = [passing(background**power) for power in (1, 2, 3, 4)]
    return Sums(passing(signal), passing(signal**2), *powers, passing((background != 0).astype(np.int64)))


def _measure(name: str, s, b, squares, uncertainty: float) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        if name == "s_b":
            z = s / b
        elif name == "s_sqrt_b":
            z = s / np.sqrt(b)
        elif name == "s_sqrt_sb":
            return np.where((b >= 0) & (s + b > 0), s / np.sqrt(s + b), np.nan)
        else:
            sigma = np.hypot(uncertainty * b, np.sqrt(np.maximum(squares, 0))) if name == "asimov_uncertain" else 0.0
            z = asimov_significance(s, b, sigma)
    return np.where(b > 0, z, np.nan)


def _with_error(name: str, above: Sums, below: Sums, uncertainty: float) -> tuple[np.ndarray, np.ndarray]:
    """Return a measure and its error: six sums, of which those of what passes and what does not are independent."""
    base = name.removesuffix("_rel")

    def value(sums: list[np.ndarray]) -> np.ndarray:
        z = _measure(base, *sums[:3], uncertainty)
        if base == name:
            return z
        with np.errstate(divide="ignore", invalid="ignore"):
            return z / _measure(base, *(mine + theirs for mine, theirs in zip(sums[:3], sums[3:], strict=True)),
                                uncertainty)  # fmt: skip

    sides = (above, below) if base != name else (above,)
    sums = [
        np.asarray(sum_, np.float64)
        for side in sides
        for sum_ in (side.signal, side.background, side.background_squares)
    ]
    slopes = []
    for place, sum_ in enumerate(sums):
        step = _STEP * np.abs(sum_)
        shifted = [value([other + sign * step * (place == at) for at, other in enumerate(sums)]) for sign in (1, -1)]
        slopes.append(np.where(step > 0, (shifted[0] - shifted[1]) / np.where(step > 0, 2 * step, 1), 0.0))
    variance = 0.0
    for side, (s, b, v) in zip(sides, (slopes[i : i + 3] for i in range(0, len(slopes), 3)), strict=True):
        variance = variance + s**2 * side.signal_squares + b**2 * side.background_squares
        variance = variance + 2 * b * v * side.background_cubes + v**2 * side.background_fourths
    return value(sums), np.sqrt(np.maximum(variance, 0))


def choose(values: np.ndarray) -> int | None:
    """Return the place of the largest significance, the first of equal ones; None if there is none.

    Examples
    --------
    >>> choose(np.array([1.0, np.nan, 3.0, 3.0])), choose(np.array([np.nan]))
    (2, None)
    """
    return None if np.isnan(values).all() else int(np.nanargmax(values))


def parts(dataset: Dataset) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return on which events a cut is chosen and on which its significance is quoted: pairs of positions.

    The validation and the test part; with folds those of even and those of odd number, and once more the other way
    round: no network has trained on its events, so what remains is that nobody chooses where he quotes.
    """
    if selection.has_folds(dataset):
        rows = selection.labelled(dataset)
        even, odd = (rows[dataset.folds[rows] % 2 == side] for side in (0, 1))
        return [(even, odd), (odd, even)]
    return [tuple(np.flatnonzero(dataset.parts == part) for part in (VALIDATION, TEST))]


def add_significance(page: Page, study: Study, dataset: Dataset, outcome: Outcome) -> dict:
    """Add the scan over cuts on the score, and a table of the best cuts.

    Parameters
    ----------
    page : Page
    study : Study
    dataset : Dataset
    outcome : Outcome

    Returns
    -------
    dict
        For each measure the mean over the repeats of the ``cut``, the significance as it was ``chosen``, that which is
        to be quoted, ``value`` and ``error``, the events that pass there, ``signal`` and ``background``, and the number
        of ``simulated_background`` events behind it. Empty where no cut has enough of them.
    """
    settings = study.apply.significance
    score = selection.one_score(study, dataset, outcome.scores)
    cuts = np.linspace(*edges_of(score[0][selection.labelled(dataset)], 1, settings.range), settings.cuts)
    is_signal = dataset.labels == selection.signal_class(study, dataset)
    n_labelled = len(selection.labelled(dataset))
    scans = []
    for of_repeat in score:
        for pair in parts(dataset):
            both = []
            for rows, least in zip(pair, (settings.minimum_events, 1), strict=True):
                weights = dataset.weights[rows] * study.apply.luminosity_fb * n_labelled / max(len(rows), 1)
                options = (cuts, settings.measures, settings.background_uncertainty, least)
                both.append(scan(of_repeat[rows], is_signal[rows], weights, *options))
            scans.append(tuple(both))
    per_repeat = len(scans) // len(score)
    numbers = {name: _quoted(scans, name, per_repeat) for name in settings.measures}
    rows = {_label(name): found for name, found in numbers.items() if found}
    _draw(page, study, dataset, scans[0], numbers)
    for name in (name for name, found in numbers.items() if not found):
        page.note(
            f"{_label(name)}: no cut is passed by {settings.minimum_events} simulated background events or more where "
            "it would be chosen. Take more simulated events, or a smaller apply.significance.minimum_events."
        )
    if rows:
        page.add("significance_table", _caption(study, dataset, len(score)), table=_table(rows))
    return {name: {key: found[key] for key in found if key != "quoted"} for name, found in numbers.items()}


def _quoted(scans: list[tuple[Scan, Scan]], name: str, per_repeat: int) -> dict:
    """Choose and quote for each repeat, and take their mean."""
    found, chosen, cuts, passing = [], [], [], []
    for start in range(0, len(scans), per_repeat):
        halves = scans[start : start + per_repeat]
        best = [choose(choice.values[name]) for choice, _ in halves]
        if None in best:
            return {}
        pairs = list(zip(halves, best, strict=True))
        value = np.mean([quoted.values[name][at] for (_, quoted), at in pairs])
        error = np.sqrt(np.sum([quoted.errors[name][at] ** 2 for (_, quoted), at in pairs])) / len(pairs)
        found.append(Estimate(float(value), float(error)))
        chosen.append(np.mean([choice.values[name][at] for (choice, _), at in pairs]))
        cuts.append(np.mean([choice.cuts[at] for (choice, _), at in pairs]))
        above = [[quoted.above.signal[at], quoted.above.background[at], quoted.above.simulated[at]]
                 for (_, quoted), at in pairs]  # fmt: skip
        passing.append(np.mean(above, axis=0))
    quoted = selection.combined(found)
    signal, background, simulated = np.mean(passing, axis=0).tolist()
    numbers = {"cut": float(np.mean(cuts)), "chosen": float(np.mean(chosen)), "value": quoted.value}
    numbers |= {"error": quoted.error, "signal": signal, "background": background, "simulated_background": simulated}
    return numbers | {"quoted": quoted}


def _label(name: str) -> str:
    return NAMES[name.removesuffix("_rel")] + (", relative" if name.endswith("_rel") else "")


def _table(rows: dict[str, dict]) -> pd.DataFrame:
    columns = {"cut": "best cut", "chosen": "where it was chosen", "quoted": "to be quoted", "signal": "signal"}
    columns |= {"background": "background", "simulated_background": "simulated background events"}
    content = {label: {title: row[key] for key, title in columns.items()} for label, row in rows.items()}
    return pd.DataFrame.from_dict(content, orient="index").astype(object)


def _sides(dataset: Dataset) -> tuple[str, str]:
    return ("even folds", "odd folds") if selection.has_folds(dataset) else ("validation", "test")


def _caption(study: Study, dataset: Dataset, n_repeats: int) -> str:
    one, other = _sides(dataset)
    text = f"The cut is the best one on the {one}, the significance to be quoted that of the same cut on the {other}"
    text += ", and the other way round; the mean of both" if selection.has_folds(dataset) else ""
    text += f". At {study.apply.luminosity_fb:g}/fb; at least {study.apply.significance.minimum_events} simulated "
    text += "background events pass where it is chosen"
    if any("uncertain" in name for name in study.apply.significance.measures):
        uncertainty = study.apply.significance.background_uncertainty
        text += f"; uncertain b: {100 * uncertainty:g}% and the statistical error of the simulation, in quadrature"
    return text + (f". Means of {n_repeats} trainings, whose scatter is in the errors." if n_repeats > 1 else ".")


def _draw(page: Page, study: Study, dataset: Dataset, scans: tuple[Scan, Scan], numbers: dict) -> None:
    measures = study.apply.significance.measures
    sizes = [f"{len(rows)} {name}" for rows, name in zip(parts(dataset)[0], _sides(dataset), strict=True)]
    rows, columns = (len(measures) + 1) // 2, min(len(measures), 2)
    with page.figure("significance", "Significance of the events that pass a cut on the score; band: the statistical "
                     f"error where it is quoted. {_caption(study, dataset, 1)}", rows=rows, columns=columns,
                     squeeze=False) as axes:  # fmt: skip
        for ax in axes.flat[len(measures) :]:
            ax.remove()
        for ax, name in zip(axes.flat, measures, strict=False):
            choice, quoted = scans
            value, error = quoted.values[name], quoted.errors[name]
            ax.fill_between(quoted.cuts, value - error, value + error, color="C1", alpha=0.25, linewidth=0)
            ax.plot(choice.cuts, choice.values[name], "C0-", label=f"{sizes[0]} events")
            ax.plot(quoted.cuts, value, "C1--", label=f"{sizes[1]} events")
            if (best := choose(choice.values[name])) is not None:
                ax.axvline(choice.cuts[best], color="black", linestyle=":", linewidth=1, label="best cut")
                ceiling = np.nanmax(choice.values[name])
                ax.set_ylim(0, 1.5 * ceiling if ceiling > 0 else None)
            what = "relative to no cut" if name.endswith("_rel") else f"at {study.apply.luminosity_fb:g}/fb"
            ax.set(xlabel="cut on the score", ylabel=f"{NAMES[name.removesuffix('_rel')]}, {what}")
            ax.legend(fontsize=9, loc="upper left")
