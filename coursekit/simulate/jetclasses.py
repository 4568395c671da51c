"""Jets of six classes, none of them tops, in the layout of JetClass: something to learn from before the labels count.

The leading jets have the ranges, the radius and the detector of the top tagging sample, so that a network that can tell
these classes apart has seen the same kind of jets, but none of those that it is to find later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import awkward as ak
import numpy as np

from coursekit.files import naming_if_full, replacing
from coursekit.jets import JETCLASS_LABELS
from coursekit.simulate.chunks import chunk_seeds, open_spool, read_spool, spool_chunks
from coursekit.simulate.dilepton import rounded
from coursekit.simulate.flavour import write_jets
from coursekit.simulate.pythia import Particles, copies_to_last, generate, generated
from coursekit.simulate.toptag import MANTISSA_BITS, TOPTAG, JetRecipe, distance, generator_of, leading_in_range

TREE = "tree"
BLOCK = 5000  # jets written at once, a basket
JETCLASSES = replace(TOPTAG, name="jetclasses")
QUARKS = "onIfAny = 1 2 3 4 5"


@dataclass(frozen=True)
class JetKind:
    """What a class of jets comes from.

    Attributes
    ----------
    label : str
        Its place in `JETCLASS_LABELS`. Quarks and gluons are both QCD there.
    codes : tuple of int
        PDG codes, without the sign, of the particles from the hard collision whose jets count.
    decays : int
        How many decays lead from the particle to the quarks that its jet must contain: none from a quark or gluon, one
        from a W to two quarks, two from a Higgs boson to four.
    settings : tuple of str
        Pythia's. The other particle of the collision is of the same class or, beside the Higgs boson, a Z that decays
        to neutrinos, so that a leading jet of another class hardly occurs.
    """

    label: str
    codes: tuple[int, ...]
    decays: int
    settings: tuple[str, ...]


HIGGS = ("HiggsSM:ffbar2HZ = on", "25:m0 = 125.0", "25:onMode = off", "23:onMode = off", "23:onIfAny = 12 14 16")
KINDS = {
    "quark": JetKind(
        "QCD", (1, 2, 3, 4), 0, ("HardQCD:qq2qq = on", "HardQCD:gg2qqbar = on", "HardQCD:qqbar2qqbarNew = on")
    ),
    "gluon": JetKind("QCD", (21,), 0, ("HardQCD:gg2gg = on", "HardQCD:qqbar2gg = on")),
    "Wqq": JetKind("Wqq", (24,), 1, ("WeakDoubleBoson:ffbar2WW = on", "24:onMode = off", f"24:{QUARKS}")),
    "Zqq": JetKind(
        "Zqq", (23,), 1, ("WeakDoubleBoson:ffbar2gmZgmZ = on", "WeakZ0:gmZmode = 2", "23:onMode = off", f"23:{QUARKS}")
    ),
    "Hbb": JetKind("Hbb", (25,), 1, (*HIGGS, "25:onIfMatch = 5 -5")),
    "H4q": JetKind("H4q", (25,), 2, (*HIGGS, "25:onIfMatch = 24 -24", "24:onMode = off", f"24:{QUARKS}")),
}
"""The classes by name. W and Z are produced in pairs, the Higgs boson with a Z."""


def hard_particles(particles: Particles, codes) -> np.ndarray:
    """Return the rows of the particles with one of these PDG codes that the hard collision made, (C,) int64."""
    from_incoming = np.abs(particles.status[particles.mother]) == 21
    made = from_incoming & np.isin(np.abs(particles.status), (22, 23))  # 22: a particle that decays
    return np.flatnonzero(made & np.isin(np.abs(particles.pdgid), codes))


def with_products(particles: Particles, rows: np.ndarray, decays: int) -> np.ndarray:
    """Return the particles of C rows and what they decay to, all that a jet must contain.

    Parameters
    ----------
    particles : Particles
    rows : (C,) int64
    decays : int
        Two-body decays one after the other, 0, 1 or 2.

    Returns
    -------
    (C, 1 + 2**decays) int64
        The particle, after all radiation if it decays, and the quarks; without a decay the particle twice.
    """
    products = rows[:, np.newaxis]
    for _ in range(decays):
        last = copies_to_last(particles, products.ravel())
        both = np.stack([particles.daughter1[last], particles.daughter2[last]], axis=1)
        products = both.reshape(len(rows), 2 * products.shape[1])
    first = copies_to_last(particles, rows) if decays else rows
    return np.concatenate([first[:, np.newaxis], products], axis=1)


def origins(particles: Particles, event: np.ndarray, eta, phi, kind: JetKind, radius: float) -> np.ndarray:
    """Find the particle of the hard collision that each of J jets contains, with the quarks that it decays to.

    Parameters
    ----------
    particles : Particles
    event : (J,) int64
        The event of each jet, no two of the same.
    eta, phi : (J,) float
        The jets' axes.
    kind : JetKind
    radius : float
        Particle and quarks must lie within it.

    Returns
    -------
    (J,) int32
        PDG code, or 0 if there is none; of two the nearer one.
    """
    hard = hard_particles(particles, kind.codes)
    jet_of = np.full(len(particles), -1)
    jet_of[event] = np.arange(len(event))
    jet = jet_of[particles.event[hard]]
    hard, jet = hard[jet >= 0], jet[jet >= 0]
    rows = with_products(particles, hard, kind.decays)
    axis = (np.asarray(angle)[jet, np.newaxis] for angle in (eta, phi))
    distances = distance(particles.eta[rows], particles.phi[rows], *axis)  # (C, 1 + 2**decays)
    contained = np.flatnonzero((distances < radius).all(axis=1))
    farthest_first = contained[np.argsort(-distances[contained, 0])]
    codes = np.zeros(len(event), dtype=np.int32)
    codes[jet[farthest_first]] = particles.pdgid[hard[farthest_first]]  # the last one written stays
    return codes


def simulate_class_chunk(recipe: JetRecipe, name: str, seed: int, chunk: int) -> tuple[ak.Array, int]:
    """Simulate one chunk of jets of one class.

    Parameters
    ----------
    recipe : JetRecipe
    name : str
        A key of `KINDS`.
    seed, chunk : int

    Returns
    -------
    jets : awkward array
        `constituents` (jagged: px, py, pz, E, float32, GeV, by falling pT) and `code`, from `origins`.
    n_generated : int
        Collisions it took, those thrown away by the veto included.
    """
    kind = KINDS[name]
    pythia, rng = generator_of(recipe, name, kind.settings, seed, chunk)
    particles = generate(pythia, recipe.chunk)
    event, leading, constituents = leading_in_range(particles, recipe, rng)
    axis = ak.to_numpy(leading.eta), ak.to_numpy(leading.phi)
    code = origins(particles, event, *axis, kind, recipe.match_radius or np.inf)
    constituents, code = constituents[code != 0], code[code != 0]
    digits = {field: _rounded(constituents[field]) for field in ("px", "py", "pz", "E")}
    order = ak.argsort(np.hypot(digits["px"], digits["py"]), ascending=False, stable=True)
    constituents = ak.zip({field: values[order] for field, values in digits.items()})
    return ak.Array(ak.zip({"constituents": constituents, "code": code}, depth_limit=1).layout), generated(pythia)


def _rounded(values: ak.Array) -> ak.Array:
    """Round jagged momenta as the top tagging sample does."""
    return ak.unflatten(rounded(ak.flatten(values), MANTISSA_BITS + 1), ak.num(values))


def branches(jets: ak.Array, labels: np.ndarray) -> ak.Array:
    """Turn jets into the branches of the file.

    Parameters
    ----------
    jets : (N,) awkward array
        From `simulate_class_chunk`.
    labels : (N,) int
        Place of each jet's class in `KINDS`.

    Returns
    -------
    (N,) awkward array with the fields
        `part` (jagged: px, py, pz, energy), `jet_*` (of the sum of the constituents), `label_*` and `aux_genpart_pid`.
    """
    particles = jets.constituents
    momentum = {
        name: ak.to_numpy(ak.sum(ak.values_astype(particles[name], np.float64), axis=1)) for name in particles.fields
    }
    pt = np.hypot(momentum["px"], momentum["py"])
    sums = {
        "jet_pt": pt,
        "jet_eta": np.arcsinh(momentum["pz"] / pt),
        "jet_phi": np.arctan2(momentum["py"], momentum["px"]),
        "jet_energy": momentum["E"],
        "jet_nparticles": ak.to_numpy(ak.num(particles)),
    }
    names = np.array([kind.label for kind in KINDS.values()])[labels]
    columns = {"part": ak.zip({"energy" if name == "E" else name: particles[name] for name in particles.fields})}
    columns |= {name: values.astype(np.float32) for name, values in sums.items()}
    columns |= {f"label_{name}": names == name for name in JETCLASS_LABELS}
    columns["aux_genpart_pid"] = jets.code
    return ak.zip(columns, depth_limit=1)


def simulate_jet_classes(
    folder,
    jets: int = 72_000,
    seed: int = 1,
    jobs: int | str = 1,
    *,
    progress: Callable[[str, int, int], None] | None = None,
) -> list[Path]:
    """Simulate jets of the classes of `KINDS`, equally many of each, and write them shuffled to one ROOT file.

    The leading anti-kT jets of R = 0.8 with 550 < pT < 650 GeV and ``|eta|`` < 2 from proton collisions at 14 TeV,
    after the detector of `simulate_toptag`: of light quarks (u, d, s, c), gluons, W to two quarks, Z to two quarks, H
    to two b quarks and H to WW to four quarks. The jet contains the particle and the quarks that it decays to. There
    are no tops.

    Parameters
    ----------
    folder : path
        Made if it does not exist. The file appears in it when it is complete, and not before.
    jets : int
        Of all classes together.
    seed : int
        The same seed gives the same jets, whatever the number of jobs.
    jobs : int or str
        Processes to share the work, or the Ray cluster to do it: ``auto``, ``local``, or an address.
    progress : callable, optional
        Called as ``progress(name, done, total)`` when a chunk is done; the name is a key of `KINDS`.

    Returns
    -------
    list of Path
        The one file, `jetclasses.root`, which `coursekit.jets.load_jetclass` reads: its tree `tree` has the branches
        ``part_px``, ``part_py``, ``part_pz``, ``part_energy`` (by falling pT, rounded to 13 binary digits),
        ``jet_pt``, ``jet_eta``, ``jet_phi``, ``jet_energy``, ``jet_nparticles``, all ten ``label_*`` of JetClass, and
        ``aux_genpart_pid``, the PDG code of the particle that the jet comes from. Quark and gluon jets are both
        ``label_QCD``, as in JetClass, and differ by that code, 21 for gluons.

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

    References
    ----------
    H. Qu, C. Li, S. Qian, arXiv:2202.03772, whose sample has harder jets of more classes.

    Examples
    --------
    Six classes for a network, gluons apart from quarks:

    >>> from coursekit.events import load_events
    >>> from coursekit.jets import load_jetclass
    >>> [path] = simulate_jet_classes("data", jets=72_000, seed=11, jobs=2)  # doctest: +SKIP
    >>> momenta, labels = load_jetclass(path)  # doctest: +SKIP
    >>> code = load_events(path, ["aux_genpart_pid"], tree="tree")["aux_genpart_pid"]  # doctest: +SKIP
    >>> labels[code == 21] = len(JETCLASS_LABELS)  # doctest: +SKIP
    >>> _, classes = np.unique(labels, return_inverse=True)  # doctest: +SKIP
    """
    if jets < len(KINDS):
        raise ValueError(f"{len(KINDS)} classes take at least {len(KINDS)} jets, got {jets}")
    folder = Path(folder)
    path = folder / f"{JETCLASSES.name}.root"
    order = chunk_seeds(seed, f"{JETCLASSES.name} order", 0)[1].permutation(np.arange(jets) % len(KINDS))
    blocks = np.split(order, range(BLOCK, jets, BLOCK))
    with naming_if_full(path), ExitStack() as stack:
        # First of all `replacing` finds out whether the file can be written.
        spools = {name: stack.enter_context(open_spool(folder)) for name in KINDS}
        partial_file = stack.enter_context(replacing(path))
        ready = []
        for label, (name, spool) in enumerate(spools.items()):
            report = partial(progress, name) if progress else lambda done, total: None
            work = partial(simulate_class_chunk, JETCLASSES, name, seed)
            spool_chunks(spool, work, np.count_nonzero(order == label), jobs, report)
            ready.append(read_spool(spool, [np.count_nonzero(block == label) for block in blocks]))
        write_jets(partial_file, (_mixed(ready, block) for block in blocks), TREE)
    return [path]


def _mixed(ready: list[Iterator[ak.Array]], labels: np.ndarray) -> ak.Array:
    """Take the next jets of each class and bring them into the order of the labels."""
    by_class = ak.concatenate([next(reader) for reader in ready])
    return branches(by_class[np.argsort(np.argsort(labels, kind="stable"))], labels)
