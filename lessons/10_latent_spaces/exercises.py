"""Exercises of lesson 10: looking into a latent space, regression, a generator of jets and how to judge it.

PyTorch comes from the lesson, as the keyword ``torch``, since nothing here may import it.
"""

import itertools

import numpy as np
from scipy.stats import wasserstein_distance
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.neighbors import NearestNeighbors

from coursekit.checks.engine import call, describe, exercise, expect_close, fail
from coursekit.metrics import Estimate, auc

# --- references: what a good answer looks like ------------------------------------------------------------------------


def latent_vectors(torch):
    """Return the reference of 10.1."""

    def answer(model, features, counts):
        model.eval()
        with torch.no_grad():
            return model.latent(features, counts).cpu().numpy()

    return answer


def principal_components(train, other, k):
    mean = train.mean(axis=0)
    _, s, axes = np.linalg.svd(train - mean, full_matrices=False)
    return (other - mean) @ axes[:k].T, s[:k] ** 2 / (s**2).sum()


def neighbour_purity(vectors, labels, k):
    _, near = NearestNeighbors(n_neighbors=k + 1).fit(vectors).kneighbors(vectors)
    return (labels[near[:, 1:]] == labels[:, None]).mean()


def make_scale(train):
    mean, spread = train.mean(axis=0), train.std(axis=0)
    return (lambda targets: (targets - mean) / spread), (lambda outputs: outputs * spread + mean)


def bias_and_resolution(true, predicted, edges):
    rows = []
    for low, high in itertools.pairwise(edges):
        off = (predicted - true)[(true >= low) & (true < high)]
        rows.append((off.mean(), off.std() / np.sqrt(len(off)), off.std()))
    return tuple(np.array(column) for column in zip(*rows, strict=True))


def floor(values, n, n_pairs, rng):
    distances = []
    for _ in range(n_pairs):
        drawn = rng.permutation(values)[: 2 * n]
        distances.append(wasserstein_distance(drawn[:n], drawn[n:]))
    return np.mean(distances)


def critic_loss(on_true, on_made, penalty):
    return on_made.mean() - on_true.mean() + 10 * penalty


def generator_loss(on_made):
    return -on_made.mean()


def classifier_test(true, made, rng):
    inputs, labels = np.concatenate([true, made]), np.repeat([1, 0], [len(true), len(made)])
    order = rng.permutation(len(labels))
    learn, judge = order[: len(order) // 2], order[len(order) // 2 :]
    trees = _trees().fit(inputs[learn], labels[learn])
    return auc(labels[judge], trees.predict_proba(inputs[judge])[:, 1])


def _trees():
    return HistGradientBoostingClassifier(max_iter=50, max_leaf_nodes=8, early_stopping=False, random_state=1)


# --- tools ------------------------------------------------------------------------------------------------------------


class _Adapted:
    """A student's function behind another signature, in which `call` still finds the student's own lines."""

    def __init__(self, function, adapter):
        self._adapter, self.__code__ = adapter, getattr(function, "__code__", None)

    def __call__(self, *arrays):
        return self._adapter(*arrays)


def _call(function, torch, *arrays, name, before=()):
    """`call` with arrays that become tensors sharing their memory, behind objects that are passed as they are."""
    if not callable(function):
        return call(function, name=name)

    def adapter(*arrays):
        try:
            return function(*before, *map(torch.from_numpy, arrays))
        except RuntimeError as error:
            if "Can't call numpy() on Tensor that requires grad" in str(error):
                fail(
                    "the vectors still carry their gradients, and such a tensor does not become an array. Compute them "
                    "inside `with torch.no_grad():`, which also saves the memory for the gradients."
                )
            raise

    recording = torch.is_grad_enabled()
    try:
        answer = call(_Adapted(function, adapter), *arrays, name=name)
        if torch.is_grad_enabled() != recording:
            fail(
                "gradients stay switched off after the call, and no later training would learn anything. "
                "`with torch.no_grad():` ends by itself; torch.set_grad_enabled(False) does not."
            )
    finally:
        torch.set_grad_enabled(recording)
    return answer


def _tuple(answer, n, name, what):
    if not isinstance(answer, tuple | list | np.ndarray) or len(answer) != n:
        fail(f"{name} should return {what}; what came is {describe(answer)}.")
    return answer


def _number(value, name):
    if np.ndim(value) or not isinstance(value, float | int | np.number | np.ndarray):
        fail(f"{name} should return one number; what came is {describe(value)}.")
    return float(value)


# --- tests ------------------------------------------------------------------------------------------------------------


def _probe(torch):
    """Return a small Deep Sets network with dropout and latent numbers of both signs."""
    nn = torch.nn

    class Probe(nn.Module):
        def __init__(self):
            super().__init__()
            self.phi = nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 4))
            self.rho = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 1))

        def latent(self, features, counts):
            jet = torch.repeat_interleave(torch.arange(len(counts)), counts)
            return torch.zeros(len(counts), 4).index_add(0, jet, self.phi(features))

        def forward(self, features, counts):
            return self.rho(self.latent(features, counts))

    return Probe()


@exercise(
    "10.1",
    "the latent vectors of a network",
    hints=(
        "The network can compute them itself: model.latent(features, counts).",
        "model.eval() switches off what is meant for the training alone; `with torch.no_grad():` records no gradients.",
        "A tensor becomes an array with .cpu().numpy(); .cpu() fetches it from a GPU, if there is one.",
    ),
    reference=lambda *, torch: latent_vectors(torch),
)
def _(function, *, torch):
    rng = np.random.default_rng(101)
    counts = rng.integers(1, 9, 30)
    features = rng.normal(size=(counts.sum(), 3)).astype(np.float32)
    model = _probe(torch)
    right = latent_vectors(torch)(model, torch.from_numpy(features), torch.from_numpy(counts))
    answers = []
    for _ in range(2):
        model.train()
        answers.append(_call(function, torch, features, counts, name="latent_vectors", before=(model,)))
    answer = answers[0]
    if isinstance(answer, torch.Tensor):
        fail("the vectors are a tensor; the lesson goes on with NumPy and scikit-learn: .cpu().numpy() at the end.")
    if np.shape(answer) == (30, 4) and not np.allclose(*answers):
        fail(
            "two calls with the same jets give different vectors: the model is in training mode, in which dropout "
            "switches units off at random. Call model.eval() first."
        )
    with torch.no_grad():
        x, n = torch.from_numpy(features), torch.from_numpy(counts)
        mistakes = {
            "These are the outputs of the network, one for each jet. The latent vectors are what goes into rho.": model(
                x, n
            ).numpy(),
            "There is one row for each constituent: these are the phi(x_i). The latent vector of a jet is their "
            "sum.": model.phi(x).numpy(),
            "The negative numbers are cut to zero: this is after another activation. Take the vectors as they go into "
            "rho.": np.maximum(right, 0),
            "This is the mean over the constituents; the network works with the sum, and model.latent knows it.": right
            / counts[:, None],
            "These are the vectors after the first layer of rho.": model.rho[0](torch.from_numpy(right)).numpy(),
            "These are the vectors after the first layer of rho and its activation.": model.rho[:2](
                torch.from_numpy(right)
            ).numpy(),
        }
    expect_close("the array of latent vectors", answer, right, mistakes=mistakes, atol=1e-5)


@exercise(
    "10.2",
    "the principal components",
    hints=(
        "Subtract the mean of each column of `train` first, from both arrays.",
        "_, s, axes = np.linalg.svd(train - mean, full_matrices=False): the rows of `axes` are the directions, the "
        "largest variance first.",
        "Coordinates: (other - mean) @ axes[:k].T. Variances are proportional to s**2.",
    ),
    reference=lambda: principal_components,
)
def _(function):
    rng = np.random.default_rng(102)
    mixing = np.zeros((6, 6))  # two blocks, which np.linalg.eig takes one after the other: it does not sort
    mixing[:3, :3], mixing[3:, 3:] = (np.linalg.qr(part)[0] for part in rng.normal(size=(2, 3, 3)))
    mixing *= [1, 0.7, 3, 5, 0.4, 2]
    offset = mixing @ rng.normal(size=6) * 3 + 4
    noise = rng.normal(size=(400, 6))
    train = 20 * np.linalg.qr(noise - noise.mean(axis=0))[0] @ mixing.T + offset
    other = (rng.normal(size=(250, 6)) * [1, 2, 1, 0.5, 1.5, 1] + [0, 0, 0, 1.5, 0, 0]) @ mixing.T + offset
    for k in (3, 2):
        answer = _tuple(
            call(function, train, other, k, name="principal_components"),
            2,
            "principal_components",
            "two arrays, coordinates and shares of the variance",
        )
        right, shares = principal_components(train, other, k)
        mean, own = train.mean(axis=0), other.mean(axis=0)
        _, s, axes = np.linalg.svd(train - mean, full_matrices=False)
        _, raw_s, raw = np.linalg.svd(train, full_matrices=False)
        _, _, of_other = np.linalg.svd(other - own, full_matrices=False)
        _, unsorted = np.linalg.eig(np.cov(train.T))
        rows = train - train.mean(axis=1, keepdims=True)
        _, _, of_rows = np.linalg.svd(rows, full_matrices=False)
        spread = train.std(axis=0)
        _, _, scaled = np.linalg.svd((train - mean) / spread, full_matrices=False)
        shifted = other - mean
        mistakes = {
            "Nothing was centred: the first direction then points to the mean of the cloud, not along its largest "
            "spread.": other @ raw[:k].T,
            "The training vectors were not centred before the directions were looked for: the first one points to "
            "their mean.": shifted @ raw[:k].T,
            "The directions are right, but the other vectors were not centred: subtract the mean of `train` from them, "
            "too.": other @ axes[:k].T,
            "The other vectors were centred with their own mean. The same jet would get different coordinates in "
            "different samples.": (other - own) @ axes[:k].T,
            "The directions were fitted to the other vectors. They come from `train` alone.": (other - own)
            @ of_other[:k].T,
            "The mean was taken over the wrong axis, over the numbers of each jet. Centre each column: axis=0.": (
                other - other.mean(axis=1, keepdims=True)
            )
            @ of_rows[:k].T,
            "These are the directions of the smallest variance: np.linalg.eigh sorts upwards.": shifted
            @ axes[::-1][:k].T,
            "These are the directions of the smallest variance: np.linalg.eigh sorts upwards, and the last are the "
            "largest.": shifted @ axes[-k:].T,
            "The directions come as np.linalg.eig found them, in no order. Sort them, the largest variance "
            "first.": shifted @ unsorted[:, :k],
            "These are the right directions in reversed order: the largest variance comes first.": shifted
            @ axes[:k][::-1].T,
            "Rows and columns of the matrix of directions are mixed up: the directions are the rows of the third "
            "result of np.linalg.svd.": shifted @ axes[:, :k],
            "Each coordinate was divided by its spread. That hides which direction is the important one.": shifted
            @ axes[:k].T
            / (s[:k] / np.sqrt(len(train))),
            "Each coordinate was divided by its singular value.": shifted @ axes[:k].T / s[:k],
            "The columns were scaled to spread one first. Here the latent numbers have one unit, and their spread is "
            "information.": shifted / spread @ scaled[:k].T,
            "These are the coordinates of the training vectors; `other` is asked for.": (train - mean) @ axes[:k].T,
            "Rows and columns are exchanged: one row for each jet.": right.T,
            "All coordinates are there; keep the first k.": shifted @ axes.T,
        }
        got = answer[0]
        expect_close(
            "the array of coordinates",
            _with_signs_of(got, right),
            right,
            mistakes={sentence: _with_signs_of(wrong, right) for sentence, wrong in mistakes.items()},
            rtol=1e-4,
            atol=1e-6,
        )
        expect_close(
            "the array of shares",
            answer[1],
            shares,
            rtol=1e-4,
            mistakes={
                "Singular values are lengths, variances are their squares: s**2.": s[:k] / s.sum(),
                "These are shares of the first k variances; the others are variance, too.": s[:k] ** 2
                / (s[:k] ** 2).sum(),
                "These are variances; divide by the sum of all.": s[:k] ** 2 / len(train),
                "These are variances; divide by their sum over all directions.": s[:k] ** 2 / (len(train) - 1),
                "These are the squared singular values; divide by the sum of all.": s[:k] ** 2,
                "These are sums from the first to each: give the share of each direction.": np.cumsum(shares),
                "All shares are there; keep the first k.": s**2 / (s**2).sum(),
                "The mean still takes part in these shares: centre before.": raw_s[:k] ** 2 / (raw_s**2).sum(),
                "These are the spreads of the *other* vectors, as shares. The shares are those of `train`.": (
                    right.var(axis=0) / other.var(axis=0).sum()
                ),
            },
        )


def _with_signs_of(got, right):
    """Turn the sign of each column to that of another array's: the sign of a direction is a convention."""
    if not isinstance(got, np.ndarray) or got.ndim != 2:
        return got
    k = min(got.shape[1], right.shape[1])
    if len(got) != len(right):
        return got
    sign = np.ones(got.shape[1])
    sign[:k] = np.where(np.sum(got[:, :k] * right[:, :k], axis=0) < 0, -1, 1)
    return got * sign


@exercise(
    "10.3",
    "how often neighbours are of the same class",
    hints=(
        "NearestNeighbors(n_neighbors=...).fit(vectors).kneighbors(vectors) returns distances and places, both (N, k).",
        "The nearest vector to a jet is the jet itself: ask for k + 1 and leave out the first column.",
        "labels[places] == labels[:, None] is True where a neighbour is of the same class.",
    ),
    reference=lambda: neighbour_purity,
)
def _(function):
    rng = np.random.default_rng(103)
    labels = (rng.random(160) < 0.3).astype(int)
    vectors = rng.normal(size=(160, 4)) * [1, 1, 1, 3] + 0.9 * labels[:, None]
    for k in (5, 12):
        got = _number(call(function, vectors, labels, k, name="neighbour_purity"), "neighbour_purity")
        distance = np.linalg.norm(vectors[:, None] - vectors, axis=2)
        order = np.argsort(distance, axis=1)
        by_sum = np.argsort(np.abs(vectors[:, None] - vectors).sum(axis=2), axis=1)
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        by_angle = np.argsort(-unit @ unit.T, axis=1)
        same = labels[order] == labels[:, None]
        votes = labels[order[:, 1 : k + 1]].mean(axis=1) > 0.5
        expect_close(
            "the share",
            got,
            neighbour_purity(vectors, labels, k),
            mistakes={
                "The nearest neighbour of each jet is the jet itself, and it always agrees with itself. Leave it "
                "out.": same[:, :k].mean(),
                "There are k + 1 neighbours in this mean, the jet itself among them. Leave out the first column.": same[
                    :, : k + 1
                ].mean(),
                "Two columns were left out. Only the first one is the jet itself.": same[:, 2 : k + 1].mean(),
                "There are k - 1 neighbours in this mean: ask for k + 1 and leave out the jet itself.": same[
                    :, 1:k
                ].mean(),
                "This is the share of neighbours of class 1. Compare the class of the neighbour with that of the "
                "jet.": labels[order[:, 1 : k + 1]].mean(),
                "This is the share of jets whose neighbours vote for the right class, the accuracy of a classifier. "
                "The share of the neighbours themselves is asked for.": (votes == labels).mean(),
                "This is the share of neighbours of the *other* class.": 1 - same[:, 1 : k + 1].mean(),
                "These are the k farthest jets.": same[:, -k:].mean(),
                "Only the k-th neighbour counts here. Take the mean over all k.": same[:, k].mean(),
                "Neighbours are those of the smallest angle here (cosine); the Euclidean distance is asked for.": (
                    labels[by_angle[:, 1 : k + 1]] == labels[:, None]
                ).mean(),
                "The distance is a sum of absolute differences; the usual one is the root of the sum of squares.": (
                    labels[by_sum[:, 1 : k + 1]] == labels[:, None]
                ).mean(),
                "This is the sum over the neighbours; take the mean.": same[:, 1 : k + 1].sum(axis=1).mean(),
            },
        )


@exercise(
    "10.4",
    "targets to order one and back",
    hints=(
        "Mean and standard deviation of each column of `train`, computed once, outside of the two functions.",
        "A function may be defined inside a function, and remembers what it found there.",
        "forward: (targets - mean) / spread. back: outputs * spread + mean.",
    ),
    reference=lambda: make_scale,
)
def _(function):
    rng = np.random.default_rng(104)
    train = rng.normal([150.0, 0.25], [60.0, 0.05], (500, 2)) + rng.exponential([20.0, 0.02], (500, 2))
    other = rng.normal([180.0, 0.3], [30.0, 0.08], (200, 2))
    forward, back = _tuple(
        call(function, train, name="make_scale"), 2, "make_scale", "two functions, forward and back, not their results"
    )
    mean, spread = train.mean(axis=0), train.std(axis=0)
    low, high = train.min(axis=0), train.max(axis=0)
    right = (other - mean) / spread
    expect_close(
        "what forward makes of other jets",
        call(forward, other, name="forward"),
        right,
        rtol=1e-2,
        atol=1e-2,  # a standard deviation divided by N or N - 1 is the same here
        mistakes={
            "The other jets were scaled with their own mean and standard deviation. The network was trained with those "
            "of the training jets, and its outputs would be scaled back with other numbers.": (
                (other - other.mean(axis=0)) / other.std(axis=0)
            ),
            "One mean and one standard deviation for both columns: a mass in GeV and a C3 of 0.3 need their own. "
            "axis=0.": (other - train.mean()) / train.std(),
            "The standard deviation is missing: the mass keeps its size in GeV.": other - mean,
            "The mean is missing.": other / spread,
            "This is divided by the variance; divide by the standard deviation.": (other - mean) / spread**2,
            "These are shares of the range between the smallest and the largest training target. A single odd jet sets "
            "that range; use mean and standard deviation.": (other - low) / (high - low),
            "Nothing has changed.": other,
        },
    )
    outputs = rng.normal(size=(50, 2))
    expect_close(
        "what back makes of outputs",
        call(back, outputs, name="back"),
        outputs * spread + mean,
        rtol=0,
        atol=1e-2 * spread,
        mistakes={
            "The mean was added before the multiplication. Undo the steps in reversed order: first times the spread, "
            "then plus the mean.": (outputs + mean) * spread,
            "The mean is missing: the outputs are differences from it.": outputs * spread,
            "The spread is missing.": outputs + mean,
            "This is forward once more, not back.": (outputs - mean) / spread,
            "The outputs were scaled with their own mean and standard deviation.": (
                (outputs - outputs.mean(axis=0)) / outputs.std(axis=0)
            ),
            "The outputs come back as they are: nobody can compare them with a mass in GeV.": outputs,
            "The mean was subtracted; forward has subtracted it, back adds it.": outputs * spread - mean,
            "This is multiplied by the variance; multiply by the standard deviation.": outputs * spread**2 + mean,
        },
    )
    expect_close("a single jet, there and back", call(back, call(forward, other[:1])), other[:1], rtol=1e-6)


@exercise(
    "10.5",
    "bias, its error, and resolution in bins",
    hints=(
        "For each bin select the jets with low <= true < high; what counts is predicted - true.",
        "The bias is the mean of these differences, its error their standard deviation divided by sqrt(n).",
        "The resolution is their standard deviation: .std() subtracts the mean, the root mean square does not.",
    ),
    reference=lambda: bias_and_resolution,
)
def _(function):
    rng = np.random.default_rng(105)
    true = np.round(rng.uniform(0, 100, 900))  # rounded, so that some lie on an edge
    predicted = 15 + 0.8 * true + rng.normal(0, 4 + 0.05 * true)
    edges = np.array([20.0, 40.0, 60.0, 90.0])
    answer = _tuple(
        call(function, true, predicted, edges, name="bias_and_resolution"),
        3,
        "bias_and_resolution",
        "three arrays: bias, its error, resolution",
    )
    bias, error, resolution = bias_and_resolution(true, predicted, edges)

    def rows(select_by, value):
        parts = [value[(select_by >= a) & (select_by < b)] for a, b in itertools.pairwise(edges)]
        return lambda of: np.array([of(part) for part in parts])

    off = predicted - true
    in_bins, swapped = rows(true, off), rows(predicted, off)
    counts = in_bins(len)
    relative, closed = rows(true, off / np.maximum(true, 1)), []
    for a, b in itertools.pairwise(edges):
        closed.append(off[(true > a) & (true <= b)].mean())
    expect_close(
        "the bias",
        answer[0],
        bias,
        rtol=1e-4,
        mistakes={
            "This is the mean of the absolute differences. Too high and too low must cancel: the bias has a "
            "sign.": in_bins(lambda part: np.abs(part).mean()),
            "The sign is reversed: predicted - true, so that a bias above zero means too large.": -bias,
            "The jets are in bins of the prediction. Put them in bins of the true value.": swapped(np.mean),
            "This is the median, which hides the tails; the bias is the mean.": in_bins(np.median),
            "These are means of relative differences. Keep the unit of the target.": relative(np.mean),
            "This is the mean prediction of each bin; subtract the true values.": rows(true, predicted)(np.mean),
            "A jet on an edge belongs to the bin that begins there: low <= true < high.": np.array(closed),
        },
    )
    rms = in_bins(lambda part: np.sqrt((part**2).mean()))
    expect_close(
        "the error of the bias",
        answer[1],
        error,
        rtol=6e-3,  # n - 1 or n
        mistakes={
            "This is the spread of single jets. The error of their mean is smaller by the root of their "
            "number.": resolution,
            "Divide by the root of the number of jets, not by the number.": resolution / counts,
            "Divide by the number of jets in the bin, not by that of all jets.": resolution / np.sqrt(len(true)),
            "This is the root mean square divided by sqrt(n). The spread is measured from the mean.": rms
            / np.sqrt(counts),
        },
    )
    expect_close(
        "the resolution",
        answer[2],
        resolution,
        rtol=6e-3,
        mistakes={
            "This is the root mean square: the bias is still in it. Subtract it first, as .std() does.": rms,
            "This is the variance; take the root.": resolution**2,
            "This is the spread of the predictions. It contains that of the true values within the bin.": rows(
                true, predicted
            )(np.std),
            "This is the mean absolute difference.": in_bins(lambda part: np.abs(part).mean()),
            "This is relative to the true value. Keep the unit of the target.": relative(np.std),
            "This is the error of the mean once more.": error,
        },
    )


@exercise(
    "10.6",
    "the distance between two true samples",
    hints=(
        "One pair: 2 n jets drawn without replacement, the first n against the last n.",
        "drawn = rng.permutation(values)[: 2 * n]; wasserstein_distance(drawn[:n], drawn[n:]).",
        "The mean over n_pairs such distances, each with a new draw.",
    ),
    reference=lambda: floor,
)
def _(function):
    rng = np.random.default_rng(106)
    large, n, n_pairs = rng.gamma(4.0, 10.0, 4000), 200, 60

    def ask(values, n, seed, n_pairs=n_pairs):
        answer = call(function, values, n, n_pairs, rng=np.random.default_rng(seed), name="floor")
        return _number(answer, "floor")

    got = np.array([ask(large, n, seed) for seed in (1, 2, 3, 4)])
    if (got == 0).all():
        fail("the distance is zero: a sample was compared with itself. The two must not share jets.")
    if np.ptp(got) == 0:
        fail("four different generators give the same number: draw the pairs with the argument rng.")
    if ask(large, n, 1) != got[0]:
        fail("the same generator gives two different numbers: draw with the argument rng, not with np.random.")
    right = np.mean([floor(large, n, n_pairs, np.random.default_rng(seed)) for seed in (11, 12, 13, 14)])
    ratio = got.mean() / right
    if abs(ratio / n_pairs - 1) < 0.1:
        fail("this is the sum over the pairs; take the mean.")
    if abs(ratio * large.std() - 1) < 0.1:
        fail("the values were divided by their spread, so that the distance has no unit any more. Keep the unit.")
    if ratio > 3:
        fail(
            f"the distance is {ratio:.0f} times too large. Were the values sorted before they were divided? The two "
            "samples must be drawn at random."
        )
    if got.std() > 0.17 * got.mean():  # a single pair scatters by a third, the mean of sixty by a twentieth
        fail(
            "the number scatters like that of a single pair. Draw n_pairs pairs, and return the mean of the distances."
        )
    sizes = {len(large) // 2: "half of the sample", 2 * n: "2 n", n // 2: "n / 2"}
    for size, name in sizes.items():
        if abs(ratio / np.sqrt(n / size) - 1) < 0.12:
            fail(
                f"the floor is {ratio:.2f} times the expected one, as for samples of {size} jets, {name}. It falls "
                f"with the root of their number: compare samples of n = {n}, as large as the one that is to be judged."
            )
    if abs(ratio - 1) > 0.12:
        fail(f"the floor is {got.mean():.3f}, expected {right:.3f} within a tenth.")
    nearly_all_zero = np.array([0.0, 0.0, 0.0, 0.0, 1.0])  # two samples of one value: their distance is 0 or 1
    if ask(nearly_all_zero, 1, 1) == 0:
        fail("this is the median of the distances, which hides the large ones; take the mean.")
    if not {ask(nearly_all_zero, 1, seed, n_pairs=1) for seed in (1, 2, 3, 4)} <= {0, 1}:
        fail("the number of pairs does not come from the argument n_pairs.")
    if ask(np.array([0.0, 1.0]), 1, 1) != 1:
        fail(
            "of two values, one in each sample, the distance is not always their difference: the two samples share "
            "jets, which brings them closer. Draw 2 n at once, without replacement, and divide them."
        )


@exercise(
    "10.7",
    "the losses of critic and generator",
    hints=(
        "Losses are made small. The critic wants large numbers for true jets and small ones for generated jets.",
        "The generator wants that the critic's numbers for its jets are large.",
        "critic: on_made.mean() - on_true.mean() + 10 * penalty; generator: -on_made.mean().",
    ),
    reference=lambda *, torch: (critic_loss, generator_loss),
)
def _(of_critic, of_generator, *, torch):
    rng = np.random.default_rng(107)
    on_true, on_made = (rng.normal(mean, 1, 40).astype(np.float32) for mean in (0.7, -0.4))
    penalty = np.float32(0.13)
    as_number = np.array(penalty)
    t, m = np.array([on_true.mean(), on_made.mean()]), np.array([on_made.mean(), on_true.mean()])
    values = {}
    for name, function, batches in (
        ("critic_loss", of_critic, [(on_true, on_made, as_number), (on_made, on_true, as_number)]),
        ("generator_loss", of_generator, [(on_made,), (on_true,)]),
    ):
        losses = []
        for arrays in batches:
            loss = _call(function, torch, *arrays, name=name)
            if not isinstance(loss, torch.Tensor):
                fail(f"{name} should return a tensor, through which gradients flow; what came is {describe(loss)}.")
            if loss.ndim:
                fail(
                    f"{name} returned a number for each jet, shape {tuple(loss.shape)}; a loss is one number: the mean."
                )
            losses.append(loss.item())
        leaves = [torch.tensor(array, requires_grad=True) for array in arrays]
        again = function(*leaves)
        if not again.requires_grad:
            fail(f"{name} has no gradient any more: item(), detach() or numpy() cut the chain to the networks.")
        values[name] = np.array(losses)
        if name == "critic_loss":
            slopes = torch.autograd.grad(again, leaves, allow_unused=True)
    expect_close(
        "the array of the critic's losses for two batches",
        values["critic_loss"],
        m - t + 10 * float(penalty),
        rtol=1e-4,
        mistakes={
            "The sign of the two means is reversed: this critic learns to give true jets the small numbers. A loss "
            "is made small.": t - m + 10 * float(penalty),
            "The whole loss has the wrong sign: a critic that makes it small makes the penalty large.": t
            - m
            - 10 * float(penalty),
            "The penalty is subtracted, so that steep slopes are rewarded.": m - t - 10 * float(penalty),
            "The factor 10 of the penalty is missing.": m - t + float(penalty),
            "The penalty is missing: without it the numbers grow without end.": m - t,
            "The two means are added.": m + t + 10 * float(penalty),
            "These are sums over the batch; take the means.": 40 * (m - t) + 10 * float(penalty),
            "The critic's numbers for true jets do not enter.": m + 10 * float(penalty),
            "The generated jets do not enter.": -t + 10 * float(penalty),
            "This is an absolute difference, without a sign: a critic that is wrong with certainty would be as "
            "good.": abs(m - t) + 10 * float(penalty),
            "This is an absolute difference, without a sign: minus |difference|.": 10 * float(penalty) - abs(m - t),
        },
    )
    for what, slope in zip(
        ("numbers for true jets are", "numbers for generated jets are", "penalty is"), slopes, strict=True
    ):
        if slope is None:
            fail(f"the {what} only a number here and cannot teach: item(), detach() or numpy() cut the chain.")
    expect_close(
        "the array of the generator's losses for two batches",
        values["generator_loss"],
        -m,
        rtol=1e-4,
        mistakes={
            "The sign is wrong: this generator tries to look as false as possible. It wants large numbers, and a loss "
            "is made small.": m,
            "This is a sum over the batch; take the mean.": -40 * m,
            "The sign of the mean is lost: abs() or the like.": abs(m),
            "This is the cross-entropy of an ordinary GAN. The critic's numbers are no logits: take their mean.": [
                np.log1p(np.exp(-f)).mean() for f in (on_made, on_true)
            ],
            "The numbers were squared: they may have any sign.": [(f**2).mean() for f in (on_made, on_true)],
        },
    )


@exercise(
    "10.8",
    "the gradient penalty",
    hints=(
        "Each jet has one number of mix: torch.repeat_interleave(mix, counts)[:, None] has one for each of its rows.",
        "between.requires_grad_(), then (slope,) = torch.autograd.grad(critic(between, counts).sum(), between, "
        "create_graph=True).",
        "The norm of a jet: pool(slope.square().sum(dim=1, keepdim=True), counts).sqrt(); then the mean of "
        "(norm - 1)^2.",
    ),
    reference=lambda *, torch, package: package,
)
def _(function, *, torch, package):
    rng = np.random.default_rng(108)
    counts = np.array([4, 9, 1, 16])
    real, made = (rng.normal(shift, 1, (counts.sum(), 3)).astype(np.float32) for shift in (0.5, -0.5))
    mix = np.array([0.2, 0.9, 0.6, 0.35], np.float32)
    jet = np.repeat(np.arange(len(counts)), counts)
    weight = torch.tensor([0.3, -0.2, 0.1], requires_grad=True)

    def summed(values, counts):
        of = torch.repeat_interleave(torch.arange(len(counts)), counts)
        return torch.zeros(len(counts)).index_add(0, of, values)

    def linear(points, counts):
        return summed(points @ weight, counts)

    def parabola(points, counts):
        return summed((0.3 * points.square() / 2 * (1 + weight[0])).sum(dim=1), counts)

    if not callable(function):
        call(function, name="gradient_penalty")

    def ask(critic):
        def adapter(real, made, counts, mix):
            try:
                return function(critic, *map(torch.from_numpy, (real, made, counts, mix)))
            except RuntimeError as error:
                if "does not require grad" in str(error) or "not have been used in the graph" in str(error):
                    fail(
                        "the points between do not record gradients, or the critic was asked about other points: "
                        "between.requires_grad_() first, then critic(between, counts)."
                    )
                if "scalar outputs" in str(error):
                    fail("torch.autograd.grad wants one number: the sum of the critic's numbers over the jets.")
                raise

        answer = call(_Adapted(function, adapter), real, made, counts, mix, name="gradient_penalty")
        if not isinstance(answer, torch.Tensor):
            fail(f"gradient_penalty should return a tensor; what came is {describe(answer)}.")
        if answer.ndim:
            fail(f"the penalty has shape {tuple(answer.shape)}; it is one number, the mean over the jets.")
        return answer

    def of_points(between, factor):
        """The penalty in its right form and in usual wrong ones, for a gradient that is `factor` times the points."""
        slope = factor * between.astype(np.float64)
        squares = (slope**2).sum(axis=1)
        norm = np.sqrt(np.bincount(jet, squares))
        rows, whole = np.sqrt(squares), np.sqrt(squares.sum())
        return {
            "right": ((norm - 1) ** 2).mean(),
            "rows": ((rows - 1) ** 2).mean(),
            "whole": (whole - 1) ** 2,
            "squared": ((norm**2 - 1) ** 2).mean(),
            "one-sided": (np.maximum(norm - 1, 0) ** 2).mean(),
            "absolute": np.abs(norm - 1).mean(),
            "no one": (norm**2).mean(),
            "sum": ((norm - 1) ** 2).sum(),
            "mean rows": ((np.sqrt(np.bincount(jet, squares) / counts) - 1) ** 2).mean(),
            "added": ((np.bincount(jet, np.abs(slope).sum(axis=1)) - 1) ** 2).mean(),
        }

    e = mix[jet][:, None]
    at = {
        name: of_points(points, 0.3 * 1.3)
        for name, points in {
            "between": e * real + (1 - e) * made,
            "turned": (1 - e) * real + e * made,
            "real": real,
            "made": made,
            "middle": (real + made) / 2,
        }.items()
    }
    forms = {
        "This is one norm over the whole batch. Each jet has a slope of its own: sum over its rows only.": "whole",
        "The norm was taken row by row. The slope of a jet goes over all its points: pool the squares first.": "rows",
        "The squared norm is compared with one; take the root first.": "squared",
        "Only slopes above one are punished. That is a variant; here a slope below one costs as much.": "one-sided",
        "This is the absolute difference from one; square it.": "absolute",
        "The one is missing: this draws the slope to zero, and the critic becomes flat.": "no one",
        "This is the sum over the jets; take the mean.": "sum",
        "The squares were averaged over the rows of a jet; the norm is the root of their sum.": "mean rows",
        "This is the sum of absolute values; the norm is the root of the sum of squares.": "added",
    }
    places = {
        "The slope was taken at the true points. What is asked for is the way between true and generated ones.": "real",
        "The slope was taken at the generated points. What is asked for is the way between true and generated "
        "ones.": "made",
        "The slope was taken half-way. Use the mix of each jet.": "middle",
        "mix and 1 - mix are exchanged: here mix is the share of the true jet. (For the training it would make no "
        "difference.)": "turned",
    }
    penalty = ask(parabola)
    expect_close(
        "the penalty of a curved critic",
        penalty.item(),
        at["between"]["right"],
        rtol=1e-3,
        atol=1e-4,
        mistakes={sentence: at[place]["right"] for sentence, place in places.items()}
        | {sentence: at["between"][form] for sentence, form in forms.items()},
    )
    if not penalty.requires_grad:
        fail(
            "the penalty does not depend on the critic's parameters any more, so that the critic cannot learn from it: "
            "torch.autograd.grad needs create_graph=True, and nothing may be detached behind it."
        )
    length = np.linalg.norm([0.3, -0.2, 0.1])
    expect_close(
        "the penalty of a linear critic", ask(linear).item(), ((length * np.sqrt(counts) - 1) ** 2).mean(), rtol=1e-3
    )


@exercise(
    "10.9",
    "a classifier between true and generated jets",
    hints=(
        "Put both samples into one array, with labels 1 for true and 0 for generated; shuffle with rng.permutation.",
        "Fit on one half of the shuffled jets, and compute the AUC on the other half.",
        "auc(labels[judge], trees.predict_proba(inputs[judge])[:, 1])",
    ),
    reference=lambda: classifier_test,
)
def _(function):
    rng = np.random.default_rng(109)

    def ask(true, made, seed=3):
        answer = call(function, true, made, rng=np.random.default_rng(seed), name="classifier_test")
        if not isinstance(answer, Estimate):
            fail(
                f"classifier_test should return what `auc` returns, a value with its error; what came is "
                f"{describe(answer)}."
            )
        return answer

    one, other = rng.normal(size=(2, 400, 5))
    same = ask(one, other)
    if same.value > 0.5 + 5 * same.error or same.value > 0.8:
        fail(
            f"two samples of the same distribution are told apart, AUC {same.value:.2f}: the classifier is judged on "
            "jets that it was trained on. Fit on one half, judge on the other."
        )
    true, made = rng.normal(size=(1400, 3)), rng.normal((0, 0, 0.5), 1, (1000, 3))
    true[:, 1] += 2 * true[:, 0]  # most of the difference is in the sign of a correlation
    made[:, 1] -= 2 * made[:, 0]
    result, right = ask(true, made), classifier_test(true, made, np.random.default_rng(4))
    if result.value < 0.4:
        fail(
            f"the AUC is {result.value:.2f}, below one half: the labels are reversed. 1 is true, and column 1 of "
            "predict_proba its probability."
        )
    if 0.58 < result.value < 0.7:
        fail(
            f"the AUC is {result.value:.3f}, expected about {right.value:.3f}: that of a linear classifier, which does "
            "not see correlations, or of one column. Use the boosted trees on all of them."
        )
    if result.value < right.value - 0.03:
        fail(
            f"the AUC is {result.value:.3f}, expected about {right.value:.3f}. Were answers used in the place of "
            "probabilities (predict_proba), are columns missing, or have labels and jets lost each other when they "
            "were shuffled?"
        )
    if abs(result.value - right.value) > 0.03:
        fail(f"the AUC is {result.value:.3f}, expected about {right.value:.3f}.")
    if result.error > 1.3 * right.error:
        fail(
            f"the error is {result.error:.4f}, expected about {right.error:.4f}: too few jets are used for judging; "
            "half of them are there."
        )
    if result.error < 0.8 * right.error:
        fail(
            f"the error is {result.error:.4f}, expected about {right.error:.4f}: more than half of the jets are used "
            "for judging, those of the training among them."
        )
    if ask(true, made) != result:
        fail("the same generator gives two different answers: shuffle with the argument rng, not with np.random.")
    if ask(true, made, seed=5) == result:
        fail("two different generators give the same answer: shuffle the jets with rng.permutation.")
    if ask(one, one).value > 0.5:  # a jet that was learned with the other label is judged wrongly
        fail("an AUC below one half was turned round: max(auc, 1 - auc) makes a difference of mere chance.")
