"""Several studies one after the other, of which one may fail; and what would be done, without doing it."""

import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from coursekit.console import one_line, say
from coursekit.study.compare import key_numbers
from coursekit.study.dataset import load_dataset
from coursekit.study.extras import how_to_get
from coursekit.study.folder import RunFolder
from coursekit.study.logbook import cut_flow, parts_and_scaling, said
from coursekit.study.reading import Resolved
from coursekit.study.run import DEBUG_EVENTS, Report, resolve, run_study, trainings
from coursekit.study.settings import Study

__all__ = ["Done", "Options", "plan", "run_all"]

#: What the package says of wrong input; anything else is a fault of the program, and shown as such.
EXPECTED = (OSError, ValueError, KeyError, ImportError, MemoryError, TypeError, ArithmeticError)


@dataclass(frozen=True)
class Options:
    """How studies are run; see `coursekit.study.run`."""

    resume: bool = False
    debug: bool = False
    dry_run: bool = False
    verbose: bool = False
    settings: tuple[str, ...] = ()


@dataclass
class Done:
    """What became of one study file."""

    file: Path
    run: RunFolder | None = None
    error: Exception | None = None
    plan: list[str] = field(default_factory=list)

    def said(self) -> str:
        """Return its error as text that names the file."""
        text = how_to_get(self.error) or one_line(self.error)
        if not isinstance(self.error, EXPECTED):
            text = "".join(traceback.format_exception(self.error)).rstrip()
        return text if str(self.file) in text else f"{self.file}: {text}"

    def numbers(self) -> str:
        """Return the numbers that the run is known by."""
        return key_numbers(self.run)

    def as_dict(self) -> dict:
        """Return all that is known, for a machine to read."""
        found = {"file": str(self.file), "error": self.error and self.said(), "plan": self.plan}
        if self.run:
            facts = self.run.facts()
            found |= {"folder": str(self.run.path), "status": self.run.status(), "steps": facts.get("steps", [])}
            found["results"] = self.run.results()
        return found


def run_all(files: Sequence[Path], options: Options, progress: Report | None = None) -> list[Done]:
    """Run studies in their order; all files are read first, and one that fails does not stop the next.

    Parameters
    ----------
    files : sequence of pathlib.Path
    options : Options
    progress : callable, optional
        As in `run_study`; of several studies with the file's name.

    Returns
    -------
    list of Done
        In the order of the files.
    """
    queue = [(Done(Path(file)), _read(file, options)) for file in files]
    for done, resolved in queue:
        if isinstance(resolved, Exception):
            done.error = resolved
            continue
        name = f"{done.file.stem}: " if len(queue) > 1 else ""
        report = (lambda what, *numbers, name=name: progress(name + what, *numbers)) if progress else None
        try:
            if options.dry_run:
                done.plan = plan(resolved, options.debug)
            else:
                done.run = run_study(
                    resolved, resume=options.resume, debug=options.debug, progress=report, verbose=options.verbose
                )
        except KeyboardInterrupt:
            say("stopped; `coursekit study FILE --resume` goes on where it was")
            raise
        except Exception as error:
            done.error = error
            if len(queue) > 1:
                say(f"{done.file} has failed, the next one begins")
    return [done for done, _ in queue]


def plan(resolved: Resolved, debug: bool = False) -> list[str]:
    """Check files, columns and the shapes of a network, and say what would be done; nothing is written.

    Parameters
    ----------
    resolved : Resolved
    debug : bool
        As in `run_study`.

    Returns
    -------
    list of str

    Raises
    ------
    Exception
        As `run_study` before it trains.
    """

    from coursekit.study.training.problem import make_problem

    study = resolved.study
    dataset = load_dataset(study, limit=DEBUG_EVENTS)
    lines = [*said(resolved), f"of the first {DEBUG_EVENTS} events of each sample:", *cut_flow(dataset)]
    fold = 0 if study.train.folds else None
    problem = make_problem(study, dataset, fold)
    lines += parts_and_scaling(dataset, fold)
    lines.append(_network(study, problem))
    n_trainings = len(trainings(study)) if "train" in study.job.steps else 0
    what = {"train": f"{n_trainings} trainings of {study.train.epochs} epochs at most", "apply": "the report"}
    if study.tune:
        what["tune"] = f"{study.tune.trials} trials of {', '.join(study.tune.space)}"
    lines += [f"would {step}: {what[step]}" for step in study.job.steps]
    where = f"on Ray, {study.job.ray}" if study.job.ray else "in this process"
    lines.append(f"{where}, into a new folder in {Path(study.job.folder) / study.job.name}; nothing has been written")
    return lines


def _network(study: Study, problem) -> str:
    """Build the network, and return how many parameters it has."""
    from coursekit.study.networks import build

    network, shape = study.train.network, problem.shape
    said = f"network {network}: inputs {shape}, outputs {problem.n_outputs}"
    if network == "boosted_trees":  # which are grown, not built
        return said
    options = study.train.options
    built = build(network, options, shape, problem.n_outputs, problem.kind, problem.is_regression)
    if hasattr(built, "count_params"):
        return f"{said}, {built.count_params()} parameters"
    return f"{said}, {sum(parameter.numel() for parameter in built.parameters())} parameters"


def _read(file: Path, options: Options) -> Resolved | Exception:
    try:
        return resolve(file, options.settings, options.debug)
    except Exception as error:
        return error
