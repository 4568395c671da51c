"""A network as C++ that needs BLAS and no more: SOFIE makes a header of an ONNX file, and a small program uses it."""

import contextlib
import importlib.resources
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from coursekit import __version__
from coursekit.export.onnx import describe
from coursekit.export.single_jet import single_jet
from coursekit.files import naming_if_full, replacing, unwritable
from coursekit.words import listed

#: What `export_cpp` writes, and the program that `compile_cpp` adds.
FILES = (
    "CMakeLists.txt",
    "main.cpp",
    "model.dat",
    "model.hxx",
    "network.hxx",
    "reference_jets.txt",
    "reference_probabilities.txt",
)
PROGRAM = "classify"
#: Jets on which the program and the ONNX file are compared.
JETS = 100
_INSTEAD = "use the ONNX file itself, with ONNX Runtime's C++ interface"
# In a process of its own: SOFIE prints, past sys.stdout, and ends the process where it did not expect a graph.
_GENERATE = """
import sys, sofie
model = sofie.onnx.parse(sys.argv[1])
model.generate()
model.output_generated("model.hxx")
"""


def export_cpp(model: str | os.PathLike, folder: str | os.PathLike) -> Path:
    """Write a network of `export_onnx` as C++: a header and its weights, and a small program around them.

    Parameters
    ----------
    model : path-like
        An ONNX file of `export_onnx`, of a table or of jets as sets. Scaling, default values and the last activation
        are inside it, and inside the C++, too, whose namespace is called after it: that of ``tagger.onnx`` is
        ``tagger_network``, so that two networks can be in one program.
    folder : path-like
        Where the files go; its parent exists. What an earlier export left there is replaced as a whole.

    Returns
    -------
    pathlib.Path
        The folder, with ``model.hxx`` and ``model.dat`` (made by SOFIE), ``network.hxx`` (names of inputs and classes),
        ``main.cpp`` (reads jets from a text file; its first lines say what goes into a framework), ``CMakeLists.txt``,
        and ``reference_jets.txt`` with ``reference_probabilities.txt``: 100 jets, each default value among them, and
        what ONNX Runtime gives for them. ``infer(n, x)`` of the header takes n jets of a table, or the n tracks of one
        jet.

    Raises
    ------
    FileExistsError
        `folder` holds something else, or is no folder.
    FileNotFoundError
        There is no such model, or no parent of the folder.
    ImportError
        SOFIE is not installed; there is one for Linux only.
    ValueError
        The file is not of `export_onnx`; a name has a blank in it; or SOFIE does not know an operator, which is named.

    References
    ----------
    The ML4EP team at CERN, SOFIE, System for Optimized Fast Inference code Emit, https://github.com/ML4EP/SOFIE, and
    PySofie 0.1.0, its package for Python, https://github.com/ML4EP/PySofie

    Examples
    --------
    >>> from coursekit.export import export_onnx
    >>> from coursekit.nets.keras_nets import build_dense
    >>> from coursekit.preprocess import Scaler
    >>> jets = np.random.default_rng(1).normal([50, 1], [20, 0.5], size=(1000, 2))
    >>> scaler, folder = Scaler.fit(jets, ["pt", "abs_eta"]), Path(tempfile.mkdtemp())
    >>> network = build_dense(2, hidden=(8,))
    >>> model = export_onnx(folder / "tagger.onnx", network, jets, classes=["light", "b"], scaler=scaler)
    >>> sorted(file.name for file in export_cpp(model, folder / "cpp").iterdir())  # doctest: +NORMALIZE_WHITESPACE
    ['CMakeLists.txt', 'main.cpp', 'model.dat', 'model.hxx', 'network.hxx', 'reference_jets.txt',
     'reference_probabilities.txt']
    """
    model, folder = Path(model), Path(folder)
    about = describe(model)
    if importlib.util.find_spec("sofie") is None:
        raise ImportError('C++ is made by SOFIE, which exists for Linux: pip install "coursekit[export]"')
    _check_described(model, about)
    jets, counts = _reference_jets(about)
    graph, name = onnx.load(model), _identifier(model.stem)
    probabilities = _run(graph, {"x": jets} if counts is None else {"x": jets, "counts": counts})
    jets = np.split(jets, np.cumsum(np.ones(JETS, dtype=int) if counts is None else counts)[:-1])
    if counts is not None:
        graph = single_jet(graph)
        difference = np.abs(np.concatenate([_run(graph, {"x": jet}) for jet in jets]) - probabilities).max()
        if not difference < 1e-5:
            raise ValueError(
                f"{model} does more with packed jets than a sum for each of them, and can't be written for one jet "
                f"(probabilities would differ by {difference:.2g}): {_INSTEAD}."
            )
    with _replacing_folder(folder) as partial:
        _generate(graph, model, name, partial)
        for file in ("main.cpp", "CMakeLists.txt"):
            source = importlib.resources.files("coursekit.export") / "templates" / file
            text = source.read_text(encoding="utf-8").replace("NAME_OF_NETWORK", name)
            (partial / file).write_text(text, encoding="utf-8", newline="\n")
        (partial / "network.hxx").write_text(_network_header(name, about), encoding="utf-8", newline="\n")
        names = [row["name"] for row in about["inputs"]]
        _write_table(partial / "reference_jets.txt", names, jets)
        _write_table(partial / "reference_probabilities.txt", about["classes"], probabilities)
    return folder


def compile_cpp(folder: str | os.PathLike) -> Path:
    """Compile the program that `export_cpp` wrote, and compare it with ONNX Runtime on the jets beside it.

    Parameters
    ----------
    folder : path-like
        A folder of `export_cpp`.

    Returns
    -------
    pathlib.Path
        The program, ``classify``, in the folder. ``classify jets.txt`` prints the probabilities of the jets in a text
        file, whose first line names the columns.

    Raises
    ------
    FileNotFoundError
        The folder is not of `export_cpp`; or the compiler, or OpenBLAS, is not installed.
    OSError
        The compiler refuses the program.
    ValueError
        It gives other probabilities than ONNX Runtime. No program is left then.
    """
    folder = Path(folder)
    if absent := [name for name in FILES if not (folder / name).is_file()]:
        raise FileNotFoundError(f"{folder} has no {listed(absent)}: write it with export_cpp.")
    if shutil.which("g++") is None:
        raise FileNotFoundError(_missing("a C++ compiler", "g++"))
    with replacing(folder / PROGRAM) as partial:
        command = ["g++", "-O2", "-std=c++17", "main.cpp", "-o", partial.name, "-lopenblas"]
        done = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8", errors="replace")
        if re.search(r"(cannot|unable to) find (library )?-lopenblas", done.stderr):
            raise FileNotFoundError(_missing("OpenBLAS", "libopenblas-dev"))
        if done.returncode:
            errors = [line for line in done.stderr.splitlines() if "error" in line] or [f"status {done.returncode}"]
            raise OSError(f"g++ refuses {folder / 'main.cpp'}: {errors[0].strip()}")
        command = [str(partial.resolve()), "reference_jets.txt", "reference_probabilities.txt"]
        threads = {"OPENBLAS_NUM_THREADS": "1"}
        done = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8", env=os.environ | threads)
        if done.returncode:
            said = " ".join((done.stdout + done.stderr).split()) or f"it ended with status {done.returncode}"
            raise ValueError(
                f"the program and ONNX Runtime disagree on {folder / 'reference_jets.txt'}: {said}. Is {folder} of one "
                "and the same export? Write it again with export_cpp."
            )
    return folder / PROGRAM


def _missing(what: str, package: str) -> str:
    return (
        f"{what} is not installed. On Debian and Ubuntu: sudo apt-get install {package}. Nothing but this "
        "program needs it; the lesson goes on without."
    )


def _check_described(model: Path, about: dict) -> None:
    if about["kind"] not in ("table", "packed"):
        raise ValueError(
            f"{model} takes {about['kind']}, which have no named columns that a text file could hold: {_INSTEAD}."
        )
    names = [*(row["name"] for row in about["inputs"]), *about["classes"]]
    if wrong := [name for name in names if not name.isprintable() or name.split() != [name]]:
        raise ValueError(
            f"{model} has names with blanks in them, {listed(map(repr, wrong))}: a text file with a column for each "
            "cannot hold them. Export it with other names."
        )


def _identifier(stem: str) -> str:
    """Return a name of a file as a part of a name in C++."""
    name = re.sub("[^0-9A-Za-z]+", "_", stem).strip("_")
    return name if name[:1].isalpha() else f"n{name}"


def _generate(graph: onnx.ModelProto, model: Path, name: str, folder: Path) -> None:
    """Let SOFIE write ``model.hxx`` and ``model.dat`` into a folder; ValueError names what it does not know."""
    copy = folder / f"{name}.onnx"  # SOFIE names the namespace after the file
    onnx.save(graph, copy)
    command = [sys.executable, "-P", "-c", _GENERATE, copy.name]
    done = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8", errors="replace")
    copy.unlink()
    if done.returncode or not (folder / "model.dat").exists():
        raise ValueError(f"SOFIE cannot express {model}: {_reason(done)}. Instead {_INSTEAD}.")
    header = (folder / "model.hxx").read_text(encoding="utf-8")
    header = re.sub(r" at \[.*?\]", "", header, count=1)  # the time: the same network gives the same files
    header = header.replace(f'"{name}.dat"', '"model.dat"')
    (folder / "model.hxx").write_text(header, encoding="utf-8", newline="\n")


def _reason(done: subprocess.CompletedProcess) -> str:
    """Return what SOFIE has against a graph: the operators if it names them, else its last words."""
    said = done.stdout + done.stderr
    found = re.findall(r"operator (\w+) is not supported|Operator type (\w+) is not|Parse(\w+):", said)
    operators = dict.fromkeys(name for names in found for name in names if name)
    words = [line.strip() for line in said.splitlines() if line.strip()] or [f"it ended with status {done.returncode}"]
    last = re.sub(r"^\w+Error: ", "", words[-1]).rstrip(".")
    return f"it does not know the operator {listed(operators)} ({last})" if operators else last


def _run(graph: onnx.ModelProto, inputs: dict[str, np.ndarray]) -> np.ndarray:
    """Return the probabilities (N, K) from ONNX Runtime."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, inputs)[0]


def _reference_jets(about: dict) -> tuple[np.ndarray, np.ndarray | None]:
    """Make jets, (N, F) or (T, F) and counts (N,): rows at the mean, with each default alone, and random ones."""
    rng, counts = np.random.default_rng(1), None
    if about["kind"] == "packed":
        counts = rng.integers(0, 16, JETS)
        counts[:2] = 0, 1
    offset, scale = (np.array([row[key] for row in about["inputs"]]) for key in ("offset", "scale"))
    default = np.array([np.nan if row["default"] is None else row["default"] for row in about["inputs"]])
    has = ~np.isnan(default)
    shape = (JETS if counts is None else counts.sum(), len(offset))
    jets = -offset + rng.normal(size=shape) / scale
    jets[0] = -offset
    missing = has & (rng.uniform(size=shape) < 0.3)
    missing[0] = False
    for i, column in enumerate(np.flatnonzero(has)[: JETS // 2]):
        missing[i + 1] = np.arange(len(offset)) == column
    return np.where(missing, default, jets).astype(np.float32), counts


def _write_table(path: Path, names: list[str], jets: Iterable[np.ndarray]) -> None:
    """Write a line of names and a line for each jet, with the digits that give back the same float32."""
    lines = [" ".join(names), *(" ".join(map(str, jet.astype(np.float32).ravel())) for jet in jets)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def _network_header(name: str, about: dict) -> str:
    """Return the header with the names of inputs and classes."""

    def line(row: dict) -> str:
        notes = [json.dumps(row["unit"], ensure_ascii=False)[1:-1]] if row["unit"] else []
        if row["default"] is not None:
            notes.append(f"{np.float32(row['default'])!s} where there is none")
        return f"   {_quoted(row['name'])},{' // ' if notes else ''}{'; '.join(notes)}".rstrip("\\")

    inputs = "\n".join(line(row) for row in about["inputs"])
    classes = ", ".join(map(_quoted, about["classes"]))
    return f"""\
// What the network takes and gives, in this order. Written by coursekit {__version__} with model.hxx and model.dat.
#pragma once

#include "model.hxx"

#include <string>
#include <vector>

namespace {name}_network {{

using SOFIE_{name}::Session;

const std::vector<std::string> inputs{{
{inputs}
}};

const std::vector<std::string> classes{{{classes}}};

const bool tracks = {str(about["kind"] == "packed").lower()}; // whether a jet has the inputs for each of its tracks

}}
"""


def _quoted(name: str) -> str:
    return json.dumps(name, ensure_ascii=False)


@contextlib.contextmanager
def _replacing_folder(folder: Path) -> Iterator[Path]:
    """Give a folder to write into, which takes the place of `folder` (a link stays one) when the block ends well."""
    folder = Path(os.path.realpath(folder))
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder} is no folder: choose another name.")
    foreign = sorted({path.name for path in folder.iterdir()} - {*FILES, PROGRAM}) if folder.exists() else []
    if foreign:
        raise FileExistsError(f"{folder} holds {listed(foreign)}, which would be lost: choose another folder.")
    parent = folder.absolute().parent
    if not parent.is_dir():
        raise FileNotFoundError(f"{parent} does not exist: make it, or choose another folder.")
    try:
        hidden = Path(tempfile.mkdtemp(prefix=f".{folder.name[:50]}.", dir=parent))
    except OSError as error:
        raise unwritable(parent, error) from None
    try:
        partial, former = hidden / "new", hidden / "former"
        partial.mkdir()
        with naming_if_full(folder, partial):
            yield partial
        if folder.exists():
            os.rename(folder, former)
        try:
            os.rename(partial, folder)
        except OSError:
            if former.exists():
                os.rename(former, folder)
            raise
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
