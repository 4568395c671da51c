"""Observables, beside a loop over jets and beside FastJet's own energy correlators.

Run with ``pytest -n 0 benchmarks/bench_observables.py``: the numbers in brackets are ratios to the group's fastest.
Jets have 50 constituents on average and up to 150, as leading jets at 600 GeV do.
"""

import itertools
import math

import numpy as np
import pytest

from coursekit import observables as obs
from coursekit.jets import unpack


def make_jets(n):
    rng = np.random.default_rng(1)
    counts = np.clip(rng.normal(50, 18, n).astype(int), 3, 150)
    momentum = rng.exponential(12, (counts.sum(), 1)) * rng.normal((1, 0, 0), 0.3, (counts.sum(), 3))
    return unpack(np.c_[momentum, np.linalg.norm(momentum, axis=1)], counts)


def masses_in_a_loop(jets):
    masses = []
    for jet in jets:
        px, py, pz, e = (jet[name].to_numpy().sum() for name in ("px", "py", "pz", "E"))
        masses.append(math.sqrt(max(e**2 - px**2 - py**2 - pz**2, 0)))
    return np.array(masses)


@pytest.mark.parametrize("masses", [obs.jet_mass, masses_in_a_loop])
def test_mass(benchmark, masses):
    benchmark.group = "mass of 2000 jets"
    benchmark(masses, make_jets(2000))


def c3_in_a_loop(jets):
    """Sums over all pairs, triplets and quadruplets, as a first program writes them."""
    c3 = []
    for jet in jets:
        pt, y, phi = (getattr(jet, name).to_list() for name in ("pt", "rapidity", "phi"))
        particles = list(zip(y, phi, strict=True))
        r = [[math.hypot(a - b, math.remainder(c - d, 2 * math.pi)) for b, d in particles] for a, c in particles]
        two = three = four = 0.0
        for i, j in itertools.combinations(range(len(pt)), 2):
            two += pt[i] * pt[j] * r[i][j]
        for i, j, k in itertools.combinations(range(len(pt)), 3):
            three += pt[i] * pt[j] * pt[k] * r[i][j] * r[i][k] * r[j][k]
        for i, j, k, l in itertools.combinations(range(len(pt)), 4):  # noqa: E741
            four += pt[i] * pt[j] * pt[k] * pt[l] * r[i][j] * r[i][k] * r[i][l] * r[j][k] * r[j][l] * r[k][l]
        c3.append(four * two / three**2 if three else math.nan)
    return np.array(c3)


@pytest.mark.parametrize("c3", [obs.c3, c3_in_a_loop])
def test_c3_beside_a_loop(benchmark, c3):
    benchmark.group = "C3 of 10 jets"
    jets = make_jets(10)
    result = benchmark.pedantic(c3, (jets,), rounds=2, warmup_rounds=0)
    assert result == pytest.approx(obs.c3(jets), rel=1e-9)


def ecf4_of_fastjet(jets):
    fastjet = pytest.importorskip("fastjet")
    fastjet._swig.ClusterSequence.set_fastjet_banner_stream(None)
    cluster = fastjet.ClusterSequence(jets, fastjet.JetDefinition(fastjet.cambridge_algorithm, 100.0))
    four = cluster.exclusive_jets_energy_correlator(njets=1, beta=1, npoint=4, normalized=True)
    return np.ravel(four) * obs.ecf(jets, 1) ** 4


def ecf4(jets):
    return obs.ecf(jets, 4)


@pytest.mark.parametrize("four_points", [ecf4, ecf4_of_fastjet])
def test_four_points_beside_fastjet(benchmark, four_points):
    benchmark.group = "four-point function of 1000 jets"
    jets = make_jets(1000)
    result = benchmark.pedantic(four_points, (jets,), rounds=3, warmup_rounds=1)
    assert result == pytest.approx(ecf4(jets), rel=1e-9)


@pytest.mark.parametrize("function", [obs.c3, obs.tau32, obs.measure_jets])
def test_100k_jets(benchmark, function):
    benchmark.group = "100 000 jets"
    benchmark.pedantic(function, (make_jets(100_000),), rounds=1)
