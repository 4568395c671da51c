"""The command that grades a class: parse, call, print."""

import sys
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from coursekit.console import clear_errors, out, progress

__all__ = ["grade"]


def grade(
    folder: Annotated[Path, typer.Argument(help="NAME.ipynb, or NAME/ with notebooks, for each student.")],
    as_csv: Annotated[bool, typer.Option("--csv", help="Write grades.csv: a row per student and exercise.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write grades.json: all that is known.")] = False,
    as_html: Annotated[bool, typer.Option("--html", help="Write grades.html: a page on the class.")] = False,
    output: Annotated[Path, typer.Option(help="The folder that these are written into.")] = Path("."),
    jobs: Annotated[int, typer.Option(min=1, help="Processes at once; the result does not depend on it.")] = 1,
    seed: Annotated[int, typer.Option(min=1, help="Of the hidden part of the checks.")] = 20,
    seconds: Annotated[int, typer.Option(min=30, help="That one exercise of one student may take.")] = 60,
    memory: Annotated[int, typer.Option(min=256, help="MiB that it may take.")] = 2048,
) -> None:
    """Judge submitted notebooks, each answer in a bounded process of its own: verdict, named mistake, points.

    Every file NAME.ipynb of the folder is a submission of NAME, and so is each notebook below the folder NAME/. Which
    lesson a notebook belongs to is seen from its tags; a class may hand in several lessons at once. On Linux only. What
    this defends against, and what not, stands in docs/grading.md.
    """
    with clear_errors():
        if sys.platform != "linux":
            raise OSError("only Linux can limit what submitted code does: use WSL, a container or a virtual machine")
        from coursekit.grading import report
        from coursekit.grading.grading import grade as graded
        from coursekit.grading.isolation import Limits

        if not output.is_dir():
            raise FileNotFoundError(f"{output} is no folder: make it first")
        with progress() as show:
            document = graded(folder, Limits(seconds=seconds, memory=memory << 20), seed, jobs, show)
        table = Table("student", "lesson", "points", "verdicts", box=None)
        for one in document["submissions"]:
            counts = Counter(row["verdict"] for row in one["exercises"])
            said = one["problem"] or ", ".join(f"{counts[name]} {name}" for name in report.VERDICTS if counts[name])
            table.add_row(one["student"], str(one["lesson"] or ""), f"{one['points']} of {one['out_of']}", said)
        out.print(table, markup=False)
        for wanted, name, write in (
            (as_csv, "grades.csv", report.write_csv),
            (as_json, "grades.json", report.write_json),
            (as_html, "grades.html", report.write_html),
        ):
            if wanted:
                write(document, output / name)
                out.print(output / name, markup=False, highlight=False)
