"""The timetable is that of the lessons, its plans can be followed, and no long lesson is without a break."""

import re

import pytest

from coursekit import authoring, timetable
from tests import toy
from tests.conftest import LESSONS, ROOT

PAGE = "<!-- timetable: -->\n<!-- end of timetable -->\n<!-- plan by day: 1 -->\n<!-- end of plan -->\nend\n"
SECTION = re.compile(rf"^# {timetable.BREAK}\n#\n((?:# .+\n)+)#\n# ## ", re.M)


@pytest.fixture(scope="module")
def entries():
    return [timetable.entry(authoring.read_lesson(folder / "lesson.py")) for folder in LESSONS]


def test_the_page_is_what_the_lessons_say(entries):
    text = (ROOT / timetable.PAGE).read_text(encoding="utf-8")
    assert text == timetable.page(ROOT), "run `coursekit build`"
    for found in entries:  # each stands in the table and in the term
        assert len(re.findall(rf"\b{found.number:02d}\b", text)) >= 2
    needed = {number for found in entries for number in found.needs}
    spare = re.search(r"no other lesson needs: ([\d, ]+)\.", text)[1]
    assert set(map(int, spare.split(", "))) == {found.number for found in entries} - needed


def test_a_lesson_longer_than_ninety_minutes_has_a_break_where_it_helps(entries):
    for found in entries:
        if found.minutes > 90:
            assert 0.25 < found.until_break / found.minutes < 0.75, f"{found.title}: {timetable.BREAK!r}"


def test_a_break_says_what_stands_and_what_comes():
    for folder in LESSONS:
        text = (folder / "lesson.py").read_text(encoding="utf-8")
        said = SECTION.findall(text)
        assert len(said) == text.count(timetable.BREAK) <= 1, folder
        assert all(sentences.count("\n") == 2 for sentences in said), said


@pytest.mark.parametrize(
    ("need", "needs", "helps"),
    [
        ("Python and a little NumPy.", (), ()),
        ("lessons 2 and 3: weights, three parts.", (2, 3), ()),
        ("lesson 1 (trees), lesson 3 (4 parts) and lesson 4 (the network).", (1, 3, 4), ()),
        ("lesson 8, the taggers to beat; lesson 4, if losses are new to you.", (8,), (4,)),
        ("lessons 1, 2 and 12.\n# Lesson 6 shows more.", (1, 2, 12), ()),
    ],
)
def test_what_a_lesson_needs_is_read_from_its_text(clone, need, needs, helps):
    toy.edit(clone, "# **Time:**", f"# **You need** {need}\n#\n# **Time:**")
    found = timetable.entry(toy.lesson(clone))
    assert (found.minutes, found.until_break, found.needs, found.helps) == (5, 0, needs, helps)


def test_the_minutes_until_the_break_count_exercises_and_words(clone):
    text = "# ### Your turn 1.1 · 30 min · ★\n#\n# ## A good place for a break\n#\n# ### Your turn 1.2 · 10 min · ★"
    toy.edit(clone, "5 minutes", f"100 minutes\n#\n# **You need** nothing.\n#\n{text}")
    assert 40 < timetable.entry(toy.lesson(clone)).until_break < 80


def test_a_plan_that_cannot_be_followed_is_refused(clone):
    toy.edit(clone, "# **Time:**", "# **You need** nothing.\n#\n# **Time:**")
    path = clone / timetable.PAGE
    path.parent.mkdir()
    path.write_text(PAGE, encoding="utf-8")
    written = timetable.page(clone)
    assert "| 01 | Toy | 5 |  |  |" in written
    assert "| 1 | 01 **Toy**, 5 minutes | 5 |" in written
    path.write_text(written, encoding="utf-8")
    assert timetable.page(clone) == written
    path.write_text(PAGE.replace("day: 1", "day: 1 | 2"), encoding="utf-8")
    with pytest.raises(authoring.BuildError, match="a plan has lesson 2, and the lessons are 1"):
        timetable.page(clone)
    path.write_text("nothing", encoding="utf-8")
    with pytest.raises(authoring.BuildError, match="needs the lines `<!-- timetable"):
        timetable.page(clone)
    path.write_text(PAGE, encoding="utf-8")
    toy.edit(clone, "nothing.", "lesson 7.")
    with pytest.raises(authoring.BuildError, match="a plan has lesson 1, which needs lesson 7 before it"):
        timetable.page(clone)
    toy.edit(clone, "**You need** lesson 7.", "Nothing is said.")
    with pytest.raises(authoring.BuildError, match=r"the timetable needs a line `\*\*You need\*\*"):
        timetable.page(clone)
