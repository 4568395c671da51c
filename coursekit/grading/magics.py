"""A cell of a notebook as Python: what IPython understands besides, magics and commands of the shell, does nothing."""

import ast
import re

__all__ = ["as_python"]

#: Characters and lines, of which IPython reads all the former for each of the latter: a second or two, at most.
_LONGEST, _MOST = 10_000, 30
_LIKE_A_MAGIC = re.compile(r"^\s*[%!?]|=\s*[%!]|\?\s*$", re.M)
_OF_A_CELL = re.compile(r"\A\s*%%.*$", re.M)
_TIMED = re.compile(r"^([ \t]*)%time[ \t]+(?=\S)", re.M)
_TEXT = r"""'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*\""""
#: What IPython makes of a magic: the call of a method with one or two texts.
_CALL = re.compile(rf"get_ipython\(\)\.\w+\((?:{_TEXT})(?:, (?:{_TEXT}))?\)")


def as_python(source: str) -> str:
    """Return a cell with None for each magic and each command of the shell; what is Python stays as it is.

    What ``%time`` stands before, and what stands below the first line of a cell as ``%%time``, is run by IPython, too.
    A text that is no Python even so is returned as it is, and one with more of them than anybody writes.

    Examples
    --------
    >>> as_python("%matplotlib inline\\nfound = (a\\n  % b)\\nlisted = !ls\\n%time c = found")
    'None\\nfound = (a\\n  % b)\\nlisted = None\\nc = found\\n'
    """
    try:
        ast.parse(source)
        return source
    except SyntaxError:
        if len(source) > _LONGEST or len(_LIKE_A_MAGIC.findall(source)) > _MOST:
            return source
    except (ValueError, RecursionError, MemoryError):
        return source
    from IPython.core.inputtransformer2 import TransformerManager

    try:
        text = TransformerManager().transform_cell(_TIMED.sub(r"\1", _OF_A_CELL.sub("pass", source)))
    except Exception:  # of others' making: it gives up after so many magics, or stumbles
        return source
    return _CALL.sub("None", text)
