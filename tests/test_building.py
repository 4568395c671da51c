"""Builds: executing, parameters, interruption, comparison, and what a terminal or a log is told."""

import os
import signal
import subprocess
import sys
import time

import nbformat
import numpy as np
import psutil
import pytest
from typer.testing import CliRunner

from coursekit import authoring, building
from coursekit.cli import app
from coursekit.reproducing import differences
from tests.toy import EXERCISES, FIGURES, README, TOY, build, edit, lesson


@pytest.mark.lessons
def test_two_builds_are_the_same_and_nothing_else_is_left(clone):
    (built,) = build(clone)
    assert (built.passed, built.exercises) == (2, 2)
    assert built.peak_mib > 10
    texts = [(clone / folder / "01_toy.ipynb").read_text(encoding="utf-8") for folder in ("notebooks", "solutions")]
    build(clone)
    assert texts == [
        (clone / folder / "01_toy.ipynb").read_text(encoding="utf-8") for folder in ("notebooks", "solutions")
    ]
    assert {path.name for path in clone.iterdir()} == {"lessons", "course.toml", "README.md", "notebooks", "solutions"}
    for folder in ("notebooks", "solutions"):
        notebook = nbformat.read(clone / folder / "01_toy.ipynb", as_version=4)
        nbformat.validate(notebook)
        assert set(notebook.metadata) == {"kernelspec", "language_info"}
        assert all(set(cell.metadata) <= {"tags", "cellView", "jupyter"} for cell in notebook.cells)
    assert all(not cell.get("outputs") for cell in nbformat.read(clone / "notebooks/01_toy.ipynb", as_version=4).cells)


@pytest.mark.lessons
def test_a_new_lesson_is_a_folder(clone):
    """What CONTRIBUTING.md says: lesson 11 is there when its folder is."""
    folder = clone / "lessons" / "11_clouds"
    folder.mkdir()
    for name, text in (("lesson.py", TOY), ("exercises.py", EXERCISES), ("figures.toml", FIGURES)):
        text = text.replace("# 1 · Toy", "# 11 · Clouds").replace('setup("01")', 'setup("11")')
        (folder / name).write_text(text.replace("1.1", "11.1").replace("1.2", "11.2"), encoding="utf-8")
    done = CliRunner().invoke(app, ["build", "11", "--root", str(clone)])
    assert done.exit_code == 0, done.output
    assert "11_clouds: running" in done.output
    assert "11_clouds: 2 of 2 exercises passed" in done.output
    assert "| 11 | **Clouds**" in (clone / "README.md").read_text(encoding="utf-8")
    solution = nbformat.read(clone / "solutions" / "11_clouds.ipynb", as_version=4)
    said = [text for texts in authoring.verdicts(solution).values() for text in texts]
    assert said == ["[PASS] 11.1 mean and spread\n", "[PASS] 11.2 a column normalised\n"]
    (picture,) = (
        out for cell in solution.cells for out in cell.get("outputs", []) if "image/png" in out.get("data", {})
    )
    assert picture.data["text/plain"] == "A rising line through four points."


@pytest.mark.lessons
def test_a_slow_lesson_is_named_with_the_likely_reason(clone, monkeypatch):
    edit(clone, "**Time:** 5 minutes", "**Time:** 5 minutes; it runs in about 1 seconds")
    for load, reason in ((7.5, "something else computes on this machine (load 7.5 on"), (0.5, "little memory")):
        said = []
        monkeypatch.setattr(building.os, "getloadavg", lambda load=load: (load, load, load))
        monkeypatch.setattr(building, "SLOW", 0.01)
        build(clone, output=clone / "out", say=said.append)
        (slow,) = (line for line in said if "slow" in line)
        assert slow.startswith("01_toy: slow, ")
        assert reason in slow
    monkeypatch.setattr(building, "SLOW", 1000)
    said = []
    build(clone, output=clone / "out", say=said.append)
    assert [line.split(",")[0].split(":")[1] for line in said] == [" running", " 2 of 2 exercises passed"]


@pytest.mark.lessons
def test_recorded_scores_are_kept_with_the_course_but_not_those_of_other_parameters(clone):
    call = 'record(WORK, "a", [0, 1], [0, 1], 5)\n'
    edit(clone, 'show("settings",', f'from coursekit.ledger import record\n\n_ = {call}show("settings",')
    build(clone, output=clone / "out", parameters={"seed": 7})
    assert not (clone / "out" / "data").exists()
    build(clone)
    with np.load(clone / "data" / "ledger" / "01.npz") as stored:
        assert (stored["taggers"].tolist(), stored["scores"].tolist()) == (["a"], [[0, 1]])


@pytest.mark.lessons
def test_a_solution_that_fails_its_check_fails_the_build_and_leaves_the_old_one(clone):
    build(clone)
    before = (clone / "solutions" / "01_toy.ipynb").read_text(encoding="utf-8")
    edit(clone, 'check("1.1", mean, std,', 'check("1.1", mean, std**2,')
    with pytest.raises(
        authoring.BuildError, match=r"01_toy does not build: .*CheckFailed: \[NOT YET\] 1\.1 .*variance"
    ):
        build(clone)
    assert (clone / "solutions" / "01_toy.ipynb").read_text(encoding="utf-8") == before
    assert not list(clone.glob(".build-*"))


@pytest.mark.lessons
def test_an_unstable_digit_or_stderr_fails_the_build(clone):
    edit(clone, 'show("only in the solution", mean, 3)', 'show("edge", 0.125, 2)')
    with pytest.raises(authoring.BuildError, match="too close to a rounding edge"):
        build(clone)
    edit(clone, 'show("edge", 0.125, 2)', "import warnings; warnings.warn('chatter')")
    with pytest.raises(authoring.BuildError, match=r"writes to stderr: .*chatter"):
        build(clone)


#: A locale with 128 letters, as old as possible: what is read and written as it has it fails on all others.
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.lessons
@pytest.mark.skipif(sys.platform == "win32", reason="locales as on POSIX")
def test_a_build_does_not_ask_the_locale(clone):
    edit(clone, "# # 1 · Toy", "# # 1 · Détecteur → jets")
    edit(clone, 'show("only in the solution", mean, 3)', 'show("m → t", mean, 3, error=0.5)')
    (clone / "README.md").write_text(README.replace("# Toy", "# Données ± détecteur"), encoding="utf-8")
    command = [sys.executable, "-m", "coursekit.cli", "build", "--root", str(clone)]
    done = subprocess.run(command, env=os.environ | ASCII, capture_output=True, encoding="ascii")
    assert done.returncode == 0, done.stderr
    text = (clone / "README.md").read_text(encoding="utf-8")
    assert text.startswith("# Données ± détecteur\n")
    assert "**Détecteur → jets**" in text
    assert "m → t: 2.500 ± 0.500" in (clone / "solutions" / "01_toy.ipynb").read_text(encoding="utf-8")
    for path in ("README.md", "solutions/01_toy.ipynb", "notebooks/01_toy.ipynb"):
        assert b"\r" not in (clone / path).read_bytes()


@pytest.mark.skipif(sys.platform == "win32", reason="locales as on POSIX")
def test_what_the_locale_has_no_letter_for_is_printed_as_an_escape():
    code = r"from coursekit import show; show('m \u2192 t', 2.5, 1, error=0.5)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=os.environ | ASCII, capture_output=True, encoding="ascii", check=True)
    assert done.stdout == r"m \u2192 t: 2.5 \xb1 0.5" + "\n"
    command = [sys.executable, "-m", "coursekit.cli", "doctor"]
    assert not subprocess.run(command, env=os.environ | ASCII, stdout=subprocess.PIPE).returncode


@pytest.mark.parametrize("jobs", [0, -1])
def test_no_jobs_build_nothing(clone, jobs):
    with pytest.raises(ValueError, match=f"number of jobs must be 1 or more, got {jobs}"):
        build(clone, jobs=jobs)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"cells": [', b"\xff\xfe{}"])
def test_a_damaged_notebook_is_named(tmp_path, content):
    path = tmp_path / "01_toy.ipynb"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"01_toy\.ipynb is not a notebook \(.*\); run `coursekit build`") as error:
        differences(path, path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"quick": "false"}, {"quick": False}),
        ({"quick": "True", "seed": "7"}, {"quick": True, "seed": 7}),
        ({"rate": "1e-2"}, {"rate": 0.01}),
        ({"rate": "2"}, {"rate": 2.0}),
        ({"name": "7"}, {"name": "7"}),
    ],
)
def test_parameters_take_the_type_of_the_default(clone, given, expected):
    assert building.check_parameters([lesson(clone)], given) == expected


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"qiuck": "True"}, "no parameter 'qiuck'; did you mean 'quick'"),
        ({"seed": "1.5"}, "expected int, got '1.5'"),
        ({"quick": "1"}, "expected bool, got '1'"),
        ({"rate": "fast"}, "expected float, got 'fast'"),
    ],
)
def test_parameters_that_papermill_would_ignore_are_refused(clone, given, words):
    with pytest.raises(authoring.BuildError, match=words):
        building.check_parameters([lesson(clone)], given)


@pytest.mark.lessons
def test_the_command_line_builds_aside_with_other_parameters(clone):
    arguments = ["build", "toy", "--root", str(clone), "--full", "-p", "seed", "7"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 1
    assert "name a folder, --output" in done.output  # and keep the solutions that the tests compare with
    arguments += ["--output", str(clone / "out")]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "2 of 2" in done.output
    assert "settings: (False, 7, 0.5, 'toy')" in (clone / "out" / "solutions" / "01_toy.ipynb").read_text(
        encoding="utf-8"
    )
    assert not (clone / "solutions").exists()
    assert (clone / "README.md").read_text(encoding="utf-8") == README


@pytest.mark.lessons
def test_check_compares_with_what_is_committed(clone):
    def check():
        return CliRunner().invoke(app, ["build", "--check", "--root", str(clone)])

    assert CliRunner().invoke(app, ["build", "--root", str(clone)]).exit_code == 0
    assert check().exit_code == 0
    solution, exercise = clone / "solutions/01_toy.ipynb", clone / "notebooks/01_toy.ipynb"
    originals = [path.read_text(encoding="utf-8") for path in (solution, exercise, clone / "README.md")]
    changes = (
        (solution, "only in the solution: 2.500", "only in the solution: 2.501"),
        (exercise, "mean = ...", "mean = 2.5"),
        (clone / "README.md", "| 5 min |", "| 6 min |"),
    )
    for path, old, new in changes:
        assert old in path.read_text(encoding="utf-8")
        path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    done = check()
    assert done.exit_code == 1
    assert "run `coursekit build`" in done.output
    for path in (solution, exercise, clone / "README.md"):
        assert str(path.relative_to(clone)) in done.output
    for path, old, new in changes:
        path.write_text(path.read_text(encoding="utf-8").replace(new, old), encoding="utf-8")
    assert originals == [path.read_text(encoding="utf-8") for path in (solution, exercise, clone / "README.md")]
    edit(clone, "    centred = x - x.mean()\n", "    centred = (x - x.mean())\n", "exercises.py")
    assert check().exit_code == 1


@pytest.mark.lessons
@pytest.mark.skipif(sys.platform == "win32", reason="signals as on POSIX")
def test_ctrl_c_leaves_nothing_half_written(clone, start):
    edit(clone, 'show("settings", (quick, seed, rate, name))', "import time; time.sleep(60)")
    command = [sys.executable, "-m", "coursekit.cli", "build", "--root", clone]
    process = start(*command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + 60
    while not list(clone.glob(".build-*/*.log")) and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(3)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 130, output
    assert "nothing half-written remains" in output
    assert not list(clone.glob(".build-*"))
    assert not list((clone / "solutions").iterdir())
    assert not list((clone / "notebooks").iterdir())


@pytest.mark.lessons
@pytest.mark.skipif(sys.platform == "win32", reason="signals as on POSIX")
def test_a_killed_build_takes_its_lessons_with_it_and_the_next_tidies_up(clone, start):
    number = clone / "kernel"
    line = f"import os, time; print(os.getpid(), file=open({str(number)!r}, 'w')); time.sleep(600)"
    edit(clone, 'show("settings", (quick, seed, rate, name))', line)
    process = start(sys.executable, "-m", "coursekit.cli", "build", "--root", clone)
    assert soon(lambda: number.is_file() and number.read_text(encoding="utf-8"))
    process.kill()
    process.wait(10)
    assert soon(lambda: has_ended(int(number.read_text(encoding="utf-8"))))
    assert list(clone.glob(".build-*"))
    edit(clone, line, 'show("settings", (quick, seed, rate, name))')
    build(clone)
    assert not list(clone.glob(".build-*"))


def has_ended(number):
    try:
        return psutil.Process(number).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def soon(what, seconds=60):
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not what() and time.monotonic() < deadline:
        time.sleep(0.1)
    return what()
