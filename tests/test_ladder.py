"""The ladder is what the kept scores say, and its drawing shows it."""

import math
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from coursekit.ladder import PICTURE, drawing, ladder
from coursekit.metrics import auc

ROOT = Path(__file__).parents[1]
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def rungs():
    return ladder(ROOT)


def test_the_auc_of_each_is_that_of_scikit_learn(rungs):
    with np.load(ROOT / "data" / "clouds.npz") as kept:
        for rung in rungs:
            rows = (kept["taggers"] == rung.tagger) & (kept["sizes"] == 12_000)
            if rung.lesson == "11":
                areas = [roc_auc_score(kept["labels"], scores) for scores in kept["scores"][rows].astype(float)]
                assert len(areas) == rung.trainings
                assert rung.auc.value == pytest.approx(np.mean(areas), abs=1e-6)
                counting = auc(kept["labels"], kept["scores"][rows][0].astype(float)).error
                training = np.std(areas, ddof=1) / len(areas) ** 0.5
                assert rung.auc.error == pytest.approx(math.hypot(counting, training), rel=1e-3)


def test_no_tagger_stands_twice_and_the_best_stands_first(rungs):
    names = [rung.tagger for rung in rungs]
    assert len(set(names)) == len(names)
    assert {"mass, mean pT", "CNN", "EFN", "PFN", "ParticleNet", "LorentzNet"} <= set(names)
    assert [rung.auc.value for rung in rungs] == sorted((rung.auc.value for rung in rungs), reverse=True)


def test_the_drawing_is_the_committed_one_and_says_what_it_shows(rungs):
    text = drawing(ROOT)
    assert text == (ROOT / PICTURE).read_text(encoding="utf-8")
    picture = ET.fromstring(text)
    timed = [rung for rung in rungs if not math.isnan(rung.seconds)]
    for rung in timed:
        assert (
            f"{rung.tagger} {rung.rejection.value:.0f} ± {rung.rejection.error:.0f}" in picture.find(SVG + "desc").text
        )
    assert len(picture.findall(SVG + "circle")) == len(timed)


def test_what_rejects_more_stands_higher_and_what_takes_longer_stands_to_the_right(rungs):
    circles = ET.fromstring(drawing(ROOT)).findall(SVG + "circle")
    timed = sorted((r for r in rungs if not math.isnan(r.seconds)), key=lambda r: r.rejection.value)
    across, up = ([float(circle.get(axis)) for circle in circles] for axis in ("cx", "cy"))
    assert up == sorted(up, reverse=True)
    assert np.argsort(across).tolist() == np.argsort([rung.seconds for rung in timed]).tolist()


def test_no_two_names_lie_on_each_other():
    names = [t for t in ET.fromstring(drawing(ROOT)).findall(SVG + "text") if not t.get("text-anchor")]
    places = [(float(name.get("x")), float(name.get("y"))) for name in names]
    for i, (x, y) in enumerate(places):
        assert all(abs(y - other) >= 16 or abs(x - at) > 120 for at, other in places[:i])


def luminance(colour):
    parts = [
        int(each, 16) / (255 if len(colour) > 3 else 15)
        for each in re.findall(".." if len(colour) > 3 else ".", colour)
    ]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_it_can_be_read_on_its_own_paper_by_day_and_by_night():
    style = ET.fromstring(drawing(ROOT)).find(SVG + "style").text
    for half in style.split("@media (prefers-color-scheme: dark)"):
        (paper,) = re.findall(r"svg \{ background: #(\w+)", half)
        for name, least in (("text", 4.5), ("dot", 3), ("axis, .tick", 3)):  # what WCAG asks of text and of lines
            (colour,) = re.findall(rf"{re.escape(name)} \{{ (?:fill|stroke): #(\w+)", half)
            dark, light = sorted((luminance(paper), luminance(colour)))
            assert (light + 0.05) / (dark + 0.05) >= least, name
