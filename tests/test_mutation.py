"""Mutants of programs, and how a wrong result is related to the right one."""

import ast

import numpy as np
import pytest

from coursekit.checks.mutation import KINDS, mutants
from coursekit.checks.relations import no_effect, relations
from coursekit.checks.tables import alike, fingerprint

PROGRAM = """
import numpy as np

def counted(score, weights, cut=0.5):
    '''Not a mutant of its docstring.'''
    passed = (score >= cut) & ~np.isnan(score)
    total = 0.0
    for i in range(len(score)):
        if passed[i]:
            total += weights[i] * 2
    return total / np.sum(weights, axis=0) - np.pi
"""


def made(**how):
    tree = ast.parse(PROGRAM)
    return [(mutant, ast.unparse(tree)) for mutant in mutants(tree, **how)]


def test_the_program_is_as_it_was_afterwards():
    tree = ast.parse(PROGRAM)
    before = ast.dump(tree)
    for _ in mutants(tree, repairing=True, constants=(3, "x")):
        compile(tree, "<mutant>", "exec")
    assert ast.dump(tree) == before


def test_each_mutant_is_another_program_of_a_known_kind_with_its_line():
    for mutant, text in made(repairing=True):
        assert text != ast.unparse(ast.parse(PROGRAM)), mutant
        assert mutant.kind in KINDS or mutant.kind == "late", mutant
        assert not mutant.line or mutant.code.split("\n")[0][:12] in PROGRAM.replace("'''", '"""'), mutant


@pytest.mark.parametrize(
    "line",
    [
        "passed = (score > cut) & ~np.isnan(score)",
        "passed = (score >= cut) | ~np.isnan(score)",
        "passed = (score >= cut) & np.isnan(score)",
        "total = weights[i] * 2",
        "total += weights[i] / 2",
        "total += weights[i]",
        "return total / np.mean(weights, axis=0) - np.pi",
        "return total / np.sum(weights, axis=1) - np.pi",
        "return total / np.sum(weights) - np.pi",
        "return total / np.sum(weights, axis=0) - 2 * np.pi",
        "return total / (np.sum(weights, axis=0) - np.pi)",
        "for i in range(1, len(score)):",
    ],
)
def test_a_usual_slip_is_among_them(line):
    assert any(line in text for _, text in made())


def test_what_is_missing_is_looked_for_only_in_a_repair():
    line = "weights[i] * 2 * cut"
    assert any(line in text for _, text in made(repairing=True))
    assert not any(line in text for _, text in made())


RIGHT = np.array([[0.5, -1.25, 2.0], [3.5, 0.75, -4.0]])
COLUMN = np.array([0.5, -1.25, 2.0, 3.5, 7.0])


@pytest.mark.parametrize(
    ("got", "right", "words"),
    [
        (-RIGHT, RIGHT, "The sign is turned round"),
        (abs(RIGHT), RIGHT, "The sign is lost"),
        (RIGHT.T, RIGHT, "Rows and columns are exchanged"),
        (2 * RIGHT, RIGHT, "It is twice the right value"),
        (3.7 * RIGHT, RIGHT, "All values are 3.7 times the right ones"),
        (RIGHT + 1.5, RIGHT, "All values are too large by 1.5"),
        (5 * COLUMN, COLUMN, "too large by a factor of the length of `x`"),
        (COLUMN / np.sqrt(5), COLUMN, "too small by a factor of the square root of the length of `x`"),
        (np.sort(COLUMN), COLUMN, "The entries are sorted"),
        (COLUMN[[1, 0, 3, 4, 2]], COLUMN, "in another order"),
        (COLUMN[:-1], COLUMN, "The last entry is missing"),
        (COLUMN.sum(), COLUMN, "This is the sum of the right values"),
        (COLUMN, COLUMN.sum(), "the sum is still missing"),
        (np.arange(5.0), COLUMN, "`x` comes back as it was"),
        (np.where(COLUMN == 0.5, 9, COLUMN), COLUMN, "All is right but the first entry"),
        (np.where(np.arange(5) == 4, 9, COLUMN), COLUMN, "All is right but the last entry"),
        (np.zeros(5), COLUMN, "There is 0 everywhere"),
    ],
)
def test_a_relation_is_found_in_numbers(got, right, words):
    with np.errstate(all="ignore"):
        found = list(relations([{"it": got}], [{"it": right}], [(np.arange(5.0), 3)], ["x", "n"]))
    assert words in (found[0] if found else ""), found


def test_exchanged_parts_are_named():
    outcome = {"the mean": 1.5, "the spread": 2.5}
    found = list(relations([{"the mean": 2.5, "the spread": 1.5}], [outcome], [(1,)], ["x"]))
    assert found == ["The spread and the mean are exchanged."] or found == ["The mean and the spread are exchanged."]


def test_an_edge_is_named():
    x = np.array([0.1, 0.5, 0.5, 0.9, 0.3])
    got, right = (x > 0.5).astype(float), (x >= 0.5).astype(float)
    found = list(relations([{"it": got}], [{"it": right}], [(x, 0.5)], ["x", "cut"]))
    assert found == ["It is wrong exactly where `x` is equal to `cut`."]


def test_an_argument_without_effect_is_named():
    found = no_effect(lambda case: {"it": case[0]}, lambda case: {"it": case[0] * case[1]}, (2.5, 3.0), ["x", "n"])
    assert list(found) == ["`n` has no effect on your result: whatever is passed, the same comes out."]


def test_a_fingerprint_knows_a_function_by_its_name():
    one, other = ([{"it": RIGHT, "that": function}] for function in (made, lambda: None))
    assert fingerprint(one) == fingerprint([{"it": RIGHT, "that": _again(made)}])
    assert not alike(fingerprint(one), fingerprint(other))


def _again(function):
    return type(function)(function.__code__, function.__globals__, function.__name__)


def test_fingerprints_tell_results_apart_and_forgive_rounding():
    one = fingerprint([{"it": RIGHT, "that": [1, 2]}])
    assert alike(one, fingerprint([{"it": RIGHT * (1 + 1e-9), "that": [1, 2]}]))
    assert not alike(one, fingerprint([{"it": RIGHT.T, "that": [1, 2]}]))
    assert not alike(one, fingerprint([{"it": RIGHT[::-1], "that": [1, 2]}]))
    assert fingerprint(["it raised"]) is None
    assert fingerprint([{"it": np.zeros(5)}]) is None
