"""Killed, interrupted, without room, or two at once: a file is the old or the new one, and the next run is right.

The moments are steps and bytes, not seconds, so that a slow machine changes nothing. `-m long` tries ten times as many,
the commands themselves, real simulations and lessons, and a real disk that is full.
"""

import random
import shutil
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("signals and limits as on POSIX", allow_module_level=True)

from tests import faults
from tests.faults import Fault, contents, hidden, run

SHORT = [name for name in faults.OPERATIONS if name not in faults.SLOW]
#: Those that come one file after the other, each when it is complete.
ONE_BY_ONE = ("write hww", "simulate hww")


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
    assert outcome.status in (0, 130), outcome.text
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
    line = outcome.text.strip().splitlines()[-1]
    assert "space" in line or "too large" in line or "full" in line
    assert any(Path(name).stem.split("_")[0] in line for name in alone.new), line
    assert "Traceback" not in outcome.text
    assert "ignored" not in outcome.text
    return True


# --- in a minute ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SHORT)
def test_killed_at_a_step_or_a_byte(undisturbed, base, name):
    alone = undisturbed(name)
    killed = [
        check_killed(alone, base / "out", Fault(signal.SIGKILL, step=step))
        for step in moments(name, 4, range(1, len(alone.steps) + 1))
    ]
    assert all(killed)
    for byte in (alone.size // 50, alone.size // 2, alone.size - 1):
        check_killed(alone, base / "out", Fault(signal.SIGKILL, byte=byte))


@pytest.mark.parametrize("name", SHORT)
def test_interrupted_nothing_is_left(undisturbed, base, name):
    alone = undisturbed(name)
    for step in moments(name, 3, before_tidying(alone)):
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
    for byte in (0.02, 0.4, 0.8):
        fault = Fault(byte=int(alone.size * byte))
        full.append(check_full(alone, base / "out", run(name, alone.again(base / "out"), 2, fault)))
    assert all(full)
