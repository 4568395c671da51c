"""Exercises of lesson 09: a jet as a set, from padding and masks to packed constituents, safety and errors."""

import functools
import itertools

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from coursekit.checks import call, demands, describe, exercise, fail
from coursekit.metrics import auc

RELU, BCE = nn.ReLU(), F.binary_cross_entropy_with_logits
ACTIVATIONS = [nn.Identity(), RELU, nn.Tanh(), nn.Sigmoid(), nn.LogSigmoid(), nn.LeakyReLU(), nn.GELU(), nn.SiLU()]
ACTIVATIONS += [nn.ELU(), nn.Softmax(-1), nn.Softmax(-2), nn.Softmax(0)]  # over units, constituents, jets
ENERGY = np.array([0, 0, 0, 1])  # factor**ENERGY multiplies the energy of a four-momentum, and leaves the rest


def jets_of_many_lengths():
    for n, length in ((5, 8), (8, 8), (1, 6), (9, 6)):
        jet = torch.tensor(np.random.default_rng(n).normal(size=(n, 3)), dtype=torch.float32)
        jet[0, 0], jet[-1] = -1.0, -abs(jet[-1])  # standardised values can be negative
        jet[1:2, 0], jet[2:3] = 0, 0  # or zero
        yield jet, length


def with_dirty_memory(function, constituents, length):
    """Call it while `torch.empty` returns NaN, not the zeros that happen to be there."""
    torch.use_deterministic_algorithms(True)
    try:
        return call(function, constituents, length, name="padded")
    finally:
        torch.use_deterministic_algorithms(False)


def padding(slots=lambda slots, real, jet: slots, mask=lambda slots, real, jet: real):
    return lambda jet, length: (slots(*padded(jet, length), jet), mask(*padded(jet, length), jet))


@exercise(
    "9.1",
    "one jet padded, with its mask",
    cases=jets_of_many_lengths,
    returns=("slots", "mask"),
    observe=with_dirty_memory,
    hints=(
        "Begin with zeros for all slots, torch.zeros(length, constituents.shape[1]), and write the constituents into the first of them.",
        "slots[:n] = constituents[:length], with n the number that fits.",
        "torch.arange(length) < n is True for the first n slots.",
    ),
    mistakes={
        "The constituents stand at the end; here they come first.": padding(lambda slots, real, jet: slots.roll(int((~real).sum()), 0), lambda slots, real, jet: real.flip(0)),
        "Padding repeats the last constituent. That is a particle that was never there: use zeros.": padding(lambda slots, real, jet: jet[torch.arange(len(slots)).clamp(max=len(jet) - 1)]),
        "The last constituent is dropped.": padding(lambda slots, real, jet: slots * (torch.arange(len(slots)) < real.sum() - 1)[:, None]),
        "Slots and features are exchanged.": padding(lambda slots, real, jet: slots.T),
        "The longest jets have more than `length` constituents, and the first `length` are kept. Here all are.": lambda jet, length: padded(jet, max(length, len(jet))),
        "torch.empty leaves in the slots whatever stood in the memory, zeros by luck: torch.zeros.": padding(lambda slots, real, jet: torch.cat([jet, torch.empty(slots.shape)])[: len(slots)]),
        "The mask is turned round: True means a real constituent.": padding(mask=lambda slots, real, jet: ~real),
        "Every slot is marked as real.": padding(mask=lambda slots, real, jet: torch.ones_like(real)),
        "The mask asks for values above zero. Standardised values of real constituents can be negative; it is their number that says which slots are real.": padding(mask=lambda slots, real, jet: slots[:, 0] > 0),
        "The mask asks for values that are not zero. A real constituent can have a zero; it is their number that says which slots are real.": padding(mask=lambda slots, real, jet: slots[:, 0] != 0),
        "The mask asks for rows that are not zero. A real constituent can have zeros only; it is their number that says which slots are real.": padding(mask=lambda slots, real, jet: slots.any(dim=1)),
        "The rows that are not zero were counted. A real constituent can have zeros only: len(constituents).": padding(mask=lambda slots, real, jet: torch.arange(len(slots)) < slots.any(dim=1).sum()),
        "The mask has one entry for each number; one for each slot is enough.": padding(mask=lambda slots, real, jet: real[:, None].expand(slots.shape)),
        "The last constituent is missing from the mask.": padding(mask=lambda slots, real, jet: torch.arange(len(slots)) < real.sum() - 1),
        "a bool array can select": padding(mask=lambda slots, real, jet: real.float()),
        "is a NumPy array. The lesson goes on with a tensor": padding(lambda slots, real, jet: slots.numpy()),
    },
    accepted=[
        lambda jet, length: [F.pad(jet, (0, 0, 0, length - len(jet))), torch.arange(length) < len(jet)],
        lambda x, n: (torch.cat([x[:n].double(), torch.zeros(max(n - len(x), 0), 3)]), torch.arange(n) < len(x)),
    ],
)
def padded(constituents, length):
    kept = constituents[:length]
    slots = torch.zeros(length, constituents.shape[1])
    slots[: len(kept)] = kept
    return slots, torch.arange(length) < len(kept)


def two_samples():
    rng, samples = np.random.default_rng(92), ()
    for counts, scale, shift in (([3, 7, 12, 5, 9, 2], 1.0, 0.3), ([4, 10, 6, 12], 1.6, -0.4)):
        mask = np.arange(12) < np.array(counts)[:, None]
        jets = rng.normal(shift, scale, (len(counts), 12, 3)) * [20, 5, 9] + [30, 0, 4]
        jets[0, 1, 0], jets[1, 0] = 0, 0  # zeros that were measured
        samples += np.where(mask[..., None], jets, 0), mask
    yield samples


def scaled(rows=lambda x, m, *_: x[m], mean=np.mean, std=np.std, keep=lambda other, mask: mask[..., None], axis=0):
    return lambda *s: np.where(keep(*s[2:]), (s[2] - mean(x := rows(*s), axis=axis)) / std(x, axis=axis), 0)


@exercise(
    "9.2",
    "momenta scaled with the training constituents",
    cases=two_samples,
    returns=("the array of scaled momenta",),
    tolerance={"rtol": 1e-4, "atol": 1e-6},
    hints=(
        "train[train_mask] are the real constituents of all training jets, shape (T, F).",
        "One mean and one standard deviation for each feature: .mean(axis=0) and .std(axis=0) of them.",
        "np.where(other_mask[..., None], (other - mean) / std, 0) leaves the padding at zero.",
    ),
    mistakes={
        "The jets are scaled by themselves, with their own mean and spread. The same constituent then becomes another input in each sample: use the numbers of the training jets for all.": scaled(lambda *samples: samples[2][samples[3]]),
        "The padding takes part in mean and spread. Three quarters of the slots are zeros that no detector measured: use train[train_mask].": scaled(lambda train, *_: train.reshape(-1, 3)),
        "The jets are scaled by themselves, and the padding takes part.": scaled(lambda *samples: samples[2].reshape(-1, 3)),
        "Each jet is scaled by itself. Its energy, and how it is shared, are gone then.": lambda train, train_mask, *others: np.stack([standardised(*jet, *jet) for jet in zip(*others, strict=True)]),
        "All features share one mean and one spread. An energy and a px need their own.": scaled(axis=None),
        "This is divided by the variance. Divide by the standard deviation.": scaled(std=np.var),
        "A zero in a real constituent was taken for padding. The mask says which slots are real.": scaled(keep=lambda other, _: other != 0),
        "A real constituent of zeros only was taken for padding. The mask says which slots are real.": scaled(keep=lambda other, _: other.any(axis=-1, keepdims=True)),
        "A training constituent of zeros only was taken for padding. Use train[train_mask].": scaled(lambda train, *_: train[train.any(axis=-1)]),
        "The mean is not subtracted.": scaled(mean=lambda rows, axis: 0),
        "The mean is subtracted; the division by the standard deviation is missing.": scaled(std=lambda rows, axis: 1),
        "These are the training jets; the third argument holds those to be scaled.": lambda train, mask, *_: standardised(train, mask, train, mask),
        "The padding is no longer zero: it became (0 - mean) / std, a particle like any other.": scaled(keep=lambda *_: True),
        "The padding is no longer zero: it became (0 - mean) / std, a particle like any other. And the padding takes part in mean and spread.": scaled(lambda train, *_: train.reshape(-1, 3), keep=lambda *_: True),
        "The padding is no longer zero: it became (0 - mean) / std, a particle like any other. And the jets are scaled by themselves.": scaled(lambda *samples: samples[2][samples[3]], keep=lambda *_: True),
        "Only the scaled `other` is asked for; mean and standard deviation came with it.": lambda *samples: (standardised(*samples), (real := samples[0][samples[1]]).mean(axis=0), real.std(axis=0)),
        "Only the scaled `other` is asked for; the training jets came with it.": lambda train, mask, *other: (standardised(train, mask, train, mask), standardised(train, mask, *other)),
        "changes its input in place": lambda *samples: np.positive(standardised(*samples), out=samples[2]),
    },
    alternatives=[scaled(std=functools.partial(np.std, ddof=1))],  # as torch does
    accepted=[lambda *samples: standardised(*samples).astype(np.float32)],
)
def standardised(train, train_mask, other, other_mask):
    real = train[train_mask]  # (T, F): the constituents of all training jets
    return np.where(other_mask[..., None], (other - real.mean(axis=0)) / real.std(axis=0), 0)


def sets():
    rng = np.random.default_rng(93)
    for counts, order in (([7, 2, 5, 3, 6], range(7)), ([1, 0, 4, 2], (0, 4, 1, 2, 5, 6, 3))):  # real slots stand anywhere
        mask = (torch.arange(7) < torch.tensor(counts)[:, None])[:, list(order)]
        yield torch.tensor(rng.normal(1, 1, (len(counts), 7, 4))).float().relu(), mask  # zeros, as a ReLU leaves them


def total(h, m):
    return (h * m[..., None]).sum(dim=1)


@exercise(
    "9.3",
    "the mean over real constituents",
    cases=sets,
    returns=("the mean",),
    demands=[demands.gradient],
    tolerance={"rtol": 1e-4, "atol": 1e-6},
    hints=(
        "Two steps: the sum over the real slots of each jet, and their number.",
        "latent * mask[..., None] is zero in the padding; the sum over slots is .sum(dim=1).",
        "mask.sum(dim=1) is n; .clamp(min=1) keeps an empty jet from 0 / 0; n[:, None] divides each row.",
    ),
    mistakes={
        "The mask is forgotten: padding counts as particles. phi of a padded slot is not zero, because of its bias.": lambda h, m: h.mean(dim=1),
        "The padding is set to zero, but still counted: the sum is divided by the number of slots. Divide by the number of constituents, mask.sum(dim=1).": lambda h, m: (h * m[..., None]).mean(dim=1),
        "The sum is divided by the number of constituents of the longest jet; each jet has its own.": lambda h, m: total(h, m) / m.sum(dim=1, keepdim=True).max(),
        "The sum runs over the padding too; multiply by the mask before the sum.": lambda h, m: h.sum(dim=1) / m.sum(dim=1, keepdim=True).clamp(min=1),
        "The last constituent is dropped, from the sum and from the number.": lambda h, m: total(h, m & (m.cumsum(dim=1) < m.sum(dim=1, keepdim=True))) / (m.sum(dim=1, keepdim=True) - 1),
        "The last constituent is dropped from the sum.": lambda h, m: total(h, m & (m.cumsum(dim=1) < m.sum(dim=1, keepdim=True))) / m.sum(dim=1, keepdim=True).clamp(min=1),
        "The sum is divided by n - 1. That belongs to a variance.": lambda h, m: total(h, m) / (m.sum(dim=1, keepdim=True) - 1),
        "This is the sum over the wrong axis: it adds the L numbers of a slot. Add the slots of a jet, dim=1.": lambda h, m: (h * m[..., None]).sum(dim=2) / m.sum(dim=1, keepdim=True),
        "This is the sum over the wrong axis: it mixes different jets. Add the slots of a jet, dim=1.": lambda h, m: (h * m[..., None]).sum(dim=0) / m.sum(dim=0)[:, None].clamp(min=1),
        "The sum is divided by the number of constituents in the whole batch.": lambda h, m: total(h, m) / m.sum(),
        "The sum is divided by the mean number of constituents; each jet has its own.": lambda h, m: total(h, m) / m.sum(dim=1, keepdim=True).float().mean(),
        "The numbers that are not zero were counted. A ReLU makes zeros in real slots: count with the mask.": lambda h, m: total(h, m) / (h * m[..., None] != 0).sum(dim=1).clamp(min=1),
        "This is the sum; divide by the number of constituents.": total,
        "This is one mean for the whole batch: each jet needs its own.": lambda h, m: h[m].mean(dim=0),
        "This is the mean over the padding: the mask is True for real constituents.": lambda h, m: masked_mean(h, ~m),
        "This is the largest entry, not the mean.": lambda h, m: h.masked_fill(~m[..., None], -torch.inf).amax(dim=1),
        "A jet without constituents gives 0 / 0, and one NaN stops a training. .clamp(min=1) on n.": lambda h, m: total(h, m) / m.sum(dim=1, keepdim=True),
        "The first n slots were taken. Real slots can stand anywhere: the mask says where.": lambda h, m: masked_mean(h, torch.arange(h.shape[1]) < m.sum(dim=1, keepdim=True)),
        "has no gradient any more": lambda h, m: masked_mean(h.detach(), m),
        "a new tensor made of its values cut the chain": lambda h, m: torch.tensor(masked_mean(h, m).tolist(), requires_grad=True),
        "its gradient contains NaN": lambda h, m: torch.nan_to_num(total(h, m) / m.sum(dim=1, keepdim=True)),
        "is a NumPy array": lambda h, m: masked_mean(h, m).detach().numpy(),
    },
    accepted=[
        lambda h, m: torch.einsum("npl,np->nl", h.double(), m.double()) / m.sum(dim=1, keepdim=True).clamp(min=1),
        lambda h, m: torch.stack([h[i, m[i]].mean(dim=0) if m[i].any() else 0 * h[i, 0] for i in range(len(h))]),
    ],
)
def masked_mean(latent, mask):
    n = mask.sum(dim=1).clamp(min=1)  # (N,)
    return (latent * mask[..., None]).sum(dim=1) / n[:, None]


@functools.cache
def drawn(*shape):
    """Numbers for a parameter, the same ones for each of this shape, so that two networks can be compared."""
    return torch.tensor(np.random.default_rng(shape).normal(size=shape), dtype=torch.float32)


def what_follows(network, name, x, sizes):
    """Give the network known parameters, and find by trial what stands behind each of its two linear layers."""
    for parameter in network.parameters():
        parameter.data = drawn(*parameter.shape)
    got = call(network, x, name=name)
    for behind in itertools.product(ACTIVATIONS, repeat=2):
        h = x
        for activation, (n_in, n_out) in zip(behind, itertools.pairwise(sizes), strict=True):
            h = activation(F.linear(h, drawn(n_out, n_in), drawn(n_out)))
        if h.shape == got.shape and torch.allclose(h, got, rtol=1e-3, atol=1e-4):
            return "{}, {}".format(*behind).replace("Identity()", "nothing")
    return f"something else, which makes {describe(got)}"


def parts(function, n_features, width):
    """Look at two networks: their shapes and parameters, and what they compute."""
    networks, others = (call(function, n_features, width, name="build_networks") for _ in range(2))
    if not isinstance(networks, tuple | list) or len(networks) != 2:
        fail(f"build_networks should return two things, phi and rho; what came is {describe(networks)}.")
    x, found = {"phi": drawn(3, 4, n_features), "rho": 3 * drawn(40, width)}, {}
    for name, network in zip(x, networks, strict=True):
        if not isinstance(network, nn.Module):
            fail(f"{name} should be a network, an nn.Sequential for instance; what came is {describe(network)}.")
        kinds = " ".join(type(layer).__name__ for layer in network.modules())
        if "BatchNorm" in kinds:
            fail("a BatchNorm mixes the constituents of all jets of a batch, padding included. Leave it out.")
        if "Dropout" in kinds:
            fail("there is a dropout: two answers to the same question would differ. No dropout here, please.")
        shape = call(network, x[name], name=name).shape  # this call also makes the parameters of lazy layers
        found[f"the shape of {name}'s output"] = str(tuple(shape))
    phi, rho, *again = ([*network.parameters()] for network in (*networks, *others))
    found |= {
        "the number of parameters of phi": sum(p.numel() for p in phi),
        "the number of parameters of rho": sum(p.numel() for p in rho),
        "the number of parameters that phi and rho share": len({*phi} & {*rho}),
        "the number of parameters that two calls share": len({*phi, *rho} & {*again[0], *again[1]}),
        "the number of parameters with requires_grad=False": sum(not p.requires_grad for p in phi + rho),
        "the number of layers whose weights all begin alike": sum(p.ndim > 1 == len(p.unique()) for p in phi + rho),
    }
    for name, network, sizes in zip(x, networks, ((n_features, width, width), (width, width, 1)), strict=True):
        found[f"what follows the two layers of {name}"] = what_follows(network, name, x[name], sizes)
    return found


def networks_of(phi=("w", RELU, "w", RELU), rho=("w", RELU, 1)):
    """What those write who stack other layers: linear ones, of which the units are given, "w" for the width, and others."""
    return lambda n_features, width: [
        nn.Sequential(*(x if callable(x) else nn.LazyLinear(width if x == "w" else x) for x in layers))
        for layers in (phi, rho)
    ]


def listed(kind, end, *sizes):
    """Two layers in a list, which an optimiser finds in an nn.ModuleList alone."""
    network = nn.Module()
    network.layers = kind(map(nn.Linear, sizes, sizes[1:]))
    network.forward = lambda x: end(network.layers[1](F.relu(network.layers[0](x))))
    return network


def changed(change):
    return lambda *sizes: [network.apply(change) for network in build_networks(*sizes)]


@exercise(
    "9.4",
    "the networks for a constituent and for a jet",
    cases=lambda: [(4, 12), (7, 5)],
    observe=parts,
    hints=(
        "nn.Sequential takes layers one after the other: nn.Linear(in, out), nn.ReLU(), ...",
        "phi: Linear(n_features, width), ReLU, Linear(width, width), ReLU. It acts on the last axis alone, so that nothing else has to be said about constituents.",
        "rho: Linear(width, width), ReLU, Linear(width, 1), and nothing behind it.",
    ),
    mistakes={
        "should return two things, phi and rho": lambda *n: build_networks(*n)[0],
        "phi should be a network": lambda *n: tuple(map(list, build_networks(*n))),
        "a BatchNorm mixes": networks_of(phi=("w", nn.LazyBatchNorm1d(), RELU, "w", RELU)),
        "there is a dropout": networks_of(rho=("w", RELU, nn.Dropout(), 1)),
        "`width` numbers for each constituent are asked of phi.": networks_of(phi=("w", RELU, 1, RELU)),
        "rho gives shape (N,), expected (N, 1): a Linear(width, 1) at its end, and nothing behind it.": networks_of(rho=("w", RELU, 1, nn.Flatten(0))),
        "rho has two outputs. For two classes one is enough, (N, 1): the logarithm of the odds.": networks_of(rho=("w", RELU, 2)),
        "The sizes are fixed; they come from n_features and width.": lambda *n: build_networks(4, 12),
        "phi has one layer; two are asked for, each followed by a ReLU.": networks_of(phi=("w", RELU)),
        "phi has three layers, expected two: count its layers and units again.": networks_of(phi=("w", RELU) * 3),
        "The layers have no bias; nn.Linear has one unless it is switched off.": changed(lambda layer: setattr(layer, "bias", None)),
        "phi has no parameters that an optimiser could find: a plain list hides its layers. nn.Sequential or nn.ModuleList registers them.": lambda n, w: (listed(list, F.relu, n, w, w), listed(list, nn.Identity(), w, w, 1)),
        "rho is linear: it needs a hidden layer with an activation to draw a window, round a mass say.": networks_of(rho=(1,)),
        "phi and rho share a layer: a step that improves one changes the other. Make each layer anew.": lambda *n: [(both := build_networks(*n))[0], nn.Sequential(both[0][2], *both[1][1:])],
        "Two calls return the same networks: each model needs layers of its own. Make them inside the function.": functools.cache(lambda *n: build_networks(*n)),
        "Some parameters have requires_grad=False: no training would move them.": changed(lambda layer: layer.requires_grad_(False)),
        "All weights of a layer begin alike, and its units remain alike for ever. nn.Linear begins with random ones.": changed(lambda layer: [nn.init.zeros_(p) for p in layer.parameters()]),
        **{f"phi of a constituent changes with the other {where} in the array. A softmax or a normalisation over {where} does that, and padding would take part in it. phi sees one constituent at a time.": networks_of(phi=("w", RELU, "w", nn.Softmax(dim))) for where, dim in (("constituents", -2), ("jets", 0))},
        "The outputs of phi add up to one: there is a softmax. phi gives free numbers, not shares.": networks_of(phi=("w", RELU, "w", nn.Softmax(-1))),
        "phi is linear: without an activation its layers are one. The sum over constituents is then a function of the summed inputs alone, and nothing inside the jet is seen.": networks_of(phi=("w", "w")),
        "phi bends only once along a line: there is no activation between its two layers, which are one then.": networks_of(phi=("w", "w", RELU)),
        "phi has two layers, each followed by a ReLU: the second ReLU is missing.": networks_of(phi=("w", RELU, "w")),
        "phi has another activation: each layer is followed by a ReLU here.": networks_of(phi=("w", nn.Tanh()) * 2),
        "phi ends with another activation: each layer is followed by a ReLU here.": networks_of(phi=("w", RELU, "w", nn.Tanh())),
        "The first layer of phi has another activation: each layer is followed by a ReLU here.": networks_of(phi=("w", nn.Tanh(), "w", RELU)),
        "rho always gives 1: a softmax of a single number. Leave the last layer without an activation.": networks_of(rho=("w", RELU, 1, nn.Softmax(-1))),
        "rho ends with an activation: its output is bounded. The loss that we use takes logits, from minus to plus infinity, and applies the sigmoid itself; a sigmoid before it makes two.": networks_of(rho=("w", RELU, 1, nn.Sigmoid())),
        "rho ends with a Tanh: its output is bounded. The loss that we use takes logits, from minus to plus infinity.": networks_of(rho=("w", RELU, 1, nn.Tanh())),
        "rho ends with a ReLU: it can never say that a jet is less likely a top than not.": networks_of(rho=("w", RELU, 1, RELU)),
        "rho has no activation between its two layers, which are one then, and linear: it could not draw a window, round a mass say.": networks_of(rho=("w", 1)),
        "The hidden layer of rho has another activation than a ReLU.": networks_of(rho=("w", nn.Tanh(), 1)),
    },
    accepted=[
        lambda n, w: (listed(nn.ModuleList, F.relu, n, w, w), listed(nn.ModuleList, nn.Identity(), w, w, 1)),
        changed(lambda x: [nn.init.zeros_(p) if p.ndim < 2 else nn.init.xavier_normal_(p) for p in x.parameters()]),
    ],
)
def build_networks(n_features, width):
    phi = nn.Sequential(nn.Linear(n_features, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
    rho = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1))
    return phi, rho


class SmallSet(nn.Module):
    def __init__(self, scale, dropout=0.0):
        super().__init__()
        self.phi, self.rho, self.dropout = nn.Linear(3, 4), nn.Linear(4, 1), nn.Dropout(dropout)
        self.mode, self.recording = "none, since it was never called", None
        for parameter in self.parameters():
            parameter.data = scale * drawn(*parameter.shape)

    def forward(self, x, weights):
        self.mode, self.recording = "training" if self.training else "evaluation", torch.is_grad_enabled()
        return self.rho(self.dropout(torch.tanh((self.phi(x) * weights[..., None]).sum(dim=1))))


def batch(n):
    return (drawn(n, 6, 3), (drawn(n, 6) > -0.5).float()), (drawn(n, 1) > 0.3).float()


class NotingSGD(torch.optim.SGD):
    def __init__(self, model):
        super().__init__(model.parameters(), lr=0.5)
        self.calls = []
        self.register_step_pre_hook(lambda *_: self.calls.append("step"))
        next(model.parameters()).register_hook(lambda _: self.calls.append("backward"))

    def zero_grad(self, set_to_none=True):
        self.calls.append("zero_grad")
        super().zero_grad(set_to_none)


def three_steps(step, scale):
    """Do three steps with a small network, and note where they lead; the loss alone with one of very large logits."""
    model = SmallSet(scale)
    model.eval()  # as the last evaluation left it
    optimiser = NotingSGD(model)
    model.zero_grad = optimiser.zero_grad
    loss, *_ = [call(functools.partial(step, model, optimiser), *batch(40), name="training_step") for _ in range(3)]
    if scale > 1:
        return {"the loss of a network that is certain and wrong": loss}
    start, end = (nn.utils.parameters_to_vector(net.parameters()).detach() for net in (SmallSet(scale), model))
    is_number = isinstance(loss, float | int | np.number | np.ndarray)
    calls = ", ".join(optimiser.calls[: len(optimiser.calls) // 3]).removeprefix("zero_grad, ")
    return {
        "the first step": f"{calls}, and nothing moved" if torch.equal(start, end) else "backward, step",
        "the array of parameters after three steps": end.numpy(),
        "the mode of the model": model.mode,
        "the loss": loss,
        "whether the loss keeps its graph": getattr(loss, "requires_grad", False),
        "the kind of the loss": "a number" if is_number else describe(loss),
    }


def step_with(loss=BCE, order=("zero_grad", "backward", "step"), mode=True, result=torch.Tensor.item):
    def answer(model, optimiser, inputs, labels):
        model.train(mode)
        value = loss(model(*inputs), labels)
        for what in order:
            value.backward() if what == "backward" else getattr(optimiser, what)()
        return result(value)

    return answer


@exercise(
    "9.5",
    "one step of training",
    cases=lambda: [(1,), (400,)],
    observe=three_steps,
    tolerance={"rtol": 1e-3, "atol": 1e-5},
    hints=(
        "Five lines: training mode, old gradients to zero, loss, its gradients, a step.",
        "loss = F.binary_cross_entropy_with_logits(model(*inputs), labels), with torch.nn.functional as F.",
        "model.train(); optimiser.zero_grad(); loss = ...; loss.backward(); optimiser.step(); return loss.item()",
    ),
    mistakes={
        "the loss has no gradient": step_with(lambda logits, y: BCE(logits.detach(), y)),
        "The parameters did not move at all: no gradient has reached them. backward() is missing, or the loss was made a new tensor, which has none.": step_with(order=("zero_grad", "step")),
        "The parameters did not move at all: optimiser.step() is missing.": step_with(order=("zero_grad", "backward")),
        "The parameters did not move at all: zero_grad() stands between backward() and step(), so that the gradients are gone before they are used.": step_with(order=("backward", "zero_grad", "step")),
        "The parameters did not move at all: step() comes before backward(), when there are no gradients yet.": step_with(order=("zero_grad", "step", "backward")),
        "The parameters did not move at all: their gradients are zero. F.cross_entropy is for several classes: the softmax of one number is always 1.": step_with(F.cross_entropy),
        "The model was never called: model(*inputs) gives the logits.": lambda model, optimiser, inputs, labels: optimiser.step() or 0.0,
        "First backward(), then step()": step_with(order=("step", "zero_grad", "backward")),
        "The gradients of the steps before are still there: backward() adds to them. Call optimiser.zero_grad() in each step.": step_with(order=("backward", "step")),
        "A sigmoid stands before a loss that takes logits and applies one itself: 0 and 1 become 0.5 and 0.73, and the network can never be certain. Give it the model's output as it is.": step_with(lambda x, y: BCE(x.sigmoid(), y)),
        "This is the loss summed over the batch. The mean, which is the default, does not change with the batch size.": step_with(functools.partial(BCE, reduction="sum")),
        "This is the squared error of the logits. A label of 1 is no logit: use the cross-entropy.": step_with(F.mse_loss),
        "This is the squared error. Use the cross-entropy, which punishes being certain and wrong.": step_with(lambda logits, y: F.mse_loss(torch.sigmoid(logits), y)),
        "The sign is reversed: this climbs the loss.": step_with(lambda logits, y: -BCE(logits, y)),
        "Two steps are made with one gradient.": step_with(order=("zero_grad", "backward", "step", "step")),
        "Labels are reversed.": step_with(lambda logits, y: BCE(logits, 1 - y)),
        "A sigmoid and then the logarithm: large logits become 0 or 1 exactly, and the gradient is gone. binary_cross_entropy_with_logits does both at once.": step_with(lambda logits, y: F.binary_cross_entropy(torch.sigmoid(logits), y)),
        "The model was in evaluation mode, as the last evaluation had left it: dropout and the like are off. Begin the step with model.train().": step_with(mode=False),
        "The loss comes as a tensor, which keeps the whole graph of its computation alive as long as it is stored. loss.item() is the number.": step_with(result=lambda loss: loss),
        "The loss comes as a tensor. Return a number: loss.item().": step_with(result=torch.Tensor.detach),
        "returned None": step_with(result=lambda loss: None),
    },
    accepted=[
        step_with(nn.BCEWithLogitsLoss(), order=("backward", "step", "zero_grad"), result=float),
        step_with(lambda x, y: (F.softplus(x) - y * x).mean(), result=lambda loss: loss.detach().numpy()),
    ],
)
def training_step(model, optimiser, inputs, labels):
    model.train()
    optimiser.zero_grad()
    loss = F.binary_cross_entropy_with_logits(model(*inputs), labels)
    loss.backward()
    optimiser.step()
    return loss.item()


def after_a_training(function, n):
    """Score `n` jets with a model as a training leaves it, and note in which state it was asked."""
    model = SmallSet(1, dropout=0.5)
    with torch.random.fork_rng():
        torch.manual_seed(96)
        answer = call(functools.partial(function, model), batch(n)[0], name="score")
    return {
        "the mode of the model": model.mode,
        "the score": answer,
        "the number of parameters with requires_grad=False": sum(not p.requires_grad for p in model.parameters()),
        "whether gradients were recorded": model.recording,
    }


def score_of(change, mode=False, before=lambda model: None, record=torch.no_grad):
    def answer(model, inputs):
        model.train(mode)
        before(model)
        with record():
            return change(model(*inputs))

    return answer


def probability(logits):
    return logits.sigmoid()[:, 0].numpy()


@exercise(
    "9.6",
    "scores in evaluation mode",
    cases=lambda: [(50,), (1,)],
    observe=after_a_training,
    tolerance={"rtol": 1e-4, "atol": 1e-6},
    hints=(
        "Before: model.eval(), which turns dropout off, and with torch.no_grad():, which records nothing.",
        "model(*inputs) are logits, (N, 1); torch.sigmoid makes probabilities of them.",
        "torch.sigmoid(model(*inputs))[:, 0].numpy(), inside the `with` block.",
    ),
    mistakes={
        "The model was never called: model(*inputs) gives the logits.": lambda model, inputs: inputs[0].mean(dim=(1, 2)).sigmoid().numpy(),
        "The model is still in training mode: dropout switches units off at random, and each call gives other scores. model.eval() first.": score_of(probability, mode=True),
        "they come as a Tensor": score_of(lambda logits: logits.sigmoid()[:, 0]),
        "These are logits; torch.sigmoid makes probabilities of them.": score_of(lambda logits: logits[:, 0].numpy()),
        "This has shape (N, 1); [:, 0] makes it (N,).": score_of(lambda logits: logits.sigmoid().numpy()),
        "This is a softmax of a single number, which is 1 whatever the jet.": score_of(lambda logits: logits.softmax(dim=1)[:, 0].numpy()),
        "This is a softmax of a single number, which is 1 whatever the jet, and of shape (N, 1).": score_of(lambda logits: logits.softmax(dim=1).numpy()),
        "This is a softmax over the jets: it depends on which jets are scored together.": score_of(lambda logits: logits.softmax(dim=0)[:, 0].numpy()),
        "The sigmoid is applied twice.": score_of(lambda logits: logits.sigmoid().sigmoid()[:, 0].numpy()),
        "This is the probability of a QCD jet; the score rises with signal.": score_of(lambda x: probability(-x)),
        "These are answers, 0 or 1; keep the probability.": score_of(lambda logits: probability(logits) > 0.5),
        "squeeze() drops the axis of the jets as well when there is one jet. [:, 0] keeps it.": score_of(lambda logits: logits.sigmoid().squeeze().numpy()),
        "requires_grad_(False) stays after the call, and no later training would move the parameters. `with torch.no_grad():` ends by itself.": score_of(probability, before=lambda m: m.requires_grad_(False), record=torch.enable_grad),
        "The scores are right, but gradients were recorded on the way, which takes several times the memory: put the call of the model inside `with torch.no_grad():`.": score_of(lambda x: probability(x.detach()), record=torch.enable_grad),
        "the output still carries its gradients": score_of(probability, record=torch.enable_grad),
        "gradients stay switched off": score_of(probability, before=lambda model: torch.set_grad_enabled(False)),
        "what came is an array of shape (50,) and dtype <U": score_of(lambda logits: probability(logits).astype(str)),
    },
    accepted=[
        score_of(lambda logits: (1 / (1 + np.exp(-logits.numpy().astype(float)))).ravel(), record=torch.inference_mode),
        torch.no_grad()(lambda model, inputs: np.array([float(z.sigmoid()) for z in model.eval()(*inputs)])),
    ],
)
def score(model, inputs):
    model.eval()
    with torch.no_grad():
        return torch.sigmoid(model(*inputs))[:, 0].numpy()


def packed_jets():
    h = torch.randn(10, 3, generator=torch.Generator().manual_seed(97)) + 1
    hard = torch.cat([torch.full((500, 3), 4e5), h[:5]])  # later sums drown in a running one
    for latent, counts in ((h, [3, 1, 0, 4, 2]), (h[:3], [2, 0, 1, 0, 0]), (hard, [500, 2, 3])):
        yield latent, torch.tensor(counts)


def jet_by_jet(reduce):
    return lambda h, counts: torch.stack([reduce(rows) for rows in h.split(counts.tolist())])


@exercise(
    "9.7",
    "sums over the constituents of each packed jet",
    cases=packed_jets,
    returns=("the sum",),
    demands=[demands.gradient],
    tolerance={"rtol": 1e-4, "atol": 1e-5},
    hints=(
        "First say for each of the T rows which jet it belongs to: 0 0 0 1 2 2 ... for counts 3, 1, 2.",
        "torch.repeat_interleave(torch.arange(len(counts)), counts) does that.",
        "torch.zeros(len(counts), latent.shape[1]).index_add(0, jet, latent) adds row i to the sum of jet[i].",
    ),
    mistakes={
        "This is the mean; here the sum is asked for.": lambda h, counts: segment_sum(h, counts) / counts.clamp(min=1)[:, None],
        "The last constituent of each jet is dropped.": jet_by_jet(lambda rows: rows[:-1].sum(dim=0)),
        "The first constituent of each jet is dropped.": jet_by_jet(lambda rows: rows[1:].sum(dim=0)),
        "The first constituent of each jet is added to the jet before: `end` belongs to the next jet.": lambda h, counts: torch.zeros(len(counts), h.shape[1]).index_add(0, torch.searchsorted(counts.cumsum(0), torch.arange(len(h))), h),
        "A jet without constituents got the first row of the next one. Its sum is zero.": lambda h, counts: torch.from_numpy(np.add.reduceat(h.numpy(), (counts.cumsum(0) - counts).numpy())),
        "The jet without constituents is left out: there must be a row for each jet.": lambda h, counts: segment_sum(h, counts[counts > 0]),
        "This is the sum over the wrong axis: it adds the L numbers of a constituent.": lambda h, counts: h.sum(dim=1),
        "This is the sum over the wrong axis, of L numbers instead of constituents, jet by jet.": jet_by_jet(torch.sum),
        "Only one constituent of each jet arrives: out[jet] += ... writes to a place that comes twice only once. index_add adds all.": lambda h, counts: torch.zeros(len(counts), h.shape[1]).index_put((torch.repeat_interleave(counts),), h),
        "This is one sum over all jets.": lambda h, counts: h.sum(dim=0),
        "These are running sums: the sum of all jets before is still in it.": lambda h, counts: segment_sum(h, counts).cumsum(dim=0),
        "This is the largest entry of each jet, not the sum.": jet_by_jet(lambda rows: rows.amax(dim=0) if len(rows) else 0 * rows.sum(dim=0)),
        "The rows come in the order of the jets reversed.": lambda h, counts: segment_sum(h, counts).flip(0),
        "Jets without constituents at the end are lost: the number of jets is len(counts).": lambda h, counts: segment_sum(h, counts[: int(torch.repeat_interleave(counts).max()) + 1]),
        "Differences of a running sum over all constituents lose digits: in float32 the sums of later jets drown in those before them. Add each jet by itself.": lambda h, n: F.pad(h.cumsum(0)[n.cumsum(0) - 1], (0, 0, 1, 0)).diff(dim=0),
        "has no gradient any more": lambda h, counts: segment_sum(h.detach(), counts),
        "a new tensor made of its values cut the chain": lambda h, counts: torch.tensor(segment_sum(h, counts).tolist(), requires_grad=True),
    },
    accepted=[
        jet_by_jet(lambda rows: rows.sum(dim=0)),
        lambda h, counts: (torch.repeat_interleave(counts) == torch.arange(len(counts))[:, None]).double() @ h.double(),
    ],
)
def segment_sum(latent, counts):
    jet = torch.repeat_interleave(torch.arange(len(counts)), counts)  # (T,): 0 0 0 1 2 2 for counts 3, 1, 2
    return torch.zeros(len(counts), latent.shape[1]).index_add(0, jet, latent)


def histories():
    """A training as it grows, the longest first, since answers may remember; `loss` has its best epoch later, and its stop."""
    val_loss = [0.60, 0.45, 0.47, 0.44, 0.46, 0.43, 0.42, 0.425, 0.41, 0.42, 0.43, 0.428, 0.44, 0.45, 0.46]
    loss = [0.62, 0.59, 0.56, 0.53, 0.50, 0.47, 0.50, 0.41, 0.38, 0.35, 0.32, 0.33, 0.33, 0.33, 0.33]
    for patience in (2, 3, 4, 1):
        for n in range(len(val_loss), 0, -1):
            yield {"loss": loss[:n], "val_loss": val_loss[:n]}, patience


def told(rule, history, patience):
    """Return both answers, named by the history and the patience that they belong to."""
    answer = call(rule, history, patience, name="best_and_stop")
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        fail(f"best_and_stop should return two things, an epoch and True or False; what came is {describe(answer)}.")
    best, stop = answer
    if isinstance(best, bool) or not isinstance(best, int | np.integer):
        fail(f"the first answer should be the number of an epoch, counted from 0; what came is {describe(best)}.")
    after = f"after the validation losses {history['val_loss']} with patience {patience}"
    return {f"the best epoch {after}": best, f"the answer whether to stop {after}": stop}


def remembering(history, patience, seen={"best": 0, "waited": 0}):  # noqa: B006 - the mistake
    improved = history["val_loss"][-1] <= min(history["val_loss"])
    seen.update({"best": len(history["val_loss"]) - 1, "waited": 0} if improved else {"waited": seen["waited"] + 1})
    return seen["best"], seen["waited"] >= patience


@exercise(
    "9.8",
    "when to stop, and which epoch to keep",
    cases=histories,
    observe=told,
    hints=(
        'The best epoch is the one of lowest history["val_loss"]: np.argmin.',
        "Epochs since then: len(history['val_loss']) - 1 - best.",
        "Stop when that number has reached patience.",
    ),
    mistakes={
        "This watches the training loss, which falls as long as the network learns its jets by heart. It says stop too late or never. Watch the validation loss.": lambda h, n: best_and_stop({"val_loss": h["loss"]}, n),
        "The stop watches the training loss, which goes on falling. Watch the validation loss.": lambda h, n: (best_and_stop(h, n)[0], best_and_stop({"val_loss": h["loss"]}, n)[1]),
        "The best epoch is that of the lowest training loss. Keep the one of the lowest validation loss.": lambda h, n: (best_and_stop({"val_loss": h["loss"]}, n)[0], best_and_stop(h, n)[1]),
        "The best epoch is not the last one: that is the one where patience ran out.": lambda h, n: (len(h["loss"]) - 1, best_and_stop(h, n)[1]),
        "Epochs are counted from 0 here, as the entries of a list are.": lambda h, n: (best_and_stop(h, n)[0] + 1, best_and_stop(h, n)[1]),
        "This is the epoch of the highest validation loss: a loss is good when it is low.": lambda h, n: (np.argmax(h["val_loss"]), best_and_stop(h, n)[1]),
        "Patience is not used: this stops at the first epoch without improvement. A validation loss jumps up and down by chance.": lambda h, n: best_and_stop(h, 1),
        "Each epoch is compared with the one before. A loss that jumps up and down never rises several times in a row: count the epochs since the best one.":
            lambda h, n: (best_and_stop(h, n)[0], np.cumprod(np.diff(h["val_loss"])[::-1] > 0).sum() >= n),
        "This counts all epochs without improvement. A new best epoch sets the count back to zero.": lambda h, n: (best_and_stop(h, n)[0], sum(loss >= min(h["val_loss"][:k]) for k, loss in enumerate(h["val_loss"]) if k) >= n),
        "This stops one epoch too late: when `patience` epochs have gone without improvement.": lambda h, n: best_and_stop(h, n + 1),
        "This stops one epoch too early: after `patience` epochs without improvement.": lambda h, n: best_and_stop(h, n - 1),
        "This never stops.": lambda h, n: (best_and_stop(h, n)[0], False),
        "The two answers to the second question are exchanged: True means stop.": lambda h, n: (best_and_stop(h, n)[0], not best_and_stop(h, n)[1]),
        "The best epoch is that of the whole history, even if the rule would have stopped earlier.":
            lambda h, n: next((best for k in range(1, len(h["loss"])) if (best := best_and_stop({"val_loss": h["val_loss"][:k]}, n))[1]), best_and_stop(h, n)),
        "The answer depends on earlier calls: use the history alone.": remembering,
        "should return two things": lambda h, n: best_and_stop(h, n)[0],
        "the first answer should be the number of an epoch": lambda h, n: (float(best_and_stop(h, n)[0]), best_and_stop(h, n)[1]),
        "The second answer is True or False, not the number of epochs since the best one.": lambda h, n: ((best := best_and_stop(h, n)[0]), len(h["loss"]) - 1 - best),
    },
    accepted=[
        lambda h, n: [np.argmin(h["val_loss"]), np.bool_(min(h["val_loss"]) not in h["val_loss"][-n:])],
        lambda h, n: (h["val_loss"].index(min(h["val_loss"])), min(h["val_loss"]) < min(h["val_loss"][-n:])),
    ],
)
def best_and_stop(history, patience):
    best = int(np.argmin(history["val_loss"]))
    return best, len(history["val_loss"]) - 1 - best >= patience


def massive_constituents():
    rng = np.random.default_rng(99)
    counts, pt = np.array([3, 1, 5, 2]), np.linspace(100, 5, 11)  # falling in each jet
    eta, phi = rng.normal(0, 0.3, 11), rng.uniform(-3, 3, 11)
    energy = np.hypot(pt * np.cosh(eta), 3)
    yield np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), energy], axis=1), counts, 0.3


def halves(one=lambda share: share, two=lambda share: 1 - share, also=lambda momenta: momenta):
    def answer(momenta, counts, share):
        split, more = split_hardest(momenta, counts, share)
        for new, factor in enumerate((one, two)):
            split[more.cumsum() - more + new] = also(factor(share) * momenta[counts.cumsum() - counts])
        return split, more

    return answer


@exercise(
    "9.9",
    "the hardest constituent of each jet split in two",
    cases=massive_constituents,
    returns=("the array of momenta", "the array of counts"),
    accept=(list,),
    hints=(
        "The hardest constituent of each jet is its first one, at the rows np.cumsum(counts) - counts.",
        "np.insert(momenta, first, new_rows, axis=0) puts new rows before those rows.",
        "Behind the insertion the k-th of the old ones stands at first[k] + k + 1: multiply it by 1 - share.",
    ),
    mistakes={
        "Packed rows are wanted, one array (T + N, 4); a list of jets came. np.concatenate makes one of it.": lambda momenta, counts, share: (np.split(split_hardest(momenta, counts, share)[0], np.cumsum(counts + 1)[:-1]), counts + 1),
        "The new rows stand at the end of the array. Packed, they then belong to the last jet: insert them beside their partner.":
            lambda p, n, share: (np.vstack([np.delete(split_hardest(p, n, share)[0], (n + 1).cumsum() - n - 1, 0), share * p[n.cumsum() - n]]), n + 1),
        "Both parts carry the whole momentum: the jet got heavier. One gets the share, the other the rest.": halves(one=lambda share: 1, two=lambda share: 1),
        "Both parts get the same share: momentum is lost or made. The second gets 1 - share.": halves(two=lambda share: share),
        "The first part gets the share, the second still has everything: momentum is made.": halves(two=lambda share: 1),
        "Only the energy is divided. All four components are, or the parts get a mass and another direction.": halves(lambda share: share**ENERGY, lambda share: (1 - share) ** ENERGY),
        "The energies of the parts are their |p|: constituents can have a mass. Each part gets its share of E, too.": halves(also=lambda momenta: np.column_stack([momenta[:, :3], np.linalg.norm(momenta[:, :3], axis=1)])),
        "Three components are divided, and both parts have the whole energy. It is shared as well.": halves(lambda share: share ** (1 - ENERGY), lambda share: (1 - share) ** (1 - ENERGY)),
        "The second part was taken from the row that had already become smaller: it gets 1 - share of the parent.": halves(two=lambda share: (1 - share) * share),
        "Both parts are halves, whatever the share.": halves(one=lambda share: 0.5, two=lambda share: 0.5),
        "The softest constituent of each jet was split. The hardest is the first.": lambda momenta, counts, share: (split_hardest(momenta[::-1], counts[::-1], 1 - share)[0][::-1], counts + 1),
        "Only one jet was split: the hardest constituent of each jet is meant.": lambda momenta, counts, share: (split_hardest(momenta, np.array([len(momenta)]), share)[0], counts + 1),
        "All constituents were split; only the hardest of each jet is meant.": lambda momenta, counts, share: (split_hardest(momenta, np.ones(len(momenta), int), share)[0], counts + 1),
        "Nothing was split.": lambda momenta, counts, share: (momenta, counts),
        "The counts are the old ones: each jet has one constituent more, and all that follow would be read from the wrong rows.": lambda *jets: (split_hardest(*jets)[0], jets[1]),
        "The counts are doubled; one constituent was added to each jet.": lambda *jets: (split_hardest(*jets)[0], 2 * jets[1]),
        "Each jet gets one constituent more, not all of them.": lambda *jets: (split_hardest(*jets)[0], jets[1] + len(jets[1])),
        "the array of momenta and the array of counts": lambda *jets: split_hardest(*jets)[0],
    },
    alternatives=[halves(lambda share: 1 - share, lambda share: share)],  # which stands first is a matter of taste
    accepted=[
        lambda p, n, s: (np.vstack([[s * j, j - s * j, *i] for j, *i in np.split(p, n.cumsum()[:-1])]), [*(n + 1)])
    ],
)
def split_hardest(momenta, counts, share):
    first = np.cumsum(counts) - counts  # the row of the hardest constituent of each jet
    split = np.insert(momenta, first, share * momenta[first], axis=0)
    split[first + np.arange(len(counts)) + 1] *= 1 - share  # the parents, each moved down by the rows inserted so far
    return split, counts + 1


def trainings():
    rng = np.random.default_rng(910)
    labels = np.repeat([0, 1], 150)
    common = labels + rng.normal(0, 0.7, 300)  # what all trainings have learned
    yield labels, np.stack([common + rng.normal(0, q, 300) for q in (0.6, 1.3, 0.2, 0.4)])  # they differ much


def mean_with(error):
    def answer(labels, scores):
        values, errors = np.array([auc(labels, s) for s in scores]).T
        return values.mean(), error(values.std(ddof=1), errors.mean(), len(values))

    return answer


@exercise(
    "9.10",
    "an AUC with the errors of seeds and of counting",
    cases=trainings,
    returns=("the mean AUC", "its error"),
    hints=(
        "auc(labels, s) gives value and error of one training; take both for each row of scores.",
        "Seeds: np.std(values, ddof=1) / sqrt(S). Counting: the mean of the errors, because all trainings meet the same test jets.",
        "np.hypot adds the two in quadrature.",
    ),
    mistakes={
        "This is one seed alone, with the error of counting. Another seed gives another network: without their spread the number looks more certain than it is.": lambda labels, scores: auc(labels, scores[0]),
        "This is the mean, but the error is that of one training: what the seed does is missing.": lambda labels, scores: (mean_auc(labels, scores)[0], auc(labels, scores[0]).error),
        "The best seed was chosen, on the test jets. That is a fit to them, not a result.": lambda labels, scores: max(auc(labels, s) for s in scores),
        "The error of counting is missing: with other test jets all trainings would move together.": mean_with(lambda spread, counting, n: spread / np.sqrt(n)),
        "The error of counting is missing, and the spread of the trainings is not divided by the square root of their number.": mean_with(lambda spread, counting, n: spread),
        "The spread of the seeds is missing.": mean_with(lambda spread, counting, n: counting),
        "The error of counting was divided by the square root of the number of trainings. All met the same jets, and their fluctuation does not average out.": mean_with(lambda spread, counting, n: np.hypot(spread, counting) / np.sqrt(n)),
        "The spread of the trainings is not divided by the square root of their number: that is the error of one of them, not of their mean.": mean_with(lambda spread, counting, n: np.hypot(spread, counting)),
        "The spread of the trainings is divided by their number; divide by its square root.": mean_with(lambda spread, counting, n: np.hypot(spread / n, counting)),
        "The square root of the sum of squares is missing: np.hypot.": mean_with(lambda spread, counting, n: spread**2 / n + counting**2),
        "The spread needs ddof=1: with few trainings the mean lies too close to them.": mean_with(lambda spread, counting, n: np.hypot(spread * np.sqrt(n - 1) / n, counting)),
        "The two errors were added. Independent errors add in quadrature: np.hypot.": mean_with(lambda spread, counting, n: spread / np.sqrt(n) + counting),
        "The scores were averaged before the AUC. That is another tagger, an ensemble of all trainings, and a better one than each.": lambda labels, scores: auc(labels, np.mean(scores, axis=0)),
        "The two are exchanged: first the mean, then its error.": lambda *given: mean_auc(*given)[::-1],
        "the mean AUC should be": lambda *given: [f"{value:.6f}" for value in mean_auc(*given)],
    },
    accepted=[
        mean_with(lambda spread, counting, n: (spread**2 / n + counting**2) ** 0.5),
        lambda *given: np.array(mean_auc(*given)),
    ],
)
def mean_auc(labels, scores):
    areas = [auc(labels, s) for s in scores]
    values = np.array([area.value for area in areas])
    of_seeds = values.std(ddof=1) / np.sqrt(len(values))
    of_counting = np.mean([area.error for area in areas])
    return values.mean(), np.hypot(of_seeds, of_counting)
