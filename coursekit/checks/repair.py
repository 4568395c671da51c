"""Where the student's own code goes wrong: the one place where a change makes it right.

Nothing has to be known of the exercise but its cases and its answer. What is said is the place and the kind of the
change, never the change itself.
"""

import ast
import time
import warnings
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from coursekit.checks.kinds import shortened
from coursekit.checks.limits import FAILURES, at_most, with_memory
from coursekit.checks.mutation import KINDS, RANK, mutants
from coursekit.checks.source import Written

__all__ = ["Place", "places_to_repair", "words", "works"]

#: Seconds of processor time for all tries, of a quick and of a slow answer; by the clock, on a busy machine, so many
#: times more. The longest that one try may take, and how many times longer than the student's own code. Few tries of a
#: slow answer would find what comes first, not what is likely: at least so many must fit.
BUDGET, SLOW_BUDGET, BUSY, AT_MOST, LONGER, AT_LEAST = 0.35, 1.5, 2.5, 1.0, 5, 60
MEMORY = 1_000_000_000  # bytes that a try may take
_PLAIN = [kind for kind in KINDS if not kind.startswith("missing")]


class Place(NamedTuple):
    """A place of the student's code, and the kind of change, a key of `KINDS`, that makes it right there."""

    kind: str
    line: int
    code: str


def places_to_repair(
    written: Written,
    right: Callable[[tuple], bool],
    confirmed: Callable[[tuple], bool],
    took: float,
    constants: tuple = (),
) -> list[Place]:
    """Return the places, two at most, where one change makes an answer right; none when there are more, or none.

    Parameters
    ----------
    written : Written
        The student's code.
    right : callable
        Whether functions, as `Written.functions` returns them, are right in the cases of the exercise.
    confirmed : callable
        The same with other numbers; asked only where the first says yes.
    took : float
        Seconds that the student's own code takes.
    constants : tuple, optional
        Numbers and short texts of the answer, tried in the place of the student's.
    """
    budget = BUDGET if took < BUDGET / AT_LEAST else SLOW_BUDGET
    if took * AT_LEAST > budget:
        return []
    found, seen, start, began = [], set(), time.thread_time(), time.monotonic()
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for mutant in mutants(written.tree, repairing=True, constants=constants):
            if time.thread_time() - start > budget or time.monotonic() - began > BUSY * budget:
                break
            place = Place(*mutant[:3])
            if place not in seen and works(written, right, LONGER * took + 0.05) and works(written, confirmed):
                seen.add(place)
                found.append(place)
    return _chosen(found, written.tree)


def works(written: Written, right: Callable[[tuple], bool], seconds: float = AT_MOST) -> bool:
    """Whether the functions that changed code makes are right, within a limit of time and memory."""
    try:
        with at_most(seconds), with_memory(MEMORY):
            return right(written.functions())
    except FAILURES:  # a changed program may do anything
        return False


def _chosen(found: list[Place], tree: ast.Module) -> list[Place]:
    """Reduce the places to those worth saying; none if there are more than two.

    What may be missing can be added in many places that come to the same. If all are in one statement, this is the
    place; beside a plain change they count only if they are few.
    """
    if any(place.line and place.kind in _PLAIN for place in found):  # then it need not be changed in many places
        found = [place for place in found if place.line]
    plain = _apart([place for place in found if place.kind in _PLAIN])
    missing = _apart([place for place in found if place.kind not in _PLAIN])
    missing = [place for place in missing if len(_apart([*plain, place])) > len(plain)]
    if len(missing) > 2 and len({(place.kind, _statement(tree, place.line)) for place in missing}) == 1:
        missing = [missing[0]._replace(code=_statement(tree, missing[0].line))]
    if len(plain) + len(missing) <= 2:
        return plain + missing
    return plain if len(plain) == 1 else []


def _apart(places: list[Place]) -> list[Place]:
    """Keep one place of several that lie in each other, the one with the likeliest kind."""
    kept = []
    for place in sorted(places, key=_rank):
        if not any(
            place.line == other.line and (place.code in other.code or other.code in place.code) for other in kept
        ):
            kept.append(place)
    return kept


def _rank(place: Place) -> tuple:
    return RANK[place.kind], len(place.code)


def _statement(tree: ast.Module, line: int) -> str:
    """Return the innermost statement at a line, its first line alone."""
    there = [n for n in ast.walk(tree) if isinstance(n, ast.stmt) and n.lineno <= line <= n.end_lineno]
    return ast.unparse(min(there, key=lambda n: n.end_lineno - n.lineno)).split("\n")[0] if there else ""


def words(places: list[Place], *, where: bool) -> str:
    """Say what to look at; where it is only if asked for, so that there is something left to find at the first try."""
    return " Or ".join(_sentences(places, where))


def _sentences(places: list[Place], where: bool) -> Iterator[str]:
    if not where:
        for kind in dict.fromkeys(place.kind for place in places):
            yield f"in one place of your code {KINDS[kind].replace(' here', '')}; the rest is right."
        return
    for place in places:
        code = shortened(place.code, 60)
        at = f"line {place.line}, `{code}`" if place.line else f"`{code}`, wherever it stands"
        yield f"look at {at}: {KINDS[place.kind]}; the rest is right."
