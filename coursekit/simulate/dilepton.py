"""What a detector sees of an event with two leptons, and the quantities an H -> WW analysis computes from it.

The branches have the names and definitions of the CMS H -> WW analyses. The detector and the shapes of the scale
factors are our own: simple, and right in size.
"""

from __future__ import annotations

import awkward as ak
import numpy as np

from coursekit.events import WEIGHT_BRANCHES
from coursekit.jets import pack, unpack
from coursekit.simulate.clustering import cluster
from coursekit.simulate.pythia import Particles

DEFAULT = -1.0  # what a branch holds where its quantity does not exist
BITS = 14  # significant binary digits, a relative 6e-5: far below any resolution, and 40% less to store

MIN_LEPTON_PT = 5.0  # GeV, before smearing: far enough below the cut of 9
LEPTON_ETA = {11: 2.5, 13: 2.4}  # the tracker's end, the muon chambers' end
ISOLATION_CONE, MAX_ISOLATION = 0.4, 0.4
MATCH_CONE = 0.3
JET_RADIUS, MIN_JET_PT, MAX_JET_ETA = 0.4, 15.0, 4.7
FAKE_RATE, FAKE_ETA = 0.004, 2.4  # the chance that a jet in the tracker is taken for a lepton
LEADING_PT, TRAILING_PT = 18.0, 9.0  # GeV
PROMPT_PARENTS = (11, 13, 15, 23, 24)  # a lepton's own earlier copy, tau, Z, W: not a hadron, not a photon


def lepton_resolution(pt, is_electron):
    """Relative resolution: 10%/sqrt(pT) (+) 1.5% for electrons, 1% (+) 0.012% pT for muons, pT in GeV."""
    return np.where(is_electron, np.hypot(0.10 / np.sqrt(pt), 0.015), np.hypot(0.010, 1.2e-4 * pt))


def jet_resolution(pt):
    """Relative resolution: 80%/sqrt(pT) (+) 5%, pT in GeV."""
    return np.hypot(0.80 / np.sqrt(pt), 0.05)


def met_resolution(sum_et):
    """Resolution of each component in GeV: 13 (+) 0.6 sqrt(sum ET)."""
    return np.hypot(13.0, 0.6 * np.sqrt(sum_et))


def flat_pt(vectors: ak.Array) -> np.ndarray:
    """Return the transverse momenta of a jagged array, (T,) float64, GeV."""
    return ak.to_numpy(ak.flatten(vectors.pt))


def smeared(vectors: ak.Array, resolution: np.ndarray, rng: np.random.Generator) -> ak.Array:
    """Multiply each four-momentum by a Gaussian number of mean 1 and its width `resolution` (T,), at least 0.1."""
    packed, counts = pack(vectors)
    return unpack(packed * np.maximum(rng.normal(1, resolution), 0.1)[:, np.newaxis], counts)


def nearest(vectors: ak.Array, others: ak.Array) -> ak.Array:
    """Return for each vector the distance in (eta, phi) to the nearest of the event's `others`, infinite if none."""
    distances = vectors[:, :, np.newaxis].deltaR(others[:, np.newaxis, :])
    return ak.fill_none(ak.min(distances, axis=-1), np.inf)


def measure_leptons(visible: Particles, rng: np.random.Generator) -> tuple[ak.Array, ak.Array]:
    """Find the isolated electrons and muons; return them as they are and as they are measured, with a `pdgId`.

    Isolated: within 0.4 in (eta, phi) all other visible particles together have less than 0.4 of the lepton's pT.
    """
    code = np.abs(visible.pdgid)
    inside = sum((code == flavour) & (np.abs(visible.eta) < limit) for flavour, limit in LEPTON_ETA.items()) > 0
    candidates = visible.select(inside & (visible.pt > MIN_LEPTON_PT))
    true = candidates.momenta
    true["pdgId"] = ak.unflatten(candidates.pdgid, ak.num(true))
    near = true[:, :, np.newaxis].deltaR(visible.momenta[:, np.newaxis, :]) < ISOLATION_CONE
    others_pt = ak.sum(near * visible.momenta.pt[:, np.newaxis, :], axis=-1) - true.pt
    true = true[others_pt < MAX_ISOLATION * true.pt]
    is_electron = np.abs(ak.to_numpy(ak.flatten(true.pdgId))) == 11
    measured = smeared(true, lepton_resolution(flat_pt(true), is_electron), rng)
    measured["pdgId"] = true.pdgId
    return true, measured


def measure_jets(visible: Particles, leptons: ak.Array, rng: np.random.Generator) -> ak.Array:
    """Cluster all visible particles and smear the jets; those that are the leptons again are dropped."""
    jets, _ = cluster(visible.momenta, JET_RADIUS, MIN_JET_PT / 2)
    jets = smeared(jets, jet_resolution(flat_pt(jets)), rng)
    return jets[(jets.pt > MIN_JET_PT) & (np.abs(jets.eta) < MAX_JET_ETA) & (nearest(jets, leptons) > JET_RADIUS)]


def measure_met(invisible: Particles, visible: Particles, true: ak.Array, measured: ak.Array, rng) -> ak.Array:
    """Add up what escapes, what the leptons' resolution loses, and noise that grows with activity: px, py in GeV."""
    width = met_resolution(ak.to_numpy(ak.sum(visible.momenta.pt, axis=1)))
    return ak.zip(
        {
            name: ak.sum(getattr(invisible.momenta, name), axis=1)
            + ak.sum(getattr(true, name) - getattr(measured, name), axis=1)
            + rng.normal(0, width)
            for name in ("px", "py")
        }
    )


def detect(particles: Particles, rng: np.random.Generator) -> ak.Array:
    """Turn generated events into what a detector sees of them, and keep those with two leptons.

    Parameters
    ----------
    particles : Particles
        N events.
    rng : numpy.random.Generator

    Returns
    -------
    awkward array of the selected events, with the fields
        `lepton` (exactly two, by falling pT: pt, eta, phi, pdgId, matched), `jet` (by falling pT: pt, eta, phi,
        mass) and `met` (px, py); GeV and radians.
    """
    final = particles.select(particles.status > 0)
    escapes = np.isin(np.abs(final.pdgid), (12, 14, 16))
    visible, invisible = final.select(~escapes), final.select(escapes)
    true, leptons = measure_leptons(visible, rng)
    jets = measure_jets(visible, leptons, rng)
    met = measure_met(invisible, visible, true, leptons, rng)

    number = ak.num(jets)
    jets["pdgId"] = ak.unflatten(rng.choice([-13, -11, 11, 13], ak.sum(number)).astype(np.int32), number)
    fake = ak.unflatten(rng.random(ak.sum(number)) < FAKE_RATE, number) & (np.abs(jets.eta) < FAKE_ETA)

    is_lepton = np.isin(np.abs(visible.pdgid), (11, 13))
    prompt = visible.select(is_lepton & np.isin(np.abs(particles.pdgid[visible.mother]), PROMPT_PARENTS)).momenta
    found = [
        ak.zip(
            {
                **{name: getattr(vectors, name) for name in ("pt", "eta", "phi", "pdgId")},
                "matched": nearest(vectors, prompt) < MATCH_CONE,
            }
        )
        for vectors in (leptons, jets[fake])
    ]
    lepton = ak.concatenate(found, axis=1)
    lepton = lepton[ak.argsort(lepton.pt, ascending=False)]
    jet = ak.zip({name: getattr(jets[~fake], name) for name in ("pt", "eta", "phi", "mass")})
    jet = jet[ak.argsort(jet.pt, ascending=False)]

    pt = ak.fill_none(ak.pad_none(lepton.pt, 2), 0.0)
    kept = (pt[:, 0] > LEADING_PT) & (pt[:, 1] > TRAILING_PT)
    return ak.zip({"lepton": lepton[kept][:, :2], "jet": jet[kept], "met": met[kept]}, depth_limit=1)


def transverse_mass(pt_a, phi_a, pt_b, phi_b):
    """Return sqrt(2 pT_a pT_b (1 - cos(phi_a - phi_b))), GeV."""
    return np.sqrt(2 * pt_a * pt_b * (1 - np.cos(phi_a - phi_b)))


def kinematics(pt, eta, phi, met_pt, met_phi, jets: ak.Array) -> dict[str, np.ndarray]:
    """Compute the combined quantities of two leptons, the missing momentum and the jets.

    Leptons and missing momentum are massless, the latter with pseudorapidity 0. With `ll` the sum of the leptons and
    `u = -MET - ll`, a three-vector, ``upara = |u| cos(phi_u - phi_ll)`` and ``uperp = |u| sin(phi_u - phi_ll)``.

    Parameters
    ----------
    pt, eta, phi : (N, 2) float, GeV and radians
        The two leptons, by falling pT.
    met_pt, met_phi : (N,) float
    jets : (N, var) awkward array with the fields pt, eta, phi, mass, by falling pT

    Returns
    -------
    dict of (N,) float64 arrays, GeV
        `ptll`, `mll`, `mth`, `mtw1`, `mtw2`, `upara`, `uperp`, `ptTOT_cut` and `mTOT_cut`; the last two are -1 in
        events with fewer than two jets.

    Examples
    --------
    Two leptons back to back, and no jets:

    >>> no_jets = ak.Array([{"pt": 20.0, "eta": 0.0, "phi": 0.0, "mass": 1.0}])[np.newaxis][:, :0]
    >>> pt, eta, phi = np.array([[40.0, 30.0]]), np.zeros((1, 2)), np.array([[0.0, np.pi]])
    >>> values = kinematics(pt, eta, phi, np.array([10.0]), np.array([np.pi]), no_jets)
    >>> {name: round(float(values[name][0]), 6) for name in ("ptll", "mll", "mth", "mtw1", "mTOT_cut")}
    {'ptll': 10.0, 'mll': 69.282032, 'mth': 20.0, 'mtw1': 40.0, 'mTOT_cut': -1.0}
    """
    px, py, pz, energy = pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), pt * np.cosh(eta)
    llx, lly, llz, ll_energy = (component.sum(axis=1) for component in (px, py, pz, energy))
    ptll, phill = np.hypot(llx, lly), np.arctan2(lly, llx)
    metx, mety = met_pt * np.cos(met_phi), met_pt * np.sin(met_phi)
    ux, uy = -metx - llx, -mety - lly
    length, angle = np.sqrt(ux**2 + uy**2 + llz**2), np.arctan2(uy, ux) - phill

    values = {
        "ptll": ptll,
        "mll": np.sqrt(2 * pt[:, 0] * pt[:, 1] * (np.cosh(eta[:, 0] - eta[:, 1]) - np.cos(phi[:, 0] - phi[:, 1]))),
        "mth": transverse_mass(ptll, phill, met_pt, met_phi),
        "mtw1": transverse_mass(pt[:, 0], phi[:, 0], met_pt, met_phi),
        "mtw2": transverse_mass(pt[:, 1], phi[:, 1], met_pt, met_phi),
        "upara": length * np.cos(angle),
        "uperp": length * np.sin(angle),
        "ptTOT_cut": np.full(len(pt), DEFAULT),
        "mTOT_cut": np.full(len(pt), DEFAULT),
    }
    two = ak.to_numpy(ak.num(jets) >= 2)
    jpt, jeta, jphi, jmass = (ak.to_numpy(jets[name][two, :2]) for name in ("pt", "eta", "phi", "mass"))
    jet_energy = np.sqrt((jpt * np.cosh(jeta)) ** 2 + jmass**2)
    x = (llx + metx)[two] + (jpt * np.cos(jphi)).sum(axis=1)
    y = (lly + mety)[two] + (jpt * np.sin(jphi)).sum(axis=1)
    z = llz[two] + (jpt * np.sinh(jeta)).sum(axis=1)
    values["ptTOT_cut"][two] = np.hypot(x, y)
    total_energy = (ll_energy + met_pt)[two] + jet_energy.sum(axis=1)
    values["mTOT_cut"][two] = np.sqrt(np.abs(total_energy**2 - x**2 - y**2 - z**2))
    return values


def weights(pt, eta, electron, matched, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Draw or compute the factors of an event's weight, all but the cross section.

    Each is the ratio of an efficiency in data to that in simulation, or 0 where an event fails. Their shapes are ours,
    smooth in pT and eta and a few per cent from one, as such corrections are.

    Parameters
    ----------
    pt, eta : (N, 2) float
    electron, matched : (N, 2) bool
        Whether a lepton is an electron, and whether it is a generated one.
    rng : numpy.random.Generator

    Returns
    -------
    dict of (N,) float64 arrays
        Named by `coursekit.events.WEIGHT_BRANCHES`, all but the first.
    """
    # Pile-up: simulated with 32 +- 9 collisions per crossing, seen in data with 30 +- 8.
    standard = rng.normal(size=len(pt))
    pile_up = 9 / 8 * np.exp(standard**2 / 2 - ((32 + 9 * standard - 30) / 8) ** 2 / 2)
    trigger = np.prod(1 - 0.03 - 0.10 * np.exp(-(pt - [LEADING_PT, TRAILING_PT]) / 8), axis=1)
    reconstruction = np.prod(np.where(electron, 0.985 - 0.004 * eta**2, 0.998 - 0.001 * eta**2), axis=1)
    identification = np.where(electron, 0.97 - 0.03 * np.exp(-pt / 20), 0.985 - 0.01 * np.exp(-pt / 15))
    isolation = np.where(electron, 0.995, 0.997 - 0.01 * np.exp(-pt / 15))
    tight_efficiency = np.where(electron, 0.90 - 0.35 * np.exp(-pt / 15), 0.97 - 0.25 * np.exp(-pt / 12))
    tight = rng.random(pt.shape) < np.where(matched, tight_efficiency, 0.15)
    filters = rng.random((len(pt), 5)) < 0.9995  # five detector problems that fake missing momentum, all rare
    factors = (
        pile_up * trigger * reconstruction,
        np.prod(identification * isolation, axis=1),
        tight.all(axis=1).astype(float),
        matched.all(axis=1).astype(float),
        filters.all(axis=1).astype(float),
    )
    return dict(zip(WEIGHT_BRANCHES[1:], factors, strict=True))


def rounded(values, bits: int = BITS) -> np.ndarray:
    """Round to float32 with so many significant binary digits.

    Examples
    --------
    >>> rounded(np.array([1000.0, 3.14159]), bits=4).tolist()
    [1024.0, 3.25]
    """
    mantissa, exponent = np.frexp(ak.to_numpy(values).astype(np.float32))
    return np.ldexp(np.round(mantissa * 2**bits), exponent - bits).astype(np.float32)


def branches(events: ak.Array, rng: np.random.Generator) -> ak.Array:
    """Turn detected events into the branches of the file, all but the event numbers and the cross-section weight.

    Parameters
    ----------
    events : awkward array
        From `detect`.
    rng : numpy.random.Generator

    Returns
    -------
    awkward array with one field per branch; those of `Jet` are jagged
    """
    # Rounded first: whoever computes `mll` from the stored momenta finds the stored `mll`.
    # In two columns also where no event was selected, as happens in a small chunk.
    pt, eta, phi = (rounded(events.lepton[name]).reshape(-1, 2) for name in ("pt", "eta", "phi"))
    pdgid, matched = (ak.to_numpy(events.lepton[name]).reshape(-1, 2) for name in ("pdgId", "matched"))
    met_pt = rounded(np.hypot(events.met.px, events.met.py))
    met_phi = rounded(np.arctan2(events.met.py, events.met.px))
    number = ak.num(events.jet)
    jets = ak.zip({name: ak.unflatten(rounded(ak.flatten(events.jet[name])), number) for name in events.jet.fields})

    double = [values.astype(np.float64) for values in (pt, eta, phi, met_pt, met_phi)]
    columns = {
        f"{name}{i + 1}": values[:, i] for i in (0, 1) for name, values in (("pt", pt), ("eta", eta), ("phi", phi))
    }
    columns |= {"pdgId1": pdgid[:, 0], "pdgId2": pdgid[:, 1], "MET_pt": met_pt, "MET_phi": met_phi, "Jet": jets}
    columns |= {
        name: rounded(values) for name, values in kinematics(*double, ak.values_astype(jets, np.float64)).items()
    }
    columns |= {
        name: rounded(values) for name, values in weights(*double[:2], np.abs(pdgid) == 11, matched, rng).items()
    }
    # Plain numbers from here on: the behaviour of four-vectors cannot be sent to another process.
    return ak.Array(ak.zip(columns, depth_limit=1).layout)
