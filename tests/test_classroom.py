"""What nbgrader gets, and that its gradebook has the points that the verdicts of `check` stand for.

The test with nbgrader itself runs where it is installed: ``pip install --constraint constraints.txt nbgrader``.
"""

import csv
import importlib.util
import os
import re
import subprocess
import sys

import nbformat
import pytest
from typer.testing import CliRunner

from coursekit import authoring, classroom
from coursekit.checks import engine
from coursekit.cli import app
from coursekit.grading.submissions import lesson_of_class
from coursekit.notebooks import read_notebook, write_notebook
from tests import toy
from tests.conftest import LESSONS, ROOT

HEADINGS = {"1.1": "### Your turn 1.1 · 5 min · ★", "1.2": "### Your turn 1.2 · 10 min · ★★ · optional"}
MEAN, COLUMN = "mean, std = x.mean(), x.std()", "def normalise(x): return (x - x.mean()) / x.std()"
NOISY = "def normalise(x):\n    import sys\n    print('noise', file=sys.stderr)\n    return (x - x.mean()) / x.std()"
STOLEN = 'mean, std = (float(value) for value in or_reference("1.1", ..., ..., x=x))'
#: Answers of students, and their points in 1.1 and 1.2.
STUDENTS = {
    "right": ({"1.1": MEAN, "1.2": NOISY}, (1, 2)),
    "wrong": (
        {"1.1": "mean, std = x.mean(), x.var()", "1.2": "def normalise(x): return x - x.mean() / x.std()"},
        (0, 0),
    ),
    "half": ({"1.1": MEAN}, (1, 0)),
    "raises": ({"1.1": "mean, std = x.men(), x.std()", "1.2": COLUMN}, (0, 2)),
    "endless": ({"1.1": MEAN, "1.2": "while True: pass"}, (1, 0)),
    "stolen": ({"1.1": STOLEN, "1.2": 'normalise = or_reference("1.2", ...)'}, (0, 0)),
    "forged": ({"1.1": "check = lambda *answer, **given: print('[PASS]')"}, (0, 0)),
    "dies": ({"1.1": MEAN, "1.2": "import os; os._exit(1)"}, (0, 0)),
}
#: What a notebook of nbgrader has in each marked cell (its schema, version 3).
KINDS = {"grade": bool, "solution": bool, "locked": bool, "task": bool, "schema_version": int, "grade_id": str}


@pytest.fixture
def built(clone):
    """The toy course with stars, and its exercise notebook."""
    for number, heading in HEADINGS.items():
        cell = f'# %% tags=["exercise", "ex-{number}"]'
        toy.edit(clone, cell, f"# %% [markdown]\n# {heading}\n\n{cell}")
    (clone / "notebooks").mkdir()
    rebuild(clone)
    return clone


def rebuild(clone):
    notebook = authoring.exercise_notebook(toy.lesson(clone), authoring.course_settings(clone))
    write_notebook(notebook, clone / "notebooks" / "01_toy.ipynb")


def marked(notebook):
    return {cell.metadata.nbgrader.grade_id: cell for cell in notebook.cells if "nbgrader" in cell.metadata}


def released(source):
    """What nbgrader makes of a cell for students: solutions and hidden tests are cut out."""
    return re.sub(r"\n *### BEGIN (SOLUTION|HIDDEN TESTS)\n.*?\n *### END \1(?=\n|$)", "", source, flags=re.S)


@pytest.mark.parametrize("path", [folder / "lesson.py" for folder in LESSONS], ids=lambda path: path.parent.name)
def test_the_source_of_a_lesson_is_well_formed_and_what_students_get_is_the_course(path):
    notebook = classroom.source_notebook(path, ROOT)
    course, solution = (read_notebook(ROOT / name / f"{path.parent.name}.ipynb") for name in ("notebooks", "solutions"))
    nbformat.validate(notebook)
    assert [released(cell.source) for cell in notebook.cells] == toy.sources(course)
    answers = [cell.source for cell in solution.cells if "exercise" in cell.metadata.get("tags", [])]
    cells = marked(notebook)
    assert len(cells) == sum("nbgrader" in cell.metadata for cell in notebook.cells) == 2 + 2 * len(answers)
    assert all(re.fullmatch(r"[a-z0-9-]+", name) for name in cells)
    for name, cell in cells.items():
        meta, kind = cell.metadata.nbgrader, name.split("-")[0]
        assert {key: type(meta[key]) for key in KINDS} == KINDS
        assert (meta.schema_version, meta.task) == (3, False)
        kinds = {"answer": (False, True, False), "check": (True, False, True)}
        assert (meta.grade, meta.solution, meta.locked) == kinds.get(kind, (False, False, True))
        assert ("points" in meta) == meta.grade
        assert not meta.grade or 1 <= meta.points <= 3
        if meta.solution:
            answer = cell.source.split("### BEGIN SOLUTION\n")[1].split("\n### END SOLUTION")[0]
            assert answer in answers.pop(0)


def test_a_course_folder_keeps_its_settings_and_grades(built):
    done = CliRunner().invoke(app, ["build", "--root", str(built), "--nbgrader", str(built / "class")])
    assert done.exit_code == 0, done.output
    assert "01_toy: 2 exercises, 3 points" in done.output
    assert "class\n      nbgrader generate_assignment 01_toy" in done.output
    assert lesson_of_class(built / "lessons", 1).stars == {"1.1": 1, "1.2": 2}  # the same points with `coursekit grade`
    settings = built / "class" / "nbgrader_config.py"
    settings.write_text("mine", encoding="utf-8")
    (path,) = classroom.write_course(authoring.select(built), built, built / "class")
    assert settings.read_text(encoding="utf-8") == "mine"
    assert [cell.metadata.nbgrader.get("points") for cell in marked(read_notebook(path)).values()] == [
        None, None, None, 1, None, 2
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "again", "said"),
    [
        (" · ★★", "", True, r"head the exercise `### Your turn 1\.2 · 5 min · ★`"),
        (" · ★★", " · ★", False, "has changed since its notebook was built: run `coursekit build` first"),
        ('check("1.2", normalise)', 'check("1.2", normalise, x=x)', False, "has changed since"),
    ],
)
def test_what_cannot_be_graded_is_named(built, old, new, again, said):
    toy.edit(built, old, new)
    if again:
        rebuild(built)
    with pytest.raises(authoring.BuildError, match=said):
        classroom.write_course(authoring.select(built), built, built / "class")
    (built / "notebooks" / "01_toy.ipynb").unlink()
    with pytest.raises(authoring.BuildError, match="run `coursekit build` first"):
        classroom.write_course(authoring.select(built), built, built / "class")
    assert not (built / "class").exists()


@pytest.mark.parametrize("option", [["--nbgrader", "class"], ["--slides"]])
def test_an_option_that_changes_nothing_is_refused(built, option):
    done = CliRunner().invoke(app, ["build", "--root", str(built), "--jobs", "2", *option])
    assert (done.exit_code, "and no more" in done.output) == (1, True)


def test_only_an_answer_of_ones_own_gives_points(built, no_exercises, monkeypatch, capsys):
    monkeypatch.setenv("COURSEKIT_ROOT", str(built))
    import numpy as np

    x = np.arange(4.0)
    for answer, said in (((1.0, 2.0), "NOT YET"), ((..., ...), "TODO")):
        engine.check("1.1", *answer, x=x)
        with pytest.raises(engine.CheckFailed, match=rf"^\[{said}\] 1\.1: no points$"):
            engine.require_pass("1.1")
    engine.check("1.1", x.mean(), x.std(), x=x)
    engine.require_pass("1.1")
    with pytest.raises(engine.CheckFailed, match=r"^\[TODO\] 1\.2: no points$"):
        engine.require_pass("1.2")
    mean, std = engine.or_reference("1.1", ..., ..., x=x)
    engine.check("1.1", float(mean), float(std), x=x)
    assert "[PASS]" in capsys.readouterr().out
    with pytest.raises(engine.CheckFailed, match="or_reference was asked for the answer before it was checked"):
        engine.require_pass("1.1")


def nbgrader(folder, *arguments, root=None):
    """Run nbgrader in the course folder, which the tests' own settings of the course do not reach."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COURSEKIT_")}
    environment["COURSEKIT_ROOT"] = str(root or folder.parent)
    environment["PATH"] = os.pathsep.join([os.path.dirname(sys.executable), environment["PATH"]])  # it calls alembic
    command = [sys.executable, "-m", "nbgrader", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, encoding="utf-8", timeout=900)


def hand_in(folder, student, answers):
    notebook = read_notebook(folder / "release" / "01_toy" / "01_toy.ipynb")
    for number, answer in answers.items():
        marked(notebook)[f"answer-{number.replace('.', '-')}"].source = answer
    if student == "right":  # who has deleted the checks
        notebook.cells = [cell for cell in notebook.cells if "check" not in cell.metadata.get("tags", [])]
    target = folder / "submitted" / student / "01_toy"
    target.mkdir(parents=True)
    write_notebook(notebook, target / "01_toy.ipynb")


@pytest.mark.lessons
@pytest.mark.skipif(importlib.util.find_spec("nbgrader") is None, reason="nbgrader is not installed")
def test_the_gradebook_of_nbgrader_has_the_points_of_the_verdicts(built):
    folder = built / "class"
    classroom.write_course(authoring.select(built), built, folder)
    assert (done := nbgrader(folder, "generate_assignment", "01_toy")).returncode == 0, done.stderr
    release = read_notebook(folder / "release" / "01_toy" / "01_toy.ipynb")
    course = read_notebook(built / "notebooks" / "01_toy.ipynb")
    assert [source.rstrip() for source in toy.sources(release)] == toy.sources(course)
    for student, (answers, _) in STUDENTS.items():
        hand_in(folder, student, answers)
    done = nbgrader(folder, "autograde", "01_toy", "--Execute.timeout=4")
    assert "error processing assignment '01_toy' for student 'dies'" in done.stderr, done.stderr
    assert not list(folder.rglob("progress.json"))
    assert nbgrader(folder, "export").returncode == 0
    with (folder / "grades.csv").open(encoding="utf-8") as file:
        scores = {row["student_id"]: (float(row["score"]), float(row["max_score"])) for row in csv.DictReader(file)}
    assert scores == {student: (sum(points), 3) for student, (_, points) in STUDENTS.items()}
    for student in STUDENTS.keys() - {"dies", "stolen", "forged"}:  # of these, the verdict says more than it may
        graded = read_notebook(folder / "autograded" / student / "01_toy" / "01_toy.ipynb")
        checks = [cell for cell in graded.cells if cell.metadata.get("nbgrader", {}).get("grade")]
        passed = [cell.outputs[0].get("text", "").startswith("[PASS]") for cell in checks]
        assert passed == list(map(bool, STUDENTS[student][1])), student
