"""Mistakes that stand in the source of an answer, whatever the numbers are.

Each reading is a sentence, and, where there is one, the code without the mistake: where that is right, the sentence is
the whole truth, and comes before everything else. Without it a reading that is `sure` is said when no mistake of the
exercise has been recognised, another only when nothing else is known.
"""

import ast
import builtins
import copy
import types
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from coursekit.checks.kinds import shortened
from coursekit.checks.slips import name_of

__all__ = ["Reading", "read"]


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_IN_PLACE = _set("sort append extend reverse shuffle fill insert update remove add_ put clear")
_NEW = _set(
    "abs append astype clip concatenate copy cumsum delete dropna fill_none fillna flatten flip maximum "
    "minimum nan_to_num replace reshape roll round sort sorted squeeze strip transpose unsqueeze where"
)
_METHODS = _set("all any argmax argmin copy cumsum flatten item max mean min numpy ravel std sum to_numpy tolist")
_JOINING = (ast.BitAnd, ast.BitOr)


class Reading(NamedTuple):
    """A sentence; whether it is surely a mistake; the changed program, if a change could put it right."""

    sentence: str
    sure: bool
    fixed: ast.Module | None = None


def read(tree: ast.Module, names: tuple[str, ...], namespace: Mapping, error: str = "") -> Iterator[Reading]:
    """Yield what stands in the functions `names` of a program.

    Parameters
    ----------
    tree : ast.Module
        The program; it is not changed.
    names : tuple of str
        The functions of the answer; if none of them is defined in the program, all of it is read.
    namespace : mapping
        The notebook's variables.
    error : str, optional
        What the answer says when it is called, where it fails.
    """
    functions = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name in names]
    for function in functions:
        yield from _of_returning(tree, function)
        yield from _of_variables(tree, function, namespace)
        yield from _of_generators(function)
    for root in functions or tree.body:
        for node in ast.walk(root):
            for reader in _READERS:
                yield from reader(tree, node, error)


def _changed(tree: ast.Module, node: ast.AST, other) -> ast.Module:
    """Return a copy of a program with another node, or list of statements, in the place of one."""

    class Change(ast.NodeTransformer):
        def visit(self, here):
            return other if here is node else self.generic_visit(here)

    memo = {id(node): node, **{id(part): part for part in ast.walk(node)}}  # the node stays itself in the copy
    return ast.fix_missing_locations(Change().visit(copy.deepcopy(tree, memo)))


def _quoted(node: ast.AST) -> str:
    return f"`{shortened(ast.unparse(node).splitlines()[0], 60)}`"


# --- of a function as a whole -----------------------------------------------------------------------------------------


def _own(function: ast.FunctionDef) -> list[ast.AST]:
    """Return the nodes of a function without those of functions inside."""
    found, todo = [], list(function.body)
    while todo:
        node = todo.pop(0)
        found.append(node)
        if not isinstance(node, ast.FunctionDef | ast.Lambda):
            todo += ast.iter_child_nodes(node)
    return found


def _of_returning(tree: ast.Module, function: ast.FunctionDef) -> Iterator[Reading]:
    inside = _own(function)
    if any(isinstance(n, ast.Yield | ast.YieldFrom) for n in inside):
        return
    last = function.body[-1]
    if any(isinstance(n, ast.Return) and n.value is not None for n in inside):
        for node in inside:
            own = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
            if own and name_of(node.value.func) == function.name:
                fixed = _changed(tree, node, ast.Return(node.value))
                yield Reading(
                    f"{_quoted(node)} calls itself, and what comes back is dropped: `return` is missing before it.",
                    True,
                    fixed,
                )
        return
    printed = [n for n in inside if isinstance(n, ast.Call) and name_of(n.func) == "print"]
    if printed and isinstance(last, ast.Expr) and last.value is printed[-1] and last.value.args:
        value = last.value.args[-1] if len(last.value.args) == 1 else ast.Tuple(last.value.args, ast.Load())
        fixed = _changed(tree, last, ast.Return(value))
        yield Reading(
            f"{function.name} prints its result, and returns nothing: `return` in the place of `print`.", True, fixed
        )
    elif isinstance(last, ast.Expr):
        yield Reading(
            f"{function.name} has no `return`: it computes {_quoted(last)}, and the result is dropped.",
            True,
            _changed(tree, last, ast.Return(last.value)),
        )
    elif isinstance(last, ast.Assign) and isinstance(last.targets[0], ast.Name):
        fixed = _changed(tree, last, [last, ast.Return(ast.Name(last.targets[0].id, ast.Load()))])
        yield Reading(
            f"{function.name} has no `return`: {_quoted(last.targets[0])} is computed, and never given back.",
            True,
            fixed,
        )
    else:
        yield Reading(f"{function.name} has no `return` with a value.", True)


def _of_variables(tree: ast.Module, function: ast.FunctionDef, namespace: Mapping) -> Iterator[Reading]:
    loads = [n for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)]
    loaded = {n.id for n in loads}
    arguments = [a.arg for a in [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]]
    inner = {a.arg for f in ast.walk(function) if isinstance(f, ast.Lambda | ast.FunctionDef) for a in f.args.args}
    stored = (
        {n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        | inner
        | set(arguments)
    )
    unused = [a for a in arguments if a not in loaded]
    foreign = sorted(n for n in loaded - stored if _is_data(namespace.get(n)) and not hasattr(builtins, n))
    for name in foreign:
        alike = [a for a in unused if a.lower() in name.lower() or name.lower() in a.lower()] or unused
        for argument in alike:
            other = _renamed(tree, function, name, argument)
            yield Reading(
                f"`{name}` is a variable of the notebook. Use the argument `{argument}`, which is never looked at.",
                bool(unused),
                other,
            )
        if not alike and not name.isupper():
            yield Reading(f"`{name}` is a variable of the notebook. The function should use its arguments.", False)
    if not foreign:
        for argument in unused:
            yield Reading(f"The argument `{argument}` is never used.", False)
    own = [n for n in _own(function) if isinstance(n, ast.Assign) and isinstance(n.targets[0], ast.Name)]
    yield from _of_standing_still(function, own)
    for node in own:
        if node.targets[0].id not in loaded and not node.targets[0].id.startswith("_"):
            yield Reading(f"`{node.targets[0].id}` is computed, and never used.", False)


def _of_standing_still(function: ast.FunctionDef, assigned: list[ast.Assign]) -> Iterator[Reading]:
    """Read a counter, ``start = 0``, that a loop uses as an index and never changes."""
    for loop in (n for n in ast.walk(function) if isinstance(n, ast.For | ast.While)):
        indices = {
            n.id for s in ast.walk(loop) if isinstance(s, ast.Slice) for n in ast.walk(s) if isinstance(n, ast.Name)
        }
        stored = {n.id for n in ast.walk(loop) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        for node in assigned:
            name, value = node.targets[0].id, node.value
            if name in indices - stored and isinstance(value, ast.Constant) and node.lineno < loop.lineno:
                yield Reading(
                    f"`{name}` is {ast.unparse(value)} before the loop, and the loop never moves it on.", True
                )


def _is_data(value) -> bool:
    if callable(value) or isinstance(value, types.ModuleType):
        return False
    return (
        isinstance(value, int | float | str | list | tuple | dict)
        or hasattr(value, "dtype")
        or hasattr(value, "layout")
    )


def _renamed(tree: ast.Module, function: ast.FunctionDef, name: str, other: str) -> ast.Module:
    changed = copy.deepcopy(function)
    for node in ast.walk(changed):
        if isinstance(node, ast.Name) and node.id == name:
            node.id = other
    return _changed(tree, function, changed)


def _of_generators(function: ast.FunctionDef) -> Iterator[Reading]:
    arguments = [a.arg for a in [*function.args.args, *function.args.kwonlyargs]]
    given = next((a for a in arguments if a in ("rng", "generator", "gen", "random")), "")
    for node in (n for n in ast.walk(function) if isinstance(n, ast.Call)):
        drawn = ast.unparse(node.func).startswith(("np.random.", "random."))
        if given and name_of(node.func) in ("default_rng", "RandomState"):
            yield Reading(
                f"{_quoted(node)} makes a generator of its own. Use the one that is passed in, `{given}`.", True
            )
        elif given and drawn:
            yield Reading(f"{_quoted(node.func)} is not the generator that is passed in, `{given}`.", True)
        elif drawn:
            yield Reading(f"{_quoted(node.func)} draws at random: each call gives another result.", False)


# --- of single nodes --------------------------------------------------------------------------------------------------


def _precedence(tree: ast.Module, node: ast.AST, error: str) -> Iterator[Reading]:
    if isinstance(node, ast.Compare) and any(
        isinstance(x, ast.BinOp) and isinstance(x.op, _JOINING) for x in [node.left, *node.comparators]
    ):
        sentence = f"In {_quoted(node)} the `&` or `|` binds more tightly than the comparison: parentheses are missing."
        yield Reading(sentence, True, _changed(tree, node, _regrouped(node)))


def _regrouped(node: ast.Compare) -> ast.expr:
    """Return what was meant: ``(a > 0) & (b < 1)`` for ``a > 0 & b < 1``."""
    done, joins, current, ops = [], [], None, [None, *node.ops]
    for op, operand in zip(ops, [node.left, *node.comparators], strict=True):
        parts, between = [operand], []
        while isinstance(parts[0], ast.BinOp) and isinstance(parts[0].op, _JOINING):
            between.insert(0, parts[0].op)
            parts[:1] = [parts[0].left, parts[0].right]
        current = parts[0] if op is None else ast.Compare(current, [op], [parts[0]])
        for join, part in zip(between, parts[1:], strict=True):
            done.append(current)
            joins.append(join)
            current = part
    for left, join in zip(reversed(done), reversed(joins), strict=True):
        current = ast.BinOp(left, join, current)
    return current


def _always_true(tree: ast.Module, node: ast.AST, error: str) -> Iterator[Reading]:
    """Read ``x != 1 or x != 2``, and ``x == 1 or 2``."""
    ors = isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or)
    if ors or (isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr)):
        parts = _joined(node)
        unequal = [ast.unparse(x.left) for x in parts if isinstance(x, ast.Compare) and isinstance(x.ops[0], ast.NotEq)]
        if len(unequal) > len(set(unequal)):
            sentence = f"`{unequal[0]} != a` or `{unequal[0]} != b` is always true: join the two with `and` or `&`."
            yield Reading(sentence, True, _changed(tree, node, _with_and(node)))
        constant = [x for x in parts[1:] if isinstance(x, ast.Constant)]
        if constant and isinstance(parts[0], ast.Compare):
            meant = [parts[0], *[ast.Compare(parts[0].left, parts[0].ops, [x]) for x in parts[1:]]]
            fixed = _changed(tree, node, ast.BoolOp(ast.Or(), meant)) if ors else None
            sentence = f"In {_quoted(node)} the {_quoted(constant[0])} stands alone, and counts as True."
            yield Reading(sentence, True, fixed)


def _joined(node: ast.expr) -> list:
    if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or):
        return [part for value in node.values for part in _joined(value)]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return [*_joined(node.left), *_joined(node.right)]
    return [node]


def _with_and(node: ast.expr) -> ast.expr:
    parts = _joined(node)
    if isinstance(node, ast.BoolOp):
        return ast.BoolOp(ast.And(), parts)
    result = parts[0]
    for part in parts[1:]:
        result = ast.BinOp(result, ast.BitAnd(), part)
    return result


def _of_objects(tree: ast.Module, node: ast.AST, error: str) -> Iterator[Reading]:
    if isinstance(node, ast.Assign | ast.Return) and isinstance(node.value, ast.Call):
        function = node.value.func
        if isinstance(function, ast.Attribute) and function.attr in _IN_PLACE and not _of_module(function):
            yield Reading(f"{_quoted(function)} changes what it is called on, and gives None back.", True)
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        call, function = node.value, node.value.func
        name, of_module = name_of(function), _of_module(function)
        if name in _NEW and (of_module or (isinstance(function, ast.Attribute) and name not in _IN_PLACE)):
            target, fixed = call.args[0] if of_module and call.args else getattr(function, "value", None), None
            if isinstance(target, ast.Name):
                fixed = _changed(tree, node, ast.Assign([ast.Name(target.id, ast.Store())], call))
            yield Reading(f"{_quoted(node)} makes something new, which is dropped: it changes nothing.", True, fixed)
    repeated = node.left if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult) else None
    if any(isinstance(entry, ast.List | ast.Dict | ast.Call) for entry in getattr(repeated, "elts", ())):
        yield Reading(f"{_quoted(node)} is the same object many times: what is added to one is in all.", True)


def _of_module(function: ast.expr) -> bool:
    return isinstance(function, ast.Attribute) and getattr(function.value, "id", "") in ("np", "ak", "pd", "torch")


def _of_equality(tree: ast.Module, node: ast.AST, error: str) -> Iterator[Reading]:
    if not isinstance(node, ast.Compare):
        return
    if any(isinstance(other, ast.Attribute) and other.attr == "nan" for other in node.comparators):
        sentence = f"In {_quoted(node)}: nothing is equal to NaN, not even NaN itself. np.isnan asks for it."
        yield Reading(sentence, True, _changed(tree, node, _isnan(node)))
    same = isinstance(node.ops[0], ast.Is | ast.IsNot)
    if same and not any(isinstance(x, ast.Constant) and x.value in (None, True, False) for x in node.comparators):
        op = ast.Eq() if isinstance(node.ops[0], ast.Is) else ast.NotEq()
        fixed = _changed(tree, node, ast.Compare(node.left, [op], node.comparators[:1]))
        yield Reading(f"In {_quoted(node)}, `is` asks for the same object, not for the same value.", True, fixed)


def _isnan(node: ast.Compare) -> ast.expr:
    asked = ast.Call(ast.Attribute(ast.Name("np", ast.Load()), "isnan", ast.Load()), [node.left], [])
    return ast.UnaryOp(ast.Invert(), asked) if isinstance(node.ops[0], ast.NotEq) else asked


def _of_arrays(tree: ast.Module, node: ast.AST, error: str) -> Iterator[Reading]:
    if (
        isinstance(node, ast.Attribute)
        and node.attr in _METHODS
        and isinstance(node.ctx, ast.Load)
        and "method" in error
    ):
        yield Reading(
            f"{_quoted(node)} is the function itself; parentheses call it.",
            True,
            _changed(tree, node, ast.Call(node, [], [])),
        )
    if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Subscript) and isinstance(node.op, ast.Add):
        at = ast.Attribute(ast.Attribute(ast.Name("np", ast.Load()), "add", ast.Load()), "at", ast.Load())
        target = copy.copy(node.target.value)
        call = ast.Expr(ast.Call(at, [target, node.target.slice, node.value], []))
        yield Reading(
            f"{_quoted(node)} adds once where an index comes twice. np.add.at adds all of them.",
            False,
            _changed(tree, node, call),
        )
    whole = isinstance(node, ast.Call) and name_of(node.func) in (
        "zeros",
        "empty",
        "ones",
        "full",
        "zeros_like",
        "full_like",
    )
    if whole and any(w.arg == "dtype" and "int" in ast.unparse(w.value) for w in node.keywords):
        other = ast.Call(node.func, node.args, [w for w in node.keywords if w.arg != "dtype"])
        yield Reading(
            f"{_quoted(node)} holds whole numbers: what is written into it loses its decimals.",
            False,
            _changed(tree, node, other),
        )
    if "ambiguous" in error and isinstance(node, ast.BoolOp):
        yield Reading(
            f"In {_quoted(node)}, `and`, `or` and `not` want one True or False; for arrays there are `&`, `|`, `~`.",
            True,
        )
    elif "ambiguous" in error and isinstance(node, ast.If | ast.IfExp | ast.While):
        yield Reading(
            f"{_quoted(node.test)} is an array of answers, and `if` wants one: use a mask, or np.where.",
            True,
        )


def _of_loops(tree: ast.Module, node: ast.AST, error: str) -> Iterator[Reading]:
    if isinstance(node, ast.While) and "longer than" in error:
        asked = {n.id for n in ast.walk(node.test) if isinstance(n, ast.Name)}
        changed = {
            n.id
            for line in node.body
            for n in ast.walk(line)
            if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
        }
        leaves = any(isinstance(n, ast.Break | ast.Return) for line in node.body for n in ast.walk(line))
        if not leaves and not asked & changed:
            yield Reading(
                f"The loop `while {ast.unparse(node.test)}` does not move on: nothing in it changes what it asks for.",
                True,
            )
    if isinstance(node, ast.For) and isinstance(node.iter, ast.Call) and name_of(node.iter.func) == "len":
        other = ast.Call(ast.Name("range", ast.Load()), [node.iter], [])
        yield Reading(
            f"{_quoted(node)} cannot count: a loop over numbers needs range(...).",
            True,
            _changed(tree, node.iter, other),
        )
    if isinstance(node, ast.For | ast.While) and node.body and isinstance(node.body[-1], ast.Return):
        yield Reading("The `return` at the end of the loop's body ends the function in the first turn.", False)


_READERS: tuple[Callable, ...] = (_precedence, _always_true, _of_objects, _of_equality, _of_arrays, _of_loops)
