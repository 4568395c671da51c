"""Whether what a lesson prints holds on another machine: build it again and again, each time disturbed by rounding.

A shake is one build of a lesson in which

- initial weights, inputs of trainings and gradients differ by a relative 1e-7 (`coursekit.perturbing`),
- the libraries have one thread or two,
- they may use all vector instructions of this processor, or neither AVX-512, or neither AVX-512 nor AVX2 nor FMA.

The number of the shake decides all of that, so that a shake can be repeated. Each line that is then printed otherwise
than in the solution that is kept, beyond its error (`coursekit.reproducing`), is a `Departure`. What is recorded of it:
the lesson, the shake, the number of the code cell and both texts; of a lesson that does not build, the reason.
"""

import contextlib
import importlib
import itertools
import os
import platform
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from nbformat import NotebookNode

from coursekit.authoring import BuildError, course_settings, read_lesson, solution_notebook
from coursekit.building import build
from coursekit.notebooks import read_notebook
from coursekit.reproducing import joined, reproduced
from coursekit.threads import NUMBERS

__all__ = ["Departure", "circumstances", "departures", "shake"]

_NEWER = ("AVX512F", "AVX512CD", "AVX512VL", "AVX512BW", "AVX512DQ")
_NEW = ("AVX2", "FMA", "FMA4")
#: What each library is told, so that it does without the newer instructions. Eigen, which computes TensorFlow's
#: elementwise operations and sums, and what scikit-learn and FastJet compile themselves decide nothing while they run.
_WITHOUT = {
    "all instructions": {},
    "no AVX-512": {
        "ATEN_CPU_CAPABILITY": "avx2",  # PyTorch's own kernels
        "ONEDNN_MAX_CPU_ISA": "AVX2",  # convolutions of PyTorch, products of matrices of TensorFlow
        "MKL_CBWR": "AVX2",  # products of matrices of PyTorch; MKL_ENABLE_INSTRUCTIONS does nothing on AMD
        "OPENBLAS_CORETYPE": "Haswell",  # those of NumPy and SciPy
        "XLA_FLAGS": "--xla_cpu_max_isa=AVX2",  # networks that Keras lets TensorFlow compile
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=" + ",".join(f"-{name}" for name in _NEWER),  # exp, log, sin of floats
    },
    "no AVX-512, AVX2, FMA": {
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "MKL_CBWR": "COMPATIBLE",
        "OPENBLAS_CORETYPE": "Nehalem",
        "XLA_FLAGS": "--xla_cpu_max_isa=SSE4_2",
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=" + ",".join(f"-{name}" for name in _NEWER + _NEW),
    },
}


@dataclass(frozen=True)
class Departure:
    """A printed line that left its tolerance: lesson, number of the shake, number of the code cell, both texts.

    A lesson that did not build has cell 0, and the reason as the shaken text.
    """

    lesson: str
    shake: int
    cell: int
    committed: str
    shaken: str


def shake(
    sources: Iterable[Path],
    root: Path,
    times: int,
    jobs: int = 1,
    progress: Callable[[str, int, int], None] = lambda lesson, done, total: None,
) -> Iterator[tuple[int, list[Departure]]]:
    """Build lessons several times, disturbed by rounding, and compare with the solutions that are kept.

    Parameters
    ----------
    sources : iterable of pathlib.Path
        ``lessons/NN_slug/lesson.py``.
    root : pathlib.Path
        The clone of the course. Nothing is written into it.
    times : int
        Shakes 1 to `times`.
    jobs, progress
        As for `coursekit.building.build`; the progress is that of each lesson in each shake.

    Yields
    ------
    int, list of Departure
        For each shake its number and what left its tolerance.

    Raises
    ------
    BuildError
        When the solution that is kept has other cells than the lesson: build it first.
    """
    sources, settings = list(sources), course_settings(root)
    for path in sources:  # before an hour has passed
        _code(root / "solutions" / f"{path.parent.name}.ipynb", solution_notebook(read_lesson(path), settings))
    for number in range(1, times + 1):
        reasons, found = "", []

        def named(lesson, done, total, number=number):
            progress(f"{lesson}, shake {number}", done, total)

        with tempfile.TemporaryDirectory(prefix="shake-") as folder:
            try:
                with _environment(circumstances(number)[1]):
                    build(sources, root, Path(folder), jobs=jobs, progress=named)
            except BuildError as error:
                reasons = str(error)
            for stem in (path.parent.name for path in sources):
                committed, shaken = (Path(where) / "solutions" / f"{stem}.ipynb" for where in (root, folder))
                if shaken.is_file():
                    found += [Departure(stem, number, *line) for line in departures(committed, shaken)]
                else:
                    reason = re.search(
                        rf"^{stem} does not build: (.*?)(?=^\d\d_\w+ does not build|\Z)", reasons, re.M | re.S
                    )
                    found.append(Departure(stem, number, 0, "", reason[1].strip() if reason else reasons))
        yield number, found


def circumstances(number: int) -> tuple[str, dict[str, str]]:
    """Return what a shake is like, in words and as environment variables."""
    threads = str(1 + number % 2)
    masked = list(_WITHOUT)[number % 3]
    variables = {"COURSEKIT_SHAKE": str(number)} | dict.fromkeys(NUMBERS, threads)
    if platform.machine().lower() in ("x86_64", "amd64"):
        variables |= _WITHOUT[masked]
        if disabled := _numpy_features(masked):
            variables["NPY_DISABLE_CPU_FEATURES"] = disabled
    return f"shake {number}, threads: {threads}, {masked}", variables


def departures(committed: Path, shaken: Path) -> list[tuple[int, str, str]]:
    """Compare what two executions of a lesson printed.

    Parameters
    ----------
    committed, shaken : pathlib.Path
        The solution in the repository, and another execution of it.

    Returns
    -------
    list of (int, str, str)
        For each line that differs by more than its error: the number of its code cell as the notebook shows it, the
        line in the one and in the other.

    Raises
    ------
    BuildError
        When they have different cells.
    """
    found = []
    for before, after in _code(committed, read_notebook(shaken)):
        texts = [[_printed(output) for output in joined(cell.outputs)] for cell in (before, after)]
        lines = ("\n".join(text).splitlines() for text in (texts[0], reproduced(*texts)))
        pairs = itertools.zip_longest(*lines, fillvalue="")
        found += [(before.execution_count, one.strip(), other.strip()) for one, other in pairs if one != other]
    return found


def _code(committed: Path, other: NotebookNode) -> list[tuple[NotebookNode, NotebookNode]]:
    """Return the code cells of the solution that is kept, each with that of another form of the lesson."""
    if not committed.is_file():
        raise BuildError(f"{committed} does not exist; run `coursekit build` first")
    old, new = (
        [cell for cell in notebook.cells if cell.cell_type == "code"] for notebook in (read_notebook(committed), other)
    )
    if [cell.source for cell in old] != [cell.source for cell in new]:
        raise BuildError(f"{committed} is not what its lesson builds; run `coursekit build` first")
    return list(zip(old, new, strict=True))


@contextlib.contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Set what the processes of the lessons inherit; the libraries of this one have read theirs already."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _printed(output: NotebookNode) -> str:
    return output.text if output.output_type == "stream" else output.get("data", {}).get("text/plain", "")


def _numpy_features(masked: str) -> str:
    """Return the names to disable; NumPy complains about those that it does not know or the processor does not have."""
    numpy = importlib.import_module("numpy._core._multiarray_umath")
    unwanted = {"no AVX-512": ("AVX512",), "no AVX-512, AVX2, FMA": ("AVX512", "AVX2", "FMA", "X86_V3", "X86_V4")}
    present = [name for name in numpy.__cpu_dispatch__ if numpy.__cpu_features__.get(name)]
    return " ".join(name for name in present if name.startswith(unwanted.get(masked, ("-",))))
