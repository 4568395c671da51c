"""Every lesson: what is committed is what its source builds, and unsolved notebooks run to their ends.

That the solutions reproduce is nbval's part, which executes each of them once.
"""

import re

import nbformat
import pytest

from coursekit import authoring, building, prose, reproducing
from coursekit.checks.exercise import exercises_of
from tests.brief import brief
from tests.conftest import LESSONS, ROOT

ON_TORCH = (
    "05_larger_than_memory"  # the lesson that proves Keras on PyTorch; the others have networks of the same kinds
)
pytestmark = pytest.mark.lessons


@pytest.fixture(scope="module", params=[folder / "lesson.py" for folder in LESSONS], ids=lambda path: path.parent.name)
def lesson(request):
    return authoring.read_lesson(request.param)


@pytest.fixture(scope="module")
def settings():
    return authoring.course_settings(ROOT)


def run(notebook, lesson, tmp_path, monkeypatch):
    """Execute a notebook as a student would: no build mode, warnings and all."""
    monkeypatch.delenv("COURSEKIT_BUILD", raising=False)
    source = tmp_path / f"{lesson.stem}.ipynb"
    nbformat.write(notebook, source)
    return building.execute(source, tmp_path / "executed.ipynb")


def written(notebook):
    """What somebody wrote in each cell: kind, identity, text, metadata."""
    return [(cell.cell_type, cell.id, cell.source, dict(cell.metadata)) for cell in notebook.cells]


def test_the_notebooks_and_solutions_are_those_of_the_sources():
    stems = [folder.name for folder in LESSONS]
    for folder in ("notebooks", "solutions"):
        assert sorted(path.stem for path in (ROOT / folder).glob("*.ipynb")) == stems
    assert (ROOT / "README.md").read_text(encoding="utf-8") == authoring.readme(ROOT)


def test_what_is_written_in_the_notebooks_is_what_the_source_says_and_the_solution_prints(lesson, settings):
    shown = prose.printed(nbformat.read(ROOT / "solutions" / f"{lesson.stem}.ipynb", as_version=4))
    notebooks = authoring.exercise_notebook(lesson, settings), authoring.solution_notebook(lesson, settings)
    assert not prose.fill(notebooks, shown, lesson.path.with_name("figures.toml"))
    for folder, made in zip(("notebooks", "solutions"), notebooks, strict=True):
        committed = nbformat.read(ROOT / folder / f"{lesson.stem}.ipynb", as_version=4)
        assert written(committed) == written(made)
        assert committed.metadata == made.metadata
        if folder == "notebooks":
            assert not any(cell.get("outputs") or cell.get("execution_count") for cell in committed.cells)


@pytest.mark.parametrize("name", ["01_reading", "03_splitting"])
def test_a_fresh_build_is_what_is_committed(name, tmp_path):
    building.build([ROOT / "lessons" / name / "lesson.py"], ROOT, tmp_path, kept=ROOT)
    for folder in ("notebooks", "solutions"):
        path = f"{folder}/{name}.ipynb"
        assert not reproducing.differences(ROOT / path, tmp_path / path)


def test_every_cell_of_the_solution_was_executed_in_order(lesson):
    # nbval passes an unexecuted cell silently
    notebook = nbformat.read(ROOT / "solutions" / f"{lesson.stem}.ipynb", as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    for output in (output for cell in cells for output in cell.outputs):
        assert output.output_type != "error"
        assert output.get("name") != "stderr", output
        if "image/png" in output.get("data", {}):
            assert output.metadata["image/png"]["alt"] == output.data["text/plain"]
    passed = [text for texts in authoring.verdicts(notebook).values() for text in texts]
    assert len(passed) == len(lesson.exercises) >= 1
    assert all(text.startswith("[PASS]") for text in passed)


def test_the_time_is_stated_so_that_a_build_can_compare(lesson):
    assert 0 < lesson.seconds <= 90, f"{lesson.time!r} should say `runs in about N seconds`"


def test_the_notebooks_stay_small(lesson):
    for folder in ("notebooks", "solutions"):
        assert (ROOT / folder / f"{lesson.stem}.ipynb").stat().st_size < 1.5e6


def test_the_unsolved_notebook_runs_to_its_end_with_every_check_to_do(lesson, settings, tmp_path, monkeypatch):
    executed = run(brief(authoring.exercise_notebook(lesson, settings)), lesson, tmp_path, monkeypatch)
    found = authoring.verdicts(executed)
    assert list(found) == lesson.exercises
    assert all(text.startswith(f"[TODO] {number} ") for number, texts in found.items() for text in texts), found


def test_a_solution_passes_with_keras_on_torch(settings, tmp_path, monkeypatch):
    # Where there is room for one framework, as on Binder, the networks in Keras run on PyTorch.
    lesson = authoring.read_lesson(ROOT / "lessons" / ON_TORCH / "lesson.py")
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    executed = run(brief(authoring.solution_notebook(lesson, settings)), lesson, tmp_path, monkeypatch)
    passed = [text for texts in authoring.verdicts(executed).values() for text in texts]
    assert len(passed) == len(lesson.exercises)
    assert all(text.startswith("[PASS]") for text in passed), passed


def test_several_steps_at_once_are_asked_of_tensorflow_alone(lesson):
    code = "\n".join(cell.source for cell in lesson.cells if cell.cell_type == "code")
    assert ("steps_per_execution" in code) == bool(re.search(r"\d if .*tensorflow.* else 1\b", code))


def test_the_exercises_are_those_of_the_lesson(lesson):
    assert [exercise.number for exercise in exercises_of(lesson.stem[:2])] == lesson.exercises


def test_a_guess_is_not_answered_by_the_source_of_the_next_cell(lesson):
    # the texts of figures are in figures.toml, and come with the outputs
    text = lesson.path.read_text(encoding="utf-8")
    for line in lesson.path.with_name("figures.toml").read_text(encoding="utf-8").splitlines():
        if len(line) > 40 and not line.startswith("#"):
            assert line not in text
