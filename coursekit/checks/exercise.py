"""An exercise is data, a mistake is a function.

A lesson's ``exercises.py`` says what is asked, the arguments to try, the right answer, and the mistakes that people
make, each a sentence and a function that makes it. A student's answer is called on the same arguments as all of these,
and told the sentence of the mistake whose result it has. `coursekit.checks.engine` is what the student calls.
"""

import contextlib
import importlib.util
import inspect
import io
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field, fields
from functools import partial

from coursekit.checks.compare import Mistake, agree, call, describe, difference, telling
from coursekit.checks.errors import NO_END, PATIENCE, endless, explained, students_line
from coursekit.checks.kinds import shortened, unfit
from coursekit.checks.limits import TooLong, at_most
from coursekit.checks.memory import unset_memory_shows
from coursekit.lesson import lesson_folder
from coursekit.words import listed, near

__all__ = ["Exercise", "all_of", "exercise", "exercises_of", "find", "forget"]


def _directly(function: Callable, *arguments):
    return function(*arguments)


@dataclass(frozen=True)
class Exercise:
    """One exercise; the fields are the arguments of `exercise`, whose decorated function is the answer."""

    number: str
    goal: str
    answers: tuple[Callable, ...]
    cases: Callable[[], Iterable[tuple | Mapping]]
    hints: tuple[str, ...]
    mistakes: tuple[tuple[str, Callable | tuple[Callable, ...]], ...]
    returns: tuple[str, ...] = ()
    accepted: tuple[Callable | tuple[Callable, ...], ...] = ()
    alternatives: tuple[Callable, ...] = ()
    observe: Callable | None = None
    demands: tuple[Callable, ...] = ()
    tolerance: Mapping[str, float] = field(default_factory=dict)
    accept: tuple[type, ...] = ()
    harmless: Mapping[str, str] = field(default_factory=dict)

    @property
    def of_values(self) -> bool:
        """Whether the notebook computes values, ``check("1.2", mean, mtw1=mtw1)``, and does not write a function."""
        return bool(self._needs())

    def _needs(self) -> set[str]:
        """Return the names of what values are made from."""
        parameters = inspect.signature(self.answers[0]).parameters.values()
        return {parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}

    def reference(self, given: Mapping):
        """Return the right answer: one thing, or a tuple of several."""
        if self.of_values:
            return self.answers[0](**given)
        return self.answers[0] if len(self.answers) == 1 else self.answers

    def test(self, answer: tuple, given: Mapping, written: Callable = lambda: None, tries: int = 0) -> None:
        """Raise `Mistake`, with the name of the mistake where it is known, unless the answer is right.

        `written` returns the student's code, or None, and is called only if the answer is wrong; `tries` is how many
        times it has been tried before.
        """
        with warnings.catch_warnings():  # of arguments that the student cannot see, and of the mistakes themselves
            warnings.simplefilter("ignore")
            self._test(answer, given, written, tries)

    def _test(self, answer: tuple, given: Mapping, written: Callable, tries: int) -> None:
        if missing := self._needs() - given.keys():
            raise Mistake(f"check also needs what the values were made from: {', '.join(f'{n}={n}' for n in missing)}.")
        cases = [given] if self.of_values else None
        rights = [self._worked_out(self.answers, cases)]
        got = [self._by_name(answer[0] if len(answer) == 1 else answer)] if self.of_values else self._tried(answer)
        if wrong := self.first_difference(got, rights[0]):
            rights += [self._worked_out(all_of(one), cases) for one in self.alternatives]
        kept = partial(self._kept_between_calls, answer, rights)
        if wrong and all(self.first_difference(got, right) for right in rights):
            diagnosis = partial(self._diagnosis, answer, given, written, tries)
            raise Mistake(self._named(*wrong, got, rights[0], cases, kept, diagnosis))
        if self.of_values:
            return
        if sentence := kept():
            raise Mistake(sentence)
        with unset_memory_shows():
            for arguments in self.cases():
                for demand in self.demands:
                    self._within_time(demand, *answer, *arguments)

    def _tried(self, functions: tuple) -> list[dict | str]:
        """Return the outcomes of a student's functions, called once a case; of one that does not end, once in all."""
        outcomes = []
        for case in self.cases():
            ended = not (outcomes and NO_END in outcomes[-1])
            outcomes.append(self.outcome(functions, case, self._within_time) if ended else outcomes[-1])
        return outcomes

    def _within_time(self, function: Callable, *arguments):
        """Call what calls the student's functions, which may not take for ever."""
        try:
            with at_most(max(PATIENCE, 5 * _seconds.get(self.number, 0))):
                return function(*arguments)
        except TooLong as late:  # in a function that is not called by `call`
            raise Mistake(endless(self.answers[0].__name__, (), late)) from None

    def _kept_between_calls(self, answer: tuple, rights: list) -> str:
        """Say so if the first case, which was right, is not when it is tried again."""
        again = [self.outcome(answer, next(iter(self.cases())), self._within_time)]
        differences = [self.first_difference(again, right[:1]) for right in rights]
        if not all(differences):
            return ""
        return (
            "The first call was right; a second one with the same arguments is not. Something is kept from call to "
            "call: in a global variable, in a list or dictionary that is the default of an argument, or in a cache. "
            f"({differences[0][2]})"
        )

    def first_difference(self, got: list, right: list) -> tuple[int, str, str] | None:
        """Return the case, the name of the part, and what is different."""
        for case, (outcome, expected) in enumerate(zip(got, right, strict=True)):
            if isinstance(expected, str):
                raise RuntimeError(f"the answer of {self.number} in the course fails: {expected}")
            if isinstance(outcome, str):
                return case, "", outcome
            for what in expected:
                if text := difference(what, outcome[what], expected[what], **self.tolerance, accept=self.accept):
                    return case, what, text
        return None

    def _named(self, case: int, what: str, text: str, got: list, right: list, cases: list | None, kept, diagnosis):
        """Return the sentence of the mistake that was made, with what was different; else only the latter."""
        listed, rank = self._listed(case, what, text, got, right, cases)
        if rank and case and (sentence := kept()):
            return sentence
        odd = what and unfit(got[case][what]) and not unfit(right[case][what])
        best = listed
        if not (what and (odd or agree(got[case][what], right[case][what], **self.tolerance))):
            # A check that cannot explain is still a check; and what is tried again shall not print again.
            with contextlib.suppress(Exception, TooLong), contextlib.redirect_stdout(io.StringIO()):
                found = diagnosis(got, right, case)
                best = found.certain() or (listed if rank == 0 else "") or found.sure() or listed or found.possible()
        return text if best in text else f"{best} ({text})"

    def _diagnosis(self, answer: tuple, given: Mapping, written: Callable, tries: int, got: list, right: list, at: int):
        from coursekit.checks.diagnosis import Diagnosis  # here, since only a wrong answer needs it

        return Diagnosis(self, answer, given, written(), got, right, at, tries)

    def _listed(self, case: int, what: str, text: str, got: list, right: list, cases: list | None) -> tuple[str, int]:
        """Return the sentence of a mistake in the list, and how much of its result was met: 0 is all, 3 nothing.

        Who makes the whole mistake, in all cases, is named before who shares one case, or a part of it that cannot be
        by chance. Right numbers of another kind, an array in the place of a tensor, have the name of exactly this
        mistake or none.
        """
        only_kind = what and agree(got[case][what], right[case][what], **self.tolerance)
        best, rank = "", 3
        for sentence, functions in self.mistakes:
            made = self._worked_out(all_of(functions), cases)
            if only_kind:
                found = 0 if self.first_difference(made, right) == (case, what, text) else 3
            elif all(map(self._agree, got, made)):
                found = 0
            elif self._agree(got[case], made[case]) and (not what or telling(list(got[case].values()))):
                found = 1
            elif what and self._shares(what, case, got, made):
                found = 2
            else:
                found = 3
            if found < rank:
                best, rank = sentence, found
            if found == 0:
                break
        return best, rank

    def _shares(self, what: str, case: int, got: list, made: list) -> bool:
        """Whether the first part that is wrong agrees with a mistake's, there or, if chance can do that, everywhere."""
        both = [
            not isinstance(one, str)
            and not isinstance(other, str)
            and what in one
            and what in other
            and agree(one[what], other[what], **self.tolerance)
            for one, other in zip(got, made, strict=True)
        ]
        return both[case] and (telling(got[case][what]) or all(both))

    def _agree(self, one: dict | str, other: dict | str) -> bool:
        if isinstance(one, str) or isinstance(other, str):  # errors: of which function, and where, does not matter
            aside = re.compile(
                r"^\S+ (?=raised|changes|ends|was)|(\. The error came)? at `.*|\.$|_\d+\b|0x[0-9a-f]+", re.DOTALL
            )
            return aside.sub("", str(one)) == aside.sub("", str(other))
        return all(agree(one[what], other[what], **self.tolerance) for what in other)

    def outcomes(self, functions: tuple, cases: list | None = None) -> list[dict | str]:
        """Return, for each case, what the functions return, by name, or the words for why they do not."""
        return [self.outcome(functions, case) for case in (self.cases() if cases is None else cases)]

    def _worked_out(self, functions: tuple, cases: list | None) -> list[dict | str]:
        """Return the outcomes of functions of the course; once, since to build a network takes its time."""
        if cases is not None:
            return self.outcomes(functions, cases)
        if (self.number, functions) not in _outcomes_of:
            start = time.monotonic()
            _outcomes_of[self.number, functions] = self.outcomes(functions)
            if functions == self.answers:
                _seconds[self.number] = time.monotonic() - start
        return _outcomes_of[self.number, functions]

    def outcome(self, functions: tuple, case: tuple | Mapping, within: Callable = _directly) -> dict | str:
        try:
            with unset_memory_shows():
                return within(self._observed, functions, case)
        except Mistake as mistake:
            return str(mistake)
        except MemoryError:  # says nothing about the answer
            raise
        except (Exception, SystemExit, KeyboardInterrupt) as error:
            if students_line(error):
                return explained(self.answers[0].__name__, error)
            if isinstance(error, KeyboardInterrupt):
                raise
            # A test that stumbles over an answer of an unforeseen kind must not look like a crash of the course.
            came = ", ".join(map(describe, functions))
            return f"the check could not work with {came} ({type(error).__name__}: {shortened(str(error))})."

    def _observed(self, functions: tuple, case: tuple | Mapping) -> dict:
        if self.of_values:
            return self._by_name(functions[0](**case))
        if self.observe:
            return self._by_name(self.observe(*functions, *case))
        return self._by_name(call(functions[0], *case, name=self.answers[0].__name__))

    def _by_name(self, value) -> dict:
        if not self.returns:
            return dict(value)  # `observe` has named them
        values = (value,) if len(self.returns) == 1 else value
        try:
            if isinstance(values, Mapping | Set | str | bytes | Iterator):
                raise TypeError("these can be unpacked, but are one thing; and a generator is empty the second time")
            return dict(zip(self.returns, values, strict=True))
        except (TypeError, ValueError):
            name = self.answers[0].__name__
            came = unfit(value) if isinstance(value, Iterator | Set) else describe(value)
            raise Mistake(f"{name} should return {' and '.join(self.returns)}; what came is {came}.") from None


def exercise(number: str, goal: str, **settings) -> Callable:
    """Register the decorated function as the answer of exercise `number`.

    What the solution notebook shows is the body of this very function. One with keyword-only arguments stands for
    values that the notebook computes: ``def mean_and_std(*, mtw1)`` returns what ``check("1.2", mean, std,
    mtw1=mtw1)`` is given. Several functions are registered with ``exercise("10.7", ...)(first, second)``.

    Parameters
    ----------
    number : str
        Lesson and exercise, ``"1.2"``.
    goal : str
        What the answer is, in a few words: "mean and standard deviation of mtw1".
    cases : callable
        Returns, or yields, the arguments to try, edge cases among them: a tuple each, the same at every call; for
        values, a mapping of the check's keyword arguments.
    returns : tuple of str
        A name for each thing that is returned: "the mean".
    hints : tuple of str
        One more is shown each time the answer is wrong, or with `hint`; from gentle to plain.
    mistakes : mapping from str to callable
        The sentence to the student, and a function that makes this mistake, written as a student would write it. The
        sentence may also be a few words of what a demand, `observe` or `call` says, or of an error.
    accepted : list of callable
        The same answer in other idioms, which the tests give to the check.
    alternatives : list of callable
        Answers with another result that is right as well, such as a variance divided by N - 1.
    observe : callable, optional
        ``observe(function, *arguments)`` returns what is compared, where that is not what the function returns: the
        layers of a network, the batches of a generator. A mapping from names, or as many values as `returns` has. It
        may `fail`, and is done with the right answer and with the mistakes just as with the student's.
    demands : list of callable
        ``demand(function, *arguments)`` looks at a right answer in each case, and may `fail`: see
        `coursekit.checks.demands`.
    tolerance : mapping
        ``rtol`` and ``atol`` of `coursekit.checks.compare.difference`.
    accept : tuple of type
        As there.
    harmless : mapping
        Code that may be another without the check noticing, behind the answer that it stands in, ``"answer: n - 1"``
        or ``"accepted 2: n - 1"``, and why nobody is misled; see `coursekit.checks.survivors`.
    """

    def register(*answers: Callable) -> Callable:
        if number in _exercises:
            raise ValueError(f"exercise {number} is there twice; a number belongs to one exercise")
        _check_settings(number, settings)
        mistakes = tuple(settings["mistakes"].items())
        _exercises[number] = Exercise(number, goal, answers, **{**settings, "mistakes": mistakes})
        return answers[0]

    return register


def _check_settings(number: str, settings: Mapping) -> None:
    known = {field.name for field in fields(Exercise)} - {"number", "goal", "answers"}
    for name in settings.keys() - known:
        raise TypeError(f"exercise {number} has no setting {name!r};{near(name, known)} it has {listed(sorted(known))}")
    for name in {"cases", "hints", "mistakes"} - settings.keys():
        raise TypeError(f"exercise {number} needs {name}=, see coursekit.checks.exercise")
    kinds = dict.fromkeys(("hints", "returns", "accept"), tuple) | dict.fromkeys(("accepted", "alternatives"), list)
    kinds |= dict.fromkeys(("harmless", "mistakes", "tolerance"), Mapping)
    kinds |= {"demands": list, "cases": Callable, "observe": Callable}
    for name, value in settings.items():
        if not isinstance(value, kinds[name]):
            kind = kinds[name].__name__.lower()
            raise TypeError(f"{name} of exercise {number} should be a {kind}; what came is {describe(value)}")


_exercises: dict[str, Exercise] = {}
#: What answers and mistakes of the course give in the cases of their exercise.
_outcomes_of: dict[tuple[str, tuple[Callable, ...]], list[dict | str]] = {}
#: Seconds that the answer of the course takes in all cases of its exercise.
_seconds: dict[str, float] = {}


def forget() -> None:
    """Forget what answers and mistakes of the course give: whoever could write into it would have changed the check."""
    _outcomes_of.clear()
    _seconds.clear()


def exercises_of(lesson: int | str) -> list[Exercise]:
    """Return the exercises of a lesson in their order; none for a lesson that does not exist."""
    path = lesson_folder(lesson) / "exercises.py"
    name = f"coursekit_lessons.{path.parent.name}"
    if name not in sys.modules and path.is_file():
        spec = importlib.util.spec_from_file_location(name, path)
        sys.modules[name], before = importlib.util.module_from_spec(spec), set(_exercises)
        try:
            spec.loader.exec_module(sys.modules[name])
        except BaseException:
            del sys.modules[name]
            for number in [number for number in _exercises if number not in before]:
                del _exercises[number]
            raise
        if strange := [number for number in _exercises if number not in before and _lesson(number) != int(lesson)]:
            raise ValueError(f"{path} has exercise {strange[0]}, which belongs to another lesson")
    found = [other for number, other in _exercises.items() if _lesson(number) == int(lesson)]
    return sorted(found, key=lambda other: int(other.number.split(".")[1]))


def find(number: str) -> Exercise:
    """Return an exercise by its number.

    Raises
    ------
    LookupError
        When there is none; says which there are.
    """
    lesson = number.split(".")[0]
    known = [other.number for other in exercises_of(lesson)] if lesson.isdigit() else []
    if number not in known:
        there = f"The exercises of this lesson are {', '.join(known)}." if known else f"There is no lesson {lesson}."
        raise LookupError(f'There is no exercise "{number}". {there}')
    return _exercises[number]


def _lesson(number: str) -> int:
    return int(number.split(".")[0])


def all_of(functions) -> tuple:
    """Return what stands for an answer as the tuple of its functions."""
    return functions if isinstance(functions, tuple) else (functions,)
