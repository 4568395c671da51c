"""How long the lessons take and which need which, as tables in ``docs/timetable.md``.

The page is written by hand but for its tables, which stand between two marks each and come from the lessons' own lines
on the time and on what one needs. A plan names its lessons in its first mark,
``<!-- plan by day: 1 2 3 4 | 6 8 9 -->``: none may come before one that it needs.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from coursekit.answers import BuildError
from coursekit.authoring import Lesson, read_lesson, select

__all__ = ["BREAK", "PAGE", "Entry", "entry", "page"]

PAGE = Path("docs") / "timetable.md"
#: The heading at which a long lesson is interrupted.
BREAK = "## A good place for a break"
_LESSONS = re.compile(r"(<!-- timetable: [^\n]*-->\n).*?(<!-- end of timetable -->)", re.S)
_PLAN = re.compile(r"(<!-- plan by (\w+): ([\d |]+) -->\n).*?(<!-- end of plan -->)", re.S)


@dataclass(frozen=True)
class Entry:
    """A lesson in the timetable.

    Attributes
    ----------
    number : int
        Of the lesson.
    title : str
        Without the number.
    minutes : int
        Which it takes.
    until_break : int
        Minutes to the break, estimated; 0 where there is none.
    needs, helps : tuple of int
        The lessons that come before it, and those that only some people need.
    """

    number: int
    title: str
    minutes: int
    until_break: int
    needs: tuple[int, ...]
    helps: tuple[int, ...]


def entry(lesson: Lesson) -> Entry:
    """Read from a lesson's text how long it takes and what it needs.

    The minutes until the break are those of the exercises before it, and of the rest as much as it has of the words.

    Raises
    ------
    BuildError
        When there is no line on what one needs.
    """
    text = "\n".join(cell.source for cell in lesson.cells if cell.cell_type == "markdown")
    needed = re.search(r"^\*\*You need\*\* (.+)$", text, re.M)
    if not needed:
        raise BuildError(f"{lesson.path}: the timetable needs a line `**You need** ...`")
    before, found, _ = text.partition(BREAK)
    reading = lesson.minutes - _exercising(text)
    until = _exercising(before) + reading * len(before.split()) / len(text.split()) if found else 0
    needs, helps = set(), set()
    for part in needed[1].split(";"):
        for numbers in re.findall(r"\blessons? (\d+(?:(?:, | and )\d+)*)", part):
            (helps if " if " in part else needs).update(map(int, re.findall(r"\d+", numbers)))
    title = lesson.title.split(" · ", 1)[-1]
    number = int(lesson.stem[:2])
    return Entry(number, title, lesson.minutes, 5 * round(until / 5), tuple(sorted(needs)), tuple(sorted(helps)))


def page(root: Path) -> str:
    """Return ``docs/timetable.md`` with its tables written from the lessons.

    Raises
    ------
    BuildError
        As `entry`; and for a page without a table of all lessons, or a plan with a lesson that does not exist, or that
        comes before one that it needs.
    """
    lessons = {found.number: found for found in (entry(read_lesson(path)) for path in select(root))}
    text = (root / PAGE).read_text(encoding="utf-8")
    if not _LESSONS.search(text):
        raise BuildError(f"{root / PAGE} needs the lines `<!-- timetable: ... -->` and `<!-- end of timetable -->`")
    rows = ["| | lesson | minutes | break after about | needs |", "|---|---|---|---|---|"]
    for found in lessons.values():
        needs = [str(number) for number in found.needs] + [f"({number})" for number in found.helps]
        rows.append(
            f"| {found.number:02d} | {found.title} | {found.minutes} | {found.until_break or ''} | {', '.join(needs)} |"
        )
    rows.append(f"| | all | {sum(found.minutes for found in lessons.values())} | | |")
    text = _LESSONS.sub(lambda match: match[1] + "\n".join(rows) + "\n" + match[2], text)
    return _PLAN.sub(lambda match: match[1] + _plan(root, match[2], match[3], lessons) + "\n" + match[4], text)


# --- inside -----------------------------------------------------------------------------------------------------------


def _exercising(text: str) -> int:
    return sum(map(int, re.findall(r"^### Your turn [\d.]+ · (\d+) min", text, re.M)))


def _plan(root: Path, unit: str, plan: str, lessons: dict[int, Entry]) -> str:
    rows, done = [f"| {unit} | lessons | minutes |", "|---|---|---|"], set()
    for number, part in enumerate(plan.split("|"), 1):
        chosen, lines = [int(word) for word in part.split()], []
        for one in chosen:
            if one not in lessons:
                there = ", ".join(map(str, lessons))
                raise BuildError(f"{root / PAGE}: a plan has lesson {one}, and the lessons are {there}")
            if missing := set(lessons[one].needs) - done:
                raise BuildError(f"{root / PAGE}: a plan has lesson {one}, which needs lesson {min(missing)} before it")
            done.add(one)
            until, title = lessons[one].until_break, lessons[one].title.partition(":")[0]
            minutes = f"{lessons[one].minutes} minutes" + (f", a break after about {until}" if until else "")
            lines.append(f"{one:02d} **{title}**, {minutes}")
        rows.append(f"| {number} | {'<br>'.join(lines)} | {sum(lessons[one].minutes for one in chosen)} |")
    return "\n".join(rows)
