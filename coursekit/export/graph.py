"""ONNX graphs, written operator by operator: what stands in front of a network, and what guards its end.

Only plain operators of long standing occur, which other readers of ONNX know, too.
"""

import numpy as np
import onnx
from onnx import helper, numpy_helper

from coursekit.preprocess import Scaler

#: Of the operators, since 2022; read by ONNX Runtime from 1.14 on, and by SOFIE.
OPSET = 18


class Graph:
    """The operators of a graph in the order of calculation, and its constants; values are known by their names."""

    def __init__(self):
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, values) -> str:
        """Add a constant and return its name: integers as int64, other numbers as float32."""
        values = np.asarray(values)
        values = values.astype(np.int64 if values.dtype.kind == "i" else np.float32)
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), f"constant_{len(self.constants)}"))
        return self.constants[-1].name

    def add(self, operator: str, *inputs, output: str = "", **attributes) -> str:
        """Add an operator and return the name of its result; inputs are names, or numbers that become constants."""
        names = [value if isinstance(value, str) else self.constant(value) for value in inputs]
        output = output or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, names, [output], name=f"node_{len(self.nodes)}", **attributes))
        return output

    def add_scaler(self, x: str, scaler: Scaler) -> str:
        """Add what `Scaler.transform` does: (N, F) raw -> (N, F + C) scaled, with fills, and the checks behind.

        The offset is added in two parts, of which the first is a float32: where they nearly cancel, as in 173.1 - 173,
        the difference is exact, and float32 is as good as the float64 of the scaler.
        """
        offset = scaler.offset.astype(np.float32)
        rest = scaler.offset - offset
        scaled = self.add("Mul", self.add("Add", self.add("Add", x, offset), rest), scaler.scale)
        if not scaler.defaults:
            return scaled
        default = np.array([scaler.defaults.get(name, np.nan) for name in scaler.inputs])  # nothing is equal to NaN
        fill = (np.array([scaler.fills.get(name, 0.0) for name in scaler.inputs]) + scaler.offset) * scaler.scale
        missing = self.add("Equal", x, default)
        scaled = self.add("Where", missing, fill, scaled)
        if not scaler.checks:
            return scaled
        looked_at = np.array([scaler.inputs.index(name) for name in scaler.checks.values()])
        found = self.add("Gather", self.add("Cast", missing, to=onnx.TensorProto.FLOAT), looked_at, axis=1)
        return self.add("Concat", scaled, found, axis=1)

    def add_guard(self, x: str) -> str:
        """Add 0 for each jet, (N, 1), or NaN where an input of it, (N, ...), is not finite.

        To be added to the probabilities: a rectifier makes 0 of NaN on some machines, and so a plausible number of a
        jet that nobody measured.
        """
        zeros = self.add("Flatten", self.add("Sub", x, x), axis=1)
        return self.add("ReduceSum", zeros, np.array([1]), keepdims=1)


def first_line(error: Exception) -> str:
    """Return what an error says in its first line, behind which other programs' errors go on for a page."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
