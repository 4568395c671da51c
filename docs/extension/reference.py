"""The reference of the package: a page for each module, and the lessons that use each name."""

import ast
import importlib
import re
import types
from collections import defaultdict
from functools import cache
from pathlib import Path

from docutils.parsers.rst import Directive
from sphinx.ext.autodoc.mock import _MockObject, mock

from extension.lessons import Lesson, lessons, markdown

# An annotation such as `torch.device | str` is computed when a module is imported, and Sphinx's stand-ins know no `|`.
_MockObject.__or__ = _MockObject.__ror__ = lambda self, other: self


def imports(lesson: Lesson) -> set[tuple[str, str]]:
    """Return module and name of what a lesson takes from the package."""
    found, modules = set(), {}
    tree = ast.parse(lesson.code)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "coursekit":
            found |= {(node.module, alias.name) for alias in node.names}
    for module, name in list(found):
        if (lesson.root.joinpath(*module.split("."), name).with_suffix(".py")).is_file():
            modules[name] = f"{module}.{name}"
            found.remove((module, name))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
            found.add((modules[node.value.id], node.attr))
    return found


def home(thing: object, otherwise: str) -> str:
    """Return where a function or class was written, under whatever name it was imported."""
    return f"{thing.__module__}.{thing.__qualname__}" if hasattr(thing, "__qualname__") else otherwise


@cache
def users(root: Path, mocked: tuple[str, ...]) -> dict[str, dict]:
    """Return the names that lessons use, by home: as what they are imported, their first sentence, and by whom."""
    found = defaultdict(lambda: {"lessons": []})
    with mock(list(mocked)):
        for lesson in lessons(root):
            for module, name in sorted(imports(lesson)):
                thing = getattr(importlib.import_module(module), name)
                row = found[home(thing, f"{module}.{name}")]
                row |= {"module": module, "name": name, "about": _about(thing)}
                if lesson not in row["lessons"]:
                    row["lessons"].append(lesson)
    return dict(found)


def _about(thing: object) -> str:
    if not isinstance(thing, type | types.FunctionType):
        return ""
    return " ".join((thing.__doc__ or "").strip().split("\n\n")[0].split())


def modules(root: Path, used: dict[str, dict]) -> list[str]:
    """Return the modules of the package, and what lies deeper where a lesson imports from it."""
    package = root / "coursekit"
    top = {"coursekit"} | {f"coursekit.{path.stem}" for path in package.glob("[!_]*.py")}
    top |= {f"coursekit.{path.parent.name}" for path in package.glob("*/__init__.py")}
    return sorted(top | {row["module"] for row in used.values()})


def write_pages(app) -> None:
    """Write a page for each module before Sphinx looks for its sources."""
    folder = Path(app.srcdir) / "reference"
    folder.mkdir(exist_ok=True)
    pages = {}
    for name in modules(app.root, users(app.root, tuple(app.config.autodoc_mock_imports))):
        pages[folder / f"{name}.rst"] = f"{name}\n{'=' * len(name)}\n\n.. automodule:: {name}\n   :members:\n"
    for path in {*folder.glob("*.rst")} - pages.keys():
        path.unlink()
    for path, text in pages.items():
        path.write_text(text, encoding="utf-8", newline="\n")


def add_lessons(app, what, name, thing, options, lines: list[str]) -> None:
    """Say below a docstring which lessons use the thing; a line that begins with an initial is no list."""
    lines[:] = [re.sub(r"^(\s*)([A-Z]\. )", r"\1\\\2", line) for line in lines]
    row = users(app.root, tuple(app.config.autodoc_mock_imports)).get(home(thing, name))
    if row and what != "module":
        links = ", ".join(f":doc:`{lesson.number} </lessons/{lesson.stem}>`" for lesson in row["lessons"])
        lines += ["", f"**Used in lesson{'s' * (len(row['lessons']) > 1)}** {links}.", ""]


def leave_out(app, what, name, thing, skip: bool, options) -> bool | None:
    """Leave out the fields of named tuples, whose class says what they are, and the texts of whole files."""
    field = str(getattr(thing, "__doc__", "")).startswith("Alias for field number")
    return True if field or (isinstance(thing, str) and "\n" in thing) else None


class UsedTable(Directive):
    """The table of what the lessons take from the package."""

    def run(self):
        app = self.state.document.settings.env.app
        found = users(app.root, tuple(app.config.autodoc_mock_imports)).values()
        rows, module = ["| name | what it does | lessons |", "|---|---|---|"], None
        for row in sorted(found, key=lambda row: (row["module"], row["name"])):
            if row["module"] != module:
                module = row["module"]
                rows.append(f"| **{module}** | | |")
            name = f"{{py:obj}}`{row['name']} <{module}.{row['name']}>`"
            rows.append(f"| {name} | {row['about']} | {linked(row['lessons'])} |")
        return markdown(self, rows)


def linked(users: list[Lesson]) -> str:
    """Return links to lessons; three and more that follow each other are "1 to 3"."""
    runs = []
    for lesson in users:
        if runs and runs[-1][-1].number == lesson.number - 1:
            runs[-1].append(lesson)
        else:
            runs.append([lesson])
    link = "[{0.number}](lessons/{0.stem}.ipynb)".format
    joined = (f"{link(run[0])} to {link(run[-1])}" if len(run) > 2 else ", ".join(map(link, run)) for run in runs)
    return ", ".join(joined)


def setup(app) -> None:
    """Pages before the sources are looked for, lines below docstrings, and the table."""
    app.connect("builder-inited", write_pages)
    app.connect("autodoc-process-docstring", add_lessons, priority=900)
    app.connect("autodoc-skip-member", leave_out)
    app.add_directive("used-in-lessons", UsedTable)
