"""Packed jets on a device: batches and slices are what indexing each jet by itself gives."""

import awkward as ak
import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch")

from coursekit.jets.packed import PackedJets  # noqa: E402
from tests.test_training import make_jets  # noqa: E402


def test_a_batch_by_index_is_what_slicing_gives():
    jets = make_jets()
    parts = jets.features.split(jets.counts.tolist())
    index = torch.tensor([7, 0, 199, 7, 30])  # an empty one, the last, one twice
    features, counts, targets = jets.batch(index)
    torch.testing.assert_close(features, torch.cat([parts[i] for i in index]), rtol=0, atol=0)
    assert counts.tolist() == [len(parts[i]) for i in index]
    assert targets.tolist() == [[1.0], [0.0], [1.0], [1.0], [0.0]]


def test_all_jets_in_order_are_the_jets():
    jets = make_jets()
    for mine, theirs in zip(jets.batch(torch.arange(200)), (jets.features, jets.counts, jets.targets), strict=True):
        assert torch.equal(mine, theirs)


def test_a_slice_and_an_index_make_jets():
    jets = make_jets()
    assert len(jets[:30]) == 30
    assert torch.equal(jets[10:20].features, jets.batch(torch.arange(10, 20))[0])
    assert jets[torch.tensor([4, 2])].counts.tolist() == jets.counts[[4, 2]].tolist()
    assert len(jets[jets.counts == 0]) == 20
    assert len(jets[:0].features) == 0


def test_arrays_become_tensors_of_the_right_kind():
    jets = PackedJets(np.ones((3, 2)), np.array([1, 2], np.int32), np.array([0, 1]))
    assert (jets.features.dtype, jets.counts.dtype, jets.targets.dtype) == (torch.float32, torch.int64, torch.float32)
    assert jets.targets.shape == (2, 1)
    assert PackedJets(np.ones((3, 2)), [1, 2], np.ones((2, 4))).targets.shape == (2, 4)
    assert jets.to("cpu").device == torch.device("cpu")


def read_only(array):
    array = np.array(array)
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    "form",
    [
        lambda x: x.astype(">f4"),
        lambda x: x[::-1][::-1],
        lambda x: x.astype("f4")[::-1].copy()[::-1],
        lambda x: x.astype(np.longdouble),
        lambda x: x.astype("u8"),
        lambda x: x.astype("u2"),
        lambda x: x.tolist(),
        lambda x: read_only(x.astype("f4")),
        lambda x: (pd.DataFrame if x.ndim == 2 else pd.Series)(x, index=np.arange(len(x))[::-1]),
        lambda x: (pd.DataFrame if x.ndim == 2 else pd.Series)(x).astype("Float32"),
        lambda x: np.ma.array(x),
        lambda x: ak.Array(x),
        lambda x: torch.tensor(x, requires_grad=True),
    ],
)
def test_arrays_of_any_origin_are_taken_by_position(form):
    features, counts, targets = np.arange(6.0).reshape(3, 2), np.array([1.0, 2.0]), np.array([3.0, 4.0])
    jets = PackedJets(form(features), form(counts), form(targets))
    for tensor, expected in (jets.features, features), (jets.counts, counts), (jets.targets, targets[:, None]):
        np.testing.assert_array_equal(tensor.numpy(), expected)
    assert (jets.features.dtype, jets.counts.dtype, jets.targets.dtype) == (torch.float32, torch.int64, torch.float32)


@pytest.mark.parametrize(
    "index",
    [
        [3, 0],
        np.array([3, 0], ">i8"),
        torch.tensor([3, 0]),
        pd.Series([3, 0], index=[1, 0]),
        [-1, -4],
        range(3, -1, -3),
        slice(None, None, -3),
    ],
)
def test_an_index_of_any_kind_takes_jets_in_its_order(index):
    jets = PackedJets(np.arange(10.0)[:, None], [1, 2, 3, 4], [0, 1, 2, 3])
    assert jets[index].features[:, 0].tolist() == [6, 7, 8, 9, 0]
    assert jets[index].targets[:, 0].tolist() == [3, 0]


@pytest.mark.parametrize("form", [list, np.array, torch.tensor, pd.Series, ak.Array])
def test_a_mask_of_any_kind_takes_jets(form):
    jets = PackedJets(np.arange(10.0)[:, None], [1, 2, 3, 4], [0, 1, 2, 3])
    assert jets[form([False, True, False, True])].targets[:, 0].tolist() == [1, 3]
    assert len(jets[form([False] * 4)]) == 0
    for wrong in ([True], [True] * 5):
        with pytest.raises(IndexError, match="boolean index did not match"):
            jets[form(wrong)]


def test_one_number_takes_one_jet_and_none_takes_none():
    jets = PackedJets(np.arange(10.0)[:, None], [1, 2, 3, 4], [0, 1, 2, 3])
    for last in (-1, 3, np.int64(3), torch.tensor(3)):
        assert (len(jets[last]), jets[last].counts.tolist()) == (1, [4])
    assert len(jets[[]]) == len(jets[np.array([])]) == 0
    assert [jet.counts.tolist() for jet in jets] == [[1], [2], [3], [4]]
    for wrong in (4, [[0, 1]], [0.5]):
        with pytest.raises(IndexError):
            jets[wrong]


@pytest.mark.parametrize(
    ("features", "counts", "targets", "message"),
    [
        (np.ones((2, 3, 4)), [3, 3], [0, 1], r"expected features \(T, F\), .* got \(2, 3, 4\), \(2,\) and \(2,\)"),
        (np.ones((3, 2)), [1, 2], [0, 1, 1], r"got \(3, 2\), \(2,\) and \(3,\)"),
        (np.ones((3, 2)), [1, 1], [0, 1], "add up to T = 3; they add up to 2"),
        (np.ones((3, 2)), [4, -1], [0, 1], "counts must be >= 0"),
        ([[1.0], [np.nan], [np.inf]], [1, 2], [0, 1], "2 of 3 rows of the features have a NaN or an infinity"),
        (np.ones((3, 2)), [1, 2], [0, np.nan], "1 of 2 rows of the targets have a NaN .* the first is row 1"),
        (
            np.array([[1], [1e300], [1]]),
            [1, 2],
            [0, 1],
            "1 of 3 rows of the features are too large for float32",
        ),
        (np.ma.array(np.ones((3, 2)), mask=np.eye(3, 2)), [1, 2], [0, 1], "features is missing in 2 of 3"),
        (ak.Array([[1, None], [2, 3], [4, 5]]), [1, 2], [0, 1], "features is missing in 1 of 3"),
        (ak.Array([[1.0, 2.0], [3.0]]), [1, 1], [0, 1], r"features must be numbers, .* var "),
        (np.ones((3, 2)) + 0j, [1, 2], [0, 1], "features must be numbers, but came as complex128"),
        (np.ones((3, 2)), [1.5, 1.5], [0, 1], r"counts are whole numbers of constituents, but jet 0 has 1\.5"),
        (np.ones((3, 2)), [1, np.nan], [0, 1], "counts are whole numbers of constituents, but jet 1 has nan"),
        (np.ones((3, 2)), [True, True], [0, 1], "counts must be numbers, but came as bool"),
        (np.ones((3, 2)), pd.Series([1, None], dtype="Int64"), [0, 1], "counts is missing in 1 of 2"),
        (np.ones((3, 2)), [1, 2], None, "targets is None, where an array is expected"),
        (np.ones((3, 2)), [1, 2], ["QCD", "top"], "targets must be numbers, but came as <U3"),
    ],
)
def test_jets_that_do_not_fit_together_are_refused(features, counts, targets, message):
    with pytest.raises(ValueError, match=message):
        PackedJets(features, counts, targets)


def test_tensors_of_other_layouts_and_types():
    jets = PackedJets(torch.eye(2).to_sparse(), torch.tensor([1, 1], dtype=torch.uint16), torch.ones(2).bfloat16())
    assert jets.features.tolist() == [[1, 0], [0, 1]]
    assert jets.counts.tolist() == [1, 1]
    with pytest.raises(ValueError, match="counts must be >= 0 and add up to T = 2"):  # modulo 2^64 they do
        PackedJets(torch.eye(2), np.array([2**62] * 4 + [2]), np.ones(5))
