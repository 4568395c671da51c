import itertools
import math
from fractions import Fraction

import awkward as ak
import numpy as np
import pytest
import vector

from coursekit import observables as obs
from coursekit.jets import delta_phi, pack, unpack

BOOST_INVARIANT = [
    obs.jet_pt,
    obs.jet_mass,
    obs.multiplicity,
    obs.mean_pt,
    obs.width,
    obs.pt_dispersion,
    obs.c1,
    obs.c2,
    obs.c3,
    obs.d2,
    obs.tau21,
    obs.tau32,
]
INFRARED_SAFE = [f for f in BOOST_INVARIANT if f not in (obs.multiplicity, obs.mean_pt)]
COLLINEAR_SAFE = [f for f in INFRARED_SAFE if f is not obs.pt_dispersion]


def massless(pt, y, phi):
    """Jets of massless constituents from nested lists or arrays of pT, rapidity, azimuth."""
    pt, y, phi = ak.Array(pt), ak.Array(y), ak.Array(phi)
    flat = [np.asarray(ak.flatten(x), float) for x in (pt, y, phi)]
    return unpack(polar(*flat), ak.num(pt))


def polar(pt, y, phi):
    return np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(y), pt * np.cosh(y)], axis=1)


def random_jets(n, low=4, high=30, seed=0, phi=0.0, mass=0.2):
    rng = np.random.default_rng(seed)
    counts = rng.integers(low, high, n)
    t = counts.sum()
    packed = polar(rng.exponential(10, t), rng.normal(0.5, 0.3, t), rng.normal(phi, 0.3, t))
    packed[:, 3] = np.hypot(packed[:, 3], mass)
    return unpack(packed, counts)


def scaled(jets, factor):
    """The same directions with other energies, under the same field names (vector's own product renames them)."""
    packed, counts = pack(jets)
    return unpack(packed * factor, counts)


def loop_ecf(jets, n, beta):
    """The definition, particle by particle."""
    result = []
    for jet in jets:
        pt, y, phi = (getattr(jet, name).to_numpy() for name in ("pt", "rapidity", "phi"))
        total = 0.0
        for chosen in itertools.combinations(range(len(pt)), n):
            term = math.prod(pt[i] for i in chosen)
            for i, j in itertools.combinations(chosen, 2):
                dphi = math.remainder(phi[i] - phi[j], 2 * math.pi)
                term *= math.hypot(y[i] - y[j], dphi) ** beta
            total += term
        result.append(total)
    return np.array(result)


# --- by hand ----------------------------------------------------------------------------------------------------------


def test_two_particles():
    jets = massless([[30.0, 10.0]], [[0.3, 0.0]], [[3.0, -3.0]])  # on either side of the cut at pi
    dphi = 2 * math.pi - 6
    r = math.hypot(0.3, dphi)
    assert obs.jet_mass(jets)[0] ** 2 == pytest.approx(2 * 30 * 10 * (math.cosh(0.3) - math.cos(dphi)))
    assert obs.jet_pt(jets)[0] ** 2 == pytest.approx(900 + 100 + 600 * math.cos(dphi))
    assert obs.multiplicity(jets)[0] == 2
    assert obs.mean_pt(jets)[0] == pytest.approx(20)
    assert obs.pt_dispersion(jets)[0] == pytest.approx(math.sqrt(1000) / 40)
    assert obs.ecf(jets, 1)[0] == pytest.approx(40)
    assert obs.ecf(jets, 2, beta=0.5)[0] == pytest.approx(300 * math.sqrt(r))
    assert obs.c1(jets)[0] == pytest.approx(300 * r / 1600)
    assert obs.c2(jets)[0] == obs.d2(jets)[0] == obs.tau21(jets)[0] == 0
    assert obs.n_subjettiness(jets, 1, beta=2, radius=0.4)[0] == pytest.approx(10 * r**2 / (40 * 0.16))
    assert np.isnan(obs.c3(jets)[0])
    assert np.isnan(obs.tau32(jets)[0])


def test_two_equal_particles_lie_half_their_distance_from_the_axis():
    jets = massless([[10.0, 10.0]], [[0.2, -0.2]], [[0.1, -0.1]])
    assert obs.width(jets)[0] == pytest.approx(math.hypot(0.4, 0.2) / 2)
    assert obs.jet_eta(jets)[0] == pytest.approx(0, abs=1e-15)
    assert obs.jet_phi(jets)[0] == pytest.approx(0, abs=1e-15)


def test_three_particles():
    jets = massless([[50.0, 20.0, 10.0]], [[0.0, 0.0, 0.4]], [[0.0, 0.3, 0.0]])  # distances 0.3, 0.4, 0.5
    ecf2 = 50 * 20 * 0.3 + 50 * 10 * 0.4 + 20 * 10 * 0.5
    ecf3 = 50 * 20 * 10 * 0.3 * 0.4 * 0.5
    assert obs.ecf(jets, 2)[0] == pytest.approx(ecf2)
    assert obs.ecf(jets, 3)[0] == pytest.approx(ecf3)
    assert obs.c2(jets)[0] == pytest.approx(ecf3 * 80 / ecf2**2)
    assert obs.d2(jets)[0] == pytest.approx(ecf3 * 80**3 / ecf2**3)
    assert obs.c3(jets)[0] == 0
    # d_12 = 400 * 0.09 = 36, d_13 = 100 * 0.16 = 16: the third merges into the first, then the second does.
    assert obs.n_subjettiness(jets, 1, radius=1)[0] == pytest.approx((20 * 0.3 + 10 * 0.4) / 80)
    assert obs.n_subjettiness(jets, 2, radius=1)[0] == pytest.approx(10 * 0.4 / 80)
    assert obs.n_subjettiness(jets, 3)[0] == 0
    assert obs.tau32(jets)[0] == 0


def test_four_particles_on_a_square():
    side, diagonal = 0.4, 0.4 * math.sqrt(2)
    jets = massless([[1.0, 2.0, 3.0, 4.0]], [[0.0, side, side, 0.0]], [[0.0, 0.0, side, side]])
    assert obs.ecf(jets, 4, beta=2)[0] == pytest.approx(24 * (side**4 * diagonal**2) ** 2)


# --- independent oracles ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_energy_correlations_against_explicit_loops(n, beta):
    jets = random_jets(12, low=1, high=14, phi=3.0)
    assert obs.ecf(jets, n, beta) == pytest.approx(loop_ecf(jets, n, beta), rel=1e-11)


@pytest.mark.parametrize("beta", [1, 2])
def test_energy_correlations_against_fastjet(beta):
    fastjet = pytest.importorskip("fastjet")
    jets = random_jets(20, high=60)
    cluster = fastjet.ClusterSequence(jets, fastjet.JetDefinition(fastjet.cambridge_algorithm, 100.0))
    for n in (2, 3, 4):
        oracle = cluster.exclusive_jets_energy_correlator(njets=1, beta=beta, npoint=n, normalized=True)
        assert obs.ecf(jets, n, beta) / obs.ecf(jets, 1) ** n == pytest.approx(np.ravel(oracle), rel=1e-12)


@pytest.mark.filterwarnings("ignore:dcut and exclusive jets")  # FastJet's wheel warns for kT too
@pytest.mark.parametrize("n", [1, 2, 3])
def test_n_subjettiness_on_axes_found_by_fastjet(n):
    fastjet = pytest.importorskip("fastjet")
    jets = random_jets(40, low=4, high=60, phi=3.0)
    # The distance to the beam must not compete: hence the huge radius.
    definition = fastjet.JetDefinition(fastjet.kt_algorithm, 1000.0, fastjet.WTA_pt_scheme)
    axes = fastjet.ClusterSequence(jets, definition).exclusive_jets(n)
    distance = np.hypot(
        jets.rapidity[:, :, np.newaxis] - axes.rapidity[:, np.newaxis, :],
        delta_phi(jets.phi[:, :, np.newaxis], axes.phi[:, np.newaxis, :]),
    )
    for beta in (1.0, 2.0):
        oracle = ak.sum(jets.pt * ak.min(distance, axis=2) ** beta, axis=1) / ak.sum(jets.pt, axis=1) / 0.8**beta
        assert obs.n_subjettiness(jets, n, beta) == pytest.approx(oracle.to_numpy(), rel=1e-10)


def test_momentum_against_vector():
    jets = random_jets(30, phi=2.0)
    total = ak.sum(jets, axis=1)
    assert obs.jet_pt(jets) == pytest.approx(total.pt.to_numpy())
    assert obs.jet_eta(jets) == pytest.approx(total.eta.to_numpy())
    assert obs.jet_phi(jets) == pytest.approx(total.phi.to_numpy())
    assert obs.jet_mass(jets) == pytest.approx(total.mass.to_numpy())
    distance = np.hypot(jets.rapidity - total.rapidity, delta_phi(jets.phi, total.phi))
    expected = ak.sum(jets.pt * distance, axis=1) / ak.sum(jets.pt, axis=1)
    assert obs.width(jets) == pytest.approx(expected.to_numpy())
    assert obs.mean_pt(jets) == pytest.approx(ak.mean(jets.pt, axis=1).to_numpy())


# --- invariances and safety -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", BOOST_INVARIANT, ids=lambda f: f.__name__)
@pytest.mark.parametrize("move", ["boost", "rotation", "reflection"])
def test_invariance(function, move):
    jets = random_jets(40)
    if move == "boost":
        y = 1.3
        moved = {
            "px": jets.px,
            "py": jets.py,
            "pz": jets.pz * math.cosh(y) + jets.E * math.sinh(y),
            "E": jets.E * math.cosh(y) + jets.pz * math.sinh(y),
        }
    elif move == "rotation":
        a = 2.9  # moves some jets across the cut at pi
        moved = {
            "px": jets.px * math.cos(a) - jets.py * math.sin(a),
            "py": jets.px * math.sin(a) + jets.py * math.cos(a),
            "pz": jets.pz,
            "E": jets.E,
        }
    else:
        moved = {"px": jets.px, "py": jets.py, "pz": -jets.pz, "E": jets.E}
    moved = ak.zip(moved, with_name="Momentum4D", behavior=vector.backends.awkward.behavior)
    assert function(moved) == pytest.approx(function(jets), rel=1e-9)


@pytest.mark.parametrize("function", [obs.jet_mass, obs.width, obs.c3, obs.tau32, obs.pt_dispersion])
def test_the_order_of_constituents_does_not_matter(function):
    jets = random_jets(20)
    assert function(jets[:, ::-1]) == pytest.approx(function(jets), rel=1e-10)


@pytest.mark.parametrize("function", COLLINEAR_SAFE, ids=lambda f: f.__name__)
def test_collinear_splitting_changes_nothing(function):
    jets = random_jets(40, mass=0)
    hard, soft = scaled(jets[:, 1:2], 0.7), scaled(jets[:, 1:2], 0.3)
    split = ak.concatenate([jets[:, :1], hard, jets[:, 2:], soft], axis=1)
    assert function(split) == pytest.approx(function(jets), rel=1e-6)


@pytest.mark.parametrize("function", INFRARED_SAFE, ids=lambda f: f.__name__)
def test_soft_emission_changes_nothing(function):
    jets = random_jets(40)
    soft = scaled(random_jets(40, low=3, high=4, seed=1, mass=0), 1e-11)
    assert function(ak.concatenate([soft, jets], axis=1)) == pytest.approx(function(jets), rel=1e-6)


def test_what_is_not_safe_is_seen_not_to_be():
    # The table of the module's docstring holds in both directions.
    jets = random_jets(5, mass=0)
    half = scaled(jets[:, :1], 0.5)
    split = ak.concatenate([half, half, jets[:, 1:]], axis=1)
    assert (obs.multiplicity(split) == obs.multiplicity(jets) + 1).all()
    assert (obs.mean_pt(split) < obs.mean_pt(jets)).all()
    assert (obs.pt_dispersion(split) < obs.pt_dispersion(jets)).all()


def test_ratios_do_not_depend_on_the_scale():
    jets = random_jets(20)
    for function in (obs.c1, obs.c2, obs.c3, obs.d2, obs.tau21, obs.tau32, obs.width, obs.pt_dispersion):
        assert function(scaled(jets, 1000)) == pytest.approx(function(jets), rel=1e-9)


# --- precision --------------------------------------------------------------------------------------------------------


def test_the_mass_of_float32_constituents_is_that_of_exact_arithmetic():
    rng = np.random.default_rng(0)
    packed = polar(rng.exponential(30, 60), rng.normal(1.5, 0.01, 60), rng.normal(0, 0.01, 60)).astype(np.float32)
    sums = [sum(Fraction(float(x)) for x in column) for column in packed.T]
    exact = math.sqrt(sums[3] ** 2 - sums[0] ** 2 - sums[1] ** 2 - sums[2] ** 2)
    jets = unpack(packed, [60])
    assert jets.px.type.content.content.primitive == "float32"
    assert obs.jet_mass(jets)[0] == pytest.approx(exact, rel=1e-9)
    naive = packed.sum(axis=0)
    naive = np.sqrt(naive[3] ** 2 - naive[0] ** 2 - naive[1] ** 2 - naive[2] ** 2)
    assert abs(naive / exact - 1) > 1e-4  # what summing in float32 would have cost


@pytest.mark.parametrize("function", [obs.width, obs.c1, obs.c2, obs.c3, obs.d2, obs.tau21, obs.tau32])
def test_float32_input_costs_no_more_than_its_rounding(function):
    jets = random_jets(40, mass=0)
    assert function(ak.values_astype(jets, np.float32)) == pytest.approx(function(jets), rel=3e-4)


def test_a_single_massless_float32_particle_has_no_mass_to_speak_of():
    packed = polar(np.array([600.0]), np.array([1.7]), np.array([0.4])).astype(np.float32)
    assert 0 <= obs.jet_mass(unpack(packed, [1]))[0] < 1


def test_other_coordinates_are_converted_in_float64():
    columns = {"pt": np.array([100.0, 50.0]), "eta": np.array([2.0, 2.01]), "phi": np.array([3.1, 3.11])}
    columns["mass"] = np.array([0.0, 0.0])
    flat = ak.zip(
        {name: column.astype(np.float32) for name, column in columns.items()},
        with_name="Momentum4D",
        behavior=vector.backends.awkward.behavior,
    )
    dphi, deta = 0.01, 0.01
    expected = math.sqrt(2 * 100 * 50 * (math.cosh(deta) - math.cos(dphi)))
    assert obs.jet_mass(ak.unflatten(flat, [2]))[0] == pytest.approx(expected, rel=1e-4)


# --- edges ------------------------------------------------------------------------------------------------------------


def test_empty_jets_and_jets_of_one():
    jets = massless([[], [5.0], []], [[], [0.1], []], [[], [0.2], []])
    assert obs.jet_pt(jets) == pytest.approx([0, 5, 0])
    assert obs.jet_mass(jets) == pytest.approx([0, 0, 0], abs=1e-6)
    assert obs.multiplicity(jets).tolist() == [0, 1, 0]
    for n in (2, 3, 4):
        assert obs.ecf(jets, n).tolist() == [0, 0, 0]
    for n in (1, 2, 3):
        assert obs.n_subjettiness(jets, n)[1] == 0
        assert np.isnan(obs.n_subjettiness(jets, n)[[0, 2]]).all()
    for function in (obs.jet_eta, obs.jet_phi, obs.mean_pt, obs.width, obs.pt_dispersion, obs.c1):
        assert np.isnan(function(jets)).tolist() == [True, False, True], function
    for function in (obs.c2, obs.c3, obs.d2, obs.tau21, obs.tau32):
        assert np.isnan(function(jets)).all()
    assert all(np.shape(x) == (3,) for x in obs.measure_jets(jets).values())


def test_no_jets_at_all():
    jets = unpack(np.zeros((0, 4)), [])
    assert all(len(x) == 0 for x in obs.measure_jets(jets).values())


def test_particles_in_one_direction_and_along_the_beam():
    jets = massless([[5.0, 5.0, 5.0, 5.0]], [[0.1] * 4], [[0.2] * 4])
    assert obs.jet_mass(jets)[0] == pytest.approx(0, abs=1e-6)
    assert obs.n_subjettiness(jets, 2)[0] == pytest.approx(0, abs=1e-12)
    beam = unpack(np.array([[0, 0, 9.0, 9.0], [3.0, 0, 0, 3.0], [0, 3.0, 0, 3.0], [0, 0, 0, 0]]), [4])
    assert obs.ecf(beam, 2)[0] == pytest.approx(9 * math.pi / 2)  # no pT, no weight
    assert np.isfinite(obs.n_subjettiness(beam, 1)[0])


def test_jets_of_all_lengths_keep_their_places():
    jets = random_jets(300, low=0, high=150, seed=4)
    together = obs.measure_jets(jets, beta=0.5)
    for i in (0, 17, 123, 299):
        alone = obs.measure_jets(jets[i : i + 1], beta=0.5)
        for name, values in together.items():
            assert alone[name][0] == pytest.approx(values[i], rel=1e-9, nan_ok=True), name


def test_measuring_all_is_measuring_each():
    jets = random_jets(30)
    measured = obs.measure_jets(jets)
    for name, values in measured.items():
        assert np.array_equal(values, getattr(obs, name)(jets), equal_nan=True), name
    assert measured["c3"].dtype == np.float64
    assert not np.array_equal(obs.measure_jets(jets, beta=2)["c3"], measured["c3"])


def test_the_number_of_threads_changes_nothing(monkeypatch):
    jets = random_jets(400)
    results = []
    for n in ("1", "2"):
        monkeypatch.setenv("OMP_NUM_THREADS", n)
        results.append(obs.measure_jets(jets))
    assert all(np.array_equal(results[0][name], results[1][name], equal_nan=True) for name in results[0])


def test_inputs_are_left_alone():
    jets = random_jets(10)
    before = jets.to_list()
    obs.measure_jets(jets)
    assert jets.to_list() == before


@pytest.mark.parametrize(
    ("phi1", "phi2", "expected"), [(3, -3, 6 - 2 * math.pi), (0.5, 0.2, 0.3), (0, 7, 2 * math.pi - 7), (1, 1, 0)]
)
def test_delta_phi_wraps(phi1, phi2, expected):
    assert delta_phi(phi1, phi2) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    "wrong", [np.ones((3, 200, 4)), [[1.0]], ak.Array([[1.0], [2.0, 3.0]])], ids=["padded", "list", "numbers"]
)
def test_something_else_than_jets(wrong):
    with pytest.raises(TypeError, match=r"expected jagged jets, N . var . Momentum4D.*got"):
        obs.jet_mass(wrong)


def test_one_momentum_per_jet_is_not_a_jet():
    with pytest.raises(TypeError, match="expected jagged jets"):
        obs.c2(ak.sum(random_jets(3), axis=1))


@pytest.mark.parametrize(("bad", "column"), [(np.nan, 2), (1e200, 0), (-1, 3)])
def test_a_momentum_that_is_none(bad, column):
    packed = np.ones((6, 4))
    packed[4, column] = bad
    with pytest.raises(ValueError, match="jet 1 has a constituent"):
        obs.c2(unpack(packed, [3, 2, 1]))


@pytest.mark.parametrize(
    "call",
    [
        lambda jets: obs.ecf(jets, 5),
        lambda jets: obs.ecf(jets, 2, beta=0),
        lambda jets: obs.c3(jets, beta=-1),
        lambda jets: obs.tau21(jets, beta=0),
        lambda jets: obs.n_subjettiness(jets, 4),
        lambda jets: obs.n_subjettiness(jets, 1, radius=0),
    ],
)
def test_parameters_out_of_range(call):
    with pytest.raises(ValueError, match=r"above zero|n = 1"):
        call(random_jets(2))
