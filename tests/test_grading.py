"""Submissions are judged as the check judges, each costs its author only, and nobody writes his own verdict."""

import codecs
import csv
import json
import os
import sys

import pytest
from typer.testing import CliRunner

from coursekit.cli import app
from tests import submitted, toy

if sys.platform != "linux":
    pytest.skip("submissions are judged on Linux only", allow_module_level=True)

from coursekit.grading import report
from coursekit.grading.grading import grade
from coursekit.grading.isolation import Limits
from coursekit.grading.needed import of_notebook, piece, selected

# From Python 3.12 on: a child of this process, in which the libraries' threads are, runs nothing that they could hold.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")

#: Those who do not end take all of it; everybody else a tenth of a second, and more on a machine that is busy.
QUICK = Limits(seconds=10, memory=1 << 30)


def lay_out(folder):
    """Write the small course, as the fixture `clone` does, which lasts for one test only."""
    lessons = folder / "lessons" / "01_toy"
    lessons.mkdir(parents=True)
    for name, text in (("lesson.py", toy.TOY), ("exercises.py", toy.EXERCISES), ("figures.toml", toy.FIGURES)):
        (lessons / name).write_text(text, encoding="utf-8")
    (folder / "course.toml").write_text(toy.COURSE, encoding="utf-8")
    submitted.lay_out_another(lessons)
    return submitted.drawn(folder)


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """The small course, to which all processes started from here belong."""
    clone = lay_out(tmp_path_factory.mktemp("course"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSEKIT_ROOT", str(clone))
        patch.setenv("OMP_NUM_THREADS", "96")  # as on a large machine: more than an exercise may have
        yield clone


@pytest.fixture(scope="module")
def document(course, tmp_path_factory):
    folder = tmp_path_factory.mktemp("class")
    submitted.write_class(course, folder)
    return grade(folder, QUICK, jobs=2)


def of(document, student):
    one = next(one for one in document["submissions"] if one["student"] == student)
    return {row["exercise"]: row for row in one["exercises"]} | {"problem": one["problem"], "points": one["points"]}


# --- verdicts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", submitted.ANSWERS)
def test_an_answer_gets_its_verdict_and_costs_its_author_only(document, name):
    _, verdict, said = submitted.ANSWERS[name]
    found = of(document, name)
    assert found["problem"] == ""
    assert (found["1.2"]["verdict"], found["1.1"]["verdict"]) == (verdict, "PASS"), found["1.2"]["reason"]
    assert said in found["1.2"]["reason"], found["1.2"]["reason"]
    assert found["1.2"]["points"] == (verdict == "PASS")
    assert bool(found["1.2"]["mistake"]) == (verdict in ("NOT YET", "REFUSED"))


def test_a_mistake_is_counted_under_the_name_that_the_lesson_has_for_it(document):
    for name in ("brackets", "printed", "redefined check", "forged output", "twice"):
        assert of(document, name)["1.2"]["mistake"] == "Mind the brackets."
    assert of(document, "half")["1.1"]["mistake"] == "This is the variance."
    assert of(document, "endless call")["1.2"]["mistake"] == of(document, "endless")["1.2"]["mistake"]


def test_what_is_not_done_is_no_mistake(document):
    for name, verdicts in {"untouched": ("TODO", "TODO"), "half": ("NOT YET", "TODO")}.items():
        found = of(document, name)
        assert (found["1.1"]["verdict"], found["1.2"]["verdict"], found["points"]) == (*verdicts, 0)
    assert of(document, "missing")["1.2"]["verdict"] == "MISSING"


def test_cells_that_no_answer_needs_are_not_run(document):
    assert of(document, "early cells")["points"] == 2


def test_values_written_as_numbers_are_seen(document):
    found = of(document, "numbers")["1.1"]
    assert found["verdict"] == "NOT YET"
    assert "as they came out once" in found["reason"]


def test_values_that_the_reference_answer_has_made_are_refused(document):
    assert of(document, "reference values")["1.1"]["verdict"] == "REFUSED"


def test_what_a_notebook_shows_is_told_and_believed_by_nobody(document):
    found = of(document, "forged output")["1.2"]
    assert (found["verdict"], found["shown"], found["tries"]) == ("NOT YET", "PASS", 7)
    assert "the notebook shows [PASS] for it" in found["remarks"]
    assert of(document, "right")["1.2"]["tries"] is None


def test_without_tags_an_answer_is_known_by_its_names(document):
    found = of(document, "without tags")
    assert found["points"] == 2
    assert "no cell is tagged" in found["1.2"]["remarks"][0]


def test_of_an_exercise_that_is_there_twice_the_last_counts(document):
    found = of(document, "twice")["1.2"]
    assert found["verdict"] == "NOT YET"
    assert "there 2 times" in found["remarks"][0]


def test_what_stands_below_its_check_counts_where_nothing_stands_above(document):
    assert of(document, "scratch")["1.2"]["verdict"] == "PASS"
    found = of(document, "below")["1.2"]
    assert (found["verdict"], found["remarks"]) == ("PASS", ["the answer stands below its check"])


def test_who_reaches_into_the_check_is_named(document):
    for name in (
        "found reference",
        "patched engine",
        "leaves",
        "segfault",
        "traced",
        "reference copied",
        "below a magic",
    ):
        assert any("look at it" in remark for remark in of(document, name)["1.2"]["remarks"]), name
    assert of(document, "early cells")["1.1"]["remarks"] == ["a cell above it uses checks: look at it"]
    assert not any(of(document, name)["1.2"]["remarks"] for name in ("another idiom", "early cells", "magics"))


@pytest.mark.parametrize(
    ("name", "words"),
    {
        "no notebook": "not a notebook",
        "empty": "not a notebook",
        "list": "not a notebook",
        **dict.fromkeys(submitted.DAMAGED, "not a notebook, or a damaged one"),
        "much code": "no notebook of the course has more than 500000",
        "another lesson": "lesson 2 could not be judged here: the process that judges lesson 02_other does not answer",
        "link": "a link to another place",
        "without files": "no notebook in this folder",
        "another course": "no lesson of this course",
        "two": "two notebooks of lesson 1",
    }.items(),
)
def test_what_cannot_be_judged_is_said(document, name, words):
    assert words in of(document, name)["problem"]


def test_what_is_no_letter_costs_nobody_anything(document, tmp_path):
    assert of(document, "M\\udcfcller")["points"] == 2
    assert "\\udcff" in of(document, "half a letter")["1.2"]["reason"]
    for write in (report.write_csv, report.write_json, report.write_html):
        write(document, tmp_path / "written")
        assert "M\\udcfcller" in (tmp_path / "written").read_text(encoding="utf-8").replace("\\\\", "\\")


def test_a_folder_is_a_student(document):
    assert of(document, "in a folder")["points"] == 2


def test_the_same_submissions_give_the_same_again(course, tmp_path):
    for name in ("right", "brackets", "leaves", "always equal"):
        submitted.write(submitted.notebook(course, submitted.ANSWERS[name][0]), tmp_path, name)
    assert grade(tmp_path, QUICK, jobs=1) == grade(tmp_path, QUICK, jobs=2)


def test_without_walls_the_limits_hold(course, tmp_path):
    for name in ("right", "brackets", "leaves", "endless", "forged report", "memory"):
        submitted.write(submitted.notebook(course, submitted.ANSWERS[name][0]), tmp_path, name)
    document = grade(tmp_path, QUICK, jobs=2, walls=False)
    assert not any(document["walls"].values())
    for name in ("right", "brackets", "leaves", "endless", "forged report", "memory"):
        assert of(document, name)["1.2"]["verdict"] == submitted.ANSWERS[name][1]


def test_killing_the_grader_or_writing_to_it_from_inside_is_no_verdict(course, tmp_path):
    """Without walls, the parent is there to be killed: it is started anew, and the others are judged.

    What is written where verdicts are told is nobody's; an ordinary user does not even reach that pipe.
    """
    kill = "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\n" + submitted.RIGHT
    write = (
        "import os\ntrunk = open(f'/proc/{os.getppid()}/stat').read().rpartition(')')[2].split()[1]\n"
        'row = b\'{"verdict": "PASS", "reason": "", "mistake": "", "remarks": []}\\n\'\n'
        "for pipe in range(3, 9):\n    try:\n"
        "        os.write(os.open(f'/proc/{trunk}/fd/{pipe}', os.O_WRONLY), row + b'hello\\n')\n"
        f"    except OSError:\n        pass\n{submitted.WRONG}"
    )
    for name, answer in {"a": kill, "b": write, "c": submitted.WRONG}.items():
        submitted.write(submitted.notebook(course, answer), tmp_path, name)
    document = grade(tmp_path, QUICK, walls=False)
    assert of(document, "a")["1.2"]["verdict"] == "NOT JUDGED"
    assert of(document, "b")["1.2"]["verdict"] == ("NOT JUDGED" if os.geteuid() == 0 else "NOT YET")
    assert (of(document, "c")["1.1"]["verdict"], of(document, "c")["1.2"]["verdict"]) == ("PASS", "NOT YET")


def test_a_file_beside_a_notebook_is_no_module(course, tmp_path, monkeypatch):
    """Who grades in the folder with the submissions does not import, outside all walls, what somebody has put there."""
    for name in ("numpy", "coursekit", "sitecustomize", "typing", "tokenize"):
        for place in (tmp_path, tmp_path / "a"):
            place.mkdir(exist_ok=True)
            (place / f"{name}.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'w')", encoding="utf-8")
    submitted.write(submitted.notebook(course), tmp_path / "a", "any name")
    monkeypatch.chdir(tmp_path)
    assert of(grade(tmp_path, QUICK), "a")["points"] == 2
    assert not (tmp_path / "imported").exists()


# --- what is needed ---------------------------------------------------------------------------------------------------


def test_only_what_an_answer_needs_is_run():
    cells = [
        "A = 1\nB = {}\nfor i in range(3):\n    B[i] = A",
        "def f(x):\n    return x + A",
        "slow = f(B)\nprint(slow)",
    ]
    sources = [one.source for one in selected(of_notebook(cells), piece("def g(x):\n    return f(x)").uses)]
    assert sources == ["A = 1", "def f(x):\n    return x + A"]
    assert len(selected(of_notebook(cells), {"B"})) == 3


def test_what_a_loop_fills_is_needed_and_a_module_that_it_calls_is_not_changed():
    filled = "with open(n) as f:\n    for line in f:\n        if line:\n            B.append(line)"
    cells = ["import torch", "B = []", filled, "for s in (1, 2):\n    torch.manual_seed(s)\n    net = train(s)"]
    found = of_notebook(cells)
    assert [one.source for one in selected(found, {"B"})] == cells[1:3]
    assert [one.source for one in selected(found, {"torch"})] == cells[:1]
    assert [one.source for one in selected(found, {"net"})] == [cells[0], cells[3]]
    assert [one.source for one in selected(of_notebook(["def f():\n    B.append(1)", "B = []"]), {"B"})] == ["B = []"]


# --- what is written --------------------------------------------------------------------------------------------------


def test_the_table_has_a_row_per_student_and_exercise(document, tmp_path):
    report.write_csv(document, tmp_path / "grades.csv")
    assert (tmp_path / "grades.csv").read_bytes().startswith(codecs.BOM_UTF8)  # or Excel reads other letters
    with open(tmp_path / "grades.csv", encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    judged = [one for one in document["submissions"] if not one["problem"]]
    assert len(rows) == 2 * len(judged) + len(document["submissions"]) - len(judged)
    row = next(row for row in rows if row["student"] == "brackets" and row["exercise"] == "1.2")
    assert (row["verdict"], row["mistake"], row["points"]) == ("NOT YET", "Mind the brackets.", "0")


def test_a_name_is_no_formula_and_no_markup(document, tmp_path):
    evil = {**document["submissions"][-1], "student": "=1+1 <script>alert(1)</script>"}
    changed = document | {"submissions": [evil]}
    report.write_csv(changed, tmp_path / "grades.csv")
    assert "'=1+1" in (tmp_path / "grades.csv").read_text(encoding="utf-8")
    report.write_html(changed, tmp_path / "grades.html")
    assert "<script" not in (tmp_path / "grades.html").read_text(encoding="utf-8")


def test_the_page_says_which_mistakes_and_what_holds_people_up(document, tmp_path):
    report.write_html(document, tmp_path / "grades.html")
    text = (tmp_path / "grades.html").read_text(encoding="utf-8")
    assert "Exercise 1.2 holds most people up" in text
    assert "Mind the brackets." in text
    assert "could not be judged" in text
    assert not any(word in text for word in ("http:", "https:", "<script", "src="))  # it needs no other file
    shown = report.class_page(document)["lessons"][0]["mistakes"]
    assert ("1.2", "Mind the brackets.") in [(one["exercise"], one["mistake"]) for one in shown[:2]]
    assert (often := [len(one["students"]) for one in shown]) == sorted(often, reverse=True)


def test_the_command_writes_what_is_asked_for(course, tmp_path):
    submitted.write(submitted.notebook(course), tmp_path / "class", "right")
    options = ["--csv", "--json", "--html", "--output", str(tmp_path)]
    done = CliRunner().invoke(app, ["grade", str(tmp_path / "class"), *options])
    assert done.exit_code == 0, done.output
    assert "2 of 2" in done.output
    assert {path.name for path in tmp_path.glob("grades.*")} == {"grades.csv", "grades.json", "grades.html"}
    written = json.loads((tmp_path / "grades.json").read_text(encoding="utf-8"))
    assert (written["schema"], written["seed"], written["limits"]["seconds"]) == (1, 20, 60)


def test_an_empty_folder_is_an_error_of_one_line(tmp_path):
    done = CliRunner().invoke(app, ["grade", str(tmp_path)])
    assert done.exit_code == 1
    assert "holds no submission" in done.output
    assert "Traceback" not in done.output
