"""From the lessons' source to notebooks.

``lessons/NN_slug/lesson.py`` (jupytext percent format, cell tags as in CONTRIBUTING.md) becomes
``notebooks/NN_slug.ipynb``, the exercises without outputs, and, with the answers of ``exercises.py`` beside it,
``solutions/NN_slug.ipynb``, which `coursekit.building` executes. The text of both depends on these, the drawings in the
folder (`coursekit.schemas`) and ``course.toml``; the marks in it (`coursekit.prose`) are filled after the execution.
"""

import ast
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import jupytext
import nbformat
from nbformat import NotebookNode

from coursekit.answers import BuildError, answered, parsed
from coursekit.files import read_toml
from coursekit.notebooks import EXERCISE, exercise_of
from coursekit.schemas import embedded
from coursekit.words import near

__all__ = [
    "KEPT",
    "KERNEL",
    "BuildError",
    "Lesson",
    "course_settings",
    "exercise_notebook",
    "find_root",
    "read_lesson",
    "readme",
    "select",
    "solution_notebook",
    "verdicts",
]

_TAGS = {"setup", "parameters", "exercise", "check", "solution"}
KERNEL = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}

_SETUP = """\
# @title Set-up: finds the package of the course or, as on Colab, installs it; versions that are already here stay.
import importlib.util

if importlib.util.find_spec("coursekit") is None:
    import re, subprocess, sys, tempfile
    from importlib.metadata import distributions

    with tempfile.NamedTemporaryFile("w", suffix=".txt", delete=False) as pins:
        here = {{d.metadata["Name"]: d.version for d in reversed(list(distributions()))}}
        pins.write("\\n".join(f"{{n}}=={{v}}" for n, v in here.items() if n and re.fullmatch(r"\\d[\\w.+!]*", v or "")))
    package = "coursekit[{extras}] @ git+{repository}@{tag}"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--constraint", pins.name, package]
    if (done := subprocess.run(pip, capture_output=True, text=True)).returncode:
        raise RuntimeError(f"coursekit could not be installed from {repository}:\\n{{done.stderr}}")
    importlib.invalidate_caches()

"""
#: What a lesson that imports these installs besides.
_EXTRAS = {"coursekit.export": "export", "coursekit.study": "studies"}
#: The metadata of a cell that an executed notebook keeps.
KEPT = ("tags", "cellView", "jupyter")
#: Folds the set-up away in Colab and in JupyterLab: seventeen lines of pip would frighten a beginner.
_FOLDED = {"cellView": "form", "jupyter": {"source_hidden": True}}


@dataclass(frozen=True)
class Lesson:
    """A lesson's source, read and checked.

    Attributes
    ----------
    path : pathlib.Path
        ``lessons/NN_slug/lesson.py``.
    title : str
        Its first heading.
    time : str
        What the text says behind ``**Time:**``, minutes first.
    cells : list of NotebookNode
        As written, tags in ``cell.metadata["tags"]``.
    """

    path: Path
    title: str
    time: str
    cells: list[NotebookNode]

    @property
    def stem(self) -> str:
        return self.path.parent.name

    @property
    def minutes(self) -> int:
        """Which a student takes for it, breaks not counted."""
        return int(self.time.split()[0])

    @property
    def seconds(self) -> int:
        """For which its solution runs on two quiet cores, as the line on the time says; 0 where it does not."""
        stated = re.search(r"runs in about (\d+) seconds", self.time)
        return int(stated[1]) if stated else 0

    @property
    def exercises(self) -> list[str]:
        return [exercise_of(cell) for cell in self.cells if "exercise" in _tags(cell)]

    @property
    def parameters(self) -> dict[str, object]:
        """Names and default values of the parameters cell."""
        source = next(cell.source for cell in self.cells if "parameters" in _tags(cell))
        body = parsed(source, self.path).body
        assigned = [node for node in body if isinstance(node, ast.Assign | ast.AnnAssign)]
        names = [node.target if isinstance(node, ast.AnnAssign) else node.targets[0] for node in assigned]
        try:
            return {name.id: ast.literal_eval(node.value) for name, node in zip(names, assigned, strict=True)}
        except (AttributeError, ValueError):
            raise BuildError(f"{self.path}: a parameter is NAME = VALUE, the value written out: {source!r}") from None


# --- reading ----------------------------------------------------------------------------------------------------------


def find_root(start: Path | None = None) -> Path:
    """Return the nearest folder upwards that holds ``course.toml``.

    Parameters
    ----------
    start : pathlib.Path, optional
        Where to begin; by default the current folder, then the folder that the package lies in.

    Raises
    ------
    BuildError
        When there is none: lessons are built in a clone of the course.
    """
    for origin in [start] if start else [Path.cwd(), Path(__file__)]:
        for folder in (origin.resolve(), *origin.resolve().parents):
            if (folder / "course.toml").is_file() and (folder / "lessons").is_dir():
                return folder
    raise BuildError(
        f"no course.toml in {start or Path.cwd()} or above: run this in a clone of the course, or name it with --root"
    )


def select(root: Path, names: Iterable[str] = ()) -> list[Path]:
    """Return the sources of the named lessons, all of them for no name.

    Parameters
    ----------
    root : pathlib.Path
        The clone of the course.
    names : iterable of str
        ``"1"``, ``"01"``, ``"reading"`` or ``"01_reading"``.

    Raises
    ------
    BuildError
        For a name that fits no lesson.
    """
    sources = sorted((root / "lessons").glob("[0-9][0-9]_*/lesson.py"))
    if not sources:
        raise BuildError(f"{root / 'lessons'} holds no NN_slug/lesson.py")
    by_name = {}
    for path in sources:
        number, slug = path.parent.name.split("_", 1)
        by_name |= dict.fromkeys((path.parent.name, number, number.lstrip("0"), slug), path)
    chosen = []
    for name in names:
        if name not in by_name:
            raise BuildError(
                f"there is no lesson {name!r};{near(name, by_name)} there are "
                f"{', '.join(path.parent.name for path in sources)}"
            )
        chosen.append(by_name[name])
    return sorted(set(chosen)) or sources


def read_lesson(path: Path) -> Lesson:
    """Read a lesson's source and check its form.

    Parameters
    ----------
    path : pathlib.Path
        ``lessons/NN_slug/lesson.py``.

    Raises
    ------
    BuildError
        For a file that is not a lesson: unknown tags, an exercise without its check or its answer, no title, no setup
        or parameters cell.
    """
    if not path.is_file():
        raise BuildError(f"{path} does not exist")
    try:
        cells = jupytext.reads(path.read_text(encoding="utf-8"), fmt="py:percent").cells
    except UnicodeDecodeError as error:
        raise BuildError(f"{path} is not written in UTF-8: {error}") from None
    for cell in cells:
        if "exercise" in _tags(cell):  # a formatter of Python writes `def f(x): ...`; a student writes below the head
            cell.source = re.sub(r"^( *)((?:def |\)).*:) \.\.\.$", r"\1\2\n\1    ...", cell.source, flags=re.M)
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    title = re.search(r"^# (.+)$", text, re.M)
    minutes = re.search(r"\*\*Time:\*\* (\d+ minutes.*?)\.?$", text, re.M)
    if not title or not minutes:
        raise BuildError(f"{path}: the text needs a heading `# ...` and a line `**Time:** 60 minutes...`")
    if "{{" in title[1] + minutes[1]:
        raise BuildError(
            f"{path}: the heading and the line on the time stand in README.md, too, and take no {{{{marks}}}}"
        )
    if not cells or "<!-- badges -->" not in cells[0].source:
        raise BuildError(f"{path}: the first cell needs a line `<!-- badges -->`")
    _check_tags(path, cells)
    lesson = Lesson(path, title[1].strip(), minutes[1].strip(), cells)
    for cell in cells:
        if "exercise" in _tags(cell):
            answered(cell.source, exercise_of(cell), path)
    return lesson


def _check_tags(path: Path, cells: list[NotebookNode]) -> None:
    for tag in ("setup", "parameters"):
        if (found := sum(tag in _tags(cell) for cell in cells)) != 1:
            raise BuildError(f"{path}: expected one cell tagged {tag!r}, found {found}")
    for cell in cells:
        unknown = {tag for tag in _tags(cell) if tag not in _TAGS and not EXERCISE.fullmatch(tag)}
        if unknown:
            raise BuildError(
                f"{path}: unknown tag {sorted(unknown)[0]!r};{near(min(unknown), _TAGS)} "
                f"known are {', '.join(sorted(_TAGS))} and ex-N.M"
            )
        if {"exercise", "check"} & _tags(cell) and not exercise_of(cell):
            raise BuildError(f"{path}: this cell needs a tag ex-N.M: {cell.source[:60]!r}")
        if "check" in _tags(cell) and f'check("{exercise_of(cell)}"' not in cell.source:
            raise BuildError(
                f"{path}: the check cell of {exercise_of(cell)} checks another exercise: {cell.source[:50]!r}"
            )
        if "setup" in _tags(cell) and f'setup("{path.parent.name[:2]}")' not in cell.source:
            raise BuildError(f'{path}: the setup cell needs a line WORK = setup("{path.parent.name[:2]}")')
    for number in {exercise_of(cell) for cell in cells} - {""}:
        count = [sum(exercise_of(c) == number and kind in _tags(c) for c in cells) for kind in ("exercise", "check")]
        if count != [1, 1]:
            raise BuildError(
                f"{path}: exercise {number} has {count[0]} exercise and {count[1]} check cells, expected 1 and 1"
            )


def course_settings(root: Path) -> dict[str, str]:
    """Read ``course.toml``.

    Raises
    ------
    BuildError
        When it lacks title, repository or tag, or one is no text.
    """
    settings = read_toml(root / "course.toml")
    if missing := {"title", "repository", "tag"} - settings.keys():
        raise BuildError(f"{root / 'course.toml'} lacks {', '.join(sorted(missing))}")
    if wrong := [name for name, value in settings.items() if not isinstance(value, str)]:
        raise BuildError(f"{root / 'course.toml'}: {wrong[0]} must be a text in quotes, got {settings[wrong[0]]!r}")
    return settings


# --- the two forms of a lesson ----------------------------------------------------------------------------------------


def exercise_notebook(lesson: Lesson, settings: Mapping[str, str]) -> NotebookNode:
    """Return the notebook that students get: three dots for each answer, no solution cells, no outputs."""
    return _notebook(
        [_cell(cell, cell.source, lesson, settings) for cell in lesson.cells if "solution" not in _tags(cell)]
    )


def solution_notebook(lesson: Lesson, settings: Mapping[str, str]) -> NotebookNode:
    """Return the notebook with the answers, not yet executed."""
    return _notebook(
        [
            _cell(
                cell,
                answered(cell.source, exercise_of(cell), lesson.path) if "exercise" in _tags(cell) else cell.source,
                lesson,
                settings,
            )
            for cell in lesson.cells
        ]
    )


def verdicts(notebook: NotebookNode) -> dict[str, list[str]]:
    """Return what each check of an executed notebook printed, by exercise."""
    found: dict[str, list[str]] = {}
    for cell in notebook.cells:
        if "check" in _tags(cell):
            text = "".join(out.text for out in cell.outputs if out.output_type == "stream" and out.name == "stdout")
            found.setdefault(exercise_of(cell), []).append(text)
    return found


def readme(root: Path) -> str:
    """Return README.md with the table of lessons written from their sources and ``course.toml``."""
    settings = course_settings(root)
    rows = ["| | lesson | time | |", "|---|---|---|---|"]
    for path in select(root):
        lesson = read_lesson(path)
        stem = lesson.stem
        links = f"[exercises](notebooks/{stem}.ipynb) · [solution](solutions/{stem}.ipynb)"
        title = lesson.title.split(" · ", 1)[-1]
        rows.append(f"| {stem[:2]} | **{title}**<br>{links} | {lesson.minutes} min | {_badges(stem, settings)} |")
    if repository := _on_github(settings):
        owner, name = repository.split("/")
        rows.append(f"| | [All of it as a book, with search](https://{owner}.github.io/{name}/) | | |")
    text = (root / "README.md").read_text(encoding="utf-8")
    begin, end = "<!-- lessons: written by `coursekit build` -->", "<!-- end of lessons -->"
    if begin not in text or end not in text:
        raise BuildError(f"{root / 'README.md'} needs the lines {begin!r} and {end!r} round the table of lessons")
    head, rest = text.split(begin, 1)
    return f"{head}{begin}\n" + "\n".join(rows) + f"\n{end}{rest.split(end, 1)[1]}"


# --- inside -----------------------------------------------------------------------------------------------------------


def _tags(cell: NotebookNode) -> set[str]:
    return set(cell.metadata.get("tags", []))


def _cell(cell: NotebookNode, source: str, lesson: Lesson, settings: Mapping[str, str]) -> NotebookNode:
    if "setup" in _tags(cell):
        text = "".join(other.source for other in lesson.cells)
        # A hundred megabytes each, and one lesson alone needs them.
        extras = ",".join(["simulate", *(extra for module, extra in _EXTRAS.items() if module in text)])
        source = _SETUP.format(extras=extras, repository=settings["repository"], tag=settings["tag"]) + source
    if cell.cell_type == "markdown":
        source = embedded(source, lesson.path).replace("<!-- badges -->", _badges(lesson.stem, settings))
        new = nbformat.v4.new_markdown_cell(source)
    else:
        new = nbformat.v4.new_code_cell(source)
    if tags := cell.metadata.get("tags"):
        new.metadata["tags"] = list(tags)
    if "setup" in _tags(cell):
        new.metadata.update(_FOLDED)
    return new


def _on_github(settings: Mapping[str, str]) -> str:
    """Return owner and name of the repository; nothing if it lies elsewhere."""
    found = re.fullmatch(r"https://github\.com/([^/]+/[^/]+?)(?:\.git)?/?", settings["repository"])
    return found[1] if found else ""


def _badges(stem: str, settings: Mapping[str, str]) -> str:
    if not (repository := _on_github(settings)):  # Colab and Binder open notebooks from GitHub only
        return ""
    where, path = f"{repository}/blob/{settings['tag']}", f"notebooks/{stem}.ipynb"
    colab = f"https://colab.research.google.com/github/{where}/{path}"
    binder = f"https://mybinder.org/v2/gh/{repository}/{settings['tag']}?labpath={quote(path, safe='')}"
    return (
        f"[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({colab}) "
        f"[![Open in Binder](https://mybinder.org/badge_logo.svg)]({binder})"
    )


def _notebook(cells: list[NotebookNode]) -> NotebookNode:
    seen: dict[str, int] = {}
    for cell in cells:
        text = f"{cell.cell_type} {cell.source}"
        seen[text] = seen.get(text, 0) + 1
        cell.id = hashlib.sha256(f"{text} {seen[text]}".encode()).hexdigest()[:8]
    return nbformat.v4.new_notebook(cells=cells, metadata=KERNEL)
