"""Parts of sentences: the end of a message about a name that does not exist, a capital letter."""

import difflib
from collections.abc import Iterable


def near(name: str, known: Iterable[str]) -> str:
    """Ask whether a name that exists was meant, whatever the case of its letters.

    Parameters
    ----------
    name : str
        What came.
    known : iterable of str
        What there is.

    Returns
    -------
    str
        ``" did you mean 'x'?"``, to be put behind a semicolon, or ``""`` if nothing is close.

    Examples
    --------
    >>> near("MTH", ["mth", "ptll"])
    " did you mean 'mth'?"
    """
    folded = {other.lower(): other for other in map(str, known)}
    close = difflib.get_close_matches(str(name).lower(), folded, n=1)
    return f" did you mean {folded[close[0]]!r}?" if close else ""


def listed(names: Iterable[str]) -> str:
    """Name at most twelve of the things that there are.

    Examples
    --------
    >>> listed(["mth", "ptll"]), listed([])
    ('mth, ptll', 'none')
    """
    names = list(dict.fromkeys(map(str, names)))
    return (", ".join(names[:12]) or "none") + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def capital(text: str) -> str:
    """Begin a text with a capital letter, and leave the rest as it is.

    Examples
    --------
    >>> capital("the AUC")
    'The AUC'
    """
    return text[:1].upper() + text[1:]
