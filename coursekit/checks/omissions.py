"""What a student's code may lack, and what may be wrong in all its places at once; see `coursekit.checks.mutation`."""

import ast
from collections.abc import Iterator

from coursekit.checks.slips import COMPARISONS, edited, name_of, numpy_call

__all__ = ["everywhere", "what_may_be_missing"]

#: Functions that work along an axis, and choose one where none is named.
_ALONG = frozenset(
    (
        "sum",
        "mean",
        "std",
        "max",
        "min",
        "any",
        "all",
        "stack",
        "concatenate",
        "cumsum",
        "argmax",
        "argmin",
        "argsort",
        "sort",
        "prod",
        "median",
        "average",
        "diff",
        "roll",
        "flip",
        "norm",
        "append",
    )
)
_SIGNS = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=", ast.In: "in"}


def what_may_be_missing(node: ast.expr, names: list, parent: ast.AST) -> Iterator[tuple[str, ast.expr, str]]:
    """Yield what may be missing round an expression of a student's: a factor, a function, a `not`, an index."""
    if not isinstance(node, ast.BinOp | ast.Call | ast.Subscript | ast.Name | ast.Compare | ast.Attribute):
        return
    if isinstance(getattr(node, "ctx", ast.Load()), ast.Store | ast.Del):
        return
    if isinstance(node, ast.Call) and name_of(node.func) in _ALONG and not any(map(_is_axis, node.keywords)):
        for axis in (0, 1, -1):
            yield "missing option", edited(node, keywords=[*node.keywords, ast.keyword("axis", ast.Constant(axis))]), ""
    if isinstance(node, ast.Compare):
        yield "missing sign", ast.UnaryOp(ast.Invert(), node), ""
        return
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub):
        pi = ast.Attribute(ast.Name("np", ast.Load()), "pi", ast.Load())
        turn = ast.BinOp(ast.Constant(2), ast.Mult(), pi)
        wrapped = ast.BinOp(ast.BinOp(ast.BinOp(node, ast.Add(), pi), ast.Mod(), turn), ast.Sub(), pi)
        yield "missing wrap", wrapped, ""
    for function in ("abs", "sqrt", "square", "sum", "mean", "log", "floor", "cumsum", "sort"):
        yield "missing function", numpy_call(function, node), ""
    for function in ("sum", "mean", "any", "all"):
        yield "missing function", numpy_call(function, node, axis=1), ""
    yield "missing sign", ast.UnaryOp(ast.USub(), node), ""
    yield "missing sign", ast.UnaryOp(ast.Invert(), node), ""
    inside = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
    for name in names:
        if name not in inside:
            for op in (ast.Mult, ast.Div, ast.Sub, ast.Add):
                yield "missing factor", ast.BinOp(node, op(), ast.Name(name, ast.Load())), ""
            if not isinstance(parent, ast.Subscript):
                yield "missing selection", ast.Subscript(node, ast.Name(name, ast.Load()), ast.Load()), ""
    for number in (1, 2):
        for op in (ast.Add, ast.Sub, ast.Mult, ast.Div):
            yield "missing factor", ast.BinOp(node, op(), ast.Constant(number)), ""
    yield "missing factor", ast.BinOp(ast.Constant(1), ast.Sub(), node), ""
    yield (
        "missing conversion",
        ast.Call(ast.Attribute(node, "astype", ast.Load()), [ast.Name("float", ast.Load())], []),
        "",
    )
    yield "missing conversion", ast.Call(ast.Name("int", ast.Load()), [node], []), ""
    if isinstance(node, ast.Name | ast.Attribute | ast.Call):
        for index in (
            ast.Tuple([ast.Slice(), ast.Constant(None)], ast.Load()),
            ast.Tuple([ast.Constant(...), ast.Constant(None)], ast.Load()),
        ):
            yield "missing axis", ast.Subscript(node, index, ast.Load()), ""


def everywhere(places, arguments: list, names: list, numbers: tuple) -> Iterator[tuple]:
    """Yield (kind, the code, which nodes, their replacement) for changes in all places at once."""
    nodes = [place.node for place in places]
    yield from _of_constants(nodes, arguments, numbers)
    for i, one in enumerate(names):
        for other in names[:i]:
            swap = {one: other, other: one}
            yield (
                "exchanged",
                f"{other}, {one}",
                lambda node, swap=swap: isinstance(node, ast.Name) and swap.get(node.id) and _is_read(node),
                lambda node, swap=swap: ast.Name(swap[node.id], ast.Load()),
            )
    for kind in {type(n.ops[0]) for n in nodes if isinstance(n, ast.Compare) and len(n.ops) == 1}:
        for other in COMPARISONS.get(kind, ()):
            yield (
                "comparison",
                _SIGNS.get(kind, "the comparison"),
                lambda node, kind=kind: isinstance(node, ast.Compare) and [type(op) for op in node.ops] == [kind],
                lambda node, other=other: edited(node, ops=[other()]),
            )
    strict = {ast.Lt: ast.LtE, ast.Gt: ast.GtE, ast.LtE: ast.Lt, ast.GtE: ast.Gt}
    for kinds in ((ast.Lt, ast.Gt), (ast.LtE, ast.GtE)):
        yield (
            "comparison",
            " and ".join(_SIGNS[kind] for kind in kinds),
            lambda node, kinds=kinds: isinstance(node, ast.Compare) and any(type(op) in kinds for op in node.ops),
            lambda node, kinds=kinds: edited(
                node, ops=[strict[type(o)]() if type(o) in kinds else o for o in node.ops]
            ),
        )
    for axis in (0, 1, -1):
        yield (
            "axis",
            "axis=",
            lambda node, axis=axis: (
                isinstance(node, ast.Call) and any(_is_axis(w, other_than=axis) for w in node.keywords)
            ),
            lambda node, axis=axis: edited(node, keywords=[_along(axis, word) for word in node.keywords]),
        )
    two = ast.Constant(2)
    for other in (lambda node: ast.BinOp(two, ast.Mult(), node), lambda node: ast.BinOp(node, ast.Div(), two)):
        yield "angle", "pi", lambda node: isinstance(node, ast.Attribute) and node.attr == "pi", other


def _of_constants(nodes: list, arguments: list, numbers: tuple) -> Iterator[tuple]:
    constants = [n.value for n in nodes if isinstance(n, ast.Constant) and type(n.value) in (int, float, str)]
    for value in dict.fromkeys(constants):

        def same(node, value=value):
            return isinstance(node, ast.Constant) and type(node.value) is type(value) and node.value == value

        for name in arguments:
            yield "fixed", repr(value), same, lambda node, name=name: ast.Name(name, ast.Load())
        if not isinstance(value, str):
            for number in dict.fromkeys([*numbers, 1 - value, 0]) if constants.count(value) > 1 else (0,):
                if number != value:
                    yield "number", repr(value), same, lambda node, number=number: ast.Constant(number)


def _is_read(node: ast.Name) -> bool:
    return isinstance(node.ctx, ast.Load)


def _is_axis(word: ast.keyword, other_than: int | None = None) -> bool:
    return word.arg in ("axis", "dim") and ast.unparse(word.value) != str(other_than)


def _along(axis: int, word: ast.keyword) -> ast.keyword:
    return ast.keyword(word.arg, ast.Constant(axis)) if _is_axis(word) else word
