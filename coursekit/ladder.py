"""The ladder of taggers: what all top taggers of the course say of the same test jets, and what that takes.

It stands as a table in the book, and as a drawing, ``docs/ladder.svg``, in the README.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from coursekit.metrics import Estimate, auc, rejection

__all__ = ["PICTURE", "Rung", "drawing", "ladder"]

PICTURE = Path("docs") / "ladder.svg"
#: What the ledger of another lesson calls a tagger that `clouds.npz` holds, too, trained more often.
_AGAIN = {"all, trees", "CNN, standardised images", "EFN", "PFN"}
_JETS = 12_000  # with which each has been trained

# The drawing, in pixels: its size, the corners of the frame, and where on the right many taggers stand together.
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM, _CROWDED = 760, 400, 70, 560, 24, 340, 420
_STYLE = """\
text { font: 14px sans-serif; paint-order: stroke; stroke-width: 4px } .bar { stroke-width: 2 }
svg { background: #fff } text { fill: #1b1f24; stroke: #fff }
.axis, .tick { stroke: #57606a } .grid { stroke: #d0d7de } .bar { stroke: #0550ae } .dot { fill: #0550ae }
@media (prefers-color-scheme: dark) {
svg { background: #0d1117 } text { fill: #e6edf3; stroke: #0d1117 }
.axis, .tick { stroke: #9198a1 } .grid { stroke: #3d444d } .bar { stroke: #79c0ff } .dot { fill: #79c0ff } }"""


@dataclass(frozen=True)
class Rung:
    """A tagger, trained on the 12 000 shipped jets.

    Attributes
    ----------
    tagger : str
        Its name.
    lesson : str
        Number of the lesson, two digits.
    trainings : int
        That were made.
    auc, rejection : Estimate
        Means over the trainings, with the errors of counting test jets and of trainings; rejection at a signal
        efficiency of 50%.
    seconds : float
        Median time of a training on one core; NaN where nobody took it.
    """

    tagger: str
    lesson: str
    trainings: int
    auc: Estimate
    rejection: Estimate
    seconds: float


def ladder(root: Path) -> list[Rung]:
    """Return all taggers of the clone at `root`, the one with the best AUC first."""
    rungs = []
    for tagger, lesson, labels, scores, seconds in _trainings(root / "data"):
        area = _mean([auc(labels, score) for score in scores])
        half = _mean([rejection(labels, score, 0.5) for score in scores])
        rungs.append(Rung(tagger, lesson, len(scores), area, half, seconds))
    return sorted(rungs, key=lambda rung: -rung.auc.value)


def _trainings(data: Path) -> Iterator[tuple[str, str, np.ndarray, np.ndarray, float]]:
    """Yield tagger, number of the lesson, labels, the scores of each training, (M, N), and seconds."""
    for path in sorted((data / "ledger").glob("*.npz")):
        with np.load(path) as kept:
            for tagger, jets, scores in zip(kept["taggers"].tolist(), kept["n_training"], kept["scores"], strict=True):
                if jets == _JETS and tagger not in _AGAIN:
                    yield tagger, path.stem, kept["labels"], scores[None], math.nan
    with np.load(data / "clouds.npz") as kept:
        for tagger in kept["priced"].tolist():
            rows = (kept["taggers"] == tagger) & (kept["sizes"] == _JETS)
            scores, seconds = kept["scores"][rows].astype(np.float32), float(np.median(kept["seconds"][rows]))
            yield tagger, "11", kept["labels"], scores, seconds


def _mean(found: list[Estimate]) -> Estimate:
    """Return the mean of several trainings, with the errors of counting jets and of trainings."""
    values = [each.value for each in found]
    scatter = np.std(values, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
    return Estimate(float(np.mean(values)), float(np.hypot(found[0].error, scatter)))


def drawing(root: Path) -> str:
    """Return the SVG of rejection against the time that a training takes, for all taggers that were timed.

    Both axes are logarithmic. It has a paper of its own, white or dark as the reader's screen, so that it can be read
    on any page, and its coordinates are rounded, so that each machine writes the same.
    """
    timed = [rung for rung in ladder(root) if not math.isnan(rung.seconds)]
    x = _scale([rung.seconds for rung in timed], _LEFT, _RIGHT)
    y = _scale([edge for rung in timed for edge in _edges(rung)], _BOTTOM, _TOP)
    lines = [*_frame(x, y)]
    free = math.inf
    for rung in sorted(timed, key=lambda rung: rung.rejection.value):
        at, high = x(rung.seconds), y(rung.rejection.value)
        low, top = (y(edge) for edge in _edges(rung))
        lines += [
            f'<line class="bar" x1="{at:.0f}" x2="{at:.0f}" y1="{low:.0f}" y2="{top:.0f}"/>',
            f'<circle class="dot" cx="{at:.0f}" cy="{high:.0f}" r="5"/>',
        ]
        if at < _CROWDED:
            lines.append(f'<text x="{at + 10:.0f}" y="{high + 5:.0f}">{rung.tagger}</text>')
            continue
        free = min(free - 18, high)  # where there are many, names stand in a column, none on another
        lines += [
            f'<path class="tick" fill="none" d="M{at + 7:.0f},{high:.0f} L{_RIGHT + 8},{free:.0f}"/>',
            f'<text x="{_RIGHT + 12}" y="{free + 5:.0f}">{rung.tagger}</text>',
        ]
    body = "\n".join(lines)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">\n'
        f"<title>Rejection against the time that a training takes</title>\n<desc>{_words(timed)}</desc>\n"
        f"<style>{_STYLE}</style>\n{body}\n</svg>\n"
    )


def _edges(rung: Rung) -> tuple[float, float]:
    return rung.rejection.value - rung.rejection.error, rung.rejection.value + rung.rejection.error


def _scale(values: list[float], start: float, end: float):
    """Return the function from a number to its place on a logarithmic axis that holds all values."""
    first, last = math.log(min(values) / 1.3), math.log(max(values) * 1.3)
    scale = lambda value: start + (math.log(value) - first) / (last - first) * (end - start)  # noqa: E731
    scale.holds = lambda value: first <= math.log(value) <= last
    return scale


def _frame(x, y) -> Iterator[str]:
    """Axes, ticks and their names."""
    for value in (20, 30, 50, 100, 200, 300, 500):
        if y.holds(value):
            at = f"{y(value):.0f}"
            yield f'<line class="grid" x1="{_LEFT}" x2="{_RIGHT}" y1="{at}" y2="{at}"/>'
            yield f'<text x="{_LEFT - 8}" y="{float(at) + 5:.0f}" text-anchor="end">{value}</text>'
    for value, name in ((5, "5 s"), (10, "10 s"), (30, "30 s"), (60, "1 min"), (180, "3 min"), (600, "10 min")):
        if x.holds(value):
            at = f"{x(value):.0f}"
            yield f'<line class="tick" x1="{at}" x2="{at}" y1="{_BOTTOM}" y2="{_BOTTOM + 6}"/>'
            yield f'<text x="{at}" y="{_BOTTOM + 22}" text-anchor="middle">{name}</text>'
    yield f'<path class="axis" fill="none" d="M{_LEFT},{_TOP} V{_BOTTOM} H{_RIGHT}"/>'
    middle = (_LEFT + _RIGHT) // 2
    yield f'<text x="{middle}" y="{_BOTTOM + 46}" text-anchor="middle">time to train, on one core</text>'
    yield (
        f'<text transform="translate(20,{(_TOP + _BOTTOM) // 2}) rotate(-90)" text-anchor="middle">'
        "background rejection, half of the tops kept</text>"
    )


def _words(timed: list[Rung]) -> str:
    """What there is to see, for those who cannot see it."""
    each = "; ".join(
        f"{rung.tagger} {rung.rejection.value:.0f} ± {rung.rejection.error:.0f}, {rung.seconds:.0f} s" for rung in timed
    )
    return f"Background rejection at a signal efficiency of 50% and seconds to train, on {_JETS} jets: {each}."
