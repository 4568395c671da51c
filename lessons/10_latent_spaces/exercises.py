"""Exercises of lesson 10: looking into a latent space, regression, a generator of jets and how to judge it."""

from itertools import pairwise
from unittest import mock

import numpy as np
import torch
from scipy.linalg import block_diag
from scipy.stats import binned_statistic, sem, wasserstein_distance
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors
from sklearn.preprocessing import StandardScaler
from torch import nn

from coursekit.checks import call, demands, describe, exercise, fail
from coursekit.metrics import Estimate, auc
from coursekit.nets import gan
from coursekit.nets.deepsets import DeepSets, pool


def packed_jets():
    rng = np.random.default_rng(101)
    counts = torch.tensor(rng.integers(1, 9, 30))
    yield torch.tensor(rng.normal(size=(int(counts.sum()), 3)), dtype=torch.float32), counts


def latent_and_left_behind(function, *jets):
    seen = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(101)
        model = DeepSets(3, phi=(16,), latent=4, rho=(5,))
        model.phi[-1] = nn.Dropout(0.5)  # in the place of a ReLU: latent numbers of both signs
        model.phi.register_forward_hook(lambda phi, _, rows: seen.append((phi, rows.requires_grad)))
        vectors = call(function, model, *jets, name="latent_vectors")
    return {
        "the array of latent vectors": vectors,
        "whether gradients were recorded": any(recorded for _, recorded in seen),
        "whether parameters stay frozen": not all(p.requires_grad for phi, _ in seen for p in phi.parameters()),
    }


def evaluated(vectors):
    """Return what those write who switch off dropout and gradients, and take other vectors."""
    return torch.no_grad()(lambda m, x, n: vectors(m.eval(), x, n).numpy())


@exercise(
    "10.1",
    "the latent vectors of a network",
    cases=packed_jets,
    observe=latent_and_left_behind,
    tolerance={"atol": 1e-5},
    hints=(
        "The network can compute them itself: model.latent(features, counts).",
        "model.eval() switches off what is meant for the training alone; `with torch.no_grad():` records no gradients.",
        "A tensor becomes an array with .cpu().numpy(); .cpu() fetches it from a GPU, if there is one.",
    ),
    mistakes={
        "The model is in training mode, in which dropout switches units off at random: two calls with the same jets give different vectors. Call model.eval() first.": torch.no_grad()(lambda m, x, n: m.latent(x, n).numpy()),
        "The model is in training mode, and dropout switches units off at random; and gradients were recorded. model.eval() first, and `with torch.no_grad():`.": lambda m, x, n: m.latent(x, n).detach().numpy(),
        "These are the outputs of the network, one for each jet. The latent vectors are what goes into rho.": evaluated(lambda m, x, n: m(x, n)),
        "There is one row for each constituent: these are the phi(x_i). The latent vector of a jet is their sum.": evaluated(lambda m, x, n: m.phi(x)),
        "The negative numbers are cut to zero: this is after another activation. Take the vectors as they go into rho.": evaluated(lambda m, x, n: torch.relu(m.latent(x, n))),
        "This is the mean over the constituents; the network works with the sum, and model.latent knows it.": evaluated(lambda m, x, n: m.latent(x, n) / n[:, None]),
        "These are the vectors after the first layer of rho.": evaluated(lambda m, x, n: m.rho[0](m.latent(x, n))),
        "These are the vectors after the first layer of rho and its activation.": evaluated(lambda m, x, n: m.rho[:2](m.latent(x, n))),
        "The vectors are a tensor; the lesson goes on with NumPy and scikit-learn: .cpu().numpy() at the end.": torch.no_grad()(lambda m, x, n: m.eval().latent(x, n)),
        "The vectors are right, but gradients were recorded on the way, which takes several times the memory: put the call of the model inside `with torch.no_grad():`.": lambda m, x, n: m.eval().latent(x, n).detach().numpy(),
        "The parameters stay frozen after the call, and no later training would learn anything. `with torch.no_grad():` ends by itself; requires_grad_(False) does not.": lambda m, x, n: m.eval().requires_grad_(False).latent(x, n).numpy(),
        "still carries its gradients": lambda m, x, n: m.eval().latent(x, n).numpy(),
        "gradients stay switched off": lambda *given: (torch.set_grad_enabled(False), latent_vectors(*given))[1],
    },
    accepted=[
        torch.inference_mode()(lambda m, x, n: np.asarray(m.train(False).latent(x, n), dtype=np.float64)),
        evaluated(lambda m, x, n: torch.stack([rows.sum(dim=0) for rows in m.phi(x).split(n.tolist())])),
    ],
)
def latent_vectors(model, features, counts):
    model.eval()
    with torch.no_grad():
        return model.latent(features, counts).cpu().numpy()


def clouds():
    rng = np.random.default_rng(102)
    # two blocks, which np.linalg.eig takes one after the other: it does not sort
    mixing = block_diag(*(np.linalg.qr(part)[0] for part in rng.normal(size=(2, 3, 3)))) * [1, 0.7, 3, 5, 0.4, 2]
    offset = mixing @ rng.normal(size=6) * 3 + 4
    noise = rng.normal(size=(400, 6))
    train = 20 * np.linalg.qr(noise - noise.mean(axis=0))[0] @ mixing.T + offset
    other = (rng.normal(size=(250, 6)) * [1, 2, 1, 0.5, 1.5, 1] + [0, 0, 0, 1.5, 0, 0]) @ mixing.T + offset
    yield from ((train, other, k) for k in (3, 2))


def up_to_signs(function, *given):
    """Turn each column so that it begins with a positive number: the sign of a direction is a convention."""
    answer = call(function, *given, name="principal_components")
    if not isinstance(answer, tuple | list) or np.ndim(answer[0]) != 2:
        return answer
    return answer[0] * np.sign(answer[0][:1]), *answer[1:]


def analysed(
    coordinates=lambda x, k, s, axes: x @ axes[:k].T,
    shares=lambda s2, k: s2[:k] / s2.sum(),
    centre=lambda train: train.mean(axis=0),
    of_other=lambda train, other: train.mean(axis=0),
):
    """Return what those write who take one of the steps in another way."""

    def wrong(train, other, k):
        _, s, axes = np.linalg.svd(train - centre(train), full_matrices=False)
        return coordinates(other - of_other(train, other), k, s, axes), shares(s**2, k)

    return wrong


@exercise(
    "10.2",
    "the principal components",
    cases=clouds,
    observe=up_to_signs,
    returns=("the array of coordinates", "the array of shares"),
    tolerance={"rtol": 1e-4, "atol": 1e-6},
    hints=(
        "Subtract the mean of each column of `train` first, from both arrays.",
        "_, s, axes = np.linalg.svd(train - mean, full_matrices=False): the rows of `axes` are the directions, the largest variance first.",
        "Coordinates: (other - mean) @ axes[:k].T. Variances are proportional to s**2.",
    ),
    mistakes={
        "Nothing was centred: the first direction then points to the mean of the cloud, not along its largest spread.": analysed(centre=lambda x: 0, of_other=lambda *both: 0),
        "The training vectors were not centred before the directions were looked for: the first one points to their mean.": analysed(centre=lambda x: 0),
        "The directions are right, but the other vectors were not centred: subtract the mean of `train` from them, too.": analysed(of_other=lambda *both: 0),
        "The other vectors were centred with their own mean. The same jet would get different coordinates in different samples.": analysed(of_other=lambda train, other: other.mean(axis=0)),
        "The directions were fitted to the other vectors. They come from `train` alone.": lambda train, other, k: principal_components(other, other, k),
        "The mean was taken over the wrong axis, over the numbers of each jet. Centre each column: axis=0.": analysed(centre=lambda x: x.mean(axis=1, keepdims=True), of_other=lambda train, other: other.mean(axis=1, keepdims=True)),
        "These are the directions of the smallest variance: np.linalg.eigh sorts upwards.": analysed(lambda x, k, s, axes: x @ axes[::-1][:k].T, lambda s2, k: s2[::-1][:k] / s2.sum()),
        "These are the directions of the smallest variance: np.linalg.eigh sorts upwards, and the last are the largest.": analysed(lambda x, k, s, axes: x @ axes[-k:].T, lambda s2, k: s2[-k:] / s2.sum()),
        "The directions come as np.linalg.eig found them, in no order. Sort them, the largest variance first.":
            lambda train, other, k: ((other - train.mean(axis=0)) @ (found := np.linalg.eig(np.cov(train.T)))[1][:, :k], found[0][:k] / found[0].sum()),
        "These are the right directions in reversed order: the largest variance comes first.": analysed(lambda x, k, s, axes: x @ axes[:k][::-1].T, lambda s2, k: s2[:k][::-1] / s2.sum()),
        "Rows and columns of the matrix of directions are mixed up: the directions are the rows of the third result of np.linalg.svd.": analysed(lambda x, k, s, axes: x @ axes[:, :k]),
        "Each coordinate was divided by its spread. That hides which direction is the important one.": analysed(lambda x, k, s, axes: x @ axes[:k].T / (s[:k] / np.sqrt(400))),
        "Each coordinate was divided by its singular value.": analysed(lambda x, k, s, axes: x @ axes[:k].T / s[:k]),
        "The columns were scaled to spread one first. Here the latent numbers have one unit, and their spread is information.": lambda train, other, k: principal_components(train / train.std(axis=0), other / train.std(axis=0), k),
        "These are the coordinates of the training vectors; `other` is asked for.": lambda train, other, k: principal_components(train, train, k),
        "Rows and columns are exchanged: one row for each jet.": analysed(lambda x, k, s, axes: axes[:k] @ x.T),
        "All coordinates are there; keep the first k.": analysed(lambda x, k, s, axes: x @ axes.T),
        "Singular values are lengths, variances are their squares: s**2.": analysed(shares=lambda s2, k: np.sqrt(s2)[:k] / np.sqrt(s2).sum()),
        "These are shares of the first k variances; the others are variance, too.": analysed(shares=lambda s2, k: s2[:k] / s2[:k].sum()),
        "These are variances; divide by the sum of all.": lambda *given: (principal_components(*given)[0], PCA(given[2]).fit(given[0]).explained_variance_),
        "These are variances; divide by their sum over all directions.": analysed(shares=lambda s2, k: s2[:k] / 400),
        "These are the squared singular values; divide by the sum of all.": analysed(shares=lambda s2, k: s2[:k]),
        "These are sums from the first to each: give the share of each direction.": analysed(shares=lambda s2, k: np.cumsum(s2[:k]) / s2.sum()),
        "All shares are there; keep the first k.": analysed(shares=lambda s2, k: s2 / s2.sum()),
        "The mean still takes part in these shares: centre before.": lambda *given: (principal_components(*given)[0], analysed(centre=lambda x: 0)(*given)[1]),
        "These are the spreads of the *other* vectors, as shares. The shares are those of `train`.": lambda *given: (xs := principal_components(*given)[0], xs.var(axis=0) / given[1].var(axis=0).sum()),
    },
    accepted=[
        lambda train, other, k: ((pca := PCA(k).fit(train)).transform(other), pca.explained_variance_ratio_),
        lambda train, other, k: (
            (train.mean(axis=0) - other) @ (found := np.linalg.eigh(np.cov(train.T)))[1][:, : -k - 1 : -1],
            found[0][: -k - 1 : -1] / found[0].sum(),
        ),
    ],
)
def principal_components(train, other, k):
    mean = train.mean(axis=0)
    _, s, axes = np.linalg.svd(train - mean, full_matrices=False)
    return (other - mean) @ axes[:k].T, s[:k] ** 2 / (s**2).sum()


def two_classes():
    rng = np.random.default_rng(103)
    labels = (rng.random(160) < 0.3).astype(int)
    vectors = rng.normal(size=(160, 4)) * [1, 1, 1, 3] + 0.9 * labels[:, None]
    yield from ((vectors, labels, k) for k in (5, 12))
    yield vectors, labels + (rng.random(160) < 0.4), 4  # three classes


def same(vectors, labels, k, **how):
    """Return whether the jet itself and its k nearest, in this order, have its label, (N, k + 1)."""
    near = NearestNeighbors(n_neighbors=k + 1, **how).fit(vectors).kneighbors(vectors)[1]
    return labels[near] == labels[:, None]


def labels_of_neighbours(vectors, labels, k):
    return labels[NearestNeighbors(n_neighbors=k).fit(vectors).kneighbors()[1]]


@exercise(
    "10.3",
    "how often neighbours are of the same class",
    cases=two_classes,
    returns=("the share",),
    hints=(
        "NearestNeighbors(n_neighbors=...).fit(vectors).kneighbors(vectors) returns distances and places, both (N, k).",
        "The nearest vector to a jet is the jet itself: ask for k + 1 and leave out the first column.",
        "labels[places] == labels[:, None] is True where a neighbour is of the same class.",
    ),
    mistakes={
        "The nearest neighbour of each jet is the jet itself, and it always agrees with itself. Leave it out.": lambda v, labels, k: same(v, labels, k - 1).mean(),
        "There are k + 1 neighbours in this mean, the jet itself among them. Leave out the first column.": lambda v, labels, k: same(v, labels, k).mean(),
        "Two columns were left out. Only the first one is the jet itself.": lambda v, labels, k: same(v, labels, k)[:, 2:].mean(),
        "There are k - 1 neighbours in this mean: ask for k + 1 and leave out the jet itself.": lambda v, labels, k: same(v, labels, k - 1)[:, 1:].mean(),
        "This is the share of neighbours of class 1. Compare the class of the neighbour with that of the jet.": lambda v, labels, k: labels_of_neighbours(v, labels, k).mean(),
        "1 - |difference of the labels| is right for two classes, 0 and 1, alone. labels[places] == labels[:, None] asks whether they are the same.": lambda v, labels, k: np.mean(1 - abs(labels_of_neighbours(v, labels, k) - labels[:, None])),
        "Each neighbour is compared with the larger class of all, not with the class of its jet.": lambda v, labels, k: (labels_of_neighbours(v, labels, k) == np.round(labels.mean())).mean(),
        "This is the share of jets whose neighbours vote for the right class, the accuracy of a classifier. The share of the neighbours themselves is asked for.":
            lambda v, labels, k: np.mean((labels_of_neighbours(v, labels, k).mean(axis=1) > 0.5) == labels),
        "This is the accuracy of a classifier, in whose vote each jet takes part itself.": lambda v, labels, k: KNeighborsClassifier(k).fit(v, labels).score(v, labels),
        "This is the share of neighbours of the *other* class.": lambda v, labels, k: 1 - neighbour_purity(v, labels, k),
        "These are the k farthest jets.": lambda v, labels, k: same(v, labels, len(v) - 1)[:, -k:].mean(),
        "Only the k-th neighbour counts here. Take the mean over all k.": lambda v, labels, k: same(v, labels, k)[:, k].mean(),
        "Neighbours are those of the smallest angle here (cosine); the Euclidean distance is asked for.": lambda v, labels, k: same(v, labels, k, metric="cosine")[:, 1:].mean(),
        "The distance is a sum of absolute differences; the usual one is the root of the sum of squares.": lambda v, labels, k: same(v, labels, k, p=1)[:, 1:].mean(),
        "This is the sum over the neighbours; take the mean.": lambda v, labels, k: same(v, labels, k)[:, 1:].sum(axis=1).mean(),
        "This is one share for each jet; take the mean over all of them.": lambda v, labels, k: same(v, labels, k)[:, 1:].mean(axis=1),
    },
    accepted=[
        lambda v, y, k: np.mean([y[((v - v[i]) ** 2).sum(axis=1).argsort()[1 : k + 1]] == y[i] for i in range(len(v))]),
        lambda v, labels, k: float((labels_of_neighbours(v, labels, k) == labels[:, None]).sum() / (k * len(v))),
    ],
)
def neighbour_purity(vectors, labels, k):
    _, near = NearestNeighbors(n_neighbors=k + 1).fit(vectors).kneighbors(vectors)
    return np.mean(labels[near[:, 1:]] == labels[:, None])


def targets_and_outputs():
    rng = np.random.default_rng(104)
    for n_columns in (2, 3):
        mean, spread, tail = (np.array(row)[:n_columns] for row in ((150, 0.25, 40), (60, 0.05, 15), (20, 0.02, 9)))
        train = rng.normal(mean, spread, (3000, n_columns)) + rng.exponential(tail, (3000, n_columns))
        other = rng.normal(mean + tail, spread / 2, (200, n_columns))
        yield train, other, np.outer([-2.0, -1, 0, 0.3, 1.5], np.ones(n_columns))


def there_and_back(function, train, other, outputs):
    answer = call(function, train, name="make_scale")
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        fail(f"make_scale returns two functions, forward and back, not their results; what came is {describe(answer)}.")
    forward, back = answer
    call(function, other, name="make_scale")  # a second scale, for other targets, leaves the first as it is
    return {
        "what forward makes of other jets": call(forward, other, name="forward"),
        "what back makes of outputs": call(back, outputs, name="back"),
        "a single jet, there and back,": call(back, call(forward, other[:1], name="forward"), name="back"),
    }


def scaled(
    forward=lambda x, m, s: (x - m) / s,
    back=lambda x, m, s: x * s + m,
    centre=lambda train: train.mean(axis=0),
    width=lambda train: train.std(axis=0),
):
    """Return what those write who make another step of `x`, or with other numbers."""

    def make(train):
        low, size = centre(train), width(train)
        return lambda x: forward(x, low, size), lambda x: back(x, low, size)

    return make


@exercise(
    "10.4",
    "targets to order one and back",
    cases=targets_and_outputs,
    observe=there_and_back,
    tolerance={"rtol": 3e-3, "atol": 3e-3},  # a standard deviation divided by N or N - 1 is the same here
    hints=(
        "Mean and standard deviation of each column of `train`, computed once, outside of the two functions.",
        "A function may be defined inside a function, and remembers what it found there.",
        "forward: (targets - mean) / spread. back: outputs * spread + mean.",
    ),
    mistakes={
        "The other jets were scaled with their own mean and standard deviation. The network was trained with those of the training jets, and its outputs would be scaled back with other numbers.":
            scaled(forward=lambda x, m, s: (x - x.mean(axis=0)) / x.std(axis=0)),
        "One mean and one standard deviation for both columns: a mass in GeV and a C3 of 0.3 need their own. axis=0.": scaled(centre=np.mean, width=np.std),
        "The standard deviation is missing: the mass keeps its size in GeV.": scaled(lambda x, m, s: x - m, lambda x, m, s: x + m),
        "The mean is missing.": scaled(lambda x, m, s: x / s, lambda x, m, s: x * s),
        "This is divided by the variance; divide by the standard deviation.": scaled(lambda x, m, s: (x - m) / s**2, lambda x, m, s: x * s**2 + m),
        "These are shares of the range between the smallest and the largest training target. A single odd jet sets that range; use mean and standard deviation.":
            scaled(centre=lambda train: train.min(axis=0), width=lambda train: np.ptp(train, axis=0)),
        "Nothing has changed.": scaled(lambda x, m, s: x, lambda x, m, s: x),
        "The functions of a first scale change when a second one is made: they read global variables. Keep mean and standard deviation inside make_scale.":
            lambda train: (vars(make_scale).update(m=train.mean(axis=0), s=train.std(axis=0)) or scaled(lambda x, *_: (x - make_scale.m) / make_scale.s, lambda x, *_: x * make_scale.s + make_scale.m)(train)),
        "Targets can have any number of columns K, not two alone.": scaled(lambda x, m, s: (x[:, :2] - m[:2]) / s[:2], lambda x, m, s: x[:, :2] * s[:2] + m[:2]),
        "The mean was added before the multiplication. Undo the steps in reversed order: first times the spread, then plus the mean.": scaled(back=lambda x, m, s: (x + m) * s),
        "The mean is missing: the outputs are differences from it.": scaled(back=lambda x, m, s: x * s),
        "The spread is missing.": scaled(back=lambda x, m, s: x + m),
        "This is forward once more, not back.": scaled(back=lambda x, m, s: (x - m) / s),
        "The outputs were scaled with their own mean and standard deviation.": scaled(back=lambda x, m, s: (x - x.mean(axis=0)) / x.std(axis=0)),
        "The outputs come back as they are: nobody can compare them with a mass in GeV.": scaled(back=lambda x, m, s: x),
        "The mean was subtracted; forward has subtracted it, back adds it.": scaled(back=lambda x, m, s: x * s - m),
        "This is multiplied by the variance; multiply by the standard deviation.": scaled(back=lambda x, m, s: x * s**2 + m),
        "two functions, forward and back, not their results": lambda train: (train - train.mean()) / train.std(),
        "back returned None": scaled(back=lambda x, m, s: None),
    },
    accepted=[
        lambda train: [(fitted := StandardScaler().fit(train)).transform, fitted.inverse_transform],
        scaled(lambda x, m, s: np.array([(row - m) / s for row in x]), width=lambda t: np.std(t, 0, ddof=1)),
    ],
)
def make_scale(train):
    mean, spread = train.mean(axis=0), train.std(axis=0)

    def forward(targets):
        return (targets - mean) / spread

    def back(outputs):
        return outputs * spread + mean

    return forward, back


def jets_in_bins():
    rng = np.random.default_rng(105)
    true = np.round(rng.uniform(0, 100, 6000))  # rounded, so that some lie on an edge
    yield true, 15 + 0.8 * true + rng.normal(0, 4 + 0.05 * true), np.array([20.0, 40.0, 60.0, 90.0])


def binned(bias=np.mean, error=sem, resolution=np.std, inside=lambda x, k, e: (e[k] <= x) & (x < e[k + 1])):
    """Return what those write who take another number, or other bins."""

    def wrong(true, predicted, edges):
        parts = [(predicted - true)[inside(true, k, edges)] for k in range(len(edges) - 1)]
        return tuple(np.array([of(part) for part in parts]) for of in (bias, error, resolution))

    return wrong


def of_scipy(true, predicted, edges):
    bias, spread, n = (binned_statistic(true, predicted - true, how, edges)[0] for how in ("mean", "std", "count"))
    return [bias, spread / np.sqrt(n), spread]


@exercise(
    "10.5",
    "bias, its error, and resolution in bins",
    cases=jets_in_bins,
    returns=("the bias", "the error of the bias", "the resolution"),
    tolerance={"rtol": 1e-3},  # n - 1 or n
    hints=(
        "For each bin select the jets with low <= true < high; what counts is predicted - true.",
        "The bias is the mean of these differences, its error their standard deviation divided by sqrt(n).",
        "The resolution is their standard deviation: .std() subtracts the mean, the root mean square does not.",
    ),
    mistakes={
        "This is the mean of the absolute differences. Too high and too low must cancel: the bias has a sign.": binned(lambda off: np.abs(off).mean()),
        "The sign is reversed: predicted - true, so that a bias above zero means too large.": binned(lambda off: -off.mean()),
        "The jets are in bins of the prediction. Put them in bins of the true value.": lambda t, p, edges: bias_and_resolution(p, p + (p - t), edges),
        "This is the median, which hides the tails; the bias is the mean.": binned(np.median),
        "These are means of relative differences. Keep the unit of the target.": lambda t, p, edges: bias_and_resolution(t, t + (p - t) / np.maximum(t, 1), edges),
        "This is the mean prediction of each bin; subtract the true values.": lambda t, p, edges: bias_and_resolution(t, t + p, edges),
        "A jet on an edge belongs to the bin that begins there: low <= true < high.": binned(inside=lambda x, k, e: (e[k] < x) & (x <= e[k + 1])),
        "A jet on an edge is in two bins here, or in the last one: low <= true < high.": binned(inside=lambda x, k, e: (e[k] <= x) & (x <= e[k + 1])),
        "binned_statistic and np.histogram count the last edge, too. Here low <= true < high, in every bin.": of_scipy,
        "These are the bins one further down: np.digitize numbers the bins from 1, and 0 is what lies below the first edge.": binned(inside=lambda x, k, e: np.digitize(x, e) == k),
        "These are the bins one further up: np.digitize numbers the bins from 1.": binned(inside=lambda x, k, e: np.digitize(x, e) == k + 2),
        "Error and resolution are exchanged: first the bias, then its error, then the resolution.": binned(np.mean, np.std, sem),
        "This is the spread of single jets. The error of their mean is smaller by the root of their number.": binned(error=np.std),
        "Divide by the root of the number of jets, not by the number.": binned(error=lambda off: off.std() / len(off)),
        "Divide by the number of jets in the bin, not by that of all jets.": binned(error=lambda off: off.std() / np.sqrt(6000)),
        "This is the root mean square divided by sqrt(n). The spread is measured from the mean.": binned(error=lambda off: np.linalg.norm(off) / len(off)),
        "This is the root mean square: the bias is still in it. Subtract it first, as .std() does.": binned(resolution=lambda off: np.sqrt((off**2).mean())),
        "This is the variance; take the root.": binned(resolution=np.var),
        "This is the spread of the predictions. It contains that of the true values within the bin.": lambda t, p, edges: (*bias_and_resolution(t, p, edges)[:2], bias_and_resolution(t, t + p, edges)[2]),
        "This is the mean absolute difference.": binned(resolution=lambda off: np.abs(off).mean()),
        "This is relative to the true value. Keep the unit of the target.": lambda t, p, edges: (*bias_and_resolution(t, p, edges)[:2], bias_and_resolution(t, t + p / np.maximum(t, 1) - 1, edges)[2]),
        "This is the error of the mean once more.": binned(resolution=sem),
        "should return the bias and the error of the bias and the resolution": lambda *jets: np.zeros((2, 3)),
    },
    accepted=[
        binned(resolution=lambda off: off.std(ddof=1), inside=lambda x, k, e: np.digitize(x, e) == k + 1),
        lambda t, p, edges: of_scipy(t[t < edges[-1]], p[t < edges[-1]], edges),
        lambda *jets: np.array(bias_and_resolution(*jets)),
    ],
)
def bias_and_resolution(true, predicted, edges):
    bias, error, resolution = [], [], []
    for low, high in pairwise(edges):
        off = (predicted - true)[(true >= low) & (true < high)]
        bias.append(off.mean())
        error.append(off.std() / np.sqrt(len(off)))
        resolution.append(off.std())
    return np.array(bias), np.array(error), np.array(resolution)


def samples():
    rng = np.random.default_rng(106)
    yield rng.gamma(4.0, 10.0, 2000), 50, 120, np.random.default_rng(1)
    yield np.array([0.0, 1.0, 1.0, 2.0]), 2, 40, np.random.default_rng(2)  # however they are divided, the distance is 1
    yield np.array([0.0, 0.0, 1.0, 1.0]), 1, 200, np.random.default_rng(3)  # the two differ in two draws of three
    yield np.array([0.0, 1.0]), 1, 1, np.random.default_rng(4)  # the two always differ


def over_four_generators(function, values, n, n_pairs, rng):
    floors = [call(function, values, n, n_pairs, one, name="floor") for one in rng.spawn(4)]
    mean = np.mean(floors, axis=0)
    # a single pair scatters by a third, the mean of 120 by a thirtieth
    scatters = bool(np.all(np.std(floors, axis=0) > 0.17 * mean))
    return {"whether the floor scatters like that of a single pair": scatters, "the floor": mean}


def paired(
    two=lambda v, n, rng: np.split(rng.permutation(v)[: 2 * n], 2), combine=np.mean, distance=wasserstein_distance
):
    """Return what those write who draw the two samples, or combine the distances, in another way."""
    return lambda values, n, n_pairs, rng: combine([distance(*two(values, n, rng)) for _ in range(n_pairs)])


@exercise(
    "10.6",
    "the distance between two true samples",
    cases=samples,
    observe=over_four_generators,
    demands=[lambda function, *drawn: len(drawn[0]) > 4 and demands.given_generator(function, *drawn)],
    tolerance={"rtol": 0.1},  # the means over four generators scatter by 2%
    hints=(
        "One pair: 2 n jets drawn without replacement, the first n against the last n.",
        "drawn = rng.permutation(values)[: 2 * n]; wasserstein_distance(drawn[:n], drawn[n:]).",
        "The mean over n_pairs such distances, each with a new draw.",
    ),
    mistakes={
        "The distance is zero: a sample was compared with itself. The two must not share jets.": paired(lambda v, n, rng: [rng.permutation(v)[:n]] * 2),
        "The two samples share jets, which brings them closer: of two values, one in each sample, the distance would not always be their difference. Draw 2 n at once, without replacement, and divide them.":
            paired(lambda v, n, rng: (rng.permutation(v)[:n], rng.permutation(v)[:n])),
        "A value is drawn more than once: rng.choice puts back what it draws, unless replace=False.": paired(lambda v, n, rng: rng.choice(v, (2, n))),
        "The two samples share one jet: the second begins at n, where the first has ended.": paired(lambda v, n, rng: ((drawn := rng.permutation(v))[:n], drawn[n - 1 : 2 * n - 1])),
        "Each sample is half of the sample that is given. The floor falls with the root of their number: compare samples of n, as large as the one that is to be judged.": paired(lambda v, n, rng: np.array_split(rng.permutation(v), 2)),
        "Each sample has n / 2 jets. The floor falls with the root of their number: both need n.": lambda values, n, *rest: floor(values, n // 2, *rest),
        "One of the samples has all values that are left. Both need n.": paired(lambda v, n, rng: np.split(rng.permutation(v), [n])),
        "One of the samples has all values. Both need n, and must not share jets.": paired(lambda v, n, rng: (rng.permutation(v)[:n], v)),
        "The values were divided by their spread, so that the distance has no unit any more. Keep the unit.": lambda values, *rest: floor(values / np.std(values), *rest),
        "The values were sorted before they were divided. The two samples must be drawn at random.": paired(lambda v, n, rng: np.split(np.sort(rng.permutation(v)[: 2 * n]), 2)),
        "Equal values were dropped. No jet is used twice, but two jets may have the same value.": lambda values, *rest: floor(np.unique(values), *rest),
        "This is the mean difference of random partners. The least mean way is that of wasserstein_distance.": paired(distance=lambda one, other: np.abs(one - other).mean()),
        "This is the difference of the two means. Samples with the same mean can be far apart.": paired(distance=lambda one, other: abs(one.mean() - other.mean())),
        "This is the sum over the pairs; take the mean.": paired(combine=np.sum),
        "The sum over the pairs was divided by n, the size of a sample. Divide by n_pairs.": lambda values, n, *rest: paired(combine=np.sum)(values, n, *rest) / n,
        "This is the median of the distances, which hides the large ones; take the mean.": paired(combine=np.median),
        "This is the root mean square of the distances; take their mean.": paired(combine=lambda distances: np.sqrt(np.mean(np.square(distances)))),
        "This is that of a single pair, which scatters by a third. Draw n_pairs pairs, and return the mean of the distances.": lambda values, n, n_pairs, rng: floor(values, n, 1, rng),
        "The number of pairs does not come from the argument n_pairs: there are n_pairs - 1.": lambda values, n, n_pairs, rng: floor(values, n, n_pairs - 1, rng),
        "These are the distances of all pairs; return their mean.": paired(combine=np.array),
        "a generator with the same seed gives another result": lambda values, n, n_pairs, rng: floor(values, n, n_pairs, np.random.default_rng()),
        "another generator gives the same result": lambda values, n, n_pairs, rng: floor(values, n, n_pairs, np.random.default_rng(1)),
    },
    accepted=[
        paired(lambda v, n, rng: v[rng.choice(len(v), (2, n), replace=False)]),
        # Without SciPy: for two samples of one size it is the mean difference of the sorted values.
        paired(distance=lambda one, other: float(np.abs(np.sort(one) - np.sort(other)).mean())),
    ],
)
def floor(values, n, n_pairs, rng):
    distances = []
    for _ in range(n_pairs):
        drawn = rng.permutation(values)[: 2 * n]
        distances.append(wasserstein_distance(drawn[:n], drawn[n:]))
    return np.mean(distances)


def opinions():
    rng = np.random.default_rng(107)
    on_true, on_made = (torch.tensor(rng.normal(mean, 1, 40), dtype=torch.float32) for mean in (0.7, -0.4))
    yield on_true, on_made, torch.tensor(0.13)
    yield on_made, on_true, torch.tensor(0.13)


def both_losses(critic_loss, generator_loss, on_true, on_made, penalty):
    of_critic = call(critic_loss, on_true, on_made, penalty, name="critic_loss")
    return of_critic, call(generator_loss, on_made, name="generator_loss")


def each_part_teaches(critic_loss, generator_loss, *batch):
    def teaches(name, function, arguments, of):
        given = [values.clone().requires_grad_(i == of) for i, values in enumerate(arguments)]
        return getattr(call(function, *given, name=name), "requires_grad", False)

    if not teaches("generator_loss", generator_loss, batch[1:2], 0):
        fail("generator_loss has no gradient any more: item(), detach() or numpy() cut the chain to the networks.")
    for i, what in enumerate(("numbers for true jets are", "numbers for generated jets are", "penalty is")):
        if not teaches("critic_loss", critic_loss, batch, i):
            fail(f"the {what} only a number here and cannot teach: item(), detach() or numpy() cut the chain.")


def critic_loss(on_true, on_made, penalty):
    return on_made.mean() - on_true.mean() + 10 * penalty


def generator_loss(on_made):
    return -on_made.mean()


def of_critic(loss):
    """Return the two losses of those who have that of the generator; `loss` takes the two means and the penalty."""
    return lambda on_true, on_made, penalty: loss(on_true.mean(), on_made.mean(), penalty), generator_loss


exercise(
    "10.7",
    "the losses of critic and generator",
    cases=opinions,
    observe=both_losses,
    returns=("the critic's loss", "the generator's loss"),
    demands=[each_part_teaches],
    tolerance={"rtol": 1e-4},
    hints=(
        "Losses are made small. The critic wants large numbers for true jets and small ones for generated jets.",
        "The generator wants that the critic's numbers for its jets are large.",
        "critic: on_made.mean() - on_true.mean() + 10 * penalty; generator: -on_made.mean().",
    ),
    mistakes={
        "The sign of the two means is reversed: this critic learns to give true jets the small numbers. A loss is made small.": of_critic(lambda t, m, p: t - m + 10 * p),
        "The whole loss has the wrong sign: a critic that makes it small makes the penalty large.": of_critic(lambda t, m, p: t - m - 10 * p),
        "The penalty is subtracted, so that steep slopes are rewarded.": of_critic(lambda t, m, p: m - t - 10 * p),
        "The factor 10 of the penalty is missing.": of_critic(lambda t, m, p: m - t + p),
        "The penalty is missing: without it the numbers grow without end.": of_critic(lambda t, m, p: m - t),
        "The two means are added.": of_critic(lambda t, m, p: m + t + 10 * p),
        "These are sums over the batch; take the means.": (lambda on_true, on_made, penalty: on_made.sum() - on_true.sum() + 10 * penalty, generator_loss),
        "There is a number for each jet; a loss is one number: the mean.": (lambda on_true, on_made, penalty: on_made - on_true + 10 * penalty, lambda on_made: -on_made),
        "The critic's numbers for true jets do not enter.": of_critic(lambda t, m, p: m + 10 * p),
        "The generated jets do not enter.": of_critic(lambda t, m, p: -t + 10 * p),
        "This is an absolute difference, without a sign: a critic that is wrong with certainty would be as good.": of_critic(lambda t, m, p: abs(m - t) + 10 * p),
        "This is an absolute difference, without a sign: minus |difference|.": of_critic(lambda t, m, p: 10 * p - abs(m - t)),
        "The sign is wrong: this generator tries to look as false as possible. It wants large numbers, and a loss is made small.": (critic_loss, torch.mean),
        "This is a sum over the batch; take the mean.": (critic_loss, lambda on_made: -on_made.sum()),
        "The sign of the mean is lost: abs() or the like.": (critic_loss, lambda on_made: on_made.mean().abs()),
        "This is the cross-entropy of an ordinary GAN. The critic's numbers are no logits: take their mean.": (critic_loss, lambda on_made: nn.functional.binary_cross_entropy_with_logits(on_made, torch.ones_like(on_made))),
        "The numbers were squared: they may have any sign.": (critic_loss, lambda on_made: on_made.square().mean()),
        "generator_loss has no gradient any more: item(), detach() or numpy() cut the chain": (critic_loss, lambda on_made: -on_made.detach().mean()),
        "the penalty is only a number here and cannot teach": of_critic(lambda t, m, p: m - t + 10 * p.item()),
        "the numbers for true jets are only a number here": of_critic(lambda t, m, p: m - t.detach() + 10 * p),
        "generator_loss has no gradient any more: item()": (critic_loss, lambda on_made: -on_made.mean().item()),
    },
    accepted=[
        of_critic(lambda t, m, p: torch.stack([m, -t, 10 * p]).sum()),
        (lambda t, m, p: -(sum(t) - sum(m)) / len(m) + p * 10.0, lambda m: torch.mean(-1 * m)),
    ],
)(critic_loss, generator_loss)


class Steep(nn.PReLU):
    """A critic whose slope is in proportion to the point, with another factor below zero."""

    def __deepcopy__(self, memo):
        return self  # `penalty_and_what_it_teaches` looks at it after the call

    def forward(self, points, counts):
        return pool(0.2 * super().forward(points).square(), counts).sum(dim=1)


def a_critic_and_jets():
    rng = np.random.default_rng(108)
    real, fake = (torch.tensor(rng.normal(mean, 1, (30, 3)), dtype=torch.float32) for mean in (0.5, -0.5))
    yield Steep(3, init=0.8), real, fake, torch.tensor([4, 9, 1, 16]), torch.tensor([0.2, 0.9, 0.6, 0.35])


def penalty_and_what_it_teaches(function, critic, *jets):
    penalty = torch.as_tensor(call(function, critic, *jets, name="gradient_penalty"))
    filled, slope = critic.weight.grad is not None, None
    if penalty.requires_grad:
        (slope,) = torch.autograd.grad(penalty.sum(), critic.weight, allow_unused=True)
    return {
        "the penalty": penalty.detach(),
        "how the penalty changes with the critic's parameters": torch.zeros(3) if slope is None else slope,
        "whether the critic's own gradients were filled": filled,
    }


def gradient(of, points, **how):
    return torch.autograd.grad(of, points, **{"create_graph": True} | how)[0]


def penalised(
    form=lambda norm, slope, n: (norm - 1).square().mean(),
    slope=lambda critic, x, n: gradient(critic(x.requires_grad_(), n).sum(), x),
):
    """Return what those write who take another slope, or make another number of it."""

    def wrong(critic, real, fake, counts, mix):
        mix = torch.repeat_interleave(mix, counts)[:, None]
        of_row = slope(critic, (mix * real + (1 - mix) * fake).detach(), counts)
        return form(pool(of_row.square().sum(dim=1, keepdim=True), counts)[:, 0].add(1e-12).sqrt(), of_row, counts)

    return wrong


def jet_by_jet(critic, real, fake, counts, mix):
    """Jets by `split`, gradients of a sum through `grad_outputs`, no 1e-12."""
    penalties = []
    for one, other, share in zip(real.split(counts.tolist()), fake.split(counts.tolist()), mix, strict=True):
        between = torch.lerp(other, one, share).requires_grad_()
        slope = gradient(critic(between, torch.tensor([len(one)])), between, grad_outputs=torch.ones(1))
        penalties.append((slope.norm() - 1) ** 2)
    return sum(penalties) / len(penalties)


@exercise(
    "10.8",
    "the gradient penalty",
    cases=a_critic_and_jets,
    observe=penalty_and_what_it_teaches,
    tolerance={"rtol": 1e-3, "atol": 1e-4},
    hints=(
        "Each jet has one number of mix: torch.repeat_interleave(mix, counts)[:, None] has one for each of its rows.",
        "between.requires_grad_(), then (slope,) = torch.autograd.grad(critic(between, counts).sum(), between, create_graph=True).",
        "The norm of a jet: pool(slope.square().sum(dim=1, keepdim=True), counts).sqrt(); then the mean of (norm - 1)^2.",
    ),
    mistakes={
        "The slope was taken at the true points. What is asked for is the way between true and generated ones.": lambda critic, real, fake, *rest: gradient_penalty(critic, real, real, *rest),
        "The slope was taken at the generated points. What is asked for is the way between true and generated ones.": lambda critic, real, fake, *rest: gradient_penalty(critic, fake, fake, *rest),
        "The slope was taken half-way. Use the mix of each jet.": lambda *jets: gradient_penalty(*jets[:-1], torch.full((4,), 0.5)),
        "mix and 1 - mix are exchanged: here mix is the share of the true jet. (For the training it would make no difference.)": lambda critic, real, fake, *rest: gradient_penalty(critic, fake, real, *rest),
        "This is one norm over the whole batch. Each jet has a slope of its own: sum over its rows only.": penalised(lambda norm, slope, n: (slope.norm() - 1).square()),
        "The norm was taken row by row. The slope of a jet goes over all its points: pool the squares first.": penalised(lambda norm, slope, n: (slope.norm(dim=1) - 1).square().mean()),
        "The squared norm is compared with one; take the root first.": penalised(lambda norm, slope, n: (norm**2 - 1).square().mean()),
        "Only slopes above one are punished. That is a variant; here a slope below one costs as much.": penalised(lambda norm, slope, n: torch.relu(norm - 1).square().mean()),
        "This is the absolute difference from one; square it.": penalised(lambda norm, slope, n: (norm - 1).abs().mean()),
        "The one is missing: this draws the slope to zero, and the critic becomes flat.": penalised(lambda norm, slope, n: norm.square().mean()),
        "The mean was taken before the square. Each jet has its own difference from one: square it, then the mean.": penalised(lambda norm, slope, n: (norm.mean() - 1).square()),
        "This is the sum over the jets; take the mean.": penalised(lambda norm, slope, n: (norm - 1).square().sum()),
        "There is a number for each jet; the penalty is one number, the mean over the jets.": penalised(lambda norm, slope, n: (norm - 1).square()),
        "The squares were averaged over the rows of a jet; the norm is the root of their sum.": penalised(lambda norm, slope, n: (norm / n.sqrt() - 1).square().mean()),
        "This is the sum of absolute values; the norm is the root of the sum of squares.": penalised(lambda norm, slope, n: (pool(slope.abs(), n).sum(dim=1) - 1).square().mean()),
        "The factor 10 is in the critic's loss already: return the penalty without it.": lambda *jets: 10 * gradient_penalty(*jets),
        "The penalty does not depend on the critic's parameters any more, so that the critic cannot learn from it: torch.autograd.grad needs create_graph=True, and nothing may be detached behind it.":
            penalised(slope=lambda f, x, n: gradient(f(x.requires_grad_(), n).sum(), x, create_graph=False, retain_graph=True)),
        "backward() fills the gradients of the critic's own parameters as well, and the next step would use them. torch.autograd.grad leaves them alone.":
            penalised(slope=lambda f, x, n: f(x.requires_grad_(), n).sum().backward(create_graph=True) or x.grad),
        "The points between do not record gradients: between.requires_grad_() first, then critic(between, counts).": penalised(slope=lambda f, x, n: gradient(f(x, n).sum(), x)),
        "The critic was asked about other points than those of the slope: the same `between` must go into critic(between, counts) and into torch.autograd.grad.":
            penalised(slope=lambda f, x, n: gradient(f(x.clone(), n).sum(), x.requires_grad_())),
        "The critic was called under torch.no_grad(), which records nothing; here a gradient is wanted.": penalised(slope=lambda f, x, n: gradient(torch.no_grad()(f)(x.requires_grad_(), n).sum(), x)),
        "torch.autograd.grad wants one number: the sum of the critic's numbers over the jets.": penalised(slope=lambda f, x, n: gradient(f(x.requires_grad_(), n), x)),
    },
    accepted=[gan.gradient_penalty, jet_by_jet],
)
def gradient_penalty(critic, real, fake, counts, mix):
    epsilon = torch.repeat_interleave(mix, counts)[:, None]  # (T, 1): one for each row
    between = (epsilon * real + (1 - epsilon) * fake).detach().requires_grad_()
    (slope,) = torch.autograd.grad(critic(between, counts).sum(), between, create_graph=True)
    norm = pool(slope.square().sum(dim=1, keepdim=True), counts)[:, 0].add(1e-12).sqrt()  # (N,)
    return (norm - 1).square().mean()


def two_samples():
    rng = np.random.default_rng(109)
    true, made = rng.normal(size=(2000, 3)), rng.normal((0, 0, 1), 1, (2800, 3))
    true[:, 1] += 0.7 * true[:, 0]  # much of the difference is in the sign of a correlation
    made[:, 1] -= 0.7 * made[:, 0]
    yield true, made, np.random.default_rng(3)


def listening(name):
    trees = HistGradientBoostingClassifier
    return mock.patch.object(trees, name, autospec=True, side_effect=getattr(trees, name))


def what_is_learned_and_judged(function, true, made, rng):
    """Listen to the trees: who shuffles in another order gets another AUC, but as many jets, and the same settings."""
    with listening("fit") as fit, listening("predict_proba") as judge, listening("decision_function") as decide:
        of_same = [call(function, true[:300], true[:300], one, name="classifier_test") for one in rng.spawn(2)]
        answer = call(function, true, made, rng, name="classifier_test")
    if not isinstance(answer, Estimate):
        fail(f"classifier_test should return what `auc` returns, value and error; what came is {describe(answer)}.")
    calls = (fit.call_args_list, judge.call_args_list + decide.call_args_list)
    fits, scored = ([dict(zip(("trees", "X", "y"), c.args, strict=False)) | c.kwargs for c in part] for part in calls)
    learned, judged = (np.asarray(part[-1]["X"]) if part else np.empty((0, 0)) for part in (fits, scored))
    known = {row.tobytes() for row in learned}
    return {
        "the AUC": answer.value,
        "the settings of the trees": fits[-1]["trees"].get_params() if fits else None,
        "the number of jets that the trees learn from": len(learned),
        "the number of jets that are judged by a probability": len(judged),
        "the number of columns": learned.shape[1],
        "the share of jets with label 1": np.mean(np.asarray(fits[-1]["y"]) == 1) if fits else 0,
        "whether most judged jets had been learned": sum(row.tobytes() in known for row in judged) > len(judged) / 2,
        "whether another generator divides them alike": len(fits) > 1 and np.array_equal(fits[0]["X"], fits[1]["X"]),
        # of two equal samples, a jet that was learned with the other label is judged wrongly
        "whether an AUC below one half was turned round": of_same[0].value > 0.5,
    }


def stepwise(
    shuffled=lambda inputs, labels, rng: rng.permutation(len(labels)),
    inputs=lambda true, made: np.concatenate([true, made]),
    labels=lambda true, made: np.repeat([1, 0], [len(true), len(made)]),
    divided=lambda order: np.array_split(order, 2),
    model=lambda: HistGradientBoostingClassifier(max_iter=50, max_leaf_nodes=8, early_stopping=False, random_state=1),
    score=lambda model, inputs: model.predict_proba(inputs)[:, 1],
    judged=auc,
):
    """Return what those write who take one of the steps in another way."""

    def answer(true, made, rng):
        x, y = inputs(true, made), labels(true, made)
        learn, judge = divided(shuffled(x, y, rng))
        fitted = model().fit(X=x[learn].tolist(), y=y[learn])
        return judged(y[judge], score(fitted, x[judge]))

    return answer


@exercise(
    "10.9",
    "a classifier between true and generated jets",
    cases=two_samples,
    observe=what_is_learned_and_judged,
    demands=[demands.given_generator],
    tolerance={"rtol": 0, "atol": 0.045},  # the AUC scatters by 0.01 with the halves; numbers of jets are exact
    hints=(
        "Put both samples into one array, with labels 1 for true and 0 for generated; shuffle with rng.permutation.",
        "Fit on one half of the shuffled jets, and compute the AUC on the other half.",
        "auc(labels[judge], trees.predict_proba(inputs[judge])[:, 1])",
    ),
    mistakes={
        "The classifier is judged on jets that it was trained on. Fit on one half, judge on the other.": stepwise(divided=lambda order: (order, order)),
        "The classifier is judged on the very half that it was trained on. Judge on the other.": stepwise(divided=lambda order: (order[: len(order) // 2],) * 2),
        "More than half of the jets are used for judging, those of the training among them.": stepwise(divided=lambda order: (order[: len(order) // 2], order)),
        "Too few jets are used for judging; half of them are there.": stepwise(divided=lambda order: np.split(order, [len(order) * 4 // 5])),
        "The trees learn from too few jets; half of them are there.": stepwise(divided=lambda order: np.split(order, [len(order) // 10])),
        "The AUC is below one half, the labels are reversed. 1 is true, and column 1 of predict_proba its probability.": stepwise(score=lambda model, x: model.predict_proba(x)[:, 0]),
        "The labels are exchanged: 1 is true and 0 generated. (The AUC is the same.)": stepwise(labels=lambda true, made: np.repeat([0, 1], [len(true), len(made)])),
        "Were answers used in the place of probabilities? predict gives the class alone; the AUC needs predict_proba.": stepwise(score=lambda model, x: model.predict(x)),
        "should return what `auc` returns": lambda *samples: classifier_test(*samples).value,
        "There is nothing to find: have labels and jets lost each other when they were shuffled?": lambda t, m, rng: classifier_test(*np.split(rng.permutation(np.concatenate([t, m])), [len(t)]), rng),
        "This is not the AUC of the boosted trees. That of a linear classifier, for one, does not see correlations. Use HistGradientBoostingClassifier.": stepwise(model=LogisticRegression),
        "The trees have other settings than asked for: max_iter=50, max_leaf_nodes=8, early_stopping=False, random_state=1.": stepwise(model=HistGradientBoostingClassifier),
        "Columns are missing: the classifier should see all observables.": stepwise(inputs=lambda true, made: np.concatenate([true, made])[:, :1]),
        "The label is among the inputs, and the trees read it off.": stepwise(inputs=lambda true, made: np.c_[np.concatenate([true, made]), np.repeat([1, 0], [len(true), len(made)])]),
        "Each sample was scaled or centred by itself, which takes away what should be found. Do the same to both, or nothing.": stepwise(inputs=lambda *both: np.concatenate([(x - x.mean(axis=0)) / x.std(axis=0) for x in both])),
        "The labels are made for twice the number of true jets; there may be more generated ones than true ones.": stepwise(shuffled=lambda x, y, rng: rng.permutation(len(x)), labels=lambda true, made: np.repeat([1, 0], len(true))),
        "The generated jets are not shuffled, and as many as half of the true ones are learned from: take one half of all jets.":
            stepwise(shuffled=lambda x, y, rng: (rng.permutation(np.flatnonzero(y)), np.flatnonzero(y == 0)), divided=lambda both: [np.r_[tuple(x[part] for x in both)] for part in np.s_[: len(both[0]) // 2, len(both[0]) // 2 :]]),
        "an AUC below one half was turned round: max(auc, 1 - auc) makes a difference of mere chance.": stepwise(judged=lambda labels, score: max(auc(labels, score), auc(labels, -score))),
        "The jets are not shuffled with the generator that is given, and another one divides them in the same way: rng.permutation.": stepwise(shuffled=lambda x, y, rng: np.r_[: len(y) : 2, 1 : len(y) : 2]),
        "a generator with the same seed gives another result": stepwise(shuffled=lambda x, y, rng: np.random.default_rng().permutation(len(y))),
    },
    accepted=[
        stepwise(lambda x, y, rng: np.argsort(y + rng.random(len(y))), divided=lambda order: (order[::2], order[1::2])),
        stepwise(
            divided=lambda i: train_test_split(i, test_size=0.5, random_state=1),
            score=lambda m, x: m.decision_function(x),
        ),
        stepwise(inputs=lambda true, made: StandardScaler().fit_transform(np.concatenate([true, made]))),
    ],
)
def classifier_test(true, made, rng):
    inputs, labels = np.concatenate([true, made]), np.repeat([1, 0], [len(true), len(made)])
    order = rng.permutation(len(labels))
    learn, judge = np.array_split(order, 2)
    trees = HistGradientBoostingClassifier(max_iter=50, max_leaf_nodes=8, early_stopping=False, random_state=1)
    trees.fit(inputs[learn], labels[learn])
    return auc(labels[judge], trees.predict_proba(inputs[judge])[:, 1])
