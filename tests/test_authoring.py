"""From a lesson's source to its notebooks: forms, errors, parameters, interruption, comparison."""

import ast
import signal
import subprocess
import sys
import time

import nbformat
import numpy as np
import pytest
from typer.testing import CliRunner

from coursekit import authoring, building, reproducing
from coursekit.cli import app

TOY = """\
# %% [markdown]
# # 1 · Toy
# <!-- badges -->
#
# **Time:** 5 minutes

# %% tags=["setup"]
import numpy as np

from coursekit import check, figure, or_reference, setup, show

WORK = setup("01")

# %% tags=["parameters"]
quick: bool = True
seed: int = 1
rate: float = 0.5
name: str = "toy"

# %%
x = np.arange(1.0, 5.0) * (1 if quick else 10)
show("settings", (quick, seed, rate, name))

# %% tags=["exercise", "ex-1.1"]
mean = ...
std = ...

# %% tags=["check", "ex-1.1"]
check("1.1", mean, std, x=x)
mean, std = or_reference("1.1", mean, std, x=x)

# %% tags=["solution"]
show("only in the solution", mean, 3)

# %% tags=["exercise", "ex-1.2"]
def normalise(x):
    ...

# %% tags=["check", "ex-1.2"]
check("1.2", normalise)

# %%
with figure("line") as ax:
    ax.plot(x)
"""

EXERCISES = """\
from coursekit.checks import exercise
import numpy as np


@exercise(
    "1.1",
    "mean and spread",
    cases=lambda: [{"x": np.arange(3.0)}],
    returns=("the mean", "the standard deviation"),
    hints=("An array knows both.",),
    mistakes=[("This is the variance.", lambda *, x: (x.mean(), x.var()))],
)
def mean_and_std(*, x):
    # both at once
    mean = x.mean()
    std = x.std()
    return mean, std


@exercise(
    "1.2",
    "a column normalised",
    cases=lambda: [(np.arange(3.0),)],
    returns=("the column",),
    hints=("Subtract, divide.",),
    mistakes=[("Mind the brackets.", lambda x: x - x.mean() / x.std())],
)
def normalise(x):
    \'\'\'Only in the package.\'\'\'
    # first the mean
    centred = x - x.mean()

    return centred / x.std()
"""

FIGURES = 'line = """\nA rising line\nthrough four points.\n"""\n'

README = "# Toy\n<!-- lessons: written by `coursekit build` -->\n<!-- end of lessons -->\nend\n"
COURSE = 'title = "Toy"\nrepository = "https://github.com/some-group/some-course"\ntag = "v1"\n'


@pytest.fixture
def clone(tmp_path):
    """A small course with one lesson."""
    folder = tmp_path / "lessons" / "01_toy"
    folder.mkdir(parents=True)
    for name, text in (("lesson.py", TOY), ("exercises.py", EXERCISES), ("figures.toml", FIGURES)):
        (folder / name).write_text(text)
    (tmp_path / "course.toml").write_text(COURSE)
    (tmp_path / "README.md").write_text(README)
    return tmp_path


def edit(clone, old, new, file="lesson.py"):
    path = clone / "lessons" / "01_toy" / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def lesson(clone):
    return authoring.read_lesson(clone / "lessons" / "01_toy" / "lesson.py")


def build(clone, **kwargs):
    return building.build(authoring.select(clone), clone, **kwargs)


def sources(notebook):
    return [cell.source for cell in notebook.cells]


# --- forms ------------------------------------------------------------------------------------------------------------


def test_the_exercise_notebook_has_dots_for_answers(clone):
    made = sources(authoring.exercise_notebook(lesson(clone), authoring.course_settings(clone)))
    assert "mean = ...\nstd = ..." in made
    assert "def normalise(x):\n    ..." in made
    assert "only in the solution" not in "\n".join(made)
    for source in made[1:]:
        ast.parse(source)


def test_the_solution_notebook_has_the_answers_of_the_exercises(clone):
    made = sources(authoring.solution_notebook(lesson(clone), authoring.course_settings(clone)))
    assert "# both at once\nmean = x.mean()\nstd = x.std()" in made
    assert "def normalise(x):\n    # first the mean\n    centred = x - x.mean()\n\n    return centred / x.std()" in made
    assert "..." not in "".join(made[4:])


def test_what_stands_round_the_dots_stays(clone):
    edit(clone, "    ...", '    """Its own words."""\n    ...')
    edit(clone, "mean = ...", "import math\n\nmean = ...")
    edit(clone, "std = ...", "std = ...\n# and on")
    made = sources(authoring.solution_notebook(lesson(clone), authoring.course_settings(clone)))
    assert "import math\n\n# both at once\nmean = x.mean()\nstd = x.std()\n# and on" in made
    assert any(
        source.startswith('def normalise(x):\n    """Its own words."""\n    # first the mean') for source in made
    )


def test_a_stub_in_one_line_is_opened(clone):
    before = authoring.exercise_notebook(lesson(clone), authoring.course_settings(clone))
    edit(clone, "def normalise(x):\n    ...", "def normalise(x): ...")
    after = authoring.exercise_notebook(lesson(clone), authoring.course_settings(clone))
    assert sources(after) == sources(before)


def test_the_set_up_is_folded_where_a_platform_can(clone):
    notebook = authoring.exercise_notebook(lesson(clone), authoring.course_settings(clone))
    (cell,) = (cell for cell in notebook.cells if "setup" in cell.metadata.get("tags", []))
    assert cell.source.startswith("# @title ")  # Colab makes a form of it
    assert cell.metadata.cellView == "form"
    assert cell.metadata.jupyter.source_hidden


def test_cell_ids_come_from_the_content(clone):
    first, second = (authoring.exercise_notebook(lesson(clone), authoring.course_settings(clone)) for _ in range(2))
    assert first == second
    identifiers = [cell.id for cell in first.cells]
    assert len(set(identifiers)) == len(identifiers)
    edit(clone, "np.arange(1.0, 5.0)", "np.arange(1.0, 6.0)")
    changed = [cell.id for cell in authoring.exercise_notebook(lesson(clone), authoring.course_settings(clone)).cells]
    assert sum(a != b for a, b in zip(identifiers, changed, strict=True)) == 1


def test_badges_and_setup_follow_course_toml(clone):
    def text():
        notebook = authoring.exercise_notebook(lesson(clone), authoring.course_settings(clone))
        return "\n".join(sources(notebook)) + authoring.readme(clone)

    before = text()
    assert before.count("colab.research.google.com/github/some-group/some-course/blob/v1/notebooks/01_toy.ipynb") == 2
    assert before.count("mybinder.org/v2/gh/some-group/some-course/v1?labpath=notebooks%2F01_toy.ipynb") == 2
    assert "git+https://github.com/some-group/some-course@v1" in before
    (clone / "course.toml").write_text(COURSE.replace("some-group/some-course", "other/fork").replace("v1", "v2"))
    after = text()
    assert "some-group" not in after
    assert after.count("other/fork/blob/v2/") == 2
    assert "git+https://github.com/other/fork@v2" in after


def test_a_course_that_is_not_on_github_has_no_badges(clone):
    (clone / "course.toml").write_text('title = "T"\nrepository = "file:///srv/course"\ntag = "main"\n')
    text = "\n".join(sources(authoring.exercise_notebook(lesson(clone), authoring.course_settings(clone))))
    assert "git+file:///srv/course@main" in text
    assert "badge" not in text


# --- what is not a lesson ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("# # 1 · Toy\n", "", "needs a heading"),
        ("# **Time:** 5 minutes\n", "", r"\*\*Time:\*\*"),
        ("# <!-- badges -->\n", "", "badges"),
        ('tags=["setup"]', 'tags=["stup"]', "expected one cell tagged 'setup', found 0"),
        ('tags=["solution"]', 'tags=["solutoin"]', "unknown tag 'solutoin'; did you mean 'solution'"),
        ('tags=["exercise", "ex-1.2"]', 'tags=["exercise"]', "needs a tag ex-N.M"),
        ('# %% tags=["check", "ex-1.2"]', "# %%", "1 exercise and 0 check cells"),
        ("std = ...", "spread = ...", r"answer of 1\.1 should return mean, spread"),
        ("mean = ...\nstd = ...", "mean = std = 0", "needs three dots"),
        ("def normalise(x):", "def normalise(x, y):", r"needs its answer here, a function normalise\(x, y\)"),
        ("def normalise(x):", "def normalised(x):", r"needs its answer here, a function normalised\(x\)"),
    ],
)
def test_a_malformed_source_is_refused(clone, old, new, words):
    edit(clone, old, new)
    with pytest.raises(authoring.BuildError, match=words) as error:
        lesson(clone)
    assert "01_toy" in str(error.value)


def test_a_lesson_without_exercises_is_refused(clone):
    (clone / "lessons" / "01_toy" / "exercises.py").unlink()
    with pytest.raises(authoring.BuildError, match=r"exercises\.py does not exist; it holds the answers"):
        lesson(clone)


def test_a_lesson_is_found_by_number_or_name(clone):
    for name in ("1", "01", "toy", "01_toy"):
        assert authoring.select(clone, [name]) == [clone / "lessons" / "01_toy" / "lesson.py"]
    with pytest.raises(authoring.BuildError, match=r"no lesson 'tay'; did you mean 'toy'\? there are 01_toy"):
        authoring.select(clone, ["tay"])


def test_outside_a_clone_the_error_says_so(tmp_path):
    with pytest.raises(authoring.BuildError, match=r"no course\.toml in .*--root"):
        authoring.find_root(tmp_path)


def test_course_toml_must_be_complete(clone):
    (clone / "course.toml").write_text('title = "T"\n')
    with pytest.raises(authoring.BuildError, match="lacks repository, tag"):
        authoring.course_settings(clone)


# --- building ---------------------------------------------------------------------------------------------------------


@pytest.mark.lessons
def test_two_builds_are_the_same_and_nothing_else_is_left(clone):
    (built,) = build(clone)
    assert (built.passed, built.exercises) == (2, 2)
    assert built.peak_mib > 10
    texts = [(clone / folder / "01_toy.ipynb").read_text() for folder in ("notebooks", "solutions")]
    build(clone)
    assert texts == [(clone / folder / "01_toy.ipynb").read_text() for folder in ("notebooks", "solutions")]
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
        (folder / name).write_text(text.replace("1.1", "11.1").replace("1.2", "11.2"))
    done = CliRunner().invoke(app, ["build", "11", "--root", str(clone)])
    assert done.exit_code == 0, done.output
    assert "11_clouds: running" in done.output
    assert "11_clouds: 2 of 2 exercises passed" in done.output
    assert "| 11 | **Clouds**" in (clone / "README.md").read_text()
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


def test_where_a_kernel_cuts_its_output_does_not_matter():
    def stream(text, name="stdout"):
        return nbformat.v4.new_output("stream", name=name, text=text)

    picture = nbformat.v4.new_output("display_data", {"text/plain": "A line."})
    pieces = [stream("a\n"), stream("b\n"), picture, stream("c"), stream("d", "stderr"), stream("e")]
    assert reproducing.joined(pieces) == [stream("a\nb\n"), picture, stream("c"), stream("d", "stderr"), stream("e")]


@pytest.mark.parametrize(
    ("committed", "fresh", "same"),
    [
        ("6.45 ± 0.25", "6.42 ± 0.25", True),
        ("6.45 ± 0.25", "6.70 ± 0.37", True),
        ("6.45 ± 0.25", "6.71 ± 0.25", False),
        ("6.45 ± 0.25", "6.45 ± 0.39", False),
        ("0.950 ± 0.001", "0.951 ± 0.002", True),
        ("−0.01 ± 0.02", "+0.01 ± 0.02", True),
        ("1,205 ± 65", "1,150 ± 60", True),
        ("a 1 ± 1, b 2 ± 1", "a 1 ± 1, c 2 ± 1", False),
        ("1 ± 1", "1 ± 1, 2 ± 1", False),
        ("60", "61", False),
        ("about 21, give or take 8", "about 29, give or take 8", True),
        ("about 21, give or take 8", "about 30, give or take 8", False),
        ("about 21, give or take 8", "about 22, give or take 9", True),
        ("about 21, give or take 8", "22", False),
    ],
)
def test_a_value_reproduces_within_its_error_and_all_else_exactly(committed, fresh, same):
    assert (reproducing.reproduced(committed, fresh) == committed) == same
    # as nbval has it, and in a table
    old, new = ([{"data": {"text/html": f"<td>{text}</td>"}}] for text in (committed, fresh))
    assert (reproducing.reproduced(old, new) == old) == same
    assert len(reproducing.reproduced(old, [*new, {"text": "more"}])) == 2


@pytest.mark.lessons
def test_a_solution_that_fails_its_check_fails_the_build_and_leaves_the_old_one(clone):
    build(clone)
    before = (clone / "solutions" / "01_toy.ipynb").read_text()
    edit(clone, 'check("1.1", mean, std,', 'check("1.1", mean, std**2,')
    with pytest.raises(
        authoring.BuildError, match=r"01_toy does not build: .*CheckFailed: \[NOT YET\] 1\.1 .*variance"
    ):
        build(clone)
    assert (clone / "solutions" / "01_toy.ipynb").read_text() == before
    assert not list(clone.glob(".build-*"))


@pytest.mark.lessons
def test_an_unstable_digit_or_stderr_fails_the_build(clone):
    edit(clone, 'show("only in the solution", mean, 3)', 'show("edge", 0.125, 2)')
    with pytest.raises(authoring.BuildError, match="too close to a rounding edge"):
        build(clone)
    edit(clone, 'show("edge", 0.125, 2)', "import warnings; warnings.warn('chatter')")
    with pytest.raises(authoring.BuildError, match=r"writes to stderr: .*chatter"):
        build(clone)


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
    arguments = ["build", "toy", "--root", str(clone), "--output", str(clone / "out"), "--full", "-p", "seed", "7"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "2 of 2" in done.output
    assert "settings: (False, 7, 0.5, 'toy')" in (clone / "out" / "solutions" / "01_toy.ipynb").read_text()
    assert not (clone / "solutions").exists()
    assert (clone / "README.md").read_text() == README


@pytest.mark.lessons
def test_check_compares_with_what_is_committed(clone):
    def check():
        return CliRunner().invoke(app, ["build", "--check", "--root", str(clone)])

    assert CliRunner().invoke(app, ["build", "--root", str(clone)]).exit_code == 0
    assert check().exit_code == 0
    solution, exercise = clone / "solutions/01_toy.ipynb", clone / "notebooks/01_toy.ipynb"
    originals = [path.read_text() for path in (solution, exercise, clone / "README.md")]
    for path, old, new in (
        (solution, "only in the solution: 2.500", "only in the solution: 2.501"),
        (exercise, "mean = ...", "mean = 2.5"),
        (clone / "README.md", "5 minutes", "6 minutes"),
    ):
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))
        done = check()
        assert done.exit_code == 1
        assert "run `coursekit build`" in done.output
        path.write_text(path.read_text().replace(new, old))
    assert originals == [path.read_text() for path in (solution, exercise, clone / "README.md")]
    edit(clone, "    centred = x - x.mean()\n", "    centred = (x - x.mean())\n", "exercises.py")
    assert check().exit_code == 1


def test_pictures_are_compared_by_their_alt_text(clone):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1", id="a")])
    paths = []
    for index, (picture, alt) in enumerate([("AAAA", "A line."), ("BBBB", "A line."), ("AAAA", "A curve.")]):
        data = {"image/png": picture, "text/plain": alt}
        notebook.cells[0].outputs = [nbformat.v4.new_output("display_data", data)]
        paths.append(clone / f"{index}.ipynb")
        nbformat.write(notebook, paths[-1])
    assert reproducing.differences(paths[0], paths[1]) == []
    assert any("A curve" in line for line in reproducing.differences(paths[0], paths[2]))
    assert reproducing.differences(clone / "none.ipynb", paths[0]) == [f"{clone / 'none.ipynb'} does not exist"]


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
