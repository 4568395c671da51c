"""Every sentence about a mistake is said to who makes it, and every accepted answer passes the public check."""

import ast
import dataclasses
import inspect
import os

import pytest

from coursekit.checks import compare, engine, tables
from coursekit.checks.exercise import exercises_of
from coursekit.checks.reading import read
from tests.conftest import LESSONS

EXERCISES = [found for lesson in LESSONS for found in exercises_of(lesson.name[:2])]
#: Where `fail` was called while the mistakes were made, by file and line.
_failed = set()


@pytest.fixture(autouse=True)
def as_a_student(monkeypatch):
    """No build; attempts of its own; and a note of each place that calls `fail`."""
    monkeypatch.delenv("COURSEKIT_BUILD", raising=False)
    monkeypatch.setattr(engine, "_attempts", {})
    monkeypatch.setattr(engine, "_handed_out", {})
    created = compare.Mistake.__init__

    def noted(self, *arguments):
        frame = inspect.currentframe().f_back
        while frame is not None:
            _failed.add((frame.f_code.co_filename, frame.f_lineno))
            frame = frame.f_back
        created(self, *arguments)

    monkeypatch.setattr(compare.Mistake, "__init__", noted)


#: The mistakes that have been made, by exercise and function.
_made = set()


def said(capsys, exercise, answer):
    """What the check says to an answer: a function, several, or the function that computes the values."""
    answers = answer if isinstance(answer, tuple) else (answer,)
    given = {}
    if exercise.of_values:
        given = next(iter(exercise.cases()))
        result = answer(**given)
        answers = result if len(exercise.returns) > 1 else (result,)
    engine.check(exercise.number, *answers, **given)
    return capsys.readouterr().out


def told(capsys, exercise, mistake):
    """What is said to a mistake, without the hint."""
    _made.add((exercise.number, mistake))
    return said(capsys, exercise, mistake).split("\nHint")[0]


def by_number(exercises, what):
    return [
        pytest.param(exercise, *entry, id=f"{exercise.number}-{i}")
        for exercise in exercises
        for i, entry in enumerate(what(exercise))
    ]


@pytest.mark.parametrize(("exercise", "sentence", "mistake"), by_number(EXERCISES, lambda e: e.mistakes))
def test_each_mistake_is_told_its_sentence(capsys, exercise, sentence, mistake):
    text = told(capsys, exercise, mistake)
    assert text.startswith(f"[NOT YET] {exercise.number} "), text
    assert sentence in text
    assert "the check could not work" not in text


@pytest.mark.parametrize(
    ("exercise", "answer"), by_number(EXERCISES, lambda e: [(e.answers if len(e.answers) > 1 else e.answers[0],)])
)
def test_the_answer_passes(capsys, exercise, answer):
    assert said(capsys, exercise, answer).startswith("[PASS]")


@pytest.mark.parametrize(("exercise", "answer"), by_number(EXERCISES, lambda e: [(a,) for a in e.accepted]))
def test_each_accepted_answer_passes(capsys, exercise, answer):
    text = said(capsys, exercise, answer)
    assert text.startswith("[PASS]"), text


@pytest.mark.parametrize(("exercise", "answer"), by_number(EXERCISES, lambda e: [(a,) for a in e.alternatives]))
def test_an_alternative_is_right_and_another_result(capsys, exercise, answer):
    assert said(capsys, exercise, answer).startswith("[PASS]")
    with pytest.raises(compare.Mistake):
        dataclasses.replace(exercise, alternatives=()).test((answer,), {})


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.number)
def test_an_exercise_is_complete(exercise):
    sentences = [sentence for sentence, _ in exercise.mistakes]
    assert len(set(sentences)) == len(sentences) >= 3, "an exercise needs three mistakes that people make"
    assert exercise.hints, "an exercise needs a hint"
    assert exercise.accepted, "an exercise needs another right answer, in another idiom"


@pytest.mark.parametrize("exercise", [e for e in EXERCISES if not e.of_values], ids=lambda e: e.number)
def test_nothing_is_read_into_a_right_answer(exercise):
    tree, namespace = tables.answer_tree(exercise.answers)
    names = tuple(node.name for node in tree.body if isinstance(node, ast.FunctionDef))
    assert not [reading.sentence for reading in read(tree, names, namespace) if reading.sure]


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.name)
def test_each_sentence_of_a_test_is_said(capsys, lesson):
    """No `fail` in an ``exercises.py`` that no mistake reaches; the numbers are printed with ``-s``."""
    path = lesson / "exercises.py"
    exercises = exercises_of(lesson.name[:2])
    for exercise in exercises:
        for _, mistake in exercise.mistakes:
            if (exercise.number, mistake) not in _made:  # by this worker
                told(capsys, exercise, mistake)
    calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    fails = [node for node in calls if isinstance(node.func, ast.Name) and node.func.id == "fail"]
    silent = [
        f"{path}:{node.lineno}"
        for node in fails
        if not any((os.fspath(path), line) in _failed for line in range(node.lineno, node.end_lineno + 1))
    ]
    n_mistakes = sum(len(exercise.mistakes) for exercise in exercises)
    with capsys.disabled():
        print(
            f"\n{lesson.name}: {len(exercises)} exercises, {n_mistakes} mistakes named, "
            f"{sum(len(exercise.accepted) for exercise in exercises)} other right answers accepted"
        )
    assert not silent, f"no mistake leads here: {', '.join(silent)}"
