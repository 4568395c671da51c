"""The web book: built once without running anything, complete, without a broken link, and legible for everybody."""

import functools
import html
import http.server
import os
import re
import shutil
import subprocess
import sys
import threading
from importlib.util import find_spec
from pathlib import Path
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
from tests.test_browser import BROWSER  # noqa: E402

sys.path.append(str(ROOT / "docs"))
from extension import bibliography, formulae, lessons, reference, terms  # noqa: E402

LESSONS = lessons.lessons(ROOT)
NOWHERE = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")


@pytest.fixture(scope="session")
def book(tmp_path_factory):
    """The folder with the pages, as `make book` builds them, on a machine that reaches no other."""
    folder = tmp_path_factory.mktemp("book")
    command = [sys.executable, "-m", "sphinx", "-M", "html", "docs", folder, "-q", "--keep-going", "--fail-on-warning"]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | NOWHERE, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return (folder / "html").resolve()


@pytest.fixture(scope="session")
def sources(book):
    """The HTML of each page by its path."""
    paths = [path for path in sorted(book.rglob("*.html")) if "_static" not in path.parts]
    return {path.relative_to(book).as_posix(): path.read_text(encoding="utf-8") for path in paths}


@pytest.fixture(scope="session")
def pages(sources):
    """Each page by its path, read when it is asked for."""

    class Pages(dict):
        def __missing__(self, name):
            self[name] = BeautifulSoup(sources[name], "html.parser")
            return self[name]

    return Pages()


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


# --- in a browser -----------------------------------------------------------------------------------------------------

in_a_browser = [
    pytest.mark.browser,
    pytest.mark.skipif(not BROWSER and not os.environ.get("CI"), reason="needs Chromium or Chrome"),
]
#: A page of each kind, for what takes seconds a page; all pages are tried with -m long.
SOME = ["index.html", "lessons/03_splitting.html", "ladder.html", "reference/coursekit.metrics.html", "search.html"]
#: No page may ask for anything from elsewhere: no other name leads anywhere, and the browser complains.
FLAGS = ["headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "disable-background-networking"]
FLAGS += ["host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves the book, and keeps what was asked for in vain."""

    def log_message(self, *words):
        """Say nothing."""

    def send_error(self, code, *words):
        self.server.missing.append(self.path)
        super().send_error(code, *words)


@pytest.fixture(scope="module")
def server(book):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=book)) as server:
        server.missing = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for flag in (*FLAGS, f"user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(f"--{flag}")
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    driver.set_script_timeout(300)
    yield driver
    driver.quit()


@pytest.fixture
def visit(server, browser):
    """Open a page in a window of some width, on a screen that is light or dark, as if for the first time."""

    def visit(page, width=1400, theme="light"):
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        wishes = {"prefers-color-scheme": theme, "prefers-reduced-motion": "reduce"}
        features = [{"name": name, "value": value} for name, value in wishes.items()]
        origin = f"http://127.0.0.1:{server.server_port}"
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        browser.execute_cdp_cmd("Storage.clearDataForOrigin", {"origin": origin, "storageTypes": "local_storage"})
        browser.get(f"{origin}/{page}")
        return browser

    return visit


def troubles(driver):
    """What the browser complains of on a page, and whether it is wider than its window."""
    found = [line["message"] for line in driver.get_log("browser") if line["level"] in ("SEVERE", "WARNING")]
    wide, window = driver.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
    return found + [f"{wide} pixels wide"] * (wide > window)


def serious(driver):
    """What axe says keeps people from reading the page, with all folds open."""
    driver.execute_script("document.querySelectorAll('article details').forEach((fold) => (fold.open = true))")
    package = find_spec("axe_playwright_python")  # which would import playwright, another browser's driver
    driver.execute_script(Path(package.origin).with_name("axe.min.js").read_text(encoding="utf-8"))
    found = driver.execute_async_script(
        "axe.run({resultTypes: ['violations'], preload: false}).then((found) => arguments[0](found.violations))"
    )
    return [(v["id"], v["nodes"][0]["html"][:150]) for v in found if v["impact"] in ("serious", "critical")]


def wait(driver, condition, seconds=30):
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(driver, seconds, 0.1).until(lambda _: condition())


class TestInABrowser:
    """One Chromium for all, and a server that has nothing but the book."""

    pytestmark = in_a_browser

    def test_pages_load_without_an_error_and_fit_a_phone(self, sources, server, visit):
        names = [name for name in sources if not name.startswith("reference/")]
        names += [name for name in sources if name.startswith("reference/")][::12]
        assert len(names) > 30
        found = {name: troubles(visit(name, width=390)) for name in names}
        assert not {name: told for name, told in found.items() if told}
        assert not server.missing

    @pytest.mark.parametrize("theme", ["light", "dark"])
    @pytest.mark.parametrize("page", SOME)
    def test_nothing_keeps_people_from_reading(self, visit, page, theme):
        assert not serious(visit(page, theme=theme))

    @pytest.mark.long
    @pytest.mark.parametrize(("theme", "width"), [("light", 1400), ("dark", 390)])
    def test_nothing_is_wrong_with_any_page(self, sources, server, visit, theme, width):
        found = {name: troubles(visit(name, width, theme)) + serious(visit(name, width, theme)) for name in sources}
        assert not {name: told for name, told in found.items() if told}
        assert not server.missing

    def test_formulae_are_drawn(self, visit):
        driver = visit("lessons/04_first_network.html")
        heights = "return [...document.querySelectorAll('math')].map((tag) => tag.getBoundingClientRect().height)"
        assert min(driver.execute_script(heights)) > 5
        heights = "return [...document.querySelector('munder').children].map((tag) => tag.getBoundingClientRect().y)"
        total, index = driver.execute_script(heights)
        assert index > total

    def test_the_search_finds_rejection(self, visit):
        driver = visit("search.html?q=rejection")
        results = "return [...document.querySelectorAll('#search-results li a')].map((link) => link.innerText)"
        wait(driver, lambda: "Search finished" in driver.find_element("css selector", "#search-results").text)
        assert {"Glossary", "11 · Graphs, transformers and symmetry"} <= {*driver.execute_script(results)}
        assert not troubles(driver)

    def test_in_the_dark_the_page_is_dark_and_figures_keep_their_paper(self, visit):
        from selenium.webdriver import Keys

        driver = visit("lessons/03_splitting.html")
        colour = "return getComputedStyle(document.querySelector(arguments[0])).backgroundColor"
        assert driver.execute_script(colour, "body") == "rgb(255, 255, 255)"
        for button in (".theme-switch-button", ".theme-change-button[data-mode=dark]"):  # the menu, and what it offers
            found = driver.find_elements("css selector", button)
            wait(driver, lambda found=found: [each.send_keys(Keys.ENTER) for each in found if each.is_displayed()])
        assert sum(map(int, re.findall(r"\d+", driver.execute_script(colour, "body"))[:3])) < 100
        assert driver.execute_script(colour, ".cell_output img") == "rgb(255, 255, 255)"

    def test_the_keyboard_alone_reaches_navigation_search_and_folds(self, visit):
        from selenium.webdriver import ActionChains, Keys

        driver = visit("lessons/03_splitting.html")
        name = "const e = document.activeElement; return e.tagName + ' ' + (e.ariaLabel || e.innerText)"
        reached = [""]
        while not reached[-1].startswith("SUMMARY Show the answer") and len(reached) < 100:
            ActionChains(driver).send_keys(Keys.TAB).perform()
            reached.append(driver.execute_script(name))
        wanted = ["A Skip to main", "BUTTON Search", "A 4 · A first network", "BUTTON Toggle primary sidebar"]
        wanted += ["BUTTON Color mode", "A Open in Colab", "SUMMARY Hint 1", "SUMMARY Show the answer to 3.1"]
        places = [next((i for i, words in enumerate(reached) if words.startswith(start)), -1) for start in wanted]
        assert places == sorted(places)
        assert places[0] > 0
        fold = "return document.activeElement.parentElement.open"
        assert not driver.execute_script(fold)
        ActionChains(driver).send_keys(Keys.ENTER).perform()
        assert driver.execute_script(fold)
        ActionChains(driver).key_down(Keys.CONTROL).send_keys("k").key_up(Keys.CONTROL).perform()
        wait(driver, lambda: driver.execute_script("return document.activeElement.tagName") == "INPUT")
        ActionChains(driver).send_keys("rejection", Keys.ENTER).perform()
        wait(driver, lambda: "q=rejection" in driver.current_url)
