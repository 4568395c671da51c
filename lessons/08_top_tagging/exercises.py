"""Exercises of lesson 08: the reference table, observables of a jet, a tagger trained and judged."""

import awkward as ak
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, scale

from coursekit.checks import call, demands, describe, exercise, fail
from coursekit.jets import unpack
from coursekit.metrics import auc, auc_difference


def cone(rng, counts, energy, phi, spread):
    """Return jagged jets of massless constituents round the directions phi, their energies `energy` in all."""
    rng, of = np.random.default_rng(rng), np.repeat(np.arange(len(counts)), counts)
    share = rng.uniform(0.2, 1, len(of))
    e = np.asarray(energy)[of] * share / np.bincount(of, share)[of]
    eta, azimuth = rng.normal(0.4, spread, len(of)), np.asarray(phi)[of] + rng.normal(0, spread, len(of))
    pt = e / np.cosh(eta)
    return unpack(np.stack([pt * np.cos(azimuth), pt * np.sin(azimuth), pt * np.sinh(eta), e], axis=1), counts)


def tables():
    rng, labels = np.random.default_rng(81), np.array([1, 0, 0, 1, 1, 0, 1])
    values = np.sort(rng.uniform(1, 300, (7, 804)), axis=1)[:, ::-1].astype(np.float32)
    values[:, 800:] *= np.array([1, 0, 0, 0, 1, 0, 1])[:, None]  # and a top of which the truth says nothing
    columns = [f"{name}_{i}" for i in range(200) for name in ("E", "PX", "PY", "PZ")]
    table = pd.DataFrame(values, columns=[*columns, "truthE", "truthPX", "truthPY", "truthPZ"])
    yield (table.assign(ttv=np.array([0, 1, 2, 0, 2, 2, 1]), is_signal_new=labels),)


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
        "There are 201 constituents: 804 columns are 201 x 4 as well, and the last one is the true top. The label is among the inputs again.": lambda t: (t.iloc[:, :804].to_numpy().reshape(len(t), -1, 4), separate(t)[1]),
        "All 806 columns are there, truth and label among them.": lambda t: (t.to_numpy(), separate(t)[1]),
        "All columns but the label are there, truth among them.": lambda t: (t.drop(columns="is_signal_new").to_numpy(), separate(t)[1]),
        "The truth columns are still there.": lambda t: (t.iloc[:, :804].to_numpy(), separate(t)[1]),
        "These are the right columns; reshape them to (N, 200, 4).": lambda t: (t.iloc[:, :800].to_numpy(), separate(t)[1]),
        "The columns lie constituent by constituent, E PX PY PZ, E PX PY PZ, ...: reshape(N, 4, 200) puts E_0 PX_0 PY_0 PZ_0 E_1 ... in the place of the energies.": lambda t: (t.iloc[:, :800].to_numpy().reshape(-1, 4, 200), separate(t)[1]),
        "The momenta of different constituents are mixed: reshape(-1, 200, 4), with the 4 last and in NumPy's usual order, keeps each together.": lambda t: (t.iloc[:, :800].to_numpy().reshape(-1, 4, 200).swapaxes(1, 2), separate(t)[1]),
        "The last two axes are exchanged.": lambda t: (separate(t)[0].swapaxes(1, 2), separate(t)[1]),
        "The column names were sorted, so that E_10 follows E_1.": lambda t: (t[sorted(t.columns[:800])].to_numpy().reshape(-1, 200, 4), separate(t)[1]),
        "The energy stands last. That is a good order too, but here the order of the file is kept: E first.": lambda t: (np.roll(separate(t)[0], -1, axis=2), separate(t)[1]),
        "This is ttv, the file that a jet belongs to (0 training, 1 test, 2 validation).": lambda t: (separate(t)[0], t.iloc[:, -2].to_numpy()),
        "The sense is reversed: 1 is a top jet.": lambda t: (separate(t)[0], 1 - t["is_signal_new"].to_numpy()),
        "The labels were made from the truth. The file has them as a column, is_signal_new.": lambda t: (separate(t)[0], (t["truthE"] > 0).to_numpy().astype(int)),
        "This is a column of shape (N, 1); a single pair of brackets selects it as (N,).": lambda t: (separate(t)[0], t[["is_signal_new"]].to_numpy()),
        "they come as a Series; the lesson goes on with a NumPy array": lambda t: (separate(t)[0], t["is_signal_new"]),
    },
    accepted=[
        lambda t: (t.to_numpy()[:, :800].reshape(len(t), 200, 4), t.to_numpy()[:, -1]),
        lambda t: [np.stack([t.filter(regex=f"^{x}_") for x in ("E", "PX", "PY", "PZ")], 2), t.is_signal_new.values],
    ],
)
def separate(table):
    columns = [f"{name}_{i}" for i in range(200) for name in ("E", "PX", "PY", "PZ")]
    return table[columns].to_numpy().reshape(-1, 200, 4), table["is_signal_new"].to_numpy()


def padded_jets():
    rng, there = np.random.default_rng(82), np.arange(200) < np.array([[1], [3], [200], [17], [58], [44]])
    pt = np.sort(rng.exponential(20, there.shape) + 0.5, axis=1)[:, ::-1] * there
    phi, eta = rng.uniform(-3, 3, there.shape), rng.normal(0, 1, there.shape)
    momenta = np.stack([pt * np.cosh(eta), pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)], axis=2)
    momenta[4, 7, 1] = 0  # a constituent that flies along y
    yield (momenta,)


def of_jets(n=lambda p: count_and_mean_pt(p)[0], mean=lambda pt, n: pt.sum(axis=1) / n):
    return lambda p: (n(p), mean(np.hypot(p[..., 1], p[..., 2]), n(p)))


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
        "Padding is counted as constituents: every jet has 200.": of_jets(lambda p: np.full(len(p), p.shape[1])),
        "The last constituent is dropped from the count.": of_jets(lambda p: count_and_mean_pt(p)[0] - 1),
        "This counts numbers, four for each constituent. Count constituents.": of_jets(lambda p: np.count_nonzero(p, axis=(1, 2))),
        "A real constituent can have px < 0: half of them are lost. Ask for the energy.": of_jets(lambda p: (p[..., 1] > 0).sum(axis=1)),
        "A real constituent can have px = 0: ask for the energy.": of_jets(lambda p: (p[..., 1] != 0).sum(axis=1)),
        "This is one number for all jets: sum over axis 1.": of_jets(lambda p: (p[..., 0] > 0).sum()),
        "argmin finds the first zero, and a jet of 200 constituents has none: its count becomes the place of its softest constituent.": of_jets(lambda p: p[..., 0].argmin(axis=1)),
        "The last of the 200 slots is left out, and a jet of 200 constituents loses one.": lambda p: count_and_mean_pt(p[:, :-1]),
        "This is the padding: the slots that are empty.": of_jets(lambda p: (p[..., 0] == 0).sum(axis=1)),
        "Padding takes part: the sum is divided by 200, whatever the jet.": of_jets(mean=lambda pt, n: pt.mean(axis=1)),
        "The last constituent is dropped, from the sum and from the count.": of_jets(mean=lambda pt, n: (pt.sum(axis=1) - pt[np.arange(len(n)), n - 1]) / (n - 1)),
        "The last constituent is missing from the sum.": of_jets(mean=lambda pt, n: (pt.sum(axis=1) - pt[np.arange(len(n)), n - 1]) / n),
        "The sum is divided by n - 1. That belongs to a variance, not to a mean.": of_jets(mean=lambda pt, n: pt.sum(axis=1) / (n - 1)),
        "This is the mean energy. The transverse momentum is hypot(px, py).": lambda p: ((n := count_and_mean_pt(p)[0]), p[..., 0].sum(axis=1) / n),
        "This is the pT of the whole jet over n: momenta were added as vectors. Here each constituent's own pT counts.": lambda p: ((n := count_and_mean_pt(p)[0]), np.hypot(*p.sum(axis=1).T[1:3]) / n),
        "This is the sum; divide by the number of constituents.": of_jets(mean=lambda pt, n: pt.sum(axis=1)),
        "The first two columns are E and px; px and py are columns 1 and 2.": lambda p: ((n := count_and_mean_pt(p)[0]), np.hypot(p[..., 0], p[..., 1]).sum(axis=1) / n),
        "This is one number for all jets: take the mean for each, over axis 1.": of_jets(mean=lambda pt, n: pt.sum() / n.sum()),
    },
    accepted=[
        of_jets(mean=lambda pt, n: np.ma.masked_equal(pt, 0).mean(axis=1).filled(0)),
        lambda p: [(p[..., 0] > 0).sum(axis=1), np.hypot(p[..., 1], p[..., 2]).mean(axis=1, where=p[..., 0] > 0)],
    ],
)
def count_and_mean_pt(momenta):
    pt = np.hypot(momenta[..., 1], momenta[..., 2])
    n = (momenta[..., 0] > 0).sum(axis=1)
    return n, pt.sum(axis=1) / n


@exercise(
    "8.3",
    "transverse momentum and azimuth of each jet",
    cases=lambda: [(cone(83, [5, 30, 12, 1, 40, 8], [600] * 6, [0.4, 2, -1, -3, np.pi, 1], 0.3),)],
    returns=("pT", "phi"),
    accept=(np.ndarray,),
    hints=(
        "Momenta add as vectors: first the sums of px and of py over the constituents, then pT and phi of the sum.",
        "ak.sum(jets.px, axis=1) is the px of each jet.",
        "np.hypot(px, py) and np.arctan2(py, px): the y component comes first.",
    ),
    mistakes={
        "These are the constituents' pT, added as numbers. Momenta are vectors: add px and py first.": lambda jets: (ak.sum(jets.pt, axis=1), ak.mean(jets.phi, axis=1)),
        "This is the pT of the leading constituent.": lambda jets: (jets.pt[:, 0], pt_and_phi(jets)[1]),
        "This is the magnitude of the whole momentum, pz included.": lambda jets: (np.hypot(pt_and_phi(jets)[0], ak.sum(jets.pz, axis=1)), pt_and_phi(jets)[1]),
        "This is pT squared.": lambda jets: (pt_and_phi(jets)[0] ** 2, pt_and_phi(jets)[1]),
        "This is px alone.": lambda jets: (ak.sum(jets.px, axis=1), pt_and_phi(jets)[1]),
        "This is the energy.": lambda jets: (ak.sum(jets.E, axis=1), pt_and_phi(jets)[1]),
        "The two are exchanged: first pT.": lambda jets: pt_and_phi(jets)[::-1],
        "This is arctan2(py, py): an angle of 45 degrees or its opposite, whatever the jet.": lambda jets: (pt_and_phi(jets)[0], np.arctan2(ak.sum(jets.py, axis=1), ak.sum(jets.py, axis=1))),
        "The arguments are exchanged: arctan2 wants y first.": lambda jets: (pt_and_phi(jets)[0], np.arctan2(ak.sum(jets.px, axis=1), ak.sum(jets.py, axis=1))),
        "arctan(py / px) cannot tell a direction from its opposite: half of the circle is lost. Use arctan2(py, px).": lambda jets: (pt_and_phi(jets)[0], np.arctan(ak.sum(jets.py, axis=1) / ak.sum(jets.px, axis=1))),
        "The mean of the constituents' phi fails where they lie on both sides of +-pi: 3.1 and -3.1 average to 0, the opposite direction. Add the vectors first.": lambda jets: (pt_and_phi(jets)[0], ak.mean(jets.phi, axis=1)),
        "A mean of phi weighted with pT is still a mean of angles, and fails where constituents lie on both sides of +-pi. Add the vectors first.": lambda jets: (pt_and_phi(jets)[0], ak.mean(jets.phi, weight=jets.pt, axis=1)),
        "This is the azimuth of the leading constituent.": lambda jets: (pt_and_phi(jets)[0], jets.phi[:, 0]),
        "These are degrees; the course uses radians.": lambda jets: (pt_and_phi(jets)[0], np.degrees(pt_and_phi(jets)[1])),
        "This is right, but counted from 0 to 2 pi; this course counts from -pi to pi.": lambda jets: (pt_and_phi(jets)[0], pt_and_phi(jets)[1] % (2 * np.pi)),
        "they come as a list": lambda jets: [part.to_list() for part in pt_and_phi(jets)],
    },
    accepted=[
        lambda jets: (ak.sum(jets, axis=1).pt, ak.sum(jets, axis=1).phi),
        lambda jets: (np.hypot(*(p := np.array([[sum(j.px), sum(j.py)] for j in jets]).T)), np.arctan2(*p[::-1])),
    ],
)
def pt_and_phi(jets):
    px, py = ak.sum(jets.px, axis=1), ak.sum(jets.py, axis=1)
    return np.hypot(px, py), np.arctan2(py, px)


def hard_jets():
    rng, energy, phi = np.random.default_rng(84), np.linspace(600, 3000, 12), np.linspace(-3, 3, 12)
    wide, narrow = (cone(rng, [30] * 12, energy, phi, spread) for spread in (0.3, 0.003))
    single = cone(rng, [1, 1, 1], [800, 2500, 1700], [1, 2, 3], 0.3)
    single["E"] = single["E"] * (1 - 3e-7)  # as rounding can have it
    yield (ak.values_astype(ak.concatenate([wide, narrow, single]), np.float32),)


def masses(function, jets):
    """Float32 rounds in as many ways as there are orders of adding: it shows in how far the masses are off."""
    answer, right = call(function, jets, name="mass"), ak.to_numpy(mass(jets))
    try:
        got = np.asarray(ak.to_numpy(answer), dtype=np.float64)
    except (TypeError, ValueError):
        fail(f"mass should return one number for each jet; what came is {describe(answer)}.")
    if got.shape == right.shape:
        if (got < 5).all():
            fail("every mass is close to zero.")
        e, known = ak.to_numpy(ak.sum(jets.E, axis=1)), (right > 1) & np.isfinite(got)
        off = known & ~np.isclose(got, right, rtol=1e-5, atol=1e-3)
        if off.any() and (np.abs(got**2 - right**2)[known] < 2e-6 * e[known] ** 2).all():
            worst = np.argmax(np.where(off, np.abs(got - right), 0))
            fail(
                f"the squares cancel in float32: E and |p| agree in more digits than it has. Convert all four to float64 before adding. (For a jet of {e[worst]:.0f} GeV the mass came out as {got[worst]:.2f} GeV, expected {right[worst]:.2f}.)"
            )
    return {"the mass": got}


def of_sum(formula, dtype=np.float64):
    return lambda jets: formula(ak.sum(ak.values_astype(jets, dtype), axis=1))


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
        "the squares cancel in float32": of_sum(lambda jet: np.sqrt(np.maximum(jet.E**2 - jet.px**2 - jet.py**2 - jet.pz**2, 0)), np.float32),
        "E and |p| agree in more digits than it has": of_sum(lambda jet: np.sqrt(np.maximum(ak.values_astype(jet.m2, np.float64), 0)), np.float32),
        "Convert all four to float64 before adding.": lambda jets: np.sqrt(np.maximum(ak.sum(ak.values_astype(jets.E, np.float64), axis=1) ** 2 - ak.sum(jets, axis=1).p ** 2, 0)),
        "m^2 of a single massless constituent can come out a little below zero, and its square root is NaN. np.maximum(m2, 0) before the root keeps it at zero.": of_sum(lambda jet: np.sqrt(jet.m2)),
        "m^2 of a single massless constituent can come out a little below zero, and its square root is -sqrt(-m^2), as `vector` does. np.maximum(m2, 0) before the root keeps it at zero.": of_sum(lambda jet: jet.mass),
        "m^2 of a single massless constituent can come out a little below zero, and its square root is a mass, which abs makes of nothing. np.maximum(m2, 0) before the root keeps it at zero.": of_sum(lambda jet: np.sqrt(np.abs(jet.m2))),
        "The constituents are nearly massless; a jet gets its mass from the angles between them. Add the momenta first, then E^2 - p^2, in this order.": lambda jets: ak.sum(np.maximum(ak.values_astype(jets, np.float64).mass, 0), axis=1),
        "This is p^2 - E^2, below zero for all that has a mass.": of_sum(lambda jet: np.sqrt(-jet.m2)),
        "pz is missing: this mixes the mass with the momentum along the beam.": of_sum(lambda jet: np.sqrt(jet.E**2 - jet.pt**2)),
        "This is m squared: take the square root.": of_sum(lambda jet: np.maximum(jet.m2, 0)),
        "This is E - |p|. The mass is sqrt(E^2 - p^2).": of_sum(lambda jet: jet.E - jet.p),
        "This is sqrt(E - |p|): E and p enter squared.": of_sum(lambda jet: np.sqrt(np.maximum(jet.E - jet.p, 0))),
        "mass should return one number for each jet": lambda jets: jets.E,
    },
    accepted=[
        of_sum(lambda jet: np.sqrt(np.maximum((jet.E - jet.p) * (jet.E + jet.p), 0))),
        of_sum(lambda jet: np.maximum(jet.mass, 0).to_list()),
    ],
)
def mass(jets):
    px, py, pz, e = (ak.sum(ak.values_astype(jets[name], np.float64), axis=1) for name in ("px", "py", "pz", "E"))
    return np.sqrt(np.maximum(e**2 - px**2 - py**2 - pz**2, 0))


def jets_across_the_edge():
    axis_y, axis_phi = np.array([0.35, 0.4, 0.5, 0.42, 0.3, 0.45]), np.array([3.1, -3.1, 0.3, -1.4, 2.9, -3.0])
    jets = cone(85, [20, 30, 12, 45, 8, 33], [600] * 6, axis_phi, np.repeat([0.25, 1.2], [115, 33]))
    yield np.hypot(jets.px, jets.py), np.arctanh(jets.pz / jets.E), np.arctan2(jets.py, jets.px), axis_y, axis_phi


def mean_of(distance=np.hypot, wrap=lambda dphi: (dphi + np.pi) % (2 * np.pi) - np.pi):
    return lambda pt, y, phi, axis_y, axis_phi: ak.mean(distance(y - axis_y, wrap(phi - axis_phi)), weight=pt, axis=1)


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
        "Every constituent counts the same. Weight the distances with pT.": lambda pt, *others: width(pt * 0 + 1, *others),
        "This is the sum; divide by the sum of pT.": lambda pt, *others: width(pt, *others) * ak.sum(pt, axis=1),
        "It is divided by the number of constituents; divide by the sum of pT.": lambda pt, *others: width(pt, *others) * ak.mean(pt, axis=1),
        "These are squared distances: take the square root of dy^2 + dphi^2 for each constituent.": mean_of(lambda dy, dphi: dy**2 + dphi**2),
        "dy and dphi were added. They are the sides of a right angle: np.hypot.": mean_of(lambda dy, dphi: abs(dy) + abs(dphi)),
        "dy is missing.": mean_of(lambda dy, dphi: abs(dphi)),
        "dphi is missing.": mean_of(lambda dy, dphi: abs(dy)),
        "The root was taken after the mean: this is the square root of the mean squared distance.": lambda *jets: np.sqrt(mean_of(lambda dy, dphi: dy**2 + dphi**2)(*jets)),
    },
    accepted=[
        mean_of(wrap=lambda dphi: np.arctan2(np.sin(dphi), np.cos(dphi))),
        lambda *jets: np.asarray(mean_of(lambda dy, dphi: abs(dy + 1j * dphi))(*jets)),
    ],
)
def width(pt, y, phi, axis_y, axis_phi):
    dphi = (phi - axis_phi + np.pi) % (2 * np.pi) - np.pi
    return ak.sum(pt * np.hypot(y - axis_y, dphi), axis=1) / ak.sum(pt, axis=1)


def two_samples():
    rng = np.random.default_rng(86)
    labels = rng.random(1000) < np.repeat([0.35, 0.8], [600, 400])
    inputs = rng.normal(np.stack([90 + 50 * labels, 0.05 - 0.012 * labels, 2 + labels], axis=1), [40, 0.012, 1])
    inputs[600] = 8000, 2, 300  # with this jet far out, and the other share, a scale that is not of the training shows
    yield inputs[:600], labels[:600].astype(int), inputs[600:]


def unscaled(x, y, other):
    return LogisticRegression().fit(x, y).predict_proba(other)[:, 1]


@exercise(
    "8.6",
    "the probability of a top, from a fit to training jets",
    cases=two_samples,
    returns=("the probability",),
    tolerance={"rtol": 0, "atol": 0.02},
    hints=(
        "Three steps, each with the training jets: scale, fit, and only then look at the other jets.",
        "make_pipeline(StandardScaler(), LogisticRegression()).fit(train_inputs, train_labels) remembers the scale.",
        "predict_proba(inputs) has two columns, the probability of label 0 and that of label 1.",
    ),
    mistakes={
        "The other jets were scaled with their own mean and standard deviation. A jet of 100 GeV then is another input in each sample. Scale both with the numbers of the training jets.":
            lambda x, y, other: unscaled(scale(x), y, scale(other)),
        "The scale is that of both samples together. Jets that are only to be scored had a part in it: fit the scaler to the training jets alone.": lambda x, y, other: unscaled((both := scale(np.r_[x, other]))[: len(x)], y, both[len(x) :]),
        "The scale is that of the jets to be scored. Fit the scaler to the training jets.": lambda x, y, other: unscaled((scaler := StandardScaler().fit(other)).transform(x), y, scaler.transform(other)),
        "This is the probability of a QCD jet: column 0. The score of this course rises with signal: column 1.": lambda x, y, other: make_pipeline(StandardScaler(), LogisticRegression()).fit(x, y).predict_proba(other)[:, 0],
        "These are answers, 0 or 1. A threshold of 0.5 is built in; predict_proba keeps what the tagger knows.": lambda x, y, other: make_pipeline(StandardScaler(), LogisticRegression()).fit(x, y).predict(other),
        "This is the linear function itself, the logarithm of the odds. predict_proba turns it into a probability.": lambda x, y, other: make_pipeline(StandardScaler(), LogisticRegression()).fit(x, y).decision_function(other),
        "Both columns are there; the second is the probability of a top.": lambda x, y, other: make_pipeline(StandardScaler(), LogisticRegression()).fit(x, y).predict_proba(other),
        "The inputs were not scaled. The penalty on large coefficients, which scikit-learn adds, then falls on the input with small numbers alone, and it is hardly used.": unscaled,
        "These are probabilities of the training jets; the third argument holds the jets to be scored.": lambda x, y, other: fit_and_score(x, y, x),
        "Both classes got the same total weight. That is the probability in a sample with as many tops as QCD jets; take the training jets as they are.": lambda x, y, other: make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced")).fit(x, y).predict_proba(other)[:, 1],
        "Only the first two inputs are used. The lesson goes on to more: take all columns.": lambda x, y, other: fit_and_score(x[:, :2], y, other[:, :2]),
        "they come as a list": lambda *samples: fit_and_score(*samples).tolist(),
    },
    accepted=[
        lambda x, y, other: unscaled((scaler := StandardScaler().fit(x)).transform(x), y, scaler.transform(other)),
        lambda x, y, other: unscaled((x - x.mean(0)) / x.std(0), y, (other - x.mean(0)) / x.std(0)),
        lambda x, y, other: make_pipeline(StandardScaler(), LogisticRegression(C=np.inf)).fit(x, y).predict_proba(other)[:, 1],  # no penalty
    ],
)
def fit_and_score(train_inputs, train_labels, inputs):
    tagger = make_pipeline(StandardScaler(), LogisticRegression())
    tagger.fit(train_inputs, train_labels)
    return tagger.predict_proba(inputs)[:, 1]


def scored_jets():
    rng = np.random.default_rng(87)
    labels = rng.integers(0, 2, 200)
    score = np.round(np.clip(rng.normal(0.35 + 0.25 * labels, 0.25), 0, 1), 2)
    score[:30] = 0.4  # thirty jets at the threshold itself
    return [(labels, score, threshold) for threshold in (0.4, 0.0, 1.1)]  # some pass, all pass, none passes


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
        "Rows and columns are exchanged: the rows are the truth.": lambda *jets: confusion(*jets).T,
        "The threshold of 0.5 is built in. Use the argument.": lambda y, score, cut: confusion(y, score, 0.5),
        "These are shares of all jets. Keep the counts: from them follow all efficiencies.": lambda *jets: confusion(*jets) / len(jets[0]),
        "These are shares of each row. Keep the counts: their errors depend on how many there are.": lambda *jets: confusion_matrix(jets[0], jets[1] >= jets[2], normalize="true"),
        "Top comes first, in rows and columns. Here label 0 comes first.": lambda *jets: confusion(*jets)[::-1, ::-1],
        "The answer is reversed: a score at or above the threshold means top.": lambda *jets: confusion(*jets)[:, ::-1],
        "The truth is reversed: the first row are the QCD jets, label 0.": lambda *jets: confusion(*jets)[::-1],
        "A jet at the threshold passes: score >= threshold.": lambda y, score, cut: confusion(y, score, cut + 1e-9),
        "The four counts are right; arrange them in two rows.": lambda *jets: confusion(*jets).ravel(),
        "The labels were cut at the threshold, too. They are 0 or 1 as they stand.": lambda y, score, cut: confusion_matrix(y >= cut, score >= cut),
        "np.bincount leaves out what comes last and is empty: minlength=4.": lambda y, score, cut: np.bincount(2 * y + (score >= cut)).reshape(2, 2),
        "they come as a list": lambda *jets: confusion(*jets).tolist(),
    },
    accepted=[
        lambda y, score, cut: np.histogram2d(y, score >= cut, bins=[[0, 0.5, 1]] * 2)[0],
        lambda y, score, cut: np.bincount(2 * y + (score >= cut), minlength=4).reshape(2, 2),
    ],
)
def confusion(labels, score, threshold):
    passed = score >= threshold
    return np.array([[np.sum((labels == truth) & (passed == answer)) for answer in (0, 1)] for truth in (0, 1)])


def two_taggers():
    rng, labels = np.random.default_rng(88), np.repeat([0, 1], 100)
    score = labels + rng.normal(0, 0.8, 200)
    other, mixed = score + rng.normal(0, 0.7, 200), rng.permutation(200)  # so that each jet's neighbour is of any class
    yield labels[mixed], score[mixed], other[mixed], 100, np.random.default_rng(188)


def facts(function, y, score, other, n, rng):
    """Numbers drawn at random can only be judged by how they lie: yield what may be wrong, and whether it is."""

    def drawn(one, two):
        answer = call(function, y, one, two, n, rng, name="bootstrap_differences")
        if np.array(answer, dtype=object).shape != (n,):
            fail(f"expected an array of {n} numbers, one difference for each replica; what came is {describe(answer)}.")
        return np.asarray(answer, dtype=np.float64)

    values, (truth, error) = drawn(score, other), auc_difference(y, score, other)
    mean, spread = values.mean(), values.std(ddof=1)
    yield "all replicas are alike", spread < 1e-12
    yield "the mean of the differences is zero", abs(mean) < 1e-12
    yield "they scatter by less than a quarter of what is expected", spread < error / 4
    yield "they scatter round the difference of taggers that know nothing", abs(mean) < truth / 3
    yield "they lie near an area", min(abs(mean - auc(y, one).value) for one in (score, other)) < 0.05
    yield "even a tagger and its copy differ", np.ptp(drawn(score, score)) > 1e-12
    yield "they lie round the opposite of what is expected", abs(mean + truth) < 5 * error / np.sqrt(n)
    yield f"their mean is {mean:.4f}, expected {truth:.4f}", abs(mean - truth) > 5 * max(error, spread) / np.sqrt(n)
    off = not 0.7 < spread / error < 1.4
    yield f"their spread is {spread:.4f}, expected {error:.4f}: draw as many jets as the sample, {len(y)}", off
    yield "taggers that differ in the first jet alone never differ", not drawn(score, np.r_[0.5, score[1:]]).any()
    yield "taggers that differ in the last jet alone never differ", not drawn(score, np.r_[score[:-1], 0.5]).any()
    yield "taggers that differ in one jet alone differ in every replica, also in those without it", (drawn(score, np.r_[0.5, score[1:]]) != 0).all()
    yield "no difference is negative where the second tagger is ahead", (drawn(other, score) >= 0).all()


def replicas(draw=lambda rng, n: rng.integers(n, size=n), of=lambda y, a, b, i: auc_difference(y[i], a[i], b[i])[0]):
    return lambda y, a, b, n, rng: np.array([of(y, a, b, draw(rng, len(y))) for _ in range(n)])


@exercise(
    "8.8",
    "differences of AUC on jets drawn with replacement",
    cases=two_taggers,
    observe=lambda *given: next((fail(f"{fact}.") for fact, seen in facts(*given) if seen), {}),
    demands=[demands.given_generator],
    hints=(
        "One replica: draw as many jets as there are, with replacement; both taggers score the jets drawn.",
        "i = rng.integers(len(labels), size=len(labels)) are the places of the jets drawn.",
        "auc(labels[i], score[i]).value - auc(labels[i], other[i]).value, once for each replica.",
    ),
    mistakes={
        "expected an array of 100 numbers, one difference for each replica": lambda *sample: np.std(bootstrap_differences(*sample)),
        "The jets are the same each time, in another order perhaps. Draw with replacement, anew for each replica, so that some jets come twice and others not at all.": replicas(lambda rng, n: rng.permutation(n)),
        "The mean of the differences was subtracted from them. It is the gain itself: keep it.": lambda *sample: (d := bootstrap_differences(*sample)) - d.mean(),
        "These are differences of the errors, .error. The areas are .value.": replicas(of=lambda y, a, b, i: auc(y[i], a[i]).error - auc(y[i], b[i]).error),
        "Labels and scores no longer belong together. Draw them with the same places: labels[i], score[i], other[i].": replicas(of=lambda y, a, b, i: auc(y, a[i])[0] - auc(y, b[i])[0]),
        "These are areas. Subtract the two of each replica.": replicas(of=lambda y, a, b, i: auc(y[i], a[i])[0]),
        "Each tagger got jets of its own. On the same jets their fluctuations cancel in the difference.": replicas(lambda rng, n: rng.integers(n, size=(2, n)), lambda y, a, b, i: auc(y[i[0]], a[i[0]])[0] - auc(y[i[1]], b[i[1]])[0]),
        "The sign is reversed: the difference is AUC(score) - AUC(other).": lambda *sample: -bootstrap_differences(*sample),
        "their mean is": replicas(of=lambda y, a, b, i: auc(y[i], a[i])[0] / auc(y[i], b[i])[0]),
        "draw as many jets as the sample, 200": replicas(lambda rng, n: rng.integers(n, size=n // 4)),
        "The last jet is never drawn: rng.integers(n) goes from 0 to n - 1, and n - 1 is the last place.": replicas(lambda rng, n: rng.integers(n - 1, size=n)),
        "The first jet is never drawn: rng.integers(n) goes from 0 to n - 1, and 0 is the first place.": replicas(lambda rng, n: rng.integers(1, n, size=n)),
        "These are random numbers with the mean and the error of a formula. Draw jets with replacement, and compute the two areas of those drawn.": lambda y, a, b, n, rng: rng.normal(*auc_difference(y, a, b), n),
        "The absolute value hides which of the two is ahead.": lambda *sample: abs(bootstrap_differences(*sample)),
        "another generator gives the same result": lambda labels, score, other, n, rng: bootstrap_differences(labels, score, other, n, np.random.default_rng(1)),
    },
    accepted=[replicas(lambda rng, n: rng.choice(n, n)), lambda *sample: list(bootstrap_differences(*sample))],
)
def bootstrap_differences(labels, score, other, n_replicas, rng):
    differences = []
    for _ in range(n_replicas):
        i = rng.integers(len(labels), size=len(labels))
        differences.append(auc(labels[i], score[i]).value - auc(labels[i], other[i]).value)
    return np.array(differences)


def validation_and_test():
    rng, is_test = np.random.default_rng(89), np.arange(11000) >= 6000
    labels = rng.integers(0, 2, 11000)
    score = 1 / (1 + np.exp(-rng.normal(2 * labels - 1 - 0.35 * is_test, 1.2)))  # shifted: so are the quantiles
    return [(labels[~is_test], score[~is_test], labels[is_test], score[is_test], share) for share in (0.3, 0.6)]


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
        "The threshold was chosen on the test jets: the efficiency is right because it was made so, and nothing is left to test. Choose it on the validation jets.": lambda y, score, *test: working_point(*test[:2], *test),
        "The threshold is the quantile `efficiency` of the scores: for 0.3 of them, 70% of the tops pass. It is the quantile 1 - efficiency.": lambda *samples: working_point(*samples[:4], 1 - samples[4]),
        "The threshold is a quantile of all scores. The efficiency is a share of the tops: use the scores with label 1.": lambda y, *others: working_point(np.ones(len(y)), *others),
        "The threshold is a quantile of the QCD jets' scores. Use those with label 1.": lambda y, *others: working_point(1 - y, *others),
        "These are the numbers of the validation jets, on which the threshold was chosen.": lambda *samples: working_point(*samples[:2], *samples[:2], samples[4]),
        "The threshold is the efficiency itself. A score above 0.3 does not mean that 30% of the tops pass.": lambda y, score, *test: working_point(np.ones(1), np.array([test[-1]]), *test),
        "An efficiency of 0.5 is built in. Use the argument.": lambda *samples: working_point(*samples[:4], 0.5),
        "The second number is the background efficiency. The rejection is one over it.": lambda *samples: np.array(working_point(*samples)) ** [1, -1],
        "The second number is the share of QCD jets that fail. The rejection is 1 over the share that passes.": lambda *samples: ((w := working_point(*samples))[0], 1 - 1 / w[1]),
        "The two numbers are exchanged: first the signal efficiency.": lambda *samples: working_point(*samples)[::-1],
    },
    accepted=[
        lambda *samples: np.array(working_point(*samples)),
        lambda y, x, *test: working_point(np.ones(1), np.sort(x[y == 1])[[-round(test[2] * y.sum())]], *test),
    ],
)
def working_point(val_labels, val_score, test_labels, test_score, efficiency):
    threshold = np.quantile(val_score[val_labels == 1], 1 - efficiency)
    passed = test_score >= threshold
    return passed[test_labels == 1].mean(), 1 / passed[test_labels == 0].mean()
