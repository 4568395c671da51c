# %% [markdown]
# # 10 · Latent spaces: what a set has learned, and jets made of noise
#
# <!-- badges -->
#
# **After this lesson you will be able to**
#
# 1. look into a trained network, at its latent vectors, their principal components, maps and filters, and tell what is there from what a picture makes you see;
# 2. turn a tagger into a regression, and give its bias and its resolution with errors;
# 3. train a network that makes jets, and say how wrong they are: with a distance, its statistical floor, and a classifier.
#
# **You need** lesson 9: Deep Sets, packed constituents, the training loop.
# The standard position of a jet is that of lesson 7.
#
# **Time:** 130 minutes; the notebook itself runs in about 75 seconds on two CPU cores.

# %% tags=["setup"]
from coursekit import check, fetch, figure, hint, or_reference, progress, setup, show

WORK = setup("10")

# %% tags=["parameters"]
quick: bool = True
seed: int = 1
train: str = "toptag_train.h5"  # or your own, larger sample; or "train.h5", "val.h5", "test.h5": the public data set
val: str = "toptag_val.h5"
test: str = "toptag_test.h5"
generate: str = "top"  # which jets the last part makes: "top" or "QCD"

# %% [markdown]
# ## The settings, all in one place
#
# Quick values make short trainings, and honest but modest results.
# The full ones, with `quick = False`, take about a quarter of an hour on two CPU cores with the shipped jets (an estimate from the quick ones); a GPU is used if there is one.
# Where the text says what they give, we have recorded it.

# %%
DIMENSIONS = (2, 8, 32, 128) if quick else (2, 4, 8, 16, 32, 64, 128)  # of the latent space
EPOCHS = 3 if quick else 20  # of each tagger
REGRESSION_EPOCHS = 4 if quick else 30
STEPS = 600 if quick else 6000  # of the generator
CRITIC_STEPS = 2 if quick else 5  # of the critic, for each step of the generator
HARDEST = 30  # constituents of a generated jet
SCATTER = {"one epoch": 0.03, "narrow": 0.01, "wide": 0.003, "generator": 0.15}  # of an AUC, between trainings
AT_MOST = {"training": (12_000, 100_000), "validation": (4_000, 20_000), "test": (4_000, 20_000)}  # quick, full

# %%
from itertools import pairwise

import awkward as ak
import numpy as np
import torch
from torch import nn

from coursekit.jets import count_jets, flow_features, load_jets, relative_features
from coursekit.jets.packed import PackedJets
from coursekit.metrics import auc, auc_difference
from coursekit.nets.deepsets import DeepSets, EnergyFlow, pool
from coursekit.observables import c3, jet_mass, multiplicity
from coursekit.training import pick_device, predict
from coursekit.training import train as train_network

DEVICE = pick_device()
jets, labels = {}, {}
for name, file in {"training": train, "validation": val, "test": test}.items():
    path = fetch(file)
    jets[name], labels[name] = load_jets(path, stop=min(AT_MOST[name][not quick], count_jets(path)))
    show(f"{name} jets", len(jets[name]))

# %%
parts = {name: PackedJets(*relative_features(jets[name]), labels[name]).to(DEVICE) for name in jets}


def fit(model, parts, epochs, seed, **options):
    """Train a model in place on the training jets; the weights of its best epoch on the validation jets remain."""
    order = torch.Generator().manual_seed(seed)
    settings = {"epochs": epochs, "batch_size": 64, "learning_rate": 2e-3, "generator": order}
    train_network(model.to(DEVICE), parts["training"], parts["validation"], **settings, **options)
    return model


# %% [markdown]
# ## The vector between the two networks
#
# A Deep Sets network is a funnel.
# Everything that $\rho$ will ever know of a jet is one vector, the sum
#
# $$ \ell = \sum_{i=1}^{n} \phi(x_i), $$
#
# with $L$ components, whatever the number of constituents.
# It is called *latent*, hidden: nobody told the network what its components should mean.
# We want to see it.
#
# ### Your turn 10.1 · 5 min · ★
#
# Write `latent_vectors(model, features, counts)`: the latent vectors of packed jets, a NumPy array $(N, L)$.
# A `DeepSets` model has the method `latent(features, counts)`.
# Some models contain dropout; and no gradients are needed.


# %% tags=["exercise", "ex-10.1"]
def latent_vectors(model, features, counts): ...


# %% tags=["check", "ex-10.1"]
check("10.1", latent_vectors)
latent_vectors = or_reference("10.1", latent_vectors)

# %% [markdown]
# ## A failure worth seeing
#
# How small may $L$ be?
# With two components we could draw every jet as a point in a plane.
# We try it, for one epoch and with three seeds.
# **Guess:** how much do the three results differ?

# %%
val_jets, known = parts["validation"], labels["validation"]
for s in (seed, seed + 1, seed + 2):
    torch.manual_seed(s)
    narrow = fit(DeepSets(7, latent=2), parts, epochs=1, seed=s)
    area = auc(known, predict(narrow, val_jets)[:, 0])
    show(f"seed {s}: AUC", area.value, 2, error=area.error)
    vectors = latent_vectors(narrow, val_jets.features, val_jets.counts)
    show(f"seed {s}: jets whose latent vector is zero [%]", 100 * np.mean((vectors == 0).all(axis=1)), 0)

# %% [markdown]
# Two trainings in three give an AUC of one half, with an error of zero: all jets have the same score.
# One is tempted to say "unlucky seeds, take the first", and hides how often it fails.
# (Of six seeds two ended like this, and a third with one component instead of two.)
# **An AUC of 0.5 should be looked into, not thrown away.**
# Here every jet has the same latent vector: zero.
#
# In `DeepSets` the last layer of $\phi$ ends with a ReLU, $\max(0, \cdot)$, so that all components are at least zero.
# A sum over 50 constituents is large, the first steps of the training are large, too, and one of them can push a component below zero *for every constituent*.
# There the ReLU is flat.
# Its gradient is zero, and no later step can bring the component back: it is *dead*.
# With $L = 64$ some components die and nobody notices.
# With two, nothing is left.
#
# The repair: a latent space needs no sign.
# We leave out the last ReLU of $\phi$; the next one comes behind the sum, in $\rho$.


# %%
def build(latent, seed, n_outputs=1):
    """An untrained Deep Sets network whose latent components may have any sign."""
    torch.manual_seed(seed)
    network = DeepSets(7, latent=latent, n_outputs=n_outputs)
    network.phi = network.phi[:-1]  # without the last ReLU
    return network


for s in (seed + 1, seed + 2):
    narrow = fit(build(2, s), parts, epochs=1, seed=s)
    area = auc(known, predict(narrow, val_jets)[:, 0])
    show(f"seed {s}, without the ReLU: AUC", area.value, 2, error=np.hypot(area.error, SCATTER["one epoch"]))

# %% [markdown]
# ## How many numbers does a jet need?
#
# Now with more epochs, and with up to 128 components.
# Everything else is the same.
# **Guess:** how much is lost with two?

# %%
network = {latent: fit(build(latent, seed), parts, EPOCHS, seed) for latent in DIMENSIONS}
score = {latent: predict(model, val_jets)[:, 0] for latent, model in network.items()}
widest, area, error = score[DIMENSIONS[-1]], {}, {}
for latent, s in score.items():
    area[latent], lost = auc(known, s), auc_difference(known, widest, s)
    again = SCATTER["narrow" if latent == 2 else "wide"]
    error[latent] = np.hypot(area[latent].error, again)
    show(f"L = {latent}: AUC", area[latent].value, 3, error=error[latent])
    if latent != DIMENSIONS[-1]:
        show(f"L = {latent}: AUC lost, on the same jets", lost.value, 3, error=np.hypot(lost.error, again))

# %%
with figure(
    "auc-of-dimension",
    size=(6.5, 3.8),
) as ax:
    values = [a.value for a in area.values()]
    ax.errorbar(DIMENSIONS, values, list(error.values()), marker="o", linestyle="", capsize=3)
    ax.set_xscale("log", base=2)
    ax.set_xticks(DIMENSIONS, [str(latent) for latent in DIMENSIONS])
    ax.set(xlabel="dimension L of the latent space", ylabel="AUC", ylim=(0.92, 0.97))
    ax.set_title(f"{len(known)} validation jets, {EPOCHS} epochs, one training each", fontsize=11)

# %% [markdown]
# Next to nothing is lost: {{L = 2: AUC lost, on the same jets}}.
# As far as these short trainings can tell, **two numbers do what 128 do**: for a decision between two classes, one number is enough in the end, and $\phi$ and $\rho$ are free to share the work differently.
# The errors contain the scatter of trainings, since we repeated some: for $L = 128$ a second seed gave 0.002 more; for $L = 2$ four other seeds gave 0.924 to 0.946.
# A narrow funnel need not be much worse, but it is less reliable.
# (And {{0.947 = 0.947 within 0.008 = L = 2: AUC}} is not what these jets allow, see lesson 9; three epochs are few.)
#
# With `quick = False` the trainings have 20 epochs.
# We have recorded them with three seeds each, on the shipped jets and on 36 600 jets of `coursekit simulate toptag --jets 61000 --seed 2`, in 25 to 75 seconds a training (six at a time on an H200 GPU for the first row, one CPU core each for the second); the standard deviation between seeds is 0.001 or less everywhere:
#
# | AUC, validation jets | L = 2 | 4 | 8 | 16 | 32 | 64 | 128 |
# |---|---|---|---|---|---|---|---|
# | 12 000 training jets | 0.954 | 0.957 | 0.957 | 0.957 | 0.957 | 0.956 | 0.956 |
# | 36 600 training jets | 0.962 | | 0.966 | | 0.966 | | 0.966 |
#
# So the short trainings could not tell everything: with more epochs and more jets two numbers lose 0.002 and 0.004, with every seed, while four or eight lose nothing.
#
# So we can look at all that the network knows of a jet in two pictures: first its two numbers one at a time, then both together.
# **Guess:** does one of them alone tell tops from QCD jets?

# %%
LIMIT = 2000  # validation jets in the pictures
plane = latent_vectors(network[2], *val_jets[:LIMIT].batch(torch.arange(LIMIT))[:2])
is_top = known[:LIMIT] == 1
low, high = np.quantile(plane, [0.005, 0.995], axis=0)
show(
    "jets with a latent number outside of 0 to 1 [%]",
    100 * np.mean(((plane < 0) | (plane > 1)).any(axis=1)),
    0,
    spread=3,
)

with figure("latent-numbers", columns=2, size=(11, 3.8)) as axes:
    for k, ax in enumerate(axes):
        for chosen, name, line in [(is_top, "top", "-"), (~is_top, "QCD", "--")]:
            bins = np.linspace(plane[:, k].min(), plane[:, k].max(), 41)  # all of them, whatever they are
            label = f"{name} ({chosen.sum()} jets)"
            ax.hist(plane[chosen, k], bins, histtype="step", linestyle=line, linewidth=1.8, label=label)
        ax.set(xlabel=f"latent component {k + 1}", ylabel="validation jets")
    axes[0].legend(fontsize=9)

# %% [markdown]
# Here one component alone nearly does it, and the other adds what is missing; with another seed the two share the work in another way.
# A latent number has no unit and no limits: its range is what the training has made of it.
# The tutorial that this lesson follows draws such histograms between 0 and 1, as one draws probabilities, and whatever lies outside is lost without a word; with our network that would be {{nearly all = > 90 = jets with a latent number outside of 0 to 1 [%]}} jets.
# Before you choose the range of a histogram, ask for minimum and maximum.

# %%
one, two = np.meshgrid(np.linspace(low[0], high[0], 100), np.linspace(low[1], high[1], 100))
grid = torch.tensor(np.stack([one.ravel(), two.ravel()], axis=1), dtype=torch.float32, device=DEVICE)
with torch.no_grad():
    probability = torch.sigmoid(network[2].rho(grid))[:, 0].cpu().numpy().reshape(one.shape)

with figure(
    "latent-plane",
    size=(7, 4.8),
) as ax:
    filled = ax.contourf(one, two, probability, np.linspace(0, 1, 11), cmap="Greys", vmax=2.5)
    ax.contour(one, two, probability, [0.5], colors="black", linewidths=2)
    for chosen, name, marker, colour in [(is_top, "top", "o", "C0"), (~is_top, "QCD", "x", "C1")]:
        ax.scatter(*plane[chosen][:400].T, s=14, marker=marker, color=colour, label=name, linewidths=0.8)
    ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), xlabel="latent component 1", ylabel="latent component 2")
    ax.legend(fontsize=9, frameon=True, title="400 jets each")
    ax.figure.colorbar(filled, ax=ax, label="probability of a top, ρ of the point")

# %% [markdown]
# $\phi$ has moved tops and QCD jets to different places, and $\rho$ draws the line between them.
# The two clouds touch without a gap: some QCD jets look like tops, and no line separates them.
# What the line does where there are no jets is invented: there nothing was learned.
#
# ## More than two: principal components
#
# With 32 components we need a projection.
# *Principal component analysis*, PCA, turns the axes so that the first one points along the largest spread of the cloud, the second along the largest that is left, and so on.
#
# ### Your turn 10.2 · 10 min · ★★
#
# Write `principal_components(train, other, k)`: find the axes with the latent vectors `train` $(N, L)$; return the first `k` coordinates of the vectors `other` $(M, L)$ along them, shape $(M, k)$, and the share of the total variance of `train` along each of the `k` axes, shape $(k,)$.
# The sign of an axis is free.
# `np.linalg.svd` does the work.


# %% tags=["exercise", "ex-10.2"]
def principal_components(train, other, k): ...


# %% tags=["check", "ex-10.2"]
check("10.2", principal_components)
principal_components = or_reference("10.2", principal_components)

# %% [markdown]
# PCA is linear and can only turn the cloud.
# *t-SNE* may bend it: it lays points out in a plane so that near neighbours stay near.
# We draw 1000 validation jets with both, three times each, coloured by class, mass and multiplicity.
# **Guess:** which of the three belongs to the direction of the largest spread?

# %%
from sklearn.manifold import TSNE

SEEN = 1000
latent = latent_vectors(network[32], *parts["training"].batch(torch.arange(4000))[:2])
shown = latent_vectors(network[32], *val_jets.batch(torch.arange(SEEN))[:2])
coordinates, shares = principal_components(latent, shown, 2)
show("variance along the first axis [%]", 100 * shares[0], 0, spread=12)
show("variance along the first two axes [%]", 100 * shares.sum(), 0, spread=5)


def tsne(vectors, perplexity):
    """A map of vectors in the plane; the perplexity is about the number of neighbours that each point cares for."""
    return TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(vectors)


maps = {"PCA": coordinates, "t-SNE": tsne(shown, 30)}
colours = {
    "mass [GeV]": np.clip(jet_mass(jets["validation"][:SEEN]), 0, 250),
    "number of constituents": multiplicity(jets["validation"][:SEEN]),
}
for what, value in colours.items():
    related = np.corrcoef(coordinates[:, 0], value)[0, 1]
    show(f"|correlation| of the first component with the {what.split(' [')[0]}", abs(related), 2, spread=0.1)

# %%
with figure(
    "maps-pca-tsne",
    rows=2,
    columns=3,
    size=(11, 6.6),
) as axes:
    top = known[:SEEN] == 1
    for row, (method, points) in zip(axes, maps.items(), strict=True):
        for chosen, name, marker, colour in [(top, "top", "o", "C0"), (~top, "QCD", "x", "C1")]:
            row[0].scatter(*points[chosen].T, s=8, marker=marker, color=colour, label=name, linewidths=0.7)
        row[0].set_title(f"{method}: class", fontsize=11)
        for ax, (what, value) in zip(row[1:], colours.items(), strict=True):
            dots = ax.scatter(*points.T, s=8, c=value, cmap="cividis")
            ax.set_title(f"{method}: {what}", fontsize=11)
            ax.figure.colorbar(dots, ax=ax)
        for ax in row:
            ax.set_xlabel("first coordinate", fontsize=9)
            ax.set_ylabel("second coordinate", fontsize=9)
            ax.tick_params(labelsize=8)
    axes[0][0].legend(fontsize=9, frameon=True)

# %% [markdown]
# The first axis alone holds {{more than half = > 50 = variance along the first axis [%]}} of the variance.
# It follows the mass closely, and the number of constituents nearly as well; nobody told the network about either: to find tops it had to find out.
# Do not conclude that the largest spread is always the important direction.
# PCA knows nothing of the labels.
# That it finds them here is the work of the training, which has stretched the space along what separates the classes.
#
# ### Islands that are not there
#
# A map by t-SNE is beautiful, and invites stories: two islands are two kinds of jets, a wide gap is a big difference.
# Before we tell any, we ask what the method draws if there is nothing to see.
# We make vectors with the same mean and covariance as the latent ones, but otherwise pure noise: one Gaussian cloud without any structure.
# And we let t-SNE care for only five neighbours.
# **Guess:** which of the two maps is the noise?

# %%
rng = np.random.default_rng(seed)
noise = rng.multivariate_normal(shown.mean(axis=0), np.cov(shown.T), SEEN // 2)
with figure(
    "maps-jets-noise",
    columns=2,
    size=(10, 4.4),
) as axes:
    for ax, vectors, name in zip(axes, (shown[: SEEN // 2], noise), ("latent vectors", "Gaussian noise"), strict=True):
        ax.scatter(*tsne(vectors, 5).T, s=8, color="black")
        ax.set_title(f"t-SNE, perplexity 5: {name}", fontsize=11)
        ax.set_xlabel("first coordinate")
        ax.set_ylabel("second coordinate")

# %% [markdown]
# Both break into clumps.
# The clumps of the noise are made by the method, and so nothing can be read from those of the jets.
# t-SNE keeps *neighbours*; distances, sizes and gaps of its clumps mean nothing, its axes have no unit, and a second map of other jets has other coordinates (two separate maps, of training and test jets say, cannot be laid on top of each other).
# Whatever you want to know, ask it **in the latent space itself**, and compare it with the answer for noise.
#
# ### Your turn 10.3 · 8 min · ★★
#
# Write `neighbour_purity(vectors, labels, k)`: for each vector look for its `k` nearest other vectors (Euclidean distance), and return the share of them, over all vectors, that have the same label (there may be more than two).
# scikit-learn has `NearestNeighbors`.

# %%
from sklearn.neighbors import NearestNeighbors


# %% tags=["exercise", "ex-10.3"]
def neighbour_purity(vectors, labels, k): ...


# %% tags=["check", "ex-10.3"]
check("10.3", neighbour_purity)
neighbour_purity = or_reference("10.3", neighbour_purity)

# %%
of_shown = known[:SEEN]
chance = np.mean([neighbour_purity(shown, rng.permutation(of_shown), 10) for _ in range(20)])
show("ten nearest neighbours of the same class, latent space", neighbour_purity(shown, of_shown, 10), 2, spread=0.02)
show("the same, labels shuffled", chance, 1)
lost = neighbour_purity(shown, of_shown, 10) - neighbour_purity(maps["t-SNE"], of_shown, 10)
show("of these lost in the map by t-SNE", lost, 2, spread=0.02)

# %% [markdown]
# {{More than eight = > 0.8 = ten nearest neighbours of the same class, latent space}} neighbours in ten are of the same class, where chance gives one in two.
# *This* is a statement about the network.
# And here the map is honest: it is made to keep neighbours, and does.
#
# ## What a filter sees
#
# The Energy Flow Network of lesson 9 sums $\sum_i z_i \phi_k(\Delta\eta_i, \Delta\phi_i)$, with the share $z_i$ of the $p_T$.
# Each $\phi_k$ is a function of a place in the plane alone, so that we can draw it: a *filter*, a picture that the jet is laid upon.
# **Guess:** what will the filters look like: a lattice of spots, stripes, or rings?

# %%
flow = {name: PackedJets(*flow_features(jets[name]), labels[name]).to(DEVICE) for name in ("training", "validation")}
torch.manual_seed(seed)
efn = fit(EnergyFlow(3, latent=16), flow, EPOCHS, seed)
area = auc(known, predict(efn, flow["validation"])[:, 0])
show("AUC of the Energy Flow Network", area.value, 3, error=np.hypot(area.error, SCATTER["wide"]))

side = np.linspace(-0.8, 0.8, 81)
directions = np.stack([x.ravel() for x in np.meshgrid(side, side)], axis=1)
with torch.no_grad():
    filters = efn.filters(torch.tensor(directions, dtype=torch.float32, device=DEVICE)).cpu().numpy()
inside = np.hypot(*directions.T) < 0.8
used = np.argsort(-filters[inside].std(axis=0))[:8]  # some are dead, here too

# %%
with figure(
    "filters",
    rows=2,
    columns=4,
    size=(11, 5.6),
    sharex=True,
    sharey=True,
) as axes:
    for ax, k in zip(axes.ravel(), used, strict=True):
        picture = filters[:, k].reshape(81, 81)
        picture = np.where(inside.reshape(81, 81), picture, np.nan)
        ax.contourf(side, side, picture / np.nanmax(picture), np.linspace(0, 1, 9), cmap="Greys")
        ax.contour(side, side, picture / np.nanmax(picture), [0.5], colors="C1", linewidths=1.5)
        ax.set_aspect("equal")
        ax.set_title(f"filter {k}", fontsize=10)
    for ax in axes[-1]:
        ax.set_xlabel("Δη")
    for ax in axes[:, 0]:
        ax.set_ylabel("Δφ [rad]")

# %% [markdown]
# The coloured line is half of the largest value.
# The filters are bowls and hills: a sum with a bowl, $\sum z_i\, r_i^2$ or the like, is the *width* of the jet, and for massless constituents $m^2 \approx p_T^2 \sum z_i r_i^2$.
# After so short a training the network knows little more than how wide and how heavy a jet is, and reaches an AUC of {{0.930 = 0.93 within 0.01 = AUC of the Energy Flow Network}} with that.
# Longer trainings, with more filters, find smaller spots ([arXiv:1810.05165](https://arxiv.org/abs/1810.05165)).
# A single filter means little: turn the latent space, undo it in $\rho$, and the same network has other filters.
# What is fixed is what they tell *together*.
#
# ## A good place for a break
#
# So far we have looked into a trained network and asked what is really there.
# What comes are two other uses of the same sum: numbers instead of a class, and jets instead of numbers.
#
# ## The same network, another question: regression
#
# Instead of a class the network can give numbers: how heavy is this jet, and what is its $C_3$?
# ($C_3$ is the energy correlation of lesson 8 that asks whether there are more than three prongs.)
# Both are known functions of the constituents, which makes them a good examination: we know the true answer of every jet.
# The architecture stays, with two outputs; the loss becomes the mean squared error,
#
# $$ L = \big\langle (\hat y_m - y_m)^2 + (\hat y_{C_3} - y_{C_3})^2 \big\rangle / 2. $$
#
# A mass in GeV has a spread of 57, $C_3$ one of 0.06.
# The squares differ by a factor of a million.
# **Guess:** what does the network learn, if we give it these targets as they are?
#
# ### Your turn 10.4 · 8 min · ★★
#
# Write `make_scale(train)`: from training targets $(N, K)$ make and return two functions.
# `forward(targets)` brings targets of *any* jets to order one: minus the mean, divided by the standard deviation (with $N$ or $N - 1$, either is fine), of each column of the training targets.
# `back(outputs)` undoes it.


# %% tags=["exercise", "ex-10.4"]
def make_scale(train): ...


# %% tags=["check", "ex-10.4"]
check("10.4", make_scale)
make_scale = or_reference("10.4", make_scale)

# %%
TARGETS = {"mass": "GeV", "C3": ""}
true, kept = {}, {}
for name, sample in jets.items():
    values = np.stack([jet_mass(sample), c3(sample)], axis=1)
    kept[name] = torch.from_numpy(np.isfinite(values).all(axis=1))  # C3 needs three constituents
    true[name] = values[kept[name].numpy()]
forward, back = make_scale(true["training"])


def regression(targets):
    """Train on targets, and return the outputs for the test jets, (N, 2)."""
    inputs = {name: parts[name][kept[name].to(DEVICE)] for name in parts}
    learn = {name: PackedJets(x.features, x.counts, targets[name]).to(DEVICE) for name, x in inputs.items()}
    model = fit(build(64, seed, n_outputs=2), learn, REGRESSION_EPOCHS, seed, loss=nn.functional.mse_loss)
    return predict(model, learn["test"])


predicted = back(regression({name: forward(values) for name, values in true.items()}))
unscaled = regression(true)

# %% [markdown]
# The training kept the weights of the epoch that was best *on the validation jets*.
# These have steered it, however little, and so we judge on the test jets, which had no say.

# %%
for column, what in enumerate(TARGETS):
    spread = true["test"][:, column].std()
    for name, outputs in {"scaled targets": predicted, "targets as they are": unscaled}.items():
        left = np.std(outputs[:, column] - true["test"][:, column]) / spread
        digits, again = (1, 2) if left > 1 else (2, 0.03)  # what is not learned is left to chance
        show(f"{what}, {name}: spread of prediction minus truth / spread of {what}", left, digits, spread=again)

# %% [markdown]
# A constant answer would have errors as large as the spread of the truth.
# With scaled targets both quantities are learned, the mass to {{a fifth = 0.2 within 0.06 = mass, scaled targets: spread of prediction minus truth / spread of mass}} of its spread, $C_3$ to {{a half = 0.5 within 0.06 = C3, scaled targets: spread of prediction minus truth / spread of C3}}.
# With targets as they are the mass is learned, and the answer for $C_3$ is *worse than a constant*: it may be wrong by more than $C_3$ itself, and the loss, of which the mass contributes a hundred GeV² or so, does not notice.
# **In a sum of losses the units decide what is learned.**
# (Do more epochs help?
# With `quick = False`, 30 of them, and three seeds, scaled targets bring the mass to $0.055 \pm 0.001$ of its spread and $C_3$ to $0.37 \pm 0.02$.
# With targets as they are the mass becomes even better, $0.032 \pm 0.002$, since the network works for it alone, and $C_3$ reaches $1.05 \pm 0.12$, as good as a constant.
# One training took 40 seconds on a GPU that six shared.)
#
# ### Your turn 10.5 · 10 min · ★★
#
# Write `bias_and_resolution(true, predicted, edges)`.
# `edges` $(K+1,)$ are the edges of bins; `pairwise(edges)` gives them in pairs.
# In each bin of the *true* value, `low <= true < high`, the *bias* is the mean of `predicted - true`, and the *resolution* its standard deviation.
# Return three arrays $(K,)$: bias, statistical error of the bias, resolution.
# (For an empty bin they may hold NaN; ours are not empty.)


# %% tags=["exercise", "ex-10.5"]
def bias_and_resolution(true, predicted, edges): ...


# %% tags=["check", "ex-10.5"]
check("10.5", bias_and_resolution)
bias_and_resolution = or_reference("10.5", bias_and_resolution)

# %% [markdown]
# We draw the bias twice: in bins of the true value, and in bins of the predicted one.
# **Guess:** which of the two will be zero everywhere?

# %%
with figure(
    "bias-resolution",
    rows=2,
    columns=2,
    size=(11, 6.4),
    sharex="col",
) as axes:
    for column, (what, unit) in enumerate(TARGETS.items()):
        t, p = true["test"][:, column], predicted[:, column]
        label = f"{what} [{unit}]" if unit else what
        for by, sign, name, style in [(t, 1, "bins of the true value", "o-"), (p, -1, "bins of the prediction", "s--")]:
            edges = np.quantile(by, np.linspace(0.01, 0.99, 9))
            bias, error, resolution = bias_and_resolution(by, p if sign == 1 else t, edges)
            middle = [by[(by >= a) & (by < b)].mean() for a, b in pairwise(edges)]
            axes[0][column].errorbar(middle, sign * bias, error, fmt=style, markersize=5, capsize=3, label=name)
            if sign == 1:
                axes[1][column].plot(middle, resolution, style, markersize=5)
                axes[1][column].set_ylim(0, 1.2 * resolution.max())
        axes[0][column].axhline(0, color="black", linewidth=1, linestyle=":")
        axes[0][column].set_ylabel(f"bias of {label}")
        axes[1][column].set(xlabel=f"{label}, mean of the bin", ylabel=f"resolution of {label}")
    axes[0][0].legend(fontsize=9, title=f"{len(t)} test jets")

# %% [markdown]
# Look at $C_3$.
# In bins of the true value the answers are drawn to the middle: small values come out too large by 0.02, and large ones too small by as much, which is nearly the resolution.
# Is the network broken?
# No: the squared error is smallest for the *mean of all true values* that the network's knowledge leaves possible.
# A network that is not sure hedges, and an answer far out is pulled back.
# In bins of the prediction, jets with the same answer are right on the average.
# For the mass, which is known better, the pull is weaker: the heaviest jets come out too light by 7 GeV or so, and elsewhere both curves stay within 5 GeV, which more training would reduce.
# Both curves are correct, and they answer different questions.
# Whoever "corrects" the first one with a straight line makes the second one wrong, and the resolution worse.
# **Say in bins of what.**
#
# ## Jets made of noise
#
# Now the other direction: not from a jet to a number, but from random numbers to a jet.
# A *generative adversarial network*, GAN, is a game of two:
#
# - the **generator** makes jets of noise: some random numbers for the jet, some for each of its constituents, through networks that treat the constituents as a set;
# - the **critic**, Deep Sets once more, gives each jet a number, and learns to give true jets larger ones than generated jets.
#
# The generator learns from the critic alone which way its jets should change.
# We make the hardest 30 constituents of each jet, massless, in the standard position of lesson 7: centred, principal axis upright, brightest quadrant at the upper right.
# That costs nothing, since a turned jet is as likely, and saves the generator from learning it.
# How many constituents a jet has is *drawn from the true jets*, and the $p_T$ of all jets is scaled to 600 GeV.
# What we give to the generator as a present, we may not count as its success later.
#
# A constituent is a *point*: $(\ln z, \Delta\eta, \Delta\phi)$, with angles in units of 0.2.

# %%
from coursekit.jets import centred, flipped, pack, rotated, unpack
from coursekit.nets import gan

LABEL = {"top": 1, "QCD": 0}[generate]


# %%
def jet_points(sample):
    """The hardest constituents of jets in standard position, as points."""
    packed, counts = pack(sample[:, :HARDEST], ("pt", "eta", "phi"))
    pt, eta, phi = packed.astype(float).T
    eta, phi = centred(eta, phi, pt, counts)
    eta, phi = flipped(*rotated(eta, phi, pt, counts), pt, counts)
    z = pt / np.repeat(np.add.reduceat(pt, np.cumsum(counts) - counts), counts)
    return gan.to_points(z, eta, phi), torch.from_numpy(counts)


def jets_of(points, counts):
    """Jagged massless jets of 600 GeV from points."""
    z, eta, phi = (column.numpy() for column in gan.from_points(points))
    momenta = 600 * z[:, None] * np.stack([np.cos(phi), np.sin(phi), np.sinh(eta), np.cosh(eta)], axis=1)
    return unpack(momenta, counts.cpu().numpy())


# %%
def observe(points, counts):
    """What we judge jets by."""
    sample = jets_of(points, counts)
    return {
        "mass [GeV]": jet_mass(sample),
        "constituents": multiplicity(sample).astype(float),
        "leading pT [GeV]": ak.to_numpy(ak.max(sample.pt, axis=1)),
        "C3": c3(sample),
    }


real = {}
for name, sample in jets.items():
    points, counts = jet_points(sample[labels[name] == LABEL])
    real[name] = PackedJets(points, counts, np.ones(len(counts))).to(DEVICE)
show(f"{generate} jets to learn from", len(real["training"]))
share = ak.sum(jets["training"].pt[:, :HARDEST]) / ak.sum(jets["training"].pt)
show(f"share of the pT in the hardest {HARDEST} [%]", 100 * float(share), 0)
full = (real["training"].counts == HARDEST).float().mean().item()
show(f"jets with {HARDEST} constituents or more [%]", 100 * full, 0)

# %% [markdown]
# ### How far apart, and how far is nothing?
#
# To judge, we need a distance between two samples of, say, masses.
# The *Wasserstein distance* is the least mean way that the values of one sample must be moved to become the other; for masses it comes in GeV.
# Two bunches of true jets have a distance, too, because they are finite.
# This *floor* is what a perfect generator would reach.
# **A distance without its floor says nothing.**
#
# ### Your turn 10.6 · 8 min · ★★
#
# Write `floor(values, n, n_pairs, rng)`: draw two samples of `n` values each at random, such that no value is used twice (`values` has at least `2 * n`), and compute their Wasserstein distance; return the mean of this over `n_pairs` such pairs.

# %%
from scipy.stats import wasserstein_distance


# %% tags=["exercise", "ex-10.6"]
def floor(values, n, n_pairs, rng): ...


# %% tags=["check", "ex-10.6"]
check("10.6", floor)
floor = or_reference("10.6", floor)

# %%
true_jets = {name: observe(real[name].features, real[name].counts) for name in ("validation", "test")}
n_judged = min(len(real["validation"]), len(real["test"]))
floors = {}
for what in true_jets["test"]:
    together = np.concatenate([true_jets["validation"][what], true_jets["test"][what]])
    floors[what] = floor(together, n_judged, 20, np.random.default_rng(seed))
show("jets in each sample", n_judged)
show("floor of the mass", floors["mass [GeV]"], 1, unit="GeV")
show("floor of the leading pT", floors["leading pT [GeV]"], 0, unit="GeV")
rng = np.random.default_rng(seed)
for what in ("mass [GeV]", "constituents"):
    together = np.concatenate([true_jets["validation"][what], true_jets["test"][what]])
    pairs = np.array([floor(together, n_judged, 1, rng) for _ in range(100)]) / floors[what]
    show(
        f"{what.split(' [')[0]}: nine single pairs in ten lie below, in floors", np.quantile(pairs, 0.9), 1, spread=0.5
    )

# %% [markdown]
# The floor is a mean, and single pairs scatter round it: one in ten lies beyond {{1.4 = 1.4 within 0.3 = mass: nine single pairs in ten lie below, in floors}} floors in the mass, and beyond {{2.2 = 2.2 within 0.4 = constituents: nine single pairs in ten lie below, in floors}} in the number of constituents.
# A perfect generator would not do better.

# %% [markdown]
# ### The two losses
#
# With $f$ the critic, $x$ true and $\tilde x$ generated jets, the critic makes $\langle f(\tilde x) \rangle - \langle f(x) \rangle$ as small as it can, the generator $-\langle f(\tilde x) \rangle$.
# Without a bound the critic would win by multiplying all its numbers by a thousand.
# So it must not rise faster than with slope one: then the largest possible gap $\langle f(x) \rangle - \langle f(\tilde x) \rangle$ *is* the Wasserstein distance, here not of masses but of whole jets.
# A *penalty* on slopes that are not one sees to it, one number for a batch, which the next exercise computes; it enters the critic's loss with the factor 10.
#
# ### Your turn 10.7 · 5 min · ★
#
# Write `critic_loss(on_true, on_made, penalty)` and `generator_loss(on_made)`, from the critic's numbers for true and for generated jets, tensors $(N,)$, and the penalty, one number still without the factor.
# Each returns one number with means over jets, a tensor that can be differentiated; training makes it small.


# %% tags=["exercise", "ex-10.7"]
def critic_loss(on_true, on_made, penalty): ...


def generator_loss(on_made): ...


# %% tags=["check", "ex-10.7"]
check("10.7", critic_loss, generator_loss)
critic_loss, generator_loss = or_reference("10.7", critic_loss, generator_loss)

# %% [markdown]
# ### The gradient penalty
#
# We cannot test the slope everywhere.
# It matters on the way from generated to true jets, so we take points there: $\hat x = \epsilon x + (1 - \epsilon) \tilde x$, with a random $\epsilon$ between 0 and 1 for each jet, and a true and a generated jet of the same number of constituents.
# The slope of a jet is the norm of the gradient over *all* its points and columns, and the penalty
#
# $$ \big\langle (\lVert \nabla f(\hat x) \rVert - 1)^2 \big\rangle. $$
#
# ### Your turn 10.8 · 15 min · ★★★
#
# Write `gradient_penalty(critic, real, fake, counts, mix)` for packed points $(T, 3)$ and one $\epsilon$ per jet, `mix` $(N,)$.
# `critic(points, counts)` returns $(N,)$.
# `torch.autograd.grad` computes the gradient; it must itself be differentiable, because the critic learns from it.
# `pool(values, counts)` sums the rows $(T, K)$ of each jet.


# %% tags=["exercise", "ex-10.8"]
def gradient_penalty(critic, real, fake, counts, mix): ...


# %% tags=["check", "ex-10.8"]
check("10.8", gradient_penalty)
gradient_penalty = or_reference("10.8", gradient_penalty)

# %% [markdown]
# ### The game
#
# The loop, with your three functions.
# The critic moves first, and more often: the generator's next step is only as good as the critic's opinion.
# While the critic learns, the generator's jets are fixed (`no_grad`); while the generator learns, only its own parameters are stepped.
# Both learning rates fall to zero along a line, to let the game come to rest.


# %%
def play(generator, critic, jets, steps, seed, watch):
    """Train both in place; watch(step) is called from time to time."""
    rng = torch.Generator().manual_seed(seed)
    optimiser = {model: torch.optim.Adam(model.parameters(), 2e-3, betas=(0.0, 0.9)) for model in (generator, critic)}
    falling = [torch.optim.lr_scheduler.LinearLR(o, 1.0, 0.02, steps) for o in optimiser.values()]

    def step(model, loss):
        optimiser[model].zero_grad()
        loss.backward()
        optimiser[model].step()

    for number in range(steps):
        if number % (steps // 4) == 0:
            watch(number)
        for _ in range(CRITIC_STEPS):
            real, counts, _ = jets.batch(torch.randint(len(jets), (64,), generator=rng))
            with torch.no_grad():
                fake = generator.sample(counts, rng)
            penalty = gradient_penalty(critic, real, fake, counts, torch.rand(len(counts), generator=rng).to(DEVICE))
            step(critic, critic_loss(critic(real, counts), critic(fake, counts), penalty))
        counts = jets.batch(torch.randint(len(jets), (64,), generator=rng))[1]
        step(generator, generator_loss(critic(generator.sample(counts, rng), counts)))
        for rate in falling:
            rate.step()
    watch(steps)


# %% [markdown]
# From time to time we make as many jets as there are true test jets, with the numbers of constituents of those, and note the distances, in units of the floor.

# %%
torch.manual_seed(seed)
generator, critic = gan.Generator().to(DEVICE), gan.Critic().to(DEVICE)


def make(counts, seed):
    """Points of as many jets as there are counts."""
    with torch.no_grad():
        return generator.sample(counts, torch.Generator().manual_seed(seed))


made, distances = {}, {}


def watch(step):
    counts = real["test"].counts[:n_judged]
    made[step] = observe(make(counts, seed + 100), counts)
    distances[step] = {
        what: wasserstein_distance(values, true_jets["validation"][what]) / floors[what]
        for what, values in made[step].items()
    }


play(generator, critic, real["training"], STEPS, seed, watch)

# %% [markdown]
# The losses themselves are no measure of progress: they tell who is ahead in the game, and a generator looks good to a critic that has not yet found its faults.
# We look at the jets.
# **Guess:** which of the four observables reaches the floor, and which does not come near?

# %%
with figure(
    "gan-distances",
    size=(7, 4.4),
) as ax:
    for what, marker in zip(floors, "osD^", strict=True):
        ax.plot(list(distances), [row[what] for row in distances.values()], marker=marker, label=what.split(" [")[0])
    ax.axhline(1, color="black", linestyle=":", label="floor: two true samples")
    ax.set(yscale="log", xlabel="step of the generator", ylabel="distance / floor", ylim=(0.5, 300))
    ax.legend(fontsize=9, ncols=2, title=f"{n_judged} generated, {len(real['validation'])} true {generate} jets")

# %%
# What another training of the generator may change: the distance in floors, and the AUC of this observable alone.
AGAIN = {"mass [GeV]": (10, 0.1), "constituents": (1, 0), "leading pT [GeV]": (4, 0.03), "C3": (20, 0.15)}
for what in floors:
    show(f"{what.split(' [')[0]}: floors before the training", distances[0][what], 0)
    late = np.mean([row[what] for step, row in distances.items() if step >= STEPS / 2])
    show(f"{what.split(' [')[0]}: floors in its second half, mean", late, 0, spread=AGAIN[what][0])

# %% [markdown]
# The number of constituents lies within the scatter of the floor, and that is *no* success: we copied it from true jets.
# It is the same at each look, since the same jets lend their numbers, and it is a poor test besides: {{99% = jets with 30 constituents or more [%]}} of the jets have all 30.
# A game does not come to rest as a fit does: the other distances rise and fall from look to look, and another training, or the same one on another processor, gives others; so we print the mean of the last three looks, and even that is known only roughly.
# The leading $p_T$ has come near.
# The mass was not bad even before the first step, by luck: the generator begins with a cloud of constituents that happens to be as wide as a top jet.
# The game has not made it better.
# $C_3$ has not been learned.
# We look at the histograms, and at single jets.

# %%
with figure(
    "gan-histograms",
    columns=3,
    size=(11, 3.8),
) as axes:
    ranges = {"mass [GeV]": (60, 280), "leading pT [GeV]": (0, 350), "C3": (0, 0.5)}
    for ax, (what, limits) in zip(axes, ranges.items(), strict=True):
        bins = np.linspace(*limits, 41)
        for values, name, style in [
            (true_jets["validation"][what], "true", {"color": "black", "linestyle": "-"}),
            (made[STEPS][what], "generated", {"color": "C1", "linestyle": "--"}),
            (made[0][what], "untrained", {"color": "C0", "linestyle": ":"}),
        ]:
            ax.hist(values, bins, density=True, histtype="step", linewidth=1.8, label=name, **style)
        ax.set(xlabel=what, ylabel="share of jets / " + ("GeV" if "GeV" in what else "unit of C3"))
    axes[0].legend(fontsize=9)

# %%
with figure(
    "gan-jets",
    rows=2,
    columns=4,
    size=(11, 5.2),
    sharex=True,
    sharey=True,
) as axes:
    counts = real["test"].counts[:4]
    fake = make(counts, seed + 101)
    genuine = real["test"].batch(torch.arange(4))[0]
    for row, points, name in zip(axes, (genuine, fake), ("true", "generated"), strict=True):
        for ax, jet in zip(row, points.split(counts.tolist()), strict=True):
            z, eta, phi = gan.from_points(jet)
            ax.scatter(eta, phi, s=800 * z, alpha=0.6, color="C0" if name == "true" else "C1", edgecolor="black")
            ax.set(xlim=(-0.8, 0.8), ylim=(-0.8, 0.8), box_aspect=1)
            ax.set_title(name, fontsize=10)
    for ax in axes[-1]:
        ax.set_xlabel("Δη")
    for ax in axes[:, 0]:
        ax.set_ylabel("Δφ [rad]")

# %% [markdown]
# This is where it fails: **the generator makes a cloud of the right width, not three prongs.**
# Mass and leading $p_T$ do not notice, because a cloud can have both.
# $C_3$ does: it asks whether groups of four constituents lie closer together than the groups of three and of two would have it.
# Judged by the mass alone, as is often done, this generator would look good.
#
# ### Ask a classifier
#
# Which observable should one look at?
# All of them, and their correlations: train a classifier between true and generated jets.
# An AUC of 0.5 would be perfect.
#
# ### Your turn 10.9 · 8 min · ★★
#
# Write `classifier_test(true, made, rng)` for two arrays of observables, $(N, F)$ and $(M, F)$: shuffle all jets, fit boosted trees on one half with labels 1 for true and 0 for generated, and return what `auc` says of the *other* half.
# Use `HistGradientBoostingClassifier(max_iter=50, max_leaf_nodes=8, early_stopping=False, random_state=1)`.

# %%
from sklearn.ensemble import HistGradientBoostingClassifier


# %% tags=["exercise", "ex-10.9"]
def classifier_test(true, made, rng): ...


# %% tags=["check", "ex-10.9"]
check("10.9", classifier_test)
classifier_test = or_reference("10.9", classifier_test)

# %% [markdown]
# First the floor of this test, too: two samples of true jets.
# Then the untrained and the trained generator, on the four observables together and one by one; and Deep Sets, which see the constituents themselves.


# %%
def table(observed):
    return np.stack(list(observed.values()), axis=1)


genuine = table(true_jets["validation"])
results = {
    "two true samples": table(true_jets["test"]),
    "untrained generator": table(made[0]),
    "trained generator": table(made[STEPS]),
}
separation = {name: classifier_test(genuine, other, np.random.default_rng(seed)) for name, other in results.items()}
for name, area in separation.items():
    again = SCATTER["generator"] if name == "trained generator" else 0
    show(f"AUC, {name}", area.value, 2, error=np.hypot(area.error, again))
for column, what in enumerate(made[STEPS]):
    of_one = classifier_test(
        genuine[:, [column]], results["trained generator"][:, [column]], np.random.default_rng(seed)
    )
    error = np.hypot(of_one.error, AGAIN[what][1])
    show(f"AUC, trained generator, {what.split(' [')[0]} alone", of_one.value, 2, error=error)

# %%
counts = torch.cat([real["validation"].counts, real["test"].counts])
both = PackedJets(
    torch.cat([real["validation"].features, real["test"].features, make(counts, seed + 102)]),
    torch.cat([counts, counts]),
    np.repeat([1.0, 0.0], len(counts)),
).to(DEVICE)
order = torch.randperm(len(both), generator=torch.Generator().manual_seed(seed)).split(len(both) // 3 + 1)
thirds = dict(zip(("training", "validation", "judge"), (both[index] for index in order), strict=True))
torch.manual_seed(seed)
referee = fit(DeepSets(3), thirds, 6, seed)
found = auc(thirds["judge"].targets[:, 0].cpu().numpy(), predict(referee, thirds["judge"])[:, 0])
error = np.hypot(found.error, SCATTER["generator"])
show("AUC of Deep Sets between true and generated jets", found.value, 2, error=error)

# %% [markdown]
# The boosted trees on all four observables and Deep Sets on the constituents tell our jets from true ones: this generator is not good enough to replace a simulation.
# Applied to one observable at a time, the test names the place.
# The leading $p_T$ is nearly indistinguishable, the mass separates a little, and $C_3$ alone separates best: there is the work to do.
#
# And the number of constituents, with its {{AUC, trained generator, constituents alone}}?
# We know this symptom: an AUC of one half with an error of zero means that all scores are equal.
# Nearly all jets have 30 constituents, the trees find nothing to cut on, and the question was none.
#
# ### Exercises without a check: improve it
#
# 1. Train longer (`STEPS`), and with five critic steps.
#    With the full settings, five critic steps, two seeds had made 2600 and 2800 of 6000 steps when the time of our run was over, after five and a half minutes on an H200 GPU shared by six trainings: $C_3$ stood at 12 and 4 floors, after 22 and 26 before the training, and the mass at 8 and 3.
#    In a trial with half the learning rate, 3000 steps brought $C_3$ to 20 floors, and the AUC of Deep Sets between true and generated jets down to 0.67.
# 2. Take one critic step for each of the generator's.
#    In a trial with 900 steps the game ran away near the end, and the mass was more than 100 floors off: the generator was faster than its judge.
# 3. Tell the critic what it overlooks: give `rho` the mass, or the distance of each constituent to the nearest hard one.
# 4. Let the generator decide on three prongs itself: noise of the jet for their directions, and a random choice of the prong for each constituent.
# 5. Set `generate = "QCD"`.
#    What is easier for one soft spray than for three prongs?
#
# ## Where you stand

# %%
progress()

# %% [markdown]
# ## What we found
#
# 1. A latent space of two numbers tags nearly as well as one of 128, if it is alive: a ReLU at its end killed two of six trainings, and the AUC of 0.5 was the symptom.
#    Clumps in a map by t-SNE appear for pure noise as well; ask the latent space itself, and compare with noise.
# 2. A regression needs targets of order one, or the units decide what is learned.
#    Its bias in bins of the true value is not a fault of the network: say in bins of what.
# 3. A distance means something beside its floor.
#    Our generator gets the mass and the leading $p_T$ roughly right and misses the three prongs, as $C_3$, single jets and a classifier show.
#
# **One limitation:** one short training each, for networks whose results scatter from seed to seed, the game of generator and critic most of all.
# None of the numbers here should be compared with published ones.
#
# **Next:** lesson 11 lets constituents see each other *before* the sum, in graphs and transformers.
#
# **Further reading:** Deep Sets, [arXiv:1703.06114](https://arxiv.org/abs/1703.06114); Energy Flow Networks and their filters, [arXiv:1810.05165](https://arxiv.org/abs/1810.05165); the gradient penalty, [arXiv:1704.00028](https://arxiv.org/abs/1704.00028); generating jets as sets, [arXiv:2106.11535](https://arxiv.org/abs/2106.11535) and [arXiv:2301.08128](https://arxiv.org/abs/2301.08128).
