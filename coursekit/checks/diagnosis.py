"""What is said of a mistake that nobody listed.

In this order: what stands in the source and, put right, is all that was wrong; the place of the student's code where
one change makes it right; what the answer gives with one slip in it; how the result is related to the right one; what
has no effect on it; and at last what only looks odd in the source. Nothing is said where too much is possible.
"""

import contextlib
import itertools
import time
import warnings
from collections.abc import Callable, Iterator, Mapping

import awkward as ak
import numpy as np

from coursekit.checks import repair, tables
from coursekit.checks.limits import TooLong, at_most
from coursekit.checks.reading import Reading, read
from coursekit.checks.relations import no_effect, relations
from coursekit.checks.source import Written

__all__ = ["Diagnosis"]


class Diagnosis:
    """What there is to say about one wrong answer.

    Parameters
    ----------
    exercise : coursekit.checks.exercise.Exercise
    answer : tuple
        The student's functions, or the values.
    given : mapping
        What the values were made from.
    written : Written or None
        The student's code, where it is known.
    got, right : list
        The outcomes of all cases.
    at : int
        The first case that is wrong.
    tries : int
        How many times this exercise has been tried before.
    """

    def __init__(
        self,
        exercise,
        answer: tuple,
        given: Mapping,
        written: Written | None,
        got: list,
        right: list,
        at: int,
        tries: int,
    ):
        self.exercise, self.answer, self.given, self.written = exercise, answer, given, written
        self.got, self.right, self.at, self.tries = got, right, at, tries
        self.cases = [given] if exercise.of_values else list(exercise.cases())
        self.readings: list[Reading] = []
        if written is not None:
            names = written.names if not written.of_values else ()
            error = got[at] if isinstance(got[at], str) else ""
            self.readings = list(read(written.tree, names, written.namespace, error))

    def certain(self) -> str:
        """Return what stands in the source, if the code without it is right; it comes before any listed mistake."""
        for reading in self.readings:
            if reading.fixed is not None and self._is_right_with(reading.fixed):
                return reading.sentence
        return ""

    def sure(self) -> str:
        """Return what is known of the whole of a mistake, or ""."""
        failed = isinstance(self.got[self.at], str)
        plain = next((reading.sentence for reading in self.readings if reading.sure), "")
        if failed and (plain or "raised" not in self.got[self.at]):
            return plain
        related = "" if any(isinstance(outcome, str) for outcome in self.got) else next(self._related(), "")
        if "still missing" in related:
            return related
        if self.written is not None and (places := self._repairs()):
            return _capital(repair.words(places, where=self.tries > 0))
        said, precise = ([], False) if failed else tables.due_to(self.exercise, self.got)
        return _comes_of(said) if precise else plain

    def possible(self) -> str:
        """Return what is known of a part of it, or ""."""
        if any(isinstance(outcome, str) for outcome in self.got):
            return next((r.sentence for r in self.readings if not r.sure and "turn" in r.sentence), "")
        found = list(itertools.islice(self._related(), 2))
        if found:
            return " ".join(found)
        said, _ = tables.due_to(self.exercise, self.got)
        if said:
            return _comes_of(said)
        return self._without_effect() or next((r.sentence for r in self.readings if r.fixed is None), "")

    # --- inside -------------------------------------------------------------------------------------------------------

    def _related(self) -> Iterator[str]:
        cases = [tuple(c.values()) if isinstance(c, Mapping) else tuple(c) for c in self.cases]
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            yield from relations(self.got, self.right, cases, self._parameters())

    def _parameters(self) -> list[str]:
        if self.exercise.of_values:
            return list(self.given)
        code = getattr(self.exercise.answers[0], "__code__", None)
        return list(code.co_varnames[: code.co_argcount]) if code is not None else []

    def _repairs(self) -> list[repair.Place]:
        if self.written.leaves_traces:
            return []
        start = time.thread_time()
        with contextlib.suppress(Exception, TooLong, SystemExit), at_most(repair.AT_MOST):
            self._outcome(self.written.functions(), self.cases[self.at])
        took = time.thread_time() - start
        others, expected = self._other_cases()
        order = [self.at, *(i for i in range(len(self.cases)) if i != self.at)]

        def right(functions: tuple) -> bool:
            return all(self._same(functions, self.cases[i], self.right[i]) for i in order)

        def confirmed(functions: tuple) -> bool:
            return self._all_same(lambda: functions, others, expected)

        return repair.places_to_repair(self.written, right, confirmed, took, tables.constants_in(self.exercise))

    def _is_right_with(self, tree) -> bool:
        if self.written.leaves_traces:
            return False
        changed = Written(self.written.text, tree, self.written.names, self.written.namespace, self.written.of_values)
        try:
            with at_most(repair.AT_MOST):  # one call, which a limit can end on every Python
                return self._all_same(changed.functions, self.cases, self.right)
        except (Exception, TooLong, SystemExit):
            return False

    def _outcome(self, functions: tuple, case):
        return self.exercise._outcome(functions, case)

    def _all_same(self, made: Callable, cases: list, rights: list) -> bool:
        functions = made()
        return all(self._same(functions, case, right) for case, right in zip(cases, rights, strict=True))

    def _same(self, functions: tuple, case, right) -> bool:
        return self.exercise._first_difference([self._outcome(functions, case)], [right]) is None

    def _other_cases(self) -> tuple[list, list]:
        """Return cases with other numbers, and what is right there."""
        if self.exercise.of_values:
            others = [_resampled(self.given)]
        else:
            with _other_seeds():
                others = list(self.exercise.cases())
        expected = self.exercise._outcomes(self.exercise.answers, others)
        kept = [(case, right) for case, right in zip(others, expected, strict=True) if not isinstance(right, str)]
        return [case for case, _ in kept], [right for _, right in kept]

    def _without_effect(self) -> str:
        if self.exercise.of_values or self.exercise.observe or self.written is None or self.written.leaves_traces:
            return ""

        def outcome(functions: tuple) -> Callable:
            return lambda case: self._outcome(functions, case)

        try:
            with at_most(repair.AT_MOST):
                case = tuple(self.cases[self.at])
                found = no_effect(outcome(self.answer), outcome(self.exercise.answers), case, self._parameters())
                return next(found, "")
        except (Exception, TooLong, SystemExit):
            return ""


@contextlib.contextmanager
def _other_seeds() -> Iterator[None]:
    """Let every generator that is made with a seed inside have another one."""
    made = np.random.default_rng
    np.random.default_rng = lambda seed=None: made(seed if seed is None or not isinstance(seed, int) else seed + 7919)
    try:
        yield
    finally:
        np.random.default_rng = made


def _resampled(given: Mapping) -> dict:
    """Return arrays with other rows, drawn from their own, the same rows in all that are equally long."""
    rng = np.random.default_rng(7919)
    rows: dict[int, np.ndarray] = {}
    other = {}
    for name, value in given.items():
        long = isinstance(value, np.ndarray | ak.Array) and getattr(value, "ndim", 0) > 0 and len(value) > 1
        other[name] = value[rows.setdefault(len(value), rng.integers(0, len(value), len(value)))] if long else value
    return other


def _comes_of(said: list[str]) -> str:
    return f"This is what comes out when {', or when '.join(said)}."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
