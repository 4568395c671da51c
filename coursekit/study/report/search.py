"""What a search has found, as a table and figures: every trial, and by how much the best one is flattered."""

import math

import numpy as np
import pandas as pd

from coursekit.metrics import Estimate
from coursekit.plots import COLOURS
from coursekit.study.report.page import Page
from coursekit.study.settings import Study

_NAMES = {"loss": "validation loss", "auc": "validation AUC", "rejection": "validation background rejection 1/ε"}
_NAMES |= {"significance": "validation expected significance"}
_ABOVE = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0), "ncols": 3, "fontsize": "small"}  # points are anywhere
_MARKERS = {"finished": "o", "stopped": "v", "beyond limit": "x"}


def add_search(page: Page, study: Study, results: dict) -> None:
    """Add a section with a table of all trials, their metrics in the order of the trials, and against each setting.

    Parameters
    ----------
    page : Page
    study : Study
        With its section `tune`.
    results : dict
        Of `coursekit.study.tune.search`.
    """
    trials, best, optimism = results["trials"], results["best"], results["optimism"]
    validation, test = (_estimate(best[part]) for part in ("validation", "test"))
    page.section(
        "Search",
        f"Trial {best['number']} of {len(trials)} is the best: {results['metric']} {validation} on the validation "
        f"events that chose it, and {_said(test)} on the test events, which chose nothing. The best of "
        f"{optimism['trials']} equal trials with independent errors would seem better than it is by "
        f"{optimism['expected']:.2g}; it does by {_said(_estimate([optimism['observed'], optimism['error']]))}.",
    )
    page.result(f"{results['metric']} of the best trial, validation", validation)
    page.add("search_trials", "All trials; errors are those of counting validation events.", table=table(results))
    _draw_course(page, results, test)
    _draw_settings(page, study, results)


def table(results: dict) -> pd.DataFrame:
    """Return one row a trial: settings, metric with its error, epochs, seconds, status, and messages if there are some.

    Examples
    --------
    >>> trial = {"number": 1, "settings": {"train.epochs": 3}, "metric": 0.5, "error": 0.1, "epochs": 3}
    >>> trial |= {"seconds": 1.0, "status": "finished", "message": ""}
    >>> table({"metric": "auc", "trials": [trial]}).columns.tolist()
    ['train.epochs', 'auc', 'epochs', 'seconds', 'status']
    """
    rows = [
        {"trial": trial["number"]}
        | {
            key: value if isinstance(value, int | float | str) else str(value)
            for key, value in trial["settings"].items()
        }
        | {results["metric"]: None if trial["metric"] is None else _estimate([trial["metric"], trial["error"]])}
        | {key: trial[key] for key in ("epochs", "seconds", "status", "message")}
        for trial in results["trials"]
    ]
    found = pd.DataFrame(rows).set_index("trial")
    return found if found["message"].any() else found.drop(columns="message")


def _draw_course(page: Page, results: dict, test: Estimate) -> None:
    able = [trial for trial in results["trials"] if trial["status"] in ("finished", "stopped")]
    best_so_far = (np.minimum if results["mode"] == "min" else np.maximum).accumulate([t["metric"] for t in able])
    caption = (
        "The metric of each trial in the order in which they were proposed, the best so far, and what the network "
    )
    caption += "of the best trial reaches on test events. Errors are those of counting."
    with page.figure("search_course", caption) as ax:
        _draw(ax, results["trials"], [trial["number"] for trial in results["trials"]])
        ax.step([trial["number"] for trial in able], best_so_far, where="post", ls="-", label="best so far")
        if math.isfinite(test.value):
            number, style = results["best"]["number"], {"fmt": "s", "mfc": "white", "ms": 9, "capsize": 4}
            ax.errorbar(number + 0.25, test.value, test.error, color=COLOURS[1], label="the best, test events", **style)
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.set(xlabel="trial", ylabel=_NAMES[results["metric"]])
        ax.legend(**_ABOVE)


def _draw_settings(page: Page, study: Study, results: dict) -> None:
    trials, spaces = results["trials"], study.tune.space
    columns = min(3, len(spaces))
    rows = math.ceil(len(spaces) / columns)
    best = next(i for i, trial in enumerate(trials) if trial["number"] == results["best"]["number"])
    caption = "The metric of each trial against each setting that was searched; a ring is around the best."
    size = (0.8 + 4.2 * columns, 3.8 * rows)
    with page.figure(
        "search_settings", caption, rows=rows, columns=columns, size=size, squeeze=False, sharey=True
    ) as axes:
        for ax, (key, space) in zip(axes.flat, spaces.items(), strict=False):
            places = [trial["settings"][key] for trial in trials]
            if space.kind == "choice":
                choices = [space.decoded(i) for i in range(len(space.choice))]
                places = [choices.index(value) for value in places]
                ax.set_xticks(range(len(choices)), [str(choice) for choice in choices])
                ax.set_xlim(-0.5, len(choices) - 0.5)
            elif "log" in space.kind:
                ax.set_xscale("log")
            _draw(ax, trials, places)
            ax.plot(places[best], trials[best]["metric"], "o", ms=14, mfc="none", mew=2, color=COLOURS[1], label="best")
            ax.set_xlabel(key)
        for ax in axes.flat[len(spaces) :]:
            ax.set_axis_off()
        for ax in axes[:, 0]:
            ax.set_ylabel(_NAMES[results["metric"]])
        axes[0, 0].legend(**_ABOVE)


def _draw(ax, trials: list[dict], places: list[float]) -> None:
    """Draw the trials that have a metric, with their errors, a marker for each status."""
    for status, marker in _MARKERS.items():
        chosen = [i for i, trial in enumerate(trials) if trial["status"] == status and trial["metric"] is not None]
        if chosen:
            ax.errorbar(
                [places[i] for i in chosen],
                [trials[i]["metric"] for i in chosen],
                [trials[i]["error"] for i in chosen],
                fmt=marker,
                color=COLOURS[-1],
                ms=5,
                lw=1,
                label=f"{status} ({len(chosen)})",
            )


def _estimate(pair: list) -> Estimate:
    return Estimate(*(math.nan if value is None else value for value in pair))


def _said(estimate: Estimate) -> str:
    return str(estimate) if math.isfinite(estimate.value) else "unknown"
