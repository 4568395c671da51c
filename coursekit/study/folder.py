"""Run folders: what a run of a study was told, what it did, and whether it has come to its end."""

import contextlib
import datetime
import json
import os
import platform
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from coursekit.files import naming_if_full, replacing, unwritable
from coursekit.locks import locked
from coursekit.study.dataset import Dataset
from coursekit.study.outcome import Outcome, Trained, Training
from coursekit.study.reading import Resolved
from coursekit.study.record import described_inputs, git_state, versions
from coursekit.study.writing import show
from coursekit.threads import of_a_task
from coursekit.trees import first_line
from coursekit.words import listed

__all__ = ["RunFolder", "runs"]

_NAME = re.compile(r"\d{4}-\d\d-\d\d_v(\d{2,})(_debug)?")


@dataclass(frozen=True)
class RunFolder:
    """One run of a study.

    Attributes
    ----------
    path : pathlib.Path
        ``FOLDER/NAME/DATE_vNN``, with ``_debug`` behind it for a run with few events. In it lie ``study.yaml``,
        ``run.json``, ``log.txt``, ``models/``, ``predictions.h5``, ``results.json``, and what `apply` makes.
    """

    path: Path

    @property
    def models(self) -> Path:
        """The folder with one folder for each training that has ended."""
        return self.path / "models"

    @property
    def log(self) -> Path:
        """The file that tells what happened."""
        return self.path / "log.txt"

    @classmethod
    def create(cls, resolved: Resolved, parent: Path | None = None, debug: bool = False) -> "RunFolder":
        """Make the folder of a new run, with the next free number of this day.

        Parameters
        ----------
        resolved : Resolved
        parent : pathlib.Path, optional
            Where it shall lie, instead of ``FOLDER/NAME`` of the study.
        debug : bool
            Whether its name says that it was run with few events.

        Returns
        -------
        RunFolder

        Raises
        ------
        OSError
            The folder cannot be written.
        FileNotFoundError
            An input is not there.
        """
        inputs = described_inputs(resolved)
        parent = parent or Path(resolved.study.job.folder) / resolved.study.job.name
        day = datetime.date.today().isoformat()
        try:
            parent.mkdir(parents=True, exist_ok=True)
            number = 1 + max((int(m[1]) for m in map(_NAME.fullmatch, _names(parent, day)) if m), default=0)
            while True:
                path = parent / f"{day}_v{number:02d}{'_debug' * debug}"
                try:
                    path.mkdir()  # by one process alone, whoever else tries
                    break
                except FileExistsError:
                    number += 1
            (path / "models").mkdir()
        except OSError as error:
            raise unwritable(parent, error) from None
        run = cls(path)
        try:
            run.note(
                status="begun",
                study=os.path.abspath(resolved.files[0]),
                includes=[os.path.abspath(file) for file in resolved.files[1:]],
                command=shlex.join(sys.argv),
                python=platform.python_version(),
                platform=platform.platform(),
                threads=of_a_task(),
                versions=versions(),
                git=git_state(resolved.folder),
                inputs=inputs,
            )
            run.write("study.yaml", show(resolved))  # with which it is a run: whoever finds it finds its record, too
        except BaseException:  # a full disk, or Ctrl-C: there is nothing in it yet
            shutil.rmtree(path, ignore_errors=True)
            raise
        return run

    @classmethod
    def open(cls, path: str | os.PathLike) -> "RunFolder":
        """Return the run that a folder holds.

        Parameters
        ----------
        path : path-like

        Returns
        -------
        RunFolder

        Raises
        ------
        FileNotFoundError
            There is no such folder, or it is no run.
        """
        path = Path(path)
        if not (path / "study.yaml").is_file():
            there = [run.path.name for run in runs(path)] if path.is_dir() else []
            more = f"; did you mean one of the runs in it, {listed(there)}?" if there else ""
            raise FileNotFoundError(f"{path} is no run folder, which holds a file study.yaml{more}")
        return cls(path)

    def facts(self) -> dict:
        """Return what ``run.json`` says, empty if the run was ended before it was written.

        Raises
        ------
        ValueError
            The file is damaged.
        """
        return self._json("run.json")

    def results(self) -> dict:
        """Return what ``results.json`` says, by step, empty if there are no results yet.

        Raises
        ------
        ValueError
            The file is damaged.
        """
        return self._json("results.json")

    def status(self) -> str:
        """Return ``running``, ``finished``, ``failed``, ``interrupted``, or ``killed`` if it ended without a word."""
        said = self.facts().get("status", "killed")
        if said not in ("running", "begun"):
            return said
        try:
            with locked(self.path / "run.json", wait=False):
                return "killed"  # whoever runs has the lock
        except OSError:  # in use, or in a folder that is not ours
            return "running"

    def note(self, **facts) -> None:
        """Add to what ``run.json`` says."""
        self.write("run.json", _as_json({**self.facts(), **facts}))

    def write(self, name: str, text: str) -> None:
        """Write a text file of the run, which appears when it is complete."""
        with replacing(self.path / name) as partial:
            partial.write_text(text, encoding="utf-8", newline="\n")

    def keep_results(self, step: str, numbers: dict) -> None:
        """Add the numbers of a step to ``results.json``; those that are not finite become null."""
        self.write("results.json", _as_json({**self.results(), step: numbers}))

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """Hold the folder while the block works in it, and note how that ends.

        Raises
        ------
        BlockingIOError
            Another process, which is alive, works in it.
        """
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(locked(self.path / "run.json", wait=False))
            except TimeoutError:
                raise BlockingIOError(
                    f"{self.path} is in use by a process that runs: wait for its end, or start a new run"
                ) from None
            for left in self.models.glob(".*.part"):  # by a process that was killed
                shutil.rmtree(left)
            self.note(status="running", started=_now(), process=os.getpid(), machine=platform.node(), reason=None)
            try:
                yield
            except BaseException as error:
                interrupted = isinstance(error, KeyboardInterrupt)
                with contextlib.suppress(OSError):  # as when the disk is full, which the error says
                    reason = "Ctrl-C, or the end of a batch job" if interrupted else first_line(error)
                    self.note(status="interrupted" if interrupted else "failed", reason=reason, ended=_now())
                raise
            self.note(status="finished", ended=_now())

    def keep_training(self, trained: Trained) -> None:
        """Keep one training: its folder ``models/seed1_fold0`` appears when it is complete."""
        name = training_name(trained.training.seed, trained.training.fold)
        partial = self.models / f".{name}.part"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        contents = {**trained.files, "training.json": _as_json(trained.training._asdict()).encode()}
        for file, content in contents.items():
            with replacing(partial / file) as path, naming_if_full(self.models / name / file, path):
                path.write_bytes(content)
        with replacing(partial / "scores.npy") as path, naming_if_full(self.models / name / "scores.npy", path):
            np.save(path, trained.scores)
        partial.rename(self.models / name)

    def training(self, seed: int, fold: int | None) -> Trained | None:
        """Return a training that was kept, None if there is none.

        Raises
        ------
        ValueError
            What was kept is damaged.
        """
        folder = self.models / training_name(seed, fold)
        if not folder.is_dir():
            return None
        try:
            said = json.loads((folder / "training.json").read_text(encoding="utf-8"))
            own = ("training.json", "scores.npy")
            files = {file.name: file.read_bytes() for file in sorted(folder.iterdir()) if file.name not in own}
            files = {name: content for name, content in files.items() if not name.startswith(".")}
            return Trained(Training(**said), np.load(folder / "scores.npy"), files)
        except (OSError, ValueError, TypeError, EOFError) as error:
            raise ValueError(
                f"{folder} is damaged ({first_line(error)}): delete this folder, and --resume computes it again"
            ) from error

    def keep_predictions(self, dataset: Dataset, outcome: Outcome, keys: tuple[str, ...]) -> None:
        """Write ``predictions.h5``: the scores, and what it takes to find an event and its weight.

        Scores of data in the blinded range are NaN.
        """
        path = self.path / "predictions.h5"
        hidden = _hidden(dataset, outcome.scores)
        with replacing(path) as partial, naming_if_full(path, partial), h5py.File(partial, "w") as file:
            options = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
            for name in ("labels", "sample", "weights", "parts", "folds"):
                file.create_dataset(name, data=getattr(dataset, name), **options)
            file["labels"].attrs["classes"] = list(dataset.classes)
            file["sample"].attrs["samples"] = list(dataset.samples)
            for name in keys:
                file.create_dataset(f"keys/{name}", data=dataset.columns[name], **options)
            file.create_dataset("scores", data=np.where(hidden[:, None], np.float32("nan"), outcome.scores), **options)
            if outcome.seen is not None:
                file.create_dataset("seen", data=outcome.seen, **options)
            if dataset.targets is not None:
                file.create_dataset("targets", data=dataset.targets, **options)

    def _json(self, name: str) -> dict:
        try:
            text = (self.path / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            return {}
        try:
            said = json.loads(text)
            if not isinstance(said, dict):
                raise ValueError(f"expected a mapping, got {type(said).__name__}")
        except ValueError as error:
            raise ValueError(f"{self.path / name} is damaged ({error}): start a new run of the study") from None
        return said


def runs(folder: str | os.PathLike) -> list[RunFolder]:
    """Return the runs in a folder and in the folders of it, by study, older ones first.

    Parameters
    ----------
    folder : path-like
        Such as ``runs`` or ``runs/NAME``.

    Returns
    -------
    list of RunFolder
    """
    found = [path.parent for depth in ("*", "*/*") for path in Path(folder).glob(f"{depth}/study.yaml")]
    named = [(path.parent.name, _order(path.name), path) for path in found if _NAME.fullmatch(path.name)]
    return [RunFolder(path) for *_, path in sorted(named)]


def _hidden(dataset: Dataset, scores: np.ndarray) -> np.ndarray:
    """Say of which events nobody may look at the score, (N,) bool: data in the blinded range."""
    study, data = dataset.study, np.flatnonzero(dataset.labels < 0)
    hidden = np.zeros(len(dataset.labels), bool)
    if study.apply.blind and len(data):
        from coursekit.study.report import processes, selection

        of_data = selection.one_score(study, dataset, scores[:, data])
        hidden[data] = processes.blinded(study.apply.blind, *of_data, of_data.mean(axis=0))
    return hidden


def training_name(seed: int, fold: int | None) -> str:
    """Name the folder of a training.

    Examples
    --------
    >>> training_name(1, 0), training_name(2, None)
    ('seed1_fold0', 'seed2')
    """
    return f"seed{seed}" if fold is None else f"seed{seed}_fold{fold}"


def _names(parent: Path, day: str) -> list[str]:
    return [path.name for path in parent.iterdir() if path.name.startswith(day)]


def _order(name: str) -> tuple[str, int]:
    return name[:10], int(_NAME.fullmatch(name)[1])


def _now() -> str:
    return datetime.datetime.now().astimezone().isoformat(timespec="seconds")


def _as_json(value) -> str:
    return json.dumps(_plain(value), indent=1, allow_nan=False) + "\n"


def _plain(value):
    """Turn what NumPy and named tuples hold into what JSON knows; a number that is not finite into null."""
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
