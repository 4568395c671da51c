"""Networks on clouds as ONNX files: what PyTorch's exporter writes down of neighbours, pairs and one padded block."""

import contextlib
import importlib.util

import numpy as np
import pytest

pytest.importorskip("onnxscript", reason="needs coursekit[export]")
torch = pytest.importorskip("torch", reason="needs coursekit[torch]")
import onnxruntime  # noqa: E402

from coursekit.export import export_cpp, export_lwtnn, export_onnx  # noqa: E402
from coursekit.nets.lorentz import LorentzNet  # noqa: E402
from coursekit.nets.particlenet import ParticleNet  # noqa: E402
from coursekit.nets.transformer import ParticleTransformer  # noqa: E402
from coursekit.preprocess import Scaler  # noqa: E402

NETWORKS = {
    ParticleNet: {"k": 3, "blocks": ((4,), (5,)), "hidden": 4},
    ParticleTransformer: {"width": 8, "heads": 2, "layers": 1, "pairs": 3},
    LorentzNet: {"width": 4, "layers": 2, "hardest": 6},
}


def cloud(network, counts, seed=2):
    """Constituents of jets as a network takes them, (T, F) float32, and the counts (N,)."""
    rng, n = np.random.default_rng(seed), int(np.sum(counts))
    x = rng.normal(size=(n, 7 if network is not LorentzNet else 4))
    if network is LorentzNet:
        x *= 20  # GeV
        x[:, 3] = np.sqrt((x[:, :3] ** 2).sum(axis=1) + 1)
    return x.astype(np.float32), np.asarray(counts)


@pytest.fixture(scope="module", params=NETWORKS, ids=lambda network: network.__name__)
def exported(request, tmp_path_factory):
    """A network, its file as a function, the jets of their comparison, at most 9 constituents each, and its path."""
    network = request.param
    torch.manual_seed(4)
    net = network(**NETWORKS[network])
    x, counts = cloud(network, np.random.default_rng(1).integers(0, 10, 1000))
    with torch.no_grad():
        for _ in range(20):  # of the batches' means
            net.train()(torch.from_numpy(x), torch.from_numpy(counts))
        for name, parameter in net.named_parameters():
            if "head" in name or "move" in name:
                parameter *= 5  # so that jets differ
    path = export_onnx(tmp_path_factory.mktemp("clouds") / "net.onnx", net, (x, counts), classes=["qcd", "top"])
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return network, net.eval(), lambda x, counts: session.run(None, {"x": x, "counts": counts})[0], (x, counts), path


def test_any_number_of_jets_and_constituents(exported):
    """Also none, one, 200, and fewer than there are neighbours to find: more than were seen when it was written."""
    network, net, run, (x, counts), _ = exported
    assert run(x, counts)[:, 1].std() > 0.01
    for sizes in ([0], [1], [2], [200], [0, 0, 3], [3, 200, 1, 0], [1, 1, 1], [4, 9], [40] * 30, np.zeros(0, int)):
        x, counts = cloud(network, sizes)
        with torch.no_grad():
            expected = net(torch.from_numpy(x), torch.from_numpy(counts)).double().sigmoid().numpy()
        np.testing.assert_allclose(run(x, counts), np.hstack([1 - expected, expected]), rtol=0, atol=2e-6)


def test_the_order_of_constituents_and_jets_does_not_matter(exported):
    _, _, run, (x, counts), _ = exported
    np.testing.assert_allclose(run(x[::-1].copy(), counts[::-1].copy())[::-1], run(x, counts), rtol=0, atol=2e-6)


def test_a_broken_constituent_is_that_of_its_jet_alone(exported):
    network, _, run, *_ = exported
    x, counts = cloud(network, [5, 0, 4, 7])
    whole = run(x, counts)
    for value in (np.nan, np.inf):
        x[6, 2] = value
        got = run(x, counts)
        assert np.isnan(got[2]).all()
        np.testing.assert_array_equal(got[[0, 1, 3]], whole[[0, 1, 3]])


def test_counts_that_do_not_add_up_give_no_number(exported):
    network, _, run, *_ = exported
    x, _ = cloud(network, [9])
    for counts in ([3, 3], [5, 5], [12, -3], [0]):
        with contextlib.suppress(onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument):
            assert np.isnan(run(x, np.array(counts))).all()


def test_lwtnn_and_sofie_refuse_them_by_name(exported, tmp_path):
    network, net, _, (x, counts), path = exported
    scaler = Scaler.fit(x, [f"x{i}" for i in range(x.shape[1])])
    with pytest.raises(TypeError, match=f"dense layers or DeepSets is expected, but {network.__name__} came"):
        export_lwtnn(tmp_path / "net.json", net, (x, counts), classes=["qcd", "top"], scaler=scaler)
    if importlib.util.find_spec("sofie"):
        with pytest.raises(ValueError, match=r"net\.onnx.*use the ONNX file itself, with ONNX Runtime's C\+\+"):
            export_cpp(path, tmp_path / "cpp")
    assert not [*tmp_path.iterdir()]
