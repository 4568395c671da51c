"""What every lesson does first, and how it prints a number and shows a figure."""

import os
from pathlib import Path

import numpy as np

from coursekit import data, plots, surroundings
from coursekit.files import read_toml
from coursekit.prose import stated

__all__ = ["current", "figure", "lesson_folder", "setup", "show", "work_folder"]

_current = ""  # the lesson that `setup` has prepared; its figures are looked up by name
_work: Path | None = None  # the folder that it made, wherever the notebook goes from there


def current() -> str:
    """Return the lesson that `setup` has prepared, as it was named there; nothing before."""
    return _current


def work_folder() -> Path | None:
    """Return the folder that `setup` has made for the lesson's files, as an absolute path; None before."""
    return _work


def lesson_folder(lesson: int | str) -> Path:
    """Return the folder that a lesson's source, exercises and figure texts lie in, ``lessons/NN_slug``.

    In a clone, an installed wheel and Colab alike. ``$COURSEKIT_ROOT`` names another clone, as a build of one does.

    Raises
    ------
    FileNotFoundError
        When there are no lessons.
    """
    root = Path(os.environ.get("COURSEKIT_ROOT") or data.shipped_folder().parent)
    stem = f"{int(lesson):02d}_"
    if not (root / "lessons").is_dir():
        which = (
            "COURSEKIT_ROOT names no clone of the course" if "COURSEKIT_ROOT" in os.environ else "reinstall the course"
        )
        raise FileNotFoundError(f"{root / 'lessons'} does not exist: {which}")
    return next((root / "lessons").glob(f"{stem}*/"), root / "lessons" / stem)


def setup(lesson: str) -> Path:
    """Prepare a notebook: find its data, quiet the libraries, and make the folder for the files it writes.

    Silent, and harmless when run again. Where PyTorch is installed and TensorFlow is not, Keras is told so.

    Parameters
    ----------
    lesson : str
        Its number, ``"01"``.

    Returns
    -------
    pathlib.Path
        ``work/01`` in the notebook's folder; whatever the lesson writes goes there.

    Raises
    ------
    coursekit.data.DataNotFound
        When a file of the lesson is neither shipped nor cached and cannot be downloaded; says what to do.
    OSError
        When the folder cannot be made.
    """
    global _current, _work
    surroundings.prepare_frameworks()
    if number := os.environ.get("COURSEKIT_SHAKE"):  # set by `coursekit build --shake`, by nobody else
        from coursekit import perturbing

        if not number.isdecimal():
            raise ValueError(f"COURSEKIT_SHAKE is the number of a shake, got {number!r}: unset it")
        perturbing.install(int(number))
    data.ensure(lesson)
    _current = lesson
    work = Path("work") / f"{int(lesson):02d}"
    try:
        work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(
            error.errno,
            f"the folder {work} cannot be made beside the notebook ({error.strerror}), and the lesson writes its files "
            "there: copy the notebook to a folder in which you may write",
        ) from None
    _work = work.absolute()
    return work


def show(
    name: str,
    value,
    digits: int | None = None,
    *,
    error: float | None = None,
    spread: float | None = None,
    unit: str = "",
) -> None:
    """Print ``name: value``, a float rounded so that the digits hold on every machine, or with its error.

    Parameters
    ----------
    name : str
        What the value is.
    value : int, bool, str, float or tuple
        A float needs `digits`; shapes and names are printed as they are.
    digits : int, optional
        Digits after the decimal point.
    error : float, optional
        The uncertainty, printed with the same digits: that of counting and, for a trained network, of the training.
    spread : float, optional
        For a value known only roughly, such as how many times faster something is: by how much another run or another
        machine may give another. The value is printed as "about".
    unit : str
        Printed behind the value.

    Raises
    ------
    TypeError
        For a float without `digits`, and for an array.
    ValueError
        While outputs are made that will be stored and compared (a build without parameters), when a value without
        error or spread lies within a hundredth of the last digit of a rounding edge: another machine could round it
        the other way. With one it is compared within that (`coursekit.reproducing.reproduced`).

    Examples
    --------
    >>> show("mean of mtw1", 61.2345, 2, unit="GeV")
    mean of mtw1: 61.23 GeV
    >>> show("AUC", 0.9124, 3, error=0.0042)
    AUC: 0.912 ± 0.004
    >>> show("times faster", 21.3, 0, spread=8)
    times faster: about 21, give or take 8
    >>> show("shape", (1000, 6))
    shape: (1000, 6)
    """
    value, error = _plain(value), _plain(error)
    if spread is not None and isinstance(value, int):
        value = float(value)  # a count that depends on a training
    if isinstance(value, float):
        if digits is None:
            raise TypeError(f"show({name!r}, {value!r}) needs the number of digits after the decimal point")
        text = _rounded(name, value, digits, edges=error is None and spread is None)
        text += f" ± {_rounded(name, error, digits, edges=False)}" if error is not None else ""
        text = f"about {text}, give or take {spread:g}" if spread is not None else text
    elif isinstance(value, bool | int | str | tuple):
        text = str(tuple(map(_plain, value)) if isinstance(value, tuple) else value)
    else:
        raise TypeError(f"show prints one number, name or shape; {name!r} is a {type(value).__name__}")
    print(f"{name}: {text}{' ' + unit if unit else ''}")


def figure(name: str, **layout):
    """Draw a figure, and show it with the text that ``figures.toml`` of the lesson has for those who cannot see it.

    Parameters
    ----------
    name : str
        Its name in ``figures.toml``.
    **layout
        ``rows``, ``columns``, ``size`` and more, as in `coursekit.plots.figure`, which returns the axes.

    Raises
    ------
    RuntimeError
        When `setup` has not been called: it says which lesson this is.
    KeyError
        When the lesson has no text for this figure.
    """
    if not _current:
        raise RuntimeError('which lesson is this? Call coursekit.setup("NN") first, in the first code cell')
    path = lesson_folder(_current) / "figures.toml"
    texts = read_toml(path)
    if name not in texts:
        raise KeyError(f"{path} has no text for the figure {name!r}; it has {', '.join(texts)}")
    return plots.figure(stated(texts[name]), **layout)


def _plain(value):
    return value.item() if isinstance(value, np.generic | np.ndarray) and value.ndim == 0 else value


def _rounded(name: str, number: float, digits: int, edges: bool) -> str:
    distance = abs(number) * 10**digits % 1 - 0.5
    if edges and os.environ.get("COURSEKIT_BUILD") == "stored" and abs(distance) < 0.01:
        raise ValueError(
            f"{name} = {number!r} is too close to a rounding edge at {digits} digits; print one digit more or less"
        )
    return f"{round(number, digits) + 0.0:.{digits}f}"  # adding zero turns -0.00 into 0.00
