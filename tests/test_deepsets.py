"""Networks on sets: what must not matter does not, gradients are right, sizes are refused with a reason."""

import importlib
import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from coursekit.nets.deepsets import DeepSets, EnergyFlow, pool  # noqa: E402

COUNTS = torch.tensor([5, 0, 1, 200, 17])


def build(kind, **sizes):
    torch.manual_seed(1)
    return kind(**({"n_features": 3, "phi": (16, 16), "latent": 8, "rho": (16,)} | sizes)).double()


def make_set(counts=COUNTS, n_features=3, seed=2):
    """Random constituents whose first column is positive, as the z of an Energy Flow Network."""
    x = torch.randn(int(counts.sum()), n_features, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    x[:, 0] = x[:, 0].abs()
    return x


def both_kinds(test):
    networks = [lambda: build(DeepSets), lambda: build(DeepSets, pooling="mean"), lambda: build(EnergyFlow)]
    return pytest.mark.parametrize("build_net", networks, ids=["sum", "mean", "energy flow"])(test)


def padded_to(x, counts, length):
    """Return (N, P, F) and the mask (N, P): the form in which tutorials train."""
    padded = x.new_full((len(counts), length, x.shape[1]), 7.0)  # not zero: what is masked must not matter
    mask = torch.arange(length) < counts[:, None]
    padded[mask] = x
    return padded, mask


# --- pooling ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pooling", ["sum", "mean"])
def test_pooling_is_that_of_a_loop(pooling):
    values = make_set()
    expected = torch.zeros(len(COUNTS), 3, dtype=torch.float64)
    for jet, rows in enumerate(values.split(COUNTS.tolist())):
        if len(rows):
            expected[jet] = getattr(rows, pooling)(dim=0)
    torch.testing.assert_close(pool(values, COUNTS, pooling), expected)


def test_pooling_by_segments_agrees():
    values = make_set()
    expected = torch.segment_reduce(values, "sum", lengths=COUNTS, initial=0)
    torch.testing.assert_close(pool(values, COUNTS), expected)


def test_half_precision_is_summed_in_single():
    values = torch.full((5000, 1), 1.0, dtype=torch.float16)  # float16 cannot count beyond 2048 in steps of one
    assert pool(values, torch.tensor([5000])).tolist() == [[5000.0]]


def test_nothing_pooled_is_nothing():
    assert pool(torch.zeros(0, 4), torch.tensor([0, 0]), "mean").tolist() == [[0.0] * 4] * 2


# --- what must not matter ---------------------------------------------------------------------------------------------


@both_kinds
def test_the_order_of_constituents_does_not_matter(build_net):
    net, x = build_net(), make_set()
    generator = torch.Generator().manual_seed(3)
    parts = [rows[torch.randperm(len(rows), generator=generator)] for rows in x.split(COUNTS.tolist())]
    torch.testing.assert_close(net(torch.cat(parts), COUNTS), net(x, COUNTS))


@both_kinds
def test_the_order_of_jets_is_that_of_the_outputs(build_net):
    net, x = build_net(), make_set()
    order = torch.tensor([3, 1, 4, 0, 2])
    parts = x.split(COUNTS.tolist())
    torch.testing.assert_close(net(torch.cat([parts[i] for i in order]), COUNTS[order]), net(x, COUNTS)[order])


@both_kinds
def test_a_jet_does_not_depend_on_its_batch(build_net):
    net, x = build_net(), make_set()
    alone = [net(rows, torch.tensor([len(rows)])) for rows in x.split(COUNTS.tolist())]
    torch.testing.assert_close(torch.cat(alone), net(x, COUNTS))


@both_kinds
def test_packed_is_padded_with_a_mask(build_net):
    net, x = build_net(), make_set()
    padded, mask = padded_to(x, COUNTS, 220)
    values = padded[..., :1] * net.phi(padded[..., 1:]) if isinstance(net, EnergyFlow) else net.phi(padded)
    sums = (values * mask[..., None]).sum(dim=1)
    if getattr(net, "pooling", "sum") == "mean":
        sums = sums / mask.sum(dim=1, keepdim=True).clamp(min=1)
    torch.testing.assert_close(net(x, COUNTS), net.rho(sums))


def test_a_mean_cannot_count_and_a_sum_can():
    x = make_set(torch.tensor([4]))
    twice, once = torch.cat([x, x]), torch.tensor([4])
    mean, total = build(DeepSets, pooling="mean"), build(DeepSets)
    torch.testing.assert_close(mean(twice, 2 * once), mean(x, once))
    torch.testing.assert_close(total.latent(twice, 2 * once), 2 * total.latent(x, once))


# --- infrared and collinear safety ------------------------------------------------------------------------------------


def split_collinear(x):
    """Share the momentum of the first constituent between two with its direction."""
    a, b = x[:1].clone(), x[:1].clone()
    a[:, 0], b[:, 0] = 0.3 * x[0, 0], 0.7 * x[0, 0]
    return torch.cat([a, b, x[1:]])


def add_soft(x, z=1e-12):
    return torch.cat([x, torch.tensor([[z, 1.0, -1.0]], dtype=x.dtype)])


@pytest.mark.parametrize("change", [split_collinear, add_soft])
def test_an_energy_flow_network_is_safe_and_deep_sets_are_not(change):
    x, counts = make_set(torch.tensor([6])), torch.tensor([6])
    safe, unsafe = build(EnergyFlow), build(DeepSets)
    torch.testing.assert_close(safe.latent(change(x), counts + 1), safe.latent(x, counts), rtol=1e-9, atol=1e-9)
    moved = (unsafe.latent(change(x), counts + 1) - unsafe.latent(x, counts)).abs().max()
    assert moved > 1e-2


def test_the_energy_flow_is_linear_in_the_momentum():
    net, x, counts = build(EnergyFlow), make_set(torch.tensor([6])), torch.tensor([6])
    twice = x.clone()
    twice[:, 0] *= 2
    torch.testing.assert_close(net.latent(twice, counts), 2 * net.latent(x, counts))


def test_filters_are_the_latent_numbers_of_a_single_particle():
    net = build(EnergyFlow)
    directions = make_set(torch.tensor([9]))[:, 1:]
    particles = torch.cat([torch.ones(9, 1, dtype=torch.float64), directions], dim=1)
    torch.testing.assert_close(net.filters(directions), net.latent(particles, torch.ones(9, dtype=torch.int64)))


# --- gradients --------------------------------------------------------------------------------------------------------


@both_kinds
def test_gradients_are_those_of_finite_differences(build_net):
    net, counts = build_net(), torch.tensor([3, 0, 2])
    x = make_set(counts).requires_grad_()
    names, parameters = zip(*net.named_parameters(), strict=True)

    def outputs(x, *values):
        return torch.func.functional_call(net, dict(zip(names, values, strict=True)), (x, counts))

    assert torch.autograd.gradcheck(outputs, (x, *parameters))


def test_gradients_of_gradients_are_right():
    # as a gradient penalty needs them; smooth layers, as a rectifier's second derivative is zero
    counts, x = torch.tensor([3, 0, 2]), make_set(torch.tensor([3, 0, 2])).requires_grad_()
    assert torch.autograd.gradgradcheck(lambda x: pool(x.tanh(), counts, "mean") ** 2, (x,))


@both_kinds
def test_every_parameter_learns(build_net):
    net = build_net()
    net(make_set(), COUNTS).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())


# --- sizes ------------------------------------------------------------------------------------------------------------


def n_parameters(net):
    return sum(p.numel() for p in net.parameters())


def test_parameters_are_those_counted_by_hand():
    phi, rho = 7 * 10 + 10 + 10 * 6 + 6, 6 * 5 + 5 + 5 * 2 + 2
    assert n_parameters(DeepSets(7, phi=(10,), latent=6, rho=(5,), n_outputs=2)) == phi + rho
    assert n_parameters(EnergyFlow(3, phi=(10,), latent=6, rho=(5,), n_outputs=2)) == phi + rho - 5 * 10


def test_without_hidden_layers_it_still_works():
    net = DeepSets(3, phi=(), latent=2, rho=())
    assert net(torch.ones(4, 3), torch.tensor([4])).shape == (1, 1)


def test_the_result_is_what_numpy_computes():
    net = build(DeepSets, phi=(5,), latent=4, rho=(3,), n_outputs=2)
    x, counts = make_set(torch.tensor([3, 2])), torch.tensor([3, 2])
    w = [p.detach().numpy() for p in net.parameters()]
    hidden = np.maximum(np.maximum(x.numpy() @ w[0].T + w[1], 0) @ w[2].T + w[3], 0)
    sums = np.stack([hidden[:3].sum(axis=0), hidden[3:].sum(axis=0)])
    expected = np.maximum(sums @ w[4].T + w[5], 0) @ w[6].T + w[7]
    np.testing.assert_allclose(net(x, counts).detach().numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("kind", "sizes", "message"),
    [
        (DeepSets, {"pooling": "max"}, 'pooling must be "sum" or "mean", got \'max\''),
        (DeepSets, {"n_features": 0}, r"at least one input and one unit, got \(0, 16, 16, 8\)"),
        (DeepSets, {"rho": (16, 0)}, r"got \(8, 16, 0\)"),
        (EnergyFlow, {"n_features": 1}, "at least one of the direction, got n_features = 1"),
    ],
)
def test_wrong_sizes_are_refused(kind, sizes, message):
    with pytest.raises(ValueError, match=message):
        build(kind, **sizes)


@both_kinds
@pytest.mark.parametrize(
    ("shape", "counts", "message"),
    [
        ((5, 4), [2, 3], r"expected x \(T, 3\) .* got x \(5, 4\)"),
        ((2, 10, 3), [10, 10], r"got x \(2, 10, 3\) .* Padded jets \(N, P, F\) have to be packed first"),
        ((5, 3), [2, 2], r"got x \(5, 3\) and counts \(2,\) with the sum 4"),
        ((5, 3), [[2, 3]], r"counts \(1, 2\)"),
    ],
)
def test_what_is_not_packed_is_refused(build_net, shape, counts, message):
    with pytest.raises(ValueError, match=message):
        build_net()(torch.zeros(shape, dtype=torch.float64), torch.tensor(counts))


@pytest.mark.parametrize("module", ["coursekit.nets.deepsets", "coursekit.training"])
def test_a_missing_torch_names_the_extra(monkeypatch, module):
    monkeypatch.setitem(sys.modules, "torch", None)  # what `import torch` finds where it is not installed
    monkeypatch.delitem(sys.modules, module, raising=False)
    with pytest.raises(ImportError, match=r'need(s)? PyTorch: pip install "coursekit\[torch\]"'):
        importlib.import_module(module)


def test_the_networks_load_nothing_else_of_the_course():
    code = "import sys, coursekit.nets.deepsets; print(*(m for m in sys.modules if m.startswith('coursekit.')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    loaded = set(done.stdout.split()) - {"coursekit.threads", "coursekit.surroundings"}  # of `import coursekit`
    assert loaded == {"coursekit.nets", "coursekit.nets.deepsets", "coursekit.nets.groups"}
