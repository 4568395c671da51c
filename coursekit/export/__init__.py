"""Networks that leave Python: ONNX files, C++ and lwtnn, each read again and compared before it gets its name.

The names below are imported when they are first asked for, so that a missing package matters only to who needs it.
"""

import importlib

_HOME = {
    "LwtnnNetwork": "lwtnn_network",
    "compile_cpp": "cpp",
    "describe": "onnx",
    "export_cpp": "cpp",
    "export_lwtnn": "lwtnn",
    "export_onnx": "onnx",
    "export_saved": "saved",
}

__all__ = [*_HOME]


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module 'coursekit.export' has no attribute {name!r}; it has {', '.join(_HOME)}")
    return getattr(importlib.import_module(f"coursekit.export.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
