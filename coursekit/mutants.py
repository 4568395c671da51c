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
from coursekit.checks.survivors import judged
from coursekit.files import replacing
from coursekit.lesson import lesson_folder
from coursekit.threads import share

__all__ = ["page", "record", "totals", "write_mutants"]

PAGE = Path("docs") / "checks.md"
BEGIN, END = "<!-- mutants: written by `coursekit build --mutants` -->", "<!-- end of mutants -->"
COLUMNS = ("made", "killed", "tried", "equivalent", "harmless", "surviving", "lucky")


def record(number: str, root: Path | None = None, every: int = 0) -> dict:
    """Return what ``mutants.json`` holds of one exercise.

    Parameters
    ----------
    number : str
        The exercise, ``"1.2"``.
    root : pathlib.Path, optional
        The clone of the course, by default the one that the package belongs to.
    every : int, optional
        As in `coursekit.checks.survivors.judged`.
    """
    with _clone(root), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exercise = find(number)
        origin = origins(lesson_folder(number.split(".")[0]) / "exercises.py")[number]
        return {
            "made_from": origin.digest,
            "mutants": _counted(exercise, origin, every),
            "table": tables.table(exercise),
        }


def _counted(exercise, origin, every: int) -> dict:
    """Return the numbers of mutants, and those that tell of a hole in the cases, or that one is explained."""
    found = judged(exercise, origin, every)
    why = exercise.harmless
    unlike = [list(row) for row in dict.fromkeys(map(tuple, found["survivors"]))]
    return {
        "made": found["made"],
        "killed": found["killed"],
        "equivalent": len(found["equivalent"]),
        "tried": found["tried"],
        "every": found["every"],
        "harmless": [[*row, why[_place_of(row)]] for row in unlike if _place_of(row) in why],
        "surviving": [row for row in unlike if _place_of(row) not in why],
        "lucky": found["lucky"],
    }


def _place_of(row: list) -> str:
    """Return where a mutant differs from a right answer, as the setting `harmless` names it."""
    return f"{row[0]}: {row[1]}"


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


def totals(records: dict[str, dict]) -> list[tuple]:
    """Return a row for each exercise, and one for each lesson: its number, and the numbers of `COLUMNS`."""
    rows, lessons = [], {}
    for number, entry in records.items():
        counts = [n if isinstance(n := entry["mutants"][name], int) else len(n) for name in COLUMNS]
        rows.append((number, *counts))
        lessons.setdefault(number.split(".")[0], []).append(counts)
    return rows + [(f"lesson {n:0>2}", *map(sum, zip(*counts, strict=True))) for n, counts in lessons.items()]


def page(root: Path) -> str:
    """Return ``docs/checks.md`` with the numbers of all ``mutants.json``, and the reasons that exercises give.

    Raises
    ------
    ValueError
        When the page lacks the lines that the table stands between.
    """
    records = {}
    for path in sorted((root / "lessons").glob(f"*/{tables.FILE}")):
        records |= json.loads(path.read_text(encoding="utf-8"))
    lines = [f"| | {' | '.join(COLUMNS)} |", "|---" * (len(COLUMNS) + 1) + "|"]
    lines += [f"| {' | '.join(map(str, row))} |" for row in totals(records)]
    for number, entry in records.items():
        if (every := entry["mutants"]["every"]) > 1:
            lines += [f"\n{number}: one in {every} mutants, since each takes long."]
        lines += [f"\n{number}, not caught: {_told(row)}." for row in entry["mutants"]["surviving"]]
        reasons = {(row[0], row[1]): row[4] for row in entry["mutants"]["harmless"]}
        lines += [f"\n{number}, harmless: `{code}` of {whose}. {why}" for (whose, code), why in reasons.items()]
    text = (root / PAGE).read_text(encoding="utf-8")
    if BEGIN not in text or END not in text:
        raise ValueError(f"{root / PAGE} needs the lines {BEGIN!r} and {END!r} round the table of mutants")
    return text.split(BEGIN)[0] + f"{BEGIN}\n" + "\n".join(lines) + f"\n{END}" + text.split(END)[1]


def _told(row: list) -> str:
    return f"in `{row[1]}` of {row[0]}, {row[2]}" + "".join(f" ({where})" for where in row[3:4])


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
