"""Proton collisions from Pythia 8, a whole batch at a time, as flat numpy arrays.

Pythia's `nextBatch` hands over the event records of many collisions in one call, so nothing here, and nothing that
builds on it, loops over particles in Python: that loop costs more than the generation itself.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import awkward as ak
import numpy as np

from coursekit.jets import unpack

MAX_SEED = 900_000_000  # Pythia's largest Random:seed
EARLY_SCALE = 50.0  # GeV: what comes later in the shower moves the pT of a hard jet by less


@dataclass(frozen=True, eq=False)
class Particles:
    """All particles of a batch of N events, flat, T in all.

    Event `i` owns the rows `offsets[i]:offsets[i + 1]`. The first row of each event stands for the whole event
    (Pythia gives it the code 90), so a mother or daughter that does not exist points there.

    Attributes
    ----------
    offsets : (N + 1,) int64
    pdgid, status : (T,) int32
        PDG code and Pythia's status code (positive: the particle is in the final state).
    mother, daughter1, daughter2 : (T,) int64
        Rows of the first mother and of the first and last daughter.
    px, py, pz, energy : (T,) float64, GeV
    charge : (T,) float64, units of the positron's charge
    x_mm, y_mm, z_mm : (T,) float64, millimetres
        Where the particle was produced; the protons collide at the origin and fly along z.
    """

    offsets: np.ndarray
    pdgid: np.ndarray
    status: np.ndarray
    mother: np.ndarray
    daughter1: np.ndarray
    daughter2: np.ndarray
    px: np.ndarray
    py: np.ndarray
    pz: np.ndarray
    energy: np.ndarray
    charge: np.ndarray
    x_mm: np.ndarray
    y_mm: np.ndarray
    z_mm: np.ndarray

    def __len__(self) -> int:
        """Number of events N."""
        return len(self.offsets) - 1

    @property
    def event(self) -> np.ndarray:
        """Index of the event that each particle belongs to, (T,) int64."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    @property
    def pt(self) -> np.ndarray:
        """Transverse momentum, (T,) float64, GeV."""
        return np.hypot(self.px, self.py)

    @property
    def eta(self) -> np.ndarray:
        """Pseudorapidity, (T,) float64; infinite along the beam, 0 for a particle at rest."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.pz == 0, 0.0, np.arcsinh(self.pz / self.pt))

    @property
    def phi(self) -> np.ndarray:
        """Azimuth in (-pi, pi], (T,) float64, radians."""
        return np.arctan2(self.py, self.px)

    @property
    def r_mm(self) -> np.ndarray:
        """Distance of the production point from the beam line, (T,) float64, millimetres."""
        return np.hypot(self.x_mm, self.y_mm)

    @property
    def momenta(self) -> ak.Array:
        """Four-momenta, (N, var) awkward array of Momentum4D, GeV."""
        return unpack(np.stack([self.px, self.py, self.pz, self.energy], axis=1), np.diff(self.offsets))

    def select(self, mask: np.ndarray) -> Particles:
        """Return only the particles where `mask` is true; links to mothers and daughters keep the old row numbers."""
        mask = np.asarray(mask, dtype=bool)
        kept = {f.name: getattr(self, f.name)[mask] for f in fields(self) if f.name != "offsets"}
        return Particles(offsets=np.concatenate(([0], np.cumsum(mask)))[self.offsets], **kept)


def import_pythia():
    """Return the module pythia8mc, or raise an ImportError that names the extra to install."""
    try:
        import pythia8mc
    except ImportError as error:
        raise ImportError('simulating needs pythia8mc: pip install "coursekit[simulate]"') from error
    return pythia8mc


def make_pythia(settings, seed: int, veto=None, early_veto=None):
    """Start a silent Pythia with the given settings.

    Parameters
    ----------
    settings : iterable of str
        Lines such as ``"HardQCD:all = on"``.
    seed : int
        1 to 900 000 000.
    veto : callable, optional
        Called with Pythia's event after the parton shower and before hadronisation; an event for which it returns True
        is thrown away, which saves the rest of the work. `generated` counts it all the same.
    early_veto : callable, optional
        The same, called when the shower has come down to 50 GeV: the hard partons are there, the soft ones, which take
        most of the time, are not.

    Returns
    -------
    pythia8mc.Pythia

    Raises
    ------
    ImportError
        If pythia8mc is missing.
    ValueError
        If Pythia does not know a setting or the seed is out of range.
    RuntimeError
        If Pythia cannot start with these settings.

    References
    ----------
    C. Bierlich et al., A comprehensive guide to the physics and usage of PYTHIA 8.3, arXiv:2203.11601.

    Examples
    --------
    >>> pythia = make_pythia(["WeakSingleBoson:ffbar2gmZ = on", "PartonLevel:MPI = off"], seed=1)
    >>> len(generate(pythia, 10))
    10
    """
    pythia8mc = import_pythia()
    if not 1 <= seed <= MAX_SEED:
        raise ValueError(f"Pythia takes seeds from 1 to {MAX_SEED}, got {seed}")

    class Pythia(pythia8mc.Pythia):
        """Carries a reference to the hook, of which Pythia itself keeps only the C++ half alive."""

        hook = None

    pythia = Pythia("", False)  # without the banner
    for line in ("Print:quiet = on", "Random:setSeed = on", f"Random:seed = {seed}", *settings):
        if not pythia.readString(line):  # a typo is no error for Pythia: it goes on with the default
            raise ValueError(f"Pythia does not understand the setting {line!r}; compare its spelling with the manual")
    if veto is not None or early_veto is not None:

        class Veto(pythia8mc.UserHooks):
            def canVetoPartonLevel(self):
                return veto is not None

            def doVetoPartonLevel(self, event):
                return veto(event)

            def canVetoPT(self):
                return early_veto is not None

            def scaleVetoPT(self):
                return EARLY_SCALE

            def doVetoPT(self, position, event):
                return position < 4 and early_veto(event)  # from 4 on, the showers of decays: the event was seen before

        pythia.hook = Veto()
        pythia.addUserHooksPtr(pythia.hook)
    if not pythia.init():
        raise RuntimeError(f"Pythia refuses to start with {list(settings)}; run it without Print:quiet to read why")
    return pythia


def generate(pythia, events: int) -> Particles:
    """Generate `events` collisions in one call.

    Parameters
    ----------
    pythia : pythia8mc.Pythia
        From `make_pythia`.
    events : int
        A record takes 25 kB (Drell-Yan) to 100 kB (hard jets), so ask for 500 to 2000 at a time. Pythia skips an event
        that it cannot complete, less than one in ten thousand: fewer may come back.

    Returns
    -------
    Particles
    """
    layout = pythia.nextBatch(events).layout.content("prt")
    offsets = np.asarray(layout.offsets.data, dtype=np.int64)
    record = layout.content

    def column(*path):
        node = record
        for name in path:
            node = node.content(name)
        return np.asarray(node.data)

    vertex = record.content("vProd")  # an option type: particles from the collision point itself have none
    index = np.asarray(vertex.index.data)
    displaced = index >= 0

    def position(name):
        values = np.zeros(len(index))
        values[displaced] = np.asarray(vertex.content.content(name).data)[index[displaced]]
        return values

    # The record has no charge, but only a few hundred different codes occur in it.
    codes, inverse = np.unique(column("id"), return_inverse=True)
    charges = np.array([pythia.particleData.chargeType(int(code)) for code in codes]) / 3
    start = np.repeat(offsets[:-1], np.diff(offsets))  # links count from the event's first row
    return Particles(
        offsets=offsets,
        pdgid=column("id"),
        status=column("status"),
        mother=column("mother1") + start,
        daughter1=column("daughter1") + start,
        daughter2=column("daughter2") + start,
        px=column("p", "px"),
        py=column("p", "py"),
        pz=column("p", "pz"),
        energy=column("p", "e"),
        charge=charges[inverse],
        x_mm=position("px"),
        y_mm=position("py"),
        z_mm=position("pz"),
    )


def generated(pythia) -> int:
    """Return how many collisions Pythia has made so far, those thrown away by the veto included.

    This is the number to divide a cross section by: `pythia.infoPython().sigmaGen()` has the veto in it already.
    """
    return pythia.infoPython().nSelected()


def copies_to_last(particles: Particles, rows: np.ndarray) -> np.ndarray:
    """Follow particles from copy to copy (they recoil and radiate) down to the one that decays or hadronises.

    Parameters
    ----------
    particles : Particles
    rows : (N,) int
        Where to start.

    Returns
    -------
    (N,) int64
        Rows of the last copies, which carry the same PDG code.
    """
    rows = np.asarray(rows)
    while True:
        first, second = particles.daughter1[rows], particles.daughter2[rows]
        code = particles.pdgid[rows]
        in_second = np.where(particles.pdgid[second] == code, second, rows)
        following = np.where(particles.pdgid[first] == code, first, in_second)
        if np.array_equal(following, rows):
            return rows
        rows = following
