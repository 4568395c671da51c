"""What mutants of the answers tell, ``lessons/*/mutants.json``, and the command that writes it."""

import ast
import itertools
import json

import numpy as np
import pytest
from typer.testing import CliRunner

from coursekit.checks import tables
from coursekit.checks.altered import altered
from coursekit.checks.exercise import Exercise, find
from coursekit.checks.origins import Origin, origins
from coursekit.checks.survivors import judged
from coursekit.cli import app
from coursekit.mutants import BEGIN, END, PAGE, page, record
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
        assert counts["killed"] > counts["made"] / 3


def same(one, other):
    """Whether two tables say the same of the same results; rounding differs from machine to machine."""
    return len(one) == len(other) and all(
        any(row[0] == kept[0] and tables.alike(tuple(row[1]), tuple(kept[1])) for kept in other) for row in one
    )


def judged_again(number, entry):
    fresh = record(number, every=entry["mutants"]["every"])
    assert same(fresh["table"], entry["table"]), number
    assert fresh["mutants"] == entry["mutants"], number


@pytest.mark.parametrize("number", ["2.2", "3.2", "5.2"])
def test_quick_exercises_are_judged_again(number):
    judged_again(number, kept(next(x for x in LESSONS if x.name[:2] == f"{number[0]:0>2}"))[number])


@pytest.mark.long
@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.name)
def test_every_exercise_is_judged_again(lesson):
    for number, entry in kept(lesson).items():
        judged_again(number, entry)


def test_the_page_has_the_numbers_of_the_files(root):
    assert (root / PAGE).read_text(encoding="utf-8") == page(root), "run `coursekit build --mutants`"


# --- how it is done ---------------------------------------------------------------------------------------------------


def above(x, cut):
    return (x > cut).sum()


NUMBERS = itertools.count(1)  # what an answer gives in the cases of its exercise is worked out once for each number
BOUNDARY = "the boundary itself counts to the other side"


def judge(*cases, accepted="[]", **settings):
    """Judge the exercise to count what lies above a cut."""
    origin = Origin({"accepted": ast.parse(accepted, mode="eval").body}, (), "")
    settings |= {"returns": ("the number",), "accepted": tuple(eval(accepted, globals()))}
    return judged(Exercise(f"99.{next(NUMBERS)}", "a number", (above,), lambda: cases, (), (), **settings), origin)


def test_a_case_that_is_missing_is_found():
    numbers = np.array([0.5, 1.5, 2.5, 3.5])
    found = judge((numbers, 2.0))
    assert ["answer", "x > cut", BOUNDARY] in [row[:3] for row in found["survivors"]]
    closed = judge((numbers, 2.0), (np.array([1.0, 2, 2, 3]), 2.0))
    assert BOUNDARY not in [row[2] for row in closed["survivors"]]
    assert closed["killed"] > found["killed"]


def test_mutants_of_other_right_answers_are_judged_too():
    numbers = np.array([0.5, 1.5, 2.5, 3.5])
    found = judge((numbers, 2.0), accepted="[lambda x, cut: np.count_nonzero(x > cut)]")
    assert ["accepted 1", "x > cut"] in [row[:2] for row in found["survivors"]]


def test_arguments_for_which_right_answers_differ_tell_nothing():
    # the second counts what lies on the cut: both are called right, so the cut is no question of this exercise
    found = judge((np.array([0.5, 1.5, 2.5, 3.5]), 2.0), accepted="[lambda x, cut: (x >= cut).sum()]")
    assert not [row for row in found["survivors"] if row[2] == BOUNDARY]


def test_a_mutant_that_is_killed_by_these_numbers_alone_is_named():
    def cases():
        yield np.random.default_rng(3).integers(0, 30, 9), 17

    right = Exercise("98.2", "a number", (above,), cases, (), (), returns=("the number",))
    assert (next(cases())[0] == 17).any()
    assert "x > cut" in [row[1] for row in judged(right, Origin({}, (), ""))["lucky"]]


def test_one_in_several_mutants_can_be_judged():
    case = (np.array([1.0, 2, 2, 3]), 2.0)
    exercise = Exercise("98.3", "a number", (above,), lambda: [case], (), (), returns=("the number",))
    all_of_them, some = (judged(exercise, Origin({}, (), ""), every)["made"] for every in (1, 3))
    assert some == -(-all_of_them // 3)


def test_altered_arguments_leave_the_case_as_it_is():
    case = ([np.arange(6.0), np.arange(12).reshape(6, 2)], {"cut": 2.5, "names": "ab"}, True)
    before = json.dumps(case, default=np.ndarray.tolist)
    words = [words for words, _ in altered(case)]
    assert json.dumps(case, default=np.ndarray.tolist) == before
    assert {"no rows", "ties", "a number equal to 2.5", "the other truth value", "5 in the place of 2.5"} <= set(words)


SOURCE = """
from coursekit.checks import exercise

SIZE = 3

def numbers():
    return range(SIZE)

@exercise("1.1", "a", cases=lambda: [(n,) for n in numbers()], hints=("A hint.",), mistakes={})
def first(x):
    return x + 1

@exercise("1.2", "b", cases=lambda: [(1,)], hints=(), mistakes={})
def second(x):
    return first(x) - 1
"""


@pytest.mark.parametrize(
    ("old", "new", "stale"),
    [
        ("A hint.", "Another hint.", set()),
        ("return range", "return  range", set()),
        ("SIZE = 3", "SIZE = 4", {"1.1"}),
        ("[(1,)]", "[(2,)]", {"1.2"}),
        ("x + 1", "1 + x", {"1.1", "1.2"}),
    ],
)
def test_a_table_is_stale_when_what_it_is_made_from_has_changed(tmp_path, old, new, stale):
    digests = []
    for text in (SOURCE, SOURCE.replace(old, new)):
        (tmp_path / "exercises.py").write_text(text, encoding="utf-8")
        digests.append({number: origin.digest for number, origin in origins(tmp_path / "exercises.py").items()})
    assert {number for number in digests[0] if digests[0][number] != digests[1][number]} == stale


# --- the command ------------------------------------------------------------------------------------------------------


def build(clone, *options):
    return CliRunner().invoke(app, ["build", "--mutants", "--root", str(clone), *options])


def test_the_command_writes_the_file_and_the_page(clone):
    (clone / "docs").mkdir()
    (clone / PAGE).write_text(f"# Toy\n{BEGIN}\n{END}\nend\n", encoding="utf-8")
    first = build(clone)
    assert first.exit_code == 0, first.output
    path = clone / "lessons" / "01_toy" / tables.FILE
    text = path.read_text(encoding="utf-8")
    records = json.loads(text)
    assert list(records) == ["1.1", "1.2"]
    counts = records["1.2"]["mutants"]
    assert f"| 1.2 | {counts['made']} | {counts['killed']} |" in (clone / PAGE).read_text(encoding="utf-8")
    assert f"{counts['made']}" in first.output
    said = [words for row in records["1.2"]["table"] for words in row[0]]
    assert "the standard deviation is left out" in said
    assert not any("centred" in words for words in said), "a table shows nothing of the answer"
    build(clone)
    assert path.read_text(encoding="utf-8") == text, "two builds write the same"


def test_what_does_not_go_with_mutants_is_refused(clone):
    refused = build(clone, "--full")
    assert refused.exit_code == 1
    assert "--mutants writes lessons/*/mutants.json: it takes --root and --jobs, and no more" in refused.output
