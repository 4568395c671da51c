"""Exercises of lesson 08: the reference table, observables of a jet, a tagger trained and judged."""

import awkward as ak
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from coursekit.checks import call, demands, describe, exercise, fail
from coursekit.jets import unpack
from coursekit.metrics import auc, auc_difference


def cone(rng, counts, energy, phi, spread):
    """Return jagged jets of massless constituents round the directions phi, their energies `energy` in all."""
    of = np.repeat(np.arange(len(counts)), counts)
    share = rng.uniform(0.2, 1, len(of))
    e = np.asarray(energy)[of] * share / np.bincount(of, share)[of]
    eta, azimuth = rng.normal(0.4, spread, len(of)), np.asarray(phi)[of] + rng.normal(0, spread, len(of))
    pt = e / np.cosh(eta)
    return unpack(np.stack([pt * np.cos(azimuth), pt * np.sin(azimuth), pt * np.sinh(eta), e], axis=1), counts)


# --- 8.1 --------------------------------------------------------------------------------------------------------------

COLUMNS = [f"{name}_{i}" for i in range(200) for name in ("E", "PX", "PY", "PZ")]


def tables():
    rng, labels = np.random.default_rng(81), np.array([1, 0, 0, 1, 1, 0, 1])
    values = np.sort(rng.uniform(1, 300, (7, 804)), axis=1)[:, ::-1].astype(np.float32)
    values[:, 800:] *= (labels == 1)[:, None]
    values[3, 800:] = 0  # a top of which the truth says nothing
    table = pd.DataFrame(values, columns=[*COLUMNS, "truthE", "truthPX", "truthPY", "truthPZ"])
    yield (table.assign(ttv=np.array([0, 1, 2, 0, 2, 2, 1]), is_signal_new=labels),)


def momenta_are(new):
    """Return what those write who get the labels right; `new` is what they make of the 800 columns, or of the table."""
    return lambda t: (new(t), separate(t)[1])


def labels_are(new):
    return lambda t: (separate(t)[0], new(t))


@exercise(
    "8.1",
    "momenta and labels apart, no truth among them",
    cases=tables,
    returns=("the array of momenta", "the array of labels"),
    hints=(
        "Name the columns that you want: E_0, PX_0, PY_0, PZ_0, E_1, ..., PZ_199. Whatever you do not name stays out.",
        'columns = [f"{name}_{i}" for i in range(200) for name in ("E", "PX", "PY", "PZ")].',
        'table[columns].to_numpy().reshape(-1, 200, 4), and table["is_signal_new"].to_numpy().',
    ),
    mistakes={
        "There are 201 constituents: 804 columns are 201 x 4 as well, and the last one is the true top. The label is among the inputs again.": momenta_are(lambda t: t.iloc[:, :804].to_numpy().reshape(len(t), -1, 4)),
        "All 806 columns are there, truth and label among them.": momenta_are(lambda t: t.to_numpy()),
        "All columns but the label are there, truth among them.": momenta_are(lambda t: t.drop(columns="is_signal_new").to_numpy()),
        "The truth columns are still there.": momenta_are(lambda t: t.iloc[:, :804].to_numpy()),
        "These are the right columns; reshape them to (N, 200, 4).": momenta_are(lambda t: t[COLUMNS].to_numpy()),
        "The columns lie constituent by constituent, E PX PY PZ, E PX PY PZ, ...: reshape(N, 4, 200) puts E_0 PX_0 PY_0 PZ_0 E_1 ... in the place of the energies.": momenta_are(lambda t: t[COLUMNS].to_numpy().reshape(-1, 4, 200)),
        "The columns lie constituent by constituent, so that reshape(-1, 200, 4), with the 4 last and in NumPy's usual order, keeps them together. Here the momenta of different constituents are mixed.":
            momenta_are(lambda t: t[COLUMNS].to_numpy().reshape(-1, 4, 200).swapaxes(1, 2)),
        "The last two axes are exchanged.": momenta_are(lambda t: separate(t)[0].swapaxes(1, 2)),
        "The column names were sorted, so that E_10 follows E_1.": momenta_are(lambda t: t[sorted(COLUMNS)].to_numpy().reshape(-1, 200, 4)),
        "The energy stands last. That is a good order too, but here the order of the file is kept: E first.": momenta_are(lambda t: np.roll(separate(t)[0], -1, axis=2)),
        "This is ttv, the file that a jet belongs to (0 training, 1 test, 2 validation).": labels_are(lambda t: t.iloc[:, -2].to_numpy()),
        "The sense is reversed: 1 is a top jet.": labels_are(lambda t: 1 - t["is_signal_new"].to_numpy()),
        "The labels were made from the truth. The file has them as a column, is_signal_new.": labels_are(lambda t: (t["truthE"] > 0).to_numpy().astype(int)),
        "This is a column of shape (N, 1); a single pair of brackets selects it as (N,).": labels_are(lambda t: t[["is_signal_new"]].to_numpy()),
        "they come as a Series; the lesson goes on with a NumPy array": labels_are(lambda t: t["is_signal_new"]),
    },
    accepted=[
        lambda t: (t.to_numpy()[:, :800].reshape(len(t), 200, 4), t.to_numpy()[:, -1]),
        lambda t: [
            np.stack([t.filter(regex=f"^{name}_").to_numpy() for name in ("E", "PX", "PY", "PZ")], axis=2),
            t.is_signal_new.values,
        ],
    ],
)
def separate(table):
    columns = [f"{name}_{i}" for i in range(200) for name in ("E", "PX", "PY", "PZ")]
    return table[columns].to_numpy().reshape(-1, 200, 4), table["is_signal_new"].to_numpy()


# --- 8.2 --------------------------------------------------------------------------------------------------------------


def padded_jets():
    rng, counts = np.random.default_rng(82), (1, 3, 200, 17, 58, 44)
    momenta = np.zeros((len(counts), 200, 4))
    for row, n in zip(momenta, counts, strict=True):
        pt, phi = np.sort(rng.exponential(20, n))[::-1] + 0.5, rng.uniform(-3, 3, n)
        eta = rng.normal(0, 1, n)
        row[:n] = np.stack([pt * np.cosh(eta), pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)], axis=1)
    yield (momenta,)


def count(momenta):
    return (momenta[..., 0] > 0).sum(axis=1)


def each_pt(momenta):
    return np.hypot(momenta[..., 1], momenta[..., 2])


def counted_as(n):
    """Return what those write who count otherwise, and divide by this number."""
    return lambda p: (n(p), each_pt(p).sum(axis=1) / n(p))


def mean_is(mean):
    """Return what those write who take another mean of the transverse momenta (N, 200), of which n are real."""
    return lambda p: (count(p), mean(each_pt(p), count(p)))


def without_last(pt, n):
    return (pt * (np.arange(200) < n[:, None] - 1)).sum(axis=1)


def jet_by_jet(momenta):
    jets = [jet[jet[:, 0] > 0] for jet in momenta]
    return np.array([len(jet) for jet in jets]), np.array(
        [np.sqrt(jet[:, 1] ** 2 + jet[:, 2] ** 2).mean() for jet in jets]
    )


@exercise(
    "8.2",
    "multiplicity and mean pT of padded jets",
    cases=padded_jets,
    returns=("the multiplicity", "the mean pT"),
    hints=(
        "Which slots hold a constituent? A real one has energy.",
        "momenta[..., 0] > 0 is True for those, shape (N, 200); a sum over axis 1 counts them.",
        "Zeros add nothing to a sum: pt.sum(axis=1) / n, with pt = np.hypot(px, py).",
    ),
    mistakes={
        "Padding is counted as constituents: every jet has 200.": counted_as(lambda p: np.full(len(p), p.shape[1])),
        "The last constituent is dropped from the count.": counted_as(lambda p: count(p) - 1),
        "This counts numbers, four for each constituent. Count constituents.": counted_as(lambda p: np.count_nonzero(p, axis=(1, 2))),
        "A real constituent can have px < 0: half of them are lost. Ask for the energy.": counted_as(lambda p: (p[..., 1] > 0).sum(axis=1)),
        "This is one number for all jets: sum over axis 1.": counted_as(lambda p: count(p).sum()),
        "argmin finds the first zero, and a jet of 200 constituents has none: its count becomes the place of its softest constituent.": counted_as(lambda p: p[..., 0].argmin(axis=1)),
        "The last of the 200 slots is left out, and a jet of 200 constituents loses one.": lambda p: count_and_mean_pt(p[:, :-1]),
        "This is the padding: the slots that are empty.": counted_as(lambda p: (p[..., 0] == 0).sum(axis=1)),
        "Padding takes part: the sum is divided by 200, whatever the jet.": mean_is(lambda pt, n: pt.mean(axis=1)),
        "The last constituent is dropped, from the sum and from the count.": mean_is(lambda pt, n: without_last(pt, n) / (n - 1)),
        "The last constituent is missing from the sum.": mean_is(lambda pt, n: without_last(pt, n) / n),
        "The sum is divided by n - 1. That belongs to a variance, not to a mean.": mean_is(lambda pt, n: pt.sum(axis=1) / (n - 1)),
        "This is the mean energy. The transverse momentum is hypot(px, py).": lambda p: (count(p), p[..., 0].sum(axis=1) / count(p)),
        "This is the pT of the whole jet over n: momenta were added as vectors. Here each constituent's own pT counts.": lambda p: (count(p), each_pt(p.sum(axis=1)) / count(p)),
        "This is the sum; divide by the number of constituents.": mean_is(lambda pt, n: pt.sum(axis=1)),
        "The first two columns are E and px; px and py are columns 1 and 2.": lambda p: (count(p), np.hypot(p[..., 0], p[..., 1]).sum(axis=1) / count(p)),
        "This is one number for all jets: take the mean for each, over axis 1.": mean_is(lambda pt, n: pt.sum() / n.sum()),
    },
    accepted=[
        jet_by_jet,
        mean_is(lambda pt, n: np.ma.masked_equal(pt, 0).mean(axis=1).filled(0)),
        lambda p: [count(p), each_pt(p).mean(axis=1, where=p[..., 0] > 0)],
    ],
)
def count_and_mean_pt(momenta):
    pt = np.hypot(momenta[..., 1], momenta[..., 2])
    n = (momenta[..., 0] > 0).sum(axis=1)
    return n, pt.sum(axis=1) / n


# --- 8.3 --------------------------------------------------------------------------------------------------------------


def jets_all_round():
    directions = [0.4, 2.0, -1.2, -2.6, np.pi, 1.1]
    yield (cone(np.random.default_rng(83), [5, 30, 12, 1, 40, 8], [600, 580, 900, 50, 640, 700], directions, 0.3),)


def pt_is(new):
    """Return what those write who get phi right."""
    return lambda jets: (new(jets), pt_and_phi(jets)[1])


def phi_is(new):
    """Return what those write who get pT right, and phi from the summed px and py in another way."""
    return lambda jets: (pt_and_phi(jets)[0], new(ak.sum(jets.px, axis=1), ak.sum(jets.py, axis=1)))


def phi_from_constituents(new):
    return lambda jets: (pt_and_phi(jets)[0], new(np.hypot(jets.px, jets.py), np.arctan2(jets.py, jets.px)))


def in_loops(jets):
    sums = np.array([[sum(jet.px), sum(jet.py)] for jet in jets])
    return np.sqrt((sums**2).sum(axis=1)), np.angle(sums @ [1, 1j])


@exercise(
    "8.3",
    "transverse momentum and azimuth of each jet",
    cases=jets_all_round,
    returns=("pT", "phi"),
    accept=(np.ndarray,),
    hints=(
        "Momenta add as vectors: first the sums of px and of py over the constituents, then pT and phi of the sum.",
        "ak.sum(jets.px, axis=1) is the px of each jet.",
        "np.hypot(px, py) and np.arctan2(py, px): the y component comes first.",
    ),
    mistakes={
        "These are the constituents' pT, added as numbers. Momenta are vectors: add px and py first.": lambda jets: (ak.sum(np.hypot(jets.px, jets.py), axis=1), ak.mean(np.arctan2(jets.py, jets.px), axis=1)),
        "This is the pT of the leading constituent.": pt_is(lambda jets: np.hypot(jets.px, jets.py)[:, 0]),
        "This is the magnitude of the whole momentum, pz included.": pt_is(lambda jets: np.hypot(pt_and_phi(jets)[0], ak.sum(jets.pz, axis=1))),
        "This is pT squared.": pt_is(lambda jets: pt_and_phi(jets)[0] ** 2),
        "This is px alone.": pt_is(lambda jets: ak.sum(jets.px, axis=1)),
        "This is the energy.": pt_is(lambda jets: ak.sum(jets.E, axis=1)),
        "The two are exchanged: first pT.": lambda jets: pt_and_phi(jets)[::-1],
        "This is arctan2(py, py): an angle of 45 degrees or its opposite, whatever the jet.": phi_is(lambda px, py: np.arctan2(py, py)),
        "The arguments are exchanged: arctan2 wants y first.": phi_is(lambda px, py: np.arctan2(px, py)),
        "arctan(py / px) cannot tell a direction from its opposite: half of the circle is lost. Use arctan2(py, px).": phi_is(lambda px, py: np.arctan(py / px)),
        "The mean of the constituents' phi fails where they lie on both sides of +-pi: 3.1 and -3.1 average to 0, the opposite direction. Add the vectors first.": phi_from_constituents(lambda pt, phi: ak.mean(phi, axis=1)),
        "A mean of phi weighted with pT is still a mean of angles, and fails where constituents lie on both sides of +-pi. Add the vectors first.": phi_from_constituents(lambda pt, phi: ak.sum(pt * phi, axis=1) / ak.sum(pt, axis=1)),
        "This is the azimuth of the leading constituent.": phi_from_constituents(lambda pt, phi: phi[:, 0]),
        "These are degrees; the course uses radians.": phi_is(lambda px, py: np.degrees(np.arctan2(py, px))),
        "This is right, but counted from 0 to 2 pi; this course counts from -pi to pi.": phi_is(lambda px, py: np.arctan2(py, px) % (2 * np.pi)),
        "they come as a list": lambda jets: [part.to_list() for part in pt_and_phi(jets)],
    },
    accepted=[in_loops, lambda jets: (ak.sum(jets, axis=1).pt, ak.sum(jets, axis=1).phi)],
)
def pt_and_phi(jets):
    px, py = ak.sum(jets.px, axis=1), ak.sum(jets.py, axis=1)
    return np.hypot(px, py), np.arctan2(py, px)


# --- 8.4 --------------------------------------------------------------------------------------------------------------


def hard_jets():
    rng, energy, phi = np.random.default_rng(84), np.linspace(600, 3000, 12), np.linspace(-3, 3, 12)
    wide, narrow = (cone(rng, [30] * 12, energy, phi, spread) for spread in (0.3, 0.003))
    single = cone(rng, [1, 1, 1], [800, 2500, 1700], [1, 2, 3], 0.3)
    single["E"] = single["E"] * (1 - 3e-7)  # as rounding can have it
    yield (ak.values_astype(ak.concatenate([wide, narrow, single]), np.float32),)


def masses(mass, jets):
    """Float32 rounds in as many ways as there are orders of adding: it shows in how far the masses are off."""
    answer = call(mass, jets, name="mass")
    try:
        got = np.asarray(ak.to_numpy(answer), dtype=np.float64)
    except (TypeError, ValueError):
        fail(f"mass should return one number for each jet; what came is {describe(answer)}.")
    px, py, pz, e = (ak.to_numpy(part) for part in summed(jets))
    right = np.sqrt(np.maximum(e**2 - px**2 - py**2 - pz**2, 0))
    if got.shape == right.shape:
        if (got < 5).all():
            fail(
                "every mass is close to zero. The constituents are nearly massless; a jet gets its mass from the angles between them. Add the momenta first, then E^2 - p^2, in this order."
            )
        with_mass = (right > 1) & np.isfinite(got)
        off = with_mass & ~np.isclose(got, right, rtol=1e-5, atol=1e-3)
        if off.any() and (np.abs(got**2 - right**2)[with_mass] < 2e-6 * e[with_mass] ** 2).all():
            worst = np.argmax(np.where(off, np.abs(got - right), 0))
            fail(
                "the squares cancel in float32: E and |p| agree in more digits than it has. Convert all four to "
                f"float64 before adding. (For a jet of {e[worst]:.0f} GeV the mass came out as {got[worst]:.2f} GeV, "
                f"expected {right[worst]:.2f}.)"
            )
    return {"the mass": got}


def summed(jets, dtype=np.float64):
    return [ak.sum(ak.values_astype(jets[name], dtype), axis=1) for name in ("px", "py", "pz", "E")]


def from_sums(formula, dtype=np.float64):
    """Return what those write who make another thing of the sums."""
    return lambda jets: formula(*summed(jets, dtype))


def m2(px, py, pz, e):
    return e**2 - px**2 - py**2 - pz**2


def momentum(px, py, pz):
    return np.sqrt(px**2 + py**2 + pz**2)


def of_constituents(jets):
    px, py, pz, e = (ak.values_astype(jets[name], np.float64) for name in ("px", "py", "pz", "E"))
    return ak.sum(np.sqrt(np.maximum(e**2 - px**2 - py**2 - pz**2, 0)), axis=1)


def only_energy(jets):
    return np.sqrt(np.maximum(m2(*summed(jets, np.float32)[:3], summed(jets)[3]), 0))


@exercise(
    "8.4",
    "the mass of each jet, in double precision",
    cases=hard_jets,
    observe=masses,
    tolerance={"rtol": 1e-5, "atol": 1e-3},
    hints=(
        "m^2 = E^2 - px^2 - py^2 - pz^2 of the summed constituents: a small difference of large squares.",
        "A float32 has 7 digits. Convert before you add: ak.values_astype(jets.px, np.float64).",
        "Rounding can leave m^2 slightly below zero: np.sqrt(np.maximum(m2, 0)).",
    ),
    mistakes={
        "the squares cancel in float32": from_sums(lambda *p: np.sqrt(np.maximum(m2(*p), 0)), np.float32),
        "E and |p| agree in more digits than it has": from_sums(lambda *p: np.sqrt(np.maximum(ak.values_astype(m2(*p), np.float64), 0)), np.float32),
        "Convert all four to float64 before adding.": only_energy,
        **{f"m^2 of a single massless constituent can come out a little below zero, and its square root is {came}. np.maximum(m2, 0) before the root keeps it at zero.": unclipped for came, unclipped in (("NaN", from_sums(lambda *p: np.sqrt(m2(*p)))), ("-sqrt(-m^2), as `vector` does", lambda jets: ak.sum(ak.values_astype(jets, np.float64), axis=1).mass), ("a mass, which abs makes of nothing", from_sums(lambda *p: np.sqrt(np.abs(m2(*p))))))},
        "Add the momenta first, then E^2 - p^2, in this order.": of_constituents,
        "This is p^2 - E^2, below zero for all that has a mass.": from_sums(lambda *p: np.sqrt(-m2(*p))),
        "pz is missing: this mixes the mass with the momentum along the beam.": from_sums(lambda px, py, pz, e: np.sqrt(e**2 - px**2 - py**2)),
        "This is m squared: take the square root.": from_sums(lambda *p: np.maximum(m2(*p), 0)),
        "This is E - |p|. The mass is sqrt(E^2 - p^2).": from_sums(lambda *p: p[3] - momentum(*p[:3])),
        "This is sqrt(E - |p|): E and p enter squared.": from_sums(lambda *p: np.sqrt(np.maximum(p[3] - momentum(*p[:3]), 0))),
        "mass should return one number for each jet": lambda jets: jets.E,
    },
    accepted=[
        from_sums(lambda *p: np.sqrt(np.maximum((p[3] - momentum(*p[:3])) * (p[3] + momentum(*p[:3])), 0))),
        lambda jets: np.maximum(ak.sum(ak.values_astype(jets, np.float64), axis=1).mass, 0).to_list(),
    ],
)
def mass(jets):
    px, py, pz, e = (ak.sum(ak.values_astype(jets[name], np.float64), axis=1) for name in ("px", "py", "pz", "E"))
    return np.sqrt(np.maximum(e**2 - px**2 - py**2 - pz**2, 0))


# --- 8.5 --------------------------------------------------------------------------------------------------------------


def jets_across_the_edge():
    axis_y, axis_phi = np.array([0.35, 0.4, 0.5, 0.42, 0.3, 0.45]), np.array([3.1, -3.1, 0.3, -1.4, 2.9, -3.0])
    spread = np.repeat([0.25, 1.2], [115, 33])
    jets = cone(np.random.default_rng(85), [20, 30, 12, 45, 8, 33], [600] * 6, axis_phi, spread)
    yield np.hypot(jets.px, jets.py), np.arctanh(jets.pz / jets.E), np.arctan2(jets.py, jets.px), axis_y, axis_phi


def wrapped(dphi):
    return (dphi + np.pi) % (2 * np.pi) - np.pi


def weighted(pt, distance):
    return ak.sum(pt * distance, axis=1) / ak.sum(pt, axis=1)


def mean_of(distance=np.hypot, wrap=wrapped, mean=weighted):
    """Return what those write who take another distance, wrap in another way, or take another mean."""
    return lambda pt, y, phi, axis_y, axis_phi: mean(pt, distance(y - axis_y, wrap(phi - axis_phi)))


@exercise(
    "8.5",
    "the width of each jet",
    cases=jets_across_the_edge,
    returns=("the width",),
    accept=(np.ndarray,),
    tolerance={"atol": 1e-7},
    hints=(
        "Differences of azimuths must lie between -pi and pi: from 3.1 to -3.1 it is 0.08, not 6.2.",
        "(dphi + np.pi) % (2 * np.pi) - np.pi wraps a difference.",
        "ak.sum(pt * distance, axis=1) / ak.sum(pt, axis=1), with distance = np.hypot(dy, dphi).",
    ),
    mistakes={
        "The difference in phi is not wrapped, or not at pi: a jet that lies across +-pi seems 6 wide.": mean_of(wrap=lambda dphi: dphi),
        "The difference in phi is wrapped with period pi. A full turn is 2 pi.": mean_of(wrap=lambda dphi: (dphi + np.pi / 2) % np.pi - np.pi / 2),
        "The difference in phi is wrapped to 0 ... 2 pi, where a constituent a little to one side seems almost a turn away. Wrap to -pi ... pi.": mean_of(wrap=lambda dphi: dphi % (2 * np.pi)),
        "Differences above pi are wrapped, those below -pi are not.": mean_of(wrap=lambda dphi: ak.where(dphi > np.pi, dphi - 2 * np.pi, dphi)),
        "Differences below -pi are wrapped, those above pi are not.": mean_of(wrap=lambda dphi: ak.where(dphi < -np.pi, dphi + 2 * np.pi, dphi)),
        "Every constituent counts the same. Weight the distances with pT.": mean_of(mean=lambda pt, d: ak.mean(d, axis=1)),
        "This is the sum; divide by the sum of pT.": mean_of(mean=lambda pt, d: ak.sum(pt * d, axis=1)),
        "It is divided by the number of constituents; divide by the sum of pT.": mean_of(mean=lambda pt, d: ak.mean(pt * d, axis=1)),
        "These are squared distances: take the square root of dy^2 + dphi^2 for each constituent.": mean_of(lambda dy, dphi: dy**2 + dphi**2),
        "dy and dphi were added. They are the sides of a right angle: np.hypot.": mean_of(lambda dy, dphi: abs(dy) + abs(dphi)),
        "dy is missing.": mean_of(lambda dy, dphi: abs(dphi)),
        "dphi is missing.": mean_of(lambda dy, dphi: abs(dy)),
        "The root was taken after the mean: this is the square root of the mean squared distance.": mean_of(mean=lambda pt, d: np.sqrt(weighted(pt, d**2))),
    },
    accepted=[
        mean_of(wrap=lambda dphi: np.arctan2(np.sin(dphi), np.cos(dphi))),
        mean_of(lambda dy, dphi: abs(dy + 1j * dphi), mean=lambda pt, d: ak.mean(d, weight=pt, axis=1)),
        lambda *jets: np.array(
            [np.average(np.hypot(y - a, wrapped(p - b)), weights=w) for w, y, p, a, b in zip(*jets, strict=True)]
        ),
    ],
)
def width(pt, y, phi, axis_y, axis_phi):
    dphi = (phi - axis_phi + np.pi) % (2 * np.pi) - np.pi
    return ak.sum(pt * np.hypot(y - axis_y, dphi), axis=1) / ak.sum(pt, axis=1)


# --- 8.6 --------------------------------------------------------------------------------------------------------------


def two_samples():
    rng = np.random.default_rng(86)

    def sample(n, share):
        labels = (rng.random(n) < share).astype(int)
        means = np.stack([90 + 50 * labels, 0.05 - 0.012 * labels, 2 + labels], axis=1)
        return rng.normal(means, [40, 0.012, 1]), labels

    train_inputs, train_labels = sample(600, 0.5)
    inputs, _ = sample(400, 0.8)  # another share, and a jet far out: a scale that is not of the training jets shows
    inputs[0] = 8000, 2, 300
    yield train_inputs, train_labels, inputs


def answers_with(answer):
    """Return what those write who ask the fitted tagger something else."""
    return lambda x, y, other: answer(make_pipeline(StandardScaler(), LogisticRegression()).fit(x, y), other)


def scaled_with(fit_scaler):
    """Return what those write who fit the scaler to other jets."""

    def fit_and_score(train_inputs, train_labels, inputs):
        scaler = StandardScaler().fit(fit_scaler(train_inputs, inputs))
        tagger = LogisticRegression().fit(scaler.transform(train_inputs), train_labels)
        return tagger.predict_proba(scaler.transform(inputs))[:, 1]

    return fit_and_score


def by_themselves(train_inputs, train_labels, inputs):
    tagger = LogisticRegression().fit(StandardScaler().fit_transform(train_inputs), train_labels)
    return tagger.predict_proba(StandardScaler().fit_transform(inputs))[:, 1]


def by_hand(train_inputs, train_labels, inputs):
    mean, std = train_inputs.mean(axis=0), train_inputs.std(axis=0)
    tagger = LogisticRegression().fit((train_inputs - mean) / std, train_labels)
    return 1 / (1 + np.exp(-((inputs - mean) / std) @ tagger.coef_[0] - tagger.intercept_))


@exercise(
    "8.6",
    "the probability of a top, from a fit to training jets",
    cases=two_samples,
    returns=("the probability",),
    tolerance={"rtol": 0, "atol": 0.01},
    hints=(
        "Three steps, each with the training jets: scale, fit, and only then look at the other jets.",
        "make_pipeline(StandardScaler(), LogisticRegression()).fit(train_inputs, train_labels) remembers the scale.",
        "predict_proba(inputs) has two columns, the probability of label 0 and that of label 1.",
    ),
    mistakes={
        "The other jets were scaled with their own mean and standard deviation. A jet of 100 GeV then is a different input in each sample. Scale both with the numbers of the training jets.": by_themselves,
        "The scale is that of both samples together. Jets that are only to be scored had a part in it: fit the scaler to the training jets alone.": scaled_with(lambda x, other: np.concatenate([x, other])),
        "The scale is that of the jets to be scored. Fit the scaler to the training jets.": scaled_with(lambda x, other: other),
        "This is the probability of a QCD jet: column 0. The score of this course rises with signal: column 1.": answers_with(lambda tagger, x: tagger.predict_proba(x)[:, 0]),
        "These are answers, 0 or 1. A threshold of 0.5 is built in; predict_proba keeps what the tagger knows.": answers_with(lambda tagger, x: tagger.predict(x)),
        "This is the linear function itself, the logarithm of the odds. predict_proba turns it into a probability.": answers_with(lambda tagger, x: tagger.decision_function(x)),
        "Both columns are there; the second is the probability of a top.": answers_with(lambda tagger, x: tagger.predict_proba(x)),
        "The inputs were not scaled. The penalty on large coefficients, which scikit-learn adds, then falls on the input with small numbers alone, and it is hardly used.":
            lambda x, y, other: LogisticRegression().fit(x, y).predict_proba(other)[:, 1],
        "These are probabilities of the training jets; the third argument holds the jets to be scored.": lambda x, y, other: fit_and_score(x, y, x),
        "Only the first two inputs are used. The lesson goes on to more: take all columns.": lambda x, y, other: fit_and_score(x[:, :2], y, other[:, :2]),
        "they come as a list": lambda *samples: fit_and_score(*samples).tolist(),
    },
    accepted=[scaled_with(lambda x, other: x), by_hand],
)
def fit_and_score(train_inputs, train_labels, inputs):
    tagger = make_pipeline(StandardScaler(), LogisticRegression())
    tagger.fit(train_inputs, train_labels)
    return tagger.predict_proba(inputs)[:, 1]


# --- 8.7 --------------------------------------------------------------------------------------------------------------


def scored_jets():
    rng = np.random.default_rng(87)
    labels = rng.integers(0, 2, 200)
    score = np.round(np.clip(rng.normal(0.35 + 0.25 * labels, 0.25), 0, 1), 2)
    score[:30] = 0.4  # thirty jets at the threshold itself
    for threshold in (0.4, 0.0, 1.1):  # some pass, all pass, none passes
        yield labels, score, threshold


def table_is(new):
    """Return what those write who arrange the right counts otherwise, or make something else of them."""
    return lambda y, score, cut: new(confusion(y, score, cut))


def with_bincount(labels, score, threshold, **options):
    return np.bincount(2 * labels + (score >= threshold), **options).reshape(2, 2)


@exercise(
    "8.7",
    "the confusion matrix at a threshold",
    cases=scored_jets,
    returns=("the confusion matrix",),
    hints=(
        "Four counts: QCD jets called QCD and called top, top jets called QCD and called top.",
        "passed = score >= threshold is the tagger's answer; np.sum((labels == 1) & passed) counts tops called tops.",
        "Rows are the truth, columns the answer, 0 before 1 in both.",
    ),
    mistakes={
        "Rows and columns are exchanged: the rows are the truth.": table_is(np.transpose),
        "The threshold of 0.5 is built in. Use the argument.": lambda y, score, cut: confusion(y, score, 0.5),
        "These are shares of all jets. Keep the counts: from them follow all efficiencies.": table_is(lambda counts: counts / counts.sum()),
        "These are shares of each row. Keep the counts: their errors depend on how many there are.": table_is(lambda counts: counts / counts.sum(axis=1, keepdims=True)),
        "Top comes first, in rows and columns. Here label 0 comes first.": table_is(lambda counts: counts[::-1, ::-1]),
        "The answer is reversed: a score at or above the threshold means top.": table_is(lambda counts: counts[:, ::-1]),
        "The truth is reversed: the first row are the QCD jets, label 0.": table_is(lambda counts: counts[::-1]),
        "A jet at the threshold passes: score >= threshold.": lambda y, score, cut: confusion(y, score, cut + 1e-9),
        "The four counts are right; arrange them in two rows.": table_is(np.ravel),
        "The labels were cut at the threshold, too. They are 0 or 1 as they stand.": lambda y, score, cut: confusion_matrix(y >= cut, score >= cut),
        "np.bincount leaves out what comes last and is empty: minlength=4.": with_bincount,
        "they come as a list": table_is(np.ndarray.tolist),
    },
    accepted=[
        lambda y, score, cut: confusion_matrix(y, (score >= cut).astype(int)),
        lambda y, score, cut: np.histogram2d(y, score >= cut, bins=[[0, 0.5, 1]] * 2)[0],
        lambda *jets: with_bincount(*jets, minlength=4),
    ],
)
def confusion(labels, score, threshold):
    passed = score >= threshold
    return np.array([[np.sum((labels == truth) & (passed == answer)) for answer in (0, 1)] for truth in (0, 1)])


# --- 8.8 --------------------------------------------------------------------------------------------------------------


def two_taggers():
    rng, labels = np.random.default_rng(88), np.repeat([0, 1], 100)
    score = labels + rng.normal(0, 0.8, 200)
    yield labels, score, score + rng.normal(0, 0.7, 200), 100, np.random.default_rng(188)


def drawn(function, labels, one, two, n_replicas, rng):
    answer = call(function, labels, one, two, n_replicas, rng, name="bootstrap_differences")
    try:
        values = np.asarray(answer, dtype=np.float64)
    except (TypeError, ValueError):
        fail(f"bootstrap_differences should return an array of {n_replicas} numbers; what came is {describe(answer)}.")
    if values.shape != (n_replicas,):
        fail(
            f"the array of differences has shape {values.shape}, expected {(n_replicas,)}: one difference for each "
            "replica. Mean and standard deviation come afterwards."
        )
    return values


def replicas(function, labels, score, other, n_replicas, rng):
    """Numbers drawn at random can only be judged by how they lie."""
    areas, truth = (auc(labels, score).value, auc(labels, other).value), auc_difference(labels, score, other)
    values = drawn(function, labels, score, other, n_replicas, rng)
    mean, spread, error_of_mean = values.mean(), values.std(ddof=1), truth.error / np.sqrt(n_replicas)
    if spread < 1e-12:
        fail(
            "all replicas are alike: the same jets each time, in another order perhaps. Draw with replacement, anew for each replica, so that some jets come twice and others not at all."
        )
    if abs(mean) < 1e-12:
        fail("the mean of the differences was subtracted from them. It is the gain itself: keep it.")
    if spread < truth.error / 4:
        fail(
            f"the differences scatter by {spread:.4f} only, expected {truth.error:.4f}: are they those of the errors, "
            ".error? The areas are .value."
        )
    if abs(mean) < truth.value / 3:
        fail(
            f"the differences scatter round {mean:.3f}, those of taggers that know nothing: labels and scores no "
            "longer belong together. Draw them with the same places: labels[i], score[i], other[i]."
        )
    if min(abs(mean - area) for area in areas) < 0.05:
        fail(f"the values lie near {mean:.2f}: they are areas. Subtract the two of each replica.")
    if np.ptp(drawn(function, labels, score, score, n_replicas, rng)) > 1e-12:
        fail(
            f"each tagger got jets of its own: even a tagger and its copy differ, and the spread is {spread:.3f}. On "
            f"the same jets their fluctuations cancel in the difference, and it is {truth.error:.3f}."
        )
    if abs(mean + truth.value) < 5 * error_of_mean:
        fail(f"the sign is reversed: the mean is {mean:.3f}, expected {truth.value:.3f}, AUC(score) - AUC(other).")
    if abs(mean - truth.value) > 5 * max(error_of_mean, spread / np.sqrt(n_replicas)):
        fail(f"the mean of the differences is {mean:.4f}, expected {truth.value:.4f}.")
    if not 0.7 < spread / truth.error < 1.4:
        fail(
            f"the spread of the differences is {spread:.4f}, expected {truth.error:.4f} to within a third. Does each "
            f"replica have as many jets as the sample, {len(labels)}?"
        )
    for jet, name in (0, "first"), (-1, "last"):
        only_one = score.copy()
        only_one[jet] = 0.5  # the two taggers differ in this jet alone
        if not drawn(function, labels, score, only_one, n_replicas, rng).any():
            fail(f"the {name} jet is never drawn: rng.integers(n) goes from 0 to n - 1, and n - 1 is the last place.")
    if (drawn(function, labels, other, score, n_replicas, rng) >= 0).all():
        fail("no difference is negative where the second tagger is ahead: the absolute value hides which one it is.")
    return {"the number of differences": len(values)}


def differences(draw=lambda rng, n: rng.integers(n, size=n), subtract=lambda one, two: one.value - two.value):
    """Return what those write who draw in another way, or subtract something else."""

    def bootstrap_differences(labels, score, other, n_replicas, rng):
        draws = [draw(rng, len(labels)) for _ in range(n_replicas)]
        return np.array([subtract(auc(labels[i], score[i]), auc(labels[i], other[i])) for i in draws])

    return bootstrap_differences


def made_of(new):
    return lambda *sample: new(bootstrap_differences(*sample))


def jets_of_their_own(labels, score, other, n_replicas, rng):
    def area(s):
        i = rng.integers(len(labels), size=len(labels))
        return auc(labels[i], s[i]).value

    return np.array([area(score) - area(other) for _ in range(n_replicas)])


def labels_left_behind(labels, score, other, n_replicas, rng):
    draws = [rng.integers(len(labels), size=len(labels)) for _ in range(n_replicas)]
    return np.array([auc(labels, score[i]).value - auc(labels, other[i]).value for i in draws])


@exercise(
    "8.8",
    "differences of AUC on jets drawn with replacement",
    cases=two_taggers,
    observe=replicas,
    demands=[demands.given_generator],
    hints=(
        "One replica: draw as many jets as there are, with replacement; both taggers score the jets drawn.",
        "i = rng.integers(len(labels), size=len(labels)) are the places of the jets drawn.",
        "auc(labels[i], score[i]).value - auc(labels[i], other[i]).value, once for each replica.",
    ),
    mistakes={
        "bootstrap_differences should return an array of 100 numbers": made_of(str),
        "one difference for each replica": made_of(np.std),
        "Draw with replacement, anew for each replica": differences(lambda rng, n: rng.permutation(n)),
        "the mean of the differences was subtracted from them": made_of(lambda d: d - d.mean()),
        "are they those of the errors, .error?": differences(subtract=lambda one, two: one.error - two.error),
        "labels and scores no longer belong together": labels_left_behind,
        "they are areas. Subtract the two of each replica": differences(subtract=lambda one, two: one.value),
        "each tagger got jets of its own": jets_of_their_own,
        "the sign is reversed": made_of(np.negative),
        "the mean of the differences is": differences(subtract=lambda one, two: one.value / two.value),
        "as many jets as the sample, 200?": differences(lambda rng, n: rng.integers(n, size=n // 4)),
        "the last jet is never drawn": differences(lambda rng, n: rng.integers(n - 1, size=n)),
        "the first jet is never drawn": differences(lambda rng, n: rng.integers(1, n, size=n)),
        "the absolute value hides which one it is": made_of(np.abs),
        "another generator gives the same result": lambda labels, score, other, n, rng: bootstrap_differences(labels, score, other, n, np.random.default_rng(1)),
    },
    accepted=[
        differences(lambda rng, n: rng.choice(n, n)),
        differences(lambda rng, n: (rng.random(n) * n).astype(int)),
        made_of(list),
    ],
)
def bootstrap_differences(labels, score, other, n_replicas, rng):
    differences = []
    for _ in range(n_replicas):
        i = rng.integers(len(labels), size=len(labels))
        differences.append(auc(labels[i], score[i]).value - auc(labels[i], other[i]).value)
    return np.array(differences)


# --- 8.9 --------------------------------------------------------------------------------------------------------------


def validation_and_test():
    rng = np.random.default_rng(89)

    def sample(n, shift):
        labels = rng.integers(0, 2, n)
        return labels, 1 / (1 + np.exp(-rng.normal(2 * labels - 1 + shift, 1.2)))

    val, test = sample(6000, 0.0), sample(5000, -0.35)  # shifted, so that it shows where the threshold comes from
    for efficiency in (0.3, 0.6):
        yield *val, *test, efficiency


def at(threshold):
    """Return what those write who choose another threshold."""

    def working_point(val_labels, val_score, test_labels, test_score, efficiency):
        passed = test_score >= threshold(val_labels, val_score, test_labels, test_score, efficiency)
        return [passed[test_labels == 1].mean(), 1 / passed[test_labels == 0].mean()]

    return working_point


def second_is(new):
    def working_point(*samples):
        efficiency, rejection = at(quantile)(*samples)
        return efficiency, new(rejection)

    return working_point


def quantile(val_labels, val_score, test_labels, test_score, efficiency):
    return np.quantile(val_score[val_labels == 1], 1 - efficiency)


def by_order(val_labels, val_score, test_labels, test_score, efficiency):
    tops = np.sort(val_score[val_labels == 1])[::-1]
    return tops[round(efficiency * len(tops)) - 1]


@exercise(
    "8.9",
    "efficiency and rejection on the test jets at a threshold fixed before",
    cases=validation_and_test,
    returns=("the signal efficiency", "the rejection"),
    tolerance={"rtol": 0.015},
    hints=(
        "Two steps: the threshold from the validation jets alone, the two numbers from the test jets alone.",
        "Half of the validation tops lie above the median of their scores; in general above the quantile 1 - efficiency.",
        "np.quantile(val_score[val_labels == 1], 1 - efficiency); the mean of a boolean array is a share.",
    ),
    mistakes={
        "The threshold was chosen on the test jets: the efficiency is right because it was made so, and nothing is left to test. Choose it on the validation jets.":
            lambda labels, score, test_labels, test_score, e: working_point(test_labels, test_score, test_labels, test_score, e),
        "The threshold is the quantile `efficiency` of the scores: for 0.3 of them, 70% of the tops pass. It is the quantile 1 - efficiency.": at(lambda y, score, *test: np.quantile(score[y == 1], test[-1])),
        "The threshold is a quantile of all scores. The efficiency is a share of the tops: use the scores with label 1.": at(lambda y, score, *test: np.quantile(score, 1 - test[-1])),
        "The threshold is a quantile of the QCD jets' scores. Use those with label 1.": at(lambda y, score, *test: np.quantile(score[y == 0], 1 - test[-1])),
        "These are the numbers of the validation jets, on which the threshold was chosen.": lambda labels, score, test_labels, test_score, e: working_point(labels, score, labels, score, e),
        "The threshold is the efficiency itself. A score above 0.3 does not mean that 30% of the tops pass.": at(lambda *samples: samples[-1]),
        "An efficiency of 0.5 is built in. Use the argument.": lambda *samples: working_point(*samples[:-1], 0.5),
        "The second number is the background efficiency. The rejection is one over it.": second_is(lambda rejection: 1 / rejection),
        "The second number is the share of QCD jets that fail. The rejection is 1 over the share that passes.": second_is(lambda rejection: 1 - 1 / rejection),
        "The two numbers are exchanged: first the signal efficiency.": lambda *samples: working_point(*samples)[::-1],
    },
    accepted=[at(by_order), lambda *samples: np.array(at(quantile)(*samples))],
)
def working_point(val_labels, val_score, test_labels, test_score, efficiency):
    threshold = np.quantile(val_score[val_labels == 1], 1 - efficiency)
    passed = test_score >= threshold
    return passed[test_labels == 1].mean(), 1 / passed[test_labels == 0].mean()
