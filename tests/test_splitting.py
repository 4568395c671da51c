import subprocess
import sys

import awkward as ak
import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import StratifiedKFold

from coursekit.splitting import (
    _splitmix64,
    duplicates_across,
    fingerprint,
    load_indices,
    save_indices,
    shuffle_together,
    split_by_hash,
    split_indices,
    stratified_folds,
)


def rng(seed=1):
    return np.random.default_rng(seed)


# ----------------------------------------------------------------------------------------------------------- shuffling


def test_shuffle_keeps_events_together_and_loses_none():
    x = np.arange(100)
    table, jets = np.column_stack([x, -x]), ak.unflatten(np.repeat(x, x % 4), x % 4)
    a, b, c = shuffle_together(rng(), x, table, jets)
    np.testing.assert_array_equal(np.sort(a), x)
    assert (a != x).any()
    np.testing.assert_array_equal(b, np.column_stack([a, -a]))
    assert ak.all(ak.flatten(c == a))
    np.testing.assert_array_equal(ak.num(c), a % 4)
    np.testing.assert_array_equal(x, np.arange(100))
    np.testing.assert_array_equal(a, x[rng().permutation(100)])


def test_shuffle_refuses():
    with pytest.raises(ValueError, match=r"unequal lengths \[3, 2\]"):
        shuffle_together(rng(), np.ones(3), np.ones(2))
    with pytest.raises(ValueError, match="no array came"):
        shuffle_together(rng())
    with pytest.raises(TypeError, match="but a dict came"):
        shuffle_together(rng(), {"mth": np.ones(3)})
    with pytest.raises(TypeError, match=r"default_rng\(1\), but 1 came"):
        shuffle_together(1, np.ones(3))


# ----------------------------------------------------------------------------------------------------------- splitting


def test_split_by_hand():
    parts = split_indices(10, rng())
    assert [len(part) for part in parts] == [6, 2, 2]
    np.testing.assert_array_equal(np.concatenate(parts), rng().permutation(10))


@pytest.mark.parametrize("n", [11, 101, 1000, 9999])
@pytest.mark.parametrize("fractions", [(0.6, 0.2, 0.2), (1 / 3, 1 / 3, 1 / 3), (0.5, 0.5), (0.7, 0.1, 0.1, 0.1)])
def test_split_is_a_partition_with_sizes_right_to_one_event(n, fractions):
    parts = split_indices(n, rng(), fractions)
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(n))
    for part, fraction in zip(parts, fractions, strict=True):
        assert abs(len(part) - fraction * n) <= 1


def test_split_refuses():
    for fractions in [(0.6, 0.2, 0.3), (60, 20, 20), (0.5, 0.4)]:
        with pytest.raises(ValueError, match=r"fractions sum to .* not 1"):
            split_indices(10, rng(), fractions)
        with pytest.raises(ValueError, match=r"fractions sum to .* not 1"):
            split_by_hash(np.arange(10), fractions=fractions)
    for fractions in [(1.2, -0.2), (1.0, 0.0), (1.0,), 0.5, (np.nan, 0.5)]:
        with pytest.raises(ValueError, match="at least two positive numbers"):
            split_indices(10, rng(), fractions)
    with pytest.raises(ValueError, match=r"2 events in fractions .* give parts of \[1, 1, 0\]: one is empty"):
        split_indices(2, rng())
    with pytest.raises(ValueError, match="one is empty"):
        split_indices(-5, rng())
    with pytest.raises(TypeError, match="rng is a NumPy Generator"):
        split_indices(10, 1)


# ------------------------------------------------------------------------------------------------------ split by hash


def test_splitmix64_gives_the_published_sequence():
    # the first numbers of the generator with seed 1234567, as in the reference implementations in C and Java
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    state = np.array([(1234567 + i * 0x9E3779B97F4A7C15) % 2**64 for i in range(4)], dtype=np.uint64)
    np.testing.assert_array_equal(_splitmix64(state), np.array(expected, dtype=np.uint64))


def test_split_by_hash_agrees_with_python_integers():
    def step(x):
        x = (x + 0x9E3779B97F4A7C15) % 2**64
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        x = (x ^ (x >> 27)) * 0x94D049BB133111EB % 2**64
        return x ^ (x >> 31)

    run, event = rng().integers(0, 2**40, (2, 300))
    u = [(step(step(5 ^ int(r)) ^ int(e)) >> 11) / 2**53 for r, e in zip(run, event, strict=True)]
    train, test = split_by_hash(run, event, fractions=(0.7, 0.3), salt=5)
    np.testing.assert_array_equal(train, np.flatnonzero(np.array(u) < 0.7))
    np.testing.assert_array_equal(test, np.flatnonzero(np.array(u) >= 0.7))


def test_split_by_hash_is_even_and_independent_between_salts_and_neighbours():
    n = 60_000
    one, two = (split_by_hash(np.arange(n), salt=salt) for salt in (0, 1))
    for a, fraction in zip(one, (0.6, 0.2, 0.2), strict=True):
        assert abs(len(a) - n * fraction) < 4 * np.sqrt(n * fraction * (1 - fraction))
    both = len(np.intersect1d(one[2], two[2]))
    assert abs(both - n * 0.04) < 4 * np.sqrt(n * 0.04)
    neighbours = np.isin(one[2] + 1, one[2]).mean()
    assert abs(neighbours - 0.2) < 4 * np.sqrt(0.2 * 0.8 / len(one[2]))


def test_split_by_hash_depends_on_identity_alone():
    run, event = rng().integers(1, 50, 1000), rng(2).integers(0, 2**40, 1000)
    test = split_by_hash(run, event)[2]
    order = rng(3).permutation(1000)
    np.testing.assert_array_equal(
        np.sort(event[test]), np.sort(event[order][split_by_hash(run[order], event[order])[2]])
    )
    np.testing.assert_array_equal(split_by_hash(run[:500], event[:500])[2], test[test < 500])
    np.testing.assert_array_equal(split_by_hash(run.astype("i4"), event)[2], test)
    parts = split_by_hash(run)
    assert sum(len(np.unique(run[part])) for part in parts) == len(np.unique(run))


def test_split_by_hash_refuses():
    with pytest.raises(TypeError, match="keys are integers such as run and event numbers, but float64 came"):
        split_by_hash(np.ones(3))
    with pytest.raises(ValueError, match=r"unequal lengths \[3, 2\]"):
        split_by_hash(np.arange(3), np.arange(2))
    with pytest.raises(ValueError, match="1 different keys are too few"):
        split_by_hash(np.full(1000, 7))
    with pytest.raises(ValueError, match="is a flat array"):
        split_by_hash(np.ones((3, 2), "i8"))


# ---------------------------------------------------------------------------------------------------------------- folds


def test_folds_by_hand():
    labels = np.array([1, 1, 0, 0, 0, 0, 0])
    folds = stratified_folds(labels, 2, rng())
    assert sorted(len(validation) for _, validation in folds) == [3, 4]
    assert [labels[validation].sum() for _, validation in folds] == [1, 1]


@pytest.mark.parametrize("k", [2, 5, 7])
def test_folds_have_the_class_shares_of_scikit_learn(k):
    labels = (rng().random(1003) < 0.3).astype(int) + (rng(2).random(1003) < 0.1)
    ours = stratified_folds(labels, k, rng())
    theirs = StratifiedKFold(k, shuffle=True, random_state=1).split(labels[:, None], labels)
    np.testing.assert_array_equal(np.sort(np.concatenate([validation for _, validation in ours])), np.arange(1003))
    for (train, validation), (_, their_validation) in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(np.union1d(train, validation), np.arange(1003))
        assert len(train) + len(validation) == 1003
        assert np.abs(np.bincount(labels[validation]) - np.bincount(labels[their_validation])).max() <= 1
    sizes = [len(validation) for _, validation in ours]
    assert max(sizes) - min(sizes) <= 1


def test_folds_are_random_and_reproducible():
    labels = np.repeat([0, 1], 50)
    one, two, other = (stratified_folds(labels, 5, rng(seed))[0][1] for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, other)


def test_folds_refuse():
    with pytest.raises(ValueError, match="class 1 has 3 events, too few for 5 folds: take at most 3 folds"):
        stratified_folds(np.array([0] * 20 + [1] * 3), 5, rng())
    with pytest.raises(ValueError, match="k is 1: at least 2 folds"):
        stratified_folds(np.array([0, 1]), 1, rng())
    for labels in (np.zeros((3, 2)), np.array([])):
        with pytest.raises(ValueError, match="labels is a flat array"):
            stratified_folds(labels, 2, rng())


# -------------------------------------------------------------------------------------------------------------- leakage


def test_duplicates_by_hand():
    run, event = np.array([1, 1, 2, 1, 2, 1]), np.array([5, 6, 5, 5, 7, 6])
    # (1, 5) is in train and test; (1, 6) twice within train, which is no leak
    np.testing.assert_array_equal(duplicates_across([[0, 1, 2, 5], [3, 4]], run, event), [0, 3])
    np.testing.assert_array_equal(duplicates_across([[0, 1, 5], [2], [3, 4]], event), [0, 2, 3])
    assert len(duplicates_across([[0, 1, 2], [4]], run, event)) == 0


def test_duplicates_agree_with_python_sets():
    table = rng().integers(0, 6, (200, 4)) / 3
    parts = split_indices(200, rng(2))
    rows = [{tuple(row) for row in table[part]} for part in parts]
    shared = (rows[0] & rows[1]) | (rows[0] & rows[2]) | (rows[1] & rows[2])
    expected = [i for i in range(200) if tuple(table[i]) in shared]
    np.testing.assert_array_equal(duplicates_across(parts, *table.T), expected)


def test_duplicates_do_not_confuse_large_numbers():
    # as float64 these two event numbers would be equal
    event, weight = np.array([2**53, 2**53 + 1]), np.array([0.5, 0.5])
    assert len(duplicates_across([[0], [1]], event, weight)) == 0
    assert len(duplicates_across([[0], [1]], weight)) == 2


def test_duplicates_refuse():
    with pytest.raises(ValueError, match=r"of a table pass \*table\.T"):
        duplicates_across([[0], [1]], np.ones((2, 2)))
    with pytest.raises(ValueError, match="no array came"):
        duplicates_across([[0], [1]])
    with pytest.raises(ValueError, match=r"unequal lengths \[2, 3\]"):
        duplicates_across([[0], [1]], np.ones(2), np.ones(3))


# ---------------------------------------------------------------------------------------------------------- index lists


def test_fingerprint_knows_values_order_and_length_but_not_the_width():
    event, mth = np.arange(10), np.linspace(0, 1, 10, dtype="f4")
    known = fingerprint(event, mth)
    assert known == fingerprint(event.astype("i4"), mth.astype("f8"))
    others = [
        fingerprint(event[::-1], mth),
        fingerprint(event[:9], mth[:9]),
        fingerprint(mth, event),
        fingerprint(event),
        fingerprint(event, np.nextafter(mth, 1)),
    ]
    assert known not in others
    assert len(set(others)) == len(others)
    with pytest.raises(TypeError, match="keys are numbers, but <U1 came"):
        fingerprint(np.array(["a"]))


def test_fingerprint_and_hash_are_the_same_in_another_process():
    code = (
        "import numpy as np; from coursekit.splitting import *; a = np.arange(50);"
        "print(fingerprint(a), [part.tolist() for part in split_by_hash(a)])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True).stdout.strip()
    a = np.arange(50)
    assert out == f"{fingerprint(a)} {[part.tolist() for part in split_by_hash(a)]}"
    # frozen: with other values, lists and splits made by an earlier version would no longer be recognised
    assert fingerprint(a) == "c76709860cf67399"
    assert split_by_hash(a)[2].tolist() == [0, 23, 31, 32, 36, 38, 39, 44, 45]


def test_indices_return_as_stored_and_only_for_the_same_events(tmp_path):
    path, event = tmp_path / "split.npz", rng().permutation(100)
    parts = dict(zip(("train", "validation", "test"), split_indices(100, rng()), strict=True))
    save_indices(path, parts, fingerprint(event))
    again = load_indices(path, fingerprint(event))
    assert list(again) == ["train", "validation", "test"]
    for name, indices in parts.items():
        np.testing.assert_array_equal(again[name], indices)
    for changed in (np.sort(event), event[:-1], event + 1):
        with pytest.raises(ValueError, match=r"split\.npz was made for other events: its fingerprint is"):
            load_indices(path, fingerprint(changed))
    save_indices(path, {"file": [0], "identity": [1]}, "x")
    assert list(load_indices(path, "x")) == ["file", "identity"]
    assert [file.name for file in tmp_path.iterdir()] == ["split.npz"]


def test_indices_refuse(tmp_path):
    with pytest.raises(FileNotFoundError, match="Split once, store the result with save_indices"):
        load_indices(tmp_path / "none.npz", "x")
    with pytest.raises(ValueError, match="event 2 is in two parts"):
        save_indices(tmp_path / "split.npz", {"train": [1, 2], "test": [2, 3]}, "x")
    path = tmp_path / "split.npz"
    save_indices(path, {"train": [0, 1]}, "x")
    whole = path.read_bytes()
    for wrong in (whole[:-30], b"", b"no zip at all"):
        path.write_bytes(wrong)
        with pytest.raises(ValueError, match=r"split\.npz is not a file of index lists"):
            load_indices(path, "x")
    np.savez(path, train=[1])
    with pytest.raises(ValueError, match="is not a file of index lists"):
        load_indices(path, "x")


# ------------------------------------------------------------------------------------- columns of pandas, masked arrays


def test_shuffle_matches_columns_of_pandas_by_position():
    frame = pd.DataFrame({"x": np.arange(100.0), "y": np.arange(100)}).sample(frac=1, random_state=1)
    values, column, rows, table = shuffle_together(rng(), frame["x"].to_numpy(), frame["x"], frame, frame["y"].array)
    np.testing.assert_array_equal(values, column.to_numpy())
    np.testing.assert_array_equal(values, rows["x"].to_numpy())
    np.testing.assert_array_equal(values, table)
    assert list(rows.index) == list(column.index)


def test_a_mask_travels_with_its_event():
    masked = np.ma.array(np.arange(10), mask=np.arange(10) % 3 == 0)
    events, moved = shuffle_together(rng(), np.arange(10), masked)
    np.testing.assert_array_equal(moved.mask, events % 3 == 0)


@pytest.mark.parametrize(
    "key",
    [
        np.ma.array([1, 2, 3], mask=[0, 1, 0]),
        ak.mask(ak.Array([1, 2, 3]), [True, False, True]),
        pd.Series([1, None, 3], dtype="Int64"),
    ],
    ids=lambda key: type(key).__name__,
)
def test_keys_without_a_value_are_refused(key):
    for function in (fingerprint, split_by_hash, lambda key: duplicates_across([[0], [1]], key)):
        with pytest.raises(ValueError, match="a key is missing in 1 of 3 events, first in event 1"):
            function(key)
    with pytest.raises(ValueError, match="labels is missing in 1 of 3 events"):
        stratified_folds(key, 2, rng())


def test_labels_that_are_nan_are_no_class():
    with pytest.raises(ValueError, match=r"labels is .* 1 of 5 are NaN"):
        stratified_folds(np.array([0, 1, np.nan, 0, 1]), 2, rng())


@pytest.mark.parametrize(
    "wrong", [[0.5, 1.0], [True, False], [-1, 2], np.ma.array([0, 1], mask=[0, 1]), [[0], [1]]], ids=str
)
def test_what_is_no_position_is_not_stored(tmp_path, wrong):
    with pytest.raises(ValueError, match=r"train (must hold positions|is missing)"):
        save_indices(tmp_path / "split.npz", {"train": wrong}, "0")
    with pytest.raises(ValueError, match=r"part 0 (must hold positions|is missing)"):
        duplicates_across([wrong], np.arange(5))
    assert not list(tmp_path.iterdir())


def test_positions_beyond_the_events_are_refused():
    with pytest.raises(ValueError, match="integers from 0 to 2"):
        duplicates_across([[0, 3]], np.arange(3))


# ------------------------------------------------------------------------------------------- arguments of other kinds


def test_sizes_are_whole_numbers_and_fractions_of_any_precision():
    assert [len(part) for part in split_indices(10.0, rng(), np.array([0.6, 0.2, 0.2], "f4"))] == [6, 2, 2]
    keys = np.arange(100)
    expected = split_by_hash(keys, salt=-1)
    for one, other in zip(split_by_hash(keys, salt=np.int64(-1)), expected, strict=True):
        np.testing.assert_array_equal(one, other)
    for function in (
        lambda: split_indices(10.5, rng()),
        lambda: split_indices("10", rng()),
        lambda: split_by_hash(keys, salt="a"),
        lambda: stratified_folds([0, 1] * 4, 2.5, rng()),
    ):
        with pytest.raises(ValueError, match="is a whole number, but"):
            function()


def test_text_and_dates_are_classes_and_keys_as_well():
    assert len(stratified_folds(ak.Array(["signal", "background"] * 4), 2, rng())) == 2
    parts = [np.array([0, 1]), np.array([2, 3])]
    assert duplicates_across(parts, ak.Array(["a", "b", "a", "c"])).tolist() == [0, 2]
    with pytest.raises(ValueError, match="4 of 8 are NaN"):
        stratified_folds(np.array(["NaT", "2026"] * 4, "M8[Y]"), 2, rng())
    for key in (ak.Array([[1], [2, 3]]), ak.Array([{"x": 1}] * 2)):
        with pytest.raises(ValueError, match="a key is a flat array"):
            fingerprint(key)


def test_index_lists_that_int64_cannot_hold_or_that_others_wrote_are_refused(tmp_path):
    path = tmp_path / "split.npz"
    with pytest.raises(ValueError, match="a must hold positions of events"):
        save_indices(path, {"a": np.array([2**63], "u8")}, "x")
    for parts, identity in (([np.arange(3)], "x"), ({"a": [1]}, None), ({}, "x")):
        with pytest.raises(TypeError, match="parts maps names to positions"):
            save_indices(path, parts, identity)
    np.savez(path, identity="x", indices_a=np.array([1.5]))
    with pytest.raises(ValueError, match=r"is not a file of index lists .*float64"):
        load_indices(path, "x")
