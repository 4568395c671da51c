"""`coursekit build`: the notebooks, and whatever else is made from the lessons."""

import contextlib
import os
import shlex
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from typer.core import TyperCommand

from coursekit.console import clear_errors, out, progress, say
from coursekit.files import replacing

__all__ = ["Jobs", "Pairs", "build"]

Jobs = Annotated[int, typer.Option(min=1, help="Processes at once; the result does not depend on it.")]


class Pairs(TyperCommand):
    """Reads ``-p name value`` as papermill does; typer has no repeated option of two words."""

    def parse_args(self, ctx, args: list[str]) -> list[str]:
        joined = []
        rest = iter(args)
        for word in rest:
            joined.append(word)
            if word == "-p":
                name = next(rest, "")
                joined.append(name if "=" in name else f"{name}={next(rest, '')}")
        return super().parse_args(ctx, joined)


def build(
    lessons: Annotated[list[str] | None, typer.Argument(help="Numbers or names; all lessons by default.")] = None,
    full: Annotated[bool, typer.Option("--full", help="Full mode: quick=False.")] = False,
    parameter: Annotated[list[str] | None, typer.Option("-p", help="NAME VALUE of a lesson's parameter.")] = None,
    output: Annotated[Path | None, typer.Option(help="Write here instead of into the clone.")] = None,
    root: Annotated[Path | None, typer.Option(help="The clone of the course.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Build aside and compare with what is committed.")] = False,
    shake: Annotated[int, typer.Option(min=0, help="Build aside so many times, disturbed by rounding; compare.")] = 0,
    mutants: Annotated[bool, typer.Option("--mutants", help="Test the checks with changed answers instead.")] = False,
    nbgrader: Annotated[Path | None, typer.Option(help="Write a course folder of nbgrader instead.")] = None,
    slides: Annotated[bool, typer.Option("--slides", help="Write slides/ from what has been built instead.")] = False,
    jobs: Jobs = 1,
) -> None:
    """Build notebooks/ and solutions/ from lessons/; a solution that fails its own check fails the build."""
    from coursekit import authoring

    with clear_errors():
        root = authoring.find_root(root)
        sources = authoring.select(root, lessons or [])
        others = [full, parameter, check]
        if mutants:
            _mutants(root, sources, jobs, others=[*others, output, shake, nbgrader, slides])
        elif shake:
            _shake(root, sources, shake, jobs, others=[*others, output, nbgrader, slides])
        elif nbgrader:
            _nbgrader(root, sources, nbgrader, others=[*others, output, slides, jobs > 1])
        elif slides:
            _slides(root, sources, output or root, others=[*others, jobs > 1])
        else:
            values = dict(pair.split("=", 1) for pair in parameter or []) | ({"quick": False} if full else {})
            _notebooks(root, sources, output, values, check, jobs)


def _notebooks(root, sources, output: Path | None, values: dict, check: bool, jobs: int) -> None:
    from coursekit import building

    with contextlib.ExitStack() as stack:
        if values and not (check or output):
            raise ValueError(
                "other parameters give other outputs than those that are kept: name a folder, --output mine"
            )
        target = Path(stack.enter_context(tempfile.TemporaryDirectory())) if check else output or root
        with progress() as report:
            built = building.build(sources, root, target, values, jobs, report, say, root if check else None)
        if check:
            _compare(root, target, sources)
        elif output is None:
            for path, text in _pages(root).items():
                with replacing(path) as partial:
                    partial.write_text(text, encoding="utf-8", newline="\n")
        places = ["(compared)" if check else os.path.relpath(row.notebook) for row in built]
        table = Table("lesson", "exercises passed", "seconds", "peak MiB", box=None)
        table.add_column("executed notebook")
        for row, place in zip(built, places, strict=True):
            passed = f"{row.passed} of {row.exercises}"
            table.add_row(row.lesson, passed, f"{row.seconds:.0f}", f"{row.peak_mib:.0f}", place)
        # A path is no use when it is cut: rather a line longer than the terminal.
        Console(width=max(out.width, 64 + max(map(len, places)))).print(table)


def _pages(root) -> dict[Path, str]:
    """Return what is made of all lessons together; a course may have no timetable and no ladder."""
    from coursekit import authoring, ladder, timetable

    others = {timetable.PAGE: timetable.page, ladder.PICTURE: ladder.drawing}
    pages = {root / "README.md": authoring.readme(root)}
    return pages | {root / path: make(root) for path, make in others.items() if (root / path).is_file()}


def _nbgrader(root, sources, folder: Path, others) -> None:
    from coursekit import classroom
    from coursekit.notebooks import read_notebook

    if any(others):
        raise ValueError("--nbgrader writes what has been built: it takes --root, and no more")
    steps = [f"next: cd {shlex.quote(str(folder))}"]
    for path in classroom.write_course(sources, root, folder):
        worth = classroom.points(read_notebook(path))
        line = f"{path.stem}: {len(worth)} exercises, {sum(worth.values())} points, {path}"
        out.print(line, markup=False, highlight=False)
        steps.append(f"nbgrader generate_assignment {path.stem}")
    out.print("\n      ".join(steps), markup=False, highlight=False)


def _mutants(root, sources, jobs: int, others) -> None:
    from coursekit import mutants

    if any(others):
        raise ValueError("--mutants writes lessons/*/mutants.json: it takes --root and --jobs, and no more")
    with progress() as report:
        found = mutants.write_mutants(sources, root, jobs, report)
    with replacing(root / mutants.PAGE) as partial:
        partial.write_text(mutants.page(root), encoding="utf-8", newline="\n")
    table = Table("", *mutants.COLUMNS, box=None)
    for row in mutants.totals(found):
        table.add_row(*map(str, row))
    out.print(table)


def _shake(root, sources, times: int, jobs: int, others) -> None:
    from coursekit import shaking

    if any(others):
        raise ValueError("--shake compares with the solutions in the clone: it takes --root and --jobs, and no more")
    left = 0
    with progress() as report:
        for number, found in shaking.shake(sources, root, times, jobs, report):
            lines = [f"{shaking.circumstances(number)[0]}: {len(found)} lines left their tolerance"]
            for line in found:
                where = f"cell {line.cell}" if line.cell else "does not build"
                lines += [f"  {line.lesson}, {where}", f"    kept:   {line.committed}", f"    shaken: {line.shaken}"]
            out.print("\n".join(lines), markup=False, highlight=False)
            left += len(found)
    if left:
        raise ValueError(
            f"{left} printed lines left their tolerance: another machine would print them otherwise; give each an "
            "error that includes the scatter of the training, or fewer digits"
        )


def _compare(root, target, sources) -> None:
    from coursekit import reproducing

    lines = []
    for path in sources:
        for folder in ("notebooks", "solutions"):
            name = Path(folder) / f"{path.parent.name}.ipynb"
            lines += reproducing.differences(root / name, target / name)
    for path, text in _pages(root).items():
        if path.read_text(encoding="utf-8") != text:
            lines.append(f"{path.relative_to(root)} is not what `coursekit build` writes")
    if lines:
        out.print("\n".join(lines), markup=False, highlight=False)
        raise ValueError(
            "what is committed is not what the sources build; run `coursekit build` and look at the change"
        )


def _slides(root, sources, output: Path, others) -> None:
    from coursekit import slides

    if any(others):
        raise ValueError("--slides shows what has been built: it takes --root and --output, and no more")
    for path in slides.write_slides(sources, root, output):
        out.print(f"{path}  {path.stat().st_size / 1e6:.1f} MB", markup=False, highlight=False)
