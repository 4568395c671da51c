"""The wheel is the whole course: it runs in an empty folder, far from any clone."""

import json
import os
import subprocess
import sys
import zipfile

import pytest
from packaging.requirements import Requirement

import coursekit
from coursekit import authoring
from coursekit.handout import hand_out
from tests.conftest import LESSONS

#: Prints, for each lesson, its exercises with what the check says to the right answer and to three dots.
JUDGE = """
import json, sys
import coursekit
from coursekit.checks.engine import run_check
from coursekit.checks.exercise import exercises_of

def judged(found):
    given = next(iter(found.cases())) if found.of_values else {}
    right = found.reference(given)
    right = right if isinstance(right, tuple) else (right,)
    return [run_check(found, answer, given)[0] for answer in (right, (...,) * len(right))]

lessons = {lesson: {found.number: judged(found) for found in exercises_of(lesson)} for lesson in sys.argv[1:]}
print(json.dumps({"home": coursekit.__file__, "lessons": lessons}))
"""


@pytest.fixture(scope="module")
def wheel(root, tmp_path_factory):
    """The wheel as `pip` builds it."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, root]
    subprocess.run(command, check=True, capture_output=True, encoding="utf-8", timeout=300)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def run(wheel, tmp_path_factory):
    """Run Python in an empty folder, where the course is what the wheel holds; all else is as it is here."""
    site, empty = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("empty")
    zipfile.ZipFile(wheel).extractall(site)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COURSEKIT_")}
    environment = kept | {"PYTHONPATH": str(site), "KERAS_BACKEND": "torch", "PYTHONUTF8": "1"}

    def run(*arguments):
        command = [sys.executable, *map(str, arguments)]
        done = subprocess.run(
            command, cwd=empty, env=environment, capture_output=True, encoding="utf-8", timeout=300, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run.site, run.empty = site, empty
    return run


def test_the_wheel_states_the_one_version_and_takes_every_python(wheel, run):
    assert wheel.name == f"coursekit-{coursekit.__version__}-py3-none-any.whl"
    (metadata,) = run.site.glob("*.dist-info/METADATA")
    text = metadata.read_text(encoding="utf-8")
    assert "Requires-Python: >=3.11\n" in text
    required = [line.split(" ", 1)[1] for line in text.splitlines() if line.startswith("Requires-Dist: pythia8mc")]
    markers = [Requirement(line).marker for line in required]  # an extra that has `simulate` in it states it again
    for system, machine, python, there in (
        ("linux", "x86_64", "3.13", True),
        ("darwin", "arm64", "3.11", True),
        ("linux", "x86_64", "3.14", False),
        ("linux", "aarch64", "3.13", False),
        ("darwin", "x86_64", "3.13", False),
        ("win32", "AMD64", "3.13", False),
    ):
        place = {"sys_platform": system, "platform_machine": machine, "python_version": python, "extra": "simulate"}
        assert any(marker.evaluate(place) for marker in markers) == there, place


def test_the_doctor_finds_the_data_that_came_along(run):
    found = json.loads(run("-m", "coursekit.cli", "doctor", "--json"))
    assert found["coursekit"] == coursekit.__version__
    shipped = {name for name, state in found["data"].items() if state == "shipped"}
    assert {"GluGluHToWWTo2L2Nu_M125.root", "toptag_train.h5", "flavour.root", "pretrained.pt"} <= shipped


def test_the_notebooks_come_along_and_begin(root, run):
    assert "mine: 13 notebooks and" in run("-m", "coursekit.cli", "notebooks", "mine")
    stems = [folder.name for folder in LESSONS]
    assert sorted(path.stem for path in (run.empty / "mine").glob("*.ipynb")) == stems
    code = ""
    for lesson in ("01_reading", "08_top_tagging"):
        notebook = json.loads((run.empty / "mine" / f"{lesson}.ipynb").read_text(encoding="utf-8"))
        code += next(
            "".join(cell["source"]) for cell in notebook["cells"] if "setup" in cell["metadata"].get("tags", [])
        )
        code += f"\nassert WORK.name == {lesson[:2]!r} and WORK.is_dir()\n"
    assert run("-c", code) == ""


def test_every_exercise_is_there_and_judges(run):
    numbers = {lesson.name[:2]: authoring.read_lesson(lesson / "lesson.py").exercises for lesson in LESSONS}
    found = json.loads(run("-c", JUDGE, *numbers))
    assert found["home"].startswith(str(run.site))
    assert found["lessons"] == {
        lesson: {number: ["PASS", "TODO"] for number in exercises} for lesson, exercises in numbers.items()
    }


def test_what_is_in_the_folder_already_stays(tmp_path):
    (tmp_path / "01_reading.ipynb").write_text("my answers", encoding="utf-8")
    written, kept = hand_out(tmp_path)
    assert kept == [tmp_path / "01_reading.ipynb"]
    assert kept[0].read_text(encoding="utf-8") == "my answers"
    assert tmp_path / "examples" / "folds.yaml" in written
    assert hand_out(tmp_path)[0] == []
