"""Marks in the text of a lesson: a number in prose is the number that the lesson prints, or the build fails.

In a markdown cell of ``lesson.py`` a mark stands between double braces, in one line, and names what
`coursekit.lesson.show` prints in the executed solution as ``name: value``:

``{{AUC}}``
    becomes what was printed, ``0.972 ± 0.003``, with its unit; behind a name that ends in ``[%]`` or ``[GeV]`` that is
    the unit. A value with a spread becomes ``about 21``.
``{{0.97 = AUC}}``
    becomes ``0.97``. What was printed has to be that within half a unit of its last digit; an error, ``0.97 ± 0.01``,
    and a unit are compared, too. With a per cent sign a printed fraction counts a hundredfold, ``{{7% = share}}``.
``{{a twelfth = 0.083 = share}}``
    becomes ``a twelfth``, where the value is 0.083 within 10%. Other conditions are ``0.083 within 0.02``, ``< 0.1``,
    ``> 0.1`` and ``0.1 to 0.2``. Of what is no number the text has to be the same: ``{{each of them = True = all}}``.
``{{AUC #2}}``, ``{{events[0]}}``
    the second of several lines with this name; the first entry of a tuple.

Formulas and code keep their braces. The alt texts of ``figures.toml`` are shown before the lesson has run to its end,
so that they take only statements, the forms with ``=``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from coursekit.files import read_toml
from coursekit.words import near

if TYPE_CHECKING:  # it takes two seconds to import, and the set-up cell of every lesson would wait for it
    from nbformat import NotebookNode

__all__ = ["fill", "printed", "stated"]

Shown = Mapping[str, list[str]]
_FORMULA = r"\$\$.*?\$\$|\$[^$\n]*\$|\\begin\{(?P<name>\w+\*?)\}.*?\\end\{(?P=name)\}"
_KEPT = rf"\\\$|```.*?```|`[^`\n]*`|{_FORMULA}"
_MARK = re.compile(rf"\{{\{{(?P<mark>[^{{}}\n]+)\}}\}}|(?P<kept>{_KEPT})|(?P<open>\{{\{{|\}}\}})", re.S)
_DIGITS = r"[-−+]?(?:\d{1,3}(?:[ ,\u00a0]\d{3})+|\d+)?(?:\.\d+)?(?<=\d)(?:e[-+]?\d+)?"
_NUMBER = re.compile(
    rf"(?P<about>about )?(?P<value>{_DIGITS})(?: ± (?P<error>{_DIGITS}))?(?:, give or take \S+)?"
    r"(?P<unit> ?%| [^\d\s].*)?"
)
#: Relative, of the number behind which words stand.
_TOLERANCE = Decimal("0.1")


def printed(notebook: NotebookNode) -> dict[str, list[str]]:
    """Return what an executed notebook printed as ``name: value``, in order, by name.

    Examples
    --------
    >>> from nbformat.v4 import new_code_cell, new_notebook, new_output
    >>> cell = new_code_cell(outputs=[new_output("stream", text="AUC: 0.91\\nepochs\\n")])
    >>> printed(new_notebook(cells=[cell]))
    {'AUC': ['0.91']}
    """
    found: dict[str, list[str]] = {}
    for output in (output for cell in notebook.cells for output in cell.get("outputs", [])):
        for line in output.get("text", "").splitlines():
            name, colon, value = line.rpartition(": ")
            if colon:
                found.setdefault(name.strip(), []).append(value.strip())
    return found


def fill(notebooks: Iterable[NotebookNode], shown: Shown, alt_texts: Path) -> list[str]:
    """Write what was printed into the marks of the text.

    Parameters
    ----------
    notebooks : iterable of NotebookNode
        Solution and exercises; changed in place, the identities of their cells stay.
    shown : mapping of str to list of str
        From `printed`, of the executed solution.
    alt_texts : pathlib.Path
        ``figures.toml`` of the lesson, whose statements are compared, too.

    Returns
    -------
    list of str
        Each mark that does not agree: its sentence, what it states and what was printed. Where nothing was printed the
        text has three dots.
    """
    wrong = []
    for cell in (cell for notebook in notebooks for cell in notebook.cells if cell.cell_type == "markdown"):
        cell.source, unfit = _filled(cell.source, shown)
        wrong += unfit
    for name, text in read_toml(alt_texts).items() if alt_texts.is_file() else ():
        wrong += [f"figure {name}: {line}" for line in _filled(text, shown)[1]]
        for found in _MARK.finditer(text):
            if found["mark"] and not _parts(found["mark"], shown)[0]:
                wrong.append(f"figure {name}: {found[0]} cannot be filled, state the number: {{{{NUMBER = NAME}}}}")
    return list(dict.fromkeys(wrong))


def stated(text: str) -> str:
    """Return a text with the first part of each statement in its place, whatever was printed.

    Examples
    --------
    >>> stated("The curve reaches {{0.97 = AUC}}, with $x_{{i}}$.")
    'The curve reaches 0.97, with $x_{{i}}$.'
    """
    return _MARK.sub(lambda found: found["mark"].split(" = ")[0].strip() if found["mark"] else found[0], text)


# --- inside -----------------------------------------------------------------------------------------------------------


class _Unfit(ValueError):
    """A mark that does not agree with what was printed."""


@dataclass(frozen=True)
class _Number:
    value: Decimal
    error: Decimal | None
    unit: str

    @classmethod
    def read(cls, text: str) -> _Number | None:
        """Read a number as `show` prints it, or as a sentence states it."""
        if not (found := _NUMBER.fullmatch(text.strip())):
            return None
        error = _decimal(found["error"]) if found["error"] else None
        return cls(_decimal(found["value"]), error, (found["unit"] or "").strip())

    def seen_with(self, unit: str) -> _Number:
        """Return a printed number in the unit of a statement."""
        if unit == "%" and not self.unit:
            return _Number(self.value * 100, None if self.error is None else self.error * 100, "%")
        if unit and self.unit and unit != self.unit:
            raise _Unfit(f"in {unit}, not in {self.unit}")
        return self


def _decimal(digits: str) -> Decimal:
    return Decimal(re.sub(r"[ ,\u00a0]", "", digits).replace("−", "-"))


def _filled(text: str, shown: Shown) -> tuple[str, list[str]]:
    wrong: list[str] = []

    def put(found: re.Match) -> str:
        try:
            return _put(found, shown)
        except _Unfit as error:
            begin, end = text.rfind("\n", 0, found.start()) + 1, (text + "\n").index("\n", found.end())
            begin, end = max(begin, found.start() - 100), min(end, found.end() + 100)
            wrong.append(f"{text[begin:end].strip()!r}: {error}")
            stating = _parts(found["mark"], shown)[0] if found["mark"] else [found[0]]
            return stating[0] if stating else "..."

    return _MARK.sub(put, text), wrong


def _put(found: re.Match, shown: Shown) -> str:
    if found["open"]:
        raise _Unfit(f"{found[0]!r} begins or ends no mark; a mark stands in one line and holds no other braces")
    if found["kept"]:
        for inside in re.findall(r"\{\{([^{}\n]+)\}\}", found[0]):
            if _base(_parts(inside, shown)[1])[0] in shown:
                raise _Unfit(f"{{{{{inside}}}}} is not filled within a formula or code: put it outside")
        return found[0]
    stating, name = _parts(found["mark"], shown)
    text = _shown(name, shown)
    number = _Number.read(text)
    named = re.search(r"\[((?!\d+\])[^\]]+)\]$", _base(name)[0])
    if number and named and not number.unit:
        number = replace(number, unit=named[1])
    if not stating:
        return _typeset(text, number)
    said = f"it states {' = '.join(stating)!r}, and {name!r} is printed as {text!r}"
    try:
        if len(stating) > 2 or not _holds(stating, text, number):
            raise _Unfit("")
    except _Unfit as error:
        raise _Unfit(f"{said}; {error}" if str(error) else said) from None
    return stating[0]


def _parts(mark: str, shown: Shown) -> tuple[list[str], str]:
    """Split a mark into what it states and the name; a name may hold an equals sign, too."""
    pieces = [piece.strip() for piece in mark.split(" = ")]
    names = [" = ".join(pieces[at:]) for at in range(len(pieces))]
    at = next((at for at, name in enumerate(names) if _base(name)[0] in shown or name in shown), len(pieces) - 1)
    return pieces[:at], names[at]


def _base(name: str) -> tuple[str, int | None, int | None]:
    """Split ``name[0] #2`` into the name, the entry and the line."""
    found = re.fullmatch(r"(.*?)(?:\[(\d+)\])?(?: #(\d+))?", name)
    return found[1], *(int(number) if number else None for number in found.groups()[1:])


def _shown(name: str, shown: Shown) -> str:
    base, entry, line = (name, None, None) if name in shown else _base(name)
    if base not in shown:
        raise _Unfit(f"nothing is printed as {base!r};{near(base, shown)} a mark names what `show` prints")
    texts = shown[base]
    if line is None and len(set(texts)) > 1:
        raise _Unfit(f"{base!r} is printed as {' and as '.join(dict.fromkeys(texts))}: say which, {{{{{base} #1}}}}")
    if line is not None and not 0 < line <= len(texts):
        raise _Unfit(f"{base!r} is printed {len(texts)} times, got #{line}")
    text = texts[(line or 1) - 1]
    if entry is None:
        return text
    try:
        return str(ast.literal_eval(text)[entry])
    except (ValueError, SyntaxError, TypeError, IndexError):
        raise _Unfit(f"{base!r} is printed as {text!r}, which has no entry [{entry}]") from None


def _holds(stating: list[str], text: str, number: _Number | None) -> bool:
    """Say whether a statement is true, words with a condition or a rounded number."""
    claim = stating[-1]
    if number is None:
        return claim.strip("`'\"") == text
    if len(stating) == 1:
        said = _Number.read(claim)
        if said is None:
            raise _Unfit("words need a number: {{words = NUMBER = name}}")
        there = number.seen_with(said.unit)
        fits = abs(there.value - said.value) <= _half_a_unit(said.value)
        return fits and (
            said.error is None
            or (there.error is not None and abs(there.error - said.error) <= _half_a_unit(said.error))
        )
    condition = re.fullmatch(r"(?P<sign>[<>] )?(?P<first>.+?)(?: (?P<word>within|to) (?P<second>.+))?", claim)
    first, second = (_Number.read(part) if part else None for part in condition.group("first", "second"))
    if first is None or (condition["word"] and second is None):
        raise _Unfit("after words comes NUMBER, NUMBER within NUMBER, < NUMBER, > NUMBER or NUMBER to NUMBER")
    value = number.seen_with((second or first).unit).value
    if condition["sign"]:
        return value < first.value if condition["sign"] == "< " else value > first.value
    if condition["word"] == "to":
        return first.value <= value <= second.value
    return abs(value - first.value) <= (second.value if second else _TOLERANCE * abs(first.value))


def _half_a_unit(value: Decimal) -> Decimal:
    return Decimal((0, (5,), value.as_tuple().exponent - 1))


def _typeset(text: str, number: _Number | None) -> str:
    """Return a printed value as it stands in a sentence."""
    if number is None:
        return text
    found = _NUMBER.fullmatch(text)
    value, error = (
        re.sub(r"^-", "−", re.sub(r"^(-?\d{2,3}|-?\d+?)((?:\d{3})+)$", _grouped, digits or ""))
        for digits in found.group("value", "error")
    )
    both = f"{value} ± {error}" if error else value
    unit = number.unit
    if unit == "%":
        return f"{found['about'] or ''}{f'({both})' if error else both}%"
    return f"{found['about'] or ''}{both}" + (f" {unit}" if unit else "")


def _grouped(found: re.Match) -> str:
    return found[0] if len(found[0].lstrip("-")) < 5 else f"{int(found[0]):,}".replace(",", "\u00a0")
