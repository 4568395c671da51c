"""The ledger: scores come back, on the same jets alone, and a damaged file says so."""

import errno

import numpy as np
import pytest

from coursekit import data
from coursekit.ledger import record, recorded
from coursekit.metrics import auc

LABELS = np.array([0, 1, 1, 0, 1])
SCORE = np.array([0.125, 0.5, 0.75, 0.25, 1.0])


@pytest.fixture
def work(tmp_path):
    return tmp_path / "work" / "08"


def test_scores_come_back(work):
    path = record(work, "all, trees", LABELS, SCORE, n_training=12)
    assert path == work.parent / "ledger" / "08.npz"
    entry = recorded(work, LABELS)["all, trees"]
    assert (entry.lesson, entry.n_training) == ("08", 12)
    np.testing.assert_array_equal(entry.score, SCORE)


def test_other_jets_have_other_scores(work):
    record(work, "a", LABELS, SCORE, n_training=1)
    assert "a" not in recorded(work, LABELS[::-1].copy())
    assert "a" not in recorded(work, LABELS[:-1])


def test_a_second_record_replaces_the_first_and_keeps_the_others(work):
    record(work, "a", LABELS, SCORE, n_training=1)
    record(work, "b", LABELS, SCORE / 2, n_training=2)
    record(work, "a", LABELS, SCORE / 4, n_training=3)
    found = recorded(work, LABELS)
    np.testing.assert_array_equal(found["a"].score, SCORE / 4)
    np.testing.assert_array_equal(found["b"].score, SCORE / 2)
    assert (found["a"].n_training, found["b"].n_training) == (3, 2)
    assert sorted(path.name for path in (work.parent / "ledger").iterdir()) == [".08.npz.lock", "08.npz"]


def test_another_sample_starts_the_file_anew(work):
    record(work, "a", LABELS, SCORE, n_training=1)
    record(work, "b", 1 - LABELS, SCORE, n_training=1)
    assert "a" not in recorded(work, LABELS)
    assert "b" in recorded(work, 1 - LABELS)


def test_lessons_are_put_together_in_their_order(work):
    record(work.parent / "09", "late", LABELS, SCORE, n_training=1)
    record(work, "early", LABELS, SCORE, n_training=1)
    found = recorded(work.parent / "09", LABELS)
    assert [(name, entry.lesson) for name, entry in found.items()] == [("early", "08"), ("late", "09")]


def test_with_data_of_your_own_the_ledger_lies_beside_them(work, tmp_path, monkeypatch):
    monkeypatch.setenv("COURSEKIT_DATA", str(tmp_path / "mine"))
    assert record(work, "a", LABELS, SCORE, n_training=1) == tmp_path / "mine" / "ledger" / "08.npz"
    assert "a" in recorded(tmp_path / "elsewhere" / "09", LABELS)


@pytest.mark.parametrize(
    ("labels", "score", "message"),
    [
        (LABELS, SCORE[:-1], r"expected a score for each of 5 jets, shape \(N,\), got \(4,\)"),
        (LABELS, SCORE[:, None], r"got \(5, 1\)"),
        (LABELS, [0, 1, np.nan, 0, np.inf], "2 of 5 scores are NaN or infinite"),
        ([0, 1, 2, 0, 1], SCORE, "labels must be"),
        (LABELS[:, None], SCORE, "labels must be"),
    ],
)
def test_bad_input_is_refused_and_nothing_is_written(work, labels, score, message):
    with pytest.raises(ValueError, match=message):
        record(work, "a", labels, score, n_training=1)
    assert not work.parent.exists()


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"PK nonsense"])
def test_a_damaged_file_is_named(work, damage):
    path = record(work, "a", LABELS, SCORE, n_training=1)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(OSError, match=r"08\.npz is damaged .* delete it, and run lesson 08 again"):
        recorded(work, LABELS)


@pytest.mark.parametrize("error", [MemoryError(), PermissionError(errno.EACCES, "Permission denied")])
def test_what_is_not_the_file_s_fault_is_not_called_damage(work, monkeypatch, error):
    record(work, "a", LABELS, SCORE, n_training=1)

    def fail(*_, **__):
        raise error

    monkeypatch.setattr(np, "load", fail)
    with pytest.raises(type(error)) as caught:
        recorded(work, LABELS)
    assert "damaged" not in str(caught.value)


def test_scores_of_other_jets_than_the_labels_are_damage(work):
    path = record(work, "a", LABELS, SCORE, n_training=1)
    np.savez(path, labels=LABELS, taggers=["a"], scores=[SCORE[:-1]], n_training=[1])
    with pytest.raises(OSError, match=r"08\.npz is damaged \(1 taggers and 5 jets, but scores \(1, 4\)\)"):
        recorded(work, LABELS)


def shipped():
    return sorted((data.shipped_folder() / "ledger").glob("*.npz"))


def test_the_shipped_scores_are_on_the_shipped_test_jets(work):
    _, labels = data_labels()
    found = recorded(work, labels)
    assert found
    assert {entry.lesson for entry in found.values()} == {path.stem for path in shipped()}
    for name, entry in found.items():
        assert auc(labels, entry.score).value > 0.85, name


def data_labels():
    from coursekit.jets import load_jets

    return load_jets(data.shipped_folder() / "toptag_test.h5")


def test_what_could_not_be_read_back_is_refused_before_it_takes_the_others_along(work):
    record(work, "a", LABELS, SCORE, n_training=np.float64(12))
    for bad in (None, "7", 7.5, -3, 10**30):
        with pytest.raises(ValueError, match="n_training is a"):
            record(work, "b", LABELS, SCORE, n_training=bad)
    for bad in (None, 3, "", "a\0"):
        with pytest.raises(ValueError, match="tagger is the name"):
            record(work, bad, LABELS, SCORE, n_training=7)
    for bad in (SCORE.astype(str), SCORE + 0j, SCORE.astype("M8[s]")):
        with pytest.raises(ValueError, match="b: score must be numbers"):
            record(work, "b", LABELS, bad, n_training=7)
    assert {name: entry.n_training for name, entry in recorded(work, LABELS).items()} == {"a": 12}
