"""Figures: each function takes an ``Axes`` and returns it, and computes nothing new."""

import base64
import io
from collections.abc import Mapping, Sequence
from contextlib import contextmanager

import matplotlib.pyplot as plt
import numpy as np
from cycler import cycler
from matplotlib.patches import Circle

from coursekit.metrics import Roc

__all__ = [
    "COLOURS",
    "STYLE",
    "figure",
    "plot_circles",
    "plot_clustering",
    "plot_history",
    "plot_particles",
    "plot_roc",
]

#: Okabe and Ito's palette, distinguishable with every kind of colour vision; black first for data.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), "-")

#: Settings of matplotlib for every figure of the course.
STYLE = {
    "axes.prop_cycle": cycler(color=COLOURS, linestyle=_LINES),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.constrained_layout.use": True,
    "figure.dpi": 100,
    "font.size": 11,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
}


@contextmanager
def figure(alt: str, *, rows: int = 1, columns: int = 1, size: tuple[float, float] | None = None, **subplots):
    """Draw a figure in the course's style and show it with a text for those who cannot see it.

    Parameters
    ----------
    alt : str
        What there is to see, with its numbers; it stands for the picture in screen readers and in the tests.
    rows, columns : int
        Panels.
    size : tuple of float, optional
        Width and height in inches; by default 6 x 4 a panel, at most 11 wide.
    **subplots
        Passed to `matplotlib.pyplot.subplots` (``sharex=True``).

    Yields
    ------
    matplotlib.axes.Axes or numpy.ndarray of them
        The panels.

    Raises
    ------
    ValueError
        When `alt` is empty.
    """
    if not alt.strip():
        raise ValueError("a figure needs an alt text: what is there to see, in a sentence with the numbers?")
    size = size or (min(6.0 * columns, 11.0), 4.0 * rows)
    with plt.rc_context(STYLE):
        drawn, axes = plt.subplots(rows, columns, figsize=size, **subplots)
        try:
            yield axes
            _display(drawn, alt)
        finally:
            plt.close(drawn)


def _display(drawn, alt: str) -> None:
    picture = io.BytesIO()
    drawn.savefig(picture, format="png")
    try:
        from IPython.display import display
    except ImportError:  # a lesson run as a script draws for nobody
        return
    text = " ".join(alt.split())
    png = base64.b64encode(picture.getvalue()).decode()
    display({"image/png": png, "text/plain": text}, raw=True, metadata={"image/png": {"alt": text}})


def plot_particles(ax, eta, phi, pt, label: str, **style):
    """Draw particles in the (eta, phi) plane, the area of each marker in proportion to its transverse momentum.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    eta, phi, pt : (P,) array
        Pseudorapidity; azimuth in radians, in [-pi, pi]; GeV.
    label : str
        For the legend, where the marker has a readable size.
    **style
        Passed to `matplotlib.axes.Axes.scatter`.

    Returns
    -------
    matplotlib.axes.Axes
        Its axes equally long for equal steps, so that a circle is a circle.

    Examples
    --------
    >>> _, ax = plt.subplots()
    >>> plot_particles(ax, [0.5], [3.1], [100.0], "photon").get_xlabel()
    'pseudorapidity η'
    """
    ax.scatter(eta, phi, s=3 * np.asarray(pt), **style)
    ax.scatter([], [], s=40, label=label, **style)
    ax.set(xlim=(-4, 4), ylim=(-np.pi, np.pi), aspect="equal", xlabel="pseudorapidity η", ylabel="azimuth φ [rad]")
    ax.set_yticks(np.pi * np.linspace(-1, 1, 5), ["−π", "−π/2", "0", "π/2", "π"])
    return ax


def plot_circles(ax, eta, phi, radius: float, **style):
    """Draw circles in the (eta, phi) plane; what leaves it at phi = pi comes in again at -pi.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    eta, phi : (N,) array
        Centres; azimuth in radians.
    radius : float
    **style
        Passed to `matplotlib.patches.Circle`; a label goes to the first circle alone.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> _, ax = plt.subplots()
    >>> len(plot_circles(ax, [0.5], [3.1], 0.8).patches)
    3
    """
    label = style.pop("label", None)
    for x, y in zip(eta, phi, strict=True):
        for turn in (0, -2 * np.pi, 2 * np.pi):
            ax.add_patch(Circle((x, y + turn), radius, fill=False, label=label, **style))
            label = None
    return ax


def plot_clustering(ax, x, pt, mergers, **style):
    """Draw how a jet was put together: particles at the bottom, each merger one step higher.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    x, pt : (P + M,) array
        Where each object is drawn, for instance its azimuth, and its transverse momentum in GeV, which the width of the
        line follows: first the P particles, then the M sums in the order in which they were made.
    mergers : sequence of M (int, int)
        The two objects, counted in that order, of which each sum is made.
    **style
        Passed to `matplotlib.axes.Axes.plot`.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> _, ax = plt.subplots()
    >>> len(plot_clustering(ax, [0.0, 0.2, 0.1], [10.0, 10.0, 20.0], [(0, 1)]).lines)
    2
    """
    style = {"color": COLOURS[0], "linestyle": "-", "solid_capstyle": "round"} | style
    n_particles = len(x) - len(mergers)
    for step, pair in enumerate(mergers, start=1):
        total = n_particles + step - 1
        for k in pair:
            born = max(0, k - n_particles + 1)
            ax.plot([x[k], x[k], x[total]], [born, step, step], linewidth=0.5 + 0.25 * np.sqrt(pt[k]), **style)
    ax.set_ylabel("number of mergers")
    return ax


def plot_roc(ax, rocs: Mapping[str, Roc]):
    """Draw background rejection against signal efficiency, with bands of one standard deviation.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        Where to draw.
    rocs : mapping of str to coursekit.metrics.Roc
        Name for the legend, to the curve. Points that no background passes have no rejection and are left out.

    Returns
    -------
    matplotlib.axes.Axes
        The same `ax`, logarithmic in the rejection.

    Examples
    --------
    >>> from coursekit.metrics import roc_curve
    >>> _, ax = plt.subplots()
    >>> plot_roc(ax, {"network": roc_curve([0, 1, 0, 1], [0.1, 0.4, 0.6, 0.9])}).get_ylabel()
    'background rejection'
    """
    for name, roc in rocs.items():
        some = roc.background_efficiency > 0
        efficiency, background = roc.signal_efficiency[some], roc.background_efficiency[some]
        error = roc.background_error[some]
        (line,) = ax.plot(efficiency, 1 / background, label=name)
        # One standard deviation of the background efficiency; below its own size, so that the band stays on the axis.
        low, high = background + error, np.maximum(background - error, background / 10)
        ax.fill_between(efficiency, 1 / low, 1 / high, color=line.get_color(), alpha=0.2, linewidth=0)
    ax.set_xlim(0, 1)
    ax.set_yscale("log")
    ax.set_xlabel("signal efficiency")
    ax.set_ylabel("background rejection")
    ax.legend()
    return ax


def plot_history(ax, history: Mapping[str, Sequence[float]], quantity: str = "loss"):
    """Draw a quantity against the epoch, for training and, if it is there, validation.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        Where to draw.
    history : mapping of str to sequence of float
        One value per epoch under `quantity` and ``val_<quantity>``, as Keras keeps it in ``fit(...).history``.
    quantity : str
        Its key.

    Returns
    -------
    matplotlib.axes.Axes
        The same `ax`; epochs are counted from 1.

    Raises
    ------
    KeyError
        The history has no such quantity.

    Examples
    --------
    >>> _, ax = plt.subplots()
    >>> [line.get_label() for line in plot_history(ax, {"loss": [0.7, 0.5], "val_loss": [0.6, 0.5]}).lines]
    ['training', 'validation']
    """
    if quantity not in history:
        raise KeyError(f"the history has no {quantity!r}, it has {', '.join(history)}")
    for key, name, marker in ((quantity, "training", "o"), (f"val_{quantity}", "validation", "s")):
        if key in history:
            ax.plot(range(1, len(history[key]) + 1), history[key], marker=marker, markersize=4, label=name)
    ax.set_xlabel("epoch")
    ax.set_ylabel(quantity)
    ax.legend()
    return ax
