"""Slides: what of a lesson they show, and that a browser without a network shows all of it."""

import importlib.util
import re
import shutil

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from typer.testing import CliRunner

from coursekit import slides
from coursekit.cli import app
from tests.test_browser import BROWSER, browser  # noqa: F401

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("sphinx_revealjs") is None, reason="pip install 'coursekit[slides]'"
)
PICTURE = {"image/png": "iVBORw0KGgo=", "text/plain": "A rising <line>."}
LONG = "\n".join(
    f"Sentence {number} of this paragraph has a length at which four of them are too long." for number in range(5)
)


def cell(source, *tags, printed="", picture=False):
    outputs = [new_output("stream", text=printed)] if printed else []
    outputs += [new_output("display_data", data=PICTURE)] if picture else []
    return new_code_cell(source, metadata={"tags": list(tags)}, outputs=outputs)


@pytest.fixture
def page():
    cells = [
        new_markdown_cell(
            "# 1 · Toy\n\n[![badge](https://elsewhere.org/b.svg)](https://elsewhere.org)\n\n**Time:** 5 minutes"
        ),
        cell("import pip", "setup"),
        new_markdown_cell(
            f"## A question\n\n{LONG}\n\n- a list, with $\\sqrt{{s}}$\n- in full\n\nBefore. **Guess:** how many?"
        ),
        cell("show('short', 1)", printed="short: 1\n"),
        cell("\n".join(f"line_{number} = 0" for number in range(30)), printed="long: 2\n"),
        cell("draw()", picture=True),
        new_markdown_cell(f"### Your turn 1.1 · 5 min · ★\n\n{LONG}"),
        cell("answer = 42", "exercise", "ex-1.1"),
        cell('check("1.1", answer)', "check", "ex-1.1", printed="[PASS] 1.1 the answer\n"),
        new_markdown_cell("It goes on.\n\n## The end\n\n| a | b |\n|---|---|\n| 1 | 2 |"),
        cell("progress()", printed="1.1 [PASS]\n"),
    ]
    return slides.slides_of(new_notebook(cells=cells))


def shown(page):
    """Each slide: its heading, what stands below it, and what is said."""
    slides = re.findall(r"<section>\n<h[12]>(.*?)</h[12]>\n(.*?)</section>", page, re.S)
    parts = [(heading, *content.partition('<aside class="notes">')) for heading, content in slides]
    return [(heading, content.strip(), notes.replace("</aside>", "").strip()) for heading, content, _, notes in parts]


def test_a_lesson_becomes_slides(page):
    assert [heading for heading, _, _ in shown(page)] == [
        "1 · Toy", "A question", "A question", "Your turn 1.1 · 5 min · ★", "A question", "The end"
    ]  # fmt: skip
    assert page.count("<section>\n<section>") == 3  # to the right the chapters, downwards what is in them
    text = {heading: content for heading, content, _ in reversed(shown(page))}
    assert "Sentence 1" in text["A question"]
    assert "Sentence 2" not in text["A question"]
    assert "Sentence 2" in shown(page)[1][2]
    assert "Sentence 4" in text["Your turn 1.1 · 5 min · ★"]
    assert "<msqrt><mrow><mi>s</mi></mrow></msqrt>" in text["A question"]
    assert re.search(r'<p>Before\.</p>\s*<p class="fragment guess"><strong>Guess:</strong> how many\?</p>', page)
    assert "short: 1" in page
    assert "show" in text["A question"]
    assert "long: 2" in page
    assert "<table>" in text["The end"]


def test_what_belongs_in_the_notebook_stays_there(page):
    for word in ("elsewhere", "import pip", "line_3", "draw", "42", "[PASS]", "progress"):
        assert word not in "".join(map(str, shown(page))), word


def test_a_figure_comes_with_the_words_that_lead_to_it():
    cells = [new_markdown_cell("# 1 · Toy\n\nWords.\n\n## Next\n\nHere it is."), cell("draw()", picture=True)]
    ((_, _, _), (_, content, notes)) = shown(slides.slides_of(new_notebook(cells=cells)))
    assert re.fullmatch(r"<p>Here it is\.</p>\s*<img [^>]*>", content)
    assert "rising" in notes


def test_a_figure_has_a_slide_of_its_own_where_much_is_said(page):
    _, content, notes = shown(page)[2]
    assert content == '<img alt="A rising &lt;line&gt;." src="data:image/png;base64,iVBORw0KGgo=">'
    assert notes == "<p>A rising &lt;line&gt;.</p>"


def test_a_lesson_that_was_not_built_is_named(clone):
    done = CliRunner().invoke(app, ["build", "--slides", "--root", str(clone), "--output", str(clone / "out")])
    assert done.exit_code == 1
    assert "01_toy.ipynb does not exist; slides show what has been built: run `coursekit build` first" in done.output
    done = CliRunner().invoke(app, ["build", "--slides", "--full", "--root", str(clone)])
    assert "--slides shows what has been built: it takes --root and --output, and no more" in done.output


@pytest.mark.browser
@pytest.mark.skipif(not BROWSER, reason="needs Chromium or Chrome")
def test_every_slide_fits_and_nothing_is_fetched(root, tmp_path, browser):  # noqa: F811
    (path,) = slides.write_slides([root / "lessons" / "09_deep_sets" / "lesson.py"], root, tmp_path)
    moved = shutil.move(path, tmp_path / "alone.html")
    browser.get(moved.as_uri())
    facts = browser.execute_async_script(
        """
        const done = arguments[0], facts = [];
        const walk = () => {
          for (const slide of Reveal.getSlides()) {
            const {h, v} = Reveal.getIndices(slide);
            Reveal.slide(h, v, 99);
            const images = [...slide.querySelectorAll("img")];
            const seen = images.every(image => image.alt && image.naturalWidth && image.clientHeight > 400);
            facts.push([h, v, slide.scrollWidth, slide.scrollHeight, parseInt(slide.style.fontSize || 100), seen]);
          }
          done(facts);
        };
        Reveal.isReady() ? walk() : Reveal.on("ready", walk);
        """
    )
    assert len(facts) > 40
    assert not [fact for fact in facts if fact[2] > 1280 or fact[3] > 720 or fact[4] < 80 or not fact[5]]
    assert browser.execute_script("return performance.getEntriesByType('resource').map(one => one.name)") == []
    assert browser.get_log("browser") == []
