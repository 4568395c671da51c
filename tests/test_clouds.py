"""ParticleNet, the Particle Transformer and LorentzNet: what must not matter, and what hands can compute."""

import math

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors
from torch.nn import functional as F

from coursekit.jets.packed import PackedJets
from coursekit.nets.groups import grouped, in_slots
from coursekit.nets.lorentz import LorentzNet, minkowski
from coursekit.nets.particlenet import EdgeConv, ParticleNet, neighbours
from coursekit.nets.transformer import Attention, ParticleTransformer, pair_features
from coursekit.training import predict, train

COUNTS = [
    5,
    1,
    0,
    12,
    7,
    200,
    2,
    31,
    40,
    33,
]  # an empty jet, one of one, fewer constituents than neighbours, more groups


def momenta(counts, seed=1):
    """Massless four-momenta of a jet's size and spread, (T, 4) float64."""
    rng = np.random.default_rng(seed)
    n = int(np.sum(counts))
    pt, y, phi = rng.exponential(12.0, n) + 0.5, rng.normal(0.3, 0.3, n), rng.normal(1, 0.3, n)
    columns = pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(y), pt * np.cosh(y)
    return torch.from_numpy(np.stack(columns, axis=1))


def features(counts, seed=1):
    """Seven numbers of order one for each constituent, (T, 7) float64."""
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(int(np.sum(counts)), 7)))


def build(network, **settings):
    torch.manual_seed(3)
    net = network(**settings).double().eval()
    for name, p in net.named_parameters():
        if "move" in name:
            torch.nn.init.normal_(p, std=0.05)  # steps that can be seen
    return net


NETWORKS = {ParticleNet: features, ParticleTransformer: features, LorentzNet: momenta}
each = pytest.mark.parametrize("network", NETWORKS)


@each
def test_order_and_company_do_not_matter(network):
    net, x, counts = build(network), NETWORKS[network](COUNTS), torch.tensor(COUNTS)
    with torch.no_grad():
        together = net(x, counts)
        parts = x.split(COUNTS)
        alone = torch.cat([net(part, torch.tensor([len(part)])) for part in parts])
        reversed_ = net(torch.cat([part.flip(0) for part in parts]), counts)
        order = [3, 1, 0, 2, 9, 5, 4, 8, 7, 6]
        other = net(torch.cat([parts[i] for i in order]), counts[order])
    assert together.shape == (len(COUNTS), 1)
    assert together.std() > 1e-3  # it says something
    for found in (alone, reversed_):
        torch.testing.assert_close(found, together, rtol=0, atol=1e-10)
    torch.testing.assert_close(other, together[order], rtol=0, atol=1e-10)


@each
def test_results_do_not_depend_on_the_size_of_the_groups(network, monkeypatch):
    net, x, counts = build(network), NETWORKS[network](COUNTS), torch.tensor(COUNTS)
    with torch.no_grad():
        expected = net(x, counts)
        for size in (1, 3, 100):
            monkeypatch.setattr("coursekit.nets.groups._CPU_JETS", size)
            torch.testing.assert_close(net(x, counts), expected, rtol=0, atol=1e-10)


@each
def test_jets_without_constituents_and_no_jets(network):
    net, x = build(network), NETWORKS[network]([3])
    assert net(x[:0], torch.tensor([0, 0])).isfinite().all()
    assert net(x[:0], torch.tensor([], dtype=torch.int64)).shape == (0, 1)


@each
def test_classes_have_a_column_each(network):
    assert build(network, n_outputs=5)(NETWORKS[network]([4, 3]), torch.tensor([4, 3])).shape == (2, 5)


@each
def test_gradients_are_those_of_differences(network):
    x, counts = NETWORKS[network]([4, 1, 3], seed=5), torch.tensor([4, 1, 3])
    small = {ParticleNet: {"k": 2, "blocks": ((4, 4), (5,)), "hidden": 4}}
    small[ParticleTransformer] = {"width": 8, "heads": 2, "layers": 2, "class_layers": 2, "pairs": 3}
    small[LorentzNet] = {"width": 4, "layers": 2, "hardest": 3}
    net = build(network, **small[network])
    assert torch.autograd.gradcheck(lambda values: net(values, counts), x.requires_grad_(), eps=1e-7, atol=1e-4)


@each
def test_it_learns(network):
    rng = np.random.default_rng(7)
    counts = rng.integers(1, 12, 200)
    labels = (np.arange(200) % 2).astype(float)
    x = NETWORKS[network](counts, seed=7).numpy()
    x[:, 2] += 2 * np.repeat(labels, counts)  # a signal that a network finds at once
    jets = PackedJets(x, counts, labels)
    torch.manual_seed(1)
    net = network()
    history = train(net, jets[:160], jets[160:], epochs=4, batch_size=20)
    assert history["val_loss"][-1] < 0.8 * math.log(2)
    assert predict(net, jets).shape == (200, 1)


@each
def test_other_columns_and_counts_are_refused(network):
    net, x = build(network), NETWORKS[network]([4])
    with pytest.raises(ValueError, match=r"expected x \(T, [47]\)"):
        net(x[:, 1:], torch.tensor([4]))
    with pytest.raises(ValueError, match="add up to T"):
        net(x, torch.tensor([5]))


@pytest.mark.parametrize(
    ("network", "settings"),
    [
        (ParticleNet, {"k": 0}),
        (ParticleNet, {"blocks": ((32, 0),)}),
        (ParticleNet, {"blocks": ()}),
        (ParticleTransformer, {"width": 50}),
        (ParticleTransformer, {"n_features": 2}),
        (LorentzNet, {"layers": 0}),
    ],
)
def test_impossible_sizes_are_refused(network, settings):
    with pytest.raises(ValueError, match="at least 1"):
        network(**settings)


@pytest.mark.parametrize(
    ("net", "published"),
    [
        (ParticleNet(), 26_000),
        (ParticleNet(k=16, blocks=((64,) * 3, (128,) * 3, (256,) * 3), hidden=256), 366_000),
        (ParticleTransformer(7, 128, 8, 8, 2, 64, 4), 2_140_000),
        (LorentzNet(72, 6, 200), 224_000),
    ],
)
def test_the_published_sizes(net, published):
    assert sum(p.numel() for p in net.parameters()) == pytest.approx(published, rel=0.07)


def test_groups_hold_each_constituent_once_and_little_padding():
    counts = torch.tensor(np.random.default_rng(2).integers(0, 130, 300))
    n_rows, x = int(counts.sum()), torch.arange(1, int(counts.sum()) + 1)[:, None]
    jets, found, slots = [], [], 0
    for some, rows in grouped(counts, n_rows):
        assert torch.equal((rows < n_rows).sum(dim=1), counts[some])
        assert (in_slots(x, rows)[rows == n_rows] == 0).all()
        jets, found, slots = jets + some.tolist(), found + rows[rows < n_rows].tolist(), slots + rows.numel()
    assert sorted(jets) == list(range(300))
    assert sorted(found) == list(range(n_rows))
    assert slots < 1.1 * n_rows


# ParticleNet


@pytest.mark.parametrize("dimensions", [1, 2, 32])
def test_neighbours_are_those_of_scikit_learn(dimensions):
    counts = [9, 1, 3, 0, 60, 2]
    points = torch.from_numpy(np.random.default_rng(4).normal(size=(sum(counts), dimensions)))
    found, degrees = neighbours(points, torch.tensor(counts), k=4)
    assert degrees.tolist() == [4] * 9 + [0] + [2] * 3 + [4] * 60 + [1] * 2
    expected, start = [], 0
    for n in counts:
        if n > 1:
            fit = NearestNeighbors(n_neighbors=min(4, n - 1)).fit(points[start : start + n])
            expected += (fit.kneighbors(return_distance=False) + start).ravel().tolist()  # without itself
        start += n
    assert found.tolist() == expected


def test_two_constituents_in_one_place_are_neighbours():
    found, _ = neighbours(torch.tensor([[1.0, 1.0], [1.0, 1.0], [5.0, 5.0]]), torch.tensor([3]), k=1)
    assert found.tolist()[:2] == [1, 0]


def test_far_from_the_origin_neighbours_stay_the_same():
    points = torch.rand(50, 2, generator=torch.Generator().manual_seed(1))
    found = [neighbours(points + shift, torch.tensor([50]), k=5)[0] for shift in (0, 64)]
    assert (found[0] == found[1]).float().mean() > 0.95  # 64 costs six bits of the coordinates


def test_edge_convolution_by_hand():
    """As the formula says: each edge for itself, (centre, difference) through all layers, and the mean."""
    torch.manual_seed(2)
    block, x, counts = EdgeConv(3, (4, 5)).double(), features([6, 2])[:, :3], torch.tensor([6, 2])
    for norm in (*block.norms, block.shortcut[1]):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
        norm.weight.data.normal_()
        norm.bias.data.normal_()
    block.eval()
    found, degrees = neighbours(x[:, :2], counts, k=3)
    expected = []
    for i, own in enumerate(found.split(degrees.tolist())):
        edges = []
        for j in own.tolist():
            h = block.edge(torch.cat([x[i], x[j] - x[i]])[None])
            h = F.relu(block.norms[0](h))
            edges.append(F.relu(block.norms[1](block.layers[0](h)))[0])
        expected.append(F.relu(torch.stack(edges).mean(dim=0) + block.shortcut(x[i : i + 1])[0]))
    torch.testing.assert_close(block(x, found, degrees), torch.stack(expected))


def test_the_later_graphs_are_drawn_among_new_features(monkeypatch):
    seen = []
    monkeypatch.setattr(
        "coursekit.nets.particlenet.neighbours", lambda points, *rest: seen.append(points) or neighbours(points, *rest)
    )
    x = features([20])
    build(ParticleNet)(x, torch.tensor([20]))
    torch.testing.assert_close(seen[0], x[:, :2])
    assert [points.shape[1] for points in seen] == [2, 32]


# The transformer


def test_attention_of_three_with_a_bias_by_hand():
    torch.manual_seed(5)
    layer, x = Attention(6, heads=2, expansion=2).double(), features([3])[None, :, :6]
    bias = torch.randn(1, 2, 3, 3, dtype=torch.float64)
    bias[..., 1] = -1e4  # the second one is an empty slot
    normed = layer.norm(x)[0]
    q, k, v = (part(normed).detach() for part in (layer.query, layer.key, layer.value))
    mixed = torch.zeros(3, 6, dtype=torch.float64)
    for head, columns in enumerate((slice(0, 3), slice(3, 6))):
        for i in range(3):
            logits = [float(q[i, columns] @ k[j, columns]) / math.sqrt(3) + float(bias[0, head, i, j]) for j in (0, 2)]
            w = np.exp(logits) / np.exp(logits).sum()
            mixed[i, columns] = w[0] * v[0, columns] + w[1] * v[2, columns]
    expected = x[0] + layer.out(mixed)
    expected = expected + layer.dense(expected)
    torch.testing.assert_close(layer(x, x, bias)[0], expected)


def test_the_weights_are_those_that_the_layer_uses():
    torch.manual_seed(5)
    layer, x = Attention(6, heads=2, expansion=2).double(), features([2, 3])[None, :, :6]
    bias = torch.randn(1, 2, 5, 5, dtype=torch.float64)
    weights = layer.weights(x, x, bias)
    torch.testing.assert_close(weights.sum(dim=3), torch.ones(1, 2, 5, dtype=torch.float64))
    mixed = (weights @ layer._split(layer.value(layer.norm(x)))).transpose(1, 2).flatten(2)
    expected = x + layer.out(mixed)
    torch.testing.assert_close(layer(x, x, bias), expected + layer.dense(expected))


def test_attention_of_the_token_belongs_to_the_constituents_of_the_jet():
    net, counts = build(ParticleTransformer), [4, 0, 7, 1]
    found = net.attention(features(counts), torch.tensor(counts))
    assert found.shape == (12,)
    assert (found > 0).all()
    assert all(part.sum() < 1 for part in found.split(counts))  # the rest belongs to the token itself


def test_pair_features_are_those_of_vector():
    vector = pytest.importorskip("vector")
    p = momenta([40], seed=9).numpy()
    a, b = (vector.array({"px": q[:, 0], "py": q[:, 1], "pz": q[:, 2], "E": q[:, 3]}) for q in (p[:20], p[20:]))
    columns = ((a.rapidity, b.rapidity), (a.phi, b.phi), (np.log(a.pt), np.log(b.pt)))
    eta, phi, log_pt = (torch.from_numpy(np.stack(pair, axis=1)) for pair in columns)
    delta, softer = np.hypot(a.rapidity - b.rapidity, a.deltaphi(b)), np.minimum(a.pt, b.pt)
    expected = np.stack([np.log(delta), np.log(softer * delta), np.log(softer / (a.pt + b.pt)), np.log((a + b).m2)], 1)
    np.testing.assert_allclose(pair_features(eta, phi, log_pt).numpy(), expected, rtol=1e-7, atol=1e-7)


def test_pairs_in_one_place_and_close_together_are_finite_in_single_precision():
    d_eta = torch.tensor([[0.1, 0.1], [0.1, 0.1002]])
    found = pair_features(d_eta, torch.zeros(2, 2), torch.tensor([[1.0, 2.0], [1.0, 2.0]]))
    assert found.isfinite().all()
    assert found[1, 3] == pytest.approx(3 + 2 * math.log(2e-4), abs=1e-3)  # pT pT' Delta^2, not a difference of ones


# LorentzNet


def transformation(velocity, angle):
    """A rotation round z and then a boost, (4, 4) float64, for columns px, py, pz, E."""
    beta = torch.tensor(velocity, dtype=torch.float64)
    gamma = 1 / torch.sqrt(1 - beta @ beta)
    boost = torch.eye(4, dtype=torch.float64)
    boost[:3, :3] += (gamma - 1) * torch.outer(beta, beta) / (beta @ beta)
    boost[:3, 3] = boost[3, :3] = gamma * beta
    boost[3, 3] = gamma
    turn = torch.eye(4, dtype=torch.float64)
    turn[0, 0] = turn[1, 1] = math.cos(angle)
    turn[1, 0] = math.sin(angle)
    turn[0, 1] = -turn[1, 0]
    return boost @ turn


def test_half_precision_holds_the_products_of_hard_jets():
    # On a GPU a training rounds to float16, which ends at 65504; the squared mass of these jets is larger, in GeV^2.
    net, p, counts = build(LorentzNet).float(), 40 * momenta(COUNTS).float(), torch.tensor(COUNTS)
    assert float(minkowski(p.sum(dim=0), p.sum(dim=0))) > 65504
    with torch.autocast("cpu", torch.float16):
        half = net(p, counts)
    assert half.dtype == torch.float16
    torch.testing.assert_close(half.float(), net(p, counts), rtol=0.01, atol=0.01)


@pytest.mark.parametrize("velocity", [(0.6, 0.0, 0.0), (-0.3, 0.5, 0.7), (0.0, 0.0, -0.99)])
def test_no_boost_and_no_rotation_changes_the_score(velocity):
    net, p, counts, change = build(LorentzNet), momenta(COUNTS), torch.tensor(COUNTS), transformation(velocity, 2.0)
    with torch.no_grad():
        scores, moved = net(p, counts), net(p @ change.T, counts)
        scalars, vectors = net.constituents(p, counts)
        moved_scalars, moved_vectors = net.constituents(p @ change.T, counts)
    torch.testing.assert_close(moved, scores, rtol=0, atol=1e-8)
    torch.testing.assert_close(moved_scalars, scalars, rtol=0, atol=1e-7)
    torch.testing.assert_close(
        moved_vectors, vectors @ change.T, rtol=1e-7, atol=1e-7 * float(moved_vectors.abs().max())
    )


def test_the_vectors_do_move_and_only_the_hardest_take_part():
    counts = torch.tensor([40, 10])
    p = momenta([40, 10])
    _, vectors = build(LorentzNet, hardest=16).constituents(p, counts)
    quiet = (vectors == 0).all(dim=1)
    assert quiet[:40].sum() == 24
    assert not quiet[40:].any()
    jet = p[:40].sum(dim=0)
    energies = minkowski(p[:40], jet)
    assert energies[~quiet[:40]].min() > energies[quiet[:40]].max()
    assert ((vectors - p)[~quiet].abs().max(dim=1).values > 1e-3).all()


def test_a_mass_does_change_the_score():
    net, p, counts = build(LorentzNet), momenta([20]), torch.tensor([20])
    wider = p.clone()
    wider[:, 3] = (wider[:, :3].norm(dim=1) ** 2 + 4).sqrt()
    assert (net(p, counts) - net(wider, counts)).abs() > 1e-6


def test_minkowski_product_of_vectors_at_rest_and_in_flight():
    rest, light = torch.tensor([0.0, 0, 0, 2]), torch.tensor([0.0, 3, 4, 5])
    assert [minkowski(rest, rest), minkowski(light, light), minkowski(rest, light)] == [4, 0, 10]
    assert minkowski(torch.ones(2, 3, 4), torch.ones(4)).shape == (2, 3)
