"""What mutants of the answers tell, ``lessons/*/mutants.json``, and the command that writes it."""

import json

import pytest

from coursekit.checks import tables
from coursekit.checks.exercise import find
from coursekit.checks.origins import origins
from coursekit.mutants import PAGE, page, record
from tests.conftest import LESSONS


def kept(lesson):
    return json.loads((lesson / tables.FILE).read_text(encoding="utf-8"))


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.name)
def test_each_table_is_made_from_its_exercise_as_it_is(lesson):
    now = {number: origin.digest for number, origin in origins(lesson / "exercises.py").items()}
    made_from = {number: entry["made_from"] for number, entry in kept(lesson).items()}
    assert made_from == now, "run `coursekit build --mutants`"
    assert (lesson / tables.FILE).stat().st_size <= 80_000


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.name)
def test_no_mutant_passes_that_a_case_could_tell_from_the_answer(lesson):
    for number, entry in kept(lesson).items():
        counts = entry["mutants"]
        assert not counts["surviving"], f"{number} needs another case: {counts['surviving'][0]}"
        explained = {f"{row[0]}: {row[1]}" for row in counts["harmless"]}
        assert explained == set(find(number).harmless), "a reason for what does not survive"
        dead = counts["killed"] + counts["equivalent"]
        assert counts["made"] >= dead
        assert counts["killed"] > counts["made"] / 2


def same(one, other):
    """Whether two tables say the same of the same results; rounding differs from machine to machine."""
    return len(one) == len(other) and all(
        any(row[0] == kept[0] and tables.alike(tuple(row[1]), tuple(kept[1])) for kept in other) for row in one
    )


def rebuilt(lesson):
    for number, entry in kept(lesson).items():
        fresh = record(number, every=entry["mutants"]["every"])
        assert same(fresh["table"], entry["table"]), number
        assert fresh["mutants"] == entry["mutants"], number


def test_a_quick_lesson_is_judged_again():
    rebuilt(next(lesson for lesson in LESSONS if lesson.name.startswith("03")))


@pytest.mark.long
@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.name)
def test_every_lesson_is_judged_again(lesson):
    rebuilt(lesson)


def test_the_page_has_the_numbers_of_the_files(root):
    assert (root / PAGE).read_text(encoding="utf-8") == page(root), "run `coursekit build --mutants`"
