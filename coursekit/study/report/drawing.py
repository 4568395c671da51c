"""What the figures of several sections share: labels and bins of columns, histograms with errors, who is drawn how."""

from typing import NamedTuple

import numpy as np

from coursekit.plots import COLOURS
from coursekit.study.dataset import Dataset
from coursekit.study.report.selection import labelled
from coursekit.study.settings import Study
from coursekit.study.settings.apply import Variable
from coursekit.words import listed, near

_LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)))
MARKERS = "so^Dv<>P"


class NothingToDraw(ValueError):
    """A section has nothing to show, for a reason that its page says: no events, one class, weights that cancel."""


class Histogram(NamedTuple):
    """Contents and errors of bins, (B,) float64 each, and the shares of weight below and above them."""

    edges: np.ndarray
    value: np.ndarray
    error: np.ndarray
    below: float
    above: float


def line(number: int) -> dict:
    """Return colour and line style of the so many-th curve: told apart in black and white as well."""
    return {"color": COLOURS[number % 6], "linestyle": _LINES[number % 6]}


def variable(study: Study, name: str) -> Variable:
    """Return how a column is drawn."""
    return study.apply.variables.get(name, Variable())


def axis_label(study: Study, name: str) -> str:
    """Return the label of a column with its unit, or its name."""
    return variable(study, name).label or name


def column(dataset: Dataset, name: str, key: str) -> np.ndarray:
    """Return a column by its name, (N,) float64.

    Raises
    ------
    ValueError
        There is none; the error names the `key` of the study file that asks for it.
    """
    require_column(dataset, name, key)
    return np.asarray(dataset.columns[name], np.float64)


def require_column(dataset: Dataset, name: str, key: str) -> None:
    """Refuse the name of a column that is not there; the error names the `key` of the study file that asks for it."""
    if name not in dataset.columns:
        raise ValueError(
            f"{key}: there is no column {name!r};{near(name, dataset.columns)} there are {listed(dataset.columns)}: "
            "branches that are drawn belong into input.spectators"
        )


def edges_of(study: Study, name: str, values: np.ndarray, bins: int) -> np.ndarray:
    """Return the edges of the bins of a column, (B + 1,) float64.

    Those of `apply.variables`; else equal bins between the 0.5% and 99.5% quantiles of the finite values.

    Parameters
    ----------
    study : Study
    name : str
    values : (n,) float64
    bins : int
        Their number where `apply.variables` has none.
    """
    chosen = variable(study, name)
    if isinstance(chosen.bins, tuple):
        return np.array(chosen.bins)
    return np.linspace(*(chosen.range or quantiles(values)), (chosen.bins or bins) + 1)


def quantiles(values: np.ndarray) -> tuple[float, float]:
    """Return the 0.5% and 99.5% quantiles of the finite values, or one on either side where they are one number."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return 0.0, 1.0
    low, high = (float(edge) for edge in np.quantile(finite, (0.005, 0.995)))
    return (low, high) if high > low else (low - 1, low + 1)


def histogram(values: np.ndarray, weights: np.ndarray, edges: np.ndarray, density: bool) -> Histogram:
    """Count weights in bins, last edge included; with `density` scaled to area one, events outside counted in.

    Parameters
    ----------
    values, weights : (n,) float64
        Values that are NaN are nowhere.
    edges : (B + 1,) float64
    density : bool

    Raises
    ------
    NothingToDraw
        The weights cancel, so that nothing can be scaled.

    Examples
    --------
    >>> found = histogram(np.array([0.5, 1.5, 9.0]), np.array([1.0, 2.0, 1.0]), np.array([0.0, 1.0, 2.0]), True)
    >>> found.value.tolist(), found.above
    ([0.25, 0.5], 0.25)
    """
    there = np.isfinite(values)
    values, weights = values[there], weights[there]
    total = weights.sum()
    if not total > 1e-12 * np.abs(weights).sum():
        raise NothingToDraw(f"the weights of its {len(weights)} events add up to {total:.3g}")
    value, squares = (np.histogram(values, edges, weights=w)[0] for w in (weights, weights**2))
    outside = [float(weights[chosen].sum() / total) for chosen in (values < edges[0], values > edges[-1])]
    scale = 1 / (total * np.diff(edges)) if density else 1.0
    return Histogram(edges, value * scale, np.sqrt(squares) * scale, *outside)


def drawn_points(n: int, most: int = 20_000) -> np.ndarray:
    """Return which of n points of a curve are drawn, (m,) int64: all, or so many, the first ones all of them.

    A curve of millions of points takes minutes and looks the same; where it begins, each event can be seen.

    Examples
    --------
    >>> drawn_points(3).tolist(), drawn_points(1000, most=8).tolist()
    ([0, 1, 2], [0, 9, 99, 333, 666, 999])
    """
    if n <= most:
        return np.arange(n)
    places = np.concatenate([np.geomspace(1, n, most // 2), np.linspace(1, n, most // 2)])
    return np.unique(np.rint(places).astype(np.int64)) - 1


def draw_histogram(ax, found: Histogram, label: str, number: int) -> None:
    """Draw the outline of a histogram and a band of one standard deviation."""
    style = line(number)
    ax.stairs(found.value, found.edges, label=label, linewidth=1.8, **style)
    low, high = found.value - found.error, found.value + found.error
    ax.stairs(high, found.edges, baseline=low, fill=True, color=style["color"], alpha=0.2, linewidth=0)


def positive_floor(ax, *found: Histogram) -> None:
    """Make the axis of events logarithmic where there are any, and leave room for the legend."""
    contents = np.concatenate([histogram.value for histogram in found])
    if (contents > 0).any():
        ax.set_yscale("log")
        low, high = contents[contents > 0].min(), contents.max()
        ax.set_ylim(low / 2, high * (high / low) ** 0.35)


def by_class(dataset: Dataset) -> dict[str, np.ndarray]:
    """Return the positions of the events of each class that has some, the last class first: the signal on top."""
    found = {name: np.flatnonzero(dataset.labels == k) for k, name in reversed(list(enumerate(dataset.classes)))}
    return _some(found)


def by_sample(dataset: Dataset) -> dict[str, np.ndarray]:
    """Return the positions of the events of each simulated sample that has some."""
    rows = labelled(dataset)
    return _some({name: rows[dataset.sample[rows] == number] for number, name in enumerate(dataset.samples)})


def _some(groups: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    found = {name: rows for name, rows in groups.items() if len(rows)}
    if not found:
        raise NothingToDraw("there are no simulated events")
    return found
