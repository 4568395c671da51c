"""A study as text: with the origin of each value, beside another study, and as a schema for editors."""

import json
import re

from coursekit.study.reading import Resolved
from coursekit.study.settings import Study

#: Text that needs no quotes, as a value and as a key.
PLAIN, PLAIN_KEY = r"(?!(?i:true|false|null|yes|no|on|off|y|n)$)[A-Za-z_/][A-Za-z0-9_/.+-]*", r"(?!-)[A-Za-z0-9_.-]+"
WIDTH, COLUMN = 100, 56


def show(resolved: Resolved) -> str:
    """Write a study with all its defaults as YAML, and behind each value where it was said.

    Parameters
    ----------
    resolved : Resolved

    Returns
    -------
    str
        ``KEY: VALUE  # FILE:LINE``, or ``# default``. It reads back to the same study.
    """
    names = ", ".join(_printable(str(file)) for file in resolved.files)
    head = f"# Read from {names}; behind each value where it was said."
    return "\n".join([head, *lines(resolved.values, resolved.origins)]) + "\n"


def differences(one: dict, other: dict, before: str = "") -> list[str]:
    """Name each key in which two studies differ.

    Parameters
    ----------
    one, other : dict
        `Resolved.values`.
    before : str
        Put before each key.

    Returns
    -------
    list of str
        ``KEY: VALUE OF ONE -> VALUE OF OTHER``; lists are compared as a whole.

    Examples
    --------
    >>> differences({"train": {"epochs": 10, "folds": None}}, {"train": {"epochs": 20, "folds": None}})
    ['train.epochs: 10 -> 20']
    """
    found = []
    for key in dict.fromkeys([*one, *other]):
        pair = [side.get(key, _ABSENT) for side in (one, other)]
        if all(side is None or side is _ABSENT for side in pair):
            continue  # of a section that only one has, what it does not say
        if any(isinstance(side, dict) and side for side in pair):
            inside = [side if isinstance(side, dict) else {} for side in pair]
            found += differences(*inside, before=f"{before}{key}.")
        elif pair[0] != pair[1] or isinstance(pair[0], bool) != isinstance(pair[1], bool):
            found.append(f"{before}{key}: {' -> '.join(_short(side) for side in pair)}")
    return found


def schema() -> dict:
    """Return the JSON schema of a study file, with which editors complete and check it.

    Returns
    -------
    dict
        JSON schema, draft 2020-12.
    """
    content = Study.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **content, "title": "A study of coursekit"}


_ABSENT = object()


def flow(value) -> str:
    """Write a value on one line of YAML.

    Examples
    --------
    >>> flow([1e-5, "sgd", "yes or no", None, {"a": True}])
    '[1.0e-05, sgd, "yes or no", null, {a: true}]'
    """
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(name)}: {flow(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(flow, value)) + "]"
    if isinstance(value, str):
        return value if re.fullmatch(PLAIN, value) else _quoted(value)
    if isinstance(value, float):  # with a point, so that other readers see the number too
        return re.sub(r"^(-?\d+)e", r"\1.0e", repr(value))
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def lines(values: dict, origins: dict[str, str], key: str = "", indent: str = "") -> list[str]:
    """Write a mapping as lines of YAML, with the origins of its values, by dotted keys, behind those that have one."""
    found = []
    for name, value in values.items():
        at = f"{key}.{name}" if key else name
        start = f"{indent}{_key(name)}:"
        if isinstance(value, dict) and value:
            found += [*([""] if not key else []), start, *lines(value, origins, at, indent + "  ")]
        elif isinstance(value, list) and len(start) + len(flow(value)) > WIDTH:
            found.append(_said(start, origins.get(at)))
            found += [f"{indent}  - {flow(item)}" for item in value]
        else:
            found.append(_said(f"{start} {flow(value)}", origins.get(at)))
    return found


def _said(text: str, origin: str | None) -> str:
    return f"{text:<{COLUMN}}  # {_printable(origin)}" if origin else text


def _key(name: str) -> str:
    return name if re.fullmatch(PLAIN_KEY, str(name)) else _quoted(str(name))


def _quoted(text: str) -> str:
    """Write text as YAML between quotes, in which JSON's escapes mean the same."""
    return "".join(
        letter if letter.isprintable() else _escaped(letter) for letter in json.dumps(text, ensure_ascii=False)
    )


def _escaped(letter: str) -> str:
    return f"\\u{ord(letter):04x}" if ord(letter) < 0x10000 else f"\\U{ord(letter):08x}"


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _short(value) -> str:
    text = "absent" if value is _ABSENT else flow(value)
    return text if len(text) <= 80 else f"{text[:38]} ... {text[-38:]}"
