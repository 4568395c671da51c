"""Labelled jets: boosted tops against quarks and gluons, in the layout of the public reference data set."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import awkward as ak
import numpy as np

from coursekit.files import naming_if_full, replacing
from coursekit.jets import unpack
from coursekit.jets.reference import table_writer
from coursekit.simulate.chunks import chunk_seeds, open_spool, read_spool, spool_chunks
from coursekit.simulate.clustering import cluster
from coursekit.simulate.detector import Detector, detectable, energy_flow
from coursekit.simulate.pythia import Particles, copies_to_last, generate, generated, import_pythia, make_pythia

PROCESSES = {
    "top": ("Top:gg2ttbar = on", "Top:qqbar2ttbar = on", "24:onMode = off", "24:onIfAny = 1 2 3 4 5"),
    "qcd": ("HardQCD:all = on",),
}
SPLIT = {"train": (0, 0.6), "val": (2, 0.2), "test": (1, 0.2)}  # the column ttv, the share of the jets
BLOCK = 5000  # jets written at once (16 MB)
EARLY_MARGIN = 60  # GeV: what comes after half of the shower moves the leading jet of partons by less
MANTISSA_BITS = 13  # a relative 6e-5, far below any resolution: half the size


@dataclass(frozen=True)
class JetRecipe:
    """Which jets a sample is made of.

    Attributes
    ----------
    name : str
        Begins the names of the files.
    pt_hat : (float, float), GeV
        Range of the transverse momentum of the two hard partons. It must reach below the jets' range, because showers
        move jets up and down, and where it ends shapes the jets' spectrum.
    radius : float
        R of anti-kT.
    pt : (float, float), GeV
        Range of the leading jet.
    max_eta : float
        Of the leading jet.
    detector : Detector or None
        None takes the generated particles as they are, without the neutrinos.
    match_radius : float or None
        A top jet counts only if a top and the three quarks of its decay lie within it of the jet's axis; None takes any
        leading jet of the event.
    veto_pt : (float, float) or None, GeV
        An event whose leading jet of *partons* is outside is dropped before hadronisation, and one that is outside by
        60 GeV more already halfway through the shower, to save time.
    second_jet : bool
        Whether the second jet must lie in the same ranges.
    multiple_interactions : bool
        Whether the other partons of the two protons collide as well, which costs three times the time.
    chunk : int
        Events with one seed, and in memory at once: 50 MB of records.
    """

    name: str
    pt_hat: tuple[float, float]
    radius: float
    pt: tuple[float, float]
    max_eta: float
    detector: Detector | None = None
    match_radius: float | None = None
    veto_pt: tuple[float, float] | None = None
    second_jet: bool = False
    multiple_interactions: bool = False
    chunk: int = 500


TOPTAG = JetRecipe(
    name="toptag",
    pt_hat=(300, 800),
    radius=0.8,
    pt=(550, 650),
    max_eta=2.0,
    detector=Detector(),
    match_radius=0.8,
    veto_pt=(480, 760),
)
JET_IMAGES = JetRecipe(name="jetimages", pt_hat=(750, 950), radius=1.0, pt=(750, 950), max_eta=2.5, second_jet=True)


def leading_parton_jet_outside(radius: float, low: float, high: float, *, visible: bool = True) -> Callable:
    """Return a veto for `make_pythia`: the leading jet of partons, ``|eta|`` < 3, is not between `low` and `high` GeV.

    Before the decays all particles must count: to Pythia neither a Z nor a Higgs boson is `visible`.
    """
    partons = 2 if visible else 1
    # anti-kT (-1) of these partons, each with a pion's mass (1); the last argument keeps a banner away
    finder = import_pythia().SlowJet(-1, radius, 100.0, 3.0, partons, 1, None, False)

    def veto(event) -> bool:
        finder.analyze(event)
        return finder.sizeJet() == 0 or not low < finder.pT(0) < high

    return veto


def top_decays(particles: Particles) -> tuple[np.ndarray, np.ndarray]:
    """Find the top quarks of each event and the three quarks that each decays to.

    Parameters
    ----------
    particles : Particles
        N events, each with a top and an antitop whose W bosons decay to quarks.

    Returns
    -------
    tops : (N, 2) int64
        Rows of the last copies: after all radiation, just before the decay.
    quarks : (N, 2, 3) int64
        Rows of the quarks as the decays make them.
    """
    first_daughter = particles.pdgid[particles.daughter1]
    decays = (np.abs(particles.pdgid) == 6) & (np.abs(first_daughter) != 6)
    tops = np.flatnonzero(decays).reshape(len(particles), 2)
    first, second = particles.daughter1[tops], particles.daughter2[tops]
    w_first = np.abs(particles.pdgid[first]) == 24
    w = copies_to_last(particles, np.where(w_first, first, second).ravel()).reshape(tops.shape)
    bottom = np.where(w_first, second, first)
    return tops, np.stack([bottom, particles.daughter1[w], particles.daughter2[w]], axis=-1)


def distance(eta_a, phi_a, eta_b, phi_b) -> np.ndarray:
    """Return the distance in (eta, phi), the azimuth wrapped to (-pi, pi]."""
    return np.hypot(eta_a - eta_b, np.arctan2(np.sin(phi_a - phi_b), np.cos(phi_a - phi_b)))


def matched_top(particles: Particles, jet_eta, jet_phi, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Find the top that a jet contains, with its three quarks.

    Parameters
    ----------
    particles : Particles
        N events.
    jet_eta, jet_phi : (N,) float
        The axis of each event's jet.
    radius : float
        Top and quarks must lie within it.

    Returns
    -------
    matched : (N,) bool
    top : (N,) int64
        Row of the contained top, or of the nearest one where there is none.
    """
    tops, quarks = top_decays(particles)
    rows = np.concatenate([tops[..., np.newaxis], quarks], axis=-1)  # (N, 2, 4)
    axis = (np.asarray(angle)[:, np.newaxis, np.newaxis] for angle in (jet_eta, jet_phi))
    distances = distance(particles.eta[rows], particles.phi[rows], *axis)
    contained = (distances < radius).all(axis=-1)
    # Both inside one jet hardly happens; then the nearest one counts.
    best = np.argmin(np.where(contained, distances[..., 0], 100 + distances[..., 0]), axis=1)
    return contained.any(axis=1), tops[np.arange(len(tops)), best]


def leading_in_range(
    particles: Particles, recipe: JetRecipe, rng: np.random.Generator
) -> tuple[np.ndarray, ak.Array, ak.Array]:
    """Detect, cluster and select: the leading jet of each event that has it in the ranges of the recipe.

    Returns
    -------
    event : (J,) int64
        The events of the J jets, ascending.
    jets : (J,) awkward array of Momentum4D, GeV
    constituents : (J, var) awkward array
        Their px, py, pz, E as float32, GeV.
    """
    if recipe.detector is None:
        objects = detectable(particles, Detector(max_r_mm=np.inf, max_z_mm=np.inf)).momenta
    else:
        objects = unpack(*energy_flow(particles, rng, recipe.detector))
    jets, constituents = cluster(objects, recipe.radius, recipe.pt[0])
    jets_in_range = (jets.pt < recipe.pt[1]) & (np.abs(jets.eta) < recipe.max_eta)
    needed = 2 if recipe.second_jet else 1
    # The jets come by falling pT: the leading ones are in range if the first so many are.
    event = np.flatnonzero(ak.to_numpy(ak.sum(jets_in_range[:, :needed], axis=1) == needed))
    kept = objects[event][constituents[event, 0]]
    components = {name: ak.values_astype(kept[name], np.float32) for name in ("px", "py", "pz", "E")}
    return event, jets[event, 0], ak.zip(components)


def leading_jets(particles: Particles, label: int, recipe: JetRecipe, rng: np.random.Generator) -> ak.Array:
    """Detect, cluster, select and match: the jets that a batch of events yields, at most one per event.

    Parameters
    ----------
    particles : Particles
    label : int
        1 for top pairs, 0 for the rest.
    recipe : JetRecipe
    rng : numpy.random.Generator

    Returns
    -------
    (N,) awkward array with the fields
        `constituents` (jagged: px, py, pz, E) and `truth` (px, py, pz, E of the top, zeros for the rest), float32, GeV.
    """
    event, leading, constituents = leading_in_range(particles, recipe, rng)
    top = np.zeros(len(event), dtype=np.int64)
    if label == 1:
        eta, phi = np.full(len(particles), np.inf), np.zeros(len(particles))
        eta[event], phi[event] = ak.to_numpy(leading.eta), ak.to_numpy(leading.phi)
        matched, tops = matched_top(particles, eta, phi, recipe.match_radius or np.inf)
        if recipe.match_radius is not None:
            event, constituents = event[matched[event]], constituents[matched[event]]
        top = tops[event]
    momentum = {"px": particles.px, "py": particles.py, "pz": particles.pz, "E": particles.energy}
    truth = {name: (label * values[top]).astype(np.float32) for name, values in momentum.items()}
    # Plain numbers from here on: the behaviour of four-vectors cannot be sent to another process.
    return ak.Array(ak.zip({"constituents": constituents, "truth": ak.zip(truth)}, depth_limit=1).layout)


def generator_of(recipe: JetRecipe, process: str, settings, seed: int, chunk: int):
    """Return Pythia, started with the settings of a process and the vetoes of the recipe, and numpy's generator."""
    pythia_seed, rng = chunk_seeds(seed, f"{recipe.name} {process}", chunk)
    vetoes = {}
    if recipe.veto_pt:
        low, high = recipe.veto_pt
        vetoes["veto"] = leading_parton_jet_outside(recipe.radius, low, high)
        low, high = low - EARLY_MARGIN, high + EARLY_MARGIN
        vetoes["early_veto"] = leading_parton_jet_outside(recipe.radius, low, high, visible=False)
    common = (
        "Beams:eCM = 14000.",
        f"PartonLevel:MPI = {'on' if recipe.multiple_interactions else 'off'}",
        f"PhaseSpace:pTHatMin = {recipe.pt_hat[0]}",
        f"PhaseSpace:pTHatMax = {recipe.pt_hat[1]}",
    )
    return make_pythia([*common, *settings], pythia_seed, **vetoes), rng


def simulate_jet_chunk(recipe: JetRecipe, process: str, seed: int, chunk: int) -> tuple[ak.Array, int]:
    """Simulate one chunk of jets.

    Parameters
    ----------
    recipe : JetRecipe
    process : str
        A key of `PROCESSES`.
    seed, chunk : int

    Returns
    -------
    jets : awkward array
        From `leading_jets`.
    n_generated : int
        Collisions it took, those thrown away by the veto included.
    """
    pythia, rng = generator_of(recipe, process, PROCESSES[process], seed, chunk)
    label = int(process == "top")
    return leading_jets(generate(pythia, recipe.chunk), label, recipe, rng), generated(pythia)


def simulate_jets(
    recipe: JetRecipe,
    folder,
    jets: int,
    seed: int = 1,
    jobs: int | str = 1,
    *,
    progress: Callable[[str, int, int], None] | None = None,
) -> list[Path]:
    """Simulate jets, one half of them tops, and write them shuffled to files for training, validation and test.

    Parameters
    ----------
    recipe : JetRecipe
    folder : path
        Made if it does not exist. The files appear in it when all of them are complete, and not before.
    jets : int
        In the three files together: 60% for training, 20% each for validation and test.
    seed : int
        The same seed gives the same jets, whatever the number of jobs.
    jobs : int or str
        Processes to share the work, or the Ray cluster to do it: ``auto``, ``local``, or an address.
    progress : callable, optional
        Called as ``progress(process, done, total)`` when a chunk is done; the process is "top" or "qcd".

    Returns
    -------
    list of Path
        The files for training, validation and test, in the layout that `coursekit.jets.load_jets` and
        ``pandas.read_hdf(path, key="table")`` read. Momenta are rounded to 13 binary digits, a relative 6e-5.

    Raises
    ------
    ImportError
        If pythia8mc or fastjet is missing.
    ValueError
        If a number is out of range.
    OSError
        If the folder cannot be written or the disk is full; what was there before stays.
    ChildProcessError
        If one of several processes is killed.

    Examples
    --------
    Jets of the image study, but wider:

    >>> recipe = replace(JET_IMAGES, radius=1.2)
    >>> simulate_jets(recipe, "data", jets=10_000, jobs=2)  # doctest: +SKIP
    [PosixPath('data/jetimages_train.h5'), PosixPath('data/jetimages_val.h5'), PosixPath('data/jetimages_test.h5')]
    """
    if jets < 10:
        raise ValueError(f"three files and two kinds of jets take at least 10 jets, got {jets}")
    folder = Path(folder)
    labels = chunk_seeds(seed, f"{recipe.name} order", 0)[1].permutation(np.arange(jets) % 2)
    ends = np.round(np.cumsum([share for _, share in SPLIT.values()]) * jets).astype(int)
    blocks = [
        (name, ttv, block)
        for (name, (ttv, _)), part in zip(SPLIT.items(), np.split(labels, ends[:-1]), strict=True)
        for block in np.split(part, range(BLOCK, len(part), BLOCK))
    ]
    paths = {name: folder / f"{recipe.name}_{name}.h5" for name in SPLIT}
    with naming_if_full(folder / f"{recipe.name}_*.h5"), ExitStack() as stack:
        # How many jets a chunk yields is known only afterwards, so they wait in a nameless file for the other kind.
        spools = {process: stack.enter_context(open_spool(folder)) for process in ("qcd", "top")}
        # All three take their names when all are complete: new jets beside old ones could be in two of the files. That
        # they can be written is found out here.
        partials = {name: stack.enter_context(replacing(path)) for name, path in paths.items()}
        ready = []
        for label, (process, spool) in enumerate(spools.items()):
            report = partial(progress, process) if progress else lambda done, total: None
            work = partial(simulate_jet_chunk, recipe, process, seed)
            spool_chunks(spool, work, np.count_nonzero(labels == label), jobs, report)
            ready.append(read_spool(spool, [np.count_nonzero(block == label) for *_, block in blocks]))
        writers = stack.enter_context(ExitStack())
        append = {
            name: writers.enter_context(table_writer(partials[name], path, MANTISSA_BITS))
            for name, path in paths.items()
        }
        for name, ttv, block in blocks:
            both = ak.concatenate([next(reader) for reader in ready])
            mixed = both[np.argsort(np.argsort(block, kind="stable"))]
            append[name](mixed.constituents, block, mixed.truth, ttv)
    return list(paths.values())


def simulate_toptag(folder, jets: int = 20_000, seed: int = 1, jobs: int | str = 1, *, progress=None) -> list[Path]:
    """Simulate the top tagging sample: jets as in the public reference data set, after a detector.

    anti-kT jets of R = 0.8 with 550 < pT < 650 GeV and ``|eta|`` < 2 from proton collisions at 14 TeV, made of
    energy-flow objects; a top jet contains its top and the three quarks. See `simulate_jets` for the parameters.

    References
    ----------
    G. Kasieczka, T. Plehn, J. Thompson, M. Russell, Top Quark Tagging Reference Dataset, Zenodo record 2603256;
    A. Butter et al., arXiv:1902.09914, section 2.

    Examples
    --------
    >>> simulate_toptag("data", jets=20_000, seed=1, jobs=2)  # doctest: +SKIP
    [PosixPath('data/toptag_train.h5'), PosixPath('data/toptag_val.h5'), PosixPath('data/toptag_test.h5')]
    """
    return simulate_jets(TOPTAG, folder, jets, seed, jobs, progress=progress)


def simulate_jet_images(
    folder,
    jets: int = 20_000,
    seed: int = 1,
    jobs: int | str = 1,
    *,
    second_jet: bool = True,
    multiple_interactions: bool = False,
    progress=None,
) -> list[Path]:
    """Simulate harder, wider jets without a detector, as a study of jet images took them.

    The leading anti-kT jets of R = 1.0 with 750 < pT < 950 GeV and ``|eta|`` < 2.5, made of generated particles, of top
    pairs and of quarks and gluons.

    Parameters
    ----------
    folder, jets, seed, jobs, progress
        As in `simulate_jets`.
    second_jet, multiple_interactions : bool
        As in `JetRecipe`. The study asks for the second jet.

    Returns
    -------
    list of Path
        As from `simulate_jets`.

    References
    ----------
    S. Macaluso, D. Shih, Pulling out all the tops with computer vision and deep learning, arXiv:1803.00107.
    """
    recipe = replace(JET_IMAGES, second_jet=second_jet, multiple_interactions=multiple_interactions)
    return simulate_jets(recipe, folder, jets, seed, jobs, progress=progress)
