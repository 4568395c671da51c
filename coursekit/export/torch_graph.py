"""PyTorch networks on sets as part of an ONNX graph, for any number of jets and of constituents.

PyTorch's exporter follows the code of a network and writes down its operators. How packed rows find their jet is told
to it here, since what it knows of `torch.repeat_interleave` needs memory for jets times constituents.
"""

import contextlib
import copy
import io
import logging
import warnings

import numpy as np
import onnx.compose

from coursekit.export.graph import OPSET, Graph, first_line

try:
    import onnxscript
    import torch
    from torch import nn

    from coursekit.nets.deepsets import pool
except ImportError as error:
    raise ImportError(
        f"the export of PyTorch networks needs PyTorch and ONNX Script, and {error.name} is missing: "
        'pip install "coursekit[export,torch]"'
    ) from error


def in_evaluation(network: nn.Module) -> nn.Module:
    """Return a copy of a network on the CPU in evaluation mode; ValueError if it does not calculate in float32."""
    parts = [*network.named_parameters(), *network.named_buffers()]
    kinds = {name: part.dtype for name, part in parts if part.is_floating_point() and part.dtype != torch.float32}
    for name, kind in kinds.items():
        raise ValueError(
            f"{name} of the network is {str(kind)[6:]}: export copy.deepcopy(network).float(), in float32."
        )
    return copy.deepcopy(network).cpu().eval()


def probabilities_of(network: nn.Module, x: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the probabilities of the classes, (N, K) float64, that the logits of a network in float32 stand for."""
    y = _logits(network, x, counts)
    return (torch.cat([-y, y], dim=1).sigmoid() if y.shape[1] == 1 else y.softmax(dim=1)).numpy()


def add(graph: Graph, x: str, network: nn.Module, sample: tuple[np.ndarray, np.ndarray]) -> tuple[str, str]:
    """Add a network of PyTorch and a softmax, or sigmoid.

    Parameters
    ----------
    graph : Graph
        With an input named "counts".
    x : str
        Scaled inputs, (T, F).
    network : torch.nn.Module
        (x, counts) -> logits (N, K) or (N, 1); in evaluation mode.
    sample : tuple of numpy.ndarray
        Scaled x (T, F) and counts (N,), at least two each.

    Returns
    -------
    tuple of str
        Names of the probabilities (N, K), and of (N, 1) zeros, which are NaN where an input is not finite, and all of
        them if the counts do not add up to T.

    Raises
    ------
    ValueError
        The network does not take the sample, gives probabilities and no logits, cannot be followed, or adds up rows in
        a way that gives other numbers from run to run.
    """
    y = _logits(network, *sample)
    twice = "the network gives probabilities already: return the logits of its last layer, the export adds the"
    if y.shape[1] > 1 and (y >= 0).all() and ((y.sum(dim=1) - 1).abs() < 1e-4).all():
        raise ValueError(f"{twice} softmax.")
    exported = onnx.compose.add_prefix(_traced(network, sample), "network_")
    names = {"network_x": x, "network_counts": "counts"}
    for node in exported.graph.node:
        if node.op_type == "ScatterND" and any(one.name == "reduction" and one.s != b"none" for one in node.attribute):
            raise ValueError(
                "the network adds up with index_put, of which ONNX Runtime loses some where it has many threads: use "
                "index_add, or coursekit.nets.deepsets.pool."
            )
        node.ClearField("metadata_props")  # where on this machine the code lies
        node.ClearField("doc_string")
        node.input[:] = [names.get(name, name) for name in node.input]
    for constant in exported.graph.initializer:
        constant.ClearField("metadata_props")
    graph.nodes += exported.graph.node
    graph.constants += exported.graph.initializer
    logits, guard = (output.name for output in exported.graph.output)
    if y.shape[1] > 1:
        return graph.add("Softmax", logits, axis=1), guard
    if any(logits in node.output and node.op_type == "Sigmoid" for node in exported.graph.node):
        raise ValueError(f"{twice} sigmoid.")
    score = graph.add("Sigmoid", logits)
    return graph.add("Concat", graph.add("Sub", 1.0, score), score, axis=1), guard


def _logits(network: nn.Module, x: np.ndarray, counts: np.ndarray) -> torch.Tensor:
    try:
        with torch.no_grad():
            y = network(torch.from_numpy(x), torch.from_numpy(counts))
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        raise ValueError(
            f"the network cannot take x of shape {x.shape} and counts of shape {counts.shape}, which come from the "
            f"sample and the scaler: {first_line(error)}"
        ) from error
    if not isinstance(y, torch.Tensor) or y.ndim != 2 or len(y) != len(counts):
        found = tuple(y.shape) if isinstance(y, torch.Tensor) else type(y).__name__
        raise ValueError(f"the network is no classifier of jets: logits ({len(counts)}, K) are expected, {found} came.")
    return y.double()


class _Guarded(nn.Module):
    """A network, and beside its logits what is NaN if they would mean nothing."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, x, counts):
        finite = pool((x - x).sum(dim=1, keepdim=True), counts)  # (N, 1): a rectifier may make 0 of NaN
        wrong = (counts.sum() != x.shape[0]) | (counts < 0).any()
        return self.network(x, counts), torch.where(wrong, torch.nan, finite)


def _traced(network: nn.Module, sample: tuple[np.ndarray, np.ndarray]) -> onnx.ModelProto:
    """Return what PyTorch's exporter makes of a network, without a word from it.

    It follows the first jets alone: of a loop over jets it writes down each turn, which takes hours for a thousand.
    """
    n_jets = 1 + max(1, int(np.searchsorted(np.cumsum(sample[1]), 2)))  # two at least, and two constituents
    x, counts = torch.from_numpy(sample[0][: sample[1][:n_jets].sum()]), torch.from_numpy(sample[1][:n_jets])
    any_number = {0: torch.export.Dim.DYNAMIC}
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        silent = io.StringIO()
        with warnings.catch_warnings(), contextlib.redirect_stdout(silent), contextlib.redirect_stderr(silent):
            warnings.simplefilter("ignore")
            return torch.onnx.export(
                _Guarded(network).eval(),
                (x, counts),
                input_names=["x", "counts"],
                output_names=["logits", "guard"],
                dynamic_shapes=(any_number, any_number),
                custom_translation_table={
                    torch.ops.aten.repeat_interleave.Tensor: _repeat_interleave,
                    torch.ops.aten.index_add.default: _index_add,
                },
                dynamo=True,
                opset_version=OPSET,
                verbose=False,
            ).model_proto
    except Exception as error:
        while error.__cause__ is not None:  # the exporter's own words stand at the end of a page about itself
            error = error.__cause__
        raise ValueError(
            f"PyTorch's exporter cannot follow the network: {first_line(error)} A decision on values, such as a check "
            "of the counts, belongs behind `if not torch.compiler.is_exporting()`; a loop over jets becomes one sum, "
            "coursekit.nets.deepsets.pool."
        ) from error
    finally:
        logging.disable(disabled)


def _repeat_interleave(repeats, output_size=None):
    """Write down, in operators of ONNX, which jet each row belongs to, (T,), from the counts (N,).

    The end of each jet is a step to the next, and the steps are summed up: for counts 2 0 1 they are 0 0 2 (and one
    more behind the last row), and the jets 0 0 2. Counts that do not add up to T lead out of the array, an error.
    """
    op = getattr(onnxscript, f"opset{OPSET}")
    zero, one = op.Constant(value_ints=[0]), op.Constant(value_ints=[1])
    ends = op.CumSum(repeats, zero)
    size = op.Reshape(op.ReduceSum(repeats) if output_size is None else output_size, op.Constant(value_ints=[-1]))
    steps = op.Expand(zero, op.Add(size, one))
    steps = op.ScatterElements(steps, ends, op.Expand(one, op.Shape(ends)), reduction="add")
    return op.Slice(op.CumSum(steps, zero), zero, size)


def _index_add(self, dim, index, source, alpha=1):
    """Write down a sum over the rows that have the same index, with an operator that takes them one by one.

    The exporter would take ScatterND, whose threads in ONNX Runtime add to the same place at once and lose some of it:
    with eight threads every fifth run is wrong.
    """
    op = getattr(onnxscript, f"opset{OPSET}")
    shape = [-1 if axis == dim % len(source.shape) else 1 for axis in range(len(source.shape))]
    index = op.Expand(op.Reshape(index, op.Constant(value_ints=shape)), op.Shape(source))
    scaled = source if alpha == 1 else op.Mul(source, op.CastLike(op.Constant(value_float=float(alpha)), source))
    return op.ScatterElements(self, index, scaled, axis=dim % len(source.shape), reduction="add")
