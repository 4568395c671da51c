"""Nothing is too long to be read at once."""

import ast

import jupytext
import pytest

MODULE, FUNCTION, CELL = 400, 50, 25  # lines; of a function without its docstring


def functions(path):
    """The name of each function and method of a file, nested ones included, with its number of lines."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0]
            is_doc = isinstance(first, ast.Expr) and isinstance(getattr(first.value, "value", None), str)
            doc = first.end_lineno - first.lineno + 1 if is_doc else 0
            yield node.name, node.end_lineno - node.lineno + 1 - doc


@pytest.mark.parametrize("folder", ["coursekit", "tests", "benchmarks"])
def test_no_module_is_too_long(root, folder):
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in (root / folder).rglob("*.py")}
    long = [f"{path.relative_to(root)}: {n} lines" for path, n in sorted(lines.items()) if n > MODULE]
    assert not long, f"more than {MODULE} lines hold two ideas, each of which wants its own room:\n" + "\n".join(long)


def test_no_function_is_too_long(root):
    long = [
        f"{path.relative_to(root)}: {name}, {n} lines"
        for path in sorted((root / "coursekit").rglob("*.py"))
        for name, n in functions(path)
        if n > FUNCTION
    ]
    assert not long, f"more than {FUNCTION} lines, the docstring not counted:\n" + "\n".join(long)


def test_no_cell_is_too_long(root):
    long = [
        f"{path.relative_to(root)}: {len(cell.source.splitlines())} lines from {cell.source.splitlines()[0]!r}"
        for path in sorted((root / "lessons").glob("*/lesson.py"))
        for cell in jupytext.read(path, fmt="py:percent").cells
        if cell.cell_type == "code" and len(cell.source.splitlines()) > CELL
    ]
    assert not long, f"code cells of more than {CELL} lines:\n" + "\n".join(long)


def test_the_docstring_does_not_count_and_a_nested_function_does(tmp_path):
    path = tmp_path / "module.py"
    text = (
        'class A:\n    def f(self):\n        """One.\n\n        Two.\n        """\n        def g():\n            pass\n'
    )
    path.write_text(text, encoding="utf-8")
    assert dict(functions(path)) == {"f": 3, "g": 2}
