# %% [markdown]
# # 1 · Reading: from ROOT files to arrays
#
# <!-- badges -->
#
# **After this lesson you will be able to**
#
# 1. find out what a ROOT file holds and read from it what you need, and nothing else;
# 2. turn branches into one table of numbers, with NumPy and with pandas, and join samples without mixing up columns;
# 3. compute with events that hold different numbers of jets, without a loop, and store a table so that a slice of it can be read alone.
#
# **You need** Python and a little NumPy.
# No jets yet, no machine learning yet.
#
# **Time:** 60 minutes; the notebook itself runs in about 10 seconds on two CPU cores.

# %% tags=["setup"]
from coursekit import check, fetch, figure, hint, or_reference, progress, setup, show

WORK = setup("01")

# %% tags=["parameters"]
quick: bool = True
seed: int = 1

# %% [markdown]
# ## The question
#
# Two leptons and missing energy.
# Was it a Higgs boson that decayed to two W bosons, or a Z boson or virtual photon, thousands of times more frequent?
# In this lesson and the next four we build a network that answers.
# First we need numbers, and the numbers are in ROOT files.
#
# The course has simulated three samples with Pythia 8, proton collisions at 13 TeV in which two leptons (electrons or muons) were found:
#
# | sample | process | role |
# |---|---|---|
# | `hww` | gluon fusion to a Higgs boson of 125 GeV, $H \to W^+W^- \to 2\ell 2\nu$ | signal |
# | `dy_low` | Drell-Yan, $q\bar q \to Z/\gamma^* \to \ell^+\ell^-$, with 10 to 50 GeV of mass | background |
# | `dy_high` | the same above 50 GeV, the Z peak included | background |
#
# The signal is what we look for; the background is whatever else looks like it.
# Each sample is one file.
# `fetch` says where it lies.

# %%
import awkward as ak
import numpy as np
import pandas as pd
import uproot

FILES = {
    "hww": fetch("GluGluHToWWTo2L2Nu_M125.root"),
    "dy_low": fetch("DYJetsToLL_M-10to50-LO.root"),
    "dy_high": fetch("DYJetsToLL_M-50-LO.root"),
}
show("samples", tuple(FILES))

# %% [markdown]
# ## What is in the file?
#
# A ROOT file is like a folder: it holds named objects.
# The events are in a *tree*, a table with one row per event; its columns are called *branches*.
# `uproot` reads ROOT files with Python alone.
# Opening one reads a few kilobytes, however large the file is.

# %%
file = uproot.open(FILES["hww"])
print(file.classnames())

# %% [markdown]
# `classnames` pairs each name with the kind of object.
# The `;1` is a *cycle*: a file may keep several versions of an object, and the number tells them apart.
# We almost never want it.
#
# ### Your turn 1.1 · 3 min · ★
#
# Make `trees` the list of the names of all objects of class `TTree` in `file`, without the cycle numbers.

# %% tags=["exercise", "ex-1.1"]
trees = ...

# %% tags=["check", "ex-1.1"]
check("1.1", trees, file=file)
trees = or_reference("1.1", trees, file=file)

# %% [markdown]
# The tree is not read yet.
# Asking it for its size or its branches costs nothing more.

# %%
tree = file["Events"]
show("events", tree.num_entries)
show("branches", len(tree.keys()))
print(*tree.keys(filter_name=["*ll", "mt*", "pt*", "u*", "Jet*"]), sep=", ")

# %% [markdown]
# The names follow the CMS $H \to WW$ analyses.
# Four that we shall use, all in GeV:
#
# - `mll` and `ptll`: invariant mass and transverse momentum of the two leptons together;
# - `mth`: transverse mass of the two leptons and the missing transverse momentum, $m_T^H = \sqrt{2\, p_T^{\ell\ell}\, p_T^\mathrm{miss} (1 - \cos\Delta\phi)}$,
#   where $\Delta\phi$ is the angle between the two in the transverse plane.
#   The neutrinos escape, so the Higgs mass itself cannot be computed;
# - `mtw1`: the same with the leading lepton alone instead of the pair.
#
# ## One branch
#
# `tree["mtw1"].array(library="np")` decompresses one branch and leaves all others on disk.

# %%
mtw1 = tree["mtw1"].array(library="np")
show("shape", mtw1.shape)
show("type", str(mtw1.dtype))

# %% [markdown]
# ### Your turn 1.2 · 3 min · ★
#
# Compute the mean and the standard deviation of `mtw1`, two numbers.
# (Whether the sum of squares is divided by $N$, as NumPy does, or by $N - 1$, as pandas does, makes no difference to 20 000 events; both are accepted.)

# %% tags=["exercise", "ex-1.2"]
mean = ...
std = ...

# %% tags=["check", "ex-1.2"]
check("1.2", mean, std, mtw1=mtw1)
mean, std = or_reference("1.2", mean, std, mtw1=mtw1)

# %%
show("mean of mtw1", mean, 1, unit="GeV")
show("standard deviation of mtw1", std, 1, unit="GeV")

# %% [markdown]
# A network learns best when its inputs are of order one.
# The usual way there is to *normalise*: subtract the mean, divide by the standard deviation.
#
# ### Your turn 1.3 · 5 min · ★
#
# Write `normalise(x)`: a new array, in which the numbers of the array `x` are shifted and scaled so that their mean is 0 and their standard deviation 1.
# The check calls it on arrays you have not seen, among them one of whole numbers.


# %% tags=["exercise", "ex-1.3"]
def normalise(x): ...


# %% tags=["check", "ex-1.3"]
check("1.3", normalise)
normalise = or_reference("1.3", normalise)

# %%
normalised = normalise(mtw1)
show("mean afterwards", abs(float(normalised.mean(dtype="f8"))), 3)
show("standard deviation afterwards", float(normalised.std(dtype="f8")), 3)

# %% [markdown]
# Keep this function in mind.
# It is right here, for one branch of one sample, and lesson 2 shows how the same three operations, applied once too often, give the answer away to the network.
#
# ## Several branches of several samples
#
# A dictionary of arrays, branch name to array, is the simplest picture of a sample.
# We want these six inputs from each of the three files.

# %%
INPUTS = ["ptll", "mth", "uperp", "upara", "ptTOT_cut", "mTOT_cut"]

# %% [markdown]
# `uperp` and `upara` are the parts of the recoil, everything in the event but the leptons and the missing momentum, perpendicular and parallel to the lepton pair;
# `ptTOT_cut` and `mTOT_cut` are transverse momentum and mass of leptons, missing momentum and two jets together.
#
# ### Your turn 1.4 · 8 min · ★★
#
# Write `read_branches(path, branches)`: open the file `path`, and return a dictionary of NumPy arrays with exactly the given branches of the tree `Events`.
# It should read no other branch.


# %% tags=["exercise", "ex-1.4"]
def read_branches(path, branches): ...


# %% tags=["check", "ex-1.4"]
check("1.4", read_branches)
read_branches = or_reference("1.4", read_branches)

# %%
samples = {name: read_branches(path, INPUTS) for name, path in FILES.items()}
for name, arrays in samples.items():
    show(f"{name}: branches, events", (len(arrays), len(arrays["ptll"])))

# %% [markdown]
# **Guess before you look:** in which sample does the lepton pair carry most transverse momentum, and how large can `mth` become if two W bosons come from a Higgs boson of 125 GeV?

# %%
LABELS = {"hww": "H → WW", "dy_low": "Drell-Yan, 10-50 GeV", "dy_high": "Drell-Yan, above 50 GeV"}

with figure("lepton-pair-and-transverse-mass", columns=2) as axes:
    for ax, branch, top in zip(axes, ["ptll", "mth"], [140, 200], strict=True):
        for name, line in zip(samples, ["-", "--", ":"], strict=True):
            ax.hist(samples[name][branch], bins=50, range=(0, top), density=True, histtype="step", linestyle=line, linewidth=1.8,
                    label=f"{LABELS[name]} ({len(samples[name][branch])} events)")  # fmt: skip
        ax.set_xlabel(f"{branch} [GeV]")
        ax.set_ylabel("events / GeV, scaled to area one")
    axes[0].legend(fontsize=9)

# %% [markdown]
# The neutrinos of the two W bosons carry momentum away, which gives $H \to WW$ its large `mth`, up to the Higgs mass and a little beyond.
# In Drell-Yan events the missing momentum is mostly mismeasurement, and `mth` is small.
# A network could do worse than to look here first.
# The bump of `dy_low` at 30 GeV is made by our selection: a pair of low mass passes the momentum thresholds of 18 and 9 GeV best when a jet has pushed it.
#
# ## What does it cost to read everything?
#
# A tree stores each branch by itself, compressed in blocks called *baskets*.
# So the bytes that must be read and decompressed are those of the branches asked for.


# %%
def kilobytes(tree, branches):
    return sum(tree[name].compressed_bytes for name in branches) / 1000


show("all branches", kilobytes(tree, tree.keys()), 0, unit="kB")
show("six branches", kilobytes(tree, INPUTS), 0, unit="kB")
show("ratio", kilobytes(tree, tree.keys()) / kilobytes(tree, INPUTS), 1)

# %% [markdown]
# Six of our 33 branches cost a fifth.
# In an analysis file of 800 branches the ratio is a hundred, and it decides between a second and minutes.
#
# ## One table
#
# Networks eat tables: one row per event, one column per input, all of one number type.
# The shape is written $(N, F)$, $N$ events and $F$ features.
#
# ### Your turn 1.5 · 5 min · ★
#
# Write `to_table(arrays, branches)`: it gets a dictionary of arrays and returns one array of shape $(N, F)$, whose columns are those named in `branches`, in that order.
# The dictionary may hold more than these.


# %% tags=["exercise", "ex-1.5"]
def to_table(arrays, branches): ...


# %% tags=["check", "ex-1.5"]
check("1.5", to_table)
to_table = or_reference("1.5", to_table)

# %%
signal = to_table(samples["hww"], INPUTS)
show("signal", signal.shape)

# %% [markdown]
# ### A failure worth seeing
#
# Not every wrong answer to 1.5 raises an error.
# Suppose that one of the samples was read with its branches in alphabetical order, and that we stack whatever the dictionaries hold.
# **Guess:** what will the column `ptll` of the two together look like?

# %%
alphabetical = read_branches(FILES["dy_high"], sorted(INPUTS))
mixed = np.concatenate(
    [np.stack(list(samples["dy_low"].values()), axis=1), np.stack(list(alphabetical.values()), axis=1)]
)
right = np.concatenate([to_table(samples["dy_low"], INPUTS), to_table(alphabetical, INPUTS)])

with figure("first-column") as ax:
    bins = np.linspace(-10, 140, 61)
    ax.hist(right[:, 0], bins, histtype="step", linewidth=1.8, label="columns by name: ptll")
    ax.hist(
        mixed[:, 0],
        bins,
        histtype="step",
        linewidth=1.8,
        linestyle="--",
        label="columns as they came: ptll and mTOT_cut",
    )
    ax.set_xlabel("first column of the table [GeV]")
    ax.set_ylabel("events / 2.5 GeV")
    ax.set_yscale("log")
    ax.legend(fontsize=9, title=f"{len(right)} events")

# %%
show("mean of the first column, as they came", float(mixed[:, 0].mean(dtype="f8")), 1, unit="GeV")
show("mean of the first column, by name", float(right[:, 0].mean(dtype="f8")), 1, unit="GeV")

# %% [markdown]
# Nothing crashed, both arrays have the same shape, and a network would train on it.
# Half of the column called `ptll` is in fact `mTOT_cut`, with its spike at $-1$, the value that stands for "fewer than two jets": the mean moves from 22.8 to 31.4 GeV.
# `to_table` with an explicit list repairs it.
# Lesson 2 writes that list, with the meaning of $-1$, into a file that travels with the network.
#
# ### Your turn 1.6 · 3 min · ★
#
# Merge the two backgrounds: make `background` one table that holds the events of `dy_low` and then those of `dy_high`.

# %%
dy_low = to_table(samples["dy_low"], INPUTS)
dy_high = to_table(samples["dy_high"], INPUTS)

# %% tags=["exercise", "ex-1.6"]
background = ...

# %% tags=["check", "ex-1.6"]
check("1.6", background, dy_low=dy_low, dy_high=dy_high, signal=signal)
background = or_reference("1.6", background, dy_low=dy_low, dy_high=dy_high, signal=signal)

# %%
show("background", background.shape)

# %% [markdown]
# ## The same as a DataFrame
#
# A pandas DataFrame is a table whose columns have names.
# It costs a little speed and gives selections and groups that read like sentences.

# %%
frame = pd.concat([pd.DataFrame(samples[name]).assign(sample=name) for name in FILES], ignore_index=True)
show("shape", frame.shape)
frame.groupby("sample", sort=False)[["ptll", "mth"]].median().astype("f8").round(1)

# %% [markdown]
# The medians agree with the figure: half of the signal has `mth` above 76.7 GeV, half of either background below 20 GeV.
#
# ## A different number of jets in each event
#
# Quarks and gluons that fly off with the Higgs or Z boson become jets, sprays of particles.
# An event may have none, or six.
# Such a branch is *jagged*: one list per event, and no rectangular array fits.
# `awkward` computes with it all the same.

# %%
jet_pt = tree["Jet_pt"].array()
show("type", str(jet_pt.type))
show("jets in the first five events", tuple(ak.num(jet_pt[:5])))

# %% [markdown]
# Arithmetic and comparisons act on every jet: `jet_pt > 30` has the same lists with `True` and `False` inside.
# Reductions (`ak.sum`, `ak.max`, `ak.any`) take an `axis`: 1 works inside each event, `None` over everything.
#
# ### Your turn 1.7 · 5 min · ★★
#
# Make `n_jets` the number of jets above 30 GeV in each event: an array with one number per event, made without a loop.

# %% tags=["exercise", "ex-1.7"]
n_jets = ...

# %% tags=["check", "ex-1.7"]
check("1.7", n_jets, jet_pt=jet_pt)
n_jets = or_reference("1.7", n_jets, jet_pt=jet_pt)

# %%
for count in range(3):
    show(f"events with {count} jets above 30 GeV", int(np.sum(n_jets == count)))

# %% [markdown]
# More than half of the signal events have no jet above 30 GeV, and one in ten has two.
# This is why `ptTOT_cut` and `mTOT_cut`, which need two jets above 15 GeV, are $-1$ so often.
#
# ## Keeping a table on disk
#
# After a selection we want to keep the table and not make it again.
# HDF5 is a common choice: one file, compressed, readable from every language.
# pandas writes it in two layouts; `format="table"` is the one from which a part can be read alone.
# Files under `WORK` are yours, next to this notebook.

# %%
path = WORK / "events.h5"
frame.to_hdf(path, key="table", format="table", mode="w", complevel=4, complib="zlib")
with pd.HDFStore(path, mode="r") as store:
    show("rows on disk", store.get_storer("table").nrows)

# %% [markdown]
# ### Your turn 1.8 · 5 min · ★★
#
# Write `read_rows(path, start, stop)`: it returns the rows from `start` up to but not including `stop` of the table stored under the key `"table"`, with all their columns, as a DataFrame, and reads no others.
# Rows are counted from 0, whatever the index of the table says: after a selection it has gaps.
# A file of 100 GB should be no slower than one of 1 MB.


# %% tags=["exercise", "ex-1.8"]
def read_rows(path, start, stop): ...


# %% tags=["check", "ex-1.8"]
check("1.8", read_rows)
read_rows = or_reference("1.8", read_rows)

# %%
part = read_rows(path, 20_000, 20_003)
show("shape", part.shape)
show("samples of these rows", tuple(part["sample"]))

# %% [markdown]
# ## Where you stand

# %%
progress()

# %% [markdown]
# ## What we found
#
# 1. A tree is read branch by branch: six branches cost a fraction of all, and opening the file costs next to nothing.
# 2. A table forgets the names of its columns.
#    Whoever stacks by position will one day train on the wrong column, and nothing will complain.
# 3. Lists of different lengths need neither padding nor loops: `axis=1` reduces inside each event.
#
# **One limitation:** everything here was held in memory at once.
# Lesson 5 reads files that do not fit.
#
# **Next:** lesson 2 gives each event its weight, each input its scale, and every missing value a defined place.
#
# **Further reading:** awkward arrays, [arXiv:2001.06307](https://arxiv.org/abs/2001.06307);
# the CMS measurement that uses these variables, [arXiv:1806.05246](https://arxiv.org/abs/1806.05246).
