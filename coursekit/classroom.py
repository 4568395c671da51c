"""From the lessons to a course folder of nbgrader, which hands notebooks out, collects, grades and exports them.

``FOLDER/source/NN_slug/NN_slug.ipynb`` is the exercise notebook of the course with nbgrader's metadata. Each answer
stands between two marks behind its three dots, so that ``nbgrader generate_assignment`` leaves the dots alone. Each
check cell is worth as many points as its exercise has stars. nbgrader counts a cell as solved when it raises nothing,
and `check` raises nothing for a student: hidden lines, which come back when a submission is graded, ask for the
verdict (`coursekit.checks.engine.require_pass`).
"""

import re
from pathlib import Path

from nbformat import NotebookNode

from coursekit.answers import BuildError, answered
from coursekit.authoring import course_settings, exercise_notebook, read_lesson
from coursekit.files import replacing
from coursekit.notebooks import exercise_of, read_notebook, write_notebook
from coursekit.prose import fill, printed

__all__ = ["CONFIG", "points", "source_notebook", "write_course"]

SOLUTION = ("### BEGIN SOLUTION", "### END SOLUTION")
HIDDEN = """
### BEGIN HIDDEN TESTS
from coursekit.checks.engine import require_pass

require_pass("{number}")
### END HIDDEN TESTS"""

#: What is not nbgrader's default, and why.
CONFIG = """\
# Settings of nbgrader for this course; `coursekit build --nbgrader` writes this file once and never changes it.
import os

from nbgrader.preprocessors import CheckCellMetadata, ClearOutput, DeduplicateIds, OverwriteCells, OverwriteKernelspec

c = get_config()

# A notebook that is graded is nobody's progress.
os.environ["COURSEKIT_PROGRESS"] = "off"

# Python files that somebody hands in beside a notebook, a coursekit.py say, are no modules for it: no answer needs any.
os.environ["PYTHONSAFEPATH"] = "1"
c.CourseDirectory.ignore = [".ipynb_checkpoints", "__pycache__", "feedback", "coursekit", "*.py", "*.py?", "*.so"]

# The name of the course in the exchange, by which students fetch and submit.
c.CourseDirectory.course_id = "coursekit"

# The three dots stand above each answer: when the answer is cut out, nothing has to take its place.
c.ClearSolutions.code_stub = {"python": ""}

# A check cell that is missing from a submission is put back, and its exercise is graded.
c.OverwriteCells.add_missing_cells = True


# Of a cell that was copied, the last is graded. What nbgrader leaves of the others' metadata lets the above fail.
class ForgetCopies(DeduplicateIds):
    def preprocess_cell(self, cell, resources, cell_index):
        cell, resources = super().preprocess_cell(cell, resources, cell_index)
        if cell.metadata.get("nbgrader") == {}:
            del cell.metadata["nbgrader"]
        return cell, resources


c.Autograde.sanitize_preprocessors = [ClearOutput, ForgetCopies, OverwriteKernelspec, OverwriteCells, CheckCellMetadata]

# Some cells train a network, for which the default of 30 seconds would be short. A cell that does not end is ended.
c.Execute.timeout = 300

# nbgrader takes a line on stderr for a failure. Libraries write there, too, and the verdict alone shall count.
c.IgnorePattern.enabled = True
c.IgnorePattern.pattern = "(?s).*"
"""

_STARS = re.compile(r"^### Your turn (\d+\.\d+) .*?(★+)", re.M)


def write_course(sources: list[Path], root: Path, folder: Path) -> list[Path]:
    """Write a course folder of nbgrader: the source of each lesson, and the settings if there are none yet.

    Parameters
    ----------
    sources : list of pathlib.Path
        ``lessons/NN_slug/lesson.py``, as `coursekit.authoring.select` returns them.
    root : pathlib.Path
        The clone of the course, built.
    folder : pathlib.Path
        Made where it does not exist. Submissions, grades and settings in it stay as they are.

    Returns
    -------
    list of pathlib.Path
        The notebooks, in the order of the lessons.

    Raises
    ------
    BuildError
        When a lesson has not been built, or has changed since, or an exercise has no stars.
    OSError
        When the folder cannot be written.
    """
    notebooks = [(path.parent.name, source_notebook(path, root)) for path in sources]
    written = []
    for stem, notebook in notebooks:
        target = folder / "source" / stem / f"{stem}.ipynb"
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as partial:
            write_notebook(notebook, partial)
        written.append(target)
    settings = folder / "nbgrader_config.py"
    if not settings.exists():
        with replacing(settings) as partial:
            partial.write_text(CONFIG, encoding="utf-8", newline="\n")
    return written


def source_notebook(path: Path, root: Path) -> NotebookNode:
    """Return a lesson's exercise notebook with its answers, its hidden tests, and nbgrader's metadata.

    Parameters
    ----------
    path : pathlib.Path
        ``lessons/NN_slug/lesson.py``.
    root : pathlib.Path
        The clone of the course, whose ``notebooks/`` are built.

    Raises
    ------
    BuildError
        As `write_course`.
    """
    built = root / "notebooks" / f"{path.parent.name}.ipynb"
    if not built.is_file():
        raise BuildError(f"{built} does not exist; nbgrader gets what has been built: run `coursekit build` first")
    notebook = read_notebook(built)
    _refuse_stale(notebook, path, root)
    worth = points(notebook)
    for cell in notebook.cells:
        tags, number = cell.metadata.get("tags", []), exercise_of(cell)
        if "exercise" in tags:
            cell.source = answered(cell.source, number, path, SOLUTION)
            _mark(cell, f"answer-{number}", solution=True)
        elif "check" in tags:
            if number not in worth:
                raise BuildError(
                    f"{path}: nbgrader needs points; head the exercise `### Your turn {number} · 5 min · ★`"
                )
            cell.source += HIDDEN.format(number=number)
            _mark(cell, f"check-{number}", grade=True, locked=True, points=worth[number])
        elif kind := {"setup", "parameters"}.intersection(tags):
            _mark(cell, *kind, locked=True)
    return notebook


def _refuse_stale(notebook: NotebookNode, path: Path, root: Path) -> None:
    fresh, solution = exercise_notebook(read_lesson(path), course_settings(root)), root / "solutions"
    solution /= f"{path.parent.name}.ipynb"
    fill([fresh], printed(read_notebook(solution)) if solution.is_file() else {}, path.with_name("figures.toml"))
    if [cell.source for cell in fresh.cells] != [cell.source for cell in notebook.cells]:
        raise BuildError(f"{path} has changed since its notebook was built: run `coursekit build` first")


def points(notebook: NotebookNode) -> dict[str, int]:
    """Return how many stars stand behind each exercise of a lesson: one is short, three is hard.

    Examples
    --------
    >>> from nbformat.v4 import new_markdown_cell, new_notebook
    >>> points(new_notebook(cells=[new_markdown_cell("### Your turn 1.2 · 10 min · ★★")]))
    {'1.2': 2}
    """
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    return {number: len(stars) for number, stars in _STARS.findall(text)}


def _mark(cell: NotebookNode, grade_id: str, **kinds) -> None:
    """Give a cell nbgrader's metadata, version 3; an identity has no dot, since it becomes part of addresses."""
    plain = {"schema_version": 3, "grade": False, "solution": False, "locked": False, "task": False}
    cell.metadata["nbgrader"] = plain | {"grade_id": grade_id.replace(".", "-")} | kinds
