"""The evaluator of lwtnn's JSON: small networks by hand, damaged files, inputs that do not fit."""

import json

import numpy as np
import pytest

from coursekit.export.lwtnn_network import LwtnnNetwork

#: p_b = e^z / (e^z + 1) with z = 0.25 (mass - 3) + 2 no_sv
SMALL = {
    "inputs": [{"name": "no_sv", "offset": 0.0, "scale": 1}, {"name": "mass", "offset": -3, "scale": 0.25}],
    "layers": [{"architecture": "dense", "activation": "softmax", "weights": [0, 0, 2, 1], "bias": [0, 0]}],
    "outputs": ["c", "b"],
    "defaults": {"mass": 5},
    "miscellaneous": {"default of mass": "-9.9", "check no_sv": "mass"},
}


def small_graph():
    """sigmoid(3 sum_i max(0, 2 (x_i - 1)) - 6)"""
    return {
        "inputs": [],
        "input_sequences": [{"name": "tracks", "variables": [{"name": "x", "offset": -1, "scale": 2, "default": 1.5}]}],
        "nodes": [
            {"type": "input_sequence", "size": 1, "sources": [0]},
            {"type": "time_distributed", "layer_index": 0, "sources": [0]},
            {"type": "sum", "sources": [1]},
            {"type": "feed_forward", "layer_index": 1, "sources": [2]},
        ],
        "layers": [
            {"architecture": "dense", "activation": "rectified", "weights": [1], "bias": [0]},
            {"architecture": "dense", "activation": "sigmoid", "weights": [3], "bias": [-6]},
        ],
        "outputs": {"classes": {"labels": ["b"], "node_index": 3}},
        "miscellaneous": {},
    }


def saved(folder, content):
    path = folder / "network.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def changed(content, *keys, to):
    """The same content with another entry, or without it if `to` is None."""
    content = json.loads(json.dumps(content))
    inner = content
    for key in keys[:-1]:
        inner = inner[key]
    if to is None:
        del inner[keys[-1]]
    else:
        inner[keys[-1]] = to
    return content


def test_a_sequence_of_layers_by_hand(tmp_path):
    network = LwtnnNetwork.load(saved(tmp_path, SMALL))
    inputs = network.inputs_of({"mass": np.array([-9.9, 3, 7], dtype=np.float32)})
    np.testing.assert_equal(inputs, {"no_sv": np.array([1.0, 0, 0]), "mass": np.array([np.nan, 3, 7])})
    z = np.array([0.25 * (5 - 3) + 2, 0, 1])
    outputs = network(inputs)
    assert tuple(outputs) == network.outputs == ("c", "b")
    np.testing.assert_allclose(outputs["b"], 1 / (1 + np.exp(-z)))
    np.testing.assert_allclose(outputs["c"], 1 / (1 + np.exp(z)))


def test_the_order_of_the_map_and_other_names_do_not_matter(tmp_path):
    network = LwtnnNetwork.load(saved(tmp_path, SMALL))
    inputs = {"mass": [1.0, np.inf, -np.inf], "no_sv": [0, 1, 0]}
    other = {"text": "text"} | dict(reversed(inputs.items()))
    np.testing.assert_equal(network(other), network(inputs))


def test_whole_numbers_have_defaults_too(tmp_path):
    content = changed(SMALL, "miscellaneous", "default of mass", to="-1")
    inputs = LwtnnNetwork.load(saved(tmp_path, content)).inputs_of({"mass": np.array([-1, 2])})
    np.testing.assert_equal(inputs, {"no_sv": np.array([1.0, 0]), "mass": np.array([np.nan, 2])})


def test_a_default_is_one_in_float64_too(tmp_path):
    content = changed(SMALL, "miscellaneous", "default of mass", to="-99.9")
    network = LwtnnNetwork.load(saved(tmp_path, content))
    for kind in (np.float32, np.float64):
        inputs = network.inputs_of({"mass": np.float32([-99.9, 1e38]).astype(kind)})
        assert inputs["no_sv"].tolist() == [1, 0]
    assert network.inputs_of({"mass": np.array([-99.9, 1e300])})["no_sv"].tolist() == [1, 0]


def test_a_graph_by_hand(tmp_path):
    path = saved(tmp_path, small_graph())
    x, counts = np.array([2.0, 0.0, np.nan, 1.5]), np.array([2, 0, 2])  # 2 + 0; nothing; 1 + 1
    expected = [0.5, 1 / (1 + np.exp(6)), 0.5]
    np.testing.assert_allclose(LwtnnNetwork.load(path)({"x": x}, counts)["b"], expected, rtol=1e-15)


@pytest.mark.parametrize(
    ("activation", "expected"),
    [
        ("linear", [-2, 3]),
        ("rectified", [0, 3]),
        ("tanh", np.tanh([-2, 3])),
        ({"function": "elu", "alpha": 0.5}, [0.5 * (np.exp(-2) - 1), 3]),
        ({"function": "leakyrelu", "alpha": 0.1}, [-0.2, 3]),
        ({"function": "swish", "alpha": 1}, [-2 / (1 + np.exp(2)), 3 / (1 + np.exp(-3))]),
    ],
)
def test_activations_by_hand(activation, expected, tmp_path):
    content = {
        "inputs": [{"name": "x", "offset": 0, "scale": 1}],
        "layers": [{"architecture": "dense", "activation": activation, "weights": [1], "bias": [0]}],
        "outputs": ["y"],
    }
    np.testing.assert_allclose(LwtnnNetwork.load(saved(tmp_path, content))({"x": [-2, 3]})["y"], expected)


@pytest.mark.parametrize(
    ("keys", "to", "match"),
    [
        (("layers",), None, "has no 'layers'; it has inputs, input_sequences"),
        (("input_sequences",), None, "has no 'input_sequences'"),
        (("input_sequences", 0, "variables", 0, "name"), None, "variable 0 has no 'name'"),
        (("input_sequences", 0, "variables", 0, "offset"), "1", "the input x: offset is '1'"),
        (("input_sequences", 0, "variables", 0, "scale"), float("nan"), "scale is nan, no finite"),
        (("input_sequences", 0, "variables"), [], "no names, or one twice"),
        (("layers", 1, "bias"), None, "layer 1 has no 'bias'"),
        (("layers", 1, "bias"), ["x"], "no list of numbers"),
        (("layers", 1, "weights"), [1, 2], "layer 1 has 2 weights and 1 biases for 1 inputs"),
        (("layers", 0, "activation"), "selu", "layer 0 has the activation selu; known are"),
        (("layers", 0, "activation"), {"function": "elu"}, "activation has no 'alpha'"),
        (("layers", 0, "architecture"), "lstm", "layer 0 is lstm, which is not known here"),
        (("nodes", 3, "layer_index"), 7, "has no layer 7, but 2"),
        (("nodes", 2, "type"), "concatenate", "node 2 is concatenate, which is not known here"),
        (("nodes", 2, "sources"), [3], "run in a circle"),
        (("nodes", 2, "sources"), [0, 1], "has the sources"),
        (("nodes", 2, "sources"), [9], "has no node 9"),
        (("nodes", 0, "sources"), [1], "takes input 1 of 1"),
        (("nodes", 3, "sources"), [1], "a sum needs an input_sequence, and"),
        (("outputs", "classes", "node_index"), None, "the output classes has no 'node_index'"),
        (("outputs", "classes", "labels"), ["b", "c"], "gives 1 numbers, but there are 2 outputs"),
        (("outputs", "other"), {}, "has the outputs classes, other: one is expected"),
        (("miscellaneous",), [], "miscellaneous is list"),
        (("miscellaneous",), {"default of y": "1"}, "miscellaneous speaks of y"),
        (("miscellaneous",), {"default of x": "one"}, "a default under miscellaneous is no number"),
    ],
)
def test_a_damaged_file_is_refused(keys, to, match, tmp_path):
    path = saved(tmp_path, changed(small_graph(), *keys, to=to))
    with pytest.raises(ValueError, match=f"^{path}.*({match})"):
        LwtnnNetwork.load(path)


@pytest.mark.parametrize("content", ["", "[1, 2]", '{"inputs": [', "{}", "[" * 10000])
def test_what_is_no_network_is_refused(content, tmp_path):
    path = saved(tmp_path, content)
    with pytest.raises(ValueError, match=f"^{path} (is no JSON|is list|has no 'layers')"):
        LwtnnNetwork.load(path)


def test_no_file_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        LwtnnNetwork.load(tmp_path / "none.json")
    with pytest.raises(FileNotFoundError, match="is a folder"):
        LwtnnNetwork.load(tmp_path)


def test_wrong_inputs_are_refused(tmp_path):
    network = LwtnnNetwork.load(saved(tmp_path, SMALL))
    inputs = {"mass": [1.0, 2.0], "no_sv": [0.0, 1.0]}
    with pytest.raises(KeyError, match="the input no_sv is missing in the map; did you mean 'no_sw'"):
        network({"mass": [1.0, 2.0], "no_sw": [0.0, 1.0]})
    with pytest.raises(ValueError, match="no_sv is NaN or infinite in row 1, and the file has no default"):
        network(inputs | {"no_sv": [0, np.nan]})
    with pytest.raises(ValueError, match="have different lengths"):
        network(inputs | {"mass": [1.0]})
    with pytest.raises(ValueError, match="without tracks: leave out counts"):
        network(inputs, [1, 1])
    with pytest.raises(ValueError, match="mass is a flat array"):
        network(inputs | {"mass": np.ones((2, 1))})
    with pytest.raises(KeyError, match="there is no branch mass; did you mean 'Mass'"):
        network.inputs_of({"Mass": [1.0]})
    with pytest.raises(ValueError, match="mass is NaN or infinite in 1 of 2 rows, first in 1"):
        network.inputs_of({"mass": [1.0, np.nan]})
    with pytest.raises(ValueError, match="mass is a flat array"):
        network.inputs_of({"mass": np.ones((2, 1))})


def test_wrong_tracks_are_refused(tmp_path):
    network = LwtnnNetwork.load(saved(tmp_path, small_graph()))
    with pytest.raises(ValueError, match="give the number of tracks of each jet as counts"):
        network({"x": [1.0]})
    with pytest.raises(ValueError, match="counts add up to 3, but there are 1 tracks"):
        network({"x": [1.0]}, [1, 2])
