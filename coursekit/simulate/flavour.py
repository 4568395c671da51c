"""Jets of b quarks, c quarks and the rest from top pairs at 13 TeV, with their tracks: what flavour tagging reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from itertools import count
from pathlib import Path

import awkward as ak
import numpy as np
import uproot

from coursekit.files import naming_if_full, replacing
from coursekit.jets.arrays import delta_phi
from coursekit.simulate.chunks import chunk_seeds, open_spool, read_spool, run_chunks, spool_chunks
from coursekit.simulate.clustering import cluster
from coursekit.simulate.dilepton import flat_pt, jet_resolution, rounded, smeared
from coursekit.simulate.flightaxis import axis_vertices
from coursekit.simulate.impact import TEMPLATES, count_tracks, likelihood_ratios, save_templates
from coursekit.simulate.pythia import Particles, generate, make_pythia
from coursekit.simulate.tracks import Tracks, measure_tracks, table_of, tracks_of_jets
from coursekit.simulate.vertices import DISPLACED, energy, find_pairs, secondary_vertex, unit_vector

TREE = "jets"
BASKET = 5000
BITS = 11  # significant binary digits, a relative 2.4e-4
TRACK_BITS = 9  # a relative 1e-3, within the resolution up to a thousand times that
CHUNK = 800  # events: one or two seconds' work, 80 MB
JET_RADIUS, MIN_JET_PT, MAX_JET_ETA = 0.4, 20.0, 2.5
MIN_HADRON_PT, LABEL_CONE = 5.0, 0.3
LEAST_RATIO = -18.0  # one jet in 3000 has less: above the default, so that the two cannot be mixed up

SETTINGS = (
    "Beams:eCM = 13000.",
    "PartonLevel:MPI = off",
    "Top:gg2ttbar = on",
    "Top:qqbar2ttbar = on",
    "24:onMode = off",
    "24:onIfAny = 1 2 3 4 5",
)

DEFAULTS = {
    **dict.fromkeys(("ip2d_bl", "ip2d_bc", "ip2d_cl", "ip3d_bl", "ip3d_bc", "ip3d_cl"), -19.0),
    **dict.fromkeys(("sv_mass", "sv_energy_fraction", "sv_n_tracks", "sv_n_two_track"), -1.0),
    "sv_dr": -9.0,
    **dict.fromkeys(("sv_distance_mm", "sv_significance"), -90.0),
    **dict.fromkeys(("jf_mass", "jf_energy_fraction"), -9.0),
    **dict.fromkeys(("jf_n_vertices", "jf_n_single", "jf_n_tracks"), -1.0),
    "jf_dr": -9.0,
    "jf_significance": -90.0,
}
"""What each branch holds where its algorithm found nothing; no jet reaches such a value otherwise."""

GROUPS = {
    group: tuple(name for name in DEFAULTS if name.startswith(f"{group}_")) for group in ("ip2d", "ip3d", "sv", "jf")
}
"""The branches of each algorithm, which hold their defaults all together or not at all."""


def axis_resolution(pt: np.ndarray) -> np.ndarray:
    """Resolution of eta and of phi: 1 / pT (+) 0.01, pT in GeV, because a calorimeter has cells."""
    return np.hypot(1.0 / pt, 0.01)


def weakly_decaying(particles: Particles, quark: int) -> np.ndarray:
    """Find the hadrons with a quark of this flavour (4 or 5) whose daughters have none: the last of their chains.

    Returns
    -------
    (T,) bool
    """
    code = np.abs(particles.pdgid)
    digits = [code // 10**place % 10 for place in (1, 2, 3)]
    hadron = (code > 100) & (code < 10**6) & (digits[0] > 0)  # a diquark has no quark in the last place but one
    hidden = (digits[2] == 0) & (digits[0] == quark) & (digits[1] == quark)  # quark and antiquark annihilate
    heavy = hadron & ~hidden & np.any([digit == quark for digit in digits], axis=0)
    last = heavy.copy()
    last[particles.mother[heavy]] = False
    return last


def label_jets(particles: Particles, jet_eta, jet_phi, jet_counts) -> np.ndarray:
    """Return the flavour of each jet, (N,) int32: 5 if a weakly decaying b hadron is in it, else 4 if a c hadron is.

    In it: above 5 GeV, and within 0.3 of the axis in (eta, phi). All others are 0, light.

    Parameters
    ----------
    particles : Particles
        E events.
    jet_eta, jet_phi : (N,) float
        The jets of all events in a row.
    jet_counts : (E,) int
        Jets of each event.
    """
    flavour = np.zeros(len(jet_eta), dtype=np.int32)
    first = np.cumsum(jet_counts) - jet_counts
    columns = np.arange(max(jet_counts, default=0))
    hard = particles.pt > MIN_HADRON_PT
    for quark in (4, 5):  # a b hadron overrules the c hadron that it decays to
        rows = np.flatnonzero(weakly_decaying(particles, quark) & hard)
        event = particles.event[rows]
        hadron, column = np.nonzero(columns < jet_counts[event, np.newaxis])
        jet = first[event[hadron]] + column
        rows = rows[hadron]
        distance = np.hypot(particles.eta[rows] - jet_eta[jet], delta_phi(particles.phi[rows], jet_phi[jet]))
        flavour[jet[distance < LABEL_CONE]] = quark
    return flavour


def tagging_variables(tracks: Tracks, counts, jet_eta, jet_phi) -> dict[str, np.ndarray]:
    """Run the four algorithms on the tracks of N jets.

    Parameters
    ----------
    tracks : Tracks
        (T,), jet by jet.
    counts : (N,) int
        Tracks of each jet.
    jet_eta, jet_phi : (N,) float

    Returns
    -------
    dict of (N,) float64
        The branches of `DEFAULTS`.
    """
    jet_energy = np.bincount(np.repeat(np.arange(len(counts)), counts), energy(tracks), minlength=len(counts))
    displaced = np.abs(tracks.d0) > DISPLACED * tracks.d0_error
    off = np.hypot(tracks.d0 / tracks.d0_error, tracks.z0 / tracks.z0_error) > 3
    rows, present = table_of(displaced | off, counts)
    table = tracks[rows]
    pairs = find_pairs(table, present, unit_vector(jet_eta, jet_phi))
    present &= ~pairs.tracks(present.shape, pairs.strange)
    jets = (jet_eta, jet_phi, jet_energy)
    secondary, has_secondary = secondary_vertex(table, present & displaced[rows], pairs, *jets)
    along, has_vertices = axis_vertices(table, present, *jets)
    ratios = {
        name: np.maximum(ratio, LEAST_RATIO)
        for name, ratio in likelihood_ratios(tracks, counts, jet_eta, jet_phi).items()
    }
    values = ratios | secondary | along
    found = {"ip2d": counts > 0, "ip3d": counts > 0, "sv": has_secondary, "jf": has_vertices}
    return {
        name: np.where(found[group], values[name], DEFAULTS[name]) for group, names in GROUPS.items() for name in names
    }


def measured_jets(
    seed: int, min_pthat: float, sample: str, chunk: int
) -> tuple[dict[str, np.ndarray], Tracks, np.ndarray]:
    """Simulate one chunk of jets.

    Parameters
    ----------
    seed, chunk : int
    min_pthat : float, GeV
    sample : str
        Goes into the seeds.

    Returns
    -------
    jets : dict of (N,) arrays
        `event`, `pt`, `eta`, `phi`, `flavour`, by falling pT within each event.
    tracks : Tracks
        (T,), jet by jet.
    counts : (N,) int64
        Tracks of each jet.
    """
    pythia_seed, rng = chunk_seeds(seed, sample, chunk)
    particles = generate(make_pythia([*SETTINGS, f"PhaseSpace:pTHatMin = {min_pthat}"], pythia_seed), CHUNK)
    final = particles.select(particles.status > 0)
    visible = final.select(~np.isin(np.abs(final.pdgid), (12, 14, 16)))
    jets, _ = cluster(visible.momenta, JET_RADIUS, MIN_JET_PT / 2)
    jets = smeared(jets, jet_resolution(flat_pt(jets)), rng)
    event, pt = np.repeat(np.arange(len(particles)), ak.num(jets)), flat_pt(jets)
    eta, phi = (ak.to_numpy(ak.flatten(angle)) + rng.normal(0, axis_resolution(pt)) for angle in (jets.eta, jets.phi))
    kept = np.flatnonzero((pt > MIN_JET_PT) & (np.abs(eta) < MAX_JET_ETA))
    kept = kept[np.lexsort((-pt[kept], event[kept]))]
    event, pt, eta, phi = event[kept], pt[kept], eta[kept], delta_phi(phi[kept], 0.0)
    numbers = np.bincount(event, minlength=len(particles))
    columns = {
        "event": (chunk * CHUNK + event).astype(np.uint32),
        "pt": pt,
        "eta": eta,
        "phi": phi,
        "flavour": label_jets(particles, eta, phi, numbers),
    }
    return columns, *tracks_of_jets(*measure_tracks(visible, rng), eta, phi, numbers)


def simulate_flavour_chunk(seed: int, min_pthat: float, with_tracks: bool, chunk: int) -> tuple[ak.Array, int]:
    """Simulate one chunk of jets with all their branches; return them and the number of collisions."""
    jets, tracks, counts = measured_jets(seed, min_pthat, "flavour", chunk)
    columns = {name: values if values.dtype.kind in "iu" else rounded(values, 14) for name, values in jets.items()}
    columns["n_tracks"] = counts.astype(np.int32)
    variables = tagging_variables(tracks, counts, jets["eta"], jets["phi"])
    columns |= {name: rounded(values, BITS) for name, values in variables.items()}
    if with_tracks:
        jet = np.repeat(np.arange(len(counts)), counts)
        measured = {
            "pt": tracks.pt,
            "deta": tracks.eta - jets["eta"][jet],
            "dphi": delta_phi(tracks.phi, jets["phi"][jet]),
            **{name: getattr(tracks, name) for name in ("d0", "d0_error", "z0", "z0_error")},
        }
        flat = {name: rounded(values, TRACK_BITS) for name, values in measured.items()}
        flat["charge"] = tracks.charge.astype(np.int8)
        columns["track"] = ak.unflatten(ak.zip(flat), counts)
    return ak.zip(columns, depth_limit=1), CHUNK


def make_templates(jets: int = 300_000, seed: int = 1, jobs: int | str = 1, path: Path = TEMPLATES) -> None:
    """Make the templates of the likelihood ratios anew, from jets that are in no sample: their seeds are others.

    Parameters
    ----------
    jets : int
        At least so many.
    seed : int
    jobs : int or str
    path : path
        Where they go; by default into the package.
    """
    done, total = 0, 0
    with closing(run_chunks(partial(template_chunk, seed), count(), jobs)) as chunks:
        while done < jets:
            counts, n = next(chunks)
            done, total = done + n, total + counts
    save_templates(total, path)


def template_chunk(seed: int, chunk: int) -> tuple[np.ndarray, int]:
    """Return the template counts of one chunk and its number of jets."""
    jets, tracks, counts = measured_jets(seed, 0.0, "flavour templates", chunk)
    jet = np.repeat(np.arange(len(counts)), counts)
    return count_tracks(tracks, jets["eta"][jet], jets["phi"][jet], jets["flavour"][jet]), len(counts)


def simulate_flavour(
    folder,
    jets: int = 15_000,
    seed: int = 1,
    jobs: int | str = 1,
    *,
    min_pthat: float = 0.0,
    tracks: bool = True,
    progress: Callable[[str, int, int], None] | None = None,
) -> list[Path]:
    """Simulate jets of all flavours from top pairs that decay to quarks: one ROOT file with a tree `jets`.

    Anti-kT jets of R = 0.4 with pT > 20 GeV and abs(eta) < 2.5 from proton collisions at 13 TeV, one row a jet, the
    jets of one collision one after the other. The likelihood ratios and vertices of `DEFAULTS` are computed from the
    tracks.

    Parameters
    ----------
    folder : path
        Made if it does not exist. The file appears in it when it is complete, and not before.
    jets : int
    seed : int
        The same seed gives the same jets, whatever the number of jobs.
    jobs : int or str
        Processes to share the work, or the Ray cluster to do it: ``auto``, ``local``, or an address.
    min_pthat : float
        GeV, of the hard scattering: harder tops have harder jets, in a file `flavour_hard.root`.
    tracks : bool
        Whether to write the tracks, which take most of the room.
    progress : callable, optional
        Called as ``progress("flavour", done, total)`` when a chunk is done.

    Returns
    -------
    list of Path
        The one file: `flavour.root`, or `flavour_hard.root` if `min_pthat` is given.

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
    >>> from coursekit.simulate import simulate_flavour
    >>> simulate_flavour("data", jets=24_000, seed=1, jobs=2)  # doctest: +SKIP
    [PosixPath('data/flavour.root')]
    """
    if jets < 1:
        raise ValueError(f"the number of jets must be 1 or more, got {jets}")
    if not 0 <= min_pthat <= 2000:
        raise ValueError(f"min_pthat must be from 0 to 2000 GeV, got {min_pthat}")
    folder = Path(folder)
    path = folder / ("flavour_hard.root" if min_pthat else "flavour.root")
    report = partial(progress, path.stem) if progress else lambda done, total: None
    # First of all `replacing` finds out whether the file can be written.
    with naming_if_full(path), open_spool(folder) as spool, replacing(path) as partial_file:
        spool_chunks(spool, partial(simulate_flavour_chunk, seed, min_pthat, tracks), jets, jobs, report)
        sizes = [min(BASKET, jets - start) for start in range(0, jets, BASKET)]
        write_jets(partial_file, read_spool(spool, sizes))
    return [path]


def write_jets(path: Path, blocks: Iterator[ak.Array], name: str = TREE) -> None:
    """Write blocks of jets to a tree of this name, a basket each."""
    with uproot.recreate(path, compression=uproot.ZLIB(6)) as file:
        tree = None
        for block in blocks:
            columns = {field: block[field] for field in block.fields}
            if tree is None:
                types = {field: ak.type(values).content for field, values in columns.items()}
                tree = file.mktree(name, types, counter_name=lambda field: f"n{field}")
            tree.extend(columns)
