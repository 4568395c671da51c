"""HDF5 files: tables under the names that libraries print, and files that cannot be opened, each for its own reason."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import awkward as ak
import h5py
import numpy as np
import pandas as pd
import pytest
import tables

from coursekit.jets import count_jets, load_jets, save_jets
from coursekit.streaming import event_bytes, shuffle_file
from tests.test_hdf5 import ROWS, N, check_jets, jet_rows, jets, numbers, read, refused, shuffled

# --- names ------------------------------------------------------------------------------------------------------------


def test_a_table_has_the_names_that_libraries_print(tmp_path):
    save_jets(tmp_path / "a.h5", *jets())
    for key in ("table", "/table", "table/", "/table/", "table/table", "/table/table", "//table"):
        assert load_jets(tmp_path / "a.h5", key=key)[1].tolist() == jets()[1].tolist()
        assert count_jets(tmp_path / "a.h5", key) == N
        assert read(tmp_path / "a.h5", ["PX_0"], key)["PX_0"].shape == (N,)
    shuffled(tmp_path / "a.h5", tmp_path / "b.h5")
    shuffled(tmp_path / "a.h5", tmp_path / "c.h5", "/table")
    pd.testing.assert_frame_equal(*(pd.read_hdf(tmp_path / name, key="/table") for name in ("b.h5", "c.h5")))


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Several tables, and what is none."""
    path = tmp_path_factory.mktemp("many") / "a.h5"
    for name in ("table", "jets/all", "jets/few"):
        frame = pd.DataFrame({"x": numbers(), "c": pd.Categorical(["a", "b"] * (N // 2))})
        frame.to_hdf(path, key=name, format="table", data_columns=["x"])
    with h5py.File(path, "a") as file:
        file["raw/rows"] = ROWS
        file["raw/numbers"] = ROWS["x"]
    return path


@pytest.mark.parametrize("key", ["", "/", "tabel", "jets", "jets/tabel", "/meta", "a/b"])
def test_what_is_there_is_listed(key, many, tmp_path):
    path = many
    for call in (
        lambda: read(path, key=key),
        lambda: load_jets(path, key=key),
        lambda: shuffled(path, tmp_path / "b.h5", key),
    ):
        info = refused(KeyError, "a.h5 has no table", call)
        names = info.value.args[0].rpartition("it has ")[2].split(", ")
        assert sorted(names) == ["jets/all", "jets/few", "raw/rows", "table"]


def test_the_names_that_are_listed_are_taken(many):
    for name in ("jets/all", "jets/few", "raw/rows", "table"):
        assert len(read(many, ["x"], key=name)["x"]) == N


# --- files that cannot be opened now ----------------------------------------------------------------------------------

HOLDERS = {
    "h5py": "import h5py; f = h5py.File(path, 'a')",
    "pandas": "import pandas; f = pandas.HDFStore(path, 'a')",
    "SWMR": "import h5py; f = h5py.File(path, 'a', libver='v110'); f.swmr_mode = True",
}


def readers(path, target):
    return [
        lambda: load_jets(path),
        lambda: count_jets(path),
        lambda: read(path),
        lambda: event_bytes(path),
        lambda: shuffle_file(path, target, np.random.default_rng(1)),
    ]


@pytest.fixture
def jet_file(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w", libver=("v110", "v110")) as file:
        file.create_dataset("table", data=jet_rows(), chunks=(1000,), compression="gzip")
    return tmp_path / "a.h5"


@pytest.mark.parametrize("holder", HOLDERS)
def test_a_file_that_another_program_writes_is_not_called_damaged(holder, jet_file, start, tmp_path):
    code = f"path = {str(jet_file)!r}\n{HOLDERS[holder]}\nprint('open', flush=True); input()"
    other = start(sys.executable, "-c", code, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout.readline() == "open\n"
    for call in readers(jet_file, tmp_path / "b.h5"):
        info = refused(BlockingIOError, r"a.h5 .*open for writing.*another program.*close it there", call)
        assert "damaged" not in str(info.value)
    other.communicate("\n")
    check_jets(jet_file, tmp_path / "b.h5")


def test_a_file_that_this_process_writes_is_not_called_damaged(jet_file, tmp_path):
    with pd.HDFStore(jet_file, "a"):
        for call in readers(jet_file, tmp_path / "b.h5"):
            refused(BlockingIOError, r"a.h5 is open for writing", call)
    with pd.HDFStore(jet_file, "r"), h5py.File(jet_file):
        check_jets(jet_file, tmp_path / "b.h5")


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK])
def test_a_file_system_without_locks_is_named(number, jet_file, tmp_path, monkeypatch):
    def no_locks(*args, **kwargs):
        text = f"unable to lock file, errno = {number}, error message = '{os.strerror(number)}'"
        raise OSError(number, f"Unable to synchronously open file ({text})")

    monkeypatch.setattr(h5py, "File", no_locks)
    for call in readers(jet_file, tmp_path / "b.h5"):
        info = refused(OSError, "a.h5 cannot be locked.*HDF5_USE_FILE_LOCKING=FALSE", call)
        assert "damaged" not in str(info.value)


def test_a_file_that_may_not_be_read_is_not_called_damaged(jet_file, tmp_path, monkeypatch):
    def forbidden(path, *args, **kwargs):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "open", forbidden)
    for call in readers(jet_file, tmp_path / "b.h5"):
        refused(PermissionError, "a.h5", call)


@pytest.mark.parametrize("error", [MemoryError(), tables.HDF5ExtError("memory allocation failed for raw data chunk")])
def test_too_little_memory_is_not_called_damage(error, jet_file, tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(tables.Table, "read", fail)
    refused(MemoryError, "a.h5.*read fewer", lambda: load_jets(jet_file))
    refused(MemoryError, "a.h5.*read fewer", lambda: read(jet_file))
    monkeypatch.setattr(tables.Table, "read", lambda *args, **kwargs: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        load_jets(jet_file)


def test_a_damaged_head_ends_no_process(jet_file, tmp_path):
    with h5py.File(jet_file, "a") as file:
        del file["table"]
    pd.DataFrame(jet_rows()).to_hdf(jet_file, key="table", format="table", mode="w")
    content = jet_file.read_bytes()
    for at in range(0, 3000, 200):
        path = tmp_path / f"{at}.h5"
        path.write_bytes(content[:at] + bytes(200) + content[at + 200 :])
        found, refusal = outcome(lambda path=path: load_jets(path))
        if refusal is None:
            assert ak.array_equal(found[0], ak.values_astype(jets()[0], np.float32))
        else:
            assert str(path) in str(refusal)
            assert len(str(refusal).splitlines()) == 1


def outcome(call):
    try:
        return call(), None
    except (OSError, ValueError, KeyError) as refusal:
        return None, refusal


def test_a_format_that_pytables_does_not_know_is_named(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w", libver="latest") as file:
        file["table"] = jet_rows()
    for call in readers(tmp_path / "a.h5", tmp_path / "b.h5"):
        _, refusal = outcome(call)
        assert refusal is None or "a.h5 is sound, but PyTables cannot read /table" in str(refusal)


def test_a_user_block_is_part_of_a_sound_file(jet_file, tmp_path):
    with h5py.File(tmp_path / "user.h5", "w", userblock_size=512) as file:
        file["table"] = jet_rows()
    assert load_jets(tmp_path / "user.h5")[1].tolist() == jets()[1].tolist()
    assert read(tmp_path / "user.h5", ["E_0"])["E_0"].tolist() == jet_rows()["E_0"].tolist()
