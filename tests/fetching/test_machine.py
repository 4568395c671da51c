"""Fetching on a machine that misbehaves, and what is printed meanwhile."""

import errno
import itertools
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pooch
import pytest

from coursekit import data
from tests.fetching.conftest import BODY, HALF, NAME, fail, fetched, listing, put_part, refused, send


def test_a_full_disk_is_found_before_the_download(course, server, monkeypatch):
    put_part(course, BODY[:100_000])
    room = SimpleNamespace(free=len(BODY) - 100_001)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: room)
    refused(f"{course.cache} has 0.2 MB free, 0.2 MB are needed. ", "make room there, or set COURSEKIT_DATA")
    assert not server.ranges
    room.free += 1  # What is there already needs no more room.
    fetched(course)


def test_a_cache_that_cannot_be_written(course, server, monkeypatch):
    (course.root / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("COURSEKIT_DATA", str(course.root / "file" / "cache"))
    message = refused("Not a directory", "COURSEKIT_DATA to a folder with room in which you may write")
    assert "connection" not in message
    assert not server.ranges


def test_an_interruption_while_hashing_costs_nothing(course, server, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("pooch.core.hash_matches", interrupt)
        with pytest.raises(KeyboardInterrupt):
            data.fetch(NAME)
    assert listing(course.cache) == [f"{NAME}.part"]
    fetched(course)
    assert len(server.ranges) == 1


def test_a_file_system_without_links(course, monkeypatch):
    def refuse(*_, **__):
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    fetched(course)


@pytest.mark.parametrize("reason", [errno.EOPNOTSUPP, errno.ENOLCK, errno.ENOSYS])
def test_a_file_system_without_locks(course, monkeypatch, caplog, reason):
    def refuse(*_):
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr(pytest.importorskip("fcntl"), "flock", refuse)
    fetched(course)
    assert "without locks" in caplog.text


@pytest.mark.parametrize("reason", [errno.EACCES, errno.EROFS, errno.ENAMETOOLONG])
def test_what_is_no_full_disk_is_not_called_one(course, monkeypatch, reason):
    def refuse(path, *_, **__):
        raise OSError(reason, os.strerror(reason), str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    message = refused(f"{course.cache}: {os.strerror(reason)}. What to do: set COURSEKIT_DATA to a folder with room")
    assert "make room" not in message


def elsewhere(course, code):
    """Start another Python in which `data` is this course's; it says "ready" and runs the code."""
    start = f"""if True:
        from pathlib import Path
        from coursekit import data
        data._shipped = lambda: Path({str(course.root)!r})
        print("ready", flush=True)
        {code}
        """
    process = subprocess.Popen([sys.executable, "-c", start], stdout=subprocess.PIPE, encoding="utf-8")
    assert process.stdout.readline() == "ready\n"
    return process


def gated(gate):
    """Send one half, and the other when the gate opens."""

    def answer(handler, start):
        send(stop=HALF)(handler, start)
        gate.wait(20)
        handler.wfile.write(BODY[HALF:])

    return answer


def test_a_killed_fetch_leaves_a_part_that_the_next_continues(course, server):
    gate = threading.Event()
    server.answers = [gated(gate), send()]
    process = elsewhere(course, f"data.fetch({NAME!r})")
    part = course.cache / f"{NAME}.part"
    patience = itertools.count()
    while not (part.exists() and part.stat().st_size):
        assert process.poll() is None
        assert next(patience) < 2000
        time.sleep(0.01)
    process.kill()
    process.communicate()
    gate.set()
    assert listing(course.cache) == [part.name]
    kept = part.stat().st_size
    fetched(course)
    assert server.ranges == [None, f"bytes={kept}-"]


def test_two_processes_and_two_threads_fetch_once(course, server):
    gate = threading.Event()
    server.answers = [gated(gate)]
    processes = [elsewhere(course, f"print(data.fetch({NAME!r}))") for _ in range(2)]
    with ThreadPoolExecutor(2) as threads:
        futures = [threads.submit(data.fetch, NAME) for _ in range(2)]
        gate.set()
        paths = [future.result() for future in futures]
    paths += [Path(process.communicate()[0].strip()) for process in processes]
    assert paths == [course.cache / NAME] * 4
    assert [process.returncode for process in processes] == [0, 0]
    fetched(course)
    assert server.ranges == [None]


# --- what is printed --------------------------------------------------------------------------------------------------


def test_fetching_is_silent(course, server, capfd, monkeypatch):
    logger = pooch.get_logger()
    logger.setLevel("INFO")
    monkeypatch.setattr(logger.handlers[0], "stream", sys.stderr)  # It holds the stderr of its import.
    server.answers = [send(stop=HALF), fail(503), send()]
    (course.shipped / NAME).write_bytes(b"wrong size")
    fetched(course)
    assert capfd.readouterr() == ("", "")


def test_the_bar_is_written_to_stderr(course, capfd):
    data.fetch(NAME, progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert NAME in err
    assert "100%" in err


def test_a_notebook_without_widgets_is_not_warned():
    # tqdm, which pooch imports, warns on stderr there, and a lesson's stored output would hold the warning.
    code = "import sys; import coursekit.data; import json; print(json.dumps([m for m in sys.modules if 'tqdm' in m]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert json.loads(done.stdout) == []
