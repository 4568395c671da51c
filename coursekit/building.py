"""From notebooks to executed notebooks: papermill runs each solution, which must pass its own checks.

Each lesson runs in a process of its own. What is built takes its name when all is well, so that an interruption leaves
what was there before.
"""

import ast
import contextlib
import copy
import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from coursekit.authoring import (
    KEPT,
    KERNEL,
    BuildError,
    Lesson,
    course_settings,
    exercise_notebook,
    read_lesson,
    solution_notebook,
    verdicts,
)
from coursekit.files import FULL, is_running, naming_if_full
from coursekit.notebooks import read_notebook, write_notebook
from coursekit.prose import fill, printed
from coursekit.reproducing import agree, joined
from coursekit.threads import cores, share
from coursekit.words import near

__all__ = ["Built", "build", "check_parameters", "execute"]
#: A lesson is slow when it takes so many times what it says it takes.
SLOW = 10
#: How a lesson's process ends when the disk is full; with the second, where Python could not even write its last words.
NO_ROOM = (3, 120)


@dataclass(frozen=True)
class Built:
    """What became of one lesson: exercises passed, of how many; seconds; peak memory in MiB; the executed notebook.

    And what its text states otherwise than it prints, with other parameters.
    """

    lesson: str
    passed: int
    exercises: int
    seconds: float
    peak_mib: float
    notebook: Path
    unfit: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.lesson}: {self.passed} of {self.exercises} exercises passed, {self.seconds:.0f} s"


# --- executing --------------------------------------------------------------------------------------------------------


def execute(source: Path, target: Path, parameters: Mapping[str, object] | None = None, progress=None) -> NotebookNode:
    """Run a notebook with papermill in a scratch folder.

    Parameters
    ----------
    source, target : pathlib.Path
        The notebook, and where the executed one is written.
    parameters : mapping, optional
        Values injected behind the parameters cell.
    progress : file-like, optional
        Gets a line ``"done total"`` for each cell.

    Returns
    -------
    NotebookNode
        The executed notebook, metadata reduced to what the lesson gave it.

    Raises
    ------
    BuildError
        When a cell raises; the message is that of the cell.
    """
    import papermill
    from nbclient.exceptions import DeadKernelError

    bar = {"file": progress, "bar_format": "{n_fmt} {total_fmt}\n", "mininterval": 0} if progress else False
    with tempfile.TemporaryDirectory() as scratch:
        try:
            papermill.execute_notebook(
                source, target, dict(parameters or {}), kernel_name="python3", progress_bar=bar, cwd=scratch
            )
        except papermill.PapermillExecutionError as error:
            raise BuildError(f"cell {error.exec_count} raised {error.ename}: {error.evalue}") from None
        except DeadKernelError:
            raise BuildError("its kernel died, most often because memory ran out; take fewer jobs") from None
        for scores in Path(scratch).glob("work/ledger/*.npz"):
            shutil.copyfile(scores, target.with_suffix(".ledger.npz"))
    executed = read_notebook(target)
    for cell in executed.cells:
        cell.metadata = {key: cell.metadata[key] for key in KEPT if cell.metadata.get(key)}
        if cell.cell_type == "code":
            cell.outputs = joined(cell.outputs)
    executed.metadata = nbformat.from_dict(KERNEL)
    write_notebook(executed, target)
    return executed


def check_parameters(lessons: Iterable[Lesson], parameters: Mapping[str, object]) -> dict[str, object]:
    """Convert parameters to the types of the lessons' defaults.

    Parameters
    ----------
    lessons : iterable of Lesson
        Each must have all the parameters.
    parameters : mapping of str to object
        Values may be text, as from a command line.

    Raises
    ------
    BuildError
        For a parameter that a lesson does not have, which papermill would ignore, and for a value of another type.
    """
    converted = {}
    for lesson in lessons:
        for name, value in parameters.items():
            if name not in lesson.parameters:
                raise BuildError(
                    f"{lesson.stem} has no parameter {name!r};{near(name, lesson.parameters)} it has "
                    f"{', '.join(lesson.parameters)}"
                )
            converted[name] = _convert(name, value, lesson.parameters[name])
    return converted


def build(
    sources: Iterable[Path],
    root: Path,
    output: Path | None = None,
    parameters: Mapping[str, object] | None = None,
    jobs: int = 1,
    progress: Callable[[str, int, int], None] = lambda lesson, done, total: None,
    say: Callable[[str], None] = lambda line: None,
    kept: Path | None = None,
) -> list[Built]:
    """Build lessons: the exercise notebook, and the solution executed and checked.

    Each pair of notebooks takes its name only when the solution has passed all its checks; an interruption leaves what
    was there before.

    Parameters
    ----------
    sources : iterable of pathlib.Path
        ``lessons/NN_slug/lesson.py``, as `select` returns them.
    root : pathlib.Path
        The clone of the course.
    output : pathlib.Path, optional
        Where ``notebooks/``, ``solutions/`` and, without parameters, ``data/ledger/`` (the taggers' scores that later
        lessons read) are written; by default in the clone itself.
    parameters : mapping, optional
        Passed to the solutions.
    jobs : int
        Lessons executed at once; each gets its share of threads.
    progress : callable
        Called with lesson, cells done and cells in all.
    say : callable
        Called with a line when a lesson begins, when it is done, and when it takes ten times what it says it takes;
        with other parameters, with each sentence that no longer agrees with what is printed.
    kept : pathlib.Path, optional
        A clone to compare with: a printed value that reproduces its value stands in the text as it stands there.

    Returns
    -------
    list of Built
        In the order of the lessons.

    Raises
    ------
    BuildError
        For a source that is not well formed, an unknown parameter, a solution that fails or writes to stderr, a number
        in the text that is not the one that is printed. The other lessons are finished first.
    OSError
        The disk is full; the notebooks that were there stay.
    """
    if jobs < 1:
        raise ValueError(f"the number of jobs must be 1 or more, got {jobs}")
    lessons = [read_lesson(path) for path in sources]
    parameters = check_parameters(lessons, parameters or {})
    output = output or root
    for folder in ("notebooks", "solutions"):
        (output / folder).mkdir(parents=True, exist_ok=True)
    waiting, running, built, failed = list(lessons), [], {}, []
    with naming_if_full(output), _scratch(output) as scratch:
        try:
            while waiting or running:
                while waiting and len(running) < jobs:
                    running.append(_Run(waiting.pop(0), root, parameters, scratch, jobs, kept))
                    progress(running[-1].lesson.stem, 0, 1)
                    say(f"{running[-1].lesson.stem}: running")
                for run in list(running):
                    progress(run.lesson.stem, *run.cells())
                    run.complain(say)
                    if run.process.poll() is not None:
                        running.remove(run)
                        try:
                            built[run.lesson.stem] = run.finish(output)
                            say("\n".join([str(built[run.lesson.stem]), *built[run.lesson.stem].unfit]))
                        except BuildError as error:
                            failed.append(str(error))
                            say(failed[-1])
                time.sleep(0.05)
        finally:
            for run in running:
                run.stop()
    if failed:
        raise BuildError("\n".join(failed))
    return [built[lesson.stem] for lesson in lessons]


# --- inside ---------------------------------------------------------------------------------------------------------


class _Run:
    """One lesson being executed in a process of its own, which gives it a clean memory count and a share of threads."""

    def __init__(self, lesson: Lesson, root: Path, parameters: Mapping, scratch: Path, jobs: int, kept: Path | None):
        self.kept = kept / "solutions" / f"{lesson.stem}.ipynb" if kept else None
        self.lesson, self.settings = lesson, course_settings(root)
        self.source = scratch / f"{lesson.stem}.source.ipynb"
        self.target = scratch / f"{lesson.stem}.ipynb"
        self.log = scratch / f"{lesson.stem}.log"
        write_notebook(solution_notebook(lesson, self.settings), self.source)
        # PYTEST_CURRENT_TEST keeps ipykernel from storing what C code writes, which nbval would not see.
        self.stored = not parameters
        build = "stored" if self.stored else "with parameters"
        environment = {"COURSEKIT_BUILD": build, "PYTEST_CURRENT_TEST": "build", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
        environment["PYTHONUTF8"] = "1"  # a lesson prints the same letters everywhere
        environment["COURSEKIT_ROOT"] = str(root)  # the exercises of this clone, wherever the package lies
        command = [sys.executable, "-m", "coursekit.building", self.source, self.target, json.dumps(parameters)]
        self.started, self.slow = time.perf_counter(), False
        with self.log.open("w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                list(map(str, command)),
                stdin=subprocess.PIPE,  # which ends with this process, however that ends, and ends the other
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | environment | share(jobs),
                start_new_session=True,
            )

    def cells(self) -> tuple[int, int]:
        counts = re.findall(r"^(\d+) (\d+)$", self.log.read_text(encoding="utf-8", errors="replace"), re.M)
        return tuple(map(int, counts[-1])) if counts else (0, 1)

    def complain(self, say: Callable[[str], None]) -> None:
        """Say once that a lesson takes ten times what it says it takes, and why that may be."""
        seconds, stated = time.perf_counter() - self.started, self.lesson.seconds
        if self.slow or not self.stored or not stated or seconds < SLOW * stated:
            return
        self.slow = True
        load, n_cores = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0, cores()
        why = (
            "it may have too little memory, and swap"
            if load <= n_cores + 1
            else "something else computes on this machine"
        )
        say(
            f"{self.lesson.stem}: slow, {seconds:.0f} s instead of about {stated}; {why} "
            f"(load {load:.1f} on {n_cores} cores)"
        )

    def finish(self, output: Path) -> Built:
        seconds = time.perf_counter() - self.started
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        self.process.stdin.close()
        if (status := self.process.returncode) in NO_ROOM:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if status:
            said = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")] or lines[-8:]
            if status < 0:
                said = [f"it was ended by signal {-status}, most often because memory ran out; take fewer jobs"]
            raise BuildError(f"{self.lesson.stem} does not build: " + "\n".join(said))
        executed = read_notebook(self.target)
        for cell in executed.cells:
            for out in cell.get("outputs", []):
                if out.output_type == "stream" and out.name == "stderr":
                    raise BuildError(
                        f"{self.lesson.stem} does not build: a cell writes to stderr: {out.text.strip()[:300]}"
                    )
        unfit = self.tell(executed, exercise := self.target.with_suffix(".exercise.ipynb"))
        os.replace(exercise, output / "notebooks" / f"{self.lesson.stem}.ipynb")
        solution = output / "solutions" / f"{self.lesson.stem}.ipynb"
        os.replace(self.target, solution)
        scores = self.target.with_suffix(".ledger.npz")
        if self.stored and scores.is_file():  # what later lessons compare with, on the shipped test jets
            (output / "data" / "ledger").mkdir(parents=True, exist_ok=True)
            os.replace(scores, output / "data" / "ledger" / f"{self.lesson.stem[:2]}.npz")
        passed = sum(text.startswith("[PASS]") for texts in verdicts(executed).values() for text in texts)
        peak = next(float(line.split()[1]) for line in lines if line.startswith("peak_mib "))
        return Built(self.lesson.stem, passed, len(self.lesson.exercises), seconds, peak, solution, unfit)

    def tell(self, executed: NotebookNode, exercise: Path) -> tuple[str, ...]:
        """Fill the marks in the text, write both notebooks, and return what does not agree."""
        compared, students = copy.deepcopy(executed), exercise_notebook(self.lesson, self.settings)
        if self.kept and self.kept.is_file():
            agree(read_notebook(self.kept), compared)
        unfit = fill([executed, students], printed(compared), self.lesson.path.with_name("figures.toml"))
        if unfit and self.stored:
            raise BuildError(f"{self.lesson.stem} does not build: its text is not what it prints:\n" + "\n".join(unfit))
        write_notebook(executed, self.target)
        write_notebook(students, exercise)
        return tuple(f"{self.lesson.stem}, with these parameters: {line}" for line in unfit)

    def stop(self) -> None:
        self.process.stdin.close()  # nbclient shuts its kernel down on the way out
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()


def _worker(source: str, target: str, parameters: str) -> int:
    # A background job ignores Ctrl-C, and its children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    try:
        execute(Path(source), Path(target), json.loads(parameters), progress=sys.stdout)
    except BuildError as error:
        print("\n".join(f"error: {line}" for line in str(error).splitlines()))
        return 1
    except OSError as error:
        if error.errno not in FULL:
            raise
        return NO_ROOM[0]  # the log is on the same disk, and would not hold a sentence
    except KeyboardInterrupt:
        return 130
    try:
        import resource

        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / (
            1 << 20 if sys.platform == "darwin" else 1 << 10
        )
    except ImportError:  # Windows does not count it
        peak = float("nan")
    print(f"peak_mib {peak}")
    return 0


def _end_with_the_parent() -> None:
    """Interrupt this process when its standard input ends: the build has stopped it, or is no more."""
    os.read(0, 1)  # not through sys.stdin, whose lock a thread that waits would hold when Python ends
    signal.raise_signal(signal.SIGINT)


@contextlib.contextmanager
def _scratch(output: Path) -> Iterator[Path]:
    """Make a hidden folder for this build alone, and remove those that killed builds have left."""
    for folder in output.glob(".build-*-*"):
        number = folder.name.split("-")[1]
        if number.isdigit() and not is_running(int(number)):
            shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f".build-{os.getpid()}-", dir=output) as scratch:
        yield Path(scratch)


def _convert(name: str, value: object, default: object) -> object:
    try:
        read = (
            ast.literal_eval({"true": "True", "false": "False"}.get(value.lower(), value))
            if isinstance(value, str)
            else value
        )
    except (ValueError, SyntaxError):
        read = value
    if isinstance(default, float) and type(read) is int:
        read = float(read)
    if isinstance(default, str):
        read = str(value)
    if type(read) is not type(default):
        raise BuildError(
            f"parameter {name} is {default!r} by default: expected {type(default).__name__}, got {value!r}"
        )
    return read


if __name__ == "__main__":
    sys.exit(_worker(*sys.argv[1:]))
