"""Exercises of lesson 06: the event record, the detector, clustering, angles, matching, the reference layout."""

import numpy as np

from coursekit.checks.engine import call, describe, exercise, expect_close, expect_equal, fail
from coursekit.simulate.pythia import Particles

ETA_EDGES = np.linspace(-4.9, 4.9, 99)  # towers of 0.1 ...
PHI_EDGES = np.linspace(-np.pi, np.pi, 31)  # ... by 12 degrees
TRACK_A, TRACK_B = 0.06, 0.0015
N_ROW = 200

# --- references: what a good answer looks like ------------------------------------------------------------------------


def last_copy(particles, row):
    while True:
        daughters = (particles.daughter1[row], particles.daughter2[row])
        copies = [d for d in daughters if particles.pdgid[d] == particles.pdgid[row]]
        if not copies:
            return row
        row = copies[0]


def quarks_of(particles, top):
    w, bottom = particles.daughter1[top], particles.daughter2[top]
    if abs(particles.pdgid[w]) != 24:
        w, bottom = bottom, w
    w = last_copy(particles, w)
    return [bottom, particles.daughter1[w], particles.daughter2[w]]


def visible(pdgid, status):
    return (status > 0) & ~np.isin(np.abs(pdgid), (12, 14, 16))


def smear(pt, rng):
    return rng.normal(pt, pt * np.hypot(TRACK_A, TRACK_B * pt))


def tower_energies(eta, phi, energy):
    return np.histogram2d(eta, phi, bins=(ETA_EDGES, PHI_EDGES), weights=energy)[0]


def distances(pt, y, phi, radius, power, difference):
    weight = pt ** (2 * power)
    squared = (y[:, np.newaxis] - y) ** 2 + difference(phi[:, np.newaxis], phi) ** 2
    d = np.minimum(weight[:, np.newaxis], weight) * squared / radius**2
    np.fill_diagonal(d, weight)
    return d


def delta_phi(a, b):
    return (a - b + np.pi) % (2 * np.pi) - np.pi


def contained(jet_eta, jet_phi, eta, phi, radius):
    d_eta = eta - jet_eta[:, np.newaxis]
    return (np.hypot(d_eta, delta_phi(phi, jet_phi[:, np.newaxis])) < radius).all(axis=1)


def reference_row(px, py, pz, energy):
    order = np.argsort(-np.hypot(px, py))[:N_ROW]
    row = np.zeros((N_ROW, 4))
    row[: len(order)] = np.stack([energy, px, py, pz], axis=1)[order]
    return row.ravel()


# --- a small record to try answers on ---------------------------------------------------------------------------------

# code, status, first and last daughter: a top pair in two events. The antitop of each goes on as the *second* daughter,
# the W bosons are copied before they decay, and so is a quark after its birth.
_EVENT = (
    (90, -11, 0, 0),
    (6, -22, 3, 3),
    (-6, -22, 4, 5),
    (6, -44, 6, 7),
    (21, 51, 0, 0),
    (-6, -51, 8, 9),
    (6, -62, 11, 10),
    (21, 51, 0, 0),
    (-6, -62, 12, 13),
    (21, 51, 0, 0),
    (24, -22, 14, 15),
    (5, -23, 16, 17),
    (-24, -22, 18, 18),
    (-5, 23, 0, 0),
    (24, -52, 19, 20),
    (22, 51, 0, 0),
    (5, 51, 0, 0),
    (21, 51, 0, 0),
    (-24, -52, 21, 22),
    (2, 23, 0, 0),
    (-1, 23, 0, 0),
    (3, 23, 0, 0),
    (-4, 23, 0, 0),
)


def _record() -> Particles:
    size = len(_EVENT)
    code, status, first, second = np.array(_EVENT * 2).T
    shift = np.repeat([0, size], size)
    zero = np.zeros(2 * size)
    return Particles(
        offsets=np.array([0, size, 2 * size]),
        pdgid=code.astype(np.int32),
        status=status.astype(np.int32),
        mother=shift,
        daughter1=first + shift,
        daughter2=second + shift,
        **{name: zero.copy() for name in ("px", "py", "pz", "energy", "charge", "r_mm", "z_mm")},
    )


# --- tests ------------------------------------------------------------------------------------------------------------


@exercise(
    "6.1",
    "the last copy of a particle",
    hints=(
        "A loop: while one of the two daughters has the same code as the particle, that daughter is the next copy.",
        "particles.pdgid[particles.daughter1[row]] == particles.pdgid[row] asks whether the first daughter is a copy; "
        "the copy can also be the second one, when the particle has radiated.",
        "Inside `while True:` choose the daughters with the same code; if there are none, `return row`, else go on "
        "with the first of them.",
    ),
    reference=lambda: last_copy,
)
def _(function):
    particles = _record()
    code, first, second = particles.pdgid, particles.daughter1, particles.daughter2
    rows = [1, 2, 12, 10, 6, 1 + len(_EVENT)]

    def follow(row, same, daughters, steps=99):
        for _ in range(steps):
            copies = [d[row] for d in daughters if same(row, d[row])]
            if not copies:
                break
            row = copies[0]
        return row

    def equal(a, b):
        return code[a] == code[b]

    both = (first, second)
    wrong = {
        "This is the row that went in. That is the first copy; go on to its daughters as long as one has the same "
        "code.": rows,
        "This goes one step only. The copy may have been copied again: repeat until no daughter has the same code.": [
            follow(row, equal, both, 1) for row in rows
        ],
        "This looks at daughter1 alone. When a particle radiates, it can go on as daughter2.": [
            follow(row, equal, (first,)) for row in rows
        ],
        "This looks at daughter2 alone. When a particle radiates, it can go on as daughter1.": [
            follow(row, equal, (second,)) for row in rows
        ],
        "This follows tops only. Compare with the particle's own code, so that a W boson can be followed as well.": [
            follow(row, lambda a, b: equal(a, b) and abs(code[a]) == 6, both) for row in rows
        ],
        "This is the last row with the same code in the whole record, and so in another event. Follow the daughters.": [
            np.flatnonzero(code == code[row])[-1] for row in rows
        ],
        "This is one generation too far: it is what the last copy decays to.": [
            first[follow(row, equal, both)] for row in rows
        ],
        "This is the code of the particle. The answer is the row where it stands.": [code[row] for row in rows],
    }
    answers = [call(function, particles, row, name="last_copy") for row in rows]
    try:
        answers = [int(answer) for answer in answers]
    except (TypeError, ValueError):
        fail(f"last_copy should return one row; what came is {describe(answers[0])}.")
    expect_equal(
        f"for the rows {rows}, the list of last copies",
        answers,
        [int(last_copy(particles, row)) for row in rows],
        mistakes={sentence: [int(row) for row in value] for sentence, value in wrong.items()},
    )


@exercise(
    "6.2",
    "the three quarks of a top",
    hints=(
        "The daughters of the top's last copy are a W boson and a bottom quark, in either order. Their codes tell "
        "which is which; mind the signs of the antitop.",
        "The W boson may have copies of its own: last_copy(particles, w) before you ask for its daughters.",
        "Return [bottom, particles.daughter1[w], particles.daughter2[w]] with w the last copy of the W boson.",
    ),
    reference=lambda: quarks_of,
)
def _(function):
    particles = _record()
    code, first, second = particles.pdgid, particles.daughter1, particles.daughter2
    for top in (6, 8, 6 + len(_EVENT)):
        answer = call(function, particles, top, name="quarks_of")
        right = quarks_of(particles, top)
        bottom, *light = right
        w = next(d for d in (first[top], second[top]) if abs(code[d]) == 24)
        try:
            rows = [int(row) for row in answer]
        except (TypeError, ValueError):
            fail(f"quarks_of should return three rows of the record; what came is {describe(answer)}.")
        expect_equal(
            f"the list of quarks of the {'top' if code[top] > 0 else 'antitop'} in row {top}",
            rows,
            list(map(int, right)),
            mistakes={
                "These are the daughters of the first copy of the W boson. It may be copied before it decays: take its "
                "last copy.": [int(bottom), int(first[w]), int(second[w])],
                "These are the daughters of the top itself, a W boson and a bottom quark. The W boson decays on.": [
                    int(first[top]),
                    int(second[top]),
                ],
                "The first daughter was taken for the W boson, the second for the bottom quark. Either may come first: "
                "look at the codes.": [
                    int(second[top]),
                    int(first[last_copy(particles, first[top])]),
                    int(second[last_copy(particles, first[top])]),
                ],
                "The bottom quark is missing.": list(map(int, light)),
                "The order differs: the bottom quark first, then the two of the W boson.": [
                    *map(int, light),
                    int(bottom),
                ],
                "These are the last copies of the quarks, after they have radiated. Take them as the decay makes "
                "them.": [int(last_copy(particles, row)) for row in right],
                "These are codes. The answer is the rows where the quarks stand.": [int(code[row]) for row in right],
            },
        )


@exercise(
    "6.3",
    "which particles a detector can see",
    hints=(
        "Two conditions, joined by &: the particle is final, and it is not a neutrino.",
        "Neutrinos have the codes 12, 14 and 16, antineutrinos the same with a minus sign: np.abs(pdgid).",
        "(status > 0) & ~np.isin(np.abs(pdgid), (12, 14, 16))",
    ),
    reference=lambda: visible,
)
def _(function):
    rng = np.random.default_rng(63)
    codes = np.array([11, 12, 13, 14, 16, 22, 130, 211, 321, 2112, 2212, 5, 21])
    pdgid, status = rng.choice(codes, 400) * rng.choice([-1, 1], 400), rng.choice([-83, -71, -44, 83, 91], 400)
    right = visible(pdgid, status)
    answer = call(function, pdgid, status, name="visible")
    if not (isinstance(answer, np.ndarray) and answer.dtype.kind == "b"):
        fail(f"visible(pdgid, status) should be an array of True and False; what came is {describe(answer)}.")
    final, code = status > 0, np.abs(pdgid)
    mistakes = {
        "The neutrinos are counted as seen. They pass through any detector.": final,
        "The antineutrinos are counted as seen; their codes are negative. Compare np.abs(pdgid).": final
        & ~np.isin(pdgid, (12, 14, 16)),
        "Only electron neutrinos are left out. Muon and tau neutrinos have the codes 14 and 16.": final & (code != 12),
        "Particles on the way are counted, which have decayed or radiated since: each momentum enters several times. "
        "Keep status > 0.": ~np.isin(code, (12, 14, 16)),
        "Only charged particles are kept. The calorimeter sees photons and neutral hadrons too.": final
        & np.isin(code, (11, 13, 211, 321, 2212)),
        "Muons are left out as well. They leave little in the calorimeter but a track in the tracker.": right
        & (code != 13),
        "This is the opposite: True for what cannot be seen.": ~right,
    }
    expect_close("visible(pdgid, status)", answer, right, mistakes=mistakes)


@exercise(
    "6.4",
    "smeared transverse momenta",
    hints=(
        "The relative uncertainty of each track is np.hypot(0.06, 0.0015 * pt): a sum in quadrature.",
        "The absolute one is pt times the relative one. Each track needs a random number of its own.",
        "rng.normal(mean, standard_deviation) takes arrays: rng.normal(pt, pt * np.hypot(0.06, 0.0015 * pt)).",
    ),
    reference=lambda: smear,
)
def _(function):
    n = 20_000
    soft, hard = 5.0, 100.0
    pt = np.concatenate([np.full(n, soft), np.full(n, hard)])
    both = np.array([soft, hard])
    answer = call(function, pt, np.random.default_rng(64), name="smear")
    if np.shape(answer) != pt.shape:
        fail(f"smear(pt, rng) has shape {np.shape(answer)}, expected {pt.shape}: one value for each track.")
    ratio = np.asarray(answer, dtype=float).reshape(2, n) / both[:, np.newaxis]
    if not np.isfinite(ratio).all():
        fail("smear(pt, rng) contains values that are not finite.")
    if np.allclose(ratio, 1):
        fail("the momenta came back as they were. Add a random number to each.")
    sigma = np.hypot(TRACK_A, TRACK_B * both)
    if np.abs(ratio.mean(axis=1)).max() < 0.01 or np.allclose(ratio, sigma[:, np.newaxis]):
        fail("these are the errors of the measurement alone. The measured momentum is the true one with its error.")
    if np.ptp(ratio, axis=1).max() < 1e-9:
        fail(
            "all tracks were moved by one and the same random number. Draw one for each: pass arrays, or size=len(pt)."
        )
    again = call(function, pt, np.random.default_rng(64), name="smear")
    if not np.array_equal(answer, again):
        fail("two calls with generators of the same seed differ. Use the generator that is passed in, rng.")
    if np.array_equal(answer, call(function, pt, np.random.default_rng(65), name="smear")):
        fail("another seed gives the same numbers: the function makes a generator of its own. Use rng.")
    if (ratio.mean(axis=1) - 1 > 0.3 * ratio.std(axis=1)).all():
        fail(
            f"on average the tracks gain {100 * (ratio[0].mean() - 1):.1f}% at 5 GeV. rng.random draws from 0 to 1; a "
            "measurement errs to both sides: rng.normal."
        )
    expect_close(
        "the relative spread of smeared tracks of 5 and 100 GeV",
        ratio.std(axis=1),
        sigma,
        rtol=0.02,
        mistakes={
            "The two terms were added as they are. Independent errors add in quadrature: np.hypot(a, b).": TRACK_A
            + TRACK_B * both,
            "The spread is the same number of GeV for all tracks. The formula is for sigma / pT: multiply by pt.": sigma
            / both,
            "All tracks are smeared by 0.06 GeV. The 0.06 is relative: multiply by pt, and add the second term in "
            "quadrature.": TRACK_A / both,
            "Only the first term is there, 6% at every momentum. The second grows with pt.": np.full(2, TRACK_A),
            "Only the second term is there.": TRACK_B * both,
            "These are the squares added in quadrature: take the square root, as np.hypot does.": sigma**2,
        },
    )
    off = ratio.mean(axis=1) - 1
    if (np.abs(off) > 5 * sigma / np.sqrt(n)).any():
        fail(f"the spread is right, but the mean moves by {100 * off[1]:.2f}% at 100 GeV; it should stay where it is.")


@exercise(
    "6.5",
    "the energy of each tower",
    hints=(
        "A tower is a bin in (eta, phi): np.histogram2d counts particles in bins.",
        "weights=energy makes it add energies; bins=(ETA_EDGES, PHI_EDGES) makes the bins the towers.",
        "histogram2d returns the histogram and the edges: [0] is the histogram.",
    ),
    reference=lambda: tower_energies,
)
def _(function):
    rng = np.random.default_rng(65)
    eta, phi, energy = rng.uniform(-4, 4, 900), rng.uniform(-3, 3, 900), rng.exponential(20, 900)
    eta[:300], phi[:300] = rng.normal(1.2, 0.1, 300), rng.normal(0.5, 0.1, 300)
    right = tower_energies(eta, phi, energy)
    answer = call(function, eta, phi, energy, name="tower_energies")
    if isinstance(answer, tuple):
        fail("np.histogram2d returns the histogram together with the edges. Return the histogram alone, [0].")
    both = (ETA_EDGES, PHI_EDGES)
    counts = np.histogram2d(eta, phi, both)[0]
    expect_close(
        "tower_energies(eta, phi, energy)",
        answer,
        right,
        mistakes={
            "These are numbers of particles. A calorimeter measures energy: weights=energy.": counts,
            "Eta and phi are exchanged: the first axis is eta, 98 towers, the second phi, 30.": right.T,
            "These are transverse momenta. What stops in a tower leaves its energy there.": np.histogram2d(
                eta, phi, both, weights=energy / np.cosh(eta)
            )[0],
            "The towers begin and end with the data, so they differ from event to event. Use ETA_EDGES and "
            "PHI_EDGES.": np.histogram2d(eta, phi, (98, 30), weights=energy)[0],
            "This is divided by the size of the bins and the sum: density=True makes a density, not an "
            "energy.": np.histogram2d(eta, phi, both, weights=energy, density=True)[0],
            "This is the mean energy of the particles in a tower. A tower sees their sum.": right
            / np.maximum(counts, 1),
            "Phi was turned into degrees, but the edges are in radians.": np.histogram2d(
                eta, np.degrees(phi), both, weights=energy
            )[0],
        },
    )


@exercise(
    "6.6",
    "the distances of the generalised kT algorithm",
    hints=(
        "y[:, np.newaxis] - y is the (P, P) array of all differences; difference(phi[:, np.newaxis], phi) does the "
        "same for the angle.",
        "w = pt ** (2 * power); np.minimum(w[:, np.newaxis], w) takes the smaller of each pair.",
        "np.fill_diagonal(d, w) writes the distances to the beam where a particle would meet itself. It changes d and "
        "returns None.",
    ),
    reference=lambda: distances,
)
def _(function):
    rng = np.random.default_rng(66)
    pt, y, phi = rng.uniform(2, 60, 6), rng.uniform(-2, 2, 6), rng.uniform(-3.1, 3.1, 6)
    radius = 0.7

    def pairs(x):
        return x[:, np.newaxis], x

    for power in (-1, 1, 0):
        right = distances(pt, y, phi, radius, power, delta_phi)
        w = pt ** (2 * power)
        r2 = (y[:, np.newaxis] - y) ** 2 + delta_phi(*pairs(phi)) ** 2
        least = np.minimum(*pairs(w))

        def whole(d, diagonal=w):
            d = d.copy()
            np.fill_diagonal(d, diagonal)
            return d

        mistakes = {
            "The angles were subtracted as they are. The function is told how to do it: difference(a, b).": distances(
                pt, y, phi, radius, power, np.subtract
            ),
            "The diagonal is 0, so each particle would be its own nearest neighbour. It holds the distance to the "
            "beam, pt ** (2 * power).": least * r2 / radius**2,
            "This is the larger of the two weights. With the smaller one, the hard particle of a pair decides for "
            "anti-kT.": whole(np.maximum(*pairs(w)) * r2 / radius**2),
            "The weight is pt ** power. The exponent is 2 * power.": whole(
                np.minimum(*pairs(pt**power)) * r2 / radius**2, pt ** float(power)
            ),
            "The sign of the exponent is turned round: this is kT where anti-kT is meant.": distances(
                pt, y, phi, radius, -power, delta_phi
            ),
            "It is divided by R. The formula has R squared, as the distance is squared.": whole(least * r2 / radius),
            "It is not divided by R squared: pairs merge as if R were 1.": whole(least * r2),
            "This is the distance, not its square: no square root here.": whole(least * np.sqrt(r2) / radius**2),
            "This has the distance over R without the square.": whole(least * np.sqrt(r2) / radius),
            "The differences are added before they are squared. Square each, then add.": whole(
                least * (y[:, np.newaxis] - y + delta_phi(*pairs(phi))) ** 2 / radius**2
            ),
            "The weights of the two are multiplied. Take the smaller one.": whole(
                w[:, np.newaxis] * w * r2 / radius**2
            ),
            "The weight of the first particle is used for each pair. Take the smaller of the two.": whole(
                w[:, np.newaxis] * r2 / radius**2
            ),
        }
        given = (pt, y, phi, radius, power, delta_phi)
        answer = call(function, *given, name="distances")
        expect_close(f"for power = {power}, distances(...)", answer, right, mistakes=mistakes)


@exercise(
    "6.7",
    "the difference of two azimuths",
    hints=(
        "3.1 and -3.1 lie 0.08 apart: a full turn, 2 pi, may be added or taken off.",
        "The remainder x % (2 * np.pi) lies between 0 and 2 pi. Shift by pi before, and back by pi after.",
        "(a - b + np.pi) % (2 * np.pi) - np.pi",
    ),
    reference=lambda: delta_phi,
)
def _(function):
    rng = np.random.default_rng(67)
    a, b = rng.uniform(-np.pi, np.pi, (2, 60))
    a[:2], b[:2] = (3.1, -3.1), (-3.1, 3.1)
    d = a - b
    right = delta_phi(a, b)
    answer = call(function, a, b, name="delta_phi")
    if np.allclose(call(function, np.array([200.0]), np.array([0.0]), name="delta_phi"), -160):
        fail("this takes a full turn of 360 degrees. The angles are in radians: a full turn is 2 pi.")
    mistakes = {
        "This is the plain difference: between 3.1 and -3.1 it gives 6.2 instead of -0.08.": d,
        "The sign is lost; a difference has one. (The distance squares it, but lesson 7 turns jets with it.)": np.abs(
            right
        ),
        "This is the absolute value of the plain difference: no sign, and no wrap.": np.abs(d),
        "This lies between 0 and 2 pi: the small negative differences became almost a full turn. Shift by pi before "
        "the remainder, and back after it.": d % (2 * np.pi),
        "This wraps at half a turn, a factor of 2 too early: opposite directions get the difference 0. A full turn is "
        "2 pi.": (d + np.pi / 2) % np.pi - np.pi / 2,
        "This wraps at half a turn, a factor of 2 too early. A full turn is 2 pi.": (d + np.pi) % np.pi - np.pi,
        "This wraps after pi without a shift; a full turn is 2 pi.": d % np.pi,
        "This is b minus a; the difference is a minus b.": -right,
        "Only differences above pi are wrapped. Those below -pi need a full turn more.": np.where(
            d > np.pi, d - 2 * np.pi, d
        ),
        "Only differences below -pi are wrapped. Those above pi need a full turn less.": np.where(
            d < -np.pi, d + 2 * np.pi, d
        ),
        "This is the sine of the difference, which is small for opposite directions as well.": np.sin(d),
        "This is shifted before the remainder but not back.": (d + np.pi) % (2 * np.pi),
    }
    expect_close("delta_phi(a, b)", answer, right, mistakes=mistakes)
    answer = call(function, a[:, np.newaxis], b, name="delta_phi")
    expect_close("for arrays of shapes (60, 1) and (60,), delta_phi(a, b)", answer, delta_phi(a[:, np.newaxis], b))


@exercise(
    "6.8",
    "which jets contain their top",
    hints=(
        "jet_eta[:, np.newaxis] has shape (N, 1) and can be subtracted from eta, (N, 4).",
        "np.hypot(eta - jet_eta[:, np.newaxis], delta_phi(phi, jet_phi[:, np.newaxis])) are the (N, 4) distances.",
        "(distance < radius).all(axis=1) asks for all four.",
    ),
    reference=lambda: contained,
)
def _(function):
    rng = np.random.default_rng(68)
    n, radius = 500, 0.8
    jet_eta, jet_phi = rng.uniform(-2, 2, n), rng.uniform(-np.pi, np.pi, n)
    eta = jet_eta[:, np.newaxis] + rng.normal(0, 0.35, (n, 4))
    phi = delta_phi(jet_phi[:, np.newaxis] + rng.normal(0, 0.35, (n, 4)), 0)
    answer = call(function, jet_eta, jet_phi, eta, phi, radius, name="contained")
    d_eta, d_phi = eta - jet_eta[:, np.newaxis], delta_phi(phi, jet_phi[:, np.newaxis])
    r = np.hypot(d_eta, d_phi)
    unwrapped = np.hypot(d_eta, phi - jet_phi[:, np.newaxis])
    if np.shape(answer) == r.shape:
        fail("this has one answer for each parton. A jet contains its top when all four are inside: .all(axis=1).")
    if not (isinstance(answer, np.ndarray) and answer.dtype.kind == "b"):
        fail(f"contained(...) should be an array of True and False; what came is {describe(answer)}.")
    expect_close(
        "contained(...)",
        answer,
        (r < radius).all(axis=1),
        mistakes={
            "One parton inside is enough here. All four must be: .all(axis=1).": (r < radius).any(axis=1),
            "The angles are not wrapped, so jets near phi = pi lose their tops. Use delta_phi.": (
                unwrapped < radius
            ).all(axis=1),
            "Only the top itself is asked for, column 0. Its quarks may be outside.": r[:, 0] < radius,
            "The mean distance is compared. One lost quark changes the jet: all four must be inside.": (
                r.mean(axis=1) < radius
            ),
            "The squared distance is compared with R. Compare it with R squared, or take the root.": (
                r**2 < radius
            ).all(axis=1),
            "This asks for eta and phi one by one, which is a square. Inside the circle: np.hypot of the two.": (
                (np.abs(d_eta) < radius) & (np.abs(d_phi) < radius)
            ).all(axis=1),
            "The two differences are added: distances add as the sides of a right triangle, np.hypot.": (
                np.abs(d_eta) + np.abs(d_phi) < radius
            ).all(axis=1),
            "Only the three quarks are asked for. The top, column 0, belongs to it.": (r[:, 1:] < radius).all(axis=1),
            "This is the opposite: True where something is outside.": ~(r < radius).all(axis=1),
        },
    )
    answer = call(function, jet_eta, jet_phi, eta, phi, 0.5, name="contained")
    expect_close(
        "with radius 0.5, contained(...)",
        answer,
        (r < 0.5).all(axis=1),
        mistakes={"The radius is 0.8 here, whatever is passed. Use the argument.": (r < 0.8).all(axis=1)},
    )


@exercise(
    "6.9",
    "a jet as a row of the reference layout",
    hints=(
        "np.argsort(-np.hypot(px, py)) gives the order of falling pT; [:200] keeps the leading 200.",
        "np.stack([energy, px, py, pz], axis=1) has one constituent a row, shape (P, 4).",
        "Write the sorted constituents into the first rows of np.zeros((200, 4)); .ravel() makes it one row of 800.",
    ),
    reference=lambda: reference_row,
)
def _(function):
    rng = np.random.default_rng(69)
    for size in (5, 230):
        pt, eta, phi = rng.exponential(10, size) + 0.1, rng.uniform(-2, 2, size), rng.uniform(-3, 3, size)
        px, py, pz, energy = pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), pt * np.cosh(eta)
        answer = call(function, px, py, pz, energy, name="reference_row")
        table = np.stack([energy, px, py, pz], axis=1)

        def padded(rows, value=0.0):
            whole = np.full((N_ROW, 4), value)
            whole[: min(N_ROW, len(rows))] = rows[:N_ROW]
            return whole

        right = padded(table[np.argsort(-pt)])
        kept = right[: min(size, N_ROW)]
        first_200 = table[:N_ROW][np.argsort(-pt[:N_ROW])]
        mistakes = {
            "The constituents are not sorted. The layout has them by falling pT.": padded(table).ravel(),
            "They are sorted by rising pT; the leading one comes first.": padded(table[np.argsort(pt)]).ravel(),
            "They are sorted by energy. Along the beam energy is large and pT small: sort by pT.": padded(
                table[np.argsort(-energy)]
            ).ravel(),
            "The order is px, py, pz, E. The layout has E first: E_0, PX_0, PY_0, PZ_0.": right[
                :, [1, 2, 3, 0]
            ].ravel(),
            "All energies come first, then all px. The layout has the four numbers of a constituent side by "
            "side.": right.T.ravel(),
            "The padding stands in front. It comes after the constituents.": np.concatenate(
                [right[min(size, N_ROW) :], kept]
            ).ravel(),
            "The row is padded with NaN. The layout has zeros there.": padded(table[np.argsort(-pt)], np.nan).ravel(),
            "The row is not padded: each must have 800 numbers.": kept.ravel(),
            "The shape is (200, 4). A row of the table is flat: .ravel().": right,
            "The jet was cut to 200 constituents before they were sorted, so hard ones may be lost.": padded(
                first_200
            ).ravel(),
            "All constituents are in. The layout keeps the leading 200.": table[np.argsort(-pt)].ravel(),
        }
        expect_close(f"for a jet of {size} constituents, the row", answer, right.ravel(), mistakes=mistakes, rtol=1e-6)
