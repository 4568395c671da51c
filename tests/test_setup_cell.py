"""The setup cell on a machine like Colab's: it installs the package and leaves every version that it finds alone."""

import json
import os
import shutil
import subprocess
import sys
import venv

import pytest

from coursekit import authoring

pytestmark = pytest.mark.colab

GIT = ["git", "-c", "user.name=course", "-c", "user.email=course@example.org", "-c", "init.defaultBranch=main"]


ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "COURSEKIT_BUILD")}


def run(*command, **kwargs):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=ENVIRONMENT, **kwargs)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def published(root, tmp_path_factory):
    """A git repository with the course as it stands, tagged, in place of the published one; its settings."""
    clone = tmp_path_factory.mktemp("published")
    for name in run("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=root).splitlines():
        if (root / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, clone / name)
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "the course"], ["tag", "v-test"]):
        run(*GIT, *command, cwd=clone)
    return {"title": "T", "repository": f"file://localhost{clone.as_posix()}", "tag": "v-test"}


@pytest.fixture(scope="module")
def colab(root, tmp_path_factory):
    """An environment with Colab's versions and without the package."""
    folder = tmp_path_factory.mktemp("colab") / "env"
    venv.create(folder, with_pip=True, symlinks=True)
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    colabs = root / "tests" / "colab.txt"
    run(python, "-m", "pip", "install", "--quiet", "--no-compile", "--requirement", colabs)  # little of it is imported
    return python


def versions(python):
    code = "import json; from importlib.metadata import distributions as all\n"
    code += "print(json.dumps({one.name.lower(): one.version for one in all()}))"
    return json.loads(run(python, "-c", code))  # pip would say the same, and takes ten times as long


def code_cells(root, settings):
    lesson = authoring.read_lesson(authoring.select(root, ["01"])[0])
    notebook = authoring.exercise_notebook(lesson, settings)
    return lesson, [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def test_the_setup_cell_says_what_failed(root, colab, tmp_path):
    nowhere = {"title": "T", "repository": (tmp_path / "nowhere").as_uri(), "tag": "v1"}
    code = code_cells(root, nowhere)[1][0]
    done = subprocess.run([colab, "-c", code], capture_output=True, encoding="utf-8", cwd=tmp_path, env=ENVIRONMENT)
    assert done.returncode != 0
    assert f"coursekit could not be installed from {nowhere['repository']}" in done.stderr
    assert "coursekit" not in versions(colab)


def test_the_setup_cell_installs_the_course_and_touches_nothing_else(root, published, colab, tmp_path):
    lesson, cells = code_cells(root, published)
    before = versions(colab)
    assert "coursekit" not in before
    assert before["numpy"] == "2.1.3"

    setup = tmp_path / "setup_cell.py"
    setup.write_text(cells[0], encoding="utf-8")
    assert run(colab, setup, cwd=tmp_path) == ""  # silent
    after = versions(colab)
    assert "coursekit" in after
    assert {name: after[name] for name in before} == before

    assert run(colab, setup, cwd=tmp_path) == ""  # and again, with nothing to do
    assert versions(colab) == after

    # the whole lesson, unsolved, with these versions and with the data that came along
    script = tmp_path / "lesson.ipy"
    script.write_text("\n\n".join(cells), encoding="utf-8")
    output = run(colab, "-m", "IPython", "--colors=NoColor", script, cwd=tmp_path)
    assert output.count("[TODO]") == 2 * len(lesson.exercises)  # each check, and the table at the end
    assert "Error" not in output
