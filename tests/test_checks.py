"""The engine behind check, hint, or_reference and progress."""

import awkward as ak
import numpy as np
import pandas as pd
import pytest

from coursekit.checks import engine


@pytest.fixture(autouse=True)
def own_exercises(monkeypatch):
    """A lesson 99 with one value and one function exercise."""
    monkeypatch.setattr(engine, "_exercises", {})
    monkeypatch.setattr(engine, "_attempts", {})
    monkeypatch.setattr(engine, "_handed_out", {})
    monkeypatch.delenv("COURSEKIT_BUILD", raising=False)

    @engine.exercise("99.1", "the mean of x", hints=("Add up.", "Divide."), reference=lambda *, x: x.mean())
    def _(mean, *, x):
        engine.expect_close("the mean", mean, x.mean(), mistakes={"This is the sum.": x.sum()})

    @engine.exercise("99.2", "a function that doubles", hints=("Twice.",), reference=lambda: lambda x: 2 * x)
    def _(double):
        engine.expect_close("double(x)", engine.call(double, np.arange(3.0), name="double"), [0.0, 2.0, 4.0])


X = np.array([1.0, 2.0, 6.0])


def said(capsys, *args, **kwargs):
    assert engine.check(*args, **kwargs) is None
    return capsys.readouterr().out


def test_a_right_answer_passes(capsys):
    assert said(capsys, "99.1", 3.0, x=X) == "[PASS] 99.1 the mean of x\n"
    assert said(capsys, "99.1", np.float32(3), x=X).startswith("[PASS]")
    assert said(capsys, "99.2", lambda x: x + x) == "[PASS] 99.2 a function that doubles\n"


def empty(): ...


def documented(x):
    """Only a docstring."""


def started(x):
    y = 2 * x  # noqa: F841


@pytest.mark.parametrize("answer", [..., empty, documented, lambda x: ...], ids=["dots", "body", "docstring", "lambda"])
def test_an_untouched_answer_is_to_do(capsys, answer):
    text = said(capsys, "99.2", answer)
    if answer is ... or answer.__name__ != "<lambda>":
        assert text.startswith("[TODO] 99.2 a function that doubles")
    else:  # returning the dots is an answer, and a wrong one
        assert text.startswith("[NOT YET]")
    assert "[PASS]" not in text


def test_a_known_mistake_is_named_with_the_values(capsys):
    text = said(capsys, "99.1", 9.0, x=X)
    assert text.startswith("[NOT YET] 99.1 the mean of x: This is the sum. (the mean is 9, expected 3.)")


def test_each_wrong_try_brings_one_more_hint(capsys):
    texts = [said(capsys, "99.1", 9.0, x=X) for _ in range(3)]
    assert "Hint 1 of 2: Add up." in texts[0]
    assert "Hint 2 of 2: Divide." in texts[1]
    assert "Hint 2 of 2: Divide." in texts[2]


def test_hint_gives_the_next_and_says_when_there_are_no_more(capsys):
    for expected in ("Hint 1 of 2", "Hint 2 of 2", "all 2 hints", "Hint 1 of 2"):
        engine.hint("99.1")
        assert expected in capsys.readouterr().out


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, "forget a `return`"),
        ("three", "should be 3; what came is 'three'"),
        (np.array([3.0, 3.0]), "has shape (2,), expected ()"),
        (float("nan"), "nan, expected 3"),
        (ak.Array([[1], [2, 3]]), "awkward array"),
        ({"mean": 3}, "dict"),
        (object, "the class object"),
    ],
)
def test_odd_values_are_described(capsys, answer, words):
    text = said(capsys, "99.1", answer, x=X)
    assert text.startswith("[NOT YET] 99.1")
    assert words in text


def in_place(x):
    x *= 2
    return x


def broken(x):
    return x + undefined_name  # noqa: F821


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (started, "returned None. Did you forget a `return`?"),
        (in_place, "changes its input in place"),
        (broken, "raised NameError: name 'undefined_name' is not defined"),
        (np.arange(3.0), "should be a function"),
        (lambda: 3, "raised TypeError"),
        (lambda x: x, "double(x) is wrong in 2 of 3 entries, first at [1]: 1, expected 2."),
        (lambda x: 2 * x[:2], "has shape (2,), expected (3,)"),
        (lambda x: 2 * x / [0, 1, 1] if x.any() else x, "contains 1 NaN, expected 0"),
        (lambda x: [0, 2, 4], "are right, but they come as a list; the lesson goes on with a NumPy array"),
        (lambda x: pd.Series(2 * x), "come as a Series"),
        (lambda x: np.take(x, 7), "size 3 at `(lambda x: np.take(x, 7)"),
    ],
)
def test_functions_that_misbehave_are_told_how(capsys, function, words):
    text = said(capsys, "99.2", function)
    assert text.startswith("[NOT YET] 99.2")
    assert words in text


def test_a_stumbling_check_is_no_crash_for_the_student(capsys):
    @engine.exercise("99.3", "anything", hints=(), reference=lambda: 1)
    def _(answer):
        raise RuntimeError("unforeseen")

    text = said(capsys, "99.3", 5)
    assert text == "[NOT YET] 99.3 anything: the check could not work with 5 (RuntimeError: unforeseen).\n"


def test_unknown_exercises_are_named(capsys):
    assert 'no exercise "99.7". The exercises of this lesson are 99.1, 99.2' in said(capsys, "99.7", 1)
    assert "There is no lesson 77" in said(capsys, "77.1", 1)
    engine.hint("99.7")
    assert "no exercise" in capsys.readouterr().out


def test_a_build_insists_on_pass(capsys, monkeypatch):
    monkeypatch.setenv("COURSEKIT_BUILD", "1")
    engine.check("99.1", 3.0, x=X)
    for answer in (9.0, ...):
        with pytest.raises(engine.CheckFailed, match=r"99\.1 the mean of x"):
            engine.check("99.1", answer, x=X)
    with pytest.raises(engine.CheckFailed, match="no exercise"):
        engine.check("99.7", 1)


def test_or_reference_keeps_a_right_answer_and_replaces_others(capsys):
    answer = np.float32(3)
    assert engine.or_reference("99.1", answer, x=X) is answer
    assert capsys.readouterr().out == ""
    for wrong in (..., 9.0, None):
        assert engine.or_reference("99.1", wrong, x=X) == 3.0
        assert "reference answer" in capsys.readouterr().out
    assert engine.or_reference("99.2", empty)(4) == 8


def test_the_reference_answer_is_not_taken_for_the_students(capsys):
    # the exercise cell raised an error, or was not run again: the name still holds what or_reference put there
    mean = engine.or_reference("99.1", ..., x=X)
    double = engine.or_reference("99.2", empty)
    capsys.readouterr()
    for _ in range(2):
        assert said(capsys, "99.1", mean, x=X).startswith(
            "[TODO] 99.1 the mean of x: this is still the reference answer"
        )
        assert said(capsys, "99.2", double).startswith("[TODO] 99.2")
    assert engine.or_reference("99.2", double)(4) == 8
    capsys.readouterr()
    assert said(capsys, "99.1", X.mean(), x=X).startswith("[PASS]")
    assert said(capsys, "99.2", lambda x: 2 * x).startswith("[PASS]")


def test_a_number_for_the_name_of_an_exercise_is_understood(capsys):
    engine.hint(99.1)
    engine.check(99.1, 3.0, x=X)
    engine.progress()
    assert "99.1  [PASS]" in capsys.readouterr().out


def test_or_reference_counts_no_try(capsys):
    engine.or_reference("99.1", 9.0, x=X)
    engine.check("99.1", 3.0, x=X)
    capsys.readouterr()
    engine.progress()
    assert "99.1  [PASS]     tries 1" in capsys.readouterr().out


def test_progress_lists_the_exercises_of_the_lesson(capsys):
    engine.progress()
    assert "No exercise" in capsys.readouterr().out
    engine.check("99.1", 9.0, x=X)
    engine.check("99.1", 3.0, x=X)
    capsys.readouterr()
    engine.progress()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["99.1", "[PASS]", "tries", "2", "the", "mean", "of", "x"]
    assert lines[1].split()[:4] == ["99.2", "[TODO]", "tries", "0"]
    assert lines[2] == "1 of 2 exercises solved."


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3, "3"),
        (True, "True"),
        (np.bool_(False), "False"),
        (np.float32(2.5), "2.5"),
        (np.array(1.5), "1.5"),
        (np.arange(5), "an array of shape (5,) and dtype int64 [0, 1, 2, ...]"),
        ("name", "'name'"),
        (["a"] * 60, "list ['a', "),
    ],
)
def test_describe(value, text):
    assert engine.describe(value).startswith(text)
    assert len(engine.describe(value)) < 140


def test_expect_equal_knows_frames_arrays_and_nested_containers():
    frame = pd.DataFrame({"a": [1, 2]})
    engine.expect_equal("it", {"a": [np.arange(2), frame]}, {"a": [np.arange(2), frame.copy()]})
    for value in (None, {"a": [np.arange(3), frame]}, [np.arange(2), frame]):
        with pytest.raises(engine.Mistake):
            engine.expect_equal("it", value, {"a": [np.arange(2), frame]})
    with pytest.raises(engine.Mistake, match="swapped"):
        engine.expect_equal("it", ["b", "a"], ["a", "b"], mistakes={"They are swapped.": ["b", "a"]})
