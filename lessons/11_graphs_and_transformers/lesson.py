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
# **Time:** 130 minutes, with a place for a break in the middle; the notebook itself runs in about 90 seconds on two CPU cores.

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
# ## The settings, all in one place

# %%
import torch
from torch import nn
from torch.nn import functional as F

# %% [markdown]
# ## A jet as a graph
#
# ### Your turn 11.1 · 8 min · ★★
#
# Write `nearest(points, k)`: from the coordinates of the $P$ constituents of one jet, `points` $(P, D)$, to the numbers of the $k$ nearest *other* constituents of each, an int64 tensor $(P, k)$, the nearest first.
# The distance is the Euclidean one, in all $D$ coordinates, and $k$ is smaller than $P$.
# No constituent is a neighbour of its own, but another one in exactly the same place is: a cell of a calorimeter has one position, whatever flies into it.
# (Which of two at the same distance comes first does not matter.)


# %% tags=["exercise", "ex-11.1"]
def nearest(points, k): ...


# %% tags=["check", "ex-11.1"]
check("11.1", nearest)
nearest = or_reference("11.1", nearest)

# %% [markdown]
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
# ## Neighbours that are not there
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

# %% [markdown]
# ## Attention
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
# ## Symmetry
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

# %% [markdown]
# ## What they look at
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

# %% [markdown]
# ## Where you stand

# %%
progress()

# %% [markdown]
# ## What we found
