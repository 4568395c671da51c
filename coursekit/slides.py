"""Slides of a lesson, from its own text and figures: one HTML file that opens without a network.

The executed solution is read, nothing is run. A heading begins a slide. The first sentences of a paragraph stand on
the slide, the rest in the speaker's notes (key S); a guess appears at a click; lists, tables, formulas and short
code stand in full, and a figure takes what is left of its slide. What is too much for one slide goes on below it.
Answers stay in the notebook. reveal.js comes from pip and is written into the file, and formulas are MathML.
"""

import html
import importlib.util
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

from nbformat import NotebookNode
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from coursekit.answers import BuildError
from coursekit.files import replacing
from coursekit.notebooks import read_notebook

__all__ = ["slides_of", "write_slides"]

#: What a slide holds, in lines of so many letters.
ROOM, WIDTH = 13.0, 76
#: Lines that a figure leaves free on its slide, for the words that lead to it.
ABOVE = 3.5
#: Lines of a paragraph that are read while somebody speaks.
PARAGRAPH = 3
#: Lines of code, and of what it prints, that can be read from the last row.
CODE, PRINTED = 8, 7
_UNSEEN = {"setup", "parameters", "exercise", "check"}

#: The parts of reveal.js that a page is made of.
_PARTS = ("dist/reset.css", "dist/reveal.css", "dist/reveal.js", "plugin/notes/notes.js")


@dataclass
class _Block:
    """A piece of a slide that stays together; with what is said about it, and how many lines it takes."""

    shown: str
    lines: float
    notes: str = ""


@dataclass
class _Section:
    """What stands under one heading of the lesson."""

    title: str
    level: int
    blocks: list[_Block] = field(default_factory=list)


def write_slides(sources: list[Path], root: Path, output: Path) -> list[Path]:
    """Write the slides of lessons.

    Parameters
    ----------
    sources : list of pathlib.Path
        ``lessons/NN_slug/lesson.py``, as `coursekit.authoring.select` returns them.
    root : pathlib.Path
        The clone of the course, built.
    output : pathlib.Path
        Gets ``slides/NN_slug.html``.

    Returns
    -------
    list of pathlib.Path
        The files, in the order of the lessons.

    Raises
    ------
    BuildError
        When a lesson has not been built.
    ImportError
        When the extra is not installed.
    OSError
        When a file cannot be written.
    """
    folder, written = output / "slides", []
    for path in sources:
        solution = root / "solutions" / f"{path.parent.name}.ipynb"
        if not solution.is_file():
            raise BuildError(f"{solution} does not exist; slides show what has been built: run `coursekit build` first")
        page = slides_of(read_notebook(solution))
        folder.mkdir(parents=True, exist_ok=True)
        written.append(folder / f"{path.parent.name}.html")
        with replacing(written[-1]) as partial:
            partial.write_text(page, encoding="utf-8", newline="\n")
    return written


def slides_of(notebook: NotebookNode) -> str:
    """Return an executed solution as a page of slides.

    Raises
    ------
    ImportError
        As `write_slides`.
    """
    sections = list(_sections(notebook))
    chapters: list[list[str]] = []
    for section in sections:
        if section.level < 3 or not chapters:
            chapters.append([])
        chapters[-1] += _packed(section)
    slides = "\n".join(f"<section>\n{''.join(pages)}</section>" for pages in chapters if pages)
    where = importlib.util.find_spec("sphinx_revealjs")
    if where is None:
        raise ImportError("slides need reveal.js from sphinx-revealjs: pip install 'coursekit[slides]'")
    reveal = Path(where.submodule_search_locations[0]) / "_static" / "revealjs"
    read = {name: (reveal / name).read_text(encoding="utf-8") for name in _PARTS}
    code_style = HtmlFormatter(style="xcode").get_style_defs(".reveal pre code")
    style = "\n".join([read["dist/reset.css"], read["dist/reveal.css"], code_style])
    scripts = (read["dist/reveal.js"] + "\n" + read["plugin/notes/notes.js"]).replace("</script", "<\\/script")
    page = Template(Path(__file__).with_suffix(".html").read_text(encoding="utf-8"))
    return page.substitute(title=html.escape(sections[0].title), style=style, slides=slides, scripts=scripts)


# --- inside -----------------------------------------------------------------------------------------------------------


def _sections(notebook: NotebookNode) -> Iterator[_Section]:
    """Cut a lesson at its headings; behind an exercise the section that it stands in goes on."""
    markdown, section, chapter = _markdown(), _Section("", 1), ""
    for cell in notebook.cells:
        tags = set(cell.metadata.get("tags", []))
        if cell.cell_type == "markdown":
            for kind, content in _pieces(cell.source):
                if kind:
                    yield from [section] if section.blocks else []
                    chapter = content if kind < 3 else chapter
                    section = _Section(content, kind)
                else:
                    section.blocks += _written(markdown, content, whole=section.title.startswith("Your turn"))
        elif "check" in tags:
            yield section
            section = _Section(chapter, 3)
        elif not tags & _UNSEEN and cell.source != "progress()":
            section.blocks += _computed(cell)
    yield section


def _pieces(source: str) -> Iterator[tuple[int, str]]:
    """Give the headings of a cell with their level, and the paragraphs, lists and tables between them with 0."""
    for piece in re.split(r"\n[ \t]*\n(?=\S)", source.strip()):
        heading = re.match(r"(#{1,3}) (.+)\n?", piece)
        if heading:
            yield len(heading[1]), heading[2].strip()
            piece = piece[heading.end() :].strip()
        if piece and not piece.startswith(("[![", "<!--")):
            yield 0, piece


def _written(markdown, text: str, whole: bool) -> Iterator[_Block]:
    """Turn one paragraph, list, table, formula or drawing into blocks."""
    if re.match(r"([-*]|\d+\.) ", text):
        for item in re.split(r"\n(?=(?:[-*]|\d+\.) )", text):
            yield _Block(markdown.render(item), _height(item) - 0.2)
    elif text.startswith("|"):
        rows = text.split("\n")
        yield _Block(markdown.render(text), sum(0.8 * math.ceil(len(row) / 120) for row in rows))
    elif text.startswith(("<img", "<details")):
        yield _Block(text, ROOM - ABOVE)
    elif text.startswith(("$$", "```")):
        yield _Block(markdown.render(text), 1.2 * (1 + text.count("\n")))
    else:
        before, guess, question = text.partition("**Guess")
        if before:
            shown, said = _shared(before.strip().split("\n"), whole or text.startswith("**"))
            yield _Block(markdown.render(shown), _height(shown), markdown.render(said))
        if guess:
            shown = markdown.render(guess + question).replace("<p>", '<p class="fragment guess">', 1)
            yield _Block(shown, _height(question))


def _shared(sentences: list[str], whole: bool) -> tuple[str, str]:
    """Share a paragraph between the slide and the speaker: its first sentence, and the next while they are short."""
    here = len(sentences) if whole else 1
    while here < len(sentences) and len(" ".join(sentences[: here + 1])) <= PARAGRAPH * WIDTH:
        here += 1
    return "\n".join(sentences[:here]), "\n".join(sentences[here:])


def _computed(cell: NotebookNode) -> Iterator[_Block]:
    """Turn a cell's figure, or its code and what it printed, into blocks, each only if it can be read on a slide."""
    printed, figures = "", []
    for out in cell.get("outputs", []):
        data = out.get("data", {})
        if "image/png" in data:
            alt = html.escape(data["text/plain"])
            source = f"data:image/png;base64,{data['image/png'].strip()}"
            figures.append(_Block(f'<img alt="{alt}" src="{source}">', ROOM - ABOVE, f"<p>{alt}</p>"))
        else:
            printed += out.get("text", data.get("text/plain", ""))
    code, shown = cell.source.count("\n") + 1, printed.strip("\n").count("\n") + 1
    parts = [(_highlighted(cell.source), code)] if code <= CODE and not figures else []
    if printed.strip() and shown <= PRINTED:
        parts.append((f'<pre class="printed">{html.escape(printed.strip(chr(10)))}</pre>', shown))
    if parts:
        yield _Block("\n".join(part for part, _ in parts), sum(0.75 * lines + 0.5 for _, lines in parts))
    yield from figures


def _packed(section: _Section) -> list[str]:
    """Distribute the blocks of a section over slides."""
    pages, room = [], 0.0
    for block in section.blocks:
        if not pages or block.lines > room:
            pages.append([])
            room = ROOM - (2.0 if section.level == 1 else 0.0)
        pages[-1].append(block)
        room -= block.lines
    head = f"<h{min(section.level, 2)}>{_markdown().renderInline(section.title)}</h{min(section.level, 2)}>\n"
    return [f"<section>\n{head}{''.join(block.shown for block in page)}\n{_aside(page)}</section>\n" for page in pages]


def _aside(page: list[_Block]) -> str:
    notes = "".join(block.notes for block in page)
    return f'<aside class="notes">{notes}</aside>\n' if notes else ""


def _height(text: str) -> float:
    plain = re.sub(r"\]\([^)]*\)|\\[a-zA-Z]+|[*`$]", "", text)
    return math.ceil(len(plain) / WIDTH) + 0.5


def _markdown():
    try:
        from latex2mathml.converter import convert
        from markdown_it import MarkdownIt
        from mdit_py_plugins.dollarmath import dollarmath_plugin
    except ImportError as error:
        raise ImportError(f"slides need {error.name}: pip install 'coursekit[slides]'") from None

    def formula(content: str, options: dict) -> str:
        return convert(content, display="block" if options["display_mode"] else "inline")

    return MarkdownIt("commonmark").enable("table").use(dollarmath_plugin, double_inline=True, renderer=formula)


def _highlighted(code: str) -> str:
    return f"<pre><code>{highlight(code, PythonLexer(), HtmlFormatter(nowrap=True))}</code></pre>"
