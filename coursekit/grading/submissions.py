"""A folder of submitted notebooks, read without running anything: whose they are, and which cells are the student's.

``FOLDER/NAME.ipynb`` is a submission of NAME, and so is every notebook below ``FOLDER/NAME/``. Set-up, parameters and
checks are ours and are left out; so is each cell that stands in the lesson like this. What is left is the student's.
"""

import ast
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from coursekit import authoring
from coursekit.classroom import points
from coursekit.grading.magics import as_python
from coursekit.grading.needed import piece
from coursekit.notebooks import read_notebook

__all__ = ["LessonOfClass", "Submission", "lesson_of_class", "submissions"]

#: Bytes of a notebook; none of the course has a tenth of it.
_LARGEST = 50 << 20
#: Characters of its code; none of the course has a tenth of them, either.
_MOST_CODE = 500_000
_CHECKPOINTS = ".ipynb_checkpoints"
_SHOWN = re.compile(r"^\[(PASS|TODO|NOT YET)\] (\d+\.\d+) ", re.M)
_TRIES = re.compile(r"^ *(\d+\.\d+) +\[(?:PASS|TODO|NOT YET)\] +tries (\d{1,6}) ", re.M)
#: What honest answers do not need. It is no proof of anything: somebody should look at the cell.
_STRANGE = {"_exit", "_getframe", "ctypes", "fork", "gc", "kill", "multiprocessing", "socket", "subprocess"}
_STRANGE |= {"checks", "coursekit_lessons", "exercises_of", "grading", "or_reference", "run_check", "sys.modules"}
_STRANGE |= {"setprofile", "settrace", "__code__", "__globals__", "currentframe", "f_back", "f_locals", "inspect"}
_STRANGE |= {"builtins", "importlib", "meta_path", "monitoring", "tb_frame", "__import__", "__subclasses__"}


@dataclass(frozen=True)
class LessonOfClass:
    """What grading needs of a lesson: the stars of its exercises, and what its cells look like."""

    number: int
    path: Path
    title: str
    stars: dict[str, int]
    ids: dict[str, str]
    own: frozenset[str]
    names: dict[str, frozenset[str]]


@dataclass
class Submission:
    """One notebook of one student.

    Attributes
    ----------
    student, notebook : str
        The name, and the path below the folder.
    lesson : int
        0 where it is not known.
    problem : str
        Why nothing of it can be judged; "" where it can.
    cells : list of dict
        The student's own code cells: ``source``, and ``number`` of the exercise that they answer, else "".
    ends : dict
        How many of these cells stand above the check of each exercise that has an answer.
    remarks : dict
        What somebody should know of an exercise, by number.
    shown, tries : dict
        The verdict, and the number of tries, that outputs stored in the notebook tell of, by number.
    """

    student: str
    notebook: str
    lesson: int = 0
    problem: str = ""
    cells: list[dict] = field(default_factory=list)
    ends: dict[str, int] = field(default_factory=dict)
    remarks: dict[str, list[str]] = field(default_factory=dict)
    shown: dict[str, str] = field(default_factory=dict)
    tries: dict[str, int] = field(default_factory=dict)


def lesson_of_class(folder: Path, number: int) -> LessonOfClass | None:
    """Return a lesson below a folder ``lessons`` by its number; None where there is none."""
    path = next(folder.glob(f"{number:02d}_*/lesson.py"), None)
    if path is None:
        return None
    lesson = authoring.read_lesson(path)
    notebook = authoring.exercise_notebook(lesson, {"title": "", "repository": "", "tag": ""})
    stars = points(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    asked = {_number(cell): cell for cell in code if "exercise" in _tags(cell)}
    return LessonOfClass(
        number,
        path,
        lesson.title,
        {exercise: stars.get(exercise, 1) for exercise in asked},
        {cell.id: exercise for exercise, cell in asked.items()},
        frozenset(_plain(cell.source) for cell in code if "exercise" not in _tags(cell)),
        {exercise: piece(cell.source).gives for exercise, cell in asked.items()},
    )


def submissions(folder: Path, lessons: Callable[[int], LessonOfClass | None]) -> list[Submission]:
    """Read all submissions, in the order of lessons and names.

    Parameters
    ----------
    folder : pathlib.Path
    lessons : callable
        Returns a lesson by its number, or None.

    Raises
    ------
    FileNotFoundError
        There is no such folder, or it holds no notebook.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is no folder: name the one that holds the submitted notebooks")
    found = []
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("."):
            continue
        if entry.is_dir() and not entry.is_symlink():
            paths = sorted(p for p in entry.rglob("*.ipynb") if _CHECKPOINTS not in p.parts)
            found += [_read(path, entry.name, folder, lessons) for path in paths]
            if not paths:
                found.append(Submission(entry.name, entry.name, problem="there is no notebook in this folder"))
        elif entry.suffix == ".ipynb":
            found.append(_read(entry, entry.stem, folder, lessons))
    if not found:
        raise FileNotFoundError(f"{folder} holds no submission: expected NAME.ipynb, or NAME/ with notebooks in it")
    _refuse_doubles(found)
    return sorted(found, key=lambda one: (one.lesson, one.student, one.notebook))


def _refuse_doubles(found: list[Submission]) -> None:
    seen: dict[tuple[str, int], Submission] = {}
    for one in found:
        if one.problem:
            continue
        first = seen.setdefault((one.student, one.lesson), one)
        if first is not one:
            for each, other in ((one, first), (first, one)):
                each.problem = (
                    each.problem or f"there are two notebooks of lesson {one.lesson}: {other.notebook} is another"
                )


def _read(path: Path, student: str, folder: Path, lessons: Callable[[int], LessonOfClass | None]) -> Submission:
    one = Submission(student, path.relative_to(folder).as_posix())
    try:
        if any(p.is_symlink() for p in (path, *path.parents) if folder in p.parents):
            raise OSError("it is a link to another place; submit the notebook itself")
        if (size := os.path.getsize(path)) > _LARGEST:
            raise OSError(f"it has {size / 1e6:.0f} MB; no notebook of the course has more than {_LARGEST >> 20}")
        cells = [cell for cell in read_notebook(path).cells if cell.cell_type == "code"]
        if (code := sum(len(cell.source) for cell in cells)) > _MOST_CODE:
            raise OSError(f"its code has {code} characters; no notebook of the course has more than {_MOST_CODE}")
        if not cells:
            raise OSError("it has no code cell")
        one.lesson = _lesson_of(cells)
        lesson = lessons(one.lesson) if one.lesson else None
        if lesson is None:
            raise OSError("it is no lesson of this course: no cell is tagged as one of its exercises")
        _sort(one, cells, lesson)
    except (OSError, authoring.BuildError) as error:
        one.problem = str(error)
    except Exception:  # JSON may hold anything where a notebook holds a text
        one.problem = "it is not a notebook, or a damaged one"
    return one


def _lesson_of(cells: Iterable) -> int:
    """Return the lesson that most exercises belong to, by tags, else by what is checked or set up; 0 for none."""
    numbers = [number for cell in cells if (number := _number(cell))]
    for pattern in (r"\bcheck\(\s*[\"'](\d+\.\d+)", r"\bsetup\(\s*[\"'](\d+)"):
        numbers = numbers or [n for cell in cells for n in re.findall(pattern, cell.source)]
    chapters = [int(number.split(".")[0]) for number in numbers]
    return max(sorted(set(chapters)), key=chapters.count, default=0)


def _sort(one: Submission, cells: list, lesson: LessonOfClass) -> None:
    """Tell the student's cells from ours, and find the answer of each exercise."""
    checked: dict[str, int] = {}  # by the last check, whose verdict is the one that its author saw last
    for cell in cells:
        tags, number = _tags(cell), _number(cell)
        _look_at_outputs(one, cell)
        if "check" in tags and number in lesson.stars:
            checked[number] = len(one.cells)
        if tags & {"setup", "parameters", "check", "solution"} or _plain(cell.source) in lesson.own:
            continue
        answers = number if "exercise" in tags else lesson.ids.get(cell.get("id", ""), "")
        one.cells.append({"source": cell.source, "number": answers if answers in lesson.stars else ""})
    for number in lesson.stars:
        remarks = one.remarks.setdefault(number, [])
        places = [at for at, cell in enumerate(one.cells) if cell["number"] == number]
        if not places and (places := _by_names(one.cells, lesson.names[number])):
            one.cells[places[0]] = one.cells[places[0]] | {"number": number}
            remarks.append("no cell is tagged as this exercise; the one that defines its names was taken")
        if len(places) > 1:
            remarks.append(f"the exercise is there {len(places)} times; what is defined last above its check counts")
        if places and (end := checked.get(number, 0)) > places[0]:
            one.ends[number] = end
        elif places:
            one.ends[number] = places[-1] + 1
            remarks += ["the answer stands below its check"] if number in checked else []
    _look_at_cells(one)


def _look_at_cells(one: Submission) -> None:
    """Name each cell that uses what no answer needs, at its exercise or at the first whose check is below it."""
    for at, cell in enumerate(one.cells):
        below = [number for number, end in one.ends.items() if at < end]
        number = cell["number"] or min(below, key=one.ends.get, default="")
        if number and (strange := sorted(_strange(cell["source"]))):
            whose = "the cell" if cell["number"] else "a cell above it"
            one.remarks[number].append(f"{whose} uses {', '.join(strange)}: look at it")


def _by_names(cells: list[dict], names: frozenset[str]) -> list[int]:
    """Return the last cell of nobody's that defines all names of an exercise."""
    found = []
    for at, cell in enumerate(cells):
        try:
            found += [at] if not cell["number"] and names <= piece(as_python(cell["source"])).gives else []
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
    return found[-1:]


def _look_at_outputs(one: Submission, cell) -> None:
    for output in cell.get("outputs", []):
        text = output.get("text", "") if output.get("output_type") == "stream" else ""
        for verdict, number in _SHOWN.findall(text):
            one.shown[number] = verdict
        for number, tries in _TRIES.findall(text):
            one.tries[number] = int(tries)


def _strange(source: str) -> set[str]:
    try:
        tree = ast.parse(as_python(source))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    words = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    attributes = [n for n in ast.walk(tree) if isinstance(n, ast.Attribute)]
    words |= {n.attr for n in attributes}
    words |= {f"{n.value.id}.{n.attr}" for n in attributes if isinstance(n.value, ast.Name)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            words |= {part for name in node.names for part in (getattr(node, "module", None) or name.name).split(".")}
            words |= {name.name for name in node.names}
            words |= {f"{getattr(node, 'module', '')}.{name.name}" for name in node.names}
    return words & _STRANGE


def _tags(cell) -> set[str]:
    tags = cell.metadata.get("tags", [])
    return {tag for tag in tags if isinstance(tag, str)} if isinstance(tags, list) else set()


def _number(cell) -> str:
    return next((tag[3:] for tag in sorted(_tags(cell)) if re.fullmatch(r"ex-\d+\.\d+", tag)), "")


def _plain(source: str) -> str:
    return "\n".join(line.rstrip() for line in source.strip().split("\n"))
