"""The report of a study: every section in its order, on one page."""

import datetime
import json
import platform
from collections.abc import Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from coursekit import __version__
from coursekit.study.dataset import Dataset
from coursekit.study.outcome import Outcome
from coursekit.study.report.comparison import add_train_test
from coursekit.study.report.correlations import add_correlations
from coursekit.study.report.cuts import add_cuts
from coursekit.study.report.decorrelation import add_decorrelation
from coursekit.study.report.drawing import NothingToDraw
from coursekit.study.report.events import add_events
from coursekit.study.report.export import add_export
from coursekit.study.report.fit_inputs import add_fit_inputs
from coursekit.study.report.histories import add_histories
from coursekit.study.report.kept import add_kept_epochs, add_kept_importance
from coursekit.study.report.kinematics import add_kinematics
from coursekit.study.report.page import Label, Page
from coursekit.study.report.performance import add_performance
from coursekit.study.report.regression import add_regression
from coursekit.study.report.scores import add_scores
from coursekit.study.report.search import add_search
from coursekit.study.report.significance import add_significance
from coursekit.study.report.template import add_template
from coursekit.study.report.thinned import MOST_OF_COLUMNS, MOST_OF_SCORES, thinned
from coursekit.study.settings import Study
from coursekit.study.streaming import give_back
from coursekit.words import listed

#: Sections that draw some of the events where all do not fit in memory: those of the score alone can take more of them
#: than those that look at all columns of an event together.
_OF_SCORES = ("performance", "train_test")
_OF_COLUMNS = ("kinematics", "correlations", "importance", "epochs")
_VERSIONS = ("numpy", "scikit-learn", "keras", "tensorflow", "torch", "ray")


def make_report(study: Study, dataset: Dataset, outcome: Outcome | None, folder, resolved: str = "") -> dict:
    """Write ``index.html`` with every section that `apply` asks for, and the files of its figures and tables.

    A section that has nothing to show, without data, with one class, or where nothing passes, says so on the page.
    The search of the same run is the last section.

    Parameters
    ----------
    study : Study
    dataset : Dataset
    outcome : Outcome or None
        None where nothing was trained but the trials of a search, which then is all that is shown.
    folder : path-like
        The run folder.
    resolved : str
        The study file with all its defaults, for the end of the page.

    Returns
    -------
    dict
        The numbers of each section by its key, for ``results.json``; ``missing`` has the sections that have nothing to
        show, with the reason.

    Raises
    ------
    ValueError
        The study asks for a column or a class that does not exist.
    OSError
        A file cannot be written.
    """
    folder = Path(folder)
    page = Page(
        folder,
        study.apply.title or study.job.name,
        study.apply.formats,
        facts=_facts(folder, dataset, outcome),
        label=_label(study),
    )
    numbers, missing, some = {}, {}, None
    for key, title, text, add in _sections(study, folder) if outcome is not None else ():
        if key != "events" and getattr(study.apply, key) is None:
            continue
        page.section(title, text)
        looked_at = (dataset, outcome)
        if dataset.streamed:
            give_back()
            if key in (*_OF_SCORES, *_OF_COLUMNS):
                looked_at = some = _some_of(some, dataset, outcome, key in _OF_COLUMNS)
                page.note(_how_thinned(dataset, some[0]))
        try:
            numbers[key] = add(page, study, *looked_at)
        except NothingToDraw as error:
            missing[key] = str(error)
            page.note(f"There is nothing to show here: {error}.")
    if study.tune and (searched := folder / "search" / "trials.json").is_file():
        add_search(page, study, json.loads(searched.read_text(encoding="utf-8")))
    page.save(resolved)
    return {key: found for key, found in numbers.items() if found} | ({"missing": missing} if missing else {})


def _sections(study: Study, folder: Path) -> list[tuple[str, str, str, Callable]]:
    """Return key, title, text and function of each section, in the order of the page."""
    regression = study.train.task == "regression"
    return [
        (
            "performance",
            "Performance",
            "On events that no network has trained on, with their physical weights.",
            add_regression if regression else add_performance,
        ),
        *([] if regression else [("scores", "Scores", "", add_scores)]),
        *([] if regression else [("train_test", "Training and test", "", add_train_test)]),
        ("events", "Events", "", add_events),
        ("histories", "Histories", "", add_histories),
        *(
            [("epochs", "After each epoch", "", partial(add_kept_epochs, folder=folder))]
            if study.train.save_every and not regression
            else []
        ),
        ("kinematics", "Kinematics", "", add_kinematics),
        ("correlations", "Correlations", "", add_correlations),
        ("importance", "Importance", "", partial(add_kept_importance, folder=folder)),
        *([] if regression else _of_the_score()),
    ]


def _of_the_score() -> list[tuple[str, str, str, Callable]]:
    """Return the sections from a cut on the score to a fit."""
    return [
        ("significance", "Significance", "", add_significance),
        ("cuts", "Kinematics after cuts", "", add_cuts),
        ("decorrelation", "Decorrelation", "", add_decorrelation),
        ("template", "Template", "", add_template),
        ("fit_inputs", "Fit inputs", "", add_fit_inputs),
        ("export", "Export", "", add_export),
    ]


def _some_of(before, dataset: Dataset, outcome: Outcome, with_columns: bool) -> tuple[Dataset, Outcome]:
    """Return some of the events: those of the section before, if they are of the same kind."""
    if before and bool(before[0].columns) == with_columns:
        return before
    return thinned(dataset, outcome, MOST_OF_COLUMNS if with_columns else MOST_OF_SCORES, with_columns)


def _how_thinned(dataset: Dataset, some: Dataset) -> str:
    return (
        f"The events do not fit into memory: of {(dataset.labels >= 0).sum()} simulated ones {len(some)}, chosen by a "
        "hash of their places, are looked at here, with weights that are larger in proportion."
    )


def _label(study: Study) -> Label | None:
    label = study.apply.label
    if label is None:
        return None
    energy = [] if label.energy_TeV is None else [f"√s = {label.energy_TeV:g} TeV"]
    return Label(label.experiment, ", ".join([label.status, *energy, f"{study.apply.luminosity_fb:g} fb⁻¹"]))


def _facts(folder: Path, dataset: Dataset, outcome: Outcome | None) -> dict[str, str]:
    """Return what stands below the title: the run, and what it was made with."""
    found = {"coursekit": __version__, "Python": platform.python_version()}
    for name in _VERSIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    now = datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
    seeds = [training.seed for training in outcome.trainings] if outcome is not None else []
    return {
        "run": "/".join(folder.absolute().parts[-2:]),
        "written": now,
        "events": f"{len(dataset)} of {len(dataset.samples)} samples",
        "trainings": f"{len(seeds)}, with the seeds {listed(dict.fromkeys(seeds))}" if seeds else "none is kept",
        **_networks(dataset),
        "versions": ", ".join(f"{name} {number}" for name, number in found.items()),
    }


def _networks(dataset: Dataset) -> dict[str, str]:
    """Return where the networks are from, if they were trained on other events."""
    if dataset.fitted is None:
        return {}
    said = f"of {dataset.study.job.trained}, which were trained on other events and are applied to these"
    if not dataset.study.input.split.keys:
        said += (
            "; there are no split.keys by which those of the training are known in other files, so see log.txt which "
            "of them may be among the tested ones"
        )
    return {"networks": said}
