"""The ladder of taggers: what all taggers of the course say of the same test jets, beside published numbers."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

from docutils.parsers.rst import Directive

from coursekit.ladder import PICTURE, ladder
from extension.lessons import lessons, markdown

#: The column of rejections in the tables of the lessons.
AT_HALF = r"$1/\epsilon_B$ at $\epsilon_S = 0.5$"
ARXIV = re.compile(r"https://arxiv\.org/abs/[\w./-]+")
#: The published network that one of ours is made like.
LIKE = {
    "PFN": "PFN",
    "EFN": "EFN",
    "CNN": "CNN",
    "ParticleNet": "ParticleNet-Lite",
    "transformer": "Particle Transformer",
    "LorentzNet": "LorentzNet",
}


def published(root: Path) -> dict[str, dict[str, str]]:
    """Return the rows of the tables of published taggers in the lessons: what stands in each column, by tagger."""
    found = {}
    for lesson in lessons(root):
        for table in re.findall(r"(?:^\|.*\|$\n?)+", lesson.text, re.M):
            head, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
            if head[:3] == ["tagger", "accuracy", "AUC"] and head[-1] == "source":
                for row in rows:
                    name = row[0].replace("Particle Flow Network", "PFN").split(" (")[0]
                    if "arXiv" in row[-1]:
                        found.setdefault(name, dict(zip(head, row, strict=True)))
    return found


def rows(root: Path) -> list[str]:
    """Return the table, the best AUC first."""
    theirs, stems = published(root), {lesson.stem[:2]: lesson.stem for lesson in lessons(root)}
    lines = ["| tagger | lesson | trainings | AUC | rejection at 0.5 | published, at 0.5 |", "|---" * 6 + "|"]
    for rung in ladder(root):
        lesson = f"[{int(rung.lesson)}](lessons/{stems[rung.lesson]}.ipynb)"
        beside = ""
        if (other := theirs.get(LIKE.get(rung.tagger, ""))) and other[AT_HALF]:
            link = ARXIV.search(other["source"])[0]
            beside = f"[{LIKE[rung.tagger]}: {other[AT_HALF]}]({link})"
        cells = map(str, (rung.tagger, lesson, rung.trainings, rung.auc, rung.rejection, beside))
        lines.append(f"| {' | '.join(cells)} |".replace(" ± ", "\u00a0±\u00a0"))
    return lines


class Ladder(Directive):
    """The table of our taggers."""

    def run(self):
        return markdown(self, rows(self.state.document.settings.env.app.root))


class Picture(Directive):
    """The drawing, with its own description for those who cannot see it."""

    def run(self):
        drawing = ET.parse(self.state.document.settings.env.app.root / PICTURE)
        return markdown(self, [f"![{drawing.find('{*}desc').text}]({PICTURE.name}){{.dark-light}}"])


class Published(Directive):
    """The table of published taggers that lessons quote."""

    def run(self):
        found = published(self.state.document.settings.env.app.root)
        keys = ["accuracy", "AUC", AT_HALF, "at 0.3", "source"]
        lines = [f"| tagger | {' | '.join(keys)} |", "|---" * (len(keys) + 1) + "|"]
        for name, row in sorted(found.items(), key=lambda item: item[1]["AUC"], reverse=True):
            lines.append(f"| {name} | {' | '.join(row[key] for key in keys)} |")
        return markdown(self, lines)


def setup(app) -> None:
    """The drawing and both tables."""
    app.add_directive("ladder-picture", Picture)
    app.add_directive("ladder", Ladder)
    app.add_directive("published", Published)
