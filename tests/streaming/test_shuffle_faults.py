"""What can go wrong with a shuffle: it says so, and leaves nothing half-written."""

import contextlib
import errno
import os
import shutil
import subprocess
import sys
import types

import numpy as np
import pytest

from coursekit.events import load_events
from coursekit.streaming import BatchStream, hdf5_tables, root_trees, shuffle_file
from tests.streaming.conftest import SMALL, prepare, write_tree
from tests.streaming.test_shuffle import leftovers, order_of


def shuffle(source, target, memory=SMALL, **more):
    return shuffle_file(source, target, np.random.default_rng(1), memory, **more)


def test_the_target_is_never_the_source(tmp_path, tree_file):
    source = shutil.copy(tree_file, tmp_path / "a.root")
    (tmp_path / "soft.root").symlink_to(source)
    os.link(source, tmp_path / "hard.root")
    content = source.read_bytes()
    for name in ("a.root", "../" + tmp_path.name + "/a.root", "soft.root", "hard.root"):
        with pytest.raises(ValueError, match="is the source itself"):
            shuffle(source, tmp_path / name)
    assert source.read_bytes() == content
    assert leftovers(tmp_path) == []


def test_targets_that_cannot_be(tmp_path, tree_file, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"the folder .*nowhere does not exist"):
        shuffle(tree_file, tmp_path / "nowhere" / "b.root")
    (tmp_path / "folder.root").mkdir()
    with pytest.raises(IsADirectoryError, match=r"folder\.root is a folder"):
        shuffle(tree_file, tmp_path / "folder.root")
    with pytest.raises(ValueError, match=r"b\.h5 must end in '\.root' as tree\.root does"):
        shuffle(tree_file, tmp_path / "b.h5")
    with pytest.raises(TypeError, match="rng is a NumPy Generator"):
        shuffle_file(tree_file, tmp_path / "b.root", 1)
    for memory, message in [
        ("lots", "a size such as"),
        ("-5MB", "a size such as"),
        ("100MB", "too little"),
        (1, "too"),
        (None, "memory is a whole number"),
        (float("nan"), "memory is a whole number"),
    ]:
        with pytest.raises(ValueError, match=message):
            shuffle(tree_file, tmp_path / "b.root", memory)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: types.SimpleNamespace(free=100_000))
    with pytest.raises(OSError, match=r"has 0.1 MB of free space, [\d.]+ MB are needed .*temporary files: 5000 events"):
        shuffle(tree_file, tmp_path / "b.root")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.root"]


def test_too_little_memory_says_which_memory(tmp_path, tree_file, monkeypatch):
    def fail(*_):
        raise MemoryError("Unable to allocate 185. MiB")

    monkeypatch.setattr("coursekit.streaming.shuffle._take_lists", fail)
    with pytest.raises(MemoryError, match=r"tree\.root: .* state less memory for the shuffle than 160MB"):
        shuffle(tree_file, tmp_path / "b.root", "160MB")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr("coursekit.streaming.batches._concatenate", fail)
    stream = BatchStream({tree_file: 1}, prepare, None, ["mth", "event"])
    with pytest.raises(MemoryError, match=r"take a smaller chunk and buffer \(Unable to allocate"):
        next(iter(stream))


def test_a_folder_without_locks(tmp_path, tree_file, monkeypatch, caplog):
    def refuse(*_):
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(pytest.importorskip("fcntl"), "flock", refuse)
    shuffle_file(tree_file, tmp_path / "out.root", np.random.default_rng(1))
    assert "without locks" in caplog.text
    assert not list(tmp_path.glob(".*"))


def test_an_unwritable_folder(tmp_path, tree_file, monkeypatch):
    def refuse(self, *args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    with pytest.raises(PermissionError, match=r"cannot be written \(Permission denied\): choose another folder"):
        shuffle(tree_file, tmp_path / "b.root")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(tmp_path, tree_file):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(PermissionError, match="choose another folder"):
            shuffle(tree_file, tmp_path / "b.root")
    finally:
        tmp_path.chmod(0o700)


LIMITED = """
import resource, sys
import numpy as np
from coursekit.streaming import shuffle_file
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)
try:
    shuffle_file(sys.argv[1], sys.argv[2], np.random.default_rng(1), sys.argv[4])
except OSError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limits of resources there")
@pytest.mark.parametrize(
    ("fixture", "limit", "memory"),
    [("tree_file", 40_000, "151MB"), ("tree_file", 150_000, SMALL), ("jet_file", 800_000, "151MB")],
)
def test_a_disk_that_becomes_full(tmp_path, request, fixture, limit, memory):
    # A limit on the size of a file fails in the same place as a full disk: in a bucket, or in the result.
    source = request.getfixturevalue(fixture)
    target = tmp_path / f"b{source.suffix}"
    target.write_bytes(b"the old one")
    command = [sys.executable, "-c", LIMITED, source, target, str(limit), memory]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True)
    assert "b" + source.suffix + " was written" in done.stdout, done.stderr
    assert "MB are needed in its folder; what was written is removed. Make room" in done.stdout
    assert target.read_bytes() == b"the old one"
    assert leftovers(tmp_path) == []


def at(task, do):
    """A progress function that does something once, at the first step of a task."""
    once = []

    def progress(name, done, total):
        if name == task and not once:
            once.append(do())

    return progress


def test_a_source_that_changes_between_the_passes(tmp_path, tree_file):
    source, target = shutil.copy(tree_file, tmp_path / "a.root"), tmp_path / "b.root"
    for task in ("scatter", "write"):
        with pytest.raises(OSError, match=r"a\.root changed while it was read"):
            shuffle(source, target, progress=at(task, lambda: write_tree(source, 4000)))
        with pytest.raises(OSError, match=r"a\.root changed while it was read"):
            shuffle(source, target, progress=at(task, lambda: source.write_bytes(b"root")))
        shutil.copy(tree_file, source)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.root"]


def test_temporary_files_that_change_between_the_passes(tmp_path, tree_file):
    def spoil():
        bucket = tmp_path / ".b.root.shuffling" / "1.1"
        content = bytearray(bucket.read_bytes())
        content[100] ^= 1
        bucket.write_bytes(content)

    for do in (spoil, lambda: (tmp_path / ".b.root.shuffling" / "1.1").unlink()):
        with pytest.raises(OSError, match="is not what was written there in the first pass"):
            shuffle(tree_file, tmp_path / "b.root", progress=at("write", do))
    assert list(tmp_path.iterdir()) == []


def test_interrupted_it_leaves_the_old_result(tmp_path, tree_file):
    target = tmp_path / "b.root"
    target.write_bytes(b"the old one")
    for task in ("scatter", "write"):

        def interrupt():
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            shuffle(tree_file, target, progress=at(task, interrupt))
        assert leftovers(tmp_path) == []
        assert target.read_bytes() == b"the old one"


KILLED = """
import os, signal, sys
import numpy as np
from coursekit.streaming import shuffle_file
def progress(task, done, total):
    if task == "write":
        os.kill(os.getpid(), signal.SIGKILL)
shuffle_file(sys.argv[1], sys.argv[2], np.random.default_rng(1), "150.1MB", progress=progress)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
def test_what_a_killed_shuffle_leaves_goes_with_the_next(tmp_path, tree_file):
    target = tmp_path / "b.root"
    subprocess.run([sys.executable, "-c", KILLED, tree_file, target], check=False)
    assert leftovers(tmp_path) == [".b.root.shuffling"]
    assert not target.exists()
    shuffle(tree_file, target)
    assert [path.name for path in tmp_path.iterdir()] == ["b.root"]
    np.testing.assert_array_equal(load_events(target, ["event"])["event"], order_of(5000))


def test_two_shuffles_to_one_target(tmp_path, tree_file):
    target = tmp_path / "b.root"

    def second():
        with pytest.raises(FileExistsError, match="another process is shuffling to"):
            shuffle(tree_file, target)
        with contextlib.suppress(FileNotFoundError):
            shuffle(tree_file, tmp_path / "c.root")

    shuffle(tree_file, target, progress=at("write", second))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.root", "c.root"]
    np.testing.assert_array_equal(load_events(target, ["event"])["event"], order_of(5000))


def change(rows, lists):
    rows["event"][3] ^= 1


def drop(rows, lists):
    return rows[:-1], lists


def swap_bits_that_add_up(rows, lists):
    rows["event"][:2] += [1, -1]


@pytest.mark.parametrize("spoil", [change, drop, swap_bits_that_add_up])
@pytest.mark.parametrize("fixture", ["tree_file", "table_file"])
def test_what_was_written_is_compared_with_what_was_read(tmp_path, monkeypatch, request, fixture, spoil):
    source = request.getfixturevalue(fixture)
    target = tmp_path / f"b{source.suffix}"
    target.write_bytes(b"the old one")
    reader = root_trees.Tree if fixture == "tree_file" else hdf5_tables.Table
    writer = reader.writer

    @contextlib.contextmanager
    def failing(self, *args):
        with writer(self, *args) as append:
            yield lambda rows, lists: append(*(spoil(rows := rows.copy(), lists) or (rows, lists)))

    monkeypatch.setattr(reader, "writer", failing)
    with pytest.raises(
        OSError, match=rf"b\{source.suffix} would not hold what .*{source.name} does: .*event.* came back"
    ):
        shuffle(source, target)
    assert target.read_bytes() == b"the old one"
    assert leftovers(tmp_path) == []


def test_a_branch_that_is_not_written_is_missed(tmp_path, tree_file, monkeypatch):
    recreate = root_trees.uproot.recreate

    @contextlib.contextmanager
    def forgetful(*args, **kwargs):
        with recreate(*args, **kwargs) as file:

            def mktree(key, kinds, **more):
                kinds.pop("mth")
                tree = file.mktree(key, kinds, **more)
                return types.SimpleNamespace(
                    extend=lambda columns: tree.extend({name: columns[name] for name in kinds})
                )

            yield types.SimpleNamespace(mktree=mktree)

    monkeypatch.setattr(root_trees.uproot, "recreate", forgetful)
    with pytest.raises(OSError, match=r"would not hold what .*: mth came back otherwise \(5000 events of 5000\)"):
        shuffle(tree_file, tmp_path / "b.root")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_for_reading_alone_is_not_called_full(tmp_path, tree_file, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: types.SimpleNamespace(free=0))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(PermissionError, match=r"cannot be written \(.*\): choose another folder"):
        shuffle(tree_file, tmp_path / "b.root")
