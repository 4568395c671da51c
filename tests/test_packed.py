"""Packed jets on a device: batches and slices are what indexing each jet by itself gives."""

import numpy as np
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


@pytest.mark.parametrize(
    ("features", "counts", "targets", "message"),
    [
        (np.ones((2, 3, 4)), [3, 3], [0, 1], r"expected features \(T, F\), .* got \(2, 3, 4\), \(2,\) and \(2,\)"),
        (np.ones((3, 2)), [1, 2], [0, 1, 1], r"got \(3, 2\), \(2,\) and \(3,\)"),
        (np.ones((3, 2)), [1, 1], [0, 1], "add up to T = 3; they add up to 2"),
        (np.ones((3, 2)), [4, -1], [0, 1], "counts must be >= 0"),
        ([[1.0], [np.nan], [np.inf]], [1, 2], [0, 1], "2 of 3 rows of the features have a NaN or an infinity"),
        (np.ones((3, 2)), [1, 2], [0, np.nan], "1 of 2 rows of the targets"),
    ],
)
def test_jets_that_do_not_fit_together_are_refused(features, counts, targets, message):
    with pytest.raises(ValueError, match=message):
        PackedJets(features, counts, targets)
