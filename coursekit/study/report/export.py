"""The trained networks in formats that software outside Python reads, each compared before it gets its name."""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from coursekit.preprocess import Scaler
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
        The run folder has no networks of Keras.
    ImportError, ValueError
        As the functions of `coursekit.export`.
    """
    rows = selection.labelled(dataset)[:_MOST]
    table = np.column_stack([dataset.columns[name] for name in dataset.features])[rows].astype(np.float32)
    table = table[np.isfinite(table).all(axis=1)]
    if not len(table):
        raise NothingToDraw("there is no event without NaN to compare files on")
    table = table[np.arange(max(len(table), _LEAST)) % len(table)]
    folder = page.folder / "export"
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for training in (one for one in outcome.trainings if one.seed == outcome.trainings[0].seed):
        name = training_name(training.seed, training.fold)
        written += _export(study, dataset, page.folder / "models" / name, folder, table)
    files = [path.relative_to(page.folder).as_posix() for path in written]
    page.add("export", "Networks of the first repeat, with scaler, default values and names of classes inside; each "
             f"file was read again and gives what its network gives, on {len(table)} events.",
             table=pd.DataFrame({"size [kB]": [_size(path) for path in written]}, index=files))  # fmt: skip
    return {"files": files}


def _export(study: Study, dataset: Dataset, source: Path, folder: Path, table: np.ndarray) -> list[Path]:
    from coursekit.export.saved import load_keras

    asked, written = study.apply.export, []
    if not (source / "network.keras").is_file():
        raise NothingToDraw(f"{source} has no network of Keras")
    network, variables = load_keras(source / "network.keras"), source / "variables.json"
    scaler = Scaler.load(variables) if variables.is_file() else None
    classes = ("mixture_1", "mixture_2") if study.train.task == "cwola" else dataset.classes
    arguments = {"classes": classes, "scaler": scaler}
    if asked.onnx or asked.cpp:
        from coursekit.export import export_onnx

        with tempfile.TemporaryDirectory() as elsewhere:
            path = (folder if asked.onnx else Path(elsewhere)) / f"{source.name}.onnx"
            model = export_onnx(path, network, table, settings={"study": study.job.name}, **arguments)
            written += [model] if asked.onnx else []
            if asked.cpp:
                from coursekit.export import export_cpp

                written.append(export_cpp(model, folder / f"{source.name}_cpp"))
    if asked.lwtnn:
        from coursekit.export import export_lwtnn

        written.append(export_lwtnn(folder / f"{source.name}.lwtnn.json", network, table, **arguments))
    return written


def _size(path: Path) -> float:
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files) / 1000
