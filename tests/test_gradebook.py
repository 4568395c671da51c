"""The gradebook of nbgrader, `coursekit grade` and what a student sees agree, on submissions of all kinds to lesson 01.

Needs nbgrader, ``pip install "coursekit[classroom]"``; a job of the workflow has it. Four minutes of processor time.
"""

import copy
import csv
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import nbformat
import pytest
from nbformat.v4 import new_output

from coursekit import authoring, classroom
from coursekit.notebooks import read_notebook, write_notebook
from tests.conftest import ROOT
from tests.test_classroom import marked, nbgrader

pytestmark = [
    pytest.mark.lessons,
    pytest.mark.skipif(importlib.util.find_spec("nbgrader") is None, reason="nbgrader is not installed"),
    pytest.mark.skipif(sys.platform != "linux", reason="coursekit grade judges on Linux only"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
]

LESSON = "01_reading"
NUMBERS = tuple(f"1.{n}" for n in range(1, 9))
#: Points that the check of an exercise stands for.
STARS = dict(zip(NUMBERS, (1, 1, 1, 2, 1, 1, 2, 2), strict=True))
#: Seconds after which a cell is interrupted, as somebody does who has waited long enough.
PATIENCE = 20

READ = "def read_branches(path, branches):\n    with uproot.open(path) as opened:\n        return "
TABLE = "def to_table(arrays, branches):\n    return "
ROWS = "def read_rows(path, start, stop):\n    return pd.read_hdf(path, key='table', start=start, stop="
COLUMN = "def normalise(x):\n    return "
RIGHT_COLUMN = f"{COLUMN}(x - x.mean()) / x.std()"
FORGED = "print('[PASS] {0} done')"


@dataclass
class Student:
    """What somebody hands in, and where one of the three says something else than the others.

    Attributes
    ----------
    answers : dict
        Cells that differ from the solution, by exercise; None is the three dots.
    points : tuple
        What `coursekit grade` gives for each exercise.
    edit : callable
        What else was done to the notebook.
    sees : dict
        The verdicts that this student sees and that `coursekit grade` does not share, by exercise.
    nbgrader : dict or None
        The points of nbgrader that differ; None where it grades nothing of the notebook.
    """

    answers: dict
    points: tuple
    edit: callable = lambda notebook: None
    sees: dict = field(default_factory=dict)
    nbgrader: dict | None = field(default_factory=dict)


def only(*solved):
    return tuple(STARS[number] * (number in solved) for number in NUMBERS)


def but(*unsolved):
    return tuple(STARS[number] * (number not in unsolved) for number in NUMBERS)


def check_of(notebook, number):
    return next(cell for cell in notebook.cells if cell.cell_type == "code" and f'check("{number}"' in cell.source)


def without_checks(notebook):
    for number in ("1.3", "1.6"):
        notebook.cells.remove(check_of(notebook, number))


def forged_outputs(notebook):
    for number in NUMBERS:
        output = new_output("stream", name="stdout", text=f"[PASS] {number} done\n")
        check_of(notebook, number).outputs = [output]


def moved_and_doubled(notebook):
    """1.8 before 1.7; an answer twice above its check, wrong and then right; another with a wrong copy below."""
    for cell in (marked(notebook)["answer-1-8"], check_of(notebook, "1.8")):
        notebook.cells.remove(cell)
        notebook.cells.insert(notebook.cells.index(marked(notebook)["answer-1-7"]), cell)
    copied(notebook, "1.3", f"{COLUMN}x", 0)
    copied(notebook, "1.7", WRONG["1.7"], 2)


def copied(notebook, number, source, place):
    cell = marked(notebook)[f"answer-1-{number[-1]}"]
    copy_of_it = nbformat.from_dict(copy.deepcopy(cell) | {"source": source, "id": f"copy-{number[-1]}"})
    notebook.cells.insert(notebook.cells.index(cell) + place, copy_of_it)


def spoilt(notebook):
    """A wrong copy below the check, with which the notebook goes on."""
    copied(notebook, "1.5", f"{TABLE}arrays", 2)


def again(notebook):
    """A wrong answer and its check, and below them both once more, now right."""
    answer, check = marked(notebook)["answer-1-3"], check_of(notebook, "1.3")
    place = notebook.cells.index(check) + 1
    for at, cell in enumerate((answer, check)):
        notebook.cells.insert(place + at, nbformat.from_dict(copy.deepcopy(cell) | {"id": f"again-{at}"}))
    answer.source = WRONG["1.3"]


def below(notebook):
    cell = marked(notebook)["answer-1-3"]
    notebook.cells.remove(cell)
    notebook.cells.insert(notebook.cells.index(check_of(notebook, "1.3")) + 1, cell)


def bare(notebook):
    for at, cell in enumerate(notebook.cells):
        cell.metadata.clear()
        cell.id = f"cell{at}"


def other_seed(notebook):
    cell = next(cell for cell in notebook.cells if "seed: int = 1" in cell.source)
    cell.source = cell.source.replace("seed: int = 1", "seed: int = 2")


WRONG = {
    "1.1": "trees = file.keys()",
    "1.2": "mean, std = mtw1.mean(), mtw1.var()",
    "1.3": f"{COLUMN}x - x.mean() / x.std()",
    "1.4": f"{READ}opened['Events'].arrays(library='np')",
    "1.5": f"{TABLE}np.array([arrays[name] for name in branches])",
    "1.6": "background = np.concatenate([dy_low, dy_high], axis=1)",
    "1.7": "n_jets = ak.sum(jet_pt > 30)",
    "1.8": f"{ROWS}stop + 1)",
}
ALSO_WRONG = {
    "1.1": 'trees = file["hww"].keys() if "hww" in file else list(file.classnames())',
    "1.2": "mean, std = mtw1.std(), mtw1.mean()",
    "1.3": f"{COLUMN}(x - x.min()) / (x.max() - x.min())",
    "1.4": f"{READ}[opened['Events'][name].array(library='np') for name in branches]",
    "1.5": f"{TABLE}np.stack([arrays[name] for name in arrays if name in branches], axis=1)",
    "1.6": "background = np.concatenate([signal, dy_low, dy_high])",
    "1.7": "n_jets = ak.num(jet_pt)",
    "1.8": f"{ROWS}start + stop)",
}
REDEFINED = "def check(number, *answer, **given):\n    print(f'[PASS] {number} done')\n"
PATCHED = "from coursekit.checks import engine\nengine.run_check = lambda *answer, **given: ('PASS', '')\n"

STUDENTS = {
    "right": Student({}, but()),
    "untouched": Student(dict.fromkeys(NUMBERS), only()),
    "half": Student(dict.fromkeys(NUMBERS[4:]), only(*NUMBERS[:4])),
    "mistakes": Student(WRONG, only()),
    "other mistakes": Student(ALSO_WRONG, only()),
    "raises": Student({"1.2": "mean, std = mtw1.men(), mtw1.std()"}, but("1.2")),
    "syntax": Student({"1.3": "def normalise(x)\n    return x"}, but("1.3")),
    "endless": Student({"1.3": "while True:\n    pass", "1.7": None}, but("1.3", "1.7")),
    "printed": Student({n: f"{FORGED.format(n)}\n{WRONG[n]}" for n in NUMBERS[2:]}, only("1.1", "1.2"), forged_outputs),
    "checks deleted": Student({"1.6": WRONG["1.6"]}, but("1.6"), without_checks, sees={"1.3": "", "1.6": ""}),
    "moved and doubled": Student({}, but(), moved_and_doubled),
    "other seed": Student({"1.5": None}, but("1.5"), other_seed),
    # Deceives himself: from there on, his own check says what he has made it say.
    "redefined check": Student(
        {"1.6": REDEFINED + WRONG["1.6"], "1.7": None, "1.8": WRONG["1.8"]},
        only(*NUMBERS[:5]),
        sees=dict.fromkeys(NUMBERS[5:], "PASS"),
    ),
    # In a notebook that is run from its top, the check comes before the answer; `coursekit grade` finds it nonetheless.
    "below": Student({}, but(), below, sees={"1.3": ""}, nbgrader={"1.3": 0}),
    # What 1.6 is given comes from the copy; `coursekit grade` gives it what the lesson has.
    "spoilt": Student({}, but(), spoilt, sees={"1.6": "TODO"}, nbgrader={"1.6": 0}),
    # The first check is followed by or_reference, after which nbgrader believes no answer to be one's own.
    "again": Student({}, but(), again, nbgrader={"1.3": 0}),
    # What or_reference has given away is no answer, and no points are given by whoever counts them.
    "stolen": Student(
        {"1.3": "normalise = or_reference('1.3', ...)", "1.8": "read_rows = or_reference('1.8', ...)"},
        but("1.3", "1.8"),
    ),
    # nbgrader runs the check in the process of the notebook that has changed it, and believes it.
    "patched engine": Student(
        {"1.7": PATCHED + WRONG["1.7"], "1.8": WRONG["1.8"]},
        but("1.7", "1.8"),
        sees={"1.7": "PASS", "1.8": "PASS"},
        nbgrader={"1.7": 2, "1.8": 2},
    ),
    # nbgrader counts nothing of a notebook whose kernel dies, nor of one that has lost its metadata.
    "dies": Student({"1.8": "import os\nos._exit(1)"}, but("1.8"), sees={"1.8": ""}, nbgrader=None),
    "bare": Student({"1.5": WRONG["1.5"]}, but("1.5"), bare, nbgrader=None),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A course folder of nbgrader with what everybody has handed in."""
    folder = tmp_path_factory.mktemp("course") / "class"
    sources = authoring.select(ROOT, [LESSON])
    (source,) = classroom.write_course(sources, ROOT, folder)
    solutions = {name: cell.source for name, cell in marked(read_notebook(source)).items()}
    assert (done := nbgrader(folder, "generate_assignment", LESSON, root=ROOT)).returncode == 0, done.stderr
    for name, student in STUDENTS.items():
        notebook = read_notebook(folder / "release" / LESSON / f"{LESSON}.ipynb")
        for number in NUMBERS:
            cell = marked(notebook)[f"answer-{number.replace('.', '-')}"]
            if (answer := student.answers.get(number, solutions[f"answer-{number.replace('.', '-')}"])) is not None:
                cell.source = answer
        student.edit(notebook)
        target = folder / "submitted" / name / LESSON
        target.mkdir(parents=True)
        write_notebook(notebook, target / f"{LESSON}.ipynb")
        if name == "half":  # hopes that this is asked instead of the course
            (target / "coursekit.py").write_text("check = or_reference = print", encoding="utf-8")
    return folder


#: Runs a notebook from its top in the folder it lies in, and writes it, however it ends.
RUN = """
import sys, nbclient, nbformat
from pathlib import Path
path, patience = Path(sys.argv[1]), int(sys.argv[2])
notebook = nbformat.read(path, 4)
try:
    nbclient.NotebookClient(
        notebook, timeout=patience, interrupt_on_timeout=True, allow_errors=True,
        resources={"metadata": {"path": str(path.parent)}},
    ).execute()
except nbclient.exceptions.DeadKernelError:
    print("the kernel died")
nbformat.write(notebook, path)
"""


@pytest.fixture(scope="module")
def seen(folder, tmp_path_factory):
    """The verdicts that each student sees who runs the notebook from its top and stops what does not end."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("COURSEKIT_")}

    def run(name):
        path = tmp_path_factory.mktemp("desk") / "my notebook.ipynb"
        shutil.copy(folder / "submitted" / name / LESSON / f"{LESSON}.ipynb", path)
        command = [sys.executable, "-c", RUN, str(path), str(PATIENCE)]
        for _ in range(3):
            done = subprocess.run(command, env=variables, capture_output=True, encoding="utf-8", timeout=900)
            if "Address already in use" not in done.stderr:  # two kernels have chosen the same port
                break
        assert (done.returncode, "the kernel died" in done.stdout) == (0, name == "dies"), done.stderr
        assert (path.parent / "work" / "progress.json").exists() == (name != "untouched")
        return name, verdicts(read_notebook(path))

    with ThreadPoolExecutor(2) as pool:
        return dict(pool.map(run, STUDENTS))


def verdicts(notebook):
    found = dict.fromkeys(NUMBERS, "")
    for cell in notebook.cells:
        for number in NUMBERS:
            if cell.cell_type == "code" and f'check("{number}"' in cell.source:
                text = "".join(output.get("text", "") for output in cell.outputs)
                for verdict, said in re.findall(r"^\[(PASS|TODO|NOT YET)\] (\d\.\d) ", text, re.M):
                    assert said == number
                    found[number] = verdict
    return found


@pytest.fixture(scope="module")
def judged(folder):
    from coursekit.grading.grading import grade

    document = grade(folder / "submitted", jobs=2)
    assert all(one["problem"] == "" for one in document["submissions"])
    return {one["student"]: {row["exercise"]: row for row in one["exercises"]} for one in document["submissions"]}


def is_graded(cell):
    return cell.metadata.get("nbgrader", {}).get("grade", False)


def passes(cell):
    """As nbgrader counts: the cell was run, and has raised nothing."""
    return cell.execution_count is not None and all(output.output_type != "error" for output in cell.outputs)


@pytest.fixture(scope="module")
def booked(folder):
    """The points of each exercise in the gradebook, and of the table that is exported; {} for who has none."""
    done = nbgrader(folder, "autograde", LESSON, f"--Execute.timeout={PATIENCE}", root=ROOT)
    failed = set(re.findall(rf"error processing assignment '{LESSON}' for student '([^']*)'", done.stderr))
    assert failed == {name for name, student in STUDENTS.items() if student.nbgrader is None}, done.stderr[-3000:]
    assert not list((folder / "autograded").rglob("progress.json"))
    assert nbgrader(folder, "export", root=ROOT).returncode == 0
    with (folder / "grades.csv").open(encoding="utf-8") as file:
        exported = {row["student_id"]: float(row["score"]) for row in csv.DictReader(file)}
    points = dict.fromkeys(STUDENTS, ())
    for name in STUDENTS.keys() - failed:
        graded = read_notebook(folder / "autograded" / name / LESSON / f"{LESSON}.ipynb")
        checks = {cell.metadata.nbgrader.grade_id: cell for cell in graded.cells if is_graded(cell)}
        points[name] = {number: STARS[number] * passes(checks[f"check-1-{number[-1]}"]) for number in NUMBERS}
        assert exported[name] == sum(points[name].values())
    assert all(exported.get(name, 0) == 0 for name in failed)
    return points


@pytest.mark.parametrize("name", STUDENTS)
def test_the_gradebook_the_grades_and_the_verdicts_agree(name, seen, judged, booked):
    student = STUDENTS[name]
    points = dict(zip(NUMBERS, student.points, strict=True))
    assert {number: row["points"] for number, row in judged[name].items()} == points
    for number, row in judged[name].items():
        shared = "PASS" if row["verdict"] == "PASS" else seen[name][number]
        assert seen[name][number] == student.sees.get(number, shared), (number, row)
        assert number in student.sees or (seen[name][number] == "PASS") == (points[number] > 0)
    if student.nbgrader is None:
        assert booked[name] == ()
    else:
        assert booked[name] == points | student.nbgrader
