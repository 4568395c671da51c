"""The files of a prepared sample: damaged, of somebody else, half written, without room, written by two at once."""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import h5py
import numpy as np
import pytest

from coursekit import prepared
from coursekit.files import FULL
from coursekit.locks import locked
from coursekit.prepared import PreparedSample, prepare
from coursekit.preprocess import Scaler
from tests.ntuples import INPUTS, RECIPE, assert_same, ntuple
from tests.test_hdf5 import refused


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return ntuple(tmp_path_factory.mktemp("source") / "flavour.root")


@pytest.fixture(scope="module")
def made(source):
    return PreparedSample.make(source, RECIPE)


@pytest.fixture
def path(made, tmp_path):
    made.save(tmp_path / "flavour.h5")
    return tmp_path / "flavour.h5"


# --- files that do not do ---------------------------------------------------------------------------------------------


def test_what_is_no_prepared_sample_is_refused_by_what_it_lacks(path, tmp_path, source):
    for name in ("flavour.root", "flavour"):
        with pytest.raises(ValueError, match=r"give it a name that ends in \.h5"):
            prepare(tmp_path / name, source, RECIPE)
    other = tmp_path / "other.h5"
    refused(FileNotFoundError, "other.h5 does not exist. Prepare", lambda: PreparedSample.load(other))
    other.write_bytes(b"")
    refused(ValueError, "other.h5 is not an HDF5 file: it is empty", lambda: PreparedSample.load(other))
    shutil.copy(source, other)
    refused(ValueError, "other.h5 is not an HDF5 file: it starts with b'root", lambda: PreparedSample.load(other))
    with h5py.File(other, "w") as file:
        file["jets"] = np.ones(3)
    message = r"other.h5 is no prepared sample: it lacks about, reweighting/x_edges, .*; it has jets$"
    refused(ValueError, message, lambda: PreparedSample.load(other))
    with h5py.File(path, "a") as file:
        del file["validation/weights"]
    refused(ValueError, "it lacks validation/weights; it has about,", lambda: PreparedSample.load(path))
    PreparedSample.load(path, parts=["test"])
    with h5py.File(path, "a") as file:
        file.attrs["layout"] = 2
    refused(
        ValueError, r"flavour.h5 has layout 2, of another version .* reads layout 1", lambda: PreparedSample.load(path)
    )


def test_the_variables_file_must_be_the_one_that_was_written_with_it(path, made, tmp_path):
    variables = path.with_suffix(".json")
    text = variables.read_text(encoding="utf-8")
    load = lambda: PreparedSample.load(path)  # noqa: E731
    variables.unlink()
    refused(FileNotFoundError, "flavour.json, the variables file of .*flavour.h5, is missing. Put back", load)
    variables.write_text(text[:-40], encoding="utf-8")
    refused(ValueError, "flavour.json is not a variables file", load)
    variables.write_text(text.replace('"default": -1.0', '"default": -2.0'), encoding="utf-8")
    refused(ValueError, "flavour.json is not what was written with .*flavour.h5: it was changed, or is another's", load)
    Scaler.fit(made["test"].inputs[:, :2], ["ip3d_bl", "sv_mas"]).save(variables)
    refused(
        ValueError, "flavour.json is for other inputs. The file has ip3d_bl, sv_mas; the table ip3d_bl, sv_mass", load
    )


def attempt(path):
    try:
        return PreparedSample.load(path), ""
    except (OSError, ValueError) as error:
        return None, str(error)


def test_no_flipped_byte_and_no_cut_goes_unnoticed(made, path):
    """Each either changes nothing of what is read, or is refused in one line."""
    content, rng, n_refused = path.read_bytes(), np.random.default_rng(3), 0
    places = np.concatenate([np.arange(0, 1500, 13), rng.integers(0, len(content), 80)])
    for place in places.tolist():
        damaged = bytearray(content)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        sample, error = attempt(path)
        if sample is None:
            assert len(error.splitlines()) == 1
            assert "flavour.h5" in error
            n_refused += 1
        else:
            assert_same(sample, made)
    assert n_refused > len(places) / 2
    for size in rng.integers(1, len(content), 20).tolist():
        path.write_bytes(content[:size])
        refused(
            (OSError, ValueError), "flavour.h5 is (truncated or damaged|not an HDF5)", lambda: PreparedSample.load(path)
        )


# --- interrupted, full, two at once -----------------------------------------------------------------------------------


@pytest.mark.parametrize("nth", [1, 2])
def test_a_crash_between_the_two_names_never_looks_whole(tmp_path, source, made, monkeypatch, nth):
    path, calls, rename = tmp_path / "flavour.h5", [], os.replace

    def stop(*names):
        calls.append(names)
        if len(calls) == nth:
            raise KeyboardInterrupt
        rename(*names)

    monkeypatch.setattr("os.replace", stop)
    with pytest.raises(KeyboardInterrupt):
        prepare(path, source, RECIPE)
    monkeypatch.undo()
    there = sorted(file.name for file in tmp_path.iterdir() if file.suffix != ".lock")
    assert there == ["flavour.json"][: nth - 1]
    assert_same(prepare(path, source, RECIPE), made)  # the next run is right
    calls.clear()
    monkeypatch.setattr("os.replace", stop)
    other = PreparedSample.make(source, replace(RECIPE, target="sum", inputs=INPUTS[:2], defaults={}, checks={}))
    with pytest.raises(KeyboardInterrupt):
        other.save(path)
    if nth == 1:
        assert_same(PreparedSample.load(path), made)
    else:
        refused(ValueError, "flavour.json is for other inputs", lambda: PreparedSample.load(path))


def test_a_full_disk_leaves_what_was_there(made, path, source, monkeypatch):
    before = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    other = PreparedSample.make(source, replace(RECIPE, target="sum"))

    def full(*_):
        raise OSError(FULL[0], "No space left on device")

    monkeypatch.setattr(prepared, "_image", full)
    with pytest.raises(OSError, match=r"while .*flavour\.h5 was written; nothing of it is kept"):
        other.save(path)
    assert {file.name: file.read_bytes() for file in path.parent.iterdir()} == before


def test_two_writers_follow_each_other(tmp_path, source, made, monkeypatch):
    """The one that comes later reads what the first has made."""
    path, make, seen = tmp_path / "flavour.h5", PreparedSample.make.__func__, []

    def slow(cls, *arguments):
        with pytest.raises(TimeoutError), locked(path, wait=False):
            pass
        seen.append(arguments)
        return make(cls, *arguments)

    monkeypatch.setattr(PreparedSample, "make", classmethod(slow))
    assert_same(prepare(path, source, RECIPE), made)
    assert_same(prepare(path, source, RECIPE), made)
    assert len(seen) == 1


def test_threads_write_samples_of_their_own_at_once(made, tmp_path):
    paths = [tmp_path / f"{i}.h5" for i in range(8)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(made.save, paths))
    assert len({path.read_bytes() for path in paths}) == 1
    assert_same(PreparedSample.load(paths[0]), made)
