"""A student's first minutes in a real JupyterLab: run all, err, be told the mistake, get it right."""

import json
import os
import shutil
import subprocess
import sys
import time

import pytest

selenium = pytest.importorskip("selenium", reason="pip install selenium")
from selenium import webdriver  # noqa: E402
from selenium.webdriver import ActionChains, Keys  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not BROWSER and not os.environ.get("CI"), reason="needs Chromium or Chrome"),
]


@pytest.fixture
def server(root, tmp_path):
    """A JupyterLab server on a copy of the exercise notebooks; yields its address with the token."""
    shutil.copytree(root / "notebooks", tmp_path / "notebooks")
    settings = tmp_path / "settings" / "@jupyterlab" / "notebook-extension" / "tracker.jupyterlab-settings"
    settings.parent.mkdir(parents=True)
    settings.write_text(
        json.dumps({"windowingMode": "none"}), encoding="utf-8"
    )  # cells out of sight exist in the page, too
    environment = os.environ | {
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"),
        "JUPYTER_CONFIG_DIR": str(tmp_path / "config"),
        "JUPYTERLAB_SETTINGS_DIR": str(tmp_path / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(tmp_path / "workspaces"),
        "IPYTHONDIR": str(tmp_path / "ipython"),
    }
    environment.pop("COURSEKIT_BUILD", None)
    command = [
        sys.executable,
        "-m",
        "jupyter",
        "lab",
        "--no-browser",
        "--allow-root",
        "--port=0",
        "--ServerApp.root_dir=.",
    ]
    with (tmp_path / "server.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            command, cwd=tmp_path / "notebooks", env=environment, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        deadline = time.monotonic() + 60
        while not (found := list((tmp_path / "runtime").glob("jpserver-*.json"))):
            assert process.poll() is None, (tmp_path / "server.log").read_text(encoding="utf-8")
            assert time.monotonic() < deadline, (tmp_path / "server.log").read_text(encoding="utf-8")
            time.sleep(0.2)
        facts = json.loads(found[0].read_text(encoding="utf-8"))
        yield f"http://127.0.0.1:{facts['port']}/lab/tree/{{name}}?token={facts['token']}"
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture
def browser(tmp_path):
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--window-size=1400,1000",
        f"--user-data-dir={tmp_path / 'profile'}",
    ):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    yield driver
    driver.quit()


class Page:
    """The notebook as a student handles it: by clicking and typing."""

    def __init__(self, driver):
        self.driver = driver

    def wait(self, condition, seconds=90):
        return WebDriverWait(self.driver, seconds, 0.3).until(lambda _: condition())

    def cell(self, beginning):
        """The code cell whose text begins so."""
        for cell in self.driver.find_elements(By.CSS_SELECTOR, ".jp-Notebook .jp-CodeCell"):
            for text in cell.find_elements(By.CSS_SELECTOR, ".cm-content"):  # none in a cell that is folded
                if text.get_property("innerText").startswith(beginning):
                    return cell
        return None

    def output(self, beginning):
        areas = self.cell(beginning).find_elements(By.CSS_SELECTOR, ".jp-OutputArea-output")
        return "\n".join(area.get_property("innerText") for area in areas)

    def verdicts(self):
        text = "\n".join(
            area.get_property("innerText")
            for area in self.driver.find_elements(By.CSS_SELECTOR, ".jp-Notebook .jp-OutputArea-output")
        )
        return [line for line in text.splitlines() if line.startswith("[")]

    def run_all(self):
        self.menu("Run")
        self.menu("Run All Cells")

    def menu(self, label):
        def click():
            for item in self.driver.find_elements(By.CSS_SELECTOR, ".lm-MenuBar-itemLabel, .lm-Menu-itemLabel"):
                if item.is_displayed() and item.text == label:
                    item.click()
                    return True
            return False

        self.wait(click)

    def write_and_run(self, beginning, text):
        """Replace the text of a cell and run it."""
        editor = self.cell(beginning).find_element(By.CSS_SELECTOR, ".cm-content")
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", editor)
        editor.click()
        keys = ActionChains(self.driver)
        keys.key_down(Keys.CONTROL).send_keys("a").key_up(Keys.CONTROL).send_keys(text)
        keys.key_down(Keys.CONTROL).send_keys(Keys.ENTER).key_up(Keys.CONTROL).perform()

    def run(self, beginning):
        editor = self.cell(beginning).find_element(By.CSS_SELECTOR, ".cm-content")
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", editor)
        editor.click()
        ActionChains(self.driver).key_down(Keys.CONTROL).send_keys(Keys.ENTER).key_up(Keys.CONTROL).perform()


def test_a_student_errs_and_gets_it_right(server, browser):
    browser.get(server.format(name="01_reading.ipynb"))
    page = Page(browser)
    page.wait(lambda: page.cell('check("1.8"'))
    (folded,) = browser.find_elements(By.CSS_SELECTOR, ".jp-CodeCell .jp-InputPlaceholder")
    assert folded.is_displayed()  # the set-up

    page.run_all()
    page.wait(lambda: any("exercises solved" in page.output(c) for c in ["progress()"] if page.cell(c)))
    assert [line.split()[:2] for line in page.verdicts()] == [["[TODO]", f"1.{n}"] for n in range(1, 9)]

    page.write_and_run("mean = ...", "mean = mtw1.mean()\nstd = mtw1.var()")
    page.run('check("1.2"')
    page.wait(lambda: "[NOT YET] 1.2" in page.output('check("1.2"'))
    assert "This is the variance" in page.output('check("1.2"')
    assert "Hint 1 of 2" in page.output('check("1.2"')

    page.write_and_run("mean = mtw1.mean()", "mean = mtw1.mean()\nstd = mtw1.std()")
    page.run('check("1.2"')
    page.wait(lambda: "[PASS] 1.2" in page.output('check("1.2"'))
    assert "reference" not in page.output('check("1.2"')
