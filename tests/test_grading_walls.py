"""What code of others may see and take is limited, and how its process ended is told."""

import os
import socket
import sys
import threading
import time

import pytest

from coursekit.checks.limits import at_most

if sys.platform != "linux":
    pytest.skip("submissions are judged on Linux only", allow_module_level=True)

from coursekit.grading import calls, isolation
from coursekit.grading.isolation import Limits, Walls, bounded, walls_of_this_system

# From Python 3.12 on: a child of this process, in which the libraries' threads are, runs nothing that they could hold.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")


@pytest.fixture(scope="module")
def walled(tmp_path_factory):
    """Run a function behind walls, near a folder that must not be seen."""
    root, unseen = tmp_path_factory.mktemp("root"), tmp_path_factory.mktemp("others")
    (unseen / "other.ipynb").write_text("{}", encoding="utf-8")
    walls = walls_of_this_system(root, [unseen])
    if not walls.files:
        pytest.skip("this system lets no ordinary user build walls")
    return lambda work, **limits: bounded(
        lambda: work(unseen), Limits(**{"seconds": 20} | limits), walls, root, [unseen]
    )


def test_nothing_of_the_others_is_seen(walled):
    def look(unseen):
        with open("/proc/self/status", encoding="utf-8") as file:
            rights = next(line.split()[1] for line in file if line.startswith("CapEff"))
        home = os.listdir(os.path.expanduser("~"))
        return {"there": os.path.exists(unseen), "home": home, "me": os.getpid(), "rights": int(rights, 16)}

    assert walled(look).report == {"there": False, "home": [], "me": 1, "rights": 0}


def test_no_network(walled):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def call(_):
            try:
                socket.create_connection(("127.0.0.1", port), 2).close()
            except OSError as error:
                return {"said": str(error)}
            return {"said": "connected"}

        assert "unreachable" in walled(call).report["said"]


def test_forks_are_counted(walled):
    def fork(_):
        for number in range(1000):
            try:
                if os.fork() == 0:
                    time.sleep(1000)
            except OSError:
                return {"forks": number}
        return {"forks": 1000}

    assert walled(fork, processes=20).report["forks"] < 20


def test_the_disk_is_small_and_all_else_read_only(walled):
    def fill(_):
        said = []
        for name in ["one", *(f"more{n}" for n in range(10)), "/tmp/other", f"{sys.prefix}/x", "/etc/x"]:
            try:
                with open(name, "wb") as file:
                    file.write(bytes(1 << 20) * (5 if name == "one" else 1))
            except OSError as error:
                said.append(error.strerror)
        return {"said": said}

    said = walled(fill, disk=4 << 20, file=2 << 20).report["said"]
    assert said[0] == "File too large"
    assert "No space left on device" in said
    assert said[-2:] == ["Read-only file system"] * 2


def test_memory_is_limited_for_a_process_and_its_children_together(walled):
    def one(_):
        try:
            return {"bytes": len(bytearray(1 << 30))}
        except MemoryError:
            return {"bytes": 0}

    def many(_):
        for _ in range(10):
            if os.fork() == 0:
                taken = bytearray(os.urandom(1 << 20) * 100)
                time.sleep(1000 + len(taken) % 2)
        time.sleep(1000)

    def by_a_thread(_):
        threading.Thread(target=many, args=(None,)).start()
        time.sleep(1000)

    assert walled(one, memory=256 << 20).report == {"bytes": 0}
    assert walled(many, memory=256 << 20).how == "memory"
    assert walled(by_a_thread, memory=256 << 20).how == "memory"


def test_the_memory_of_those_whose_parent_has_ended_is_counted_without_walls_too(tmp_path):
    def leave():
        for _ in range(10):
            if os.fork() == 0:
                if os.fork() == 0:
                    taken = bytearray(os.urandom(1 << 20) * 100)
                    time.sleep(1000 + len(taken) % 2)
                os._exit(0)
        time.sleep(1000)

    assert bounded(leave, Limits(seconds=20, memory=256 << 20), Walls(), tmp_path, []).how == "memory"


def test_nobody_makes_another_namespace_inside(walled):
    import ctypes

    assert walled(lambda _: {"result": ctypes.CDLL(None).unshare(0x10000000)}).report == {"result": -1}


def test_a_process_that_hides_in_another_session_is_found(tmp_path):
    """Without walls, too: what outlives its parent is a child of the watcher."""

    def hide():
        ours, theirs = os.pipe()
        if os.fork() == 0:
            os.setsid()
            if (hidden := os.fork()) == 0:
                time.sleep(1000)
            os.write(theirs, str(hidden).encode())
            os._exit(0)
        return {"hidden": int(os.read(ours, 20))}

    ended = bounded(hide, Limits(seconds=20), Walls(), tmp_path, [])
    assert not os.path.exists(f"/proc/{ended.report['hidden']}")


def test_where_nobody_makes_namespaces_the_limits_are_left(tmp_path, monkeypatch):
    """As in a container; root, who has asked another process for help, does not wait for it."""

    def refused(name, *arguments):
        if name == "unshare":
            raise PermissionError("unshare: Operation not permitted")
        return calls.called(name, *arguments)

    monkeypatch.setattr(isolation, "called", refused)
    is_root, said = os.geteuid() == 0, ""
    try:
        with at_most(30):
            walls = walls_of_this_system(tmp_path, [])
    except OSError as error:
        walls, said = Walls(other_user=is_root), str(error)
    assert walls == Walls(other_user=is_root)
    assert not said or (is_root and "cannot become another user" in said)  # whose Python lies in its own home


def test_walls_need_no_proc_inside(walled, monkeypatch):
    def refused(source, target, kind, *arguments):
        if kind == "proc":
            raise PermissionError("mount: Operation not permitted")
        calls.mount(source, target, kind, *arguments)

    monkeypatch.setattr(isolation, "mount", refused)
    report = walled(lambda _: {"proc": os.listdir("/proc"), "me": os.getpid()}).report
    assert report == {"proc": [], "me": 1}


def test_nobody_opens_the_pipes_of_the_watcher(tmp_path):
    """Without walls its process is there, and belongs to the same user."""

    def look():
        try:
            return {"open": os.listdir(f"/proc/{os.getppid()}/fd")}
        except OSError as error:
            return {"said": error.strerror}

    walls = Walls(other_user=os.geteuid() == 0)
    assert bounded(look, Limits(seconds=20), walls, tmp_path, []).report == {"said": "Permission denied"}


@pytest.mark.parametrize(
    ("work", "how", "words"),
    [
        (lambda: 1 / 0, "failed", "the check itself failed (ZeroDivisionError: division by zero)"),
        (lambda: os.kill(os.getpid(), 40), "signal", "the signal 40"),
        (lambda: os.kill(os.getpid(), 15), "signal", "the signal SIGTERM"),
    ],
)
def test_how_a_process_ended_is_said(tmp_path, work, how, words):
    ended = bounded(work, Limits(seconds=20), Walls(), tmp_path, [])
    assert ended.how == how
    assert words in ended.reason
