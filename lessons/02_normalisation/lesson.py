# %% [markdown]
# # 2 · Normalisation: how much an event counts, and how a number is scaled
#
# <!-- badges -->
#
# **After this lesson you will be able to**
#
# 1. give each simulated event the number of real events that it stands for, and bring signal and background to a mean weight of one without losing the cross sections;
# 2. scale the inputs with numbers that come from the training events alone, keep missing values apart, and store all of it in a file that refuses the wrong columns;
# 3. reweight one sample to the $(\eta, p_T)$ spectrum of another and prove that it worked, and say what negative weights cost.
#
# **You need** lesson 1: dictionaries of arrays, and one table made from many branches.
#
# **Time:** 90 minutes; the notebook itself runs in about 10 seconds on two CPU cores.

# %% tags=["setup"]
from coursekit import check, fetch, figure, hint, load_events, or_reference, progress, setup, show

WORK = setup("02")

# %% tags=["parameters"]
quick: bool = True
seed: int = 1

# %% [markdown]
# ## What does one simulated event stand for?
#
# We have simulated about as many Higgs bosons as Z bosons.
# The LHC does not produce them in this ratio.
# Therefore each event carries a *weight*, the number of real events for which it stands.
# Six branches hold its factors, and the weight is their product:
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
# The *luminosity* measures how many collisions there were: 1/fb is what the LHC delivers in a few good days, and the data that CMS took in the years 2016 to 2018 amount to 138/fb.
# `load_events` does what you wrote in lesson 1, and its errors name the file.

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
    name: load_events(path, [*INPUT_BRANCHES, *WEIGHT_BRANCHES, "mll", "pdgId1", "pdgId2", "Jet_pt", "Jet_eta"])
    for name, path in FILES.items()
}
for name, sample in samples.items():
    show(f"events simulated for {name}", len(sample["mll"]))

# %% [markdown]
# ### Your turn 2.1 · 5 min · ★
#
# Write `weights_of(events)`: it gets a dictionary of arrays and returns a NumPy array with the weight of each event, the product of the branches named in `WEIGHT_BRANCHES`.
# A weight may be negative: calculations beyond leading order have events that are to be subtracted, and at the end of this lesson we shall meet some.
# These three samples have none, but the function should keep the sign.


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
show("events with two leptons for one H → WW", total / raw_weights["hww"].sum(), 0)
show("of 10 000 events, not H → WW", 10_000 * (1 - raw_weights["hww"].sum() / total), 1)
zero = np.concatenate(list(raw_weights.values())) == 0
show("events of weight zero", int(zero.sum()))
show("share of weight zero", zero.mean(), 2)
for branch in WEIGHT_BRANCHES:
    factor = np.concatenate([sample[branch] for sample in samples.values()])
    show(f"events with {branch.split('__')[0]} = 0", int(np.sum(factor == 0)))

# %% [markdown]
# One event in {{7500 = 7519 within 50 = events with two leptons for one H → WW}} is signal.
# A network that calls everything background would be right in {{9998.7 = of 10 000 events, not H → WW}} of 10 000 events.
# This is why signal and background get separate means below, and why lesson 4 does not judge a network by its accuracy.
#
# {{22% = share of weight zero}} of the simulated events have weight zero.
# Nearly all of these fail the tight selection of the leptons; a few fail one of the other two flags.
# The table says that `SFweight2l` can be zero as well, but every event in our files has two leptons, and so it never is.
# Events of weight zero stay in the arrays, aligned with their inputs, and count nothing.
#
# ## A mean weight of one
#
# A network learns in small steps.
# Each step corrects its mistakes on some hundreds of events, and a mistake counts in proportion to the weight of its event.

# %%
for name, w in raw_weights.items():
    show(f"mean weight, {LABELS[name]}", w.mean(), 3 if name == "hww" else 1)

# %% [markdown]
# With weights of {{0.009 = mean weight, H → WW}} for the signal and of {{62 = mean weight, Drell-Yan, above 50 GeV}} for most of the background the steps would have the wrong size, and the signal would make no difference.
# The groups that a network is to tell apart, here signal and background, are called *classes*.
# We divide the weights of each class by their mean:
#
# $$ w_i' = w_i \Big/ \frac{1}{N} \sum_{j=1}^{N} w_j $$
#
# Here $N$ is the number of events of the class, those of weight zero included.
# The background class has two samples, and so there is a choice to make.
# **Guess:** does it matter whether we divide before we merge them or afterwards?
#
# ### Your turn 2.2 · 8 min · ★★
#
# Write `weights_and_labels(signal, backgrounds)`.
# It gets the weights of the signal, an array, and a list of arrays with the weights of each background, however many there are.
# It returns two arrays for all events, the signal first and then the backgrounds in their order: the weights, with a mean of one over the signal and a mean of one over the merged background; and the labels, 1 for signal and 0 for background.


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
# A mean says nothing about what has happened inside a class.
# So we look at a distribution in which the two Drell-Yan samples differ, that of the mass of the lepton pair.

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
# Where the samples are divided first, both weigh the same, and {{half = 50 within 1 = background below 50 GeV, merged last [%]}} of the background lies below 50 GeV instead of {{a twelfth = 8.3 = background below 50 GeV, merged first [%]}}.
# The step at 50 GeV, where one sample ends and the other begins, gives it away, for nature has no such step.
# A network would learn to fight a background that is not there.
# The cross sections are physics, the mean of one is bookkeeping: merge first.
#
# ## Offset and scale
#
# Now we come to the inputs: one table of all events, with the signal first, as in the weights and labels.
# The columns, which are in GeV, spread over very different ranges.

# %%
events = concatenate_events([samples["hww"], background])
table = to_table(events, INPUT_BRANCHES)
show("table", table.shape)
summary = pd.DataFrame(table.astype("f8"), columns=INPUT_BRANCHES).describe()
summary.loc[["mean", "std", "min", "max"]].round().astype(int)

# %% [markdown]
# The two quantities at which a physicist would look first are missing here.
# One is the mass of the lepton pair, `mll`.
# The other is its *flavour*: whether the leptons are two electrons, two muons or one of each.

# %%
for name, sample in samples.items():
    different = np.abs(sample["pdgId1"]) != np.abs(sample["pdgId2"])  # 11 is an electron, 13 a muon
    show(f"one electron and one muon, {LABELS[name]} [%]", 100 * different.mean(), 1)

# %% [markdown]
# Each W boson chooses its lepton by itself, so that {{half of the signal = 50 within 1 = one electron and one muon, H → WW [%]}} has one of each.
# Drell-Yan has that almost only by way of two tau leptons, in {{less than one event in a hundred = < 1 = one electron and one muon, Drell-Yan, above 50 GeV [%]}}.
# Many analyses of this decay begin with a cut on it; we leave flavour and mass out on purpose, because the task would be too easy to learn from.
# But `mll` is kept as a witness: in lesson 4 we look whether the answer of a network that has never seen it bends its spectrum.
#
# A network starts with random numbers of order one and moves them in small steps, and inputs of order one suit it.
# So each column gets its own *offset* and *scale*:
#
# $$ x' = (x + \text{offset}) \cdot \text{scale}, \qquad \text{offset} = -\bar x, \quad \text{scale} = 1/\sigma_x $$
#
# Here $\bar x$ is the mean and $\sigma_x$ the standard deviation of $x$.
# The signs follow `lwtnn`, the library with which lesson 12 runs a network in C++, so that the same numbers serve here and there.
#
# Offset and scale are *fitted*, like the weights of a network, and whatever is fitted may see the training events only.
# Lesson 3 explains how to choose these; for now a coin decides.

# %%
rng = np.random.default_rng(seed)
training = rng.random(len(table)) < 0.5
show("training events", int(training.sum()))
show("smallest mTOT_cut", table[:, 5].min(), 1, unit="GeV")
show("mTOT_cut at -1, signal [%]", 100 * np.mean(table[labels == 1, 5] == -1), 0)
show("mTOT_cut at -1, background [%]", 100 * np.mean(table[labels == 0, 5] == -1), 0)

# %% [markdown]
# No system of particles has a mass of $-1$ GeV.
# The value stands for *missing*: without two jets, `ptTOT_cut` and `mTOT_cut` cannot be computed.
# Such a stand-in is called a *default value*.
# That it occurs more often in the background is information.
# Its size, however, means nothing, and it must not take part in a mean.
#
# ### Your turn 2.3 · 8 min · ★★
#
# Write `offset_and_scale(column, default)`: it returns offset and scale of one column of the table, computed from all values that are not the default.
# The check uses columns in which real values can be negative, and more than one default.


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
# With the defaults in the fit the "mean" is {{75 GeV = mean of mTOT_cut, defaults taken for measurements}}, a mass that hardly any event has.
#
# ### Your turn 2.4 · 8 min · ★★
#
# Write `apply_scaling(column, offset, scale, default)`: it returns a new array with $(x + \text{offset}) \cdot \text{scale}$ for each measured value $x$, and exactly 0 for each default value.
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
# It is tempting to go on in the same way: to normalise the signal, to normalise the background, and to merge the two.
# Each of them then has mean 0 and standard deviation 1, as it should.
# **Guess:** will a classifier find these inputs harder or easier than those that were scaled together?
#
# We ask a small *decision tree*, which consists of a few cuts on the inputs that are found automatically.
# Its mark is the *balanced accuracy*: the share of right answers, averaged over signal and background.
# Guessing earns 0.5.
# For a tree the scale of an input does not matter, since a cut can stand anywhere.
# So it should get the same mark for both ways of scaling.

# %%
from sklearn.tree import DecisionTreeClassifier


def normalise(table):  # as in lesson 1: the default -1 is a number like any other
    return (table - table.mean(axis=0)) / table.std(axis=0)


by_itself = np.concatenate([normalise(table[labels == label]) for label in (1, 0)])
together = (table - table[training].mean(axis=0)) / table[training].std(axis=0)


def balanced_accuracy(classifier, inputs):
    right = classifier.predict(inputs) == labels[~training]
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
# The mark rises from {{0.86 = balanced accuracy, scaled together}} to {{0.97 = balanced accuracy, scaled each sample by itself}}, by a change that should not matter.
# A result that is too good to be true calls for a look at the inputs.

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
# Where fewer than two jets were found, `mTOT_cut` is $-1$ in both samples.
# Now this one value stands at two places, and the place of the spike *is* the label.
# The tree needs a cut or two to read it off, and has the answer for {{68% = mTOT_cut at -1, signal [%]}} of the signal and {{89% = mTOT_cut at -1, background [%]}} of the background.
# It has learned how we prepared the samples, and little physics.
#
# A collision recorded at the LHC comes without a label, so that nobody could say by which of the two means to scale it.
# On inputs that are all scaled alike the same tree gets {{0.44 = the same tree on inputs scaled together}}, which is worse than guessing.
# One rule repairs this:
# **one offset and one scale for all classes, fitted on the training events**.
#
# ## The same, ready to use
#
# `Scaler` does what you wrote, for all columns at once: it is fitted on training events in double precision, leaves defaults out of the fit and sets them to 0.

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
# The shift is small: with {{30 000 = training events}} training events it hardly matters whether the others take part.
# With fifty it would matter.
# And a test that has helped to choose anything, be it only a mean, is no test any more.
# The habit costs nothing.
#
# ## A missing value is information
#
# We have put the missing values where they do no harm, and with that we have hidden them.
# At 0 they look like average events, although the very fact that a value is missing speaks for the background.
# The remedy is an input that says so, a *check flag*: 1 where the values are missing and 0 elsewhere.
# `ptTOT_cut` and `mTOT_cut` are missing together, so one flag serves both.
# **Guess:** how much is it worth?
#
# This time we ask *logistic regression*, which adds up the inputs with factors of its own and compares the sum with a threshold.
# Unlike a tree it cannot cut out the spike at 0.

# %%
from sklearn.linear_model import LogisticRegression

flag = (table[:, 5] == -1).astype(np.float64)
for name, inputs in [("ptTOT_cut and mTOT_cut", x[:, 4:]), ("all six inputs", x)]:
    for how, columns in [("alone", inputs), ("with the flag", np.column_stack([inputs, flag]))]:
        linear = LogisticRegression(class_weight="balanced").fit(columns[training], labels[training])
        value, error = balanced_accuracy(linear, columns[~training])
        show(f"balanced accuracy, {name}, {how}", value, 3, error=error)

# %% [markdown]
# Of the two inputs alone, little can be learned without the flag, and with it the mark rises from {{0.566 = balanced accuracy, ptTOT_cut and mTOT_cut, alone}} to {{0.607 = balanced accuracy, ptTOT_cut and mTOT_cut, with the flag}}.
# Beside four other inputs the gain is smaller, from {{0.852 = balanced accuracy, all six inputs, alone}} to {{0.859 = balanced accuracy, all six inputs, with the flag}}: those know something about the jets as well.
# The flag is not scaled, since it is of order one already.
# Lesson 4 does without it, in order to stay with six inputs; lesson 12, where many jets have some value missing, has three of them.
#
# ## The variables file
#
# A trained network is useless without its scaling: fed with numbers in GeV, or with columns exchanged, it answers all the same, and wrongly.
# So order, name, default, offset and scale of every input go into a file that stays with the network.
# We write it in JSON, a form of text that people and every programming language can read.
#
# ### Your turn 2.5 · 8 min · ★★
#
# Write `variables(names, offsets, scales, defaults)`: a list with one dictionary per input, in the order of `names`, with the keys `"order"` (counted from 0), `"name"`, `"default"`, `"offset"` and `"scale"`.
# `defaults` is a dictionary that leads from a name to its default value; inputs that are not in it get `None`.
# `json.dumps` must accept the list, and no digit may be lost.


# %% tags=["exercise", "ex-2.5"]
def variables(names, offsets, scales, defaults): ...


# %% tags=["check", "ex-2.5"]
check("2.5", variables)
variables = or_reference("2.5", variables)

# %%
rows = variables(scaler.inputs, scaler.offset, scaler.scale, scaler.defaults)
print(pd.DataFrame(rows).round(3).to_string(index=False, na_rep="none"))

# %% [markdown]
# `scaler.save` writes these rows, and `Scaler.load` reads them back, the very same numbers to the last digit.
# If we tell it which columns our table has, it compares them with those of the file.

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
# What would have happened if nobody had asked?
# A table with its columns in alphabetical order has the right shape, and nothing complains:

# %%
wrong_order = again.transform(to_table(events, sorted_inputs))
show("largest mean of a column, right order", np.abs(x[training].mean(axis=0)).max(), 2)
show("largest mean of a column, wrong order", np.abs(wrong_order[training].mean(axis=0)).max(), 2)

# %% [markdown]
# ## Giving one sample the spectrum of another
#
# Weights can do more than count.
# Two gluons make the Higgs boson, a quark and an antiquark the Z boson; gluons radiate more than quarks, and so the jets beside a Higgs boson are harder.
# Suppose that a network is to recognise jets by what is inside them.
# Then their spectrum must not help it, and lesson 12 needs exactly this for b jets against light jets.
#
# So we *reweight*: the events of the *source*, Drell-Yan, get a factor such that the distribution of $(\eta, p_T)$ of their leading jet becomes that of the *target*, $H \to WW$.
# The leading jet is the one with the largest transverse momentum $p_T$.
# Its pseudorapidity is $\eta = -\ln\tan(\theta/2)$, where $\theta$ is the angle to the beam.


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
# We count both samples in bins of $(|\eta|, p_T)$, without the sign of $\eta$, since the detector is the same on both sides.
# The factor of bin $b$ compares shapes:
#
# $$ r_b = \frac{T_b / \sum_a T_a}{S_b / \sum_a S_a} $$
#
# Here $S_b$ and $T_b$ are the sums of weights of source and target in the bin.
# The factors are fitted as well, so one half of the events makes them and the other half tests them.
#
# ### Your turn 2.6 · 8 min · ★★
#
# Write `bin_factors(source, target)`: it gets the arrays of $S_b$ and $T_b$, which may have any number of axes, and returns the array of $r_b$ in the same shape, with 0 where the source is empty.


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
# `change` remembers the bins, and so it can give a factor to any event, also to those of the other half.
# A reweighting is proved by its *closure*: on events that had no part in the factors, source and target must agree within their statistical uncertainties.
# **Guess:** by how much do the spectra differ before the reweighting, at low and at high $p_T$?

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
ways = [(source_w, "before", STYLE["Drell-Yan"], "s", -0.1), (new_w, "reweighted", reweighted, "o", 0.1)]

# %%
with figure("leading-jet-spectra", rows=2, columns=2, size=(11, 6.5), sharex="col", height_ratios=[2, 1]) as axes:
    for (top, bottom), (name, unit, source_x, target_x, edges) in zip(axes.T, panels, strict=True):
        target, target_error = shape(target_x[~half_t], edges, target_w[~half_t])
        label = f"H → WW ({np.sum(~half_t)} jets)"
        top.stairs(target / np.diff(edges), edges, baseline=None, linewidth=1.8, label=label, **STYLE["H → WW"])
        for w, label, style, marker, side in ways:
            source, source_error = shape(source_x[~half_s], edges, w[~half_s])
            whole = f"Drell-Yan {label} ({np.sum(~half_s)} jets)"
            top.stairs(source / np.diff(edges), edges, baseline=None, linewidth=1.8, label=whole, **style)
            place = (edges[1:] + edges[:-1]) / 2 + side * np.diff(edges)
            error = source / target * np.hypot(source_error / source, target_error / target)
            bottom.errorbar(place, source / target, error, fmt=marker, markersize=4, color=style["color"], label=label)
        bottom.axhline(1, color="black", linestyle="-", linewidth=0.8)
        bottom.set_ylim(0.4, 1.9)
        bottom.set_xlabel(name)
        top.set_ylabel(f"share of jets / {unit}")
    axes[1, 0].set_ylabel("over H → WW")
    axes[0, 0].set_yscale("log")
    axes[0, 0].set_ylim(1e-3, 0.2)
    axes[0, 1].set_ylim(bottom=0)
    axes[0, 0].legend(fontsize=9)
    axes[1, 1].legend(fontsize=9, loc="upper right")


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
# $\chi^2$ per bin is the squared difference over its variance, and it is 1 on average if only chance makes the difference.
# Here a value between 1 and 2 is right: the factors are as uncertain as the histograms that made them, and that uncertainty is not in the error bars.
# It has fallen from {{27 = chi2 per bin before}} to {{1.5 = chi2 per bin after}}, and the reweighting closes.
#
# Yet look at the lower right panel: from bin to bin the ratio climbs, from {{0.92 = these halves, ratio at the lowest |eta|}} to {{1.08 = these halves, ratio at the highest |eta|}}.
# Is there a slope in $|\eta|$ that the factors leave behind?
# We can ask that, because the halves were drawn at random and can be drawn again.


# %%
def eta_ratio(fit_s, fit_t):
    """Fit the factors on these events and return Drell-Yan over H -> WW in |eta| on the others."""
    first = (source_eta[fit_s], source_pt[fit_s], target_eta[fit_t], target_pt[fit_t])
    change = reweight_2d(*first, BINS, source_w[fit_s], target_w[fit_t])
    w = source_w * change.weights(source_eta, source_pt)
    return shape(source_eta[~fit_s], BINS[0], w[~fit_s])[0] / shape(target_eta[~fit_t], BINS[0], target_w[~fit_t])[0]


these = eta_ratio(half_s, half_t)
others = [eta_ratio(rng.random(len(half_s)) < 0.5, rng.random(len(half_t)) < 0.5) for _ in range(40)]
show("these halves, ratio at the lowest |eta|", these[0], 2)
show("these halves, ratio at the highest |eta|", these[-1], 2)
for i, (low, high) in enumerate(zip(BINS[0], BINS[0][1:], strict=False)):
    ratio = [other[i] for other in others]
    show(f"other halves, ratio for |eta| from {low} to {high}", np.mean(ratio), 2, error=np.std(ratio))

# %% [markdown]
# Averaged over 40 other pairs of halves the ratio is one, and there is no slope.
# The number behind $\pm$ says by how much a single pair scatters, and it is larger than the error bars of the figure, for the reason given above.
# The slope that we saw was chance; without this look we might have tried to repair it.
#
# A reweighting has a price.
# Events with a large factor count for many, and their statistical fluctuations count for many, too.
# The *effective number* of events, $(\sum w)^2 / \sum w^2$, says how many events of equal weight would be as precise.


# %%
def effective_events(w):
    return w.sum() ** 2 / (w**2).sum()


show("effective events before", effective_events(source_w), 0)
show("effective events after", effective_events(new_w), 0)

# %% [markdown]
# Of {{5500 = 5515 within 50 = effective events before}} effective events {{3300 = 3326 within 50 = effective events after}} are left.
# The more two samples differ, the more a reweighting costs.
#
# ## Negative weights
#
# Calculations beyond leading order count some configurations twice and take the surplus away again, by events with a negative weight.
# `WWTo2L2Nu.root` holds pairs of W bosons that do not come from a Higgs boson, the background that lesson 13 has to fight.
# Our generator is of leading order; we have turned signs round in this file as calculations of higher order do, and the more often, the more jets an event has.
# **Guess:** what becomes of the expected number of events if somebody finds negative weights odd, and takes absolute values, or leaves these events out?

# %%
pairs = load_events(fetch("WWTo2L2Nu.root"), ["XSWeight", "SFweight", "nJet"])
signed = pairs["XSWeight"].astype(np.float64) * pairs["SFweight"]
show("events of negative weight [%]", 100 * np.mean(signed < 0), 0)
show("expected at 1/fb", signed.sum(), 0)

many_jets = pairs["nJet"] >= 3
for how, w in [("absolute values", np.abs(signed)), ("without them", np.clip(signed, 0, None))]:
    show(f"{how}, times too many", w.sum() / signed.sum(), 2)
    show(f"{how}, times too many with three jets or more", w[many_jets].sum() / signed[many_jets].sum(), 1)

show("simulated events", len(signed))
show("effective events", effective_events(signed), 0)

# %% [markdown]
# With absolute values the sample is {{1.34 = absolute values, times too many}} times too large, and where there are many jets {{2.5 = absolute values, times too many with three jets or more}} times: not only the number is wrong, but every distribution that has to do with jets.
# To leave the events out is wrong in the same direction.
# The sign belongs to the weight, and this is why your function in 2.1 had to keep it.
#
# It has a price as well: the {{20 000 = simulated events}} events are as precise as {{9800 = 9757 within 50 = effective events}} of equal weight.
# And a network that trains on them is rewarded for a wrong answer wherever a weight is negative, which is right on average and makes small batches unstable.
# Lesson 13 compares what can be done about that.
#
# ## Where you stand

# %%
progress()

# %% [markdown]
# ## What we found
#
# 1. Merge the samples of a class, and divide by the mean afterwards: so the cross sections survive between the samples, and signal and background count alike.
# 2. Whatever is fitted, a scale or a factor, is fitted on training events, and for all classes together.
#    Samples that were scaled each by itself carry their label in the inputs.
# 3. A default value is no measurement.
#    It has its own place in the fit, in the array and in the variables file, and a check flag tells the network that it is there.
#
# **One limitation:** a reweighting corrects the two variables that it was given, and no others.
#
# **Next:** lesson 3 replaces the coin by a split that is still the same a year later.
#
# **Further reading:** jets of different flavour brought to one spectrum for the training of a tagger, [arXiv:2008.10519](https://arxiv.org/abs/2008.10519);
# reweighting in all variables at once, by a classifier, [arXiv:1907.08209](https://arxiv.org/abs/1907.08209).
