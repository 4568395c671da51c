"""What comes out of the answer with one slip in it: made by the build, so that a check only has to look it up.

``mutants.json`` beside a lesson's ``exercises.py`` holds, for each exercise, fingerprints of wrong results and what
they are due to. It shows nothing of the answer but the names of its arguments.
"""

import ast
import functools
import inspect
import json
import re
import textwrap
import time
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from coursekit.checks.kinds import as_array
from coursekit.checks.limits import FAILURES, TooLong, at_most, with_memory
from coursekit.checks.mutation import RANK, Mutant, mutants
from coursekit.checks.origins import origins
from coursekit.lesson import lesson_folder

__all__ = [
    "answer_tree",
    "constants_in",
    "due_to",
    "leaves",
    "mutants_of_answer",
    "seconds_for",
    "table",
    "within",
]

FILE = "mutants.json"
LITTLE = 0.2  # seconds that any mutant may take
MEMORY = 1_000_000_000  # bytes that a mutant may take
#: Words that say that something is wrong, and not what.
_VAGUE = re.compile(
    r"another (quantity|number|name)|an? (quantity|part|step|function|entry|constant|method|range|index|condition)\b|"
    r"two entries"
)
_TOO_MANY = 3  # slips with one and the same result: what it is due to cannot be said


def answer_tree(functions: tuple) -> tuple[ast.Module, Mapping] | None:
    """Return the program that defines functions of an ``exercises.py``, and the variables that it needs."""
    try:
        sources = [textwrap.dedent(inspect.getsource(function)) for function in functions]
        tree = ast.parse("\n".join(sources))
    except (OSError, TypeError, SyntaxError):
        return None
    for node in tree.body:
        node.decorator_list = []
    codes = [vars(f).get("__init__", f) if isinstance(f, type) else f for f in functions]
    return tree, codes[0].__globals__


def mutants_of_answer(functions: tuple) -> Iterator[tuple[Mutant, Callable[[], tuple]]]:
    """Yield each mutant of an answer and a function that makes it; to be called before the next one is asked for."""
    found = answer_tree(functions)
    if found is None:
        return
    tree, namespace = found
    names = [node.name for node in tree.body]
    for mutant in mutants(tree):

        def made(tree=tree):
            inside = dict(namespace)
            exec(compile(tree, "<mutant>", "exec"), inside)
            return tuple(inside[name] for name in names)

        yield mutant, made


def within(seconds: float, run: Callable):
    """Return what a function gives, unless it takes longer on a processor that it has for itself.

    Parameters
    ----------
    seconds : float
        Of processor time; on a busy machine it may wait for them, up to eight times as long.
    run : callable

    Raises
    ------
    TooLong
        When it takes longer.
    """
    for times in (1, 2, 4, 8):
        start = time.thread_time()
        try:
            with at_most(times * seconds), with_memory(MEMORY):
                return run()
        except TooLong:
            if times == 8 or time.thread_time() - start > 0.7 * seconds:
                raise
    return None


def seconds_for(exercise, cases: list) -> float:
    """Return how long a mutant may take: five times as long as the answer, and a little more."""
    exercise.outcomes(exercise.answers, cases)  # the first call loads, compiles and caches
    start = time.thread_time()
    exercise.outcomes(exercise.answers, cases)
    return 5 * (time.thread_time() - start) + LITTLE


def table(exercise) -> list[list]:
    """Return ``[what it is due to, fingerprint]`` for the mutants of an exercise's answer whose results are telling.

    A mutant that gives another result each time, because it draws from no given generator, is left out.
    """
    cases = list(exercise.cases())
    right, seconds = fingerprint(exercise.outcomes(exercise.answers, cases)), seconds_for(exercise, cases)
    found: dict[tuple, dict[str, int]] = {}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for mutant, made in mutants_of_answer(exercise.answers):
            seen = _seen(exercise, made, cases, seconds)
            if seen is None or alike(seen, right) or not mutant.said:
                continue
            same = next((known for known in found if alike(known, seen)), None)
            if same is None:
                if not alike(_seen(exercise, made, cases, seconds), seen):
                    continue
                same = seen
            said = found.setdefault(same, {})
            said.setdefault(mutant.said, RANK[mutant.kind])
    rows = [
        [sorted(said, key=lambda s: (_vague(s), said[s], s))[:2], list(seen)]
        for seen, said in found.items()
        if len(said) <= _TOO_MANY
    ]
    return sorted(rows)


def _seen(exercise, made: Callable, cases: list, seconds: float) -> tuple | None:
    try:
        return within(seconds, lambda: fingerprint(exercise.outcomes(made(), cases)))
    except FAILURES:  # a mutant may do anything
        return None


def due_to(exercise, outcomes: list) -> tuple[list[str], bool]:
    """Return what wrong outcomes are due to, two possibilities at most, and whether that is said precisely."""
    rows = _table_of(exercise.number.split(".")[0]).get(exercise.number, [])
    seen = fingerprint(outcomes) if rows else None
    if seen is None:
        return [], False
    said = next((said for said, known in rows if alike(tuple(known), seen)), [])
    precise = [words for words in said if not _vague(words)]
    return (precise or said)[:2], bool(precise)


def constants_in(exercise) -> tuple:
    """Return the numbers and short texts that stand in the answer of an exercise."""
    found = answer_tree(exercise.answers)
    nodes = ast.walk(found[0]) if found else ()
    values = [n.value for n in nodes if isinstance(n, ast.Constant) and type(n.value) in (int, float, str)]
    return tuple(dict.fromkeys(value for value in values if not isinstance(value, str) or len(value) < 16))


def _vague(words: str) -> bool:
    return _VAGUE.search(words) is not None


@functools.cache
def _table_of(lesson: str) -> dict:
    """Return the rows of each exercise whose table is made from what its exercise is now."""
    folder = lesson_folder(lesson)
    if not (folder / FILE).is_file():
        return {}
    known = origins(folder / "exercises.py")
    kept = json.loads((folder / FILE).read_text(encoding="utf-8"))
    return {n: e["table"] for n, e in kept.items() if n in known and e["made_from"] == known[n].digest}


# --- fingerprints -----------------------------------------------------------------------------------------------------


def fingerprint(outcomes: list) -> tuple | None:
    """Return five numbers that tell the outcomes of all cases from others; None of an error, or of what says little.

    They are sums over all numbers with weights that depend on the place, so that they agree on all processors as the
    numbers themselves do.
    """
    if any(isinstance(outcome, str) for outcome in outcomes):
        return None
    found = [leaf for outcome in outcomes for leaf in leaves(list(outcome.values()))]
    told = np.array([number for number, is_length in found if not is_length and np.isfinite(number)])
    if told.size == 0 or (told.size > 1 and (told == told[0]).all()):
        return None
    values = np.array([number for number, _ in found])
    finite = np.isfinite(values)
    known = values[finite]
    place = np.arange(len(values))[finite]
    sums = [float(known @ np.cos(1 + frequency * place)) for frequency in (0.37, 1.91)]
    return (len(values), int((~finite).sum()), *(float(f"{x:.7g}") for x in (np.abs(known).sum(), *sums)))


def alike(one: tuple | None, other: tuple | None) -> bool:
    """Whether two fingerprints are those of the same results."""
    if one is None or other is None or tuple(one[:2]) != tuple(other[:2]):
        return False
    return bool(np.allclose(one[2:], other[2:], rtol=0, atol=2e-6 * max(one[2], other[2], 1e-9)))


def leaves(value) -> Iterator[tuple[float, bool]]:
    """Yield all numbers of a result, and whether each is but the length of something."""
    value = as_array(value)
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        yield float(len(value)), True
        for entry in value:
            yield from leaves(entry)
    elif isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        yield from ((float(length), True) for length in value.shape)
        yield from ((float(number), False) for number in value.ravel())
    elif isinstance(value, bool | int | float | np.number | np.bool_):
        yield float(value), False
    else:
        text = re.sub(r" at 0x[0-9a-f]+", "", repr(value))  # where it lies in the memory is another place each time
        yield float(zlib.crc32(text.encode())), False
