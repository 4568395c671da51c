"""Networks on sets, from packed jets to one jet at a time, and to C++."""

import importlib.util
import json
import subprocess

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", exc_type=ImportError)
onnxruntime = pytest.importorskip("onnxruntime", exc_type=ImportError)

from onnx import TensorProto, helper  # noqa: E402

from coursekit.export import compile_cpp, cpp, export_cpp  # noqa: E402
from coursekit.export.graph import Graph  # noqa: E402
from coursekit.export.single_jet import single_jet  # noqa: E402
from coursekit.preprocess import Scaler  # noqa: E402
from tests.taggers import needs_compiler  # noqa: E402

INPUTS = ["d0_significance", "z0_significance", "pt_fraction", "n_pixel_hits"]
DEFAULTS = {"n_pixel_hits": -9.0}
needs_sofie = pytest.mark.skipif(importlib.util.find_spec("sofie") is None, reason="sofie is not installed")


def raw_tracks(n, seed):
    rng = np.random.default_rng(seed)
    tracks = rng.normal([1, 0, 0.1, 4], [4, 3, 0.05, 1], size=(n, 4))
    tracks[rng.uniform(size=n) < 0.2, 3] = -9
    return tracks.astype(np.float32)


def rows_to_jets(graph):
    """Add the jet of each row, (T, 1), from the counts: how many jets have ended before it."""
    ends = graph.add("Unsqueeze", graph.add("CumSum", "counts", np.array(0)), np.array([0]))  # (1, N)
    shape = graph.add("Shape", "x", start=0, end=1)
    ones = graph.add("Expand", np.array([1]), shape)
    rows = graph.add(
        "Unsqueeze", graph.add("Sub", graph.add("CumSum", ones, np.array(0)), np.array([1])), np.array([1])
    )
    ended = graph.add("Cast", graph.add("GreaterOrEqual", rows, ends), to=TensorProto.INT64)  # (T, N)
    return graph.add("ReduceSum", ended, np.array([1]), keepdims=1)


def pool(graph, values, columns, jet):
    shape = graph.add("Concat", graph.add("Shape", "counts"), np.array([columns]), axis=0)
    rows = graph.add("Expand", jet, graph.add("Shape", values))
    return graph.add("ScatterElements", graph.add("ConstantOfShape", shape), rows, values, reduction="add")


def write_model(path, pooling="sum", last="Softmax", sort=False):
    """Write Deep Sets on packed tracks, with a scaler, and a guard that is NaN if the counts do not add up."""
    scaler = Scaler.fit(raw_tracks(2000, 3), INPUTS, defaults=DEFAULTS, checks={"no_pixel": "n_pixel_hits"})
    rng, graph = np.random.default_rng(2), Graph()

    def dense(x, n_in, n_out, activation):
        x = graph.add("Gemm", x, rng.normal(0, 0.6, (n_in, n_out)), rng.normal(0, 0.3, n_out))
        return graph.add(activation, x)

    jet = rows_to_jets(graph)
    phi = dense(dense(graph.add_scaler("x", scaler), 5, 12, "Relu"), 12, 8, "Relu")
    if sort:  # across jets: something that is no sum over the tracks of each
        phi = graph.add("Mul", phi, graph.add("Cast", jet, to=TensorProto.FLOAT))
    latent = pool(graph, phi, 8, jet)
    if pooling == "mean":
        number = graph.add("Unsqueeze", graph.add("Clip", "counts", np.array(1)), np.array([1]))
        latent = graph.add("Div", latent, graph.add("Cast", number, to=TensorProto.FLOAT))
    y = dense(dense(latent, 8, 8, "Relu"), 8, 3, last)
    total = graph.add("ReduceSum", "counts", keepdims=1)
    wrong = graph.add("Not", graph.add("Equal", total, graph.add("Shape", "x", start=0, end=1)))
    finite = pool(graph, graph.add("ReduceSum", graph.add("Sub", "x", "x"), np.array([1]), keepdims=1), 1, jet)
    graph.add("Add", y, graph.add("Where", wrong, np.nan, finite), output="probabilities")
    rows = [
        {"name": name, "unit": "", "default": DEFAULTS.get(name)}
        | {"offset": float(scaler.offset[i]), "scale": float(scaler.scale[i])}
        for i, name in enumerate(INPUTS)
    ]
    starts = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["T", 4]),
        helper.make_tensor_value_info("counts", TensorProto.INT64, ["N"]),
    ]
    ends = [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 3])]
    model = helper.make_model(
        helper.make_graph(graph.nodes, "tagger", starts, ends, graph.constants),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=8,
    )
    about = {"kind": "packed", "inputs": rows, "classes": ["light", "c", "b"]}
    helper.set_model_props(model, {"coursekit": json.dumps(about)})
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    return path


def run(model, **inputs):
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, inputs)[0]


def some_jets(n, seed):
    counts = np.random.default_rng(seed).integers(0, 20, n)
    counts[:2] = 0, 1
    return raw_tracks(counts.sum(), seed), counts


def split(x, counts):
    return np.split(x, np.cumsum(counts)[:-1])


@pytest.mark.parametrize("pooling", ["sum", "mean"])
def test_a_single_jet_is_as_in_a_pack(tmp_path, pooling):
    model = onnx.load(write_model(tmp_path / "tagger.onnx", pooling))
    x, counts = some_jets(60, 5)
    together = run(model, x=x, counts=counts)
    assert np.isnan(run(model, x=x, counts=counts[1:] + 1)).all()  # the guard is there
    one = single_jet(model)
    onnx.checker.check_model(one, full_check=True)
    assert [value.name for value in one.graph.input] == ["x"]
    alone = np.concatenate([run(one, x=jet) for jet in split(x, counts)])
    assert np.abs(alone - together).max() < 1e-6
    assert np.std(together, axis=0).min() > 0.05
    x[0, 2] = np.nan
    assert np.isnan(run(one, x=x[:3])).all()


def test_what_packs_alone_need_is_gone(tmp_path):
    kinds = {node.op_type for node in single_jet(onnx.load(write_model(tmp_path / "tagger.onnx"))).graph.node}
    assert not kinds & {"CumSum", "ScatterElements", "Shape", "ConstantOfShape"}


@needs_sofie
@needs_compiler
def test_tracks_in_cpp_are_as_in_onnx_runtime(tmp_path):
    path = write_model(tmp_path / "tagger.onnx", "mean")
    program = compile_cpp(export_cpp(path, tmp_path / "cpp"))
    x, counts = some_jets(1000, 7)
    order = [2, 0, 3, 1]
    jets = [" ".join(map(str, jet[:, order].ravel())) for jet in split(x, counts)]
    text = tmp_path / "jets.txt"
    text.write_text("\n".join([" ".join(INPUTS[i] for i in order), *jets]) + "\n", encoding="utf-8")
    done = subprocess.run([program, text], capture_output=True, encoding="utf-8")
    got = np.array([line.split() for line in done.stdout.splitlines()[1:]], dtype=np.float32)
    assert np.abs(got - run(onnx.load(path), x=x, counts=counts)).max() < 1e-6
    text.write_text(text.read_text(encoding="utf-8") + "1 2 3 4 5\n", encoding="utf-8")
    done = subprocess.run([program, text], capture_output=True, encoding="utf-8")
    assert done.stderr == f"Error: {text}, line 1002: 5 values, but a multiple of 4 columns\n"


@needs_sofie
def test_a_network_that_looks_across_jets_is_refused(tmp_path):
    path = write_model(tmp_path / "tagger.onnx", sort=True)
    with pytest.raises(ValueError, match=r"tagger.onnx does more with packed jets than a sum .* ONNX Runtime's C\+\+"):
        export_cpp(path, tmp_path / "cpp")
    assert [file.name for file in tmp_path.iterdir()] == ["tagger.onnx"]


@needs_sofie
def test_reference_jets_have_every_number_of_tracks(tmp_path):
    folder = export_cpp(write_model(tmp_path / "tagger.onnx"), tmp_path / "cpp")
    names, *jets = (folder / "reference_jets.txt").read_text(encoding="utf-8").split("\n")[:-1]
    numbers = [len(jet.split()) / len(names.split()) for jet in jets]
    assert len(jets) == cpp.JETS
    assert numbers[:2] == [0, 1]
    assert {*numbers} == {*range(16)}
    assert "const bool tracks = true;" in (folder / "network.hxx").read_text(encoding="utf-8")


@needs_sofie
@needs_compiler
@pytest.mark.parametrize("kind", ["DeepSets", "EnergyFlow"])
def test_networks_of_pytorch_as_they_are_exported(tmp_path, kind):
    pytest.importorskip("onnxscript", exc_type=ImportError)
    torch = pytest.importorskip("torch", exc_type=ImportError)
    from coursekit.export import export_onnx
    from coursekit.nets import deepsets

    torch.manual_seed(1)
    net = getattr(deepsets, kind)(5, phi=(16,), latent=8, rho=(8,), n_outputs=3 if kind == "DeepSets" else 1)
    x, counts = some_jets(1000, 5)
    scaler = Scaler.fit(x, INPUTS, defaults=DEFAULTS, checks={"no_pixel": "n_pixel_hits"})
    classes = ["light", "c", "b"] if kind == "DeepSets" else ["light", "b"]
    path = export_onnx(tmp_path / "tagger.onnx", net, (x, counts), classes=classes, scaler=scaler)
    folder = export_cpp(path, tmp_path / "cpp")
    probabilities = folder / "reference_probabilities.txt"
    if kind == "DeepSets":  # one of them is compiled, and compared there
        compile_cpp(folder)
    with torch.no_grad():  # what is compared is what the network says
        alone = net(torch.zeros(0, 5), torch.tensor([0]))  # the first has no tracks
    expected = alone.softmax(dim=1) if kind == "DeepSets" else torch.cat([-alone, alone], dim=1).sigmoid()
    first = probabilities.read_text(encoding="utf-8").splitlines()[1]
    np.testing.assert_allclose(np.array(first.split(), dtype=float), expected[0].numpy(), atol=1e-6)
