"""Exercises of lesson 06: the event record, the detector, clustering, angles, matching, the reference layout."""

import numpy as np

from coursekit.checks import call, describe, exercise, fail
from coursekit.checks.demands import whole_numbers
from coursekit.simulate.pythia import Particles

ETA_EDGES = np.linspace(-4.9, 4.9, 99)  # towers of 0.1 ...
PHI_EDGES = np.linspace(-np.pi, np.pi, 31)  # ... by 12 degrees

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
    """Make the record of two such events."""
    code, status, first, second = np.array(EVENT * 2).T
    shift = np.repeat([0, SIZE], SIZE)
    unused = dict.fromkeys(("px", "py", "pz", "energy", "charge", "r_mm", "z_mm"), np.zeros(2 * SIZE))
    return Particles(np.array([0, SIZE, 2 * SIZE]), code, status, shift, first + shift, second + shift, **unused)


def follow(daughters=("daughter1", "daughter2"), same=lambda code, other: code == other, steps=99):
    """Return what those write who follow copies in another way."""

    def last(particles, row):
        for _ in range(steps):
            rows = [getattr(particles, name)[row] for name in daughters]
            copies = [d for d in rows if same(particles.pdgid[row], particles.pdgid[d])]
            if not copies:
                break
            row = copies[0]
        return row

    return last


def in_range(particles, row):
    for d in range(particles.daughter1[row], particles.daughter2[row] + 1):
        if particles.pdgid[d] == particles.pdgid[row]:
            return in_range(particles, d)
    return row


def recursive(particles, row):
    for d in (particles.daughter2[row], particles.daughter1[row]):
        if particles.pdgid[d] == particles.pdgid[row]:
            return recursive(particles, d)
    return row


@exercise(
    "6.1",
    "the last copy of a particle",
    cases=lambda: [(record(), row) for row in (1, 2, 12, 11, 6, 4, 1 + SIZE, 28)],
    observe=lambda function, particles, row: {
        f"the last copy of row {row}": call(function, particles, row, name="last_copy")
    },
    demands=[whole_numbers],
    hints=(
        "A loop: while one of the two daughters has the same code as the particle, that daughter is the next copy.",
        "particles.pdgid[particles.daughter1[row]] == particles.pdgid[row] asks whether the first daughter is a copy; the copy can also be the second one, when the particle has radiated.",
        "Inside `while True:` choose the daughters with the same code; if there are none, `return row`, else go on with the first of them.",
    ),
    mistakes={
        "This is the row that went in. That is the first copy; go on to its daughters as long as one has the same code. (A function that calls itself has to `return` what comes of it.)": lambda p, i: i,
        "This goes one step only. The copy may have been copied again: repeat until no daughter has the same code.": follow(steps=1),
        "This looks at daughter1 alone. When a particle radiates, it can go on as daughter2.": follow(["daughter1"]),
        "This looks at daughter2 alone. When a particle radiates, it can go on as daughter1.": follow(["daughter2"]),
        "This takes all rows from daughter1 to daughter2, and there are none where daughter2 is the smaller. Ask the two.": in_range,
        "This follows tops only. Compare with the particle's own code, so that a W boson can be followed as well.": follow(same=lambda a, b: a == b and abs(a) == 6),
        "This takes an antiparticle for a copy. Its code has the other sign.": follow(same=lambda a, b: abs(a) == abs(b)),
        "This is the last row with the same code in the whole record, and so in another event. Follow the daughters.": lambda p, i: np.flatnonzero(p.pdgid == p.pdgid[i])[-1],
        "This is the last row with the same code in the event, maybe of another particle. Follow the daughters.": lambda p, i: np.flatnonzero((p.pdgid == p.pdgid[i]) & (p.event == p.event[i]))[-1],
        "This is one generation too far: it is what the last copy decays to.": lambda p, i: p.daughter1[last_copy(p, i)],
        "This is the code of the particle. The answer is the row where it stands.": lambda p, i: p.pdgid[i],
        "their type is float64": lambda p, i: float(last_copy(p, i)),
    },
    accepted=[recursive, follow(), lambda p, i: int(last_copy(p, i))],
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
    try:
        rows = [int(row) for row in rows]
    except (TypeError, ValueError):
        fail(f"quarks_of should return three rows of the record; what came is {describe(rows)}.")
    of = f"for the {'antitop' if particles.pdgid[top] < 0 else 'top'} in row {top}, the"
    return {f"{of} number of rows": len(rows), f"{of} first row": rows[:1], f"{of} other rows": sorted(rows[1:])}


def w_first(p, top):
    """Return the daughters of a top, the W boson first."""
    return sorted((p.daughter1[top], p.daughter2[top]), key=lambda d: -abs(p.pdgid[d]))


def with_quarks(change):
    """Return what those write who find the three quarks, and return something else of them."""
    return lambda p, top: change(p, *quarks_of(p, top))


def from_w(p, w, bottom):
    return [bottom, p.daughter1[w], p.daughter2[w]]


def bottom_by_code(p, top):
    for d in (p.daughter1[top], p.daughter2[top]):
        if abs(p.pdgid[d]) == 5:
            bottom = d
        if abs(p.pdgid[d]) == 24:
            w = last_copy(p, d)
    return from_w(p, w, bottom)


def by_ranges(p, top):
    daughters = np.arange(p.daughter1[top], p.daughter2[top] + 1)
    is_w = np.abs(p.pdgid[daughters]) == 24
    w = last_copy(p, daughters[is_w][0])
    return np.concatenate([daughters[~is_w], np.arange(p.daughter1[w], p.daughter2[w] + 1)])


@exercise(
    "6.2",
    "the three quarks of a top",
    cases=lambda: [(record(), top) for top in (6, 8, 6 + SIZE, 23)],
    observe=three_rows,
    hints=(
        "The daughters of the top's last copy are a W boson and a bottom quark, in either order. Their codes tell which is which; mind the signs of the antitop.",
        "The W boson may have copies of its own: last_copy(particles, w) before you ask for its daughters.",
        "Return [bottom, particles.daughter1[w], particles.daughter2[w]] with w the last copy of the W boson.",
    ),
    mistakes={
        "These are the daughters of the first copy of the W boson. It may be copied before it decays: take its last copy.": lambda p, top: from_w(p, *w_first(p, top)),
        "These are the daughters of the top itself, a W boson and a bottom quark. The W boson decays on.": lambda p, top: [p.daughter1[top], p.daughter2[top]],
        "The first daughter was taken for the W boson, the second for the bottom quark. Either may come first: look at the codes.": lambda p, top: from_w(p, last_copy(p, p.daughter1[top]), p.daughter2[top]),
        "The second daughter was taken for the W boson, the first for the bottom quark. Either may come first: look at the codes.": lambda p, top: from_w(p, last_copy(p, p.daughter2[top]), p.daughter1[top]),
        "Once in 600 the quark is a lighter one. It is the daughter that is no W boson, whatever its code.": bottom_by_code,
        "The bottom quark is missing.": with_quarks(lambda p, bottom, *light: light),
        "The order differs: the bottom quark first, then the two of the W boson.": with_quarks(lambda p, bottom, *light: [*light, bottom]),
        "These are the last copies of the quarks, after they have radiated. Take them as the decay makes them.": with_quarks(lambda p, *rows: [last_copy(p, row) for row in rows]),
        "These are codes. The answer is the rows where the quarks stand.": with_quarks(lambda p, *q: p.pdgid[[*q]]),
        "should return three rows of the record": with_quarks(lambda p, *q: q[0]),
    },
    accepted=[by_ranges, with_quarks(lambda p, bottom, one, other: (bottom, other, one))],
)
def quarks_of(particles, top):
    w, bottom = particles.daughter1[top], particles.daughter2[top]
    if abs(particles.pdgid[w]) != 24:
        w, bottom = bottom, w
    w = last_copy(particles, w)
    return [bottom, particles.daughter1[w], particles.daughter2[w]]


def codes_and_status():
    rng = np.random.default_rng(63)
    codes = np.array([11, 12, 13, 14, 16, 22, 130, 211, 321, 2112, 2212, 5, 21])
    yield rng.choice(codes, 400) * rng.choice([-1, 1], 400), rng.choice([-83, -71, -44, 83, 91], 400)


@exercise(
    "6.3",
    "which particles a detector can see",
    cases=codes_and_status,
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
        "Only charged particles are kept. The calorimeter sees photons and neutral hadrons too.": lambda code, status: (status > 0) & np.isin(np.abs(code), (11, 13, 211, 321, 2212)),
        "Muons are left out as well. They leave little in the calorimeter but a track in the tracker.": lambda code, status: visible(code, status) & (np.abs(code) != 13),
        "This is the opposite: True for what cannot be seen.": lambda code, status: ~visible(code, status),
        "they come as a list": lambda code, status: visible(code, status).tolist(),
        "its dtype is int64": lambda code, status: visible(code, status) * 1,
    },
    accepted=[
        lambda code, status: np.array(
            [s > 0 and abs(p) not in (12, 14, 16) for p, s in zip(code, status, strict=True)]
        ),
        lambda code, status: np.logical_and(status > 0, (code**2 != 144) & (code**2 != 196) & (code**2 != 256)),
    ],
)
def visible(pdgid, status):
    return (status > 0) & ~np.isin(np.abs(pdgid), (12, 14, 16))


def tracks():
    yield (np.tile([5.0, 100.0], 20_000),)


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


def gaussian(sigma):
    """Return what those write who draw from a Gaussian with another standard deviation, in GeV."""
    return lambda pt, rng: rng.normal(pt, sigma(pt))


def logarithmic(pt, rng, shift=0.5):
    width = np.sqrt(np.log1p(0.06**2 + (0.0015 * pt) ** 2))
    return pt * np.exp(width * rng.normal(size=len(pt)) - shift * width**2)


def uniform(pt, rng):
    half = np.sqrt(3) * pt * np.hypot(0.06, 0.0015 * pt)
    return rng.uniform(pt - half, pt + half)


@exercise(
    "6.4",
    "smeared transverse momenta",
    cases=tracks,
    observe=of_many_tracks,
    tolerance={"rtol": 0.02, "atol": 1e-6},
    hints=(
        "The relative uncertainty of each track is np.hypot(0.06, 0.0015 * pt): a sum in quadrature.",
        "The absolute one is pt times the relative one. Each track needs a random number of its own.",
        "rng.normal(mean, standard_deviation) takes arrays: rng.normal(pt, pt * np.hypot(0.06, 0.0015 * pt)).",
    ),
    mistakes={
        "one value for each track": lambda pt, rng: rng.normal(pt[0], 0.06 * pt[0]),
        "The momenta came back as they were. Add a random number to each.": lambda pt, rng: pt,
        "These are the errors of the measurement alone. The measured momentum is the true one with its error.": lambda pt, rng: rng.normal(0, pt * np.hypot(0.06, 0.0015 * pt)),
        "These are the standard deviations. Draw the measured momentum, with rng.normal.": lambda pt, rng: pt * np.hypot(0.06, 0.0015 * pt),
        "All tracks were moved by one and the same random number. Draw one for each: pass arrays, or size=len(pt).": lambda pt, rng: pt * (1 + np.hypot(0.06, 0.0015 * pt) * rng.normal()),
        "Two calls with generators of the same seed differ. Use the generator that is passed in, rng.": lambda pt, rng: smear(pt, np.random.default_rng()),
        "Another seed gives the same numbers: the function makes a generator of its own. Use rng.": lambda pt, rng: smear(pt, np.random.default_rng(1)),
        "On average the tracks gain. rng.random draws from 0 to 1; a measurement errs to both sides: rng.normal.": lambda pt, rng: pt * (1 + np.hypot(0.06, 0.0015 * pt) * rng.random(len(pt))),
        "This is uniform between two ends. A Gaussian is asked for: rng.normal.": uniform,
        "The values are sorted, so that they belong to other tracks. Keep the order.": lambda pt, rng: np.sort(smear(pt, rng)),
        "The two terms were added as they are. Independent errors add in quadrature: np.hypot(a, b).": gaussian(lambda pt: pt * (0.06 + 0.0015 * pt)),
        "The spread is the same number of GeV for all tracks. The formula is for sigma / pT: multiply by pt.": gaussian(lambda pt: np.hypot(0.06, 0.0015 * pt)),
        "All tracks are smeared by 0.06 GeV. The 0.06 is relative: multiply by pt, and add the second term in quadrature.": gaussian(lambda pt: 0.06),
        "Only the first term is there, 6% at every momentum. The second grows with pt.": gaussian(lambda p: 0.06 * p),
        "Only the second term is there.": gaussian(lambda pt: 0.0015 * pt**2),
        "These are the squares added in quadrature: take the square root, as np.hypot does.": gaussian(lambda pt: pt * (0.06**2 + (0.0015 * pt) ** 2)),
        "The mean moves; it should stay where it is.": lambda pt, rng: logarithmic(pt, rng, shift=0),
    },
    accepted=[
        logarithmic,
        lambda pt, rng: pt + pt * np.sqrt(0.06**2 + (0.0015 * pt) ** 2) * rng.standard_normal(pt.shape),
        lambda pt, rng: np.maximum([rng.normal(p, p * np.hypot(0.06, 0.0015 * p)) for p in pt], 0),
        lambda pt, rng: rng.normal(pt, 0.06 * pt) + rng.normal(0, 0.0015 * pt**2),
    ],
)
def smear(pt, rng):
    return rng.normal(pt, pt * np.hypot(0.06, 0.0015 * pt))


def particles_that_stop():
    rng = np.random.default_rng(65)
    for edge in (4, 6):  # beyond 4.9 there is no tower
        eta, phi, energy = rng.uniform(-edge, edge, 900), rng.uniform(-3, 3, 900), rng.exponential(20, 900)
        eta[:300], phi[:300] = rng.normal(1.2, 0.1, 300), rng.normal(0.5, 0.1, 300)
        yield eta, phi, energy


def histogram(eta, phi, weights=None, bins=(ETA_EDGES, PHI_EDGES), **how):
    return np.histogram2d(eta, phi, bins, weights=weights, **how)[0]


def one_by_one(keep=lambda eta: np.abs(eta) < 4.9, number=np.digitize):
    """Return what those write who find the number of each tower, and add up particle by particle."""

    def towers(eta, phi, energy):
        energies = np.zeros((98, 30))
        i, j = number(eta, ETA_EDGES) - 1, np.digitize(phi, PHI_EDGES) - 1
        np.add.at(energies, (i[keep(eta)], j[keep(eta)]), energy[keep(eta)])
        return energies

    return towers


@exercise(
    "6.5",
    "the energy of each tower",
    cases=particles_that_stop,
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
        "What flies by outside, beyond 4.9, is added to the outermost towers. No tower sees it.": one_by_one(np.isfinite, lambda eta, edges: np.digitize(eta, edges).clip(1, 98)),
        "What flies by below -4.9 has tower number -1, which is the last one in Python. No tower sees it.": one_by_one(lambda eta: eta < 4.9),
        "Some particles fly by outside, beyond 4.9, where no tower is. Leave them out.": one_by_one(np.isfinite),
    },
    accepted=[one_by_one(), lambda x, y, e: np.histogramdd((x, y), (ETA_EDGES, PHI_EDGES), weights=e)[0]],
)
def tower_energies(eta, phi, energy):
    return np.histogram2d(eta, phi, bins=(ETA_EDGES, PHI_EDGES), weights=energy)[0]


def objects():
    rng = np.random.default_rng(66)
    pt, y, phi = rng.uniform(2, 60, 6), rng.uniform(-2, 2, 6), rng.uniform(-3.1, 3.1, 6)
    yield from ((pt, y, phi, 0.7, power, delta_phi) for power in (-1, 1, 0))
    yield pt, y, phi, 0.7, -1, np.subtract


def kt_distances(function, *given):
    plainly = ", difference=np.subtract" if given[5] is np.subtract else ""
    return {f"distances(..., power={given[4]}{plainly})": call(function, *given, name="distances")}


def formed(
    weight=lambda pt, power: pt ** (2.0 * power),
    pair=np.minimum,
    separation=lambda dy, dphi: dy**2 + dphi**2,
    scale=lambda radius: radius**2,
    difference=lambda given: given,
    diagonal=True,
):
    """Return what those write who have one part of the formula otherwise."""

    def distances(pt, y, phi, radius, power, given):
        w = weight(pt, power)
        between = separation(y[:, None] - y, difference(given)(phi[:, None], phi))
        d = pair(w[:, None], w) * between / scale(radius)
        if diagonal:
            np.fill_diagonal(d, w)
        return d

    return distances


def pair_by_pair(pt, y, phi, radius, power, difference):
    d = np.zeros((len(pt), len(pt)))
    for i in range(len(pt)):
        for j in range(len(pt)):
            squared = (y[i] - y[j]) ** 2 + difference(phi[i], phi[j]) ** 2
            d[i, j] = min(pt[i] ** (2 * power), pt[j] ** (2 * power)) * squared / radius**2
        d[i, i] = pt[i] ** (2 * power)
    return d


@exercise(
    "6.6",
    "the distances of the generalised kT algorithm",
    cases=objects,
    observe=kt_distances,
    hints=(
        "y[:, np.newaxis] - y is the (P, P) array of all differences; difference(phi[:, np.newaxis], phi) does the same for the angle.",
        "w = pt ** (2 * power); np.minimum(w[:, np.newaxis], w) takes the smaller of each pair.",
        "np.fill_diagonal(d, w) writes the distances to the beam where a particle would meet itself. It changes d and returns None.",
    ),
    mistakes={
        "No `return`, or one of what np.fill_diagonal gives: it changes d itself, and returns None.": lambda *given: np.fill_diagonal(distances(*given), given[0]),
        "The angles were subtracted as they are. The function is told how to do it: difference(a, b).": formed(difference=lambda given: np.subtract),
        "The angles are wrapped here, however they are to be subtracted. The function is told: difference(a, b).": formed(difference=lambda given: delta_phi),
        "The diagonal is 0, so each particle would be its own nearest neighbour. It holds the distance to the beam, pt ** (2 * power).": formed(diagonal=False),
        "This is the larger of the two weights. With the smaller one, the hard particle of a pair decides for anti-kT.": formed(pair=np.maximum),
        "The weight is pt ** power. The exponent is 2 * power.": formed(weight=lambda pt, p: pt ** float(p)),
        "The sign of the exponent is turned round: this is kT where anti-kT is meant.": formed(weight=lambda pt, p: pt ** (-2.0 * p)),
        "This is anti-kT, whatever is passed: use `power`.": formed(weight=lambda pt, p: pt**-2),
        "It is divided by R. The formula has R squared, as the distance is squared.": formed(scale=lambda r: r),
        "It is not divided by R squared: pairs merge as if R were 1.": formed(scale=lambda r: 1),
        "This is the distance, not its square: no square root here.": formed(separation=np.hypot),
        "This has the distance over R without the square.": formed(separation=np.hypot, scale=lambda r: r),
        "The differences are added before they are squared. Square each, then add.": formed(separation=lambda y, phi: (y + phi) ** 2),
        "The weights of the two are multiplied. Take the smaller one.": formed(pair=np.multiply),
        "The weight of the first particle is used for each pair. Take the smaller of the two.": formed(pair=lambda i, j: i),
    },
    accepted=[formed(), pair_by_pair],
)
def distances(pt, y, phi, radius, power, difference):
    weight = pt ** (2 * power)
    squared = (y[:, np.newaxis] - y) ** 2 + difference(phi[:, np.newaxis], phi) ** 2
    d = np.minimum(weight[:, np.newaxis], weight) * squared / radius**2
    np.fill_diagonal(d, weight)
    return d


def azimuths():
    a, b = np.random.default_rng(67).uniform(-np.pi, np.pi, (2, 60))
    a[:2], b[:2] = (3.1, -3.1), (-3.1, 3.1)
    yield a, b
    yield a[:, np.newaxis], b


def difference_of_azimuths(function, a, b):
    far = call(function, np.array([200.0]), np.array([0.0]), name="delta_phi")
    name = f"delta_phi(a, b) for arrays of shapes {a.shape} and {b.shape}"
    return {name: call(function, a, b, name="delta_phi"), "whether 360 is a full turn": bool(np.allclose(far, -160))}


def wrapped(wrap):
    """Return what those write who move the difference in another way."""
    return lambda a, b: wrap(a - b)


@exercise(
    "6.7",
    "the difference of two azimuths",
    cases=azimuths,
    observe=difference_of_azimuths,
    hints=(
        "3.1 and -3.1 lie 0.08 apart: a full turn, 2 pi, may be added or taken off.",
        "The remainder x % (2 * np.pi) lies between 0 and 2 pi. Shift by pi before, and back by pi after.",
        "(a - b + np.pi) % (2 * np.pi) - np.pi",
    ),
    mistakes={
        "This takes a full turn of 360 degrees. The angles are in radians: a full turn is 2 pi.": wrapped(lambda d: (d + 180) % 360 - 180),
        "This is the plain difference: between 3.1 and -3.1 it gives 6.2 instead of -0.08.": wrapped(lambda d: d),
        "The sign is lost; a difference has one. (The distance squares it, but lesson 7 turns jets with it.)": wrapped(lambda d: np.arccos(np.cos(d))),
        "This is the absolute value of the plain difference: no sign, and no wrap.": wrapped(np.abs),
        "This lies between 0 and 2 pi: the small negative differences became almost a full turn. Shift by pi before the remainder, and back after it.": wrapped(lambda d: d % (2 * np.pi)),
        "This wraps at half a turn, a factor of 2 too early: opposite directions get the difference 0. A full turn is 2 pi.": wrapped(lambda d: (d + np.pi / 2) % np.pi - np.pi / 2),
        "This wraps at half a turn, a factor of 2 too early. A full turn is 2 pi.": wrapped(lambda d: (d + np.pi) % np.pi - np.pi),
        "This wraps after pi without a shift; a full turn is 2 pi.": wrapped(lambda d: d % np.pi),
        "This is b minus a; the difference is a minus b.": lambda a, b: delta_phi(b, a),
        "Only differences above pi are wrapped. Those below -pi need a full turn more.": wrapped(lambda d: np.where(d > np.pi, d - 2 * np.pi, d)),
        "Only differences below -pi are wrapped. Those above pi need a full turn less.": wrapped(lambda d: np.where(d < -np.pi, d + 2 * np.pi, d)),
        "This is the sine of the difference, which is small for opposite directions as well.": wrapped(np.sin),
        "This is shifted before the remainder but not back.": wrapped(lambda d: (d + np.pi) % (2 * np.pi)),
    },
    accepted=[
        wrapped(lambda d: np.arctan2(np.sin(d), np.cos(d))),
        wrapped(lambda d: np.where(d >= np.pi, d - 2 * np.pi, np.where(d < -np.pi, d + 2 * np.pi, d))),
        wrapped(lambda d: d - 2 * np.pi * np.round(d / (2 * np.pi))),
        wrapped(lambda d: np.angle(np.exp(1j * d))),
    ],
)
def delta_phi(a, b):
    return (a - b + np.pi) % (2 * np.pi) - np.pi


def jets_and_partons():
    rng = np.random.default_rng(68)
    jet_eta, jet_phi = rng.uniform(-2, 2, 500), rng.uniform(-np.pi, np.pi, 500)
    eta = jet_eta[:, np.newaxis] + rng.normal(0, 0.35, (500, 4))
    phi = delta_phi(jet_phi[:, np.newaxis] + rng.normal(0, 0.35, (500, 4)), 0)
    yield from ((jet_eta, jet_phi, eta, phi, radius) for radius in (0.8, 0.5))


def inside(test, difference=delta_phi):
    """Return what those write who `test` the differences in eta and phi, (N, 4) each, in another way."""

    def contained(jet_eta, jet_phi, eta, phi, radius):
        return test(eta - jet_eta[:, None], difference(phi, jet_phi[:, None]), radius)

    return contained


def jet_by_jet(jet_eta, jet_phi, eta, phi, radius):
    whole = [
        all(np.hypot(eta[i, k] - jet_eta[i], delta_phi(phi[i, k], jet_phi[i])) < radius for k in range(4))
        for i in range(len(jet_eta))
    ]
    return np.array(whole)


@exercise(
    "6.8",
    "which jets contain their top",
    cases=jets_and_partons,
    observe=lambda function, *given: {f"contained(..., radius={given[4]})": call(function, *given, name="contained")},
    hints=(
        "jet_eta[:, np.newaxis] has shape (N, 1) and can be subtracted from eta, (N, 4).",
        "np.hypot(eta - jet_eta[:, np.newaxis], delta_phi(phi, jet_phi[:, np.newaxis])) are the (N, 4) distances.",
        "(distance < radius).all(axis=1) asks for all four.",
    ),
    mistakes={
        "This has one answer for each parton. A jet contains its top when all four are inside: .all(axis=1).": inside(lambda x, y, r: np.hypot(x, y) < r),
        "One parton inside is enough here. All four must be: .all(axis=1).": inside(lambda x, y, r: (np.hypot(x, y) < r).any(axis=1)),
        "The angles are not wrapped, so jets near phi = pi lose their tops. Use delta_phi.": inside(lambda x, y, r: (np.hypot(x, y) < r).all(axis=1), np.subtract),
        "Only the top itself is asked for, column 0. Its quarks may be outside.": inside(lambda x, y, r: np.hypot(x, y)[:, 0] < r),
        "The mean distance is compared. One lost quark changes the jet: all four must be inside.": inside(lambda x, y, r: np.hypot(x, y).mean(axis=1) < r),
        "The squared distance is compared with R. Compare it with R squared, or take the root.": inside(lambda x, y, r: (x**2 + y**2 < r).all(axis=1)),
        "The distance is compared with 2 R, the width of a jet. The axis is in its middle: R to each side.": inside(lambda x, y, r: (np.hypot(x, y) < 2 * r).all(axis=1)),
        "This asks for eta and phi one by one, which is a square. Inside the circle: np.hypot of the two.": inside(lambda x, y, r: ((np.abs(x) < r) & (np.abs(y) < r)).all(axis=1)),
        "The two differences are added: distances add as the sides of a right triangle, np.hypot.": inside(lambda x, y, r: (np.abs(x) + np.abs(y) < r).all(axis=1)),
        "Only the three quarks are asked for. The top, column 0, belongs to it.": inside(lambda x, y, r: (np.hypot(x, y) < r)[:, 1:].all(axis=1)),
        "This is the opposite: True where something is outside.": inside(lambda x, y, r: (np.hypot(x, y) >= r).any(axis=1)),
        "The radius is 0.8 here, whatever is passed. Use the argument.": inside(lambda x, y, r: (np.hypot(x, y) < 0.8).all(axis=1)),
        "they come as a list": lambda *given: contained(*given).tolist(),
    },
    accepted=[
        jet_by_jet,
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


def row_of_jet(function, *jet):
    name = f"the row of a jet of {len(jet[0])} constituents"
    return {name: call(function, *jet, name="reference_row")}


def laid_out(
    key=lambda px, py, pz, energy: -np.hypot(px, py),
    columns=(3, 0, 1, 2),
    cut=slice(200),
    finish=lambda table: np.concatenate([table, np.zeros((200 - len(table), 4))]).ravel(),
):
    """Return what those write who sort, choose or fill in another way."""

    def row(*jet):
        order = np.argsort(key(*jet), kind="stable")[cut]
        return finish(np.stack([jet[k] for k in columns], axis=1)[order])

    return row


def cut_first(px, py, pz, energy):
    return reference_row(px[:200], py[:200], pz[:200], energy[:200])


def sorted_tuples(px, py, pz, energy):
    rows = sorted(zip(energy, px, py, pz, strict=True), key=lambda c: c[1] ** 2 + c[2] ** 2, reverse=True)
    return np.array([number for row in rows for number in row][:800] + [0.0] * (800 - 4 * len(rows)))


@exercise(
    "6.9",
    "a jet as a row of the reference layout",
    cases=constituents,
    observe=row_of_jet,
    hints=(
        "np.argsort(-np.hypot(px, py)) gives the order of falling pT; [:200] keeps the leading 200.",
        "np.stack([energy, px, py, pz], axis=1) has one constituent a row, shape (P, 4).",
        "Write the sorted constituents into the first rows of np.zeros((200, 4)); .ravel() makes it one row of 800.",
    ),
    mistakes={
        "The constituents are not sorted. The layout has them by falling pT.": laid_out(lambda x, y, z, e: 0 * x),
        "They are sorted by rising pT; the leading one comes first.": laid_out(lambda x, y, z, e: np.hypot(x, y)),
        "They are sorted by energy. Along the beam energy is large and pT small: sort by pT.": laid_out(lambda x, y, z, e: -e),
        "The order is px, py, pz, E. The layout has E first: E_0, PX_0, PY_0, PZ_0.": laid_out(columns=(0, 1, 2, 3)),
        "All energies come first, then all px. The layout has the four numbers of a constituent side by side.": lambda *jet: reference_row(*jet).reshape(200, 4).T.ravel(),
        "The padding stands in front. It comes after the constituents.": laid_out(finish=lambda table: np.concatenate([np.zeros((200 - len(table), 4)), table]).ravel()),
        "The row is padded with NaN. The layout has zeros there.": laid_out(finish=lambda table: np.concatenate([table, np.full((200 - len(table), 4), np.nan)]).ravel()),
        "The row is not padded: each must have 800 numbers.": laid_out(finish=np.ravel),
        "The shape is (200, 4). A row of the table is flat: .ravel().": lambda *jet: reference_row(*jet).reshape(200, 4),
        "The jet was cut to 200 constituents before they were sorted, so hard ones may be lost.": cut_first,
        "All constituents are in. The layout keeps the leading 200.": laid_out(cut=slice(None), finish=lambda table: np.pad(table.ravel(), (0, max(0, 800 - table.size)))),
        "they come as a list": lambda *jet: reference_row(*jet).tolist(),
    },
    accepted=[sorted_tuples, laid_out(), lambda *jet: reference_row(*jet).astype(np.float32)],
)
def reference_row(px, py, pz, energy):
    order = np.argsort(-np.hypot(px, py))[:200]
    row = np.zeros((200, 4))
    row[: len(order)] = np.stack([energy, px, py, pz], axis=1)[order]
    return row.ravel()
