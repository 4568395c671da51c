"""Marks in the text: filled, compared, refused."""

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from coursekit import authoring, data, figure, prose, setup
from coursekit.reproducing import differences
from tests.toy import build, edit, sources

SHOWN = """\
AUC: 0.972 ± 0.003
share: 0.0716 ± 0.0021
share [%]: 7.16 ± 0.21
times faster: about 21, give or take 8
mean of mtw1: 61.23 GeV
events: 60000
shift: -1234.5
events by part: (36000, 12000, 12000)
best input: mth
all there: True
C = 1: 0.91
run: 3
run: 5
twice: 7
twice: 7
jet 1: pT: 31.5 GeV
"""


def filled(text, tmp_path, shown=SHOWN):
    """What becomes of a cell, and what is wrong with it."""
    cell = new_code_cell(outputs=[new_output("stream", text=shown)])
    notebook = new_notebook(cells=[new_markdown_cell(text), cell])
    wrong = prose.fill([notebook], prose.printed(notebook), tmp_path / "figures.toml")
    return notebook.cells[0].source, wrong


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It has {{AUC}}.", "It has 0.972 ± 0.003."),
        ("{{share [%]}} of them", "(7.16 ± 0.21)% of them"),
        ("{{times faster}} times", "about 21 times"),
        ("{{mean of mtw1}}", "61.23 GeV"),
        ("{{events}}", "60\u00a0000"),
        ("{{shift}}", "−1234.5"),
        ("{{events by part[0]}}, {{events by part[2]}}", "36\u00a0000, 12\u00a0000"),
        ("{{C = 1}} and {{0.9 = C = 1}}", "0.91 and 0.9"),
        ("{{run #2}} and {{twice}}", "5 and 7"),
        ("{{jet 1: pT}}", "31.5 GeV"),
        ("{{0.97 = AUC}}", "0.97"),
        ("{{0.97 ± 0.00 = AUC}}", "0.97 ± 0.00"),
        ("{{0.972 ± 0.003 = AUC}}", "0.972 ± 0.003"),
        ("{{7% = share}}, {{7% = share [%]}}, {{7 = share [%]}}", "7%, 7%, 7"),
        ("{{60 000 = events}}, {{60 000 events = events}}", "60 000, 60 000 events"),
        ("{{61 GeV = mean of mtw1}}, {{61 = mean of mtw1}}", "61 GeV, 61"),
        ("{{−1234 = shift}}", "−1234"),  # half a unit is still within
        ("{{a fourteenth = 0.0714 = share}}", "a fourteenth"),
        ("{{a twelfth = 0.083 within 0.02 = share}}", "a twelfth"),
        ("{{some twenty = 20 within 5 = times faster}}", "some twenty"),
        ("{{less than a tenth = < 0.1 = share}}, {{over 5% = > 5% = share}}", "less than a tenth, over 5%"),
        ("{{between 7 and 8% = 7 to 8 = share [%]}}", "between 7 and 8%"),
        ("{{`mth` = best input}}, {{all = True = all there}}", "`mth`, all"),
        ("$x_{{i}}$, `f'{{x}}'`, \\$5 and {{run #1}}", "$x_{{i}}$, `f'{{x}}'`, \\$5 and 3"),
        ("$$\\frac{{1}}{2}$$\n```\n{{x}}\n```", "$$\\frac{{1}}{2}$$\n```\n{{x}}\n```"),
    ],
)
def test_a_mark_becomes_what_was_printed_or_what_agrees_with_it(text, expected, tmp_path):
    assert filled(text, tmp_path) == (expected, [])


@pytest.mark.parametrize(
    ("text", "left", "words"),
    [
        ("A {{0.971 = AUC}}.", "A 0.971.", "'A {{0.971 = AUC}}.': it states '0.971', and 'AUC' is printed as '0.972 ±"),
        ("{{0.98 = AUC}}", "0.98", "states '0.98'"),
        ("{{0.972 ± 0.002 = AUC}}", "0.972 ± 0.002", "printed as '0.972 ± 0.003'"),
        ("{{60000 ± 1 = events}}", "60000 ± 1", "printed as '60000'"),
        ("{{a twelfth = 0.083 = share}}", "a twelfth", "states 'a twelfth = 0.083'"),
        ("{{8% = share}}", "8%", "states '8%'"),
        ("{{7 = share}}", "7", "states '7'"),
        ("{{61 MeV = mean of mtw1}}", "61 MeV", "in MeV, not in GeV"),
        ("{{over a tenth = > 0.1 = share}}", "over a tenth", "> 0.1"),
        ("{{few = 8 to 9 = share [%]}}", "few", "8 to 9"),
        ("{{`ptll` = best input}}", "`ptll`", "printed as 'mth'"),
        ("{{none = False = all there}}", "none", "printed as 'True'"),
        ("{{few = share}}", "few", "words need a number"),
        ("{{few = several = share}}", "few", "after words comes NUMBER"),
        ("{{a = 1 = 2 = share}}", "a", "states 'a = 1 = 2'"),
        ("{{auc}}", "...", "nothing is printed as 'auc'; did you mean 'AUC'?"),
        ("{{run}}", "...", "'run' is printed as 3 and as 5: say which, {{run #1}}"),
        ("{{run #3}}", "...", "printed 2 times, got #3"),
        ("{{events[0]}}", "...", "has no entry [0]"),
        ("{{events by part[3]}}", "...", "has no entry [3]"),
        ("$Z = {{AUC}}$", "$Z = {{AUC}}$", "not filled within a formula or code"),
        ("{{AUC\n}}", "{{AUC\n}}", "begins or ends no mark"),
        ("{{AUC}", "{{AUC}", "begins or ends no mark"),
    ],
)
def test_what_does_not_agree_is_named(text, left, words, tmp_path):
    made, wrong = filled(text, tmp_path)
    assert made == left
    assert words in wrong[0]
    assert "\n" not in "".join(wrong)


def test_alt_texts_state_and_are_compared(tmp_path, monkeypatch):
    folder = tmp_path / "lessons" / "77_toy"
    folder.mkdir(parents=True)
    path = folder / "figures.toml"
    path.write_text('curve = """\nIt reaches {{0.97 = AUC}},\n$x_{{i}}$.\n"""\n', encoding="utf-8")
    assert prose.fill([], {"AUC": ["0.972 ± 0.003"]}, path) == []
    (wrong,) = prose.fill([], {"AUC": ["0.985 ± 0.003"]}, path)
    assert wrong.startswith("figure curve: 'It reaches {{0.97 = AUC}},': it states '0.97', and 'AUC' is printed as")
    monkeypatch.setenv("COURSEKIT_ROOT", str(tmp_path))
    monkeypatch.setattr(data, "ensure", lambda lesson: None)
    monkeypatch.chdir(tmp_path)
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, **kwargs: shown.append(bundle))
    setup("77")
    with figure("curve"):
        pass
    assert shown[0]["text/plain"] == "It reaches 0.97, $x_{{i}}$."
    path.write_text('curve = "It reaches {{AUC}}."\n', encoding="utf-8")
    (wrong,) = prose.fill([], {"AUC": ["0.972 ± 0.003"]}, path)
    assert wrong == "figure curve: {{AUC}} cannot be filled, state the number: {{NUMBER = NAME}}"


@pytest.mark.lessons
def test_a_build_fills_both_notebooks_compares_and_reports(clone):
    edit(clone, 'show("only in the solution", mean, 3)', 'show("mean", mean, 3, error=0.2)\nshow("last", x[-1], 1)')
    text = "The mean is {{mean}}, about {{2.5 = mean}}, the last is {{4 = last}}."
    edit(clone, '# %%\nwith figure("line")', f'# %% [markdown]\n# {text}\n\n# %%\nwith figure("line")')
    build(clone)
    for name in ("notebooks", "solutions"):  # on another machine it was a bit more, within the error
        path = clone / name / "01_toy.ipynb"
        assert "The mean is 2.500 ± 0.200, about 2.5, the last is 4." in sources(nbformat.read(path, as_version=4))
        path.write_text(path.read_text(encoding="utf-8").replace("2.500 ±", "2.510 ±"), encoding="utf-8")
    build(clone, output=clone / "out", kept=clone)
    for path in ("notebooks/01_toy.ipynb", "solutions/01_toy.ipynb"):
        assert not differences(clone / path, clone / "out" / path)

    said = []
    build(clone, output=clone / "out", parameters={"quick": False}, say=said.append)
    made = sources(nbformat.read(clone / "out/notebooks/01_toy.ipynb", as_version=4))
    assert "The mean is 25.000 ± 0.200, about 2.5, the last is 4." in made
    assert [line.split(": ")[0] for line in said[-1].splitlines()[1:]] == 2 * ["01_toy, with these parameters"]
    assert said[-1].endswith(f"{text!r}: it states '4', and 'last' is printed as '40.0'")

    before = (clone / "solutions" / "01_toy.ipynb").read_text(encoding="utf-8")
    edit(clone, "{{4 = last}}", "{{5 = last}}")
    with pytest.raises(authoring.BuildError, match=r"its text is not what it prints:\n'The mean .* printed as '4\.0'"):
        build(clone)
    assert (clone / "solutions" / "01_toy.ipynb").read_text(encoding="utf-8") == before


def test_what_stands_in_the_readme_takes_no_marks(clone):
    edit(clone, "# # 1 · Toy", "# # 1 · Toy {{last}}")
    with pytest.raises(authoring.BuildError, match=r"stand in README\.md, too, and take no \{\{marks\}\}"):
        authoring.read_lesson(clone / "lessons" / "01_toy" / "lesson.py")
