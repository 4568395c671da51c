"""A study from its file to its results: the steps, what is kept of each, and where it goes on after an interruption."""

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from coursekit.cluster import connected, each
from coursekit.console import say
from coursekit.study.applying import applied, trainings
from coursekit.study.dataset import Dataset, load_dataset
from coursekit.study.documents import read_value
from coursekit.study.folder import RunFolder, runs
from coursekit.study.logbook import cut_flow, parts_and_scaling, peak_mib, said, trained_line, written
from coursekit.study.outcome import Outcome, Trained
from coursekit.study.reading import Resolved, StudyError, changed, read_study
from coursekit.study.record import described_inputs, origin_differences
from coursekit.study.settings import Study
from coursekit.study.streaming import give_back
from coursekit.study.writing import differences, show

__all__ = ["resolve", "run_study"]

#: What a trial run is made of: events of each sample, epochs, trials of a search.
DEBUG_EVENTS, DEBUG_EPOCHS, DEBUG_TRIALS = 2000, 2, 3

_log = logging.getLogger("coursekit")
Report = Callable[[str, int, int], None]


def resolve(path, settings: Sequence[str] = (), debug: bool = False) -> Resolved:
    """Read a study file, with what the command line and the best trial of a search change in it.

    Parameters
    ----------
    path : path-like
        A study file.
    settings : sequence of str
        ``KEY=VALUE``, the key dotted, the value in YAML: ``train.epochs=3``.
    debug : bool
        Two epochs and three trials at most.

    Returns
    -------
    Resolved

    Raises
    ------
    ValueError
        The study does not allow it; see `read_study`.
    FileNotFoundError
        `config.best_of` is no search that has ended.
    """
    said = dict(_parsed(text) for text in settings)
    resolved = read_study(path)
    if said:
        resolved = changed(resolved, said, "command line")
    if resolved.study.config.best_of:  # which may be what the command line says; it has the last word on all else
        resolved = with_best(resolved, resolved.study.config.best_of)
        resolved = changed(resolved, said, "command line") if said else resolved
    if debug:
        fewer, train = {}, resolved.study.train
        if train.network != "boosted_trees":  # which have no epochs
            fewer["train.epochs"] = min(DEBUG_EPOCHS, train.epochs)
            if train.save_every:
                fewer["train.save_every"] = min(DEBUG_EPOCHS, train.save_every)
        if resolved.study.tune:
            fewer["tune.trials"] = min(DEBUG_TRIALS, resolved.study.tune.trials)
        resolved = changed(resolved, fewer, "--debug")
    return resolved


def with_best(resolved: Resolved, folder) -> Resolved:
    """Return a study with the settings of the best trial of the search in a run folder."""
    from coursekit.study.tune import best_settings

    return changed(resolved, best_settings(RunFolder.open(folder)), f"best trial of {folder}")


def run_study(
    resolved: Resolved,
    *,
    resume: bool = False,
    debug: bool = False,
    parent: Path | None = None,
    progress: Report | None = None,
    verbose: bool = False,
) -> RunFolder:
    """Run the steps of a study in a new run folder, or go on in the latest one that has not come to its end.

    Parameters
    ----------
    resolved : Resolved
        From `resolve`.
    resume : bool
        Go on: what has been trained is kept, and the results are those of a run without an interruption. If the latest
        run of the same study has come to its end, it is returned as it is; if there is none, one begins.
    debug : bool
        At most 2000 events of each sample, in a folder whose name says so.
    parent : pathlib.Path, optional
        Where the run folder shall lie, instead of ``FOLDER/NAME`` of the study.
    progress : callable, optional
        Called as ``progress(what, done, total)``.
    verbose : bool
        Show the lines of the log while they are written.

    Returns
    -------
    RunFolder

    Raises
    ------
    BlockingIOError
        The run to go on with is going on.
    ValueError
        The study or its data are not those of the run to go on with; or what a step refuses.
    OSError
        A file cannot be read or written. Whatever the error, the folder says that the run has not come to its end.
    """
    run = _to_resume(resolved, debug, parent) if resume else None
    if run is not None and run.status() == "finished":
        say(f"{run.path} is finished: there is nothing to resume")
        return run
    resumed = run is not None
    run = run or RunFolder.create(resolved, parent, debug)
    with run.working(), written(run, verbose), contextlib.ExitStack() as stack:
        _tell([f"{'go on with' if resumed else 'begin'} {run.path}", *said(resolved)])
        if resolved.study.job.ray:
            stack.enter_context(connected(resolved.study.job.ray))
        Steps(run, resolved, resumed, DEBUG_EVENTS if debug else None, progress or (lambda *_: None)).all()
    return run


@dataclass
class Steps:
    """The steps of one run, in their order."""

    run: RunFolder
    resolved: Resolved
    resumed: bool
    limit: int | None
    progress: Report

    @property
    def study(self) -> Study:
        """What the steps are told by."""
        return self.resolved.study

    def all(self) -> None:
        """Take every step that the study names."""
        steps = self.study.job.steps
        self.run.note(steps=[])
        dataset = self.load()
        if "tune" in steps:
            dataset = self.tune(dataset)
        if steps == ("tune",):
            return
        dataset, outcome = (dataset, self.train(dataset)) if "train" in steps else self.trained(dataset)
        if "apply" in steps:
            self.apply(dataset, outcome)

    def load(self) -> Dataset:
        """Read the events, and tell what they are."""
        with self.timed("load"):
            dataset = load_dataset(self.study, limit=self.limit)
        _tell(cut_flow(dataset))
        return dataset

    def tune(self, dataset: Dataset) -> Dataset:
        """Search, and take over the best trial; it may see other features, then the events are read again."""
        from coursekit.study.tune import best_settings, search

        total, done = self.study.tune.trials, 0

        def told(line: str) -> None:
            nonlocal done
            done += 1
            _tell([line])
            self.progress("trials", min(done, total), total)

        with self.timed("tune"):
            found = search(
                self.resolved,
                dataset,
                self.run,
                resume=self.resumed and (self.run.path / "search").is_dir(),
                progress=told,
                limit=self.limit,
            )
            self.run.keep_results("tune", found)
            if "apply" not in self.study.job.steps:  # whose page shows the search as well
                from coursekit.study.report.make import make_report

                make_report(self.study, dataset, None, self.run.path, show(self.resolved))
        if self.study.job.steps == ("tune",):
            return dataset
        best = best_settings(self.run)
        self.resolved = changed(self.resolved, best, "best trial")
        _tell(["the best trial:", *(f"  {key}: {value}" for key, value in best.items())])
        self.run.write("trained.yaml", show(self.resolved))
        if any(key.startswith("input.") or key in ("train.folds", "train.task") for key in best):
            return self.load()
        return replace(dataset, study=self.study)

    def train(self, dataset: Dataset) -> Outcome:
        """Train what has not been trained, keep each training as soon as it has ended, and take them together."""
        from coursekit.study.training import combine, summary, train_one

        tasks = trainings(self.study)
        found = [self.run.training(*task) for task in tasks]
        missing = [i for i, trained in enumerate(found) if trained is None]
        if len(missing) < len(tasks):
            _tell([f"{len(tasks) - len(missing)} of {len(tasks)} trainings are there already"])
        self.progress("trainings", len(tasks) - len(missing), len(tasks))

        def finished(number: int, trained: Trained) -> None:
            self.run.keep_training(trained)
            found[missing[number]] = trained
            _tell([trained_line(trained)])
            self.progress("trainings", sum(one is not None for one in found), len(tasks))

        with self.timed("train"):
            for fold in dict.fromkeys(fold for _, fold in tasks):
                _tell(parts_and_scaling(dataset, fold))
            todo = [tasks[i] for i in missing]
            each(train_one, todo, self.study.job.ray, (self.study, dataset), finished=finished)
            if dataset.streamed:
                give_back()
            outcome = combine(dataset, found)
            self.run.keep_predictions(dataset, outcome, self.study.input.split.keys)
            self.run.keep_results("train", summary(dataset, outcome))
        return outcome

    def trained(self, dataset: Dataset) -> tuple[Dataset, Outcome]:
        """Take over the trainings of another run, or apply its networks."""
        with self.timed("networks"):
            dataset, outcome = applied(self.resolved, self.run, dataset, self.progress)
            self.run.keep_predictions(dataset, outcome, self.study.input.split.keys)
        return dataset, outcome

    def apply(self, dataset: Dataset, outcome: Outcome) -> None:
        """Make the report."""
        from coursekit.study.report.make import make_report

        with self.timed("apply"):
            numbers = make_report(self.study, dataset, outcome, self.run.path, show(self.resolved))
            self.run.keep_results("apply", numbers)

    @contextlib.contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Note how long a step takes, and the peak memory of this process until its end."""
        begin = time.monotonic()
        _tell([f"{name} begins"])
        yield
        row = {"step": name, "seconds": round(time.monotonic() - begin, 3), "peak_mib": peak_mib()}
        self.run.note(steps=[*self.run.facts()["steps"], row])
        _tell([f"{name} took {row['seconds']:.1f} s"])


def _to_resume(resolved: Resolved, debug: bool, parent: Path | None) -> RunFolder | None:
    """Return the latest run of a study, if it may be gone on with."""
    parent = parent or Path(resolved.study.job.folder) / resolved.study.job.name
    found = [run for run in reversed(runs(parent)) if run.path.name.endswith("_debug") == debug]
    changes = []
    for run in found:  # the latest first, and no older ones than it takes: another release may not read them
        changes.append(differences(read_study(run.path / "study.yaml").values, resolved.values))
        if not changes[-1]:
            break
    else:
        for other, changed_keys in zip(found, changes, strict=True):
            if other.status() != "finished":
                raise ValueError(
                    f"{other.path} is not finished, and the study has changed since: {'; '.join(changed_keys)}; change "
                    "it back to resume, or begin a new run without --resume"
                )
        return None
    if run.status() == "finished":
        return run
    changes = origin_differences({"inputs": run.facts().get("inputs", [])}, {"inputs": described_inputs(resolved)})
    if changes:
        raise ValueError(
            f"{run.path} is not finished, and its data have changed since: {'; '.join(changes)} (SHA-256): bring the "
            "old ones back to resume, or begin a new run without --resume"
        )
    return run


def _parsed(text: str) -> tuple[str, object]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise StudyError(f"--set {text}: expected KEY=VALUE, such as train.epochs=3")
    return key.strip(), read_value(value, f"--set {key.strip()}")


def _tell(lines: Sequence[str]) -> None:
    for line in lines:
        _log.info("%s", line)
