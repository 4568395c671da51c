"""A process of its own for code of others, with limits, and with walls where Linux lets an ordinary user build them.

`bounded` forks twice. The middle process runs none of their code: it watches the inner one, kills it when its time is
over, and takes what it reports. The walls are namespaces: the inner process sees no network, no other process, and of
the files only those of the system, of Python and of the course, read-only, and a small disk of its own in memory.
"""

import contextlib
import ctypes
import os
import resource
import shutil
import signal
import socket
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from coursekit import data
from coursekit.grading.calls import DEATH_SIGNAL, DUMPABLE, NO_NEW_PRIVILEGES, SUBREAPER, called, control, mount
from coursekit.grading.channel import Ended, Reporter, watched

__all__ = ["THREADS", "Limits", "Walls", "bounded", "walls_of_this_system"]

#: Of a library, at most: the processes and threads of an exercise are limited, however many cores the machine has.
THREADS = 4
#: An ordinary user, who owns nothing: what a grader who is root turns into, since root is bound by no number of
#: processes.
_NOBODY = 65534
_NEW_MOUNTS, _NEW_IPC, _NEW_USER, _NEW_PIDS, _NEW_NET = 0x20000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
_BIND, _RECURSIVE, _PRIVATE, _NO_SUID, _NO_DEV, _DETACH = 4096, 16384, 1 << 18, 2, 4, 2
#: Numbers of system calls that no C library of this age has a function for; alike on x86-64 and ARM.
_MOUNT_SETATTR, _PIVOT_ROOT = 442, {"x86_64": 155, "aarch64": 41}.get(os.uname().machine if os.name == "posix" else "")
_READ_ONLY, _AT_CWD, _ALL_BELOW = 1, -100, 0x8000
_SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/sbin", "/etc", "/opt")
_DEVICES = ("null", "zero", "random", "urandom")
_HOME, _INSIDE = "/home/student", "/inside"


@dataclass(frozen=True)
class Limits:
    """What the code of one exercise may take; bytes and seconds."""

    seconds: int = 60
    memory: int = 2 << 30
    file: int = 64 << 20
    disk: int = 128 << 20
    processes: int = 64  # threads count, of which the libraries start some


@dataclass(frozen=True)
class Walls:
    """What keeps the code of others away, as it was found by trying."""

    files: bool = False
    network: bool = False
    processes: bool = False
    other_user: bool = False

    @property
    def namespaces(self) -> bool:
        return self.files


def walls_of_this_system(root: Path, unseen: Iterable[Path]) -> Walls:
    """Return the walls that hold on this system: each was built and looked at from inside.

    Parameters
    ----------
    root : pathlib.Path
        An empty folder, the place where the new root is mounted.
    unseen : iterable of pathlib.Path
        Folders that must not be seen from inside.

    Raises
    ------
    OSError
        When root grades, builds no walls, and cannot become anybody else: nothing would hold what the code can do.
    """
    is_root = os.geteuid() == 0
    for walls in (Walls(True, True, True, other_user=is_root), Walls(other_user=is_root)):
        ended = bounded(lambda walls=walls: _looked_round(walls, unseen), Limits(seconds=20), walls, root, unseen)
        found = ended.report if ended.how == "done" else {"readable": False}
        if found.pop("readable") and found["other_user"] == is_root and found["files"] == walls.files:
            return Walls(**found)
    raise OSError(
        "submitted code cannot be kept apart here: root cannot become another user who may read Python and the course; "
        "grade as an ordinary user, see docs/grading.md"
    )


def _looked_round(walls: Walls, unseen: Iterable[Path]) -> dict:
    try:
        readable = bool(data.catalogue()) and all(
            map(os.listdir, (sysconfig.get_paths()[name] for name in ("stdlib", "purelib")))
        )
        Path(os.__file__).read_bytes()
        Path("written").write_text("by whoever is here", encoding="utf-8")
    except OSError:
        readable = False
    others = [folder for folder in unseen if _holds_something(folder)]
    return {
        "readable": readable,
        "files": walls.files and not others,
        "network": [name for _, name in socket.if_nameindex()] in ([], ["lo"]) and walls.network,
        "processes": os.getpid() == 1,
        "other_user": walls.other_user and os.geteuid() == _NOBODY,
    }


def _holds_something(folder: Path) -> bool:
    try:
        return any(folder.iterdir())
    except OSError:
        return False


def bounded(work: Callable[[], dict], limits: Limits, walls: Walls, root: Path, unseen: Iterable[Path]) -> Ended:
    """Call a function in a process of its own, and return what it returns, or how the process ended.

    Parameters
    ----------
    work : callable
        Runs inside, and returns what JSON can hold.
    limits : Limits
    walls : Walls
    root : pathlib.Path
        As in `walls_of_this_system`.
    unseen : iterable of pathlib.Path
        Folders that are empty inside, if they lie within what must be seen.
    """
    ours, theirs = os.pipe()
    middle = os.fork()
    if middle == 0:
        try:
            os.close(ours)
            os.setsid()
            Ended.write(theirs, _middle(work, limits, walls, root, unseen))
        finally:
            os._exit(0)
    os.close(theirs)
    try:
        ended = Ended.read(ours)
    finally:
        os.close(ours)
        os.waitpid(middle, 0)
    return ended


def _middle(work: Callable, limits: Limits, walls: Walls, root: Path, unseen: Iterable[Path]) -> Ended:
    folder = None
    try:
        if walls.other_user and not walls.namespaces:
            _become_nobody()
        control(DEATH_SIGNAL, signal.SIGKILL)
        control(SUBREAPER, 1)
        if walls.namespaces:
            _enter_namespaces()
        else:
            folder = tempfile.mkdtemp(prefix="coursekit-grade-")
        control(DUMPABLE, 0)  # and so is the inner one, for the others of this user
        up, down = os.pipe(), os.pipe()
        inner = os.fork()
        if inner == 0:
            reporter = Reporter(up[1], down[0])
            try:
                _shut_in(limits, walls, root, unseen, folder, keep=(up[1], down[0]))
            except Exception as error:
                reporter.cannot_begin(f"the walls cannot be built here: {error}")
                os._exit(1)
            try:
                reporter.tell_of(work)
            finally:
                os._exit(0)
        os.close(up[1]), os.close(down[0])
        return watched(inner, up[0], down[1], limits.seconds, limits.memory)
    except Exception as error:
        return Ended("failed", reason=str(error))
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


# --- inside -----------------------------------------------------------------------------------------------------------


def _shut_in(limits: Limits, walls: Walls, root: Path, unseen: Iterable[Path], folder, keep: tuple) -> None:
    """Let this process see and take only what it may, and nothing of its parents but two ends of pipes."""
    # Now: inside, there may be no /proc.
    used = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0]) * resource.getpagesize()
    if walls.namespaces:
        called("unshare", _NEW_MOUNTS | _NEW_NET | _NEW_IPC)
        _build_root(str(root), unseen, limits)
        folder = _HOME
        if walls.other_user:
            _become_nobody()
        _give_up_all_rights()
    control(DEATH_SIGNAL, signal.SIGKILL)  # with the watcher; after a change of rights, which makes it forgotten
    home, temporary, own = (os.path.join(folder, name) for name in ("home", "tmp", "submission"))
    for path in (home, temporary, own):
        os.mkdir(path, 0o700)
    os.chdir(own)
    _live_in(home, temporary)
    control(NO_NEW_PRIVILEGES, 1)
    _take_away_files(keep)
    _limit(limits, walls, used)


def _take_away_files(keep: tuple) -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    before = 3
    for number in (*sorted(keep), 1 << 16):
        os.closerange(before, number)
        before = number + 1


def _live_in(home: str, temporary: str) -> None:
    os.environ.update(HOME=home, TMPDIR=temporary, MPLBACKEND="agg", MPLCONFIGDIR=home, KERAS_HOME=home)
    tempfile.tempdir = temporary


def _limit(limits: Limits, walls: Walls, used: int) -> None:
    others = 0 if walls.processes else _threads_of_this_user()
    for name, most in (
        ("AS", used + limits.memory),
        ("FSIZE", limits.file),
        ("CPU", 2 * THREADS * limits.seconds),  # more than they use until the clock ends them
        ("NPROC", others + limits.processes),
        ("NOFILE", 256),
        ("CORE", 0),
    ):
        kind = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(kind)[1]
        most = most if hard < 0 else min(most, hard)
        resource.setrlimit(kind, (most, most))


def _threads_of_this_user() -> int:
    """Return how many there are already: without a namespace, the limit counts them all."""
    count, user = 0, os.getuid()
    for path in Path("/proc").glob("[0-9]*/task"):
        with contextlib.suppress(OSError):
            count += len(os.listdir(path)) if path.stat().st_uid == user else 0
    return count


# --- the walls --------------------------------------------------------------------------------------------------------


def _become_nobody() -> None:
    os.setgroups([])
    os.setresgid(_NOBODY, _NOBODY, _NOBODY)
    os.setresuid(_NOBODY, _NOBODY, _NOBODY)


def _enter_namespaces() -> None:
    """Become the owner of a new user namespace, and let the next child be the first process of a new one of processes.

    An ordinary user keeps that name. Root is root there and can become nobody, which only root outside can allow.
    """
    user, group = os.geteuid(), os.getegid()
    numbers = [user] if user else [user, _NOBODY]
    maps = {"uid_map": numbers, "gid_map": [group] if user else [group, _NOBODY]}
    if user:
        control(DUMPABLE, 1)  # or the files of its names belong to root
        called("unshare", _NEW_USER | _NEW_PIDS)
        Path("/proc/self/setgroups").write_text("deny", encoding="utf-8")
        _write_maps("self", maps)
        return
    ready, ours = os.pipe(), os.getpid()
    writer = os.fork()
    if writer == 0:
        try:
            _take_away_files(keep=(ready[0],))  # and all pipes of which somebody waits for the end
            if os.read(ready[0], 1):
                _write_maps(str(ours), maps)
                os._exit(0)
        finally:
            os._exit(1)
    try:
        called("unshare", _NEW_USER | _NEW_PIDS)
        os.write(ready[1], b"!")
    finally:
        os.close(ready[0]), os.close(ready[1])
        status = os.waitpid(writer, 0)[1]
    if status != 0:
        raise OSError("the users of a new namespace cannot be named")


def _write_maps(process: str, maps: dict[str, list[int]]) -> None:
    for name, numbers in maps.items():
        text = "\n".join(f"{number} {number} 1" for number in numbers)
        Path(f"/proc/{process}/{name}").write_text(text, encoding="utf-8")


def _build_root(root: str, unseen: Iterable[Path], limits: Limits) -> None:
    """Make a root of what may be seen, read-only, with one small disk in memory that can be written."""
    mount(None, "/", None, _RECURSIVE | _PRIVATE)
    mount("tmpfs", root, "tmpfs", _NO_SUID | _NO_DEV, "size=1m,mode=755")
    top, root = root, root + _INSIDE
    os.mkdir(root)
    disk = root + _HOME
    os.makedirs(disk)
    mount("tmpfs", disk, "tmpfs", _NO_SUID | _NO_DEV, f"size={limits.disk},nr_inodes=4096,mode=1777")
    shared = [f"{root}/tmp", f"{root}/dev/shm"]
    for number, place in enumerate(shared):  # of this disk, too
        os.mkdir(f"{disk}/.{number}")
        os.chmod(f"{disk}/.{number}", 0o1777)
        os.makedirs(place)
        mount(f"{disk}/.{number}", place, None, _BIND)
    shown = []
    for path in dict.fromkeys(_seen()):
        if not any(path == other or path.startswith(f"{other}/") for other in shown):
            shown += _show(path, root + path)
    for path in {*map(str, unseen), *map(os.path.realpath, unseen)}:
        if os.path.isdir(root + path):
            mount("tmpfs", root + path, "tmpfs", _NO_SUID | _NO_DEV, "size=4k,mode=755")
    for name in _DEVICES:
        _show(f"/dev/{name}", f"{root}/dev/{name}")
    os.mkdir(f"{root}/proc")
    with contextlib.suppress(OSError):  # a container hides parts of it; then there is none inside
        mount("proc", f"{root}/proc", "proc", _NO_SUID | _NO_DEV)
    _change(top, _READ_ONLY | _NO_SUID, 0, _ALL_BELOW)
    for place in (disk, *shared):
        _change(place, 0, _READ_ONLY, 0)
    os.chdir(top)
    called("syscall", _PIVOT_ROOT, b".", b".")
    called("umount2", b".", _DETACH)
    # Whoever could make another user namespace could mount a larger disk there: nobody can whose root is a folder.
    os.chroot(_INSIDE)
    os.chdir("/")


def _change(place: str, more: int, fewer: int, below: int) -> None:
    attributes = (ctypes.c_uint64 * 4)(more, fewer, 0, 0)
    size = ctypes.c_size_t(ctypes.sizeof(attributes))
    called("syscall", _MOUNT_SETATTR, _AT_CWD, place.encode(), below, attributes, size)


def _seen() -> Iterable[str]:
    """Yield what Python, its packages and the course need, by all names that lead there."""
    package = Path(__file__).parent.parent
    lessons = Path(os.environ.get("COURSEKIT_ROOT") or data.shipped_folder().parent) / "lessons"
    paths = sysconfig.get_paths()
    needed = [*_SYSTEM, sys.prefix, sys.base_prefix, paths["stdlib"], paths["platlib"], paths["purelib"]]
    needed += [package, lessons, data.shipped_folder(), data.cache_folder()]
    for path in sorted(map(str, needed)):
        yield from dict.fromkeys(p for p in (path, os.path.realpath(path)) if os.path.exists(p))


def _show(path: str, place: str) -> list[str]:
    """Bring a folder or a file to its place under the new root; return the folder, with which all below it is there."""
    if os.path.islink(path) and path in _SYSTEM:  # /bin is a link to usr/bin
        os.symlink(os.readlink(path), place)
        return []
    if os.path.isdir(path):
        os.makedirs(place, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(place), exist_ok=True)
        os.close(os.open(place, os.O_CREAT | os.O_WRONLY, 0o644))
    mount(path, place, None, _BIND | _RECURSIVE)
    return [path] if os.path.isdir(path) else []


def _give_up_all_rights() -> None:
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    nothing = (ctypes.c_uint32 * 6)()
    called("capset", header, nothing)
