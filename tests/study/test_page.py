"""The page holds everything itself, says what it cannot draw, and keeps its files beside it."""

import re

import numpy as np
import pandas as pd
import pytest

from coursekit.metrics import Estimate
from coursekit.study.report.page import Label, Page


@pytest.fixture
def page(tmp_path):
    page = Page(
        tmp_path, "A <study>", ("png", "pdf", "svg"), facts={"run": "toy/v01"}, label=Label("ATLAS", "Internal")
    )
    page.section("Results & more", "What there is.")
    with page.figure("roc", "A curve.", alt="It rises.") as ax:
        ax.plot([0, 1], [0, 1], label="a line")
    table = pd.DataFrame({"AUC": [Estimate(0.9, 0.01), Estimate(0.8, 0.02)], "n": [1, 2]}, index=["a", "b"])
    page.add("auc", "A table.", table=table)
    page.note("nothing passes")
    page.result("AUC", Estimate(0.9, 0.01))
    return page


def test_needs_no_other_file(page):
    text = page.save("job: {name: <toy>}").read_text(encoding="utf-8")
    assert not re.search(r"https?:|src=\"(?!data:)|@import|url\(|<script|<link", text)
    assert "A &lt;study&gt;" in text
    assert "&lt;toy&gt;" in text
    assert 'alt="It rises."' in text
    assert "0.900 ± 0.010" in text
    assert "nothing passes" in text
    assert all(f'href="#{anchor}"' in text for anchor in ("results", "section-results-more", "study"))
    for link in re.findall(r'href="([^#"]+)"', text):
        assert (page.folder / link).is_file()


def test_the_files_of_a_figure_and_a_table(page):
    names = {file.relative_to(page.folder).as_posix() for file in page.folder.rglob("*.*")}
    assert names == {"figures/roc.png", "figures/roc.pdf", "figures/roc.svg", "tables/auc.csv"}
    table = pd.read_csv(page.folder / "tables" / "auc.csv", index_col=0)
    assert table.columns.tolist() == ["AUC", "AUC error", "n"]
    assert table.loc["b", "AUC error"] == 0.02


def test_the_label_is_on_every_figure(page):
    svg = (page.folder / "figures" / "roc.svg").read_text(encoding="utf-8")
    assert "<!-- ATLAS -->" in svg
    assert "<!-- Internal -->" in svg


def test_a_figure_is_the_same_file_again(page, tmp_path):
    with page.figure("again", "A curve.") as ax:
        ax.plot([0, 1], [0, 1], label="a line")
    first, again = (tmp_path / "figures" / f"{name}.pdf" for name in ("roc", "again"))
    assert first.read_bytes() == again.read_bytes()


@pytest.mark.parametrize(
    ("name", "caption", "table"), [("roc", "c", 1), ("a/b", "c", 1), ("x", " ", 1), ("x", "c", None)]
)
def test_refuses_what_it_cannot_name_or_explain(page, name, caption, table):
    with pytest.raises(ValueError, match=name):
        page.add(name, caption, table=None if table is None else pd.DataFrame({"n": [1]}))


def test_a_section_comes_first_and_a_result_once(page, tmp_path):
    with pytest.raises(ValueError, match="begin with page"):
        Page(tmp_path, "x").note("x")
    with pytest.raises(ValueError, match="already"):
        page.result("AUC", 1)


def test_missing_numbers_are_dashes(page):
    page.add("gaps", "With gaps.", table=pd.DataFrame({"x": [np.nan, 1.23456]}))
    text = page.save().read_text(encoding="utf-8")
    assert "<td>–</td>" in text
    assert "<td>1.235</td>" in text
