"""Drawings in the text: written into the notebook, seen by viewers, refused when they need anything."""

import base64
import re
import shutil
import subprocess

import nbformat
import pytest

from coursekit import authoring
from coursekit.notebooks import write_notebook
from tests.toy import edit, lesson, sources

ALT = "A red square fills the picture from edge to edge."
SVG = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 200 100">
<style>text { font-family: sans-serif }</style><rect width="200" height="100" fill="#ff0000"/>
<use href="#a"/></svg>
"""


def draw(clone, svg=SVG, image=f"![{ALT}](square.svg)"):
    (clone / "lessons" / "01_toy" / "square.svg").write_text(svg, encoding="utf-8")
    edit(clone, "# **Time:** 5 minutes", f"# **Time:** 5 minutes\n#\n# Before.\n# {image}\n# Behind is *text*.")


def made(clone):
    return authoring.exercise_notebook(lesson(clone), authoring.course_settings(clone))


def test_a_drawing_is_written_into_both_notebooks(clone):
    draw(clone)
    solution = authoring.solution_notebook(lesson(clone), authoring.course_settings(clone))
    for text in (sources(made(clone))[0], sources(solution)[0]):
        found = re.search(r'Before\.\n\n<img alt="(.+)" width="200" src="data:image/svg\+xml;base64,(.+)">\n\nB', text)
        assert found[1] == ALT
        assert base64.b64decode(found[2]).decode() == SVG


def test_what_stands_in_the_alt_text_is_no_html(clone):
    draw(clone, image='![A "square" of a < b and of much else.](square.svg)')
    assert '<img alt="A &quot;square&quot; of a &lt; b and of much else." width' in sources(made(clone))[0]


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (f"![{ALT}](cube.svg)", r"cube\.svg does not exist; the folder has square\.svg"),
        (f"![{ALT}](../square.svg)", r"an image is !\[alt text\]\(NAME\.svg\).* got '\.\./square\.svg'"),
        (f"![{ALT}](https://there.org/square.svg)", r"a drawing in .*01_toy, got 'https:"),
        (f"![{ALT}](square.png)", "got 'square.png'"),
        ("![](square.svg)", r"alt text of square\.svg should say in whole sentences what is to be seen, got ''"),
        ("![A red square](square.svg)", "got 'A red square'"),
    ],
)
def test_an_image_that_is_no_drawing_of_the_lesson_is_refused(clone, image, words):
    draw(clone, image=image)
    with pytest.raises(authoring.BuildError, match=words):
        made(clone)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("</svg>", "", r"square\.svg is no well-formed XML"),
        (' viewBox="0 0 200 100"', "", "got svg with viewBox None"),
        ("0 0 200 100", "0 0 wide high", "got svg with viewBox '0 0 wide high'"),
        (' xmlns="http://www.w3.org/2000/svg"', "", "should begin with <svg xmlns"),
        ("<use", "<script>alert(1)</script><use", "holds a <script>"),
        ("<use", "<foreignObject/><use", "holds a <foreignObject>"),
        ("<rect", '<rect onload="alert(1)"', r"has a script, onload='alert\(1\)'"),
        ('href="#a"', 'href="https://there.org/a.svg"', "needs something from elsewhere, href='https:"),
        ('fill="#ff0000"', 'fill="url(https://there.org/a.svg)"', "needs something from elsewhere, fill="),
        ("text {", "@import 'a.css'; text {", "needs something from elsewhere, text="),
        ("<svg", "<!DOCTYPE svg><svg", "has a document type"),
        ("<use", "<!--" + 12_000 * "x" + "--><use", "bytes, expected at most 12000"),
    ],
)
def test_a_drawing_that_needs_something_is_refused(clone, old, new, words):
    assert old in SVG
    draw(clone, SVG.replace(old, new))
    with pytest.raises(authoring.BuildError, match=words):
        made(clone)


BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.mark.browser
@pytest.mark.skipif(not BROWSER, reason="needs Chromium or Chrome")
def test_a_browser_shows_the_drawing_in_a_page_made_of_the_notebook(clone, tmp_path):
    nbconvert, plt = pytest.importorskip("nbconvert"), pytest.importorskip("matplotlib.pyplot")
    draw(clone)
    notebook = made(clone)
    notebook.cells = notebook.cells[:1]
    notebook.cells[0].source = notebook.cells[0].source.replace("![Open", "[Open")  # badges come from the network
    write_notebook(notebook, tmp_path / "toy.ipynb")
    page, picture = tmp_path / "toy.html", tmp_path / "page.png"
    exporter = nbconvert.HTMLExporter(template_name="basic")
    body, _ = exporter.from_notebook_node(nbformat.read(tmp_path / "toy.ipynb", as_version=4))
    page.write_text(body, encoding="utf-8")
    assert "<em>text</em>" in body  # the drawing is a paragraph of its own, and does not stop Markdown
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    command = [BROWSER, *flags, f"--screenshot={picture}", "--window-size=600,700", page.as_uri()]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    red = (plt.imread(picture)[..., :3] == (1, 0, 0)).all(axis=-1).sum()
    assert 0.95 * 200 * 100 < red < 1.05 * 200 * 100
