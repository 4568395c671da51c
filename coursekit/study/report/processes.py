"""What the events of a study are drawn as: one process for each sample and class, and data as far as they are shown."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from coursekit.study.dataset import Dataset
from coursekit.study.report import selection
from coursekit.study.settings import Study


@dataclass(frozen=True)
class Process:
    """Events of one sample and one class.

    Attributes
    ----------
    name : str
        Of the sample; with its class behind it if the sample has several.
    kind : {"signal", "background", "data"}
        Signal is the class that is sought.
    sample : str
    rows : (n,) int64
        Positions of its events.
    """

    name: str
    kind: Literal["signal", "background", "data"]
    sample: str
    rows: np.ndarray


def processes(study: Study, dataset: Dataset, rows: np.ndarray) -> list[Process]:
    """Return the processes that these events are of, in the order of the file; none without events.

    Parameters
    ----------
    study : Study
    dataset : Dataset
    rows : (n,) int64
        Positions of events.

    Returns
    -------
    list of Process
    """
    found, signal = [], selection.signal_class(study, dataset)
    for number, sample in enumerate(dataset.samples):
        of_sample = rows[dataset.sample[rows] == number]
        labels = np.unique(dataset.labels[of_sample])
        for label in labels:
            several = len(np.unique(dataset.labels[dataset.sample == number])) > 1
            name = f"{sample}, {dataset.classes[label]}" if several else sample
            kind = "data" if label < 0 else "signal" if label == signal else "background"
            found.append(Process(name, kind, sample, of_sample[dataset.labels[of_sample] == label]))
    return found


def blinded(blind: tuple[float, float] | None, *scores: np.ndarray) -> np.ndarray:
    """Say which events are hidden because one of their scores lies in the blinded range, its edges included, (n,) bool.

    The only place where `apply.blind` is looked at: whatever shows data, or writes them, asks here.

    Parameters
    ----------
    blind : tuple of float, or None
        First and last score that nobody may look at.
    *scores : (n,) array
        One, or those of several trainings.

    Examples
    --------
    >>> blinded((0.5, 1.0), np.array([0.2, 0.5, 0.7])).tolist(), blinded(None, np.array([0.7])).tolist()
    ([False, True, True], [False])
    """
    hidden = np.zeros(len(scores[0]), bool)
    if blind is not None:
        for score in scores:
            hidden |= (score >= blind[0]) & (score <= blind[1])
    return hidden


def said(blind: tuple[float, float] | None) -> str:
    """Return how a figure or a file says that data are hidden, and nothing if none are."""
    return f"data hidden for scores from {blind[0]:g} to {blind[1]:g}" if blind else ""
