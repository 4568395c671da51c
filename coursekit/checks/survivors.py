"""The checks tested: mutants of every right answer that pass, and what tells them from one.

A mutant that a check refuses is killed. One that passes and differs from all right answers somewhere is a survivor: the
cases fail to try something. One that differs nowhere, as far as was tried, is equivalent.
"""

import ast
import copy
import dataclasses
import warnings
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from coursekit.checks.altered import altered, leaves_of, other_seeds, replaced
from coursekit.checks.compare import Mistake, copied
from coursekit.checks.errors import NO_END
from coursekit.checks.exercise import Exercise, all_of
from coursekit.checks.limits import FAILURES, TooLong
from coursekit.checks.mutation import Mutant, mutants
from coursekit.checks.origins import Origin
from coursekit.checks.tables import LITTLE, constants_in, leaves, mutants_of_answer, seconds_for, within

__all__ = ["judged"]

BUDGET = 30  # seconds of an exercise
_SEEDS = (7919, 104729, 1299709)


class _Bare(Exercise):
    """The test of an exercise, without the words for what is wrong."""

    def _named(self, case, what, text, *_) -> str:
        return text


def judged(exercise: Exercise, origin: Origin, every: int = 0) -> dict:
    """Return how many mutants there are, what became of them, which survive, and which are killed by luck.

    Parameters
    ----------
    exercise : Exercise
    origin : Origin
        Where it stands in its ``exercises.py``.
    every : int, optional
        Judge one in so many mutants; by default as many as take about `BUDGET`.

    Returns
    -------
    dict
        How many were ``made`` and ``killed``; ``survivors``, each ``[of which answer, code, what is changed, on which
        arguments it differs]``; without the last, those that are ``equivalent`` as far as was tried, and ``lucky``
        ones, which pass with other random numbers; on how many altered arguments it was ``tried``; and one in how
        many mutants, ``every``.
    """
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return _judged(exercise, origin, every)


def _judged(exercise: Exercise, origin: Origin, every: int) -> dict:
    own = _with_cases(exercise, exercise.number, exercise.cases)
    others = [_with_cases(exercise, f"{exercise.number} {s}", _seeded(exercise, s)) for s in _SEEDS]
    right = [exercise.answers, *map(all_of, exercise.accepted)]
    others = [other for other in others if all(_passes(other, functions, None) for functions in right)]
    pool = None
    counts, equivalent, survivors, lucky = {"made": 0, "killed": 0}, [], [], []
    seconds = seconds_for(exercise, list(exercise.cases()))
    if not every:
        every = 1 + int(sum(1 for _ in _all_mutants(exercise, origin)) * 4 * (seconds - LITTLE) / 5 / BUDGET)
    for at, (whose, mutant, made) in enumerate(_all_mutants(exercise, origin)):
        if at % every:
            continue
        counts["made"] += 1
        row = [whose, mutant.code.split("\n")[0][:100], mutant.said or mutant.kind]
        try:
            functions = made()
        except Exception:
            counts["killed"] += 1
            continue
        try:
            passed = _passes(own, functions, seconds)
        except TooLong:  # with any numbers
            counts["killed"] += 1
            continue
        if not passed:
            counts["killed"] += 1
            if whose == "answer" and any(_passes_in_time(other, functions, seconds) for other in others):
                lucky.append(row)
            continue
        if not all(_passes_in_time(other, functions, seconds) for other in others):
            survivors.append([*row, "other random numbers"])
            continue
        pool = _pool(exercise, seconds) if pool is None else pool
        where = next((words for words, case, rights in pool if _differs(own, functions, case, rights, seconds)), "")
        if where:
            survivors.append([*row, where])
        else:
            equivalent.append(row)
    found = {"equivalent": equivalent, "survivors": survivors, "lucky": lucky}
    return counts | found | {"tried": len(pool or ()), "every": every}


# --- mutants ----------------------------------------------------------------------------------------------------------


def _all_mutants(exercise: Exercise, origin: Origin) -> Iterator[tuple[str, Mutant, Callable[[], tuple]]]:
    for mutant, made in mutants_of_answer(exercise.answers):
        yield "answer", mutant, made
    listed = origin.settings.get("accepted")
    for at, element in enumerate(getattr(listed, "elts", ())):
        if not isinstance(element, ast.Starred):
            for mutant, made in _mutants_of_expression(element, origin, exercise.answers[0]):
                yield f"accepted {at + 1}", mutant, made


def _mutants_of_expression(element: ast.expr, origin: Origin, answer) -> Iterator[tuple[Mutant, Callable[[], tuple]]]:
    """Yield the mutants of one accepted answer: of its expression, and of the function that it names or calls."""
    parts = element.elts if isinstance(element, ast.Tuple) else [element]
    named = {getattr(part.func if isinstance(part, ast.Call) else part, "id", None) for part in parts}
    made_by = [n for n in origin.needed if isinstance(n, ast.FunctionDef) and n.name in named and not n.decorator_list]
    tree = copy.deepcopy(ast.Module([*made_by, ast.Expr(element)], []))
    namespace = (vars(answer).get("__init__", answer) if isinstance(answer, type) else answer).__globals__

    def made():
        inside = dict(namespace)
        exec(compile(ast.Module(tree.body[:-1], []), "<mutant>", "exec"), inside)
        found = eval(compile(ast.Expression(tree.body[-1].value), "<mutant>", "eval"), inside)
        return all_of(found)

    for mutant in mutants(tree):
        yield mutant, made


# --- cases ------------------------------------------------------------------------------------------------------------


def _with_cases(exercise: Exercise, number: str, cases: Callable) -> _Bare:
    settings = {field.name: getattr(exercise, field.name) for field in dataclasses.fields(exercise)}
    return _Bare(**{**settings, "number": number, "cases": cases})


def _seeded(exercise: Exercise, seed: int) -> Callable[[], list]:
    def cases() -> list:
        with other_seeds(seed):
            return list(exercise.cases())

    return cases


def _passes(exercise: _Bare, functions: tuple, seconds: float | None) -> bool:
    def run() -> bool:
        if exercise.of_values:
            for given in exercise.cases():
                values = functions[0](**given)
                exercise.test(tuple(values) if len(exercise.returns) > 1 else (values,), given)
        else:
            exercise.test(functions, {})
        return True

    try:
        return within(60.0 if seconds is None else 3 * seconds, run)
    except Mistake as mistake:
        if NO_END in str(mistake):
            raise TooLong from None
        return False
    except (Exception, SystemExit):
        return False


def _passes_in_time(exercise: _Bare, functions: tuple, seconds: float) -> bool:
    try:
        return _passes(exercise, functions, seconds)
    except TooLong:
        return False


def _pool(exercise: Exercise, seconds: float) -> list[tuple[str, tuple | Mapping, list]]:
    """Return altered cases in which all right answers agree, and what they give."""
    found, numbers = [], [n for n in constants_in(exercise) if not isinstance(n, str)]
    for case in exercise.cases():
        # a generator may change what it has yielded
        for words, other in altered(copied(case), numbers):
            rights = _agreed(exercise, other, seconds)
            if rights:
                found.append((words, other, rights))
    return found


def _agreed(exercise: Exercise, case, seconds: float) -> list:
    """Return the right outcomes in a case: the answer's, and those of alternatives; none if any fails or differs.

    Answers that are right within a tolerance must agree clearly, and those that draw random numbers with any generator.
    """
    strict = {name: min(value, max(value / 5, 1e-4)) for name, value in exercise.tolerance.items()}
    strict = dataclasses.replace(exercise, tolerance=strict)
    rights = []
    try:
        for at, drawn in enumerate([case, *_with_other_generators(case)]):
            for functions in (exercise.answers, *exercise.alternatives, *exercise.accepted):
                functions = all_of(functions)
                outcome = within(seconds, lambda functions=functions, drawn=drawn: exercise.outcome(functions, drawn))
                if isinstance(outcome, str) or not _finite(outcome):
                    return []
                if not at and (functions == exercise.answers or functions[0] in exercise.alternatives):
                    rights.append(outcome)
                elif _far(strict, outcome, rights):
                    return []
    except FAILURES:
        return []
    return rights


def _with_other_generators(case) -> Iterator:
    if any(isinstance(leaf, np.random.Generator) for leaf in leaves_of(case)):
        for seed in _SEEDS:
            yield replaced(
                case, lambda leaf, s=seed: np.random.default_rng(s) if isinstance(leaf, np.random.Generator) else leaf
            )


def _finite(outcome: Mapping) -> bool:
    """Whether a right answer is one: arguments that lead to NaN ask for something else."""
    return all(np.isfinite(number) for value in outcome.values() for number, _ in leaves(value))


def _far(exercise: Exercise, outcome, rights: list) -> bool:
    return all(exercise.first_difference([outcome], [right]) for right in rights)


def _differs(exercise: Exercise, functions: tuple, case, rights: list, seconds: float) -> bool:
    try:
        return bool(_far(exercise, within(1 + seconds, lambda: exercise.outcome(functions, case)), rights))
    except FAILURES:
        return True
