"""What is said of a mistake that nobody listed.

In this order: what stands in the source and, put right, is all that was wrong; the place of the student's code where
one change makes it right; what the answer gives with one slip in it; how the result is related to the right one; what
has no effect on it; and at last what only looks odd in the source. Nothing is said where too much is possible.
"""

import contextlib
import itertools
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from coursekit.checks import repair, tables
from coursekit.checks.altered import other_seeds, resampled
from coursekit.checks.limits import FAILURES, at_most
from coursekit.checks.reading import Reading, read
from coursekit.checks.relations import no_effect, relations
from coursekit.checks.source import Written
from coursekit.words import capital

__all__ = ["Diagnosis"]


@dataclass
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

    exercise: object
    answer: tuple
    given: Mapping
    written: Written | None
    got: list
    right: list
    at: int
    tries: int

    def certain(self) -> str:
        """Return what stands in the source, if the code without it is right; it comes before any listed mistake."""
        if not self._can_be_run_again:
            return ""
        fixed = (reading for reading in self._readings if reading.fixed is not None)
        return next((reading.sentence for reading in fixed if self._is_right_with(reading.fixed)), "")

    def sure(self) -> str:
        """Return what is known of the whole of a mistake, or ""."""
        failed = isinstance(self.got[self.at], str)
        plain = next((reading.sentence for reading in self._readings if reading.sure), "")
        if failed and (plain or "raised" not in self.got[self.at]):
            return plain
        if self._related and "still missing" in self._related[0]:
            return self._related[0]
        if places := self._repairs():
            return capital(repair.words(places, where=self.tries > 0))
        said, precise = ([], False) if failed else self._due_to
        return _comes_of(said) if precise else plain

    def possible(self) -> str:
        """Return what is known of a part of it, or ""."""
        if self._any_failed:
            return next((r.sentence for r in self._readings if not r.sure and "turn" in r.sentence), "")
        if self._related:
            return " ".join(self._related)
        if said := self._due_to[0]:
            return _comes_of(said)
        return self._without_effect() or next((r.sentence for r in self._readings if r.fixed is None), "")

    # --- inside -------------------------------------------------------------------------------------------------------

    @cached_property
    def _cases(self) -> list:
        return [self.given] if self.exercise.of_values else list(self.exercise.cases())

    @cached_property
    def _any_failed(self) -> bool:
        return any(isinstance(outcome, str) for outcome in self.got)

    @cached_property
    def _can_be_run_again(self) -> bool:
        return self.written is not None and not self.written.leaves_traces

    @cached_property
    def _readings(self) -> list[Reading]:
        if self.written is None:
            return []
        names = self.written.names if not self.written.of_values else ()
        error = self.got[self.at] if isinstance(self.got[self.at], str) else ""
        return list(read(self.written.tree, names, self.written.namespace, error))

    @cached_property
    def _related(self) -> list[str]:
        """Return two sentences at most."""
        if self._any_failed:
            return []
        cases = [tuple(c.values()) if isinstance(c, Mapping) else tuple(c) for c in self._cases]
        found = []
        with contextlib.suppress(Exception), warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            for sentence in itertools.islice(relations(self.got, self.right, cases, self._parameters()), 2):
                found.append(sentence)
        return found

    @cached_property
    def _due_to(self) -> tuple[list[str], bool]:
        return tables.due_to(self.exercise, self.got)

    def _parameters(self) -> list[str]:
        if self.exercise.of_values:
            return list(self.given)
        code = getattr(self.exercise.answers[0], "__code__", None)
        return list(code.co_varnames[: code.co_argcount]) if code is not None else []

    def _repairs(self) -> list[repair.Place]:
        if not self._can_be_run_again:
            return []
        start = time.thread_time()
        with contextlib.suppress(*FAILURES), at_most(repair.AT_MOST):
            self.exercise.outcome(self.written.functions(), self._cases[self.at])
        took = time.thread_time() - start
        others, expected = self._other_cases()
        order = [self.at, *(i for i in range(len(self._cases)) if i != self.at)]
        cases, rights = [self._cases[i] for i in order], [self.right[i] for i in order]
        return repair.places_to_repair(
            self.written,
            lambda functions: self._all_same(functions, cases, rights),
            lambda functions: self._all_same(functions, others, expected),
            took,
            tables.constants_in(self.exercise),
        )

    def _is_right_with(self, tree) -> bool:
        changed = replace(self.written, tree=tree)
        return repair.works(changed, lambda functions: self._all_same(functions, self._cases, self.right))

    def _all_same(self, functions: tuple, cases: list, rights: list) -> bool:
        """Whether the first case that is asked, and then each of the others, has the right outcome."""
        return all(
            self.exercise.first_difference([self.exercise.outcome(functions, case)], [right]) is None
            for case, right in zip(cases, rights, strict=True)
        )

    def _other_cases(self) -> tuple[list, list]:
        """Return cases with other numbers, and what is right there."""
        if self.exercise.of_values:
            others = [resampled(self.given)]
        else:
            with other_seeds():
                others = list(self.exercise.cases())
        expected = self.exercise.outcomes(self.exercise.answers, others)
        kept = [(case, right) for case, right in zip(others, expected, strict=True) if not isinstance(right, str)]
        return [case for case, _ in kept], [right for _, right in kept]

    def _without_effect(self) -> str:
        if self.exercise.of_values or self.exercise.observe or not self._can_be_run_again:
            return ""
        run, reference = (
            lambda case, functions=functions: self.exercise.outcome(functions, case)
            for functions in (self.answer, self.exercise.answers)
        )
        with contextlib.suppress(*FAILURES), at_most(repair.AT_MOST):
            return next(no_effect(run, reference, tuple(self._cases[self.at]), self._parameters()), "")
        return ""


def _comes_of(said: list[str]) -> str:
    return f"This is what comes out when {', or when '.join(said)}."
