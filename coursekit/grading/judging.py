"""One answer judged: what it needs of the notebook is run, then the student's cells, then the check of the lesson.

All of it happens in a process that ends with the verdict. No cell of a student is run before the process is shut in,
and none is run for another exercise than the one that needs it.
"""

import ast
import builtins
import contextlib
import importlib
import linecache
import re
import sys
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from coursekit import authoring
from coursekit.answers import answered
from coursekit.checks import engine, source
from coursekit.checks.altered import other_seeds, resampled
from coursekit.checks.compare import Mistake
from coursekit.checks.errors import NO_END, explained
from coursekit.checks.exercise import Exercise, exercises_of, find, forget
from coursekit.checks.kinds import shortened
from coursekit.checks.limits import TooLong, at_most
from coursekit.grading.borrowed import Borrowed, is_reference
from coursekit.grading.magics import as_python
from coursekit.grading.needed import Piece, of_notebook, piece, selected
from coursekit.grading.pins import Pins
from coursekit.notebooks import exercise_of
from coursekit.words import capital

__all__ = ["Course", "Judgement", "judged", "other_seed", "unless_changed"]

#: The seeds that are tried, in turn, for the hidden part of a check: some make a right answer look wrong.
_TRIES = 3
#: Whatever else is said of such an answer, this is what was wrong with it.
_CUT_SHORT = {NO_END: "It does not end.", "MemoryError": "It takes too much memory."}
#: How the names of the student's cells begin, as files that errors and frames tell of.
_CELL = "<cell "
_REFERENCE = ("this is the reference answer itself.", "The reference answer was handed in.")


@dataclass
class Judgement:
    """What came of one exercise: the verdict, the sentence, and the name under which such mistakes are counted."""

    verdict: str
    reason: str = ""
    mistake: str = ""
    remarks: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Course:
    """What is ours of a lesson: its imports, done; its statements, above each exercise; its check cells."""

    lesson: int
    namespace: dict
    above: dict[str, list[Piece]]
    checks: dict[str, str]
    names: dict[str, frozenset[str]]
    pins: Pins

    @classmethod
    def of(cls, path: Path) -> "Course":
        """Read a lesson, and import what it imports.

        Parameters
        ----------
        path : pathlib.Path
            ``lessons/NN_slug/lesson.py``.
        """
        lesson = authoring.read_lesson(path)
        module = types.ModuleType("__main__")
        above, checks, names, so_far = {}, {}, {}, []
        for cell in lesson.cells:
            tags, number = set(cell.metadata.get("tags", [])), exercise_of(cell)
            if cell.cell_type != "code" or "solution" in tags:
                continue
            if "exercise" in tags:
                above[number], names[number] = list(so_far), piece(cell.source).gives
                so_far += of_notebook([answered(cell.source, number, path)])
            elif "check" in tags:
                checks[number] = _first_statement(cell.source)
            else:
                so_far += of_notebook([cell.source])
        exercises = exercises_of(path.parent.name[:2])
        importlib.import_module("coursekit.checks.diagnosis")  # as the engine does only when an answer is wrong
        engine.or_reference = _as_it_is  # before anybody could have taken it
        for one in so_far:
            if one.imports:
                exec(one.source, vars(module))
        return cls(int(path.parent.name[:2]), vars(module), above, checks, names, Pins(exercises))


def judged(number: str, cells: list[dict], passed: list[str], course: Course, seed: int, hidden: int, seconds: float):
    """Judge one exercise of one submission.

    Parameters
    ----------
    number : str
        ``"3.1"``.
    cells : list of dict
        The student's own cells above the check, in their order: ``source``, and ``number``, that of the exercise that
        they are the answer of, else "".
    passed : list of str
        The exercises above that are solved: what builds on them gets the student's answer, else that of the course.
    course : Course
    seed : int
        The parameter `seed` of the notebook, in the place of the student's.
    hidden : int
        Added to the seeds of the cases for the hidden part of the check; 0 for none.
    seconds : float
        For the student's cells.

    Returns
    -------
    Judgement
    """
    exercise = find(number)
    namespace = course.namespace | {"check": _silent, "or_reference": _as_it_is, "hint": _silent, "progress": _silent}
    pieces, broken = _pieces([cell for cell in cells if cell["number"] in ("", number, *passed)], number)
    answers = [one for cell, one in pieces if cell["number"] == number]
    if broken:
        return Judgement("NOT YET", broken, "The cell is not Python.")
    check = piece(course.checks[number])
    given = _given(course.checks[number])
    chosen, missing = _chosen(pieces, answers, check.uses - given, course)
    _run_ours(selected(course.above[number], missing | given), course, namespace, seed)
    ours = {name: namespace[name] for name in given if name in namespace}
    for name in course.names[number]:
        namespace.pop(name, None)
    borrowed = Borrowed(exercise.answers, _CELL)
    errors = _run_theirs(chosen, answers, namespace, seconds, borrowed if exercise.of_values else None)
    namespace |= ours
    moved = course.pins.moved()
    forget()
    judgement = _checked(exercise, course.checks[number], namespace, errors, hidden, borrowed)
    return unless_changed(judgement, moved + course.pins.moved())


def unless_changed(judgement: Judgement, moved: list[str]) -> Judgement:
    """Return a judgement, unless something was found in another state than before, as `Pins.moved` names it."""
    if not moved:
        return judgement
    names = ", ".join(dict.fromkeys(moved[:3]))
    return Judgement("REFUSED", f"the notebook changes what the check is made of: {names}.", "The check was changed.")


# --- running ----------------------------------------------------------------------------------------------------------


def _pieces(cells: list[dict], number: str) -> tuple[list[tuple[dict, Piece]], str]:
    """Return the cells that are Python, and what is said of an answer that is none."""
    pieces, broken = [], ""
    for cell in cells:
        try:
            pieces.append((cell, piece(as_python(cell["source"]))))
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            if cell["number"] == number:
                line = f", line {error.lineno}: `{(error.text or '').strip()}`" if getattr(error, "lineno", 0) else ""
                broken = f"the cell is not Python ({getattr(error, 'msg', error)}{line})."
        else:
            broken = "" if cell["number"] == number else broken
    return pieces, broken


def _chosen(pieces: list, answers: list[Piece], names: Iterable[str], course: Course) -> tuple[list[Piece], set[str]]:
    """Return the student's cells that the answer needs, in their order, and the names that are left for ours."""
    theirs = [one for _, one in pieces]
    wanted = set(names) | {name for one in answers for name in one.uses}
    chosen = selected(theirs, wanted)
    chosen = [one for one in theirs if one in chosen or one in answers]
    wanted |= {name for one in chosen for name in one.uses}
    there = {name for one in chosen for name in one.gives} | course.namespace.keys() | vars(builtins).keys()
    return chosen, wanted - there


def _run_ours(pieces: list[Piece], course: Course, namespace: dict, seed: int) -> None:
    """Run statements of the lesson; what fails here is missing later, and is said then."""
    for one in pieces:
        with contextlib.suppress(Exception):
            exec(compile(one.source, "<lesson>", "exec"), namespace)
        if "seed" in one.gives and not one.uses:
            namespace["seed"] = seed


def _run_theirs(
    chosen: list[Piece], answers: list[Piece], namespace: dict, seconds: float, borrowed: Borrowed | None
) -> list[str]:
    """Run cells as a notebook does, one after the other whatever happens; return what the answer's cells raised.

    What traces or profiles in them ends with them; who finds modules for them finds none of ours.
    """
    finders = list(sys.meta_path)
    module = sys.modules["__main__"] = types.ModuleType("__main__")
    module.__dict__.update(namespace)
    errors = []
    for at, one in enumerate(chosen):
        name = f"{_CELL}{at + 1}>"
        watching = borrowed if borrowed and one in answers else contextlib.nullcontext()
        linecache.cache[name] = (len(one.source), None, one.source.splitlines(keepends=True), name)
        said = ""
        try:
            with at_most(seconds), watching:
                exec(compile(one.source, name, "exec"), namespace)
        except TooLong:
            said = f"the cell {NO_END} {seconds:g} seconds."
        except MemoryError:
            said = "the cell ended with MemoryError: there is not so much memory for an exercise."
        except BaseException as error:
            said = explained("the cell", error)
        if said and one in answers:
            errors.append(said)
    sys.settrace(None)
    sys.setprofile(None)
    sys.meta_path[:] = [*finders, *(finder for finder in sys.meta_path if finder not in finders)]
    return errors


# --- checking ---------------------------------------------------------------------------------------------------------


def _checked(
    exercise: Exercise, check: str, namespace: dict, errors: list[str], hidden: int, borrowed: Borrowed
) -> Judgement:
    call = {}

    def taken(number: str, *answer, **given) -> None:
        written = source.of_values(number, sys._getframe(1)) if exercise.of_values else source.of_functions(answer)
        call.update(answer=answer, given=given, written=written)

    linecache.cache["<check>"] = (len(check), None, check.splitlines(keepends=True), "<check>")
    try:
        exec(compile(check, "<check>", "exec"), namespace | {"check": taken})
    except NameError as error:
        if error.name in _given(check):
            return Judgement("NOT JUDGED", f"the lesson's own {error.name} could not be made here.", "Not judged.")
        if errors:
            return Judgement("NOT YET", errors[0], _of_cell(errors[0]))
        said = f"{error.name} is not there: the cell of the answer does not make it."
        return Judgement("NOT YET", said, "The answer has another name.")
    answer, given = call["answer"], call["given"]
    if any(is_reference(part, exercise.answers) for part in answer):
        return Judgement("REFUSED", *_REFERENCE)
    try:
        verdict, reason = engine.run_check(exercise, answer, given, lambda: call["written"], tries=1)
        if verdict == "PASS" and _calls_reference(exercise, answer, borrowed):
            return Judgement("REFUSED", *_REFERENCE)
        if verdict == "PASS" and hidden and (said := _hidden(exercise, answer, given, call["written"], hidden)):
            return Judgement("NOT YET", said, capital(said.partition(":")[0].rstrip(".") + "."))
    except MemoryError:
        verdict, reason = "NOT YET", "the check ended with MemoryError: there is not so much memory for an exercise."
    if verdict == "TODO" and errors:
        return Judgement("NOT YET", errors[0], _of_cell(errors[0]))
    return Judgement(verdict, re.sub(r" at 0x[0-9a-f]+", "", reason), named(exercise, reason))


def _of_cell(error: str) -> str:
    return next((name for words, name in _CUT_SHORT.items() if words in error), "The cell raises an error.")


def named(exercise: Exercise, reason: str) -> str:
    """Return the name of a mistake: the sentence that the lesson has for it, else what is said without the numbers."""
    reason = re.sub(r" at 0x[0-9a-f]+", "", reason)
    listed = [sentence for sentence, _ in exercise.mistakes if sentence in reason]
    if listed or not reason:
        return max(listed, key=len, default="")
    for words, name in _CUT_SHORT.items():
        if words in reason:
            return name
    said = re.split(r"(?<=[.?!]) \(", reason)[0]
    return shortened(re.sub(r"\d[\d.e+-]*", "…", said), 200)


def _calls_reference(exercise: Exercise, answer: tuple, borrowed: Borrowed) -> bool:
    if not exercise.of_values:
        with contextlib.redirect_stdout(None), borrowed:
            exercise.outcome(answer, next(iter(exercise.cases())))
    return borrowed.found


def _hidden(exercise: Exercise, answer: tuple, given: Mapping, written, more: int) -> str:
    """Say so if an answer that is right in the notebook is not with other numbers."""
    if exercise.of_values:
        return _written_as_numbers(exercise, answer, given, written)
    try:
        with contextlib.redirect_stdout(None):
            with_other_seeds(exercise, more).test(answer, {}, lambda: None, 0)
    except Mistake as mistake:
        return f"right with the numbers that the notebook tries and not with others: {mistake}"
    return ""


def with_other_seeds(exercise: Exercise, more: int) -> Exercise:
    """Return an exercise whose cases are drawn with other seeds, as a separate one: nothing that is known is shared."""

    def cases():
        drawn = iter(())
        with other_seeds(more):
            drawn = iter(exercise.cases())
        while True:
            with other_seeds(more):
                try:
                    case = next(drawn)
                except StopIteration:
                    return
            yield case

    return replace(exercise, number=f"{exercise.number}+{more}", cases=cases)


def _written_as_numbers(exercise: Exercise, answer: tuple, given: Mapping, written) -> str:
    """Say so if the values do not follow the data, and nothing in the cell could have told it of them."""
    if written is None:
        return ""
    loaded = {n.id for n in ast.walk(written.tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    if any(name in written.namespace and not isinstance(written.namespace[name], types.ModuleType) for name in loaded):
        return ""
    other = resampled(given)
    right = [exercise.outcome((exercise.answers[0],), case) for case in (given, other)]
    if exercise.first_difference(right[:1], right[1:]) is None:
        return ""
    return "the values are written into the cell as they came out once: with other data they would be wrong."


def other_seed(exercise: Exercise, seed: int) -> int:
    """Return by how much to raise the seeds of the cases so that each right answer passes; 0 where nothing changes.

    Raises
    ------
    ValueError
        When right answers fail with other seeds: this exercise has no hidden part.
    """
    if exercise.of_values:
        return 1
    if not _is_drawn(exercise):
        return 0
    rights = [exercise.answers, *(a if isinstance(a, tuple) else (a,) for a in exercise.accepted)]
    rights += [(a,) for a in exercise.alternatives]
    for more in range(seed, seed + _TRIES):
        hidden = with_other_seeds(exercise, more)
        try:
            for right in rights:
                hidden.test(right, {}, lambda: None, 0)
        except (Mistake, RuntimeError):
            continue
        return more
    raise ValueError(f"exercise {exercise.number} has right answers that fail with other seeds")


def _is_drawn(exercise: Exercise) -> bool:
    """Whether the cases are drawn with seeds at all."""
    made, seeds = np.random.default_rng, []

    def noted(seed: object = None) -> np.random.Generator:
        seeds.append(seed)
        return made(seed)

    np.random.default_rng = noted
    try:
        for _ in exercise.cases():
            pass
    finally:
        np.random.default_rng = made
    return any(isinstance(seed, int) for seed in seeds)


def _first_statement(check: str) -> str:
    """Return the call of `check` of a check cell, without what follows it."""
    node = next(n for n in ast.parse(check).body if isinstance(n, ast.Expr) and isinstance(n.value, ast.Call))
    return "\n".join(check.split("\n")[node.lineno - 1 : node.end_lineno])


def _given(check: str) -> set[str]:
    words = ast.parse(check).body[0].value.keywords
    return {n.id for word in words for n in ast.walk(word.value) if isinstance(n, ast.Name)}


def _silent(*_, **__) -> None:
    return None


def _as_it_is(number: str, *answer, **_):
    """Stand for `or_reference`, which gives nobody the answer of the course here: what is no answer is three dots."""
    answer = tuple(... if part is None else part for part in answer)
    return answer[0] if len(answer) == 1 else answer
