"""Figures: each function takes an ``Axes`` and returns it, and computes nothing new."""

import base64
import io
from contextlib import contextmanager

import matplotlib.pyplot as plt
from cycler import cycler

__all__ = ["COLOURS", "figure"]

#: Okabe and Ito's palette, distinguishable with every kind of colour vision; black first for data.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), "-")

_STYLE = {
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
    with plt.rc_context(_STYLE):
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
