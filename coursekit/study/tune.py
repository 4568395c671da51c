"""A search for the best settings, with Ray Tune; what has been found is in the run folder, and nothing is lost with it.

Each trial that ends is a file of its own, ``search/trials/0003.json``. A search that was killed begins again with the
same seed and proposes the same trials: those that have their file report what is in there, at once, so that searcher
and scheduler know what they knew; the others are trained. Nothing of Ray's own state is kept, which a process that is
killed while it writes may leave damaged, and which no other version of Ray reads.
"""

import contextlib
import json
import math
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from coursekit.cluster import connected
from coursekit.files import replacing
from coursekit.metrics import Estimate
from coursekit.study.dataset import Dataset
from coursekit.study.objective import largest_of
from coursekit.study.searching import domains, is_pausing, key_of, make_scheduler, make_searcher, make_stopper
from coursekit.study.settings import Study
from coursekit.study.settings.tune import with_settings
from coursekit.study.trial import decoded, is_better, run_trial, train_trial
from coursekit.threads import cores

__all__ = ["best_settings", "search"]

_REPORTED = ("epoch", "metric", "error", "test", "test_error", "failure", "final", "seconds")
_RAYS = ".ray-"  # what Ray writes, which is of no use afterwards
_SWITCHES = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # our record is the only one
    "TUNE_GLOBAL_CHECKPOINT_S": "inf",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C ends the search, which can be resumed
    "TUNE_WARN_INSUFFICIENT_RESOURCE_THRESHOLD_S": "1000000",
    "RAY_AIR_NEW_OUTPUT": "0",
}


def search(
    resolved,
    dataset: Dataset,
    run_folder,
    *,
    resume: bool = False,
    progress: Callable[[str], None] | None = None,
    limit: int | None = None,
    train: Callable | None = None,
) -> dict:
    """Train with many settings, keep a record of all, and find the best.

    Parameters
    ----------
    resolved : Resolved
        Whose ``study`` has a section `tune`.
    dataset : Dataset
        Of the study; where settings of `input` are searched, each trial loads its own.
    run_folder : RunFolder
        The record goes to its ``search/``.
    resume : bool
        Go on with the search that is there.
    progress : callable, optional
        Called with one line for each trial that ends.
    limit : int, optional
        As of `load_dataset`, with which the dataset was loaded.
    train : callable, optional
        In the place of `coursekit.study.training.train_one`.

    Returns
    -------
    dict
        ``metric``, ``mode``; ``trials``, a list of dicts: ``number``, ``settings``, ``status`` (finished; stopped, by
        scheduler or stopper; beyond limit; failed), ``metric`` and ``error`` of the validation events, ``epochs``,
        ``seconds``, ``message``; ``best``: its ``number`` and ``settings``, and what its network reaches on
        ``validation`` and ``test`` events, each with error; ``optimism``: by how much the best of N is flattered,
        ``observed`` and ``expected``.

    Raises
    ------
    FileExistsError
        There is a search in the folder, and it is not to be resumed.
    ValueError
        The record is damaged, or that of another search; a setting, name or option does not exist; all trials failed.
    ImportError
        Ray, or the library of the searcher, is not installed.
    """
    study = resolved.study
    if train is None:
        from coursekit.study.training import train_one as train
    record = _Record(Path(run_folder.path) / "search", study, len(dataset.labels), progress)
    record.begin(resume)
    with _environment(study), connected(study.job.ray or "local"):
        _require_resources(study)
        _fit(study, dataset, record, train, limit)
    results = _summary(study, dataset, record.trials(), train)
    with replacing(record.folder / "trials.json") as partial:
        partial.write_text(json.dumps(results, indent=1), encoding="utf-8")
    return results


def best_settings(run_folder) -> dict:
    """Return the settings of the best trial of a search that has ended, from dotted keys.

    Parameters
    ----------
    run_folder : RunFolder or path-like

    Raises
    ------
    FileNotFoundError
        There is no search, or it has not ended.
    ValueError
        Its table is damaged.
    """
    folder = Path(getattr(run_folder, "path", run_folder)) / "search"
    if not (folder / "trials.json").is_file():
        what = "has not ended: resume it" if folder.is_dir() else "is not there: take the run folder of a search"
        raise FileNotFoundError(f"{folder / 'trials.json'}: the search {what}")
    try:
        return _read(folder / "trials.json")["best"]["settings"]
    except (KeyError, TypeError) as error:
        raise ValueError(f"{folder / 'trials.json'} is no table of a search: {error} is missing") from error


def _fit(study: Study, dataset: Dataset, record: "_Record", train: Callable, limit: int | None) -> None:
    from ray import tune

    parameters = {"study": study, "dataset": dataset, "recorded": record.known, "train": train, "limit": limit}
    trainable = tune.with_resources(tune.with_parameters(run_trial, **parameters), dict(study.tune.resources))
    with tempfile.TemporaryDirectory(prefix=_RAYS, dir=record.folder, ignore_cleanup_errors=True) as folder:
        tuner = tune.Tuner(
            trainable,
            param_space=domains(study.tune.space),
            tune_config=tune.TuneConfig(
                num_samples=study.tune.trials,
                search_alg=make_searcher(study),
                scheduler=make_scheduler(study),
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name="search",
                storage_path=os.path.abspath(folder),  # a relative one is no address for Ray
                stop=make_stopper(study),
                verbose=0,
                callbacks=[record.callback()],
                failure_config=tune.FailureConfig(max_failures=2),  # processes that die, not trainings that fail
            ),
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Ray and the searchers, about what was checked here
            tuner.fit()


class _Record:
    """The files of a search: what it is about, and each trial that has ended."""

    def __init__(self, folder: Path, study: Study, n_events: int, progress: Callable | None):
        self.folder, self.study, self.progress = folder, study, progress
        values = study.model_dump(mode="json", include={"input", "train", "tune"})
        values["tune"].pop("trials")  # a search may go on for longer
        self.about = _flat(values | {"job.seed": study.job.seed, "number of events": n_events})
        self.ended: dict[int, dict] = {}
        self.known: dict[str, list[dict]] = {}

    def begin(self, resume: bool) -> None:
        """Make the folder, or read what is in it."""
        about = self.folder / "search.json"
        for left in self.folder.glob(f"{_RAYS}*"):  # by a process that was killed
            shutil.rmtree(left, ignore_errors=True)
        if about.exists():
            if not resume:
                raise FileExistsError(f"there is a search in {self.folder}: resume it, or take a new run folder")
            self._require_same(_read(about))
            for path in sorted((self.folder / "trials").glob("*.json")):
                trial = _read(path)
                try:
                    if trial["status"] != "failed":
                        self.known[key_of(trial["settings"])] = list(trial["reports"])
                except (KeyError, TypeError) as error:
                    raise ValueError(f"{path} is no record of a trial: {_mend(path)}") from error
        else:
            (self.folder / "trials").mkdir(parents=True, exist_ok=True)
            with replacing(about) as partial:
                partial.write_text(json.dumps(self.about, indent=1), encoding="utf-8")

    def _require_same(self, there: dict) -> None:
        for key in sorted({*self.about, *there}):
            old, new = there.get(key, "not there"), self.about.get(key, "not there")
            if old != new:
                raise ValueError(
                    f"{self.folder} is the search of another study: {key} was {old} and is {new} now; take a new run "
                    "folder, or the study file of that search"
                )

    def trials(self) -> list[dict]:
        """Return all trials that have ended, by their numbers, without what they reported along the way."""
        return [{k: v for k, v in self.ended[n].items() if k != "reports"} for n in sorted(self.ended)]

    def end(self, number: int, settings: dict, reports: list[dict], message: str = "") -> None:
        """Write a trial down, and say so."""
        last = reports[-1] if reports else {}
        tune, found = self.study.tune, Estimate(last.get("metric", math.nan), last.get("error", math.inf))
        message = message or last.get("failure", "")
        status = "finished" if last.get("final") else "stopped"
        if not message and not math.isfinite(found.value):
            message = f"the {tune.metric} is {found.value:g}: too few validation events pass"
        if message:
            status = "failed"
        elif tune.limit is not None and is_better(tune, Estimate(tune.limit, 0.0), found):
            status = "beyond limit"
        trial = {"number": number, "settings": settings, "status": status, "message": message}
        trial |= {"metric": _finite(found.value), "error": _finite(found.error), "epochs": last.get("epoch", 0)}
        trial |= {"seconds": last.get("seconds", 0.0), "test": None, "reports": reports}
        if status != "failed" and math.isfinite(last.get("test", math.nan)):
            trial["test"] = [last["test"], last["test_error"]]
        self.ended[number] = trial
        with replacing(self.folder / "trials" / f"{number:04d}.json") as partial:
            partial.write_text(json.dumps(trial, indent=1), encoding="utf-8")
        if self.progress:
            self.progress(self._line(trial))

    def _line(self, trial: dict) -> str:
        tune = self.study.tune
        said = trial["message"] or f"{tune.metric} {Estimate(trial['metric'], trial['error'])}"
        best = _best(self.study, list(self.ended.values()))
        so_far = f"; best so far {Estimate(best['metric'], best['error'])} of trial {best['number']}" if best else ""
        return f"trial {trial['number']} of {tune.trials}, {trial['status']}, epoch {trial['epochs']}: {said}{so_far}"

    def callback(self):
        """Return what Ray Tune calls with each result."""
        from ray.tune import Callback

        record = self

        class Recorder(Callback):
            def __init__(self):
                self.reports, self.begun = {}, {}

            def __reduce__(self):
                return (Callback, ())  # Ray stores what a search was begun with, and this is nothing to store

            def on_trial_result(self, iteration, trials, trial, result, **info):
                rows = self.reports.setdefault(trial.trial_id, [])
                self.begun.setdefault(trial.trial_id, time.monotonic() - result.get("time_this_iter_s", 0.0))
                row = {key: result[key] for key in _REPORTED if key in result}
                row.setdefault("seconds", round(time.monotonic() - self.begun[trial.trial_id], 3))
                # A trial whose process died begins again.
                rows[:] = [earlier for earlier in rows if earlier["epoch"] < row["epoch"] or row.get("final")] + [row]

            def on_trial_complete(self, iteration, trials, trial, **info):
                self._end(trials, trial)

            def on_trial_error(self, iteration, trials, trial, **info):
                self._end(trials, trial, "its process was ended three times, most often because memory ran out")

            def _end(self, trials, trial, message=""):
                settings = decoded(record.study, trial.config)
                record.end(trials.index(trial) + 1, settings, self.reports.get(trial.trial_id, []), message)

        return Recorder()


def _summary(study: Study, dataset: Dataset, trials: list[dict], train: Callable) -> dict:
    """Find the best trial, and measure what it promises on events that no choice depended on."""
    best = _best(study, trials)
    if best is None:
        reasons = "; ".join(dict.fromkeys(trial["message"] or trial["status"] for trial in trials))
        raise ValueError(f"none of {len(trials)} trials can be the best: {reasons or 'there was none'}")
    measured = [trial for trial in trials if trial["metric"] is not None]
    validation, test = Estimate(best["metric"], best["error"]), best["test"]
    if best["status"] == "stopped":  # the same network once more, of which nobody has kept anything
        changed = with_settings(study, best["settings"] | {"train.epochs": best["epochs"]})
        again = train_trial(changed, study.tune, dataset, train)
        validation, test = Estimate(again["metric"], again["error"]), [again["test"], again["test_error"]]
    if test is None or not math.isfinite(test[0]):
        test = [math.nan, math.inf]
    sign = -1 if study.tune.mode == "min" else 1
    return {
        "metric": study.tune.metric,
        "mode": study.tune.mode,
        "trials": trials,
        "best": {
            "number": best["number"],
            "settings": best["settings"],
            "validation": list(validation),
            "test": [_finite(value) for value in test],
        },
        "optimism": {
            "trials": len(measured),
            "observed": _finite(sign * (validation.value - test[0])),
            "error": _finite(math.hypot(validation.error, test[1])),
            "expected": largest_of(len(measured)) * validation.error,
        },
    }


def _best(study: Study, trials: list[dict]) -> dict | None:
    """Return the best trial, the first of equal ones."""
    sign = 1 if study.tune.mode == "min" else -1
    able = [trial for trial in trials if trial["status"] in ("finished", "stopped")]
    return min(able, key=lambda trial: (sign * trial["metric"], trial["number"]), default=None)


def _require_resources(study: Study) -> None:
    """Refuse trials that no machine can hold: Ray would wait for one without end."""
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    wanted = study.tune.resources
    if not any(all(node.get(name.upper(), 0) >= amount for name, amount in wanted.items()) for node in nodes):
        there = ", ".join(f"{node.get('CPU', 0):g} cpu and {node.get('GPU', 0):g} gpu" for node in nodes)
        asked = " and ".join(f"{amount:g} {name}" for name, amount in wanted.items())
        raise ValueError(
            f"tune.resources: a trial takes {asked}, and the machines have {there}; this one {cores()} cores"
        )


@contextlib.contextmanager
def _environment(study: Study) -> Iterator[None]:
    """Set what Ray Tune reads from the environment, within the block."""
    n_waiting = study.tune.trials if is_pausing(study) else study.tune.concurrency
    wanted = _SWITCHES | {"TUNE_MAX_PENDING_TRIALS_PG": str(n_waiting)}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _read(path: Path) -> dict:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}): {_mend(path)}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds no JSON object: {_mend(path)}")
    return found


def _mend(path: Path) -> str:
    if path.parent.name == "trials":
        return "nothing was changed; move it away, and this trial is trained again"
    return "nothing was changed; take a new run folder, or a copy of this file"


def _flat(values: dict, prefix: str = "") -> dict:
    """Return dotted keys and values."""
    flat = {}
    for key, value in values.items():
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _finite(value: float) -> float | None:
    """Return what JSON has a number for."""
    return value if math.isfinite(value) else None
