"""Schemas in the text of a lesson: drawings in SVG that travel inside the notebook.

``![What is to be seen, in whole sentences.](NAME.svg)`` in a markdown cell of ``lesson.py`` shows ``NAME.svg`` of the
lesson's folder. The drawing is written into the notebook itself, so that it is seen on Colab and in a notebook that
was sent by mail, and as an ``img`` of HTML, which every viewer of notebooks shows and screen readers read.
"""

import base64
import html
import re
from pathlib import Path
from xml.etree import ElementTree

from coursekit.answers import BuildError

__all__ = ["embedded"]

#: Bytes. A schema says one thing.
LARGEST = 12_000
#: Words. Fewer do not say what is to be seen.
SHORTEST_ALT = 6
_IMAGE = re.compile(r"\n*!\[([^\]]*)\]\(([^)]*)\)[ \t]*\n*")
_SVG = "{http://www.w3.org/2000/svg}"
#: What runs, what carries another language into the drawing, and what is not still on paper.
_FORBIDDEN = {"script", "foreignObject", "iframe", "image", "animate", "animateTransform", "animateMotion", "set"}


def embedded(text: str, lesson: Path) -> str:
    """Return the text of a markdown cell with its schemas written into it.

    Parameters
    ----------
    text : str
        The cell, as in ``lesson.py``.
    lesson : pathlib.Path
        ``lesson.py``, beside which the drawings lie.

    Raises
    ------
    BuildError
        For an image that is no SVG of the lesson's folder, has no alt text, is no well-formed XML, has no ``viewBox``,
        runs scripts, needs something from elsewhere, or is larger than 12 kB.
    """

    def image(match: re.Match) -> str:
        alt, name = " ".join(match[1].split()), match[2]
        if not re.fullmatch(r"\w[\w-]*\.svg", name):
            raise BuildError(f"{lesson}: an image is ![alt text](NAME.svg), a drawing in {lesson.parent}, got {name!r}")
        if len(alt.split()) < SHORTEST_ALT or not alt.endswith((".", "?", "!")):
            raise BuildError(
                f"{lesson}: the alt text of {name} should say in whole sentences what is to be seen, got {alt!r}"
            )
        path = lesson.with_name(name)
        if not path.is_file():
            there = ", ".join(sorted(other.name for other in lesson.parent.glob("*.svg"))) or "no drawings"
            raise BuildError(f"{path} does not exist; the folder has {there}")
        content = path.read_bytes()
        width = _checked(content, path)
        source = f"data:image/svg+xml;base64,{base64.b64encode(content).decode()}"
        return f'\n\n<img alt="{html.escape(alt)}" width="{width}" src="{source}">\n\n'

    return _IMAGE.sub(image, text).strip("\n") if "![" in text else text


def _checked(content: bytes, path: Path) -> int:
    """Return the width of a drawing that is well formed, whole in itself and small."""
    if len(content) > LARGEST:
        raise BuildError(
            f"{path} has {len(content)} bytes, expected at most {LARGEST}: draw less, or round coordinates"
        )
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content or b"<?xml-stylesheet" in content:
        raise BuildError(f"{path} has a document type, an entity or a style sheet: leave them out")
    try:
        root = ElementTree.fromstring(content)
    except ElementTree.ParseError as error:
        raise BuildError(f"{path} is no well-formed XML: {error}") from None
    box = re.fullmatch(r"\s*0 0 (\d+(?:\.\d+)?) (\d+(?:\.\d+)?)\s*", root.get("viewBox", ""))
    if root.tag != _SVG + "svg" or not box:
        raise BuildError(
            f'{path} should begin with <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 WIDTH HEIGHT">, '
            f"got {root.tag.removeprefix(_SVG)} with viewBox {root.get('viewBox')!r}"
        )
    for element in root.iter():
        tag = str(element.tag).removeprefix(_SVG)
        if tag in _FORBIDDEN:
            raise BuildError(f"{path} holds a <{tag}>; a schema is lines, areas and text")
        for name, value in element.attrib.items():
            _stays_here(name.rpartition("}")[2], value, path)
        _stays_here("text", element.text or "", path) if tag == "style" else None
    return round(min(float(box[1]), 760))


def _stays_here(name: str, value: str, path: Path) -> None:
    if name.lower().startswith("on"):
        raise BuildError(f"{path} has a script, {name}={value[:40]!r}: leave it out")
    elsewhere = re.search(r"url\(\s*['\"]?(?!#)|@import|javascript:", value)
    if elsewhere or (name in ("href", "src") and not value.startswith("#")):
        raise BuildError(f"{path} needs something from elsewhere, {name}={value[:40]!r}: draw it here")
