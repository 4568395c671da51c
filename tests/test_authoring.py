"""From a lesson's source to its notebooks: forms, and errors."""

import ast

import pytest

from coursekit import authoring
from tests.toy import COURSE, edit, lesson, sources


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
    assert before.count("(https://some-group.github.io/some-course/)") == 1
    (clone / "course.toml").write_text(
        COURSE.replace("some-group/some-course", "other/fork").replace("v1", "v2"), encoding="utf-8"
    )
    after = text()
    assert "some-group" not in after
    assert after.count("other/fork/blob/v2/") == 2
    assert "git+https://github.com/other/fork@v2" in after


def test_the_table_of_lessons_has_short_times(clone):
    edit(
        clone, "**Time:** 5 minutes", "**Time:** 105 minutes, with a break; the notebook itself runs in about 5 seconds"
    )
    (row,) = (line for line in authoring.readme(clone).splitlines() if "01_toy" in line)
    assert row.startswith(
        "| 01 | **Toy**<br>[exercises](notebooks/01_toy.ipynb) · [solution](solutions/01_toy.ipynb) | 105 min | ["
    )


def test_a_course_that_is_not_on_github_has_no_badges(clone):
    (clone / "course.toml").write_text(
        'title = "T"\nrepository = "file:///srv/course"\ntag = "main"\n', encoding="utf-8"
    )
    text = "\n".join(sources(authoring.exercise_notebook(lesson(clone), authoring.course_settings(clone))))
    assert "git+file:///srv/course@main" in text
    assert "badge" not in text
    assert "github.io" not in authoring.readme(clone)


def test_only_a_lesson_that_exports_installs_what_that_needs(root):
    for stem, extras in (("02_normalisation", "simulate"), ("12_flavour_tagging", "simulate,export")):
        lesson = authoring.read_lesson(root / "lessons" / stem / "lesson.py")
        setup = authoring.exercise_notebook(lesson, authoring.course_settings(root)).cells
        assert any(f"coursekit[{extras}] @ git+" in cell.source for cell in setup)


# --- what is not a lesson ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("# # 1 · Toy\n", "", "needs a heading"),
        ("# **Time:** 5 minutes\n", "", r"\*\*Time:\*\*"),
        ("5 minutes", "about an hour", r"\*\*Time:\*\* 60 minutes"),
        ("# <!-- badges -->\n", "", "badges"),
        ('tags=["setup"]', 'tags=["stup"]', "expected one cell tagged 'setup', found 0"),
        ('tags=["solution"]', 'tags=["solutoin"]', "unknown tag 'solutoin'; did you mean 'solution'"),
        ('tags=["exercise", "ex-1.2"]', 'tags=["exercise"]', "needs a tag ex-N.M"),
        ('# %% tags=["check", "ex-1.2"]', "# %%", "1 exercise and 0 check cells"),
        ('check("1.2", normalise)', 'check("1.1", normalise)', r"check cell of 1\.2 checks another exercise"),
        ('setup("01")', 'setup("02")', r'needs a line WORK = setup\("01"\)'),
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


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        (
            "lesson.py",
            "std = ...",
            "std = (...",
            r"'\(' was never closed, in line 2 of this file or cell: 'std = \(\.\.\.'",
        ),
        ("lesson.py", "rate: float = 0.5", "rate: float = 1 / 2", "a parameter is NAME = VALUE"),
        ("lesson.py", "rate: float = 0.5", "rate: float = ", "invalid syntax, in line 3"),
        ("exercises.py", "mean = x.mean()", "mean = = x.mean()", "invalid syntax, in line"),
    ],
)
def test_what_is_no_python_is_said_in_a_line(clone, file, old, new, words):
    edit(clone, old, new, file)
    with pytest.raises(authoring.BuildError, match=words) as error:
        _ = lesson(clone).parameters
    assert str(error.value).startswith(str(clone / "lessons" / "01_toy" / file))
    assert "\n" not in str(error.value).replace("\\n", "")


@pytest.mark.parametrize("file", ["lesson.py", "exercises.py"])
def test_a_source_in_another_encoding_is_named(clone, file):
    path = clone / "lessons" / "01_toy" / file
    path.write_bytes(path.read_bytes() + "# Größe".encode("cp1252"))
    with pytest.raises(authoring.BuildError, match=rf"{file} is not written in UTF-8: .*0xf6"):
        lesson(clone)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'title = "T', r"course\.toml is no well-formed TOML: Unterminated string"),
        (b'title = "T\xe9"', r"course\.toml is no well-formed TOML: .*0xe9"),
        (b'title = "T"\nrepository = "r"\ntag = 1\n', r"course\.toml: tag must be a text in quotes, got 1"),
    ],
)
def test_damaged_settings_are_named(clone, content, words):
    (clone / "course.toml").write_bytes(content)
    with pytest.raises(ValueError, match=words):
        authoring.course_settings(clone)


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
    (clone / "course.toml").write_text('title = "T"\n', encoding="utf-8")
    with pytest.raises(authoring.BuildError, match="lacks repository, tag"):
        authoring.course_settings(clone)
