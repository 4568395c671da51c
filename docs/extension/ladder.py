"""The ladder of taggers: what all taggers of the course say of the same test jets, beside published numbers."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from docutils.parsers.rst import Directive

from coursekit.metrics import Estimate, auc, rejection
from extension.lessons import lessons, markdown

#: The column of rejections in the tables of the lessons.
AT_HALF = r"$1/\epsilon_B$ at $\epsilon_S = 0.5$"
ARXIV = re.compile(r"https://arxiv\.org/abs/[\w./-]+")
#: The published network that one of ours is made like.
LIKE = {
    "PFN": "PFN",
    "EFN": "EFN",
    "CNN, standardised images": "CNN",
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


def trainings(root: Path) -> Iterator[tuple[str, int, str, np.ndarray, np.ndarray]]:
    """Yield tagger, training jets, number of the lesson, labels, and the scores of each training, (M, N)."""
    for path in sorted((root / "data" / "ledger").glob("*.npz")):
        with np.load(path) as kept:
            for i, tagger in enumerate(kept["taggers"].tolist()):
                yield tagger, int(kept["n_training"][i]), path.stem, kept["labels"], kept["scores"][i, None]
    with np.load(root / "data" / "clouds.npz") as kept:
        for tagger in sorted({*kept["taggers"].tolist()} - {"boosted trees"}):  # those are "all, trees" of lesson 8
            rows = (kept["taggers"] == tagger) & (kept["sizes"] == kept["sizes"].max())
            yield tagger, int(kept["sizes"].max()), "11", kept["labels"], kept["scores"][rows].astype(np.float32)


def mean(found: list[Estimate]) -> Estimate:
    """Return the mean of several trainings, with the errors of counting jets and of trainings."""
    values = [each.value for each in found]
    scatter = np.std(values, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
    return Estimate(float(np.mean(values)), float(np.hypot(found[0].error, scatter)))


def rows(root: Path) -> list[str]:
    """Return the table, the best AUC first."""
    theirs, stems = published(root), {lesson.stem[:2]: lesson.stem for lesson in lessons(root)}
    lines = []
    for tagger, jets, number, labels, scores in trainings(root):
        area = mean([auc(labels, score) for score in scores])
        half = mean([rejection(labels, score, 0.5) for score in scores])
        other = theirs.get(LIKE.get(tagger, ""))
        beside = (
            f"[{LIKE[tagger]}: {other[AT_HALF] or 'not given'}]({ARXIV.search(other['source'])[0]})" if other else ""
        )
        lesson = f"[{int(number)}](lessons/{stems[number]}.ipynb)"
        name = tagger.removesuffix(f", lesson {int(number)}")
        cells = map(str, (name, lesson, jets, len(scores), area, half, beside))
        lines.append((area.value, f"| {' | '.join(cells)} |".replace(" ± ", "\u00a0±\u00a0")))
    head = "| tagger | lesson | training jets | trainings | AUC | rejection at 0.5 | published, at 0.5 |"
    return [head, "|---" * 7 + "|", *(line for _, line in sorted(lines, reverse=True))]


class Ladder(Directive):
    """The table of our taggers."""

    def run(self):
        return markdown(self, rows(self.state.document.settings.env.app.root))


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
    """Both tables."""
    app.add_directive("ladder", Ladder)
    app.add_directive("published", Published)
