"""What a fit needs of each event, as a ROOT file for each sample, read again before it gets its name."""

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import uproot

from coursekit.files import naming_if_full, replacing
from coursekit.streaming import read_chunks
from coursekit.study.dataset import Dataset
from coursekit.study.outcome import Outcome
from coursekit.study.report import selection
from coursekit.study.report.drawing import NothingToDraw, require_column
from coursekit.study.report.page import Page
from coursekit.study.report.processes import blinded, said
from coursekit.study.settings import Study
from coursekit.study.stored import taken

_OWN = ("weight", "score", "label", "part", "fold")
_AT_ONCE = 100_000  # events that are written, and read again


def add_fit_inputs(page: Page, study: Study, dataset: Dataset, outcome: Outcome) -> dict:
    """Write the fit inputs into the run folder, and list the files on the page.

    Each file has one tree with the branches that are asked for, and

    - ``weight``: signed, the events that one stands for at `apply.luminosity_fb`; 1 for data;
    - ``score``: the mean of the repeats, and ``score_1``, ``score_2`` ... if there are several;
    - ``label``: the number of the class, -1 for data; ``part``: 2 for test, -1 for data; with folds ``fold``.

    No network has trained on an event that it scores. With folds all events are written; without, those of the test
    part, whose weights are divided by the share of this part, so that they stand for the whole sample. Data with any
    score in the blinded range are left out. ``README.json`` beside the files says all this.

    Parameters
    ----------
    page : Page
    study : Study
    dataset : Dataset
    outcome : Outcome

    Returns
    -------
    dict
        ``files``: for each sample the ``path``, relative to the run folder, the number of ``events``, the ``sum`` of
        their weights, and how many are ``hidden``.

    Raises
    ------
    NothingToDraw
        There are no tested events.
    ValueError
        A branch is no column, or has a name that these branches have.
    OSError
        A file cannot be written, or is not what was to be written.
    """
    settings = study.apply.fit_inputs
    rows = np.concatenate([selection.tested(dataset), selection.data(dataset)])
    if not len(rows):
        raise NothingToDraw("there are no tested events")
    scores = selection.one_score(study, dataset, outcome.scores)
    weights = np.zeros(scores.shape[1])
    weights[rows] = selection.expected(dataset, rows, study.apply.luminosity_fb)
    hidden = blinded(study.apply.blind, *scores, scores.mean(axis=0)) & (dataset.labels < 0)
    branches = settings.branches or tuple(name for name in dataset.columns if name != "places")
    for name in branches:
        require_column(dataset, name, "apply.fit_inputs.branches")
        if name in _OWN or re.fullmatch(r"score_\d+", name):
            raise ValueError(f"apply.fit_inputs.branches: {name} is the name of a branch that every file has: derive "
                             "it under another name in input.derived")  # fmt: skip
    folder = page.folder / settings.folder
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for number, sample in enumerate(dataset.samples):
        at = rows[dataset.sample[rows] == number]
        kept = at[~hidden[at]]
        path = folder / f"{re.sub(r'[^0-9A-Za-z_.+-]', '_', sample)}.root"
        _write(path, settings.tree, kept, partial(_branches, dataset, branches, scores, weights))
        files[sample] = {"path": str(Path(settings.folder) / path.name), "events": len(kept)}
        files[sample] |= {"sum": float(weights[kept].sum()), "hidden": len(at) - len(kept)}
    about = _about(study, dataset, files)
    with replacing(folder / "README.json") as unnamed:
        unnamed.write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    page.add("fit_inputs", f"ROOT files for a fit, tree {settings.tree}. {about['weight']} {about['data']}".strip(),
             table=pd.DataFrame.from_dict(files, orient="index").astype(object))  # fmt: skip
    return {"files": files}


def _branches(dataset: Dataset, names, scores, weights, rows: np.ndarray) -> dict[str, np.ndarray]:
    found = {name: taken(dataset.columns, name, rows) for name in names}
    found |= {"weight": weights[rows], "score": scores[:, rows].mean(axis=0)}
    if len(scores) > 1:
        found |= {f"score_{number}": of_repeat[rows] for number, of_repeat in enumerate(scores, start=1)}
    found |= {"label": dataset.labels[rows].astype(np.int32), "part": dataset.parts[rows].astype(np.int32)}
    if selection.has_folds(dataset):
        found["fold"] = dataset.folds[rows].astype(np.int32)
    return {name: values.astype(np.int32) if values.dtype.kind == "b" else values for name, values in found.items()}


def _write(path: Path, tree: str, rows: np.ndarray, branches_of: Callable[[np.ndarray], dict]) -> None:
    """Write a tree of some events, and give the file its name once it was read again and is what was written."""
    with replacing(path) as unnamed:
        with naming_if_full(path, unnamed), uproot.recreate(unnamed) as file:
            table = file.mktree(tree, {name: values.dtype for name, values in branches_of(rows[:0]).items()})
            for start in range(0, len(rows), _AT_ONCE):
                table.extend(branches_of(rows[start : start + _AT_ONCE]))
        done = 0
        for found in read_chunks(unnamed, chunk=_AT_ONCE, key=tree) if len(rows) else ():  # which refuses no events
            n = len(found["weight"])
            for name, values in branches_of(rows[done : done + n]).items():
                if not np.array_equal(found[name], values, equal_nan=values.dtype.kind == "f"):
                    raise OSError(
                        f"{path}: the branch {name} reads otherwise than it was written. Is the disk damaged?"
                    )
            done += n
        if done < len(rows):
            raise OSError(f"{path}: {done} of {len(rows)} events are read again. A damaged disk?")


def _about(study: Study, dataset: Dataset, files: dict) -> dict:
    """Return what README.json says."""
    luminosity = study.apply.luminosity_fb
    n, tested = len(selection.labelled(dataset)), len(selection.tested(dataset))
    weight = f"Weights are events at {luminosity:g}/fb, with their signs; 1 for data."
    if selection.has_folds(dataset):
        which = "All simulated events; each score is from the network of the fold that has not seen the event."
    else:
        which = f"The {tested} simulated events of the test part, which no network has trained on."
        weight += f" They are divided by the share of the test part, {tested}/{n}, and stand for the whole samples."
    n_hidden = sum(found["hidden"] for found in files.values())
    data = (
        f"Left out: {said(study.apply.blind)}, of any repeat or of their mean; {n_hidden} events."
        if study.apply.blind
        else ""
    )
    return {
        "study": study.job.name,
        "tree": study.apply.fit_inputs.tree,
        "events": which,
        "weight": weight,
        "data": data,
        "score": "score is the mean of the repeats, score_1, score_2 ... those of each, if there are several",
        "label": {"data": -1} | {name: number for number, name in enumerate(dataset.classes)},
        "part": {"training": 0, "validation": 1, "test": 2, "data": -1},
        "luminosity_fb": luminosity,
        "blind": study.apply.blind,
        "files": files,
    }
