"""What the lessons cite, from bibliography.toml, and how the course itself is cited."""

import re
from collections import defaultdict
from pathlib import Path

import yaml
from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.util import logging

from coursekit import __version__
from coursekit.files import read_toml
from extension.lessons import Lesson, lessons, markdown

#: Links that are citations; others lead to notebooks and manuals.
CITED = re.compile(
    r"\]\((https://(?:arxiv\.org|doi\.org|cds\.cern\.ch|proceedings\.mlr\.press|www\.pp\.rhul\.ac\.uk)/[^)]+)\)"
)


def citations(root: Path) -> dict[str, list[Lesson]]:
    """Return the lessons that cite each link."""
    found = defaultdict(list)
    for lesson in lessons(root):
        for link in dict.fromkeys(CITED.findall(lesson.text)):
            found[link].append(lesson)
    return dict(found)


def complaints(works: list[dict], cited: dict[str, list[Lesson]]) -> list[str]:
    """Return a sentence for each citation without a work, and for each work without a citation."""
    listed = {work["link"] for work in works}
    found = [f"lesson {cited[link][0].number} cites {link}: add it" for link in sorted(cited.keys() - listed)]
    return found + [f"no lesson cites {link}: take it out" for link in sorted(listed - cited.keys())]


class Bibliography(Directive):
    """The list of works, by their first authors."""

    def run(self) -> list[nodes.Node]:
        app = self.state.document.settings.env.app
        works, cited = read_toml(Path(app.srcdir) / "bibliography.toml")["work"], citations(app.root)
        for sentence in complaints(works, cited):
            logging.getLogger(__name__).warning("docs/bibliography.toml: %s", sentence)
        lines = []
        for work in sorted(works, key=lambda work: (re.sub(r"\b[A-Z]\.[- ]", "", work["authors"]), work["where"])):
            users = cited.get(work["link"], [])
            links = ", ".join(f"[{lesson.number}](lessons/{lesson.stem}.ipynb)" for lesson in users)
            title = f"*{work['title']}*, " if "title" in work else ""
            told = f"lesson{'s' * (len(users) > 1)} {links}"
            lines.append(f"- {work['authors']}, {title}[{work['where']}]({work['link']}); {told}.")
        return markdown(self, lines)


class Citation(Directive):
    """The entry for BibTeX: what CITATION.cff says, of this version."""

    def run(self) -> list[nodes.Node]:
        root = self.state.document.settings.env.app.root
        said = yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))
        fields = {
            "author": " and ".join(f"{{{author['name']}}}" for author in said["authors"]),
            "title": f"{{{said['title']}}}",
            "version": __version__,
            "url": said["repository-code"],
        }
        text = "@software{coursekit,\n" + "".join(f"  {key} = {{{value}}},\n" for key, value in fields.items()) + "}"
        return [nodes.literal_block(text, text, language="bibtex")]


def setup(app) -> None:
    """Both directives."""
    app.add_directive("bibliography", Bibliography)
    app.add_directive("citation", Citation)
