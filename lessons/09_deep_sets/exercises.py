"""Exercises of lesson 09: a jet as a set, from padding and masks to packed constituents, safety and errors.

PyTorch comes from the lesson, as the keyword ``torch``, since nothing here may import it.
"""

import functools
import itertools

import numpy as np

from coursekit.checks.engine import call, describe, exercise, expect_close, expect_equal, fail
from coursekit.metrics import auc

# --- references: what a good answer looks like ------------------------------------------------------------------------


def padded(torch):
    """Return the reference of 9.1."""

    def answer(constituents, length):
        kept = constituents[:length]
        slots = torch.zeros(length, constituents.shape[1])
        slots[: len(kept)] = kept
        return slots, torch.arange(length) < len(kept)

    return answer


def standardised(train, train_mask, other, other_mask):
    """Scale with the real constituents of the training jets; padding stays zero."""
    real = train[train_mask]
    return np.where(other_mask[..., None], (other - real.mean(axis=0)) / real.std(axis=0), 0)


def masked_mean(torch):
    """Return the reference of 9.3."""

    def answer(latent, mask):
        n = mask.sum(dim=1).clamp(min=1)
        return (latent * mask[..., None]).sum(dim=1) / n[:, None]

    return answer


def build_networks(torch):
    """Return the reference of 9.4."""
    nn = torch.nn

    def answer(n_features, width):
        phi = nn.Sequential(nn.Linear(n_features, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        rho = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1))
        return phi, rho

    return answer


def training_step(torch):
    """Return the reference of 9.5."""

    def answer(model, optimiser, inputs, labels):
        model.train()
        optimiser.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(model(*inputs), labels)
        loss.backward()
        optimiser.step()
        return loss.item()

    return answer


def score(torch):
    """Return the reference of 9.6."""

    def answer(model, inputs):
        model.eval()
        with torch.no_grad():
            return torch.sigmoid(model(*inputs))[:, 0].numpy()

    return answer


def segment_sum(torch):
    """Return the reference of 9.7."""

    def answer(latent, counts):
        jet = torch.repeat_interleave(torch.arange(len(counts)), counts)
        return torch.zeros(len(counts), latent.shape[1]).index_add(0, jet, latent)

    return answer


def best_and_stop(history, patience):
    best = int(np.argmin(history["val_loss"]))
    return best, len(history["val_loss"]) - 1 - best >= patience


def split_hardest(momenta, counts, share):
    first = np.cumsum(counts) - counts
    split = np.insert(momenta, first, share * momenta[first], axis=0)
    split[first + np.arange(len(counts)) + 1] *= 1 - share
    return split, counts + 1


def mean_auc(labels, scores):
    areas = [auc(labels, s) for s in scores]
    values = np.array([area.value for area in areas])
    of_seeds = values.std(ddof=1) / np.sqrt(len(values))
    return values.mean(), np.hypot(of_seeds, np.mean([area.error for area in areas]))


# --- tensors in, arrays out -------------------------------------------------------------------------------------------


class _Adapted:
    """A student's function behind another signature, in which `call` still finds the student's own lines."""

    def __init__(self, function, adapter):
        self._adapter, self.__code__ = adapter, getattr(function, "__code__", None)

    def __call__(self, *arrays):
        return self._adapter(*arrays)


def _call(function, torch, *arrays, name, arrange=lambda *tensors: tensors):
    """`call` with arrays that become tensors sharing their memory, so that a changed input shows.

    `arrange` makes the function's arguments of them.
    """
    if not callable(function):
        return call(function, name=name)

    def adapter(*arrays):
        try:
            return function(*arrange(*map(torch.from_numpy, arrays)))
        except RuntimeError as error:
            if "does not require grad" in str(error):
                fail(
                    "the loss has no gradient: detach(), item(), numpy() or torch.no_grad() cut the chain between it "
                    "and the parameters."
                )
            if "inplace operation" in str(error):
                fail(
                    "a step was made between the computation of the loss and backward(): the gradients would be those "
                    "of parameters that are no longer there. First backward(), then step()."
                )
            if "requires grad" in str(error):
                fail(
                    "the output still carries its gradients, and a tensor with gradients does not become an array. "
                    "Compute it inside `with torch.no_grad():`, which also saves the memory for them."
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


def _with(more, *tensors):
    return *tensors, more


def _array(what, value, torch):
    """Return a tensor as an array; anything else is a mistake."""
    if isinstance(value, np.ndarray):
        fail(f"{what} is a NumPy array. The lesson goes on with a tensor, through which gradients flow.")
    if not isinstance(value, torch.Tensor):
        fail(f"{what} should be a tensor; what came is {describe(value)}.")
    return value.detach().numpy()


def _pair(answer, name, first, second):
    try:
        one, two = answer
    except (TypeError, ValueError):
        fail(f"{name} should return two things, {first} and {second}; what came is {describe(answer)}.")
    return one, two


def _expect_gradient(what, function, torch, values, other):
    """The result must depend on the values in a way that backward() can follow."""
    values = torch.from_numpy(values).requires_grad_()
    result = function(values, torch.from_numpy(other))
    if not result.requires_grad:
        fail(
            f"{what} has no gradient any more: detach(), numpy() or a new tensor made of its values cut the chain, and "
            "the network behind it would never learn."
        )
    result.sum().backward()
    if values.grad is not None and not torch.isfinite(values.grad).all():
        fail(
            f"{what} is right, but its gradient contains NaN: an empty jet gave 0 / 0 on the way, and nan_to_num or "
            "where repairs the value alone. .clamp(min=1) on n, before the division."
        )


# --- tests ------------------------------------------------------------------------------------------------------------


@exercise(
    "9.1",
    "one jet padded, with its mask",
    hints=(
        "Begin with zeros for all slots, torch.zeros(length, constituents.shape[1]), and write the constituents into "
        "the first of them.",
        "slots[:n] = constituents[:length], with n the number that fits.",
        "torch.arange(length) < n is True for the first n slots.",
    ),
    reference=lambda *, torch: padded(torch),
)
def _(function, *, torch):
    rng = np.random.default_rng(91)
    for n, length in ((5, 8), (8, 8), (1, 6), (9, 6)):
        jet = rng.normal(size=(n, 3)).astype(np.float32)
        jet[0, 0], jet[-1] = -1.0, -abs(jet[-1])  # standardised values can be negative
        if n > 4:
            jet[1, 0], jet[2] = 0, 0  # or zero
        answer = _call(function, torch, jet, name="padded", arrange=functools.partial(_with, length))
        slots, mask = (
            _array(what, part, torch)
            for what, part in zip(("slots", "mask"), _pair(answer, "padded", "slots", "mask"), strict=True)
        )
        right, real = (part.numpy() for part in padded(torch)(torch.from_numpy(jet), length))
        kept = min(n, length)
        at_end, repeated, short = np.roll(right, length - kept, axis=0), right.copy(), right.copy()
        repeated[kept:] = jet[kept - 1]
        short[kept - 1] = 0
        expect_close(
            "slots",
            slots,
            right,
            mistakes={
                "The constituents stand at the end; here they come first.": at_end,
                "Padding repeats the last constituent. That is a particle that was never there: use zeros.": repeated,
                "The last constituent is dropped.": short,
                "Slots and features are exchanged.": right.T,
                f"The longest jets have more than {length} constituents, and the first {length} are kept. Here all "
                "are.": jet,
            },
        )
        expect_close(
            "mask",
            mask.astype(float),
            real.astype(float),
            mistakes={
                "The mask is turned round: True means a real constituent.": ~real,
                "Every slot is marked as real.": np.ones(length),
                "The mask asks for values above zero. Standardised values of real constituents can be negative; it "
                "is their number that says which slots are real.": right[:, 0] > 0,
                "The mask asks for values that are not zero. A real constituent can have a zero; it is their number "
                "that says which slots are real.": right[:, 0] != 0,
                "The mask asks for rows that are not zero. A real constituent can have zeros only; it is their number "
                "that says which slots are real.": right.any(axis=1),
                "The mask has one entry for each number; one for each slot is enough.": np.repeat(real[:, None], 3, 1),
                "The last constituent is missing from the mask.": np.arange(length) < kept - 1,
            },
        )
        if mask.dtype != bool:
            fail(
                f"the mask is right, but its dtype is {mask.dtype}; a bool mask can select, count and be turned round."
            )


@exercise(
    "9.2",
    "momenta scaled with the training constituents",
    hints=(
        "train[train_mask] are the real constituents of all training jets, shape (T, F).",
        "One mean and one standard deviation for each feature: .mean(axis=0) and .std(axis=0) of them.",
        "np.where(other_mask[..., None], (other - mean) / std, 0) leaves the padding at zero.",
    ),
    reference=lambda: standardised,
)
def _(function):
    rng = np.random.default_rng(92)

    def sample(counts, scale, shift):
        counts = np.array(counts)
        mask = np.arange(12) < counts[:, None]
        jets = rng.normal(shift, scale, (len(counts), 12, 3)) * np.array([20.0, 5.0, 9.0]) + np.array([30.0, 0.0, 4.0])
        jets[0, 1, 0], jets[1, 0] = 0, 0  # zeros that were measured
        return np.where(mask[..., None], jets, 0), mask

    (train, train_mask), (other, other_mask) = sample([3, 7, 12, 5, 9, 2], 1.0, 0.3), sample([4, 10, 6, 12], 1.6, -0.4)
    answer = call(function, train, train_mask, other, other_mask, name="standardised")
    right = standardised(train, train_mask, other, other_mask)
    real, own = train[train_mask], other[other_mask]
    keep = other_mask[..., None]
    mean, std = real.mean(axis=0), real.std(axis=0)
    rows = train[train.any(axis=-1)]

    def scaled(mean, std, keep=keep):
        return np.where(keep, (other - mean) / std, 0)

    if np.shape(answer) == right.shape and np.allclose(answer, scaled(mean, real.std(axis=0, ddof=1)), rtol=1e-4):
        right = answer  # divided by N - 1, as torch does

    n = other_mask.sum(axis=1)[:, None, None]
    jet_mean = other.sum(axis=1, keepdims=True) / n
    jet_std = np.sqrt((((other - jet_mean) * keep) ** 2).sum(axis=1, keepdims=True) / n)
    nonzero = {
        "": (real.mean(axis=0), real.std(axis=0)),
        " And the padding takes part in mean and spread.": (train.mean(axis=(0, 1)), train.std(axis=(0, 1))),
        " And the jets are scaled by themselves.": (own.mean(axis=0), own.std(axis=0)),
    }
    mistakes = {
        "The jets are scaled by themselves, with their own mean and spread. The same constituent then becomes another "
        "input in each sample: use the numbers of the training jets for all.": scaled(
            own.mean(axis=0), own.std(axis=0)
        ),
        "The padding takes part in mean and spread. Three quarters of the slots are zeros that no detector measured: "
        "use train[train_mask].": scaled(train.mean(axis=(0, 1)), train.std(axis=(0, 1))),
        "The jets are scaled by themselves, and the padding takes part.": scaled(
            other.mean(axis=(0, 1)), other.std(axis=(0, 1))
        ),
        "Each jet is scaled by itself. Its energy, and how it is shared, are gone then.": np.where(
            keep, (other - jet_mean) / np.where(jet_std > 0, jet_std, 1), 0
        ),
        "All features share one mean and one spread. An energy and a px need their own.": scaled(
            real.mean(), real.std()
        ),
        "This is divided by the variance. Divide by the standard deviation.": scaled(
            real.mean(axis=0), real.var(axis=0)
        ),
        "A zero in a real constituent was taken for padding. The mask says which slots are real.": scaled(
            mean, std, other != 0
        ),
        "A real constituent of zeros only was taken for padding. The mask says which slots are real.": scaled(
            mean, std, other.any(axis=-1, keepdims=True)
        ),
        "A training constituent of zeros only was taken for padding. Use train[train_mask].": scaled(
            rows.mean(axis=0), rows.std(axis=0)
        ),
        "The mean is not subtracted.": scaled(0, real.std(axis=0)),
        "The mean is subtracted; the division by the standard deviation is missing.": scaled(real.mean(axis=0), 1),
        "These are the training jets; the third argument holds those to be scaled.": standardised(
            train, train_mask, train, train_mask
        ),
    } | {
        "The padding is no longer zero: it became (0 - mean) / std, a particle like any other." + more: (other - m) / s
        for more, (m, s) in nonzero.items()
    }
    expect_close("the array of scaled momenta", answer, right, mistakes=mistakes, rtol=1e-4, atol=1e-6)


@exercise(
    "9.3",
    "the mean over real constituents",
    hints=(
        "Two steps: the sum over the real slots of each jet, and their number.",
        "latent * mask[..., None] is zero in the padding; the sum over slots is .sum(dim=1).",
        "mask.sum(dim=1) is n; .clamp(min=1) keeps an empty jet from 0 / 0; n[:, None] divides each row.",
    ),
    reference=lambda *, torch: masked_mean(torch),
)
def _(function, *, torch):
    rng = np.random.default_rng(93)

    def jets(counts, p=7):
        mask = np.arange(p) < np.array(counts)[:, None]
        values = rng.normal(1.0, 1.0, (len(counts), p, 4)).astype(np.float32)
        return np.maximum(values, 0), mask  # zeros in real slots, too, as a ReLU leaves them

    h, m = jets([7, 2, 5, 3, 6])
    got = _array("the mean", _call(function, torch, h, m, name="masked_mean"), torch)
    real, n = h * m[..., None], m.sum(axis=1)[:, None]
    last = h[np.arange(len(h)), n[:, 0] - 1]
    expect_close(
        "the mean",
        got,
        real.sum(axis=1) / n,
        rtol=1e-4,
        atol=1e-6,
        mistakes={
            "The mask is forgotten: padding counts as particles. phi of a padded slot is not zero, because of its "
            "bias.": h.mean(axis=1),
            "The padding is set to zero, but still counted: the sum is divided by the number of slots. Divide by the "
            "number of constituents, mask.sum(dim=1).": real.sum(axis=1) / h.shape[1],
            "The sum runs over the padding too; multiply by the mask before the sum.": h.sum(axis=1) / n,
            "The last constituent is dropped, from the sum and from the number.": (real.sum(axis=1) - last) / (n - 1),
            "The last constituent is dropped from the sum.": (real.sum(axis=1) - last) / n,
            "The sum is divided by n - 1. That belongs to a variance.": real.sum(axis=1) / (n - 1),
            "This is the sum over the wrong axis: it adds the L numbers of a slot. Add the slots of a jet, "
            "dim=1.": real.sum(axis=2) / n,
            "This is the sum over the wrong axis: it mixes different jets. Add the slots of a jet, dim=1.": real.sum(
                axis=0
            )
            / np.maximum(m.sum(axis=0)[:, None], 1),
            "The sum is divided by the number of constituents in the whole batch.": real.sum(axis=1) / m.sum(),
            "The sum is divided by the mean number of constituents; each jet has its own.": real.sum(axis=1) / n.mean(),
            "The numbers that are not zero were counted. A ReLU makes zeros in real slots: count with the "
            "mask.": real.sum(axis=1) / np.maximum((real != 0).sum(axis=1), 1),
            "This is the sum; divide by the number of constituents.": real.sum(axis=1),
            "This is one mean for the whole batch: each jet needs its own.": real.sum(axis=(0, 1)) / m.sum(),
            "This is the mean over the padding: the mask is True for real constituents.": np.divide(
                (h - real).sum(axis=1), 7 - n, out=np.full((5, 4), np.nan), where=n < 7
            ),
            "This is the largest entry, not the mean.": np.where(m[..., None], h, -np.inf).max(axis=1),
        },
    )
    h, m = jets([1, 0, 4])
    m[2] = [True, False, True, True, False, False, True]
    got = _array("the mean", _call(function, torch, h, m, name="masked_mean"), torch)
    right = masked_mean(torch)(torch.from_numpy(h), torch.from_numpy(m)).numpy()
    empty = right.copy()
    empty[1] = np.nan
    wrong = {"A jet without constituents gives 0 / 0, and one NaN stops a training. .clamp(min=1) on n.": empty}
    front = right.copy()
    front[2] = h[2, :4].mean(axis=0)
    wrong["The first n slots were taken. Real slots can stand anywhere: the mask says where."] = front
    expect_close("the mean", got, right, rtol=1e-4, atol=1e-6, mistakes=wrong)
    _expect_gradient("the mean", function, torch, h, m)


def _output(torch, network, name, values):
    with torch.no_grad():
        return _array(f"the output of {name}", _call(network, torch, values.astype(np.float32), name=name), torch)


@exercise(
    "9.4",
    "the networks for a constituent and for a jet",
    hints=(
        "nn.Sequential takes layers one after the other: nn.Linear(in, out), nn.ReLU(), ...",
        "phi: Linear(n_features, width), ReLU, Linear(width, width), ReLU. It acts on the last axis alone, so that "
        "nothing else has to be said about constituents.",
        "rho: Linear(width, width), ReLU, Linear(width, 1), and nothing behind it.",
    ),
    reference=lambda *, torch: build_networks(torch),
)
def _(function, *, torch):
    nn, rng = torch.nn, np.random.default_rng(94)
    for n_features, width in ((4, 12), (7, 5)):
        with torch.random.fork_rng():
            torch.manual_seed(94)
            networks = _pair(call(function, n_features, width, name="build_networks"), "build_networks", "phi", "rho")
        for name, network in zip(("phi", "rho"), networks, strict=True):
            if not isinstance(network, nn.Module):
                fail(f"{name} should be a network, an nn.Sequential for instance; what came is {describe(network)}.")
        phi, rho = networks
        if any("BatchNorm" in type(layer).__name__ for network in networks for layer in network.modules()):
            fail("a BatchNorm mixes the constituents of all jets of a batch, padding included. Leave it out.")
        if any("Dropout" in type(layer).__name__ for network in networks for layer in network.modules()):
            fail("there is a dropout: two answers to the same question would differ. No dropout here, please.")
        if {*map(id, phi.parameters())} & {*map(id, rho.parameters())}:
            fail("phi and rho share a layer: a step that improves one changes the other. Make each layer anew.")
        if not all(p.requires_grad for network in networks for p in network.parameters()):
            fail("some parameters have requires_grad=False: no training would move them.")
        of = functools.partial(_output, torch)
        x = 3 * rng.normal(size=(6, 8, n_features))
        h = of(phi, "phi", x)
        if h.shape != (6, 8, width):
            fail(
                f"phi makes {h.shape} of (6, 8, {n_features}), expected (6, 8, {width}): `width` numbers for each "
                "constituent."
            )
        for other, where in ((x[:, :3], "constituents"), (x[:2], "jets")):
            alone = of(phi, "phi", other)
            if not np.allclose(alone, h[: len(other), : other.shape[1]], rtol=1e-3, atol=1e-4):
                fail(
                    f"phi of a constituent changes with the other {where} in the array. A softmax or a normalisation "
                    f"over {where} does that, and padding would take part in it. phi sees one constituent at a time."
                )
        if np.allclose(h.sum(axis=-1), 1, atol=1e-4):
            fail("the outputs of phi add up to one: there is a softmax. phi gives free numbers, not shares.")
        a, b, zero = x[:, 0], x[:, 1], np.zeros((6, n_features))
        parts = [of(phi, "phi", values) for values in (a + b, zero, a, b)]
        if np.allclose(parts[0] + parts[1], parts[2] + parts[3], rtol=1e-3, atol=1e-3):
            fail(
                "phi is linear: without an activation its layers are one. The sum over constituents is then a function "
                "of the summed inputs alone, and nothing inside the jet is seen."
            )
        line = of(phi, "phi", np.linspace(-20, 20, 801)[:, None] * x[:1, 0])
        if (np.abs(np.diff(line, n=2, axis=0)) > 1e-3).sum(axis=0).max() <= 2:
            fail("phi bends only once along a line: there is no activation between its two layers, which are one then.")
        z = 10 * rng.normal(size=(200, width))
        y = of(rho, "rho", z)
        if y.shape == (200,):
            fail("rho gives shape (N,), expected (N, 1): a Linear(width, 1) at its end, and nothing behind it.")
        if y.shape == (200, 2):
            fail("rho has two outputs. For two classes one is enough, (N, 1): the logarithm of the odds.")
        if y.shape != (200, 1):
            fail(f"rho makes {y.shape} of (200, {width}), expected (200, 1).")
        if np.allclose(y, 1):
            fail("rho always gives 1: a softmax of a single number. Leave the last layer without an activation.")
        last = [layer for layer in rho.modules() if not list(layer.children())][-1]
        if isinstance(last, nn.Sigmoid | nn.LogSigmoid | nn.Tanh) or ((y >= 0) & (y <= 1)).all():
            fail(
                f"rho ends with an activation ({type(last).__name__}): its output is bounded. The loss that we use "
                "takes logits, from minus to plus infinity, and applies the sigmoid itself; a sigmoid before it makes "
                "two."
            )
        if isinstance(last, nn.ReLU) or y.min() == 0:
            fail("rho ends with a ReLU: it can never say that a jet is less likely a top than not.")
        ends = [of(rho, "rho", values) for values in (z[:50] + z[50:100], 0 * z[:50], z[:50], z[50:100])]
        if np.allclose(ends[0] + ends[1], ends[2] + ends[3], rtol=1e-3, atol=1e-3):
            fail("rho is linear: it needs a hidden layer with an activation to draw a window, round a mass say.")
        for name, network, expected in (
            ("phi", phi, (n_features + 1) * width + (width + 1) * width),
            ("rho", rho, (width + 1) * width + width + 1),
        ):
            if (came := sum(p.numel() for p in network.parameters())) != expected:
                fail(f"{name} has {came} parameters, expected {expected}: count its layers and units again.")
        if (h < 0).any():
            last = [layer for layer in phi.modules() if not list(layer.children())][-1]
            if isinstance(last, nn.Linear):
                fail("phi has two layers, each followed by a ReLU: the second ReLU is missing.")
            fail(f"phi ends with another activation ({type(last).__name__}): each layer is followed by a ReLU here.")


def _toy(torch):
    """Return a class of small set networks that remember in which mode they were called."""

    class Toy(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.phi, self.rho = torch.nn.Linear(3, 4), torch.nn.Linear(4, 1)
            self.dropout = torch.nn.Dropout(0.5)
            self.modes, self.recording, self.calls = [], [], []

        def forward(self, x, weights):
            self.modes.append(self.training)
            self.recording.append(torch.is_grad_enabled())
            h = torch.tanh((self.phi(x) * weights[..., None]).sum(dim=1))
            return self.rho(self.dropout(h))

    return Toy


def _recording_sgd(torch, calls):
    """Return the class of an optimiser that notes what it is asked to do."""

    class SGD(torch.optim.SGD):
        def zero_grad(self, set_to_none=True):
            calls.append("zero_grad")
            super().zero_grad(set_to_none)

        def step(self, closure=None):
            calls.append("step")
            return super().step(closure)

    return SGD


def _why_at_rest(calls):
    calls = calls[: len(calls) // 3]  # those of the first of three steps
    if "backward" not in calls:
        return "no gradient has reached them. backward() is missing, or the loss was made a new tensor, which has none."
    if "step" not in calls:
        return "optimiser.step() is missing."
    after = calls[calls.index("backward") :]
    if "zero_grad" in after and after.index("zero_grad") < [*after, "step"].index("step"):
        return "zero_grad() stands between backward() and step(), so that the gradients are gone before they are used."
    return "step() comes before backward(), when there are no gradients yet."


@exercise(
    "9.5",
    "one step of training",
    hints=(
        "Five lines: training mode, old gradients to zero, loss, its gradients, a step.",
        "loss = F.binary_cross_entropy_with_logits(model(*inputs), labels), with torch.nn.functional as F.",
        "model.train(); optimiser.zero_grad(); loss = ...; loss.backward(); optimiser.step(); return loss.item()",
    ),
    reference=lambda *, torch: training_step(torch),
)
def _(function, *, torch):
    rng = np.random.default_rng(95)
    x, w = rng.normal(size=(40, 6, 3)).astype(np.float32), (rng.random((40, 6)) < 0.7).astype(np.float32)
    labels = (rng.random((40, 1)) < 0.4).astype(np.float32)
    functional = torch.nn.functional
    network = _toy(torch)
    with torch.random.fork_rng():
        torch.manual_seed(95)
        start = network().state_dict()

    def run(step, start=start):
        """Do three steps from a start; return the model, its parameters after each, and the losses."""
        model = network()
        model.load_state_dict(start)
        model.dropout.p = 0.0
        model.eval()
        optimiser = _recording_sgd(torch, model.calls)(model.parameters(), lr=0.5)
        next(model.parameters()).register_hook(lambda _: model.calls.append("backward"))
        parameters, losses = [], []
        for _ in range(3):
            losses.append(step(model, optimiser))
            parameters.append(np.concatenate([p.detach().numpy().ravel() for p in model.parameters()]))
        return model, np.array(parameters), losses

    def variant(loss=functional.binary_cross_entropy_with_logits, order=("zero", "backward", "step"), sign=1):
        """Return one step in another order or with another loss, as people write it by mistake."""

        def step(model, optimiser):
            value = sign * loss(model(torch.from_numpy(x), torch.from_numpy(w)), torch.from_numpy(labels))
            for what in order:
                if what == "backward":
                    value.backward()
                else:
                    {"zero": optimiser.zero_grad, "step": optimiser.step}[what]()
            return value.item()

        return run(step)[1]

    def students(model, optimiser):
        def arrange(x, w, labels):
            return model, optimiser, (x, w), labels

        return _call(function, torch, x, w, labels, name="training_step", arrange=arrange)

    model, got, losses = run(students)
    if not model.modes:
        fail("the model was never called: model(*inputs) gives the logits.")
    right = variant()
    if np.array_equal(got, variant(order=())):
        fail(f"the parameters did not move at all: {_why_at_rest(model.calls)}")

    def bce(logits, y):
        return functional.binary_cross_entropy_with_logits(logits, y)

    mistakes = {
        "The gradients of the steps before are still there: backward() adds to them. Call optimiser.zero_grad() in "
        "each step.": variant(order=("backward", "step")),
        "A sigmoid stands before a loss that takes logits and applies one itself: 0 and 1 become 0.5 and 0.73, and the "
        "network can never be certain. Give it the model's output as it is.": variant(
            lambda logits, y: bce(torch.sigmoid(logits), y)
        ),
        "This is the loss summed over the batch. The mean, which is the default, does not change with the batch "
        "size.": variant(lambda logits, y: bce(logits, y) * len(y)),
        "This is the squared error of the logits. A label of 1 is no logit: use the cross-entropy.": variant(
            functional.mse_loss
        ),
        "This is the squared error. Use the cross-entropy, which punishes being certain and wrong.": variant(
            lambda logits, y: functional.mse_loss(torch.sigmoid(logits), y)
        ),
        "The sign is reversed: this climbs the loss.": variant(sign=-1),
        "Two steps are made with one gradient.": variant(order=("zero", "backward", "step", "step")),
        "Labels are reversed.": variant(lambda logits, y: bce(logits, 1 - y)),
    }
    expect_close("the parameters after three steps", got, right, mistakes=mistakes, rtol=1e-3, atol=1e-5)
    if not all(model.modes):
        fail(
            "the model was in evaluation mode, as the last evaluation had left it: dropout and the like are off. "
            "Begin the step with model.train()."
        )
    if isinstance(losses[0], torch.Tensor) and losses[0].requires_grad:
        fail(
            "the loss comes as a tensor, which keeps the whole graph of its computation alive as long as it is stored. "
            "loss.item() is the number."
        )
    if not isinstance(losses[0], float | int | np.number | np.ndarray):
        fail(f"training_step should return the loss as a number, loss.item(); what came is {describe(losses[0])}.")
    first = functools.partial(_first_loss, torch, network, x, w, labels)
    expect_close("the loss", losses[0], float(first(start, bce)), rtol=1e-4)
    steep = {name: 200 * value for name, value in start.items()}  # logits far above 100
    clipped = first(steep, lambda logits, y: functional.binary_cross_entropy(torch.sigmoid(logits), y))
    expect_close(
        "the loss of a network that is certain and wrong",
        run(students, steep)[2][0],
        float(first(steep, bce)),
        rtol=1e-3,
        mistakes={
            "A sigmoid and then the logarithm: large logits become 0 or 1 exactly, and the gradient is gone. "
            "binary_cross_entropy_with_logits does both at once.": float(clipped)
        },
    )


def _first_loss(torch, network, x, w, labels, start, loss):
    model = network()
    model.load_state_dict(start)
    model.eval()
    with torch.no_grad():
        logits = model(torch.from_numpy(x), torch.from_numpy(w))
    return loss(logits, torch.from_numpy(labels))


@exercise(
    "9.6",
    "scores in evaluation mode",
    hints=(
        "Before: model.eval(), which turns dropout off, and with torch.no_grad():, which records nothing.",
        "model(*inputs) are logits, (N, 1); torch.sigmoid makes probabilities of them.",
        "torch.sigmoid(model(*inputs))[:, 0].numpy(), inside the `with` block.",
    ),
    reference=lambda *, torch: score(torch),
)
def _(function, *, torch):
    rng = np.random.default_rng(96)
    x, w = rng.normal(size=(50, 6, 3)).astype(np.float32), (rng.random((50, 6)) < 0.7).astype(np.float32)
    with torch.random.fork_rng():
        torch.manual_seed(96)
        model = _toy(torch)()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter *= 3
        model.eval()
        with torch.no_grad():
            logits = model(torch.from_numpy(x), torch.from_numpy(w))[:, 0].numpy().astype(float)
        model.train()  # as a training leaves it
        model.modes, model.recording = [], []

        answer = _call(function, torch, x, w, name="score", arrange=lambda *inputs: (model, inputs))
    if not model.modes:
        fail("the model was never called: model(*inputs) gives the logits.")
    if model.modes[-1]:
        fail(
            "the model is still in training mode: dropout switches units off at random, and each call gives other "
            "scores. model.eval() first."
        )
    if isinstance(answer, torch.Tensor):
        fail("score should return a NumPy array, which the metrics take; what came is a tensor: .numpy() at the end.")
    right = 1 / (1 + np.exp(-logits))
    expect_close(
        "the score",
        answer,
        right,
        rtol=1e-4,
        atol=1e-6,
        mistakes={
            "These are logits; torch.sigmoid makes probabilities of them.": logits,
            "This has shape (N, 1); [:, 0] makes it (N,).": right[:, None],
            "This is a softmax of a single number, which is 1 whatever the jet.": np.ones(50),
            "This is a softmax of a single number, which is 1 whatever the jet, and of shape (N, 1).": np.ones((50, 1)),
            "This is a softmax over the jets: it depends on which jets are scored together.": np.exp(logits)
            / np.exp(logits).sum(),
            "The sigmoid is applied twice.": 1 / (1 + np.exp(-right)),
            "This is the probability of a QCD jet; the score rises with signal.": 1 - right,
            "These are answers, 0 or 1; keep the probability.": right > 0.5,
            "These are answers, 0 or 1; keep the probability. ": np.round(right),
        },
    )
    if model.recording[-1]:
        fail(
            "the scores are right, but gradients were recorded on the way, which takes several times the memory: put "
            "the call of the model inside `with torch.no_grad():`."
        )
    one = np.shape(_call(function, torch, x[:1], w[:1], name="score", arrange=lambda *inputs: (model, inputs)))
    if one != (1,):
        fail(f"one jet gives {one}, expected (1,): squeeze() drops the axis of the jets as well. [:, 0] keeps it.")


@exercise(
    "9.7",
    "sums over the constituents of each packed jet",
    hints=(
        "First say for each of the T rows which jet it belongs to: 0 0 0 1 2 2 ... for counts 3, 1, 2.",
        "torch.repeat_interleave(torch.arange(len(counts)), counts) does that.",
        "torch.zeros(len(counts), latent.shape[1]).index_add(0, jet, latent) adds row i to the sum of jet[i].",
    ),
    reference=lambda *, torch: segment_sum(torch),
)
def _(function, *, torch):
    rng = np.random.default_rng(97)
    counts = np.array([3, 1, 0, 4, 2])
    h = rng.normal(1.0, 1.0, (counts.sum(), 3)).astype(np.float32)
    got = _array("the sum", _call(function, torch, h, counts, name="segment_sum"), torch)
    end = np.cumsum(counts)
    first, row = end - counts, np.arange(len(h))
    jet = np.repeat(np.arange(len(counts)), counts)

    def summed(values, jet, n):
        return np.stack([np.bincount(jet, column, minlength=n) for column in values.T], axis=1)

    right = summed(h, jet, 5)
    shifted = np.searchsorted(end, row, side="left")  # the first constituent of a jet goes to the jet before
    expect_close(
        "the sum",
        got,
        right,
        rtol=1e-4,
        atol=1e-5,
        mistakes={
            "This is the mean; here the sum is asked for.": right / np.maximum(counts, 1)[:, None],
            "The last constituent of each jet is dropped.": summed(
                h * ~np.isin(row, end[counts > 0] - 1)[:, None], jet, 5
            ),
            "The first constituent of each jet is dropped.": summed(
                h * ~np.isin(row, first[counts > 0])[:, None], jet, 5
            ),
            "The first constituent of each jet is added to the jet before: `end` belongs to the next jet.": summed(
                h, shifted, 5
            ),
            "A jet without constituents got the first row of the next one. Its sum is zero.": np.add.reduceat(h, first),
            "The jet without constituents is left out: there must be a row for each jet.": right[counts > 0],
            "This is the sum over the wrong axis: it adds the L numbers of a constituent.": h.sum(axis=1),
            "This is the sum over the wrong axis, of L numbers instead of constituents, jet by jet.": right.sum(axis=1),
            "Only one constituent of each jet arrives: out[jet] += ... writes to a place that comes twice only once. "
            "index_add adds all.": np.where(counts[:, None] > 0, h[end - 1], 0),
            "This is one sum over all jets.": h.sum(axis=0),
            "These are running sums: the sum of all jets before is still in it.": np.cumsum(right, axis=0),
            "This is the largest entry of each jet, not the sum.": np.stack(
                [h[a:b].max(axis=0) if b > a else np.zeros(3) for a, b in zip(first, end, strict=True)]
            ),
            "The rows come in the order of the jets reversed.": right[::-1],
        },
    )
    trailing = np.array([2, 0, 1, 0, 0])
    got = _array("the sum", _call(function, torch, h[:3], trailing, name="segment_sum"), torch)
    right = summed(h[:3], np.repeat(np.arange(5), trailing), 5)
    wrong = {"Jets without constituents at the end are lost: the number of jets is len(counts).": right[:3]}
    expect_close("the sum", got, right, rtol=1e-4, atol=1e-5, mistakes=wrong)
    hard = np.concatenate([np.full((500, 2), 4e5), rng.normal(size=(5, 2))]).astype(np.float32)
    of_hard = np.array([500, 2, 3])
    got = _array("the sum", _call(function, torch, hard, of_hard, name="segment_sum"), torch)
    right = summed(hard.astype(float), np.repeat(np.arange(3), of_hard), 3)
    if not np.allclose(got[1:], right[1:], rtol=1e-3, atol=1e-3):
        fail(
            "differences of a running sum over all constituents lose digits: in float32 the sums of later jets drown "
            "in those before them. Add each jet by itself."
        )
    _expect_gradient("the sum", function, torch, h, counts)


def _stopped(history, patience, *, key="val_loss", late=0, rule="best"):
    """Return best epoch and stop for the rule asked for, or for one that people write by mistake."""
    losses = np.asarray(history[key])
    best = int(np.argmin(losses))
    if rule == "best":
        waited = len(losses) - 1 - best
    elif rule == "rises in a row":
        rises = np.diff(losses) > 0
        waited = len(list(itertools.takewhile(bool, rises[::-1])))
    else:  # all epochs that were no improvement, in a row or not
        waited = int(np.sum(losses[1:] >= np.minimum.accumulate(losses)[:-1]))
    return best, waited >= patience + late


@exercise(
    "9.8",
    "when to stop, and which epoch to keep",
    hints=(
        'The best epoch is the one of lowest history["val_loss"]: np.argmin.',
        "Epochs since then: len(history['val_loss']) - 1 - best.",
        "Stop when that number has reached patience.",
    ),
    reference=lambda: best_and_stop,
)
def _(function):
    rng = np.random.default_rng(98)
    val_loss = [0.60, 0.45, 0.47, 0.44, 0.46, 0.43, 0.42, 0.425, 0.41, 0.42, 0.43, 0.428, 0.44, 0.45, 0.46]
    loss = list(np.linspace(0.62, 0.2, len(val_loss)) + rng.uniform(0, 0.01, len(val_loss)))
    loss[6] = 0.5  # the rule on the training loss would differ in its best epoch as well
    loss[11:] = [loss[10] + 0.01] * 4  # and stop at last
    cases = [(n, patience) for patience in (2, 3, 4) for n in range(1, len(val_loss) + 1)]

    def answers(rule):
        return [rule({"loss": loss[:n], "val_loss": val_loss[:n]}, patience) for n, patience in cases]

    got = []
    for n, patience in cases:
        history = {"loss": loss[:n], "val_loss": val_loss[:n]}
        best, stop = _pair(
            call(function, history, patience, name="best_and_stop"), "best_and_stop", "an epoch", "True or False"
        )
        if not isinstance(stop, bool | np.bool_):
            fail(f"the second answer should be True or False; what came is {describe(stop)}.")
        if isinstance(best, bool) or not isinstance(best, int | np.integer):
            fail(f"the first answer should be the number of an epoch, counted from 0; what came is {describe(best)}.")
        got.append((int(best), bool(stop)))
    right = answers(best_and_stop)

    def changed(best=lambda history: int(np.argmin(history["val_loss"])), **rule):
        return answers(lambda history, patience: (best(history), _stopped(history, patience, **rule)[1]))

    mistakes = {
        "This watches the training loss, which falls as long as the network learns its jets by heart. It says "
        "stop too late or never. Watch the validation loss.": answers(
            lambda h, patience: _stopped(h, patience, key="loss")
        ),
        "The stop watches the training loss, which goes on falling. Watch the validation loss.": changed(key="loss"),
        "The best epoch is that of the lowest training loss. Keep the one of the lowest validation loss.": changed(
            lambda h: int(np.argmin(h["loss"]))
        ),
        "The best epoch is not the last one: that is the one where patience ran out.": changed(
            lambda h: len(h["val_loss"]) - 1
        ),
        "Epochs are counted from 0 here, as the entries of a list are.": changed(
            lambda h: int(np.argmin(h["val_loss"])) + 1
        ),
        "This is the epoch of the highest validation loss: a loss is good when it is low.": changed(
            lambda h: int(np.argmax(h["val_loss"]))
        ),
        "Patience is not used: this stops at the first epoch without improvement. A validation loss jumps up and down "
        "by chance.": answers(lambda h, _: _stopped(h, 1)),
        "Each epoch is compared with the one before. A loss that jumps up and down never rises several times in a row: "
        "count the epochs since the best one.": changed(rule="rises in a row"),
        "This counts all epochs without improvement. A new best epoch sets the count back to zero.": changed(
            rule="all"
        ),
        "This stops one epoch too late: when `patience` epochs have gone without improvement.": changed(late=1),
        "This stops one epoch too early: after `patience` epochs without improvement.": changed(late=-1),
        "This never stops.": [(best, False) for best, _ in right],
        "The two answers to the second question are exchanged: True means stop.": [(best, not s) for best, s in right],
    }
    for sentence, wrong in mistakes.items():
        if got == wrong:
            fail(sentence)
    for (n, patience), came, expected in zip(cases, got, right, strict=True):
        expect_equal(
            f"(best epoch, stop) after the validation losses {val_loss[:n]} with patience {patience}", came, expected
        )


@exercise(
    "9.9",
    "the hardest constituent of each jet split in two",
    hints=(
        "The hardest constituent of each jet is its first one, at the rows np.cumsum(counts) - counts.",
        "np.insert(momenta, first, new_rows, axis=0) puts new rows before those rows.",
        "Behind the insertion the k-th of the old ones stands at first[k] + k + 1: multiply it by 1 - share.",
    ),
    reference=lambda: split_hardest,
)
def _(function):
    rng = np.random.default_rng(99)
    counts = np.array([3, 1, 5, 2])
    pt = np.concatenate([np.sort(rng.uniform(5, 100, n))[::-1] for n in counts])
    eta, phi = rng.normal(0, 0.3, len(pt)), rng.uniform(-3, 3, len(pt))
    momenta = np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), np.hypot(pt * np.cosh(eta), 3)], axis=1)
    share, n = 0.3, len(counts)
    answer = call(function, momenta, counts, share, name="split_hardest")
    got, got_counts = _pair(answer, "split_hardest", "momenta", "counts")
    if not isinstance(got, np.ndarray) and hasattr(got, "__len__") and len(got) == n:
        fail("packed rows are wanted, one array (T + N, 4); a list of jets came. np.concatenate makes one of it.")
    right, right_counts = split_hardest(momenta, counts, share)
    first, last = np.cumsum(counts) - counts, np.cumsum(counts) - 1
    new = first + np.arange(n)  # rows of the inserted part; its partner follows

    def with_parts(one, two):
        changed = right.copy()
        changed[new], changed[new + 1] = one, two
        return changed

    hard = momenta[first]
    energy_only = hard * np.array([1, 1, 1, share]), hard * np.array([1, 1, 1, 1 - share])
    massless = np.column_stack([hard[:, :3], np.linalg.norm(hard[:, :3], axis=1)])
    appended = momenta.copy()
    appended[first] *= 1 - share
    of_last = np.insert(momenta, last, share * momenta[last], axis=0)
    of_last[last + np.arange(n) + 1] *= 1 - share
    one_jet = np.insert(momenta, 0, share * momenta[0], axis=0)
    one_jet[1] *= 1 - share
    every = np.repeat(momenta, 2, axis=0) * np.tile([share, 1 - share], len(momenta))[:, None]
    other_order = with_parts((1 - share) * hard, share * hard)
    if np.shape(got) == right.shape and np.allclose(got, other_order):
        right = other_order  # which of the two stands first is a matter of taste
    expect_close(
        "the array of momenta",
        got,
        right,
        mistakes={
            "The new rows stand at the end of the array. Packed, they then belong to the last jet: insert them beside "
            "their partner.": np.concatenate([appended, share * hard]),
            "Both parts carry the whole momentum: the jet got heavier. One gets the share, the other the "
            "rest.": with_parts(hard, hard),
            "Both parts get the same share: momentum is lost or made. The second gets 1 - share.": with_parts(
                share * hard, share * hard
            ),
            "The first part gets the share, the second still has everything: momentum is made.": with_parts(
                share * hard, hard
            ),
            "Only the energy is divided. All four components are, or the parts get a mass and another "
            "direction.": with_parts(*energy_only),
            "The energies of the parts are their |p|: constituents can have a mass. Each part gets its share of E, "
            "too.": with_parts(share * massless, (1 - share) * massless),
            "Three components are divided, and both parts have the whole energy. It is shared as well.": with_parts(
                hard * [share, share, share, 1], hard * [1 - share, 1 - share, 1 - share, 1]
            ),
            "The second part was taken from the row that had already become smaller: it gets 1 - share of the "
            "parent.": with_parts(share * hard, (1 - share) * share * hard),
            "Both parts are halves, whatever the share.": with_parts(hard / 2, hard / 2),
            "The softest constituent of each jet was split. The hardest is the first.": of_last,
            "Only one jet was split: the hardest constituent of each jet is meant.": one_jet,
            "All constituents were split; only the hardest of each jet is meant.": every,
            "Nothing was split.": momenta,
        },
    )
    expect_close(
        "the array of counts",
        got_counts,
        right_counts,
        mistakes={
            "The counts are the old ones: each jet has one constituent more, and all that follow would be read from "
            "the wrong rows.": counts,
            "The counts are doubled; one constituent was added to each jet.": 2 * counts,
            "Each jet gets one constituent more, not all of them.": counts + n,
        },
    )


@exercise(
    "9.10",
    "an AUC with the errors of seeds and of counting",
    hints=(
        "auc(labels, s) gives value and error of one training; take both for each row of scores.",
        "Seeds: np.std(values, ddof=1) / sqrt(S). Counting: the mean of the errors, because all trainings meet the "
        "same test jets.",
        "np.hypot adds the two in quadrature.",
    ),
    reference=lambda: mean_auc,
)
def _(function):
    rng = np.random.default_rng(910)
    labels = np.repeat([0, 1], 150)
    common = labels + rng.normal(0, 0.7, 300)  # what all trainings have learned
    quality = (0.6, 1.3, 0.2, 0.4)  # trainings that differ much, so that every mistake shows
    scores = np.stack([common + rng.normal(0, q, 300) for q in quality])
    got = _pair(call(function, labels, scores, name="mean_auc"), "mean_auc", "the mean", "its error")
    areas = [auc(labels, s) for s in scores]
    values, errors = np.array(areas).T
    n, counting = len(values), errors.mean()
    spread = values.std(ddof=1) / np.sqrt(n)
    together = auc(labels, scores.mean(axis=0))
    right = np.array(mean_auc(labels, scores))
    try:
        pair = np.array([float(part) for part in got])
    except (TypeError, ValueError):
        fail(f"mean_auc should return two numbers; what came is {describe(got)}.")
    expect_close(
        "the pair (mean AUC, error)",
        pair,
        right,
        mistakes={
            "This is one seed alone, with the error of counting. Another seed gives another network: without their "
            "spread the number looks more certain than it is.": (values[0], errors[0]),
            "This is the mean, but the error is that of one training: what the seed does is missing.": (
                right[0],
                errors[0],
            ),
            "The best seed was chosen, on the test jets. That is a fit to them, not a result.": (
                values.max(),
                errors[values.argmax()],
            ),
            "The best seed was chosen, on the test jets. That is a fit to them, not a result. (The error is that of "
            "the mean.)": (values.max(), right[1]),
            "The error of counting is missing: with other test jets all trainings would move together.": (
                right[0],
                spread,
            ),
            "The error of counting is missing, and the spread of the trainings is not divided by the square root of "
            "their number.": (right[0], spread * np.sqrt(n)),
            "The spread of the seeds is missing.": (right[0], counting),
            "The error of counting was divided by the square root of the number of trainings. All met the same jets, "
            "and their fluctuation does not average out.": (right[0], np.hypot(spread, counting / np.sqrt(n))),
            "The spread of the trainings is not divided by the square root of their number: that is the error of one "
            "of them, not of their mean.": (right[0], np.hypot(spread * np.sqrt(n), counting)),
            "The spread of the trainings is divided by their number; divide by its square root.": (
                right[0],
                np.hypot(spread / np.sqrt(n), counting),
            ),
            "The square root of the sum of squares is missing: np.hypot.": (right[0], spread**2 + counting**2),
            "The spread needs ddof=1: with few trainings the mean lies too close to them.": (
                right[0],
                np.hypot(values.std() / np.sqrt(n), counting),
            ),
            "The two errors were added. Independent errors add in quadrature: np.hypot.": (right[0], spread + counting),
            "The scores were averaged before the AUC. That is another tagger, an ensemble of all trainings, and a "
            "better one than each.": tuple(together),
            "The scores were averaged before the AUC. That is another tagger, an ensemble of all trainings. (The error "
            "is right.)": (together.value, right[1]),
            "The two are exchanged: first the mean, then its error.": right[::-1],
        },
    )
