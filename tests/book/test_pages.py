"""The pages of the web book: complete, without a broken link, and with all that the lessons and the package say."""

import html
import re
import sys
from urllib.parse import unquote, urlsplit

import pytest

for name in ("bs4", "myst_nb", "sphinx_book_theme"):
    pytest.importorskip(name, reason='pip install "coursekit[book,test]"')
import yaml  # noqa: E402
from bs4 import BeautifulSoup  # noqa: E402

from coursekit import __version__  # noqa: E402
from coursekit.checks.exercise import exercises_of  # noqa: E402
from coursekit.files import read_toml  # noqa: E402
from coursekit.ladder import ladder as rungs  # noqa: E402
from tests.conftest import ROOT  # noqa: E402

sys.path.append(str(ROOT / "docs"))
from extension import bibliography, formulae, lessons, reference, terms  # noqa: E402

LESSONS = lessons.lessons(ROOT)


def lesson_page(pages, lesson):
    return pages[f"lessons/{lesson.stem}.html"]


# --- what is on the pages ---------------------------------------------------------------------------------------------


def test_every_page_of_the_source_is_a_page_of_the_book(sources):
    written = {path.with_suffix(".html").name for path in (ROOT / "docs").glob("*.md")}
    assert written | {f"lessons/{lesson.stem}.html" for lesson in LESSONS} <= sources.keys()


def test_every_picture_has_a_text(sources):
    pictures = [(name, tag) for name, text in sources.items() for tag in re.findall(r"<img\b[^>]*>", text)]
    assert len(pictures) > 100
    assert not [(name, tag[:150]) for name, tag in pictures if not re.search(r'\balt="[^"]{20}', tag)]


def test_every_link_inside_the_book_leads_somewhere_and_nothing_is_loaded_from_elsewhere(book, sources):
    anchors = {name: {*ids(text)} for name, text in sources.items()}
    broken = []
    for name, text in sources.items():
        for tag, target in re.findall(r'<(a|link|script|img|iframe)\b[^>]*?\b(?:href|src)="([^"]+)"', text):
            parts = urlsplit(html.unescape(target))
            if parts.scheme or parts.netloc:
                broken += [f"{name}: {target}"] if tag != "a" and parts.scheme != "data" else []
                continue
            path = (book / name).parent.joinpath(unquote(parts.path)).resolve() if parts.path else book / name
            there = anchors.get(path.relative_to(book).as_posix())
            fragment = unquote(parts.fragment)
            if not path.is_file() or (fragment and there is not None and fragment not in there):
                broken.append(f"{name}: {target}")
    assert not broken


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.stem)
def test_figures_and_schemas_are_shown_with_their_texts(pages, lesson):
    shown = [image.get("alt", "") for image in lesson_page(pages, lesson).find_all("img")]
    expected = [
        output.metadata["image/png"]["alt"]
        for cell in lesson.solution.cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]
    drawn = [BeautifulSoup(tag, "html.parser").img["alt"] for tag in re.findall(r"<img [^>]+>", lesson.text)]
    assert sorted(shown) == sorted(expected + drawn)
    assert all(len(text) > 20 for text in shown)


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.stem)
def test_an_exercise_is_question_hints_answer_and_check(pages, lesson):
    body = lesson_page(pages, lesson).find("article")
    assert not body.find_all("details", open=True)
    written = {
        lessons.exercise_of(c): c.source for c in lesson.solution.cells if "exercise" in c.metadata.get("tags", [])
    }
    assert written.keys() == lesson.hints().keys()
    for number, hints in lesson.hints().items():
        (answer,) = [
            fold
            for fold in body.select("details.answer")
            if fold.select_one(".collapsed").text == f"Show the answer to {number}"
        ]
        assert written[number].split() == answer.select_one("pre").text.split()
        question = next(tag for tag in body.find_all("h3") if tag.text.startswith(f"Your turn {number} "))
        between = [tag for tag in question.find_all_next("details", "hint") if tag.sourceline < answer.sourceline]
        assert [fold.summary.text for fold in between] == [
            f"Hint {i} of {len(hints)}" for i in range(1, len(hints) + 1)
        ]
        stub = between[0].find_previous("pre").text
        assert "..." in stub
        assert stub.split() != written[number].split()
        check = answer.find_next("pre").find_next("pre")
        assert f'check("{number}"' in check.text
        assert check.find_next("pre").text.startswith(f"[PASS] {number} ")


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.stem)
def test_badges_lead_to_the_notebook_in_the_repository_of_the_course(pages, lesson):
    course = read_toml(ROOT / "course.toml")
    owner = course["repository"].removeprefix("https://github.com/")
    links = [unquote(tag["href"]) for tag in lesson_page(pages, lesson).select("a.launch")]
    path = f"notebooks/{lesson.stem}.ipynb"
    assert links == [
        f"https://colab.research.google.com/github/{owner}/blob/{course['tag']}/{path}",
        f"https://mybinder.org/v2/gh/{owner}/{course['tag']}?labpath={path}",
    ]
    assert (ROOT / path).is_file()
    for link, folder in zip(lesson_page(pages, lesson).select("a.download"), ("notebooks", "solutions"), strict=True):
        assert link["href"].endswith(f"{lesson.stem}.ipynb"), folder


def test_lessons_lead_to_the_one_before_and_the_next(pages):
    for before, lesson, after in zip(LESSONS, LESSONS[1:], LESSONS[2:], strict=False):
        links = [lesson_page(pages, lesson).select_one(way)["href"] for way in ("a.left-prev", "a.right-next")]
        assert links == [f"{before.stem}.html", f"{after.stem}.html"]


def ids(text):
    return re.findall(r'\bid="([^"]*)"', text)


def test_what_lessons_import_is_in_the_reference_with_the_lessons_that_do(sources, pages):
    page = pages["reference/coursekit.metrics.html"]
    entry = page.find(id="coursekit.metrics.auc").find_parent("dl")
    told = entry.find("strong", string=re.compile("Used in lessons")).parent
    users = [lesson.number for lesson in LESSONS if ("coursekit.metrics", "auc") in reference.imports(lesson)]
    assert [int(link.text) for link in told.find_all("a")] == users
    assert len(users) > 3
    documented = {found for name in sources if name.startswith("reference/") for found in ids(sources[name])}
    functions = {
        f"{module}.{name}" for lesson in LESSONS for module, name in reference.imports(lesson) if not name.isupper()
    }
    assert functions <= documented


def test_links_to_lessons_that_follow_each_other_are_joined():
    joined = reference.linked([LESSONS[i] for i in (0, 1, 2, 4, 5, 8)])
    assert re.sub(r"\([^)]*\)", "", joined) == "[1] to [3], [5], [6], [9]"


# --- ladder, bibliography, glossary, formulae -------------------------------------------------------------------------


def table(page, i=0):
    rows = page.find_all("table")[i].find_all("tr")
    return [[cell.text.strip().replace("\u00a0", " ") for cell in row.find_all(["td", "th"])] for row in rows]


def test_the_ladder_has_every_tagger_with_its_numbers_beside_the_published_ones(pages):
    page = pages["ladder.html"]
    head, *rows = table(page)
    assert len(head) == 6
    assert [row[:5] for row in rows] == [
        [each.tagger, str(int(each.lesson)), str(each.trainings), *(str(e) for e in (each.auc, each.rejection))]
        for each in rungs(ROOT)
    ]
    beside = {row[0]: row[5] for row in rows}
    assert beside["LorentzNet"] == "LorentzNet: 498 ± 18"
    assert not beside["boosted trees"]
    assert all(rung.tagger in page.select_one("article img")["alt"] for rung in rungs(ROOT) if rung.seconds > 0)


def test_the_bibliography_has_what_the_lessons_cite_and_nothing_else(pages):
    works = read_toml(ROOT / "docs" / "bibliography.toml")["work"]
    cited = bibliography.citations(ROOT)
    assert not bibliography.complaints(works, cited)
    assert len(pages["bibliography.html"].select("article li a.external")) == len(works) == len(cited)
    missing, unused = bibliography.complaints([*works[1:], {"link": "https://arxiv.org/abs/1"}], cited)
    assert works[0]["link"] in missing
    assert unused.startswith("no lesson cites https://arxiv.org/abs/1:")


def test_lessons_lead_to_the_glossary_once_a_page(pages):
    known = terms.glossary_terms((ROOT / "docs" / "glossary.md").read_text(encoding="utf-8"))
    assert known == sorted(known, key=str.lower)
    linked = set()
    for lesson in LESSONS:
        targets = [tag["href"] for tag in lesson_page(pages, lesson).select("a:has(> .term)")]
        assert len(targets) == len({*targets}) > 5
        linked |= {unquote(target.partition("#term-")[2]) for target in targets}
    assert {"rejection", "jet", "kNN"} <= linked


def test_how_to_cite_is_what_the_citation_file_says(pages):
    entry = dict(re.findall(r"(\w+) = \{(.*)\},", pages["cite.html"].select_one("article pre").text))
    said = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert entry["title"] == f"{{{said['title']}}}"
    assert entry["url"] == said["repository-code"] == read_toml(ROOT / "course.toml")["repository"]
    assert entry["author"].strip("{}") == " and ".join(author["name"] for author in said["authors"])
    assert entry["version"] == __version__


def test_the_first_page_says_how_to_begin_and_has_every_lesson_with_its_time(pages):
    page = pages["index.html"]
    first = LESSONS[0]
    assert [(tag.text, tag["href"]) for tag in page.select("a.launch")] == first.badges
    assert f"git clone {read_toml(ROOT / 'course.toml')['repository']}.git" in page.select_one("article pre").text
    rows = table(page)[1:]
    assert [row[:2] for row in rows] == [[str(lesson.number), lesson.title] for lesson in LESSONS]
    assert all(re.fullmatch(r"\d+ min", row[2]) for row in rows)
    assert {row[3] for row in rows} == {"Colab · Binder"}
    assert page.select_one("article img")["src"].endswith("ladder.svg")


def test_all_formulae_are_translated_and_names_of_functions_stand_apart(sources):
    for name, text in sources.items():
        body = text.partition("<article")[2].partition("</article>")[0]
        words = re.sub(r"<(pre|code|math|script)\b.*?</\1>|<[^>]+>", "", body, flags=re.S)
        commands = "" if name.startswith("reference/") else r"|\\[a-zA-Z]{2,}\b"  # defaults there have line ends
        assert not re.search(rf"\$[^$\s][^$]*\${commands}", words), name
    assert formulae.mathml(r"y \ln p", False, None).count("<mspace") == 2
    assert formulae.mathml(r"\ln(p) + \log_{10} (p)", False, None).count("<mspace") == 0


@pytest.mark.parametrize("tex", [r"w \Big/ \sum_i w_i", r"x_1, \dots", "45°", r"\big\langle x \big\rangle"])
def test_formulae_of_the_lessons_are_translated(tex):
    assert "<math" in formulae.mathml(tex, True, None)


def test_a_formula_that_cannot_be_translated_is_a_warning(monkeypatch):
    told = []
    monkeypatch.setattr(
        formulae.logging, "getLogger", lambda name: type("Log", (), {"warning": lambda *a, **k: told.append(a)})
    )
    assert not formulae.mathml(r"\nonsense{x}", False, None)
    assert len(told) == 1


def test_a_lesson_of_a_course_that_is_published_elsewhere_has_no_badges():
    lesson = lessons.Lesson(ROOT, "01_reading")
    lesson.solution.cells[0].source = lessons.BADGE.sub("", lesson.solution.cells[0].source)
    first = lessons.page(lesson).cells[0].source
    assert "launch" not in first
    assert "the exercises" in first


def test_hints_are_read_as_the_exercises_have_them():
    assert lessons.Lesson(ROOT, "01_reading").hints() == {e.number: e.hints for e in exercises_of("01")}
