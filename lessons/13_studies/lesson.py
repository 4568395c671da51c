# %% [markdown]
# # 13 · Studies: a whole analysis in one file
#
# <!-- badges -->
#
# **After this lesson you will be able to**
#
# 1. write a study as one YAML file, from the samples to the limit, run it, read its report, and name what differs between two runs;
# 2. train one network for a whole range of masses, use every event through k folds, treat negative weights, and learn from mixtures without a label;
# 3. search for better settings, resume a search that was killed, and say how flattered its winner is.
#
# **You need** lesson 2 (weights), lesson 3 (parts and leakage), lesson 4 (a Keras network, AUC, significance).
#
# **Time:** 140 minutes, with a place for a break in the middle; the notebook itself runs in about 80 seconds on two CPU cores.

# %% tags=["setup"]
from coursekit import check, figure, hint, or_reference, progress, setup, show

WORK = setup("13")

# %% tags=["parameters"]
quick: bool = True
seed: int = 1

# %% [markdown]
# ## The question
#
# Twelve lessons of code lie behind us, and a colleague asks: which cut was that, which seed, and were the weights normalised before or after the split?
# The answer is in a notebook with forty cells, run in an order that nobody remembers.
# An analysis is repeated for years, by people who come and go; so what was done should stand in one place, be complete, and be what the computer has really done.
# That place is a *study*: one text file that says everything, and a program that reads nothing else.
#
# ## The settings, all in one place
#
# All numbers in the text are those of the quick mode.

# %%
EPOCHS = 8 if quick else 60  # of each network of the mass scan
TRIALS = 12 if quick else 60  # of the search
SHARED = ["job.seed=" + str(seed), "job.folder=" + str(WORK / "runs")]

# %%
import shutil
import textwrap

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import scipy.stats
import yaml

from coursekit.study.reading import StudyError, read_study
from coursekit.study.run import resolve, run_study

pd.set_option("display.width", 200)  # tables in one piece
shutil.rmtree(WORK / "runs", ignore_errors=True)  # of an earlier run of this notebook


# %%


def write(name, text):
    """Keep a study file in the work folder."""
    path = WORK / f"{name}.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def run(name, *changes):
    """Run a study here, with some of its keys changed; at a command line, `coursekit study` does it."""
    return run_study(resolve(WORK / f"{name}.yaml", [*SHARED, *changes]))


# %% [markdown]
# ## Lesson 4 in thirty lines
#
# A study file is written in YAML: keys and values, sections by indentation, lists in square brackets.
# The section `input` of lesson 4 says which files are signal and which background, what the network sees, what the weights are, and how the events are split.
# You know every line of it.

# %%
HWW = """
input:
  signals:
    HWW: {files: [GluGluHToWWTo2L2Nu_M125.root]}
  backgrounds:
    DY: {files: [DYJetsToLL_M-10to50-LO.root, DYJetsToLL_M-50-LO.root]}
  features: [ptll, mth, uperp, upara, ptTOT_cut, mTOT_cut]
  spectators: [mll]                            # kept, and never trained on
  defaults: {ptTOT_cut: -1, mTOT_cut: -1}      # these mean "not there"
  weight: XSWeight * SFweight2l * LepSF2l__ele_mvaFall17V1Iso_WP90__mu_cut_Tight_HWWW
    * LepCut2l__ele_mvaFall17V1Iso_WP90__mu_cut_Tight_HWWW * GenLepMatch2l * METFilter_MC
  targets: {signal: {mean: 1}, background: {mean: 1}}   # of the weights in the training
  split: {keys: [run, luminosityBlock, event], fractions: [0.6, 0.2, 0.2]}
"""

# %% [markdown]
# What is not said has a default, and `coursekit study show FILE` prints the whole study, defaults included, with the line where each value was said.
# So it is also the quickest way to see which keys there are.

# %%
from coursekit.study.writing import show as complete

minimal = write("minimal", "job: {name: minimal}" + HWW)
lines = complete(read_study(minimal)).replace(str(WORK), "work").splitlines()
first, last = (next(i for i, line in enumerate(lines) if line.startswith(section)) for section in ("train:", "apply:"))
print("\n".join(lines[first:last]))

# %% [markdown]
# ### Your turn 13.1 · 8 min · ★
#
# The last network of lesson 4 has three hidden layers of 64 units with a dropout of 0.1.
# It is trained by Adam with a learning rate of 0.003, in batches of 256, for at most 25 epochs; it stops after 4 epochs without a lower validation loss, and the best epoch is kept.
# `options` takes `hidden`, a list with the units of each layer, and `dropout`; `early_stopping` takes `monitor`, `mode`, `min_delta` and `patience`.
# Write `train_section()`, which returns the section `train` as text, `return """ ... """`; it may be indented as a whole.


# %% tags=["exercise", "ex-13.1"]
def train_section(): ...


# %% tags=["check", "ex-13.1"]
check("13.1", train_section)
train_section = or_reference("13.1", train_section)

# %%
write(
    "lesson_04",
    "job: {name: lesson_04}"
    + HWW
    + textwrap.dedent(train_section())
    + "\napply: {luminosity_fb: 138, importance: null, scores: {signal_scale: 1000}}\n",
)
lesson_04 = run("lesson_04")

# %% [markdown]
# We wrote no code to train this network.
# What came is in a *run folder*, whose name has the date and a number, so that no run ever overwrites another.

# %%
kept = sorted(path.name for path in lesson_04.path.iterdir() if not path.name.startswith("."))
print("\n".join(kept))
found = lesson_04.results()["apply"]["performance"]
area, rejection = found["auc"]["background"], found["rejection"]["background"]["0.7"]
show("AUC", area[0], 3, error=np.hypot(area[1], 0.001))
show("rejection at a signal efficiency of 0.7", rejection[0], 0, error=np.hypot(rejection[1], 3))

# %% [markdown]
# It is the network of lesson 4, bit for bit: the same events in the same order, the same seed, the same steps.
# The folder `examples/` of the course has the study of that lesson with its three trainings, and a test compares its table with the one you know.
#
# `study.yaml` is the complete study, `run.json` says with which versions and which data it was made, `log.txt` what was cut and how the features were scaled, and `predictions.h5` has the score of every event.
# `index.html` is the report.
# Open it now: its figures are those for which lesson 4 needed a hundred lines.
# Two of them:


# %%
def from_report(shown, of, *names):
    """Show two figures of the report of a run, side by side."""
    with figure(shown, columns=2, size=(12, 4.5)) as axes:
        for ax, name in zip(axes, names, strict=True):
            ax.imshow(plt.imread(of.path / "figures" / f"{name}.png"))
            ax.set_axis_off()


from_report("report", lesson_04, "roc", "scores_log")

# %% [markdown]
# ### A failure worth seeing
#
# A file that nobody checks is no record.
# Here is how many programs read their settings: each takes the keys that it knows, and a default for those that are not there.
# The file asks for half of the events as test events.

# %%
ASKED = """
input: {folder: samples, features: [ptll, mth]}
train: {epochs: 25, learning_rate: 1e-3, test_rate: 0.5}
"""


def careless(text):
    """Read settings as many programs do."""
    given = yaml.safe_load(text)
    inputs, train = given.get("input", {}), given.get("train", {})
    return {"test rate": inputs.get("test_rate", 0.2), "learning rate": train.get("learning_rate", 0.01)}


settings = careless(ASKED)
show("the test rate that was asked for", 0.5, 1)
show("the test rate that is used", settings["test rate"], 1)
show("kind of the learning rate", type(settings["learning rate"]).__name__)

# %% [markdown]
# The program looks for `test_rate` in `input`, and the file has it in `train`.
# It trains, it draws, it gives numbers, and they are those of another split than the one in the file, and nobody is told.
# This is no invention: a framework that analyses use has this very line in its example.
# The second trap is YAML itself.
# In its version 1.1, which PyYAML reads, `1e-3` is a *text*, since a number with an exponent needs a dot there.
# A study file is read in version 1.2, where it is the number that it looks like.
#
# ### Your turn 13.2 · 12 min · ★★★
#
# Write `unknown_keys(given, known)`.
# `given` is what a file says, dicts in dicts.
# `known` has the names that may stand there: a dict for each section, and `None` for a key that takes a value, of whatever kind.
# Return a list of the keys that are not known, in the order of the file, with the names of their sections in front: `["train.test_rate"]`.
# What stands below an unknown key is not listed, and a value that is a dict itself, where `known` has `None`, is not looked into.


# %% tags=["exercise", "ex-13.2"]
def unknown_keys(given, known): ...


# %% tags=["check", "ex-13.2"]
check("13.2", unknown_keys)
unknown_keys = or_reference("13.2", unknown_keys)

# %%
KNOWN = {
    "input": dict.fromkeys(["folder", "features", "test_rate"]),
    "train": dict.fromkeys(["epochs", "learning_rate"]),
}
show("keys that nobody reads", ", ".join(unknown_keys(yaml.safe_load(ASKED), KNOWN)))

# %% [markdown]
# `coursekit study` does this with every key of every section, compares the kind of each value, and says what may have been meant.

# %%
wrong = write(
    "wrong",
    "job: {name: wrong}"
    + HWW
    + """
train:
  test_rate: 0.5
  epoch: 25
  optimiser: {name: adam, learning_rate: fast}
""",
)
try:
    resolve(wrong)
except StudyError as error:
    print(str(error).replace(str(WORK), "work"))

# %% [markdown]
# The first message recognises the key of that other framework.
# A key that would have no effect where it stands is refused as well: a momentum for an optimiser without one, data that nothing draws.
#
# ## Files that include files
#
# We look for a heavier boson that decays as the Higgs boson does, $X \to WW \to 2\ell 2\nu$, and nobody knows its mass.
# The background is now $q\bar q \to WW$, two real W bosons without a resonance.
# Only the signal differs between masses, so all else stands in one file, `scan.yaml`, and each mass has a file of three lines.
# A study *includes* what it needs, by the key `config.include`; what comes later overwrites what came earlier.
# `values` makes a column that has one value in all events of a sample, and `of: each` gives each signal sample the same weight.

# %%
_ = write(
    "scan",
    """
input:
  backgrounds:
    WW: {files: [WWTo2L2Nu.root]}
  features: [mll, mth, ptll, pt1, pt2, upara, uperp, ptTOT_cut, mTOT_cut, nJet]
  defaults: {ptTOT_cut: -1, mTOT_cut: -1}
  weight: XSWeight * SFweight
  targets: {signal: {mean: 1, of: each}, background: {mean: 1}}
  split: {keys: [run, luminosityBlock, event], fractions: [0.6, 0.2, 0.2]}
train:
  options: {hidden: [64, 64]}
  optimiser: {learning_rate: 0.003}
""",
)
MASSES = [140, 170, 200, 250, 300, 400]  # GeV
for mass in MASSES:
    signal = f"M{mass}: {{files: [ScalarToWW_M{mass}.root], values: {{mass: {mass}}}}}"
    _ = write(f"mass_{mass}", f"input:\n  signals:\n    {signal}\n")

# %% [markdown]
# ### Your turn 13.3 · 12 min · ★★★
#
# Write `merged(first, second)`, which returns what two files say together, as a new dict.
# Where both have a section, the sections are merged in turn, however deep they lie.
# Everything else, lists included, is taken from `second` where it has the key, and from `first` where it has not.
# Neither input is changed.


# %% tags=["exercise", "ex-13.3"]
def merged(first, second): ...


# %% tags=["check", "ex-13.3"]
check("13.3", merged)
merged = or_reference("13.3", merged)

# %% [markdown]
# Why are lists replaced and not joined?
# A study that wants fewer features than the file it includes could not say so.
# Here three masses are put together, with another `salt`, a number that deals the events to other parts; each value knows where it comes from:

# %%
several = write(
    "several",
    """
config: {include: [scan.yaml, mass_140.yaml, mass_200.yaml, mass_300.yaml]}
job: {name: several}
input: {split: {salt: 7}}
""",
)
read = resolve(several)
for key in (
    "input.signals.M200.values.mass",
    "input.split.salt",
    "input.split.fractions[0]",
    "train.options.hidden[0]",
):
    print(f"{key}: {read.origins[key].replace(str(WORK), 'work')}")
print("signals:", ", ".join(read.study.input.signals))

# %% [markdown]
# ## One network for every mass
#
# A network trained at 200 GeV is good at 200 GeV.
# For a search from 140 to 400 GeV one would train many, and between their masses there would be none.
# A *parametrised* network has the mass as one more input: it is trained at some masses, and asked at any.
#
# The signal has a mass, that of its sample.
# The background has none, and what is written there decides everything.
# First the obvious thing: the mass is an input, and background events get a 0.
# **Guess before you look:** what AUC do you expect?

# %%
_ = write(
    "obvious",
    """
config: {include: [scan.yaml, mass_140.yaml, mass_200.yaml, mass_300.yaml]}
job: {name: obvious, steps: [train]}
input:
  backgrounds: {WW: {values: {mass: 0}}}
  features: [mll, mth, ptll, pt1, pt2, upara, uperp, ptTOT_cut, mTOT_cut, nJet, mass]
""",
)
obvious = run("obvious", "train.epochs=2")
show("AUC, the mass of the background set to 0", obvious.results()["train"]["mean"], 3, error=0.001)

# %% [markdown]
# Perfect, which is too good to be true.
# The network has read from the mass which events are background, and forgotten the rest; in data, where we choose one mass for all events, it is useless.
# The background needs masses that tell nothing: distributed exactly as those of the signal.
#
# ### Your turn 13.4 · 10 min · ★★
#
# Write `with_masses(mass, labels, rng)`.
# `labels` is 1 for signal and 0 for background; `mass` has the mass of each event, and some number without meaning where `labels` is 0.
# Return a new array: signal events keep their mass, and each background event gets the mass of a signal event, drawn at random with the generator `rng`.


# %% tags=["exercise", "ex-13.4"]
def with_masses(mass, labels, rng): ...


# %% tags=["check", "ex-13.4"]
check("13.4", with_masses)
with_masses = or_reference("13.4", with_masses)

# %% [markdown]
# In a study this is the key `reset`.
# Its part `training: signal` does what you have just written; its part `evaluation` says what *all* events get where the network is applied: the mass we ask about.
# We train at 140, 200 and 300 GeV, and for comparison one network each at 200, 250 and 300 GeV alone.

# %%
_ = write(
    "parametrised",
    """
config: {include: [several.yaml]}
job: {name: parametrised, steps: [train]}
input:
  features: [mll, mth, ptll, pt1, pt2, upara, uperp, ptTOT_cut, mTOT_cut, nJet, mass]
  reset: {mass: {training: signal}}
  split: {salt: 0}
""",
)
for mass in (200, 250, 300):
    alone = f"config: {{include: [scan.yaml, mass_{mass}.yaml]}}\njob: {{name: only_{mass}, steps: [train]}}\n"
    _ = write(f"only_{mass}", alone)

trained = {name: run(name, f"train.epochs={EPOCHS}") for name in ("parametrised", "only_200", "only_250", "only_300")}

# %%
from coursekit.metrics import Estimate, auc
from coursekit.study.dataset import TEST, load_dataset
from coursekit.study.training import epoch_scores

PARAMETRISED = """
  features: [mll, mth, ptll, pt1, pt2, upara, uperp, ptTOT_cut, mTOT_cut, nJet, mass]
  reset: {mass: {evaluation: %s}}
"""


def auc_at(name, mass):
    """AUC of a trained network on test events of one mass, with its error."""
    text = f"config: {{include: [scan.yaml, mass_{mass}.yaml]}}\njob: {{name: ask}}\ninput:"
    text += PARAMETRISED % mass if name == "parametrised" else " {}"
    study = resolve(write("ask", text), SHARED).study
    dataset = load_dataset(study)
    scores = epoch_scores(study, dataset, trained[name].models).scores[0, :, 0]
    rows = dataset.parts == TEST
    return auc(dataset.labels[rows], scores[rows], dataset.weights[rows])


# %% [markdown]
# **Guess before you look:** how good is the network of 200 GeV at 400 GeV, and the parametrised one at 250 GeV, which it has never seen?

# %%
found = {}
for name in ("parametrised", "only_200", "only_300"):
    for mass in MASSES:
        area = auc_at(name, mass)
        scatter = 0.006 if name == "parametrised" or str(mass) in name else 0.03  # what other random starts change
        found.setdefault(name, []).append(Estimate(area.value, np.hypot(area.error, scatter)))
one_part = auc_at("only_250", 250)
own = Estimate(one_part.value, np.hypot(one_part.error, 0.006))
with figure("auc-against-mass") as ax:
    for name, marker, line in [("parametrised", "o", "-"), ("only_200", "s", "--"), ("only_300", "^", ":")]:
        values, errors = np.transpose(found[name])
        label = "parametrised, of 140, 200, 300 GeV" if name == "parametrised" else f"trained at {name[-3:]} GeV alone"
        ax.errorbar(MASSES, values, errors, marker=marker, linestyle=line, capsize=2, label=label)
    ax.errorbar(250, *own, marker="*", markersize=12, color="black", linestyle="none", label="trained at 250 GeV alone")
    ax.axhline(0.5, color="black", linewidth=0.8)
    ax.set(xlabel="mass of X [GeV]", ylabel="AUC")
    ax.legend(fontsize=9, title="about 5000 test events at each mass")

# %%
table = {name: {mass: str(area) for mass, area in zip(MASSES, areas, strict=True)} for name, areas in found.items()}
pd.DataFrame(table | {"only_250": {250: str(own)}}).fillna("")

# %% [markdown]
# The errors hold the counting of events and what another random start changes, which is five times as much far from the mass of the training.
# All networks are tested on the same background events, so their differences are known better than the numbers.
# The network of 200 GeV is worse than a coin at 400 GeV: what looks like background there, a large `mll`, is signal here.
# The parametrised network agrees at 200 and at 300 GeV with the network that knows this mass alone.
# And at 250 GeV, which it has never seen, it is as good as the network that was trained there (on a third as many signal events): it has learned how the signal changes with the mass, and *interpolates*.
# At 400 GeV it has to *extrapolate*.
# The AUC looks fine, but nothing tells us how good it could be, nor when it will fail: quote a parametrised network between the masses of its training.
#
# ## A good place for a break
#
# What stands: a study file that is checked before anything runs, files that include files, and one network for a whole range of masses.
# What comes: scores for every event, a search that is killed and goes on, two ways to train without all that the simulation knows, and a limit.
#
# ## Every event may be used
#
# Lesson 4 quoted its results on a fifth of the events, since the others had steered the training.
# A fit that has to describe the data to a per cent cannot throw away four fifths of its simulation.
# With *k folds* it need not.
# The events are dealt into $k$ folds; network $i$ is tested on fold $i$, validated on the next, and trained on the rest.
# Each event then has a score from a network that has never seen it, its *out-of-fold* score.
# Data belong to no fold; they get the mean of all networks.
#
# ### Your turn 13.5 · 8 min · ★★
#
# Write `out_of_fold(scores, folds)`.
# `scores` is $(k, N)$: what each of the $k$ networks says of each of the $N$ events.
# `folds` is $(N,)$: the fold that an event belongs to, whose network has not seen it, and $-1$ for data.
# Data get the mean of all networks.
# Return an array of $N$ scores.


# %% tags=["exercise", "ex-13.5"]
def out_of_fold(scores, folds): ...


# %% tags=["check", "ex-13.5"]
check("13.5", out_of_fold)
out_of_fold = or_reference("13.5", out_of_fold)

# %%
FOLDS = 3 if quick else 10
_ = write(
    "folds",
    """
config: {include: [scan.yaml, mass_250.yaml]}
job: {name: folds, steps: [train]}
input: {data: {pseudodata: {files: [pseudodata.root]}}}
train: {folds: 3}
""",
)
folds = run("folds", f"train.folds={FOLDS}", f"train.epochs={EPOCHS}")

# %%
dataset = load_dataset(resolve(folds.path / "study.yaml").study)
by_network = np.array([folds.training(seed, fold).scores[:, 0] for fold in range(FOLDS)])  # (k, N)
labelled = dataset.labels >= 0
fair = out_of_fold(by_network, dataset.folds)
another = (np.maximum(dataset.folds, 0) + 1) % FOLDS  # the network that tests the next fold has trained on this one
leaked = by_network[another, np.arange(len(dataset))]
y, w = dataset.labels[labelled], dataset.weights[labelled]
show("events with a score of their own", int(labelled.sum()))
for name, score in {"out-of-fold": fair, "a network that has trained on it": leaked}.items():
    area = auc(y, score[labelled], w)
    show(f"AUC, {name}", area.value, 3, error=np.hypot(area.error, 0.003))
show("error of the AUC, one part in five, over that with folds", one_part.error / auc(y, fair[labelled], w).error, 1, spread=0.3)  # fmt: skip

# %% [markdown]
# All {{events with a score of their own}} events have a fair score, five times as many as in one part, and the error of the AUC is about $\sqrt5$ times smaller.
# Scores of a network that has trained on the event look better, by several errors.
# They are not: the network remembers part of these events.
# It is the leak of lesson 3, and with folds it is one index away.
#
# One caveat: data get the mean of all networks, simulation the score of one.
# A mean has a narrower distribution than one network; with few folds this is a bias of some per cent when the two are compared.
#
# ## A search in the background
#
# Which learning rate, how many trees, how many leaves?
# A *search* tries many, and each try is a *trial*.
# We search with the boosted trees of lesson 4, since a trial of them takes a second, for the largest background rejection at a signal efficiency of one half, with two trials at a time.
# `coursekit study` leaves that to Ray Tune, which spreads the trials over the cores of a laptop or, with one key more, `ray: ADDRESS`, over a cluster.
# There a search takes days, and something is always killed; so we kill ours, too, and see what is left.
#
# Learning rates matter by their order of magnitude: between 0.0001 and 0.1, a trial should lie in each of the three decades with the same probability.
#
# ### Your turn 13.6 · 6 min · ★★
#
# Write `loguniform(u, low, high)`.
# `u` is an array of numbers that are uniform between 0 and 1.
# Return as many numbers between `low` and `high` whose *logarithm* is uniform: `low` for 0, and nearer to `high` for a larger `u`.


# %% tags=["exercise", "ex-13.6"]
def loguniform(u, low, high): ...


# %% tags=["check", "ex-13.6"]
check("13.6", loguniform)
loguniform = or_reference("13.6", loguniform)

# %%
u = np.random.default_rng(seed).random(10_000)
for name, rates in {"uniform": 1e-4 + u * (0.1 - 1e-4), "log-uniform": loguniform(u, 1e-4, 0.1)}.items():
    shares = np.histogram(rates, [1e-4, 1e-3, 1e-2, 0.1])[0] / len(u)
    show(f"{name}, share of each decade [%]", tuple(round(100 * share) for share in shares))

# %%
search = write(
    "search",
    """
config: {include: [scan.yaml, mass_250.yaml]}
job: {name: search, steps: [tune]}
input: {split: {fractions: [0.3, 0.1, 0.6]}}
train: {network: boosted_trees, options: {hidden: null}, optimiser: null}  # which the included file has for networks
tune:
  space:
    train.options.learning_rate: {loguniform: [0.0001, 0.1]}
    train.options.max_iter: {choice: [20, 60, 180]}          # how many trees at most
    train.options.max_leaf_nodes: {choice: [4, 15, 60]}
  metric: rejection
  signal_efficiency: 0.5
  trials: 12
  concurrency: 2
""",
)

# %%
import contextlib
import json
import subprocess
import sys
import time

import psutil

from coursekit.study.folder import runs

COMMAND = [sys.executable, "-m", "coursekit.cli", "study", str(search), "--set", f"tune.trials={TRIALS}"]
COMMAND += [word for change in SHARED for word in ("--set", change)]
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def latest():
    """The run folder of the latest search, None before there is one."""
    return next(reversed(runs(WORK / "runs" / "search")), None)


def finished_trials():
    """How many of its trials have come to their end: each is kept in a file of its own."""
    return len(list((latest().path / "search" / "trials").glob("*.json"))) if latest() else 0


# %%
process = subprocess.Popen(COMMAND, **QUIET)
while process.poll() is None and finished_trials() < 4:
    time.sleep(0.1)
assert process.poll() is None, f"the search ended by itself; `{' '.join(COMMAND)}` in a terminal says why"
main = psutil.Process(process.pid)
for one in [main, *main.children(recursive=True)]:
    with contextlib.suppress(psutil.NoSuchProcess):  # it came to its end
        one.kill()
_ = process.wait()
killed = latest()
show("the search says that it is finished", bool(killed.status() == "finished"))
show("at least four trials are kept", bool(finished_trials() >= 4))

# %% [markdown]
# Signal 9, `kill -9`, ends the search and all its helpers at once, and no program can catch it.
# What had been found is kept, each trial in a file of its own.
# `--resume` takes up the latest run that has not come to its end.

# %%
process = subprocess.Popen([*COMMAND, "--resume"], **QUIET)

# %% [markdown]
# While it runs, we go on.
#
# ## Signs of weights
#
# Generators at higher order subtract what they would count twice, and give some events a negative weight.
# Our WW events have them, the more often the more jets there are; all averages are right as long as the signs are kept.
# A loss with negative terms can be driven towards minus infinity, and not every method likes that, so people turn the signs off before they train.
# There are several ways, and none is free.
#
# ### Your turn 13.7 · 6 min · ★
#
# Write `treated(weights, how)`, with four values of `how`:
# `"keep"` changes nothing, `"zero"` makes negative weights zero, `"absolute"` takes their absolute values, and `"remove"` leaves their events out, so that a shorter array comes back.


# %% tags=["exercise", "ex-13.7"]
def treated(weights, how): ...


# %% tags=["check", "ex-13.7"]
check("13.7", treated)
treated = or_reference("13.7", treated)

# %%
background = np.flatnonzero(dataset.labels == 0)
signs, jets = dataset.weights[background], dataset.columns["nJet"][background]
show("background events with a negative weight [%]", 100 * np.mean(signs < 0), 0)
rows = {}
for how in ("keep", "zero", "absolute", "remove"):
    used = treated(signs, how)
    n_jets = jets[signs >= 0] if how == "remove" else jets
    rows[how] = {
        "sum of weights, relative": f"{used.sum() / signs.sum():.2f}",
        "mean number of jets": f"{np.average(n_jets, weights=used):.2f}",
        "share with 2 jets or more [%]": round(100 * used[n_jets >= 2].sum() / used.sum()),
        "effective events": round(used.sum() ** 2 / (used**2).sum()),
    }
pd.DataFrame(rows)

# %%
for how in ("keep", "absolute"):
    text = f"config: {{include: [scan.yaml, mass_250.yaml]}}\njob: {{name: {how}, steps: [train]}}\n"
    _ = write(how, text + f"input: {{negative_weights: {how}}}\n")
    results = run(how, f"train.epochs={EPOCHS}").results()["train"]
    area = results["trainings"][0]["auc"]
    show(f"AUC of the network trained with '{how}'", area["value"], 3, error=np.hypot(area["error"], 0.006))

# %% [markdown]
# Every way but the first counts too many events, which normalising the class would mend.
# It also counts too many events *with jets*, which nothing mends: where signs are lost, what was subtracted is no longer missing.
# A fifth to a quarter of the background seems to have two jets or more, when it is a sixth.
# The price of the signs is statistics: 20 000 events are worth less than 10 000 of equal weight (lesson 2).
# The other rows have more effective events, and no gain: they are events of another distribution.
# The AUC, on test events with their signs, agrees within the error: a network that has learned slightly wrong shapes still ranks events nearly as well.
# So signs may be dropped in the *training*, where a wrong shape costs a little power, and never in the *result*, where it is a wrong answer.
# A study keeps them there: `negative_weights` acts on the training alone.
#
# ## Without labels
#
# In data no event says what it is.
# But nature gives *mixtures*: two regions of which one has more signal than the other.
# A network that tells the mixtures apart, trained with their numbers as labels, has learned to tell signal from background; in data, no simulation is needed for it.
# It is called *classification without labels*, CWoLa.
# Why does it work?
# A perfect classifier of the mixtures gives the ratio of their densities.
#
# ### Your turn 13.8 · 8 min · ★★
#
# Write `mixture_ratio(ratio, f1, f2)`.
# `ratio` is the density of the signal over that of the background, $L = p_S / p_B$, for some events; `f1` and `f2` are the signal fractions of two mixtures.
# Return the density of the first mixture over that of the second.


# %% tags=["exercise", "ex-13.8"]
def mixture_ratio(ratio, f1, f2): ...


# %% tags=["check", "ex-13.8"]
check("13.8", mixture_ratio)
mixture_ratio = or_reference("13.8", mixture_ratio)

# %%
L = np.geomspace(0.01, 100, 101)
for f1, f2 in [(1.0, 0.0), (0.8, 0.2), (0.55, 0.45)]:
    of_mixtures = mixture_ratio(L, f1, f2)
    show(f"fractions {f1} and {f2}: it rises with L everywhere", bool(np.all(np.diff(of_mixtures) > 0)))
    show("   from and to", (round(float(of_mixtures[0]), 2), round(float(of_mixtures[-1]), 2)))

# %% [markdown]
# It rises with $L$ wherever $f_1 > f_2$: whoever cuts on it selects the same events as a cut on $L$ itself.
# So the best network for the mixtures is the best one for signal and background.
# What is lost is contrast: at fractions of 0.55 and 0.45 the ratio changes by a factor of 1.5, where $L$ changes by a factor of ten thousand.
# With enough events that does not matter.
# **Guess before you look:** and with ours?

# %%
_ = write(
    "mixtures",
    """
config: {include: [scan.yaml, mass_250.yaml]}
job: {name: mixtures, steps: [train]}
input: {negative_weights: zero, mixtures: [0.2, 0.8]}
train: {task: cwola}
""",
)
FRACTIONS = [0.55, 0.8, 1.0]
of_fractions = []
for f in FRACTIONS:
    results = run("mixtures", f"input.mixtures=[{1 - f:.2f}, {f}]", f"train.epochs={EPOCHS}").results()["train"]
    of_fractions.append(results["trainings"][0]["auc"])

# %%
supervised = own
with figure("mixtures") as ax:
    values, errors = np.transpose([(area["value"], np.hypot(area["error"], 0.02)) for area in of_fractions])
    ax.errorbar(FRACTIONS, values, errors, marker="o", capsize=2, label="trained on mixtures, without labels")
    ax.axhline(supervised.value, color="black", linestyle="--", label="trained with labels")
    ax.axhline(0.5, color="black", linewidth=0.8)
    ax.set(xlabel="signal fraction of the richer mixture (of the other: one minus that)", ylabel="AUC of signal against background")  # fmt: skip
    ax.legend(fontsize=9)

# %% [markdown]
# Fractions of 0.8 and 0.2 are nearly as good as labels.
# At 0.55 and 0.45 our six thousand events do not suffice.
# (Mixtures can use only as much background as there is signal; the network with labels has two and a half times as many events.)
# At 0.5 and 0.5 the ratio is 1 for all events, and there is nothing to learn.
#
# One thing is assumed: that signal and background each look *the same* in both mixtures; for the background this matters most.
# In data the mixtures are regions, such as events without a jet and events with jets, which have more of $X$ than the others.
# **Guess:** what does the network learn there, and what without any $X$?

# %%
REGIONS = """
config: {include: [scan.yaml]}
job: {name: regions, steps: [train]}
input:
  signals:
    X_with_jets: {files: [ScalarToWW_M250.root], cut: nJet > 0, label: with_jets}
    WW_with_jets: {files: [WWTo2L2Nu.root], cut: nJet > 0, label: with_jets}
  backgrounds:
    WW: null                 # takes away what the included file has
    X_without: {files: [ScalarToWW_M250.root], cut: nJet == 0, label: without_jets}
    WW_without: {files: [WWTo2L2Nu.root], cut: nJet == 0, label: without_jets}
  features: [mll, mth, ptll, pt1, pt2, upara, uperp]
  negative_weights: zero
  targets: null
  defaults: null
"""
_ = write("regions", REGIONS)
without = "\n".join(line for line in REGIONS.splitlines() if "X_with" not in line)
_ = write("no_signal", without.replace("regions", "no_signal"))

# %%
study = resolve(WORK / "regions.yaml", SHARED).study
events = load_dataset(study)
is_signal = np.isin(events.sample, [i for i, name in enumerate(events.samples) if name.startswith("X")])
tests = events.parts == TEST
for name, title in {"regions": "regions with X in them", "no_signal": "regions without any X"}.items():
    score = epoch_scores(study, events, run(name, f"train.epochs={EPOCHS}").models).scores[0, :, 0]
    for labels, what in ((events.labels, "the regions"), (is_signal, "X and WW")):
        area = auc(labels[tests], score[tests], events.weights[tests])
        show(f"trained on {title}: AUC of {what}", area.value, 2, error=np.hypot(area.error, 0.02))

# %% [markdown]
# Both networks tell the regions apart well, though neither sees the number of jets: they have learned it from the recoil that jets leave.
# As a search for $X$ they are far from the {{0.81 = AUC, out-of-fold}} with labels.
# And the network that has never seen an $X$ is as good at it as the other: what both know is not $X$, but jets.
# In data we would see only how well the regions are told apart.
# So what the network sees must be independent of what defines the mixtures, for the background; whether it is has to be shown, in simulation or in a region without signal.
#
# ## What the search has found

# %%
status = process.wait()
resumed = latest()
show("it went on in the same folder, to its end", bool(status == 0 and resumed.path == killed.path))
trials = resumed.results()["tune"]["trials"]
show("trials", len(trials))


# %%
def with_error(value, error):
    return f"{value:.1f} ± {np.hypot(error, 0.05 * value):.1f}"


ranked = sorted(trials, key=lambda trial: -trial["metric"])
pd.DataFrame({
    f"number {trial['number']}": {
        "learning rate": f"{trial['settings']['train.options.learning_rate']:.4f}",
        "trees at most": trial["settings"]["train.options.max_iter"],
        "leaves": trial["settings"]["train.options.max_leaf_nodes"],
        "rejection, validation": with_error(trial["metric"], trial["error"]),
        "rejection, test": with_error(*trial["test"]),
    }
    for trial in sorted(trials, key=lambda trial: trial["number"])
}).T  # fmt: skip

# %% [markdown]
# The numbers run to {{trials}} without a gap, and the trials are those of an uninterrupted search (a test of the course compares them): the search draws from its seed, what is on the disk is not trained again, and the rest is.
# What fails is trees of four leaves, which cannot ask about enough inputs at once.
# All others agree within their errors, even those with small learning rates: many small steps leave every score close to its beginning, but a rejection asks only for the order of the events.
# And the trial that is best on the validation events is not the best on the test events.
#
# ## How flattered is the winner?
#
# The best of twelve is chosen by the number that it is then praised for.
# Suppose that all trials are equally good, and differ by the error of their measurement alone: then the best of them is merely the luckiest.
#
# ### Your turn 13.9 · 8 min · ★★
#
# Write `optimism(n, error, rng)`: by how much the best of `n` measurements lies above the true value on average, if each has a Gaussian error with standard deviation `error`, independent of the others.
# Use the generator `rng`, and enough toys, made-up sets of measurements, for two digits.


# %% tags=["exercise", "ex-13.9"]
def optimism(n, error, rng): ...


# %% tags=["check", "ex-13.9"]
check("13.9", optimism)
optimism = or_reference("13.9", optimism)

# %%
rng = np.random.default_rng(seed)
for n in (2, 12, 100, 1000):
    show(f"best of {n}, in units of the error", optimism(n, 1.0, rng), 1, spread=0.1)
best = ranked[0]
lucky, lucky_error = best["metric"] - best["test"][0], np.hypot(best["error"], best["test"][1])
show("best trial, rejection on validation minus that on test events", lucky, 1, error=np.hypot(lucky_error, 0.3))
show("expected if all trials were equal and independent", optimism(TRIALS, best["error"], rng), 1, spread=0.4)

# %% [markdown]
# The winner loses on fresh events about what luck alone would give.
# The trials are neither equal nor independent, since they share their validation events, so the second number is a guide; only fresh events tell.
#
# ## To the fit
#
# The end of an analysis is not an AUC but a statement about nature: how much signal can there be?
# Say that $b$ background events are expected, and $n$ are counted.
# A signal that would add $s$ events is excluded at 95% confidence when so few events would be improbable with it.
# "Improbable" is measured relative to how improbable they are without signal, so that a downward fluctuation does not exclude what nobody could see:
#
# $$ \mathrm{CL_s} = \frac{P(N \le n;\ s + b)}{P(N \le n;\ b)} < 0.05 , $$
#
# with $P$ the Poisson probability.
#
# ### Your turn 13.10 · 8 min · ★★
#
# Write `cls(s, b, n)`, this ratio, for `s` and `b` expected events and `n` counted ones.


# %% tags=["exercise", "ex-13.10"]
def cls(s, b, n): ...


# %% tags=["check", "ex-13.10"]
check("13.10", cls)
cls = or_reference("13.10", cls)

# %%
from scipy.optimize import brentq


def upper_limit(b, n):
    """The signal, in events, that is just excluded."""
    return brentq(lambda s: cls(s, b, n) - 0.05, 0, 10 * (3 + np.sqrt(b)))


for b in (0, 3, 100):
    show(f"limit with {b} events expected and counted", upper_limit(b, b), 1)

# %% [markdown]
# These are *expected* limits: as many events are counted as there is background.
# With nothing seen, {{three = 3 within 0.1 = limit with 0 events expected and counted}} events of signal are excluded; it is the number to remember.
#
# A single cut throws away what the score knows above and below it.
# A *template* keeps it: signal and background in bins of the score, all bins fitted together, with their uncertainties.
# `pyhf` does that, from a JSON format in which ATLAS publishes its likelihoods.
# The study writes it, with a ROOT file for each sample, and quotes the limit that is expected if there is no signal.
# (The key `trained` takes over the networks of an earlier run.)
# It is a limit on the *strength*: the cross section in units of our benchmark, 0.3 pb, which is no theory's prediction and makes 167 events in the 2/fb of our pseudo-data.

# %%
FIT = """
config: {include: [folds.yaml]}
job: {name: fit, steps: [apply], trained: %s}
apply:
  luminosity_fb: 2
  label: {experiment: coursekit, energy_TeV: 13}
  histories: null
  kinematics: null
  correlations: null
  importance: null
  train_test: null
  blind: [0.5, 1.0]          # data are neither shown nor written there
  fit_inputs: {branches: [mll, mth]}
  template: {bins: 10, uncertainties: %s}
"""
FOLDED = [f"train.folds={FOLDS}", f"train.epochs={EPOCHS}"]
_ = write("fit", FIT % (folds.path, "{WW: 0.05}"))
blind = run("fit", *FOLDED)
fit = blind.results()["apply"]

# %%
from_report("fit", blind, "scores", "template")

# %%
cut = fit["significance"]["s_sqrt_b"]
s_above, b_above = cut["signal"], cut["background"]
show("expected above the best cut, signal", s_above, 0, spread=8)
show("expected above the best cut, background", b_above, 0, spread=120)
exactly = upper_limit(b_above, round(b_above)) / s_above
show("limit on the strength, counting there, all known exactly", exactly, 2, error=0.05)
_ = write("exact", FIT % (folds.path, "{}") + "  scores: null\n  performance: null\n  significance: null\n")
exact = run("exact", *FOLDED).results()["apply"]

# %%
of_simulation = b_above / np.sqrt(cut["simulated_background"] / 2)  # with their signs, two events are worth one
for name, share, found_limits in (("errors of the simulation", 0, exact), ("and 5% of WW", 0.05, fit)):
    sigma = np.sqrt(b_above + of_simulation**2 + (share * b_above) ** 2)
    template = found_limits["template"]["expected_limit"]
    show(f"counting, {name}", 1.96 * sigma / s_above, 2, error=0.08)
    show(f"template, {name}", template["0"], 2, error=0.05)
    for sign, where in (("-1", "below"), ("+1", "above")):
        show(f"   where data fluctuate by one sigma, {where}", template[sign], 1, spread=0.1)

# %% [markdown]
# A limit of {{0.7 = template, and 5% of WW}} says: if there is no $X$, we expect to exclude one with {{0.7 = template, and 5% of WW}} times the cross section of our benchmark.
# With many events $\mathrm{CL_s}$ is 5% for a signal of 1.96 standard deviations of the background, if the data are what is expected; that is the formula for counting, and each uncertainty adds to the standard deviation.
# With the same uncertainties the template excludes about a quarter less signal than the count.
# Of {{680 = 680 within 120 = expected above the best cut, background}} events 5% are 34, more than the counting error of 26.
# In its bins below 0.3 the signal is two per cent of the events, and yet they are worth a lot: they measure the background in the data.
#
# Data with scores above 0.5 are not shown.
# An analysis is *blind* until it is final, so that nobody, even unwittingly, tunes it towards a wanted result.
# `blind` is one key: no figure, table or file for a fit has what it hides, and in `predictions.h5` these scores are missing.
# When all is decided, one line goes, and `coursekit study diff` names it:

# %%
from coursekit.study.writing import differences

_ = write("later", (FIT % (folds.path, "{WW: 0.05}")).replace("  blind:", "  # blind:"))
before, after = (resolve(WORK / f"{name}.yaml", [*SHARED, *FOLDED]).values for name in ("fit", "later"))
print("\n".join(differences(before, after)))

# %% [markdown]
# ## Where you stand

# %%
progress()

# %% [markdown]
# ## What we found
#
# 1. A study is one file, read by a program that refuses what it does not understand.
#    Its run keeps the complete file, versions, data and results, so that two runs can be compared key by key.
# 2. One network serves all masses if the background has masses that tell nothing; with k folds every event has a fair score; signs of weights may be dropped in the training alone; mixtures train a network without labels where the background is the same in both.
# 3. The best of many trials is flattered by its choice, by about {{1.6 = best of 12, in units of the error}} errors for twelve equal ones.
#    A search that is killed goes on from what it has kept.
#
# **One limitation:** our signal is narrow, its strength a benchmark, and one uncertainty stands for all of an experiment's.
# A real limit has hundreds of them, which change shapes and not only the normalisation.
#
# **Next:** your own analysis.
# `examples/` has studies to begin with, `docs/studies.md` all keys.
#
# **Further reading:** parametrised networks, [arXiv:1601.07913](https://arxiv.org/abs/1601.07913);
# classification without labels, [arXiv:1708.02949](https://arxiv.org/abs/1708.02949);
# the $\mathrm{CL_s}$ method, [doi:10.1088/0954-3899/28/10/313](https://doi.org/10.1088/0954-3899/28/10/313), and its asymptotic formulae, [arXiv:1007.1727](https://arxiv.org/abs/1007.1727);
# `pyhf`, [doi:10.21105/joss.02823](https://doi.org/10.21105/joss.02823); Ray Tune, [arXiv:1807.05118](https://arxiv.org/abs/1807.05118).
