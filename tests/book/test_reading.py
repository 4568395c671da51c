"""The web book in a browser: one Chromium for all tests, and a server that has nothing but the book."""

import functools
import http.server
import os
import re
import shutil
import threading

import pytest

for name in ("bs4", "myst_nb", "sphinx_book_theme", "selenium"):
    pytest.importorskip(name, reason='pip install "coursekit[book,test]"')
from selenium import webdriver  # noqa: E402
from selenium.webdriver import ActionChains, Keys  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

from tests.axe import serious  # noqa: E402
from tests.test_browser import BROWSER  # noqa: E402

pytestmark = [
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


def troubles(driver, width):
    """What the browser complains of on a page, and whether that is wider than its window."""
    found = [line["message"] for line in driver.get_log("browser") if line["level"] in ("SEVERE", "WARNING")]
    wide = driver.execute_script("return document.documentElement.scrollWidth")
    return found + [f"{wide} pixels wide"] * (wide > width)


def wait(driver, condition, seconds=30):
    return WebDriverWait(driver, seconds, 0.1).until(lambda _: condition())


def test_pages_load_without_an_error_and_fit_a_phone(sources, server, visit):
    names = [name for name in sources if not name.startswith("reference/")]
    names += [name for name in sources if name.startswith("reference/")][::12]
    assert len(names) > 30
    found = {name: troubles(visit(name, 390), 390) for name in names}
    assert not {name: told for name, told in found.items() if told}
    assert not server.missing


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("page", SOME)
def test_nothing_keeps_people_from_reading(visit, page, theme):
    assert not serious(visit(page, theme=theme))


@pytest.mark.long
@pytest.mark.parametrize(("theme", "width"), [("light", 1400), ("dark", 390)])
def test_nothing_is_wrong_with_any_page(sources, server, visit, theme, width):
    found = {name: troubles(visit(name, width, theme), width) + serious(visit(name, width, theme)) for name in sources}
    assert not {name: told for name, told in found.items() if told}
    assert not server.missing


def test_formulae_are_drawn(visit):
    driver = visit("lessons/04_first_network.html")
    heights = "return [...document.querySelectorAll('math')].map((tag) => tag.getBoundingClientRect().height)"
    assert min(driver.execute_script(heights)) > 5
    heights = "return [...document.querySelector('munder').children].map((tag) => tag.getBoundingClientRect().y)"
    total, index = driver.execute_script(heights)
    assert index > total


def test_the_search_finds_rejection(visit):
    driver = visit("search.html?q=rejection")
    results = "return [...document.querySelectorAll('#search-results li a')].map((link) => link.innerText)"
    wait(driver, lambda: "Search finished" in driver.find_element("css selector", "#search-results").text)
    assert {"Glossary", "11 · Graphs, transformers and symmetry"} <= {*driver.execute_script(results)}
    assert not troubles(driver, 1400)


def test_in_the_dark_the_page_is_dark_and_figures_keep_their_paper(visit):
    driver = visit("lessons/03_splitting.html")
    colour = "return getComputedStyle(document.querySelector(arguments[0])).backgroundColor"
    assert driver.execute_script(colour, "body") == "rgb(255, 255, 255)"
    for button in (".theme-switch-button", ".theme-change-button[data-mode=dark]"):  # the menu, and what it offers
        found = driver.find_elements("css selector", button)
        wait(driver, lambda found=found: [each.send_keys(Keys.ENTER) for each in found if each.is_displayed()])
    assert sum(map(int, re.findall(r"\d+", driver.execute_script(colour, "body"))[:3])) < 100
    assert driver.execute_script(colour, ".cell_output img") == "rgb(255, 255, 255)"


def test_the_keyboard_alone_reaches_navigation_search_and_folds(visit):
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
