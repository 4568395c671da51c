"""What is wrong with the values of a study file, in the words of the file."""

import contextlib
import re
from collections.abc import Iterable

from pydantic import ValidationError

from coursekit.study.documents import Mark, kind
from coursekit.study.former import FORMER, renamed
from coursekit.study.settings import Study
from coursekit.study.settings.base import keys, section_at
from coursekit.words import listed, near

#: What pydantic calls a type, and what a user calls it.
TYPES = {
    "string": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "tuple": "a list",
    "list": "a list",
    "dict": "a mapping",
    "model": "a mapping",
    "finite": "a number that is finite",
}
#: The limits of numbers and lists, by the names of pydantic's errors.
LIMITS = {
    "greater_than": "a number above {gt}",
    "greater_than_equal": "a number of at least {ge}",
    "less_than": "a number below {lt}",
    "less_than_equal": "a number of at most {le}",
    "too_short": "a list of at least {min_length}",
    "too_long": "a list of at most {max_length}",
    "string_too_short": "text that is not empty",
}


def dotted(path: Iterable[str | int]) -> str:
    """Write the path of a value as one key.

    Examples
    --------
    >>> dotted(("input", "features", 0)), dotted(("train", "epochs"))
    ('input.features[0]', 'train.epochs')
    """
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def complaints(error: ValidationError, values: dict, marks: dict[tuple, Mark]) -> list[str]:
    """Say for each thing that is wrong where it stands, what was expected, and what came.

    Parameters
    ----------
    error : pydantic.ValidationError
    values : dict
        Which were refused.
    marks : dict of tuple to Mark
        Where each of them stands.

    Returns
    -------
    list of str
        ``FILE:LINE: section.key: expected ..., got ...``, in the order of the lines.
    """
    found: dict[tuple, dict] = {}
    vague = set()
    for fault in error.errors(include_url=False):
        path, value, missing = _located(fault["loc"], values)
        where, what = _said(fault, path, value, missing)
        found.setdefault(where, {})[what] = None
        if fault["type"] == "too_short" or (missing and fault["type"] != "missing"):
            vague.add(where)  # what is left names one of several types, or a list whose items were refused
    lines = []
    for path, sayings in found.items():
        if path in vague and any(len(other) > len(path) and other[: len(path)] == path for other in found):
            continue  # what is inside is complained about
        at = next(marks[path[:n]] for n in range(len(path), -1, -1) if path[:n] in marks)
        lines.append((at, f"{at}: {dotted(path) + ': ' if path else ''}{_joined(sayings, _value(path, values))}"))
    return [line for _, line in sorted(lines, key=lambda pair: pair[0])]


def _located(location: tuple, values) -> tuple[tuple, object, tuple]:
    """Follow the place of a fault as far as there are values; what is left names a type, or what is missing."""
    path, left = [], []
    for part in location:
        part = part if isinstance(values, list) else str(part)
        if (isinstance(values, dict) and part in values) or (
            isinstance(values, list) and isinstance(part, int) and part < len(values)
        ):
            path.append(part)
            values, left = values[part], []
        else:
            left.append(part)
    return tuple(path), values, tuple(left)


def _value(path: tuple, values):
    return _located(path, values)[1]


def _said(fault: dict, path: tuple, value, missing: tuple) -> tuple[tuple, tuple[str, str]]:
    """Return the path to report, and what was expected with what to do, or a whole sentence with nothing."""
    name, context = fault["type"], fault.get("ctx", {})
    if name == "missing":
        if isinstance(value, list):
            return path, (f"a list of more than {len(value)}", "")
        return (*path, missing[-1]), ("", f"is missing: write it into {dotted(path) or 'the file'}")
    if name == "extra_forbidden":
        return path, ("", unknown(path))
    if name == "value_error":
        sentence = str(context["error"]).strip()
        path = _at_key(path, value, sentence)
        return path, ("", _without_key(sentence, path))
    if fault["loc"][-1] == "[key]":
        names = context.get("expected", TYPES.get(name.split("_")[0], "another name"))
        return path, ("", f"{path[-1]!r} cannot be a key here: expected {names}{_meant(path[-1], names)}")
    if name == "literal_error":
        return path, (context["expected"], _meant(value, context["expected"]))
    if name == "string_pattern_mismatch":
        fields = [section.model_fields.get(path[-1]) for section in section_at(Study, path[:-1])]
        meaning = "; ".join(
            " ".join(field.description.replace("``", "").split()) for field in fields if field and field.description
        )
        return path, ("text of another form", f": {meaning}" if meaning else "")
    if name in LIMITS:
        return path, (LIMITS[name].format(**context), "")
    what = TYPES.get(name.split("_")[0])
    return path, (what, _remedy(what, value)) if what else ("", fault["msg"])


def _joined(sayings: dict[tuple[str, str], None], value) -> str:
    expected = " or ".join(dict.fromkeys(what for what, _ in sayings if what))
    rest = "".join(dict.fromkeys(remedy for _, remedy in sayings))
    return f"expected {expected}, got {kind(value)}{rest}" if expected else rest


def _at_key(path: tuple, value, sentence: str) -> tuple:
    """Go on to the key that a validator's sentence is about: what it starts with, names in quotes, or names at all."""
    quoted = re.findall(r"['`]([^'`]+)['`]", sentence)
    inside = [(name, item) for name, item in value.items() if isinstance(item, dict)] if isinstance(value, dict) else []
    for name in [sentence.split(maxsplit=1)[0].strip("`'\",:;"), *quoted, *re.findall(r"\w[\w.]*\w", sentence)]:
        for before, within in [((), value), *(((section,), item) for section, item in inside)]:
            if found := _along(name, within):
                return (*path, *before, *found)
    return path


def _without_key(sentence: str, path: tuple) -> str:
    """Leave out what a sentence starts with if that is the key, which is said before it."""
    for start in range(len(path)):
        key = dotted(path[start:])
        if sentence.startswith((f"{key}: ", f"{key} ")) and not sentence.startswith(f"{key} and "):
            return sentence[len(key) :].removeprefix(":").lstrip()
    return sentence


def _along(key: str, values) -> tuple:
    """Follow a dotted key through values as far as it goes; their own keys may have dots, too."""
    parts = key.split(".")
    for n in range(len(parts), 0, -1):
        name = ".".join(parts[:n])
        if isinstance(values, dict) and name in values:
            return name, *_along(".".join(parts[n:]), values[name])
    return ()


def _meant(value, expected: str) -> str:
    known = [name.strip(" '") for part in expected.split(" or ") for name in part.split(",")]
    question = near(value, known) if isinstance(value, str) else ""
    return f";{question}" if question else ""


def _remedy(what: str, value) -> str:
    if what == "text" and isinstance(value, int | float):
        return f": write it in quotes, '{str(value).lower() if isinstance(value, bool) else value}'"
    if what == "true or false" and isinstance(value, str) and value.lower() in ("yes", "no", "on", "off", "y", "n"):
        return f": write {'true' if value.lower() in ('yes', 'on', 'y') else 'false'}"
    if what == "a list" and isinstance(value, str | int | float):
        return f": write [{value}]"
    if what == "a whole number" and isinstance(value, float) and value.is_integer():
        return f": write {int(value)}"
    if what in ("a number", "a whole number") and isinstance(value, str):
        with contextlib.suppress(ValueError):
            return f": write {float(value):g}, without quotes"
    return ""


def unknown(path: tuple[str | int, ...]) -> str:
    """Say what a key that does not exist may have meant.

    Parameters
    ----------
    path : tuple of str
        Of the key, such as ``("train", "test_rate")``.

    Returns
    -------
    str
        What it is called here, to which section it belongs, which key is spelt like it, or which there are.
    """
    *place, name = path
    there = [key for section in section_at(Study, place) for key in section.model_fields]
    everywhere: dict[str, list[str]] = {}
    for key, _ in keys(Study):
        section, _, last = key.rpartition(".")
        everywhere.setdefault(last, []).append(section or "the top of the file")
    migrating = "(`coursekit study migrate` rewrites files with such keys)"
    if place and (new := renamed(f"{place[0]}.{name}")):
        return f"{new} {migrating}"
    if homes := everywhere.get(str(name)):
        homes = [f"`{home}`" for home in sorted(homes, key=lambda home: home.count("."))]
        return f"no such key here; it belongs to {' or '.join(homes[:3])}"
    if new := next((renamed(key) for key in FORMER if key.rpartition(".")[2] == name), ""):
        return f"{new} {migrating}"
    if question := near(str(name), there):
        return f"no such key;{question}"
    if question := near(str(name), everywhere):
        homes = everywhere[question.split("'")[1]]
        return f"no such key;{question[:-1]} of `{homes[0]}`?"
    return f"no such key; there are {listed(there)}"
