"""The page on a class, in a browser: whoever reads it, on whatever screen, and whatever names and answers are on it."""

import sys
from dataclasses import asdict

import pytest

if sys.platform != "linux":
    pytest.skip("submissions are judged on Linux only", allow_module_level=True)

from coursekit.grading import report
from coursekit.grading.isolation import Limits, Walls
from tests.axe import serious
from tests.test_browser import browser, pytestmark  # noqa: F401

HOSTILE = "<script>document.title = 'owned'</script><img src=x onerror=\"document.title = 'owned'\">"
NAMES = ["=cmd|' /C calc'!A0", HOSTILE, "x" * 200, 'Ünïcödé & "quotes"', *(f"Student {n}" for n in range(8))]
SIZES = {
    "phone": {"width": 390, "height": 844, "mobile": True},
    "desk": {"width": 1400, "height": 1000, "mobile": False},
}


def row(number, verdict):
    said = f"{HOSTILE} {'y' * 300}" if verdict in ("NOT YET", "REFUSED") else ""
    points = {"points": 2 * (verdict == "PASS"), "out_of": 2}
    remarks = ["z" * 300] if verdict == "REFUSED" else []
    return {"exercise": f"1.{number + 1}", "verdict": verdict, "reason": said, "mistake": said, "remarks": remarks} | {
        "shown": "", "tries": number or None
    } | points  # fmt: skip


def a_class():
    asked = {"goal": "a column normalised", "points": 2}
    exercises = [{"exercise": f"1.{n + 1}", "hidden": n % 2 > 0} | asked for n in range(8)]
    of = {"notebook": "any.ipynb", "lesson": 1, "problem": "", "out_of": 16}
    students = []
    for at, name in enumerate(NAMES):
        rows = [row(number, report.VERDICTS[(at + number) % len(report.VERDICTS)]) for number in range(8)]
        students.append(of | {"student": name, "exercises": rows, "points": sum(one["points"] for one in rows)})
    problem = of | {"student": HOSTILE, "notebook": f"{HOSTILE}.ipynb", "problem": "it is not a notebook", "points": 0}
    return {
        "schema": 1,
        "coursekit": "1.0",
        "seed": 20,
        "limits": asdict(Limits()),
        "walls": asdict(Walls()),
        "lessons": [{"lesson": 1, "title": "1 · Reading", "exercises": exercises}],
        "submissions": [*students, problem | {"exercises": []}],
    }


def test_the_page_fits_every_screen_and_runs_nothing_of_the_students(browser, tmp_path):  # noqa: F811
    report.write_html(a_class(), tmp_path / "grades.html")
    browser.set_script_timeout(120)
    for theme in ("light", "dark"):
        media = {"features": [{"name": "prefers-color-scheme", "value": theme}]}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        for name, size in SIZES.items():
            browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size | {"deviceScaleFactor": 1})
            browser.get((tmp_path / "grades.html").as_uri())
            found = serious(browser)  # with all folds open
            wide, page = browser.execute_script("return [document.documentElement.scrollWidth, document.title]")
            assert page == "A class, graded"
            assert wide <= size["width"], (theme, name)
            assert found == [], (theme, name)
    assert browser.get_log("browser") == []
