"""The networks that a run has kept: applied again after each kept epoch, and with features shuffled."""

import re
from pathlib import Path

import numpy as np

from coursekit.cluster import each
from coursekit.study import training
from coursekit.study.dataset import Dataset
from coursekit.study.folder import training_name
from coursekit.study.outcome import Outcome
from coursekit.study.report.drawing import NothingToDraw
from coursekit.study.report.histories import add_epochs
from coursekit.study.report.importance import add_importance
from coursekit.study.report.page import Page
from coursekit.study.report.selection import training_view
from coursekit.study.settings import Study
from coursekit.study.view import View

_NETWORK = re.compile(r"(network|epoch_(\d+))\.(keras|pt|joblib)")


def add_kept_importance(page: Page, study: Study, dataset: Dataset, outcome: Outcome, folder: Path) -> dict:
    """Add the importance of the features for the networks of the first repeat in a run folder.

    Parameters
    ----------
    page : Page
    study : Study
    dataset : Dataset
    outcome : Outcome
    folder : pathlib.Path
        Of the run.

    Returns
    -------
    dict
        As `add_importance`.

    Raises
    ------
    NothingToDraw
        As `add_importance`.
    """
    first = [one for one in outcome.trainings if one.seed == outcome.trainings[0].seed]
    files = [(one.fold, _files(folder, one.seed, one.fold, after_epochs=False)) for one in first]
    networks = [(fold, its) for fold, its in files if any(_NETWORK.fullmatch(name) for name in its)]
    return add_importance(page, study, dataset, outcome, networks, training.load_network)


def add_kept_epochs(page: Page, study: Study, dataset: Dataset, outcome: Outcome, folder: Path) -> dict:
    """Add what the first training's network said of validation events after each epoch that a run has kept.

    One task an epoch, on a cluster if `job.ray` names one.

    Parameters
    ----------
    page : Page
    study : Study
    dataset : Dataset
    outcome : Outcome
    folder : pathlib.Path
        Of the run.

    Returns
    -------
    dict
        As `add_epochs`.

    Raises
    ------
    NothingToDraw
        As `add_epochs`.
    """
    if not outcome.trainings:
        raise NothingToDraw("no network was trained")
    first, view = outcome.trainings[0], training_view(dataset)
    files = _files(folder, first.seed, first.fold, after_epochs=True)
    epochs = sorted(int(match[2]) for match in map(_NETWORK.fullmatch, files) if match and match[2])
    found = each(_said, [(epoch,) for epoch in epochs], study.job.ray, (files, view))
    kept = {}
    for epoch, said in zip(epochs, found, strict=True):
        kept[epoch] = np.full((len(dataset.labels), said.shape[1]), np.nan, np.float32)
        kept[epoch][view.validation] = said
    return add_epochs(page, study, dataset, kept)


def _said(files: dict[str, bytes], view: View, epoch: int) -> np.ndarray:
    """Return what the network of an epoch says of the validation events."""
    return training.load_network(files, epoch)(view.inputs(view.validation, evaluation=True))


def _files(folder: Path, seed: int, fold: int | None, after_epochs: bool) -> dict[str, bytes]:
    """Return the files of one training; those after epochs, which may be many, only where they are needed."""
    its = folder / "models" / training_name(seed, fold)
    names = [file for file in its.glob("[!.]*") if file.suffix != ".npy"] if its.is_dir() else []
    wanted = [file for file in names if after_epochs or not file.name.startswith("epoch_")]
    return {file.name: file.read_bytes() for file in wanted}
