"""Packages that a study needs and the course alone does not: how to get the one that is missing."""

_EXTRAS = {"keras": "keras", "tensorflow": "keras", "torch": "torch"}
_OF_STUDIES = ("hyperopt", "jinja2", "numexpr", "optuna", "pyarrow", "pydantic", "pyhf", "ray", "yaml")


def how_to_get(error: Exception) -> str | None:
    """Return what to install, if an error says that a package of an extra is missing, else None.

    Examples
    --------
    >>> how_to_get(ModuleNotFoundError("No module named 'keras'", name="keras"))
    'keras is not installed, and this study needs it: pip install "coursekit[keras]"'
    >>> how_to_get(ModuleNotFoundError("No module named 'own'", name="own"))
    """
    if not isinstance(error, ModuleNotFoundError):
        return None
    package = (error.name or "").partition(".")[0]
    extra = _EXTRAS.get(package) or ("studies" if package in _OF_STUDIES else None)
    return extra and f'{package} is not installed, and this study needs it: pip install "coursekit[{extra}]"'
