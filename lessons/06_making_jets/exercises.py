"""Exercises of lesson 06: the event record, the detector, clustering, angles, matching, the reference layout."""

import numpy as np

from coursekit.checks import call, describe, exercise, fail
from coursekit.checks.demands import whole_numbers
from coursekit.simulate.pythia import Particles

ETA_EDGES = np.linspace(-4.9, 4.9, 99)  # towers of 0.1 ...
PHI_EDGES = np.linspace(-np.pi, np.pi, 31)  # ... by 12 degrees
AZIMUTHS = np.linspace(-3.1, 3.1, 60)
CODES = np.array([11, 12, 13, 14, 16, 22, 130, 211, 321, 2112, 2212, 5, 21])

# Code, status, first and last daughter: three tops, two of them a pair. They go on as either daughter, W bosons are
# copied before they decay, and so is a quark after its birth. The third top decays to a strange quark.
EVENT = [
    *[(90, -11, 0, 0), (6, -22, 3, 3), (-6, -22, 4, 5), (6, -44, 7, 6), (21, 51, 0, 0), (-6, -51, 8, 9)],
    *[(6, -62, 10, 11), (21, 51, 0, 0), (-6, -62, 12, 13), (21, 51, 0, 0), (5, -23, 16, 17), (24, -22, 14, 15)],
    *[(-24, -22, 18, 18), (-5, 23, 0, 0), (24, -52, 19, 20), (22, 51, 0, 0), (5, 51, 0, 0), (21, 51, 0, 0)],
    *[(-24, -52, 21, 22), (2, 23, 0, 0), (-1, 23, 0, 0), (3, 23, 0, 0), (-4, 23, 0, 0), (6, -62, 24, 25)],
    *[(24, -22, 26, 27), (3, 23, 0, 0), (2, 23, 0, 0), (-1, 23, 0, 0)],
    *[(511, -91, 29, 29), (-511, 91, 0, 0)],  # a neutral B meson, which turns into its antiparticle
]
SIZE = len(EVENT)


def record():
    code, status, first, second = np.array(EVENT * 2).T
    shift = np.repeat([0, SIZE], SIZE)
    unused = dict.fromkeys(("px", "py", "pz", "energy", "charge", "x_mm", "y_mm", "z_mm"), np.zeros(2 * SIZE))
    return Particles(np.array([0, SIZE, 2 * SIZE]), code, status, shift, first + shift, second + shift, **unused)


def daughters(particles, row):
    return [particles.daughter1[row], particles.daughter2[row]]


def follow(rows=daughters, same=lambda a, b: a == b, steps=99):
    def last(p, row):
        for _ in range(steps):
            row = next((d for d in rows(p, row) if same(p.pdgid[row], p.pdgid[d])), row)
        return row

    return last


def both_asked(p, row):
    while p.pdgid[row] in p.pdgid[daughters(p, row)]:
        row = p.daughter1[row]
    return row


@exercise(
    "6.1",
    "the last copy of a particle",
    cases=lambda: [(record(), row) for row in (1, 2, 12, 11, 6, 4, 1 + SIZE, 28)],
    observe=lambda f, p, row: {f"the last copy of row {row}": call(f, p, row, name="last_copy")},
    demands=[whole_numbers],
    hints=(
        "A loop: while one of the two daughters has the same code as the particle, that daughter is the next copy.",
        "particles.pdgid[particles.daughter1[row]] == particles.pdgid[row] asks whether the first daughter is a copy; the copy can also be the second one, when the particle has radiated.",
        "Inside `while True:` choose the daughters with the same code; if there are none, `return row`, else go on with the first of them.",
    ),
    mistakes={
        "This is the row that went in. That is the first copy; go on to its daughters as long as one has the same code. (A function that calls itself has to `return` what comes of it.)": lambda p, i: i,
        "This goes one step only. The copy may have been copied again: repeat until no daughter has the same code.": follow(steps=1),
        "This looks at daughter1 alone. When a particle radiates, it can go on as daughter2.": follow(lambda p, i: daughters(p, i)[:1]),
        "This looks at daughter2 alone. When a particle radiates, it can go on as daughter1.": follow(lambda p, i: daughters(p, i)[1:]),
        "This asks both daughters and then goes on with daughter1, whichever of them is the copy.": both_asked,
        "This takes all rows from daughter1 to daughter2, and there are none where daughter2 is the smaller. Ask the two.": follow(lambda p, i: range(p.daughter1[i], p.daughter2[i] + 1)),
        "This follows tops only. Compare with the particle's own code, so that a W boson can be followed as well.": follow(same=lambda a, b: a == b and abs(a) == 6),
        "This takes an antiparticle for a copy. Its code has the other sign.": follow(same=lambda a, b: abs(a) == abs(b)),
        "This is the last row with the same code in the whole record, and so in another event. Follow the daughters.": lambda p, i: np.flatnonzero(p.pdgid == p.pdgid[i])[-1],
        "This is the last row with the same code in the event, maybe of another particle. Follow the daughters.": lambda p, i: np.flatnonzero((p.pdgid == p.pdgid[i]) & (p.event == p.event[i]))[-1],
        "This is one generation too far: it is what the last copy decays to.": lambda p, i: p.daughter1[last_copy(p, i)],
        "This is the code of the particle. The answer is the row where it stands.": lambda p, i: p.pdgid[i],
        "their type is float64": lambda p, i: float(last_copy(p, i)),
    },
    accepted=[follow(lambda p, i: daughters(p, i)[::-1]), lambda p, i: int(last_copy(p, i))],
)
def last_copy(particles, row):
    while True:
        daughters = (particles.daughter1[row], particles.daughter2[row])
        copies = [d for d in daughters if particles.pdgid[d] == particles.pdgid[row]]
        if not copies:
            return row
        row = copies[0]


def three_rows(function, particles, top):
    rows = call(function, particles, top, name="quarks_of")
    if not isinstance(rows, list | tuple | np.ndarray) or any(map(np.ndim, rows)):
        fail(f"quarks_of should return three rows of the record; what came is {describe(rows)}.")
    return {f"for the top in row {top}, the list of rows, the last two in order,": [*rows[:1], *sorted(rows[1:])]}


def decayed(p, bottom, w, last=last_copy):
    return [bottom, *daughters(p, last(p, w))]


def bottom_by_code(p, top):
    for d in daughters(p, top):
        if abs(p.pdgid[d]) == 5:
            bottom = d
        else:
            w = d
    return decayed(p, bottom, w)


@exercise(
    "6.2",
    "the three quarks of a top",
    cases=lambda: [(record(), top) for top in (6, 8, 6 + SIZE, 23)],
    observe=three_rows,
    harmless={"answer: (particles.daughter1[top], particles.daughter2[top])": "The next line brings the two into order; only of a row that is no top it would make another thing."},
    hints=(
        "The daughters of the top's last copy are a W boson and a bottom quark, in either order. Their codes tell which is which; mind the signs of the antitop.",
        "The W boson may have copies of its own: last_copy(particles, w) before you ask for its daughters.",
        "Return [bottom, particles.daughter1[w], particles.daughter2[w]] with w the last copy of the W boson.",
    ),
    mistakes={
        "These are the daughters of the first copy of the W boson. It may be copied before it decays: take its last copy.": lambda p, top: decayed(p, *sorted(daughters(p, top), key=lambda d: abs(p.pdgid[d])), last=lambda p, w: w),
        "These are the daughters of the top itself, a W boson and a bottom quark. The W boson decays on.": daughters,
        "The first daughter was taken for the W boson, the second for the bottom quark. Either may come first: look at the codes.": lambda p, top: decayed(p, *daughters(p, top)[::-1]),
        "The second daughter was taken for the W boson, the first for the bottom quark. Either may come first: look at the codes.": lambda p, top: decayed(p, *daughters(p, top)),
        "The W boson of an antitop has the code -24, so it was taken for the bottom quark. Compare the absolute value.": lambda p, top: decayed(p, *sorted(daughters(p, top), key=lambda d: p.pdgid[d] == 24)),
        "Once in 600 the quark is a lighter one. It is the daughter that is no W boson, whatever its code.": bottom_by_code,
        "The bottom quark is missing.": lambda p, top: quarks_of(p, top)[1:],
        "The order differs: the bottom quark first, then the two of the W boson.": lambda p, top: np.roll(quarks_of(p, top), -1),
        "These are the last copies of the quarks, after they have radiated. Take them as the decay makes them.": lambda p, top: [last_copy(p, row) for row in quarks_of(p, top)],
        "These are codes. The answer is the rows where the quarks stand.": lambda p, top: p.pdgid[quarks_of(p, top)],
        "should return three rows of the record": lambda p, top: quarks_of(p, top)[0],
    },
    accepted=[
        lambda p, top: np.array(decayed(p, *sorted(daughters(p, top), key=lambda d: abs(p.pdgid[d]))))[[0, 2, 1]]
    ],
)
def quarks_of(particles, top):
    w, bottom = particles.daughter1[top], particles.daughter2[top]
    if abs(particles.pdgid[w]) != 24:
        w, bottom = bottom, w
    w = last_copy(particles, w)
    return [bottom, particles.daughter1[w], particles.daughter2[w]]


@exercise(
    "6.3",
    "which particles a detector can see",
    cases=lambda: [(np.repeat([*CODES, *-CODES], 5), np.tile([-83, -71, -44, 83, 91], 2 * len(CODES)))],
    returns=("visible(pdgid, status)",),
    hints=(
        "Two conditions, joined by &: the particle is final, and it is not a neutrino.",
        "Neutrinos have the codes 12, 14 and 16, antineutrinos the same with a minus sign: np.abs(pdgid).",
        "(status > 0) & ~np.isin(np.abs(pdgid), (12, 14, 16))",
    ),
    mistakes={
        "The neutrinos are counted as seen. They pass through any detector. (Without parentheses & is done before >, and `!= 12 | != 14` is true of every code.)": lambda code, status: status > 0,
        "The antineutrinos are counted as seen; their codes are negative. Compare np.abs(pdgid).": lambda code, status: (status > 0) & ~np.isin(code, (12, 14, 16)),
        "Only electron neutrinos are left out. Muon and tau neutrinos have the codes 14 and 16.": lambda code, status: (status > 0) & (np.abs(code) != 12),
        "Particles on the way are counted, which have decayed or radiated since: each momentum enters several times. Keep status > 0.": lambda code, status: ~np.isin(np.abs(code), (12, 14, 16)),
        "Final particles have the status 1 in HepMC files. In Pythia's own record every positive status is final: status > 0.": lambda code, status: (status == 1) & ~np.isin(np.abs(code), (12, 14, 16)),
        "Only charged particles are kept. The calorimeter sees photons and neutral hadrons too.": lambda code, status: (status > 0) & np.isin(np.abs(code), (11, 13, 211, 321, 2212)),
        "Muons are left out as well. They leave little in the calorimeter but a track in the tracker.": lambda code, status: visible(code, status) & (np.abs(code) != 13),
        "This is the opposite: True for what cannot be seen.": lambda code, status: ~visible(code, status),
        "they come as a list": lambda code, status: visible(code, status).tolist(),
        "its dtype is int64": lambda code, status: visible(code, status) * 1,
    },
    accepted=[
        lambda *given: np.array([s > 0 and abs(c) not in (12, 14, 16) for c, s in zip(*given, strict=True)]),
        lambda code, status: np.logical_and(status > 0, (code**2 != 144) & (code**2 != 196) & (code**2 != 256)),
    ],
)
def visible(pdgid, status):
    return (status > 0) & ~np.isin(np.abs(pdgid), (12, 14, 16))


def of_many_tracks(function, pt):
    # with the seed 75 the right answer comes out as expected to 0.1%: others draw otherwise, and have all of the 2%
    values, again, other = (call(function, pt, np.random.default_rng(seed), name="smear") for seed in (75, 75, 76))
    if np.shape(values) != pt.shape:
        fail(f"smear(pt, rng) has shape {np.shape(values)}, expected {pt.shape}: one value for each track.")
    soft, hard = (np.asarray(values) / pt).reshape(-1, 2).T
    sigma = np.hypot(0.06, 0.0015 * pt[:2])
    off = np.array([soft.mean(), hard.mean()]) - 1
    return {
        "the mean over the true pT, in %, at 5 and 100 GeV": np.rint(100 * off) + 100,
        "the spread over the true pT, in %, at 5 and 100 GeV": 100 * np.array([soft.std(), hard.std()]),
        "the share of tracks of 5 GeV within one standard deviation, in %": 100 * np.mean(np.abs(soft - 1) < sigma[0]),
        "whether the mean stays where it is": bool((np.abs(off) < 5 * sigma / np.sqrt(len(soft))).all()),
        "whether the same seed gives the same values": np.array_equal(values, again),
        "whether another seed gives other values": not np.array_equal(values, other),
    }


@exercise(
    "6.4",
    "smeared transverse momenta",
    cases=lambda: [(np.tile([5.0, 100.0], 20_000),)],
    observe=of_many_tracks,
    tolerance={"rtol": 0.02, "atol": 1e-6},
    harmless={
        "accepted 1: (1 + (s := (0.06 ** 2 + (0.0015 * pt) ** 2))) ** 0.5": "The mean moves by less than a thousandth, which 20 000 tracks do not show.",
        "accepted 2: np.maximum([rng.normal(p, p * np.hypot(0.06, 0.0015 * p)) for p in pt], 0)": "No track of 5 GeV is measured below 1 GeV, 13 standard deviations away.",
    },
    hints=(
        "The relative uncertainty of each track is np.hypot(0.06, 0.0015 * pt): a sum in quadrature.",
        "The absolute one is pt times the relative one. Each track needs a random number of its own.",
        "rng.normal(mean, standard_deviation) takes arrays: rng.normal(pt, pt * np.hypot(0.06, 0.0015 * pt)).",
    ),
    mistakes={
        "one value for each track": lambda pt, rng: rng.normal(pt[0], 0.06 * pt[0]),
        "The momenta came back as they were. Add a random number to each.": lambda pt, rng: pt,
        "These are the errors of the measurement alone. The measured momentum is the true one with its error.": lambda pt, rng: smear(pt, rng) - pt,
        "These are the standard deviations. Draw the measured momentum, with rng.normal.": lambda pt, rng: pt * np.hypot(0.06, 0.0015 * pt),
        "All tracks were moved by one and the same random number. Draw one for each: pass arrays, or size=len(pt).": lambda pt, rng: pt * (1 + np.hypot(0.06, 0.0015 * pt) * rng.normal()),
        "Two calls with generators of the same seed differ. Use the generator that is passed in, rng.": lambda pt, rng: smear(pt, np.random.default_rng()),
        "Another seed gives the same numbers: the function makes a generator of its own. Use rng.": lambda pt, rng: smear(pt, np.random.default_rng(1)),
        "On average the tracks gain. rng.random draws from 0 to 1; a measurement errs to both sides: rng.normal.": lambda pt, rng: pt * (1 + np.hypot(0.06, 0.0015 * pt) * rng.random(len(pt))),
        "This is uniform between two ends. A Gaussian is asked for: rng.normal.": lambda pt, rng: pt * (1 + np.hypot(0.06, 0.0015 * pt) * rng.uniform(-(3**0.5), 3**0.5, len(pt))),
        "The values are sorted, so that they belong to other tracks. Keep the order.": lambda pt, rng: np.sort(smear(pt, rng)),
        "The two terms were added as they are. Independent errors add in quadrature: np.hypot(a, b).": lambda pt, rng: rng.normal(pt, pt * (0.06 + 0.0015 * pt)),
        "The spread is the same number of GeV for all tracks. The formula is for sigma / pT: multiply by pt.": lambda pt, rng: rng.normal(pt, np.hypot(0.06, 0.0015 * pt)),
        "All tracks are smeared by 0.06 GeV. The 0.06 is relative: multiply by pt, and add the second term in quadrature.": lambda pt, rng: rng.normal(pt, 0.06),
        "This is Gaussian in 1/pT, as the error of a real tracker is, and so on average too large in pT. Here pT itself is drawn from a Gaussian; the lesson comes to this next.": lambda pt, rng: 1 / rng.normal(1 / pt, np.hypot(0.06, 0.0015 * pt) / pt),
        "Only the first term is there, 6% at every momentum. The second grows with pt.": lambda pt, rng: rng.normal(pt, 0.06 * pt),
        "Only the second term is there.": lambda pt, rng: rng.normal(pt, 0.0015 * pt**2),
        "These are the squares added in quadrature: take the square root, as np.hypot does.": lambda pt, rng: rng.normal(pt, pt * (0.06**2 + (0.0015 * pt) ** 2)),
        "The mean moves; it should stay where it is.": lambda pt, rng: pt * rng.lognormal(0, np.sqrt(np.log1p(0.06**2 + (0.0015 * pt) ** 2))),
    },
    accepted=[
        lambda pt, rng: pt / (1 + (s := 0.06**2 + (0.0015 * pt) ** 2)) ** 0.5 * rng.lognormal(0, np.log1p(s) ** 0.5),
        lambda pt, rng: np.maximum([rng.normal(p, p * np.hypot(0.06, 0.0015 * p)) for p in pt], 0),
        lambda pt, rng: rng.normal(pt, 0.06 * pt) + rng.normal(0, 0.0015 * pt**2),
    ],
)
def smear(pt, rng):
    return rng.normal(pt, pt * np.hypot(0.06, 0.0015 * pt))


def histogram(eta, phi, weights=None, bins=(ETA_EDGES, PHI_EDGES), **how):
    return np.histogram2d(eta, phi, bins, weights=weights, **how)[0]


def by_number(eta, phi, energy):
    towers = np.zeros((98, 30))
    np.add.at(towers, (np.digitize(eta, ETA_EDGES) - 1, np.digitize(phi, PHI_EDGES) - 1), energy)
    return towers


@exercise(
    "6.5",
    "the energy of each tower",
    cases=lambda: [tuple(np.random.default_rng(65).uniform([-a, -3, 0], [a, 3, 50], (2000, 3)).T) for a in (4, 6)],
    returns=("tower_energies(eta, phi, energy)",),
    hints=(
        "A tower is a bin in (eta, phi): np.histogram2d counts particles in bins.",
        "weights=energy makes it add energies; bins=(ETA_EDGES, PHI_EDGES) makes the bins the towers.",
        "histogram2d returns the histogram and the edges: [0] is the histogram.",
    ),
    mistakes={
        "np.histogram2d returns the histogram together with the edges. Return the histogram alone, [0].": lambda x, y, e: np.histogram2d(x, y, (ETA_EDGES, PHI_EDGES), weights=e),
        "These are numbers of particles. A calorimeter measures energy: weights=energy.": lambda x, y, e: histogram(x, y),
        "Eta and phi are exchanged: the first axis is eta, 98 towers, the second phi, 30.": lambda x, y, e: histogram(y, x, e, (PHI_EDGES, ETA_EDGES)),
        "These are transverse momenta. What stops in a tower leaves its energy there.": lambda x, y, e: histogram(x, y, e / np.cosh(x)),
        "The towers begin and end with the data, so they differ from event to event. Use ETA_EDGES and PHI_EDGES.": lambda x, y, e: histogram(x, y, e, (98, 30)),
        "This is divided by the size of the bins and the sum: density=True makes a density, not an energy.": lambda x, y, e: histogram(x, y, e, density=True),
        "This is the mean energy of the particles in a tower. A tower sees their sum.": lambda x, y, e: histogram(x, y, e) / np.maximum(histogram(x, y), 1),
        "Phi was turned into degrees, but the edges are in radians.": lambda x, y, e: histogram(x, np.degrees(y), e),
        "What flies by outside, beyond 4.9, is added to the outermost towers. No tower sees it.": lambda x, y, e: by_number(x.clip(-4.85, 4.85), y, e),
        "What flies by below -4.9 has tower number -1, which is the last one in Python. No tower sees it.": lambda x, y, e: by_number(x[x < 4.9], y[x < 4.9], e[x < 4.9]),
        "Some particles fly by outside, beyond 4.9, where no tower is. Leave them out.": by_number,
    },
    accepted=[
        lambda *given: by_number(*(part[np.abs(given[0]) < 4.9] for part in given)),
        lambda x, y, e: np.histogramdd((x, y), (ETA_EDGES, PHI_EDGES), weights=e)[0],
    ],
)
def tower_energies(eta, phi, energy):
    return np.histogram2d(eta, phi, bins=(ETA_EDGES, PHI_EDGES), weights=energy)[0]


def formed(pair=np.minimum, separation=lambda y, phi: y**2 + phi**2):
    return lambda pt, y, phi, radius, power, difference: np.where(
        np.eye(len(pt)),
        w := pt ** (2.0 * power),
        pair(w[:, None], w) * separation(y[:, None] - y, difference(phi[:, None], phi)) / radius**2,
    )


@exercise(
    "6.6",
    "the distances of the generalised kT algorithm",
    cases=lambda: [
        (*np.random.default_rng(66).uniform([[2], [-2], [-3.1]], [[60], [2], [3.1]], (3, 6)), 0.7, power, difference)
        for power, difference in ((-1, delta_phi), (1, delta_phi), (0, delta_phi), (-1, np.subtract))
    ],
    observe=lambda f, *given: {f"distances(..., {given[4]}, {given[5].__name__})": call(f, *given, name="distances")},
    hints=(
        "y[:, np.newaxis] - y is the (P, P) array of all differences; difference(phi[:, np.newaxis], phi) does the same for the angle.",
        "w = pt ** (2 * power); np.minimum(w[:, np.newaxis], w) takes the smaller of each pair.",
        "np.fill_diagonal(d, w) writes the distances to the beam where a particle would meet itself. It changes d and returns None.",
    ),
    mistakes={
        "No `return`, or one of what np.fill_diagonal gives: it changes d itself, and returns None.": lambda *given: np.fill_diagonal(distances(*given), given[0]),
        "The angles were subtracted as they are. The function is told how to do it: difference(a, b).": lambda *given: distances(*given[:5], np.subtract),
        "The angles are wrapped here, however they are to be subtracted. The function is told: difference(a, b).": lambda *given: distances(*given[:5], delta_phi),
        "The diagonal is 0, so each particle would be its own nearest neighbour. It holds the distance to the beam, pt ** (2 * power).": lambda *given: distances(*given) * (1 - np.eye(len(given[0]))),
        "This is the larger of the two weights. With the smaller one, the hard particle of a pair decides for anti-kT.": formed(pair=np.maximum),
        "The weight is pt ** power. The exponent is 2 * power.": lambda pt, y, phi, r, power, wrap: distances(pt, y, phi, r, power / 2, wrap),
        "The sign of the exponent is turned round: this is kT where anti-kT is meant.": lambda pt, y, phi, r, power, wrap: distances(pt, y, phi, r, -power, wrap),
        "This is anti-kT, whatever is passed: use `power`.": lambda pt, y, phi, r, power, wrap: distances(pt, y, phi, r, -1, wrap),
        "It is divided by R. The formula has R squared, as the distance is squared.": lambda pt, y, phi, r, *how: distances(pt, y, phi, np.sqrt(r), *how),
        "It is not divided by R squared: pairs merge as if R were 1.": lambda pt, y, phi, r, *how: distances(pt, y, phi, 1, *how),
        "This is the distance, not its square: no square root here.": formed(separation=np.hypot),
        "This has the distance over R without the square.": lambda pt, y, phi, r, *how: formed(separation=np.hypot)(pt, y, phi, np.sqrt(r), *how),
        "The differences are added before they are squared. Square each, then add.": formed(separation=lambda y, phi: (y + phi) ** 2),
        "The weights of the two are multiplied. Take the smaller one.": formed(pair=np.multiply),
        "The weight of the first particle is used for each pair. Take the smaller of the two.": formed(pair=lambda i, j: i),
    },
    accepted=[formed(), formed(lambda a, b: np.where(a < b, a, b), lambda y, phi: np.hypot(y, phi) ** 2)],
)
def distances(pt, y, phi, radius, power, difference):
    weight = pt ** (2 * power)
    squared = (y[:, np.newaxis] - y) ** 2 + difference(phi[:, np.newaxis], phi) ** 2
    d = np.minimum(weight[:, np.newaxis], weight) * squared / radius**2
    np.fill_diagonal(d, weight)
    return d


@exercise(
    "6.7",
    "the difference of two azimuths",
    cases=lambda: [(AZIMUTHS, AZIMUTHS[::-1]), (AZIMUTHS[:, np.newaxis], AZIMUTHS)],
    returns=("delta_phi(a, b)",),
    hints=(
        "3.1 and -3.1 lie 0.08 apart: a full turn, 2 pi, may be added or taken off.",
        "The remainder x % (2 * np.pi) lies between 0 and 2 pi. Shift by pi before, and back by pi after.",
        "(a - b + np.pi) % (2 * np.pi) - np.pi",
    ),
    mistakes={
        "This is the plain difference: between 3.1 and -3.1 it gives 6.2 instead of -0.08. (With a full turn of 360 degrees as well: the angles are in radians, a full turn is 2 pi.)": lambda a, b: (a - b + 180) % 360 - 180,
        "The sign is lost; a difference has one. (The distance squares it, but lesson 7 turns jets with it.)": lambda a, b: np.arccos(np.cos(a - b)),
        "This is the absolute value of the plain difference: no sign, and no wrap.": lambda a, b: np.abs(a - b),
        "This lies between 0 and 2 pi: the small negative differences became almost a full turn. Shift by pi before the remainder, and back after it.": lambda a, b: (a - b) % (2 * np.pi),
        "This wraps at half a turn, a factor of 2 too early: opposite directions get the difference 0. A full turn is 2 pi.": lambda a, b: (a - b + np.pi / 2) % np.pi - np.pi / 2,
        "This wraps at half a turn, a factor of 2 too early. A full turn is 2 pi.": lambda a, b: (a - b + np.pi) % np.pi - np.pi,
        "This wraps after pi without a shift; a full turn is 2 pi.": lambda a, b: (a - b) % np.pi,
        "This is b minus a; the difference is a minus b.": lambda a, b: delta_phi(b, a),
        "Only differences above pi are wrapped. Those below -pi need a full turn more.": lambda a, b: np.where(a - b > np.pi, a - b - 2 * np.pi, a - b),
        "Only differences below -pi are wrapped. Those above pi need a full turn less.": lambda a, b: np.where(a - b < -np.pi, a - b + 2 * np.pi, a - b),
        "This is the sine of the difference, which is small for opposite directions as well.": lambda a, b: np.sin(a - b),
        "This is shifted before the remainder but not back.": lambda a, b: (a - b + np.pi) % (2 * np.pi),
    },
    accepted=[
        lambda a, b: np.arctan2(np.sin(a - b), np.cos(a - b)),
        lambda a, b: np.where(a - b >= np.pi, a - b - 2 * np.pi, np.where(a - b < -np.pi, a - b + 2 * np.pi, a - b)),
        lambda a, b: a - b - 2 * np.pi * np.round((a - b) / (2 * np.pi)),
    ],
)
def delta_phi(a, b):
    return (a - b + np.pi) % (2 * np.pi) - np.pi


def jets_and_partons():
    rng = np.random.default_rng(68)
    jet_eta, jet_phi = rng.uniform(-2, 2, 500), rng.uniform(-np.pi, np.pi, 500)
    eta = jet_eta[:, np.newaxis] + rng.normal(0, 0.35, (500, 4))
    phi = delta_phi(jet_phi[:, np.newaxis] + rng.normal(0, 0.35, (500, 4)), 0)
    jet_eta[:20], eta[:20] = -3.1, rng.normal(-3.1, 0.1, (20, 4))
    eta[:20, 1] += 2 * np.pi  # far away: only phi goes round
    yield from ((jet_eta, jet_phi, eta, phi, radius) for radius in (0.8, 0.5))


def inside(test, difference=delta_phi):
    """Return what those write who `test` the differences in eta and phi, (N, 4) each, in another way."""
    return lambda jet_eta, jet_phi, x, y, r: test(x - jet_eta[:, None], difference(y, jet_phi[:, None]), r)


@exercise(
    "6.8",
    "which jets contain their top",
    cases=jets_and_partons,
    observe=lambda f, *given: {f"contained(..., radius={given[4]})": call(f, *given, name="contained")},
    hints=(
        "jet_eta[:, np.newaxis] has shape (N, 1) and can be subtracted from eta, (N, 4).",
        "np.hypot(eta - jet_eta[:, np.newaxis], delta_phi(phi, jet_phi[:, np.newaxis])) are the (N, 4) distances.",
        "(distance < radius).all(axis=1) asks for all four.",
    ),
    mistakes={
        "This has one answer for each parton. A jet contains its top when all four are inside: .all(axis=1).": inside(lambda x, y, r: np.hypot(x, y) < r),
        "One parton inside is enough here. All four must be: .all(axis=1).": inside(lambda x, y, r: (np.hypot(x, y) < r).any(axis=1)),
        "The angles are not wrapped, so jets near phi = pi lose their tops. Use delta_phi.": inside(lambda x, y, r: (np.hypot(x, y) < r).all(axis=1), np.subtract),
        "Eta was wrapped as well: a quark at 3.1 became the neighbour of a jet at -3.1. Only phi goes round; eta is subtracted as it is.": lambda jet_eta, jet_phi, eta, phi, r: contained(jet_eta, jet_phi, jet_eta[:, None] + delta_phi(eta, jet_eta[:, None]), phi, r),
        "Only the top itself is asked for, column 0. Its quarks may be outside.": inside(lambda x, y, r: np.hypot(x, y)[:, 0] < r),
        "The mean distance is compared. One lost quark changes the jet: all four must be inside.": inside(lambda x, y, r: np.hypot(x, y).mean(axis=1) < r),
        "The squared distance is compared with R. Compare it with R squared, or take the root.": inside(lambda x, y, r: (x**2 + y**2 < r).all(axis=1)),
        "The distance is compared with 2 R, the width of a jet. The axis is in its middle: R to each side.": lambda *given: contained(*given[:4], 2 * given[4]),
        "This asks for eta and phi one by one, which is a square. Inside the circle: np.hypot of the two.": inside(lambda x, y, r: ((np.abs(x) < r) & (np.abs(y) < r)).all(axis=1)),
        "The two differences are added: distances add as the sides of a right triangle, np.hypot.": inside(lambda x, y, r: (np.abs(x) + np.abs(y) < r).all(axis=1)),
        "Only the three quarks are asked for. The top, column 0, belongs to it.": inside(lambda x, y, r: (np.hypot(x, y) < r)[:, 1:].all(axis=1)),
        "This is the opposite: True where something is outside.": lambda *given: ~contained(*given),
        "The radius is 0.8 here, whatever is passed. Use the argument.": lambda *given: contained(*given[:4], 0.8),
        "they come as a list": lambda *given: contained(*given).tolist(),
    },
    accepted=[
        inside(lambda x, y, r: np.hypot(x, y).max(axis=1) <= r),
        inside(lambda x, y, r: np.sum(x**2 + y**2 < r**2, axis=1) == 4),
    ],
)
def contained(jet_eta, jet_phi, eta, phi, radius):
    d_eta = eta - jet_eta[:, np.newaxis]
    d_phi = delta_phi(phi, jet_phi[:, np.newaxis])
    return (np.hypot(d_eta, d_phi) < radius).all(axis=1)


def constituents():
    rng = np.random.default_rng(69)
    for size in (5, 230):
        pt, eta, phi = rng.exponential(10, size) + 0.1, rng.uniform(-2, 2, size), rng.uniform(-3, 3, size)
        yield pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), pt * np.cosh(eta)


def sorted_by(key, n=200):
    return lambda *jet: np.append(np.roll(jet, 1, 0)[:, np.argsort(key(*jet))[:n]].T, (800 - 4 * len(jet[0])) * [0.0])


@exercise(
    "6.9",
    "a jet as a row of the reference layout",
    cases=constituents,
    observe=lambda f, *jet: {f"the row of a jet of {len(jet[0])} constituents": call(f, *jet, name="reference_row")},
    hints=(
        "np.argsort(-np.hypot(px, py)) gives the order of falling pT; [:200] keeps the leading 200.",
        "np.stack([energy, px, py, pz], axis=1) has one constituent a row, shape (P, 4).",
        "Write the sorted constituents into the first rows of np.zeros((200, 4)); .ravel() makes it one row of 800.",
    ),
    mistakes={
        "The constituents are not sorted. The layout has them by falling pT.": sorted_by(lambda x, y, z, e: np.arange(len(x))),
        "They are sorted by rising pT; the leading one comes first.": sorted_by(lambda x, y, z, e: np.hypot(x, y)),
        "They are sorted by energy. Along the beam energy is large and pT small: sort by pT.": sorted_by(lambda x, y, z, e: -e),
        "The order is px, py, pz, E. The layout has E first: E_0, PX_0, PY_0, PZ_0.": lambda *jet: reference_row(*jet).reshape(200, 4)[:, [1, 2, 3, 0]].ravel(),
        "All energies come first, then all px. The layout has the four numbers of a constituent side by side.": lambda *jet: reference_row(*jet).reshape(200, 4).T.ravel(),
        "The padding stands in front. It comes after the constituents.": lambda *jet: np.roll(reference_row(*jet), 4 * max(0, 200 - len(jet[0]))),
        "The row is padded with NaN. The layout has zeros there.": lambda *jet: np.where(np.arange(800) < 4 * len(jet[0]), reference_row(*jet), np.nan),
        "The row is not padded: each must have 800 numbers.": lambda *jet: reference_row(*jet)[: 4 * len(jet[0])],
        "The shape is (200, 4). A row of the table is flat: .ravel().": lambda *jet: reference_row(*jet).reshape(200, 4),
        "The jet was cut to 200 constituents before they were sorted, so hard ones may be lost.": lambda *jet: reference_row(*(part[:200] for part in jet)),
        "All constituents are in. The layout keeps the leading 200.": sorted_by(lambda x, y, z, e: -np.hypot(x, y), n=None),
        "they come as a list": lambda *jet: reference_row(*jet).tolist(),
    },
    accepted=[
        lambda *jet: sorted_by(lambda x, y, z, e: -np.hypot(x, y))(*jet).astype(np.float32),
        lambda *p: np.resize(sorted([*np.roll(p, 1, 0).T, *np.zeros((200, 4))], key=lambda c: -np.hypot(*c[1:3])), 800),
    ],
)
def reference_row(px, py, pz, energy):
    order = np.argsort(-np.hypot(px, py))[:200]
    row = np.zeros((200, 4))
    row[: len(order)] = np.stack([energy, px, py, pz], axis=1)[order]
    return row.ravel()
