"""Some of the events of a dataset that does not fit into memory, for figures that need many columns of each event."""

from dataclasses import dataclass, fields, replace
from itertools import pairwise

import numpy as np

from coursekit.study.dataset import Dataset, View
from coursekit.study.draws import uniform
from coursekit.study.outcome import Outcome
from coursekit.study.stored import CHUNK

#: Simulated events that figures of columns, and of scores alone, are made of, about.
MOST_OF_COLUMNS, MOST_OF_SCORES = 300_000, 4_000_000


@dataclass(frozen=True, eq=False)
class Thinned(Dataset):
    """Some of the simulated events of a dataset, in memory, seen as the training saw all of them.

    Their weights are larger by what is missing, so that sums stay what they are; there are no data.

    Attributes
    ----------
    whole : Dataset
    rows : (n,) int64
        Their positions there, rising.
    """

    whole: Dataset | None = None
    rows: np.ndarray | None = None

    def view(self, fold: int | None = None) -> View:
        """Return the events as one training saw them, with the scaler and the training weights of all events."""
        view = self.whole.view(fold)
        parts = {name: self._places(getattr(view, name)) for name in ("training", "validation", "test")}
        return replace(view, dataset=self, labels=view.labels[self.rows], weights=view.weights[self.rows], **parts)

    def _places(self, part: np.ndarray) -> np.ndarray:
        """Return where the events of a part, (m,) rising, are among these."""
        at = np.searchsorted(part, self.rows)
        return np.flatnonzero(part[np.minimum(at, len(part) - 1)] == self.rows) if len(part) else at[:0]


def thinned(dataset: Dataset, outcome: Outcome, most: int, with_columns: bool = True) -> tuple[Dataset, Outcome]:
    """Choose simulated events by a hash of their places, so many at most, and read their columns.

    Parameters
    ----------
    dataset : Dataset
        Streamed.
    outcome : Outcome
    most : int
        About: what a hash chooses scatters by the root of it.
    with_columns : bool
        Whether more is needed than their scores, labels and weights.

    Returns
    -------
    dataset : Thinned
    outcome : Outcome
        The scores of these events.
    """
    columns, chosen = dataset.columns, []
    n_labelled = int((dataset.labels >= 0).sum())
    for start in range(0, len(dataset), CHUNK):
        rows = start + np.flatnonzero(dataset.labels[start : start + CHUNK] >= 0)
        u = uniform(dataset.places_of(rows), dataset.study.job.seed, "drawn")
        chosen.append(rows[u * n_labelled < most])
    rows = np.concatenate(chosen)
    seen = None if outcome.seen is None else outcome.seen[:, rows]
    kept = {field.name: getattr(dataset, field.name) for field in fields(Dataset)}
    kept |= {name: kept[name][rows] for name in ("labels", "sample", "parts", "folds")}
    names = [name for name in columns if name != "places"] if with_columns else []
    kept["columns"] = {name: _picked(columns, name, rows) for name in names}
    kept["targets"] = None if dataset.targets is None else dataset.targets[rows]
    kept["places"] = _picked(columns, "places", rows).view(np.uint64)
    kept["weights"] = dataset.weights[rows].astype(np.float64) * (n_labelled / len(rows))
    return Thinned(**kept, whole=dataset, rows=rows), Outcome(outcome.trainings, outcome.scores[:, rows], seen)


def _picked(columns, name: str, rows: np.ndarray) -> np.ndarray:
    """Return some events of a column that is on disk, reading a chunk of events at a time."""
    edges = np.searchsorted(rows, np.arange(0, columns.n_events + CHUNK, CHUNK))
    return np.concatenate([columns.take(name, rows[a:b]) for a, b in pairwise(edges)])
