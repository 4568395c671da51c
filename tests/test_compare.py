"""Calling a student's function, comparing what comes, describing it, and what an exercise may demand."""

import awkward as ak
import numpy as np
import pandas as pd
import pytest
import torch

from coursekit.checks import call, compare, demands


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
    assert compare.describe(value).startswith(text)
    assert len(compare.describe(value)) < 140


FRAME = pd.DataFrame({"a": [1, 2]})


@pytest.mark.parametrize(
    ("got", "right"),
    [
        ({"a": [np.arange(2), FRAME]}, {"a": [np.arange(2), FRAME.copy()]}),
        (np.float32(1.000001), 1.0),
        (torch.tensor([1.0]), torch.tensor([1.0], dtype=torch.float64)),
        (torch.tensor([1.0], dtype=torch.bfloat16), torch.tensor([1.0])),
        (torch.tensor([1.0, 0.0]).to_sparse(), torch.tensor([1.0, 0.0])),
        (ak.Array([1, 2]), ak.Array([1, 2])),
        (3, np.int64(3)),
        (np.True_, True),
        (np.array([np.nan, 1]), np.array([np.nan, 1])),
        ("name", "name"),
    ],
)
def test_what_is_the_same(got, right):
    assert compare.difference("it", got, right) == ""
    assert compare.agree(got, right)


@pytest.mark.parametrize(
    ("got", "right", "words"),
    [
        (None, 1, "it is None"),
        (..., 1, "still `...`"),
        ({"a": 1}, {"b": 1}, "has the keys ['a'], expected ['b']"),
        ({"a": 1}, {"a": 2}, "it['a'] is 1, expected 2"),
        ([1], {"a": 1}, "should be a dict"),
        ((1, 2), [1, 2], "should be a list"),
        ([1, 2], [1], "has 2 entries, expected 1"),
        ([1, 2], [1, 3], "it[1] is 2, expected 3"),
        (np.array([1.0]), torch.tensor([1.0]), "goes on with a tensor"),
        ([1.0], torch.tensor([1.0]), "they come as a list; the lesson goes on with a tensor"),
        (1.0, True, "is 1, expected True"),
        (np.array([1.0, 0.0]), np.array([True, False]), "its dtype is float64"),
        (FRAME + 1, FRAME, "expected DataFrame"),
        ("nam", "name", "is 'nam', expected 'name'"),
    ],
)
def test_what_is_different_is_described(got, right, words):
    assert words in compare.difference("it", got, right)


def test_a_further_kind_can_be_accepted():
    assert "come as a list" in compare.difference("it", [1.0, 2.0], np.arange(1.0, 3.0))
    assert compare.difference("it", [1.0, 2.0], np.arange(1.0, 3.0), accept=(list,)) == ""


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda x: (x.detach() ** 2).sum(), "has no gradient any more"),
        (lambda x: torch.nan_to_num(x * 0 / (x * 0)).sum(), "gradient contains NaN"),
        (lambda x: (x**2).sum(), ""),
    ],
)
def test_the_gradient_must_reach_the_argument(function, words):
    def demanded():
        demands.gradient(function, torch.tensor([1.0, 0.0]))

    if words:
        with pytest.raises(compare.Mistake, match=words):
            demanded()
    else:
        demanded()


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda x, rng: rng.permutation(x), ""),
        (lambda x, rng: np.random.default_rng().permutation(x), "another result at the second call"),
        (lambda x, rng: np.random.default_rng(3).permutation(x), "another generator gives the same result"),
        (lambda x, rng: np.random.permutation(x), "another generator gives the same result"),  # noqa: NPY002
    ],
)
def test_the_given_generator_must_be_used(function, words):
    arguments = np.arange(20), np.random.default_rng(1)
    if words:
        with pytest.raises(compare.Mistake, match=words):
            demands.given_generator(function, *arguments)
    else:
        demands.given_generator(function, *arguments)


def test_rows_are_counted_with_integers():
    demands.whole_numbers(lambda x: x.astype(int), np.arange(3.0))
    with pytest.raises(compare.Mistake, match="no whole numbers"):
        demands.whole_numbers(lambda x: x, np.arange(3.0))


def test_arguments_are_copies():
    def spoil(array, entries, rng, net):
        array[0], entries[0][0] = 7, 7
        rng.random()
        net.weight.data.zero_()
        return 1

    net, rng = torch.nn.Linear(1, 1), np.random.default_rng(1)
    arguments = np.ones(2), [np.ones(2)], rng, net
    with pytest.raises(compare.Mistake, match="changes its input in place"):
        call(spoil, *arguments)
    assert arguments[0][0] == arguments[1][0][0] == 1
    assert rng.random() == np.random.default_rng(1).random()
    assert net.weight.abs().sum() > 0


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda x: x.sum().item().backward(), "raised AttributeError"),
        (lambda x: x.detach().sum().backward(), "the loss has no gradient"),
        (lambda x: (2 * x).numpy(), "still carries its gradients"),
        (lambda x: (torch.set_grad_enabled(False) and None) or x, "gradients stay switched off"),
    ],
)
def test_errors_of_pytorch_are_explained(function, words):
    with pytest.raises(compare.Mistake, match=words):
        call(function, torch.ones(2, requires_grad=True))
    assert torch.is_grad_enabled()


@pytest.mark.parametrize(
    "right",
    [
        np.array([1.0, np.nan]),
        np.array([True, False]),
        np.array(["a", "b"]),
        np.array(["2026", "2027"], "M8[Y]"),
        np.array([1j, 2j]),
        np.array([(1, 2.0), (3, 4.0)], "i4,f4"),
    ],
    ids=lambda right: str(right.dtype),
)
def test_what_lies_behind_a_mask_is_no_answer_of_any_type(right):
    masked = np.ma.array(right, mask=np.arange(2) == 1)
    for part, whole in ((masked, right), ({"a": masked}, {"a": right}), ([1, masked], [1, right])):
        assert "is masked" in compare.difference("x", part, whole)
    assert not compare.agree(masked, right)
    assert not compare.agree(right, masked)
    unmasked = compare.difference("x", np.ma.array(right), right)
    assert (
        "as a masked array; the lesson goes on with one without a mask" in unmasked
        if right.dtype.kind in "bf"
        else not unmasked
    )


def test_single_values_that_are_missing_are_no_answer():
    for right in (2.0, True, "a", (1, 2)):
        for missing in (np.ma.masked, pd.NA, pd.NaT):
            assert compare.difference("x", missing, right)
            assert not compare.agree(missing, right)
    assert "1 NaN" in compare.difference("x", [1.0, np.ma.masked, 3.0], np.array([1.0, 2.0, 3.0]))


def test_a_mask_that_was_set_in_place_is_a_change():
    def hide(values):
        values[0] = np.ma.masked
        return 1

    with pytest.raises(compare.Mistake, match="changes its input in place"):
        call(hide, np.ma.array([1.0, 2.0]))
