"""What a student has passed, kept beside the lessons' files so that tomorrow's kernel knows it.

``work/progress.json`` serves all lessons of a folder. What counts is a pass of the exercise as it stands: of its
question, its cases and its answer; other hints, sentences on mistakes, and layout change nothing. Nobody is graded by
it: whoever edits the file has what he wrote. ``COURSEKIT_PROGRESS=off`` keeps nothing.
"""

import ast
import hashlib
import itertools
import json
import os
import re
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from coursekit.files import replacing
from coursekit.lesson import lesson_folder, work_folder
from coursekit.locks import locked

__all__ = ["Record", "keep", "lesson_of", "recorded", "version_of", "versions"]

#: Seconds to wait for another kernel that writes at this moment.
PATIENCE = 5
#: Settings of an exercise that make no other task of it.
ASIDE = {"hints", "mistakes", "accepted", "harmless"}
FORMAT = 1


@dataclass(frozen=True)
class Record:
    """One exercise: the version that was tried, how often, and whether it was passed."""

    version: str
    tries: int
    passed: bool


def keep(number: str, passed: bool) -> str:
    """Count a try at an exercise in this and all later kernels; a pass stays one, whatever is tried afterwards.

    Returns what there is to say: nothing, or in one line that a file was set aside, or why nothing can be kept. It
    never raises for what it finds in the file or in the folder.
    """
    path, version = _file(), version_of(number)
    if path is None or not version:
        return ""
    try:
        with locked(path, wait=PATIENCE):
            records, said = _read(path)
            before = records.get(number)
            if before is None or before.version != version:
                before = Record(version, 0, False)
            records[number] = Record(version, before.tries + 1, before.passed or passed)
            content = {"format": FORMAT, "exercises": {name: asdict(one) for name, one in records.items()}}
            with replacing(path) as partial:
                partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        return said
    except OSError as error:
        return _once(f"(What you pass is not kept for another day: {error}.)")


def recorded() -> tuple[dict[str, Record], str]:
    """Return what is known of earlier kernels and of this one, by number, and what there is to say about the file."""
    path = _file()
    if path is None:
        return {}, ""
    try:
        if not path.is_file():
            return {}, ""
        with locked(path, wait=PATIENCE):
            return _read(path)
    except OSError as error:
        return {}, _once(f"(What you passed before is not known: {error}.)")


def lesson_of(number: str) -> int:
    """Return the lesson of an exercise."""
    return int(number.split(".")[0])


def version_of(number: str) -> str:
    """Return the version of an exercise; nothing for one that is not there."""
    return versions(lesson_of(number)).get(number, "")


@cache
def versions(lesson: int) -> dict[str, str]:
    """Return the version of each exercise of a lesson, by number; nothing of the lesson is run.

    It is a hash of what its source says: the answer, its settings but those `ASIDE`, and what they use of the module.
    """
    path = lesson_folder(lesson) / "exercises.py"
    if not path.is_file():
        return {}
    text = path.read_text(encoding="utf-8")
    lines, body = text.encode().splitlines(), ast.parse(text).body
    defined = {name: node for node in body for name in _names_of(node)}
    found = {}
    for node in body:
        for call in [part for part in ast.walk(node) if _is_exercise(part)]:
            parts = _used([*call.args, *(word for word in call.keywords if word.arg not in ASIDE)], node, call, defined)
            told = sorted(_written(part, lines) for part in parts)
            found[call.args[0].value] = hashlib.sha256(b"\n".join(told)).hexdigest()[:12]
    return found


# --- inside -----------------------------------------------------------------------------------------------------------


def _file() -> Path | None:
    """Return where the progress of this notebook is kept; nowhere before `setup`, and where it shall not be."""
    work = work_folder()
    # The outputs of a solution must not depend on what was passed in its folder before.
    if work is None or os.environ.get("COURSEKIT_BUILD") or os.environ.get("COURSEKIT_PROGRESS") == "off":
        return None
    return work.parent / "progress.json"


def _read(path: Path) -> tuple[dict[str, Record], str]:
    """Return the records of a file that is locked; one that is damaged, or something else, is set aside."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise ValueError(f"its format is {content['format']!r}, not {FORMAT}")
        records = {str(number): Record(**one) for number, one in content["exercises"].items()}
        if not all(re.fullmatch(r"\d+\.\d+", number) for number in records) or any(
            list(map(type, asdict(one).values())) != [str, int, bool] for one in records.values()
        ):
            raise ValueError("a record holds something else than a version, tries, and whether it was passed")
    except FileNotFoundError:
        return {}, ""
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        names = (path.with_name(f"progress.damaged{n or ''}.json") for n in itertools.count())
        aside = next(name for name in names if not name.exists())
        os.replace(path, aside)
        reason = f"{type(error).__name__}: {error}".partition("\n")[0][:100]
        return {}, f"({path.name} was damaged, or no progress ({reason}): it is now {aside.name}, a new one begins.)"
    return records, ""


_said: set[str] = set()


def _once(line: str) -> str:
    """Return a line the first time; a folder that cannot be written is not news at every check."""
    new = line not in _said
    _said.add(line)
    return line if new else ""


def _is_exercise(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and getattr(node.func, "id", "") == "exercise"
        and bool(node.args)
        and isinstance(node.args[0], ast.Constant)
    )


def _written(part: ast.AST, lines: list[bytes]) -> bytes:
    """Return the source of a part of a module, without blanks; `ast.get_source_segment` splits the module each time."""
    text = lines[part.lineno - 1 : part.end_lineno]
    text[-1] = text[-1][: part.end_col_offset]
    text[0] = text[0][part.col_offset :]
    return b"".join(b"".join(text).split())


def _names_of(node: ast.stmt) -> set[str]:
    """Return the names that a statement of a module defines."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else []
    return {part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)}


def _used(parts: list, statement: ast.stmt, call: ast.Call, defined: dict[str, ast.stmt]) -> list[ast.AST]:
    """Return what an exercise is made of: the parts of its call, its answer, and all that these use of the module."""
    if isinstance(statement, ast.FunctionDef):
        parts = [*parts, *statement.body, *ast.iter_child_nodes(statement.args)]
    else:  # exercise("10.7", ...)(first, second)
        parts = [
            *parts,
            *(part for outer in ast.walk(statement) if getattr(outer, "func", None) is call for part in outer.args),
        ]
    found, waiting = [], list(parts)
    while waiting:
        part = waiting.pop()
        if part in found:
            continue
        found.append(part)
        names = {inner.id for inner in ast.walk(part) if isinstance(inner, ast.Name)}
        waiting += [defined[name] for name in sorted(names) if name in defined and not _holds(defined[name], call)]
    return found


def _holds(statement: ast.stmt, call: ast.Call) -> bool:
    return any(part is call for part in ast.walk(statement))
