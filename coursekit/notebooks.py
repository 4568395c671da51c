"""Notebooks as files: the same bytes on every system, and a damaged one is named."""

from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.validator import ValidationError

__all__ = ["read_notebook", "write_notebook"]


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
