# %% [markdown]
# # 2 · Normalisation: what an event counts, and how a number is scaled
#
# <!-- badges -->
#
# **After this lesson you will be able to**
#
# 1. give each simulated event the number of real events that it stands for, and bring signal and background to a mean weight of one without losing the cross sections;
# 2. scale the inputs with numbers that come from the training events alone, keep missing values apart, and store all of it in a file that refuses the wrong columns;
# 3. reweight one sample to the $(\eta, p_T)$ spectrum of another, and prove that it worked.
#
# **You need** lesson 1: dictionaries of arrays, one table from many branches.
#
# **Time:** 75 minutes; the notebook itself runs in about 10 seconds on two CPU cores.

# %% tags=["setup"]
from coursekit import check, fetch, figure, hint, load_events, or_reference, progress, setup, show

WORK = setup("02")

# %% tags=["parameters"]
quick: bool = True
seed: int = 1

# %% [markdown]
# ## What does one simulated event stand for?
#
# We simulated about as many Higgs bosons as Z bosons.
# The LHC does not.
# So each event carries a *weight*: the number of real events it stands for.
# Six branches hold its factors, and their product is the weight:
#
# | branch | factor | unit |
# |---|---|---|
# | `XSWeight` | cross section, divided by the number of events generated | events at a luminosity of 1/fb |
# | `SFweight2l` | corrections for pile-up, trigger and lepton reconstruction; 0 without two leptons | - |
# | `LepSF2l...` | corrections for lepton identification and isolation | - |
# | `LepCut2l...` | flag: 1 if both leptons pass the tight selection, else 0 | - |
# | `GenLepMatch2l` | flag: 1 if both leptons are real ones and not misidentified jets, else 0 | - |
# | `METFilter_MC` | flag: 1 if the missing momentum passes the quality filters, else 0 | - |
#
# The *luminosity* counts collisions: 1/fb is what the LHC delivers in a few good days, and CMS analyses 138/fb of the years 2016 to 2018.
# `load_events` does what you wrote in lesson 1, with errors that name the file.

# %%
import awkward as ak
import numpy as np
import pandas as pd

from coursekit.events import INPUT_BRANCHES, WEIGHT_BRANCHES, concatenate_events, to_table
from coursekit.plots import COLOURS

FILES = {
    "hww": fetch("GluGluHToWWTo2L2Nu_M125.root"),
    "dy_low": fetch("DYJetsToLL_M-10to50-LO.root"),
    "dy_high": fetch("DYJetsToLL_M-50-LO.root"),
}
LABELS = {"hww": "H → WW", "dy_low": "Drell-Yan, 10-50 GeV", "dy_high": "Drell-Yan, above 50 GeV"}

samples = {
    name: load_events(path, [*INPUT_BRANCHES, *WEIGHT_BRANCHES, "mll", "Jet_pt", "Jet_eta"])
    for name, path in FILES.items()
}
for name, sample in samples.items():
    show(f"events simulated for {name}", len(sample["mll"]))

# %% [markdown]
# ### Your turn 2.1 · 5 min · ★
#
# Write `weights_of(events)`: it gets a dictionary of arrays and returns a NumPy array with the weight of each event, the product of the branches named in `WEIGHT_BRANCHES`.
# A weight may be negative: calculations beyond leading order have events that are to be subtracted.
# Ours have none, but the function shall keep the sign.


# %% tags=["exercise", "ex-2.1"]
def weights_of(events): ...


# %% tags=["check", "ex-2.1"]
check("2.1", weights_of)
weights_of = or_reference("2.1", weights_of)

# %% [markdown]
# **Guess before you look:** of a million events with two leptons, how many are $H \to WW$?

# %%
raw_weights = {name: weights_of(sample) for name, sample in samples.items()}
pd.DataFrame(
    {
        "expected at 1/fb": {LABELS[name]: round(w.sum()) for name, w in raw_weights.items()},
        "weight zero [%]": {LABELS[name]: round(100 * np.mean(w == 0)) for name, w in raw_weights.items()},
    }
)

# %%
total = sum(w.sum() for w in raw_weights.values())
show("H → WW in a million events", raw_weights["hww"].sum() / total * 1e6, 0)

# %% [markdown]
# One in 7500.
# A network that calls everything background would be right in about 9998.7 of 10 000 events.
# This is why signal and background get separate means below, and why lesson 4 does not judge by accuracy.
# Between 17 and 27% of the events have weight zero: they fail one of the three flags.
# They stay in the arrays, aligned with their inputs, and count nothing.
#
# ## A mean weight of one
#
# A network learns in small steps.
# Each step corrects its mistakes on some hundreds of events, where a mistake counts in proportion to the weight of its event.
# With weights near $10^{-2}$ for signal and $10^{2}$ for background the steps would have the wrong size, and nobody would notice the signal.
# The groups that a network is to tell apart, here signal and background, are called *classes*; we divide the weights of each class by their mean:
#
# $$ w_i' = w_i \Big/ \frac{1}{N} \sum_{j=1}^{N} w_j $$
#
# with $N$ the number of events of the class, those of weight zero included.
# The background class has two samples, and here is a choice to make.
# **Guess:** does it matter whether we divide before or after we merge them?
#
# ### Your turn 2.2 · 8 min · ★★
#
# Write `weights_and_labels(signal, backgrounds)`.
# It gets the weights of the signal, an array, and a list of arrays, the weights of each background, however many there are.
# It returns two arrays for all events, signal first, then the backgrounds in their order: the weights, with a mean of one over the signal and a mean of one over the merged background; and the labels, 1 for signal and 0 for background.


# %% tags=["exercise", "ex-2.2"]
def weights_and_labels(signal, backgrounds): ...


# %% tags=["check", "ex-2.2"]
check("2.2", weights_and_labels)
weights_and_labels = or_reference("2.2", weights_and_labels)

# %%
weights, labels = weights_and_labels(raw_weights["hww"], [raw_weights["dy_low"], raw_weights["dy_high"]])
show("mean weight of the signal", weights[labels == 1].mean(), 3)
show("mean weight of the background", weights[labels == 0].mean(), 3)

# %% [markdown]
# The mean hides what happens inside a class.
# So we look at a distribution in which the two Drell-Yan samples differ, the mass of the lepton pair.

# %%
background = concatenate_events([samples["dy_low"], samples["dy_high"]])
each_by_itself = np.concatenate([raw_weights[name] / raw_weights[name].mean() for name in ["dy_low", "dy_high"]])

STYLE = {  # one colour and one kind of line for each sample, in every figure of this lesson
    "H → WW": {"color": COLOURS[0], "linestyle": "-"},
    "Drell-Yan": {"color": COLOURS[1], "linestyle": "--"},
}

with figure("mass-lepton-pair") as ax:
    bins = np.linspace(10, 130, 61)  # beyond the axis, where the outline drops to zero
    ax.hist(background["mll"], bins, weights=weights[labels == 0], histtype="step", linewidth=1.8,
            label="merged, then divided by the mean", **STYLE["Drell-Yan"])  # fmt: skip
    ax.hist(background["mll"], bins, weights=each_by_itself, histtype="step", linewidth=1.8, linestyle=":",
            color=COLOURS[3], label="each divided by its mean, then merged")  # fmt: skip
    ax.set_xlim(10, 120)
    ax.set_xlabel("mll [GeV]")
    ax.set_ylabel("sum of weights / 2 GeV")
    ax.set_yscale("log")
    ax.set_ylim(top=1e5)
    ax.legend(fontsize=9, title=f"background, {len(background['mll'])} events", loc="upper left")

# %%
below = background["mll"] < 50
show("background below 50 GeV, merged first [%]", 100 * np.average(below, weights=weights[labels == 0]), 1)
show("background below 50 GeV, merged last [%]", 100 * np.average(below, weights=each_by_itself), 1)

# %% [markdown]
# Divided first, the two samples weigh the same, and half of the background lies below 50 GeV instead of a twelfth.
# The step at 50 GeV, where one sample ends and the other begins, gives it away: nature has no such step.
# A network would learn to fight a background that is not there.
# The cross sections are physics, the mean of one is bookkeeping: merge first.
#
# ## Offset and scale
#
# Now the inputs: one table of all events, signal first, as the weights and labels are.
# In GeV, the columns spread over very different ranges.

# %%
events = concatenate_events([samples["hww"], background])
table = to_table(events, INPUT_BRANCHES)
show("table", table.shape)
summary = pd.DataFrame(table.astype("f8"), columns=INPUT_BRANCHES).describe()
summary.loc[["mean", "std", "min", "max"]].round().astype(int)

# %% [markdown]
# The two handles that a physicist would grasp first are missing on purpose: the mass of the lepton pair, `mll`, and its *flavour*, whether the leptons are two electrons, two muons or one of each (Drell-Yan makes one of each almost only by way of two tau leptons).
# With them the task would be easier than is instructive.
# `mll` is kept apart as a witness: in lesson 4 we look whether the answer of a network that has never seen it bends its spectrum.
#
# A network starts with random numbers of order one and moves them in small steps.
# Inputs of order one suit it.
# Each column gets its own *offset* and *scale*:
#
# $$ x' = (x + \text{offset}) \cdot \text{scale}, \qquad \text{offset} = -\bar x, \quad \text{scale} = 1/\sigma_x $$
#
# with $\bar x$ the mean and $\sigma_x$ the standard deviation of $x$.
# The signs follow `lwtnn`, the library with which lesson 12 runs a network in C++; so the same numbers serve here and there.
#
# Offset and scale are *fitted*, like the weights of a network, and what is fitted may see the training events only.
# Lesson 3 is about how to split; for now a coin decides.

# %%
rng = np.random.default_rng(seed)
training = rng.random(len(table)) < 0.5
show("training events", int(training.sum()))
show("smallest mTOT_cut", table[:, 5].min(), 1, unit="GeV")
show("share of mTOT_cut = -1 in signal [%]", 100 * np.mean(table[labels == 1, 5] == -1), 0)
show("share of mTOT_cut = -1 in background [%]", 100 * np.mean(table[labels == 0, 5] == -1), 0)

# %% [markdown]
# No system of particles weighs $-1$ GeV.
# The value stands for *missing*: without two jets, `ptTOT_cut` and `mTOT_cut` cannot be computed.
# Such a stand-in is called a *default value*.
# That it occurs more often in the background is information; its size is none, and it must not take part in a mean.
#
# ### Your turn 2.3 · 8 min · ★★
#
# Write `offset_and_scale(column, default)`: the two numbers for one column of the table, from all values that are not the default.
# The check uses a column in which real values can be negative.


# %% tags=["exercise", "ex-2.3"]
def offset_and_scale(column, default): ...


# %% tags=["check", "ex-2.3"]
check("2.3", offset_and_scale)
offset_and_scale = or_reference("2.3", offset_and_scale)

# %%
mtot = table[training, 5]
offset, scale = offset_and_scale(mtot, -1)
show("mean of mTOT_cut, measured values", -offset, 0, unit="GeV")
show("mean of mTOT_cut, defaults taken for measurements", float(mtot.mean(dtype="f8")), 0, unit="GeV")

# %% [markdown]
# With the defaults in the fit the "mean" is 75 GeV, a mass that hardly any event has.

# %% [markdown]
# ### Your turn 2.4 · 8 min · ★★
#
# Write `apply_scaling(column, offset, scale, default)`: a new array with $(x + \text{offset}) \cdot \text{scale}$, and exactly 0 for each default value.
# Zero is the mean of the scaled inputs, so that a missing value is neither large nor small.


# %% tags=["exercise", "ex-2.4"]
def apply_scaling(column, offset, scale, default): ...


# %% tags=["check", "ex-2.4"]
check("2.4", apply_scaling)
apply_scaling = or_reference("2.4", apply_scaling)

# %%
missing = table[:, 5] == -1
scaled = apply_scaling(table[:, 5], offset, scale, -1)
show("mean of the measured values", abs(scaled[~missing & training].mean()), 2)
show("standard deviation of the measured values", scaled[~missing & training].std(), 2)
show("missing values, all at", scaled[missing].max(), 1)

# %% [markdown]
# ### A failure worth seeing
#
# In lesson 1 we normalised a branch of one sample.
# It is tempting to go on like that: normalise the signal, normalise the background, merge.
# Every sample then has mean 0 and standard deviation 1, as it should.
# **Guess:** will a classifier find these inputs harder or easier than those scaled together?
#
# We ask a small *decision tree*, a few cuts on the inputs found automatically.
# Its mark is the *balanced accuracy*: the share of right answers, averaged over signal and background; 0.5 is guessing.
# For a tree the scale of an input does not matter, since a cut can stand anywhere.
# So both ways of scaling should get the same mark.

# %%
from sklearn.tree import DecisionTreeClassifier


def normalise(table):  # as in lesson 1: the default -1 is a number like any other
    return (table - table.mean(axis=0)) / table.std(axis=0)


by_itself = np.concatenate([normalise(table[labels == label]) for label in (1, 0)])
together = (table - table[training].mean(axis=0)) / table[training].std(axis=0)


def balanced_accuracy(tree, inputs):
    right = tree.predict(inputs) == labels[~training]
    shares = [right[labels[~training] == label] for label in (0, 1)]
    value = np.mean([share.mean() for share in shares])
    error = np.sqrt(sum(share.mean() * (1 - share.mean()) / len(share) for share in shares)) / 2
    return value, error


trees = {}
for way, inputs in [("together", together), ("each sample by itself", by_itself)]:
    trees[way] = DecisionTreeClassifier(max_depth=6, class_weight="balanced", random_state=seed)
    trees[way].fit(inputs[training], labels[training])
    value, error = balanced_accuracy(trees[way], inputs[~training])
    show(f"balanced accuracy, scaled {way}", value, 3, error=error)

# %% [markdown]
# From 0.86 to 0.97, by a change that should not matter: a result too good to be true calls for a look at the inputs.

# %%
with figure("scaled-mtot-cut", columns=2, sharey=True) as axes:
    for ax, inputs, way in zip(axes, [together, by_itself], ["scaled together", "each sample by itself"], strict=True):
        for label, name in [(1, "H → WW"), (0, "Drell-Yan")]:
            column = inputs[labels == label, 5]
            shares = np.full(len(column), 1 / len(column))
            ax.hist(column, np.linspace(-1, 2.5, 141), weights=shares, histtype="step", linewidth=1.8,
                    label=f"{name} ({len(column)} events)", **STYLE[name])  # fmt: skip
        ax.set_title(way, fontsize=11)
        ax.set_xlabel("scaled mTOT_cut")
        ax.set_xlim(-1, 2)
        ax.set_yscale("log")
    axes[0].set_ylabel("share of events / 0.025")
    axes[0].legend(fontsize=9)

# %%
value, error = balanced_accuracy(trees["each sample by itself"], together[~training])
show("the same tree on inputs scaled together", value, 3, error=error)

# %% [markdown]
# Each sample was moved by its own mean.
# Where fewer than two jets were found, `mTOT_cut` is $-1$ in both, and now this one value stands at two places: where the spike is *is* the label.
# The tree needs a cut or two to read it off: 68% of the signal and 89% of the background are labelled by it.
# It has learned how we prepared the samples, and little physics.
#
# A collision recorded at the LHC comes without a label, so nobody could say by which of the two means to scale it.
# On inputs that are all scaled alike the same tree gets 0.44, worse than guessing.
# The repair is one rule:
# **one offset and one scale for all classes, fitted on the training events**.
#
# ## The same, ready to use
#
# `Scaler` does what you wrote, for all columns at once: fitted on training events, in double precision, defaults left out of the fit and set to 0.

# %%
from coursekit.preprocess import Scaler

DEFAULTS = {"ptTOT_cut": -1.0, "mTOT_cut": -1.0}
scaler = Scaler.fit(table[training], INPUT_BRANCHES, defaults=DEFAULTS)
x = scaler.transform(table)
show("mean of scaled mth, training events", abs(x[training, 1].mean(dtype="f8")), 3)
show("mean of scaled mth, other events", abs(x[~training, 1].mean(dtype="f8")), 3)

everything = Scaler.fit(table, INPUT_BRANCHES, defaults=DEFAULTS)
shift = np.abs((everything.offset - scaler.offset) * scaler.scale).max()
show("largest shift if the other events took part, in standard deviations", shift, 4)

# %% [markdown]
# The shift is small: with 30 000 training events it hardly matters whether the others take part.
# With fifty it would, and a test that has helped to choose anything, be it a mean, is not a test any more.
# The habit costs nothing.
#
# ## The variables file
#
# A trained network is useless without its scaling: fed with raw GeV, or with columns exchanged, it answers all the same, and wrongly.
# So order, name, default, offset and scale of every input go into a file that stays with the network.
# JSON is text that people and every programming language can read.
#
# ### Your turn 2.5 · 8 min · ★★
#
# Write `variables(names, offsets, scales, defaults)`: a list with one dictionary per input, in the order of `names`, with the keys `"order"` (counted from 0), `"name"`, `"default"`, `"offset"` and `"scale"`.
# `defaults` is a dictionary from name to default value; inputs without one get `None`.
# `json.dumps` must accept the list.


# %% tags=["exercise", "ex-2.5"]
def variables(names, offsets, scales, defaults): ...


# %% tags=["check", "ex-2.5"]
check("2.5", variables)
variables = or_reference("2.5", variables)

# %%
rows = variables(scaler.inputs, scaler.offset, scaler.scale, scaler.defaults)
print(pd.DataFrame(rows).round(3).to_string(index=False, na_rep="none"))

# %% [markdown]
# `scaler.save` writes these rows, and `Scaler.load` reads them back: the very same numbers, to the last digit.
# Told which columns the new table has, it compares.

# %%
path = WORK / "variables.json"
scaler.save(path)
again = Scaler.load(path, inputs=INPUT_BRANCHES)
show("the same scaled table", bool((again.transform(table) == x).all()))

sorted_inputs = sorted(INPUT_BRANCHES)
try:
    Scaler.load(path, inputs=sorted_inputs)
except ValueError as error:
    print(str(error).replace(str(path), path.name))

# %% [markdown]
# What would have happened without the question?
# A table with its columns in alphabetical order has the right shape, and nothing complains:

# %%
wrong_order = again.transform(to_table(events, sorted_inputs))
show("largest mean of a column, right order", np.abs(x[training].mean(axis=0)).max(), 2)
show("largest mean of a column, wrong order", np.abs(wrong_order[training].mean(axis=0)).max(), 2)

# %% [markdown]
# ## Giving one sample the spectrum of another
#
# Weights can do more than count.
# Gluons radiate more than quarks: two gluons make the Higgs boson, a quark and an antiquark the Z, and so the jets beside a Higgs boson are harder.
# Suppose a network is to recognise jets by what is inside them; then the spectrum must not help it.
# Lesson 12 needs exactly this for b jets against light jets.
#
# So we *reweight*: events of the *source*, Drell-Yan, get a factor such that the distribution of $(\eta, p_T)$ of their leading jet becomes that of the *target*, $H \to WW$.
# The leading jet is the one with the largest transverse momentum
# $p_T$; its pseudorapidity is $\eta = -\ln\tan(\theta/2)$, with $\theta$ the angle to the beam.


# %%
def leading_jets(name):
    """Return pT, |eta| and weight of the leading jet of each event that has one, and a weight."""
    keep = (ak.num(samples[name]["Jet_pt"]) > 0) & (raw_weights[name] > 0)
    pt, eta = (ak.to_numpy(samples[name][branch][keep][:, 0]) for branch in ("Jet_pt", "Jet_eta"))
    return pt, np.abs(eta), raw_weights[name][keep]


source_pt, source_eta, source_w = leading_jets("dy_high")
target_pt, target_eta, target_w = leading_jets("hww")
show("leading jets, Drell-Yan", len(source_pt))
show("leading jets, H → WW", len(target_pt))

# %% [markdown]
# We count both samples in bins of $(|\eta|, p_T)$; the detector is the same on both sides, so the sign of $\eta$ does not matter.
# The factor of bin $b$ compares shapes:
#
# $$ r_b = \frac{T_b / \sum_a T_a}{S_b / \sum_a S_a} $$
#
# with $S_b$ and $T_b$ the sums of weights of source and target in the bin.
# The factors are fitted too: one half of the events makes them, the other half tests them.
#
# ### Your turn 2.6 · 8 min · ★★
#
# Write `bin_factors(source, target)`: from two arrays of $S_b$ and $T_b$, of any shape, to the array of $r_b$; 0 where the source is empty.


# %% tags=["exercise", "ex-2.6"]
def bin_factors(source, target): ...


# %% tags=["check", "ex-2.6"]
check("2.6", bin_factors)
bin_factors = or_reference("2.6", bin_factors)

# %%
from coursekit.weights import reweight_2d

BINS = (np.array([0, 0.8, 1.6, 2.4, 4.7]), np.array([15, 20, 27, 40, 60, 100, 2000.0]))
half_s, half_t = rng.random(len(source_pt)) < 0.5, rng.random(len(target_pt)) < 0.5

source_sums = np.histogram2d(source_eta[half_s], source_pt[half_s], BINS, weights=source_w[half_s])[0]
target_sums = np.histogram2d(target_eta[half_t], target_pt[half_t], BINS, weights=target_w[half_t])[0]
factors = bin_factors(source_sums, target_sums)
show("bins", factors.shape)

change = reweight_2d(
    source_eta[half_s],
    source_pt[half_s],
    target_eta[half_t],
    target_pt[half_t],
    BINS,
    source_w[half_s],
    target_w[half_t],
)
show("coursekit finds the same factors", bool(np.allclose(change.ratios, factors)))
show("share of the target in bins without source events", change.uncovered, 3)

# %% [markdown]
# `change` remembers the bins, so that it can give a factor to any event, also to those of the other half.
# The proof of a reweighting is its *closure*: on events that had no part in the factors, source and target must agree within their statistical uncertainties.
# **Guess:** by how much do the spectra differ before, at low and at high $p_T$?

# %%
new_w = source_w * change.weights(source_eta, source_pt)


def shape(x, edges, w):
    """Share of the weight per bin, and its statistical uncertainty."""
    total = w.sum()
    return np.histogram(x, edges, weights=w)[0] / total, np.sqrt(np.histogram(x, edges, weights=w**2)[0]) / total


panels = [
    ("leading-jet $p_T$ [GeV]", "GeV", source_pt, target_pt, BINS[1][:-1]),
    ("leading-jet $|\\eta|$", "unit", source_eta, target_eta, BINS[0]),
]
reweighted = {"color": COLOURS[2], "linestyle": ":"}
ways = [(source_w, "Drell-Yan before", STYLE["Drell-Yan"], "s", -0.1),
        (new_w, "Drell-Yan reweighted", reweighted, "o", 0.1)]  # fmt: skip

# %%
with figure("leading-jet-spectra", rows=2, columns=2, size=(11, 6.5), sharex="col", height_ratios=[2, 1]) as axes:
    for (top, bottom), (name, unit, source_x, target_x, edges) in zip(axes.T, panels, strict=True):
        target, target_error = shape(target_x[~half_t], edges, target_w[~half_t])
        label = f"H → WW ({np.sum(~half_t)} jets)"
        top.stairs(target / np.diff(edges), edges, baseline=None, linewidth=1.8, label=label, **STYLE["H → WW"])
        for w, label, style, marker, side in ways:
            source, source_error = shape(source_x[~half_s], edges, w[~half_s])
            label = f"{label} ({np.sum(~half_s)} jets)"
            top.stairs(source / np.diff(edges), edges, baseline=None, linewidth=1.8, label=label, **style)
            place = (edges[1:] + edges[:-1]) / 2 + side * np.diff(edges)
            error = source / target * np.hypot(source_error / source, target_error / target)
            bottom.errorbar(place, source / target, error, fmt=marker, markersize=4, color=style["color"])
        bottom.axhline(1, color="black", linestyle="-", linewidth=0.8)
        bottom.set_ylim(0.4, 1.9)
        bottom.set_xlabel(name)
        top.set_ylabel(f"share of jets / {unit}")
    axes[1, 0].set_ylabel("over H → WW")
    axes[0, 0].set_yscale("log")
    axes[0, 0].set_ylim(1e-3, 0.2)
    axes[0, 1].set_ylim(bottom=0)
    axes[0, 0].legend(fontsize=9)


# %%
def chi2_per_bin(w):
    """Compare Drell-Yan with weights w and H -> WW in all bins of (|eta|, pT), on the other half."""
    shares, variances = [], []
    for eta, pt, weight in [(source_eta, source_pt, w * ~half_s), (target_eta, target_pt, target_w * ~half_t)]:
        shares.append(np.histogram2d(eta, pt, BINS, weights=weight)[0] / weight.sum())
        variances.append(np.histogram2d(eta, pt, BINS, weights=weight**2)[0] / weight.sum() ** 2)
    return np.mean((shares[0] - shares[1]) ** 2 / (variances[0] + variances[1]))


show("chi2 per bin before", chi2_per_bin(source_w), 1)
show("chi2 per bin after", chi2_per_bin(new_w), 1)

# %% [markdown]
# $\chi^2$ per bin is the squared difference over its variance: 1 if only chance makes the difference.
# Here between 1 and 2 is right, since the factors are as uncertain as the histograms that made them, and that uncertainty is not in the error bars.
# From 27 to 1.5: the reweighting closes.
#
# It has a price.
# Events with a large factor count for many, and chance with them.
# The *effective number* of events, $(\sum w)^2 / \sum w^2$, is how many events of equal weight would be as precise.


# %%
def effective_events(w):
    return w.sum() ** 2 / (w**2).sum()


show("effective events before", effective_events(source_w), 0)
show("effective events after", effective_events(new_w), 0)

# %% [markdown]
# Of 5500 effective events 3300 are left.
# The more two samples differ, the more a reweighting costs.
#
# ## Where you stand

# %%
progress()

# %% [markdown]
# ## What we found
#
# 1. Merge the samples of a class, then divide by the mean: the cross sections survive between the samples, and signal and background count alike.
# 2. Whatever is fitted, a scale or a factor, is fitted on training events, all classes together.
#    Scaled each by itself, the samples carry their label in the inputs.
# 3. A default value is no measurement.
#    It has its own place in the fit, in the array and in the variables file, next to the order that an array cannot remember.
#
# **One limitation:** a missing value at 0 looks like an average event to the network, which has to tell the two apart by the other inputs; and a reweighting corrects the two variables it was given, not those that it was not.
#
# **Next:** lesson 3 replaces the coin by a split that is the same a year later.
#
# **Further reading:** jets of different flavour brought to one spectrum for the training of a tagger, [arXiv:2008.10519](https://arxiv.org/abs/2008.10519);
# reweighting in all variables at once, by a classifier, [arXiv:1907.08209](https://arxiv.org/abs/1907.08209).
