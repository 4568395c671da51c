"""A file appears whole or not at all, whoever writes it."""

import contextlib
import errno
import json
import multiprocessing
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import h5py
import numpy as np
import pytest
import uproot

from coursekit import files
from coursekit.files import replacing, save_arrays
from coursekit.jets import save_jets, unpack
from coursekit.ledger import record, recorded
from coursekit.locks import locked
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
    "file.json": lambda path: path.write_text(json.dumps([1, 2, 3]), encoding="utf-8"),
    "file.pt": write_torch,
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_writer_replaces_and_leaves_nothing_beside(tmp_path, name):
    path = tmp_path / name
    path.write_text("the former file", encoding="utf-8")
    with replacing(path) as partial:
        WRITERS[name](partial)
        assert path.read_text(encoding="utf-8") == "the former file"
    assert path.stat().st_size
    assert path.read_bytes() != b"the former file"
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, SystemExit])
@pytest.mark.parametrize("name", WRITERS)
def test_after_an_error_the_former_file_is_there_and_nothing_else(tmp_path, name, error):
    path = tmp_path / name
    path.write_text("the former file", encoding="utf-8")

    def write():
        with replacing(path) as partial:
            WRITERS[name](partial)
            raise error

    with pytest.raises(error):
        write()
    assert path.read_text(encoding="utf-8") == "the former file"
    assert os.listdir(tmp_path) == [name]


def test_a_block_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "file.npz"):
        pass
    assert os.listdir(tmp_path) == []


def test_the_file_has_the_rights_that_a_new_file_gets(tmp_path):
    (tmp_path / "plain").write_text("", encoding="utf-8")
    with replacing(tmp_path / "ours") as partial:
        partial.write_text("", encoding="utf-8")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_the_permissions_of_the_former_file_stay(tmp_path):
    path = tmp_path / "private"
    path.touch(0o600)
    with replacing(path) as partial:
        partial.write_text("new", encoding="utf-8")
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_link_stays_and_its_file_is_replaced(tmp_path):
    (tmp_path / "disk").mkdir()
    link, real = tmp_path / "file.npz", tmp_path / "disk" / "content"
    link.symlink_to(real)
    for text in ("first", "second"):  # the first time, it points to nothing
        with replacing(link) as partial:
            assert partial.suffix == ".npz"
            partial.write_text(text, encoding="utf-8")
        assert link.is_symlink()
        assert real.read_text(encoding="utf-8") == text
    assert os.listdir(tmp_path / "disk") == ["content"]


def test_a_name_may_be_as_long_as_names_may_be(tmp_path):
    path = tmp_path / ("µ" * 125 + ".json")
    with replacing(path) as partial:
        partial.write_text("{}", encoding="utf-8")
    assert path.read_text(encoding="utf-8") == "{}"


def protected(path):
    path.touch(0o444)
    return path


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (
            lambda folder: protected(folder / "a"),
            PermissionError,
            "is write-protected: unprotect it, or choose another",
        ),
        (lambda folder: folder / ("a" * 300), OSError, "File name too long: choose another name"),
        (lambda folder: "/dev/null", OSError, "is no file, but a device"),
    ],
)
def test_what_cannot_be_replaced_is_found_before_the_work(tmp_path, make, error, words):
    path = make(tmp_path)
    with pytest.raises(error, match=words), replacing(path):
        pytest.fail("worked in vain")
    assert all(not name.startswith(".") for name in os.listdir(tmp_path))


@contextlib.contextmanager
def no_more_than(size):
    """Let files have no more bytes: what a full disk is like."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("name", ["file.npy", "file.json"])
def test_a_full_disk_is_named_and_nothing_is_left(tmp_path, name):
    path = tmp_path / name
    path.write_text("the former file", encoding="utf-8")
    writers = {"file.npy": lambda partial: np.save(partial, np.zeros(50_000)), "file.json": write_long}
    with (
        pytest.raises(OSError, match=rf"File too large while .*{name} was written; .* Make room") as caught,
        no_more_than(200_000),
        replacing(path) as partial,
    ):
        writers[name](partial)
    assert str(caught.value).count("\n") == 0
    assert path.read_text(encoding="utf-8") == "the former file"
    assert os.listdir(tmp_path) == [name]


def write_long(path):
    path.write_text("x" * 300_000, encoding="utf-8")


def test_a_disk_that_is_full_in_the_end_is_not_believed(tmp_path, monkeypatch):
    # HDF5 loses what it could not write, and says nothing.
    real = os.fsync

    def full(descriptor):
        if os.fstat(descriptor).st_size > 10:  # the block that is written on trial
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with (
        pytest.raises(OSError, match=r"No space left on device while .*a\.txt was written"),
        replacing(tmp_path / "a.txt") as partial,
    ):
        partial.write_text("short", encoding="utf-8")
    assert os.listdir(tmp_path) == []


# --- locks ------------------------------------------------------------------------------------------------------------


def test_one_at_a_time(tmp_path):
    inside = []

    def enter(number):
        with locked(tmp_path / "lock"):
            inside.append(number)
            assert len(inside) == 1
            inside.pop()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(enter, range(20)))
    with locked(tmp_path / "lock"), pytest.raises(TimeoutError), locked(tmp_path / "lock", wait=False):
        pass


def take_and_die(path):
    locked(path).__enter__()
    os._exit(1)


def test_a_killed_process_leaves_no_lock(tmp_path):
    process = multiprocessing.get_context("fork").Process(target=take_and_die, args=(tmp_path / "lock",))
    process.start()
    process.join()
    assert process.exitcode == 1
    with locked(tmp_path / "lock", wait=False):
        pass


NO_LOCKS = ["ENOSYS", "EOPNOTSUPP", "ENOTSUP", "ENOLCK"]


@pytest.mark.parametrize("name", NO_LOCKS)
@pytest.mark.parametrize("everywhere", [False, True])
def test_a_file_system_without_locks(tmp_path, monkeypatch, caplog, name, everywhere):
    fcntl = pytest.importorskip("fcntl")
    real = fcntl.flock

    def flock(file, operation):
        descriptor = file if isinstance(file, int) else file.fileno()
        if everywhere or os.path.samestat(os.fstat(descriptor), (tmp_path / ".lock.lock").stat()):
            raise OSError(getattr(errno, name), os.strerror(getattr(errno, name)))
        return real(file, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    for _ in range(2):
        with locked(tmp_path / "lock"):
            if not everywhere:
                with pytest.raises(TimeoutError), locked(tmp_path / "lock", wait=False):
                    pass
    said = [record.getMessage() for record in caplog.records]
    assert said[0] == f"{tmp_path} is on a file system without locks: let no other machine write there at the same time"
    assert len(said) == 1 + everywhere


def test_a_lock_where_nobody_may_write(tmp_path):
    with (
        pytest.raises(FileNotFoundError, match=r"no cannot be written \(No such file or directory\): make it first"),
        locked(tmp_path / "no" / "lock"),
    ):
        pass


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
    here = files._machine()
    (tmp_path / f".{dead.pid}.{here}.01234567.part.split.npz").write_text("half", encoding="utf-8")
    stay = {
        f".{os.getppid()}.{here}.01234567.part.split.npz",
        f".{dead.pid}.{here}.01234567.part.another.npz",
        f".{dead.pid}.another0.01234567.part.split.npz",  # of another machine, where that process may be alive
    }
    for name in stay:
        (tmp_path / name).write_text("half", encoding="utf-8")
    save_indices(tmp_path / "split.npz", {"train": [0]}, "x")
    assert set(os.listdir(tmp_path)) == stay | {"split.npz"}


def test_two_threads_may_write_one_file(tmp_path):
    path, both = tmp_path / "file.txt", threading.Barrier(2, timeout=20)

    def write(text):
        with replacing(path) as partial:
            both.wait()
            partial.write_text(text, encoding="utf-8")
            both.wait()

    threads = [threading.Thread(target=write, args=(letter * 1000,)) for letter in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_text(encoding="utf-8") in ("a" * 1000, "b" * 1000)
    assert os.listdir(tmp_path) == ["file.txt"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EFBIG])
def test_a_full_disk_names_the_file(tmp_path, number):
    path = tmp_path / "file.txt"
    path.write_text("the former file", encoding="utf-8")

    def write():
        with replacing(path) as partial:
            partial.write_text("half", encoding="utf-8")
            raise OSError(number, os.strerror(number))

    with pytest.raises(OSError, match=rf"{os.strerror(number)} while .*file\.txt was written; .* Make room") as caught:
        write()
    assert caught.value.errno == number
    assert path.read_text(encoding="utf-8") == "the former file"
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
    path.write_text("0", encoding="utf-8")

    def add():
        for _ in range(20):
            with locked(path), replacing(path) as partial:
                partial.write_text(str(int(path.read_text(encoding="utf-8")) + 1), encoding="utf-8")

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_text(encoding="utf-8") == "80"
