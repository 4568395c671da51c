"""H -> WW -> 2l2nu and Drell-Yan at 13 TeV: three samples, one flat ROOT file each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import awkward as ak
import numpy as np
import uproot

from coursekit.files import naming_if_full, replacing
from coursekit.simulate.chunks import chunk_seeds, open_spool, read_spool, spool_chunks
from coursekit.simulate.dilepton import branches, detect
from coursekit.simulate.pythia import generate, generated, make_pythia

TREE = "Events"
BASKET = 5000  # entries that are compressed together: small enough to read a slice, large enough to compress well
EVENTS_PER_LUMI, EVENTS_PER_RUN = 20, 100

COMMON = (
    "Beams:eCM = 13000.",
    "PartonLevel:MPI = off",  # the additional interactions change little here and cost most of the time
    "TauDecays:mode = 0",  # without spin correlations, which would make Drell-Yan with taus 13 times slower
)
DRELL_YAN = ("WeakSingleBoson:ffbar2gmZ = on", "23:onMode = off", "23:onIfAny = 11 13 15")


def no_hard_lepton(event) -> bool:
    """Tell whether neither lepton from the Z has a chance to pass the cut of 18 GeV on the leading one.

    The event is complete but for hadronisation, so the momenta are final; 15 GeV is six times the electron's
    resolution below the cut.
    """
    boson = event[event[5].iBotCopyId()]  # rows 3 and 4 are the incoming partons, 5 is what they make
    return all(event[event[row].iBotCopyId()].pT() < 15 for row in (boson.daughter1(), boson.daughter2()))


@dataclass(frozen=True)
class Sample:
    """A process: Pythia's settings, and the cross section that its weights are normalised to.

    Attributes
    ----------
    number : int
        Makes `event` and `run` unique across the samples.
    settings : tuple of str
    cross_section_pb : float
        Pythia's leading order, times `k_factor`.
    k_factor : float
        What higher orders multiply the cross section by.
    chunk : int
        Events that survive the veto, per chunk: one to three seconds' work, and at most 100 MB.
    veto : callable, optional
    """

    number: int
    settings: tuple[str, ...]
    cross_section_pb: float
    k_factor: float
    chunk: int
    veto: Callable | None = None

    @property
    def cross_section_fb(self) -> float:
        """What the weights of all generated events add up to."""
        return 1000 * self.cross_section_pb * self.k_factor


SAMPLES = {
    "GluGluHToWWTo2L2Nu_M125": Sample(
        number=1,
        settings=(
            "HiggsSM:gg2H = on",
            "25:m0 = 125.0",
            "25:onMode = off",
            "25:onIfMatch = 24 -24",
            "24:onMode = off",
            "24:onIfAny = 11 13 15",
        ),
        cross_section_pb=0.60,
        k_factor=1.8,
        chunk=2000,
    ),
    "DYJetsToLL_M-10to50-LO": Sample(
        number=2,
        settings=(
            *DRELL_YAN,
            "23:mMin = 10.",
            "23:mMax = 50.",
            "PhaseSpace:mHatMin = 10.",
            "PhaseSpace:mHatMax = 50.",
        ),
        cross_section_pb=15100.0,
        k_factor=1.25,
        chunk=2000,
        veto=no_hard_lepton,
    ),
    "DYJetsToLL_M-50-LO": Sample(
        number=3,
        settings=(*DRELL_YAN, "23:mMin = 50.", "PhaseSpace:mHatMin = 50."),
        cross_section_pb=4604.0,
        k_factor=1.32,
        chunk=2500,
        veto=no_hard_lepton,
    ),
}


def simulate_chunk(name: str, seed: int, chunk: int) -> tuple[ak.Array, int]:
    """Simulate one chunk of a sample.

    Parameters
    ----------
    name : str
        A key of `SAMPLES`.
    seed, chunk : int

    Returns
    -------
    selected : awkward array
        From `branches`.
    n_generated : int
        Collisions it took.
    """
    sample = SAMPLES[name]
    pythia_seed, rng = chunk_seeds(seed, name, chunk)
    pythia = make_pythia([*COMMON, *sample.settings], pythia_seed, sample.veto)
    return branches(detect(generate(pythia, sample.chunk), rng), rng), generated(pythia)


def simulate_hww(
    folder,
    events: int = 20_000,
    seed: int = 1,
    jobs: int | str = 1,
    *,
    negative_fraction: float = 0.0,
    samples=tuple(SAMPLES),
    progress: Callable[[str, int, int], None] | None = None,
) -> list[Path]:
    """Simulate H -> WW -> 2l2nu and two slices of Drell-Yan, one ROOT file each, with a tree `Events`.

    Events with two leptons above 18 and 9 GeV are kept. The weights `XSWeight` add up, over all *generated* events, to
    the cross section in femtobarns: ``XSWeight = 1000 sigma[pb] genWeight / sum(genWeight)``.

    Parameters
    ----------
    folder : path
        Made if it does not exist. Each file appears in it when it is complete, and not before.
    events : int
        Selected events in each file.
    seed : int
        The same seed gives the same events, whatever the number of jobs.
    jobs : int or str
        Processes to share the work, or the Ray cluster to do it: ``auto``, ``local``, or an address.
    negative_fraction : float
        Leading order has no negative weights, higher orders do. To practise, this fraction of the generated events gets
        ``genWeight = -1 / (1 - 2 f)`` and the others the positive of it, which leaves all averages as they were.
    samples : iterable of str
        Which of `SAMPLES` to make.
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

    References
    ----------
    CMS Collaboration, Measurements of properties of the Higgs boson decaying to a W boson pair in pp collisions at
    13 TeV, arXiv:1806.05246, for the selection and the variables.

    Examples
    --------
    >>> from coursekit.simulate import simulate_hww
    >>> simulate_hww("data", events=20_000, seed=1, jobs=2)  # doctest: +SKIP
    [PosixPath('data/GluGluHToWWTo2L2Nu_M125.root'), ...]
    """
    require_samples(samples, SAMPLES, events)
    if not 0 <= negative_fraction < 0.5:
        raise ValueError(f"negative_fraction must be at least 0 and below 0.5, got {negative_fraction}")
    folder = Path(folder)
    paths = [folder / f"{name}.root" for name in samples]
    for name, path in zip(samples, paths, strict=True):
        report = partial(progress, name) if progress else lambda done, total: None
        # What a weight is divided by is known only at the end, so the events wait in a nameless file, not in memory.
        # `replacing` finds out before anything else whether the file can be written.
        with naming_if_full(path), open_spool(folder) as spool, replacing(path) as partial_file:
            n_generated = spool_chunks(spool, partial(simulate_chunk, name, seed), events, jobs, report)
            rng = chunk_seeds(seed, f"{name} signs", 0)[1]
            # +1 or -1 for each generated event, those that were not selected counted together.
            signs = np.where(rng.random(events) < negative_fraction, -1.0, 1.0)
            others = n_generated - events
            sum_of_signs = signs.sum() + others - 2 * rng.binomial(others, negative_fraction)
            baskets = list(np.split(signs / sum_of_signs, range(BASKET, events, BASKET)))
            write_tree(partial_file, SAMPLES[name], zip(baskets, read_spool(spool, map(len, baskets)), strict=True))
    return paths


def require_samples(samples: Iterable[str], known: Iterable[str], events: int) -> None:
    """Refuse numbers of events below one, and names of samples that there are not."""
    if events < 1:
        raise ValueError(f"the number of events must be 1 or more, got {events}")
    unknown = [name for name in samples if name not in known]
    if unknown:
        raise ValueError(f"no sample is called {unknown[0]!r}; there are {', '.join(known)}")


def write_tree(path: Path, sample: Sample, baskets: Iterable[tuple[np.ndarray, ak.Array]]) -> None:
    """Write events and their numbers, basket by basket; of each basket their shares of the cross section come first."""
    with uproot.recreate(path, compression=uproot.ZLIB(4)) as file:
        tree, written = None, 0
        for shares, events in baskets:
            index = np.arange(written, written := written + len(events))
            columns = {
                "run": (10**6 * sample.number + index // EVENTS_PER_RUN).astype(np.uint32),
                "luminosityBlock": (1 + index % EVENTS_PER_RUN // EVENTS_PER_LUMI).astype(np.uint32),
                "event": (10**9 * sample.number + index).astype(np.uint64),
                **{name: events[name] for name in events.fields},
                "XSWeight": (sample.cross_section_fb * shares).astype(np.float32),
            }
            if tree is None:
                tree = file.mktree(TREE, {name: ak.type(ak.Array(values)).content for name, values in columns.items()})
            tree.extend(columns)
