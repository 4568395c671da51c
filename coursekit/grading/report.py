"""What came of a class, in three forms: a table for a spreadsheet, all of it for a machine, a page for who teaches."""

import csv
import io
import json
from collections import Counter
from pathlib import Path

from coursekit.files import replacing

__all__ = ["VERDICTS", "class_page", "write_csv", "write_html", "write_json"]

#: In the order in which a page counts them.
VERDICTS = ("PASS", "NOT YET", "TODO", "MISSING", "REFUSED", "NOT JUDGED")
_COLUMNS = ("student", "lesson", "exercise", "verdict", "points", "out_of", "mistake", "reason", "tries", "remarks")
_COLUMNS += ("notebook",)
#: A spreadsheet takes a cell that begins with one of these for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_csv(document: dict, path: Path) -> None:
    """Write a row for each student and exercise; a notebook that could not be read has one row."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(_COLUMNS)
    for one in document["submissions"]:
        for row in one["exercises"] or [{"verdict": "NOT JUDGED", "reason": one["problem"]}]:
            cells = {"student": one["student"], "lesson": one["lesson"], "notebook": one["notebook"]} | row
            cells["remarks"] = "; ".join(row.get("remarks", []))
            table.writerow([_harmless("" if (value := cells.get(name)) is None else value) for name in _COLUMNS])
    with replacing(path) as partial:
        # With a mark at its begin, without which Excel takes it for another encoding.
        partial.write_text(text.getvalue(), encoding="utf-8-sig", newline="\n")


def write_json(document: dict, path: Path) -> None:
    """Write the document as it is."""
    with replacing(path) as partial:
        text = json.dumps(document, indent=1, ensure_ascii=False)
        partial.write_text(text + "\n", encoding="utf-8", newline="\n")


def write_html(document: dict, path: Path) -> None:
    """Write the page on the class, one file that needs no other.

    Raises
    ------
    ImportError
        Jinja2 is not installed.
    """
    try:
        import jinja2
    except ImportError as error:
        raise ImportError('The page on a class needs Jinja2: pip install "coursekit[build]"') from error
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    template = environment.from_string(Path(__file__).with_name("class.html").read_text(encoding="utf-8"))
    with replacing(path) as partial:
        partial.write_text(template.render(class_page(document)), encoding="utf-8", newline="\n")


def class_page(document: dict) -> dict:
    """Return what the page shows: for each lesson its exercises, its mistakes and its students."""
    judged = [one for one in document["submissions"] if not one["problem"]]
    sections = []
    for lesson in document["lessons"]:
        mine = [one for one in judged if one["lesson"] == lesson["lesson"]]
        exercises = [_counted(exercise, mine) for exercise in lesson["exercises"]]
        sections.append(
            lesson
            | {
                "students": sorted(mine, key=lambda one: one["student"].casefold()),
                "exercises": exercises,
                "mistakes": _mistakes(mine),
                "holds_up": _holds_up(exercises),
                "out_of": sum(exercise["points"] for exercise in lesson["exercises"]),
            }
        )
    return {
        "document": document,
        "lessons": sections,
        "problems": [one for one in document["submissions"] if one["problem"]],
        "remarks": [
            (one["student"], row["exercise"], remark)
            for one in judged
            for row in one["exercises"]
            for remark in [*row["remarks"], *([row["reason"]] if row["verdict"] in ("REFUSED", "NOT JUDGED") else [])]
        ],
        "classes": {verdict: verdict.lower().replace(" ", "-") for verdict in VERDICTS},
    }


def _counted(exercise: dict, mine: list[dict]) -> dict:
    rows = [row for one in mine for row in one["exercises"] if row["exercise"] == exercise["exercise"]]
    verdicts = Counter(row["verdict"] for row in rows)
    mistakes = Counter(row["mistake"] for row in rows if row["mistake"])
    tries = [row["tries"] for row in rows if row["tries"]]
    return exercise | {
        "verdicts": [(verdict, verdicts[verdict]) for verdict in VERDICTS if verdicts[verdict]],
        "solved": verdicts["PASS"],
        "tried": sum(verdicts[verdict] for verdict in ("PASS", "NOT YET", "REFUSED")),
        "students": len(rows),
        "common": mistakes.most_common(1)[0] if mistakes else ("", 0),
        "tries": f"{sum(tries) / len(tries):.1f} on average, in {len(tries)}" if tries else "none",
    }


def _mistakes(mine: list[dict]) -> list[dict]:
    """Return each mistake with who makes it, the most common first."""
    found: dict[tuple[str, str], list[str]] = {}
    for one in mine:
        for row in one["exercises"]:
            if row["mistake"]:
                found.setdefault((row["exercise"], row["mistake"]), []).append(one["student"])
    order = sorted(
        found.items(), key=lambda entry: (-len(entry[1]), [int(n) for n in entry[0][0].split(".")], entry[0][1])
    )
    return [{"exercise": exercise, "mistake": name, "students": who} for (exercise, name), who in order]


def _holds_up(exercises: list[dict]) -> dict | None:
    """Return the exercise that most people tried without solving it, if there is one."""
    stuck = [(one["tried"] - one["solved"], one) for one in exercises]
    most = max((number for number, _ in stuck), default=0)
    return next((one for number, one in stuck if number == most), None) if most else None


def _harmless(value):
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
