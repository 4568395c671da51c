"""The standard position of jets: each step by hand, and beside a loop over jets."""

import numpy as np
import pytest

from coursekit.jets import centred, flipped, rotated
from tests.test_images import constituents, one_by_one


def test_the_centroid_is_found_across_the_seam_of_phi():
    eta, phi = centred([1.0, 3.0, 0.5], [np.pi - 0.1, -np.pi + 0.3, 2.0], [3.0, 1.0, 7.0], [2, 1])
    np.testing.assert_allclose(eta, [-0.5, 1.5, 0], atol=1e-15)
    np.testing.assert_allclose(phi, [-0.1, 0.3, 0], atol=1e-15)


def test_centring_leaves_shapes_and_moves_centroids_to_the_origin():
    pt, eta, phi, counts = constituents(100)
    new = centred(eta, phi, pt, counts)
    for x, old in zip(new, (eta, phi), strict=True):
        assert np.abs(np.add.reduceat(pt * x, np.cumsum(counts) - counts)).max() < 1e-10
        shift = np.exp(1j * (old - x))  # compares angles whatever their turns
        assert all(np.ptp(s.real) + np.ptp(s.imag) < 1e-12 for s in one_by_one(shift, counts))


def test_the_principal_axis_is_turned_upright():
    # Three equal constituents along 30 degrees: the axis is turned by 60 degrees, anticlockwise.
    r = np.array([-0.2, 0.1, 0.3])
    eta, phi = rotated(r * np.sqrt(3) / 2, r / 2, [1.0, 1.0, 1.0], [3])
    np.testing.assert_allclose(eta, 0, atol=1e-15)
    np.testing.assert_allclose(phi, r, atol=1e-15)


def test_rotation_leaves_lengths_and_makes_phi_the_longer_axis():
    pt, eta, phi, counts = constituents(100, low=2)
    eta, phi = centred(eta, phi, pt, counts)
    new_eta, new_phi = rotated(eta, phi, pt, counts)
    turn = (new_eta + 1j * new_phi) / (eta + 1j * phi)  # one complex number of length 1 for each jet: no mirror image
    np.testing.assert_allclose(np.abs(turn), 1, rtol=1e-10)
    assert all(np.ptp(t.real) + np.ptp(t.imag) < 1e-10 for t in one_by_one(turn, counts))
    for w, x, y in zip(*(one_by_one(v, counts) for v in (pt, new_eta, new_phi)), strict=True):
        assert abs((w * x * y).sum()) < 1e-10
        assert (w * y**2).sum() >= (w * x**2).sum()


def test_a_jet_without_a_direction_is_not_rotated():
    square = np.array([[0.1, 0.1], [-0.1, 0.1], [-0.1, -0.1], [0.1, -0.1]])
    eta, phi = rotated([*square[:, 0], 0.0], [*square[:, 1], 0.0], np.ones(5), [4, 1])
    assert np.array_equal(np.c_[eta, phi][:4], square)
    assert (eta[4], phi[4]) == (0, 0)


@pytest.mark.parametrize(("sign_eta", "sign_phi"), [(1, 1), (-1, 1), (-1, -1), (1, -1)])
def test_the_brightest_quadrant_goes_to_the_upper_right(sign_eta, sign_phi):
    # Two constituents of 3 GeV outshine one of 5 GeV.
    eta, phi = np.array([0.1, 0.4, -0.2, -0.3]), np.array([0.2, 0.1, 0.3, -0.1])
    new_eta, new_phi = flipped(sign_eta * eta, sign_phi * phi, [3.0, 3.0, 5.0, 1.0], [4])
    assert new_eta.tolist() == eta.tolist()
    assert new_phi.tolist() == phi.tolist()


def test_each_jet_is_flipped_by_itself():
    eta, phi = flipped([-0.1, 0.1, -0.2], [0.1, -0.1, 0.2], [1.0, 1.0, 2.0], [1, 2])
    assert eta.tolist() == [0.1, -0.1, 0.2]
    assert phi.tolist() == [0.1, -0.1, 0.2]


def test_a_constituent_on_the_border_belongs_to_both_sides():
    # 4 GeV on the phi axis count 2 on each side: the right side has 2 + 1, the left 2 + 1.5.
    eta, _ = flipped([1e-17, 0.1, -0.1], [0.3, 0.1, 0.1], [4.0, 1.0, 1.5], [3])
    assert eta.tolist() == [-1e-17, -0.1, 0.1]


def test_a_jet_without_weight_has_no_centroid():
    with pytest.raises(ValueError, match="the weights of jet 1 add up to 0, so that it has no centroid"):
        centred([0.0, 0.1, 0.2], [0.0, 0.1, 0.2], [1.0, 0.0, 0.0], [1, 2])
    eta, _ = centred([0.0, 0.1], [0.0, 0.1], [1.0, 1.0], [1, 0, 1])  # an empty one needs none
    assert eta.tolist() == [0, 0]
