"""Where an exercise stands in its ``exercises.py``, and which lines its cases and right answers are made from."""

import ast
import functools
import zlib
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Origin", "origins"]

#: Settings that only speak.
_WORDS = {"hints", "mistakes", "harmless"}


@dataclass(frozen=True)
class Origin:
    """The source of one exercise: its settings as expressions, and the statements that all of it needs."""

    settings: dict[str, ast.expr]
    needed: tuple[ast.stmt, ...]
    digest: str


def origins(path: Path) -> dict[str, Origin]:
    """Return the origin of each exercise of an ``exercises.py``, by its number.

    The digest is that of the settings but for hints and mistakes, of the answer, and of all top-level names that these
    use, wherever they stand; blank space does not count.

    Parameters
    ----------
    path : pathlib.Path
    """
    return _origins(path.read_text(encoding="utf-8"))


@functools.lru_cache(maxsize=4)
def _origins(text: str) -> dict[str, Origin]:
    lines, body = text.encode().splitlines(keepends=True), ast.parse(text).body
    defined = {name: node for node in body for name in _defines(node)}
    uses = {node: _uses(node, defined) for node in body}
    found = {}
    for node in body:
        for call in _registrations(node):
            settings = {word.arg: word.value for word in call.keywords if word.arg and word.arg not in _WORDS}
            names = set().union(_uses(node, defined, call), *(_uses(value, defined) for value in settings.values()))
            needed = sorted(_closure({defined[name] for name in names}, uses, defined), key=lambda n: n.lineno)
            parts = [*settings.values(), *_answer(node), *(part for other in needed for part in _answer(other))]
            code = b" ".join(b" ".join(_segment(lines, part).split()) for part in parts)
            found[call.args[0].value] = Origin(settings, tuple(needed), f"{zlib.crc32(code):08x}")
    return found


def _registrations(node: ast.stmt) -> list[ast.Call]:
    """Return the calls ``exercise("1.2", ...)`` of a statement: a decorator's, or ``exercise(...)(first, second)``."""
    calls = [n for n in ast.walk(node) if isinstance(n, ast.Call) and getattr(n.func, "id", "") == "exercise"]
    return [call for call in calls if call.args and isinstance(call.args[0], ast.Constant)]


def _defines(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
        return [n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
    return []


def _answer(node: ast.stmt) -> list[ast.AST]:
    """Return the parts of a statement without its decorators, which are the settings of an exercise."""
    if not isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [] if _registrations(node) else [node]
    if not _registrations(node):
        return [node]
    return [*([node.args] if getattr(node, "args", None) and node.args.args else []), *node.body]


def _uses(node: ast.AST, defined: dict, registration: ast.Call | None = None) -> set[str]:
    """Return which top-level names a part uses; of an exercise only its answer."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef) and _registrations(node):
        walked = [n for part in node.body for n in ast.walk(part)]
    elif registration is not None:
        walked = [n for call in ast.walk(node) if getattr(call, "func", None) is registration for n in call.args]
    else:
        walked = ast.walk(node)
    return {n.id for n in walked if isinstance(n, ast.Name) and n.id in defined}


def _closure(nodes: set, uses: dict, defined: dict) -> set:
    waiting, found = list(nodes), set()
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += [defined[name] for name in uses[node]]
    return found


def _segment(lines: list[bytes], node: ast.AST) -> bytes:
    """Return the text of a part; `ast.get_source_segment` splits the whole file each time."""
    if not hasattr(node, "lineno"):  # arguments
        return b",".join(_segment(lines, argument) for argument in node.args)
    first, last = node.lineno - 1, node.end_lineno - 1
    decorators = getattr(node, "decorator_list", None)
    if decorators:
        first = decorators[0].lineno - 1
    if first == last:
        return lines[first][node.col_offset : node.end_col_offset]
    start = 0 if decorators else node.col_offset
    return b"\n".join([lines[first][start:], *lines[first + 1 : last], lines[last][: node.end_col_offset]])
