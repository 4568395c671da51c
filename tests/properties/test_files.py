"""Files read, shuffled and streamed: every event once, whole, and in the order that is promised."""

import functools
import itertools
import tempfile
from collections import Counter
from pathlib import Path

import awkward as ak
import numpy as np
import pandas as pd
import pytest
import uproot
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from coursekit.events import concatenate_events, load_events
from coursekit.jets import JETCLASS_LABELS, load_jetclass
from coursekit.streaming import BatchStream, plan_shuffle, read_chunks, shuffle_file
from coursekit.streaming.shuffle import LIBRARIES
from tests.properties.strategies import refused

NUMBERS = ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"]
#: Characters of one to four bytes.
TEXT = st.text(st.sampled_from("abé€𝛾 "), max_size=5)


@st.composite
def trees(draw):
    """Branches of the kinds that a tree may have, flat and jagged; with equal events more often than not."""
    n = draw(st.integers(1, 40))
    events = {}
    for i, dtype in enumerate(draw(st.lists(st.sampled_from(NUMBERS), min_size=1, max_size=3))):
        events[f"flat{i}"] = draw(hnp.arrays(np.dtype(dtype), n))
    if draw(st.booleans()):
        events["matrix"] = draw(hnp.arrays(np.float32, (n, 2)))
    if draw(st.booleans()):
        events["name"] = ak.Array(draw(st.lists(TEXT, min_size=n, max_size=n)))
    for group in draw(st.lists(st.sampled_from(["Jet", "Tau"]), unique=True)):
        counts = np.array(draw(st.lists(st.integers(0, 4), min_size=n, max_size=n)))
        fields = {f: draw(hnp.arrays(np.dtype(draw(st.sampled_from(NUMBERS))), int(counts.sum()))) for f in ("pt", "q")}
        events[group] = ak.zip({f: ak.unflatten(values, counts) for f, values in fields.items()})
    return events


def write_tree(path, events, basket):
    """Write branches in baskets of so many events."""
    n = len(next(iter(events.values())))
    kinds = {
        name: ak.type(ak.Array(column)).content
        if isinstance(column, ak.Array)
        else np.dtype((column.dtype, column.shape[1:]))
        for name, column in events.items()
    }
    with uproot.recreate(path) as file:
        tree = file.mktree("Events", kinds)
        for at in range(0, n, basket):
            tree.extend({name: column[at : at + basket] for name, column in events.items()})


def same(one, other):
    """Whether two arrays are the same to the bit, -0.0 and NaN included."""
    one, other = ak.Array(one), ak.Array(other)
    flat = [ak.to_numpy(ak.flatten(array, axis=None)) for array in (one, other)]
    return ak.array_equal(one, other, equal_nan=True, dtype_exact=True) and flat[0].tobytes() == flat[1].tobytes()


def small_memory(path):
    """The least memory of a shuffle, with which eight events make a bucket."""
    return int(LIBRARIES + 21 * (8 + plan_shuffle(path).event_bytes))


@given(trees(), st.integers(1, 50), st.booleans(), st.integers(0, 2**32 - 1))
def test_a_shuffled_tree_has_the_same_events_in_the_order_of_the_generator(events, basket, little, seed):
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "a.root", Path(folder) / "b.root"
        write_tree(source, events, basket)
        memory = small_memory(source) if little else "500MB"
        plan = shuffle_file(source, target, np.random.default_rng(seed), memory)
        with uproot.open(source) as old, uproot.open(target) as new:
            before, after = old["Events"].arrays(), new["Events"].arrays()
    order = np.argsort(np.random.default_rng(seed).random(len(before)), kind="stable")
    assert plan.n_buckets >= len(before) / 9 or not little
    assert set(after.fields) == set(before.fields)
    for name in before.fields:
        assert same(after[name], before[name][order]), name


@st.composite
def frames(draw):
    """A table of pandas with columns of several types and an index of any order."""
    n = draw(st.integers(1, 40))
    columns = {
        f"x{i}": draw(hnp.arrays(np.dtype(d), n)) for i, d in enumerate(draw(st.lists(st.sampled_from(NUMBERS))))
    }
    columns["event"] = np.arange(n)
    if draw(st.booleans()):
        columns["name"] = draw(st.lists(st.text("abé€", min_size=1, max_size=5), min_size=n, max_size=n))
    if draw(st.booleans()):
        columns["kind"] = pd.Categorical(draw(st.lists(st.sampled_from("ab"), min_size=n, max_size=n)))
    return pd.DataFrame(columns, index=draw(hnp.arrays(np.int64, n, elements=st.integers(0, 100))))


@given(frames(), st.booleans(), st.integers(0, 2**32 - 1))
def test_a_shuffled_table_has_the_same_events_in_the_order_of_the_generator(frame, little, seed):
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "a.h5", Path(folder) / "b.h5"
        frame.to_hdf(source, key="table", format="table")
        memory = small_memory(source) if little else "500MB"
        shuffle_file(source, target, np.random.default_rng(seed), memory)
        before, after = pd.read_hdf(source, "table"), pd.read_hdf(target, "table")
    order = np.argsort(np.random.default_rng(seed).random(len(before)), kind="stable")
    pd.testing.assert_frame_equal(after, before.iloc[order], check_exact=True)


@given(trees(), st.integers(1, 50), st.data())
def test_any_slice_of_a_tree_is_that_slice_of_the_whole(events, basket, data):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.root"
        write_tree(path, events, basket)
        whole = load_events(path, allow_nonfinite=True)
        n = len(next(iter(whole.values())))
        start, stop = data.draw(st.integers(0, n - 1)), data.draw(st.integers(1, n))
        if start < stop:
            part = load_events(path, start=start, stop=stop, allow_nonfinite=True)
            for name, column in whole.items():
                assert same(part[name], column[start:stop]), name
            pieces = list(read_chunks(path, chunk=data.draw(st.integers(1, 50)), start=start, stop=stop))
            for name, column in whole.items():
                assert same(ak.concatenate([piece[name] for piece in pieces]), column[start:stop]), name
            samples = [{name: column[a:b] for name, column in whole.items()} for a, b in ((0, start), (start, n))]
            for name, column in concatenate_events(samples).items():
                assert same(column, whole[name]), name
        names = data.draw(st.permutations(list(whole)))
        assert list(load_events(path, names, allow_nonfinite=True)) == names


@given(st.integers(1, 20), st.data())
def test_slices_of_jetclass_join_to_all(n, data):
    counts = np.array(data.draw(st.lists(st.integers(1, 5), min_size=n, max_size=n)))
    values = data.draw(hnp.arrays(np.float32, (int(counts.sum()), 4), elements=st.floats(-1e3, 1e3, width=32)))
    values[:, 3] = np.abs(values[:, 3]) + 0.5
    classes = np.array(data.draw(st.lists(st.integers(0, 9), min_size=n, max_size=n)))
    names = ["part_px", "part_py", "part_pz", "part_energy"]
    events = {name: ak.unflatten(column, counts) for name, column in zip(names, values.T, strict=True)}
    events |= {f"label_{name}": (classes == i).astype(np.float32) for i, name in enumerate(JETCLASS_LABELS)}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "jets.root"
        with uproot.recreate(path) as file:
            file["tree"] = events
        jets, labels = load_jetclass(path)
        cut = data.draw(st.integers(1, n))
        slices = [load_jetclass(path, 0, cut)] + ([load_jetclass(path, cut)] if cut < n else [])
    np.testing.assert_array_equal(labels, classes)
    np.testing.assert_array_equal(ak.num(jets), counts)
    np.testing.assert_array_equal(ak.flatten(jets.E), values[:, 3])
    assert ak.array_equal(ak.concatenate([part for part, _ in slices]), jets)
    np.testing.assert_array_equal(np.concatenate([part for _, part in slices]), labels)


# ------------------------------------------------------------------------------------------------------------- streams


@functools.cache
def numbered(folder, place, n, basket, suffix):
    """A file of n events with numbers that no other place has."""
    path = folder / f"{place}_{n}_{basket}{suffix}"
    events = np.arange(n) + 1000 * place
    if suffix == ".root":
        hits = ak.unflatten(np.repeat(events, events % 4), events % 4)  # as many as the event has
        write_tree(path, {"event": events, "x": events / 7, "hits": hits}, basket)
    else:
        pd.DataFrame({"event": events, "x": events / 7}).to_hdf(path, key="table", format="table")
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("streams")


SIZES = st.tuples(
    st.sampled_from([1, 2, 3, 10, 37]), st.sampled_from([1, 4, 100]), st.sampled_from([".root", ".root", ".h5"])
)


@st.composite
def streams(draw):
    """The sizes of files, and a function that opens a stream on them."""
    sizes = draw(st.lists(SIZES, min_size=1, max_size=3))
    chunk, batch_size = draw(st.integers(1, 60)), draw(st.integers(1, 60))
    buffer = chunk + draw(st.integers(0, 60))
    seed = draw(st.none() | st.integers(0, 2**32 - 1))

    def opened(folder, part=(0.0, 1.0), seed=seed):
        files = {numbered(folder, i, *size): i for i, size in enumerate(sizes)}
        rng = None if seed is None else np.random.default_rng(seed)
        return BatchStream(files, prepare, rng, part=part, batch_size=batch_size, chunk=chunk, buffer=buffer)

    return [n for n, _, _ in sizes], batch_size, opened


def prepare(events, place):
    return events["event"][:, None], np.full(len(events["event"]), place), events["x"]


def epoch_of(stream, epoch=0):
    """The batches of an epoch: numbers, places and weights of the events."""
    batches = [[array.reshape(-1) for array in batch] for batch in stream.batches(epoch)]
    for numbers, places, weights in batches:
        np.testing.assert_array_equal(numbers // 1000, places)
        np.testing.assert_array_equal(numbers / 7, weights)
    return [numbers for numbers, _, _ in batches]


@given(streams(), st.integers(0, 2**31))
def test_an_epoch_has_every_event_once_in_full_batches(folder, setting, epoch):
    sizes, batch_size, opened = setting
    stream = opened(folder)
    batches = epoch_of(stream, epoch)
    everything = [1000 * i + k for i, n in enumerate(sizes) for k in range(n)]
    assert sorted(np.concatenate(batches)) == everything
    assert len(stream) == len(batches)
    assert stream.n_events == len(everything)
    assert {len(batch) for batch in batches[:-1]} <= {batch_size}
    for one, other in zip(batches, epoch_of(opened(folder), epoch), strict=True):
        np.testing.assert_array_equal(one, other)


@given(streams())
def test_without_a_generator_the_order_is_kept(folder, setting):
    sizes, _, opened = setting
    numbers = np.concatenate(epoch_of(opened(folder, seed=None)))
    for i, n in enumerate(sizes):
        np.testing.assert_array_equal(numbers[numbers // 1000 == i], 1000 * i + np.arange(n))


@given(st.lists(SIZES, min_size=1, max_size=3), st.integers(1, 60), st.integers(0, 60), st.integers(1, 60))
def test_jagged_inputs_come_with_their_events(folder, sizes, chunk, more, batch_size):
    files = {numbered(folder, i, n, basket, ".root"): i for i, (n, basket, _) in enumerate(sizes)}
    stream = BatchStream(
        files,
        lambda events, place: (events["hits"], np.full(len(events["x"]), place), events["event"]),
        np.random.default_rng(1),
        batch_size=batch_size,
        chunk=chunk,
        buffer=chunk + more,
    )
    found = []
    for hits, _, numbers in stream:
        assert hits.to_list() == [[number] * (number % 4) for number in numbers.tolist()]
        found += numbers.tolist()
    assert sorted(found) == [1000 * i + k for i, (n, _, _) in enumerate(sizes) for k in range(n)]


@given(streams(), st.lists(st.floats(0, 1, exclude_min=True, exclude_max=True), min_size=1, max_size=3, unique=True))
def test_parts_are_disjoint_and_complete(folder, setting, cuts):
    sizes, _, opened = setting
    edges = [0.0, *sorted(cuts), 1.0]
    found = Counter()
    for part in itertools.pairwise(edges):
        stream = refused(opened, folder, part)
        assume(stream is not None)  # none of the events of one file
        found.update(np.concatenate(epoch_of(stream)).tolist())
    assert found == Counter(1000 * i + k for i, n in enumerate(sizes) for k in range(n))
