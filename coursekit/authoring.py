"""From the lessons' source to notebooks.

``lessons/NN_slug.py`` (jupytext percent format, cell tags as in CONTRIBUTING.md) becomes ``notebooks/NN_slug.ipynb``,
the exercises without outputs, and ``solutions/NN_slug.ipynb``, which `coursekit.building` executes. The text of both
depends on the source and ``course.toml`` alone.
"""

import ast
import difflib
import hashlib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import jupytext
import nbformat
from nbformat import NotebookNode

__all__ = [
    "KERNEL",
    "BuildError",
    "Lesson",
    "course_settings",
    "exercise_notebook",
    "expected_words",
    "find_root",
    "read_lesson",
    "readme",
    "select",
    "solution_notebook",
    "verdicts",
    "wrong_notebook",
]

_BEGIN = re.compile(r"^( *)### BEGIN SOLUTION(?: -> (.+))?$")
_END = re.compile(r"^ *### END SOLUTION$")
_EXERCISE = re.compile(r"ex-(\d+\.\d+)")
_TAGS = {"setup", "parameters", "exercise", "check", "solution", "wrong"}
KERNEL = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}

_SETUP = """\
# Finds the package of the course or, as on Colab, installs it and leaves every version that is already here as it is.
import importlib.util

if importlib.util.find_spec("coursekit") is None:
    import re, subprocess, sys, tempfile
    from importlib.metadata import distributions

    with tempfile.NamedTemporaryFile("w", suffix=".txt", delete=False) as pins:
        here = {{d.metadata["Name"]: d.version for d in reversed(list(distributions()))}}
        pins.write("\\n".join(f"{{n}}=={{v}}" for n, v in here.items() if n and re.fullmatch(r"\\d[\\w.+!]*", v or "")))
    package = "coursekit[simulate] @ git+{repository}@{tag}"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--constraint", pins.name, package]
    if (done := subprocess.run(pip, capture_output=True, text=True)).returncode:
        raise RuntimeError(f"coursekit could not be installed from {repository}:\\n{{done.stderr}}")
    importlib.invalidate_caches()

"""


class BuildError(ValueError):
    """A lesson cannot be built; the message names the file, what was expected and what came."""


@dataclass(frozen=True)
class Lesson:
    """A lesson's source, read and checked.

    Attributes
    ----------
    path : pathlib.Path
        ``lessons/NN_slug.py``.
    title : str
        Its first heading.
    time : str
        What the text says behind ``**Time:**``.
    cells : list of NotebookNode
        As written, tags in ``cell.metadata["tags"]``.
    """

    path: Path
    title: str
    time: str
    cells: list[NotebookNode]

    @property
    def stem(self) -> str:
        return self.path.stem

    @property
    def exercises(self) -> list[str]:
        return [_number(cell) for cell in self.cells if "exercise" in _tags(cell)]

    @property
    def parameters(self) -> dict[str, object]:
        """Names and default values of the parameters cell."""
        source = next(cell.source for cell in self.cells if "parameters" in _tags(cell))
        assigned = [node for node in ast.parse(source).body if isinstance(node, ast.Assign | ast.AnnAssign)]
        names = [node.target if isinstance(node, ast.AnnAssign) else node.targets[0] for node in assigned]
        return {name.id: ast.literal_eval(node.value) for name, node in zip(names, assigned, strict=True)}


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
    sources = sorted((root / "lessons").glob("[0-9][0-9]_*.py"))
    if not sources:
        raise BuildError(f"{root / 'lessons'} holds no NN_slug.py")
    by_name = {}
    for path in sources:
        number, slug = path.stem.split("_", 1)
        by_name |= dict.fromkeys((path.stem, number, number.lstrip("0"), slug), path)
    chosen = []
    for name in names:
        if name not in by_name:
            raise BuildError(
                f"there is no lesson {name!r};{near(name, by_name)} there are "
                f"{', '.join(path.stem for path in sources)}"
            )
        chosen.append(by_name[name])
    return sorted(set(chosen)) or sources


def read_lesson(path: Path) -> Lesson:
    """Read a lesson's source and check its form.

    Parameters
    ----------
    path : pathlib.Path
        ``lessons/NN_slug.py``.

    Raises
    ------
    BuildError
        For a file that is not a lesson: unknown tags, an exercise without its check or without three wrong answers,
        unbalanced markers, no title, no setup or parameters cell.
    """
    if not path.is_file():
        raise BuildError(f"{path} does not exist")
    cells = jupytext.read(path, fmt="py:percent").cells
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    title = re.search(r"^# (.+)$", text, re.M)
    minutes = re.search(r"\*\*Time:\*\* (.+?)\.?$", text, re.M)
    if not title or not minutes:
        raise BuildError(f"{path}: the text needs a heading `# ...` and a line `**Time:** ...`")
    if not cells or "<!-- badges -->" not in cells[0].source:
        raise BuildError(f"{path}: the first cell needs a line `<!-- badges -->`")
    for tag in ("setup", "parameters"):
        if (found := sum(tag in _tags(cell) for cell in cells)) != 1:
            raise BuildError(f"{path}: expected one cell tagged {tag!r}, found {found}")
    for cell in cells:
        unknown = {tag for tag in _tags(cell) if tag not in _TAGS and not _EXERCISE.fullmatch(tag)}
        if unknown:
            raise BuildError(
                f"{path}: unknown tag {sorted(unknown)[0]!r};{near(min(unknown), _TAGS)} "
                f"known are {', '.join(sorted(_TAGS))} and ex-N.M"
            )
        if {"exercise", "check", "wrong"} & _tags(cell) and not _number(cell):
            raise BuildError(f"{path}: this cell needs a tag ex-N.M: {cell.source[:60]!r}")
        if "wrong" in _tags(cell) and not cell.source.startswith("# expect: "):
            raise BuildError(
                f"{path}: a wrong answer of {_number(cell)} must begin with `# expect: words of the message`"
            )
    numbers = [_number(cell) for cell in cells if "exercise" in _tags(cell)]
    for number in numbers:
        count = {
            kind: sum(_number(c) == number and kind in _tags(c) for c in cells)
            for kind in ("exercise", "check", "wrong")
        }
        if count["exercise"] != 1 or count["check"] != 1 or count["wrong"] < 3:
            raise BuildError(
                f"{path}: exercise {number} has {count['exercise']} exercise, {count['check']} check and "
                f"{count['wrong']} wrong cells, expected 1, 1 and at least 3"
            )
    for cell in cells:
        if "exercise" in _tags(cell):
            _strip(cell.source, path)
    return Lesson(path, title[1].strip(), minutes[1].strip(), cells)


def course_settings(root: Path) -> dict[str, str]:
    """Read ``course.toml``.

    Raises
    ------
    BuildError
        When it lacks title, repository or tag.
    """
    settings = tomllib.loads((root / "course.toml").read_text())
    if missing := {"title", "repository", "tag"} - settings.keys():
        raise BuildError(f"{root / 'course.toml'} lacks {', '.join(sorted(missing))}")
    return settings


# --- the four forms of a lesson ---------------------------------------------------------------------------------------


def exercise_notebook(lesson: Lesson, settings: Mapping[str, str]) -> NotebookNode:
    """Return the notebook that students get: answers replaced by three dots, no solution cells, no outputs."""
    cells = []
    for cell in lesson.cells:
        if not {"solution", "wrong"} & _tags(cell):
            source = _strip(cell.source, lesson.path) if "exercise" in _tags(cell) else cell.source
            cells.append(_cell(cell, source, lesson, settings))
    return _notebook(cells)


def solution_notebook(lesson: Lesson, settings: Mapping[str, str]) -> NotebookNode:
    """Return the notebook with the answers, not yet executed."""
    cells = []
    for cell in lesson.cells:
        if "wrong" not in _tags(cell):
            lines = [line for line in cell.source.split("\n") if not _BEGIN.match(line) and not _END.match(line)]
            cells.append(_cell(cell, "\n".join(lines), lesson, settings))
    return _notebook(cells)


def wrong_notebook(lesson: Lesson, settings: Mapping[str, str]) -> NotebookNode:
    """Return the notebook of a student who errs: each wrong answer of each exercise in turn, followed by the check.

    Cells on which no answer or check depends, long trainings among them, are left out.
    """
    checks = {_number(cell): cell for cell in lesson.cells if "check" in _tags(cell)}
    cells = []
    for cell in lesson.cells:
        if "wrong" in _tags(cell):
            cells.append(_cell(cell, cell.source, lesson, settings))
            cells.append(_cell(checks[_number(cell)], checks[_number(cell)].source, lesson, settings))
        elif not {"solution", "exercise", "check"} & _tags(cell):
            cells.append(_cell(cell, cell.source, lesson, settings))
    return _notebook(_that_matter(cells, {"setup", "parameters", "wrong", "check"}))


def verdicts(notebook: NotebookNode) -> dict[str, list[str]]:
    """Return what each check of an executed notebook printed, by exercise."""
    found: dict[str, list[str]] = {}
    for cell in notebook.cells:
        if "check" in _tags(cell):
            text = "".join(out.text for out in cell.outputs if out.output_type == "stream" and out.name == "stdout")
            found.setdefault(_number(cell), []).append(text)
    return found


def expected_words(lesson: Lesson) -> dict[str, list[str]]:
    """Return, by exercise, the words that the message to each wrong answer must contain."""
    found: dict[str, list[str]] = {}
    for cell in lesson.cells:
        if "wrong" in _tags(cell):
            found.setdefault(_number(cell), []).append(cell.source.split("\n")[0].removeprefix("# expect: "))
    return found


def readme(root: Path) -> str:
    """Return README.md with the table of lessons written from their sources and ``course.toml``."""
    settings = course_settings(root)
    rows = ["| | lesson | time | |", "|---|---|---|---|"]
    for path in select(root):
        lesson = read_lesson(path)
        links = f"[exercises](notebooks/{path.stem}.ipynb) · [solution](solutions/{path.stem}.ipynb)"
        title = lesson.title.split(" · ", 1)[-1]
        rows.append(f"| {path.stem[:2]} | **{title}**<br>{links} | {lesson.time} | {_badges(path.stem, settings)} |")
    text = (root / "README.md").read_text()
    begin, end = "<!-- lessons: written by `coursekit build` -->", "<!-- end of lessons -->"
    if begin not in text or end not in text:
        raise BuildError(f"{root / 'README.md'} needs the lines {begin!r} and {end!r} round the table of lessons")
    head, rest = text.split(begin, 1)
    return f"{head}{begin}\n" + "\n".join(rows) + f"\n{end}{rest.split(end, 1)[1]}"


# --- inside -----------------------------------------------------------------------------------------------------------


def _tags(cell: NotebookNode) -> set[str]:
    return set(cell.metadata.get("tags", []))


def _number(cell: NotebookNode) -> str:
    return next((found[1] for tag in _tags(cell) if (found := _EXERCISE.fullmatch(tag))), "")


def _that_matter(cells: list[NotebookNode], always: set[str]) -> list[NotebookNode]:
    """Return the cells with one of some tags, and those that make, or change, what they use."""
    kept, wanted = [], set()
    cells = [cell for cell in cells if cell.cell_type == "code"]
    imports = [node for cell in cells for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.alias)]
    imports = {(node.asname or node.name).split(".")[0] for node in imports}  # np.seterr() does not change np
    for cell in reversed(cells):
        made, changed, used = _names(cell.source)
        changed -= imports
        if _tags(cell) & always or (made | changed) & wanted:
            kept.insert(0, cell)
            wanted = (wanted - made) | used
    return kept


def _names(source: str) -> tuple[set[str], set[str], set[str]]:
    """Return the names that a cell binds, those whose content it changes (``a[0] = 1``, ``a.append(1)``), and needs."""
    made, changed, used = set(), set(), set()
    for statement in ast.parse(source).body:
        bound, needed, arguments, touched = set(), set(), set(), set()
        for node in ast.walk(statement):
            if isinstance(node, ast.Name):
                (needed if isinstance(node.ctx, ast.Load) else bound).add(node.id)
            elif isinstance(node, ast.FunctionDef | ast.ClassDef):
                bound.add(node.name)
            elif isinstance(node, ast.arg):
                arguments.add(node.arg)
            elif isinstance(node, ast.alias):
                bound.add((node.asname or node.name).split(".")[0])
            elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
                touched.add(_owner(node.value.func))
            elif isinstance(node, ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load):
                touched.add(_owner(node))
        if not isinstance(statement, ast.Assign | ast.AugAssign | ast.AnnAssign):
            needed, touched = needed - bound, touched - bound  # of a loop, a with or a comprehension
        used |= needed - arguments - made
        changed |= touched - made
        made |= bound
    return made, changed - {None}, used


def _owner(node: ast.expr) -> str | None:
    """Return ``a`` for ``a.b[0].c``; nothing for a plain name or a call."""
    plain = isinstance(node, ast.Name)
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) and not plain else None


def _strip(source: str, path: Path) -> str:
    """Replace each marked region by three dots, or by ``name = ...`` for the names behind ``->``."""
    kept, inside = [], False
    for line in source.split("\n"):
        begin = _BEGIN.match(line)
        if begin and not inside:
            inside = True
            indent, names = begin[1], begin[2]
            kept += [f"{indent}{name.strip()} = ..." for name in names.split(",")] if names else [f"{indent}..."]
        elif _END.match(line) and inside:
            inside = False
        elif begin or _END.match(line):
            raise BuildError(f"{path}: BEGIN SOLUTION and END SOLUTION do not pair in {source[:60]!r}")
        elif not inside:
            kept.append(line)
    if inside or "### BEGIN SOLUTION" not in source:
        raise BuildError(f"{path}: an exercise needs a region from BEGIN SOLUTION to END SOLUTION: {source[:60]!r}")
    return "\n".join(kept)


def _cell(cell: NotebookNode, source: str, lesson: Lesson, settings: Mapping[str, str]) -> NotebookNode:
    if "setup" in _tags(cell):
        source = _SETUP.format(repository=settings["repository"], tag=settings["tag"]) + source
    if cell.cell_type == "markdown":
        source = source.replace("<!-- badges -->", _badges(lesson.stem, settings))
        new = nbformat.v4.new_markdown_cell(source)
    else:
        new = nbformat.v4.new_code_cell(source)
    if tags := cell.metadata.get("tags"):
        new.metadata["tags"] = list(tags)
    return new


def _badges(stem: str, settings: Mapping[str, str]) -> str:
    repository = re.fullmatch(r"https://github\.com/([^/]+/[^/]+?)(?:\.git)?/?", settings["repository"])
    if not repository:  # Colab and Binder open notebooks from GitHub only
        return ""
    where, path = f"{repository[1]}/blob/{settings['tag']}", f"notebooks/{stem}.ipynb"
    colab = f"https://colab.research.google.com/github/{where}/{path}"
    binder = f"https://mybinder.org/v2/gh/{repository[1]}/{settings['tag']}?labpath={quote(path, safe='')}"
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


def near(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f" did you mean {near[0]!r}?" if near else ""
