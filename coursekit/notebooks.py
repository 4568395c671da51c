"""Notebooks as files: the same bytes on every system, and a damaged one is named."""

import re
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.validator import ValidationError

__all__ = ["EXERCISE", "exercise_of", "read_notebook", "write_notebook"]

#: The tag of a cell that belongs to an exercise, with its number.
EXERCISE = re.compile(r"ex-(\d+\.\d+)")


def exercise_of(cell: NotebookNode) -> str:
    """Return the number of the exercise that a cell of a lesson is tagged with, "1.2"; nothing for another cell."""
    return next((found[1] for tag in cell.metadata.get("tags", []) if (found := EXERCISE.fullmatch(tag))), "")


def read_notebook(path: Path) -> NotebookNode:
    """Read a notebook.

    Raises
    ------
    ValueError
        The file is no notebook.
    """
    try:
        return nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
    except (ValueError, AttributeError, ValidationError) as error:  # no JSON, no mapping, cells or metadata missing
        reason = str(error).partition("\n")[0][:100]
        raise ValueError(f"{path} is not a notebook ({reason}); run `coursekit build` again") from error


def write_notebook(notebook: NotebookNode, path: Path) -> None:
    """Write a notebook with the line ends that are kept in the repository."""
    path.write_text(nbformat.writes(notebook).rstrip("\n") + "\n", encoding="utf-8", newline="\n")
