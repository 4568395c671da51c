"""The student's code behind an answer: where it stands, and how to run it again with a change, without a trace."""

import ast
import linecache
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from coursekit.checks.compare import copied

__all__ = ["Written", "of_functions", "of_values"]

#: Code with one of these names writes, reads, trains, waits or ends: it is run by the student alone.
_WRITES, _RUNS = (
    "open exec eval compile input exit quit breakpoint __import__ os shutil subprocess system sys Path unlink "
    "rmdir mkdir to_csv to_hdf to_parquet to_feather tofile save savez savetxt savefig save_model write "
    "writelines recreate mktree File HDFStore dump fit train sleep Thread Process",
    "setup check or_reference hint seed simulate run get_ipython set_printoptions seterr manual_seed",
)
LEAVES_TRACES = frozenset([*_WRITES.split(), *_RUNS.split()])
_KEPT = (ast.FunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
_LARGE = 60_000_000  # bytes of a cell's variables that are worth a copy for each try


@dataclass
class Written:
    """An answer as it is written: a syntax tree that can be changed and run, and what it takes from the notebook."""

    tree: ast.Module
    names: tuple[str, ...]
    namespace: Mapping
    of_values: bool

    @property
    def leaves_traces(self) -> bool:
        """Whether it must not be run again: it writes files, trains, or draws from generators that others share."""
        named = {n.id for n in ast.walk(self.tree) if isinstance(n, ast.Name)}
        attributes = {n.attr for n in ast.walk(self.tree) if isinstance(n, ast.Attribute)}
        modules = {a.name.split(".")[0] for n in ast.walk(self.tree) if isinstance(n, _KEPT[2:]) for a in n.names}
        large = sum(getattr(self.namespace.get(name), "nbytes", 0) for name in named) > _LARGE
        return large or bool(LEAVES_TRACES & (named | attributes | modules))

    def functions(self) -> tuple[Callable, ...]:
        """Return the answer's functions as the tree, perhaps changed meanwhile, makes them.

        Raises
        ------
        Exception
            Whatever the code raises while it is defined.
        """
        code = compile(self.tree, "<changed answer>", "exec")
        if self.of_values:
            return (lambda **given: self._values(code, given),)
        inside = dict(self.namespace)
        exec(code, inside)
        return tuple(inside[name] for name in self.names)

    def _values(self, code, given: Mapping):
        loaded = {n.id for n in ast.walk(self.tree) if isinstance(n, ast.Name)}
        inside = {name: copied(value) if name in loaded else value for name, value in self.namespace.items()}
        inside |= {name: copied(value) for name, value in given.items()}
        exec(code, inside)
        values = tuple(inside[name] for name in self.names)
        return values if len(values) > 1 else values[0]


def of_functions(answer: tuple) -> Written | None:
    """Return the code of functions, or classes, that were written in a notebook; None where it is not to be found."""
    codes = [_code(part) for part in answer]
    if None in codes or len({code.co_filename for code, _ in codes}) > 1:
        return None
    code, namespace = codes[0]
    if os.path.isfile(code.co_filename) and not _of_a_kernel(code.co_filename):  # a module, as the course's own
        return None
    text = "".join(linecache.getlines(code.co_filename))
    names = tuple(_named(part, namespace) for part in answer)
    tree = _parsed(text)
    if tree is None or "" in names:
        return None
    tree.body = [node for node in tree.body if isinstance(node, _KEPT) or _is_constant(node) or _defines(node, names)]
    made = {getattr(node, "name", None) for node in tree.body} | {
        n.id for n in ast.walk(tree) if isinstance(n, ast.Name)
    }
    return Written(tree, names, namespace, of_values=False) if set(names) <= made else None


def of_values(number: str, frame) -> Written | None:
    """Return the cell that computed the values which a call of `check` in `frame` was given; None if not to be found.

    It is the one that ran last before among those which assign the names in ``check("1.2", mean, std, mtw1=mtw1)``.
    """
    here = "".join(linecache.getlines(frame.f_code.co_filename))
    names = _checked(number, here, frame.f_lineno)
    namespace = frame.f_globals
    if not names:
        return None
    cells = [here, *reversed(namespace.get("In") or _recent_cells(frame.f_code.co_filename))]
    for text in cells:
        tree = _parsed(text)
        if tree is None:
            continue
        tree.body = [node for node in tree.body if not _is_aside(node)]
        if set(names) <= {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}:
            return Written(tree, names, namespace, of_values=True)
    return None


def _recent_cells(current: str) -> list[str]:
    """Cells in the order in which they were compiled, where IPython has not kept them."""
    names = [name for name in linecache.cache if (name != current and not os.path.isfile(name)) or _of_a_kernel(name)]
    return ["".join(linecache.getlines(name)) for name in names]


def _of_a_kernel(path: str) -> bool:
    return "ipykernel" in path or "ipython" in path


def _parsed(text: str) -> ast.Module | None:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError):
        return None


def _code(part):
    function = getattr(part, "func", part)
    if isinstance(part, type):
        function = next((f for f in vars(part).values() if hasattr(f, "__code__")), None)
    function = getattr(function, "__wrapped__", function)
    code = getattr(function, "__code__", None)
    return None if code is None else (code, function.__globals__)


def _named(part, namespace: Mapping) -> str:
    name = getattr(part, "__name__", "")
    if namespace.get(name) is part:
        return name
    return next((name for name, value in namespace.items() if value is part and not name.startswith("_")), "")


def _is_constant(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and not any(isinstance(n, ast.Call | ast.Subscript) for n in ast.walk(node))


def _defines(node: ast.stmt, names: tuple) -> bool:
    """Whether a line makes the answer otherwise than with `def`: a lambda, a partial."""
    return isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id in names for t in node.targets)


def _is_aside(node: ast.stmt) -> bool:
    """Whether a line only shows something, or calls the check."""
    if isinstance(node, ast.Assign):
        return isinstance(node.value, ast.Call) and ast.unparse(node.value.func).startswith("or_reference")
    if not isinstance(node, ast.Expr):
        return False
    if not isinstance(node.value, ast.Call):
        return True
    root = ast.unparse(node.value.func).split(".")[0]
    return root in ("print", "plt", "display", "check", "hint", "show", "ax", "fig", "progress", "or_reference")


def _checked(number: str, text: str, line: int) -> tuple[str, ...]:
    """Return the names that a cell gives to ``check(number, ...)`` at this line."""
    for node in ast.walk(_parsed(text) or ast.Module([], [])):
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) in (
            "check",
            "or_reference",
        ):
            first = node.args[0] if node.args else None
            if (
                isinstance(first, ast.Constant)
                and str(first.value) == number
                and node.lineno <= line <= node.end_lineno
            ):
                given = node.args[1:]
                return tuple(arg.id for arg in given) if all(isinstance(arg, ast.Name) for arg in given) else ()
    return ()
