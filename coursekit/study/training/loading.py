"""Networks that were kept: loaded again, applied again, as they were at the end or after an epoch."""

import contextlib
import dataclasses
import importlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np

from coursekit.study.dataset import Dataset
from coursekit.study.fitted import Fitted
from coursekit.study.outcome import Outcome, Trained, Training
from coursekit.study.settings import Study
from coursekit.study.settings.train import Train
from coursekit.study.training.limits import limited
from coursekit.study.training.one import score_all
from coursekit.study.training.problem import Problem
from coursekit.study.training.together import combine
from coursekit.surroundings import load_triton_before_tensorflow, prepare_frameworks
from coursekit.words import listed

_SUFFIXES = {"keras": ".keras", "torch": ".pt", "trees": ".joblib"}


def load_network(kept: str | os.PathLike | Mapping[str, bytes], epoch: int | None = None) -> Callable:
    """Load a network that was kept.

    Parameters
    ----------
    kept : path-like or mapping of str to bytes
        The folder of one training in a run folder, ``models/seed1``, or its files as `Trained` holds them. Boosted
        trees are read with joblib, which runs code in the file: load only what you trust.
    epoch : int, optional
        As it was after this epoch, which `train.save_every` has kept; by default as it was in the end.

    Returns
    -------
    callable
        From inputs, as `View.inputs` gives them, to scores (n, C) float32, those of the training.

    Raises
    ------
    FileNotFoundError
        There is no such folder, or no network in it, or none of this epoch.
    ValueError
        The network, or what is said of it, is damaged.
    """
    problem, side, content, where = _found(kept, epoch)
    with _readable(where):
        outputs = side.load(content, problem)
    return lambda inputs: problem.in_units(outputs(inputs))


def load_model(kept: str | os.PathLike | Mapping[str, bytes]):
    """Load a network that was kept, as its framework has it.

    Parameters
    ----------
    kept : path-like or mapping of str to bytes
        As in `load_network`.

    Returns
    -------
    keras.Model or torch.nn.Module
        In float32, on the CPU. In PyTorch it takes (x, counts) and gives logits, whatever its events are.

    Raises
    ------
    FileNotFoundError, ValueError
        As `load_network`; or it is one of boosted trees.
    """
    problem, side, content, where = _found(kept, None)
    if not hasattr(side, "exportable"):
        raise ValueError(f"{where} holds boosted trees, which are no network of Keras or PyTorch")
    with _readable(where):
        return side.exportable(content, problem)


def apply_network(dataset: Dataset, files: Mapping[str, bytes], epoch: int | None = None) -> Trained:
    """Apply one network that was kept to all events of a dataset, whatever events it was trained on.

    Inputs are scaled, and reset, with what the training has fitted: nothing is fitted on these events.

    Parameters
    ----------
    dataset : Dataset
    files : mapping of str to bytes
        Of the training, as `Trained` holds them.
    epoch : int, optional
        As it was after this epoch; by default as it was in the end.

    Returns
    -------
    Trained
        The training as it was, with the scores of these events.

    Raises
    ------
    FileNotFoundError, ValueError
        As `load_network`; or what was fitted is missing, damaged, or for other features.
    FloatingPointError
        A score is NaN or infinite.
    """
    scores_of = load_network(files, epoch)
    said = json.loads(files["history.json"])
    training = Training(*(said[name] for name in Training._fields))
    view = dataclasses.replace(dataset, fitted={training.fold: Fitted.read(files, dataset)}).view(training.fold)
    with limited(said["network"]["framework"]):
        scores = score_all(view, said["network"]["outputs"], scores_of)
    return Trained(training, scores, dict(files))


def epoch_scores(study: Study, dataset: Dataset, models: str | os.PathLike, epoch: int | None = None) -> Outcome:
    """Apply the networks of a run again, as they were after an epoch, to all events of a dataset, of the run or others.

    Parameters
    ----------
    study : Study
        Its `input.reset` says what features are for the events.
    dataset : Dataset
    models : path-like
        The folder with one folder for each training; inputs are scaled as they were there.
    epoch : int, optional
        By default the end.

    Returns
    -------
    Outcome

    Raises
    ------
    FileNotFoundError, ValueError
        As `apply_network`; or there are no trainings.
    """
    folders = sorted(path.parent for path in Path(models).glob("[!.]*/history.json"))
    if not folders:
        raise FileNotFoundError(f"{models} holds no training: no folder in it has a history.json")
    dataset = dataclasses.replace(dataset, study=study)
    return combine(dataset, [apply_network(dataset, _read(folder), epoch)._replace(files={}) for folder in folders])


def _found(kept, epoch: int | None) -> tuple[Problem, ModuleType, bytes, str]:
    """Return what a kept network had to learn, the module of its framework, its content, and where it lies."""
    files = kept if isinstance(kept, Mapping) else _read(Path(kept))
    where = "the files" if isinstance(kept, Mapping) else str(kept)
    if "history.json" not in files:
        raise FileNotFoundError(
            f"{where}: there is no history.json, which says what the network is; name models/seed..."
        )
    try:
        problem = _recorded(json.loads(files["history.json"]))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{where}: history.json is damaged ({error}): train again") from error
    framework = json.loads(files["history.json"])["network"]["framework"]
    name = ("network" if epoch is None else f"epoch_{epoch:03d}") + _SUFFIXES[framework]
    if name not in files:
        networks = [file for file in sorted(files) if file.endswith(_SUFFIXES[framework])]
        raise FileNotFoundError(f"{where}: there is no {name}; there are {listed(networks)}. See train.save_every")
    prepare_frameworks()
    load_triton_before_tensorflow()
    side = importlib.import_module(f"coursekit.study.training.{framework}_fit")
    return problem, side, files[name], f"{where}: {name}"


@contextlib.contextmanager
def _readable(where: str) -> Iterator[None]:
    """Say of any error that a network is damaged."""
    try:
        yield
    except (ImportError, MemoryError):
        raise
    except Exception as error:  # of archives, of HDF5, of pickle, of the frameworks
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(f"{where} cannot be read ({reason}): train again") from error


def _read(folder: Path) -> dict[str, bytes]:
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is no folder of a training")
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file() and file.suffix != ".npy"}


def _recorded(said: dict) -> Problem:
    """Return what a training had to learn, as far as its network depends on it."""
    network, target = said["network"], said["target"]
    train = Train(network=network["name"], options=network["options"], task=network["task"], loss=network["loss"])
    shape = network["shape"] if isinstance(network["shape"], int) else tuple(network["shape"])
    known = (said["fold"], network["kind"], shape, network["outputs"], np.empty(0), target["centre"], target["spread"])
    return Problem(SimpleNamespace(train=train), None, None, *known)
