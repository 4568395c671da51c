"""A course on deep learning for jets, and the small package behind it.

The names below are what the lessons use. Each is imported when it is first asked for, so that ``import coursekit``
stays quick and loads no deep-learning framework.
"""

import importlib

from coursekit.surroundings import do_without_home, load_triton_before_tensorflow, print_all_letters
from coursekit.threads import let_numexpr_load, sleep_while_waiting

__version__ = "0.2.0"

_HOME = {
    "check": "checks.engine",
    "hint": "checks.engine",
    "or_reference": "checks.engine",
    "progress": "checks.engine",
    "setup": "lesson",
    "show": "lesson",
    "fetch": "data",
    "figure": "lesson",
    "load_events": "events",
}

__all__ = ["__version__", *_HOME]


sleep_while_waiting()
let_numexpr_load()
do_without_home()
print_all_letters()
load_triton_before_tensorflow()


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module 'coursekit' has no attribute {name!r}; it has {', '.join(_HOME)}")
    return getattr(importlib.import_module(f"coursekit.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
