"""What an error in a student's code means, and at which of the student's own lines it came."""

import functools
import linecache
import os
import sysconfig
from pathlib import PurePath

from coursekit.checks.kinds import describe, shortened

__all__ = ["NO_END", "PATIENCE", "endless", "explained", "students_line"]

#: Seconds that a student's function may take, unless the course's own answer needs a good part of them.
PATIENCE = 20
#: Of each sentence about a call that took too long.
NO_END = "did not end in"

#: What some errors of the frameworks mean for somebody who meets them for the first time.
_MEANINGS = {
    "element 0 of tensors does not require grad": "the loss has no gradient: detach(), item(), numpy() or "
    "torch.no_grad() cut the chain between it and the parameters.",
    "inplace operation": "a step was made between the computation of the loss and backward(): the gradients would be "
    "those of parameters that are no longer there. First backward(), then step().",
    "on Tensor that requires grad": "the output still carries its gradients, and a tensor with gradients does not "
    "become an array. Compute it inside `with torch.no_grad():`, which also saves the memory for them.",
}
#: Frames of the course are never the student's, wherever it is installed.
_OURS = {"coursekit", "coursekit_lessons"}
_LIBRARIES = tuple({os.path.normcase(sysconfig.get_paths()[name]) for name in ("stdlib", "platstdlib")})


def explained(name: str, error: BaseException) -> str:
    """Say what an error means, in one sentence or two, with the student's line.

    Parameters
    ----------
    name : str
        Names the function that raised it.
    error : BaseException
        As it was caught.
    """
    line = students_line(error)
    at = f" at `{line}`" if line else ""
    text = _text(error)
    for words, meaning in _MEANINGS.items():
        if words in text:
            return meaning + (f" The error came{at}." if at else "")
    if isinstance(error, SystemExit):
        return f"{name} ends Python, with exit() or quit(){at}. A function ends with `return`."
    if isinstance(error, KeyboardInterrupt):
        return f"{name} was interrupted{at}."
    if isinstance(error, RecursionError):
        return f"{name} raised RecursionError: it calls itself again and again, without an end{at}."
    text = f": {shortened(text, 400)}" if text.strip() else ""
    return f"{name} raised {type(error).__name__}{text}{at}."


def endless(name: str, arguments: tuple, late: BaseException) -> str:
    """Say that a call took too long, where it was, and what usually takes for ever."""
    line = students_line(late)
    at = f", and was still at `{line}`" if line else ""
    given = ", ".join(shortened(describe(argument), 60) for argument in arguments)
    given = f"({given})" if arguments else ""
    return (
        f"{name}{given} {NO_END} {PATIENCE} seconds{at}. What usually does not end is a loop that does not "
        "move on: something in its body must make the condition of `while` false, or leave the loop with `break`."
    )


def students_line(error: BaseException) -> str:
    """Return the line nearest to an error that the student wrote, in whichever cell; nothing if there is none."""
    line, trace = "", error.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        if _is_students(frame.f_code.co_filename, str(frame.f_globals.get("__name__", ""))):
            text = linecache.getline(frame.f_code.co_filename, trace.tb_lineno, frame.f_globals)
            line = text.strip() or line
        trace = trace.tb_next
    return shortened(line, 160)


@functools.lru_cache(maxsize=1024)
def _is_students(file: str, module: str) -> bool:
    if module.split(".")[0] in _OURS or file.startswith("<frozen "):
        return False
    in_packages = {"site-packages", "dist-packages"} & set(PurePath(file).parts)
    return not in_packages and not os.path.normcase(file).startswith(_LIBRARIES)


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # of a class of the student's
        return ""
