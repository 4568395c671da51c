"""What no check may pass, nor stumble over: odd kinds of values, calls that do not end, luck, memory between calls."""

import functools
import sys
import time
from decimal import Decimal
from fractions import Fraction

import awkward as ak
import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

from coursekit.checks import call, compare, demands, engine, errors, memory
from coursekit.checks import exercise as register
from coursekit.checks.exercise import Exercise


@pytest.fixture(autouse=True)
def own_exercises(no_exercises):
    """A lesson 99 with one function, tried in two cases."""
    ask()


def ask(number="99.1", answer=lambda x: 2 * x, **settings):
    cases = {"cases": lambda: [(np.arange(3.0),), (np.arange(4.0),)], "returns": ("double(x)",)}
    register(number, "twice", **{**cases, "hints": (), "mistakes": {}, **settings})(answer)


def said(capsys, *answers, number="99.1"):
    engine.check(number, *answers)
    return capsys.readouterr().out


class Odd:
    def __repr__(self):
        raise RuntimeError("no")

    def __eq__(self, other):
        raise RuntimeError("no")

    __hash__ = None


ODD = [
    (lambda x: (2 * x).astype(str), "what came is text"),
    (lambda x: [str(v) for v in 2 * x], "what came is text"),
    (lambda x: np.array([str(v) for v in 2 * x], object), "what came is text"),
    (lambda x: pd.Series(2 * x).astype(str), "what came is text"),
    (lambda x: "0, 2, 4", "what came is text ('0, 2, 4')"),
    (lambda x: (2 * x).astype("S"), "what came is bytes"),
    (lambda x: bytes(3), "what came is bytes"),
    (lambda x: 2 * x + 0j, "what came is complex numbers"),
    (lambda x: [complex(v) for v in 2 * x], "what came is complex numbers"),
    (lambda x: (2 * x + 0j).astype(object), "what came is complex numbers"),
    (lambda x: torch.tensor(2 * x + 0j), "what came is complex numbers"),
    (lambda x: (v for v in 2 * x), "what came is a generator, which can be read only once"),
    (lambda x: map(float, 2 * x), "what came is a generator"),
    (lambda x: set(2 * x), "what came is a set, whose entries have no order"),
    (lambda x: dict(enumerate(2 * x)).values(), "what came is a dict_values"),
    (lambda x: dict(enumerate(2 * x)), "what came is a dictionary"),
    (lambda x: sparse.csr_array([2 * x]), "what came is a sparse matrix"),
    (lambda x: (2 * x).astype("M8[s]"), "what came is dates"),
    (lambda x: (2 * x).astype("m8[s]"), "what came is intervals of time"),
    (lambda x: np.rec.fromarrays([2 * x, x]), "what came is records"),
    (lambda x: np.ma.array(2 * x), "come as a masked array"),
    (lambda x: np.ma.array(2 * x, mask=x == 1), "is masked"),
    (lambda x: (2 * x).astype(object), "dtype is object"),
    (lambda x: [Decimal(v) for v in 2 * x], "come as a list"),
    (lambda x: [Fraction(v) for v in 2 * x], "come as a list"),
    (lambda x: [0, None, 4], "with None among the numbers"),
    (lambda x: ak.Array([0, None, 4]), "with None among the numbers"),
    (lambda x: ak.Array([[0], [2, 4]]), "what came is an awkward array"),
    (lambda x: pd.Series(2 * x), "come as a Series; the lesson goes on with a NumPy array: .to_numpy() makes one"),
    (lambda x: list(2 * x), "come as a list; the lesson goes on with a NumPy array: np.array(...) makes one"),
    (lambda x: (2 * x).sum, "itself, which nobody has called"),
    (lambda x: (2 * x)[:, None], "has shape (3, 1), expected (3,)"),
    (lambda x: np.array(2.0), "has shape (), expected (3,)"),
    (lambda x: Odd(), "what came is Odd whose repr raises RuntimeError"),
    (lambda x: pd.NA, "what came is NAType"),
    (lambda x: 10**5000, "what came is a whole number of 5000 digits"),
]


@pytest.mark.parametrize(("answer", "words"), ODD)
def test_a_value_of_an_odd_kind_is_refused_by_its_kind(capsys, answer, words):
    text = said(capsys, answer)
    said_first = ("double(x) ", "the numbers of double(x) ")  # a kind, and no mistake in the numbers
    assert text.removeprefix("[NOT YET] 99.1 twice: ").startswith(said_first) or "shape" in words
    assert words in text
    assert "could not work" not in text
    assert len(text) < 400


@pytest.mark.parametrize("right", [2.0, True, "a", [1.0, 2.0], {"a": 1.0}, np.arange(3), ak.Array([[1], []])])
@pytest.mark.parametrize("answer", [answer for answer, words in ODD if "shape ()" not in words])
def test_no_odd_kind_passes_for_another_value(right, answer):
    value = answer(np.arange(3.0) + 7)
    assert compare.difference("it", value, right)
    assert not compare.agree(value, right)


@pytest.mark.parametrize("answer", [np.float32(6), np.array(6.0), torch.tensor(6.0), Fraction(6), 6])
def test_a_number_is_a_number(answer):
    assert compare.difference("it", answer, 6.0) == ""
    assert compare.difference("it", np.array(True), True) == ""


class Callable:
    def __call__(self, x):
        return 2 * x


@pytest.mark.parametrize(
    "answer",
    [
        Callable(),
        Callable().__call__,
        functools.partial(np.multiply, 2),
        np.vectorize(lambda v: 2 * v),
        lambda *args: 2 * args[0],
        np.array(2).__mul__,
        lambda x: torch.vmap(lambda v: 2 * v)(torch.from_numpy(x)).numpy(),
    ],
)
def test_whatever_can_be_called_is_an_answer(capsys, answer):
    assert said(capsys, answer).startswith("[PASS]")


def test_two_values_are_not_taken_from_a_generator_or_a_set(capsys):
    ask("99.2", lambda x: (x.sum(), x.max()), returns=("the sum", "the largest"))

    def both(x):
        yield x.sum()
        yield x.max()

    assert "the sum and the largest; what came is a generator, which can" in said(capsys, both, number="99.2")
    assert "what came is a set" in said(capsys, lambda x: {x.sum(), x.max()}, number="99.2")


# --- errors -----------------------------------------------------------------------------------------------------------


def helper(x):
    return x[7]


def calls_a_helper(x):
    return sum(map(helper, [x]))


def for_ever(x):
    return for_ever(x) + 1


def leaves(x):
    sys.exit(0)


def interrupts(x):
    raise KeyboardInterrupt


def in_a_library(x):
    return np.take(x, 7)


def long_text(x):
    raise ValueError("long " * 2000)


def without_text(x):
    raise AssertionError


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (calls_a_helper, "at `return x[7]`"),
        (
            for_ever,
            "raised RecursionError: it calls itself again and again, without an end at `return for",
        ),
        (leaves, "ends Python, with exit() or quit() at `sys.exit(0)`"),
        (interrupts, "was interrupted at `raise KeyboardInterrupt`"),
        (in_a_library, "at `return np.take(x, 7)`"),
        (long_text, "raised ValueError: long long"),
        (without_text, "raised AssertionError at `raise AssertionError`"),
        (lambda: 1, "raised TypeError"),
    ],
)
@pytest.mark.parametrize("observed", ["by call", "by itself", "by a function in call"])
def test_an_error_quotes_the_students_line_and_never_ours(capsys, answer, words, observed):
    course = {"__name__": "coursekit_lessons.toy", "call": call}
    code = {"by call": "call(f, x)", "by itself": "f(x)", "by a function in call": "call(lambda y: f(y), x, name='it')"}
    exec(f"def observe(f, x):\n    returned = {code[observed]}\n    return {{'it': returned}}", course)
    ask("99.2", observe=course["observe"])
    text = said(capsys, answer, number="99.2")
    assert words in text or (observed == "by itself" and "raised TypeError" in words)
    assert "returned" not in text
    assert len(text) < 700


def test_the_line_of_another_cell_is_found(monkeypatch):
    source = "def one(x):\n    return x + missing\n"
    cell = {"__name__": "__main__"}
    exec(compile(source, "/tmp/ipykernel_7/1.py", "exec"), cell)
    monkeypatch.setitem(errors.linecache.cache, "/tmp/ipykernel_7/1.py", (len(source), None, source.splitlines(), ""))
    with pytest.raises(compare.Mistake, match=r"raised NameError: .* at `return x \+ missing`\."):
        call(lambda x: cell["one"](x) * 2, 1, name="two")


# --- calls that do not end --------------------------------------------------------------------------------------------


def does_not_move_on(x):
    total, i = 0, 0
    while i < len(x):
        total += x[i]
    return total


@pytest.mark.parametrize("settings", [{}, {"observe": lambda function, x: {"it": function(x)}}], ids=["", "observed"])
def test_a_call_that_does_not_end_is_ended_once(capsys, monkeypatch, settings):
    monkeypatch.setattr(sys.modules[Exercise.__module__], "PATIENCE", 0.1)
    ask("99.2", lambda x: x.sum(), returns=("it",), **settings)
    start = time.monotonic()
    text = said(capsys, does_not_move_on, number="99.2")
    assert 0.1 <= time.monotonic() - start < 5
    assert "did not end in 20 seconds, and was still at `" in text
    assert "What usually does not end is a loop that does not move on" in text
    if not settings:
        assert "(an array of shape (3,) and dtype float64 [0, 1, 2])" in text


# --- memory -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        lambda x: np.empty(len(x)),
        lambda x: np.empty_like(x),
        lambda x: torch.empty(len(x)).numpy(),
        lambda x: torch.empty_like(torch.tensor(x)).numpy(),
        lambda x: np.empty(len(x), int),
    ],
)
def test_unset_memory_does_not_pass_by_luck(capsys, answer):
    before = np.empty, torch.empty
    ask("99.2", lambda x: 0 * x)
    assert "[NOT YET]" in said(capsys, answer, number="99.2")
    assert before == (np.empty, torch.empty)


def test_unset_memory_of_each_type_holds_what_no_answer_is_made_of():
    with memory.unset_memory_shows():
        assert np.isnan(np.empty((2, 2), np.float16)).all()
        assert np.isnan(np.empty(2, complex)).all()
        assert (np.empty(2, np.uint8) == 171).all()
        assert np.empty(4, bool).tolist() == [True, False, True, False]
        assert np.isnat(np.empty(2, "M8[s]")).all()
        assert np.isnan(np.empty(2, "f4,i4")["f0"]).all()
        assert np.empty(0).shape == (0,)
        assert np.isnan(np.empty_like(np.zeros((2, 3, 4)).transpose(1, 2, 0))).all()
        assert torch.empty(2, 2, requires_grad=True).isnan().all()
        assert torch.empty(3, dtype=torch.int64)[0] % 2 == 1
        assert torch.empty(3, dtype=torch.bool).tolist() == [True, False, True]
        assert not any(p.isnan().any() for p in torch.nn.Linear(3, 2).parameters())


def counts(x, calls=[]):  # noqa: B006
    calls.append(x)
    return 2 * x if len(calls) < 3 else 3 * x


KEPT = {}


def remembered(x):
    return 2 * x if KEPT.setdefault(len(x), 0) < 1 and not KEPT.update({len(x): 1}) else x


@pytest.mark.parametrize("answer", [remembered, counts])
def test_what_is_kept_from_call_to_call_is_found(capsys, answer):
    KEPT.clear()
    text = said(capsys, answer)
    assert "The first call was right; a second one with the same arguments is not." in text
    assert "(double(x) is wrong in" in text


def test_what_is_kept_is_found_when_a_later_case_is_wrong(capsys):
    total = []

    def collects(x):
        total.extend(2 * x)
        return np.array(total)

    assert "Something is kept from call to call" in said(capsys, collects)


def test_the_answer_is_called_once_a_case_and_once_more(capsys):
    calls = []

    def counted(x):
        calls.append(len(x))
        return 2 * x

    ask("99.2", lambda x: 3 * x, alternatives=[lambda x: 4 * x, lambda x: 2 * x], mistakes={"One.": lambda x: x})
    assert said(capsys, counted, number="99.2").startswith("[PASS]")
    assert calls == [3, 4, 3]


# --- gradients --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda x: torch.tensor((x.detach() ** 2).numpy(), requires_grad=True), "has no gradient any more"),
        (lambda x: (x**2)[0] + (x.detach() ** 2)[1:].sum(), "not the slope of the result"),
        (lambda x: (x**2).sum() + 0 * torch.ones(1, requires_grad=True), ""),
        (lambda x: x.exp().cumsum(0), ""),
    ],
)
def test_the_gradient_that_reaches_the_input_is_that_of_the_result(function, words):
    values = torch.tensor([0.3, -1.2, 2.0])
    if not words:
        demands.gradient(function, values)
        return
    with pytest.raises(compare.Mistake, match=words):
        demands.gradient(function, values)
