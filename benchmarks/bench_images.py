"""Making jet images beside one np.histogram2d per jet, and how fast the convolutional networks train.

Run with ``pytest -n 0 benchmarks/bench_images.py``: the numbers in brackets are ratios to the fastest of the group.
Jets have 50 constituents on average and up to 150, as leading jets at 600 GeV do.
"""

import os

import numpy as np
import pytest

from coursekit.images import pixelate, standardised_images, study_images
from coursekit.jets import centred, unpack

EDGES = np.linspace(-0.8, 0.8, 41)


def constituents(n_jets):
    rng = np.random.default_rng(1)
    counts = np.clip(rng.normal(50, 18, n_jets).astype(int), 3, 150)
    pt = rng.exponential(12, counts.sum())
    return *rng.normal(0, 0.3, (2, counts.sum())), pt, counts


def pixels_in_a_loop(eta, phi, pt, counts, eta_edges, phi_edges):
    """What tutorials do: one histogram after the other."""
    images = np.empty((len(counts), len(phi_edges) - 1, len(eta_edges) - 1), np.float32)
    ends = np.concatenate([[0], np.cumsum(counts)])
    for image, first, last in zip(images, ends[:-1], ends[1:], strict=True):
        jet = slice(first, last)
        image[:] = np.histogram2d(phi[jet], eta[jet], (phi_edges, eta_edges), weights=pt[jet])[0]
    return images


@pytest.mark.parametrize("pixels", [pixelate, pixels_in_a_loop])
def test_pixels(benchmark, pixels):
    benchmark.group = "5000 images of 40 x 40 pixels, of packed constituents"
    arrays = constituents(5000)
    images = benchmark(pixels, *arrays, EDGES, EDGES)
    assert np.array_equal(images, pixelate(*arrays, EDGES, EDGES))


def standardised_in_a_loop(jets):
    """The same pictures, every step done for one jet after the other."""
    images = np.empty((len(jets), 40, 40, 1), np.float32)
    for image, jet in zip(images, jets, strict=True):
        px, py, pz = (jet[name].to_numpy() for name in ("px", "py", "pz"))
        pt = np.hypot(px, py)
        eta, phi = np.arcsinh(pz / pt), np.arctan2(py, px)
        eta = eta - np.average(eta, weights=pt)
        phi = (phi - np.arctan2((pt * np.sin(phi)).sum(), (pt * np.cos(phi)).sum()) + np.pi) % (2 * np.pi) - np.pi
        phi = phi - np.average(phi, weights=pt)
        alpha = np.arctan2(2 * (pt * eta * phi).sum(), (pt * (eta**2 - phi**2)).sum()) / 2
        cos, sin = np.cos(np.pi / 2 - alpha), np.sin(np.pi / 2 - alpha)
        eta, phi = eta * cos - phi * sin, eta * sin + phi * cos
        sums = {(s, t): pt[(s * eta > 0) & (t * phi > 0)].sum() for s in (1, -1) for t in (1, -1)}
        s, t = max(sums, key=sums.get)
        pixels = np.histogram2d(t * phi, s * eta, (EDGES, EDGES), weights=pt)[0]
        image[:, :, 0] = pixels / pixels.sum()
    return images


@pytest.mark.parametrize("images", [standardised_images, standardised_in_a_loop, study_images])
def test_whole_pictures(benchmark, images):
    benchmark.group = "pictures of 2000 jagged jets"
    eta, phi, pt, counts = constituents(2000)
    jets = unpack(np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), pt * np.cosh(eta)], axis=1), counts)
    result = benchmark(images, jets)
    if images is standardised_in_a_loop:
        np.testing.assert_allclose(result, standardised_images(jets), atol=1e-6)


def test_centring_alone(benchmark):
    benchmark.group = "centre 5000 jets"
    benchmark(centred, *constituents(5000))


@pytest.mark.parametrize("batch_size", [64, 256, 1024])
@pytest.mark.parametrize(
    ("shape", "filters", "dense"),
    [((16, 22, 1), 32, 300), ((16, 22, 1), 8, 100), ((40, 40, 1), 8, 100)],
    ids=["large", "small", "small, 40 x 40"],
)
def test_training(benchmark, shape, filters, dense, batch_size):
    """One epoch of 2048 images, the graph being built already."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    keras = pytest.importorskip("keras")
    from coursekit.nets.keras_nets import build_cnn

    benchmark.group = f"CNN of {filters} and {2 * filters} filters on {shape[0]} x {shape[1]}, 2048 images"
    rng = np.random.default_rng(1)
    images, labels = rng.random((2048, *shape), np.float32) ** 8, rng.integers(0, 2, 2048).astype(np.float32)
    model = build_cnn(shape, filters, dense)
    model.compile(optimizer=keras.optimizers.Adam(), loss="binary_crossentropy")
    fit = {"batch_size": batch_size, "verbose": 0}
    benchmark.pedantic(model.fit, (images, labels), fit, rounds=2, warmup_rounds=1)
    benchmark.extra_info["images_per_s"] = round(len(labels) / benchmark.stats["min"])
