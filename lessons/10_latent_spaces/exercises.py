"""Exercises of lesson 10: looking into a latent space, regression, a generator of jets and how to judge it."""

from itertools import pairwise
from unittest import mock

import numpy as np
import torch
from scipy.stats import binned_statistic, wasserstein_distance
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
from coursekit.nets.deepsets import pool

# --- 10.1 -------------------------------------------------------------------------------------------------------------


class Probe(nn.Module):
    """A small Deep Sets network with dropout and latent numbers of both signs, which notes whether gradients are on."""

    def __init__(self):
        super().__init__()
        self.phi = nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 4))
        self.rho = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 1))
        self.recorded = False

    def __deepcopy__(self, memo):
        return self  # `latent_and_left_behind` looks at it after the call

    def latent(self, features, counts):
        self.recorded |= torch.is_grad_enabled()
        return pool(self.phi(features), counts)

    def forward(self, features, counts):
        return self.rho(self.latent(features, counts))


def a_network_and_jets():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(101)
        model = Probe()
    rng = np.random.default_rng(101)
    counts = torch.tensor(rng.integers(1, 9, 30))
    yield model, torch.tensor(rng.normal(size=(int(counts.sum()), 3)), dtype=torch.float32), counts


def latent_and_left_behind(function, model, features, counts):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        vectors = call(function, model, features, counts, name="latent_vectors")
    return {
        "the array of latent vectors": vectors,
        "whether gradients were recorded": model.recorded,
        "the number of layers frozen after the call": sum(not p.requires_grad for p in model.parameters()) // 2,
    }


def evaluated(vectors):
    """Return what those write who switch off dropout and gradients, and take other vectors."""

    @torch.no_grad()
    def wrong(model, features, counts):
        return vectors(model.eval(), features, counts).numpy()

    return wrong


@exercise(
    "10.1",
    "the latent vectors of a network",
    cases=a_network_and_jets,
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
        evaluated(lambda m, x, n: pool(m.phi(x), n)),
        torch.inference_mode()(lambda m, x, n: np.asarray(m.train(False).latent(x, n), dtype=np.float64)),
        evaluated(lambda m, x, n: torch.stack([rows.sum(dim=0) for rows in m.phi(x).split(n.tolist())])),
    ],
)
def latent_vectors(model, features, counts):
    model.eval()
    with torch.no_grad():
        return model.latent(features, counts).cpu().numpy()


# --- 10.2 -------------------------------------------------------------------------------------------------------------


def clouds():
    rng = np.random.default_rng(102)
    mixing = np.zeros((6, 6))  # two blocks, which np.linalg.eig takes one after the other: it does not sort
    mixing[:3, :3], mixing[3:, 3:] = (np.linalg.qr(part)[0] for part in rng.normal(size=(2, 3, 3)))
    mixing *= [1, 0.7, 3, 5, 0.4, 2]
    offset = mixing @ rng.normal(size=6) * 3 + 4
    noise = rng.normal(size=(400, 6))
    train = 20 * np.linalg.qr(noise - noise.mean(axis=0))[0] @ mixing.T + offset
    other = (rng.normal(size=(250, 6)) * [1, 2, 1, 0.5, 1.5, 1] + [0, 0, 0, 1.5, 0, 0]) @ mixing.T + offset
    yield train, other, 3
    yield train, other, 2


def up_to_signs(function, train, other, k):
    """Turn each column so that its largest entry is positive: the sign of a direction is a convention."""
    answer = call(function, train, other, k, name="principal_components")
    if not isinstance(answer, tuple | list) or len(answer) != 2 or np.ndim(answer[0]) != 2:
        return answer
    coordinates = answer[0]
    largest = np.take_along_axis(coordinates, np.abs(coordinates).argmax(axis=0)[None], axis=0)
    return coordinates * np.sign(largest), answer[1]


def analysed(
    coordinates=lambda x, k, s, axes: x @ axes[:k].T,
    shares=lambda s2, k: s2[:k] / s2.sum(),
    centre=lambda train: train.mean(axis=0),
    of_other=None,
):
    """Return what those write who take one of the steps in another way."""

    def wrong(train, other, k):
        _, s, axes = np.linalg.svd(train - centre(train), full_matrices=False)
        x = other - (centre(train) if of_other is None else of_other(other))
        return coordinates(x, k, s, axes), shares(s**2, k)

    return wrong


def diagonalised(eigenvectors, choose):
    def wrong(train, other, k):
        variances, axes = eigenvectors(np.cov(train.T))
        return (other - train.mean(axis=0)) @ choose(axes, k), choose(variances[None], k)[0] / variances.sum()

    return wrong


def with_shares(shares):
    return lambda train, other, k: (principal_components(train, other, k)[0], shares(train, other, k))


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
        "Nothing was centred: the first direction then points to the mean of the cloud, not along its largest spread.": analysed(centre=lambda x: 0),
        "The training vectors were not centred before the directions were looked for: the first one points to their mean.": lambda train, other, k: analysed(centre=lambda x: 0)(train, other - train.mean(axis=0), k),
        "The directions are right, but the other vectors were not centred: subtract the mean of `train` from them, too.": analysed(of_other=lambda x: 0),
        "The other vectors were centred with their own mean. The same jet would get different coordinates in different samples.": analysed(of_other=lambda x: x.mean(axis=0)),
        "The directions were fitted to the other vectors. They come from `train` alone.": lambda train, other, k: principal_components(other, other, k),
        "The mean was taken over the wrong axis, over the numbers of each jet. Centre each column: axis=0.": analysed(centre=lambda x: x.mean(axis=1, keepdims=True), of_other=lambda x: x.mean(axis=1, keepdims=True)),
        "These are the directions of the smallest variance: np.linalg.eigh sorts upwards.": diagonalised(np.linalg.eigh, lambda axes, k: axes[:, :k]),
        "These are the directions of the smallest variance: np.linalg.eigh sorts upwards, and the last are the largest.": diagonalised(np.linalg.eigh, lambda axes, k: axes[:, :k][:, ::-1]),
        "The directions come as np.linalg.eig found them, in no order. Sort them, the largest variance first.": diagonalised(np.linalg.eig, lambda axes, k: axes[:, :k]),
        "These are the right directions in reversed order: the largest variance comes first.": diagonalised(np.linalg.eigh, lambda axes, k: axes[:, -k:]),
        "Rows and columns of the matrix of directions are mixed up: the directions are the rows of the third result of np.linalg.svd.": analysed(lambda x, k, s, axes: x @ axes[:, :k]),
        "Each coordinate was divided by its spread. That hides which direction is the important one.": analysed(lambda x, k, s, axes: x @ axes[:k].T / (s[:k] / np.sqrt(400))),
        "Each coordinate was divided by its singular value.": analysed(lambda x, k, s, axes: x @ axes[:k].T / s[:k]),
        "The columns were scaled to spread one first. Here the latent numbers have one unit, and their spread is information.": lambda train, other, k: principal_components(train / train.std(axis=0), other / train.std(axis=0), k),
        "These are the coordinates of the training vectors; `other` is asked for.": lambda train, other, k: principal_components(train, train, k),
        "Rows and columns are exchanged: one row for each jet.": analysed(lambda x, k, s, axes: axes[:k] @ x.T),
        "All coordinates are there; keep the first k.": analysed(lambda x, k, s, axes: x @ axes.T),
        "Singular values are lengths, variances are their squares: s**2.": analysed(shares=lambda s2, k: np.sqrt(s2)[:k] / np.sqrt(s2).sum()),
        "These are shares of the first k variances; the others are variance, too.": analysed(shares=lambda s2, k: s2[:k] / s2[:k].sum()),
        "These are variances; divide by the sum of all.": with_shares(lambda train, other, k: PCA(k).fit(train).explained_variance_),
        "These are variances; divide by their sum over all directions.": analysed(shares=lambda s2, k: s2[:k] / 400),
        "These are the squared singular values; divide by the sum of all.": analysed(shares=lambda s2, k: s2[:k]),
        "These are sums from the first to each: give the share of each direction.": analysed(shares=lambda s2, k: np.cumsum(s2[:k]) / s2.sum()),
        "All shares are there; keep the first k.": analysed(shares=lambda s2, k: s2 / s2.sum()),
        "The mean still takes part in these shares: centre before.": with_shares(lambda *given: analysed(centre=lambda x: 0)(*given)[1]),
        "These are the spreads of the *other* vectors, as shares. The shares are those of `train`.": with_shares(lambda *given: principal_components(*given)[0].var(axis=0) / given[1].var(axis=0).sum()),
    },
    accepted=[
        lambda train, other, k: ((pca := PCA(k).fit(train)).transform(other), pca.explained_variance_ratio_),
        diagonalised(np.linalg.eigh, lambda axes, k: axes[:, ::-1][:, :k]),
        analysed(lambda x, k, s, axes: np.stack([x @ -axis for axis in axes[:k]], axis=1)),
    ],
)
def principal_components(train, other, k):
    mean = train.mean(axis=0)
    _, s, axes = np.linalg.svd(train - mean, full_matrices=False)
    return (other - mean) @ axes[:k].T, s[:k] ** 2 / (s**2).sum()


# --- 10.3 -------------------------------------------------------------------------------------------------------------


def two_classes():
    rng = np.random.default_rng(103)
    labels = (rng.random(160) < 0.3).astype(int)
    vectors = rng.normal(size=(160, 4)) * [1, 1, 1, 3] + 0.9 * labels[:, None]
    yield vectors, labels, 5
    yield vectors, labels, 12


def same(vectors, labels, k, **how):
    """Return whether the jet itself and its k nearest, in this order, have its label, (N, k + 1)."""
    near = NearestNeighbors(n_neighbors=k + 1, **how).fit(vectors).kneighbors(vectors)[1]
    return labels[near] == labels[:, None]


def of_neighbours(vectors, labels, k):
    """Return the labels of the k nearest, (N, k)."""
    return labels[NearestNeighbors(n_neighbors=k).fit(vectors).kneighbors()[1]]


def farthest(vectors, labels, k):
    distance = np.linalg.norm(vectors[:, None] - vectors, axis=2)
    far = np.argsort(-distance, axis=1)[:, :k]
    return np.mean(labels[far] == labels[:, None])


def purity_of_a_matrix(vectors, labels, k):
    distance = np.linalg.norm(vectors[:, None] - vectors, axis=2)
    np.fill_diagonal(distance, np.inf)
    near = distance.argpartition(k, axis=1)[:, :k]
    return (labels[near] == labels[:, None]).mean()


def purity_in_a_loop(vectors, labels, k):
    agreed = 0
    for i, vector in enumerate(vectors):
        distance = ((vectors - vector) ** 2).sum(axis=1)
        distance[i] = np.inf
        agreed += sum(labels[j] == labels[i] for j in np.argsort(distance)[:k])
    return agreed / (k * len(vectors))


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
        "This is the share of neighbours of class 1. Compare the class of the neighbour with that of the jet.": lambda v, labels, k: of_neighbours(v, labels, k).mean(),
        "Each neighbour is compared with the larger class of all, not with the class of its jet.": lambda v, labels, k: (of_neighbours(v, labels, k) == np.round(labels.mean())).mean(),
        "This is the share of jets whose neighbours vote for the right class, the accuracy of a classifier. The share of the neighbours themselves is asked for.":
            lambda v, labels, k: np.mean((of_neighbours(v, labels, k).mean(axis=1) > 0.5) == labels),
        "This is the accuracy of a classifier, in whose vote each jet takes part itself.": lambda v, labels, k: KNeighborsClassifier(k).fit(v, labels).score(v, labels),
        "This is the share of neighbours of the *other* class.": lambda v, labels, k: 1 - neighbour_purity(v, labels, k),
        "These are the k farthest jets.": farthest,
        "Only the k-th neighbour counts here. Take the mean over all k.": lambda v, labels, k: same(v, labels, k)[:, k].mean(),
        "Neighbours are those of the smallest angle here (cosine); the Euclidean distance is asked for.": lambda v, labels, k: same(v, labels, k, metric="cosine")[:, 1:].mean(),
        "The distance is a sum of absolute differences; the usual one is the root of the sum of squares.": lambda v, labels, k: same(v, labels, k, p=1)[:, 1:].mean(),
        "This is the sum over the neighbours; take the mean.": lambda v, labels, k: same(v, labels, k)[:, 1:].sum(axis=1).mean(),
        "This is one share for each jet; take the mean over all of them.": lambda v, labels, k: same(v, labels, k)[:, 1:].mean(axis=1),
    },
    accepted=[
        purity_in_a_loop,
        purity_of_a_matrix,
        lambda v, labels, k: float((of_neighbours(v, labels, k) == labels[:, None]).sum() / (k * len(v))),
    ],
)
def neighbour_purity(vectors, labels, k):
    _, near = NearestNeighbors(n_neighbors=k + 1).fit(vectors).kneighbors(vectors)
    return np.mean(labels[near[:, 1:]] == labels[:, None])


# --- 10.4 -------------------------------------------------------------------------------------------------------------


def targets_and_outputs():
    rng = np.random.default_rng(104)
    for n_columns in (2, 3):
        mean, spread, tail = (np.array(row)[:n_columns] for row in ((150, 0.25, 40), (60, 0.05, 15), (20, 0.02, 9)))
        train = rng.normal(mean, spread, (3000, n_columns)) + rng.exponential(tail, (3000, n_columns))
        other = rng.normal(mean + tail, spread / 2, (200, n_columns))
        yield train, other, np.outer([-2.0, -1, 0, 0.3, 1.5], np.ones(n_columns))


def there_and_back(function, train, other, outputs):
    answer = call(function, train, name="make_scale")
    if not isinstance(answer, tuple | list) or len(answer) != 2 or not all(map(callable, answer)):
        fail(
            "make_scale should return two functions, forward and back, not their results; what came is "
            f"{describe(answer)}."
        )
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


_kept = {}


def kept_outside(train):
    _kept.update(mean=train.mean(axis=0), spread=train.std(axis=0))
    return lambda x: (x - _kept["mean"]) / _kept["spread"], lambda x: x * _kept["spread"] + _kept["mean"]


def two_columns(train):
    (m0, m1), (s0, s1) = train.mean(axis=0)[:2], train.std(axis=0)[:2]
    return (
        lambda x: np.stack([(x[:, 0] - m0) / s0, (x[:, 1] - m1) / s1], axis=1),
        lambda x: np.stack([x[:, 0] * s0 + m0, x[:, 1] * s1 + m1], axis=1),
    )


def scaler_of_sklearn(train):
    fitted = StandardScaler().fit(train)
    return [fitted.transform, fitted.inverse_transform]


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
        "The functions of a first scale change when a second one is made: they read global variables. Keep mean and standard deviation inside make_scale.": kept_outside,
        "Targets can have any number of columns K, not two alone.": two_columns,
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
        scaler_of_sklearn,
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


# --- 10.5 -------------------------------------------------------------------------------------------------------------


def jets_in_bins():
    rng = np.random.default_rng(105)
    true = np.round(rng.uniform(0, 100, 6000))  # rounded, so that some lie on an edge
    yield true, 15 + 0.8 * true + rng.normal(0, 4 + 0.05 * true), np.array([20.0, 40.0, 60.0, 90.0])


def error_of_mean(off):
    return off.std() / np.sqrt(len(off))


def binned(
    bias=np.mean,
    error=error_of_mean,
    resolution=np.std,
    *,
    off=lambda t, p: p - t,
    by=lambda t, p: t,
    inside=lambda x, a, b: (x >= a) & (x < b),
):
    """Return what those write who take another number, of other differences, or in other bins."""

    def wrong(true, predicted, edges):
        chosen = [inside(by(true, predicted), *pair) for pair in pairwise(edges)]
        parts = [off(true, predicted)[jets] for jets in chosen]
        return tuple(np.array([of(part) for part in parts]) for of in (bias, error, resolution))

    return wrong


def with_resolution(wrong):
    return lambda *jets: (*bias_and_resolution(*jets)[:2], wrong(*jets)[2])


def numbered_from(first):
    """Return what those write who number the bins with np.digitize, and begin at `first`."""

    def answer(true, predicted, edges):
        place = np.digitize(true, edges)
        parts = [(predicted - true)[place == k] for k in range(first, first + len(edges) - 1)]
        return tuple(np.array([of(part) for part in parts]) for of in (np.mean, error_of_mean, np.std))

    return answer


def of_scipy(true, predicted, edges):
    bias, spread, n = (binned_statistic(true, predicted - true, how, edges)[0] for how in ("mean", "std", "count"))
    return bias, spread / np.sqrt(n), spread


def with_counts(true, predicted, edges):
    """Sums by np.bincount, with N - 1."""
    place = np.searchsorted(edges, true, side="right")
    n, total, squares = (
        np.bincount(place, power, len(edges) + 1)[1:-1]
        for power in (np.ones(len(true)), predicted - true, (predicted - true) ** 2)
    )
    spread = np.sqrt((squares - total**2 / n) / (n - 1))
    return [total / n, spread / np.sqrt(n), spread]


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
        "The sign is reversed: predicted - true, so that a bias above zero means too large.": binned(off=lambda t, p: t - p),
        "The jets are in bins of the prediction. Put them in bins of the true value.": binned(by=lambda t, p: p),
        "This is the median, which hides the tails; the bias is the mean.": binned(np.median),
        "These are means of relative differences. Keep the unit of the target.": binned(off=lambda t, p: (p - t) / np.maximum(t, 1)),
        "This is the mean prediction of each bin; subtract the true values.": binned(off=lambda t, p: p),
        "A jet on an edge belongs to the bin that begins there: low <= true < high.": binned(inside=lambda x, a, b: (x > a) & (x <= b)),
        "A jet on an edge is in two bins here, or in the last one: low <= true < high.": binned(inside=lambda x, a, b: (x >= a) & (x <= b)),
        "binned_statistic and np.histogram count the last edge, too. Here low <= true < high, in every bin.": of_scipy,
        "These are the bins one further down: np.digitize numbers the bins from 1, and 0 is what lies below the first edge.": numbered_from(0),
        "These are the bins one further up: np.digitize numbers the bins from 1.": numbered_from(2),
        "Error and resolution are exchanged: first the bias, then its error, then the resolution.": binned(np.mean, np.std, error_of_mean),
        "This is the spread of single jets. The error of their mean is smaller by the root of their number.": binned(error=np.std),
        "Divide by the root of the number of jets, not by the number.": binned(error=lambda off: off.std() / len(off)),
        "Divide by the number of jets in the bin, not by that of all jets.": binned(error=lambda off: off.std() / np.sqrt(6000)),
        "This is the root mean square divided by sqrt(n). The spread is measured from the mean.": binned(error=lambda off: np.linalg.norm(off) / len(off)),
        "This is the root mean square: the bias is still in it. Subtract it first, as .std() does.": binned(resolution=lambda off: np.sqrt((off**2).mean())),
        "This is the variance; take the root.": binned(resolution=np.var),
        "This is the spread of the predictions. It contains that of the true values within the bin.": with_resolution(binned(off=lambda t, p: p)),
        "This is the mean absolute difference.": binned(resolution=lambda off: np.abs(off).mean()),
        "This is relative to the true value. Keep the unit of the target.": with_resolution(binned(off=lambda t, p: p / np.maximum(t, 1) - 1)),
        "This is the error of the mean once more.": binned(resolution=error_of_mean),
        "should return the bias and the error of the bias and the resolution": lambda *jets: np.zeros((2, 3)),
    },
    accepted=[
        with_counts,
        numbered_from(1),
        binned(error=lambda off: off.std(ddof=1) / len(off) ** 0.5, resolution=lambda off: off.std(ddof=1)),
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


# --- 10.6 -------------------------------------------------------------------------------------------------------------


def samples():
    rng = np.random.default_rng(106)
    yield rng.gamma(4.0, 10.0, 2000), 50, 120, np.random.default_rng(1)
    yield np.array([0.0, 1.0, 1.0, 2.0]), 2, 40, np.random.default_rng(2)  # however they are divided, the distance is 1
    yield np.array([0.0, 0.0, 1.0, 1.0]), 1, 500, np.random.default_rng(3)  # the two differ in two draws of three
    yield np.array([0.0, 1.0]), 1, 1, np.random.default_rng(4)  # the two always differ


def over_four_generators(function, values, n, n_pairs, rng):
    floors = [call(function, values, n, n_pairs, one, name="floor") for one in rng.spawn(4)]
    if np.asarray(floors).ndim != 1 or np.asarray(floors).dtype.kind not in "fiu":
        return {"whether the floor scatters like that of a single pair": False, "the floor": floors[0]}
    # a single pair scatters by a third, the mean of 120 by a thirtieth
    scatters = bool(np.std(floors) > 0.17 * np.mean(floors))
    return {"whether the floor scatters like that of a single pair": scatters, "the floor": np.mean(floors)}


def drawn_at_random(function, values, n, n_pairs, rng):
    """All draws must come from the generator that is given."""
    if len(values) > 4:
        demands.given_generator(function, values, n, n_pairs, rng)


def paired(
    two=lambda drawn, n: (drawn[:n], drawn[n : 2 * n]),
    combine=np.mean,
    distance=wasserstein_distance,
    prepared=lambda values: values,
    repeated=lambda n_pairs: n_pairs,
):
    """Return what those write who divide the shuffled values, or combine the distances, in another way."""

    def wrong(values, n, n_pairs, rng):
        values = prepared(values)
        return combine([distance(*two(rng.permutation(values), n)) for _ in range(repeated(n_pairs))])

    return wrong


def drawn_apart(draw):
    """Return what those write who draw each of the two by itself."""
    return lambda values, n, n_pairs, rng: np.mean(
        [wasserstein_distance(draw(values, n, rng), draw(values, n, rng)) for _ in range(n_pairs)]
    )


def drawn_by_index(values, n, n_pairs, rng):
    """Indices instead of values; the second sample begins at the end; sums instead of means."""
    total = 0.0
    for _ in range(n_pairs):
        chosen = rng.choice(len(values), 2 * n, replace=False)
        total += wasserstein_distance(values[chosen[-n:]], values[chosen[:n]])
    return total / n_pairs


@exercise(
    "10.6",
    "the distance between two true samples",
    cases=samples,
    observe=over_four_generators,
    demands=[drawn_at_random],
    tolerance={"rtol": 0.1},  # the means over four generators scatter by 2%
    hints=(
        "One pair: 2 n jets drawn without replacement, the first n against the last n.",
        "drawn = rng.permutation(values)[: 2 * n]; wasserstein_distance(drawn[:n], drawn[n:]).",
        "The mean over n_pairs such distances, each with a new draw.",
    ),
    mistakes={
        "The distance is zero: a sample was compared with itself. The two must not share jets.": paired(lambda drawn, n: (drawn[:n], drawn[:n])),
        "The two samples share jets, which brings them closer: of two values, one in each sample, the distance would not always be their difference. Draw 2 n at once, without replacement, and divide them.":
            drawn_apart(lambda values, n, rng: rng.permutation(values)[:n]),
        "A value is drawn more than once: rng.choice puts back what it draws, unless replace=False.": drawn_apart(lambda values, n, rng: rng.choice(values, n)),
        "The two samples share one jet: the second begins at n, where the first has ended.": paired(lambda drawn, n: (drawn[:n], drawn[n - 1 : 2 * n - 1])),
        "Each sample is half of the sample that is given. The floor falls with the root of their number: compare samples of n, as large as the one that is to be judged.": paired(lambda drawn, n: np.array_split(drawn, 2)),
        "Each sample has n / 2 jets. The floor falls with the root of their number: both need n.": paired(lambda drawn, n: (drawn[: n // 2], drawn[n // 2 : n])),
        "One of the samples has all values that are left. Both need n.": paired(lambda drawn, n: (drawn[:n], drawn[n:])),
        "One of the samples has all values. Both need n, and must not share jets.": paired(lambda drawn, n: (drawn[:n], drawn)),
        "The values were divided by their spread, so that the distance has no unit any more. Keep the unit.": paired(prepared=lambda values: values / np.std(values)),
        "The values were sorted before they were divided. The two samples must be drawn at random.": paired(lambda drawn, n: np.split(np.sort(drawn[: 2 * n]), 2)),
        "Equal values were dropped. No jet is used twice, but two jets may have the same value.": paired(prepared=np.unique),
        "This is the mean difference of random partners. The least mean way is that of wasserstein_distance.": paired(distance=lambda one, other: np.abs(one - other).mean()),
        "This is the difference of the two means. Samples with the same mean can be far apart.": paired(distance=lambda one, other: abs(one.mean() - other.mean())),
        "This is the sum over the pairs; take the mean.": paired(combine=np.sum),
        "The sum over the pairs was divided by n, the size of a sample. Divide by n_pairs.": lambda values, n, *rest: paired(combine=np.sum)(values, n, *rest) / n,
        "This is the median of the distances, which hides the large ones; take the mean.": paired(combine=np.median),
        "This is the root mean square of the distances; take their mean.": paired(combine=lambda distances: np.sqrt(np.mean(np.square(distances)))),
        "This is that of a single pair, which scatters by a third. Draw n_pairs pairs, and return the mean of the distances.": paired(repeated=lambda n_pairs: 1),
        "The number of pairs does not come from the argument n_pairs: there are n_pairs - 1.": paired(repeated=lambda n_pairs: n_pairs - 1),
        "These are the distances of all pairs; return their mean.": paired(combine=np.array),
        "a generator with the same seed gives another result": lambda values, n, n_pairs, rng: floor(values, n, n_pairs, np.random.default_rng()),
        "another generator gives the same result": lambda values, n, n_pairs, rng: floor(values, n, n_pairs, np.random.default_rng(1)),
    },
    accepted=[
        drawn_by_index,
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


# --- 10.7 -------------------------------------------------------------------------------------------------------------


def opinions():
    rng = np.random.default_rng(107)
    on_true, on_made = (torch.tensor(rng.normal(mean, 1, 40), dtype=torch.float32) for mean in (0.7, -0.4))
    yield on_true, on_made, torch.tensor(0.13)
    yield on_made, on_true, torch.tensor(0.13)


def both_losses(critic_loss, generator_loss, on_true, on_made, penalty):
    losses = {
        "critic_loss": call(critic_loss, on_true, on_made, penalty, name="critic_loss"),
        "generator_loss": call(generator_loss, on_made, name="generator_loss"),
    }
    for name, loss in losses.items():
        if not isinstance(loss, torch.Tensor):
            fail(f"{name} should return a tensor, through which gradients flow; what came is {describe(loss)}.")
    return losses.values()


def each_part_teaches(critic_loss, generator_loss, *batch):
    leaves = [values.clone().requires_grad_() for values in batch]
    losses = {"critic_loss": critic_loss(*leaves), "generator_loss": generator_loss(leaves[1])}
    for name, loss in losses.items():
        if not loss.requires_grad:
            fail(f"{name} has no gradient any more: item(), detach() or numpy() cut the chain to the networks.")
    slopes = torch.autograd.grad(losses["critic_loss"], leaves, allow_unused=True)
    parts = ("numbers for true jets are", "numbers for generated jets are", "penalty is")
    for what, slope in zip(parts, slopes, strict=True):
        if slope is None:
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
        "should return a tensor, through which gradients flow": (critic_loss, lambda on_made: -on_made.mean().item()),
    },
    accepted=[
        of_critic(lambda t, m, p: torch.stack([m, -t, 10 * p]).sum()),
        (
            lambda on_true, on_made, penalty: torch.mean(on_made - on_true) + 10 * penalty,
            lambda on_made: torch.mean(-1 * on_made),
        ),
        (
            lambda on_true, on_made, penalty: -(sum(on_true) - sum(on_made)) / len(on_made) + penalty * 10.0,
            lambda on_made: on_made.sum() / -len(on_made),
        ),
    ],
)(critic_loss, generator_loss)


# --- 10.8 -------------------------------------------------------------------------------------------------------------


class Slope(nn.Module):
    """A critic whose gradient is known: the same everywhere, or in proportion to the point."""

    def __init__(self, curved):
        super().__init__()
        self.weight, self.curved = nn.Parameter(torch.tensor([0.3, -0.2, 0.1])), curved

    def __deepcopy__(self, memo):
        return self  # `penalty_and_what_it_teaches` looks at it after the call

    def forward(self, points, counts):
        rows = 0.15 * points.square() * (1 + self.weight[0]) if self.curved else points * self.weight
        return pool(rows, counts).sum(dim=1)


def critics_and_jets():
    rng = np.random.default_rng(108)
    counts = torch.tensor([4, 9, 1, 16])
    real, fake = (torch.tensor(rng.normal(mean, 1, (30, 3)), dtype=torch.float32) for mean in (0.5, -0.5))
    for curved in (True, False):
        yield Slope(curved), real, fake, counts, torch.tensor([0.2, 0.9, 0.6, 0.35])


def penalty_and_what_it_teaches(function, critic, *jets):
    penalty = call(function, critic, *jets, name="gradient_penalty")
    if not isinstance(penalty, torch.Tensor):
        fail(f"gradient_penalty should return a tensor; what came is {describe(penalty)}.")
    filled = critic.weight.grad is not None
    slope = None
    if penalty.requires_grad and not penalty.ndim:
        (slope,) = torch.autograd.grad(penalty, critic.weight, allow_unused=True)
    return {
        "the penalty": penalty.detach(),
        "how the penalty changes with the critic's parameters": torch.zeros(3) if slope is None else slope,
        "whether the critic's own gradients were filled": filled,
    }


def norms(slope, counts):
    return pool(slope.square().sum(dim=1, keepdim=True), counts)[:, 0].add(1e-12).sqrt()


def penalised(
    form=lambda norm, slope, n: (norm - 1).square().mean(), at=lambda e, real, fake: e * real + (1 - e) * fake
):
    """Return what those write who take the slope at another place, or make another number of it."""

    def wrong(critic, real, fake, counts, mix):
        mix = torch.repeat_interleave(mix, counts)[:, None]
        between = at(mix, real, fake).detach().requires_grad_()
        (slope,) = torch.autograd.grad(critic(between, counts).sum(), between, create_graph=True)
        return form(norms(slope, counts), slope, counts)

    return wrong


def slope_from(how):
    """Return what those write who get the slope in another way; `how` takes critic, points and counts."""

    def wrong(critic, real, fake, counts, mix):
        mix = torch.repeat_interleave(mix, counts)[:, None]
        return (norms(how(critic, (mix * real + (1 - mix) * fake).detach(), counts), counts) - 1).square().mean()

    return wrong


def gradient(of, points, **how):
    return torch.autograd.grad(of, points, **{"create_graph": True} | how)[0]


def by_backward(critic, between, counts):
    critic(between.requires_grad_(), counts).sum().backward(create_graph=True)
    return between.grad


def without_recording(critic, between, counts):
    with torch.no_grad():
        of = critic(between.requires_grad_(), counts).sum()
    return gradient(of, between)


def jet_by_jet(critic, real, fake, counts, mix):
    penalties = []
    for one, other, share in zip(real.split(counts.tolist()), fake.split(counts.tolist()), mix, strict=True):
        between = torch.lerp(other, one, share).requires_grad_()
        penalties.append((gradient(critic(between, torch.tensor([len(one)])).sum(), between).norm() - 1) ** 2)
    return sum(penalties) / len(penalties)


def with_an_index(critic, real, fake, counts, mix):
    """The row's jet by its number, gradients of a sum through `grad_outputs`, no 1e-12."""
    jet = torch.arange(len(counts)).repeat_interleave(counts)
    between = (fake + mix[jet].unsqueeze(1) * (real - fake)).requires_grad_(True)
    slope = gradient(critic(between, counts), between, grad_outputs=torch.ones(len(counts)))
    squares = torch.zeros(len(counts)).index_add(0, jet, (slope**2).sum(dim=1))
    return torch.mean((torch.sqrt(squares) - 1) ** 2)


@exercise(
    "10.8",
    "the gradient penalty",
    cases=critics_and_jets,
    observe=penalty_and_what_it_teaches,
    tolerance={"rtol": 1e-3, "atol": 1e-4},
    hints=(
        "Each jet has one number of mix: torch.repeat_interleave(mix, counts)[:, None] has one for each of its rows.",
        "between.requires_grad_(), then (slope,) = torch.autograd.grad(critic(between, counts).sum(), between, create_graph=True).",
        "The norm of a jet: pool(slope.square().sum(dim=1, keepdim=True), counts).sqrt(); then the mean of (norm - 1)^2.",
    ),
    mistakes={
        "The slope was taken at the true points. What is asked for is the way between true and generated ones.": penalised(at=lambda e, real, fake: real),
        "The slope was taken at the generated points. What is asked for is the way between true and generated ones.": penalised(at=lambda e, real, fake: fake),
        "The slope was taken half-way. Use the mix of each jet.": penalised(at=lambda e, real, fake: (real + fake) / 2),
        "mix and 1 - mix are exchanged: here mix is the share of the true jet. (For the training it would make no difference.)": penalised(at=lambda e, real, fake: (1 - e) * real + e * fake),
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
            slope_from(lambda f, x, n: gradient(f(x.requires_grad_(), n).sum(), x, create_graph=False, retain_graph=True)),
        "backward() fills the gradients of the critic's own parameters as well, and the next step would use them. torch.autograd.grad leaves them alone.": slope_from(by_backward),
        "The points between do not record gradients: between.requires_grad_() first, then critic(between, counts).": slope_from(lambda f, x, n: gradient(f(x, n).sum(), x)),
        "The critic was asked about other points than those of the slope: the same `between` must go into critic(between, counts) and into torch.autograd.grad.":
            slope_from(lambda f, x, n: gradient(f(x.clone(), n).sum(), x.requires_grad_())),
        "The critic was called under torch.no_grad(), which records nothing; here a gradient is wanted.": slope_from(without_recording),
        "torch.autograd.grad wants one number: the sum of the critic's numbers over the jets.": slope_from(lambda f, x, n: gradient(f(x.requires_grad_(), n), x)),
        "gradient_penalty should return a tensor": lambda *jets: gradient_penalty(*jets).item(),
    },
    accepted=[gan.gradient_penalty, jet_by_jet, with_an_index],
)
def gradient_penalty(critic, real, fake, counts, mix):
    epsilon = torch.repeat_interleave(mix, counts)[:, None]  # (T, 1): one for each row
    between = (epsilon * real + (1 - epsilon) * fake).detach().requires_grad_()
    (slope,) = torch.autograd.grad(critic(between, counts).sum(), between, create_graph=True)
    norm = pool(slope.square().sum(dim=1, keepdim=True), counts)[:, 0].add(1e-12).sqrt()  # (N,)
    return (norm - 1).square().mean()


# --- 10.9 -------------------------------------------------------------------------------------------------------------


def two_samples():
    rng = np.random.default_rng(109)
    true, made = rng.normal(size=(2000, 3)), rng.normal((0, 0, 1), 1, (2800, 3))
    true[:, 1] += 0.7 * true[:, 0]  # much of the difference is in the sign of a correlation
    made[:, 1] -= 0.7 * made[:, 0]
    yield true, made, np.random.default_rng(3)
    yield true[:300], true[:300], np.random.default_rng(4)


def listening(name):
    trees = HistGradientBoostingClassifier
    return mock.patch.object(trees, name, autospec=True, side_effect=getattr(trees, name))


def received(call):
    """Return the arguments of a method of the trees by name."""
    return dict(zip(("trees", "X", "y"), call.args, strict=False)) | call.kwargs


def what_is_learned_and_judged(function, true, made, rng):
    """Listen to the trees: who shuffles in another order gets another AUC, but as many jets, and the same settings."""
    with listening("fit") as fit, listening("predict_proba") as judge, listening("decision_function") as decide:
        answer = call(function, true, made, rng, name="classifier_test")
        if np.array_equal(true, made):
            call(function, true, made, rng.spawn(1)[0], name="classifier_test")
    if not isinstance(answer, Estimate):
        fail(
            "classifier_test should return what `auc` returns, a value with its error; what came is "
            f"{describe(answer)}."
        )
    fits = [received(one) for one in fit.call_args_list]
    if np.array_equal(true, made):
        halves = [one["X"] for one in fits]
        return {
            "whether another generator divides the jets in the same way": len(fits) > 1 and np.array_equal(*halves[:2]),
            # a jet that was learned with the other label is judged wrongly
            "whether an AUC below one half was turned round": answer.value > 0.5,
        }
    learned = np.asarray(fits[-1]["X"]) if fits else np.empty((0, 0))
    scored = judge.call_args_list + decide.call_args_list
    judged = np.asarray(received(scored[-1])["X"]) if scored else ()
    known = {row.tobytes() for row in learned}
    return {
        "the AUC": answer.value,
        "the settings of the trees": fits[-1]["trees"].get_params() if fits else None,
        "the number of jets that the trees learn from": len(learned),
        "the number of jets that are judged by a probability": len(judged),
        "the number of columns": learned.shape[1],
        "the share of jets with label 1": np.mean(np.asarray(fits[-1]["y"]) == 1) if fits else 0,
        "whether most jets that are judged had been learned": sum(row.tobytes() in known for row in judged)
        > len(judged) / 2,
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
        fitted = model().fit(x[learn], y[learn])
        return judged(y[judge], score(fitted, x[judge]))

    return answer


def each_by_itself(step):
    return lambda true, made: np.concatenate([step(true), step(made)])


def with_sklearn(true, made, rng):
    inputs, labels = np.vstack([true, made]), np.r_[np.ones(len(true)), np.zeros(len(made))]
    learn, judge, of_learn, of_judge = train_test_split(
        inputs, labels, test_size=0.5, stratify=labels, random_state=int(rng.integers(2**31))
    )
    trees = HistGradientBoostingClassifier(random_state=1, early_stopping=False, max_leaf_nodes=8, max_iter=50)
    return auc(of_judge, trees.fit(learn, of_learn).decision_function(judge))


def halves_of_each(true, made, rng):
    """Half of the true and half of the generated jets, each shuffled."""
    (t, true), (m, made) = (np.array_split(rng.permutation(sample), 2) for sample in (true, made))
    trees = HistGradientBoostingClassifier(max_iter=50, max_leaf_nodes=8, early_stopping=False, random_state=1)
    trees.fit(X=[*true, *made], y=[True] * len(true) + [False] * len(made))
    return auc([1] * len(t) + [0] * len(m), trees.predict_proba(np.concatenate([t, m]))[:, 1])


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
        "The label is among the inputs, and the trees read it off.": stepwise(inputs=lambda true, made: np.c_[np.concatenate([true, made]), np.arange(4800) < 2000]),
        "Each sample was scaled or centred by itself, which takes away what should be found. Do the same to both, or nothing.": stepwise(inputs=each_by_itself(lambda x: (x - x.mean(axis=0)) / x.std(axis=0))),
        "The labels are made for twice the number of true jets; there may be more generated ones than true ones.": stepwise(shuffled=lambda x, y, rng: rng.permutation(len(x)), labels=lambda true, made: np.repeat([1, 0], len(true))),
        "The generated jets are not shuffled, and as many as half of the true ones are learned from: take one half of all jets.":
            stepwise(shuffled=lambda x, y, rng: np.r_[rng.permutation(2000), 2000:4800], divided=lambda order: np.split(order[np.r_[:1000, 2000:3000, 1000:2000, 3000:4800]], [2000])),
        "an AUC below one half was turned round: max(auc, 1 - auc) makes a difference of mere chance.": stepwise(judged=lambda labels, score: max(auc(labels, score), auc(labels, -score))),
        "The jets are not shuffled with the generator that is given, and another one divides them in the same way: rng.permutation.": stepwise(shuffled=lambda x, y, rng: np.r_[: len(y) : 2, 1 : len(y) : 2]),
        "a generator with the same seed gives another result": stepwise(shuffled=lambda x, y, rng: np.random.default_rng().permutation(len(y))),
    },
    accepted=[
        with_sklearn,
        halves_of_each,
        stepwise(divided=lambda order: (order[len(order) // 2 :], order[: len(order) // 2])),
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
