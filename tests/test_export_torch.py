"""PyTorch networks on sets as ONNX files: of any number of jets and of tracks, and what is wrong leaves no file."""

import contextlib
import warnings
from pathlib import Path

import numpy as np
import pytest

from coursekit.preprocess import Scaler

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
torch = pytest.importorskip("torch")

from coursekit.export import describe, export_onnx  # noqa: E402
from coursekit.export.single_jet import single_jet  # noqa: E402
from coursekit.nets.deepsets import DeepSets, EnergyFlow, pool  # noqa: E402

CLASSES = ["light", "c", "b"]


def run(path, x, counts, threads=0):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads  # 0: as many as there are cores
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return session.run(["probabilities"], {"x": x, "counts": counts})[0]


@pytest.fixture(scope="module")
def tracks():
    """Tracks of 1100 jets, some without any, and those that miss a layer marked."""
    rng = np.random.default_rng(4)
    counts = rng.poisson(3, 1100)
    x = rng.normal([0, 50], [1, 9], size=(counts.sum(), 2)).astype("f4")
    x[::5, 1] = -9
    assert (counts == 0).sum() > 10
    return x, counts


def networks_on_sets():
    class PackedSet(torch.nn.Module):
        """As lesson 9 writes it."""

        def __init__(self):
            super().__init__()
            self.phi, self.rho = torch.nn.Linear(2, 3), torch.nn.Linear(3, 2)
            self.dropout = torch.nn.Dropout(0.5)

        def forward(self, x, counts):
            jet = torch.repeat_interleave(torch.arange(len(counts)), counts)
            total = torch.zeros(len(counts), 3).index_add(0, jet, torch.tanh(self.phi(x)))
            return self.rho(self.dropout(total / counts.clamp(min=1)[:, None]))

    return {
        "DeepSets": (lambda: DeepSets(3, (16,), 8, (16,), 3), True, CLASSES),
        "EnergyFlow": (lambda: EnergyFlow(2, (16,), 8, (16,)), False, ["qcd", "top"]),
        "PackedSet": (PackedSet, False, ["qcd", "top"]),
    }


@pytest.fixture(scope="module", params=["DeepSets", "EnergyFlow", "PackedSet"])
def packed(request, tracks, tmp_path_factory):
    """A network on sets and the file of it, with what was printed and the state of the network before."""
    build, scaled, classes = networks_on_sets()[request.param]
    torch.manual_seed(1)
    network = build().train()
    scaler = Scaler.fit(tracks[0], ["d0", "hits"], None, {"hits": -9}, checks={"no_hits": "hits"}) if scaled else None
    path = tmp_path_factory.mktemp("sets") / "sets.onnx"
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        export_onnx(path, network, tracks if scaled else [*tracks], classes=classes, scaler=scaler)
    assert network.training
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in before.items())
    return path, network.eval(), scaler, classes


def of_torch(network, scaler, x, counts):
    x = x if scaler is None else scaler.transform(x)
    with torch.no_grad():
        y = network(torch.from_numpy(x), torch.from_numpy(counts)).double().numpy()
    odds = np.exp(y if y.shape[1] > 1 else np.column_stack([np.zeros(len(y)), y]))
    return odds / odds.sum(axis=1, keepdims=True)


def test_sets_of_any_size(packed, tracks):
    path, network, scaler, classes = packed
    x, counts = tracks
    expected = of_torch(network, scaler, x, counts)
    assert expected.std(axis=0).min() > 0.001
    np.testing.assert_allclose(run(path, x, counts), expected, rtol=0, atol=1e-6)
    for some in ([1], [7], [0, 3, 0, 0], [2, 0], [0, 1, 1, 1, 1, 40]):
        some = np.array(some)
        expected = of_torch(network, scaler, x[: some.sum()], some)
        np.testing.assert_allclose(run(path, x[: some.sum()], some), expected, rtol=0, atol=1e-6)
    empty = run(path, x[:0], np.array([0, 0]))
    assert empty.shape == (2, len(classes))
    np.testing.assert_array_equal(empty[0], run(path, x[:5], np.array([2, 0, 3]))[1])
    assert run(path, x[:0], np.zeros(0, int)).shape == (0, len(classes))
    assert describe(path)["kind"] == "packed"
    assert describe(path)["versions"]["torch"]
    assert str(Path.cwd().root + "tmp") not in path.read_bytes().decode("latin1")


def test_many_threads_add_up_the_same(packed, tracks):
    # Threads that add to one jet at once lose what the others have added, in every fifth run or so.
    path, counts = packed[0], np.random.default_rng(6).poisson(30, 1100)
    x = np.resize(tracks[0], (counts.sum(), 2))
    expected = run(path, x, counts, threads=1)
    for _ in range(40):
        np.testing.assert_array_equal(run(path, x, counts, threads=8), expected)


def test_a_sum_along_the_other_axis_is_the_same_sum(tracks, tmp_path):
    class Columns(torch.nn.Module):
        def forward(self, x, counts):
            jet = torch.repeat_interleave(counts, output_size=len(x))
            return x.new_zeros(2, len(counts)).index_add(-1, jet, x.T, alpha=0.1).T

    path, (x, counts) = tmp_path / "columns.onnx", tracks
    export_onnx(path, Columns(), tracks, classes=["qcd", "top"])
    np.testing.assert_allclose(run(path, x, counts), of_torch(Columns(), None, x, counts), rtol=0, atol=1e-6)
    one = onnxruntime.InferenceSession(single_jet(onnx.load(path)).SerializeToString())
    expected = of_torch(Columns(), None, x[:5], np.array([5]))
    np.testing.assert_allclose(one.run(None, {"x": x[:5]})[0], expected, rtol=0, atol=1e-6)


def test_the_order_of_tracks_and_of_jets_does_not_matter(packed, tracks):
    path, (x, counts) = packed[0], tracks
    jet = np.repeat(np.arange(len(counts)), counts)
    mixed = np.lexsort([np.random.default_rng(5).random(len(x)), jet])
    np.testing.assert_allclose(run(path, x[mixed], counts), run(path, x, counts), rtol=0, atol=1e-6)
    backwards = run(path, x[::-1].copy(), counts[::-1].copy())
    np.testing.assert_allclose(backwards[::-1], run(path, x, counts), rtol=0, atol=1e-6)


def test_a_broken_track_is_that_of_its_jet_alone(packed, tracks):
    path, x, counts = packed[0], tracks[0][:9].copy(), np.array([3, 0, 4, 2])
    whole = run(path, x, counts)
    for value in (np.nan, np.inf):
        x[4, 1] = value
        got = run(path, x, counts)
        assert np.isnan(got[2]).all()
        np.testing.assert_array_equal(got[[0, 1, 3]], whole[[0, 1, 3]])


def test_counts_that_do_not_add_up_give_no_number(packed, tracks):
    path, x = packed[0], tracks[0][:9]
    for counts in ([3, 3], [5, 5], [12, -3], [3, -1, 7], [0]):
        with contextlib.suppress(onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument):
            assert np.isnan(run(path, x, np.array(counts))).all()


def test_the_check_of_the_counts_is_as_it_was():
    with pytest.raises(ValueError, match=r"counts .* that add up to T"):
        DeepSets(3)(torch.ones(5, 3), torch.tensor([2, 2]))


def test_networks_of_pytorch_that_cannot_leave(tracks, tmp_path, capfd):
    class Made(torch.nn.Module):
        def __init__(self, last):
            super().__init__()
            self.net, self.last = DeepSets(2, (4,), 4, (4,), 2 if last is torch.nn.Softmax else 1), last

        def forward(self, x, counts):
            y = self.net(x, counts)
            return self.last(1)(y) if self.last is torch.nn.Softmax else self.last(y)

    class Mean(torch.nn.Module):
        def forward(self, x, counts):
            return pool(x, counts) / counts[:, None]

    class Attention(torch.nn.Module):
        def forward(self, x, counts):
            return pool(x, counts) / (pool(x * x, counts) + 1e-9)

    class Loop(torch.nn.Module):
        def forward(self, x, counts):
            return torch.stack([jet.sum(0) for jet in torch.split(x, counts.tolist())])

    class Puts(torch.nn.Module):
        def forward(self, x, counts):
            jet = torch.repeat_interleave(counts, output_size=len(x))
            return x.new_zeros(len(counts), 2).index_put((jet,), x, accumulate=True)

    def decides(y):
        return y if y.sum() > 0 else -y

    def drops(y):
        return y[1:]

    table = np.zeros((1000, 2), np.float32)
    for network, sample, message in [
        (Made(torch.nn.Softmax), tracks, "gives probabilities already: .* adds the softmax"),
        (Made(torch.sigmoid), tracks, "gives probabilities already: .* adds the sigmoid"),
        (Made(decides), tracks, r"PyTorch's exporter cannot follow the network: Could not guard on data-dependent"),
        (Attention(), tracks, r"the file gives NaN for 1100 jets, .*; PyTorch's exporter leaves out .* below 1e-8"),
        (Loop(), tracks, "cannot follow the network: .*a loop over jets becomes one sum, coursekit.nets.deepsets.pool"),
        (Puts(), tracks, "adds up with index_put, .* use index_add, or coursekit.nets.deepsets.pool"),
        (Mean(), tracks, r"gives NaN for \d+ of 1100 jets: .* a jet without constituents"),
        (Made(drops), tracks, r"no classifier of jets: logits \(1100, K\) are expected, \(1099, 1\) came"),
        (DeepSets(3), tracks, r"cannot take x of shape \(\d+, 2\) and .*: expected x \(T, 3\)"),
        (DeepSets(2).half(), tracks, r"phi.0.weight of the network is float16: export .*float\(\)"),
        (DeepSets(2, n_outputs=3), tracks, "classes has the 2 names qcd, top, but the network tells 3 apart"),
        (torch.nn.Linear(2, 1), table, r"of PyTorch is exported with the sample \(x, counts\)"),
    ]:
        with pytest.raises(ValueError, match=message):
            export_onnx(tmp_path / "a.onnx", network, sample, classes=["qcd", "top"])
    assert not [*tmp_path.iterdir()]
    assert capfd.readouterr() == ("", "")  # the exporter has a lot to say
