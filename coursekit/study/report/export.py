"""The trained networks in formats that software outside Python reads, each compared before it gets its name."""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from coursekit.preprocess import Scaler
from coursekit.study import training
from coursekit.study.dataset import Dataset
from coursekit.study.folder import training_name
from coursekit.study.outcome import Outcome
from coursekit.study.report import selection
from coursekit.study.report.drawing import NothingToDraw
from coursekit.study.report.page import Page
from coursekit.study.settings import Study

_LEAST, _MOST = 1000, 10_000  # events on which a file is compared with its network


def add_export(page: Page, study: Study, dataset: Dataset, outcome: Outcome) -> dict:
    """Write the networks of the first repeat, one a fold, with their scalers, into ``export/`` of the run folder.

    Parameters
    ----------
    page : Page
    study : Study
    dataset : Dataset
    outcome : Outcome

    Returns
    -------
    dict
        ``files``: paths relative to the run folder.

    Raises
    ------
    NothingToDraw
        The run folder has no networks, no event can be compared, a package is missing that a format needs, or an own
        network cannot be written so: the reason of `coursekit.export`.
    """
    events = _events(dataset)
    folder = page.folder / "export"
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for one in outcome.trainings:
        if one.seed == outcome.trainings[0].seed:
            source = page.folder / "models" / training_name(one.seed, one.fold)
            try:
                written += _export(study, dataset, source, folder, events)
            except (ImportError, FileNotFoundError, TypeError, ValueError) as error:
                raise NothingToDraw(f"{source.name} is not written: {error}") from error
    files = [path.relative_to(page.folder).as_posix() for path in written]
    n_compared = len(events[1] if isinstance(events, tuple) else events)
    page.add("export", "Networks of the first repeat, with scaler, default values and names of classes inside; each "
             f"file was read again and gives what its network gives, on {n_compared} events.",
             table=pd.DataFrame({"size [kB]": [_size(path) for path in written]}, index=files))  # fmt: skip
    return {"files": files}


def _events(dataset: Dataset) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
    """Return raw inputs of simulated events, spread over all: a table, pictures, or constituents and their counts."""
    rows = selection.labelled(dataset)
    rows = rows[:: -(-len(rows) // _MOST) or 1]
    view = selection.training_view(dataset)
    table = view.raw_inputs(rows)
    counts = np.ones(len(rows), np.int64) if dataset.constituents is None else dataset.constituents.counts[rows]
    of = np.repeat(np.arange(len(rows)), counts)
    finite = np.bincount(of, ~np.isfinite(table.reshape(len(table), -1)).all(axis=1), len(rows)) == 0
    if not (finite & (counts > 0)).any():
        raise NothingToDraw("there is no event without NaN to compare files on")
    kept = np.flatnonzero(finite)
    kept = kept[np.arange(max(len(kept), _LEAST)) % len(kept)]  # too few come again
    if dataset.constituents is None:
        return table[kept]
    first = np.cumsum(counts) - counts
    within = np.arange(counts[kept].sum()) - np.repeat(np.cumsum(counts[kept]) - counts[kept], counts[kept])
    return table[np.repeat(first[kept], counts[kept]) + within], counts[kept]


def _export(study: Study, dataset: Dataset, source: Path, folder: Path, events) -> list[Path]:
    asked, written = study.apply.export, []
    network, variables = training.load_model(source), source / "variables.json"
    scaler = Scaler.load(variables) if variables.is_file() else None
    if hasattr(network, "state_dict") and not isinstance(events, tuple):  # an own one of PyTorch: rows, one an event
        events = events.reshape(len(events), -1), np.ones(len(events), np.int64)
    classes = ("mixture_1", "mixture_2") if study.train.task == "cwola" else dataset.classes
    arguments = {"classes": classes, "scaler": scaler}
    if asked.onnx or asked.cpp:
        from coursekit.export import export_onnx

        named = _named(events, dataset.features) if scaler is None else events
        with tempfile.TemporaryDirectory() as elsewhere:
            path = (folder if asked.onnx else Path(elsewhere)) / f"{source.name}.onnx"
            model = export_onnx(path, network, named, settings={"study": study.job.name}, **arguments)
            written += [model] if asked.onnx else []
            if asked.cpp:
                from coursekit.export import export_cpp

                written.append(export_cpp(model, folder / f"{source.name}_cpp"))
    if asked.lwtnn:
        from coursekit.export import export_lwtnn

        written.append(export_lwtnn(folder / f"{source.name}.lwtnn.json", network, events, **arguments))
    return written


def _named(events, features: tuple[str, ...]):
    """Return tables with the names of their columns, which no scaler knows; others as they are."""
    if isinstance(events, tuple):
        return _named(events[0], features), events[1]
    return pd.DataFrame(events, columns=list(features)) if features and events.ndim == 2 else events


def _size(path: Path) -> float:
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files) / 1000
