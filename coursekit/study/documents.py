"""One YAML file as plain values, each of which knows its line."""

import contextlib
import json
import math
import os
import re
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import yaml

from coursekit.words import listed

#: More than any study needs: what is larger is another file, or aliases that unfold without end.
BYTES, NODES = 1_000_000, 100_000


class StudyError(ValueError):
    """A study file that cannot be understood: one line of text for each thing in it that is wrong.

    Attributes
    ----------
    lines : tuple of str
        ``FILE:LINE: key: what was expected, what came, and what to do``.
    """

    def __init__(self, *lines: str):
        super().__init__("\n".join(lines))
        self.lines = lines

    def __reduce__(self):
        return type(self), self.lines


class Mark(NamedTuple):
    """Where something stands."""

    file: str
    line: int

    def __str__(self):
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Document:
    """What a YAML file says.

    Attributes
    ----------
    path : pathlib.Path
    values : dict
        Of dictionaries, lists, text, numbers, booleans and None. All keys are text.
    marks : dict of tuple to Mark
        From the path of a value, such as ``("train", "options", "hidden", 0)``, to where its key (or it) stands.
    """

    path: Path
    values: dict
    marks: dict[tuple, Mark] = field(default_factory=dict)


class _Loader(yaml.SafeLoader):
    """YAML 1.2: ``1e-5`` is a number, ``yes`` is text, and so is a date."""

    yaml_implicit_resolvers = {}  # noqa: RUF012


for _tag, _pattern, _first in [
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("int", r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$", list("-+0123456789")),
    ("float", r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$", list("-+.0123456789")),
    ("float", r"^(?:[-+]?\.(?:inf|Inf|INF)|\.nan|\.NaN|\.NAN)$", list("-+.")),
    ("merge", r"^<<$", ["<"]),
]:
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)


def read_document(path: str | os.PathLike) -> Document:
    """Read a YAML 1.2 file whose top is a mapping.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    Document

    Raises
    ------
    StudyError
        There is no such file, it is none, no UTF-8, no YAML, empty, several documents, no mapping, or it has a key
        twice, a tag, a number without a value, or aliases that unfold without end.
    """
    path = Path(path)
    root = _composed(_text(path), path)
    if not isinstance(root, yaml.MappingNode):
        raise StudyError(
            f"{_at(root, path)}: expected sections with their keys, such as `job: {{name: first}}`, "
            f"got {kind(_Reader(path).value(root, ()))}"
        )
    reader = _Reader(path)
    values = reader.value(root, ())
    if reader.faults:
        raise StudyError(*reader.faults)
    return Document(path, values, reader.marks)


def read_value(text: str, origin: str):
    """Read one value, as it stands in a file behind its key.

    Parameters
    ----------
    text : str
    origin : str
        Where it comes from, for errors.

    Raises
    ------
    StudyError
        It is no YAML.

    Examples
    --------
    >>> read_value("1e-3", "--set"), read_value("[64, 64]", "--set"), read_value("", "--set")
    (0.001, [64, 64], None)
    """
    if not text.strip():
        return None
    reader = _Reader(Path(origin))
    value = reader.value(_composed(text, Path(origin)), ())
    if reader.faults:
        raise StudyError(*reader.faults)
    return value


def kind(value) -> str:
    """Name a value of a YAML file in a message.

    Examples
    --------
    >>> kind([1, 2]), kind(None), kind("b"), kind(True), kind({"a": 1})
    ('the list [1, 2]', 'nothing', "the text 'b'", 'true', 'a mapping with a')
    """
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return f"a mapping with {listed(value)}" if value else "an empty mapping"
    what = {str: "the text ", list: "the list "}.get(type(value), "")
    text = repr(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return what + (text if len(text) <= 60 else f"{text[:40]} ... {text[-15:]}")


def _text(path: Path) -> str:
    try:
        if path.is_dir():
            raise StudyError(f"{path}: is a folder: give the name of a study file, such as {path / 'study.yaml'}")
        with path.open("rb") as file:
            content = file.read(BYTES + 1)
    except FileNotFoundError:
        there = listed(sorted(file.name for file in path.parent.glob("*.y*ml"))) if path.parent.is_dir() else "none"
        raise StudyError(f"{path}: no such file; YAML files in {path.parent}: {there}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise StudyError(f"{path}: cannot be read ({reason}): give the name of a study file") from None
    if len(content) > BYTES:
        raise StudyError(f"{path}: has more than {BYTES} bytes, which no study needs: is it another file?")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise StudyError(
            f"{path}:{line}: byte {content[error.start]:#04x} is not UTF-8: save the file with that encoding"
        ) from None


def _composed(text: str, path: Path) -> yaml.Node:
    """Return the one node that a text holds."""
    try:
        roots = list(yaml.compose_all(text, _Loader))
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise StudyError(
            f"{path}:{line}: the character {error.character:#06x} cannot stand in YAML: take it out"
        ) from None
    except yaml.MarkedYAMLError as error:
        raise StudyError(_syntax(error, text, path)) from None
    except RecursionError:
        raise StudyError(f"{path}:1: is nested too deeply for a study: is it another file?") from None
    if not roots:
        raise StudyError(f"{path}:1: is empty: a study has at least the sections job and input")
    if len(roots) > 1:
        raise StudyError(f"{_at(roots[1], path)}: a second document begins here (---): a study is one, make two files")
    return roots[0]


def _syntax(error: yaml.MarkedYAMLError, text: str, path: Path) -> str:
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else 1
    problem = " ".join(filter(None, [error.context, error.problem]))
    lines = text.splitlines()
    here = lines[line - 1] if line <= len(lines) else ""
    if "\t" in here[: len(here) - len(here.lstrip())] or "'\\t'" in problem:
        return f"{path}:{line}: a tab stands at the start of the line, which YAML does not allow: write spaces"
    return f"{path}:{line}: is no well-formed YAML ({problem}): look at this line and the one before it"


def _at(node: yaml.Node, path: Path) -> Mark:
    return Mark(str(path), node.start_mark.line + 1)


def _whole(text: str) -> int | None:
    with contextlib.suppress(ValueError):  # an explicit tag, or more digits than Python reads
        number = int(text, 0) if text[:2] in ("0o", "0x") else int(text)
        return number if abs(number) < 2**63 else None
    return None


def _number(text: str) -> float | None:
    with contextlib.suppress(ValueError):  # .nan and .inf among them
        return number if math.isfinite(number := float(text)) else None
    return None


class _Reader:
    """Turns nodes into values, and keeps where each stood and what was wrong."""

    def __init__(self, path: Path):
        self.path, self.marks, self.faults = path, {}, []
        self._open, self._count = [], 0

    def value(self, node: yaml.Node, key: tuple):
        self.marks.setdefault(key, _at(node, self.path))
        self._count += 1
        if self._count > NODES or len(key) > 50:
            what = f"unfolds to more than {NODES} values" if self._count > NODES else "is nested more than 50 deep"
            raise StudyError(f"{_at(node, self.path)}: {what}: write out what the aliases (*) stand for")
        if any(node is other for other in self._open):
            raise StudyError(f"{_at(node, self.path)}: an alias (*) stands inside what it stands for: write it out")
        self._open.append(node)
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, key)
            if isinstance(node, yaml.SequenceNode):
                self._plain_tag(node, "seq", key)
                return [self.value(item, (*key, i)) for i, item in enumerate(node.value)]
            return self._scalar(node, key)
        finally:
            self._open.pop()

    def _mapping(self, node: yaml.MappingNode, key: tuple) -> dict:
        self._plain_tag(node, "map", key)
        values, lines = {}, {}
        for name, item in node.value:
            if name.tag != "tag:yaml.org,2002:merge":
                if not isinstance(name, yaml.ScalarNode):
                    self._fault(name, key, "a key is text or a number, not a list or a mapping")
                    continue
                if name.value in lines:
                    self._fault(name, (*key, name.value), f"is here for a second time, after line {lines[name.value]}")
                lines[name.value] = name.start_mark.line + 1
                self.marks[*key, name.value] = _at(name, self.path)
                values[name.value] = self.value(item, (*key, name.value))
        for name, item in node.value:
            if name.tag == "tag:yaml.org,2002:merge":
                self._merge(item, key, values)
        return values

    def _merge(self, node: yaml.Node, key: tuple, values: dict) -> None:
        """Add what `<<` brings and is not said: of several mappings, an earlier one counts more."""
        for part in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            if not isinstance(part, yaml.MappingNode):
                self._fault(part, (*key, "<<"), "expected a mapping that was named with &, or a list of such")
                continue
            inner = _Reader(self.path)
            inner._open, inner._count = self._open, self._count
            for name, value in inner.value(part, key).items():
                if name not in values:
                    values[name] = value
                    first = (*key, name)
                    self.marks |= {at: mark for at, mark in inner.marks.items() if at[: len(first)] == first}
            self._count = inner._count

    def _scalar(self, node: yaml.ScalarNode, key: tuple):
        text, tag = node.value, node.tag.removeprefix("tag:yaml.org,2002:")
        if tag == "null":
            return None
        if tag == "bool":
            return text.lower() == "true"
        if tag in ("int", "float"):
            number = _number(text) if tag == "float" else _whole(text)
            if number is None:
                self._fault(node, key, f"expected a number that is finite and of usual size, got {text[:40]}")
            return number
        self._plain_tag(node, "str", key)
        if any(unicodedata.category(letter) == "Cs" or letter == "\0" for letter in text):
            self._fault(node, key, "the text has a character that cannot be written: take it out")
        return text

    def _plain_tag(self, node: yaml.Node, usual: str, key: tuple) -> None:
        if node.tag != f"tag:yaml.org,2002:{usual}":
            self._fault(
                node, key, f"the tag {node.tag.replace('tag:yaml.org,2002:', '!!')} is not allowed: take it out"
            )

    def _fault(self, node: yaml.Node, key: tuple, what: str) -> None:
        name = ".".join(map(str, key))
        self.faults.append(f"{_at(node, self.path)}: {name + ': ' if name else ''}{what}")
