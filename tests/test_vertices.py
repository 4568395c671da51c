"""Tracks of particles made by hand, their vertices, and the line along which these lie."""

from dataclasses import fields
from itertools import pairwise

import numpy as np
import pytest
import vector
from scipy.optimize import least_squares, minimize

from coursekit.simulate.flavour import DEFAULTS, tagging_variables
from coursekit.simulate.flightaxis import AXIS_ERROR, axis_vertices, crossings, fit_axis, merge_crossings
from coursekit.simulate.tracks import Tracks, closest_approach, measure_tracks, resolutions, table_of, tracks_of_jets
from coursekit.simulate.vertices import (
    PION_MASS,
    angle_to,
    find_pairs,
    fit_pruned,
    fit_vertex,
    mass,
    secondary_vertex,
    unit_vector,
)
from tests.test_detector import gun


def tracks_from(points, eta, phi, pt=5.0, charge=1.0, error=0.02, noise=None):
    """Tracks through points (..., 3), measured exactly unless a generator of noise is given."""
    points, eta, phi = np.asarray(points, float), np.asarray(eta, float), np.asarray(phi, float)
    shape = np.broadcast_shapes(points.shape[:-1], eta.shape, phi.shape)
    eta, phi, pt, charge, error = (np.broadcast_to(x, shape).astype(float) for x in (eta, phi, pt, charge, error))
    d0, z0 = closest_approach(*np.moveaxis(np.broadcast_to(points, (*shape, 3)), -1, 0), eta, phi)
    if noise is not None:
        d0, z0 = d0 + error * noise.standard_normal(shape), z0 + 3 * error * noise.standard_normal(shape)
    return Tracks(pt, eta, phi, charge, d0, error, z0, 3 * error)


def joined(*parts):
    return Tracks(**{f.name: np.concatenate([getattr(p, f.name) for p in parts], axis=-1) for f in fields(Tracks)})


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@pytest.fixture
def spray(rng):
    """Six tracks of each of 50 jets from one point per jet, with noise; the points."""
    points = rng.normal(0, 5, (50, 3))
    return tracks_from(points[:, None], rng.normal(0, 1, (50, 6)), rng.normal(0, 1, (50, 6)), noise=rng), points


# --- tracks -----------------------------------------------------------------------------------------------------------


def test_the_closest_approach_is_the_closest_point_of_the_line(rng):
    for point, eta, phi in zip(rng.normal(0, 10, (20, 3)), rng.normal(0, 1, 20), rng.uniform(-3, 3, 20), strict=True):
        direction = np.array([np.cos(phi), np.sin(phi), np.sinh(eta)])
        found = minimize(lambda s, p=point, d=direction: np.hypot(*(p + s * d)[:2]) ** 2, 0.0, tol=1e-12)
        closest = point + found.x * direction
        d0, z0 = closest_approach(*point, eta, phi)
        assert abs(d0) == pytest.approx(np.hypot(*closest[:2]), abs=1e-4)
        assert z0 == pytest.approx(closest[2], abs=1e-3)
        # d0 (-sin phi, cos phi) is the point itself, which fixes the sign.
        assert d0 * np.array([-np.sin(phi), np.cos(phi)]) == pytest.approx(closest[:2], abs=1e-3)
        assert closest_approach(*(point + 7 * direction), eta, phi) == pytest.approx((d0, z0))


def test_resolutions_grow_with_the_material_that_is_crossed():
    d0, z0 = resolutions(np.array([1.0, 1.0, 1e6]), np.arccosh([1.0, 4.0, 1.0]))  # sin theta = 1, 1/4, 1
    assert 1000 * d0 == pytest.approx([np.hypot(10, 70), np.hypot(10, 140), 10])
    assert 1000 * z0 == pytest.approx([np.hypot(55, 90), np.hypot(55, 720), 55])


def test_what_leaves_a_track_and_how_well_it_is_measured(rng):
    codes, r_mm = [211] * 4 + [22, -211], 39.0
    pt, eta = [0.49, 1, 10, 1, 10, 1], [0, 2.49, 0, 2.51, 0, 0]
    for late, expected in ((39.0, [1, 10, 1]), (40.5, [])):
        seen = [measure_tracks(gun(codes, pt, eta, [0] * 6, r_mm=late), rng)[0].pt.round().tolist() for _ in range(30)]
        assert all(set(found) <= set(expected) for found in seen)
        assert expected in seen
    n = 100_000
    particles = gun([211] * n, [2] * n, [1] * n, [0.5] * n, r_mm=r_mm)
    tracks, event = measure_tracks(particles, rng)
    assert len(tracks.pt) / n == pytest.approx(0.9, abs=0.005)
    assert (event == 0).all()
    assert (tracks.pt / 2).std() == pytest.approx(0.01, rel=0.02)
    for value, error, true in (
        (tracks.d0, tracks.d0_error, -r_mm * np.sin(0.5)),
        (tracks.z0, tracks.z0_error, -r_mm * np.cos(0.5) * np.sinh(1)),
    ):
        pull = (value - true) / error
        assert pull.mean() == pytest.approx(0, abs=0.02)
        assert np.abs(pull).max() > 6  # the tail
        assert pull.var() == pytest.approx(0.92 + 0.08 * 3.5**2, rel=0.03)
        assert np.diff(np.quantile(pull, [0.16, 0.84]))[0] / 2 == pytest.approx(1.06, abs=0.02)  # the core


def test_tracks_go_to_the_nearest_jet_of_their_own_event():
    phi = np.array([3.1, 0.25, 0.2, 0.0, 1.0, 0.35])
    tracks = Tracks(np.array([1.0, 2, 3, 4, 5, 6]), np.zeros(6), phi, *(np.ones(6) for _ in range(5)))
    event = np.array([0, 1, 1, 1, 1, 1])
    # One jet behind the seam, none in the last event, two in the second.
    found, counts = tracks_of_jets(tracks, event, np.zeros(3), np.array([-3.1, 0.0, 0.5]), np.array([1, 2, 0]))
    assert counts.tolist() == [1, 3, 1]
    assert found.pt.tolist() == [1, 4, 3, 2, 6]  # by falling momentum; 0.25 is as far from both, 1.0 from none
    for jets in ([], [9.0]):
        found, counts = tracks_of_jets(tracks[:0], event[:0], np.array(jets), np.array(jets), np.array([len(jets)]))
        assert len(found.pt) == 0
        assert counts.tolist() == [0] * len(jets)


# --- one vertex -------------------------------------------------------------------------------------------------------


def test_two_tracks_at_right_angles():
    point = np.array([[3.0, 4.0, 1.0]])
    tracks = tracks_from(point[:, None], [[0, 0]], [[0, np.pi / 2]], error=0.1)
    vertex = fit_vertex(tracks, np.ones((1, 2), bool))
    assert vertex.position == pytest.approx(point, abs=1e-6)
    assert vertex.chi2 == pytest.approx(np.zeros((1, 2)), abs=1e-9)
    # The track along x measures y, the one along y measures x, both measure z, three times worse.
    assert vertex.covariance[0] == pytest.approx(np.diag([0.01, 0.01, 0.045]), rel=1e-4)
    length, significance = vertex.distance(np.array([[0.0, 1, 0]]))
    assert length[0] == pytest.approx(np.sqrt(26))
    assert significance[0] == pytest.approx(26 / np.sqrt(0.25 + 0.045), rel=1e-4)
    assert vertex.distance(np.array([[0.0, -1, 0]]))[0][0] == pytest.approx(-np.sqrt(26))


def test_the_fit_is_the_least_squares_one(spray, rng):
    tracks, points = spray
    used = rng.random((50, 6)) < 0.7
    vertex = fit_vertex(tracks, used)
    for i in range(50):
        row = tracks[i]

        def pulls(v, row=row):
            d0, z0 = closest_approach(*v, row.eta, row.phi)
            return np.stack([(row.d0 - d0) / row.d0_error, (row.z0 - z0) / row.z0_error])

        if used[i].sum() > 1:
            found = least_squares(lambda v, i=i, pulls=pulls: (pulls(v) * used[i]).ravel(), np.zeros(3), xtol=1e-14)
            assert vertex.position[i] == pytest.approx(found.x, abs=1e-4)
            assert vertex.chi2[i] == pytest.approx((pulls(found.x) ** 2).sum(axis=0), abs=1e-3, rel=1e-3)
            assert vertex.covariance[i] == pytest.approx(np.linalg.inv(found.jac.T @ found.jac), rel=1e-3, abs=1e-9)
    everything = fit_vertex(tracks, np.ones((50, 6), bool))
    pull = (everything.position - points) / np.sqrt(np.diagonal(everything.covariance, axis1=1, axis2=2))
    assert (pull**2).mean() == pytest.approx(1, abs=0.35)
    assert everything.chi2.sum() / (50 * (12 - 3)) == pytest.approx(1, abs=0.2)


def test_a_rotated_event_has_a_rotated_vertex(spray):
    tracks, _ = spray
    turned = Tracks(**{f.name: getattr(tracks, f.name) for f in fields(Tracks)} | {"phi": tracks.phi + 1.0})
    before, after = (fit_vertex(t, np.ones((50, 6), bool)).position for t in (tracks, turned))
    cos, sin = np.cos(1.0), np.sin(1.0)
    x, y, z = before.T
    assert after == pytest.approx(np.stack([cos * x - sin * y, sin * x + cos * y, z], axis=1), abs=1e-6)


def test_pruning_drops_the_worst_track_until_all_agree(spray, rng):
    tracks, _ = spray
    spoilt = rng.random((50, 6)) < 0.3
    tracks = tracks[:]
    tracks.d0[spoilt] += rng.normal(0, 1, spoilt.sum())
    start = rng.random((50, 6)) < 0.9
    vertex, used = fit_pruned(tracks, start, max_chi2=9.0)
    assert 20 < (start & ~used).sum() < 150
    assert not (used & ~start).any()
    for i in range(50):  # one jet and one track at a time
        left = start[[i]]
        while True:
            one = fit_vertex(tracks[[i]], left)
            chi2 = np.where(left, one.chi2, 0)[0]
            if chi2.max() <= 9.0:
                break
            left = left & (np.arange(6) != chi2.argmax())
        assert used[i].tolist() == left[0].tolist()
        assert vertex.position[i] == pytest.approx(one.position[0])
    assert (np.where(used, vertex.chi2, 0) <= 9.0).all()


def test_masses_and_angles(rng):
    momentum, masses, used = rng.normal(0, 3, (20, 4, 3)), rng.uniform(0.1, 1, (20, 4)), rng.random((20, 4)) < 0.7
    found = mass(momentum, masses, used)
    for i in range(20):
        total = sum(
            (
                vector.obj(px=p[0], py=p[1], pz=p[2], m=m)
                for p, m, u in zip(momentum[i], masses[i], used[i], strict=True)
                if u
            ),
            vector.obj(px=0, py=0, pz=0, E=0),
        )
        assert found[i] == pytest.approx(abs(total.m), abs=1e-6)
    axis = unit_vector(np.array([0.5, 0.5]), np.array([3.1, 0.2]))
    assert np.linalg.norm(axis, axis=1) == pytest.approx([1, 1])
    assert angle_to(9 * axis, np.array([0.5, 0.1]), np.array([-3.1, 0.5])) == pytest.approx([2 * np.pi - 6.2, 0.5])


# --- what is looked for in a jet --------------------------------------------------------------------------------------


def decay(mother_mass, masses, flight_mm, pt=8.0, angle=0.9):
    """The two charged daughters of a particle that flies along x and decays at 90 degrees in its rest frame."""
    first = (mother_mass**2 + masses[0] ** 2 - masses[1] ** 2) / (2 * mother_mass)
    momentum = np.sqrt((first**2 - masses[0] ** 2) / (1 + 0.3**2))
    boost = vector.obj(px=pt, py=0, pz=0, m=mother_mass)
    daughters = [
        vector.obj(
            px=sign * momentum * np.cos(angle), py=sign * momentum * np.sin(angle), pz=sign * 0.3 * momentum, m=m
        ).boost_p4(boost)
        for sign, m in zip((1, -1), masses, strict=True)
    ]
    eta, phi, pt = ([[getattr(d, name) for d in daughters]] for name in ("eta", "phi", "pt"))
    return tracks_from([[[flight_mm, 0, 0]]], eta, phi, pt=pt, charge=[[1.0, -1.0]])


def tagged(tracks):
    """The variables of one jet along x."""
    flat = tracks[0]
    return {
        k: float(v[0]) for k, v in tagging_variables(flat, np.array([len(flat.pt)]), np.zeros(1), np.zeros(1)).items()
    }


KAON, D0, LAMBDA = 0.49761, 1.86484, 1.11568


def test_strange_particles_are_no_vertices_and_charmed_ones_are():
    pion, kaon, proton = PION_MASS, 0.49368, 0.93827
    for mother, daughters in ((KAON, (pion, pion)), (LAMBDA, (proton, pion)), (LAMBDA, (pion, proton))):
        found = tagged(decay(mother, daughters, 10.0))
        assert {n: found[n] for n in DEFAULTS if n[:2] in ("sv", "jf")} == {
            n: value for n, value in DEFAULTS.items() if n[:2] in ("sv", "jf")
        }
    charmed = tagged(decay(D0, (kaon, pion), 10.0))
    assert charmed["sv_n_tracks"] == charmed["jf_n_tracks"] == 2
    assert charmed["sv_n_two_track"] == charmed["jf_n_vertices"] == charmed["sv_energy_fraction"] == 1
    assert charmed["jf_n_single"] == 0
    assert charmed["sv_distance_mm"] == pytest.approx(10, rel=1e-3)
    # On a known axis a distance is known better than in free space.
    assert 1 < charmed["jf_significance"] / charmed["sv_significance"] < 1.3
    assert charmed["sv_dr"] == pytest.approx(0, abs=1e-3)
    assert 1.0 < charmed["sv_mass"] < D0  # the kaon counts as a pion
    # The same pions as of a kaon, of equal charge: no kaon.
    pions = decay(KAON, (pion, pion), 10.0)
    pions.charge[:] = 1
    assert tagged(pions)["sv_mass"] == pytest.approx(KAON, rel=1e-3)


def test_what_lies_behind_or_near_the_collision_is_no_vertex():
    assert tagged(decay(D0, (0.494, PION_MASS), -10.0))["sv_mass"] == DEFAULTS["sv_mass"]
    assert tagged(decay(D0, (0.494, PION_MASS), 0.05))["sv_mass"] == DEFAULTS["sv_mass"]
    assert tagged(decay(D0, (0.494, PION_MASS), -10.0))["jf_n_vertices"] == DEFAULTS["jf_n_vertices"]


def test_a_heavy_vertex_is_refused():
    heavy = decay(9.0, (PION_MASS, PION_MASS), 10.0, pt=40.0)
    assert tagged(heavy)["sv_mass"] == DEFAULTS["sv_mass"]
    assert tagged(decay(5.0, (PION_MASS, PION_MASS), 10.0, pt=40.0))["sv_mass"] == pytest.approx(5, rel=1e-3)


def test_pairs_meet_in_front_of_the_collision():
    good = decay(D0, (0.494, PION_MASS), 10.0)
    away = tracks_from([[[0, 0, 40.0]]], [[0.1]], [[0.2]])  # passes both at another height
    tracks = joined(good, away)
    pairs = find_pairs(tracks, np.ones((1, 3), bool), unit_vector(np.zeros(1), np.zeros(1)))
    assert (pairs.first.tolist(), pairs.second.tolist(), pairs.strange.tolist()) == ([0], [1], [False])
    assert pairs.tracks((1, 3), ~pairs.strange).tolist() == [[True, True, False]]
    values, found = secondary_vertex(tracks, np.ones((1, 3), bool), pairs, np.zeros(1), np.zeros(1), np.full(1, 50.0))
    assert found.tolist() == [True]
    assert values["sv_n_tracks"].tolist() == [2]


# --- along the flight axis --------------------------------------------------------------------------------------------


def chain():
    """A b hadron decays at 3 mm to two tracks, the c hadron from it at 6 mm to one, along (eta, phi) = (0, 0.03)."""
    axis = unit_vector(0.0, 0.03)
    first = tracks_from(3 * axis, [[0.2, -0.1]], [[0.3, -0.2]])
    return joined(first, tracks_from(6 * axis, [[0.1]], [[-0.15]])), axis


def test_a_decay_chain_has_a_vertex_and_a_single_track():
    tracks, axis = chain()
    prompt = tracks_from([[[0, 0, 0]]], [[0.1, -0.2]], [[0.1, 0.3]])
    found = tagged(joined(tracks, prompt))
    assert (found["jf_n_vertices"], found["jf_n_single"], found["jf_n_tracks"]) == (1, 1, 3)
    assert found["jf_energy_fraction"] == pytest.approx(0.6, abs=0.01)
    assert found["jf_dr"] == pytest.approx(0.03, abs=0.005)
    distance, weight, chi2 = crossings(tracks, axis[np.newaxis])
    assert distance == pytest.approx(np.array([[3, 3, 6]]))
    assert chi2 == pytest.approx(np.zeros((1, 3)), abs=1e-9)
    # Half the resolution, four times the weight.
    better = Tracks(**{f.name: getattr(tracks, f.name) * (0.5 if "error" in f.name else 1) for f in fields(Tracks)})
    assert crossings(better, axis[np.newaxis])[1] == pytest.approx(4 * weight)


def test_the_axis_is_the_one_that_the_tracks_cross_best(rng):
    n = 10
    eta, phi = rng.normal(0, 0.03, n), rng.normal(0, 0.03, n)
    points = unit_vector(eta, phi)[:, None] * rng.uniform(2, 8, (n, 5, 1))
    tracks = tracks_from(points, rng.normal(0, 0.3, (n, 5)), rng.normal(0, 0.3, (n, 5)), noise=rng)
    jet = unit_vector(np.zeros(n), np.zeros(n))
    axis = fit_axis(tracks, np.ones((n, 5), bool), jet)

    def loss(angles, i):
        line = np.array([[1.0, angles[0], angles[1]]])
        line /= np.linalg.norm(line)
        return 6 * np.log1p(crossings(tracks[[i]], line)[2] / 6).sum() + (angles**2).sum() / AXIS_ERROR**2

    for i in range(n):
        best = minimize(loss, np.zeros(2), args=(i,), method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-7})
        assert axis[i, 1:] / axis[i, 0] == pytest.approx(best.x, abs=5e-4)
        assert loss(axis[i, 1:] / axis[i, 0], i) < best.fun + 0.1
    assert np.abs(angle_to(axis, eta, phi)).max() < 0.02
    nothing = fit_axis(tracks, np.zeros((n, 5), bool), jet)
    assert nothing == pytest.approx(jet)


def test_merging_is_what_a_loop_does(rng):
    distance, weight = rng.normal(0, 4, (60, 6)), rng.uniform(0.2, 2, (60, 6)) * (rng.random((60, 6)) < 0.8)
    vertex, at, total = merge_crossings(distance, weight)
    for i in range(60):
        clusters = sorted(
            ([d], w * d, w, [k]) for k, (d, w) in enumerate(zip(distance[i], weight[i], strict=True)) if w
        )
        clusters = [[m / w, w, k] for _, m, w, k in clusters]
        while len(clusters) > 1:
            chi2 = [(b[0] - a[0]) ** 2 / (1 / a[1] + 1 / b[1]) for a, b in pairwise(clusters)]
            k = int(np.argmin(chi2))
            if chi2[k] >= 6.0:
                break
            (d1, w1, k1), (d2, w2, k2) = clusters[k : k + 2]
            clusters[k : k + 2] = [[(w1 * d1 + w2 * d2) / (w1 + w2), w1 + w2, k1 + k2]]
        n = len(clusters)
        assert at[i, :n] == pytest.approx([c[0] for c in clusters])
        assert total[i] == pytest.approx([c[1] for c in clusters] + [0] * (6 - n))
        for number, cluster in enumerate(clusters):
            assert (vertex[i, cluster[2]] == number).all()


def test_jets_without_tracks_have_nothing():
    rows, present = table_of(np.zeros(0, bool), np.zeros(3, int))
    assert rows.shape == present.shape == (3, 0)
    empty = Tracks(*(np.zeros(0) for _ in fields(Tracks)))
    found = axis_vertices(empty[rows], present, np.zeros(3), np.zeros(3), np.zeros(3))[1]
    assert found.tolist() == [False] * 3
    variables = tagging_variables(empty, np.zeros(3, int), np.zeros(3), np.zeros(3))
    assert {name: values.tolist() for name, values in variables.items()} == {n: [v] * 3 for n, v in DEFAULTS.items()}
