"""What is said of a mistake that nobody listed: the student's code is read, repaired, and its result compared."""

import linecache

import numpy as np
import pytest

from coursekit.checks import engine
from coursekit.checks import exercise as register

CELLS = [0]


@pytest.fixture(autouse=True)
def one_exercise(no_exercises):
    """A lesson 99 with a weighted count above a threshold, of which no mistake is listed."""

    def cases():
        rng = np.random.default_rng(1)
        for n in (40, 60):
            score = np.round(rng.random(n), 1)
            yield score, rng.integers(0, 3, n), rng.exponential(2.0, n), 0.5

    settings = {"cases": cases, "hints": ("Look.",), "mistakes": {}}

    @register("99.1", "the weighted count", returns=("the count",), **settings)
    def counted(score, kind, weights, cut):
        return weights[(score >= cut) & (kind != 1) & (kind != 2)].sum() / weights.sum()

    @register(
        "99.2", "the angle", returns=("the angle",), **settings | {"cases": lambda: [(np.array([3.0, -3.0]), 3.0)]}
    )
    def turned(phi, by):
        return (phi - by + np.pi) % (2 * np.pi) - np.pi


def said(capsys, number, code, tries=1):
    """Run a cell as a notebook does, check what it defines, and return what is said at the last try."""
    CELLS[0] += 1
    name = f"<ipython-input-{CELLS[0]}>"
    linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
    namespace = {"np": np, "weights": np.ones(3), "__name__": "__main__"}
    exec(compile(code, name, "exec"), namespace)
    function = namespace["counted" if number == "99.1" else "turned"]
    for _ in range(tries):
        capsys.readouterr()
        engine.check(number, function)
    return capsys.readouterr().out


def counted(body):
    return f"def counted(score, kind, weights, cut):\n    {body}\n"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (
            "return weights[(score > cut) & (kind != 1) & (kind != 2)].sum() / weights.sum()",
            "`score > cut`: the comparison",
        ),
        (
            "return weights[(score >= cut) & (kind != 1) & (kind != 2)].mean() / weights.sum()",
            "another function belongs",
        ),
        (
            "return weights[(score >= 0.6) & (kind != 1) & (kind != 2)].sum() / weights.sum()",
            "this value is built in, where an argument",
        ),
        ("return score[(score >= cut) & (kind != 1) & (kind != 2)].sum() / weights.sum()", "another quantity belongs"),
        ("return -weights[(score >= cut) & (kind != 1) & (kind != 2)].sum() / weights.sum()", "a minus sign"),
    ],
)
def test_the_place_of_a_slip_is_named_at_the_second_try(capsys, body, words):
    first, second = (said(capsys, "99.1", counted(body), tries) for tries in (1, 1))
    assert "the rest is right" in first
    engine._attempts.clear()
    assert words in said(capsys, "99.1", counted(body), 2), second
    assert "(the count is" in second


def test_the_replacement_is_never_said(capsys):
    text = said(
        capsys, "99.1", counted("return weights[(score > cut) & (kind != 1) & (kind != 2)].sum() / weights.sum()"), 2
    )
    assert ">=" not in text


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("return weights[score >= cut & (kind != 1) & (kind != 2)].sum() / weights.sum()", "binds more tightly"),
        ("return weights[(score >= cut) & ((kind != 1) | (kind != 2))].sum() / weights.sum()", "is always true"),
        ("print(weights[(score >= cut) & (kind != 1) & (kind != 2)].sum() / weights.sum())", "prints its result"),
        ("n = weights[(score >= cut) & (kind != 1) & (kind != 2)].sum() / weights.sum()", "has no `return`"),
        ("if score >= cut:\n        return 1", "`if` wants one"),
    ],
)
def test_what_stands_in_the_source_is_read(capsys, body, words):
    assert words in said(capsys, "99.1", counted(body))


def test_a_variable_of_the_notebook_is_no_argument(capsys):
    code = "def counted(score, kind, w, cut):\n    return weights[0] * (score >= cut).sum()\n"
    assert "`weights` is a variable of the notebook. Use the argument `w`" in said(capsys, "99.1", code)


def test_a_wrap_that_is_missing_is_named(capsys):
    text = said(capsys, "99.2", "def turned(phi, by):\n    return phi - by\n", 2)
    assert "is not wrapped" in text


def test_code_that_leaves_traces_is_not_run_again(capsys, tmp_path):
    path = tmp_path / "made"
    code = f"def turned(phi, by):\n    open({str(path)!r}, 'a').write('x')\n    return phi - by\n"
    said(capsys, "99.2", code, 2)
    assert path.read_text(encoding="utf-8") == "x" * 2, "once a check and case"


def test_an_endless_repair_is_left(capsys):
    code = "def turned(phi, by):\n    i = 0\n    while i < 1:\n        i += 1\n    return phi + by\n"
    assert "[NOT YET]" in said(capsys, "99.2", code, 2)


def test_an_answer_without_source_gets_the_plain_difference(capsys):
    namespace = {"np": np}
    exec("def turned(phi, by):\n    return phi * 0.3", namespace)
    engine.check("99.2", namespace["turned"])
    assert "is wrong in" in capsys.readouterr().out


def test_what_the_answer_prints_is_printed_once_a_call_and_not_by_what_is_tried_again(capsys):
    code = "def turned(phi, by):\n    print('here')\n    return phi - by\n"
    text = said(capsys, "99.2", code, 2)
    assert text.count("here") == 1
    assert "is not wrapped" in text
