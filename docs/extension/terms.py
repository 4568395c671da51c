"""The glossary in the lessons: the first time that a page uses a term, the word leads to its explanation."""

import re
from pathlib import Path

from docutils import nodes
from sphinx import addnodes

#: Where a word is no link: in code and formulae, in titles, and in what is a link already.
CLOSED = (nodes.literal, nodes.FixedTextElement, nodes.math, nodes.title, nodes.reference, nodes.raw)
CLOSED += (addnodes.pending_xref, addnodes.download_reference, nodes.term)


def glossary_terms(text: str) -> list[str]:
    """Return the terms of glossary.md: the lines of its glossary that are not indented."""
    block = re.search(r"^```\{glossary\}\n(.*?)^```", text, re.M | re.S)[1]
    return [line for line in block.splitlines() if line and not line.startswith((" ", ":"))]


def link_terms(app, tree: nodes.document) -> None:
    """Make the first occurrence of each term on a page of a lesson a link."""
    name = app.env.current_document.docname
    if not name.startswith("lessons/"):
        return
    terms = glossary_terms((Path(app.srcdir) / "glossary.md").read_text(encoding="utf-8"))
    left = {term.lower(): term for term in terms}
    for text in list(tree.findall(nodes.Text)):
        if not left or any(isinstance(above, CLOSED) for above in _above(text)):
            continue
        words = "|".join(map(re.escape, sorted(left, key=len, reverse=True)))
        new, done = [], 0
        for match in re.finditer(rf"\b({words})(?:s|es)?\b", text, re.I):
            if term := left.pop(match[1].lower(), None):
                new += [nodes.Text(text[done : match.start()]), _link(match[0], term, name)]
                done = match.end()
        if new:
            text.parent.replace(text, [*new, nodes.Text(text[done:])])


def _above(node: nodes.Node):
    while isinstance(node := node.parent, nodes.Node):
        yield node


def _link(word: str, term: str, docname: str) -> addnodes.pending_xref:
    options = {"refdomain": "std", "reftype": "term", "refexplicit": True, "refwarn": True, "refdoc": docname}
    return addnodes.pending_xref("", nodes.inline(word, word, classes=["term"]), reftarget=term, **options)


def setup(app) -> None:
    """Look at each page when it has been read."""
    app.connect("doctree-read", link_terms)
