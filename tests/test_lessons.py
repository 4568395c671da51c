"""Every lesson: what is committed is what its source builds; unsolved, solved and wrongly solved notebooks behave."""

import nbformat
import numpy as np
import pytest

from coursekit import authoring, building
from coursekit.metrics import auc
from tests.conftest import ROOT

SOURCES = authoring.select(ROOT)
pytestmark = pytest.mark.lessons


@pytest.fixture(scope="module", params=SOURCES, ids=lambda path: path.stem)
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


def test_the_notebooks_and_solutions_are_those_of_the_sources():
    stems = [path.stem for path in SOURCES]
    for folder in ("notebooks", "solutions"):
        assert sorted(path.stem for path in (ROOT / folder).glob("*.ipynb")) == stems
    assert (ROOT / "README.md").read_text() == authoring.readme(ROOT)


def test_a_fresh_build_is_what_is_committed(lesson, tmp_path):
    building.build([lesson.path], ROOT, tmp_path)
    for folder in ("notebooks", "solutions"):
        name = f"{folder}/{lesson.stem}.ipynb"
        assert not building.differences(ROOT / name, tmp_path / name)
    name = f"data/ledger/{lesson.stem[:2]}.npz"
    assert (ROOT / name).is_file() == (tmp_path / name).is_file()
    if (ROOT / name).is_file():
        committed, fresh = (np.load(folder / name) for folder in (ROOT, tmp_path))
        assert committed["taggers"].tolist() == fresh["taggers"].tolist()
        np.testing.assert_array_equal(committed["labels"], fresh["labels"])
        for scores in zip(committed["scores"], fresh["scores"], strict=True):  # the last digits may differ
            first, second = (auc(fresh["labels"], score).value for score in scores)
            assert abs(first - second) < 0.005


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


def test_the_notebooks_stay_small(lesson):
    for folder in ("notebooks", "solutions"):
        assert (ROOT / folder / f"{lesson.stem}.ipynb").stat().st_size < 1.5e6


def test_the_unsolved_notebook_runs_to_its_end_with_every_check_to_do(lesson, settings, tmp_path, monkeypatch):
    executed = run(authoring.exercise_notebook(lesson, settings), lesson, tmp_path, monkeypatch)
    found = authoring.verdicts(executed)
    assert list(found) == lesson.exercises
    assert all(text.startswith(f"[TODO] {number} ") for number, texts in found.items() for text in texts), found


def test_the_solution_passes_with_keras_on_torch(lesson, settings, tmp_path, monkeypatch):
    # Where there is room for one framework, as on Binder, the networks in Keras run on PyTorch.
    if "import keras" not in lesson.path.read_text():
        pytest.skip("no Keras in this lesson")
    if lesson.stem.startswith("04"):
        pytest.skip("the same networks as in lesson 05, a dozen trainings of them")
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    executed = run(authoring.solution_notebook(lesson, settings), lesson, tmp_path, monkeypatch)
    passed = [text for texts in authoring.verdicts(executed).values() for text in texts]
    assert len(passed) == len(lesson.exercises)
    assert all(text.startswith("[PASS]") for text in passed), passed


def test_every_wrong_answer_gets_the_message_that_it_expects(lesson, settings, tmp_path, monkeypatch):
    executed = run(authoring.wrong_notebook(lesson, settings), lesson, tmp_path, monkeypatch)
    said = authoring.verdicts(executed)
    expected = authoring.expected_words(lesson)
    assert list(said) == list(expected) == lesson.exercises
    for number, words in expected.items():
        assert len(said[number]) == len(words)
        for text, phrase in zip(said[number], words, strict=True):
            verdict = text.split("\nHint")[0]
            assert verdict.startswith(f"[NOT YET] {number} "), text
            assert phrase in verdict, f"expected {phrase!r} in {verdict!r}"
            assert "the check could not work" not in verdict, text


def test_every_exercise_has_hints(lesson):
    from coursekit.checks import engine

    for number in lesson.exercises:
        assert engine._find(number).hints
