"""Relative features: by hand, turned and boosted, compared with the vector library, refused with a reason."""

import awkward as ak
import numpy as np
import pytest
import vector

from coursekit.jets import FLOW_FEATURES, RELATIVE_FEATURES, flipped, flow_features, relative_features, rotated, unpack
from coursekit.observables import width

vector.register_awkward()


def make_jets(n=200, seed=1, mass=0.0):
    """Sprays of particles about random axes, some of them across the cut of phi; a jet of one particle, and none."""
    rng = np.random.default_rng(seed)
    counts = np.concatenate([[0, 1], rng.integers(2, 60, n)])
    jet = np.repeat(np.arange(n + 2), counts)
    pt = rng.exponential(10, len(jet)) + 0.1
    eta = rng.uniform(-2, 2, n + 2)[jet] + rng.normal(0, 0.3, len(jet))
    phi = rng.uniform(-np.pi, np.pi, n + 2)[jet] + rng.normal(0, 0.3, len(jet))
    p = np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)], axis=1)
    return unpack(np.c_[p, np.sqrt((p**2).sum(axis=1) + mass**2)], counts)


def columns(jets):
    features, counts = relative_features(jets)
    return dict(zip(RELATIVE_FEATURES, features.T.astype(float), strict=True)), counts


def changed(jets, matrix):
    """Multiply each (px, py, pz, E) with a matrix."""
    packed = np.stack([ak.to_numpy(ak.flatten(jets[name])) for name in ("px", "py", "pz", "E")], axis=1)
    return unpack(packed @ np.asarray(matrix).T, ak.to_numpy(ak.num(jets)))


def rotation(angle):
    c, s = np.cos(angle), np.sin(angle)
    return [[c, -s, 0, 0], [s, c, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]


def boost(rapidity):
    c, s = np.cosh(rapidity), np.sinh(rapidity)
    return [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, c, s], [0, 0, s, c]]


def test_two_particles_by_hand():
    # pT 3 and 1 in the same plane through the beam, at y = 0 and y = ln 2 (pz = pT sinh y = 3/4, E = pT cosh y = 5/4)
    features, counts = columns(unpack([[3.0, 0, 0, 3], [1.0, 0, 0.75, 1.25]], [2]))
    axis = 0.5 * np.log((4.25 + 0.75) / (4.25 - 0.75))
    assert counts.tolist() == [2]
    assert features["d_eta"] == pytest.approx([-axis, np.log(2) - axis], rel=1e-6)
    assert features["d_phi"] == pytest.approx([0, 0])
    assert features["d_r"] == pytest.approx([axis, np.log(2) - axis], rel=1e-6)
    assert features["log_pt"] == pytest.approx(np.log([3, 1]) - 1.5)
    assert features["log_e"] == pytest.approx(np.log([3, 1.25]) - 1.5)
    assert features["log_pt_fraction"] == pytest.approx(np.log([3 / 4, 1 / 4]) + 5)
    assert features["log_e_fraction"] == pytest.approx(np.log([3 / 4.25, 1.25 / 4.25]) + 5)


def test_a_jet_across_the_cut_of_phi_stays_together():
    angles = np.pi + np.array([-0.1, 0.1])
    jet = unpack(np.c_[np.cos(angles), np.sin(angles), [0, 0], [1, 1]], [2])
    assert columns(jet)[0]["d_phi"] == pytest.approx([-0.1, 0.1], abs=1e-6)


def test_the_shape_and_the_kind_of_the_result():
    jets = make_jets()
    for function, names in ((relative_features, RELATIVE_FEATURES), (flow_features, FLOW_FEATURES)):
        features, counts = function(jets)
        assert features.dtype == np.float32
        assert counts.dtype == np.int64
        assert features.shape == (counts.sum(), len(names))
        assert counts.tolist() == ak.num(jets).tolist()
        assert np.isfinite(features).all()


@pytest.mark.parametrize("mass", [0.0, 0.4])
def test_vector_agrees(mass):
    jets = make_jets(mass=mass)
    axis = ak.sum(jets, axis=1)
    features, _ = columns(jets)
    flat = {
        "d_eta": jets.rapidity - axis.rapidity,
        "d_phi": jets.deltaphi(axis),
        "log_pt": np.log(jets.pt) - 1.5,
        "log_e": np.log(jets.E) - 1.5,
        "log_pt_fraction": np.log(jets.pt / ak.sum(jets.pt, axis=1)) + 5,
        "log_e_fraction": np.log(jets.E / axis.E) + 5,
        "d_r": jets.deltaRapidityPhi(axis),
    }
    for name, expected in flat.items():
        np.testing.assert_allclose(features[name], ak.to_numpy(ak.flatten(expected)), rtol=1e-5, atol=1e-5)


def test_the_distances_are_those_of_the_width():
    jets = make_jets()
    features, counts = columns(jets)
    jet = np.repeat(np.arange(len(counts)), counts)
    z = np.exp(features["log_pt_fraction"] - 5)
    mean = np.bincount(jet, z * features["d_r"], minlength=len(counts))
    np.testing.assert_allclose(mean[1:], width(jets)[1:], rtol=1e-5)  # the first jet is empty


@pytest.mark.parametrize("angle", [0.3, 2.0, np.pi, -5.0])
def test_a_rotation_about_the_beam_changes_nothing(angle):
    jets = make_jets(mass=0.14)
    for function in (relative_features, flow_features):
        turned = function(changed(jets, rotation(angle)))[0]
        np.testing.assert_allclose(turned, function(jets)[0], atol=2e-5)


@pytest.mark.parametrize("mass", [0.0, 0.4])
def test_a_boost_along_the_beam_changes_energies_alone(mass):
    jets = make_jets(mass=mass)
    before, after = columns(jets)[0], columns(changed(jets, boost(0.7)))[0]
    for name in ("d_eta", "d_phi", "d_r", "log_pt", "log_pt_fraction"):
        np.testing.assert_allclose(after[name], before[name], atol=2e-5, err_msg=name)
    assert np.abs(after["log_e"] - before["log_e"]).max() > 0.1


def test_reflections_flip_the_signs():
    jets = make_jets()
    before, after = columns(jets)[0], columns(changed(jets, np.diag([1, -1, -1, 1])))[0]
    for name in RELATIVE_FEATURES:
        sign = -1 if name in ("d_eta", "d_phi") else 1
        np.testing.assert_allclose(after[name], sign * before[name], atol=2e-5, err_msg=name)


def test_one_jet_does_not_see_another():
    jets = make_jets()
    features, _ = relative_features(jets)
    alone = np.concatenate([relative_features(jets[i : i + 1])[0] for i in range(len(jets))])
    np.testing.assert_allclose(alone, features, atol=1e-6)


def test_the_fractions_of_a_jet_add_up_to_one():
    features, counts = flow_features(make_jets())
    sums = np.bincount(np.repeat(np.arange(len(counts)), counts), features[:, 0])
    np.testing.assert_allclose(sums, [0] + [1] * (len(counts) - 1), rtol=1e-5)


def test_flow_and_relative_features_are_the_same_numbers():
    jets = make_jets()
    flow, relative = flow_features(jets)[0], columns(jets)[0]
    np.testing.assert_allclose(np.log(flow[:, 0]) + 5, relative["log_pt_fraction"], atol=1e-5)
    np.testing.assert_array_equal(flow[:, 1:], np.stack([relative["d_eta"], relative["d_phi"]], axis=1))


def test_a_jet_alone_sits_on_its_axis():
    features, counts = relative_features(unpack([[3.0, 4.0, 1.0, 6.0]], [1]))
    assert counts.tolist() == [1]
    assert features[0, [0, 1, 6]] == pytest.approx(0, abs=1e-6)
    assert features[0, 4:6] == pytest.approx(5)


def test_float32_jets_give_nearly_the_same():
    jets = make_jets(mass=0.14)
    single = ak.values_astype(jets, np.float32)
    np.testing.assert_allclose(relative_features(single)[0], relative_features(jets)[0], atol=1e-3)


@pytest.mark.parametrize(
    "momentum", [[0.0, 0, 0, 0], [0.0, 0, 5, 5], [np.nan, 0, 0, 1], [1.0, 0, 0, np.inf], [1, 0, 0, 0]]
)
@pytest.mark.parametrize("function", [relative_features, flow_features])
def test_padding_and_broken_momenta_are_refused(function, momentum):
    jets = unpack([[1.0, 0, 0, 1], [2.0, 0, 0, 2], momentum], [1, 2])
    with pytest.raises(
        ValueError, match=r"1 of 3 constituents .* the first in jet 1: .* padding \(coursekit.jets.unpad\)"
    ):
        function(jets)


# --- upright ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", [relative_features, flow_features])
def test_upright_jets_are_turned_and_mirrored_with_the_momentum_as_weight(function):
    jets = make_jets()
    eta, phi = (0, 1) if function is relative_features else (1, 2)
    (plain, counts), (upright, same) = function(jets), function(jets, upright=True)
    assert upright.dtype == np.float32
    assert same.tolist() == counts.tolist()
    z = flow_features(jets)[0][:, 0]
    expected = flipped(*rotated(plain[:, eta], plain[:, phi], z, counts), z, counts)
    np.testing.assert_allclose(upright[:, [eta, phi]], np.transpose(expected), atol=1e-5)
    others = [i for i in range(plain.shape[1]) if i not in (eta, phi)]
    assert np.array_equal(upright[:, others], plain[:, others])


def test_a_jet_turned_about_its_axis_or_mirrored_stands_upright_in_the_same_way():
    angle = 0.7
    pt, d_y, d_phi = np.array([300.0, 120.0, 60.0, 20.0]), *np.array([[0.0, 0.2, -0.3, 0.1], [0.1, -0.2, 0.1, 0.3]])
    d_y, d_phi = d_y - np.average(d_y, weights=pt), d_phi - np.average(d_phi, weights=pt)
    turned = np.cos(angle) * d_y - np.sin(angle) * d_phi, np.sin(angle) * d_y + np.cos(angle) * d_phi
    seen = []
    for y, phi in ((d_y, d_phi), (d_y, -d_phi), turned):
        y, phi = 1e-3 * y, 1e-3 * phi  # narrow: then the sum of the momenta is where the mean of the angles is
        momenta = np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(y), pt * np.cosh(y)], axis=1)
        seen.append(flow_features(unpack(momenta, [4]), upright=True)[0])
    np.testing.assert_allclose(seen[1], seen[0], atol=1e-8)
    np.testing.assert_allclose(seen[2], seen[0], atol=1e-8)


def test_an_upright_jet_may_be_empty():
    features, counts = relative_features(unpack(np.ones((1, 4)) * [1, 0, 0, 1], [0, 1, 0]), upright=True)
    assert features.shape == (1, 7)
    assert counts.tolist() == [0, 1, 0]
