"""A study file and what it includes, as one study of which every value knows where it was said."""

import copy
import json
import os
import typing
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import to_jsonable_python

from coursekit import data
from coursekit.study.complaints import complaints, dotted
from coursekit.study.documents import Document, Mark, StudyError, kind, read_document
from coursekit.study.networks import located
from coursekit.study.settings import Study
from coursekit.study.settings.base import section_at

__all__ = ["Resolved", "StudyError", "changed", "read_study"]


@dataclass(frozen=True)
class Resolved:
    """A study, and where it comes from.

    Attributes
    ----------
    study : Study
    values : dict
        The same as plain values, defaults included, as they are written to a file. What was included is in it, so that
        `config.include` is empty.
    origins : dict of str to str
        From dotted keys (``train.epochs``, ``input.features[0]``) to ``FILE:LINE``, or ``default``.
    files : tuple of pathlib.Path
        All that were read, the main file first.
    folder : pathlib.Path
        Of the main file.
    """

    study: Study
    values: dict
    origins: dict[str, str]
    files: tuple[Path, ...]
    folder: Path


def read_study(path: str | os.PathLike) -> Resolved:
    """Read a study file and all that it includes.

    Files of `config.include` are read in their order, each with what it includes itself, relative to the file that
    names them. What comes later overwrites what came earlier, and the file itself overwrites all: mappings are merged
    key by key, lists are replaced. ``null`` is a value where a key may be without one; elsewhere it takes away what an
    included file says, such as a sample.

    Parameters
    ----------
    path : path-like
        A YAML 1.2 file.

    Returns
    -------
    Resolved

    Raises
    ------
    StudyError
        One line for each thing that is wrong: ``FILE:LINE: section.key: expected ..., got ...``.
    """
    path = Path(path)
    values, marks, files = _merged(path, ())
    study, complete = checked(values, marks)
    return Resolved(study, complete, _origins(complete, marks), tuple(dict.fromkeys(files)), path.parent)


def changed(resolved: Resolved, settings: dict[str, object], origin: str) -> Resolved:
    """Return a study with other values, such as the best ones of a search.

    Parameters
    ----------
    resolved : Resolved
    settings : dict of str to object
        Plain values by dotted keys, such as ``train.optimiser.learning_rate``.
    origin : str
        Where they come from, for `Resolved.origins` and errors.

    Returns
    -------
    Resolved

    Raises
    ------
    StudyError
        The study does not allow them; a key does not exist.
    """
    values = copy.deepcopy(resolved.values)
    marks = {(): origin}
    for key, value in settings.items():
        *place, name = path = tuple(key.split("."))
        here = values
        for part in place:
            if isinstance(here, dict) and part in here and here[part] is None:
                here[part] = {}  # a section that is not there yet
            here = here.get(part) if isinstance(here, dict) else None
        if not isinstance(here, dict):
            raise StudyError(f"{origin}: {key}: no such key in {', '.join(map(str, resolved.files))}")
        here[name] = copy.deepcopy(value)
        marks[path] = origin
    study, complete = checked(values, marks)
    origins = {
        key: _origin_of(key, settings, origin) or resolved.origins.get(key, origin) for key in _origins(complete, {})
    }
    return replace(resolved, study=study, values=complete, origins=origins)


def _origin_of(key: str, settings: dict, origin: str) -> str | None:
    return origin if any(key == name or key.startswith((f"{name}.", f"{name}[")) for name in settings) else None


def checked(values: dict, marks: dict) -> tuple[Study, dict]:
    """Return the study of plain values, and the same with all defaults as plain values."""
    try:
        # As JSON, in which a list may stand for a tuple and nothing else is converted.
        study = Study.model_validate_json(json.dumps(_without_defaults(values)), strict=True)
    except ValidationError as error:
        raise StudyError(*complaints(error, values, marks)) from None
    return study, study.model_dump(mode="json")


def _without_defaults(values: dict, key: tuple = ()) -> dict:
    """Leave out what says its default, and so has no effect: validators refuse keys that are said for nothing."""
    sections = section_at(Study, key)
    fields = sections[0].model_fields if len(sections) == 1 else {}
    kept = {}
    for name, value in values.items():
        if name in fields and not fields[name].is_required():
            default = to_jsonable_python(fields[name].get_default(call_default_factory=True))
            if json.dumps(value) == json.dumps(default):  # in which 1 is not true
                continue
        kept[name] = _without_defaults(value, (*key, name)) if isinstance(value, dict) else value
    return kept


def _merged(path: Path, chain: tuple[Path, ...], by: Mark | None = None) -> tuple[dict, dict, list[Path]]:
    """Return the values of a file with all that it includes, where each stands, and the files."""
    real = Path(os.path.realpath(path))
    if real in chain:
        names = " -> ".join(str(file) for file in [*chain[chain.index(real) :], real])
        raise StudyError(f"{by}: config.include: the files include one another in a circle, {names}: cut it somewhere")
    try:
        document = read_document(path)
    except StudyError as error:
        if by is None or path.is_file():
            raise
        note = "names of included files are relative to the file that names them"
        raise StudyError(*(f"{by}: config.include: {line}; {note}" for line in error.lines)) from None
    _place_files(document)
    values, marks, files = {}, {}, [path]
    for name, at in _includes(document):
        inner, lines, more = _merged(path.parent / Path(name).expanduser(), (*chain, real), at)
        values, marks = overlaid(values, inner, marks, lines, ())
        files += more
    values, marks = overlaid(values, document.values, marks, document.marks, ())
    return values, marks, files


def _includes(document: Document) -> list[tuple[str, Mark]]:
    """Take out of a document the names of the files that it includes."""
    if not isinstance(config := document.values.get("config"), dict) or "include" not in config:
        return []
    names = config["include"]
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        one = f": write [{names}]" if isinstance(names, str) else ""
        at = document.marks["config", "include"]
        raise StudyError(f"{at}: config.include: expected a list of names of files, got {kind(names)}{one}")
    config["include"] = []
    return [(name, document.marks["config", "include", i]) for i, name in enumerate(names)]


def overlaid(below: dict, above: dict, marks: dict, lines: dict, key: tuple) -> tuple[dict, dict]:
    """Put the values of one file over those of others, and the lines with them."""
    values = dict(below)
    if key in lines:
        marks = {**marks, key: lines[key]}
    for name, value in above.items():
        path = (*key, name)
        if isinstance(value, dict) and isinstance(below.get(name), dict):
            values[name], marks = overlaid(below[name], value, marks, lines, path)
            continue
        marks = {at: mark for at, mark in marks.items() if at[: len(path)] != path}
        marks |= {at: mark for at, mark in lines.items() if at[: len(path)] == path}
        if value is None and below.get(name) is not None and not _may_be_nothing(path):
            del values[name]  # back to what it is without being said
        else:
            values[name] = value
    return values, marks


def _may_be_nothing(path: tuple) -> bool:
    fields = [section.model_fields.get(path[-1]) for section in section_at(Study, path[:-1])]
    return any(type(None) in typing.get_args(field.annotation) for field in fields if field)


def _place_files(document: Document) -> None:
    """Make the files of samples and networks absolute: they are relative to the document that names them."""
    train = document.values.get("train")
    if isinstance(train, dict) and isinstance(network := train.get("network"), str):
        train["network"] = located(network, document.path.parent)
    given = document.values.get("input")
    for kind_ in ("signals", "backgrounds", "data"):
        samples = given.get(kind_) if isinstance(given, dict) else None
        for sample in samples.values() if isinstance(samples, dict) else ():
            if isinstance(sample, dict) and isinstance(files := sample.get("files"), list):
                sample["files"] = [_placed(file, document.path.parent) for file in files]


def _placed(name, folder: Path):
    """Return the absolute path of a file; the name itself of one of the catalogue that does not lie there."""
    if not isinstance(name, str) or not name or "://" in name:
        return name
    path = Path(os.path.abspath(folder / os.path.expanduser(name)))
    return name if not path.exists() and name in data.catalogue() else str(path)


def _origins(values, marks: dict, key: tuple = ()) -> dict[str, str]:
    found = {dotted(key): str(marks.get(key, "default"))} if key else {}
    inside = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    for name, value in inside:
        found |= _origins(value, marks, (*key, name))
    return found
