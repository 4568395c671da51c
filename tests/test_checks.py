"""The engine behind check, hint, or_reference and progress, and how an exercise tells the mistakes apart."""

from types import SimpleNamespace

import awkward as ak
import numpy as np
import pandas as pd
import pytest

from coursekit.checks import call, engine, fail
from coursekit.checks import exercise as register
from coursekit.checks.exercise import exercises_of


@pytest.fixture(autouse=True)
def own_exercises(no_exercises):
    """A lesson 99 with one exercise of values and one of a function."""

    @register(
        "99.1",
        "the mean of x",
        cases=lambda: [{"x": X}],
        returns=("the mean",),
        hints=("Add up.", "Divide."),
        mistakes={"This is the sum.": lambda *, x: x.sum()},
    )
    def mean(*, x):
        return x.mean()

    @register(
        "99.2",
        "a function that doubles",
        cases=lambda: [(np.arange(3.0),)],
        returns=("double(x)",),
        hints=("Twice.",),
        mistakes={"This is the square.": lambda x: x**2},
    )
    def double(x):
        return 2 * x


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
        ("three", "the mean should be a number; what came is text ('three')"),
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
    course = {"__name__": "coursekit_lessons.toy"}
    exec("def observe(function):\n    return {'it': function([1, 2]) + 1}", course)
    settings = {"cases": lambda: [()], "observe": course["observe"], "hints": (), "mistakes": {}}
    register("99.3", "anything", **settings)(lambda x: x[0])
    text = said(capsys, "99.3", str)
    assert text == (
        "[NOT YET] 99.3 anything: the check could not work with the class str "
        '(TypeError: can only concatenate str (not "int") to str).\n'
    )


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


# --- telling mistakes apart -------------------------------------------------------------------------------------------


def two_things(mistakes, **settings):
    def both(x):
        return x.sum(), x.max()

    cases = {"cases": lambda: [(np.arange(3.0),), (np.array([-5.0]),)], "returns": ("the sum", "the largest")}
    register("99.4", "two things", **cases, hints=(), mistakes=mistakes, **settings)(both)


def test_who_makes_the_whole_mistake_is_named_before_who_shares_a_part(capsys):
    two_things(
        {
            "The sum is 0.": lambda x: (0, x.max()),
            "Both are 0.": lambda x: (0, 0),
            "This is a seventh.": lambda x: (x.sum() / 7, x.max()),
            "Negative numbers are lost.": lambda x: (x.sum(), max(x.max(), 0)),
            "The sum is 0 where it is large.": lambda x: (0 if x.sum() > 0 else x.sum(), x.max()),
        }
    )
    for answer, words in (
        (lambda x: (0, x.max()), "The sum is 0. ("),
        (lambda x: (0, 0), "Both are 0. (the sum is 0, expected 3.)"),
        (lambda x: (x.sum(), max(x.max(), 0)), "Negative numbers are lost. (the largest is 0, expected -5.)"),
        (lambda x: (0 if x.sum() > 0 else x.sum(), x.max()), "The sum is 0 where it is large."),
        (lambda x: (x.sum() / 7, 77), "This is a seventh. ("),  # its first part alone
        (lambda x: (99, 99), "the sum is 99, expected 3."),
        (lambda x: 7, "both should return the sum and the largest; what came is 7."),
        (lambda x: "no", "both should return the sum and the largest; what came is 'no'."),
    ):
        assert words in said(capsys, "99.4", answer), words


def test_an_error_that_a_mistake_raises_is_named(capsys):
    two_things({"There is no third entry.": lambda x: (x[7], x.max())})
    text = said(capsys, "99.4", lambda x: (x[7] + 0, 1))
    assert "There is no third entry. (both raised IndexError" in text
    assert "raised ZeroDivisionError" in said(capsys, "99.4", lambda x: (1 / 0, 1))


def test_another_right_result_is_accepted(capsys):
    two_things({}, alternatives=[lambda x: (x.sum(), x.max() + 1)])
    assert said(capsys, "99.4", lambda x: (x.sum(), 1 + x.max())).startswith("[PASS]")
    assert said(capsys, "99.4", lambda x: (x.sum() + 1, 1 + x.max())).startswith("[NOT YET]")


def test_what_is_observed_is_compared_by_name(capsys):
    def observe(make):
        layers = call(make, 3)
        if not layers:
            fail("There are no layers.")
        return {"the number of layers": len(layers), "the widths": layers}

    cases = {"cases": lambda: [()], "returns": (), "observe": observe, "hints": ()}
    mistakes = {
        "The last layer is missing.": lambda n: [n],
        "There are no layers": lambda n: [],
        "A number is no list.": lambda n: n[0],
    }
    register("99.5", "a network", **cases, mistakes=mistakes)(lambda n: [n, 1])
    assert said(capsys, "99.5", lambda n: [n, 1]).startswith("[PASS]")
    text = said(capsys, "99.5", lambda n: [n])
    assert "The last layer is missing. (the number of layers is 1, expected 2.)" in text
    assert "the widths[1] is 2, expected 1." in said(capsys, "99.5", lambda n: [n, 2])
    assert said(capsys, "99.5", lambda n: []).startswith("[NOT YET] 99.5 a network: There are no layers.")

    def by_another_name(n):
        return n[0]

    assert "A number is no list. (by_another_name raised TypeError" in said(capsys, "99.5", by_another_name)


def test_several_functions_are_one_answer(capsys):
    def up(x):
        return x + 1

    def down(x):
        return x - 1

    def both(up, down, x):
        return call(up, x), call(down, x)

    settings = {"cases": lambda: [(3.0,)], "returns": ("up", "down"), "observe": both, "hints": ()}
    register("99.6", "up and down", **settings, mistakes={"They are exchanged.": (down, up)})(up, down)
    assert said(capsys, "99.6", up, down).startswith("[PASS]")
    assert "They are exchanged." in said(capsys, "99.6", down, up)
    assert engine.or_reference("99.6", down, ...) == (up, down)
    capsys.readouterr()
    assert said(capsys, "99.6", up, empty).startswith("[TODO]")


def test_or_reference_does_not_test_again_what_was_just_checked(capsys):
    tried = []

    def counted(x):
        tried.append(1)
        return 2 * x

    engine.check("99.2", counted)
    n = len(tried)
    assert engine.or_reference("99.2", counted) is counted
    assert len(tried) == n
    engine.check("99.2", counted)  # a check always tests: a function that it calls may have been mended
    assert len(tried) > n


# --- what is not an exercise ------------------------------------------------------------------------------------------

RIGHT = {"cases": lambda: [()], "returns": ("it",), "hints": ("One.",), "mistakes": {"No.": lambda: 2}}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"hints": "one"}, r"hints of exercise 99\.7 should be a tuple; what came is 'one'"),
        ({"returns": "the array"}, "returns of exercise"),
        ({"accepted": max}, "accepted of exercise 99.7 should be a list; what came is the function max"),
        ({"cases": [()]}, "cases of exercise"),
        ({"mistakes": [("No.", max)]}, "mistakes of exercise"),
        ({"hint": ("One.",)}, r"no setting 'hint'; did you mean 'hints'\? it has accept"),
    ],
)
def test_a_wrong_setting_is_named(changed, words):
    with pytest.raises(TypeError, match=words):
        register("99.7", "one", **RIGHT | changed)(lambda: 1)


def test_a_number_belongs_to_one_exercise_and_a_missing_setting_is_named():
    with pytest.raises(ValueError, match=r"exercise 99\.1 is there twice"):
        register("99.1", "one", **RIGHT)(lambda: 1)
    with pytest.raises(TypeError, match=r"99\.7 needs mistakes="):
        register("99.7", "one", **{name: value for name, value in RIGHT.items() if name != "mistakes"})(lambda: 1)


def test_an_exercise_of_another_lesson_is_refused(tmp_path, monkeypatch):
    folder = tmp_path / "lessons" / "98_toy"
    folder.mkdir(parents=True)
    code = "from coursekit.checks import exercise\n"
    code += 'exercise("97.1", "g", cases=list, hints=(), mistakes={}, returns=("it",))(lambda: 1)\n'
    (folder / "exercises.py").write_text(code, encoding="utf-8")
    monkeypatch.setenv("COURSEKIT_ROOT", str(tmp_path))
    with pytest.raises(ValueError, match=r"exercises\.py has exercise 97\.1, which belongs to another lesson"):
        exercises_of(98)


def test_what_the_values_were_made_from_is_asked_for(capsys):
    assert "check also needs what the values were made from: x=x." in said(capsys, "99.1", 3.0)


def test_too_little_memory_says_nothing_about_an_answer():
    def answer(*_, **__):
        raise MemoryError

    found = SimpleNamespace(number="1.1", test=answer)
    with pytest.raises(MemoryError):
        engine.run_check(found, (1.5,), {})
