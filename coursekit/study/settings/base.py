"""What all sections of a study share, and a way to look at what they may say."""

import types
import typing
from collections.abc import Iterable, Iterator

from pydantic import BaseModel, ConfigDict
from pydantic.fields import FieldInfo


class Section(BaseModel):
    """A part of a study file: typed, complete with its defaults, and without keys that nobody reads.

    A validator of a section that refuses a key raises ValueError with one sentence that starts with the name of the
    key, such as ``momentum is for sgd, not for adam: take it out``: the line of this key is then reported.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)


def keys(model: type[Section], before: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Go through all keys of a section and of what is in it.

    Yields
    ------
    tuple of str and pydantic.fields.FieldInfo
        The dotted key, with ``*`` for a name that the user chooses: ``input.signals.*.files``.

    Examples
    --------
    >>> from coursekit.study.settings import Study
    >>> "input.signals.*.files" in dict(keys(Study))
    True
    """
    for name, field in model.model_fields.items():
        yield before + name, field
        for inner, section in _sections(field.annotation):
            yield from keys(section, f"{before}{name}.{inner}")


def section_at(model: type[Section], path: Iterable[str | int]) -> list[type[Section]]:
    """Return the sections that may stand at a path of keys, none where anything else does.

    Examples
    --------
    >>> from coursekit.study.settings import Study
    >>> [section.__name__ for section in section_at(Study, ("input", "signals", "hww"))]
    ['Sample']
    """
    here = [("", model)]
    for part in path:
        inside = []
        for before, section in here:
            if before:
                inside.append((before.removeprefix("*."), section))
            elif part in section.model_fields:
                inside += _sections(section.model_fields[part].annotation)
        here = inside
    return [section for before, section in here if not before]


def _sections(annotation) -> Iterator[tuple[str, type[Section]]]:
    """Yield the sections in a type, each with ``*.`` before it for each dictionary or list that it is in."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield "", annotation
    elif (origin := typing.get_origin(annotation)) in (typing.Union, types.UnionType, typing.Annotated):
        for one in typing.get_args(annotation):
            yield from _sections(one)
    elif origin in (dict, tuple, list):
        for before, section in _sections(typing.get_args(annotation)[-1 if origin is dict else 0]):
            yield f"*.{before}", section
