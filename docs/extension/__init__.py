"""What the book adds to Sphinx: lessons as pages, the reference of the package, tables, formulae without scripts."""

from pathlib import Path

from extension import bibliography, formulae, ladder, lessons, reference, terms


def setup(app):
    """Register the parts."""
    app.root = Path(app.confdir).parent
    for part in (lessons, reference, ladder, bibliography, terms, formulae):
        part.setup(app)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
