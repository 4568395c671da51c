"""The web book: `make book` builds it from the committed solutions, which are not executed."""

import sys
from pathlib import Path

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS), str(DOCS.parent)]

from coursekit import __version__  # noqa: E402
from coursekit.files import read_toml  # noqa: E402

course = read_toml(DOCS.parent / "course.toml")
project = html_title = course["title"]
author = "The coursekit authors"
project_copyright = "The coursekit authors; code BSD 3-Clause, text and figures CC BY 4.0"
version = release = __version__
language = "en"  # not en_GB, in whose translation the search cannot count its results

extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "myst_nb", "extension"]
exclude_patterns = ["_build", "extension"]
default_role = "py:obj"

# The solutions are shown with the outputs that are stored in them.
nb_execution_mode = "off"
nb_merge_streams = True
myst_enable_extensions = ["attrs_inline", "dollarmath"]
myst_heading_anchors = 3

# What modules import at once, and what is not needed to read their docstrings.
autodoc_mock_imports = ["jupytext", "keras", "onnx", "onnxruntime", "onnxscript", "pydantic", "pydantic_core"]
autodoc_mock_imports += ["tensorflow", "torch"]
autodoc_member_order = "bysource"
autodoc_typehints = "none"
# The types of arguments are words, such as "(N,) array", and no names to be linked.
napoleon_google_docstring = napoleon_use_param = napoleon_use_rtype = False
napoleon_use_ivar = True
suppress_warnings = ["ref.python"]  # an error class that two modules offer

html_theme = "sphinx_book_theme"
html_favicon = "_static/favicon.svg"
html_context = {"default_mode": "auto"}
html_static_path = ["_static"]
html_css_files = ["book.css"]
html_js_files = ["book.js"]
html_math_renderer = "mathml"
html_show_sourcelink = html_use_index = html_domain_indices = False
html_copy_source = False
html_theme_options = {
    "path_to_docs": "docs",
    "repository_url": course["repository"],
    "repository_branch": course["tag"],
    "use_repository_button": course["repository"].startswith("https://github.com/"),
    "use_download_button": False,
    "collapse_navbar": True,
    "show_toc_level": 2,
    "footer_content_items": ["copyright.html"],
}
