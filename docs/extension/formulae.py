"""Formulae as MathML, which browsers draw and read aloud themselves: no script, and nothing from elsewhere."""

import re

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util import logging

#: What docutils does not know, in words that it knows.
WORDS = {r"\\dots\b": r"\\ldots ", r"\\([Bb])ig(?=[\s/(){}\[\]|\\])": r"\\\1igl", "°": r"^\\circ"}
WORDS |= {r"\\textstyle": ""}  # allowed only at the beginning of a group
#: The thin spaces of TeX around the name of a function, which docutils does not make.
NAME = r"\\(?:arg|cos|exp|ln|log|sin|tan)(?![a-z])"
WORDS |= {rf"(?<=[\w)}}\]])\s*(?={NAME})": r"\\,", rf"({NAME})\s*(?=[A-Za-z0-9{{]|\\(?!left|[Bb]ig|[!,]))": r"\1\\,"}


def mathml(tex: str, block: bool, node: nodes.Node) -> str:
    """Return a formula of LaTeX in MathML; what cannot be translated is a warning."""
    for pattern, word in WORDS.items():
        tex = re.sub(pattern, word, tex)
    try:
        return tex2mathml(tex, as_block=block)
    except MathError as error:
        logging.getLogger(__name__).warning("formula %s: %s", tex, error, location=node)
        return ""


def visit_math(translator, node: nodes.math) -> None:
    """Write a formula in a line of text."""
    translator.body.append(f'<span class="formula">{mathml(node.astext(), False, node)}</span>')
    raise nodes.SkipNode


def visit_math_block(translator, node: nodes.math_block) -> None:
    """Write a formula that stands by itself."""
    translator.body.append(f'<div class="formula">{mathml(node.astext(), True, node)}</div>\n')
    raise nodes.SkipNode


def setup(app) -> None:
    """Offer the renderer by the name that conf.py asks for."""
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math_block, None))
