"""Exercises that know their usual mistakes.

``check("1.2", answer)`` prints one verdict and never raises for a student. The exercises of lesson NN live in
``nbNN.py``; each is a function decorated with `exercise` that looks at the answer and, when something is wrong, calls
`fail` or one of the ``expect_`` functions with the name of the mistake.
"""

import dis
import importlib
import os
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import awkward as ak
import numpy as np

__all__ = [
    "CheckFailed",
    "Exercise",
    "call",
    "check",
    "exercise",
    "expect_close",
    "expect_equal",
    "fail",
    "hint",
    "or_reference",
    "progress",
    "run_check",
]


class CheckFailed(AssertionError):
    """A solution does not pass its own check; raised only while the course is being built."""


class Mistake(Exception):
    """What is wrong with an answer, in words for the student."""


@dataclass(frozen=True)
class Exercise:
    """One exercise: what it asks, how it is tested, the reference answer, and hints from gentle to plain."""

    number: str
    goal: str
    test: Callable
    reference: Callable
    hints: tuple[str, ...]


@dataclass
class Attempt:
    verdict: str = "TODO"
    tries: int = 0
    hints_shown: int = 0


_exercises: dict[str, Exercise] = {}
_attempts: dict[str, Attempt] = {}
#: The reference answers that `or_reference` gave in the place of the student's; to be told from an answer.
_handed_out: dict[str, tuple] = {}


def exercise(number: str, goal: str, *, hints: tuple[str, ...], reference: Callable) -> Callable:
    """Register the decorated function as the test of exercise `number`.

    Parameters
    ----------
    number : str
        Lesson and exercise, ``"1.2"``.
    goal : str
        What the answer is, in a few words: "mean and standard deviation of mtw1".
    hints : tuple of str
        One more is shown each time the answer is wrong, or with `hint`.
    reference : callable
        Takes the same keyword arguments as the check and returns the right answer (a tuple for several).
    """

    def register(test: Callable) -> Callable:
        _exercises[number] = Exercise(number, goal, test, reference, tuple(hints))
        return test

    return register


# --- what a student calls ---------------------------------------------------------------------------------------------


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
        found = _find(number)
    except LookupError as error:
        print(f"[NOT YET] {number} {error}")
        if _building():
            raise CheckFailed(str(error)) from None
        return
    attempt = _attempts.setdefault(number, Attempt())
    attempt.verdict, reason = run_check(found, answer, given)
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
        found = _find(number)
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
    found = _find(number)
    if run_check(found, answer, given)[0] == "PASS":
        return answer[0] if len(answer) == 1 else answer
    print(f"(Until {number} is solved, the notebook goes on with the reference answer.)")
    reference = found.reference(**given)
    _handed_out[found.number] = (reference,) if len(answer) == 1 else tuple(reference)
    return reference


def progress() -> None:
    """Print a table of the exercises checked or offered so far in this notebook: verdict, tries, goal."""
    lessons = {number.split(".")[0] for number in _attempts}
    rows = [found for number, found in _exercises.items() if number.split(".")[0] in lessons]
    if not rows:
        print("No exercise has been checked yet.")
        return
    for found in sorted(rows, key=lambda row: tuple(map(int, row.number.split(".")))):
        attempt = _attempts.get(found.number, Attempt())
        print(f"{found.number:>6}  {'[' + attempt.verdict + ']':<9}  tries {attempt.tries}  {found.goal}")
    passed = sum(_attempts.get(found.number, Attempt()).verdict == "PASS" for found in rows)
    print(f"{passed} of {len(rows)} exercises solved.")


# --- what a test calls ------------------------------------------------------------------------------------------------


def fail(reason: str) -> None:
    """End the test with the reason why the answer is not right yet."""
    raise Mistake(reason)


def expect_close(
    what: str,
    value,
    expected,
    *,
    mistakes: Mapping[str, object] | None = None,
    rtol: float = 1e-5,
    atol: float = 1e-9,
    accept: tuple[type, ...] = (np.ndarray,),
) -> None:
    """Compare numbers or arrays of numbers, and name the mistake when the value is a known wrong one.

    Parameters
    ----------
    what : str
        Names the value in the message: "the mean".
    value : number or numpy.ndarray
        The student's.
    expected : number or array_like
        The right one.
    mistakes : mapping of str to array_like
        A sentence on the mistake, to the value that this mistake gives.
    rtol, atol : float
        Tolerances as in `numpy.allclose`; the default admits float32 arithmetic.
    accept : tuple of type
        Kinds of arrays that the next cells of the lesson can work with. Lists and the like would pass here and fail
        there.
    """
    if value is None:
        fail(f"{what} is None. Did you forget a `return`, or keep the result of a function that changes its argument?")
    if value is ...:
        fail(f"{what} is still `...`.")
    right = np.asarray(expected, dtype=np.float64)
    try:
        got = np.asarray(ak.to_numpy(value) if isinstance(value, ak.Array) else value, dtype=np.float64)
    except (TypeError, ValueError):
        fail(f"{what} should be {describe(expected)}; what came is {describe(value)}.")
    if not _same(got, right, rtol, atol):
        difference = _difference(what, got, right, rtol, atol)
        for sentence, wrong in (mistakes or {}).items():
            if _same(got, np.asarray(wrong, dtype=np.float64), rtol, atol):
                fail(f"{sentence} ({difference})")
        fail(difference)
    if right.ndim and not isinstance(value, accept):
        wanted = " or ".join({np.ndarray: "a NumPy array", ak.Array: "an awkward array"}[kind] for kind in accept)
        came = type(value).__name__
        fail(f"the numbers of {what} are right, but they come as a {came}; the lesson goes on with {wanted}.")


def _difference(what: str, got: np.ndarray, right: np.ndarray, rtol: float, atol: float) -> str:
    if got.shape != right.shape:
        return f"{what} has shape {got.shape}, expected {right.shape}."
    if not right.ndim:
        return f"{what} is {describe(got)}, expected {describe(right)}."
    n_nan = int(np.isnan(got).sum() - np.isnan(right).sum())
    if n_nan > 0:
        return f"{what} contains {n_nan} NaN, expected {int(np.isnan(right).sum())}."
    wrong = ~np.isclose(got, right, rtol=rtol, atol=atol, equal_nan=True)
    first = tuple(int(index) for index in np.argwhere(wrong)[0])
    place = ", ".join(map(str, first))
    return (
        f"{what} is wrong in {wrong.sum()} of {wrong.size} entries, first at [{place}]: {describe(got[first])}, "
        f"expected {describe(right[first])}."
    )


def expect_equal(what: str, value, expected, *, mistakes: Mapping[str, object] | None = None) -> None:
    """Compare things that are the same or not (names, lists, booleans), naming the mistake as `expect_close` does."""
    if value is None and expected is not None:
        fail(f"{what} is None. Did you forget a `return`?")
    if _equal(value, expected):
        return
    for sentence, wrong in (mistakes or {}).items():
        if _equal(value, wrong):
            fail(f"{sentence} ({what} is {describe(value)}, expected {describe(expected)}.)")
    fail(f"{what} is {describe(value)}, expected {describe(expected)}.")


def call(function, *args, name: str = "your function", **kwargs):
    """Call the student's function on copies of the arguments.

    An error, a missing ``return`` or a changed input becomes a `Mistake`.

    Parameters
    ----------
    function : callable
        The student's answer.
    *args, **kwargs
        Its arguments; arrays and containers of arrays are copied before the call.
    name : str
        Names the function in messages.

    Returns
    -------
    object
        What the function returned.
    """
    if not callable(function):
        fail(f"{name} should be a function; what came is {describe(function)}. Pass it without calling it.")
    handed = [_copy(arg) for arg in args]
    try:
        result = function(*handed, **kwargs)
    except Mistake:
        raise
    except Exception as error:
        # The last line of the student's own code, not the depth of a library that it called.
        file = getattr(getattr(function, "__code__", None), "co_filename", None)
        lines = [frame.line for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
        where = f" at `{lines[-1]}`" if lines and lines[-1] else ""
        fail(f"{name} raised {type(error).__name__}: {error}{where}.")
    if result is None:
        fail(f"{name} returned None. Did you forget a `return`?")
    if any(not _equal(before, after) for before, after in zip(args, handed, strict=True)):
        fail(f"{name} changes its input in place. Work on a copy: whoever called it still needs the original.")
    return result


def describe(value) -> str:
    """Say in a few words what a value is: the number itself, or type, shape and first entries of an array."""
    if isinstance(value, np.bool_):
        return repr(bool(value))
    if isinstance(value, bool | str | type(None)):
        return repr(value)
    if isinstance(value, int | float | np.number):
        return f"{value:.6g}" if isinstance(value, float | np.floating) else str(value)
    if isinstance(value, np.ndarray) and value.ndim == 0:
        return describe(value[()])
    if isinstance(value, np.ndarray):
        start = ", ".join(describe(entry) for entry in value.ravel()[:3])
        more = ", ..." if value.size > 3 else ""
        return f"an array of shape {value.shape} and dtype {value.dtype} [{start}{more}]"
    if isinstance(value, ak.Array):
        return f"an awkward array of type {value.type}"
    if callable(value) and hasattr(value, "__name__"):
        return f"the {'class' if isinstance(value, type) else 'function'} {value.__name__}"
    text = " ".join(repr(value).split())
    return f"{type(value).__name__} {text if len(text) <= 120 else text[:117] + '...'}"


def run_check(found: Exercise, answer: tuple, given: Mapping) -> tuple[str, str]:
    """Return the verdict ("TODO", "NOT YET" or "PASS") and the reason, without printing or counting a try."""
    if any(_untouched(part) for part in answer) or _is_handed_out(found.number, answer):
        return "TODO", ""
    try:
        found.test(*answer, **given)
    except Mistake as mistake:
        return "NOT YET", str(mistake)
    except Exception as error:
        # A test that stumbles over an answer of an unforeseen kind must not look like a crash of the course.
        came = ", ".join(map(describe, answer))
        return "NOT YET", f"the check could not work with {came} ({type(error).__name__}: {error})."
    return "PASS", ""


# --- inside -----------------------------------------------------------------------------------------------------------


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


def _find(number: str) -> Exercise:
    number = str(number)
    lesson = number.split(".")[0]
    if lesson.isdigit():
        name = f"coursekit.checks.nb{int(lesson):02d}"
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise
    if number not in _exercises:
        known = [other for other in _exercises if other.split(".")[0] == lesson]
        there = f"The exercises of this lesson are {', '.join(known)}." if known else f"There is no lesson {lesson}."
        raise LookupError(f'There is no exercise "{number}". {there}')
    return _exercises[number]


def _next_hint(found: Exercise, attempt: Attempt) -> str:
    shown = min(attempt.hints_shown, len(found.hints) - 1)
    attempt.hints_shown = shown + 1
    return f"Hint {shown + 1} of {len(found.hints)}: {found.hints[shown]}"


def _building() -> bool:
    return bool(os.environ.get("COURSEKIT_BUILD"))


def _same(got: np.ndarray, right: np.ndarray, rtol: float, atol: float) -> bool:
    return got.shape == right.shape and np.allclose(got, right, rtol=rtol, atol=atol, equal_nan=True)


def _equal(one, other) -> bool:
    if isinstance(one, ak.Array) or isinstance(other, ak.Array):
        return isinstance(one, ak.Array) and isinstance(other, ak.Array) and ak.array_equal(one, other, equal_nan=True)
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        floats = np.asarray(one).dtype.kind == "f"
        return np.shape(one) == np.shape(other) and bool(np.array_equal(one, other, equal_nan=floats))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return type(one) is type(other) and len(one) == len(other) and all(map(_equal, one, other))
    if hasattr(one, "equals"):  # a pandas object
        return type(one) is type(other) and one.equals(other)
    try:
        return bool(one == other)
    except ValueError:
        return one is other


def _copy(value):
    if isinstance(value, dict):
        return {key: _copy(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_copy(entry) for entry in value)
    return value.copy() if isinstance(value, np.ndarray) or hasattr(value, "equals") else value
