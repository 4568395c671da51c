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
# There are no jets yet, and there is no machine learning.
#
# **Time:** 70 minutes; the notebook itself runs in about 10 seconds on two CPU cores.

# %% tags=["setup"]
from coursekit import check, fetch, figure, hint, or_reference, progress, setup, show

WORK = setup("01")

# %% tags=["parameters"]
quick: bool = True
seed: int = 1

# %% [markdown]
# ## The question
#
# A detector has recorded two leptons, and some momentum is missing.
# Was it a Higgs boson that decayed to two W bosons?
# Or was it a Z boson or a virtual photon, which are produced thousands of times more often?
# In this lesson and the next four we build a network that answers this question.
# First we need numbers, and the numbers are in ROOT files.
#
# For this course we have simulated three samples with Pythia 8.
# They hold proton collisions at 13 TeV in which two leptons, electrons or muons, were found:
#
# | sample | process | role |
# |---|---|---|
# | `hww` | gluon fusion to a Higgs boson of 125 GeV, $H \to W^+W^- \to 2\ell 2\nu$ | signal |
# | `dy_low` | Drell-Yan, $q\bar q \to Z/\gamma^* \to \ell^+\ell^-$, with 10 to 50 GeV of mass | background |
# | `dy_high` | the same above 50 GeV, the Z peak included | background |
#
# The signal is what we look for; the background is whatever else looks like it.
# Each sample is one file, and `fetch` says where that file lies.

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
# A ROOT file is like a folder: it holds objects that have names.
# The events are in a *tree*, a table with one row per event, whose columns are called *branches*.
# The library `uproot` reads ROOT files without any installation of ROOT.
# To open a file it reads a few kilobytes, however large the file is.

# %%
file = uproot.open(FILES["hww"])
print(file.classnames())

# %% [markdown]
# `classnames` pairs each name with the kind of object.
# The `;1` is a *cycle*: a file may keep several versions of an object, and this number tells them apart.
# We hardly ever need it.
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
# You will meet files in which this search finds nothing.
# ROOT has a successor to the tree, called *RNTuple*, to which the experiments are moving; recent versions of `uproot` write it by default.
# We write such a file, with three events of our own, and search it for trees.

# %%
with uproot.recreate(WORK / "new.root") as new:
    new["Events"] = {"ptll": np.array([41.5, 12.0, 63.2]), "nJet": np.array([0, 2, 1])}

new = uproot.open(WORK / "new.root")
print(new.classnames())
show("found as TTree", len(new.keys(filter_classname="TTree")))
show("found as either", len(new.keys(filter_classname=["TTree", "ROOT::RNTuple"])))
show("its branches", tuple(new["Events"].keys()))

# %% [markdown]
# Only the name of the class is another one: branches are read from an RNTuple with the same words as from a tree, and both will be with us for years.
#
# Back to our samples.
# The tree is not read yet, and to ask for its size or the names of its branches costs nothing more.

# %%
tree = file["Events"]
show("events", tree.num_entries)
show("branches", len(tree.keys()))
print(*tree.keys(filter_name=["*ll", "mt*", "pt*", "u*", "Jet*"]), sep=", ")

# %% [markdown]
# The names follow the analyses of $H \to WW$ by the CMS collaboration.
# We shall use these four, which are all in GeV:
#
# - `mll` and `ptll`: invariant mass and transverse momentum of the two leptons together;
# - `mth`: transverse mass of the two leptons and the missing transverse momentum, $m_T^H = \sqrt{2\, p_T^{\ell\ell}\, p_T^\mathrm{miss} (1 - \cos\Delta\phi)}$,
#   where $\Delta\phi$ is the angle between the two in the transverse plane.
#   The two neutrinos escape, so that the mass of the Higgs boson itself cannot be computed;
# - `mtw1`: the same with the leading lepton, the one with the larger transverse momentum, in the place of the pair.
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
# A network learns best when its inputs are of order one, and these are not.
# The usual remedy is to *normalise* them: we subtract the mean and divide by the standard deviation.
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
# For one branch of one sample it is right.
# Lesson 2 shows what happens when it is applied to each sample by itself: it gives the answer away to the network.
#
# ## Several branches of several samples
#
# The simplest picture of a sample is a dictionary, in which each name of a branch leads to an array.
# We want these six inputs from each of the three files.

# %%
INPUTS = ["ptll", "mth", "uperp", "upara", "ptTOT_cut", "mTOT_cut"]

# %% [markdown]
# The *recoil* is everything in the event but the leptons and the missing momentum; `uperp` and `upara` are its components perpendicular and parallel to the lepton pair.
# `ptTOT_cut` and `mTOT_cut` are the transverse momentum and the mass of leptons, missing momentum and two jets taken together.
#
# ### Your turn 1.4 · 8 min · ★★
#
# Write `read_branches(path, branches)`: it opens the file `path` and returns a dictionary of NumPy arrays with exactly the given branches of the tree `Events`, under their names.
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
# **Guess before you look:** in which sample does the lepton pair carry the most transverse momentum?
# And how large can `mth` become if the two W bosons come from a Higgs boson of 125 GeV?

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
# The neutrinos of the two W bosons carry momentum away, and this gives $H \to WW$ its large `mth`, up to the mass of the Higgs boson and, since momenta are measured with errors, a little beyond.
# In Drell-Yan events no neutrino is produced, except where a tau lepton decays; the missing momentum is mostly mismeasurement, and `mth` is small.
# A network could do worse than to look here first.
# The bump of `dy_low` at 30 GeV is made by our selection: the leptons need 18 and 9 GeV of transverse momentum, and those of a pair of low mass have that most often when the pair was pushed by a jet.
#
# ## What does it cost to read everything?
#
# A tree stores each branch by itself, compressed in blocks that are called *baskets*.
# So only the bytes of those branches have to be read and decompressed for which we ask.


# %%
def kilobytes(tree, branches):
    return sum(tree[name].compressed_bytes for name in branches) / 1000


show("all branches", kilobytes(tree, tree.keys()), 0, unit="kB")
show("six branches", kilobytes(tree, INPUTS), 0, unit="kB")
show("share of the bytes", kilobytes(tree, INPUTS) / kilobytes(tree, tree.keys()), 2)

# %% [markdown]
# Six of our {{33 = branches}} branches cost {{a fifth = 0.19 = share of the bytes}} of the bytes.
# In a file of 800 branches, as analyses have them, the six might cost a hundredth, which is the difference between a second and minutes.
#
# ## One table
#
# A network takes a table: one row per event, one column per input, and all numbers of one type.
# Its shape is written $(N, F)$ for $N$ events and $F$ features.
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
# Suppose that one of two samples was read with its branches in alphabetical order, and that we stack whatever the dictionaries hold.
# **Guess:** what will the first column, which should be `ptll`, look like when the two are put together?

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
show("events at -1 in the first column, as they came", int(np.sum(mixed[:, 0] == -1)))

# %% [markdown]
# Nothing has crashed, both arrays have the same shape, and a network would train on either.
# But half of the column that should be `ptll` is in fact `mTOT_cut`.
# Its spike at $-1$, the value that stands for "fewer than two jets", gives it away here; of the mean, which moves from {{22.8 = mean of the first column, by name}} to {{31.4 GeV = mean of the first column, as they came}}, nobody would have taken notice.
# `to_table` with an explicit list of names repairs it.
# Lesson 2 writes that list, together with the meaning of $-1$, into a file that travels with the network.
#
# ### Your turn 1.6 · 3 min · ★
#
# Merge the two backgrounds: make `background` one table that holds all events of `dy_low` and below them all events of `dy_high`.

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
# A DataFrame of pandas is a table whose columns have names.
# It costs a little speed, and selections and groups read like sentences.

# %%
frame = pd.concat([pd.DataFrame(samples[name]).assign(sample=name) for name in FILES], ignore_index=True)
show("shape", frame.shape)
medians = frame.groupby("sample", sort=False)[["ptll", "mth"]].median().astype("f8")
show("largest median of mth, background", medians.loc[["dy_low", "dy_high"], "mth"].max(), 1, unit="GeV")
show("median of mth, signal", medians.loc["hww", "mth"], 1, unit="GeV")
medians.round(1)

# %% [markdown]
# The medians agree with the figure: half of the signal has `mth` above {{median of mth, signal}}, and half of either background has less than {{20 GeV = < 20 = largest median of mth, background}}.
#
# ## A different number of jets in each event
#
# The quarks and gluons that are produced together with the Higgs or Z boson become *jets*, sprays of particles.
# One event has no jet, another has six.
# A branch of their momenta is *jagged*: it has one list per event, the lists differ in length, and they fit into no rectangular array.
# The library `awkward` computes with them all the same.

# %%
jet_pt = tree["Jet_pt"].array()
show("type", str(jet_pt.type))
show("jets in the first five events", tuple(ak.num(jet_pt[:5])))

# %% [markdown]
# Arithmetic and comparisons act on every jet: `jet_pt > 30` has the same lists, with `True` and `False` inside.
# Functions that make one number of many, such as `ak.sum`, `ak.max` and `ak.any`, take an `axis`: with `axis=1` they work inside each event, with `axis=None` over everything.
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
    show(f"share of events with {count} jets above 30 GeV", float(np.mean(n_jets == count)), 3)
show("share with two or more above 15 GeV", float(np.mean(ak.num(jet_pt[jet_pt > 15]) >= 2)), 3)
show("share with mTOT_cut above -1", float(np.mean(samples["hww"]["mTOT_cut"] > -1)), 3)

# %% [markdown]
# {{58% = share of events with 0 jets above 30 GeV}} of the signal events have no jet above 30 GeV, and {{one in ten = 0.1 = share of events with 2 jets above 30 GeV}} has two.
# `ptTOT_cut` and `mTOT_cut` are content with softer jets, of 15 GeV, of which {{32% = share with two or more above 15 GeV}} of the events have two or more.
# In all others these two inputs are $-1$, and the last line confirms it.
#
# ## Keeping a table on disk
#
# After a selection we want to keep the table, so that we need not make it again.
# HDF5 is a common choice: the table becomes one compressed file that can be read from every language.
# pandas writes it in two layouts.
# A range of rows can be read alone from either; with `format="table"` we can also append rows later, select by a condition, or read a few of the columns.
# Files under `WORK` are yours, and lie next to this notebook.

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
# HDF5 is not a format of pandas, and sooner or later you will meet a file that pandas cannot read, or need to know what it has written.
# The library `h5py` shows what is really in the file.
# Like a ROOT file it holds named objects: *datasets*, which are arrays, and *groups*, which are folders.

# %%
import h5py

with h5py.File(path) as stored:
    rows = stored["table/table"]  # the dataset "table" in the group "table"
    show("rows", len(rows))
    show("rows in a chunk", rows.chunks[0])
    for name, kind in rows.dtype.fields.items():
        show(f"field {name}", str(kind[0]))
    three = rows[20_000:20_003]["values_block_0"]
    show("the same numbers", bool((three == read_rows(path, 20_000, 20_003)[INPUTS].to_numpy()).all()))

# %% [markdown]
# An open dataset is sliced like an array, and only the slice is read.
# It lies on disk in compressed *chunks* of {{1680 = rows in a chunk}} rows, as a branch of a tree lies in baskets: whoever wants one row has to decompress a chunk.
#
# pandas has packed our six columns of floats into one field, `values_block_0`, and has put their names into an attribute that Python alone can read.
# For a file that others are to read, one dataset per column is better:

# %%
with h5py.File(WORK / "columns.h5", "w") as stored:
    for name in INPUTS:
        stored.create_dataset(name, data=frame[name], compression="gzip", shuffle=True)
    stored.attrs["unit"] = "GeV"

with h5py.File(WORK / "columns.h5") as stored:
    show("datasets", tuple(stored))
    show("ptll of the first row", float(stored["ptll"][0]), 1, unit=stored.attrs["unit"])

# %% [markdown]
# Every name is in plain sight now, and the unit as well.
# The names come back in alphabetical order, not in ours, and you know from exercise 1.5 what to do about that.
#
# ## Where you stand

# %%
progress()

# %% [markdown]
# ## What we found
#
# 1. A tree is read branch by branch: six branches cost a fraction of all, and to open the file costs next to nothing.
# 2. A table does not know the names of its columns.
#    Whoever stacks by position will one day train on the wrong column, and nothing will complain.
# 3. Lists of different lengths need neither padding nor loops: with `axis=1` we compute inside each event.
#
# **One limitation:** everything in this lesson was held in memory at once.
# Lesson 5 reads files that do not fit.
#
# **Next:** lesson 2 gives each event its weight, each input its scale, and each missing value a place of its own.
#
# **Further reading:** awkward arrays, [arXiv:2001.06307](https://arxiv.org/abs/2001.06307);
# the CMS measurement that uses these variables, [arXiv:1806.05246](https://arxiv.org/abs/1806.05246).
