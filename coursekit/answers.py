"""The answers of a lesson's ``exercises.py``, written once: what the solution shows is what the check calls."""

import ast
import textwrap
from pathlib import Path

__all__ = ["BuildError", "answered", "parsed"]


class BuildError(ValueError):
    """A lesson cannot be built; the message names the file, what was expected and what came."""


def answered(source: str, number: str, lesson: Path, between: tuple[str, str] | None = None) -> str:
    """Return an exercise cell with the answers of ``exercises.py`` in the place of the dots.

    A function gets the body of the function of its name there. Values, ``mean = ...``, are computed by the body of the
    function that is the answer of this exercise, whose last line returns them.

    Parameters
    ----------
    source : str
        The cell, as in ``lesson.py``.
    number : str
        Of the exercise.
    lesson : pathlib.Path
        ``lesson.py``, beside which ``exercises.py`` lies.
    between : tuple of str, optional
        The dots stay, and each answer stands behind them, between these two lines.

    Raises
    ------
    BuildError
        When there are no dots, no answer, or one that takes or returns something else.
    """
    path = lesson.with_name("exercises.py")
    if not path.is_file():
        raise BuildError(f"{path} does not exist; it holds the answers to the exercises of lesson.py")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise BuildError(f"{path} is not written in UTF-8: {error}") from None
    answers = [node for node in parsed(text, path).body if isinstance(node, ast.FunctionDef)]
    by_name = {node.name: node for node in answers}
    of_values = next((node for node in answers if number in map(_registered, node.decorator_list)), None)
    lines, stubs, values = source.split("\n"), [], []
    for node in parsed(source, lesson).body:
        if isinstance(node, ast.FunctionDef) and _is_dots(node.body[-1]):
            stubs.append((node, by_name.get(node.name)))
        elif isinstance(node, ast.Assign) and _is_dots(node):
            values.append(node)
    if values:
        if of_values is None or _returned(of_values) != [node.targets[0].id for node in values]:
            names = ", ".join(node.targets[0].id for node in values)
            raise BuildError(f"{path}: the answer of {number} should return {names}, as the dots of lesson.py ask")
        _place(lines, values[0].lineno - 1, values[-1].end_lineno, _body(of_values, text, last=-1), between)
    for stub, answer in reversed(stubs):
        if answer is None or ast.dump(answer.args) != ast.dump(stub.args):
            raise BuildError(
                f"{path}: exercise {number} needs its answer here, a function "
                f"{stub.name}({ast.unparse(stub.args)}) as in lesson.py"
            )
        body = ["    " + line if line else "" for line in _body(answer, text)]
        _place(lines, stub.body[-1].lineno - 1, stub.end_lineno, body, between)
    if not values and not stubs:
        raise BuildError(f"{lesson}: an exercise needs three dots for its answer: {source[:60]!r}")
    return "\n".join(lines)


def parsed(source: str, path: Path) -> ast.Module:
    """Parse Python, a file or a cell of it.

    Raises
    ------
    BuildError
        When it is not Python: says where it stands and shows the line.
    """
    try:
        return ast.parse(source, str(path))
    except SyntaxError as error:
        line = source.split("\n")[(error.lineno or 1) - 1].strip()
        raise BuildError(f"{path}: {error.msg}, in line {error.lineno} of this file or cell: {line!r}") from None
    except ValueError as error:  # it holds a zero byte
        raise BuildError(f"{path}: {error}") from None


def _place(lines: list[str], start: int, end: int, answer: list[str], between: tuple[str, str] | None) -> None:
    lines[start:end] = [*lines[start:end], between[0], *answer, between[1]] if between else answer


def _is_dots(node: ast.stmt) -> bool:
    value = getattr(node, "value", None)
    return isinstance(node, ast.Expr | ast.Assign) and isinstance(value, ast.Constant) and value.value is ...


def _registered(decorator: ast.expr) -> str:
    """Return the number in ``@exercise("1.2", ...)``."""
    is_call = isinstance(decorator, ast.Call) and getattr(decorator.func, "id", "") == "exercise"
    return ast.literal_eval(decorator.args[0]) if is_call else ""


def _returned(function: ast.FunctionDef) -> list[str]:
    value = getattr(function.body[-1], "value", None)
    return [getattr(part, "id", "") for part in (value.elts if isinstance(value, ast.Tuple) else [value])]


def _body(function: ast.FunctionDef, text: str, last: int | None = None) -> list[str]:
    """Return the lines of a function's body, comments included, without its docstring and without indentation."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    before = function.body[0].end_lineno if len(body) < len(function.body) else _head(function, text)
    lines = text.split("\n")[before : function.end_lineno if last is None else body[last].lineno - 1]
    return textwrap.dedent("\n".join(lines)).strip("\n").split("\n")


def _head(function: ast.FunctionDef, text: str) -> int:
    """Return the number of the line on which the head of a function ends; comments may stand below it."""
    lines = text.split("\n")
    at = function.body[0].lineno - 1
    while lines[at - 1].strip().startswith("#") or not lines[at - 1].strip():
        at -= 1
    return at
