"""Do the simulated jets look like those of the public reference data set? Number by number."""

from __future__ import annotations

import awkward as ak
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

# Measured on the first 500 000 training jets of the public set, and the difference that we accept.
PUBLIC = {
    "E_0 mean": (233.52, 0.025, "relative"),
    "E_0 std": (173.29, 0.025, "relative"),
    "E_0 first quartile": (124.77, 0.05, "relative"),
    "E_0 median": (182.51, 0.05, "relative"),
    "E_0 third quartile": (280.93, 0.05, "relative"),
    "E_1 mean": (129.96, 0.04, "relative"),
    "E_1 std": (82.24, 0.04, "relative"),
    "QCD E_0 mean": (287.22, 0.025, "relative"),
    "QCD E_0 std": (207.59, 0.025, "relative"),
    "QCD E_1 mean": (151.37, 0.04, "relative"),
    "constituents E mean": (18.612, 0.03, "relative"),
    "constituents E std": (49.125, 0.03, "relative"),
    "constituents px std": (22.125, 0.03, "relative"),
    "constituents py std": (22.138, 0.03, "relative"),
    "constituents pz std": (42.191, 0.03, "relative"),
    "correlation of mass and leading pT": (-0.478, 0.02, "absolute"),
    "logistic regression accuracy": (0.891, 0.010, "absolute"),
    "logistic regression AUC": (0.910, 0.010, "absolute"),
    "top mass median": (173.0, 0.02, "relative"),
}


def closure_table(jets: ak.Array, labels: np.ndarray) -> pd.DataFrame:
    """Compare jets with the public top tagging reference data set.

    The detector's parameters were chosen with these very numbers in view, so agreement is a fit, not a prediction.

    Parameters
    ----------
    jets : (N, var) awkward array of Momentum4D, GeV
        As from `coursekit.jets.load_jets`, the constituents of each jet by falling pT.
    labels : (N,) int
        1 for top jets.

    Returns
    -------
    pandas.DataFrame
        One row per quantity, with the columns `public`, `ours`, `difference` and `tolerance` (both relative or both
        absolute, as `kind` says), and `agrees`. Momenta, energies and masses in GeV. E_0 and E_1 are the energies of
        the two constituents of highest pT; the logistic regression sees the jet's mass and its mean constituent pT,
        trained on one half of the jets and applied to the other.

    Raises
    ------
    ValueError
        If there are fewer than 100 jets of a kind, or other than N labels.

    References
    ----------
    G. Kasieczka, T. Plehn, J. Thompson, M. Russell, Top Quark Tagging Reference Dataset, Zenodo record 2603256.

    Examples
    --------
    >>> from coursekit.data import fetch
    >>> from coursekit.jets import load_jets
    >>> closure_table(*load_jets(fetch("toptag_train.h5"))).agrees.all()  # doctest: +SKIP
    True
    """
    labels = np.asarray(labels)
    if labels.shape != (len(jets),):
        raise ValueError(f"{len(jets)} jets need as many labels, got the shape {labels.shape}")
    top, qcd = labels == 1, labels == 0
    if min(top.sum(), qcd.sum()) < 100:
        raise ValueError(f"a comparison takes at least 100 jets of each kind, got {top.sum()} top and {qcd.sum()} QCD")
    particles = ak.values_astype(ak.flatten(jets), np.float64)
    counts = ak.to_numpy(ak.num(jets))
    jet = ak.sum(ak.unflatten(particles, counts), axis=1)
    mass = ak.to_numpy(np.sqrt(np.maximum(jet.E**2 - jet.px**2 - jet.py**2 - jet.pz**2, 0)))
    pt = ak.unflatten(np.hypot(particles.px, particles.py), counts)
    leading_pt, mean_pt = ak.to_numpy(pt[:, 0]), ak.to_numpy(ak.mean(pt, axis=1))
    leading, second = (ak.to_numpy(ak.fill_none(ak.pad_none(jets.E, 2)[:, i], 0.0)) for i in (0, 1))
    accuracy, auc = two_variable_tagger(np.stack([mass, mean_pt], axis=1), labels)
    quartiles = np.quantile(leading, [0.25, 0.5, 0.75])
    ours = (
        leading.mean(),
        leading.std(),
        *quartiles,
        second.mean(),
        second.std(),
        leading[qcd].mean(),
        leading[qcd].std(),
        second[qcd].mean(),
        np.mean(particles.E),
        *(np.std(particles[name]) for name in ("E", "px", "py", "pz")),
        np.corrcoef(mass, leading_pt)[0, 1],
        accuracy,
        auc,
        np.median(mass[top]),
    )
    table = pd.DataFrame.from_dict(PUBLIC, orient="index", columns=["public", "tolerance", "kind"])
    table.insert(1, "ours", np.array(ours, dtype=np.float64))
    scale = np.where(table.kind == "relative", table.public.abs(), 1.0)
    table.insert(2, "difference", (table.ours - table.public) / scale)
    table["agrees"] = table.difference.abs() <= table.tolerance
    return table


def two_variable_tagger(features: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Train a logistic regression on the first half of the jets; return its accuracy and AUC on the second half."""
    half = len(labels) // 2
    tagger = make_pipeline(StandardScaler(), LogisticRegression(solver="newton-cholesky"))
    tagger.fit(features[:half], labels[:half])
    scores = tagger.predict_proba(features[half:])[:, 1]
    return accuracy_score(labels[half:], scores > 0.5), roc_auc_score(labels[half:], scores)
