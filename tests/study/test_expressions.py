"""Expressions against plain NumPy, and everything that they refuse."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coursekit.study.expressions import FUNCTIONS, Expression

COLUMNS = {
    "x": np.array([1.5, -2.0, 0.25, 3.0, -0.5]),
    "y": np.array([0.5, 4.0, -1.25, 3.0, 2.0], dtype=np.float32),
    "i": np.array([3, -7, 0, 5, 2], dtype=np.int32),
    "flag": np.array([True, False, True, True, False]),
}
NUMPY = {
    name: getattr(np, name)
    for name in FUNCTIONS
    if name not in ("where", "sqrt", "log", "log10", "log1p", "exp", "expm1")
}
SAFE = (
    "sin",
    "cos",
    "abs",
    "sign",
    "floor",
    "ceil",
    "arctan",
    "tanh",
    "arcsinh",
    "hypot",
    "minimum",
    "maximum",
    "arctan2",
)


def value(text, what="input.cut"):
    return Expression.parse(text, what).evaluate(COLUMNS, 5)


numbers = st.recursive(
    st.sampled_from(["x", "y", "i", "2", "0.5", "flag"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*"), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        inner.map(lambda t: f"(-({t}))"),
        inner.map(lambda t: f"({t}) ** 2"),
        inner.map(lambda t: f"(({t}) % 3)"),
        st.tuples(st.sampled_from([f for f in SAFE if FUNCTIONS[f] == 1]), inner).map(lambda t: f"{t[0]}({t[1]})"),
        st.tuples(st.sampled_from([f for f in SAFE if FUNCTIONS[f] == 2]), inner, inner).map(
            lambda t: f"{t[0]}({t[1]}, {t[2]})"
        ),
    ),
    max_leaves=8,
)
conditions = st.recursive(
    st.tuples(numbers, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), numbers).map(lambda t: f"({' '.join(t)})"),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("&|"), inner).map(lambda t: f"({' '.join(t)})"), inner.map(lambda t: f"(~{t})")
    ),
    max_leaves=4,
)


def by_numpy(text):
    """The same text, calculated by Python on float64 arrays: it was made here, from the strategies above."""
    columns = {name: column.astype(np.float64) for name, column in COLUMNS.items()}
    with np.errstate(all="ignore"):
        return np.broadcast_to(eval(text, {"__builtins__": {}}, NUMPY | columns), 5)


@settings(max_examples=100, deadline=None)
@given(numbers)
def test_numbers_are_those_of_numpy(text):
    expected = by_numpy(text)
    if np.isfinite(expected).all() and np.abs(expected).max() < 2**50:  # integers are exact beyond, floats are not
        np.testing.assert_allclose(value(text), expected, rtol=1e-9, atol=1e-9)


@settings(max_examples=50, deadline=None)
@given(conditions)
def test_conditions_are_those_of_numpy_and_in_words_the_same(text):
    found = value(text)
    assert found.dtype == bool
    words = text.replace("&", " and ").replace("|", " or ").replace("~", " not ")
    np.testing.assert_array_equal(found, value(words))
    np.testing.assert_array_equal(~found, value(f"not ({text})"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0 < x <= 1.5", [True, False, True, False, False]),
        ("where(x > 0, log(where(x > 0, x, 1)), -1)", np.where(COLUMNS["x"] > 0, np.log(np.abs(COLUMNS["x"])), -1)),
        ("flag", [True, False, True, True, False]),
        ("flag == True", [True, False, True, True, False]),
        ("flag + flag", [2, 0, 2, 2, 0]),
        ("i / 2", [1.5, -3.5, 0, 2.5, 1]),
        ("i % 3", [0, 2, 0, 2, 2]),
        ("x ** -2", COLUMNS["x"] ** -2),
        ("3", [3] * 5),
        ("x > 0 or x < -1 and flag", [True, False, True, True, False]),
        ("where(flag, x > 1, i > 0)", [True, False, False, True, True]),
    ],
)
def test_by_hand(text, expected):
    np.testing.assert_allclose(value(text), expected, rtol=1e-15)


def test_integers_keep_all_their_digits():
    event = np.array([2**60 + 1, -(2**53) - 1, 7], dtype=np.int64)
    for text, expected in [
        ("event", event),
        ("event + 1", event + 1),
        ("abs(event)", np.abs(event)),
        ("event % 2", event % 2),
    ]:
        found = Expression.parse(text, "k").evaluate({"event": event}, 3)
        assert found.dtype == np.int64
        np.testing.assert_array_equal(found, expected)
    unsigned = {"event": np.array([2**62 + 1], dtype=np.uint64)}
    assert Expression.parse("event == 4611686018427387905", "k").evaluate(unsigned, 1).all()
    with pytest.raises(ValueError, match=r"beyond 2\^63"):
        Expression.parse("event", "k").evaluate({"event": np.array([2**63], dtype=np.uint64)}, 1)


def test_float32_is_calculated_in_float64():
    x = {"x": np.array([1e8], dtype=np.float32)}
    assert Expression.parse("(x + 1) - x", "k").evaluate(x, 1)[0] == 1


def test_odd_names_stand_in_backticks():
    columns = {"Jet/Jet.PT": np.array([1.0, 2]), "class": np.array([0, 1])}
    expression = Expression.parse("`Jet/Jet.PT` > 1 and `class` == 1", "k")
    assert expression.names == ("Jet/Jet.PT", "class")
    assert expression.mask(columns, 2).tolist() == [False, True]


def test_nan_goes_through_and_is_not_blamed_on_the_expression():
    found = Expression.parse("log(x)", "k").evaluate({"x": np.array([np.nan, 1.0])}, 2)
    assert np.isnan(found[0])
    assert found[1] == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is an expression"),
        ("x >", "no expression"),
        ("x + (y", "character"),
        ("x = 1", "no expression at character 3"),
        ("x.real", "attribute.*backticks"),
        ("__import__('os').system('ls')", "there is no function"),
        ("x.__class__", "attribute"),
        ("x[0]", "an index"),
        ("'text'", "only numbers"),
        ("lambda: x", "a function"),
        ("[x for x in (1, 2)]", "ListComp"),
        ("(x := 1)", "assignment"),
        ("x if flag else y", "where"),
        ("x in (1, 2)", "compare with"),
        ("sqr(x)", "did you mean 'sqrt'"),
        ("sqrt(x, y)", "takes 1 argument"),
        ("sqrt(x=1)", "takes 1 argument"),
        ("9 ** 9 ** 9", "an exponent"),
        ("x ** y", "exponent"),
        ("x // 2", "there are"),
        ("`x", "no partner"),
        ("1e999 * x", "only numbers"),
        ("x + " * 200 + "x", "more than 400 parts"),
        ("x" * 2001, "2001 characters"),
        ("-" * 500 + "x", "more than 400 parts|too deeply"),
        ("(" * 300 + "x" + ")" * 300, "no expression"),
        ("minimum(x, " * 12 + "y" + ")" * 12, "nested"),
        (" + ".join(f"c{i}" for i in range(31)), "31 columns"),
    ],
)
def test_what_is_no_expression(text, message):
    with pytest.raises(ValueError, match=message) as caught:
        Expression.parse(text, "input.cut")
    assert str(caught.value).startswith("input.cut")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x and flag", "compare it"),
        ("not x", "compare it"),
        ("where(x, 1, 2)", "compare it"),
        ("log(x)", "NaN in 2 of 5 events, first in event 1, where x = -2"),
        ("1 / i", "infinite in 1 of 5 events, first in event 2"),
        ("sqrt(-1)", "NaN in 5"),
    ],
)
def test_what_cannot_be_calculated(text, message):
    with pytest.raises(ValueError, match=message):
        value(text)


def test_a_column_that_is_not_there_or_no_number():
    with pytest.raises(KeyError, match=r"file.root: input.cut: 'pt > 1': there is no column pt; did you mean 'Pt'"):
        Expression.parse("pt > 1", "input.cut").evaluate({"Pt": np.ones(1)}, 1, "file.root")
    with pytest.raises(ValueError, match="is text"):
        Expression.parse("pt > 1", "input.cut").evaluate({"pt": np.array(["a"])}, 1)
    with pytest.raises(ValueError, match="is a number, where a condition"):
        Expression.parse("x + 1", "input.cut").mask(COLUMNS, 5)
