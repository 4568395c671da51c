"""Runs beside each other: which keys of the study differ, what they were made with, and which results."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from coursekit.study.folder import RunFolder
from coursekit.study.reading import read_study
from coursekit.study.record import origin_differences
from coursekit.study.run import Report, run_study
from coursekit.study.writing import differences

__all__ = ["Comparison", "Difference", "compare", "key_numbers", "rerun"]

_NOT_RESULTS = ("seconds", "peak_mib", "seed", "fold")


class Difference(NamedTuple):
    """A result that two runs do not share: its key, and what each says, as text with the error if it has one."""

    key: str
    one: str
    other: str


@dataclass(frozen=True)
class Comparison:
    """What two runs, or a run and a study file, do not share.

    Attributes
    ----------
    settings : list of str
        ``KEY: VALUE OF ONE -> VALUE OF OTHER``.
    origin : list of str
        Versions, commit and data, in the same form; empty beside a file, which has none.
    results : list of Difference
        Empty beside a file, too.
    compared : int
        How many results both have.
    """

    settings: list[str]
    origin: list[str]
    results: list[Difference]
    compared: int


def compare(one: str | os.PathLike, other: str | os.PathLike) -> Comparison:
    """Compare two run folders, two study files, or one of each.

    Parameters
    ----------
    one, other : path-like

    Returns
    -------
    Comparison

    Raises
    ------
    FileNotFoundError
        A folder is no run.
    ValueError
        A file is no study, or damaged.
    """
    paths = [Path(path) for path in (one, other)]
    sides = [RunFolder.open(path) if path.is_dir() else None for path in paths]
    values = [
        read_study(side.path / "study.yaml" if side else path).values for side, path in zip(sides, paths, strict=True)
    ]
    settings = differences(*values)
    if None in sides:
        return Comparison(settings, [], [], 0)
    first, second = (dict(_leaves(side.results())) for side in sides)
    rows = [
        Difference(key, first.get(key, "absent"), second.get(key, "absent"))
        for key in dict.fromkeys([*first, *second])
        if first.get(key) != second.get(key)
    ]
    origin = origin_differences(*(side.facts() for side in sides))
    return Comparison(settings, origin, rows, len(first.keys() & second.keys()))


def rerun(
    folder: str | os.PathLike, progress: Report | None = None, verbose: bool = False
) -> tuple[RunFolder, Comparison]:
    """Run the resolved study of a run folder again, beside it, and compare the two.

    Parameters
    ----------
    folder : path-like
    progress, verbose
        As in `run_study`.

    Returns
    -------
    RunFolder
        The new one.
    Comparison
        Of the old with the new one.

    Raises
    ------
    FileNotFoundError
        The folder is no run.
    Exception
        As `run_study`.
    """
    old = RunFolder.open(folder)
    resolved = read_study(old.path / "study.yaml")
    if home := old.facts().get("study"):  # whose repository is looked at
        resolved = replace(resolved, folder=Path(home).parent)
    debug = old.path.name.endswith("_debug")
    new = run_study(resolved, parent=old.path.parent, debug=debug, progress=progress, verbose=verbose)
    new.note(rerun_of=str(old.path))
    return new, compare(old.path, new.path)


def key_numbers(run: RunFolder) -> str:
    """Return the numbers that a run is known by, on one line.

    Raises
    ------
    ValueError
        Its results are damaged.
    """
    results, found = run.results(), []
    if train := results.get("train"):
        spread = "" if train.get("spread") is None else f" +- {train['spread']:.4f}"
        found.append(f"{train['measure']} {train['mean']:.4f}{spread}")
    if best := results.get("tune", {}).get("best"):
        said = " +- ".join(f"{number:.4f}" for number in best.get("validation") or ())
        found.append(f"best trial {best['number']}" + (f": {said}" if said else ""))
    return ", ".join(found)


def _leaves(value, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield every number and text of a tree of results with its dotted key, a value and its error as one."""
    if isinstance(value, dict) and value.keys() >= {"value", "error"}:
        yield key, _number(value)
    elif isinstance(value, dict):
        for name, item in value.items():
            if name not in _NOT_RESULTS:
                yield from _leaves(item, f"{key}.{name}" if key else name)
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from _leaves(item, f"{key}[{i}]")
    else:
        yield key, _number(value)


def _number(value) -> str:
    if isinstance(value, dict) and value.keys() >= {"value", "error"}:
        return f"{value['value']} +- {value['error']}"
    return str(value)
