"""A small tagger as an ONNX file, made without a framework, and whether C++ can be compiled here."""

import json
import os
import shutil
import subprocess

import numpy as np
import onnx
import pytest

from coursekit.export.graph import Graph
from coursekit.preprocess import Scaler


def can_compile():
    """Tell why nothing can be compiled here, or ""."""
    if shutil.which("g++") is None:
        return "g++ is not installed"
    empty = subprocess.run(
        ["g++", "-x", "c++", "-", "-lopenblas", "-o", os.devnull], input=b"int main() {}", capture_output=True
    )
    return "libopenblas-dev is not installed" if empty.returncode else ""


needs_compiler = pytest.mark.skipif(bool(can_compile()), reason=can_compile())
INPUTS = ["pt", "abs_eta", "ip3d_llr", "sv_mass", "sv_significance", "jf_mass"]
DEFAULTS = {"sv_mass": -1.0, "sv_significance": -99.9, "jf_mass": -90.0}
CLASSES = ["light", "c", "b"]


def raw_jets(n, seed):
    rng = np.random.default_rng(seed)
    jets = rng.normal([60, 1, 2, 2.5, 9, 1.5], [25, 0.7, 6, 1.2, 5, 1], size=(n, 6))
    for name, value in DEFAULTS.items():
        jets[rng.uniform(size=n) < 0.3, INPUTS.index(name)] = value
    return jets.astype(np.float32)


def write_model(path, last="Softmax", kind="table", inputs=INPUTS, seed=1):
    """Write a three-class network with a scaler, three defaults and two checks, as `export_onnx` does."""
    checks = {"sv": "sv_mass", "jf": "jf_mass"}
    scaler = Scaler.fit(raw_jets(2000, 3), INPUTS, defaults=DEFAULTS, checks=checks)
    rng, graph = np.random.default_rng(seed), Graph()
    x = graph.add_scaler("x", scaler)
    for units, end in ((32, "Relu"), (16, "Tanh"), (3, last)):
        x = graph.add(
            end,
            graph.add("Gemm", x, rng.normal(0, 0.4, ({32: 8, 16: 32, 3: 16}[units], units)), rng.normal(size=units)),
        )
    graph.add("Add", x, graph.add_guard("x"), output="probabilities")
    values = {"offset": scaler.offset, "scale": scaler.scale}
    rows = [
        {"name": name, "unit": "GeV" if name == "pt" else "", "default": DEFAULTS.get(name)}
        | {key: float(array[i]) for key, array in values.items()}
        for i, name in enumerate(inputs)
    ]
    about = {"kind": kind, "shape": [6], "inputs": rows, "classes": CLASSES}
    starts, ends = (
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["N", columns])
        for name, columns in (("x", 6), ("probabilities", 3))
    )
    model = onnx.helper.make_model(
        onnx.helper.make_graph(graph.nodes, "tagger", [starts], [ends], graph.constants),
        opset_imports=[onnx.helper.make_opsetid("", 18)],
        ir_version=8,
    )
    onnx.helper.set_model_props(model, {"coursekit": json.dumps(about)})
    onnx.save(model, path)
    return path
