"""Lessons as pages: each committed solution with its exercises folded, and the table of lessons.

An exercise is shown as a student gets it, then its hints, then its answer, both behind a click, then its check with the
verdict that is stored.
"""

import ast
import copy
import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import nbformat
from docutils import nodes
from docutils.parsers.rst import Directive
from myst_nb.sphinx_ import HideCodeCellNode
from nbformat import NotebookNode

from coursekit.files import read_toml
from coursekit.notebooks import exercise_of, read_notebook, write_notebook

BADGE = re.compile(r"\[!\[([^\]]+)\]\([^)]+\)\]\(([^)]+)\)")


@dataclass(frozen=True)
class Lesson:
    """A committed solution, the exercise notebook beside it, and the source of its hints."""

    root: Path
    stem: str

    @cached_property
    def solution(self) -> NotebookNode:
        return read_notebook(self.root / "solutions" / f"{self.stem}.ipynb")

    @property
    def number(self) -> int:
        return int(self.stem[:2])

    @property
    def title(self) -> str:
        return re.search(r"^# (?:\d+ · )?(.+)$", self.solution.cells[0].source, re.M)[1]

    @property
    def minutes(self) -> str:
        """What the lesson says behind **Time:**, up to the first comma."""
        return re.search(r"\*\*Time:\*\* ([^;,(]+)", self.solution.cells[0].source)[1].strip()

    @property
    def badges(self) -> list[tuple[str, str]]:
        """What its badges say, and where they lead; there are none where the course is published elsewhere."""
        return BADGE.findall(self.solution.cells[0].source)

    @property
    def text(self) -> str:
        return "\n\n".join(cell.source for cell in self.solution.cells if cell.cell_type == "markdown")

    @property
    def code(self) -> str:
        return "\n".join(cell.source for cell in self.solution.cells if cell.cell_type == "code")

    def hints(self) -> dict[str, tuple[str, ...]]:
        """Read the hints of each exercise; nothing is imported, since that would load every framework."""
        path = self.root / "lessons" / self.stem / "exercises.py"
        found = {}
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "exercise":
                (hints,) = (word.value for word in node.keywords if word.arg == "hints")
                found[ast.literal_eval(node.args[0])] = ast.literal_eval(hints)
        return found


def lessons(root: Path) -> list[Lesson]:
    """Return all lessons in their order."""
    return [Lesson(root, path.stem) for path in sorted((root / "solutions").glob("[0-9][0-9]_*.ipynb"))]


def page(lesson: Lesson) -> NotebookNode:
    """Return the notebook that becomes the page of a lesson."""
    exercises = read_notebook(lesson.root / "notebooks" / f"{lesson.stem}.ipynb")
    asked = {exercise_of(cell): cell for cell in exercises.cells if "exercise" in cell.metadata.get("tags", [])}
    hints, cells = lesson.hints(), []
    for cell in copy.deepcopy(lesson.solution.cells):
        if "setup" in cell.metadata.get("tags", []):
            fold(cell, "Show the set-up cell", "Hide the set-up cell")
        elif "exercise" in cell.metadata.get("tags", []):
            number = exercise_of(cell)
            cells += [nbformat.v4.new_code_cell(asked[number].source), *folded_hints(hints[number])]
            fold(cell, f"Show the answer to {number}", f"Hide the answer to {number}")
        for output in cell.get("outputs", []):
            if alt := output.get("metadata", {}).get("image/png", {}).get("alt"):
                cell.metadata.setdefault("mystnb", {})["image"] = {"alt": alt}
        cells.append(cell)
    cells[0].source = BADGE.sub(r"[\1](\2){.launch}", cells[0].source) + downloads(lesson)
    return nbformat.v4.new_notebook(cells=cells, metadata=lesson.solution.metadata)


def fold(cell: NotebookNode, show: str, hide: str) -> None:
    """Let the page show a code cell only when it is asked to."""
    cell.metadata.tags = [*cell.metadata.tags, "hide-input"]
    cell.metadata.mystnb = {"code_prompt_show": show, "code_prompt_hide": hide}


def folded_hints(hints: tuple[str, ...]) -> Iterator[NotebookNode]:
    """Each hint in a fold of its own, as `hint` gives one after the other."""
    for i, hint in enumerate(hints, 1):
        head = f'<details class="hint">\n<summary>Hint {i} of {len(hints)}</summary>'
        yield nbformat.v4.new_markdown_cell(f"{head}\n\n{hint}\n\n</details>")


def downloads(lesson: Lesson) -> str:
    """Links to both notebooks, which the book brings along."""
    name = f"{lesson.stem}.ipynb"
    return (
        f"\n\n**Notebooks:** download [the exercises](<path:../../notebooks/{name}>) to work in, "
        f"and [the solution](<path:../../solutions/{name}>) to compare with."
    )


def write_pages(app) -> None:
    """Write the pages of all lessons before Sphinx looks for its sources."""
    folder = Path(app.srcdir) / "lessons"
    folder.mkdir(exist_ok=True)
    pages = {folder / f"{lesson.stem}.ipynb": page(lesson) for lesson in lessons(app.root)}
    for path in {*folder.glob("*.ipynb")} - pages.keys():
        path.unlink()
    for path, notebook in pages.items():
        write_notebook(notebook, path)


class LessonTable(Directive):
    """The table of lessons on the first page."""

    def run(self) -> list[nodes.Node]:
        found = lessons(self.state.document.settings.env.app.root)
        more = (" exercises in |", "---|") if found[0].badges else ("", "")
        rows = [f"| no. | lesson | time |{more[0]}", f"|---|---|---|{more[1]}"]
        for lesson in found:
            places = " · ".join(f"[{name.split()[-1]}]({link})" for name, link in lesson.badges)
            time = lesson.minutes.replace(" minutes", "\u00a0min")
            row = f"| {lesson.number} | [{lesson.title}](lessons/{lesson.stem}.ipynb) | {time} |"
            rows.append(f"{row} {places} |" if places else row)
        return markdown(self, rows)


class Begin(Directive):
    """How to begin with the first lesson: in the browser, and on one's own machine."""

    def run(self) -> list[nodes.Node]:
        root = self.state.document.settings.env.app.root
        address, lines = read_toml(root / "course.toml")["repository"], []
        if badges := lessons(root)[0].badges:
            lines += ["**In the browser**, with nothing to install: open lesson 1, and run its first cell.", ""]
            lines += [" ".join(f"[{name}]({link}){{.launch}}" for name, link in badges), ""]
        lines += ["**On your own machine**, with Python 3.11, 3.12 or 3.13, git and make:", "", "```console"]
        lines += [f"git clone {address}.git", f"cd {address.rsplit('/', 1)[-1]}", "make lab", "```"]
        return markdown(self, lines)


def markdown(directive: Directive, lines: list[str]) -> list[nodes.Node]:
    """Return what a directive has written in Markdown."""
    box = nodes.container()
    directive.state.nested_parse("\n".join(lines).splitlines(), directive.content_offset, box)
    return box.children


def visit_fold(translator, node) -> None:
    """As MyST-NB does, but with the visible words as the name that is read aloud."""
    show, hide = (html.escape(node[f"prompt_{what}"]) for what in ("show", "hide"))
    translator.body.append(
        f'<details class="answer"><summary><span class="collapsed">{show}</span>'
        f'<span class="expanded">{hide}</span></summary>\n'
    )


def setup(app) -> None:
    """Pages before the sources are looked for, what the first page says of the lessons, and folds."""
    app.connect("builder-inited", write_pages)
    app.add_directive("lessons", LessonTable)
    app.add_directive("begin", Begin)
    depart = lambda translator, node: translator.body.append("</details>\n")  # noqa: E731
    app.add_node(HideCodeCellNode, override=True, html=(visit_fold, depart))
