"""What axe, which knows the rules of accessible pages, says of the page that a browser shows."""

from importlib.util import find_spec
from pathlib import Path


def serious(driver):
    """What axe says keeps people from reading the page, with all folds open."""
    driver.execute_script("document.querySelectorAll('details').forEach((fold) => (fold.open = true))")
    package = find_spec("axe_playwright_python")  # which would import playwright, another browser's driver
    driver.execute_script(Path(package.origin).with_name("axe.min.js").read_text(encoding="utf-8"))
    found = driver.execute_async_script(
        "axe.run({resultTypes: ['violations'], preload: false}).then((found) => arguments[0](found.violations))"
    )
    return [(v["id"], v["nodes"][0]["html"][:150]) for v in found if v["impact"] in ("serious", "critical")]
