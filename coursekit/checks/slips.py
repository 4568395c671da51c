"""The slips that people make, each as a change of one node of a syntax tree; see `coursekit.checks.mutation`."""

import ast
import copy
from collections.abc import Iterator

__all__ = ["COMPARISONS", "KINDS", "edited", "name_of", "numpy_call", "of_expression", "of_statements"]

#: What a change that makes the code right says about the code, when it is quoted before.
KINDS = {  # what is too much comes before what is another
    "step": "this step does not belong here",
    "call": "the outermost call does not belong here",
    "selection": "the selection in brackets does not belong here",
    "term": "a term or a factor does not belong here",
    "condition": "one of the conditions does not belong here",
    "option": "an option does not belong here, or not with this value",
    "entry": "an entry of the list is too many",
    "sign": "a minus sign, a `~` or a `not` does not belong here",
    "fixed": "this value is built in, where an argument belongs",
    "comparison": "the comparison is not the right one",
    "operation": "the operation is not the right one",
    "order": "the two sides, or two arguments, stand in the wrong order",
    "function": "another function belongs here",
    "number": "the number is not the right one",
    "quantity": "another quantity belongs here",
    "text": "the name in quotes is not the right one",
    "axis": "the axis is not the right one",
    "joined": "the conditions are joined the wrong way",
    "slice": "the range is off",
    "mask": "the other entries belong here",
    "range": "the range of the loop is off",
    "case": "one of the two cases belongs here always",
    "angle": "the angle is not the right one",
    "parentheses": "parentheses are missing, or stand in another place",
    "distance": "the two are not combined in the right way",
    "transposed": "rows and columns are exchanged",
    "once": "this repeats, and should happen once",
    "always": "this depends on a condition, and should not",
    "summing": "each turn overwrites what the last one left; they should add up",
    "replacing": "this adds to what was there, where it should replace it",
    "early": "the function returns inside the loop, before the loop has ended",
    "exchanged": "two quantities are exchanged, in all places",
    "missing option": "an option is missing in this call: along which axis",
    "missing factor": "a factor or a term is missing here",
    "missing selection": "a selection in brackets is missing here",
    "missing function": "a function is missing round this",
    "missing sign": "a minus sign or a `~` is missing before this",
    "missing wrap": "this difference of angles is not wrapped to the range from -pi to pi",
    "missing axis": "an axis of length one is missing here, so that the shapes fit",
    "missing conversion": "this should become a floating-point number, or another type, first",
    "late": "the function should return in the loop, and not only after it",
}


def _mapping(text: str) -> dict[str, str]:
    return dict(pair.split(": ") for pair in " ".join(text.split()).split("; "))


#: Which function is taken for which: of NumPy, of Python, methods of arrays and tensors.
FUNCTIONS = _mapping(
    """
    minimum: maximum; maximum: minimum; argmax: argmin nanargmax; argmin: argmax nanargmin; nanargmax: argmax
    nanargmin; nanargmin: nanargmax; sum: mean max cumsum any; mean: sum median max; average: sum; nansum: sum
    nanmean; nanmean: mean nansum; median: mean; std: var; var: std; any: all; all: any; log: log10 log2 log1p exp;
    log10: log; log2: log; log1p: log; exp: expm1 log; floor: ceil rint; ceil: floor rint; rint: floor ceil; round:
    floor ceil int; int: round; sin: cos tan sinh; cos: sin cosh; tan: sin tanh; sinh: cosh sin tanh; cosh: sinh
    cos; tanh: sinh tan; max: min sum mean; min: max sum mean median; cumsum: sum; quantile: percentile; percentile:
    quantile; zeros: ones; ones: zeros; zeros_like: ones_like; ones_like: zeros_like; vstack: hstack column_stack;
    hstack: vstack concatenate; stack: concatenate; concatenate: stack; repeat: tile; tile: repeat; append: extend;
    extend: append; sqrt: square; square: sqrt; permutation: shuffle; argsort: sort; sort: argsort; sigmoid: softmax
    tanh; intersect1d: union1d; union1d: intersect1d; dot: multiply; prod: sum; arctan2: arctan; floor_divide:
    divide
    """
)
WORDS = _mapping(
    """
    sum: the sum; mean: the mean; average: the mean; max: the largest; min: the smallest; sqrt: the square root;
    log: the logarithm; exp: the exponential; abs: the absolute value; cumsum: the running sum; argsort: the order;
    sort: the sorting; floor: the rounding down; clip: the clipping; std: the standard deviation; round: the
    rounding; median: the median; int: the rounding; len: the number; where: the choice between two; isin: the
    search in a list; ceil: the rounding up; any: the `any`; all: the `all`; argmax: the position of the largest;
    argmin: the position of the smallest
    """
)
COMPARISONS = {
    ast.Lt: (ast.LtE, ast.Gt, ast.GtE),
    ast.LtE: (ast.Lt, ast.GtE, ast.Gt),
    ast.Gt: (ast.GtE, ast.Lt, ast.LtE),
    ast.GtE: (ast.Gt, ast.LtE, ast.Lt),
    ast.Eq: (ast.NotEq, ast.GtE, ast.LtE),
    ast.NotEq: (ast.Eq, ast.Gt, ast.Lt),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Is: (ast.Eq,),
    ast.IsNot: (ast.NotEq,),
}
OPERATIONS = {
    ast.Add: (ast.Sub, ast.Mult),
    ast.Sub: (ast.Add, ast.Mult, ast.Div),
    ast.Mult: (ast.Div, ast.Add),
    ast.Div: (ast.Mult, ast.FloorDiv, ast.Sub),
    ast.FloorDiv: (ast.Div, ast.Mod),
    ast.Mod: (ast.FloorDiv, ast.Div),
    ast.Pow: (ast.Mult,),
    ast.BitAnd: (ast.BitOr, ast.BitXor),
    ast.BitOr: (ast.BitAnd,),
    ast.BitXor: (ast.BitOr, ast.Pow),
    ast.MatMult: (ast.Mult,),
}
SIGNS = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.Pow: "**",
    ast.BitAnd: "&",
    ast.BitOr: "|",
    ast.BitXor: "^",
    ast.MatMult: "@",
}

_Slip = tuple[str, ast.expr, str]


def edited(node, **fields):
    other = copy.copy(node)
    for name, value in fields.items():
        setattr(other, name, value)
    return other


def numpy_call(function: str, *arguments, axis: int | None = None) -> ast.Call:
    words = [] if axis is None else [ast.keyword("axis", ast.Constant(axis))]
    return ast.Call(ast.Attribute(ast.Name("np", ast.Load()), function, ast.Load()), list(arguments), words)


def name_of(function: ast.expr) -> str:
    return getattr(function, "attr", getattr(function, "id", ""))


def _noun(node: ast.expr, arguments) -> str:
    """Name a part of the answer without showing it: an argument by its name, a call by what it computes."""
    if isinstance(node, ast.Name):
        return f"`{node.id}`" if node.id in arguments else "a quantity"
    if isinstance(node, ast.Constant):
        return f"the {node.value}" if isinstance(node.value, int | float) else "a constant"
    if isinstance(node, ast.Call):
        return WORDS.get(name_of(node.func), "a function")
    inside = [n.id for n in ast.walk(node) if isinstance(n, ast.Name) and n.id in arguments]
    return f"the part with `{inside[0]}`" if len(set(inside)) == 1 else "a part"


def of_expression(node: ast.expr, names: list, strings: list, numbers: tuple, arguments: list) -> Iterator[_Slip]:
    """Yield (kind, another node, what a result of it is due to) for one expression."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        yield from _of_comparison(node)
    elif isinstance(node, ast.BoolOp):
        other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield "joined", edited(node, op=other), "two conditions are joined the other way, by `and` or `or`"
        for value in node.values if len(node.values) == 2 else ():
            yield "condition", value, "one of the conditions is not asked"
    elif isinstance(node, ast.BinOp):
        yield from _of_operation(node, arguments)
    elif isinstance(node, ast.UnaryOp) and not isinstance(node.operand, ast.Constant):
        sign = {ast.USub: "a minus sign", ast.Invert: "a `~`", ast.Not: "a `not`"}.get(type(node.op), "a sign")
        yield "sign", node.operand, f"{sign} is left out"
    elif isinstance(node, ast.Call):
        yield from _of_call(node, arguments)
    elif isinstance(node, ast.Subscript):
        yield from _of_subscript(node, names, arguments)
    elif isinstance(node, ast.Constant):
        yield from _of_constant(node, strings, numbers)
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in names:
        said = f"`{node.id}`" if node.id in arguments else "a quantity"
        for other in names:
            if other != node.id:
                by = f" (`{other}`)" if other in arguments else ""
                yield "quantity", ast.Name(other, ast.Load()), f"another quantity{by} stands in the place of {said}"
    elif isinstance(node, ast.Attribute):
        yield from _of_attribute(node)
    elif isinstance(node, ast.Tuple | ast.List) and isinstance(node.ctx, ast.Load) and len(node.elts) > 1:
        for i in range(len(node.elts)):
            yield "entry", edited(node, elts=node.elts[:i] + node.elts[i + 1 :]), "an entry is left out"
        for i in range(len(node.elts) - 1):
            exchanged = [*node.elts[:i], node.elts[i + 1], node.elts[i], *node.elts[i + 2 :]]
            yield "order", edited(node, elts=exchanged), "two entries are exchanged"
    elif isinstance(node, ast.IfExp):
        yield "case", node.body, "one of two cases is taken always"
        yield "case", node.orelse, "one of two cases is taken always"
        yield "order", edited(node, body=node.orelse, orelse=node.body), "two cases are exchanged"


def _of_comparison(node: ast.Compare) -> Iterator[_Slip]:
    for other in COMPARISONS.get(type(node.ops[0]), ()):
        edge = {type(node.ops[0]), other} in ({ast.Lt, ast.LtE}, {ast.Gt, ast.GtE})
        said = "the boundary itself counts to the other side" if edge else "a comparison is turned round"
        yield "comparison", edited(node, ops=[other()]), said


def _of_operation(node: ast.BinOp, arguments: list) -> Iterator[_Slip]:
    sign, mask = SIGNS.get(type(node.op), "?"), isinstance(node.op, ast.BitAnd | ast.BitOr)
    parts = f"{_noun(node.left, arguments)} and {_noun(node.right, arguments)}"
    for other in OPERATIONS.get(type(node.op), ()):
        said = f"there is a `{SIGNS[other]}` between {parts}, where another operation belongs"
        yield ("joined" if mask else "operation"), edited(node, op=other()), said
    if not isinstance(node.op, ast.Add | ast.Mult | ast.BitAnd | ast.BitOr | ast.BitXor):
        yield "order", edited(node, left=node.right, right=node.left), f"the two sides of a `{sign}` are exchanged"
    if isinstance(node.left, ast.BinOp) and not mask:  # a - (b * c) for (a - b) * c
        within = ast.BinOp(node.left.right, node.op, node.right)
        yield "parentheses", ast.BinOp(node.left.left, node.left.op, within), "parentheses stand in another place"
    if isinstance(node.right, ast.BinOp) and not mask:
        within = ast.BinOp(node.left, node.op, node.right.left)
        yield "parentheses", ast.BinOp(within, node.right.op, node.right.right), "parentheses stand in another place"
    for kept, gone in ((node.left, node.right), (node.right, node.left)):
        if mask:
            yield "condition", kept, "one of the conditions is not asked"
        else:
            yield "term", kept, f"{_noun(gone, arguments)} is left out"


def _of_call(node: ast.Call, arguments: list) -> Iterator[_Slip]:
    name, given = name_of(node.func), node.args
    for other in FUNCTIONS.get(name, "").split():
        if isinstance(node.func, ast.Attribute):
            function = edited(node.func, attr=other)
        elif other in ("int", "round", "sum", "min", "max", "any", "all"):
            function = ast.Name(other, ast.Load())
        else:
            function = ast.Attribute(ast.Name("np", ast.Load()), other, ast.Load())
        yield "function", edited(node, func=function), f"`{other}` is taken in the place of another function"
    lonely = len(given) == 1 and not isinstance(given[0], ast.GeneratorExp | ast.Starred)
    if lonely:
        yield "call", given[0], f"{WORDS.get(name, 'a function')} is left out"
    if (isinstance(node.func, ast.Attribute) and not isinstance(node.func.value, ast.Name | ast.Constant)) or (
        isinstance(node.func, ast.Attribute) and not given and isinstance(node.func.value, ast.Name)
    ):
        yield "call", node.func.value, f"{WORDS.get(name, 'the call of a method')} is left out"
    for i in range(len(given) - 1):
        exchanged = [*given[:i], given[i + 1], given[i], *given[i + 2 :]]
        yield "order", edited(node, args=exchanged), "two arguments of a function are exchanged"
    if len(given) > 1:
        yield "option", edited(node, args=given[:-1]), "the last argument of a function is left out"
    if name == "hypot" and len(given) == 2:
        yield from _of_distance(*given)
    for i, word in enumerate(node.keywords):
        rest = node.keywords[:i] + node.keywords[i + 1 :]
        if word.arg in ("axis", "dim"):
            for other, said in ((0, "along axis 0"), (1, "along axis 1"), (-1, "along the last axis")):
                changed = ast.keyword(word.arg, ast.Constant(other))
                if ast.unparse(changed.value) != ast.unparse(word.value):
                    yield "axis", edited(node, keywords=[*rest, changed]), f"`{name}` runs {said}"
            yield "axis", edited(node, keywords=rest), f"`{name}` runs over everything at once"
        elif word.arg:
            yield "option", edited(node, keywords=rest), f"the option `{word.arg}=` is left out"
    if name == "range" and len(given) == 1:
        one, n = ast.Constant(1), given[0]
        less, more = ast.BinOp(n, ast.Sub(), one), ast.BinOp(n, ast.Add(), one)
        yield "range", edited(node, args=[one, n]), "the first turn of a loop is left out"
        yield "range", edited(node, args=[less]), "the last turn of a loop is left out"
        yield "range", edited(node, args=[more]), "a loop makes one turn too many"
    elif name == "range" and len(given) == 2:
        for op in (ast.Add(), ast.Sub()):
            moved = [ast.BinOp(bound, op, ast.Constant(1)) for bound in given]
            yield "range", edited(node, args=moved), "both ends of a loop are off by one"


def _of_distance(one: ast.expr, other: ast.expr) -> Iterator[_Slip]:
    two = ast.Constant(2)
    squares = ast.BinOp(ast.BinOp(one, ast.Pow(), two), ast.Add(), ast.BinOp(other, ast.Pow(), two))
    yield "distance", ast.BinOp(one, ast.Add(), other), "two numbers are added, not as the sides of a right angle"
    sides = ast.BinOp(numpy_call("abs", one), ast.Add(), numpy_call("abs", other))
    yield "distance", sides, "two lengths are added, not as the sides of a right angle"
    yield "distance", squares, "the square root of a sum of squares is left out"
    larger = numpy_call("maximum", numpy_call("abs", one), numpy_call("abs", other))
    yield "distance", larger, "the larger of two distances is taken: a square, not a circle"
    for kept in (one, other):
        yield "distance", numpy_call("abs", kept), "one of two coordinates is left out of a distance"


def _of_subscript(node: ast.Subscript, names: list, arguments: list) -> Iterator[_Slip]:
    if not isinstance(node.ctx, ast.Load):
        return
    index = node.slice
    yield "selection", node.value, f"a selection from {_noun(node.value, arguments)} is left out"
    if isinstance(index, ast.Slice):
        if index.lower and not index.upper and not index.step:
            other = ast.Slice(None, index.lower)
            yield "slice", edited(node, slice=other), "the other part of an array is taken"
        if index.upper and not index.lower and not index.step:
            other = ast.Slice(index.upper, None)
            yield "slice", edited(node, slice=other), "the other part of an array is taken"
        for side in ("lower", "upper"):
            bound = getattr(index, side)
            for step, op in ((1, ast.Add()), (1, ast.Sub())) if bound is not None else ():
                moved = edited(index, **{side: ast.BinOp(bound, op, ast.Constant(step))})
                yield "slice", edited(node, slice=moved), "a range is off by one"
            if bound is not None:
                yield "slice", edited(node, slice=edited(index, **{side: None})), "a range has no bound"
    elif isinstance(index, ast.Constant) and isinstance(index.value, int):
        pass  # the number is a place of its own
    elif not isinstance(index, ast.Constant | ast.Tuple):
        yield "mask", edited(node, slice=ast.UnaryOp(ast.Invert(), index)), "the other entries are selected"
        for op in (ast.Add(), ast.Sub()):
            yield "slice", edited(node, slice=ast.BinOp(index, op, ast.Constant(1))), "an index is off by one"


def _of_constant(node: ast.Constant, strings: list, numbers: tuple) -> Iterator[_Slip]:
    value = node.value
    if isinstance(value, bool):
        yield "option", ast.Constant(not value), "True and False are exchanged"
    elif isinstance(value, int | float):
        near = (
            [value + 1, value - 1, -value]
            if isinstance(value, int)
            else [value * 10, value / 10, -value, value * 2, value / 2]
        )
        for other in dict.fromkeys([*near, *numbers]):
            if other != value:
                yield "number", ast.Constant(other), f"there is {other:g} where there should be another number"
    elif isinstance(value, str):
        for other in dict.fromkeys([{"left": "right", "right": "left"}.get(value, value), *strings]):
            if other != value:
                yield "text", ast.Constant(other), f'"{other}" stands in the place of another name'


def _of_attribute(node: ast.Attribute) -> Iterator[_Slip]:
    if node.attr == "pi":
        yield "angle", ast.BinOp(ast.Constant(2), ast.Mult(), node), "a full turn stands where half a turn belongs"
        yield (
            "angle",
            ast.BinOp(node, ast.Div(), ast.Constant(2)),
            "a quarter of a turn stands where half a turn belongs",
        )
        yield "angle", ast.Constant(180.0), "angles are taken for degrees"
    elif node.attr == "T":
        yield "transposed", node.value, "rows and columns are exchanged"


def of_statements(block: list) -> Iterator[tuple[str, ast.stmt, list, str]]:
    """Yield (kind, the statement, the block without the slip or with it, what a result is due to)."""
    for i, line in enumerate(block):
        before, after = block[:i], block[i + 1 :]
        docstring = isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant)
        if not docstring and not isinstance(
            line, ast.Return | ast.FunctionDef | ast.Import | ast.ImportFrom | ast.Pass
        ):
            yield "step", line, [*before, *after] or [ast.copy_location(ast.Pass(), line)], "a step is left out"
        if isinstance(line, ast.AugAssign):
            target = edited(line.target, ctx=ast.Store())
            other = ast.copy_location(ast.Assign([target], line.value), line)
            yield "replacing", line, [*before, other, *after], "each turn of a loop overwrites the last"
        if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name | ast.Subscript):
            other = ast.copy_location(ast.AugAssign(line.targets[0], ast.Add(), line.value), line)
            yield "summing", line, [*before, other, *after], "values add up where each should replace the last"
        if isinstance(line, ast.While):
            other = ast.copy_location(ast.If(line.test, line.body, []), line)
            yield "once", line, [*before, other, *after], "a loop makes one turn only"
        if isinstance(line, ast.If):
            yield "always", line, [*before, *line.body, *after], "a condition is not asked"
            other = edited(line, test=ast.copy_location(ast.UnaryOp(ast.Not(), line.test), line))
            yield "mask", line, [*before, other, *after], "a condition is turned round"
        if isinstance(line, ast.For | ast.While) and isinstance(line.body[-1], ast.Return) and len(line.body) > 1:
            other = edited(line, body=line.body[:-1])
            yield "early", line.body[-1], [*before, other, line.body[-1]], "a function returns after the loop"
        elif isinstance(line, ast.For | ast.While) and after and isinstance(after[-1], ast.Return):
            other = edited(line, body=[*line.body, after[-1]])
            yield "late", line, [*before, other, *after], "the function returns in the first turn of a loop"
