"""Killed, interrupted, without room, or two at once: a file is the old or the new one, and the next run is right.

The moments are steps and bytes, not seconds, so that a slow machine changes nothing. `-m long` tries ten times as many,
the commands themselves, real simulations and lessons, and a real disk that is full.
"""

import contextlib
import http.server
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("signals and limits as on POSIX", allow_module_level=True)

from coursekit.simulate.chunks import run_chunks
from tests import faults
from tests.faults import Fault, contents, finish, hidden, run, start

SHORT = [name for name in faults.OPERATIONS if name not in faults.SLOW]
#: Those that come one file after the other, each when it is complete.
ONE_BY_ONE = ("write hww", "simulate hww 1", "simulate hww 2")


@dataclass
class Undisturbed:
    """What an operation does when it is left alone: its folder before and after, their contents, and its size."""

    name: str
    former: Path
    old: dict
    new: dict
    steps: list[str]
    size: int
    seconds: float

    def again(self, folder: Path) -> Path:
        """Return the folder as it was before."""
        shutil.rmtree(folder, ignore_errors=True)
        return shutil.copytree(self.former, folder)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults")
    faults.write_sources(folder)
    return folder


@pytest.fixture(scope="module")
def undisturbed(base):
    @cache
    def record(name: str) -> Undisturbed:
        folder, former = base / "out", base / f"former {name}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        if name not in faults.WITHOUT_FORMER:
            before = run(name, folder, 1)
            assert before.status == 0, before.text
        shutil.copytree(folder, former)
        old, after = contents(folder), run(name, folder, 2)
        assert after.status == 0, after.text
        assert not hidden(folder)
        new = contents(folder)
        assert new
        assert new != old
        size = max(path.stat().st_size for path in folder.rglob("*"))
        return Undisturbed(name, former, old, new, after.steps, size, after.seconds)

    return record


def moments(name: str, n: int, among: Sequence[int]) -> list[int]:
    """Some of them, the same whenever they are asked for; all if there are not more."""
    return sorted(random.Random(name).sample(among, min(n, len(among))))


def before_tidying(alone: Undisturbed) -> list[int]:
    """The steps of an operation but for those that remove something: Ctrl-C in their place leaves just that."""
    return [step for step, what in enumerate(alone.steps, 1) if what not in ("os.remove", "os.rmdir", "shutil.rmtree")]


def check(alone: Undisturbed, folder: Path):
    """Whatever has a name is complete, the old one or the new one, and nothing is gone."""
    found = contents(folder)
    assert set(alone.old) <= set(found) <= set(alone.new)
    for name, content in found.items():
        if name.endswith(".pt"):  # a checkpoint is written after each epoch
            assert content == alone.new[name][: len(content)]
        else:
            assert content in (alone.old.get(name), alone.new[name]), name
    return found


def check_killed(alone: Undisturbed, folder: Path, fault: Fault) -> bool:
    """Kill it, and run it again; tells whether it was in the midst of its work."""
    outcome = run(alone.name, alone.again(folder), 2, fault)
    check(alone, folder)
    again = run(alone.name, folder, 2)
    assert again.status == 0, again.text
    assert contents(folder) == alone.new
    assert hidden(folder) == []
    return outcome.status < 0


def check_interrupted(alone: Undisturbed, folder: Path, fault: Fault) -> bool:
    outcome = run(alone.name, alone.again(folder), 2, fault)
    check(alone, folder)
    assert not any((folder / name).is_file() for name in hidden(folder)), hidden(folder)
    assert outcome.status in (0, 130, -fault.signal), outcome  # the last before it had begun
    return outcome.status == 130


def check_full(alone: Undisturbed, folder: Path, outcome) -> bool:
    """One line that names the file and the cause; the old files are there, and nothing else."""
    found = check(alone, folder)
    assert hidden(folder) == []
    assert outcome.status in (0, 1), outcome.text
    if outcome.status == 0:
        assert found == alone.new
        return False
    if alone.name not in ONE_BY_ONE and not alone.name.startswith("train"):
        assert found == alone.old
    if alone.name == "build 01":  # whose cells write files of their own, and say it in their own way
        return True
    line = outcome.text.strip().splitlines()[-1]
    assert any(word in line for word in ("space", "too large", "full", " free, ")), line
    assert str(folder) in line or any(Path(name).name in line for name in alone.new), line
    assert "Traceback" not in outcome.text
    assert "ignored" not in outcome.text
    return True


# --- in a minute ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SHORT)
def test_killed_at_a_step_or_a_byte(undisturbed, base, name):
    alone = undisturbed(name)
    killed = [
        check_killed(alone, base / "out", Fault(signal.SIGKILL, step=step))
        for step in moments(name, 2, range(1, len(alone.steps) + 1))
    ]
    assert all(killed)
    for byte in (alone.size // 50, alone.size // 2):
        check_killed(alone, base / "out", Fault(signal.SIGKILL, byte=byte))


@pytest.mark.parametrize("name", SHORT)
def test_interrupted_nothing_is_left(undisturbed, base, name):
    alone = undisturbed(name)
    for step in moments(name, 2, before_tidying(alone)):
        assert check_interrupted(alone, base / "out", Fault(signal.SIGINT, step=step))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_the_end_of_a_batch_job_is_as_good_as_ctrl_c(undisturbed, base, number):
    alone = undisturbed("coursekit shuffle")
    for step in moments(str(number), 3, before_tidying(alone)):
        assert check_interrupted(alone, base / "out", Fault(number, step=step))


@pytest.mark.parametrize("name", SHORT)
def test_no_room_is_said_in_one_line(undisturbed, base, name):
    alone = undisturbed(name)
    full = []
    for byte in (0.02, 0.7):
        fault = Fault(byte=int(alone.size * byte))
        full.append(check_full(alone, base / "out", run(name, alone.again(base / "out"), 2, fault)))
    assert all(full)


# --- two at once ------------------------------------------------------------------------------------------------------


def both(base, first, second):
    """Run two operations in one folder at once."""
    folder = base / "out"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    started = [start(name, folder, version) for name, version in (first, second)]
    return folder, [finish(*one) for one in started]


@pytest.mark.parametrize(
    "name", ["save_jets", "save_indices", "Scaler.save", "PreparedSample.save", "write hww", "write toptag"]
)
def test_two_that_write_one_file_leave_that_of_one(undisturbed, base, name):
    alone = undisturbed(name)
    folder, outcomes = both(base, (name, 1), (name, 2))
    assert [outcome.status for outcome in outcomes] == [0, 0]
    found = contents(folder)
    assert set(found) == set(alone.new)
    assert all(found[path] in (alone.old[path], alone.new[path]) for path in found)
    assert name != "PreparedSample.save" or found in (alone.old, alone.new)  # both of its files are of one
    assert hidden(folder) == []


def test_two_that_record_lose_nothing(base):
    folder, outcomes = both(base, ("record", 1), ("record", 2))
    assert [outcome.status for outcome in outcomes] == [0, 0]
    assert sorted(contents(folder)["ledger/08.npz"]["taggers"]) == ["tagger 1", "tagger 2"]


def test_two_shuffles_to_one_target_are_refused_or_follow_each_other(undisturbed, base):
    alone = undisturbed("coursekit shuffle")
    folder, outcomes = both(base, ("coursekit shuffle", 1), ("coursekit shuffle", 2))
    statuses = [outcome.status for outcome in outcomes]
    assert 0 in statuses
    for outcome in outcomes:
        assert outcome.status == 0 or "another process is shuffling to" in outcome.text
    made = [content for status, content in zip(statuses, (alone.old, alone.new), strict=True) if status == 0]
    assert contents(folder) in made
    assert hidden(folder) == []


@pytest.mark.skipif(faults.torch is None, reason="trains with PyTorch")
def test_two_trainings_with_one_checkpoint_end_alike(undisturbed, base):
    folder, outcomes = both(base, ("train", 1), ("train", 2))
    assert [outcome.status for outcome in outcomes] == [0, 0], outcomes
    assert contents(folder) == undisturbed("train").new
    assert hidden(folder) == []


def test_a_killed_process_of_several_is_named():
    with pytest.raises(ChildProcessError, match=r"one of the 2 processes was ended from outside, .*Take fewer jobs"):
        list(run_chunks(os._exit, [1, 2], jobs=2))


# --- for hours --------------------------------------------------------------------------------------------------------


@pytest.fixture
def server(base):
    """A server that sends a file slowly, in blocks, and from where it is asked to."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slowly) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        faults.describe_server(base, server.server_port)
        yield server
        server.shutdown()
        thread.join()


class Slowly(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        begin = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-")) if self.headers["Range"] else 0
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(faults.BODY) - begin))
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            for at in range(begin, len(faults.BODY), 20_000):
                self.wfile.write(faults.BODY[at : at + 20_000])
                time.sleep(0.02)

    def log_message(self, *_):
        pass


@pytest.mark.long
@pytest.mark.parametrize("name", faults.OPERATIONS)
def test_killed_at_any_time(undisturbed, base, server, capsys, name):
    alone, rng = undisturbed(name), random.Random(f"long {name}")
    faulty = [Fault(signal.SIGKILL, seconds=alone.seconds * rng.random()) for _ in range(10)]
    if name not in faults.SLOW:
        faulty += [Fault(signal.SIGKILL, step=step) for step in moments(name, 10, range(1, len(alone.steps) + 1))]
        faulty += [Fault(signal.SIGKILL, byte=rng.randrange(1, alone.size)) for _ in range(10)]
    killed = [check_killed(alone, base / "out", fault) for fault in faulty]
    tell(capsys, name, "killed", killed)


@pytest.mark.long
@pytest.mark.parametrize("name", faults.OPERATIONS)
def test_interrupted_at_any_time(undisturbed, base, server, capsys, name):
    alone, rng, stopped = undisturbed(name), random.Random(f"long {name}"), []
    is_command = name in faults.SLOW or name.startswith("coursekit")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if is_command else (signal.SIGINT,):
        faulty = [Fault(number, step=step) for step in moments(name, 10, before_tidying(alone))]
        if name in faults.SLOW:
            faulty = [Fault(number, seconds=alone.seconds * rng.random()) for _ in range(2)]
        stopped += [check_interrupted(alone, base / "out", fault) for fault in faulty]
    tell(capsys, name, "interrupted", stopped)


@pytest.mark.long
@pytest.mark.parametrize("name", faults.OPERATIONS)
def test_no_room_at_any_byte(undisturbed, base, server, capsys, name):
    alone, rng = undisturbed(name), random.Random(f"long {name}")
    bytes_ = [rng.randrange(1, int(1.5 * alone.size)) for _ in range(2 if name in faults.SLOW else 10)]
    full = [check_full(alone, base / "out", run(name, alone.again(base / "out"), 2, Fault(byte=b))) for b in bytes_]
    tell(capsys, name, "without room", full)


@pytest.fixture
def small_disk(base):
    """A real file system of a given size, mounted where the operations write."""
    folder = base / "out"

    def mount(size: int) -> Path:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", folder], capture_output=True)
        if done.returncode:
            pytest.skip("no file system can be mounted here")
        return folder

    yield mount
    subprocess.run(["umount", folder], capture_output=True)


@pytest.mark.long
@pytest.mark.parametrize("name", faults.OPERATIONS)
def test_a_disk_that_is_really_full(undisturbed, base, server, small_disk, capsys, name):
    alone, rng, full = undisturbed(name), random.Random(f"disk {name}"), []
    former = sum(path.stat().st_size + 8192 for path in alone.former.rglob("*"))
    for _ in range(2 if name in faults.SLOW else 10):
        folder = small_disk(former + rng.randrange(8192, 8192 + 2 * alone.size))
        shutil.copytree(alone.former, folder, dirs_exist_ok=True)
        full.append(check_full(alone, folder, run(name, folder, 2)))
        subprocess.run(["umount", folder], check=True)
    tell(capsys, name, "on a small disk", full)


def tell(capsys, name: str, what: str, results: list[bool]) -> None:
    with capsys.disabled():
        print(f"\n{name}: {what} {len(results)} times, {sum(results)} of them in the midst of it", end=" ")
