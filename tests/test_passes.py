"""What was passed yesterday is known today, in all lessons, whatever has become of the file."""

import json
import os
import re
import subprocess
import sys

import pytest

from coursekit import data, lesson, setup
from coursekit.checks import engine, passes
from coursekit.checks.exercise import exercise
from tests.conftest import LESSONS
from tests.toy import EXERCISES, edit

RIGHT, WRONG = (lambda x: (x - x.mean()) / x.std()), (lambda x: x)


@pytest.fixture
def folder(clone, monkeypatch, no_exercises):
    """A notebook's folder, beside a course of one lesson with two exercises and another with the same."""
    (clone / "lessons" / "02_more").mkdir()
    (clone / "lessons" / "02_more" / "exercises.py").write_text(EXERCISES.replace('"1.', '"2.'), encoding="utf-8")
    monkeypatch.setenv("COURSEKIT_ROOT", str(clone))
    monkeypatch.delenv("COURSEKIT_PROGRESS")
    monkeypatch.setattr(data, "ensure", lambda lesson: None)
    monkeypatch.setattr(lesson, "_work", None)
    monkeypatch.setattr(lesson, "_current", "")
    monkeypatch.setattr(passes, "_said", set())
    (clone / "here").mkdir()
    monkeypatch.chdir(clone / "here")
    yield clone / "here"
    passes.versions.cache_clear()
    forget_modules()


def forget_modules():
    for name in [
        name for name in sys.modules if name.startswith("coursekit_lessons.0") and name[-3:] in ("toy", "ore")
    ]:
        del sys.modules[name]


def restart(number):
    """A new kernel, another day, in which the first cell has run."""
    for kept in (engine._attempts, engine._judged, engine._handed_out, passes._said):
        kept.clear()
    sys.modules[exercise.__module__]._exercises.clear()
    forget_modules()
    passes.versions.cache_clear()
    setup(number)


def shown(capsys):
    capsys.readouterr()
    engine.progress()
    return capsys.readouterr().out.splitlines()


def test_what_was_passed_yesterday_is_known_today(folder, capsys):
    restart("01")
    assert shown(capsys) == ["No exercise has been checked yet."]
    engine.check("1.2", WRONG)
    engine.check("1.2", RIGHT)
    engine.check("1.2", ...)
    restart("01")
    table = [
        "   1.1  [TODO]     tries 0  mean and spread",
        "   1.2  [PASS]     tries 2  a column normalised",
        "1 of 2 exercises solved.",
    ]
    assert shown(capsys) == table
    restart("02")
    assert shown(capsys) == ["No exercise has been checked yet.", "lesson 01: 1 of 2"]
    engine.check("2.2", WRONG)
    assert shown(capsys) == [
        "   2.1  [TODO]     tries 0  mean and spread",
        "   2.2  [NOT YET]  tries 1  a column normalised",
        "0 of 2 exercises solved.",
        "lesson 01: 1 of 2",
    ]
    restart("01")
    assert shown(capsys) == table  # nothing is said of a lesson without a pass


def test_a_pass_stays_one(folder, capsys):
    restart("01")
    engine.check("1.2", RIGHT)
    engine.check("1.2", WRONG)
    assert shown(capsys)[1:] == [
        "   1.2  [NOT YET]  tries 2  a column normalised (passed before)",
        "1 of 2 exercises solved.",
    ]
    restart("01")
    assert shown(capsys)[1:] == ["   1.2  [PASS]     tries 2  a column normalised", "1 of 2 exercises solved."]


def test_an_exercise_that_has_changed_is_to_be_passed_again(folder, clone, capsys):
    restart("01")
    engine.check("1.2", RIGHT)
    edit(clone, 'hints=("Subtract, divide.",)', 'hints=("Other words.",)', "exercises.py")
    edit(clone, "# first the mean\n", "# another remark\n", "exercises.py")
    edit(clone, "lambda *, x: (x.mean(), x.var())", "lambda *, x: (x.mean(), 2 * x.var())", "exercises.py")
    restart("01")
    assert shown(capsys)[1].startswith("   1.2  [PASS]")  # it is the same to who solves it
    edit(clone, "[(np.arange(3.0),)]", "[(np.arange(3.0),), (np.arange(4.0),)]", "exercises.py")
    restart("01")
    assert shown(capsys)[1:] == [
        "   1.2  [TODO]     tries 0  a column normalised (it has changed since you passed it)",
        "0 of 2 exercises solved.",
    ]
    restart("02")
    assert shown(capsys)[1:] == ["lesson 01: 0 of 2 (1 changed since you passed it)"]
    restart("01")
    engine.check("1.2", RIGHT)
    assert shown(capsys)[1:] == ["   1.2  [PASS]     tries 1  a column normalised", "1 of 2 exercises solved."]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "JSONDecodeError"),
        (b"\xff\xfe", "UnicodeDecodeError"),
        (b"[1]", "TypeError"),
        (b'{"format": 2, "exercises": {}}', "its format is 2, not 1"),
        (b'{"format": 1, "exercises": {"1.2": {"version": "a", "tries": 1}}}', "TypeError"),
        (b'{"format": 1, "exercises": {"1.2": {"version": "a", "tries": "1", "passed": true}}}', "something else"),
        (b'{"format": 1, "exercises": {"x": {"version": "a", "tries": 1, "passed": true}}}', "something else"),
        (b"[" * 100_000, "RecursionError"),
    ],
)
def test_a_damaged_file_is_set_aside_and_breaks_nothing(folder, capsys, content, words):
    restart("01")
    for number, last in enumerate(("", "1")):
        (folder / "work" / "progress.json").write_bytes(content)
        engine.check("1.2", RIGHT) if number else engine.progress()
        lines = capsys.readouterr().out.splitlines()
        (said,) = (line for line in lines if line.startswith("("))
        assert words in said
        assert f"it is now progress.damaged{last}.json" in said
        assert (folder / "work" / f"progress.damaged{last}.json").read_bytes() == content
    assert lines[0] == "[PASS] 1.2 a column normalised"
    assert shown(capsys)[-1] == "1 of 2 exercises solved."


def test_a_folder_that_cannot_be_written_is_said_once(folder, capsys):
    restart("01")
    os.rename(folder / "work", folder / "elsewhere")
    for _ in range(2):
        engine.check("1.2", RIGHT)
    lines = capsys.readouterr().out.splitlines()
    assert [line[:6] for line in lines] == ["[PASS]", "(What ", "[PASS]"]
    assert "What you pass is not kept for another day" in lines[1]
    assert shown(capsys)[1:] == ["   1.2  [PASS]     tries 2  a column normalised", "1 of 2 exercises solved."]


def test_a_kernel_that_holds_the_file_is_not_waited_for_for_ever(folder, capsys, monkeypatch):
    restart("01")
    monkeypatch.setattr(passes, "PATIENCE", 0.2)
    with passes.locked(folder / "work" / "progress.json"):
        engine.check("1.2", RIGHT)
    assert "not kept for another day" in capsys.readouterr().out


@pytest.mark.parametrize(("name", "value"), [("COURSEKIT_BUILD", "stored"), ("COURSEKIT_PROGRESS", "off")])
def test_outputs_that_are_compared_know_nothing_of_yesterday(folder, capsys, monkeypatch, name, value):
    restart("01")
    engine.check("1.2", RIGHT)
    restart("01")
    monkeypatch.setenv(name, value)
    assert shown(capsys) == ["No exercise has been checked yet."]
    engine.check("1.2", RIGHT)
    assert shown(capsys)[1].startswith("   1.2  [PASS]     tries 1")


@pytest.mark.parametrize(("mark", "lender"), [("COLAB_RELEASE_TAG", "Colab"), ("BINDER_LAUNCH_HOST", "Binder")])
def test_who_lends_the_machine_deletes_what_was_passed(folder, capsys, monkeypatch, mark, lender):
    restart("01")
    monkeypatch.setenv(mark, "something")
    assert len(shown(capsys)) == 1
    engine.check("1.2", RIGHT)
    assert shown(capsys)[-1].startswith(f"{lender} deletes this machine when you are done, and work/progress.json")


#: A kernel that checks one exercise again and again.
KERNEL = """
import sys
import numpy as np
from coursekit import check, data, setup

data.ensure = lambda lesson: None
setup("01")
answers = {"1.1": ([0, 0], {"x": np.arange(3.0)}), "1.2": ([lambda x: (x - x.mean()) / x.std()], {})}
for _ in range(20):
    check(sys.argv[1], *answers[sys.argv[1]][0], **answers[sys.argv[1]][1])
"""


def test_two_kernels_at_once_lose_nothing(folder):
    kernels = [
        subprocess.Popen([sys.executable, "-c", KERNEL, number], stdout=subprocess.DEVNULL) for number in ("1.1", "1.2")
    ]
    assert [kernel.wait(120) for kernel in kernels] == [0, 0]
    kept = json.loads((folder / "work" / "progress.json").read_text(encoding="utf-8"))["exercises"]
    assert {number: (one["tries"], one["passed"]) for number, one in kept.items()} == {
        "1.1": (20, False),
        "1.2": (20, True),
    }
    assert sorted(path.name for path in (folder / "work").iterdir()) == [".progress.json.lock", "01", "progress.json"]


@pytest.mark.parametrize("source", LESSONS, ids=lambda path: path.name)
def test_every_exercise_of_the_course_has_a_version(source):
    versions = passes.versions(int(source.name[:2]))
    tags = re.findall(r'"exercise", "ex-(.+?)"', (source / "lesson.py").read_text(encoding="utf-8"))
    assert sorted(versions) == sorted(tags)
    assert len(set(versions.values())) == len(versions) >= 1
