"""Whether an executed notebook says the same as the one that is kept: in a fresh build, and in the tests."""

import difflib
import re
from collections.abc import Mapping
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from coursekit.notebooks import read_notebook

__all__ = ["agree", "differences", "joined", "reproduced"]

_NUMBER = r"[-+−]?[\d,]*\.?\d+"
#: What `coursekit.show` prints with an error, or with a declared spread: the value, and by how much it may differ.
_ROUGHLY = re.compile(rf"(?:about )?({_NUMBER})(?: ± |, give or take )(\d*\.?\d+)")


def differences(committed: Path, fresh: Path) -> list[str]:
    """Say in which cells two notebooks differ.

    Pictures are compared through their alt texts alone, values with an error as `reproduced` says.

    Parameters
    ----------
    committed, fresh : pathlib.Path
        The notebook in the repository and a new build of it.

    Returns
    -------
    list of str
        Unified diff lines; empty when they agree.
    """
    if not committed.is_file():
        return [f"{committed} does not exist"]
    old, new = (_comparable(path) for path in (committed, fresh))
    agree(old, new)
    texts = [nbformat.writes(notebook).splitlines() for notebook in (old, new)]
    return list(difflib.unified_diff(*texts, str(committed), "a fresh build", lineterm="", n=1))


def agree(committed: NotebookNode, fresh: NotebookNode) -> None:
    """Write into a fresh execution, in place, what the one that is kept has printed, as far as `reproduced` does."""
    if len(committed.cells) == len(fresh.cells):
        for before, after in zip(committed.cells, fresh.cells, strict=True):
            if "outputs" in before and "outputs" in after:
                after.outputs = reproduced(before.outputs, after.outputs)


def reproduced(committed, fresh):
    """Write each value with an error, or a declared spread, as it was written before, if the two agree.

    A training adds numbers in an order that depends on the processor and on the threads, and a sum of floats depends on
    its order; so ``0.951 ± 0.004`` reproduces ``0.950 ± 0.004``: the values differ by no more than one error, and the
    errors by no more than a factor of two, or one in the last digit. ``about 20, give or take 8`` reproduces within 8.
    All other text has to be the same, but for the number of blanks between two words.

    Parameters
    ----------
    committed, fresh : str, or lists and mappings of them
        What a cell printed.

    Returns
    -------
    as `fresh`

    Examples
    --------
    >>> reproduced("AUC: 0.950 ± 0.004 of 500", "AUC: 0.951 ± 0.005 of 501")
    'AUC: 0.950 ± 0.004 of 501'
    >>> reproduced("AUC: 0.950 ± 0.004", "AUC: 0.955 ± 0.004")
    'AUC: 0.955 ± 0.004'
    >>> reproduced("trees   112 ± 17", "trees  95 ± 14")  # a table whose widest value has fewer digits
    'trees   112 ± 17'
    """
    if isinstance(committed, str) and isinstance(fresh, str):
        before = list(_ROUGHLY.finditer(committed))
        if len(before) != len(_ROUGHLY.findall(fresh)):
            return fresh
        before = iter(before)
        agreed = _ROUGHLY.sub(lambda match: _agreeing(next(before), match), fresh)
        # The columns of a table are as wide as its widest value, and what is as it was may be padded otherwise.
        return committed if _padded_alike(agreed) == _padded_alike(committed) else agreed
    if isinstance(committed, list) and isinstance(fresh, list):
        return [reproduced(*pair) for pair in zip(committed, fresh, strict=False)] + fresh[len(committed) :]
    if isinstance(committed, Mapping) and isinstance(fresh, Mapping):
        return type(fresh)((key, reproduced(committed.get(key), value)) for key, value in fresh.items())
    return fresh


def joined(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Join neighbouring pieces of a stream: where a kernel cuts them depends on the load of the machine."""
    joined: list[NotebookNode] = []
    for output in outputs:
        if output.output_type == "stream" and joined and joined[-1].get("name") == output.name:
            joined[-1].text += output.text
        else:
            joined.append(output)
    return joined


# --- inside -----------------------------------------------------------------------------------------------------------


def _agreeing(before: re.Match, after: re.Match) -> str:
    value, error, new_value, new_error = (
        float(text.replace(",", "").replace("−", "-")) for match in (before, after) for text in match.groups()
    )
    last_digit = 10.0 ** -len(before[2].partition(".")[2])
    slack = 1e-9 * last_digit
    # The error of a rejection that few jets pass grows faster than the rejection.
    alike = abs(new_error - error) <= last_digit + slack or error / 2 <= new_error + slack <= 2 * (error + slack)
    return before[0] if abs(new_value - value) <= error + slack and alike else after[0]


def _padded_alike(text: str) -> str:
    return re.sub(r" +", " ", text)


def _comparable(path: Path) -> NotebookNode:
    notebook = read_notebook(path)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                output.data["image/png"] = "(picture)"
    return notebook
