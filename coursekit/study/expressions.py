"""Expressions over columns, such as ``(ptll > 30) & (mll < 200)``: a grammar of our own, evaluated by numexpr.

Python parses the text and nothing of it is ever executed: each node of the syntax tree must be on a short list, and is
written again as text for numexpr, with columns called c0, c1 ... Integers are calculated as int64, so that the number
of an event keeps all its digits, and everything else as float64.
"""

import ast
import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from coursekit.words import listed, near

MAX_LENGTH, MAX_NODES, MAX_COLUMNS, MAX_POWER = 2000, 400, 30, 100
"""Of the text, of its syntax tree, of what numexpr takes at once, and of an exponent."""
MAX_WRITTEN = 20_000

_OF_ONE = [
    "sqrt",
    "exp",
    "expm1",
    "log",
    "log10",
    "log1p",
    "sin",
    "cos",
    "tan",
    "arcsin",
    "arccos",
    "arctan",
    "sinh",
    "cosh",
    "tanh",
    "arcsinh",
    "floor",
    "ceil",
]
FUNCTIONS = dict.fromkeys((*_OF_ONE, "abs", "sign"), 1) | {
    "arctan2": 2,
    "hypot": 2,
    "minimum": 2,
    "maximum": 2,
    "where": 3,
}
"""The functions, and how many arguments each takes."""

_ARITHMETIC = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
_COMPARISONS = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="}
_LOGIC = {ast.BitAnd: "&", ast.BitOr: "|", ast.And: "&", ast.Or: "|"}
_PLACEHOLDER = 0xA000  # letters of the Yi script, one for each name in backticks: as long as what they stand for


@dataclass(frozen=True)
class Expression:
    """An expression whose syntax is known to be right.

    Attributes
    ----------
    text : str
        As it was written.
    names : tuple of str
        The columns it needs, in order of appearance.

    Examples
    --------
    >>> cut = Expression.parse("20 < pt <= 90 and not `Jet/Jet.Flag`", "input.cut")
    >>> cut.names
    ('pt', 'Jet/Jet.Flag')
    >>> cut.mask({"pt": np.array([10.0, 50, 50]), "Jet/Jet.Flag": np.array([False, False, True])}, 3)
    array([False,  True, False])
    """

    text: str
    names: tuple[str, ...]
    what: str

    @classmethod
    def parse(cls, text: str, what: str) -> "Expression":
        """Read an expression.

        Numbers; names of columns, in backticks if they are not words (```Jet/Jet.PT```); ``+ - * / % **``; comparisons,
        also chained; ``and or not`` or ``& | ~``, event by event, of conditions; and the functions in `FUNCTIONS`.
        Division gives a float, and ``%`` has the sign of the divisor, as in Python.

        Parameters
        ----------
        text : str
        what : str
            What errors call it: the key of the study file.

        Raises
        ------
        ValueError
            The text is no such expression; the message says where.
        """
        tree, quoted = _tree(text, what)
        names = [
            quoted.get(node.id, node.id)
            for node in sorted(
                (node for node in ast.walk(tree) if isinstance(node, ast.Name)), key=lambda n: (n.lineno, n.col_offset)
            )
            if not _is_function(node, tree)
        ]
        names = tuple(dict.fromkeys(names))
        if len(names) > MAX_COLUMNS:
            raise ValueError(f"{what}: {len(names)} columns are more than {MAX_COLUMNS}; divide it by derived columns")
        found = cls(text, names, what)
        found._source(dict.fromkeys(names, "any"))  # finds what is not allowed, and numbers where conditions belong
        return found

    def evaluate(self, columns: Mapping[str, np.ndarray], n: int, source: str = "") -> np.ndarray:
        """Calculate the expression for each event.

        Parameters
        ----------
        columns : mapping of str to (N,) array
            Numbers or bools, any unit.
        n : int
            N, for an expression without columns.
        source : str
            Where the columns are from, for errors.

        Returns
        -------
        (N,) array
            float64, int64 or bool. NaN only where an input is NaN.

        Raises
        ------
        KeyError
            A column is missing.
        ValueError
            A column is text or jagged; a number stands where a condition belongs, or the reverse; the result is NaN or
            infinite in an event whose inputs are finite, such as the logarithm of a negative number.
        """
        import numexpr

        used = {}
        for name in self.names:
            if name not in columns:
                raise KeyError(
                    f"{self._where(source)} there is no column {name};{near(name, columns)} there is {listed(columns)}"
                )
            used[name] = _operand(columns[name], name, self._where(source))
        text, _ = self._source(
            {name: "bool" if column.dtype.kind == "b" else "number" for name, column in used.items()}
        )
        local = {"one": np.ones(1, dtype=np.int64)} | {f"c{i}": column for i, column in enumerate(used.values())}
        try:
            with np.errstate(
                all="ignore"
            ):  # of constants, which Python calculates; what is not finite is refused below
                result = numexpr.evaluate(text, local_dict=local, global_dict={}, truediv=True, casting="safe")
        except (OverflowError, ZeroDivisionError, TypeError, NotImplementedError) as error:
            raise ValueError(f"{self._where(source)} cannot be calculated ({error})") from error
        if not used:
            result = np.full(n, result)
        if result.dtype.kind in "iu":
            result = result.astype(np.int64, copy=False)
        self._require_finite(result, used, source)
        return result

    def mask(self, columns: Mapping[str, np.ndarray], n: int, source: str = "") -> np.ndarray:
        """Calculate a condition, (N,) bool, with the parameters and errors of `evaluate`; ValueError if it is none."""
        found = self.evaluate(columns, n, source)
        if found.dtype != bool:
            raise ValueError(
                f"{self._where(source)} is a number, where a condition is expected: compare it with something, such as "
                f"({self.text}) != 0"
            )
        return found

    def _where(self, source: str) -> str:
        return f"{source}{': ' if source else ''}{self.what}: {self.text!r}:"

    def _source(self, kinds: dict[str, str]) -> tuple[str, str]:
        tree, quoted = _tree(self.text, self.what)
        aliases = {name: (f"c{i}", kinds[name]) for i, name in enumerate(self.names)}
        aliases |= {short: aliases[name] for short, name in quoted.items() if name in aliases}
        return _Writer(self.text, self.what, aliases).write(tree.body)

    def _require_finite(self, result: np.ndarray, used: Mapping[str, np.ndarray], source: str) -> None:
        if result.dtype.kind != "f" or np.isfinite(result).all():
            return
        bad = ~np.isfinite(result)
        for column in used.values():
            bad &= np.isfinite(column)
        if bad.any():
            first = int(np.flatnonzero(bad)[0])
            values = ", ".join(f"{name} = {column[first]:.6g}" for name, column in used.items())
            raise ValueError(
                f"{self._where(source)} is {'NaN' if np.isnan(result[first]) else 'infinite'} in {bad.sum()} of "
                f"{len(result)} events, first in event {first}{', where ' if used else ''}{values}; protect it, as "
                f"in where(x > 0, log(where(x > 0, x, 1)), -1), or cut such events"
            )


@functools.lru_cache(256)
def _tree(text: str, what: str) -> tuple[ast.Expression, dict[str, str]]:
    """Parse an expression; names in backticks are replaced by letters that `quoted` maps back to them."""
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"{what} is an expression, such as 'ptll > 30', but {text!r} came")
    if len(text) > MAX_LENGTH:
        raise ValueError(f"{what}: {len(text)} characters are more than {MAX_LENGTH}; divide it by derived columns")
    quoted = {}

    def short(match: re.Match) -> str:
        letter = chr(_PLACEHOLDER + len(quoted))
        quoted[letter] = match[1]
        return letter.ljust(len(match[0]))

    plain = re.sub(r"`([^`]+)`", short, text.replace("\n", " "))
    if "`" in plain:
        raise ValueError(f"{what}: {text!r}: the backtick at {plain.index('`') + 1} has no partner")
    start = len(plain) - len(plain.lstrip())
    try:
        tree = ast.parse(plain[start:], mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        at = f" at character {start + error.offset}" if isinstance(error, SyntaxError) and error.offset else ""
        reason = error.msg if isinstance(error, SyntaxError) else "too deeply nested"
        raise ValueError(f"{what}: {text!r} is no expression{at}: {reason}") from None
    if sum(1 for _ in ast.walk(tree)) > MAX_NODES:
        raise ValueError(f"{what}: {text[:40]!r} ... has more than {MAX_NODES} parts; divide it by derived columns")
    return tree, quoted


def _is_function(name: ast.Name, tree: ast.AST) -> bool:
    return any(isinstance(node, ast.Call) and node.func is name for node in ast.walk(tree))


def _operand(column, name: str, where: str) -> np.ndarray:
    """Return a column as numexpr calculates with it: bool, int64 or float64."""
    if not isinstance(column, np.ndarray) or column.ndim != 1 or column.dtype.kind not in "biuf":
        kind = "text" if getattr(getattr(column, "dtype", None), "kind", "") in "SUO" else "jagged"
        raise ValueError(f"{where} {name} is {kind}, where one number per event is expected")
    if column.dtype.kind == "u" and column.dtype.itemsize == 8 and column.max(initial=0) > np.iinfo(np.int64).max:
        raise ValueError(f"{where} {name} has integers beyond 2^63, which cannot be calculated with")
    return column.astype({"b": bool, "f": np.float64}.get(column.dtype.kind, np.int64), copy=False)


class _Writer:
    """Writes a syntax tree again for numexpr; each part comes with its kind: a "number", a "bool", or "any" of them."""

    def __init__(self, text: str, what: str, aliases: Mapping[str, tuple[str, str]]):
        self.text, self.what, self.aliases = text, what, aliases

    def write(self, node: ast.expr) -> tuple[str, str]:
        writer = getattr(self, f"_{type(node).__name__.lower()}", None)
        if writer is None:
            raise self._error(node, f"{_CALLED.get(type(node), type(node).__name__)} cannot be used here")
        text, kind = writer(node)
        if len(text) > MAX_WRITTEN:  # some functions write their arguments several times
            raise self._error(node, "it is too deeply nested; divide it by derived columns")
        return text, kind

    def _error(self, node: ast.expr, reason: str) -> ValueError:
        return ValueError(f"{self.what}: {self.text!r}, at {ast.unparse(node)!r}: {reason}")

    def _number(self, node: ast.expr) -> str:
        text, kind = self.write(node)
        return f"where({text}, 1, 0)" if kind == "bool" else text

    def _condition(self, node: ast.expr) -> str:
        text, kind = self.write(node)
        if kind == "number":
            raise self._error(node, "a number stands where a condition is expected: compare it, such as x != 0")
        return text

    def _name(self, node: ast.Name) -> tuple[str, str]:
        if node.id not in self.aliases:
            raise self._error(node, f"{node.id} is a function and stands without arguments")
        return self.aliases[node.id]

    def _constant(self, node: ast.Constant) -> tuple[str, str]:
        value = node.value
        if isinstance(value, bool):
            return f"(one == {int(value)})", "bool"
        if not isinstance(value, int | float) or not abs(value) < 2**63:
            raise self._error(node, "only numbers below 2^63 can be written here")
        return repr(value), "number"

    def _unaryop(self, node: ast.UnaryOp) -> tuple[str, str]:
        if isinstance(node.op, ast.Not | ast.Invert):
            return f"(~{self._condition(node.operand)})", "bool"
        return f"({'-' if isinstance(node.op, ast.USub) else '+'}{self._number(node.operand)})", "number"

    def _boolop(self, node: ast.BoolOp) -> tuple[str, str]:
        return f"({_LOGIC[type(node.op)].join(map(self._condition, node.values))})", "bool"

    def _compare(self, node: ast.Compare) -> tuple[str, str]:
        if wrong := [op for op in node.ops if type(op) not in _COMPARISONS]:
            raise self._error(node, f"{type(wrong[0]).__name__} cannot be used here; compare with < <= > >= == !=")
        values = [self._number(value) for value in (node.left, *node.comparators)]
        # Python would compare constants before numexpr sees them, and to Python ~True is -2.
        values = [value if re.search(r"\bc\d|one", value) else f"(one*{value})" for value in values]
        pairs = zip(values[:-1], node.ops, values[1:], strict=True)
        return f"({'&'.join(f'({a} {_COMPARISONS[type(op)]} {b})' for a, op, b in pairs)})", "bool"

    def _binop(self, node: ast.BinOp) -> tuple[str, str]:
        if type(node.op) in _LOGIC:
            return f"({self._condition(node.left)} {_LOGIC[type(node.op)]} {self._condition(node.right)})", "bool"
        if isinstance(node.op, ast.Pow):
            return f"((1.0*{self._number(node.left)})**{self._exponent(node.right)!r})", "number"
        a, b = self._number(node.left), self._number(node.right)
        if isinstance(node.op, ast.Mod):  # as Python's; what numexpr's is depends on its version
            m = f"({a} % {b})"
            return f"where(({m} != 0) & (({m} < 0) != ({b} < 0)), {m} + {b}, {m})", "number"
        if type(node.op) not in _ARITHMETIC:
            raise self._error(node, f"{type(node.op).__name__} cannot be used here; there are + - * / % **")
        return f"({a} {_ARITHMETIC[type(node.op)]} {b})", "number"

    def _exponent(self, node: ast.expr) -> int | float:
        sign = -1 if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) else 1
        value = getattr(node.operand if sign < 0 else node, "value", None)
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= MAX_POWER:
            raise self._error(
                node, f"an exponent is a number between -{MAX_POWER} and {MAX_POWER}; else write exp(b*log(a))"
            )
        return sign * value

    def _call(self, node: ast.Call) -> tuple[str, str]:
        name = node.func.id if isinstance(node.func, ast.Name) else ast.unparse(node.func)
        if not isinstance(node.func, ast.Name) or name not in FUNCTIONS:
            raise self._error(
                node, f"there is no function {name};{near(name, FUNCTIONS)} there are {', '.join(FUNCTIONS)}"
            )
        if node.keywords or len(node.args) != FUNCTIONS[name]:
            raise self._error(node, f"{name} takes {FUNCTIONS[name]} argument{'s' if FUNCTIONS[name] > 1 else ''}")
        if name == "where":
            condition, (a, one), (b, other) = self._condition(node.args[0]), *map(self.write, node.args[1:])
            if one == other == "bool":
                return f"(({condition} & {a}) | (~{condition} & {b}))", "bool"
            return f"where({condition}, {self._number(node.args[1])}, {self._number(node.args[2])})", "number"
        a, *rest = (self._number(argument) for argument in node.args)
        if name in ("minimum", "maximum"):  # NaN if either is, as NumPy's
            sign = "<" if name == "minimum" else ">"
            return f"where(({a} {sign} {rest[0]}) | ({a} != {a}), {a}, {rest[0]})", "number"
        written = {
            "abs": f"where({a} < 0, -({a}), {a})",  # numexpr's own makes a float of an integer
            "sign": f"where({a} > 0, 1.0, where({a} < 0, -1.0, 1.0*({a})))",
            "hypot": f"sqrt((1.0*{a})**2 + (1.0*{(rest or [a])[0]})**2)",
        }
        return written.get(name) or f"{name}({', '.join([f'1.0*{a}', *(f'1.0*{b}' for b in rest)])})", "number"


_CALLED = {
    ast.Attribute: "an attribute (of a branch with a dot in its name, write the name in backticks)",
    ast.Subscript: "an index",
    ast.IfExp: "if ... else (write where(condition, a, b))",
    ast.Lambda: "a function",
    ast.NamedExpr: "an assignment",
    ast.JoinedStr: "text",
    ast.Tuple: "a list (of several conditions, join them with and)",
    ast.List: "a list",
}
