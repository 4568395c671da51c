"""A scan over the mass of a heavier H -> WW -> 2l2nu, the WW pairs behind it, and events as data would have them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import awkward as ak
import numpy as np

from coursekit.events import INPUT_BRANCHES, WEIGHT_BRANCHES
from coursekit.files import naming_if_full, replacing
from coursekit.simulate.chunks import chunk_seeds, open_spool, read_spool, run_chunks, spool_chunks
from coursekit.simulate.dilepton import branches, detect, rounded
from coursekit.simulate.hww import BASKET, COMMON, Sample, require_samples, write_tree
from coursekit.simulate.pythia import generate, generated, make_pythia

MASSES = (140, 170, 200, 250, 300, 400)  # GeV
WIDTH = 0.1  # GeV; with 1 GeV, a boson of 140 GeV would often be one above 161, where both W are real
BENCHMARK_PB = 0.3  # cross section times the branching fraction into 2l2nu, of every mass
BACKGROUND = "WWTo2L2Nu"
BACKGROUND_FACTOR = 4  # events of the background, per event of one mass
PSEUDODATA = "pseudodata"
DATA_MASS = 250  # GeV
KEPT = (*INPUT_BRANCHES, "mll", "pt1", "pt2", "nJet")
FLAGS = WEIGHT_BRANCHES[3:]
LARGEST_FACTOR = 1.25  # the other two factors multiply to less: 1.27 from pile-up, 0.94 from the trigger, ...
LEPTONIC = ("24:onMode = off", "24:onIfAny = 11 13 15")


def resonance(number: int, mass: float) -> Sample:
    """Return the sample of gg -> H -> WW -> 2l2nu with a narrow H of this mass in GeV."""
    settings = ("HiggsSM:gg2H = on", f"25:m0 = {mass}", "25:doForceWidth = on", f"25:mWidth = {WIDTH}")
    settings += ("25:onMode = off", "25:onIfMatch = 24 -24", *LEPTONIC)
    return Sample(number=number, settings=settings, cross_section_pb=BENCHMARK_PB, k_factor=1.0, chunk=2000)


SAMPLES = {f"ScalarToWW_M{mass}": resonance(11 + i, mass) for i, mass in enumerate(MASSES)}
SAMPLES[BACKGROUND] = Sample(
    number=10,
    settings=("WeakDoubleBoson:ffbar2WW = on", *LEPTONIC),
    cross_section_pb=6.70,
    k_factor=1.75,
    chunk=2000,
)
DATA = Sample(number=20, settings=(), cross_section_pb=0.001, k_factor=1.0, chunk=0)  # 1 fb: a weight of one


def negative_fraction(n_jets: np.ndarray) -> np.ndarray:
    """Return the chance that an event with so many jets has a negative weight, f = min(0.05 + 0.08 nJet, 0.30).

    A generator at higher order subtracts where radiation is counted twice, so the more, the more jets there are. An
    event gets ``-1 / (1 - 2 f)`` with probability f, else the positive of it. The mean is one for any number of jets:
    ``((1 - f) - f) / (1 - 2 f) = 1``, so that no distribution changes. With absolute values the mean is
    ``1 / (1 - 2 f)``, 1.1 to 2.5; with the positive ones alone ``(1 - f) / (1 - 2 f)``, 1.06 to 1.75.

    Parameters
    ----------
    n_jets : (N,) int

    Returns
    -------
    (N,) float64

    References
    ----------
    S. Frixione and B. R. Webber, Matching NLO QCD computations and parton shower simulations, hep-ph/0204244.

    Examples
    --------
    >>> negative_fraction(np.array([0, 1, 2, 3, 4, 9])).round(2).tolist()
    [0.05, 0.13, 0.21, 0.29, 0.3, 0.3]
    """
    return np.minimum(0.05 + 0.08 * np.asarray(n_jets), 0.30)


def signed(n_jets: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw the generator's weight of each event, (N,) float64, see `negative_fraction`."""
    fraction = negative_fraction(n_jets)
    return np.where(rng.random(len(fraction)) < fraction, -1.0, 1.0) / (1 - 2 * fraction)


def simulate_chunk(name: str, seed: int, chunk: int, events: int | None = None) -> tuple[ak.Array, int]:
    """Simulate one chunk of a sample.

    Parameters
    ----------
    name : str
        A key of `SAMPLES`.
    seed, chunk : int
    events : int, optional
        To generate; by default the size of a chunk.

    Returns
    -------
    selected : awkward array
        The branches `KEPT`, the product `SFweight` of all factors of the weight but the cross section, and the
        generator's weight `sign`. Events for which a factor is 0 are left out.
    n_generated : int
        Collisions it took.
    """
    sample = SAMPLES[name]
    pythia_seed, rng = chunk_seeds(seed, name, chunk)
    pythia = make_pythia([*COMMON, *sample.settings], pythia_seed)
    found = branches(detect(generate(pythia, events or sample.chunk), rng), rng)
    found["nJet"] = ak.values_astype(ak.num(found.Jet), np.int32)
    found["sign"] = signed(ak.to_numpy(found.nJet), rng) if name == BACKGROUND else np.ones(len(found))
    passed = np.all([ak.to_numpy(found[flag]) > 0 for flag in FLAGS], axis=0)
    found["SFweight"] = rounded(np.prod([ak.to_numpy(found[factor]) for factor in WEIGHT_BRANCHES[1:3]], axis=0))
    return found[[*KEPT, "SFweight", "sign"]][passed], generated(pythia)


def simulate_masses(
    folder,
    events: int = 5000,
    seed: int = 1,
    jobs: int | str = 1,
    *,
    luminosity: float = 2.0,
    samples=(*SAMPLES, PSEUDODATA),
    progress: Callable[[str, int, int], None] | None = None,
) -> list[Path]:
    """Simulate H -> WW -> 2l2nu for several masses of a narrow H, qq -> WW, and data; a ROOT file each, tree `Events`.

    The detector and the selection are those of `simulate_hww`; the files have fewer branches, and no events of weight
    zero. ``XSWeight SFweight`` is the number of events in 1/fb, and ``XSWeight = 1000 sigma[pb] w / N`` for N generated
    events. Signals have w = 1 and 0.3 pb whatever their mass: a benchmark, no prediction of a theory. The background
    has 6.70 pb from Pythia times 1.75 for higher orders, and w of both signs (`negative_fraction`).

    Parameters
    ----------
    folder : path
        Made if it does not exist. Each file appears in it when it is complete, and not before.
    events : int
        Selected events of each mass; of the background four times as many.
    seed : int
        The same seed gives the same events, whatever the number of jobs.
    jobs : int or str
        Processes to share the work, or the Ray cluster to do it: ``auto``, ``local``, or an address.
    luminosity : float
        Of ``pseudodata.root`` in 1/fb: background and the signal of 250 GeV, of other collisions than the other files,
        in random order, each event once (both weights are 1). Their numbers fluctuate as those of data do.
    samples : iterable of str
        Which of `SAMPLES` to make, and `PSEUDODATA`.
    progress : callable, optional
        Called as ``progress(sample, done, total)`` when a chunk is done.

    Returns
    -------
    list of Path
        The files written, in the order of `samples`.

    Raises
    ------
    ImportError
        If pythia8mc or fastjet is missing.
    ValueError
        If a number is out of range or a sample unknown.
    OSError
        If the folder cannot be written or the disk is full; what was there before stays.
    ChildProcessError
        If one of several processes is killed.

    Examples
    --------
    >>> from coursekit.simulate import simulate_masses
    >>> simulate_masses("data", events=5000, seed=1, jobs=2)  # doctest: +SKIP
    [PosixPath('data/ScalarToWW_M140.root'), ..., PosixPath('data/pseudodata.root')]
    """
    require_samples(samples, (*SAMPLES, PSEUDODATA), events)
    if not 0 < luminosity < np.inf:
        raise ValueError(f"the luminosity is a number above 0 in 1/fb, got {luminosity}")
    folder = Path(folder)
    paths = [folder / f"{name}.root" for name in samples]
    for name, path in zip(samples, paths, strict=True):
        report = partial(progress, name) if progress else lambda done, total: None
        with naming_if_full(path), open_spool(folder) as spool, replacing(path) as partial_file:
            if name == PSEUDODATA:
                found = draw_data(luminosity, seed, jobs, report)
                write_tree(partial_file, DATA, [(np.ones(len(found)), found)])
                continue
            size = events * (BACKGROUND_FACTOR if name == BACKGROUND else 1)
            n_generated = spool_chunks(spool, partial(simulate_chunk, name, seed), size, jobs, report)
            sizes = [min(BASKET, size - start) for start in range(0, size, BASKET)]
            pieces = read_spool(spool, sizes)
            baskets = ((ak.to_numpy(found.sign) / n_generated, without_sign(found)) for found in pieces)
            write_tree(partial_file, SAMPLES[name], baskets)
    return paths


def without_sign(found: ak.Array) -> ak.Array:
    """Leave out what only `XSWeight` shall carry."""
    return found[[name for name in found.fields if name != "sign"]]


def data_chunk(seed: int, task: tuple[str, int, int]) -> ak.Array:
    """Return the events of one chunk that data would have: each is kept with a chance proportional to its weight."""
    name, chunk, events = task
    found, _ = simulate_chunk(name, seed, chunk, events)
    _, rng = chunk_seeds(seed, f"{name} kept", chunk)
    found = without_sign(found[rng.random(len(found)) < ak.to_numpy(found.SFweight) / LARGEST_FACTOR])
    found["SFweight"] = np.ones(len(found), dtype=np.float32)
    return found


def draw_data(luminosity: float, seed: int, jobs: int | str, report: Callable[[int, int], None]) -> ak.Array:
    """Return what a luminosity in 1/fb brings: the background and one signal, shuffled.

    The numbers of collisions are drawn from Poisson distributions, for a luminosity that is `LARGEST_FACTOR` times too
    large; the efficiencies of the weights then take away what is too much, so that what stays is Poisson as well.
    """
    _, rng = chunk_seeds(seed, PSEUDODATA, 0)
    tasks = []
    for name in (BACKGROUND, f"ScalarToWW_M{DATA_MASS}"):
        sample = SAMPLES[name]
        number = rng.poisson(sample.cross_section_fb * luminosity * LARGEST_FACTOR)
        tasks += [
            (name, i, min(sample.chunk, number - start)) for i, start in enumerate(range(0, number, sample.chunk))
        ]
    # The seed of the other files, and one for these: no collision is in both.
    own_seed = int(rng.integers(2**32))
    parts = []
    for part in run_chunks(partial(data_chunk, own_seed), tasks, jobs):
        parts.append(part)
        report(len(parts), len(tasks))
    found = ak.concatenate(parts) if parts else []
    if len(found) == 0:
        raise ValueError(f"not one event came of a luminosity of {luminosity}/fb: give a larger one")
    return found[rng.permutation(len(found))]
