"""What all exports are told: looked at before anything else is done."""

from collections.abc import Iterable, Mapping

from coursekit.preprocess import Scaler


def class_names(classes) -> list[str]:
    """Return the names of at least two classes as a list.

    Raises
    ------
    TypeError
        They are no list of texts.
    ValueError
        There are fewer than two, or a name is there twice.

    Examples
    --------
    >>> class_names(("light", "b"))
    ['light', 'b']
    """
    names = list(classes) if isinstance(classes, Iterable) and not isinstance(classes, str) else [None]
    if not all(isinstance(name, str) and name for name in names):
        raise TypeError(f"classes is a list of names, but {classes!r} came.")
    if len(names) < 2 or len({*names}) != len(names):
        raise ValueError(f"classes holds {'a name twice' if len(names) > 1 else 'fewer than two'}: {', '.join(names)}.")
    return names


def require_scaler(scaler) -> None:
    """Raise TypeError if something else than a scaler came."""
    if not isinstance(scaler, Scaler):
        raise TypeError(f"scaler is a Scaler, but {type(scaler).__name__} came: Scaler.load reads one from a file.")


def mapping(values: Mapping | None, name: str, such_as: str) -> dict:
    """Return a mapping as a dictionary, None as an empty one; TypeError by its name if it is none."""
    if not isinstance(values, Mapping | None):
        raise TypeError(f"{name} is a dictionary, such as {such_as}, but {values!r} came.")
    return dict(values or {})
