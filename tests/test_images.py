"""Jet images: beside np.histogram2d and a loop over jets, and unchanged where a jet is turned or mirrored."""

import tracemalloc

import awkward as ak
import numpy as np
import pytest

from coursekit import images as ci
from coursekit.jets import centred, flipped, rotated, unpack
from coursekit.jets.arrays import four_momenta

EDGES = np.linspace(-0.8, 0.8, 41)


def constituents(n_jets, seed=1, low=1, high=40):
    """Random pt, eta, phi (T,) round an axis of each jet's own, phi in [-pi, pi), and counts (N,)."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(low, high, n_jets)
    axes = np.repeat(rng.uniform((-2, -np.pi), (2, np.pi), (n_jets, 2)), counts, axis=0)
    eta, phi = (axes + rng.normal(0, 0.25, (counts.sum(), 2))).T
    return rng.exponential(20, counts.sum()) + 0.1, eta, (phi + np.pi) % (2 * np.pi) - np.pi, counts


def make_jets(pt, eta, phi, counts, **fields):
    px, py, pz = pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)
    columns = {"px": px, "py": py, "pz": pz, "E": pt * np.cosh(eta), **fields}
    return four_momenta(columns, counts)


def one_by_one(array, counts):
    return np.split(np.asarray(array), np.cumsum(counts)[:-1])


# --- pixels -----------------------------------------------------------------------------------------------------------


def test_rows_are_phi_and_columns_are_eta():
    image = ci.pixelate([0.5, 1.5, 2.5], [0.5, 0.5, 1.5], [1.0, 2.0, 4.0], [3], [0, 1, 2, 3], [0, 1, 2])
    assert image.tolist() == [[[1, 2, 0], [0, 0, 4]]]
    assert image.dtype == np.float32


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("edges", ["uniform", "uneven", "whole numbers"])
def test_every_image_is_that_of_histogram2d(edges, dtype):
    rng = np.random.default_rng(2)
    eta_edges, phi_edges = {
        "uniform": (np.linspace(-0.8, 0.8, 41), np.linspace(-1, 1, 31)),
        "uneven": (np.sort(rng.uniform(-1, 1, 23)), np.sort(rng.uniform(-1, 1, 12))),
        "whole numbers": (np.arange(-2, 3), np.arange(-3, 2)),
    }[edges]
    counts = rng.integers(0, 60, 300)  # some jets are empty
    eta, phi = rng.uniform(-1.2, 1.2, (2, counts.sum())).astype(dtype)
    at_edge = rng.random((2, counts.sum())) < 0.3  # exactly on an edge, or the next number below or above
    step = rng.choice([-np.inf, 0, np.inf], (2, counts.sum()))
    for x, grid, place, towards in zip((eta, phi), (eta_edges, phi_edges), at_edge, step, strict=True):
        on_edge = rng.choice(grid, len(x)).astype(dtype)
        x[place] = np.where(towards == 0, on_edge, np.nextafter(on_edge, towards.astype(dtype)))[place]
    weights = rng.normal(1, 2, counts.sum()).astype(dtype)
    images = ci.pixelate(eta, phi, weights, counts, eta_edges, phi_edges)
    assert images.shape == (300, len(phi_edges) - 1, len(eta_edges) - 1)
    parts = (one_by_one(x, counts) for x in (eta, phi, weights))
    for image, e, p, w in zip(images, *parts, strict=True):
        assert np.array_equal(image, np.histogram2d(p, e, (phi_edges, eta_edges), weights=w)[0].astype(np.float32))


def test_inputs_stay_as_they_are():
    pt, eta, phi, counts = constituents(20)
    before = [x.copy() for x in (pt, eta, phi, counts)]
    ci.pixelate(eta, phi, pt, counts, EDGES, EDGES)
    for step in (centred, rotated, flipped):
        step(eta, phi, pt, counts)
    assert all(np.array_equal(a, b) for a, b in zip((pt, eta, phi, counts), before, strict=True))


def test_the_size_of_blocks_does_not_matter(monkeypatch):
    pt, eta, phi, counts = constituents(50)
    jets = make_jets(pt, eta, phi, counts)
    settings = {"channels": ("pt", "multiplicity"), "pixels": 20}
    whole = ci.pixelate(eta, phi, pt, counts, EDGES, EDGES), ci.standardised_images(jets, **settings)
    study = ci.study_images(jets)
    monkeypatch.setattr(ci, "_BUFFER", 3 * 40 * 40)  # three jets at a time, which does not divide 50
    monkeypatch.setattr(ci, "_BLOCK", 7)
    assert np.array_equal(ci.pixelate(eta, phi, pt, counts, EDGES, EDGES), whole[0])
    assert np.array_equal(ci.standardised_images(jets, **settings), whole[1])
    assert np.array_equal(ci.study_images(jets), study)


@pytest.mark.parametrize("function", [ci.standardised_images, ci.study_images])
def test_memory_is_that_of_the_images_and_a_bounded_rest(function, monkeypatch):
    monkeypatch.setattr(ci, "_BLOCK", 256)
    function(make_jets(*constituents(10)))  # what is imported or cached on first use does not count
    rest = []
    for n in (1000, 4000):
        jets = make_jets(*constituents(n))
        tracemalloc.start()
        images = function(jets)
        rest.append(tracemalloc.get_traced_memory()[1] - images.nbytes)
        tracemalloc.stop()
    assert rest[1] < 1.2 * rest[0]
    assert rest[1] < 8e6


def test_memory_of_pixels_is_that_of_the_images_and_a_buffer():
    rest = []
    for n in (1000, 4000):
        pt, eta, phi, counts = constituents(n)
        tracemalloc.start()
        images = ci.pixelate(eta, phi, pt, counts, EDGES, EDGES)
        rest.append(tracemalloc.get_traced_memory()[1] - images.nbytes)
        tracemalloc.stop()
    assert rest[1] < 16 * ci._BUFFER + 4000 * 40  # the buffer and what is computed for its jets; offsets of all jets


def test_no_jets_make_no_images():
    none = unpack(np.zeros((0, 4)), [])
    assert ci.standardised_images(none).shape == (0, 40, 40, 1)
    assert ci.study_images(none).shape == (0, 16, 22, 1)
    assert ci.pixelate([], [], [], [], EDGES, EDGES).shape == (0, 40, 40)


# --- the standard position --------------------------------------------------------------------------------------------


def turned_about_the_axis(pt, eta, phi, counts, angle):
    eta, phi = centred(eta, phi, pt, counts)
    return pt, np.cos(angle) * eta - np.sin(angle) * phi, np.sin(angle) * eta + np.cos(angle) * phi, counts


def shuffled(pt, eta, phi, counts):
    order = np.lexsort((np.random.default_rng(3).random(len(pt)), np.repeat(np.arange(len(counts)), counts)))
    return pt[order], eta[order], phi[order], counts


SAME_JETS = {
    "a full turn": lambda pt, eta, phi, counts: (pt, eta, phi + 2 * np.pi, counts),
    "a turn round the beam": lambda pt, eta, phi, counts: (pt, eta, phi + 1.234, counts),
    "to the back": lambda pt, eta, phi, counts: (pt, eta, phi + np.pi, counts),
    "along the beam": lambda pt, eta, phi, counts: (pt, eta + 0.7, phi, counts),
    "mirrored in eta": lambda pt, eta, phi, counts: (pt, -eta, phi, counts),
    "mirrored in phi": lambda pt, eta, phi, counts: (pt, eta, -phi, counts),
    "about its axis": lambda *jets: turned_about_the_axis(*jets, angle=0.6),
    "upside down": lambda *jets: turned_about_the_axis(*jets, angle=np.pi),
    "constituents in another order": shuffled,
    "twice the momentum": lambda pt, eta, phi, counts: (2 * pt, eta, phi, counts),
}


@pytest.mark.parametrize("low", [1, 2, 3, 20], ids=lambda low: f"from {low}")
@pytest.mark.parametrize("change", SAME_JETS)
def test_the_picture_of_a_jet_does_not_depend_on_how_it_lies(change, low):
    jets = constituents(200, seed=low, low=low, high=low + (20 if low == 20 else 1))
    images = ci.standardised_images(make_jets(*jets), half_width=1.0)
    changed = ci.standardised_images(make_jets(*SAME_JETS[change](*jets)), half_width=1.0)
    np.testing.assert_allclose(changed, images, atol=1e-6)


def test_single_precision_moves_next_to_nothing():
    pt, eta, phi, counts = constituents(200)
    jets = make_jets(pt, eta, phi, counts)
    images = ci.standardised_images(jets)
    rounded = ci.standardised_images(ak.values_astype(jets, np.float32))
    assert np.mean(np.abs(rounded - images).max(axis=(1, 2, 3)) > 1e-5) < 0.02  # a constituent that changes its pixel


def test_the_steps_together_are_the_picture():
    pt, eta, phi, counts = constituents(30)
    images = ci.standardised_images(make_jets(pt, eta, phi, counts))
    for step in (centred, rotated, flipped):
        eta, phi = step(eta, phi, pt, counts)
    expected = ci.pixelate(eta, phi, pt, counts, EDGES, EDGES)
    np.testing.assert_allclose(images[..., 0], expected / expected.sum(axis=(1, 2), keepdims=True), rtol=1e-5)


def test_only_what_is_outside_the_picture_is_missing():
    pt, eta, phi, counts = constituents(100)
    settings = {"half_width": 0.4, "channels": ("pt", "multiplicity")}
    images = ci.standardised_images(make_jets(pt, eta, phi, counts), **settings)
    eta, phi = rotated(*centred(eta, phi, pt, counts), pt, counts)  # a flip moves nothing in or out
    inside = (np.abs(eta) < 0.4) & (np.abs(phi) < 0.4)
    assert 0.5 < inside.mean() < 0.99  # some is outside
    assert images[..., 1].sum(axis=(1, 2)).tolist() == [part.sum() for part in one_by_one(inside, counts)]
    np.testing.assert_allclose(images[..., 0].sum(axis=(1, 2)), 1, rtol=1e-5)


def test_channels_count_what_they_say():
    pt, phi = np.array([6.0, 3.0, 1.0, 9.0]), np.array([0.05, -0.15, 0.15, -3.0])
    jets = make_jets(pt, np.zeros(4), phi, [3, 1])
    images = ci.standardised_images(jets, pixels=4, half_width=0.4, channels=("multiplicity", "pt"))
    assert images.shape == (2, 4, 4, 2)
    # The first jet's centroid is at phi = 0 and its constituents at 0.05, -0.15, 0.15, all on the axis eta = 0.
    assert images[0, :, 2, 0].tolist() == [0, 1, 2, 0]
    np.testing.assert_allclose(images[0, :, 2, 1], [0, 0.3, 0.7, 0], rtol=1e-6)
    np.testing.assert_allclose(images.sum(axis=(1, 2)), [[3, 1], [1, 1]], rtol=1e-6)


# --- the study's picture ----------------------------------------------------------------------------------------------


def study_image(pt, eta, phi):
    """One jet on the whole detector, every tower looked at in turn."""
    px, py, pz = (pt * np.cos(phi)).sum(), (pt * np.sin(phi)).sum(), (pt * np.sinh(eta)).sum()
    axis_eta, axis_phi = np.arctanh(pz / np.sqrt(px**2 + py**2 + pz**2)), np.arctan2(py, px)
    eta_edges, phi_edges = 0.12 * np.arange(-60, 61), np.radians(np.arange(-180, 181, 10))
    detector = np.histogram2d(phi, eta, (phi_edges, eta_edges), weights=pt)[0]
    columns = [i for i in range(120) if -1.2 <= eta_edges[i] + 0.06 - axis_eta < 1.2]
    distance = [np.angle(np.exp(1j * (phi_edges[i] + np.radians(5) - axis_phi))) for i in range(36)]
    rows = sorted((i for i in range(36) if -1.2 <= distance[i] < 1.2), key=lambda i: distance[i])
    image = np.zeros((16, 22))
    image[1 : 1 + len(rows), 1 : 1 + len(columns)] = detector[np.ix_(rows, columns)]
    return np.rint(255 * image / image.max())


def test_every_study_image_is_that_of_a_loop_over_the_towers():
    pt, eta, phi, counts = constituents(300)
    images = ci.study_images(make_jets(pt, eta, phi, counts))
    assert images.shape == (300, 16, 22, 1)
    assert images.dtype == np.uint8
    for image, *jet in zip(images, *(one_by_one(x, counts) for x in (pt, eta, phi)), strict=True):
        assert np.array_equal(image[..., 0], study_image(*jet))


def test_a_study_image_by_hand():
    # The axis is at eta = 0.06, phi = 5 degrees, in the middle of a tower: centres at -114 to 114 per mille of 0.12 ...
    pt, eta, phi = np.array([40.0, 20.0, 0.05]), np.array([0.06, 0.3, -0.5]), np.radians([5, 25.0, 5])
    image = ci.study_images(make_jets(pt, eta, phi, [3]))[0, :, :, 0]
    first_column = int(np.argwhere(image == 255)[0, 1])
    assert image.max() == 255
    assert np.argwhere(image).tolist() == [[7, first_column], [9, first_column + 2]]
    assert image[9, first_column + 2] == 128  # 127.5, rounded to the even neighbour; 0.05 GeV are rounded away


def test_a_turn_by_whole_towers_changes_nothing():
    pt, eta, phi, counts = constituents(200)
    images = ci.study_images(make_jets(pt, eta, phi, counts))
    for turns in (1, 17, 36):
        turned = make_jets(pt, eta, phi + turns * np.pi / 18, counts)
        assert np.array_equal(ci.study_images(turned), images)
    half = ci.study_images(make_jets(pt, eta, phi + np.pi / 36, counts))
    assert not np.array_equal(half, images)  # the grid is the detector's, not the jet's


def test_mirrored_in_eta_the_image_is_mirrored():
    pt, eta, phi, counts = constituents(200)
    images = ci.study_images(make_jets(pt, eta, phi, counts))
    assert np.array_equal(ci.study_images(make_jets(pt, -eta, phi, counts)), images[:, :, ::-1])


def test_there_is_a_margin_all_round():
    images = ci.study_images(make_jets(*constituents(300)))
    assert images[:, [0, -1]].max() == 0
    assert images[:, :, [0, -1]].max() == 0
    assert (images.max(axis=(1, 2, 3)) == 255).all()


# --- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"eta": [0.0]}, r"eta must have one value per constituent, shape \(2,\) by the counts; got \(1,\)"),
        ({"weights": np.ones((2, 1))}, r"weights must have one value per constituent, .* got \(2, 1\)"),
        ({"counts": [[2]]}, "counts must be N numbers >= 0, got shape"),
        ({"counts": [3, -1]}, "counts must be N numbers >= 0, all whole; got -1"),
        ({"phi": [0.0, np.nan], "counts": [1, 1]}, "phi of a constituent of jet 1 is NaN or infinite"),
        ({"weights": [np.inf, 1.0]}, "weights of a constituent of jet 0 is NaN or infinite"),
    ],
)
@pytest.mark.parametrize("step", [centred, rotated, flipped, ci.pixelate])
def test_packed_arrays_that_do_not_fit_are_refused(step, change, message):
    arguments = {"eta": [0.0, 0.1], "phi": [0.0, 0.1], "weights": [1.0, 1.0], "counts": [2], **change}
    if step is ci.pixelate:
        arguments |= {"eta_edges": EDGES, "phi_edges": EDGES}
    with pytest.raises(ValueError, match=message):
        step(**arguments)


@pytest.mark.parametrize("edges", [[0.0], [[0.0, 1.0]], [0.0, 0.0, 1.0], [1.0, 0.0], [0.0, np.nan]])
@pytest.mark.parametrize("name", ["eta_edges", "phi_edges"])
def test_edges_must_rise(name, edges):
    with pytest.raises(ValueError, match=f"{name} must be at least two numbers that rise"):
        ci.pixelate([0.0], [0.0], [1.0], [1], **({"eta_edges": EDGES, "phi_edges": EDGES} | {name: edges}))


@pytest.mark.parametrize("function", [ci.standardised_images, ci.study_images])
def test_bad_jets_are_named(function, monkeypatch):
    monkeypatch.setattr(ci, "_BLOCK", 2)
    good = [[30.0, 1.0, 2.0, 40.0]] * 4
    with pytest.raises(ValueError, match="jet 3 has no constituents"):
        function(unpack(good, [1, 1, 2, 0]))
    for bad in ([0.0, 0.0, 0.0, 0.0], [np.nan, 1.0, 1.0, 1.0], [0.0, 0.0, 5.0, 5.0]):
        with pytest.raises(
            ValueError, match=r"jet 2 has a constituent with zero, infinite or NaN pT: if it is padding"
        ):
            function(unpack([*good[:3], bad], [1, 1, 2]))
    with pytest.raises(TypeError, match=r"expected jagged jets, .* got ndarray"):
        function(np.zeros((3, 200, 4)))
    with pytest.raises(TypeError, match=r"expected jagged jets, .* got 3 \* float64"):
        function(ak.Array(np.zeros(3)))


def test_an_image_that_would_be_empty_is_refused(monkeypatch):
    monkeypatch.setattr(ci, "_BLOCK", 1)
    far_apart = make_jets(np.ones(3), np.array([0.0, -2.0, 2.0]), np.zeros(3), [1, 2])
    with pytest.raises(ValueError, match=r"1 jets have nothing within half_width = 0.8 .* the first is jet 1"):
        ci.standardised_images(far_apart)
    with pytest.raises(ValueError, match=r"1 jets have nothing within 1.2 of their axis, the first is jet 1"):
        ci.study_images(far_apart)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"pixels": (40, 30)}, TypeError, r"must be square; got \(40, 30\)"),
        ({"pixels": 40.0}, TypeError, r"pixels must be one int"),
        ({"pixels": 0}, ValueError, "at least 1 pixel and a half_width above 0, got 0"),
        ({"half_width": 0.0}, ValueError, "half_width above 0, got 40 and 0.0"),
        ({"half_width": np.nan}, ValueError, "half_width above 0, got 40 and nan"),
        ({"channels": ("pt", "mass")}, ValueError, r"channels must be a sequence of some of \('pt'"),
        ({"channels": "pt"}, ValueError, "channels must be a sequence .* got 'pt'"),
        ({"channels": ()}, ValueError, r"channels must be a sequence .* got \(\)"),
    ],
)
def test_settings_out_of_range_are_refused(settings, error, message):
    with pytest.raises(error, match=message):
        ci.standardised_images(unpack([[30.0, 1.0, 2.0, 40.0]], [1]), **settings)
