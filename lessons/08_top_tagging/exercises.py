"""Exercises of lesson 08: the reference table, observables of a jet, a tagger trained and judged."""

import warnings

import awkward as ak
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from coursekit import observables
from coursekit.checks.engine import call, describe, exercise, expect_close, fail
from coursekit.jets import unpack
from coursekit.metrics import auc, auc_difference
from coursekit.observables import delta_phi

# --- references: what a good answer looks like ------------------------------------------------------------------------

_COLUMNS = [f"{name}_{i}" for i in range(200) for name in ("E", "PX", "PY", "PZ")]


def separate(table):
    return table[_COLUMNS].to_numpy().reshape(-1, 200, 4), table["is_signal_new"].to_numpy()


def count_and_mean_pt(momenta):
    n = (momenta[..., 0] > 0).sum(axis=1)
    return n, np.hypot(momenta[..., 1], momenta[..., 2]).sum(axis=1) / n


def pt_and_phi(jets):
    return observables.jet_pt(jets), observables.jet_phi(jets)


def width(pt, y, phi, axis_y, axis_phi):
    return ak.to_numpy(ak.sum(pt * np.hypot(y - axis_y, delta_phi(phi, axis_phi)), axis=1) / ak.sum(pt, axis=1))


def fit_and_score(train_inputs, train_labels, inputs):
    tagger = make_pipeline(StandardScaler(), LogisticRegression())
    return tagger.fit(train_inputs, train_labels).predict_proba(inputs)[:, 1]


def confusion(labels, score, threshold):
    passed = score >= threshold
    return np.array([[np.sum((labels == truth) & (passed == answer)) for answer in (0, 1)] for truth in (0, 1)])


def bootstrap_differences(labels, score, other, n_replicas, rng):
    draws = [rng.integers(len(labels), size=len(labels)) for _ in range(n_replicas)]
    return np.array([auc(labels[i], score[i]).value - auc(labels[i], other[i]).value for i in draws])


def working_point(val_labels, val_score, test_labels, test_score, efficiency):
    threshold = np.quantile(val_score[val_labels == 1], 1 - efficiency)
    passed = test_score >= threshold
    return passed[test_labels == 1].mean(), 1 / passed[test_labels == 0].mean()


# --- jets to try answers on -------------------------------------------------------------------------------------------


def _cone(rng, counts, energy, phi, spread):
    """Return jagged jets of massless constituents round the directions phi, their energies `energy` in all."""
    counts = np.asarray(counts)
    of = np.repeat(np.arange(len(counts)), counts)
    share = rng.uniform(0.2, 1, len(of))
    e = np.asarray(energy)[of] * share / np.bincount(of, share)[of]
    eta, azimuth = rng.normal(0.4, spread, len(of)), np.asarray(phi)[of] + rng.normal(0, spread, len(of))
    pt = e / np.cosh(eta)
    return unpack(np.stack([pt * np.cos(azimuth), pt * np.sin(azimuth), pt * np.sinh(eta), e], axis=1), counts)


def _pair(answer, name, first, second):
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        fail(f"{name} should return two things, {first} and {second}; what came is {describe(answer)}.")
    return answer


# --- tests ------------------------------------------------------------------------------------------------------------


@exercise(
    "8.1",
    "momenta and labels apart, no truth among them",
    hints=(
        "Name the columns that you want: E_0, PX_0, PY_0, PZ_0, E_1, ..., PZ_199. Whatever you do not name stays out.",
        'columns = [f"{name}_{i}" for i in range(200) for name in ("E", "PX", "PY", "PZ")].',
        'table[columns].to_numpy().reshape(-1, 200, 4), and table["is_signal_new"].to_numpy().',
    ),
    reference=lambda: separate,
)
def _(function):
    rng = np.random.default_rng(81)
    n = 7
    values = np.sort(rng.uniform(1, 300, (n, 804)), axis=1)[:, ::-1].astype(np.float32)
    labels, ttv = np.array([1, 0, 0, 1, 1, 0, 1]), np.array([0, 1, 2, 0, 2, 2, 1])
    truth = ["truthE", "truthPX", "truthPY", "truthPZ"]
    values[:, 800:] *= labels[:, None]
    table = pd.DataFrame(values, columns=[*_COLUMNS, *truth]).assign(ttv=ttv, is_signal_new=labels)
    momenta, got_labels = _pair(call(function, table, name="separate"), "separate", "momenta", "labels")
    right, _ = separate(table)
    flat = right.reshape(n, 800)
    expect_close(
        "the array of momenta",
        momenta,
        right,
        mistakes={
            "There are 201 constituents: 804 columns are 201 x 4 as well, and the last one is the true top. "
            "The label is among the inputs again.": values.reshape(n, 201, 4),
            "All 806 columns are there, truth and label among them.": table.to_numpy(),
            "All columns but the label are there, truth among them.": table.drop(columns="is_signal_new").to_numpy(),
            "The truth columns are still there.": values,
            "These are the right columns; reshape them to (N, 200, 4).": flat,
            "The columns lie constituent by constituent, E PX PY PZ, E PX PY PZ, ...: reshape(N, 4, 200) puts "
            "E_0 PX_0 PY_0 PZ_0 E_1 ... in the place of the energies.": flat.reshape(n, 4, 200),
            "The columns lie constituent by constituent, so that the last axis of reshape must be the 4. Here the "
            "momenta of different constituents are mixed.": flat.reshape(n, 4, 200).swapaxes(1, 2),
            "The last two axes are exchanged.": right.swapaxes(1, 2),
            "The column names were sorted, so that E_10 follows E_1.": table[sorted(_COLUMNS)]
            .to_numpy()
            .reshape(n, 200, 4),
            "The energy stands last. That is a good order too, but here the order of the file is kept: E first.": right[
                ..., [1, 2, 3, 0]
            ],
        },
    )
    expect_close(
        "the array of labels",
        got_labels,
        labels,
        mistakes={
            "This is ttv, the file that a jet belongs to (0 training, 1 test, 2 validation).": ttv,
            "The sense is reversed: 1 is a top jet.": 1 - labels,
            "This is a column of shape (N, 1); a single pair of brackets selects it as (N,).": labels[:, None],
        },
    )


@exercise(
    "8.2",
    "multiplicity and mean pT of padded jets",
    hints=(
        "Which slots hold a constituent? A real one has energy.",
        "momenta[..., 0] > 0 is True for those, shape (N, 200); a sum over axis 1 counts them.",
        "Zeros add nothing to a sum: pt.sum(axis=1) / n, with pt = np.hypot(px, py).",
    ),
    reference=lambda: count_and_mean_pt,
)
def _(function):
    rng = np.random.default_rng(82)
    n = np.array([1, 3, 200, 17, 58, 44])
    momenta = np.zeros((len(n), 200, 4))
    for row, count in zip(momenta, n, strict=True):
        pt, phi, eta = (
            np.sort(rng.exponential(20, count))[::-1] + 0.5,
            rng.uniform(-3, 3, count),
            rng.normal(0, 1, count),
        )
        row[:count] = np.stack([pt * np.cosh(eta), pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)], axis=1)
    with np.errstate(all="ignore"):
        answer = call(function, momenta, name="count_and_mean_pt")
    got_n, got_mean = _pair(answer, "count_and_mean_pt", "multiplicity", "mean pT")
    energy, px, py = momenta[..., 0], momenta[..., 1], momenta[..., 2]
    pt = np.hypot(px, py)
    total, last = pt.sum(axis=1), pt[np.arange(len(n)), n - 1]
    expect_close(
        "the multiplicity",
        got_n,
        n,
        mistakes={
            "Padding is counted as constituents: every jet has 200.": np.full(len(n), 200),
            "The last constituent is dropped from the count.": n - 1,
            "This counts numbers, four for each constituent. Count constituents.": 4 * n,
            "A real constituent can have px < 0: half of them are lost. Ask for the energy.": (px > 0).sum(axis=1),
            "This is one number for all jets: sum over axis 1.": n.sum(),
            "argmin finds the first zero, and a jet of 200 constituents has none: its count becomes the place of its "
            "softest constituent.": energy.argmin(axis=1),
            "This is the padding: the slots that are empty.": 200 - n,
        },
    )
    with np.errstate(all="ignore"):
        mistakes = {
            "Padding takes part: the sum is divided by 200, whatever the jet.": total / 200,
            "The last constituent is dropped, from the sum and from the count.": (total - last) / (n - 1),
            "The last constituent is missing from the sum.": (total - last) / n,
            "The sum is divided by n - 1. That belongs to a variance, not to a mean.": total / (n - 1),
            "This is the mean energy. The transverse momentum is hypot(px, py).": energy.sum(axis=1) / n,
            "This is the pT of the whole jet over n: momenta were added as vectors. Here each constituent's own pT "
            "counts.": np.hypot(px.sum(axis=1), py.sum(axis=1)) / n,
            "This is the sum; divide by the number of constituents.": total,
            "The first two columns are E and px; px and py are columns 1 and 2.": np.hypot(energy, px).sum(axis=1) / n,
            "This is one number for all jets: take the mean for each, over axis 1.": total.sum() / n.sum(),
        }
    expect_close("the mean pT", got_mean, total / n, mistakes=mistakes)


@exercise(
    "8.3",
    "transverse momentum and azimuth of each jet",
    hints=(
        "Momenta add as vectors: first the sums of px and of py over the constituents, then pT and phi of the sum.",
        "ak.sum(jets.px, axis=1) is the px of each jet.",
        "np.hypot(px, py) and np.arctan2(py, px): the y component comes first.",
    ),
    reference=lambda: pt_and_phi,
)
def _(function):
    rng = np.random.default_rng(83)
    jets = _cone(rng, [5, 30, 12, 1, 40, 8], [600, 580, 900, 50, 640, 700], [0.4, 2.0, -1.2, -2.6, np.pi, 1.1], 0.3)
    pt, phi = _pair(call(function, jets, name="pt_and_phi"), "pt_and_phi", "pT", "phi")
    right_pt, right_phi = pt_and_phi(jets)
    px, py = (ak.to_numpy(ak.sum(jets[name], axis=1)) for name in ("px", "py"))
    each_pt, each_phi = np.hypot(jets.px, jets.py), np.arctan2(jets.py, jets.px)
    expect_close(
        "pT",
        pt,
        right_pt,
        mistakes={
            "These are the constituents' pT, added as numbers. Momenta are vectors: add px and py first.": ak.sum(
                each_pt, axis=1
            ),
            "This is the pT of the leading constituent.": each_pt[:, 0],
            "This is the magnitude of the whole momentum, pz included.": np.sqrt(
                px**2 + py**2 + ak.to_numpy(ak.sum(jets.pz, axis=1)) ** 2
            ),
            "This is pT squared.": right_pt**2,
            "This is px alone.": px,
            "This is the energy.": ak.sum(jets.E, axis=1),
        },
        accept=(np.ndarray, ak.Array),
    )
    expect_close(
        "phi",
        phi,
        right_phi,
        mistakes={
            "This is arctan2(py, py): an angle of 45 degrees or its opposite, whatever the jet.": np.arctan2(py, py),
            "The arguments are exchanged: arctan2 wants y first.": np.arctan2(px, py),
            "arctan(py / px) cannot tell a direction from its opposite: half of the circle is lost. "
            "Use arctan2(py, px).": np.arctan(py / px),
            "The mean of the constituents' phi fails where they lie on both sides of +-pi: 3.1 and -3.1 average to 0, "
            "the opposite direction. Add the vectors first.": ak.mean(each_phi, axis=1),
            "A mean of phi weighted with pT is still a mean of angles, and fails where constituents lie on both sides "
            "of +-pi. Add the vectors first.": ak.sum(each_pt * each_phi, axis=1) / ak.sum(each_pt, axis=1),
            "This is the azimuth of the leading constituent.": each_phi[:, 0],
            "These are degrees; the course uses radians.": np.degrees(right_phi),
            "This is right, but counted from 0 to 2 pi; this course counts from -pi to pi.": right_phi % (2 * np.pi),
        },
        accept=(np.ndarray, ak.Array),
    )


@exercise(
    "8.4",
    "the mass of each jet, in double precision",
    hints=(
        "m^2 = E^2 - px^2 - py^2 - pz^2 of the summed constituents: a small difference of large squares.",
        "A float32 has 7 digits. Convert before you add: ak.values_astype(jets.px, np.float64).",
        "Rounding can leave m^2 slightly below zero: np.sqrt(np.maximum(m2, 0)).",
    ),
    reference=lambda: observables.jet_mass,
)
def _(function):
    rng = np.random.default_rng(84)
    energy, phi = np.linspace(600, 3000, 12), np.linspace(-3, 3, 12)
    wide, narrow = (_cone(rng, [30] * 12, energy, phi, spread) for spread in (0.3, 0.003))
    single = _cone(rng, [1, 1, 1], [800, 2500, 1700], [1, 2, 3], 0.3)
    jets = ak.values_astype(ak.concatenate([wide, narrow, single]), np.float32)
    right = observables.jet_mass(jets)
    answer = call(function, jets, name="mass")
    try:
        got = np.asarray(ak.to_numpy(answer) if isinstance(answer, ak.Array) else answer, dtype=np.float64)
    except (TypeError, ValueError):
        fail(f"mass should return one number for each jet; what came is {describe(answer)}.")
    px, py, pz, e = (
        ak.to_numpy(ak.sum(ak.values_astype(jets[name], np.float64), axis=1)) for name in ("px", "py", "pz", "E")
    )
    p = np.sqrt(px**2 + py**2 + pz**2)
    if got.shape == right.shape:
        known, off = np.isfinite(got), ~np.isclose(got, right, rtol=1e-3, atol=0.05)
        if (got[known] < 5).all():
            fail(
                "every mass is close to zero. The constituents are nearly massless; a jet gets its mass from the "
                "angles between them. Add the momenta first, then E^2 - p^2, in this order."
            )
        if off.any() and not off[right > 1].any():  # only the single constituents
            came = "NaN" if not known.all() else "-sqrt(-m^2), as `vector` does" if (got < 0).any() else "not zero"
            fail(
                "m^2 of a single massless constituent can come out a little below zero, and its square root is "
                f"{came}. np.maximum(m2, 0) before the root keeps it at zero."
            )
        if off.any() and (np.abs(got**2 - right**2)[known] < 2e-6 * e[known] ** 2).all():
            worst = np.argmax(np.where(off & known & (right > 1), np.abs(got - right), 0))
            fail(
                "the squares cancel in float32: E and |p| agree in more digits than it has. Convert to float64 before "
                f"adding. (For a jet of {e[worst]:.0f} GeV the mass came out as {got[worst]:.2f} GeV, "
                f"expected {right[worst]:.2f}.)"
            )
    mistakes = {
        "pz is missing: this mixes the mass with the momentum along the beam.": np.sqrt(e**2 - px**2 - py**2),
        "This is m squared: take the square root.": right**2,
        "This is E - |p|. The mass is sqrt(E^2 - p^2).": e - p,
        "This is sqrt(E - |p|): E and p enter squared.": np.sqrt(np.maximum(e - p, 0)),
    }
    expect_close("the mass", got, right, mistakes=mistakes, rtol=1e-3, atol=0.05)


@exercise(
    "8.5",
    "the width of each jet",
    hints=(
        "Differences of azimuths must lie between -pi and pi: from 3.1 to -3.1 it is 0.08, not 6.2.",
        "(dphi + np.pi) % (2 * np.pi) - np.pi wraps a difference.",
        "ak.sum(pt * distance, axis=1) / ak.sum(pt, axis=1), with distance = np.hypot(dy, dphi).",
    ),
    reference=lambda: width,
)
def _(function):
    rng = np.random.default_rng(85)
    axis_phi = np.array([3.1, -3.1, 0.3, -1.4, 2.9, -3.0])
    jets = _cone(rng, [20, 30, 12, 45, 8, 33], [600] * 6, axis_phi, np.repeat([0.25, 1.2], [115, 33]))
    pt, phi = np.hypot(jets.px, jets.py), np.arctan2(jets.py, jets.px)
    y = np.arctanh(jets.pz / jets.E)
    axis_y = np.array([0.35, 0.4, 0.5, 0.42, 0.3, 0.45])
    answer = call(function, pt, y, phi, axis_y, axis_phi, name="width")
    dy, raw = y - axis_y, phi - axis_phi
    right, distance = width(pt, y, phi, axis_y, axis_phi), np.hypot(dy, delta_phi(phi, axis_phi))
    half = (raw + np.pi / 2) % np.pi - np.pi / 2

    def weighted(distances):
        return ak.sum(pt * distances, axis=1) / ak.sum(pt, axis=1)

    expect_close(
        "the width",
        answer,
        right,
        mistakes={
            "The difference in phi is not wrapped: a jet that lies across +-pi seems 6 wide.": weighted(
                np.hypot(dy, raw)
            ),
            "The difference in phi is wrapped with period pi. A full turn is 2 pi.": weighted(np.hypot(dy, half)),
            "The difference in phi is wrapped to 0 ... 2 pi, where a constituent a little to one side seems almost a "
            "turn away. Wrap to -pi ... pi.": weighted(np.hypot(dy, raw % (2 * np.pi))),
            "Differences above pi are wrapped, those below -pi are not.": weighted(
                np.hypot(dy, ak.where(raw > np.pi, raw - 2 * np.pi, raw))
            ),
            "Differences below -pi are wrapped, those above pi are not.": weighted(
                np.hypot(dy, ak.where(raw < -np.pi, raw + 2 * np.pi, raw))
            ),
            "Every constituent counts the same. Weight the distances with pT.": ak.mean(distance, axis=1),
            "This is the sum; divide by the sum of pT.": ak.sum(pt * distance, axis=1),
            "It is divided by the number of constituents; divide by the sum of pT.": ak.mean(pt * distance, axis=1),
            "These are squared distances: take the square root of dy^2 + dphi^2 for each constituent.": weighted(
                distance**2
            ),
            "dy and dphi were added. They are the sides of a right angle: np.hypot.": weighted(
                abs(dy) + abs(delta_phi(phi, axis_phi))
            ),
            "dy is missing.": weighted(abs(delta_phi(phi, axis_phi))),
            "The root was taken after the mean: this is the square root of the mean squared distance.": np.sqrt(
                weighted(distance**2)
            ),
        },
        atol=1e-7,
        accept=(np.ndarray, ak.Array),
    )


@exercise(
    "8.6",
    "the probability of a top, from a fit to training jets",
    hints=(
        "Three steps, each with the training jets: scale, fit, and only then look at the other jets.",
        "make_pipeline(StandardScaler(), LogisticRegression()).fit(train_inputs, train_labels) remembers the scale.",
        "predict_proba(inputs) has two columns, the probability of label 0 and that of label 1.",
    ),
    reference=lambda: fit_and_score,
)
def _(function):
    rng = np.random.default_rng(86)

    def sample(n, share):
        labels = (rng.random(n) < share).astype(int)
        return np.stack([rng.normal(90 + 50 * labels, 40), rng.normal(0.05 - 0.012 * labels, 0.012)], axis=1), labels

    (x, labels), (other, other_labels) = sample(600, 0.5), sample(400, 0.8)  # other shares: a scale of its own shows
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        answer = call(function, x, labels, other, name="fit_and_score")
        tagger = make_pipeline(StandardScaler(), LogisticRegression()).fit(x, labels)
        right = tagger.predict_proba(other)[:, 1]
        raw = LogisticRegression().fit(x, labels)
        by_itself = tagger[-1].predict_proba(StandardScaler().fit_transform(other))[:, 1]
        fitted_there = fit_and_score(other, other_labels, other)
    expect_close(
        "the probability",
        answer,
        right,
        mistakes={
            "The other jets were scaled with their own mean and standard deviation. A jet of 100 GeV then is a "
            "different input in each sample. Scale both with the numbers of the training jets.": by_itself,
            "This is the probability of a QCD jet: column 0. The score of this course rises with signal: column 1.": 1
            - right,
            "These are answers, 0 or 1. A threshold of 0.5 is built in; predict_proba keeps what the tagger "
            "knows.": tagger.predict(other),
            "This is the linear function itself, the logarithm of the odds. predict_proba turns it into a "
            "probability.": tagger.decision_function(other),
            "Both columns are there; the second is the probability of a top.": tagger.predict_proba(other),
            "The inputs were not scaled. The penalty on large coefficients, which scikit-learn adds, then falls on "
            "the input with small numbers alone, and it is hardly used.": raw.predict_proba(other)[:, 1],
            "These are probabilities of the training jets; the third argument holds the jets to be "
            "scored.": tagger.predict_proba(x)[:, 1],
            "The tagger was fitted on the jets that it scores.": fitted_there,
        },
        rtol=0,
        atol=0.01,
    )


@exercise(
    "8.7",
    "the confusion matrix at a threshold",
    hints=(
        "Four counts: QCD jets called QCD and called top, top jets called QCD and called top.",
        "passed = score >= threshold is the tagger's answer; np.sum((labels == 1) & passed) counts tops called tops.",
        "Rows are the truth, columns the answer, 0 before 1 in both.",
    ),
    reference=lambda: confusion,
)
def _(function):
    rng = np.random.default_rng(87)
    labels = rng.integers(0, 2, 200)
    score = np.round(np.clip(rng.normal(0.35 + 0.25 * labels, 0.25), 0, 1), 2)
    score[:30] = 0.4  # thirty jets at the threshold itself
    right = confusion(labels, score, 0.4)
    passed = score > 0.4
    strict = np.array([[np.sum((labels == t) & (passed == a)) for a in (0, 1)] for t in (0, 1)])
    expect_close(
        "the confusion matrix",
        call(function, labels, score, 0.4, name="confusion"),
        right,
        mistakes={
            "Rows and columns are exchanged: the rows are the truth.": right.T,
            "The threshold of 0.5 is built in. Use the argument.": confusion(labels, score, 0.5),
            "These are shares of all jets. Keep the counts: from them follow all efficiencies.": right / len(labels),
            "These are shares of each row. Keep the counts: their errors depend on how many there are.": right
            / right.sum(axis=1, keepdims=True),
            "Top comes first, in rows and columns. Here label 0 comes first.": right[::-1, ::-1],
            "The answer is reversed: a score at or above the threshold means top.": right[:, ::-1],
            "The truth is reversed: the first row are the QCD jets, label 0.": right[::-1],
            "A jet at the threshold passes: score >= threshold.": strict,
            "The four counts are right; arrange them in two rows.": right.ravel(),
        },
    )


@exercise(
    "8.8",
    "differences of AUC on jets drawn with replacement",
    hints=(
        "One replica: draw as many jets as there are, with replacement; both taggers score the jets drawn.",
        "i = rng.integers(len(labels), size=len(labels)) are the places of the jets drawn.",
        "auc(labels[i], score[i]).value - auc(labels[i], other[i]).value, once for each replica.",
    ),
    reference=lambda: bootstrap_differences,
)
def _(function):
    rng = np.random.default_rng(88)
    labels = np.repeat([0, 1], 200)
    score = labels + rng.normal(0, 0.8, 400)
    other = score + rng.normal(0, 0.5, 400)
    n = 150

    def replicas(one, two):
        rng = np.random.default_rng(188)
        answer = call(function, labels, one, two, n, rng=rng, name="bootstrap_differences")
        try:
            values = np.asarray(answer, dtype=np.float64)
        except (TypeError, ValueError):
            fail(f"bootstrap_differences should return an array of {n} numbers; what came is {describe(answer)}.")
        if values.shape != (n,):
            fail(
                f"the array of differences has shape {values.shape}, expected {(n,)}: one difference for each replica. "
                "Mean and standard deviation come afterwards."
            )
        return values

    values, truth = replicas(score, other), auc_difference(labels, score, other)
    mean, spread, error_of_mean = values.mean(), values.std(ddof=1), truth.error / np.sqrt(n)
    if spread < 1e-12:
        fail(
            "all replicas are alike: the same jets each time, in another order perhaps. Draw with replacement, anew "
            "for each replica, so that some jets come twice and others not at all."
        )
    if abs(mean) < truth.value / 3:
        fail(
            f"the differences scatter round {mean:.3f}, those of taggers that know nothing: labels and scores no "
            "longer belong together. Draw them with the same places: labels[i], score[i], other[i]."
        )
    if abs(mean) > 0.5:
        fail(f"the values lie near {mean:.2f}: they are areas. Subtract the two of each replica.")
    if np.ptp(replicas(score, score)) > 1e-12:
        fail(
            f"each tagger got jets of its own: even a tagger and its copy differ, and the spread is {spread:.3f}. On "
            f"the same jets their fluctuations cancel in the difference, and it is {truth.error:.3f}."
        )
    if abs(mean + truth.value) < 5 * error_of_mean:
        fail(f"the sign is reversed: the mean is {mean:.3f}, expected {truth.value:.3f}, AUC(score) - AUC(other).")
    if abs(mean - truth.value) > 5 * max(error_of_mean, spread / np.sqrt(n)):
        fail(f"the mean of the differences is {mean:.4f}, expected {truth.value:.4f}.")
    if not 0.75 < spread / truth.error < 1.3:
        fail(
            f"the spread of the differences is {spread:.4f}, expected {truth.error:.4f} to within a quarter. Does each "
            f"replica have as many jets as the sample, {len(labels)}?"
        )


@exercise(
    "8.9",
    "efficiency and rejection on the test jets at a threshold fixed before",
    hints=(
        "Two steps: the threshold from the validation jets alone, the two numbers from the test jets alone.",
        "Half of the validation tops lie above the median of their scores; in general above the quantile "
        "1 - efficiency.",
        "np.quantile(val_score[val_labels == 1], 1 - efficiency); the mean of a boolean array is a share.",
    ),
    reference=lambda: working_point,
)
def _(function):
    rng = np.random.default_rng(89)

    def sample(n, shift):
        labels = rng.integers(0, 2, n)
        return labels, 1 / (1 + np.exp(-rng.normal(2 * labels - 1 + shift, 1.2)))

    val, test = sample(6000, 0.0), sample(5000, -0.35)  # shifted, so that it shows where the threshold comes from
    with np.errstate(all="ignore"):
        answer = call(function, *val, *test, 0.3, name="working_point")
    got_s, got_r = _pair(answer, "working_point", "signal efficiency", "rejection")
    (labels, score), (test_labels, test_score) = val, test

    def at(threshold, labels=test_labels, score=test_score):
        passed = score >= threshold
        return [passed[labels == 1].mean(), 1 / passed[labels == 0].mean()]

    right = np.array(working_point(*val, *test, 0.3))
    inside = np.quantile(test_score[test_labels == 1], 0.7)
    pairs = {
        "The threshold was chosen on the test jets: the efficiency is 0.3 because it was made so, and nothing is left "
        "to test. Choose it on the validation jets.": at(inside),
        "The threshold is the quantile 0.3 of the scores, which 70% of the tops pass. It is the quantile "
        "1 - efficiency.": at(np.quantile(score[labels == 1], 0.3)),
        "The threshold is a quantile of all scores. The efficiency is a share of the tops: use the scores with "
        "label 1.": at(np.quantile(score, 0.7)),
        "The threshold is a quantile of the QCD jets' scores. Use those with label 1.": at(
            np.quantile(score[labels == 0], 0.7)
        ),
        "These are the numbers of the validation jets, on which the threshold was chosen.": at(
            np.quantile(score[labels == 1], 0.7), *val
        ),
        "The threshold is the efficiency itself. A score above 0.3 does not mean that 30% of the tops pass.": at(0.3),
        "The second number is the background efficiency. The rejection is one over it.": [right[0], 1 / right[1]],
        "The second number is the share of QCD jets that fail. The rejection is 1 over the share that passes.": [
            right[0],
            1 - 1 / right[1],
        ],
        "The two numbers are exchanged: first the signal efficiency.": right[::-1],
    }
    expect_close(
        "the pair (signal efficiency, rejection)",
        np.array([float(got_s), float(got_r)]),
        right,
        rtol=0.015,
        mistakes=pairs,
    )
