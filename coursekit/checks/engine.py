"""What a student calls: check, hint, or_reference and progress.

``check("1.2", answer)`` prints one verdict and never raises for a student. The exercises live in the lessons' folders,
see `coursekit.checks.exercise`.
"""

import dis
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from coursekit import lesson, surroundings
from coursekit.checks import passes
from coursekit.checks.compare import Mistake, describe
from coursekit.checks.exercise import Exercise, exercises_of, find
from coursekit.checks.kinds import shortened

__all__ = ["CheckFailed", "check", "hint", "or_reference", "progress", "require_pass", "run_check"]


class CheckFailed(AssertionError):
    """An exercise is not solved; raised only while the course is being built, and by `require_pass`."""


@dataclass
class Attempt:
    verdict: str = "TODO"
    tries: int = 0
    hints_shown: int = 0


_attempts: dict[str, Attempt] = {}
#: The answers that were checked last, and what came of it; `or_reference` need not test them again.
_judged: dict[str, tuple[tuple, str]] = {}
#: The reference answers that `or_reference` gave in the place of the student's; to be told from an answer.
_handed_out: dict[str, tuple] = {}


def check(number: str, *answer, **given) -> None:
    """Say whether an answer is right and, if not, which mistake it is.

    Prints one verdict, ``[TODO]``, ``[NOT YET]`` with the reason and one more hint each time, or ``[PASS]``, and
    returns nothing.

    Parameters
    ----------
    number : str
        The exercise, ``"1.2"``.
    *answer
        What the exercise asks for, one or several values or functions.
    **given
        What the answer was made from, where the test needs it (``mtw1=mtw1``).

    Raises
    ------
    CheckFailed
        Only while the course is being built (``COURSEKIT_BUILD`` is set), when the verdict is not ``[PASS]``.
    """
    number = str(number)
    try:
        found = find(number)
    except LookupError as error:
        print(f"[NOT YET] {number} {error}")
        if _building():
            raise CheckFailed(str(error)) from None
        return
    attempt = _attempts.setdefault(number, Attempt())
    frame = sys._getframe(1)  # of the cell, in which a diagnosis finds what the answer was made with
    attempt.verdict, reason = run_check(found, answer, given, partial(_written, found, answer, frame), attempt.tries)
    _judged[number] = answer, attempt.verdict
    attempt.tries += attempt.verdict != "TODO"
    text = f"[{attempt.verdict}] {number} {found.goal}"
    if attempt.verdict == "TODO" and _is_handed_out(number, answer):
        text += (
            ": this is still the reference answer; run the cell with your own first, and see that it raises no error."
        )
    elif attempt.verdict == "TODO":
        text += f': replace the three dots with your answer; hint("{number}") helps.'
    elif attempt.verdict == "NOT YET":
        text += f": {reason}"
        if found.hints:
            text += "\n" + _next_hint(found, attempt)
    print(text)
    if attempt.verdict != "TODO" and (said := passes.keep(number, attempt.verdict == "PASS")):
        print(said)
    if _building() and attempt.verdict != "PASS":
        raise CheckFailed(text)


def hint(number: str) -> None:
    """Print the next hint of an exercise.

    Parameters
    ----------
    number : str
        The exercise, ``"1.2"``.
    """
    number = str(number)
    try:
        found = find(number)
    except LookupError as error:
        print(error)
        return
    attempt = _attempts.setdefault(number, Attempt())
    if attempt.hints_shown >= len(found.hints):
        print(f"Those were all {len(found.hints)} hints for {number}. The worked answer is in the solution notebook.")
        attempt.hints_shown = 0
    else:
        print(_next_hint(found, attempt))


def or_reference(number: str, *answer, **given):
    """Return the answer if it is right, else the reference answer, so that the rest of the notebook can go on.

    Parameters
    ----------
    number, *answer, **given
        As for `check`.

    Returns
    -------
    object or tuple
        One value for one answer, a tuple for several.
    """
    found = find(str(number))
    judged, verdict = _judged.get(found.number, ((), ""))
    if len(judged) != len(answer) or any(one is not other for one, other in zip(judged, answer, strict=True)):
        verdict, _ = run_check(found, answer, given)
    if verdict == "PASS":
        return answer[0] if len(answer) == 1 else answer
    print(f"(Until {number} is solved, the notebook goes on with the reference answer.)")
    reference = found.reference(given)
    _handed_out[found.number] = (reference,) if len(answer) == 1 else tuple(reference)
    return reference


def require_pass(number: str) -> None:
    """Raise unless the last check of an exercise passed, with an answer of the student's own.

    For graders that count a cell as solved when it raises nothing, as nbgrader does; the notebook runs from its top.

    Parameters
    ----------
    number : str
        The exercise, ``"1.2"``.

    Raises
    ------
    CheckFailed
        The verdict was another, there was none, or `or_reference` gave the reference answer away before.
    """
    verdict = _attempts.get(number, Attempt()).verdict
    if verdict != "PASS":
        raise CheckFailed(f"[{verdict}] {number}: no points")
    if number in _handed_out:
        raise CheckFailed(f"{number}: no points, or_reference was asked for the answer before it was checked")


def progress() -> None:
    """Print a table of this lesson's exercises, with verdict, tries and goal, and a line for each other lesson.

    What was passed in an earlier kernel counts, if the exercise is still the same; see `coursekit.checks.passes`.
    """
    records, said = passes.recorded()
    if said:
        print(said)
    lessons = sorted(set(map(passes.lesson_of, _attempts)) or {int(lesson.current() or 0)} & _lessons_of(records))
    rows = [found for one in lessons for found in exercises_of(one)]
    if not rows:
        print("No exercise has been checked yet.")
    for found in rows:
        print(_row(found, records.get(found.number)))
    if rows:
        solved = sum(_solved(found.number, records.get(found.number)) for found in rows)
        print(f"{solved} of {len(rows)} exercises solved.")
    for line in _other_lessons(lessons, records):
        print(line)
    if records and (lender := surroundings.lent_by()):
        print(
            f"{lender} deletes this machine when you are done, and work/progress.json with it: download that file and "
            "your notebook, and put them here again to go on."
        )


# --- inside -----------------------------------------------------------------------------------------------------------


def run_check(
    found: Exercise, answer: tuple, given: Mapping, written: Callable = lambda: None, tries: int = 0
) -> tuple[str, str]:
    """Return the verdict ("TODO", "NOT YET" or "PASS") and the reason, without printing or counting a try.

    `written` and `tries` as in `Exercise.test`.
    """
    if any(_untouched(part) for part in answer) or _is_handed_out(found.number, answer):
        return "TODO", ""
    try:
        found.test(answer, given, written, tries)
    except Mistake as mistake:
        return "NOT YET", str(mistake)
    except MemoryError:  # says nothing about the answer
        raise
    except Exception as error:
        # A test that stumbles over an answer of an unforeseen kind must not look like a crash of the course.
        came = ", ".join(map(describe, answer))
        return "NOT YET", f"the check could not work with {came} ({type(error).__name__}: {shortened(str(error))})."
    return "PASS", ""


def _row(found: Exercise, record: passes.Record | None) -> str:
    """Return an exercise's line: its verdict in this kernel or, if it was not tried there, in earlier ones."""
    attempt = _attempts.get(found.number, Attempt())
    verdict, tries, remark = attempt.verdict, attempt.tries, ""
    if record and record.version == passes.version_of(found.number):
        tries = max(tries, record.tries)
        if verdict == "TODO":
            verdict = "PASS" if record.passed else "NOT YET"
        elif verdict == "NOT YET" and record.passed:
            remark = " (passed before)"
    elif record and record.passed and verdict != "PASS":
        remark = " (it has changed since you passed it)"
    return f"{found.number:>6}  {'[' + verdict + ']':<9}  tries {tries}  {found.goal}{remark}"


def _solved(number: str, record: passes.Record | None) -> bool:
    """Whether an exercise was passed as it stands, in this kernel or in another."""
    passed = record is not None and record.passed and record.version == passes.version_of(number)
    return passed or _attempts.get(number, Attempt()).verdict == "PASS"


def _lessons_of(records: Mapping[str, passes.Record]) -> set[int]:
    return set(map(passes.lesson_of, records))


def _other_lessons(lessons: list[int], records: Mapping[str, passes.Record]) -> Iterator[str]:
    """Yield a line on each other lesson in which something was passed: "lesson 01: 7 of 8"."""
    for other in sorted(_lessons_of(records) - set(lessons)):
        numbers = passes.versions(other)
        passed = [number for number in numbers if number in records and records[number].passed]
        solved = sum(_solved(number, records[number]) for number in passed)
        changed = len(passed) - solved
        if passed:
            yield f"lesson {other:02d}: {solved} of {len(numbers)}" + (
                f" ({changed} changed since you passed {'it' if changed == 1 else 'them'})" if changed else ""
            )


def _written(found: Exercise, answer: tuple, frame):
    from coursekit.checks import source

    return source.of_values(found.number, frame) if found.of_values else source.of_functions(answer)


def _untouched(part) -> bool:
    """Three dots, or a function whose body is still three dots."""
    code = getattr(part, "__code__", None)
    return part is ... if code is None else _instructions(code) == _instructions(_blank.__code__)


def _blank(): ...


def _instructions(code) -> list:
    # The operands by value: a docstring shifts the constants of an otherwise empty function.
    return [(step.opname, step.argval) for step in dis.get_instructions(code)]


def _is_handed_out(number: str, answer: tuple) -> bool:
    """Whether the answer is the very object that `or_reference` returned: the student's cell has not been run since.

    Small numbers and names are the same object wherever they come from, and are taken for the student's.
    """
    given = _handed_out.get(number, ())
    return any(
        part is other and not isinstance(part, int | str | None) for part, other in zip(answer, given, strict=False)
    )


def _next_hint(found: Exercise, attempt: Attempt) -> str:
    shown = min(attempt.hints_shown, len(found.hints) - 1)
    attempt.hints_shown = shown + 1
    return f"Hint {shown + 1} of {len(found.hints)}: {found.hints[shown]}"


def _building() -> bool:
    return bool(os.environ.get("COURSEKIT_BUILD"))
