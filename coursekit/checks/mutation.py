"""Programs that differ from a given one in one place, as the slips of people do.

The same mutants serve three times. Those of the course's answer say what a wrong result is the result of; among those
of the student's own code may be the right one, and then the place of the change is the place of the mistake; and one
that passes a check shows what its cases fail to try. (Mutation analysis: DeMillo, Lipton, Sayward, IEEE Computer 11
(1978) 34; first-order mutants by operators on the syntax tree.)
"""

import ast
from collections.abc import Callable, Iterator
from typing import NamedTuple

from coursekit.checks.omissions import everywhere, what_may_be_missing
from coursekit.checks.slips import KINDS, name_of, of_expression, of_statements

__all__ = ["KINDS", "RANK", "Mutant", "mutants"]

#: The likely kinds first.
RANK = {kind: rank for rank, kind in enumerate(KINDS)}

#: Names of modules: `np` in ``np.sum(x)`` is no quantity.
MODULES = {"np", "ak", "torch", "nn", "F", "pd", "math", "keras", "numpy", "uproot", "plt"}


#: Fields of a syntax tree in which no value stands.
_NO_PLACES = ("targets", "target", "decorator_list", "annotation", "returns", "optional_vars")


class Mutant(NamedTuple):
    """One change: its kind, a key of `KINDS`; the line and the code that it replaces; what a result of it is due to."""

    kind: str
    line: int
    code: str
    said: str


class _Place(NamedTuple):
    parent: ast.AST
    field: str
    index: int | None
    node: ast.expr
    code: str  # of the node; of a number, what it stands in

    def put(self, node) -> None:
        if self.index is None:
            setattr(self.parent, self.field, node)
        else:
            getattr(self.parent, self.field)[self.index] = node


def mutants(tree: ast.Module, *, repairing: bool = False, constants: tuple = ()) -> Iterator[Mutant]:
    """Yield the first-order mutants of a program; while one is yielded, `tree` is that mutant.

    Parameters
    ----------
    tree : ast.Module
        Functions or lines of a cell; it is changed, and as it was when the iteration has ended.
    repairing : bool, optional
        Also add what may be missing: a factor, a function, a `not`. Of the answer nothing is missing.
    constants : tuple, optional
        Numbers and texts to try in the place of those that stand there, such as the ones of the answer.

    Yields
    ------
    Mutant
        The likely ones first: what stands there by another, then what may be missing.
    """
    arguments = _arguments(tree)
    stored = [n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
    names = list(dict.fromkeys([*arguments, *stored]))
    places = [place for root in tree.body for place in _places(root)]
    numbers = tuple(value for value in constants if not isinstance(value, str))
    strings = list(
        dict.fromkeys(
            [p.node.value for p in places if _is_short_text(p.node)] + [c for c in constants if isinstance(c, str)]
        )
    )
    for place in places:
        in_size = _is_a_size(place)
        for kind, other, said in of_expression(place.node, names, strings, numbers, arguments):
            if not (in_size and kind in ("operation", "number")):  # such an array can be too large for the memory
                yield from _with(place, kind, other, said)
    for root in tree.body:
        yield from _statements(root)
    if repairing:
        for kind, was, applies, other in everywhere(places, arguments, names, numbers):
            yield from _with_all([place for place in places if applies(place.node)], kind, was, other)
    for place in places if repairing else ():
        for kind, other, said in what_may_be_missing(place.node, names, place.parent):
            yield from _with(place, kind, other, said)


def _with(place: _Place, kind: str, other: ast.expr, said: str) -> Iterator[Mutant]:
    ast.copy_location(other, place.node)
    ast.fix_missing_locations(other)
    place.put(other)
    yield Mutant(kind, place.node.lineno, place.code, said)
    place.put(place.node)


def _with_all(chosen: list[_Place], kind: str, was: str, other: Callable) -> Iterator[Mutant]:
    """Yield the change of several places at once; of one place only, it is said where it is."""
    if not chosen:
        return
    for place in chosen:
        place.put(ast.fix_missing_locations(ast.copy_location(other(place.node), place.node)))
    at, code = (chosen[0].node.lineno, chosen[0].code) if len(chosen) == 1 else (0, was)
    yield Mutant(kind, at, code, "")
    for place in chosen:
        place.put(place.node)


def _arguments(tree: ast.Module) -> list[str]:
    found = [node.args for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return list(dict.fromkeys(a.arg for args in found for a in [*args.posonlyargs, *args.args, *args.kwonlyargs]))


def _places(root: ast.AST) -> list[_Place]:
    """Return every expression that can be another one: no docstring, default, target, annotation or module."""
    found = []
    above = {child: parent for parent in ast.walk(root) for child in ast.iter_child_nodes(parent)}
    for parent in ast.walk(root):
        if isinstance(parent, ast.arguments):
            continue
        for field, value in ast.iter_fields(parent):
            if field in _NO_PLACES:
                continue
            for index, node in enumerate(value) if isinstance(value, list) else [(None, value)]:
                if isinstance(node, ast.expr) and not _fixed(parent, field, node):
                    code = ast.unparse(_around(node, above)) if isinstance(node, ast.Constant) else ast.unparse(node)
                    found.append(_Place(parent, field, index, node, code))
    return found


def _around(node: ast.expr, above: dict) -> ast.AST:
    """Return the smallest thing that shows which of several equal numbers is meant."""
    outer = above.get(node, node)
    while isinstance(outer, ast.UnaryOp | ast.keyword | ast.Slice | ast.Tuple):
        outer = above[outer]
    return outer if isinstance(outer, ast.expr) else node


def _fixed(parent: ast.AST, field: str, node: ast.expr) -> bool:
    if isinstance(parent, ast.Expr) and isinstance(node, ast.Constant):
        return True
    if isinstance(parent, ast.Attribute) and isinstance(node, ast.Name) and node.id in MODULES:
        return True
    if isinstance(parent, ast.FormattedValue | ast.JoinedStr):
        return True
    if not hasattr(node, "lineno") or isinstance(node, ast.Starred):
        return True
    return field == "func" and isinstance(node, ast.Name | ast.Attribute)


def _is_a_size(place: _Place) -> bool:
    sized = ("zeros", "ones", "full", "empty", "arange", "linspace")
    return isinstance(place.parent, ast.Call) and name_of(place.parent.func) in sized


def _is_short_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) < 16


def _statements(root: ast.AST) -> Iterator[Mutant]:
    for parent in list(ast.walk(root)):
        for field in ("body", "orelse"):
            block = getattr(parent, field, None)
            if not isinstance(block, list) or isinstance(parent, ast.Lambda):
                continue
            for kind, at, other, said in of_statements(block):
                setattr(parent, field, [ast.fix_missing_locations(line) for line in other])
                yield Mutant(kind, at.lineno, ast.unparse(at).split("\n")[0], said)
                setattr(parent, field, block)
