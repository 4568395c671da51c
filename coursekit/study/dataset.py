"""The events of a study, ready for a network and for the figures behind it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from coursekit.events import concatenate_events
from coursekit.splitting import split_by_hash
from coursekit.study.draws import uniform
from coursekit.study.fitted import Fitted
from coursekit.study.samples import Piece, SampleReader
from coursekit.study.settings import Study
from coursekit.study.stored import CHUNK, StoredColumns, taken
from coursekit.study.streaming import is_larger, store, write_parts
from coursekit.study.view import View, applied_view, make_view
from coursekit.words import listed

__all__ = ["DATA", "TEST", "TRAINING", "VALIDATION", "Constituents", "Dataset", "View", "load_dataset"]

TRAINING, VALIDATION, TEST, DATA = 0, 1, 2, -1


@dataclass(frozen=True, eq=False)
class Constituents:
    """What a network for sets sees: features of the constituents of all jets, one jet after the other.

    Attributes
    ----------
    names : tuple of str
        The F features.
    features : (T, F) float32
    counts : (N,) int64
        Constituents of each jet, their sum is T.
    """

    names: tuple[str, ...]
    features: np.ndarray
    counts: np.ndarray

    def rows(self, jets: np.ndarray) -> np.ndarray:
        """Return the rows of the constituents of some jets, (n,) int64 -> (T',) int64, one jet after the other."""
        first, counts = np.cumsum(self.counts) - self.counts, self.counts[jets]
        shift = first[jets] - (np.cumsum(counts) - counts)
        return np.arange(counts.sum()) + np.repeat(shift, counts)


@dataclass(frozen=True, eq=False)
class Dataset:
    """All events that passed the cuts, samples one after the other in the order of the file, data last.

    Attributes
    ----------
    study : Study
    columns : mapping of str to (N,) array
        Features, spectators, keys and derived columns, raw. A column that a sample does not have, but another one has
        among its `values`, and a feature that is reset, are NaN there.
    features : tuple of str
        What the network sees, F of them: columns, or features of constituents, or none for images.
    classes : tuple of str
        Names of the K classes, in the order of their labels.
    labels : (N,) int64
        Numbers of classes, -1 for data.
    targets : (N,) float64, optional
        What a regression learns, in its own unit.
    samples : tuple of str
    sample : (N,) int16
        Number of the sample that an event is from.
    weights : (N,) float64
        Events that each stands for, per inverse femtobarn, with their signs; 1 for data.
    parts : (N,) int8
        TRAINING, VALIDATION, TEST or DATA. With k folds every event is tested, and TEST or DATA.
    folds : (N,) int16
        With k folds: which of them tests an event; else 0. -1 for data.
    places : (N,) uint64, or None
        A number that belongs to the event, by its sample and where it lies in the files; use `places_of`.
    flow : pandas.DataFrame
        Events and sum of weights of each sample before its cuts and after each: sample, cut, events, weight.
    constituents : Constituents or None
    images : (N, H, W, C) float32, or None
    part_files : dict of int to str, or None
        Of a streamed dataset: shuffled files of the features of each part, or each fold.
    fitted : dict of int or None to Fitted, or None
        What networks that were trained on other events have fitted on those, by fold: then nothing is fitted here.
    """

    study: Study
    columns: Mapping[str, np.ndarray]
    features: tuple[str, ...]
    classes: tuple[str, ...]
    labels: np.ndarray
    targets: np.ndarray | None
    samples: tuple[str, ...]
    sample: np.ndarray
    weights: np.ndarray
    parts: np.ndarray
    folds: np.ndarray
    places: np.ndarray | None
    flow: pd.DataFrame
    constituents: Constituents | None = None
    images: np.ndarray | None = None
    part_files: dict[int, str] | None = None
    fitted: Mapping[int | None, Fitted] | None = None

    def __len__(self) -> int:
        """Return N, the number of events."""
        return len(self.labels)

    @property
    def streamed(self) -> bool:
        """Whether the columns lie on disk, because they do not fit in `input.memory`: read one at a time."""
        return isinstance(self.columns, StoredColumns)

    def places_of(self, rows: np.ndarray) -> np.ndarray:
        """Return the numbers that belong to some events, (n,) uint64."""
        return self.columns.take("places", rows).view(np.uint64) if self.places is None else self.places[rows]

    def view(self, fold: int | None = None) -> View:
        """Return the dataset as one training sees it.

        Parameters
        ----------
        fold : int, optional
            With k folds: the one that tests, 0 to k - 1. The next one validates, the others train.

        Raises
        ------
        ValueError
            There are folds and none is named, or the reverse; a class has no events in a part, or weights that cancel,
            unless the networks were trained on other events.
        """
        k = self.study.train.folds
        if (k is None) != (fold is None) or (fold is not None and not 0 <= fold < k):
            raise ValueError(f"train.folds is {k}, but the view of fold {fold} was asked for")
        if fold not in self._views:
            self._views.clear()
            self._views[fold] = self._viewed(fold)
        return self._views[fold]

    @cached_property
    def _views(self) -> dict[int | None, View]:
        """The latest view: of many events it takes minutes, and it is looked at many times."""
        return {}

    def __getstate__(self) -> dict:
        """Leave the view out where a dataset is sent to another process."""
        return {name: value for name, value in self.__dict__.items() if name != "_views"}

    def _viewed(self, fold: int | None) -> View:
        labelled, k = self.labels >= 0, self.study.train.folds
        if fold is None:
            parts = [np.flatnonzero(labelled & (self.parts == part)) for part in (TRAINING, VALIDATION, TEST)]
        else:
            tests, validates = (labelled & (self.folds == i % k) for i in (fold, fold + 1))
            parts = [np.flatnonzero(mask) for mask in (labelled & ~tests & ~validates, validates, tests)]
        return make_view(self, *parts) if self.fitted is None else applied_view(self, self.fitted[fold], *parts)


def load_dataset(study: Study, *, limit: int | None = None) -> Dataset:
    """Read the events of a study: their columns, classes, weights and parts.

    Parameters
    ----------
    study : Study
    limit : int, optional
        Read so many events of each sample at most. Neither part nor fold of an event depends on it.

    Returns
    -------
    Dataset

    Raises
    ------
    FileNotFoundError, OSError, KeyError
        A file is missing or damaged, or lacks a tree or a column.
    TypeError
        A key of the split does not hold integers.
    ValueError
        A sample is empty after its cuts, a class has no events, a value is missing, an expression not defined ...
    """
    settings = study.input
    readers = [SampleReader(name, section, sample, settings) for name, (section, sample) in settings.samples().items()]
    if is_larger(readers, settings.memory, limit):
        return _streamed(study, readers, limit)
    loaded = [_joined(list(reader.pieces(limit))) for reader in readers]
    columns = _columns([piece.columns for piece in loaded], [reader.where for reader in readers])
    labels, weights, places = (
        np.concatenate([getattr(piece, name) for piece in loaded]) for name in ("labels", "weights", "places")
    )
    flow = pd.DataFrame([row for reader in readers for row in reader.flow])
    _require_classes(study, labels)
    parts, folds = _parts(study, columns, labels, lambda rows: places[rows])
    return Dataset(
        study=study,
        columns=columns,
        features=_features(settings),
        classes=settings.class_names,
        labels=labels,
        targets=columns[settings.target].astype(np.float64) if settings.target else None,
        samples=tuple(settings.samples()),
        sample=np.repeat(np.arange(len(loaded), dtype=np.int16), [len(piece.labels) for piece in loaded]),
        weights=weights,
        parts=parts,
        folds=folds,
        places=places,
        flow=flow,
        constituents=_constituents(settings, loaded),
        images=np.concatenate([piece.images for piece in loaded]) if settings.images else None,
    )


def _streamed(study: Study, readers: list[SampleReader], limit: int | None) -> Dataset:
    """Read events that do not fit in memory: their columns stay on disk, and shuffled files for the training beside."""
    settings = study.input
    if settings.constituents or settings.images:
        raise ValueError(
            f"input.memory is {settings.memory}, too little for these constituents or images, which are not streamed: "
            f"give more, or take fewer files"
        )
    if study.train.network == "boosted_trees":
        raise ValueError(
            f"train.network: boosted_trees have to see all events in memory, and they take more than input.memory "
            f"({settings.memory}): raise that, take fewer events, or a network of Keras, such as dense"
        )
    columns, arrays, sizes = store(readers, limit)
    _require_classes(study, arrays["labels"])
    parts, folds = _parts(study, columns, arrays["labels"], lambda rows: columns.take("places", rows).view(np.uint64))
    dataset = Dataset(
        study=study,
        columns=columns,
        features=settings.features,
        classes=settings.class_names,
        labels=arrays["labels"],
        targets=columns[settings.target].astype(np.float64) if settings.target else None,
        samples=tuple(settings.samples()),
        sample=np.repeat(np.arange(len(sizes), dtype=np.int16), sizes),
        weights=arrays["weights"],
        parts=parts,
        folds=folds,
        places=None,
        flow=pd.DataFrame([row for reader in readers for row in reader.flow]),
    )
    return dataset if study.job.trained else replace(dataset, part_files=write_parts(dataset, settings.memory))


def _features(settings) -> tuple[str, ...]:
    if settings.images:
        return ()
    if not settings.constituents:
        return settings.features
    return (*settings.constituents.names, *settings.features)


def _joined(pieces: list[Piece]) -> Piece:
    """Append the pieces of one sample to each other."""
    first = pieces[0]
    if len(pieces) == 1:
        return first
    columns = {name: np.concatenate([piece.columns[name] for piece in pieces]) for name in first.columns}
    rest = [np.concatenate([piece[i] for piece in pieces]) for i in (1, 2, 3)]
    constituents = first.constituents and tuple(
        np.concatenate(parts) for parts in zip(*(piece.constituents for piece in pieces), strict=True)
    )
    images = None if first.images is None else np.concatenate([piece.images for piece in pieces])
    return Piece(columns, *rest, constituents, images)


def _columns(parts: list[dict], names: list[str]) -> dict[str, np.ndarray]:
    try:
        return concatenate_events(parts)
    except ValueError as error:
        numbered = ", ".join(f"sample {i} is {name}" for i, name in enumerate(names))
        raise ValueError(f"{error} ({numbered})") from None


def _require_classes(study: Study, labels: np.ndarray) -> None:
    """Refuse classes without events, and a classification of one class, where something is trained."""
    names, task = study.input.class_names, study.train.task
    if study.job.trained:
        return
    for number, name in enumerate(names):
        if not (labels == number).any():
            raise ValueError(
                f"the class {name} has no event; those of the samples that could have some were left out by a cut, or "
                f"their label branch never says it"
            )
    if len(names) < 2 and task != "regression":
        raise ValueError(
            f"there is one class, {listed(names)}, where train.task: {task} needs two: add a sample to backgrounds"
        )


def _parts(study: Study, columns: Mapping, labels: np.ndarray, places_of) -> tuple[np.ndarray, np.ndarray]:
    """Deal labelled events to parts and folds by a hash of their keys, or of their places."""
    split, k = study.input.split, study.train.folds
    fractions = split.fractions if k is None else [1 / k] * k
    parts, folds = np.full(len(labels), DATA, dtype=np.int8), np.full(len(labels), -1, dtype=np.int16)
    for start in range(0, len(labels), CHUNK):
        rows = start + np.flatnonzero(labels[start : start + CHUNK] >= 0)
        if split.keys:
            number = _dealt([taken(columns, name, rows) for name in split.keys], fractions, split.salt or 0)
        else:
            u = uniform(places_of(rows), study.job.seed if split.salt is None else split.salt, "split")
            number = np.searchsorted(np.cumsum(fractions)[:-1], u, side="right")
        parts[rows], folds[rows] = (number, 0) if k is None else (TEST, number)
    sizes = np.bincount((parts if k is None else folds)[labels >= 0], minlength=len(fractions))
    if not sizes.all() and not study.job.trained:
        what = "training, validation and test" if k is None else f"the {k} folds"
        raise ValueError(f"{what} have {sizes.tolist()} events: take more events, other fractions, or other keys")
    return parts, folds


def _dealt(keys: list[np.ndarray], fractions, salt: int) -> np.ndarray:
    """Return the number of the part of each event, (n,), by `split_by_hash`; a part may be empty among these events."""
    n, more = len(keys[0]), np.arange(10_000)  # of which some are in each part
    keys = [key.astype(np.int64) if key.dtype.kind == "i" else key for key in keys]
    dealt = split_by_hash(
        *(np.concatenate([key, more.astype(key.dtype)]) for key in keys), fractions=fractions, salt=salt
    )
    number = np.empty(n + len(more), dtype=np.int16)
    for i, positions in enumerate(dealt):
        number[positions] = i
    return number[:n]


def _constituents(settings, loaded: list[Piece]) -> Constituents | None:
    if settings.constituents is None:
        return None
    features, counts = (np.concatenate(parts) for parts in zip(*(piece.constituents for piece in loaded), strict=True))
    return Constituents(settings.constituents.names, features, counts)
