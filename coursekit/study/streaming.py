"""Inputs larger than memory: columns on disk, the scaler from sums of chunks, batches from shuffled files."""

import contextlib
import ctypes
import gc
from collections.abc import Sequence

import numpy as np
import uproot

from coursekit.arrays import checked_weights
from coursekit.preprocess import Scaler, is_default
from coursekit.streaming import BatchStream, shuffle_file
from coursekit.study.samples import SampleReader
from coursekit.study.stored import CHUNK, StoredColumns

SIZES = " kMGT"


def n_bytes(size: str) -> float:
    """Return the bytes of a size such as "2GB", in powers of ten.

    Examples
    --------
    >>> n_bytes("1.5 GB"), n_bytes("200")
    (1500000000.0, 200.0)
    """
    number = size.strip().upper().removesuffix("B").strip()
    factor = 1000 ** SIZES.upper().index(number[-1]) if number[-1] in SIZES.upper() else 1
    return float(number.rstrip(SIZES.upper())) * factor


def give_back() -> None:
    """Hand freed memory back to the system: the C library of Linux keeps it for later, and it counts as used."""
    gc.collect()
    with contextlib.suppress(AttributeError, OSError, TypeError):  # of other systems
        ctypes.CDLL(None).malloc_trim(0)


def is_larger(readers: Sequence[SampleReader], memory: str, limit: int | None) -> bool:
    """Say whether events take more memory than is allowed.

    In memory are the columns that are read, once more those that stay, and some ten numbers for each event; while files
    are joined, all of it twice.
    """
    total = 0.0
    for reader in readers:
        n, size = reader.size()
        share = 1 if limit is None else min(1, limit / n)
        total += share * (2 * size + 8 * n * (len(reader.kept) + 10))
    return total > n_bytes(memory)


def store(readers: Sequence[SampleReader], limit: int | None) -> tuple[StoredColumns, dict[str, np.ndarray], list[int]]:
    """Read all samples and keep their columns on disk.

    Returns
    -------
    columns : StoredColumns
        With ``places``, which is int64 there.
    arrays : dict
        ``labels`` (N,) int8 and ``weights`` (N,) float32.
    sizes : list of int
        Events of each sample.
    """
    of_sizes = [reader.size()[0] * (8 * len(reader.kept) + 8) for reader in readers]
    columns, labels, weights, sizes = StoredColumns(2 * sum(of_sizes) if limit is None else 0), [], [], []
    for reader in readers:
        before = columns.n_events
        for piece in reader.pieces(limit):
            if len(piece.labels):
                columns.append(piece.columns | {"places": piece.places.view(np.int64)}, reader.where)
                labels.append(piece.labels.astype(np.int8))
                weights.append(piece.weights.astype(np.float32))
        sizes.append(columns.n_events - before)
    return columns, {"labels": np.concatenate(labels), "weights": np.concatenate(weights)}, sizes


def write_parts(dataset, memory: str, progress=None) -> dict[int, str]:
    """Write the features of each part, or of each fold, to a ROOT file of its own, and shuffle it.

    Returns
    -------
    dict of int to str
        The file of each part or fold; its tree `events` has the features, float32, and `row`, the event's position.
    """
    columns, names = dataset.columns, dataset.study.input.features
    number = dataset.parts if dataset.study.train.folds is None else dataset.folds
    wanted = sorted(set(np.unique(number)) - {-1} - ({2} if dataset.study.train.folds is None else set()))
    sorted_files = {int(k): columns.folder / f"sorted{k}.root" for k in wanted}
    kinds = {f"x{i}": np.float32 for i in range(len(names))} | {"row": np.int64}
    writers = {k: uproot.recreate(path, compression=None) for k, path in sorted_files.items()}
    trees = {k: writer.mktree("events", kinds) for k, writer in writers.items()}
    for start in range(0, columns.n_events, CHUNK):
        stop = min(start + CHUNK, columns.n_events)
        table = {f"x{i}": columns.read(name, start, stop).astype(np.float32) for i, name in enumerate(names)}
        for k, tree in trees.items():
            chosen = number[start:stop] == k
            if chosen.any():
                tree.extend(
                    {name: column[chosen] for name, column in table.items()} | {"row": start + np.flatnonzero(chosen)}
                )
    files = {}
    for k, path in sorted_files.items():
        writers[k].close()
        files[k] = str(columns.folder / f"part{k}.root")
        rng = np.random.default_rng([dataset.study.job.seed, k])
        shuffle_file(path, files[k], rng, memory=int(max(n_bytes(memory) / 4, 5e8)), key="events", progress=progress)
        path.unlink()
    return files


def fit_scaler(dataset, names, raw, training: np.ndarray, weights: np.ndarray | None) -> Scaler:
    """Measure offset and scale as `Scaler.fit` does, from sums over chunks of the training events.

    Parameters
    ----------
    dataset : Dataset
    names : sequence of str
    raw : callable
        From positions (n,) to the table (n, F).
    training : (n,) int64
    weights : (n,) float or None

    Returns
    -------
    Scaler
        As from all events at once, to rounding.
    """
    settings = dataset.study.input
    weights = np.ones(len(training), np.float32) if weights is None else weights
    sums, means, squares = np.zeros(len(names)), np.zeros(len(names)), np.zeros(len(names))
    for power in (1, 2):
        for start in range(0, len(training), CHUNK):
            table = raw(training[start : start + CHUNK]).astype(np.float64)
            w = checked_weights(weights[start : start + CHUNK])
            for i, name in enumerate(names):
                used = w > 0
                if name in settings.defaults:
                    used &= ~is_default(table[:, i], settings.defaults[name])
                if power == 1:
                    sums[i] += w[used].sum()
                    means[i] += (w[used] * table[used, i]).sum()
                else:
                    squares[i] += (w[used] * (table[used, i] - means[i]) ** 2).sum()
        if power == 1:
            _require(sums, names, "holds its default value in every training event with a weight")
            means /= sums
    _require(squares, names, "is constant in the training events")
    scale = 1 / np.sqrt(squares / sums)
    fills = {name: float(means[list(names).index(name)]) for name in settings.defaults}
    if settings.fill == "median":  # one column at a time
        for name in settings.defaults:
            fills[name] = _median(dataset, name, training, weights)
    return Scaler(tuple(names), -means, scale, dict(settings.defaults), fills, dict(settings.checks))


def _median(dataset, name: str, training: np.ndarray, weights: np.ndarray) -> float:
    column = dataset.columns[name][training]
    table = column[:, None].astype(np.float32)
    fitted = Scaler.fit(table, [name], weights, {name: dataset.study.input.defaults[name]}, fill="median")
    return fitted.fills[name]


def _require(positive: np.ndarray, names, what: str) -> None:
    for name, value in zip(names, positive, strict=True):
        if not value > 0:
            raise ValueError(f"input.features: {name} {what}: leave this feature out")


def stream(view, part: str, batch_size: int, seed: int | None) -> BatchStream:
    """Return the batches of a part, each epoch in another order."""
    dataset = view.dataset
    k, names = dataset.study.train.folds, dataset.study.input.features
    if k is None:
        numbers = [("training", "validation").index(part)]
    else:
        tests = int(dataset.folds[view.test[0]])
        validates = (tests + 1) % k
        numbers = [validates] if part == "validation" else [i for i in range(k) if i not in (tests, validates)]

    def prepare(events: dict, _):
        rows = events["row"]
        table = np.stack([events[f"x{i}"] for i in range(len(names))], axis=1)
        used = view.labels[rows] >= 0  # others were left out of the mixtures
        return view.scaled(table, rows), np.where(used, view.targets(rows), 0), np.where(used, view.weights[rows], 0)

    files = {dataset.part_files[number]: number for number in numbers}
    rng = None if seed is None else np.random.default_rng([seed, 7])
    return BatchStream(files, prepare, rng, batch_size=batch_size, key="events")
