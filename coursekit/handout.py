"""The notebooks of the course for whoever has installed it and has no clone."""

import shutil
from pathlib import Path
from typing import Annotated

import typer

from coursekit import data
from coursekit.console import clear_errors, out
from coursekit.files import replacing

__all__ = ["hand_out", "notebooks"]


def hand_out(folder: Path) -> tuple[list[Path], list[Path]]:
    """Copy the exercise notebooks, and the examples of studies that lesson 13 speaks of, into a folder.

    Parameters
    ----------
    folder : pathlib.Path
        Made if it is not there. A file that is there stays as it is: somebody has worked in it.

    Returns
    -------
    tuple of two lists of pathlib.Path
        What was written, and what was there.

    Raises
    ------
    FileNotFoundError
        The package came without its notebooks.
    OSError
        The folder cannot be made or written.
    """
    course = data.notebooks_folder().parent
    sources = [*sorted(course.glob("notebooks/*.ipynb")), *sorted(course.glob("examples/*.*"))]
    if not sources:
        raise FileNotFoundError(f"{data.notebooks_folder()} holds no notebooks: reinstall the course")
    written, kept = [], []
    for source in sources:
        target = folder / source.name if source.suffix == ".ipynb" else folder / "examples" / source.name
        if target.exists():
            kept.append(target)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as partial:
            shutil.copyfile(source, partial)
        written.append(target)
    return written, kept


def notebooks(folder: Annotated[Path, typer.Argument(help="Where they go; made if it is not there.")]) -> None:
    """Copy the exercises of all lessons, and the examples of studies, into a folder; what is there stays."""
    with clear_errors():
        written, kept = hand_out(folder)
    n_notebooks = sum(path.suffix == ".ipynb" for path in written)
    out.print(f"{folder}: {n_notebooks} notebooks and {len(written) - n_notebooks} examples of studies", markup=False)
    if kept:
        out.print(f"{len(kept)} files were there already and stay as they are", markup=False)
