"""What a check is made of, remembered before code of others runs; what takes its place is found, and put back."""

import json
import sys
from collections.abc import Iterable
from types import BuiltinFunctionType, FunctionType, ModuleType

__all__ = ["Pins"]

#: With all modules inside them.
_PINNED = {"awkward", "builtins", "copy", "coursekit", "coursekit_lessons", "dataclasses", "hmac", "inspect", "json"}
_PINNED |= {"math", "numpy"}
#: With what is inside their functions and classes: ours, and what a report is made with.
_WHOLE = ("coursekit", "coursekit_lessons", "dataclasses", "hmac", "json")
#: `unset_memory_shows` of the checks puts its own in their place for a while; the last is what a time limit sets.
_FREE = {("numpy", "empty"), ("numpy", "empty_like"), ("coursekit.checks.limits", "_wakes_with")}
_PARTS = ("__code__", "__defaults__", "__kwdefaults__")


class Pins:
    """The functions and classes of the modules that a check uses, and some exercises, as they are now.

    Parameters
    ----------
    exercises : list of Exercise
        Whose settings are remembered.

    Examples
    --------
    >>> import copy
    >>> pins, real = Pins(), copy.deepcopy
    >>> copy.deepcopy = lambda value: value
    >>> pins.moved(), copy.deepcopy is real
    (['copy.deepcopy'], True)
    >>> pins.moved()
    []
    """

    def __init__(self, exercises: Iterable = ()) -> None:
        self._modules = {name: m for name, m in sys.modules.items() if _is_pinned(name) and isinstance(m, ModuleType)}
        self._places = []
        for name, module in self._modules.items():
            for key, value in list(vars(module).items()):
                if isinstance(value, FunctionType | BuiltinFunctionType | type | ModuleType) or callable(value):
                    self._places.append((vars(module), name, key, value))
        whole = [value for _, name, _, value in self._places if name.split(".")[0] in _WHOLE]
        self._classes = [
            (value, dict(vars(value)))
            for value in {id(v): v for v in whole if isinstance(v, type) and v.__module__.startswith(_WHOLE)}.values()
        ]
        self._encoder = (json._default_encoder, dict(vars(json._default_encoder)))  # an object, which `json.dumps` asks
        methods = [f for _, inside in self._classes for f in inside.values()]
        functions = {id(f): f for f in [*whole, *methods] if isinstance(f, FunctionType)}
        self._functions = [(f, [getattr(f, part) for part in _PARTS]) for f in functions.values()]
        self._settings = [
            (one, name, value, dict(value) if isinstance(value, dict) else None)
            for one in exercises
            for name, value in vars(one).items()
        ]

    def moved(self) -> list[str]:
        """Return what is another than it was, and put it back."""
        found = []
        for name, module in self._modules.items():
            if sys.modules.get(name) is not module:
                found.append(name)
                sys.modules[name] = module
        for place, module, key, value in self._places:
            if place.get(key) is not value and (module, key) not in _FREE:
                found.append(f"{module}.{key}")
                place[key] = value
        for owner, inside in self._classes:
            for key, value in inside.items():
                if vars(owner).get(key) is not value:
                    found.append(f"{owner.__module__}.{owner.__qualname__}.{key}")
                    setattr(owner, key, value)
        encoder, inside = self._encoder
        now = vars(encoder)
        if json._default_encoder is not encoder or [*now] != [*inside] or any(now[k] is not inside[k] for k in now):
            found.append("json._default_encoder")
            json._default_encoder = encoder
            now.clear()
            now.update(inside)
        for function, parts in self._functions:
            for part, value in zip(_PARTS, parts, strict=True):
                if getattr(function, part) is not value:
                    found.append(f"{function.__module__}.{function.__qualname__}")
                    setattr(function, part, value)
        for one, name, value, inside in self._settings:
            if vars(one).get(name) is not value or inside not in (None, value):
                found.append(f"{name} of exercise {one.number}")
                vars(one)[name] = value
                if inside is not None:
                    value.clear()
                    value.update(inside)
        return found


def _is_pinned(name: str) -> bool:
    return name.split(".")[0] in _PINNED and not name.startswith("coursekit.grading.__main__")
