"""What is stored returns, what is divided stays whole, and what differs is found: the small modules."""

import tempfile
from functools import partial
from pathlib import Path

import awkward as ak
import nbformat
import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from coursekit.arrays import plain
from coursekit.checks.compare import agree, difference
from coursekit.ledger import record, recorded
from coursekit.preprocess import Scaler
from coursekit.reproducing import differences, reproduced
from coursekit.splitting import (
    duplicates_across,
    fingerprint,
    load_indices,
    save_indices,
    shuffle_together,
    split_by_hash,
    split_indices,
    stratified_folds,
)
from coursekit.words import listed, near
from tests.properties.strategies import FINITE, TIED, USUAL, floats, labels_of_both, refused

SEEDS = st.integers(0, 2**32 - 1)
NAMES = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1)  # in one line
FRACTIONS = st.lists(st.floats(0.05, 1), min_size=2, max_size=5).map(lambda x: [y / sum(x) for y in x])


# ------------------------------------------------------------------------------------------------------------ arrays


@given(st.integers(0, 20), st.sampled_from(["?", "i2", "i8", "u1", "f4", "f8", ">f8", ">i4"]), st.data())
def test_an_array_is_the_same_whatever_it_comes_as_and_whole(n, dtype, data):
    elements = {"allow_nan": False} if "f" in dtype else None  # pandas takes NaN for missing in its own types
    values, missing = data.draw(hnp.arrays(np.dtype(dtype), n, elements=elements)), data.draw(hnp.arrays(bool, n))
    right = values.astype(values.dtype.newbyteorder("="))
    order = data.draw(st.permutations(range(n)))  # an index of pandas is not looked at
    with_none = [None if gone else value for value, gone in zip(values.tolist(), missing, strict=True)]
    dressed = [
        (values, False),
        (np.repeat(values, 2)[::2], False),
        (pd.Series(right, index=order), False),
        (ak.Array(right), False),
        (np.ma.array(values, mask=missing), True),
        (ak.mask(ak.Array(right), ~missing), True),
        (pd.Series(pd.array(with_none, dtype="Float64" if right.dtype.kind == "f" else "Int64"), index=order), True),
        (with_none, True),
    ]
    for came, may_miss in dressed:
        if may_miss and missing.any():
            first = f"missing in {missing.sum()} of {n} events, first in event {np.argmax(missing)}"
            with pytest.raises(ValueError, match=first):
                plain(came, "mth")
        elif n:
            array = plain(came, "mth")
            assert type(array) is np.ndarray
            assert array.dtype.isnative
            np.testing.assert_array_equal(array, right)


# ----------------------------------------------------------------------------------------------------------- splitting


@given(st.integers(1, 300), FRACTIONS, SEEDS)
def test_a_split_is_complete_disjoint_and_right_to_one_event(n, fractions, seed):
    parts = refused(split_indices, n, np.random.default_rng(seed), fractions)
    if parts is None:
        assert n * min(fractions) < 2
        return
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(n))
    for part, fraction in zip(parts, fractions, strict=True):
        assert len(part) > 0
        assert abs(len(part) - n * fraction) <= 1 + 1e-9


@given(st.data())
def test_a_hash_keeps_equal_keys_together_and_events_where_they_are(data):
    n = data.draw(st.integers(2, 100))
    dtype = np.dtype(data.draw(st.sampled_from(["i1", "u2", "i4", "i8", "u8", ">i4"])))
    keys = [data.draw(hnp.arrays(dtype, n)), np.arange(n) // data.draw(st.integers(1, 3))]
    fractions, salt = data.draw(FRACTIONS), data.draw(st.integers(-5, 5))
    parts = refused(lambda: split_by_hash(*keys, fractions=fractions, salt=salt))
    if parts is None:
        return
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(n))
    assert len(duplicates_across(parts, *keys)) == 0
    fewer = refused(lambda: split_by_hash(*(key[: n // 2] for key in keys), fractions=fractions, salt=salt))
    if fewer is not None:
        for part, before in zip(fewer, parts, strict=True):
            np.testing.assert_array_equal(part, before[before < n // 2])


@given(st.lists(st.integers(-2, 2) | st.sampled_from(["a", "b"]), min_size=1, max_size=60), st.integers(2, 5), SEEDS)
def test_folds_are_complete_disjoint_and_alike(labels, k, seed):
    labels = np.array(labels)
    folds = refused(stratified_folds, labels, k, np.random.default_rng(seed))
    if folds is None:
        assert np.unique(labels, return_counts=True)[1].min() < k
        return
    np.testing.assert_array_equal(np.sort(np.concatenate([held for _, held in folds])), np.arange(len(labels)))
    for train, held in folds:
        np.testing.assert_array_equal(np.sort(np.concatenate([train, held])), np.arange(len(labels)))
    for chosen in [np.full(len(labels), True), *(labels == label for label in np.unique(labels))]:
        sizes = [chosen[held].sum() for _, held in folds]
        assert max(sizes) - min(sizes) <= 1


@given(st.integers(1, 50), SEEDS)
def test_shuffling_together_keeps_events_together(n, seed):
    one, other = shuffle_together(np.random.default_rng(seed), np.arange(n), np.arange(n) * 1j)
    np.testing.assert_array_equal(np.sort(one), np.arange(n))
    np.testing.assert_array_equal(other, one * 1j)


@given(st.integers(1, 20), st.sampled_from(["i1", "u4", "i8", "u8", "f4", "f8"]), st.data())
def test_a_fingerprint_changes_with_any_value_and_with_the_order(n, dtype, data):
    keys = data.draw(st.lists(hnp.arrays(np.dtype(dtype), n), min_size=1, max_size=3))
    before = fingerprint(*keys)
    assert fingerprint(*(key.copy() for key in keys)) == before
    changed = [key.copy() for key in keys]
    which, i = data.draw(st.integers(0, len(keys) - 1)), data.draw(st.integers(0, n - 1))
    changed[which][i] = data.draw(hnp.from_dtype(np.dtype(dtype)))
    same = changed[which].tobytes() == keys[which].tobytes()
    assume(same or not np.array_equal(changed[which], keys[which], equal_nan=dtype[0] == "f"))  # 0.0 and -0.0, two NaN
    assert (fingerprint(*changed) == before) == same
    order = data.draw(st.permutations(range(n)))
    moved = [key[order] for key in keys]
    if any(not np.array_equal(a, b, equal_nan=dtype[0] == "f") for a, b in zip(moved, keys, strict=True)):
        assert fingerprint(*moved) != before


@given(st.dictionaries(NAMES, st.integers(0, 9), min_size=1, max_size=4), SEEDS)
def test_index_lists_return_under_their_names(sizes, seed):
    order = np.random.default_rng(seed).permutation(sum(sizes.values()))
    parts = dict(zip(sizes, np.split(order, np.cumsum(list(sizes.values()))[:-1]), strict=True))
    with tempfile.TemporaryDirectory() as folder:
        save_indices(f"{folder}/split.npz", parts, "0123")
        again = load_indices(f"{folder}/split.npz", "0123")
    assert list(again) == list(parts)
    for name, indices in parts.items():
        np.testing.assert_array_equal(again[name], indices)


@given(st.data())
def test_what_taggers_said_is_in_the_ledger(data):
    labels = data.draw(st.integers(2, 20).flatmap(labels_of_both))
    taggers = data.draw(st.dictionaries(NAMES, floats(len(labels), FINITE | USUAL), min_size=1, max_size=3))
    with tempfile.TemporaryDirectory() as folder:
        work, kept = Path(folder) / "08", {}
        for i, (tagger, score) in enumerate(taggers.items()):
            if refused(record, work, tagger, labels, score, i) is None:
                assert np.abs(score).max() > np.finfo(np.float32).max
            else:
                kept[tagger] = score.astype(np.float32)
        found = {name: entry for name, entry in recorded(work, labels).items() if entry.lesson == "08"}
    assert set(found) == set(kept)
    for tagger, score in kept.items():
        np.testing.assert_array_equal(found[tagger].score, score)
        assert found[tagger].n_training == list(taggers).index(tagger)


# ------------------------------------------------------------------------------------------------------------- scaling


@st.composite
def tables(draw, elements=FINITE | TIED | USUAL):
    """A table (N, F) and the names of its columns."""
    names = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
    n = draw(st.integers(1, 20))
    dtype = draw(st.sampled_from([np.float64, np.float64, np.float32]))
    with np.errstate(over="ignore"):
        table = np.stack([draw(floats(n, elements)) for _ in names], axis=1).astype(dtype)
    assume(np.isfinite(table).all())
    return table, names


@given(tables(), st.data())
def test_scaled_inputs_are_finite_and_a_stored_scaler_scales_alike(table_and_names, data):
    table, names = table_and_names
    default = data.draw(st.sampled_from([table[0, 0], table[-1, -1], -99.9]))
    defaults = data.draw(st.sampled_from([{}, {names[0]: float(default)}]))
    fill = data.draw(st.sampled_from(["mean", "median"]))
    checks = {f"no {name}": name for name in defaults if data.draw(st.booleans())}
    scaler = refused(partial(Scaler.fit, fill=fill, checks=checks), table, names, None, defaults)
    if scaler is None:
        return
    assert np.isfinite(scaler.offset).all()
    assert np.isfinite(scaler.scale).all()
    assert (scaler.scale > 0).all()
    scaled = scaler.transform(table)
    assert np.isfinite(scaled).all()
    assert np.abs(scaled).max() <= np.sqrt(len(table)) * 1.001
    with tempfile.TemporaryDirectory() as folder:
        scaler.save(f"{folder}/variables.json")
        again = Scaler.load(f"{folder}/variables.json", names)
    assert again.inputs == tuple(names)
    assert (again.defaults, again.fills, again.checks) == (scaler.defaults, scaler.fills, scaler.checks)
    assert again.offset.tobytes() == scaler.offset.tobytes()
    assert again.scale.tobytes() == scaler.scale.tobytes()
    assert again.transform(table).tobytes() == scaled.tobytes()


@given(tables(USUAL), st.data())
def test_other_events_are_scaled_to_finite_numbers_or_refused(table_and_names, data):
    table, names = table_and_names
    scaler = refused(Scaler.fit, table, names)
    if scaler is not None:
        other = data.draw(hnp.arrays(np.float64, (3, len(names)), elements=FINITE))
        scaled = refused(scaler.transform, other)
        assert scaled is None or np.isfinite(scaled).all()


# ----------------------------------------------------------------------------------------------------------- comparing

TYPES = st.sampled_from(["?", "i1", "u8", "i8", "f4", "f8"]).map(np.dtype)
ARRAYS = hnp.arrays(TYPES, hnp.array_shapes(min_dims=0, max_dims=3))


@given(ARRAYS)
def test_an_answer_equal_to_the_reference_passes(right):
    assert difference("the answer", right.copy(), right) == ""
    assert difference("the answer", {"a": [right.copy()]}, {"a": [right]}) == ""
    assert agree(right.copy(), right)
    assert agree(right.tolist(), right)


@given(st.lists(st.lists(st.floats()), min_size=1), st.data())
def test_a_jagged_answer_passes_if_it_is_the_reference(lists, data):
    right = ak.Array(lists)
    assert difference("the answer", ak.Array(lists), right) == ""
    assert agree(lists, right)
    fewer = [row[:-1] for row in lists]
    assert agree(ak.Array(fewer), right) == (fewer == lists)
    assert (difference("the answer", ak.Array(fewer), right) == "") == (fewer == lists)


@given(st.data())
def test_a_value_beyond_the_tolerance_does_not_pass(data):
    right = data.draw(hnp.arrays(np.float64, hnp.array_shapes(max_dims=2, max_side=4)))
    got = right.copy()
    place = tuple(data.draw(st.integers(0, side - 1)) for side in right.shape)
    got[place] = data.draw(st.floats())
    with np.errstate(over="ignore", invalid="ignore"):
        close = np.abs(got[place] - right[place]) <= 1e-9 + 1e-5 * np.abs(right[place])
    equal = got[place] == right[place] or (np.isnan(got[place]) and np.isnan(right[place]))
    close = equal or (bool(close) and np.isfinite([got[place], right[place]]).all())
    sentence = difference("the answer", got, right)
    assert (sentence == "") == close
    assert "\n" not in sentence
    assert agree(got, right) == close


@given(st.text(), st.lists(st.text()))
def test_words_are_found_for_any_names(name, known):
    assert isinstance(near(name, known), str)
    text = listed(known)
    assert text
    assert all(word in text for word in known[:1])
    if name in known:
        assert near(name, known) or not name


OUTPUT = st.text() | st.text("0123456789.,-+−± aboutgivek\n").map("about 2 ± 0.5, give or take ".__add__)


@given(OUTPUT, OUTPUT)
def test_what_was_printed_reproduces_itself(text, other):
    assert reproduced(text, text) == text
    assert reproduced({"text": [text]}, {"text": [other]}) == {"text": [reproduced(text, other)]}
    with tempfile.TemporaryDirectory() as folder:
        for name, said in (("a", text), ("b", text), ("c", text + "x")):
            output = nbformat.v4.new_output("stream", text=said)
            cells = [nbformat.v4.new_code_cell("print(text)", outputs=[output], id="0")]
            nbformat.write(nbformat.v4.new_notebook(cells=cells), f"{folder}/{name}.ipynb")
        a, b, c = (Path(folder) / f"{name}.ipynb" for name in "abc")
        assert differences(a, b) == []
        assert differences(a, c)


@pytest.mark.parametrize("text", ["", "\ud800", "{}", "%s"])
def test_words_of_odd_names(text):
    assert isinstance(near(text, [text, "a"]), str)
