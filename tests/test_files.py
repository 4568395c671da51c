"""A file appears whole or not at all, whoever writes it."""

import errno
import json
import os
import subprocess
import sys
import threading

import h5py
import numpy as np
import pytest
import uproot

from coursekit.files import locked, replacing, save_arrays
from coursekit.jets import save_jets, unpack
from coursekit.ledger import record, recorded
from coursekit.preprocess import Scaler
from coursekit.splitting import save_indices


def write_h5py(path):
    with h5py.File(path, "w") as file:
        file["x"] = np.arange(3)


def write_uproot(path):
    with uproot.recreate(path) as file:
        file.mktree("Events", {"x": "float32"}).extend({"x": np.ones(3)})


def write_torch(path):
    torch = pytest.importorskip("torch")
    torch.save({"x": torch.ones(3)}, path)


WRITERS = {
    "file.h5": write_h5py,
    "file.root": write_uproot,
    "file.npz": lambda path: np.savez(path, x=np.arange(3)),
    "file.json": lambda path: path.write_text(json.dumps([1, 2, 3])),
    "file.pt": write_torch,
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_writer_replaces_and_leaves_nothing_beside(tmp_path, name):
    path = tmp_path / name
    path.write_text("the former file")
    with replacing(path) as partial:
        WRITERS[name](partial)
        assert path.read_text() == "the former file"
    assert path.stat().st_size
    assert path.read_bytes() != b"the former file"
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, SystemExit])
@pytest.mark.parametrize("name", WRITERS)
def test_after_an_error_the_former_file_is_there_and_nothing_else(tmp_path, name, error):
    path = tmp_path / name
    path.write_text("the former file")

    def write():
        with replacing(path) as partial:
            WRITERS[name](partial)
            raise error

    with pytest.raises(error):
        write()
    assert path.read_text() == "the former file"
    assert os.listdir(tmp_path) == [name]


def test_a_block_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "file.npz"):
        pass
    assert os.listdir(tmp_path) == []


def test_the_file_has_the_rights_that_a_new_file_gets(tmp_path):
    (tmp_path / "plain").write_text("")
    with replacing(tmp_path / "ours") as partial:
        partial.write_text("")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize(
    ("name", "save"),
    [
        ("jets.h5", lambda path: save_jets(path, unpack(np.ones((3, 4)), [2, 1]), [1, 0])),
        ("variables.json", lambda path: Scaler.fit(np.eye(2), ["a", "b"]).save(path)),
        ("split.npz", lambda path: save_indices(path, {"train": [0]}, "x")),
        ("ledger/08.npz", lambda path: record(path.parents[1] / "08", "coin", [0, 1], [0.1, 0.2], 0)),
    ],
)
def test_what_the_package_saves_is_never_half_written(tmp_path, monkeypatch, name, save):
    path = tmp_path / name
    monkeypatch.delenv("COURSEKIT_DATA", raising=False)
    save(path)
    before = path.read_bytes()

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", stop)
    with pytest.raises(KeyboardInterrupt):
        save(path)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir() if file.suffix != ".lock"] == [path.name]


def test_what_a_killed_process_left_goes_with_the_next_and_what_a_living_one_writes_stays(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for number in (dead.pid, os.getppid()):
        (tmp_path / f".{number}.01234567.part.split.npz").write_text("half")
    (tmp_path / f".{dead.pid}.01234567.part.another.npz").write_text("half")
    save_indices(tmp_path / "split.npz", {"train": [0]}, "x")
    left = {path.name for path in tmp_path.iterdir()} - {"split.npz"}
    assert left == {f".{os.getppid()}.01234567.part.split.npz", f".{dead.pid}.01234567.part.another.npz"}


def test_two_threads_may_write_one_file(tmp_path):
    path, both = tmp_path / "file.txt", threading.Barrier(2, timeout=20)

    def write(text):
        with replacing(path) as partial:
            both.wait()
            partial.write_text(text)
            both.wait()

    threads = [threading.Thread(target=write, args=(letter * 1000,)) for letter in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_text() in ("a" * 1000, "b" * 1000)
    assert os.listdir(tmp_path) == ["file.txt"]


def test_the_file_behind_a_link_is_replaced(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    link, file = tmp_path / "split.npz", tmp_path / "elsewhere" / "split.npz"
    link.symlink_to(file)
    save_arrays(link, x=np.arange(3))
    assert link.is_symlink()
    with np.load(file) as stored:
        assert stored["x"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EFBIG])
def test_a_full_disk_names_the_file(tmp_path, number):
    path = tmp_path / "file.txt"
    path.write_text("the former file")

    def write():
        with replacing(path) as partial:
            partial.write_text("half")
            raise OSError(number, os.strerror(number))

    with pytest.raises(OSError, match=rf"{os.strerror(number)} while .*file\.txt was written; .* Make room") as caught:
        write()
    assert caught.value.errno == number
    assert path.read_text() == "the former file"
    assert os.listdir(tmp_path) == ["file.txt"]


def test_a_place_that_cannot_be_written_is_named_as_it_was_given(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no such folder: make it.*nowhere'$"):
        save_arrays(tmp_path / "nowhere" / "a.npz", x=[1])
    (tmp_path / "a.npz").mkdir()
    with pytest.raises(IsADirectoryError, match=r"is a folder: .*a\.npz'$"):
        save_arrays(tmp_path / "a.npz", x=[1])

    def refuse():
        with replacing(tmp_path / "b.txt") as partial:
            raise PermissionError(errno.EACCES, "Permission denied", str(partial))

    with pytest.raises(PermissionError, match=r"Permission denied: '[^']*/b\.txt'$"):
        refuse()


def test_nothing_that_two_record_at_once_is_lost(tmp_path, monkeypatch):
    monkeypatch.delenv("COURSEKIT_DATA", raising=False)
    names = [f"tagger {i}" for i in range(8)]
    threads = [
        threading.Thread(target=record, args=(tmp_path / lesson, f"{lesson} {name}", [0, 1], [0.1, 0.2], 0))
        for name in names
        for lesson in ("07", "08")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(recorded(tmp_path / "09", [0, 1])) == sorted(f"{a} {b}" for a in ("07", "08") for b in names)


def test_who_locks_a_file_waits_for_the_other(tmp_path):
    path = tmp_path / "count"
    path.write_text("0")

    def add():
        for _ in range(20):
            with locked(path), replacing(path) as partial:
                partial.write_text(str(int(path.read_text()) + 1))

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_text() == "80"
