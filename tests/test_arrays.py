"""What comes as an array: by position, in the machine's byte order, and with nothing missing."""

import awkward as ak
import numpy as np
import pandas as pd
import pytest

from coursekit.arrays import binary_labels, events_with, numbers, plain, positive_sum

NUMBERS = [3, 1, 2]
LISTS = ak.Array([[1.0, 2.0], [], [3.0]])
MASK = [True, False, True]


@pytest.mark.parametrize(
    "values",
    [
        NUMBERS,
        tuple(NUMBERS),
        np.array(NUMBERS, ">i2"),
        np.array(NUMBERS[::-1])[::-1],
        np.array(NUMBERS, object),
        np.ma.array(NUMBERS, mask=False),
        ak.Array(NUMBERS),
        ak.mask(ak.Array(NUMBERS), [True] * 3),
        ak.Array(NUMBERS)[[0, 1, 2]],
        pd.Series(NUMBERS, index=[2, 0, 1]),
        pd.Series(NUMBERS, index=[7, 7, 7], dtype="Int64"),
        pd.Series(NUMBERS, dtype=object),
        pd.Series(NUMBERS, dtype="category"),
        pd.Index(NUMBERS),
    ],
    ids=lambda values: type(values).__name__,
)
def test_the_same_numbers_whatever_they_came_as(values):
    array = plain(values, "mth")
    assert isinstance(array, np.ndarray)
    assert type(array) is np.ndarray
    assert array.dtype.kind == "i"
    assert array.dtype.isnative
    assert array.tolist() == NUMBERS


@pytest.mark.parametrize(
    "values",
    [
        [1, None, 3],
        np.array([1, None, 3]),
        np.ma.array([1, 2, 3], mask=~np.array(MASK)),
        np.ma.array([[1, 2]] * 3, mask=[[0, 0], [0, 1], [0, 0]]),
        np.ma.array([(1, 2)] * 3, dtype=[("a", "i4"), ("b", "f4")], mask=[(0, 0), (0, 1), (0, 0)]),
        ak.Array([1, None, 3]),
        ak.mask(LISTS, MASK),
        ak.Array([[1], [None, 2], [3]]),
        ak.Array([{"x": 1}, {"x": None}, {"x": 2}]),
        ak.Array([[{"x": 1}], [{"x": None}], []]),
        ak.Array(["a", None, "b"]),
        ak.Array([[["a"]], [[None]], [[]]]),
        pd.Series([1, None, 3], dtype="Int64"),
        pd.Series([True, None, False], dtype="boolean"),
        pd.Series(["a", None, "b"]),
        pd.Series(["a", None, "b"], dtype="string"),
        pd.Series(["a", None, "b"], dtype="category"),
        pd.Series(pd.to_datetime(["2020-01-01", None, "2020-01-02"])),
        pd.DataFrame({"mth": pd.array([1, None, 3], dtype="Int64"), "n": [1, 2, 3]}),
    ],
    ids=str,
)
def test_what_is_missing_is_refused_by_name_and_event(values):
    with pytest.raises(ValueError, match=r"^b\.root: mth is missing in 1 of 3 events, first in event 1\. .*default"):
        plain(values, "mth", "b.root")


def test_nan_is_a_number_that_others_refuse():
    assert np.isnan(plain(pd.Series([1.0, np.nan]), "mth")[1])
    assert np.isnan(plain([1.0, np.nan], "mth")[1])


def test_jagged_arrays_records_and_text_stay_awkward():
    jets = ak.Array([[{"pt": 1.0}], []])
    for values in (LISTS, jets, ak.Array(["a", "bc"])):
        assert plain(values, "jets").tolist() == values.tolist()
    assert "?" not in str(plain(ak.mask(LISTS, [True] * 3), "jets").type)
    assert "?" not in str(plain(ak.mask(jets, jets.pt > 0), "jets").type)


def test_the_behaviour_of_jets_stays():
    from coursekit.jets import unpack

    jets = unpack(np.ones((3, 4)), [2, 1])
    assert plain(ak.mask(jets, [True, True]), "jets").pt.tolist() == jets.pt.tolist()


def test_a_data_frame_becomes_a_table_by_position():
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": pd.array([3, 4], dtype="Int64")}, index=[5, 3])
    assert plain(frame, "table").tolist() == [[1.0, 3.0], [2.0, 4.0]]


def test_a_tensor_with_a_gradient_is_an_array():
    torch = pytest.importorskip("torch")
    assert plain(torch.ones(2, requires_grad=True), "score").tolist() == [1.0, 1.0]


@pytest.mark.parametrize("values", [[[1, 2], [3]], [1, "a", {}], None, {"a": 1}], ids=str)
def test_what_is_no_array_is_refused(values):
    with pytest.raises(ValueError, match="mth"):
        plain(values, "mth")


def test_events_are_found_at_any_depth():
    deep = ak.Array([[[1.0, np.nan]], [], [[], [2.0]]])
    assert events_with(deep, np.isnan).tolist() == [True, False, False]
    assert events_with(deep[[2, 0]], np.isnan).tolist() == [False, True]
    union = ak.concatenate([ak.Array([1.0, np.inf]), ak.Array([[np.inf], [2.0]]), ak.Array(["inf"])])
    assert events_with(union, np.isinf).tolist() == [False, True, True, False, False]
    assert events_with(np.array([[1.0, np.nan], [1.0, 2.0]]), np.isnan).tolist() == [True, False]
    assert events_with(ak.Array([{"a": 1, "b": [np.nan]}, {"a": 2, "b": []}])[:1], np.isnan).tolist() == [True]


@pytest.mark.parametrize(
    "weights", [[0.1, 0.2, -0.3], [1e6, -1e6, 0.5], [0.0, 0.0], [-1.0], np.float32([0.1, 0.2, -0.3])]
)
def test_weights_that_cancel_have_no_sum(weights):
    with pytest.raises(ValueError, match=r"^the weights (cancel|are all zero|add up to -1)"):
        positive_sum(weights, "the weights")


def test_a_small_sum_that_is_real_is_one():
    assert positive_sum([1e-30, 2e-30], "the weights") == pytest.approx(3e-30)
    assert positive_sum([1.0, -0.99], "the weights") == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1, 2], "event 2 has 2"),
        ([0, -1, 1], "event 1 has -1"),
        ([0.0, np.nan, 1.0], "event 1 has nan"),
        ([0.5, 0.0, 1.0], "event 0 has 0.5"),
        (np.eye(3)[:, :2], "One-hot"),
        (["0", "1", "1"], "event 0 has '0'"),
        ([1, 0], "3 events but 2"),
        ([1, None, 0], "missing in 1 of 3"),
        (ak.Array([[1], [0], [1]]), "flat"),
    ],
    ids=str,
)
def test_labels_are_zero_or_one(labels, message):
    with pytest.raises(ValueError, match=rf"^q\.npz: .*{message}"):
        binary_labels(labels, 3, "q.npz")


def test_labels_of_any_number_type():
    for labels in ([1, 0], [True, False], [1.0, 0.0], np.uint8([1, 0]), pd.Series([1, 0], index=[1, 0])):
        assert binary_labels(labels).tolist() == [1, 0]
        assert binary_labels(labels).dtype == np.int64


@pytest.mark.parametrize("values", [np.empty(0), np.empty((0, 3)), np.ma.array([], mask=[]), np.empty(0, object)])
def test_no_events_at_all_are_an_array_too(values):
    assert plain(values, "x").shape == values.shape
    assert events_with(plain(values, "x"), np.isnan).tolist() == []


@pytest.mark.parametrize(
    "values",
    [
        np.ma.array(np.zeros((0, 3))),
        np.zeros((0, 3), object),
        np.ma.array(np.zeros(0, [("pt", "f4", 2)])),
        pd.Series([], dtype="Int64"),
        pd.DataFrame({"mth": pd.array([], dtype="Int64")}),
        ak.Array([[], []]),
        ak.Array(["a"])[:0],
        ak.unflatten(np.zeros(0), [0, 0, 0]),
    ],
    ids=lambda values: type(values).__name__,
)
def test_nothing_is_missing_in_no_events_or_in_empty_lists(values):
    assert len(plain(values, "mth")) == len(values)
    if isinstance(values, ak.Array):
        assert events_with(values, np.isnan).tolist() == [False] * len(values)


def test_tensors_of_any_kind_become_arrays():
    torch = pytest.importorskip("torch")
    rows = torch.tensor([[1.0, 0.0], [0.5, 2.0]])
    for tensor in (rows.bfloat16(), rows.to_sparse(), rows.half(), rows.clone().requires_grad_()):
        np.testing.assert_array_equal(numbers(tensor, "x"), rows.numpy())


def test_numbers_are_no_text_dates_records_or_lists():
    for values in (
        ["1", "2"],
        ak.Array(["a"]),
        ak.Array([{"x": 1.0}]),
        ak.Array([[1.0], [2.0, 3.0]]),
        np.array(["2026"], "M8[Y]"),
        np.array([1j]),
        np.zeros(2, "i4,f4"),
    ):
        with pytest.raises(ValueError, match="x must be numbers, but came as "):
            numbers(values, "x")
    assert numbers(np.array(["1e4000"], np.longdouble), "x").tolist() == [np.inf]


def test_a_frame_with_other_things_than_numbers_names_the_column():
    for column, kind in ((["u", "v"], "<U1"), (pd.to_datetime([1, 2]), "datetime64")):
        frame = pd.DataFrame({"a": [1.0, 2.0], "b": column})
        with pytest.raises(ValueError, match=f"x has numbers in some columns, and {kind}.* in b"):
            plain(frame, "x")
