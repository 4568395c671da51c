"""Batches from files: every event once an epoch, in an order that a seed fixes."""

import itertools
import re
import threading
from collections import Counter

import awkward as ak
import numpy as np
import pandas as pd
import pytest

from coursekit.jets import load_jets
from coursekit.streaming import (
    BatchStream,
)
from tests.streaming.conftest import numbers, prepare, write_tree


def all_events(part=(0, 1)):
    ranges = [(0, 3000), (10_000, 1500), (20_000, 6001)]
    return np.concatenate([first + np.arange(round(part[0] * n), round(part[1] * n)) for first, n in ranges])


def stream_of(files, rng=1, **settings):
    settings = {"batch_size": 128, "chunk": 700, "buffer": 2000, "branches": ["event"], **settings}
    return BatchStream(files, prepare, rng and np.random.default_rng(rng), **settings)


@pytest.mark.parametrize("chunk", [50, 700, 5000, 100_000])
def test_each_event_once_an_epoch_with_its_label_and_weight(files, chunk):
    stream = stream_of(files, chunk=chunk, buffer=max(chunk, 2000))
    assert stream.n_events == 10_501
    batches = list(stream)
    assert len(batches) == len(stream) == 83
    assert [len(labels) for _, labels, _ in batches] == [128] * 82 + [5]  # the rest is not dropped
    inputs, labels, weights = (np.concatenate(arrays) for arrays in zip(*batches, strict=True))
    np.testing.assert_array_equal(np.sort(inputs[:, 0]), all_events())
    np.testing.assert_array_equal(labels, inputs[:, 0] < 10_000)
    np.testing.assert_array_equal(weights, 2.0 * inputs[:, 0])


def test_epochs_differ_and_a_seed_fixes_them(files):
    stream, same, other = stream_of(files), stream_of(files), stream_of(files, rng=2)
    first, second = (np.concatenate([inputs[:, 0] for inputs, _, _ in stream]) for _ in range(2))
    assert stream.epoch == 2
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(numbers(same, 1), second)
    np.testing.assert_array_equal(numbers(same, 0), first)
    assert not np.array_equal(numbers(other), first)


def test_without_a_generator_the_order_is_that_of_the_file(files, tree_file):
    stream = stream_of({tree_file: 1}, rng=None)
    np.testing.assert_array_equal(numbers(stream, 0), np.arange(5000))
    several = stream_of(files, rng=None)
    np.testing.assert_array_equal(numbers(several, 0), numbers(several, 1))
    np.testing.assert_array_equal(np.sort(numbers(several, 1)), all_events())


def test_parts_share_nothing_and_miss_nothing(files):
    parts = [(0, 0.6), (0.6, 0.8), (0.8, 1)]
    found = [numbers(stream_of(files, part=part)) for part in parts]
    for part, events in zip(parts, found, strict=True):
        np.testing.assert_array_equal(np.sort(events), np.sort(all_events(part)))
    assert sum(map(len, found)) == 10_501


def test_files_are_mixed_in_proportion_throughout(files):
    share = np.array([3000, 1500, 6001]) / 10_501
    for inputs, _, _ in list(stream_of(files))[:-1]:
        counts = np.bincount(inputs[:, 0] // 10_000, minlength=3)
        assert (np.abs(counts - 128 * share) < 5 * np.sqrt(128 * share * (1 - share))).all()


def test_the_order_is_random_within_the_reach_of_the_buffer(tmp_path):
    path = write_tree(tmp_path / "long.root", 40_000, basket=1000)
    places = [numbers(stream_of({path: 1}, chunk=2000, buffer=10_000), epoch) for epoch in range(2)]
    for events in places:
        assert abs(np.corrcoef(events, np.arange(len(events)))[0, 1]) < 0.5  # 20 slices in random order: 1/sqrt(19)
        # neighbours in a batch come from anywhere in five slices of the file
        assert np.count_nonzero(np.abs(np.diff(events)) == 1) < 40
    assert abs(np.corrcoef(*places)[0, 1]) < 0.5


def test_no_more_is_read_than_stated(files):
    n_prepared = []

    def spy(events, label):
        n_prepared.append(len(events["event"]))
        return prepare(events, label)

    stream = BatchStream(files, spy, np.random.default_rng(1), ["event"], batch_size=128, chunk=700, buffer=2000)
    batches = stream.batches(0)
    next(batches)
    batches.close()
    assert sum(n_prepared) <= 2000 + 2 * 1050  # the buffer, and what waits; slices differ by half at most


def test_a_thread_works_ahead_and_ends_with_its_reader(files):
    before = threading.enumerate()  # those of another test, which a framework keeps

    def threads():
        return [new for new in threading.enumerate() if new.name == "coursekit stream" and new not in before]

    batches = stream_of(files).batches(0)
    next(batches)
    assert len(threads()) <= 1
    batches.close()
    assert threads() == []
    assert len(list(stream_of(files))) == 83
    assert threads() == []


def test_errors_reach_the_reader(files, tmp_path):
    def broken(events, label):
        raise ZeroDivisionError("in prepare")

    with pytest.raises(ZeroDivisionError, match="in prepare"):
        list(BatchStream(files, broken, None))
    cases = [
        (
            lambda e, label: (e["event"][1:], e["event"], e["event"]),
            r"events 0 to \d+: prepare returned \d+ inputs for",
        ),
        (lambda e, label: e["event"], "must return inputs, labels and weights"),
        (lambda e, label: (e["event"], e["event"], e["event"] * np.nan), r"signal\.root, events .* weights is NaN"),
    ]
    for function, message in cases:
        with pytest.raises(ValueError, match=message):
            list(BatchStream(files, function, None))


def test_an_error_of_prepare_names_the_file_and_the_events(files):
    def broken(events, label):
        return events["mass"]

    with pytest.raises(KeyError, match="mass") as caught:
        list(BatchStream(files, broken, None))
    assert re.fullmatch(r"prepare was at .*signal\.root, events 0 to 3000", caught.value.__notes__[0])


@pytest.mark.parametrize(
    "form",
    [
        lambda x: x.astype(">f8"),
        lambda x: x.tolist(),
        lambda x: pd.Series(x, index=np.arange(len(x))[::-1]),
        lambda x: np.ma.array(x),
        lambda x: ak.Array(x),
        lambda x: ak.mask(ak.Array(x), x >= 0),  # of option type, though nothing is missing
        lambda x: x.astype("f4")[::-1][::-1],
    ],
    ids=["big-endian", "list", "pandas", "masked", "awkward", "option", "strided"],
)
def test_what_prepare_returns_is_taken_by_position(files, form):
    def formed(events, label):
        inputs, labels, weights = prepare(events, label)
        return form(inputs[:, 0]), form(labels), form(weights)

    settings = {"branches": ["event"], "batch_size": 128, "chunk": 700, "buffer": 2000}
    for mine, plain in zip(BatchStream(files, formed, None, **settings), stream_of(files, rng=None), strict=True):
        for array, expected in zip(mine, (plain[0][:, 0], *plain[1:]), strict=True):
            assert type(array) is np.ndarray
            assert array.dtype.isnative
            np.testing.assert_array_equal(array, expected)


@pytest.mark.parametrize("kind", [np.asarray, ak.from_numpy])
def test_prepare_may_use_its_memory_again(files, kind):
    memory = np.empty((10_000, 1))

    def reusing(events, label):
        out = memory[: len(events["event"])]
        out[:, 0] = events["event"]
        return kind(out), np.full(len(out), label), np.ones(len(out))

    stream = BatchStream(files, reusing, np.random.default_rng(1), ["event"], chunk=700, buffer=20_000)
    np.testing.assert_array_equal(np.sort(numbers(stream)), all_events())


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (lambda x: np.ma.array(x, mask=x == 2), r"signal\.root, events 0 to \d+: weights is missing in 1 of"),
        (
            lambda x: ak.mask(ak.Array(x), x != 2),
            r"signal\.root, .* weights is missing in 1 of \d+ events, first in event 2",
        ),
        (lambda x: x.astype(str), "prepare returned weights of type <U.*, where numbers are expected"),
        (lambda x: ak.Array(x.astype(str)), "prepare returned weights of type string, where numbers are expected"),
        (lambda x: x + 0j, "prepare returned weights of type complex128"),
        (lambda x: 1.0, r"prepare returned 1\.0 weights for \d+ events"),
        (lambda x: np.where(x == 2, np.inf, x), r"weights is NaN or infinite in 1 of \d+ events, first in event 2"),
        (lambda x: ak.Array([{"w": np.nan if y == 2 else 1.0} for y in x]), "weights is NaN or infinite in 1 of"),
        (lambda x: np.ones((len(x), len(x))), r"low\.root: prepare returned weights with rows \(.*,\), for"),
    ],
)
def test_values_that_are_no_numbers_are_refused_by_file_and_event(files, weights, message):
    with pytest.raises(ValueError, match=message):
        list(BatchStream(files, lambda e, y: (e["event"], e["event"], weights(e["event"])), None, ["event"]))


def test_one_file_under_two_names_is_refused(tree_file, tmp_path):
    (tmp_path / "link.root").symlink_to(tree_file)
    for other in (
        tree_file.parent / ".." / tree_file.parent.name / tree_file.name,
        tmp_path / "link.root",
        str(tree_file),
    ):
        with pytest.raises(ValueError, match="are one file, whose events would come twice: name it once"):
            stream_of({tree_file: 1, other: 0})


def test_sizes_may_come_as_whole_numbers_of_any_type(files):
    stream = stream_of(files, batch_size=np.float64(128), chunk=np.int64(700), buffer=2000.0)
    np.testing.assert_array_equal(numbers(stream), numbers(stream_of(files)))
    assert len(stream) == 83


def test_an_epoch_that_is_broken_off_is_given_up(files):
    stream = stream_of(files)
    batches = iter(stream)
    first = [x[:, 0] for x, _, _ in itertools.islice(batches, 5)]
    np.testing.assert_array_equal(next(iter(stream))[0][:, 0], numbers(stream, 1)[:128])
    rest = [x[:, 0] for x, _, _ in batches]  # the first iterator goes on beside the other
    np.testing.assert_array_equal(np.concatenate(first + rest), numbers(stream, 0))


def test_bad_settings(files, tree_file):
    for settings, error, message in [
        ({"batch_size": 0}, ValueError, "batch_size > 0"),
        ({"chunk": 3000}, ValueError, "chunk <= buffer"),
        ({"part": (0.5, 0.5)}, ValueError, "range within"),
        ({"part": (0, 1.1)}, ValueError, "range within"),
        ({"part": 0.6}, ValueError, "range within"),
        ({"part": (0, 0.6, 0.8)}, ValueError, "range within"),
        ({"batch_size": 64.5}, ValueError, r"batch_size is a whole number, but 64\.5 came"),
        ({"batch_size": "64"}, ValueError, "batch_size is a whole number"),
        ({"part": (0, 1e-5)}, ValueError, r"signal\.root: .* of its 3000 events is none"),
        ({"branches": ["evnt"]}, KeyError, "did you mean 'event'"),
    ]:
        with pytest.raises(error, match=message):
            stream_of(files, **settings)
    with pytest.raises(TypeError, match="maps each path to its class"):
        BatchStream([tree_file], prepare, None)
    with pytest.raises(TypeError, match=r"such as np\.random\.default_rng"):
        BatchStream(files, prepare, 1)


def test_hdf5_in_two_threads_at_once(table_file):
    streams = [stream_of({table_file: 1}, rng=rng, chunk=200) for rng in (1, 2)]
    for (one, _, _), (other, _, _) in zip(*streams, strict=True):
        assert one.shape == other.shape
    assert all(np.array_equal(np.sort(numbers(stream)), np.arange(4000)) for stream in streams)


def jets_and_labels(events, label):
    return events["jets"], events["labels"], np.ones(len(events["labels"]))


def test_jagged_jets_come_in_batches(jet_file):
    stream = BatchStream({jet_file: None}, jets_and_labels, np.random.default_rng(1), batch_size=256, chunk=900)
    batches = list(stream)
    assert [len(jets) for jets, _, _ in batches] == [256] * 11 + [184]
    jets, labels = load_jets(jet_file)
    assert sum(ak.sum(ak.num(part)) for part, _, _ in batches) == ak.sum(ak.num(jets))

    def identity(jets, labels):
        return Counter(zip(ak.num(jets).tolist(), jets.E[:, 0].tolist(), labels.tolist(), strict=True))

    assert sum((identity(part, y) for part, y, _ in batches), Counter()) == identity(jets, labels)
