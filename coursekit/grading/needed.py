"""What a cell needs of the cells above it, by name: so an answer is judged without running the notebook.

A function of a student may use what the notebook defines above it, a constant, a helper, another answer. Only the
statements that define these are run, never a training that nothing of it depends on.
"""

import ast
import symtable
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Piece", "of_notebook", "piece", "selected"]

#: A statement that calls one of these only shows something.
_ASIDE = {"show", "print", "check", "hint", "progress", "display", "figure"}


@dataclass(frozen=True)
class Piece:
    """A statement or a cell: its code, the names that it takes from elsewhere, and those that it gives or changes.

    What a loop, or another statement around it, changes stands in `inside` as well.
    """

    source: str
    uses: frozenset[str]
    gives: frozenset[str]
    imports: bool = False
    inside: frozenset[str] = frozenset()


def piece(source: str) -> Piece:
    """Return a piece of Python.

    Raises
    ------
    SyntaxError
        It is none.
    """
    tree = ast.parse(source)
    uses, gives = _names(symtable.symtable(source, "<cell>", "exec"))
    inside = frozenset(name for node in tree.body for name in _changed_inside(node))
    changed = inside.union(*map(_changed, tree.body))
    imports = bool(tree.body) and all(isinstance(node, ast.Import | ast.ImportFrom) for node in tree.body)
    return Piece(source, (uses - gives) | changed, gives | changed, imports, inside - gives)


def of_notebook(sources: Iterable[str]) -> list[Piece]:
    """Return the statements of cells, but for those that only show something."""
    found = []
    for source in sources:
        for node in ast.parse(source).body:
            if not _is_aside(node):
                decorated = [decorator.lineno for decorator in getattr(node, "decorator_list", [])]
                lines = source.split("\n")[min([node.lineno, *decorated]) - 1 : node.end_lineno]
                found.append(piece("\n".join(lines)) if node.col_offset == 0 else piece(ast.unparse(node)))
    return found


def selected(pieces: list[Piece], names: Iterable[str]) -> list[Piece]:
    """Return the pieces, in their order, that give some names, and those that these need in turn.

    A loop that calls a function of a module, such as `torch.manual_seed`, gives nothing to who uses the module.
    """
    wanted, chosen = set(names), set()
    modules = {name for one in pieces if one.imports for name in one.gives}
    while True:
        more = {i for i, one in enumerate(pieces) if (one.gives - (one.inside & modules)) & wanted} - chosen
        if not more:
            return [pieces[i] for i in sorted(chosen)]
        chosen |= more
        wanted |= {name for i in more for name in pieces[i].uses}


def _names(table: symtable.SymbolTable, top: bool = True) -> tuple[frozenset[str], frozenset[str]]:
    symbols = table.get_symbols()
    uses = {s.get_name() for s in symbols if s.is_referenced() and (top or s.is_global())}
    gives = {s.get_name() for s in symbols if (s.is_assigned() or s.is_imported()) and (top or s.is_global())}
    for inner in table.get_children():
        also, given = _names(inner, top=False)
        uses, gives = uses | also, gives | given
    return frozenset(uses), frozenset(gives)


def _changed(node: ast.stmt) -> set[str]:
    """Return the names whose objects a statement changes: an entry, an attribute, or by a method called for itself."""
    targets = getattr(node, "targets", None) or [getattr(node, "target", None)]
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        targets = [node.value.func]
    found = set()
    for target in targets:
        if isinstance(target, ast.Subscript | ast.Attribute):
            while isinstance(target, ast.Subscript | ast.Attribute):
                target = target.value
            found |= {target.id} if isinstance(target, ast.Name) else set()
    return found


def _changed_inside(node: ast.stmt) -> set[str]:
    """Return the names whose objects the statements inside a loop, a condition or the like change."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):  # these run when somebody calls them
        return set()
    parts = ast.stmt | ast.ExceptHandler | ast.match_case
    inner = [one for one in ast.iter_child_nodes(node) if isinstance(one, parts)]
    return set().union(*(_changed(one) | _changed_inside(one) for one in inner))


def _is_aside(node: ast.stmt) -> bool:
    if isinstance(node, ast.With):
        return any(_is_call_of(item.context_expr, {"figure"}) for item in node.items)
    return isinstance(node, ast.Expr) and (not isinstance(node.value, ast.Call) or _is_call_of(node.value, _ASIDE))


def _is_call_of(node: ast.expr, names: set[str]) -> bool:
    return isinstance(node, ast.Call) and getattr(node.func, "id", "") in names
