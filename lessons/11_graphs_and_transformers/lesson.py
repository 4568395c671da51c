# %% [markdown]
# # 11 · Graphs, transformers and symmetry
#
# <!-- badges -->
#
# **After this lesson you will be able to**
#
# 1. let the constituents of a jet see each other, as neighbours in a graph (ParticleNet) and through attention (the Particle Transformer), with masks that keep padding out;
# 2. test on your own network what it should not notice, the order of constituents, a rotation, a boost, and see what a network gains that is built so (LorentzNet);
# 3. compare taggers by what they reach, what they cost and how many jets they need, and ask a network which constituents its answer rests on.
#
# **You need** lesson 9, Deep Sets, packed jets and masks; lesson 8, the taggers to beat.
#
# **Time:** 140 minutes, with a place for a break in the middle; the notebook itself runs in about 85 seconds on two CPU cores.

# %% tags=["setup"]
from coursekit import check, fetch, figure, hint, or_reference, progress, setup, show

WORK = setup("11")

# %% tags=["parameters"]
quick: bool = True
seed: int = 1
train: str = "toptag_train.h5"  # or your own, larger sample; or "train.h5", "val.h5", "test.h5": the public data set
val: str = "toptag_val.h5"
test: str = "toptag_test.h5"

# %% [markdown]
# ## The question
#
# The Particle Flow Network of lesson 9 looks at one constituent at a time, and adds up.
# Whether two hard constituents lie side by side or at opposite ends of the jet, it can only find out from the sum.
# But a jet is made by splittings: one parton becomes two, each of these again, and what belongs together lies close together.
# A top quark becomes three quarks, and what tells it from QCD are distances and masses of *pairs*.
#
# In this lesson the constituents talk to each other, in three ways.
# In a **graph** each one hears its nearest neighbours.
# With **attention** each one hears all others, and decides to whom it listens.
# And in a network that knows **special relativity** they exchange only what no observer could dispute.
#
# Networks of these kinds stand at the top of the published list:
#
# | tagger | accuracy | AUC | $1/\epsilon_B$ at $\epsilon_S = 0.5$ | at 0.3 | parameters | source |
# |---|---|---|---|---|---|---|
# | PFN | 0.932 | 0.982 | 247 ± 3 | 888 ± 17 | 82k | [arXiv:1810.05165](https://arxiv.org/abs/1810.05165) |
# | ParticleNet-Lite | 0.937 | 0.984 | 325 ± 5 | 1262 ± 49 | 26k | [arXiv:1902.08570](https://arxiv.org/abs/1902.08570) |
# | ParticleNet | 0.940 | 0.986 | 397 ± 7 | 1615 ± 93 | 366k | [arXiv:1902.08570](https://arxiv.org/abs/1902.08570) |
# | Particle Transformer | 0.940 | 0.986 | 413 ± 16 | 1602 ± 81 | 2.1M | [arXiv:2202.03772](https://arxiv.org/abs/2202.03772) |
# | LorentzNet | 0.942 | 0.987 | 498 ± 18 | 2195 ± 173 | 224k | [arXiv:2201.08187](https://arxiv.org/abs/2201.08187) |
# | PELICAN | 0.943 | 0.987 | | 2250 ± 75 | 208k | [arXiv:2211.00454](https://arxiv.org/abs/2211.00454) |
# | L-GATr | 0.942 | 0.987 | 540 ± 20 | 2240 ± 70 | | [arXiv:2405.14806](https://arxiv.org/abs/2405.14806) |
# | L-GATr, pretrained | | 0.988 | 651 ± 11 | 2894 ± 84 | | [arXiv:2411.00446](https://arxiv.org/abs/2411.00446) |
#
# All of them learned from the 1.2 million jets of the public data set, the last one from many more jets of other kinds before.
# How far do two thousand take us, in a minute, without a GPU?
#
# ## The settings, all in one place
#
# In quick mode each network learns from the same 2000 jets, which takes ten to twenty seconds.
# With `quick = False` it learns from all jets of the files for more epochs: for the shipped 12 000 that takes about ten minutes for all networks on two CPU cores, and with a sample of your own of 100 000 jets one and a half hours, or some minutes on a GPU.
# All numbers in the text are those of the shipped sample in quick mode, or recorded, where the text says so.

# %%
NAMES = ("PFN", "ParticleNet", "transformer", "LorentzNet")
JETS = 2000 if quick else None  # training jets, None for all
EPOCHS = {"PFN": 15, "ParticleNet": 6, "transformer": 3, "LorentzNet": 5} if quick else dict.fromkeys(NAMES, 12)
RATES = {"PFN": 0.003, "ParticleNet": 0.006, "transformer": 0.001, "LorentzNet": 0.003}  # largest learning rates
BATCH = 32 if quick else 128  # jets of a training step

# %%
import copy

import awkward as ak
import numpy as np
import torch
from scipy.stats import spearmanr
from torch import nn
from torch.nn import functional as F

from coursekit.jets import load_jets, pack, relative_features, unpack
from coursekit.jets.packed import PackedJets
from coursekit.metrics import auc, auc_difference
from coursekit.training import pick_device, predict
from coursekit.training import train as train_network

FILES = {"training": (fetch(train), JETS), "validation": (fetch(val), 1500)}
jets, labels = {}, {}
for name, (path, n) in FILES.items():  # the test file stays closed until all choices are made
    jets[name], labels[name] = load_jets(path, 0, n)
    show(f"{name} jets", len(jets[name]))
DEVICE, known = pick_device(), labels["validation"]
# Many small steps: a second core gains a third if it is idle, and costs a factor of three if it is not.
torch.set_num_threads(1)

# %% [markdown]
# Two inputs are enough for the lesson: for three of the networks the seven features of lesson 9, relative to the jet's axis, with the jet turned upright; for the last one the four-momenta as they are.
#
# Every network here takes packed constituents and counts and gives a logit for each jet, so that the same few lines train all of them.


# %%
def upright(sample):
    """d_eta, d_phi, log pT, log E, log of the shares of both, d_r: (T, 7), and the counts."""
    return relative_features(sample, upright=True)


models, scores = {}, {}


def learn(name, model, features):
    """Train on the training jets, keep the best epoch, and score the validation jets."""
    kind = name.split()[0]
    samples = {part: PackedJets(*features(jets[part]), labels[part]).to(DEVICE) for part in jets}
    settings = {"epochs": EPOCHS[kind], "batch_size": BATCH, "learning_rate": RATES[kind]}
    generator = torch.Generator().manual_seed(seed)
    models[name] = model.to(DEVICE)
    train_network(models[name], *samples.values(), **settings, generator=generator, progress=True)
    scores[name] = predict(models[name], samples["validation"])[:, 0]
    found = auc(known, scores[name])
    show(f"AUC, {name}", found.value, 3, error=np.hypot(found.error, 0.003))  # counting, and the scatter of seeds


# %%
from coursekit.nets.deepsets import DeepSets

torch.manual_seed(seed)
learn("PFN", DeepSets(n_features=7), upright)

# %% [markdown]
# The network of lesson 9 reaches {{AUC, PFN}} with 2000 jets.
# This is the number to beat.
#
# ## A jet as a graph
#
# A *graph* is a set of nodes and of edges between them.
# The nodes are the constituents; edges lead from each to its $k$ nearest neighbours, *kNN* for short.
#
# ### Your turn 11.1 · 8 min · ★★
#
# Write `nearest(points, k)`: from the coordinates of the $P$ constituents of one jet, `points` $(P, D)$, to the numbers of the $k$ nearest *other* constituents of each, an int64 tensor $(P, k)$, the nearest first.
# The distance is the Euclidean one, in all $D$ coordinates, and $k$ is smaller than $P$.
# No constituent is its own neighbour, but another one in exactly the same place is: a cell of a calorimeter has one position, whatever flies into it.
# (Which of two at the same distance comes first does not matter.)


# %% tags=["exercise", "ex-11.1"]
def nearest(points, k): ...


# %% tags=["check", "ex-11.1"]
check("11.1", nearest)
nearest = or_reference("11.1", nearest)

# %% [markdown]
# Here is what it finds, for a top and for a QCD jet.
# **Guess:** constituents come in clusters, one for each parton that was hard enough to be seen.
# How many clusters will the edges of the top jet show, and do edges connect the clusters?

# %%
x, counts = upright(jets["training"])
ends = np.cumsum(counts)
with figure("graphs", columns=2, size=(11, 4.8)) as axes:
    for ax, label, name in zip(axes, (1, 0), ("top", "QCD"), strict=True):
        jet = np.flatnonzero((labels["training"] == label) & (counts > 40) & (counts < 60))[1]
        one = torch.from_numpy(x[ends[jet] - counts[jet] : ends[jet]])
        for i, near in enumerate(nearest(one[:, :2], 3)):
            for j in near:
                ax.plot(*one[[i, int(j)], :2].T.numpy(), "-", color="0.6", linewidth=0.8)
        ax.scatter(one[:, 0], one[:, 1], s=200 * (one[:, 4] - 5).exp(), color="C0" if label else "C1", zorder=3)
        ax.set(xlabel=r"$\Delta\eta$", ylabel=r"$\Delta\phi$", title=f"a {name} jet, {counts[jet]} constituents")
        ax.set(xlim=(-0.9, 0.9), ylim=(-0.9, 0.9), aspect="equal")

# %% [markdown]
# The area of a point is its share of the momentum.
# The top jet shows three clusters, the QCD jet one hard core.
# The edges stay within clusters: with three neighbours each, a hard prong is a small graph of its own, and the soft constituents between form chains.
#
# What shall travel along an edge?
# The paper of ParticleNet takes the features of the centre, and the *difference* to those of the neighbour: where I am, and where you are as seen from me.
#
# ### Your turn 11.2 · 5 min · ★
#
# Write `edge_features(x, neighbours)`: from the features of the constituents of one jet, `x` $(P, F)$, and the numbers of the neighbours of each, `neighbours` $(P, k)$ as `nearest` returns them, to the features of the edges, $(P, k, 2F)$.
# The edge from constituent $i$ to its neighbour $j$ has the $F$ features of the centre, $x_i$, and behind them the $F$ differences $x_j - x_i$, neighbour minus centre.
# A gradient must be able to flow back to `x`.


# %% tags=["exercise", "ex-11.2"]
def edge_features(x, neighbours): ...


# %% tags=["check", "ex-11.2"]
check("11.2", edge_features)
edge_features = or_reference("11.2", edge_features)

# %% [markdown]
# An *edge convolution* is what follows, and it is short:
#
# 1. a small network $h$, the same for all edges, makes new numbers of each edge, as $\phi$ of lesson 9 did of each constituent;
# 2. the mean over the $k$ edges of a constituent is what it becomes, and a shortcut, a linear map $W$, adds what it was:
#
# $$ x_i' = \mathrm{ReLU}\Big( \frac{1}{k} \sum_{j \in \mathrm{kNN}(i)} h(x_i,\, x_j - x_i) + W x_i \Big) $$
#
# ![EdgeConv, from left to right. A jet is drawn as points in the plane of Δη and Δφ, and lines go from the constituent i to its three nearest others. For each of the three edges stands a pair, the features of the centre i and those of the neighbour minus those of the centre, and each pair goes through the same small network h. The three results are averaged, a shortcut adds the features of i after one linear map, and a relu follows. On the right the same constituents lie in the space of their new features, where constituent i has other nearest neighbours: the next graph is drawn there.](edgeconv.svg)
#
# In the next block, near means near in the *new* features.
# The graph is drawn again, and constituents become neighbours that have something in common, wherever they lie: a *dynamic* graph.
# Two such blocks, a mean over the jet and a dense layer are *ParticleNet-Lite*.
# The version of the package, `ParticleNet`, works on packed constituents; `ParticleNet??` shows it, 30 lines.
# Does its edge convolution do what yours says?

# %%
from coursekit.nets.particlenet import EdgeConv, ParticleNet, neighbours

torch.manual_seed(seed)
block = EdgeConv(7, channels=(16,)).eval()  # one layer, so that it can be written in a line
points = one[:, :2]
edges = edge_features(one, nearest(points, 7))  # (P, k, 14)
by_hand = F.relu(
    F.relu(block.norms[0](block.edge(edges).flatten(0, 1))).unflatten(0, (-1, 7)).mean(1) + block.shortcut(one)
)
theirs = block(one, *neighbours(points, torch.tensor([len(one)]), 7))
show("the same as the package's edge convolution", bool(torch.allclose(by_hand, theirs, atol=1e-5)))

# %% [markdown]
# ## What a sum cannot see
#
# Before the real jets, a test on invented ones, made to be hard for a sum.
# Each has twelve constituents with two coordinates: six are thrown at random, and each has a twin.
# In one class the twin lies at a distance of 0.1, in the other at 0.3, in any direction.
# A single constituent looks the same in both, and so, nearly, does the sum of any smooth function of constituents.
#
# **Guess:** the PFN can express any function of a set.
# With 2000 such jets to learn from, will it tell the twins apart?


# %%
def twins(n, rng):
    """Six pairs of twins a jet, closer in every second jet: (12 n, 2), counts and labels."""
    labels = np.arange(n) % 2
    points = rng.normal(0, 1, (n, 12, 2))
    angle = rng.uniform(0, 2 * np.pi, (n, 6, 1))
    apart = np.where(labels == 1, 0.1, 0.3)[:, None, None]
    points[:, 6:] = points[:, :6] + apart * np.concatenate([np.cos(angle), np.sin(angle)], axis=2)
    return PackedJets(points.reshape(-1, 2), np.full(n, 12), labels)


rng = np.random.default_rng(seed)
invented, others = twins(2000, rng), twins(1000, rng)
builders = {"PFN": lambda: DeepSets(2), "ParticleNet": lambda: ParticleNet(2, k=1, blocks=((16, 16),), hidden=16)}
for name, build in builders.items():
    torch.manual_seed(seed)
    model = build()
    settings = {"epochs": 8, "batch_size": 32, "learning_rate": 0.01}
    train_network(model, invented, others, **settings, generator=torch.Generator().manual_seed(seed))
    found = auc(others.targets[:, 0].numpy(), predict(model, others)[:, 0])
    show(f"twins: AUC, {name}", found.value, 2, error=np.hypot(found.error, 0.03))  # counting and seeds

# %% [markdown]
# The PFN reaches {{twins: AUC, PFN}}, as good as a coin, and a small ParticleNet with one neighbour {{twins: AUC, ParticleNet}}.
# That a network *can* express a function does not mean that it finds it: to tell them apart, $\phi$ would have to resolve 0.3 everywhere in the plane, and $\rho$ to count cells that hold two.
# For a network that sees the difference to the nearest neighbour it is one number.
#
# Now the real ones.

# %%
torch.manual_seed(seed)
learn("ParticleNet", ParticleNet(n_features=7), upright)


def show_gain(name, other):
    """The difference of two AUCs on the same jets, with the errors of counting and of both seeds."""
    change = auc_difference(known, scores[name], scores[other])
    show(f"gain of {name} over {other}", change.value, 3, error=np.hypot(change.error, 0.004))


show_gain("ParticleNet", "PFN")

# %% [markdown]
# After six epochs the AUC of ParticleNet is {{AUC, ParticleNet}}: with the same inputs and the same 2000 jets it gains {{gain of ParticleNet over PFN}} over the PFN with its fifteen.
# Whether this lasts with fewer and with more jets, recorded curves will show below.
#
# ## Neighbours that are not there
#
# Most programs do not pack jets, they pad them.
# Let us give our graph a padded batch, and look at who is whose neighbour.
# **Guess:** a padded slot holds zeros. Where in the plane is that, and who lies there?

# %%
chosen = [i for i in range(200) if counts[i] > 7]
starts = ends - counts
width = max(counts[i] for i in chosen) + 8  # slots, as of the longest jet of a larger batch
padded = torch.zeros(len(chosen), width, 2)
real = torch.zeros(len(chosen), width, dtype=torch.bool)
for row, i in enumerate(chosen):
    padded[row, : counts[i]] = torch.from_numpy(x[starts[i] : ends[i], :2])
    real[row, : counts[i]] = True

found = torch.stack([nearest(points, 7) for points in padded])  # (N, P, 7)
nobody = ~torch.gather(real[:, None].expand(-1, width, -1), 2, found)  # True where a neighbour does not exist
show("neighbours that do not exist, of all constituents [%]", 100 * nobody[real].float().mean().item(), 0)
hardest = nobody[:, 0]  # the constituents come by falling pT
show("neighbours that do not exist, of the hardest constituents [%]", 100 * hardest.float().mean().item(), 0)

# %% [markdown]
# Zero is not nowhere.
# It is the axis of the jet, and there the hard constituents are: {{neighbours that do not exist, of the hardest constituents [%]}} of the neighbours of the hardest constituent are padding, and {{neighbours that do not exist, of all constituents [%]}} of all.
# Nothing fails: shapes are right, the loss falls, and the scores look sensible as long as jets are padded to the same length as in training.
#
# ### Your turn 11.3 · 8 min · ★★
#
# Write `nearest_of_real(points, mask, k)`: as `nearest`, for $N$ padded jets at once.
# `points` has shape $(N, P, D)$, and `mask` $(N, P)$ is `True` where a slot holds a constituent; real slots may stand anywhere.
# Return the numbers of the slots of the $k$ nearest other constituents of the same jet, int64, $(N, P, k)$, the nearest first.
# A slot that holds nothing is nobody's neighbour, whatever finite numbers stand in it.
# A real constituent may lie on the axis, at zero, and inside a network coordinates may be large.
# Each constituent has at least $k$ others in its jet; what you return in the rows of empty slots does not matter.


# %% tags=["exercise", "ex-11.3"]
def nearest_of_real(points, mask, k): ...


# %% tags=["check", "ex-11.3"]
check("11.3", nearest_of_real)
nearest_of_real = or_reference("11.3", nearest_of_real)

# %%
repaired = nearest_of_real(padded, real, 7)
nobody = ~torch.gather(real[:, None].expand(-1, width, -1), 2, repaired)
show("neighbours that do not exist, repaired", int(nobody[real].sum()))

# %% [markdown]
# In the package the same care is in `coursekit.nets.groups`: jets of similar size form groups, each is padded to its longest jet, and empty slots have an infinite distance.
# No result depends on how the jets are grouped, and a test holds that.
#
# ## A good place for a break
#
# You have the graph, the edge convolution, and a network that sees pairs of neighbours.
# What follows lets everybody talk to everybody, and then asks what a network should not see at all.
#
# ## Attention
#
# Why only the nearest, and why all of them alike?
# In *attention*, each constituent asks a question and gives an answer.
# Three linear maps make three vectors of its features: a *query* $q$, what it looks for; a *key* $k$, what it offers; a *value* $v$, what it says.
# Query and key fit the better the larger their product is, and the values are averaged with weights that follow from it.
#
# ### Your turn 11.4 · 8 min · ★★
#
# Write `attention(q, k, v, mask)` by hand, without the function of PyTorch that does it all.
# `q`, `k` and `v` are the queries, keys and values of the $P$ slots of one jet, $(P, d)$ each, and `mask` $(P,)$ is `True` where a slot holds a constituent.
# The score of query $i$ for key $j$ is $s_{ij} = q_i \cdot k_j / \sqrt{d}$.
# A softmax over the keys of the real constituents makes weights of the scores, $w_{ij} = e^{s_{ij}} / \sum_{l\ \mathrm{real}} e^{s_{il}}$, and row $i$ of the result, $(P, d)$, is $\sum_{j\ \mathrm{real}} w_{ij} v_j$.
# Scores can be as large as 1000, and a gradient must be able to flow to all three.
# At least one slot is real; what stands in the rows of queries that are padding does not matter, as long as no NaN there spoils the gradient.


# %% tags=["exercise", "ex-11.4"]
def attention(q, k, v, mask): ...


# %% tags=["check", "ex-11.4"]
check("11.4", attention)
attention = or_reference("11.4", attention)

# %% [markdown]
# For three constituents, of which the last is padding, beside PyTorch's own:

# %%
torch.manual_seed(seed)
q, k, v = torch.randn(3, 3, 4, dtype=torch.float64)  # queries, keys and values of three slots, (3, 4) each
mask = torch.tensor([True, True, False])
mine, pytorch = attention(q, k, v, mask), F.scaled_dot_product_attention(q, k, v, attn_mask=mask.expand(3, 3))
show("largest difference from PyTorch's is below 1e-12", bool((mine - pytorch).abs().max() < 1e-12))
weights = (q @ k.T / 2).masked_fill(~mask, -torch.inf).softmax(dim=1)
show("weights of the first query", tuple(float(w.round(decimals=2)) for w in weights[0]))
careless = F.scaled_dot_product_attention(q, k, v)  # padding is heard, too
show("largest difference where padding is heard", float((careless - pytorch).abs().max()), 1)

# %% [markdown]
# A *transformer* is many such layers: in each, several *heads* attend in ways of their own, a dense layer digests what was heard, and both add to what was there.
# That was invented for words of a sentence.
# For particles, the *Particle Transformer* adds what a physicist would ask of a pair.
# A small network makes a number of each pair and head from four features, and this number is added to $q_i \cdot k_j / \sqrt{d}$ before the softmax.
#
# ![Attention with a pair bias. Three constituents and one slot of padding stand on the left, and three linear maps make a query, a key and a value of each constituent. A table of queries by keys holds q times k over the root of d, a second table of the same shape holds the pair bias, which a small network makes of ln Δ, ln kT, ln z and ln m² of each pair, and the column of the padding is masked in both. Their sum goes through a softmax, so that each row of weights adds up to 1 and the padding has weight 0; the weights times the values give the new features of each constituent. Below, after the last layer, a learned class token asks with one query more: its one row of weights makes one vector of the whole jet, and of that the logit.](attention.svg)
#
# ### Your turn 11.5 · 10 min · ★★★
#
# Write `pair_features(a, b)`: from the four-momenta of $M$ pairs, `a` and `b` of shape $(M, 4)$ with the columns $p_x, p_y, p_z, E$, to four numbers for each pair, $(M, 4)$:
#
# $$ \ln \Delta, \quad \ln k_T, \quad \ln z, \quad \ln m^2 $$
#
# - $\Delta = \sqrt{(y_a - y_b)^2 + (\phi_a - \phi_b)^2}$ is the distance of the two, in rapidity $y = \mathrm{artanh}(p_z / E)$ and azimuth $\phi$, where the difference of the azimuths lies between $-\pi$ and $\pi$;
# - $k_T = \min(p_{T,a}, p_{T,b})\, \Delta$ is, for small angles, the momentum of the softer one across the harder one, with $p_T = \sqrt{p_x^2 + p_y^2}$;
# - $z = \min(p_{T,a}, p_{T,b}) / (p_{T,a} + p_{T,b})$ is the share of the softer one;
# - $m^2 = (E_a + E_b)^2 - |\vec p_a + \vec p_b|^2$ is the square of the mass of both together.
#
# Particles can have a mass.
# No pair lies in one place, and the tensors are in double precision, because $m^2$ is a small difference of large squares.


# %% tags=["exercise", "ex-11.5"]
def pair_features(a, b): ...


# %% tags=["check", "ex-11.5"]
check("11.5", pair_features)
pair_features = or_reference("11.5", pair_features)

# %% [markdown]
# A picture of the mass of all pairs, for the two jets from above: rows and columns are the 30 hardest constituents, sorted by where they lie along the jet's long axis.
# **Guess:** what will be seen of the three quarks of a top?

# %%
with figure("pairs", columns=2, size=(11, 4.6)) as axes:
    for ax, label, name in zip(axes, (1, 0), ("top", "QCD"), strict=True):
        jet = np.flatnonzero((labels["training"] == label) & (counts > 40) & (counts < 60))[1]
        p, _ = pack(jets["training"][jet : jet + 1])
        along = np.argsort(x[starts[jet] : starts[jet] + 30, 1])  # d_phi: upright jets are long in phi
        p = torch.from_numpy(p[:30][along]).double()
        p[:, 3] = p[:, :3].norm(dim=1)  # massless, as the detector takes them; the file is rounded
        first, second = torch.triu_indices(30, 30, offset=1)
        masses = torch.full((30, 30), torch.nan)
        masses[first, second] = masses[second, first] = (
            pair_features(p[first], p[second])[:, 3] / 2 / np.log(10)
        ).float()
        image = ax.imshow(masses, cmap="viridis", vmin=-1, vmax=2)
        ax.set(xlabel="constituent, by its place", ylabel="constituent, by its place", title=f"a {name} jet")
        ax.figure.colorbar(image, ax=ax, label=r"$\log_{10} (m_{ij}$ / GeV)")

# %% [markdown]
# (The file is rounded to a relative 6e-5, which moves the mass of a single constituent from zero to up to a GeV or two, or below zero; so we restore $E = |\vec p|$.)
# Blocks of small masses on the diagonal are the prongs: constituents of one prong have small masses with each other.
# Bright blocks off the diagonal are pairs of prongs.
# No single pair has the mass of a $W$, but for massless constituents the $m_{ij}^2$ of all pairs add up to the squared mass of the whole.
# The PFN has to find this out from a sum; the transformer gets it as an input.
#
# The network of the package makes these features from the angles and momenta relative to the axis, for massless constituents, as the detector has them.
# Do yours and its agree?

# %%
from coursekit.nets.transformer import pair_features as their_pair_features

yours = pair_features(p[first], p[second])
apart = yours[:, 0] > np.log(0.1)  # the distance of closer ones suffers from the rounding of the file
for name, turned_up in {"as they fly": False, "turned upright": True}.items():
    features = relative_features(jets["training"][jet : jet + 1], upright=turned_up)[0][:30][along]
    three = torch.from_numpy(features[:, :3]).double()  # d_eta, d_phi, log pT - 1.5
    theirs = their_pair_features(*torch.stack([three[first], three[second]], dim=2).unbind(dim=1))
    theirs += torch.tensor([0, 1.5, 0, 3.0])  # its momenta are in units of e^1.5 GeV
    worst = (theirs - yours)[apart].abs().max(dim=0).values
    show(f"{name}: ln Delta, ln kT and ln z are the same to 0.01", bool(worst[:3].max() < 0.01))
    show(f"{name}: largest difference in ln m^2", float(worst[3]), 2)

# %% [markdown]
# They agree, and one thing is worth a thought: in a jet that was turned upright, ln $m^2$ of pairs far apart has changed by up to {{turned upright: largest difference in ln m^2}}.
# A rotation in the plane of $\eta$ and $\phi$ is not a rotation of space: distances in the plane stay, masses do not, quite.
# (LorentzNet, below, gets the jets as they fly.)

# %% [markdown]
# `ParticleTransformer(n_features=7)` is a small transformer of this kind, with three layers and 79 000 parameters, and with a *class token*: one more vector, the same for all jets and learned, which attends to the constituents at the end and takes the answer out.
# It could be trained now as ParticleNet was.
# But attention must learn from data even that near constituents belong together, which the graph was told, and 2000 jets are few for that.
# Transformers are hungry, and there is a remedy.
#
# ## Pretraining
#
# What a network must learn about jets in general, it can learn from other jets.
# (Here labels of tops are as cheap as any, since all jets are simulated; we keep to few, to learn what to do where they are dear.)
# The file `pretrained.pt` holds a transformer that has learned to tell six kinds of jets apart, none of them tops: quarks, gluons, $W$, $Z$, and Higgs bosons that decay to $b\bar b$ or to four quarks.
# It saw 64 800 of them, six times.
# We keep all its layers but the last, give it a new one with one output, and go on with a small learning rate: *fine-tuning*.


# %%
from coursekit.nets.transformer import ParticleTransformer


def pretrained():
    """The transformer that knows six kinds of jets, with a new last layer."""
    model = ParticleTransformer(n_features=7)
    stored = torch.load(fetch("pretrained.pt"), weights_only=True)
    model.load_state_dict({name: values for name, values in stored.items() if "head.1" not in name}, strict=False)
    return model


torch.manual_seed(seed)
learn("transformer fine-tuned", pretrained(), upright)
show_gain("transformer fine-tuned", "ParticleNet")

# %% [markdown]
# Fine-tuned with the same 2000 jets, in half as many epochs, it reaches {{AUC, transformer fine-tuned}}.
# It has never seen another top than these, but many other jets: no comparison of equal samples.
#
# ## Symmetry
#
# There is something else that a network could know without data.
# Physics is the same for every observer: one who flies along the jet sees other energies and other angles, and the same top.
# What all observers agree on are *invariants*: the Minkowski products of four-momenta.
#
# ### Your turn 11.6 · 5 min · ★
#
# Write `minkowski(a, b)`: the product of four-momenta, $E_a E_b - p_{x,a}\, p_{x,b} - p_{y,a}\, p_{y,b} - p_{z,a}\, p_{z,b}$.
# The last axis of both tensors has the four components $p_x, p_y, p_z, E$; before it there may be any number of axes, none as well, and the result has these: shapes $(\dots, 4)$ become $(\dots)$.
# A gradient must be able to flow.


# %% tags=["exercise", "ex-11.6"]
def minkowski(a, b): ...


# %% tags=["check", "ex-11.6"]
check("11.6", minkowski)
minkowski = or_reference("11.6", minkowski)

# %% [markdown]
# ### Your turn 11.7 · 8 min · ★★
#
# Write `boosted(p, beta)`: the four-momenta `p` $(T, 4)$, with the columns $p_x, p_y, p_z, E$, boosted by the velocity `beta`, $\vec\beta$, $(3,)$, so that a particle at rest gets this velocity (in units of that of light, $|\vec\beta| < 1$).
# With $\gamma = 1 / \sqrt{1 - \beta^2}$:
#
# $$ \vec p\,' = \vec p + \Big( \frac{\gamma - 1}{\beta^2}\, \vec\beta \cdot \vec p + \gamma E \Big) \vec\beta, \qquad E' = \gamma\, (E + \vec\beta \cdot \vec p) $$
#
# A velocity of zero is allowed, and changes nothing.
# The tensors are in double precision, and the result has the shape of `p`.


# %% tags=["exercise", "ex-11.7"]
def boosted(p, beta): ...


# %% tags=["check", "ex-11.7"]
check("11.7", boosted)
boosted = or_reference("11.7", boosted)

# %% [markdown]
# If both are right, no boost changes the product.

# %%
packed, numbers = pack(jets["validation"][:400])
p, numbers = torch.from_numpy(packed).double(), torch.from_numpy(numbers)
moved = boosted(p, torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64))
products, afterwards = minkowski(p[:-1], p[1:]), minkowski(moved[:-1], moved[1:])
show(
    "a boost changes the products by less than a millionth of E E'",
    bool(((afterwards - products).abs() / (p[:-1, 3] * p[1:, 3])).max() < 1e-6),
)

# %% [markdown]
# *LorentzNet* sends messages between all pairs of constituents, made of invariants alone: of the scalars $h$ of both, of their product $p_i \cdot p_j$ and of their distance $|p_i - p_j|^2$.
# The messages change the scalars, and they push the four-vectors along each other:
#
# $$ p_i' = p_i + \sum_j \phi_x(m_{ij})\, p_j, \qquad h_i' = h_i + \phi_h\Big(h_i, \sum_j \phi_m(m_{ij})\, m_{ij}\Big) $$
#
# Here $m_{ij}$ is the message from $j$ to $i$, and $\phi_x$, $\phi_h$ and $\phi_m$ are small networks; the last gives a number between 0 and 1, how much the message counts.
# A sum of four-vectors with invariant coefficients is a four-vector, so that the $p'$ of a boosted jet are the boosted $p'$: the layer is *equivariant*.
# The answer is made of the scalars, and is *invariant*.
#
# All pairs are many.
# Our LorentzNet takes the 32 constituents with the largest energy in the rest frame of the jet, $p_i \cdot P / M$ with the momentum $P$ and the mass $M$ of the jet; this choice, too, is the same for all observers.

# %%
from coursekit.nets.lorentz import LorentzNet

torch.manual_seed(seed)
learn("LorentzNet", LorentzNet(), pack)
show_gain("LorentzNet", "PFN")

# %% [markdown]
# It has half as many parameters as ParticleNet, no angles, no axis, no jets turned upright.
# Its first scalars are the energy of a constituent in the rest frame of the jet, its share of the jet's mass and, handed in ready-made, this mass and the number of constituents.
# It reaches {{AUC, LorentzNet}}.
#
# ## Test it yourself
#
# We claimed a lot: order does not matter, padding does not, a boost does not.
# A claim about a network is worth what the test of it is worth.
#
# ### Your turn 11.8 · 8 min · ★★
#
# A test of a network is a program like any other: it can be wrong, and then it passes whatever the network does.
# Write `order_matters(model, x, counts)`: by how much do the outputs of a network change when the constituents inside each jet come in the reverse order?
# `x` $(T, F)$ are packed constituents, `counts` $(N,)$ their numbers in each jet, at least one, and `model(x, counts)` gives the outputs $(N, K)$.
# Return the largest absolute change of any output of any jet, as a number.
# The model is in evaluation mode already; no gradients are to be recorded.
# We try your test on networks which read the order, and on others which do not.


# %% tags=["exercise", "ex-11.8"]
def order_matters(model, x, counts): ...


# %% tags=["check", "ex-11.8"]
check("11.8", order_matters)
order_matters = or_reference("11.8", order_matters)

# %%
few = jets["validation"][:50]
for name, model in models.items():
    rows, n = (torch.from_numpy(part) for part in (pack if name == "LorentzNet" else upright)(few))
    changed = order_matters(copy.deepcopy(model).cpu().double().eval(), rows.double(), n)
    show(f"{name}: the order of constituents changes no logit by more than 1e-6", bool(changed < 1e-6))

# %% [markdown]
# ### Your turn 11.9 · 8 min · ★★
#
# A layer of a Lorentz-equivariant network gives each constituent numbers that no boost and no rotation changes, *scalars*, and four-vectors that are boosted and rotated as the momenta are.
# Write `symmetry_test(layer, p, counts, transform)` that finds out whether it does.
# `p` $(T, 4)$ are packed four-momenta, `counts` $(N,)$ their numbers in each jet; `layer(p, counts)` returns scalars $(T, C)$ and vectors $(T, 4)$; `transform` is a function that boosts or rotates four-vectors, $(T, 4) \to (T, 4)$.
# Return two numbers:
#
# 1. the largest absolute change of any scalar when the momenta are transformed;
# 2. the largest absolute difference of any component between the vectors of the transformed momenta and the transformed vectors, divided by the largest absolute component of the transformed vectors.


# %% tags=["exercise", "ex-11.9"]
def symmetry_test(layer, p, counts, transform): ...


# %% tags=["check", "ex-11.9"]
check("11.9", symmetry_test)
symmetry_test = or_reference("11.9", symmetry_test)


# %%
def turned(p, angle=2.0):
    """The momenta rotated about the x axis by an angle."""
    cos, sin = np.cos(angle), np.sin(angle)
    return torch.stack([p[:, 0], cos * p[:, 1] - sin * p[:, 2], sin * p[:, 1] + cos * p[:, 2], p[:, 3]], dim=1)


fast = torch.tensor([0.1, 0.5, -0.3], dtype=torch.float64)
exact = copy.deepcopy(models["LorentzNet"]).cpu().double()
with torch.no_grad():
    for name, change in {"boost": lambda p: boosted(p, fast), "rotation": turned}.items():
        scalars, vectors = symmetry_test(exact.constituents, p, numbers, change)
        show(f"{name}: scalars and vectors follow to 1e-6", bool(scalars < 1e-6 and vectors < 1e-6))

# %% [markdown]
# The test says what is exact, not what it is worth.
# So let the jets be boosted along $x$, an axis of no meaning, faster and faster; the features are made again from the boosted momenta, and each network gives its score.
# **Guess:** how far do the AUCs of PFN and ParticleNet fall at half the speed of light?

# %%
velocities = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
areas = {name: [] for name in ("PFN", "ParticleNet", "LorentzNet")}
for velocity in velocities:
    flying = boosted(p, torch.tensor([velocity, 0.0, 0.0], dtype=torch.float64)).numpy()
    boosted_jets = unpack(flying.astype(np.float32), numbers.numpy())
    for name in areas:
        features = (pack if name == "LorentzNet" else upright)(boosted_jets)
        score = predict(models[name], PackedJets(*features, known[:400]).to(DEVICE))[:, 0]
        areas[name].append(auc(known[:400], score))

# %%
with figure("boosted", size=(7, 4.6)) as ax:
    for name, line in zip(areas, ("o-", "s--", "^-."), strict=True):
        values, errors = zip(*areas[name], strict=True)
        ax.errorbar(velocities, values, errors, fmt=line, capsize=3, label=name)
    ax.set(xlabel=r"velocity of the boost, $\beta$", ylabel=f"AUC ({len(numbers)} validation jets)")
    ax.legend()
for name in areas:
    seeds = 0.02 if name == "LorentzNet" else 0.05  # scatter; more where a network has never been
    ends = {"at rest": (areas[name][0], 0.02), "at 0.6 of the speed of light": (areas[name][-1], seeds)}
    for where, (found, scatter) in ends.items():
        show(f"AUC {where}, {name}", found.value, 2, error=np.hypot(found.error, scatter))

# %% [markdown]
# LorentzNet does not notice: it has {{AUC at rest, LorentzNet}} at rest and {{AUC at 0.6 of the speed of light, LorentzNet}} in flight.
# The others fall, the PFN from {{AUC at rest, PFN}} to {{AUC at 0.6 of the speed of light, PFN}} and ParticleNet from {{AUC at rest, ParticleNet}} to {{AUC at 0.6 of the speed of light, ParticleNet}}: the boost halves or doubles momenta and opening angles, and they know tops of 600 GeV only.
# Is that a fault?
# All jets of our sample have 550 to 650 GeV, and a network that knows this uses it.
# What is built in need not be learned.
# But a symmetry that the data do not have should not be built in: detector and selection single out one frame, and a network that cannot see this cannot use it.
#
# ## What they look at
#
# It is tempting to read attention as importance: the class token of the transformer attends to constituents, and what it attends to must be what counts.
# There is a direct way to ask what counts: leave a constituent out, and see what changes.
# (We take its row out and leave the others as they are: axis and shares remain those of the full jet.)
#
# ### Your turn 11.10 · 8 min · ★★
#
# Write `occluded(model, x, counts)`: by how much does the output of a jet change when one of its constituents is left out?
# `x` $(T, F)$ are packed constituents, `counts` $(N,)$ their numbers in each jet, at least two, and `model(x, counts)` gives the outputs $(N, K)$, of which the first column, a logit, is meant.
# Return one number for each constituent, a tensor $(T,)$: the output of the full jet minus that of the jet without this one constituent, whose others keep their order.
# The model is in evaluation mode already; no gradients are to be recorded.
# A loop over jets or over constituents is fine.


# %% tags=["exercise", "ex-11.10"]
def occluded(model, x, counts): ...


# %% tags=["check", "ex-11.10"]
check("11.10", occluded)
occluded = or_reference("11.10", occluded)

# %%
some = jets["validation"][:60][np.asarray(ak.num(jets["validation"][:60])) > 12]
rows, n = (torch.from_numpy(part) for part in upright(some))
reader = copy.deepcopy(models["transformer fine-tuned"]).cpu().eval()
effect = occluded(reader, rows, n).abs()  # (T,)
with torch.no_grad():
    attended = reader.attention(rows, n)  # (T,)
    before = reader(rows, n)[:, 0]
hard = rows[:, 2]  # log pT
for name, other in {"attention": attended, "pT": hard}.items():
    pairs = zip(effect.split(n.tolist()), other.split(n.tolist()), strict=True)
    ranks = [spearmanr(a.numpy(), b.numpy()).statistic for a, b in pairs]
    error = np.hypot(np.std(ranks, ddof=1) / np.sqrt(len(ranks)), 0.1)  # of counting, and of other trainings
    show(f"rank correlation of {name} with the effect, mean over jets", np.mean(ranks), 1, error=error)

# %% [markdown]
# A fairer question is what happens when *several* go.
# **Guess:** leave out the five constituents with the most attention, the five hardest, and five at random. Which changes the answer most?


# %%
def without(chosen):
    """The change of each jet's logit without the five constituents for which `chosen` is largest."""
    keep = torch.ones(len(rows), dtype=torch.bool)
    start = 0
    for part in chosen.split(n.tolist()):
        keep[start + part.argsort(descending=True)[:5]] = False
        start += len(part)
    with torch.no_grad():
        return (reader(rows[keep], n - 5)[:, 0] - before).abs().numpy()


random = torch.rand(len(rows), generator=torch.Generator().manual_seed(seed))
orders = {"largest effect": effect, "hardest": hard, "most attention": attended, "at random": random}
for name, order in orders.items():
    change = without(order)
    error = np.hypot(np.std(change, ddof=1) / np.sqrt(len(change)), 0.2 * change.mean())  # of counting, of trainings
    show(f"change of the logit without five constituents, {name}", change.mean(), 1, error=error)

# %% [markdown]
# The five whose absence, one by one, changes most change it together by {{change of the logit without five constituents, largest effect}}, and the five hardest by as much, {{change of the logit without five constituents, hardest}}; the five most attended by {{change of the logit without five constituents, most attention}}, and five at random by {{change of the logit without five constituents, at random}}.
# Attention and effect are two orders: their rank correlation is {{rank correlation of attention with the effect, mean over jets}}.
# A reason may be that the layers before have mixed the constituents, so that a slot no longer speaks for itself alone.
# In this network attention is no substitute for leaving one out.
#
# ## How many jets does it take?
#
# One training of each on 2000 jets is an anecdote.
# We have trained all of them three times with 500, 2000 and 12 000 of the shipped training jets, and kept the scores on the test jets (so from here on the test is open, and we choose nothing more):
# `python benchmarks/clouds_study.py data curves --sizes 500,2000,12000`, some hours of one CPU core.
# For 500 and 2000 the jets are drawn anew each time, the same for all taggers; 12 000 are all there are, so that there only the networks begin differently, and the trees not at all.
# To choose its best epoch, each network also looks at 1000 to 4000 labelled validation jets, more than it learns from at the smallest size; the trees do without.
# **Guess:** at which size does a network overtake the boosted trees on thirteen observables? And which one gains most from more jets?

# %%
study = np.load(fetch("clouds.npz"))
tested = study["labels"]
TAGGERS = ("boosted trees", "PFN", "ParticleNet", "transformer", "transformer fine-tuned", "LorentzNet")


def runs(tagger, size):
    """Scores on the test jets of all trainings of a tagger with so many jets, (seeds, N) float32, by seed."""
    chosen = np.flatnonzero((study["taggers"] == tagger) & (study["sizes"] == size))
    return study["scores"][chosen[np.argsort(study["seeds"][chosen])]].astype(np.float32)


def mean(found):
    """Mean of what several trainings gave, and its error: of counting and of seeds."""
    values = [each.value for each in found]
    return np.mean(values), np.hypot(found[0].error, np.std(values, ddof=1) / np.sqrt(len(values)))


def mean_auc(rows):
    """Mean AUC of several trainings, and its error."""
    return mean([auc(tested, row) for row in rows])


# %%
with figure("learning-curves", size=(8, 5)) as ax:
    for tagger, line in zip(TAGGERS, ("x:", "o-", "s--", "v-.", "^-", "D-"), strict=True):
        sizes = [size for size in (500, 2000, 12000) if len(runs(tagger, size)) > 1]
        values, errors = zip(*(mean_auc(runs(tagger, size)) for size in sizes), strict=True)
        ax.errorbar(sizes, values, errors, fmt=line, capsize=3, label=tagger)
    ax.set(xscale="log", xlabel="training jets", ylabel=f"AUC ({len(tested)} test jets, mean of three trainings)")
    ax.legend(fontsize=9)


# %%
def paired(tagger, other, size):
    """Mean difference of two taggers, seed by seed on the same jets, and its error."""
    pairs = zip(runs(tagger, size), runs(other, size), strict=True)
    return mean([auc_difference(tested, a, b) for a, b in pairs])


for size in (500, 2000, 12000):
    for tagger in TAGGERS[1:]:
        if len(runs(tagger, size)) > 1:
            value, error = paired(tagger, "boosted trees", size)
            show(f"{size} jets: {tagger} minus boosted trees", value, 4, error=error)

# %% [markdown]
# Three things to see.
#
# *What is built in need not be learned.* Of the networks that learn from these jets alone, with 500 only LorentzNet is ahead of the trees, by {{500 jets: LorentzNet minus boosted trees}}, although these get thirteen observables that people have thought of.
# With more jets its lead melts: {{2000 jets: LorentzNet minus boosted trees}} with 2000 and {{12000 jets: LorentzNet minus boosted trees}} with 12 000.
#
# *What is learned wants jets.* ParticleNet begins far behind, {{500 jets: ParticleNet minus boosted trees}}, is level with 2000, and with 12 000 it is ahead of the trees, by {{12000 jets: ParticleNet minus boosted trees}}.
# On lesson 9's scoreboard the trees were ahead of the PFN; here is what beats them, and at which size.
#
# *Attention is hungry, unless it was fed before.* From scratch the transformer is far behind with 500 and 2000 jets, and then it overtakes trees and LorentzNet, too: {{12000 jets: transformer minus boosted trees}} with 12 000.
# Fine-tuned, the same network is ahead of the trees at every size, by {{500 jets: transformer fine-tuned minus boosted trees}}, {{2000 jets: transformer fine-tuned minus boosted trees}} and {{12000 jets: transformer fine-tuned minus boosted trees}}.
#
# And beyond the shipped sample?
# `coursekit simulate toptag --jets 168000 --seed 3 --jobs 2 --folder big` made more jets of the same kind, in 40 minutes on two busy cores.
# `python benchmarks/clouds_study.py big many --sizes 100000` trained each tagger but the fine-tuned one three times, with the seeds 1, 2 and 3, on 100 000 of them, the networks for six epochs; and because the PFN is done in less than a minute, we gave it 18 epochs, too (`--taggers PFN --longer 3`).
# On the 33 600 test jets of this sample we have recorded, with the errors of counting and of seeds, and with the median time of a training on one core:
#
# | tagger | AUC | minus the PFN of 18 epochs | $1/\epsilon_B$ at $\epsilon_S = 0.5$ | at 0.3 | time |
# |---|---|---|---|---|---|
# | EFN, 6 epochs | 0.9666 ± 0.0009 | -0.0176 ± 0.0007 | 60 ± 4 | 129 ± 14 | 38 s |
# | boosted trees | 0.9790 ± 0.0006 | -0.0051 ± 0.0003 | 201 ± 23 | 919 ± 221 | 26 s |
# | CNN, 6 epochs | 0.9793 ± 0.0007 | -0.0049 ± 0.0005 | 169 ± 18 | 550 ± 111 | 76 s |
# | LorentzNet, 6 epochs | 0.9816 ± 0.0007 | -0.0026 ± 0.0005 | 199 ± 32 | 665 ± 146 | 13 min |
# | PFN, 6 epochs | 0.9819 ± 0.0007 | -0.0022 ± 0.0003 | 199 ± 21 | 704 ± 155 | 42 s |
# | PFN, 18 epochs | 0.9842 ± 0.0005 | | 295 ± 46 | 976 ± 267 | 106 s |
# | ParticleNet, 6 epochs | 0.9842 ± 0.0006 | +0.0001 ± 0.0002 | 252 ± 35 | 723 ± 145 | 14 min |
# | transformer, 6 epochs | 0.9850 ± 0.0006 | +0.0008 ± 0.0003 | 273 ± 33 | 1055 ± 266 | 13 min |
#
# The trees have gained next to nothing from eight times as many jets, and the PFN and all three networks of this lesson have passed them.
# Among networks that took six epochs each, ParticleNet is ahead of the PFN by 0.0023 ± 0.0003 on the same jets, and the transformer by 0.0030 ± 0.0003.
# But the PFN had not finished: with three times the epochs it is level with the ParticleNet of six, in an eighth of the time, and only the transformer stays ahead, by 0.0008 ± 0.0003.
# Eighteen epochs of ParticleNet or of the transformer take more than two hours of a core, or four minutes of an H200, a large GPU, on which we trained each of them once: both reach 0.9855 ± 0.0005, ahead of the PFN of 18 epochs by 0.0014 ± 0.0002 on the same jets (the error is that of counting, since one training tells nothing of seeds), with rejections of 301 ± 40 and 295 ± 39 at 50%.
# For equal epochs they lead, then, and the lead shrinks: it was 0.0023 and 0.0030 after six.
# So a ranking is one of networks *and* of the time they were given, and a table without the second is half a table.
# LorentzNet, best with 500 jets, is now behind the other two: what was built in no longer helps, and its 32 constituents and 14 000 parameters hold it back.
#
# ## The price
#
# What does it cost?
# Parameters are what a network stores; *operations* are what it computes for one jet, counted by PyTorch while it runs (a product and an addition are two); jets per second are what a user waits for, from momenta to scores, here on one core of the machine that did the study.
# (Operations are those of products of matrices, the bulk; finding neighbours and the like are not counted.)
#
# **Guess:** where in the plane of cost and quality does each tagger stand? Draw it on paper before you look.

# %%
from coursekit.metrics import rejection


def price(tagger):
    """Of the trainings with 12 000 jets: rejection at 50%, parameters, operations and jets per second."""
    found = mean([rejection(tested, row, 0.5) for row in runs(tagger, 12000)])
    return *found, *study["prices"][priced.index(tagger)]


priced = study["priced"].tolist()
for tagger in priced:
    value, error, parameters, n_operations, speed = price(tagger)
    show(f"{tagger}: rejection at 50%", value, 0, error=error)
    if not np.isnan(parameters):
        show(f"{tagger}: parameters", int(parameters))
        show(f"{tagger}: million operations per jet", n_operations / 1e6, 1)
    show(f"{tagger}: jets per second", speed.round(-2), 0, spread=int(speed / 200) * 100)

# %%
with figure("price", size=(8, 5.2)) as ax:
    for tagger, marker in zip(priced, "xP*osv^D", strict=True):
        value, error, parameters, n_operations, speed = price(tagger)
        label = f"{tagger}" if np.isnan(parameters) else f"{tagger}: {parameters / 1000:.0f}k parameters"
        ax.errorbar(speed, value, error, fmt=marker, markersize=9, capsize=3, label=label)
    ax.set(xscale="log", xlabel="jets per second of one core, with the observables where they are needed")
    ax.set(ylabel=r"background rejection at $\epsilon_S = 0.5$" + f" ({len(tested)} test jets)")
    ax.legend(fontsize=9)

# %% [markdown]
# Read the plane from right to left.
# The networks on sets are the cheapest by far, thirty times as fast as the graph: the EFN, which gives up rejection so that theory can calculate it, and the PFN.
# The CNN stands between, with pictures that must be drawn first.
# Trees are cheap, their observables are not: nearly all of their time goes into energy correlations and subjettiness.
# LorentzNet, the transformer and ParticleNet cost much the same, five to eight million operations per jet, six to ten times those of the PFN.
# They pay for pairs: 50 constituents have 1225 of them.
# Whether that is worth a factor of fifteen to thirty in time depends on the place: a trigger must answer in microseconds, an analysis of stored jets can wait.
# (Of 2000 QCD jets in the test a rejection of 100 leaves 20 and one of 200 leaves 10: the errors are a fifth to a third, and the ranking is that of the AUC, which uses all jets.)
#
# ## What pretraining is worth
#
# The same transformer from scratch and fine-tuned, with 200, 1000 and 5000 labelled jets, three times each, recorded by the same program.
# **Guess:** how many jets from scratch are worth 200 after pretraining?

# %%
PAIR = {"transformer": "v-.", "transformer fine-tuned": "^-"}
with figure("fine-tuning", size=(7, 4.6)) as ax:
    for tagger, line in PAIR.items():
        values, errors = zip(*(mean_auc(runs(tagger, size)) for size in (200, 1000, 5000)), strict=True)
        ax.errorbar((200, 1000, 5000), values, errors, fmt=line, capsize=3, label=tagger)
    ax.set(xscale="log", xlabel="labelled jets", ylabel=f"AUC ({len(tested)} test jets, mean of three trainings)")
    ax.legend()
for size in (200, 1000, 5000):
    for tagger in PAIR:
        value, error = mean_auc(runs(tagger, size))
        show(f"AUC, {size} labelled jets, {tagger}", value, 3, error=error)
    value, error = paired("transformer fine-tuned", "transformer", size)
    show(f"{size} labelled jets: gain by pretraining", value, 3, error=error)

# %% [markdown]
# With 200 labelled tops and QCD jets, the network that knew six other kinds of jets is about as good as one that learns from 2000 from scratch, and with 1000, {{AUC, 1000 labelled jets, transformer fine-tuned}}, it is better than one from scratch with 5000, {{AUC, 5000 labelled jets, transformer}}.
# That is the way in which large networks are used today: they learn what jets are from all jets that a simulation can make, and the few that are dear only teach them the question.
# The errors of the left-most points are large: which 200 jets one happens to have matters more than anything else.
#
# ## The test, once
#
# Now the networks of this notebook meet the test jets.
# `record` keeps the scores of the networks of this notebook, `recorded` gives those of the earlier lessons on the same jets.

# %%
from coursekit.ledger import record, recorded

test_jets, true = load_jets(fetch(test))
on_test = {}
for name, model in models.items():
    features = pack if name == "LorentzNet" else upright
    on_test[name] = predict(model, PackedJets(*features(test_jets), true).to(DEVICE))[:, 0]
    found = auc(true, on_test[name])
    show(
        f"test jets: AUC, {name}, {len(labels['training'])} training jets",
        found.value,
        3,
        error=np.hypot(found.error, 0.003),
    )
    if name != "PFN":  # lesson 9 has recorded one
        record(WORK, f"{name}, lesson 11", true, on_test[name], n_training=len(labels["training"]))

# %% [markdown]
# And now the ladder: all taggers of the course, each trained on the 12 000 shipped jets (the fine-tuned transformer knows 64 800 others besides), on the same test jets, in the order of their AUC.
# Beside ours stand the published rejections, of networks that have learned from a hundred times as many jets.

# %%
PUBLISHED = {"PFN": 247, "ParticleNet": 325, "transformer": 413, "LorentzNet": 498}
ours = {name: runs(name, 12000) for name in priced}
AGAIN = {"all, trees", "PFN", "EFN", "CNN, standardised images"}  # these are in the study, too
ours |= {
    name: entry.score[None]
    for name, entry in recorded(WORK, tested).items()
    if entry.n_training == 12000 and name not in AGAIN
}
areas_of = {name: np.mean([auc(tested, row).value for row in scores]) for name, scores in ours.items()}
order = sorted(areas_of, key=areas_of.get)
with figure("ladder", size=(9, 0.4 * len(order) + 1)) as ax:
    for i, name in enumerate(order):
        found = [rejection(tested, row, 0.5) for row in ours[name]]
        value, error = np.mean([f.value for f in found]), found[0].error
        ax.errorbar(value, i, xerr=error, fmt="o", color="C0", capsize=3)
        if name in PUBLISHED:
            ax.plot(PUBLISHED[name], i, "D", color="C1", fillstyle="none")
        ax.text(1.02, i, f"AUC {areas_of[name]:.3f}", transform=ax.get_yaxis_transform(), va="center")
    ax.set_yticks(range(len(order)), order)
    ax.set(xscale="log", xlabel=r"rejection at $\epsilon_S = 0.5$; diamonds: published, 1.2 million training jets")

# %% [markdown]
# Where ours and the published ones differ, three reasons stand in line.
# *The sample*: theirs have learned from 1.2 million jets, ours from 12 000, and with 100 000 the AUCs of all networks still rose, as the table above has it.
# *The size*: our ParticleNet is the published Lite one, the transformer has 79 000 parameters in the place of 2.1 million, and LorentzNet 14 000 in the place of 224 000, with the 32 hardest constituents only.
# *The jets*: ours are made like those of the public set, and are not the same; its detector simulation differs from ours in a dozen details (lesson 6).
# So a published number beside ours is a hint, not a measurement.
#
# ## Where you stand

# %%
progress()

# %% [markdown]
# ## What we found
#
# 1. What a sum of single constituents hardly sees, neighbours and pairs do: with 12 000 jets ParticleNet and the transformer beat the boosted trees of lesson 8, by {{12000 jets: ParticleNet minus boosted trees}} and {{12000 jets: transformer minus boosted trees}} in AUC.
# 2. Symmetry is worth data: LorentzNet, which cannot but answer the same for all observers, leads with 500 jets; and a test of one's own network, on an order, a boost, a rotation, is how one knows that it does.
# 3. Pretraining is worth more labels than any architecture: a transformer that knew other jets is better with 1000 labelled ones, {{0.976 = AUC, 1000 labelled jets, transformer fine-tuned}}, than from scratch with 5000, {{0.970 = AUC, 5000 labelled jets, transformer}}.
#
# **One limitation:** all taggers of this course learned from one simulation, and none has seen a jet of data.
# What they have learned of the simulation's parton shower, and how much of it is true, no test on simulated jets can say.
#
# **Next:** lesson 12 tags the flavour of jets, with tracks in the place of constituents, and takes networks to C++.
#
# **Further reading:** ParticleNet, [arXiv:1902.08570](https://arxiv.org/abs/1902.08570); dynamic graphs, [arXiv:1801.07829](https://arxiv.org/abs/1801.07829); attention, [arXiv:1706.03762](https://arxiv.org/abs/1706.03762); the Particle Transformer, [arXiv:2202.03772](https://arxiv.org/abs/2202.03772);
# LorentzNet, [arXiv:2201.08187](https://arxiv.org/abs/2201.08187); PELICAN, [arXiv:2211.00454](https://arxiv.org/abs/2211.00454); a transformer that is equivariant, L-GATr, [arXiv:2405.14806](https://arxiv.org/abs/2405.14806); whether attention explains, [arXiv:1902.10186](https://arxiv.org/abs/1902.10186).
