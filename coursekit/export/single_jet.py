"""A network on packed jets as one on a single jet, for software that knows nothing of packed rows.

The rows of one jet are all rows, so that its sum over tracks is a plain sum, and what tells the jets apart falls away.
"""

import numpy as np
import onnx
from onnx import helper, numpy_helper

#: Constants of the operators that are put in.
_NUMBERS = {"axis_of_rows": [0], "axis_of_columns": [1], "both_axes": [0, 1], "first_column": [0], "one_number": [1]}


def single_jet(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the graph of one jet: of packed jets, x (T, F) and counts (N,), the one with N = 1 and counts = (T,).

    Parameters
    ----------
    model : onnx.ModelProto
        As `coursekit.export.export_onnx` writes it of a network on sets.

    Returns
    -------
    onnx.ModelProto
        x (T, F) -> probabilities (1, K), T of any size, and 0, too.
    """
    graph = model.graph
    constants = {constant.name: constant for constant in graph.initializer}
    constants |= {
        node.output[0]: node.attribute[0].t for node in graph.node if node.op_type == "Constant" and node.attribute
    }
    nodes, counted = [], {"counts"}  # counted: what follows from the counts alone, and says which row is whose
    for node in graph.node:
        if _is_pooling(node) and node.input[1] in counted and node.input[2] not in counted:
            nodes.append(helper.make_node("ReduceSum", [node.input[2], "axis_of_rows"], node.output, keepdims=1))
        elif node.op_type == "Where" and node.input[0] in counted and _is_nan(constants.get(node.input[1])):
            nodes += _guard(node.output[0])  # the counts, which it looks at, cannot be wrong
        else:
            nodes.append(node)
            if counted & {*node.input}:
                counted |= {*node.output}
    nodes = _used(_counts() + nodes, [output.name for output in graph.output])
    names = {name for node in nodes for name in node.input}
    more = [numpy_helper.from_array(np.array(values, dtype=np.int64), name) for name, values in _NUMBERS.items()]
    kept = [constant for constant in [*graph.initializer, *more] if constant.name in names]
    (x,) = (value for value in graph.input if value.name == "x")
    n_inputs, n_classes = (value.type.tensor_type.shape.dim[-1].dim_value for value in (x, graph.output[0]))
    start = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["T", n_inputs])
    end = helper.make_tensor_value_info(graph.output[0].name, onnx.TensorProto.FLOAT, [1, n_classes])
    return helper.make_model(
        helper.make_graph(nodes, graph.name, [start], [end], kept),
        opset_imports=model.opset_import,
        ir_version=model.ir_version,
    )


def _is_pooling(node: onnx.NodeProto) -> bool:
    settings = {attribute.name: attribute for attribute in node.attribute}
    adds = "reduction" in settings and settings["reduction"].s == b"add"
    return node.op_type == "ScatterElements" and adds and ("axis" not in settings or settings["axis"].i == 0)


def _is_nan(constant: onnx.TensorProto | None) -> bool:
    return constant is not None and bool(np.isnan(numpy_helper.to_array(constant)).all())


def _counts() -> list[onnx.NodeProto]:
    """Return operators that count the rows, (1,): SOFIE calculates with numbers, but not with the shape of an array."""
    return [
        helper.make_node("Gather", ["x", "first_column"], ["counts_first"], axis=1),
        helper.make_node("Equal", ["counts_first", "counts_first"], ["counts_same"]),
        helper.make_node("Cast", ["counts_same"], ["counts_ones"], to=onnx.TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["counts_ones", "both_axes"], ["counts_sum"], keepdims=1),
        helper.make_node("Reshape", ["counts_sum", "one_number"], ["counts_flat"]),
        helper.make_node("Cast", ["counts_flat"], ["counts"], to=onnx.TensorProto.INT64),
    ]


def _guard(output: str) -> list[onnx.NodeProto]:
    """Return operators that give 0, (1, 1), or NaN if a value is not finite; rows first, for SOFIE divides by T."""
    return [
        helper.make_node("Sub", ["x", "x"], ["guard_zeros"]),
        helper.make_node("ReduceSum", ["guard_zeros", "axis_of_rows"], ["guard_columns"], keepdims=1),
        helper.make_node("ReduceSum", ["guard_columns", "axis_of_columns"], [output], keepdims=1),
    ]


def _used(nodes: list[onnx.NodeProto], names: list[str]) -> list[onnx.NodeProto]:
    """Return the operators that something depends on."""
    needed, kept = {*names}, []
    for node in reversed(nodes):
        if needed & {*node.output}:
            kept.append(node)
            needed |= {*node.input}
    return kept[::-1]
