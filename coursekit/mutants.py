"""What mutants of the answers tell: a file for each lesson, written by ``coursekit build --mutants``."""

import contextlib
import json
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from coursekit.checks import tables
from coursekit.checks.exercise import find
from coursekit.checks.origins import origins
from coursekit.files import replacing
from coursekit.threads import share

__all__ = ["record", "write_mutants"]


def record(number: str, root: Path | None = None) -> dict:
    """Return what ``mutants.json`` holds of one exercise.

    Parameters
    ----------
    number : str
        The exercise, ``"1.2"``.
    root : pathlib.Path, optional
        The clone of the course, by default the one that the package belongs to.
    """
    with _clone(root), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exercise = find(number)
        origin = origins(tables.table_path(number.split(".")[0]).with_name("exercises.py"))[number]
        return {"made_from": origin.digest, "table": tables.table(exercise)}


def write_mutants(
    sources: Iterable[Path],
    root: Path,
    jobs: int = 1,
    progress: Callable[[str, int, int], None] = lambda lesson, done, total: None,
) -> dict[str, dict]:
    """Write ``mutants.json`` of lessons; a file takes its name when it is complete.

    Parameters
    ----------
    sources : iterable of pathlib.Path
        ``lessons/NN_slug/lesson.py``, as `coursekit.authoring.select` returns them.
    root : pathlib.Path
        The clone of the course.
    jobs : int
        Processes at once.
    progress : callable
        Called with lesson, exercises done and exercises in all.

    Returns
    -------
    dict
        The record of each exercise, by its number.
    """
    folders = [path.parent for path in sources]
    numbers = {folder: sorted(origins(folder / "exercises.py"), key=_place) for folder in folders}
    found = {}
    with _processes(jobs) as pool:
        waiting = {n: pool.submit(record, n, root) for folder in folders for n in numbers[folder]}
        for folder in folders:
            for done, number in enumerate(numbers[folder]):
                progress(folder.name, done, len(numbers[folder]))
                found[number] = waiting[number].result()
            progress(folder.name, len(numbers[folder]), len(numbers[folder]))
            with replacing(folder / tables.FILE) as partial_file:
                text = written({number: found[number] for number in numbers[folder]})
                partial_file.write_text(text, encoding="utf-8", newline="\n")
    return found


def written(records: dict[str, dict]) -> str:
    """Return the text of a file: a line for each row of a table, so that a change is seen where it is."""
    dump = partial(json.dumps, separators=(",", ":"), ensure_ascii=False)
    exercises = []
    for number, entry in records.items():
        settings = [f"{dump(key)}:{dump(value)}" for key, value in entry.items() if key != "table"]
        rows = ",\n".join(map(dump, entry["table"]))
        exercises.append(f'{dump(number)}:{{{",".join(settings)},"table":[\n{rows}]}}')
    return "{\n" + ",\n".join(exercises) + "\n}\n"


def _place(number: str) -> int:
    return int(number.split(".")[1])


@contextlib.contextmanager
def _processes(jobs: int) -> Iterator[ProcessPoolExecutor]:
    before = dict(os.environ)
    os.environ |= share(jobs) | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        os.environ.clear()
        os.environ.update(before)


@contextlib.contextmanager
def _clone(root: Path | None) -> Iterator[None]:
    before = os.environ.get("COURSEKIT_ROOT")
    if root is not None:
        os.environ["COURSEKIT_ROOT"] = str(root)
    try:
        yield
    finally:
        if before is not None:
            os.environ["COURSEKIT_ROOT"] = before
        elif root is not None:
            del os.environ["COURSEKIT_ROOT"]
